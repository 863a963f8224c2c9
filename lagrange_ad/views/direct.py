"""The numbers of a view with nothing to solve: rows evaluated at x, sparse derivatives at places fixed once.

Takes the full space of a plan without unknowns (auxiliaries excepted), with x for its columns. The last state is
remembered, a thread its own: optimizers ask for f, ∇f, c and their derivatives one after the other.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from ..expression import Array
from ..solution.full import FullSpace


class Direct:
    """J and rows as functions of x, everything else in ``z`` (the state) being given."""

    def __init__(self, space: FullSpace, z: Array) -> None:
        self.space, self._given = space, z.copy()
        self._here = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {"space": self.space, "_given": self._given}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._here = threading.local()

    @property
    def jacobian_structure(self) -> tuple[Array, Array]:
        """(rows, variables) of the numbers of :meth:`jacobian`."""
        return self.space.jacobian_structure

    @property
    def hessian_structure(self) -> tuple[Array, Array]:
        """(i, j), i ≥ j, of the numbers of :meth:`hessian`."""
        return self.space.hessian_structure

    def state(self, x: Array) -> Array:
        """The state at x; to be read only, and until this thread's next call."""
        here = self._here
        if not hasattr(here, "x"):
            here.state, here.x = self._given.copy(), np.full(len(self.space.columns), np.nan)
        if not np.array_equal(here.x, x):
            here.x[:] = np.nan  # a user's function may raise: then nothing is remembered
            self.space.put(here.state, x)
            here.x[:] = x
        found: Array = here.state
        return found

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
