"""Columns of jsonb come into pandas with the values that their JSON has."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perf_pipeline.tables import TEXT
from resources.jsonb_columns import last_text_column, text_column, value_column

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
NUMBERS = st.integers(-(2**63), 2**64) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = TEXTS | NUMBERS | st.booleans()
STRUCTURES = st.lists(SCALARS, max_size=2) | st.dictionaries(TEXTS, SCALARS, max_size=2)
MISSING = st.none()


def jsonb(values: Sequence[object]) -> pa.Array:
    """As the driver gives a column: None is SQL's NULL."""
    texts = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
    return pa.array(texts, pa.json_())


@given(
    st.lists(MISSING | TEXTS)
    | st.lists(MISSING | NUMBERS)
    | st.lists(MISSING | st.booleans())
    | st.lists(MISSING | SCALARS | STRUCTURES)
)
def test_strings_numbers_and_booleans_keep_value_and_kind_and_all_else_is_missing(values: list[object]) -> None:
    read = value_column(jsonb(values)).tolist()
    assert len(read) == len(values)
    for value, found in zip(values, read, strict=True):
        if value is None or isinstance(value, list | dict):
            assert pd.isna(found)
        else:
            assert found == value
            assert isinstance(found, str) == isinstance(value, str)
            assert isinstance(found, bool) == isinstance(value, bool)


def test_a_json_null_is_missing() -> None:
    assert value_column(pa.array(["null", '"x"', None], pa.json_())).tolist() == [None, "x", None]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [(["a", None], TEXT), ([None, None], TEXT), ([], TEXT), ([1, 2.5, None], "float64"), ([1, "a"], object)],
)
def test_columns_of_one_kind_are_no_python_objects(values: list[object], dtype: object) -> None:
    assert value_column(jsonb(values)).dtype == dtype


def test_the_last_text_of_a_list_is_neither_empty_nor_null() -> None:
    lists = [["A", "B"], ["A", "", None], [""], [], None, [5]]
    assert last_text_column(jsonb(lists)).fillna("-").tolist() == ["B", "A", "-", "-", "-", "5"]


def test_texts_are_read_as_the_tables_hold_them() -> None:
    texts = text_column(pa.array(["a", None, ""]))
    assert texts.dtype == TEXT
    assert texts.fillna("-").tolist() == ["a", "-", ""]
