"""Log lines and deployments are read from files by window, and a damaged line is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from perf_pipeline.tables import CHANGE_EVENTS, RAW_LOGS
from resources.log_files import LogFilesResource
from resources.reading import RailwayError

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
END = START + timedelta(minutes=30)


def write_logs(folder: Path, *lines: Any) -> LogFilesResource:
    (folder / "logs").mkdir(exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "logs" / "app.jsonl").write_text("".join(text + "\n" for text in texts))
    return LogFilesResource(folder=str(folder))


def log(offset: timedelta = timedelta(0), **changes: Any) -> dict[str, Any]:
    return {"timestamp": (START + offset).isoformat(), "severity": "info", "message": "done"} | changes


def test_a_window_holds_the_lines_from_its_start_up_to_but_not_at_its_end(tmp_path: Path) -> None:
    offsets = [timedelta(minutes=30), timedelta(minutes=29), timedelta(0), timedelta(microseconds=-1)]
    frame = write_logs(tmp_path, *(log(offset) for offset in offsets)).read_logs(START, END).frame
    assert [time - START for time in frame["timestamp"]] == [timedelta(0), timedelta(minutes=29)]
    assert RAW_LOGS.problems(frame) == []


def test_a_time_with_another_offset_is_converted_to_utc(tmp_path: Path) -> None:
    frame = write_logs(tmp_path, log(timestamp="2026-03-01T12:10:00+02:00")).read_logs(START, END).frame
    assert list(frame["timestamp"]) == [START + timedelta(minutes=10)]


@pytest.mark.parametrize(
    ("changes", "agent"),
    [
        ({"attributes": {"agent": "A"}}, "A"),
        ({"attributes": {"agent_name": "B"}}, "B"),
        ({"attributes": {"agent.name": "C"}}, "C"),
        ({"attributes": {"other": "A"}, "message": "agent=A InboundAgent failed"}, None),
        ({}, None),
    ],
)
def test_only_an_attribute_says_which_agent_a_line_is_about(
    tmp_path: Path, changes: dict[str, Any], agent: str | None
) -> None:
    frame = write_logs(tmp_path, log(**changes)).read_logs(START, END).frame
    found = frame["agent"].iloc[0]
    assert found == agent if agent else frame["agent"].isna().all()


def test_attributes_are_kept_as_an_object_of_texts(tmp_path: Path) -> None:
    frame = write_logs(tmp_path, log(attributes={"tries": 3, "who": "Ünal"})).read_logs(START, END).frame
    assert json.loads(frame["attributes"].iloc[0]) == {"tries": "3", "who": "Ünal"}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        (log(timestamp="yesterday"), "ISO 8601"),
        (log(severity="loud"), "severity"),
        (log(message=None), "message"),
        (log(attributes=[1]), "attributes"),
    ],
)
def test_a_malformed_line_is_named_by_file_and_line(tmp_path: Path, line: Any, complaint: str) -> None:
    with pytest.raises(RailwayError, match=rf"app\.jsonl:2: .*{complaint}"):
        write_logs(tmp_path, log(), line).read_logs(START, END)


def test_a_half_written_last_line_is_left_for_the_next_reading(tmp_path: Path) -> None:
    source = write_logs(tmp_path, log())
    with (tmp_path / "logs" / "app.jsonl").open("a") as file:
        file.write(json.dumps(log())[:20])
    assert len(source.read_logs(START, END).frame) == 1


def test_deployments_of_the_window_are_change_events(tmp_path: Path) -> None:
    change = {"kind": "model", "agent": "A", "from_version": "v1", "to_version": "v2", "description": "New model"}
    fleet_wide = {"time": START.isoformat(), "kind": "deployment", "description": "Release 7"}
    lines = [change | {"time": (START + timedelta(minutes=minute)).isoformat()} for minute in (-5, 5, 35)]
    (tmp_path / "deployments.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*lines, fleet_wide]))
    frame = LogFilesResource(folder=str(tmp_path)).read_deployments(START, END).frame
    assert list(frame["description"]) == ["Release 7", "New model"]
    assert list(frame["agent"].isna()) == [True, False]
    assert CHANGE_EVENTS.problems(frame) == []


def test_a_malformed_deployment_is_named_by_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "deployments.jsonl").write_text('{"time": "2026-03-01T10:00:00Z"}\n')
    with pytest.raises(RailwayError, match=r"deployments\.jsonl:1: 'kind'"):
        LogFilesResource(folder=str(tmp_path)).read_deployments(START, END)


def test_a_folder_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    source = LogFilesResource(folder=str(tmp_path / "nothing"))
    assert source.read_logs(START, END).frame.empty
    assert source.read_deployments(START, END).frame.empty


def test_the_description_says_that_it_is_the_default_and_how_to_change_it(tmp_path: Path) -> None:
    assert "embedded default; set RAILWAY_API_TOKEN" in LogFilesResource(folder=str(tmp_path)).describe()
