"""What a command works on: the settings, the fleet and the open ledger of an installation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from perf_pipeline.demo_environment import DEMO_HOME, NO_DEMO, demo_environment
from perf_pipeline.fleet import FleetConfig, FleetError, load_fleet
from perf_pipeline.settings import Settings, SettingsError, read_settings

if TYPE_CHECKING:
    from resources.ledger import Ledger

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Folder of the installation. Default: PERF_PIPELINE_HOME, .perf-pipeline.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


@dataclass(frozen=True)
class OpenedInstallation:
    settings: Settings
    fleet: FleetConfig
    book: Ledger
    environment: Mapping[str, str] = field(repr=False)


@contextmanager
def opened_installation(home: Path | None, *, demo: bool = False) -> Iterator[OpenedInstallation]:
    """The installation that the environment names, the one in `home`, or the demo's. What is wrong with it ends the
    command."""
    environment = dict(os.environ) | ({"PERF_PIPELINE_HOME": str(home)} if home else {})
    if demo:
        environment = demo_environment(environment)
        if not DEMO_HOME.exists():
            refuse(NO_DEMO)
    try:
        settings = read_settings(environment)
        fleet = load_fleet(settings.fleet_path)
    except (SettingsError, FleetError) as error:
        refuse(str(error))
    if not settings.ledger_is_set and not settings.home.exists():
        refuse(f"There is no installation in {settings.home}: name its folder with --home.")
    from resources.ledger import Ledger

    book = Ledger(settings.ledger_url)
    try:
        yield OpenedInstallation(settings, fleet, book, environment)
    finally:
        book.close()


def refuse(reason: str) -> NoReturn:
    """End the command with exit code 1 and a sentence for the person who gave it."""
    typer.echo(reason, err=True)
    raise typer.Exit(1)
