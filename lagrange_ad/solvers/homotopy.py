"""Continuation along a curve from a system that x₀ solves to the one that is asked for; it passes turning points.

    Newton:       H(x, t) = r(x) − (1 − t)·r(x₀)
    fixed point:  H(x, t) = t·r(x) − (1 − t)·S E U⁻¹·(x − x₀)

The curve H = 0 through (x₀, 0) is followed by pseudo-arclength, tangent predictor and Newton corrector, with t free to
turn round (L. Watson and others, HOMPACK, 1987; E. Allgower and K. Georg, Numerical Continuation Methods, 1990). Where
it crosses t = 1, Newton's method finishes. Either direction may lead there; forward, t grows at first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrival import EXACTLY, Goal
from .linear import Factor, Linear, SingularMatrixError
from .newton import newton
from .problem import Array, Model, Problem, Record, longest_step
from .scaling import Scales, scales_of
from .transient import shifted, signs

FIRST, SHORTEST = 0.1, 1e-9
"""Length of the first step along the curve, and of the shortest, in scaled unknowns."""
BEND = 0.9
"""The cosine between tangents of successive points is at least this."""
CORRECTIONS = 6
CLOSE = 1e-5
"""Points this near to the curve, beside the length of the step, are on it."""
FARTHEST = 1e8
POLISH = 30


@dataclass(eq=False)
class Place:
    """A point of the curve: x, t, the residual r(x), and the tangent in scaled unknowns (n,) and t."""

    x: Array
    t: float
    r: Array
    along: Array
    rise: float


class Curve:
    """H(x, t) = 0 through (x₀, 0) with its slopes."""

    def __init__(self, problem: Problem, model: Model, x: Array, r: Array, kind: str) -> None:
        self.problem, self.kind, self.x0, self.r0 = problem, kind, x, r
        self.scales: Scales = scales_of(problem, model, x, r)
        self.pull = signs(problem, model) * self.scales.equation / self.scales.unknown

    def value(self, x: Array, t: float, r: Array) -> Array:
        """H (n,)."""
        if self.kind == "newton":
            return r - (1.0 - t) * self.r0
        return np.asarray(t * r - (1.0 - t) * self.pull * (x - self.x0))

    def bordered(self, model: Model, place: Place, t: float, r: Array) -> Factor:
        """Factors of [∂H/∂x U, ∂H/∂t; tangentᵀ] with equations scaled. Raises SingularMatrixError."""
        n, whole = model.n, model.matrix.shape[0]
        rows, columns = np.ones(whole), np.ones(whole)
        rows[:n], columns[:n] = 1.0 / self.scales.equation, self.scales.unknown
        in_t = np.zeros(whole)
        if self.kind == "newton":
            matrix: Any = model.matrix
            in_t[:n] = self.r0
        else:
            scaled = np.ones(whole)
            scaled[:n] = t
            matrix = shifted(_rows_scaled(model, scaled), -(1.0 - t) * self.pull)
            in_t[:n] = r + self.pull * (model.values[:n] - self.x0)
        return Factor(_bordered(matrix, rows, columns, rows * in_t, place))

    def step(self, factor: Factor, size: int, h: Array, forward: float) -> tuple[Array, float]:
        """The solution (scaled unknowns, t) for the right side (h, 0 for hidden rows, forward)."""
        right = np.zeros(size + 1)
        right[: len(h)] = h / self.scales.equation
        right[-1] = forward
        found = factor.solve(right)
        return found[: len(h)], float(found[-1])


def homotopy(problem: Problem, x: Array, record: Record, linear: Linear, limit: int, *, goal: Goal = EXACTLY,
             kind: str = "newton", backward: bool = False) -> bool:
    """Follow the curve from x until it gives a solution or is lost; ``record`` says which, and where.

    ``kind``: "newton" or "fixed-point". ``backward``: begin with t falling.
    """
    record.linear = None
    r = problem.residual(x)
    if not np.isfinite(r).all():
        record.met_outside(x)
        return record.stop(x, r, "the residual is not finite at the start")
    record.note("homotopy", r)
    model = problem.model(x)
    arrived = goal.reached(problem, model, r, record)
    if arrived:
        return record.stop(x, r, arrived, converged=True)
    curve = Curve(problem, model, x, r, kind)
    record.unknown_scale, record.equation_scale = curve.scales.unknown, curve.scales.equation
    return _Follower(curve, problem, record, linear, goal, record.iterations + limit).run(model, x, r, backward)


class _Follower:
    """One run along a curve."""

    def __init__(self, curve: Curve, problem: Problem, record: Record, linear: Linear, goal: Goal, end: int) -> None:
        self.curve, self.problem, self.record, self.linear = curve, problem, record, linear
        self.goal, self.end, self.begun = goal, end, record.iterations

    def run(self, model: Model, x: Array, r: Array, backward: bool) -> bool:
        """Steps of adapted length until t = 1 is crossed."""
        record, step = self.record, FIRST
        place = Place(x, 0.0, r, np.zeros(len(x)), -1.0 if backward else 1.0)
        if not self._turn(place, place, model):
            return record.stop(x, r, "the Jacobian is singular at the start of the curve")
        while record.iterations < self.end:
            record.note("homotopy", place.r)
            if place.t + step * place.rise >= 1.0 and self._finish(place):
                return True
            reached = self._advance(place, step)
            if reached is None:
                step *= 0.25
                if step < SHORTEST:
                    return self._stop(place, "was lost")
                continue
            new, factor = reached
            if (place.t - 1.0) * (new.t - 1.0) <= 0.0 and self._finish(new):
                return True
            place, step = new, step * factor
            if np.abs(place.x / self.curve.scales.unknown).max(initial=0.0) > FARTHEST:
                return self._stop(place, "runs away to infinity")
        return self._stop(place, f"was followed for {self.end - self.begun} iterations")

    def _stop(self, place: Place, what: str) -> bool:
        return self.record.stop(place.x, self.problem.residual(place.x), f"the curve {what}, at t = {place.t:.3g} of 1")

    def _finish(self, place: Place) -> bool:
        """Newton's method from where the tangent crosses t = 1; the curve goes on where that fails."""
        part = (1.0 - place.t) / place.rise if place.rise else 0.0
        d = part * place.along * self.curve.scales.unknown
        x = place.x + longest_step(self.problem, place.x, d) * d
        allowed = min(POLISH, self.end - self.record.iterations)
        return newton(self.problem, x, self.record, self.linear, allowed, goal=self.goal, patience=5)

    def _advance(self, place: Place, step: float) -> tuple[Place, float] | None:
        """The next point of the curve and by what the step may grow; None: the step was too long."""
        curve, problem, unknown = self.curve, self.problem, self.curve.scales.unknown
        d = step * place.along * unknown
        if longest_step(problem, place.x, d) < 1.0:
            return None
        x, t, last, first = place.x + d, place.t + step * place.rise, np.inf, 0.0
        for k in range(CORRECTIONS):
            self.record.iterations += 1
            r = problem.residual(x)
            if not np.isfinite(r).all():
                self.record.met_outside(x)
                return None
            model = problem.model(x)
            try:
                factor = curve.bordered(model, place, t, r)
                dx, dt = curve.step(factor, model.matrix.shape[0], -curve.value(x, t, r), 0.0)
            except SingularMatrixError:
                return None
            size = float(np.hypot(np.linalg.norm(dx), dt))
            first = size if k == 0 else first
            if not np.isfinite(size) or size > 0.5 * last or size > step:
                return None
            if size <= CLOSE * step:
                new = Place(x, t, r, place.along, place.rise)
                return (new, self._growth(first / step)) if self._turn(place, new, model) else None
            if longest_step(problem, x, dx * unknown) < 1.0:
                return None
            x, t, last = x + dx * unknown, t + dt, size
        return None

    @staticmethod
    def _growth(miss: float) -> float:
        """The prediction missed by this part of the step, which grows with the step: aim at a tenth."""
        return float(np.clip(np.sqrt(0.1 / max(miss, 1e-6)), 0.5, 3.0))

    def _turn(self, before: Place, here: Place, model: Model) -> bool:
        """The tangent at a point, going on from the one before; False where it bends too much or there is none."""
        at_start = before is here
        try:
            factor = self.curve.bordered(model, before, here.t, here.r)
            dx, dt = self.curve.step(factor, model.matrix.shape[0], np.zeros(model.n), 1.0)
        except SingularMatrixError:
            return False
        size = float(np.hypot(np.linalg.norm(dx), dt))
        if not np.isfinite(size) or size == 0.0:
            return False
        along, rise = dx / size, dt / size
        if not at_start and float(along @ before.along) + rise * before.rise < BEND:
            return False
        here.along, here.rise = along, rise
        return True


def _rows_scaled(model: Model, rows: Array) -> Model:
    """The model with its rows multiplied."""
    if isinstance(model.matrix, np.ndarray):
        return Model(rows[:, None] * model.matrix, model.values, model.n)
    from scipy import sparse

    return Model(sparse.diags_array(rows) @ model.matrix, model.values, model.n)


def _bordered(matrix: Any, rows: Array, columns: Array, last: Array, place: Place) -> Any:
    """[rows·matrix·columns, last; tangentᵀ] of a point."""
    n, whole = len(place.x), len(rows)
    border = np.zeros(whole)
    border[:n] = place.along
    if isinstance(matrix, np.ndarray):
        out = np.empty((whole + 1, whole + 1))
        out[:whole, :whole] = rows[:, None] * matrix * columns
        out[:whole, whole], out[whole, :whole], out[whole, whole] = last, border, place.rise
        return out
    from scipy import sparse

    scaled = sparse.diags_array(rows) @ matrix @ sparse.diags_array(columns)
    right, below = sparse.coo_array(last[:, None]), sparse.coo_array(border[None, :])
    return sparse.csc_array(sparse.block_array([[scaled, right], [below, sparse.coo_array([[place.rise]])]]))
