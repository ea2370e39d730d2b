"""The state of the agents' tasks in a file: the embedded default in the place of Supabase's agent_state table."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path

import dagster as dg
import pandas as pd
from pydantic import Field

from perf_pipeline.tables import TASK_COUNTS
from resources.json_lines import read_objects, required_text, required_time
from resources.reading import Reading, SupabaseError


class StateFilesResource(dg.ConfigurableResource):
    """Reads `agent_state.jsonl` in a folder: a journal to which each change of a task appends a line.

    A line is `{"id", "agent_name", "status", "updated_at"}` with an ISO 8601 time; the latest line of an id holds.
    """

    folder: str = Field(description="Folder of agent_state.jsonl; a file that does not exist holds no tasks.")

    def describe(self) -> str:
        return f"agent_state.jsonl in {self.folder} (embedded default; set SUPABASE_URL to read Supabase)"

    def read_task_counts(self, start: datetime, end: datetime) -> Reading:
        """Tasks by agent and status, as a frame of `task_counts` for the window [start, end).

        `tasks_in_window` counts those last changed in the window, `tasks_total` all. Raises SupabaseError naming a
        malformed line.
        """
        latest: dict[str, tuple[datetime, str, str]] = {}
        for line, value in read_objects(Path(self.folder) / "agent_state.jsonl", SupabaseError):
            agent, status, task = (
                required_text(value, name, line, SupabaseError) for name in ("agent_name", "status", "id")
            )
            latest[task] = (required_time(value, "updated_at", line, SupabaseError), agent, status)
        total = Counter((agent, status) for _, agent, status in latest.values())
        changed = Counter((agent, status) for updated, agent, status in latest.values() if start <= updated < end)
        rows = [
            {
                "window_start": start,
                "agent": agent,
                "status": status,
                "tasks_in_window": changed[agent, status],
                "tasks_total": tasks,
            }
            for (agent, status), tasks in sorted(total.items())
        ]
        return Reading(TASK_COUNTS.conform(pd.DataFrame(rows)) if rows else TASK_COUNTS.empty())
