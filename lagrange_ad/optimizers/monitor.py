"""Watches a run of any algorithm: progress, callback, time limit, and the best point so far.

Algorithms call ``step`` after every iteration; it raises Stopped where the run is to end, which ``optimize`` turns into
an answer. A library that swallows exceptions is wrapped by its adapter, which raises them again afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .problem import Array, Problem

MOST_KEPT = 100
"""The history keeps x where it is not longer than this."""
FEASIBLE = 1e-6
"""Points this near to feasible compete by their objective, others by their infeasibility."""


@dataclass(frozen=True, slots=True)
class Iteration:
    """One iteration: the objective (of the minimization), the largest violation of a bound or row, and the
    stationarity: largest entry of ∇f − Jᵀy − z, NaN where the algorithm does not know it. ``x`` (n,) is None in the
    history where it is long."""

    number: int
    objective: float
    infeasibility: float
    stationarity: float
    seconds: float
    x: Array | None


class Stopped(Exception):
    """The run is to end: ``reason`` and ``message`` as of an Answer. Not an error of anybody."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class Monitor:
    """Takes every iteration, keeps the best point with its multipliers, and says when to stop."""

    def __init__(self, show: Callable[[Iteration], None] | None = None,
                 callback: Callable[[Iteration], Any] | None = None, time_limit: float | None = None) -> None:
        self._show, self._callback, self._limit = show, callback, time_limit
        self._began = time.perf_counter()
        self.history: list[Iteration] = []
        self.best: Iteration | None = None
        self.best_multipliers: tuple[Array | None, Array | None] = (None, None)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self._began

    def step(self, x: Array, objective: float, infeasibility: float, stationarity: float = np.nan,
             y: Array | None = None, z: Array | None = None) -> None:
        """Note an iteration (the start is one). Raises Stopped at the time limit, or where the callback says True."""
        kept = x.copy()
        kept.flags.writeable = False
        now = Iteration(len(self.history), float(objective), float(infeasibility), float(stationarity), self.seconds,
                        kept)
        if self.best is None or _rank(now) <= _rank(self.best):
            self.best, self.best_multipliers = now, (y, z)
        self.history.append(now if x.size <= MOST_KEPT else replace(now, x=None))
        if self._show is not None:
            self._show(now)
        if self._callback is not None:
            answer = self._callback(now)
            if isinstance(answer, bool | np.bool_) and answer:
                raise Stopped("callback", "the callback asked to stop")
        self.check()

    def check(self) -> None:
        """Raise Stopped at the time limit; for long iterations to ask in between."""
        if self._limit is not None and self.seconds >= self._limit:
            raise Stopped("time", f"the time limit of {self._limit:g} s was reached")


def _rank(iteration: Iteration) -> tuple[float, float]:
    """Smaller is better: by infeasibility until that is small, then by objective. Values that are none come last."""
    infeasible, objective = iteration.infeasibility, iteration.objective
    if not (np.isfinite(infeasible) and np.isfinite(objective)):
        return np.inf, np.inf
    return (0.0, objective) if infeasible <= FEASIBLE else (infeasible, objective)


def violation(values: Array, lower: Array, upper: Array) -> float:
    """The largest excess over bounds; NaN where a value is none."""
    if not len(values):
        return 0.0
    excess = np.maximum(np.maximum(lower - values, values - upper), 0.0)
    return float(excess.max())


def infeasibility(problem: Problem, x: Array, values: Array) -> float:
    """The largest violation of a bound by x or of a row by ``values``, c(x); NaN where one is none."""
    rows = violation(values, problem.row_lower, problem.row_upper)
    return float(np.max([rows, violation(x, problem.lower, problem.upper)]))
