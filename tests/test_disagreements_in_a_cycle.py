"""Disagreements of spans, agent_state and logs through a whole cycle: counted from what really lies in the lake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from perf_pipeline.monitoring.disagreements import COUNTS
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.tables import AGENT_METRICS, AGENT_TASKS
from resources.reading import PhoenixError
from tests.cycle_fixtures import Installation, installation

MINUTE = timedelta(minutes=1)
AGENT = "InboundAgent"


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path / "installation") as running:
        yield running


def append(file: Path, **content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lines:
        lines.write(json.dumps(content) + "\n")


def a_window_of_disagreements(installed: Installation, window: Window) -> None:
    """One task that all agree on, one that agent_state alone calls failed, one that no span belongs to; and two lines
    of error, one of them while a task was failing."""
    inbox, start = installed.folder / "inbox", window.start + MINUTE
    for number, (task_id, status) in enumerate(
        [("agreed", "completed"), ("hidden", "failed"), ("untraced", "completed")]
    ):
        began = start + number * MINUTE
        if task_id != "untraced":
            installed.spans.add_task(AGENT, began)
            installed.spans.rows[-1]["task_id"] = task_id
        times = {"created_at": began.isoformat(), "updated_at": (began + MINUTE / 2).isoformat()}
        append(inbox / "agent_state.jsonl", id=task_id, agent_name=AGENT, status=status, **times)
    failing = window.start + 10 * MINUTE
    installed.spans.add_task(AGENT, failing, ok=False)
    for at in (failing + timedelta(seconds=1), window.start + 20 * MINUTE):
        line = {"timestamp": at.isoformat(), "severity": "error", "message": "broken", "attributes": {"agent": AGENT}}
        append(inbox / "logs" / "fleet.jsonl", **line)


def counts(installed: Installation, window: Window) -> list[int | None]:
    table = installed.table(AGENT_METRICS, [window])
    own = table[table["agent"] == AGENT]
    return [None if own[name].isna().all() else int(own[name].sum()) for name in COUNTS]


def test_disagreements_are_counted_once_late_spans_have_had_their_time(installed: Installation) -> None:
    earlier, newest = installed.closed_windows(2)
    a_window_of_disagreements(installed, earlier)
    installed.spans.add_task(AGENT, newest.start)
    assert installed.cycle(earlier, newest).success
    assert counts(installed, earlier) == [1, 3, 1, 1]
    assert counts(installed, newest)[1:] == [None, None, None]
    (hidden,) = installed.table(AGENT_TASKS, [earlier]).query("task_id == 'hidden'").to_dict("records")
    assert (hidden["ok"], hidden["span_ok"]) == (False, True)


def test_where_spans_could_not_be_read_no_trace_is_missing(installed: Installation) -> None:
    earlier, _ = windows = installed.closed_windows(2)
    a_window_of_disagreements(installed, earlier)
    installed.spans.failure = PhoenixError("Phoenix does not answer: check PHOENIX_ENDPOINT.", retryable=True)
    assert installed.cycle(*windows).success
    assert counts(installed, earlier)[1:] == [None, None, None]


def test_where_agent_state_could_not_be_read_nothing_is_unnoticed_or_missing(installed: Installation) -> None:
    earlier, _ = windows = installed.closed_windows(2)
    a_window_of_disagreements(installed, earlier)
    state = installed.folder / "inbox" / "agent_state.jsonl"
    state.write_text("not JSON\n")
    assert installed.cycle(*windows).success
    assert counts(installed, earlier) == [None, None, None, 1]
