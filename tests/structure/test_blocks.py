"""Strong components, levels, reachability against networkx."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lagrange_ad.structure import levels, reachable, strong_components
from lagrange_ad.structure.blocks import compress, ranges, renumber


@st.composite
def digraphs(draw, acyclic=False):
    n = draw(st.integers(1, 14))
    edges = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=40))
    if acyclic:
        place = draw(st.permutations(range(n)))
        edges = [(place[min(edge)], place[max(edge)]) for edge in edges if edge[0] != edge[1]]
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(edges)
    source, target = np.array(edges, np.int64).reshape(-1, 2).T  # with duplicates
    return n, source, target, graph


def same_partition(label, graph):
    parts = {frozenset(np.flatnonzero(label == number).tolist()) for number in np.unique(label)}
    return parts == {frozenset(part) for part in nx.strongly_connected_components(graph)}


@given(digraphs())
def test_strong_components(case):
    n, source, target, graph = case
    label = strong_components(n, source, target)
    assert same_partition(label, graph)
    assert (label[source] <= label[target]).all()


@given(digraphs(), st.randoms(use_true_random=False))
def test_renumbering_of_badly_numbered_components(case, random):
    n, source, target, graph = case
    label = strong_components(n, source, target)
    count = int(label.max()) + 1
    shuffled = np.array(random.sample(range(count), count), np.int64)[label]
    again = renumber(count, shuffled, source, target)
    assert same_partition(again, graph)
    assert (again[source] <= again[target]).all()
    assert sorted(set(again.tolist())) == list(range(count))


@given(digraphs(acyclic=True))
def test_levels_are_longest_paths(case):
    n, source, target, graph = case
    expected = np.zeros(n, np.int64)
    for depth, generation in enumerate(nx.topological_generations(graph)):
        expected[list(generation)] = depth
    assert levels(n, source, target).tolist() == expected.tolist()


@pytest.mark.parametrize("narrow_rounds", [0, 1, 3])
def test_levels_agree_wherever_the_plain_loop_takes_over(monkeypatch, narrow_rounds):
    rng = np.random.default_rng(5)
    source, target = np.sort(rng.integers(0, 400, (2, 900)), axis=0)
    source, target = source[source != target], target[source != target]
    expected = levels(400, source, target)
    monkeypatch.setattr("lagrange_ad.structure.blocks.NARROW_ROUNDS", narrow_rounds)
    assert (levels(400, source, target) == expected).all()


def test_levels_of_a_cycle_raise():
    with pytest.raises(ValueError, match="cycle"):
        levels(3, np.array([0, 1, 2]), np.array([1, 2, 1]))


def test_levels_of_a_long_chain():
    n = 1_000_000
    place = np.random.default_rng(0).permutation(n)
    assert (levels(n, place[:-1], place[1:])[place] == np.arange(n)).all()


@given(digraphs(), st.data())
def test_reachable(case, data):
    n, source, target, graph = case
    starts = data.draw(st.lists(st.integers(0, n - 1), unique=True))
    expected = set(starts).union(*(nx.descendants(graph, start) for start in starts))
    assert set(np.flatnonzero(reachable(n, source, target, np.array(starts, np.int64))).tolist()) == expected


def test_no_nodes():
    nothing = np.zeros(0, np.int64)
    assert levels(0, nothing, nothing).size == 0
    assert strong_components(0, nothing, nothing).size == 0
    assert reachable(0, nothing, nothing, nothing).size == 0


def test_index_arithmetic():
    assert ranges(np.array([3, 7, 1]), np.array([5, 7, 4])).tolist() == [3, 4, 1, 2, 3]
    indptr, indices = compress(2, 4, np.array([1, 0, 1, 1]), np.array([3, 2, 0, 3]))
    assert indptr.tolist() == [0, 1, 3] and indices.tolist() == [2, 0, 3]
