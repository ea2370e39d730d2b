"""Examples that the analysts' program is optimized on: simulated incidents, whose causes are known."""

from __future__ import annotations

import json
from collections.abc import Iterator

from perf_pipeline.monitoring.incident_facts import facts_of_incident
from perf_pipeline.simulated_incidents.incidents import incident_of, true_kind
from perf_pipeline.simulated_incidents.labelled import BATCH, labelled_incidents

FIRST_SEED = 100_000
"""Beyond the seeds that benchmarks draw their incidents from."""


def example_lines(count: int) -> Iterator[str]:
    """Lines as `fleet_targets.FileExamples` reads them. The same count gives the same lines."""
    for first in range(0, count, BATCH):
        seeds = range(FIRST_SEED + first, FIRST_SEED + min(first + BATCH, count))
        for labelled in labelled_incidents(seeds):
            inputs = {"facts": "\n".join(facts_of_incident(incident_of(labelled)))}
            yield json.dumps({"inputs": inputs, "expected": {"cause_kind": str(true_kind(labelled))}})
