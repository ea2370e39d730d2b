"""The pages of the dashboard: each answers on an empty and on a full installation, and says what is there."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import Depends
from fastapi.testclient import TestClient

from perf_pipeline.message import Message, labelled, section
from perf_pipeline.records import NotificationState, ProgramVersion, SourceHealth, SourceStatus
from perf_pipeline.service.dashboard.agent_page import failing_traces
from perf_pipeline.service.dashboard.page_cache import SHOWN_FOR
from perf_pipeline.service.problems import Problem
from perf_pipeline.tables import AGENT_METRICS, AGENT_TASKS, CHANGE_EVENTS, DETECTOR_STATES
from resources.lake import Lake
from resources.ledger import Ledger
from tests.builders import LENGTH, change, frame, metrics_row, task
from tests.dashboard_fixtures import LAST, NOW, Clock, dashboard, installation
from tests.incident_builders import incident, notification
from tests.run_builders import a_request

PAGES = (
    "/",
    "/dashboard/agents/InboundAgent",
    "/dashboard/agents/InboundAgent?range=7d",
    "/dashboard/agents/InboundAgent?range=28d",
    "/dashboard/agents/InboundAgent?range=90d",
    "/dashboard/incidents",
    "/dashboard/optimizations",
    "/dashboard/data",
    "/dashboard/data?range=14d",
    "/dashboard/outbox",
)

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'{{7*7}}"


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[tuple[Lake, Ledger]]:
    with installation(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with installation(tmp_path_factory.mktemp("full"), ("InboundAgent", "AuditAgent"), days=8) as (lake, book):
        yield dashboard(lake, book)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_answers_before_anything_was_collected(empty: tuple[Lake, Ledger], page: str) -> None:
    answer = dashboard(*empty).get(page)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


def test_an_empty_dashboard_says_what_to_do(empty: tuple[Lake, Ledger]) -> None:
    browser = dashboard(*empty)
    assert "monitoring_schedule" in browser.get("/").text
    assert "monitoring_schedule" in browser.get("/dashboard/data").text
    assert "optimization_requests" in browser.get("/dashboard/optimizations").text
    assert "perf-pipeline notify test" in browser.get("/dashboard/outbox").text


@pytest.mark.parametrize("page", PAGES)
def test_every_page_answers_on_history(full: TestClient, page: str) -> None:
    answer = full.get(page)
    assert answer.status_code == 200
    assert (
        re.findall(r"\bnan\b|\bNaT\b|Timestamp\(|datetime\.|\bNone\b(?! in| ended|\.)|&lt;", visible(answer.text)) == []
    )


@pytest.mark.parametrize("page", PAGES)
def test_no_page_holds_a_script_a_style_or_another_servers_address(full: TestClient, page: str) -> None:
    answer = full.get(page)
    tags = re.findall(r"<script\b[^>]*>", answer.text)
    assert all('src="/static/' in tag or 'type="application/json"' in tag for tag in tags)
    assert re.findall(r"<[^>]+\s(?:on\w+|style)=", answer.text) == []
    assert re.findall(r'(?:src|href)="(?!/|\?|#|http://phoenix\.example/)[^"]*"', answer.text) == []
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert ("'unsafe-inline'" in policy) == ("agents" in page)


def test_the_fleet_shows_the_agent_with_an_open_incident_first(empty: tuple[Lake, Ledger]) -> None:
    lake, book = empty
    rows = [metrics_row(agent, 0, 10, 9) | {"window_start": LAST - LENGTH} for agent in ("AuditAgent", "InboundAgent")]
    lake.write(AGENT_METRICS, LAST - LENGTH, frame(AGENT_METRICS, rows))
    book.record_incidents([incident(agent="InboundAgent", onset=LAST - LENGTH)])
    text = visible(dashboard(lake, book).get("/").text)
    assert "1 incident is open: InboundAgent." in text
    table = text.partition("Agents, last 24 hours")[2]
    assert table.index("InboundAgent") < table.index("AuditAgent")


def test_an_agents_page_draws_the_metrics_that_no_chart_is_named_for(empty: tuple[Lake, Ledger]) -> None:
    lake, book = empty
    row = {
        "window_start": LAST - LENGTH,
        "agent": "InboundAgent",
        "metric": "refunds_usd",
        "finding": "refunds_usd_rise",
        "value": 12.5,
        "expected": 10.0,
        "low": 8.0,
        "high": 12.0,
        "evidence_nats": 0.0,
        "phase": "quiet",
        "event": "nothing",
        "tasks": 10,
        "layout": "x",
        "memory": b"",
    }
    lake.write(DETECTOR_STATES, LAST - LENGTH, frame(DETECTOR_STATES, [row]))
    text = visible(dashboard(lake, book).get("/dashboard/agents/InboundAgent").text)
    assert "Refunds usd" in text
    assert "12.5 at 2026-11-22 11:30 UTC, 10 expected (8 to 12)" in text


def test_a_failing_trace_links_to_where_it_can_be_looked_at(full: TestClient) -> None:
    text = full.get("/dashboard/agents/InboundAgent").text
    assert 'href="http://phoenix.example/redirects/traces/' in text


def test_an_incident_page_shows_cause_evidence_timeline_and_who_was_told(empty: tuple[Lake, Ledger]) -> None:
    lake, book = empty
    book.record_incidents([incident(onset=LAST - LENGTH, root_cause="9 of 10 failures are TimeoutError")])
    text = visible(dashboard(lake, book).get("/dashboard/incidents/0123456789abcdef").text)
    for part in ("InboundAgent: success drop", "9 of 10 failures are TimeoutError", "IMMEDIATE", "Nobody was told"):
        assert part in text


def test_what_is_not_there_is_answered_404_by_a_page(empty: tuple[Lake, Ledger]) -> None:
    browser = dashboard(*empty)
    for page in (
        "/dashboard/agents/Nobody",
        "/dashboard/agents/InboundAgent?range=1y",
        "/dashboard/incidents/nothing",
        "/dashboard/data?range=1y",
    ):
        answer = browser.get(page)
        assert (answer.status_code, "Not found" in answer.text) == (404, True)
    for path in ("/static/nothing.js", "/static/..%2Fstatic_files.py", "/static/bokeh.js"):
        assert browser.get(path).status_code == 404


def test_text_from_outside_is_never_markup(empty: tuple[Lake, Ledger]) -> None:
    lake, book = empty
    start = LAST - LENGTH
    row = metrics_row(HOSTILE, 0, 10, 9) | {"window_start": start}
    lake.write(AGENT_METRICS, start, frame(AGENT_METRICS, [row]))
    failed = task(HOSTILE, ok=False) | {
        "start_time": start,
        "error_type": HOSTILE,
        "error_message": HOSTILE,
        "trace_id": HOSTILE,
    }
    lake.write(AGENT_TASKS, start, frame(AGENT_TASKS, [failed]))
    changed = change(0, HOSTILE, HOSTILE, HOSTILE) | {"time": start + timedelta(minutes=5), "to_version": HOSTILE}
    lake.write(CHANGE_EVENTS, start, frame(CHANGE_EVENTS, [changed]))
    texts = {"agent": HOSTILE, "root_cause": HOSTILE, "details": HOSTILE, "recommended_action": HOSTILE}
    book.record_incidents([incident(onset=start, type=HOSTILE, example_traces=(HOSTILE,), **texts)])
    content = Message(title=HOSTILE, headline=HOSTILE, sections=(section(labelled(HOSTILE, HOSTILE)),))
    book.enqueue(
        notification(at=start, message=content, note=HOSTILE, target=HOSTILE, state=NotificationState.UNDELIVERABLE)
    )
    book.record_health([SourceHealth(HOSTILE, start, SourceStatus.PARTIAL, HOSTILE, 0, 0, LAST)])
    book.register_version(ProgramVersion(HOSTILE, HOSTILE, "0", "r", HOSTILE, start, HOSTILE))
    asked = replace(a_request(), agent=HOSTILE, optimizer=HOSTILE, reasons=(HOSTILE,), requested_at=start)
    book.request_optimization(asked)
    browser = dashboard(lake, book)
    address = re.findall(r'/dashboard/agents/[^"]*script[^"]*', browser.get("/").text)[0]
    seen = 0
    for page in (*PAGES, address, "/dashboard/incidents/0123456789abcdef", "/dashboard/agents/%3Cscript%3E"):
        text = browser.get(page).text
        seen += "alert(1)" in text
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "\"'" not in text
        assert ">49<" not in text
    assert seen >= 7


def test_a_link_that_is_none_of_http_is_not_made() -> None:
    tasks = frame(AGENT_TASKS, [task("InboundAgent", ok=False)])
    assert failing_traces(tasks, lambda _trace: "javascript:alert(1)")[0].url is None
    assert failing_traces(tasks, lambda trace: f"http://phoenix.example/{trace}")[0].url is not None


def test_readers_are_let_in_by_the_given_dependency_and_static_files_need_none(empty: tuple[Lake, Ledger]) -> None:
    def nobody() -> None:
        raise Problem(401, "Sign in.")

    browser = dashboard(*empty, read=[Depends(nobody)])
    assert {browser.get(page).status_code for page in PAGES} == {401}
    assert browser.get("/static/dashboard.css").status_code == 200


def test_a_page_is_made_anew_when_it_is_no_longer_young(empty: tuple[Lake, Ledger]) -> None:
    lake, book = empty
    clock = Clock()
    browser = dashboard(lake, book, clock=clock)
    assert "No incident is open" in browser.get("/").text
    book.record_incidents([incident(onset=LAST - LENGTH)])
    assert "No incident is open" in browser.get("/").text
    clock.now = NOW + SHOWN_FOR
    assert "1 incident is open" in browser.get("/").text


def test_behind_a_proxy_with_a_path_of_its_own_links_stay_under_it(empty: tuple[Lake, Ledger]) -> None:
    browser = dashboard(*empty)
    assert 'href="/dashboard/data"' in browser.get("/dashboard/outbox").text
    browser = TestClient(browser.app, root_path="/perf")
    assert set(re.findall(r'(?:href|src)="(/[a-z]+)', browser.get("/dashboard/outbox").text)) == {"/perf"}


def test_the_chart_library_comes_from_its_installed_package_and_is_kept_by_browsers(full: TestClient) -> None:
    scripts = re.findall(r'src="(/static/bokeh[^"]+)"', full.get("/dashboard/agents/InboundAgent").text)
    assert len(scripts) == 2
    for script in scripts:
        answer = full.get(script)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
        assert "Bokeh" in answer.text


def visible(page: str) -> str:
    """What a page shows as text, on one line."""
    without_data = re.sub(r"<script.*?</script>|<noscript>.*?</noscript>", " ", page, flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", "", re.sub(r"</(?:td|th|li|p|h\d|dt|dd)>", " ", without_data))
    return " ".join(html.unescape(text).split())
