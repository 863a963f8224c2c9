"""Algorithms of constrained optimization on arrays, and adapters of other libraries; they know nothing of programs."""

from .algorithm import Algorithm, Settings
from .arrow_hurwicz import ArrowHurwicz
from .augmented import AugmentedLagrangian
from .choice import algorithm_named, choose
from .coordinates import AuxiliaryCoordinates
from .from_scipy import LBFGSB, SLSQP
from .gradient import GradientDescent
from .ipopt import Ipopt
from .lagrange_newton import LagrangeNewton
from .monitor import Iteration, Monitor, Stopped
from .problem import Answer, Problem
from .trust_region import TrustConstr, TrustKrylov
from .uno import Uno

__all__ = [
    "LBFGSB", "SLSQP", "Algorithm", "Answer", "ArrowHurwicz", "AugmentedLagrangian", "AuxiliaryCoordinates",
    "GradientDescent", "Ipopt", "Iteration", "LagrangeNewton", "Monitor", "Problem", "Settings", "Stopped",
    "TrustConstr", "TrustKrylov", "Uno", "algorithm_named", "choose",
]  # fmt: skip
