"""`perf-pipeline doctor`: whether everything is set up, and what to mend."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.markup import escape

from perf_pipeline.doctor.finding import Concern, Finding, Level, is_well
from perf_pipeline.notifications.safe_text import one_line
from perf_pipeline.opened_installation import HomeOption, JsonOption

SIGNS = {Level.OK: "[green]✓[/]", Level.WARNING: "[yellow]![/]", Level.FAILED: "[red]✗[/]"}


def doctor(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Check every setting and connection, and say what to mend. Nothing is changed, and nothing is posted."""
    from perf_pipeline.doctor.examination import examination
    from resources.retries import say_nothing_of_retries

    say_nothing_of_retries()
    environment = dict(os.environ) | ({"PERF_PIPELINE_HOME": str(home)} if home else {})
    findings = examination(environment, datetime.now(UTC))
    shown = list(findings) if as_json else list(_showing(findings))
    if as_json:
        typer.echo(json.dumps({"ok": is_well(shown), "findings": [asdict(one) for one in shown]}, ensure_ascii=False))
    if not is_well(shown):
        raise typer.Exit(1)


def _showing(findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings, each shown as it is made."""
    console = Console(highlight=False)
    under: Concern | None = None
    count = dict.fromkeys(Level, 0)
    with console.status("looking…"):
        for finding in findings:
            if finding.concern is not under:
                under = finding.concern
                console.print(f"\n[bold]{under.capitalize()}[/]")
            console.print(
                f"  {SIGNS[finding.level]} {escape(one_line(finding.check))}: {escape(one_line(finding.said))}"
            )
            if finding.mend:
                console.print(f"      → {escape(one_line(finding.mend))}")
            count[finding.level] += 1
            yield finding
    console.print(f"\n{count[Level.OK]} fine, {count[Level.WARNING]} to look at, {count[Level.FAILED]} to mend.")
