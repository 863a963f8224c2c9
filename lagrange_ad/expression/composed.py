"""Operations that a node names and that others compute: running sums and products, products, largest, softmax.

A node keeps the name, so that it prints as the user wrote it; its value is NumPy's; lowering takes its *expansion*,
made of other operations. Running results and reductions are trees of slices: linear work, and a few nodes a level
however many elements there are. An element's slope is a product of others, never a quotient, so zeros do no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .building import concatenate, sum_, view
from .node import Expression, constant, elementwise
from .symbols import Array

RADIX = 4
"""So many slices are combined at each level of a tree."""

Combine = Callable[[Expression, Expression], Expression]


class Composed(NamedTuple):
    """An operation: its value by NumPy, and its expansion; both take the operands and the node's keywords.

    ``keeps_shape``: the result has the shape of the first operand, else it lacks the axes ``axis``. ``repeats``: the
    expansion uses an operand more than once, which is then computed before, once.
    """

    value: Callable[..., Any]
    expand: Callable[..., Expression]
    keeps_shape: bool
    repeats: bool


def compose(op: str, *args: Expression, **keywords: Any) -> Expression:
    """A node of a composed operation; a constant where all operands are constants."""
    if all(arg.op == "constant" for arg in args):
        return constant(COMPOSED[op].value(*(arg.data for arg in args), **keywords))
    shape = args[0].shape
    if not COMPOSED[op].keeps_shape:
        shape = tuple(n for i, n in enumerate(shape) if i not in keywords["axis"])
    return Expression(op, args, shape, keywords)


def expansion(node: Expression) -> Expression:
    """A composed operation written with other operations."""
    return COMPOSED[node.op].expand(*node.args, **node.data)


def held(x: Expression) -> Expression:
    """The same numbers, computed once and kept: only expansions have such nodes."""
    return Expression("held", (x,), x.shape)


# trees -----------------------------------------------------------------------------------------------------


def tree(combine: Combine, x: Expression) -> Expression:
    """x[0] ∘ x[1] ∘ … along the first axis, neighbours first: shape (n, …) to (…), n ≥ 1."""
    while (n := x.shape[0]) > 1:
        m = max(n // RADIX, 1)
        whole = RADIX * m if n >= RADIX else n
        joined = x[0:whole:RADIX]
        for i in range(1, min(RADIX, n)):
            joined = combine(joined, x[i:whole:RADIX])
        joined = held(joined) if joined.shape[0] > 1 else joined
        x = joined if whole == n else concatenate([joined, x[whole:]])
    return x[0]


def scan(combine: Combine, x: Expression) -> Expression:
    """x[0], x[0] ∘ x[1], … along the first axis: shape (n, …), n ≥ 1.

    Up: running results inside blocks of RADIX, whose last ones are the next level. Down: to those of each block is
    added what the next level has of the blocks before.
    """
    levels: list[tuple[Expression, list[Expression]]] = []
    while x.shape[0] >= RADIX:
        before, whole = x, x.shape[0] // RADIX * RADIX
        running = [x[0:whole:RADIX]]
        for i in range(1, RADIX):
            running.append(combine(running[-1], x[i:whole:RADIX]))
        running[-1] = x = held(running[-1])
        levels.append((before, running))
    done = _running(combine, x[0:1], x[1:])
    for x, running in reversed(levels):
        done = _down(combine, done, running, x)
    return done


def _running(combine: Combine, first: Expression, others: Expression) -> Expression:
    """``first`` (1, …), and with the few ``others`` one after the other."""
    parts = [first]
    for i in range(others.shape[0]):
        parts.append(combine(parts[-1], others[i : i + 1]))
    return concatenate(parts) if len(parts) > 1 else first


def _down(combine: Combine, ends: Expression, running: list[Expression], x: Expression) -> Expression:
    """The running results of a level, from those at the ends of its blocks."""
    m = ends.shape[0]
    inside = [concatenate([part[0:1], combine(ends[:-1], part[1:])]) if m > 1 else part for part in running[:-1]]
    blocks = concatenate([view(np.expand_dims, part, 1) for part in [*inside, ends]], 1)
    done = view(np.reshape, blocks, (RADIX * m, *x.shape[1:]))
    rest = x[RADIX * m :]
    if not rest.shape[0]:
        return done
    return concatenate([done, _running(combine, combine(ends[-1:], rest[0:1]), rest[1:])])


# the operations --------------------------------------------------------------------------------------------


def _add(x: Expression, y: Expression) -> Expression:
    return elementwise("add", x, y)


def _multiply(x: Expression, y: Expression) -> Expression:
    return elementwise("multiply", x, y)


def _along(combine: Combine, x: Expression, axis: int) -> Expression:
    """The scan along any axis."""
    if x.ndim == 1:
        return scan(combine, x)
    return view(np.moveaxis, scan(combine, view(np.moveaxis, x, axis, 0)), 0, axis)


def _over(combine: Combine, x: Expression, axis: tuple[int, ...]) -> Expression:
    """The tree over some axes, elements in C order."""
    if not axis:
        return x
    kept = tuple(n for i, n in enumerate(x.shape) if i not in axis)
    if axis != tuple(range(len(axis))):
        x = view(np.moveaxis, x, axis, tuple(range(len(axis))))
    return tree(combine, x if len(axis) == 1 else view(np.reshape, x, (-1, *kept)))


def _extreme(function: Any, x: Array, axis: tuple[int, ...]) -> Any:
    """The first largest (np.argmax) or smallest (np.argmin) element by its real part, so that complex steps pass."""
    kept = [n for i, n in enumerate(np.shape(x)) if i not in axis]
    rows = np.moveaxis(x, axis, range(len(axis))).reshape(-1, *kept)
    return np.take_along_axis(rows, function(rows.real, axis=0)[None], axis=0)[0]


def _root(square: Expression, order: float) -> Expression:
    """A root of what is ≥ 0, with slope 0 at 0."""
    positive = elementwise("greater", square, 0.0)
    safe = elementwise("where", positive, square, 1.0)
    root = elementwise("sqrt", safe) if order == 2.0 else safe ** (1.0 / order)
    return elementwise("where", positive, root, square)


def _root_of(square: Array, order: float) -> Any:
    with np.errstate(all="ignore"):
        return np.where(square == 0.0, square, np.sqrt(square) if order == 2.0 else square ** (1.0 / order))


def _shift_of(x: Array, axis: tuple[int, ...]) -> Any:
    shift = np.max(x.real, axis=axis, keepdims=True)
    return np.where(np.isfinite(shift), shift, 0.0)


def _log_sum_exp_of(x: Array, weights: Any = 1.0, *, axis: tuple[int, ...]) -> Any:
    shift = _shift_of(np.where(np.broadcast_to(weights, x.shape) != 0.0, x.real, -np.inf), axis)
    with np.errstate(all="ignore"):
        terms = np.where(np.not_equal(weights, 0.0), weights * np.exp(x - shift), 0.0)
        return np.log(np.sum(terms, axis=axis)) + np.squeeze(shift, axis)


def _softmax_of(x: Array, axis: tuple[int, ...]) -> Any:
    with np.errstate(all="ignore"):
        terms = np.exp(x - _shift_of(x, axis))
        return terms / np.sum(terms, axis=axis, keepdims=True)


def _shift(x: Expression, axis: tuple[int, ...]) -> Expression:
    """What is subtracted before exp: the largest x, rounded, so that it is a constant for differentiation; or 0."""
    largest = compose("max", x, axis=axis)
    finite = elementwise("less", elementwise("absolute", largest), np.inf)
    return elementwise("where", finite, elementwise("rint", largest), 0.0)


def _log_sum_exp(x: Expression, weights: Expression | None = None, *, axis: tuple[int, ...]) -> Expression:
    """log Σ b·exp(x − c) + c, right for any c."""
    if weights is not None and weights.op == "constant" and not np.all(weights.data):
        x = elementwise("where", elementwise("not_equal", weights, 0.0), x, -np.inf)
    shift = _shift(x, axis)
    terms = elementwise("exp", x - view(np.expand_dims, shift, axis))
    return elementwise("log", sum_(terms if weights is None else weights * terms, axis=axis)) + shift


def _softmax(x: Expression, axis: tuple[int, ...]) -> Expression:
    terms = held(elementwise("exp", x - view(np.expand_dims, _shift(x, axis), axis)))
    return terms / view(np.expand_dims, sum_(terms, axis=axis), axis)


def _maximum(x: Expression, y: Expression) -> Expression:
    return elementwise("maximum", x, y)


def _minimum(x: Expression, y: Expression) -> Expression:
    return elementwise("minimum", x, y)


COMPOSED: dict[str, Composed] = {
    "cumsum": Composed(np.cumsum, partial(_along, _add), True, True),
    "cumprod": Composed(np.cumprod, partial(_along, _multiply), True, True),
    "prod": Composed(np.prod, partial(_over, _multiply), False, False),
    "max": Composed(partial(_extreme, np.argmax), partial(_over, _maximum), False, False),
    "min": Composed(partial(_extreme, np.argmin), partial(_over, _minimum), False, False),
    "logsumexp": Composed(_log_sum_exp_of, _log_sum_exp, False, True),
    "root": Composed(_root_of, _root, True, True),
    "softmax": Composed(_softmax_of, _softmax, True, True),
}
"""Every composed operation by name; ``axis`` is one axis of a running result, the sorted axes of a reduction."""
