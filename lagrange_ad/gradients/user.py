"""Partial derivatives of user functions as user functions of the same arguments, so that they stand in expressions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..expression import Array, Shape
from ..external import External


def derivative_of(function: External, index: int, shapes: Sequence[Shape]) -> External:
    """∂f/∂(argument ``index``) as a user function of the same arguments; of shape f.shape + argument's shape.

    The same one whenever it is asked for, so that its calls share a kernel and what they remember.
    """
    key = index, () if function.elementwise else tuple(shapes)
    known = function.derivatives.get(key)
    return known if known is not None else function.derivatives.setdefault(key, _made(function, index, tuple(shapes)))


def _made(function: External, index: int, shapes: tuple[Shape, ...]) -> External:
    made = _Partial(function, index, shapes)
    name = f"{function.name}_{index + 1}"
    if function.elementwise:
        return External(made.slope, made.second_slopes, elementwise=True, name=name, domain=function.domain)
    return External(made.value, made.jacobian, shape=function.shape + shapes[index], name=name, domain=function.domain)


@dataclass(frozen=True)
class _Partial:
    """Numbers of one partial derivative of a user function, and of its derivatives."""

    function: External
    index: int
    shapes: tuple[Shape, ...]

    def slope(self, *args: Any) -> Array:
        """∂f/∂x, element by element."""
        return self.function.slopes(_arrays(args))[self.index]

    def second_slopes(self, *args: Any) -> tuple[Array, ...]:
        """∂²f/∂x∂(every argument)."""
        second = self.function.second_slopes(_arrays(args))
        return tuple(second[max(self.index, j)][min(self.index, j)] for j in range(len(args)))

    def _columns(self) -> list[slice]:
        ends = np.cumsum([0, *(math.prod(shape) for shape in self.shapes)]).tolist()
        return [slice(lo, hi) for lo, hi in pairwise(ends)]

    def value(self, *args: Any) -> Array:
        """∂f/∂x, of shape f.shape + x.shape."""
        found = self.function.jacobian_at(_arrays(args))[:, self._columns()[self.index]]
        return found.reshape(self.function.shape + self.shapes[self.index])

    def jacobian(self, *args: Any) -> tuple[Array, ...]:
        """Its derivatives by every argument."""
        columns = self._columns()
        second = self.function.hessian_at(_arrays(args))[:, columns[self.index], :]
        first = self.function.shape + self.shapes[self.index]
        return tuple(second[:, :, where].reshape(first + shape)
                     for where, shape in zip(columns, self.shapes, strict=True))


def _arrays(args: Sequence[Any]) -> list[Array]:
    return [np.asarray(x, dtype=np.float64) for x in args]
