"""Railway's logs and deployments under every fault of the matrix, through the assets that read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from perf_pipeline.assets.change_events import change_events_asset
from perf_pipeline.assets.raw_logs import raw_logs_asset
from perf_pipeline.monitoring.windows import floor_to_window, windows_between
from perf_pipeline.tables import CHANGE_EVENTS, RAW_LOGS
from resources.railway import RailwayResource
from tests.fault_cells import FLEET, FaultCell, PlannedFault, WatchedTable, faults_of_any_server
from tests.wire.fault_proxy import Fault, changed_answer, changed_request, fault_proxy, with_json
from tests.wire.http_server import Request
from tests.wire.railway_server import (
    BEARER_TOKEN,
    ENVIRONMENT_ID,
    PATH,
    PROJECT_ID,
    FakeRailway,
    deployment,
    log,
    railway_server,
)

STEP = timedelta(minutes=1)
LINES_PER_REQUEST = 16
LOWER_LIMITS = {"beforeLimit": 5, "first": 8}


def nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


def version(number: int) -> str:
    """The short hash of the commit that `deployment` makes of a number."""
    return f"{number:05x}00"


def misbehaving(name: str, fault: Fault, advice: str | None) -> PlannedFault:
    return PlannedFault(name, lambda proxy: proxy.misbehave(fault), advice)


def with_lower_limits(request: Request) -> Request:
    query = json.loads(request.body)
    query["variables"] |= {name: limit for name, limit in LOWER_LIMITS.items() if name in query["variables"]}
    return replace(request, body=json.dumps(query).encode())


def with_fewer_rows(answer: dict[str, Any]) -> dict[str, Any]:
    """The newest rows of a page, which says of itself what it said when it was whole."""
    data = answer["data"]
    if "environmentLogs" in data:
        data["environmentLogs"] = data["environmentLogs"][-LOWER_LIMITS["beforeLimit"] :]
    else:
        data["deployments"]["edges"] = data["deployments"]["edges"][: LOWER_LIMITS["first"]]
    return answer


def with_renamed_fields(answer: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(answer).replace('"message"', '"text"').replace('"createdAt"', '"created"'))


def without_texts(answer: dict[str, Any]) -> dict[str, Any]:
    for line in answer["data"].get("environmentLogs", []):
        line["message"] = None
    for edge in answer["data"].get("deployments", {"edges": []})["edges"]:
        edge["node"]["status"] = None
    return answer


FAULTS = [
    *faults_of_any_server(
        {
            "down": "Check RAILWAY_ENDPOINT and the network",
            "401": "RAILWAY_API_TOKEN is wrong, was revoked",
            "404": "Set RAILWAY_ENDPOINT to https://",
            "429": "Try again then, or use a plan with a higher limit",
            "500": "try again later",
            "slow": r"RAILWAY_ENDPOINT.*Try again later",
            "html": "Set RAILWAY_ENDPOINT to https://",
            "cut": "Check RAILWAY_ENDPOINT and the network",
        }
    ),
    misbehaving("limits below those asked for", changed_request(with_lower_limits), None),
    misbehaving("truncated pages", changed_answer(with_json(with_fewer_rows)), None),
    misbehaving("renamed fields", changed_answer(with_json(with_renamed_fields)), "Update perf-pipeline, or report"),
    misbehaving("nulls for texts", changed_answer(with_json(without_texts)), "Update perf-pipeline, or report"),
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultCell]:
    """A proxy before a Railway that holds rows in both windows and on either side of them."""
    end = floor_to_window(datetime.now(UTC), FLEET.window)
    known, fresh = windows_between(end - 2 * FLEET.window, end, FLEET.window)
    first, last = known.start - 3 * STEP, end + 3 * STEP
    moments = [first + number * STEP for number in range((last - first) // STEP)]
    railway = FakeRailway(
        logs=[log(nanoseconds(moment), moment.isoformat()) for moment in moments],
        deployments=[deployment(f"d{number}", moment, f"{number:05x}") for number, moment in enumerate(moments)],
    )
    within = {
        window: [number for number, moment in enumerate(moments) if window.start <= moment < window.end]
        for window in (known, fresh)
    }
    messages = {window: [(moments[number].isoformat(),) for number in numbers] for window, numbers in within.items()}
    versions = {
        window: [(version(number - 1), version(number)) for number in found] for window, found in within.items()
    }
    with railway_server(railway), fault_proxy(railway.url.removesuffix(PATH)) as proxy:

        def source(timeout_seconds: float) -> RailwayResource:
            return RailwayResource(
                endpoint=proxy.url + PATH,
                token=BEARER_TOKEN,
                uses_project_token=False,
                environment_id=ENVIRONMENT_ID,
                project_id=PROJECT_ID,
                lines_per_request=LINES_PER_REQUEST,
                request_timeout_seconds=timeout_seconds,
                max_wait_seconds=0.9,
            )

        tables = [
            WatchedTable(raw_logs_asset, RAW_LOGS, "logs", ["message"], messages),
            WatchedTable(change_events_asset, CHANGE_EVENTS, "changes", ["from_version", "to_version"], versions),
        ]
        folder = tmp_path_factory.mktemp("prepared")
        cell = FaultCell(folder, proxy, "log_source", source, known, fresh, tables, [BEARER_TOKEN])
        cell.prepare()
        yield cell


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"railway-{fault}")
def test_a_faulty_railway_costs_no_row_and_is_never_called_complete(
    prepared: FaultCell, fault: PlannedFault, tmp_path: Path
) -> None:
    prepared.copied_to(tmp_path).run(fault)
