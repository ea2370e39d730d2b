"""Supabase: the agent_state table, read through PostgREST as counts and as states.

What belongs here: which rows are asked for, and in which order so that none is lost. What the counts say about an
agent is decided elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, PrivateAttr

from resources.agent_state import UNKNOWN, Group, TaskCounts, TaskState, count_states, counts_frame, states_frame
from resources.reading import Reading, SupabaseError
from resources.supabase_errors import AGGREGATES_ARE_OFF, NOTHING_SEEN, RefusalError
from resources.supabase_rows import (
    Row,
    changed_at,
    connected,
    quoted,
    read_pages,
    read_rows,
    shown_address,
    task_state,
    utc_text,
)
from resources.whole_text import whole_text

if TYPE_CHECKING:
    import supabase

COUNTED = ("id", "agent_name", "status", "updated_at")
STATES = ("id", "agent_name", "status", "created_at", "updated_at")
GROUPS = ("agent_name", "status", "count")


class SupabaseResource(dg.ConfigurableResource):
    """Reads tasks from Supabase's agent_state table through its REST interface."""

    url: str = Field(description="Address of the project, such as https://<project>.supabase.co")
    key: str = Field(description="Service-role key; other keys see only what row-level security shows", repr=False)
    table: str = Field(
        default="agent_state", description="Table or view with id, agent_name, status, created_at and updated_at"
    )
    page_rows: int = Field(default=1000, ge=1, description="Rows asked for at a time")
    request_timeout_seconds: float = Field(default=30, gt=0, description="Longest wait for an answer, in seconds")

    _aggregates_off: bool = PrivateAttr(default=False)

    def describe(self) -> str:
        return f"Supabase at {shown_address(self.url)}, table {self.table}"

    def read_task_counts(self, start: datetime, end: datetime, since: Mapping[str, datetime]) -> Reading:
        """Rows of TASK_COUNTS, one per agent and status: changed in [start, end), in all, and since its optimization.

        All times are aware; `since` says when an agent was last optimized, one that it lacks never was. Rows without
        agent or status count as 'unknown'. The counts are no snapshot: a row that changes while they are read is
        counted where each request found it. A table that seems empty gives a gap. Raises SupabaseError.
        """
        with connected(self.url, self.key, self.table, self.request_timeout_seconds) as client:
            counts = self._count(client, start, end, since)
        gaps = () if counts.in_total else (NOTHING_SEEN.format(table=self.table),)
        return Reading(counts_frame(start, counts), gaps)

    def read_task_states(self, start: datetime, end: datetime) -> Reading:
        """Rows of TASK_STATES: the tasks whose row changed last in [start, end), aware times.

        A task that changes while its window is read is there once, as it was seen last, or has left for the window
        of its new time. A table that seems empty gives a gap; an empty window does not. Raises SupabaseError.
        """
        with connected(self.url, self.key, self.table, self.request_timeout_seconds) as client:
            frame = states_frame(self._states_in_window(client, start, end))
            gaps = () if len(frame) or self._holds_rows(client) else (NOTHING_SEEN.format(table=self.table),)
        return Reading(frame, gaps)

    def _count(
        self, client: supabase.Client, start: datetime, end: datetime, since: Mapping[str, datetime]
    ) -> TaskCounts:
        if not self._aggregates_off:
            try:
                return self._count_by_group(client, start, end, since)
            except RefusalError as refusal:
                if refusal.code != AGGREGATES_ARE_OFF:
                    raise
                self._aggregates_off = True
        return count_states(self._all_states(client), start, end, since)

    def _count_by_group(
        self, client: supabase.Client, start: datetime, end: datetime, since: Mapping[str, datetime]
    ) -> TaskCounts:
        in_window = self._groups(client, start, end)
        in_total = self._groups(client)
        changed_since = Counter({group: count for group, count in in_total.items() if group[0] not in since})
        for moment in sorted(set(since.values())):
            changed = self._groups(client, moment)
            changed_since.update({group: count for group, count in changed.items() if since.get(group[0]) == moment})
        return TaskCounts(in_window, in_total, changed_since)

    def _groups(
        self, client: supabase.Client, start: datetime | None = None, end: datetime | None = None
    ) -> Counter[Group]:
        def fetch(_last: Row | None, count: int) -> list[Row]:
            query = client.table(self.table).select("agent_name", "status", "count()")
            query = query.gte("updated_at", utc_text(start)) if start else query
            query = query.lt("updated_at", utc_text(end)) if end else query
            query = query.order("agent_name").order("status").range(count, count + self.page_rows - 1)
            return read_rows(query, GROUPS, self.table)

        # Assigned, not added: a group that appears between two pages pushes others onto the next page again.
        counts = {(row["agent_name"], row["status"]): row["count"] for row in read_pages(fetch)}
        named: Counter[Group] = Counter()
        for (agent, status), count in counts.items():
            if not isinstance(count, int):
                raise SupabaseError(
                    f"An answer of Supabase about {self.table} holds {str(count)[:40]!r} as a count of rows: nothing "
                    "between it and this pipeline may change the answers.",
                    retryable=False,
                )
            named[whole_text(agent or UNKNOWN), whole_text(status or UNKNOWN)] += count
        return named

    def _all_states(self, client: supabase.Client) -> Iterator[TaskState]:
        table = client.table(self.table)
        newest = read_rows(table.select("id").order("id", desc=True).limit(1), ("id",), self.table)

        # By id, which never changes: no row is passed over or counted twice when it changes meanwhile. Up to the
        # last one that is there now, for where ids are numbers that grow, rows could come for ever.
        def fetch(last: Row | None, _count: int) -> list[Row]:
            query = client.table(self.table).select(*COUNTED).lte("id", newest[0]["id"])
            if last:
                query = query.gt("id", last["id"])
            return read_rows(query.order("id").limit(self.page_rows), COUNTED, self.table)

        return (task_state(row, self.table) for row in read_pages(fetch)) if newest else iter(())

    def _states_in_window(self, client: supabase.Client, start: datetime, end: datetime) -> Iterator[TaskState]:
        def in_window(since: str) -> Any:
            query = client.table(self.table).select(*STATES)
            return query.gte("updated_at", since).lt("updated_at", utc_text(end))

        # By updated_at, which only grows: a row that changes meanwhile moves ahead of the pages, never behind them.
        # The server's own text of the time goes back to it, so that no digit is lost.
        def fetch(last: Row | None, _count: int) -> list[Row]:
            query = in_window(last["updated_at"] if last else utc_text(start))
            if last:
                changed, task = quoted(last["updated_at"]), quoted(last["id"])
                query = query.or_(f"updated_at.gt.{changed},and(updated_at.eq.{changed},id.gt.{task})")
            return read_rows(query.order("updated_at").order("id").limit(self.page_rows), STATES, self.table)

        newest = read_rows(in_window(utc_text(start)).order("updated_at", desc=True).limit(1), STATES, self.table)
        began = max((changed_at(row, self.table) for row in newest), default=start)
        pages = read_pages(fetch, lambda row: changed_at(row, self.table) > began)
        return (task_state(row, self.table) for row in pages) if newest else iter(())

    def _holds_rows(self, client: supabase.Client) -> bool:
        return bool(read_rows(client.table(self.table).select("id").limit(1), ("id",), self.table))
