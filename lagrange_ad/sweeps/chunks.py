"""Parts of a sweep for an executor: what is sent to a worker, what the worker does with it, what comes back.

A parcel holds the program and the recipe. Threads share it; other processes get it pickled, and unpack it once.
"""

from __future__ import annotations

import threading
from functools import cached_property

import numpy as np

from ..expression import Array
from ..parcel import Parcel as Packed
from ..program import Declarations
from ..workers import is_past
from .course import Course, Recipe
from .ledger import Ledger


class Parcel(Packed):
    """A program and how to sweep it."""

    def __init__(self, program: Declarations, recipe: Recipe) -> None:
        super().__init__(program, recipe)
        self.program, self.recipe = program, recipe
        self._making = threading.Lock()

    @property
    def course(self) -> Course:
        """The program planned, once a process."""
        with self._making:
            return self._course

    @cached_property
    def _course(self) -> Course:
        return Course(self.program, self.recipe)


def run_chunk(parcel: Parcel, values: Array, known: Ledger | None, deadline: float | None) -> Ledger:
    """Go through the points of a chunk, ``values`` (points, elements); what was done before stands in ``known``.

    ``deadline`` is a time of the clock after which no point is begun. An interrupt returns what is done.
    """
    course = parcel.course
    ledger = course.empty_ledger(len(values)) if known is None else known
    order = np.arange(len(values))
    try:
        for _ in course.go(values, order, ledger, lambda: parcel.stop.is_set() or is_past(deadline)):
            pass
    except KeyboardInterrupt:
        parcel.stop.set()
    return ledger


def cut(order: Array, count: int) -> list[Array]:
    """The points in their order, cut into so many chunks of neighbours."""
    return [part for part in np.array_split(order, min(count, len(order))) if len(part)]
