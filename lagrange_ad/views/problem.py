"""A view as a problem on arrays: what every optimizer sees, whatever the program and the space.

Takes a view; gives its numbers in the shape of ``optimizers.Problem``. Where nothing is eliminated they are those of
the groups at x (``direct.py``); else those of the plan that solves what is (``solution/reduction.py``).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DeclarationError
from ..execution import loops_of
from ..expression import Array
from ..lowering import inlined, with_outputs, without_equations
from ..optimizers import Problem
from ..solution.full import FullSpace
from ..solution.patterns import Dependence
from ..solution.plan import make_plan
from ..solution.reduction import Reduction
from .direct import Direct

if TYPE_CHECKING:
    from .view import View


class Eliminating:
    """J and the constraint values of a view as functions of x, what it eliminates solved at each x."""

    def __init__(self, view: View, reduction: Reduction) -> None:
        self._view, self.reduction, self._changes = view, reduction, view.changes

    @property
    def view(self) -> View:
        """The view, with the parameters that it had when this was made. Raises where these were changed since."""
        if self._view.changes != self._changes:
            raise DeclarationError("the view was given other parameters since this problem was made of it: take "
                                   "view.problem again")
        return self._view

    @property
    def jacobian_structure(self) -> tuple[Array, Array]:
        """Found when first asked for: methods of first order without constraints do not."""
        return self.reduction.jacobian_structure

    @property
    def hessian_structure(self) -> tuple[Array, Array] | None:
        """The same."""
        return self.reduction.hessian_structure

    def objective(self, x: Array) -> float:
        """J."""
        return self.view.sign * self.view.value(x)

    def gradient(self, x: Array) -> Array:
        """∇J (n,)."""
        return self.view.sign * self.view.gradient(x)

    def constraints(self, x: Array) -> Array:
        """The constraint values (m,)."""
        return self.view.constraint_values(x)

    def jacobian(self, x: Array) -> Array:
        """The numbers of ∂c/∂x."""
        return self.reduction.jacobian(self.view.point(x))

    def hessian(self, x: Array, sigma: float, y: Array) -> Array:
        """The numbers of σ∇²J + Σ y_i ∇²c_i, its lower triangle."""
        return self.reduction.hessian(self.view.point(x), sigma, y)

    def hessian_product(self, x: Array, sigma: float, y: Array, v: Array) -> Array:
        """(σ∇²J + Σ y_i ∇²c_i)·v (n,)."""
        return self.reduction.hessian_product(self.view.point(x), sigma, y, v)


def _direct(view: View) -> FullSpace | None:
    """What a view computes as functions of x without solving: what it eliminates is inlined, or are auxiliaries.

    None where there is something to solve, or where auxiliaries would fill the Hessian. Eliminated variables with
    bounds are the last rows.
    """
    plan, lowered = view.plan, view.lowered
    if plan.unknown[: lowered.n_user].any():
        if view.has_cycles or view.is_perturbed or not (lowered.own >= 0).all():
            return None
        row_of = np.full(lowered.state.size, -1, dtype=np.int64)
        row_of[lowered.own] = np.arange(lowered.n_rows)
        whole = with_outputs(lowered, row_of[view.bounded_places])
        found, left = inlined(whole, np.arange(lowered.n_rows), loops_of(plan.executor))
        if len(left):
            return None
        nothing = np.zeros(lowered.state.size, dtype=bool)
        plan = make_plan(without_equations(found), nothing, nothing, plan.executor)
    elif lowered.n_rows and len(view.places) > MOST_FILLED and not _is_sparse(view):
        return None
    return FullSpace(plan, view.places, plan.lowered.constraint_row_numbers)


MOST_FILLED = 1000
"""Up to so many variables a Hessian may be full."""


def _is_sparse(view: View) -> bool:
    """Whether auxiliaries leave the Hessian sparse."""
    found = Dependence(view.plan, view.places, view.lowered.constraint_row_numbers, view.bounded_places)
    return found.hessian(MOST_FILLED) is not None


class ViewProblem(Problem):
    """minimize sign·J(x) within the bounds of a view; rows are its constraint values, in their order.

    ``x0`` may be changed: it is where optimizers begin.
    """

    second_order = True

    def __init__(self, view: View) -> None:
        self.view = view
        self.x0, self.lower, self.upper = view.x0, view.lower, view.upper
        self.row_lower, self.row_upper = view.constraint_limits()

    @cached_property
    def _of(self) -> Direct | Eliminating:
        """What computes the numbers; made anew after pickling, for it holds compiled code."""
        view, space = self.view, _direct(self.view)
        if space is not None:
            return Direct(space, view.declared_state())
        rows = view.lowered.constraint_row_numbers
        return Eliminating(view, Reduction(view.plan, view.places, rows, view.bounded_places))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_of"}

    @property
    def jacobian_structure(self) -> tuple[Array, Array]:  # type: ignore[override]
        """(rows, variables) of the numbers of :meth:`jacobian`, int32, each position once."""
        return self._of.jacobian_structure

    @property
    def hessian_structure(self) -> tuple[Array, Array] | None:  # type: ignore[override]
        """(i, j), i ≥ j, of the numbers of :meth:`hessian`; None where there are products alone."""
        return self._of.hessian_structure

    @cached_property
    def coordinates(self) -> Array:  # type: ignore[override]
        """Which of x are kept unknowns of equations, and no decisions."""
        return self.view.space.coordinates

    def objective(self, x: Array) -> float:
        """sign·J."""
        return self.view.sign * self._of.objective(x)

    def gradient(self, x: Array) -> Array:
        """sign·dJ/dx."""
        return self.view.sign * self._of.gradient(x)

    def constraints(self, x: Array) -> Array:
        """The constraint values."""
        return self._of.constraints(x)

    def jacobian(self, x: Array) -> Array:
        """The numbers of the Jacobian of the constraint values."""
        return self._of.jacobian(x)

    def hessian(self, x: Array, sigma: float, y: Array) -> Array:
        """The numbers of σ∇²(sign·J) + Σ y_i ∇²c_i, its lower triangle."""
        return self._of.hessian(x, self.view.sign * sigma, y)

    def hessian_product(self, x: Array, sigma: float, y: Array, v: Array) -> Array:
        """(σ∇²(sign·J) + Σ y_i ∇²c_i)·v."""
        return self._of.hessian_product(x, self.view.sign * sigma, y, v)

    def variable_name(self, j: int) -> str:
        """What x_j is called in the program."""
        return self.view.inputs.element(j)

    def row_name(self, i: int) -> str:
        """What a row is called in the program."""
        return self.view.constraint_element(i)
