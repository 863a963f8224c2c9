"""Where a value that is NaN or infinite comes from: which function of which equation, and its argument.

Takes expressions and the user's values by name; gives sentences.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...elementary import TABLE
from ...expression import Array, Expression, evaluate_nodes
from ...lowering import Lowered
from ...printing import place, to_text
from ...program import Equation, Objective
from ...text import number
from .finding import Finding

GUARD = "guard its argument with np.where or np.maximum, or change the values that it is made of"
"""What to try where a function has no value."""


def domain_message(lowered: Lowered, z: Array, row: int) -> str:
    """Which function of which equation has no real value, and for which argument."""
    equation = _equation_of(lowered, row)
    roots = [equation.right] if lowered.own[row] >= 0 else [equation.left, equation.right]
    found = culprit(roots, symbol_values(lowered, z))
    return f"equation {lowered.row_name(row)!r} ({place(equation.location)}): {found}"


def objective_message(objective: Objective, values: Mapping[str, Array]) -> str:
    """Which function of the objective has no real value, and for which argument."""
    found = culprit([objective.expression], values)
    return f"the objective {objective.name!r} ({place(objective.location)}): {found}"


def objective_finding(objective: Objective, values: Mapping[str, Array]) -> Finding:
    """An objective that has no real value."""
    return Finding("domain", "error", objective_message(objective, values), numbers={"objective": np.nan}, advice=GUARD)


def symbol_values(lowered: Lowered, z: Array) -> dict[str, Array]:
    """The user's symbols by name, as views of a flat state."""
    return lowered.state.split(z, list(lowered.symbols))


def _equation_of(lowered: Lowered, row: int) -> Equation:
    source = lowered.source[lowered.rows.block_of(row)]
    return next(equation for equation in lowered.equations if equation.name == source)


def culprit(roots: list[Expression], values: Mapping[str, Array]) -> str:
    """Where NaN or infinity comes from: down from the root to an operation that makes it of finite operands."""
    with np.errstate(all="ignore"):
        known = {key: np.asarray(value) for key, (_, value) in evaluate_nodes(roots, values).items()}
    bad_roots = [root for root in roots if not np.isfinite(known[id(root)]).all()]
    if not bad_roots:
        return "its value is not a number, or infinite"
    node = bad_roots[0]
    while True:
        operands = [known[id(arg)] for arg in node.args]
        bad = ~np.isfinite(known[id(node)])
        broken = _broken(node, operands, bad.shape)
        fresh = bad & ~np.any(broken, axis=0) if broken else bad
        guilty = [arg for arg, x in zip(node.args, broken, strict=True) if x.any() and arg.op != "symbol"]
        if fresh.any() or not guilty:
            return _operation(node, operands, fresh if fresh.any() else bad)
        node = next((arg for arg in guilty if np.isnan(known[id(arg)]).any()), guilty[0])


def _broken(node: Expression, operands: list[Array], shape: tuple[int, ...]) -> list[Array]:
    """For every operand, the elements of the result that it spoils by not being finite."""
    if not _is_elementwise(node):
        return [np.broadcast_to(not np.isfinite(x).all(), shape) for x in operands]
    broken = [np.broadcast_to(~np.isfinite(x), shape) for x in operands]
    if node.op == "where":
        chosen = np.broadcast_to(operands[0] != 0, shape)
        return [broken[0], broken[1] & chosen, broken[2] & ~chosen]
    return broken


def _is_elementwise(node: Expression) -> bool:
    return node.op in TABLE or (node.op == "external" and node.data.elementwise)


def _operation(node: Expression, operands: list[Array], bad: Array) -> str:
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    index = f" at index {first}" if first else ""
    shown = ", ".join(dict.fromkeys(
        f"{to_text(arg, 60)} = {number(np.broadcast_to(x, bad.shape)[first])}"
        for arg, x in zip(node.args, operands, strict=True) if _is_elementwise(node) and arg.op != "constant"
    ))
    row = TABLE.get(node.op)
    needs = "the result is too large, or undefined"
    if row is not None and row.domain and not _overflows(node, operands, bad, first):
        needs = f"{node.op} needs {row.domain}"
    elif node.op == "external":
        needs = f"{node.data.name} needs {node.data.domain}" if node.data.domain else "the function itself gave that"
    return f"{to_text(node, 100)} has no finite value{index}: {shown}{'; ' if shown else ''}{needs}"


def _overflows(node: Expression, operands: list[Array], bad: Array, first: tuple[int, ...]) -> bool:
    """Whether a power of a positive base is too large, rather than outside its domain."""
    return node.op == "power" and bool(np.broadcast_to(operands[0], bad.shape)[first] > 0.0)
