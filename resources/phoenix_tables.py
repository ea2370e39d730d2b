"""Questions to Phoenix's own tables in PostgreSQL (spans, traces, projects, span_annotations), as SQL.

Written for Phoenix 20.26.

An attribute `a.b.c` lies in the column `attributes` (jsonb) as {"a": {"b": {"c": ...}}}. Where `a.b` has a value of its
own, Phoenix keeps the rest of the name in one key: {"a": {"b": ..., "b.c": ...}}. So a name has several places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

PROJECTS = "select id, name from projects order by id"
NEWEST_SPAN = "select coalesce(max(id), 0) as newest from spans"

RECORDED_EXCEPTIONS = "jsonb_path_query_array(s.events, '$[*].attributes.\"exception.type\"')"
FIELDS = (
    "s.span_id, t.trace_id, s.parent_id, s.name, s.start_time, s.end_time, s.status_code, s.status_message, "
    f"case when s.status_code = 'ERROR' then {RECORDED_EXCEPTIONS} end"
)


def spans_query(project: int, attributes: Sequence[str], start: datetime, end: datetime) -> str:
    """The spans of the project with start <= start_time < end (aware), in no order.

    Columns by position: span_id, trace_id, parent_id, name, start_time, end_time, status_code, status_message,
    the exception types in a list (jsonb, of failed spans only), then each attribute (jsonb).
    """
    columns = [FIELDS, *(_attribute(name) for name in attributes)]
    return (
        f"select {', '.join(columns)} from spans as s join traces as t on t.id = s.trace_rowid "
        f"cross join lateral {_attributes_once(attributes)} as a where {_within(project, start, end)}"
    )


def arrivals_query(project: int, after: int | None, since: datetime, before: datetime, limit: int) -> str:
    """id, trace_id, span_id and start_time of the first spans after an id that started in `[since, before)`."""
    # Without an id to begin after, the order of ids would tempt the planner to walk through all older spans.
    order = "s.id + 0" if after is None else "s.id"
    later = "" if after is None else f" and s.id > {after:d}"
    return (
        "select s.id, t.trace_id, s.span_id, s.start_time from spans as s join traces as t on t.id = s.trace_rowid "
        f"where {_within(project, since, before)}{later} order by {order} limit {limit:d}"
    )


def attributes_query(project: int, span_ids: Sequence[str], attributes: Sequence[str]) -> str:
    """span_id, then each attribute (jsonb), of the project's spans with these ids."""
    columns = ["s.span_id", *(_attribute(name) for name in attributes)]
    return (
        f"select {', '.join(columns)} from spans as s join traces as t on t.id = s.trace_rowid "
        f"cross join lateral {_attributes_once(attributes)} as a where {_named(project, span_ids)}"
    )


def annotations_query(project: int, span_ids: Sequence[str]) -> str:
    """span_id, name, annotator_kind, label, score, explanation, metadata (jsonb) and updated_at of the annotations of
    the project's spans with these ids."""
    return (
        "select s.span_id, n.name, n.annotator_kind, n.label, n.score, n.explanation, n.metadata, n.updated_at "
        "from span_annotations as n join spans as s on s.id = n.span_rowid join traces as t on t.id = s.trace_rowid "
        f"where {_named(project, span_ids)} order by n.id"
    )


def _named(project: int, span_ids: Sequence[str]) -> str:
    return f"t.project_rowid = {project:d} and s.span_id = any({_array(span_ids)})"


def _within(project: int, start: datetime, end: datetime) -> str:
    return f"t.project_rowid = {project:d} and s.start_time >= {_instant(start)} and s.start_time < {_instant(end)}"


def _instant(when: datetime) -> str:
    return f"timestamptz {_literal(when.astimezone(UTC).isoformat())}"


def _attributes_once(names: Sequence[str]) -> str:
    """The span's attributes as a.attributes, and as a.has_dotted whether any of the names has a dot in its first key.

    `||` with nothing reads a large value from its storage once, and OFFSET keeps the planner from reading it again for
    each attribute: with attributes of 18 kB that is 36 µs a span instead of 1,400.
    """
    dotted = {first for name in names for (first, *_) in _places(name) if "." in first}
    return (
        f"(select b.attributes, b.attributes ?| {_array(sorted(dotted))} as has_dotted "
        "from (select s.attributes || '{}'::jsonb as attributes offset 0) as b offset 0)"
    )


def _attribute(name: str) -> str:
    places = list(_places(name))
    usual = [place for place in places if "." not in place[0]]
    if len(places) == len(usual):
        return _first_of(places)
    root = _literal(usual[0][0])
    return f"case when a.has_dotted then {_first_of(places)} when a.attributes ? {root} then {_first_of(usual)} end"


def _first_of(places: Sequence[Sequence[str]]) -> str:
    values = [f"a.attributes #> {_array(place)}" for place in places]
    return f"coalesce({', '.join(values)})" if len(values) > 1 else values[0]


def _places(name: str) -> Iterator[tuple[str, ...]]:
    """The paths at which the attribute may lie, that with the longest keys first, which is the one that counts."""
    yield (name,)
    for at in range(len(name) - 1, 0, -1):
        if name[at] == ".":
            yield from ((name[:at], *rest) for rest in _places(name[at + 1 :]))


def _array(keys: Sequence[str]) -> str:
    return f"array[{', '.join(map(_literal, keys))}]::text[]"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
