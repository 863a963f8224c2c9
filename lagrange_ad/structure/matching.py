"""Maximum matchings of equations and unknowns, and the Dulmage–Mendelsohn parts of what cannot be matched.

Takes the bipartite graph as compressed rows (equation → its unknowns), gives the pairs as two index arrays.
Karp and Sipser's cheap assignment first, then augmenting paths by depth-first search with lookahead and
alternating direction (Pothen and Fan 1990; Duff, Kaya and Uçar 2011).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .assignment import assign_cheaply
from .blocks import Flags, Indices, expand, reachable
from .loops import Cells, Loops, in_python


@dataclass(frozen=True, eq=False)
class Matching:
    """Pairs of rows and columns: `column_of_row` (n_rows,) and `row_of_column` (n_columns,), -1 where
    unmatched.
    """

    column_of_row: Indices
    row_of_column: Indices

    @property
    def perfect(self) -> bool:
        """Whether every row and every column has its partner."""
        return bool((self.column_of_row >= 0).all() and (self.row_of_column >= 0).all())


@dataclass(frozen=True, eq=False)
class DulmageMendelsohn:
    """The coarse Dulmage–Mendelsohn parts, each an ascending index array.

    Rows outnumber columns in the `over` part (too many equations), columns outnumber rows in the `under` part
    (free unknowns), and the `square` part is perfectly matched. They do not depend on which maximum matching
    was used.
    """

    over_rows: Indices
    over_columns: Indices
    under_rows: Indices
    under_columns: Indices
    square_rows: Indices
    square_columns: Indices


def maximum_matching(
    indptr: Indices, indices: Indices, n_columns: int, start: Indices | None = None, loops: Loops = in_python
) -> Matching:
    """A maximum matching of the rows of a compressed pattern with its columns.

    `indices[indptr[i]:indptr[i+1]]` are the columns of row i, without duplicates. `start` (n_rows,) holds the
    column of each row already paired, or -1; its pairs must be entries of the pattern and distinct. Rows and
    columns paired there stay paired, though perhaps with another partner.
    """
    n_rows = len(indptr) - 1
    column_of_row = np.full(n_rows, -1, np.int64) if start is None else np.array(start, np.int64)
    if (column_of_row < 0).any():
        given = assign_cheaply(*_free_pattern(indptr, indices, n_columns, column_of_row), n_columns, loops)
        column_of_row = np.maximum(column_of_row, given)
        if (column_of_row < 0).any():
            row_of_column = inverse(column_of_row, n_columns)
            room = {name: np.zeros(n_rows, np.int64) for name in ("look", "after", "visited", "path", "unmatched")}
            loops(augment, indptr, indices, n_rows, column_of_row=column_of_row, row_of_column=row_of_column, **room)
    return Matching(column_of_row, inverse(column_of_row, n_columns))


def _free_pattern(
    indptr: Indices, indices: Indices, n_columns: int, column_of_row: Indices
) -> tuple[Indices, Indices]:
    """The pattern without the entries of rows and columns that are paired."""
    if (column_of_row < 0).all():
        return indptr, indices
    owner = expand(indptr)
    free = (column_of_row[owner] < 0) & (inverse(column_of_row, n_columns)[indices] < 0)
    return np.concatenate(([0], np.cumsum(np.bincount(owner[free], minlength=len(indptr) - 1)))), indices[free]


def inverse(column_of_row: Indices, n_columns: int) -> Indices:
    """The row of every column (n_columns,), -1 where there is none."""
    row_of_column = np.full(n_columns, -1, np.int64)
    rows = np.flatnonzero(column_of_row >= 0)
    row_of_column[column_of_row[rows]] = rows
    return row_of_column


def augment(
    first: Cells, columns: Cells, n_rows: int, column_of_row: Cells, row_of_column: Cells, look: Cells, after: Cells,
    visited: Cells, path: Cells, unmatched: Cells,
) -> int:  # fmt: skip
    """Phases of disjoint augmenting paths, until a phase finds none; a loop.

    `unmatched` has room for every row. `look[row]` is where the row's next free column may stand; it never goes back,
    since a matched column stays matched. `after[row]` is the next entry to descend into in this phase.
    """
    left = 0
    for row in range(n_rows):
        look[row] = first[row]
        visited[row] = -1
        if column_of_row[row] < 0:
            unmatched[left] = row
            left += 1
    phase = 0
    while left > 0:
        failed = 0
        for k in range(left):
            root = unmatched[k]
            if grow(root, phase, first, columns, column_of_row, row_of_column, look, after, visited, path) == 0:
                unmatched[failed] = root
                failed += 1
        if failed == left:
            return left
        left = failed
        phase += 1
    return 0


def grow(
    root: int, phase: int, first: Cells, columns: Cells, column_of_row: Cells, row_of_column: Cells, look: Cells,
    after: Cells, visited: Cells, path: Cells,
) -> int:  # fmt: skip
    """Search one augmenting path from the unmatched `root`, and flip it if there is one; whether there is.

    Odd phases read rows backwards, which is fairer to the columns that stand last.
    """
    path[0] = root
    after[root] = first[root]
    depth = 1
    while depth > 0:
        row = path[depth - 1]
        end = first[row + 1]
        place = look[row]
        while place < end and row_of_column[columns[place]] >= 0:
            place += 1
        look[row] = place
        if place < end:
            column = columns[place]
            while depth > 0:
                depth -= 1
                former = column_of_row[path[depth]]
                column_of_row[path[depth]] = column
                row_of_column[column] = path[depth]
                column = former
            return 1
        place = after[row]
        step = place
        searching = 1
        while searching and place < end:
            step = place
            if phase & 1:
                step = first[row] + end - 1 - place
            place += 1
            if visited[row_of_column[columns[step]]] != phase:
                searching = 0
        after[row] = place
        if searching:
            depth -= 1
        else:
            row = row_of_column[columns[step]]
            visited[row] = phase
            after[row] = first[row]
            path[depth] = row
            depth += 1
    return 0


def dulmage_mendelsohn(
    indptr: Indices, indices: Indices, n_columns: int, matching: Matching
) -> DulmageMendelsohn:
    """The coarse Dulmage–Mendelsohn parts of a compressed pattern, from any maximum matching of it.

    Over: rows reached from unmatched rows by alternating paths (row, any of its columns, the row matched to
    that) and the columns of those rows. Under: the same with rows and columns exchanged, from unmatched
    columns. Source: Dulmage and Mendelsohn (1958); Pothen and Fan (1990).
    """
    n_rows = len(indptr) - 1
    rows, columns = expand(indptr), indices
    over = _reached_from_unmatched(rows, columns, matching.column_of_row, matching.row_of_column)
    under = _reached_from_unmatched(columns, rows, matching.row_of_column, matching.column_of_row)
    over_column, under_row = np.zeros(n_columns, np.bool_), np.zeros(n_rows, np.bool_)
    over_column[columns[over[rows]]] = True
    under_row[rows[under[columns]]] = True
    parts = (over, over_column, under_row, under, ~(over | under_row), ~(over_column | under))
    return DulmageMendelsohn(*(np.flatnonzero(part) for part in parts))


def _reached_from_unmatched(near: Indices, far: Indices, far_of_near: Indices, near_of_far: Indices) -> Flags:
    """Which near nodes are reached from unmatched near nodes by alternating paths over pairs (near, far)."""
    following = near_of_far[far]
    matched = following >= 0
    return reachable(len(far_of_near), near[matched], following[matched], np.flatnonzero(far_of_near < 0))
