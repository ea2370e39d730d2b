"""What analysts add to a cycle that finds an incident: without a model, with one, and with one that hangs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from perf_pipeline.monitoring.incident_summary import summary_by_rules
from tests.analyst_builders import fleet_with_analysts, saying
from tests.builders import shipped_fleet
from tests.cycle_fixtures import installation
from tests.incident_builders import incident
from tests.wire.model_server import Hang, Plan, model_server, no_faults

HEALTHY_WINDOWS = 40
TASKS = 12
REPEATS = 3
SECONDS = 8.0
"""The analysts' deadline as fleet.yaml sets it by default."""


def measure() -> dict[str, float]:
    """Seconds of the cycle (median), and of loading what analysts need into a fresh process."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")
    os.environ.setdefault("ANALYST_KEY", "a key")
    plans: dict[str, Plan | None] = {
        "cycle_without_s": None,
        "cycle_with_s": saying(_answer),
        "cycle_hanging_s": lambda _number, _body: Hang(3 * SECONDS),
    }
    _cycle(plans["cycle_with_s"])
    figures = {name: statistics.median(_cycle(plan) for _ in range(REPEATS)) for name, plan in plans.items()}
    return {name: round(value, 2) for name, value in figures.items()} | {"analysts_load_s": _load_seconds()}


def _cycle(plan: Plan | None) -> float:
    """The cycle in which InboundAgent collapses, after a day on which it did well."""
    with model_server(plan or no_faults) as server, tempfile.TemporaryDirectory() as folder:
        fleet = fleet_with_analysts(shipped_fleet(), server.base_url, seconds=SECONDS)
        chosen = {"models": fleet.models, "agents": fleet.agents, "analysts": fleet.analysts} if plan else {}
        with installation(Path(folder) / "home", **chosen) as here:
            windows = here.closed_windows(HEALTHY_WINDOWS)
            for window in windows[:-1]:
                here.spans.add_tasks("InboundAgent", window, TASKS, failed=1)
            here.spans.add_tasks("InboundAgent", windows[-1], 2 * TASKS, failed=2 * TASKS)
            assert here.cycle(windows[0], windows[-2]).success
            began = time.perf_counter()
            assert here.cycle(windows[-1]).success
            seconds = time.perf_counter() - began
            with here.ledger() as book:
                assert book.incidents(windows[-1].start), "No incident was found."
            assert bool(server.calls) == (plan is not None)
    return seconds


def _answer(query: object) -> dict[str, object]:  # noqa: ARG001
    summary = summary_by_rules(incident())
    return {
        "cause_kind": "unknown",
        "confidence": 0.5,
        "what_changed": summary.what_changed,
        "likely_cause": summary.likely_cause,
        "what_to_do": summary.what_to_do,
    }


def _load_seconds() -> float:
    without = "import perf_pipeline.definitions as d; d.defs().get_repository_def()"
    with_analysts = f"{without}; import perf_pipeline.analysts.incidents, litellm"
    loads = [min(_seconds(code) for _ in range(REPEATS)) for code in (without, with_analysts)]
    return round(loads[1] - loads[0], 2)


def _seconds(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - began
