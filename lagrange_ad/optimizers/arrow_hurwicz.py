"""The primal–dual gradient iteration: x goes down the Lagrangian, multipliers go up.

K. Arrow, L. Hurwicz, H. Uzawa, Studies in Linear and Non-Linear Programming, 1958; on the augmented Lagrangian,
without which it turns in circles where the Lagrangian is not strictly convex. Each iteration costs one gradient of the
objective and of the rows; convergence is linear at best, and slow: this is for study, and where nothing else fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .algorithm import Algorithm, Settings
from .bounded import LEAST
from .monitor import Monitor
from .penalized import Penalized, bound_multipliers
from .prepared import Prepared, projected, size_of
from .problem import Answer, Array, Problem

SHORTEST = 1e-14
LONGER = 1.1
WINDOW = 50
"""Iterations after which the violation must be smaller, or no larger than the slope, else the penalty grows: while x
has a long way to go, violations follow it, and a larger penalty would only make its steps shorter."""
STIFFER, STIFF, STIFFEST = 3.0, 1e3, 1e6


@dataclass(frozen=True)
class ArrowHurwicz(Algorithm):
    """x ← P(x − α ∇L_ρ(x, y)), y ← y − β(c − nearest) with the row's sign kept, at the new x.

    α as long as L_ρ falls as a function with curvature 1/α would; β = ``dual``·ρ. ``penalty``: ρ at the start, which
    grows where violations do not fall; 0 for the Lagrangian itself, then β = ``dual``/(α‖J‖²): for strictly convex
    problems.
    """

    name: ClassVar[str] = "arrow-hurwicz"
    takes: ClassVar[frozenset[str]] = frozenset({"bounds", "equalities", "inequalities"})

    penalty: float = 1.0
    dual: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.penalty < np.inf:
            self._refuse("penalty", "0 or a positive number")
        if not 0 < self.dual <= 1:
            self._refuse("dual", "above 0, 1 at most")

    def _run(self, problem: Problem, settings: Settings, monitor: Monitor) -> Answer:
        return _Run(self, Prepared(problem, monitor, largest=1.0), settings).run()


class Plain(Penalized):
    """f − yᵀc: the Lagrangian without a penalty."""

    def __init__(self, problem: Problem, x: Array, y: Array) -> None:
        super().__init__(problem, x, y, 0.0)

    def weigh(self, y: Array, penalty: float) -> None:
        """Set the multipliers."""
        self.y = y
        self.value = float(self.sample.f - y @ self.sample.c)


class _Run:
    """One run: the multipliers y, the step α, the penalty ρ."""

    def __init__(self, options: ArrowHurwicz, problem: Prepared, settings: Settings) -> None:
        self.options, self.problem, self.settings = options, problem, settings
        y, _ = problem.start(settings.y0, settings.z0)
        self.y = np.zeros(problem.m) if y is None else y
        self.alpha, self.penalty = 1.0, options.penalty

    def _at(self, x: Array) -> Penalized:
        return Penalized(self.problem, x, self.y, self.penalty) if self.penalty else Plain(self.problem, x, self.y)

    def run(self) -> Answer:
        now, done, window, before = self._at(self.problem.x0), 0, np.inf, np.inf
        if not now.sample.is_smooth:
            return self.problem.no_start(now.sample)
        while True:
            slope = projected(now.x, now.gradient, self.problem.lower, self.problem.upper)
            violated = self.problem.left(self._excess(now, self._dual_step(now)))
            self.problem.report(now.sample, size_of(slope), now.y, bound_multipliers(self.problem, now))
            if max(violated, size_of(slope)) <= self.settings.tolerance:
                return self._end(now, "solved", "the iteration converged", done)
            if done >= self.settings.max_iterations:
                return self._end(now, "iterations", f"the most iterations were made, {violated:.2g} of rows and "
                                 f"{size_of(slope):.2g} of the slope are left; this method is slow", done)
            then = self._down(now)
            if then is None or then.value < LEAST:
                return self._end(now, "stalled" if then is None else "unbounded", _WORDS[then is None], done)
            window, done = min(window, violated), done + 1
            self.y = self.y - self._dual_step(then) * self._excess(then, self._dual_step(then))
            if done % WINDOW == 0:
                if self._is_hopeless(then):
                    return self.problem.no_feasible(then.sample, then.y, done)
                self._stiffen(window > max(0.99 * before, size_of(slope)))
                before, window = window, np.inf
            now = then.again(self.y, self.penalty)


    def _dual_step(self, now: Penalized) -> float:
        if self.penalty:
            return self.options.dual * self.penalty
        J = abs(now.sample.jacobian)
        norm = float(np.max(J.sum(0), initial=0.0) * np.max(J.sum(1), initial=0.0))
        return self.options.dual / (self.alpha * max(norm, 1e-300))

    def _excess(self, now: Penalized, beta: float) -> Array:
        c, problem = now.sample.c, self.problem
        return np.asarray(c - np.clip(c - self.y / beta, problem.row_lower, problem.row_upper))

    def _down(self, now: Penalized) -> Penalized | None:
        """A projected step down the Lagrangian, shortened until this falls as its curvature allows."""
        self.alpha *= LONGER
        while self.alpha > SHORTEST:
            x = np.clip(now.x - self.alpha * now.gradient, self.problem.lower, self.problem.upper)
            then, d = self._at(x), x - now.x
            model = now.value + float(now.gradient @ d) + 0.5 * float(d @ d) / self.alpha
            if then.value <= model + 1e-14 * abs(now.value) and then.sample.is_smooth:
                return then
            self.alpha *= 0.5
        return None

    def _is_hopeless(self, now: Penalized) -> bool:
        return self.penalty >= STIFF and self.problem.is_stuck(now.sample, self.settings.tolerance)

    def _stiffen(self, needed: bool) -> None:
        if needed and 0 < self.penalty < STIFFEST:
            self.penalty *= STIFFER

    def _end(self, now: Penalized, reason: str, message: str, done: int) -> Answer:
        return self.problem.answer(now.sample, reason, message, now.y, bound_multipliers(self.problem, now), done)


_WORDS = {True: "no step improves", False: "the Lagrangian falls without bound: try a penalty, or a larger one"}
