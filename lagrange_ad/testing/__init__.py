"""Derivative checks for users and for the library's own tests: every derivative against differences of values alone."""

from .derivatives import check_derivatives
from .report import DerivativeCheck, DerivativeReport

__all__ = ["DerivativeCheck", "DerivativeReport", "check_derivatives"]
