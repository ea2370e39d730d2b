"""The state of the agents' tasks in a file: the embedded default in the place of Supabase's agent_state table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path

import dagster as dg
from pydantic import Field

from resources.agent_state import TaskState, count_states, counts_frame, states_frame
from resources.json_lines import read_objects, required_text, required_time
from resources.reading import Reading, SupabaseError


class StateFilesResource(dg.ConfigurableResource):
    """Reads `agent_state.jsonl` in a folder: a journal to which each change of a task appends a line.

    A line is `{"id", "agent_name", "status", "updated_at"}`, and `"created_at"` where it is known, with ISO 8601
    times; the latest line of an id holds.
    """

    folder: str = Field(description="Folder of agent_state.jsonl; a file that does not exist holds no tasks.")

    def describe(self) -> str:
        return f"agent_state.jsonl in {self.folder} (embedded default; set SUPABASE_URL to read Supabase)"

    def read_task_counts(self, start: datetime, end: datetime, since: Mapping[str, datetime]) -> Reading:
        """Tasks by agent and status, as a frame of `task_counts` for the window [start, end).

        `tasks_in_window` counts those last changed in the window, `tasks_total` all, `tasks_since_optimization`
        those last changed at or after their agent's time in `since`. Raises SupabaseError naming a malformed line.
        """
        return Reading(counts_frame(start, count_states(self._states(), start, end, since)))

    def read_task_states(self, start: datetime, end: datetime) -> Reading:
        """The tasks last changed in [start, end), as a frame of `task_states`. Raises SupabaseError as above."""
        return Reading(
            states_frame(state for state in self._states() if state.updated_at and start <= state.updated_at < end)
        )

    def _states(self) -> Collection[TaskState]:
        latest: dict[str, TaskState] = {}
        for line, value in read_objects(Path(self.folder) / "agent_state.jsonl", SupabaseError):
            agent, status, task = (
                required_text(value, name, line, SupabaseError) for name in ("agent_name", "status", "id")
            )
            updated = required_time(value, "updated_at", line, SupabaseError)
            known = value.get("created_at") is not None
            created = required_time(value, "created_at", line, SupabaseError) if known else None
            latest[task] = TaskState(task, agent, status, created, updated)
        return latest.values()
