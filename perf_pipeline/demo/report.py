"""What the demo shows at its end: scores, messages, decisions, and where to look next."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pandas as pd
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from perf_pipeline.demo.run import Demo
from perf_pipeline.notifications.plain_text import plain_text
from perf_pipeline.records import Notification, OptimizationRun
from perf_pipeline.tables import AGENT_METRICS, AGENT_TASKS, OPTIMIZATION_DECISIONS
from resources.lake import Lake
from resources.ledger import Ledger

LOW_SCORE = 60


def show_report(console: Console, demo: Demo) -> None:
    lake = Lake(demo.settings.lake_url)
    start, end = demo.windows[0].start, demo.windows[-1].end
    metrics = lake.read(AGENT_METRICS, start, end)
    decisions = lake.read(OPTIMIZATION_DECISIONS, start, end)
    ledger = Ledger(demo.settings.ledger_url)
    try:
        messages, requests = ledger.notifications(), ledger.optimization_requests()
        runs = ledger.optimization_runs()
    finally:
        ledger.close()
    tasks = lake.read(AGENT_TASKS, start, end)
    console.print(_scores(metrics))
    for message in messages:
        console.print(_message(message))
    states = {request.agent: str(request.state).replace("_", " ") for request in requests}
    console.print(_decisions(decisions, states))
    console.print(_quality(tasks, _reviewed(demo), runs))
    console.print(_next_steps(demo, messages))


def _reviewed(demo: Demo) -> dict[str, bool]:
    """Whether a reviewer called the answer right, by task."""
    lines = (demo.settings.inbox / "feedback.jsonl").read_text(encoding="utf-8").splitlines()
    feedback = [json.loads(line) for line in lines]
    return {said["task_id"]: said["score"] == 1 for said in feedback if said["name"] == "user_feedback"}


def _scores(metrics: pd.DataFrame) -> Table:
    newest = metrics[metrics["window_start"] == metrics["window_start"].max()]
    start = newest["window_start"].iloc[0]
    table = Table(title=f"The window that began at {start:%Y-%m-%d %H:%M} UTC", title_justify="left")
    table.add_column("Agent", no_wrap=True)
    for name in ("Score", "Tasks", "Success", "Expected", "p95"):
        table.add_column(name, justify="right", no_wrap=True)
    for _, row in newest.iterrows():
        colour = "red" if row["score"] < LOW_SCORE else "green"
        table.add_row(
            str(row["agent"]),
            f"[{colour}]{row['score']:.0f}/100[/]" if row["tasks"] else "-",
            str(row["tasks"]),
            f"{row['success_rate']:.0f}%" if row["tasks"] else "-",
            f"{row['baseline_success_rate']:.0f}%",
            f"{row['latency_p95_ms'] / 1000:.1f} s" if row["tasks"] else "-",
        )
    return table


def _message(message: Notification) -> Panel:
    sent = f"{message.state} at {message.sent_at:%H:%M:%S} UTC" if message.sent_at else str(message.state)
    return Panel(
        Text(f"{message.message.title}\n\n{plain_text(message.message)}"),
        title=f"Message to {message.target} ({message.kind.replace('_', ' ')}, {sent})",
        title_align="left",
    )


def _quality(tasks: pd.DataFrame, reviewed: Mapping[str, bool], runs: Sequence[OptimizationRun]) -> Table:
    """Right answers of the optimized agents by the version that gave them, as their reviewers saw it."""
    table = Table(title="Right answers in production, by program version (reviewed tasks)", title_justify="left")
    for name in ("Agent", "Version", "First window", "Right answers"):
        table.add_column(name, no_wrap=True)
    judged = tasks[tasks["task_id"].isin(list(reviewed)) & tasks["agent"].isin([run.agent for run in runs])]
    judged = judged.assign(right=judged["task_id"].map(reviewed))
    for (agent, version), group in judged.groupby(["agent", "program_version"], sort=False):
        share = group["right"].mean()
        first = group["start_time"].min()
        table.add_row(str(agent), str(version), f"{first:%H:%M} UTC", f"{share:.0%} of {len(group)}")
    return table


def _decisions(decisions: pd.DataFrame, states: dict[str, str]) -> Table:
    chosen = decisions[decisions["decision"] == "optimize"].drop_duplicates("agent", keep="last")
    table = Table(title="Optimizations decided and requested", title_justify="left")
    for name in ("Agent", "Optimizer", "Cap", "Tasks", "Request"):
        table.add_column(name, no_wrap=True)
    for _, row in chosen.iterrows():
        table.add_row(
            str(row["agent"]),
            str(row["optimizer"]),
            f"${row['max_cost_usd']:g}",
            f"{row['tasks_since_optimization']} of {row['min_tasks']}",
            states.get(str(row["agent"]), "not requested"),
        )
    return table


def _next_steps(demo: Demo, messages: Sequence[Notification]) -> Panel:
    home = demo.settings.home.name
    lines = [
        "make dev        Dagster's UI on this data, at http://127.0.0.1:3000: the asset graph,",
        "                figures, checks, schedules and sensors",
        "make serve      the dashboard on this data, at http://127.0.0.1:8080, and the HTTP API",
        f"{home + '/lake':<16}every table as Parquet, one file a window",
        f"{home + '/ledger.db':<16}incidents, messages, optimizations, what they spent",
        f"                in {home}/lake/optimizations: a report of each, what changed, was won and lost",
        f"{home + '/inbox':<16}what the fleet left: spans, logs, deployments, task states",
        f"messages.jsonl  in {home}: the {len(messages)} messages that Slack would have got",
        "fleet.yaml      agents, thresholds, policies",
        "README.md       how to connect Phoenix, Supabase, Railway and Slack",
    ]
    return Panel("\n".join(lines), title="Where to look next", title_align="left")
