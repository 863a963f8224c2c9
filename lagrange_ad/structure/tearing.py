"""Tearing: a small set of nodes without which a directed graph has no cycle (a feedback vertex set).

Takes index arrays: the edges, and what it costs to tear each node; gives a truth value a node. Reductions first, which
lose nothing: a node without predecessors or successors goes, one with a single neighbour on a side is merged into that
neighbour, one that has come to follow itself is torn (Smith and Walford 1975; Levy and Low 1988). Where nothing can be
reduced, the node with the most paths through it, predecessors times successors, is torn.
"""

from __future__ import annotations

import numpy as np

from .blocks import Flags, Indices, strong_components
from .loops import Cells, Loops, in_python

CHEAP, DEAR, NEVER = 0, 1, 2
"""Costs: torn before others, torn where need be, not to be torn (such nodes have no cycle among themselves)."""
MOST = 127  # paths through a node are told apart up to this number
_LISTS = 1 + 2 * (MOST + 1)  # nodes that can be reduced, then the others by their paths, dear ones before cheap ones


def feedback_vertices(
    n: int, source: Indices, target: Indices, cost: Indices, loops: Loops = in_python,
    component: Indices | None = None,
) -> Flags:  # fmt: skip
    """Which of n nodes to tear, so that the edges (source, target) among the others have no cycle.

    `cost` (n,) is CHEAP, DEAR or NEVER. Nodes that follow themselves are torn, whatever the rest looks like. Linear
    in nodes plus edges but for the search for parallel edges, which takes the shorter of two lists. `component` (n,)
    are the strong components where they are known.
    """
    torn = np.zeros(n, np.bool_)
    torn[source[source == target]] = True
    if component is None:
        component = strong_components(n, source, target)
    inside = (component[source] == component[target]) & ~torn[source] & ~torn[target]
    if not inside.any():
        return torn
    ends = np.stack((source[inside], target[inside]), axis=1).reshape(-1)
    met = np.zeros(n, np.bool_)
    met[ends] = True
    nodes = np.flatnonzero(met)
    place = np.cumsum(met) - 1
    torn[nodes[_torn_among(len(nodes), place[ends], cost[nodes], loops)]] = True
    return torn


def _torn_among(n: int, ends: Indices, cost: Indices, loops: Loops) -> Flags:
    """The same for edge e from node ends[2·e] to node ends[2·e + 1], none to itself.

    Circular lists, each with an entry of its own to start from, hold the edges that leave a node (list 2·node), those
    that enter it (2·node + 1), and the nodes that may be taken next. Entry 2·e of an edge stands in the list of the
    node it leaves, entry 2·e + 1 in that of the node it enters.
    """
    n_entries = len(ends)
    size = n_entries + 3 * n + _LISTS
    after, before = np.arange(size), np.arange(size)
    count, torn, top = np.zeros(2 * n, np.int64), np.zeros(n, np.int64), np.zeros(1, np.int64)
    where = np.zeros(n, np.int64)
    loops(
        tear, n, n_entries, cost, owner=ends, after=after, before=before, count=count, torn=torn, top=top,
        where=where,
    )  # fmt: skip
    return torn > 0


def tear(
    n: int, n_entries: int, cost: Cells, owner: Cells, after: Cells, before: Cells, count: Cells, torn: Cells,
    top: Cells, where: Cells,
) -> int:  # fmt: skip
    """Reduce the graph until nothing is left; a loop (see ``loops``)."""
    nodes = n_entries + 2 * n
    for edge in range(n_entries >> 1):
        entry = 2 * edge
        if joined(owner[entry], owner[entry + 1], 0, n_entries, owner, after, count) == 0:
            for end in range(2):
                place = 2 * owner[entry + end] + end
                link(entry + end, n_entries + place, after, before)
                count[place] += 1
    for node in range(n):
        sort_in(node, n, n_entries, cost, owner, after, before, count, top, where)
    while True:
        while top[0] > 0 and after[nodes + n + top[0]] == nodes + n + top[0]:
            top[0] -= 1
        reducible = nodes + n
        if after[reducible] != reducible:
            node = after[reducible] - nodes
            into = merge(node, n, n_entries, cost, owner, after, before, count, top, where)
            if into >= 0:
                torn[into] = 1
                remove(into, n, n_entries, cost, owner, after, before, count, top, where)
        elif top[0] > 0:
            node = after[nodes + n + top[0]] - nodes
            torn[node] = 1
            remove(node, n, n_entries, cost, owner, after, before, count, top, where)
        else:
            return 0


def link(entry: int, head: int, after: Cells, before: Cells) -> int:
    """Put an entry at the end of the list of `head`."""
    last = before[head]
    after[last] = entry
    before[entry] = last
    after[entry] = head
    before[head] = entry
    return 0


def unlink(entry: int, after: Cells, before: Cells) -> int:
    """Take an entry out of its list."""
    after[before[entry]] = after[entry]
    before[after[entry]] = before[entry]
    after[entry] = entry
    before[entry] = entry
    return 0


def sort_in(
    node: int, n: int, n_entries: int, cost: Cells, owner: Cells, after: Cells, before: Cells, count: Cells,
    top: Cells, where: Cells,
) -> int:  # fmt: skip
    """Put a node among those that can be reduced, or among those with as many paths through them."""
    into = n_entries + 2 * n + node
    paths = count[2 * node] * count[2 * node + 1]
    number = 0
    if paths > 0 and mergeable(node, n_entries, cost, owner, after, count) < 0:
        if paths > MOST:
            paths = MOST
        number = 1 + paths
        if cost[node] == CHEAP:
            number += MOST + 1
        if cost[node] == NEVER:
            number = -1
    if where[node] != number + 2:
        unlink(into, after, before)
        where[node] = number + 2
        if number >= 0:
            link(into, n_entries + 3 * n + number, after, before)
            if number > top[0]:
                top[0] = number
    return 0


def mergeable(node: int, n_entries: int, cost: Cells, owner: Cells, after: Cells, count: Cells) -> int:
    """The side, 0 or 1, on which a node has one neighbour, which costs no more than itself; -1 if there is none."""
    for side in range(2):
        place = 2 * node + side
        if count[place] == 1:
            entry = after[n_entries + place]
            other = owner[entry + 1 - 2 * (entry & 1)]
            if cost[other] <= cost[node]:
                return side
    return -1


def drop(
    entry: int, n: int, n_entries: int, cost: Cells, owner: Cells, after: Cells, before: Cells, count: Cells,
    top: Cells, where: Cells,
) -> int:  # fmt: skip
    """Remove the edge of an entry, seen from one end; the node at the other end is sorted in anew."""
    partner = entry + 1 - 2 * (entry & 1)
    count[2 * owner[entry] + (entry & 1)] -= 1
    count[2 * owner[partner] + (partner & 1)] -= 1
    unlink(entry, after, before)
    unlink(partner, after, before)
    return sort_in(owner[partner], n, n_entries, cost, owner, after, before, count, top, where)


def remove(
    node: int, n: int, n_entries: int, cost: Cells, owner: Cells, after: Cells, before: Cells, count: Cells,
    top: Cells, where: Cells,
) -> int:  # fmt: skip
    """Remove a node with its edges."""
    for side in range(2):
        head = n_entries + 2 * node + side
        while after[head] != head:
            drop(after[head], n, n_entries, cost, owner, after, before, count, top, where)
    unlink(n_entries + 2 * n + node, after, before)
    where[node] = 1
    return 0


def merge(
    node: int, n: int, n_entries: int, cost: Cells, owner: Cells, after: Cells, before: Cells, count: Cells,
    top: Cells, where: Cells,
) -> int:  # fmt: skip
    """Remove a node, or merge it into its one neighbour on a side; that neighbour if it follows itself then, else -1.

    Merged, the node's edges on the other side become the neighbour's, those that it has already excepted.
    """
    looped = -1
    side = mergeable(node, n_entries, cost, owner, after, count)
    if count[2 * node] > 0 and count[2 * node + 1] > 0 and side >= 0:
        single = after[n_entries + 2 * node + side]
        into = owner[single + 1 - 2 * (single & 1)]
        drop(single, n, n_entries, cost, owner, after, before, count, top, where)
        far = 2 * into + 1 - side
        head = n_entries + 2 * node + 1 - side
        while after[head] != head:
            entry = after[head]
            other = owner[entry + 1 - 2 * (entry & 1)]
            if other == into:
                looped = into
            if other == into or joined(into, other, 1 - side, n_entries, owner, after, count) > 0:
                drop(entry, n, n_entries, cost, owner, after, before, count, top, where)
            else:
                unlink(entry, after, before)
                link(entry, n_entries + far, after, before)
                owner[entry] = into
                count[2 * node + 1 - side] -= 1
                count[far] += 1
                sort_in(other, n, n_entries, cost, owner, after, before, count, top, where)
        sort_in(into, n, n_entries, cost, owner, after, before, count, top, where)
    remove(node, n, n_entries, cost, owner, after, before, count, top, where)
    return looped


def joined(node: int, other: int, side: int, n_entries: int, owner: Cells, after: Cells, count: Cells) -> int:
    """Whether an edge on that side of `node` leads to `other`, by the shorter of the two lists it would stand in."""
    mine = n_entries + 2 * node + side
    sought = other
    if count[2 * other + 1 - side] < count[2 * node + side]:
        mine = n_entries + 2 * other + 1 - side
        sought = node
    entry = after[mine]
    while entry != mine:
        if owner[entry + 1 - 2 * (entry & 1)] == sought:
            return 1
        entry = after[entry]
    return 0
