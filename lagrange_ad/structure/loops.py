"""How loops over single elements run: as the Python they are written in, or compiled where somebody brings a compiler.

A *loop* is a function of int64 arrays and integers that gives an integer, written in a small part of Python: names,
numbers, ``+ - * & >>``, comparisons, ``and or not``, ``array[index]``, assignments, ``while``, ``for … in range``,
``if``, ``break``, ``continue``, ``return``, and calls of other such functions, defined before. Indices are never
negative. So one text is the meaning and, compiled, the speed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Indices: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]
Loop: TypeAlias = Callable[..., int]
Cells: TypeAlias = Any
"""An array of integers that a loop reads and writes: a list in Python, int64 in compiled code."""


class Loops(Protocol):
    """Runs a loop. Arrays given by position are read only; those given by name are written to as well."""

    def __call__(self, loop: Loop, *read: Indices | int, **written: Indices) -> int: ...


def in_python(loop: Loop, *read: Indices | int, **written: Indices) -> int:
    """Run a loop on lists, which single-element loops read several times faster than arrays."""
    given = [value if isinstance(value, int) else value.tolist() for value in read]
    lists = {name: array.tolist() for name, array in written.items()}
    result = loop(*given, **lists)
    for name, array in written.items():
        array[:] = lists[name]
    return result
