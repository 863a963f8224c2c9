"""The order of single elements, for the declared blocks whose order among themselves leaves something open.

Takes a Structure and some of its row blocks, gives levels for the explicit rows and the strongly connected
rest as blocks to be solved. All components are treated in the same array operations: 10^5 small cycles cost
as one large.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .blocks import Flags, Indices, compress, expand, levels, pick, ranges, strong_components
from .coarse import (
    CoarseOrder,
    component_levels,
    dependencies,
    first_of_each,
    identity_columns,
    settle_auxiliaries,
)
from .loops import Loops
from .matching import DulmageMendelsohn, Matching, dulmage_mendelsohn, inverse, maximum_matching
from .steps import NOTHING, TORN, Block, Structure, collector_paused
from .tearing import CHEAP, DEAR, NEVER, feedback_vertices


@dataclass(frozen=True, eq=False)
class ElementGraph:
    """Some rows and columns of a structure under local numbers, and the pairs among them as compressed rows.

    rows, columns: their numbers in the structure. own, auxiliary, self_reference, started (per row): the
    local column on the left side or -1; whether the row defines an auxiliary; whether its right side contains
    its own column; whether the user gave its own column a start.
    """

    rows: Indices
    columns: Indices
    indptr: Indices
    indices: Indices
    own: Indices
    auxiliary: Flags
    self_reference: Flags
    started: Flags
    tear: Indices


@dataclass(frozen=True, eq=False)
class ElementOrder:
    """The explicit rows with their levels, the blocks with theirs, and the column of every row treated.

    The rows and columns are those of the structure; `representative` is the first row of each block.
    """

    rows: Indices
    column_of_row: Indices
    explicit_rows: Indices
    explicit_level: Indices
    blocks: list[Block]
    block_level: Indices
    representative: Indices


def element_graph(structure: Structure, coarse: CoarseOrder) -> ElementGraph:
    """The elements of the row blocks that are not explicit, and of the column blocks that their components
    determine.

    Pairs between different components are left out, for there the column is known before the row.
    """
    row_blocks = np.flatnonzero(~coarse.explicit)
    rows = ranges(structure.row_start[row_blocks], structure.row_start[row_blocks + 1])
    component_of_column = np.where(structure.unknown, coarse.column_component[structure.block_of_column], -1)
    columns = np.flatnonzero(component_of_column >= 0)
    local_row, local_column = _numbering(structure.n_rows, rows), _numbering(structure.n_columns, columns)
    pair_row, pair_column = structure.incidence(row_blocks) if len(row_blocks) else (rows, rows)
    self_reference = np.zeros(len(rows), np.bool_)
    self_reference[local_row[pair_row[structure.own[pair_row] == pair_column]]] = True
    explicit = rows[structure.own[rows] >= 0]
    pair_row = np.concatenate((pair_row, explicit))
    pair_column = np.concatenate((pair_column, structure.own[explicit]))
    inside = coarse.component[structure.block_of_row[pair_row]] == component_of_column[pair_column]
    pair_row, pair_column = local_row[pair_row[inside]], local_column[pair_column[inside]]
    own = structure.own[rows]
    return ElementGraph(
        rows,
        columns,
        *compress(len(rows), len(columns), pair_row, pair_column),
        pick(local_column, own),
        structure.auxiliary[rows],
        self_reference,
        pick(structure.started.astype(np.int64), own) > 0,
        structure.tear[columns],
    )


def match_elements(structure: Structure, coarse: CoarseOrder, graph: ElementGraph) -> Matching:
    """A maximum matching of the elements from the pairs that the declared blocks suggest."""
    suggested = np.where(coarse.column_block >= 0, coarse.column_block, structure.preferred)
    same_size = structure.row_size == pick(structure.column_size, suggested)
    identity = identity_columns(structure, np.where(same_size, suggested, -1))[graph.rows]
    local = pick(_numbering(structure.n_columns, graph.columns), identity)
    candidate = np.where(local >= 0, local, graph.own)
    owner = expand(graph.indptr)
    contained = np.zeros(len(graph.rows), np.bool_)
    contained[owner[graph.indices == candidate[owner]]] = True
    start = first_of_each(np.where(contained, candidate, -1))
    return maximum_matching(graph.indptr, graph.indices, len(graph.columns), start, structure.loops)


def order_elements(
    structure: Structure, coarse: CoarseOrder, graph: ElementGraph, matching: Matching
) -> ElementOrder:
    """Strong components and levels of perfectly matched elements."""
    n, loops = len(graph.rows), structure.loops
    column_of_row = settle_auxiliaries(matching.column_of_row, graph.own, graph.auxiliary)
    source, target = dependencies(column_of_row, n, expand(graph.indptr), graph.indices)
    if structure.is_scalar and (graph.columns[column_of_row] == coarse.column_block[graph.rows]).all():
        component = coarse.component[graph.rows]  # found already
        component = _numbering(structure.n_rows, np.flatnonzero(np.bincount(component)))[component]
    else:
        component = strong_components(n, source, target)
    level = component_levels(component, source, target, loops)
    lonely = np.bincount(component, minlength=n)[component] == 1
    explicit = lonely & (column_of_row == graph.own) & ~graph.self_reference
    representative = np.flatnonzero(~explicit)
    representative = representative[first_of_each(component[representative]) >= 0]
    number = _numbering(n, component[representative])[component]
    return ElementOrder(
        graph.rows,
        graph.columns[column_of_row],
        graph.rows[explicit],
        level[explicit],
        _make_blocks(graph, column_of_row, number, source, target, loops),
        level[representative],
        graph.rows[representative],
    )


def deficient_parts(graph: ElementGraph, matching: Matching) -> DulmageMendelsohn:
    """The Dulmage–Mendelsohn parts in the row and column numbers of the structure."""
    parts = dulmage_mendelsohn(graph.indptr, graph.indices, len(graph.columns), matching)
    return DulmageMendelsohn(
        graph.rows[parts.over_rows],
        graph.columns[parts.over_columns],
        graph.rows[parts.under_rows],
        graph.columns[parts.under_columns],
        graph.rows[parts.square_rows],
        graph.columns[parts.square_columns],
    )


def _numbering(n: int, members: Indices) -> Indices:
    """The place of each of n numbers in `members`, -1 for those outside."""
    place = np.full(n, -1, np.int64)
    place[members] = np.arange(len(members))
    return place


def _make_blocks(
    graph: ElementGraph, column_of_row: Indices, number: Indices, source: Indices, target: Indices, loops: Loops
) -> list[Block]:
    """One Block for every block number; `number` is -1 for the rows outside blocks."""
    count = int(np.max(number, initial=-1)) + 1
    if not count:
        return []
    inside = number >= 0
    between = inside[source] & (number[source] == number[target])
    source, target = source[between], target[between]
    torn = _torn_rows(graph, column_of_row, number, source, target, loops)
    asked = np.zeros(count + 1, np.bool_)  # the last for rows outside blocks
    asked[number[graph.tear[column_of_row] > NOTHING]] = True
    eliminated = inside & ~torn & (graph.auxiliary | asked[number])
    solved = np.flatnonzero(inside & ~eliminated)
    solved = solved[np.argsort(number[solved], kind="stable")]
    bounds = np.concatenate(([0], np.cumsum(np.bincount(number[solved], minlength=count))))
    among = eliminated[source] & eliminated[target]
    level = _levels_among(eliminated, source[among], target[among], loops)
    sweep = _sweep_levels(graph, column_of_row, number, torn, loops)
    with collector_paused():
        return list(map(
            Block,
            split(graph.rows[solved], bounds),
            split(graph.columns[column_of_row[solved]], bounds),
            _layers(graph.rows, number, level, count),
            _layers(graph.rows, number, sweep, count),
            _places(torn[solved], bounds),
        ))  # fmt: skip


def _torn_rows(
    graph: ElementGraph, column_of_row: Indices, number: Indices, source: Indices, target: Indices, loops: Loops
) -> Flags:
    """Which rows of blocks to tear, so that the others follow one after the other: see ``tearing``.

    What determines another column than its own, or contains its own, is torn, and what the user wants torn; of the
    rest rather what has a start, and no auxiliaries.
    """
    plain = (column_of_row == graph.own) & ~graph.self_reference & (graph.tear[column_of_row] < TORN) | graph.auxiliary
    torn: Flags = (number >= 0) & ~plain
    cost = np.where(graph.auxiliary, NEVER, np.where(graph.started, CHEAP, DEAR))
    among = plain[source] & plain[target]
    known = None if torn.any() else number
    torn |= feedback_vertices(len(number), source[among], target[among], cost, loops, known)
    return torn


def _places(torn: Flags, bounds: Indices) -> list[Indices]:
    """The places of the torn rows within each block, of those between `bounds`."""
    size = np.diff(bounds)
    places = [np.zeros(1, np.int64)] * len(size)  # a block of one row is torn there
    several = np.flatnonzero(size > 1)
    if several.size:
        found = np.flatnonzero(torn)
        ends = np.searchsorted(found, bounds)
        owner = np.repeat(np.arange(len(size)), np.diff(ends))
        found -= bounds[owner]
        for block, start, stop in zip(*(x.tolist() for x in (several, ends[several], ends[several + 1])), strict=True):
            places[block] = found[start:stop]
    return places


def _sweep_levels(
    graph: ElementGraph, column_of_row: Indices, number: Indices, torn: Flags, loops: Loops
) -> Indices:
    """The level of every row that takes part in its block's first guess, -1 for others.

    Edges are those among these rows; inside a cycle of them less those that leave a torn row, or one that
    determines another column than the one guessed here.
    """
    n = len(number)
    row_of_column = inverse(column_of_row, n)
    explicit = (number >= 0) & (graph.own >= 0) & (graph.auxiliary | ~graph.started)
    explicit &= pick(number, pick(row_of_column, graph.own)) == number
    if not explicit.any():
        return np.full(n, -1, np.int64)
    settled = explicit & (column_of_row == graph.own)
    claims = np.concatenate((np.where(settled, graph.own, -1), np.where(explicit & ~settled, graph.own, -1)))
    claims = first_of_each(claims)
    swept = np.maximum(claims[:n], claims[n:])
    source, target = dependencies(swept, n, expand(graph.indptr), graph.indices)
    between = (swept[target] >= 0) & (number[source] == number[target])
    source, target = source[between], target[between]
    component = strong_components(n, source, target)
    kept = (component[source] != component[target]) | ~(torn[source] | (swept[source] != column_of_row[source]))
    return _levels_among(swept >= 0, source[kept], target[kept], loops)


def _levels_among(members: Flags, source: Indices, target: Indices, loops: Loops) -> Indices:
    """Levels of the graph of the `members` alone, -1 for other nodes; the edges lie among the members."""
    level = np.full(len(members), -1, np.int64)
    nodes = np.flatnonzero(members)
    place = _numbering(len(members), nodes)
    level[nodes] = levels(len(nodes), place[source], place[target], loops)
    return level


def _layers(rows: Indices, number: Indices, level: Indices, count: int) -> list[tuple[Indices, ...]]:
    """For each of `count` blocks the rows of level 0, 1, … as arrays; rows of level -1 are left out."""
    members = np.flatnonzero(level >= 0)
    if not members.size:
        return [()] * count
    members = members[np.lexsort((level[members], number[members]))]
    block, depth = number[members], level[members]
    changes = np.flatnonzero((np.diff(block) != 0) | (np.diff(depth) != 0)) + 1
    bounds = np.concatenate(([0], changes, [len(members)]))
    layers: list[list[Indices]] = [[] for _ in range(count)]
    for owner, piece in zip(block[bounds[:-1]].tolist(), split(rows[members], bounds), strict=True):
        layers[owner].append(piece)
    return [tuple(pieces) for pieces in layers]


def split(array: Indices, bounds: Indices) -> list[Indices]:
    """The pieces array[bounds[i]:bounds[i+1]]."""
    return [array[start:stop] for start, stop in pairwise(bounds.tolist())]
