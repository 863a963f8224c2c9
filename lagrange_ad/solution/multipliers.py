"""Back-substitution: stationarity of the Lagrangian in z, walked through the schedule in reverse.

    w_j = ∂J/∂z_j + Σ_i λ_i ∂r_i/∂z_j          the adjoint of unknown j, summed over the rows i that contain it
    λ_j = w_j                                  an explicit row
    (∂r/∂z)ᵀ λ = −w                            a block (and, unit triangular, a sequence)

Sources: T. Vieira, "Backprop is not just the chain rule" (2017); Y. LeCun (1988).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import SingularError
from ..expression import Array
from ..solvers import Linear, NotSolvedError, SingularMatrixError
from ..text import listing
from .block import BlockReport, linear_of
from .forward import Reports, Solved, restored
from .operators import BlockOperator
from .plan import Plan
from .steps import BlockStep, SequenceStep, Step, blamed

if TYPE_CHECKING:
    from .compiled import CompiledPlan


def adjoints(plan: Plan, solved: Solved, lam: Array, seeds: Array | None = None) -> tuple[Array, Array]:
    """Multipliers λ of all rows and adjoints w of all state elements, for given λ of the objective's row.

    ``lam`` has one entry a row (objective and constraints after the equations), the seeds set; a second axis holds
    several seeds. ``seeds`` on state elements, shaped like w, are added to what the rows give. What is left in w at
    inputs and parameters is the gradient.
    """
    z = solved.z
    several_by_python = lam.ndim > 1 and plan.compiled is not None and not plan.compiled.is_whole
    if plan.compiled is not None and z.dtype == np.float64 and not several_by_python:
        if solved.whole is None:
            solved.whole = restored(plan.compiled, solved)
        return _adjoints_compiled(plan, plan.compiled, solved, lam, seeds)
    w = np.zeros((len(z), *lam.shape[1:]), dtype=np.result_type(z, lam))
    constrained = bool(lam[plan.lowered.first_constraint_row :].any())
    if seeds is not None:
        w += seeds
    with np.errstate(all="ignore"):
        plan.objective.adjoint(z, lam, w)
        if constrained:
            plan.constraints.adjoint(z, lam, w)
        back_substitute(plan, z, solved.reports, lam, w, everything=constrained or seeds is not None)
    return lam, w


def _adjoints_compiled(plan: Plan, compiled: CompiledPlan, solved: Solved, lam: Array,
                       seeds: Array | None) -> tuple[Array, Array]:
    """The same by one native call a seed."""
    if lam.ndim > 1:
        w = np.empty((compiled.n_state, lam.shape[1]))
        for k in range(lam.shape[1]):
            own = None if seeds is None else seeds[:, k]
            lam[:, k], w[:, k] = _adjoints_compiled(plan, compiled, solved, lam[:, k].copy(), own)
        return lam, w
    first = plan.lowered.objective_row
    pull_back = PullBack(plan, compiled, solved, everything=bool(lam[first + 1 :].any()) or seeds is not None)
    pull_back.lam[:] = lam
    found = pull_back.run(lam[first:], 0.0 if seeds is None else seeds)
    rows, elements = compiled.explicit
    lam[:] = pull_back.lam
    lam[rows] = found[elements]
    return lam, found


class PullBack:
    """Back-substitution by compiled code for one seed after the other, in memory made once.

    ``pull_back(element, row)`` is w of the whole state for a seed on a state element or on a row of the objective or
    the constraints (−1: none), good until the next.
    """

    def __init__(self, plan: Plan, compiled: CompiledPlan, solved: Solved, everything: bool = True) -> None:
        from ..execution.native.driver import Pointers

        whole = solved.whole
        assert whole is not None
        self._solved, self._first, self._n = solved, plan.lowered.objective_row, compiled.n_state
        self._lowered, self._by_step = plan.lowered, reports_by_step(solved.reports)
        self._listing = compiled.backward(everything, with_offsets=bool(solved.offset.any()))
        self.w, self.lam = np.zeros(len(whole)), np.zeros(plan.lowered.n_all_rows)
        self._pointers = Pointers(z=whole, w=self.w, lam=self.lam, scratch=compiled.scratch())

    @staticmethod
    def made(plan: Plan, solved: Solved) -> PullBack | None:
        """One for a whole plan of compiled code; None where NumPy does better, with several seeds at once."""
        compiled = plan.compiled
        if compiled is None or solved.z.dtype != np.float64 or not compiled.is_whole:
            return None
        if solved.whole is None:
            solved.whole = restored(compiled, solved)
        return PullBack(plan, compiled, solved)

    def __call__(self, element: int, row: int) -> Array:
        """w of the whole state."""
        w = self.w
        w.fill(0.0)
        self.lam.fill(0.0)
        if element >= 0:
            w[element] = 1.0
        if row >= 0:
            w[self._n + row - self._first] = 1.0
        self._listing.run(self._pointers, self._help)
        return w[: self._n]

    def seeded(self, after: Array, seeds: Array) -> Array:
        """The same for many seeds at once: λ of the objective's and the constraints' rows, and seeds on the state."""
        self.w.fill(0.0)
        self.lam.fill(0.0)
        return self.run(after, seeds)

    def run(self, after: Array, seeds: Array | float) -> Array:
        """w for λ of the objective's and the constraints' rows and seeds on the state."""
        self.w[self._n : self._n + len(after)] = after
        self.w[: self._n] += seeds
        self._listing.run(self._pointers, self._help)
        return self.w[: self._n]

    def _help(self, step: Step) -> bool:
        with np.errstate(all="ignore"), blamed(self._lowered, step):
            step_back(step, self._solved.z, self._by_step.get(id(step)), self.lam, self.w[: self._n])
        return True


def reports_by_step(reports: Sequence[BlockReport]) -> Mapping[int, BlockReport]:
    """The report of a step by its identity, those that were made."""
    made = reports.solved_here.values() if isinstance(reports, Reports) else reports
    return {id(report.step): report for report in made}


def back_substitute(
    plan: Plan, z: Array, reports: Sequence[BlockReport], lam: Array, w: Array, everything: bool = True
) -> None:
    """Fill λ from w, last step first; every λ_i found adds λ_i ∂r_i/∂z_j to the adjoints of what row i contains.

    Unless ``everything`` is wanted, steps that the objective does not depend on are passed over: their λ is 0, and an
    infinite slope there must not make a 0·∞ of it.
    """
    by_step = reports_by_step(reports)
    for step in reversed(plan.steps):
        if step.reached or everything:
            with blamed(plan.lowered, step):
                step_back(step, z, by_step.get(id(step)), lam, w)


def step_back(step: Step, z: Array, report: BlockReport | None, lam: Array, w: Array) -> None:
    """λ of one step's rows from w, and what they add to the adjoints of what they contain."""
    if isinstance(step, BlockStep):
        lam[step.all_rows] = _block_multipliers(step, z, w[step.all_columns], report)
    elif isinstance(step, SequenceStep):
        lam[step.rows] = step.factor(z).solve(-w[step.own], transposed=True)
    else:
        lam[step.rows] = w[step.own]
    step.run.adjoint(z, lam, w)
    if isinstance(step, BlockStep):  # r = φ − own: the own side of an equation that determines something else
        explicit = np.flatnonzero(step.own >= 0)
        np.subtract.at(w, step.own[explicit], lam[step.all_rows[explicit]])


def _block_multipliers(step: BlockStep, z: Array, w: Array, report: BlockReport | None) -> Array:
    """λ with (∂r/∂z)ᵀ λ = −w, by the factors that the solve left where they will do."""
    return solved_with(step, linear_at(step, z, report), -w, transposed=True)


def linear_at(step: BlockStep, z: Array, report: BlockReport | None) -> Linear:
    """The linear solves of a block at a state, with the factors that are there; its Jacobian is computed once."""
    linear = None if report is None or not np.isrealobj(z) else report.record.linear
    if linear is None:
        linear = linear_of(step)
        if report is not None and np.isrealobj(z):
            report.record.linear = linear
    if linear.where is not z:
        free = linear.is_matrix_free
        matrix, columns = (BlockOperator(step, z), step.columns) if free else (step.jacobian(z), step.all_columns)
        linear.update(matrix, z[columns], where=z)
    return linear


def solved_with(step: BlockStep, linear: Linear, b: Array, transposed: bool = False) -> Array:
    """x with ∂r/∂z x = b, or its transpose; raises SingularError with the block's names."""
    operator = linear.matrix
    try:
        if not isinstance(operator, BlockOperator):
            return linear.solve(b, transposed, accuracy=0.0)
        if b.ndim > 1:
            return np.stack([solved_with(step, linear, column, transposed) for column in b.T], axis=1)
        through = operator.solved_transposed if transposed else operator.solved
        return through(lambda right: linear.solve(right, transposed, accuracy=0.0), b)
    except NotSolvedError as error:
        raise SingularError(f"the linear system of the block {{{_names(step)}}} at the solution: {error}") from None
    except SingularMatrixError as error:
        from .diagnosis.singular import singular_error

        raise singular_error(step, operator, error) from None


def _names(step: BlockStep) -> str:
    """The unknowns of a block."""
    return listing([step.cut.lowered.state.element(column) for column in step.columns.tolist()])


def tangents(plan: Plan, z: Array, dz: Array, reports: Sequence[BlockReport]) -> Array:
    """ż of all unknowns for given ż of inputs and parameters (in ``dz``): the steps forward, each linearised.

    ``dz`` (n_state,) or (n_state, seeds), 0 at unknowns on entry, is filled in place and returned.
    """
    by_step = reports_by_step(reports)
    change = np.zeros((plan.lowered.n_all_rows, *dz.shape[1:]), dtype=dz.dtype)
    with np.errstate(all="ignore"):
        for step in plan.steps:
            tangent_step(step, z, dz, change, by_step)
    return dz


def tangent_step(step: Step, z: Array, dz: Array, change: Array, by_step: Mapping[int, BlockReport]) -> None:
    step.run.tangent(z, dz, change)
    if isinstance(step, BlockStep):
        explicit = np.flatnonzero(step.own >= 0)
        change[step.all_rows[explicit]] -= dz[step.own[explicit]]
        linear = linear_at(step, z, by_step.get(id(step)))
        dz[step.all_columns] = -solved_with(step, linear, change[step.all_rows])
    elif isinstance(step, SequenceStep):
        dz[step.own] = -step.factor(z).solve(change[step.rows])
    else:
        dz[step.own] = change[step.rows]
