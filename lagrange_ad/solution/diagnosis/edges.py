"""Where a solve that failed met an edge: of a declared domain, or of a function's.

Takes the last iterate and the record of the solve; gives findings in the user's names.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...expression import Array
from ...lowering import Lowered
from ...solvers import Factor, SingularMatrixError, size_of_unknowns
from ...text import number
from ..block import BlockProblem, BlockReport
from ..forward import Solved
from ..steps import BlockStep
from .culprit import domain_message
from .finding import MOST_NAMES, Finding

NEAR = 1e-6
"""An unknown this near to an end of its domain, for the width of that or the size of the end, is held there."""
SHORT = 1.0 / 64.0
"""A function's edge is near when this part of a Newton step, or a tenth of the unknowns' size of it, crosses it."""
MOST = 3
"""So many unknowns have a finding each."""


def edge_findings(lowered: Lowered, solved: Solved, report: BlockReport) -> list[Finding]:
    """What holds the unknowns of a block that did not converge."""
    return [*domain_ends(lowered, report.step, solved.z), *_of_functions(lowered, report.step, solved)]


def domain_ends(lowered: Lowered, step: BlockStep, z: Array, severity: str = "error") -> list[Finding]:
    """Unknowns of a block that stand at an end of their ``domain=``."""
    block = np.searchsorted(lowered.state.start, step.columns, side="right") - 1
    present, which = np.unique(block, return_inverse=True)
    ends = np.array([lowered.symbols[lowered.state.names[i]].domain for i in present.tolist()])[which.ravel()]
    with np.errstate(invalid="ignore"):
        held = np.isfinite(ends) & (np.abs(z[step.columns, None] - ends) <= NEAR * _sizes(ends))
    at = np.argwhere(held)
    found = [_held(lowered, int(step.columns[i]), z, side, severity) for i, side in at[:MOST].tolist()]
    if len(at) > MOST:
        columns = step.columns[at[MOST:, 0]]
        names = [lowered.state.element(column) for column in columns[:MOST_NAMES].tolist()]
        found.append(Finding("domain end", severity, f"{len(columns)} more unknowns are held at ends of their domains",
                             (), names, {"unknowns": len(columns)}, found[-1].advice))
    return found


def _sizes(ends: Array) -> Array:
    """What a distance from an end is compared with: the width of the domain, where that is infinite the end's size."""
    width = (ends[:, 1] - ends[:, 0])[:, None]
    return np.where(np.isfinite(width), width, np.maximum(1e-9, np.abs(ends)))


def _held(lowered: Lowered, column: int, z: Array, side: int, severity: str) -> Finding:
    symbol, name = lowered.symbols[lowered.state.names[lowered.state.block_of(column)]], lowered.state.element(column)
    low, high = symbol.domain
    return Finding(
        "domain end", severity,
        f"{name} = {number(z[column])} is held at the {('lower', 'upper')[side]} end of its domain "
        f"({number(low)}, {number(high)})", (), (name,), {"value": z[column], "end": symbol.domain[side]},
        f"if the solution lies beyond, widen domain= of {symbol.name!r}; if not, start it further inside",
    )


def _of_functions(lowered: Lowered, step: BlockStep, solved: Solved) -> Iterator[Finding]:
    """Whether a short step in Newton's direction already has no value, and of which function."""
    z = solved.z.copy()
    problem, x = _problem(lowered, step, z, solved.offset), z[step.columns]
    with np.errstate(all="ignore"):
        r = problem.residual(x)
        model = problem.model(x)
        try:
            d = -Factor(model.matrix).solve(model.right_side(r))[: len(r)]
        except SingularMatrixError:
            return
        length = float(np.max(np.abs(d) / size_of_unknowns(x)))
        broken = np.flatnonzero(~np.isfinite(problem.residual(x + min(SHORT, 0.1 / length) * d)))
    if len(broken) and np.isfinite(d).all():
        yield Finding(
            "function edge", "error",
            "the solve is held at the edge of a function's domain; a little further, "
            + domain_message(lowered, z, int(step.rows[broken[0]])),
            [lowered.row_name(row) for row in step.rows[broken[:MOST_NAMES]].tolist()], (),
            {"equations": len(broken)}, "start further inside, or check whether a solution can lie on this side",
        )


def outside_findings(lowered: Lowered, solved: Solved, report: BlockReport) -> Iterator[Finding]:
    """Trial points of a solve that had no value: how many, and which function had none at the first of them."""
    count, x = sum(step.outside for step in report.record.steps), getattr(report.record, "outside_x", None)
    if not count and x is None:
        return
    message, names = f"{max(count, 1)} trial point{'s' * (count > 1)} of the solve had no value", []
    if x is not None:
        z, rows = solved.z.copy(), report.step.rows
        with np.errstate(all="ignore"):
            broken = np.flatnonzero(~np.isfinite(_problem(lowered, report.step, z, solved.offset).residual(x)))
        if len(broken):
            message += f"; at the first of them, {domain_message(lowered, z, int(rows[broken[0]]))}"
            names = [lowered.row_name(row) for row in rows[broken[:MOST_NAMES]].tolist()]
    yield Finding("outside", "warning", message, names, (), {"trial points": count},
                  "a domain=(low, high) of the variables in it keeps the iterates where it has a value")


def _problem(lowered: Lowered, step: BlockStep, z: Array, offset: Array) -> BlockProblem:
    everywhere = np.full(len(z), -np.inf), np.full(len(z), np.inf)
    return BlockProblem(step, z, offset, everywhere, np.zeros(lowered.n_all_rows))
