"""The linear algebra of small dense blocks, compiled: scaling, elimination with pivots, both substitutions.

A block is a record (:class:`BlockWord`); what its equations are, three functions of the record say. For a size known
beforehand everything stands at places known beforehand, so that a small matrix stays in registers; else LAPACK factors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from .ir import Function, literal
from .loops import Frame

UNROLLED = 8
"""Up to this many unknowns code is made for the size."""
WRITTEN_OUT = 4
"""Up to this many, elimination is written entry by entry: LLVM leaves its triangular loops as they are otherwise."""
NOTHING: Mapping[int, str] = {}


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
    MODEL = 15
    TANGENT = 16
    WORDS = 17


def scratch_size(n: int) -> int:
    """How many doubles a solve of n unknowns needs."""
    return 2 * n * n + 14 * n


class Solver:
    """Pieces of code over one block; ``n`` is its size and ``n_rows`` that without auxiliaries, when known beforehand.

    ``own`` are functions of the block's class, in the same module, by the word of the record that they stand in for.
    They work on a copy of the unknowns, ``x``, which small blocks keep in registers; others on the state itself.
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
        self.pivots, self.work = self.vector() if n is None else f.slot("i1", n * n), self.vector()
        self.x, self._next = (self.vector(), self._memory(f.mul(self.n, self.n))) if own else ("", "")

    def vector(self) -> str:
        """Memory for n doubles."""
        return self._memory(self.n)

    def _memory(self, count: str) -> str:
        if self.known is not None:
            return self.f.slot("double", self.known * self.known)
        here = self.f.at(self._scratch, self._used)
        self._used = self.f.add(self._used, count)
        return here

    def place(self, j: str) -> str:
        """The address of unknown j in the state."""
        return self.f.at(self.z, self.f.index(self.columns, j))

    def column(self, j: str) -> str:
        """The address of unknown j where the solve works on it."""
        return self.f.at(self.x, j) if self.x else self.place(j)

    def begin(self) -> None:
        """Take the unknowns from the state."""
        if self.x:
            with self.f.loop(0, self.n) as j:
                self.f.store(self.f.load(self.place(j)), self.column(j))

    def end(self) -> None:
        """Leave them there."""
        if self.x:
            with self.f.loop(0, self.n) as j:
                self.f.store(self.f.load(self.column(j)), self.place(j))

    def entry(self, i: str, j: str) -> str:
        """The address of a matrix entry."""
        return self.f.at(self.matrix, self.f.add(self.f.mul(i, self.n), j))

    def call(self, word: int, *targets: str) -> None:
        """Call one of the block's functions, which writes to ``targets``."""
        if word in self._own:
            arguments = "".join(f", ptr {t}" for t in (self.x, *targets))
            self.f.emit(f"call void @{self._own[word]}(ptr %frame, ptr %data{arguments})")
        else:
            self.f.emit(f"call void {self.f.pointer('%data', word)}(ptr %frame, ptr %data, ptr {targets[0]})")

    def evaluate(self, r: str) -> None:
        """Residuals where the unknowns stand, for ``linearise`` to follow if they stay."""
        if self.x:
            self.call(BlockWord.MODEL, r, self._next)
        else:
            self.call(BlockWord.RESIDUAL, r)

    def linearise(self) -> None:
        """The matrix of the point that ``evaluate`` saw last: its functions of one's own compute both at once."""
        if self.x:
            f = self.f
            with f.loop(0, f.mul(self.n, self.n)) as i:
                f.store(f.load(f.at(self._next, i)), f.at(self.matrix, i))
        else:
            self.call(BlockWord.JACOBIAN, self.matrix)

    def largest(self, vector: str, count: str) -> tuple[str, str]:
        """(max |v|, 0·Σ v, which is 0 where all entries are finite)."""
        f = self.f
        largest, zero = f.variable("double", literal(0.0)), f.variable("double", literal(0.0))
        with f.loop(0, count) as i:
            value = f.load(f.at(vector, i))
            self.grow(largest, f.size_of(value))
            f.store(f.real("fadd", f.load(zero), f.do(f"fmul double {value}, {literal(0.0)}")), zero)
        return f.load(largest), f.load(zero)

    def grow(self, largest: str, size: str) -> None:
        """A running maximum."""
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
                self.grow(largest, f.size_of(f.load(self.entry(i, j))))
            f.store(self._power(f.load(largest)), f.at(self.row_scale, i))
        with f.loop(0, n) as j:
            largest = f.variable("double", literal(0.0))
            with f.loop(0, n) as i:
                size = f.size_of(f.load(self.entry(i, j)))
                self.grow(largest, f.real("fmul", size, f.load(f.at(self.row_scale, i))))
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

    def over(self, low: str, high: str, body: Callable[[str], None], step: int = 1) -> None:
        """``for i in range(low, high, step): body(i)``, written out where the size is small."""
        if self.known is not None and self.known <= WRITTEN_OUT:
            for number in range(int(low), int(high), step):
                body(str(number))
        else:
            with self.f.loop(low, high, step) as i:
                body(i)

    def after(self, k: str, by: int = 1) -> str:
        """k + by."""
        return str(int(k) + by) if k.lstrip("-").isdigit() else self.f.add(k, by)

    def _eliminate(self, smallest: str) -> None:
        """Gaussian elimination; the pivot comes up by exchanges of two rows at a time, all at places known beforehand,
        so that a small matrix stays in registers. The diagonal keeps the pivots' inverses."""
        self.over("0", self.n, lambda k: self._eliminate_column(k, smallest))

    def _eliminate_column(self, k: str, smallest: str) -> None:
        f, n = self.f, self.n
        self.over(self.after(k), n, lambda i: self._bring_up(k, i))
        size = f.size_of(f.load(self.entry(k, k)))
        f.store(f.choose(f.compare("olt", size, f.load(smallest)), size, f.load(smallest)), smallest)
        inverse = f.real("fdiv", literal(1.0), f.load(self.entry(k, k)))
        f.store(inverse, self.entry(k, k))
        self.over(self.after(k), n, lambda i: self._subtract_row(k, i, inverse))

    def _bring_up(self, k: str, i: str) -> None:
        """Exchange rows k and i where the entry of i in column k is larger."""
        f = self.f
        larger = f.compare("ogt", f.size_of(f.load(self.entry(i, k))), f.size_of(f.load(self.entry(k, k))))
        f.store(larger, self._exchanged(k, i), "i1", 1)
        self.over("0", self.n, lambda j: self._exchange(self.entry(k, j), self.entry(i, j), larger))

    def _subtract_row(self, k: str, i: str, inverse: str) -> None:
        """Row i minus its part of row k, right of column k; the part is kept there."""
        f = self.f
        factor = f.real("fmul", f.load(self.entry(i, k)), inverse)
        f.store(factor, self.entry(i, k))

        def entry(j: str) -> None:
            change = f.real("fmul", factor, f.load(self.entry(k, j)))
            f.store(f.real("fsub", f.load(self.entry(i, j)), change), self.entry(i, j))

        self.over(self.after(k), self.n, entry)

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
        n, last = self.n, self.after(self.n, -1)
        self.over("0", n, lambda k: self.over(self.after(k), n, lambda i: self._exchange_again(x, k, i)))
        self.over("0", n, lambda i: self._reduce(x, i, "0", i, lambda j: self.entry(i, j)))

        def upwards(i: str) -> None:
            self._reduce(x, i, self.after(i), n, lambda j: self.entry(i, j))
            self._times_inverse(x, i)

        self.over(last, "-1", upwards, -1)

    def _substitute_transposed(self, x: str) -> None:
        n, last = self.n, self.after(self.n, -1)

        def downwards(i: str) -> None:
            self._reduce(x, i, "0", i, lambda j: self.entry(j, i))
            self._times_inverse(x, i)

        self.over("0", n, downwards)
        self.over(last, "-1", lambda i: self._reduce(x, i, self.after(i), n, lambda j: self.entry(j, i)), -1)
        self.over(last, "-1", lambda k: self.over(last, k, lambda i: self._exchange_again(x, k, i), -1), -1)

    def _exchange_again(self, x: str, k: str, i: str) -> None:
        self._exchange(self.f.at(x, k), self.f.at(x, i), self.f.load(self._exchanged(k, i), "i1", 1))

    def _times_inverse(self, x: str, i: str) -> None:
        f = self.f
        f.store(f.real("fmul", f.load(f.at(x, i)), f.load(self.entry(i, i))), f.at(x, i))

    def _reduce(self, x: str, i: str, low: str, high: str, entry: Callable[[str], str]) -> None:
        """x_i −= Σ_j entry_j·x_j."""
        f, at = self.f, self.f.at(x, i)

        def subtract(j: str) -> None:
            f.store(f.real("fsub", f.load(at), f.real("fmul", f.load(entry(j)), f.load(f.at(x, j)))), at)

        self.over(low, high, subtract)
