"""Taking a version back leads to the last good one, or to the code, and never to one that was taken back before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perf_pipeline.optimization.promotion import RollbackRefusedError, rolled_back
from perf_pipeline.records import ProgramAlias, ProgramVersion
from tests.run_builders import NOON

AGENT = "InboundAgent"


def moved(*versions: str | None) -> list[ProgramAlias]:
    return [
        ProgramAlias(AGENT, "production", version, number, NOON + timedelta(hours=number), "optimizer", "better")
        for number, version in enumerate(versions, start=1)
    ]


def known(*versions: str, bad: Sequence[str] = ()) -> list[ProgramVersion]:
    return [
        ProgramVersion(AGENT, version, version * 4, "run", None, NOON, "it was wrong" if version in bad else None)
        for version in versions
    ]


def target(moves: list[ProgramAlias], versions: list[ProgramVersion]) -> str | None:
    return rolled_back(moves[-1], moves, versions, "ana", "worse", NOON).version


def test_the_version_before_runs_again() -> None:
    assert target(moved("a", "b"), known("a", "b")) == "a"


def test_the_first_version_leads_back_to_the_code() -> None:
    assert target(moved("a"), known("a")) is None


def test_the_move_says_who_when_why_and_follows_the_one_before() -> None:
    moves = moved("a", "b", "c")
    done = rolled_back(moves[-1], moves, known("a", "b", "c"), "ana", "more complaints", NOON)
    assert done == ProgramAlias(AGENT, "production", "b", 4, NOON, "ana", "rollback: more complaints")


def test_a_version_that_was_taken_back_is_passed_over() -> None:
    assert target(moved("a", "b", "c"), known("a", "b", "c", bad=["b"])) == "a"
    assert target(moved("a", "b", "c"), known("a", "b", "c", bad=["a", "b"])) is None


def test_two_rollbacks_lead_two_versions_back_and_a_third_to_the_code() -> None:
    assert target(moved("a", "b", "c", "b"), known("a", "b", "c", bad=["c"])) == "a"
    assert target(moved("a", "b", "c", "b", "a"), known("a", "b", "c", bad=["c", "b"])) is None


def test_the_version_that_is_left_is_not_come_back_to_although_it_ran_before() -> None:
    assert target(moved("a", "b", "a"), known("a", "b")) == "b"
    assert target(moved("a", "a"), known("a")) is None


def test_a_version_that_nobody_registered_is_not_run() -> None:
    assert target(moved("lost", "b"), known("b")) is None


def test_a_version_that_never_was_in_production_is_not_run() -> None:
    assert target(moved("a"), known("a", "candidate")) is None


@pytest.mark.parametrize("moves", [[], moved("a", None)], ids=["never moved", "taken back"])
def test_where_the_code_runs_there_is_nothing_to_take_back(moves: list[ProgramAlias]) -> None:
    with pytest.raises(RollbackRefusedError, match="runs as it stands in the code: there is no version"):
        rolled_back(moves[-1] if moves else None, moves, known("a"), "ana", "worse", NOON)


@given(
    history=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=8),
    bad=st.sets(st.sampled_from(["a", "b", "c"])),
)
def test_rolling_back_again_and_again_ends_at_the_code_and_never_repeats_a_version(
    history: list[str | None], bad: set[str]
) -> None:
    moves, left, ran = moved(*history), set(bad), []
    while moves[-1].version is not None:
        done = rolled_back(moves[-1], moves, known("a", "b", "c", bad=sorted(left)), "ana", "worse", NOON)
        assert done.sequence == moves[-1].sequence + 1
        assert done.version is None or done.version in history
        assert done.version not in {moves[-1].version, *left} - {None}
        left.add(str(moves[-1].version))
        moves.append(done)
        ran.append(done.version)
    assert len(set(ran)) == len(ran) <= 3
