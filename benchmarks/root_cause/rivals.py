"""Other rankings of the values that may be to blame, on the same tasks, affected by the same rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import pandas as pd
import pysubgroup

from perf_pipeline.monitoring.affected_tasks import AffectedTasks, affected_tasks
from perf_pipeline.monitoring.explanations import CHOSEN, NAMES, OBSERVED, deployments
from perf_pipeline.monitoring.findings import FAMILIES
from perf_pipeline.monitoring.nearby_changes import of_agent
from perf_pipeline.simulated_incidents.kinds import Values
from perf_pipeline.simulated_incidents.labelled import LabelledIncident

SHOWN = 3

Ranking = Callable[[LabelledIncident], list[Values]]


def ours(incident: LabelledIncident) -> list[Values]:
    """The explanations that the pipeline keeps with a finding."""
    evidence = incident.explained().evidence
    return [] if evidence is None else [one.values for one in evidence.explanations]


def most_frequent(incident: LabelledIncident) -> list[Values]:
    """The values that most affected tasks have, of what they were done with and of the errors and steps observed."""
    tasks = _tasks(incident)
    affected = _values(tasks.affected, incident)
    counts: Counter[tuple[str, str]] = Counter()
    for attribute in (*CHOSEN, *OBSERVED[tasks.trouble]):
        for value, has in _columns(affected, attribute).items():
            counts[attribute, value] = int(has.sum())
    return [{NAMES.get(attribute, attribute): value} for (attribute, value), _ in counts.most_common(SHOWN)]


def subgroups(incident: LabelledIncident) -> list[Values]:
    """pysubgroup's best descriptions of the affected tasks since the onset, of up to two values, by the weighted
    relative accuracy that its own examples use."""
    tasks = _tasks(incident)
    columns = {
        f"{attribute}={value}": has.to_numpy()
        for attribute in CHOSEN
        for value, has in _columns(_values(tasks.since, incident), attribute).items()
    }
    frame = pd.DataFrame({**columns, "affected": tasks.since["affected"].to_numpy()})
    selectors = [pysubgroup.EqualitySelector(name, True) for name in columns]
    task = pysubgroup.SubgroupDiscoveryTask(
        frame,
        pysubgroup.BinaryTarget("affected", True),
        selectors,
        result_set_size=SHOWN,
        depth=2,
        qf=pysubgroup.WRAccQF(),
    )
    found = pysubgroup.BeamSearch(beam_width=30).execute(task).to_descriptions()
    return [_named(str(selector.attribute_name) for selector in rule.selectors) for _, rule, *_ in found]


OURS, NAIVE, LIBRARY = "ours", "most frequent", "pysubgroup"
RANKINGS: dict[str, Ranking] = {OURS: ours, NAIVE: most_frequent, LIBRARY: subgroups}


def _tasks(incident: LabelledIncident) -> AffectedTasks:
    kind = incident.finding.type
    tasks = affected_tasks(FAMILIES[kind], kind, incident.tasks, incident.affected)
    assert tasks is not None
    return tasks


def _values(tasks: pd.DataFrame, incident: LabelledIncident) -> pd.DataFrame:
    own = of_agent(incident.finding.agent, incident.changes)
    return tasks.assign(deployment=deployments(tasks, own))


def _columns(tasks: pd.DataFrame, attribute: str) -> dict[str, pd.Series]:
    """Which tasks have each value."""
    lists = tasks[attribute].map(lambda text: text.split("\n") if isinstance(text, str) else [])
    values = sorted({value for one in lists for value in one})
    return {value: lists.map(lambda one, value=value: value in one).astype(bool) for value in values}


def _named(selectors: Iterable[str]) -> Values:
    pairs = (name.split("=", 1) for name in selectors)
    return {NAMES.get(attribute, attribute): value for attribute, value in pairs}
