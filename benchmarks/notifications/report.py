"""The tables for people, and the figures for the line of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from rich.table import Table

from benchmarks.notifications.audit import Audit
from benchmarks.notifications.crash_test import Tally
from benchmarks.notifications.latency import Latency, p95
from benchmarks.notifications.storm import AGENTS, Storm

OUTAGE = "Phoenix is down"
"""In the names of the storms during an outage."""


@dataclass
class CrashFigures:
    tally: Tally = field(default_factory=Tally)
    audit: Audit = field(default_factory=Audit)
    seconds: float = 0.0

    def add(self, other: CrashFigures) -> None:
        self.tally.add(other.tally)
        self.audit.add(other.audit)
        self.seconds += other.seconds


def total(scenarios: Mapping[str, CrashFigures]) -> CrashFigures:
    result = CrashFigures()
    for figures in scenarios.values():
        result.add(figures)
    return result


def crash_table(scenarios: Mapping[str, CrashFigures]) -> Table:
    table = Table(title="Senders killed between claim and mark, and what stands in Slack afterwards")
    table.add_column("Scenario", no_wrap=True)
    for name in (
        "Kills",
        "Cut off",
        "Takeovers",
        "Messages",
        "Lost",
        "Twice",
        "Misplaced",
        "Wrong in ledger",
        "Seconds",
    ):
        table.add_column(name, justify="right")
    for name, figures in {**scenarios, "all": total(scenarios)}.items():
        tally, audit = figures.tally, figures.audit
        counts = (tally.kills, tally.drops, tally.takeovers, audit.messages)
        problems = (len(audit.lost), len(audit.twice), len(audit.misplaced), len(audit.wrong_in_ledger))
        table.add_row(name, *map(str, counts), *map(str, problems), f"{figures.seconds:.0f}")
    return table


def storm_table(storms: Mapping[str, Storm]) -> Table:
    table = Table(title=f"{AGENTS} agents fail for one cause in one window")
    table.add_column("Storm")
    for name in ("Incidents", "Messages", "Seconds"):
        table.add_column(name, justify="right")
    for name, storm in storms.items():
        table.add_row(name, str(storm.incidents), str(storm.messages), f"{storm.seconds:.1f}")
    return table


def latency_table(latency: Latency) -> Table:
    table = Table(title=f"From the incident in the ledger to the message in Slack: {len(latency.whole)} incidents")
    table.add_column("Seconds")
    for name in ("Median", "p95", "Most"):
        table.add_column(name, justify="right")
    for name, figures in (
        ("in all", latency.whole),
        ("until the sensor ticks", latency.waiting),
        ("from the tick to Slack", latency.sending),
        ("between two ticks", latency.between_ticks),
    ):
        table.add_row(name, f"{median(figures):.2f}", f"{p95(figures):.2f}", f"{max(figures):.2f}")
    return table


def figures(crash: CrashFigures, storms: Mapping[str, Storm], latency: Latency) -> dict[str, float]:
    """`lost` and `duplicates` count messages; `misplaced` are in the wrong thread, or unknown to the outbox."""
    tally, audit = crash.tally, crash.audit
    return {
        "kills": tally.kills,
        "kill_points": tally.points,
        "dropped_connections": tally.drops,
        "takeovers": tally.takeovers,
        "messages": audit.messages,
        "lost": len(audit.lost),
        "duplicates": len(audit.twice),
        "misplaced": len(audit.misplaced),
        "wrong_in_ledger": len(audit.wrong_in_ledger),
        "storm_agents": AGENTS,
        "storm_messages": max(storm.messages for name, storm in storms.items() if OUTAGE not in name),
        "storm_during_outage_messages": max(storm.messages for name, storm in storms.items() if OUTAGE in name),
        "storm_cycle_s": round(max(storm.seconds for storm in storms.values()), 1),
        "latency_samples": len(latency.whole),
        "median_s": round(median(latency.whole), 2),
        "p95_s": round(p95(latency.whole), 2),
        "waiting_median_s": round(median(latency.waiting), 2),
        "sending_median_s": round(median(latency.sending), 2),
        "sensor_interval_median_s": round(median(latency.between_ticks), 2),
    }
