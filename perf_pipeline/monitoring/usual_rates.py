"""How many tasks of each cell would usually be affected, also where few or none of them were seen before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perf_pipeline.monitoring.task_cells import Cells, Floats

PRIOR_TASKS = 100.0
"""How many tasks of its own a cell needs to count as much as what its values say of it."""

PRIOR_AFFECTED = 5.0
"""How many affected tasks a value needs to count as much as the assumption that it makes no difference."""

ROUNDS = 5


def expected_affected(cells: Cells) -> list[Floats]:
    """Affected tasks to expect in each cell, in one way or two.

    First by all values but those of the attributes that a task has only if it got so far. A task that failed before it
    called a tool has none, so nearly all that have none have failed: that must not be expected of the tasks of a model.
    Then by all values: of the tasks that got as far as to a tool, fewer are affected than of all.
    """
    reached = np.array([attribute in cells.reached for attribute, _ in cells.values], dtype=bool)
    by_all_values = cells.tasks * usual_rates(cells.has, cells.usual_affected, cells.usual_tasks)
    if not reached.any():
        return [by_all_values]
    return [cells.tasks * _of_groups(cells, cells.has[:, ~reached]), by_all_values]


def _of_groups(cells: Cells, has: NDArray[np.bool_]) -> Floats:
    """The rate of each cell, the same for all that have the same values."""
    kinds, place = np.unique(has, axis=0, return_inverse=True)
    before = np.bincount(place, cells.usual_affected, len(kinds)).astype(float)
    tasks = np.bincount(place, cells.usual_tasks, len(kinds)).astype(float)
    return usual_rates(kinds, before, tasks)[place]


def usual_rates(has: NDArray[np.bool_], before: Floats, tasks: Floats) -> Floats:
    """The expected share (0 to 1) of affected tasks of each row of `has`, whose columns are values, from the tasks
    `before` it that were affected.

    Each value's own rate multiplies the overall one (iterative proportional fitting, Deming and Stephan 1940), so a
    model that has always failed more is expected to go on so, alone and in combinations. A row's own rate is then
    shrunk towards that as by a beta prior worth `PRIOR_TASKS`.
    """
    overall = (before.sum() + 0.5) / (tasks.sum() + 1)
    rates = np.full(len(tasks), overall)
    seen = before @ has.astype(float)
    for _ in range(ROUNDS):
        for column, count in enumerate(seen):
            inside = has[:, column]
            factor = (count + PRIOR_AFFECTED) / ((tasks * rates)[inside].sum() + PRIOR_AFFECTED)
            rates = np.where(inside, rates * factor, rates)
    rates = np.minimum(rates, 1.0)
    return (before + PRIOR_TASKS * rates) / (tasks + PRIOR_TASKS)
