"""The benchmark's tables, and the figures of its last line."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from rich.table import Table
from scipy import stats

from benchmarks.root_cause.faithfulness import Faithfulness
from benchmarks.root_cause.real_cases import PUBLISHED, left_out
from benchmarks.root_cause.rivals import NAIVE, OURS

TARGETS = {"real_top1": 0.70, "real_top3": 0.93}
FASTEST_ENOUGH_MS = 100.0


def figures(simulated: pd.DataFrame, real: pd.DataFrame | None) -> dict[str, float | None]:
    """`sim_top1`, `sim_top3`, `naive_top1`, `real_top1`, `real_top3`, `ms_per_case`: those of the real cases are None
    where there are none, and the milliseconds are then those of the simulated ones."""
    ranked = {str(name): rows for name, rows in simulated.groupby("ranking")}
    timed = ranked[OURS] if real is None else real
    return {
        "sim_top1": _share(ranked[OURS], "top1"),
        "sim_top3": _share(ranked[OURS], "top3"),
        "naive_top1": _share(ranked[NAIVE], "top1"),
        "real_top1": None if real is None else _share(real, "top1"),
        "real_top3": None if real is None else _share(real, "top3"),
        "ms_per_case": round(float(timed["milliseconds"].mean()), 1),
    }


def side_by_side(simulated: pd.DataFrame) -> Table:
    """Every ranking on all incidents."""
    count = simulated["seed"].nunique()
    table = Table("Ranking", title=f"{count} simulated incidents: the exact combination (95 % interval)")
    for column in ("first", "all causes in the first 3", "any cause in the first 3", "ms an incident"):
        table.add_column(column, justify="right")
    for name, rows in simulated.groupby("ranking", sort=False):
        shares = [_with_interval(rows[column]) for column in ("top1", "top3", "any_of_top3")]
        table.add_row(str(name), *shares, f"{rows['milliseconds'].mean():.0f}", style="bold" if name == OURS else "")
    return table


def by_kind(simulated: pd.DataFrame) -> Table:
    """First, and all within three, by kind of cause."""
    table = Table("Kind of cause", title="By kind: first / all causes in the first 3")
    names = list(simulated["ranking"].unique())
    table.add_column("incidents", justify="right")
    for name in names:
        table.add_column(name, justify="right", style="bold" if name == OURS else "")
    for kind, rows in simulated.groupby("kind", sort=False):
        means = rows.groupby("ranking")[["top1", "top3"]].mean()
        shown = [f"{means.loc[name, 'top1']:.0%} / {means.loc[name, 'top3']:.0%}" for name in names]
        table.add_row(str(kind).replace("_", " "), str(rows["seed"].nunique()), *shown)
    return table


def real_cases(real: pd.DataFrame) -> Table:
    """Ours on the labelled cases, beside what is published of the set that they are a part of."""
    table = Table("Ranking", title=f"{len(real)} real cases; the figures below ours are of all 135 cases of the set")
    for column in ("first", "all causes in the first 3", "any cause in the first 3", "ms a case", "slowest"):
        table.add_column(column, justify="right")
    table.add_row(
        OURS,
        *(_with_interval(real[column]) for column in ("top1", "top3", "any_of_top3")),
        f"{real['milliseconds'].mean():.0f}",
        f"{real['milliseconds'].max():.0f}",
        style="bold",
    )
    for name, (first, three) in PUBLISHED.items():
        table.add_row(name, f"{first:.0%}", f"{three:.0%}", "", "", "")
    return table


def settings(tried: pd.DataFrame) -> str:
    """How much hangs on the settings, in a sentence."""
    first = (tried["even_top1"] + tried["odd_top1"]) / 2
    three = (tried["even_top3"] + tried["odd_top3"]) / 2
    top1, top3 = left_out(tried)
    return (
        f"With {len(tried)} settings on these cases: first {first.min():.1%} to {first.max():.1%}, within three "
        f"{three.min():.1%} to {three.max():.1%}. Chosen on one half, tested on the other: {top1:.1%} and {top3:.1%}."
    )


def faithfulness(measured: Faithfulness) -> Table:
    """What people were told of a model's reports."""
    table = Table("Reports", title=f"Reports over HTTP and DSPy; {measured.unanswered} more got no answer")
    for column in ("given", "told to people", "turned away"):
        table.add_column(column, justify="right")
    told_lies = measured.lies - measured.caught
    table.add_row("with a lie", str(measured.lies), str(told_lies), str(measured.caught))
    table.add_row("of the rules", str(measured.honest), str(measured.told), str(measured.honest - measured.told))
    for kind, number in measured.missed.items():
        table.add_row(f"  told though a lie: {kind}", "", str(number), "")
    return table


def cycles(seconds: Mapping[str, float]) -> Table:
    """The cycle that finds an incident."""
    table = Table("A cycle that finds an incident", title="Median seconds in a process that runs already")
    table.add_column("seconds", justify="right")
    table.add_column("added", justify="right")
    without = seconds["cycle_without_s"]
    names = {"cycle_without_s": "without a model", "cycle_with_s": "with one", "cycle_hanging_s": "with one that hangs"}
    for name, words in names.items():
        table.add_row(words, f"{seconds[name]:.1f}", f"{seconds[name] - without:+.1f}")
    table.add_row("loading what analysts need, in a new process", f"{seconds['analysts_load_s']:.1f}", "")
    return table


def targets(found: Mapping[str, float | None]) -> str:
    """Whether the targets are met, in a line each."""
    lines = []
    for name, least in TARGETS.items():
        value = found[name]
        met = "no cases" if value is None else f"{value:.3f}, {'met' if value >= least else 'NOT MET'}"
        lines.append(f"{name} at least {least:.2f}: {met}")
    took = found["ms_per_case"]
    assert took is not None
    met = "met" if took < FASTEST_ENOUGH_MS else "NOT MET"
    return "\n".join([*lines, f"ms_per_case under {FASTEST_ENOUGH_MS:.0f}: {took:.1f}, {met}"])


def _share(rows: pd.DataFrame, column: str) -> float:
    return round(float(rows[column].mean()), 3)


def _with_interval(hits: pd.Series) -> str:
    interval = stats.binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
    return f"{hits.mean():.1%} ({interval.low:.0%} to {interval.high:.0%})"
