"""Multipliers from a point alone, and Newton steps on the KKT conditions of an active set that was found.

``multipliers`` is for algorithms that give none; ``polished`` brings an answer to rounding, or leaves it as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..errors import LagrangeError
from ..solvers import SingularMatrixError
from .active import EQUAL, INACTIVE, STRONG, ActiveSet, active_by_distance, active_set
from .kkt import Point, residuals, sizes_of_variables
from .problem import Array, Problem
from .working import SMALL, KKTMatrix, Working

AT_BOUND = 1e-6
"""Without multipliers, what is within this of its bound, relative to its size, is at it."""
NOISE = 1e-9
"""A multiplier of the wrong sign that is a smaller part of the gradient than this is 0."""
MOST_DROPPED = 30
FARTHEST = 1e-3
"""A step that changes a variable by more than this, relative to its size, goes to another point."""
STEPS = 6
MOST_CHANGES = 20
"""So many times a set of what is active is changed before it is given up."""


def multipliers(problem: Problem, x: Array) -> tuple[Array, Array]:
    """Multipliers y (m,), z (n,) of least squares: |∇f − Jᵀy − z| least, signs as the active bounds want them.

    Rows and variables within 1e-6 of a bound, relative to their sizes, are at it; others have 0. Where active rows are
    dependent, those of least norm, if their signs are right. At points that are no optimum the rest is large:
    ``residuals`` tells. Raises what the problem raises.
    """
    point = Point(problem, x, np.zeros(problem.m), np.zeros(problem.n))
    active = active_by_distance(problem, x, point.values, point.scales.x, point.scales.rows, AT_BOUND)
    y, z = _least_squares(point, active)
    wrong = _wrong(point, active, y, z)
    if not any(part.any() for part in wrong):
        return _without_noise(active, y, z)
    if len(active.active_rows) + len(active.active_bounds) <= SMALL and problem.n <= 10 * SMALL:
        return _signed(point, active)
    for _ in range(MOST_DROPPED):
        active = replace(active, rows=np.where(wrong[0], INACTIVE, active.rows),
                         bounds=np.where(wrong[1], INACTIVE, active.bounds))
        y, z = _least_squares(point, active)
        wrong = _wrong(point, active, y, z)
        if not any(part.any() for part in wrong):
            break
    return _without_noise(active, np.where(wrong[0], 0.0, y), np.where(wrong[1], 0.0, z))


def _least_squares(point: Point, active: ActiveSet) -> tuple[Array, Array]:
    """The multipliers of an active set, whatever their signs."""
    working = Working(point, active)
    y, z = np.zeros(point.problem.m), np.zeros(point.problem.n)
    y[working.rows] = working.row * working.least_squares(point.gradient[working.free] * working.column)
    bound = active.active_bounds
    z[bound] = (point.gradient - point.jacobian.T @ y)[bound]
    return y, z


def _signed(point: Point, active: ActiveSet) -> tuple[Array, Array]:
    """Least squares with signs, by the active-set method of C. Lawson and R. Hanson (scipy.optimize.lsq_linear)."""
    from scipy import optimize

    rows, bound, sizes = active.active_rows, active.active_bounds, point.scales.x
    columns = [(point.jacobian[rows].toarray() * sizes).T, np.diag(sizes)[:, bound]]
    matrix = np.hstack(columns)
    norm = np.linalg.norm(matrix, axis=0)
    norm = np.where(norm > 0.0, norm, 1.0)
    states = np.concatenate([active.rows[rows], active.bounds[bound]])
    sides = np.concatenate([active.row_side[rows], active.bound_side[bound]])
    low = np.where((states == EQUAL) | (sides > 0), -np.inf, 0.0)
    high = np.where((states == EQUAL) | (sides < 0), np.inf, 0.0)
    found = optimize.lsq_linear(matrix / norm, point.gradient * sizes, (low, high), method="bvls", tol=1e-14).x / norm
    y, z = np.zeros(point.problem.m), np.zeros(point.problem.n)
    y[rows], z[bound] = found[: len(rows)], found[len(rows) :]
    return y, z


def _wrong(point: Point, active: ActiveSet, y: Array, z: Array) -> tuple[Array, Array]:
    """Where multipliers of inequalities push away from their bound by more than noise."""
    there = replace_multipliers(point, y, z)
    return ((active.row_side * y > 0.0) & (there.row_weight > NOISE),
            (active.bound_side * z > 0.0) & (there.bound_weight > NOISE))


def replace_multipliers(point: Point, y: Array, z: Array) -> Point:
    """The same x with other multipliers; what does not depend on them is not computed again."""
    other = Point(point.problem, point.x, y, z)
    for name in ("objective", "gradient", "values", "jacobian"):
        if name in vars(point):
            vars(other)[name] = vars(point)[name]
    return other


def _without_noise(active: ActiveSet, y: Array, z: Array) -> tuple[Array, Array]:
    return np.where(active.row_side * y > 0.0, 0.0, y), np.where(active.bound_side * z > 0.0, 0.0, z)


# polishing -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Polished:
    """What polishing came to: x, y, z, and the Newton steps taken (0: only multipliers, or nothing, got better);
    ``before`` and ``after`` are the largest scaled KKT residuals."""

    x: Array
    y: Array
    z: Array
    steps: int
    before: float
    after: float


def polished(problem: Problem, x: Array, y: Array, z: Array) -> Polished:
    """A solution brought nearer to rounding by Newton steps on the KKT conditions of its active set.

    Active rows and bounds are taken for equations, [∇²L, −Jᵀ; J, 0]; what is within 1e-3 of its bound, relative to its
    size, may change sides before the first step, where that leaves no wrong sign and nothing violated. A step counts
    if the residuals shrink, no other row or bound becomes active or violated, multipliers keep their signs, and no
    variable moves by more than 1e-3 of its size. Never raises because that fails: then x, y, z are returned, or
    multipliers of least squares where those are better.
    """
    start = Point(problem, x, y, z)
    before = _size(start)
    best, size, steps = start, before, 0
    if not np.isfinite(before):
        return Polished(x, y, z, 0, before, before)
    if problem.second_order:
        active = active_set(start)
        for tried in _candidates(start, active):
            found, at, count = _newton(start, before, tried)
            if at < size:
                best, size, steps = found, at, count
    estimated = _estimated(best)
    at = _size(estimated) if estimated is not None else np.inf
    if at < 0.5 * size:
        assert estimated is not None
        best, size = estimated, at
    return Polished(best.x, best.y, best.z, steps, before, size)


def _candidates(point: Point, active: ActiveSet) -> Iterator[ActiveSet]:
    """The active sets to try: with what is weakly active, without it, and what a few steps settle on."""
    yield active
    if active.weak:
        yield active.strong()
    settled = _settled(point, active)
    if settled is not None:
        yield settled


def _settled(point: Point, active: ActiveSet) -> ActiveSet | None:
    """An active set whose step from the point violates nothing and has no multiplier of the wrong sign; None if none.

    What is near a bound changes sides by that, as in the primal-dual active set strategy (M. Bergounioux, K. Ito, K.
    Kunisch, 1999): interior points leave slack and multiplier of about one size where both are small.
    """
    problem, sizes = point.problem, point.scales
    near = active_by_distance(problem, point.x, point.values, sizes.x, sizes.rows, FARTHEST)
    seen = 0
    for _ in range(MOST_CHANGES):
        try:
            moved = _step(point, active)
            beyond = active_by_distance(problem, moved.x, moved.values, sizes.x, sizes.rows, 0.0)
        except (LagrangeError, SingularMatrixError):
            return None
        wrong = _wrong(moved, active, moved.y, moved.z)
        rows = _changed(active.rows, wrong[0], beyond.rows, near.rows)
        bounds = _changed(active.bounds, wrong[1], beyond.bounds, near.bounds)
        if np.array_equal(rows, active.rows) and np.array_equal(bounds, active.bounds):
            return active if seen else None
        seen += 1
        active = replace(active, rows=rows, bounds=bounds, row_side=_sided(rows, near.row_side),
                         bound_side=_sided(bounds, near.bound_side))
    return None


def _changed(states: Array, wrong: Array, beyond: Array, near: Array) -> Array:
    """States with what has a wrong sign made inactive, and what is near its bound and went beyond it active."""
    states = np.where(wrong & (near == STRONG), INACTIVE, states)
    return np.where((states == INACTIVE) & ~wrong & (beyond == STRONG) & (near == STRONG), STRONG, states)


def _sided(states: Array, side: Array) -> Array:
    return np.where((states == INACTIVE) | (states == EQUAL), 0, side)


def _estimated(point: Point) -> Point | None:
    """The point with multipliers of least squares; None where there are none."""
    try:
        return replace_multipliers(point, *multipliers(point.problem, point.x))
    except (LagrangeError, ArithmeticError, np.linalg.LinAlgError):
        return None


def _size(point: Point) -> float:
    """The largest scaled residual; infinity where there is no value."""
    try:
        with np.errstate(all="ignore"):
            return residuals(point).largest if point.finite else np.inf
    except LagrangeError:
        return np.inf


def _newton(point: Point, size: float, active: ActiveSet) -> tuple[Point, float, int]:
    """The best of a few steps, the size of its residuals, and how many steps led there."""
    start = point.x
    for count in range(STEPS):
        try:
            moved = _step(point, active)
        except (LagrangeError, SingularMatrixError):
            return point, size, count
        far = np.abs(moved.x - start) / sizes_of_variables(point.problem, start)
        if not np.max(far, initial=0.0) <= FARTHEST:
            return point, size, count
        now = _size(moved)
        if not now < size or not _kept(moved, active):
            return point, size, count
        point, before, size = moved, size, now
        if size > 0.5 * before or size <= np.finfo(float).eps:
            return point, size, count + 1
    return point, size, STEPS


def _step(point: Point, active: ActiveSet) -> Point:
    """x and multipliers after one Newton step, with multipliers of bounds that make ∇L = 0 there."""
    problem = point.problem
    if point.full_hessian is None:
        raise SingularMatrixError("there are too many variables to make a Hessian of products")
    row_target, bound_target = active.targets(problem)
    matrix = KKTMatrix(point, active)
    kept = np.where(active.rows == INACTIVE, 0.0, point.y)
    right = point.jacobian.T @ kept - point.gradient
    dx, dy = matrix.solve(right[:, None], (row_target - point.values)[:, None], (bound_target - point.x)[:, None])
    x = point.x + dx[:, 0]
    x[matrix.bound] = bound_target[matrix.bound]
    y = kept + dy[:, 0]
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise SingularMatrixError("the step is not finite")
    moved = Point(problem, x, y, np.zeros(problem.n))
    z = np.zeros(problem.n)
    z[matrix.bound] = (moved.gradient - moved.jacobian.T @ y)[matrix.bound]
    return replace_multipliers(moved, y, z)


def _kept(point: Point, active: ActiveSet) -> bool:
    """Whether nothing else became active or violated, and no multiplier of a bound its sign."""
    now = active_by_distance(point.problem, point.x, point.values, point.scales.x, point.scales.rows, 0.0)
    if ((now.rows != INACTIVE) & (active.rows == INACTIVE)).any():
        return False
    if ((now.bounds != INACTIVE) & (active.bounds == INACTIVE)).any():
        return False
    return not any(part.any() for part in _wrong(point, active, point.y, point.z))
