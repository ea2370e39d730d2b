"""Times as people read them: on the team's clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_TOLD_IN_UTC = re.compile(r"\b(?:(\d{4}-\d\d-\d\d) )?([01]\d|2[0-3]):([0-5]\d) UTC\b")


def moment(time: datetime, timezone: str) -> str:
    """'2026-03-02 09:30 EST'. `time` is aware."""
    local = time.astimezone(ZoneInfo(timezone))
    return f"{local:%Y-%m-%d %H:%M} {_zone(local)}"


def duration(length: timedelta) -> str:
    """'2 h 30 min', to the minute; days from two of them on."""
    minutes = max(round(length.total_seconds() / 60), 0)
    days, hours, minutes = minutes // 1440, minutes // 60, minutes % 60
    if days >= 2:
        hours -= 24 * days
        return f"{days} days" + (f" {hours} h" if hours else "")
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes or not hours else ""]
    return " ".join(part for part in parts if part)


def on_the_teams_clock(text: str, near: datetime, timezone: str) -> str:
    """The sentence of a finding, whose times are told as '10:00 UTC' or '2026-03-02 10:00 UTC', on the team's clock.

    A time without a date is meant to be the one closest to `near` (aware), and stays without a date.
    """

    def told(match: re.Match[str]) -> str:
        date, hour, minute = match.groups()
        if date:
            try:
                return moment(datetime.fromisoformat(f"{date}T{hour}:{minute}:00+00:00"), timezone)
            except (ValueError, OverflowError):
                return match.group()
        same_day = near.astimezone(UTC).replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
        closest = min((same_day + timedelta(days=days) for days in (-1, 0, 1)), key=lambda time: abs(time - near))
        local = closest.astimezone(ZoneInfo(timezone))
        return f"{local:%H:%M} {_zone(local)}"

    return _TOLD_IN_UTC.sub(told, text)


def _zone(local: datetime) -> str:
    """The zone's letters; of a zone that has none, how far it is from UTC."""
    name = f"{local:%Z}"
    return f"UTC{name}" if name.startswith(("+", "-")) else name
