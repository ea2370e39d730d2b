"""From findings to incidents: when one begins, recovers, ends and comes back, and that it keeps its name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.detectors.registry import detectors
from perf_pipeline.monitoring.findings import FAMILIES
from perf_pipeline.monitoring.incidents import (
    Judged,
    incident_id,
    incidents_from_findings,
    judged_windows,
    reconcile,
)
from perf_pipeline.records import Incident, IncidentState, SourceStatus
from tests.builders import LENGTH, START, Row, anomalies, finding_row, health, shipped_fleet, window

OPEN, RECOVERING, RESOLVED = IncidentState.OPEN, IncidentState.RECOVERING, IncidentState.RESOLVED
REOPEN = 4 * LENGTH
"""An incident that comes back within four windows is the same one, in these tests."""


def start(number: int) -> datetime:
    return window(number).start


def judged(numbers: Iterable[int], sources: Iterable[int] = ()) -> Judged:
    """Agents were judged in the windows `numbers`, and spans read for the windows `sources`."""
    return judged_windows([start(number) for number in numbers], [health("spans", number) for number in sources])


def rows_of(states: str, opened: int | None = None, **columns: Any) -> list[Row]:
    """A row a letter, from window 0 on: p pending, o open, r recovering, x resolved, - nothing."""
    names = {"p": "pending", "o": "open", "r": "recovering", "x": "resolved"}
    first = states.find("o") if opened is None else opened
    rows = []
    for number, letter in enumerate(states):
        if letter == "o" and number and states[number - 1] in "-xp":
            first = number
        if letter in names:
            began = None if letter == "p" else start(first)
            rows.append(finding_row(number=number, state=names[letter], opened=began, onset=began, **columns))
    return rows


def incidents(rows: list[Row], looked_at: Judged, within: timedelta = REOPEN) -> list[Incident]:
    return incidents_from_findings(anomalies(*rows), looked_at, within)


def found_in(states: str) -> list[tuple[int, int | None, IncidentState, int]]:
    """Of each incident in windows that were all judged: opened in, resolved in, state, reopened."""
    return [
        (number(one.opened_at), None if one.resolved_at is None else number(one.resolved_at), one.state, one.reopened)
        for one in incidents(rows_of(states), judged(range(len(states))))
    ]


def number(time: datetime) -> int:
    return (time - START) // LENGTH


def recorded(opened: int, last_seen: int, state: IncidentState = OPEN, severity: str = "high") -> Incident:
    """An incident as an earlier run would have recorded it."""
    rows = rows_of("-" * opened + "o" * (last_seen - opened + 1), severity=severity)
    ended = start(last_seen + 1) if state is RESOLVED else None
    return replace(incidents(rows, judged([]))[0], state=state, resolved_at=ended)


EVERYTHING = (start(-1000), start(1000))


def reconciled(
    computed: list[Incident],
    known: list[Incident],
    looked_at: Judged | None = None,
    span: tuple[datetime, datetime] = EVERYTHING,
) -> list[Incident]:
    return reconcile(computed, known, looked_at or judged([]), span, REOPEN)


def test_every_finding_that_a_detector_makes_has_a_family() -> None:
    every = detectors(shipped_fleet().detection, LENGTH)
    assert {one.finding for one in every} | {"silence", "data_gap"} == set(FAMILIES)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("------", []),
        ("--pppp", []),
        ("-ppooo", [(3, None, OPEN, 0)]),
        ("-poorr", [(2, None, RECOVERING, 0)]),
        ("-pooror", [(2, None, RECOVERING, 0)]),
        ("-oorx--", [(1, 4, RESOLVED, 0)]),
        ("-oo----", [(1, 3, RESOLVED, 0)]),
        ("-oox-oo", [(1, None, OPEN, 1)]),
        ("-oox-oox-oox", [(1, 11, RESOLVED, 2)]),
        ("-oox---oo", [(1, None, OPEN, 1)]),
        ("-oox----oo", [(1, 3, RESOLVED, 0), (8, None, OPEN, 0)]),
    ],
    ids=[
        "no findings",
        "what is pending is no incident",
        "it opens where its finding opens",
        "it recovers with its finding",
        "it may fall back, and recover again",
        "it ends where its finding was resolved",
        "it ends where its finding is not said any more",
        "what comes back soon is the same incident",
        "however often",
        "within the time that the fleet file names, counted from its end",
        "after that time it is another one",
    ],
)
def test_the_life_of_an_incident(states: str, expected: list[tuple[int, int | None, IncidentState, int]]) -> None:
    assert found_in(states) == expected


def test_windows_that_were_not_judged_neither_end_nor_divide_an_incident() -> None:
    (found,) = incidents(rows_of("-oo---oo", opened=1), judged([0, 1, 2, 6, 7]))
    assert (found.state, found.last_seen, found.reopened) == (OPEN, start(7), 0)
    (found,) = incidents(rows_of("-oo"), judged([0, 1, 2]))
    assert found.state is OPEN


def test_an_incident_goes_on_while_any_finding_of_its_family_does() -> None:
    rows = rows_of("ooox---", type="success_drop") + rows_of("--ooorx", type="error_spike")
    (found,) = incidents(rows, judged(range(7)))
    assert (found.opened_at, found.resolved_at, found.reopened) == (start(0), start(6), 0)
    assert (found.type, found.also) == ("success_drop", ("error_spike",))


def test_an_incident_is_open_while_one_of_its_findings_is() -> None:
    rows = rows_of("orrr", type="success_drop") + rows_of("ooor", type="error_spike")
    assert [one.state for one in incidents([row for row in rows if row["window_start"] < start(3)], judged([]))] == [
        OPEN
    ]
    assert [one.state for one in incidents(rows, judged([]))] == [RECOVERING]


def test_findings_of_one_family_are_one_incident_and_those_of_another_their_own() -> None:
    kinds = [kind for kind in FAMILIES if kind != "data_gap"]
    rows = [finding_row(type=kind, number=number, opened=start(1)) for number in (1, 2) for kind in kinds]
    for order in (rows, rows[::-1]):
        assert [(one.family, one.type, one.also) for one in incidents(order, judged(range(3)))] == [
            ("cost", "cost_spike", ("token_spike",)),
            ("disagreement", "unnoticed_failures", ("missing_traces",)),
            ("latency", "latency_increase", ()),
            ("reliability", "success_drop", ("error_spike", "log_error_spike", "unseen_errors")),
            ("score", "score_drop", ()),
            ("surge", "traffic_surge", ()),
            ("traffic", "silence", ("traffic_drop",)),
        ]


def test_an_incident_speaks_with_its_worst_finding_and_of_equals_with_success() -> None:
    rows = [
        finding_row(number=1, type="error_spike", severity="critical"),
        finding_row(number=2, severity="medium"),
        finding_row(number=3, severity="critical"),
        finding_row(number=4, severity="critical"),
    ]
    (found,) = incidents(rows, judged(range(5)))
    assert (found.severity, found.type) == (Severity.CRITICAL, "success_drop")
    assert found.details == "success_drop in window 3"
    assert found.example_traces == ("trace-3",)


def test_an_incident_begins_where_its_change_began_and_opens_where_it_was_noticed() -> None:
    rows = [finding_row(number=number, onset=start(1), opened=start(4)) for number in (4, 5)]
    (found,) = incidents(rows, judged(range(6)))
    assert (found.onset, found.opened_at, found.last_seen) == (start(1), start(4), start(5))


def test_an_incident_older_than_what_is_looked_at_is_known_by_when_it_opened() -> None:
    whole, late = rows_of("-oooooo"), rows_of("-oooooo")[4:]
    assert incidents(late, judged(range(5, 7)))[0].id == incidents(whole, judged(range(7)))[0].id


def test_a_data_gap_ends_at_the_next_window_that_was_read_and_the_next_one_is_another() -> None:
    gap: Row = {"agent": "source:spans", "type": "data_gap", "opened": None}
    rows = [finding_row(number=number, **gap) for number in (1, 2, 4)]
    read = judged(range(6), sources=range(6))
    assert [(one.opened_at, one.resolved_at) for one in incidents(rows, read)] == [
        (start(1), start(3)),
        (start(4), start(5)),
    ]
    unread = judged(range(6), sources=[1, 2, 4])
    assert [(one.opened_at, one.state) for one in incidents(rows, unread)] == [(start(1), OPEN)]


def test_a_source_is_judged_where_it_was_read_well_or_badly() -> None:
    looked_at = judged_windows([], [health("logs", 2, SourceStatus.UNAVAILABLE), health("logs", 1)])
    assert list(looked_at.of("source:logs")) == [pd.Timestamp(start(1)), pd.Timestamp(start(2))]
    assert list(looked_at.of("source:spans")) == []


def test_the_id_follows_from_agent_family_and_opening() -> None:
    (found,) = incidents(rows_of("--o"), judged([]))
    assert found.id == incident_id("InboundAgent", "reliability", start(2))
    ids = {incident_id(agent, family, start(n)) for agent in "AB" for family in ("latency", "data") for n in (1, 2)}
    assert len(ids) == 8


WINDOWS = 10
FOLLOWS = {"-": "-po", "p": "-po", "o": "oorx", "r": "orx", "x": "-po"}
"""What may follow a state, as in `rows_of`."""


@st.composite
def lives(draw: st.DrawFn) -> str:
    life = draw(st.sampled_from("-po"))
    while len(life) < WINDOWS:
        life += draw(st.sampled_from(FOLLOWS[life[-1]]))
    return life


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Row], list[int]]:
    """The findings of two agents, and the windows that were judged: there are no findings in others."""
    seen = sorted(draw(st.sets(st.integers(0, WINDOWS - 1), min_size=4)))
    rows: list[Row] = []
    for agent, kind in (("A", "success_drop"), ("A", "error_spike"), ("B", "latency_increase")):
        severity = str(draw(st.sampled_from(list(Severity))))
        rows += rows_of(draw(lives()), agent=agent, type=kind, severity=severity)
    return [row for row in rows if row["window_start"] in {start(window) for window in seen}], seen


@settings(max_examples=12, deadline=None)
@given(histories(), st.randoms())
def test_the_same_findings_in_any_order_are_the_same_incidents(
    history: tuple[list[Row], list[int]], random: Random
) -> None:
    rows, seen = history
    shuffled = list(rows)
    random.shuffle(shuffled)
    found = incidents(rows, judged(seen))
    assert incidents(shuffled, judged(seen)) == found
    assert reconciled(found, found) == found


@settings(max_examples=8, deadline=None)
@given(histories())
def test_incidents_followed_window_by_window_are_those_of_the_whole_replay(
    history: tuple[list[Row], list[int]],
) -> None:
    rows, seen = history
    ledger: dict[str, Incident] = {}
    for now in range(WINDOWS):
        until_now = [row for row in rows if row["window_start"] <= start(now)]
        looked_at = judged(window for window in seen if window <= now)
        computed = incidents(until_now, looked_at)
        ledger |= {one.id: one for one in reconciled(computed, list(ledger.values()), looked_at)}
    assert {one.id: one for one in incidents(rows, judged(seen))} == ledger


@settings(max_examples=12, deadline=None)
@given(st.lists(histories(), min_size=2, max_size=3))
def test_whatever_late_data_says_no_id_is_recorded_twice_and_no_severity_falls(
    versions: list[tuple[list[Row], list[int]]],
) -> None:
    ledger: dict[str, Incident] = {}
    for rows, seen in versions:
        found = reconciled(incidents(rows, judged(seen)), list(ledger.values()), judged(seen))
        assert len({one.id for one in found}) == len(found)
        for one in found:
            assert one.id not in ledger or one.severity.rank >= ledger[one.id].severity.rank
        ledger |= {one.id: one for one in found}


@pytest.mark.parametrize("opened", [1, 2, 3, 5, 7])
def test_late_data_that_moves_the_opening_keeps_the_identity(opened: int) -> None:
    known = recorded(3, 5)
    (found,) = reconciled([recorded(opened, 8)], [known])
    assert found.id == known.id
    assert (found.opened_at, found.onset) == (start(min(opened, 3)), start(min(opened, 3)))
    assert found.last_seen == start(8)


def test_an_incident_far_from_a_recorded_one_or_of_another_agent_or_family_is_new() -> None:
    known = recorded(1, 2, RESOLVED)
    (found,) = reconciled([recorded(8, 9)], [known])
    assert found.id != known.id
    for other in (replace(known, family="latency", id="other"), replace(known, agent="AuditAgent", id="other")):
        assert {one.id for one in reconciled([other], [known])} == {"other"}


def test_severity_only_rises_and_the_worst_finding_keeps_its_words() -> None:
    worst = recorded(1, 2, severity="critical")
    (eased,) = reconciled([replace(recorded(1, 3, severity="low"), details="eased")], [worst])
    assert (eased.severity, eased.details, eased.last_seen) == (Severity.CRITICAL, worst.details, start(3))
    (worse,) = reconciled([recorded(1, 3, severity="critical")], [recorded(1, 2, severity="low")])
    assert worse.severity is Severity.CRITICAL


def test_an_incident_that_late_data_withdraws_is_resolved() -> None:
    (found,) = reconciled([], [recorded(1, 2)], judged([]), span=(start(1), start(3)))
    assert found == replace(recorded(1, 2), state=RESOLVED, resolved_at=start(2))
    (found,) = reconciled([], [recorded(1, 2)], judged(range(6)))
    assert found == replace(recorded(1, 2), state=RESOLVED, resolved_at=start(3))


@pytest.mark.parametrize("span", [(start(2), start(9)), (start(-9), start(2))], ids=["later", "earlier"])
def test_what_was_not_recomputed_is_left_alone(span: tuple[datetime, datetime]) -> None:
    assert reconciled([], [recorded(1, 2)], judged([]), span) == []


def test_what_is_resolved_already_is_left_alone() -> None:
    assert reconciled([], [recorded(1, 2, RESOLVED)], judged(range(9))) == []


def test_a_split_keeps_the_recorded_incident_where_its_id_still_begins() -> None:
    moved = replace(recorded(2, 4), opened_at=start(0), onset=start(0))
    found = reconciled([recorded(0, 0, RESOLVED), recorded(2, 4)], [moved])
    assert [one.id for one in found] == [recorded(0, 0).id, recorded(2, 4).id]


def test_an_old_incident_ends_when_agents_are_judged_again_and_nothing_is_said_of_it() -> None:
    old, span = recorded(1, 2), (start(3), start(9))
    assert reconciled([], [old], judged([2]), span) == []
    assert reconciled([], [old], judged([], sources=[5]), span) == []
    assert reconciled([], [old], judged([5]), span) == [replace(old, state=RESOLVED, resolved_at=start(5))]
