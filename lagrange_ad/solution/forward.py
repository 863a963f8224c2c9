"""Forward propagation: stationarity of the Lagrangian in λ. Walks the schedule once; blocks go to their solvers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ..expression import Array
from ..solvers import Auto, Record
from .block import BlockProblem, BlockReport, linear_of, propagate_explicit, propagate_wide, residuals
from .plan import Plan
from .steps import BlockStep, SequenceStep, Step, WideStep, blamed

if TYPE_CHECKING:
    from .compiled import CompiledPlan


@dataclass(eq=False)
class Solved:
    """The flat state after a forward pass, with a report for every block.

    ``failed`` is the block that did not converge, or the step in which a value became NaN; None when all is well.
    ``whole`` is the state with the intermediate results that compiled code keeps after it.
    """

    z: Array
    offset: Array
    reports: Sequence[BlockReport] = field(default_factory=list)
    failed: Step | None = None
    whole: Array | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "whole": None}  # places after the state are those of one process

    @property
    def guessed_columns(self) -> Array:
        """The unknowns whose solve began at 0 or the nearest bound."""
        if isinstance(self.reports, Reports):
            return self.reports.guessed_columns()
        return np.concatenate([np.empty(0, np.int64), *(report.guessed_columns for report in self.reports)])


@dataclass(frozen=True, eq=False)
class Start:
    """Where a forward pass begins: the state, which unknowns have a start, the domains, and ε of every row."""

    z: Array
    started: Array
    domain: tuple[Array, Array]
    offset: Array


def propagate(plan: Plan, start: Start, max_iterations: int) -> Solved:
    """Compute every unknown in the order of the schedule, on a copy of ``start.z``."""
    if plan.compiled is not None and start.z.dtype == np.float64:
        return _propagate_compiled(plan, plan.compiled, start, max_iterations)
    reports: list[BlockReport] = []
    solved = Solved(start.z.copy(), start.offset, reports)
    work = np.zeros(plan.lowered.n_all_rows, dtype=solved.z.dtype)
    with np.errstate(all="ignore"):
        for step in plan.steps:
            if isinstance(step, BlockStep):
                with blamed(plan.lowered, step):
                    report = _solve(plan, step, start, solved.z, work, max_iterations)
                reports.append(report)
                good = report.converged
            else:
                good = _propagated(plan, step, start, solved.z, work)
            if not good:
                solved.failed = step
                break
    return solved


def _propagate_compiled(plan: Plan, compiled: CompiledPlan, start: Start, max_iterations: int) -> Solved:
    """The same by one native call, which comes back for what needs Python."""
    listing = compiled.forward(with_offsets=bool(start.offset.any()))
    z = compiled.memory(start.z)
    blocks = len(compiled.block_steps)
    iterations = np.full(blocks, -1, dtype=np.int64)
    reports = Reports(plan, compiled.block_steps, start, z[: compiled.n_state], iterations)
    solved = Solved(z[: compiled.n_state], start.offset, reports, whole=z)
    work = np.zeros(0 if compiled.is_whole and not blocks else plan.lowered.n_all_rows)

    def help_with(step: Step) -> bool:
        if not isinstance(step, BlockStep):
            with np.errstate(all="ignore"):
                good = _propagated(plan, step, start, solved.z, work)
            solved.failed = None if good else step
            return good
        with np.errstate(all="ignore"), blamed(plan.lowered, step):
            report = reports.solved_here[step.number] = _solve(plan, step, start, solved.z, work, max_iterations)
        solved.failed = None if report.converged else step
        return report.converged

    pointers = compiled.pointers(z, start.started, start.domain, limit=max_iterations, offset=start.offset,
                                 iterations=iterations)
    if not listing.run(pointers, help_with):
        solved.failed = _first_nan(plan, solved) or solved.failed
        if solved.failed is not None:
            _forget_later(plan, solved, start, reports)
    return solved


def restored(compiled: CompiledPlan, solved: Solved) -> Array:
    """The state with what compiled code keeps after it, for a state that came without (from a pickle)."""
    listing, n = compiled.forward(with_offsets=bool(solved.offset.any())), len(solved.z)
    whole = compiled.memory(solved.z)
    everywhere = np.full(n, -np.inf), np.full(n, np.inf)
    pointers = compiled.pointers(whole, np.ones(n, dtype=bool), everywhere, limit=0, offset=solved.offset)
    listing.run(pointers, lambda step: True)  # blocks are solved already
    whole[:n] = solved.z
    return whole


def _forget_later(plan: Plan, solved: Solved, start: Start, reports: Reports) -> None:
    """What compiled code computed after the step that failed: a pass that goes step by step had not come to it."""
    later = plan.steps[next(i for i, step in enumerate(plan.steps) if step is solved.failed) + 1 :]
    for step in later:
        columns = step.all_columns if isinstance(step, BlockStep) else step.own
        solved.z[columns] = start.z[columns]
    reports.forget([step.number for step in later if isinstance(step, BlockStep)])


def _first_nan(plan: Plan, solved: Solved) -> Step | None:
    """The first explicit step, before the block that failed if one did, in which an equation's value is NaN."""
    for step in plan.steps:
        if step is solved.failed:
            return None
        if isinstance(step, BlockStep) or not np.isnan(solved.z[step.own]).any():
            continue
        if _of_equations(plan, step, solved.z):
            return step
    return None


MOST_SHOWN = 10
"""So many reports are printed of many."""


class Reports(Sequence[BlockReport]):
    """The reports of blocks that native code solved, made when looked at; those that Python solved as they are."""

    def __init__(self, plan: Plan, steps: Sequence[BlockStep], start: Start, z: Array, iterations: Array) -> None:
        self._plan, self._steps, self._start, self._z, self._iterations = plan, steps, start, z, iterations
        self.solved_here: dict[int, BlockReport] = {}

    def __len__(self) -> int:
        """Blocks that were come to."""
        if not len(self._iterations):
            return 0
        done = self._iterations >= 0
        done[list(self.solved_here)] = True
        return len(done) if done.all() else int(np.argmin(done))

    @cached_property
    def _work(self) -> Array:
        return np.zeros(self._plan.lowered.n_all_rows)

    def __eq__(self, other: object) -> bool:
        """Like a list of reports."""
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(repr(report) for report in self[:MOST_SHOWN])
        return f"[{shown}{', …' if len(self) > MOST_SHOWN else ''}]"

    def forget(self, numbers: Sequence[int]) -> None:
        """These blocks were not come to."""
        self._iterations[list(numbers)] = -1
        for number in numbers:
            self.solved_here.pop(number, None)

    def guessed_columns(self) -> Array:
        """The unknowns that had neither a start nor an equation to give one, without making reports."""
        return np.concatenate([np.empty(0, np.int64), *(_guessed(s, self._start) for s in self._steps[: len(self)])])

    @overload
    def __getitem__(self, index: int) -> BlockReport: ...
    @overload
    def __getitem__(self, index: slice) -> list[BlockReport]: ...
    def __getitem__(self, index: int | slice) -> BlockReport | list[BlockReport]:
        numbers = range(len(self))[index]
        if isinstance(numbers, range):
            return [self[i] for i in numbers]
        found = self.solved_here.get(numbers)
        if found is None:
            found = self.solved_here[numbers] = self._made(numbers)
        return found

    def _made(self, number: int) -> BlockReport:
        step, start = self._steps[number], self._start
        with np.errstate(all="ignore"):
            r = residuals(step, self._z, start.offset, self._work)
        record = Record("newton", converged=True, message="solved by compiled code", x=self._z[step.columns],
                        iterations=int(self._iterations[number]), residuals=r)
        return BlockReport(step, self._plan.lowered, record, _guessed(step, start), self._z)


def _propagated(plan: Plan, step: Step, start: Start, z: Array, work: Array) -> bool:
    """Run an explicit step; whether no equation's value is NaN."""
    with blamed(plan.lowered, step):
        return _explicit(step, z, start.offset, work) or not _of_equations(plan, step, z)


def _explicit(step: Step, z: Array, offset: Array, work: Array) -> bool:
    """Run a wide or sequential step; whether no value is NaN."""
    if not isinstance(step, BlockStep):
        propagate_explicit(step, z, offset, work)
    return not np.isnan(z[step.own]).any()


def _of_equations(plan: Plan, step: Step, z: Array) -> bool:
    """Whether a NaN of this step belongs to an equation; those of objective and constraints are no failure here."""
    lowered = plan.lowered
    return bool((step.rows[np.isnan(z[step.own])] < lowered.n_user_rows).any())


def _solve(plan: Plan, step: BlockStep, start: Start, z: Array, work: Array, max_iterations: int) -> BlockReport:
    sweep_block(step, start, z, work)
    report = BlockReport(step, plan.lowered, guessed_columns=_guessed(step, start), state=z)
    linear, choice = linear_of(step), step.choice
    problem = BlockProblem(step, z, start.offset, start.domain, work, linear.is_matrix_free)
    if choice is None:
        Auto().solve(problem, z[step.columns], report.record, linear, max_iterations)
    else:
        limit = max_iterations if choice.max_iterations is None else choice.max_iterations
        choice.method.solve(problem, z[step.columns], report.record, linear, limit, choice.tolerance)
    return report


def _guessed(step: BlockStep, start: Start) -> Array:
    """The unknowns of a block that have neither a start nor an equation to give one."""
    own = step.cut.lowered.own
    swept = np.concatenate([np.empty(0, np.int64), *(own[rows] for rows in step.schedule.sweep)])
    return step.columns[~start.started[step.columns] & ~np.isin(step.columns, swept)]


def sweep_block(step: BlockStep, start: Start, z: Array, work: Array) -> None:
    """One propagation for the unknowns without a start; where it gives no finite number, they stay as they were."""
    for part in step.sweep:
        if start.started[part.own].all():
            continue
        before = z[part.own]
        propagate_explicit(part, z, start.offset, work)
        good = _is_a_guess(part, z, start)
        if isinstance(part, WideStep):
            z[part.own] = np.where(good, z[part.own], before)
        elif not good.all():  # what comes after the first that stays as it was has to be computed from that
            z[part.own] = before
            for level in step.sweep_levels(part.rows):
                before = z[level.own]
                propagate_wide(level, z, start.offset, work)
                z[level.own] = np.where(_is_a_guess(level, z, start), z[level.own], before)


def _is_a_guess(part: WideStep | SequenceStep, z: Array, start: Start) -> Array:
    """Which of the values computed by a part of the sweep may stay."""
    new, (low, high) = z[part.own], (end[part.own] for end in start.domain)
    return np.asarray(np.isfinite(new) & (new > low) & (new < high) & ~start.started[part.own])
