"""The installation itself: ledger, lake, Dagster, and who may use the service."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from perf_pipeline.doctor.finding import Concern, Examined, Finding, failed, ok, warning
from resources.dagster_webserver import Automation, DagsterWebserver
from resources.reading import DagsterError

CONSEQUENCES = {
    "monitoring_schedule": (Concern.DATA, "no window is collected on its own"),
    "missing_windows": (Concern.DATA, "windows that were missed stay missing"),
    "optimization_requests": (Concern.OPTIMIZATIONS, "no decision to optimize becomes a request"),
    "approvals": (Concern.OPTIMIZATIONS, "nobody is asked for approval"),
    "optimization_launches": (Concern.OPTIMIZATIONS, "no request is run"),
    "notifications": (Concern.MESSAGES, "no message leaves the outbox"),
    "daily_summary_schedule": (Concern.MESSAGES, "no daily summary is sent"),
    "weekly_summary_schedule": (Concern.MESSAGES, "no weekly summary is sent"),
}
"""What it means that a schedule or a sensor is switched off."""


def ledger_check(examined: Examined) -> Iterator[Finding]:
    where = "PERF_PIPELINE_LEDGER" if examined.settings.ledger_is_set else str(examined.settings.home / "ledger.db")
    yield ok(Concern.INSTALLATION, "ledger", f"The ledger at {where} answers, at migration {examined.book.revision()}.")


def lake_check(examined: Examined) -> Iterator[Finding]:
    try:
        examined.lake.prove_writable()
    except OSError as error:
        yield failed(
            Concern.INSTALLATION,
            "lake",
            f"The lake cannot be written to ({type(error).__name__}).",
            "Check PERF_PIPELINE_LAKE, and that this user may write there.",
        )
        return
    yield ok(Concern.INSTALLATION, "lake", "The lake can be written to and read.")


def tokens_check(examined: Examined, now: datetime) -> Iterator[Finding]:
    usable = sum(token.is_usable(now) for token in examined.book.tokens())
    said = f"{usable} tokens are valid" if usable else "There is no token: the service is for this machine only"
    yield ok(Concern.INSTALLATION, "tokens", f"{said}; see 'perf-pipeline token list'.")


def dagster_checks(dagster: DagsterWebserver) -> Iterator[Finding]:
    try:
        automation = dagster.automation()
    except DagsterError as error:
        yield failed(Concern.INSTALLATION, "dagster", str(error))
        return
    yield ok(Concern.INSTALLATION, "dagster", f"Dagster's webserver answers at {dagster.url}.")
    if automation.ailing_daemons:
        yield failed(
            Concern.INSTALLATION,
            "dagster daemon",
            f"Without heartbeat: {', '.join(automation.ailing_daemons).lower()}.",
            "Start 'dagster-daemon run' with the same DAGSTER_HOME, or 'perf-pipeline dev', which starts all.",
        )
    else:
        yield ok(Concern.INSTALLATION, "dagster daemon", "All daemons have a heartbeat.")
    yield from switches(automation)


def switches(automation: Automation) -> Iterator[Finding]:
    """One finding for each schedule and sensor that is switched off, or one that all are on."""
    known = {**automation.schedules, **automation.sensors}
    off = [name for name in CONSEQUENCES if not known.get(name, False)]
    for name in off:
        concern, consequence = CONSEQUENCES[name]
        yield warning(
            concern, name, f"It is switched off, so that {consequence}.", "Switch it on in Dagster's UI, Automation."
        )
    if not off:
        yield ok(Concern.INSTALLATION, "automation", "All schedules and sensors are switched on.")
