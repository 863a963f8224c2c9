"""Optimizers on views of a program."""

from .driver import ascend
from .optimizing import Options, optimize
from .optimum import OptimizeResult, ShadowPrices
from .recipe import Stopping
from .record import OptimizeRecord
from .result import AscentResult, StepRecord

__all__ = ["AscentResult", "OptimizeRecord", "OptimizeResult", "Options", "ShadowPrices", "StepRecord", "Stopping",
           "ascend", "optimize"]
