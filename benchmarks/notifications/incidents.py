"""Incidents as the ledger holds them, with the facts that a benchmark does not choose filled in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from perf_pipeline.fleet_model import Severity
from perf_pipeline.monitoring.windows import floor_to_window
from perf_pipeline.records import Incident, IncidentState

FLEET_FILE = Path(__file__).parents[2] / "fleet.yaml"
WINDOW = timedelta(minutes=30)


def failing(agent: str, cause: str) -> Incident:
    """An agent that fails since the last window that is over; the agents of one cause are one trouble."""
    window = floor_to_window(datetime.now(UTC), WINDOW) - WINDOW
    return Incident(
        id=f"{agent}-{cause}",
        agent=agent,
        family="reliability",
        type="success_drop",
        also=(),
        severity=Severity.CRITICAL,
        state=IncidentState.OPEN,
        onset=window,
        opened_at=window,
        last_seen=window,
        resolved_at=None,
        reopened=0,
        root_cause=f"Every task fails with {cause}.",
        recommended_action="IMMEDIATE",
        details="Success rate dropped from 85% to 0%",
        cause=cause,
    )


def spans_outage() -> Incident:
    """The spans cannot be read since the last window that is over."""
    outage = failing("source:spans", "")
    return Incident(**{**vars(outage), "family": "data", "type": "data_gap", "details": "Phoenix does not answer."})
