"""The methods that users name for the blocks of a program: strings, or objects of ``la.solvers``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import DeclarationError
from .linear import Linear
from .newton import newton
from .problem import Array, Problem, Record


@dataclass(frozen=True)
class Auto:
    """Newton's method."""

    is_auto = True

    def solve(self, problem: Problem, x: Array, record: Record, linear: Linear, limit: int) -> bool:
        """Solve from x; ``record`` says how it went."""
        return newton(problem, x, record, linear, limit)


@dataclass(frozen=True)
class Newton:
    """Newton's method."""

    is_auto = False

    def solve(self, problem: Problem, x: Array, record: Record, linear: Linear, limit: int) -> bool:
        """Solve from x; ``record`` says how it went."""
        return newton(problem, x, record, linear, limit)


METHODS = {"auto": Auto(), "newton": Newton()}


def method_named(method: Any) -> Any:
    """The method that a string or an object means. Raises DeclarationError."""
    found = METHODS.get(method) if isinstance(method, str) else method
    if not hasattr(found, "solve"):
        raise DeclarationError(f"method= is one of {', '.join(map(repr, METHODS))} or an object of la.solvers, "
                               f"got {method!r}")
    return found
