"""How an optimum moves with parameters: d(x*, y*, z*)/dp from the factored KKT matrix of the active set, and how far.

Takes the derivatives of ∇L, c, bounds and f by k parameters as arrays; gives arrays, and for each parameter the first
multiplier or slack that reaches 0 where the optimum keeps moving straight on (ratio test).

    ∇²L dx − Jᵀ dy − dz + ∂(∇L)/∂p = 0,    J dx + ∂(c − bound)/∂p = 0 in active rows,    dx = ∂bound/∂p at bounds

Source: A. Fiacco, "Introduction to sensitivity and stability analysis in nonlinear programming" (1983).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DeclarationError, SingularError
from ..solvers import SingularMatrixError
from ..text import listing
from .active import INACTIVE, STRONG, WEAK, ActiveSet, active_set
from .inertia import inertia
from .kkt import Point
from .problem import Array, Problem
from .rank import rank
from .working import KKTMatrix

MOST_NAMED = 5


@dataclass(frozen=True)
class Change:
    """An active set changes where a parameter has moved by ``distance`` (≥ 0): ``kind`` "row" or "variable" and its
    number ``at``; ``leaves`` says that its multiplier reaches 0 there, else it reaches its bound ``side`` (−1, 1)."""

    distance: float
    kind: str
    at: int
    leaves: bool
    side: int


@dataclass(frozen=True, eq=False)
class ByParameters:
    """Derivatives by k parameters, x and y held: ``gradient`` (n, k) of ∇_x(f − yᵀc), ``rows`` (m, k) of c,
    ``objective`` (k,) of f; ``row_lower``, ``row_upper`` (m, k), ``lower``, ``upper`` (n, k) of the bounds, None for 0.
    """

    gradient: Array
    rows: Array
    objective: Array
    row_lower: Array | None = None
    row_upper: Array | None = None
    lower: Array | None = None
    upper: Array | None = None


class ActiveSetSensitivity:
    """Derivatives of an optimum by k parameters, its active set kept.

    ``dx`` (n, k), ``dy`` (m, k), ``dz`` (n, k), ``dobjective`` (k,) = ∂f/∂p − yᵀ ∂(c − bound)/∂p + zᵀ ∂bound/∂p (the
    envelope theorem). ``up``, ``down``: for each parameter the first change of the active set, None if there is none.
    Weakly active constraints are taken for inactive: with some the derivatives hold to one side, where ``up`` or
    ``down`` is not at distance 0.

    Raises SingularError, naming why, where the KKT matrix is singular, DeclarationError without second derivatives.
    """

    def __init__(self, problem: Problem, x: Array, y: Array, z: Array, by: ByParameters) -> None:
        self.problem, self.point, self.by = problem, Point(problem, x, y, z), by
        self.active = active_set(self.point)
        rows = by.rows - _at_side(self.active.row_side, by.row_lower, by.row_upper, by.rows)
        moved = _at_side(self.active.bound_side, by.lower, by.upper, by.gradient)
        self.dx, self.dy = self._factored().solve(-by.gradient, -rows, moved)
        bound = self.active.strong().active_bounds
        self.dz = np.zeros_like(self.dx)
        full = by.gradient + self.point.full_hessian @ self.dx - self.point.jacobian.T @ self.dy
        self.dz[bound] = full[bound]
        self.dobjective = by.objective - y @ rows + z @ moved
        self.up = [self._first(j, 1.0) for j in range(len(by.objective))]
        self.down = [self._first(j, -1.0) for j in range(len(by.objective))]

    def _factored(self) -> KKTMatrix:
        if self.point.full_hessian is None:
            raise DeclarationError("derivatives of the optimum need second derivatives of objective and constraints, "
                                   "as a matrix or, up to 2000 variables, as products; this problem has none")
        strong = self.active.strong()
        try:
            return KKTMatrix(self.point, strong)
        except SingularMatrixError:
            raise SingularError(singular_because(self.point, strong)) from None

    def _first(self, k: int, way: float) -> Change | None:
        """The first change of the active set as parameter k moves up (1) or down (−1)."""
        point, problem, sizes, by = self.point, self.problem, self.point.scales, self.by
        rows = point.jacobian @ self.dx[:, k] + by.rows[:, k]
        found = [
            *_changes("row", self.active.rows, self.active.row_side, point.values, way * rows,
                      (problem.row_lower, _column(by.row_lower, k, way)),
                      (problem.row_upper, _column(by.row_upper, k, way)), point.y, way * self.dy[:, k], sizes.rows),
            *_changes("variable", self.active.bounds, self.active.bound_side, point.x, way * self.dx[:, k],
                      (problem.lower, _column(by.lower, k, way)), (problem.upper, _column(by.upper, k, way)), point.z,
                      way * self.dz[:, k], sizes.x),
        ]
        return min(found, key=lambda change: change.distance, default=None)


def _at_side(side: Array, lower: Array | None, upper: Array | None, like: Array) -> Array:
    """Derivatives of the bounds that things are at; of equations and fixed variables both bounds move as one."""
    low, high = (np.zeros_like(like) if some is None else some for some in (lower, upper))
    return np.where((side > 0)[:, None], high, low)


def _column(of_bound: Array | None, k: int, way: float) -> Any:
    return 0.0 if of_bound is None else way * of_bound[:, k]


def _changes(kind: str, state: Array, side: Array, values: Array, slopes: Array, lower: tuple[Array, Any],
             upper: tuple[Array, Any], multipliers: Array, multiplier_slopes: Array, sizes: Array) -> list[Change]:
    """The nearest bound reached and the nearest multiplier that reaches 0, of rows or of variables.

    ``lower``, ``upper``: the bounds with their slopes.
    """
    found = []
    reaching = (state == INACTIVE) | (state == WEAK)
    with np.errstate(all="ignore"):
        for to, slack, speed in ((-1, values - lower[0], lower[1] - slopes), (1, upper[0] - values, slopes - upper[1])):
            weak = (state == WEAK) & (side == to)
            still = weak & (speed <= 1e-9 * sizes)  # a bound that is reached already, and not pushed
            distance = np.where(weak, 0.0, np.maximum(slack, 0.0)) / speed
            distance = np.where(reaching & (speed > 0.0) & ~still, distance, np.inf)
            found += _nearest(kind, distance, False, np.full(len(values), to))
        falling = (state == STRONG) & (multipliers * multiplier_slopes < 0.0)
        distance = np.where(falling, -multipliers / multiplier_slopes, np.inf)
        found += _nearest(kind, distance, True, side)
    return found


def _nearest(kind: str, distance: Array, leaves: bool, side: Array) -> list[Change]:
    if not len(distance):
        return []
    k = int(np.argmin(distance))
    return [Change(float(distance[k]), kind, k, leaves, int(side[k]))] if np.isfinite(distance[k]) else []


def singular_because(point: Point, active: ActiveSet) -> str:
    """Why the KKT matrix of an active set is singular, in names."""
    problem, licq = point.problem, rank(point, active)
    text = "the optimum has no derivatives by parameters: "
    if licq.verdict == "dependent":
        names = [problem.row_name(int(i)) for found in licq.dependencies for i in found.rows]
        fixed = [problem.variable_name(int(j)) for found in licq.dependencies for j in found.variables]
        bounds = f" and the bounds of {listing(dict.fromkeys(fixed), MOST_NAMED)}" if fixed else ""
        rows = listing(dict.fromkeys(names), MOST_NAMED)
        return (f"{text}the gradients of the active constraints {rows}{bounds} are dependent, so "
                "multipliers are not unique; leave out what says the same twice")
    curved = inertia(point, active)
    if curved.direction is not None:
        order = np.argsort(-np.abs(curved.direction), kind="stable")[:MOST_NAMED]
        names = [problem.variable_name(int(j)) for j in order if abs(curved.direction[j]) > 1e-6]
        return (f"{text}the objective has no curvature along a direction of {listing(names)}, so the optimum is not "
                "unique to first order; fix one of them, or add what decides between them")
    return f"{text}the KKT matrix of its active constraints is singular"
