"""Which leaves each node of an acyclic graph depends on, and colours for columns that share no row.

Takes index arrays, gives index arrays. What it costs is known beforehand or bounded: a set of patterns that grows over
its limit is given up.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .blocks import Indices, compress
from .loops import Cells, Loops

WORK = 64
"""So many looks at entries are worth one entry found, before patterns are given up."""
MOST_PAIRS = 1 << 28
"""Colouring looks at so many pairs of entries in a row at most."""


class Patterns(NamedTuple):
    """The leaves of node k, in the order met: ``leaves[start[k]:start[k + 1]]``."""

    start: Indices
    leaves: Indices


def leaves_of(n_leaves: int, n_nodes: int, node: Indices, source: Indices, limit: int, loops: Loops) -> Patterns | None:
    """The leaves that every node depends on, by pairs (node, source), a source s a leaf, or node s − n_leaves.

    Sources come before their nodes. None where there are more than ``limit`` entries in all, or too much work in it.
    """
    begin, sources = compress(n_nodes, n_leaves + n_nodes, node, source)
    limit = max(1, min(limit, n_leaves * n_nodes))
    start, leaves = np.zeros(n_nodes + 1, np.int64), np.empty(limit, np.int64)
    seen = np.full(n_leaves, -1, np.int64)
    count = loops(_unite, begin, sources, n_leaves, n_nodes, limit, start=start, leaves=leaves, seen=seen)
    return None if count < 0 else Patterns(start, leaves[:count].copy())


def _unite(begin: Cells, sources: Cells, n_leaves: int, n_nodes: int, limit: int, start: Cells, leaves: Cells,
           seen: Cells) -> int:
    """Node after node the union of what its sources have."""
    at = 0
    work = 0
    for k in range(n_nodes):
        start[k] = at
        for i in range(begin[k], begin[k + 1]):
            source = sources[i]
            low = source
            high = source + 1
            if source >= n_leaves:
                low = start[source - n_leaves]
                high = start[source - n_leaves + 1]
            work += high - low
            for m in range(low, high):
                leaf = m
                if source >= n_leaves:
                    leaf = leaves[m]
                if seen[leaf] != k:
                    if at >= limit:
                        return -1
                    seen[leaf] = k
                    leaves[at] = leaf
                    at += 1
        start[k + 1] = at
        if work > limit * WORK:
            return -1
    return at


def colours_of(n_rows: int, n_columns: int, rows: NDArray[Any], columns: NDArray[Any], loops: Loops) -> Indices:
    """A colour for every column of a pattern, no two of one colour in a row; greedily, the fullest columns first.

    Where a row is so full that this is not worth looking for, every column has its own.
    """
    counts = np.bincount(rows, minlength=n_rows)
    if not len(rows) or np.max(counts) == n_columns or (counts**2).sum() > MOST_PAIRS:
        return np.arange(n_columns) if len(rows) else np.zeros(n_columns, np.int64)
    rows, columns = rows.astype(np.int64), columns.astype(np.int64)
    row_begin, in_row = compress(n_rows, n_columns, rows, columns)
    column_begin, in_column = compress(n_columns, n_rows, columns, rows)
    order = np.argsort(-np.diff(column_begin), kind="stable")
    colour, forbidden = np.full(n_columns, -1, np.int64), np.full(n_columns + 1, -1, np.int64)
    loops(_colour, order, row_begin, in_row, column_begin, in_column, n_columns, colour=colour, forbidden=forbidden)
    return colour


def _colour(order: Cells, row_begin: Cells, in_row: Cells, column_begin: Cells, in_column: Cells, n_columns: int,
            colour: Cells, forbidden: Cells) -> int:
    """The first colour that no column has that meets this one."""
    for k in range(n_columns):
        column = order[k]
        for i in range(column_begin[column], column_begin[column + 1]):
            row = in_column[i]
            for m in range(row_begin[row], row_begin[row + 1]):
                if colour[in_row[m]] >= 0:
                    forbidden[colour[in_row[m]]] = column
        first = 0
        while forbidden[first] == column:
            first += 1
        colour[column] = first
    return 0
