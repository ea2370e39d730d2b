"""Times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from perf_pipeline.notifications.team_clock import duration, moment, on_the_teams_clock

WINTER = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("timezone", "shown"),
    [
        ("UTC", "2026-03-02 01:30 UTC"),
        ("America/New_York", "2026-03-01 20:30 EST"),
        ("Asia/Kolkata", "2026-03-02 07:00 IST"),
        ("America/Sao_Paulo", "2026-03-01 22:30 UTC-03"),
    ],
)
def test_a_moment_names_its_zone(timezone: str, shown: str) -> None:
    assert moment(WINTER, timezone) == shown


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("fell since 01:30 UTC", "fell since 20:30 EST"),
        ("fell since 2026-03-02 01:30 UTC (5 tasks)", "fell since 2026-03-01 20:30 EST (5 tasks)"),
        ("the deployment of 23:50 UTC", "the deployment of 18:50 EST"),
        ("code 25:00 UTC, 101:30 UTC and 2026-02-30 10:00 UTC", "code 25:00 UTC, 101:30 UTC and 2026-02-30 10:00 UTC"),
    ],
)
def test_the_times_of_a_sentence_move_to_the_teams_clock(told: str, shown: str) -> None:
    assert on_the_teams_clock(told, WINTER, "America/New_York") == shown
    assert on_the_teams_clock(told, WINTER, "UTC") == told


def test_a_time_without_a_date_is_of_the_day_that_is_closest() -> None:
    # New York's clocks went forward on 8 March 2026 at 07:00 UTC.
    before, after = datetime(2026, 3, 8, 2, tzinfo=UTC), datetime(2026, 3, 8, 20, tzinfo=UTC)
    assert on_the_teams_clock("since 23:30 UTC", before, "America/New_York") == "since 18:30 EST"
    assert on_the_teams_clock("since 23:30 UTC", after, "America/New_York") == "since 19:30 EDT"


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [
        (0, "0 min"),
        (1, "1 min"),
        (60, "1 h"),
        (90, "1 h 30 min"),
        (47 * 60, "47 h"),
        (48 * 60, "2 days"),
        (-5, "0 min"),
    ],
)
def test_a_duration_is_told_to_the_minute(minutes: int, shown: str) -> None:
    assert duration(timedelta(minutes=minutes)) == shown
