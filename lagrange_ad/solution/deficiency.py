"""Equations that cannot determine the variables, whatever the numbers: which are too many, which are missing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..errors import StructureError
from ..expression import Array
from ..lowering import Lowered
from ..printing import place
from ..structure import Deficiency
from ..text import listing
from .roles import PlanRoles


def structure_error(lowered: Lowered, roles: PlanRoles, deficiency: Deficiency) -> StructureError:
    """Which equations over-determine and which variables are free, in the user's words."""
    parts = deficiency.parts
    lines = [f"the equations of {lowered.name!r} cannot determine its variables:"]
    n_rows = lowered.n_user_rows
    n_unknowns = deficiency.n_unknowns - (lowered.n_rows - n_rows)
    if n_rows != n_unknowns:
        lines[0] = (
            f"{lowered.name!r} has {n_rows} scalar equation{'s' * (n_rows != 1)} for {n_unknowns} "
            f"variable element{'s' * (n_unknowns != 1)}:"
        )
    if len(parts.over_rows):
        equations = listing(_located(lowered, parts.over_rows))
        unknowns = listing(_user_elements(lowered, parts.over_columns)) or "no variable"
        lines.append(f"  too many equations: {equations} for {unknowns}")
        lines.append("  remove one of them, or declare as a variable what one of them should determine")
    if len(parts.under_columns):
        unknowns = listing(_user_elements(lowered, parts.under_columns))
        rows = [row for row in parts.under_rows.tolist() if row < n_rows]
        having = listing(_located(lowered, np.array(rows, dtype=np.int64)))
        verb = "are" if len(parts.under_columns) > 1 else "is"
        found = f"left free by {having}" if having else "in no equation"
        lines.append(f"  too few equations: {unknowns} {verb} {found}")
        lines.append("  add an equation, or declare what is given as an input or a parameter")
    return StructureError("\n".join([*lines, *_swapped(lowered, roles)]))


def _swapped(lowered: Lowered, roles: PlanRoles) -> Iterator[str]:
    """What was fixed and freed, and how many elements of each: they must be equally many."""
    sides = zip(("fixed", "freed"), roles.changed_elements(), strict=True)
    said = [f"{word}: {listing(map(lowered.state.element, elements))}" for word, elements in sides if elements]
    if said:
        yield f"  {'; '.join(said)}"
        fixed, freed = map(len, roles.changed_elements())
        if fixed != freed:
            yield (f"  {fixed} element{'s' * (fixed != 1)} fixed and {freed} freed: where there were enough equations, "
                   f"{abs(fixed - freed)} more must be {'freed' if fixed > freed else 'fixed'}")
        else:
            yield "  what is freed must be what the equations left over by the fixed elements can determine"


def _located(lowered: Lowered, rows: Array) -> list[str]:
    blocks: dict[int, str] = {}
    for row in rows[rows < lowered.n_user_rows].tolist():
        block = lowered.rows.block_of(row)
        equation = lowered.equations[block]
        blocks.setdefault(block, f"{equation.name!r} ({place(equation.location)})")
    return list(blocks.values())


def _user_elements(lowered: Lowered, columns: Array) -> list[str]:
    """Variable elements by name, the first few with where they were declared."""
    elements = []
    for column in columns[columns < lowered.n_user].tolist():
        symbol = lowered.symbols[lowered.state.names[lowered.state.block_of(column)]]
        elements.append(f"{lowered.state.element(column)!r} ({place(symbol.location)})")
    return elements
