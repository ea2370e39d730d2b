"""A team's own metrics through whole cycles on real storage: computed, watched, told; and never in the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from perf_pipeline.assets.daily_summary import day_report
from perf_pipeline.fleet_metrics import MetricConfig
from perf_pipeline.jobs import MONITORING
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.notifications.daily_message import daily_summary_message
from perf_pipeline.notifications.plain_text import plain_text
from perf_pipeline.records import FeedbackKind, IncidentState, TaskFeedback
from perf_pipeline.tables import AGENT_METRICS, CUSTOM_METRICS, DETECTOR_STATES, TABLES
from tests.cycle_fixtures import Installation, agent_findings, checks, installation

RATING = MetricConfig(
    name="user_rating", annotation="user_feedback", unit="points", better="higher", objective=0.8, weight=100
)
LENGTH = MetricConfig(name="answer_length", sql="avg(completion_tokens)", unit="tokens", better="lower")
WRONG_SQL = MetricConfig(name="wrong_sql", sql="avg(no_such_column)", better="lower")
WRONG_FUNCTION = MetricConfig(name="wrong_function", function="tests.custom_metric_functions:raises", better="lower")


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path / "installation", metrics=(RATING, LENGTH, WRONG_SQL, WRONG_FUNCTION)) as running:
        yield running


def work(installed: Installation, windows: list[Window], rating: float, tasks: int = 4) -> None:
    """All tasks succeed, give answers of 100 tokens, and are rated."""
    for window in windows:
        before = len(installed.spans.rows)
        installed.spans.add_tasks("InboundAgent", window, tasks)
        for row in installed.spans.rows[before:]:
            row |= {"prompt_tokens": 10, "completion_tokens": 100}
            said: dict[str, Any] = {"name": "user_feedback", "kind": FeedbackKind.HUMAN, "at": window.end}
            said |= {"score": rating, "label": None, "explanation": "", "correction": None, "task_id": None}
            installed.spans.feedback.append(TaskFeedback(**said, span_id=row["span_id"]))


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    found = [
        event.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key and event.asset_key.to_user_string() == asset and event.materialization
    ]
    return {name: value.value for name, value in found[-1].metadata.items()}


def test_what_is_wrong_with_a_metric_is_shown_where_people_look_and_the_cycle_goes_on(installed: Installation) -> None:
    windows = installed.closed_windows(2)
    work(installed, windows, 0.9)

    result = installed.cycle(windows[0], windows[1])

    assert result.success
    found = dict(list(installed.table(CUSTOM_METRICS, windows).groupby("metric")))
    assert list(found["user_rating"]["value"]) == [0.9, 0.9]
    assert list(found["answer_length"]["value"]) == [100, 100]
    assert found["wrong_sql"]["value"].isna().all()
    assert found["wrong_function"]["error"].str.contains("It raised KeyError").all()

    told = checks(result)
    assert told["custom_metrics", "custom_metrics_computed"] is False
    assert told["custom_metrics", "schema"] is True
    shown = metadata(result, "custom_metrics")
    assert "| user_rating" in shown["newest window"]
    assert "no_such_column" in shown["not computed"]
    evaluations = {one.check_name: one for one in result.get_asset_check_evaluations() if not one.passed}
    assert evaluations["custom_metrics_computed"].severity is dg.AssetCheckSeverity.WARN

    now = datetime.now(UTC)
    with installed.ledger() as book:
        report, _ = day_report(f"{windows[-1].start:%Y-%m-%d}", installed.lake, book, installed.fleet, now)
    text = plain_text(daily_summary_message(report))
    assert "- Mend the metric wrong_sql in fleet.yaml" in text
    assert "- user_rating: 0.90 points, objective 0.80 met" in text
    assert installed.summarize(f"{windows[-1].start:%Y-%m-%d}").success


def test_a_metric_that_gets_worse_is_a_finding_an_incident_and_a_part_of_the_score(tmp_path: Path) -> None:
    with installation(tmp_path / "installation", metrics=(RATING, LENGTH)) as installed:
        windows = installed.closed_windows(30)
        work(installed, windows[:26], 0.9)
        work(installed, windows[26:], 0.3)
        # In two runs, as cycles do: the second takes up what the first has stored.
        assert installed.cycle(windows[0], windows[20]).success
        result = installed.cycle(windows[21], windows[-1])

        assert result.success
        assert checks(result)["custom_metrics", "custom_metrics_computed"] is True
        (finding,) = agent_findings(installed, windows[-1:]).query("type == 'user_rating'").to_dict("records")
        assert finding["state"] == "open"
        assert finding["details"].startswith("user_rating fell from 0.90 to 0.30 points since ")
        assert finding["baseline"] == pytest.approx(0.9, abs=0.02)
        with installed.ledger() as book:
            (incident,) = book.incidents(windows[0].start)
        assert (incident.family, incident.type, incident.state) == ("user_rating", "user_rating", IncidentState.OPEN)
        scores = installed.table(AGENT_METRICS, windows).query("agent == 'InboundAgent'")["score"]
        assert (scores.iloc[0], scores.iloc[-1]) == (pytest.approx(100), pytest.approx(50))
        states = installed.table(DETECTOR_STATES, windows[-1:])
        own = states[(states["finding"] == "user_rating") & (states["agent"] == "InboundAgent")].iloc[0]
        assert (own["value"], own["phase"]) == (pytest.approx(0.3), "open")
        assert "user_rating" in metadata(result, "detector_states")["newest window"]


def test_a_window_with_metrics_materialized_twice_changes_nothing(tmp_path: Path) -> None:
    with installation(tmp_path / "installation", metrics=(RATING, LENGTH)) as installed:
        windows = installed.closed_windows(3)
        work(installed, windows, 0.9)
        assert installed.cycle(windows[0], windows[-1]).success
        before = installed.stored(windows)
        assert installed.cycle(windows[0], windows[-1]).success
        after = installed.stored(windows)
        assert before.keys() == after.keys() == TABLES.keys()
        assert all(before[name].equals(after[name]) for name in before)
        assert len(before["custom_metrics"]) == 6


def test_values_that_are_computed_again_reach_the_detectors(tmp_path: Path) -> None:
    """Annotations come when people find the time: a window that is read again has those that came since."""
    with installation(tmp_path / "installation", metrics=(RATING,)) as installed:
        windows = installed.closed_windows(3)
        work(installed, windows, 0.9)
        assert installed.cycle(windows[0], windows[1]).success
        first = {row["span_id"] for row in installed.spans.rows[:4]}
        installed.spans.feedback[:] = [said for said in installed.spans.feedback if said.span_id not in first]
        job = installed.definitions.resolve_job_def(MONITORING)
        alone = [dg.AssetKey("custom_metrics")]
        again = job.execute_in_process(instance=installed.instance, partition_key=windows[0].key, asset_selection=alone)
        assert again.success
        assert installed.cycle(windows[2]).success
        states = installed.table(DETECTOR_STATES, windows[:1])
        own = states[(states["finding"] == "user_rating") & (states["agent"] == "InboundAgent")]
        assert own["value"].isna().all()
