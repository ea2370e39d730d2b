"""Running the pipeline now, and how it stands."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import JSONResponse

from perf_pipeline.records import Scope
from perf_pipeline.service.authentication import Identity
from perf_pipeline.service.context import ServiceContext
from perf_pipeline.service.models import RunModel, StatusModel, TriggerAnswer
from perf_pipeline.service.problems import Problem, problems
from perf_pipeline.service.remembered import remembered
from perf_pipeline.standing_now import pipeline_rows
from perf_pipeline.trigger import CycleOutcome
from resources.reading import DagsterError

WAITS_AT_MOST_SECONDS = 600.0


class PipelineRoutes:
    """The routes, and the runs that are being waited for: however many wait for a run, it is watched once."""

    def __init__(self, context: ServiceContext, waits_at_most_seconds: float = WAITS_AT_MOST_SECONDS) -> None:
        self._context = context
        self._waits_at_most = waits_at_most_seconds
        self._watched: dict[str, asyncio.Task[CycleOutcome]] = {}
        self.router = APIRouter(tags=["pipeline"])
        self._add_routes()

    def _add_routes(self) -> None:
        context = self._context
        may_trigger = Depends(context.gate.require(Scope.TRIGGER))
        may_read = Depends(context.gate.require(Scope.READ))
        may_follow = Depends(context.gate.require(Scope.READ, Scope.TRIGGER))

        @self.router.post(
            "/agents/performance/trigger",
            response_model=TriggerAnswer,
            responses={
                202: {
                    "model": RunModel,
                    "description": "The run goes on; Location says where to look",
                    "headers": {"Location": {"schema": {"type": "string"}}},
                },
                **problems(503),
            },
        )
        async def trigger(
            wait: Annotated[bool, Query(description="Whether to wait until the run is over")] = True,
            who: Identity = may_trigger,
        ) -> Response:
            """Run the cycle on the window that is open now, through Dagster's run queue.

            Whoever asks while such a run goes on joins it. The answer waits for the run, and for the sensors that act
            on it; what they could not do within 90 s is said in `errors`. A run of over ten minutes is answered as
            with `wait=false`. The open window is judged once it is over: `anomalies_detected` counts what was found by
            its beginning and is still open.
            """
            run_id = await asyncio.to_thread(_asked, context.trigger.begin, who.person)
            if wait:
                outcome = await self._waited_for(run_id)
                if outcome is not None:
                    return JSONResponse(outcome.answer())
            run = await asyncio.to_thread(self._run, run_id)
            return JSONResponse(run, 202, {"Location": f"/runs/{run_id}"})

        @self.router.get(
            "/runs/{run_id}", response_model=RunModel, responses=problems(404, 503), dependencies=[may_follow]
        )
        def run(run_id: str) -> JSONResponse:
            """How a run of the cycle stands, and once it is over what it did."""
            return JSONResponse(self._run(run_id))

        status = remembered(self._status, context.remember_seconds)

        @self.router.get(
            "/agents/performance/status", response_model=StatusModel, responses=problems(), dependencies=[may_read]
        )
        def performance_status() -> Response:
            """The last and the next window, those that are missing, the sources, the agents, what is open and what is
            spent; not older than a few seconds."""
            return Response(status(), media_type="application/json")

    def _status(self) -> bytes:
        context, now = self._context, self._context.clock()
        rows = context.history.rows(now)
        return orjson.dumps(pipeline_rows(context.book, context.lake, rows, context.fleet, context.dagster, now))

    async def _waited_for(self, run_id: str) -> CycleOutcome | None:
        """None where the run takes longer than anybody waits."""
        task = self._watched.get(run_id)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(_asked, self._context.trigger.wait, run_id))
            self._watched[run_id] = task
            task.add_done_callback(lambda _: self._watched.pop(run_id, None))
        done, _ = await asyncio.wait([task], timeout=self._waits_at_most)
        return task.result() if done else None

    def _run(self, run_id: str) -> dict[str, Any]:
        outcome = _asked(self._context.trigger.outcome, run_id)
        if outcome is None:
            raise Problem(404, "Dagster knows no run of the cycle with this ID.")
        answer = outcome.answer()
        return {
            "run_id": outcome.run_id,
            "status": outcome.status,
            "is_over": outcome.is_over,
            "window": answer["window"],
            "triggered_by": outcome.triggered_by,
            "url": self._context.dagster.run_url(outcome.run_id),
            "result": answer if outcome.is_over else None,
        }


def _asked(ask: Any, *arguments: Any) -> Any:
    """What Dagster answers, or a problem that says what to do."""
    try:
        return ask(*arguments)
    except DagsterError as error:
        raise Problem(503, str(error)) from error
