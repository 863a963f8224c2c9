"""Problems with known optima and multipliers for tests of algorithms, written with NumPy alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from lagrange_ad.optimizers import Problem


class Written(Problem):
    """A small problem from functions: f with ∇f and ∇²f, c with its (m, n) Jacobian and (m, n, n) second derivatives.

    All positions are in its structures. ``optimum``: x*, f*, and the multipliers y*, z* (df*/d bound).
    """

    second_order = True

    def __init__(self, x0: Any, f: tuple[Callable[..., Any], ...], c: tuple[Callable[..., Any], ...] | None = None,
                 rows: tuple[Any, Any] = ((), ()), bounds: tuple[Any, Any] = (-np.inf, np.inf)) -> None:
        self.x0 = np.array(x0, dtype=float)
        self.f, self.c = f, c
        self.row_lower, self.row_upper = (np.array(side, dtype=float) for side in rows)
        self.lower, self.upper = (np.broadcast_to(np.array(side, dtype=float), self.x0.shape).copy() for side in bounds)
        n, m = len(self.x0), len(self.row_lower)
        self.jacobian_structure = (np.repeat(np.arange(m, dtype=np.int32), n),
                                   np.tile(np.arange(n, dtype=np.int32), m))
        low = np.tril_indices(n)
        self.hessian_structure = (low[0].astype(np.int32), low[1].astype(np.int32))

    def objective(self, x: Any) -> float:
        return float(self.f[0](x))

    def gradient(self, x: Any) -> Any:
        return np.asarray(self.f[1](x), dtype=float)

    def constraints(self, x: Any) -> Any:
        return np.asarray(self.c[0](x), dtype=float) if self.c else np.empty(0)

    def jacobian(self, x: Any) -> Any:
        return np.asarray(self.c[1](x), dtype=float).ravel() if self.c else np.empty(0)

    def hessian(self, x: Any, sigma: float, y: Any) -> Any:
        total = sigma * np.asarray(self.f[2](x), dtype=float)
        if self.c:
            total = total + np.tensordot(y, np.asarray(self.c[2](x), dtype=float), 1)
        return total[self.hessian_structure]


def hs71() -> Written:
    """Hock and Schittkowski 71: f* = 17.0140173, x* = (1, 4.7429994, 3.8211503, 1.3794082)."""
    def hessian(x: Any) -> Any:
        h = np.zeros((4, 4))
        h[0, 0], h[0, 1], h[0, 2], h[0, 3] = 2 * x[3], x[3], x[3], 2 * x[0] + x[1] + x[2]
        h[1, 3] = h[2, 3] = x[0]
        return h + np.triu(h, 1).T

    def second(x: Any) -> Any:
        product = np.array([[0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(4)] for i in range(4)])
        return np.stack([product, 2 * np.eye(4)])

    return Written(
        [1.0, 5.0, 5.0, 1.0],
        (lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2],
         lambda x: [x[3] * (2 * x[0] + x[1] + x[2]), x[0] * x[3], x[0] * x[3] + 1, x[0] * (x[0] + x[1] + x[2])],
         hessian),
        (lambda x: [np.prod(x), x @ x],
         lambda x: [[np.prod(np.delete(x, i)) for i in range(4)], 2 * x], second),
        rows=([25.0, 40.0], [np.inf, 40.0]), bounds=(1.0, 5.0))


def circle() -> Written:
    """min x + y on x² + y² = 2: (−1, −1), f* = −2, y* = df*/d2 = −1/2."""
    return Written([-1.5, 0.3], (lambda x: x[0] + x[1], lambda x: [1.0, 1.0], lambda x: np.zeros((2, 2))),
                   (lambda x: [x @ x], lambda x: [2 * x], lambda x: [2 * np.eye(2)]), rows=([2.0], [2.0]))


class Quadratic(Problem):
    """min ½xᵀHx + gᵀx, row_lower ≤ Ax ≤ row_upper, sparse; H symmetric. Structures are those of the numbers ≠ 0."""

    second_order = True

    def __init__(self, h: Any, g: Any, a: Any, rows: tuple[Any, Any] = ((), ()),
                 bounds: tuple[Any, Any] = (-np.inf, np.inf), x0: Any = None) -> None:
        self.g = np.array(g, dtype=float)
        n = len(self.g)
        self.h, self.a = sparse.csr_array(h), sparse.csr_array(np.asarray(a, dtype=float) if isinstance(a, list) else a)
        self.row_lower, self.row_upper = (np.array(side, dtype=float) for side in rows)
        self.lower, self.upper = (np.broadcast_to(np.array(side, dtype=float), (n,)).copy() for side in bounds)
        self.x0 = np.zeros(n) if x0 is None else np.array(x0, dtype=float)
        self._low, self._jacobian = sparse.tril(self.h).tocoo(), self.a.tocoo()
        self.hessian_structure = (self._low.row.astype(np.int32), self._low.col.astype(np.int32))
        self.jacobian_structure = (self._jacobian.row.astype(np.int32), self._jacobian.col.astype(np.int32))

    def objective(self, x: Any) -> float:
        return float(x @ (self.h @ x) / 2 + self.g @ x)

    def gradient(self, x: Any) -> Any:
        return self.h @ x + self.g

    def constraints(self, x: Any) -> Any:
        return self.a @ x

    def jacobian(self, x: Any) -> Any:
        return self._jacobian.data

    def hessian(self, x: Any, sigma: float, y: Any) -> Any:
        return sigma * self._low.data
