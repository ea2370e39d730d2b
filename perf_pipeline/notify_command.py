"""`perf-pipeline notify`: prove that people are reached, and see what they were sent or could not be."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from perf_pipeline.fleet import FleetConfig, FleetError, Severity, load_fleet
from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.notifications.hearers import hearers
from perf_pipeline.notifications.plain_text import plain_text
from perf_pipeline.notifications.safe_text import one_line
from perf_pipeline.opened_installation import HomeOption, JsonOption, opened_installation, refuse
from perf_pipeline.records import Notification, NotificationState
from perf_pipeline.settings import Settings, SettingsError, read_settings

app = typer.Typer(no_args_is_help=True, help="Prove that people are reached, and see what they were sent.")


@app.command("test")
def try_targets(
    target: Annotated[
        str | None, typer.Argument(help="A target of fleet.yaml; all of them where none is named.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Post a test message to one target, or to all, and say what is to be mended where it fails."""
    from perf_pipeline.trial import trials

    settings, fleet = _settings_and_fleet(home)
    known = tuple(fleet.notifications.targets)
    if target is not None and target not in known:
        refuse(f"fleet.yaml has no target {target}: it has {', '.join(known)}.")
    try:
        done = list(trials(settings, fleet, [target] if target else known, datetime.now(UTC)))
    except SettingsError as error:
        refuse(str(error))
    rows = [(trial.target, trial.kind, "reached" if trial.ok else "FAILED", trial.said) for trial in done]
    _show([asdict(trial) for trial in done], ("target", "kind", "result", "where, or what to mend"), rows, as_json)
    if not all(trial.ok for trial in done):
        raise typer.Exit(1)


@app.command()
def routes(
    kind: Annotated[NotificationKind, typer.Option(help="What the message is.")] = NotificationKind.ALERT,
    severity: Annotated[Severity | None, typer.Option(help="Of an alert. Default: high.")] = None,
    agent: Annotated[list[str] | None, typer.Option(help="Whom it is about; may be repeated.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which targets would hear of a message, by the routes of fleet.yaml. Nothing is sent."""
    _, fleet = _settings_and_fleet(home)
    found = hearers(fleet.notifications, kind, agent or (), severity)
    rows = [(hearer.target, hearer.kind, hearer.when) for hearer in found]
    nothing = (
        "Nobody hears of it: no route of fleet.yaml matches, or it is below notifications.alert_from, which is "
        f"{fleet.notifications.alert_from}."
    )
    _show([asdict(hearer) for hearer in found], ("target", "kind", "when"), rows, as_json, nothing)


@app.command()
def outbox(
    state: Annotated[NotificationState | None, typer.Option(help="Only messages in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest are shown.")] = 50,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what waits, was sent, was withheld or could not be delivered, and why."""
    with opened_installation(home) as installation:
        messages = installation.book.notifications()
    shown = [message for message in messages if state is None or message.state is state][-limit:]
    rows = [
        (
            f"{message.created_at:%m-%d\u00a0%H:%M}",
            message.target,
            _first_words(message),
            "; ".join(part for part in (str(message.state), *_remarks(message)) if part),
        )
        for message in shown
    ]
    columns = ("UTC", "target", "message", "what became of it")
    _show([_as_data(message) for message in shown], columns, rows, as_json, "There is no such message.")
    if not as_json and messages:
        counts = Counter(message.state for message in messages)
        typer.echo(f"In all: {', '.join(f'{counts[name]} {name}' for name in NotificationState if counts[name])}.")


@app.command()
def retry(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Let all that could not be delivered wait again: the sensor `notifications` then sends it."""
    with opened_installation(home) as installation:
        count = installation.book.retry_undeliverable()
    if as_json:
        typer.echo(json.dumps({"waiting_again": count}))
    elif count:
        waits = "1 message waits" if count == 1 else f"{count} messages wait"
        typer.echo(f"{waits} again: the sensor notifications sends what it can.")
    else:
        typer.echo("There is nothing that could not be delivered.")


def _settings_and_fleet(home: Path | None) -> tuple[Settings, FleetConfig]:
    """Routes are written and tried before there is an installation, so that a ledger is not asked for."""
    try:
        settings = read_settings(dict(os.environ) | ({"PERF_PIPELINE_HOME": str(home)} if home else {}))
        return settings, load_fleet(settings.fleet_path)
    except (FleetError, SettingsError) as error:
        refuse(str(error))


def _show(
    data: list[dict[str, Any]],
    columns: Sequence[str],
    rows: Sequence[tuple[str, ...]],
    as_json: bool,
    nothing: str = "",
) -> None:
    if as_json:
        typer.echo(json.dumps(data, ensure_ascii=False, default=str))
    elif not rows:
        typer.echo(nothing)
    else:
        table = Table()
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            # As Text, so that nothing in a message is taken for rich's own markup.
            table.add_row(*(Text(cell) for cell in row))
        Console(highlight=False).print(table)


def _first_words(message: Notification) -> str:
    content = message.message
    said = content.headline or plain_text(content).partition("\n")[0]
    return one_line(f"{content.title}: {said}" if said else content.title)[:80]


def _remarks(message: Notification) -> tuple[str, ...]:
    if message.state is NotificationState.SENT and message.sent_at:
        return (f"at {message.sent_at:%Y-%m-%d %H:%M} to {message.channel}",)
    due = f"tried again at {message.not_before:%H:%M:%S}" if message.not_before else ""
    attempts = f"after {message.attempts} attempts" if message.attempts > 1 else ""
    return attempts, due, one_line(message.note or "")


def _as_data(message: Notification) -> dict[str, Any]:
    data = {name: value for name, value in asdict(message).items() if name not in ("message", "picture")}
    return data | {"title": message.message.title, "text": plain_text(message.message)}
