"""What goes into the structure analysis and what comes out of it: index arrays, nothing else.

Rows are elements of equations, columns are elements of the flat state. Both are grouped in contiguous
*declared blocks*: one row block an equation, one column block a named array. All index arrays are int64.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np

from .blocks import Flags, Indices
from .loops import Loops, in_python
from .matching import DulmageMendelsohn

NOTHING, TEAR, TORN = 0, 1, 2
"""What the user may want of a column: nothing; that its block be solved in its torn columns alone; that it be one."""

Incidence: TypeAlias = Callable[[Indices], tuple[Indices, Indices]]


@contextmanager
def collector_paused() -> Iterator[None]:
    """No rounds of the garbage collector while steps are made by the million: it would look at all of them each time.

    They are in no cycles of references.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@dataclass(frozen=True, eq=False)
class Structure:
    """The structure of a program.

    row_start (n_row_blocks + 1,), column_start (n_column_blocks + 1,): offsets of the declared blocks.
    own (n_rows,): the column alone on the left side of an explicit equation, -1 for an implicit one.
    unknown, started (n_columns,): whether the column is to be found; whether the user gave it a start.
    auxiliary (n_rows,): rows that define an auxiliary: explicit, acyclic among themselves, `own` unknown; a
    row block has auxiliary rows only or none.
    coarse_row, coarse_column: the pairs of declared blocks that share an incidence, each once.
    preferred (n_row_blocks,): the column block that the user said the equation determines, or -1.
    incidence(row_blocks): the pairs (rows, columns) of those row blocks such that the right side of the row
    contains the column. Duplicates and known columns are allowed; `own` is a pair only where the right side
    contains it.
    tear (n_columns,): NOTHING, or, for blocks that are to be solved in their torn columns alone, TEAR or TORN for
    columns in them; by default none.
    loops: how loops over single elements run.
    """

    row_start: Indices
    column_start: Indices
    own: Indices
    unknown: Flags
    auxiliary: Flags
    started: Flags
    coarse_row: Indices
    coarse_column: Indices
    preferred: Indices
    incidence: Incidence
    tear: Indices = field(default_factory=lambda: np.zeros(0, np.int8))
    loops: Loops = in_python

    def __post_init__(self) -> None:
        if not len(self.tear):
            object.__setattr__(self, "tear", np.zeros(len(self.unknown), np.int8))

    @property
    def n_rows(self) -> int:
        return len(self.own)

    @property
    def n_columns(self) -> int:
        return len(self.unknown)

    @cached_property
    def is_scalar(self) -> bool:
        """Whether the declared blocks are elements themselves."""
        return bool((self.row_size == 1).all() and (self.column_size == 1).all())

    @cached_property
    def row_size(self) -> Indices:
        """The number of rows of every row block."""
        return np.diff(self.row_start)

    @cached_property
    def column_size(self) -> Indices:
        """The number of columns of every column block."""
        return np.diff(self.column_start)

    @cached_property
    def block_of_row(self) -> Indices:
        return np.repeat(np.arange(len(self.row_size)), self.row_size)

    @cached_property
    def block_of_column(self) -> Indices:
        return np.repeat(np.arange(len(self.column_size)), self.column_size)

    @cached_property
    def unknown_count(self) -> Indices:
        """The number of unknown columns of every column block."""
        before = np.concatenate(([0], np.cumsum(self.unknown)))
        return before[self.column_start[1:]] - before[self.column_start[:-1]]


@dataclass(frozen=True, eq=False)
class Wide:
    """Explicit rows that do not depend on each other: run as one vector."""

    rows: Indices


@dataclass(frozen=True, eq=False)
class Sequence:
    """Explicit rows in an order in which each may use the rows before it: recurrences and chains."""

    rows: Indices


@dataclass(eq=False, slots=True)  # not frozen: that would take four times as long to make, and there are 10^6
class Block:
    """Rows to be solved together: they are strongly connected, or implicit, or refer to themselves.

    `columns[i]` is matched to `rows[i]`, neither contains auxiliaries. `eliminated` are explicit rows inside the
    block that are not solved but follow, in levels: each from `columns`, earlier levels and what came before the
    block. They are the auxiliaries and, where the block is to be solved in its torn columns alone, all other rows
    that are not torn. `torn` are places in `rows` and `columns`: given these columns, all others can be propagated.
    `sweep` are the explicit rows whose own unknown has no start, auxiliaries among them, also in levels: running
    them in this order from the starts makes a first guess, in which each row but the torn ones comes before what
    uses it. So starts are needed for the torn columns only.
    """

    rows: Indices
    columns: Indices
    eliminated: tuple[Indices, ...]
    sweep: tuple[Indices, ...]
    torn: Indices


Step: TypeAlias = Wide | Sequence | Block


@dataclass(frozen=True, eq=False)
class Schedule:
    """Steps in an order in which each uses unknowns of earlier steps or its own.

    `column_of_row` (n_rows,) is the unknown that each row determines; an auxiliary row always determines its
    own.
    """

    steps: tuple[Step, ...]
    column_of_row: Indices


@dataclass(frozen=True, eq=False)
class Deficiency:
    """There is no schedule: rows and unknowns cannot be paired. `parts` holds indices of rows and of unknown
    columns.
    """

    parts: DulmageMendelsohn
    n_rows: int
    n_unknowns: int
