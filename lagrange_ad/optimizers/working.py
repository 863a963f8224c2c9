"""Linear algebra of the active constraints: their Jacobian by the free variables, least squares, null spaces, and the
factored KKT matrix.

Takes a Point (kkt.py) and its ActiveSet (active.py); variables that are at a bound are taken out.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ..solvers import Factor
from .active import ActiveSet
from .kkt import Point
from .problem import Array

SMALL = 500
"""Matrices whose shorter side is not more than this are treated densely."""
DENSE = 2000
"""The same of matrices that are not sparse."""
FILLED = 0.1
"""Matrices with more than this part of their entries are not sparse."""
SHIFT = 1e-10
"""Regularization of the normal equations, relative to rows of norm 1."""
LAPACK = 100
"""KKT matrices up to this size are factored densely."""


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
    def augmented(self) -> Factor:
        """[I, Aᵀ; A, −δI], factored."""
        return self.quasi_definite(None)

    def quasi_definite(self, upper: Any) -> Factor:
        """[H, Aᵀ; A, −δI] factored, H the identity where None."""
        return Factor(self.saddle(upper))

    def saddle(self, upper: Any) -> Any:
        """[H, Aᵀ; A, −δI], CSC; H the identity where None."""
        from scipy import sparse

        m, n = self.matrix.shape
        upper = sparse.eye_array(n) if upper is None else upper
        return sparse.block_array([[upper, self.matrix.T], [self.matrix, -SHIFT * sparse.eye_array(m)]], format="csc")

    def least_squares(self, b: Array) -> Array:
        """The y of least norm with |Aᵀy − b| least; ``b`` (free,), y (active,)."""
        m, n = self.matrix.shape
        if not m or not n:
            return np.zeros(m)
        if self.is_dense:
            from scipy import linalg

            return np.asarray(linalg.lstsq(self.dense.T, b, cond=1e-12)[0])
        y, left = np.zeros(m), b
        for _ in range(3):  # least squares with |Δy|² δ added: each time the rest
            y = y + self.augmented.solve(np.concatenate([left, np.zeros(m)]))[n:]
            left = b - self.matrix.T @ y
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
        self._matrix: Any = matrix.toarray() if matrix.shape[0] <= LAPACK else matrix
        self._factor = Factor(self._matrix) if matrix.shape[0] else None

    def solve(self, right: Array, rows: Array, at_bounds: Array) -> tuple[Array, Array]:
        """Δx (n, k) and Δy (m, k) with ∇²L Δx − Jᵀ Δy = ``right`` (n, k) in the free variables, J Δx = ``rows`` (m, k)
        in the active rows, Δx = ``at_bounds`` (n, k) at the bounds, and Δy = 0 in other rows."""
        dx, dy = np.zeros(right.shape), np.zeros(rows.shape)
        dx[self.bound] = at_bounds[self.bound]
        if self._factor is not None:
            b = np.concatenate([(right - self.hessian @ dx)[self.free], (rows - self.jacobian @ dx)[self.rows]])
            found = self._factor.solve(b)
            found = found + self._factor.solve(b - self._matrix @ found)
            n = len(self.free)
            dx[self.free], dy[self.rows] = found[:n], -found[n:]
        return dx, dy
