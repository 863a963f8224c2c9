"""Optimizers on views of a program."""

from .ascent import Stopping, ascend
from .result import AscentResult, StepRecord

__all__ = ["AscentResult", "StepRecord", "Stopping", "ascend"]
