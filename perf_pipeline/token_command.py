"""`perf-pipeline token`: who may use the HTTP service beyond this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from perf_pipeline.notifications.safe_text import one_line
from perf_pipeline.notifications.team_clock import moment
from perf_pipeline.opened_installation import HomeOption, JsonOption, opened_installation, refuse
from perf_pipeline.people_commands import AsOption, user_name
from perf_pipeline.records import ApiToken, Scope
from perf_pipeline.tokens import new_token

app = typer.Typer(no_args_is_help=True, help="Who may use the HTTP service beyond this machine.")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the token is for, such as 'grafana'.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; may be repeated.")] = [Scope.READ],  # noqa: B006
    person: Annotated[str | None, typer.Option(help="For whom it acts. Default: who creates it.")] = None,
    days: Annotated[float | None, typer.Option(min=0.01, max=3660, help="After how many days it expires.")] = None,
    creator: AsOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token. Its secret is shown now and never again: only its digest is kept."""
    with opened_installation(home) as installation:
        who, now = creator or user_name(), datetime.now(UTC)
        expires = now + timedelta(days=days) if days else None
        secret, token = new_token(name, person or who, scope, who, now, expires)
        installation.book.add_token(token)
        answers = token.may(Scope.APPROVE)
        if answers and installation.fleet.approvals.by_name(token.person) is None:
            typer.echo(
                f"{one_line(token.person)} is not listed under approvals.approvers in fleet.yaml: the token cannot "
                "answer approvals.",
                err=True,
            )
        if as_json:
            typer.echo(json.dumps({**_as_data(token, now), "secret": secret}))
            return
        typer.echo(f"Token {token.id} for {one_line(token.person)}: {', '.join(token.scopes)}.", err=True)
        typer.echo("Keep the secret now, it is not shown again:", err=True)
        typer.echo(secret)


@app.command("list")
def list_tokens(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the tokens, without their secrets."""
    with opened_installation(home) as installation:
        now, zone = datetime.now(UTC), installation.fleet.timezone
        found = installation.book.tokens()
        if as_json:
            typer.echo(json.dumps([_as_data(token, now) for token in found]))
            return
        console = Console(highlight=False)
        if not found:
            console.print("There is no token: the service listens on loopback only, and is open to this machine.")
            return
        table = Table(Column("id", no_wrap=True), "for", "acts for", "scopes", "created", "last used, about", "state")
        for token in found:
            table.add_row(
                token.id,
                *(escape(one_line(text)) for text in (token.name, token.person, ", ".join(token.scopes))),
                moment(token.created_at, zone),
                moment(token.last_used_at, zone) if token.last_used_at else "never",
                _state(token, now),
            )
        console.print(table)


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token: see 'perf-pipeline token list'.")],
    person: AsOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a token now, with the sessions of browsers that logged in with it."""
    with opened_installation(home) as installation:
        if not installation.book.revoke_token(token_id, person or user_name(), datetime.now(UTC)):
            refuse(f"There is no token {one_line(token_id)} that could be revoked: see 'perf-pipeline token list'.")
        typer.echo(json.dumps({"revoked": token_id}) if as_json else "It is revoked.")


def _as_data(token: ApiToken, now: datetime) -> dict[str, Any]:
    """Without the digest; times in ISO 8601."""
    data = {name: value for name, value in asdict(token).items() if name != "digest"}
    times = {name: value.isoformat() for name, value in data.items() if isinstance(value, datetime)}
    return {**data, **times, "usable": token.is_usable(now)}


def _state(token: ApiToken, now: datetime) -> str:
    if token.revoked_at is not None:
        return f"revoked by {escape(one_line(token.revoked_by or ''))}"
    if not token.is_usable(now):
        return "expired"
    return f"until {token.expires_at:%Y-%m-%d}" if token.expires_at else "valid"
