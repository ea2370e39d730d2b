"""Late spans through the whole cycle: noticed by the next run, requested by the sensor, counted once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import SourceHealth, SourceStatus
from perf_pipeline.tables import AGENT_METRICS, AGENT_TASKS, RAW_SPANS
from resources.reading import PhoenixError
from resources.sources import Arrivals
from tests.cycle_fixtures import Installation, checks, installation

MINUTE = timedelta(minutes=1)


class InTenMinutes(datetime):
    """The clock of the sensor: late enough that the last attempts are long enough ago."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # noqa: ARG003 (datetime's signature)
        return datetime.now(UTC) + 10 * MINUTE


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    monkeypatch.setattr("perf_pipeline.sensors.missing_windows.datetime", InTenMinutes)
    with installation(tmp_path / "installation") as running:
        yield running


def span(agent: str, identity: str, window: Window, **changes: Any) -> dict[str, Any]:
    start = changes.pop("start", window.start + 5 * MINUTE)
    facts = {"trace_id": "a" * 32, "span_id": identity * 16, "agent": agent, "name": f"{agent}.forward"}
    times = {"start_time": start, "end_time": start + MINUTE, "latency_ms": 60_000.0}
    return dict.fromkeys(RAW_SPANS.columns) | facts | {"kind": "AGENT", "status": "OK"} | times | changes


def health(installed: Installation, windows: list[Window]) -> dict[Window, SourceHealth]:
    with installed.ledger() as book:
        found = book.health(windows[0].start, windows[-1].end)
    by_start = {reading.window_start: reading for reading in found if reading.source == "spans"}
    return {window: by_start[window.start] for window in windows if window.start in by_start}


def requested(installed: Installation, windows: list[Window]) -> list[Window]:
    """Which of the windows the sensor asks for."""
    requests = installed.tick("missing_windows").run_requests or []
    bounds = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    ranges = [[request.tags[bound] for bound in bounds] for request in requests]
    return [window for window in windows if any(first <= window.key <= last for first, last in ranges)]


def metrics(installed: Installation, agent: str, windows: list[Window]) -> pd.DataFrame:
    found = installed.table(AGENT_METRICS, windows)
    return found[found["agent"] == agent].set_index("window_start")


def test_a_task_that_was_open_when_its_window_closed_is_counted_there_when_it_ends(installed: Installation) -> None:
    windows = installed.closed_windows(5)
    began, *_, last = windows
    step = span("ResearchAgent", "b", windows[3], kind="LLM", parent_id="c" * 16, prompt_tokens=700)
    installed.spans.rows.append(step)
    assert installed.cycle(windows[0], windows[3]).success
    assert installed.table(AGENT_TASKS, windows).empty

    installed.spans.rows.append(span("ResearchAgent", "c", began, end_time=last.start, latency_ms=6.9e6))
    result = installed.cycle(last)
    assert result.success
    assert health(installed, windows)[began].status is SourceStatus.PARTIAL
    assert "1 span(s) of it reached" in health(installed, windows)[began].reason
    assert requested(installed, windows[:4]) == [began]

    assert installed.cycle(began).success
    assert health(installed, windows)[began].status is SourceStatus.COMPLETE
    assert requested(installed, windows[:4]) == []
    [task] = installed.table(AGENT_TASKS, windows).to_dict("records")
    assert (task["start_time"], task["prompt_tokens"], task["ok"]) == (began.start + 5 * MINUTE, 700, True)
    counted = metrics(installed, "ResearchAgent", windows)["tasks"]
    assert counted.sum() == counted[began.start] == 1


def test_a_late_step_of_an_earlier_task_has_that_task_summed_up_again(installed: Installation) -> None:
    windows = installed.closed_windows(5)
    began, later = windows[0], windows[2]
    installed.spans.rows.append(span("ResearchAgent", "c", began, end_time=later.end))
    assert installed.cycle(windows[0], windows[3]).success

    installed.spans.rows.append(span("ResearchAgent", "b", later, kind="LLM", parent_id="c" * 16, prompt_tokens=700))
    assert installed.cycle(windows[4]).success
    # The task is summed up again once its late step is stored, and not before.
    for owed in (later, began):
        assert requested(installed, windows[:4]) == [owed]
        assert installed.cycle(owed).success
    [task] = installed.table(AGENT_TASKS, windows).to_dict("records")
    assert (task["prompt_tokens"], task["spans"]) == (700, 2)
    assert requested(installed, windows[:4]) == []


def test_a_span_that_was_exported_twice_is_counted_once_and_reported(installed: Installation) -> None:
    [window] = installed.closed_windows(1)
    installed.spans.add_tasks("AuditAgent", window, 3)
    installed.spans.rows.append(dict(installed.spans.rows[-1]))
    result = installed.cycle(window)
    assert metrics(installed, "AuditAgent", [window])["tasks"].tolist() == [3]
    [event] = [
        e for e in result.get_asset_materialization_events() if e.asset_key and e.asset_key.path == ["raw_spans"]
    ]
    assert event.materialization.metadata["duplicates left out"].value == 1


def test_clocks_that_disagree_are_reported_and_cost_no_task(installed: Installation) -> None:
    [window] = installed.closed_windows(1)
    root = span("AuditAgent", "c", window, end_time=window.start, latency_ms=None)
    child = span("AuditAgent", "b", window, start=window.start + MINUTE, parent_id="c" * 16, kind="TOOL", tool="search")
    installed.spans.rows += [root, child]
    result = installed.cycle(window)
    assert result.success
    assert checks(result)["raw_spans", "clocks_agree"] is False
    row = metrics(installed, "AuditAgent", [window]).iloc[0]
    assert (row["tasks"], row["successes"], pd.isna(row["latency_p50_ms"])) == (1, 1, True)


def test_a_source_that_cannot_say_what_arrived_is_asked_again_by_the_next_run(installed: Installation) -> None:
    windows = installed.closed_windows(3)
    installed.spans.add_tasks("AuditAgent", windows[0], 3)
    assert installed.cycle(windows[0]).success
    installed.spans.add_task("AuditAgent", windows[0].start + 20 * MINUTE)
    whole, installed.spans.arrivals = installed.spans.arrivals, _down
    result = installed.cycle(windows[1])
    assert result.success
    assert checks(result)["raw_spans", "source_complete"] is False
    assert health(installed, windows)[windows[0]].status is SourceStatus.COMPLETE

    installed.spans.arrivals = whole
    assert installed.cycle(windows[2]).success
    assert health(installed, windows)[windows[0]].status is SourceStatus.PARTIAL


def _down(position: str | None, since: datetime, before: datetime) -> Arrivals:  # noqa: ARG001 (it is down)
    raise PhoenixError("Phoenix is down.", retryable=True)
