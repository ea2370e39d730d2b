"""Where the demo is, and the environment of whoever serves it: without any system of the outside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

DEMO_HOME = Path(".demo")
NO_DEMO = "There is no demo yet: run 'make demo' first."
EXTERNAL_SYSTEMS = ("PHOENIX_", "SUPABASE_", "RAILWAY_", "SLACK_", "PERF_PIPELINE_")


def demo_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process on the demo's data."""
    others = {name: value for name, value in environment.items() if not name.startswith(EXTERNAL_SYSTEMS)}
    places = {"PERF_PIPELINE_HOME": DEMO_HOME, "PERF_PIPELINE_FLEET": DEMO_HOME / "fleet.yaml"}
    return others | {name: str(path.absolute()) for name, path in places.items()}
