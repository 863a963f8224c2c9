"""Linear systems of blocks and sequences: patterns assembled once, factored once, solved for both sides.

``System`` turns Jacobian entries into a matrix, dense up to DENSE unknowns; ``Factor`` solves A x = b and Aᵀ x = b,
``Triangular`` and ``Substitution`` do where A is triangular;
``refined`` improves a solution against another matrix than the one that was factored.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

DENSE = 100
"""Blocks up to this many unknowns are factored densely."""
REFINEMENTS = 5


class SingularMatrixError(ArithmeticError):
    """A matrix that cannot be factored."""


class System:
    """A square pattern (i, j) of ``n_entries`` entries, duplicates summed, whose values come again and again."""

    def __init__(self, i: Array, j: Array, n: int) -> None:
        self.n, self.n_entries = n, len(i)
        keys, self.slot = np.unique(j * n + i, return_inverse=True)
        self.rows, columns = keys % n, keys // n
        self.indptr = np.searchsorted(columns, np.arange(n + 1)).astype(np.int32)
        self.columns = columns

    def matrix(self, entries: Array) -> Any:
        """The matrix of the given entries: an array, or scipy.sparse CSC when large."""
        data = np.zeros(len(self.rows), dtype=entries.dtype)
        np.add.at(data, self.slot, entries)
        if self.n <= DENSE:
            dense = np.zeros((self.n, self.n), dtype=entries.dtype)
            dense[self.rows, self.columns] = data
            return dense
        from scipy import sparse

        return sparse.csc_array((data, self.rows.astype(np.int32), self.indptr), shape=(self.n, self.n))


class Factor:
    """A factored matrix. Raises SingularMatrixError when it is singular or holds NaN or infinity."""

    def __init__(self, matrix: Any) -> None:
        if not is_finite(matrix):
            raise SingularMatrixError("the Jacobian has entries that are not finite")
        self._lu: Any = None
        self._superlu: Any = None
        if isinstance(matrix, np.ndarray):
            self._dense(matrix)
        else:
            self._sparse(matrix)

    def _dense(self, matrix: Array) -> None:
        """LU of the matrix with rows and columns scaled to 1, so that a tiny pivot means what it says."""
        from scipy import linalg

        size = np.abs(matrix)
        self._row = _reciprocal(size.max(axis=1, initial=0.0))
        self._column = _reciprocal((size * self._row[:, None]).max(axis=0, initial=0.0))
        functions: Any = linalg.get_lapack_funcs(("getrf", "getrs"), (matrix,))
        factor, self._solve_dense = functions
        lu, pivots, _ = factor(self._row[:, None] * matrix * self._column)
        if matrix.size and np.abs(np.diag(lu)).min() <= len(lu) * np.finfo(float).eps:
            raise SingularMatrixError("the Jacobian is singular")
        self._lu = (lu, pivots)

    def _sparse(self, matrix: Any) -> None:
        """The same of a sparse matrix, which SuperLU as SciPy calls it does not scale."""
        from scipy import sparse
        from scipy.sparse.linalg import splu

        i, j = matrix.indices, np.repeat(np.arange(matrix.shape[1]), np.diff(matrix.indptr))
        largest = np.zeros((2, matrix.shape[0]))
        np.maximum.at(largest[0], i, np.abs(matrix.data))
        self._row = _reciprocal(largest[0])
        data = matrix.data * self._row[i]
        np.maximum.at(largest[1], j, np.abs(data))
        self._column = _reciprocal(largest[1])
        scaled = sparse.csc_array((data * self._column[j], i, matrix.indptr), shape=matrix.shape)
        try:
            self._superlu = splu(scaled, permc_spec="COLAMD")
        except RuntimeError:
            raise SingularMatrixError("the Jacobian is singular") from None
        diagonal = np.abs(self._superlu.U.diagonal())
        if diagonal.min() <= 1e-16 * diagonal.max():
            raise SingularMatrixError("the Jacobian is singular")

    def solve(self, b: Array, transposed: bool = False) -> Array:
        """x with A x = b, or Aᵀ x = b; ``b`` may have several columns."""
        before, after = (self._column, self._row) if transposed else (self._row, self._column)
        if b.ndim > 1:
            before, after = before[:, None], after[:, None]
        if self._superlu is not None:
            return np.asarray(after * self._superlu.solve(before * b, "T" if transposed else "N"))
        x, _ = self._solve_dense(*self._lu, before * b, trans=int(transposed))
        return np.asarray(after * x.reshape(b.shape))


class Linear:
    """The linear solves of one block, whose matrices come one after the other: factored when first solved with."""

    def __init__(self) -> None:
        self.matrix: Any = None
        self.factor: Factor | None = None
        """The last factor made, and of which matrix."""
        self.factored: Any = None

    @classmethod
    def of(cls, matrix: Any, factor: Factor) -> Linear:
        """The solves of one matrix that is factored already."""
        made = cls()
        made.matrix = made.factored = matrix
        made.factor = factor
        return made

    def update(self, matrix: Any) -> None:
        """What is solved with from now on."""
        self.matrix = matrix

    def solve(self, b: Array, transposed: bool = False) -> Array:
        """x with A x = b, or Aᵀ x = b, of the present matrix; raises SingularMatrixError."""
        if self.factor is None or self.factored is not self.matrix:
            self.factor, self.factored = None, None
            self.factor, self.factored = Factor(self.matrix), self.matrix
        return self.factor.solve(b, transposed)


def is_finite(matrix: Any) -> bool:
    """Whether no entry is NaN or infinite."""
    return bool(np.isfinite(matrix if isinstance(matrix, np.ndarray) else matrix.data).all())


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


def _reciprocal(sizes: Array) -> Array:
    """1 / size, 1 where the size is 0 (powers of two, so that scaling rounds nothing)."""
    return np.asarray(np.exp2(-np.rint(np.log2(np.where(sizes > 0.0, sizes, 1.0)))))


def refined(factor: Factor, matrix: Any, b: Array, transposed: bool) -> Array | None:
    """The solution for ``matrix`` by a factor of a nearby one, with iterative refinement; None if that diverges."""
    operator = matrix.T if transposed else matrix
    x = factor.solve(b, transposed)
    last = np.inf
    for _ in range(REFINEMENTS):
        residual = b - operator @ x
        correction = factor.solve(residual, transposed)
        size = float(np.abs(correction).max(initial=0.0))
        if not np.isfinite(size) or size > 0.5 * last:
            break
        x = x + correction
        last = size
        if size <= 1e-15 * float(np.abs(x).max(initial=0.0)):
            return x
    return x if np.isfinite(last) and last <= 1e-13 * float(np.abs(x).max(initial=0.0)) else None
