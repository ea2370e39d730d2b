"""How often tasks of each cell are affected usually, also where few or none of them were seen before."""

from __future__ import annotations

import numpy as np

from perf_pipeline.monitoring.task_cells import Cells, Floats

PRIOR_TASKS = 100.0
"""How many tasks of its own a cell needs to count as much as what its values say of it."""

ROUNDS = 5


def usual_rates(cells: Cells) -> Floats:
    """The expected share (0 to 1) of affected tasks a cell, from what was before.

    Each value's own rate multiplies the overall one (iterative proportional fitting, Deming and Stephan 1940), so a
    model that has always failed more is expected to go on so, alone and in combinations. A cell's own rate is then
    shrunk towards that as by a beta prior worth `PRIOR_TASKS`.
    """
    before, tasks = cells.usual_affected, cells.usual_tasks
    overall = (before.sum() + 0.5) / (tasks.sum() + 1)
    rates = np.full(len(tasks), overall)
    has = cells.has.astype(float)
    seen = before @ has
    for _ in range(ROUNDS):
        for column, count in enumerate(seen):
            # One affected task more than were seen and expected: a value seen seldom moves little.
            factor = (count + 1) / ((tasks * rates) @ has[:, column] + 1)
            rates = np.where(cells.has[:, column], rates * factor, rates)
    rates = np.minimum(rates, 1.0)
    return (before + PRIOR_TASKS * rates) / (tasks + PRIOR_TASKS)
