"""The gradient of a scalar expression as an expression: reverse mode over the graph of arrays, by loops.

Takes the expression as it is written and gives expressions again, so gradients may stand in equations and be
differentiated once more. Their size is a small multiple of the expression's.

    x̄ = Σ over the nodes y that use x of  (∂y/∂x)ᵀ ȳ,  and ȳ = 1 for the expression itself

What a selection leaves out is never multiplied: an adjoint carries the condition under which it is not 0, its guard,
and the zeros are put in by ``np.where`` after the products, so that an infinite slope in a branch not taken is no 0·∞.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DeclarationError, ShapeError
from ..expression import Expression, as_expression, constant, expanded, postorder
from ..printing import to_text
from .adjoint import Adjoint, Piece, moved, total
from .rules import contributions

__all__ = ["gradient"]


def gradient(expression: Any, wrt: Any) -> Any:
    """∂expression/∂wrt as an expression, in the shape of ``wrt``; a list of them for a list.

    ``expression`` is a scalar, ``wrt`` a symbol of the program (input, parameter or variable), or elements of one such
    as ``x[1:]``. It is the derivative of the expression as written, all other symbols held: also those that equations
    define by ``wrt``. (The total derivative, along which the equations hold, is ``at.gradient`` and ``at.jacobian``.)
    What ``wrt`` does not appear in has the gradient 0, a constant.

    At jumps and kinks it takes the branch that the derivative rules of the library take. Raises ShapeError for an array
    expression and DeclarationError for a ``wrt`` that is computed, of another program, or that a ``np.linalg.solve`` in
    the expression depends on.
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
        targets = [_target(one, root) for one in wrt]
        found = _by_symbol(root, [symbol for symbol, _ in targets])
        return [_along(found[id(symbol)], views) for symbol, views in targets]
    symbol, views = _target(wrt, root)
    return _along(_by_symbol(root, [symbol])[id(symbol)], views)


Target = tuple[Expression, list[Any]]


def _target(wrt: Any, root: Expression) -> Target:
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
    if root.owner is not None and node.owner is not root.owner:
        raise DeclarationError(
            f"gradient: {node.data.name!r} is of the program {node.owner.name!r}, the expression of "
            f"{root.owner.name!r}: differentiate by a symbol of that program"
        )
    return node, views[::-1]


def _along(whole: Expression, views: Sequence[Any]) -> Expression:
    for view in views:
        whole = moved(view.function, whole, *view.arguments, **view.keywords)
    return whole


def _refuse_solutions(order: Sequence[Expression], wanted: set[int]) -> None:
    """A np.linalg.solve is a variable, which would be held: a silent 0 would mislead who reads a function."""
    pending, seen = [(node.data, node.data) for node in order if node.op == "symbol"], set[int]()
    while pending:
        symbol, first = pending.pop()
        if id(symbol) in seen or not symbol.operation or id(symbol) in wanted:
            continue
        seen.add(id(symbol))
        equation = next(e for e in symbol.owner.equations if e.determines is symbol)
        for node in postorder([equation.left, equation.right]):
            if node.op != "symbol":
                continue
            if id(node.data) in wanted:
                raise DeclarationError(
                    f"gradient: {first.operation} is the variable {first.name!r} of the program, and variables are "
                    f"held; its equation contains {node.data.name!r}. The derivative along which equations hold is "
                    "at.gradient; to hold the solution, declare it: u = p.variable(...), p.equate(A @ u, b)"
                )
            pending.append((node.data, first))


def _by_symbol(root: Expression, symbols: Sequence[Expression]) -> dict[int, Expression]:
    """x̄ of the given symbols, by identity."""
    root = expanded(root)
    order = postorder([root])
    wanted = {id(symbol.data) for symbol in symbols}
    _refuse_solutions(order, wanted)
    needed: set[int] = set()
    for node in order:
        if (node.op == "symbol" and id(node.data) in wanted) or any(id(arg) in needed for arg in node.args):
            needed.add(id(node))
    parts: dict[int, list[Adjoint | Piece]] = {id(root): [Adjoint(1.0)]}
    by_data: dict[int, Expression] = {}
    for node in reversed(order):
        if id(node) not in needed or id(node) not in parts:
            continue
        bar = total(parts.pop(id(node)), node)
        if node.op == "symbol":  # of one symbol there are two nodes where one was copied along with its program
            whole, before = bar.full(node.shape), by_data.get(id(node.data))
            by_data[id(node.data)] = whole if before is None else before + whole
            continue
        for arg, part in contributions(node, bar, needed):
            parts.setdefault(id(arg), []).append(part)
    return {id(s): by_data.get(id(s.data), constant(np.zeros(s.shape))) for s in symbols}
