"""`perf-pipeline serve`: the HTTP service, and Slack's Socket Mode beside it."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from perf_pipeline.opened_installation import HomeOption, OpenedInstallation, opened_installation, refuse

if TYPE_CHECKING:
    from fastapi import APIRouter

    from resources.sources import SpanSource

LOOPBACK = "127.0.0.1"

MAX_CONNECTIONS = 128
"""Slack needs few. Whoever comes beyond them is answered 503."""

STOP_WITHIN_SECONDS = 10
"""How long open requests may take to end once the service is stopped. What people clicked is finished even then."""


def serve(
    port: Annotated[int, typer.Option(help="Port of the service.")] = 8080,
    host: Annotated[
        str, typer.Option(help="Address to bind to. Beyond this machine, a signing secret is needed.")
    ] = LOOPBACK,
    home: HomeOption = None,
) -> None:
    """Take what people click in Slack: by HTTP (SLACK_SIGNING_SECRET), by Socket Mode (SLACK_APP_TOKEN), or both; and
    tell agents which programs to run: on this machine, or to those with the token PERF_PIPELINE_PROGRAMS_TOKEN."""
    import uvicorn

    from perf_pipeline.service.app import create_app
    from perf_pipeline.service.programs import programs_router
    from resources.program_files import ProgramFiles
    from resources.reading import SlackError
    from resources.slack_interactions import SlackSignature

    logging.basicConfig(format="%(levelname)s: %(message)s")
    with opened_installation(home) as installation:
        slack = installation.settings.slack
        signed = slack is not None and slack.has_signing_secret
        if not signed and not _is_loopback(host):
            refuse(f"SLACK_SIGNING_SECRET is not set, and others reach {host}: set it, or leave --host out.")
        signature = SlackSignature(installation.environment["SLACK_SIGNING_SECRET"].strip()) if signed else None
        clock = partial(datetime.now, UTC)
        token = installation.environment.get("PERF_PIPELINE_PROGRAMS_TOKEN", "").strip() or None
        files = ProgramFiles(installation.settings.lake_url)
        programs = programs_router(installation.book, files, token) if token or _is_loopback(host) else None
        try:
            with _socket_mode(installation) as given_up:
                app = create_app(
                    installation.book,
                    installation.fleet,
                    clock,
                    signature,
                    given_up=given_up,
                    programs=programs,
                    dashboard=_dashboard(installation, clock) if _is_loopback(host) else None,
                )
                if _is_loopback(host):
                    typer.echo(f"The dashboard is at http://{host}:{port}/")
                if signed:
                    typer.echo(f"Slack's requests are taken at http://{host}:{port}/slack/interactions")
                uvicorn.run(
                    app,
                    host=host,
                    port=port,
                    log_level="warning",
                    limit_concurrency=MAX_CONNECTIONS,
                    timeout_graceful_shutdown=STOP_WITHIN_SECONDS,
                )
        except SlackError as error:
            refuse(str(error))


def _dashboard(installation: OpenedInstallation, clock: Callable[[], datetime]) -> APIRouter:
    from perf_pipeline.installation import installed_resources
    from perf_pipeline.service.dashboard.router import dashboard_router
    from resources.lake import Lake

    spans = cast("SpanSource", installed_resources(installation.settings, installation.fleet)["span_source"])
    lake = Lake(installation.settings.lake_url)
    return dashboard_router(installation.book, lake, installation.fleet, clock, spans.trace_url)


@contextmanager
def _socket_mode(installation: OpenedInstallation) -> Iterator[Callable[[], str | None]]:
    """Socket Mode for as long as the block runs, where an app token is set; and what tells why it ended for good."""
    slack = installation.settings.slack
    if slack is None or not slack.has_app_token:
        yield lambda: None
        return
    from perf_pipeline.service.slack_clicks import take_payload
    from resources.slack_interactions import ClickReplies
    from resources.slack_socket import SlackSocket

    replies = ClickReplies()

    def take(payload: dict[str, Any]) -> Callable[[], None]:
        return take_payload(installation.book, installation.fleet, replies, payload, datetime.now(UTC))

    socket = SlackSocket(installation.environment["SLACK_APP_TOKEN"].strip(), take, slack.base_url)
    socket.open()
    typer.echo("Slack's clicks are taken by Socket Mode.")
    try:
        yield lambda: socket.given_up
    finally:
        socket.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
