"""A server that speaks as much of the GraphQL of Dagster's webserver as the service asks, with runs that end at once.

The real one is in `tests/real/test_trigger.py`; this one is for tests that ask thousands of times.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.wire.http_server import Answer, Handler, http_server


@dataclass
class State:
    """By default of a Dagster whose daemons run, whose sensors tick all the time and whose runs succeed at once."""

    daemon_runs: bool = True
    sensors_on: bool = True
    run_status: str = "SUCCESS"
    failed_step: str | None = None
    refusal: str | None = None
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)


@contextmanager
def dagster_server(state: State | None = None) -> Iterator[str]:
    """The address of a Dagster in this state, by default a healthy one."""
    known = state or State()

    class Dagster(Handler):
        def do_POST(self) -> None:
            asked = json.loads(self.read_request().body)
            answer = {"data": _answer(asked["query"], asked["variables"], known)}
            self.send(Answer(body=json.dumps(answer)))

    with http_server(Dagster) as url:
        yield url


def _answer(query: str, variables: dict[str, Any], state: State) -> dict[str, Any]:
    now, runs = time.time(), state.runs
    if "launchRun" in query:
        if state.refusal:
            return {"launchRun": {"__typename": "PythonError", "message": state.refusal}}
        run = {
            "runId": f"run-{len(runs)}",
            "status": state.run_status,
            "creationTime": now,
            "startTime": now,
            "endTime": now,
            "tags": variables["params"]["executionMetadata"]["tags"],
            "stepStats": [{"stepKey": state.failed_step, "status": "FAILURE"}] if state.failed_step else [],
        }
        runs[run["runId"]] = run
        return {"launchRun": {"__typename": "LaunchRunSuccess", "run": run}}
    if "runsOrError" in query:
        wanted = variables["filter"]
        known = [run for run in runs.values() if run["status"] in wanted.get("statuses", [run["status"]])]
        found = [run for run in known if run["runId"] in wanted.get("runIds", runs)]
        return {"runsOrError": {"__typename": "Runs", "results": found[::-1][: variables["limit"]]}}
    if "sensorOrError" in query:
        ticks = [{"timestamp": now, "endTimestamp": now, "status": "SKIPPED"}]
        return {"sensorOrError": {"__typename": "Sensor", "sensorState": {"status": "RUNNING", "ticks": ticks}}}
    switch = {"status": "RUNNING" if state.sensors_on else "STOPPED"}
    sensors = [{"name": name, "sensorState": switch} for name in SENSORS]
    node = {
        "name": "__repository__",
        "location": {"name": "perf_pipeline"},
        "jobs": [{"name": "monitoring"}],
        "sensors": sensors,
        "schedules": [{"name": "monitoring_schedule", "scheduleState": {"status": "RUNNING"}}],
    }
    statuses = [{"daemonType": "QUEUED_RUN_COORDINATOR", "required": True, "healthy": state.daemon_runs}]
    return {
        "repositoriesOrError": {"__typename": "RepositoryConnection", "nodes": [node]},
        "instance": {"daemonHealth": {"allDaemonStatuses": statuses}},
    }


SENSORS = ("notifications", "optimization_requests", "approvals")
