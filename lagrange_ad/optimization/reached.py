"""Which bounds and constraints an optimum is at, laid out as the program is, whatever space it was found in.

Takes a result; gives, for every element of the state and of the declared constraints, the side that is reached, with
its bound, value and multiplier in the user's sign. What is reached is what the certificate finds active.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..expression import Array
from ..lowering import Blocks
from ..optimizers.active import EQUAL
from ..text import number
from .prices import Prices

if TYPE_CHECKING:
    from .optimum import OptimizeResult

LOWER, AWAY, UPPER, BOTH = -1, 0, 1, 2
"""The side that is reached; both where they are equal."""
SIGNS = {LOWER: "≥", UPPER: "≤", BOTH: "="}


@dataclass(frozen=True, eq=False)
class Reached:
    """The sides that elements are at (all (n,)), as blocks ``blocks`` lay them out.

    ``side``: LOWER, AWAY, UPPER or BOTH. ``multiplier``: dJ*/d(bound), NaN where there are none.
    """

    blocks: Blocks
    values: Array
    side: Array
    lower: Array
    upper: Array
    multiplier: Array

    def bound(self, i: int) -> str:
        """The bound that an element is at, ``≥ 3.16``; nothing where it is at none."""
        side = int(self.side[i])
        return f"{SIGNS[side]} {number(self.upper[i] if side == UPPER else self.lower[i])}" if side else ""

    def price(self, i: int) -> str:
        """Its multiplier; nothing where it is at no bound, or where there is none."""
        return number(self.multiplier[i]) if self.side[i] and np.isfinite(self.multiplier[i]) else ""


def reached_bounds(r: OptimizeResult, prices: Prices | None) -> Reached:
    """The bounds of inputs and variables, over the program's own state (n_user,)."""
    view, problem, own = r.view, r.view.problem, r.view.space.own
    n_rows, size = view.lowered.constraint_rows.size, view.lowered.state.size
    side, low, high = np.zeros(size, dtype=np.int8), np.full(size, -np.inf), np.full(size, np.inf)
    low[view.places], high[view.places] = problem.lower, problem.upper
    low[view.bounded_places], high[view.bounded_places] = problem.row_lower[n_rows:], problem.row_upper[n_rows:]
    active = r.certificate.active
    if active is not None:
        side[view.places] = np.where(active.bounds == EQUAL, BOTH, active.bound_side)
        side[view.bounded_places] = np.where(active.rows[n_rows:] == EQUAL, BOTH, active.row_side[n_rows:])
    n = own.n_user
    multiplier = np.full(n, np.nan) if prices is None else prices.lower + prices.upper
    return Reached(own.state, r.point.state[:n], side[:n], low[:n], high[:n], multiplier)


def reached_constraints(r: OptimizeResult, prices: Prices | None) -> Reached:
    """The declared constraints, over their own rows."""
    problem, own, first = r.view.problem, r.view.space.own, len(r.view.space.arranged.kept)
    n = own.constraint_rows.size
    here, side, active = slice(first, first + n), np.zeros(n, dtype=np.int8), r.certificate.active
    values = r.certificate.point.values[here] if active is not None else np.full(n, np.nan)
    if active is not None:
        side[:] = np.where(active.rows[here] == EQUAL, BOTH, active.row_side[here])
    multiplier = np.full(n, np.nan) if prices is None else prices.constraints
    return Reached(own.constraint_rows, values, side, problem.row_lower[here], problem.row_upper[here], multiplier)
