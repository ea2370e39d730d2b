"""Which targets hear of a message: all those that a matching route of fleet.yaml names."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase

from perf_pipeline.fleet_model import Severity
from perf_pipeline.fleet_people import AlertmanagerTarget, NotificationKind, NotificationsConfig, Route


def targets_of(
    config: NotificationsConfig,
    kind: NotificationKind,
    agents: Collection[str] = (),
    severity: Severity | None = None,
) -> tuple[str, ...]:
    """The names of the targets, in the order of the routes, each once.

    A route that asks for severities or agents does not match a message that has none. Alertmanager gets no messages:
    it is shown the incidents as they are.
    """
    names = routed_names(config, kind, agents, severity)
    return tuple(name for name in names if not isinstance(config.targets[name], AlertmanagerTarget))


def routed_names(
    config: NotificationsConfig, kind: NotificationKind, agents: Collection[str], severity: Severity | None
) -> tuple[str, ...]:
    """All that the matching routes name, Alertmanager among them, in their order, each once."""
    matching = [route for route in config.routes if _matches(route, kind, agents, severity)]
    return tuple(dict.fromkeys(name for route in matching for name in route.to))


def _matches(route: Route, kind: NotificationKind, agents: Collection[str], severity: Severity | None) -> bool:
    return (
        (not route.kinds or kind in route.kinds)
        and (not route.severities or severity in route.severities)
        and (not route.agents or any(fnmatchcase(agent, pattern) for agent in agents for pattern in route.agents))
    )
