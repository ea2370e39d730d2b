"""The messengers of fleet.yaml's targets, as Dagster resources: one for each target that gets messages."""

from __future__ import annotations

from typing import Any

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_people import AlertmanagerTarget
from resources.messenger import Messenger


def message_targets(fleet: FleetConfig) -> tuple[str, ...]:
    """The targets that messages go to. Alertmanager gets none: it is shown the incidents as they are."""
    targets = fleet.notifications.targets
    return tuple(name for name, target in targets.items() if not isinstance(target, AlertmanagerTarget))


def messenger_key(target: str) -> str:
    """The key of the resource behind a target."""
    return f"messenger_{target}"


def messenger_keys(fleet: FleetConfig) -> set[str]:
    return {messenger_key(target) for target in message_targets(fleet)}


def messengers_of(resources: Any, fleet: FleetConfig) -> dict[str, Messenger]:
    """The messengers by their targets, out of the resources that Dagster gives to a sensor."""
    return {target: getattr(resources, messenger_key(target)) for target in message_targets(fleet)}
