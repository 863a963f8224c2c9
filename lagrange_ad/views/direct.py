"""The numbers of a view with nothing to solve: groups evaluated at x, sparse derivatives at places fixed once.

What is eliminated has been inlined into what uses it. Takes the lowered program, and where x stands in the state. The
last state is remembered: optimizers ask for f, ∇f, c and their derivatives one after the other.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..execution import Executor
from ..expression import Array
from ..lowering import Lowered
from ..solution.full import Pattern


class Direct:
    """J and the rows after the objective's as functions of x, everything else in ``z`` (the state) being given."""

    def __init__(self, lowered: Lowered, executor: Executor, places: Array, z: Array) -> None:
        self.lowered, self.places = lowered, places
        self._objective, self._rows = executor.run(lowered.objective_groups), executor.run(lowered.constraint_groups)
        self._both = executor.run(lowered.objective_groups + lowered.constraint_groups)
        self._state, self._x = z.copy(), None if not len(places) else np.full(len(places), np.nan)
        self._first = lowered.objective_row + 1

    def give(self, z: Array) -> None:
        """Other values of what is given."""
        self._state, self._x = z.copy(), np.full(len(self.places), np.nan)

    def state(self, x: Array) -> Array:
        """The state at x; to be read only, and until the next call."""
        if self._x is None or not np.array_equal(self._x, x):
            self._state[self.places] = x
            self._x = np.array(x)
        return self._state

    def objective(self, x: Array) -> float:
        """J."""
        rows = np.zeros(self.lowered.n_all_rows)
        with np.errstate(all="ignore"):
            self._objective.values(self.state(x), rows)
        return float(rows[self._first - 1])

    def gradient(self, x: Array) -> Array:
        """∇J (n,)."""
        state = self.state(x)
        rows, w = np.zeros(self.lowered.n_all_rows), np.zeros(len(state))
        rows[self._first - 1] = 1.0
        with np.errstate(all="ignore"):
            self._objective.adjoint(state, rows, w)
        return w[self.places]

    def constraints(self, x: Array) -> Array:
        """The rows (m,)."""
        rows = np.zeros(self.lowered.n_all_rows)
        with np.errstate(all="ignore"):
            self._rows.values(self.state(x), rows)
        return rows[self._first :]

    @cached_property
    def _column(self) -> Array:
        number = np.full(self.lowered.state.size, -1, dtype=np.int64)
        number[self.places] = np.arange(len(self.places))
        return number

    @cached_property
    def _jacobian(self) -> Pattern:
        i, j = self._rows.jacobian_pattern()
        m = self.lowered.constraint_rows.size
        return Pattern(i - self._first, self._column[j], (m, len(self.places)))

    @cached_property
    def jacobian_structure(self) -> tuple[Array, Array]:
        """(rows, variables) of the numbers of :meth:`jacobian`."""
        pattern = self._jacobian
        return pattern.rows.astype(np.int32), pattern.columns

    def jacobian(self, x: Array) -> Array:
        """The numbers of ∂c/∂x."""
        with np.errstate(all="ignore"):
            return self._rows.jacobian_sums(self.state(x), self._jacobian.slot, self._jacobian.size)[:-1]

    @cached_property
    def _hessian(self) -> Pattern:
        i, j = (self._column[place] for place in self._both.hessian_pattern())
        outside = (i < 0) | (j < 0)
        low, high = np.where(outside, -1, np.minimum(i, j)), np.where(outside, -1, np.maximum(i, j))
        return Pattern(high, low, (len(self.places), len(self.places)))

    @cached_property
    def hessian_structure(self) -> tuple[Array, Array]:
        """(i, j), i ≥ j, of the numbers of :meth:`hessian`."""
        pattern = self._hessian
        return pattern.rows.astype(np.int32), pattern.columns

    def _weights(self, sigma: float, y: Array) -> Array:
        rows = np.zeros(self.lowered.n_all_rows)
        rows[self._first - 1] = sigma
        rows[self._first :] = y
        return rows

    def hessian(self, x: Array, sigma: float, y: Array) -> Array:
        """The numbers of σ∇²J + Σ y_i ∇²c_i, its lower triangle."""
        slot, size = self._hessian.slot, self._hessian.size
        with np.errstate(all="ignore"):
            return self._both.hessian_sums(self.state(x), self._weights(sigma, y), slot, size)[:-1]

    def hessian_product(self, x: Array, sigma: float, y: Array, v: Array) -> Array:
        """(σ∇²J + Σ y_i ∇²c_i)·v (n,)."""
        state = self.state(x)
        dz, w = np.zeros(len(state)), np.zeros(len(state))
        dz[self.places] = v
        with np.errstate(all="ignore"):
            self._both.hessian_product(state, dz, self._weights(sigma, y), w)
        return w[self.places]
