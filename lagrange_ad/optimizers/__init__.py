"""Algorithms of constrained optimization on arrays, and adapters of other libraries; they know nothing of programs."""

from .algorithm import Algorithm, Settings
from .choice import algorithm_named, choose
from .from_scipy import LBFGSB, SLSQP
from .ipopt import Ipopt
from .monitor import Iteration, Monitor, Stopped
from .problem import Answer, Problem
from .trust_region import TrustConstr, TrustKrylov
from .uno import Uno

__all__ = [
    "LBFGSB",
    "SLSQP",
    "Algorithm",
    "Answer",
    "Ipopt",
    "Iteration",
    "Monitor",
    "Problem",
    "Settings",
    "Stopped",
    "TrustConstr",
    "TrustKrylov",
    "Uno",
    "algorithm_named",
    "choose",
]
