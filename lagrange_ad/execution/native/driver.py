"""The compiled driver: a list of (function, record) pairs run in one native call.

A frame holds the pointers of one evaluation (state, rows, multipliers, …), so one list serves any number of evaluations
and threads at once. The driver returns to Python when the list is done, when a function asks for help, or when about
50 ms have passed, so that Ctrl-C is heard.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from ...expression import Array
from .engine import engine
from .ir import Function
from .loops import Frame

PAUSE = 50_000_000
"""Nanoseconds, by the records' own estimates, after which the driver looks up."""


@dataclass(eq=False)
class Records:
    """Functions with their records, in order. ``keep`` holds what the records point to."""

    rows: list[tuple[int, int, int]] = field(default_factory=list)
    keep: list[Any] = field(default_factory=list)

    def add(self, function: int, record: Array, cost: float, keep: Sequence[Any] = ()) -> None:
        """One call; ``cost`` is a guess of its nanoseconds."""
        self.rows.append((function, record.ctypes.data, int(cost) + 1))
        self.keep += [record, *keep]

    def extend(self, other: Records) -> None:
        """The calls of another list after these."""
        self.rows += other.rows
        self.keep.append(other)

    def __len__(self) -> int:
        return len(self.rows)


class Pointers:
    """The frame of one evaluation: arrays by the names of :class:`Frame`, held for as long as it is used."""

    def __init__(self, **arrays: Array) -> None:
        self.arrays: dict[str, Array] = {}
        self.frame = np.zeros(len(Frame), dtype=np.int64)
        for name, array in arrays.items():
            self.point(name, array)
        self.address = self.frame.ctypes.data

    def point(self, name: str, array: Array) -> None:
        """Let a pointer of the frame be that of an array. Here arrays become addresses: here they are looked at."""
        if array.dtype not in (np.float64, np.int64, np.bool_) or not array.flags.c_contiguous:
            raise TypeError(f"compiled code cannot work on {name}: {array.dtype}, strides {array.strides}")
        self.arrays[name] = array
        self.frame[Frame[name.upper()]] = array.ctypes.data


class CallList:
    """Records ready to run."""

    def __init__(self, records: Records) -> None:
        self._keep = records.keep
        self.table = np.array(records.rows, dtype=np.int64).reshape(-1, 3)
        self.count = len(self.table)
        self._drive = drive()

    def call(self, pointers: Pointers, first: int = 0) -> Array:
        """The argument of the driver: frame, records, first, count, status."""
        return np.array([pointers.address, self.table.ctypes.data, first, self.count, 0], dtype=np.int64)

    def run(self, pointers: Pointers, first: int = 0) -> tuple[int, int]:
        """Run from a record on: (where it stopped, status); (count, 0) when done. Ctrl-C is heard on the way."""
        if not self.count:
            return 0, 0
        call = self.call(pointers, first)
        address = call.ctypes.data
        while True:
            at = self._drive(address)
            if at == self.count or call[4]:
                return at, int(call[4])
            call[2] = at


def resumed(call: Array, at: int) -> bool:
    """Go on with a call that stopped at a record to look up, for Ctrl-C; False where it cannot get through.

    The call is left as it was, ready for the next time.
    """
    run, address, count = drive(), call.ctypes.data, int(call[3])
    while at != count and not call[4]:
        call[2] = at
        at = run(address)
    call[2] = call[4] = 0
    return at == count


@lru_cache(maxsize=1)
def drive() -> Any:
    """The driver as a Python function of the address of (frame, records, first, count, status)."""
    address = engine().addresses([_driver()])["drive"]
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(address)


def _driver() -> Function:
    f = Function("drive", "ptr %call")
    frame, records = f.pointer("%call", 0), f.pointer("%call", 1)
    first, count = f.word("%call", 2), f.word("%call", 3)
    spent = f.variable("i64", "0")
    with f.loop(first, count) as i:
        at = f.mul(i, 3)
        target, data = f.pointer(records, at), f.pointer(records, f.add(at, 1))
        status = f.do(f"call i64 {target}(ptr {frame}, ptr {data})")
        with f.when(f.do(f"icmp ne i64 {status}, 0")):
            f.store(status, f.at("%call", 4, "i64"), "i64")
            f.emit(f"ret i64 {i}")
            f.place(f.label())
        total = f.add(f.load(spent, "i64"), f.word(records, f.add(at, 2)))
        f.store(total, spent, "i64")
        after = f.add(i, 1)
        f.leave_when(f.do(f"icmp sgt i64 {total}, {PAUSE}"), after)
    f.finish(count)
    return f
