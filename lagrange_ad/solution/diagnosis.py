"""What went wrong in a forward pass, in the user's words: which equation, which function, what to try."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..elementary import TABLE
from ..errors import ConvergenceError, DomainError, SolveError
from ..expression import Array, Expression, evaluate_nodes
from ..lowering import Lowered
from ..printing import place, to_text
from ..program import Equation
from ..text import listing, number
from .forward import Solved
from .newton import BlockReport
from .plan import BlockStep, Plan


def failure(plan: Plan, solved: Solved, at: Any) -> SolveError:
    """The error for a forward pass that stopped; ``at`` is the point to hand back with it."""
    lowered, step = plan.lowered, solved.failed
    assert step is not None
    if not isinstance(step, BlockStep):
        bad = step.rows[np.isnan(solved.z[step.own])][:1]
        return DomainError(domain_message(lowered, solved.z, bad.tolist()[0]), at)
    report = solved.reports[-1]
    broken = np.flatnonzero(~np.isfinite(report.residuals))
    if len(broken):
        message = domain_message(lowered, solved.z, int(step.rows[broken[0]]))
        names = listing(report.unknowns)
        return DomainError(
            f"{message}\n  while solving the block {{{names}}} from its start; give starts inside the domain", at
        )
    return ConvergenceError(convergence_message(lowered, report), at)


def domain_message(lowered: Lowered, z: Array, row: int) -> str:
    """Which function of which equation has no real value, and for which argument."""
    equation = _equation_of(lowered, row)
    name = lowered.row_name(row)
    expression = _expression_of(lowered, row, equation)
    where = f" ({place(equation.location)})" if equation is not None else ""
    return f"equation {name!r}{where}: {_culprit(expression, symbol_values(lowered, z))}"


def symbol_values(lowered: Lowered, z: Array) -> dict[str, Array]:
    """The user's symbols by name, as views of a flat state."""
    return lowered.state.split(z, list(lowered.symbols))


def _equation_of(lowered: Lowered, row: int) -> Equation | None:
    source = lowered.source[lowered.rows.block_of(row)]
    return next((equation for equation in lowered.equations if equation.name == source), None)


def _expression_of(lowered: Lowered, row: int, equation: Equation | None) -> list[Expression]:
    if equation is not None:
        return [equation.right] if equation.own is not None else [equation.left, equation.right]
    bodies = [c.body for c in lowered.constraints]
    return bodies if lowered.objective is None else [lowered.objective.expression, *bodies]


def _culprit(roots: list[Expression], values: Mapping[str, Array]) -> str:
    """The first operation that makes NaN or infinity of finite operands."""
    with np.errstate(all="ignore"):
        known = evaluate_nodes(roots, values)
    for node, value in known.values():
        operands = [np.asarray(known[id(arg)][1]) for arg in node.args]
        bad = ~np.isfinite(np.asarray(value))
        if not bad.any() or any(not np.isfinite(x).all() for x in operands):
            continue
        return _operation(node, operands, bad)
    return "its value is not a number, or infinite"


def _operation(node: Expression, operands: list[Array], bad: Array) -> str:
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    index = f" at index {first}" if first else ""
    shown = [
        f"{to_text(arg, 60)} = {number(np.broadcast_to(x, bad.shape)[first])}"
        for arg, x in zip(node.args, operands, strict=True) if x.ndim <= bad.ndim and arg.op != "constant"
    ]
    row = TABLE.get(node.op)
    needs = f"; {node.op} needs {row.domain}" if row is not None and row.domain else "; the result overflows"
    return f"{to_text(node, 100)} has no finite value{index}: {', '.join(shown)}{needs}"


def convergence_message(lowered: Lowered, report: BlockReport) -> str:
    """Which block, why it stopped, which equations are worst, what to try."""
    worst = np.argsort(-np.abs(report.residuals), kind="stable")[:3].tolist()
    lines = [
        f"the block {{{listing(report.unknowns)}}} of {lowered.name!r} did not converge: {report.message} "
        f"(iteration {report.iterations}, residual {report.residual:.3g})"
    ]
    for i in worst:
        row = int(report.step.rows[i])
        equation = lowered.equations[lowered.rows.block_of(row)]
        lines.append(
            f"  worst: {report.equations[i]!r} ({place(equation.location)}): {to_text(equation.left, 60)} = "
            f"{to_text(equation.right, 60)}, right − left = {report.residuals[i]:.6g}"
        )
    if report.guessed:
        lines.append(f"  no start was given for {listing(report.guessed)}: the solve began at 0 or the nearest bound")
    lines.append(
        "  try a start nearer to the solution (variable(..., start=), or evaluate(start={...})), a domain=(low, high) "
        "that keeps the iterates sensible, or a look at whether the equations have a solution at these inputs"
    )
    return "\n".join(lines)
