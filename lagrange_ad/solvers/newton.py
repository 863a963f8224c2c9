"""Newton's method: exact Jacobian, line search by natural monotonicity.

A step is accepted when the next simplified Newton correction, from the same factors, is shorter than this one
(P. Deuflhard, Newton Methods for Nonlinear Problems, 2004, NLEQ-ERR), which does not depend on how equations are
scaled; or when the residual itself becomes smaller.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .linear import Linear, SingularMatrixError
from .problem import Array, Model, Problem, Record, is_small, longest_step, size_of_unknowns

MAX_ITERATIONS = 200
CORRECTION = 1e-9
"""A full step whose relative size is below this ends the iteration: the error left is its square."""
HALVINGS = 80
NUDGES = 4
"""How often a solve moves off a point with a singular Jacobian before it gives up."""


class Moved(NamedTuple):
    """Where a step led, and whether it was the last."""

    x: Array
    r: Array
    done: bool


def newton(problem: Problem, x: Array, record: Record, linear: Linear, limit: int) -> bool:
    """Newton iterations from x until converged or stuck; ``record`` says which, and where."""
    r = problem.residual(x)
    if not np.isfinite(r).all():
        return record.stop(x, r, "the residual is not finite at the start")
    record.linear = linear
    for iteration in range(limit + 1):  # the last round only looks whether it has arrived
        record.note("newton", r)
        model = problem.model(x)
        linear.update(model.matrix)
        if (np.abs(r) <= model.rounding).all() or not r.any():
            return record.stop(x, r, "residuals are at rounding level", converged=True)
        if iteration == limit:
            break
        record.iterations += 1
        try:
            d = -linear.solve(model.right_side(r))[: len(r)]
        except SingularMatrixError as error:
            record.iterations -= 1
            nudged = _nudge(problem, x, record)
            if nudged is None:
                return record.stop(x, r, f"{error} at this point")
            x, r = nudged
            continue
        moved = _line_search(problem, model, linear, x, r, d)
        if moved is None:
            return record.stop(x, r, "no step along the Newton direction makes progress")
        x, r = moved.x, moved.r
        if moved.done:
            record.note("newton", r)
            small = is_small(model, r, record.steps[0].residual)
            stuck = "corrections became negligible while the residual did not: a slope grows without bound here"
            return record.stop(x, r, "the last correction was negligible" if small else stuck, small)
    return record.stop(x, r, f"the limit of {limit} iterations was reached")


def _nudge(problem: Problem, x: Array, record: Record) -> tuple[Array, Array] | None:
    """A point a little off one where the Jacobian is singular, and its residual; None when that was enough.

    The displacement is fixed (no random numbers): a thousandth of each unknown's size, with changing signs.
    """
    size = np.abs(x)
    size = np.maximum(size, 1e-3 * size.max(initial=0.0)) if size.any() else np.ones(len(size))
    pattern = np.cos(2.4 * np.arange(len(x)) + record.nudges)
    while record.nudges < NUDGES:
        record.nudges += 1
        near = x + 1e-3 * size * pattern
        r = problem.residual(near)
        if np.isfinite(r).all():
            return near, r
        pattern = -pattern
    problem.residual(x)
    return None


def _line_search(problem: Problem, model: Model, linear: Linear, x: Array, r: Array, d: Array) -> Moved | None:
    """Move along d; None: nowhere to go."""
    scale = size_of_unknowns(x)
    length, size = float(np.max(np.abs(d) / scale)), float(np.max(np.abs(r)))
    t = longest_step(problem, x, d)
    if t == 0.0:
        return None
    if length <= CORRECTION and t == 1.0:
        return _last_step(problem, x, r, d)
    for _ in range(HALVINGS):
        trial = x + t * d
        new = problem.residual(trial)
        if np.isfinite(new).all():
            simplified = float(np.max(np.abs(linear.solve(model.right_side(new))[: len(r)]) / scale))
            if simplified <= (1.0 - t / 4.0) * length or float(np.max(np.abs(new))) < (1.0 - t / 2.0) * size:
                return Moved(trial, new, False)
        t /= 2.0
    problem.residual(x)
    return None


def _last_step(problem: Problem, x: Array, r: Array, d: Array) -> Moved:
    """A negligible full step: taken when it does not make things worse, left when rounding does."""
    new = problem.residual(x + d)
    if np.isfinite(new).all() and np.abs(new).max() <= 2.0 * np.abs(r).max():
        return Moved(x + d, new, True)
    problem.residual(x)
    return Moved(x, r, True)
