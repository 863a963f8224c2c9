"""Explicit equations put into the equations that use them, on index arrays alone.

Takes a lowered program and rows whose elements are to go; gives the program in which no other row reads them. No
expression is touched: sums move to the rows that use them (``splicing``), all else becomes composed kernels with
gathered index maps (``composing``), where that does not multiply the work (``weighing``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..expression import Array
from ..structure.blocks import compress, levels, reachable, strong_components
from ..structure.loops import Loops, in_python
from .composing import Composed, Composer, Terms
from .cuts import SIZE_CAP
from .flat import Flat, codes, numbered, positions, stays_whole
from .grouping import Group, GroupMaker, Term
from .instances import Columns
from .lowered import Lowered
from .splicing import parted, spliced
from .weighing import Nodes, worth_inlining

MOST_TERMS = 8
"""A sum of more terms than this is not put into a kernel."""
CAPS = (SIZE_CAP, SIZE_CAP // 2, SIZE_CAP // 4, SIZE_CAP // 8, 0)
"""Most operations of a composed kernel: the first with which not too many kernels are made."""
MOST_KERNELS = 16
"""So many kernels, and two for each that there was, are not too many; and ten times as many on the way to them."""
ROUNDS = 3
"""How deep estimates look."""


def inlined(lowered: Lowered, rows: Array, loops: Loops = in_python) -> tuple[Lowered, Array]:
    """The program in which the elements of explicit ``rows`` are inlined, and those of the rows that are not.

    With y_e = Σ_k φ_k(z) the equation of an element e = own[row], every other row that reads z_e gets φ in its place.
    The groups of the answer read no inlined element, and the inlined rows have no instances there: no value of theirs
    is needed, and the groups of ``lowered`` still give them in their order, at any state, once the rest is known.
    Everything else is as it was: numbers of rows and state elements, ``own``, names. ε of inlined rows counts as 0.

    Not inlined, and answered in ascending order, are: rows on a cycle among ``rows``; elements that a user's function
    or a large matrix product gives or reads; sums of more than MOST_TERMS terms, unless all of their uses are as
    summands of rows; what would make a kernel of more than SIZE_CAP operations, or several times the operations or the
    entries of the Hessian (``weighing``). ``loops`` runs loops over elements (``execution.loops_of``).
    Raises ValueError for a row without an element.
    """
    rows = np.unique(np.asarray(rows, dtype=np.int64))
    if (lowered.own[rows] < 0).any():
        raise ValueError(f"{lowered.row_name(int(rows[lowered.own[rows] < 0][0]))!r} is not explicit: it gives no "
                         "element of its own, so there is nothing to inline; pass rows with own[row] >= 0")
    row_of = np.full(lowered.state.size, -1, dtype=np.int64)  # of elements that may be inlined
    row_of[lowered.own[rows]] = rows
    whole = [stays_whole(group) for group in lowered.all_groups]
    _leave_whole(lowered, whole, row_of)
    flats, others = _touched(lowered, whole, row_of)
    _leave_cycles(flats, lowered.own, row_of)
    done = np.zeros(lowered.n_all_rows, dtype=bool)
    flats = _without_unused(flats, lowered.own, row_of, done)
    flats, gone = spliced(parted(flats, row_of, _estimates(flats, lowered.own, row_of)), row_of, lowered.n_all_rows)
    done[row_of[gone]], row_of[gone] = True, -1
    composed = _composed(flats, lowered, row_of, done, loops)
    groups = _groups(composed, others)
    result = replace(lowered, groups=groups[0], objective_groups=groups[1], constraint_groups=groups[2])
    return result, rows[~done[rows]]


def _leave_whole(lowered: Lowered, whole: Sequence[bool], row_of: Array) -> None:
    """Take away what groups that are not looked into read or give."""
    n = lowered.n_rows
    for group, stays in zip(lowered.all_groups, whole, strict=True):
        if stays:
            for arg in group.args:
                row_of[positions(arg)] = -1
            given = positions(group.row).ravel()
            given = lowered.own[given[given < n]]
            row_of[given[given >= 0]] = -1


def _touched(lowered: Lowered, whole: Sequence[bool], row_of: Array) -> tuple[list[Flat], tuple[list[Group], ...]]:
    """The groups that read or give what may be inlined, flat; and the others, by what they belong to."""
    may, gives = row_of >= 0, np.zeros(lowered.n_all_rows, dtype=bool)
    gives[row_of[may]] = True
    flats: list[Flat] = []
    others: tuple[list[Group], ...] = ([], [], [])
    goals = (lowered.groups, lowered.objective_groups, lowered.constraint_groups)
    for goal, groups in enumerate(goals):
        for group, stays in zip(groups, whole[sum(map(len, goals[:goal])) :], strict=False):
            if not stays and (gives[positions(group.row)].any() or any(may[positions(a)].any() for a in group.args)):
                flats.append(Flat.of(group))
            else:
                others[goal].append(group)
    return flats, others


def _leave_cycles(flats: Sequence[Flat], own: Array, row_of: Array) -> None:
    """Take away the elements on cycles among those that may be inlined."""
    elements = np.flatnonzero(row_of >= 0)
    if not len(elements):
        return
    local = numbered(elements, len(row_of))
    target, source = _reads(flats, own, local)
    label = strong_components(len(elements), source, target)
    cyclic = np.bincount(label, minlength=len(elements))[label] > 1
    cyclic[source[source == target]] = True
    row_of[elements[cyclic]] = -1


def _reads(flats: Sequence[Flat], own: Array, local: Array) -> tuple[Array, Array]:
    """Pairs of local numbers of elements: one, and one that its definition reads."""
    pairs = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    for flat in flats:
        given = _given(flat.row, own, local)
        for elements in flat.args:
            at = np.flatnonzero((given >= 0) & (local[elements] >= 0))
            pairs.append((given[at], local[elements[at]]))
    one, other = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return one, other


def _given(row: Array, own: Array, local: Array) -> Array:
    """The local number of the element that each row gives, −1 for none."""
    element = np.where(row < len(own), own[np.minimum(row, len(own) - 1)], -1)
    return np.where(element >= 0, local[element], -1)


def _without_unused(flats: Sequence[Flat], own: Array, row_of: Array, done: Array) -> list[Flat]:
    """The instances without the definitions of elements that no row that stays needs; these are done with."""
    local = numbered(elements := np.flatnonzero(row_of >= 0), len(row_of))
    reader, read = _reads(flats, own, local)
    wanted = np.zeros(len(row_of), dtype=bool)
    for flat in flats:
        wanted[flat.args[:, _given(flat.row, own, local) < 0]] = True
    unused = elements[~reachable(len(elements), reader, read, np.flatnonzero(wanted[elements]))]
    if not len(unused):
        return list(flats)
    done[row_of[unused]], row_of[unused] = True, -1
    left = [flat.pick(~done[flat.row]) if done[flat.row].any() else flat for flat in flats]
    return [flat for flat in left if flat.size]


def _estimates(flats: Sequence[Flat], own: Array, row_of: Array) -> Array:
    """About how many operations the definition of each element has, with what it reads, some elements deep."""
    local = numbered(elements := np.flatnonzero(row_of >= 0), len(row_of))
    n, weight, found = len(elements), np.zeros(len(elements)), np.zeros(len(row_of), dtype=np.int64)
    for flat in flats:
        given = _given(flat.row, own, local)
        weight += np.bincount(given[given >= 0], minlength=n) * (flat.n_operations + 1.0)
    reader, read = _reads(flats, own, local)
    total = weight
    for _ in range(ROUNDS):
        total = np.minimum(weight + np.bincount(reader, total[read], n), SIZE_CAP + 1.0)
    found[elements] = total
    return found


# which elements, and in what order -----------------------------------------------------------------------------


class _Part(NamedTuple):
    """Composed instances of a flat: all of a goal's (0: equations, 1: objective, 2: constraints), or some."""

    goal: int
    flat: Flat
    whole: bool
    row: Array
    composed: Composed
    pool: Array


def _composed(flats: Sequence[Flat], lowered: Lowered, row_of: Array, done: Array, loops: Loops) -> list[_Part]:
    """The instances of rows that stay; those of inlined elements are done with.

    Irregular programs could make a kernel of almost every instance, where what is fast is one of many instances.
    Smaller kernels, of fewer elements, are fewer.
    """
    _leave_long(flats, lowered, row_of)
    for cap in CAPS:
        chosen, finished = row_of.copy(), done.copy()
        composer = Composer(flats, lowered.state.size)
        most = MOST_KERNELS + 2 * len(flats)
        if not _define(composer, _kept(flats, lowered, chosen, cap, loops), lowered.own, chosen, 10 * most, loops):
            continue
        finished[chosen[chosen >= 0]] = True
        parts = _parts(composer, lowered, finished)
        if cap == 0 or len({part.composed.kernel for part in parts}) <= most:
            break
    done[:] = finished
    return parts


def _leave_long(flats: Sequence[Flat], lowered: Lowered, row_of: Array) -> None:
    """Take away the elements with too many terms."""
    terms = np.zeros(lowered.n_all_rows, dtype=np.int64)
    for flat in flats:
        terms += np.bincount(flat.row, minlength=len(terms))
    row_of[(row_of >= 0) & (terms[row_of] > MOST_TERMS)] = -1


def _kept(flats: Sequence[Flat], lowered: Lowered, row_of: Array, cap: int, loops: Loops) -> Array:
    """The elements that are worth inlining; others are taken away."""
    elements = np.flatnonzero(row_of >= 0)
    if len(elements):
        nodes = _nodes(flats, lowered.own, numbered(elements, len(row_of)), len(elements), loops)
        row_of[elements[~worth_inlining(nodes, cap, loops)]] = -1
    return np.flatnonzero(row_of >= 0)


def _nodes(flats: Sequence[Flat], own: Array, local: Array, n: int, loops: Loops) -> Nodes:
    """Elements that may be inlined and instances that read some, as the nodes to be weighed."""
    weight, sums = np.full(n, -1, dtype=np.int64), np.zeros((4, n), dtype=np.int64)  # one addition less than terms
    nodes, reads, weights, count = [], [], [weight], n
    for flat in flats:
        node, inner = _given(flat.row, own, local), local[flat.args]
        weight += np.bincount(node[node >= 0], minlength=n) * (flat.n_operations + 1)
        m = len(flat.args) - 1
        for numbers in inner:
            uses = np.bincount(numbers[numbers >= 0], minlength=n)
            sums += uses * np.array([[1], [flat.n_operations + 1], [m], [m * m]])
        reading = np.flatnonzero((node < 0) & (inner >= 0).any(axis=0))
        node[reading] = np.arange(count, count + len(reading))
        count += len(reading)
        weights.append(np.full(len(reading), flat.n_operations))
        at = np.flatnonzero(node >= 0)
        for elements in flat.args:
            nodes.append(node[at])
            reads.append(elements[at])
    np.maximum(weight, 1, out=weight)  # chains of copies end too
    first, found = compress(count, len(local), *(np.concatenate([np.empty(0, np.int64), *x]) for x in (nodes, reads)))
    one, other = _reads(flats, own, local)
    level = levels(n, other, one, loops)
    order = np.concatenate([np.argsort(level, kind="stable"), np.arange(n, count)])
    return Nodes(n, first, found, local, order, np.concatenate(weights), *sums)


def _define(composer: Composer, elements: Array, own: Array, row_of: Array, most: int, loops: Loops) -> bool:
    """Tell the composer of the elements: level by level, those together whose terms are of the same groups.

    Answers whether there are no more kinds of definitions than ``most``, and stops before there are many more.
    """
    n = len(elements)
    if not n:
        return True
    local = numbered(elements, len(row_of))
    one, other = _reads(composer.flats, own, local)
    level = levels(n, other, one, loops)
    table = _term_table(composer.flats, own, local, n)
    order = np.lexsort((codes(np.stack([t.flat for t in table])), level))
    key = np.stack([level, *(t.flat for t in table)])[:, order]
    new = np.flatnonzero((key[:, 1:] != key[:, :-1]).any(axis=0)) + 1
    for part in np.split(order, new):
        terms = [Terms(int(t.flat[part[0]]), t.instances[part]) for t in table if t.flat[part[0]] >= 0]
        composer.define(elements[part], terms)
        if composer.n_definitions > most:
            return False
    return True


class _Column:
    """One term of every element: the number of its flat (−1 for none) and its instance."""

    def __init__(self, n: int) -> None:
        self.flat, self.instances = np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=np.int64)


def _term_table(flats: Sequence[Flat], own: Array, local: Array, n: int) -> list[_Column]:
    """The terms of n elements: the first of each, the second of each, …"""
    parts = []
    for number, flat in enumerate(flats):
        given = _given(flat.row, own, local)
        at = np.flatnonzero(given >= 0)
        parts.append(np.stack([given[at], np.full(len(at), number), at]))
    element, flat_number, instance = np.concatenate([np.empty((3, 0), np.int64), *parts], axis=1)
    order = np.argsort(element, kind="stable")
    element = element[order]
    turn = np.arange(len(element)) - np.searchsorted(element, element)
    table = [_Column(n) for _ in range(max(1, int(turn.max(initial=0)) + 1))]
    for i, column in enumerate(table):
        at = order[turn == i]
        here = element[turn == i]
        column.flat[here], column.instances[here] = flat_number[at], instance[at]
    return table


def _parts(composer: Composer, lowered: Lowered, done: Array) -> list[_Part]:
    """The instances of all rows that are not done with."""
    parts = []
    ends = [lowered.objective_row, lowered.objective_row + 1]
    for number, flat in enumerate(composer.flats):
        goal = np.where(done[flat.row], -1, np.searchsorted(ends, flat.row, "right"))
        for i in range(3):
            instances = np.flatnonzero(goal == i)
            if len(instances):
                for composed in composer.composed([Terms(number, instances)], len(instances)):
                    row = flat.row[instances[composed.instances]]
                    parts.append(_Part(i, flat, len(row) == flat.size, row, composed, composer.pool))
    return parts


# back to groups ------------------------------------------------------------------------------------------------


def _groups(parts: Sequence[_Part], others: tuple[list[Group], ...]) -> list[tuple[Group, ...]]:
    """The groups of equations, objective and constraints."""
    makers = [GroupMaker() for _ in others]
    for part in parts:
        flat = part.flat
        if part.whole and flat.group is not None and part.composed.kernel is flat.kernel and np.array_equal(
                part.composed.args, flat.args):
            others[part.goal].append(flat.group)  # there was nothing to put in
        else:
            _add(makers[part.goal], part)
    return [(*kept, *maker.groups()) for kept, maker in zip(others, makers, strict=True)]


def _add(maker: GroupMaker, part: _Part) -> None:
    """Give instances to the groups, in their box where it is whole."""
    composed, row, shape = part.composed, part.row, part.flat.shape
    coefs = [part.pool[numbers] for numbers in composed.coefs]
    if shape is None or len(shape) < 2 or not part.whole:
        maker.add_columns(Columns(composed.kernel, list(composed.args), coefs, row), row)
        return
    maker.add(Term(composed.kernel, shape, [x.reshape(shape) for x in composed.args],
                   [x.reshape(shape) for x in coefs], row.reshape(shape)))
