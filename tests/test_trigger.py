"""Triggering the cycle: whoever asks while it goes on joins it, and what keeps it from doing more is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from perf_pipeline.trigger import TRIGGERED_BY, Trigger
from resources.dagster_webserver import DagsterWebserver
from resources.lake import Lake
from resources.ledger import Ledger
from resources.reading import DagsterError
from tests.approval_builders import FLEET
from tests.wire.dagster_server import State, dagster_server
from tests.wire.http_server import Answer, Handler, http_server

Make = Callable[[State], Trigger]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """A trigger of an empty installation; each has a ledger of its own on the same database, as processes have."""
    opened: list[Any] = []

    def trigger(state: State) -> Trigger:
        server = dagster_server(state)
        url = server.__enter__()
        book = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
        opened.append((server, book))
        return Trigger(book, Lake(str(tmp_path / "lake")), FLEET, DagsterWebserver(url), lambda: datetime.now(UTC))

    yield trigger
    for server, book in opened:
        server.__exit__(None, None, None)
        book.close()


def test_all_who_ask_at_once_through_two_processes_get_one_run(make: Make) -> None:
    state = State(run_status="STARTED")
    triggers = [make(state), make(state)]
    with ThreadPoolExecutor(20) as pool:
        runs = set(pool.map(lambda number: triggers[number % 2].begin("ana"), range(20)))
    assert len(runs) == len(state.runs) == 1
    [run] = state.runs.values()
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert tags[TRIGGERED_BY] == "ana"
    assert tags["dagster/asset_partition_range_start"] == tags["dagster/asset_partition_range_end"]


def test_a_run_that_is_over_is_not_joined(make: Make) -> None:
    state = State()
    trigger = make(state)
    assert trigger.begin("ana") != trigger.begin("ben")


def test_a_run_that_the_schedule_began_is_not_joined(make: Make) -> None:
    state = State(run_status="STARTED")
    trigger = make(state)
    run_id = trigger.begin("ana")
    state.runs[run_id]["tags"] = [tag for tag in state.runs[run_id]["tags"] if tag["key"] != TRIGGERED_BY]
    assert trigger.begin("ana") != run_id


def test_without_a_daemon_nothing_is_put_into_the_queue(make: Make) -> None:
    state = State(daemon_runs=False)
    with pytest.raises(DagsterError, match="daemon does not run"):
        make(state).begin("ana")
    assert state.runs == {}


def test_what_dagster_says_of_a_refusal_is_said(make: Make) -> None:
    with pytest.raises(DagsterError, match="did not launch the job monitoring: The disk is full"):
        make(State(refusal="The disk\nis full")).begin("ana")


def test_a_sensor_that_is_off_is_not_waited_for_and_said(make: Make) -> None:
    trigger = make(State(sensors_on=False))
    outcome = trigger.wait(trigger.begin("ana"))
    assert outcome.success
    assert outcome.errors == (
        "The sensor notifications is switched off: switch it on in Dagster's UI under Automation.",
    )


def test_a_step_that_failed_is_named(make: Make) -> None:
    trigger = make(State(run_status="FAILURE", failed_step="raw_spans"))
    answer = trigger.wait(trigger.begin("ana")).answer()
    assert answer["success"] is False
    assert answer["errors"][0].startswith("The step raw_spans failed: see http://127.0.0.1")


def test_a_run_that_goes_on_has_no_figures_yet(make: Make) -> None:
    trigger = make(State(run_status="STARTED"))
    outcome = trigger.outcome(trigger.begin("ana"))
    assert outcome is not None
    assert (outcome.is_over, outcome.figures) == (False, None)
    assert trigger.outcome("unknown") is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(status=502, body="<html>"), "answered HTTP 502"),
        (Answer(body="<html>"), "is not Dagster's webserver"),
        (
            Answer(body='{"errors": [{"message": "Cannot query field\\nx"}]}'),
            "Cannot query field x",
        ),
        (Answer(body="[]"), "refused a question"),
    ],
    ids=["failing", "another server", "another version", "nonsense"],
)
def test_what_answers_in_dagsters_place_is_an_error_that_says_so(answer: Answer, said: str) -> None:
    class Other(Handler):
        def do_POST(self) -> None:
            self.read_request()
            self.send(answer)

    with http_server(Other) as url, pytest.raises(DagsterError, match=said):
        DagsterWebserver(url).automation()


def test_a_password_in_the_address_is_not_shown() -> None:
    webserver = DagsterWebserver("http://ana:canary@127.0.0.1:9")
    with pytest.raises(DagsterError) as raised:
        webserver.automation()
    assert "canary" not in str(raised.value) + webserver.run_url("r")
