"""Derivatives with auxiliaries eliminated, at patterns fixed once: a = g(z, a), level by level, has ∂a/∂z = P.

With P̃ = [I; P] a Jacobian J of z and a becomes J P̃ and a Hessian H becomes P̃ᵀ H P̃.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..expression import Array

Places = tuple[Array, Array]
"""Rows and columns of the numbers of a sparse matrix, each place once, in the order of rows and then columns."""


class Elimination:
    """From the numbers of a matrix with rows and columns of auxiliaries to those of the matrix without.

    Columns: n that stay, then one an auxiliary; rows: m that stay, then one an auxiliary, g − a. ``levels``: the
    auxiliaries, 0, 1, …, in an order in which each needs only those of earlier levels.
    """

    def __init__(self, jacobian: Places, hessian: Places, m: int, n: int, levels: Sequence[Array]) -> None:
        self._m, self._n, self._levels = m, n, levels
        n_hidden = sum(len(level) for level in levels)
        self._shape, self._square = (m + n_hidden, n + n_hidden), (n + n_hidden, n + n_hidden)
        self._jacobian, self._hessian = jacobian, hessian
        ones = np.ones(len(jacobian[0])), np.ones(len(hessian[0]))
        self.jacobian_structure = _structure(self._jacobian_matrix(ones[0]))
        self.hessian_structure = _structure(self._hessian_matrix(*ones))

    def jacobian(self, numbers: Array) -> Array:
        """The numbers at ``jacobian_structure``."""
        return _numbers_at(self._jacobian_matrix(numbers), self.jacobian_structure)

    def hessian(self, jacobian: Array, numbers: Array) -> Array:
        """The numbers of the lower triangle at ``hessian_structure``, from those of both matrices."""
        return _numbers_at(self._hessian_matrix(jacobian, numbers), self.hessian_structure)

    def _jacobian_matrix(self, numbers: Array) -> Any:
        from scipy import sparse

        full = sparse.csr_array((numbers, self._jacobian), shape=self._shape)
        return sparse.csr_array(full[: self._m] @ self._spread(full))

    def _hessian_matrix(self, jacobian: Array, numbers: Array) -> Any:
        from scipy import sparse

        lower: Any = sparse.csr_array((numbers, self._hessian), shape=self._square)
        spread = self._spread(sparse.csr_array((jacobian, self._jacobian), shape=self._shape))
        return sparse.csr_array(sparse.tril(spread.T @ (lower + sparse.tril(lower, -1).T) @ spread))

    def _spread(self, full: Any) -> Any:
        """P̃."""
        from scipy import sparse

        hidden, n = full[self._m :], self._n
        strict = hidden[:, n:] + sparse.eye_array(self._shape[0] - self._m, format="csr")
        eliminated = _substituted(hidden[:, :n], strict, self._levels)
        return sparse.vstack([sparse.eye_array(n, format="csr"), eliminated], format="csr")


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
    from scipy import sparse

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
