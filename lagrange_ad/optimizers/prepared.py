"""A problem as our own algorithms see it: fixed variables and rows without bounds left out, rows and objective scaled.

Takes any Problem, gives one that is smaller and scaled, and turns points and multipliers back. A ``Sample`` is what the
problem is at a point: where an evaluation has no value, or raises a LagrangeError, its numbers are NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import LagrangeError
from .monitor import Monitor, violation
from .problem import Answer, Array, Problem

SMALLEST = 1e-8
"""Rows and objectives are not scaled down by more than this."""
UNSCALED = 1e3
"""Rows must hold to the tolerance unscaled; those of steeper slopes to this part of it, scaled (rounding)."""


class Prepared(Problem):
    """f·s and c_i·d_i with s, d_i = min(1, largest/‖gradient at the start‖∞), over variables that can move.

    ``start`` gives multipliers of the original as this problem's, ``report`` and ``answer`` give points back.
    """

    def __init__(self, problem: Problem, monitor: Monitor, largest: float = 100.0) -> None:
        self.original, self._monitor = problem, monitor
        self.second_order, self._at = problem.second_order, np.clip(problem.x0, problem.lower, problem.upper)
        self.free = np.flatnonzero(problem.lower < problem.upper)
        self.kept = np.flatnonzero(np.isfinite(problem.row_lower) | np.isfinite(problem.row_upper))
        self.x0, self.lower, self.upper = self._at[self.free], problem.lower[self.free], problem.upper[self.free]
        if problem.coordinates is not None:
            self.coordinates = problem.coordinates[self.free]
        self._row, self._column = _places(self.kept, problem.m), _places(self.free, problem.n)
        self.jacobian_structure, self._jacobian_kept = _part(problem.jacobian_structure, self._row, self._column)
        if problem.hessian_structure is not None:
            self.hessian_structure, self._hessian_kept = _part(problem.hessian_structure, self._column, self._column)
        self.size, self.sizes = 1.0, np.ones(len(self.kept))
        self._scale(largest)
        self.row_lower = self.sizes * problem.row_lower[self.kept]
        self.row_upper = self.sizes * problem.row_upper[self.kept]

    def _scale(self, largest: float) -> None:
        """Sizes from the gradients at the start, 1 where they have no value."""
        row_lower = self.row_lower = np.zeros(len(self.kept))
        self.row_upper = row_lower
        sample = Sample(self, self.x0)
        steepest = np.zeros(self.m)
        np.maximum.at(steepest, self.jacobian_structure[0], np.abs(sample.jacobian_numbers))
        self.size = float(_size_of(np.max(np.abs(sample.gradient), initial=0.0), largest))
        self.sizes = _size_of(steepest, largest)

    def whole(self, x: Array) -> Array:
        """The point of the original problem."""
        full = self._at.copy()
        full[self.free] = x
        return full

    def objective(self, x: Array) -> float:
        return self.size * self.original.objective(self.whole(x))

    def gradient(self, x: Array) -> Array:
        return self.size * self.original.gradient(self.whole(x))[self.free]

    def constraints(self, x: Array) -> Array:
        return self.sizes * self.original.constraints(self.whole(x))[self.kept]

    def jacobian(self, x: Array) -> Array:
        numbers = self.original.jacobian(self.whole(x))[self._jacobian_kept]
        return np.asarray(numbers * self.sizes[self.jacobian_structure[0]])

    def hessian(self, x: Array, sigma: float, y: Array) -> Array:
        return self.original.hessian(self.whole(x), sigma * self.size, self._rows(y * self.sizes))[self._hessian_kept]

    def hessian_product(self, x: Array, sigma: float, y: Array, v: Array) -> Array:
        way = np.zeros(self.original.n)
        way[self.free] = v
        return self.original.hessian_product(
            self.whole(x), sigma * self.size, self._rows(y * self.sizes), way)[self.free]

    def variable_name(self, j: int) -> str:
        return self.original.variable_name(int(self.free[j]))

    def row_name(self, i: int) -> str:
        return self.original.row_name(int(self.kept[i]))

    # there and back -------------------------------------------------------------------------------------------

    def start(self, y0: Array | None, z0: Array | None) -> tuple[Array | None, Array | None]:
        """Multipliers of the original problem as those of this one."""
        y = None if y0 is None else y0[self.kept] * self.size / self.sizes
        return y, None if z0 is None else z0[self.free] * self.size

    def _rows(self, y: Array) -> Array:
        full = np.zeros(self.original.m)
        full[self.kept] = y
        return full

    def _multipliers(self, y: Array, z: Array) -> tuple[Array, Array]:
        full = np.zeros(self.original.n)
        full[self.free] = z / self.size
        return self._rows(y * self.sizes / self.size), full

    def report(self, sample: Sample, stationarity: float, y: Array, z: Array) -> None:
        """Tell the monitor of an iteration, in the original problem's numbers."""
        self._monitor.step(self.whole(sample.x), sample.f / self.size, self.violated(sample), stationarity / self.size,
                           *self._multipliers(y, z))

    def violated(self, sample: Sample) -> float:
        """The largest violation of a row or bound, unscaled."""
        rows = violation(sample.c / self.sizes, self.row_lower / self.sizes, self.row_upper / self.sizes)
        return max(rows, violation(sample.x, self.lower, self.upper))

    def left(self, excess: Array) -> float:
        """The largest of what scaled rows leave, as tolerances are compared with it: unscaled, by UNSCALED at most."""
        return size_of(excess / np.maximum(self.sizes, 1 / UNSCALED))

    def worst_row(self, sample: Sample) -> str:
        """The name of the row that is violated most."""
        excess = np.maximum(self.row_lower - sample.c, sample.c - self.row_upper) / self.sizes
        return self.row_name(int(np.argmax(excess))) if len(excess) else "no row"

    def answer(self, sample: Sample, reason: str, message: str, y: Array, z: Array, iterations: int) -> Answer:
        """The Answer to the original problem; a fixed variable's z is what is left of ∇f − Jᵀy."""
        rows, columns = self._multipliers(y, z)
        x, problem = self.whole(sample.x), self.original
        if len(self.free) < problem.n and sample.is_good:
            rest = _numbers(lambda: problem.gradient(x) - problem.jacobian_matrix(x).T @ rows, problem.n)
            fixed = problem.lower == problem.upper
            columns[fixed] = rest[fixed]
        return Answer(x, reason, message, rows, columns, iterations)

    def no_start(self, sample: Sample) -> Answer:
        """The answer where there is no value or no derivative at the start."""
        what = "derivative" if sample.is_good else "value"
        why = f" ({sample.trouble})" if sample.trouble else ""
        return self.answer(sample, "domain", f"there is no {what} at the start{why}: give another start",
                           np.zeros(self.m), np.zeros(self.n), 0)

    def no_feasible(self, sample: Sample, y: Array, done: int) -> Answer:
        """The answer where the violation of rows is at a minimum that is not zero."""
        message = (f"violations of the rows are at a minimum that is not zero: {self.worst_row(sample)} is violated by "
                   f"{self.violated(sample):.3g}; the rows contradict each other here, or another start is needed")
        return self.answer(sample, "infeasible", message, y, np.zeros(self.n), done)

    def is_stuck(self, sample: Sample, tolerance: float) -> bool:
        """Whether rows are violated well above the tolerance, but the sum of squares is stationary within bounds."""
        excess = sample.c - np.clip(sample.c, self.row_lower, self.row_upper)
        slope = projected(sample.x, sample.jacobian.T @ excess, self.lower, self.upper)
        return size_of(excess) > np.sqrt(tolerance) and size_of(slope) <= 1e-4 * size_of(excess)


class Sample:
    """A problem at x: f and c at once, derivatives when asked for; NaN where there is no value."""

    def __init__(self, problem: Problem, x: Array) -> None:
        self.problem, self.x = problem, x
        self.trouble = ""
        self.f = float(self._of(lambda: np.float64(problem.objective(x)), ()))
        self.c = self._of(lambda: problem.constraints(x), problem.m) if np.isfinite(self.f) else np.full(problem.m,
                                                                                                        np.nan)

    def _of(self, evaluate: Callable[[], Any], shape: Any) -> Array:
        try:
            return _numbers(evaluate, shape, reraise=True)
        except LagrangeError as error:
            self.trouble = str(error)
            return np.full(shape, np.nan)

    @property
    def is_good(self) -> bool:
        """Whether f and every row have a value."""
        return bool(np.isfinite(self.f) and np.isfinite(self.c).all())

    @property
    def is_smooth(self) -> bool:
        """Whether they have first derivatives too."""
        return self.is_good and bool(np.isfinite(self.gradient).all() and np.isfinite(self.jacobian_numbers).all())

    @cached_property
    def gradient(self) -> Array:
        """∇f (n,)."""
        return self._of(lambda: self.problem.gradient(self.x), self.problem.n)

    @cached_property
    def jacobian_numbers(self) -> Array:
        """The numbers of ∂c/∂x."""
        return self._of(lambda: self.problem.jacobian(self.x), len(self.problem.jacobian_structure[0]))

    @cached_property
    def jacobian(self) -> Any:
        """∂c/∂x, sparse (m, n)."""
        from scipy import sparse

        return sparse.csr_array((self.jacobian_numbers, self.problem.jacobian_structure),
                                shape=(self.problem.m, self.problem.n))

    def slope(self, y: Array) -> Array:
        """∇f − Jᵀy (n,)."""
        return np.asarray(self.gradient - self.jacobian.T @ y) if self.problem.m else self.gradient


def _numbers(evaluate: Callable[[], Any], shape: Any, reraise: bool = False) -> Array:
    """Numbers of an evaluation; NaN where it raises a LagrangeError, unless that is to go through."""
    try:
        with np.errstate(all="ignore"):
            return np.asarray(evaluate(), dtype=float)
    except LagrangeError:
        if reraise:
            raise
        return np.full(shape, np.nan)


def _size_of(steepest: Any, largest: float) -> Array:
    """min(1, largest/steepest), not less than SMALLEST; 1 where that is no number."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.maximum(np.minimum(1.0, largest / np.asarray(steepest)), SMALLEST)
    return np.where(np.isfinite(size), size, 1.0)


def _places(chosen: Array, total: int) -> Array:
    """Where each of ``total`` numbers stands among the chosen ones, −1 where it does not."""
    places = np.full(total, -1, dtype=np.int32)
    places[chosen] = np.arange(len(chosen), dtype=np.int32)
    return places


def _part(structure: tuple[Array, Array], row: Array, column: Array) -> tuple[tuple[Array, Array], Array]:
    """The structure of chosen rows and columns, and which numbers of the whole are in it."""
    rows, columns = row[structure[0]], column[structure[1]]
    kept = np.flatnonzero((rows >= 0) & (columns >= 0))
    return (rows[kept], columns[kept]), kept


def projected(x: Array, slope: Array, lower: Array, upper: Array) -> Array:
    """x − P(x − slope): what is left of a slope that must not lead out of bounds."""
    return np.asarray(np.clip(slope, x - upper, x - lower))


def size_of(vector: Array) -> float:
    """Largest absolute entry, 0 of none."""
    return float(np.max(np.abs(vector), initial=0.0))
