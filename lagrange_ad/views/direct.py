"""The numbers of a view with nothing to solve: rows evaluated at x, sparse derivatives at places fixed once.

Takes the full space of a plan without unknowns (auxiliaries excepted), with x for its columns. The last state is
remembered: optimizers ask for f, ∇f, c and their derivatives one after the other.
"""

from __future__ import annotations

import numpy as np

from ..expression import Array
from ..solution.full import FullSpace


class Direct:
    """J and rows as functions of x, everything else in ``z`` (the state) being given."""

    def __init__(self, space: FullSpace, z: Array) -> None:
        self.space = space
        self._state, self._x = z.copy(), np.full(len(space.columns), np.nan)

    @property
    def jacobian_structure(self) -> tuple[Array, Array]:
        """(rows, variables) of the numbers of :meth:`jacobian`."""
        return self.space.jacobian_structure

    @property
    def hessian_structure(self) -> tuple[Array, Array]:
        """(i, j), i ≥ j, of the numbers of :meth:`hessian`."""
        return self.space.hessian_structure

    def state(self, x: Array) -> Array:
        """The state at x; to be read only, and until the next call."""
        if not np.array_equal(self._x, x):
            self.space.put(self._state, x)
            self._x[:] = x
        return self._state

    def objective(self, x: Array) -> float:
        """J."""
        return float(self.space.objective(self.state(x)))

    def gradient(self, x: Array) -> Array:
        """∇J (n,)."""
        return self.space.gradient(self.state(x))

    def constraints(self, x: Array) -> Array:
        """The rows (m,)."""
        return self.space.residuals(self.state(x))

    def jacobian(self, x: Array) -> Array:
        """The numbers of ∂c/∂x."""
        return self.space.jacobian_numbers(self.state(x))

    def hessian(self, x: Array, sigma: float, y: Array) -> Array:
        """The numbers of σ∇²J + Σ y_i ∇²c_i, its lower triangle."""
        return self.space.hessian_numbers(self.state(x), y, sigma)

    def hessian_product(self, x: Array, sigma: float, y: Array, v: Array) -> Array:
        """(σ∇²J + Σ y_i ∇²c_i)·v (n,)."""
        return self.space.hessian_times(self.state(x), y, v, sigma)
