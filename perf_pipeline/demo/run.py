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

from perf_pipeline.demo.demo_fleet import demo_fleet, write_fleet
from perf_pipeline.demo.script import DemoScript, simulate
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.installation import installed_resources
from perf_pipeline.instance import prepare_instance
from perf_pipeline.jobs import MONITORING, QUIET, SUMMARY, range_tags
from perf_pipeline.monitoring.windows import Window, windows_between
from perf_pipeline.settings import Settings, read_settings

LIVE_WINDOWS = 3
"""The last windows of the story are materialized one by one, as the schedule would; the others in one run."""

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
        self.script = DemoScript(now=now, window=self.fleet.window)
        self.windows: Sequence[Window] = windows_between(self.script.start, self.script.end, self.fleet.window)

    def steps(self, on_progress: Callable[[int, int], None]) -> list[Step]:
        history, live = self.windows[:-LIVE_WINDOWS], self.windows[-LIVE_WINDOWS:]
        steps = [
            Step("The fleet works", lambda: self.let_the_fleet_work(on_progress)),
            Step(f"Catch up on {len(history)} windows in one run", lambda: self.cycle(history[0], history[-1])),
        ]
        for window in live:
            first = self.windows[max(self.windows.index(window) - self.fleet.lateness_windows, 0)]
            title = f"The window {window.start:%H:%M}-{window.end:%H:%M} UTC closes"
            steps.append(Step(title, lambda first=first, last=window: self.cycle(first, last, with_sensors=True)))
        steps.append(Step("The daily summary", self.summarize))
        return steps

    def clear(self) -> None:
        """Forget an earlier demo. Raises DemoError where the folder holds something else."""
        home = self.settings.home
        if home.exists() and any(home.iterdir()) and not (home / MARK).exists():
            raise DemoError(f"{home} holds something that is not an earlier demo: choose another folder with --home.")
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        (home / MARK).touch()
        write_fleet(self.fleet, home)

    def let_the_fleet_work(self, on_progress: Callable[[int, int], None]) -> str:
        from resources.span_file_exporter import SpanFileExporter

        inbox = self.settings.inbox
        tasks = simulate(self.script, SpanFileExporter(inbox / "spans"), inbox, on_progress)
        return f"{len(tasks)} tasks of {len(self.script.agents)} DSPy agents, traced by OpenInference"

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
        sensor = definitions.resolve_sensor_def(name)
        context = dg.build_sensor_context(instance=instance, definitions=definitions, resources=self.resources)
        with context:
            message = sensor.evaluate_tick(context).skip_message
        return f"{name}: {message or 'nothing'}".rstrip(".")


def utc_now() -> datetime:
    return datetime.now(UTC)
