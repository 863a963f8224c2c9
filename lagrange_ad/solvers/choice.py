"""The methods that users name for a block: ``la.solvers.TrustRegion(max_iterations=50)``, or "trust-region" for short.

A method is a frozen dataclass whose numbers are checked when it is made; ``solve`` runs it on a block.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np

from ..errors import DeclarationError
from ..text import listing, nearest
from .arrival import Goal, is_noise
from .bracket import bracket
from .fixed_point import fixed_point
from .homotopy import homotopy
from .ladder import ladder
from .linear import Linear
from .newton import newton
from .problem import Array, Problem, Record
from .transient import FIRST, transient
from .trust_region import DAMPING, levenberg_marquardt, trust_region


@dataclass(frozen=True)
class Method:
    """What every method has: ``max_iterations``, None for the limit of the evaluation; and ``tolerance``.

    ``tolerance``: residuals may be this part of the sizes of their equations; None: solve to rounding level.
    """

    max_iterations: int | None = None
    tolerance: float | None = None
    name: ClassVar[str] = ""

    def __post_init__(self) -> None:
        count = self.max_iterations
        if count is not None and (not isinstance(count, Integral) or isinstance(count, bool) or count < 0):
            self._refuse("max_iterations", "an integer ≥ 0, or None")
        if self.tolerance is not None and not (is_number(self.tolerance) and 0.0 < self.tolerance < 1.0):
            self._refuse("tolerance", "a number between 0 and 1, or None to solve to rounding level")

    @property
    def is_auto(self) -> bool:
        """Whether nothing was asked for, so that compiled code may try first."""
        return False

    def solve(self, problem: Problem, x: Array, record: Record, linear: Linear, limit: int,
              tolerance: float | None = None) -> bool:
        """Solve r(x) = 0 from x (n,); whether it converged. ``record`` tells how it went.

        ``limit`` and ``tolerance`` hold where the method has none of its own.
        """
        record.method = self.name
        allowed = limit if self.max_iterations is None else int(self.max_iterations)
        asked = tolerance if self.tolerance is None else float(self.tolerance)
        return self._run(problem, x, record, linear, allowed, Goal(asked)) or is_noise(problem, record)

    def _run(self, problem: Problem, x: Array, record: Record, linear: Linear, limit: int, goal: Goal) -> bool:
        raise NotImplementedError(f"{type(self).__name__} must say how it solves")

    def _refuse(self, field: str, expected: str) -> None:
        raise DeclarationError(f"{type(self).__name__}'s {field} must be {expected}, got {getattr(self, field)!r}")

    def __str__(self) -> str:
        changed = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default]
        return f"{type(self).__name__}({', '.join(changed)})"


@dataclass(frozen=True)
class Auto(Method):
    """Newton's method, and where it gives up trust regions, continuation, pseudo time, bracketing.

    All together have ``max_iterations``; ``solvers/ladder.py`` has the order.
    """

    name: ClassVar[str] = "auto"

    @property
    def is_auto(self) -> bool:
        return self == Auto()

    def _run(self, problem: Problem, x: Array, record: Record, linear: Linear, limit: int, goal: Goal) -> bool:
        return ladder(problem, x, record, linear, limit, goal=goal)


@dataclass(frozen=True)
class Newton(Method):
    """Newton's method with a line search by natural monotonicity; see ``newton``."""

    name: ClassVar[str] = "newton"

    def _run(self, problem: Problem, x: Array, record: Record, linear: Linear, limit: int, goal: Goal) -> bool:
        return newton(problem, x, record, linear, limit, goal=goal)


@dataclass(frozen=True)
class TrustRegion(Method):
    """Steps of least linearised residual within a radius; passes singular Jacobians.

    ``as_written``: residuals are weighed as they are written, not by the sizes of their equations.
    """

    as_written: bool = False
    name: ClassVar[str] = "trust-region"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.as_written, bool):
            self._refuse("as_written", "True or False")

    def _run(self, problem: Problem, x: Array, record: Record, linear: Linear, limit: int, goal: Goal) -> bool:
        return trust_region(problem, x, record, linear, limit, goal=goal, as_written=self.as_written)


@dataclass(frozen=True)
class LevenbergMarquardt(TrustRegion):
    """The same with damped steps; ``damping`` is the first λ, relative to the slopes."""

    damping: float = DAMPING
    name: ClassVar[str] = "levenberg-marquardt"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (is_number(self.damping) and self.damping > 0.0):
            self._refuse("damping", "a positive number")

    def _run(self, problem: Problem, x: Array, record: Record, linear: Linear, limit: int, goal: Goal) -> bool:
        return levenberg_marquardt(problem, x, record, linear, limit, goal=goal, as_written=self.as_written,
                                   damping=float(self.damping))


@dataclass(frozen=True)
class PseudoTransient(Method):
    """Implicit Euler steps of x' = ±r(x) to the steady state; ``first`` is the first time step, where slopes are 1."""

    first: float = FIRST
    name: ClassVar[str] = "pseudo-transient"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (is_number(self.first) and self.first > 0.0):
            self._refuse("first", "a positive number")

    def _run(self, problem: Problem, x: Array, record: Record, linear: Linear, limit: int, goal: Goal) -> bool:
        return transient(problem, x, record, linear, limit, goal=goal, first=float(self.first))


@dataclass(frozen=True)
class Homotopy(Method):
    """Continuation along a curve from a system that the start solves; passes turning points.

    ``kind``: "newton", r(x) = (1 − t)·r(x₀), or "fixed-point", t·r(x) = (1 − t)·(x − x₀) but for sizes and signs.
    ``backward``: begin with t falling.
    """

    kind: str = "newton"
    backward: bool = False
    name: ClassVar[str] = "homotopy"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in ("newton", "fixed-point"):
            self._refuse("kind", "'newton' or 'fixed-point'")
        if not isinstance(self.backward, bool):
            self._refuse("backward", "True or False")

    def _run(self, problem: Problem, x: Array, record: Record, linear: Linear, limit: int, goal: Goal) -> bool:
        return homotopy(problem, x, record, linear, limit, goal=goal, kind=self.kind, backward=self.backward)


@dataclass(frozen=True)
class FixedPoint(Method):
    """x ← x + damping·r(x), accelerated by the last ``anderson`` steps (0: not); asks for no derivatives."""

    anderson: int = 5
    damping: float = 1.0
    name: ClassVar[str] = "fixed-point"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.anderson, Integral) or isinstance(self.anderson, bool) or self.anderson < 0:
            self._refuse("anderson", "an integer ≥ 0, the number of steps to remember")
        if not (is_number(self.damping) and 0.0 < self.damping <= 1.0):
            self._refuse("damping", "a number in (0, 1]")

    def _run(self, problem: Problem, x: Array, record: Record, linear: Linear, limit: int, goal: Goal) -> bool:
        return fixed_point(problem, x, record, linear, limit, goal=goal, anderson=int(self.anderson),
                           damping=float(self.damping))


@dataclass(frozen=True)
class Bracket(Method):
    """One unknown between points where r has different signs: the ends of its domain, or found from the start."""

    name: ClassVar[str] = "bracket"

    def _run(self, problem: Problem, x: Array, record: Record, linear: Linear, limit: int, goal: Goal) -> bool:
        return bracket(problem, x, record, linear, limit, goal=goal)


METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (Auto, Newton, TrustRegion, LevenbergMarquardt, PseudoTransient, Homotopy, FixedPoint, Bracket)
}


def method_named(method: Any) -> Method:
    """The method of a name, or a method itself. Raises DeclarationError for anything else."""
    if isinstance(method, Method):
        return method
    if isinstance(method, str) and method in METHODS:
        return METHODS[method]()
    if isinstance(method, type) and issubclass(method, Method):
        raise DeclarationError(f"method= is an object: la.solvers.{method.__name__}(), with parentheses")
    raise DeclarationError(
        f"method= is one of {listing(map(repr, METHODS))}, or an object, la.solvers.TrustRegion(max_iterations=50), "
        f"got {method!r}{nearest(method, METHODS) if isinstance(method, str) else ''}"
    )


def is_number(value: Any) -> bool:
    """Whether a value is a finite real number (True and False are not meant as numbers)."""
    return isinstance(value, Real) and not isinstance(value, bool) and bool(np.isfinite(float(value)))
