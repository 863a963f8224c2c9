"""NumPy's functions on expressions, composed of the operations; NumPy's protocols look them up in the tables."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..errors import ExpressionTypeError
from .building import bincount, concatenate, getitem, matmul, stack, sum_, view
from .node import Expression, as_expression, elementwise, logical
from .products import (
    cross,
    dot,
    einsum,
    inner,
    kron,
    matvec,
    outer,
    polyval,
    tensordot,
    trace,
    vdot,
    vecdot,
    vecmat,
)
from .reductions import diff, largest, mean, norm, prod, ptp, running, smallest, std, trapezoid, var
from .solving import inverse, solve
from .symbols import Array
from .tables import FUNCTIONS, REDUCTIONS, UFUNCS


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


def _join(spread: Callable[[Expression], Expression], axis: Callable[[Expression], int]) -> Callable[..., Expression]:
    def joined(parts: Iterable[Any]) -> Expression:
        items = [spread(as_expression(part)) for part in parts]
        return concatenate(items, axis(items[0]))

    return joined


def _like(fill: float) -> Callable[..., Array]:
    return lambda a, *args, **keywords: np.full(as_expression(a).shape, fill)


def _column(item: Expression) -> Expression:
    return item if item.ndim > 1 else view(np.reshape, item, (-1, 1))


def _pad(array: Any, pad_width: Any, mode: Any = "constant", **keywords: Any) -> Expression:
    """``np.pad`` in the modes that move elements (edge, wrap, reflect, symmetric) or put numbers around them."""
    node = as_expression(array)
    if mode not in ("constant", "edge", "wrap", "reflect", "symmetric"):
        raise ExpressionTypeError(
            f"np.pad with mode={mode!r} is not supported on expressions: 'constant', 'edge', 'wrap', 'reflect' and "
            "'symmetric' are"
        )
    if mode != "constant":
        return view(np.pad, node, pad_width, mode=mode, **keywords)
    numbers = np.pad(np.zeros(node.shape), pad_width, **keywords)
    where = np.argwhere(np.pad(np.ones(node.shape, dtype=bool), pad_width))
    first = where.min(axis=0) if len(where) else np.zeros(node.ndim, dtype=np.int64)
    for axis in range(node.ndim):
        start, stop = int(first[axis]), int(first[axis]) + node.shape[axis]
        inner = tuple(slice(int(first[k]), int(first[k]) + node.shape[k]) for k in range(axis + 1, node.ndim))
        before, after = ((*[slice(None)] * axis, part, *inner) for part in (slice(0, start), slice(stop, None)))
        node = concatenate([numbers[before], node, numbers[after]], axis)
    return node


def _triangle(function: Callable[..., Any]) -> Callable[..., Expression]:
    """``np.tril``, ``np.triu``: zeros on one side of a diagonal."""

    def part(m: Any, k: int = 0) -> Expression:
        node = as_expression(m)
        return elementwise("where", function(np.ones(node.shape, dtype=bool), k), node, 0.0)

    return part


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
    np.cumsum: running("cumsum"),
    np.cumprod: running("cumprod"),
    np.prod: prod,
    np.max: largest,
    np.min: smallest,
    np.amax: largest,
    np.amin: smallest,
    np.ptp: ptp,
    np.mean: mean,
    np.var: var,
    np.std: std,
    np.linalg.norm: norm,
    np.linalg.solve: solve,
    np.linalg.inv: inverse,
    np.diff: diff,
    np.trapezoid: trapezoid,
    np.dot: dot,
    np.vdot: vdot,
    np.inner: inner,
    np.outer: outer,
    np.tensordot: tensordot,
    np.einsum: einsum,
    np.kron: kron,
    np.trace: trace,
    np.cross: cross,
    np.polyval: polyval,
    np.tril: _triangle(np.tril),
    np.triu: _triangle(np.triu),
    np.pad: _pad,
    np.append: lambda a, values, axis=None: concatenate([a, values], axis),
    np.copy: lambda a, **keywords: as_expression(a),
    np.matrix_transpose: lambda a: view(np.swapaxes, a, -1, -2),
    np.full_like: lambda a, fill_value, **keywords: np.full(as_expression(a).shape, fill_value),
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

for _new in (vecdot, matvec, vecmat):
    if hasattr(np, _new.__name__):  # NumPy has two of them since 2.2
        UFUNCS[_new.__name__] = _new

REDUCTIONS.update({
    ("add", "reduce"): np.sum,
    ("multiply", "reduce"): np.prod,
    ("maximum", "reduce"): np.max,
    ("minimum", "reduce"): np.min,
    ("add", "accumulate"): np.cumsum,
    ("multiply", "accumulate"): np.cumprod,
})
