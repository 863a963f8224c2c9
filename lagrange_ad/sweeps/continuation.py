"""Following a curve r(y) = 0 of n equations in n + 1 unknowns, round its turning points; arrays only.

    tangent      A t = 0,  A = ∂r/∂y (n, n + 1);        prediction  y + h·t
    correction   r(y) = 0 with y_k held, k the unknown that changes fastest along the tangent

So the parameter is held where the curve goes along it, and another unknown near a turning point, where A without its
column k stays regular while ∂r/∂z is singular. Source: W. Rheinboldt and J. Burkardt, A locally parameterized
continuation process, ACM TOMS 9 (1983).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..expression import Array
from ..solvers.linear import DENSE, Factor, SingularMatrixError, refined

SMALLEST = 1e-5
"""Steps are not made shorter than this part of the longest."""
MOST_CORRECTIONS = 20
CONVERGED = 1e-13
"""The relative error that a correction leaves, judged by how corrections shrink."""
ROUNDING = 1e-14
SHRINKING = 0.1
"""Corrections that do not shrink to this part of the one before ask for new factors, and to SLOWEST mean failure."""
SLOWEST = 0.5
QUICK, SLOW = 0.05, 0.3
"""How much the second correction may be of the first for the step to be made longer, and to stay as it is."""
SHARPEST = 0.5
"""The tangent of size 1 may change by this much in one step."""
STATIONARY = 1e-7
"""At a turning point the parameter's part of the tangent is below this."""
MOST_SEARCHES = 30


class Curve(Protocol):
    """r(y) = 0; the last of the n + 1 unknowns is the parameter. Hidden unknowns follow the others (``settle``)."""

    low: Array
    high: Array

    def settle(self, y: Array) -> Array:
        """y with its hidden unknowns computed from the others."""

    def residual(self, y: Array) -> Array:
        """r (n,), at a settled y."""

    def jacobian(self, y: Array) -> Any:
        """∂r/∂y (n, n + 1), scipy.sparse CSC."""

    def measure(self, slope: Array) -> None:
        """Be told d(unknowns)/d(parameter) where the curve begins, before ``sizes`` is asked for."""

    def sizes(self, y: Array) -> Array:
        """What changes of each unknown are measured by; infinite for hidden ones."""


@dataclass(frozen=True, eq=False)
class Spot:
    """A point of the curve, the tangent there (of size 1, with its direction), and how its corrections shrank at first.

    ``is_turning``: whether the parameter is stationary here.
    """

    y: Array
    t: Array
    shrinking: float
    is_turning: bool = False


class Stuck(Exception):
    """No step of the least length leads on; the text says why the last one failed."""


def trace(curve: Curve, y: Array, direction: float, longest: float, limits: tuple[float, float]) -> Iterator[Spot]:
    """The points of a curve from y on, with its turning points, until the parameter is at a limit; else without end.

    ``direction`` is the sign that the parameter changes with at first, ``longest`` the longest step, relative to the
    sizes of the unknowns. Raises Stuck.
    """
    walk = _Walk(curve)
    spot = walk.first(y, direction)
    yield spot
    if (spot.y[-1] <= limits[0] and spot.t[-1] < 0.0) or (spot.y[-1] >= limits[1] and spot.t[-1] > 0.0):
        return  # it begins at a limit, and goes out
    step = longest / 4.0
    while True:
        spot_after, step = walk.next(spot, step, longest, limits)
        if spot_after.t[-1] * spot.t[-1] < 0.0:
            turning = walk.turning(spot, spot_after)
            if turning is not None:
                yield turning
        spot = spot_after
        yield spot
        if spot.y[-1] in limits:
            return


class _Walk:
    def __init__(self, curve: Curve) -> None:
        self.curve = curve

    def first(self, y: Array, direction: float) -> Spot:
        """The point where the curve begins, with its tangent."""
        y = self.curve.settle(y)
        matrix = self.curve.jacobian(y)
        last = matrix.shape[1] - 1
        try:
            square = _without(matrix, last)
            t = _null(Factor(square), square, matrix, last)
        except SingularMatrixError as error:
            raise Stuck(f"{error} at the first point: begin away from turning points") from None
        self.curve.measure(t)
        return Spot(y, np.sign(direction) * t / self._size(y, t), 0.0)

    def next(self, spot: Spot, step: float, longest: float, limits: tuple[float, float]) -> tuple[Spot, float]:
        """The next point, and the step to try after it."""
        why = ""
        while step >= SMALLEST * longest:
            landed = self._cut(spot, step, limits)
            found = self._corrected(spot, *landed)
            if isinstance(found, Spot):
                bend = self._size(found.y, found.t - spot.t)
                if bend <= SHARPEST:
                    quick = found.shrinking <= QUICK and bend <= 0.5 * SHARPEST
                    slow = found.shrinking > SLOW or bend > 0.8 * SHARPEST
                    return found, min(step * (1.5 if quick else 0.7 if slow else 1.0), longest)
                found = "the curve bends too sharply"
            why = found
            step /= 2.0
        raise Stuck(why)

    def _cut(self, spot: Spot, step: float, limits: tuple[float, float]) -> tuple[Array, int]:
        """The prediction, cut where the parameter meets a limit, and the unknown to be held."""
        ahead, here, slope = spot.y + step * spot.t, spot.y[-1], spot.t[-1]
        for limit in limits:
            if np.isfinite(limit) and (limit - here) * (limit - ahead[-1]) <= 0.0 and limit != here:
                part = (limit - here) / slope
                ahead = spot.y + part * spot.t
                ahead[-1] = limit
                return ahead, len(ahead) - 1
        return ahead, self._fastest(spot)

    def _fastest(self, spot: Spot) -> int:
        return int(np.argmax(np.abs(spot.t) / self.curve.sizes(spot.y)))

    def _size(self, y: Array, change: Array) -> float:
        """The largest change relative to the sizes of the unknowns."""
        return float(np.max(np.abs(change) / self.curve.sizes(y)))

    def _corrected(self, spot: Spot, y: Array, held: int) -> Spot | str:
        """The point of the curve with one unknown held, by Newton's method; or why there is none.

        Factors serve as long as corrections shrink with them.
        """
        factor: Factor | None = None
        before, first = np.inf, 0.0
        for count in range(MOST_CORRECTIONS):
            if ((y <= self.curve.low) | (y >= self.curve.high)).any():
                return "an unknown leaves its domain"
            y = self.curve.settle(y)
            r = self.curve.residual(y)
            if not np.isfinite(r).all():
                return "an equation has no value"
            try:
                factor = Factor(_without(self.curve.jacobian(y), held)) if factor is None else factor
            except SingularMatrixError as error:
                return str(error)
            correction = _with(-factor.solve(r), held, 0.0)
            size = self._size(y, correction)
            shrunk = size / before
            first = shrunk if count == 1 else first
            if not np.isfinite(size) or (shrunk > SLOWEST and size > ROUNDING * 100):
                return "the corrections do not become smaller"
            y = y + correction
            if size * min(shrunk, 1.0) <= CONVERGED and (count or size <= ROUNDING):
                return self._spot(spot, self.curve.settle(y), held, factor, first)
            factor, before = (None if count and shrunk > SHRINKING else factor), size
        return f"{MOST_CORRECTIONS} corrections were not enough"

    def _spot(self, spot: Spot, y: Array, held: int, factor: Factor, shrinking: float) -> Spot | str:
        """A point of the curve with its tangent, by factors of a matrix nearby."""
        matrix = self.curve.jacobian(y)
        try:
            t = _null(factor, _without(matrix, held), matrix, held)
        except SingularMatrixError as error:
            return str(error)
        t /= self._size(y, t)
        return Spot(y, t if self._agree(t, spot) else -t, shrinking)

    def _agree(self, t: Array, spot: Spot) -> bool:
        sizes = self.curve.sizes(spot.y)
        return float((t / sizes) @ (spot.t / sizes)) >= 0.0

    def turning(self, before: Spot, after: Spot) -> Spot | None:
        """The point between two where the parameter is stationary: a root of its part of the tangent (false position).

        The unknown that changes fastest leads from the one to the other.
        """
        held = int(np.argmax(np.abs(after.y - before.y)[:-1] / self.curve.sizes(after.y)[:-1]))
        ends = [(0.0, before.t[-1]), (1.0, after.t[-1])]
        best: Spot | None = None
        scale = float(self.curve.sizes(after.y)[-1])
        for _ in range(MOST_SEARCHES):
            (a, fa), (b, fb) = ends
            part = a - fa * (b - a) / (fb - fa)
            y = before.y + part * (after.y - before.y)
            found = self._corrected(before, y, held)
            if isinstance(found, str):
                return None if best is None else best
            slope = float(found.t[-1])
            best = Spot(found.y, found.t, found.shrinking, is_turning=True)
            if abs(slope) <= STATIONARY * scale:
                break
            side = 0 if slope * fa > 0.0 else 1
            other = ends[1 - side]
            ends[side] = (part, slope)
            ends[1 - side] = (other[0], 0.5 * other[1])  # Illinois: the end that stays counts half
        return best


def _without(matrix: Any, held: int) -> Any:
    """The matrix with the last column in place of one, so that what pattern it has stays where it is."""
    n = matrix.shape[0]
    if n <= DENSE:
        dense = matrix.toarray()
        dense[:, held] = dense[:, n]
        return dense[:, :n]
    kept = np.arange(n)
    kept[held:][:1] = n
    return matrix[:, kept]


def _with(d: Array, held: int, value: float) -> Array:
    """The change of all unknowns: of those of the square matrix, and of the one that is held."""
    whole = np.append(d, value)
    whole[[held, -1]] = whole[[-1, held]]
    return whole


def _null(factor: Factor, square: Any, matrix: Any, held: int) -> Array:
    """t with A t = 0 and t[held] = 1, by factors of a square matrix near to the one without that column."""
    column = -matrix[:, [held]].toarray().ravel()
    found = refined(factor, square, column, transposed=False)
    return _with(Factor(square).solve(column) if found is None else found, held, 1.0)
