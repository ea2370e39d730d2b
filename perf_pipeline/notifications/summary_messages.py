"""The Daily Performance Summary."""

from __future__ import annotations

import pandas as pd

from perf_pipeline.message import Message, bullets, labelled, section


def daily_summary_message(day: str, summary: pd.DataFrame, anomalies: pd.DataFrame) -> Message:
    """The Daily Performance Summary of `day`: YYYY-MM-DD on the team's clock, as people are to read it.

    `summary` is `tables.DAILY_SUMMARY` of that day, `anomalies` the day's findings.
    """
    lines = []
    if not (summary["tasks"] > 0).any():
        lines.append("No agent did anything on this day, or nothing could be read: see the data checks in Dagster.")
    lines += [f"{row['agent']}: {_performance(row)}" for _, row in summary.iterrows()]
    requested = summary[summary["optimization"].notna()]
    optimizations = [
        f"{agent}: {state}" for agent, state in zip(requested["agent"], requested["optimization"], strict=True)
    ]
    return Message(
        title=f"📊 Daily Performance Summary - {day}",
        sections=(
            section(labelled("Agent Performance", "")),
            bullets(lines),
            section(labelled("Optimization Status", "")),
            bullets(optimizations or ["none requested"]),
            section(labelled("Anomalies", _anomalies(anomalies))),
        ),
    )


def _performance(row: pd.Series) -> str:
    if row["tasks"] == 0:
        return "no tasks"
    trend = {"improving": " ↗ improving", "degrading": " ↘ degrading"}.get(str(row["trend"]), "")
    score = "no score" if pd.isna(row["score"]) else f"{row['score']:.0f}/100"
    tasks = "1 task" if row["tasks"] == 1 else f"{row['tasks']} tasks"
    return f"{score}{trend} ({tasks}, {row['success_rate']:.0f}% successful)"


def _anomalies(anomalies: pd.DataFrame) -> str:
    if anomalies.empty:
        return "none detected"
    counts = anomalies["severity"].value_counts()
    levels = [level for level in ("critical", "high", "medium", "low") if level in counts]
    parts = levels if len(levels) == 1 else [f"{counts[level]} {level}" for level in levels]
    return f"{len(anomalies)} detected ({', '.join(parts)} severity)"
