"""Which rows and bounds are active at a point, by their distance and by their multipliers.

Takes a Point (kkt.py); gives a state and a side for every row and every variable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .kkt import TOLERANCE, Point
from .problem import Array, Problem

INACTIVE, WEAK, STRONG, EQUAL = range(4)
"""States: away from its bounds; at one with multiplier 0; at one with a multiplier; an equation or a fixed variable."""
STATES = ("inactive", "weakly active", "strongly active", "equal")
NEAR = 1e-8
"""What is this near to a bound, relative to its size, is at it."""
LOOSE = 1e-4
"""And up to this where the multiplier, as part of the gradient, is larger than that distance."""
CLEARLY = 10.0
"""A multiplier is none of a weakly active row where it is so much larger than the distance."""
ZERO = TOLERANCE
"""A multiplier is 0 where it is a smaller part of the gradient than this."""


@dataclass(frozen=True, eq=False)
class ActiveSet:
    """The state of each row (m,) and variable (n,): INACTIVE, WEAK, STRONG, EQUAL; its side: −1 lower, 1 upper,
    0 none or both.

    ``violated_rows``, ``violated_bounds``: masks of what is beyond its bound; that is weakly or strongly active too.
    """

    rows: Array
    bounds: Array
    row_side: Array
    bound_side: Array
    violated_rows: Array
    violated_bounds: Array

    @property
    def active_rows(self) -> Array:
        """Numbers of the rows that are equations or at a bound."""
        return np.flatnonzero(self.rows != INACTIVE)

    @property
    def active_bounds(self) -> Array:
        """Numbers of the variables that are fixed or at a bound."""
        return np.flatnonzero(self.bounds != INACTIVE)

    @property
    def free(self) -> Array:
        """Numbers of the variables that are at no bound."""
        return np.flatnonzero(self.bounds == INACTIVE)

    @property
    def weak(self) -> int:
        """How many rows and bounds are weakly active."""
        return int((self.rows == WEAK).sum() + (self.bounds == WEAK).sum())

    def strong(self) -> ActiveSet:
        """The same with what is weakly active taken for inactive."""
        return replace(self, rows=np.where(self.rows == WEAK, INACTIVE, self.rows),
                       bounds=np.where(self.bounds == WEAK, INACTIVE, self.bounds))

    def targets(self, problem: Problem) -> tuple[Array, Array]:
        """The bounds that active rows (m,) and active variables (n,) are at; NaN for others."""
        return (_target(self.rows, self.row_side, problem.row_lower, problem.row_upper),
                _target(self.bounds, self.bound_side, problem.lower, problem.upper))


def active_set(point: Point) -> ActiveSet:
    """What is active at a point.

    At a bound is what is within 1e-8 of it relative to its size, what is beyond it, and what is within 1e-4 with a
    larger multiplier (as part of the gradient): of iterates inside their bounds, as interior points, the product of
    both is small and the larger one tells. F. Facchinei, A. Fischer, C. Kanzow (1998) identify active sets likewise.
    """
    problem, sizes = point.problem, point.scales
    rows = _states(point.values, problem.row_lower, problem.row_upper, sizes.rows, point.y, point.row_weight)
    bounds = _states(point.x, problem.lower, problem.upper, sizes.x, point.z, point.bound_weight)
    return ActiveSet(rows[0], bounds[0], rows[1], bounds[1], rows[2], bounds[2])


def active_by_distance(problem: Problem, x: Array, values: Array, size_x: Array, size_rows: Array,
                       near: float) -> ActiveSet:
    """What is within ``near`` of a bound, relative to its size, or beyond it; as strongly active, nobody knows."""
    rows = _near(values, problem.row_lower, problem.row_upper, size_rows, near)
    bounds = _near(x, problem.lower, problem.upper, size_x, near)
    return ActiveSet(rows[0], bounds[0], rows[1], bounds[1], rows[2], bounds[2])


def _side(values: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """The nearer bound, −1 or 1, and the distance to it (negative beyond it)."""
    below, above = values - lower, upper - values
    return np.where(below <= above, -1, 1).astype(np.int8), np.minimum(below, above)


def _near(values: Array, lower: Array, upper: Array, size: Array, near: float) -> tuple[Array, Array, Array]:
    side, distance = _side(values, lower, upper)
    state = np.where(distance <= near * size, STRONG, INACTIVE)
    return _made(state, side, distance, lower, upper, size)


def _states(values: Array, lower: Array, upper: Array, size: Array, multipliers: Array,
            weight: Array) -> tuple[Array, Array, Array]:
    side, distance = _side(values, lower, upper)
    relative = distance / size
    pushes = weight * np.where(multipliers * side <= 0.0, 1.0, -1.0)  # y ≥ 0 belongs to the lower side
    active = (relative <= NEAR) | ((relative <= LOOSE) & (pushes >= relative))
    strong = active & (pushes > ZERO) & (pushes >= CLEARLY * np.maximum(relative, 0.0))
    return _made(np.where(strong, STRONG, np.where(active, WEAK, INACTIVE)), side, distance, lower, upper, size)


def _made(state: Array, side: Array, distance: Array, lower: Array, upper: Array,
          size: Array) -> tuple[Array, Array, Array]:
    state = np.where(lower == upper, EQUAL, state).astype(np.int8)
    none = (state == INACTIVE) | (state == EQUAL)
    return state, np.where(none, 0, side).astype(np.int8), distance < -TOLERANCE * size


def _target(state: Array, side: Array, lower: Array, upper: Array) -> Array:
    return np.where(state == INACTIVE, np.nan, np.where(side > 0, upper, lower))
