"""Linear systems of blocks and sequences: patterns assembled once, factored seldom, solved for both sides.

``pattern.py`` turns Jacobian entries into matrices; ``factors.py`` factors them; ``refinement.py`` solves with the
factor of a nearby matrix; ``solves.py`` decides when to factor; ``krylov.py`` does without factors, ``klu.py`` by
KLU; ``choice.py`` says which; ``triangular.py`` has sequences.
"""

from .choice import linear_solves
from .factors import Factor, NotSolvedError, SingularMatrixError, is_finite
from .krylov import Krylov, KrylovSolves
from .pattern import DENSE, Array, Ordering, System
from .refinement import refined
from .solves import Linear
from .triangular import Substitution, Triangular

__all__ = [
    "DENSE", "Array", "Factor", "Krylov", "KrylovSolves", "Linear", "NotSolvedError", "Ordering",
    "SingularMatrixError", "Substitution", "System", "Triangular", "is_finite", "linear_solves", "refined",
]  # fmt: skip
