"""The method of multipliers: minimizes an augmented Lagrangian within the bounds, then corrects the multipliers.

M. Hestenes (1969), M. Powell (1969), R. T. Rockafellar (1973, inequalities); safeguards and rules as in ALGENCAN
(R. Andreani, E. Birgin, J. Martínez, M. Schuverdt, On augmented Lagrangian methods with general lower-level
constraints, 2007). Bounds stay in the inner problem. Jacobians are sparse throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from ..errors import DeclarationError
from .algorithm import Algorithm, Settings
from .bounded import Direction, LimitedMemory, Outcome, minimize
from .monitor import Monitor
from .penalized import NewtonSteps, Penalized, bound_multipliers, nearest_feasible
from .prepared import Prepared, projected, size_of
from .problem import Answer, Array, Problem

LARGEST_SLOPE = 1.0
LARGEST = 1e12
"""Multipliers are kept within ± this (safeguard)."""
STIFFEST = 1e14
"""A penalty above this means that rows cannot be satisfied, or not so well."""
FAR = 1e3
"""An objective that falls by this much, relative to its size, while violations grow, has no minimum near."""
PATIENCE = 8
"""Outer iterations that bring nothing and are borne."""


@dataclass(frozen=True)
class AugmentedLagrangian(Algorithm):
    """Minimizes f + Σ ρ/2 (c − nearest)² − y(c − nearest) over x within bounds; then y ← y − ρ(c − nearest).

    ``nearest`` is the point of [row_lower, row_upper] nearest to c − y/ρ. ``order``: 2 for Newton steps with second
    derivatives, 1 for L-BFGS, None for 2 where there are any. ``penalty``: ρ at the start, None to choose; it grows by
    ``growth`` where an outer iteration leaves more than ``progress`` of the violation.
    """

    name: ClassVar[str] = "augmented-lagrangian"
    takes: ClassVar[frozenset[str]] = frozenset({"bounds", "equalities", "inequalities"})

    order: int | None = None
    penalty: float | None = None
    growth: float = 10.0
    progress: float = 0.5
    memory: int = 10

    def __post_init__(self) -> None:
        if self.order not in (None, 1, 2):
            self._refuse("order", "1, 2 or None")
        if self.penalty is not None and not 0 < self.penalty < np.inf:
            self._refuse("penalty", "a positive number or None")
        if not 1 < self.growth < np.inf:
            self._refuse("growth", "a number above 1")
        if not 0 < self.progress < 1:
            self._refuse("progress", "between 0 and 1")
        if not (isinstance(self.memory, int) and self.memory > 0):
            self._refuse("memory", "a positive int")

    def _run(self, problem: Problem, settings: Settings, monitor: Monitor) -> Answer:
        if self.order == 2 and not problem.second_order:
            raise DeclarationError(f"{self.name!r} with order=2 needs second derivatives, and a function of this "
                                   "program has none: leave order out")
        return _Run(self, Prepared(problem, monitor, LARGEST_SLOPE), settings, monitor).run()


class _Run:
    """One run: the safeguarded multipliers y, the penalty, and the tolerance of the inner problem."""

    def __init__(self, options: AugmentedLagrangian, problem: Prepared, settings: Settings, monitor: Monitor) -> None:
        self.options, self.problem, self.settings, self.monitor = options, problem, settings, monitor
        y, _ = problem.start(settings.y0, settings.z0)
        self.y = np.zeros(problem.m) if y is None else np.clip(y, -LARGEST, LARGEST)
        self.order = options.order or (2 if problem.second_order else 1)
        self.done, self.penalty, self.restored = 0, options.penalty or 1.0, False

    def run(self) -> Answer:
        problem, tolerance = self.problem, self.settings.tolerance
        now = Penalized(problem, problem.x0, self.y, self.penalty)
        if not now.sample.is_smooth:
            return problem.no_start(now.sample)
        if self.options.penalty is None:
            self.penalty = _first_penalty(now)
        now, inner, left, idle = now.again(self.y, self.penalty), np.sqrt(tolerance), np.inf, 0
        self._tell(now)
        while True:
            outcome: Any = self._minimize(now, max(inner, tolerance))
            if outcome is None:
                now = now.again(self.y, self.penalty)
                continue
            now, violation = outcome.at, self.problem.left(outcome.at.excess)
            if violation <= tolerance and size_of(self._slope(now)) <= tolerance:
                return self._end(now, "solved", "the augmented Lagrangian converged")
            if outcome.reason in ("iterations", "unbounded"):
                return self._end(now, outcome.reason, _WORDS[outcome.reason])
            idle = 0 if violation <= self.options.progress * left or outcome.reason == "solved" else idle + 1
            stuck = self.penalty > STIFFEST or idle > PATIENCE
            if (stuck or self._is_stuck(now)) and (restored := self._restore(now, stuck)) is not None:
                return restored
            self._update(now, violation > max(self.options.progress * left, tolerance))
            now, left, inner = self._at(now.x), violation, 0.1 * inner

    def _minimize(self, start: Penalized, tolerance: float) -> Outcome | None:
        """The inner problem; None, with a larger penalty, where that is too small to keep a minimum."""
        direction: Direction = NewtonSteps() if self.order == 2 else LimitedMemory(self.options.memory)
        bounds = self.problem.lower, self.problem.upper

        def watch(now: Any) -> None:
            self.done += 1
            self._tell(now)
            if self.penalty < STIFFEST and _is_astray(start, now, self.settings.tolerance):
                raise _Astray

        try:
            outcome: Any = minimize(self._at, start.x, bounds, tolerance, direction,
                                    self.settings.max_iterations - self.done, watch)
        except _Astray:
            outcome = None
        if outcome is None or (self.penalty < STIFFEST and self._is_at_an_edge(start, outcome)):
            self.penalty *= self.options.growth
            return None
        return cast(Outcome, outcome)

    def _is_at_an_edge(self, start: Penalized, outcome: Outcome) -> bool:
        """Whether steps ended where the problem has no values beyond: the slope is steeper than at the start."""
        now: Any = outcome.at
        return (outcome.reason == "stalled" and size_of(now.excess) > np.sqrt(self.settings.tolerance)
                and size_of(self._slope(now)) > max(1.0, size_of(self._slope(start))))

    def _at(self, x: Array) -> Penalized:
        return Penalized(self.problem, x, self.y, self.penalty)

    def _slope(self, now: Any) -> Array:
        return projected(now.x, now.gradient, self.problem.lower, self.problem.upper)

    def _tell(self, now: Any) -> None:
        self.problem.report(now.sample, size_of(self._slope(now)), now.y, bound_multipliers(self.problem, now))

    def _update(self, now: Any, stiffer: bool) -> None:
        self.y = np.clip(now.y, -LARGEST, LARGEST)
        if stiffer:
            self.penalty *= self.options.growth

    def _is_stuck(self, now: Any) -> bool:
        """Whether the violation is large and moving within bounds does not change it, at first order."""
        return self.penalty >= 1e4 and self.problem.is_stuck(now.sample, self.settings.tolerance)

    def _restore(self, now: Any, stuck: bool) -> Answer | None:
        """The answer where no feasible point is near; else None, going on from that point."""
        problem, tolerance = self.problem, self.settings.tolerance
        most = self.settings.max_iterations - self.done
        outcome = nearest_feasible(problem, now.x, 1e-2 * tolerance, most, self.order, self.monitor)
        self.done += outcome.iterations
        nearest: Any = outcome.at
        if problem.is_stuck(nearest.sample, tolerance):
            return problem.no_feasible(nearest.sample, now.y, self.done)
        if stuck or self.restored:
            return self._end(now, "stalled", f"the penalty is {self.penalty:.0e}, and no step improves")
        self.restored = True
        return None

    def _end(self, now: Any, reason: str, message: str) -> Answer:
        return self.problem.answer(now.sample, reason, message, now.y, bound_multipliers(self.problem, now), self.done)


class _Astray(Exception):
    """The inner problem has no minimum near."""


def _is_astray(start: Any, now: Any, tolerance: float) -> bool:
    """Whether the objective falls far below its value at the start, and violations are what that is paid with."""
    before = size_of(start.excess)
    fallen = start.sample.f - now.sample.f > FAR * max(1.0, abs(start.sample.f))
    return bool(fallen) and size_of(now.excess) > max(10.0 * before, np.sqrt(tolerance))


_WORDS = {"iterations": "the most iterations were made", "unbounded": "the objective falls without bound"}


def _first_penalty(now: Penalized) -> float:
    """As in ALGENCAN: weighs the objective against the violation."""
    excess = now.sample.c - np.clip(now.sample.c, now.problem.row_lower, now.problem.row_upper)
    weighed = 10.0 * max(1.0, abs(now.sample.f)) / max(1.0, 0.5 * float(excess @ excess))
    return float(np.clip(weighed, 1e-2, 1e4))
