"""`perf-pipeline status`, `trigger`, `agents`: the pipeline on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from perf_pipeline.notifications.safe_text import one_line
from perf_pipeline.notifications.team_clock import moment
from perf_pipeline.opened_installation import HomeOption, JsonOption, OpenedInstallation, opened_installation, refuse
from perf_pipeline.people_commands import AsOption, user_name

if TYPE_CHECKING:
    from resources.dagster_webserver import DagsterWebserver


def status(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show how the pipeline and its agents stand."""
    from perf_pipeline.standing_now import pipeline_rows

    with opened_installation(home) as installation, _dagster(installation) as dagster:
        now, lake, rows = _history(installation)
        found = pipeline_rows(installation.book, lake, rows, installation.fleet, dagster, now)
        if as_json:
            typer.echo(json.dumps(found))
            return
        console = Console(highlight=False)
        for line in _lines(found, installation.fleet.timezone):
            console.print(escape(one_line(line)))
        console.print(_agents_table(found["agents"]))


def agents(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the agents, each with its newest figures."""
    from perf_pipeline.records import IncidentState
    from perf_pipeline.standing_now import agent_rows

    with opened_installation(home) as installation:
        now, _, rows = _history(installation)
        ongoing = [one for one in installation.book.incidents(now) if one.state is not IncidentState.RESOLVED]
        found = agent_rows(rows, installation.fleet, ongoing, now)
        if as_json:
            typer.echo(json.dumps(found))
        else:
            Console(highlight=False).print(_agents_table(found))


def trigger(
    wait: Annotated[bool, typer.Option(help="Wait until the run is over.")] = True,
    person: AsOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the cycle on the open window now, through Dagster's run queue; a run that goes on is joined."""
    from perf_pipeline.trigger import Trigger
    from resources.lake import Lake
    from resources.reading import DagsterError

    with opened_installation(home) as installation, _dagster(installation) as dagster:
        lake = Lake(installation.settings.lake_url)
        asked = Trigger(installation.book, lake, installation.fleet, dagster, partial(datetime.now, UTC))
        progress = Console(stderr=True, highlight=False)
        try:
            run_id = asked.begin(person or user_name())
            if not wait:
                found = {"run_id": run_id, "url": dagster.run_url(run_id)}
                typer.echo(json.dumps(found) if as_json else f"Run {run_id}: {found['url']}")
                return
            with progress.status(f"Run {run_id}") as shown:
                outcome = asked.wait(run_id, lambda state: shown.update(f"Run {run_id}: {state.lower()}"))
        except DagsterError as error:
            refuse(str(error))
        answer = outcome.answer()
        if as_json:
            typer.echo(json.dumps(answer))
        else:
            for line in _outcome_lines(answer):
                typer.echo(one_line(line))
        if not outcome.success:
            raise typer.Exit(1)


@contextmanager
def _dagster(installation: OpenedInstallation) -> Iterator[DagsterWebserver]:
    from resources.dagster_webserver import DagsterWebserver

    dagster = DagsterWebserver(installation.settings.dagster_webserver_url)
    try:
        yield dagster
    finally:
        dagster.close()


def _history(installation: OpenedInstallation) -> tuple[datetime, Any, Any]:
    from perf_pipeline.standing_now import SHOWN_METRICS, SHOWN_REACH
    from resources.lake import Lake
    from resources.table_history import TableHistory

    now, lake = datetime.now(UTC), Lake(installation.settings.lake_url)
    return now, lake, TableHistory(lake, SHOWN_METRICS, SHOWN_REACH).rows(now)


def _lines(found: dict[str, Any], timezone: str) -> Iterator[str]:
    last, dagster, missing, spend = (found[name] for name in ("last_window", "dagster", "missing_windows", "spend"))

    def when(text: str) -> str:
        return moment(datetime.fromisoformat(text), timezone)

    yield (
        f"Last window: {when(last['start'])}, done at {when(last['finished_at'])}" if last else "No window is done yet."
    )
    yield f"The next closes at {when(found['next_window_closes_at'])}"
    if missing["count"]:
        oldest = when(missing["oldest"])
        yield f"Missing: {missing['count']} windows of {missing['looked_at_hours']:g} h, since {oldest}"
    if not dagster["reachable"]:
        yield dagster["said"]
    elif not dagster["daemon_runs"]:
        yield "The Dagster daemon does not run: nothing is run on its own."
    elif dagster["switched_off"]:
        yield f"Switched off in Dagster: {', '.join(dagster['switched_off'])}"
    for source in found["sources"]:
        if source["status"] != "complete":
            yield f"{source['source']}: {source['status']}, {source['reason']}"
    running = ", ".join(one["agent"] for one in found["running_optimizations"]) or "none"
    yield (
        f"Open incidents: {found['open_incidents']}; optimizations running: {running}; waiting for approval: "
        f"{found['waiting_approvals']}"
    )
    yield f"Optimizers in {spend['month']}: ${spend['committed_usd']:.2f} of ${spend['budget_usd']:g}"


def _agents_table(rows: list[dict[str, Any]]) -> Table:
    wide = [Column(name, justify="right") for name in ("score", "success", "p95", "tasks a day", "cost a day")]
    table = Table(Column("agent", no_wrap=True), *wide[:1], "trend", *wide[1:], "incidents", box=None)
    for row in rows:
        table.add_row(
            escape(one_line(row["agent"])),
            "" if row["score"] is None else f"{row['score']:.0f}",
            row["trend"],
            "" if row["success_rate"] is None else f"{row['success_rate']:.0f} %",
            "" if row["latency_p95_ms"] is None else f"{row['latency_p95_ms'] / 1000:.1f} s",
            str(row["tasks_of_a_day"]),
            "" if row["cost_usd_of_a_day"] is None else f"${row['cost_usd_of_a_day']:.2f}",
            str(row["open_incidents"] or ""),
        )
    return table


def _outcome_lines(answer: dict[str, Any]) -> Iterator[str]:
    yield f"The run {'succeeded' if answer['success'] else 'failed'}: {answer['run_id']}"
    yield f"Agents analyzed: {answer['agents_analyzed']}"
    yield f"Anomalies that are open: {answer['anomalies_detected']}"
    yield f"Optimizations triggered: {answer['optimizations_triggered']}"
    yield f"Slack messages sent: {answer['slack_messages_sent']}"
    yield from (f"- {error}" for error in answer["errors"])
