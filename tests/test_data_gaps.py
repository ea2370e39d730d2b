"""What a source did not give in full is a data gap, and no agent's failure."""

from __future__ import annotations

import pytest

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.data_gaps import find_data_gaps
from perf_pipeline.records import SourceStatus
from tests.builders import health, window


@pytest.mark.parametrize(
    ("source", "status", "severity", "meaning"),
    [
        ("spans", SourceStatus.UNAVAILABLE, Severity.HIGH, "no agent is judged on it"),
        ("spans", SourceStatus.PARTIAL, Severity.MEDIUM, "no agent is judged on it"),
        ("logs", SourceStatus.UNAVAILABLE, Severity.MEDIUM, "what they would add is missing"),
        ("tasks", SourceStatus.PARTIAL, Severity.MEDIUM, "what they would add is missing"),
    ],
)
def test_a_source_that_did_not_answer_completely_is_a_data_gap(
    source: str, status: SourceStatus, severity: Severity, meaning: str
) -> None:
    reason = "Phoenix did not answer."
    (gap,) = find_data_gaps([health(source, 3, status, reason), health("changes", 3)])
    assert (gap.agent, gap.type, gap.state, gap.severity) == (f"source:{source}", "data_gap", "open", severity)
    assert gap.window_start == gap.onset == window(3).start
    assert gap.details == f"The {source} of this window are {status}; {meaning}"
    assert gap.reason == reason
