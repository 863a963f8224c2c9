"""What the gradient of an expression is built with: adjoints with their guards, and how they are added and summed.

An adjoint carries the condition under which it is not 0. Products are taken without looking at it; the zeros are put in
by ``np.where`` when the adjoint is needed whole.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..expression import Array, Expression, Shape, as_expression, constant, elementwise


@dataclass(frozen=True)
class Adjoint:
    """ȳ of a node: ``value`` where ``guard`` holds (None: everywhere), else 0.

    Both may have fewer or shorter axes than the node, over which they are the same; a float is a constant.
    """

    value: Any
    guard: Expression | None = None

    def full(self, shape: Shape) -> Expression:
        """An expression of the given shape, zeros put in."""
        value = self.value
        if self.guard is not None:
            value = where(self.guard, value, 0.0)
        if not isinstance(value, Expression):
            return constant(np.full(shape, value))
        return value if value.shape == shape else moved(np.broadcast_to, value, shape)

    def times(self, factor: Any) -> Adjoint:
        """The product with a partial derivative."""
        return Adjoint(product(self.value, factor), self.guard)

    def under(self, condition: Expression) -> Adjoint:
        """The same where a condition holds too."""
        both = condition if self.guard is None else elementwise("logical_and", self.guard, condition)
        return Adjoint(self.value, both)


@dataclass(frozen=True)
class Piece:
    """A part of x̄ for some elements of x, by their numbers; from a view of x."""

    places: Array
    adjoint: Adjoint
    shape: Shape


def total(parts: Sequence[Adjoint | Piece], node: Expression) -> Adjoint:
    """The sum of all contributions to one node."""
    dense = [part for part in parts if isinstance(part, Adjoint)]
    pieces = [part for part in parts if isinstance(part, Piece)]
    if pieces:
        dense.append(_scattered(pieces, node))
    if len(dense) == 1:
        return dense[0]
    if all(part.guard is None for part in dense):
        return Adjoint(_sum([part.value for part in dense]))
    value = _sum([part.value if part.guard is None else where(part.guard, part.value, 0.0) for part in dense])
    guards = [part.guard for part in dense]
    if any(guard is None for guard in guards):
        return Adjoint(value)
    together = guards[0]
    for guard in guards[1:]:
        together = elementwise("logical_or", together, guard)
    return Adjoint(value, together)


def _sum(values: Sequence[Any]) -> Any:
    added = values[0]
    for value in values[1:]:
        added = added + value
    return added


def _scattered(pieces: Sequence[Piece], node: Expression) -> Adjoint:
    """Pieces of one array put together by one scatter-add, guarded where no piece reaches or none that is not 0."""
    places = np.concatenate([piece.places for piece in pieces])
    values = [flat(piece.adjoint.full(piece.shape)) for piece in pieces]
    value = _scatter(places, _joined(values), node)
    if any(piece.adjoint.guard is not None for piece in pieces):
        guards = [flat(_count(piece.adjoint.guard, piece.shape)) for piece in pieces]
        return Adjoint(value, _scatter(places, _joined(guards), node) > 0.0)
    reached = np.zeros(math.prod(node.shape), dtype=bool)
    reached[places] = True
    return Adjoint(value, None if reached.all() else constant(reached.reshape(node.shape)))


def _scatter(places: Array, values: Expression, node: Expression) -> Expression:
    size = math.prod(node.shape)
    return reshaped(call(np.bincount, places, weights=values, minlength=size), node.shape)


def _joined(values: list[Expression]) -> Expression:
    return values[0] if len(values) == 1 else call(np.concatenate, values)


def flat(value: Expression) -> Expression:
    """All elements on one axis."""
    return reshaped(value, (math.prod(value.shape),))


def _count(guard: Expression | None, shape: Shape) -> Expression:
    """1 where a guard holds, else 0, in a shape."""
    return Adjoint(1.0, guard).full(shape)


def reduced(part: Adjoint, shape: Shape, target: Shape) -> Adjoint:
    """The adjoint of an operand that was broadcast from ``target`` to ``shape``: sums over what it was spread over."""
    if shape == target:
        return part
    lead = len(shape) - len(target)
    spread = [i for i, n in enumerate(shape) if n != 1 and (i < lead or target[i - lead] == 1)]
    if not spread:
        return Adjoint(_without_lead(part.value, len(target)),
                       None if part.guard is None else _without_lead(part.guard, len(target)))
    if part.guard is not None:
        summed = _summed(where(part.guard, part.value, 0.0), shape, spread, len(target))
        count = _summed(_count(part.guard, part.guard.shape), shape, spread, len(target))
        return Adjoint(summed, as_expression(count) > 0.0)
    return Adjoint(_summed(part.value, shape, spread, len(target)))


def _summed(value: Any, shape: Shape, spread: Sequence[int], ndim: int) -> Any:
    """The sum over the axes ``spread`` of a shape; where the value does not vary along one, times its length."""
    own = (1,) * (len(shape) - np.ndim(value)) + np.shape(value) if isinstance(value, Expression) else (1,) * len(shape)
    times = float(math.prod(shape[i] for i in spread if own[i] == 1))
    along = [i for i in spread if own[i] != 1]
    if along:
        value = call(np.sum, value, axis=tuple(i - len(shape) + np.ndim(value) for i in along), keepdims=True)
    return _without_lead(product(value, times), ndim)


def _without_lead(value: Any, ndim: int) -> Any:
    """A value without leading axes (of length 1) beyond a number of axes."""
    if not isinstance(value, Expression) or value.ndim <= ndim:
        return value
    return reshaped(value, value.shape[value.ndim - ndim :])


def product(value: Any, factor: Any) -> Any:
    """value·factor, numbers multiplied at once, also with one that stands first in a product; a plain ±1 left out."""
    number, rest = _plain(value), _plain(factor if np.ndim(factor) == 0 else as_expression(factor))
    if isinstance(rest, float):
        number, rest = rest, number
    if not isinstance(number, float):
        return value * factor
    if isinstance(rest, float):
        return number * rest
    if rest.op == "multiply" and isinstance(first := _plain(rest.args[0]), float) and rest.args[1].shape == rest.shape:
        number, rest = number * first, rest.args[1]
    return rest if number == 1.0 else -rest if number == -1.0 else number * rest


def _plain(value: Any) -> Any:
    """A scalar constant as a float."""
    if isinstance(value, Expression):
        return float(value.data) if value.op == "constant" and not value.shape and not value.is_boolean else value
    return float(value)


def is_number(value: Any, number: float) -> bool:
    """Whether something is the given number, as a float or a constant."""
    if isinstance(value, Expression):
        return value.op == "constant" and value.shape == () and not value.is_boolean and float(value.data) == number
    return isinstance(value, float | int) and value == number


def call(function: Callable[..., Any], *args: Any, **keywords: Any) -> Expression:
    """A NumPy function of expressions, constants among them."""
    return as_expression(function(*args, **keywords))


def moved(function: Callable[..., Any], value: Expression, *args: Any, **keywords: Any) -> Expression:
    """A rearrangement of the elements of an expression."""
    return as_expression(value)[args[0]] if function is operator.getitem else call(function, value, *args, **keywords)


def reshaped(value: Expression, shape: Shape) -> Expression:
    """The elements in another shape."""
    return value if value.shape == shape else call(np.reshape, value, shape)


def where(condition: Expression, value: Any, other: Any) -> Expression:
    """``np.where`` of them."""
    return elementwise("where", condition, value, other)
