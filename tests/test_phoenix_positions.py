"""Where the question for late spans goes on: nothing that arrived is skipped, whatever happened to the ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.phoenix_positions import IDS_LOOKED_BACK, first_number_to_look_at, span_cursor, span_number
from resources.reading import PhoenixError


def span_id(number: int) -> str:
    cursor = span_cursor(number)
    assert cursor is not None
    return cursor


@given(st.integers(1, 2**60))
def test_a_cursor_names_the_span_of_its_number(number: int) -> None:
    assert span_number(span_id(number)) == number


def test_a_span_that_was_committed_after_one_with_a_larger_id_is_looked_at() -> None:
    assert first_number_to_look_at(span_id(5000), span_id(5000)) == 5000 - IDS_LOOKED_BACK
    assert first_number_to_look_at(span_id(7), span_id(9000)) == 0


def test_in_a_database_that_was_set_up_anew_everything_is_looked_at() -> None:
    assert first_number_to_look_at(span_id(151_000), span_id(3)) == 0


def test_without_a_position_everything_is_looked_at() -> None:
    assert first_number_to_look_at(None, span_id(9000)) == 0
    assert span_cursor(0) is None


@pytest.mark.parametrize("position", ["", "17", "U3BhbjpYWQ==", "{}"])
def test_what_is_no_span_s_id_is_named(position: str) -> None:
    with pytest.raises(PhoenixError, match="not an id of Phoenix's spans"):
        span_number(position)
