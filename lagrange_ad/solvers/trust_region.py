"""Steps of least linearised residual within a region where the linear model is trusted; they pass singular Jacobians.

``trust_region`` takes the exact step of bounded length for small blocks (J. Moré, The Levenberg–Marquardt algorithm,
1978) and Powell's dogleg for large ones; ``levenberg_marquardt`` damps by λ (H. Nielsen, Damping parameter in
Marquardt's method, 1999). Both work in unknowns and equations scaled by ``scaling.py`` and stay in the domains:
elements that would leave are put most of the way to the end, and the others take the best step beside them.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from .arrival import CORRECTION, EXACTLY, Arrived, Goal, Progress, equation_weights, last_step, unknown_sizes
from .linear import Linear, SingularMatrixError
from .newton import newton
from .problem import Array, Model, Problem, Record, is_small
from .scaling import Scales, scales_of
from .slopes import LargeSlopes, Slopes, slopes_of

STATIONARY = 1e-8
"""The residual is at a minimum where unknowns changed by their own sizes would take less than this part of it away."""
ACCEPTED = 1e-4
"""A step is taken when it does this part of what the linear model promised."""
SMALLEST = 1e-13
"""A region this small beside the unknowns leads nowhere."""
REACH = 0.99
"""The part of the way to a domain's end that a step may go."""


TRIALS = 60
NEAR, POLISH = 10, 20
"""A small residual that has not halved for NEAR iterations is left to Newton’s method with a patience of POLISH."""
DAMPING = 1e-2
RESCALINGS = 10
FORGOTTEN = 1e3
"""Equations whose size has fallen to less than 1/FORGOTTEN are weighed anew."""


class Accepted(NamedTuple):
    """Where a step led; ``part``: what part of the residual it would remove if equations were linear."""

    x: Array
    r: Array
    part: float


class Region(Protocol):
    """How long steps may be, and what trials teach about it."""

    def step(self, slopes: Slopes, fixed: Array | None, at: Array | None) -> Array:
        """p, with the elements ``fixed`` being those of ``at``."""

    def learn(self, p: Array, ratio: float) -> None:
        """The trial p reduced the residual by ``ratio`` of what was promised; −inf: it had no value."""

    def is_spent(self, p: Array, at: Array) -> bool:
        """Whether trial steps p are negligible beside the scaled unknowns."""


class Radius:
    """‖p‖ ≤ radius."""

    def __init__(self, n: int) -> None:
        self.radius, self.first = np.nan, float(np.sqrt(n))  # each unknown may change by its size

    def step(self, slopes: Slopes, fixed: Array | None, at: Array | None) -> Array:
        if np.isnan(self.radius):
            size = float(np.linalg.norm(slopes.bounded(np.inf)))
            self.radius = min(size if np.isfinite(size) and size > 0.0 else self.first, self.first)
        return slopes.bounded(self.radius, fixed, at)

    def learn(self, p: Array, ratio: float) -> None:
        size = float(np.linalg.norm(p))
        if ratio < 0.25:
            self.radius = (0.25 if ratio > -np.inf else 0.1) * min(size, self.radius)
        elif ratio > 0.75:
            self.radius = max(self.radius, 2.0 * size)

    def is_spent(self, p: Array, at: Array) -> bool:
        return self.radius <= SMALLEST * max(float(np.linalg.norm(at)), 1e-300)


class Damping:
    """λ‖p‖² is added to the squared residual; λ follows the gain."""

    def __init__(self, first: float) -> None:
        self.lam, self.growth = first, 2.0

    def step(self, slopes: Slopes, fixed: Array | None, at: Array | None) -> Array:
        return slopes.damped(self.lam * float(slopes.columns.max(initial=1.0)) ** 2, fixed, at)

    def learn(self, p: Array, ratio: float) -> None:
        if ratio > 0.0:
            self.lam *= max(1.0 / 3.0, 1.0 - (2.0 * min(ratio, 1.0) - 1.0) ** 3)
            self.lam, self.growth = max(self.lam, 1e-15), 2.0
        else:
            self.lam, self.growth = self.lam * self.growth, 2.0 * self.growth

    def is_spent(self, p: Array, at: Array) -> bool:
        return float(np.linalg.norm(p)) <= SMALLEST * max(float(np.linalg.norm(at)), 1e-300)


def trust_region(problem: Problem, x: Array, record: Record, linear: Linear, limit: int, *, goal: Goal = EXACTLY,
                 patience: int | None = None, as_written: bool = False) -> bool:
    """Least linearised residual within a radius, from x until converged or stuck; ``record`` says which, and where.

    ``patience``: give up when so many iterations have halved neither the residual nor the correction. ``as_written``:
    residuals are weighed as they are, not by the sizes of their equations.
    """
    search = _Search(problem, record, linear, "trust-region", Radius(len(x)), goal, as_written)
    return search.run(x, limit, Progress(patience))


def levenberg_marquardt(problem: Problem, x: Array, record: Record, linear: Linear, limit: int, *,
                        goal: Goal = EXACTLY, patience: int | None = None, as_written: bool = False,
                        damping: float = DAMPING) -> bool:
    """The same with steps of least ‖r̃ + J̃ p‖² + λ‖p‖²; ``damping`` is the first λ, beside the squared columns of J̃."""
    search = _Search(problem, record, linear, "levenberg-marquardt", Damping(damping), goal, as_written)
    return search.run(x, limit, Progress(patience))


class _Search:
    """One run: the scales, the region, and the point with its model."""

    def __init__(self, problem: Problem, record: Record, linear: Linear, method: str, region: Region, goal: Goal,
                 as_written: bool) -> None:
        self.problem, self.record, self.linear, self.method = problem, record, linear, method
        self.region, self.goal, self.as_written, self.rescaled = region, goal, as_written, 0
        self.scales = Scales(np.empty(0), np.empty(0))

    def run(self, x: Array, limit: int, progress: Progress) -> bool:
        """Until converged or stuck."""
        problem, record = self.problem, self.record
        record.linear = None
        r = problem.residual(x)
        if not np.isfinite(r).all():
            record.met_outside(x)
            return record.stop(x, r, "the residual is not finite at the start")
        first, near, end = float(np.abs(r).max(initial=0.0)), Progress(NEAR), record.iterations + limit
        for iteration in range(limit + 1):
            record.note(self.method, r)
            model = problem.model(x)
            arrived = self.goal.reached(problem, model, r, record)
            if arrived:
                return record.stop(x, r, arrived, converged=True)
            if iteration == limit:
                break
            if progress.is_over(record):
                return record.stop(x, r, f"{progress.patience} iterations made little progress")
            small = is_small(model, r, first)
            if small and near.is_over(record):
                return self._polished(x, end)
            record.iterations += 1
            moved = self._move(model, x, r, first)
            if isinstance(moved, str):
                return self._polished(x, end) if small else record.stop(x, r, moved)
            x, r = moved.x, moved.r
            if isinstance(moved, Arrived):
                record.note(self.method, r)
                return record.stop(x, r, moved.message, moved.small)
        return record.stop(x, r, f"the limit of {limit} iterations was reached")

    def _polished(self, x: Array, end: int) -> bool:
        """Newton's method from a point with a small residual that these steps cannot make smaller, by rounding."""
        left = end - self.record.iterations
        return newton(self.problem, x, self.record, self.linear, left, goal=self.goal, patience=POLISH)

    def _move(self, model: Model, x: Array, r: Array, first: float) -> Accepted | Arrived | str:
        """One iteration: where it led, or why it led nowhere."""
        self._scale(model, x, r)
        try:
            slopes = slopes_of(model, self.scales, r, self.linear)
            if self._is_stationary(slopes, x):
                return "the residual has a local minimum here that is no solution"
            moved = self._accepted(slopes, x, r)
        except (SingularMatrixError, np.linalg.LinAlgError) as error:
            return f"the linear model cannot be worked with: {error}"
        if moved is None:
            return "no step of any length makes the residual smaller"
        d = moved.x - x
        length = float(np.max(np.abs(d) / unknown_sizes(self.problem, x)))
        self.record.took(length, moved.part)
        if length <= CORRECTION and moved.part == 1.0:
            return last_step(self.problem, model, x, r, d, first)
        return moved

    def _scale(self, model: Model, x: Array, r: Array) -> None:
        """Sizes at the start, made anew where an equation has become far smaller, so that it is not overlooked."""
        now = scales_of(self.problem, model, x, r)
        if self.as_written:
            now = Scales(now.unknown, equation_weights(self.problem))
        if not len(self.scales.unknown):
            self.scales = now
        elif self.rescaled < RESCALINGS and (self.scales.equation > FORGOTTEN * now.equation).any():
            self.scales, self.rescaled = now, self.rescaled + 1
        self.record.unknown_scale, self.record.equation_scale = self.scales.unknown, self.scales.equation

    def _accepted(self, slopes: Slopes, x: Array, r: Array) -> Accepted | None:
        """The first trial that reduces the residual as promised; the region learns from each."""
        size = self.scales.norm(r)
        for _ in range(TRIALS):
            p = self._inside(slopes, x, self.region)
            linear = slopes.norm_after(p)
            trial = x + self.scales.unknown * p
            new = self.problem.residual(trial)
            reached = self.scales.norm(new)
            if np.isinf(reached):
                self.record.met_outside(trial)
            promised = (size - linear) * (size + linear)
            ratio = (size - reached) * (size + reached) / promised if promised > 0.0 else -np.inf
            self.region.learn(p, ratio)
            if ratio > ACCEPTED:
                whole = linear <= 1e-8 * size
                return Accepted(trial, new, 1.0 if whole else min(1.0 - linear / size, 0.999))
            if self.region.is_spent(p, x / self.scales.unknown):
                break
        self.problem.residual(x)
        return None

    def _is_stationary(self, slopes: Slopes, x: Array) -> bool:
        """Whether no step of the unknowns' own sizes would do anything worth while, were the equations linear."""
        size = float(np.linalg.norm(slopes.r))
        return slopes.norm_after(self._inside(slopes, x, Radius(len(x)))) >= (1.0 - STATIONARY) * size

    def _inside(self, slopes: Slopes, x: Array, region: Region) -> Array:
        """The region's step, held inside the domains."""
        low, high = (REACH * (end - x) / self.scales.unknown for end in (self.problem.low, self.problem.high))
        p = region.step(slopes, None, None)
        fixed = np.zeros(len(x), dtype=bool)
        for _ in range(len(x)):
            over = (p < low) | (p > high)
            if not over.any():
                return p
            p = np.clip(p, low, high)
            fixed |= over
            if isinstance(slopes, LargeSlopes) or fixed.all():
                return p
            p = region.step(slopes, fixed, p)
        return np.asarray(np.clip(p, low, high))
