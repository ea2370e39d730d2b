"""Data gaps: windows that a source could not be read for, or not in full. No agent is to blame for them."""

from __future__ import annotations

from collections.abc import Iterable

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.findings import Finding, FindingState
from perf_pipeline.records import SourceHealth, SourceStatus

GAP_MEANS = {True: "no agent is judged on it", False: "what they would add is missing"}


def find_data_gaps(health: Iterable[SourceHealth]) -> list[Finding]:
    """A finding for each window whose spans, logs or task counts could not be read completely.

    Missing spans blind the whole product, so they are of high severity; the other sources only enrich.
    """
    findings = []
    for reading in health:
        if reading.status is SourceStatus.COMPLETE:
            continue
        meaning = GAP_MEANS[reading.source == "spans"]
        essential = reading.source == "spans" and reading.status is SourceStatus.UNAVAILABLE
        findings.append(
            Finding(
                window_start=reading.window_start,
                agent=f"source:{reading.source}",
                type="data_gap",
                state=FindingState.OPEN,
                severity=Severity.HIGH if essential else Severity.MEDIUM,
                details=f"The {reading.source} of this window are {reading.status}; {meaning}",
                onset=reading.window_start,
                reason=reading.reason,
            )
        )
    return findings
