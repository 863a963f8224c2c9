"""Where an optimization begins: declared values and starts, or what was given: a point, a result, values by name.

A point or result of any space starts one in any other: its values, and its multipliers where it has some.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DeclarationError, LagrangeError
from ..expression import Array
from ..program import Declarations, fit, numeric
from ..program.selection import selected
from ..solution import Point
from ..views import View
from .optimum import OptimizeResult
from .prices import Prices, multipliers_for


@dataclass(frozen=True, eq=False)
class Beginning:
    """x (n,) of a view, and multipliers of its rows (m,) and bounds (n,), None where there are none."""

    x: Array
    y: Array | None = None
    z: Array | None = None


def beginning(view: View, program: Declarations, start: Any) -> Beginning:
    """Where a view begins, given what the user gave as ``start``. Raises for names and shapes that are none."""
    if start is None:
        return Beginning(view.x0)
    if isinstance(start, OptimizeResult):
        x = _of_state(view, start.point)
        if start.view.space.own is not view.space.own:
            return Beginning(x)
        try:
            return Beginning(x, *multipliers_for(view, start.prices))
        except LagrangeError:  # a singular point has no multipliers: begin without any
            return Beginning(x)
    if isinstance(start, Point):
        return Beginning(_of_state(view, start), *_adjoints(view, start))
    if isinstance(start, Mapping):
        return Beginning(_named(view, program, start))
    raise DeclarationError(f"start= takes a point, a result, or a dict of inputs and variables, got {start!r:.60}")


def _of_state(view: View, at: Point) -> Array:
    """x of a point of the same program; of one of another version, what it has by name."""
    state, slices = view.declared_state(), view.lowered.state.slices
    state[view.places] = view.x0
    common = [name for name in at.values if name in slices]
    other = [name for name in common if at.values[name].shape != view.lowered.symbols[name].shape]
    if other or (at.values and not common):
        what = f"{other[0]!r} has the shape {at.values[other[0]].shape} there" if other else "no name is in both"
        raise DeclarationError(f"start= is a point of another program than {view.lowered.name!r} ({what}): give a dict "
                               "of values by name")
    for name in common:
        state[slices[name]] = at.values[name].ravel()
    return state[view.places]


def _adjoints(view: View, at: Point) -> tuple[Array | None, Array | None]:
    """The adjoints of a point as multipliers: of kept equations; constraints and bounds have none."""
    own = view.space.own
    if at.plan.lowered is not own or own.objective is None or not at.solved:
        return None, None
    try:
        lam = at.adjoints[0]
    except LagrangeError:  # a singular point has no multipliers: begin without any
        return None, None
    nothing = np.zeros(own.n_user)
    return multipliers_for(view, Prices(lam[: own.n_user_rows], np.zeros(own.constraint_rows.size), nothing, nothing))


def _named(view: View, program: Declarations, start: Mapping[Any, Any]) -> Array:
    state = view.declared_state()
    state[view.places] = view.x0
    for key, value in start.items():
        symbol, places = selected(program, key)
        if symbol.kind == "parameter":
            raise DeclarationError(f"start= is for inputs and variables, {symbol.name!r} is a parameter: set it with "
                                   f"p.set({symbol.name}=...)")
        shape = symbol.shape if places.size == np.prod(symbol.shape, dtype=int) else places.shape
        found = fit(symbol.name, numeric(symbol.name, value, "the start"), shape, "the start")
        state[places.ravel()] = found.ravel()
    return state[view.places]
