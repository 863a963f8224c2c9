"""A cheap assignment: most pairs of a maximum matching by local choices alone, in linear time.

Karp and Sipser (1981): whoever has one choice left takes it, which is never wrong; where everyone has
several, those with two choices go first. Takes pairs (row, column), gives pairs; what it leaves is for
augmenting paths.
"""

from __future__ import annotations

import numpy as np

from .blocks import Indices, transpose
from .loops import Cells, Loops, in_python


def assign_cheaply(indptr: Indices, indices: Indices, n_columns: int, loops: Loops = in_python) -> Indices:
    """The column (n_rows,) given to every row of a compressed pattern, or -1, such that the pairs are entries
    and no column is given twice. Rows and columns are nodes of one undirected graph here: column c is node
    n_rows + c.
    """
    n_rows = len(indptr) - 1
    n = n_rows + n_columns
    rows_of_columns = transpose(indptr, indices, n_columns)
    indptr = np.concatenate((indptr, indptr[-1] + rows_of_columns[0][1:]))
    indices = np.concatenate((indices + n_rows, rows_of_columns[1]))
    degree = np.diff(indptr)
    order = np.argsort(degree[:n_rows], kind="stable")
    partner, single, double = np.full(n, -1, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    loops(pair_up, indptr, indices, n, order, n_rows, degree=degree, partner=partner, single=single, double=double)
    given = partner[:n_rows]
    return np.where(given < 0, -1, given - n_rows)


def pair_up(
    first: Cells, adjacent: Cells, n: int, order: Cells, n_ordered: int, degree: Cells, partner: Cells, single: Cells,
    double: Cells,
) -> int:  # fmt: skip
    """The partner of every node, or -1; a loop.

    `degree` counts the neighbours without a partner. Nodes with one choice left (on the stack `single`) go first, then
    those with two (`double`), then the rest in the given order.
    """
    singles = 0
    doubles = 0
    for node in range(n):
        if degree[node] == 1:
            single[singles] = node
            singles += 1
        if degree[node] == 2:
            double[doubles] = node
            doubles += 1
    turn = 0
    while True:
        if singles > 0:
            singles -= 1
            node = single[singles]
        elif doubles > 0:
            doubles -= 1
            node = double[doubles]
        elif turn < n_ordered:
            node = order[turn]
            turn += 1
        else:
            return 0
        if partner[node] >= 0 or degree[node] == 0:
            continue
        other = -1
        for place in range(first[node], first[node + 1]):
            neighbour = adjacent[place]
            if partner[neighbour] < 0 and (other < 0 or degree[neighbour] < degree[other]):
                other = neighbour
        partner[node] = other
        partner[other] = node
        for end in range(2):
            if end == 1:
                node = other
            for place in range(first[node], first[node + 1]):
                neighbour = adjacent[place]
                degree[neighbour] -= 1
                if degree[neighbour] == 1:
                    single[singles] = neighbour
                    singles += 1
                elif degree[neighbour] == 2:
                    double[doubles] = neighbour
                    doubles += 1
