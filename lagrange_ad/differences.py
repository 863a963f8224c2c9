"""Numerical derivatives of a user's function of several arrays, for want of exact ones: to compute with.

``values`` takes a sequence of float64 arrays and gives one; a direction is an array beside each of them. Steps are
relative to the size of each element, rounded to numbers that add exactly. (To check derivatives there are slopes with
an error estimate of their own, in ``testing/slopes.py``.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Shape = tuple[int, ...]
Values = Callable[[Sequence[Array]], Array]

COMPLEX_STEP = 1e-30
"""f'(x) = Im f(x + ih)/h, to rounding for any h this small (Squire and Trapp, 1998)."""
DIFFERENCE = float(np.cbrt(np.finfo(float).eps))
"""Relative step of central differences, (f(x + h) − f(x − h))/2h: truncation h², rounding ε/h."""


def directions(args: Sequence[Array]) -> Iterator[list[Array]]:
    """The unit vectors of all elements of all arguments."""
    for i, x in enumerate(args):
        for j in range(x.size):
            unit = np.zeros(x.size)
            unit[j] = 1.0
            yield [unit.reshape(x.shape) if k == i else np.zeros(y.shape) for k, y in enumerate(args)]


def everywhere(args: Sequence[Array], i: int) -> list[Array]:
    """The direction that moves every element of argument i: elementwise functions take all in one step."""
    return [np.full(x.shape, float(k == i)) for k, x in enumerate(args)]


def _steps(args: Sequence[Array], direction: Sequence[Array], relative: float) -> list[Array]:
    """How far a difference goes along a direction: ``relative`` to the size of each element, in numbers that add."""
    steps = []
    for x, d in zip(args, direction, strict=True):
        there = x + relative * np.maximum(np.abs(x), 1.0) * d
        steps.append(there - x)
    return steps


def difference(values: Values, args: Sequence[Array], direction: Sequence[Array]) -> Array:
    """(f(x + h) − f(x − h))/2h; one-sided where the other side has no value."""
    steps = _steps(args, direction, DIFFERENCE)
    above = values([x + h for x, h in zip(args, steps, strict=True)])
    below = values([x - h for x, h in zip(args, steps, strict=True)])
    length = _length(steps, direction, above.shape)
    with np.errstate(all="ignore"):
        central = (above - below) / (2.0 * length)
        bad = ~np.isfinite(central)
        if not bad.any():
            return central
        here = values(args)
        one_sided = np.where(np.isfinite(above), above - here, here - below) / length
    return np.where(bad, one_sided, central)


def second_difference(values: Values, args: Sequence[Array], first: Sequence[Array],
                       second: Sequence[Array]) -> Array:
    """∂²f along two directions: (f(++) − f(+−) − f(−+) + f(−−))/4hk."""
    relative = float(np.finfo(float).eps ** 0.25)
    h, k = _steps(args, first, relative), _steps(args, second, relative)

    def at(a: float, b: float) -> Array:
        return values([x + a * dx + b * dy for x, dx, dy in zip(args, h, k, strict=True)])

    total = at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)
    shape = total.shape
    return np.asarray(total / (4.0 * _length(h, first, shape) * _length(k, second, shape)))


def _length(steps: Sequence[Array], direction: Sequence[Array], shape: Shape) -> Array:
    """The length of a step along its direction: a number, or one an element where all of an argument move."""
    moved = [(h, d) for h, d in zip(steps, direction, strict=True) if d.any()]
    (h, d), = moved
    if np.count_nonzero(d) == 1:
        return np.asarray(h[d != 0][0])
    return np.broadcast_to(h, shape)
