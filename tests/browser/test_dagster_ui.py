"""Dagster's UI on the demo's data, in headless Chromium: what a person sees, and pictures of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.real.services.free_port import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / ".demo" / "screenshots"
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def dagster_ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `perf-pipeline dev --demo`, on the data of `make demo`."""
    assert (ROOT / ".demo" / "lake").exists(), "There is no demo yet: run 'make demo' first."
    port = free_port()
    command = [sys.executable, "-m", "perf_pipeline", "dev", "--demo", "--port", str(port)]
    log = (tmp_path_factory.mktemp("dev") / "dev.log").open("wb")
    process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_served(address)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        log.close()


@pytest.fixture(scope="module")
def page(dagster_ui: str) -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    assert chromium, "Chromium is not installed: apt-get install chromium."
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1600, "height": 1000}, base_url=dagster_ui)
        yield page
        browser.close()


def test_the_asset_graph_shows_three_stages(page: Page) -> None:
    page.goto("/asset-groups/")
    for group in ("telemetry", "performance", "decisions"):
        page.get_by_text(group, exact=False).first.wait_for(timeout=60_000)
    time.sleep(3)
    page.screenshot(path=PICTURES / "asset-graph.png")


def test_an_asset_shows_its_description_and_its_columns(page: Page) -> None:
    page.goto("/assets/agent_metrics?view=overview")
    page.get_by_text("One row an agent and window").first.wait_for(timeout=60_000)
    page.get_by_text("latency_p95_ms").first.wait_for()
    time.sleep(2)
    page.screenshot(path=PICTURES / "agent-metrics.png")


def test_an_assets_partition_shows_figures_that_a_person_reads(page: Page) -> None:
    page.goto("/assets/anomalies?view=events")
    page.get_by_text("incidents touched").first.wait_for(timeout=60_000)
    page.screenshot(path=PICTURES / "anomalies-event.png")
    page.get_by_text("Show Markdown").first.click()
    page.get_by_text("AdapterParseError").first.wait_for()
    page.screenshot(path=PICTURES / "anomalies-findings.png")


def test_schedules_and_sensors_are_ready_to_be_switched_on(page: Page) -> None:
    page.goto("/automation")
    for name in ("monitoring_schedule", "daily_summary_schedule", "missing_windows", "slack_messages"):
        page.get_by_text(name).first.wait_for(timeout=60_000)
    page.screenshot(path=PICTURES / "automation.png")


def _wait_until_served(address: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/server_info", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(1)
    raise TimeoutError("Dagster's UI did not come up within two minutes.")
