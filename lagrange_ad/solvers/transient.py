"""Pseudo-transient continuation: implicit Euler steps of x' = s·r(x) towards the steady state, ever longer ones.

    (S E U⁻¹/δ − J) d = r,    δ ← δ·‖r̃‖/‖r̃ new‖        (C. T. Kelley and D. Keyes, 1998: switched evolution relaxation)

S: signs that make an equation pull its own unknown to its value: + for x_i = f_i(x), where r_i = f_i − x_i is the pull,
against the slope ∂r_i/∂x_i elsewhere. Small δ follows the flow, large δ is Newton's method, which ends it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrival import EXACTLY, Goal, unknown_sizes
from .linear import Linear, SingularMatrixError
from .newton import newton
from .problem import Array, Model, Problem, Record, longest_step
from .scaling import Scales, scales_of

FIRST = 1.0
"""The first time step, in scaled unknowns and equations, where slopes are about 1."""
FASTEST = 10.0
"""A time step is at most so many times the one before."""
SHORTEST = 1e-12
GAIN = 0.1
"""Newton's method is tried when the residual has fallen to this part since it was tried last."""
POLISH = 30


def transient(problem: Problem, x: Array, record: Record, linear: Linear, limit: int, *, goal: Goal = EXACTLY,
              first: float = FIRST) -> bool:
    """Pseudo-transient continuation from x until converged or stuck; ``record`` says which, and where."""
    record.linear = None
    r = problem.residual(x)
    if not np.isfinite(r).all():
        record.met_outside(x)
        return record.stop(x, r, "the residual is not finite at the start")
    model, end, delta = problem.model(x), record.iterations + limit, first
    scales = scales_of(problem, model, x, r)
    record.unknown_scale, record.equation_scale = scales.unknown, scales.equation
    size = tried = scales.norm(r)
    shift = signs(problem, model) * scales.equation / scales.unknown
    while True:
        record.note("pseudo-transient", r)
        arrived = goal.reached(problem, model, r, record)
        if arrived:
            return record.stop(x, r, arrived, converged=True)
        if record.iterations >= end:
            return record.stop(x, r, f"the limit of {limit} iterations was reached")
        record.iterations += 1
        moved = _euler(problem, model, record, x, r, shift, delta, scales, size)
        if moved is None:
            return record.stop(x, r, "no time step, however short, leads on")
        x, r, delta = moved
        size, before = scales.norm(r), size
        delta *= min(max(before / size if size > 0.0 else FASTEST, 1.0 / FASTEST), FASTEST)
        if size <= GAIN * tried or delta > 1e8:
            tried, allowed = size, min(POLISH, end - record.iterations)
            if newton(problem, x, record, linear, allowed, goal=goal, patience=5):
                return True
            delta = min(delta, 1e4)
            r = problem.residual(x)
        model = problem.model(x)


def _euler(problem: Problem, model: Model, record: Record, x: Array, r: Array, shift: Array, delta: float,
           scales: Scales, size: float) -> tuple[Array, Array, float] | None:
    """One time step, shortened until it stays where equations have values and grow tenfold at most."""
    while delta >= SHORTEST:
        try:
            shifts = Linear()  # of its own: the pattern may be another, and these factors are nobody else's
            shifts.update(shifted(model, -shift / delta))
            d = -shifts.solve(model.right_side(r))[: len(r)]
        except SingularMatrixError:
            delta /= 4.0
            continue
        t = longest_step(problem, x, d)
        trial = x + t * d
        new = problem.residual(trial)
        reached = scales.norm(new)
        if np.isinf(reached):
            record.met_outside(trial)
        elif reached <= 10.0 * size and t > 0.1:
            record.took(float(np.max(np.abs(d) / unknown_sizes(problem, x))), t)
            return trial, new, delta
        delta /= 4.0
    problem.residual(x)
    return None


def signs(problem: Problem, model: Model) -> Array:
    """+1 where x_i' = r_i pulls x_i to its value, −1 where x_i' = −r_i does."""
    matrix = model.matrix
    diagonal = np.diag(matrix) if isinstance(matrix, np.ndarray) else matrix.diagonal()
    return np.where(problem.explicit | (diagonal[: model.n] <= 0.0), 1.0, -1.0)


def shifted(model: Model, shift: Array) -> Any:
    """The matrix with ``shift`` (n,) added to the diagonal of the unknowns."""
    whole = np.zeros(model.matrix.shape[0])
    whole[: model.n] = shift
    if isinstance(model.matrix, np.ndarray):
        return model.matrix + np.diag(whole)
    from scipy import sparse

    return sparse.csc_array(model.matrix + sparse.diags_array(whole))
