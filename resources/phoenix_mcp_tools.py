"""Which tools of an MCP server give projects and spans, under which names, and what their answers hold.

Two families are known: the tools of Phoenix's own `/mcp`, which are named after its REST interface, and those of the
npm package @arizeai/phoenix-mcp, whose arguments were spelled differently from version to version.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard

from resources.phoenix_json import JsonSpan
from resources.reading import PhoenixError

SPANS_PER_PAGE = 1000
PACKAGE = "@arizeai/phoenix-mcp"

Call = tuple[str, dict[str, Any]]
"""A tool's name and its arguments."""


@dataclass(frozen=True)
class SpanTools:
    """The names in use: of the tools, of their arguments, and of the fields of their answers."""

    list_projects: str
    projects_per_page: int
    get_spans: str
    project: str
    start: str
    end: str
    spans: str
    next_cursor: str
    sorts: bool
    span_ids: str | None = None

    def projects_page(self, cursor: str | None) -> Call:
        return self.list_projects, _given({"limit": self.projects_per_page, "cursor": cursor})

    def newest_span(self, project: str) -> Call:
        return self.get_spans, {self.project: project, "limit": 1}

    def spans_page(self, project: str, start: datetime, end: datetime, cursor: str | None) -> Call:
        """A page of the spans that started in [start, end), in the order of arrival: oldest first if `sorts`."""
        within = {self.start: start.astimezone(UTC).isoformat(), self.end: end.astimezone(UTC).isoformat()}
        order = {"sort": "id", "order": "asc"} if self.sorts else {}
        page = {self.project: project, "limit": SPANS_PER_PAGE, "cursor": cursor}
        return self.get_spans, _given({**page, **within, **order})

    def spans_by_id(self, project: str, span_ids: Sequence[str], cursor: str | None) -> Call:
        """A page of the spans with these ids, for tools where `span_ids` names the argument."""
        asked = {self.project: project, "limit": SPANS_PER_PAGE, "cursor": cursor, str(self.span_ids): list(span_ids)}
        return self.get_spans, _given(asked)

    def projects_in(self, answer: Any) -> list[dict[str, Any]]:
        """The projects of one page, each with `name` and `id`. Raises PhoenixError."""
        projects = answer.get("data") if isinstance(answer, dict) else answer
        if not _are_objects_with(projects, "name", "id"):
            raise _unexpected(self.list_projects)
        return projects

    def spans_in(self, answer: Any) -> tuple[list[JsonSpan], str | None]:
        """The spans of one page, and where the next one begins. Raises PhoenixError."""
        # Without the cursor nothing would say whether this is the last page.
        if not isinstance(answer, dict) or self.next_cursor not in answer:
            raise _unexpected(self.get_spans)
        if not _are_objects_with(answer.get(self.spans), "id"):
            raise _unexpected(self.get_spans)
        return answer[self.spans], answer[self.next_cursor]


BUILT_IN = SpanTools(
    list_projects="getProjects",
    projects_per_page=1000,
    get_spans="getSpans",
    project="project_identifier",
    start="start_time",
    end="end_time",
    spans="data",
    next_cursor="next_cursor",
    sorts=True,
    span_ids="span_id",
)


def tools_of_package(schemas: Mapping[str, Mapping[str, Any]]) -> SpanTools:
    """The package's tools, given each tool's input schema by its name. Raises PhoenixError where they do not fit."""
    for tool in ("list-projects", "get-spans"):
        if tool not in schemas:
            raise PhoenixError(
                f"The MCP server that fleet.yaml's sources.phoenix_mcp_command starts has no tool {tool}; it has: "
                f"{', '.join(sorted(schemas)[:10]) or 'none'}. Name {PACKAGE} there.",
                retryable=False,
            )
    spans = schemas["get-spans"].get("properties", {})
    projects = schemas["list-projects"].get("properties", {})
    # The server ignores an argument that it does not know, and would read another project or all of time.
    return SpanTools(
        list_projects="list-projects",
        projects_per_page=int(projects.get("limit", {}).get("maximum", 100)),
        get_spans="get-spans",
        project=_spelling(spans, "project_identifier", "projectIdentifier"),
        start=_spelling(spans, "start_time", "startTime"),
        end=_spelling(spans, "end_time", "endTime"),
        spans="spans",
        next_cursor="nextCursor",
        sorts={"sort", "order"} <= spans.keys(),
    )


def _are_objects_with(values: Any, *names: str) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(values, list) and all(isinstance(value, dict) and value.keys() >= {*names} for value in values)


def _spelling(properties: Iterable[str], *spellings: str) -> str:
    for spelling in spellings:
        if spelling in properties:
            return spelling
    # Versions with `projectName` answer with no spans where a request failed: a window would be lost silently.
    raise PhoenixError(
        f"The tool get-spans of the MCP server that fleet.yaml's sources.phoenix_mcp_command starts takes no argument "
        f"{spellings[0]}, so its version is too old to be read without loss: name a newer {PACKAGE} there.",
        retryable=False,
    )


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _unexpected(tool: str) -> PhoenixError:
    return PhoenixError(
        f"The MCP tool {tool} gave an answer that is not laid out as expected, so the version of the server may be too "
        "new or too old: compare it with the versions that the README names.",
        retryable=False,
    )
