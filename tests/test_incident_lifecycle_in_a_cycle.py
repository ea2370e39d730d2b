"""The life of an incident through whole cycles: it opens, ends, comes back, and follows what late data says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import Incident, IncidentState
from perf_pipeline.tables import ANOMALIES, DETECTOR_STATES
from tests.builders import shipped_fleet
from tests.cycle_fixtures import Installation, installation

OPEN, RESOLVED = IncidentState.OPEN, IncidentState.RESOLVED


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installation]:
    policy = shipped_fleet().detection.model_copy(update={"reopen_within_hours": 24})
    # Long enough for the story that these tests tell to be news.
    with installation(tmp_path / "installation", detection=policy, act_within_hours=4) as running:
        yield running


def work(installed: Installation, windows: list[Window], failed: int = 0) -> None:
    for window in windows:
        installed.spans.add_tasks("InboundAgent", window, 12, failed=failed)


def reliability(installed: Installation, windows: list[Window]) -> list[Incident]:
    with installed.ledger() as book:
        return [one for one in book.incidents(windows[0].start) if one.family == "reliability"]


@pytest.mark.parametrize("windows_ago", [0, 20], ids=["while it is news", "when its first part was history"])
def test_an_incident_ends_comes_back_as_the_same_one_and_is_alerted_once(
    installed: Installation, windows_ago: int
) -> None:
    windows = installed.closed_windows(6 + windows_ago)
    windows = [*windows[:5], windows[-1]]
    work(installed, [windows[0], *windows[2:5]])
    work(installed, [windows[1], windows[5]], failed=12)
    seen = []
    for first, last in ((0, 1), (2, 4), (5, 5)):
        assert installed.cycle(windows[first], windows[last]).success
        installed.tick("notifications")
        (incident,) = reliability(installed, windows)
        seen.append((incident.id, incident.state, incident.opened_at, incident.reopened))
    identity, opened = seen[0][0], windows[1].start
    assert seen == [
        (identity, OPEN, opened, 0),
        (identity, RESOLVED, opened, 0),
        (identity, OPEN, opened, 1),
    ]
    titles = [message["title"] for message in installed.messages]
    alert = "🚨 PERFORMANCE ALERT"
    # What was over before it was known is not told; when it comes back, it is news.
    assert titles == ([alert] if windows_ago else [alert, "✅ RECOVERED", "It is back"])


def test_late_tasks_withdraw_a_finding_in_the_windows_after_their_own_too(installed: Installation) -> None:
    windows = installed.closed_windows(6)
    work(installed, windows[:3])
    work(installed, windows[3:4], failed=12)
    assert installed.cycle(windows[0], windows[4]).success
    found = installed.table(ANOMALIES, windows)
    assert set(found[found["type"] == "success_drop"]["window_start"]) == {windows[3].start, windows[4].start}

    # Nine in ten of the window's tasks had not been exported yet, and all of these succeeded.
    for number in range(108):
        installed.spans.add_task("InboundAgent", windows[3].start.replace(microsecond=number + 1))
    assert installed.cycle(windows[3]).success
    assert installed.cycle(windows[5]).success
    assert "success_drop" not in set(installed.table(ANOMALIES, windows)["type"])
    (incident,) = reliability(installed, windows)
    assert incident.state is RESOLVED
    written = installed.lake.written(DETECTOR_STATES, windows[0].start, windows[-1].end)
    assert sorted(written, key=lambda start: written[start]) == [window.start for window in windows]


def test_a_backfill_of_old_windows_leaves_todays_incident_alone(installed: Installation) -> None:
    windows = installed.closed_windows(400)
    work(installed, windows[-4:-1])
    work(installed, windows[-1:], failed=12)
    assert installed.cycle(windows[-4], windows[-1]).success
    (before,) = reliability(installed, windows)
    work(installed, windows[:2])
    assert installed.cycle(windows[0], windows[1]).success
    assert reliability(installed, windows) == [before]
    assert before == replace(before, state=OPEN)


def test_windows_run_one_by_one_or_at_once_or_again_give_the_same_incidents(tmp_path: Path) -> None:
    with installation(tmp_path / "once") as once, installation(tmp_path / "each") as each:
        windows = once.closed_windows(6)
        for installed in (once, each):
            work(installed, [windows[0], *windows[2:5]])
            work(installed, [windows[1], windows[5]], failed=12)
        assert once.cycle(windows[0], windows[-1]).success
        for number, window in enumerate(windows):
            assert each.cycle(windows[max(number - 1, 0)], window).success
        assert reliability(once, windows) == reliability(each, windows) != []
        assert once.cycle(windows[1], windows[4]).success
        assert once.cycle(windows[-1]).success
        assert reliability(once, windows) == reliability(each, windows)
