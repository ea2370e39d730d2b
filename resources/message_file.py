"""The embedded messenger: messages go to a file, in place of Slack's channel."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from perf_pipeline.message import RenderedMessage
from resources.json_lines import complete_lines
from resources.messenger import PostedMessage


class MessageFileResource(dg.ConfigurableResource):
    """Appends every message to a file of JSON lines: key, posted_at (ISO 8601, UTC), reply_to, title, text, blocks, and
    picture_text where there is a picture."""

    path: str

    @property
    def can_find(self) -> bool:
        return True

    @property
    def takes_clicks(self) -> bool:
        return False

    def describe(self) -> str:
        return f"messages go to {self.path} (embedded default; set SLACK_BOT_TOKEN to post to Slack)"

    def post(self, message: RenderedMessage, key: str, reply_to: PostedMessage | None = None) -> PostedMessage:
        file = Path(self.path)
        file.parent.mkdir(parents=True, exist_ok=True)
        posted_at = datetime.now(UTC).isoformat()
        content = {
            "key": key,
            "posted_at": posted_at,
            "reply_to": reply_to.ts if reply_to else None,
            "title": message.title,
            "text": message.plain,
            "blocks": message.slack_blocks,
            "picture_text": message.picture_text,
        }
        line = json.dumps(content, ensure_ascii=False)
        with file.open("ab") as stream:
            # A sender that was killed may have left half a line, which this message must not be glued to.
            stream.write(b"\n" * _ends_within_a_line(file) + line.encode() + b"\n")
        return PostedMessage(file.name, posted_at)

    def find(
        self,
        key: str,
        since: datetime,
        reply_to: PostedMessage | None = None,  # noqa: ARG002
    ) -> PostedMessage | None:
        file = Path(self.path)
        if not file.exists():
            return None
        for line in complete_lines(file):
            try:
                posted = json.loads(line.content)
            except ValueError:
                # Half a line was never posted.
                continue
            if posted["key"] == key and datetime.fromisoformat(posted["posted_at"]) >= since:
                return PostedMessage(file.name, posted["posted_at"])
        return None


def _ends_within_a_line(file: Path) -> bool:
    if not file.stat().st_size:
        return False
    with file.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) != b"\n"
