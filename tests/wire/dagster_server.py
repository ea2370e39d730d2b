"""A server that speaks as much of the GraphQL of Dagster's webserver as the service asks, with runs that end at once.

The real one is in `tests/real/test_trigger.py`; this one is for tests that ask thousands of times.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.wire.http_server import Answer, Handler, http_server


@contextmanager
def dagster_server() -> Iterator[str]:
    """The address of a Dagster whose daemons run, whose sensors tick all the time and whose runs succeed at once."""
    runs: dict[str, dict[str, Any]] = {}

    class Dagster(Handler):
        def do_POST(self) -> None:
            asked = json.loads(self.read_request().body)
            answer = {"data": _answer(asked["query"], asked["variables"], runs)}
            self.send(Answer(body=json.dumps(answer)))

    with http_server(Dagster) as url:
        yield url


def _answer(query: str, variables: dict[str, Any], runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    now = time.time()
    if "launchRun" in query:
        run = {
            "runId": f"run-{len(runs)}",
            "status": "SUCCESS",
            "creationTime": now,
            "startTime": now,
            "endTime": now,
            "tags": variables["params"]["executionMetadata"]["tags"],
            "stepStats": [],
        }
        runs[run["runId"]] = run
        return {"launchRun": {"__typename": "LaunchRunSuccess", "run": run}}
    if "runsOrError" in query:
        wanted = variables["filter"]
        known = [] if "statuses" in wanted else list(runs.values())
        found = [run for run in known if run["runId"] in wanted.get("runIds", runs)]
        return {"runsOrError": {"__typename": "Runs", "results": found[::-1][: variables["limit"]]}}
    if "sensorOrError" in query:
        ticks = [{"timestamp": now, "endTimestamp": now, "status": "SKIPPED"}]
        return {"sensorOrError": {"__typename": "Sensor", "sensorState": {"status": "RUNNING", "ticks": ticks}}}
    sensors = [{"name": name, "sensorState": {"status": "RUNNING"}} for name in SENSORS]
    node = {
        "name": "__repository__",
        "location": {"name": "perf_pipeline"},
        "jobs": [{"name": "monitoring"}],
        "sensors": sensors,
        "schedules": [{"name": "monitoring_schedule", "scheduleState": {"status": "RUNNING"}}],
    }
    statuses = [{"daemonType": "QUEUED_RUN_COORDINATOR", "required": True, "healthy": True}]
    return {
        "repositoriesOrError": {"__typename": "RepositoryConnection", "nodes": [node]},
        "instance": {"daemonHealth": {"allDaemonStatuses": statuses}},
    }


SENSORS = ("notifications", "optimization_requests", "approvals")
