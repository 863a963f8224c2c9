"""The plan of one program version: the schedule with every step's groups cut out and ready to run.

Takes the lowered program; asks ``structure`` for the schedule; gives steps (``steps.py``) that ``forward`` and
``multipliers`` walk, forward and in reverse.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from ..execution import Executor, Run, default_executor, loops_of
from ..expression import Array
from ..lowering import Group, Lowered, Operations, count_operations
from ..lowering.lowered import coarse_pairs
from ..program.choices import SolverChoice, chosen_for
from ..structure import (
    Block,
    Deficiency,
    Schedule,
    Structure,
    Wide,
    build_schedule,
    collector_paused,
    describe,
    levels,
    reachable,
)
from ..structure import Step as ScheduleStep
from ..structure.blocks import changes
from ..tables import Report, Shown
from .diagnosis.structural import structure_error
from .roles import PlanRoles
from .showing import schedule_report
from .steps import BlockStep, Cut, SequenceStep, Step, WideStep, distribute, wide_steps
from .torn import joined, wanted_torn

if TYPE_CHECKING:
    from .compiled import CompiledPlan
    from .full import FullSpace


MOST_VARIANTS = 8
"""So many plans with other outputs are kept."""
_MAKING = threading.Lock()
"""Threads share the one compiled plan."""


@dataclass(frozen=True, eq=False, repr=False)
class Plan(Shown):
    """What is computed once for a version and its roles: steps in order, and runs for objective and constraints.

    ``unknown`` tells, an element of the state, whether it is found from the equations; nothing else decides that.
    """

    lowered: Lowered
    unknown: Array
    schedule: Schedule
    steps: tuple[Step, ...]
    objective: Run
    constraints: Run
    executor: Executor
    choices: tuple[SolverChoice, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_compiled", "variants")}  # made again when needed

    @cached_property
    def variants(self) -> dict[Any, Any]:
        """Plans of this program with other outputs, made for Jacobians, with what keeps their keys alive."""
        return {}

    def keep_variant(self, key: Any, made: Any) -> None:
        """Keep a variant for the next time; of too many the oldest goes."""
        with _MAKING:
            self.variants[key] = made
            if len(self.variants) > MOST_VARIANTS:
                del self.variants[next(iter(self.variants))]

    @property
    def compiled(self) -> CompiledPlan | None:
        """The plan as lists of native calls, where its executor is native."""
        if self.executor.name != "native":
            return None
        from .compiled import CompiledPlan

        with _MAKING:
            made = self.__dict__.get("_compiled")
            if made is None:
                made = self.__dict__["_compiled"] = CompiledPlan(self)
        return made

    @cached_property
    def roles(self) -> PlanRoles:
        """Which symbols are found, given, or both in parts."""
        return PlanRoles(self.lowered, self.unknown)

    @cached_property
    def full_space(self) -> FullSpace:
        """The sparse Jacobian and Hessian at any state."""
        from .full import FullSpace

        return FullSpace(self)

    @cached_property
    def operations(self) -> Operations:
        """Elementary operations of one sweep: ``values``, and ``gradient`` (values and back-substitution together).

        Of a block, one evaluation of its equations and of their partial derivatives: Newton's further iterations and
        the linear solves, one for all of its multipliers, come on top.
        """
        lowered = self.lowered
        return count_operations((*lowered.groups, *lowered.objective_groups), lowered.n_all_rows, lowered.state.size)

    @cached_property
    def everything(self) -> Run:
        """One run over the groups of all rows, the objective's and the constraints' among them."""
        return self.executor.run(self.lowered.all_groups)

    @cached_property
    def reached_groups(self) -> tuple[Group, ...]:
        """The groups of the objective and of the rows that it depends on."""
        lowered = self.lowered
        slot = np.full(lowered.n_rows, -1)
        for step in self.steps:
            slot[step.all_rows if isinstance(step, BlockStep) else step.rows] = 0 if step.reached else -1
        groups = lowered.groups if (slot == 0).all() else distribute(lowered.groups, slot, 1)[0]
        return (*groups, *lowered.objective_groups)

    @cached_property
    def reached_run(self) -> Run:
        """One run over these groups."""
        return self.executor.run(self.reached_groups)

    @cached_property
    def auxiliary_steps(self) -> tuple[WideStep, ...]:
        """The auxiliaries alone, in an order in which each needs only earlier ones and the user's state."""
        lowered = self.lowered
        if lowered.n_rows == lowered.n_user_rows:
            return ()
        level = _levels_of_auxiliaries(lowered)
        order = np.argsort(level, kind="stable")
        bounds = np.flatnonzero(np.diff(level[order])) + 1
        by_level = np.split(lowered.n_user_rows + order, bounds)
        return wide_steps(lowered, by_level, self.executor)

    def __str__(self) -> str:
        return describe(self.schedule, self.lowered.row_name, self.lowered.n_user_rows, self.lowered.state.element)

    def __repr__(self) -> str:
        return f"<schedule of {self.lowered.name!r}: {len(self.steps)} steps, {self.lowered.n_rows} rows>"

    def _report(self) -> Report:
        return schedule_report(self)


def _levels_of_auxiliaries(lowered: Lowered) -> Array:
    """How many auxiliaries, one after the other, come before each: by blocks, or by elements of irregular ones."""
    n_blocks = len(lowered.equations)
    blocks = np.arange(n_blocks, len(lowered.rows.names))
    if lowered.n_regular_rows < lowered.n_rows:
        row, element = lowered.incidence(blocks)
        hidden = element >= lowered.n_user
        n = lowered.n_rows - lowered.n_user_rows
        return levels(n, element[hidden] - lowered.n_user, row[hidden] - lowered.n_user_rows)
    row_block, state_block = lowered.coarse_incidence()
    n_symbols = len(lowered.state.names) - len(blocks)
    keep = (row_block >= n_blocks) & (state_block >= n_symbols)
    level = levels(len(blocks), state_block[keep] - n_symbols, row_block[keep] - n_blocks)
    return np.repeat(level, np.diff(lowered.rows.start)[n_blocks:])


def make_plan(lowered: Lowered, unknown: Array, started: Array, executor: Executor | None = None,
              choices: Sequence[SolverChoice] = ()) -> Plan:
    """Schedule a lowered program and cut its groups by step.

    ``unknown`` tells, an element of the state, whether it is to be found, ``started`` whether it has a start;
    ``choices`` are how blocks are to be solved, later ones before earlier. Raises StructureError, in the user's names,
    when the equations cannot determine what is to be found.
    """
    executor = executor or default_executor()
    structure = _structure(lowered, unknown, started, executor, choices)
    schedule = build_schedule(structure)
    if isinstance(schedule, Deficiency):
        raise structure_error(lowered, PlanRoles(lowered, unknown), schedule)
    return Plan(
        lowered=lowered,
        unknown=unknown,
        schedule=schedule,
        steps=_steps(lowered, schedule, executor, choices),
        objective=executor.run(lowered.objective_groups),
        constraints=executor.run(lowered.constraint_groups),
        executor=executor,
        choices=tuple(choices),
    )


def _structure(lowered: Lowered, unknown: Array, started: Array, executor: Executor,
               choices: Sequence[SolverChoice]) -> Structure:
    auxiliary = np.zeros(lowered.n_rows, dtype=bool)
    auxiliary[lowered.n_user_rows :] = True
    preferred = np.full(len(lowered.rows.names), -1, dtype=np.int64)
    for i, equation in enumerate(lowered.equations):
        if equation.determines is not None:
            preferred[i] = lowered.state.slices.number[equation.determines.name]
    coarse_row, coarse_column = lowered.coarse_incidence()
    return Structure(
        row_start=lowered.rows.start, column_start=lowered.state.start, own=lowered.own, unknown=unknown,
        auxiliary=auxiliary, started=started, coarse_row=coarse_row, coarse_column=coarse_column,
        preferred=preferred, incidence=lowered.incidence,
        tear=wanted_torn(choices, lowered.n_user, lowered.state.size), loops=loops_of(executor),
    )  # fmt: skip


def reached_rows(lowered: Lowered, schedule: Schedule) -> Array:
    """Rows that the objective depends on, told by declared blocks; all of them where there is no objective."""
    if lowered.objective is None:
        return np.ones(lowered.n_rows, dtype=bool)
    n_states, n_rows = len(lowered.state.names), len(lowered.rows.names)
    row_block = np.repeat(np.arange(n_rows), np.diff(lowered.rows.start))
    state_block = np.repeat(np.arange(n_states), np.diff(lowered.state.start))
    coarse_row, coarse_state = lowered.coarse_incidence()
    explicit = np.flatnonzero(lowered.own >= 0)
    # from a state block to the rows that determine it, from a row block to the states it contains
    determined, determining = _without_repeats(state_block[schedule.column_of_row], row_block)
    own, owner = _without_repeats(state_block[lowered.own[explicit]], row_block[explicit])
    source = np.concatenate([determined, n_states + coarse_row, n_states + owner])
    target = np.concatenate([n_states + determining, coarse_state, own])
    wanted = coarse_pairs(lowered.objective_groups, lowered.rows, lowered.state)[1]
    found = reachable(n_states + n_rows, source, target, wanted)
    return np.asarray(found[n_states:][row_block])


def _without_repeats(first: Array, second: Array) -> tuple[Array, Array]:
    """Pairs without those that equal the one before: the rows of an array have one."""
    new = changes(first) | changes(second)
    return first[new], second[new]


def _split(schedule: Schedule, reached: Array) -> Iterator[tuple[ScheduleStep, bool]]:
    """The steps, explicit ones parted into rows that the objective depends on and, after them, the rest."""
    if reached.all():
        yield from zip(schedule.steps, repeat(True), strict=False)
        return
    for step in schedule.steps:
        here = reached[step.rows]
        if isinstance(step, Block) or here.all() or not here.any():
            yield step, bool(here.any())
        else:
            yield type(step)(step.rows[here]), True
            yield type(step)(step.rows[~here]), False


@collector_paused()
def _steps(lowered: Lowered, schedule: Schedule, executor: Executor,
           choices: Sequence[SolverChoice]) -> tuple[Step, ...]:
    """The steps: one batch of rows each, a block's and then one a level of what it eliminates."""
    batches: list[Array] = []
    sweeps: list[Array] = []
    cut, sweep_cut = Cut(lowered, batches, executor), Cut(lowered, sweeps, executor)
    steps: list[Step] = []
    n_blocks, chosen = 0, chosen_for(choices, lowered.n_user, lowered.state.size)
    for step, reached in _split(schedule, reached_rows(lowered, schedule)):
        number = len(batches)
        batches.append(step.rows)
        if isinstance(step, Block):
            following, guessing = joined(step.eliminated), joined(step.sweep)
            steps.append(BlockStep(
                step.rows, step.columns, step, n_blocks, cut, number, sweep_cut, len(sweeps), following, guessing,
                reached, _choice(step, choices, chosen, lowered)))
            batches.extend(rows for rows, _ in following)
            sweeps.extend(rows for rows, _ in guessing)
            n_blocks += 1
        else:
            kind = WideStep if isinstance(step, Wide) else SequenceStep
            steps.append(kind(step.rows, lowered.own[step.rows], cut, number, reached))
    return tuple(steps)


def _choice(step: Block, choices: Sequence[SolverChoice], chosen: Array, lowered: Lowered) -> SolverChoice | None:
    """The last choice made for any of a block's unknowns."""
    if not choices:
        return None
    columns = np.concatenate([step.columns, *(lowered.own[rows] for rows in step.eliminated)])
    last = int(chosen[columns].max())
    return choices[last] if last >= 0 else None


