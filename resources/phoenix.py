"""Phoenix as a source of spans: complete windows by one of four roads, or an error that says what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

import dagster as dg
import pandas as pd
from pydantic import Field

from perf_pipeline.records import TaskFeedback, TaskPayload
from resources.phoenix_annotations import feedback_by_rest
from resources.phoenix_connection import PhoenixConnection, authorization, public_address
from resources.phoenix_mcp import open_mcp_road
from resources.phoenix_postgres import PostgresRoad, open_postgres_road
from resources.phoenix_project import find_project
from resources.phoenix_query import QueryRoad
from resources.phoenix_rest import RestRoad
from resources.phoenix_road import SpanRoad
from resources.sources import Arrivals, ExportPlace, TaskPlace
from resources.span_attributes import wanted_attributes
from resources.span_columns import raw_spans

EXPORT_SECONDS = 3


class PhoenixResource(dg.ConfigurableResource):
    """One project of a Phoenix server."""

    endpoint: str = Field(description="Base URL of the server, such as http://localhost:6006")
    project: str = Field(description="Name or ID of the project that the agents are traced to")
    api_key: str = Field(default="", repr=False, description="Sent as a bearer token; empty where none is asked for")
    agent_attributes: list[str] = Field(
        min_length=1, description="Attributes that may name the agent, in order of preference"
    )
    road: Literal["query", "rest", "mcp", "postgres"] = Field(default="query", description="How spans are read")
    mcp_command: list[str] = Field(
        default=[], description="MCP server to start and speak to over its pipes; none means the server's own /mcp"
    )
    database_url: str = Field(default="", repr=False, description="Phoenix's PostgreSQL, for the road postgres")
    request_timeout_seconds: float = Field(default=300, gt=0, description="Longest silence within a request")
    rows_per_request: int = Field(default=100_000, gt=0, description="A window with more spans is read in parts")

    def describe(self) -> str:
        """Which server and project are read, and by which road, in one line for people."""
        return f"{self._place}, project {self.project}, by {self.road}"

    def read_spans(self, start: datetime, end: datetime) -> Iterator[pd.DataFrame]:
        """See `sources.SpanSource`. Both bounds are aware datetimes."""
        if start.tzinfo is None or end.tzinfo is None:
            raise ValueError("The bounds of a window must carry a time zone.")
        with self._open_road() as road:
            for rows in road.parts(start, end):
                yield raw_spans(rows, self.agent_attributes)

    def arrivals(self, position: str | None, since: datetime, before: datetime) -> Arrivals:
        """See `sources.SpanSource`."""
        with self._open_road() as road:
            return road.arrivals(position, since, before)

    def read_payloads(self, tasks: Sequence[TaskPlace]) -> Iterator[TaskPayload]:
        """See `sources.SpanSource`."""
        if tasks:
            with self._open_road() as road:
                yield from road.payloads(tasks)

    def read_feedback(self, tasks: Sequence[TaskPlace]) -> list[TaskFeedback]:
        """See `sources.SpanSource`. On the road postgres from Phoenix's tables, on all others over REST."""
        if not tasks:
            return []
        if self.road == "postgres":
            with self._open_postgres_road() as road:
                return road.feedback(tasks)
        with self._open_project() as (connection, project):
            return feedback_by_rest(connection, str(project["id"]), tasks)

    def trace_url(self, trace_id: str) -> str | None:
        """Where Phoenix's own pages show the trace; None without a trace. Asks the server nothing."""
        if not trace_id:
            return None
        return f"{public_address(self.endpoint)}/redirects/traces/{quote(trace_id, safe='')}"

    def export_place(self) -> ExportPlace:
        """See `sources.SpanSource`. Spans that Phoenix does not take in a few seconds are dropped."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(
            endpoint=f"{self.endpoint.rstrip('/')}/v1/traces",
            headers=authorization(self.api_key),
            timeout=EXPORT_SECONDS,
        )
        return ExportPlace(exporter, self.project)

    @property
    def _place(self) -> str:
        return f"Phoenix at {public_address(self.endpoint)}"

    @contextmanager
    def _open_road(self) -> Iterator[SpanRoad]:
        attributes = wanted_attributes(self.agent_attributes)
        if self.road == "postgres":
            with self._open_postgres_road() as road:
                yield road
            return
        if self.road == "mcp":
            with open_mcp_road(
                self.endpoint,
                self.api_key,
                self.project,
                attributes,
                self.mcp_command,
                self.request_timeout_seconds,
            ) as road:
                yield road
            return
        with self._open_project() as (connection, project):
            rest = RestRoad(connection, str(project["id"]), attributes)
            if self.road == "rest":
                yield rest
                return
            yield QueryRoad(
                connection, str(project["name"]), str(project["id"]), attributes, rest, self.rows_per_request
            )

    @contextmanager
    def _open_project(self) -> Iterator[tuple[PhoenixConnection, Mapping[str, Any]]]:
        with PhoenixConnection(self.endpoint, self.api_key, self.request_timeout_seconds) as connection:
            projects = connection.pages("v1/projects", {"limit": 1000})
            yield connection, find_project(projects, self.project, self._place)

    @contextmanager
    def _open_postgres_road(self) -> Iterator[PostgresRoad]:
        attributes = wanted_attributes(self.agent_attributes)
        with open_postgres_road(self.database_url, self.project, attributes, self.request_timeout_seconds) as road:
            yield road
