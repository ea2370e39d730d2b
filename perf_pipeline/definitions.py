"""The Dagster code location: assets, jobs, schedules, sensors and resources put together; nothing else."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping

import dagster as dg

from perf_pipeline.assets.agent_metrics import agent_metrics_asset
from perf_pipeline.assets.agent_tasks import agent_tasks_asset
from perf_pipeline.assets.anomalies import anomalies_asset
from perf_pipeline.assets.change_events import change_events_asset
from perf_pipeline.assets.custom_metrics import custom_metrics_asset
from perf_pipeline.assets.daily_summary import daily_summary_asset
from perf_pipeline.assets.detector_states import detector_states_asset
from perf_pipeline.assets.incident_analyses import incident_analyses_asset
from perf_pipeline.assets.optimization_decisions import optimization_decisions_asset
from perf_pipeline.assets.optimization_runs import optimization_runs_asset
from perf_pipeline.assets.raw_logs import raw_logs_asset
from perf_pipeline.assets.raw_spans import raw_spans_asset
from perf_pipeline.assets.task_counts import task_counts_asset
from perf_pipeline.assets.task_states import task_states_asset
from perf_pipeline.assets.weekly_summary import weekly_summary_asset
from perf_pipeline.fleet import FleetConfig, load_fleet
from perf_pipeline.installation import installed_resources
from perf_pipeline.jobs import monitoring_job, optimization_job, summary_job, weekly_job
from perf_pipeline.schedules import daily_summary_schedule, monitoring_schedule, weekly_summary_schedule
from perf_pipeline.sensors.alertmanager import alertmanager_sensors
from perf_pipeline.sensors.approvals import approvals_sensor
from perf_pipeline.sensors.missing_windows import missing_windows_sensor
from perf_pipeline.sensors.notifications import notifications_sensor
from perf_pipeline.sensors.optimization_launches import optimization_launches_sensor
from perf_pipeline.sensors.optimization_requests import optimization_requests_sensor
from perf_pipeline.settings import read_settings


def build_defs(fleet: FleetConfig, resources: Mapping[str, object]) -> dg.Definitions:
    """The definitions of a fleet. `resources` has the keys of `installation.installed_resources`."""
    with warnings.catch_warnings():
        # Backfill policies are in beta in this Dagster; our tests cover what we use of them.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.Definitions(
            assets=[
                raw_spans_asset(fleet),
                raw_logs_asset(fleet),
                task_counts_asset(fleet),
                task_states_asset(fleet),
                change_events_asset(fleet),
                agent_tasks_asset(fleet),
                custom_metrics_asset(fleet),
                agent_metrics_asset(fleet),
                detector_states_asset(fleet),
                anomalies_asset(fleet),
                incident_analyses_asset(fleet),
                optimization_decisions_asset(fleet),
                optimization_runs_asset(fleet),
                daily_summary_asset(fleet),
                weekly_summary_asset(fleet),
            ],
            jobs=[monitoring_job(), summary_job(), weekly_job(), optimization_job()],
            schedules=[monitoring_schedule(fleet), daily_summary_schedule(fleet), weekly_summary_schedule(fleet)],
            sensors=[
                missing_windows_sensor(fleet),
                notifications_sensor(fleet),
                optimization_requests_sensor(fleet),
                approvals_sensor(fleet),
                optimization_launches_sensor(fleet),
                *alertmanager_sensors(fleet),
            ],
            resources=dict(resources),
        )


@dg.definitions
def defs() -> dg.Definitions:
    settings = read_settings(os.environ)
    fleet = load_fleet(settings.fleet_path)
    return build_defs(fleet, installed_resources(settings, fleet))
