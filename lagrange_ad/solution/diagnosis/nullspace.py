"""How nearly singular a matrix is, in scaled terms, and which combinations of its rows and columns almost vanish.

Rows and columns are first brought to like sizes, so that bad scaling is not taken for singularity (R. Sinkhorn and
P. Knopp, Concerning nonnegative matrices and doubly stochastic matrices, 1967). Dense matrices by singular values,
large sparse ones by inverse iteration on AᵀA with their factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...expression import Array
from ...solvers import Factor, Model

DENSE_LIMIT = 1000
"""Up to so many rows all singular values are computed."""
MOST_VECTORS = 3
"""So many combinations are looked for."""
SCALINGS, EVEN = 50, 0.1
"""Most rounds of scaling, and how far from 1 the sums of columns may stay."""
ROUNDS = 5
"""Rounds of inverse iteration."""
SHIFT = 1e-13
"""Added to the diagonal of a scaled matrix that cannot be factored."""


@dataclass(frozen=True, eq=False)
class NearNull:
    """The smallest singular values of a scaled matrix (k,), relative to the largest, the smallest first.

    ``left`` (n, k) are combinations of the scaled rows, ``right`` (n, k) of the scaled columns, that come out as small.
    ``row_scale``, ``column_scale`` (n,): what row i and column j of the matrix were multiplied by.
    """

    ratios: Array
    left: Array
    right: Array
    row_scale: Array
    column_scale: Array

    @property
    def condition(self) -> float:
        """The largest singular value over the smallest."""
        return float(1.0 / self.ratios[0]) if self.ratios[0] > 0.0 else float("inf")

    def below(self, limit: float) -> NearNull:
        """Those with ratios of at most a limit, in a basis that names few rows and columns."""
        k = int((self.ratios <= limit).sum())
        return NearNull(self.ratios[:k], _localised(self.left[:, :k]), _localised(self.right[:, :k]),
                        self.row_scale, self.column_scale)


def near_null(model: Model, factor: Factor | None = None) -> NearNull | None:
    """The smallest singular values and vectors of dr/dx of a block; None where entries are not finite.

    ``factor`` of the matrix, or of one near to it, saves that of a large one.
    """
    matrix, n = model.matrix, model.n
    if matrix.shape[0] <= DENSE_LIMIT:
        reduced = np.asarray(model.reduced if isinstance(model.reduced, np.ndarray) else model.reduced.toarray())
        if not np.isfinite(reduced).all():
            return None
        scaled, row, column = equilibrated(reduced)
        u, s, vt = np.linalg.svd(scaled)
        ratios = s[::-1] / s[0] if s[0] > 0.0 else np.zeros(n)
        return NearNull(ratios[:MOST_VECTORS], u[:, ::-1][:, :MOST_VECTORS], vt[::-1][:MOST_VECTORS].T, row, column)
    if not np.isfinite(matrix.data).all():
        return None
    scaled, row, column = equilibrated(matrix)
    solve = _Scaled(factor, row, column) if factor is not None else _factored(scaled)
    ratios, left, right = _inverse_iteration(scaled, solve)
    return NearNull(ratios, left[:n], right[:n], row[:n], column[:n])


def equilibrated(matrix: Any) -> tuple[Any, Array, Array]:
    """(D A E, D, E) with the entries of every row and column near 1 in sum; D and E as their diagonals.

    For the matrix of a block, which no ordering makes triangular, there is one such D A E, whatever units its rows and
    columns came in.
    """
    from scipy import sparse

    row, column = np.ones(matrix.shape[0]), np.ones(matrix.shape[1])
    size = abs(matrix)
    for _ in range(SCALINGS):
        row = _reciprocal(size @ column)
        sums = column * (size.T @ row)
        column = column * _reciprocal(sums)
        if np.abs(sums - 1.0).max(initial=0.0) < EVEN:
            break
    if isinstance(matrix, np.ndarray):
        return row[:, None] * matrix * column, row, column
    return (sparse.diags_array(row) @ matrix @ sparse.diags_array(column)).tocsc(), row, column


def _reciprocal(sums: Array) -> Array:
    return np.asarray(1.0 / np.where(sums > 0.0, sums, 1.0))


class _Scaled:
    """Solves with D A E by the factors of A."""

    def __init__(self, factor: Factor, row: Array, column: Array) -> None:
        self._factor, self._row, self._column = factor, row[:, None], column[:, None]

    def solve(self, b: Array, trans: str = "N") -> Array:
        """x with D A E x = b, or its transpose."""
        if trans == "T":
            return self._factor.solve(b / self._column, transposed=True) / self._row
        return self._factor.solve(b / self._row) / self._column


def _inverse_iteration(matrix: Any, lu: Any) -> tuple[Array, Array, Array]:
    """(ratios, left, right) of the smallest singular values: V ← basis of (AᵀA)⁻¹ V, then A⁻ᵀ V = U Σ⁻¹ R."""
    v = np.random.default_rng(0).standard_normal((matrix.shape[0], MOST_VECTORS))
    for _ in range(ROUNDS):
        v = np.linalg.qr(lu.solve(np.linalg.qr(lu.solve(v, "T"))[0]))[0]
    u, _, rotation = np.linalg.svd(lu.solve(v, "T"), full_matrices=False)
    v = v @ rotation.T
    largest = np.sqrt(abs(matrix).sum(axis=0).max() * abs(matrix).sum(axis=1).max())  # at least the largest
    ratios = np.linalg.norm(matrix @ v, axis=0) / largest
    order = np.argsort(ratios)
    return ratios[order], u[:, order], v[:, order]


def _factored(matrix: Any) -> Any:
    from scipy import sparse
    from scipy.sparse.linalg import splu

    try:
        return splu(matrix)
    except RuntimeError:
        signs = np.where(np.arange(matrix.shape[0]) % 2, 1.0, -1.0) * (1.0 + np.arange(matrix.shape[0]) % 7)
        return splu((matrix + SHIFT * sparse.diags_array(signs)).tocsc())


def _localised(vectors: Array) -> Array:
    """The same space by vectors of unit length with a 0 where each of the others is largest."""
    if vectors.shape[1] < 2:
        return vectors
    from scipy.linalg import qr

    pivots = qr(vectors.T, mode="r", pivoting=True)[1][: vectors.shape[1]]
    made = vectors @ np.linalg.inv(vectors[pivots])
    return np.asarray(made / np.linalg.norm(made, axis=0))
