"""Minimizes a smooth function within bounds of its variables: what methods with penalties do again and again.

Two-metric projection (D. Bertsekas, Projected Newton methods for optimization problems with simple constraints, 1982):
variables held by a bound follow their slope, the others a direction of Newton's kind, and the path is projected.
Directions: L-BFGS on the free variables, or what the function itself offers (Newton steps).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from .prepared import projected, size_of
from .problem import Array

ENOUGH = 1e-4
"""A step is taken where it does this part of what the slope promised."""
SHORTEST = 1e-16
NOISE = 1e-14
"""Differences of values below this part of the value are rounding; then the slope decides."""
IDLE = 30
"""Iterations in which only the slope decided, without its best getting better, that are borne."""
LEAST = -1e15
"""A function below this has no minimum."""


class Value(Protocol):
    """A function at x: its value, NaN where there is none, and its gradient. Immutable."""

    @property
    def x(self) -> Array: ...
    @property
    def value(self) -> float: ...
    @property
    def gradient(self) -> Array: ...


class Outcome(NamedTuple):
    """Where a minimization ended and why: "solved", "stalled", "iterations" or "unbounded"."""

    at: Value
    reason: str
    iterations: int


class Direction(Protocol):
    """Gives a direction over free variables, and learns from steps."""

    def of(self, now: Value, free: Array) -> Array:
        """d (n,), zero where not ``free`` (a mask); to be a direction of descent."""

    def learn(self, before: Value, now: Value) -> None:
        """A step was made."""


@dataclass
class LimitedMemory:
    """L-BFGS: the two-loop recursion over the last ``memory`` steps (J. Nocedal, 1980), on the free variables."""

    memory: int = 10
    pairs: list[tuple[Array, Array]] = field(default_factory=list)

    def learn(self, before: Value, now: Value) -> None:
        """Keep a step and its change of slope."""
        self.pairs = [*self.pairs, (now.x - before.x, now.gradient - before.gradient)][-self.memory :]

    def _length(self) -> float:
        """Of a step where no curvature is known to be positive: 1 at first, then longer and longer."""
        return max(1.0, 10.0 * float(np.linalg.norm(self.pairs[-1][0]))) if self.pairs else 1.0

    def of(self, now: Value, free: Array) -> Array:
        """−B⁻¹∇f over the free variables; pairs without positive curvature there are passed over."""
        q = np.where(free, now.gradient, 0.0)
        used = []
        for s, y in self.pairs:
            s, y = np.where(free, s, 0.0), np.where(free, y, 0.0)
            curvature = float(s @ y)
            if curvature > 1e-10 * float(np.sqrt((s @ s) * (y @ y))):
                used.append((s, y, curvature))
        parts = []
        for s, y, curvature in reversed(used):
            parts.append(float(s @ q) / curvature)
            q = q - parts[-1] * y
        if used:
            s, y, curvature = used[-1]
            q = q * (curvature / float(y @ y))
        else:
            q = q / max(1.0, float(np.linalg.norm(q))) * self._length()
        for (s, y, curvature), part in zip(used, reversed(parts), strict=True):
            q = q + (part - float(y @ q) / curvature) * s
        return -q


def minimize(function: Callable[[Array], Value], x: Array, bounds: tuple[Array, Array], tolerance: float,
             direction: Direction, most: int, watch: Callable[[Value], None], lookback: int = 1) -> Outcome:
    """A point with ‖x − P(x − ∇f)‖∞ ≤ tolerance, from x within bounds. ``watch`` sees every iterate after the first.

    A step need only improve on the worst of the last ``lookback`` values (L. Grippo, F. Lampariello, S. Lucidi, 1986).
    """
    now, done, idle, best = function(x), 0, 0, np.inf
    values = [now.value]
    while (size := size_of(projected(now.x, now.gradient, *bounds))) > tolerance:
        idle, best = (0, size) if size < best else (idle + 1, best)
        if done >= most:
            return Outcome(now, "iterations", done)
        then = _step(function, now, bounds, direction, size, max(values))
        if then is None or (idle > IDLE and not _better(then, max(values))):
            return Outcome(now, "stalled", done)
        if then.value < LEAST:
            return Outcome(then, "unbounded", done)
        direction.learn(now, then)
        now, done, values = then, done + 1, [*values, then.value][-lookback:]
        watch(now)
    return Outcome(now, "solved", done)


def _better(then: Value, before: float) -> bool:
    return then.value < before - NOISE * abs(before)


def _step(function: Callable[[Array], Value], now: Value, bounds: tuple[Array, Array], direction: Direction,
          size: float, reference: float) -> Value | None:
    """A better point along the direction, else along the slope; None where rounding hides both."""
    lower, upper = bounds
    g, near = now.gradient, min(1e-3, size)
    held = ((now.x - lower <= near) & (g > 0)) | ((upper - now.x <= near) & (g < 0))
    d = np.where(held, -g, direction.of(now, ~held))
    if np.isfinite(d).all() and float(d[~held] @ g[~held]) <= 0:
        then = _search(function, now, d, bounds, size, reference)
        if then is not None:
            return then
    return _search(function, now, -g / max(1.0, size_of(g)), bounds, size, reference)


def _search(function: Callable[[Array], Value], now: Value, d: Array, bounds: tuple[Array, Array],
            size: float, reference: float) -> Value | None:
    """Armijo's rule along P(x + t d), t from 1 downwards; where values are rounding, the slope must get smaller."""
    t = 1.0
    while t > SHORTEST:
        x = np.clip(now.x + t * d, *bounds)
        promised = float(now.gradient @ (x - now.x))
        if not (x != now.x).any():
            return None
        then = function(x)
        if _enough(now, then, promised, bounds, size, reference):
            return then
        t *= _shorter(now.value, then.value, promised)
    return None


def _enough(now: Value, then: Value, promised: float, bounds: tuple[Array, Array], size: float,
            reference: float) -> bool:
    if not np.isfinite(then.value) or promised >= 0 or not np.isfinite(then.gradient).all():
        return False
    if then.value <= reference + ENOUGH * promised:
        return True
    noise = NOISE * abs(now.value)
    return (-promised <= 10 * noise and then.value <= now.value + noise
            and size_of(projected(then.x, then.gradient, *bounds)) <= size)


def _shorter(before: float, after: float, promised: float) -> float:
    """The part of t to try next: the minimum of the parabola through both values, between 0.1 and 0.5."""
    if not np.isfinite(after) or after - before - promised <= 0:
        return 0.3
    return float(np.clip(-0.5 * promised / (after - before - promised), 0.1, 0.5))
