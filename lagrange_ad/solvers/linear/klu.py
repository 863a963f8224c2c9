"""KLU, a sparse LU for circuits and their like: very sparse, with little fill (T. Davis, E. Natarajan, 2010).

It comes with kvxopt, the extra ``klu``. The analysis of a pattern is made once and kept with its ``Ordering``.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .factors import SUSPICIOUS, Factor, SingularMatrixError, scaled
from .pattern import Array, Ordering

SINGULAR = 1e3 * SUSPICIOUS
"""A factor whose solution of a plain system grows beyond this is that of a singular matrix."""


class KluFactor(Factor):
    """LU by KLU of a real CSC matrix."""

    def __init__(self, matrix: Any, ordering: Ordering | None = None) -> None:
        super().__init__(matrix)
        kvxopt, self._klu = modules()
        ordering = Ordering(matrix) if ordering is None else ordering
        self._matrix_of = kvxopt.matrix
        self.row, self.column, data = scaled(matrix)
        self.nnz = 0  # not told: another factorisation is cheap in any case
        if "klu" not in ordering.memory:
            ordering.memory["klu"] = self._analysed(kvxopt, matrix)
        pattern, self._symbolic = ordering.memory["klu"]
        self._matrix = copy.copy(pattern)
        self._matrix.V = kvxopt.matrix(data)
        try:
            self._numeric = self._klu.numeric(self._matrix, self._symbolic)
        except ArithmeticError:
            raise SingularMatrixError("the Jacobian is singular") from None
        probe = self._scaled_solve(np.cos(2.4 * np.arange(len(self.row))) + 1.5, False)
        if not np.abs(probe).max(initial=0.0) <= SINGULAR:
            raise SingularMatrixError("the Jacobian is singular")

    def _analysed(self, kvxopt: Any, matrix: Any) -> tuple[Any, Any]:
        """The pattern in kvxopt's form, and KLU's analysis of it."""
        columns = np.repeat(np.arange(matrix.shape[1]), np.diff(matrix.indptr))
        ones, rows = kvxopt.matrix(np.ones(len(columns))), kvxopt.matrix(matrix.indices.astype(np.int64))
        pattern = kvxopt.spmatrix(ones, rows, kvxopt.matrix(columns), matrix.shape)
        try:
            return pattern, self._klu.symbolic(pattern)
        except ArithmeticError:
            raise SingularMatrixError("the Jacobian is singular") from None

    def _scaled_solve(self, b: Array, transposed: bool) -> Array:
        x = self._matrix_of(np.asarray(b, dtype=float))
        self._klu.solve(self._matrix, self._symbolic, self._numeric, x, "T" if transposed else "N")
        return np.array(x).reshape(b.shape)


def klu_factor(matrix: Any, ordering: Ordering | None = None) -> Factor:
    """By KLU, where the matrix is sparse and real; dense and complex ones are factored as usual."""
    if isinstance(matrix, np.ndarray) or not np.isrealobj(matrix.data):
        return Factor(matrix, ordering)
    return KluFactor(matrix, ordering)


def modules() -> tuple[Any, Any]:
    """kvxopt and its KLU; raises ModuleNotFoundError with what to install."""
    try:
        import kvxopt
        from kvxopt import klu
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "linear='klu' needs the package kvxopt: pip install 'lagrange-ad[klu]', or leave linear='auto'"
        ) from None
    return kvxopt, klu
