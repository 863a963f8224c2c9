"""Patterns of reduced derivatives: which inputs each element of the state depends on, through the whole schedule.

Takes a plan, the state elements that are inputs, and outputs; gives the positions of the Jacobian's and the Hessian's
numbers that may not be 0. A block is one node: each of its unknowns depends on all that its rows contain. Where
patterns are too large to be of use there are none: a recurrence makes every later element depend on every input.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..execution import loops_of
from ..expression import Array
from ..lowering import Group
from ..structure.blocks import compress, expand
from ..structure.spreading import Patterns, leaves_of
from .plan import Plan
from .steps import BlockStep

MOST_ENTRIES = 1 << 25
"""Programs whose kernels have more partial derivatives in all than this (large matrix products) are not looked at."""
ENTRIES_A_NODE = 32
"""So many inputs an equation, in the mean, make patterns that are kept."""


class _Graph(NamedTuple):
    """Pairs (node, source): nodes are explicit rows, blocks and, last, outputs; sources are inputs (0 … n − 1) and
    nodes (from n on); ``node_of`` every element of the state, −1 for what is given and no input."""

    n_nodes: int
    node: Array
    source: Array
    node_of: Array


class Dependence:
    """What depends on what between ``inputs`` (n,) and the outputs: ``rows`` of the lowered program, then state
    ``elements``."""

    def __init__(self, plan: Plan, inputs: Array, rows: Array, elements: Array) -> None:
        self._plan, self._inputs, self._rows, self._elements = plan, inputs, rows, elements
        self._n, self._m = len(inputs), len(rows) + len(elements)
        self._loops = loops_of(plan.executor)

    @cached_property
    def _graph(self) -> _Graph | None:
        plan, lowered = self._plan, self._plan.lowered
        if _entries(lowered.all_groups, lambda group: group.kernel.n_args) > MOST_ENTRIES:
            return None
        node_of_row, node_of, n_steps = _nodes(plan)
        place = node_of + self._n
        place[node_of < 0] = -1
        place[self._inputs] = np.arange(self._n)
        row, element = plan.everything.jacobian_pattern()
        left = np.flatnonzero(lowered.own >= 0)
        row, element = np.concatenate([row, left]), np.concatenate([element, lowered.own[left]])
        output, at = np.full(lowered.n_all_rows, -1), len(self._rows)
        output[self._rows] = n_steps + np.arange(at)
        node = np.where(node_of_row[row] >= 0, node_of_row[row], output[row])
        node = np.concatenate([node, n_steps + at + np.arange(len(self._elements))])
        source = np.concatenate([place[element], place[self._elements]])
        used = (node >= 0) & (source >= 0) & (source != node + self._n)
        return _Graph(n_steps + self._m, node[used], source[used], place)

    def _limit(self, graph: _Graph) -> int:
        return ENTRIES_A_NODE * (graph.n_nodes + self._n + 1000)

    @cached_property
    def _forward(self) -> Patterns | None:
        """The inputs of every node."""
        graph = self._graph
        if graph is None:
            return None
        return leaves_of(self._n, graph.n_nodes, graph.node, graph.source, self._limit(graph), self._loops)

    @cached_property
    def _backward(self) -> Patterns | None:
        """The outputs of every node and, last, of every input: the same graph with its arrows turned, its nodes in
        reverse. Outputs are leaves there."""
        graph = self._graph
        if graph is None or not self._m:
            return None
        steps = graph.n_nodes - self._m
        to_output = graph.node >= steps
        source = np.where(to_output, graph.node - steps, self._m + steps - 1 - graph.node)
        node = np.where(graph.source >= self._n, steps - 1 - (graph.source - self._n), steps + graph.source)
        return leaves_of(self._m, steps + self._n, node, source, self._limit(graph), self._loops)

    def jacobian(self) -> tuple[Array, Array] | None:
        """(outputs, inputs) of what may not be 0, sorted; None where that is not known."""
        graph, forward, shape = self._graph, self._forward, (self._m, self._n)
        if graph is None:
            return None
        if forward is not None:
            start = forward.start[graph.n_nodes - self._m :]
            return _sorted(shape, expand(start - start[0]), forward.leaves[start[0] :])
        backward = self._backward
        if backward is None:
            return None
        start = backward.start[graph.n_nodes - self._m :]
        return _sorted(shape, backward.leaves[start[0] :], expand(start - start[0]))

    def hessian(self, widest: int) -> tuple[Array, Array] | None:
        """(i, j), i ≥ j, of what may not be 0 of Pᵀ H P, sorted: H of all rows, P = d(state)/d(inputs).

        None where that is not known, or a row has more entries than ``widest``.
        """
        from scipy import sparse

        graph, forward = self._graph, self._forward
        groups, n = self._plan.lowered.all_groups, self._n
        if graph is None or forward is None:
            return None
        if _entries(groups, lambda group: len(group.kernel.second_partials[1])) > MOST_ENTRIES:
            return None
        i, j = (graph.node_of[x] for x in self._plan.everything.hessian_pattern())
        used = (i >= 0) & (j >= 0)
        i, j = i[used], j[used]
        size = n + graph.n_nodes
        pairs: Any = sparse.csr_array((np.ones(len(i)), (i, j)), shape=(size, size))
        pairs.sum_duplicates()
        start = np.concatenate([np.arange(n), n + forward.start])
        spread: Any = sparse.csr_array(
            (np.ones(start[-1]), np.concatenate([np.arange(n), forward.leaves]), start), shape=(size, n))
        widths = np.diff(start)
        pairs = pairs.tocoo()
        if max(widths[pairs.row].max(initial=0), widths[pairs.col].max(initial=0)) > widest:
            return None
        if (widths[pairs.row] * widths[pairs.col]).sum() > self._limit(graph) * ENTRIES_A_NODE:
            return None
        found = (spread.T @ (pairs.tocsr() @ spread)).tocoo()
        return _sorted((n, n), np.maximum(found.row, found.col), np.minimum(found.row, found.col))


def _nodes(plan: Plan) -> tuple[Array, Array, int]:
    """The node of every row and of every state element, −1 where there is none, and how many there are; in an order in
    which each comes after what it needs."""
    of_row, of_element, count = np.full(plan.lowered.n_all_rows, -1), np.full(plan.lowered.state.size, -1), 0
    for step in plan.steps:
        if isinstance(step, BlockStep):
            of_row[step.all_rows] = of_element[step.all_columns] = count
            count += 1
        else:
            of_row[step.rows] = of_element[step.own] = count + np.arange(len(step.rows))
            count += len(step.rows)
    return of_row, of_element, count


def _entries(groups: Sequence[Group], of_instance: Any) -> int:
    """How many entries the groups have."""
    return sum(group.size * of_instance(group) for group in groups)


def _sorted(shape: tuple[int, int], i: Array, j: Array) -> tuple[Array, Array]:
    """Positions by rows, each once, int32."""
    begin, columns = compress(*shape, i, j)
    return expand(begin).astype(np.int32), columns.astype(np.int32)
