"""The functions whose derivatives are checked: values from values alone, derivatives as the library computes them.

Right sides of all rows by the user's state; the objective by inputs and parameters, the equations solved; the gradient
of the Lagrangian by the state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from ..expression import Array
from ..lowering.external import ExternalKernel
from ..program import Declarations
from ..solution import Plan, Point
from ..solution import full as full_space
from ..solution.evaluation import declared_state
from ..solution.forward import Start, propagate
from ..solution.steps import BlockStep
from ..solvers import MAX_ITERATIONS

BY_CALLS = 1e-6
"""How well derivatives agree that are themselves found by differences."""


class RightSides:
    """f of every row at any state: right sides of explicit equations, right − left of implicit ones, the objective,
    the bodies of constraints. Auxiliaries are eliminated: rows and columns are the user's.
    """

    def __init__(self, plan: Plan, state: Array) -> None:
        self.plan, self.state = plan, state
        lowered = self.lowered = plan.lowered
        self.at = state[: lowered.n_user].copy()
        goal = lowered.objective_row + (lowered.objective is None)
        self.shown = np.concatenate([np.arange(lowered.n_user_rows), np.arange(goal, lowered.n_all_rows)])
        own = lowered.own[: lowered.n_user_rows]
        self._explicit = np.flatnonzero(own >= 0)
        self._own = own[self._explicit]

    def values(self, z: Array) -> Array:
        """f of the shown rows at a user's state, real or complex."""
        state = self.complete(z)
        out = np.zeros(self.lowered.n_all_rows, dtype=state.dtype)
        self.plan.everything.values(state, out)
        return np.asarray(out[self.shown])

    def complete(self, z: Array) -> Array:
        """The whole state of a user's state."""
        state = self.state.astype(z.dtype)
        state[: len(z)] = z
        return full_space.complete(self.plan, state, None)

    @cached_property
    def _whole(self) -> Array:
        return self.complete(self.at)

    def tangent(self, direction: Array) -> Array:
        """∂f/∂z·direction, by tangents."""
        state, lowered = self._whole, self.lowered
        dz, change = np.zeros(len(state)), np.zeros(lowered.n_all_rows)
        dz[: len(direction)] = direction
        for step in self.plan.auxiliary_steps:
            step.run.tangent(state, dz, change)
            dz[step.own] = change[step.rows]
        out = np.zeros(lowered.n_all_rows)
        self.plan.everything.tangent(state, dz, out)
        return np.asarray(out[self.shown])

    def adjoint(self, weights: Array) -> Array:
        """weights·∂f/∂z, by back-substitution through auxiliaries."""
        w = full_space.adjoint(self.plan, self._whole, self.all_rows(weights))
        w[self._own] += weights[self._explicit]
        return w

    def all_rows(self, weights: Array) -> Array:
        """Weights of the shown rows among those of all rows."""
        rows = np.zeros(self.lowered.n_all_rows, dtype=weights.dtype)
        rows[self.shown] = weights
        return rows

    @cached_property
    def jacobian(self) -> Any:
        """∂f/∂z as a sparse CSC array, (shown rows, user's state)."""
        from scipy import sparse

        with np.errstate(all="ignore"):
            found = full_space.jacobian(self.plan, self._whole)
        if self.lowered.objective is None:
            keep = np.delete(np.arange(found.shape[0]), self.lowered.n_user_rows)
            found = found[keep]
        own = (np.ones(len(self._own)), (self._explicit, self._own))
        return sparse.csc_array(found + sparse.csr_array(own, shape=found.shape))

    def column(self, j: int) -> tuple[Array, Array]:
        """A column of the Jacobian, and whether each row depends on it as declared."""
        matrix, pattern = self.jacobian, self._incidence
        column = np.zeros(len(self.shown))
        part = slice(matrix.indptr[j], matrix.indptr[j + 1])
        column[matrix.indices[part]] = matrix.data[part]
        return column, pattern[1][pattern[0] == j]

    @cached_property
    def _incidence(self) -> tuple[Array, Array]:
        """(column, row) of every entry of the Jacobian but those of the left sides."""
        entries = self.jacobian.tocoo()
        rows, columns = entries.coords
        own = np.full(len(self.shown), -1)
        own[self._explicit] = self._own
        keep = (own[rows] != columns) | (entries.data != 0.0)
        return columns[keep], rows[keep]

    # user functions ----------------------------------------------------------------------------------------

    def depends(self, on: Callable[[ExternalKernel], bool]) -> Array:
        """Which shown rows depend, through auxiliaries, on a user function of the kind that ``on`` tells."""
        lowered = self.lowered
        marked = np.zeros(lowered.n_all_rows, dtype=bool)
        for group in lowered.all_groups:
            if isinstance(group.kernel, ExternalKernel) and on(group.kernel):
                marked[group.row.array().ravel()] = True
        if marked.any():
            rows, elements = self.plan.everything.jacobian_pattern()
            hidden = elements >= lowered.n_user
            rows, elements = rows[hidden], elements[hidden]
            size = -1
            while size < (size := int(marked.sum())):
                of_element = np.zeros(lowered.state.size, dtype=bool)
                of_element[lowered.own[np.flatnonzero(marked[: lowered.n_rows])]] = True
                marked[rows[of_element[elements]]] = True
        return np.asarray(marked[self.shown])

    @cached_property
    def called(self) -> Array:
        """The rows that depend on a user function: what it gives for complex numbers is its own derivative."""
        return self.depends(lambda kernel: True)

    def tolerance(self, wanted: float) -> Array:
        """The tolerance of each row: user functions without a Jacobian of theirs are differenced, to 8 digits or so."""
        return np.where(self.depends(lambda kernel: kernel.function.jacobian is None), max(wanted, BY_CALLS), wanted)

    # names -------------------------------------------------------------------------------------------------

    def block(self, row: int) -> tuple[int, str]:
        """A number and the name of the equation, objective or constraint that a shown row belongs to."""
        lowered = self.lowered
        if row < lowered.n_user_rows:
            number = lowered.rows.block_of(row)
            return number, lowered.rows.names[number]
        after = int(self.shown[row]) - lowered.objective_row - 1
        if after < 0:
            assert lowered.objective is not None
            name = lowered.objective.name
            return len(lowered.equations), name if name == "objective" else f"objective {name}"
        number = lowered.constraint_rows.block_of(after)
        return len(lowered.equations) + 1 + number, lowered.constraint_rows.names[number]

    @cached_property
    def block_of_row(self) -> Array:
        """The number of :meth:`block` for every shown row."""
        lowered = self.lowered
        equations, constraints = np.diff(lowered.rows.start)[: len(lowered.equations)], lowered.constraint_rows
        goal = [] if lowered.objective is None else [len(lowered.equations)]
        others = np.repeat(len(lowered.equations) + 1 + np.arange(len(constraints.names)), np.diff(constraints.start))
        return np.concatenate([np.repeat(np.arange(len(lowered.equations)), equations), goal, others]).astype(np.int64)

    def element(self, row: int) -> str:
        """The user's name of a shown row."""
        lowered = self.lowered
        if row < lowered.n_user_rows:
            return lowered.rows.element(row)
        after = int(self.shown[row]) - lowered.objective_row - 1
        return self.block(row)[1] if after < 0 else lowered.constraint_rows.element(after)

    @property
    def goal(self) -> int:
        """The shown row of the objective, where there is one."""
        return self.lowered.n_user_rows

    def location(self, row: int) -> tuple[str, int]:
        """The file and line that a shown row was declared at."""
        lowered, (number, _) = self.lowered, self.block(row)
        if number < len(lowered.equations):
            return lowered.equations[number].location
        if number == len(lowered.equations):
            assert lowered.objective is not None
            return lowered.objective.location
        return lowered.constraints[number - len(lowered.equations) - 1].location


class SolvedObjective:
    """The objective as a function of inputs and parameters, the equations solved from where they are solved now."""

    def __init__(self, program: Declarations, at: Point) -> None:
        plan, lowered = at.plan, at.plan.lowered
        declared = declared_state(program, plan)
        self._plan, self._state = plan, at.state.copy()
        self._start = Start(self._state, np.ones(lowered.state.size, dtype=bool), declared.domain,
                            at.offset)
        self.elements = np.flatnonzero(~plan.unknown)
        self.at = self._state[self.elements]
        self.gradient = at.adjoints[1][self.elements]
        self.has_cycles = any(isinstance(step, BlockStep) for step in plan.steps)

    def value(self, x: Array) -> Array:
        """J at x, in an array of one; NaN where the equations have no solution."""
        z = self._state.astype(x.dtype)
        z[self.elements] = x
        solved = propagate(self._plan, replace(self._start, z=z), MAX_ITERATIONS)
        rows = np.zeros(self._plan.lowered.n_all_rows, dtype=x.dtype)
        if solved.failed is not None:
            return np.full(1, np.nan)
        self._plan.objective.values(solved.z, rows)
        row = self._plan.lowered.objective_row
        return rows[row : row + 1]


def gradient_of(sides: RightSides, weights: Array) -> Callable[[Array], Array]:
    """∂/∂z of Σ weights·f as a function of the user's state."""
    def gradient(z: Array) -> Array:
        rows = sides.all_rows(weights.astype(z.dtype))
        return full_space.adjoint(sides.plan, sides.complete(z), rows)

    return gradient


def hessian_of(sides: RightSides, weights: Array) -> Any:
    """∂²/∂z² of Σ weights·f at the user's state, sparse CSR."""
    state = sides.complete(sides.at)
    with np.errstate(all="ignore"):
        return full_space.hessian(sides.plan, state, sides.all_rows(weights))
