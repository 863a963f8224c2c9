"""A problem's objective with its rows as penalties: values, gradients and Newton steps of the augmented Lagrangian.

Takes a Problem, multipliers and a penalty, gives what ``bounded.py`` minimizes within bounds of x. Methods that turn
rows into penalties share it, and the search for a feasible point, which is the same without objective.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from .bounded import Direction, LimitedMemory, Outcome, minimize
from .monitor import Monitor
from .prepared import Sample
from .problem import Array, Problem
from .saddle import descend

PRODUCTS = 300
"""Most variables whose Hessian is made from products with unit vectors."""


class Penalized:
    """The augmented Lagrangian at x. ``excess``: c − nearest (m,); ``y``: the multipliers it suggests, y − ρ·excess."""

    def __init__(self, problem: Problem, x: Array, y: Array, penalty: float, weight: float = 1.0) -> None:
        self.sample, self.x, self.problem, self.weight = Sample(problem, x), x, problem, weight
        self.weigh(y, penalty)

    def weigh(self, y: Array, penalty: float) -> None:
        """Set the multipliers and the penalty, before the gradient is asked for."""
        with np.errstate(invalid="ignore"):
            shifted = self.sample.c - y / penalty
            nearest = np.clip(shifted, self.problem.row_lower, self.problem.row_upper)
        self.beyond, self.penalty = shifted != nearest, penalty
        self.excess = self.sample.c - nearest
        self.y = y - penalty * self.excess
        self.value = float(self.weight * self.sample.f + self.excess @ (0.5 * penalty * self.excess - y))

    def again(self, y: Array, penalty: float) -> Self:
        """The same point under other multipliers; nothing is evaluated again."""
        other = copy(self)
        other.__dict__.pop("gradient", None)
        other.weigh(y, penalty)
        return other

    @cached_property
    def gradient(self) -> Array:
        """Its gradient, weight·∇f − Jᵀ(y − ρ·excess) (n,)."""
        slope = self.weight * self.sample.gradient
        return np.asarray(slope - self.sample.jacobian.T @ self.y) if self.problem.m else slope

    def newton(self, free: Array, last: float) -> tuple[Array, float]:
        """Newton's direction over free variables and its δ, from the system with J and −1/ρ: no product JᵀJ is made."""
        if not can_factor(self.problem):
            return self._conjugate(free), last
        columns = np.flatnonzero(free)
        d = np.zeros_like(self.x)
        if not len(columns):
            return d, last
        with np.errstate(all="ignore"):
            H = self.problem.hessian_matrix(self.x, self.weight, -self.y)[columns][:, columns]
        J = self.sample.jacobian[self.beyond][:, columns]
        if not np.isfinite(H.data if hasattr(H, "nnz") else H).all():
            return np.full_like(d, np.nan), last
        D = np.full(J.shape[0], 1.0 / self.penalty)
        step = descend(H, J, D, (-self.gradient[columns], np.zeros(len(D))), last)
        d[columns] = np.nan if step is None else step.d
        return d, last if step is None else step.delta

    def product(self, v: Array) -> Array:
        """Its Hessian times v, by the problem's product and ρJᵀJ of the rows beyond."""
        bent = self.problem.hessian_product(self.x, self.weight, -self.y, v)
        J = self.sample.jacobian
        return np.asarray(bent + J.T @ (self.penalty * self.beyond * (J @ v)))

    def _conjugate(self, free: Array) -> Array:
        """A truncated Newton direction: conjugate gradients until ‖rest‖ is small beside the slope, or curvature is
        not positive (R. Dembo and T. Steihaug, 1983)."""
        rest = np.where(free, -self.gradient, 0.0)
        d, p, size = np.zeros_like(rest), rest, float(rest @ rest)
        enough = size * min(0.25, size ** 0.5)
        for step in range(2 * len(rest)):
            bent = np.where(free, self.product(p), 0.0)
            curvature = float(p @ bent)
            if not curvature > 1e-12 * float(p @ p):
                return d if step else rest / max(1.0, float(np.sqrt(size)))
            alpha = size / curvature
            d, rest = d + alpha * p, rest - alpha * bent
            size, before = float(rest @ rest), size
            if size <= enough:
                break
            p = rest + size / before * p
        return d


class Feasibility(Penalized):
    """½ Σ of squared violations of rows: what is minimized where a point within all rows is looked for."""

    def __init__(self, problem: Problem, x: Array) -> None:
        super().__init__(problem, x, np.zeros(problem.m), 1.0, weight=0.0)


@dataclass
class NewtonSteps:
    """Newton's directions, by the KKT system of the augmented Lagrangian."""

    delta: float = 0.0

    def of(self, now: Any, free: Array) -> Array:
        """d (n,), zero where not free."""
        d, self.delta = now.newton(free, self.delta)
        return np.asarray(d)

    def learn(self, before: Any, now: Any) -> None:
        """Nothing is to be learned from steps."""


def nearest_feasible(problem: Problem, x: Array, tolerance: float, most: int, order: int, monitor: Monitor) -> Outcome:
    """A stationary point of the violation of rows within bounds, from x; at best a feasible point."""
    direction: Direction = NewtonSteps() if order == 2 else LimitedMemory()
    return minimize(lambda at: Feasibility(problem, at), x, (problem.lower, problem.upper), tolerance, direction, most,
                    lambda _: monitor.check())


def can_factor(problem: Problem) -> bool:
    """Whether a Hessian can be had as a matrix: by its structure, or by products where n is small."""
    return problem.hessian_structure is not None or problem.n <= PRODUCTS


def bound_multipliers(problem: Problem, now: Any) -> Array:
    """z (n,): the slope at variables that a bound holds, 0 elsewhere."""
    held = ((now.x <= problem.lower) & (now.gradient > 0)) | ((now.x >= problem.upper) & (now.gradient < 0))
    return np.where(held, now.gradient, 0.0)
