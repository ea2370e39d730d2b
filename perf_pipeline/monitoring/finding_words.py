"""A finding in one sentence for the person on call: what changed, since when, how sure that is."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from perf_pipeline.fleet_metrics import MetricConfig
from perf_pipeline.monitoring.finding_facts import Facts

VERBS = {
    "pending": ("may have fallen", "may have risen"),
    "open": ("fell", "rose"),
    "recovering": ("fell", "rose"),
    "resolved": ("had fallen", "had risen"),
}
CERTAIN = 1e9
LEAST_TOLD = math.log(10)
"""Evidence below this is not told as a figure: what opened on it did so because a collapse needs no history."""


def in_words(
    type: str,
    state: str,
    facts: Facts,
    window: timedelta,
    now: datetime,
    *,
    accepted: bool = False,
    custom: MetricConfig | None = None,
) -> str:
    """The sentence. `now` is the start of the window that the finding is told in, `window` its length; `accepted`
    says that the finding ended because it has become the baseline. `custom` is the metric of fleet.yaml that it is
    about, if any."""
    fell, rose = VERBS[state]
    since = f"since {_moment(facts.onset, now)}"
    before, after = facts.baseline, facts.observed
    arrived = "had arrived" if state == "resolved" else "arrived"
    expected = f"{arrived} {since}, where about {_number(facts.expected_total)} were expected"
    fewer = "No task" if facts.total == 0 else f"Only {_tasks(facts.total)}"
    changes = {
        "success_drop": f"Success rate {fell} from {before:.0f}% to {after:.0f}% {since}",
        "error_spike": f"Errors {rose} from {_number(before)} to {_number(after)} a task {since}",
        "log_error_spike": f"Error lines in the logs {rose} from {_number(before)} to {_number(after)} a task {since}",
        "latency_increase": f"Typical latency {rose} from {_duration(before)} to {_duration(after)} {since}",
        "cost_spike": f"Cost {rose} from ${_number(before)} to ${_number(after)} a task {since}",
        "token_spike": f"Tokens {rose} from {_number(before)} to {_number(after)} a task {since}",
        "silence": f"{fewer} {expected}",
        "traffic_drop": f"{fewer} {expected}",
        "traffic_surge": f"{_tasks(facts.total)} {expected}",
        "score_drop": f"Score {fell} from {before:.0f} to {after:.0f} {since}",
        "unnoticed_failures": f"Tasks that agent_state calls failed and whose spans show no error {rose} from "
        f"{_share(before)} to {_share(after)} {since}",
        "missing_traces": f"Finished rows of agent_state that no span belongs to {rose} from {_share(before)} to "
        f"{_share(after)} {since}",
        "unseen_errors": f"Error lines in the logs while no task was failing {rose} from {_number(before)} to "
        f"{_number(after)} a task {since}",
    }
    if custom is not None:
        moved = fell if custom.better == "higher" else rose
        figures = f"from {_before(before, custom.unit)} to {in_unit(after, custom.unit)}"
        changes[type] = f"{custom.name} {moved} {figures} {since}"
    counted = {
        "success_drop": f"{facts.total:.0f} of {_tasks(facts.tasks)}",
        "error_spike": f"{facts.total:.0f} in {_tasks(facts.tasks)}, {_times(facts.effect)} the usual",
        "log_error_spike": f"{facts.total:.0f} in {_tasks(facts.tasks)}, {_times(facts.effect)} the usual",
        "silence": "",
        "traffic_drop": "" if facts.total == 0 else f"{_times(facts.effect)} fewer",
        "traffic_surge": f"{_times(facts.effect)} as many",
        "score_drop": _tasks(facts.tasks),
        "unnoticed_failures": f"{facts.total:.0f} of {_tasks(facts.tasks)}",
        "missing_traces": f"{_tasks(facts.tasks)} traced meanwhile",
        "unseen_errors": f"{facts.total:.0f} in {_tasks(facts.tasks)}, {_times(facts.effect)} the usual",
    }
    if custom is not None and not custom.is_ratio:
        counted[type] = _tasks(facts.tasks)
    grounds = [
        counted.get(type, f"{_tasks(facts.tasks)}, {_times(facts.effect)} the usual"),
        _interval(type, facts, custom),
        "not certain yet" if state == "pending" else "",
        _evidence(facts.evidence_nats),
    ]
    told = "; ".join(part for part in grounds if part)
    return changes[type] + (f" ({told})" if told else "") + _ending(state, window, now, accepted)


def _ending(state: str, window: timedelta, now: datetime, accepted: bool) -> str:
    if accepted:
        return "; it has lasted so long that it is the baseline from now on"
    if state == "recovering":
        return "; it is recovering"
    return f"; back to normal by {now + window:%H:%M} UTC" if state == "resolved" else ""


def _interval(type: str, facts: Facts, custom: MetricConfig | None) -> str:
    low, high = facts.effect_low, facts.effect_high
    if math.isnan(low) or math.isnan(high) or (type in ("silence", "traffic_drop") and facts.total == 0):
        return ""
    if type in ("success_drop", "score_drop"):
        return f"95% interval of the loss {low:.0f} to {high:.0f} points"
    if type in ("unnoticed_failures", "missing_traces"):
        return f"95% interval of the rise {low:.0f} to {high:.0f} points"
    if custom is not None and not custom.is_ratio:
        return f"95% interval of the change {_before(low, custom.unit)} to {in_unit(high, custom.unit)}"
    return f"95% interval {_number(low)} to {_times(high)}"


def _evidence(nats: float) -> str:
    if nats < LEAST_TOLD:
        return ""
    odds = math.exp(min(nats, 50.0))
    return "evidence beyond 1 : 1,000,000,000" if odds > CERTAIN else f"evidence 1 : {float(f'{odds:.2g}'):,.0f}"


def _moment(time: datetime, now: datetime) -> str:
    return f"{time:%H:%M} UTC" if time.date() == now.date() else f"{time:%Y-%m-%d %H:%M} UTC"


def in_unit(value: float, unit: str) -> str:
    """A value of a metric of fleet.yaml, such as '0.41 points' or '12%'."""
    return f"{_number(value)}{'' if unit == '%' or not unit else ' '}{unit}"


def _before(value: float, unit: str) -> str:
    """The value that another one follows, whose unit stands for both; but a percent sign belongs to its number."""
    return in_unit(value, "%" if unit == "%" else "")


def _share(percent: float) -> str:
    return f"{percent:.0f}%"


def _tasks(count: float) -> str:
    return "1 task" if count == 1 else f"{count:,.0f} tasks"


def _times(ratio: float) -> str:
    return f"{_number(ratio)} times"


def _number(value: float) -> str:
    """Two digits that count, and all of those before the point; never an exponent."""
    if math.isnan(value) or value == 0:
        return "0" if value == 0 else "unknown"
    decimals = max(0, 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 8)}f}"


def _duration(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.1f} s" if round(milliseconds) >= 1000 else f"{milliseconds:.0f} ms"
