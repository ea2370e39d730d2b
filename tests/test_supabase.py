"""Reading agent_state, against a small stand-in that answers as PostgREST's documentation says."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from perf_pipeline.tables import TASK_COUNTS
from resources.reading import SupabaseError
from resources.supabase import RefusalError, SupabaseResource, count_rows, counts_frame, explain

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
END = START + timedelta(minutes=30)
MOMENT = timedelta(microseconds=1)

Answer = tuple[int, str, object]
Query = dict[str, list[str]]


@contextmanager
def answering(answer: Callable[[Query], Answer]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content_type, body = answer(parse_qs(urlsplit(self.path).query))
            payload = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: object) -> None:  # noqa: ARG002
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def rows_of(count: int) -> list[dict[str, str | None]]:
    return [
        {"id": f"{n:06d}", "agent_name": "lead" if n % 3 else None, "status": "completed", "updated_at": at(START)}
        for n in range(count)
    ]


def at(moment: datetime) -> str:
    return moment.isoformat()


class Table:
    """Rows behind PostgREST's parameters select, order, limit, offset and id=gt."""

    def __init__(self, rows: list[dict[str, str | None]], *, row_cap: int, aggregates: bool) -> None:
        self.rows, self.row_cap, self.aggregates = rows, row_cap, aggregates
        self.selects: list[str] = []

    def __call__(self, query: Query) -> Answer:
        self.selects.append(query["select"][0])
        if "count()" in query["select"][0]:
            if not self.aggregates:
                message = "Use of aggregate functions is not allowed"
                return 400, "application/json", {"code": "PGRST123", "message": message}
            answer = self._groups(query)
        else:
            after = query.get("id", ["gt."])[0].removeprefix("gt.")
            answer = [row for row in self.rows if str(row["id"]) > after]
        offset = int(query.get("offset", ["0"])[0])
        return 200, "application/json", answer[offset : offset + min(self.row_cap, int(query["limit"][0]))]

    def _groups(self, query: Query) -> list[dict[str, object]]:
        bounds = dict(bound.split(".", 1) for bound in query.get("updated_at", []))
        found = [row for row in self.rows if not bounds or bounds["gte"] <= str(row["updated_at"]) < bounds["lt"]]
        counts = Counter((row["agent_name"], row["status"]) for row in found)
        groups = sorted(counts.items(), key=str)
        return [{"agent_name": agent, "status": status, "count": count} for (agent, status), count in groups]


def resource(url: str, **settings: object) -> SupabaseResource:
    return SupabaseResource(url=url, key="a-secret-key", **settings)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("aggregates", [True, False])
def test_rows_beyond_the_servers_cap_are_counted(aggregates: bool) -> None:
    with answering(Table(rows_of(257), row_cap=10, aggregates=aggregates)) as url:
        frame = resource(url, page_rows=50).read_task_counts(START, END).frame
    assert frame["tasks_total"].sum() == 257
    assert set(frame["agent"]) == {"lead", "unknown"}


def test_more_groups_than_the_servers_cap_are_counted() -> None:
    rows: list[dict[str, str | None]] = [
        {"id": f"{n:06d}", "agent_name": f"agent-{n % 23:02d}", "status": "failed", "updated_at": at(START)}
        for n in range(46)
    ]
    with answering(Table(rows, row_cap=5, aggregates=True)) as url:
        frame = resource(url).read_task_counts(START, END).frame
    assert len(frame) == 23
    assert set(frame["tasks_in_window"]) == {2}


def test_that_aggregates_are_off_is_asked_once() -> None:
    table = Table(rows_of(3), row_cap=10, aggregates=False)
    with answering(table) as url:
        source = resource(url)
        source.read_task_counts(START, END)
        source.read_task_counts(START, END)
    assert sum("count()" in select for select in table.selects) == 1


def test_an_empty_answer_is_a_gap_and_not_proof_of_no_tasks() -> None:
    with answering(Table([], row_cap=10, aggregates=True)) as url:
        reading = resource(url).read_task_counts(START, END)
    assert reading.frame.empty
    assert TASK_COUNTS.problems(reading.frame) == []
    assert len(reading.gaps) == 1
    assert "SUPABASE_KEY" in reading.gaps[0]


def test_a_server_that_fails_once_is_asked_again() -> None:
    table = Table(rows_of(3), row_cap=10, aggregates=True)
    failures = iter([503])

    def answer(query: Query) -> Answer:
        status = next(failures, None)
        return (status, "text/html", "busy") if status else table(query)

    with answering(answer) as url:
        assert resource(url).read_task_counts(START, END).frame["tasks_total"].sum() == 3


@pytest.mark.parametrize(
    ("answer", "named", "retryable"),
    [
        ((401, "application/json", {"message": "Invalid API key"}), "SUPABASE_KEY", False),
        ((401, "application/json", {"code": "PGRST301", "message": "JWT expired"}), "SUPABASE_KEY", False),
        ((401, "application/json", {"code": "42501", "message": "permission denied"}), "service-role", False),
        ((404, "application/json", {"code": "42P01", "message": "no such relation"}), "agent_state", False),
        ((404, "application/json", {"code": "PGRST205", "message": "not in the cache"}), "agent_state", False),
        ((400, "application/json", {"code": "42703", "message": "no such column"}), "updated_at", False),
        ((500, "application/json", {"code": "57014", "message": "statement timeout"}), "statement_timeout", True),
        ((503, "application/json", {"code": "PGRST001", "message": "no connection"}), "SUPABASE_URL", True),
        ((200, "text/html", "<html>"), "SUPABASE_URL", False),
        ((404, "text/html", "<html>"), "SUPABASE_URL", False),
        ((302, "text/html", ""), "SUPABASE_URL", False),
        ((200, "application/json", {"rows": []}), "SUPABASE_URL", False),
        ((500, "application/json", {"code": "XX000", "message": "internal"}), "XX000", True),
    ],
)
def test_a_refusal_names_what_to_change(answer: Answer, named: str, retryable: bool) -> None:
    with answering(lambda _: answer) as url, pytest.raises(SupabaseError, match=named) as caught:
        resource(url).read_task_counts(START, END)
    assert caught.value.retryable is retryable
    assert "a-secret-key" not in str(caught.value)


@pytest.mark.parametrize("key", ["line\nbreak", "two words", "kéy"])
def test_a_key_that_no_header_can_hold_is_refused_without_being_quoted(key: str) -> None:
    with pytest.raises(SupabaseError, match="SUPABASE_KEY") as caught:
        SupabaseResource(url="http://127.0.0.1:9", key=key).read_task_counts(START, END)
    assert key not in str(caught.value)


def test_the_key_is_not_in_the_resources_repr() -> None:
    assert "a-secret-key" not in repr(resource("http://127.0.0.1:9"))


def test_the_server_that_does_not_answer_in_time_is_worth_another_try() -> None:
    release = threading.Event()

    def answer(_: Query) -> Answer:
        release.wait(10)
        return 200, "application/json", []

    with answering(answer) as url:
        with pytest.raises(SupabaseError, match=r"0\.2 seconds") as caught:
            resource(url, request_timeout_seconds=0.2).read_task_counts(START, END)
        release.set()
    assert caught.value.retryable


def test_the_window_includes_its_start_and_excludes_its_end() -> None:
    moments = [START - MOMENT, START, END - MOMENT, END]
    rows = [{"agent_name": "lead", "status": "failed", "updated_at": at(moment)} for moment in moments]
    in_window, in_total = count_rows(iter(rows), START, END)
    assert in_window["lead", "failed"] == 2
    assert in_total["lead", "failed"] == 4


def test_a_row_that_was_never_updated_counts_in_the_total_only() -> None:
    in_window, in_total = count_rows(iter([{"agent_name": "a", "status": "b", "updated_at": None}]), START, END)
    assert (in_window.total(), in_total.total()) == (0, 1)


def test_a_time_without_zone_or_with_few_digits_is_read_as_utc() -> None:
    texts = ["2026-11-22T10:00:00", "2026-11-22T10:00:00.5+00:00", "2026-11-22T12:00:00.12345+02:00"]
    rows = [{"agent_name": "a", "status": "b", "updated_at": text} for text in texts]
    assert count_rows(iter(rows), START, END)[0].total() == 3


def test_missing_and_literal_unknown_agents_share_one_row() -> None:
    counts = {(None, "failed"): 2, ("unknown", "failed"): 3, ("lead", None): 1}
    frame = counts_frame(START, {}, counts)
    totals = {(row.agent, row.status): row.tasks_total for row in frame.itertuples()}
    assert totals == {("unknown", "failed"): 5, ("lead", "unknown"): 1}
    assert TASK_COUNTS.problems(frame) == []


def test_a_group_seen_only_in_the_window_keeps_its_row() -> None:
    frame = counts_frame(START, {("lead", "pending"): 1}, {("lead", "completed"): 4})
    assert frame["tasks_in_window"].tolist() == [0, 1]
    assert frame["tasks_total"].tolist() == [4, 0]


def test_an_unknown_code_is_passed_on() -> None:
    assert "PGRST999" in str(explain(RefusalError(400, "PGRST999", "new"), "http://host", "agent_state"))
