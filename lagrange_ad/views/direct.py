"""The numbers of a view with nothing to solve: groups evaluated at x, sparse derivatives at places fixed once.

What is eliminated has been inlined into what uses it. Takes the lowered program, and where x stands in the state. The
last state is remembered: optimizers ask for f, ∇f, c and their derivatives one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from ..execution import Executor
from ..expression import Array
from ..lowering import Lowered
from ..solution.full import Pattern

Numbers = Callable[..., Array]


class Direct:
    """J and the rows after the objective's as functions of x, everything else in ``z`` (the state) being given.

    Rows are counted here as 0, 1, …, the objective's after them.
    """

    def __init__(self, lowered: Lowered, executor: Executor, places: Array, z: Array) -> None:
        self.lowered, self.places, self._m = lowered, places, lowered.constraint_rows.size
        row = np.arange(lowered.n_all_rows) - (lowered.objective_row + 1)
        rows = [group.with_rows(row) for group in lowered.constraint_groups]
        last = [group.with_rows(np.full_like(row, self._m)) for group in lowered.objective_groups]
        alone = [group.with_rows(np.zeros_like(row)) for group in lowered.objective_groups]
        self._objective, self._rows = executor.run(alone), executor.run(rows)
        self._both = executor.run([*last, *rows])
        self._state, self._x = z.copy(), None if not len(places) else np.full(len(places), np.nan)

    def give(self, z: Array) -> None:
        """Other values of what is given."""
        self._state, self._x = z.copy(), np.full(len(self.places), np.nan)

    def state(self, x: Array) -> Array:
        """The state at x; to be read only, and until the next call."""
        if self._x is None or not np.array_equal(self._x, x):
            self._state[self.places] = x
            self._x = np.array(x)
        return self._state

    @cached_property
    def _values(self) -> tuple[Numbers, Numbers]:
        """J in an array of one, and the rows."""
        none = np.empty(0, dtype=np.int64)
        return self._objective.prepared_residuals(1, none, none), self._rows.prepared_residuals(self._m, none, none)

    def objective(self, x: Array) -> float:
        """J."""
        return float(self._values[0](self.state(x))[0])

    @cached_property
    def _slope(self) -> Numbers:
        return self._objective.prepared_gradient(self.lowered.state.size, self.places)

    def gradient(self, x: Array) -> Array:
        """∇J (n,)."""
        return self._slope(self.state(x))

    def constraints(self, x: Array) -> Array:
        """The rows (m,)."""
        return self._values[1](self.state(x))

    @cached_property
    def _column(self) -> Array:
        number = np.full(self.lowered.state.size, -1, dtype=np.int64)
        number[self.places] = np.arange(len(self.places))
        return number

    @cached_property
    def _jacobian(self) -> tuple[Pattern, Numbers]:
        i, j = self._rows.jacobian_pattern()
        pattern = Pattern(i, self._column[j], (self._m, len(self.places)))
        return pattern, self._rows.prepared_sums("jacobian", pattern.slot, np.zeros(pattern.size))

    @cached_property
    def jacobian_structure(self) -> tuple[Array, Array]:
        """(rows, variables) of the numbers of :meth:`jacobian`."""
        return self._jacobian[0].rows, self._jacobian[0].columns

    def jacobian(self, x: Array) -> Array:
        """The numbers of ∂c/∂x."""
        return self._jacobian[1](self.state(x))

    @cached_property
    def _hessian(self) -> tuple[Pattern, Numbers]:
        i, j = (self._column[place] for place in self._both.hessian_pattern())
        outside = (i < 0) | (j < 0)
        low, high = np.where(outside, -1, np.minimum(i, j)), np.where(outside, -1, np.maximum(i, j))
        pattern = Pattern(high, low, (len(self.places), len(self.places)))
        return pattern, self._both.prepared_sums("hessian", pattern.slot, np.zeros(pattern.size))

    @cached_property
    def hessian_structure(self) -> tuple[Array, Array]:
        """(i, j), i ≥ j, of the numbers of :meth:`hessian`."""
        return self._hessian[0].rows, self._hessian[0].columns

    def _weights(self, sigma: float, y: Array) -> Array:
        """λ of the rows, then of the objective."""
        weights = np.empty(self._m + 1)
        weights[:-1], weights[-1] = y, sigma
        return weights

    def hessian(self, x: Array, sigma: float, y: Array) -> Array:
        """The numbers of σ∇²J + Σ y_i ∇²c_i, its lower triangle."""
        return self._hessian[1](self.state(x), self._weights(sigma, y))

    def hessian_product(self, x: Array, sigma: float, y: Array, v: Array) -> Array:
        """(σ∇²J + Σ y_i ∇²c_i)·v (n,)."""
        state = self.state(x)
        dz, w = np.zeros(len(state)), np.zeros(len(state))
        dz[self.places] = v
        with np.errstate(all="ignore"):
            self._both.hessian_product(state, dz, self._weights(sigma, y), w)
        return w[self.places]
