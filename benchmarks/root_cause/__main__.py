"""How well causes are found: `python -m benchmarks.root_cause [--incidents N] [--cases FOLDER]`.

First simulated incidents whose causes are known, as spans through the pipeline's own functions, beside a naive ranking
and a library; then 40 labelled cases from a real system; then what a lying model is believed, and what analysts add to
a cycle. The seeds from 1000 on are for evaluation only: the scan was made with the seeds from 0 to 335.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import pandas as pd
from rich.console import Console

from benchmarks.root_cause import cycle_time, faithfulness, report
from benchmarks.root_cause.real_cases import DEFAULT_FOLDER, load_cases, other_settings, real_hits
from benchmarks.root_cause.simulated import hits
from perf_pipeline.simulated_incidents.labelled import BATCH, labelled_incidents

FIRST_SEED = 1000

log = Console(stderr=True)


def main() -> None:
    # pysubgroup's, of pandas: they say nothing of what is measured.
    warnings.simplefilter("ignore", DeprecationWarning)
    arguments = _arguments()
    began, out = time.monotonic(), Console(width=150)
    simulated = _simulated(arguments.incidents)
    out.print(report.side_by_side(simulated), report.by_kind(simulated))
    real = None
    try:
        cases = load_cases(arguments.cases)
    except FileNotFoundError as missing:
        out.print(f"No real cases: {missing.filename} is not there. Give their folder with --cases.")
    else:
        real = real_hits(cases)
        out.print(report.real_cases(real), report.settings(other_settings(cases)))
    log.log("Reports of a lying model, and of an honest one")
    faithful = faithfulness.measure(arguments.reports)
    out.print(report.faithfulness(faithful))
    log.log("Cycles without a model, with one, and with one that hangs")
    cycles = cycle_time.measure()
    out.print(report.cycles(cycles))
    found = report.figures(simulated, real) | {"lies": faithful.lies, "lies_caught": faithful.caught} | cycles
    out.print(report.targets(found))
    out.print(f"{(time.monotonic() - began) / 60:.1f} minutes.")
    print(json.dumps(found))


def _simulated(incidents: int) -> pd.DataFrame:
    frames = []
    seeds = range(FIRST_SEED, FIRST_SEED + incidents)
    for first in range(0, incidents, BATCH):
        frames.append(hits(labelled_incidents(seeds[first : first + BATCH])))
        log.log(f"{min(first + BATCH, incidents)} of {incidents} incidents explained")
    return pd.concat(frames, ignore_index=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.root_cause", description=__doc__)
    parser.add_argument("--incidents", type=int, default=420, help="simulated incidents, of 14 kinds in turn")
    parser.add_argument("--reports", type=int, default=faithfulness.REPORTS, help="reports of a model that lies")
    parser.add_argument("--cases", type=Path, default=DEFAULT_FOLDER, help="the folder of the labelled cases")
    return parser.parse_args()


if __name__ == "__main__":
    main()
