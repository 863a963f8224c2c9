"""Linear systems of blocks and sequences: patterns assembled once, factored seldom, solved for both sides.

``pattern.py`` turns Jacobian entries into matrices; ``factors.py`` factors them; ``refinement.py`` solves with the
factor of a nearby matrix; ``solves.py`` decides when to factor; ``krylov.py`` does without; ``triangular.py`` has
sequences.
"""

from .factors import Factor, NotSolvedError, SingularMatrixError, is_finite
from .pattern import DENSE, Array, Ordering, System
from .refinement import refined
from .solves import Linear
from .triangular import Substitution, Triangular

__all__ = [
    "DENSE", "Array", "Factor", "Linear", "NotSolvedError", "Ordering", "SingularMatrixError", "Substitution", "System",
    "Triangular", "is_finite", "refined",
]  # fmt: skip
