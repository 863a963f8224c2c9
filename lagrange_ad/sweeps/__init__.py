"""Sweeps: a program solved at many values of some inputs or parameters, along its branch of solutions."""

from .driver import Options, sweep
from .grid import Grid, grid
from .result import Sweep

__all__ = ["Grid", "Options", "Sweep", "grid", "sweep"]
