"""The metrics of fleet.yaml as lines of a summary."""

from __future__ import annotations

import math
from collections.abc import Sequence

from perf_pipeline.message import Line, Section, labelled, line, section
from perf_pipeline.monitoring.finding_words import in_unit
from perf_pipeline.monitoring.metric_standings import MetricStanding
from perf_pipeline.notifications.summary_words import listed, name_of

SHOWN_METRICS = 5


def metric_sections(standings: Sequence[MetricStanding], earlier: str) -> list[Section]:
    """`earlier` is what came before: 'the day before'. Those that miss their objective come first, then those that
    moved."""
    if not standings:
        return []
    ranked = sorted(standings, key=lambda one: (one.met, not one.moved))
    lines = [metric_line(one, earlier) for one in ranked]
    return [section(labelled("Custom Metrics", "")), listed(lines, SHOWN_METRICS, "metric")]


def metric_line(standing: MetricStanding, earlier: str) -> Line:
    # The unit stands once, but for a sign that is read with its number.
    sign = "%" if standing.unit == "%" else ""
    parts = [in_unit(standing.value, standing.unit)]
    if standing.objective is not None:
        word = "met" if standing.met else "missed"
        parts.append(f"objective {in_unit(standing.objective, sign)} {word}")
    if standing.moved:
        parts.append(f"{earlier} {in_unit(standing.before, sign)}")
    if standing.worst is not None and (standing.moved or not standing.met) and not math.isnan(standing.worst[1]):
        parts.append(f"worst {name_of(standing.worst[0])} at {in_unit(standing.worst[1], sign)}")
    return line(f"{name_of(standing.name)}: {', '.join(parts)}")
