"""The scripted story of the demo: a healthy fleet, then a deployment after which InboundAgent fails at everything.

The story is data (`DemoScript`), its plan is a pure function, and `simulate` lets the real DSPy agents live it.
What is scripted is when a task begins, how long it takes and whether its model fails; what a failure does to the
program and to its spans is real.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perf_pipeline.demo.records import (
    Deployment,
    FinishedTask,
    Review,
    append_deployments,
    append_reviews,
    append_tasks,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from resources.program_source import ProgramSource

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FAULTS = ("malformed", "rate_limited", "timed_out")
NAMESPACE = uuid.UUID("6f0b0c3e-6a53-4d0e-9b1c-3d6c1f1f7a10")


@dataclass(frozen=True)
class AgentScript:
    """How an agent usually does. `latency_ms` is its median; single tasks vary around it by about a sixth."""

    name: str
    success_rate: float
    latency_ms: float


HEALTHY_FLEET = (
    AgentScript("StrategyAgent", 94, 5200),
    AgentScript("InboundAgent", 85, 1600),
    AgentScript("FollowUpAgent", 93, 1900),
    AgentScript("ResearchAgent", 90, 6400),
    AgentScript("AuditAgent", 96, 2700),
    AgentScript("AccountOrchestrator", 88, 7200),
    AgentScript("Introspection", 97, 3100),
)
"""Success rates in percent."""


@dataclass(frozen=True)
class DemoScript:
    """The story: `windows` closed windows before `now` (UTC), the last `incident_windows` of them with the incident.

    The same script always gives the same tasks, answers and ids. `project` is Phoenix's name for where they go.
    """

    now: datetime
    windows: int = 10
    window: timedelta = timedelta(minutes=30)
    seed: int = 7
    tasks_per_window: tuple[int, int] = (6, 14)
    agents: tuple[AgentScript, ...] = HEALTHY_FLEET
    project: str = "agents"
    failing_agent: str = "InboundAgent"
    incident_windows: int = 2
    old_model: str = "embedded/simulated-1"
    new_model: str = "embedded/simulated-2"
    old_version: str = "v14"
    new_version: str = "v15"
    mends: bool = False
    """Whether this goes on after an incident: a deployment at its beginning takes the fatal one back."""
    slower_agent: str = "FollowUpAgent"
    slower_by: float = 1.1
    slower_windows: int = 3
    recovered_share: float = 0.05
    """Part of the good tasks in which the model's first answer is malformed and the second one is not."""

    def window_of(self, time: datetime) -> datetime:
        """Start of the window that holds the time."""
        return EPOCH + (time - EPOCH) // self.window * self.window

    @property
    def end(self) -> datetime:
        """End of the last closed window."""
        return self.window_of(self.now)

    @property
    def start(self) -> datetime:
        return self.end - self.windows * self.window

    @property
    def deployed_at(self) -> datetime:
        """A little before the incident's first window, or before the first window that is well again. No task begins
        between the two."""
        if self.mends:
            return self.start - self.window / 15
        return self.end - self.incident_windows * self.window - self.window / 15


@dataclass(frozen=True)
class PlannedTask:
    """What the script decides about a task. `fault` strikes the model's first answer, and the second if it persists."""

    agent: str
    task_id: str
    session_id: str
    window_start: datetime
    start: datetime
    latency_ms: float
    draw: float
    """Which of the agent's sample inputs it works on: 0 for the first, to below 1 for the last."""
    fault: str | None
    persists: bool
    model: str
    program_version: str


@dataclass(frozen=True)
class SimulatedTask:
    """What really happened to a task: the truth that the pipeline's figures are compared with. Times are UTC.

    `error_type` is the exception's qualified name, as OpenTelemetry records it. `parent_agent` is set for a task that
    one agent gave to another.
    """

    agent: str
    task_id: str
    start: datetime
    latency_ms: float
    ok: bool
    error_type: str | None
    window_start: datetime
    parent_agent: str | None = None
    is_right: bool | None = None
    """Whether the answer was the right one; None where that is not known."""
    right_answer: Mapping[str, Any] | None = None


def plan_tasks(script: DemoScript) -> list[PlannedTask]:
    """All tasks of the story in order of start."""
    planned = [task for agent in script.agents for task in _plan_agent(script, agent)]
    return sorted(planned, key=lambda task: (task.start, task.agent))


def simulate(
    script: DemoScript,
    exporter: SpanExporter,
    inbox: Path,
    on_progress: Callable[[int, int], None],
    programs: ProgramSource | None = None,
) -> list[SimulatedTask]:
    """Runs the story's tasks on real DSPy programs and the embedded model, and returns what happened to each.

    Spans go to the exporter at their simulated times; it is shut down at the end. Task states, log lines and
    deployments are appended to files in the inbox, and there simulated reviewers say which answers were right.
    `on_progress` gets the number of tasks done and of all; `programs` is where the agents look for promoted versions.
    Raises LookupError where the exporter does not take the spans of a task.
    """
    from perf_pipeline.demo.fleet_run import FleetRun

    planned = plan_tasks(script)
    happened: list[SimulatedTask] = []
    with FleetRun(exporter, script, programs) as fleet:
        for done, task in enumerate(planned, start=1):
            happened += fleet.run(task)
            on_progress(done, len(planned))
    repaired = {task.task_id for task in planned if task.fault and not task.persists}
    append_tasks(inbox, [_finished(task, task.task_id in repaired) for task in happened])
    append_deployments(inbox, _deployments(script))
    append_reviews(inbox, [_review(task) for task in happened if task.right_answer is not None])
    return happened


def _plan_agent(script: DemoScript, agent: AgentScript) -> Iterator[PlannedTask]:
    chance = random.Random(f"{script.seed}|{agent.name}")
    owed_failures = chance.random()
    for index in range(script.windows):
        window_start = script.start + index * script.window
        left = script.windows - index
        slower = script.slower_by if agent.name == script.slower_agent and left <= script.slower_windows else 1.0
        broken = agent.name == script.failing_agent and left <= script.incident_windows
        # The last tenth of a window is left free, so that the deployment falls between two tasks.
        starts = sorted(chance.uniform(0, 0.9) for _ in range(chance.randint(*script.tasks_per_window)))
        for number, share in enumerate(starts):
            owed_failures += 1 - agent.success_rate / 100
            fails = owed_failures >= 1
            owed_failures -= fails
            recovers = chance.random() < script.recovered_share
            cause = chance.choice(FAULTS)
            task_id = str(uuid.uuid5(NAMESPACE, f"{script.seed}|{agent.name}|{window_start.isoformat()}|{number}"))
            yield PlannedTask(
                agent=agent.name,
                task_id=task_id,
                session_id=f"session-{task_id[:8]}",
                window_start=window_start,
                start=window_start + timedelta(milliseconds=round(share * (script.window / timedelta(milliseconds=1)))),
                latency_ms=round(agent.latency_ms * slower * min(1.5, chance.lognormvariate(0, 0.16)), 3),
                draw=chance.random(),
                fault="malformed" if broken or (recovers and not fails) else cause if fails else None,
                persists=broken or fails,
                model=script.new_model if broken else script.old_model,
                program_version=script.new_version if broken else script.old_version,
            )


def _review(task: SimulatedTask) -> Review:
    read_at = task.start + timedelta(milliseconds=task.latency_ms) + timedelta(seconds=30)
    return Review(task.task_id, read_at, bool(task.is_right), task.right_answer or {})


def _deployments(script: DemoScript) -> list[Deployment]:
    at, agent = script.deployed_at, script.failing_agent
    if script.mends:
        change = f"Take {agent} back to {script.old_model.removeprefix('embedded/')}"
        return [
            Deployment(at, "deployment", agent, script.new_version, script.old_version, change),
            Deployment(at, "model", agent, script.new_model, script.old_model, f"{agent} calls its old model again"),
        ]
    change = f"Move {agent} to {script.new_model.removeprefix('embedded/')}"
    return [
        Deployment(at, "deployment", agent, script.old_version, script.new_version, change),
        Deployment(at, "model", agent, script.old_model, script.new_model, f"{agent} calls another model"),
    ]


def _finished(task: SimulatedTask, repaired: bool) -> FinishedTask:
    end = task.start + timedelta(milliseconds=task.latency_ms)
    return FinishedTask(task.task_id, task.agent, task.start, end, task.error_type, repaired)
