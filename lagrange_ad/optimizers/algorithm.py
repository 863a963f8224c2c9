"""What every algorithm is: a frozen dataclass of checked options that runs on a Problem.

Users name one, ``method="uno"``, or give an object, ``method=la.optimizers.Uno(preset="filtersqp")``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from ..errors import DeclarationError
from .monitor import Monitor
from .problem import Answer, Array, Problem


@dataclass(frozen=True)
class Settings:
    """What every run has: ``tolerance`` of the KKT conditions (scaled as the algorithm scales), ``max_iterations``.

    ``y0`` (m,), ``z0`` (n,): multipliers to start from, None where nobody knows any.
    """

    tolerance: float = 1e-8
    max_iterations: int = 3000
    y0: Array | None = None
    z0: Array | None = None


@dataclass(frozen=True)
class Algorithm:
    """An algorithm with its options. ``takes`` says what it can treat: "bounds", "equalities", "inequalities"; and
    ``keeps_unknowns`` that it is about kept unknowns, so that a space without any is none for it."""

    name: ClassVar[str] = ""
    takes: ClassVar[frozenset[str]] = frozenset()
    keeps_unknowns: ClassVar[bool] = False
    needs_second_order: ClassVar[bool] = False

    def run(self, problem: Problem, settings: Settings, monitor: Monitor) -> Answer:
        """Minimize from ``problem.x0``. Raises Stopped (of the monitor) and what the user's functions raise.

        Refuses, with DeclarationError, a problem with what it does not take.
        """
        self.require(problem)
        return self._run(problem, settings, monitor)

    def _run(self, problem: Problem, settings: Settings, monitor: Monitor) -> Answer:
        raise NotImplementedError(f"{type(self).__name__} must say how it optimizes")

    def require(self, problem: Problem) -> None:
        """Raise DeclarationError, naming the first row or variable, where this algorithm cannot treat a problem."""
        if "bounds" not in self.takes:
            held = np.flatnonzero(np.isfinite(problem.lower) | np.isfinite(problem.upper))
            if len(held):
                self._refuse_problem("bounds", problem.variable_name(int(held[0])), len(held))
        equal = problem.row_lower == problem.row_upper
        if "equalities" not in self.takes and equal.any():
            self._refuse_problem("equations", problem.row_name(int(np.argmax(equal))), int(equal.sum()))
        if "inequalities" not in self.takes and not equal.all():
            self._refuse_problem("inequalities", problem.row_name(int(np.argmin(equal))), int((~equal).sum()))
        if self.needs_second_order and not problem.second_order:
            raise DeclarationError(f"{self.name!r} needs second derivatives, and a function of this program has none: "
                                   "choose a method that needs first ones only")

    def _refuse_problem(self, what: str, first: str, count: int) -> None:
        more = f" and {count - 1} more" if count > 1 else ""
        raise DeclarationError(f"{self.name!r} takes no {what}, and there are: {first}{more}; "
                               "choose another method, or none to have one chosen")

    def _refuse(self, field: str, expected: str) -> None:
        raise DeclarationError(f"{type(self).__name__}'s {field} must be {expected}, got {getattr(self, field)!r}")

    def __str__(self) -> str:
        changed = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default]
        return f"{type(self).__name__}({', '.join(changed)})"
