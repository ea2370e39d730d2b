"""Least squares with two terms: the fit of both, and of one beside the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perf_pipeline.monitoring.detectors.least_squares import NormalEquations


def equations(x: np.ndarray, y: np.ndarray, value: np.ndarray) -> NormalEquations:
    """One agent's windows."""
    return NormalEquations(*(np.array([a @ b]) for a, b in ((x, x), (x, y), (y, y), (x, value), (y, value))))


@given(st.integers(0, 2**32 - 1), st.integers(3, 40))
def test_both_coefficients_are_those_of_the_fit(seed: int, windows: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, value = rng.uniform(0.5, 2, windows), rng.normal(size=windows), rng.normal(size=windows)
    (first, second), *_ = np.linalg.lstsq(np.stack([x, y], axis=1), value)
    sums = equations(x, y, value)
    assert sums.second() == pytest.approx([second], rel=1e-5, abs=1e-7)
    assert sums.first_beside(np.array([second])) == pytest.approx([first], rel=1e-5, abs=1e-7)
    assert sums.second_beside(np.array([first])) == pytest.approx([second], rel=1e-5, abs=1e-7)


def test_beside_a_second_term_of_nothing_the_first_explains_it_all() -> None:
    x, y = np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0])
    assert equations(x, y, 3 * x).first_beside(np.zeros(1)) == pytest.approx([3])


def test_terms_that_cannot_be_told_apart_give_a_number() -> None:
    x = np.array([1.0, 2.0])
    assert np.isfinite(equations(x, 2 * x, 3 * x).second()).all()
