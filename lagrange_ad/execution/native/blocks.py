"""Many small blocks as arrays: which have the same form, and the records and functions that solve them.

Blocks of one class have the same kernels in the same places; they differ in the numbers of their unknowns and in their
coefficients. A class with many members gets functions of its own; the equations of others run on the tape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ...expression import Array
from ...lowering import Group, Kernel
from .block_code import compiled, compiled_tangent, lines_of, on_tape, table_of, tangent_on_tape
from .driver import Records
from .elimination import BlockWord, scratch_size
from .state import rows_of_calls

LARGEST = 100
"""Blocks with more unknowns, auxiliaries included, are solved by the reference."""
LARGEST_COMPILED = 16
ITERATIONS = 10
"""A guess of how many iterations a solve takes, for when to look up."""


class BlockLike(Protocol):
    """A block of the schedule: its rows, the columns they determine, levels of auxiliary rows, levels of the sweep."""

    @property
    def rows(self) -> Array: ...
    @property
    def columns(self) -> Array: ...
    @property
    def eliminated(self) -> tuple[Array, ...]: ...
    @property
    def sweep(self) -> tuple[Array, ...]: ...


@dataclass(frozen=True)
class Term:
    """One instance in every block of a class: its kernel, its row within the block, where each argument stands (a
    column of the block, or −1 − the number of an element outside), and where its coefficients begin in the table."""

    kernel: Kernel
    row: int
    places: tuple[int, ...]
    first_coef: int


@dataclass(eq=False)
class BlockClass:
    """Blocks of one form: ``members`` are their numbers, tables have one line a member.

    ``outside`` are the state elements that the equations use beside the block's own unknowns, each once.
    """

    n_rows: int
    n: int
    own_local: tuple[int, ...]
    terms: tuple[Term, ...]
    members: Array
    outside: Array
    coefs: Array
    columns: Array
    rows: Array
    own: Array
    sweeps: Array
    keep: list[Any] = field(default_factory=list)

    @property
    def key(self) -> Any:
        """What the compiled functions depend on."""
        return self.n_rows, self.n, self.own_local, self.terms

    @property
    def compiles(self) -> bool:
        """Whether the form is small enough to have functions of its own."""
        return self.n <= LARGEST_COMPILED and sum(len(t.kernel.nodes) for t in self.terms) <= 2000


class BlockTable:
    """The small ones among the ``wanted`` blocks of a plan. ``fits[b]`` tells whether block b is among them."""

    def __init__(self, groups: Sequence[Group], blocks: Sequence[BlockLike], own: Array, n_state: int,
                 compile_from: int, wanted: Array) -> None:
        self._own, self._compile_from = own, compile_from
        self._blocks = blocks
        all_rows = [np.concatenate([b.rows, *b.eliminated]) for b in blocks]
        called = rows_of_calls(groups, len(own))
        fits = [len(rows) <= LARGEST and not called[rows].any() for rows in all_rows]
        self.fits = np.array(fits, dtype=bool) & wanted
        self.largest = max((len(r) for r, fits in zip(all_rows, self.fits, strict=True) if fits), default=0)
        self._size = np.array([len(rows) for rows in all_rows], dtype=np.int64)
        self._rows = np.concatenate(all_rows) if all_rows else np.empty(0, np.int64)
        self._first = np.concatenate([[0], np.cumsum(self._size)])
        columns = [np.concatenate([b.columns, *(own[a] for a in b.eliminated)]) for b in blocks]
        self._columns = np.concatenate(columns) if columns else np.empty(0, np.int64)
        number = np.repeat(np.arange(len(blocks)), self._size)
        local = np.arange(len(number)) - self._first[number]
        self._block_of_row, self._local_of_row = np.full(len(own), -1), np.full(len(own), -1)
        self._block_of_row[self._rows], self._local_of_row[self._rows] = np.where(self.fits[number], number, -1), local
        self._block_of_column, self._local_of_column = np.full(n_state, -1), np.full(n_state, -1)
        self._block_of_column[self._columns], self._local_of_column[self._columns] = number, local
        self._sweep_tables: dict[bytes, Array] = {}
        self.classes = self._classify(groups)
        self.record = np.zeros((len(blocks), BlockWord.WORDS), dtype=np.int64)
        self.solve = np.zeros(len(blocks), dtype=np.int64)
        self.adjoint = np.zeros(len(blocks), dtype=np.int64)
        self.cost = np.zeros(len(blocks), dtype=np.int64)
        self._has_tangents = False
        self.tangent = np.zeros(len(blocks), dtype=np.int64)
        for cls in self.classes:
            self._prepare(cls)

    @property
    def scratch(self) -> int:
        """Doubles that the solves need."""
        return scratch_size(self.largest)

    def records(self, numbers: Array, quantity: str) -> Records:
        """The calls that solve some blocks (``values``), back-substitute through them (``adjoint``), or give the rates
        of their unknowns (``tangent``), in order."""
        records = Records(keep=[self])
        if quantity == "tangent" and not self._has_tangents:
            self._make_tangents()
        functions = {"values": self.solve, "adjoint": self.adjoint, "tangent": self.tangent}[quantity]
        address = self.record.ctypes.data + numbers * self.record.strides[0]
        rows = np.stack([functions[numbers], address, self.cost[numbers]], axis=1)
        records.rows += map(tuple, rows.tolist())
        return records

    # classes -----------------------------------------------------------------------------------------------

    def _classify(self, groups: Sequence[Group]) -> list[BlockClass]:
        instances = _Instances.of(groups, self)
        counts = np.bincount(instances.block, minlength=len(self._blocks))
        begins = np.concatenate([[0], np.cumsum(counts)])
        key = self._keys(instances, begins, counts)
        classes = []
        found = np.flatnonzero(self.fits)
        _, which = np.unique(key[found], axis=0, return_inverse=True)
        order = np.argsort(which.ravel(), kind="stable")
        bounds = np.flatnonzero(np.diff(which.ravel()[order], prepend=-1, append=-1))
        for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            members = found[order[low:high]]
            lines = begins[members][:, None] + np.arange(counts[members[0]])
            classes += self._class(instances, members, lines)
        return classes

    def _keys(self, instances: _Instances, begins: Array, counts: Array) -> Array:
        """Numbers that blocks of one form share (and, but for a chance of 2^-60, no others)."""
        rng = np.random.default_rng(20170818)
        weights = rng.integers(1, 1 << 62, 64 + 4 * LARGEST, dtype=np.int64) | 1
        position = np.arange(len(instances.block)) - begins[instances.block]
        with np.errstate(over="ignore"):
            line = instances.signature @ weights[: instances.signature.shape[1]]
            line = (line ^ (line >> 29)) * (2 * position + 1) * weights[-1]
            total = np.zeros(len(self._blocks), dtype=np.int64)
            np.add.at(total, instances.block, line ^ (line >> 31))
            own = self._own[self._rows]
            number = np.repeat(np.arange(len(self._blocks)), self._size)
            inside = np.where((own >= 0) & (self._block_of_column[own] == number), self._local_of_column[own], -1)
            here = np.arange(len(number)) - self._first[number]
            self._own_local = inside
            shape = np.zeros(len(self._blocks), dtype=np.int64)
            np.add.at(shape, number, (inside + 2) * weights[64 + here % LARGEST])
        user = np.array([len(b.rows) for b in self._blocks], dtype=np.int64)
        return np.stack([user, self._size, counts, total, shape], axis=1)

    def _class(self, instances: _Instances, members: Array, lines: Array) -> list[BlockClass]:
        """The class of some blocks; where the numbers lied, one class a block."""
        model = instances.signature[lines[0]]
        same = self._own_local[self._first[members][:, None] + np.arange(int(self._size[members[0]]))]
        if not ((instances.signature[lines] == model).all() and (same == same[0]).all()):
            return [c for m, line in zip(members, lines, strict=True)
                    for c in self._class(instances, np.array([m]), line[None])]
        first, size = self._first[members], int(self._size[members[0]])
        places = first[:, None] + np.arange(size)
        terms, coefs, outside = [], list[Array](), list[Array]()
        numbers: dict[bytes, int] = {}
        for j in range(lines.shape[1]):
            kernel, here = instances.kernels[int(model[j, 0])], lines[:, j]
            stand = model[j, 2 : 2 + kernel.n_args].tolist()
            for at, column in enumerate(stand):
                if column < 0:
                    elements = instances.args[here, at]
                    stand[at] = -1 - numbers.setdefault(elements.tobytes(), len(outside))
                    outside += [elements] if len(numbers) > len(outside) else []
            terms.append(Term(kernel, int(model[j, 1]), tuple(stand), len(coefs)))
            coefs += [instances.coefs[here, c] for c in range(kernel.n_coefs)]
        n = len(members)
        block = self._blocks[int(members[0])]
        return [BlockClass(
            len(block.rows), size, tuple(self._own_local[places[0]].tolist()), tuple(terms), members,
            table_of(outside, n, np.int32), table_of(coefs, n, np.float64),
            np.ascontiguousarray(self._columns[places], dtype=np.int32),
            np.ascontiguousarray(self._rows[places], dtype=np.int32),
            np.ascontiguousarray(self._own[self._rows[places]], dtype=np.int32),
            self._sweeps(members),
        )]

    def _sweeps(self, members: Array) -> Array:
        """The address of the sweep table of every member, 0 without; see ``newton``."""
        addresses = np.zeros(len(members), dtype=np.int64)
        for i, b in enumerate(members.tolist()):
            block = self._blocks[b]
            levels = [self._local_of_row[rows] for rows in block.sweep]
            levels = [rows[rows < len(block.rows)] for rows in levels]
            levels = [rows for rows in levels if len(rows)]
            if levels:
                table = np.concatenate([[len(levels)], *(np.append(len(rows), rows) for rows in levels)])
                table = self._sweep_tables.setdefault(table.tobytes(), table.astype(np.int32))
                addresses[i] = table.ctypes.data
        return addresses

    # records -----------------------------------------------------------------------------------------------

    def _prepare(self, cls: BlockClass) -> None:
        members = cls.members
        record = np.zeros((len(members), BlockWord.WORDS), dtype=np.int64)
        record[:, BlockWord.ROWS_COUNT], record[:, BlockWord.SIZE] = cls.n_rows, cls.n
        record[:, BlockWord.NUMBER], record[:, BlockWord.SWEEP] = members, cls.sweeps
        local = np.array(cls.own_local, dtype=np.int32)
        cls.keep.append(local)
        record[:, BlockWord.OWN_LOCAL] = local.ctypes.data
        for word, table in ((BlockWord.COLUMNS, cls.columns), (BlockWord.ROWS, cls.rows), (BlockWord.OWN, cls.own)):
            record[:, word] = lines_of(table)
        if self._is_compiled(cls):
            self.solve[members], self.adjoint[members] = compiled(cls, record)
        else:
            self.solve[members], self.adjoint[members] = on_tape(cls, record)
        self.record[members] = record
        self.cost[members] = ITERATIONS * (100 + 30 * sum(len(t.kernel.nodes) for t in cls.terms) + cls.n**3)


    def _is_compiled(self, cls: BlockClass) -> bool:
        """Whether a class has functions of its own."""
        return cls.compiles and len(cls.members) * max(len(cls.terms), 1) >= self._compile_from

    def _make_tangents(self) -> None:
        """The functions of every class for its tangents, which few programs need."""
        for cls in self.classes:
            make = compiled_tangent if self._is_compiled(cls) else tangent_on_tape
            self.tangent[cls.members] = make(cls, self.record)
        self._has_tangents = True


@dataclass(eq=False)
class _Instances:
    """The instances inside blocks, in the order of blocks and of rows within: their block, arguments and coefficients.

    ``signature`` has a line each: the kernel's number, the row and the columns of the arguments within the block.
    """

    kernels: list[Kernel]
    block: Array
    signature: Array
    args: Array
    coefs: Array

    @staticmethod
    def of(groups: Sequence[Group], table: BlockTable) -> _Instances:
        kernels: dict[Kernel, int] = {}
        inside = [group for group in groups if _meets(group, table._block_of_row)]
        n_args = max((g.kernel.n_args for g in inside), default=0)
        n_coefs = max((g.kernel.n_coefs for g in inside), default=0)
        found: list[tuple[Array, Array, Array, Array]] = []
        for group in inside:
            rows = group.row.array().ravel()
            here = np.flatnonzero(table._block_of_row[rows] >= 0)
            block = table._block_of_row[rows[here]]
            signature = np.full((len(here), 2 + n_args), -2, dtype=np.int64)
            signature[:, 0] = kernels.setdefault(group.kernel, len(kernels))
            signature[:, 1] = table._local_of_row[rows[here]]
            own_args, own_coefs = np.zeros((len(here), n_args), dtype=np.int32), np.zeros((len(here), n_coefs))
            for j, positions in enumerate(m.array().ravel()[here] for m in group.args):
                own_args[:, j] = positions
                within = table._block_of_column[positions] == block
                signature[:, 2 + j] = np.where(within, table._local_of_column[positions], -1)
            for j, c in enumerate(group.coefs):
                own_coefs[:, j] = np.ravel(c)[here]
            found.append((block, signature, own_args, own_coefs))
        if not found:
            return _Instances([], np.empty(0, np.int64), np.empty((0, 2), np.int64), np.empty((0, 0)), np.empty((0, 0)))
        block, signature, args, coefs = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.lexsort((np.arange(len(block)), signature[:, 1], block))
        return _Instances([*kernels], block[order], signature[order], args[order], coefs[order])


def _meets(group: Group, block_of_row: Array) -> bool:
    """Whether some row of a group may be in a block; told without making anything of the group's size."""
    low, high = group.row.range()
    return bool((block_of_row[low : high + 1] >= 0).any())
