"""Where to look when spans, agent_state and logs tell different stories: no failing task shows it."""

from __future__ import annotations

WHERE_TO_LOOK = {
    "unnoticed_failures": "The agent called these tasks failed after their spans had ended well: let it raise, or set "
    "the span's status, where it finds out",
    "missing_traces": "Tasks end without a trace: see that the agent's tracer starts, that its exporter reaches the "
    "server, and that spans carry the task's id",
    "unseen_errors": "The lines were written while no task of the agent was failing: look at what runs beside its "
    "tasks, and for code that logs an error and goes on",
}
