"""Projected gradient descent with steps of Barzilai and Borwein's length, for problems with bounds only.

E. Birgin, J. Martínez, M. Raydan, Nonmonotone spectral projected gradient methods on convex sets, 2000.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from .algorithm import Algorithm, Settings
from .bounded import Value, minimize
from .monitor import Monitor
from .penalized import Penalized, bound_multipliers
from .prepared import Prepared, projected, size_of
from .problem import Answer, Array, Problem

LONGEST = 1e10


@dataclass(frozen=True)
class GradientDescent(Algorithm):
    """x ← P(x − α∇f), α = sᵀs/sᵀq of the last step s and change of gradient q, shortened by Armijo's rule.

    A step improves on the worst of the last ``lookback`` values; 1 for a descent without exception.
    """

    name: ClassVar[str] = "gradient"
    takes: ClassVar[frozenset[str]] = frozenset({"bounds"})

    lookback: int = 10

    def __post_init__(self) -> None:
        if not (isinstance(self.lookback, int) and self.lookback > 0):
            self._refuse("lookback", "a positive int")

    def _run(self, problem: Problem, settings: Settings, monitor: Monitor) -> Answer:
        prepared = Prepared(problem, monitor)
        none = np.empty(0)
        first = Penalized(prepared, prepared.x0, none, 1.0)
        if not first.sample.is_smooth:
            return prepared.no_start(first.sample)

        def tell(now: Any) -> None:
            slope = projected(now.x, now.gradient, prepared.lower, prepared.upper)
            prepared.report(now.sample, size_of(slope), none, bound_multipliers(prepared, now))

        tell(first)
        outcome = minimize(lambda x: Penalized(prepared, x, none, 1.0), first.x, (prepared.lower, prepared.upper),
                           settings.tolerance, Spectral(), settings.max_iterations, tell, self.lookback)
        now: Any = outcome.at
        return prepared.answer(now.sample, outcome.reason, _WORDS[outcome.reason], none,
                               bound_multipliers(prepared, now), outcome.iterations)


@dataclass
class Spectral:
    """−α∇f with α from the last step (J. Barzilai and J. Borwein, 1988)."""

    alpha: float | None = field(default=None)

    def of(self, now: Value, free: Array) -> Array:
        """d (n,)."""
        alpha = 1.0 / max(1.0, size_of(now.gradient)) if self.alpha is None else self.alpha
        return np.where(free, -alpha * now.gradient, 0.0)

    def learn(self, before: Value, now: Value) -> None:
        """α = sᵀs/sᵀq; long where the curvature is not positive."""
        s, q = now.x - before.x, now.gradient - before.gradient
        bent, length = float(s @ q), float(s @ s)
        self.alpha = float(np.clip(length / bent, 1 / LONGEST, LONGEST)) if bent > 0 else 10.0 * (self.alpha or 1.0)


_WORDS = {"solved": "the projected gradient vanishes", "stalled": "no step improves",
          "iterations": "the most iterations were made", "unbounded": "the objective falls without bound"}
