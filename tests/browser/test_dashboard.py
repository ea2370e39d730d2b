"""The dashboard in headless Chromium on the demo's data: at the width of a desk and of a phone, by light and by dark,
by keyboard, to an automatic check of accessibility, and with nothing but this machine to talk to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from benchmarks.first_paint import PAINTED, wait_for, wait_until_served
from tests.real.services.free_port import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / ".demo" / "screenshots" / "dashboard"
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

DEMO = Path(os.environ.get("PERF_PIPELINE_DEMO", ROOT / ".demo"))
AGENT = "InboundAgent"
PAGES = {
    "fleet": "/",
    "agent": f"/dashboard/agents/{AGENT}",
    "agent-7d": f"/dashboard/agents/{AGENT}?range=7d",
    "agent-90d": f"/dashboard/agents/{AGENT}?range=90d",
    "incidents": "/dashboard/incidents",
    "incident": "",
    "optimizations": "/dashboard/optimizations",
    "data": "/dashboard/data",
    "data-14d": "/dashboard/data?range=14d",
    "outbox": "/dashboard/outbox",
    "not-found": "/dashboard/agents/Nobody",
}
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
VIEWS = [
    pytest.param(DESK, "light", id="desk"),
    pytest.param(PHONE, "light", id="phone"),
    pytest.param(DESK, "dark", id="desk-dark"),
    pytest.param(PHONE, "dark", id="phone-dark"),
]


@pytest.fixture(scope="module")
def dashboard() -> Iterator[str]:
    """The address of `perf-pipeline serve` on the demo's installation."""
    assert (DEMO / "lake").exists(), "There is no demo yet: run 'make demo' first."
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "perf_pipeline", "serve", "--port", str(port)]
    places = {"PERF_PIPELINE_HOME": str(DEMO), "PERF_PIPELINE_FLEET": str(DEMO / "fleet.yaml")}
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | places, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_served(f"{address}/healthz")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(30)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium")
    assert found, "Chromium is not installed: apt-get install chromium."
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


class Reader:
    """A page, what it asked the network for, and what went wrong in it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self._address = page, address
        self.asked: list[str] = []
        self.troubles: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        # A page that is answered 404 is an error to the console.
        if message.type == "error" and "404" not in message.text:
            self.troubles.append(message.text)

    def open(self, path: str) -> None:
        self.page.goto(path)

    def open_named(self, name: str) -> None:
        path = PAGES[name]
        if not path:
            self.open(PAGES["incidents"])
            path = self.page.locator("tbody a").first.get_attribute("href") or ""
        self.open(path)
        self.see_all_charts()

    def see_all_charts(self) -> None:
        for plot in self.page.locator(".plot").all():
            plot.scroll_into_view_if_needed()
        if self.page.locator(".plot").count():
            wait_for(self.page, "[...document.querySelectorAll('.plot')].every(plot => plot.children.length)")
            # A figure paints itself a moment after it is there.
            time.sleep(0.5)
        self.page.evaluate("scrollTo(0, 0)")


@contextmanager
def reader(chromium: Browser, address: str, size: Any, scheme: Any = "light") -> Iterator[Reader]:
    """A fresh browser without a cache, to which every server but this machine is cut off."""
    context = chromium.new_context(viewport=size, color_scheme=scheme, base_url=address, reduced_motion="reduce")
    context.route(
        lambda url: urlsplit(url).hostname != "127.0.0.1" and not url.startswith("data:"), lambda route: route.abort()
    )
    try:
        yield Reader(context.new_page(), address)
    finally:
        context.close()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("size", "scheme"), VIEWS)
def test_a_page_fits_its_window_and_is_accessible_and_needs_no_other_server(
    chromium: Browser, dashboard: str, name: str, size: dict[str, int], scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with reader(chromium, dashboard, size, scheme) as one:
        one.open_named(name)
        one.page.screenshot(path=PICTURES / f"{name}-{size['width']}-{scheme}.png", full_page=True)
        too_wide = one.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        for details in one.page.locator("summary").all():
            details.click()
        found = Axe().run(one.page).response["violations"]
        serious = {rule["id"]: rule["nodes"][0]["html"] for rule in found if rule["impact"] in ("serious", "critical")}
        assert serious == {}
        assert too_wide <= 0
        assert one.troubles == []
        assert {urlsplit(url).hostname for url in one.asked if not url.startswith("data:")} == {"127.0.0.1"}


def test_a_chart_is_drawn_and_tells_the_figures_under_the_pointer(chromium: Browser, dashboard: str) -> None:
    with reader(chromium, dashboard, DESK) as one:
        one.open_named("agent")
        plot = one.page.locator("[data-chart=success-rate]")
        box = plot.bounding_box()
        assert box is not None
        inks = one.page.evaluate(
            """() => {
                const find = (root) => root.querySelector("canvas") ??
                    [...root.querySelectorAll("*")].map((one) => one.shadowRoot && find(one.shadowRoot)).find(Boolean);
                const canvas = find(document.querySelector("[data-chart=success-rate]"));
                const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
                return new Set(new Uint32Array(pixels.buffer)).size;
            }"""
        )
        assert inks > 20
        told = one.page.get_by_text("expected 8").filter(visible=True)
        # The demo's windows are a few among those of the day: the pointer looks for them from the right.
        for share in range(98, 5, -2):
            one.page.mouse.move(box["x"] + box["width"] * share / 100, box["y"] + box["height"] / 2)
            time.sleep(0.05)
            if told.count():
                break
        assert told.count() == 1
        one.page.screenshot(path=PICTURES / "hover.png")


def test_charts_follow_the_readers_change_of_light_and_dark(chromium: Browser, dashboard: str) -> None:
    with reader(chromium, dashboard, DESK) as one:
        one.open_named("agent")
        light = one.page.locator("[data-chart=score]").screenshot()
        one.page.emulate_media(color_scheme="dark")
        time.sleep(1)
        assert one.page.locator("[data-chart=score]").screenshot() != light
        assert one.page.locator(".plot").first.locator("> .bk-Figure").count() == 1
        assert one.troubles == []


def test_without_scripts_every_figure_can_still_be_read(chromium: Browser, dashboard: str) -> None:
    context = chromium.new_context(java_script_enabled=False, base_url=dashboard)
    page = context.new_page()
    page.goto(PAGES["agent"])
    page.get_by_text("Figures of success rate").click()
    assert page.get_by_role("region", name="Figures of success rate").get_by_role("row").count() > 5
    context.close()


def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(chromium: Browser, dashboard: str) -> None:
    with reader(chromium, dashboard, DESK) as one:
        one.open("/")
        one.page.keyboard.press("Tab")
        assert one.page.evaluate("document.activeElement.textContent") == "Skip to the content"
        assert one.page.locator(".skip").is_visible()
        one.page.keyboard.press("Enter")
        assert one.page.evaluate("document.activeElement.id") == "content"
        reached = []
        for _ in range(30):
            one.page.keyboard.press("Tab")
            reached.append(
                one.page.evaluate(
                    "[document.activeElement.textContent.trim(), getComputedStyle(document.activeElement).outlineStyle]"
                )
            )
        links = [text for text, _ in reached]
        assert AGENT in links
        assert all(outline != "none" for text, outline in reached if text in (AGENT, "See", "success drop"))
        one.page.get_by_role("link", name=AGENT, exact=True).focus()
        one.page.keyboard.press("Enter")
        one.page.get_by_role("heading", name=AGENT, level=1).wait_for()
        one.page.get_by_text("Figures of score").focus()
        one.page.keyboard.press("Enter")
        assert one.page.get_by_role("region", name="Figures of score").is_visible()


def test_every_page_has_landmarks_one_first_heading_and_no_skipped_level(chromium: Browser, dashboard: str) -> None:
    with reader(chromium, dashboard, DESK) as one:
        for name in PAGES:
            one.open_named(name)
            levels = [
                int(heading.evaluate("one => one.tagName")[1]) for heading in one.page.locator("h1, h2, h3").all()
            ]
            assert levels[0] == 1, name
            assert levels.count(1) == 1, name
            assert all(after - before <= 1 for before, after in pairwise(levels)), name
            for landmark in ("main", "banner", "contentinfo"):
                assert one.page.get_by_role(landmark).count() == 1, (name, landmark)


def test_pages_are_painted_fast(chromium: Browser, dashboard: str) -> None:
    """The figures are printed; `python -m benchmarks.first_paint` measures them on three months of history."""
    paints = {}
    for name in ("fleet", "agent", "data-14d"):
        with reader(chromium, dashboard, DESK) as one:
            one.open(PAGES[name])
            paints[name] = round(wait_for(one.page, PAINTED))
    print(json.dumps({f"first_paint_ms_{name}": paint for name, paint in paints.items()}))
    assert set(paints) == {"fleet", "agent", "data-14d"}
