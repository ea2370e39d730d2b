"""What files received since the last question is named: nothing is missed, and only a replaced file is named again."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import resources.span_files
from resources.reading import PhoenixError
from resources.span_files import SpanFilesResource
from tests.other_devices import each_file_on_its_own_device
from tests.span_exports import LAYOUTS, JsonObject, as_json, as_zstd_lines, frame, otlp_export, otlp_span

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
SINCE, BEFORE = START - timedelta(hours=1), START + timedelta(hours=1)

Layout = Callable[[Sequence[JsonObject]], bytes]


@dataclass
class Listener:
    """Asks for arrivals, each time after the position of the last answer, and keeps the numbers of the spans."""

    folder: Path
    position: str | None = None
    heard: list[int] = field(default_factory=list)

    def ask(self, since: datetime = SINCE, before: datetime = BEFORE) -> list[int]:
        source = SpanFilesResource(folder=str(self.folder), agent_attributes=["agent.name"])
        arrivals = source.arrivals(self.position, since, before)
        self.position = arrivals.position
        found = [int(span_id, 16) for span_id in arrivals.spans["span_id"]]
        self.heard += found
        return found


def append(file: Path, layout: Layout, *numbers: int) -> None:
    export = otlp_export(*(otlp_span(number, START) for number in numbers))
    with file.open("ab") as open_file:
        open_file.write(layout([export]))


def test_a_span_is_named_with_its_trace_and_start_in_utc(tmp_path: Path) -> None:
    append(tmp_path / "spans.jsonl", as_json, 7)
    source = SpanFilesResource(folder=str(tmp_path), agent_attributes=["agent.name"])
    spans = source.arrivals(None, SINCE, BEFORE).spans
    expected = [{"trace_id": f"{7:032x}", "span_id": f"{7:016x}", "start_time": START}]
    assert spans.to_dict("records") == expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_what_came_after_the_position_is_named(tmp_path: Path, layout: Layout) -> None:
    listener, file = Listener(tmp_path), tmp_path / "spans.jsonl"
    append(file, layout, 1, 2)
    assert listener.ask() == [1, 2]
    assert listener.ask() == []
    append(file, layout, 3)
    append(tmp_path / "another.jsonl", layout, 4)
    assert listener.ask() == [4, 3]
    assert listener.ask() == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_message_that_was_half_written_is_named_once_it_is_whole(tmp_path: Path, layout: Layout) -> None:
    listener, file = Listener(tmp_path), tmp_path / "spans.jsonl"
    first, second = (layout([otlp_export(otlp_span(number, START))]) for number in (1, 2))
    for cut in (0, 3, len(second) // 2, len(second) - 1):
        file.write_bytes(first + second[:cut])
        listener.ask()
        # A line is whole without its line break.
        assert listener.heard == [1] or cut == len(second) - 1
    file.write_bytes(first + second)
    listener.ask()
    assert listener.heard == [1, 2]


@pytest.mark.parametrize("layout", [as_json, as_zstd_lines])
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_wherever_the_writing_of_lines_pauses_each_span_is_named_exactly_once(
    layout: Layout, data: st.DataObject
) -> None:
    whole = layout([otlp_export(otlp_span(number, START)) for number in (1, 2, 3)])
    cuts = data.draw(st.lists(st.integers(0, len(whole)) | line_ends(whole, layout), max_size=6).map(sorted))
    with TemporaryDirectory() as folder:
        listener, file = Listener(Path(folder)), Path(folder) / "spans.json"
        for start, end in pairwise([0, *cuts, len(whole)]):
            with file.open("ab") as open_file:
                open_file.write(whole[start:end])
            listener.ask()
        assert listener.heard == [1, 2, 3]


def line_ends(whole: bytes, layout: Layout) -> st.SearchStrategy[int]:
    """Where a line is whole and its line break is missing."""
    end = b"\n" if layout is as_json else frame(b"\n")
    return st.sampled_from([found.start() for found in re.finditer(re.escape(end), whole)])


@pytest.mark.parametrize("break_after", ["\n", "\r\n", " \n\n"])
def test_a_last_line_without_a_line_break_is_neither_lost_nor_doubled_by_what_follows(
    tmp_path: Path, break_after: str
) -> None:
    listener, file = Listener(tmp_path), tmp_path / "a.json"
    append(file, without_line_break, 1)
    assert listener.ask() == [1]
    assert listener.ask() == []
    with file.open("a", newline="") as open_file:
        open_file.write(break_after)
    assert listener.ask() == []
    append(file, without_line_break, 2)
    assert listener.ask() == [2]
    with file.open("a", newline="") as open_file:
        open_file.write(break_after)
    append(file, as_json, 3)
    assert listener.ask() == [3]
    assert Listener(tmp_path).ask() == [1, 2, 3]


def without_line_break(exports: Sequence[JsonObject]) -> bytes:
    return as_json(exports).removesuffix(b"\n")


def test_files_of_one_inode_on_two_devices_have_a_position_each(tmp_path: Path) -> None:
    listener = Listener(tmp_path)
    append(tmp_path / "a.jsonl", as_json, 1)
    append(tmp_path / "b.jsonl", as_json, 2)
    with each_file_on_its_own_device():
        assert listener.ask() == [1, 2]
        append(tmp_path / "a.jsonl", as_json, 3)
        append(tmp_path / "b.jsonl", as_json, 4)
        assert listener.ask() == [3, 4]


def test_only_spans_of_the_range_are_named_and_the_others_are_passed_over(tmp_path: Path) -> None:
    listener = Listener(tmp_path)
    append(tmp_path / "spans.jsonl", as_json, 1)
    assert listener.ask(since=START + timedelta(microseconds=1)) == []
    assert listener.ask() == []
    append(tmp_path / "spans.jsonl", as_json, 2)
    assert listener.ask(since=START) == [2]
    append(tmp_path / "spans.jsonl", as_json, 3)
    assert listener.ask(before=START) == []


def test_what_is_more_than_fits_comes_with_the_next_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources.span_files, "ARRIVALS_AT_ONCE", 2)
    for number in range(1, 4):
        append(tmp_path / "a.jsonl", as_json, number)
    append(tmp_path / "b.jsonl", as_json, 4)
    listener = Listener(tmp_path)
    assert [listener.ask() for _ in range(3)] == [[1, 2], [3, 4], []]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_rotation_neither_loses_nor_repeats_a_span(tmp_path: Path, layout: Layout) -> None:
    listener, file = Listener(tmp_path), tmp_path / "spans.jsonl"
    append(file, layout, 1)
    listener.ask()
    append(file, layout, 2)
    file.rename(tmp_path / "spans-2026-03-01T10-05-00.000.jsonl")
    append(file, layout, 3)
    assert sorted(listener.ask()) == [2, 3]
    assert listener.ask() == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_that_was_emptied_and_written_again_is_read_from_its_beginning(tmp_path: Path, layout: Layout) -> None:
    listener, file = Listener(tmp_path), tmp_path / "spans.jsonl"
    append(file, layout, 1)
    listener.ask()
    os.truncate(file, 0)
    assert listener.ask() == []
    append(file, layout, 2, 3, 4, 5, 6)
    assert listener.ask() == [2, 3, 4, 5, 6]


def test_a_rotation_by_copying_repeats_spans_and_loses_none(tmp_path: Path) -> None:
    listener, file = Listener(tmp_path), tmp_path / "spans.jsonl"
    append(file, as_json, 1)
    listener.ask()
    append(file, as_json, 2)
    shutil.copy(file, tmp_path / "spans-1.jsonl")
    os.truncate(file, 0)
    append(file, as_json, 3)
    assert sorted(listener.ask()) == [1, 2, 3]


@pytest.mark.parametrize("position", ["", "U3BhbjoxMjM=", "[]", "17", '{"1": 2}', '{"1": [1, 2]}'])
def test_the_position_of_another_source_counts_as_none(tmp_path: Path, position: str) -> None:
    append(tmp_path / "spans.jsonl", as_json, 1)
    assert Listener(tmp_path, position).ask() == [1]


def test_files_that_are_gone_leave_the_position(tmp_path: Path) -> None:
    listener = Listener(tmp_path)
    append(tmp_path / "a.jsonl", as_json, 1)
    append(tmp_path / "b.jsonl", as_json, 2)
    listener.ask()
    (tmp_path / "a.jsonl").unlink()
    listener.ask()
    assert len(json.loads(listener.position or "")) == 1


def test_a_damaged_line_is_named_by_its_place(tmp_path: Path) -> None:
    listener, file = Listener(tmp_path), tmp_path / "spans.jsonl"
    append(file, as_json, 1)
    listener.ask()
    good = file.stat().st_size
    file.write_bytes(file.read_bytes() + b"damaged\n")
    with pytest.raises(PhoenixError, match=rf"spans\.jsonl, the line at byte {good}: "):
        listener.ask()


class Writer:
    """A folder's files as collectors write them: appending, rotating, emptying. Counts the spans up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written = 0

    def act(self, action: str, file: int) -> None:
        # A file keeps its layout: a collector cannot change it without a restart under another name.
        path, layout = self.folder / f"{file}.jsonl", LAYOUTS[file]
        if action == "append":
            self.written += 1
            append(path, layout, self.written)
        elif action == "rotate" and path.exists():
            path.rename(self.folder / f"{file}-{self.written}-{len(list(self.folder.iterdir()))}.jsonl")
        elif action == "empty" and path.exists():
            os.truncate(path, 0)


def acts(*actions: str) -> st.SearchStrategy[list[tuple[str, int]]]:
    return st.lists(st.tuples(st.sampled_from(actions), st.integers(0, len(LAYOUTS) - 1)), max_size=25)


@settings(deadline=None, max_examples=50)
@given(acts("append", "append", "rotate", "ask"), st.integers(1, 4))
def test_however_files_grow_and_rotate_each_span_is_named_exactly_once(
    actions: list[tuple[str, int]], at_once: int
) -> None:
    with TemporaryDirectory() as folder, mock.patch.object(resources.span_files, "ARRIVALS_AT_ONCE", at_once):
        writer, listener = Writer(Path(folder)), Listener(Path(folder))
        for action, file in actions:
            writer.act(action, file) if action != "ask" else listener.ask()
        for _ in range(writer.written + 1):
            listener.ask()
        assert sorted(listener.heard) == list(range(1, writer.written + 1))


@settings(deadline=None, max_examples=50)
@given(acts("append", "append", "rotate", "empty"))
def test_whatever_happened_to_the_files_nothing_is_missed_that_stood_there_when_it_was_asked(
    actions: list[tuple[str, int]],
) -> None:
    with TemporaryDirectory() as folder:
        writer, listener = Writer(Path(folder)), Listener(Path(folder))
        for action, file in actions:
            writer.act(action, file)
            listener.ask()
        assert set(listener.heard) == set(range(1, writer.written + 1))
