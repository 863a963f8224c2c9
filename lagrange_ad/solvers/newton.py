"""Newton's method: exact Jacobian, line search by natural monotonicity.

A step is accepted when the next simplified Newton correction, from the same factors, is shorter than this one
(P. Deuflhard, Newton Methods for Nonlinear Problems, 2004, NLEQ-ERR), which does not depend on how equations are
scaled; or when the residual itself becomes smaller. Where the factors are those of an earlier Jacobian, corrections are
iterated with them, and the monotonicity is that of M⁻¹r with the earlier Jacobian M.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arrival import (
    CORRECTION,
    EXACTLY,
    EXTRA,
    Goal,
    Progress,
    equation_weights,
    last_step,
    step_more,
    unknown_sizes,
)
from .linear import Linear, NotSolvedError, SingularMatrixError
from .problem import Array, Model, Problem, Record, longest_step

MAX_ITERATIONS = 500
HALVINGS = 80
NUDGES = 4
"""How often a solve moves off a point with a singular Jacobian before it gives up."""


class Moved(NamedTuple):
    """Where a step led, and what it says if it was the last."""

    x: Array
    r: Array
    message: str = ""
    converged: bool = False
    extra: bool = False


def newton(problem: Problem, x: Array, record: Record, linear: Linear, limit: int, *, goal: Goal = EXACTLY,
           patience: int | None = None) -> bool:
    """Newton iterations from x until converged or stuck; ``record`` says which, and where.

    ``patience``: give up when so many iterations have halved neither the residual nor the correction.
    """
    r = problem.residual(x)
    if not np.isfinite(r).all():
        record.met_outside(x)
        return record.stop(x, r, "the residual is not finite at the start")
    record.linear = linear
    first, progress, extra = float(np.abs(r).max(initial=0.0)), Progress(patience), 0
    for iteration in range(limit + 1):  # the last round only looks whether it has arrived
        record.note("newton", r)
        model = problem.model(x)
        linear.update(model.matrix, model.values)
        arrived = goal.reached(problem, model, r, record)
        if arrived:
            return record.stop(x, r, arrived, converged=True)
        if iteration == limit:
            break
        if progress.is_over(record):
            return record.stop(x, r, f"{patience} iterations made little progress")
        record.iterations += 1
        try:
            d = -linear.correction(model.right_side(r))[: len(r)]
        except SingularMatrixError as error:
            record.iterations -= 1
            nudged = None if isinstance(error, NotSolvedError) else _nudge(problem, x, record)
            if nudged is None:
                return record.stop(x, r, f"{error} at this point")
            x, r = nudged
            continue
        before = record.steps[-2].correction if len(record.steps) > 1 else np.inf
        moved = _line_search(problem, model, linear, x, r, d, record, first, before if extra < EXTRA else None)
        if moved is None:
            return record.stop(x, r, "no step along the Newton direction makes progress")
        x, r, extra = moved.x, moved.r, extra + moved.extra
        if moved.message:
            record.note("newton", r)
            return record.stop(x, r, moved.message, moved.converged)
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


def _line_search(problem: Problem, model: Model, linear: Linear, x: Array, r: Array, d: Array, record: Record,
                 first: float, before: float | None) -> Moved | None:
    """Move along d; None: nowhere to go. ``before``: how long the last correction was, None to make no more of them."""
    scale, weights = unknown_sizes(problem, x), equation_weights(problem)
    length, size = float(np.max(np.abs(d) / scale)), float(np.max(np.abs(r) / weights))
    natural = float(np.max(np.abs(linear.estimate(model.right_side(r))[: len(r)]) / scale))
    t = longest_step(problem, x, d)
    record.took(length, t)
    if t == 0.0:
        return None
    if length <= CORRECTION and t == 1.0:
        new = None if before is None else step_more(problem, model, x, r, d, length / before)
        if new is not None:
            return Moved(x + d, new, extra=True)
        last = last_step(problem, model, x, r, d, first)
        return Moved(last.x, last.r, last.message, last.small)
    for _ in range(HALVINGS):
        trial = x + t * d
        new = problem.residual(trial)
        if np.isfinite(new).all():
            simplified = float(np.max(np.abs(linear.estimate(model.right_side(new))[: len(r)]) / scale))
            if simplified <= (1.0 - t / 4.0) * natural or float(np.max(np.abs(new) / weights)) < (1.0 - t / 2.0) * size:
                record.took(length, t)
                return Moved(trial, new)
        else:
            record.met_outside(trial)
        t /= 2.0
    problem.residual(x)
    return None
