"""What needs a human, as lines of a summary."""

from __future__ import annotations

from perf_pipeline.message import Line, Section, labelled, line, section
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.notifications.attention import Attention
from perf_pipeline.notifications.incident_words import is_outage
from perf_pipeline.notifications.safe_text import one_line, shorten
from perf_pipeline.notifications.summary_words import MAX_REASON, count, dollars, listed, moment, name_of, names_of
from perf_pipeline.records import Silence

HEADING = "Needs a Human"
SHOWN_OF_A_KIND = 3


def attention_sections(attention: Attention, span: Window, timezone: str) -> list[Section]:
    """`span` is what the summary is about: its times are told without a date where it is a day."""
    approvals, silences = _approvals(attention, span, timezone), _silences(attention.silences, span, timezone)
    lines = [*approvals, *_incidents(attention), *_messages(attention.undeliverable), *_metrics(attention), *silences]
    if not lines:
        return [section(labelled(HEADING, "nothing"))]
    return [section(labelled(HEADING, "")), listed(lines, len(lines), "matter")]


def _approvals(attention: Attention, span: Window, timezone: str) -> list[Line]:
    lines = []
    for waiting in attention.approvals:
        until = f"waits until {moment(waiting.expires_at, span, timezone)}" if waiting.expires_at else "not asked yet"
        what = f"{name_of(waiting.optimizer)} for at most {dollars(waiting.max_cost_usd)}"
        lines.append(line(f"Approve or decline {name_of(waiting.agent)}: {what}, {until}"))
    return _few(lines, "approval")


def _incidents(attention: Attention) -> list[Line]:
    agents = list(dict.fromkeys(one.agent for one in attention.unacknowledged if not is_outage(one)))
    sources = dict.fromkeys(one.agent.removeprefix("source:") for one in attention.unacknowledged if is_outage(one))
    number = sum(not is_outage(one) for one in attention.unacknowledged)
    lines = []
    if number:
        lines.append(line(f"Nobody looks after {count(number, 'open incident')}: {names_of(agents)}"))
    if sources:
        lines.append(line(f"Nobody looks after the outage of {names_of(list(sources))}"))
    return lines


def _messages(undeliverable: int) -> list[Line]:
    words = f"{count(undeliverable, 'message')} could not be delivered: see 'perf-pipeline notify outbox'"
    return [line(words)] if undeliverable else []


def _metrics(attention: Attention) -> list[Line]:
    lines = [
        line(
            f"Mend the metric {name_of(one.name)} in fleet.yaml ({count(one.windows, 'window')}): "
            f"{shorten(one_line(one.reason), MAX_REASON)}"
        )
        for one in attention.uncomputed
    ]
    return _few(lines, "metric")


def _silences(silences: tuple[Silence, ...], span: Window, timezone: str) -> list[Line]:
    lines = []
    for silence in silences:
        of = "all agents" if silence.agent == "*" else name_of(silence.agent)
        kinds = "all types" if silence.type == "*" else name_of(silence.type)
        why = f": {shorten(one_line(silence.comment), MAX_REASON)}" if silence.comment else ""
        until = moment(silence.ends_at, span, timezone)
        lines.append(line(f"Silenced by {name_of(silence.created_by)} until {until} ({of}, {kinds}){why}"))
    return _few(lines, "silence")


def _few(lines: list[Line], noun: str) -> list[Line]:
    rest = len(lines) - SHOWN_OF_A_KIND
    return lines if rest <= 1 else [*lines[:SHOWN_OF_A_KIND], line(f"… and {rest} more {noun}s")]
