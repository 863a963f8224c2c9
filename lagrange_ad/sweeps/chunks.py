"""Parts of a sweep for an executor: what is sent to a worker, what the worker does with it, what comes back.

A parcel holds the program and the recipe. Threads share it; other processes get it pickled, and unpack it once,
however many chunks they are given.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
import time
from functools import cached_property
from typing import Any

import numpy as np

from ..expression import Array
from ..program import Declarations
from .course import Course, Recipe
from .ledger import Ledger

MOST_OPENED = 4
"""A process keeps so many parcels open."""
_OPENED: dict[str, Parcel] = {}
_OPENING = threading.Lock()


class Parcel:
    """A program and how to sweep it. ``stop`` is seen by threads of this process."""

    def __init__(self, program: Declarations, recipe: Recipe) -> None:
        self.program, self.recipe = program, recipe
        self.stop = threading.Event()
        self._making = threading.Lock()

    @property
    def course(self) -> Course:
        """The program planned, once a process."""
        with self._making:
            return self._course

    @cached_property
    def _course(self) -> Course:
        return Course(self.program, self.recipe)

    @cached_property
    def _packed(self) -> tuple[str, bytes]:
        content = pickle.dumps((self.program, self.recipe))
        return hashlib.sha256(content).hexdigest(), content

    def __reduce__(self) -> Any:
        return opened, self._packed


def opened(digest: str, content: bytes) -> Parcel:
    """The parcel of a content, the one that this process has where it has it."""
    with _OPENING:
        known = _OPENED.get(digest)
        if known is None:
            known = _OPENED[digest] = Parcel(*pickle.loads(content))
            if len(_OPENED) > MOST_OPENED:
                del _OPENED[next(iter(_OPENED))]
        return known


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


def is_past(deadline: float | None) -> bool:
    """Whether the clock is past a time."""
    return deadline is not None and time.time() >= deadline


def cut(order: Array, count: int) -> list[Array]:
    """The points in their order, cut into so many chunks of neighbours."""
    return [part for part in np.array_split(order, min(count, len(order))) if len(part)]
