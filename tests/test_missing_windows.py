"""missing_windows: gaps are requested, oldest first, and nothing that is being worked on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from perf_pipeline.jobs import MONITORING, range_tags
from perf_pipeline.monitoring.windows import Window, windows_between
from perf_pipeline.records import SourceHealth, SourceStatus
from perf_pipeline.tables import OPTIMIZATION_DECISIONS
from tests.cycle_fixtures import Installation, installation

CATCH_UP_HOURS = 5


class LaterToday(datetime):
    """The clock of the sensor, two hours ahead, so that runs that end now have ended a while ago there."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # noqa: ARG003 (datetime's signature)
        return MOMENT


MOMENT = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=2, minutes=20)
EXPECTED = windows_between(
    MOMENT - timedelta(hours=CATCH_UP_HOURS), MOMENT - timedelta(minutes=5), timedelta(minutes=30)
)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    monkeypatch.setattr("perf_pipeline.sensors.missing_windows.datetime", LaterToday)
    with installation(tmp_path / "installation", catch_up_hours=CATCH_UP_HOURS) as running:
        yield running


def requested(installed: Installation) -> list[tuple[str | None, str, str]]:
    return [
        (
            request.run_key,
            request.tags["dagster/asset_partition_range_start"],
            request.tags["dagster/asset_partition_range_end"],
        )
        for request in installed.tick("missing_windows").run_requests or []
    ]


def request_for(stretch: Sequence[Window], attempt: int = 1) -> tuple[str, str, str]:
    first, last = stretch[0].key, stretch[-1].key
    return f"catch-up-{first}-{last}-attempt-{attempt}", first, last


def fill(installed: Installation, windows: Sequence[Window], status: SourceStatus = SourceStatus.COMPLETE) -> None:
    for window in windows:
        installed.lake.write(OPTIMIZATION_DECISIONS, window.start, OPTIMIZATION_DECISIONS.empty())
        os.utime(
            str(installed.lake.path(OPTIMIZATION_DECISIONS, window.start)), (MOMENT.timestamp(), MOMENT.timestamp())
        )
    with installed.ledger() as book:
        book.record_health([SourceHealth("spans", window.start, status, "", 0, 0, MOMENT) for window in windows])


def a_run(installed: Installation, windows: Sequence[Window], tags: dict[str, str] | None = None) -> dg.DagsterRun:
    job = installed.definitions.resolve_job_def(MONITORING)
    wanted = tags or range_tags(windows[0].key, windows[-1].key)
    return installed.instance.create_run_for_job(job, tags=wanted, status=dg.DagsterRunStatus.STARTED)


def test_an_installation_that_was_off_catches_up_in_one_run(installed: Installation) -> None:
    assert len(EXPECTED) == 9
    assert requested(installed) == [request_for(EXPECTED)]


def test_gaps_are_requested_as_stretches_oldest_first(installed: Installation) -> None:
    fill(installed, [*EXPECTED[:2], *EXPECTED[4:7]])
    assert requested(installed) == [request_for(EXPECTED[2:4]), request_for(EXPECTED[7:])]


def test_nothing_is_requested_when_all_windows_are_filled(installed: Installation) -> None:
    fill(installed, EXPECTED)
    assert requested(installed) == []
    assert installed.tick("missing_windows").skip_message == "All 9 windows of the last 5 h are done or tried."


def test_a_window_whose_spans_could_not_be_read_is_requested_again(installed: Installation) -> None:
    fill(installed, EXPECTED)
    fill(installed, EXPECTED[3:4], SourceStatus.UNAVAILABLE)
    assert requested(installed) == [request_for(EXPECTED[3:4])]


def test_a_cycle_that_ended_before_its_decisions_is_requested_again(installed: Installation) -> None:
    fill(installed, EXPECTED)
    installed.lake.path(OPTIMIZATION_DECISIONS, EXPECTED[3].start).unlink()
    assert requested(installed) == [request_for(EXPECTED[3:4])]


def test_what_a_run_is_working_on_is_left_to_it(installed: Installation) -> None:
    run = a_run(installed, EXPECTED)
    assert requested(installed) == []
    installed.instance.report_run_failed(run)
    assert requested(installed) == [request_for(EXPECTED, attempt=2)]


def test_a_run_of_one_window_counts_for_that_window(installed: Installation) -> None:
    a_run(installed, [], tags={"dagster/partition": EXPECTED[0].key})
    assert requested(installed) == [request_for(EXPECTED[1:])]


def test_every_attempt_has_a_run_key_of_its_own(installed: Installation) -> None:
    keys = []
    for _ in range(3):
        [(key, _, _)] = requested(installed)
        keys.append(key)
        installed.instance.report_run_failed(a_run(installed, EXPECTED))
    assert keys == [request_for(EXPECTED, attempt)[0] for attempt in (1, 2, 3)]


def test_the_runs_of_other_jobs_are_not_attempts(installed: Installation) -> None:
    job = installed.definitions.resolve_job_def("summary")
    installed.instance.create_run_for_job(
        job, tags={"dagster/partition": f"{MOMENT:%Y-%m-%d}"}, status=dg.DagsterRunStatus.STARTED
    )
    assert requested(installed) == [request_for(EXPECTED)]


def test_windows_before_the_beginning_of_history_are_not_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perf_pipeline.sensors.missing_windows.datetime", LaterToday)
    tomorrow = (MOMENT + timedelta(days=1)).date()
    with installation(tmp_path / "new", catch_up_hours=CATCH_UP_HOURS, history_start=tomorrow) as new:
        assert requested(new) == []
        assert new.tick("missing_windows").skip_message == "No window has closed yet."
