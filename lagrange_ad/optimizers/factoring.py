"""Large sparse symmetric matrices factored without leaving the diagonal: KKT matrices keep their sparsity that way.

A small diagonal ±δ is added, which makes every order of pivots possible (quasi-definite matrices); solves are refined
against the matrix without it. M. Friedlander, D. Orban (2012); R. Vanderbei (1995).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..solvers import NotSolvedError, SingularMatrixError
from .problem import Array

REFINEMENTS = 20
ACCURATE = 1e-13
"""Refinement ends where what is left is this part of the right side."""
ENOUGH = 1e-9
"""A solve that leaves more than this is none."""


def with_diagonal(matrix: Any) -> Any:
    """The matrix, CSC, with every place of the diagonal stored: without one, SuperLU's symmetric mode writes beyond its
    memory where it finds no pivot."""
    from scipy import sparse

    entries, place = sparse.coo_array(matrix), np.arange(matrix.shape[0])
    rows, columns = (np.concatenate([part, place]) for part in (entries.row, entries.col))
    return sparse.csc_array((np.concatenate([entries.data, np.zeros(len(place))]), (rows, columns)), matrix.shape)


def on_diagonal(matrix: Any) -> tuple[Any, bool]:
    """SuperLU's factors of a symmetric sparse matrix without pivoting, L D Lᵀ, and whether it kept to the diagonal.

    Then the signs of D are those of the eigenvalues (J. Sylvester). Raises SingularMatrixError where the matrix is
    exactly singular.
    """
    from scipy.sparse.linalg import splu

    try:
        factors = splu(with_diagonal(matrix), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
                       options={"SymmetricMode": True})
    except RuntimeError:
        raise SingularMatrixError("the KKT matrix is singular") from None
    return factors, bool((factors.perm_r == factors.perm_c).all())


class Symmetric:
    """A symmetric CSC matrix, factored with ``added`` (n,) on its diagonal by :func:`on_diagonal`.

    ``negative``: how many pivots are < 0, as many as the matrix with the diagonal has negative eigenvalues. Raises
    SingularMatrixError where a pivot vanishes or factors are too inexact.
    """

    def __init__(self, matrix: Any, added: Array) -> None:
        from scipy import sparse

        self.matrix: Any = matrix
        whole = sparse.csc_array(matrix + sparse.diags_array(added))
        self._lu, kept = on_diagonal(whole)
        if not kept:
            raise SingularMatrixError("a pivot of the KKT matrix is 0")
        b = np.cos(2.4 * np.arange(whole.shape[0])) + 1.5
        x = self._lu.solve(b)
        if not np.abs(whole @ x - b).max() <= 1e-6 * (1.0 + np.abs(x).max()):
            raise SingularMatrixError("the pivots of the KKT matrix are too small")
        self.negative = int((self._lu.U.diagonal() < 0.0).sum())

    def solve(self, b: Array) -> Array:
        """x with (matrix with its diagonal) x = b, by the factors alone."""
        return np.asarray(self._lu.solve(b))

    def refined(self, b: Array) -> Array:
        """x with matrix·x = b, ``b`` (n,) or (n, k). Raises NotSolvedError where refinement does not get there."""
        size = np.abs(b).max(axis=0)
        size = np.where(size > 0.0, size, 1.0)
        x = np.zeros_like(b)
        best, left = np.inf, b
        for _ in range(REFINEMENTS):
            x_new = x + self._lu.solve(left)
            left = b - self.matrix @ x_new
            now = float((np.abs(left).max(axis=0) / size).max(initial=0.0))
            if not now < best:
                break
            x, enough, best = x_new, now > 0.5 * best, now
            if now <= ACCURATE or (enough and now <= ENOUGH):
                break
        if not best <= ENOUGH:
            raise NotSolvedError("the KKT matrix is nearly singular")
        return x


def equilibrated(matrix: Any) -> Array:
    """Powers of two D for which the entries of D A D, A a symmetric CSC matrix, are at most about 1 in every row."""
    d = np.ones(matrix.shape[0])
    size = abs(matrix).tocsr()
    rows = np.repeat(np.arange(len(d)), np.diff(size.indptr))
    for _ in range(5):
        largest = np.zeros(len(d))
        np.maximum.at(largest, rows, size.data * d[rows] * d[size.indices])
        d = d / np.sqrt(np.where(largest > 0.0, largest, 1.0))
    return np.asarray(np.ldexp(1.0, np.round(np.log2(d)).astype(int)))
