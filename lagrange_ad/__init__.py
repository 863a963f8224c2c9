"""lagrange_ad: systems of equations, cyclic ones among them; values, exact derivatives, best inputs, multipliers."""

from .api import Program

__all__ = ["Program"]
__version__ = "0.1.0"
