"""Who would hear of a message, and when, as fleet.yaml says: for the person who writes its routes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from perf_pipeline.fleet_model import Severity
from perf_pipeline.fleet_people import SLACK, AlertmanagerTarget, NotificationKind, NotificationsConfig
from perf_pipeline.notifications.routing import routed_names, targets_of


@dataclass(frozen=True)
class Hearer:
    """A target of fleet.yaml, its kind, and when it hears."""

    target: str
    kind: str
    when: str


def hearers(
    config: NotificationsConfig, kind: NotificationKind, agents: Collection[str], severity: Severity | None = None
) -> list[Hearer]:
    """The targets in the order in which they hear; none for an alert below `alert_from`.

    An alert without a severity is taken as a high one.
    """
    if kind is not NotificationKind.ALERT:
        names = targets_of(config, kind, agents, severity)
        # Approvals are always asked in Slack too, where they can be answered.
        at_once = dict.fromkeys([SLACK, *names] if kind is NotificationKind.APPROVAL else names)
        return [_hearer(config, name, "at once") for name in at_once]
    severity = severity or Severity.HIGH
    if severity.rank < config.alert_from.rank:
        return []
    found = [
        _hearer(
            config,
            name,
            "shown every minute" if isinstance(config.targets[name], AlertmanagerTarget) else "at once",
        )
        for name in routed_names(config, kind, agents, severity)
    ]
    late = f"after {config.acknowledge_within_minutes:g} min, where nobody has acknowledged it"
    return found + [_hearer(config, name, late) for name in config.escalate_to]


def _hearer(config: NotificationsConfig, name: str, when: str) -> Hearer:
    return Hearer(name, config.targets[name].kind, when)
