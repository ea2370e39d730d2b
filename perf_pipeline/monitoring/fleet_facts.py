"""A day of the fleet, and a decision about an agent, as facts: the sentences that prose about them may repeat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from perf_pipeline.records import Incident, IncidentState


def facts_of_day(summary: pd.DataFrame, incidents: Sequence[Incident]) -> tuple[str, ...]:
    """Of each agent with tasks (`tables.DAILY_SUMMARY`), and of each incident of an agent."""
    active = summary[summary["tasks"] > 0]
    return (
        *(_agent_in_words(row) for row in active.to_dict("records")),
        *(_incident_in_words(incident) for incident in incidents if incident.family != "data"),
    )


def facts_of_decision(
    agent: str, reasons: Iterable[str], newest: pd.DataFrame, incidents: Sequence[Incident]
) -> tuple[str, ...]:
    """Why the agent is to be optimized, how it did in its newest window (`tables.AGENT_METRICS`), what is open."""
    own = newest[(newest["agent"] == agent) & (newest["tasks"] > 0)]
    return (
        *(f"{agent}: {reason}." for reason in reasons),
        *(_window_in_words(row) for row in own.to_dict("records")),
        *(_incident_in_words(incident) for incident in incidents if incident.agent == agent),
    )


def _agent_in_words(row: dict[Any, Any]) -> str:
    score = "no score" if pd.isna(row["score"]) else f"a score of {row['score']:.0f}"
    return f"{row['agent']} had {score} and is {row['trend']}: {_tasks(row)}."


def _window_in_words(row: dict[Any, Any]) -> str:
    score = "" if pd.isna(row["score"]) else f" a score of {row['score']:.0f},"
    return f"In the newest window {row['agent']} had{score} {_tasks(row)}."


def _tasks(row: dict[Any, Any]) -> str:
    count = int(row["tasks"])
    return f"{count:,} task{'' if count == 1 else 's'}, {row['success_rate']:.0f}% successful"


def _incident_in_words(incident: Incident) -> str:
    state = "is over" if incident.state is IncidentState.RESOLVED else "is still open"
    return f"{incident.agent}: {incident.details.partition(' (')[0]}; it {state} and {incident.severity.upper()}."
