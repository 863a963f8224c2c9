"""Newton's method for small dense blocks, compiled: the same steps as ``solution.newton``, without Python.

A block is a record; what its equations are, three functions of the record say (residuals, Jacobian, adjoint). Where the
solve meets anything out of the ordinary (a singular Jacobian, no progress, a value that is not a number) it puts the
unknowns back and reports it: the caller then solves that block by the reference, which knows what to do and to say.
Up to UNROLLED unknowns the code is compiled for that size, above it LAPACK factors.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .engine import FRAME
from .ir import Function, literal
from .loops import Frame

UNROLLED = 8
CORRECTION, SMALL = 1e-9, 1e-6
"""What is negligible: a correction beside its unknown, a residual beside its terms (as in ``solution.newton``)."""
NOTHING: Mapping[int, str] = {}
HELP = 1
"""Status: this block needs the reference."""


class BlockWord:
    """The record of a block. Equations and unknowns of auxiliaries stand after the user's."""

    ROWS_COUNT = 0
    SIZE = 1
    COLUMNS = 2
    ROWS = 3
    OWN = 4
    OWN_LOCAL = 5
    RESIDUAL = 6
    JACOBIAN = 7
    ADJOINT = 8
    NUMBER = 9
    SWEEP = 10
    DATA = 11
    WORDS = 16


def scratch_size(n: int) -> int:
    """How many doubles a solve of n unknowns needs."""
    return n * n + 12 * n


class _Solver:
    """Pieces of code over one block; ``n`` is its size and ``n_rows`` that without auxiliaries, when known beforehand.

    ``own`` are functions of the block's class, in the same module, by the word of the record that they stand in for.
    """

    def __init__(self, f: Function, n: int | None, n_rows: int | None, own: Mapping[int, str]) -> None:
        self.f, self.known, self._own = f, n, own
        self.n = str(n) if n is not None else f.word("%data", BlockWord.SIZE)
        self.rows_count = str(n_rows) if n_rows is not None else f.word("%data", BlockWord.ROWS_COUNT)
        self._used = "0"
        self._scratch = "" if n is not None else f.pointer("%frame", Frame.SCRATCH)
        self.z = f.pointer("%frame", Frame.Z)
        self.columns = f.pointer("%data", BlockWord.COLUMNS)
        self.matrix = self._memory(f.mul(self.n, self.n))
        self.row_scale, self.column_scale = self.vector(), self.vector()
        self.pivots, self._work = self.vector() if n is None else f.slot("i1", n * n), self.vector()

    def vector(self) -> str:
        """Memory for n doubles."""
        return self._memory(self.n)

    def _memory(self, count: str) -> str:
        if self.known is not None:
            return self.f.slot("double", self.known * self.known)
        here = self.f.at(self._scratch, self._used)
        self._used = self.f.add(self._used, count)
        return here

    def column(self, j: str) -> str:
        """The address of unknown j in the state."""
        return self.f.at(self.z, self.f.index(self.columns, j))

    def entry(self, i: str, j: str) -> str:
        """The address of a matrix entry."""
        return self.f.at(self.matrix, self.f.add(self.f.mul(i, self.n), j))

    def call(self, word: int, target: str) -> None:
        """Call one of the block's functions, which writes to ``target``."""
        function = f"@{self._own[word]}" if word in self._own else self.f.pointer("%data", word)
        self.f.emit(f"call void {function}(ptr %frame, ptr %data, ptr {target})")

    def largest(self, vector: str, count: str) -> tuple[str, str]:
        """(max |v|, 0·Σ v, which is 0 where all entries are finite)."""
        f = self.f
        largest, zero = f.variable("double", literal(0.0)), f.variable("double", literal(0.0))
        with f.loop(0, count) as i:
            value = f.load(f.at(vector, i))
            self._grow(largest, f.size_of(value))
            f.store(f.real("fadd", f.load(zero), f.do(f"fmul double {value}, {literal(0.0)}")), zero)
        return f.load(largest), f.load(zero)

    def _grow(self, largest: str, size: str) -> None:
        f = self.f
        f.store(f.choose(f.compare("ogt", size, f.load(largest)), size, f.load(largest)), largest)

    def _power(self, size: str) -> str:
        """About 1/size, a power of two; 1 for what has no exponent."""
        f = self.f
        exponent = f.do(f"and i64 {f.do(f'bitcast double {size} to i64')}, {0x7FF << 52}")
        inverse = f.do(f"bitcast i64 {f.do(f'sub i64 {0x7FE << 52}, {exponent}')} to double")
        return f.choose(f.do(f"icmp eq i64 {exponent}, 0"), literal(1.0), inverse)

    def scales(self) -> None:
        """Powers of two that bring the largest entry of every row, then of every column, to about 1."""
        f, n = self.f, self.n
        with f.loop(0, n) as i:
            largest = f.variable("double", literal(0.0))
            with f.loop(0, n) as j:
                self._grow(largest, f.size_of(f.load(self.entry(i, j))))
            f.store(self._power(f.load(largest)), f.at(self.row_scale, i))
        with f.loop(0, n) as j:
            largest = f.variable("double", literal(0.0))
            with f.loop(0, n) as i:
                size = f.size_of(f.load(self.entry(i, j)))
                self._grow(largest, f.real("fmul", size, f.load(f.at(self.row_scale, i))))
            f.store(self._power(f.load(largest)), f.at(self.column_scale, j))

    def factor(self) -> str:
        """LU of the scaled matrix, in place; whether it is finite and regular."""
        f, n = self.f, self.n
        zero = f.variable("double", literal(0.0))
        with f.loop(0, n) as i:
            row = f.load(f.at(self.row_scale, i))
            with f.loop(0, n) as j:
                scale = f.real("fmul", row, f.load(f.at(self.column_scale, j)))
                value = f.real("fmul", f.load(self.entry(i, j)), scale)
                f.store(f.real("fadd", f.load(zero), f.do(f"fmul double {value}, {literal(0.0)}")), zero)
                f.store(value, self.entry(i, j))
        smallest = f.variable("double", literal(np.inf))
        if self.known is None:
            self._factor_by_lapack(smallest)
        else:
            self._eliminate(smallest)
        limit = f.real("fmul", f.do(f"sitofp i64 {n} to double"), literal(float(np.finfo(float).eps)))
        regular = f.compare("ogt", f.load(smallest), limit)
        return f.do(f"and i1 {regular}, {f.compare('oeq', f.load(zero), literal(0.0))}")

    def _eliminate(self, smallest: str) -> None:
        """Gaussian elimination; the pivot comes up by exchanges of two rows at a time, all at places known beforehand,
        so that a small matrix stays in registers. The diagonal keeps the pivots' inverses."""
        f, n = self.f, self.n
        with f.loop(0, n) as k:
            with f.loop(f.add(k, 1), n) as i:
                larger = f.compare("ogt", f.size_of(f.load(self.entry(i, k))), f.size_of(f.load(self.entry(k, k))))
                f.store(larger, self._exchanged(k, i), "i1", 1)
                with f.loop(0, n) as j:
                    self._exchange(self.entry(k, j), self.entry(i, j), larger)
            size = f.size_of(f.load(self.entry(k, k)))
            f.store(f.choose(f.compare("olt", size, f.load(smallest)), size, f.load(smallest)), smallest)
            inverse = f.real("fdiv", literal(1.0), f.load(self.entry(k, k)))
            f.store(inverse, self.entry(k, k))
            with f.loop(f.add(k, 1), n) as i:
                factor = f.real("fmul", f.load(self.entry(i, k)), inverse)
                f.store(factor, self.entry(i, k))
                with f.loop(f.add(k, 1), n) as j:
                    change = f.real("fmul", factor, f.load(self.entry(k, j)))
                    f.store(f.real("fsub", f.load(self.entry(i, j)), change), self.entry(i, j))

    def _exchanged(self, k: str, i: str) -> str:
        """Where it stands whether rows k and i were exchanged."""
        return self.f.at(self.pivots, self.f.add(self.f.mul(k, self.n), i), "i1")

    def _exchange(self, one: str, other: str, condition: str) -> None:
        f = self.f
        a, b = f.load(one), f.load(other)
        f.store(f.choose(condition, b, a), one)
        f.store(f.choose(condition, a, b), other)

    def _factor_by_lapack(self, smallest: str) -> None:
        """dgetrf of the matrix as columns, which is its transpose."""
        f, n = self.f, self.n
        size, info = f.variable("i32", f.do(f"trunc i64 {n} to i32")), f.variable("i32", "0")
        self._size = size
        f.call_external("lapack_dgetrf", (size, size, self.matrix, size, self.pivots, info))
        with f.loop(0, n) as k:
            pivot = f.size_of(f.load(self.entry(k, k)))
            f.store(f.choose(f.compare("olt", pivot, f.load(smallest)), pivot, f.load(smallest)), smallest)

    def solve(self, b: str, x: str, transposed: bool = False) -> None:
        """x = A⁻¹ b, or A⁻ᵀ b, by the factors."""
        f = self.f
        before, after = (self.column_scale, self.row_scale) if transposed else (self.row_scale, self.column_scale)
        with f.loop(0, self.n) as i:
            f.store(f.real("fmul", f.load(f.at(b, i)), f.load(f.at(before, i))), f.at(x, i))
        if self.known is None:
            self._solve_by_lapack(x, transposed)
        elif transposed:
            self._substitute_transposed(x)
        else:
            self._substitute(x)
        with f.loop(0, self.n) as i:
            f.store(f.real("fmul", f.load(f.at(x, i)), f.load(f.at(after, i))), f.at(x, i))

    def _solve_by_lapack(self, x: str, transposed: bool) -> None:
        f = self.f
        letter = f.variable("i8", str(ord("N" if transposed else "T")))
        one, info, size = f.variable("i32", "1"), f.slot("i32"), self._size
        f.call_external("lapack_dgetrs", (letter, size, one, self.matrix, size, self.pivots, x, size, info))

    def _substitute(self, x: str) -> None:
        f, n = self.f, self.n
        with f.loop(0, n) as k, f.loop(f.add(k, 1), n) as i:
            self._exchange(f.at(x, k), f.at(x, i), f.load(self._exchanged(k, i), "i1", 1))
        with f.loop(0, n) as i:
            self._reduce(x, i, "0", i, lambda j: self.entry(i, j))
        with f.loop(f.add(n, -1), -1, -1) as i:
            self._reduce(x, i, f.add(i, 1), n, lambda j: self.entry(i, j))
            f.store(f.real("fmul", f.load(f.at(x, i)), f.load(self.entry(i, i))), f.at(x, i))

    def _substitute_transposed(self, x: str) -> None:
        f, n = self.f, self.n
        with f.loop(0, n) as i:
            self._reduce(x, i, "0", i, lambda j: self.entry(j, i))
            f.store(f.real("fmul", f.load(f.at(x, i)), f.load(self.entry(i, i))), f.at(x, i))
        with f.loop(f.add(n, -1), -1, -1) as i:
            self._reduce(x, i, f.add(i, 1), n, lambda j: self.entry(j, i))
        with f.loop(f.add(n, -1), -1, -1) as k, f.loop(f.add(n, -1), k, -1) as i:
            self._exchange(f.at(x, k), f.at(x, i), f.load(self._exchanged(k, i), "i1", 1))

    def _reduce(self, x: str, i: str, low: str, high: str, entry) -> None:  # type: ignore[no-untyped-def]
        """x_i −= Σ_j entry_j·x_j."""
        f, at = self.f, self.f.at(x, i)
        with f.loop(low, high) as j:
            f.store(f.real("fsub", f.load(at), f.real("fmul", f.load(entry(j)), f.load(f.at(x, j)))), at)


def newton_function(n: int | None, n_rows: int | None = None, own: Mapping[int, str] = NOTHING) -> Function:
    """Solve one block: 0, or HELP with its unknowns put back."""
    f = Function("newton", FRAME)
    s = _Solver(f, n, n_rows, own)
    rows = s.rows_count
    start, before, r, new, d, scale, terms = (s.vector() for _ in range(7))
    number = f.word("%data", BlockWord.NUMBER)
    report = f.at(f.pointer("%frame", Frame.ITERATIONS), number, "i64")
    _copy_out(s, start, s.n)
    _sweep(s, s.vector())  # its places are not known beforehand: in memory of its own
    failed = f.label()
    s.call(BlockWord.RESIDUAL, r)
    first, zero = s.largest(r, rows)
    _go_unless(f, f.compare("oeq", zero, literal(0.0)), failed)
    limit = f.load(f.pointer("%frame", Frame.LIMIT), "i64")
    with f.loop(0, f.add(limit, 1)) as iteration:
        s.call(BlockWord.JACOBIAN, s.matrix)
        _terms(s, terms)
        at_rounding = _all_below(s, r, terms, 8.0 * float(np.finfo(float).eps))
        with f.when(at_rounding):
            f.store(iteration, report, "i64")
            f.emit("ret i64 0")
            f.place(f.label())
        _go_unless(f, f.do(f"icmp slt i64 {iteration}, {limit}"), failed)
        _factor(s, iteration, failed)
        _pad(s, r)
        s.solve(r, d)
        size, _ = s.largest(r, rows)
        _scales(s, scale)
        step = f.variable("double", _longest(s, d))
        whole = f.compare("oeq", f.load(step), literal(1.0))
        last = f.do(f"and i1 {whole}, {_all_below(s, d, scale, CORRECTION)}")
        _copy_out(s, before, s.n)
        with f.when(last):
            _last_step(s, before, r, new, d, terms, size, first, report, iteration, failed)
        _line_search(s, before, r, new, d, scale, step, size, failed)
    f.jump(failed)
    f.place(failed)
    _copy_in(s, start, s.n)
    f.finish(HELP)
    return f


def _sweep(s: _Solver, r: str) -> None:
    """One propagation for the unknowns without a start, level by level, where it gives numbers inside their domains.

    The record's table says: how many levels, then for each how many rows, and which.
    """
    f = s.f
    table, started = f.pointer("%data", BlockWord.SWEEP), f.pointer("%frame", Frame.STARTED)
    low, high = f.pointer("%frame", Frame.LOW), f.pointer("%frame", Frame.HIGH)
    own = f.pointer("%data", BlockWord.OWN)
    at = f.variable("i64", "1")
    with f.when(f.do(f"icmp ne ptr {table}, null")), f.loop(0, f.index(table, 0)):
        s.call(BlockWord.RESIDUAL, r)
        here = f.load(at, "i64")
        count = f.index(table, here)
        with f.loop(0, count) as k:
            i = f.index(table, f.add(f.add(here, 1), k))
            position = f.index(own, i)
            address = f.at(s.z, position)
            value = f.real("fadd", f.load(f.at(r, i)), f.load(address))
            given = f.do(f"icmp ne i8 {f.load(f.at(started, position, 'i8'), 'i8', 1)}, 0")
            inside = f.do(f"and i1 {f.compare('ogt', value, f.load(f.at(low, position)))}, "
                          f"{f.compare('olt', value, f.load(f.at(high, position)))}")
            wanted = f.do(f"and i1 {inside}, {f.do(f'xor i1 {given}, true')}")
            f.store(f.choose(wanted, value, f.load(address)), address)
        f.store(f.add(f.add(here, 1), count), at, "i64")


def _go_unless(f: Function, condition: str, elsewhere: str) -> None:
    on = f.label()
    f.branch(condition, on, elsewhere)
    f.place(on)


def _copy_out(s: _Solver, target: str, count: str) -> None:
    f = s.f
    with f.loop(0, count) as j:
        f.store(f.load(s.column(j)), f.at(target, j))


def _copy_in(s: _Solver, source: str, count: str) -> None:
    f = s.f
    with f.loop(0, count) as j:
        f.store(f.load(f.at(source, j)), s.column(j))


def _move(s: _Solver, before: str, d: str, step: str) -> None:
    """z = before − step·d for the user's unknowns (d solves J d = r)."""
    f = s.f
    with f.loop(0, s.rows_count) as j:
        change = f.real("fmul", step, f.load(f.at(d, j)))
        f.store(f.real("fsub", f.load(f.at(before, j)), change), s.column(j))


def _factor(s: _Solver, iteration: str, failed: str) -> None:
    """Factor the Jacobian by the scales of the first iteration; by new ones where those call it singular."""
    f = s.f
    anew = f.variable("i1", f.do(f"icmp eq i64 {iteration}, 0"))
    begin, again, regular = f.label(), f.label(), f.label()
    f.jump(begin)
    f.place(begin)
    with f.when(f.load(anew, "i1", 1)):
        s.scales()
    f.branch(s.factor(), regular, again)
    f.place(again)
    _go_unless(f, f.do(f"xor i1 {f.load(anew, 'i1', 1)}, true"), failed)
    f.store("true", anew, "i1", 1)
    s.call(BlockWord.JACOBIAN, s.matrix)
    f.jump(begin)
    f.place(regular)


def _pad(s: _Solver, r: str) -> None:
    """Residuals of auxiliaries are 0."""
    with s.f.loop(s.rows_count, s.n) as i:
        s.f.store(literal(0.0), s.f.at(r, i))


def _terms(s: _Solver, terms: str) -> None:
    """Σ_j |∂r/∂z_j·z_j| of every row; 0 where that is not finite."""
    f = s.f
    with f.loop(0, s.rows_count) as i:
        total = f.variable("double", literal(0.0))
        with f.loop(0, s.n) as j:
            term = f.size_of(f.real("fmul", f.load(s.entry(i, j)), f.load(s.column(j))))
            f.store(f.real("fadd", f.load(total), term), total)
        value = f.load(total)
        finite = f.compare("one", value, literal(np.inf))
        f.store(f.choose(finite, value, literal(0.0)), f.at(terms, i))


def _all_below(s: _Solver, r: str, terms: str, part: float) -> str:
    """Whether every |r| is at most ``part`` of its term."""
    f = s.f
    good = f.variable("i1", "true")
    with f.loop(0, s.rows_count) as i:
        here = f.compare("ole", f.size_of(f.load(f.at(r, i))), f.real("fmul", literal(part), f.load(f.at(terms, i))))
        f.store(f.do(f"and i1 {f.load(good, 'i1')}, {here}"), good, "i1")
    return f.load(good, "i1")


def _scales(s: _Solver, scale: str) -> None:
    """What a correction of each unknown is compared with: its size, a millionth of the largest, 1e-12."""
    f = s.f
    largest = f.variable("double", literal(0.0))
    with f.loop(0, s.rows_count) as j:
        s._grow(largest, f.size_of(f.load(s.column(j))))
    floor = f.variable("double", f.real("fmul", f.load(largest), literal(1e-6)))
    s._grow(floor, literal(1e-12))
    with f.loop(0, s.rows_count) as j:
        own, low = f.size_of(f.load(s.column(j))), f.load(floor)
        f.store(f.choose(f.compare("ogt", own, low), own, low), f.at(scale, j))


def _length(s: _Solver, d: str, scale: str) -> str:
    f = s.f
    longest = f.variable("double", literal(0.0))
    with f.loop(0, s.rows_count) as j:
        s._grow(longest, f.real("fdiv", f.size_of(f.load(f.at(d, j))), f.load(f.at(scale, j))))
    return f.load(longest)


def _longest(s: _Solver, d: str) -> str:
    """The longest step, at most 1, that stays inside the domains; measured only where a full one might not."""
    f = s.f
    low, high = f.pointer("%frame", Frame.LOW), f.pointer("%frame", Frame.HIGH)
    step, inside = f.variable("double", literal(1.0)), f.variable("i1", "true")
    with f.loop(0, s.rows_count) as j:
        at = f.index(s.columns, j)
        there = f.real("fsub", f.load(s.column(j)), f.real("fmul", literal(1.0 / 0.99), f.load(f.at(d, j))))
        here = f.do(f"and i1 {f.compare('ogt', there, f.load(f.at(low, at)))}, "
                    f"{f.compare('olt', there, f.load(f.at(high, at)))}")
        f.store(f.do(f"and i1 {f.load(inside, 'i1', 1)}, {here}"), inside, "i1", 1)
    with f.when(f.do(f"xor i1 {f.load(inside, 'i1', 1)}, true")), f.loop(0, s.rows_count) as j:
        here, at = f.load(s.column(j)), f.index(s.columns, j)
        change = f.do(f"fneg double {f.load(f.at(d, j))}")
        end = f.choose(f.compare("olt", change, literal(0.0)), f.load(f.at(low, at)), f.load(f.at(high, at)))
        room = f.do(f"fdiv double {f.do(f'fsub double {end}, {here}')}, {change}")
        room = f.choose(f.compare("ogt", room, literal(0.0)), room, literal(0.0))
        bounded = f.do(f"and i1 {f.compare('one', change, literal(0.0))}, "
                       f"{f.compare('one', f.size_of(end), literal(np.inf))}")
        shorter = f.real("fmul", literal(0.99), room)
        take = f.do(f"and i1 {bounded}, {f.compare('olt', shorter, f.load(step))}")
        f.store(f.choose(take, shorter, f.load(step)), step)
    return f.load(step)


def _last_step(s: _Solver, before: str, r: str, new: str, d: str, terms: str, size: str, first: str, report: str,
               iteration: str, failed: str) -> None:
    """A negligible full step: taken where it does not make things worse; ends the solve one way or the other."""
    f = s.f
    _move(s, before, d, literal(1.0))
    s.call(BlockWord.RESIDUAL, new)
    after, zero = s.largest(new, s.rows_count)
    worse = f.do(f"or i1 {f.compare('une', zero, literal(0.0))}, "
                 f"{f.compare('ugt', after, f.real('fmul', literal(2.0), size))}")
    kept = f.variable("double", size)
    taken, left = f.label(), f.label()
    undo = f.label()
    f.branch(worse, undo, taken)
    f.place(undo)
    _copy_in(s, before, s.n)
    f.jump(left)
    f.place(taken)
    with f.loop(0, s.rows_count) as i:
        f.store(f.load(f.at(new, i)), f.at(r, i))
    f.store(after, kept)
    f.jump(left)
    f.place(left)
    small = f.compare("ole", f.load(kept), f.real("fmul", literal(SMALL), first))
    _go_unless(f, f.do(f"or i1 {small}, {_all_below(s, r, terms, SMALL)}"), failed)
    f.store(f.add(iteration, 1), report, "i64")
    f.emit("ret i64 0")
    f.place(f.label())


def _line_search(s: _Solver, before: str, r: str, new: str, d: str, scale: str, step: str, size: str,
                 failed: str) -> None:
    """Halve the step until the simplified correction or the residual shrinks; r becomes the residual there."""
    f = s.f
    accepted, trial, simplified = f.label(), f.label(), s._work
    tries = f.variable("i64", "0")
    _go_unless(f, f.compare("ogt", f.load(step), literal(0.0)), failed)
    f.jump(trial)
    f.place(trial)
    t = f.load(step)
    _move(s, before, d, t)
    s.call(BlockWord.RESIDUAL, new)
    after, zero = s.largest(new, s.rows_count)
    with f.when(f.compare("oeq", zero, literal(0.0))):
        shrunk = f.real("fsub", literal(1.0), f.real("fmul", t, literal(0.5)))
        good = f.label()
        on = f.label()
        f.branch(f.compare("olt", after, f.real("fmul", shrunk, size)), accepted, on)
        f.place(on)
        _pad(s, new)
        s.solve(new, simplified)
        part = f.real("fsub", literal(1.0), f.real("fmul", t, literal(0.25)))
        wanted = f.real("fmul", part, _length(s, d, scale))
        f.branch(f.compare("ole", _length(s, simplified, scale), wanted), accepted, good)
        f.place(good)
    f.store(f.real("fmul", t, literal(0.5)), step)
    count = f.add(f.load(tries, "i64"), 1)
    f.store(count, tries, "i64")
    more = f.label()
    f.branch(f.do(f"icmp slt i64 {count}, 80"), more, failed)
    f.place(more)
    f.jump(trial)
    f.place(accepted)
    with f.loop(0, s.rows_count) as i:
        f.store(f.load(f.at(new, i)), f.at(r, i))


def adjoint_function(n: int | None, n_rows: int | None = None, own: Mapping[int, str] = NOTHING) -> Function:
    """λ of one block from w, and what it adds to the adjoints of what its equations contain: 0, or HELP."""
    f = Function("back", FRAME)
    s = _Solver(f, n, n_rows, own)
    w, lam = f.pointer("%frame", Frame.W), f.pointer("%frame", Frame.LAM)
    rows, left = f.pointer("%data", BlockWord.ROWS), f.pointer("%data", BlockWord.OWN)
    b, x = s.vector(), s.vector()
    s.call(BlockWord.JACOBIAN, s.matrix)
    s.scales()
    f.leave_when(f.do(f"xor i1 {s.factor()}, true"), HELP)
    with f.loop(0, s.n) as j:
        value = f.load(f.at(w, f.index(s.columns, j)))
        f.store(f.do(f"fneg double {value}"), f.at(b, j))
    s.solve(b, x, transposed=True)
    with f.loop(0, s.n) as i:
        multiplier = f.load(f.at(x, i))
        f.store(multiplier, f.at(lam, f.index(rows, i)))
    s.call(BlockWord.ADJOINT, x)
    with f.loop(0, s.n) as i:  # r = φ − own: the own side of an equation that determines something else
        position = f.index(left, i)
        with f.when(f.do(f"icmp sge i64 {position}, 0")):
            f.increase(f.at(w, position), f.do(f"fneg double {f.load(f.at(x, i))}"))
    f.finish()
    return f
