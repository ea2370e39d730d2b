"""How long a cycle takes: 7 agents, about 1,000 spans in the window, the embedded sources, one machine.

`definitions_load_s` is a fresh interpreter that loads the definitions, and `dagster_import_s` the part of it that
`import dagster` alone takes; `cycle_s` is the monitoring job of one window in this process, on a SQLite instance;
`functions_s` is what the same window's functions take without Dagster; `process_s` is the same run as the daemon
starts it, a process of its own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import ibis
import pandas as pd
from rich.console import Console
from rich.table import Table

from perf_pipeline.definitions import build_defs
from perf_pipeline.demo.script import DemoScript, simulate
from perf_pipeline.fleet import load_fleet
from perf_pipeline.installation import installed_resources
from perf_pipeline.instance import prepare_instance
from perf_pipeline.jobs import MONITORING, QUIET, range_tags
from perf_pipeline.monitoring.metrics import metrics_from_tasks
from perf_pipeline.monitoring.ownership import own_spans
from perf_pipeline.monitoring.tasks import tasks_from_spans
from perf_pipeline.monitoring.windows import windows_between
from perf_pipeline.settings import read_settings
from perf_pipeline.tables import AGENT_TASKS
from resources.span_file_exporter import SpanFileExporter
from resources.span_files import SpanFilesResource

REPEATS = 5


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder))
    table = Table(title="One cycle: 7 agents, one window of 30 minutes")
    table.add_column("Figure")
    table.add_column("Value", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:g}")
    Console().print(table)
    print(json.dumps(figures))


def measure(home: Path) -> dict[str, float]:
    settings = read_settings({"PERF_PIPELINE_HOME": str(home)})
    fleet = load_fleet(settings.fleet_path)
    script = DemoScript(now=datetime.now(UTC), windows=3, tasks_per_window=(18, 22))
    simulate(script, SpanFileExporter(settings.inbox / "spans"), settings.inbox, lambda _done, _total: None)
    windows = windows_between(script.start, script.end, fleet.window)
    window = windows[1]

    source = SpanFilesResource(folder=str(settings.inbox / "spans"), agent_attributes=list(fleet.agent_attributes))
    spans = pd.concat(source.read_spans(window.start, window.end))

    def functions_only() -> None:
        read = pd.concat(source.read_spans(window.start, window.end))
        tasks = tasks_from_spans(own_spans(ibis.memtable(read)), window.start, window.end)
        frame = AGENT_TASKS.conform(tasks.to_pandas())
        metrics_from_tasks(ibis.memtable(frame), fleet.window).to_pandas()

    environment = {**os.environ, "PERF_PIPELINE_HOME": str(home), "DAGSTER_HOME": str(prepare_instance(home))}
    job = build_defs(fleet, installed_resources(settings, fleet)).resolve_job_def(MONITORING)
    with dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]) as instance:

        def cycle() -> None:
            tags = range_tags(window.key, window.key)
            assert job.execute_in_process(instance=instance, tags=tags, run_config=QUIET).success

        cycle()
        cycle_s, functions_s = median_seconds(cycle), median_seconds(functions_only)

    def fresh(*arguments: str) -> Callable[[], None]:
        return lambda: _fresh_python(environment, *arguments)

    load = fresh("-c", "from perf_pipeline.definitions import defs; defs().get_repository_def()")
    tags = json.dumps(range_tags(window.key, window.key))
    process = fresh(
        "-m", "dagster", "job", "execute", "-m", "perf_pipeline.definitions", "-j", MONITORING, "--tags", tags
    )
    load_s = median_seconds(load, 3)
    return {
        "spans": len(spans),
        "definitions_load_s": load_s,
        "dagster_import_s": median_seconds(fresh("-c", "import dagster"), 3),
        "cycle_s": cycle_s,
        "functions_s": functions_s,
        "cycle_to_functions_ratio": round(cycle_s / functions_s, 2),
        "process_s": median_seconds(process, 3),
    }


def median_seconds(run: Callable[[], None], repeats: int = REPEATS) -> float:
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return round(statistics.median(seconds), 3)


def _fresh_python(environment: dict[str, str], *arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)


if __name__ == "__main__":
    main()
