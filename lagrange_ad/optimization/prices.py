"""Multipliers of everything at an optimum, in the user's names and sign: what every right side is worth.

Takes a view and what an optimizer answered (x, multipliers y of rows, z of bounds, its sign); gives λ of all equations
and constraints and the multipliers of bounds, laid out as the program is.

    λ_i = dJ*/dε_i    y_i = df*/d(bound of row i), f = sign·J

A kept equation r = 0 perturbed is r = −ε, so λ = −sign·y; a constraint has sign·y. An eliminated equation has the λ of
one back-substitution through L = J − Σ sign·y·c, the multipliers of constraints and bounds being its seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..expression import Array
from ..solution import Point
from ..views import View


@dataclass(frozen=True, eq=False)
class Prices:
    """``equations`` (n_user_rows,), ``constraints`` (constraint rows,), ``lower`` and ``upper`` (state,): dJ*/d each.

    All flat, as the program's own lowered form lays them out.
    """

    equations: Array
    constraints: Array
    lower: Array
    upper: Array


def prices(view: View, point: Point, y: Array, z: Array) -> Prices:
    """The multipliers of everything at a point of the view, given those of the view's rows (m,) and bounds (n,).

    Raises SingularError where eliminated equations have no multipliers.
    """
    own, lowered = view.space.own, view.lowered
    equations, constraints = by_user(view, multipliers_of_rows(view, point, 1.0, y))
    of_bounds = np.zeros(lowered.state.size)
    of_bounds[view.places] = z
    of_bounds[view.bounded_places] = y[lowered.constraint_rows.size :]
    found = Prices(
        equations=equations + 0.0,  # no −0
        constraints=constraints + 0.0,
        lower=view.sign * np.maximum(of_bounds, 0.0)[: own.n_user] + 0.0,
        upper=view.sign * np.minimum(of_bounds, 0.0)[: own.n_user] + 0.0,
    )
    for part in (found.equations, found.constraints, found.lower, found.upper):
        part.flags.writeable = False
    return found


def multipliers_of_rows(view: View, point: Point, goal: float, y: Array, of_state: Array | None = None) -> Array:
    """λ of all rows of the view's own lowered form (rows,) in L = goal·J − Σ sign·y·c − Σ λ r, stationary in what the
    view eliminates; ``of_state`` (state,) is added to ∂L/∂z. y and ``of_state`` may have a second axis.

    Raises SingularError where eliminated equations have no multipliers.
    """
    lowered, n_rows = view.lowered, view.lowered.constraint_rows.size
    lam = np.zeros((lowered.n_all_rows, *y.shape[1:]))
    lam[lowered.objective_row] = goal
    lam[lowered.first_constraint_row :] = -view.sign * y[:n_rows]
    if view.plan.unknown.any():
        seeds = np.zeros((lowered.state.size, *y.shape[1:])) if of_state is None else of_state.copy()
        seeds[view.bounded_places] -= view.sign * y[n_rows:]
        lam[: lowered.n_rows] = point.back_substitute(lam, seeds)[0][: lowered.n_rows]
    return lam


def by_user(view: View, lam: Array) -> tuple[Array, Array]:
    """λ of the user's equations and of the constraints, in the user's sign, from those of the view's rows."""
    arranged, lowered = view.space.arranged, view.lowered
    return (lam[arranged.row[: view.space.own.n_user_rows]],
            -lam[lowered.first_constraint_row + len(arranged.kept) :])


def multipliers_for(view: View, found: Prices) -> tuple[Array, Array]:
    """(y (m,), z (n,)) of a view's rows and bounds from multipliers of everything: a start from another space."""
    lowered, arranged = view.lowered, view.space.arranged
    of_bounds = view.sign * (found.lower + found.upper)
    y = np.concatenate([-view.sign * found.equations[arranged.kept], view.sign * found.constraints,
                        of_bounds[view.bounded_places]])
    assert len(y) == lowered.constraint_rows.size + len(view.bounded_places)
    return y, of_bounds[view.places]
