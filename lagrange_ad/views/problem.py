"""A view as a problem on arrays: what every optimizer sees, whatever the program and the space.

Takes a view; gives its numbers in the shape of ``optimizers.Problem``. Where nothing but inputs and kept variables is
left to compute from, derivatives are the sparse ones of the groups; else those of the elimination.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..expression import Array
from ..optimizers import Problem

if TYPE_CHECKING:
    from .view import View


class ViewProblem(Problem):
    """minimize sign·J(x) within the bounds of a view; rows are its constraint values, in their order."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.x0, self.lower, self.upper = view.x0, view.lower, view.upper
        self.row_lower, self.row_upper = view.constraint_limits()
        n, m = len(self.x0), len(self.row_lower)
        self.jacobian_structure = (np.repeat(np.arange(m, dtype=np.int32), n), np.tile(np.arange(n, dtype=np.int32), m))

    @cached_property
    def coordinates(self) -> Array:  # type: ignore[override]
        """Which of x are kept unknowns of equations, and no decisions."""
        return self.view.space.coordinates

    def objective(self, x: Array) -> float:
        """sign·J."""
        return self.view.value(x)

    def gradient(self, x: Array) -> Array:
        """sign·dJ/dx."""
        return self.view.gradient(x)

    def constraints(self, x: Array) -> Array:
        """The constraint values."""
        return self.view.constraint_values(x)

    def jacobian(self, x: Array) -> Array:
        """The numbers of the Jacobian of the constraint values."""
        return np.ravel(self.view.dense_jacobian(x))

    def variable_name(self, j: int) -> str:
        """What x_j is called in the program."""
        return self.view.inputs.element(j)

    def row_name(self, i: int) -> str:
        """What a row is called in the program."""
        return self.view.constraint_element(i)
