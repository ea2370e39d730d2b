"""`perf-pipeline optimizations`, `cancel`, `programs`, `rollback`: what optimizers do, and taking it back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from perf_pipeline.notifications.safe_text import one_line
from perf_pipeline.notifications.team_clock import moment
from perf_pipeline.opened_installation import HomeOption, JsonOption, opened_installation, refuse
from perf_pipeline.optimization.promotion import RollbackRefusedError, rolled_back
from perf_pipeline.optimization_rows import program_rows, request_rows
from perf_pipeline.people_commands import AsOption, YesOption, user_name
from perf_pipeline.records import RequestState
from perf_pipeline.runs.tools import PRODUCTION

REQUEST_HELP = "ID of the request: see 'perf-pipeline optimizations'."


def optimizations(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the requests to optimize agents: their state, scores on held-out tasks, and spend against the cap."""
    with opened_installation(home) as installation:
        rows = request_rows(installation.book)
        if as_json:
            typer.echo(json.dumps(rows, default=str))
            return
        console = Console(highlight=False)
        if not rows:
            console.print("No optimization was ever requested.")
            return
        wide = [Column(name, no_wrap=True) for name in ("request", "agent", "score", "spent")]
        table = Table(*wide[:2], "optimizer", "state", *wide[2:], box=None)
        for row in rows:
            before, after = row["baseline_score"], row["candidate_score"]
            score = "" if before is None or after is None else f"{before:.0f} → {after:.0f}"
            said = row["state"] if row["is_open"] else row["outcome"] or row["state"]
            table.add_row(
                escape(row["request_id"]),
                *(escape(one_line(row[name])) for name in ("agent", "optimizer")),
                str(said).replace("_", " "),
                score,
                f"${row['spent_usd']:.2f} of ${row['cap_usd']:g}",
            )
        console.print(table)
        for row in rows:
            if row["trouble"] and row["is_open"]:
                console.print(escape(f"{row['request_id']}: {one_line(row['trouble'])}"))


def cancel(
    request: Annotated[str, typer.Argument(help=REQUEST_HELP)],
    person: AsOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel an optimization. One that runs ends at its next call of a model; nothing is promoted."""
    with opened_installation(home) as installation:
        state = installation.book.ask_to_cancel(request, person or user_name(), datetime.now(UTC))
        if state is None:
            refuse(
                f"There is no request {one_line(request)} that could be cancelled: see 'perf-pipeline optimizations'."
            )
        ends = "It ends at its next call of a model." if state is RequestState.RUNNING else "It is cancelled."
        typer.echo(json.dumps({"reply": ends}) if as_json else ends)


def programs(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the versions of agents' programs, and which of them run."""
    with opened_installation(home) as installation:
        rows, fleet = program_rows(installation.book), installation.fleet
        if as_json:
            typer.echo(json.dumps(rows, default=str))
            return
        console = Console(highlight=False)
        if not rows:
            console.print("No version was ever made: all agents run their programs as they stand in the code.")
            return
        table = Table("agent", Column("version", no_wrap=True), "made from", "made at", "")
        for row in rows:
            note = f"taken back: {row['quarantined_because']}" if row["quarantined_because"] else ""
            table.add_row(
                escape(one_line(row["agent"])),
                row["version"],
                row["parent"] or "the code",
                moment(datetime.fromisoformat(row["registered_at"]), fleet.timezone),
                "in production" if row["in_production"] else escape(one_line(note)),
            )
        console.print(table)


def rollback(
    agent: Annotated[str, typer.Argument(help="Name of the agent.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "asked for on the command line",
    person: AsOption = None,
    yes: YesOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back the version that an agent runs, for the one before it or the code. It is never promoted again."""
    from perf_pipeline.runs.ending import publish_aliases
    from resources.program_files import ProgramFiles

    with opened_installation(home) as installation:
        book, who = installation.book, person or user_name()
        if installation.fleet.agent(agent) is None and not book.program_versions(agent):
            refuse(f"There is no agent {one_line(agent)}: see 'perf-pipeline programs'.")
        current = book.program_alias(agent, PRODUCTION)
        try:
            moves, versions = book.alias_moves(agent, PRODUCTION), book.program_versions(agent)
            target = rolled_back(current, moves, versions, who, reason, datetime.now(UTC))
        except RollbackRefusedError as error:
            refuse(str(error))
        left = current.version if current else None
        typer.echo(
            f"{one_line(agent)}: {left} → {target.version or 'the program as it stands in the code'}", err=as_json
        )
        if not yes and not typer.confirm(f"Roll back as {who}?", err=as_json):
            refuse("Nothing was changed.")
        if not book.move_alias(target, quarantine=left):
            refuse("Somebody else moved it meanwhile: look again with 'perf-pipeline programs'.")
        publish_aliases(book, ProgramFiles(installation.settings.lake_url))
        if as_json:
            typer.echo(json.dumps({"agent": agent, "taken_back": left, "version": target.version}))
            return
        typer.echo("Rolled back. Agents follow within their polling interval, half a minute unless they say otherwise.")
