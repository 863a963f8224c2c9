"""Running groups of kernels: the executor protocol, the NumPy reference, and compiled code."""

from .choice import default_executor, executor_named, loops_of
from .protocol import Executor, Run
from .reference import ReferenceExecutor

__all__ = ["Executor", "ReferenceExecutor", "Run", "default_executor", "executor_named", "loops_of"]
