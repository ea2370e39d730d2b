"""Files with one JSON object a line, which another process may still be writing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from resources.reading import SourceError


@dataclass(frozen=True)
class Line:
    """A complete line of a file, and how to name it in an error."""

    path: Path
    number: int
    content: bytes

    def error(self, kind: type[SourceError], reason: str) -> SourceError:
        return kind(f"{self.path}:{self.number}: {reason}. Repair or remove the line.", retryable=False)


def complete_lines(path: Path) -> Iterator[Line]:
    """The lines that end in a newline and are not blank: the last one may still be half written, and is left."""
    with path.open("rb") as file:
        for number, content in enumerate(file, start=1):
            if content.endswith(b"\n") and content.strip():
                yield Line(path, number, content.strip())


def read_objects(path: Path, error: type[SourceError]) -> Iterator[tuple[Line, dict[str, Any]]]:
    """The JSON objects of a file, each with its line; none where the file does not exist.

    Raises `error`, naming file and line, where a line holds anything else.
    """
    if not path.exists():
        return
    for line in complete_lines(path):
        try:
            value = json.loads(line.content)
        except ValueError as problem:
            raise line.error(error, f"this is not JSON ({problem})") from problem
        if not isinstance(value, dict):
            raise line.error(error, "this is not a JSON object")
        yield line, value


def required_text(value: dict[str, Any], name: str, line: Line, error: type[SourceError]) -> str:
    """A field that must be a text and not empty. Raises `error` naming file, line and field."""
    text = value.get(name)
    if not isinstance(text, str) or not text:
        raise line.error(error, f"{name!r} is missing or not a text")
    return text


def required_time(value: dict[str, Any], name: str, line: Line, error: type[SourceError]) -> datetime:
    """A field that must be an ISO 8601 time, as UTC; one without offset is UTC. Raises `error` naming the line."""
    text = required_text(value, name, line, error)
    try:
        time = datetime.fromisoformat(text)
    except ValueError as problem:
        raise line.error(error, f"{name!r} is not an ISO 8601 time: {text[:40]!r}") from problem
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
