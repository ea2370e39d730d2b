"""A test message to the targets of fleet.yaml, past the outbox, each on its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from perf_pipeline.alertmanager_targets import alertmanager_key
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_people import AlertmanagerTarget, NotificationKind
from perf_pipeline.installation import installed_resources
from perf_pipeline.messengers import messenger_key
from perf_pipeline.notifications.outbox import to_targets
from perf_pipeline.notifications.rendering import render
from perf_pipeline.notifications.trial_message import trial_alert, trial_message
from perf_pipeline.settings import Settings
from resources.reading import MessengerError


@dataclass(frozen=True)
class Trial:
    """What became of the test message to a target: where it went, or what is to be mended."""

    target: str
    kind: str
    ok: bool
    said: str


def trials(settings: Settings, fleet: FleetConfig, targets: Iterable[str], now: datetime) -> Iterator[Trial]:
    """Post to one target after the other; one that fails keeps none of the others from being tried."""
    resources = installed_resources(settings, fleet)
    for target in targets:
        kind = fleet.notifications.targets[target].kind
        try:
            yield Trial(target, kind, True, _post(resources, fleet, target, now))
        except (MessengerError, OSError) as error:
            yield Trial(target, kind, False, str(error))


def _post(resources: dict[str, object], fleet: FleetConfig, target: str, now: datetime) -> str:
    """Returns where it went. Raises MessengerError."""
    is_alertmanager = isinstance(fleet.notifications.targets[target], AlertmanagerTarget)
    key = alertmanager_key(target) if is_alertmanager else messenger_key(target)
    # Dagster resolves the variables that hold secrets, as it does for a sensor.
    with dg.build_resources({key: resources[key]}) as resolved:
        channel = getattr(resolved, key)
        if is_alertmanager:
            channel.show([trial_alert(target, now).payload()])
        else:
            name = f"test:{uuid.uuid4().hex}"
            [message] = to_targets(name, NotificationKind.TEST, trial_message(target, now), [target], now)
            channel.post(render(message), message.key)
        return channel.describe()
