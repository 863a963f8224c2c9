"""Structures for tests, declared block by block, and a validator that accepts right schedules only."""

from __future__ import annotations

from dataclasses import dataclass, field

import networkx as nx
import numpy as np

from lagrange_ad.structure import NOTHING, TORN, Block, Schedule, Sequence, Structure, Wide


@dataclass
class Builder:
    """Collects named column blocks and row blocks; `build` gives the Structure."""

    column_start: list[int] = field(default_factory=lambda: [0])
    row_start: list[int] = field(default_factory=lambda: [0])
    unknown: list[bool] = field(default_factory=list)
    started: list[bool] = field(default_factory=list)
    own: list[int] = field(default_factory=list)
    auxiliary: list[bool] = field(default_factory=list)
    preferred: list[int] = field(default_factory=list)
    pairs: list[list[tuple[int, int]]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    tear: dict[int, int] = field(default_factory=dict)

    def columns(self, size: int = 1, unknown: bool = True, started: bool = True) -> np.ndarray:
        first = self.column_start[-1]
        self.column_start.append(first + size)
        self.unknown += [unknown] * size
        self.started += [started] * size
        return np.arange(first, first + size)

    def rows(self, parents, own=None, auxiliary: bool = False, preferred: int = -1) -> np.ndarray:
        """A row block: `parents[i]` are the columns on the right side of its row i."""
        first, size = self.row_start[-1], len(parents)
        self.row_start.append(first + size)
        self.own += [-1] * size if own is None else np.ravel(own).tolist()
        self.auxiliary += [auxiliary] * size
        self.preferred.append(preferred)
        self.pairs.append([(first + i, int(c)) for i, columns in enumerate(parents) for c in columns])
        return np.arange(first, first + size)

    def incidence(self, row_blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.asked += row_blocks.tolist()
        pairs = [pair for block in row_blocks.tolist() for pair in self.pairs[block]]
        table = np.array(pairs, np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def build(self) -> Structure:
        block_of_column = np.searchsorted(self.column_start, np.arange(self.column_start[-1]), "right") - 1
        coarse = {(block, block_of_column[c]) for block, pairs in enumerate(self.pairs) for _, c in pairs}
        table = np.array(sorted(coarse), np.int64).reshape(-1, 2)
        return Structure(
            np.array(self.row_start, np.int64),
            np.array(self.column_start, np.int64),
            np.array(self.own, np.int64),
            np.array(self.unknown, np.bool_),
            np.array(self.auxiliary, np.bool_),
            np.array(self.started, np.bool_),
            table[:, 0],
            table[:, 1],
            np.array(self.preferred, np.int64),
            self.incidence,
            np.array([self.tear.get(column, NOTHING) for column in range(len(self.unknown))], np.int8),
        )


def all_pairs(structure: Structure, with_own: bool) -> list[tuple[int, int]]:
    """Every (row, unknown column), once; with the columns on left sides if asked for."""
    rows, columns = structure.incidence(np.arange(len(structure.row_start) - 1))
    pairs = set(zip(rows.tolist(), columns.tolist(), strict=True))
    if with_own:
        pairs |= {(row, column) for row, column in enumerate(structure.own.tolist()) if column >= 0}
    return sorted((row, column) for row, column in pairs if structure.unknown[column])


def bipartite(structure: Structure) -> nx.Graph:
    graph = nx.Graph()
    graph.add_nodes_from(("row", row) for row in range(structure.n_rows))
    graph.add_nodes_from(("column", column) for column in np.flatnonzero(structure.unknown).tolist())
    graph.add_edges_from((("row", row), ("column", column)) for row, column in all_pairs(structure, True))
    return graph


def perfectly_matched(structure: Structure) -> bool:
    """The oracle: networkx finds a perfect matching of rows and unknown columns."""
    graph = bipartite(structure)
    top = [node for node in graph if node[0] == "row"]
    return 2 * len(top) == len(graph) == len(nx.bipartite.maximum_matching(graph, top))


def dependency_graph(structure: Structure, column_of_row: np.ndarray) -> nx.DiGraph:
    """Edges from the row that determines a column to the rows that contain it; self-references are loops."""
    own, column_of_row = structure.own.tolist(), column_of_row.tolist()
    determined_by = {column: row for row, column in enumerate(column_of_row)}
    graph = nx.DiGraph()
    graph.add_nodes_from(range(structure.n_rows))
    right = set(all_pairs(structure, False))
    for row, column in all_pairs(structure, True):
        source = determined_by[column]
        if source != row or (own[row] == column and (row, column) in right):
            graph.add_edge(source, row)
    return graph


def validate(structure: Structure, schedule: Schedule, narrow: int = 16) -> None:
    """Assert that the schedule is one of the structure, with blocks as small as they can be."""
    unknowns = np.flatnonzero(structure.unknown)
    assert sorted(schedule.column_of_row.tolist()) == unknowns.tolist()
    assert (schedule.column_of_row == structure.own)[structure.auxiliary].all()
    _validate_pairs(structure, schedule)
    graph = dependency_graph(structure, schedule.column_of_row)
    done: set[int] = set()
    for step in schedule.steps:
        if isinstance(step, Block):
            _validate_block(structure, schedule, graph, step, done)
        else:
            _validate_explicit(structure, schedule, graph, step, done)
    assert len(done) == structure.n_rows
    for before, after in zip(schedule.steps, schedule.steps[1:], strict=False):
        kinds = isinstance(before, Wide | Sequence) and isinstance(after, Wide | Sequence)
        assert not (kinds and len(before.rows) < narrow and len(after.rows) < narrow)


def _validate_pairs(structure: Structure, schedule: Schedule) -> None:
    """Every pair is an entry, or the row reaches its column through auxiliaries."""
    pairs = set(all_pairs(structure, True))
    through = nx.DiGraph()
    auxiliary_row = {int(structure.own[row]): row for row in np.flatnonzero(structure.auxiliary).tolist()}
    for row, column in pairs:
        through.add_edge(("row", row), ("column", column))
        if column in auxiliary_row:
            through.add_edge(("column", column), ("row", auxiliary_row[column]))
    for row, column in enumerate(schedule.column_of_row.tolist()):
        assert (row, column) in pairs or nx.has_path(through, ("row", row), ("column", column))


def _validate_explicit(structure, schedule, graph, step, done) -> None:
    rows = step.rows.tolist()
    assert rows and (schedule.column_of_row[step.rows] == structure.own[step.rows]).all()
    if isinstance(step, Wide):
        assert all(parent in done for row in rows for parent in graph.predecessors(row))
    for row in rows:
        assert row not in done
        assert isinstance(step, Wide) or all(parent in done for parent in graph.predecessors(row))
        done.add(row)


def _validate_block(structure, schedule, graph, step, done) -> None:
    assert (schedule.column_of_row[step.rows] == step.columns).all()
    assert len(step.rows) and not structure.auxiliary[step.rows].any()
    hidden = [row for layer in step.eliminated for row in layer.tolist()]
    is_asked = structure.tear[schedule.column_of_row[[*step.rows, *hidden]]].any()
    assert is_asked or structure.auxiliary[hidden].all()
    members = step.rows.tolist() + hidden
    assert len(set(members)) == len(members) and not done & set(members)
    inner = graph.subgraph(members)
    assert nx.is_strongly_connected(inner)
    if len(members) == 1:
        row = members[0]
        assert schedule.column_of_row[row] != structure.own[row] or graph.has_edge(row, row)
    done |= set(members)
    assert all(parent in done for row in members for parent in graph.predecessors(row))
    _validate_layers(graph.subgraph(hidden), step.eliminated)
    _validate_torn(structure, schedule, graph, step, members, is_asked)
    _validate_sweep(structure, schedule, step, members)


def _validate_torn(structure, schedule, graph, step, members, is_asked) -> None:
    """All rows but the torn ones give their own column, and have no cycle among themselves."""
    torn = step.rows[step.torn]
    followers = np.setdiff1d(members, torn)
    assert (schedule.column_of_row[followers] == structure.own[followers]).all()
    assert nx.is_directed_acyclic_graph(graph.subgraph(followers.tolist()))
    assert (structure.tear[schedule.column_of_row[followers]] != TORN).all()
    assert len(torn) == len(step.rows) or not is_asked


def _validate_layers(graph: nx.DiGraph, layers: tuple[np.ndarray, ...]) -> None:
    """The layers are exactly the longest-path levels of an acyclic graph."""
    expected = [sorted(generation) for generation in nx.topological_generations(graph)]
    assert [layer.tolist() for layer in layers] == expected


def _validate_sweep(structure, schedule, step, members) -> None:
    inside = set(schedule.column_of_row[members].tolist())
    own = structure.own
    guessable = {
        int(own[row])
        for row in members
        if own[row] in inside and (structure.auxiliary[row] or not structure.started[own[row]])
    }
    swept = [row for layer in step.sweep for row in layer.tolist()]
    assert len(swept) == len(guessable) and {int(own[row]) for row in swept} == guessable
    level = {row: depth for depth, layer in enumerate(step.sweep) for row in layer.tolist()}
    sweeper = {int(own[row]): row for row in swept}
    graph = nx.DiGraph()
    graph.add_nodes_from(swept)
    for row, column in all_pairs(structure, True):
        if row in level and column in sweeper and sweeper[column] != row:
            graph.add_edge(sweeper[column], row)
    component = {row: i for i, part in enumerate(nx.strongly_connected_components(graph)) for row in part}
    torn = set(step.rows[step.torn].tolist())
    for source, target in graph.edges:
        if component[source] != component[target] or source not in torn:
            assert level[source] < level[target]
