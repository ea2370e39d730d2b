"""The embedded messenger: messages go to a file, in place of Slack's channel."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from resources.json_lines import complete_lines
from resources.sources import PostedMessage


class MessageFileResource(dg.ConfigurableResource):
    """Appends every message to a file of JSON lines: key, posted_at (ISO 8601, UTC), text, blocks."""

    path: str

    def describe(self) -> str:
        return f"messages go to {self.path} (embedded default; set SLACK_BOT_TOKEN to post to Slack)"

    def post(self, text: str, blocks: list[dict[str, Any]], key: str) -> PostedMessage:
        file = Path(self.path)
        file.parent.mkdir(parents=True, exist_ok=True)
        posted_at = datetime.now(UTC).isoformat()
        line = json.dumps({"key": key, "posted_at": posted_at, "text": text, "blocks": blocks}, ensure_ascii=False)
        with file.open("ab") as stream:
            # A sender that was killed may have left half a line, which this message must not be glued to.
            stream.write(b"\n" * _ends_within_a_line(file) + line.encode() + b"\n")
        return PostedMessage(file.name, posted_at)

    def find(self, key: str, since: datetime) -> PostedMessage | None:
        file = Path(self.path)
        if not file.exists():
            return None
        for line in complete_lines(file):
            try:
                message = json.loads(line.content)
            except ValueError:
                # Half a line was never posted.
                continue
            if message["key"] == key and datetime.fromisoformat(message["posted_at"]) >= since:
                return PostedMessage(file.name, message["posted_at"])
        return None


def _ends_within_a_line(file: Path) -> bool:
    if not file.stat().st_size:
        return False
    with file.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) != b"\n"
