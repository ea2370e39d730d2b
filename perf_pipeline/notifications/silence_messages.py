"""What a thread is told when somebody does not want to hear of its incidents for a while."""

from __future__ import annotations

from collections.abc import Sequence

from perf_pipeline.message import Message, bullets, section
from perf_pipeline.notifications.team_clock import moment
from perf_pipeline.records import Silence


def silenced_message(silences: Sequence[Silence], timezone: str) -> Message:
    """`silences` were created together, and end together."""
    first = silences[0]
    head = f"{first.created_by} silenced this until {moment(first.ends_at, timezone)}. Recoveries are still told."
    lines = [f"{silence.agent}: {'all findings' if silence.type == '*' else silence.type}" for silence in silences]
    how = "'perf-pipeline silences' lists silences, 'perf-pipeline unsilence ID' ends one."
    return Message(title="🔕 Silenced", sections=(section(head), bullets(lines), section(how)))
