"""The model's server goes down in the middle of a run: nothing is promoted, and the run goes on once it is back."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.optimization.children import in_child, in_workers
from benchmarks.optimization.dagster_runs import Result, State, from_template, write_template
from benchmarks.optimization.fault_plans import FaultPlan
from benchmarks.optimization.model_server_process import ModelServerProcess
from benchmarks.optimization.warm_up import warm_up
from perf_pipeline.records import RequestState, RunOutcome

MOMENTS = (0.02, 0.2, 0.4, 0.6, 0.8, 0.97)
"""Shares of an uninterrupted run's calls, after which the server goes down."""


@dataclass(frozen=True)
class Outage:
    """`problems` hold a sentence for whatever was not as it ought to be, during the outage or after it."""

    at_call: int
    during: Result
    after: Result
    calls: int
    problems: tuple[str, ...]


@dataclass
class OutageFigures:
    undisturbed: Result
    undisturbed_calls: int
    outages: list[Outage] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def problems(self) -> list[str]:
        return [said for outage in self.outages for said in outage.problems]


def measure_outages(log: Callable[[str], None]) -> OutageFigures:
    began = time.monotonic()
    warm_up()
    with tempfile.TemporaryDirectory(prefix="bench-outages-") as name:
        folder = Path(name)
        write_template(folder / "template")
        [(undisturbed, calls)] = in_workers(partial(_undisturbed, folder), [0], workers=1)
        found = OutageFigures(undisturbed, calls)
        moments = [max(1, round(share * calls)) for share in MOMENTS]
        for outage in in_workers(partial(_outage, folder, undisturbed), moments):
            found.outages.append(outage)
            log(f"The server went down at call {outage.at_call}: {outage.during.outcome}, then {outage.after.outcome}")
    found.outages.sort(key=lambda outage: outage.at_call)
    found.seconds = time.monotonic() - began
    return found


def _undisturbed(folder: Path, server: ModelServerProcess, _: int) -> tuple[Result, int]:
    runs = from_template(folder / "template", folder / "undisturbed", server.open(FaultPlan()))
    in_child(runs.run)
    return runs.state().result, sum(call.is_billed for call in server.close())


def _outage(folder: Path, undisturbed: Result, server: ModelServerProcess, at_call: int) -> Outage:
    base_url = server.open(FaultPlan(), goes_down_at=at_call)
    runs = from_template(folder / "template", folder / f"outage-{at_call}", base_url)
    succeeded = bool(in_child(runs.run).result)
    during = runs.state()
    server.heal()
    in_child(runs.run)
    after = runs.state()
    calls = sum(call.is_billed for call in server.close())
    problems = [*problems_during(during, succeeded=succeeded), *problems_after(after, undisturbed)]
    told = tuple(f"down at call {at_call}: {said}" for said in problems)
    return Outage(at_call, during.result, after.result, calls, told)


def problems_during(state: State, *, succeeded: bool) -> list[str]:
    found = []
    if succeeded:
        found.append("Dagster's run succeeded")
    if state.result.outcome is not RunOutcome.INFRASTRUCTURE_FAILURE:
        found.append(f"the outcome is {state.result.outcome}")
    if state.moves or state.pointer:
        found.append(f"something was promoted: {state.moves}, {state.pointer}")
    if state.request.state is not RequestState.READY:
        found.append(f"the request is {state.request.state}, and not ready again")
    return found


def problems_after(state: State, undisturbed: Result) -> list[str]:
    found = []
    if state.result != undisturbed:
        found.append(f"the result is {state.result}, and without an outage {undisturbed}")
    if state.request.state is not RequestState.FINISHED:
        found.append(f"the request is {state.request.state} in the end")
    return found
