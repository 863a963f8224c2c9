"""Systems of equations on arrays for the tests of solvers, with derivatives by complex steps."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lagrange_ad.solvers import Model

Array = Any
Equations = Callable[[Array], Any]


class ArrayProblem:
    """r(x) = 0 of an analytic function that takes complex arrays; counts how often it is asked.

    ``kind`` of its matrices is "array" or "sparse".
    """

    def __init__(self, function: Equations, n: int, low: Any = -np.inf, high: Any = np.inf, explicit: bool = False,
                 kind: str = "array", jacobian: Equations | None = None) -> None:
        self.function, self.n, self.kind, self.given = function, n, kind, jacobian
        self.low = np.broadcast_to(np.asarray(low, dtype=float), n).copy()
        self.high = np.broadcast_to(np.asarray(high, dtype=float), n).copy()
        self.explicit = np.full(n, explicit)
        self.unknown_scale, self.equation_scale = np.full(n, np.nan), np.full(n, np.nan)
        self.residuals = self.models = 0
        self.outside = False

    def residual(self, x: Array) -> Array:
        self.residuals += 1
        self.outside |= bool(((x <= self.low) | (x >= self.high)).any())
        with np.errstate(all="ignore"):
            return np.asarray(self.function(x), dtype=float)

    def jacobian(self, x: Array) -> Array:
        if self.given is not None:
            return np.asarray(self.given(x), dtype=float)
        with np.errstate(all="ignore"):
            columns = [np.imag(np.asarray(self.function(x + 1e-30j * e))) / 1e-30 for e in np.eye(self.n)]
        return np.stack(columns, axis=1)

    def noise(self, x: Array) -> None:
        """Nobody knows."""

    def model(self, x: Array) -> Model:
        self.models += 1
        matrix: Any = self.jacobian(x)
        if self.kind == "sparse":
            from scipy import sparse

            matrix = sparse.csc_array(matrix)
        return Model(matrix, x.copy(), self.n)
