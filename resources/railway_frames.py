"""Railway's log lines and deployments as rows of our tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from perf_pipeline.tables import CHANGE_EVENTS, RAW_LOGS
from resources.railway_answers import Deployment, DeploymentMeta, LogLine
from resources.whole_text import whole_text

AGENT_KEYS = ("agent", "agent_name", "agent.name")
"""Attributes of a log line that may name its agent, in order of preference."""


def log_frame(lines: Sequence[LogLine]) -> pd.DataFrame:
    """One row of RAW_LOGS for each line, in their order; times cut to microseconds."""
    attributes = [_attributes(line) for line in lines]
    frame = pd.DataFrame(
        {
            "timestamp": pd.to_datetime([line.ns // 1000 for line in lines], unit="us", utc=True),
            "severity": [(line.severity or "info").lower() for line in lines],
            "message": [line.message for line in lines],
            "agent": [next((found[key] for key in AGENT_KEYS if found.get(key)), None) for found in attributes],
            "service_id": [line.tags and line.tags.service_id for line in lines],
            "deployment_id": [line.tags and line.tags.deployment_id for line in lines],
            "attributes": [json.dumps(found, ensure_ascii=False) for found in attributes],
        }
    )
    return RAW_LOGS.conform(frame)


def _attributes(line: LogLine) -> dict[str, str]:
    return {attribute.key: _unquoted(attribute.value) for attribute in line.attributes}


def _unquoted(value: str) -> str:
    """Railway writes values as JSON, so that a text comes in quotation marks."""
    if not (len(value) >= 2 and value[0] == value[-1] == '"'):
        return value
    try:
        return whole_text(json.loads(value))
    except ValueError:
        return value


def change_frame(deployments: Sequence[Deployment], start: datetime, end: datetime) -> pd.DataFrame:
    """One row of CHANGE_EVENTS for each deployment that ran and was created in [start, end), oldest first.

    Each is compared with the one that ran before it in the same service.
    """
    rows: list[dict[str, Any]] = []
    version_of: dict[str | None, str | None] = {}
    for deployment in sorted(deployments, key=lambda deployment: deployment.created_at):
        if not deployment.ran:
            continue
        meta = deployment.meta or DeploymentMeta()
        version = (meta.commit_hash or "")[:7] or None
        if start <= deployment.created_at < end:
            rows.append(
                {
                    "time": deployment.created_at.astimezone(UTC),
                    "kind": "deployment",
                    "agent": None,
                    "from_version": version_of.get(deployment.service_id),
                    "to_version": version,
                    "description": _description(deployment, meta),
                }
            )
        version_of[deployment.service_id] = version
    return CHANGE_EVENTS.conform(pd.DataFrame(rows, columns=CHANGE_EVENTS.columns))


def _description(deployment: Deployment, meta: DeploymentMeta) -> str:
    subject = (meta.commit_message or "").strip().partition("\n")[0]
    what = subject or (f"Image {meta.image}" if meta.image else f"Deployment {deployment.id}")
    branch = f" ({meta.branch})" if meta.branch else ""
    return f"{what}{branch}{'; it crashed' if deployment.status == 'CRASHED' else ''}"
