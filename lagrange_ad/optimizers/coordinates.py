"""The method of auxiliary coordinates: equations become quadratic penalties, unknowns and decisions take turns.

M. Carreira-Perpiñán and W. Wang, Distributed optimization of deeply nested systems, 2014. The unknowns that a view
keeps are the coordinates; with them given, parts of a nested system no longer hang on each other. μ grows until the
equations hold; the multipliers are −μ·(what they leave).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..errors import DeclarationError
from .algorithm import Algorithm, Settings
from .bounded import Direction, LimitedMemory, minimize
from .monitor import Monitor
from .penalized import NewtonSteps, Penalized, bound_multipliers
from .prepared import Prepared, projected, size_of
from .problem import Answer, Array, Problem

STIFFEST = 1e14
TURN = 50
"""Most steps of one turn of decisions or of coordinates."""


@dataclass(frozen=True)
class AuxiliaryCoordinates(Algorithm):
    """Minimizes f + μ/2 ‖c − bound‖² over the decisions, then over the kept unknowns, and so on; μ grows.

    ``penalty``: μ at the start, ``growth``: its factor, ``turns``: most turns for one μ. ``shifted``: the multipliers
    are part of the penalty (an augmented Lagrangian), so that equations hold exactly at a moderate μ; False for the
    plain penalty of the paper, whose equations are left at −y/μ, and whose turns are the shorter the larger μ is.
    """

    name: ClassVar[str] = "auxiliary-coordinates"
    takes: ClassVar[frozenset[str]] = frozenset({"bounds", "equalities", "inequalities"})
    keeps_unknowns: ClassVar[bool] = True

    penalty: float = 1.0
    growth: float = 5.0
    turns: int = 100
    shifted: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.penalty < np.inf:
            self._refuse("penalty", "a positive number")
        if not 1 < self.growth < np.inf:
            self._refuse("growth", "a number above 1")
        if not (isinstance(self.turns, int) and self.turns > 0):
            self._refuse("turns", "a positive int")

    def require(self, problem: Problem) -> None:
        """As Algorithm, and the problem must tell kept unknowns from decisions and have both."""
        super().require(problem)
        if problem.coordinates is None or not problem.coordinates.any():
            found = "no unknowns are kept" if problem.coordinates is not None else "nobody told them apart"
            raise DeclarationError(f"{self.name!r} lets decisions and kept unknowns of equations take turns, and "
                                   f"{found}: choose a space that keeps unknowns, such as 'full', or another method")

    def _run(self, problem: Problem, settings: Settings, monitor: Monitor) -> Answer:
        return _Run(self, Prepared(problem, monitor), settings).run()


class _Run:
    """One run: the shift y of the penalty, and μ."""

    def __init__(self, options: AuxiliaryCoordinates, problem: Prepared, settings: Settings) -> None:
        self.options, self.problem, self.settings = options, problem, settings
        y, _ = problem.start(settings.y0, settings.z0)
        self.y = np.zeros(problem.m) if y is None or not options.shifted else y
        self.penalty, self.done = options.penalty, 0
        self.newton = problem.second_order

    def _at(self, x: Array) -> Penalized:
        return Penalized(self.problem, x, self.y, self.penalty)

    def run(self) -> Answer:
        tolerance = self.settings.tolerance
        now, inner, before = self._at(self.problem.x0), 1e-2, np.inf
        if not now.sample.is_smooth:
            return self.problem.no_start(now.sample)
        self._tell(now)
        while True:
            now, arrived = self._alternate(now.x, max(inner, tolerance))
            violation = self.problem.left(now.excess)
            if violation <= tolerance and self._slope(now) <= tolerance:
                return self._end(now, "solved", "decisions and coordinates agree, and the equations hold")
            if self.done >= self.settings.max_iterations:
                return self._end(now, "iterations", "the most iterations were made; equations are left at "
                                 f"{violation:.2g}, the slope at {self._slope(now):.2g}, and turns are slow where the "
                                 f"penalty ({self.penalty:.2g}) is large beside the objective")
            if not (arrived or self.options.shifted):
                return self._end(now, "stalled", f"turns do not converge at a penalty of {self.penalty:.2g}, equations "
                                 f"are left at {violation:.2g}: allow more turns, or take shifted=True")
            if self.penalty > STIFFEST or (self.penalty >= 1e4 and self.problem.is_stuck(now.sample, tolerance)):
                return self._failed(now)
            if self.options.shifted and arrived:
                self.y = now.y
            if not self.options.shifted or violation > max(0.5 * before, tolerance):
                self.penalty *= self.options.growth
            now, inner, before = self._at(now.x), 0.2 * inner, violation

    def _alternate(self, x: Array, tolerance: float) -> tuple[Any, bool]:
        """Turns until the slope over both is within the tolerance; whether that was reached."""
        kept = self.problem.coordinates
        assert kept is not None
        now: Any = self._at(x)
        for _ in range(self.options.turns):
            if self._slope(now) <= tolerance or self.done >= self.settings.max_iterations:
                break
            for moving in (kept, ~kept):
                now = self._turn(now, moving, 0.1 * tolerance)
        return now, self._slope(now) <= tolerance

    def _turn(self, now: Any, moving: Array, tolerance: float) -> Any:
        """Minimize over the moving variables, the others held where they are."""
        bounds = np.where(moving, self.problem.lower, now.x), np.where(moving, self.problem.upper, now.x)
        direction: Direction = NewtonSteps() if self.newton else LimitedMemory()
        most = min(TURN, self.settings.max_iterations - self.done)
        outcome = minimize(self._at, now.x, bounds, tolerance, direction, most, self._tell)
        self.done += outcome.iterations
        return outcome.at

    def _slope(self, now: Any) -> float:
        return size_of(projected(now.x, now.gradient, self.problem.lower, self.problem.upper))

    def _tell(self, now: Any) -> None:
        self.problem.report(now.sample, self._slope(now), now.y, bound_multipliers(self.problem, now))

    def _failed(self, now: Any) -> Answer:
        if self.problem.is_stuck(now.sample, self.settings.tolerance):
            return self.problem.no_feasible(now.sample, now.y, self.done)
        return self._end(now, "stalled", f"the penalty is {self.penalty:.0e}, and no turn improves")

    def _end(self, now: Any, reason: str, message: str) -> Answer:
        return self.problem.answer(now.sample, reason, message, now.y, bound_multipliers(self.problem, now), self.done)
