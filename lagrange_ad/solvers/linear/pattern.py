"""The pattern of a square matrix, fixed once: entries are added up straight into the data of a dense or CSC matrix.

``System`` sorts by counting, never by comparing; ``Ordering`` remembers what factorisations find out about the pattern:
whether it is symmetric, and the order of columns that a first factorisation took.
"""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

DENSE = 100
"""Blocks up to this many unknowns are factored densely."""


class System:
    """A square pattern (i, j) of ``n_entries`` entries, duplicates summed, whose values come again and again.

    ``slot`` says, an entry, which number of :attr:`rows`, :attr:`columns` it is added to: sorted by column, then row.
    """

    def __init__(self, i: Array, j: Array, n: int) -> None:
        self.n, self.n_entries = n, len(i)
        order, indptr = _by_column(i, j, n)
        i, j = i[order], j[order]
        new = np.ones(len(i), dtype=bool)
        new[1:] = (i[1:] != i[:-1]) | (j[1:] != j[:-1])
        self.slot = np.empty(len(i), dtype=np.int32)
        self.slot[order] = np.cumsum(new) - 1
        self.rows, self.columns = i[new].astype(np.int32), j[new].astype(np.int32)
        self.indptr = np.append(0, np.cumsum(new))[indptr].astype(np.int32)

    @cached_property
    def template(self) -> Any:
        """A CSC matrix of the pattern: made and checked once, then copied with other data."""
        from scipy import sparse

        shape = self.n, self.n
        made: Any = sparse.csc_array((np.ones(len(self.rows)), self.rows, self.indptr), shape=shape)
        made.has_canonical_format = True
        return made

    @cached_property
    def ordering(self) -> Ordering:
        """What factorisations remember of the pattern."""
        return Ordering(self.template)

    def matrix(self, entries: Array) -> Any:
        """The matrix of the given entries: an array, or scipy.sparse CSC when large."""
        return self.of_data(sums(entries, self.slot, len(self.rows)))

    def of_data(self, data: Array) -> Any:
        """The matrix whose entries are added up already, one number a slot; 0 where nothing stands stays an entry."""
        if self.n <= DENSE:
            dense = np.zeros((self.n, self.n), dtype=data.dtype)
            dense[self.rows, self.columns] = data
            return dense
        return with_data(self.template, data)


class Ordering:
    """What factorisations of one pattern remember: its symmetry, and orders of its columns once they are found.

    In the symmetric way rows are ordered like columns, so that the diagonal stays where it is.
    """

    SYMMETRIC = 0.5
    """From this share of entries with a partner across the diagonal on, the pattern counts as symmetric."""

    def __init__(self, pattern: Any) -> None:
        self.pattern = pattern
        self.diagonal_fails = False
        """Whether pivots on the diagonal once proved too weak."""
        self._orders: dict[bool, tuple[Array, Any]] = {}
        self.memory: dict[str, Any] = {}
        """What other ways to factor keep of this pattern, by their names."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_orders": {}, "memory": {}}

    @cached_property
    def symmetry(self) -> float:
        """The share of entries (i, j) for which (j, i) is one too."""
        ones = with_data(self.pattern, np.ones(len(self.pattern.indices), dtype=np.int8))
        mirrored = ones.T.tocsc()
        if np.array_equal(mirrored.indptr, ones.indptr) and np.array_equal(mirrored.indices, ones.indices):
            return 1.0
        return float(ones.multiply(mirrored).nnz / max(1, ones.nnz))

    @cached_property
    def has_diagonal(self) -> bool:
        """Whether every place of the diagonal is an entry: in its symmetric mode SuperLU writes beyond its memory where
        it meets one that is not, and no pivot beside it."""
        n = len(self.pattern.indptr) - 1
        columns = np.repeat(np.arange(n), np.diff(self.pattern.indptr))
        return int(np.count_nonzero(self.pattern.indices == columns)) == n

    @property
    def is_symmetric(self) -> bool:
        """Whether to order for A + Aᵀ and to pivot on the diagonal."""
        return self.has_diagonal and self.symmetry >= self.SYMMETRIC and not self.diagonal_fails

    def take(self, perm_c: Array, symmetric: bool) -> None:
        """Remember an order of columns as SuperLU gives it: column j goes to place perm_c[j]."""
        order = np.empty(len(perm_c), dtype=np.int32)
        order[perm_c] = np.arange(len(perm_c), dtype=np.int32)
        numbered = with_data(self.pattern, np.arange(len(self.pattern.indices), dtype=np.int32))[:, order]
        if symmetric:
            numbered = numbered.tocsr()[order].tocsc()
        numbered.sort_indices()
        self._orders[symmetric] = order, numbered

    def known(self, symmetric: bool) -> bool:
        """Whether an order is remembered."""
        return symmetric in self._orders

    def ordered(self, data: Array, symmetric: bool) -> tuple[Array, Any]:
        """The remembered order, and the matrix of ``data`` in it."""
        order, numbered = self._orders[symmetric]
        return order, with_data(numbered, data[numbered.data])


def with_data(matrix: Any, data: Array) -> Any:
    """A CSC matrix of the same pattern, which it shares, with other entries."""
    made = copy.copy(matrix)
    made.data = data
    return made


def _by_column(i: Array, j: Array, n: int) -> tuple[Array, Array]:
    """The entries sorted by column and row: an order (those of one place stay as they come), where columns begin."""
    from scipy import sparse

    entries: Any = sparse.coo_array((np.arange(len(i), dtype=np.int64), (i, j)), shape=(n, n))
    entries.has_canonical_format = True  # so that conversion counts and sorts, and adds nothing up
    by_column = entries.tocsr().tocsc()
    return by_column.data, by_column.indptr


def sums(entries: Array, slot: Array, size: int) -> Array:
    """Entries added up by slot."""
    if np.isrealobj(entries):
        return np.bincount(slot, weights=entries, minlength=size)
    return np.bincount(slot, entries.real, size) + 1j * np.bincount(slot, entries.imag, size)
