"""What is wrong, who looks after it, and what nobody wants to hear of."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from perf_pipeline.incident_actions import NO_THREAD, acknowledge_thread
from perf_pipeline.incident_rows import incident_row, incident_rows, past_incident_rows, thread_of
from perf_pipeline.records import Scope, Silence
from perf_pipeline.service.authentication import Identity
from perf_pipeline.service.context import ServiceContext
from perf_pipeline.service.models import IncidentModel, IsoTime, Reply, SilenceModel, SilenceRequest
from perf_pipeline.service.problems import Problem, problems


def incidents_router(context: ServiceContext) -> APIRouter:
    book, fleet, clock = context.book, context.fleet, context.clock
    router = APIRouter(tags=["incidents"])
    may_read, may_act = Depends(context.gate.require(Scope.READ)), Depends(context.gate.require(Scope.APPROVE))

    @router.get("/incidents", responses=problems(), dependencies=[may_read])
    def incidents(
        since: Annotated[
            IsoTime | None,
            Query(description="Also incidents that are over, if they were there at or after this time (ISO 8601)"),
        ] = None,
    ) -> list[IncidentModel]:
        """The incidents that are not over, the worst first; with `since` also those that are, the newest first."""
        rows = incident_rows(book, fleet, clock()) if since is None else past_incident_rows(book, since)
        return [IncidentModel(**row) for row in rows]

    @router.get("/incidents/{incident_id}", responses=problems(404), dependencies=[may_read])
    def incident(incident_id: str) -> IncidentModel:
        """One incident."""
        row = incident_row(book, incident_id)
        if row is None:
            raise Problem(404, "There is no incident with this ID: see GET /incidents.")
        return IncidentModel(**row)

    @router.post("/incidents/{incident_id}/acknowledge", responses=problems(404, 409))
    def acknowledge(
        incident_id: Annotated[str, Path(description="ID of the incident, or of the thread that tells of it")],
        who: Identity = may_act,
    ) -> Reply:
        """Say that the person of the token looks after the incidents of a thread. The thread is told; the first one
        counts."""
        thread = thread_of(book, incident_id)
        if thread is None:
            raise Problem(404, NO_THREAD)
        outcome = acknowledge_thread(book, fleet, thread, who.person, clock())
        if not outcome.done:
            raise Problem(409, outcome.reply)
        return Reply(reply=outcome.reply)

    @router.get("/silences", responses=problems(), dependencies=[may_read])
    def silences() -> list[SilenceModel]:
        """The silences that have not ended."""
        return [SilenceModel(**asdict(one)) for one in book.silences(clock())]

    @router.post("/silences", status_code=201, responses=problems())
    def silence(wanted: SilenceRequest, who: Identity = may_act) -> SilenceModel:
        """Tell nobody of incidents that match, for a while. All types of an incident must match."""
        if (wanted.agent, wanted.type) == ("*", "*"):
            raise Problem(422, "Name what to silence, by agent or type.")
        now = clock()
        made = Silence(
            id=uuid.uuid4().hex[:12],
            agent=wanted.agent,
            type=wanted.type,
            starts_at=now,
            ends_at=now + timedelta(hours=wanted.hours),
            created_by=who.person,
            comment=wanted.comment,
        )
        book.add_silence(made)
        return SilenceModel(**asdict(made))

    @router.delete("/silences/{silence_id}", status_code=204, responses=problems(404), dependencies=[may_act])
    def end_silence(silence_id: str) -> Response:
        """End a silence now."""
        if not book.end_silence(silence_id, clock()):
            raise Problem(404, "There is no silence with this ID that has not ended.")
        return Response(status_code=204)

    return router
