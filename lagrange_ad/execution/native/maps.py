"""A group's box and index maps as compiled code wants them: few axes, the best one innermost, records of numbers.

Axes of one instance are dropped, axes that every map walks through evenly are joined, and the innermost axis is one
that is long and that most maps walk along one by one: there the vectors are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...expression import Array
from ...lowering import Group, IndexMap

LONG = 16
"""From this length on, an innermost axis is worth its vectors whatever its strides."""
Mode = str
"""How a map moves along the innermost axis: ``c`` not at all, ``u`` one by one, ``s`` by a stride, ``t`` by a table."""


@dataclass(frozen=True)
class Member:
    """How one group of a box moves: the numbers of its arguments among the box's maps, then numbers and modes of its
    row, its coefficients, and of where an instance writes among the group's entries (in the group's own order)."""

    args: tuple[int, ...]
    row: tuple[int, Mode]
    coefs: tuple[tuple[int, Mode], ...]
    entry: tuple[int, Mode]


@dataclass(frozen=True, eq=False)
class Box:
    """Groups of one shape, their axes arranged alike; maps that several have are there once.

    ``args`` are the modes of the arguments' maps, which come first; ``targets`` are numbers and modes of further maps,
    of where results go; ``record`` is in the order of :class:`Slots`, and ``arrays`` keeps alive what it points to.
    """

    shape: tuple[int, ...]
    args: tuple[Mode, ...]
    members: tuple[Member, ...]
    record: list[int]
    arrays: list[Array]
    targets: tuple[tuple[int, Mode], ...] = ()

    @property
    def key(self) -> Any:
        """What a compiled loop depends on."""
        return len(self.shape), self.args, self.members, self.targets

    def first_entry(self, member: int) -> int:
        """Where the record says which entry is the first of a group."""
        return Slots(len(self.shape)).base(self.members[member].entry[0])


class Slots:
    """Where a record of a box has what: sizes first, then for each map an offset or address and its strides."""

    def __init__(self, axes: int) -> None:
        self.axes = axes

    def size(self, axis: int) -> int:
        """The length of an axis."""
        return axis

    def base(self, number: int) -> int:
        """The offset of a map, or the address of a table or of coefficients."""
        return self.axes + number * (1 + self.axes)

    def stride(self, number: int, axis: int) -> int:
        """The stride of a map along an axis, in elements."""
        return self.base(number) + 1 + axis


def map_key(positions: IndexMap) -> Any:
    """Equal for maps of one shape that say the same."""
    if positions.table is None:
        return positions.offset, positions.strides
    return np.ascontiguousarray(positions.table).tobytes()


def box_of(groups: Sequence[Group], targets: Sequence[IndexMap] = ()) -> Box:
    """Arrange groups of one shape, and further maps of that shape."""
    maps: list[_Walk] = []
    number: dict[Any, int] = {}
    for group in groups:
        for m in group.args:
            if number.setdefault(map_key(m), len(maps)) == len(maps):
                maps.append(_Walk.of_map(m))
    n_args = len(maps)
    placed = []
    for group in groups:
        first = len(maps)
        maps += [_Walk.of_map(group.row), *(_Walk.of_coefficients(c) for c in group.coefs)]
        maps.append(_Walk(0, _contiguous(group.shape), None, None))
        placed.append(([number[map_key(m)] for m in group.args], first, len(maps) - 1))
    n_maps = len(maps)
    maps += [_Walk.of_map(target) for target in targets]
    shape = _arrange(list(groups[0].shape), maps)
    size = int(np.prod(shape, dtype=np.int64))
    record, modes = list(shape), list[Mode]()
    arrays: list[Array] = []
    for walk in maps:
        base, strides = walk.finished(tuple(shape), size, arrays)
        record += [base, *strides]
        modes.append(walk.mode(shape))
    members = []
    for args, row, entry in placed:
        coefs = tuple((i, modes[i]) for i in range(row + 1, entry))
        members.append(Member(tuple(args), (row, modes[row]), coefs, (entry, modes[entry])))
    where = tuple((i, modes[i]) for i in range(n_maps, len(maps)))
    return Box(tuple(shape), tuple(modes[:n_args]), tuple(members), record, arrays, where)


class _Walk:
    """How one map (or one coefficient) moves over the box: strides, or a table of its shape."""

    def __init__(self, offset: int, strides: list[int] | None, table: Array | None, values: Array | None) -> None:
        self.offset, self.strides, self.table, self.values = offset, strides, table, values

    @staticmethod
    def of_map(positions: IndexMap) -> _Walk:
        strides = None if positions.strides is None else list(positions.strides)
        return _Walk(positions.offset, strides, positions.table, None)

    @staticmethod
    def of_coefficients(values: Array) -> _Walk:
        kept = values[tuple(slice(0, 1) if step == 0 else slice(None) for step in values.strides)]
        kept = np.ascontiguousarray(kept, dtype=np.float64)
        strides = [step // 8 if n > 1 else 0 for n, step in zip(kept.shape, kept.strides, strict=True)]
        return _Walk(0, strides, None, kept)

    def step(self, axis: int) -> int | None:
        return None if self.strides is None else self.strides[axis]

    def mode(self, shape: list[int]) -> Mode:
        if self.strides is None:
            return "t"
        step = self.strides[-1] if shape else 0
        return {0: "c", 1: "u"}.get(step, "s")

    def reorder(self, order: list[int]) -> None:
        if self.strides is not None:
            self.strides = [self.strides[a] for a in order]
        elif self.table is not None:
            self.table = self.table.transpose(order)

    def finished(self, shape: tuple[int, ...], size: int, arrays: list[Array]) -> tuple[int, list[int]]:
        if self.values is not None:
            arrays.append(self.values)
            return self.values.ctypes.data, self.strides or []
        if self.strides is not None:
            return self.offset, self.strides
        assert self.table is not None
        table = np.ascontiguousarray(self.table.reshape(shape), dtype=np.int32)
        arrays.append(table)
        return table.ctypes.data, _contiguous(shape)


def _contiguous(shape: tuple[int, ...]) -> list[int]:
    """The strides of an array in C order, in elements."""
    return [int(np.prod(shape[a + 1 :], dtype=np.int64)) for a in range(len(shape))]


def _arrange(shape: list[int], maps: list[_Walk]) -> list[int]:
    """Put the axes in order and join those that can be; changes the maps."""
    order = [a for a, n in enumerate(shape) if n != 1]
    if order:
        inner = max(order, key=lambda a: (min(shape[a], LONG), sum(m.step(a) in (0, 1) for m in maps), a))
        order = [a for a in order if a != inner] + [inner]
    dropped = [a for a, n in enumerate(shape) if n == 1]
    for walk in maps:
        walk.reorder(dropped + order)
        if walk.strides is not None:
            walk.strides = walk.strides[len(dropped) :]
        elif walk.table is not None:
            walk.table = walk.table.reshape([shape[a] for a in order])
    result = [shape[a] for a in order] or [1]
    if not order:
        for walk in maps:
            walk.strides = None if walk.strides is None else [0]
            walk.table = None if walk.table is None else walk.table.reshape(1)
    axis = len(result) - 2
    while axis >= 0:
        n = result[axis + 1]
        if all(m.strides is None or m.strides[axis] == m.strides[axis + 1] * n for m in maps):
            for walk in maps:
                if walk.strides is not None:
                    del walk.strides[axis]
            result[axis : axis + 2] = [result[axis] * n]
        axis -= 1
    return result
