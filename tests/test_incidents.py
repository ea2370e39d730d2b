"""Findings of neighbouring windows are one incident, known by one id for good."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.incidents import (
    FAMILIES,
    incident_id,
    incidents_from_findings,
    reconcile,
)
from perf_pipeline.records import Incident, IncidentState
from perf_pipeline.tables import TIME
from tests.builders import START, Row, anomalies, finding_row, window

OPEN, RESOLVED = IncidentState.OPEN, IncidentState.RESOLVED


def start(number: int) -> datetime:
    return window(number).start


def judged(numbers: list[int] | range, *agents: str) -> pd.DataFrame:
    """The windows in which agents (InboundAgent unless others are named) were looked at."""
    rows = [
        {"agent": agent, "window_start": pd.Timestamp(start(number))}
        for number in numbers
        for agent in agents or ("InboundAgent",)
    ]
    return pd.DataFrame(rows, columns=["agent", "window_start"]).astype({"window_start": TIME})


def incidents(rows: list[Row], looked_at: pd.DataFrame) -> list[Incident]:
    return incidents_from_findings(anomalies(*rows), looked_at)


def recorded(onset: int, last_seen: int, state: IncidentState = OPEN, severity: str = "high") -> Incident:
    """An incident as an earlier run would have recorded it."""
    rows = [finding_row(number=number, severity=severity) for number in range(onset, last_seen + 1)]
    return replace(incidents(rows, judged([]))[0], state=state)


def stretches_of(found: list[Incident]) -> list[tuple[datetime, datetime, IncidentState]]:
    return [(one.onset, one.last_seen, one.state) for one in found]


@pytest.mark.parametrize(
    ("findings", "looked_at", "expected"),
    [
        ([3], range(6), [(3, 3, RESOLVED)]),
        ([3, 4, 5], range(6), [(3, 5, OPEN)]),
        ([1, 3], range(5), [(1, 1, RESOLVED), (3, 3, RESOLVED)]),
        ([1, 3], [0, 1, 3], [(1, 3, OPEN)]),
        ([1], [0, 1], [(1, 1, OPEN)]),
        ([1], [], [(1, 1, OPEN)]),
        ([], range(5), []),
    ],
    ids=[
        "a good window ends it",
        "it lasts as long as findings follow each other",
        "after a good window it is another one",
        "a window that was not judged neither ends nor divides it",
        "it is open until a good window",
        "it needs no judged window to begin",
        "no findings",
    ],
)
def test_an_incident_lasts_until_a_judged_window_without_a_finding(
    findings: list[int], looked_at: list[int] | range, expected: list[tuple[int, int, IncidentState]]
) -> None:
    found = incidents([finding_row(number=number) for number in findings], judged(looked_at))
    assert stretches_of(found) == [(start(first), start(last), state) for first, last, state in expected]


def test_a_good_window_of_another_agent_ends_nothing() -> None:
    found = incidents([finding_row(number=1)], judged([0, 1, 2], "AuditAgent"))
    assert [one.state for one in found] == [OPEN]


def test_findings_of_one_family_are_one_incident_and_those_of_another_their_own() -> None:
    rows = [finding_row(type=kind, number=number) for number in (1, 2) for kind in FAMILIES if kind != "data_gap"]
    for order in (rows, rows[::-1]):
        assert [(one.family, one.type, one.also) for one in incidents(order, judged(range(3)))] == [
            ("latency", "latency_increase", ()),
            ("reliability", "success_drop", ("error_spike",)),
        ]


def test_an_incident_speaks_with_its_worst_finding_and_of_equals_the_first() -> None:
    rows = [
        finding_row(number=1, severity="medium"),
        finding_row(number=2, severity="critical"),
        finding_row(number=3, severity="critical"),
        finding_row(number=4, severity="low"),
    ]
    (found,) = incidents(rows, judged(range(5)))
    assert found.severity is Severity.CRITICAL
    assert found.details == "success_drop in window 2"
    assert found.example_traces == ("trace-2",)


def test_the_id_follows_from_agent_family_and_onset() -> None:
    (found,) = incidents([finding_row(number=2)], judged([]))
    assert found.id == incident_id("InboundAgent", "reliability", start(2))
    ids = {incident_id(agent, family, start(n)) for agent in "AB" for family in ("latency", "data") for n in (1, 2)}
    assert len(ids) == 8


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Row], set[tuple[str, int]]]:
    """Findings of two agents in ten windows in any order, and the windows that they were judged in."""
    keys = st.tuples(st.sampled_from(["A", "B"]), st.integers(0, 9), st.sampled_from(list(FAMILIES)))
    found = draw(st.dictionaries(keys, st.sampled_from([str(severity) for severity in Severity]), max_size=14))
    rows = [finding_row(agent, number, kind, severity) for (agent, number, kind), severity in found.items()]
    seen = draw(st.sets(st.tuples(st.sampled_from(["A", "B"]), st.integers(0, 9))))
    return rows, seen


def looked_at(seen: set[tuple[str, int]], until: int = 9) -> pd.DataFrame:
    return pd.concat([judged([number], agent) for agent, number in seen if number <= until] or [judged([])])


NOBODY = judged([])


@settings(max_examples=25, deadline=None)
@given(histories(), st.randoms())
def test_the_same_findings_in_any_order_are_the_same_incidents(history: tuple[list[Row], set], random: object) -> None:
    rows, seen = history
    shuffled = list(rows)
    random.shuffle(shuffled)  # pyright: ignore[reportAttributeAccessIssue]
    found = incidents(rows, looked_at(seen))
    assert incidents(shuffled, looked_at(seen)) == found
    assert reconcile(found, found, NOBODY, START) == found


@settings(max_examples=10, deadline=None)
@given(histories())
def test_incidents_followed_window_by_window_are_those_of_the_whole_replay(history: tuple[list[Row], set]) -> None:
    rows, seen = history
    ledger: dict[str, Incident] = {}
    for now in range(10):
        until_now = [row for row in rows if row["window_start"] <= start(now)]
        computed = incidents(until_now, looked_at(seen, now))
        ledger |= {one.id: one for one in reconcile(computed, list(ledger.values()), NOBODY, START)}
    assert {one.id: one for one in incidents(rows, looked_at(seen))} == ledger


@settings(max_examples=25, deadline=None)
@given(st.lists(histories(), min_size=2, max_size=3))
def test_whatever_late_data_says_no_id_is_recorded_twice_and_no_severity_falls(
    versions: list[tuple[list[Row], set]],
) -> None:
    ledger: dict[str, Incident] = {}
    for rows, seen in versions:
        found = reconcile(incidents(rows, looked_at(seen)), list(ledger.values()), NOBODY, START)
        assert len({one.id for one in found}) == len(found)
        for one in found:
            assert one.id not in ledger or one.severity.rank >= ledger[one.id].severity.rank
        ledger |= {one.id: one for one in found}


@pytest.mark.parametrize("onset", [1, 2, 3, 5])
def test_late_data_that_moves_the_onset_keeps_the_identity(onset: int) -> None:
    known = recorded(3, 5)
    (found,) = reconcile([recorded(onset, 6)], [known], NOBODY, START)
    assert found.id == known.id
    assert found.onset == start(min(onset, 3))
    assert found.last_seen == start(6)


def test_an_incident_beside_a_recorded_one_is_new() -> None:
    known = recorded(1, 2, RESOLVED)
    (found,) = reconcile([recorded(4, 5)], [known], NOBODY, START)
    assert found.id != known.id
    latency = replace(recorded(1, 2), family="latency", id="other")
    assert {one.id for one in reconcile([latency], [known], NOBODY, START)} == {"other"}
    other_agent = replace(recorded(1, 2), agent="AuditAgent", id="other")
    assert {one.id for one in reconcile([other_agent], [known], NOBODY, START)} == {"other"}


def test_severity_only_rises() -> None:
    (eased,) = reconcile([recorded(1, 3, severity="low")], [recorded(1, 2, severity="critical")], NOBODY, START)
    assert eased.severity is Severity.CRITICAL
    (worse,) = reconcile([recorded(1, 3, severity="critical")], [recorded(1, 2, severity="low")], NOBODY, START)
    assert worse.severity is Severity.CRITICAL


def test_an_incident_that_late_data_withdraws_is_resolved() -> None:
    (found,) = reconcile([], [recorded(1, 2)], NOBODY, start(1))
    assert found == recorded(1, 2, RESOLVED)


def test_what_was_not_recomputed_or_is_resolved_already_is_left_alone() -> None:
    assert reconcile([], [recorded(1, 2)], NOBODY, start(2)) == []
    assert reconcile([], [recorded(1, 2, RESOLVED)], NOBODY, START) == []


def test_a_split_keeps_the_recorded_incident_where_its_id_still_begins() -> None:
    moved = replace(recorded(2, 4), onset=start(0))
    found = reconcile([recorded(0, 0, RESOLVED), recorded(2, 4)], [moved], NOBODY, START)
    assert [one.id for one in found] == [recorded(0, 0).id, recorded(2, 4).id]


def test_an_old_incident_ends_when_its_agent_is_looked_at_again_without_a_finding() -> None:
    old = recorded(1, 2)
    assert reconcile([], [old], judged([2]), start(3)) == []
    assert reconcile([], [old], judged([5], "AuditAgent"), start(3)) == []
    assert reconcile([], [old], judged([5]), start(3)) == [replace(old, state=RESOLVED)]
