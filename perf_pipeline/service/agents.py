"""Figures of the agents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Depends, Path, Query, Response

from perf_pipeline.records import IncidentState, Scope
from perf_pipeline.service.context import ServiceContext
from perf_pipeline.service.models import AgentHistory, AgentModel, IsoTime
from perf_pipeline.service.problems import Problem, problems
from perf_pipeline.service.remembered import remembered, remembered_by_key
from perf_pipeline.standing_now import SHOWN_METRICS, agent_rows
from resources.table_history import Rows

SHOWN_BY_DEFAULT = timedelta(days=7)
ANSWERS_KEPT = 256

Time = Annotated[IsoTime | None, Query(description="ISO 8601; UTC where it names no zone")]


def agents_router(context: ServiceContext) -> APIRouter:
    router = APIRouter(prefix="/agents", tags=["agents"], dependencies=[Depends(context.gate.require(Scope.READ))])
    window = context.fleet.window

    def now_rows() -> bytes:
        now = context.clock()
        ongoing = [one for one in context.book.incidents(now) if one.state is not IncidentState.RESOLVED]
        return orjson.dumps(agent_rows(context.history.rows(now), context.fleet, ongoing, now))

    all_agents = remembered(now_rows, context.remember_seconds)

    @router.get("", response_model=list[AgentModel], responses=problems())
    def agents() -> Response:
        """All agents of fleet.yaml, and others that did something, each with its newest figures."""
        return Response(all_agents(), media_type="application/json")

    def content(_version: int, name: str, since: datetime, until: datetime) -> bytes:
        rows = context.history.rows(context.clock())
        return _history_json(rows, name, since, until, context.fleet.window_minutes)

    history = remembered_by_key(content, ANSWERS_KEPT)

    @router.get("/{agent}", response_model=AgentHistory, responses=problems(404))
    def agent_history(
        agent: Annotated[str, Path(description="Name of the agent", examples=["InboundAgent"])],
        since: Time = None,
        until: Time = None,
    ) -> Response:
        """An agent's windows that begin at or after `since`, by default a week ago, and before `until`, by default
        now; of the last 90 days."""
        now = context.clock()
        rows = context.history.rows(now)
        if agent not in rows.bounds and context.fleet.agent(agent) is None:
            raise Problem(404, "There is no agent of this name: see GET /agents.")
        # Whole windows, so that those who ask within one get one answer.
        end = _on_a_window(until, window) if until else _on_a_window(now, window) + window
        begin = _on_a_window(since, window) if since else end - SHOWN_BY_DEFAULT
        if begin > end:
            raise Problem(422, "The request does not fit: since is later than until.")
        return Response(history(rows.version, agent, begin, end), media_type="application/json")

    return router


def _history_json(rows: Rows, agent: str, since: datetime, until: datetime, window_minutes: int) -> bytes:
    first, end = rows.bounds.get(agent, (0, 0))
    times = rows.arrays["window_start"][first:end]
    first, end = first + int(times.searchsorted(_utc64(since))), first + int(times.searchsorted(_utc64(until)))
    columns = {name: _values(name, rows.arrays[name][first:end]) for name in SHOWN_METRICS.columns if name != "agent"}
    windows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    # NaN, which stands for what was not measured, becomes null.
    return orjson.dumps(
        {"agent": agent, "window_minutes": window_minutes, "since": since, "until": until, "windows": windows}
    )


def _values(name: str, values: np.ndarray) -> list[Any]:
    if name == "window_start":
        return [f"{time}+00:00" for time in np.datetime_as_string(values, unit="s")]
    if name == "total_tokens":
        return [None if np.isnan(value) else int(value) for value in values]
    return values.tolist()


def _utc64(time: datetime) -> np.datetime64:
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None), "us")


def _on_a_window(time: datetime, window: timedelta) -> datetime:
    """The start of the window that holds the time. Raises Problem for a time that no computer counts with."""
    try:
        seconds = window.total_seconds()
        return datetime.fromtimestamp(time.timestamp() // seconds * seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise Problem(422, "The request does not fit: since and until must be times of this age.") from error
