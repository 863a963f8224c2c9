"""A program as plain functions of flat vectors, in reduced space, full space or a mix; see :class:`View`."""

from .problem import ViewProblem
from .view import View

__all__ = ["View", "ViewProblem"]
