"""/metrics by the official parser, and that everything that the dashboard and the alert rules name is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from perf_pipeline.monitoring.windows import windows_between
from perf_pipeline.records import Scope, SourceHealth, SourceStatus, SpendState
from perf_pipeline.service.app import create_app
from perf_pipeline.tables import AGENT_TASKS, OPTIMIZATION_DECISIONS
from perf_pipeline.tokens import new_token
from resources.lake import Lake
from resources.ledger import Ledger
from tests.approval_builders import FLEET, NOON, asked
from tests.incident_actions_builders import told_thread
from tests.metrics_lake import tasks_frame, write_windows
from tests.run_builders import a_request, a_run
from tests.service_fixtures import context_of

ROOT = Path(__file__).parents[1]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "perf-pipeline.json"
NAME = re.compile(r"perf_pipeline_\w+")
WINDOWS = windows_between(NOON - timedelta(hours=1), NOON, FLEET.window)
HEALTH = SourceHealth("spans", WINDOWS[-1].start, SourceStatus.UNAVAILABLE, "down", 0, 0, NOON)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


@pytest.fixture
def exposed(book: Ledger, tmp_path: Path) -> dict[str, Any]:
    """The families of an installation with something of everything, by name."""
    lake = Lake(str(tmp_path / "lake"))
    write_windows(lake, FLEET.agent_names, WINDOWS, success_rate=[80.0] * 7)
    lake.write(AGENT_TASKS, WINDOWS[-1].start, tasks_frame(["AuditAgent"], WINDOWS[-1].start, [400, 700, 900, 400_000]))
    lake.write(OPTIMIZATION_DECISIONS, WINDOWS[-1].start, OPTIMIZATION_DECISIONS.empty())
    told_thread(book, {"agent": "InboundAgent", "severity": "critical"})
    asked(book)
    book.record_health([HEALTH])
    return families(book, lake)


def families(book: Ledger, lake: Lake) -> dict[str, Any]:
    secret, token = new_token("prometheus", "ana", [Scope.READ], "ana", NOON)
    book.add_token(token)
    app = create_app(context_of(book, FLEET, lambda: NOON, str(lake.root)))
    answer = TestClient(app).get("/metrics", headers={"authorization": f"Bearer {secret}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def value(family: Any, **labels: str) -> float:
    [sample] = [one for one in family.samples if labels.items() <= one.labels.items()]
    return sample.value


def test_the_figures_are_those_of_lake_and_ledger(exposed: dict[str, Any]) -> None:
    assert value(exposed["perf_pipeline_agent_success_ratio"], agent="AuditAgent") == 0.8
    assert value(exposed["perf_pipeline_open_incidents"], agent="InboundAgent", severity="critical") == 1
    assert value(exposed["perf_pipeline_open_incidents"], agent="AuditAgent", severity="critical") == 0
    assert value(exposed["perf_pipeline_optimization_requests"], state="awaiting_approval") == 1
    assert value(exposed["perf_pipeline_outbox_messages"], state="pending") == 2
    assert value(exposed["perf_pipeline_window_lag_seconds"]) == 0
    status = "perf_pipeline_source_status"
    assert value(exposed[status], source="spans", **{status: "unavailable"}) == 1
    assert value(exposed[status], source="spans", **{status: "complete"}) == 0


def test_latencies_are_a_histogram_with_a_trace_for_each_bucket(exposed: dict[str, Any]) -> None:
    family = exposed["perf_pipeline_agent_latency_seconds"]
    assert family.type == "gaugehistogram"
    own = {one.labels.get("le"): one for one in family.samples if one.labels["agent"] == "AuditAgent"}
    assert [own[limit].value for limit in ("0.25", "0.5", "1.0", "300.0", "+Inf")] == [0, 1, 3, 3, 4]
    traces = {limit: own[limit].exemplar and own[limit].exemplar.labels["trace_id"] for limit in own}
    assert (traces["0.5"], traces["1.0"], traces["+Inf"]) == ("AuditAgent-0", "AuditAgent-2", "AuditAgent-3")
    assert traces["300.0"] is None


def test_what_optimizers_spent_is_a_counter(book: Ledger, tmp_path: Path) -> None:
    run = a_run()
    assert book.request_optimization(a_request())
    assert book.begin_run(run)
    reserved = book.reserve_spend(run.request_id, {"month": 10**12}, "task", "model", "call", 2 * 10**9, NOON)
    assert reserved.id
    book.settle_spend(reserved.id, SpendState.SETTLED, NOON, nanodollars=1_250_000_000)
    found = families(book, Lake(str(tmp_path / "lake")))["perf_pipeline_optimizer_spend_usd"]
    assert found.type == "counter"
    assert value(found, agent=run.agent, optimizer=run.optimizer) == 1.25


def test_an_installation_without_anything_has_metrics_too(book: Ledger, tmp_path: Path) -> None:
    found = families(book, Lake(str(tmp_path / "lake")))
    assert found["perf_pipeline_agent_score"].samples == []
    assert value(found["perf_pipeline_missing_windows"]) > 0


@pytest.mark.parametrize("file", [RULES, DASHBOARD], ids=["rules", "dashboard"])
def test_every_metric_that_is_named_is_exposed(exposed: dict[str, Any], file: Path) -> None:
    samples = {sample.name for family in exposed.values() for sample in family.samples}
    labels = {label for family in exposed.values() for sample in family.samples for label in sample.labels}
    # Counters have no sample before anything was spent.
    named = set(NAME.findall(file.read_text(encoding="utf-8"))) - {"perf_pipeline_optimizer_spend_usd_total"}
    assert len(named) > 5
    assert named - samples - labels == set()


def test_every_rule_says_what_it_means_and_how_grave_it_is() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert len(rules) > 5
    for rule in rules:
        assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]
        assert rule["annotations"]["summary"].endswith((".", "?")), rule["alert"]


def test_the_dashboards_panels_do_not_overlap_and_have_queries() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)
    assert all(target["expr"] for panel in panels for target in panel["targets"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool of Debian's package prometheus is not here")
def test_promtool_takes_the_rules() -> None:
    checked = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
