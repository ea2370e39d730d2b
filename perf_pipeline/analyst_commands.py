"""`perf-pipeline analyst-examples`: what the analysts are optimized on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track


def analyst_examples(
    out: Annotated[Path, typer.Option(help="File of JSON lines to write; it must not be there yet.")],
    count: Annotated[int, typer.Option(min=1, max=100_000, help="How many incidents to simulate.")] = 300,
) -> None:
    """Write simulated incidents with known causes, for the target of PerformanceAgent: see docs/analysts.md."""
    from perf_pipeline.analysts.examples import example_lines

    try:
        with out.open("x", encoding="utf-8") as file:
            for line in track(example_lines(count), "Incidents", total=count, transient=True):
                file.write(line + "\n")
    except FileExistsError:
        typer.echo(f"{out} is there already: choose another name with --out.", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"{out} cannot be written ({error.strerror}): choose another place with --out.", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{count} simulated incidents are in {out}.")
