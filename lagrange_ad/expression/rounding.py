"""What rounding leaves of an expression's value: a running error analysis, node by node.

    δ(node) = u·|value| + Σ_k |f(…, a_k + δ(a_k), …) − f(…)|

u stands for the unit of rounding; the differences are taken with a larger one, so that they are numbers, and divided by
it. Symbols are exact. Source: N. J. Higham, Accuracy and Stability of Numerical Algorithms (2002), section 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..elementary import TABLE
from .node import Expression
from .symbols import Array
from .walking import evaluate_nodes

UNIT = 1e-8


def rounding_of(roots: Sequence[Expression], values: Mapping[str, Any]) -> list[Array] | None:
    """δ of every root for u = eps, given the arrays of its symbols; None where there is an operation without a rule."""
    with np.errstate(all="ignore"):
        known = evaluate_nodes(roots, values)
        errors: dict[int, Any] = {}
        for key, (node, value) in known.items():
            operands = [known[id(arg)][1] for arg in node.args]
            found = _error(node, value, operands, [errors[id(arg)] for arg in node.args])
            if found is None:
                return None
            errors[key] = found
    return [np.asarray(errors[id(root)], dtype=float) * (np.finfo(float).eps / UNIT) for root in roots]


def _error(node: Expression, value: Any, operands: list[Any], errors: list[Any]) -> Any:
    match node.op:
        case "symbol" | "constant":
            return np.zeros(node.shape)
        case "view":
            return node.data.apply(np.broadcast_to(errors[0], np.shape(operands[0])))
        case "concatenate":
            spread = [np.broadcast_to(e, np.shape(x)) for e, x in zip(errors, operands, strict=True)]
            return np.concatenate(spread, axis=node.data)
        case "sum":
            every = np.broadcast_to(errors[0], np.shape(operands[0])) + UNIT * np.abs(operands[0])
            return np.sum(every, axis=node.data)
        case "matmul":
            a, b = np.abs(operands[0]), np.abs(operands[1])
            return a @ (errors[1] + UNIT * b) + errors[0] @ b
        case "sparse_matmul":
            return abs(node.data) @ (errors[0] + UNIT * np.abs(operands[0]))
        case "external":
            return UNIT * np.abs(value)
        case op if op in TABLE:
            return _elementwise(node, value, operands, errors)
    return None


def _elementwise(node: Expression, value: Any, operands: list[Any], errors: list[Any]) -> Any:
    if np.asarray(value).dtype == bool:
        return np.zeros(node.shape)
    total = UNIT * np.abs(value)
    for k, (operand, error) in enumerate(zip(operands, errors, strict=True)):
        if np.asarray(operand).dtype != bool and np.any(error):
            moved = [*operands[:k], operand + error, *operands[k + 1 :]]
            change = np.abs(TABLE[node.op].function(*moved) - value)
            total = total + np.where(np.isfinite(change), change, 0.0)
    return np.where(np.isfinite(total), total, 0.0)
