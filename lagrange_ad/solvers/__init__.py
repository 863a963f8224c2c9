"""Algorithms for systems of equations r(x) = 0, on arrays: what solves a block, whatever program it is from.

``problem.py`` says what they see of a block and what they tell of a solve; ``linear/`` has the linear systems.
"""

from .choice import Auto, Newton, method_named
from .linear import (
    Factor,
    Krylov,
    Linear,
    NotSolvedError,
    SingularMatrixError,
    Substitution,
    System,
    Triangular,
    is_finite,
    linear_solves,
    refined,
)
from .newton import MAX_ITERATIONS, newton
from .problem import Iteration, Model, Problem, Record, size_of_unknowns

__all__ = [
    "MAX_ITERATIONS", "Auto", "Factor", "Iteration", "Krylov", "Linear", "Model", "Newton", "NotSolvedError", "Problem",
    "Record", "SingularMatrixError", "Substitution", "System", "Triangular", "is_finite", "linear_solves",
    "method_named", "newton", "refined", "size_of_unknowns",
]  # fmt: skip
