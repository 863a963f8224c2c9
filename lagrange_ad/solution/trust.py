"""How far an answer can be trusted: error estimates of a block's unknowns, and what residuals do to the objective.

At x near the solution x* of r(x) = 0 with J = ∂r/∂x, |x − x*| is about |J⁻¹ r| + |J⁻¹| δ, where δ is what rounding
leaves of r. Residuals r act like ε = −r at the solution: the iterate solves the equations with −r added to their right
sides, so J(x*) ≈ J(x) + Σ λ_i r_i, which is the Lagrangian at x; the error left is of second order in r.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import SingularError, SolveError
from ..expression import Array
from ..solvers import Factor, Linear, Model, Record, SingularMatrixError, newton
from ..solvers.problem import UNITS
from .block import BlockProblem, BlockReport, model_at, propagate_explicit
from .forward import Solved
from .multipliers import back_substitute, linear_at, solved_with
from .noise import noise_of
from .plan import Plan
from .steps import BlockStep, numbering

if TYPE_CHECKING:
    from .point import Point

EXACT = 100
"""Up to so many rows |J⁻¹| is made; beyond, it is met by two solves."""
ROUNDING = UNITS * np.finfo(float).eps
LATER_ITERATIONS = 50
"""Blocks after one that failed have this many iterations."""


def block_error(report: BlockReport) -> Array:
    """An estimate of |x − x*| for every unknown of a block, in the order of ``report.unknowns``; infinite where its
    Jacobian is singular.

    |J⁻¹ r| + |J⁻¹| δ, exact up to EXACT rows; beyond, |J⁻¹| δ is estimated by the larger of |J⁻¹ δ| (exact where the
    inverse has one sign a row) and |J⁻¹ (±δ)| with fixed signs.
    """
    step, state = report.step, report.state
    size, user = len(step.all_rows), step.all_rows < report.lowered.n_user_rows
    with np.errstate(all="ignore"):
        try:
            found = _exact_error(report) if size <= EXACT else _estimated_error(report, state, size)
        except (SingularError, SingularMatrixError):
            found = np.full(size, np.inf)
    return np.asarray(found[user])


def _exact_error(report: BlockReport) -> Array:
    model = model_at(report.step, report.state)
    factor = Factor(model.matrix)
    rounding = _rounding(report.step, report.state)
    inverse = np.abs(factor.solve(np.eye(len(rounding))))
    return np.asarray(np.abs(factor.solve(model.right_side(report.residuals))) + inverse @ rounding)


def _rounding(step: BlockStep, z: Array) -> Array:
    """What rounding leaves of the residual of every row of a block (all of its rows): of terms one by one, before those
    of one unknown are summed, and of what the expressions compute on the way where that is known and more."""
    rows, columns = step.run.jacobian_pattern()
    size = np.abs(step.run.jacobian(z) * z[columns])
    place = numbering(step.all_rows)(rows)
    terms = np.bincount(place, weights=np.where(np.isfinite(size), size, 0.0), minlength=len(step.all_rows))
    found = np.asarray(ROUNDING * (terms + np.where(step.own >= 0, np.abs(z[step.own]), 0.0)))
    noise = noise_of(step, z) if len(step.all_rows) <= EXACT else None
    if noise is not None:
        found[: len(noise)] = np.maximum(found[: len(noise)], noise)
    return found


def _estimated_error(report: BlockReport, state: Array, size: int) -> Array:
    """By three solves of the block's own kind, with the Jacobian here."""
    step, linear = report.step, linear_at(report.step, state, report)
    n = len(step.rows)
    free = linear.is_matrix_free
    model = Model(linear.matrix, state[step.columns if free else step.all_columns], n)
    rounding = np.zeros(size)
    if free:
        rounding[:n] = model.rounding
    else:
        rounding[:] = _rounding(step, state)
    right = np.zeros(size)
    right[:n] = report.residuals
    signs = np.random.default_rng(0).choice((-1.0, 1.0), size)
    moved, same, other = (np.abs(solved_with(step, linear, b)) for b in (right, rounding, signs * rounding))
    return np.asarray(moved + np.maximum(same, other))


class Effect(NamedTuple):
    """What residuals do to the objective, a row: ``shift`` λ_i r_i, ``margin`` |λ_i|·(what rounding leaves of r_i);
    0 for rows outside blocks. ``objective`` is J where they were taken."""

    shift: Array
    margin: Array
    objective: float


def effect_of_residuals(at: Point) -> Effect:
    """λ_i r_i of the rows of all blocks; at a point where a block failed, of the iterate with what follows computed.

    NaN where there are no multipliers, or no value.
    """
    plan, solved = at.plan, at._solved
    n_rows, rows = plan.lowered.n_rows, block_rows(plan)
    try:
        if at.solved:
            lam, value, r = at.adjoints[0], at.objective, at._residuals
        else:
            solved = continued(plan, solved)
            lam, value, r = _multipliers(plan, solved)
    except SolveError:
        unknown = np.zeros(n_rows)
        unknown[rows] = np.nan
        return Effect(unknown, unknown, np.nan)
    shift, margin = np.zeros(n_rows), np.zeros(n_rows)
    if len(rows):
        shift[rows] = lam[rows] * r[rows]
        margin[rows] = np.abs(lam[rows]) * ROUNDING * _terms(plan, solved.z)[rows]
    return Effect(shift, margin, value)


def block_rows(plan: Plan) -> Array:
    """The user's rows that are solved in blocks."""
    return np.concatenate([np.empty(0, np.int64), *(s.user_rows for s in plan.steps if isinstance(s, BlockStep))])


def _terms(plan: Plan, z: Array) -> Array:
    """Σ_j |∂r_i/∂z_j·z_j| of every row: what residuals are differences of; 0 where that is not finite."""
    lowered = plan.lowered
    rows, columns = plan.everything.jacobian_pattern()
    with np.errstate(all="ignore"):
        size = np.abs(plan.everything.jacobian(z) * z[columns])
        found = np.bincount(rows, weights=size, minlength=lowered.n_all_rows)[: lowered.n_rows]
        found += np.where(lowered.own >= 0, np.abs(z[lowered.own]), 0.0)
    return np.where(np.isfinite(found), found, 0.0)


def continued(plan: Plan, solved: Solved) -> Solved:
    """The state of a failed pass with the steps after the failed one computed, blocks solved as far as they go.

    Raises SolveError where it is the values that failed, not the convergence.
    """
    failed = next(i for i, step in enumerate(plan.steps) if step is solved.failed)
    reports, z = list(solved.reports), solved.z.copy()
    if not isinstance(solved.failed, BlockStep) or not np.isfinite(reports[-1].residuals).all():
        raise SolveError("a value is not a number")
    work, domain = np.zeros(plan.lowered.n_all_rows), declared_domain(plan)
    with np.errstate(all="ignore"):
        for step in plan.steps[failed + 1 :]:
            if isinstance(step, BlockStep):
                record = solve_again(step, z, solved.offset, domain, z[step.columns], LATER_ITERATIONS)
                reports.append(BlockReport(step, plan.lowered, record, state=z))
            else:
                propagate_explicit(step, z, solved.offset, work)
    return Solved(z, solved.offset, reports)


def solve_again(step: BlockStep, z: Array, offset: Array, domain: tuple[Array, Array], x: Array,
                limit: int) -> Record:
    """A block solved from x at a state, which takes the last iterate."""
    record, work = Record(), np.zeros(len(offset))
    with np.errstate(all="ignore"):
        newton(BlockProblem(step, z, offset, domain, work), x.copy(), record, Linear(), limit)
    return record


def declared_domain(plan: Plan) -> tuple[Array, Array]:
    """The ends of the domain of every element of the state."""
    ends = np.array([symbol.domain for symbol in plan.lowered.symbols.values()]).reshape(-1, 2)
    low, high = np.full(plan.lowered.state.size, -np.inf), np.full(plan.lowered.state.size, np.inf)
    sizes = np.diff(plan.lowered.state.start)[: len(ends)]
    low[: plan.lowered.n_user], high[: plan.lowered.n_user] = (np.repeat(ends[:, i], sizes) for i in (0, 1))
    return low, high


def _multipliers(plan: Plan, solved: Solved) -> tuple[Array, float, Array]:
    """(λ of every row, J, r of every row) at a state where equations need not hold."""
    from .full import residuals

    lowered = plan.lowered
    lam, w = np.zeros(lowered.n_all_rows), np.zeros(len(solved.z))
    lam[lowered.objective_row] = 1.0
    with np.errstate(all="ignore"):
        r = residuals(plan, solved.z, solved.offset)
        plan.objective.adjoint(solved.z, lam, w)
        back_substitute(plan, solved.z, solved.reports, lam, w, everything=False)
    return lam, float(r[lowered.objective_row]), r
