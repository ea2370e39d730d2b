"""What becomes of messages to people when senders are killed, when everything fails at once, and how long they take.

The ledger, the outbox's code and the Slack client are the real ones; Slack is npm's emulate behind proxies of ours.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from rich.console import Console

from benchmarks.notifications.crash_scenarios import SCENARIOS, Scenario, on_postgres, run
from benchmarks.notifications.crash_test import CrashTest, Laboratory, laboratory
from benchmarks.notifications.latency import measure_latency
from benchmarks.notifications.report import (
    OUTAGE,
    CrashFigures,
    crash_table,
    figures,
    latency_table,
    storm_table,
    total,
)
from benchmarks.notifications.storm import Storm, storm_in_the_ledger, storm_through_the_cycle
from tests.real.services.postgrest import postgres

SHOWN_PROBLEMS = 20
TABLE_WIDTH = 130

console = Console(stderr=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.notifications", description=__doc__)
    parser.add_argument(
        "--stride", type=int, default=1, help="of the lines to die at, only every STRIDE-th; all by default"
    )
    stride = parser.parse_args().stride
    with tempfile.TemporaryDirectory(prefix="bench-notifications-") as folder, laboratory(Path(folder)) as lab:
        crashes = crash_tests(lab, stride)
        storms = measure_storms(lab)
        latency = measure_latency(lab.folder, lab.slack, lab.proxy)
    out = Console()
    out.width = max(out.width, TABLE_WIDTH)
    for table in (crash_table(crashes), storm_table(storms), latency_table(latency)):
        out.print(table)
    problems = total(crashes).audit.problems
    for problem in problems[:SHOWN_PROBLEMS]:
        out.print(problem, markup=False)
    if len(problems) > SHOWN_PROBLEMS:
        out.print(f"... and {len(problems) - SHOWN_PROBLEMS} more")
    print(json.dumps(figures(total(crashes), storms, latency)))


def crash_tests(lab: Laboratory, stride: int) -> dict[str, CrashFigures]:
    results = {}
    for name, scenario in SCENARIOS.items():
        with lab.crash_test(_channel(name)) as test:
            results[name] = _timed(name, scenario, test, stride)
    with postgres() as address, lab.crash_test("postgres", address) as test:
        results["a ledger in PostgreSQL"] = _timed("a ledger in PostgreSQL", on_postgres, test, stride)
    return results


def measure_storms(lab: Laboratory) -> dict[str, Storm]:
    storms = {}
    for outage in (False, True):
        suffix = f", while {OUTAGE}" if outage else ""
        console.print(f"storms{suffix} ...")
        with lab.crash_test(f"storm-{outage}".lower()) as test:
            storms[f"from the ledger to Slack{suffix}"] = storm_in_the_ledger(test, outage=outage)
        folder = lab.folder / f"cycle-{outage}"
        storms[f"from the spans, through a cycle{suffix}"] = storm_through_the_cycle(folder, outage=outage)
    return storms


def _timed(name: str, scenario: Scenario, test: CrashTest, stride: int) -> CrashFigures:
    console.print(f"{name} ...")
    began = time.perf_counter()
    audit = run(scenario, test, stride)
    return CrashFigures(test.tally, audit, time.perf_counter() - began)


def _channel(name: str) -> str:
    return name.lower().replace(" ", "-")


if __name__ == "__main__":
    main()
