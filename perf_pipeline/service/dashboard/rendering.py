"""Templates to pages. What templates are given is escaped: text of models, traces and people is never markup."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from shlex import quote as shell_quote
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from perf_pipeline.notifications.team_clock import moment
from perf_pipeline.service.dashboard.static_files import static_address
from perf_pipeline.service.dashboard.words import ago, clock_time, in_words, said

TEMPLATES = Path(__file__).parent / "templates"


def security_headers(*, draws: bool = False) -> dict[str, str]:
    """What browsers may do with a page. The chart library puts style elements of its own into pages that it draws on;
    scripts are those of our own files, on every page."""
    styles = "'self' 'unsafe-inline'" if draws else "'self'"
    return {
        "Content-Security-Policy": f"default-src 'none'; script-src 'self'; style-src {styles}; "
        "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "private, no-cache",
    }


class Pages:
    def __init__(self, timezone: str) -> None:
        self._timezone = timezone
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "said": said,
            "in_words": in_words,
            "moment": lambda time: moment(time, timezone),
            "in_shell": lambda text: shell_quote(said(text)),
            "in_address": lambda text: quote(str(text), safe=""),
        }

    def render(self, template: str, root: str, now: datetime, values: Mapping[str, object]) -> str:
        """`root` is what stands before the paths of this service where a proxy serves it under one of its own."""
        timezone = self._timezone
        return self._templates.get_template(template).render(
            root=root,
            now=now,
            timezone=timezone,
            static=lambda name: root + static_address(name),
            ago=lambda time: ago(time, now),
            clock=lambda time: clock_time(time, timezone, now),
            **values,
        )
