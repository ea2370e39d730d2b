"""What the suites of the PostgreSQL road share: spans of their own, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import psycopg

from perf_pipeline.tables import RAW_SPANS
from resources.phoenix import PhoenixResource
from tests.real.phoenix_fixtures import PhoenixOnPostgres
from tests.real.services.otlp_sender import SentSpan, send_spans, wait_until_queryable

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
END = START + timedelta(minutes=30)
AGENT_ATTRIBUTES = ["agent.name", "metadata.agent_name", "metadata.agent", "agent_name", "an'odd \"name\\{"]
NUMBERS = iter(range(1, 1_000_000))


def a_span(start: datetime = START, **fields: Any) -> SentSpan:
    number = next(NUMBERS)
    known = {"trace_id": f"{number:032x}", "span_id": f"{number:016x}", "name": "work", "start": start}
    return SentSpan(**(known | fields))


def send(phoenix: PhoenixOnPostgres, project: str, spans: Sequence[SentSpan], held_before: int = 0) -> None:
    send_spans(phoenix.server.base_url, project, spans)
    wait_until_queryable(phoenix.server.base_url, project, held_before + len(spans))


def source(phoenix: PhoenixOnPostgres, project: str, **settings: Any) -> PhoenixResource:
    known: dict[str, Any] = {
        "endpoint": phoenix.server.base_url,
        "project": project,
        "agent_attributes": AGENT_ATTRIBUTES,
        "road": "postgres",
        "database_url": phoenix.database_url,
    }
    return PhoenixResource(**(known | settings))


def read(source: PhoenixResource, start: datetime = START, end: datetime = END) -> pd.DataFrame:
    """The window's raw_spans, by span_id."""
    spans = pd.concat([RAW_SPANS.empty(), *source.read_spans(start, end)])
    return spans.sort_values("span_id").reset_index(drop=True)


@dataclass(frozen=True)
class Late:
    """A project, and a connection that writes spans into it past Phoenix's queue."""

    phoenix: PhoenixOnPostgres
    project: str
    connection: psycopg.Connection

    def source(self, **settings: Any) -> PhoenixResource:
        return source(self.phoenix, self.project, **settings)

    def add(self, *starts: datetime) -> list[str]:
        return add_rows(self.connection, self.project, starts)


def add_rows(connection: psycopg.Connection, project: str, starts: Sequence[datetime]) -> list[str]:
    """Writes spans into the tables as Phoenix does, without its queue; their span_ids."""
    names = [f"{next(NUMBERS):016x}" for _ in starts]
    one = (
        "insert into spans (trace_rowid, span_id, name, span_kind, start_time, end_time, attributes, events, "
        "status_code, status_message, cumulative_error_count, cumulative_llm_token_count_prompt, "
        "cumulative_llm_token_count_completion) "
        "select min(t.id), %s, 'late', 'CHAIN', %s, %s, '{}', '[]', 'OK', '', 0, 0, 0 "
        "from traces t join projects p on p.id = t.project_rowid where p.name = %s"
    )
    for name, start in zip(names, starts, strict=True):
        connection.execute(one, (name, start, start, project))
    return names
