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
    own, arranged, lowered = view.space.own, view.space.arranged, view.lowered
    n_rows, first = lowered.constraint_rows.size, lowered.objective_row + 1
    seeds, on_state = np.zeros(lowered.n_all_rows), np.zeros(lowered.state.size)
    seeds[lowered.objective_row] = 1.0
    seeds[first:] = -view.sign * y[:n_rows]
    on_state[view.bounded_places] = -view.sign * y[n_rows:]
    lam = seeds.copy()
    if view.plan.unknown.any():
        lam[: lowered.n_rows] = point.back_substitute(seeds, on_state)[0][: lowered.n_rows]
    constraints = -seeds[first + len(arranged.kept) :]
    of_bounds = np.zeros(lowered.state.size)
    of_bounds[view.places] = z
    of_bounds[view.bounded_places] = y[n_rows:]
    found = Prices(
        equations=lam[arranged.row[: own.n_user_rows]] + 0.0,  # no −0
        constraints=constraints + 0.0,
        lower=view.sign * np.maximum(of_bounds, 0.0)[: own.n_user] + 0.0,
        upper=view.sign * np.minimum(of_bounds, 0.0)[: own.n_user] + 0.0,
    )
    for part in (found.equations, found.constraints, found.lower, found.upper):
        part.flags.writeable = False
    return found


def multipliers_for(view: View, found: Prices) -> tuple[Array, Array]:
    """(y (m,), z (n,)) of a view's rows and bounds from multipliers of everything: a start from another space."""
    lowered, arranged = view.lowered, view.space.arranged
    of_bounds = view.sign * (found.lower + found.upper)
    y = np.concatenate([-view.sign * found.equations[arranged.kept], view.sign * found.constraints,
                        of_bounds[view.bounded_places]])
    assert len(y) == lowered.constraint_rows.size + len(view.bounded_places)
    return y, of_bounds[view.places]
