"""The combinations of attribute values that occur, and what they count, all at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from perf_pipeline.monitoring.task_cells import Cells, Floats

Numbers = NDArray[np.intp]
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
    members: Numbers
    orders: Numbers
    blocks: tuple[_Block, ...]
    kept: tuple[NDArray[np.bool_], ...]

    def __len__(self) -> int:
        return len(self.members)

    @classmethod
    def of(cls, cells: Cells, order: int) -> Combinations:
        places = _places(cells)
        blocks = _blocks(cells, places, order)
        now = {block.attributes: block.sums(cells.tasks) for block in blocks}
        kept, rows, orders = [], [], []
        for block in blocks:
            tasks = now[block.attributes]
            says_more = tasks > 0
            if len(block.attributes) == 1:
                is_new = block.sums(cells.usual_tasks) <= NEW * cells.usual_tasks.sum()
                says_more &= (tasks < cells.tasks.sum()) | is_new
            else:
                for position in range(len(block.attributes)):
                    shorter = block.attributes[:position] + block.attributes[position + 1 :]
                    says_more &= tasks < np.expand_dims(now[shorter], position)
            found = np.argwhere(says_more)
            numbers = np.full((len(found), order), -1, dtype=np.intp)
            for position, attribute in enumerate(block.attributes):
                numbers[:, position] = places[attribute][found[:, position]]
            kept.append(says_more)
            rows.append(numbers)
            orders.append(np.full(len(found), len(block.attributes), dtype=np.intp))
        members = np.concatenate([np.zeros((0, order), dtype=np.intp), *rows])
        return cls(cells, members, np.concatenate([np.zeros(0, dtype=np.intp), *orders]), tuple(blocks), tuple(kept))

    def sums(self, counts: Floats) -> Floats:
        """The sum of the cells' counts within each combination."""
        return np.concatenate([block.sums(counts)[kept] for block, kept in zip(self.blocks, self.kept, strict=True)])

    def is_new(self) -> NDArray[np.bool_]:
        """Which combinations hardly any tasks had before."""
        before = self.sums(self.cells.usual_tasks) / max(self.cells.usual_tasks.sum(), 1)
        return before <= NEW * self.sums(self.cells.tasks) / max(self.cells.tasks.sum(), 1)

    def inside(self, number: int) -> NDArray[np.bool_]:
        """Which cells have all the values of a combination."""
        return np.all(self.cells.has[:, self.members[number, : self.orders[number]]], axis=1)

    def values(self, number: int) -> dict[str, str]:
        return dict(self.cells.values[member] for member in self.members[number, : self.orders[number]])


@dataclass(frozen=True)
class _Block:
    """All combinations of the values of some attributes: `place[i]` is the one, of an array of `shape`, that cell
    `cell[i]` has. A cell that has several values of an attribute is there several times."""

    attributes: Attributes
    shape: tuple[int, ...]
    cell: Numbers
    place: Numbers

    def sums(self, counts: Floats) -> Floats:
        size = int(np.prod(self.shape))
        return np.bincount(self.place, counts[self.cell], size).astype(float).reshape(self.shape)

    def joined(self, other: _Block) -> _Block:
        """With the values of one attribute more. Both are in order of their cells."""
        cells = max(self.cell.max(initial=-1), other.cell.max(initial=-1)) + 1
        several = np.bincount(other.cell, minlength=cells)
        begins = np.cumsum(several) - several
        times = several[self.cell]
        within = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        theirs = other.place[np.repeat(begins[self.cell], times) + within]
        place = np.repeat(self.place, times) * other.shape[0] + theirs
        return _Block(self.attributes + other.attributes, self.shape + other.shape, np.repeat(self.cell, times), place)


def _places(cells: Cells) -> list[Numbers]:
    """For each attribute the numbers of its values."""
    names = [name for name, _ in cells.values]
    return [np.array([at for at, one in enumerate(names) if one == name]) for name in dict.fromkeys(names)]


def _blocks(cells: Cells, places: list[Numbers], order: int) -> list[_Block]:
    singles = []
    for attribute, place in enumerate(places):
        cell, value = np.nonzero(cells.has[:, place])
        singles.append(_Block((attribute,), (len(place),), cell, value))
    blocks = {block.attributes: block for block in singles}
    for length in range(2, order + 1):
        for attributes in combinations(range(len(places)), length):
            blocks[attributes] = blocks[attributes[:-1]].joined(singles[attributes[-1]])
    return list(blocks.values())
