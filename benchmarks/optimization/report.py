"""The tables for people, and the figures for the line of JSON."""

from __future__ import annotations

from collections import Counter
from statistics import mean

import pandas as pd
from rich.table import Table

from benchmarks.optimization.budget_runs import HUNG, BudgetFigures, BudgetRun
from benchmarks.optimization.gains import gains_in_points, summary
from benchmarks.optimization.kills import KillFigures
from benchmarks.optimization.outage import OutageFigures
from benchmarks.optimization.promotion_rates import PromotionRates

Figures = dict[str, float]


def budget_table(found: BudgetFigures) -> Table:
    table = Table(title=f"Randomized runs through DSPy, LiteLLM and HTTP, in {found.seconds:.0f} s")
    table.add_column("Search", no_wrap=True)
    for name in (
        "Runs",
        "Killed",
        "Kills",
        "To the end",
        "Out of budget",
        "Hung",
        "Calls",
        "Unknown",
        "Billed unheard",
        "USD billed",
        "USD in ledger",
        "Crossings",
        "Mismatches",
    ):
        table.add_column(name, justify="right")
    for kind in sorted({run.plan.kind for run in found.runs}):
        table.add_row(kind, *_budget_cells([run for run in found.runs if run.plan.kind == kind]))
    months = [str(len(found.month_crossings)), str(len(found.month_mismatches))]
    table.add_row("months that runs share", *[""] * 11, *months)
    table.add_row("all", *_budget_cells(found.runs)[:-2], str(len(found.crossings)), str(len(found.mismatches)))
    return table


def _budget_cells(runs: list[BudgetRun]) -> list[str]:
    outcomes = Counter(run.outcome for run in runs)
    compared = [run.comparison for run in runs]
    counts = (
        len(runs),
        sum(run.kills > 0 for run in runs),
        sum(run.kills for run in runs),
        outcomes["done"],
        outcomes["BudgetExhausted"],
        outcomes[HUNG],
        sum(one.served_calls for one in compared),
        sum(one.unknown for one in compared),
        sum(one.unheard for one in compared),
    )
    dollars = (sum(one.billed_usd for one in compared), sum(one.committed_usd for one in compared))
    wrong = (sum(len(one.crossings) for one in compared), sum(len(one.mismatches) for one in compared))
    return [*map(str, counts), *(f"{amount:.3f}" for amount in dollars), *map(str, wrong)]


def kill_table(found: KillFigures) -> Table:
    calls = mean(run.calls for run in found.uninterrupted)
    table = Table(title=f"kill -9 of a GEPA run under Dagster: {len(found.runs)} runs in {found.seconds:.0f} s")
    for name in ("", "Figure"):
        table.add_column(name, justify="right" if name else "left")
    rows: dict[str, object] = {
        "Kills": found.kills,
        **{f"  {part}": count for part, count in sorted(found.hit.items())},
        "Processes that a run took, at most": 1 + max(len(run.hit) for run in found.runs),
        "Results beyond the first": found.double_results,
        "Runs unlike an uninterrupted one": len({said.partition(":")[0] for said in found.problems}),
        "Calls of an uninterrupted run": f"{calls:.0f}",
        "Calls that were paid again, mean of a run": f"{mean(run.repeated_calls for run in found.runs):.1f}",
        "The same as a share": f"{found.repeated_paid_share:.2%}",
    }
    for name, figure in rows.items():
        table.add_row(name, str(figure))
    return table


def outage_table(found: OutageFigures) -> Table:
    table = Table(title=f"The model's server goes down in mid-run, and comes back, in {found.seconds:.0f} s")
    for name in ("Down at call", "Meanwhile", "In the end", "Same version", "Calls"):
        table.add_column(name, justify="right")
    for outage in found.outages:
        is_same = outage.after.version == found.undisturbed.version
        outcomes = (str(outage.during.outcome), str(outage.after.outcome))
        table.add_row(str(outage.at_call), *outcomes, "yes" if is_same else "no", str(outage.calls))
    table.add_row("never", "", str(found.undisturbed.outcome), "", str(found.undisturbed_calls))
    return table


def promotion_table(found: PromotionRates) -> Table:
    table = Table(title="What the gate promotes")
    for name in ("", "Share", "Setting"):
        table.add_column(name, justify="right" if name == "Share" else "left")
    for name, rate in (("no better, highest", found.false), ("20 points better, lowest", found.true)):
        table.add_row(name, f"{rate.promoted:.1%}", rate.in_words())
    return table


def gains_table(frame: pd.DataFrame) -> Table:
    gains = gains_in_points(frame)
    table = Table(title=f"Points above the baseline on texts that no optimizer saw, {frame['seed'].nunique()} splits")
    for column in ("Agent", *gains.columns):
        table.add_column(str(column), justify="left" if column == "Agent" else "right")
    for task, rows in gains.groupby(level="task", sort=False):
        table.add_row(str(task), *(f"{rows[column].mean():+.1f}" for column in gains.columns))
    return table


def budget_figures(found: BudgetFigures) -> Figures:
    return {
        "budget_runs": len(found.runs),
        "cap_crossings": len(found.crossings),
        "kill_runs": found.kill_runs,
        "ledger_mismatches": len(found.mismatches),
        "hung_runs": found.outcomes[HUNG],
        "unknown_outcomes": sum(run.comparison.unknown for run in found.runs),
        "budget_seconds": round(found.seconds),
    }


def kill_figures(found: KillFigures) -> Figures:
    return {
        "kills": found.kills,
        "double_results": found.double_results,
        "repeated_paid_share": round(found.repeated_paid_share, 4),
        "killed_run_problems": len(found.problems),
        "kill_seconds": round(found.seconds),
    }


def outage_figures(found: OutageFigures) -> Figures:
    return {"outages": len(found.outages), "outage_problems": len(found.problems)}


def promotion_figures(found: PromotionRates) -> Figures:
    return {
        "false_promotion_rate": round(found.false.promoted, 4),
        "true_promotion_rate_n30": round(found.true.promoted, 4),
    }


def gains_figures(frame: pd.DataFrame) -> Figures:
    return dict(summary(frame))
