"""Optimizers on views of a program."""

from .driver import ascend
from .multistart import Many, multistart
from .optima import Multistart
from .optimizing import Options, optimize
from .optimum import OptimizeResult, ShadowPrices
from .recipe import Stopping
from .record import OptimizeRecord
from .result import AscentResult, StepRecord

__all__ = ["AscentResult", "Many", "Multistart", "OptimizeRecord", "OptimizeResult", "Options", "ShadowPrices",
           "StepRecord", "Stopping", "ascend", "multistart", "optimize"]
