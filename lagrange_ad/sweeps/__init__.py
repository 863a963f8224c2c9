"""Sweeps: a program solved at many values of some inputs or parameters, and branches followed round turning points."""

from .branch import Branch, Following, follow
from .driver import Options, sweep
from .grid import Grid, grid
from .result import Sweep

__all__ = ["Branch", "Following", "Grid", "Options", "Sweep", "follow", "grid", "sweep"]
