"""The service over 200 agents and 90 days, asked 50 times a second for a minute, while windows are written.

`server_errors` are answers of 500 and more, and requests that got none; times count from when a request was due, so a
service that falls behind shows. Every half minute a window is written again, as the pipeline does, and what the
service holds in memory is no longer all there is. `first_paint_ms` is that of the dashboard in Chromium, for seven
agents and 90 days.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import first_paint
from benchmarks.service.installation import fill_lake, fill_ledger, write_fleet_file, write_metrics
from benchmarks.service.load import Asked, Kind, steady_load
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.windows import Window, floor_to_window, windows_between
from resources.lake import Lake
from resources.ledger import Ledger
from tests.real.services.free_port import free_port

ROOT = Path(__file__).parents[2]
WRITES_EVERY_SECONDS = 30
STARTS_WITHIN_SECONDS = 120


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--agents", type=int, default=200)
    options.add_argument("--days", type=int, default=90)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--rate", type=float, default=50)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), given.agents, given.days, given.rate, given.seconds)
    with tempfile.TemporaryDirectory() as folder:
        # Of a fleet of the usual size; `python -m benchmarks.first_paint` tells more.
        paints = first_paint.measure(Path(folder), agents=7, days=90, loads=3)
    figures["first_paint_ms"] = paints["first_paint_ms"]
    print(json.dumps(figures))


def measure(home: Path, agents: int, days: int, rate: float, seconds: float) -> dict[str, float]:
    console, now = Console(), datetime.now(UTC)
    fleet = write_fleet_file(home, agents, now - timedelta(days=days))
    end = floor_to_window(now, fleet.window)
    windows = windows_between(end - timedelta(days=days), end, fleet.window)
    lake, book = Lake(str(home / "lake")), Ledger(f"sqlite:///{home / 'ledger.db'}")
    console.print(f"Writing {len(windows)} windows of {agents} agents")
    fill_lake(lake, fleet, windows)
    secret = fill_ledger(book, fleet, windows, now)
    book.close()
    with serving(home) as (url, pid):
        began = time.perf_counter()
        first = httpx.get(f"{url}/agents/performance/status", headers=_bearer(secret), timeout=120)
        first.raise_for_status()
        first_answer_s = time.perf_counter() - began
        mix = request_mix(url, secret, fleet, days, now)
        before = process_cpu_seconds(pid)
        with windows_being_written(lake, fleet, windows[-1]):
            asked = asyncio.run(steady_load(url, secret, mix, rate, seconds))
        cpu_ms = 1000 * (process_cpu_seconds(pid) - before) / len(asked)
    console.print(_table(asked, f"{agents} agents, {days} days, {rate:g} requests a second for {seconds:g} s"))
    return {
        "requests": len(asked),
        "server_errors": sum(one.failed for one in asked),
        "p50_ms": _percentile(asked, 50),
        "p95_ms": _percentile(asked, 95),
        "first_answer_s": round(first_answer_s, 2),
        "cpu_ms_per_request": round(cpu_ms, 1),
    }


def request_mix(url: str, secret: str, fleet: FleetConfig, days: int, now: datetime) -> list[Kind]:
    """What people, programs and Prometheus ask for; and the dashboard's first page, where it is served."""
    names, since = fleet.agent_names, (now - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    month = (now - timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    mix = [
        Kind("status", ["/agents/performance/status"], 15),
        Kind("agents", ["/agents"], 15),
        Kind("an agent's week", [f"/agents/{name}" for name in names], 30),
        Kind(f"an agent's {days} days", [f"/agents/{name}?since={since}" for name in names], 10),
        Kind("open incidents", ["/incidents"], 10),
        Kind("a month's incidents", [f"/incidents?since={month}"], 5),
        Kind("optimizations", ["/optimizations"], 5),
        Kind("metrics", ["/metrics"], 5),
        Kind("health", ["/healthz", "/readyz"], 5),
    ]
    page = httpx.get(url, headers={**_bearer(secret), "accept": "text/html"}, timeout=60)
    return [*mix, Kind("dashboard", ["/"], 20)] if page.status_code == 200 else mix


@contextmanager
def serving(home: Path) -> Iterator[tuple[str, int]]:
    """`perf-pipeline serve` in a process of its own: its address, and the process."""
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PERF_PIPELINE_HOME": str(home),
        "PERF_PIPELINE_FLEET": str(home / "fleet.yaml"),
        "DAGSTER_WEBSERVER_URL": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "perf_pipeline", "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + STARTS_WITHIN_SECONDS
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("The service did not start.")
            time.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def windows_being_written(lake: Lake, fleet: FleetConfig, window: Window) -> Iterator[None]:
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.wait(WRITES_EVERY_SECONDS):
            number += 1
            write_metrics(lake, fleet.agent_names, window, -number % 1000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


def process_cpu_seconds(pid: int) -> float:
    """What the process has used so far: unlike times of answers, this does not depend on what else the machine does."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def _bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def _percentile(asked: Sequence[Asked], percent: float) -> float:
    return round(float(np.percentile([one.ms for one in asked], percent)), 1)


def _table(asked: Sequence[Asked], title: str) -> Table:
    table = Table(title=title)
    for name in ("Request", "count", "errors", "p50 ms", "p95 ms", "max ms"):
        table.add_column(name, justify="left" if name == "Request" else "right")
    names = [*dict.fromkeys(sorted(one.name for one in asked)), "all"]
    for name in names:
        own = [one for one in asked if name in (one.name, "all")]
        errors = sum(one.failed for one in own)
        figures = (_percentile(own, percent) for percent in (50, 95, 100))
        table.add_row(name, str(len(own)), str(errors), *(f"{figure:.1f}" for figure in figures))
    return table


if __name__ == "__main__":
    main()
