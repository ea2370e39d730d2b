"""How fast spans are read, by every road, beside what they are compared with, on one machine in one run.

A real Phoenix over SQLite with 100,000 spans in one window: 5,000 are sent, and then multiplied within its database.
The slow ways (REST, MCP, Phoenix's own client) read the first part of that window. Then a window of 1,000,000 spans:
from Phoenix's PostgreSQL and from files, into the lake, beside a bare DuckDB scan of the Parquet that came of it.

Every figure is taken in a process of its own, and the fast ones are medians of several that take turns.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.seed_phoenix import multiply
from benchmarks.span_files import write_span_files
from benchmarks.ways_to_read import Measured, Reading, measure
from perf_pipeline.tables import RAW_SPANS
from resources.lake import Lake
from tests.real.services.free_port import free_port
from tests.real.services.otlp_sender import dspy_traces, send_spans, wait_until_queryable
from tests.real.services.phoenix_server import RunningPhoenix, start_phoenix
from tests.real.services.postgrest import postgres

PROJECT = "fleet"
AGENTS = ["StrategyAgent", "InboundAgent", "ResearchAgent", "AuditAgent"]
START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
END = START + timedelta(minutes=30)
SLOW_END = START + timedelta(minutes=3)
SENT = 5_000
MANY = 100_000
MILLION = 1_000_000
REPEATS = 3

FAST = ("raw_nine_fields", "query", "raw_all_fields")
SLOW = ("rest", "mcp", "client_paged", "client_dataframe")

console = Console(stderr=True)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-sources-") as folder:
        many = measure_a_hundred_thousand(Path(folder))
        million = measure_a_million(Path(folder))
    _print_table(f"A window of {MANY:,} spans, Phoenix over SQLite (slow ways: its first tenth)", many)
    _print_table(f"A window of {MILLION:,} spans", million)
    into_the_lake = million["postgres into the lake"]
    figures = {
        "default_spans_per_s": many["query"].spans_per_s,
        "client_paged_spans_per_s": many["client_paged"].spans_per_s,
        "client_dataframe_spans_per_s": many["client_dataframe"].spans_per_s,
        "raw_spans_per_s": many["raw_nine_fields"].spans_per_s,
        "raw_all_fields_spans_per_s": many["raw_all_fields"].spans_per_s,
        "rest_spans_per_s": many["rest"].spans_per_s,
        "mcp_spans_per_s": many["mcp"].spans_per_s,
        "default_to_client_paged": _ratio(many["query"], many["client_paged"]),
        "default_to_raw": _ratio(many["query"], many["raw_nine_fields"]),
        "default_to_raw_all_fields": _ratio(many["query"], many["raw_all_fields"]),
        "default_peak_mb": many["query"].peak_mb,
        "postgres_spans_per_s": million["postgres"].spans_per_s,
        "million_spans_per_s": into_the_lake.spans_per_s,
        "million_spans_peak_mb": max(into_the_lake.peak_mb, million["files into the lake"].peak_mb),
        "million_from_files_spans_per_s": million["files into the lake"].spans_per_s,
        "duckdb_scan_spans_per_s": million["duckdb scan"].spans_per_s,
    }
    print(json.dumps(figures))


def measure_a_hundred_thousand(folder: Path) -> dict[str, Measured]:
    """Every way but those of the database, on Phoenix over SQLite."""
    home = folder / "sqlite"
    with _phoenix(home) as server:
        _send(server)
    console.log(f"Multiplying to {MANY:,} spans in SQLite")
    multiply(str(home / "phoenix.db"), PROJECT, MANY)
    with _phoenix(home) as server:
        window = Reading("query", START.isoformat(), END.isoformat(), server.base_url, PROJECT)
        runs: dict[str, list[Measured]] = {way: [] for way in FAST}
        for _ in range(REPEATS):
            for way in FAST:
                runs[way].append(_measured(replace(window, way=way)))
        figures = {way: _median(found) for way, found in runs.items()}
        for way in SLOW:
            figures[way] = _measured(replace(window, way=way, end=SLOW_END.isoformat()))
    return figures


def measure_a_million(folder: Path) -> dict[str, Measured]:
    """PostgreSQL and files, read alone and into the lake, and the scan of what the lake holds then."""
    window = Reading("", START.isoformat(), END.isoformat(), project=PROJECT)
    lake = str(folder / "lake")
    with postgres() as database:
        with _phoenix(folder / "postgres", database) as server:
            _send(server)
        console.log(f"Multiplying to {MILLION:,} spans in PostgreSQL")
        multiply(database, PROJECT, MILLION)
        from_postgres = replace(window, database_url=database, lake=lake)
        figures = {
            "postgres": _measured(replace(from_postgres, way="postgres")),
            "postgres into the lake": _measured(replace(from_postgres, way="into_the_lake")),
        }
    stored = Lake(lake).path(RAW_SPANS, START)
    figures["duckdb scan"] = _measured(replace(window, way="duckdb_scan", place=str(stored)))
    console.log(f"Writing {MILLION:,} spans into files")
    write_span_files(folder / "files", AGENTS, START, END, MILLION)
    from_files = replace(window, place=str(folder / "files"), lake=str(folder / "lake of files"))
    figures["files"] = _measured(replace(from_files, way="files"))
    figures["files into the lake"] = _measured(replace(from_files, way="into_the_lake"))
    return figures


@contextmanager
def _phoenix(home: Path, database_url: str = "") -> Iterator[RunningPhoenix]:
    server = start_phoenix(home, free_port(), free_port(), database_url=database_url)
    try:
        yield server
    finally:
        server.stop()


def _send(server: RunningPhoenix) -> None:
    console.log(f"Sending {SENT:,} spans: Phoenix takes in 40 to 80 a second")
    send_spans(server.base_url, PROJECT, dspy_traces(AGENTS, START, END, SENT, seed=7))
    wait_until_queryable(server.base_url, PROJECT, SENT, seconds=400)


def _measured(reading: Reading) -> Measured:
    found = measure(reading)
    source = reading.place or reading.database_url.rpartition("@")[2] or reading.endpoint
    console.log(f"{reading.way} of {source}: {found.spans:,} spans in {found.seconds} s, peak {found.peak_mb:g} MB")
    return found


def _median(runs: list[Measured]) -> Measured:
    seconds = statistics.median(run.seconds for run in runs)
    return Measured(runs[0].spans, seconds, max(run.peak_mb for run in runs))


def _ratio(measured: Measured, other: Measured) -> float:
    return round(measured.spans_per_s / other.spans_per_s, 2)


def _print_table(title: str, figures: dict[str, Measured]) -> None:
    table = Table("Way", title=title)
    for column in ("Spans", "Seconds", "Spans/s", "Peak MB"):
        table.add_column(column, justify="right")
    for way, found in figures.items():
        table.add_row(
            way, f"{found.spans:,}", f"{found.seconds:.1f}", f"{found.spans_per_s:,.0f}", f"{found.peak_mb:g}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
