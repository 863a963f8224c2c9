"""Running groups of kernels: the executor protocol and the NumPy reference."""

from .protocol import Executor, Run
from .reference import ReferenceExecutor

__all__ = ["Executor", "ReferenceExecutor", "Run"]
