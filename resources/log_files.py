"""Log lines and deployments in files: the embedded default in the place of Railway."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from perf_pipeline.tables import CHANGE_EVENTS, RAW_LOGS, Table
from resources.json_lines import Line, read_objects, required_text, required_time
from resources.reading import RailwayError, Reading

AGENT_FIELDS = ("agent", "agent_name", "agent.name")
SEVERITIES = ("debug", "info", "warn", "error")


class LogFilesResource(dg.ConfigurableResource):
    """Reads `logs/*.jsonl` and `deployments.jsonl` in a folder.

    A log line is `{"timestamp", "severity", "message", "attributes": {"agent": ...}}`, a deployment
    `{"time", "kind", "agent", "from_version", "to_version", "description"}`; times are ISO 8601.
    """

    folder: str = Field(description="Folder of the log files; what does not exist holds no lines.")

    def describe(self) -> str:
        return f"files in {self.folder} (embedded default; set RAILWAY_API_TOKEN or RAILWAY_TOKEN to read Railway)"

    def read_logs(self, start: datetime, end: datetime) -> Reading:
        """Log lines written in [start, end), as a frame of `raw_logs`. Raises RailwayError naming a malformed line."""
        rows = [
            _log_row(line, value)
            for path in sorted((Path(self.folder) / "logs").glob("*.jsonl"))
            for line, value in read_objects(path, RailwayError)
        ]
        return Reading(_window(rows, start, end, RAW_LOGS))

    def read_deployments(self, start: datetime, end: datetime) -> Reading:
        """Changes in [start, end), as a frame of `change_events`. Raises RailwayError naming a malformed line."""
        path = Path(self.folder) / "deployments.jsonl"
        rows = [_change_row(line, value) for line, value in read_objects(path, RailwayError)]
        return Reading(_window(rows, start, end, CHANGE_EVENTS))


def _window(rows: list[dict[str, Any]], start: datetime, end: datetime, table: Table) -> pd.DataFrame:
    within = [row for row in rows if start <= row[table.time_column] < end]
    ordered = sorted(within, key=lambda row: row[table.time_column])
    return table.conform(pd.DataFrame(ordered)) if ordered else table.empty()


def _log_row(line: Line, value: dict[str, Any]) -> dict[str, Any]:
    attributes = value.get("attributes", {})
    if not isinstance(attributes, dict):
        raise line.error(RailwayError, "'attributes' is not an object")
    severity = required_text(value, "severity", line, RailwayError).lower()
    if severity not in SEVERITIES:
        raise line.error(RailwayError, f"'severity' is {severity!r} and not one of {', '.join(SEVERITIES)}")
    message = value.get("message")
    if not isinstance(message, str):
        raise line.error(RailwayError, "'message' is missing or not a text")
    texts = {str(name): item if isinstance(item, str) else json.dumps(item) for name, item in attributes.items()}
    return {
        "timestamp": required_time(value, "timestamp", line, RailwayError),
        "severity": severity,
        "message": message,
        "agent": _agent(texts),
        "service_id": value.get("service_id"),
        "deployment_id": value.get("deployment_id"),
        "attributes": json.dumps(texts, ensure_ascii=False),
    }


def _agent(attributes: Mapping[str, str]) -> str | None:
    # Only a field says which agent a line is about: a name in the message may be somebody else's.
    return next((attributes[name] for name in AGENT_FIELDS if attributes.get(name)), None)


def _change_row(line: Line, value: dict[str, Any]) -> dict[str, Any]:
    return {
        "time": required_time(value, "time", line, RailwayError),
        "kind": required_text(value, "kind", line, RailwayError),
        "agent": value.get("agent"),
        "from_version": value.get("from_version"),
        "to_version": value.get("to_version"),
        "description": required_text(value, "description", line, RailwayError),
    }
