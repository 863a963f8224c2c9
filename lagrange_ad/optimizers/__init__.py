"""Algorithms of constrained optimization on arrays, and adapters of other libraries; they know nothing of programs."""

from .algorithm import Algorithm, Settings
from .arrow_hurwicz import ArrowHurwicz
from .augmented import AugmentedLagrangian
from .coordinates import AuxiliaryCoordinates
from .gradient import GradientDescent
from .lagrange_newton import LagrangeNewton
from .monitor import Iteration, Monitor, Stopped
from .problem import Answer, Problem

__all__ = [
    "Algorithm", "Answer", "ArrowHurwicz", "AugmentedLagrangian", "AuxiliaryCoordinates", "GradientDescent",
    "Iteration", "LagrangeNewton", "Monitor", "Problem", "Settings", "Stopped",
]
