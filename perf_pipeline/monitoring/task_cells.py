"""Tasks put together by their attribute values: what a scan for causes counts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Value = tuple[str, str]
"""An attribute and one of its values."""

COUNTS = ("affected", "tasks", "usual_affected", "usual_tasks")
SEVERAL = "\n"
"""Separates the values of an attribute of which a task may have several, such as the tools that it used."""


@dataclass(frozen=True)
class Cells:
    """`has` tells which cell (row) has which of the `values` (column). The counts, one a cell: `affected` of `tasks`
    now, `usual_affected` of `usual_tasks` before. Values of the attributes in `reached` belong only to tasks that got
    so far: a tool that was called."""

    values: tuple[Value, ...]
    has: NDArray[np.bool_]
    affected: Floats
    tasks: Floats
    usual_affected: Floats
    usual_tasks: Floats
    reached: frozenset[str] = frozenset()


def cells_from(counts: pd.DataFrame, attributes: Sequence[str], reached: Collection[str] = ()) -> Cells:
    """`counts`: the attributes as text (missing where there is none, one value a line where there are several), and
    the four `COUNTS`. Rows with the same values are one cell. Values come in the order of the attributes."""
    totals = counts.groupby(list(attributes), dropna=False, sort=False, observed=True)[list(COUNTS)].sum()
    cells = totals.reset_index()
    values: list[Value] = []
    columns: list[NDArray[np.bool_]] = []
    for attribute in attributes:
        numbers, texts = pd.factorize(cells[attribute])
        inside: dict[str, NDArray[np.bool_]] = {}
        for number, text in enumerate(texts):
            for value in str(text).split(SEVERAL):
                inside[value] = inside.get(value, np.zeros(len(cells), dtype=bool)) | (numbers == number)
        values += [(attribute, value) for value in inside]
        columns += inside.values()
    has = np.stack(columns, axis=1) if columns else np.zeros((len(cells), 0), dtype=bool)
    numbers_of = {name: cells[name].to_numpy(dtype=float) for name in COUNTS}
    return Cells(tuple(values), has, **numbers_of, reached=frozenset(reached))
