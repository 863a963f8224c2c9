"""Equations that cannot determine the variables, whatever the numbers: which are too many, which are missing.

Takes the Dulmage–Mendelsohn parts of a structure without a perfect matching; gives a finding for every connected
component of each part, the smallest first, and the StructureError made of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...errors import StructureError
from ...expression import Array, postorder
from ...lowering import Lowered
from ...structure import Deficiency
from ...text import listing
from ..roles import PlanRoles
from .finding import MOST_NAMES, Finding, in_words
from .names import equation_names, equations_in_words, variable_names, variables_in_words

MOST_PARTS = 6
"""So many components of a part have a finding each; the rest are counted."""
MOST_READ = 20
"""So many equations of a component are read for black boxes and for inputs to free."""


def structure_error(lowered: Lowered, roles: PlanRoles, deficiency: Deficiency) -> StructureError:
    """Which equations over-determine and which variables are free, in the user's words."""
    findings = structure_findings(lowered, roles, deficiency)
    return StructureError(in_words(findings, _heading(lowered, deficiency)), findings)


def _heading(lowered: Lowered, deficiency: Deficiency) -> str:
    n_rows = lowered.n_user_rows
    n_unknowns = deficiency.n_unknowns - (lowered.n_rows - n_rows)
    if n_rows == n_unknowns:
        return f"the equations of {lowered.name!r} cannot determine its variables:"
    return (f"{lowered.name!r} has {n_rows} scalar equation{'s' * (n_rows != 1)} for {n_unknowns} "
            f"variable element{'s' * (n_unknowns != 1)}:")


def structure_findings(lowered: Lowered, roles: PlanRoles, deficiency: Deficiency) -> list[Finding]:
    """One finding a connected component of the over-determined and of the under-determined part, then of roles."""
    parts = deficiency.parts
    over = _components(lowered, parts.over_rows, parts.over_columns)
    under = _components(lowered, parts.under_rows, parts.under_columns)
    return [*(_too_many(lowered, roles, part) for part in over[:MOST_PARTS]), *_rest("over-determined", over),
            *(_too_few(lowered, part) for part in under[:MOST_PARTS]), *_rest("under-determined", under),
            *_swapped(lowered, roles)]


def _swapped(lowered: Lowered, roles: PlanRoles) -> Iterator[Finding]:
    """What was fixed and freed, and how many elements of each: they must be equally many."""
    fixed, freed = roles.changed_elements()
    if not fixed and not freed:
        return
    sides = (("fixed", fixed), ("freed", freed))
    said = "; ".join(f"{word}: {listing(map(lowered.state.element, own))}" for word, own in sides if own)
    if len(fixed) == len(freed):
        advice = "what is freed must be what the equations left over by the fixed elements can determine"
    else:
        lack, what = abs(len(fixed) - len(freed)), "freed" if len(fixed) > len(freed) else "fixed"
        advice = (f"{len(fixed)} element{'s' * (len(fixed) != 1)} fixed and {len(freed)} freed: where there were "
                  f"enough equations, {lack} more must be {what}")
    yield Finding("roles", "note", said, (), [lowered.state.element(i) for i in (*fixed, *freed)[:MOST_NAMES]],
                  {"fixed": len(fixed), "freed": len(freed)}, advice)


def _rest(kind: str, parts: list[Part]) -> Iterator[Finding]:
    """How many parts are not told of."""
    if len(parts) > MOST_PARTS:
        count = len(parts) - MOST_PARTS
        yield Finding(kind, "error", f"{count} more such parts, which have more equations and unknowns",
                      numbers={"parts": count})


class Part(NamedTuple):
    """Rows and columns that hang together; ``times``: so many components of the same equations and variables."""

    rows: Array
    columns: Array
    times: int


def _components(lowered: Lowered, rows: Array, columns: Array) -> list[Part]:
    """The connected components of a part; those with the fewest equations and unknowns first."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(rows) + len(columns)
    if not n:
        return []
    row_at, column_at = (np.full(size, -1) for size in (lowered.n_rows, lowered.state.size))
    row_at[rows], column_at[columns] = np.arange(len(rows)), np.arange(len(rows), n)
    i, j = lowered.incidence(np.array(_blocks(lowered, rows), dtype=np.int64))
    explicit = rows[lowered.own[rows] >= 0]
    i, j = row_at[np.concatenate([i, explicit])], column_at[np.concatenate([j, lowered.own[explicit]])]
    inside = (i >= 0) & (j >= 0)
    graph = coo_array((np.ones(int(inside.sum())), (i[inside], j[inside])), shape=(n, n))
    count, label = connected_components(graph, directed=False)
    block = np.concatenate([np.searchsorted(lowered.rows.start, rows, side="right"),
                            np.searchsorted(lowered.state.start, columns, side="right") + len(lowered.rows.start)])
    alike = _alike(label, block, count)
    order = np.argsort(alike[label], kind="stable")
    sizes = np.bincount(alike[label])
    found = [Part(rows[m[m < len(rows)]], columns[m[m >= len(rows)] - len(rows)], times)
             for m, times in zip(np.split(order, np.cumsum(sizes)[:-1]), np.bincount(alike).tolist(), strict=True)]
    return sorted(found, key=lambda part: len(part.rows) + len(part.columns))


def _alike(label: Array, block: Array, count: int) -> Array:
    """The same number for components that are made of elements of the same blocks: (component,)."""
    n_blocks = int(block.max()) + 1
    pairs = np.unique(label.astype(np.int64) * n_blocks + block)
    mark = np.random.default_rng(0).integers(1, 2**62, n_blocks)  # a set of blocks is known by the sum of its marks
    signature = np.zeros(count, dtype=np.int64)
    np.add.at(signature, pairs // n_blocks, mark[pairs % n_blocks])
    return np.asarray(np.unique(signature, return_inverse=True)[1].ravel())


def _too_many(lowered: Lowered, roles: PlanRoles, part: Part) -> Finding:
    user, unknowns = _user_rows(lowered, part.rows), part.columns[part.columns < lowered.n_user]
    excess, free = len(part.rows) - len(part.columns), _freeable(lowered, roles, user)
    wanted = f"for {variables_in_words(lowered, unknowns)}" if len(unknowns) else "for no variable: no unknown is in it"
    counted = len(unknowns) and (excess > 1 or len(user) > 3)
    return Finding(
        "over-determined", "error",
        f"too many equations: {equations_in_words(lowered, user)} {wanted}"
        + (f" ({len(user)} for {len(unknowns)}{_parts(part)})" if counted else "") + _boxes(lowered, user),
        equation_names(lowered, user), variable_names(lowered, unknowns),
        {"equations": len(user), "unknowns": len(unknowns), "excess": excess, "parts": part.times},
        "remove one of them, or declare as a variable what one of them should determine"
        + (f", or let a given number be found: p.free({free})" if free else ""),
    )


def _parts(part: Part) -> str:
    return f", in {part.times} separate parts" if part.times > 1 else ""


def _too_few(lowered: Lowered, part: Part) -> Finding:
    user, unknowns = _user_rows(lowered, part.rows), part.columns[part.columns < lowered.n_user]
    lack = len(part.columns) - len(part.rows)
    having = equations_in_words(lowered, user)
    verb = "are" if len(unknowns) > 1 else "is"
    found = f"left free by {having}" if having else "in no equation"
    counted = f" ({len(user)} for {len(unknowns)}{_parts(part)})" if having and lack > 1 else ""
    name = lowered.state.names[lowered.state.block_of(int(unknowns[0]))]
    return Finding(
        "under-determined", "error",
        f"too few equations: {variables_in_words(lowered, unknowns)} {verb} {found}{counted}{_boxes(lowered, user)}",
        equation_names(lowered, user), variable_names(lowered, unknowns),
        {"equations": len(user), "unknowns": len(unknowns), "lack": lack, "parts": part.times},
        f"add an equation, declare what is given as an input or a parameter, or hold it: p.fix({name!r}, value)",
    )


def _user_rows(lowered: Lowered, rows: Array) -> Array:
    """The user's rows among some; of auxiliaries, the rows of the equation that they came from."""
    user = rows[rows < lowered.n_user_rows]
    hidden = _blocks(lowered, rows[rows >= lowered.n_user_rows])
    numbers = {lowered.rows.slices.number[lowered.source[block]] for block in hidden} - set(_blocks(lowered, user))
    starts = lowered.rows.start
    return np.concatenate([user, *(np.arange(starts[i], starts[i + 1]) for i in sorted(numbers))])


def _boxes(lowered: Lowered, rows: Array) -> str:
    """Which black boxes these equations call: they count as depending on all that they are given."""
    names: dict[str, None] = {}
    for block in _blocks(lowered, rows)[:MOST_READ]:
        equation = lowered.equations[block]
        names.update(dict.fromkeys(node.data.name for node in postorder([equation.left, equation.right])
                                   if node.op == "external"))
    if not names:
        return ""
    several, one = "s" * (len(names) > 1), "s" * (len(names) == 1)
    return f"; the function{several} {listing(map(repr, names))} count{one} as needing all arguments"


def _freeable(lowered: Lowered, roles: PlanRoles, rows: Array) -> str:
    """Something given in these equations, by name; empty where they have none."""
    blocks = np.zeros(len(lowered.rows.names), dtype=bool)
    blocks[_blocks(lowered, rows)[:MOST_READ]] = True
    row, state = lowered.coarse_incidence()
    for block in np.unique(state[blocks[row]]).tolist():
        symbol = lowered.symbols.get(lowered.state.names[block])
        if symbol is not None and roles.has_given(symbol.name):
            return repr(symbol.name)
    return ""


def _blocks(lowered: Lowered, rows: Array) -> list[int]:
    found: list[int] = np.unique(np.searchsorted(lowered.rows.start, rows, side="right") - 1).tolist()
    return found
