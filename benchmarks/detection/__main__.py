"""How well trouble is found: `python -m benchmarks.detection [--seeds N] [--quick]`.

Our detectors, as a backtest runs them with the repository's fleet.yaml, beside four rivals and the clairvoyant limit,
on simulated fleets whose incidents are known; then the gauge on the NAB series, and the detectors' cost. The seeds
from 1000 on are for evaluation only. `--quick` takes a few of the tuning seeds, to see that the benchmark works.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from benchmarks.detection import report
from benchmarks.detection.evaluation import Evaluation, Job, evaluated, fleet_file, judged, new_agent_jobs
from benchmarks.detection.figures import figures
from benchmarks.detection.throughput import AGENTS, grown_memory, measure
from benchmarks.nab import DEFAULT_FOLDER, nab_scores

TUNING = "The detectors were tuned on the seeds 0-15, the clairvoyant's bar was set on 200-219."
SEVERITY = (
    "Severity: ours is the worst that a finding reached, as a backtest exports it; falls to zero are graded by what "
    "was said at that window's close."
)

log = Console(stderr=True)


def main() -> None:
    arguments = _arguments()
    if not (arguments.nab / "score.py").is_file():
        sys.exit(f"There is no {arguments.nab / 'score.py'}: give the folder of NAB's series with --nab.")
    began, fleet = time.monotonic(), fleet_file()
    jobs = _quick_jobs() if arguments.quick else _evaluation_jobs(arguments.seeds)
    evaluation = evaluated(_logged(jobs, arguments.processes))
    grown = grown_memory(fleet)
    throughput = [measure(agents, grown, fleet) for agents in AGENTS]
    log.log("Scoring the NAB series")
    nab = nab_scores(arguments.nab)
    found = figures(evaluation, throughput, nab)
    published = json.loads((arguments.nab / "leaderboard.json").read_text(encoding="utf-8"))

    out = Console(width=150)
    out.print(_seeds_in_words(evaluation, quick=arguments.quick))
    out.print(report.side_by_side(evaluation), report.limit(evaluation), SEVERITY)
    out.print(report.by_kind(evaluation))
    out.print(report.false_alarms(evaluation, fleet.detection.false_alarms_per_agent_week))
    out.print(report.new_agents(evaluation), report.speed(throughput))
    out.print(report.nab(nab, published), f"{nab['seconds_per_million']:.0f} s of one core per million readings.")
    out.print(report.targets(evaluation, found))
    out.print(f"{(time.monotonic() - began) / 60:.1f} minutes on {arguments.processes} processes.")
    print(json.dumps(found))


def _evaluation_jobs(seeds: int) -> list[Job]:
    return [
        *(Job(seed, "incidents") for seed in range(1000, 1000 + seeds)),
        *(Job(seed, "null") for seed in range(2000, 2000 + seeds)),
        *new_agent_jobs(range(3000, 4000), each=40),
    ]


def _quick_jobs() -> list[Job]:
    return [
        *(Job(seed, "incidents") for seed in range(20, 24)),
        *(Job(seed, "null") for seed in range(20, 22)),
        *new_agent_jobs(range(60, 100), each=3),
    ]


def _logged(jobs: list[Job], processes: int) -> Iterator:
    for number, result in enumerate(judged(jobs, processes), start=1):
        if number % 10 == 0 or number == len(jobs):
            log.log(f"{number} of {len(jobs)} fleets judged")
        yield result


def _seeds_in_words(evaluation: Evaluation, *, quick: bool) -> str:
    used = ", ".join(f"{name} {min(seeds)}-{max(seeds)}" for name, seeds in evaluation.seeds.items() if seeds)
    if quick:
        return f"QUICK: tuning seeds ({used}). These figures say that the benchmark works, and nothing else."
    return f"Evaluation seeds: {used}. {TUNING}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="fleets with incidents, and as many without")
    parser.add_argument("--quick", action="store_true", help="a few tuning seeds, to try the benchmark")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--nab", type=Path, default=DEFAULT_FOLDER, help="the folder of NAB's series")
    return parser.parse_args()


if __name__ == "__main__":
    main()
