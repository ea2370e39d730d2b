"""The Dagster daemon launches a request, and again when its process is killed: one result, one promotion."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from perf_pipeline.demo.demo_fleet import write_fleet
from perf_pipeline.fleet_model import Approval
from perf_pipeline.instance import prepare_instance
from perf_pipeline.records import RequestState, RunOutcome
from resources.ledger import Ledger
from resources.program_files import ProgramFiles
from tests.optimization_fixtures import fleet_with, target, write_examples
from tests.run_builders import a_request
from tests.wire.model_server import Hang, model_server

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]

ROOT = Path(__file__).parents[2]
SECONDS_A_CALL = 0.05


@pytest.mark.timeout(400)
def test_a_run_whose_process_is_killed_is_taken_up_by_the_daemon_and_promotes_once(tmp_path: Path) -> None:
    key = f"sk-{secrets.token_hex(8)}"
    with model_server(lambda *_: Hang(SECONDS_A_CALL)) as server:
        examples = write_examples(tmp_path / "examples.jsonl", "StrategyAgent")
        fleet = fleet_with({"StrategyAgent": target("StrategyAgent", examples)})
        reached = {"model": "openai/simulated-1", "api_base": server.base_url, "api_key_variable": "MODEL_KEY"}
        models = {name: model.model_copy(update=reached) for name, model in fleet.models.items()}
        write_fleet(fleet.model_copy(update={"models": models}), tmp_path)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PHOENIX_")} | {
            "PERF_PIPELINE_HOME": str(tmp_path),
            "PERF_PIPELINE_FLEET": str(tmp_path / "fleet.yaml"),
            "DAGSTER_HOME": str(_instance(tmp_path)),
            "MODEL_KEY": key,
            "LITELLM_LOCAL_MODEL_COST_MAP": "true",
        }
        book = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
        request = a_request("killed", "StrategyAgent", optimizer="GEPA", max_cost_usd=30.0)
        assert book.request_optimization(request)
        assert request.approval is Approval.AUTOMATIC
        _dagster(environment, "sensor", "start", "optimization_launches")
        log = (tmp_path / "daemon.log").open("ab")
        command = [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"]
        daemon = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(120, lambda: len(server.calls) > 90, "the run to be under way")
            _kill_the_run(daemon.pid)
            _wait(200, lambda: _outcome(book) is not None, "the run to be taken up and to end")
        finally:
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()
            log.close()
        run = book.optimization_run("killed")
        assert run
        assert (run.outcome, run.attempts) == (RunOutcome.PROMOTED, 2)
        (requested,) = book.optimization_requests()
        assert requested.state is RequestState.FINISHED
        assert len(book.alias_moves("StrategyAgent", "production")) == 1
        pointer = ProgramFiles(str(tmp_path / "lake")).programs.pointer("StrategyAgent", "production")
        assert pointer
        assert pointer.version == run.version
        book.close()
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert key.encode() not in file.read_bytes(), f"the key is in {file}"


def _instance(home: Path) -> Path:
    folder = prepare_instance(home)
    config = yaml.safe_load((folder / "dagster.yaml").read_text())
    config["run_monitoring"]["poll_interval_seconds"] = 5
    (folder / "dagster.yaml").write_text(yaml.safe_dump(config))
    return folder


def _outcome(book: Ledger) -> RunOutcome | None:
    run = book.optimization_run("killed")
    return run.outcome if run else None


def _kill_the_run(daemon: int) -> None:
    """Kill -9 of the process, in the daemon's session, that executes the run."""
    command = ["ps", "-ww", "-s", str(daemon), "-o", "pid=,args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (worker,) = [line.split(maxsplit=1)[0] for line in listed.splitlines() if "multiprocessing.spawn" in line]
    os.kill(int(worker), signal.SIGKILL)


def _dagster(environment: dict[str, str], *arguments: str) -> None:
    command = [sys.executable, "-m", "dagster", *arguments, "-w", "workspace.yaml"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)


def _wait(seconds: float, is_done: Callable[[], bool], what: str) -> None:
    began = datetime.now(UTC)
    while not is_done():
        if (datetime.now(UTC) - began).total_seconds() > seconds:
            raise AssertionError(f"Waited {seconds} s in vain for {what}.")
        time.sleep(0.5)
