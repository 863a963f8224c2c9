"""One unknown between two points at which r has different signs: Brent's method (scipy.optimize.brentq).

The points are the ends of the unknown's domain where both are finite, or found by going out from the start.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .arrival import EXACTLY, Goal
from .linear import Linear, is_finite
from .problem import SMALL, Array, Problem, Record, size_of_unknowns

GRID = 64
"""Points at which a sign change is looked for where the ends have one sign."""
INSIDE = 1e-12
"""How near to an end of the open domain the search goes, beside its width."""
STEEP, NOISE = 1e-12, 1e-12
"""What may be left of a residual at rounding: these parts of its terms, and of the residuals at the ends."""
DOUBLINGS = 60


def bracket(problem: Problem, x: Array, record: Record, linear: Linear, limit: int, *, goal: Goal = EXACTLY) -> bool:
    """Find a root of one equation by a change of sign; ``record`` says which, and where."""
    record.linear = None
    r = problem.residual(x)
    record.note("bracket", r)
    if len(x) != 1:
        return record.stop(x, r, f"bracketing is for a single unknown, the block has {len(x)}")
    search = Sampled(problem, record)
    found = _ends(search, float(x[0]))
    if found is None:
        return _nowhere(search, x, record)
    return _brent(search, found, record, limit, goal)


class Sampled:
    """r as a function of a number; remembers every point that had a value."""

    def __init__(self, problem: Problem, record: Record) -> None:
        self.problem, self.record = problem, record
        self.points: dict[float, float] = {}

    def __call__(self, at: float) -> float:
        if at in self.points:
            return self.points[at]
        x = np.array([at])
        value = float(self.problem.residual(x)[0])
        if np.isfinite(value):
            self.points[at] = value
        else:
            self.record.met_outside(x)
        return value

    def change(self) -> tuple[float, float] | None:
        """Two neighbours among the points with different signs, those of the smallest residuals; or None."""
        points = sorted(self.points.items())
        pairs = [(min(abs(r), abs(s)), a, b) for (a, r), (b, s) in pairwise(points) if np.sign(r) * np.sign(s) <= 0.0]
        return min(pairs)[1:] if pairs else None


def _ends(search: Sampled, start: float) -> tuple[float, float] | None:
    """Two points with different signs."""
    low, high = float(search.problem.low[0]), float(search.problem.high[0])
    search(start)
    if np.isfinite(low) and np.isfinite(high):
        width = high - low
        low, high = low + INSIDE * width, high - INSIDE * width
        search(low), search(high)
        if search.change() is None:
            for at in np.linspace(low, high, GRID + 2)[1:-1].tolist():
                search(at)
        return search.change()
    step = 1e-3 * float(size_of_unknowns(np.array([start]))[0]) if start else 1e-3
    for doubling in range(DOUBLINGS):
        for end, at in ((low, start - step), (high, start + step)):
            search(at if low < at < high else end + (start - end) * 0.5**doubling)
        if search.change() is not None:
            break
        step *= 2.0
    return search.change()


def _nowhere(search: Sampled, x: Array, record: Record) -> bool:
    if not search.points:
        return record.stop(x, search.problem.residual(x), "the equation has a value nowhere that was looked at")
    at = min(search.points, key=lambda point: abs(search.points[point]))
    count, low, high = len(search.points), min(search.points), max(search.points)
    best = np.array([at])
    return record.stop(best, search.problem.residual(best),
                       f"the residual has the same sign at all {count} points from {low:.6g} to {high:.6g}")


def _brent(search: Sampled, ends: tuple[float, float], record: Record, limit: int, goal: Goal) -> bool:
    """Narrow the interval to rounding."""
    from scipy.optimize import brentq

    low, high = ends
    before = max(abs(search(low)), abs(search(high)))
    if search(low) == 0.0 or search(high) == 0.0:
        root, count = (low if search(low) == 0.0 else high), 0
    else:
        tiny = 4.0 * np.finfo(float).eps
        root, result = brentq(search, low, high, xtol=1e-300, rtol=tiny, maxiter=max(limit, 1), full_output=True,
                              disp=False)
        count = int(result.iterations)
    record.iterations += min(count, limit)
    x = np.array([root])
    r = search.problem.residual(x)
    record.note("bracket", r)
    model = search.problem.model(x)
    pole = f"the residual changes its sign at {root:.10g} and is not 0 there: a pole or a jump"
    if not abs(r[0]) <= before:  # beside a pole slopes are so steep that any residual looks like rounding
        return record.stop(x, r, pole)
    arrived = goal.reached(search.problem, model, r, record)
    if arrived:
        return record.stop(x, r, arrived, converged=True)
    if count >= limit:
        return record.stop(x, r, f"the limit of {limit} iterations was reached")
    terms = float(model.terms[0])
    allowed = max(STEEP * terms, NOISE * before) if is_finite(model.matrix) else SMALL * before
    if not abs(r[0]) <= allowed:
        return record.stop(x, r, pole)
    return record.stop(x, r, "the sign change is bracketed to rounding", converged=True)
