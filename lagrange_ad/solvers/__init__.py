"""Algorithms for systems of equations r(x) = 0, on arrays: what solves a block, whatever program it is from.

Users name the methods of ``choice.py``: ``la.solvers.TrustRegion(max_iterations=50)``. ``problem.py`` says what methods
see of a block and what they tell of a solve; each has a file of its own, ``ladder.py`` chooses; ``linear/`` has the
linear systems.
"""

from .arrival import Goal
from .choice import (
    METHODS,
    Auto,
    Bracket,
    FixedPoint,
    Homotopy,
    LevenbergMarquardt,
    Method,
    Newton,
    PseudoTransient,
    TrustRegion,
    method_named,
)
from .ladder import ladder
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
    "MAX_ITERATIONS", "METHODS", "Auto", "Bracket", "Factor", "FixedPoint", "Goal", "Homotopy", "Iteration", "Krylov",
    "LevenbergMarquardt", "Linear", "Method", "Model", "Newton", "NotSolvedError", "Problem", "PseudoTransient",
    "Record", "SingularMatrixError", "Substitution", "System", "Triangular", "TrustRegion", "is_finite", "ladder",
    "linear_solves", "method_named", "newton", "refined", "size_of_unknowns",
]  # fmt: skip
