"""The picture of the daily summary: each agent's score through the day, with its incidents."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pandas as pd

from perf_pipeline.monitoring.daily import worst_first
from perf_pipeline.monitoring.incident_times import time_of
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.notifications.safe_text import one_line, shorten
from perf_pipeline.records import Incident

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PANELS = 12
DOTS_PER_INCH, WIDTH, PANEL_HEIGHT, MARGIN = 100, 8.0, 1.55, 0.75
"""In inches: 800 dots is what Slack shows a picture at."""

LARGE, SMALL = 16, 13
"""Points. A phone shows the picture at less than half its width."""

SCORE, INCIDENT, GRID, INK = "#0072b2", "#e69f00", "#d0d5da", "#1f2933"
"""Blue and orange of Okabe and Ito: told apart with any kind of colour blindness, and by lightness alone."""

COLOURS = 32
MAX_TITLE = 24


def agents_to_draw(summary: pd.DataFrame) -> list[str]:
    """The agents with a score, in the order of `tables.DAILY_SUMMARY`; of more than MAX_PANELS the worst."""
    scored = summary[summary["score"].notna()]
    return list((scored if len(scored) <= MAX_PANELS else worst_first(scored)[:MAX_PANELS])["agent"])


def score_chart(
    metrics: pd.DataFrame,
    summary: pd.DataFrame,
    incidents: Sequence[Incident],
    day: Window,
    timezone: str,
    window: timedelta,
    now: datetime,
) -> bytes | None:
    """A PNG of a panel for each of `agents_to_draw(summary)`; None where there is none.

    `metrics` (`tables.AGENT_METRICS`) may reach beyond the day; `incidents` are those of `incidents_in` the day.
    """
    agents = agents_to_draw(summary)
    if not agents:
        return None
    from matplotlib.figure import Figure
    from PIL import Image

    columns = 1 if len(agents) == 1 else 2
    rows = math.ceil(len(agents) / columns)
    size = (WIDTH, rows * PANEL_HEIGHT + MARGIN)
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    panels = list(grid.flat)
    scores = dict(zip(summary["agent"], summary["score"], strict=True))
    for panel, agent in zip(panels, agents, strict=False):
        own = metrics[metrics["agent"] == agent].sort_values("window_start")
        times = [time_of(one, window, now) for one in incidents if one.agent == agent]
        _draw(panel, own, times, day, window)
        _label(panel, agent, float(scores[agent]))
    for panel in panels[len(agents) :]:
        panel.set_visible(False)
    _clock(panels[: len(agents)], columns, day, timezone)
    _explain(figure, any(one.agent in agents for one in incidents), day, timezone)
    drawn, small = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings():
        # A name in letters that the font lacks is drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(small, format="png", optimize=True)
    return small.getvalue()


def _draw(panel: Axes, own: pd.DataFrame, incidents: Sequence[Window], day: Window, window: timedelta) -> None:
    for time in incidents:
        start, end = (_hours(instant, day) for instant in (time.start, time.end))
        panel.axvspan(max(start, 0), min(end, _hours(day.end, day)), color=INCIDENT, alpha=0.45, linewidth=0)
    within = own[(own["window_start"] >= day.start) & (own["window_start"] < day.end)]
    middles = [_hours(start + window / 2, day) for start in within["window_start"]]
    # A window without a score breaks the line: what was not seen is not drawn.
    panel.plot(middles, within["score"], color=SCORE, linewidth=2, marker="o", markersize=3, clip_on=False)
    panel.set_ylim(0, 100)
    panel.set_xlim(0, _hours(day.end, day))
    panel.set_yticks([0, 50, 100])
    panel.grid(axis="y", color=GRID, linewidth=0.8)
    panel.tick_params(labelsize=SMALL, length=3, color=GRID, labelcolor=INK)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(GRID)


def _label(panel: Axes, agent: str, score: float) -> None:
    # A dollar sign would begin a formula.
    name = one_line(agent).replace("$", r"\$")
    panel.set_title(shorten(name, MAX_TITLE), loc="left", fontsize=LARGE, color=INK)
    panel.set_title(f"{score:.0f}", loc="right", fontsize=LARGE, color=INK, fontweight="bold")


def _clock(panels: Sequence[Axes], columns: int, day: Window, timezone: str) -> None:
    """Ticks every six hours of the team's clock, under the lowest panel of each column."""
    zone = ZoneInfo(timezone)
    midnight = day.start.astimezone(zone)
    hours = [midnight.replace(hour=hour).astimezone(UTC) for hour in (0, 6, 12, 18)]
    panels[0].set_xticks([_hours(time, day) for time in (*hours, day.end)], ["0", "6", "12", "18", ""])
    for panel in panels[-columns:]:
        panel.tick_params(labelbottom=True)


def _explain(figure: Figure, with_incidents: bool, day: Window, timezone: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    date = day.start.astimezone(ZoneInfo(timezone))
    handles: list[Line2D | Patch] = [Line2D([], [], color=SCORE, linewidth=2, marker="o", markersize=4, label="score")]
    if with_incidents:
        handles.append(Patch(color=INCIDENT, alpha=0.45, linewidth=0, label="incident"))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=2,
        fontsize=SMALL,
        frameon=False,
        title=f"{date:%Y-%m-%d}, hours of {timezone}; beside each name the day's score",
        title_fontsize=SMALL,
    )


def _hours(instant: datetime, day: Window) -> float:
    return (instant - day.start).total_seconds() / 3600
