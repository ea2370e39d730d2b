"""No data collected: whether the sources answer, and whether agents are at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from perf_pipeline.doctor.finding import Concern, Examined, Finding, failed, ok, warning
from perf_pipeline.records import SourceStatus
from perf_pipeline.tables import AGENT_TASKS
from resources.reading import SourceError

LOOKED_AT = timedelta(minutes=5)
"""Of the immediate past: reading it proves address, credentials and rights, and costs little."""

AT_WORK_WITHIN = timedelta(days=1)


def source_checks(examined: Examined, now: datetime) -> Iterator[Finding]:
    """Each source is read as the pipeline reads it."""
    since = now - LOOKED_AT
    reads: dict[str, tuple[str, Callable[[Any], object]]] = {
        "spans": ("span_source", lambda source: [None for _ in source.read_spans(since, now)]),
        "logs": ("log_source", lambda source: source.read_logs(since, now)),
        "tasks": ("task_source", lambda source: source.read_task_states(since, now)),
    }
    for name, (key, read) in reads.items():
        yield _source_check(examined, name, key, read)


def _source_check(examined: Examined, name: str, key: str, read: Callable[[Any], object]) -> Finding:
    # Dagster resolves the variables that hold secrets, as it does for an asset.
    with dg.build_resources({key: examined.resources[key]}) as resolved:
        source = getattr(resolved, key)
        try:
            read(source)
        except SourceError as error:
            return failed(Concern.DATA, name, str(error))
        return ok(Concern.DATA, name, f"{source.describe()}: it answers.")


def collection_check(examined: Examined, now: datetime) -> Iterator[Finding]:
    """What the last windows say of the sources, which may have failed then and answer now."""
    health = examined.book.health(now - AT_WORK_WITHIN, now)
    if not health:
        yield warning(
            Concern.DATA,
            "collection",
            "No window of the last day was collected.",
            "Switch on monitoring_schedule, or run 'perf-pipeline trigger'.",
        )
        return
    lacking = [reading for reading in health if reading.status is not SourceStatus.COMPLETE]
    if not lacking:
        yield ok(Concern.DATA, "collection", f"All {len(health)} readings of the last day were complete.")
        return
    newest = lacking[-1]
    yield warning(
        Concern.DATA,
        "collection",
        f"{len(lacking)} of {len(health)} readings of the last day were not complete; of {newest.source} at "
        f"{newest.window_start:%H:%M} UTC: {newest.reason}",
        "missing_windows reads them again where that can help.",
    )


def agents_check(examined: Examined, now: datetime) -> Iterator[Finding]:
    """Whether the agents of fleet.yaml ran, and whether others did that it does not know."""
    tasks = examined.lake.read(AGENT_TASKS.view("agent", "start_time"), now - AT_WORK_WITHIN, now)
    seen = set(tasks["agent"].dropna().unique())
    names = set(examined.fleet.agent_names)
    if not seen & names:
        yield warning(
            Concern.DATA,
            "agents",
            "No agent of fleet.yaml did a task within the last day.",
            "Check that the agents run, are traced to the project that is read, and set one of agent_attributes: "
            f"{', '.join(examined.fleet.agent_attributes)}.",
        )
    elif idle := sorted(names - seen):
        yield warning(
            Concern.DATA, "agents", f"Without a task within a day: {', '.join(idle)}.", "Check that they run."
        )
    else:
        yield ok(Concern.DATA, "agents", f"All {len(names)} agents did tasks within the last day.")
    if unknown := sorted(seen - names - set(examined.fleet.ignored_agents)):
        yield warning(
            Concern.DATA,
            "unknown agents",
            f"Not in fleet.yaml: {', '.join(unknown)}.",
            "Add them to agents or ignored_agents.",
        )
