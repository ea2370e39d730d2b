"""A Railway of ours over HTTP: checks every query against Railway's own schema, and misbehaves when told to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from graphql import GraphQLError, GraphQLSchema, build_schema, graphql_sync

from tests.wire.http_server import Answer, Handler, http_server

SCHEMA: GraphQLSchema = build_schema(Path(__file__).with_name("railway.graphql").read_text())
BEARER_TOKEN = "account-token-3f1c"
PROJECT_TOKEN = "project-token-9a2d"
ENVIRONMENT_ID = "env-1"
PROJECT_ID = "project-1"
PATH = "/graphql/v2"


def log(ns: int, message: str, **others: Any) -> dict[str, Any]:
    """A log line as Railway gives it, written `ns` nanoseconds after 1970."""
    seconds, rest = divmod(ns, 10**9)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:09d}Z"
    tags = {"serviceId": "service-1", "deploymentId": "deployment-1"}
    return {"timestamp": text, "message": message, "severity": "info", "tags": tags, "attributes": [], **others}


def ns_of(timestamp: str) -> int:
    whole, _, fraction = timestamp.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return seconds * 10**9 + int((fraction or "0").ljust(9, "0"))


@dataclass
class FakeRailway:
    """What the server holds, and the readings of Railway's documents that it follows."""

    logs: list[dict[str, Any]] = field(default_factory=list)
    deployments: list[dict[str, Any]] = field(default_factory=list)
    bounds_inclusive: bool = False
    bounds_in_milliseconds: bool = False
    one_line_more: bool = True
    max_lines: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    next_answers: list[Answer] = field(default_factory=list)
    queries: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def environmentLogs(
        self,
        _info: Any,
        environmentId: str,
        beforeLimit: int,
        beforeDate: str,
        anchorDate: str,
        afterDate: str,
        afterLimit: int,
        filter: str = "",
    ) -> list[dict[str, Any]]:
        self._require(environmentId == ENVIRONMENT_ID)
        self._require(afterLimit == 0 and ns_of(afterDate) >= ns_of(anchorDate))
        lower, upper = self._bound(beforeDate), self._bound(anchorDate)
        service = filter.removeprefix("@service:")
        found = [
            line
            for line in self.logs
            if self._within(lower, ns_of(line["timestamp"]), upper)
            and (not service or line["tags"]["serviceId"] == service)
        ]
        found.sort(key=lambda line: line["timestamp"])
        limit = min(beforeLimit, self.max_lines or beforeLimit) + self.one_line_more
        return found[-limit:]

    def deployments_(self, _info: Any, input: dict[str, str], first: int, after: str = "-1") -> dict[str, Any]:
        self._require(input["environmentId"] == ENVIRONMENT_ID and input["projectId"] == PROJECT_ID)
        service = input.get("serviceId")
        found = [node for node in self.deployments if service in (None, node["serviceId"])]
        found.sort(key=lambda node: node["createdAt"], reverse=True)
        begin = int(after) + 1
        edges = [
            {"cursor": str(begin + index), "node": node} for index, node in enumerate(found[begin : begin + first])
        ]
        more = begin + first < len(found)
        page = {"hasNextPage": more, "hasPreviousPage": begin > 0, "endCursor": edges[-1]["cursor"] if edges else None}
        return {"edges": edges, "pageInfo": page}

    def root(self) -> dict[str, Any]:
        return {"environmentLogs": self.environmentLogs, "deployments": self.deployments_}

    def _within(self, lower: int, ns: int, upper: int) -> bool:
        return lower <= ns <= upper if self.bounds_inclusive else lower < ns < upper

    def _bound(self, timestamp: str) -> int:
        ns = ns_of(timestamp)
        return ns // 10**6 * 10**6 if self.bounds_in_milliseconds else ns

    def _require(self, allowed: bool) -> None:
        if not allowed:
            raise GraphQLError("Not Authorized")


def deployment(id: str, created: datetime, commit: str | None, **others: Any) -> dict[str, Any]:
    """A deployment as Railway gives it; `created` is aware."""
    meta = {"commitHash": commit * 8, "commitMessage": f"Change {commit}\n\nBody", "branch": "main"} if commit else None
    return {
        "id": id,
        "status": "REMOVED",
        "createdAt": created.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "serviceId": "service-1",
        "meta": meta,
        **others,
    }


@contextmanager
def railway_server(railway: FakeRailway) -> Iterator[FakeRailway]:
    """Serves `railway` on a free port of 127.0.0.1 and sets its `url`."""

    class Railway(Handler):
        def do_POST(self) -> None:
            request = self.read_request()
            query = json.loads(request.body)
            railway.queries.append(query)
            self.send(railway.next_answers.pop(0) if railway.next_answers else execute(query, request.headers))

    def execute(query: dict[str, Any], headers: dict[str, str]) -> Answer:
        bearer = headers.get("authorization") == f"Bearer {BEARER_TOKEN}"
        if not bearer and headers.get("project-access-token") != PROJECT_TOKEN:
            return Answer(body=json.dumps({"errors": [{"message": "Not Authorized"}], "data": None}))
        result = graphql_sync(SCHEMA, query["query"], railway.root(), variable_values=query["variables"])
        return Answer(body=json.dumps(result.formatted), headers=railway.headers)

    with http_server(Railway) as base_url:
        railway.url = base_url + PATH
        yield railway
