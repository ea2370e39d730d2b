"""Whole cycles with analysts: what they add, and that whatever a model does, the cycle ends well."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from perf_pipeline.monitoring.windows import Window
from perf_pipeline.tables import OPTIMIZATION_DECISIONS
from tests.analyst_builders import fleet_with_analysts, saying
from tests.builders import optimizable, shipped_fleet
from tests.cycle_fixtures import Installation, installation
from tests.wire.model_server import Hang, ModelServer, Plan, model_server

HEALTHY_WINDOWS = 34


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "true")
    monkeypatch.setenv("ANALYST_KEY", "k")
    with model_server() as served:
        yield served


def with_analysts(folder: Path, server: ModelServer, plan: Plan, **analysts: Any) -> Any:
    server.plan = plan
    fleet = fleet_with_analysts(shipped_fleet(), server.base_url, **analysts)
    return installation(folder, models=fleet.models, agents=optimizable(fleet).agents, analysts=fleet.analysts)


def collapse(here: Installation) -> list[Window]:
    """InboundAgent works well for hours, and then fails at everything in the newest window."""
    windows = here.closed_windows(HEALTHY_WINDOWS)
    for window in windows[:-1]:
        here.spans.add_tasks("InboundAgent", window, 12, failed=1)
    here.spans.add_tasks("InboundAgent", windows[-1], 24, failed=24)
    assert here.cycle(windows[0], windows[-2]).success
    assert here.cycle(windows[-1]).success
    return windows


def answers(query: Any) -> dict[str, Any]:
    """An analyst that repeats the first fact, and knows no cause."""
    first = query["facts"].splitlines()[0].partition(" (")[0]
    return {
        "cause_kind": "unknown",
        "confidence": 0.4,
        "what_changed": f"{first}.",
        "likely_cause": "No single error, model or version stands out." if "stands out" in query["facts"] else first,
        "what_to_do": "Start with the example traces.",
        "assessment": "act",
        "insight": f"{first}.",
        "advice": "wait",
        "reason": "Look at the example traces first.",
    }


def test_an_incident_is_worded_by_the_model_before_its_alert_is_sent(tmp_path: Path, server: ModelServer) -> None:
    with with_analysts(tmp_path, server, saying(answers)) as here:
        windows = collapse(here)
        with here.ledger() as book:
            [incident] = book.incidents(windows[-1].start)
            analysis = book.incident_analyses([incident.id])[incident.id]
        assert (analysis.written_by, analysis.trouble) == ("openai/simulated-1", "")
        here.tick("notifications")
        [alert] = here.messages
        assert "Worded by: openai/simulated-1" in alert["text"]


def test_a_model_that_hangs_costs_a_cycle_its_deadline_and_nothing_else(tmp_path: Path, server: ModelServer) -> None:
    with with_analysts(tmp_path, server, lambda _number, _body: Hang(20), seconds=0.5) as here:
        collapse(here)
        here.tick("notifications")
        [alert] = here.messages
        assert "Worded by: rules (the model did not answer within 0.5 s)" in alert["text"]


def test_a_decision_to_optimize_gets_advice_and_stays_as_it_is(tmp_path: Path, server: ModelServer) -> None:
    with with_analysts(tmp_path, server, saying(answers)) as here:
        here.complete_tasks("InboundAgent", 12)
        window = here.closed_windows(1)
        here.spans.add_tasks("InboundAgent", window[0], 12)
        assert here.cycle(window[0]).success
        frame = here.table(OPTIMIZATION_DECISIONS, window)
        decided = frame[frame["agent"] == "InboundAgent"].iloc[0]
        assert decided["decision"] == "optimize"
        assert decided["reasons"].splitlines()[-1] == (
            "openai/simulated-1 advises to wait: Look at the example traces first"
        )


def test_a_daily_summary_gets_an_insight_once(tmp_path: Path, server: ModelServer) -> None:
    with with_analysts(tmp_path, server, saying(answers)) as here:
        collapse(here)
        day = datetime.now(UTC).date().isoformat()
        assert here.summarize(day).success
        asked = len(server.calls)
        assert here.summarize(day).success
        assert len(server.calls) == asked
        here.tick("notifications")
        [summary] = [message for message in here.messages if "Daily Performance Summary" in message["title"]]
        assert "In short: " in summary["text"]
        assert "(in the words of openai/simulated-1)" in summary["text"]
