"""`perf-pipeline approvals`, `approve`, `decline`: what people are asked, and their answers, on the command line."""

from __future__ import annotations

import getpass
import json
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from perf_pipeline.notifications.safe_text import one_line
from perf_pipeline.notifications.team_clock import moment
from perf_pipeline.opened_installation import HomeOption, JsonOption, OpenedInstallation, opened_installation, refuse
from perf_pipeline.optimization.approvals import dollars, fingerprint
from perf_pipeline.optimization_rows import approval_row
from perf_pipeline.records import Answer, RequestState

AsOption = Annotated[str | None, typer.Option("--as", help="Who you are. Default: your name on this machine.")]
RequestArgument = Annotated[str, typer.Argument(help="ID of the request: see 'perf-pipeline approvals'.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
FingerprintOption = Annotated[
    str | None, typer.Option("--fingerprint", help="Answer only if the request still has this fingerprint.")
]


def approvals(
    home: HomeOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that were answered or expired.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what waits for approval."""
    with opened_installation(home) as installation:
        rows = _approval_rows(installation, everything=everything)
        if as_json:
            typer.echo(json.dumps(rows, default=str))
            return
        console = Console(highlight=False)
        if not rows:
            console.print("Nothing waits for approval.")
            return
        table = Table(Column("request", no_wrap=True), "agent", "optimizer", "at most", "state", "answer by")
        for row in rows:
            due = datetime.fromisoformat(row["expires_at"]) if row["expires_at"] else None
            by = f" by {row['answered_by']}" if row["answered_by"] else ""
            until = moment(due, installation.fleet.timezone) if due else ""
            table.add_row(
                *(escape(one_line(row[name])) for name in ("id", "agent", "optimizer")),
                dollars(row["max_cost_usd"]),
                escape(one_line(row["approval_state"] + by)),
                until,
            )
        console.print(table)


def approve(
    request: RequestArgument,
    person: AsOption = None,
    yes: YesOption = False,
    shown: FingerprintOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve an optimization. You must be listed under approvals.approvers in fleet.yaml."""
    with opened_installation(home) as installation:
        _answer(installation, Answer.APPROVE, request, person or user_name(), shown, confirmed=yes, as_json=as_json)


def decline(
    request: RequestArgument,
    person: AsOption = None,
    yes: YesOption = False,
    shown: FingerprintOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decline an optimization. You must be listed under approvals.approvers in fleet.yaml."""
    with opened_installation(home) as installation:
        _answer(installation, Answer.DECLINE, request, person or user_name(), shown, confirmed=yes, as_json=as_json)


def user_name() -> str:
    """Who runs the command, as far as this machine knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        refuse("This machine does not know your name: give it with --as.")


def _answer(
    installation: OpenedInstallation,
    answer: Answer,
    request_id: str,
    person: str,
    shown: str | None,
    *,
    confirmed: bool,
    as_json: bool,
) -> None:
    from perf_pipeline.approvals import Attempt, take_answer

    _, request = installation.book.approval_and_request(request_id)
    now_asked = fingerprint(request) if request else ""
    if request:
        # Text from outside must not be able to draw another question on the terminal.
        what = f"{one_line(request.optimizer)} for {one_line(request.agent)}"
        typer.echo(f"{what}, at most {dollars(request.max_cost_usd)}", err=as_json)
        for reason in request.reasons:
            typer.echo(f"- {one_line(reason)}", err=as_json)
        typer.echo(f"fingerprint {now_asked}", err=as_json)
        if not confirmed and not typer.confirm(f"{answer.capitalize()} this as {person}?", err=as_json):
            refuse("Nothing was answered.")
    attempt = Attempt(
        id=f"command:{uuid.uuid4().hex}",
        request_id=request_id,
        answer=answer,
        fingerprint=now_asked if shown is None else shown,
        person=person,
        approver=installation.fleet.approvals.by_name(person),
        through="command line",
    )
    verdict = take_answer(installation.book, installation.fleet, attempt, datetime.now(UTC))
    if not verdict.accepted:
        refuse(one_line(verdict.reply))
    reply = one_line(verdict.reply)
    typer.echo(json.dumps({"reply": reply}) if as_json else reply)


def _approval_rows(installation: OpenedInstallation, *, everything: bool) -> list[dict[str, Any]]:
    """The requests that ask for approval, with how that stands; times in ISO 8601."""
    known = {approval.request_id: approval for approval in installation.book.approvals()}
    rows = []
    for request in installation.book.optimization_requests():
        approval = known.get(request.id)
        waits = request.state is RequestState.AWAITING_APPROVAL
        if not waits and not (everything and approval):
            continue
        rows.append(
            asdict(request)
            | {
                "window_start": request.window_start.isoformat(),
                "requested_at": request.requested_at.isoformat(),
            }
            | approval_row(request, approval)
        )
    return rows
