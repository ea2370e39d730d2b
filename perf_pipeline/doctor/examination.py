"""All checks, in the order in which one mends things."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from perf_pipeline.doctor.data_checks import agents_check, collection_check, source_checks
from perf_pipeline.doctor.finding import Concern, Examined, Finding, failed, ok, warning
from perf_pipeline.doctor.installation_checks import dagster_checks, lake_check, ledger_check, tokens_check
from perf_pipeline.doctor.message_checks import outbox_check, slack_checks
from perf_pipeline.doctor.optimization_checks import approver_check, decision_check, target_checks
from perf_pipeline.fleet import FleetError, load_fleet
from perf_pipeline.installation import installed_resources
from perf_pipeline.settings import SettingsError, read_settings
from resources.dagster_webserver import DagsterWebserver
from resources.lake import Lake
from resources.ledger import open_ledger
from resources.reading import LedgerError


def examination(environment: Mapping[str, str], now: datetime) -> Iterator[Finding]:
    """One finding after the other, as they are made. What settings or fleet.yaml say wrongly ends it: nothing can be
    looked at without them."""
    try:
        settings = read_settings(environment)
        fleet = load_fleet(settings.fleet_path)
        resources = installed_resources(settings, fleet)
    except (SettingsError, FleetError) as error:
        yield failed(Concern.INSTALLATION, "settings", str(error))
        return
    external = {
        "Phoenix": settings.phoenix,
        "Supabase": settings.supabase,
        "Railway": settings.railway,
        "Slack": settings.slack,
    }
    named = ", ".join(name for name, system in external.items() if system) or "no external system"
    yield ok(
        Concern.INSTALLATION,
        "settings",
        f"{len(fleet.agents)} agents in {settings.fleet_path.name}; connected: {named}.",
    )
    if not settings.ledger_is_set and not settings.home.exists():
        yield warning(
            Concern.INSTALLATION,
            "home",
            f"There is no installation in {settings.home} yet.",
            "It is made by the first run; or name its folder with --home or PERF_PIPELINE_HOME.",
        )
        return
    try:
        book = open_ledger(settings.ledger_url)
    except LedgerError as error:
        yield failed(Concern.INSTALLATION, "ledger", str(error))
        return
    dagster = DagsterWebserver(settings.dagster_webserver_url)
    try:
        examined = Examined(settings, fleet, book, Lake(settings.lake_url), resources)
        yield from ledger_check(examined)
        yield from lake_check(examined)
        yield from tokens_check(examined, now)
        yield from dagster_checks(dagster)
        yield from source_checks(examined, now)
        yield from collection_check(examined, now)
        yield from agents_check(examined, now)
        yield from target_checks(examined, environment)
        yield from approver_check(examined)
        yield from decision_check(examined, now)
        yield from slack_checks(examined)
        yield from outbox_check(examined, now)
    finally:
        dagster.close()
        book.close()
