"""The equations of small blocks as compiled code: by the tape, or written out for a class of many members.

Three functions for a block: residual(frame, record, r), jacobian(frame, record, matrix), adjoint(frame, record, λ). A
class with functions of its own gets its solver with them written in; they find the unknowns in an argument after the
record, and a fourth one, model(frame, record, unknowns, r, matrix), computes at once what r and its matrix share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...expression import Array
from ...lowering import Kernel
from .elimination import UNROLLED, BlockWord
from .emit import Emitter
from .engine import engine, function
from .ir import Function, literal
from .loops import Frame
from .newton import adjoint_function, newton_function, tangent_function
from .tape import tape_addresses, tape_record, turns_symbol

if TYPE_CHECKING:
    from .blocks import BlockClass, Term


def table_of(columns: list[Array], n: int, dtype: Any) -> Array:
    """Columns as a table of n lines."""
    return np.ascontiguousarray(np.stack(columns, axis=1) if columns else np.empty((n, 0)), dtype=dtype)


def lines_of(table: Array) -> Array:
    """The address of every line of a table."""
    return np.asarray(table.ctypes.data + table.strides[0] * np.arange(len(table)))


THREE = "ptr %frame, ptr %data, ptr %target"
OWN = "ptr %frame, ptr %data, ptr %x, ptr %target"


def _begin_rows(f: Function, n_rows: str) -> None:
    """r_i = ε − own of every user's row."""
    z, offset = f.pointer("%frame", Frame.Z), f.pointer("%frame", Frame.OFFSET)
    rows, own = f.pointer("%data", BlockWord.ROWS), f.pointer("%data", BlockWord.OWN)
    with f.loop(0, n_rows) as i:
        f.store(f.load(f.at(offset, f.index(rows, i))), f.at("%target", i))
        position = f.index(own, i)
        with f.when(f.do(f"icmp sge i64 {position}, 0")):
            f.increase(f.at("%target", i), f.do(f"fneg double {f.load(f.at(z, position))}"))


def _begin_auxiliaries(f: Function, n_rows: str, n: str) -> None:
    """z = ε of every auxiliary."""
    z, offset = f.pointer("%frame", Frame.Z), f.pointer("%frame", Frame.OFFSET)
    rows, columns = f.pointer("%data", BlockWord.ROWS), f.pointer("%data", BlockWord.COLUMNS)
    with f.loop(n_rows, n) as i:
        f.store(f.load(f.at(offset, f.index(rows, i))), f.at(z, f.index(columns, i)))


def _begin_matrix(f: Function, n: str) -> None:
    """0, and −1 where a row has an unknown of the block alone on its left."""
    local = f.pointer("%data", BlockWord.OWN_LOCAL)
    with f.loop(0, f.mul(n, n)) as i:
        f.store(literal(0.0), f.at("%target", i))
    with f.loop(0, n) as i:
        j = f.index(local, i)
        with f.when(f.do(f"icmp sge i64 {j}, 0")):
            f.store(literal(-1.0), f.at("%target", f.add(f.mul(i, n), j)))


def on_tape(cls: BlockClass, record: Array) -> tuple[int, int]:
    """Fill the records of a class whose equations run on the tape; the functions that solve and back-substitute."""
    tables = _TapeTables(cls)
    every = range(len(cls.terms))
    auxiliary, user = ([j for j in every if (cls.terms[j].row >= cls.n_rows) is hidden] for hidden in (True, False))
    for word, chosen, which in ((0, auxiliary, "state"), (1, user, "local"), (2, every, "local"), (3, every, "rows")):
        record[:, BlockWord.DATA + word] = tables.turns(chosen, which)
    for quantity, in_state in (("values", True), ("values", False), ("jacobian", False), ("adjoint", False)):
        tape_addresses(quantity, in_state)
    record[:, BlockWord.RESIDUAL] = function("block residual on tape", _tape_residual)
    record[:, BlockWord.JACOBIAN] = function("block Jacobian on tape", _tape_jacobian)
    record[:, BlockWord.ADJOINT] = function("block adjoint on tape", _tape_adjoint)
    known = cls.n if cls.n <= UNROLLED else None
    return function(("newton", known), lambda: newton_function(known)), function(
        ("back", known), lambda: adjoint_function(known))


def _tape_residual() -> Function:
    f = Function("residual", THREE, "void")
    n_rows, n = f.word("%data", BlockWord.ROWS_COUNT), f.word("%data", BlockWord.SIZE)
    _begin_auxiliaries(f, n_rows, n)
    f.run_turns(turns_symbol("values", True), f.pointer("%data", BlockWord.DATA))
    _begin_rows(f, n_rows)
    _with_target(f, Frame.OUT, turns_symbol("values", False), 1)
    f.finish(None)
    return f


def _tape_jacobian() -> Function:
    f = Function("jacobian", THREE, "void")
    _begin_matrix(f, f.word("%data", BlockWord.SIZE))
    _with_target(f, Frame.ENTRIES, turns_symbol("jacobian", False), 2)
    f.finish(None)
    return f


def _tape_adjoint() -> Function:
    f = Function("adjoint", THREE, "void")
    f.run_turns(turns_symbol("adjoint", False), f.pointer("%data", BlockWord.DATA + 3))
    f.finish(None)
    return f


def _with_target(f: Function, part: Frame, symbol: str, word: int) -> None:
    """Run turns that write to the target, which stands in for a pointer of the frame meanwhile."""
    place = f.at("%frame", part, "i64")
    before = f.load(place, "ptr")
    f.store("%target", place, "ptr")
    f.run_turns(symbol, f.pointer("%data", BlockWord.DATA + word))
    f.store(before, place, "ptr")


def tangent_on_tape(cls: BlockClass, record: Array) -> int:
    """The function that gives the rates of a class on the tape; its word of the blocks' records is filled in."""
    tape_addresses("tangent", False)
    record[cls.members, BlockWord.TANGENT] = function("block tangent on tape", _tape_tangent)
    known = cls.n if cls.n <= UNROLLED else None
    return function(("move", known), lambda: tangent_function(known))


def _tape_tangent() -> Function:
    """r[row] += Σ ∂φ/∂arg·dz[arg], the block's own unknowns standing still."""
    f = Function("tangent", THREE, "void")
    _with_target(f, Frame.OUT, turns_symbol("tangent", False), 2)
    f.finish(None)
    return f


class _TapeTables:
    """Records of the tape for the terms of a class: groups by kernel, and turns for every member."""

    def __init__(self, cls: BlockClass) -> None:
        self.cls = cls
        self.n = len(cls.members)

    def turns(self, chosen: Sequence[int], which: str) -> Array:
        """The address of the list of turns of every member, for some terms; ``which`` rows their results go to:
        local ones (with slots of the matrix), those of the program, or elements of the state."""
        cls, n = self.cls, self.n
        pairs = np.zeros((n, max(len(chosen), 1), 2), dtype=np.int64)
        for at, j in enumerate(chosen):
            term = cls.terms[j]
            kernel = term.kernel
            args = table_of([cls.columns[:, p] if p >= 0 else cls.outside[:, -1 - p] for p in term.places], n, np.int32)
            coefs = cls.coefs[:, term.first_coef : term.first_coef + kernel.n_coefs]
            rows = {"local": np.full(n, term.row), "rows": cls.rows[:, term.row], "state": cls.columns[:, term.row]}
            columns = np.array(term.places, dtype=np.int64)
            slots = np.where(columns >= 0, term.row * cls.n + columns, -1)
            made = tape_record(kernel, args, coefs, rows[which], np.broadcast_to(slots, (n, kernel.n_args)))
            cls.keep.append(made)
            pairs[:, at, 0], pairs[:, at, 1] = made.record.ctypes.data, np.arange(n)
        lists = np.zeros((n, 2), dtype=np.int64)
        lists[:, 0], lists[:, 1] = len(chosen), pairs.ctypes.data + pairs.strides[0] * np.arange(n)
        cls.keep += [pairs, lists]
        return lines_of(lists)


def compiled(cls: BlockClass, record: Array) -> tuple[int, int]:
    """Fill the records of a class; solver and back-substitution with its equations written into them."""
    record[:, BlockWord.DATA] = lines_of(cls.outside)
    record[:, BlockWord.DATA + 1] = lines_of(cls.coefs)
    cls.keep += [cls.outside, cls.coefs]
    own = {BlockWord.RESIDUAL: "residual", BlockWord.JACOBIAN: "jacobian", BlockWord.ADJOINT: "adjoint",
           BlockWord.MODEL: "model"}
    known, rows = (cls.n, cls.n_rows) if cls.n <= UNROLLED else (None, None)
    solve = function(("newton", cls.key), lambda: [
        _own_residual(cls), _own_model(cls), newton_function(known, rows, own)])
    return solve, function(("back", cls.key), lambda: [
        _own_jacobian(cls), _own_adjoint(cls), adjoint_function(known, rows, own)])


def compiled_tangent(cls: BlockClass, record: Array) -> int:
    """The function that gives the rates of a class with its equations written into it."""
    own = {BlockWord.JACOBIAN: "jacobian", BlockWord.TANGENT: "tangent"}
    known, rows = (cls.n, cls.n_rows) if cls.n <= UNROLLED else (None, None)
    return function(("move", cls.key), lambda: [
        _own_jacobian(cls), _own_tangent(cls), tangent_function(known, rows, own)])


class _Reader:
    """Reads the elements and coefficients of a class's terms; the block's own from ``%x``."""

    def __init__(self, f: Function) -> None:
        self.f, self.z = f, f.pointer("%frame", Frame.Z)
        self.outside, self.coefs = f.pointer("%data", BlockWord.DATA), f.pointer("%data", BlockWord.DATA + 1)
        self.emitter = Emitter(f, engine().host, 1)

    def position(self, place: int) -> str:
        """The state element at a place outside."""
        return self.f.index(self.outside, -1 - place)

    def value(self, place: int) -> str:
        """What stands at a place."""
        return self.f.load(self.f.at("%x", place) if place >= 0 else self.f.at(self.z, self.position(place)))

    def outputs(self, term: Term, kernel: Kernel) -> list[str]:
        """What a kernel over the term's arguments gives."""
        f = self.f
        values = [self.value(place) for place in term.places]
        coefs = [f.load(f.at(self.coefs, term.first_coef + j)) for j in range(term.kernel.n_coefs)]
        return self.emitter.kernel(kernel, values, coefs)


def _own_residual(cls: BlockClass) -> Function:
    f = Function("residual", OWN, "void", internal=True, inline=True)
    _write_residual(f, cls, "%target")
    f.finish(None)
    return f


def _own_jacobian(cls: BlockClass) -> Function:
    f = Function("jacobian", OWN, "void", internal=True, inline=True)
    _write_jacobian(f, cls, "%target")
    f.finish(None)
    return f


def _own_model(cls: BlockClass) -> Function:
    f = Function("model", "ptr %frame, ptr %data, ptr %x, ptr %r, ptr %matrix", "void", internal=True, inline=True)
    _write_residual(f, cls, "%r")
    _write_jacobian(f, cls, "%matrix")
    f.finish(None)
    return f


def _write_residual(f: Function, cls: BlockClass, target: str) -> None:
    read, offset = _Reader(f), f.pointer("%frame", Frame.OFFSET)
    rows, own = f.pointer("%data", BlockWord.ROWS), f.pointer("%data", BlockWord.OWN)
    for i in range(cls.n_rows, cls.n):
        f.store(f.load(f.at(offset, f.index(rows, i))), f.at("%x", i))
    for term in cls.terms:
        if term.row >= cls.n_rows:
            f.increase(f.at("%x", term.row), read.outputs(term, term.kernel)[0])
    for i in range(cls.n_rows):
        f.store(f.load(f.at(offset, f.index(rows, i))), f.at(target, i))
        if cls.own_local[i] >= 0:
            f.increase(f.at(target, i), f.do(f"fneg double {f.load(f.at('%x', cls.own_local[i]))}"))
            continue
        position = f.index(own, i)  # −1, or something outside that other equations determine
        with f.when(f.do(f"icmp sge i64 {position}, 0")):
            f.increase(f.at(target, i), f.do(f"fneg double {f.load(f.at(read.z, position))}"))
    for term in cls.terms:
        if term.row < cls.n_rows:
            f.increase(f.at(target, term.row), read.outputs(term, term.kernel)[0])


def _write_jacobian(f: Function, cls: BlockClass, target: str) -> None:
    read = _Reader(f)
    for i in range(cls.n):
        for j in range(cls.n):
            f.store(literal(-1.0 if j == cls.own_local[i] else 0.0), f.at(target, i * cls.n + j))
    for term in cls.terms:
        partials = term.kernel.partials
        if all(place < 0 for place in term.places):
            continue
        found = read.outputs(term, partials)
        for j, place in enumerate(term.places):
            if place >= 0 and not partials.is_zero(j):
                f.increase(f.at(target, term.row * cls.n + place), found[j])


def _own_adjoint(cls: BlockClass) -> Function:
    """What λ adds to the adjoints of elements outside, each summed first; those of the block's own are done with."""
    f = Function("adjoint", OWN, "void", internal=True, inline=True)
    read, w = _Reader(f), f.pointer("%frame", Frame.W)
    totals: dict[int, str] = {}
    for term in cls.terms:
        partials = term.kernel.partials
        live = [j for j, place in enumerate(term.places) if place < 0 and not partials.is_zero(j)]
        if not live:
            continue
        found, multiplier = read.outputs(term, partials), f.load(f.at("%target", term.row))
        for j in live:
            part, place = f.real("fmul", multiplier, found[j]), term.places[j]
            part = f.unless_zero(found[j], part) if term.kernel.selects else part
            totals[place] = f.real("fadd", totals[place], part) if place in totals else part
    for place, total in totals.items():
        f.increase(f.at(w, read.position(place)), total)
    f.finish(None)
    return f


def _own_tangent(cls: BlockClass) -> Function:
    """What the rates of elements outside add to those of the residuals."""
    f = Function("tangent", OWN, "void", internal=True, inline=True)
    read, dz = _Reader(f), f.pointer("%frame", Frame.DZ)
    for term in cls.terms:
        partials = term.kernel.partials
        live = [j for j, place in enumerate(term.places) if place < 0 and not partials.is_zero(j)]
        found = read.outputs(term, partials) if live else []
        for j in live:
            rate = f.load(f.at(dz, read.position(term.places[j])))
            part = f.real("fmul", rate, found[j])
            part = f.unless_zero(found[j], part) if term.kernel.selects else part
            f.increase(f.at("%target", term.row), part)
    f.finish(None)
    return f
