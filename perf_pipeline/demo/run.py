"""`perf-pipeline demo`: the simulated fleet lives its story, and the pipeline watches it through Dagster."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg

from perf_pipeline.approvals import Attempt, take_answer
from perf_pipeline.demo.demo_fleet import APPROVER, demo_fleet, write_fleet
from perf_pipeline.demo.script import DemoScript, simulate
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.installation import installed_resources
from perf_pipeline.instance import prepare_instance
from perf_pipeline.jobs import MONITORING, OPTIMIZATION, QUIET, SUMMARY, range_tags
from perf_pipeline.monitoring.windows import Window, windows_between
from perf_pipeline.optimization.approvals import fingerprint
from perf_pipeline.records import Answer, OptimizationRun, RequestState
from perf_pipeline.settings import Settings, read_settings
from resources.ledger import LedgerResource
from resources.program_files import ProgramFiles

LIVE_WINDOWS = 3
"""The last windows up to the incident are materialized one by one, as the schedule would; those before in one run."""

WINDOWS_AFTER = 2
"""The fleet works on for so long, with what was promoted."""

SENSORS = ("optimization_requests", "approvals", "notifications")

MARK = ".perf-pipeline-demo"


class DemoError(RuntimeError):
    """The demo cannot go on. The message says what to do."""


@dataclass(frozen=True)
class Step:
    """One thing that the demo does, in words, and the function that does it and says what came of it."""

    title: str
    run: Callable[[], str]


class Demo:
    """The demo in `home`: an installation of its own, without any external system."""

    def __init__(self, home: Path, fleet_path: Path, now: datetime) -> None:
        places = {"PERF_PIPELINE_HOME": str(home), "PERF_PIPELINE_FLEET": str(fleet_path)}
        self.settings: Settings = read_settings(places)
        self.fleet: FleetConfig = demo_fleet(fleet_path)
        self.resources = installed_resources(self.settings, self.fleet)
        before = now - WINDOWS_AFTER * self.fleet.window
        self.script = DemoScript(now=before, window=self.fleet.window)
        self.sequel = DemoScript(
            now=now,
            windows=WINDOWS_AFTER,
            window=self.fleet.window,
            seed=self.script.seed + 1,
            incident_windows=0,
            slower_windows=0,
            mends=True,
        )
        self.windows: Sequence[Window] = windows_between(self.script.start, self.sequel.end, self.fleet.window)

    def steps(self, on_progress: Callable[[int, int], None]) -> list[Step]:
        told, sequel = self.windows[:-WINDOWS_AFTER], self.windows[-WINDOWS_AFTER:]
        history, live = told[:-LIVE_WINDOWS], told[-LIVE_WINDOWS:]
        return [
            Step("The fleet works", lambda: self.let_the_fleet_work(self.script, on_progress)),
            Step(f"Catch up on {len(history)} windows in one run", lambda: self.cycle(history[0], history[-1])),
            *(self._closing(window) for window in live),
            Step("People answer", self.approve),
            Step("The optimizers run", self.optimize),
            Step("The fleet works on", lambda: self.let_the_fleet_work(self.sequel, on_progress)),
            *(self._closing(window) for window in sequel),
            Step("The daily summary", self.summarize),
        ]

    def _closing(self, window: Window) -> Step:
        first = self.windows[max(self.windows.index(window) - self.fleet.lateness_windows, 0)]
        title = f"The window {window.start:%H:%M}-{window.end:%H:%M} UTC closes"
        return Step(title, lambda: self.cycle(first, window, with_sensors=True))

    def clear(self) -> None:
        """Forget an earlier demo. Raises DemoError where the folder holds something else."""
        home = self.settings.home
        if home.exists() and any(home.iterdir()) and not (home / MARK).exists():
            raise DemoError(f"{home} holds something that is not an earlier demo: choose another folder with --home.")
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        (home / MARK).touch()
        write_fleet(self.fleet, home)

    def let_the_fleet_work(self, script: DemoScript, on_progress: Callable[[int, int], None]) -> str:
        from resources.span_file_exporter import SpanFileExporter

        inbox, programs = self.settings.inbox, ProgramFiles(self.settings.lake_url).programs
        tasks = simulate(script, SpanFileExporter(inbox / "spans"), inbox, on_progress, programs)
        return f"{len(tasks)} tasks of {len(script.agents)} DSPy agents, traced by OpenInference"

    def approve(self) -> str:
        """A simulated person approves what waits for approval, as 'perf-pipeline approve' would."""
        said = []
        with LedgerResource(url=self.settings.ledger_url).open() as book:
            for request in book.optimization_requests(RequestState.AWAITING_APPROVAL):
                attempt = Attempt(
                    id=f"demo:{request.id}",
                    request_id=request.id,
                    answer=Answer.APPROVE,
                    fingerprint=fingerprint(request),
                    person=APPROVER.name,
                    approver=APPROVER,
                    through="demo",
                )
                verdict = take_answer(book, self.fleet, attempt, utc_now())
                said.append(f"{APPROVER.name} (simulated): {verdict.reply}")
        return "\n      ".join(said) or "nobody was asked"

    def optimize(self) -> str:
        """Runs what is ready as Dagster would, in this process."""
        with self._instance() as instance:
            definitions = self._definitions()
            tick = self._evaluate(definitions, instance, "optimization_launches")
            for added in tick.dynamic_partitions_requests or ():
                instance.add_dynamic_partitions(added.partitions_def_name, list(added.partition_keys))
            for launch in tick.run_requests or ():
                self._run(definitions, instance, OPTIMIZATION, partition_key=launch.partition_key)
            told = self._tick(definitions, instance, "notifications")
        with LedgerResource(url=self.settings.ledger_url).open() as book:
            ended = [_result_line(run) for run in book.optimization_runs()]
        return "\n      ".join([*ended, told])

    def cycle(self, first: Window, last: Window, *, with_sensors: bool = False) -> str:
        with self._instance() as instance:
            began = time.monotonic()
            definitions = self._definitions()
            self._run(definitions, instance, MONITORING, tags=range_tags(first.key, last.key))
            said = [f"run in {time.monotonic() - began:.1f} s"]
            if with_sensors:
                said += [self._tick(definitions, instance, name) for name in SENSORS]
        return "\n      ".join(said)

    def summarize(self) -> str:
        day = self.windows[-1].start.astimezone(ZoneInfo(self.fleet.timezone)).date().isoformat()
        with self._instance() as instance:
            definitions = self._definitions()
            self._run(definitions, instance, SUMMARY, partition_key=day)
            return f"of {day}\n      {self._tick(definitions, instance, 'notifications')}"

    def _definitions(self) -> dg.Definitions:
        from perf_pipeline.definitions import build_defs

        return build_defs(self.fleet, self.resources)

    def _instance(self) -> dg.DagsterInstance:
        os.environ["DAGSTER_HOME"] = str(prepare_instance(self.settings.home))
        return dg.DagsterInstance.get()

    def _run(
        self,
        definitions: dg.Definitions,
        instance: dg.DagsterInstance,
        job: str,
        partition_key: str | None = None,
        tags: dict[str, str] | None = None,
    ) -> None:
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance, partition_key=partition_key, tags=tags, raise_on_error=False, run_config=QUIET
        )
        if not result.success:
            raise DemoError(f"The Dagster run {result.run_id} failed: look at it with 'make dev'.")

    def _tick(self, definitions: dg.Definitions, instance: dg.DagsterInstance, name: str) -> str:
        message = self._evaluate(definitions, instance, name).skip_message
        return f"{name}: {message or 'nothing'}".rstrip(".")

    def _evaluate(self, definitions: dg.Definitions, instance: dg.DagsterInstance, name: str) -> dg.SensorExecutionData:
        context = dg.build_sensor_context(instance=instance, definitions=definitions, resources=self.resources)
        with context:
            return definitions.resolve_sensor_def(name).evaluate_tick(context)


def _result_line(run: OptimizationRun) -> str:
    scores = ""
    if run.baseline_score is not None and run.candidate_score is not None:
        scores = f", {run.baseline_score:.0f} → {run.candidate_score:.0f} points on {run.held_out_items} held-out tasks"
    spent = f"${run.spent_usd:.2f} of ${run.cap_usd:g} spent (simulated model)"
    return f"{run.optimizer} for {run.agent}: {str(run.outcome).replace('_', ' ')}{scores}, {spent}"


def utc_now() -> datetime:
    return datetime.now(UTC)
