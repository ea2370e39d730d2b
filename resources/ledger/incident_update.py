"""How a recorded incident may change, so that of two processes the one that knows less takes nothing back."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from perf_pipeline.fleet_model import Severity

OF_THE_WORST = (
    "type",
    "also",
    "severity",
    "root_cause",
    "recommended_action",
    "details",
    "example_traces",
    "cause",
    "evidence",
)
OF_THE_LATEST = ("state", "last_seen", "resolved_at")

Columns = sa.sql.base.ReadOnlyColumnCollection[str, Any]


def incident_update(known: Columns, new: Columns) -> dict[str, Any]:
    """The values of an incident's columns after `new` was recorded over `known`.

    The severity, and with it the finding that stands for the incident, only rises. The state follows whoever has
    seen the later window, and an incident that ended stays so until a later window shows it again. Its beginning
    only moves back, and `reopened` only rises.
    """
    rank = {str(severity): severity.rank for severity in Severity}
    as_bad = sa.case(rank, value=new.severity) >= sa.case(rank, value=known.severity)
    as_late = sa.or_(
        new.reopened > known.reopened,
        sa.and_(new.reopened == known.reopened, _seen_until(new) >= _seen_until(known)),
    )
    changed = {name: sa.case((as_bad, new[name]), else_=known[name]) for name in OF_THE_WORST}
    changed |= {name: sa.case((as_late, new[name]), else_=known[name]) for name in OF_THE_LATEST}
    changed |= {
        name: sa.case((new[name] < known[name], new[name]), else_=known[name]) for name in ("onset", "opened_at")
    }
    changed["reopened"] = sa.case((new.reopened > known.reopened, new.reopened), else_=known.reopened)
    return changed


def _seen_until(incident: Columns) -> sa.ColumnElement[Any]:
    """The last window that the state rests on: the one that ended the incident, or the one that it was last seen in."""
    return sa.func.coalesce(incident.resolved_at, incident.last_seen)
