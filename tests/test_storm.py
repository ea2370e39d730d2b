"""A storm: 100 agents fail in one window, through whole cycles. People get one message, and know what it is about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from perf_pipeline.fleet import AgentConfig
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import IncidentState
from resources.reading import PhoenixError
from tests.cycle_fixtures import Installation, installation

AGENTS = tuple(f"Agent{number:03}" for number in range(100))
DOWN = PhoenixError("Phoenix does not answer: check PHOENIX_ENDPOINT.", retryable=True)


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installation]:
    agents = tuple(AgentConfig(name=name, policy="execution", latency_objective_ms=4000) for name in AGENTS)
    with installation(tmp_path / "installation", agents=agents) as running:
        yield running


def a_storm(installed: Installation, healthy: Window, failing: Window) -> None:
    """All agents work well in one window, and in the other they fail and write error lines."""
    lines = []
    for agent in AGENTS:
        installed.spans.add_tasks(agent, healthy, 10)
        installed.spans.add_tasks(agent, failing, 10, failed=10)
        for number in range(10):
            time = failing.start.replace(second=number)
            line = {"timestamp": time.isoformat(), "severity": "error", "message": "TimeoutError"}
            lines.append(json.dumps(line | {"attributes": {"agent": agent}}))
    folder = installed.folder / "inbox" / "logs"
    folder.mkdir(parents=True)
    (folder / "storm.jsonl").write_text("\n".join(lines) + "\n")


def test_a_hundred_agents_that_fail_for_one_cause_are_one_message_and_one_recovery(installed: Installation) -> None:
    healthy, failing, after, later = installed.closed_windows(4)
    a_storm(installed, healthy, failing)
    for window in (healthy, failing):
        assert installed.cycle(window).success
    installed.tick("notifications")
    with installed.ledger() as book:
        incidents = book.incidents(healthy.start)
    assert {one.agent for one in incidents if one.family == "reliability"} == set(AGENTS)
    [alert] = installed.messages
    assert "100" in alert["text"]
    assert "TimeoutError" in alert["text"]

    for agent in AGENTS:
        for window in (after, later):
            installed.spans.add_tasks(agent, window, 10)
    assert installed.cycle(after, later).success
    installed.tick("notifications")
    _, *updates = installed.messages
    assert [update["reply_to"] for update in updates] == [alert["posted_at"]] * len(updates)
    assert len(updates) <= 2


def test_the_same_storm_during_an_outage_of_the_spans_is_one_incident_of_the_source(installed: Installation) -> None:
    healthy, failing, after, _ = installed.closed_windows(4)
    a_storm(installed, healthy, failing)
    assert installed.cycle(healthy).success
    installed.spans.failure = DOWN
    for window in (failing, after):
        assert installed.cycle(window).success
        installed.tick("notifications")
    with installed.ledger() as book:
        incidents = book.incidents(healthy.start)
    assert [(one.agent, one.state) for one in incidents] == [("source:spans", IncidentState.OPEN)]
    [alert] = installed.messages
    assert not any(agent in alert["text"] for agent in AGENTS)
