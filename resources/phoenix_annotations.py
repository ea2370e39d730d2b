"""What people, judges and programs said about spans: Phoenix's span annotations as feedback."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from perf_pipeline.records import FeedbackKind, TaskFeedback
from resources.phoenix_connection import NotFoundError, PhoenixConnection
from resources.phoenix_json import batches
from resources.phoenix_road import span_ids
from resources.reading import PhoenixError
from resources.sources import TaskPlace

KINDS = {"HUMAN": FeedbackKind.HUMAN, "LLM": FeedbackKind.JUDGE, "CODE": FeedbackKind.CODE}
CORRECTION = "correction"
"""The key of an annotation's metadata that holds the right output fields."""

FEEDBACK_AT_ONCE = 100
"""For how many spans one request asks: their ids stand in its address, which servers take up to some kilobytes."""
ANNOTATIONS_PER_PAGE = 1000


def feedback_by_rest(connection: PhoenixConnection, project_id: str, tasks: Sequence[TaskPlace]) -> list[TaskFeedback]:
    """The annotations of the tasks' topmost spans, by `GET /v1/projects/{id}/span_annotations`. Raises PhoenixError."""
    path = f"v1/projects/{quote(project_id, safe='')}/span_annotations"
    found: list[TaskFeedback] = []
    for asked in batches(span_ids(tasks), FEEDBACK_AT_ONCE):
        try:
            annotations = list(connection.pages(path, {"span_ids": asked, "limit": ANNOTATIONS_PER_PAGE}))
        except NotFoundError:
            # Phoenix's answer where it has none of these spans, such as when all were deleted.
            continue
        found.extend(map(_feedback, annotations))
    return found


def feedback_of_row(row: Mapping[str, Any]) -> TaskFeedback:
    """The same from a row of `phoenix_tables.annotations_query`. Raises PhoenixError."""
    result = {name: row[name] for name in ("label", "score", "explanation")}
    # PyArrow may know jsonb as a type of its own, whose values are texts all the same.
    metadata = row["metadata"]
    parsed = json.loads(metadata) if isinstance(metadata, str) else metadata
    return _feedback({**row, "result": result, "metadata": parsed, "updated_at": row["updated_at"].isoformat()})


def _feedback(annotation: Mapping[str, Any]) -> TaskFeedback:
    try:
        result = annotation["result"] or {}
        score = result.get("score")
        correction = (annotation["metadata"] or {}).get(CORRECTION)
        return TaskFeedback(
            name=annotation["name"],
            kind=KINDS[annotation["annotator_kind"]],
            at=_utc(annotation["updated_at"]),
            span_id=annotation["span_id"],
            score=float(score) if score is not None and math.isfinite(score) else None,
            label=result.get("label"),
            explanation=result.get("explanation") or "",
            correction=correction if isinstance(correction, dict) else None,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise PhoenixError(
            f"Phoenix gave an annotation that is not laid out as expected ({type(error).__name__}: {error}), so its "
            "version may be too new or too old: compare it with the versions that the README names.",
            retryable=False,
        ) from error


def _utc(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
