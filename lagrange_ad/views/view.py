"""What optimizers see of a program: plain NumPy functions of flat vectors, always to be minimized.

    minimize sign·J(x)   subject to   lower ≤ x ≤ upper,   and bounds on the constraint values c(x)

The reduced view has the inputs in x alone: the variables are solved for at every x. The full view has the variables in
x too, and their equations among the constraints. A mixed view eliminates the variables that were named.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ShapeError
from ..expression import Array, Symbol, evaluate
from ..tables import Report
from .showing import view_report
from .solved import Solved

if TYPE_CHECKING:
    from .problem import ViewProblem


class View(Solved):
    """The objective and the constraints as functions of a flat x, what is eliminated solved at each x.

    ``value_and_gradient(x)`` gives (sign·J, sign·dJ/dx), where ``sign`` is −1 for a maximize program, so that
    ``scipy.optimize.minimize(view.value_and_gradient, view.x0, jac=True, bounds=view.bounds,
    constraints=view.constraints)`` does what was declared. ``view.problem`` is the same in the shape of interior-point
    solvers: sparse Jacobian and Hessian, their structure once, their numbers many times.

    Equations, roles and parameters are those of the program when the view is made; x has the inputs that are given
    then, with the variables that are kept, and ``set`` changes parameters, and variables that were fixed, for the view
    alone. Each solve starts from the last one that succeeded. ``perturbation`` adds ε to right sides of equations.
    """

    _problem: tuple[int, ViewProblem] | None = None

    @property
    def problem(self) -> ViewProblem:
        """The view as interior-point solvers want it: structures once, numbers many times; a new one after ``set``."""
        if self._problem is None or self._problem[0] != self.changes:
            from .problem import ViewProblem

            self._problem = self.changes, ViewProblem(self)
        return self._problem[1]

    def hessian(self, x: Array) -> Any:
        """sign·d²J/dx² (n, n), what is eliminated following x: an array where that is everything, else sparse CSR.

        An array takes a product (``hessian_product``) a column, fewer where columns share no row.
        """
        found = self.problem.hessian_matrix(self._checked(x), 1.0, np.zeros(self.problem.m))
        return found.toarray() if self.space.name == "reduced" or self.problem.hessian_structure is None else found

    def __getstate__(self) -> dict[str, Any]:
        found = super().__getstate__()
        found.pop("_problem", None)  # it holds compiled code
        return found

    def hessian_product(self, x: Array, v: Array) -> Array:
        """sign·(d²J/dx²)·v (n,), by a tangent, a back-substitution and the factors that the solve at x left."""
        along = np.asarray(v, dtype=np.float64)
        if along.shape != self._x0.shape:
            raise ShapeError(f"v must have shape {self._x0.shape}, that of x, got {along.shape}")
        return self.problem.hessian_product(self._checked(x), 1.0, np.zeros(self.problem.m), along)

    @property
    def constraints(self) -> Any:
        """The constraints as functions of x: a list for ``scipy.optimize.minimize(constraints=...)``."""
        from scipy.optimize import NonlinearConstraint

        if not self.constraint_names:
            return []
        low, high = self.constraint_limits()
        return [NonlinearConstraint(self.constraint_values, low, high, jac=self.constraint_jacobian)]

    @property
    def constraint_names(self) -> list[str]:
        """Kept equations, the declared constraints, then eliminated variables that have bounds, as in their values."""
        return [*self._plan.lowered.constraint_rows.names, *(s.name for s, _ in self._bounded)]

    def constraint_element(self, number: int) -> str:
        """The name of one constraint value: an equation, a constraint or a variable, or an element of one."""
        rows = self._plan.lowered.constraint_rows
        if number < rows.size:
            return rows.element(number)
        return self._plan.lowered.state.element(int(self.bounded_places[number - rows.size]))

    @cached_property
    def _bounded(self) -> list[tuple[Symbol, Array]]:
        """What is eliminated and has a finite bound, with the places of the elements that are eliminated."""
        roles, slices = self._plan.roles, self._plan.lowered.state.slices
        return [
            (s, slices[s.name].start + np.flatnonzero(self._plan.unknown[slices[s.name]]))
            for s in self._plan.lowered.symbols.values()
            if not s.is_unbounded and roles.has_unknown(s.name)
            and (np.isfinite(s.lower).any() or np.isfinite(s.upper).any())
        ]

    @cached_property
    def bounded_places(self) -> Array:
        """Where the eliminated elements stand in the state whose bounds are constraints."""
        return np.concatenate([np.empty(0, np.int64), *(places for _, places in self._bounded)])

    def constraint_limits(self) -> tuple[Array, Array]:
        """The lower and the upper bounds of the constraint values, with the parameters that the view has now."""
        lowered = self._plan.lowered
        n = lowered.constraint_rows.size
        low, high = np.full(n, -np.inf), np.full(n, np.inf)
        n_kept = len(self.space.arranged.kept)
        low[:n_kept] = high[:n_kept] = 0.0
        for c in lowered.constraints:
            where = lowered.constraint_rows.slices[c.name]
            for flat, side in ((low, c.lower), (high, c.upper)):
                if side is not None:
                    flat[where] = np.broadcast_to(self._side(side), c.body.shape).ravel()
        if self._declared.offset is not None:
            offset = self._declared.offset[lowered.first_constraint_row :]
            low, high = low - offset, high - offset
        of_variables = self._bounds_of(self.bounded_places)
        return np.concatenate([low, of_variables[0]]), np.concatenate([high, of_variables[1]])

    def _side(self, side: Any) -> Array:
        """The value of a bound, which holds parameters at most."""
        if side.op == "constant":
            return np.asarray(side.data)
        state = self._plan.lowered.state
        return evaluate(side, {name: state.get(self._declared.z, name) for name in self._parameters})

    def constraint_values(self, x: Array) -> Array:
        """Residuals of kept equations, the bodies of constraints, then eliminated variables with bounds; flat."""
        point, lowered = self.point(x), self._plan.lowered
        rows = np.zeros(lowered.n_all_rows)
        with np.errstate(all="ignore"):
            self._plan.constraints.values(point.state, rows)
        return np.concatenate([rows[lowered.first_constraint_row :], point.state[self.bounded_places]])

    def constraint_jacobian(self, x: Array) -> Any:
        """d(constraint values)/dx, (constraints, x): an array where everything is eliminated, else scipy.sparse CSR."""
        if self.space.name != "reduced":
            return self.problem.jacobian_matrix(x)
        return self.dense_jacobian(x)

    def dense_jacobian(self, x: Array) -> Array:
        """The same as an array, by one back-substitution with several seeds."""
        point, lowered = self.point(x), self._plan.lowered
        variables, declared = self.bounded_places, lowered.constraint_rows.size
        rows = np.zeros((lowered.n_all_rows, declared + len(variables)))
        rows[lowered.first_constraint_row :, :declared] = np.eye(declared)
        unknowns = np.zeros((lowered.state.size, declared + len(variables)))
        unknowns[variables, declared + np.arange(len(variables))] = 1.0
        w = point.pull_back(rows, unknowns)
        return np.asarray(w[self._places].T)

    # showing -----------------------------------------------------------------------------------------------

    def _report(self) -> Report:
        return view_report(self)

    def __repr__(self) -> str:
        count = f"{self.inputs.size} {'input' if self.space.name == 'reduced' else 'variables'}"
        plural = "s" if self.space.name == "reduced" and self.inputs.size != 1 else ""
        return f"<{self.space.name} view of {self._plan.lowered.name!r}: {count}{plural}>"

