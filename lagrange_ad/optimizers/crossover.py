"""From inside to the bounds: those that an interior point nears become equations, and Newton's method ends there.

Takes a point near an optimum with multipliers, gives one with variables and rows exactly at their bounds, multipliers
zero elsewhere; or nothing. A wrong guess of the bounds reached is mended by what its end violates (primal–dual active
sets, M. Hintermüller, K. Ito, K. Kunisch, 2002).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .interior import Duals, Walls
from .prepared import Sample, size_of
from .problem import Array, Problem
from .saddle import descend

STEPS, GUESSES = 3, 5


class Ended(NamedTuple):
    """A point with multipliers of rows and variables."""

    sample: Sample
    y: Array
    z: Array


def crossed(problem: Problem, walls: Walls, v: Array, y: Array, duals: Duals, hessian: Any) -> Ended | None:
    """Where Newton's method with reached bounds as equations leads, from v = (x, s); None where no guess is right."""
    low, high = _reached(walls, v, duals)
    for _ in range(GUESSES):
        end = _newton(problem, walls, v, y, (low, high), hessian)
        if end is None:
            return None
        at, signed = np.concatenate([end.sample.x, end.sample.c[walls.ranged]]), _signed(walls, end)
        slack = 1e-14 * np.maximum(1.0, np.abs(at))
        below, above = ~low & (at < walls.lower - slack), ~high & (at > walls.upper + slack)
        wrong = (low & (signed < 0)) | (high & (signed > 0))
        if not (below | above | wrong).any():
            return end
        low, high = (low & ~wrong & ~above) | below, (high & ~wrong & ~below) | above
    return None


def _reached(walls: Walls, v: Array, duals: Duals) -> tuple[Array, Array]:
    """Which of v are at their lower and upper bounds: where z, beside the largest, is more than the gap.

    Where no bound is reached all z are small; they are not measured by themselves then, but by the barrier's root.
    """
    barrier = duals.complementarity(walls, v, 0.0)
    largest = max(size_of(duals.low), size_of(duals.high), np.sqrt(barrier), 1e-300)
    low, high = duals.low / largest > v - walls.lower, duals.high / largest > walls.upper - v
    return low & ~(high & (duals.high > duals.low)), high & ~(low & (duals.low >= duals.high))


def _signed(walls: Walls, end: Ended) -> Array:
    return np.concatenate([end.z, end.y[walls.ranged]])


def _newton(problem: Problem, walls: Walls, v: Array, y: Array, sides: tuple[Array, Array],
            hessian: Any) -> Ended | None:
    n, (low, high) = problem.n, sides
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
    sample = Sample(problem, x)
    return Ended(sample, y, np.where(held, sample.slope(y), 0.0)) if sample.is_smooth else None
