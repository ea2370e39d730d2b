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

LARGEST_EXACT_NUMBER = 2**53
NO_STRING = r'^["\[{tfn]'
"""How any JSON value begins that is no number."""


def text_column(column: pa.Array) -> pd.Series:
    """A column of texts."""
    return pd.Series(TEXT.__from_arrow__(column))


def value_column(column: pa.Array) -> pd.Series:
    """A column of jsonb: its strings, numbers and booleans; null, lists and objects as missing.

    As TEXT where all are strings, as float64 where all are numbers that it holds exactly, else as Python objects.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = _texts(column)
    if texts.null_count == len(texts):
        return pd.Series(None, index=range(len(texts)), dtype=TEXT)
    if pc.all(pc.starts_with(texts, '"')).as_py() and not pc.any(pc.match_substring(texts, "\\")).as_py():
        return text_column(pc.utf8_slice_codeunits(texts, 1, -1))
    if not pc.any(pc.match_substring_regex(texts, NO_STRING)).as_py():
        numbers = pc.cast(texts, pa.float64())
        if pc.max(pc.abs(numbers)).as_py() < LARGEST_EXACT_NUMBER:
            return numbers.to_pandas()
    return _decoded(texts, _scalar)


def last_text_column(column: pa.Array) -> pd.Series:
    """Of each list in a column of jsonb, the last value that is neither empty nor null, as TEXT; missing without one."""
    return _decoded(_texts(column), _last).astype(TEXT)


def _texts(column: pa.Array) -> pa.Array:
    """What PostgreSQL sent: the driver marks jsonb as a type of its own over its text."""
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
