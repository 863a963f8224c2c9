"""The linear solves of one block, whose matrices come one after the other in Newton's method and afterwards.

For large sparse matrices a factorisation costs dozens of solves, so a factor serves later matrices too, as the
preconditioner of GMRES, as long as that is cheaper than another one. What is cheaper is counted, not timed: the same
solve takes the same way every time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .factors import Factor
from .pattern import Array, Ordering, System
from .refinement import ROUNDING, gmres, refined

Make: TypeAlias = Callable[[Any, "Ordering | None"], Factor]
LARGE = 30_000
"""Factors with fewer entries are made anew for every matrix."""
DEAR = 20.0
"""Factors that are worth fewer solves than this are made anew as well."""
SPENT = 0.5
"""So much of a factor's price may go into the solves of one matrix before it is factored."""
COARSEST, FINEST = 1e-2, 1e-6
"""Between these accuracies Newton's corrections are solved for."""
MOST = 20
"""Iterations of one GMRES at most."""


class Linear:
    """The linear solves of one block: matrices come by :meth:`update`, and are factored when that is needed.

    ``system`` is the pattern that all of them have, where there is one; ``make`` factors; ``keeps`` says whether a
    factor may serve later matrices. ``factorisations`` and ``solves`` count.
    """

    def __init__(self, system: System | None = None, make: Make = Factor, keeps: bool = True) -> None:
        self.matrix: Any = None
        self.where: Any = None
        """The state that the matrix was computed at, for who wants to know."""
        self.factor: Factor | None = None
        self.factored: Any = None
        """The last factor made, and of which matrix."""
        self.factorisations = self.solves = 0
        self._system, self._make, self._keeps = system, make, keeps
        self._spent, self._size = 0, 0.0
        self._lock = threading.RLock()
        self._first: tuple[Array, Array] | None = None

    @classmethod
    def of(cls, matrix: Any, factor: Factor) -> Linear:
        """The solves of one matrix that is factored already."""
        made = cls()
        made.matrix = made.factored = matrix
        made.factor = factor
        return made

    @property
    def is_matrix_free(self) -> bool:
        """Whether matrices may come as linear operators."""
        return False

    @property
    def is_exact(self) -> bool:
        """Whether the factor is that of the present matrix."""
        return self.factor is not None and self.factored is self.matrix

    def update(self, matrix: Any, values: Array | None = None, where: Any = None) -> None:
        """What is solved with from now on: a matrix, the values of its unknowns, the state it was computed at."""
        self.matrix, self.where, self._spent = matrix, where, 0

    def solve(self, b: Array, transposed: bool = False, accuracy: float = FINEST) -> Array:
        """x with A x = b, or Aᵀ x = b, of the present matrix; ``b`` may have several columns.

        ``accuracy`` is the relative error that is allowed where the matrix is not factored for this; 0 asks for as much
        as rounding lets through, and refines. Raises SingularMatrixError. Threads take turns.
        """
        with self._lock:
            return self._solve(b, transposed, accuracy)

    def _solve(self, b: Array, transposed: bool, accuracy: float) -> Array:
        if not self.is_exact:
            found = self._by_other_factor(b, transposed, accuracy)
            if found is not None:
                return found
            self.make_factor()
        assert self.factor is not None
        if accuracy == 0.0 or not self.factor.sound:
            return self._exactly(self.factor, b, transposed)
        return self._once(b, transposed)

    def correction(self, b: Array) -> Array:
        """A⁻¹ b as exactly as Newton's method needs it for the residuals b to go on converging quadratically.

        The next correction will be θ² times this one when this one was θ times the last: that is what it may be wrong
        by, with a margin.
        """
        if not self._may_iterate():
            return self.solve(b)
        assert self.factor is not None
        size = float(np.linalg.norm(self.estimate(b) / self.factor.column))
        part = min(1.0, size / self._size) if self._size > 0.0 else 1.0
        self._size = size
        return self.solve(b, accuracy=min(COARSEST, max(FINEST, 0.1 * part**2)))

    def estimate(self, b: Array) -> Array:
        """M⁻¹ b with the matrix M that was factored last: one solve, and remembered for a :meth:`solve` with that b."""
        if self.factor is None:
            self.make_factor()
        return self._once(b, False)

    def make_factor(self) -> None:
        """Factor the present matrix."""
        self.factor, self.factored, self._first = None, None, None
        self.factorisations += 1
        small = self._system is None or isinstance(self.matrix, np.ndarray)
        self.factor = self._make(self.matrix, None if small else self._system.ordering)  # type: ignore[union-attr]
        self.factored = self.matrix

    def _may_iterate(self) -> bool:
        """Whether there is a factor of another matrix that is worth keeping."""
        factor = self.factor
        if factor is None or not self._keeps or self.is_exact:
            return False
        return factor.nnz >= LARGE and factor.price >= DEAR

    def _exactly(self, factor: Factor, b: Array, transposed: bool) -> Array:
        """By the factor of the matrix itself, refined to rounding."""
        found = refined(factor, self.matrix, b, transposed)
        self.solves += 2
        return factor.solve(b, transposed) if found is None else found

    def _once(self, b: Array, transposed: bool) -> Array:
        """By one solve with the factor; the last one is remembered."""
        assert self.factor is not None
        known = self._remembered(b, transposed)
        if known is not None:
            return known
        self.solves += 1
        found = self.factor.solve(b, transposed)
        if not transposed:
            self._first = b, found
        return found

    def _remembered(self, b: Array, transposed: bool) -> Array | None:
        """The last solve with the factor, if it was this one."""
        same = self._first is not None and not transposed and np.array_equal(self._first[0], b)
        return self._first[1] if same and self._first is not None else None

    def _by_other_factor(self, b: Array, transposed: bool, accuracy: float) -> Array | None:
        """By GMRES with the factor of an earlier matrix; None where a new factor is cheaper."""
        factor = self.factor
        if factor is None or not self._may_iterate():
            return None
        if b.ndim > 1:
            return self._columns(factor, b, transposed, accuracy)
        x = self._within_means(factor, b, transposed, max(accuracy, ROUNDING))
        if x is None or accuracy > 0.0:
            return x
        return self._polished(factor, b, x, transposed)

    def _polished(self, factor: Factor, b: Array, x: Array, transposed: bool) -> Array:
        """One step of refinement, if rounding of the iteration left more than that of the equations."""
        rest = b - (self.matrix.T if transposed else self.matrix) @ x
        before, after = (factor.column, factor.row) if transposed else (factor.row, factor.column)
        terms = float(np.abs(x / after).max(initial=0.0)) + float(np.abs(before * b).max(initial=0.0))
        if float(np.abs(before * rest).max(initial=0.0)) <= ROUNDING * terms:
            return x
        self.solves += 1
        return x + factor.solve(rest, transposed)

    def _columns(self, factor: Factor, b: Array, transposed: bool, accuracy: float) -> Array | None:
        found = np.empty_like(b)
        for k in range(b.shape[1]):
            x = self._by_other_factor(b[:, k], transposed, accuracy)
            if x is None:
                return None
            found[:, k] = x
        return found

    def _within_means(self, factor: Factor, b: Array, transposed: bool, accuracy: float) -> Array | None:
        most = min(MOST, int(SPENT * factor.price) - self._spent)
        if most < 3:
            return None
        x, solves = gmres(factor, self.matrix, b, transposed, accuracy, most, self._remembered(b, transposed))
        self._spent += solves
        self.solves += solves
        return x
