"""The assets' checks: the declared schema (blocking) and the quality of what was read (advisory).

They are evaluated where the rows are at hand, inside the asset, so no check loads a partition again.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
import pandas as pd

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.span_faults import SpanFaults
from perf_pipeline.tables import Table

SCHEMA = "schema"
SOURCE_COMPLETE = "source_complete"
CLOCKS_AGREE = "clocks_agree"
AGENTS_KNOWN = "agents_known"
SPANS_OWNED = "spans_owned"
FLEET_AT_WORK = "fleet_at_work"
CUSTOM_METRICS_COMPUTED = "custom_metrics_computed"

MAX_UNOWNED_SHARE = 0.2


def schema_spec(table: Table) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        SCHEMA, asset=table.name, blocking=True, description="Every column has its declared type, range and key."
    )


def advisory_spec(table: Table, name: str, description: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(name, asset=table.name, description=description)


def source_complete_spec(table: Table) -> dg.AssetCheckSpec:
    return advisory_spec(table, SOURCE_COMPLETE, "The source answered, and answered in full, for every window.")


def schema_result(table: Table, frame: pd.DataFrame) -> dg.AssetCheckResult:
    problems = table.problems(frame)
    return _result(SCHEMA, problems, dg.AssetCheckSeverity.ERROR)


def refused_result(problems: Sequence[str]) -> dg.AssetCheckResult:
    """The schema check of rows that were refused while they were read, in the words of the refusals."""
    return _result(SCHEMA, problems, dg.AssetCheckSeverity.ERROR)


def source_complete_result(problems: Sequence[str]) -> dg.AssetCheckResult:
    return _result(SOURCE_COMPLETE, problems, dg.AssetCheckSeverity.ERROR)


def clocks_agree_result(faults: SpanFaults) -> dg.AssetCheckResult:
    return _result(CLOCKS_AGREE, faults.problems, dg.AssetCheckSeverity.WARN)


def agents_known_result(agents: Sequence[str], fleet: FleetConfig) -> dg.AssetCheckResult:
    unknown = sorted(set(agents) - set(fleet.agent_names) - set(fleet.ignored_agents))
    problems = [f"{name} has tasks, but is not in fleet.yaml: add it to agents or ignored_agents." for name in unknown]
    return _result(AGENTS_KNOWN, problems, dg.AssetCheckSeverity.WARN)


def spans_owned_result(unowned: int, total: int) -> dg.AssetCheckResult:
    problems = []
    if total and unowned / total > MAX_UNOWNED_SHARE:
        problems.append(
            f"{unowned} of {total} spans belong to no agent: check that your agents set one of agent_attributes."
        )
    return _result(SPANS_OWNED, problems, dg.AssetCheckSeverity.WARN)


def fleet_at_work_result(metrics: pd.DataFrame) -> dg.AssetCheckResult:
    judged = metrics[metrics["complete"]]
    idle = judged.groupby("window_start")["tasks"].sum()
    problems = [f"No agent did anything in the window {start:%Y-%m-%d %H:%M} UTC." for start in idle[idle == 0].index]
    return _result(FLEET_AT_WORK, problems, dg.AssetCheckSeverity.WARN)


def custom_metrics_computed_result(problems: Sequence[str]) -> dg.AssetCheckResult:
    return _result(CUSTOM_METRICS_COMPUTED, problems, dg.AssetCheckSeverity.WARN)


def _result(name: str, problems: Sequence[str], severity: dg.AssetCheckSeverity) -> dg.AssetCheckResult:
    shown = "\n".join(f"- {problem}" for problem in problems) or "All is well."
    return dg.AssetCheckResult(
        check_name=name,
        passed=not problems,
        severity=severity,
        description=" ".join(problems)[:1000] or None,
        metadata={"findings": dg.MetadataValue.md(shown)},
    )
