"""A real Phoenix under every fault of the matrix, by each road over HTTP, through the asset that reads spans."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from perf_pipeline.assets.raw_spans import raw_spans_asset
from perf_pipeline.monitoring.windows import Window, floor_to_window, windows_between
from perf_pipeline.tables import RAW_SPANS
from resources.phoenix import PhoenixResource
from tests.fault_cells import FLEET, FaultCell, PlannedFault, WatchedTable, faults_of_any_server
from tests.real import phoenix_fixtures
from tests.real.services.otlp_sender import SentSpan, dspy_traces, send_spans, wait_until_queryable
from tests.real.services.phoenix_server import RunningPhoenix
from tests.wire.fault_proxy import FaultProxy, changed_answer, changed_request, fault_proxy
from tests.wire.http_server import Answer, Request

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("phoenix")]
guarded_phoenix = phoenix_fixtures.guarded_phoenix

PROJECT = "fleet-under-faults"
ROADS = ("query", "rest", "mcp")
SPANS_IN_WINDOW, LOWER_LIMIT = 60, 25
LOWER_LIMITS = "limits below those asked for"


def answers_spans(request: Request) -> bool:
    return "/spans" in request.path or b'"getSpans"' in request.body


def with_lower_limit(request: Request) -> Request:
    """What a server makes of a request that asks for more than it gives at once."""
    path = re.sub(r"\blimit=\d\d+", f"limit={LOWER_LIMIT}", request.path)
    return replace(request, path=path, body=re.sub(rb'"limit":\s*\d\d+', b'"limit": %d' % LOWER_LIMIT, request.body))


def with_renamed_fields(answer: Answer) -> Answer:
    """`start_time` under another name, in whatever the answer is written."""
    if "arrow" not in answer.content_type:
        return replace(answer, body=answer.payload.replace(b"start_time", b"began_at"))
    stream, renamed = io.BytesIO(answer.payload), b""
    while stream.tell() < len(answer.payload):
        table = pa.ipc.open_stream(stream).read_all()
        table = table.rename_columns(["began_at" if name == "start_time" else name for name in table.column_names])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        renamed += sink.getvalue().to_pybytes()
    return replace(answer, body=renamed)


FAULTS = [
    *faults_of_any_server(
        {
            "down": "start the server, or correct PHOENIX_ENDPOINT",
            "401": "set PHOENIX_API_KEY to a key that is valid there",
            "404": "set PHOENIX_ENDPOINT to",
            "429": "try again later",
            "500": "try again later",
            "slow": "PHOENIX_ENDPOINT names is overloaded, or raise request_timeout_seconds",
            "html": "set PHOENIX_ENDPOINT to",
            "cut": "read the log of the server that PHOENIX_ENDPOINT names",
        },
        only=answers_spans,
    ),
    PlannedFault(
        "limits below those asked for", lambda proxy: proxy.misbehave(changed_request(with_lower_limit)), None
    ),
    PlannedFault(
        "renamed fields",
        lambda proxy: proxy.misbehave(changed_answer(with_renamed_fields), only=answers_spans),
        "versions that the README names",
    ),
]


@pytest.fixture(scope="module")
def spans() -> dict[Window, list[SentSpan]]:
    """Spans of two windows that follow each other, the newest that are over."""
    end = floor_to_window(datetime.now(UTC), FLEET.window)
    windows = windows_between(end - 2 * FLEET.window, end, FLEET.window)
    return {
        window: [
            *dspy_traces(["InboundAgent", "AuditAgent"], window.start, window.end, SPANS_IN_WINDOW, seed=number),
            # Its exception is told by its events alone, for which the query road needs another request.
            SentSpan(f"fa{number:030x}", f"fa{number:014x}", "work", window.start, status="ERROR", exception_type="E"),
        ]
        for number, window in enumerate(windows)
    }


@pytest.fixture(scope="module")
def proxy(guarded_phoenix: RunningPhoenix, spans: dict[Window, list[SentSpan]]) -> Iterator[FaultProxy]:
    """A proxy before a server that holds the spans in PROJECT."""
    sent = [span for found in spans.values() for span in found]
    send_spans(guarded_phoenix.base_url, PROJECT, sent, guarded_phoenix.api_key)
    wait_until_queryable(guarded_phoenix.base_url, PROJECT, len(sent), guarded_phoenix.api_key)
    with fault_proxy(guarded_phoenix.base_url) as running:
        yield running


@pytest.fixture(scope="module", params=ROADS)
def road(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def prepared(
    road: str,
    proxy: FaultProxy,
    guarded_phoenix: RunningPhoenix,
    spans: dict[Window, list[SentSpan]],
    tmp_path_factory: pytest.TempPathFactory,
) -> FaultCell:
    def source(timeout_seconds: float) -> PhoenixResource:
        return PhoenixResource(
            endpoint=proxy.url,
            project=PROJECT,
            api_key=guarded_phoenix.api_key,
            agent_attributes=list(FLEET.agent_attributes),
            road=road,  # pyright: ignore[reportArgumentType]
            request_timeout_seconds=timeout_seconds,
        )

    known, fresh = spans
    rows = {
        window: [(span.trace_id, span.span_id, span.name, span.status) for span in found]
        for window, found in spans.items()
    }
    tables = [
        WatchedTable(raw_spans_asset, RAW_SPANS, "spans", ["trace_id", "span_id", "name", "status"], rows),
    ]
    folder = tmp_path_factory.mktemp("prepared")
    cell = FaultCell(folder, proxy, "span_source", source, known, fresh, tables, [guarded_phoenix.api_key])
    cell.prepare()
    return cell


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"phoenix-{fault}")
def test_a_faulty_phoenix_costs_no_row_and_is_never_called_complete(
    prepared: FaultCell, road: str, fault: PlannedFault, tmp_path: Path
) -> None:
    if (road, fault.name) == ("query", LOWER_LIMITS):
        # A query's answer has no cursor, so what a lower limit has cut can only be told from Phoenix's own count.
        fault = replace(fault, advice="look for a proxy before PHOENIX_ENDPOINT")
    prepared.copied_to(tmp_path).run(fault)
