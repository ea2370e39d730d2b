"""What the ledger remembers is either open or over."""

from __future__ import annotations

from perf_pipeline.fleet import Severity
from perf_pipeline.records import RequestState


def test_a_request_is_open_until_it_is_finished_or_cancelled() -> None:
    assert {state for state in RequestState if not state.is_open} == {RequestState.FINISHED, RequestState.CANCELLED}


def test_severities_rank_as_people_read_them() -> None:
    assert sorted(Severity, key=lambda severity: severity.rank) == ["low", "medium", "high", "critical"]
