"""How often the true causes of simulated incidents come first, and among the first three."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import pandas as pd

from benchmarks.root_cause.rivals import RANKINGS
from perf_pipeline.simulated_incidents.kinds import Values
from perf_pipeline.simulated_incidents.labelled import LabelledIncident

COLUMNS = ["ranking", "kind", "seed", "top1", "top3", "any_of_top3", "milliseconds"]


def hits(incidents: Iterable[LabelledIncident], rankings: Iterable[str] = tuple(RANKINGS)) -> pd.DataFrame:
    """One row an incident and ranking, with `COLUMNS`: see `hit`."""
    rows = []
    for incident in incidents:
        for name in rankings:
            began = time.perf_counter()
            ranked = RANKINGS[name](incident)
            took = 1000 * (time.perf_counter() - began)
            rows.append((name, incident.kind, incident.seed, *hit(ranked, incident.causes), took))
    return pd.DataFrame(rows, columns=COLUMNS)


def hit(ranked: Sequence[Values], causes: Sequence[Values]) -> tuple[bool, bool, bool]:
    """Whether the first is a true cause, exactly, no value more or less; whether all true causes are among the first
    three; whether any is."""
    first = ranked[:3]
    return (
        any(one in causes for one in first[:1]),
        all(cause in first for cause in causes),
        any(cause in first for cause in causes),
    )
