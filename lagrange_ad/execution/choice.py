"""Which executor runs a program: compiled code where it can be had, else the NumPy reference, with one notice."""

from __future__ import annotations

import warnings
from functools import lru_cache

from ..structure.loops import Loops, in_python
from .protocol import Executor
from .reference import ReferenceExecutor


def executor_named(name: str | None) -> Executor:
    """The executor that a program asks for. Raises ImportError where ``native`` is wanted and llvmlite is missing."""
    if name == "reference":
        return ReferenceExecutor()
    if name == "native":
        from .native.executor import NativeExecutor

        return NativeExecutor()
    return default_executor()


@lru_cache(maxsize=1)
def default_executor() -> Executor:
    """The native executor, or the reference where llvmlite is missing or cannot compile for this machine."""
    try:
        return executor_named("native")
    except (ImportError, OSError, RuntimeError) as error:
        warnings.warn(
            f"lagrange_ad runs on its NumPy reference executor, which is many times slower: compiled code is not to be "
            f"had here ({error}). To get it, install llvmlite (pip install llvmlite); to choose the reference without "
            f"this notice, Program(..., executor='reference')",
            RuntimeWarning, stacklevel=2,
        )
        return ReferenceExecutor()


def loops_of(executor: Executor) -> Loops:
    """How loops over single elements run beside an executor: compiled beside the native one, else in Python."""
    if executor.name != "native":
        return in_python
    from .native.integers import natively

    return natively
