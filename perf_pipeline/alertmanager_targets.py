"""The Alertmanagers among fleet.yaml's targets, as Dagster resources."""

from __future__ import annotations

from typing import Any

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_people import AlertmanagerTarget
from resources.alertmanager import AlertmanagerResource


def alertmanager_key(target: str) -> str:
    """The key of the resource behind a target."""
    return f"alertmanager_{target}"


def alertmanager_resources(fleet: FleetConfig) -> dict[str, AlertmanagerResource]:
    """The resources by their keys."""
    targets = fleet.notifications.targets.items()
    return {
        alertmanager_key(name): AlertmanagerResource(url=target.url)
        for name, target in targets
        if isinstance(target, AlertmanagerTarget)
    }


def alertmanager_targets(fleet: FleetConfig) -> tuple[str, ...]:
    return tuple(name for name, target in fleet.notifications.targets.items() if isinstance(target, AlertmanagerTarget))


def alertmanagers_of(resources: Any, fleet: FleetConfig) -> dict[str, AlertmanagerResource]:
    """The Alertmanagers by their targets, out of the resources that Dagster gives to a sensor."""
    return {target: getattr(resources, alertmanager_key(target)) for target in alertmanager_targets(fleet)}
