"""The parts of an ascent that users name: ``la.ascent.Adam(0.9)``, ``la.ascent.Cosine(0.1, 1000)`` and the like.

Methods say where to step, schedules how far, batches with which parameters; ``Program.ascend`` takes all three.
"""

from .batches import Batches
from .methods import Adam, BarzilaiBorwein, Gradient, Method, Momentum, Nesterov
from .schedules import Constant, Cosine, Exponential, InverseTime, StepDecay, WarmUp

__all__ = [
    "Adam", "BarzilaiBorwein", "Batches", "Constant", "Cosine", "Exponential", "Gradient", "InverseTime", "Method",
    "Momentum", "Nesterov", "StepDecay", "WarmUp",
]  # fmt: skip
