"""Simulated incidents hold what they claim to, and are explained."""

from __future__ import annotations

import pytest

from perf_pipeline.monitoring.explanations import with_values
from perf_pipeline.monitoring.nearby_changes import of_agent
from perf_pipeline.simulated_incidents.kinds import KINDS
from perf_pipeline.simulated_incidents.labelled import LabelledIncident, labelled_incidents
from perf_pipeline.simulated_incidents.traffic import ONSET
from perf_pipeline.tables import AGENT_TASKS, CHANGE_EVENTS


@pytest.fixture(scope="module")
def incidents() -> list[LabelledIncident]:
    return labelled_incidents(range(len(KINDS)))


def test_every_kind_has_its_turn(incidents: list[LabelledIncident]) -> None:
    assert [one.kind for one in incidents] == list(KINDS)
    assert all(len(one.causes) == (2 if one.kind == "two_causes" else 1) for one in incidents)


def test_tasks_and_changes_fit_their_tables_and_reach_back_a_day(incidents: list[LabelledIncident]) -> None:
    for one in incidents:
        assert AGENT_TASKS.problems(one.tasks) == []
        assert CHANGE_EVENTS.problems(one.changes) == []
        assert set(one.tasks["agent"]) == {one.finding.agent}
        assert (one.tasks["start_time"] < ONSET).sum() > 50
        assert (one.tasks["start_time"] >= ONSET).sum() == one.finding.tasks


def test_tasks_fail_more_where_the_cause_is(incidents: list[LabelledIncident]) -> None:
    failing = [one for one in incidents if one.finding.type == "success_drop" and "error_type" not in one.causes[0]]
    assert len(failing) >= 8
    for one in failing:
        since = one.tasks[one.tasks["start_time"] >= ONSET]
        own = of_agent(one.finding.agent, one.changes)
        for cause in one.causes:
            hit = with_values(since, cause, own)
            assert (~since.loc[hit, "ok"]).mean() > (~one.tasks["ok"]).mean()


def test_the_same_seed_gives_the_same_incident(incidents: list[LabelledIncident]) -> None:
    (again,) = labelled_incidents([3])
    assert again.causes == incidents[3].causes
    assert again.tasks.reset_index(drop=True).equals(incidents[3].tasks.reset_index(drop=True))


def test_most_causes_are_found(incidents: list[LabelledIncident]) -> None:
    found = 0
    for one in incidents:
        cause = one.explained()
        assert cause.evidence is not None
        found += any(explained.values in one.causes for explained in cause.evidence.explanations[:1])
    assert found >= 10
