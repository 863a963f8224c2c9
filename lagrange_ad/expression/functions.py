"""NumPy's functions on expressions, composed of the operations; NumPy's protocols look them up in the tables."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..errors import ExpressionTypeError, ShapeError
from .building import axes_of, bincount, concatenate, getitem, matmul, stack, sum_, view
from .node import Expression, as_expression, elementwise, logical, size_of
from .symbols import Array
from .tables import FUNCTIONS, UFUNCS


def mean(operand: Any, axis: Any = None, keepdims: Any = False, **other: Any) -> Expression:
    """``np.mean``: the sum over the number of elements."""
    if any(value is not None for value in other.values()):
        raise ExpressionTypeError("np.mean on expressions takes axis= and keepdims= only")
    child = as_expression(operand)
    count = size_of(tuple(child.shape[i] for i in axes_of(child, axis)))
    if count == 0:
        raise ShapeError(f"np.mean of no elements: the expression has shape {child.shape}")
    return sum_(child, axis=axis, keepdims=keepdims) / count


def dot(a: Any, b: Any) -> Expression:
    """``np.dot``: a product with scalars, inner for vectors, matrix product for matrices."""
    left, right = as_expression(a), as_expression(b)
    if left.ndim == 0 or right.ndim == 0:
        return left * right
    if left.ndim > 2 or right.ndim > 2:
        raise ExpressionTypeError("np.dot of more than two axes is not supported on expressions: use @")
    return matmul(left, right)


def _where(condition: Any, *choices: Any) -> Expression:
    if len(choices) != 2:
        raise ExpressionTypeError("np.where needs three arguments on expressions: np.where(condition, a, b)")
    test = as_expression(condition)
    return elementwise("where", test if test.is_boolean else elementwise("not_equal", test, 0.0), *choices)


def _clip(x: Any, a_min: Any = None, a_max: Any = None, **keywords: Any) -> Expression:
    low, high = keywords.pop("min", a_min), keywords.pop("max", a_max)
    if any(value is not None for value in keywords.values()):
        raise ExpressionTypeError(f"np.clip with {', '.join(keywords)}= is not supported on expressions")
    if low is not None:
        x = elementwise("maximum", x, low)
    return as_expression(x if high is None else elementwise("minimum", x, high))


def _outer(a: Any, b: Any) -> Expression:
    left, right = view(np.ravel, a), view(np.ravel, b)
    return getitem(left, (slice(None), None)) * right


def _diff(a: Any, n: int = 1, axis: int = -1) -> Expression:
    result = as_expression(a)
    for _ in range(n):
        ahead = view(np.moveaxis, result, axis, 0)
        result = view(np.moveaxis, ahead[1:] - ahead[:-1], 0, axis)
    return result


def _join(spread: Callable[[Expression], Expression], axis: Callable[[Expression], int]) -> Callable[..., Expression]:
    def joined(parts: Iterable[Any]) -> Expression:
        items = [spread(as_expression(part)) for part in parts]
        return concatenate(items, axis(items[0]))

    return joined


def _like(fill: float) -> Callable[..., Array]:
    return lambda a, *args, **keywords: np.full(as_expression(a).shape, fill)


def _column(item: Expression) -> Expression:
    return item if item.ndim > 1 else view(np.reshape, item, (-1, 1))


def _as_view(function: Callable[..., Any]) -> Callable[..., Expression]:
    return lambda operand, *args, **keywords: view(function, operand, *args, **keywords)


_MOVERS: tuple[Callable[..., Any], ...] = (
    np.reshape, np.transpose, np.ravel, np.broadcast_to, np.expand_dims, np.squeeze, np.moveaxis, np.swapaxes,
    np.flip, np.roll, np.take, np.repeat, np.tile, np.diagonal, np.atleast_1d, np.atleast_2d, np.rot90,
    np.flipud, np.fliplr,
)  # fmt: skip

FUNCTIONS.update((function, _as_view(function)) for function in _MOVERS)
FUNCTIONS.update({
    operator.getitem: getitem,
    np.sum: sum_,
    np.mean: mean,
    np.dot: dot,
    np.vdot: lambda a, b: sum_(view(np.ravel, a) * view(np.ravel, b)),
    np.inner: lambda a, b: dot(a, as_expression(b).T),
    np.outer: _outer,
    np.diff: _diff,
    np.append: lambda a, values, axis=None: concatenate([a, values], axis),
    np.copy: lambda a, **keywords: as_expression(a),
    np.matrix_transpose: lambda a: view(np.swapaxes, a, -1, -2),
    np.full_like: lambda a, fill_value, **keywords: np.full(as_expression(a).shape, fill_value),
    np.trace: lambda a: sum_(view(np.diagonal, a), axis=-1),
    np.concatenate: concatenate,
    np.stack: stack,
    np.hstack: _join(lambda e: view(np.atleast_1d, e), lambda e: 0 if e.ndim == 1 else 1),
    np.vstack: _join(lambda e: view(np.atleast_2d, e), lambda e: 0),
    np.column_stack: _join(_column, lambda e: 1),
    np.where: _where,
    np.clip: _clip,
    np.bincount: bincount,
    np.shape: lambda a: as_expression(a).shape,
    np.ndim: lambda a: as_expression(a).ndim,
    np.size: lambda a, axis=None: as_expression(a).size if axis is None else as_expression(a).shape[axis],
    np.zeros_like: _like(0.0),
    np.ones_like: _like(1.0),
})

UFUNCS.update({
    "matmul": matmul,
    "positive": as_expression,
    "fabs": lambda x: elementwise("absolute", x),
    "conjugate": as_expression,
    "float_power": lambda x, n: elementwise("power", x, n),
    "bitwise_and": lambda x, y: logical("logical_and", "&", x, y),
    "bitwise_or": lambda x, y: logical("logical_or", "|", x, y),
    "invert": lambda x: logical("logical_not", "~", x),
    "deg2rad": lambda x: elementwise("multiply", x, np.pi / 180.0),
    "radians": lambda x: elementwise("multiply", x, np.pi / 180.0),
    "rad2deg": lambda x: elementwise("multiply", x, 180.0 / np.pi),
    "degrees": lambda x: elementwise("multiply", x, 180.0 / np.pi),
})
