"""The operations of expressions that are not elementary: rearrangements, sums, products, joins, scatter-add.

Each takes expressions, arrays and numbers, and gives one node (or a few) with its shape; wrong shapes are named.
"""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..errors import DeclarationError, ExpressionTypeError, ShapeError
from ..printing import to_text
from .node import Expression, as_expression, broadcast, elementwise, leaves_of
from .symbols import NO_ELEMENTS, Element, Shape, View


def view(function: Callable[..., Any], operand: Any, *arguments: Any, **keywords: Any) -> Expression:
    """A rearrangement of one operand by a NumPy function that moves elements and computes nothing."""
    child = as_expression(operand)
    view = View(function.__name__, function, tuple([known_part(part) for part in arguments]),
                {name: known_part(part) for name, part in keywords.items()})
    try:
        shape = view.apply(np.broadcast_to(np.int8(0), child.shape)).shape
    except (ValueError, IndexError, TypeError) as error:
        what = "indexing" if function is operator.getitem else f"np.{view.name} of"
        raise ShapeError(f"{what} {to_text(child, limit=60)} with shape {child.shape}: {error}") from None
    return Expression("view", (child,), shape, view)


def known_part(part: Any) -> Any:
    """A part of an index, or another argument of a rearrangement: known numbers, kept as they are now."""
    if type(part) is int or part is None or part is Ellipsis:
        return part
    inside = [part.start, part.stop, part.step] if isinstance(part, slice) else [part]
    if any(isinstance(leaf, Expression) for leaf in leaves_of(inside)):
        raise ExpressionTypeError(
            "an index, a shape or an axis must be known numbers, not an expression: np.where can choose by value"
        )
    if isinstance(part, tuple):
        return tuple(known_part(item) for item in part)
    if isinstance(part, list):
        return np.array(part, dtype=None if part else np.intp)
    return part.copy() if isinstance(part, np.ndarray) else part


def getitem(operand: Expression, key: Any) -> Expression:
    if operand.op == "symbol" and isinstance(key, int | tuple | np.integer):
        whole = key if isinstance(key, tuple) else (key,)
        number = _element_number(operand.shape, whole)
        if number is not None:
            return _element(operand, number, whole)
    return view(operator.getitem, operand, key)


def _element_number(shape: Shape, key: tuple[Any, ...]) -> int | None:
    """The flat number of one element, where the key is an integer an axis, none of them counted from the end."""
    if len(key) != len(shape) or not key:
        return None
    number = 0
    for i, n in zip(key, shape, strict=True):
        if not isinstance(i, int | np.integer) or isinstance(i, bool) or not 0 <= i < n:
            return None
        number = number * n + int(i)
    return number


def _element(operand: Expression, number: int, key: tuple[Any, ...]) -> Expression:
    """The node of one element of a symbol, made once: loops ask for the same one again and again."""
    symbol = operand.data
    if symbol.elements is NO_ELEMENTS:
        symbol.elements = {}
    node: Expression | None = symbol.elements.get(number)
    if node is None:
        index = tuple([int(i) for i in key])
        view = Element(index if len(index) > 1 else index[0], symbol.start + number)
        node = symbol.elements.setdefault(number, Expression("view", (operand,), (), view))
    return node


def sum_(operand: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
         initial: Any = None, where: Any = None) -> Expression:
    """``np.sum`` over the given axes (all when None)."""
    if dtype is not None or out is not None or initial is not None or where is not None:
        raise ExpressionTypeError("np.sum on expressions takes axis= and keepdims= only")
    child = as_expression(operand)
    if child.is_boolean:
        child = elementwise("where", child, 1.0, 0.0)
    axes = axes_of(child, axis)
    shape = tuple(n for i, n in enumerate(child.shape) if i not in axes)
    total = Expression("sum", (child,), shape, axes) if axes else child
    if keepdims in (True, 1):
        return view(np.reshape, total, tuple(1 if i in axes else n for i, n in enumerate(child.shape)))
    return total


def axes_of(child: Expression, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(child.ndim))
    given = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    if not all(isinstance(a, numbers.Integral) for a in given):
        raise ExpressionTypeError(f"axis must be an integer, a tuple of integers or None, got {axis!r}")
    for a in given:
        if not -child.ndim <= a < child.ndim:
            raise ShapeError(f"axis {a} is out of range for an expression of shape {child.shape}")
    axes = {int(a) % child.ndim for a in given}
    if len(axes) < len(given):
        raise ShapeError(f"axis {axis} names an axis of an expression of shape {child.shape} twice")
    return tuple(sorted(axes))


def matmul(a: Any, b: Any) -> Expression:
    """``a @ b``; either side may be a constant array or a scipy.sparse matrix, or both expressions."""
    if hasattr(a, "tocsr"):
        return _sparse_matmul(a, as_expression(b))
    if hasattr(b, "tocsr"):
        return _sparse_matmul(b.T, as_expression(a).T, mirrored=True).T
    left, right = as_expression(a), as_expression(b)
    if left.ndim == 0 or right.ndim == 0:
        raise ShapeError("@ takes arrays, not scalars: use * with a scalar")
    if left.shape[-1] != right.shape[-2 if right.ndim > 1 else 0]:
        raise ShapeError(
            f"@: inner sizes differ: {to_text(left, limit=40)} has shape {left.shape}, "
            f"{to_text(right, limit=40)} has shape {right.shape}"
        )
    if left.ndim == 1 and right.ndim == 1:
        return sum_(left * right)
    if left.ndim == 1:
        return view(np.squeeze, matmul(getitem(left, (None, ...)), right), axis=-2)
    if right.ndim == 1:
        return view(np.squeeze, matmul(left, getitem(right, (..., None))), axis=-1)
    stacks = tuple(Expression("constant", (), side.shape[:-2]) for side in (left, right))
    batch = broadcast("matmul", stacks)
    return Expression("matmul", (left, right), (*batch, left.shape[-2], right.shape[-1]))


def _sparse_matmul(matrix: Any, operand: Expression, mirrored: bool = False) -> Expression:
    from scipy import sparse

    if operand.ndim not in (1, 2) or matrix.shape[1] != operand.shape[0]:
        sides = [f"a sparse matrix of shape {matrix.shape[::-1] if mirrored else matrix.shape}"]
        shown = operand.T if mirrored else operand
        sides.insert(0 if mirrored else 1, f"{to_text(shown, limit=40)} of shape {shown.shape}")
        raise ShapeError(f"@: the inner sizes of {sides[0]} and {sides[1]} differ, or an operand has not 1 or 2 axes")
    csr = sparse.csr_array(matrix).astype(np.float64)
    csr.sum_duplicates()
    if np.isnan(csr.data).any():
        raise DeclarationError("a constant sparse matrix contains NaN: look at the data it came from")
    return Expression("sparse_matmul", (operand,), (csr.shape[0], *operand.shape[1:]), csr)


def concatenate(parts: Iterable[Any], axis: int | None = 0) -> Expression:
    """``np.concatenate`` of expressions and arrays."""
    items = [as_expression(part) for part in parts]
    if axis is None:
        items, axis = [view(np.ravel, item) for item in items], 0
    if items and axis == 0 and all(len(item.shape) == 1 for item in items):
        return Expression("concatenate", tuple(items), (sum(item.shape[0] for item in items),), 0)
    try:
        shape = np.concatenate([np.broadcast_to(np.int8(0), item.shape) for item in items], axis=axis).shape
    except ValueError as error:
        shapes = ", ".join(str(item.shape) for item in items)
        raise ShapeError(f"np.concatenate of shapes {shapes} along axis {axis}: {error}") from None
    return Expression("concatenate", tuple(items), shape, axis % len(shape))


def stack(parts: Iterable[Any], axis: int = 0) -> Expression:
    """``np.stack`` of expressions and arrays of one shape; scalars may be mixed in with scalars only."""
    items = [as_expression(part) for part in parts]
    if len({item.shape for item in items}) > 1:
        shapes = ", ".join(str(item.shape) for item in items)
        raise ShapeError(f"np.stack needs equal shapes, got {shapes}; np.concatenate joins unequal ones")
    if items and not items[0].shape and axis == 0:
        return concatenate([Expression("view", (item,), (1,), _WITH_AXIS) for item in items])
    return concatenate([view(np.expand_dims, item, axis) for item in items], axis)


_WITH_AXIS = View("expand_dims", np.expand_dims, (0,), {})  # one for all, as np.stack may be given 10^5 scalars


def bincount(index: Any, weights: Any = None, minlength: int = 0) -> Expression:
    """``np.bincount(index, weights=expr, minlength=n)``: scatter-add, out[index[k]] += weights[k]."""
    if isinstance(index, Expression):
        raise ExpressionTypeError("np.bincount: the index must be known integers, weights= may be an expression")
    child, positions = as_expression(weights), np.array(index)
    if positions.ndim != 1 or positions.shape != child.shape:
        raise ShapeError(f"np.bincount: index has shape {positions.shape}, weights {child.shape}; both need (k,)")
    if positions.size and (positions.dtype.kind not in "iu" or positions.min() < 0):
        raise DeclarationError("np.bincount: the index must be integers ≥ 0")
    size = max(int(minlength), int(positions.max()) + 1 if positions.size else 0)
    return Expression("scatter", (child,), (size,), positions.astype(np.int64))
