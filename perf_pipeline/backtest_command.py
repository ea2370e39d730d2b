"""`perf-pipeline backtest`: the detectors over a file, a series, or the installation's own history."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.status import Status
from rich.table import Table

from perf_pipeline.fleet import FleetConfig, FleetError, load_fleet
from perf_pipeline.settings import Settings, SettingsError, read_settings

SHIPPED_FLEET = Path(__file__).parents[1] / "fleet.yaml"


class BacktestError(ValueError):
    """What keeps a backtest from running, as a sentence for the person who started it."""


@dataclass(frozen=True)
class Places:
    """Files to read and to write; None for what was not named."""

    metrics: Path | None
    findings: Path | None
    series: Path | None
    scores: Path | None


def backtest(
    metrics: Annotated[
        Path | None, typer.Option(help="Table of metrics to replay: CSV or Parquet, one row an agent and window.")
    ] = None,
    findings: Annotated[Path | None, typer.Option(help="CSV to write the findings to.")] = None,
    series: Annotated[Path | None, typer.Option(help="CSV with timestamp,value, scored by the generic gauge.")] = None,
    scores: Annotated[Path | None, typer.Option(help="CSV to write timestamp,value,anomaly_score to.")] = None,
    every_change: Annotated[
        bool, typer.Option("--every-change", help="A row whenever a finding's state or severity changes.")
    ] = False,
    fleet: Annotated[
        Path | None, typer.Option(help="Policy to try: a fleet.yaml. Default: PERF_PIPELINE_FLEET, then ./fleet.yaml.")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="Folder of the installation whose history is replayed.")] = None,
    since: Annotated[datetime | None, typer.Option(help="First window of that history (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="End of that history (UTC).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON.")] = False,
) -> None:
    """Replay history through the detectors, with the code that runs in production.

    --metrics FILE --findings OUT replays a table; --series FILE --scores OUT scores one series; with neither, the
    installation's own lake is replayed: how often any policy would have alarmed, and what it would have sent.

    A finding's row stands at the window at whose close it opened; its severity is the worst that it reached.
    """
    from perf_pipeline.monitoring.backtest import MetricsError
    from perf_pipeline.monitoring.series import SeriesError

    places = Places(metrics, findings, series, scores)
    try:
        if series or scores:
            _score_series(places, as_json=as_json)
        elif metrics:
            _replay_table(places, _policy(fleet), every_change=every_change, as_json=as_json)
        else:
            environment = dict(os.environ) | ({"PERF_PIPELINE_HOME": str(home)} if home else {})
            settings = read_settings(environment)
            _replay_history(settings, _policy(fleet), places, (since, until), as_json=as_json)
    except (BacktestError, MetricsError, SeriesError, FleetError, SettingsError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _policy(path: Path | None) -> FleetConfig:
    """The fleet file that was named, or that of the environment or the folder, or the one that ships."""
    if path is not None:
        return load_fleet(path)
    found = read_settings({"PERF_PIPELINE_FLEET": os.environ.get("PERF_PIPELINE_FLEET", "fleet.yaml")}).fleet_path
    named = bool(os.environ.get("PERF_PIPELINE_FLEET", "").strip())
    return load_fleet(found if named or found.exists() else SHIPPED_FLEET)


def _score_series(places: Places, *, as_json: bool) -> None:
    from perf_pipeline.monitoring.series import score_series

    if places.series is None or places.scores is None:
        raise BacktestError("A series needs both --series FILE and --scores OUT.")
    with _progress("Scoring the series"):
        scored = score_series(_read(places.series))
    _write(places.scores, scored)
    summary = {"readings": len(scored), "scores": str(places.scores)}
    typer.echo(json.dumps(summary) if as_json else f"{len(scored)} readings scored: {places.scores}")


def _replay_table(places: Places, fleet: FleetConfig, *, every_change: bool, as_json: bool) -> None:
    from perf_pipeline.monitoring.backtest import changes_of_state, findings_in, metrics_table, window_of

    if places.metrics is None or places.findings is None:
        raise BacktestError("A table of metrics needs both --metrics FILE and --findings OUT.")
    given = _read(places.metrics)
    table = metrics_table(given)
    fleet = fleet.model_copy(update={"window_minutes": window_of(table, fleet.window_minutes)})
    with _progress("Replaying the table"):
        found = changes_of_state(table, fleet) if every_change else findings_in(table, fleet)
    texts = dict(zip(table["window_start"], given["window_start"].astype(str), strict=True))
    for column in ("window_start", "onset"):
        found[column] = [texts.get(time, "" if pd.isna(time) else time.isoformat()) for time in found[column]]
    _write(places.findings, found)
    windows, agents = table["window_start"].nunique(), table["agent"].nunique()
    if as_json:
        summary = {"findings": len(found), "windows": windows, "agents": agents, "file": str(places.findings)}
        typer.echo(json.dumps(summary))
        return
    typer.echo(f"{_findings(len(found))} in {windows} windows of {agents} agents: {places.findings}")


def _replay_history(
    settings: Settings,
    fleet: FleetConfig,
    places: Places,
    period: tuple[datetime | None, datetime | None],
    *,
    as_json: bool,
) -> None:
    from perf_pipeline.metric_history import read_metrics
    from perf_pipeline.monitoring.backtest import history_report
    from resources.lake import Lake
    from resources.ledger import Ledger

    since, until = (None if time is None else time.replace(tzinfo=UTC) for time in period)
    since, until = since or fleet.history_start_utc, until or datetime.now(UTC)
    metrics = read_metrics(Lake(settings.lake_url), fleet, since, until)
    if metrics.empty:
        raise BacktestError(
            f"There are no agent_metrics in {settings.home} between {since:%Y-%m-%d} and {until:%Y-%m-%d}: name the "
            "installation with --home, or a table with --metrics."
        )
    ledger = Ledger(settings.ledger_url)
    try:
        recorded = ledger.incidents(since)
    finally:
        ledger.close()
    with _progress("Replaying history"):
        summary, found = history_report(metrics, fleet, recorded)
    if places.findings is not None:
        _write(places.findings, found)
    if as_json:
        typer.echo(json.dumps(summary, default=str))
        return
    _show(Console(highlight=False), summary, found)


def _progress(what: str) -> Status:
    """That it goes on, where somebody watches: standard output is for the answer."""
    return Console(stderr=True, highlight=False).status(what)


def _show(console: Console, summary: dict[str, Any], found: pd.DataFrame) -> None:
    console.print(
        f"{summary['windows']} windows of {summary['agents']} agents, {summary['agent_weeks']:.1f} agent-weeks: "
        f"{_findings(summary['findings'])} ({summary['findings_per_agent_week']:.2f} an agent and week), "
        f"{summary['sent']} of them sent, {summary['confirmed']} confirmed by the windows after they opened, "
        f"{summary['recorded']} on record as incidents."
    )
    if found.empty:
        return
    table = Table(title="What would have been found", title_justify="left")
    columns: dict[str, Callable[[Any], str]] = {
        "window_start": lambda time: f"{time:%Y-%m-%d %H:%M}",
        "agent": str,
        "type": str,
        "severity": str,
        "sent": lambda value: "sent" if value else "",
        "confirmed": lambda value: "confirmed" if value else "",
        "recorded": lambda value: "on record" if value else "",
    }
    for name in columns:
        table.add_column(name.replace("window_start", "opened (UTC)"), no_wrap=True)
    for row in found.to_dict("records"):
        table.add_row(*(show(row[name]) for name, show in columns.items()))
    console.print(table)


def _findings(count: int) -> str:
    return "1 finding" if count == 1 else f"{count} findings"


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except OSError as error:
        raise BacktestError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (UnicodeDecodeError, ValueError) as error:
        raise BacktestError(f"{path} is not a table: {error}".rstrip(".") + ".") from error


def _write(path: Path, frame: pd.DataFrame) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(path, index=False)
    except OSError as error:
        raise BacktestError(f"{path} cannot be written: {error.strerror or error}.") from error
