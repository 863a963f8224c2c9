"""Algorithms for systems of equations r(x) = 0, on arrays: what solves a block, whatever program it is from.

``problem.py`` says what they see of a block and what they tell of a solve; ``linear/`` has the linear systems.
"""

from .linear import (
    Choice,
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
    "MAX_ITERATIONS", "Choice", "Factor", "Iteration", "Krylov", "Linear", "Model", "NotSolvedError", "Problem",
    "Record", "SingularMatrixError", "Substitution", "System", "Triangular", "is_finite", "linear_solves", "newton",
    "refined", "size_of_unknowns",
]  # fmt: skip
