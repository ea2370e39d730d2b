"""Running the open window now: through Dagster's run queue, one run at a time, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_people import SlackTarget
from perf_pipeline.jobs import MONITORING, range_tags
from perf_pipeline.monitoring.windows import Window, floor_to_window, window_of_key
from perf_pipeline.optimization.policy import Choice
from perf_pipeline.records import SourceStatus
from perf_pipeline.tables import AGENT_METRICS, ANOMALIES, OPTIMIZATION_DECISIONS
from perf_pipeline.trigger_figures import CycleFigures, cycle_figures
from resources.dagster_webserver import DagsterRun, DagsterWebserver
from resources.lake import Lake
from resources.ledger import Ledger
from resources.reading import DagsterError

TRIGGERED_BY = "perf_pipeline/triggered_by"
"""Tag of runs that somebody asked for; its value is the person."""

RANGE_START, RANGE_END, PARTITION = (
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
    "dagster/partition",
)

SETTLES_WITHIN = timedelta(seconds=90)
"""After a run, sensors record requests and send messages. What they have not done by then is no longer its doing."""

QUEUE_DAEMON = "QUEUED_RUN_COORDINATOR"
POLL_SECONDS = 0.5
TAKING_TURNS_SECONDS = 60


@dataclass(frozen=True)
class CycleOutcome:
    """A run of the cycle, as far as it has come. `figures` are None until it is over; `errors` are sentences."""

    run_id: str
    status: str
    is_over: bool
    success: bool
    window: Window | None
    triggered_by: str | None
    figures: CycleFigures | None = None
    errors: tuple[str, ...] = field(default=())

    def answer(self) -> dict[str, Any]:
        """The figures with run, window and errors; times in ISO 8601. All figures are 0 for a run that is not over."""
        return {
            "success": self.success,
            **asdict(self.figures or CycleFigures(0, 0, 0, 0)),
            "run_id": self.run_id,
            "window": {"start": self.window.start.isoformat(), "end": self.window.end.isoformat()}
            if self.window
            else None,
            "errors": list(self.errors),
        }


class Trigger:
    """Everything raises DagsterError where Dagster's webserver does not answer."""

    def __init__(
        self,
        book: Ledger,
        lake: Lake,
        fleet: FleetConfig,
        dagster: DagsterWebserver,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._book, self._lake, self._fleet, self._dagster = book, lake, fleet, dagster
        self._clock, self._sleep = clock, sleep

    def begin(self, person: str) -> str:
        """The run of the open window: the one that was asked for and goes on, or else a new one; its ID.

        Whoever asks at the same time, in this process or another one, gets the same run.
        """
        for _ in range(round(TAKING_TURNS_SECONDS / POLL_SECONDS)):
            with self._book.exclusive("trigger") as is_our_turn:
                if is_our_turn:
                    return self._join_or_launch(person)
            self._sleep(POLL_SECONDS)
        raise DagsterError(
            "Others are asking Dagster for a run, and it does not answer them: try again.", retryable=True
        )

    def wait(self, run_id: str, tell: Callable[[str], None] = lambda _status: None) -> CycleOutcome:
        """Wait until the run is over, and the sensors that act on it have looked at it. `tell` hears of each status."""
        run = self._known(run_id)
        while not run.is_over:
            tell(run.status)
            self._sleep(POLL_SECONDS)
            run = self._known(run_id)
        tell(run.status)
        problems = self._settle(run) if run.succeeded else ()
        return self._outcome(run, problems)

    def outcome(self, run_id: str) -> CycleOutcome | None:
        """How the run stands now; None where Dagster knows no such run of the cycle."""
        run = self._dagster.run(run_id)
        return self._outcome(run, ()) if run is not None and _first_and_last(run) else None

    def _join_or_launch(self, person: str) -> str:
        going_on = self._dagster.runs(MONITORING, unfinished=True)
        for run in going_on:
            if TRIGGERED_BY in run.tags:
                return run.id
        if not self._dagster.automation().daemons.get(QUEUE_DAEMON, False):
            raise DagsterError(
                "The Dagster daemon does not run, so that nothing would take the run out of the queue: start it with "
                "'perf-pipeline dev' or 'dagster-daemon run'.",
                retryable=True,
            )
        start = floor_to_window(self._clock(), self._fleet.window)
        key = Window(start, start + self._fleet.window).key
        return self._dagster.launch(MONITORING, {**range_tags(key, key), TRIGGERED_BY: person})

    def _known(self, run_id: str) -> DagsterRun:
        run = self._dagster.run(run_id)
        if run is None:
            raise DagsterError(f"Dagster does not know the run {run_id} any more.", retryable=False)
        return run

    def _settle(self, run: DagsterRun) -> tuple[str, ...]:
        """Wait for the sensors that act on what the run found: each must have begun a tick after the run, and after
        the sensor whose work it takes up. What could not be waited for."""
        looked_at = run.ended_at or self._clock()
        until = looked_at + SETTLES_WITHIN
        switched_on = self._dagster.automation().sensors
        problems = []
        for sensor in self._sensors_after(run):
            if not switched_on.get(sensor, False):
                problems.append(f"The sensor {sensor} is switched off: switch it on in Dagster's UI under Automation.")
                continue
            done = self._tick_after(sensor, looked_at, until)
            if done is None:
                problems.append(
                    f"The sensor {sensor} did not look at the run within {SETTLES_WITHIN.total_seconds():.0f} s: the "
                    "figures may still grow, see its ticks in Dagster's UI."
                )
                break
            looked_at = done
        return tuple(problems)

    def _sensors_after(self, run: DagsterRun) -> tuple[str, ...]:
        window = self._window_of(run)
        assert window is not None
        decisions = self._lake.read(OPTIMIZATION_DECISIONS.view("window_start", "decision"), window.start, window.end)
        if (decisions["decision"] == str(Choice.OPTIMIZE)).any():
            return "optimization_requests", "approvals", "notifications"
        return ("notifications",)

    def _tick_after(self, sensor: str, since: datetime, until: datetime) -> datetime | None:
        """When the first tick that began at or after `since` had ended; None where that is not before `until`."""
        while True:
            ticks = [tick for tick in self._dagster.ticks(sensor, MONITORING) if tick.started_at >= since]
            ended = [tick.ended_at for tick in ticks if tick.ended_at is not None]
            if ended:
                return min(ended)
            if self._clock() >= until:
                return None
            self._sleep(POLL_SECONDS)

    def _outcome(self, run: DagsterRun, problems: tuple[str, ...]) -> CycleOutcome:
        window = self._window_of(run)
        person = run.tags.get(TRIGGERED_BY)
        if not run.is_over or window is None:
            return CycleOutcome(run.id, run.status, run.is_over, run.succeeded, window, person)
        errors = [f"The step {step} failed: see {self._dagster.run_url(run.id)}" for step in run.failed_steps]
        if not run.succeeded and not errors:
            errors.append(f"The run ended as {run.status.lower()}: see {self._dagster.run_url(run.id)}")
        errors += [
            f"{reading.source} could not be read completely: {reading.reason}"
            for reading in self._book.health(window.start, window.end)
            if reading.status is not SourceStatus.COMPLETE
        ]
        figures = self._figures(run, window)
        return CycleOutcome(run.id, run.status, True, run.succeeded, window, person, figures, (*errors, *problems))

    def _figures(self, run: DagsterRun, window: Window) -> CycleFigures:
        started = run.started_at or run.created_at
        happened = Window(started, (run.ended_at or started) + SETTLES_WITHIN)
        incidents = self._book.incidents(window.start)
        targets = self._fleet.notifications.targets
        return cycle_figures(
            window,
            happened,
            self._lake.read(AGENT_METRICS.view("agent", "window_start"), window.start, window.end),
            self._lake.read(ANOMALIES.view("agent", "window_start", "state"), window.start, window.end),
            self._book.optimization_requests(),
            incidents,
            self._book.told_incidents(incident.id for incident in incidents),
            self._book.notifications(since=started),
            (name for name, target in targets.items() if isinstance(target, SlackTarget)),
        )

    def _window_of(self, run: DagsterRun) -> Window | None:
        keys = _first_and_last(run)
        if keys is None:
            return None
        first, last = (window_of_key(key, self._fleet.window) for key in keys)
        return Window(first.start, last.end)


def _first_and_last(run: DagsterRun) -> tuple[str, str] | None:
    """The keys of the run's first and last window; None for one that has no windows."""
    first = run.tags.get(RANGE_START, run.tags.get(PARTITION))
    last = run.tags.get(RANGE_END, first)
    is_of_windows = first is not None and len(first) == len("2026-11-22-09:30")
    return (first, last) if is_of_windows and first is not None and last is not None else None
