"""Constraints taken apart: from a comparison or an expression with bounds to lower <= body <= upper."""

from __future__ import annotations

from typing import Any

from ..errors import DeclarationError, ShapeError
from ..expression import Expression, as_expression, symbols_of
from ..printing import to_text
from ..text import values


def comparison(node: Expression) -> tuple[Expression, Expression | None, Expression | None]:
    """(body, lower, upper) of ``<=``, ``>=`` or ``==``; the bound is the side without inputs or variables, or 0."""
    flipped = {"less_equal": "greater_equal", "greater_equal": "less_equal", "equal": "equal"}
    if node.op not in flipped:
        raise DeclarationError(
            f"{to_text(node, 80)} cannot be a constraint: use <=, >= or == (a strict < or > has no boundary point)"
        )
    (left, right), op = node.args, node.op
    if is_bound(left) and not is_bound(right):
        left, right, op = right, left, flipped[op]
    if not is_bound(right):
        left, right = left - right, as_expression(0.0)
    if is_bound(left):
        raise DeclarationError(f"{to_text(node, 80)} contains no input or variable: it constrains nothing")
    return left, (None if op == "less_equal" else right), (None if op == "greater_equal" else right)


def is_bound(node: Expression) -> bool:
    """Whether an expression holds numbers and given parameters only."""
    return node.owner is None or all(
        symbol.kind == "parameter" and symbol.name not in node.owner.swapped for symbol in symbols_of(node))


def bound_of(value: Any, what: str) -> Expression | None:
    """What ``lower=`` or ``upper=`` was given as, or None."""
    if value is None:
        return None
    bound = as_expression(value)
    if not is_bound(bound):
        raise DeclarationError(f"{what}={to_text(bound, 60)} contains inputs or variables: write left <= right")
    return bound


def check_bounds(label: str, body: Expression, low: Expression | None, high: Expression | None) -> None:
    """Raises where a bound does not broadcast to the body, or the bounds are crossed."""
    for bound in (low, high):
        if bound is None:
            continue
        sizes = zip(bound.shape[::-1], body.shape[::-1], strict=False)
        if bound.ndim > body.ndim or any(m not in (1, n) for m, n in sizes):
            raise ShapeError(
                f"constraint {label!r}: the bound {to_text(bound, 40)} has shape {bound.shape}, "
                f"the body {to_text(body, 60)} has shape {body.shape}"
            )
    if low is not None and high is not None and low.op == high.op == "constant" and (low.data > high.data).any():
        raise DeclarationError(
            f"the bounds of constraint {label!r} are crossed: lower {values(low.data)} > upper {values(high.data)}"
        )
