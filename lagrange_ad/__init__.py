"""lagrange_ad: systems of equations, cyclic ones among them; values, exact derivatives, best inputs, multipliers."""

from typing import Any

from . import optimizers, solvers
from .api import Program, read, reads
from .errors import (
    CheckpointError,
    ConvergenceError,
    DeclarationError,
    DerivativeError,
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
from .expression import Expression, logsumexp, softmax, softplus
from .external import External, external
from .functions import Function
from .gradients import gradient
from .interpolation import interpolate
from .lagrangian import Lagrangian
from .optimization import AscentResult, Multistart, OptimizeResult, ascent
from .program import Scope
from .solution import Jacobian, Point
from .solution.diagnosis import Diagnosis, Finding
from .sweeps import Branch, Sweep, grid
from .tracing import trace, value_and_gradient
from .views import View

__all__ = [
    "AscentResult",
    "Branch",
    "CheckpointError",
    "ConvergenceError",
    "DeclarationError",
    "DerivativeError",
    "Diagnosis",
    "DomainError",
    "EquationFileError",
    "Expression",
    "ExpressionTypeError",
    "External",
    "Finding",
    "Function",
    "Jacobian",
    "LagrangeError",
    "Lagrangian",
    "MissingObjectiveError",
    "Multistart",
    "OptimizeResult",
    "Point",
    "Program",
    "Scope",
    "ShapeError",
    "SingularError",
    "SolveError",
    "StructureError",
    "Sweep",
    "UnknownNameError",
    "View",
    "__version__",
    "ascent",
    "external",
    "gradient",
    "grid",
    "interpolate",
    "logsumexp",
    "optimizers",
    "read",
    "reads",
    "softmax",
    "softplus",
    "solvers",
    "testing",
    "trace",
    "value_and_gradient",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``lagrange_ad.testing`` loads when first looked at."""
    if name == "testing":
        from importlib import import_module

        return import_module(".testing", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
