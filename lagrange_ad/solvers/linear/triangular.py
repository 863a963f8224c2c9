"""Unit triangular systems of sequences: by SuperLU without pivots, or row by row where slopes are infinite."""

from __future__ import annotations

from typing import Any

import numpy as np

from .pattern import Array


class Substitution:
    """A lower triangular matrix with −1 on its diagonal, solved row by row; entries may be infinite or NaN.

    Slower than :class:`Triangular`; an infinite slope reaches those unknowns alone that depend on it.
    """

    def __init__(self, matrix: Any) -> None:
        from scipy import sparse

        entries = sparse.coo_array(matrix)
        below = entries.row != entries.col
        self._entries = entries.row[below], entries.col[below], entries.data[below]

    def solve(self, b: Array, transposed: bool = False) -> Array:
        """x with A x = b, or Aᵀ x = b; ``b`` may have several columns."""
        i, j, values = self._entries
        if transposed:
            i, j = j, i
        order = np.lexsort((j, -i if transposed else i)).tolist()
        x = -b
        for k in order:
            x[i[k]] = x[i[k]] + values[k] * x[j[k]]
        return x


class Triangular:
    """A finite lower triangular matrix with −1 on its diagonal, solved without pivots or scaling.

    A factorisation with pivots could call it singular: slopes of 1e18 beside those of 1 look like zero pivots.
    """

    def __init__(self, matrix: Any) -> None:
        self._dense: Any = matrix if isinstance(matrix, np.ndarray) else None
        self._superlu: Any = None
        if self._dense is None:
            from scipy.sparse.linalg import splu

            self._superlu = splu(matrix, permc_spec="NATURAL", diag_pivot_thresh=0.0)

    def solve(self, b: Array, transposed: bool = False) -> Array:
        """x with A x = b, or Aᵀ x = b; ``b`` may have several columns."""
        if self._dense is None:
            return np.asarray(self._superlu.solve(b, "T" if transposed else "N"))
        from scipy import linalg

        trans: Any = int(transposed)
        return np.asarray(linalg.solve_triangular(self._dense, b, lower=True, trans=trans, check_finite=False))


