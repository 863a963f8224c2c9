"""Groups as flat columns, for work on index arrays: which instances read which elements and add to which rows.

Takes groups; gives :class:`Flat`, the same instances with their positions as integer arrays, and back to groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..expression import Array, Shape
from .external import ExternalKernel
from .grouping import Group, IndexMap
from .kernel import Builder, Kernel, KernelNode

CONTRACTION = 1 << 12
"""A product that is summed over an axis of a box with so many instances or more stays in one piece."""
_LEAVES = ("arg", "coef", "const")


@dataclass(frozen=True, eq=False)
class Flat:
    """Instances of one kernel: ``args`` (n_args, n) state elements, ``coefs`` one array (n,) each, ``row`` (n,).

    ``shape``: the box whose instances these are in C order, None where it was cut up. ``group``: what it was made of.
    """

    kernel: Kernel
    args: Array
    coefs: tuple[Array, ...]
    row: Array
    shape: Shape | None = None
    group: Group | None = None

    @staticmethod
    def of(group: Group) -> Flat:
        """The instances of a group."""
        args = [arg.array().ravel() for arg in group.args]
        columns = np.stack(args) if args else np.empty((0, group.size), dtype=np.int64)
        coefs = tuple(_column(c, group.size) for c in group.coefs)
        return Flat(group.kernel, columns, coefs, group.row.array().ravel(), group.shape, group)

    @property
    def size(self) -> int:
        """Number of instances."""
        return len(self.row)

    @cached_property
    def n_operations(self) -> int:
        """Elementary operations of an instance."""
        return self.kernel.n_operations

    def pick(self, instances: Array) -> Flat:
        """Some of the instances (numbers, or a truth value each)."""
        return Flat(self.kernel, self.args[:, instances], tuple(c[instances] for c in self.coefs), self.row[instances])

    def at(self, rows: Array) -> Flat:
        """The same instances, added to other rows."""
        return replace(self, row=rows, shape=None, group=None)


def _column(coefficients: Array, size: int) -> Array:
    """Coefficients as one array (size,); one number for all stays a broadcast view."""
    if coefficients.size and not any(coefficients.strides):
        return np.broadcast_to(coefficients.flat[0], (size,))
    return coefficients.ravel()


def stays_whole(group: Group) -> bool:
    """Whether a group is not to be looked into: a user's function, or a large product for BLAS."""
    if isinstance(group.kernel, ExternalKernel):
        return True
    summed = group.row.strides is not None and any(
        step == 0 and n > 1 for step, n in zip(group.row.strides, group.shape, strict=True))
    return summed and group.size >= CONTRACTION and group.kernel.is_product()


def positions(index: IndexMap) -> Array:
    """The positions of a map, each at least once: axes along which an affine one does not move count one."""
    if index.strides is None:
        return index.array()
    shape = tuple(1 if step == 0 else n for n, step in zip(index.shape, index.strides, strict=True))
    return IndexMap(shape, index.offset, index.strides, None).array() if 0 not in index.shape else np.empty(0, np.int64)


def load(builder: Builder, kernel: Kernel, args: Sequence[int], coefs: Sequence[int]) -> int:
    """Put a kernel of one output into a builder as it is; where its arguments and coefficients stand there is given."""
    placed: list[int] = []
    for node in kernel.nodes:
        placed.append(_loaded(builder, node, placed, args, coefs))
    return placed[kernel.outputs[0]]


def as_it_is(builder: Builder, kernel: Kernel) -> int:
    """Put a kernel into a new builder, its arguments and coefficients as they are numbered."""
    args, coefs = ([builder.raw((leaf, i)) for i in range(n)]
                   for leaf, n in (("arg", kernel.n_args), ("coef", kernel.n_coefs)))
    return load(builder, kernel, args, coefs)


def _loaded(builder: Builder, node: KernelNode, placed: list[int], args: Sequence[int], coefs: Sequence[int]) -> int:
    name, *operands = node
    if name == "arg":
        return args[operands[0]]
    if name == "coef":
        return coefs[operands[0]]
    return builder.raw(node if name in _LEAVES else (name, *(placed[i] for i in operands)))


def codes(columns: Array) -> Array:
    """A number (n,) for every column of an integer matrix (m, n), equal where columns are; from 0 on, all of them used.

    Row by row, as most rows hold one number throughout.
    """
    found = np.zeros(columns.shape[1], dtype=np.int64)
    for row in columns:
        low, high = int(row.min()), int(row.max())
        if low < high:
            found = np.unique(found * (high - low + 1) + (row - low), return_inverse=True)[1].ravel()
    return found


def numbered(chosen: Array, n: int) -> Array:
    """The place of each of n numbers among the chosen ones, −1 for others."""
    place = np.full(n, -1, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    return place
