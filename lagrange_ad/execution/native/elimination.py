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
    WORDS = 16


def scratch_size(n: int) -> int:
    """How many doubles a solve of n unknowns needs."""
    return n * n + 12 * n


class Solver:
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
        self.pivots, self.work = self.vector() if n is None else f.slot("i1", n * n), self.vector()

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

    def _reduce(self, x: str, i: str, low: str, high: str, entry: Callable[[str], str]) -> None:
        """x_i −= Σ_j entry_j·x_j."""
        f, at = self.f, self.f.at(x, i)
        with f.loop(low, high) as j:
            f.store(f.real("fsub", f.load(at), f.real("fmul", f.load(entry(j)), f.load(f.at(x, j)))), at)
