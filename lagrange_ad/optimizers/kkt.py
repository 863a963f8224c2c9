"""The KKT conditions of a problem at a point: values and derivatives computed once, sizes to measure by, residuals.

    ∇f = Jᵀy + z        lower ≤ (x, c) ≤ bounds        y_i, z_j push at the bound they belong to, 0 elsewhere

Takes a Problem and arrays; gives numbers with the row or variable they are of. Scaled numbers are relative to sizes
that go with the units of rows and objective: see :class:`Scales`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .problem import Array, Problem

TOLERANCE = 1e-6
"""Scaled residuals up to this are those of a solution."""
APART = 0.1
"""A multiplier is no bound's where the gradient would change by more than this part of it on the way there."""
LARGE = 1e-4
"""Larger parts of the gradient than this are no leftovers of an interior point."""
NOISE = 1e-14
"""Scaled derivatives up to this are rounding."""
TINY = 1e-100
"""Smaller numbers are no sizes."""
MOST_PRODUCTS = 2000
"""Hessians of problems that have products alone are made of products up to this many columns."""


@dataclass(frozen=True, eq=False)
class Point:
    """A problem at x (n,) with multipliers y (m,), z (n,): what the KKT conditions need, each computed when first read.

    The Hessian is that of f − yᵀc. Evaluations raise what the problem raises.
    """

    problem: Problem
    x: Array
    y: Array
    z: Array

    @cached_property
    def objective(self) -> float:
        """f(x)."""
        return self.problem.objective(self.x)

    @cached_property
    def gradient(self) -> Array:
        """∇f (n,)."""
        return self.problem.gradient(self.x)

    @cached_property
    def values(self) -> Array:
        """c(x) (m,)."""
        return self.problem.constraints(self.x)

    @cached_property
    def jacobian(self) -> Any:
        """∂c/∂x, CSR (m, n)."""
        return self.problem.jacobian_matrix(self.x)

    @cached_property
    def hessian(self) -> Any:
        """∇²L, CSR (n, n); None where there are products alone, or no second derivatives."""
        if not self.problem.second_order or self.problem.hessian_structure is None:
            return None
        return self.problem.hessian_matrix(self.x, 1.0, -self.y)

    @cached_property
    def full_hessian(self) -> Any:
        """∇²L as a matrix, made of products where need be and n ≤ 2000; else None."""
        if self.hessian is not None or not self.problem.second_order or self.problem.n > MOST_PRODUCTS:
            return self.hessian
        return self.problem.hessian_matrix(self.x, 1.0, -self.y)

    def curvature(self, v: Array) -> Array:
        """∇²L v (n,)."""
        if self.hessian is not None:
            return np.asarray(self.hessian @ v)
        return self.problem.hessian_product(self.x, 1.0, -self.y, v)

    @cached_property
    def stationarity(self) -> Array:
        """∇f − Jᵀy − z (n,)."""
        return np.asarray(self.gradient - self.jacobian.T @ self.y - self.z)

    @cached_property
    def finite(self) -> bool:
        """Whether f, c and their first derivatives have values here."""
        with np.errstate(all="ignore"):
            numbers = (self.x, self.objective, self.gradient, self.values, self.jacobian.data)
        return all(bool(np.isfinite(some).all()) for some in numbers)

    @cached_property
    def terms(self) -> Array:
        """The largest term of each entry of the Lagrangian's gradient, or the change that x_j itself makes to it (n,).
        """
        return terms_with(self, np.abs(self.x))

    @cached_property
    def scales(self) -> Scales:
        """The sizes that residuals are measured by."""
        return scales_at(self)

    @cached_property
    def row_weight(self) -> Array:
        """Multipliers of rows as parts of the gradient: the largest |J_ij y_i| relative to the size of gradients."""
        return largest_by_row(abs(self.jacobian), 1.0 / self.scales.gradient) * np.abs(self.y)

    @cached_property
    def bound_weight(self) -> Array:
        """The same of multipliers of bounds."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.abs(self.z) / self.scales.gradient)


@dataclass(frozen=True, eq=False)
class Scales:
    """Sizes: of variables (n,), of rows (m,), and of the gradient's entries (n,).

    A variable's size is max(1, |x_j|), or the distance of its bounds where that is less. A row's is its bound or the
    largest change that a variable of its size makes to it; a gradient's entry has that of its largest term ∇f_j,
    J_ij y_i, z_j, or the change that x_j of its size makes to it, and 1 at least unless all gradients are less.
    """

    x: Array
    rows: Array
    gradient: Array


def scales_at(point: Point) -> Scales:
    """The sizes at a point."""
    problem, size = point.problem, abs(point.jacobian)
    x = sizes_of_variables(problem, point.x)
    bound = np.minimum(np.abs(problem.row_lower), np.abs(problem.row_upper))
    rows = np.maximum(largest_by_row(size, x), np.where(np.isfinite(bound), bound, 0.0))
    rows = _within(rows, problem.row_lower, problem.row_upper)
    terms = terms_with(point, x)
    largest = float(terms.max(initial=0.0)) if point.hessian is not None else 1.0
    floor = min(1.0, largest) if largest > 0.0 else 1.0
    return Scales(x, rows, np.maximum(terms, floor))


def own_sizes(point: Point) -> Scales:
    """The sizes that residuals are judged by, which units do not change where numbers tell them.

    A variable's is |x_j|, at the point or at the start, the larger one; at least 1 where the start is 0, which tells
    none. A row's is its bound or the largest J_ij·x_j; where the bound is 0, with the sizes of variables. Gradients are
    as in :class:`Scales`, the change that x_j makes being that of x_j itself.
    """
    problem, size = point.problem, abs(point.jacobian)
    begun = np.abs(problem.x0)
    x = np.maximum(np.abs(point.x), np.where((begun > TINY) & np.isfinite(begun), begun, 1.0))
    low, high = np.abs(problem.row_lower), np.abs(problem.row_upper)
    bound = np.minimum(np.where(low > 0.0, low, np.inf), np.where(high > 0.0, high, np.inf))
    bounded = np.isfinite(bound)
    rows = np.where(bounded, np.maximum(largest_by_row(size, np.abs(point.x)), np.where(bounded, bound, 0.0)),
                    largest_by_row(size, x))
    floor = min(1.0, float(point.scales.gradient.max(initial=0.0))) or 1.0
    return Scales(x, np.where(rows > TINY, rows, 1.0), np.maximum(point.terms, floor))


def terms_with(point: Point, x: Array) -> Array:
    """The largest term of each entry of the Lagrangian's gradient (n,), or the change that ``x`` ≥ 0 makes to it."""
    terms = np.maximum(np.abs(point.gradient), np.abs(point.z))
    terms = np.maximum(terms, largest_by_row(abs(point.jacobian).T.tocsr(), np.abs(point.y)))
    with np.errstate(invalid="ignore"):  # infinite curvature at 0
        curved = _curvature(point) * x
    return np.maximum(terms, np.where(np.isfinite(curved), curved, 0.0))  # infinite changes are no size


def _stationarity(point: Point, sizes: Array) -> Array:
    """|∂L/∂x_j| scaled (n,): by the sizes of gradients, or, where that makes more of it, what x_j can make of it beside
    the largest term of the Lagrangian; the latter does not change with units."""
    found, worth = np.abs(point.stationarity), float((point.terms * np.abs(point.x)).max(initial=0.0))
    scaled = found / sizes
    if point.hessian is None or not worth > TINY:
        return np.asarray(scaled)
    beyond_noise = np.where(scaled > NOISE, found, 0.0)
    return np.maximum(scaled, beyond_noise * np.abs(point.x) / worth)


def _curvature(point: Point) -> Array:
    """|∂²L/∂x_j²| (n,), 0 where it is not known."""
    return np.zeros(point.problem.n) if point.hessian is None else np.abs(point.hessian.diagonal())


def sizes_of_variables(problem: Problem, x: Array) -> Array:
    """max(1, |x_j|), or the distance of the bounds of x_j where that is less."""
    return _within(np.maximum(1.0, np.abs(x)), problem.lower, problem.upper)


def _within(size: Array, lower: Array, upper: Array) -> Array:
    """Sizes that are not larger than the distance of two bounds that differ; 1 where a size is 0."""
    with np.errstate(invalid="ignore"):
        width = upper - lower
    size = np.where(width > 0.0, np.minimum(size, width), size)
    return np.where(size > 0.0, size, 1.0)


def largest_by_row(matrix: Any, factors: Array) -> Array:
    """max_j A_ij f_j of every row of a CSR matrix without negative numbers, 0 where it is empty."""
    found = np.zeros(matrix.shape[0])
    full = np.flatnonzero(np.diff(matrix.indptr))
    if len(full):
        with np.errstate(invalid="ignore"):  # infinity times 0
            entries = matrix.data * factors[matrix.indices]
        found[full] = np.fmax.reduceat(entries, matrix.indptr[full])
    return found


# residuals ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Worst:
    """The largest of some residuals, as it is and scaled, each with the kind, "row" or "variable", and the number of
    what it is at; None where all are 0."""

    absolute: float = 0.0
    at: tuple[str, int] | None = None
    scaled: float = 0.0
    scaled_at: tuple[str, int] | None = None


@dataclass(frozen=True, eq=False)
class Residuals:
    """How far the KKT conditions are from holding.

    ``primal``: rows and variables beyond their bounds. ``stationarity``: ∇f − Jᵀy − z. ``complementarity``: a
    multiplier times the distance to the bound it belongs to, from inside. ``signs``: multipliers that push away from
    the bound their row or variable is at, or to one there is not.
    """

    primal: Worst
    stationarity: Worst
    complementarity: Worst
    signs: Worst

    @property
    def largest(self) -> float:
        """The largest scaled residual of all."""
        found = (self.primal, self.stationarity, self.complementarity, self.signs)
        return float(np.max([worst.scaled for worst in found]))

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain data."""
        return {name: {"absolute": worst.absolute, "scaled": worst.scaled} for name, worst in vars(self).items()}


def residuals(point: Point) -> Residuals:
    """The KKT residuals at a point. NaN where the problem has no value."""
    problem, sizes, own = point.problem, point.scales, own_sizes(point)
    rows = _Sides(point.values, problem.row_lower, problem.row_upper, point.y, sizes.rows, point.row_weight)
    bounds = _Sides(point.x, problem.lower, problem.upper, point.z, sizes.x, point.bound_weight)
    with np.errstate(invalid="ignore"):
        bounds.keep_off(_curvature(point), np.abs(point.z) / own.gradient)
    none = np.zeros(problem.m)
    worth = max(rows.worth, bounds.worth)
    return Residuals(
        _worst(rows.excess, _beyond_noise(rows.excess, sizes.rows) / own.rows,
               bounds.excess, _beyond_noise(bounds.excess, sizes.x) / own.x),
        _worst(none, none, np.abs(point.stationarity), _stationarity(point, own.gradient)),
        _worst(*rows.complementarity(worth), *bounds.complementarity(worth)),
        _worst(*rows.wrong_signs, *bounds.wrong_signs),
    )


def _beyond_noise(excess: Array, sizes: Array) -> Array:
    """Violations that are more than rounding."""
    return np.where(excess > NOISE * sizes, excess, 0.0)


class _Sides:
    """Values within bounds with their multipliers: what is violated, not complementary, or of the wrong sign."""

    def __init__(self, values: Array, lower: Array, upper: Array, multipliers: Array, sizes: Array,
                 weights: Array) -> None:
        self.excess = np.maximum(np.maximum(lower - values, values - upper), 0.0)
        self._size, self._weights, self._multipliers = sizes, weights, np.abs(multipliers)
        bound, other = np.where(multipliers > 0.0, lower, upper), np.where(multipliers > 0.0, upper, lower)
        with np.errstate(invalid="ignore"):
            self._distance = np.maximum(np.where(multipliers > 0.0, values - bound, bound - values), 0.0)
            at_other = np.abs(values - other) <= TOLERANCE * sizes
        self._wrong = (lower != upper) & (multipliers != 0.0) & (~np.isfinite(bound) | (
            at_other & (self._distance > TOLERANCE * sizes)))
        self._complementary = self._wrong | (multipliers == 0.0) | (lower == upper)
        self._apart = np.zeros(len(values))

    def keep_off(self, curvature: Array, weights: Array) -> None:
        """Tell values whose multipliers are no bound's: on the way to it the gradient would change by a good part of
        the multiplier, so that a minimum may lie in between. Such a multiplier counts by its weight, if that is large:
        interior points leave small ones everywhere."""
        with np.errstate(invalid="ignore"):
            off = curvature * self._distance > APART * self._multipliers
        counts = off & ~self._complementary & np.isfinite(weights) & (weights > LARGE)
        self._apart = np.where(counts, weights, 0.0)

    @property
    def worth(self) -> float:
        """The largest |multiplier| times size: the largest term of the Lagrangian that a bound or row has."""
        return float((self._multipliers * self._size).max(initial=0.0))

    def complementarity(self, worth: float) -> tuple[Array, Array]:
        """|multiplier| times distance to its bound: as it is, and scaled.

        It is what the objective would gain, to first order, at the bound; so it is scaled by the largest term ``worth``
        of the Lagrangian where that makes less of it than the gradient does.
        """
        distance = np.where(self._complementary, 0.0, self._distance)
        gain, scaled = self._multipliers * distance, self._weights * distance / self._size
        scaled = np.minimum(scaled, gain / worth) if worth > 0.0 else scaled
        return gain, np.maximum(scaled, self._apart)

    @property
    def wrong_signs(self) -> tuple[Array, Array]:
        """Multipliers of the wrong sign, as they are and as parts of the gradient."""
        return np.where(self._wrong, self._multipliers, 0.0), np.where(self._wrong, self._weights, 0.0)


def _worst(rows: Array, rows_scaled: Array, variables: Array, variables_scaled: Array) -> Worst:
    m = len(rows)
    both, scaled = np.concatenate([rows, variables]), np.concatenate([rows_scaled, variables_scaled])

    def largest(numbers: Array) -> tuple[float, tuple[str, int] | None]:
        if not len(numbers):
            return 0.0, None
        k = int(np.argmax(numbers))  # NaN counts as the largest
        place = ("row", k) if k < m else ("variable", k - m)
        return float(numbers[k]), None if numbers[k] == 0.0 else place

    return Worst(*largest(both), *largest(scaled))
