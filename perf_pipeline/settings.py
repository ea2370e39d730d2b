"""The environment as types: where the external systems are, and which embedded default stands in for each.

What belongs here: names of variables and what to say when they are missing or do not fit. Values that are
secrets stay in the environment: Dagster resources read them through `EnvVar`, so neither UI nor logs show them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


class SettingsError(ValueError):
    """A variable is missing or wrong. The message is a sentence that names it and says what to do."""


HOSTED_PHOENIX = "https://app.phoenix.arize.com/s/<your space>"


@dataclass(frozen=True)
class PhoenixSettings:
    endpoint: str
    project: str
    has_api_key: bool
    has_database: bool


@dataclass(frozen=True)
class SupabaseSettings:
    url: str


@dataclass(frozen=True)
class RailwaySettings:
    endpoint: str
    environment_id: str
    project_id: str
    service_id: str | None
    project_token: bool


@dataclass(frozen=True)
class SlackSettings:
    """People's clicks come by HTTP where there is a signing secret, and by Socket Mode where there is an app token."""

    channel: str | None
    base_url: str
    has_signing_secret: bool = False
    has_app_token: bool = False


@dataclass(frozen=True)
class Settings:
    """`None` for a system means that nothing about it is set, so its embedded default is in use."""

    home: Path
    fleet_path: Path
    lake_url: str
    ledger_url: str = field(repr=False)
    ledger_is_set: bool
    phoenix: PhoenixSettings | None
    supabase: SupabaseSettings | None
    railway: RailwaySettings | None
    slack: SlackSettings | None
    dagster_webserver_url: str = field(default="http://127.0.0.1:3000", repr=False)

    @property
    def inbox(self) -> Path:
        """Where the embedded sources read: spans, logs, deployments and agent states as files."""
        return self.home / "inbox"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from environment variables. Raises SettingsError naming the variable that is missing or wrong."""
    env = {name: value.strip() for name, value in environment.items() if value.strip()}
    home = Path(env.get("PERF_PIPELINE_HOME", ".perf-pipeline")).absolute()
    return Settings(
        home=home,
        fleet_path=Path(env.get("PERF_PIPELINE_FLEET", "fleet.yaml")).absolute(),
        lake_url=env.get("PERF_PIPELINE_LAKE", str(home / "lake")),
        ledger_url=env.get("PERF_PIPELINE_LEDGER", f"sqlite:///{home / 'ledger.db'}"),
        ledger_is_set="PERF_PIPELINE_LEDGER" in env,
        phoenix=_phoenix(env),
        supabase=_supabase(env),
        railway=_railway(env),
        slack=_slack(env),
        dagster_webserver_url=_url(env.get("DAGSTER_WEBSERVER_URL", "http://127.0.0.1:3000"), "DAGSTER_WEBSERVER_URL"),
    )


def _phoenix(env: Mapping[str, str]) -> PhoenixSettings | None:
    names = ("PHOENIX_ENDPOINT", "PHOENIX_PROJECT_NAME", "PHOENIX_API_KEY")
    if not any(name in env for name in names):
        return None
    endpoint = _required(
        env, "PHOENIX_ENDPOINT", names, f"set it to your server, such as http://localhost:6006 or {HOSTED_PHOENIX}"
    )
    project = _required(env, "PHOENIX_PROJECT_NAME", names, "set it to the project that your agents are traced to")
    return PhoenixSettings(
        _url(endpoint, "PHOENIX_ENDPOINT"), project, "PHOENIX_API_KEY" in env, "PHOENIX_SQL_DATABASE_URL" in env
    )


def _supabase(env: Mapping[str, str]) -> SupabaseSettings | None:
    names = ("SUPABASE_URL", "SUPABASE_KEY")
    if not any(name in env for name in names):
        return None
    url = _required(env, "SUPABASE_URL", names, "set it to https://<your project>.supabase.co")
    _required(env, "SUPABASE_KEY", names, "set it to the service-role key, which sees all rows of agent_state")
    return SupabaseSettings(_url(url, "SUPABASE_URL"))


def _railway(env: Mapping[str, str]) -> RailwaySettings | None:
    names = ("RAILWAY_API_TOKEN", "RAILWAY_TOKEN", "RAILWAY_ENVIRONMENT_ID", "RAILWAY_PROJECT_ID")
    if "RAILWAY_API_TOKEN" not in env and "RAILWAY_TOKEN" not in env:
        # Railway itself sets the IDs in every service that it runs, so they alone ask for nothing.
        return None
    advice = "it is shown by 'railway status --json' and in the address of your project's page"
    return RailwaySettings(
        endpoint=_url(env.get("RAILWAY_ENDPOINT", "https://backboard.railway.com/graphql/v2"), "RAILWAY_ENDPOINT"),
        environment_id=_required(env, "RAILWAY_ENVIRONMENT_ID", names, advice),
        project_id=_required(env, "RAILWAY_PROJECT_ID", names, advice),
        service_id=env.get("RAILWAY_SERVICE_ID"),
        project_token="RAILWAY_API_TOKEN" not in env,
    )


def _slack(env: Mapping[str, str]) -> SlackSettings | None:
    names = ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN")
    if not any(name in env for name in names):
        return None
    token = _required(env, "SLACK_BOT_TOKEN", names, "copy it from OAuth & Permissions of the app")
    # Libraries quote a value that no header can hold in their errors and logs, so it must not get to them.
    if not re.fullmatch(r"xoxb-[\x21-\x7e]+", token):
        raise SettingsError(
            "SLACK_BOT_TOKEN does not look like a bot token: it must begin with 'xoxb-' and contain no space and no "
            "line break. Copy it from OAuth & Permissions of the app."
        )
    if "SLACK_APP_TOKEN" in env and not re.fullmatch(r"xapp-[\x21-\x7e]+", env["SLACK_APP_TOKEN"]):
        raise SettingsError(
            "SLACK_APP_TOKEN does not look like an app-level token: it must begin with 'xapp-' and contain no space "
            "and no line break. Create one with the scope connections:write under Basic Information of the app."
        )
    if "SLACK_SIGNING_SECRET" in env and not re.fullmatch(r"[\x21-\x7e]+", env["SLACK_SIGNING_SECRET"]):
        raise SettingsError(
            "SLACK_SIGNING_SECRET contains a space, a line break or another character that no signing secret has: "
            "copy it from Basic Information of the app."
        )
    return SlackSettings(
        env.get("SLACK_CHANNEL"),
        _url(env.get("SLACK_BASE_URL", "https://slack.com/api/"), "SLACK_BASE_URL"),
        has_signing_secret="SLACK_SIGNING_SECRET" in env,
        has_app_token="SLACK_APP_TOKEN" in env,
    )


def _required(env: Mapping[str, str], name: str, names: tuple[str, ...], advice: str) -> str:
    if name in env:
        return env[name]
    found = " and ".join(other for other in names if other in env)
    raise SettingsError(f"{name} is not set, though {found} is: {advice}.")


def _url(value: str, name: str) -> str:
    if not value.startswith(("http://", "https://")):
        # The value is not shown: it may be a key that was put into the wrong variable.
        raise SettingsError(f"{name} must be an address that begins with http:// or https://.")
    return value
