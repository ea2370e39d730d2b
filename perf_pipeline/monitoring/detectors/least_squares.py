"""Least squares with two terms, for all agents at once: `value ≈ first · x + second · y`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SINGULAR = 1e-9
"""A determinant below this is one of terms that cannot be told apart."""


@dataclass(frozen=True)
class NormalEquations:
    """Sums over the windows of each agent; weights and priors are part of them.

    `first · x_x + second · x_y = x_value` and `first · x_y + second · y_y = y_value`.
    """

    x_x: np.ndarray
    x_y: np.ndarray
    y_y: np.ndarray
    x_value: np.ndarray
    y_value: np.ndarray

    def second(self) -> np.ndarray:
        """The second coefficient of the fit of both."""
        determinant = np.maximum(self.x_x * self.y_y - self.x_y * self.x_y, SINGULAR)
        return (self.x_x * self.y_value - self.x_y * self.x_value) / determinant

    def first_beside(self, second: np.ndarray) -> np.ndarray:
        """The best first coefficient where the second is given, such as one that was held within its limits."""
        return (self.x_value - self.x_y * second) / self.x_x

    def second_beside(self, first: np.ndarray) -> np.ndarray:
        return (self.y_value - self.x_y * first) / self.y_y
