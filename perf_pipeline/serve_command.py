"""`perf-pipeline serve`: the HTTP service, and Slack's Socket Mode beside it."""

from __future__ import annotations

import getpass
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

    from perf_pipeline.service.authentication import Gate
    from resources.sources import SpanSource

LOOPBACK = "127.0.0.1"

MAX_CONNECTIONS = 128
"""People, Slack and agents need few. Whoever comes beyond them is answered 503."""

STOP_WITHIN_SECONDS = 10
"""How long open requests may take to end once the service is stopped. What people clicked is finished even then."""


def serve(
    port: Annotated[int, typer.Option(help="Port of the service.")] = 8080,
    host: Annotated[str, typer.Option(help="Address to bind to. Beyond this machine, a token is needed.")] = LOOPBACK,
    home: HomeOption = None,
    demo: Annotated[bool, typer.Option("--demo", help="Serve the demo's data, without external systems.")] = False,
) -> None:
    """Serve the HTTP API, and take what people click in Slack: by HTTP (SLACK_SIGNING_SECRET), by Socket Mode
    (SLACK_APP_TOKEN), or both. Without any token it listens on loopback only, and is open to this machine."""
    import uvicorn

    from perf_pipeline.service.app import create_app
    from perf_pipeline.service.authentication import Gate, is_loopback
    from perf_pipeline.service.opened import service_context
    from resources.reading import SlackError
    from resources.slack_interactions import SlackSignature

    logging.basicConfig(format="%(levelname)s: %(message)s")
    with opened_installation(home, demo=demo) as installation:
        settings, book = installation.settings, installation.book
        slack = settings.slack
        signed = slack is not None and slack.has_signing_secret
        signature = SlackSignature(installation.environment["SLACK_SIGNING_SECRET"].strip()) if signed else None
        clock = partial(datetime.now, UTC)
        agents_secret = installation.environment.get("PERF_PIPELINE_PROGRAMS_TOKEN", "").strip() or None
        has_tokens = book.has_usable_tokens(clock())
        if not is_loopback(host) and not (has_tokens or agents_secret or signed):
            refuse(
                f"There is no token, and others reach {host}: make one with 'perf-pipeline token create', or leave "
                "--host out."
            )
        is_open = is_loopback(host) and agents_secret is None
        gate = Gate(book, clock, open_to_this_machine=is_open, local_person=_who_runs_this())
        context = service_context(
            book, installation.fleet, settings.lake_url, settings.dagster_webserver_url, gate, clock
        )
        try:
            with _socket_mode(installation) as given_up:
                app = create_app(
                    context,
                    signature,
                    given_up=given_up,
                    agents_secret=agents_secret,
                    pages=[_dashboard(installation, gate, clock)],
                )
                typer.echo(f"The service is at http://{host}:{port}; the dashboard is its first page.")
                if is_open and not has_tokens:
                    typer.echo(
                        "There is no token: it listens on loopback only, and is open to everybody on this machine. "
                        "'perf-pipeline token create' makes one."
                    )
                if signed:
                    typer.echo(f"Slack's requests are taken at http://{host}:{port}/slack/interactions")
                uvicorn.run(
                    app,
                    host=host,
                    port=port,
                    log_level="warning",
                    limit_concurrency=MAX_CONNECTIONS,
                    timeout_graceful_shutdown=STOP_WITHIN_SECONDS,
                    server_header=False,
                )
        except SlackError as error:
            refuse(str(error))


def _dashboard(installation: OpenedInstallation, gate: Gate, clock: Callable[[], datetime]) -> APIRouter:
    from fastapi import Depends

    from perf_pipeline.installation import installed_resources
    from perf_pipeline.records import Scope
    from perf_pipeline.service.dashboard.router import dashboard_router
    from resources.lake import Lake

    spans = cast("SpanSource", installed_resources(installation.settings, installation.fleet)["span_source"])
    lake = Lake(installation.settings.lake_url)
    return dashboard_router(
        installation.book, lake, installation.fleet, clock, spans.trace_url, read=[Depends(gate.require(Scope.READ))]
    )


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


def _who_runs_this() -> str:
    """Who is taken to ask, where the service is open to this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody on this machine"
