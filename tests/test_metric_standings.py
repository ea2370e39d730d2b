"""What a summary tells of a team's own metrics: a line each, if they have an objective or moved, and what to mend."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from perf_pipeline.fleet_metrics import MetricConfig
from perf_pipeline.monitoring.metric_standings import UncomputedMetric, standings, uncomputed
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.notifications.attention import Attention
from perf_pipeline.notifications.daily_message import daily_summary_message
from perf_pipeline.notifications.metric_lines import metric_sections
from perf_pipeline.notifications.plain_text import plain_text
from perf_pipeline.notifications.weekly_message import weekly_summary_message
from perf_pipeline.tables import CUSTOM_METRICS
from tests.builders import START, Row, frame
from tests.summary_builders import day_report, eventful_week

DAY = Window(START, START + timedelta(days=1))
BEFORE = Window(START - timedelta(days=1), START)
RATING = MetricConfig(name="rating", annotation="user_feedback", unit="points", better="higher", objective=0.8)
TOKENS = MetricConfig(name="answer_length", sql="avg(completion_tokens)", unit="tokens", better="lower")
ESCALATED = MetricConfig(name="escalated", sql="avg(llm_calls)", unit="%", better="lower", objective=5)


def value(
    metric: MetricConfig, number: float | None, agent: str = "InboundAgent", hours: float = 1, **columns: Any
) -> Row:
    return {
        "window_start": START + timedelta(hours=hours),
        "agent": agent,
        "metric": metric.name,
        "value": number,
        "unit": metric.unit,
        "tasks": 10,
        "definition": metric.definition,
        "error": None,
    } | columns


def values(*rows: Row) -> pd.DataFrame:
    return frame(CUSTOM_METRICS, rows)


def lines(*rows: Row, metrics: tuple[MetricConfig, ...] = (RATING, TOKENS, ESCALATED)) -> list[str]:
    report = day_report(metrics=standings(values(*rows), DAY, BEFORE, metrics))
    return [line for line in plain_text(daily_summary_message(report)).split("\n") if line.startswith("- ")]


def told_of(name: str, *rows: Row) -> list[str]:
    return [line for line in lines(*rows) if line.startswith(f"- {name}:")]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([value(RATING, 0.9)], ["- rating: 0.90 points, objective 0.80 met"]),
        ([value(RATING, 0.5)], ["- rating: 0.50 points, objective 0.80 missed"]),
        (
            [value(RATING, 0.9), value(RATING, 0.5, "AuditAgent", tasks=30)],
            ["- rating: 0.60 points, objective 0.80 missed, worst AuditAgent at 0.50"],
        ),
        (
            [value(RATING, 0.5), value(RATING, 0.9, hours=-5)],
            ["- rating: 0.50 points, objective 0.80 missed, the day before 0.90"],
        ),
        ([value(RATING, None)], []),
        ([value(RATING, 0.7, hours=-5)], []),
        ([value(RATING, 0.7, definition="another")], []),
    ],
    ids=["met", "missed", "worst", "moved", "no value", "the day before only", "another definition"],
)
def test_a_metric_with_an_objective_has_a_line(rows: list[Row], told: list[str]) -> None:
    assert told_of("rating", *rows) == told


@pytest.mark.parametrize(
    ("now", "before", "told"),
    [
        (400, 390, []),
        (800, 400, ["- answer_length: 800 tokens, the day before 400"]),
        (400, 800, ["- answer_length: 400 tokens, the day before 800"]),
        (400, None, []),
    ],
)
def test_a_metric_without_an_objective_has_a_line_if_it_moved(
    now: float, before: float | None, told: list[str]
) -> None:
    assert told_of("answer_length", value(TOKENS, now), value(TOKENS, before, hours=-3)) == told


def test_a_percent_sign_stands_with_every_number() -> None:
    rows = (value(ESCALATED, 22), value(ESCALATED, 3, hours=-3))
    assert told_of("escalated", *rows) == ["- escalated: 22%, objective 5.0% missed, the day before 3.0%"]


def test_what_is_missed_comes_first_and_more_than_a_few_are_counted() -> None:
    known = tuple(RATING.model_copy(update={"name": f"metric_{number}"}) for number in range(9))
    rows = [value(one, 0.9 if number < 7 else 0.1) for number, one in enumerate(known)]
    (_, section) = metric_sections(standings(values(*rows), DAY, BEFORE, known), "the day before")
    found = plain_text(daily_summary_message(day_report(metrics=standings(values(*rows), DAY, BEFORE, known))))
    assert section is not None
    start = found.index("Custom Metrics:")
    listed = [line for line in found[start:].split("\n\n")[0].split("\n")[1:] if line]
    assert [line.split(":")[0] for line in listed[:2]] == ["- metric_7", "- metric_8"]
    assert listed[-1] == "- … and 4 more metrics"


def test_a_fleet_without_metrics_has_no_such_section() -> None:
    assert "Custom Metrics" not in plain_text(daily_summary_message(day_report()))
    assert "Custom Metrics" not in plain_text(weekly_summary_message(eventful_week()))


def test_a_week_is_compared_with_the_week_before() -> None:
    told = standings(values(value(RATING, 0.5), value(RATING, 0.9, hours=-5)), DAY, BEFORE, [RATING])
    text = plain_text(weekly_summary_message(replace(eventful_week(), metrics=told)))
    assert "rating: 0.50 points, objective 0.80 missed, the week before 0.90" in text


def test_a_metric_that_goes_wrong_waits_for_a_human_until_it_is_mended() -> None:
    wrong = [value(RATING, None, hours=hour, error="It raised KeyError: 'retries'.") for hour in (1, 2)]
    told = uncomputed(values(*wrong, value(TOKENS, 3)), DAY, [RATING, TOKENS])
    assert told == (UncomputedMetric("rating", 2, "It raised KeyError: 'retries'."),)
    text = plain_text(daily_summary_message(day_report(attention=Attention(uncomputed=told))))
    assert "- Mend the metric rating in fleet.yaml (2 windows): It raised KeyError: 'retries'." in text
    assert uncomputed(values(*wrong, value(RATING, 0.5, hours=3)), DAY, [RATING]) == ()
    assert uncomputed(values(*wrong), BEFORE, [RATING]) == ()
    assert uncomputed(values(*wrong), DAY, [TOKENS]) == ()
