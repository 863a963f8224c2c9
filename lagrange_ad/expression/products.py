"""NumPy's products on expressions: dot, inner, tensordot, einsum, kron, outer, cross, trace, and polynomials.

All are written with ``matmul`` where axes are contracted, so that nothing larger than the operands and the result is
made, and with elementwise products where none is.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ExpressionTypeError, ShapeError
from ..printing import to_text
from .building import axes_of, matmul, sum_, view
from .node import Expression, as_expression, size_of
from .reductions import numeric, refuse
from .symbols import Array, Shape


def dot(a: Any, b: Any, out: Any = None) -> Expression:
    """``np.dot``: the sum over the last axis of a and the last but one of b; a product with scalars."""
    refuse("np.dot", "two operands", {"out": out})
    left, right = as_expression(a), as_expression(b)
    if left.ndim == 0 or right.ndim == 0:
        return left * right
    if left.ndim <= 2 and right.ndim <= 2:
        return matmul(left, right)
    return tensordot(left, right, ((left.ndim - 1,), (max(right.ndim - 2, 0),)))


def inner(a: Any, b: Any) -> Expression:
    """``np.inner``: the sum over the last axes; a product with scalars."""
    left, right = as_expression(a), as_expression(b)
    if left.ndim == 0 or right.ndim == 0:
        return left * right
    return tensordot(left, right, ((left.ndim - 1,), (right.ndim - 1,)))


def vdot(a: Any, b: Any) -> Expression:
    """``np.vdot``: the sum of products of all elements."""
    return matmul(view(np.ravel, a), view(np.ravel, b))


def vecdot(a: Any, b: Any) -> Expression:
    """``np.vecdot``: the sum over the last axes of a product that broadcasts."""
    return sum_(as_expression(a) * b, axis=-1)


def matvec(a: Any, b: Any) -> Expression:
    """``np.matvec``: matrices times vectors."""
    return view(np.squeeze, matmul(a, view(np.expand_dims, b, -1)), -1)


def vecmat(a: Any, b: Any) -> Expression:
    """``np.vecmat``: vectors times matrices."""
    return view(np.squeeze, matmul(view(np.expand_dims, a, -2), b), -2)


def outer(a: Any, b: Any, out: Any = None) -> Expression:
    """``np.outer``: the products of all elements of a with all of b."""
    refuse("np.outer", "two operands", {"out": out})
    return view(np.reshape, a, (-1, 1)) * view(np.ravel, b)


def tensordot(a: Any, b: Any, axes: Any = 2) -> Expression:
    """``np.tensordot``: the sum over pairs of axes, or over the last of a and the first of b."""
    left, right = as_expression(a), as_expression(b)
    if isinstance(axes, int | np.integer):
        axes = (range(left.ndim - int(axes), left.ndim), range(int(axes)))
    pairs = [tuple(given) if np.iterable(given) else (given,) for given in axes]
    over_left, over_right = ([axes_of(node, i)[0] for i in given]
                             for node, given in zip((left, right), pairs, strict=True))
    sizes = [tuple(node.shape[i] for i in over) for node, over in ((left, over_left), (right, over_right))]
    if sizes[0] != sizes[1]:
        raise ShapeError(
            f"np.tensordot: {to_text(left, 40)} has shape {left.shape}, {to_text(right, 40)} has shape {right.shape}; "
            f"the sizes of the axes summed over are {sizes[0]} and {sizes[1]}"
        )
    free_left, free_right = ([i for i in range(node.ndim) if i not in over]
                             for node, over in ((left, over_left), (right, over_right)))
    shape = tuple(left.shape[i] for i in free_left) + tuple(right.shape[i] for i in free_right)
    n = size_of(sizes[0])
    if not n:
        return as_expression(np.zeros(shape))
    rows = _shaped(_moved(left, [*free_left, *over_left]), (left.size // n, n))
    columns = _shaped(_moved(right, [*over_right, *free_right]), (n, right.size // n))
    return _shaped(matmul(rows, columns), shape)


def _moved(node: Expression, axes: Sequence[int]) -> Expression:
    return node if list(axes) == list(range(node.ndim)) else view(np.transpose, node, tuple(axes))


def kron(a: Any, b: Any) -> Expression:
    """``np.kron``: every element of a times all of b."""
    left, right = as_expression(a), as_expression(b)
    n = max(left.ndim, right.ndim)
    small, large = ((1,) * (n - node.ndim) + node.shape for node in (left, right))
    left = view(np.reshape, left, tuple(m for size in small for m in (size, 1)))
    right = view(np.reshape, right, tuple(m for size in large for m in (1, size)))
    return view(np.reshape, left * right, tuple(i * j for i, j in zip(small, large, strict=True)))


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Expression:
    """``np.trace``: the sum of a diagonal."""
    refuse("np.trace", "offset=, axis1= and axis2=", {"dtype": dtype, "out": out})
    return sum_(view(np.diagonal, numeric(a), offset, axis1, axis2), axis=-1)


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Expression:
    """``np.cross`` of vectors with three components."""
    if axis is not None:
        axisa = axisb = axisc = axis
    left, right = view(np.moveaxis, a, axisa, -1), view(np.moveaxis, b, axisb, -1)
    if left.shape[-1:] != (3,) or right.shape[-1:] != (3,):
        raise ShapeError(f"np.cross on expressions takes vectors of three components, got {left.shape}, {right.shape}")
    (a1, b1), (a2, b2) = (tuple(node[..., index] for node in (left, right)) for index in ([1, 2, 0], [2, 0, 1]))
    return view(np.moveaxis, a1 * b2 - a2 * b1, -1, axisc)


def polyval(p: Any, x: Any) -> Expression:
    """``np.polyval`` by Horner's rule, the coefficient of the highest power first."""
    coefficients, point = as_expression(p), as_expression(x)
    if coefficients.ndim != 1:
        raise ShapeError(f"np.polyval: the coefficients must have one axis, they have shape {coefficients.shape}")
    value = as_expression(np.zeros(point.shape))
    for i in range(coefficients.shape[0]):
        value = coefficients[i] + (value * point if i else value)
    return value


# einsum ----------------------------------------------------------------------------------------------------


def einsum(subscripts: Any, *operands: Any, optimize: Any = True, out: Any = None, **others: Any) -> Expression:
    """``np.einsum`` with subscripts as text, implicit or explicit, two operands at a time in NumPy's greedy order."""
    refuse("np.einsum", "subscripts and operands", {"out": out, **others})
    if not isinstance(subscripts, str):
        raise ExpressionTypeError("np.einsum on expressions takes its subscripts as text: np.einsum('ij,j->i', A, x)")
    nodes = [numeric(operand) for operand in operands]
    terms, result = _labels(subscripts, nodes)
    sizes = _sizes(subscripts, terms, nodes)
    factors = [_without_repeats(_spread(node, term, sizes), term) for node, term in zip(nodes, terms, strict=True)]
    while len(factors) > 1:
        i, j = _cheapest(factors, result, sizes)
        others_ = [factor for k, factor in enumerate(factors) if k not in (i, j)]
        needed = set(result).union(*(labels for _, labels in others_))
        factors = [*others_, _contract(factors[i], factors[j], needed)]
    node, labels = _summed(factors[0], set(result))
    return _moved(node, [labels.index(label) for label in result])


Factor = tuple[Expression, str]
"""An operand and one label an axis."""


def _labels(subscripts: str, nodes: Sequence[Expression]) -> tuple[list[str], str]:
    """One label an axis, of every operand and of the result; an ellipsis becomes labels of its own."""
    text, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = text.split(",")
    if len(terms) != len(nodes):
        raise ShapeError(f"np.einsum({subscripts!r}): {len(terms)} terms of subscripts for {len(nodes)} operands")
    free = [label for label in string.ascii_letters + "αβγδεζηθικλμνξοπρστυφχψω" if label not in subscripts]
    covered = [node.ndim - len(term.replace("...", "")) if "..." in term else 0
               for term, node in zip(terms, nodes, strict=True)]
    most = max(covered, default=0)
    dots = "".join(free[: max(most, 0)])
    full = [term.replace("...", dots[most - n :] if n > 0 else "") for term, n in zip(terms, covered, strict=True)]
    for term, node in zip(full, nodes, strict=True):
        if len(term) != node.ndim or (not term.isalpha() and term):
            raise ShapeError(
                f"np.einsum({subscripts!r}): the subscripts of {to_text(node, 40)} do not fit its shape {node.shape}"
            )
    if not arrow:
        every = "".join(full)
        return full, dots + "".join(sorted(x for x in set(every) - set(dots) if every.count(x) == 1))
    result = result.replace("...", dots)
    if len(set(result)) < len(result) or not set(result) <= set("".join(full)):
        raise ShapeError(f"np.einsum({subscripts!r}): the result has a label twice, or one that no operand has")
    return full, result


def _sizes(subscripts: str, terms: Sequence[str], nodes: Sequence[Expression]) -> dict[str, int]:
    """The size of every label; an axis of size 1 broadcasts."""
    sizes: dict[str, int] = {}
    for term, node in zip(terms, nodes, strict=True):
        for label, n in zip(term, node.shape, strict=True):
            if sizes.setdefault(label, n) == 1:
                sizes[label] = n
            elif n not in (1, sizes[label]):
                raise ShapeError(f"np.einsum({subscripts!r}): an axis has the sizes {sizes[label]} and {n}: "
                                 + ", ".join(f"{to_text(x, 40)} has shape {x.shape}" for x in nodes))
    return sizes


def _spread(node: Expression, term: str, sizes: dict[str, int]) -> Expression:
    shape = tuple(sizes[label] for label in term)
    return node if shape == node.shape else view(np.broadcast_to, node, shape)


def diagonals(array: Array, term: str, labels: str) -> Array:
    """The elements of an array where axes of one label have one index."""
    moved: Array = np.einsum(f"{term}->{labels}", array)
    return moved


def _without_repeats(node: Expression, term: str) -> Factor:
    labels = "".join(dict.fromkeys(term))
    if len(labels) == len(term):
        return node, term
    names = dict(zip(labels, string.ascii_letters, strict=False))
    plain = "".join(names[label] for label in term)
    return view(diagonals, node, plain, "".join(names.values())), labels


def _cheapest(factors: Sequence[Factor], result: str, sizes: dict[str, int]) -> tuple[int, int]:
    """The next two operands."""
    if len(factors) == 2:
        return 0, 1
    best = (np.inf, 0, 1)
    for i in range(len(factors)):
        for j in range(i + 1, len(factors)):
            others = {x for k, (_, labels) in enumerate(factors) if k not in (i, j) for x in labels}
            kept = [x for x in {*factors[i][1], *factors[j][1]} if x in others or x in result]
            saved = size_of(tuple(sizes[x] for x in kept)) - factors[i][0].size - factors[j][0].size
            best = min(best, (float(saved), i, j))
    return best[1], best[2]


def _summed(factor: Factor, needed: set[str]) -> Factor:
    """A factor summed over the labels that nothing else has."""
    node, labels = factor
    over = tuple(i for i, label in enumerate(labels) if label not in needed)
    return (sum_(node, axis=over), "".join(x for x in labels if x in needed)) if over else factor


def _contract(first: Factor, second: Factor, needed: set[str]) -> Factor:
    """The product of two factors, summed over the labels that neither the result nor others need."""
    left, left_labels = _summed(first, needed | set(second[1]))
    right, right_labels = _summed(second, needed | set(first[1]))
    shared = [x for x in left_labels if x in right_labels]
    batch, over = [x for x in shared if x in needed], [x for x in shared if x not in needed]
    rows, columns = ([x for x in labels if x not in shared] for labels in (left_labels, right_labels))
    left = _moved(left, [left_labels.index(x) for x in (*batch, *rows, *over)])
    right = _moved(right, [right_labels.index(x) for x in (*batch, *over, *columns)])
    n = len(batch)
    heads, inside = left.shape[:n], size_of(left.shape[n + len(rows) :])
    shape = (*heads, *left.shape[n : n + len(rows)], *right.shape[n + len(over) :])
    labels = "".join((*batch, *rows, *columns))
    if not over:
        left = _shaped(left, (*left.shape, *(1,) * len(columns)))
        right = _shaped(right, (*heads, *(1,) * len(rows), *right.shape[n:]))
        return left * right, labels
    if not rows and not columns:
        return sum_(left * right, axis=tuple(range(n, n + len(over)))), labels
    left = _shaped(left, (*heads, size_of(left.shape[n : n + len(rows)]), inside))
    right = _shaped(right, (*heads, inside, size_of(right.shape[n + len(over) :])))
    return _shaped(matmul(left, right), shape), labels


def _shaped(node: Expression, shape: Shape) -> Expression:
    return node if node.shape == shape else view(np.reshape, node, shape)
