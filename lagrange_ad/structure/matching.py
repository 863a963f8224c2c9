"""Maximum matchings of equations and unknowns, and the Dulmage–Mendelsohn parts of what cannot be matched.

Takes the bipartite graph as compressed rows (equation → its unknowns), gives the pairs as two index arrays.
Karp and Sipser's cheap assignment first, then augmenting paths by depth-first search with lookahead and
alternating direction (Pothen and Fan 1990; Duff, Kaya and Uçar 2011), all of it in loops.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .assignment import assign_cheaply
from .blocks import Flags, Indices, expand, reachable


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
    indptr: Indices, indices: Indices, n_columns: int, start: Indices | None = None
) -> Matching:
    """A maximum matching of the rows of a compressed pattern with its columns.

    `indices[indptr[i]:indptr[i+1]]` are the columns of row i, without duplicates. `start` (n_rows,) holds the
    column of each row already paired, or -1; its pairs must be entries of the pattern and distinct. Rows and
    columns paired there stay paired, though perhaps with another partner.
    """
    n_rows = len(indptr) - 1
    column_of_row = np.full(n_rows, -1, np.int64) if start is None else np.array(start, np.int64)
    if (column_of_row < 0).any():
        search = _Search(indptr, indices, n_columns, column_of_row)
        search.assign_cheaply()
        search.augment()
        column_of_row = np.array(search.column_of_row, np.int64)
    return Matching(column_of_row, inverse(column_of_row, n_columns))


def inverse(column_of_row: Indices, n_columns: int) -> Indices:
    """The row of every column (n_columns,), -1 where there is none."""
    row_of_column = np.full(n_columns, -1, np.int64)
    rows = np.flatnonzero(column_of_row >= 0)
    row_of_column[column_of_row[rows]] = rows
    return row_of_column


class _Search:
    """The state of the search, in Python lists, which single-element loops read several times faster than
    arrays.
    """

    def __init__(self, indptr: Indices, indices: Indices, n_columns: int, column_of_row: Indices) -> None:
        self.pattern = (indptr, indices)
        self.n_columns = n_columns
        self.first: list[int] = indptr.tolist()
        self.columns: list[int] = indices.tolist()
        self.column_of_row: list[int] = column_of_row.tolist()
        self.row_of_column: list[int] = inverse(column_of_row, n_columns).tolist()

    def assign_cheaply(self) -> None:
        """Pair free rows with free columns by local choices."""
        indptr, indices = self.pattern
        owner = expand(indptr)
        taken = np.array(self.column_of_row) >= 0, np.array(self.row_of_column) >= 0
        free = ~taken[0][owner] & ~taken[1][indices]
        given = assign_cheaply(len(indptr) - 1, self.n_columns, owner[free], indices[free])
        for row in np.flatnonzero(given >= 0).tolist():
            self._flip([row], int(given[row]))

    def augment(self) -> None:
        """Phases of disjoint augmenting paths, until a phase finds none."""
        last = self.first[1:]
        look = self.first[:-1]
        after = self.first[:-1]
        visited = [-1] * len(look)
        unmatched = [row for row, column in enumerate(self.column_of_row) if column < 0]
        phase = 0
        while unmatched:
            failed = [row for row in unmatched if not self._grow(row, phase, look, after, last, visited)]
            if len(failed) == len(unmatched):
                return
            unmatched = failed
            phase += 1

    def _grow(
        self, root: int, phase: int, look: list[int], after: list[int], last: list[int], visited: list[int]
    ) -> bool:
        """Search one augmenting path from the unmatched `root`, and flip it if there is one.

        `look[row]` is where the row's next free column may stand; it never goes back, since a matched column
        stays matched. `after[row]` is the next entry to descend into in this phase.
        """
        columns, row_of_column, first = self.columns, self.row_of_column, self.first
        path = [root]
        after[root] = first[root]
        while path:
            row = path[-1]
            end = last[row]
            place = look[row]
            while place < end and row_of_column[columns[place]] >= 0:
                place += 1
            look[row] = place
            if place < end:
                self._flip(path, columns[place])
                return True
            place = after[row]
            if phase & 1:  # fairness: odd phases read the row backwards
                mirror = first[row] + end - 1
                while place < end and visited[row_of_column[columns[mirror - place]]] == phase:
                    place += 1
                step = mirror - place
            else:
                while place < end and visited[row_of_column[columns[place]]] == phase:
                    place += 1
                step = place
            after[row] = place + 1
            if place < end:
                row = row_of_column[columns[step]]
                visited[row] = phase
                after[row] = first[row]
                path.append(row)
            else:
                path.pop()
        return False

    def _flip(self, path: list[int], column: int) -> None:
        """Give the last row of the path `column`, and every earlier row its successor's former column."""
        for row in reversed(path):
            former = self.column_of_row[row]
            self.column_of_row[row] = column
            self.row_of_column[column] = row
            column = former


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
