"""Derivatives with auxiliaries eliminated, at patterns fixed once: a = g(z, a), level by level, has ∂a/∂z = P.

With P̃ = [I; P] a Jacobian J of z and a becomes J P̃ and a Hessian H becomes P̃ᵀ H P̃.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from ..expression import Array

Places = tuple[Array, Array]
"""Rows and columns of the numbers of a sparse matrix, each place once, in the order of rows and then columns."""


class Elimination:
    """From the numbers of a matrix with rows and columns of auxiliaries to those of the matrix without.

    Columns: n that stay, then one an auxiliary; rows: m that stay, then one an auxiliary, g − a. ``levels``: the
    auxiliaries, 0, 1, …, in an order in which each needs only those of earlier levels. ``compiled``: whether real
    numbers are computed by compiled code.
    """

    def __init__(self, jacobian: Places, hessian: Places, m: int, n: int, levels: Sequence[Array],
                 compiled: bool) -> None:
        self._m, self._n, self._levels, self._is_compiled = m, n, levels, compiled
        n_hidden = sum(len(level) for level in levels)
        self._shape, self._square = (m + n_hidden, n + n_hidden), (n + n_hidden, n + n_hidden)
        self._jacobian, self._hessian = jacobian, hessian
        ones = np.ones(len(jacobian[0])), np.ones(len(hessian[0]))
        self.jacobian_structure = _structure(self._jacobian_matrix(ones[0]))
        self.hessian_structure = _structure(self._hessian_matrix(*ones))

    def jacobian(self, numbers: Array) -> Array:
        """The numbers at ``jacobian_structure``."""
        if self._is_compiled and numbers.dtype == np.float64:
            return self._compiled.jacobian(numbers)
        return _numbers_at(self._jacobian_matrix(numbers), self.jacobian_structure)

    def hessian(self, jacobian: Array, numbers: Array) -> Array:
        """The numbers of the lower triangle at ``hessian_structure``, from those of both matrices."""
        if self._is_compiled and jacobian.dtype == numbers.dtype == np.float64:
            return self._compiled.hessian(jacobian, numbers)
        return _numbers_at(self._hessian_matrix(jacobian, numbers), self.hessian_structure)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_compiled"}

    @cached_property
    def _compiled(self) -> _Compiled:
        return _Compiled(self)

    def _jacobian_matrix(self, numbers: Array) -> Any:
        return sparse.csr_array(self.rows(numbers)[: self._m] @ self.spread(numbers))

    def _hessian_matrix(self, jacobian: Array, numbers: Array) -> Any:
        spread = self.spread(jacobian)
        return sparse.csr_array(sparse.tril(spread.T @ self.symmetric(numbers) @ spread))

    def rows(self, numbers: Array) -> Any:
        """The Jacobian with auxiliaries, CSR."""
        return sparse.csr_array((numbers, self._jacobian), shape=self._shape)

    def symmetric(self, numbers: Array) -> Any:
        """The Hessian with auxiliaries, CSR, both triangles."""
        rows, columns = self._hessian
        off = np.flatnonzero(rows != columns)
        places = np.concatenate([rows, columns[off]]), np.concatenate([columns, rows[off]])
        return sparse.csr_array((np.concatenate([numbers, numbers[off]]), places), shape=self._square)

    def spread(self, numbers: Array) -> Any:
        """P̃, CSR, from the numbers of the Jacobian."""
        hidden, n = self.rows(numbers)[self._m :], self._n
        eliminated = _substituted(hidden[:, :n], hidden[:, n:], self._levels)
        return sparse.csr_array(sparse.vstack([sparse.eye_array(n, format="csr"), eliminated], format="csr"))

    @property
    def sizes(self) -> tuple[int, int, Array]:
        """m, n, and the auxiliaries in order."""
        return self._m, self._n, np.concatenate(self._levels)


class _Compiled:
    """The same by compiled products. One array has the numbers of J, H, P̃, H P̃, then of both results."""

    def __init__(self, of: Elimination) -> None:
        from ..execution.native.products import Product, Products, Rows

        m, n, order = of.sizes
        n_j, n_h = len(of._jacobian[0]), len(of._hessian[0])
        self._at = 0

        def numbered(matrix: Any) -> Rows:
            """A matrix whose numbers get the next places."""
            matrix.sort_indices()
            first, self._at = self._at, self._at + matrix.nnz
            return Rows(matrix.indptr, matrix.indices, np.arange(first, self._at))

        def placed(matrix: Any) -> Rows:
            """A matrix of the places of its numbers."""
            return Rows(matrix.indptr, matrix.indices, matrix.data)

        ones = np.ones(n_j)
        spread, symmetric = of.spread(ones), of.symmetric(np.ones(n_h))
        self._at = n_j + n_h
        p = numbered(spread)
        t = numbered(sparse.csr_array(symmetric @ spread))
        self._found = self._at
        jacobian = numbered(_pattern(of.jacobian_structure, (m, n)))
        self._between = self._at
        hessian = numbered(_pattern(of.hessian_structure, (n, n)))
        self._size = self._at
        rows = of.rows(np.arange(n_j))
        hidden = placed(rows[m:])
        below = np.zeros(n, dtype=hidden.indptr.dtype)
        keep = hidden.columns != n + np.repeat(np.arange(len(order)), np.diff(hidden.indptr))  # not the −1
        begins = np.concatenate([[0], np.cumsum(keep)])[hidden.indptr]
        hidden = Rows(np.concatenate([below, begins]), hidden.columns[keep], hidden.place[keep])
        transposed = sparse.csr_array(sparse.csr_array((p.place, p.columns, p.indptr), shape=spread.shape).T)
        spreading = Product(n + order, hidden, p, p)
        places = of.symmetric(n_j + np.arange(n_h))
        self._sizes, self._ones = (n_j, n_h), p.place[:n]
        self._jacobian = Products([spreading, Product(np.arange(m), placed(rows[:m]), p, jacobian)], self._size)
        self._hessian = Products([spreading, Product(np.arange(spread.shape[0]), placed(places), p, t),
                                  Product(np.arange(n), placed(transposed), t, hessian, lower=True)], self._size)
        self._free: list[Array] = []

    def _memory(self) -> Array:
        try:
            return self._free.pop()
        except IndexError:
            memory = np.zeros(self._size + len(self._ones))  # dense rows stand behind
            memory[self._ones] = 1.0
            return memory

    def jacobian(self, numbers: Array) -> Array:
        """The numbers of J P̃."""
        memory = self._memory()
        memory[: self._sizes[0]] = numbers
        self._jacobian.run(memory)
        found = memory[self._found : self._between].copy()
        self._free.append(memory)
        return found

    def hessian(self, jacobian: Array, numbers: Array) -> Array:
        """The numbers of the lower triangle of P̃ᵀ H P̃."""
        memory, n_j = self._memory(), self._sizes[0]
        memory[:n_j], memory[n_j : n_j + self._sizes[1]] = jacobian, numbers
        self._hessian.run(memory)
        found = memory[self._between : self._size].copy()
        self._free.append(memory)
        return found


def _pattern(places: Places, shape: tuple[int, int]) -> Any:
    return sparse.csr_array((np.ones(len(places[0])), places), shape=shape)


def _structure(matrix: Any) -> Places:
    """The places of a matrix's numbers."""
    matrix.sum_duplicates()
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))
    return rows, matrix.indices.astype(np.int32)


def _numbers_at(matrix: Any, places: Places) -> Array:
    """A matrix's numbers at some places that cover them."""
    matrix.sum_duplicates()
    width, (rows, columns) = matrix.shape[1], _structure(matrix)
    out = np.zeros(len(places[0]), dtype=matrix.dtype)
    keys = places[0].astype(np.int64) * width + places[1]
    out[np.searchsorted(keys, rows.astype(np.int64) * width + columns)] = matrix.data
    return out


def _substituted(on_user: Any, on_hidden: Any, levels: Sequence[Array]) -> Any:
    """The X with X = on_user + on_hidden X: each level of rows from the levels before it, in CSR memory that grows."""
    order = np.concatenate(levels)
    on_user, on_hidden = on_user[order], on_hidden[order][:, order]
    n, width = on_user.shape
    indptr = np.zeros(n + 1, dtype=np.int64)
    found = [np.empty(on_user.nnz + 64, dtype=x.dtype) for x in (on_user.data, on_user.indices)]
    begin = 0
    for rows in levels:
        end = begin + len(rows)
        before = sparse.csr_array((*(x[: indptr[begin]] for x in found), indptr[: begin + 1]), shape=(begin, width))
        level = sparse.csr_array(on_user[begin:end] + on_hidden[begin:end, :begin] @ before)
        indptr[begin + 1 : end + 1] = indptr[begin] + level.indptr[1:]
        for i, new in enumerate((level.data, level.indices)):
            if indptr[end] > len(found[i]):
                found[i] = np.resize(found[i], 2 * indptr[end])
            found[i][indptr[begin] : indptr[end]] = new
        begin = end
    total = sparse.csr_array((*(x[: indptr[n]] for x in found), indptr), shape=(n, width))
    back = np.empty(n, dtype=np.int64)
    back[order] = np.arange(n)
    return total[back]
