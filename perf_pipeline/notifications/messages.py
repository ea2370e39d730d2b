"""The texts that people read, in Slack's markup: the alert and the daily summary.

Text that comes from outside (errors, names) is escaped, so that it can neither mention anybody nor forge layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from perf_pipeline.records import Incident

MAX_SECTION = 3000
MAX_HEADER = 150
MAX_BLOCKS = 50


def escape(text: str) -> str:
    """The text on one line, with Slack's three control characters as entities."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def alert_text(incident: Incident, timezone: str, trace_links: Sequence[tuple[str, str | None]] = ()) -> str:
    """The PERFORMANCE ALERT. `trace_links` are pairs of a trace_id and its address, where there is one."""
    zone = ZoneInfo(timezone)
    lines = [
        "🚨 PERFORMANCE ALERT",
        "",
        f"Agent: {escape(incident.agent)}",
        f"Severity: {incident.severity.upper()}",
        f"Type: {incident.type}" + (f" (also {', '.join(incident.also)})" if incident.also else ""),
        f"Since: {incident.onset.astimezone(zone):%Y-%m-%d %H:%M %Z}",
        "",
        f"Root Cause: {escape(incident.root_cause)}",
        f"Recommended Action: {escape(incident.recommended_action)}",
        "",
        f"Details: {escape(incident.details)}",
    ]
    if trace_links:
        names = [(escape(trace[:8]), url) for trace, url in trace_links]
        shown = [f"<{url}|{name}>" if url else name for name, url in names]
        lines += ["", f"Example traces: {', '.join(shown)}"]
    return "\n".join(lines)


def daily_summary_text(day: str, summary: pd.DataFrame, anomalies: pd.DataFrame) -> str:
    """The Daily Performance Summary of `day`: YYYY-MM-DD on the team's clock, as people are to read it.

    `summary` is `tables.DAILY_SUMMARY` of that day, `anomalies` the day's findings.
    """
    lines = [f"📊 Daily Performance Summary - {day}", "", "Agent Performance:"]
    active = summary[summary["tasks"] > 0]
    if active.empty:
        lines.append("No agent did anything on this day, or nothing could be read: see the data checks in Dagster.")
    for _, row in summary.iterrows():
        lines.append(f"- {escape(str(row['agent']))}: {_performance(row)}")
    lines += ["", "Optimization Status:"]
    requested = summary[summary["optimization"].notna()]
    lines += [
        f"- {escape(str(agent))}: {escape(str(state))}"
        for agent, state in zip(requested["agent"], requested["optimization"], strict=True)
    ] or ["- none requested"]
    lines += ["", f"Anomalies: {_anomalies(anomalies)}"]
    return "\n".join(lines)


def as_blocks(text: str) -> list[dict[str, Any]]:
    """The text as Block Kit: its first line as the header, each paragraph as sections within Slack's limits."""
    head, *paragraphs = [part.strip("\n") for part in text.split("\n\n") if part.strip()]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": shorten(head, MAX_HEADER), "emoji": True}}
    ]
    sections = [section for paragraph in paragraphs for section in _sections(paragraph)]
    if len(sections) >= MAX_BLOCKS:
        sections = [*sections[: MAX_BLOCKS - 2], f"… and {len(sections) - MAX_BLOCKS + 2} more parts"]
    return blocks + [{"type": "section", "text": {"type": "mrkdwn", "text": section}} for section in sections]


def shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _sections(paragraph: str) -> list[str]:
    """The paragraph's lines, put together as far as a section holds them."""
    sections: list[str] = []
    for line in paragraph.split("\n"):
        shown = shorten(line, MAX_SECTION)
        if sections and len(sections[-1]) + 1 + len(shown) <= MAX_SECTION:
            sections[-1] += f"\n{shown}"
        else:
            sections.append(shown)
    return sections


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
