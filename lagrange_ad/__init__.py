"""lagrange_ad: systems of equations, cyclic ones among them; values, exact derivatives, best inputs, multipliers."""

from .api import Program
from .errors import (
    CheckpointError,
    ConvergenceError,
    DeclarationError,
    DomainError,
    EquationFileError,
    ExpressionTypeError,
    LagrangeError,
    MissingObjectiveError,
    ShapeError,
    SingularError,
    SolveError,
    StructureError,
    UnknownNameError,
)
from .expression import Expression
from .external import External, external
from .interpolation import interpolate
from .lagrangian import Lagrangian
from .optimization import AscentResult, ascent
from .solution import Point
from .views import ReducedView

__all__ = [
    "AscentResult",
    "CheckpointError",
    "ConvergenceError",
    "DeclarationError",
    "DomainError",
    "EquationFileError",
    "Expression",
    "ExpressionTypeError",
    "External",
    "LagrangeError",
    "Lagrangian",
    "MissingObjectiveError",
    "Point",
    "Program",
    "ReducedView",
    "ShapeError",
    "SingularError",
    "SolveError",
    "StructureError",
    "UnknownNameError",
    "__version__",
    "ascent",
    "external",
    "interpolate",
]
__version__ = "0.1.0"
