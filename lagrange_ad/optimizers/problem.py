"""What an optimizer sees: minimize f(x) within bounds of x and of rows c(x), on arrays; and what it answers.

    minimize f(x)   subject to   lower ≤ x ≤ upper,   row_lower ≤ c(x) ≤ row_upper

Signs of multipliers, in this room and of every algorithm: y_i = df*/d(the bound that row i is at), z_j = df*/d(the
bound that x_j is at), 0 where not at a bound. So ∇f = Jᵀy + z at an optimum, y_i ≥ 0 at a lower and ≤ 0 at an upper
bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


class Problem:
    """A problem with n variables and m rows. Subclasses give the numbers; structures are fixed when it is made.

    ``x0``, ``lower``, ``upper`` (n,); ``row_lower``, ``row_upper`` (m,): equal where the row is an equation, ±inf where
    there is no bound. ``jacobian_structure``: (rows, columns) of the numbers of :meth:`jacobian`, each position once,
    int32. ``hessian_structure``: the same of :meth:`hessian`, rows ≥ columns; None where there is none but
    :meth:`hessian_product`. ``second_order``: whether there are second derivatives at all. ``coordinates`` (n,): which
    variables are kept unknowns of equations and no decisions; None where nobody told.

    Where f or c has no value, methods give NaN, or raise LagrangeError of the equations that were not solved; to an
    optimizer both say that the point is no good.
    """

    x0: Array
    lower: Array
    upper: Array
    row_lower: Array
    row_upper: Array
    jacobian_structure: tuple[Array, Array]
    hessian_structure: tuple[Array, Array] | None = None
    second_order: bool = False
    coordinates: Array | None = None

    @property
    def n(self) -> int:
        """Number of variables."""
        return len(self.x0)

    @property
    def m(self) -> int:
        """Number of rows."""
        return len(self.row_lower)

    def objective(self, x: Array) -> float:
        """f(x)."""
        raise NotImplementedError

    def gradient(self, x: Array) -> Array:
        """∇f (n,)."""
        raise NotImplementedError

    def constraints(self, x: Array) -> Array:
        """c(x) (m,)."""
        raise NotImplementedError

    def jacobian(self, x: Array) -> Array:
        """The numbers of ∂c/∂x at ``jacobian_structure``."""
        raise NotImplementedError

    def hessian(self, x: Array, sigma: float, y: Array) -> Array:
        """The numbers of the lower triangle of σ∇²f + Σ y_i ∇²c_i at ``hessian_structure``."""
        raise NotImplementedError

    def hessian_product(self, x: Array, sigma: float, y: Array, v: Array) -> Array:
        """(σ∇²f + Σ y_i ∇²c_i) v (n,)."""
        if self.hessian_structure is None:
            raise NotImplementedError(f"{type(self).__name__} must give a Hessian or products with it")
        return np.asarray(self.hessian_matrix(x, sigma, y) @ v)

    def variable_name(self, j: int) -> str:
        """What x_j is called."""
        return f"x[{j}]"

    def row_name(self, i: int) -> str:
        """What row i is called."""
        return f"row {i}"

    # the same as matrices ----------------------------------------------------------------------------------

    def jacobian_matrix(self, x: Array) -> Any:
        """∂c/∂x, scipy.sparse CSR (m, n)."""
        from scipy import sparse

        return sparse.csr_array((self.jacobian(x), self.jacobian_structure), shape=(self.m, self.n))

    def hessian_matrix(self, x: Array, sigma: float, y: Array) -> Any:
        """σ∇²f + Σ y_i ∇²c_i, symmetric scipy.sparse CSR (n, n); made of n products where it has no structure."""
        from scipy import sparse

        if self.hessian_structure is None:
            made = np.array([self.hessian_product(x, sigma, y, unit) for unit in np.eye(self.n)])
            return sparse.csr_array(0.5 * (made + made.T).reshape(self.n, self.n))
        rows, columns = self.hessian_structure
        values, off = self.hessian(x, sigma, y), rows != columns
        entries = np.concatenate([rows, columns[off]]), np.concatenate([columns, rows[off]])
        return sparse.csr_array((np.concatenate([values, values[off]]), entries), shape=(self.n, self.n))

    def as_cyipopt(self) -> IpoptShape:
        """The same in the shape that ``cyipopt.Problem`` and its kin take: methods by Ipopt's names."""
        return IpoptShape(self)


class IpoptShape:
    """A problem by the names of cyipopt: ``cyipopt.Problem(p.n, p.m, p, p.lb, p.ub, p.cl, p.cu)`` with this as ``p``.

    Ipopt's multipliers are of L = f + λᵀc: −1 times those of this room. ``hessian`` is there where the problem has a
    matrix of second derivatives.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem, self.n, self.m = problem, problem.n, problem.m
        self.x0, self.lb, self.ub = problem.x0, problem.lower, problem.upper
        self.cl, self.cu = problem.row_lower, problem.row_upper
        self.objective, self.gradient = problem.objective, problem.gradient
        self.constraints, self.jacobian = problem.constraints, problem.jacobian
        if problem.second_order and problem.hessian_structure is not None:
            self.hessian, self.hessianstructure = self._hessian, self._hessian_structure

    def jacobianstructure(self) -> tuple[Array, Array]:
        """(rows, columns) of the numbers of ``jacobian(x)``."""
        return self._problem.jacobian_structure

    def _hessian_structure(self) -> tuple[Array, Array]:
        found = self._problem.hessian_structure
        assert found is not None
        return found

    def _hessian(self, x: Array, lagrange: Array, obj_factor: float) -> Array:
        return self._problem.hessian(x, obj_factor, lagrange)


@dataclass(eq=False)
class Answer:
    """Where an algorithm ended: x (n,), its multipliers y (m,), z (n,) (None where it has none), and why it stopped.

    ``reason``: "solved", or "iterations", "time", "callback", "interrupted", "infeasible", "unbounded", "stalled" (no
    step improves), "domain" (no value where it had to go), "failed". ``message`` says it in words, with names.
    """

    x: Array
    reason: str
    message: str
    y: Array | None = None
    z: Array | None = None
    iterations: int = 0
