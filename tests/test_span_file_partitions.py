"""However spans are spread over lines, files and layouts, each is read once, in the window of its start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest import mock

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

import resources.span_files
from perf_pipeline.tables import RAW_SPANS
from resources.span_files import SpanFilesResource
from tests.span_exports import LAYOUTS, attribute, otlp_export, otlp_span

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
WINDOW = timedelta(minutes=30)
WINDOWS = [START + number * WINDOW for number in range(3)]

numbers = st.integers(1, 12)
starts = st.lists(
    st.integers(-10, len(WINDOWS) * WINDOW // timedelta(microseconds=1) + 10)
    | st.sampled_from([number * WINDOW // timedelta(microseconds=1) for number in range(len(WINDOWS) + 1)]),
    min_size=12,
    max_size=12,
)


class WrittenFile(NamedTuple):
    layout: int
    exports: list[list[int]]


written_files = st.lists(
    st.builds(WrittenFile, st.integers(0, len(LAYOUTS) - 1), st.lists(st.lists(numbers, max_size=4), max_size=4)),
    max_size=4,
)


def read_once(folder: Path, start: datetime) -> pd.DataFrame:
    source = SpanFilesResource(folder=str(folder), agent_attributes=["agent.name"])
    parts = [RAW_SPANS.empty(), *source.read_spans(start, start + WINDOW)]
    return pd.concat(parts, ignore_index=True).drop_duplicates(["trace_id", "span_id"])


@settings(deadline=None, max_examples=60)
@given(starts, written_files, st.integers(1, 5))
def test_each_span_is_read_once_in_the_window_of_its_start(
    offsets: list[int], files: list[WrittenFile], spans_per_part: int
) -> None:
    begins = {number: START + timedelta(microseconds=offset) for number, offset in enumerate(offsets, start=1)}
    spans = {
        number: otlp_span(number, begin, attributes=[attribute("agent.name", f"Agent{number}")])
        for number, begin in begins.items()
    }
    with (
        TemporaryDirectory() as name,
        mock.patch.object(resources.span_files, "SPANS_PER_PART", spans_per_part),
    ):
        for place, file in enumerate(files):
            exports = [otlp_export(*(spans[number] for number in export)) for export in file.exports]
            (Path(name) / f"{place}.jsonl").write_bytes(LAYOUTS[file.layout](exports))
        written = {number for file in files for export in file.exports for number in export}
        for start in WINDOWS:
            frame = read_once(Path(name), start)
            expected = {number for number in written if start <= begins[number] < start + WINDOW}
            assert RAW_SPANS.problems(frame) == []
            assert sorted(int(span_id, 16) for span_id in frame["span_id"]) == sorted(expected)
            for row in frame.to_dict("records"):
                number = int(row["span_id"], 16)
                assert (row["start_time"], row["agent"]) == (begins[number], f"Agent{number}")
