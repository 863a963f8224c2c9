"""Sums that are used as summands: their terms are added to the rows that use them, and no kernel is composed.

Where s = Σ φ and a row has c·s among its terms, the row gets the terms c·φ in its place. An element goes this way where
every use of it is linear: one use, or a few in rows that stay. Chains of sums are followed to their end at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..elementary import TABLE
from ..expression import Array
from ..structure.blocks import reachable
from .cuts import SIZE_CAP
from .flat import Flat, as_it_is, codes, load, numbered
from .kernel import Builder, Kernel, intern_kernel

FEW = 4
"""A sum that is used up to this often may be written out at each of its uses."""
_LINEAR = frozenset(("add", "subtract", "negative", "multiply", "divide"))


@dataclass(frozen=True, eq=False)
class Links:
    """Where sums go: terms of row ``source[i]`` are added, times ``factor[i]``, to row ``target[i]``; by source."""

    source: Array
    target: Array
    factor: Array


def spliced(flats: Sequence[Flat], row_of: Array, n_rows: int) -> tuple[list[Flat], Array]:
    """The instances with sums written out where they are used, and the elements that are no longer read.

    ``row_of``: the row that defines a state element which may be inlined, −1 for others. ``n_rows`` counts all rows.
    """
    uses = _linear_uses(flats, row_of)
    links, elements = _links(flats, uses, row_of, n_rows)
    if not len(elements):
        return list(flats), elements
    gone = numbered(elements, len(row_of)) >= 0
    moved: list[Flat] = []
    for flat in flats:
        for rest in _without(flat, gone[flat.args]):
            moved += _moved(rest, links)
    return moved, elements


@dataclass(frozen=True, eq=False)
class _Uses:
    """Linear uses: element, the row used in and the factor of each; and how often each element is used in all."""

    element: Array
    row: Array
    factor: Array
    count: Array


def _linear_uses(flats: Sequence[Flat], row_of: Array) -> _Uses:
    count = np.zeros(len(row_of), dtype=np.int64)
    found: list[tuple[Array, Array, Array]] = []
    for flat in flats:
        for j, elements in enumerate(flat.args):
            at = np.flatnonzero(row_of[elements] >= 0)
            count += np.bincount(elements[at], minlength=len(count)) if len(at) else 0
            if len(at) and is_linear(flat.kernel, j):
                found.append((elements[at], flat.row[at], slope(flat, j)[at]))
    if not found:
        return _Uses(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), count)
    element, row, factor = (np.concatenate(column) for column in zip(*found, strict=True))
    return _Uses(element, row, factor, count)


def is_linear(kernel: Kernel, j: int) -> bool:
    """Whether a kernel is c·arg_j + a rest without it, as its operations show; c made of numbers and coefficients."""
    depends, moving = [False] * len(kernel.nodes), [False] * len(kernel.partials.nodes)
    for i, (name, *operands) in enumerate(kernel.nodes):
        if name not in ("arg", "coef", "const"):
            depends[i] = any(depends[k] for k in operands)
            if depends[i] and name not in _LINEAR:
                return False
        else:
            depends[i] = (name, *operands) == ("arg", j)
    for i, (name, *operands) in enumerate(kernel.partials.nodes):
        moving[i] = name == "arg" or (name not in ("coef", "const") and any(moving[k] for k in operands))
    return not moving[kernel.partials.outputs[j]]


def slope(flat: Flat, j: int) -> Array:
    """c (n,) of a linear argument."""
    values: list[Array] = []
    partials = flat.kernel.partials
    for i, (name, *operands) in enumerate(partials.nodes[: partials.outputs[j] + 1]):
        if name == "arg" or (name not in ("coef", "const") and any(values[k] is _ABSENT for k in operands)):
            values.append(_ABSENT)
        elif name == "coef":
            values.append(flat.coefs[operands[0]])
        elif name == "const":
            values.append(np.asarray(operands[0]))
        else:
            with np.errstate(all="ignore"):
                values.append(TABLE[partials.nodes[i][0]].function(*(values[k] for k in operands)))
    return np.broadcast_to(values[partials.outputs[j]], (flat.size,))


_ABSENT = np.empty(0)
"""Stands for what depends on arguments."""


def _links(flats: Sequence[Flat], uses: _Uses, row_of: Array, n_rows: int) -> tuple[Links, Array]:
    """The links of all sums that are spliced, chains followed, and those elements."""
    terms = np.zeros(n_rows, dtype=np.int64)
    for flat in flats:
        terms += np.bincount(flat.row, minlength=n_rows)
    element_of = np.full(n_rows, -1, dtype=np.int64)
    element_of[row_of[row_of >= 0]] = np.flatnonzero(row_of >= 0)
    linear = np.bincount(uses.element, minlength=len(row_of))
    n_terms = np.where(row_of >= 0, terms[row_of], 0)
    once = (linear == 1) & (uses.count == 1)
    single = np.flatnonzero(once[uses.element])  # the uses of elements with one use
    child, parent = uses.element[single], element_of[uses.row[single]]
    inner = parent >= 0
    sums = reachable(len(row_of), child[inner], parent[inner], np.flatnonzero(n_terms >= 2))
    chosen = single[sums[child]]
    gone = uses.element[chosen]
    parents = np.zeros(len(row_of) + 1, dtype=bool)
    parents[element_of[uses.row[chosen]]] = True  # the last place stands for rows that stay
    chosen = np.concatenate([chosen, _of_few(uses, n_terms, linear, parents, element_of)])
    to, factor = _roots(uses.element[chosen], uses.row[chosen], uses.factor[chosen], gone, element_of)
    elements = np.unique(uses.element[chosen])
    order = np.argsort(row_of[uses.element[chosen]], kind="stable")
    return Links(row_of[uses.element[chosen]][order], to[order], factor[order]), elements


def _of_few(uses: _Uses, n_terms: Array, linear: Array, parents: Array, element_of: Array) -> Array:
    """The uses of sums of the user's own terms with a few uses, all linear and in rows that stay."""
    inside = np.zeros(len(linear), dtype=bool)
    inside[uses.element[element_of[uses.row] >= 0]] = True
    few = (linear == uses.count) & (linear >= 2) & (linear <= FEW) & (n_terms >= 2) & ~parents[:-1] & ~inside
    return np.flatnonzero(few[uses.element])


def _roots(element: Array, row: Array, factor: Array, gone: Array, element_of: Array) -> tuple[Array, Array]:
    """The last row of the chain from each use, and the product of the factors; each step doubles the reach."""
    place = numbered(gone, int(max(element.max(initial=-1), element_of.max(initial=-1))) + 2)
    row, factor = row.copy(), factor.copy()
    following = place[element_of[row]]  # the uses of elements with one use come first, in the order of gone
    while (on := np.flatnonzero(following >= 0)).size:
        after = following[on]
        factor[on], row[on], following[on] = factor[on] * factor[after], row[after], following[after]
    return row, factor


def parted(flats: Sequence[Flat], row_of: Array, weight: Array) -> list[Flat]:
    """The instances with their summands c·z_e, e one that may be inlined, apart where they are too much together.

    ``weight``: operations of what each state element may become.
    """
    found: list[Flat] = []
    for flat in flats:
        heavy = weight[flat.args].sum(axis=0) + flat.n_operations > SIZE_CAP
        if len(flat.args) == 1 or not heavy.any():
            found.append(flat)
            continue
        marks = heavy & (row_of[flat.args] >= 0)
        marks[[j for j in range(len(marks)) if not (marks[j].any() and is_linear(flat.kernel, j))]] = False
        found += _without(flat, marks)
        for j in np.flatnonzero(marks.any(axis=1)).tolist():
            at = np.flatnonzero(marks[j])
            found += _scaled(Flat(_COPY, flat.args[j : j + 1, at], (), flat.row[at]), slope(flat, j)[at])
    return found


_COPY = intern_kernel((("arg", 0),), (0,))


def _without(flat: Flat, marks: Array) -> list[Flat]:
    """The instances with 0 for the marked arguments (n_args, n); what is nothing then is left out."""
    if not marks.any():
        return [flat]
    found, code = [], codes(marks.astype(np.int64))
    for number in range(int(code.max()) + 1):
        instances = np.flatnonzero(code == number)
        mark = marks[:, instances[0]]
        part = flat.pick(instances)
        if mark.any():
            rest, args, coefs = _rest(flat.kernel, tuple(mark.tolist()))
            if rest.is_zero(0):
                continue
            part = Flat(rest, part.args[args], tuple(part.coefs[i] for i in coefs), part.row)
        found.append(part)
    return found


def _rest(kernel: Kernel, mark: tuple[bool, ...]) -> tuple[Kernel, list[int], list[int]]:
    """The kernel with 0 for the marked arguments, and which arguments and coefficients are left in it."""
    builder = Builder()
    placed: list[int] = []
    for name, *operands in kernel.nodes:
        if name == "arg" and mark[operands[0]]:
            placed.append(builder.const(0.0))
        elif name in ("arg", "coef", "const"):
            placed.append(builder.raw((name, *operands)))
        else:
            placed.append(builder.make(name, *(placed[i] for i in operands)))
    rest = builder.finish([placed[kernel.outputs[0]]])
    args, coefs = (sorted({node[1] for node in rest.nodes if node[0] == leaf}) for leaf in ("arg", "coef"))
    again = Builder()
    output = load(again, rest, *(_renumbered(again, leaf, kept) for leaf, kept in (("arg", args), ("coef", coefs))))
    return again.finish([output]), args, coefs


def _renumbered(builder: Builder, leaf: str, kept: list[int]) -> list[int]:
    """Leaves numbered anew, by their old number (others are never asked for)."""
    places = [-1] * (max(kept, default=-1) + 1)
    for new, old in enumerate(kept):
        places[old] = builder.raw((leaf, new))
    return places


def _moved(flat: Flat, links: Links) -> list[Flat]:
    """The instances at the rows that their sums go to."""
    first, last = (np.searchsorted(links.source, flat.row, side=side) for side in ("left", "right"))
    stay = np.flatnonzero(first == last)
    if len(stay) == flat.size:
        return [flat]
    found = [flat.pick(stay)] if len(stay) else []
    for turn in range(int(np.max(last - first))):
        going = np.flatnonzero(last - first > turn)
        link = first[going] + turn
        found += _scaled(flat.pick(going).at(links.target[link]), links.factor[link])
    return found


def _scaled(flat: Flat, factor: Array) -> list[Flat]:
    """factor·φ; a factor of 1 or −1 is no coefficient."""
    found = []
    for number in (1.0, -1.0, None):
        instances = np.flatnonzero(factor == number if number is not None else np.abs(factor) != 1.0)
        if len(instances):
            part = flat.pick(instances)
            found.append(part if number == 1.0 else _times(part, factor[instances], number == -1.0))
    return found


def _times(flat: Flat, factor: Array, negative: bool) -> Flat:
    """factor·φ, with the factor in φ's coefficient where φ is coef·arg."""
    kernel = flat.kernel
    if kernel.is_product() and kernel.n_coefs == 1:
        return Flat(kernel, flat.args, (flat.coefs[0] * factor,), flat.row)
    builder = Builder()
    output = as_it_is(builder, kernel)
    if negative:
        output = builder.raw(("negative", output))
        return Flat(builder.finish([output]), flat.args, flat.coefs, flat.row)
    output = builder.raw(("multiply", builder.raw(("coef", kernel.n_coefs)), output))
    return Flat(builder.finish([output]), flat.args, (*flat.coefs, factor), flat.row)
