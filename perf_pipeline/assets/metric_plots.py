"""Pictures of what the detectors saw: a metric, the band of its baseline, and where findings were."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {
    "success_rate": "success rate, %",
    "errors_per_task": "errors a task",
    "log_errors": "error lines a task",
    "latency": "latency, s",
    "cost_per_task": "cost a task, $",
    "tokens_per_task": "tokens a task",
    "tasks": "tasks a window",
    "score": "score",
    "unnoticed_failures": "failures that no span shows, % of the tasks",
    "missing_traces": "finished tasks without a trace, %",
    "unseen_errors": "error lines a task while none was failing",
}
"""Of the built-in metrics. One of fleet.yaml is told by its name and unit."""

PHASE_COLOURS = {"pending": "#f2c14e", "open": "#d64545", "recovering": "#7b61a8"}
"""Told apart by people who do not see red and green alike, too."""

BAND, LINE, SEEN = "#c9d7e8", "#5b7ea4", "#1f2933"
SIZE_INCHES, DOTS_PER_INCH, COLOURS = (7.6, 2.3), 90, 48
"""A picture stays in Dagster's event log for good, so it is kept to some ten kilobytes."""


SHORTEST_AXIS = pd.Timedelta(hours=6)


NO_UNITS: Mapping[str, str] = MappingProxyType({})


def title(metric: str, units: Mapping[str, str]) -> str:
    """`units` are those of the metrics of fleet.yaml, by name."""
    known = TITLES.get(metric)
    return known or ", ".join(part for part in (metric, units.get(metric, "")) if part)


def plot_markdown(states: pd.DataFrame, units: Mapping[str, str] = NO_UNITS) -> str:
    """The picture of `plot_png` as an image that stands in the Markdown itself."""
    agent, metric = states["agent"].iloc[0], title(str(states["metric"].iloc[0]), units)
    return f"![{agent}: {metric}](data:image/png;base64,{base64.b64encode(plot_png(states, units)).decode()})"


def plot_png(states: pd.DataFrame, units: Mapping[str, str] = NO_UNITS) -> bytes:
    """Rows of `tables.DETECTOR_STATES` of one agent and finding, in order of time, as a PNG."""
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    _draw(axes, states, title(str(states["metric"].iloc[0]), units))
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(small, format="png", optimize=True)
    return small.getvalue()


def _draw(axes: Axes, states: pd.DataFrame, named: str) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator

    metric = str(states["metric"].iloc[0])
    factor = 0.001 if metric == "latency" else 1.0
    # Matplotlib draws naive times as they are; ours are UTC, and the axis says so.
    times = states["window_start"].dt.tz_localize(None).astype("datetime64[ms]")
    length = times.diff().min() if len(times) > 1 else pd.Timedelta(minutes=30)
    value, expected, low, high = (states[name] * factor for name in ("value", "expected", "low", "high"))
    axes.fill_between(times, low, high, color=BAND, linewidth=0, label="95 % of healthy windows")
    axes.plot(times, expected, color=LINE, linewidth=1, linestyle="--", label="expected")
    axes.plot(times, value, color=SEEN, linewidth=0.8, marker="o", markersize=2.5, label="seen")
    for phase, colour in PHASE_COLOURS.items():
        marked = states["phase"] == phase
        for number, time in enumerate(times[marked]):
            label = phase if number == 0 else None
            axes.axvspan(time - length / 2, time + length / 2, color=colour, alpha=0.35, linewidth=0, label=label)
    onset = states["onset"].dropna()
    if len(onset):
        first = onset.iloc[-1].tz_localize(None)
        if first >= times.iloc[0]:
            axes.axvline(first, color=PHASE_COLOURS["open"], linewidth=1, linestyle=":", label="onset")
    top = max(
        float(value.max()) if value.notna().any() else 0.0, float(expected.max()) if expected.notna().any() else 0.0
    )
    # The band of a quiet hour may reach far above all that was seen: the picture is about the values.
    values = pd.concat([value, expected]).dropna()
    bottom = min(0.0, 1.35 * float(values.min())) if len(values) else 0.0
    axes.set_ylim(bottom, 105 if metric in ("success_rate", "score") else max(1.35 * top, 1e-9))
    axes.set_xlim(min(times.iloc[0] - length, times.iloc[-1] - SHORTEST_AXIS), times.iloc[-1] + length)
    axes.set_title(f"{states['agent'].iloc[0]}: {named}", loc="left", fontsize=10)
    locator = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(labelsize=8)
    axes.set_xlabel("UTC", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
