"""Forward propagation: stationarity of the Lagrangian in λ. Walks the schedule once; blocks go to Newton."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..expression import Array
from .newton import BlockReport, BlockSolver, propagate_wide, solve_block
from .plan import BlockStep, Plan, SequenceStep, Step


@dataclass(eq=False)
class Solved:
    """The flat state after a forward pass, with a report for every block.

    ``failed`` is the block that did not converge, or the step in which a value became NaN; None when all is well.
    """

    z: Array
    offset: Array
    reports: list[BlockReport] = field(default_factory=list)
    failed: Step | None = None


@dataclass(frozen=True, eq=False)
class Start:
    """Where a forward pass begins: the state, which unknowns have a start, the domains, and ε of every row."""

    z: Array
    started: Array
    domain: tuple[Array, Array]
    offset: Array


def propagate(plan: Plan, start: Start, max_iterations: int) -> Solved:
    """Compute every unknown in the order of the schedule, on a copy of ``start.z``."""
    solved = Solved(start.z.copy(), start.offset)
    work = np.zeros(plan.lowered.n_all_rows, dtype=solved.z.dtype)
    with np.errstate(all="ignore"):
        for step in plan.steps:
            if isinstance(step, BlockStep):
                good = _solve(plan, step, start, solved, work, max_iterations)
            else:
                good = _explicit(step, solved.z, start.offset, work) or not _of_equations(plan, step, solved.z)
            if not good:
                solved.failed = step
                break
    return solved


def _explicit(step: Step, z: Array, offset: Array, work: Array) -> bool:
    """Run a wide or sequential step; whether no value is NaN."""
    if isinstance(step, SequenceStep):
        z[step.own] = offset[step.rows]
        step.sequential.propagate(z)
    elif not isinstance(step, BlockStep):
        propagate_wide(step, z, offset, work)
    return not np.isnan(z[step.own]).any()


def _of_equations(plan: Plan, step: Step, z: Array) -> bool:
    """Whether a NaN of this step belongs to an equation; those of objective and constraints are no failure here."""
    lowered = plan.lowered
    return bool((step.rows[np.isnan(z[step.own])] < lowered.n_user_rows).any())


def _solve(plan: Plan, step: BlockStep, start: Start, solved: Solved, work: Array,
           max_iterations: int) -> bool:
    z = solved.z
    report = BlockReport(step, plan.lowered)
    solved.reports.append(report)
    _sweep(step, start, z, work)
    swept = np.concatenate([part.own for part in step.sweep]) if step.sweep else np.empty(0, np.int64)
    report.guessed_columns = step.columns[~start.started[step.columns] & ~np.isin(step.columns, swept)]
    solve_block(BlockSolver(step, start.offset, start.domain, work), z, report, max_iterations)
    return report.converged


def _sweep(step: BlockStep, start: Start, z: Array, work: Array) -> None:
    """One propagation for the unknowns without a start; where it gives no finite number, they stay as they were."""
    for part in step.sweep:
        before = z[part.own]
        propagate_wide(part, z, start.offset, work)
        new, (low, high) = z[part.own], (end[part.own] for end in start.domain)
        z[part.own] = np.where(np.isfinite(new) & (new > low) & (new < high) & ~start.started[part.own], new, before)
