"""Optimizers on views of a program."""

from .driver import ascend
from .recipe import Stopping
from .result import AscentResult, StepRecord

__all__ = ["AscentResult", "StepRecord", "Stopping", "ascend"]
