"""A stand-in for PostgREST over agent_state: those of its parameters that are used here, and any other answer."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from resources.supabase import SupabaseResource
from tests.builders import START
from tests.wire import http_server
from tests.wire.scripted_server import Request, scripted_server

KEY = "a-secret-key"
CREATED = START - timedelta(hours=1)

Row = dict[str, str | None]
Answer = tuple[int, str, object]
Query = dict[str, list[str]]


@contextmanager
def answering(answer: Callable[[Query], Answer]) -> Iterator[str]:
    def respond(request: Request) -> http_server.Answer:
        status, content_type, body = answer(parse_qs(urlsplit(request.path).query))
        return http_server.Answer(status, content_type, body if isinstance(body, str) else json.dumps(body))

    with scripted_server(respond) as server:
        yield server.base_url


def row(number: int, updated_at: datetime | None = START, **columns: str | None) -> Row:
    known = {"id": f"{number:06d}", "agent_name": "lead", "status": "completed", "created_at": at(CREATED)}
    return known | {"updated_at": at(updated_at) if updated_at else None} | columns


def rows_of(count: int) -> list[Row]:
    return [row(n, agent_name="lead" if n % 3 else None) for n in range(count)]


def at(moment: datetime) -> str:
    return moment.isoformat()


GO_ON = re.compile(r'\(updated_at\.gt\."(.*)",and\(updated_at\.eq\."\1",id\.gt\."(.*)"\)\)')


class StateTable:
    """Rows behind those of PostgREST's parameters that are used here. Times compare as texts of one form."""

    def __init__(self, rows: list[Row], *, row_cap: int = 1000, aggregates: bool = True) -> None:
        self.rows, self.row_cap, self.aggregates = rows, row_cap, aggregates
        self.queries: list[Query] = []

    def __call__(self, query: Query) -> Answer:
        self.queries.append(query)
        found = [row for row in self.rows if self._matches(row, query)]
        if "count()" in query["select"][0]:
            if not self.aggregates:
                message = "Use of aggregate functions is not allowed"
                return 400, "application/json", {"code": "PGRST123", "message": message}
            answer = self._groups(found)
        else:
            order = query.get("order", ["id.asc"])[0]
            columns = [part.partition(".")[0] for part in order.split(",")]
            answer = sorted(found, key=lambda row: [str(row[column]) for column in columns], reverse="desc" in order)
        offset = int(query.get("offset", ["0"])[0])
        return 200, "application/json", answer[offset : offset + min(self.row_cap, int(query["limit"][0]))]

    @staticmethod
    def _matches(row: Row, query: Query) -> bool:
        changed, task = str(row["updated_at"]), str(row["id"])
        bounds = dict(bound.split(".", 1) for bound in query.get("updated_at", []))
        if bounds and (row["updated_at"] is None or not bounds["gte"] <= changed < bounds.get("lt", "3")):
            return False
        go_on = GO_ON.fullmatch(query.get("or", [""])[0])
        if go_on and (changed, task) <= go_on.groups():
            return False
        ids = dict(bound.split(".", 1) for bound in query.get("id", []))
        return ids.get("gt", "") < task <= ids.get("lte", "9")

    @staticmethod
    def _groups(rows: list[Row]) -> list[dict[str, object]]:
        counts = Counter((row["agent_name"], row["status"]) for row in rows)
        groups = sorted(counts.items(), key=str)
        return [{"agent_name": agent, "status": status, "count": count} for (agent, status), count in groups]

    @property
    def grouped(self) -> int:
        """How many requests asked for groups."""
        return sum("count()" in query["select"][0] for query in self.queries)


def resource(url: str, **settings: object) -> SupabaseResource:
    return SupabaseResource(url=url, key=KEY, **settings)  # pyright: ignore[reportArgumentType]
