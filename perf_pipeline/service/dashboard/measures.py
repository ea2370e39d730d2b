"""The metrics as charts name them. A metric that is not listed here, such as one of your own, is named by itself."""

from __future__ import annotations

from dataclasses import dataclass

from perf_pipeline.service.dashboard.words import in_words


@dataclass(frozen=True)
class Measure:
    """`factor` turns the unit of the tables into the one that is shown, between `prefix` and `suffix`. `scale` is that
    of the axis, where it is the same for all."""

    metric: str
    title: str
    prefix: str = ""
    suffix: str = ""
    factor: float = 1.0
    scale: tuple[float, float] | None = None


MEASURES = {
    one.metric: one
    for one in (
        Measure("score", "Score", scale=(0, 100)),
        Measure("success_rate", "Success rate", suffix="%", scale=(0, 100)),
        Measure("latency", "Typical latency", suffix=" s", factor=0.001),
        Measure("percentiles", "Latency percentiles", suffix=" s", factor=0.001),
        Measure("errors_per_task", "Errors a task"),
        Measure("log_errors", "Error lines a task"),
        Measure("tasks", "Tasks a window"),
        Measure("cost", "Cost", prefix="$"),
        Measure("cost_per_task", "Cost a task", prefix="$"),
        Measure("tokens_per_task", "Tokens a task"),
    )
}
"""In the order in which pages show them."""


def measure_of(metric: str) -> Measure:
    if known := MEASURES.get(metric):
        return known
    name = in_words(metric)
    return Measure(metric, name[:1].upper() + name[1:])


def in_order(metrics: set[str]) -> list[str]:
    listed = [metric for metric in MEASURES if metric in metrics]
    return listed + sorted(metrics - set(MEASURES))
