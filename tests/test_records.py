"""What the ledger remembers is either open or over."""

from __future__ import annotations

from perf_pipeline.fleet import Severity
from perf_pipeline.records import RequestState


def test_a_request_is_open_until_it_is_finished_or_comes_to_nothing() -> None:
    came_to_nothing = {
        RequestState.CANCELLED,
        RequestState.DECLINED,
        RequestState.EXPIRED,
        RequestState.REFUSED,
        RequestState.FAILED,
    }
    assert {state for state in RequestState if not state.is_open} == {RequestState.FINISHED, *came_to_nothing}
    assert {state for state in RequestState if state.came_to_nothing} == came_to_nothing


def test_severities_rank_as_people_read_them() -> None:
    assert sorted(Severity, key=lambda severity: severity.rank) == ["low", "medium", "high", "critical"]
