"""The jobs: one over all assets on windows, one for each summary, one for optimizations. Each run is one process.

Starting another one for each step costs seconds, and a cycle's steps take a fraction of one.
"""

from __future__ import annotations

import dagster as dg

from perf_pipeline.tables import DAILY_SUMMARY, TABLES, WEEKLY_SUMMARY

MONITORING = "monitoring"
SUMMARY = "summary"
WEEKLY = "weekly"
OPTIMIZATION = "optimization"

OPTIMIZATION_RUNS = "optimization_runs"
INCIDENT_ANALYSES = "incident_analyses"
LONGEST_OPTIMIZATION_SECONDS = 24 * 3600


QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
"""Run configuration for a run inside this process that prints only what went wrong."""

ONE_AT_A_TIME = {"perf_pipeline/one_at_a_time": MONITORING}
"""dagster.yaml limits runs with this tag to one: two cycles that overlap would both join findings to incidents."""


def monitoring_job() -> dg.UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        MONITORING,
        selection=[
            *(name for name in TABLES if name not in (DAILY_SUMMARY.name, WEEKLY_SUMMARY.name)),
            INCIDENT_ANALYSES,
        ],
        executor_def=dg.in_process_executor,
        run_tags=ONE_AT_A_TIME,
        description="One cycle: telemetry, tasks, metrics, anomalies, decisions, for one window or a range of them.",
    )


def summary_job() -> dg.UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        SUMMARY,
        selection=[DAILY_SUMMARY.name],
        executor_def=dg.in_process_executor,
        description="The daily summary of one day.",
    )


def weekly_job() -> dg.UnresolvedAssetJobDefinition:
    """A job of its own: the assets of a job have the same partitions."""
    return dg.define_asset_job(
        WEEKLY,
        selection=[WEEKLY_SUMMARY.name],
        executor_def=dg.in_process_executor,
        description="The weekly summary of one week.",
    )


def optimization_job() -> dg.UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        OPTIMIZATION,
        selection=[OPTIMIZATION_RUNS],
        executor_def=dg.in_process_executor,
        # Above the limit of dagster.yaml, which is made for windows.
        run_tags={"dagster/max_runtime": str(LONGEST_OPTIMIZATION_SECONDS)},
        description="Runs one optimization request; launched again, it goes on where it was.",
    )


def range_tags(first_key: str, last_key: str) -> dict[str, str]:
    """The tags that make one run materialize a range of partitions."""
    return {"dagster/asset_partition_range_start": first_key, "dagster/asset_partition_range_end": last_key}
