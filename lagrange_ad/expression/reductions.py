"""NumPy's reductions and running results on expressions: sums apart, those that statistics and norms are made of.

Each takes NumPy's arguments ``axis`` and ``keepdims`` (``ddof`` where NumPy has it) and refuses others by name. What
has no derivative at a point says in its docstring which slope it gives there.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ExpressionTypeError, ShapeError
from ..printing import to_text
from .building import axes_of, concatenate, sum_, view
from .composed import compose
from .node import Expression, as_expression, broadcast, constant, elementwise, size_of
from .symbols import Shape


def refuse(name: str, takes: str, others: dict[str, Any]) -> None:
    """Raise ExpressionTypeError for arguments of a NumPy function that expressions do not take."""
    given = [key for key, value in others.items() if value is not None and value is not np._NoValue]
    if given:
        raise ExpressionTypeError(
            f"{name} on expressions takes {takes} only, not {', '.join(f'{key}=' for key in given)}"
        )


def numeric(value: Any) -> Expression:
    """An operand as numbers: a condition counts 1 where it holds."""
    node = as_expression(value)
    return elementwise("where", node, 1.0, 0.0) if node.is_boolean else node


def one_axis(name: str, child: Expression, axis: Any) -> int:
    """``axis`` as a number ≥ 0; raises where it is not one axis of the operand."""
    if not isinstance(axis, numbers.Integral):
        raise ExpressionTypeError(f"{name}: axis must be an integer, got {axis!r}")
    return axes_of(child, axis)[0]


def keep(result: Expression, axes: tuple[int, ...], keepdims: Any) -> Expression:
    """The result of a reduction, with the axes kept as size 1 when asked for."""
    return view(np.expand_dims, result, axes) if keepdims in (True, 1) and axes else result


def running(op: str) -> Callable[..., Expression]:
    """``np.cumsum``, ``np.cumprod``: along one axis, of all elements when None."""

    def accumulate(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Expression:
        refuse(f"np.{op}", "axis=", {"dtype": dtype, "out": out})
        child = numeric(a)
        if axis is None:
            child, axis = view(np.ravel, child) if child.ndim != 1 else child, 0
        axis = one_axis(f"np.{op}", child, axis)
        return compose(op, child, axis=axis) if child.size else child

    return accumulate


def reduction(op: str, name: str, empty: float | None) -> Callable[..., Expression]:
    """``np.prod``, ``np.max``, ``np.min``; ``empty`` is the value for no elements, None: there is none.

    Of equal largest (smallest) elements the first, in C order over the axes, has slope 1, the others 0.
    """

    def reduce(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **others: Any) -> Expression:
        refuse(name, "axis= and keepdims=", {"out": out, **others})
        child = numeric(a)
        axes = axes_of(child, axis)
        if size_of(tuple(child.shape[i] for i in axes)):
            return keep(compose(op, child, axis=axes) if axes else child, axes, keepdims)
        kept = constant(np.full(tuple(n for i, n in enumerate(child.shape) if i not in axes), empty or 0.0))
        if empty is None and kept.size:
            raise ShapeError(f"{name} of no elements: the expression {to_text(child, 60)} has shape {child.shape}")
        return keep(kept, axes, keepdims)

    return reduce


prod = reduction("prod", "np.prod", 1.0)
largest, smallest = reduction("max", "np.max", None), reduction("min", "np.min", None)


def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Expression:
    """``np.ptp``: the largest less the smallest."""
    refuse("np.ptp", "axis= and keepdims=", {"out": out})
    return largest(a, axis, keepdims=keepdims) - smallest(a, axis, keepdims=keepdims)


def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
         **others: Any) -> Expression:
    """``np.mean``: the sum over the number of elements."""
    refuse("np.mean", "axis= and keepdims=", {"dtype": dtype, "out": out, **others})
    child = as_expression(a)
    return sum_(child, axis=axis, keepdims=keepdims) / _count("np.mean", child, axis)


def deviation(name: str, order: float) -> Callable[..., Expression]:
    """``np.var``: the mean square distance from the mean, Σ (x − mean)² / (n − ddof), and ``np.std``, its root.

    Where all elements are equal the slope of the root is given as 0.
    """

    def deviate(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = None, keepdims: Any = False,
                *, correction: Any = None, **others: Any) -> Expression:
        refuse(name, "axis=, ddof= (or correction=) and keepdims=", {"dtype": dtype, "out": out, **others})
        child = numeric(a)
        fewer = ddof if correction is None or correction is np._NoValue else correction
        degrees = _count(name, child, axis) - float(fewer or 0)
        if degrees <= 0:
            raise ShapeError(f"{name}: ddof leaves no degrees of freedom, the expression has shape {child.shape}")
        distance = child - mean(child, axis=axis, keepdims=True)
        square = sum_(elementwise("square", distance), axis=axis, keepdims=keepdims) / degrees
        return square if order == 1.0 else compose("root", square, order=order)

    return deviate


var, std = deviation("np.var", 1.0), deviation("np.std", 2.0)


def _count(name: str, child: Expression, axis: Any) -> int:
    count = size_of(tuple(child.shape[i] for i in axes_of(child, axis)))
    if count == 0:
        raise ShapeError(f"{name} of no elements: the expression has shape {child.shape}")
    return count


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Expression:
    """``np.linalg.norm``: of vectors 2 (None), 1, p ≥ 1, inf, -inf; of matrices Frobenius (None), 1, -1, inf, -inf.

    The slopes at 0 are subgradients: 0 for the 2-, p- and Frobenius norm where all elements are 0; the 1-norm gives 1
    for an element that is 0, as ``np.abs`` does; inf as ``np.max`` does.
    """
    child = numeric(x)
    if not (ord is None or isinstance(ord, str | numbers.Real)):
        raise ExpressionTypeError(f"np.linalg.norm with ord={ord!r}: ord must be a known number or 'fro'")
    if ord is None:
        axes = axes_of(child, axis)
    else:
        axes = tuple(axis) if isinstance(axis, tuple | list) else tuple(range(child.ndim)) if axis is None else (axis,)
        axes_of(child, axes)
    if ord is None or (ord == "fro" and len(axes) == 2):
        return compose("root", sum_(elementwise("square", child), axis=axes, keepdims=keepdims), order=2.0)
    if len(axes) == 1:
        return _vector_norm(child, ord, axes[0], keepdims)
    if len(axes) == 2 and ord in (1, -1, np.inf, -np.inf):
        return _matrix_norm(child, ord, axes, keepdims)
    raise ExpressionTypeError(
        f"np.linalg.norm with ord={ord!r} over {len(axes)} axes is not supported on expressions: of vectors there are "
        "1, 2, p ≥ 1, inf and -inf; of matrices 'fro', 1, -1, inf and -inf (others need singular values)"
    )


def _vector_norm(child: Expression, ord: Any, axis: int, keepdims: Any) -> Expression:
    if ord in (2, "fro"):
        return compose("root", sum_(elementwise("square", child), axis=axis, keepdims=keepdims), order=2.0)
    size = elementwise("absolute", child)
    if ord == 1:
        return sum_(size, axis=axis, keepdims=keepdims)
    if ord in (np.inf, -np.inf):
        return (largest if ord > 0 else smallest)(size, axis, keepdims=keepdims)
    if not isinstance(ord, numbers.Real) or ord < 1:
        raise ExpressionTypeError(
            f"np.linalg.norm with ord={ord!r} is not supported on expressions: vectors have 1, 2, p ≥ 1, inf, -inf"
        )
    return compose("root", sum_(size ** float(ord), axis=axis, keepdims=keepdims), order=float(ord))


def _matrix_norm(child: Expression, ord: Any, axes: tuple[int, ...], keepdims: Any) -> Expression:
    """The largest (smallest) sum of sizes in a column (1, -1) or a row (inf, -inf)."""
    summed, over = axes if abs(ord) == 1 else axes[::-1]
    sums = sum_(elementwise("absolute", child), axis=summed, keepdims=True)
    extreme = (largest if ord > 0 else smallest)(sums, over, keepdims=True)
    return extreme if keepdims in (True, 1) else view(np.squeeze, extreme, axes)


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue) -> Expression:
    """``np.diff``: n times the difference of neighbours along an axis."""
    if n < 0:
        raise ShapeError(f"np.diff: n must be ≥ 0, got {n}")
    result = numeric(a)
    if n == 0:
        return result
    along = one_axis("np.diff", result, axis)
    ends = [value if value is np._NoValue else _end(value, result, along) for value in (prepend, append)]
    parts = [part for part in (ends[0], result, ends[1]) if part is not np._NoValue]
    result = concatenate(parts, along) if len(parts) > 1 else result
    before = (slice(None),) * along
    for _ in range(n):
        result = result[(*before, slice(1, None))] - result[(*before, slice(None, -1))]
    return result


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Expression:
    """``np.trapezoid``: the sum of the mean of neighbours times their distance."""
    values = numeric(y)
    along = one_axis("np.trapezoid", values, axis)
    before = (slice(None),) * along
    width = dx
    if x is not None:
        width = as_expression(x)
        width = diff(width, axis=-1 if width.ndim == 1 else along)
        width = view(np.reshape, width, (-1, *(1,) * (values.ndim - along - 1))) if width.ndim == 1 else width
    between = values[(*before, slice(1, None))] + values[(*before, slice(None, -1))]
    return sum_(0.5 * (width * between), axis=along)


def _end(value: Any, like: Expression, axis: int) -> Expression:
    """What is put before or after: a number stands for a slice of size 1."""
    node = as_expression(value)
    if node.ndim:
        return node
    return view(np.broadcast_to, node, tuple(1 if i == axis else n for i, n in enumerate(like.shape)))


# functions of SciPy, which cannot be intercepted ------------------------------------------------------------------


def logsumexp(x: Any, axis: Any = None, b: Any = None, keepdims: bool = False) -> Any:
    """log Σ b·exp(x) over the given axes (all when None), without overflow; b broadcasts with x, 1 when None.

    As ``scipy.special.logsumexp``. Elements -inf count nothing; where all are, the value is -inf and there is no
    slope (NaN). A negative sum gives NaN. Arrays of numbers give an array.
    """
    operands = [numeric(x)] if b is None else [numeric(x), numeric(b)]
    shape = broadcast("logsumexp", tuple(operands))
    operands = [_spread(node, shape) for node in operands]
    axes = axes_of(operands[0], axis)
    _count("la.logsumexp", operands[0], axes)
    result = keep(compose("logsumexp", *operands, axis=axes), axes, keepdims)
    return _number_or(result, x, b)


def softmax(x: Any, axis: Any = None) -> Any:
    """exp(x) / Σ exp(x) over the given axes (all when None), without overflow; as ``scipy.special.softmax``.

    Elements -inf give 0. Arrays of numbers give an array.
    """
    child = numeric(x)
    axes = axes_of(child, axis)
    _count("la.softmax", child, axes)
    return _number_or(compose("softmax", child, axis=axes), x)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)) = ``np.logaddexp(0, x)``, without overflow."""
    return np.logaddexp(0.0, x)


def _spread(node: Expression, shape: Shape) -> Expression:
    if node.shape == shape:
        return node
    if node.op == "constant":
        return constant(np.broadcast_to(node.data, shape))
    return view(np.broadcast_to, node, shape)


def _number_or(result: Expression, *given: Any) -> Any:
    """The array, where nothing given was an expression."""
    if result.owner is not None or any(isinstance(part, Expression) for part in given):
        return result
    return result.data.apply(result.args[0].data) if result.op == "view" else result.data[()]
