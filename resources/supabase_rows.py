"""How rows are asked of Supabase: the connection, retries, pages, and what an answer must hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from resources.agent_state import UNKNOWN, TaskState
from resources.reading import SupabaseError
from resources.supabase_errors import COLUMNS_NEEDED, PASSING_STATUSES, RefusalError, explain, raise_refusal
from resources.whole_text import whole_text

if TYPE_CHECKING:
    import supabase

Row = Mapping[str, Any]


@contextmanager
def connected(url: str, key: str, table: str, timeout_seconds: float) -> Iterator[supabase.Client]:
    """A client whose failures leave as SupabaseError, which names `table` where it is about it."""
    import httpx
    from supabase import create_client
    from supabase.lib.client_options import SyncClientOptions

    if not (key.isascii() and key.isprintable()) or " " in key:
        # Said here, because httpx's own message about a header that it cannot send quotes the header.
        raise SupabaseError(
            "SUPABASE_KEY holds a space, a line break or a character that no key has: copy the key again.",
            retryable=False,
        )
    _check_address(url)
    # Redirects are not followed: httpx would send the apikey header on to the other host.
    http = httpx.Client(timeout=timeout_seconds, event_hooks={"response": [raise_refusal]})
    options = SyncClientOptions(
        httpx_client=http, postgrest_client_retry=False, auto_refresh_token=False, persist_session=False
    )
    with http:
        try:
            yield create_client(url, key, options)
        except RefusalError as refusal:
            raise explain(refusal, shown_address(url), table) from refusal
        except httpx.TimeoutException as error:
            raise SupabaseError(
                f"Supabase at {shown_address(url)} did not answer within {timeout_seconds:g} seconds: "
                "try again later, raise request_timeout_seconds, or check SUPABASE_URL.",
                retryable=True,
            ) from error
        except httpx.RequestError as error:
            raise SupabaseError(
                f"Supabase could not be reached at {shown_address(url)} ({error}): check SUPABASE_URL and that the "
                "project is running.",
                retryable=True,
            ) from error


def shown_address(url: str) -> str:
    """The address as messages may show it: without a user and a password."""
    return re.sub("//.*@", "//", url)


def _check_address(url: str) -> None:
    import httpx

    try:
        address = urlsplit(url)
        # Both are asked, because each accepts addresses that the other refuses; the port is read to be checked.
        usable = address.scheme in ("http", "https") and address.hostname and address.port != 0 and httpx.URL(url).host
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable:
        # Neither quoted nor chained: the address may hold a password.
        raise SupabaseError(
            "SUPABASE_URL is not an address: set it to https://<your project>.supabase.co.", retryable=False
        )


def read_rows(query: Any, columns: Sequence[str], table: str) -> list[Row]:
    """The rows of one request, each with all the columns. Raises RefusalError, SupabaseError or httpx.RequestError."""
    import stamina

    # The client's own retries take 7 s and cannot be bounded, so they are off.
    caller = stamina.RetryingCaller(attempts=3, timeout=15, wait_initial=0.5, wait_max=4, wait_jitter=0.5)
    rows = caller.on(_may_pass)(query.execute).data
    for row in rows:
        for column in columns:
            if not isinstance(row, Mapping) or column not in row:
                raise SupabaseError(
                    f"An answer of Supabase about {table} lacks the column {column}: the table needs "
                    f"{COLUMNS_NEEDED}, and nothing between it and this pipeline may change the answers.",
                    retryable=False,
                )
    return rows


def read_pages(
    fetch: Callable[[Row | None, int], list[Row]], is_new: Callable[[Row], bool] = lambda _row: False
) -> Iterator[Row]:
    """All rows of a query that one answer cannot hold. `fetch` gets the last row so far and the number of rows.

    The server may cap its answers below what was asked for, and something on the way may cut one of them shorter
    than the others, so a page without rows is the last one. Where rows come in faster than pages are read there is
    none: behind the first row that `is_new` since the reading began, the first page shorter than another is the last.
    """
    last, count, longest = None, 0, 0
    previous: list[Row] = []
    while True:
        rows = fetch(last, count)
        if not rows:
            return
        if rows == previous:
            raise RefusalError(200, None, "the same page of rows twice, as if it ignored where to go on")
        yield from rows
        if len(rows) < longest and is_new(rows[-1]):
            return
        last, count, longest, previous = rows[-1], count + len(rows), max(longest, len(rows)), rows


def task_state(row: Row, table: str) -> TaskState:
    """The row of agent_state; its created_at may be left out. Raises SupabaseError for a time that is none."""
    return TaskState(
        task_id=whole_text(str(row["id"])),
        agent=whole_text(str(row["agent_name"] or UNKNOWN)),
        status=whole_text(str(row["status"] or UNKNOWN)),
        created_at=_time(row, "created_at", table),
        updated_at=_time(row, "updated_at", table),
    )


def changed_at(row: Row, table: str) -> datetime:
    """When the row was last changed (UTC). Raises SupabaseError for a time that is none, or is missing."""
    moment = _time(row, "updated_at", table)
    if moment is None:
        raise SupabaseError(f"A row of {table} without updated_at was given for a window of time.", retryable=False)
    return moment


def utc_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def quoted(value: object) -> str:
    """A value inside PostgREST's or=(...), where dots, commas and colons have a meaning of their own."""
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _time(row: Row, column: str, table: str) -> datetime | None:
    text = row.get(column)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        # A timestamp column without a time zone holds UTC on Supabase.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError) as error:
        raise SupabaseError(
            f"The column {column} of {table} holds {str(text)[:40]!r} in the row with id {row['id']}, which is not a "
            "time: make the column a timestamptz and mend that row.",
            retryable=False,
        ) from error


def _may_pass(error: Exception) -> bool:
    import httpx

    if isinstance(error, RefusalError):
        return error.status in PASSING_STATUSES
    # A timeout has already cost a whole request_timeout_seconds.
    return isinstance(error, httpx.RequestError) and not isinstance(error, httpx.TimeoutException)
