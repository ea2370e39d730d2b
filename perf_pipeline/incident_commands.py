"""`perf-pipeline incidents`, `ack`, `silence`, `silences`, `unsilence`: incidents on the command line."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from perf_pipeline.incident_rows import incident_rows
from perf_pipeline.notifications.safe_text import one_line
from perf_pipeline.notifications.team_clock import moment
from perf_pipeline.opened_installation import HomeOption, JsonOption, opened_installation, refuse
from perf_pipeline.people_commands import AsOption, user_name
from perf_pipeline.records import Silence


def incidents(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the incidents that are not over, the worst first."""
    with opened_installation(home) as installation:
        rows = incident_rows(installation.book, installation.fleet, datetime.now(UTC))
        if as_json:
            typer.echo(json.dumps(rows))
            return
        console = Console(highlight=False)
        if not rows:
            console.print("No incident is open.")
            return
        table = Table("severity", "agent", "type", "since", "looked after by", Column("thread", no_wrap=True))
        for row in rows:
            since = moment(datetime.fromisoformat(row["onset"]), installation.fleet.timezone)
            told = row["thread"] or "nobody was told"
            who = escape(one_line(row["acknowledged_by"] or ""))
            table.add_row(row["severity"], escape(one_line(row["agent"])), row["type"], since, who, told)
        console.print(table)


def ack(
    thread: Annotated[str, typer.Argument(help="The alert's thread: see 'perf-pipeline incidents'.")],
    person: AsOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that you look after the incidents of an alert. Its thread is told."""
    from perf_pipeline.incident_actions import acknowledge_thread

    with opened_installation(home) as installation:
        name = person or user_name()
        outcome = acknowledge_thread(installation.book, installation.fleet, thread, name, datetime.now(UTC))
        if not outcome.done:
            refuse(outcome.reply)
        typer.echo(json.dumps({"reply": outcome.reply}) if as_json else outcome.reply)


def silence(
    hours: Annotated[float, typer.Option(help="For how long.", min=0.01, max=366 * 24)],
    agent: Annotated[str, typer.Option(help="Agents, as a pattern such as Re*.")] = "*",
    kind: Annotated[str, typer.Option("--type", help="Types of findings, as a pattern such as latency_*.")] = "*",
    comment: Annotated[str, typer.Option(help="Why.")] = "",
    person: AsOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell nobody of incidents that match, for a while. All types of an incident must match."""
    if (agent, kind) == ("*", "*"):
        refuse("Name what to silence, with --agent or --type.")
    with opened_installation(home) as installation:
        now = datetime.now(UTC)
        made = Silence(
            id=uuid.uuid4().hex[:12],
            agent=agent,
            type=kind,
            starts_at=now,
            ends_at=now + timedelta(hours=hours),
            created_by=person or user_name(),
            comment=comment,
        )
        installation.book.add_silence(made)
        until = moment(made.ends_at, installation.fleet.timezone)
        typer.echo(json.dumps(_as_data(made)) if as_json else f"Silence {made.id} ends at {until}.")
        if not any(fnmatchcase(name, agent) for name in installation.fleet.agent_names):
            typer.echo(f"No agent of fleet.yaml matches {agent}: check its spelling.", err=True)


def silences(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the silences that have not ended."""
    with opened_installation(home) as installation:
        found = installation.book.silences(datetime.now(UTC))
        if as_json:
            typer.echo(json.dumps([_as_data(one) for one in found]))
            return
        console = Console(highlight=False)
        if not found:
            console.print("Nothing is silenced.")
            return
        table = Table(Column("silence", no_wrap=True), "agent", "type", "until", "by", "comment")
        for one in found:
            until = moment(one.ends_at, installation.fleet.timezone)
            shown = (one.id, one.agent, one.type, until, one.created_by, one.comment)
            table.add_row(*(escape(one_line(text)) for text in shown))
        console.print(table)


def unsilence(
    silence_id: Annotated[str, typer.Argument(metavar="ID", help="The silence: see 'perf-pipeline silences'.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a silence now."""
    with opened_installation(home) as installation:
        if not installation.book.end_silence(silence_id, datetime.now(UTC)):
            refuse(f"There is no silence {silence_id} that has not ended.")
        typer.echo(json.dumps({"ended": silence_id}) if as_json else "It has ended.")


def _as_data(silence: Silence) -> dict[str, str]:
    """Times in ISO 8601."""
    return asdict(silence) | {name: getattr(silence, name).isoformat() for name in ("starts_at", "ends_at")}
