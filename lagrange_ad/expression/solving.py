"""``np.linalg.solve`` on expressions: what it is, an equation A @ u = b for a new variable u of the program.

The program that the operands belong to declares both and names them ``solve_1``, …; so the solution has a row in every
table and its equation a multiplier. Cycles through A or b need nothing more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError
from ..printing import to_text
from .building import matmul, view
from .node import Expression, as_expression, common_owner
from .reductions import numeric
from .symbols import Shape
from .walking import evaluate


def solve(a: Any, b: Any) -> Expression:
    """``np.linalg.solve``: the variable u with A @ u = b; A (…, n, n), b (n,) or (…, n, k)."""
    matrix, right = numeric(a), numeric(b)
    n = matrix.shape[-1] if matrix.ndim else 0
    if matrix.ndim < 2 or matrix.shape[-2] != n or right.ndim < 1 or right.shape[-1 if right.ndim == 1 else -2] != n:
        raise ShapeError(
            f"np.linalg.solve takes A of shape (…, n, n) and b of shape (n,) or (…, n, k): {to_text(matrix, 40)} has "
            f"shape {matrix.shape}, {to_text(right, 40)} has shape {right.shape}"
        )
    return _solution("solve", matrix, right)


def inverse(a: Any) -> Expression:
    """``np.linalg.inv``: the variable U with A @ U = 1; what multiplies something is better solved for."""
    matrix = numeric(a)
    if matrix.ndim < 2 or matrix.shape[-2] != matrix.shape[-1]:
        raise ShapeError(f"np.linalg.inv takes square matrices: {to_text(matrix, 40)} has shape {matrix.shape}")
    return _solution("inv", matrix, as_expression(np.eye(matrix.shape[-1])))


def _shape(name: str, matrix: Expression, right: Expression) -> Shape:
    """The shape of the solution: stacks of matrices broadcast with stacks of right sides."""
    if right.ndim == 1:
        return matrix.shape[:-1]
    try:
        return (*np.broadcast_shapes(matrix.shape[:-2], right.shape[:-2]), *right.shape[-2:])
    except ValueError:
        raise ShapeError(
            f"np.linalg.{name}: the stacks do not broadcast: {to_text(matrix, 40)} has shape {matrix.shape}, "
            f"{to_text(right, 40)} has shape {right.shape}"
        ) from None


def _solution(name: str, matrix: Expression, right: Expression) -> Expression:
    owner = common_owner((matrix, right))
    if owner is None:
        return as_expression(np.linalg.solve(evaluate(matrix, {}), evaluate(right, {})))
    shape = _shape(name, matrix, right)
    unknown: Expression = owner.numbered_variable(name, shape)
    unknown.data.operation = f"np.linalg.{name}"
    if right.ndim > 1 or matrix.ndim == 2:
        left = matmul(matrix, unknown)
    else:
        left = view(np.squeeze, matmul(matrix, view(np.expand_dims, unknown, -1)), -1)
    owner.equate(left, right, for_=unknown)
    return unknown
