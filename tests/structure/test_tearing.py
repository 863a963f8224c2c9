"""Tearing: what is left has no cycle (networkx), and the set is as small as can be where that can be known."""

from itertools import combinations

import networkx as nx
import numpy as np
import pytest

from lagrange_ad.structure import Block, build_schedule, feedback_vertices
from lagrange_ad.structure.tearing import CHEAP, DEAR, NEVER

from .graphs import Builder, validate


def graph_of(n, source, target):
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(zip(source.tolist(), target.tolist(), strict=True))
    return graph


def without(graph, nodes):
    return graph.subgraph(set(graph) - set(nodes))


def least(graph, candidates):
    """The size of a smallest feedback vertex set among the candidates."""
    for size in range(len(candidates) + 1):
        if any(nx.is_directed_acyclic_graph(without(graph, chosen)) for chosen in combinations(candidates, size)):
            return size
    raise AssertionError("there is none")


def test_as_small_as_can_be_on_small_graphs():
    rng = np.random.default_rng(0)
    for _ in range(300):
        n = int(rng.integers(1, 9))
        source, target = rng.integers(n, size=(2, int(rng.integers(0, 3 * n))))
        graph = graph_of(n, source, target)
        found = np.flatnonzero(feedback_vertices(n, source, target, np.full(n, DEAR)))
        assert nx.is_directed_acyclic_graph(without(graph, found))
        assert len(found) == least(graph, range(n))


def test_some_nodes_are_never_torn_and_some_rather_than_others():
    rng = np.random.default_rng(1)
    for _ in range(300):
        n = int(rng.integers(2, 9))
        source, target = rng.integers(n, size=(2, int(rng.integers(1, 3 * n))))
        cost = rng.choice([CHEAP, DEAR, NEVER], size=n)
        kept = (cost[source] < NEVER) | (cost[target] < NEVER) | (source < target)  # no cycle among those never torn
        source, target = source[kept], target[kept]
        graph = graph_of(n, source, target)
        found = np.flatnonzero(feedback_vertices(n, source, target, cost))
        assert nx.is_directed_acyclic_graph(without(graph, found)) and (cost[found] < NEVER).all()
        if nx.is_directed_acyclic_graph(without(graph, np.flatnonzero(cost == CHEAP))):
            assert (cost[found] == CHEAP).all()


def test_nested_recycles_are_torn_where_they_meet():
    """A chain of units with recycles from every unit back to the first mixer: one tear, by reductions alone."""
    n = 50
    unit = np.arange(n)
    source = np.concatenate((unit[:-1], unit[1:]))
    target = np.concatenate((unit[1:], np.zeros(n - 1, np.int64)))
    assert feedback_vertices(n, source, target, np.full(n, DEAR)).sum() == 1
    cost = np.where(unit == 7, CHEAP, DEAR)
    torn = feedback_vertices(n, source, target, cost)
    assert nx.is_directed_acyclic_graph(without(graph_of(n, source, target), np.flatnonzero(torn)))


@pytest.mark.parametrize("n", [40, 300])
def test_larger_graphs_are_cut_without_much_waste(n):
    rng = np.random.default_rng(2)
    source, target = rng.integers(n, size=(2, 2 * n))
    found = np.flatnonzero(feedback_vertices(n, source, target, np.full(n, DEAR)))
    graph = graph_of(n, source, target)
    assert nx.is_directed_acyclic_graph(without(graph, found))
    rest, taken = nx.DiGraph(graph), 0  # the greedy way without reductions
    while cyclic := [part for part in nx.strongly_connected_components(rest) if rest.subgraph(part).size()]:
        worst = max(cyclic[0], key=lambda node: rest.in_degree(node) * rest.out_degree(node))
        rest.remove_node(worst)
        taken += 1
    assert len(found) <= taken


def test_a_long_cycle_and_a_large_grid_in_linear_time():
    n = 30_000
    node = np.arange(n)
    assert feedback_vertices(n, node, (node + 1) % n, np.full(n, DEAR)).sum() == 1
    side = 60
    grid = np.arange(side * side).reshape(side, side)
    ends = [(grid[1:], grid[:-1]), (grid[:, 1:], grid[:, :-1])]
    source = np.concatenate([a.ravel() for a, _ in ends] + [b.ravel() for _, b in ends])
    target = np.concatenate([b.ravel() for _, b in ends] + [a.ravel() for a, _ in ends])
    torn = feedback_vertices(side * side, source, target, np.full(side * side, DEAR))
    assert (torn[source] | torn[target]).all() and torn.mean() < 0.6


def torn_of(builder):
    structure = builder.build()
    schedule = build_schedule(structure)
    validate(structure, schedule)
    (block,) = (step for step in schedule.steps if isinstance(step, Block))
    return block, block.columns[block.torn].tolist()


def ring(b, n, started):
    columns = [b.columns(started=i in started) for i in range(n)]
    for before, after in zip(columns, columns[1:] + columns[:1], strict=True):
        b.rows([before], own=after)
    return [int(c[0]) for c in columns]


@pytest.mark.parametrize("place", range(5))
def test_what_has_a_start_is_torn(place):
    b = Builder()
    columns = ring(b, 5, {place})
    block, torn = torn_of(b)
    assert torn == [columns[place]] and len(block.rows) == 5 and len(block.sweep) == 4


@pytest.mark.parametrize("wanted", [{}, {3: "TORN"}, {1: "TEAR"}, {0: "TORN", 2: "TORN"}])
def test_what_the_user_wants_torn(wanted):
    from lagrange_ad import structure

    b = Builder()
    columns = ring(b, 5, {1})
    b.tear = {columns[i]: getattr(structure, kind) for i, kind in wanted.items()}
    block, torn = torn_of(b)
    named = [columns[i] for i, kind in wanted.items() if kind == "TORN"]
    assert sorted(torn) == (named or [columns[1]])
    assert len(block.rows) == (len(torn) if wanted else 5)
    assert sum(map(len, block.eliminated)) == 5 - len(block.rows)


def test_implicit_rows_and_self_references_are_torn():
    b = Builder()
    x, y, z = b.columns(), b.columns(), b.columns()
    b.rows([[*x, *z]])
    b.rows([x], own=y)
    b.rows([[*z, *y]], own=z)
    _, torn = torn_of(b)
    assert torn == [int(x[0]), int(z[0])]


def test_what_is_asked_of_one_block_leaves_others_alone():
    b = Builder()
    first, second = ring(b, 3, {0}), ring(b, 4, {0})
    b.tear = {first[2]: 1}
    structure = b.build()
    schedule = build_schedule(structure)
    validate(structure, schedule)
    assert sorted(len(step.rows) for step in schedule.steps) == [1, 4]
    assert second[0] in schedule.column_of_row
