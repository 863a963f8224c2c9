"""Factored matrices: LAPACK for dense ones, SuperLU for sparse ones, both with rows and columns scaled to 1.

A factor solves A x = b and Aᵀ x = b, and knows its price: how many solves one factorisation is worth.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .pattern import Array, Ordering, with_data

DIAGONAL = 1e-3
"""A diagonal entry is the pivot where it is at least this part of the largest of its column (symmetric patterns)."""
SUSPICIOUS = 1e12
"""A factor whose solution of a plain system grows beyond this is looked through for pivots that are zero."""
SOUND = 1e-13
"""A factor that leaves more of a plain system than this part of its terms pivoted too weakly."""


class SingularMatrixError(ArithmeticError):
    """A matrix that cannot be factored."""


class NotSolvedError(SingularMatrixError):
    """A linear system that an iterative method did not solve."""


class Factor:
    """A factored matrix, R A C = L U: ``Factor(matrix)`` of an array or a CSC matrix, ``ordering`` its pattern's.

    ``row``, ``column`` are the powers of two R and C; ``nnz`` counts the entries of L and U; ``sound`` says whether a
    solve needs no refinement. Raises SingularMatrixError when the matrix is singular or holds NaN or infinity.
    """

    row: Array
    column: Array
    nnz: int
    sound = True

    def __new__(cls, matrix: Any, ordering: Ordering | None = None) -> Factor:
        """One of the subclasses, by what the matrix is."""
        if cls is Factor:
            cls = DenseFactor if isinstance(matrix, np.ndarray) else SparseFactor
        return object.__new__(cls)

    def __init__(self, matrix: Any, ordering: Ordering | None = None) -> None:
        if not is_finite(matrix):
            raise SingularMatrixError("the Jacobian has entries that are not finite")
        self.nnz = matrix.shape[0] ** 2

    @property
    def price(self) -> float:
        """How many solves a factorisation costs: measured on grids, power flow, circuits and random patterns."""
        return 10.0 + 0.5 * self.nnz / max(1, len(self.row))

    def solve(self, b: Array, transposed: bool = False) -> Array:
        """x with A x = b, or Aᵀ x = b; ``b`` may have several columns."""
        before, after = (self.column, self.row) if transposed else (self.row, self.column)
        if b.ndim > 1:
            before, after = before[:, None], after[:, None]
        return np.asarray(after * self._scaled_solve(before * b, transposed))

    def _scaled_solve(self, b: Array, transposed: bool) -> Array:
        """The same of the scaled matrix."""
        raise NotImplementedError


class DenseFactor(Factor):
    """LU by LAPACK; a tiny pivot of the scaled matrix means what it says."""

    def __init__(self, matrix: Array, ordering: Ordering | None = None) -> None:
        super().__init__(matrix)
        from scipy import linalg

        size = np.abs(matrix)
        self.row = reciprocal(size.max(axis=1, initial=0.0))
        self.column = reciprocal((size * self.row[:, None]).max(axis=0, initial=0.0))
        functions: Any = linalg.get_lapack_funcs(("getrf", "getrs"), (matrix,))
        factor, self._solve_dense = functions
        self._lu, self._pivots, _ = factor(self.row[:, None] * matrix * self.column)
        if matrix.size and np.abs(np.diag(self._lu)).min() <= len(matrix) * np.finfo(float).eps:
            raise SingularMatrixError("the Jacobian is singular")

    def _scaled_solve(self, b: Array, transposed: bool) -> Array:
        x, _ = self._solve_dense(self._lu, self._pivots, b, trans=int(transposed))
        return np.asarray(x.reshape(b.shape))


class SparseFactor(Factor):
    """LU by SuperLU, which SciPy calls without scaling.

    Symmetric patterns are ordered for A + Aᵀ with pivots on the diagonal where those are not small; others, and those
    for which that proves too weak, are ordered for AᵀA with the largest pivots. An order once found serves again.
    """

    def __init__(self, matrix: Any, ordering: Ordering | None = None) -> None:
        super().__init__(matrix)
        ordering = Ordering(matrix) if ordering is None else ordering
        self.row, self.column, data = scaled(matrix)
        self._order: Array | None = None
        self._symmetric = ordering.is_symmetric
        try:
            self._superlu = self._made(matrix, data, ordering)
        except SingularMatrixError:
            if not self._symmetric:
                raise
            self.sound = False  # perhaps only on the diagonal
        if self._symmetric and not self.sound:
            ordering.diagonal_fails, self._symmetric, self._order = True, False, None
            self._superlu = self._made(matrix, data, ordering)
        self.nnz = int(self._superlu.nnz)

    def _made(self, matrix: Any, data: Array, ordering: Ordering) -> Any:
        """Factor by the remembered order, or by one to remember."""
        symmetric, options = self._symmetric, {}
        if symmetric:
            options = {"diag_pivot_thresh": DIAGONAL, "options": {"SymmetricMode": True}}
        if ordering.known(symmetric):
            self._order, matrix = ordering.ordered(data, symmetric)
            found = splu(matrix, permc_spec="NATURAL", **options)
        else:
            matrix = with_data(matrix, data)
            found = splu(matrix, permc_spec="MMD_AT_PLUS_A" if symmetric else "COLAMD", **options)
        self.sound = self._checked(found, matrix)
        if self.sound and not ordering.known(symmetric):
            ordering.take(found.perm_c, symmetric)
        return found

    def _checked(self, superlu: Any, matrix: Any) -> bool:
        """Whether a plain system is solved to rounding; raises SingularMatrixError where pivots are zero."""
        b = np.cos(2.4 * np.arange(matrix.shape[0])) + 1.5
        x = superlu.solve(b.astype(matrix.dtype))
        size = float(np.abs(x).max(initial=0.0))
        if not size <= SUSPICIOUS:
            diagonal = np.abs(superlu.U.diagonal())
            if not diagonal.min() > 1e-16 * diagonal.max():
                raise SingularMatrixError("the Jacobian is singular")
        with np.errstate(all="ignore"):
            left = np.abs(matrix @ x - b).max(initial=0.0)
        return bool(left <= SOUND * (size + 1.0))

    def _scaled_solve(self, b: Array, transposed: bool) -> Array:
        letter = "T" if transposed else "N"
        if self._order is None:
            return np.asarray(self._superlu.solve(b, letter))
        before, after = (True, self._symmetric) if transposed else (self._symmetric, True)
        found = np.asarray(self._superlu.solve(b[self._order] if before else b, letter))
        if not after:
            return found
        x: Array = np.empty_like(found)
        x[self._order] = found
        return x


def splu(matrix: Any, **how: Any) -> Any:
    """SuperLU's factors; what it raises, in our words."""
    from scipy.sparse import linalg

    try:
        return linalg.splu(matrix, **how)
    except RuntimeError:
        raise SingularMatrixError("the Jacobian is singular") from None
    except MemoryError:
        raise MemoryError(
            f"factoring the Jacobian of {matrix.shape[0]} unknowns needs more memory than there is; "
            "an iterative method needs less: linear=la.solvers.Krylov(...)"
        ) from None


def scaled(matrix: Any) -> tuple[Array, Array, Array]:
    """Powers of two R and C that bring rows and then columns of a CSC matrix to 1, and the data of R A C."""
    i, indptr = matrix.indices, matrix.indptr
    size = np.abs(matrix.data)
    largest = np.zeros(matrix.shape[0])
    np.maximum.at(largest, i, size)
    row = reciprocal(largest)
    if (np.diff(indptr) == 0).any():
        raise SingularMatrixError("the Jacobian is singular")
    of_entry = row[i]
    column = reciprocal(np.maximum.reduceat(size * of_entry, indptr[:-1]))
    return row, column, matrix.data * of_entry * np.repeat(column, np.diff(indptr))


def reciprocal(sizes: Array) -> Array:
    """A power of two near 1 / size, so that scaling rounds nothing; 1 where the size is 0."""
    _, exponent = np.frexp(sizes * np.sqrt(2.0))
    return np.asarray(np.ldexp(1.0, np.where(sizes > 0.0, np.clip(1 - exponent, -1000, 1000), 0)))


def is_finite(matrix: Any) -> bool:
    """Whether no entry is NaN or infinite."""
    return bool(np.isfinite(matrix if isinstance(matrix, np.ndarray) else matrix.data).all())
