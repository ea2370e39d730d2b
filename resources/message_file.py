"""The embedded messenger: messages go to a file, in place of Slack's channel."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

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
        with file.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
        return PostedMessage(file.name, posted_at)

    def find(self, key: str, since: datetime) -> PostedMessage | None:
        file = Path(self.path)
        if not file.exists():
            return None
        for line in file.read_text(encoding="utf-8").splitlines():
            message = json.loads(line)
            if message["key"] == key and datetime.fromisoformat(message["posted_at"]) >= since:
                return PostedMessage(file.name, message["posted_at"])
        return None
