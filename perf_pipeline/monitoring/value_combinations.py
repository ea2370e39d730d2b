"""The combinations of attribute values that occur, and what they count, all at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from perf_pipeline.monitoring.task_cells import Cells, Floats

Attributes = tuple[int, ...]

NEW = 0.1
"""A value is new if its share of the tasks was at most this part of what it is now."""


@dataclass(frozen=True)
class Combinations:
    """Combinations of up to `order` values of different attributes that tasks have now, the short ones first.

    Each has fewer tasks than any shorter one that it is made of, now, or it would say no more than that. A single value
    that all tasks have now is one only if it is new.
    `members` are the numbers of a combination's values, one row each, filled up with -1; `orders` their count.
    """

    cells: Cells
    members: NDArray[np.intp]
    orders: NDArray[np.intp]
    kept: dict[Attributes, NDArray[np.bool_]]

    def __len__(self) -> int:
        return len(self.members)

    @classmethod
    def of(cls, cells: Cells, order: int) -> Combinations:
        now, before = _block_sums(cells, cells.tasks, order), _block_sums(cells, cells.usual_tasks, 1)
        places = _places(cells)
        kept: dict[Attributes, NDArray[np.bool_]] = {}
        rows, orders = [], []
        for attributes, tasks in now.items():
            says_more = tasks > 0
            for position in range(len(attributes)):
                shorter = attributes[:position] + attributes[position + 1 :]
                fewer_now = tasks < np.expand_dims(now[shorter], position) if shorter else tasks < cells.tasks.sum()
                if not shorter:
                    fewer_now |= before[attributes] <= NEW * cells.usual_tasks.sum()
                says_more &= fewer_now
            kept[attributes] = says_more
            found = np.argwhere(says_more)
            numbers = np.full((len(found), order), -1, dtype=np.intp)
            for position, attribute in enumerate(attributes):
                numbers[:, position] = places[attribute][found[:, position]]
            rows.append(numbers)
            orders.append(np.full(len(found), len(attributes), dtype=np.intp))
        members = np.concatenate(rows) if rows else np.zeros((0, order), dtype=np.intp)
        return cls(cells, members, np.concatenate(orders) if orders else np.zeros(0, dtype=np.intp), kept)

    def sums(self, counts: Floats) -> Floats:
        """The sum of the cells' counts within each combination."""
        blocks = _block_sums(self.cells, counts, self.members.shape[1])
        return np.concatenate([blocks[attributes][kept] for attributes, kept in self.kept.items()])

    def is_new(self) -> NDArray[np.bool_]:
        """Which combinations hardly any tasks had before."""
        before = self.sums(self.cells.usual_tasks) / max(self.cells.usual_tasks.sum(), 1)
        return before <= NEW * self.sums(self.cells.tasks) / max(self.cells.tasks.sum(), 1)

    def inside(self, number: int) -> NDArray[np.bool_]:
        """Which cells have all the values of a combination."""
        return np.all(self.cells.has[:, self.members[number, : self.orders[number]]], axis=1)

    def values(self, number: int) -> dict[str, str]:
        return dict(self.cells.values[member] for member in self.members[number, : self.orders[number]])


def _places(cells: Cells) -> list[NDArray[np.intp]]:
    """For each attribute the numbers of its values."""
    names = [name for name, _ in cells.values]
    return [np.array([at for at, one in enumerate(names) if one == name]) for name in dict.fromkeys(names)]


def _block_sums(cells: Cells, counts: Floats, order: int) -> dict[Attributes, Floats]:
    """For every set of attributes, the short ones first, the counts of all their values' combinations: an array of
    one dimension an attribute."""
    places = _places(cells)
    has = [cells.has[:, place].astype(float) for place in places]
    blocks: dict[Attributes, Floats] = {}
    for length in range(1, min(order, len(places)) + 1):
        for attributes in combinations(range(len(places)), length):
            product = counts[:, None]
            for attribute in attributes[:-1]:
                product = (product[:, :, None] * has[attribute][:, None, :]).reshape(len(counts), -1)
            shape = [len(places[attribute]) for attribute in attributes]
            blocks[attributes] = (product.T @ has[attributes[-1]]).reshape(shape)
    return blocks
