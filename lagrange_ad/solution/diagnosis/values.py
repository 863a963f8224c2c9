"""What a solved point should say of itself: infinite values, constraints and slopes that are no numbers, multipliers
that are huge.

Infinite values are values (log 0 = −∞), so nothing is raised for them; NaN of an equation or of the objective raises
DomainError elsewhere, NaN of a constraint is said here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ...expression import Array
from ...printing import place
from ...text import listing
from ..steps import BlockStep
from ..trust import ROUNDING, block_rows
from .culprit import GUARD, culprit, domain_message, objective_finding, objective_message
from .finding import MOST_NAMES, Finding
from .names import equation_names

if TYPE_CHECKING:
    from ..point import Point

MOST = 5
"""So many constraints or slopes are named."""
HUGE = 1e10
"""A relative change of a right side that changes the objective this many times as much says: nearly singular."""


def value_findings(at: Point) -> list[Finding]:
    """What is not finite at a solved point, most important first; none for most points."""
    if not at.solved:
        return []
    return [*_infinite_values(at), *_infinite_objective(at), *_constraints(at), *_slopes(at)]


def objective_findings(at: Point) -> Iterator[Finding]:
    """Whether the objective of a solved point has no value."""
    objective = at._lowered.objective
    if objective is not None and np.isnan(at._objective_value):
        yield objective_finding(objective, at.values)


def _infinite_values(at: Point) -> Iterator[Finding]:
    """Which variables are infinite, and which equation began it."""
    state = at.state[: at._lowered.n_user]
    if not np.isinf(state).any():
        return
    names = [name for name, value in at.values.items() if np.isinf(value).any()]
    equations, began = _where_it_began(at)
    yield Finding("infinite", "warning", f"infinite: {listing(names)}; {began}", equations, names[:MOST_NAMES],
                  {"elements": int(np.isinf(state).sum())}, GUARD)


def _where_it_began(at: Point) -> tuple[tuple[str, ...], str]:
    lowered = at._lowered
    for step in at._plan.steps:
        if isinstance(step, BlockStep):
            rows = step.user_rows[np.isinf(at.state[step.user_columns])]
        else:
            rows = step.rows[np.isinf(at.state[step.own])]
        rows = rows[rows < lowered.n_user_rows]
        if len(rows):
            return equation_names(lowered, rows), domain_message(lowered, at.state, int(rows[0]))
    return (), "a given value is infinite"


def _infinite_objective(at: Point) -> Iterator[Finding]:
    objective = at._lowered.objective
    if objective is not None and np.isinf(at._objective_value):
        yield Finding("infinite", "warning", f"infinite: {objective_message(objective, at.values)}",
                      advice="guard what it is made of with np.where or np.maximum, or change the inputs")


def _constraints(at: Point) -> list[Finding]:
    """Which constraints are NaN or infinite, and why."""
    lowered = at._lowered
    rows = np.zeros(lowered.n_all_rows)
    with np.errstate(all="ignore"):
        at._plan.constraints.values(at.state, rows)
    bodies, found = rows[lowered.first_constraint_row :], []
    bad = np.flatnonzero(~np.isfinite(bodies)).tolist()
    numbers = list(dict.fromkeys(lowered.constraint_rows.block_of(row) for row in bad))
    for constraint in (lowered.constraints[number] for number in numbers[:MOST]):
        what = "has no value" if np.isnan(lowered.constraint_rows.get(bodies, constraint.name)).any() else "is infinite"
        found.append(Finding(
            "constraint", "warning", f"constraint {constraint.name!r} ({place(constraint.location)}) {what}: "
            f"{culprit([constraint.body], at.values)}", (constraint.name,), advice=GUARD))
    if len(numbers) > MOST:
        rest = [lowered.constraints[number].name for number in numbers[MOST:]]
        found.append(Finding("constraint", "warning", f"{len(rest)} more constraints are NaN or infinite",
                             rest[:MOST_NAMES], numbers={"constraints": len(rest)}, advice=GUARD))
    return found


def _slopes(at: Point) -> Iterator[Finding]:
    """Where multipliers and gradient are not numbers: 0·∞ of an infinite slope."""
    lowered = at._lowered
    if not at.has_multipliers:
        return
    lam, w = at.adjoints
    equations = [lowered.rows.element(row) for row in _nan(lam[: lowered.n_user_rows])]
    variables = [lowered.state.element(column) for column in _nan(w[: lowered.n_user])
                 if not at._plan.unknown[column]]
    names = [*(f"the multiplier of {name}" for name in equations), *(f"the gradient by {name}" for name in variables)]
    if names:
        yield Finding(
            "slope", "warning",
            f"not a number: {listing(names, MOST)}; a slope is infinite here and meets a 0, or another infinite one",
            equations[:MOST_NAMES], variables[:MOST_NAMES], {"slopes": len(names)},
            "a point a little further from the edge of the function (sqrt at 0, log at 0) has finite slopes",
        )


def _nan(numbers: Array) -> list[int]:
    found: list[int] = np.flatnonzero(np.isnan(numbers)).tolist()
    return found


def multiplier_findings(at: Point) -> Iterator[Finding]:
    """Multipliers of blocks that are huge: a right side changed by a part of its size changes the objective wildly."""
    lowered = at._lowered
    if not at.has_multipliers:
        return
    rows, lam = block_rows(at.plan), at.adjoints[0]
    with np.errstate(all="ignore"):
        effect = at._effect.margin[rows] / ROUNDING / _size_of_objective(at)
    huge = np.flatnonzero(effect > HUGE)
    if not len(huge):
        return
    huge = huge[np.argsort(-effect[huge], kind="stable")]
    rows, effect = rows[huge], effect[huge]
    yield Finding(
        "multiplier", "warning",
        f"the multiplier of {lowered.row_name(int(rows[0]))!r} is huge: {lam[rows[0]]:.3g}; a change of its right side "
        f"by the part 1e-12 of its size changes the objective by the part {1e-12 * effect[0]:.1g}"
        + (f" ({len(rows)} equations of cycles are like it)" if len(rows) > 1 else ""),
        equation_names(lowered, rows), (),
        {"multipliers": lam[rows[:MOST_NAMES]], "effects": effect[:MOST_NAMES], "equations": len(rows)},
        "the cycle is nearly singular here, and gradients through it have few good digits: look for a turning point, a "
        "double root, or two equations that almost say the same",
    )


def _size_of_objective(at: Point) -> float:
    """|J|, or what it is a difference of: Σ |∂J/∂z_j·z_j|."""
    lowered = at._lowered
    lam, w = np.zeros(lowered.n_all_rows), np.zeros(len(at.state))
    lam[lowered.objective_row] = 1.0
    with np.errstate(all="ignore"):
        at._plan.objective.adjoint(at.state, lam, w)
        terms = float(np.abs(w * at.state).sum())
    return max(abs(at.objective), terms if np.isfinite(terms) else 0.0, float(np.finfo(float).tiny))
