"""What a solved point should say of itself: infinite values, constraints and slopes that are no numbers, by name.

Infinite values are values (log 0 = −∞), so nothing is raised for them; NaN of an equation or of the objective raises
DomainError elsewhere, NaN of a constraint is said here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..expression import Array
from ..printing import place
from ..text import listing
from .diagnosis import culprit, domain_message, objective_message
from .plan import BlockStep

if TYPE_CHECKING:
    from .point import Point

MOST = 5
"""So many constraints or slopes are named."""


def notes(at: Point) -> list[str]:
    """One line a finding, most important first; empty for most points."""
    if not at.solved:
        return []
    return [*_infinite_values(at), *_infinite_objective(at), *_constraints(at), *_slopes(at)]


def _infinite_values(at: Point) -> list[str]:
    """Which variables are infinite, and which equation began it."""
    state = at.state[: at._lowered.n_user]
    if not np.isinf(state).any():
        return []
    names = [name for name, value in at.values.items() if np.isinf(value).any()]
    return [f"infinite: {listing(names)}; {_where_it_began(at)}"]


def _where_it_began(at: Point) -> str:
    lowered = at._lowered
    for step in at._plan.steps:
        rows = step.rows[np.isinf(at.state[step.columns if isinstance(step, BlockStep) else step.own])]
        rows = rows[rows < lowered.n_user_rows]
        if len(rows):
            return domain_message(lowered, at.state, int(rows[0]))
    return "a given value is infinite"


def _infinite_objective(at: Point) -> list[str]:
    objective = at._lowered.objective
    if objective is None or not np.isinf(at._objective_value):
        return []
    return [f"infinite: {objective_message(objective, at.values)}"]


def _constraints(at: Point) -> list[str]:
    """Which constraints are NaN or infinite, and why."""
    lowered = at._lowered
    rows = np.zeros(lowered.n_all_rows)
    with np.errstate(all="ignore"):
        at._plan.constraints.values(at.state, rows)
    bodies, found = rows[lowered.objective_row + 1 :], []
    bad = np.flatnonzero(~np.isfinite(bodies)).tolist()
    numbers = list(dict.fromkeys(lowered.constraint_rows.block_of(row) for row in bad))
    for constraint in (lowered.constraints[number] for number in numbers[:MOST]):
        what = "has no value" if np.isnan(lowered.constraint_rows.get(bodies, constraint.name)).any() else "is infinite"
        found.append(f"constraint {constraint.name!r} ({place(constraint.location)}) {what}: "
                     f"{culprit([constraint.body], at.values)}")
    if len(numbers) > MOST:
        found.append(f"{len(numbers) - MOST} more constraints are NaN or infinite")
    return found


def _slopes(at: Point) -> list[str]:
    """Where multipliers and gradient are not numbers: 0·∞ of an infinite slope."""
    lowered = at._lowered
    if not at.has_multipliers:
        return []
    lam, w = at.adjoints
    names = [f"the multiplier of {lowered.rows.element(row)}" for row in _nan(lam[: lowered.n_user_rows])]
    names += [f"the gradient by {lowered.state.element(column)}" for column in _nan(w[: lowered.n_user])
              if not at._plan.unknown[column]]
    if not names:
        return []
    return [f"not a number: {listing(names, MOST)}; a slope is infinite here and meets a 0, or another infinite one"]


def _nan(numbers: Array) -> list[int]:
    found: list[int] = np.flatnonzero(np.isnan(numbers)).tolist()
    return found
