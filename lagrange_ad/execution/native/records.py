"""Small records between the steps of a plan: elements set to 0 or to ε, the look for NaN, the call for help."""

from __future__ import annotations

import numpy as np

from ...expression import Array
from .driver import CallList, Records
from .engine import FRAME, function
from .ir import Function, literal
from .loops import Frame
from .newton import HELP

NOT_A_NUMBER = 2
"""Status: the state has a NaN."""


def zeros(own: Array) -> Records:
    """z = 0 for some elements."""
    records = Records()
    if len(own) and (np.diff(own) == 1).all():
        record = np.array([int(own[0]), len(own)], dtype=np.int64)
        records.add(function("zero range", _zero_range), record, len(own) / 8)
    elif len(own):
        table = np.ascontiguousarray(own, dtype=np.int32)
        record = np.array([len(own), table.ctypes.data], dtype=np.int64)
        records.add(function("zeros", _zeros), record, len(own), [table])
    return records


def _zero_range() -> Function:
    f = Function("zeros", FRAME)
    z, first = f.pointer("%frame", Frame.Z), f.word("%data", 0)
    with f.loop(0, f.word("%data", 1)) as i:
        f.store(literal(0.0), f.at(z, f.add(first, i)))
    f.finish()
    return f


def _zeros() -> Function:
    f = Function("zeros", FRAME)
    z, table = f.pointer("%frame", Frame.Z), f.pointer("%data", 1)
    with f.loop(0, f.word("%data", 0)) as i:
        f.store(literal(0.0), f.at(z, f.index(table, i)))
    f.finish()
    return f


def offsets(own: Array, rows: Array) -> Records:
    """z = ε for some rows."""
    records, tables = Records(), [np.ascontiguousarray(x, dtype=np.int32) for x in (own, rows)]
    record = np.array([len(own), *(t.ctypes.data for t in tables)], dtype=np.int64)
    records.add(function("offsets", _offsets), record, len(own), tables)
    return records


def _offsets() -> Function:
    f = Function("offsets", FRAME)
    write_offsets(f, "0")
    f.finish()
    return f


def write_offsets(f: Function, first: str) -> None:
    """z[own] = ε[row] by the record's words count, own, rows from ``first`` on."""
    z, offset = f.pointer("%frame", Frame.Z), f.pointer("%frame", Frame.OFFSET)
    own, rows = f.pointer("%data", f.add(first, 1)), f.pointer("%data", f.add(first, 2))
    with f.loop(0, f.word("%data", first)) as i:
        f.store(f.load(f.at(offset, f.index(rows, i))), f.at(z, f.index(own, i)))


def check(n: int) -> Records:
    """Status NOT_A_NUMBER where one of the first n elements of the state is NaN."""
    records = Records()
    records.add(function("check", _check), np.array([n], dtype=np.int64), n / 4)
    return records


def _check() -> Function:
    f = Function("check", FRAME)
    z, n = f.pointer("%frame", Frame.Z), f.word("%data", 0)
    whole = f.do(f"and i64 {n}, -8")
    found = f.variable("<8 x i1>", "zeroinitializer")
    with f.loop(0, whole, 8) as i:
        vector = f.load(f.at(z, i), "<8 x double>")
        bad = f.do(f"fcmp uno <8 x double> {vector}, {vector}")
        f.store(f.do(f"or <8 x i1> {f.load(found, '<8 x i1>')}, {bad}"), found, "<8 x i1>")
    bits = f.do(f"bitcast <8 x i1> {f.load(found, '<8 x i1>')} to i8")
    f.leave_when(f.do(f"icmp ne i8 {bits}, 0"), NOT_A_NUMBER)
    with f.loop(whole, n) as i:
        value = f.load(f.at(z, i))
        bad = f.do(f"fcmp uno double {value}, {value}")
        f.leave_when(bad, NOT_A_NUMBER)
    f.finish()
    return f


def ask() -> Records:
    """Status HELP: this step is not for native code."""
    records = Records()
    records.add(function("ask", _ask), np.zeros(1, dtype=np.int64), 0)
    return records


def _ask() -> Function:
    f = Function("ask", FRAME)
    f.finish(HELP)
    return f


def place_inputs(positions: Array) -> Records:
    """z[positions] = x; status NOT_A_NUMBER where an entry of x is not finite."""
    table = np.ascontiguousarray(positions, dtype=np.int32)
    records, record = Records(), np.array([len(table), table.ctypes.data], dtype=np.int64)
    records.add(function("place inputs", _place_inputs), record, len(table), [table])
    return records


def _place_inputs() -> Function:
    f = Function("place_inputs", FRAME)
    z, x, table = f.pointer("%frame", Frame.Z), f.pointer("%frame", Frame.X), f.pointer("%data", 1)
    total = f.variable("double", literal(0.0))
    with f.loop(0, f.word("%data", 0)) as i:
        value = f.load(f.at(x, i))
        f.store(value, f.at(z, f.index(table, i)))
        f.store(f.do(f"fadd double {f.load(total)}, {f.do(f'fmul double {value}, {literal(0.0)}')}"), total)
    f.leave_when(f.compare("une", f.load(total), literal(0.0)), NOT_A_NUMBER)
    f.finish()
    return f


def begin_adjoint(n: int, seeded: int, seed: float) -> Records:
    """w = 0 for n elements, but ``seed`` for one."""
    records, values = Records(), np.array([seed])
    record = np.array([n, seeded, values.ctypes.data], dtype=np.int64)
    records.add(function("begin adjoint", _begin_adjoint), record, n / 8, [values])
    return records


def _begin_adjoint() -> Function:
    f = Function("begin_adjoint", FRAME)
    w = f.pointer("%frame", Frame.W)
    with f.loop(0, f.word("%data", 0)) as i:
        f.store(literal(0.0), f.at(w, i))
    f.store(f.load(f.pointer("%data", 2)), f.at(w, f.word("%data", 1)))
    f.finish()
    return f


def take_gradient(positions: Array) -> Records:
    """gradient = w[positions]."""
    table = np.ascontiguousarray(positions, dtype=np.int32)
    records, record = Records(), np.array([len(table), table.ctypes.data], dtype=np.int64)
    records.add(function("take gradient", _take_gradient), record, len(table), [table])
    return records


def _take_gradient() -> Function:
    f = Function("take_gradient", FRAME)
    w, gradient, table = f.pointer("%frame", Frame.W), f.pointer("%frame", Frame.GRADIENT), f.pointer("%data", 1)
    with f.loop(0, f.word("%data", 0)) as i:
        f.store(f.load(f.at(w, f.index(table, i))), f.at(gradient, i))
    f.finish()
    return f


class Addition:
    """Entries added up by slot: for every slot its first entry is taken, then the others are added."""

    def __init__(self, slot: Array, size: int) -> None:
        order = np.argsort(slot, kind="stable").astype(np.int32)
        is_first = np.diff(slot[order], prepend=-1) != 0
        self.size = size
        self._take = np.full(size, len(slot), dtype=np.int32)  # one entry more, which is 0, for slots without any
        self._take[slot[order[is_first]]] = order[is_first]
        self._more = np.sort(order[~is_first])
        self._where = slot[self._more].astype(np.int32)
        record = np.array([size, self._take.ctypes.data, len(self._more), self._more.ctypes.data,
                           self._where.ctypes.data], dtype=np.int64)
        records = Records()
        records.add(function("add up", _add_up), record, size + len(slot), [self])
        self.tape = CallList(records)


def _add_up() -> Function:
    f = Function("add_up", FRAME)
    entries, out = f.pointer("%frame", Frame.ENTRIES), f.pointer("%frame", Frame.OUT)
    take, more, where = f.pointer("%data", 1), f.pointer("%data", 3), f.pointer("%data", 4)
    with f.loop(0, f.word("%data", 0)) as k:
        f.store(f.load(f.at(entries, f.index(take, k))), f.at(out, k))
    with f.loop(0, f.word("%data", 2)) as k:
        f.increase(f.at(out, f.index(where, k)), f.load(f.at(entries, f.index(more, k))))
    f.finish()
    return f
