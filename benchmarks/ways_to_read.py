"""One way of reading a window of spans, measured in a process of its own: `python -m benchmarks.ways_to_read <JSON>`.

The product's roads read to the end and keep nothing; `into_the_lake` writes what it reads as the pipeline does. The
others are what these are compared with: single requests without any of our code, Phoenix's own client as its
documentation shows it, and a bare scan of the lake's Parquet.
"""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

NINE_FIELDS = (
    "name",
    "span_kind",
    "status_code",
    "start_time",
    "end_time",
    "trace_id",
    "parent_id",
    "agent.name",
    "llm.token_count.prompt",
)


@dataclass(frozen=True)
class Reading:
    """What is read, and how. Times are ISO 8601; `place` is a folder or file for the ways that read files."""

    way: str
    start: str
    end: str
    endpoint: str = ""
    project: str = ""
    database_url: str = ""
    place: str = ""
    limit: int = 200_000
    lake: str = ""


@dataclass(frozen=True)
class Measured:
    spans: int
    seconds: float
    peak_mb: float

    @property
    def spans_per_s(self) -> float:
        return round(self.spans / self.seconds, 1)


def measure(reading: Reading) -> Measured:
    """Read in a new process. Raises CalledProcessError where that fails."""
    command = [sys.executable, "-m", "benchmarks.ways_to_read", json.dumps(asdict(reading))]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Measured(**json.loads(answer.splitlines()[-1]))


def main() -> None:
    reading = Reading(**json.loads(sys.argv[1]))
    read = WAYS[reading.way]
    began = time.perf_counter()
    spans = read(reading)
    seconds = time.perf_counter() - began
    # Linux gives the peak in KiB.
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(asdict(Measured(spans, round(seconds, 3), round(peak_mb)))))


def _road(reading: Reading) -> int:
    return sum(len(part) for part in _parts(reading))


def _into_the_lake(reading: Reading) -> int:
    from perf_pipeline.tables import RAW_SPANS
    from resources.lake import Lake

    with Lake(reading.lake).replacing(RAW_SPANS, datetime.fromisoformat(reading.start)) as partition:
        for part in _parts(reading):
            partition.add(part)
        partition.commit()
    return partition.rows


def _parts(reading: Reading) -> Iterator[pd.DataFrame]:
    from perf_pipeline.fleet import load_fleet
    from resources.phoenix import PhoenixResource
    from resources.span_files import SpanFilesResource

    attributes = list(load_fleet(Path("fleet.yaml")).agent_attributes)
    start, end = datetime.fromisoformat(reading.start), datetime.fromisoformat(reading.end)
    if reading.place:
        return SpanFilesResource(folder=reading.place, agent_attributes=attributes).read_spans(start, end)
    phoenix = {
        "endpoint": reading.endpoint or "http://127.0.0.1:6006",
        "project": reading.project,
        "agent_attributes": attributes,
        "database_url": reading.database_url,
        "road": "postgres" if reading.database_url else reading.way,
    }
    return PhoenixResource(**phoenix).read_spans(start, end)


def _raw_query(reading: Reading, select: dict[str, str]) -> int:
    import httpx
    import pyarrow as pa

    query = {
        "select": {label: {"key": key} for label, key in select.items()},
        "index": {"key": "context.span_id"},
    }
    body = {"queries": [query], "start_time": reading.start, "end_time": reading.end, "limit": reading.limit}
    answer = httpx.post(
        f"{reading.endpoint}/v1/spans",
        params={"project_name": reading.project},
        json=body,
        headers={"accept": "application/x-pandas-arrow"},
        timeout=600,
    )
    answer.raise_for_status()
    return pa.ipc.open_stream(io.BytesIO(answer.content)).read_all().num_rows


def _raw_nine_fields(reading: Reading) -> int:
    return _raw_query(reading, {field: field for field in NINE_FIELDS})


def _raw_all_fields(reading: Reading) -> int:
    from perf_pipeline.fleet import load_fleet
    from resources.phoenix_query import whole_query
    from resources.span_attributes import wanted_attributes

    query = whole_query(wanted_attributes(load_fleet(Path("fleet.yaml")).agent_attributes))
    return _raw_query(reading, {label: asked["key"] for label, asked in query["select"].items()})


def _client_dataframe(reading: Reading) -> int:
    from phoenix.client import Client

    return len(Client(base_url=reading.endpoint).spans.get_spans_dataframe(**_asked_of_client(reading)))


def _client_paged(reading: Reading) -> int:
    from phoenix.client import Client

    return len(Client(base_url=reading.endpoint).spans.get_spans(**_asked_of_client(reading)))


def _asked_of_client(reading: Reading) -> dict[str, Any]:
    return {
        "project_identifier": reading.project,
        "start_time": datetime.fromisoformat(reading.start),
        "end_time": datetime.fromisoformat(reading.end),
        "limit": reading.limit,
        "timeout": 600,
    }


def _duckdb_scan(reading: Reading) -> int:
    import duckdb

    scan = duckdb.read_parquet(reading.place)
    return sum(batch.num_rows for batch in scan.to_arrow_reader(100_000))


WAYS: dict[str, Callable[[Reading], int]] = {
    "query": _road,
    "rest": _road,
    "mcp": _road,
    "postgres": _road,
    "files": _road,
    "into_the_lake": _into_the_lake,
    "raw_nine_fields": _raw_nine_fields,
    "raw_all_fields": _raw_all_fields,
    "client_dataframe": _client_dataframe,
    "client_paged": _client_paged,
    "duckdb_scan": _duckdb_scan,
}

if __name__ == "__main__":
    main()
