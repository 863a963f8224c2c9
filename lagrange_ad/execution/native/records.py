"""Small records between the steps of a plan: elements set to 0 or to ε, the look for NaN, the call for help."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...expression import Array
from .driver import Records
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


MOST_RUNS = 64
"""Inputs that stand in more stretches than this are moved one by one."""


def _stretches(positions: Array) -> list[tuple[int, int, int]]:
    """(place in x, place in the state, length) of what moves together."""
    if not len(positions):
        return []
    ends = np.flatnonzero(np.diff(positions, append=-2) != 1) + 1
    if len(ends) > MOST_RUNS:
        ends = np.arange(1, len(positions) + 1)
    starts = np.concatenate([[0], ends[:-1]])
    return [(lo, int(positions[lo]), hi - lo) for lo, hi in zip(starts.tolist(), ends.tolist(), strict=True)]


def place_inputs(positions: Array) -> Records:
    """z[positions] = x; status NOT_A_NUMBER where an entry of x is not finite."""
    return _moves(positions, "place inputs", lambda: _move("place_inputs", Frame.X, Frame.Z, checked=True))


def place_rates(positions: Array) -> Records:
    """dz[positions] = x."""
    return _moves(positions, "place rates", lambda: _move("place_rates", Frame.X, Frame.DZ, checked=False))


def take_gradient(positions: Array) -> Records:
    """gradient = w[positions]."""
    return _moves(positions, "take gradient", lambda: _move("take_gradient", Frame.W, Frame.GRADIENT, checked=False))


def _moves(positions: Array, name: str, write: Callable[[], Function]) -> Records:
    table = np.array(_stretches(positions), dtype=np.int64).reshape(-1, 3)
    if name == "take gradient":
        table = table[:, [1, 0, 2]]
    table = np.ascontiguousarray(table)
    records, record = Records(), np.array([len(table), table.ctypes.data], dtype=np.int64)
    records.add(function(name, write), record, len(positions) / 4 + 10 * len(table), [table])
    return records


def _move(name: str, source: Frame, target: Frame, checked: bool) -> Function:
    """Copy stretches (place in source, place in target, length), eight numbers at a time."""
    f = Function(name, FRAME)
    x, z, table = f.pointer("%frame", source), f.pointer("%frame", target), f.pointer("%data", 1)
    wide, one = "<8 x double>", "double"
    total = {kind: f.variable(kind, "zeroinitializer" if kind == wide else literal(0.0)) for kind in (wide, one)}

    def move(i: str, here: str, there: str, kind: str) -> None:
        value = f.load(f.at(here, i), kind)
        f.store(value, f.at(there, i), kind)
        if checked:
            nothing = f.do(f"fmul {kind} {value}, {'zeroinitializer' if kind == wide else literal(0.0)}")
            f.store(f.do(f"fadd {kind} {f.load(total[kind], kind)}, {nothing}"), total[kind], kind)

    with f.loop(0, f.word("%data", 0)) as k:
        at = f.mul(k, 3)
        here, there = f.at(x, f.word(table, at)), f.at(z, f.word(table, f.add(at, 1)))
        length = f.word(table, f.add(at, 2))
        whole = f.do(f"and i64 {length}, -8")
        with f.loop(0, whole, 8) as i:
            move(i, here, there, wide)
        with f.loop(whole, length) as i:
            move(i, here, there, one)
    if checked:
        found = f.real("fadd", f.load(total[one]), f.total(f.load(total[wide], wide), 8))
        f.leave_when(f.compare("une", found, literal(0.0)), NOT_A_NUMBER)
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
    w, n = f.pointer("%frame", Frame.W), f.word("%data", 0)
    f.needed["llvm.memset.p0.i64"] = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"
    f.emit(f"call void @llvm.memset.p0.i64(ptr {w}, i8 0, i64 {f.mul(n, 8)}, i1 false)")
    f.store(f.load(f.pointer("%data", 2)), f.at(w, f.word("%data", 1)))
    f.finish()
    return f


def clear(part: Frame, n: int) -> Records:
    """0 in the first n places of a part of the frame."""
    records = Records()
    records.add(function("clear", _clear), np.array([int(part), n], dtype=np.int64), n / 8)
    return records


def _clear() -> Function:
    f = Function("clear", FRAME)
    f.needed["llvm.memset.p0.i64"] = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"
    target, size = f.pointer("%frame", f.word("%data", 0)), f.mul(f.word("%data", 1), 8)
    f.emit(f"call void @llvm.memset.p0.i64(ptr {target}, i8 0, i64 {size}, i1 false)")
    f.finish()
    return f


def begin_entries(constant: Array) -> Records:
    """entries = what stands there without any entry."""
    records, record = Records(), np.array([len(constant), constant.ctypes.data], dtype=np.int64)
    records.add(function("begin entries", _begin_entries), record, len(constant) / 4, [constant])
    return records


def _begin_entries() -> Function:
    f = Function("begin_entries", FRAME)
    entries, size = f.pointer("%frame", Frame.ENTRIES), f.mul(f.word("%data", 0), 8)
    f.needed["llvm.memcpy.p0.p0.i64"] = "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"
    f.emit(f"call void @llvm.memcpy.p0.p0.i64(ptr {entries}, ptr {f.pointer('%data', 1)}, i64 {size}, i1 false)")
    f.finish()
    return f


def less_own(rows: Array, own: Array) -> Records:
    """out[rows] −= z[own]."""
    records, tables = Records(), [np.ascontiguousarray(x, dtype=np.int32) for x in (rows, own)]
    if len(rows):
        record = np.array([len(rows), *(t.ctypes.data for t in tables)], dtype=np.int64)
        records.add(function("less own", _less_own), record, len(rows), tables)
    return records


def _less_own() -> Function:
    f = Function("less_own", FRAME)
    z, out = f.pointer("%frame", Frame.Z), f.pointer("%frame", Frame.OUT)
    rows, own = f.pointer("%data", 1), f.pointer("%data", 2)
    with f.loop(0, f.word("%data", 0)) as i:
        address = f.at(out, f.index(rows, i))
        f.store(f.real("fsub", f.load(address), f.load(f.at(z, f.index(own, i)))), address)
    f.finish()
    return f
