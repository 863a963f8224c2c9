"""The Program users hold: its declarations, with everything that can be done with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .program import Declarations
from .solution import Plan, Point, evaluate_program, plan_of
from .solution.evaluation import MAX_ITERATIONS


class Program(Declarations):
    """A system of equations with inputs, parameters, variables and at most one objective."""

    def evaluate(self, values: Mapping[str, Any] | None = None, /, *, start: Any = None,
                 perturbation: Mapping[str, Any] | None = None, max_iterations: int = MAX_ITERATIONS,
                 **named: Any) -> Point:
        """Solve the equations at given inputs and parameters; the program itself is not changed.

        Values come as a mapping or by keyword; those not given keep their declared ones. ``start`` (an earlier point,
        or a dict of variables) is where the solves of cycles begin; ``perturbation`` adds ε to the right sides of
        equations by name. Raises ConvergenceError, DomainError or StructureError, naming the equations; ``err.at``
        is the last iterate.
        """
        return evaluate_program(self, {**(values or {}), **named}, start=start, perturbation=perturbation,
                                max_iterations=max_iterations)

    @property
    def schedule(self) -> Plan:
        """The order in which the equations are computed, blocks included; prints readably."""
        return plan_of(self)
