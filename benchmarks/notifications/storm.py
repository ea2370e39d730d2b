"""Storms: many agents fail for one cause in one window, with the spans there and with Phoenix down."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.notifications.crash_test import CrashTest
from benchmarks.notifications.incidents import FLEET_FILE, failing, spans_outage
from benchmarks.notifications.sender import TARGET
from perf_pipeline.delivery import deliver
from perf_pipeline.fleet import load_fleet
from perf_pipeline.notifications.telling import tellings
from perf_pipeline.records import Incident
from perf_pipeline.situation import situation_now
from resources.reading import PhoenixError
from resources.slack import SlackResource
from tests.cycle_fixtures import Installation, installation

AGENTS = 200
TASKS = 12
WINDOWS = 4
SENSOR = "notifications"
DOWN = PhoenixError("Phoenix does not answer: check PHOENIX_ENDPOINT.", retryable=True)


@dataclass(frozen=True)
class Storm:
    """`seconds` from the incidents, or the end of their window, to the last message."""

    incidents: int
    messages: int
    seconds: float


def storm_in_the_ledger(test: CrashTest, *, outage: bool) -> Storm:
    """The incidents as the ledger has them, told by the sensor's rules and sent to the local Slack."""
    incidents = [failing(f"StormAgent{number:03d}", "RateLimitError") for number in range(AGENTS)]
    return _told(test, [spans_outage(), *incidents] if outage else incidents)


def _told(test: CrashTest, incidents: Sequence[Incident]) -> Storm:
    fleet = load_fleet(FLEET_FILE)
    job = test.job
    slack = SlackResource(token=job.token, channel=job.channel, base_url=job.base_url)
    began = time.perf_counter()
    test.book.record_incidents(incidents)
    for _ in range(3):
        now = datetime.now(UTC)
        for telling in tellings(situation_now(test.book, fleet, now), fleet, now, lambda _trace: None):
            test.book.tell(telling)
        deliver(test.book, {TARGET: slack}, lambda: datetime.now(UTC))
    seconds = time.perf_counter() - began
    return Storm(len(incidents), len(test.slack.standing(test.channel_id)), seconds)


def storm_through_the_cycle(folder: Path, *, outage: bool) -> Storm:
    """Spans of agents that work for some windows and fail in the last, through the whole monitoring job."""
    with installation(folder) as installed:
        windows = installed.closed_windows(WINDOWS)
        for number in range(AGENTS):
            for window in windows:
                installed.spans.add_tasks(
                    f"StormAgent{number:03d}", window, TASKS, failed=TASKS if window == windows[-1] else 0
                )
        assert installed.cycle(windows[0], windows[-2]).success
        installed.spans.failure = DOWN if outage else None
        began = time.perf_counter()
        assert installed.cycle(windows[-1]).success
        for _ in range(3):
            installed.tick(SENSOR)
        return Storm(_open_incidents(installed), len(installed.messages), time.perf_counter() - began)


def _open_incidents(installed: Installation) -> int:
    with installed.ledger() as book:
        return len(book.incidents(installed.closed_windows(WINDOWS)[0].start))
