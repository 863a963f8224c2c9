"""The linear model of a block in scaled unknowns and equations, with the steps that globalised methods take in it.

    r̃(x + U p) ≈ r̃ + J̃ p        J̃ = E⁻¹ (dr/dx) U, the hidden unknowns following x

``SmallSlopes`` has J̃ as an array and its singular values, so that steps of any length are exact, singular Jacobians
included. ``LargeSlopes`` has products and sparse solves only, and never JᵀJ.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .linear import DENSE, Factor, Linear, SingularMatrixError
from .problem import Array, Model
from .scaling import Scales

FLOOR = 1e-14
"""Singular values below this part of the largest are zero."""
ROUNDS = 50
LEAST = 1e-12
"""Damping of a singular system, beside its squared columns."""


class _Scaled:
    """What both have."""

    r: Array

    def product(self, p: Array) -> Array:
        """J̃ p."""
        raise NotImplementedError

    def norm_after(self, p: Array) -> float:
        """‖r̃ + J̃ p‖."""
        return float(np.linalg.norm(self.r + self.product(p)))


class SmallSlopes(_Scaled):
    """J̃ as an array (n, n)."""

    def __init__(self, model: Model, scales: Scales, r: Array) -> None:
        self.matrix = model.reduced / scales.equation[:, None] * scales.unknown
        if not np.isfinite(self.matrix).all():
            raise SingularMatrixError("the Jacobian has entries that are not finite")
        self.r = r / scales.equation
        self.columns = np.linalg.norm(self.matrix, axis=0)
        self.gradient = self.matrix.T @ self.r
        self._svd: Any = None
        self._fixed: Array | None = None

    def product(self, p: Array) -> Array:
        """J̃ p."""
        return np.asarray(self.matrix @ p)

    def bounded(self, radius: float, fixed: Array | None = None, at: Array | None = None) -> Array:
        """The p of least ‖r̃ + J̃ p‖ within ‖p‖ ≤ radius, the elements ``fixed`` (booleans) being those of ``at``."""
        s, right, along = self._spectrum(fixed, at)
        kept = s > FLOOR * s.max(initial=0.0)
        coefficient = np.where(kept, -along / np.where(kept, s, 1.0), 0.0)
        if np.linalg.norm(coefficient) > radius:
            lam = self._multiplier(s, along, radius)
            coefficient = -s * along / (s * s + lam)
        return self._placed(right.T @ coefficient, fixed, at)

    def damped(self, lam: float, fixed: Array | None = None, at: Array | None = None) -> Array:
        """The p of least ‖r̃ + J̃ p‖² + λ‖p‖²."""
        s, right, along = self._spectrum(fixed, at)
        return self._placed(right.T @ (-s * along / (s * s + lam)), fixed, at)

    def _placed(self, free: Array, fixed: Array | None, at: Array | None) -> Array:
        if fixed is None or at is None:
            return np.asarray(free)
        p = at.copy()
        p[~fixed] = free
        return p

    def _spectrum(self, fixed: Array | None, at: Array | None) -> tuple[Array, Array, Array]:
        """Singular values, right vectors, and the right side along the left vectors."""
        if fixed is None or at is None:
            if self._svd is None:
                self._svd = np.linalg.svd(self.matrix)
            left, s, right = self._svd
            return s, right, left.T @ self.r
        left, s, right = np.linalg.svd(self.matrix[:, ~fixed], full_matrices=False)
        return s, right, left.T @ (self.r + self.matrix[:, fixed] @ at[fixed])

    @staticmethod
    def _multiplier(s: Array, along: Array, radius: float) -> float:
        """λ > 0 with ‖p(λ)‖ = radius within a tenth, by Newton's method on 1/‖p‖ (J. Moré, 1978)."""
        b = s * along
        low, high = 0.0, float(np.linalg.norm(b)) / radius
        lam = 1e-3 * high
        for _ in range(ROUNDS):
            shifted = s * s + lam
            with np.errstate(all="ignore"):
                size = float(np.linalg.norm(b / shifted))
                slope = float(np.sum(b * b / shifted**3) / size)
            if abs(size - radius) <= 0.1 * radius:
                break
            low, high = (lam, high) if size > radius else (low, lam)
            with np.errstate(all="ignore"):
                lam += (size - radius) / radius * size / slope if slope > 0.0 else np.inf
            if not low < lam < high:
                lam = max(np.sqrt(low * high), 1e-3 * high)
        return lam


class LargeSlopes(_Scaled):
    """J̃ as products and solves with the sparse matrix of all rows, those of hidden unknowns included."""

    def __init__(self, model: Model, scales: Scales, r: Array, linear: Linear) -> None:
        self.model, self.scales, self.linear = model, scales, linear
        self.n, self.r = model.n, r / scales.equation
        matrix = model.matrix
        self._hidden: Any = None
        if matrix.shape[0] > self.n:
            self._hidden = Factor(matrix[self.n :, self.n :])
        self.gradient = self.transposed(self.r)
        direct = matrix[: self.n, : self.n]
        squares = abs(direct / scales.equation[:, None]) if isinstance(direct, np.ndarray) else _rows(direct, scales)
        self.columns = np.sqrt(np.asarray((squares**2).sum(axis=0)).ravel()) * scales.unknown
        linear.update(matrix)
        self._newton: Array | None = None

    def product(self, p: Array) -> Array:
        """J̃ p."""
        n, matrix, v = self.n, self.model.matrix, p * self.scales.unknown
        out = matrix[:n, :n] @ v
        if self._hidden is not None:
            out = out - matrix[:n, n:] @ self._hidden.solve(matrix[n:, :n] @ v)
        return np.asarray(out / self.scales.equation)

    def transposed(self, q: Array) -> Array:
        """J̃ᵀ q."""
        n, matrix, v = self.n, self.model.matrix, q / self.scales.equation
        out = matrix[:n, :n].T @ v
        if self._hidden is not None:
            out = out - matrix[n:, :n].T @ self._hidden.solve(matrix[:n, n:].T @ v, transposed=True)
        return np.asarray(out * self.scales.unknown)

    def newton(self) -> Array:
        """p with J̃ p = −r̃; raises SingularMatrixError."""
        if self._newton is None:
            full = self.model.right_side(self.r * self.scales.equation)
            self._newton = -self.linear.solve(full)[: self.n] / self.scales.unknown
        return self._newton

    def bounded(self, radius: float, fixed: Array | None = None, at: Array | None = None) -> Array:
        """Powell's dogleg within ‖p‖ ≤ radius; a damped step where the Jacobian is singular. Nothing is fixed."""
        try:
            newton = self.newton()
        except SingularMatrixError:
            newton = np.array([np.nan])
        if not np.isfinite(newton).all():
            least = LEAST * float(self.columns.max(initial=0.0)) ** 2
            return self.damped(max(float(np.linalg.norm(self.gradient)) / radius, least))
        if np.linalg.norm(newton) <= radius:
            return newton
        steepest = self.product(self.gradient)
        cauchy = -self.gradient * float(self.gradient @ self.gradient) / float(steepest @ steepest)
        size = float(np.linalg.norm(cauchy))
        if size >= radius:
            return np.asarray(cauchy * (radius / size))
        leg = newton - cauchy
        a, b, c = float(leg @ leg), float(cauchy @ leg), size * size - radius * radius
        root = float(np.sqrt(b * b - a * c))
        return np.asarray(cauchy + leg * (-c / (b + root) if b > 0.0 else (root - b) / a))

    def damped(self, lam: float, fixed: Array | None = None, at: Array | None = None) -> Array:
        """The p of least ‖r̃ + J̃ p‖² + λ‖p‖², by one sparse system of twice the size. Nothing is fixed.

            [ S  −M ] [σ]   [r̃]      M: all rows and columns scaled; S: 1 for equations, 0 for hidden rows;
            [ Mᵀ  Λ ] [ζ] = [0 ]      Λ: λ for unknowns, 0 for hidden ones;  p = the first n of ζ
        """
        from scipy import sparse

        n, whole = self.n, self.model.matrix.shape[0]
        ones = np.ones(whole - n)
        rows = sparse.diags_array(1.0 / np.concatenate([self.scales.equation, ones]))
        columns = sparse.diags_array(np.concatenate([self.scales.unknown, ones]))
        scaled = rows @ sparse.csc_array(self.model.matrix) @ columns
        shown, damping = np.zeros(whole), np.zeros(whole)
        shown[:n], damping[:n] = 1.0, lam
        system = sparse.block_array([[sparse.diags_array(shown), -scaled], [scaled.T, sparse.diags_array(damping)]])
        right = np.zeros(2 * whole)
        right[:n] = self.r
        return Factor(sparse.csc_array(system)).solve(right)[whole : whole + n]


Slopes = SmallSlopes | LargeSlopes


def slopes_of(model: Model, scales: Scales, r: Array, linear: Linear) -> Slopes:
    """The linear model in scaled unknowns: as an array for small blocks."""
    if isinstance(model.matrix, np.ndarray) or model.n <= DENSE:
        dense = model
        if not isinstance(model.matrix, np.ndarray):
            dense = Model(model.matrix.toarray(), model.values, model.n)
        return SmallSlopes(dense, scales, r)
    return LargeSlopes(model, scales, r, linear)


def _rows(matrix: Any, scales: Scales) -> Any:
    from scipy import sparse

    return sparse.diags_array(1.0 / scales.equation) @ matrix
