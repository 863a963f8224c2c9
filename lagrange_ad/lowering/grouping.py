"""Groups: one kernel over a box of instances, with index maps into the state and to the rows.

right side of row ρ = Σ_{k : row[k] = ρ} φ(z[arg[0, k]], …; coef[0, k], …). A map is affine over the box (offset and
strides; stride 0 is a broadcast, on ``row`` a reduction) or an explicit table of positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..expression import Array, Expression, Shape
from ..forms import Form, Instances, Tokens, read
from .instances import Columns, expressions
from .kernel import Kernel

SMALL_BOX = 256
"""Boxes up to this many instances are flattened and join others of the same kernel."""


CHUNK = 1 << 17
"""Most instances evaluated at once: what bounds the memory of a large reduction."""


class IndexMap:
    """Positions for every instance of a box: affine (``offset``, ``strides``) or an explicit ``table``."""

    __slots__ = ("offset", "shape", "strides", "table")

    def __init__(self, shape: Shape, offset: int, strides: tuple[int, ...] | None, table: Array | None) -> None:
        self.shape, self.offset, self.strides, self.table = shape, offset, strides, table

    @staticmethod
    def of(positions: Array) -> IndexMap:
        """The map of an integer array of the box's shape; affine where its numbers are."""
        offset = int(positions.flat[0]) if positions.size else 0
        seen = _seen(positions)
        strides = []
        for axis, n in enumerate(seen.shape):
            second = tuple(1 if i == axis else 0 for i in range(seen.ndim))
            strides.append(int(seen[second]) - offset if n > 1 and seen.size else 0)
        if _is_affine(seen, offset, strides):
            return IndexMap(positions.shape, offset, tuple(strides), None)
        return IndexMap(positions.shape, offset, None, positions)

    def array(self) -> Array:
        """The positions as an integer array of the box's shape."""
        if self.table is not None:
            return self.table
        assert self.strides is not None
        result = np.zeros(self.shape, dtype=np.int64)
        result += self.offset
        for axis, (n, step) in enumerate(zip(self.shape, self.strides, strict=True)):
            if step:
                result += (step * np.arange(n)).reshape((-1,) + (1,) * (len(self.shape) - axis - 1))
        return result

    def equals(self, other: IndexMap) -> bool:
        """Whether both, of one shape, give the same positions."""
        if self.table is None or other.table is None:
            return self.table is other.table and (self.offset, self.strides) == (other.offset, other.strides)
        return self.offset == other.offset and np.array_equal(_seen(self.table), _seen(other.table))

    def through(self, place: Array) -> IndexMap:
        """The map that gives place[position] for every position; affine where those numbers run on."""
        low, high = self.range()
        here = place[low : high + 1]
        if self.strides is not None and len(here) and (np.diff(here) == 1).all():
            return IndexMap(self.shape, self.offset + int(here[0]) - low, self.strides, None)
        return IndexMap.of(place[self.array()])

    def slab(self, axis: int, low: int, shape: Shape, key: tuple[slice, ...]) -> IndexMap:
        """The map of the part of the box that ``key`` cuts out along one axis from ``low`` on."""
        if self.strides is not None:
            return IndexMap(shape, self.offset + low * self.strides[axis], self.strides, None)
        assert self.table is not None
        return IndexMap(shape, 0, None, self.table[key])

    def range(self) -> tuple[int, int]:
        """The smallest and the largest position; (0, -1) for an empty box."""
        if 0 in self.shape:
            return 0, -1
        if self.table is not None:
            return int(self.table.min()), int(self.table.max())
        assert self.strides is not None
        spans = [step * (n - 1) for n, step in zip(self.shape, self.strides, strict=True)]
        return self.offset + sum(s for s in spans if s < 0), self.offset + sum(s for s in spans if s > 0)

    def is_injective(self) -> bool:
        """Whether no two instances share a position, seen from the strides (False where that is not plain)."""
        if self.table is not None:
            flat = self.table.ravel()
            return bool((np.diff(flat) > 0).all()) if flat.size else True
        assert self.strides is not None
        reach = 0
        for n, step in sorted(zip(self.shape, map(abs, self.strides), strict=True), key=lambda pair: pair[1]):
            if n > 1 and step <= reach:
                return False
            reach += step * (n - 1)
        return True


def _seen(positions: Array) -> Array:
    """Axes that an array only repeats (memory stride 0) are looked at once: nothing of the box's size is made."""
    return positions[tuple(slice(0, 1) if step == 0 else slice(None) for step in positions.strides)]


def _is_affine(positions: Array, offset: int, strides: Sequence[int]) -> bool:
    """Whether positions == offset + Σ strides·index, compared slab by slab along the first axis."""
    if positions.ndim == 0 or positions.size <= 1:
        return True
    flat: Any = np.zeros((), dtype=np.int64)
    for axis in range(1, positions.ndim):
        flat = flat[..., None] + strides[axis] * np.arange(positions.shape[axis])
    slab = max(1, (1 << 18) // max(1, positions[0].size))
    for lo in range(0, len(positions), slab):
        part = positions[lo : lo + slab]
        first = offset + strides[0] * np.arange(lo, lo + len(part))
        if not np.array_equal(part, first.reshape((-1,) + (1,) * (positions.ndim - 1)) + flat):
            return False
    return True


@dataclass(frozen=True, eq=False)
class Group:
    """One kernel over a box: ``args[j]`` and ``row`` are index maps, ``coefs[j]`` arrays, all of the box's shape."""

    kernel: Kernel
    shape: Shape
    args: tuple[IndexMap, ...]
    coefs: tuple[Array, ...]
    row: IndexMap

    @cached_property
    def size(self) -> int:
        """Number of instances."""
        return int(np.prod(self.shape, dtype=np.int64))

    def with_rows(self, place: Array) -> Group:
        """The group with every row replaced by place[row]."""
        return Group(self.kernel, self.shape, self.args, self.coefs, self.row.through(place))

    def restrict(self, instances: Array) -> Group:
        """The group of the given instances, numbered in C order, in the order given; flat."""
        args = tuple(IndexMap.of(m.array().ravel()[instances]) for m in self.args)
        coefs = tuple(_pick(c, instances) for c in self.coefs)
        row = IndexMap.of(self.row.array().ravel()[instances])
        return Group(self.kernel, row.shape, args, coefs, row)

    def part(self, low: int, high: int) -> Group:
        """Instances low … high − 1 of a flat group; costs no more than its own size."""
        part = self._slab(0, low, high)
        args = tuple(IndexMap.of(m.table) if m.table is not None else m for m in part.args)
        row = part.row if part.row.table is None else IndexMap.of(part.row.table)
        return Group(self.kernel, part.shape, args, part.coefs, row)

    def pieces(self, most: int | None = None) -> list[Group]:
        """The group in parts of at most ``most`` (CHUNK) instances, cut along the first axes; maps stay affine."""
        most = CHUNK if most is None else most
        if self.size <= most:
            return [self]
        axis = next(i for i, n in enumerate(self.shape) if n > 1)
        step = max(1, most * self.shape[axis] // self.size)
        parts = [self._slab(axis, lo, min(lo + step, self.shape[axis])) for lo in range(0, self.shape[axis], step)]
        return [piece for part in parts for piece in part.pieces(most)]

    def _slab(self, axis: int, low: int, high: int) -> Group:
        key = (slice(None),) * axis + (slice(low, high),)
        shape = (*self.shape[:axis], high - low, *self.shape[axis + 1 :])
        args = tuple(m.slab(axis, low, shape, key) for m in self.args)
        return Group(self.kernel, shape, args, tuple(c[key] for c in self.coefs), self.row.slab(axis, low, shape, key))


def _pick(coefficients: Array, instances: Array) -> Array:
    if coefficients.size and not any(coefficients.strides):
        return np.broadcast_to(coefficients.flat[0], instances.shape)
    return coefficients.ravel()[instances]


@dataclass(frozen=True, eq=False, slots=True)
class Term:
    """What one equation contributes to one kernel: positions and coefficients of the box's shape (or numbers)."""

    kernel: Kernel
    shape: Shape
    args: list[Any]
    coefs: list[Any]
    row: Any


class GroupMaker:
    """Collects terms and makes groups: small boxes of one kernel become instances of one group."""

    def __init__(self) -> None:
        self._small: dict[Kernel, list[Term]] = {}
        self._large: list[Group] = []
        self._scalars: dict[Tokens, Instances] = {}
        self._last: Instances | None = None

    def add(self, term: Term) -> None:
        """Take one term."""
        size = int(np.prod(term.shape)) if term.shape else 1
        if size == 0:
            return
        if size <= SMALL_BOX:
            self._join(term)
        else:
            args = [IndexMap.of(np.broadcast_to(a, term.shape)) for a in term.args[: term.kernel.n_args]]
            kernel, args = _distinct(term.kernel, args)
            coefs = tuple(
                np.broadcast_to(np.asarray(c, dtype=np.float64), term.shape) for c in term.coefs[: term.kernel.n_coefs]
            )
            self._large.append(Group(kernel, term.shape, tuple(args), coefs, IndexMap.of(term.row)))

    def add_scalar(self, root: Expression, row: int, factor: float, replaced: Mapping[int, Expression]) -> bool:
        """Take factor·root for a row, if it is a scalar that can be read; 10^5 of them must stay cheap."""
        if self._last is not None and factor == 1.0 and not replaced:
            leaves = self._last.leaves(root)  # the summands of a long sum have one form
            if leaves is not None:
                self._last.add(row, *leaves)
                return True
        reading = read([root], replaced, factor)
        if reading is None:
            return False
        self._last = self._scalars.get(reading.tokens)
        if self._last is None:
            self._last = self._scalars[reading.tokens] = Instances(Form(reading.tokens))
        self._last.add(row, reading.args, reading.coefs)
        return True

    def add_columns(self, columns: Columns, rows: Array) -> None:
        """Take many scalar terms of one kernel."""
        self._join(Term(columns.kernel, rows.shape, columns.args, columns.coefs, rows))

    def _join(self, term: Term) -> None:
        self._small.setdefault(term.kernel, []).append(term)

    def groups(self) -> tuple[Group, ...]:
        """All groups of the terms taken so far."""
        for columns in map(expressions, self._scalars.values()):
            self.add_columns(columns, columns.owners)
        self._scalars, self._last = {}, None
        return (*self._large, *(_merge(kernel, terms) for kernel, terms in self._small.items()))


def _distinct(kernel: Kernel, args: list[IndexMap]) -> tuple[Kernel, list[IndexMap]]:
    """The kernel without arguments that stand where earlier ones do, as in v[i]·cos(v[i]); products stay products."""
    first = [next(i for i in range(j + 1) if args[i].equals(args[j])) for j in range(len(args))]
    kept = sorted(set(first))
    if len(kept) == len(args) or kernel.is_product() or not kernel.shares_arguments:
        return kernel, args
    return kernel.with_arguments([kept.index(i) for i in first]), [args[i] for i in kept]


def _merge(kernel: Kernel, terms: list[Term]) -> Group:
    """One flat group of many small terms."""
    rows = _flat((t.row for t in terms), terms, np.int64)
    args = [IndexMap.of(_flat((t.args[j] for t in terms), terms, np.int64)) for j in range(kernel.n_args)]
    kernel, args = _distinct(kernel, args)
    coefs = tuple(_flat((t.coefs[j] for t in terms), terms, np.float64) for j in range(kernel.n_coefs))
    return Group(kernel, rows.shape, tuple(args), tuple(map(_constant_as_view, coefs)), IndexMap.of(rows))


def _flat(parts: Iterable[Any], terms: list[Term], dtype: Any) -> Array:
    pieces = [np.broadcast_to(part, term.shape).ravel() for part, term in zip(parts, terms, strict=True)]
    return np.concatenate(pieces, dtype=dtype) if len(pieces) > 1 else np.asarray(pieces[0], dtype=dtype)


def _constant_as_view(coefficients: Array) -> Array:
    """Equal coefficients as one broadcast number."""
    if coefficients.size and (coefficients == coefficients[0]).all():
        return np.broadcast_to(coefficients[0], coefficients.shape)
    return coefficients
