"""Which variables a view eliminates and which it keeps, and the plan that solves the eliminated ones at every point.

    reduced   every determined variable is eliminated: its equation is solved at each x
    full      every variable is kept: its equation is a constraint
    a mix     the variables that are named are eliminated

Variables that no equation determines are decisions in every space: a maximum matching tells which they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import DeclarationError, StructureError
from ..execution import Executor, executor_named
from ..expression import Array
from ..lowering import Lowered, Rearranged, lower, rearranged
from ..program import Declarations
from ..program.choices import SolverChoice
from ..program.selection import selected
from ..solution import Plan, plan_of
from ..solution.evaluation import declared_starts
from ..solution.plan import make_plan
from ..solution.roles import all_unknown
from ..structure import maximum_matching
from ..structure.blocks import compress
from ..text import listing


@dataclass(frozen=True, eq=False)
class Space:
    """A choice of what is eliminated: the plan of it, and where its rows were in ``own``, the program's lowered one.

    ``x`` are the state elements of the view's variables: the inputs that are given, and the variables that are kept or
    that nothing determines. ``unknown``: which of the user's elements equations may determine. ``name``: "reduced",
    "full" or "mixed".
    """

    plan: Plan
    own: Lowered
    unknown: Array
    arranged: Rearranged
    x: Array
    name: str

    @cached_property
    def coordinates(self) -> Array:
        """Which of x are kept unknowns of equations, and no decisions: what a maximum matching pairs with a row."""
        determined = np.zeros(self.own.n_user, dtype=bool)
        determined[_matched(self.own, self.unknown, _explicit(self.own, self.unknown))[1]] = True
        return determined[self.x]

    @cached_property
    def chosen(self) -> Array:
        """Which of the user's elements (n_user,) an optimizer chooses: inputs that are given, and decisions, variables
        that no equation determines."""
        found = np.zeros(self.own.n_user, dtype=bool)
        found[self.x if self.name == "reduced" else self.x[~self.coordinates]] = True
        return found


def space_of(program: Declarations, eliminate: Any) -> Space:
    """The space of a program: ``eliminate`` is "all", "none", or names and symbols of variables.

    Raises StructureError where equations cannot determine what is named, DeclarationError and UnknownNameError for
    names that are no variables.
    """
    lowered = program.remembered("lowered", program.version, lambda: lower(program))
    unknown = program.unknown_elements()
    whole = isinstance(eliminate, str) and eliminate == "all"
    if whole and lowered.n_user_rows == np.count_nonzero(unknown):
        try:
            plan = plan_of(program)
        except StructureError:
            pass  # the matching below tells which variables are decisions
        else:
            same = rearranged(lowered, np.ones(lowered.n_user_rows, dtype=bool))
            return Space(plan, lowered, unknown, same, np.flatnonzero(_inputs(lowered, unknown)), "reduced")
    rows = columns = np.empty(0, np.int64)
    if not (isinstance(eliminate, str) and eliminate == "none"):
        chosen = unknown if whole else _named(program, lowered, unknown, eliminate)
        rows, columns = _determined(lowered, chosen, whole)
    name = "reduced" if whole else "mixed" if len(rows) else "full"
    return _arrange(lowered, unknown, rows, columns, executor_named(program.executor), program.solver_choices, name)


def everything_solved(space: Space) -> Space:
    """The reduced space of the same program: all that equations determine is solved."""
    rows, columns = _determined(space.own, space.unknown, whole=True)
    return _arrange(space.own, space.unknown, rows, columns, space.plan.executor, space.plan.choices, "reduced")


def solved_for(space: Space, chosen: Array) -> Space:
    """A space in which what equations determine of some elements (flags of the user's) is solved."""
    rows, columns = _determined(space.own, chosen, whole=True)
    return _arrange(space.own, space.unknown, rows, columns, space.plan.executor, space.plan.choices, "mixed")


def _arrange(lowered: Lowered, unknown: Array, rows: Array, columns: Array, executor: Executor,
             choices: Sequence[SolverChoice], name: str) -> Space:
    """The space in which some rows are solved for some elements of the state."""
    solved, eliminated = _flags(rows, lowered.n_user_rows), _flags(columns, lowered.n_user)
    arranged, found = rearranged(lowered, solved), all_unknown(lowered, eliminated)
    plan = make_plan(arranged.lowered, found, declared_starts(arranged.lowered, found), executor, choices)
    x = np.flatnonzero((unknown & ~eliminated) | _inputs(lowered, unknown))
    return Space(plan, lowered, unknown, arranged, x, name)


def _inputs(lowered: Lowered, unknown: Array) -> Array:
    """Flags of the elements of inputs that are given."""
    is_input = lowered.state.flags([s.kind == "input" for s in lowered.symbols.values()]
                                   + [False] * (len(lowered.state.names) - len(lowered.symbols)))
    return np.asarray(is_input[: lowered.n_user] & ~unknown)


def _flags(places: Array, size: int) -> Array:
    found = np.zeros(size, dtype=bool)
    found[places] = True
    return found


def _named(program: Declarations, lowered: Lowered, unknown: Array, eliminate: Any) -> Array:
    """Flags of the elements that are named. Raises where one is given, or unknown to the program."""
    several = isinstance(eliminate, list | tuple | set | frozenset)
    flags = np.zeros(lowered.n_user, dtype=bool)
    for key in eliminate if several else [eliminate]:
        symbol, places = selected(program, key)
        if places.size == np.prod(symbol.shape, dtype=int) and unknown[places].any():
            places = places[unknown[places]]  # of a whole array, what is not fixed
        if not unknown[places].all():
            raise DeclarationError(
                f"eliminate: {symbol.name!r} is one of the {symbol.kind}s and given, only variables can be eliminated; "
                f"the variables are {listing(s.name for s in program.symbols.values() if program.is_found(s))}")
        flags[places] = True
    return flags


def _explicit(lowered: Lowered, chosen: Array) -> Array:
    """The user's rows that have a chosen element alone on their left."""
    own = lowered.own[: lowered.n_user_rows]
    rows = np.flatnonzero(own >= 0)
    return rows[chosen[own[rows]]]


def _determined(lowered: Lowered, chosen: Array, whole: bool) -> tuple[Array, Array]:
    """Rows, and the elements among the chosen ones that they determine together; explicit rows determine their own.

    Raises StructureError where one of the chosen is determined by no equation, unless all were chosen.
    """
    explicit = _explicit(lowered, chosen)
    if len(explicit) == np.count_nonzero(chosen):
        return explicit, lowered.own[explicit]
    rows, columns = _matched(lowered, chosen, explicit)
    missing = chosen.copy()
    missing[columns] = False
    if missing.any() and not whole:
        names = [lowered.state.element(i) for i in np.flatnonzero(missing).tolist()]
        raise StructureError(
            f"eliminate: no equation is left to determine {listing(names)}: with what else is eliminated, there are "
            f"fewer equations than variables; leave {'it' if len(names) == 1 else 'some of them'} out of eliminate=")
    return rows, columns


def _matched(lowered: Lowered, chosen: Array, explicit: Array) -> tuple[Array, Array]:
    """The user's rows and the chosen elements that a maximum matching pairs, some by way of auxiliaries.

    It begins with the explicit rows and their own elements; those whose own element is not chosen come last.
    """
    row, element = lowered.incidence(np.arange(len(lowered.rows.names)))
    own = np.flatnonzero(lowered.own >= 0)
    row, element = np.concatenate([row, own]), np.concatenate([element, lowered.own[own]])
    may = np.concatenate([chosen, np.ones(lowered.state.size - lowered.n_user, dtype=bool)])
    of_others = np.zeros(lowered.n_rows, dtype=bool)
    of_others[own] = ~may[lowered.own[own]]
    pairs = np.full(lowered.n_rows, -1, dtype=np.int64)
    pairs[explicit] = lowered.own[explicit]
    pairs[lowered.n_user_rows :] = lowered.own[lowered.n_user_rows :]
    for kept in (may[element] & ~of_others[row], may[element]):
        indptr, indices = compress(lowered.n_rows, lowered.state.size, row[kept], element[kept])
        found = maximum_matching(indptr, indices, lowered.state.size, pairs)
        pairs = found.column_of_row
    return (np.flatnonzero(pairs[: lowered.n_user_rows] >= 0),
            np.flatnonzero(found.row_of_column[: lowered.n_user] >= 0))
