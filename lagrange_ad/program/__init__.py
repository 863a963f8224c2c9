"""Declarations: the inputs, parameters, variables, equations, objective and constraints of one program.

Takes expressions, keeps them in order with the file and line of each, and shows them as a networkx graph. What is
wrong with a declaration is said here, at the line that makes it; nothing is computed in this room.
"""

from .declarations import Declarations
from .given import caller, element_name, fit, key_name, numeric
from .records import Constraint, Equation, Location, Objective
from .scope import Scope
from .selection import selected
from .symbols import EXECUTORS
from .variants import variant

__all__ = [
    "EXECUTORS",
    "Constraint",
    "Declarations",
    "Equation",
    "Location",
    "Objective",
    "Scope",
    "caller",
    "element_name",
    "fit",
    "key_name",
    "numeric",
    "selected",
    "variant",
]
