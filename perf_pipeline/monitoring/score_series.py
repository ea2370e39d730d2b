"""How scores went through a day or a week, in a few equal parts, as a line of text can show it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from perf_pipeline.monitoring.windows import Window


def scores_in_parts(metrics: pd.DataFrame, span: Window, parts: int) -> dict[str, list[float]]:
    """Each agent's mean score, weighted by tasks, in each of `parts` equal parts of the span; NaN where it has none.

    `metrics` are rows of `tables.AGENT_METRICS`, which may reach beyond the span.
    """
    within = (metrics["window_start"] >= span.start) & (metrics["window_start"] < span.end)
    scored = metrics[within & metrics["score"].notna() & (metrics["tasks"] > 0)]
    position = (scored["window_start"] - span.start) / (span.end - span.start)
    part = (position * parts).astype(int)
    weighted = pd.DataFrame(
        {
            "agent": scored["agent"],
            "part": part,
            "points": scored["score"] * scored["tasks"],
            "tasks": scored["tasks"],
        }
    )
    sums = weighted.groupby(["agent", "part"])[["points", "tasks"]].sum()
    means = (sums["points"] / sums["tasks"]).unstack("part").reindex(columns=range(parts))
    return {str(agent): list(row) for agent, row in zip(means.index, means.to_numpy(dtype=float), strict=True)}


def mean_score(active: pd.DataFrame) -> float:
    """The mean score of rows of `tables.AGENT_METRICS`, weighted by tasks; NaN where none has one."""
    scored = active[active["score"].notna() & (active["tasks"] > 0)]
    return float(np.average(scored["score"], weights=scored["tasks"])) if len(scored) else float("nan")
