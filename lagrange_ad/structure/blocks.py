"""Strong components, levels and reachability of directed graphs given as index arrays.

Takes the number of nodes and the edges as two arrays (source, target), gives one integer or one truth value a
node. Everything is linear in nodes plus edges, and nothing is recursive: a chain of a million nodes is a
normal graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .loops import Cells, Flags, Indices, Loops, in_python

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NARROW_FRONT = 64  # below this many nodes a round of array operations costs more than a plain loop
NARROW_ROUNDS = 256  # so many narrow rounds are forgiven before the plain loop takes the rest


def strong_components(n: int, source: Indices, target: Indices) -> Indices:
    """The strong component of every node (n,), numbered so that no edge goes from a higher number to a lower.

    SciPy numbers components in the reverse of such an order in practice but does not promise it: one pass
    verifies it, and the levels of the condensation renumber otherwise.
    """
    from scipy.sparse.csgraph import connected_components

    count, found = connected_components(_graph(n, source, target), directed=True, connection="strong")
    label = count - 1 - found.astype(np.int64)
    if (label[source] <= label[target]).all():
        return np.asarray(label, dtype=np.int64)
    return renumber(count, label, source, target)


def renumber(count: int, label: Indices, source: Indices, target: Indices) -> Indices:
    """Number `count` strong components anew in a topological order of their condensation."""
    before, after = label[source], label[target]
    between = before != after
    order = np.argsort(levels(count, before[between], after[between]), kind="stable")
    place = np.empty(count, np.int64)
    place[order] = np.arange(count)
    return place[label]


def levels(n: int, source: Indices, target: Indices, loops: Loops = in_python) -> Indices:
    """The number of edges on the longest path to every node (n,) of an acyclic graph: 0 for its sources.

    Whole fronts are peeled by array operations while they are wide; a plain loop takes over when they stay
    narrow. Raises ValueError when the graph has a cycle.
    """
    indptr, successors = compress(n, n, source, target)
    waiting = np.bincount(successors, minlength=n)
    level = np.full(n, -1, np.int64)
    slot = np.empty(n, np.int64)
    front, depth, narrow = np.flatnonzero(waiting == 0), 0, 0
    while front.size and narrow < NARROW_ROUNDS:
        level[front] = depth
        depth += 1
        narrow += front.size < NARROW_FRONT
        reached = successors[ranges(indptr[front], indptr[front + 1])]
        np.subtract.at(waiting, reached, 1)
        reached = reached[waiting[reached] == 0]
        slot[reached] = np.arange(reached.size)  # of equal entries the last one stays
        front = reached[slot[reached] == np.arange(reached.size)]
    if front.size:
        queue = np.empty(n, np.int64)
        queue[: front.size] = front
        loops(number_levels, indptr, successors, front.size, depth, queue=queue, waiting=waiting, level=level)
    if (level < 0).any():
        raise ValueError(f"the graph has a cycle: {np.count_nonzero(level < 0)} of {n} nodes have no level")
    return level


def number_levels(
    first: Cells, successors: Cells, ready: int, depth: int, queue: Cells, waiting: Cells, level: Cells
) -> int:
    """Go on with `levels` from the front queue[:ready] at `depth`, node by node; a loop."""
    for k in range(ready):
        level[queue[k]] = depth
    done = 0
    while done < ready:
        node = queue[done]
        done += 1
        for place in range(first[node], first[node + 1]):
            successor = successors[place]
            waiting[successor] -= 1
            if waiting[successor] == 0:
                level[successor] = level[node] + 1
                queue[ready] = successor
                ready += 1
    return ready


def reachable(n: int, source: Indices, target: Indices, starts: Indices) -> Flags:
    """Which of n nodes can be reached from the nodes `starts` along the edges; the starts themselves can."""
    from scipy.sparse.csgraph import breadth_first_order

    source = np.concatenate((source, np.full(starts.size, n, np.int64)))  # node n leads to every start
    target = np.concatenate((target, starts))
    visited = breadth_first_order(_graph(n + 1, source, target), n, directed=True, return_predecessors=False)
    flags = np.zeros(n + 1, np.bool_)
    flags[visited] = True
    return flags[:n]


def compress(n_rows: int, n_columns: int, rows: Indices, columns: Indices) -> tuple[Indices, Indices]:
    """Compressed rows (indptr, indices) of a set of pairs: duplicates dropped, columns ascending in a row."""
    pattern = _pattern(n_rows, n_columns, rows, columns)
    return pattern.indptr.astype(np.int64), pattern.indices.astype(np.int64)


def transpose(indptr: Indices, indices: Indices, n_columns: int) -> tuple[Indices, Indices]:
    """Compressed rows as compressed columns."""
    from scipy.sparse import csr_array

    present = np.ones(len(indices), np.bool_)
    columns: Any = csr_array((present, indices, indptr), shape=(len(indptr) - 1, n_columns)).tocsc()
    return columns.indptr.astype(np.int64), columns.indices.astype(np.int64)


def expand(indptr: Indices) -> Indices:
    """The row of every entry of compressed rows."""
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def ranges(start: Indices, stop: Indices) -> Indices:
    """The concatenation of arange(start[i], stop[i]) over all i."""
    count = stop - start
    before = np.cumsum(count) - count
    return np.repeat(start - before, count) + np.arange(count.sum())


def changes(values: Indices) -> Flags:
    """Whether each value differs from the one before it; the first does."""
    changed = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=changed[1:])
    return changed


def pick(table: Indices, index: Indices) -> Indices:
    """table[index], and -1 where the index is -1."""
    present = index >= 0
    picked = np.full(index.shape, -1, np.int64)
    picked[present] = table[index[present]]
    return picked


def _pattern(n_rows: int, n_columns: int, rows: Indices, columns: Indices) -> csr_array:
    from scipy.sparse import coo_array

    present = np.ones(len(rows), np.bool_)
    return coo_array((present, (rows, columns)), shape=(n_rows, n_columns)).tocsr()


def _graph(n: int, source: Indices, target: Indices) -> csr_array:
    return _pattern(n, n, source, target)
