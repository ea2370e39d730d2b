"""How soon a person sees a page of the dashboard: three months of history, the real service, headless Chromium.

The service is a process of its own on loopback; every load is that of a fresh browser without a cache. `first_paint_ms`
is the median, over pages and loads, of the first contentful paint; `slowest_first_paint_ms` that of the slowest page.
`charts_drawn_ms` is when the agent's page shows all charts that are in view. `cold_first_paint_ms` is the very first
load after the service was started, while it is still reading the history. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.dashboard_data import agent_names, write_lake, write_ledger
from perf_pipeline.service.dashboard.time_range import RangeName
from resources.lake import Lake
from resources.ledger import Ledger

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[1]
WINDOW = timedelta(minutes=30)
LOADS = 5
WARM_WITHIN_SECONDS = 300
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
DRAWN = """[...document.querySelectorAll('.plot')]
    .filter(plot => plot.getBoundingClientRect().top < innerHeight)
    .every(plot => plot.children.length) && performance.now()"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=7)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--loads", type=int, default=LOADS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), chosen.agents, chosen.days, chosen.loads)
    table = Table(title=f"First paint: {chosen.agents} agents, {chosen.days} days, milliseconds")
    table.add_column("Figure")
    table.add_column("Value", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:g}")
    Console().print(table)
    print(json.dumps(figures))


def measure(home: Path, agents: int, days: int, loads: int) -> dict[str, float]:
    """Raises FileNotFoundError without Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise FileNotFoundError("Chromium is not installed: apt-get install chromium.")
    names = agent_names(agents)
    install(home, names, days, datetime.now(UTC))
    pages = {
        "fleet": ["/"],
        # The service shows a page again for some seconds: each load of an agent's page is that of another agent.
        **{
            f"agent {name}": [f"/dashboard/agents/{quote(agent)}?range={name}" for agent in names] for name in RangeName
        },
        "incidents": ["/dashboard/incidents"],
        "optimizations": ["/dashboard/optimizations"],
        "data 14d": ["/dashboard/data?range=14d"],
        "outbox": ["/dashboard/outbox"],
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        with served(home) as address:
            cold, _ = _load(browser, address + pages["fleet"][0])
            warm_s = _wait_until_warm(address + pages["agent 90d"][0])
            found = {
                name: [_load(browser, address + path) for path in islice(cycle(paths), loads)]
                for name, paths in pages.items()
            }
        browser.close()
    paints = {name: statistics.median(paint for paint, _ in times) for name, times in found.items()}
    return {
        "first_paint_ms": round(statistics.median(paints.values())),
        "slowest_first_paint_ms": round(max(paints.values())),
        "cold_first_paint_ms": round(cold),
        "charts_drawn_ms": round(statistics.median(drawn for _, drawn in found["agent 7d"])),
        "history_read_s": round(warm_s, 1),
        **{f"first_paint_ms {name}": round(paint) for name, paint in paints.items()},
    }


def install(home: Path, names: list[str], days: int, now: datetime) -> None:
    """An installation with that history, up to the newest window that has closed."""
    fleet = yaml.safe_load((ROOT / "fleet.yaml").read_text())
    fleet["history_start"] = f"{now - timedelta(days=days + 1):%Y-%m-%d}"
    fleet["agents"] = [fleet["agents"][0] | {"name": name} for name in names]
    for agent in fleet["agents"]:
        agent.pop("target", None)
    (home / "fleet.yaml").write_text(yaml.safe_dump(fleet))
    write_lake(Lake(str(home / "lake")), names, days, now, WINDOW)
    book = Ledger(f"sqlite:///{home / 'ledger.db'}")
    write_ledger(book, names, days, now, WINDOW)
    book.close()


@contextmanager
def served(home: Path) -> Iterator[str]:
    """The address of `perf-pipeline serve` on the installation."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "perf_pipeline", "serve", "--port", str(port)]
    places = {"PERF_PIPELINE_HOME": str(home), "PERF_PIPELINE_FLEET": str(home / "fleet.yaml")}
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | places, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_served(f"{address}/healthz")
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _load(browser: Browser, address: str) -> tuple[float, float]:
    """First contentful paint, and when the charts in view were there, in milliseconds after the navigation began."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(address)
    paint, drawn = wait_for(page, PAINTED), wait_for(page, DRAWN)
    context.close()
    return paint, drawn


def wait_for(page: Page, expression: str) -> float:
    """The expression's value once it is one. Playwright's own waiting evaluates text in the page, which the page's
    content security policy forbids."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if value := page.evaluate(expression):
            return float(value)
        time.sleep(0.02)
    raise TimeoutError(f"It did not come true within 30 s: {expression}")


def _wait_until_warm(address: str) -> float:
    """Seconds until the page of the longest range is there: it waits for the history that is being read."""
    began = time.monotonic()
    httpx.get(address, timeout=WARM_WITHIN_SECONDS).raise_for_status()
    return time.monotonic() - began


def wait_until_served(url: str, seconds: float = 60) -> None:
    """Until the address answers 200. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise TimeoutError(f"{url} did not come up within {seconds:g} s.")


if __name__ == "__main__":
    main()
