"""Columns of an Arrow table that PostgreSQL filled, as pandas: texts, and jsonb values with the types of their JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perf_pipeline.tables import TEXT

if TYPE_CHECKING:
    import pyarrow as pa

EXACT = 2**53
"""Above it, floating point skips whole numbers."""

NUMBER = r"^[-0-9]"
"""How a JSON value begins that is a number."""


def text_column(column: pa.Array) -> pd.Series:
    """A column of texts."""
    import pyarrow as pa

    return column.to_pandas(types_mapper={pa.string(): TEXT}.get)


def value_column(column: pa.Array) -> pd.Series:
    """A column of jsonb: its strings, numbers and booleans; null, lists and objects as missing.

    As TEXT where all are strings, as float64 where all are numbers that it holds exactly, else as Python objects.
    """
    texts = text_column(_storage(column))
    present = texts.dropna()
    if present.str.startswith('"').all() and not present.str.contains("\\", regex=False).any():
        return texts.str.slice(1, -1)
    if present.str.match(NUMBER).all():
        numbers = pd.Series(pd.to_numeric(texts), dtype="float64")
        if numbers.abs().max() < EXACT:
            return numbers
    return _decoded(_storage(column), _scalar)


def last_text_column(column: pa.Array) -> pd.Series:
    """A column of lists in jsonb: of each, the last value that is neither empty nor null, as TEXT."""
    return _decoded(_storage(column), _last).astype(TEXT)


def _storage(column: Any) -> pa.Array:
    """The text of a jsonb column, which has a type of its own where PyArrow knows it."""
    return getattr(column, "storage", column)


def _decoded(texts: pa.Array, decode: Callable[[Any], object]) -> pd.Series:
    # A part of a window holds few different values of an attribute, so each is decoded once.
    encoded = texts.dictionary_encode()
    values = np.empty(len(encoded.dictionary) + 1, dtype=object)
    values[:-1] = [decode(json.loads(text)) for text in encoded.dictionary.to_pylist()]
    values[-1] = None
    which = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
    return pd.Series(values[which], dtype=object)


def _scalar(value: Any) -> object:
    return None if isinstance(value, list | dict) else value


def _last(values: list[Any]) -> str | None:
    present = [value for value in values if value]
    return str(present[-1]) if present else None
