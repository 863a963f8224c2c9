"""Algorithms for systems of equations r(x) = 0, on arrays: what solves a block, whatever program it is from.

``problem.py`` says what they see of a block and what they tell of a solve; ``linear.py`` has the linear systems.
"""

from .choice import Auto, Newton, method_named
from .linear import Factor, Linear, SingularMatrixError, Substitution, System, Triangular, is_finite, refined
from .newton import MAX_ITERATIONS, newton
from .problem import Iteration, Model, Problem, Record, size_of_unknowns

__all__ = [
    "MAX_ITERATIONS", "Auto", "Factor", "Iteration", "Linear", "Model", "Newton", "Problem", "Record",
    "SingularMatrixError", "Substitution", "System", "Triangular", "is_finite", "method_named", "newton", "refined",
    "size_of_unknowns",
]  # fmt: skip
