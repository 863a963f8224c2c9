"""Linear systems of blocks too large to factor: Krylov methods of scipy.sparse.linalg with a preconditioner.

``Krylov`` says how, for the user; ``KrylovSolves`` does it in the place of ``Linear``. Where the preconditioner needs
no matrix, none is made: J·v comes from the equations' tangents and Jᵀ·v from their adjoints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np

from ...errors import DeclarationError
from .factors import NotSolvedError, reciprocal
from .pattern import Array, System
from .solves import COARSEST, FINEST, Linear

METHODS = ("gmres", "lgmres", "bicgstab", "gcrotmk", "tfqmr", "cgs", "cg", "minres")
RESTARTED = ("gmres",)
OUTER = {"lgmres": 30, "gcrotmk": 20}
"""Methods whose iterations are of so many products each."""
Apply: TypeAlias = Callable[[Array], Array]


@dataclass(frozen=True)
class Krylov:
    """Solve the linear systems of a block iteratively.

    ``method`` is ``gmres``, ``lgmres``, ``bicgstab``, ``gcrotmk``, ``tfqmr`` or ``cgs``; ``cg`` and ``minres`` are for
    symmetric Jacobians. ‖b − J x‖ ≤ ``tolerance``·‖b‖ for multipliers and tangents; Newton's corrections need less far
    from the solution and ask for less. ``restart``: basis vectors of ``gmres`` before it starts over;
    ``max_iterations``: iterations of one solve at most, each one or two products with J.

    ``preconditioner`` is None; ``"jacobi"``, the diagonal; ``"ilu"``, an incomplete factorisation by SuperLU
    (``drop_tol`` smaller and ``fill_factor`` larger make it more exact); or a function ``make(J, x)``, called for every
    new J, a ``LinearOperator`` (``matvec``: J·v, ``rmatvec``: Jᵀ·v) at the unknowns ``x``, in the order of
    ``block.unknowns``. It returns a function v ↦ M⁻¹ v, M ≈ J. For multipliers M⁻ᵀ v is needed as well: then return two
    functions (M⁻¹, M⁻ᵀ), or an object with ``matvec`` and ``rmatvec``, or one with ``solve(v)`` and ``solve(v, "T")``,
    such as scipy's ``splu`` and ``spilu``. With None and with a function no matrix is ever made.

    Raises DeclarationError for a method or a preconditioner that there is not.
    """

    method: str = "gmres"
    tolerance: float = 1e-12
    restart: int = 60
    max_iterations: int = 2000
    preconditioner: str | Callable[[Any, Array], Any] | None = None
    drop_tol: float = 1e-4
    fill_factor: float = 10.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise DeclarationError(f"method={self.method!r} is no Krylov method here; there are {', '.join(METHODS)}")
        if isinstance(self.preconditioner, str) and self.preconditioner not in ("ilu", "jacobi"):
            raise DeclarationError(
                f"preconditioner={self.preconditioner!r} is not known: use 'ilu', 'jacobi', None, or a function of "
                "(J, x) that returns v ↦ M⁻¹ v"
            )
        if not (self.preconditioner is None or isinstance(self.preconditioner, str) or callable(self.preconditioner)):
            raise DeclarationError(f"preconditioner={self.preconditioner!r} of Krylov is no function of (J, x)")
        for name in ("tolerance", "drop_tol", "fill_factor"):
            value, most = getattr(self, name), np.inf if name == "fill_factor" else 1.0
            if not isinstance(value, Real) or isinstance(value, bool) or not 0.0 < float(value) < most:
                expected = "a positive number" if name == "fill_factor" else "a number between 0 and 1"
                raise DeclarationError(f"{name}={value!r} of Krylov must be {expected}")
        for name in ("restart", "max_iterations"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
                raise DeclarationError(f"{name}={value!r} of Krylov must be an integer ≥ 1")

    @property
    def is_matrix_free(self) -> bool:
        """Whether J is needed as an operator only."""
        return not isinstance(self.preconditioner, str)


class KrylovSolves(Linear):
    """The linear solves of one block by a Krylov method: matrices are arrays, CSC, or linear operators."""

    def __init__(self, choice: Krylov, system: System | None = None) -> None:
        super().__init__(system)
        self.choice = choice
        self.iterations = 0
        """Products with J of all solves so far."""
        self._preconditioner: tuple[Apply | None, Apply | None] | None = None
        self._values: Array | None = None

    @property
    def is_matrix_free(self) -> bool:
        """Whether :meth:`update` wants linear operators."""
        return self.choice.is_matrix_free

    def update(self, matrix: Any, values: Array | None = None, where: Any = None) -> None:
        """What is solved with from now on."""
        super().update(matrix, values, where)
        self._preconditioner, self._values = None, values

    def _solve(self, b: Array, transposed: bool, accuracy: float) -> Array:
        """To a relative residual of ``accuracy``, or of the chosen tolerance; raises NotSolvedError."""
        if b.ndim > 1:
            return np.stack([self._solve(column, transposed, accuracy) for column in b.T], axis=1)
        size = float(np.linalg.norm(b))
        if size == 0.0:
            return np.zeros_like(b)
        if not np.isfinite(size):
            raise NotSolvedError("the residuals have entries that are not finite")
        goal = max(self.choice.tolerance, accuracy)
        x = self._iterated(b, transposed, goal)
        left = float(np.linalg.norm(b - self._product(transposed)(x))) / size
        if not left <= max(10.0 * goal, COARSEST if accuracy > 0.0 else 0.0):
            raise NotSolvedError(
                f"{self.choice.method} left {left:.1e} of the right side after at most {self.choice.max_iterations} "
                f"iterations ({goal:.1e} was asked for): a better preconditioner, a larger restart or max_iterations "
                "may help"
            )
        return x

    def correction(self, b: Array) -> Array:
        """A⁻¹ b as exactly as Newton's method needs it; see :class:`Linear`."""
        size = float(np.linalg.norm(self.estimate(b)))
        part = min(1.0, size / self._size) if self._size > 0.0 else 1.0
        self._size = size
        return self.solve(b, accuracy=min(COARSEST, max(FINEST, 0.1 * part**2)))

    def estimate(self, b: Array) -> Array:
        """M⁻¹ b with the preconditioner, b itself where there is none."""
        apply = self._pair()[0]
        return b if apply is None else apply(b)

    def _iterated(self, b: Array, transposed: bool, goal: float) -> Array:
        from scipy.sparse import linalg

        n, dtype = len(b), np.result_type(b, float)
        apply = self._needed(transposed)
        options: dict[str, Any] = {"rtol": goal, "maxiter": self.choice.max_iterations}
        if self.choice.method in RESTARTED:
            restart = min(self.choice.restart, n)
            restart = min(restart, self.choice.max_iterations)
            options |= {"restart": restart, "maxiter": self.choice.max_iterations // restart}
        elif self.choice.method in OUTER:
            inner = min(OUTER[self.choice.method], self.choice.max_iterations)
            name = "inner_m" if self.choice.method == "lgmres" else "m"
            options |= {name: inner, "maxiter": max(1, self.choice.max_iterations // inner)}
        if apply is not None:
            options["M"] = linalg.LinearOperator((n, n), matvec=apply, dtype=dtype)
        product = self._counted(self._product(transposed))
        operator = linalg.LinearOperator((n, n), matvec=product, dtype=dtype)
        x, _ = getattr(linalg, self.choice.method)(operator, b, **options)
        return np.asarray(x)

    def _counted(self, product: Apply) -> Apply:
        def counting(v: Array) -> Array:
            self.iterations += 1
            return product(np.ravel(v))

        return counting

    def _product(self, transposed: bool) -> Apply:
        matrix = self.matrix
        if hasattr(matrix, "matvec"):
            product: Apply = matrix.rmatvec if transposed else matrix.matvec
            return product
        operand = matrix.T if transposed else matrix
        return lambda v: operand @ v

    def _needed(self, transposed: bool) -> Apply | None:
        """The preconditioner of A, or of Aᵀ."""
        forward, backward = self._pair()
        if transposed and backward is None and forward is not None:
            raise NotSolvedError(
                "multipliers need the transposed preconditioner, and its function returned v ↦ M⁻¹ v alone; return two "
                "functions (M⁻¹, M⁻ᵀ), or an object with matvec and rmatvec (where M is symmetric, one function twice)"
            )
        return backward if transposed else forward

    def _pair(self) -> tuple[Apply | None, Apply | None]:
        """M⁻¹ and M⁻ᵀ of the present matrix."""
        if self._preconditioner is None:
            how = self.choice.preconditioner
            if how is None:
                self._preconditioner = None, None
            elif how == "jacobi":
                self._preconditioner = _diagonal(self.matrix)
            elif how == "ilu":
                self._preconditioner = _incomplete(self.matrix, self.choice)
            else:
                assert not isinstance(how, str)
                self._preconditioner = _both(how(_operator(self.matrix), self._values))  # type: ignore[arg-type]
        return self._preconditioner


def _operator(matrix: Any) -> Any:
    from scipy.sparse.linalg import aslinearoperator

    return aslinearoperator(matrix)


def _both(made: Any) -> tuple[Apply, Apply | None]:
    """M⁻¹ and, where there is one, M⁻ᵀ of what a user's function returned."""
    if isinstance(made, tuple) and len(made) == 2 and all(map(callable, made)):
        return _guarded(made[0]), _guarded(made[1])
    if hasattr(made, "matvec"):
        return _guarded(made.matvec), _guarded(made.rmatvec)
    if hasattr(made, "solve"):
        return _guarded(made.solve), _guarded(lambda v: made.solve(v, "T"))
    if callable(made):
        return _guarded(made), None
    raise DeclarationError(
        f"the preconditioner's function returned {type(made).__name__}; return a function v ↦ M⁻¹ v, two of them "
        "(M⁻¹, M⁻ᵀ), a LinearOperator, or an object with solve(v) and solve(v, 'T')"
    )


def _guarded(apply: Apply) -> Apply:
    """A user's function on a copy of the vector, its result checked."""

    def applied(v: Array) -> Array:
        found = np.asarray(apply(np.array(v)))
        if found.shape != np.shape(v):
            raise DeclarationError(f"the preconditioner of Krylov gave an array of shape {found.shape} for a vector of "
                                   f"shape {np.shape(v)}: return M⁻¹ v, one number an unknown of the block")
        return found

    return applied


def _diagonal(matrix: Any) -> tuple[Apply, Apply]:
    """The diagonal, 1 where that is 0."""
    diagonal = np.array(matrix.diagonal())
    inverse = 1.0 / np.where(diagonal == 0.0, 1.0, diagonal)
    return (lambda v: inverse * v), (lambda v: inverse * v)


def _incomplete(matrix: Any, choice: Krylov) -> tuple[Apply, Apply]:
    """An incomplete LU of the matrix with its rows scaled to 1."""
    from scipy import sparse
    from scipy.sparse.linalg import spilu

    matrix = sparse.csc_array(matrix)
    row = reciprocal(np.asarray(abs(matrix).max(axis=1).todense()).ravel())
    try:
        made: Any = spilu(sparse.csc_array(sparse.diags_array(row) @ matrix), choice.drop_tol, choice.fill_factor)
    except RuntimeError:
        raise NotSolvedError("the incomplete factorisation broke down (a pivot is zero)") from None
    return (lambda v: made.solve(row * v)), (lambda v: row * made.solve(v, "T"))
