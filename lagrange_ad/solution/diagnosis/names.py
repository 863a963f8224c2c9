"""Elements of equations and variables as messages name them: whole arrays by their name, parts by elements, counted.

Knows the layout of a lowered program; what it costs does not grow with what is not named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ...expression import Array
from ...lowering import Blocks, Lowered
from ...printing import place
from ...text import listing
from .finding import MOST_NAMES

MOST_PLACED = 6
"""So many blocks are named with where they were declared."""
MOST_ELEMENTS = 3
"""So many elements of one array are named."""


def equations_in_words(lowered: Lowered, rows: Array) -> str:
    """User's equations, with where they were declared; rows of auxiliaries are passed over."""
    user = rows[rows < lowered.n_user_rows]
    return _in_words(lowered.rows, user, lambda block: place(lowered.equations[block].location))


def variables_in_words(lowered: Lowered, columns: Array) -> str:
    """User's variables, with where they were declared; auxiliaries are passed over."""
    def where(block: int) -> str:
        return place(lowered.symbols[lowered.state.names[block]].location)

    return _in_words(lowered.state, columns[columns < lowered.n_user], where)


def equation_names(lowered: Lowered, rows: Array) -> tuple[str, ...]:
    """The names of the first rows, as findings keep them."""
    return tuple(lowered.row_name(row) for row in rows[:MOST_NAMES].tolist())


def variable_names(lowered: Lowered, columns: Array) -> tuple[str, ...]:
    """The names of the first elements of the state, as findings keep them."""
    return tuple(lowered.state.element(column) for column in columns[:MOST_NAMES].tolist())


def elements(blocks: Blocks, indices: Array, most: int = 8) -> str:
    """The names of the first elements, and how many there are."""
    names = [blocks.element(int(i)) for i in indices[:most]]
    return ", ".join(names) + (f", … ({len(indices)} in all)" if len(indices) > most else "")


def _in_words(blocks: Blocks, indices: Array, where: Callable[[int], str]) -> str:
    parts = list(_by_block(blocks, np.sort(indices)))
    named = [f"{text} ({where(block)})" for block, text in parts[:MOST_PLACED]]
    more = [f"… ({len(parts)} in all)"] if len(parts) > MOST_PLACED else []
    return ", ".join([*named, *more])


def _by_block(blocks: Blocks, indices: Array) -> Iterator[tuple[int, str]]:
    """Each block that has some of the ascending indices, with its name or those of its elements."""
    of = np.searchsorted(blocks.start, indices, side="right") - 1
    first = np.flatnonzero(np.diff(of, prepend=-1))
    for begin, end in zip(first.tolist(), [*first[1:].tolist(), len(of)], strict=False):
        block, count = int(of[begin]), end - begin
        size = int(blocks.start[block + 1] - blocks.start[block])
        if count == size:
            shape = blocks.shapes[block]
            yield block, f"{blocks.names[block]!r}" + (f" of shape {shape}" if shape else "")
        else:
            shown = listing([repr(blocks.element(int(i))) for i in indices[begin : begin + MOST_ELEMENTS]])
            yield block, shown + (f", … ({count} of its {size} elements)" if count > MOST_ELEMENTS else "")
