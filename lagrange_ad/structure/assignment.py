"""A cheap assignment: most pairs of a maximum matching by local choices alone, in linear time.

Karp and Sipser (1981): whoever has one choice left takes it, which is never wrong; where everyone has
several, those with two choices go first. Takes pairs (row, column), gives pairs; what it leaves is for
augmenting paths.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .blocks import Indices, compress


def assign_cheaply(n_rows: int, n_columns: int, rows: Indices, columns: Indices) -> Indices:
    """The column (n_rows,) given to every row, or -1, such that (row, column) is one of the pairs and no
    column is given twice. Rows and columns are nodes of one undirected graph here: column c is node n_rows
    + c.
    """
    n = n_rows + n_columns
    indptr, indices = compress(
        n, n, np.concatenate((rows, columns + n_rows)), np.concatenate((columns + n_rows, rows))
    )
    degree = np.diff(indptr)
    order = np.argsort(degree[:n_rows], kind="stable")
    partner = _pair_up(indptr.tolist(), indices.tolist(), degree.tolist(), order.tolist())
    given = np.array(partner[:n_rows], np.int64)
    return np.where(given < 0, -1, given - n_rows)


def _pair_up(first: list[int], adjacent: list[int], degree: list[int], order: list[int]) -> list[int]:
    """The partner of every node, or -1; `degree` counts the neighbours without one."""
    partner = [-1] * len(degree)
    single = [node for node, count in enumerate(degree) if count == 1]
    double = [node for node, count in enumerate(degree) if count == 2]
    for node in _by_urgency(single, double, order):
        if partner[node] >= 0 or degree[node] == 0:
            continue
        free = [other for other in adjacent[first[node] : first[node + 1]] if partner[other] < 0]
        other = free[0] if len(free) == 1 else min(free, key=degree.__getitem__)
        partner[node] = other
        partner[other] = node
        for end in (node, other):
            for neighbour in adjacent[first[end] : first[end + 1]]:
                left = degree[neighbour] = degree[neighbour] - 1
                if left == 1:
                    single.append(neighbour)
                elif left == 2:
                    double.append(neighbour)
    return partner


def _by_urgency(single: list[int], double: list[int], order: list[int]) -> Iterator[int]:
    """Nodes with one choice left, then nodes with two, then the rest; both lists grow while this runs."""
    for node in order:
        while single or double:
            yield single.pop() if single else double.pop()
        yield node
    while single or double:
        yield single.pop() if single else double.pop()
