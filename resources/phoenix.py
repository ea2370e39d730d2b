"""Phoenix as a source of spans: complete windows, or an error that says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from difflib import SequenceMatcher
from typing import Any
from urllib.parse import quote

import dagster as dg
import pandas as pd
from pydantic import Field

from resources.phoenix_connection import PhoenixConnection, public_address
from resources.phoenix_frame import exception_types, frame_from_answer, raw_spans, select_expressions
from resources.reading import PhoenixError, Reading

SHORTEST_WINDOW = timedelta(microseconds=1)
SPANS_PER_PAGE = 1000
PROJECTS_NAMED_IN_ERRORS = 10


class PhoenixResource(dg.ConfigurableResource):
    """One project of a Phoenix server."""

    endpoint: str = Field(description="Base URL of the server, such as http://localhost:6006")
    project: str = Field(description="Name or ID of the project that the agents are traced to")
    api_key: str = Field(default="", repr=False, description="Sent as a bearer token; empty where none is asked for")
    agent_attributes: list[str] = Field(
        min_length=1, description="Attributes that may name the agent, in order of preference"
    )
    request_timeout_seconds: float = Field(default=300, description="Longest silence of the server within a request")
    rows_per_request: int = Field(default=200_000, gt=0, description="A window with more spans is read in parts")

    def describe(self) -> str:
        """Which server and project are read, in one line for people."""
        return f"Phoenix at {public_address(self.endpoint)}, project {self.project}"

    def read_spans(self, start: datetime, end: datetime) -> Reading:
        """All spans with start <= start_time < end, as `raw_spans` in order of their start.

        Both bounds are aware datetimes. Raises PhoenixError where the window cannot be read completely.
        """
        if start.tzinfo is None or end.tzinfo is None:
            raise ValueError("The bounds of a window must carry a time zone.")
        with self._connect() as connection:
            project = self._find_project(connection)
            rows = self._query_window(connection, str(project["name"]), start.astimezone(UTC), end.astimezone(UTC))
            errors: dict[str, str] = {}
            if rows["status_code"].isin(["ERROR"]).any():
                errors = _read_exception_types(connection, str(project["id"]), start, end)
        return Reading(raw_spans(rows, self.agent_attributes, errors))

    def trace_url(self, trace_id: str) -> str | None:
        """Where Phoenix's own pages show the trace; None without a trace. Asks the server nothing."""
        if not trace_id:
            return None
        return f"{public_address(self.endpoint)}/redirects/traces/{quote(trace_id, safe='')}"

    def _connect(self) -> PhoenixConnection:
        return PhoenixConnection(self.endpoint, self.api_key, self.request_timeout_seconds)

    def _find_project(self, connection: PhoenixConnection) -> Mapping[str, Any]:
        # A query on an unknown project answers 200 with no rows, and a name with a slash fits into no path:
        # so the project is looked up in the list.
        projects = list(connection.pages("v1/projects", {"limit": 1000}))
        for identity in ("name", "id"):
            for project in projects:
                if project[identity] == self.project:
                    return project
        names = sorted((str(project["name"]) for project in projects), key=self._likeness, reverse=True)
        shown = ", ".join(names[:PROJECTS_NAMED_IN_ERRORS]) + (", ..." if len(names) > PROJECTS_NAMED_IN_ERRORS else "")
        raise PhoenixError(
            f"Phoenix at {public_address(self.endpoint)} has no project {self.project!r}; it has: {shown or 'none'}. "
            "Set PHOENIX_PROJECT_NAME to one of them; a new project appears with the first span sent to it.",
            retryable=False,
        )

    def _likeness(self, name: str) -> float:
        return SequenceMatcher(None, name.lower(), self.project.lower()).ratio()

    def _query_window(
        self, connection: PhoenixConnection, project: str, start: datetime, end: datetime
    ) -> pd.DataFrame:
        answer = connection.query(
            params={"project_name": project},
            body={
                "queries": [
                    {
                        "select": {
                            label: {"key": expression}
                            for label, expression in select_expressions(self.agent_attributes).items()
                        },
                        "index": {"key": "context.span_id"},
                    }
                ],
                "start_time": start.isoformat(),
                "end_time": end.isoformat(),
                "limit": self.rows_per_request,
            },
        )
        rows = frame_from_answer(answer)
        if len(rows) < self.rows_per_request:
            return rows
        # The limit cuts without order or cursor, so a full answer may lack anything: only smaller windows help.
        if end - start <= SHORTEST_WINDOW:
            raise PhoenixError(
                f"At least {len(rows)} spans begin within the microsecond at {start.isoformat()}, as many as one "
                "request may return: raise rows_per_request of the Phoenix resource.",
                retryable=False,
            )
        middle = start + (end - start) // 2
        halves = [
            self._query_window(connection, project, start, middle),
            self._query_window(connection, project, middle, end),
        ]
        return pd.concat([half for half in halves if len(half)] or halves, ignore_index=True)


def _read_exception_types(
    connection: PhoenixConnection, project_id: str, start: datetime, end: datetime
) -> dict[str, str]:
    # Queries give no events, so the exceptions of failed spans come by the other road.
    pages = connection.pages(
        f"v1/projects/{quote(project_id, safe='')}/spans",
        {
            "status_code": "ERROR",
            "start_time": start.astimezone(UTC).isoformat(),
            "end_time": end.astimezone(UTC).isoformat(),
            "limit": SPANS_PER_PAGE,
        },
    )
    return exception_types(pages)
