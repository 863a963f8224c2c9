"""Last steps of a primal–dual method: bounds that are reached become equations, and Newton's method ends there exactly.

Takes a point near an optimum with multipliers, gives one with variables and rows exactly at their bounds, multipliers
zero elsewhere; or nothing, where the guess of the bounds reached was wrong.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .interior import Duals, Walls
from .prepared import Sample, size_of
from .problem import Array, Problem
from .saddle import descend

STEPS = 3


class Ended(NamedTuple):
    """A point with multipliers of rows and variables."""

    sample: Sample
    y: Array
    z: Array


def reached(walls: Walls, v: Array, duals: Duals) -> tuple[Array, Array]:
    """Which of v = (x, s) are at their lower and upper bounds: where z is larger than what is left to the bound."""
    return duals.low > v - walls.lower, duals.high > walls.upper - v


def polished(problem: Problem, walls: Walls, v: Array, y: Array, duals: Duals, hessian: Any) -> Ended | None:
    """Where Newton's method with reached bounds as equations leads; None where a bound or a sign is violated then."""
    n, (low, high) = problem.n, reached(walls, v, duals)
    at = np.where(low, walls.lower, np.where(high, walls.upper, np.nan))
    held, free = ~np.isnan(at[:n]), np.flatnonzero(np.isnan(at[:n]))
    target = problem.row_lower.copy()
    target[walls.ranged] = at[n:]
    rows = np.flatnonzero(~np.isnan(target))
    x, y = np.where(held, at[:n], v[:n]), np.where(np.isnan(target), 0.0, y)
    for _ in range(STEPS):
        sample = Sample(problem, x)
        if not sample.is_smooth:
            return None
        H, J = hessian(sample, y)[free][:, free], sample.jacobian[rows][:, free]
        if not np.isfinite(H.data if hasattr(H, "nnz") else H).all():
            return None
        right = -sample.slope(y)[free], (target - sample.c)[rows]
        if max(map(size_of, right)) == 0:
            break
        step = descend(H, J, np.zeros(len(rows)), right, 0.0)
        if step is None or step.delta > 0:
            return None
        x, y = x.copy(), y.copy()
        x[free] += step.d
        y[rows] -= step.w
    return _checked(problem, walls, Sample(problem, x), y, held, (low, high))


def _checked(problem: Problem, walls: Walls, sample: Sample, y: Array, held: Array,
             sides: tuple[Array, Array]) -> Ended | None:
    """The end, if all is within bounds and multipliers have the signs of theirs."""
    if not sample.is_smooth:
        return None
    z = np.where(held, sample.slope(y), 0.0)
    signed, (low, high) = np.concatenate([z, y[walls.ranged]]), sides
    v = np.concatenate([sample.x, sample.c[walls.ranged]])
    slack = 1e-14 * np.maximum(1.0, np.abs(v))
    inside = (v >= walls.lower - slack) & (v <= walls.upper + slack) | low | high
    right = ~(low & (signed < 0)) & ~(high & (signed > 0))
    return Ended(sample, y, z) if bool((inside & right).all()) else None
