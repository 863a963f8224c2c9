"""The gradient of a scalar expression as an expression: reverse mode over the graph of arrays, by loops.

Takes the expression as it is written and gives expressions again, so gradients may stand in equations and be
differentiated once more. Their size is a small multiple of the expression's.

    x̄ = Σ over the nodes y that use x of  (∂y/∂x)ᵀ ȳ,  and ȳ = 1 for the expression itself

What a selection leaves out is never multiplied: an adjoint carries the condition under which it is not 0, its guard,
and the zeros are put in by ``np.where`` after the products, so that an infinite slope in a branch not taken is no 0·∞.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from .elementary import TABLE
from .errors import DeclarationError, ExpressionTypeError, ShapeError
from .expression import Array, Element, Expression, Shape, as_expression, constant, elementwise, matmul, postorder
from .external import External
from .printing import to_text


def gradient(expression: Any, wrt: Any) -> Any:
    """∂expression/∂wrt as an expression, in the shape of ``wrt``; a list of them for a list.

    ``expression`` is a scalar, ``wrt`` a symbol of the program (input, parameter or variable), or elements of one such
    as ``x[1:]``. It is the derivative of the expression as written, all other symbols held: also those that equations
    define by ``wrt``. (The total derivative, along which the equations hold, is ``at.gradient`` and ``at.jacobian``.)
    What ``wrt`` does not appear in has the gradient 0, a constant.

    At jumps and kinks it takes the branch that the derivative rules of the library take. Raises ShapeError for an array
    expression and DeclarationError for a ``wrt`` that is computed.
    """
    root = as_expression(expression)
    if root.is_boolean:
        raise DeclarationError(f"gradient: {to_text(root, 60)} is a comparison, which has no derivative")
    if root.shape != ():
        raise ShapeError(
            f"gradient takes a scalar expression, but {to_text(root, 60)} has shape {root.shape}: take np.sum of it, "
            "or at.jacobian for all of its derivatives"
        )
    if isinstance(wrt, list | tuple):
        targets = [_target(one) for one in wrt]
        found = _by_symbol(root, [symbol for symbol, _ in targets])
        return [_along(found[id(symbol)], views) for symbol, views in targets]
    symbol, views = _target(wrt)
    return _along(_by_symbol(root, [symbol])[id(symbol)], views)


Target = tuple[Expression, list[Any]]


def _target(wrt: Any) -> Target:
    """The symbol that an argument is (a part of), and the rearrangements between them."""
    node = as_expression(wrt) if not isinstance(wrt, str) else wrt
    if not isinstance(node, Expression):
        raise DeclarationError(f"gradient: wrt takes a symbol as its declaration returned it, got {wrt!r}")
    views = []
    while node.op == "view":
        views.append(node.data)
        node = node.args[0]
    if node.op != "symbol":
        raise DeclarationError(
            f"gradient: {to_text(as_expression(wrt), 60)} is computed: differentiate by an input, a parameter or a "
            "variable"
        )
    return node, views[::-1]


def _along(whole: Expression, views: Sequence[Any]) -> Expression:
    for view in views:
        whole = _moved(view.function, whole, *view.arguments, **view.keywords)
    return whole


# adjoints -------------------------------------------------------------------------------------------------------


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
            value = _where(self.guard, value, 0.0)
        if not isinstance(value, Expression):
            return constant(np.full(shape, value))
        return value if value.shape == shape else _moved(np.broadcast_to, value, shape)

    def times(self, factor: Any) -> Adjoint:
        """The product with a partial derivative."""
        return Adjoint(_product(self.value, factor), self.guard)

    def under(self, condition: Expression) -> Adjoint:
        """The same where a condition holds too."""
        return Adjoint(self.value, condition if self.guard is None else elementwise("logical_and", self.guard,
                                                                                     condition))


@dataclass(frozen=True)
class Piece:
    """A part of x̄ for some elements of x, by their numbers; from a view of x."""

    places: Array
    adjoint: Adjoint
    shape: Shape


def _by_symbol(root: Expression, symbols: Sequence[Expression]) -> dict[int, Expression]:
    """x̄ of the given symbols, by identity."""
    order = postorder([root])
    wanted = {id(symbol.data) for symbol in symbols}
    needed: set[int] = set()
    for node in order:
        if (node.op == "symbol" and id(node.data) in wanted) or any(id(arg) in needed for arg in node.args):
            needed.add(id(node))
    parts: dict[int, list[Adjoint | Piece]] = {id(root): [Adjoint(1.0)]}
    by_data: dict[int, Expression] = {}
    for node in reversed(order):
        if id(node) not in needed or id(node) not in parts:
            continue
        bar = _total(parts.pop(id(node)), node)
        if node.op == "symbol":
            by_data[id(node.data)] = bar.full(node.shape)
            continue
        for arg, part in _contributions(node, bar, needed):
            parts.setdefault(id(arg), []).append(part)
    return {id(s): by_data.get(id(s.data), constant(np.zeros(s.shape))) for s in symbols}


def _contributions(node: Expression, bar: Adjoint, needed: set[int]) -> list[tuple[Expression, Adjoint | Piece]]:
    """What a node adds to the adjoints of its operands."""
    rule = RULES.get(node.op, _elementary if node.op in TABLE else None)
    if rule is None:
        raise ExpressionTypeError(f"gradient: the operation {node.op} in {to_text(node, 60)} has no derivative rule")
    return rule(node, bar, needed)


def _total(parts: Sequence[Adjoint | Piece], node: Expression) -> Adjoint:
    """The sum of all contributions to one node."""
    dense = [part for part in parts if isinstance(part, Adjoint)]
    pieces = [part for part in parts if isinstance(part, Piece)]
    if pieces:
        dense.append(_scattered(pieces, node))
    if len(dense) == 1:
        return dense[0]
    if all(part.guard is None for part in dense):
        return Adjoint(_sum([part.value for part in dense]))
    value = _sum([part.value if part.guard is None else _where(part.guard, part.value, 0.0) for part in dense])
    guards = [part.guard for part in dense]
    if any(guard is None for guard in guards):
        return Adjoint(value)
    together = guards[0]
    for guard in guards[1:]:
        together = elementwise("logical_or", together, guard)
    return Adjoint(value, together)


def _sum(values: Sequence[Any]) -> Any:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def _scattered(pieces: Sequence[Piece], node: Expression) -> Adjoint:
    """Pieces of one array put together by one scatter-add, guarded where no piece reaches or none that is not 0."""
    places = np.concatenate([piece.places for piece in pieces])
    values = [_flat(piece.adjoint.full(piece.shape)) for piece in pieces]
    value = _scatter(places, _joined(values), node)
    if any(piece.adjoint.guard is not None for piece in pieces):
        guards = [_flat(_count(piece.adjoint.guard, piece.shape)) for piece in pieces]
        return Adjoint(value, _scatter(places, _joined(guards), node) > 0.0)
    reached = np.zeros(math.prod(node.shape), dtype=bool)
    reached[places] = True
    return Adjoint(value, None if reached.all() else constant(reached.reshape(node.shape)))


def _scatter(places: Array, values: Expression, node: Expression) -> Expression:
    size = math.prod(node.shape)
    return _reshaped(_call(np.bincount, places, weights=values, minlength=size), node.shape)


def _joined(values: list[Expression]) -> Expression:
    return values[0] if len(values) == 1 else _call(np.concatenate, values)


def _flat(value: Expression) -> Expression:
    return _reshaped(value, (math.prod(value.shape),))


def _count(guard: Expression | None, shape: Shape) -> Expression:
    """1 where a guard holds, else 0, in a shape."""
    return Adjoint(1.0, guard).full(shape)


def _call(function: Callable[..., Any], *args: Any, **keywords: Any) -> Expression:
    """A NumPy function of expressions, constants among them."""
    return as_expression(function(*args, **keywords))


def _moved(function: Callable[..., Any], value: Expression, *args: Any, **keywords: Any) -> Expression:
    return as_expression(value)[args[0]] if function is operator.getitem else _call(function, value, *args, **keywords)


def _reshaped(value: Expression, shape: Shape) -> Expression:
    return value if value.shape == shape else _call(np.reshape, value, shape)


def _where(condition: Expression, value: Any, other: Any) -> Expression:
    return elementwise("where", condition, value, other)


# elementary functions -------------------------------------------------------------------------------------------


def _elementary(node: Expression, bar: Adjoint, needed: set[int]) -> list[tuple[Expression, Adjoint | Piece]]:
    """ȳ·∂y/∂x of every operand, summed over what was broadcast; conditions have none."""
    partials = _partials(node)
    found: list[tuple[Expression, Adjoint | Piece]] = []
    for arg, partial in zip(node.args, partials, strict=True):
        if id(arg) not in needed or arg.is_boolean or _is_number(partial, 0.0):
            continue
        part = _times(bar, partial, (node, *node.args))
        if part is not None:
            found.append((arg, _reduced(part, node.shape, arg.shape)))
    return found


def _partials(node: Expression) -> tuple[Any, ...]:
    """The partial derivatives by the table; those of powers in a form that can be differentiated in n at n = 0 too."""
    if node.op != "power":
        return TABLE[node.op].partials(*node.args, node)
    x, n = node.args
    if n.op == "constant" and not n.shape:
        number = float(n.data)
        if number in (0.0, 1.0, 2.0):
            return (number if number < 2.0 else 2.0 * x, 0.0)
        return (number * x ** (number - 1.0), 0.0)
    is_one = elementwise("logical_and", elementwise("equal", n, 0.0), elementwise("equal", x, 0.0))  # 0⁰, a constant 1
    return (_where(is_one, 0.0, n * x ** (n - 1.0)), TABLE["power"].partials(x, n, node)[1])


def _times(bar: Adjoint, partial: Any, given: Sequence[Expression]) -> Adjoint | None:
    """ȳ times a partial derivative; one that a rule selects is selected, not multiplied. None where it is 0."""
    guarded = bar
    while isinstance(partial, Expression) and partial.op == "where" and not any(partial is node for node in given):
        condition, chosen, other = partial.args
        if _is_number(other, 0.0):
            guarded, partial = guarded.under(condition), chosen
        elif _is_number(chosen, 0.0):
            guarded, partial = guarded.under(elementwise("logical_not", condition)), other
        else:
            break
    if _is_number(partial, 0.0):
        return None
    return guarded.times(partial)


def _product(value: Any, factor: Any) -> Any:
    for one, other in ((value, factor), (factor, value)):
        if _is_number(one, 1.0):
            return other
        if _is_number(one, -1.0):
            return -other
    return value * factor


def _is_number(value: Any, number: float) -> bool:
    if isinstance(value, Expression):
        return value.op == "constant" and value.shape == () and not value.is_boolean and float(value.data) == number
    return isinstance(value, float | int) and value == number


def _reduced(part: Adjoint, shape: Shape, target: Shape) -> Adjoint:
    """The adjoint of an operand that was broadcast from ``target`` to ``shape``: sums over what it was spread over."""
    if shape == target:
        return part
    lead = len(shape) - len(target)
    spread = [i for i, n in enumerate(shape) if n != 1 and (i < lead or target[i - lead] == 1)]
    if not spread:
        return Adjoint(_without_lead(part.value, len(target)),
                       None if part.guard is None else _without_lead(part.guard, len(target)))
    if part.guard is not None:
        summed = _summed(_where(part.guard, part.value, 0.0), shape, spread, len(target))
        count = _summed(_count(part.guard, part.guard.shape), shape, spread, len(target))
        return Adjoint(summed, as_expression(count) > 0.0)
    return Adjoint(_summed(part.value, shape, spread, len(target)))


def _summed(value: Any, shape: Shape, spread: Sequence[int], ndim: int) -> Any:
    """The sum over the axes ``spread`` of a shape; where the value does not vary along one, times its length."""
    own = (1,) * (len(shape) - np.ndim(value)) + np.shape(value) if isinstance(value, Expression) else (1,) * len(shape)
    times = float(math.prod(shape[i] for i in spread if own[i] == 1))
    along = [i for i in spread if own[i] != 1]
    if along:
        value = _call(np.sum, value, axis=tuple(i - len(shape) + np.ndim(value) for i in along), keepdims=True)
    return _without_lead(_product(value, times), ndim)


def _without_lead(value: Any, ndim: int) -> Any:
    """A value without leading axes (of length 1) beyond a number of axes."""
    if not isinstance(value, Expression) or value.ndim <= ndim:
        return value
    return _reshaped(value, value.shape[value.ndim - ndim :])


# arrays ---------------------------------------------------------------------------------------------------------


def _view(node: Expression, bar: Adjoint, needed: set[int]) -> list[tuple[Expression, Adjoint | Piece]]:
    """A rearrangement: back to the places where the elements came from."""
    (arg,) = node.args
    size = math.prod(arg.shape)
    if isinstance(node.data, Element):
        return [(arg, Piece(np.array([node.data.start - arg.data.start]), bar, ()))]
    places = np.ravel(node.data.apply(_numbers(size).reshape(arg.shape)))
    if len(places) == size and bool((np.bincount(places, minlength=size) == 1).all()):
        back = np.argsort(places) if (np.diff(places) != 1).any() else None

        def returned(value: Expression) -> Expression:
            flat = _flat(value)
            return _reshaped(flat if back is None else flat[back], arg.shape)

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
    guard = None if bar.guard is None else move(_call(np.broadcast_to, bar.guard, shape))
    return Adjoint(move(Adjoint(bar.value).full(shape)), guard)


def _concatenate(node: Expression, bar: Adjoint, needed: set[int]) -> list[tuple[Expression, Adjoint | Piece]]:
    found: list[tuple[Expression, Adjoint | Piece]] = []
    at, axis = 0, node.data
    for arg in node.args:
        key = (slice(None),) * axis + (slice(at, at + arg.shape[axis]),)
        at += arg.shape[axis]
        if id(arg) in needed:
            found.append((arg, _through(bar, node.shape, lambda value, key=key: value[key])))  # type: ignore[misc]
    return found


def _summation(node: Expression, bar: Adjoint, needed: set[int]) -> list[tuple[Expression, Adjoint | Piece]]:
    """The same adjoint for all elements summed up."""
    (arg,) = node.args
    shape = tuple(1 if i in node.data else n for i, n in enumerate(arg.shape))

    def spread(value: Any) -> Any:
        return _reshaped(Adjoint(value).full(node.shape), shape) if isinstance(value, Expression) else value

    guard = None if bar.guard is None else _reshaped(_call(np.broadcast_to, bar.guard, node.shape), shape)
    return [(arg, Adjoint(spread(bar.value), guard))]


def _scatter_add(node: Expression, bar: Adjoint, needed: set[int]) -> list[tuple[Expression, Adjoint | Piece]]:
    return [(node.args[0], _through(bar, node.shape, lambda value: value[node.data]))]


def _matmul(node: Expression, bar: Adjoint, needed: set[int]) -> list[tuple[Expression, Adjoint | Piece]]:
    """Ȳ Bᵀ and Aᵀ Ȳ for Y = A B, summed over stacks that were broadcast."""
    left, right = node.args
    whole = bar.full(node.shape)
    found: list[tuple[Expression, Adjoint | Piece]] = []
    if id(left) in needed:
        part = matmul(whole, right.mT)
        found.append((left, _reduced(Adjoint(part), part.shape, left.shape)))
    if id(right) in needed:
        part = matmul(left.mT, whole)
        found.append((right, _reduced(Adjoint(part), part.shape, right.shape)))
    return found


def _sparse_matmul(node: Expression, bar: Adjoint, needed: set[int]) -> list[tuple[Expression, Adjoint | Piece]]:
    """Aᵀ Ȳ; guarded where a column of A is empty."""
    (arg,) = node.args
    used = np.bincount(node.data.indices, minlength=node.data.shape[1]) > 0
    guard = None if used.all() else constant(used.reshape(-1, *(1,) * (arg.ndim - 1)))
    return [(arg, Adjoint(matmul(node.data.T, bar.full(node.shape)), guard))]


def _external(node: Expression, bar: Adjoint, needed: set[int]) -> list[tuple[Expression, Adjoint | Piece]]:
    """A user's function: its derivatives are user's functions too, of the same arguments."""
    function: External = node.data
    found: list[tuple[Expression, Adjoint | Piece]] = []
    for i, arg in enumerate(node.args):
        if id(arg) not in needed:
            continue
        partial = derivative_of(function, i, [one.shape for one in node.args])(*node.args)
        if function.elementwise:
            found.append((arg, _reduced(bar.times(partial), node.shape, arg.shape)))
            continue
        rows = math.prod(node.shape)
        weighted = matmul(_flat(bar.full(node.shape)), _reshaped(partial, (rows, math.prod(arg.shape))))
        found.append((arg, Adjoint(_reshaped(weighted, arg.shape))))
    return found


Rule = Callable[[Expression, Adjoint, set[int]], list[tuple[Expression, Adjoint | Piece]]]

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


# derivatives of user functions ----------------------------------------------------------------------------------


def derivative_of(function: External, index: int, shapes: Sequence[Shape]) -> External:
    """∂f/∂(argument ``index``) as a user function of the same arguments; of shape f.shape + argument's shape."""
    made = _Partial(function, index, tuple(shapes))
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

