"""Linear algebra of the active constraints: their Jacobian by the free variables, least squares, null spaces, and the
factored KKT matrix.

Takes a Point (kkt.py) and its ActiveSet (active.py); variables that are at a bound are taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from ..solvers import Factor, SingularMatrixError
from .active import ActiveSet
from .factoring import Symmetric, equilibrated
from .kkt import Point
from .problem import Array

SMALL = 500
"""Matrices whose shorter side is not more than this are treated densely."""
DENSE = 2000
"""The same of matrices that are not sparse."""
FILLED = 0.1
"""Matrices with more than this part of their entries are not sparse."""
SHIFT = 1e-4
"""[γI, Aᵀ; A, −γI] is factored: normal equations with γ² added to the squares of singular values, of rows of norm 1."""
LAPACK = 100
"""KKT matrices up to this size are factored densely."""
ADDED = 1e-9
"""Added to and subtracted from the diagonal of larger ones, which are scaled to entries of 1."""


class Working:
    """The active rows' Jacobian by the free variables, columns times ``column`` and rows times ``row``, which makes the
    rows' norms 1 (rows of zeros stay)."""

    def __init__(self, point: Point, active: ActiveSet, column: Array | None = None) -> None:
        from scipy import sparse

        self.rows, self.free = active.active_rows, active.free
        self.column = (point.scales.x if column is None else column)[self.free]
        matrix = point.jacobian[self.rows][:, self.free] @ sparse.diags_array(self.column)
        norm = np.sqrt(np.asarray((matrix * matrix).sum(axis=1)).ravel())
        self.row = 1.0 / np.where(norm > 0.0, norm, 1.0)
        self.matrix: Any = sparse.csr_array(sparse.diags_array(self.row) @ matrix)

    @property
    def is_dense(self) -> bool:
        """Whether the matrix is small or filled enough for dense algebra."""
        m, n = self.matrix.shape
        if min(m, n) <= SMALL and m * n <= DENSE**2:
            return True
        return bool(min(m, n) <= DENSE and self.matrix.nnz > FILLED * m * n)

    @cached_property
    def dense(self) -> Array:
        """The matrix as an array."""
        return np.asarray(self.matrix.toarray())

    @cached_property
    def augmented(self) -> Symmetric:
        """[γI, Aᵀ; A, −γI], factored."""
        from scipy import sparse

        m, n = self.matrix.shape
        matrix = sparse.block_array([[SHIFT * sparse.eye_array(n), self.matrix.T],
                                     [self.matrix, -SHIFT * sparse.eye_array(m)]], format="csc")
        return Symmetric(matrix, np.zeros(n + m))

    def least_squares(self, b: Array) -> Array:
        """The y of least norm with |Aᵀy − b| least; ``b`` (free,), y (active,)."""
        m, n = self.matrix.shape
        if not m or not n:
            return np.zeros(m)
        if self.is_dense:
            from scipy import linalg

            return np.asarray(linalg.lstsq(self.dense.T, b, cond=1e-12)[0])
        y, left = np.zeros(m), b
        for _ in range(6):  # least squares with γ²|Δy|² added: each time the rest
            step = self.augmented.refined(np.concatenate([left, np.zeros(m)]))[n:]
            y, left = y + step, b - self.matrix.T @ (y + step)
            if np.abs(step).max() <= 1e-14 * np.abs(y).max():
                break
        return y

    def project(self, v: Array) -> Array:
        """The part of v (free,) in the null space of the rows."""
        return np.asarray(v - self.matrix.T @ self.least_squares(v))


class KKTMatrix:
    """[H, Aᵀ; A, 0] of the free variables and the active rows, factored: for Newton steps and sensitivities.

    Raises SingularMatrixError where it is singular: dependent rows, or no curvature in a direction along all of them.
    """

    def __init__(self, point: Point, active: ActiveSet) -> None:
        from scipy import sparse

        self.rows, self.free, self.bound = active.active_rows, active.free, active.active_bounds
        self.hessian, self.jacobian = point.full_hessian, point.jacobian
        a = self.jacobian[self.rows][:, self.free]
        h = self.hessian[self.free][:, self.free]
        matrix = sparse.block_array([[h, a.T], [a, None]], format="csc") if len(self.rows) else sparse.csc_array(h)
        self._factored = _factored(matrix, len(self.free)) if matrix.shape[0] else None

    def solve(self, right: Array, rows: Array, at_bounds: Array) -> tuple[Array, Array]:
        """Δx (n, k) and Δy (m, k) with ∇²L Δx − Jᵀ Δy = ``right`` (n, k) in the free variables, J Δx = ``rows`` (m, k)
        in the active rows, Δx = ``at_bounds`` (n, k) at the bounds, and Δy = 0 in other rows."""
        dx, dy = np.zeros(right.shape), np.zeros(rows.shape)
        dx[self.bound] = at_bounds[self.bound]
        if self._factored is not None:
            b = np.concatenate([(right - self.hessian @ dx)[self.free], (rows - self.jacobian @ dx)[self.rows]])
            found, n = self._factored(b), len(self.free)
            dx[self.free], dy[self.rows] = found[:n], -found[n:]
        return dx, dy


def _factored(matrix: Any, n: int) -> Callable[[Array], Array]:
    """b ↦ x with matrix·x = b of a symmetric KKT matrix, its first n rows those of variables.

    Small ones by LAPACK; large ones without pivots, or by pivots where that does not do.
    """
    from scipy import sparse

    if matrix.shape[0] <= LAPACK:
        return _pivoted(matrix.toarray())
    d = equilibrated(matrix)
    scaled = sparse.csc_array(sparse.diags_array(d) @ matrix @ sparse.diags_array(d))
    try:
        factor = Symmetric(scaled, np.where(np.arange(len(d)) < n, ADDED, -ADDED))
        factor.refined(np.cos(2.4 * np.arange(len(d))) + 1.5)
    except SingularMatrixError:
        return _pivoted(matrix)
    return lambda b: d[:, None] * factor.refined(d[:, None] * b)


def _pivoted(matrix: Any) -> Callable[[Array], Array]:
    factor = Factor(matrix)

    def solve(b: Array) -> Array:
        x = factor.solve(b)
        return np.asarray(x + factor.solve(b - matrix @ x))

    return solve
