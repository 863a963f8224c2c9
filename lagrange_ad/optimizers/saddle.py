"""Solves the systems of Newton's method on the KKT conditions, [H + δI, Jᵀ; J, −D], δ such that the step descends.

Takes H (n, n), J (m, n) and a diagonal D ≥ 0 (m,). The step leads to a minimum within the rows where the matrix has n
positive and m negative eigenvalues. Small systems are dense, factored as LDLᵀ, whose D has the same signs (Sylvester).
Large ones are sparse: SuperLU with pivots on the diagonal is an LDLᵀ too, so the signs of its pivots are those of the
eigenvalues; where it had to pivot off the diagonal nothing is known, and a positive curvature of the step is asked for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..solvers import SingularMatrixError
from .factoring import on_diagonal
from .problem import Array

DENSE = 160
"""Systems up to this order are dense."""
REGULARIZED = 1e-8
"""D where rows may depend on each other; what it changes is taken back by refinement where the rows allow."""
FIRST, LEAST, MOST = 1e-4, 1e-20, 1e40
"""The first δ tried, the smallest and the largest (A. Wächter and L. Biegler, 2006, algorithm IC)."""
REFINEMENTS = 10


class Saddle:
    """A factored [H + δI, Jᵀ; J, −D − e], e > 0 where ``regularized``. ``signs``: whether the eigenvalues have the
    signs of a minimum, None where unknown, ``regular``: whether none is zero."""

    def __init__(self, H: Any, J: Any, D: Array, delta: float, regularized: bool) -> None:
        self.n, self.m = H.shape[0], len(D)
        self.exact: Any = None
        self.signs: bool | None = None
        self.regular = True
        extra = np.full(self.m, REGULARIZED if regularized else 0.0)
        if self.n + self.m <= DENSE:
            self._dense(H, J, D, delta, extra)
        else:
            self._sparse(H, J, D, delta, np.maximum(extra, REGULARIZED))

    def _dense(self, H: Any, J: Any, D: Array, delta: float, extra: Array) -> None:
        from scipy.linalg import eigvalsh_tridiagonal, ldl, lu_factor, lu_solve

        low = _plain(J)
        exact = np.block([[_plain(H) + delta * np.eye(self.n), low.T], [low, -np.diag(D)]])
        used = exact - np.diag(np.concatenate([np.zeros(self.n), extra]))
        size = _sizes(used)
        used = used * size[:, None] * size
        pivots = ldl(used)[1]
        signs = eigvalsh_tridiagonal(np.diag(pivots).copy(), np.diag(pivots, -1).copy()) if len(pivots) else np.empty(0)
        self._count(signs, 1e-14)
        self.exact = exact
        if self.regular:
            factors = lu_factor(used, check_finite=False)
            self._solve = lambda right: np.asarray(size * lu_solve(factors, size * right, check_finite=False))

    def _sparse(self, H: Any, J: Any, D: Array, delta: float, extra: Array) -> None:
        from scipy import sparse

        top = sparse.csc_array(H) + delta * sparse.eye_array(self.n)
        self.exact = sparse.block_array([[top, J.T], [J, sparse.diags_array(-D)]], format="csc")
        used = sparse.block_array([[top, J.T], [J, sparse.diags_array(-D - extra)]], format="csc")
        try:
            factors, kept = on_diagonal(used)
        except SingularMatrixError:
            self.regular = False
            return
        if kept:
            self._count(factors.U.diagonal(), 0.0)
        self._solve = factors.solve

    def _count(self, eigenvalues: Array, tiny: float) -> None:
        self.regular = bool((np.abs(eigenvalues) > tiny).all()) and bool(np.isfinite(eigenvalues).all())
        self.signs = self.regular and int((eigenvalues < 0).sum()) == self.m

    def solve(self, top: Array, low: Array) -> tuple[Array, Array]:
        """(d, w) of [H + δI, Jᵀ; J, −D] (d, w) = (top, low), refined while that helps."""
        right = np.concatenate([top, low])
        best = self._solve(right)
        rest = right - self.exact @ best
        for _ in range(REFINEMENTS):
            if not np.max(np.abs(rest), initial=0.0) > 1e-15 * np.max(np.abs(right), initial=0.0):
                break
            then = best + self._solve(rest)
            left = right - self.exact @ then
            if not np.linalg.norm(left) < 0.5 * np.linalg.norm(rest):
                break
            best, rest = then, left
        return best[:self.n], best[self.n:]


class Step(NamedTuple):
    """A step (d, w) with its factors, δ, and its curvature dᵀ(H + δI)d + wᵀDw."""

    d: Array
    w: Array
    factors: Saddle
    delta: float


def descend(H: Any, J: Any, D: Array, right: tuple[Array, Array], last: float) -> Step | None:
    """The step with the least δ tried whose matrix has the signs of a minimum; None where no δ gives one.

    ``last``: the δ that was needed last time, 0 where none was.
    """
    delta, regularized = 0.0, False
    while delta <= MOST:
        factors = Saddle(H, J, D, delta, regularized)
        if factors.signs or (factors.signs is None and factors.regular):
            d, w = factors.solve(*right)
            if np.isfinite(d).all() and np.isfinite(w).all() and (factors.signs or _curved(factors, d, w, D)):
                return Step(d, w, factors, delta)
        if not factors.regular and not regularized:
            regularized = True
        else:
            delta = _more(delta, last)
    return None


def _curved(factors: Saddle, d: Array, w: Array, D: Array) -> bool:
    """dᵀ(H + δI)d + wᵀDw ≥ κ dᵀd."""
    bent = float(d @ (factors.exact @ np.concatenate([d, np.zeros_like(w)]))[:factors.n] + w @ (D * w))
    return bent >= 1e-10 * float(d @ d)


def _more(delta: float, last: float) -> float:
    if delta == 0:
        return FIRST if last == 0 else max(LEAST, last / 3)
    return delta * (100 if last == 0 else 8)


def _sizes(matrix: Array) -> Array:
    """s (N,) with the largest entry of every row of s_i K_ij s_j near 1, which keeps the signs of eigenvalues (D. Ruiz,
    2001): barriers have entries of many sizes."""
    size = np.ones(len(matrix))
    for _ in range(4):
        largest = np.max(np.abs(matrix * size[:, None] * size), axis=1, initial=0.0)
        size = size / np.sqrt(np.where(largest > 0, largest, 1.0))
    return size


def _plain(matrix: Any) -> Array:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=float)

