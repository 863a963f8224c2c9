"""Matchings and Dulmage–Mendelsohn parts against networkx and against their definitions."""

import networkx as nx
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lagrange_ad.structure import dulmage_mendelsohn, maximum_matching
from lagrange_ad.structure.blocks import compress, expand


@st.composite
def patterns(draw):
    n_rows, n_columns = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    pairs = draw(st.sets(st.tuples(st.integers(0, n_rows - 1), st.integers(0, n_columns - 1)), max_size=40))
    return n_rows, n_columns, sorted(pairs)


def compressed(n_rows, n_columns, pairs):
    table = np.array(pairs, np.int64).reshape(-1, 2)
    return compress(n_rows, n_columns, table[:, 0], table[:, 1])


def as_networkx(n_rows, n_columns, pairs):
    graph = nx.Graph()
    graph.add_nodes_from(range(n_rows + n_columns))
    graph.add_edges_from((row, n_rows + column) for row, column in pairs)
    return graph


def check(matching, pairs):
    """The matching uses entries only, and its two arrays are inverse to each other."""
    matched = [(row, column) for row, column in enumerate(matching.column_of_row.tolist()) if column >= 0]
    assert set(matched) <= set(pairs)
    back = [(row, column) for column, row in enumerate(matching.row_of_column.tolist()) if row >= 0]
    assert sorted(back) == matched
    return len(matched)


@given(patterns())
def test_size_is_that_of_networkx(pattern):
    n_rows, n_columns, pairs = pattern
    matching = maximum_matching(*compressed(*pattern), n_columns)
    expected = nx.bipartite.maximum_matching(as_networkx(*pattern), range(n_rows))
    assert check(matching, pairs) == len(expected) // 2


@given(patterns(), st.randoms(use_true_random=False))
def test_start_pairs_stay_matched_and_size_is_maximum(pattern, random):
    n_rows, n_columns, pairs = pattern
    start = np.full(n_rows, -1, np.int64)
    shuffled = random.sample(pairs, len(pairs))
    for row, column in shuffled[: len(pairs) // 2]:
        if start[row] < 0 and column not in start:
            start[row] = column
    before = start.copy()
    matching = maximum_matching(*compressed(*pattern), n_columns, start)
    expected = nx.bipartite.maximum_matching(as_networkx(*pattern), range(n_rows))
    assert check(matching, pairs) == len(expected) // 2
    assert (start == before).all()
    assert (matching.column_of_row[start >= 0] >= 0).all()
    assert (matching.row_of_column[start[start >= 0]] >= 0).all()


@given(patterns())
def test_dulmage_mendelsohn_by_definition(pattern):
    n_rows, n_columns, _ = pattern
    indptr, indices = compressed(*pattern)
    matching = maximum_matching(indptr, indices, n_columns)
    parts = dulmage_mendelsohn(indptr, indices, n_columns, matching)
    graph = as_networkx(*pattern)
    # A row is in the over part if and only if some maximum matching leaves it out: removing it costs nothing.
    size = len(nx.bipartite.maximum_matching(graph, range(n_rows))) // 2

    def spared(node):
        rest = graph.copy()
        rest.remove_node(node)
        top = [row for row in range(n_rows) if row != node]
        return len(nx.bipartite.maximum_matching(rest, top)) // 2 == size

    over_rows = [row for row in range(n_rows) if spared(row)]
    under_columns = [column for column in range(n_columns) if spared(n_rows + column)]
    over_columns = {column - n_rows for row in over_rows for column in graph[row]}
    under_rows = {row for column in under_columns for row in graph[n_rows + column]}
    assert parts.over_rows.tolist() == over_rows
    assert parts.over_columns.tolist() == sorted(over_columns)
    assert parts.under_columns.tolist() == under_columns
    assert parts.under_rows.tolist() == sorted(under_rows)
    assert parts.square_rows.tolist() == sorted(set(range(n_rows)) - set(over_rows) - under_rows)
    assert parts.square_columns.tolist() == sorted(set(range(n_columns)) - over_columns - set(under_columns))


def test_empty_patterns():
    nothing = np.zeros(0, np.int64)
    matching = maximum_matching(np.zeros(1, np.int64), nothing, 0)
    assert matching.perfect
    matching = maximum_matching(np.zeros(3, np.int64), nothing, 2)
    assert matching.column_of_row.tolist() == [-1, -1]
    parts = dulmage_mendelsohn(np.zeros(3, np.int64), nothing, 2, matching)
    assert parts.over_rows.tolist() == parts.under_columns.tolist() == [0, 1]


def test_permuted_stencil_has_a_perfect_matching():
    side = 60
    node = np.arange(side * side).reshape(side, side)
    near, far = np.concatenate((node[1:].ravel(), node[:, 1:].ravel())), None
    far = np.concatenate((node[:-1].ravel(), node[:, :-1].ravel()))
    rows = np.concatenate((node.ravel(), near, far))
    columns = np.random.default_rng(3).permutation(node.size)[np.concatenate((node.ravel(), far, near))]
    indptr, indices = compress(node.size, node.size, rows, columns)
    matching = maximum_matching(indptr, indices, node.size)
    assert matching.perfect
    assert check(matching, list(zip(expand(indptr).tolist(), indices.tolist(), strict=True))) == node.size


def test_augmenting_path_through_a_chain_of_plain_pairs():
    n = 100_000
    rows = np.concatenate((np.arange(n), np.arange(n), [n]))
    columns = np.concatenate((np.arange(1, n + 1), np.arange(n), [n]))
    indptr, indices = compress(n + 1, n + 1, rows, columns)
    start = np.append(
        np.arange(1, n + 1), -1
    )  # row i is paired with column i + 1, the last row wants column n
    matching = maximum_matching(indptr, indices, n + 1, start)
    assert matching.column_of_row.tolist() == list(range(n + 1))
