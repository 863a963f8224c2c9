"""Algorithms of constrained optimization on arrays, and adapters of other libraries; they know nothing of programs."""

from .algorithm import Algorithm, Settings
from .monitor import Iteration, Monitor, Stopped
from .problem import Answer, Problem
from .uno import Uno

__all__ = ["Algorithm", "Answer", "Iteration", "Monitor", "Problem", "Settings", "Stopped", "Uno"]
