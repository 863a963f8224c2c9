"""Matrix products as records: a group that sums arg·arg or coef·arg is one call of dgemm for each quantity.

Operands are strided views of the state, so dgemm reads and adds in place. SciPy's own BLAS is called, by the address
that ``scipy.linalg.cython_blas`` exports.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product as every

import numpy as np

from ...lowering import Group
from ..product import is_product
from .driver import Records
from .engine import FRAME, engine
from .ir import Function, literal
from .loops import Frame, part_of

SMALLEST_BATCH = 1 << 12
"""A product whose batches have fewer multiplications than this runs as a plain loop."""


@dataclass(frozen=True)
class _Operand:
    """A matrix: where its numbers stand (a pointer of the frame, or −1 and an address), an offset, strides by axis."""

    part: int
    offset: int
    strides: tuple[int, ...]

    def in_part(self, part: Frame) -> _Operand:
        return _Operand(int(part), self.offset, self.strides)

    def shifted(self, steps: tuple[tuple[int, int], ...]) -> _Operand:
        unit = 8 if self.part == -1 else 1  # an address counts bytes, an offset doubles
        return _Operand(self.part, self.offset + unit * sum(self.strides[a] * i for a, i in steps), self.strides)


class Product:
    """A product group: C(i, j) += Σ_k A(i, k)·B(k, j), for every index of its batch axes."""

    def __init__(self, group: Group) -> None:
        self.shape, self.arrays = group.shape, []
        row = group.row.strides or ()
        self.c = _Operand(int(Frame.OUT), group.row.offset, row)
        self.factors = [_Operand(int(Frame.Z), m.offset, m.strides or ()) for m in group.args]
        if len(group.args) == 1:
            coefs = group.coefs[0]
            kept = np.ascontiguousarray(coefs[tuple(slice(0, 1) if s == 0 else slice(None) for s in coefs.strides)])
            strides = tuple(s // 8 if n > 1 else 0 for n, s in zip(kept.shape, kept.strides, strict=True))
            self.arrays.append(kept)
            self.factors.append(_Operand(-1, kept.ctypes.data, strides))

    @property
    def fits(self) -> bool:
        """Whether every quantity is a list of dgemm calls."""
        lists = [self._calls(*parts) for parts in self._contractions()]
        return all(found is not None for found in lists)

    def _contractions(self) -> list[tuple[_Operand, _Operand, _Operand]]:
        """(target, factor, factor) of values and of the adjoints of each argument."""
        a, b = self.factors
        lam = self.c.in_part(Frame.LAM)
        found = [(self.c, a, b), (a.in_part(Frame.W), lam, b)]
        return found if b.part == -1 else [*found, (b.in_part(Frame.W), a, lam)]

    def records(self, quantity: str, in_state: bool = False) -> Records | None:
        """The calls of a quantity; None for one that dgemm does not give."""
        a, b = self.factors
        moving = [(self.c, a.in_part(Frame.DZ), b)] + ([] if b.part == -1 else [(self.c, a, b.in_part(Frame.DZ))])
        lam = self.c.in_part(Frame.LAM)
        second = [] if b.part == -1 else [(a.in_part(Frame.W), lam, b.in_part(Frame.DZ)),
                                          (b.in_part(Frame.W), a.in_part(Frame.DZ), lam)]
        contractions = self._contractions()
        wanted = {
            "values": contractions[:1], "adjoint": contractions[1:], "value_adjoint": contractions, "tangent": moving,
            "hessian_product": second,
        }.get(quantity)
        if wanted is None:
            return None
        records = Records()
        for parts in wanted:
            placed = [p if p.part == -1 else p.in_part(part_of(Frame(p.part), in_state)) for p in parts]
            for call in self._calls(*placed) or []:
                record = np.array(call, dtype=np.int64)
                m, n, k = call[6] & 0xFFFFFFFF, call[6] >> 32, call[7] & 0xFFFFFFFF
                records.add(gemm(), record, m * n * k / 16, self.arrays)
        return records

    def _calls(self, c: _Operand, a: _Operand, b: _Operand) -> list[list[int]] | None:
        """Records of dgemm for one contraction, one a batch; None where it does not fit."""
        axes = [x for x, n in enumerate(self.shape) if n > 1]
        kinds = {x: (c.strides[x] != 0, a.strides[x] != 0, b.strides[x] != 0) for x in axes}
        batch = [x for x in axes if all(kinds[x])]
        sides = {side: [x for x in axes if kinds[x] == side] for side in _SIDES}
        if len(batch) + sum(map(len, sides.values())) != len(axes) or any(len(s) > 1 for s in sides.values()):
            return None
        if int(np.prod([self.shape[x] for x in axes if x not in batch], dtype=np.int64)) < SMALLEST_BATCH:
            return None
        i, j, k = (sides[side][0] if sides[side] else None for side in _SIDES)
        found = []
        for index in every(*(range(self.shape[x]) for x in batch)):
            steps = tuple(zip(batch, index, strict=True))
            call = self._call(c.shifted(steps), a.shifted(steps), b.shifted(steps), i, j, k)
            if call is None:
                return None
            found.append(call)
        return found

    def _call(self, c: _Operand, a: _Operand, b: _Operand, i: int | None, j: int | None,
              k: int | None) -> list[int] | None:
        """One dgemm, which wants columns: C's first axis must be contiguous, those of A and B one of theirs."""
        if _step(c, i) != 1 and _step(c, j) == 1:
            a, b, i, j = b, a, j, i
        m, n, depth = (1 if x is None else self.shape[x] for x in (i, j, k))
        left, right = _leading(a, i, k, m, depth), _leading(b, k, j, depth, n)
        if (_step(c, i) != 1 and m > 1) or left is None or right is None or max(m, n, depth) >= 1 << 31:
            return None
        ldc = m if j is None or n == 1 else _step(c, j)
        if ldc < m or min(left[1], right[1]) < 1:
            return None
        base = [c.part, a.part, b.part, *(x.offset for x in (c, a, b))]
        return [*base, m | n << 32, depth | left[1] << 32, right[1] | ldc << 32, ord(left[0]) | ord(right[0]) << 32]


_SIDES = ((True, True, False), (True, False, True), (False, True, True))
"""In C and A: i; in C and B: j; in A and B: k."""


def _step(operand: _Operand, axis: int | None) -> int:
    return 1 if axis is None else operand.strides[axis]


def _leading(x: _Operand, first: int | None, second: int | None, n_first: int, n_second: int) -> tuple[str, int] | None:
    """('N' or 'T', leading dimension) of a matrix by its two axes; None where neither is contiguous."""
    if first is None or _step(x, first) == 1:
        lead = n_first if second is None else _step(x, second)
        return ("N", lead) if lead >= n_first else None
    if second is None or _step(x, second) == 1:
        return ("T", _step(x, first)) if _step(x, first) >= n_second else None
    return None


def product_of(group: Group) -> Product | None:
    """The product that a group is, where dgemm can do it."""
    if not is_product(group):
        return None
    found = Product(group)
    return found if found.fits else None


@lru_cache(maxsize=1)
def gemm() -> int:
    """The address of the function that runs one product record."""
    f = Function("gemm", FRAME)
    pointers = []
    for number in range(3):
        part, offset = f.word("%data", number), f.word("%data", 3 + number)
        constant = f.do(f"icmp slt i64 {part}, 0")
        held = f.do(f"inttoptr i64 {offset} to ptr")
        safe = f.do(f"select i1 {constant}, i64 0, i64 {part}")
        moved = f.do(f"select i1 {constant}, i64 0, i64 {offset}")
        view = f.at(f.pointer("%frame", safe), moved)
        pointers.append(f.do(f"select i1 {constant}, ptr {held}, ptr {view}"))
    c, a, b = pointers
    one = f.variable("double", literal(1.0))
    m, n, k, lda, ldb, ldc, ta, tb = (f.at("%data", 12 + w, "i32") for w in range(8))
    arguments = (ta, tb, m, n, k, one, a, lda, b, ldb, one, c, ldc)
    f.call_external("blas_dgemm", arguments)
    f.finish()
    return engine().addresses([f])["gemm"]
