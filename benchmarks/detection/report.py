"""The benchmark's tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from rich.console import RenderableType
from rich.table import Table

from benchmarks.detection.evaluation import DETECTORS, OURS, Evaluation
from benchmarks.detection.figures import (
    TARGETS,
    cost_growth,
    early_rate,
    matched_clairvoyant,
    rate_interval,
    share_interval,
)
from benchmarks.detection.scores import Scores
from benchmarks.detection.throughput import Throughput

SHARES = {
    "findable_found": "findable found",
    "found_though_not_findable": "found though not findable",
    "fast_within_2_windows": "fast: within 2 windows",
    "fast_within_3_windows": "fast: within 3 windows",
    "falls_to_zero_found_at_once": "falls to zero found at that close",
    "falls_to_zero_critical_at_once": "... and critical",
    "falls_to_zero_found_one_window_later": "... or found at the next window's",
    "blips_alarmed": "blips alarmed",
    "flapping": "flapping (same type)",
    "flapping_by_family": "flapping (same family)",
    "severity_right": "severity right",
    "severity_within_one": "severity within one grade",
    "severity_right_when_clear": "severity right where clear",
}


def side_by_side(evaluation: Evaluation) -> Table:
    """Every detector on the fleets with incidents."""
    summaries = {name: evaluation.incidents[name].summary() for name in DETECTORS}
    first = summaries[OURS]
    table = Table(
        "Figure",
        title=f"{len(evaluation.seeds['incidents'])} fleets, {first['agent_weeks']:.0f} agent-weeks, "
        f"{first['incidents']} incidents ({first['findable']} findable, {first['fast']} fast, "
        f"{first['falls_to_zero']} falls to zero), {first['blips']} blips",
    )
    for name in DETECTORS:
        table.add_column(name, justify="right", style="bold" if name == OURS else "")

    def line(words: str, value: Callable[[dict[str, Any]], str]) -> None:
        table.add_row(words, *(value(summary) for summary in summaries.values()))

    line("false alarms an agent-week, from day 3", lambda found: _number(found["false_alarms_per_agent_week"]))
    line("... and in all", lambda found: _number(found["false_alarms_per_agent_week_in_all"]))
    table.add_row("... in fleets without incidents", *(_rate_of(evaluation.null[name]) for name in DETECTORS))
    for figure, words in SHARES.items():
        line(words, lambda found, figure=figure: _share(found[figure]))
    line("median delay in windows", lambda found: _number(found["median_delay"], 0))
    line("... after the evidence was there", lambda found: _number(found["median_delay_after_findable"], 0))
    return table


def limit(evaluation: Evaluation) -> str:
    """Our share of what the clairvoyant finds, both rates stated."""
    name = matched_clairvoyant(evaluation.incidents)
    ours, theirs = evaluation.incidents[OURS].summary(), evaluation.incidents[name].summary()
    ratio = ours["findable_found"] / theirs["findable_found"]
    return (
        f"The clairvoyant whose false alarms are nearest to ours ({name}): {theirs['false_alarms_per_agent_week']:.3f} "
        f"an agent-week and {_share(theirs['findable_found'])} of the findable found; ours "
        f"{ours['false_alarms_per_agent_week']:.3f} and {_share(ours['findable_found'])}: ratio {ratio:.3f}."
    )


def targets(evaluation: Evaluation, figures: Mapping[str, Any]) -> Table:
    table = Table("Target", title="Targets (95 % intervals: exact for rates, Jeffreys for shares)")
    for column in ("limit", "is", "interval", "met"):
        table.add_column(column, justify="right")
    intervals = _intervals(evaluation.incidents[OURS])
    for target in TARGETS:
        value = figures[target.figure]
        shown = _share if target.limit <= 1 and target.figure in SHARES else _number
        met = {None: "nothing to judge", True: "yes", False: "NO"}[target.is_met(value)]
        interval = intervals.get(target.figure)
        table.add_row(
            target.words,
            f"{'<=' if target.at_most else '>='} {shown(target.limit)}",
            shown(value),
            f"{shown(interval[0])} to {shown(interval[1])}" if interval else "",
            met,
        )
    return table


def by_kind(evaluation: Evaluation) -> Table:
    """Ours by kind and size, beside the share that the clairvoyant finds."""
    name = matched_clairvoyant(evaluation.incidents)
    # The same incidents in the same order.
    ours, theirs = evaluation.incidents[OURS].by_kind(), evaluation.incidents[name].by_kind()
    table = Table("Kind", "Size", title="By kind and size; delays of the findable in windows, 0 at the first's close")
    columns = (
        "incidents",
        "findable",
        "found",
        "clairvoyant",
        "evidence after",
        "delay",
        "its delay",
        "severity right",
    )
    for column in columns:
        table.add_column(column, justify="right")
    for (_, row), (_, other) in zip(ours.iterrows(), theirs.iterrows(), strict=True):
        table.add_row(
            row["kind"],
            row["label"],
            str(row["incidents"]),
            str(row["findable"]),
            _share(row["findable_found"]),
            _share(other["findable_found"]),
            _number(_minus_one(row["median_windows_to_findable"]), 0),
            _number(row["median_delay"], 0),
            _number(other["median_delay"], 0),
            _share(row["severity_right"]),
        )
    return table


def false_alarms(evaluation: Evaluation, bound: float) -> Table:
    """Ours by type, from day 3, with incidents and without, beside what the policy allows."""
    table = Table("Type", title=f"False alarms an agent-week by type (policy: {bound:g} in all)")
    worlds = {"fleets with incidents": evaluation.incidents[OURS], "fleets without": evaluation.null[OURS]}
    counts = {}
    for name, scores in worlds.items():
        table.add_column(name, justify="right")
        false = scores.alarms[(scores.alarms["verdict"] == "false") & ~scores.alarms["early"].astype(bool)]
        counts[name] = false["type"].value_counts()
    for kind in sorted({kind for count in counts.values() for kind in count.index}):
        table.add_row(
            str(kind), *(_number(counts[name].get(kind, 0) / _later_weeks(scores)) for name, scores in worlds.items())
        )
    totals = []
    for name, scores in worlds.items():
        low, high = rate_interval(int(counts[name].sum()), _later_weeks(scores))
        totals.append(f"{counts[name].sum() / _later_weeks(scores):.3f} ({low:.3f} to {high:.3f})")
    table.add_row("in all", *totals, style="bold")
    return table


def new_agents(evaluation: Evaluation) -> Table:
    collapses = evaluation.collapsing[OURS].summary()["cold_start_collapses"]
    healthy = len(evaluation.seeds["healthy new"])
    table = Table("Figure", title=f"New agents: {collapses} that collapse on their first day, {healthy} healthy ones")
    for name in DETECTORS:
        table.add_column(name, justify="right", style="bold" if name == OURS else "")
    summaries = [evaluation.collapsing[name].summary() for name in DETECTORS]
    table.add_row("collapses found", *(_share(found["cold_start_found"]) for found in summaries))
    table.add_row("findable collapses found", *(_share(found["cold_start_findable_found"]) for found in summaries))
    table.add_row("median delay in windows", *(_number(found["cold_start_median_delay"], 0) for found in summaries))
    table.add_row(
        "healthy: false alarms an agent-week, first 3 days",
        *(_number(early_rate(evaluation.healthy_new[name])) for name in DETECTORS),
    )
    table.add_row("... and after them", *(_rate_of(evaluation.healthy_new[name]) for name in DETECTORS))
    return table


def speed(throughput: list[Throughput]) -> Table:
    title = f"One window from a stored memory to the next; {cost_growth(throughput):.2f} is the growth of s/agent"
    table = Table(title=title)
    for column in ("agents", "restore s", "replay s", "store s", "agents/s", "bytes/agent", "in Parquet"):
        table.add_column(column, justify="right")
    for run in throughput:
        table.add_row(
            f"{run.agents:,}",
            *(f"{seconds:.3f}" for seconds in (run.restore_s, run.replay_s, run.store_s)),
            f"{run.agents_per_s:,.0f}",
            f"{run.bytes_per_agent:,.0f}",
            f"{run.parquet_bytes_per_agent:,.0f}",
        )
    return table


def nab(measured: Mapping[str, Any], published: Mapping[str, Mapping[str, float]], best: int = 5) -> RenderableType:
    """Beside the best published detectors; `python -m benchmarks.nab` shows all of them, and every series."""
    profiles = list(published["Null"])
    table = Table("Detector", title="25 NAB series, by the benchmark's own scoring")
    for profile in profiles:
        table.add_column(profile, justify="right")
    ranked = sorted({**published, OURS: measured}.items(), key=lambda row: -row[1]["standard"])
    shown = ranked[: max(best, [name for name, _ in ranked].index(OURS) + 1)]
    for name, row in shown:
        table.add_row(name, *(f"{row[profile]:.1f}" for profile in profiles), style="bold" if name == OURS else "")
    return table


def _intervals(scores: Scores) -> dict[str, tuple[float, float]]:
    known = scores.established
    findable, fast = known[known["findable"]], known[known["fast"]]
    false = scores.alarms[(scores.alarms["verdict"] == "false") & ~scores.alarms["early"].astype(bool)]
    zero, found = known[known["zero_with_5_tasks"]], known[known["found"]]
    shares = {
        "findable_found": findable["found"],
        "fast_within_2_windows": fast["delay"] <= 1,
        "falls_to_zero_found_at_once": zero["found_at_first_tasks"],
        "falls_to_zero_critical_at_once": zero["critical_at_first_tasks"],
        "blips_alarmed": scores.blips["alarmed"],
        "flapping": found["opened_same_type"] > 1,
    }
    intervals = {name: share_interval(int(hits.sum()), len(hits)) for name, hits in shares.items() if len(hits)}
    return intervals | {"false_alarms_per_agent_week": rate_interval(len(false), _later_weeks(scores))}


def _later_weeks(scores: Scores) -> float:
    return scores.agent_weeks - scores.early_agent_weeks


def _rate_of(scores: Scores) -> str:
    return _number(scores.summary()["false_alarms_per_agent_week"])


def _minus_one(value: float | None) -> float | None:
    return None if value is None else value - 1


def _share(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None or pd.isna(value) else f"{value:.{digits}f}"
