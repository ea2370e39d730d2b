"""An installation whose InboundAgent and StrategyAgent can be optimized, on examples in a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dspy_modules.demo_agents import INBOUND_EXAMPLES, STRATEGY_EXAMPLES
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_targets import ModelConfig, TargetConfig
from perf_pipeline.records import OptimizationRequest, RequestState
from perf_pipeline.runs.run import run_request
from perf_pipeline.runs.tools import RunProgress, RunResult, RunTools
from resources.lake import Lake
from resources.ledger import Ledger
from resources.program_files import ProgramFiles
from tests.builders import shipped_fleet
from tests.cycle_fixtures import RecordedSpans
from tests.run_builders import a_request

SIMULATED = ModelConfig(
    model="embedded/simulated-1",
    usd_per_million_input_tokens=0.4,
    usd_per_million_output_tokens=1.6,
    max_tokens=400,
)
REFLECTING = SIMULATED.model_copy(update={"max_tokens": 4000})


def right_answer(example: Any, prediction: Any) -> tuple[float, str]:
    """A metric for both agents."""
    [(expected, given)] = [
        (example[name], prediction.get(name)) for name in ("intent", "strategy") if name in example.labels()
    ]
    return float(expected == given), f"expected '{expected}', answered '{given}'"


def target(agent: str, examples: Path, **changes: Any) -> TargetConfig:
    output = {"InboundAgent": "intent", "StrategyAgent": "strategy"}[agent]
    content: dict[str, Any] = {
        "program": f"dspy_modules.demo_agents:{agent}",
        "metric": "tests.optimization_fixtures:right_answer",
        "output_fields": [output],
        "examples": {"kind": "file", "path": str(examples)},
        "task_model": "task",
        "threads": 2,
    }
    if agent == "StrategyAgent":
        content |= {"reflection_model": "reflection", "settings": {"max_metric_calls": 150}}
    return TargetConfig.model_validate(content | changes)


def write_examples(path: Path, agent: str, count: int | None = None, rows: Sequence[Any] | None = None) -> Path:
    examples = rows or {"InboundAgent": INBOUND_EXAMPLES, "StrategyAgent": STRATEGY_EXAMPLES}[agent]
    lines = [json.dumps({"inputs": dict(asked), "expected": dict(answered)}) for asked, answered in examples]
    # Each label in turn, so that a part of them holds all labels.
    labels: dict[str, list[str]] = {}
    for (_, answered), line in zip(examples, lines, strict=True):
        labels.setdefault(str(answered), []).append(line)
    mixed = [line for group in zip(*labels.values(), strict=False) for line in group] if not rows else lines
    path.write_text("\n".join(mixed[:count]), encoding="utf-8")
    return path


def fleet_with(targets: dict[str, TargetConfig], **models: ModelConfig) -> FleetConfig:
    shipped = shipped_fleet()
    agents = tuple(agent.model_copy(update={"target": targets.get(agent.name)}) for agent in shipped.agents)
    return shipped.model_copy(
        update={"agents": agents, "models": {"task": SIMULATED, "reflection": REFLECTING} | models}
    )


@dataclass
class Workshop:
    """A folder with lake and ledger in which requests are run, and what they said on their way."""

    folder: Path
    fleet: FleetConfig
    keys: dict[str, str] = field(default_factory=dict)
    progress: list[RunProgress] = field(default_factory=list)
    on_progress: Callable[[RunProgress], None] | None = None
    now: datetime = datetime(2026, 11, 29, 12, tzinfo=UTC)

    def __post_init__(self) -> None:
        self.book = Ledger(f"sqlite:///{self.folder / 'ledger.db'}")
        self.files = ProgramFiles(str(self.folder / "lake"))
        self.spans = RecordedSpans()

    def tools(self) -> RunTools:
        def show(progress: RunProgress) -> None:
            self.progress.append(progress)
            if self.on_progress:
                self.on_progress(progress)

        return RunTools(
            book=self.book,
            lake=Lake(str(self.folder / "lake")),
            files=self.files,
            spans=self.spans,
            fleet=self.fleet,
            key_of=self.keys.get,
            clock=lambda: self.now,
            on_progress=show,
        )

    def request(self, request_id: str = "r1", agent: str = "InboundAgent", **changes: Any) -> OptimizationRequest:
        made = a_request(request_id, agent, **changes)
        if agent == "StrategyAgent":
            made = replace(made, optimizer="GEPA", max_cost_usd=30.0)
        assert self.book.request_optimization(replace(made, **changes))
        return made

    def run(self, request_id: str = "r1") -> RunResult:
        return run_request(request_id, self.tools())


MakeWorkshop = Callable[..., Workshop]


@contextmanager
def workshops(folder: Path) -> Iterator[MakeWorkshop]:
    """What makes workshops in the folder, each for one agent; they are closed when the block ends."""
    opened: list[Workshop] = []

    def make(agent: str = "InboundAgent", examples: Path | None = None, **changes: Any) -> Workshop:
        file = examples or write_examples(folder / f"{agent}.jsonl", agent)
        models = changes.pop("models", {})
        made = Workshop(folder, fleet_with({agent: target(agent, file, **changes)}, **models))
        opened.append(made)
        return made

    try:
        yield make
    finally:
        for one in opened:
            one.book.close()


def state_of_request(made: Workshop, request_id: str = "r1") -> RequestState:
    _, request = made.book.approval_and_request(request_id)
    assert request
    return request.state
