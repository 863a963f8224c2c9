"""The order of the declared blocks: which equation determines which array, and which equations form cycles.

Takes a Structure, never asks for incidence by elements: an array of a million elements costs as much as a
scalar.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .blocks import Flags, Indices, changes, compress, levels, pick, strong_components
from .loops import Loops
from .matching import inverse, maximum_matching
from .steps import Structure


@dataclass(frozen=True, eq=False)
class CoarseOrder:
    """What the declared blocks tell about the order.

    component, level, explicit (per row block): its strong component, that component's level, and whether its
    rows are explicit and outside every cycle, so that nothing else need be known about them. column_block
    (per row block): the column block matched to it, or -1. column_component (per column block): the component
    that determines it, or -1 when it is known or the column block of an explicit one.
    """

    component: Indices
    level: Indices
    explicit: Flags
    column_block: Indices
    column_component: Indices


def order_blocks(structure: Structure) -> CoarseOrder:
    """Match declared blocks of equal size, and order them.

    The row blocks that stay without partner are one node of the graph, which determines all column blocks
    that do: equations for parts of arrays are ordered by elements, the rest of the program need not be.
    """
    n_blocks = len(structure.row_size)
    rows, columns = _pairs_with_own(structure)
    own_block = _own_blocks(structure)
    column_block = _match_blocks(structure, rows, columns, own_block)
    node, determined_by = _nodes(structure, column_block)
    source, target = determined_by[columns], node[rows]
    between = (source >= 0) & (source != target)
    source, target = source[between], target[between]
    component = strong_components(n_blocks, source, target)
    level = component_levels(component, source, target, structure.loops)
    lonely = np.bincount(component, minlength=n_blocks)[component] == 1
    itself = np.zeros(n_blocks, np.bool_)
    itself[structure.coarse_row[structure.coarse_column == column_block[structure.coarse_row]]] = True
    explicit = lonely & ~itself & (own_block == column_block) & (column_block >= 0)
    determined_by[column_block[explicit]] = -1
    return CoarseOrder(component[node], level[node], explicit, column_block, pick(component, determined_by))


def _nodes(structure: Structure, column_block: Indices) -> tuple[Indices, Indices]:
    """The node of every row block, and the node that determines every column block, -1 where it is known."""
    node = np.arange(len(column_block))
    unmatched = np.flatnonzero((column_block < 0) & (structure.row_size > 0))
    node[unmatched] = unmatched[:1].repeat(unmatched.size)
    determined_by = inverse(column_block, len(structure.column_size))
    if unmatched.size:
        determined_by[(determined_by < 0) & (structure.unknown_count > 0)] = unmatched[0]
    return node, determined_by


def without_order(structure: Structure, coarse: CoarseOrder) -> CoarseOrder:
    """All blocks in one component, none explicit: what is right when elements contradict the blocks."""
    nothing = np.zeros_like(coarse.component)
    column_component = np.where(structure.unknown_count > 0, 0, -1)
    return CoarseOrder(nothing, nothing, nothing > 0, coarse.column_block, column_component)


def dependencies(
    column_of_row: Indices, n_columns: int, rows: Indices, columns: Indices
) -> tuple[Indices, Indices]:
    """Edges (source, target): row `source` determines a column that row `target`, another row, contains."""
    source = inverse(column_of_row, n_columns)[columns]
    between = (source >= 0) & (source != rows)
    return source[between], rows[between]


def component_levels(component: Indices, source: Indices, target: Indices, loops: Loops) -> Indices:
    """The level of every node's component in the condensation."""
    before, after = component[source], component[target]
    between = before != after
    count = int(np.max(component, initial=-1)) + 1
    return levels(count, before[between], after[between], loops)[component]


def settle_auxiliaries(column_of_row: Indices, own: Indices, auxiliary: Flags) -> Indices:
    """Give every auxiliary row its own column back after augmenting paths went through it.

    A row matched to the column of such an auxiliary gets the column at the end of the path instead. It
    contains that column through auxiliaries: the pairs are those of the program after their elimination.
    """
    flipped = np.flatnonzero(auxiliary & (column_of_row != own))
    if not flipped.size:
        return column_of_row
    following = dict(zip(own[flipped].tolist(), column_of_row[flipped].tolist(), strict=True))
    settled = np.where(auxiliary, own, column_of_row)
    for row in np.flatnonzero(~auxiliary & np.isin(column_of_row, own[flipped])).tolist():
        column = int(column_of_row[row])
        while column in following:
            column = following[column]
        settled[row] = column
    return settled


def first_of_each(values: Indices) -> Indices:
    """The values with -1 in place of every repetition of an earlier one."""
    positions = np.flatnonzero(values >= 0)[::-1]
    first = np.full(int(np.max(values, initial=-1)) + 1, -1, np.int64)
    first[values[positions]] = positions  # of repeated indices the last assignment stays
    kept = np.full_like(values, -1)
    first = first[first >= 0]
    kept[first] = values[first]
    return kept


def _pairs_with_own(structure: Structure) -> tuple[Indices, Indices]:
    """The coarse pairs, and those of every explicit row block with the blocks of its own columns."""
    explicit = structure.own >= 0
    own_row = structure.block_of_row[explicit]
    own_column = structure.block_of_column[structure.own[explicit]]
    new = changes(own_row) | changes(own_column)  # the rows of an array have one pair, not 10^5
    return (
        np.concatenate((structure.coarse_row, own_row[new])),
        np.concatenate((structure.coarse_column, own_column[new])),
    )


def _own_blocks(structure: Structure) -> Indices:
    """The column block that a row block is the explicit equation of, element by element in order; -1 for
    others.
    """
    n_blocks = len(structure.row_size)
    filled = np.flatnonzero(structure.row_size > 0)
    start = structure.row_start[:-1][filled]
    block = np.full(n_blocks, -1, np.int64)
    block[filled] = pick(structure.block_of_column, structure.own[start])
    block = np.where(_fits(structure, np.arange(n_blocks), block), block, -1)
    identity = identity_columns(structure, block)
    block[structure.block_of_row[structure.own != identity]] = -1
    return block


def identity_columns(structure: Structure, column_block: Indices) -> Indices:
    """The column (n_rows,) at the same place in `column_block` of its row block as the row in its row block,
    or -1.
    """
    shift = pick(structure.column_start, column_block) - structure.row_start[:-1]
    columns = np.arange(structure.n_rows) + np.repeat(shift, structure.row_size)
    return np.where(np.repeat(column_block >= 0, structure.row_size), columns, -1)


def _fits(structure: Structure, row_block: Indices, column_block: Indices) -> Flags:
    """Whether the blocks have the same size, not zero, and every column is unknown; False for column block
    -1.
    """
    size = pick(structure.column_size, column_block)
    unknown = pick(structure.unknown_count, column_block)
    fits: Flags = (structure.row_size[row_block] == size) & (unknown == size) & (size > 0)
    return fits


def _match_blocks(structure: Structure, rows: Indices, columns: Indices, own_block: Indices) -> Indices:
    """The column block of every row block: the declared and the plain pairs, and a maximum matching from
    there.

    Auxiliaries keep their own block. Explicit equations for some elements of an array stay unmatched.
    """
    n_rows, n_columns = len(structure.row_size), len(structure.column_size)
    preferred = np.where(_fits(structure, np.arange(n_rows), structure.preferred), structure.preferred, -1)
    plain = first_of_each(np.concatenate((preferred, np.where(preferred >= 0, -1, own_block))))
    plain = np.maximum(plain[:n_rows], plain[n_rows:])
    paired = np.flatnonzero(plain >= 0)
    rows, columns = np.concatenate((rows, paired)), np.concatenate((columns, plain[paired]))
    for_parts = np.zeros(n_rows, np.bool_)
    for_parts[structure.block_of_row[pick(structure.unknown.astype(np.int64), structure.own) > 0]] = True
    for_parts &= (own_block < 0) & (preferred < 0)
    usable = _fits(structure, rows, columns) & ~for_parts[rows]
    indptr, indices = compress(n_rows, n_columns, rows[usable], columns[usable])
    column_block = maximum_matching(indptr, indices, n_columns, plain, structure.loops).column_of_row
    auxiliary = np.zeros(n_rows, np.bool_)
    auxiliary[structure.block_of_row] = structure.auxiliary
    return settle_auxiliaries(column_block, own_block, auxiliary & (own_block >= 0))
