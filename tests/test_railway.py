"""Reading Railway, against a server that checks every query by Railway's own schema."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perf_pipeline.tables import CHANGE_EVENTS, RAW_LOGS
from resources.railway import RailwayResource
from resources.railway_api import MAX_WAIT_SECONDS
from resources.reading import RailwayError
from tests.wire.railway_server import (
    BEARER_TOKEN,
    ENVIRONMENT_ID,
    PROJECT_ID,
    PROJECT_TOKEN,
    Answer,
    FakeRailway,
    deployment,
    log,
    railway_server,
)

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
END = START + timedelta(minutes=30)
START_NS = int(START.timestamp()) * 10**9
END_NS = int(END.timestamp()) * 10**9


@pytest.fixture
def railway() -> Iterator[FakeRailway]:
    with railway_server(FakeRailway()) as server:
        yield server


@pytest.fixture(scope="module")
def shared_railway() -> Iterator[FakeRailway]:
    with railway_server(FakeRailway()) as server:
        yield server


def resource(server: FakeRailway, **others: Any) -> RailwayResource:
    values = {
        "endpoint": server.url,
        "token": BEARER_TOKEN,
        "uses_project_token": False,
        "environment_id": ENVIRONMENT_ID,
        "project_id": PROJECT_ID,
        "log_retention_days": 36_500,
    }
    return RailwayResource(**{**values, **others})


def instants() -> st.SearchStrategy[int]:
    """Nanoseconds near each other and near the bounds of the window, so that they collide."""
    near = st.integers(-3, 6) | st.integers(-3, 3).map(lambda n: n * 1_000_000) | st.sampled_from([999_999, 1_000_001])
    return st.builds(lambda base, offset: base + offset, st.sampled_from([START_NS, START_NS + 10**9, END_NS]), near)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.tuples(instants(), st.sampled_from(["a", "b"])), max_size=30),
    lines_per_request=st.integers(1, 9),
    bounds_inclusive=st.booleans(),
    bounds_in_milliseconds=st.booleans(),
    one_line_more=st.booleans(),
)
def test_a_window_holds_exactly_its_lines_once_each(
    shared_railway: FakeRailway,
    lines: list[tuple[int, str]],
    lines_per_request: int,
    bounds_inclusive: bool,
    bounds_in_milliseconds: bool,
    one_line_more: bool,
) -> None:
    shared_railway.logs = [log(ns, message) for ns, message in lines]
    shared_railway.bounds_inclusive = bounds_inclusive
    shared_railway.bounds_in_milliseconds = bounds_in_milliseconds
    shared_railway.one_line_more = one_line_more
    frame = resource(shared_railway, lines_per_request=lines_per_request).read_logs(START, END).frame
    expected = Counter((ns // 1000, message) for ns, message in lines if START_NS <= ns < END_NS)
    microseconds = [int(time.value) // 1000 for time in frame["timestamp"].dt.as_unit("ns")]
    assert Counter(zip(microseconds, frame["message"], strict=True)) == expected
    assert frame["timestamp"].is_monotonic_increasing


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(instants() | st.integers(0, 40).map(lambda n: START_NS + n * 300_000), max_size=40),
    cap=st.integers(1, 14),
    lines_per_request=st.integers(1, 9) | st.just(1000),
    bounds_inclusive=st.booleans(),
    bounds_in_milliseconds=st.booleans(),
    one_line_more=st.booleans(),
)
def test_a_limit_of_railways_own_hides_no_line_silently_but_in_the_oldest_milliseconds(
    shared_railway: FakeRailway,
    times: list[int],
    cap: int,
    lines_per_request: int,
    bounds_inclusive: bool,
    bounds_in_milliseconds: bool,
    one_line_more: bool,
) -> None:
    shared_railway.logs = [log(ns, "x") for ns in times]
    shared_railway.bounds_inclusive = bounds_inclusive
    shared_railway.bounds_in_milliseconds = bounds_in_milliseconds
    shared_railway.one_line_more = one_line_more
    shared_railway.max_lines = cap
    try:
        reading = resource(shared_railway, lines_per_request=lines_per_request).read_logs(START, END)
    finally:
        shared_railway.max_lines = None
    read = Counter(int(time.value) // 1000 for time in reading.frame["timestamp"].dt.as_unit("ns"))
    written = Counter(ns // 1000 for ns in times if START_NS <= ns < END_NS)
    assert read <= written
    if missing := [] if reading.gaps else list(written - read):
        # A cut page and a last page are the same answer where nothing older exists. A line on a bound that belongs to
        # its range can also hide the millisecond before it.
        assert max(missing) // 1000 - min(written) // 1000 <= 1
        assert max(Counter(ns // 10**6 for ns in times).values()) >= cap


def test_ten_thousand_lines_are_read_with_nothing_cut(railway: FakeRailway) -> None:
    railway.logs = [log(START_NS + index * 170_000_001, f"line {index}") for index in range(10_000)]
    frame = resource(railway).read_logs(START, END).frame
    assert list(frame["message"]) == [f"line {index}" for index in range(10_000)]
    assert RAW_LOGS.problems(frame) == []


def test_the_request_reads_backwards_from_the_end_of_the_window(railway: FakeRailway) -> None:
    resource(railway, lines_per_request=7).read_logs(START, END)
    assert railway.queries[0]["variables"] == {
        "environmentId": ENVIRONMENT_ID,
        "beforeDate": "2026-03-01T11:59:59.999Z",
        "anchorDate": "2026-03-01T12:30:00.000Z",
        "afterDate": "2026-03-01T12:30:00.000Z",
        "beforeLimit": 7,
        "afterLimit": 0,
    }


def test_lines_that_share_a_nanosecond_widen_the_page(railway: FakeRailway) -> None:
    railway.logs = [log(START_NS + 5, "same") for _ in range(50)] + [log(START_NS + 4, "older")]
    reading = resource(railway, lines_per_request=10).read_logs(START, END)
    assert Counter(reading.frame["message"]) == {"same": 50, "older": 1}
    assert reading.gaps == ()


def test_more_lines_in_one_millisecond_than_railway_gives_are_a_gap(railway: FakeRailway) -> None:
    railway.logs = [log(START_NS + 5, "same") for _ in range(50)]
    railway.max_lines, railway.one_line_more = 20, False
    reading = resource(railway, lines_per_request=20).read_logs(START, END)
    assert len(reading.frame) == 20
    assert reading.gaps == (
        "Railway gave 20 log lines for the millisecond of 2026-03-01T12:00:00.000Z however many were asked for, so it "
        "may hold more.",
    )


@pytest.mark.parametrize("cap", [10, 12])
def test_a_millisecond_that_fills_a_page_below_the_size_asked_for_hides_no_older_line(
    railway: FakeRailway, cap: int
) -> None:
    burst = START_NS + 101 * 10**9
    railway.logs = [log(START_NS + index * 10**9, "older") for index in range(101)]
    railway.logs += [log(burst + index, "burst") for index in range(12)]
    railway.max_lines, railway.one_line_more = cap, False
    reading = resource(railway).read_logs(START, END)
    assert Counter(reading.frame["message"]) == {"older": 101, "burst": cap}
    assert reading.gaps == (
        f"Railway gave {cap} log lines for the millisecond of 2026-03-01T12:01:41.000Z however many were asked for, so "
        "it may hold more.",
    )


def test_lines_of_one_millisecond_with_nothing_before_them_are_complete(railway: FakeRailway) -> None:
    railway.logs = [log(START_NS + 10**9 + index, "burst") for index in range(12)]
    reading = resource(railway).read_logs(START, END)
    assert (len(reading.frame), reading.gaps) == (12, ())


def test_a_reading_whose_oldest_line_stands_alone_takes_two_requests(railway: FakeRailway) -> None:
    railway.logs = [log(START_NS + (index + 1) * 10**9, "x") for index in range(5)]
    resource(railway).read_logs(START, END)
    assert len(railway.queries) == 2


def test_a_page_that_railway_cuts_short_is_not_taken_for_the_last(railway: FakeRailway) -> None:
    railway.logs = [log(START_NS + index * 10**9, str(index)) for index in range(100)]
    railway.max_lines = 30
    reading = resource(railway, lines_per_request=1000).read_logs(START, END)
    assert (len(reading.frame), reading.gaps) == (100, ())


def test_a_line_keeps_its_severity_service_deployment_and_attributes(railway: FakeRailway) -> None:
    attributes = [{"key": "agent", "value": '"InboundAgent"'}, {"key": "duration_ms", "value": "12.5"}]
    railway.logs = [log(START_NS, "failed", severity="error", attributes=attributes)]
    row = resource(railway).read_logs(START, END).frame.iloc[0].to_dict()
    assert json.loads(row.pop("attributes")) == {"agent": "InboundAgent", "duration_ms": "12.5"}
    assert row == {
        "timestamp": START,
        "severity": "error",
        "message": "failed",
        "agent": "InboundAgent",
        "service_id": "service-1",
        "deployment_id": "deployment-1",
    }


def test_a_line_without_severity_tags_and_attributes_is_read(railway: FakeRailway) -> None:
    railway.logs = [log(START_NS, "InboundAgent is here", severity=None, tags=None)]
    frame = resource(railway).read_logs(START, END).frame
    assert frame["severity"][0] == "info"
    assert frame[["agent", "service_id", "deployment_id"]].isna().all(axis=None)
    assert RAW_LOGS.problems(frame) == []


@pytest.mark.parametrize("key", ["agent", "agent_name", "agent.name"])
def test_an_attribute_may_name_the_agent(railway: FakeRailway, key: str) -> None:
    railway.logs = [log(START_NS, "x", attributes=[{"key": key, "value": "AuditAgent"}])]
    assert resource(railway).read_logs(START, END).frame["agent"][0] == "AuditAgent"


def test_dropped_lines_are_a_gap_and_stay_a_row(railway: FakeRailway) -> None:
    railway.logs = [log(START_NS, "Railway rate limit of 500 logs/sec reached. Messages dropped: 37")]
    reading = resource(railway).read_logs(START, END)
    assert len(reading.frame) == 1
    assert reading.gaps == (
        "Railway dropped 37 log lines of service service-1 before 2026-03-01T12:00:00.000Z, because it wrote more "
        "than 500 lines a second.",
    )


def test_a_service_is_read_alone_when_it_is_named(railway: FakeRailway) -> None:
    other = {"serviceId": "service-2", "deploymentId": None}
    railway.logs = [log(START_NS, "mine"), log(START_NS, "other", tags=other)]
    frame = resource(railway, service_id="service-2").read_logs(START, END).frame
    assert list(frame["message"]) == ["other"]


def test_an_empty_window_is_an_empty_table(railway: FakeRailway) -> None:
    reading = resource(railway).read_logs(START, END)
    assert (reading.frame.empty, reading.gaps, RAW_LOGS.problems(reading.frame)) == (True, (), [])


def test_a_project_token_goes_into_its_own_header(railway: FakeRailway) -> None:
    railway.logs = [log(START_NS, "x")]
    assert len(resource(railway, token=PROJECT_TOKEN, uses_project_token=True).read_logs(START, END).frame) == 1


@pytest.mark.parametrize(("uses_project_token", "setting"), [(False, "RAILWAY_API_TOKEN"), (True, "RAILWAY_TOKEN")])
def test_a_wrong_token_is_named_by_its_setting_and_never_shown(
    railway: FakeRailway, uses_project_token: bool, setting: str
) -> None:
    wrong = resource(railway, token="wrong-secret", uses_project_token=uses_project_token)
    with pytest.raises(RailwayError, match=f"'Not Authorized': {setting} is wrong") as caught:
        wrong.read_logs(START, END)
    assert not caught.value.retryable
    assert "wrong-secret" not in str(caught.value) + repr(wrong)


def test_a_token_that_no_header_can_hold_is_refused_before_it_is_sent(railway: FakeRailway) -> None:
    with pytest.raises(RailwayError, match="RAILWAY_API_TOKEN is empty or contains") as caught:
        resource(railway, token="secret\nsecond").read_logs(START, END)
    assert "secret\n" not in str(caught.value)
    assert railway.queries == []


def test_another_environment_is_not_authorized(railway: FakeRailway) -> None:
    with pytest.raises(RailwayError, match="may not see RAILWAY_ENVIRONMENT_ID"):
        resource(railway, environment_id="other").read_logs(START, END)


def test_any_other_refusal_is_quoted_without_the_token(railway: FakeRailway) -> None:
    body = json.dumps({"errors": [{"message": f"Problem with {BEARER_TOKEN}"}]})
    railway.next_answers = [Answer(200, body=body)]
    with pytest.raises(RailwayError, match="refused the query: 'Problem with <token>'") as caught:
        resource(railway).read_logs(START, END)
    assert not caught.value.retryable


def moment_after(seconds: int) -> dict[str, str]:
    """The ways to write the moment that is so many seconds away."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return {
        "seconds": str(seconds),
        "epoch seconds": str(moment.timestamp()),
        "epoch milliseconds": str(int(moment.timestamp() * 1000)),
        "epoch microseconds": str(int(moment.timestamp() * 10**6)),
        "epoch nanoseconds": str(int(moment.timestamp() * 10**9)),
        "ISO 8601": moment.isoformat(),
        "HTTP date": format_datetime(moment, usegmt=True),
    }


@pytest.mark.parametrize("how", ["seconds", "HTTP date"])
def test_a_rate_limit_is_waited_for_as_long_as_railway_says(railway: FakeRailway, how: str) -> None:
    railway.logs = [log(START_NS, "x")]
    railway.next_answers = [Answer(429, headers={"Retry-After": moment_after(2)[how]})]
    began = time.monotonic()
    frame = resource(railway).read_logs(START, END).frame
    assert len(frame) == 1
    # An HTTP date has whole seconds only.
    assert (1.9 if how == "seconds" else 0.9) <= time.monotonic() - began < 4


def test_a_rate_limit_longer_than_a_reading_may_wait_is_an_error_at_once(railway: FakeRailway) -> None:
    railway.next_answers = [Answer(429, headers={"Retry-After": str(MAX_WAIT_SECONDS + 1)})]
    began = time.monotonic()
    with pytest.raises(RailwayError, match=r"no further request until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC") as caught:
        resource(railway).read_logs(START, END)
    assert caught.value.retryable
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("how", ["epoch milliseconds", "epoch microseconds", "epoch nanoseconds"])
def test_a_reset_beyond_what_a_reading_may_wait_is_named_however_fine_its_clock(railway: FakeRailway, how: str) -> None:
    railway.next_answers = [Answer(429, headers={"X-RateLimit-Reset": moment_after(7200)[how]})]
    hour = datetime.now(UTC) + timedelta(seconds=7200)
    with pytest.raises(RailwayError, match=f"no further request until {hour:%Y-%m-}"):
        resource(railway).read_logs(START, END)


@pytest.mark.parametrize("how", ["seconds", "epoch seconds", "epoch milliseconds", "ISO 8601"])
def test_a_used_up_quota_is_waited_for_before_the_next_request(railway: FakeRailway, how: str) -> None:
    railway.logs = [log(START_NS, "x")]
    first = json.dumps({"data": {"environmentLogs": railway.logs}})
    railway.next_answers = [
        Answer(body=first, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": moment_after(1)[how]})
    ]
    began = time.monotonic()
    assert len(resource(railway).read_logs(START, END).frame) == 1
    assert 0.8 <= time.monotonic() - began < 3


def test_a_used_up_quota_does_not_matter_to_a_reading_that_is_complete(railway: FakeRailway) -> None:
    railway.headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3600"}
    began = time.monotonic()
    assert resource(railway).read_logs(START, END).frame.empty
    assert time.monotonic() - began < 1


def test_a_failing_server_is_asked_again_and_then_reported(railway: FakeRailway) -> None:
    railway.logs = [log(START_NS, "x")]
    railway.next_answers = [Answer(502), Answer(503)]
    assert len(resource(railway).read_logs(START, END).frame) == 1
    railway.next_answers = [Answer(502), Answer(503), Answer(504)]
    with pytest.raises(RailwayError, match="failed with HTTP 504") as caught:
        resource(railway).read_logs(START, END)
    assert caught.value.retryable


def test_an_answer_that_cannot_be_unpacked_is_asked_for_again_and_then_reported(railway: FakeRailway) -> None:
    railway.logs = [log(START_NS, "x")]
    broken = Answer(body=b"no gzip", headers={"Content-Encoding": "gzip"})
    railway.next_answers = [broken]
    assert len(resource(railway).read_logs(START, END).frame) == 1
    railway.next_answers = [broken] * 3
    with pytest.raises(RailwayError, match="DecodingError") as caught:
        resource(railway).read_logs(START, END)
    assert caught.value.retryable


HALF = "\ud83d"


def test_half_a_character_in_a_log_line_becomes_a_question_mark(railway: FakeRailway, tmp_path: Path) -> None:
    attributes = [{"key": "agent", "value": json.dumps("é" + HALF)}, {"key": HALF, "value": HALF}]
    tags = {"serviceId": "s" + HALF, "deploymentId": HALF}
    line = log(START_NS, "cut " + HALF, severity=HALF, tags=tags, attributes=attributes)
    railway.next_answers = [Answer(body=json.dumps({"data": {"environmentLogs": [line]}})) for _ in range(3)]
    frame = resource(railway).read_logs(START, END).frame
    frame.to_parquet(tmp_path / "logs.parquet")
    row = pd.read_parquet(tmp_path / "logs.parquet").iloc[0].to_dict()
    assert json.loads(row.pop("attributes")) == {"agent": "é?", "?": "?"}
    assert [row[name] for name in ("message", "agent", "severity", "service_id")] == ["cut ?", "é?", "?", "s?"]


def test_half_a_character_in_a_commit_becomes_a_question_mark(railway: FakeRailway) -> None:
    meta = {"commitHash": None, "commitMessage": "Fix " + HALF, "branch": HALF}
    node = deployment("d1", START, None, meta=meta)
    page = {"edges": [{"cursor": "0", "node": node}], "pageInfo": {"hasNextPage": False, "endCursor": "0"}}
    railway.next_answers = [Answer(body=json.dumps({"data": {"deployments": page}}))]
    assert list(resource(railway).read_deployments(START, END).frame["description"]) == ["Fix ? (?)"]


def test_a_server_that_is_down_is_named_by_its_setting() -> None:
    with railway_server(FakeRailway()) as server:
        stopped = resource(server)
    with pytest.raises(RailwayError, match=r"could not be reached at .*RAILWAY_ENDPOINT") as caught:
        stopped.read_logs(START, END)
    assert caught.value.retryable


def test_a_page_of_html_is_not_railway(railway: FakeRailway) -> None:
    railway.next_answers = [Answer(200, "text/html; charset=utf-8", "<html></html>")]
    with pytest.raises(RailwayError, match=r"HTTP 200 with text/html, .* Set RAILWAY_ENDPOINT to") as caught:
        resource(railway).read_logs(START, END)
    assert not caught.value.retryable


def test_a_server_that_does_not_answer_is_given_up(railway: FakeRailway, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_args: Any, **_kwargs: Any) -> list[dict[str, Any]]:
        time.sleep(0.5)
        return []

    monkeypatch.setattr(railway, "environmentLogs", slow)
    with pytest.raises(RailwayError, match=r"did not answer within 0\.1 s") as caught:
        resource(railway, request_timeout_seconds=0.1).read_logs(START, END)
    assert caught.value.retryable


@pytest.mark.parametrize(("days_ago", "gaps"), [(29, 0), (31, 1)])
def test_a_window_from_which_railway_may_have_deleted_lines_is_a_gap(
    railway: FakeRailway, days_ago: int, gaps: int
) -> None:
    start = datetime.now(UTC) - timedelta(days=days_ago)
    railway.logs = [log(int(start.timestamp() + 60) * 10**9, "kept")]
    reading = resource(railway, log_retention_days=30).read_logs(start, start + timedelta(minutes=30))
    assert (len(reading.frame), len(reading.gaps)) == (1, gaps)
    assert all("keeps logs for 30 days" in gap and "sources.railway_log_retention_days" in gap for gap in reading.gaps)


LINE = log(START_NS, "x", attributes=[{"key": "agent", "value": "A"}])
CHANGED_LINES = [
    *({name: value for name, value in LINE.items() if name != missing} for missing in LINE),
    LINE | {"timestamp": None},
    LINE | {"timestamp": "2026-03-01 12:00"},
    LINE | {"timestamp": "2026-99-99T99:99:99Z"},
    LINE | {"message": None},
    LINE | {"message": 7},
    LINE | {"severity": ["error"]},
    LINE | {"tags": "service-1"},
    LINE | {"attributes": None},
    LINE | {"attributes": [{"key": "agent", "value": 7}]},
]


@pytest.mark.parametrize("line", CHANGED_LINES, ids=json.dumps)
def test_a_log_line_of_another_shape_is_an_error_and_never_a_row(railway: FakeRailway, line: dict[str, Any]) -> None:
    railway.next_answers = [Answer(body=json.dumps({"data": {"environmentLogs": [LINE, line]}}))]
    with pytest.raises(RailwayError, match=r"API has changed.*\(environmentLogs\.1\..*Update perf-pipeline") as caught:
        resource(railway).read_logs(START, END)
    assert not caught.value.retryable


NODE = deployment("d1", START, "aaaaa")
CHANGED_NODES = [
    *({name: value for name, value in NODE.items() if name != missing} for missing in NODE),
    NODE | {"status": "PAUSED"},
    NODE | {"status": None},
    NODE | {"createdAt": "2026-03-01T12:00:00"},
    NODE | {"createdAt": "yesterday"},
    NODE | {"meta": {"commitHash": 7}},
]


@pytest.mark.parametrize("node", CHANGED_NODES, ids=json.dumps)
def test_a_deployment_of_another_shape_is_an_error_and_never_a_row(railway: FakeRailway, node: dict[str, Any]) -> None:
    page = {"edges": [{"cursor": "0", "node": node}], "pageInfo": {"hasNextPage": False, "endCursor": "0"}}
    railway.next_answers = [Answer(body=json.dumps({"data": {"deployments": page}}))]
    with pytest.raises(RailwayError, match=r"API has changed.*\(deployments\.edges\.0\.node\."):
        resource(railway).read_deployments(START, END)


@pytest.mark.parametrize(
    "answer",
    [{"data": {}}, {"data": {"environmentLogs": None}}, {"data": None}, [], {"errors": "no"}, {"errors": [None]}],
    ids=json.dumps,
)
def test_an_answer_without_lines_is_an_error(railway: FakeRailway, answer: Any) -> None:
    railway.next_answers = [Answer(body=json.dumps(answer))]
    with pytest.raises(RailwayError):
        resource(railway).read_logs(START, END)


def test_deployments_that_are_announced_and_not_given_are_an_error(railway: FakeRailway) -> None:
    page = {"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": None}}
    railway.next_answers = [Answer(body=json.dumps({"data": {"deployments": page}}))]
    with pytest.raises(RailwayError, match="gives none of them"):
        resource(railway).read_deployments(START, END)


def test_a_rate_limit_without_a_time_is_asked_about_ever_more_rarely(
    railway: FakeRailway, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    railway.next_answers = [Answer(429) for _ in range(3)]
    resource(railway).read_logs(START, END)
    assert [int(wait) for wait in waits] == [1, 2, 4]


def test_a_deployment_is_a_change_from_the_commit_before_it(railway: FakeRailway) -> None:
    railway.deployments = [
        deployment("d1", START - timedelta(days=2), "aaaaa"),
        deployment("d2", START, "bbbbb"),
        deployment("d3", START + timedelta(minutes=5), "ccccc", status="CRASHED"),
        deployment("d4", END, "ddddd", status="SUCCESS"),
    ]
    frame = resource(railway).read_deployments(START, END).frame
    columns = ["time", "kind", "from_version", "to_version", "description"]
    assert frame[columns].to_dict("list") == {
        "time": [START, START + timedelta(minutes=5)],
        "kind": ["deployment", "deployment"],
        "from_version": ["aaaaaaa", "bbbbbbb"],
        "to_version": ["bbbbbbb", "ccccccc"],
        "description": ["Change bbbbb (main)", "Change ccccc (main); it crashed"],
    }
    assert CHANGE_EVENTS.problems(frame) == []


@pytest.mark.parametrize(
    "status", ["BUILDING", "DEPLOYING", "FAILED", "INITIALIZING", "NEEDS_APPROVAL", "QUEUED", "SKIPPED", "WAITING"]
)
def test_a_deployment_that_never_went_live_is_no_change(railway: FakeRailway, status: str) -> None:
    railway.deployments = [
        deployment("d1", START - timedelta(days=1), "aaaaa"),
        deployment("d2", START + timedelta(minutes=1), "bbbbb", status=status),
        deployment("d3", START + timedelta(minutes=2), "ccccc"),
    ]
    frame = resource(railway).read_deployments(START, END).frame
    assert list(zip(frame["from_version"], frame["to_version"], strict=True)) == [("aaaaaaa", "ccccccc")]


def test_the_commit_before_is_looked_for_in_the_same_service(railway: FakeRailway) -> None:
    railway.deployments = [
        deployment("d1", START - timedelta(days=9), "aaaaa"),
        deployment("d2", START, "bbbbb"),
        *(
            deployment(f"x{index}", START - timedelta(hours=index + 1), "eeeee", serviceId="service-2")
            for index in range(120)
        ),
    ]
    frame = resource(railway).read_deployments(START, END).frame
    assert list(frame["from_version"]) == ["aaaaaaa"]


def test_deployments_are_paged_until_the_window_begins(railway: FakeRailway) -> None:
    railway.deployments = [
        deployment(f"d{index}", END - timedelta(seconds=10 * index), f"{index:05x}") for index in range(1000)
    ]
    frame = resource(railway).read_deployments(START, END).frame
    assert len(frame) == 180
    assert frame["from_version"].notna().all()
    assert len(railway.queries) == 4


def test_a_deployment_without_a_commit_has_no_version(railway: FakeRailway) -> None:
    railway.deployments = [
        deployment("d1", START, None),
        deployment("d2", START + timedelta(minutes=1), None, meta={"image": "postgres:16"}),
    ]
    frame = resource(railway).read_deployments(START, END).frame
    assert frame[["from_version", "to_version"]].isna().all(axis=None)
    assert list(frame["description"]) == ["Deployment d1", "Image postgres:16"]


def test_a_query_that_railways_schema_does_not_know_would_be_refused(railway: FakeRailway) -> None:
    with (
        resource(railway)._connect() as api,
        pytest.raises(RailwayError, match="Cannot query field 'text' on type 'Log'"),
    ):
        api.query('query { environmentLogs(environmentId: "env-1") { text } }', {})


def test_the_source_says_where_it_reads(railway: FakeRailway) -> None:
    assert resource(railway).describe() == f"Railway at {railway.url}, environment env-1"
