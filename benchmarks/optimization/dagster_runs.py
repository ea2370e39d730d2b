"""One optimization request under Dagster, in a folder of its own: run by children, and looked at from outside.

StrategyAgent is optimized by GEPA, on examples in a file, with its models behind HTTP.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from dspy_modules import metered_engine
from perf_pipeline.definitions import build_defs
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_targets import ModelConfig
from perf_pipeline.jobs import OPTIMIZATION, QUIET
from perf_pipeline.partitions import OPTIMIZATION_REQUESTS
from perf_pipeline.records import OptimizationRequest, OptimizationRun, ProgramAlias, RequestState, RunOutcome
from perf_pipeline.runs.tools import PRODUCTION
from perf_pipeline.tables import TABLES
from resources.lake import Lake, LakeIOManager, LakeResource
from resources.ledger import Ledger, LedgerResource
from resources.log_files import LogFilesResource
from resources.message_file import MessageFileResource
from resources.program_files import ProgramFiles
from resources.program_source import Pointer
from resources.state_files import StateFilesResource
from tests.cycle_fixtures import FLEET_FILE, RecordedSpans
from tests.optimization_fixtures import fleet_with, target, write_examples
from tests.run_builders import a_request

AGENT = "StrategyAgent"
REQUEST = "r1"
"""The same in every folder: examples are divided by it."""

METRIC = "dspy_modules.demo_metrics:right_strategy"
METRIC_CALLS = 150
THREADS = 2
CAP_USD = 30.0
KEY_VARIABLE = "BENCH_MODEL_KEY"
FIRST_WAIT_SECONDS = 0.05


@dataclass(frozen=True)
class Result:
    """What agents and people see of a finished run."""

    outcome: RunOutcome | None
    version: str | None


@dataclass(frozen=True)
class State:
    """What stands in ledger and lake."""

    request: OptimizationRequest
    run: OptimizationRun | None
    moves: tuple[ProgramAlias, ...]
    alias: ProgramAlias | None
    pointer: Pointer | None
    messages: tuple[str, ...]
    spent_for: tuple[str, ...]
    has_seen_examples: bool

    @property
    def result(self) -> Result:
        return Result(self.run.outcome, self.run.version) if self.run else Result(None, None)

    @property
    def is_over(self) -> bool:
        return self.request.state not in (RequestState.READY, RequestState.RUNNING)


@dataclass(frozen=True)
class DagsterRuns:
    """The request, ready to run, with ledger, lake and Dagster's own database in files of `folder`."""

    folder: Path
    fleet: FleetConfig

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.folder / 'ledger.db'}"

    def run(self) -> bool:
        """One run of Dagster's job, in this process: whether it succeeded."""
        metered_engine.FIRST_WAIT_SECONDS = FIRST_WAIT_SECONDS
        job = build_defs(self.fleet, self._resources()).resolve_job_def(OPTIMIZATION)
        with dg.DagsterInstance.from_config(str(self.folder / "dagster")) as instance:
            done = job.execute_in_process(
                instance=instance, partition_key=REQUEST, raise_on_error=False, run_config=QUIET
            )
        return done.success

    def state(self) -> State:
        book = Ledger(self.ledger_url)
        try:
            [request] = [made for made in book.optimization_requests() if made.id == REQUEST]
            return State(
                request,
                book.optimization_run(REQUEST),
                tuple(book.alias_moves(AGENT, PRODUCTION)),
                book.program_alias(AGENT, PRODUCTION),
                ProgramFiles(str(self.folder / "lake")).programs.pointer(AGENT, PRODUCTION),
                tuple(message.key for message in book.notifications()),
                tuple(str(spent.purpose) for spent in book.spent_by_purpose(REQUEST)),
                bool(book.seen_examples(AGENT)),
            )
        finally:
            book.close()

    def _resources(self) -> dict[str, object]:
        lake = str(self.folder / "lake")
        return {
            "lake": LakeResource(url=lake),
            "lake_io": LakeIOManager(Lake(lake), TABLES),
            "ledger": LedgerResource(url=self.ledger_url),
            "span_source": RecordedSpans(),
            "log_source": LogFilesResource(folder=str(self.folder)),
            "task_source": StateFilesResource(folder=str(self.folder)),
            "messenger_slack": MessageFileResource(path=str(self.folder / "messages.jsonl")),
        }


def write_template(folder: Path) -> None:
    """Dagster's database, the ledger with the request, and the examples: what every run begins with."""
    (folder / "dagster").mkdir(parents=True)
    shutil.copy(FLEET_FILE.parent / "dagster.yaml", folder / "dagster")
    with dg.DagsterInstance.from_config(str(folder / "dagster")) as instance:
        assert OPTIMIZATION_REQUESTS.name
        instance.add_dynamic_partitions(OPTIMIZATION_REQUESTS.name, [REQUEST])
    write_examples(folder / "examples.jsonl", AGENT)
    book = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    book.request_optimization(
        a_request(REQUEST, AGENT, optimizer="GEPA", max_cost_usd=CAP_USD, requested_at=datetime.now(UTC))
    )
    book.close()


def from_template(template: Path, folder: Path, base_url: str) -> DagsterRuns:
    os.environ[KEY_VARIABLE] = "a-key"
    shutil.copytree(template, folder)
    optimized = target(
        AGENT, folder / "examples.jsonl", metric=METRIC, threads=THREADS, settings={"max_metric_calls": METRIC_CALLS}
    )
    fleet = fleet_with({AGENT: optimized}, task=_model(base_url, 400), reflection=_model(base_url, 4000))
    return DagsterRuns(folder, fleet)


def _model(base_url: str, max_tokens: int) -> ModelConfig:
    return ModelConfig(
        model="openai/simulated-1",
        usd_per_million_input_tokens=0.4,
        usd_per_million_output_tokens=1.6,
        max_tokens=max_tokens,
        api_base=base_url,
        api_key_variable=KEY_VARIABLE,
    )
