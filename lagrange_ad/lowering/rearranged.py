"""The lowered program of a view: some equations are solved, the others are constraints; nothing is lowered again.

Takes a lowered program and which of its rows are to be solved; gives another one with the same state and the same
groups, their rows renumbered: rows that are not solved stand among the constraints, before the declared ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..expression import Array
from .grouping import Group, IndexMap
from .kernel import Kernel, intern_kernel
from .layout import Blocks
from .lowered import Lowered

LEFT: Kernel = intern_kernel((("arg", 0), ("negative", 0)), (1,))
"""−z: the left side in the residual of an explicit equation that is a constraint."""


@dataclass(frozen=True, eq=False)
class Rearranged:
    """A view's lowered program; ``row`` (n_all_rows,) is where each row of the program's own stands in it.

    ``kept`` are the rows, of the program's own, that are constraints now, residuals right − left; they are the first
    constraint rows, in this order.
    """

    lowered: Lowered
    row: Array
    kept: Array


def rearranged(lowered: Lowered, solved: Array) -> Rearranged:
    """Solve some of the user's equation rows, ``solved`` (n_user_rows,) flags, and make constraints of the others."""
    kept = np.flatnonzero(~solved)
    if not len(kept):
        return Rearranged(lowered, np.arange(lowered.n_all_rows), kept)
    stays = np.concatenate([solved, np.ones(lowered.n_rows - lowered.n_user_rows, dtype=bool)])
    row = np.cumsum(stays) - 1
    n_rows = int(stays.sum())
    row[kept] = n_rows + 1 + np.arange(len(kept))
    after = np.arange(lowered.n_all_rows - lowered.n_rows - 1)
    row = np.concatenate([row, [n_rows], n_rows + 1 + len(kept) + after])
    rows, blocks = _some(lowered.rows, np.flatnonzero(stays), len(lowered.equations))
    residuals, _ = _some(lowered.rows, kept, len(lowered.rows.names))
    equations = [i for i in blocks if i < len(lowered.equations)]
    groups, others = _split(lowered.groups, row, stays)
    explicit = kept[lowered.own[kept] >= 0]
    return Rearranged(replace(
        lowered,
        equations=tuple(lowered.equations[i] for i in equations),
        rows=rows,
        constraint_rows=residuals.then(lowered.constraint_rows),
        n_user_rows=int(solved.sum()),
        n_regular_rows=lowered.n_regular_rows - len(kept),
        own=lowered.own[stays],
        source=tuple(lowered.source[i] for i in blocks),
        groups=groups,
        objective_groups=tuple(_shifted(group, row) for group in lowered.objective_groups),
        constraint_groups=(*others, *_left_sides(lowered.own[explicit], row[explicit]),
                           *(_shifted(group, row) for group in lowered.constraint_groups)),
        equation_scale=None if lowered.equation_scale is None else lowered.equation_scale[stays],
    ), row, kept)


def _some(blocks: Blocks, chosen: Array, always: int) -> tuple[Blocks, list[int]]:
    """Blocks of some elements, ascending, and their numbers; one with elements left out has one axis, labelled.

    Blocks that nothing is left of are left out, but for those from number ``always`` on.
    """
    number = np.searchsorted(blocks.start, chosen, side="right") - 1
    counts = np.bincount(number, minlength=len(blocks.names))
    numbers: list[int] = np.flatnonzero((counts > 0) | (np.arange(len(counts)) >= always)).tolist()
    is_whole = (counts == np.diff(blocks.start)).tolist()
    first = (np.cumsum(counts) - counts).tolist()
    shapes: list[Any] = []
    labels: list[Any] = []
    for block in numbers:
        if is_whole[block]:
            shapes.append(blocks.shapes[block])
            labels.append(blocks.labels[block])
            continue
        left = chosen[first[block] : first[block] + int(counts[block])].tolist()
        shapes.append((len(left),))
        labels.append([blocks.element(i)[len(blocks.names[block]) + 1 : -1] for i in left])
    return Blocks([blocks.names[i] for i in numbers], shapes, labels), numbers


def _split(groups: tuple[Group, ...], row: Array, stays: Array) -> tuple[tuple[Group, ...], list[Group]]:
    """The groups of rows that stay, and of those that are constraints now, with their new rows."""
    same: list[Group] = []
    moved: list[Group] = []
    for group in groups:
        low, high = group.row.range()
        here = stays[low : high + 1]
        if here.all() or not here.any():
            (same if here.all() else moved).append(_shifted(group, row))
            continue
        flags = stays[group.row.array().ravel()]
        for goal, chosen in ((same, flags), (moved, ~flags)):
            if chosen.any():
                goal.append(_shifted(group.restrict(np.flatnonzero(chosen)), row))
    return tuple(same), moved


def without_equations(lowered: Lowered) -> Lowered:
    """The objective and the constraints alone, all of the state being given: what is left where nothing is solved."""
    place = np.arange(lowered.n_all_rows) - lowered.n_rows
    none = Blocks([], [], [])
    return replace(
        lowered, equations=(), rows=none, n_user=lowered.state.size, n_user_rows=0, n_regular_rows=0,
        own=np.empty(0, dtype=np.int64), source=(), groups=(), equation_scale=None,
        objective_groups=tuple(_shifted(group, place) for group in lowered.objective_groups),
        constraint_groups=tuple(_shifted(group, place) for group in lowered.constraint_groups),
    )


def _shifted(group: Group, row: Array) -> Group:
    """A group with its rows renumbered; where all move by as much, nothing of the box's size is made."""
    low, high = group.row.range()
    if high < low:
        return group
    places = row[low : high + 1]
    shift = int(places[0]) - low
    if (places - np.arange(low, high + 1) == shift).all():
        if not shift:
            return group
        old = group.row
        table = None if old.table is None else old.table + shift
        return replace(group, row=IndexMap(old.shape, old.offset + shift, old.strides, table))
    return replace(group, row=IndexMap.of(row[group.row.array()]))


def _left_sides(own: Array, rows: Array) -> list[Group]:
    """−z of every explicit row among the constraints."""
    if not len(own):
        return []
    return [Group(LEFT, own.shape, (IndexMap.of(own),), (), IndexMap.of(rows))]


def with_outputs(lowered: Lowered, rows: Array) -> Lowered:
    """The lowered program with the right sides of some explicit rows as further constraint rows, the last ones."""
    if not len(rows):
        return lowered
    place = np.full(lowered.n_all_rows, -1, dtype=np.int64)
    place[rows] = lowered.n_all_rows + np.arange(len(rows))
    copies = []
    for group in lowered.groups:
        low, high = group.row.range()
        if (place[low : high + 1] >= 0).any():
            here = np.flatnonzero(place[group.row.array().ravel()] >= 0)
            if len(here):  # a group's rows may lie round the wanted ones
                copies.append(_shifted(group.restrict(here), place))
    more = Blocks(["right sides"], [(len(rows),)], [None])
    return replace(lowered, constraint_rows=lowered.constraint_rows.then(more),
                   constraint_groups=(*lowered.constraint_groups, *copies))
