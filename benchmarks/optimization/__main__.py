"""What optimization runs cost at most, survive, promote and gain: `python -m benchmarks.optimization [--only PART]`.

- budgets: randomized runs through the real stack, with faults and kills, beside the server's own count.
- kills: a GEPA run under Dagster, killed at random moments and taken up again.
- outage: the model's server goes down in mid-run, and comes back.
- gate: how often the gate promotes what is no better, and what is.
- gains: what optimizers gain on texts that they never saw.

The last line is one JSON object. All models are simulated.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.optimization import report
from benchmarks.optimization.budget_runs import measure_budgets
from benchmarks.optimization.gains import measure
from benchmarks.optimization.kills import measure_kills
from benchmarks.optimization.outage import measure_outages
from benchmarks.optimization.promotion_rates import measure_promotions

HEADLINES = (
    "budget_runs",
    "cap_crossings",
    "kills",
    "double_results",
    "repeated_paid_share",
    "false_promotion_rate",
    "true_promotion_rate_n30",
    "bootstrap_gain_points",
    "gepa_gain_points",
)
"""What the line of JSON begins with."""

SHOWN_PROBLEMS = 20
TABLE_WIDTH = 150

log = Console(stderr=True, log_path=False)

Part = tuple[Table, report.Figures, Sequence[str]]
"""The table of a part, its figures, and a sentence for each thing that went wrong."""


def main() -> None:
    arguments = _arguments()
    # Those that fork come first: others leave threads behind.
    parts: dict[str, Callable[[], Part]] = {
        "budgets": lambda: _budgets(arguments.runs),
        "kills": lambda: _kills(arguments.kills),
        "outage": _outage,
        "gate": _gate,
        "gains": lambda: _gains(arguments.seeds),
    }
    began = time.monotonic()
    figures: report.Figures = {}
    out = Console()
    out.width = max(out.width, TABLE_WIDTH)
    for name, part in parts.items():
        if arguments.only in (None, name):
            log.log(f"{name} ...")
            table, own, problems = part()
            figures |= own
            out.print(table)
            for problem in problems[:SHOWN_PROBLEMS]:
                out.print(problem, markup=False)
            if len(problems) > SHOWN_PROBLEMS:
                out.print(f"... and {len(problems) - SHOWN_PROBLEMS} more")
    figures["seconds"] = round(time.monotonic() - began)
    print(json.dumps({name: figures[name] for name in HEADLINES if name in figures} | figures))


def _budgets(runs: int) -> Part:
    found = measure_budgets(runs, log.log)
    return report.budget_table(found), report.budget_figures(found), [*found.crossings, *found.mismatches]


def _kills(count: int) -> Part:
    found = measure_kills(count, log.log)
    return report.kill_table(found), report.kill_figures(found), found.problems


def _outage() -> Part:
    found = measure_outages(log.log)
    return report.outage_table(found), report.outage_figures(found), found.problems


def _gate() -> Part:
    found = measure_promotions()
    return report.promotion_table(found), report.promotion_figures(found), ()


def _gains(seeds: int) -> Part:
    frame = measure(seeds)
    return report.gains_table(frame), report.gains_figures(frame), ()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.optimization",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=("budgets", "kills", "outage", "gate", "gains"), help="this part alone")
    parser.add_argument("--runs", type=int, default=1000, help="randomized runs (budgets)")
    parser.add_argument("--kills", type=int, default=50, help="runs that are killed at least once (kills)")
    parser.add_argument("--seeds", type=int, default=10, help="random splits of each agent's texts (gains)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
