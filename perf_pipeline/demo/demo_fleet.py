"""The demo's fleet file: the user's, but for whom it would tell. Nobody is to hear of simulated incidents."""

from __future__ import annotations

from pathlib import Path

import yaml

from perf_pipeline.fleet import FleetConfig, load_fleet
from perf_pipeline.fleet_people import NotificationsConfig

FILE = "fleet.yaml"


def demo_fleet(fleet_path: Path) -> FleetConfig:
    """The fleet of the file with the embedded channel as its only target. Raises FleetError."""
    fleet = load_fleet(fleet_path)
    alone = NotificationsConfig()
    quiet = {"targets": alone.targets, "routes": alone.routes, "escalate_to": ()}
    return fleet.model_copy(update={"notifications": fleet.notifications.model_copy(update=quiet)})


def write_fleet(fleet: FleetConfig, home: Path) -> None:
    """Write the fleet where `perf-pipeline dev --demo` reads it."""
    content = fleet.model_dump(mode="json", exclude_defaults=True)
    content["daily_summary_at"] = f"{fleet.daily_summary_at:%H:%M}"
    (home / FILE).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
