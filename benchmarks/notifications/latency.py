"""The time from an incident in the ledger to its message in Slack, with the Dagster daemon running.

What is recorded is the ledger's own record of an incident, as the cycle writes it; a local Slack gets the message.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import dagster as dg

from benchmarks.notifications.audit import LocalSlack
from benchmarks.notifications.incidents import FLEET_FILE, failing
from perf_pipeline.instance import prepare_instance
from perf_pipeline.sensors.notifications import notifications_sensor
from resources.ledger import Ledger
from tests.wire.fault_proxy import Exchange, FaultProxy
from tests.wire.http_server import Request
from tests.wire.slack_fault_proxy import TOKEN

ROOT = FLEET_FILE.parent
SENSOR = notifications_sensor.__name__.removesuffix("_sensor")
CHANNEL = "latency"
SAMPLES = 24
SENSOR_SECONDS = 5
PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Latency:
    """Seconds, one a message: in all, until the tick began that sent it (below 0 where it had begun already), and from
    then on. `between_ticks` are the seconds from one tick of the sensor to the next."""

    whole: list[float]
    waiting: list[float]
    sending: list[float]
    between_ticks: list[float]


@dataclass
class Arrivals:
    """When Slack had taken each message, by what the message's request contains."""

    proxy: FaultProxy
    at: dict[str, float] = field(default_factory=dict)
    awaited: str = ""

    def watch(self) -> None:
        self.proxy.misbehave(self._note, only=self._is_a_post)

    def of(self, mark: str) -> float:
        """Waits for the message that contains `mark`; the time (seconds since the epoch) at which Slack had it."""
        self.awaited = mark
        deadline = time.monotonic() + PATIENCE_SECONDS
        while mark not in self.at:
            if time.monotonic() > deadline:
                raise TimeoutError(f"No message with {mark} reached Slack within {PATIENCE_SECONDS} s.")
            time.sleep(0.01)
        return self.at[mark]

    def _is_a_post(self, request: Request) -> bool:
        return request.path.endswith("chat.postMessage")

    def _note(self, exchange: Exchange) -> None:
        answer = exchange.forward(exchange.request)
        if self.awaited.encode() in exchange.request.body:
            self.at.setdefault(self.awaited, time.time())
        exchange.send(answer)


def measure_latency(folder: Path, slack: LocalSlack, proxy: FaultProxy, samples: int = SAMPLES) -> Latency:
    """Records `samples` incidents, each at a random moment between two ticks of the sensor."""
    slack.new_channel(CHANNEL)
    home = folder / "latency"
    environment = _environment(home, proxy)
    arrivals = Arrivals(proxy)
    arrivals.watch()
    chance = random.Random(8)
    recorded, posted = [], []
    book = Ledger(f"sqlite:///{home / 'ledger.db'}")
    try:
        with _daemon(home, environment):
            for number in range(samples + 1):
                agent = f"SlowAgent{number:03d}x"
                time.sleep(chance.uniform(0, 2 * SENSOR_SECONDS))
                before = time.time()
                book.record_incidents([failing(agent, f"cause {number}")])
                posted.append(arrivals.of(agent))
                recorded.append(before)
            time.sleep(SENSOR_SECONDS)
    finally:
        book.close()
        proxy.heal()
    # The first one waited for the daemon to start.
    return _latency(recorded[1:], posted[1:], _ticks(environment["DAGSTER_HOME"]))


def p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20, method="inclusive")[-1]


def _latency(recorded: list[float], posted: list[float], begins: list[float]) -> Latency:
    sent_by = [max(begin for begin in begins if begin <= moment) for moment in posted]
    first, last = recorded[0], posted[-1]
    measured = [begin for begin in begins if first <= begin <= last]
    return Latency(
        whole=[end - begin for begin, end in zip(recorded, posted, strict=True)],
        waiting=[tick - begin for begin, tick in zip(recorded, sent_by, strict=True)],
        sending=[end - tick for tick, end in zip(sent_by, posted, strict=True)],
        between_ticks=[later - earlier for earlier, later in pairwise(measured)],
    )


def _environment(home: Path, proxy: FaultProxy) -> dict[str, str]:
    ours = ("PHOENIX_", "RAILWAY_", "SUPABASE_", "SLACK_", "PERF_PIPELINE_", "DAGSTER_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
        "PERF_PIPELINE_HOME": str(home),
        "PERF_PIPELINE_FLEET": str(FLEET_FILE),
        "DAGSTER_HOME": str(prepare_instance(home)),
        "SLACK_BOT_TOKEN": TOKEN,
        "SLACK_CHANNEL": f"#{CHANNEL}",
        "SLACK_BASE_URL": f"{proxy.url}/api/",
    }


@contextmanager
def _daemon(home: Path, environment: dict[str, str]) -> Iterator[None]:
    """The daemon with the sensor switched on; it is killed with all that it started when the block ends."""
    start = [sys.executable, "-m", "dagster", "sensor", "start", SENSOR, "-w", "workspace.yaml"]
    subprocess.run(start, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"]
    with (home / "daemon.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _ticks(dagster_home: str) -> list[float]:
    """When the sensor's ticks began, in seconds since the epoch, oldest first."""
    with dg.DagsterInstance.from_config(dagster_home) as instance:
        states = [state for state in instance.all_instigator_state() if state.instigator_name == SENSOR]
        ticks = [instance.get_ticks(state.instigator_origin_id, state.selector_id) for state in states]
    return sorted(tick.timestamp for of_one in ticks for tick in of_one)
