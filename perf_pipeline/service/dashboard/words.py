"""Figures and times as the pages show them."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from perf_pipeline.notifications.safe_text import one_line, shorten
from perf_pipeline.notifications.team_clock import duration, moment

UNKNOWN = "–"
MAX_TEXT = 600


def is_known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits, with thousands apart: '1,230', '0.0123', '85.2'."""
    if value is None or math.isnan(value):
        return UNKNOWN
    if value == 0:
        return "0"
    decimals = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    text = f"{round(value, decimals):,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def latency(milliseconds: float | None) -> str:
    if milliseconds is None or math.isnan(milliseconds):
        return UNKNOWN
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{number(milliseconds / 1000)} s"


def took(length: timedelta) -> str:
    """'2.01 s' below a minute, else '5 min'."""
    seconds = length.total_seconds()
    return f"{number(seconds)} s" if seconds < 60 else duration(length)


def ago(time: datetime, now: datetime) -> str:
    """'5 min ago'; '3 days ago' from two of them on."""
    passed = max(now - time, timedelta(0))
    if passed < timedelta(minutes=1):
        return "just now"
    if passed >= timedelta(days=2):
        return f"{passed.days} days ago"
    return f"{duration(passed)} ago"


def clock_time(time: datetime, timezone: str, now: datetime) -> str:
    """'09:30 EST' today, '2026-03-02 09:30 EST' on other days of the team's clock."""
    zone = ZoneInfo(timezone)
    dated = moment(time, timezone)
    same_day = time.astimezone(zone).date() == now.astimezone(zone).date()
    return dated.partition(" ")[2] if same_day else dated


def said(text: object) -> str:
    """Text from outside on one line, bounded. Templates escape it."""
    return shorten(one_line(str(text)), MAX_TEXT)


def in_words(name: str) -> str:
    """'success drop' for success_drop."""
    return said(name.replace("_", " "))
