"""Dagster's UI on the demo's data, in headless Chromium: what a person sees, and pictures of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from benchmarks.first_paint import wait_until_served
from perf_pipeline.definitions import build_defs
from perf_pipeline.fleet import load_fleet
from perf_pipeline.installation import installed_resources
from perf_pipeline.jobs import MONITORING, QUIET, range_tags
from perf_pipeline.monitoring.windows import Window, floor_to_window
from perf_pipeline.settings import read_settings
from tests.real.services.free_port import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / ".demo" / "screenshots"
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo's installation, in which one more window closes while Phoenix is down."""
    demo = ROOT / ".demo"
    assert (demo / "lake").exists(), "There is no demo yet: run 'make demo' first."
    home = tmp_path_factory.mktemp("dev") / "home"
    shutil.copytree(demo, home)
    shutil.copyfile(ROOT / "dagster.yaml", home / "dagster" / "dagster.yaml")
    unreachable = f"http://127.0.0.1:{free_port()}"
    settings = read_settings(
        {"PERF_PIPELINE_HOME": str(home), "PHOENIX_ENDPOINT": unreachable, "PHOENIX_PROJECT_NAME": "hume-dspy-agent"}
    )
    fleet = load_fleet(settings.fleet_path)
    job = build_defs(fleet, installed_resources(settings, fleet)).resolve_job_def(MONITORING)
    key = Window(floor_to_window(datetime.now(UTC), fleet.window), datetime.now(UTC)).key
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        assert job.execute_in_process(instance=instance, tags=range_tags(key, key), run_config=QUIET).success
    return home


@pytest.fixture(scope="module")
def dagster_ui(home: Path) -> Iterator[str]:
    """The address of `perf-pipeline dev` on that installation."""
    port = free_port()
    command = [sys.executable, "-m", "perf_pipeline", "dev", "--home", str(home), "--port", str(port)]
    log = (home / "dev.log").open("wb")
    process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_served(f"{address}/server_info", seconds=120)
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
    for group in ("telemetry", "performance", "decisions", "optimization"):
        page.get_by_text(group, exact=False).first.wait_for(timeout=60_000)
    time.sleep(3)
    page.screenshot(path=PICTURES / "asset-groups.png")
    for group in ("telemetry", "performance", "decisions"):
        page.get_by_text(group).last.dblclick()
        time.sleep(2)
    for asset in ("raw_spans", "agent_metrics", "daily_summary"):
        page.get_by_text(asset).first.wait_for()
    time.sleep(2)
    page.screenshot(path=PICTURES / "asset-graph.png")


def test_an_asset_shows_its_description_and_its_columns(page: Page) -> None:
    page.goto("/assets/agent_metrics?view=overview")
    page.get_by_text("One row an agent and window").first.wait_for(timeout=60_000)
    page.get_by_text("latency_p95_ms").first.wait_for()
    time.sleep(2)
    page.screenshot(path=PICTURES / "agent-metrics.png")


def test_an_assets_partition_shows_figures_that_a_person_reads(page: Page) -> None:
    page.goto("/assets/anomalies?view=events")
    newest_of_the_demo = sorted(path.stem for path in (ROOT / ".demo" / "lake" / "anomalies").glob("date=*/*"))[-1]
    page.get_by_text(f"{newest_of_the_demo[:2]}:{newest_of_the_demo[2:]}").first.click(timeout=60_000)
    page.get_by_text("incidents touched").first.wait_for()
    page.screenshot(path=PICTURES / "anomalies-event.png")
    page.get_by_text("Show Markdown").first.click()
    page.get_by_text("AdapterParseError").first.wait_for()
    page.screenshot(path=PICTURES / "anomalies-findings.png")


def test_an_optimization_shows_what_it_changed_gained_and_cost(page: Page) -> None:
    page.goto("/assets/optimization_runs?view=events")
    page.get_by_text("held-out items").first.wait_for(timeout=60_000)
    page.screenshot(path=PICTURES / "optimization-event.png")
    page.get_by_text("Show Markdown").first.click()
    page.get_by_text("simulated language model").first.wait_for()
    page.screenshot(path=PICTURES / "optimization-report.png")


def test_a_failed_check_says_which_setting_to_mend(page: Page) -> None:
    page.goto("/assets/raw_spans?view=checks")
    page.get_by_text("source_complete").first.wait_for(timeout=60_000)
    page.get_by_text("source_complete").first.click()
    page.get_by_text("PHOENIX_ENDPOINT").first.wait_for()
    time.sleep(2)
    page.screenshot(path=PICTURES / "failed-check.png")


def test_schedules_and_sensors_are_ready_to_be_switched_on(page: Page) -> None:
    page.goto("/automation")
    for name in (
        "monitoring_schedule",
        "daily_summary_schedule",
        "missing_windows",
        "notifications",
        "optimization_launches",
    ):
        page.get_by_text(name).first.wait_for(timeout=60_000)
    page.screenshot(path=PICTURES / "automation.png")
