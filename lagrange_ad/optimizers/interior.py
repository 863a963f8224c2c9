"""Bounds for Newton's method on the KKT conditions: a logarithmic barrier on v = (x, s), s: inequality rows' values.

Primal–dual: z_lower (v − lower) = μ and z_upper (upper − v) = μ are Newton equations beside the others, and steps stop
short of bounds (A. Wächter and L. Biegler, On the implementation of an interior-point filter line-search algorithm,
2006). Without bounds nothing of this is there, and steps are those of Lagrange and Newton.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .prepared import size_of
from .problem import Array, Problem

AWAY = 1e10
"""z stays within this factor of μ/gap."""


class Walls:
    """The bounds of v = (x, s). ``ranged``: the rows that have an s, because they are no equations."""

    def __init__(self, problem: Problem) -> None:
        self.n = problem.n
        self.ranged = np.flatnonzero(problem.row_lower < problem.row_upper)
        self.lower = np.concatenate([problem.lower, problem.row_lower[self.ranged]])
        self.upper = np.concatenate([problem.upper, problem.row_upper[self.ranged]])
        self.count = int(np.isfinite(self.lower).sum() + np.isfinite(self.upper).sum())

    def push(self, v: Array, part: float) -> Array:
        """v moved inside, by ``part`` of max(1, |bound|) or of the room between bounds."""
        room = np.where(np.isfinite(self.upper - self.lower), self.upper - self.lower, np.inf)
        with np.errstate(invalid="ignore"):
            low = self.lower + np.minimum(part * np.maximum(1.0, np.abs(self.lower)), part * room)
            high = self.upper - np.minimum(part * np.maximum(1.0, np.abs(self.upper)), part * room)
        return np.minimum(np.maximum(v, np.where(np.isfinite(self.lower), low, -np.inf)),
                          np.where(np.isfinite(self.upper), high, np.inf))

    def barrier(self, v: Array, mu: float) -> float:
        """−μ Σ log gaps."""
        gaps = np.concatenate([v - self.lower, self.upper - v])
        return -mu * float(np.log(gaps[np.isfinite(gaps)]).sum())

    def slope(self, v: Array, mu: float) -> Array:
        """Its gradient."""
        return np.asarray(-mu / (v - self.lower) + mu / (self.upper - v))

    def reach(self, v: Array, dv: Array, part: float) -> float:
        """The longest α ≤ 1 with v + α dv going no more than ``part`` of the way to a bound."""
        return min(_longest(v - self.lower, dv, part), _longest(self.upper - v, -dv, part))


@dataclass
class Duals:
    """z_lower and z_upper ≥ 0 of v, 0 where there is no bound."""

    low: Array
    high: Array

    @classmethod
    def at(cls, walls: Walls, v: Array, mu: float) -> Duals:
        """Those of the barrier at v."""
        return cls(mu / (v - walls.lower), mu / (walls.upper - v))

    def raised(self, walls: Walls, net: Array) -> Duals:
        """Not less than multipliers z that somebody knows, of the side that their sign says."""
        return Duals(np.where(np.isfinite(walls.lower), np.maximum(self.low, net), 0.0),
                     np.where(np.isfinite(walls.upper), np.maximum(self.high, -net), 0.0))

    @property
    def net(self) -> Array:
        """z = z_lower − z_upper."""
        return self.low - self.high

    def curvature(self, walls: Walls, v: Array) -> Array:
        """Σ, the diagonal that bounds add to the Hessian of v."""
        return np.asarray(self.low / (v - walls.lower) + self.high / (walls.upper - v))

    def complementarity(self, walls: Walls, v: Array, mu: float) -> float:
        """Largest |z·gap − μ| of a bound."""
        low, high = np.isfinite(walls.lower), np.isfinite(walls.upper)
        return max(size_of(self.low[low] * (v - walls.lower)[low] - mu),
                   size_of(self.high[high] * (walls.upper - v)[high] - mu))

    def moved(self, walls: Walls, v: Array, dv: Array, mu: float, part: float) -> Duals:
        """After Newton's step of v; ``part`` as in :meth:`Walls.reach`."""
        low, high = v - walls.lower, walls.upper - v
        d_low = (mu - self.low * dv) / low - self.low
        d_high = (mu + self.high * dv) / high - self.high
        far = min(_longest(self.low, d_low, part), _longest(self.high, d_high, part))
        return Duals(self.low + far * d_low, self.high + far * d_high)

    def kept_near(self, walls: Walls, v: Array, mu: float) -> Duals:
        """Within the factor AWAY of μ/gap, so that Σ stays the barrier's in size."""
        low, high = mu / (v - walls.lower), mu / (walls.upper - v)
        return Duals(np.clip(self.low, low / AWAY, low * AWAY), np.clip(self.high, high / AWAY, high * AWAY))


def _longest(gap: Array, change: Array, part: float) -> float:
    shrinking = change < 0
    return min(1.0, float(np.min(-part * gap[shrinking] / change[shrinking], initial=np.inf)))
