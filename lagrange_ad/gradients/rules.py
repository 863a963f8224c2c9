"""How an adjoint goes back through each operation of expressions: ȳ of a node in, what it adds to x̄ of operands out.

Elementary functions have their rules in the table; the operations on arrays have theirs here, in ``RULES``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..elementary import TABLE
from ..errors import ExpressionTypeError
from ..expression import Array, Element, Expression, Shape, constant, elementwise, matmul
from ..external import External
from ..printing import to_text
from .adjoint import Adjoint, Piece, call, flat, is_number, reduced, reshaped, where
from .user import derivative_of

Contributions = list[tuple[Expression, Adjoint | Piece]]


def contributions(node: Expression, bar: Adjoint, needed: set[int]) -> Contributions:
    """What a node adds to the adjoints of its operands."""
    rule = RULES.get(node.op, _elementary if node.op in TABLE else None)
    if rule is None:
        raise ExpressionTypeError(f"gradient: the operation {node.op} in {to_text(node, 60)} has no derivative rule")
    return rule(node, bar, needed)


def _elementary(node: Expression, bar: Adjoint, needed: set[int]) -> Contributions:
    """ȳ·∂y/∂x of every operand, summed over what was broadcast; conditions have none."""
    partials = _partials(node)
    found: Contributions = []
    for arg, partial in zip(node.args, partials, strict=True):
        if id(arg) not in needed or arg.is_boolean or is_number(partial, 0.0):
            continue
        part = _times(bar, partial, (node, *node.args))
        if part is not None:
            found.append((arg, reduced(part, node.shape, arg.shape)))
    return found


def _partials(node: Expression) -> tuple[Any, ...]:
    """The partial derivatives by the table; those of powers in a form that can be differentiated in n at n = 0 too."""
    if node.op != "power":
        operands = [arg.data if arg.op == "constant" and not arg.is_boolean else arg for arg in node.args]
        with np.errstate(all="ignore"):
            return tuple(map(_number, TABLE[node.op].partials(*operands, node)))
    x, n = node.args
    if n.op == "constant" and not n.shape:
        number = float(n.data)
        if number in (0.0, 1.0, 2.0):
            return (number if number < 2.0 else 2.0 * x, 0.0)
        return (number * x ** (number - 1.0), 0.0)
    is_one = elementwise("logical_and", elementwise("equal", n, 0.0), elementwise("equal", x, 0.0))  # 0⁰, a constant 1
    return (where(is_one, 0.0, n * x ** (n - 1.0)), TABLE["power"].partials(x, n, node)[1])


def _number(partial: Any) -> Any:
    """A partial derivative in which constants alone are left as a float or a constant array."""
    if isinstance(partial, Expression) or np.ndim(partial):
        return partial
    return float(partial)


def _times(bar: Adjoint, partial: Any, given: Sequence[Expression]) -> Adjoint | None:
    """ȳ times a partial derivative; one that a rule selects is selected, not multiplied. None where it is 0."""
    guarded = bar
    while isinstance(partial, Expression) and partial.op == "where" and not any(partial is node for node in given):
        condition, chosen, other = partial.args
        if is_number(other, 0.0):
            guarded, partial = guarded.under(condition), chosen
        elif is_number(chosen, 0.0):
            guarded, partial = guarded.under(elementwise("logical_not", condition)), other
        else:
            break
    if is_number(partial, 0.0):
        return None
    return guarded.times(partial)


def _view(node: Expression, bar: Adjoint, needed: set[int]) -> Contributions:
    """A rearrangement: back to the places where the elements came from."""
    (arg,) = node.args
    size = math.prod(arg.shape)
    if isinstance(node.data, Element):
        return [(arg, Piece(np.array([node.data.start - arg.data.start]), bar, ()))]
    places = np.ravel(node.data.apply(_numbers(size).reshape(arg.shape)))
    if len(places) == size and bool((np.bincount(places, minlength=size) == 1).all()):
        back = np.argsort(places) if (np.diff(places) != 1).any() else None

        def returned(value: Expression) -> Expression:
            row = flat(value)
            return reshaped(row if back is None else row[back], arg.shape)

        return [(arg, _through(bar, node.shape, returned))]
    return [(arg, Piece(places, bar, node.shape))]


@lru_cache(maxsize=4)
def _numbers(size: int) -> Array:
    """0, 1, …, kept: many elements of one array are looked at one by one."""
    return np.arange(size)


def _through(bar: Adjoint, shape: Shape, move: Callable[[Expression], Expression]) -> Adjoint:
    """An adjoint whose elements only move; guards move with it."""
    if not isinstance(bar.value, Expression) and bar.guard is None:
        return bar
    guard = None if bar.guard is None else move(call(np.broadcast_to, bar.guard, shape))
    return Adjoint(move(Adjoint(bar.value).full(shape)), guard)


def _concatenate(node: Expression, bar: Adjoint, needed: set[int]) -> Contributions:
    found: Contributions = []
    at, axis = 0, node.data
    for arg in node.args:
        key = (slice(None),) * axis + (slice(at, at + arg.shape[axis]),)
        at += arg.shape[axis]
        if id(arg) in needed:
            found.append((arg, _through(bar, node.shape, lambda value, key=key: value[key])))  # type: ignore[misc]
    return found


def _summation(node: Expression, bar: Adjoint, needed: set[int]) -> Contributions:
    """The same adjoint for all elements summed up."""
    (arg,) = node.args
    shape = tuple(1 if i in node.data else n for i, n in enumerate(arg.shape))

    def spread(value: Any) -> Any:
        if not isinstance(value, Expression) or not value.shape:
            return value
        whole = value if value.shape == node.shape else call(np.broadcast_to, value, node.shape)
        return reshaped(whole, shape)

    return [(arg, Adjoint(spread(bar.value), spread(bar.guard)))]


def _scatter_add(node: Expression, bar: Adjoint, needed: set[int]) -> Contributions:
    return [(node.args[0], _through(bar, node.shape, lambda value: value[node.data]))]


def _matmul(node: Expression, bar: Adjoint, needed: set[int]) -> Contributions:
    """Ȳ Bᵀ and Aᵀ Ȳ for Y = A B, summed over stacks that were broadcast."""
    left, right = node.args
    whole = bar.full(node.shape)
    found: Contributions = []
    if id(left) in needed:
        part = matmul(whole, right.mT)
        found.append((left, reduced(Adjoint(part), part.shape, left.shape)))
    if id(right) in needed:
        part = matmul(left.mT, whole)
        found.append((right, reduced(Adjoint(part), part.shape, right.shape)))
    return found


def _sparse_matmul(node: Expression, bar: Adjoint, needed: set[int]) -> Contributions:
    """Aᵀ Ȳ; guarded where a column of A is empty."""
    (arg,) = node.args
    used = np.bincount(node.data.indices, minlength=node.data.shape[1]) > 0
    guard = None if used.all() else constant(used.reshape(-1, *(1,) * (arg.ndim - 1)))
    return [(arg, Adjoint(matmul(node.data.T, bar.full(node.shape)), guard))]


def _external(node: Expression, bar: Adjoint, needed: set[int]) -> Contributions:
    """A user's function: its derivatives are user's functions too, of the same arguments."""
    function: External = node.data
    found: Contributions = []
    for i, arg in enumerate(node.args):
        if id(arg) not in needed:
            continue
        partial = derivative_of(function, i, [one.shape for one in node.args])(*node.args)
        if function.elementwise:
            found.append((arg, reduced(bar.times(partial), node.shape, arg.shape)))
            continue
        rows = math.prod(node.shape)
        weighted = matmul(flat(bar.full(node.shape)), reshaped(partial, (rows, math.prod(arg.shape))))
        found.append((arg, Adjoint(reshaped(weighted, arg.shape))))
    return found


Rule = Callable[[Expression, Adjoint, set[int]], Contributions]

RULES: dict[str, Rule] = {
    "view": _view,
    "concatenate": _concatenate,
    "sum": _summation,
    "scatter": _scatter_add,
    "matmul": _matmul,
    "sparse_matmul": _sparse_matmul,
    "external": _external,
}
"""How adjoints go back through the operations that are not in the table of elementary functions."""
