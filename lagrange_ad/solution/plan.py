"""The plan of one program version: the schedule with every step's groups cut out and ready to run.

Takes the lowered program; asks ``structure`` for the schedule; gives steps that ``forward``, ``newton`` and
``multipliers`` walk, forward and in reverse.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..execution import Executor, Run, default_executor, loops_of
from ..execution.protocol import Sequential
from ..expression import Array
from ..lowering import Group, Lowered, Operations, count_operations
from ..lowering.lowered import coarse_pairs
from ..program.choices import SolverChoice, chosen_for
from ..solvers import Substitution, System, Triangular, is_finite
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
from ..text import listing
from .diagnosis.structural import structure_error
from .roles import PlanRoles
from .showing import schedule_report
from .torn import Part, joined, wanted_torn

if TYPE_CHECKING:
    from .compiled import CompiledPlan
    from .full import FullSpace


MOST_VARIANTS = 8
"""So many plans with other outputs are kept."""
_MAKING = threading.Lock()
"""Threads share the one compiled plan."""


class Cut:
    """The groups of batches of rows, cut out together at the first look at any of them."""

    def __init__(self, lowered: Lowered, batches: Sequence[Array], executor: Executor) -> None:
        self.lowered, self.batches, self.executor = lowered, batches, executor

    @cached_property
    def groups(self) -> list[list[Group]]:
        """The groups of every batch."""
        slot = np.full(self.lowered.n_rows, -1, dtype=np.int64)
        for i, rows in enumerate(self.batches):
            slot[rows] = i
        return distribute(self.lowered.groups, slot, len(self.batches))


@dataclass(frozen=True, eq=False)
class WideStep:
    """Explicit rows computed at once: z[own] = ε[rows] + Σ φ. ``reached``: the objective depends on them.

    Its groups are batch ``number`` of ``cut``.
    """

    rows: Array
    own: Array
    cut: Cut
    number: int
    reached: bool = True

    @cached_property
    def run(self) -> Run:
        """The groups of the rows."""
        return self.cut.executor.run(self.cut.groups[self.number])


class Coupled:
    """Rows that are linearised together: a sequence or a block. Knows the sparse matrix ∂r/∂z among them.

    ``all_rows`` and ``all_columns`` are its rows and the state elements they determine, ``own`` the element on the
    left of each row, or −1, ``run`` the groups of all of them.
    """

    all_rows: Array
    all_columns: Array
    own: Array
    run: Run

    @cached_property
    def pattern(self) -> Assembly:
        """Where the entries of ``run.jacobian`` go, and the −1 of own."""
        rows, columns = self.run.jacobian_pattern()
        local_row, local_column = numbering(self.all_rows), numbering(self.all_columns)
        j = local_column(columns)
        entries = np.flatnonzero(j >= 0)
        explicit = local_column(self.own)
        diagonal = np.flatnonzero((self.own >= 0) & (explicit >= 0))
        i = np.concatenate([local_row(rows[entries]), diagonal])
        system = System(i, np.concatenate([j[entries], explicit[diagonal]]), len(self.all_rows))
        slot = np.full(len(j), len(system.rows), dtype=np.int32)  # one more takes what lies outside
        slot[entries] = system.slot[: len(entries)]
        return Assembly(system, slot, system.slot[len(entries) :])

    def jacobian(self, z: Array) -> Any:
        """∂r/∂z among these rows and their unknowns, at a state: an array, or CSC when large."""
        system, slot, left = self.pattern
        size = len(system.rows)
        data = self.run.jacobian_sums(z, slot, size + 1)[:size]
        data[left] -= 1.0
        return system.of_data(data)


class Assembly(NamedTuple):
    """The matrix of coupled rows: ``slot`` of every Jacobian entry, those of other unknowns last; ``left`` of −own."""

    system: System
    slot: Array
    left: Array


@dataclass(frozen=True, eq=False)
class SequenceStep(Coupled):
    """Explicit rows computed one after the other."""

    rows: Array
    own: Array
    cut: Cut
    number: int
    reached: bool = True

    @property
    def all_rows(self) -> Array:  # type: ignore[override]
        """The rows of the sequence."""
        return self.rows

    @property
    def all_columns(self) -> Array:  # type: ignore[override]
        """The elements they compute."""
        return self.own

    @cached_property
    def ordered(self) -> tuple[list[Group], Array, Array]:
        """The groups with their instances in the order of the rows, the group whose turn it is, and its row."""
        return in_turns(self.cut.groups[self.number], self.rows)

    @cached_property
    def run(self) -> Run:  # type: ignore[override]
        """The groups, for derivatives."""
        return self.cut.executor.run(self.ordered[0])

    def factor(self, z: Array) -> Triangular | Substitution:
        """∂r/∂z ready to solve with: unit triangular in its order, up to the sign."""
        matrix = self.jacobian(z)
        return Triangular(matrix) if is_finite(matrix) else Substitution(matrix)

    @cached_property
    def sequential(self) -> Sequential:
        """The rows, for values."""
        groups, whose, at = self.ordered
        return self.cut.executor.sequence(groups, whose.tolist(), self.own[at])


@dataclass(frozen=True, eq=False)
class BlockStep(Coupled):
    """Rows solved together for ``columns``; ``eliminated`` re-propagate what hangs on them, ``sweep`` guesses.

    What is eliminated are auxiliaries and, in a block solved in its torn unknowns alone, all others of the user's.
    ``all_rows`` and ``all_columns`` have those after the ones solved for. ``number`` counts blocks; ``choice`` says how
    the user wants it to be solved, None for no choice.
    """

    rows: Array
    columns: Array
    schedule: Block
    number: int
    cut: Cut
    first_batch: int
    sweep_cut: Cut
    first_sweep: int
    following: Sequence[Part]
    guessing: Sequence[Part]
    reached: bool = True
    choice: SolverChoice | None = None

    @cached_property
    def all_rows(self) -> Array:  # type: ignore[override]
        """The rows, eliminated ones last."""
        return np.concatenate([self.rows, *self.schedule.eliminated])

    @cached_property
    def all_columns(self) -> Array:  # type: ignore[override]
        """The unknowns, eliminated ones last."""
        own = self.cut.lowered.own
        return np.concatenate([self.columns, *(own[rows] for rows in self.schedule.eliminated)])

    @cached_property
    def user_rows(self) -> Array:
        """All rows of the user's: those that are solved, then those that are eliminated."""
        hidden = self.all_rows[len(self.rows) :]
        return np.concatenate([self.rows, hidden[hidden < self.cut.lowered.n_user_rows]])

    @cached_property
    def user_columns(self) -> Array:
        """The unknowns that these rows determine."""
        return np.concatenate([self.columns, self.cut.lowered.own[self.user_rows[len(self.rows) :]]])

    @cached_property
    def own(self) -> Array:  # type: ignore[override]
        """The element on the left of each row, or −1."""
        return self.cut.lowered.own[self.all_rows]

    @cached_property
    def guarded(self) -> Array:
        """The unknowns among what is eliminated that have a domain to stay in."""
        lowered, hidden = self.cut.lowered, self.user_columns[len(self.columns) :]
        blocks = np.searchsorted(lowered.state.start, hidden, side="right") - 1
        domains = [lowered.symbols[lowered.state.names[block]].domain for block in blocks.tolist()]
        return np.asarray(hidden[np.isfinite(np.reshape(domains, (-1, 2))).any(axis=1)])

    @property
    def is_plain(self) -> bool:
        """Whether compiled code may solve it: no wish of the user's, no sizes, no domain of what is eliminated."""
        lowered = self.cut.lowered
        sizes = ((lowered.unknown_scale, self.columns), (lowered.equation_scale, self.rows))
        sized = any(size is not None and np.isfinite(size[at]).any() for size, at in sizes)
        return (self.choice is None or self.choice.is_plain) and not sized and not len(self.guarded)

    @cached_property
    def eliminated(self) -> tuple[WideStep | SequenceStep, ...]:
        """What follows from the unknowns, in order."""
        return _explicit_steps(self.following, self.cut, self.first_batch + 1)

    @cached_property
    def sweep(self) -> tuple[WideStep | SequenceStep, ...]:
        """The first guess, in order."""
        return _explicit_steps(self.guessing, self.sweep_cut, self.first_sweep)

    def sweep_levels(self, rows: Array) -> tuple[WideStep, ...]:
        """The levels of one step of the sweep that is a sequence."""
        inside = set(rows.tolist())
        levels = [level for level in self.schedule.sweep if int(level[0]) in inside]
        return wide_steps(self.cut.lowered, levels, self.cut.executor)

    @cached_property
    def run(self) -> Run:  # type: ignore[override]
        """The groups of all rows."""
        last = self.first_batch + 1 + len(self.following)
        return self.cut.executor.run([g for i in range(self.first_batch, last) for g in self.cut.groups[i]])

    @cached_property
    def residual_run(self) -> Run:
        """The groups of the rows that are solved."""
        return self.cut.executor.run(self.cut.groups[self.first_batch])


def _explicit_steps(parts: Sequence[Part], cut: Cut, first: int) -> tuple[WideStep | SequenceStep, ...]:
    return tuple(
        (SequenceStep if in_turn else WideStep)(rows, cut.lowered.own[rows], cut, first + i)
        for i, (rows, in_turn) in enumerate(parts)
    )


Step = WideStep | SequenceStep | BlockStep


@contextmanager
def blamed(lowered: Lowered, step: Step) -> Iterator[None]:
    """What a user function raises on its way through a step goes on with the names of the equations."""
    try:
        yield
    except Exception as error:
        rows = step.all_rows if isinstance(step, BlockStep) else step.rows
        names = dict.fromkeys(lowered.row_name(row) for row in rows[:100].tolist())
        error.add_note(f"while computing {listing(names)}")
        raise


def numbering(indices: Array) -> Callable[[Array], Array]:
    """A function from global to local numbers of ``indices``; −1 for what is not among them."""
    order = np.argsort(indices, kind="stable")
    ordered = indices[order]

    def local(wanted: Array) -> Array:
        if not len(ordered):
            return np.full(len(wanted), -1)
        at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
        return np.where(ordered[at] == wanted, order[at], -1)

    return local


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


def wide_steps(lowered: Lowered, batches: Sequence[Array], executor: Executor) -> tuple[WideStep, ...]:
    """Wide steps of given batches of explicit rows."""
    cut = Cut(lowered, batches, executor)
    return tuple(WideStep(rows, lowered.own[rows], cut, i) for i, rows in enumerate(batches))


def distribute(groups: Sequence[Group], slot: Array, n_slots: int) -> list[list[Group]]:
    """The groups of each slot: instance k belongs to slot[row_k]; −1 to none. Whole groups are not copied."""
    parts: list[list[Group]] = [[] for _ in range(n_slots)]
    for group in groups:
        low, high = group.row.range()
        here = slot[low : high + 1]
        if (here == here[0]).all():
            if here[0] >= 0:
                parts[here[0]].append(group)
            continue
        of_instance = slot[group.row.array().ravel()]
        order = np.argsort(of_instance, kind="stable")
        order = order[np.searchsorted(of_instance[order], 0) :]  # those of no slot stand first
        if not len(order):
            continue
        numbers = of_instance[order]
        bounds = np.flatnonzero(np.diff(numbers, prepend=-1))
        ends = np.append(bounds[1:], len(order))
        ordered = group.restrict(order)
        for lo, hi in zip(bounds.tolist(), ends.tolist(), strict=True):
            parts[numbers[lo]].append(ordered.part(lo, hi))
    return parts


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


def _reached_rows(lowered: Lowered, schedule: Schedule) -> Array:
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
    for step, reached in _split(schedule, _reached_rows(lowered, schedule)):
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


def in_turns(groups: Sequence[Group], rows: Array) -> tuple[list[Group], Array, Array]:
    """Order the instances of each group as the rows come: (groups, group of each turn, place of its row in rows)."""
    position = numbering(rows)
    ordered, turns = [], []
    for group in groups:
        at = position(group.row.array().ravel())
        order = np.argsort(at, kind="stable")
        in_order = bool((np.diff(order) == 1).all()) and len(order) > 0 and len(group.shape) == 1
        ordered.append(group if in_order else group.restrict(order))
        turns.append(at[order])
    when = np.concatenate(turns) if turns else np.empty(0, np.int64)
    whose = np.repeat(np.arange(len(ordered)), [len(t) for t in turns])
    merged = np.argsort(when, kind="stable")
    return ordered, whose[merged], when[merged]
