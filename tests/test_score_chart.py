"""The picture of the daily summary: it can be drawn of anything, stays small, and shows what it should."""

from __future__ import annotations

import io
import math
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from perf_pipeline.assets.score_chart import INCIDENT, MAX_PANELS, agents_to_draw, score_chart
from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.monitoring.daily import day_of_key
from perf_pipeline.notifications.daily_message import DayReport
from perf_pipeline.notifications.plain_text import plain_text
from perf_pipeline.tables import AGENT_METRICS
from tests.builders import LENGTH
from tests.cycle_fixtures import installation
from tests.incident_builders import incident
from tests.summary_builders import bad_day, day_report, empty_day, large_fleet, metrics, resolved

MAX_BYTES = 60_000


def drawn(report: DayReport, figures: pd.DataFrame | None = None) -> Image.Image:
    known = metrics({"InboundAgent": 90.0}) if figures is None else figures
    png = score_chart(known, report.summary, report.incidents, report.day, report.timezone, LENGTH, report.written_at)
    assert png is not None
    assert len(png) < MAX_BYTES
    image = Image.open(io.BytesIO(png))
    assert (image.format, image.width) == ("PNG", 800)
    return image.convert("RGB")


def share_of_incidents(image: Image.Image) -> float:
    """How much of the picture has about the colour of incidents."""
    pixels = image.getcolors(1 << 20) or []
    full = tuple(int(INCIDENT[at : at + 2], 16) for at in (1, 3, 5))
    shade = [255 - 0.45 * (255 - part) for part in full]
    near = sum(count for count, colour in pixels if isinstance(colour, tuple) and math.dist(colour, shade) < 12)
    return near / (image.width * image.height)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("agents", [1, 2, 7, 12])
def test_every_agent_has_its_panel(agents: int) -> None:
    figures = metrics({f"Agent{number}": 90.0 for number in range(agents)})
    assert drawn(day_report(figures), figures).height > 150 * math.ceil(agents / 2)


def test_of_many_agents_the_worst_are_drawn() -> None:
    report, figures = large_fleet()
    chosen = agents_to_draw(report.summary)
    assert len(chosen) == MAX_PANELS
    left_out = report.summary[~report.summary["agent"].isin(chosen)]
    assert report.summary[report.summary["agent"].isin(chosen)]["score"].max() <= left_out["score"].min()
    drawn(report, figures)


def test_agents_without_tasks_are_not_drawn() -> None:
    report, _ = bad_day()
    assert "Introspection" not in agents_to_draw(report.summary)


def test_a_day_without_data_has_no_picture() -> None:
    report = empty_day()
    made = score_chart(AGENT_METRICS.empty(), report.summary, (), report.day, "UTC", LENGTH, report.written_at)
    assert made is None


def test_an_incident_is_shaded_for_as_long_as_it_took() -> None:
    quiet, short, long = (
        share_of_incidents(drawn(day_report(incidents=incidents)))
        for incidents in ((), (resolved(10, 14),), (resolved(10, 22),))
    )
    assert quiet == 0
    assert long > 2 * short > 0


def test_an_incident_of_another_agent_is_not_shaded() -> None:
    assert share_of_incidents(drawn(day_report(incidents=(incident(agent="AuditAgent"),)))) == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["$x_1$ $", "x" * 500, "\u202egent\n\n<!here>", "代理", "", "a_b^c \\frac{"])
def test_any_name_can_be_drawn(name: str) -> None:
    figures = metrics({"A": 90.0}).assign(agent=name)
    drawn(day_report(figures), figures)


@pytest.mark.parametrize("key", ["2026-03-29", "2026-10-25", "2026-03-02"])
@pytest.mark.parametrize("timezone", ["Europe/Berlin", "America/Santiago", "Asia/Kathmandu"])
def test_a_day_of_any_length_can_be_drawn(key: str, timezone: str) -> None:
    day = day_of_key(key, timezone)
    figures = metrics({"A": 90.0}, day)
    drawn(day_report(figures, day=day, timezone=timezone, written_at=day.end + timedelta(hours=9)), figures)


def test_the_daily_summary_goes_into_the_outbox_with_its_picture(tmp_path: Path) -> None:
    with installation(tmp_path / "installation") as installed:
        [window] = installed.closed_windows(1)
        installed.spans.add_tasks("InboundAgent", window, 12, failed=3)
        assert installed.cycle(window).success
        assert installed.summarize(f"{window.start:%Y-%m-%d}").success
        with installed.ledger() as book:
            keys = [note.key for note in book.notifications() if note.kind is NotificationKind.DAILY_SUMMARY]
            [summary] = book.notifications_by_key(keys).values()
    assert summary.picture is not None
    assert Image.open(io.BytesIO(summary.picture)).format == "PNG"
    assert (summary.message.picture_text or "").startswith("Score of each agent through ")
    assert "- InboundAgent: " in plain_text(summary.message)
