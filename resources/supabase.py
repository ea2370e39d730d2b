"""Supabase: how many tasks of each agent the agent_state table holds, by status.

What belongs here: the requests to PostgREST, and what each way of failing means. What the counts say about an
agent is decided elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
import pandas as pd
from pydantic import Field, PrivateAttr

from perf_pipeline.tables import TASK_COUNTS
from resources.reading import Reading, SupabaseError

if TYPE_CHECKING:
    import httpx
    import supabase

Group = tuple[str | None, str | None]
Row = Mapping[str, Any]

UNKNOWN = "unknown"
AGGREGATES_ARE_OFF = "PGRST123"
KEY_CODES = ("PGRST301", "PGRST302", "PGRST303")
TABLE_CODES = ("42P01", "PGRST205")
PASSING_STATUSES = (429, 502, 503, 504, 520, 522, 524)

NOTHING_SEEN = (
    "Supabase returned no rows of {table}, which is also what it returns when row-level security hides them all: "
    "unless the table is empty, set SUPABASE_KEY to the service-role key or add a select policy for this key's role."
)


class SupabaseResource(dg.ConfigurableResource):
    """Counts tasks in Supabase's agent_state table through its REST interface."""

    url: str = Field(description="Address of the project, such as https://<project>.supabase.co")
    key: str = Field(description="Service-role key; other keys see only what row-level security shows", repr=False)
    table: str = Field(default="agent_state", description="Table with id, agent_name, status and updated_at")
    page_rows: int = Field(default=1000, ge=1, description="Rows asked for at a time")
    request_timeout_seconds: float = Field(default=30, gt=0, description="Longest wait for an answer, in seconds")

    _aggregates_off: bool = PrivateAttr(default=False)

    def describe(self) -> str:
        return f"Supabase at {self.url}, table {self.table}"

    def read_task_counts(self, start: datetime, end: datetime) -> Reading:
        """Rows of TASK_COUNTS, one per agent and status: changed in [start, end), and in the whole table.

        `start` and `end` are aware datetimes. Rows without agent or status count as 'unknown'. The counts are no
        snapshot: a row that changes while they are read is counted where each request found it. A table that
        seems empty gives a gap. Raises SupabaseError.
        """
        with self._connected() as client:
            in_window, in_total = self._count(client, start, end)
        frame = counts_frame(start, in_window, in_total)
        gaps = () if in_total else (NOTHING_SEEN.format(table=self.table),)
        return Reading(frame, gaps)

    def _count(self, client: supabase.Client, start: datetime, end: datetime) -> tuple[Counter[Group], Counter[Group]]:
        if not self._aggregates_off:
            try:
                in_window = self._count_by_group(client, (start, end))
                return in_window, self._count_by_group(client, None)
            except RefusalError as refusal:
                if refusal.code != AGGREGATES_ARE_OFF:
                    raise
                self._aggregates_off = True
        return count_rows(self._rows_by_key(client), start, end)

    def _count_by_group(self, client: supabase.Client, window: tuple[datetime, datetime] | None) -> Counter[Group]:
        counts: Counter[Group] = Counter()
        offset = 0
        while True:
            query = client.table(self.table).select("agent_name", "status", "count()")
            if window:
                start, end = window
                query = query.gte("updated_at", _utc_text(start)).lt("updated_at", _utc_text(end))
            groups = _execute(query.order("agent_name").order("status").range(offset, offset + self.page_rows - 1))
            if not groups:
                return counts
            # Assigned, not added: a group that appears between two pages pushes others onto the next page again.
            for group in groups:
                counts[group["agent_name"], group["status"]] = group["count"]
            offset += len(groups)

    def _rows_by_key(self, client: supabase.Client) -> Iterator[Row]:
        last_id = None
        while True:
            query = client.table(self.table).select("id", "agent_name", "status", "updated_at")
            if last_id is not None:
                query = query.gt("id", last_id)
            rows = _execute(query.order("id").limit(self.page_rows))
            # A short page is no last page: the server's own cap on rows may be lower than page_rows.
            if not rows:
                return
            yield from rows
            last_id = rows[-1]["id"]

    @contextmanager
    def _connected(self) -> Iterator[supabase.Client]:
        import httpx
        from supabase import create_client
        from supabase.lib.client_options import SyncClientOptions

        if not (self.key.isascii() and self.key.isprintable()) or " " in self.key:
            # Said here, because httpx's own message about a header that it cannot send quotes the header.
            raise SupabaseError(
                "SUPABASE_KEY holds a space, a line break or a character that no key has: copy the key again.",
                retryable=False,
            )
        # Redirects are not followed: httpx would send the apikey header on to the other host.
        http = httpx.Client(timeout=self.request_timeout_seconds, event_hooks={"response": [raise_refusal]})
        options = SyncClientOptions(
            httpx_client=http, postgrest_client_retry=False, auto_refresh_token=False, persist_session=False
        )
        with http:
            try:
                yield create_client(self.url, self.key, options)
            except RefusalError as refusal:
                raise explain(refusal, self.url, self.table) from refusal
            except httpx.TimeoutException as error:
                raise SupabaseError(
                    f"Supabase at {self.url} did not answer within {self.request_timeout_seconds:g} seconds: "
                    "try again later, raise request_timeout_seconds, or check SUPABASE_URL.",
                    retryable=True,
                ) from error
            except httpx.TransportError as error:
                raise SupabaseError(
                    f"Supabase could not be reached at {self.url} ({error}): check SUPABASE_URL and that the project "
                    "is running.",
                    retryable=True,
                ) from error


class RefusalError(Exception):
    """PostgREST, or whatever answered in its place, sent something other than rows.

    `code` is PostgREST's or PostgreSQL's; missing where the answer did not come from PostgREST.
    """

    def __init__(self, status: int, code: str | None, message: str) -> None:
        super().__init__(f"HTTP {status} {code or ''}: {message}")
        self.status = status
        self.code = code
        self.message = message


def raise_refusal(response: httpx.Response) -> None:
    """Raises RefusalError for every answer that is not JSON with a status of success."""
    response.read()
    content_type = response.headers.get("content-type", "no content type")
    body = _json_object(response) if "json" in content_type else None
    if body is None and not (response.is_success and "json" in content_type):
        raise RefusalError(response.status_code, None, f"an answer of type {content_type}")
    if not response.is_success:
        fields = body or {}
        raise RefusalError(response.status_code, fields.get("code"), fields.get("message") or response.reason_phrase)


def explain(refusal: RefusalError, url: str, table: str) -> SupabaseError:
    """The refusal as a sentence for the person who must act."""
    code, status = refusal.code, refusal.status
    if code == "42501":
        return SupabaseError(
            f"Supabase does not let this key read {table} ({refusal.message}): set SUPABASE_KEY to the service-role "
            "key, or grant select on the table to the key's role.",
            retryable=False,
        )
    if code in KEY_CODES or status == 401:
        return SupabaseError(
            f"Supabase did not accept SUPABASE_KEY ({refusal.message}): set it to a key of the project at {url} that "
            "has not expired.",
            retryable=False,
        )
    if code in TABLE_CODES:
        return SupabaseError(
            f"Supabase has no table {table} that this key may see ({refusal.message}): create it, or set the "
            "resource's table to the right name.",
            retryable=False,
        )
    if code == "42703":
        return SupabaseError(
            f"The table {table} lacks a column that is read here ({refusal.message}): it needs id, agent_name, "
            "status and updated_at.",
            retryable=False,
        )
    if code == "57014":
        return SupabaseError(
            f"Supabase's statement timeout ended the count of {table} ({refusal.message}): add an index on "
            "updated_at, raise the role's statement_timeout, or try again when the database is less busy.",
            retryable=True,
        )
    if status in PASSING_STATUSES:
        return SupabaseError(
            f"Supabase at {url} is not available now (HTTP {status}, {refusal.message}): try again later, and check "
            "that the project at SUPABASE_URL is running.",
            retryable=True,
        )
    if code is None:
        return SupabaseError(
            f"What answers at {url} is not Supabase's REST interface (HTTP {status}, {refusal.message}): set "
            "SUPABASE_URL to https://<your project>.supabase.co.",
            retryable=False,
        )
    return SupabaseError(
        f"Supabase refused to count {table} (HTTP {status}, {code}: {refusal.message}): look the code up in "
        "PostgREST's list of errors.",
        retryable=status >= 500,
    )


def count_rows(rows: Iterator[Row], start: datetime, end: datetime) -> tuple[Counter[Group], Counter[Group]]:
    """Rows by agent and status: those with start <= updated_at < end, and all."""
    in_window: Counter[Group] = Counter()
    in_total: Counter[Group] = Counter()
    for row in rows:
        group = (row["agent_name"], row["status"])
        in_total[group] += 1
        if row["updated_at"] and start <= _utc_time(row["updated_at"]) < end:
            in_window[group] += 1
    return in_window, in_total


def counts_frame(start: datetime, in_window: Mapping[Group, int], in_total: Mapping[Group, int]) -> pd.DataFrame:
    """A frame of TASK_COUNTS with a row for each agent and status that either count knows."""
    window, total = _without_missing(in_window), _without_missing(in_total)
    groups = sorted(window.keys() | total.keys())
    return TASK_COUNTS.conform(
        pd.DataFrame(
            {
                "window_start": [start] * len(groups),
                "agent": [agent for agent, _ in groups],
                "status": [status for _, status in groups],
                "tasks_in_window": [window[group] for group in groups],
                "tasks_total": [total[group] for group in groups],
            }
        )
    )


def _without_missing(counts: Mapping[Group, int]) -> Counter[tuple[str, str]]:
    named: Counter[tuple[str, str]] = Counter()
    for (agent, status), count in counts.items():
        named[agent or UNKNOWN, status or UNKNOWN] += count
    return named


def _execute(query: Any) -> list[Row]:
    import stamina

    # The client's own retries take 7 s and cannot be bounded, so they are off.
    caller = stamina.RetryingCaller(attempts=3, timeout=15, wait_initial=0.5, wait_max=4, wait_jitter=0.5)
    data = caller.on(_may_pass)(query.execute).data
    if not isinstance(data, list):
        raise RefusalError(200, None, "JSON that is not a list of rows")
    return data


def _may_pass(error: Exception) -> bool:
    import httpx

    if isinstance(error, RefusalError):
        return error.status in PASSING_STATUSES
    # A timeout has already cost a whole request_timeout_seconds.
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.TimeoutException)


def _json_object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _utc_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _utc_time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    # A timestamp column without a time zone holds UTC on Supabase.
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
