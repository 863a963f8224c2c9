"""The layout of the flat state z and of the rows: every named block is a slice, auxiliaries stand at the end.

State elements ("columns") and equation elements ("rows") are two index spaces. The layout translates both ways
between them and the user's names.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..expression import Array, Shape, Symbol


class Slices(Mapping[str, slice]):
    """The slice of every block by name, made when asked for: 10^5 of them would take megabytes."""

    def __init__(self, names: Sequence[str], starts: list[int]) -> None:
        self.number, self._starts = {name: i for i, name in enumerate(names)}, starts

    def __getitem__(self, name: str) -> slice:
        block = self.number[name]
        return slice(self._starts[block], self._starts[block + 1])

    def __iter__(self) -> Iterator[str]:
        return iter(self.number)

    def __len__(self) -> int:
        return len(self.number)


class Blocks:
    """Contiguous named blocks of one index space, in order.

    ``start`` has one offset a block and the total size at its end; ``labels`` of a block name its first axis.
    """

    def __init__(self, names: Sequence[str], shapes: Sequence[Shape], labels: Sequence[list[Any] | None]) -> None:
        self.names, self.shapes, self.labels = list(names), list(shapes), list(labels)
        sizes = [int(np.prod(shape)) if shape else 1 for shape in shapes]
        self.start = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)
        self._starts: list[int] = self.start.tolist()

    @cached_property
    def slices(self) -> Slices:
        """The slice of every block by name."""
        return Slices(self.names, self._starts)

    def flags(self, of_blocks: Sequence[bool]) -> Array:
        """A truth value a block as one an element."""
        return np.repeat(np.asarray(of_blocks, dtype=bool), np.diff(self.start))

    def head(self, count: int) -> Blocks:
        """The first so many blocks."""
        return Blocks(self.names[:count], self.shapes[:count], self.labels[:count])

    def then(self, others: Blocks) -> Blocks:
        """These blocks, then others."""
        return Blocks([*self.names, *others.names], [*self.shapes, *others.shapes], [*self.labels, *others.labels])

    @property
    def size(self) -> int:
        """Number of elements of all blocks."""
        return self._starts[-1]

    def block_of(self, index: int) -> int:
        """The number of the block that holds an element (an empty block holds none)."""
        return bisect_right(self._starts, index) - 1

    def element(self, index: int) -> str:
        """The user's name of one element: ``y1``, ``v[3]``, ``v[bus_7]``, ``w[1, 2]``."""
        block = self.block_of(int(index))
        shape = self.shapes[block]
        if not shape:
            return self.names[block]
        parts: list[Any] = [int(i) for i in np.unravel_index(int(index) - self._starts[block], shape)]
        labels = self.labels[block]
        if labels is not None:
            parts[0] = labels[parts[0]]
        return f"{self.names[block]}[{', '.join(str(part) for part in parts)}]"

    def position(self, name: str) -> int | None:
        """The element that goes by a name as :meth:`element` writes it; its first part may be a label or a number."""
        base, bracket, rest = name.partition("[")
        number = self.slices.number.get(base.strip())
        if not bracket or not rest.endswith("]") or number is None:
            return None
        parts, shape, labels = [part.strip() for part in rest[:-1].split(",")], self.shapes[number], self.labels[number]
        if labels is not None and parts[0] in (names := [str(label) for label in labels]):
            parts[0] = str(names.index(parts[0]))
        try:
            index = tuple(int(part) for part in parts)
        except ValueError:
            return None
        if len(index) != len(shape) or not all(-n <= i < n for i, n in zip(index, shape, strict=True)):
            return None
        inside = np.ravel_multi_index([i % n for i, n in zip(index, shape, strict=True)], shape) if shape else 0
        return self._starts[number] + int(inside)

    def split(self, flat: Array, names: Sequence[str]) -> dict[str, Array]:
        """The named blocks of a flat array, each in its shape (views)."""
        return {name: self.get(flat, name) for name in names}

    def get(self, flat: Array, name: str) -> Array:
        """One named block of a flat array, in its shape (a view)."""
        return flat[self.slices[name]].reshape(self.shapes[self.slices.number[name]])


def state_blocks(symbols: Mapping[str, Symbol], auxiliaries: Sequence[Symbol]) -> Blocks:
    """The state: the declared symbols in order, then the auxiliaries."""
    every = [*symbols.values(), *auxiliaries]
    return Blocks([s.name for s in every], [s.shape for s in every], [s.labels for s in every])
