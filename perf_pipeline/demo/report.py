"""What the demo shows at its end: scores, messages, decisions, and where to look next."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from perf_pipeline.demo.run import Demo
from perf_pipeline.records import Notification
from perf_pipeline.tables import AGENT_METRICS, OPTIMIZATION_DECISIONS
from resources.lake import Lake
from resources.ledger import Ledger


def show_report(console: Console, demo: Demo) -> None:
    lake = Lake(demo.settings.lake_url)
    start, end = demo.windows[0].start, demo.windows[-1].end
    metrics = lake.read(AGENT_METRICS, start, end)
    decisions = lake.read(OPTIMIZATION_DECISIONS, start, end)
    ledger = Ledger(demo.settings.ledger_url)
    try:
        messages, requests = ledger.notifications(), ledger.optimization_requests()
    finally:
        ledger.close()
    console.print(_scores(metrics))
    for message in messages:
        console.print(_message(message))
    states = {request.agent: str(request.state).replace("_", " ") for request in requests}
    console.print(_decisions(decisions, states))
    console.print(_next_steps(demo, messages))


def _scores(metrics: pd.DataFrame) -> Table:
    newest = metrics[metrics["window_start"] == metrics["window_start"].max()]
    before = metrics[metrics["window_start"] < newest["window_start"].iloc[0]]
    table = Table(title=f"The window of {newest['window_start'].iloc[0]:%Y-%m-%d %H:%M} UTC", title_justify="left")
    table.add_column("Agent")
    for name in ("Score", "Day's best", "Tasks", "Success", "Expected", "p95 latency"):
        table.add_column(name, justify="right")
    table.add_column("Trend")
    for _, row in newest.iterrows():
        best = before[before["agent"] == row["agent"]]["score"].max()
        low = pd.notna(row["score"]) and row["score"] < 60
        table.add_row(
            str(row["agent"]),
            f"[{'red' if low else 'green'}]{row['score']:.0f}/100[/]" if pd.notna(row["score"]) else "-",
            f"{best:.0f}",
            str(row["tasks"]),
            f"{row['success_rate']:.0f}%",
            f"{row['baseline_success_rate']:.0f}%",
            f"{row['latency_p95_ms'] / 1000:.1f} s",
            str(row["trend"]),
        )
    return table


def _message(message: Notification) -> Panel:
    sent = f"{message.state} at {message.sent_at:%H:%M:%S} UTC" if message.sent_at else str(message.state)
    return Panel(message.text, title=f"Message to Slack ({message.kind.replace('_', ' ')}, {sent})", title_align="left")


def _decisions(decisions: pd.DataFrame, states: dict[str, str]) -> Table:
    chosen = decisions[decisions["decision"] == "optimize"].drop_duplicates("agent", keep="first")
    table = Table(title="Decided optimizations", title_justify="left")
    for name in ("Agent", "Optimizer", "Cap", "Request", "Why"):
        table.add_column(name)
    for _, row in chosen.iterrows():
        request = states.get(str(row["agent"]), "not requested")
        why = str(row["reasons"]).splitlines()[0]
        table.add_row(str(row["agent"]), str(row["optimizer"]), f"${row['max_cost_usd']:g}", request, why)
    return table


def _next_steps(demo: Demo, messages: Sequence[Notification]) -> Panel:
    lines = [
        "make dev      serves Dagster on this data at http://127.0.0.1:3000: the asset graph, each asset's figures,",
        "              its checks, and the schedules and sensors, ready to switch on",
        f"{demo.settings.home}",
        "              lake/: all tables as Parquet; ledger.db: incidents, messages, requests;",
        f"              messages.jsonl: the {len(messages)} message(s) that Slack would have got",
        "fleet.yaml    thresholds, agents and policies; README.md: how to connect Phoenix, Supabase, Railway and Slack",
    ]
    return Panel("\n".join(lines), title="Where to look next", title_align="left")
