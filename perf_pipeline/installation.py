"""Which resource stands behind each key: the real system where the environment names it, else the embedded one.

Secrets are given as `EnvVar`: Dagster resolves them when a run starts and shows only their names.
"""

from __future__ import annotations

import dagster as dg

from perf_pipeline.alertmanager_targets import alertmanager_resources
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_people import AppriseTarget, SlackTarget, Target
from perf_pipeline.messengers import message_targets, messenger_key
from perf_pipeline.settings import (
    PhoenixSettings,
    RailwaySettings,
    Settings,
    SettingsError,
    SupabaseSettings,
)
from perf_pipeline.tables import TABLES
from resources.apprise_channel import AppriseResource
from resources.lake import Lake, LakeIOManager, LakeResource
from resources.ledger import LedgerResource
from resources.log_files import LogFilesResource
from resources.message_file import MessageFileResource
from resources.phoenix import PhoenixResource
from resources.railway import RailwayResource
from resources.slack import SlackResource
from resources.span_files import SpanFilesResource
from resources.state_files import StateFilesResource
from resources.supabase import SupabaseResource


def installed_resources(settings: Settings, fleet: FleetConfig) -> dict[str, object]:
    """The resources by their keys: lake, lake_io, ledger, span_source, log_source, task_source, messenger_<target>,
    alertmanager_<target>."""
    ledger_url = dg.EnvVar("PERF_PIPELINE_LEDGER") if settings.ledger_is_set else settings.ledger_url
    return {
        "lake": LakeResource(url=settings.lake_url),
        "lake_io": LakeIOManager(Lake(settings.lake_url), TABLES),
        "ledger": LedgerResource(url=ledger_url),
        "span_source": _span_source(settings, settings.phoenix, fleet),
        "log_source": _log_source(settings, settings.railway, fleet),
        "task_source": _task_source(settings, settings.supabase),
        **{
            messenger_key(name): _messenger(settings, fleet.notifications.targets[name], fleet)
            for name in message_targets(fleet)
        },
        **alertmanager_resources(fleet),
    }


def _span_source(settings: Settings, phoenix: PhoenixSettings | None, fleet: FleetConfig) -> object:
    attributes = list(fleet.agent_attributes)
    if phoenix is not None and fleet.sources.phoenix_road == "postgres" and not phoenix.has_database:
        raise SettingsError(
            "PHOENIX_SQL_DATABASE_URL is not set, though fleet.yaml has sources.phoenix_road: postgres: set it to "
            "Phoenix's database, such as postgresql://reader:password@host:5432/phoenix, or choose another road."
        )
    if phoenix is None:
        return SpanFilesResource(
            folder=str(settings.inbox / "spans"),
            agent_attributes=attributes,
            feedback_file=str(settings.inbox / "feedback.jsonl"),
        )
    return PhoenixResource(
        endpoint=phoenix.endpoint,
        project=phoenix.project,
        api_key=dg.EnvVar("PHOENIX_API_KEY") if phoenix.has_api_key else "",
        agent_attributes=attributes,
        road=fleet.sources.phoenix_road,
        mcp_command=list(fleet.sources.phoenix_mcp_command),
        database_url=dg.EnvVar("PHOENIX_SQL_DATABASE_URL") if phoenix.has_database else "",
    )


def _log_source(settings: Settings, railway: RailwaySettings | None, fleet: FleetConfig) -> object:
    if railway is None:
        return LogFilesResource(folder=str(settings.inbox))
    return RailwayResource(
        endpoint=railway.endpoint,
        token=dg.EnvVar("RAILWAY_TOKEN" if railway.project_token else "RAILWAY_API_TOKEN"),
        uses_project_token=railway.project_token,
        environment_id=railway.environment_id,
        project_id=railway.project_id,
        service_id=railway.service_id,
        log_retention_days=fleet.sources.railway_log_retention_days,
    )


def _task_source(settings: Settings, supabase: SupabaseSettings | None) -> object:
    if supabase is None:
        return StateFilesResource(folder=str(settings.inbox))
    return SupabaseResource(url=supabase.url, key=dg.EnvVar("SUPABASE_KEY"))


def _messenger(settings: Settings, target: Target, fleet: FleetConfig) -> object:
    if isinstance(target, AppriseTarget):
        return AppriseResource(url_variable=target.url_variable)
    slack = settings.slack
    if slack is None or not isinstance(target, SlackTarget):
        return MessageFileResource(path=str(settings.home / "messages.jsonl"))
    return SlackResource(
        token=dg.EnvVar("SLACK_BOT_TOKEN"),
        channel=target.channel or slack.channel or fleet.slack_channel,
        base_url=slack.base_url,
        takes_clicks=slack.has_signing_secret or slack.has_app_token,
    )
