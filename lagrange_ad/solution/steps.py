"""The steps of a plan: rows computed at once, one after the other, or solved together, with their groups cut out.

A block tells three sets of rows and unknowns apart: ``rows``/``columns`` are solved, ``user_rows``/``user_columns`` are
all of the user's (eliminated ones last), ``all_rows``/``all_columns`` have auxiliaries as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..execution import Executor, Run
from ..execution.protocol import Sequential
from ..expression import Array
from ..lowering import Group, Lowered
from ..program.choices import SolverChoice
from ..solvers import Substitution, System, Triangular, is_finite
from ..structure import Block
from ..text import listing
from .torn import Part


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
        slot = np.full(len(j), -1, dtype=np.int32)
        slot[entries] = system.slot[: len(entries)]
        constant = np.zeros(len(system.rows))
        constant[system.slot[len(entries) :]] = -1.0
        return Assembly(system, self.run.prepared_sums("jacobian", slot, constant))

    def jacobian(self, z: Array) -> Any:
        """∂r/∂z among these rows and their unknowns, at a state: an array, or CSC when large."""
        system, sums = self.pattern
        return system.of_data(sums(z))


class Assembly(NamedTuple):
    """The matrix of coupled rows, and what computes its numbers, the −1 of own elements included."""

    system: System
    sums: Callable[..., Array]


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
        if not self.schedule.eliminated:
            return self.columns[:0]
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


def wide_steps(lowered: Lowered, batches: Sequence[Array], executor: Executor) -> tuple[WideStep, ...]:
    """Wide steps of given batches of explicit rows."""
    cut = Cut(lowered, batches, executor)
    return tuple(WideStep(rows, lowered.own[rows], cut, i) for i, rows in enumerate(batches))


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
