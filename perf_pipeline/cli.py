"""`perf-pipeline`: the product on the command line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from perf_pipeline.analyst_commands import analyst_examples
from perf_pipeline.backtest_command import backtest
from perf_pipeline.demo_environment import DEMO_HOME, NO_DEMO, demo_environment
from perf_pipeline.doctor_command import doctor
from perf_pipeline.incident_commands import ack, incidents, silence, silences, unsilence
from perf_pipeline.notify_command import app as notify
from perf_pipeline.optimization_commands import cancel, optimizations, programs, rollback
from perf_pipeline.people_commands import approvals, approve, decline
from perf_pipeline.pipeline_commands import agents, status, trigger
from perf_pipeline.serve_command import serve
from perf_pipeline.token_command import app as token

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

HomeOption = Annotated[Path, typer.Option(help="Folder of the installation: lake, ledger, inbox, Dagster instance.")]

COMMANDS = (
    *(status, trigger, agents, doctor),
    *(backtest, incidents, ack, silence, silences, unsilence),
    *(approvals, approve, decline, optimizations, cancel, programs, rollback),
    serve,
    analyst_examples,
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(notify, name="notify")
app.add_typer(token, name="token")


@app.callback()
def perf_pipeline() -> None:
    """Watches a fleet of LLM agents and improves it."""


@app.command()
def demo(home: HomeOption = DEMO_HOME) -> None:
    """Run a simulated fleet through the whole pipeline: no keys, no network. An earlier demo is replaced."""
    began = time.monotonic()
    console = Console(highlight=False)
    console.print("[bold]perf-pipeline demo[/]: a simulated fleet, watched by the real pipeline\n")
    from perf_pipeline.demo.report import show_report
    from perf_pipeline.demo.run import Demo, DemoError, utc_now
    from perf_pipeline.fleet import FleetError

    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        the_demo = Demo(home.absolute(), Path("fleet.yaml").absolute(), utc_now())
        the_demo.clear()
        with Progress(*columns, console=console, transient=True) as progress:
            bar = progress.add_task("tasks", total=None)
            steps = the_demo.steps(lambda done, total: progress.update(bar, completed=done, total=total))
            for step in steps:
                progress.update(bar, description=step.title)
                outcome = step.run()
                console.print(f"  [green]✓[/] {step.title}: {outcome}")
    except (DemoError, FleetError) as error:
        console.print(f"[red]{error}[/]")
        raise typer.Exit(1) from error
    console.print()
    show_report(console, the_demo)
    console.print(f"\nDone in {time.monotonic() - began:.0f} s.")


@app.command()
def dev(
    home: HomeOption = Path(".perf-pipeline"),
    demo: Annotated[bool, typer.Option("--demo", help="Serve the demo's data, without external systems.")] = False,
    port: Annotated[int, typer.Option(help="Port of Dagster's UI on this machine.")] = 3000,
) -> None:
    """Serve the Dagster UI with its daemon. It binds to loopback only: the UI has no login of its own."""
    from perf_pipeline.instance import prepare_instance

    environment = dict(os.environ)
    if demo:
        home, environment = DEMO_HOME, demo_environment(environment)
        if not home.exists():
            typer.echo(NO_DEMO, err=True)
            raise typer.Exit(1)
    environment["PERF_PIPELINE_HOME"] = str(home.absolute())
    environment["DAGSTER_HOME"] = str(prepare_instance(home.absolute()))
    command = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)
