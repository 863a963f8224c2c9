"""Where a solve that failed stands at an edge: of a declared domain, or of a function's.

Takes the last iterate; gives lines for the error message, in the user's names.
"""

from __future__ import annotations

import numpy as np

from ..expression import Array
from ..lowering import Lowered
from ..solvers import Factor, SingularMatrixError, size_of_unknowns
from ..text import number
from .block import BlockProblem, BlockReport
from .diagnosis import domain_message
from .forward import Solved
from .plan import BlockStep

NEAR = 1e-6
"""An unknown this near to an end of its domain, for the size of the end or of 1, is held there."""
SHORT = 1.0 / 64.0
"""A function's edge is near when this part of a Newton step, or a tenth of the unknowns' size of it, crosses it."""
MOST = 3
"""So many unknowns are named."""


def edge_lines(lowered: Lowered, solved: Solved, report: BlockReport) -> list[str]:
    """What holds the unknowns of a block that did not converge."""
    return [*_of_domains(lowered, report.step, solved.z), *_of_functions(lowered, report.step, solved)]


def _of_domains(lowered: Lowered, step: BlockStep, z: Array) -> list[str]:
    lines = []
    for column in step.columns.tolist():
        symbol = lowered.symbols[lowered.state.names[lowered.state.block_of(column)]]
        for end, side in zip(symbol.domain, ("lower", "upper"), strict=True):
            if np.isfinite(end) and abs(z[column] - end) <= NEAR * max(1.0, abs(end)):
                low, high = symbol.domain
                lines.append(
                    f"  {lowered.state.element(column)} = {number(z[column])} is held at the {side} end of its domain "
                    f"({number(low)}, {number(high)}): if the solution lies beyond, widen domain= of {symbol.name!r}; "
                    "if not, start it further inside"
                )
    if len(lines) > MOST:
        lines[MOST:] = [f"  {len(lines) - MOST} more unknowns are held at ends of their domains"]
    return lines


def _of_functions(lowered: Lowered, step: BlockStep, solved: Solved) -> list[str]:
    """Whether a short step in Newton's direction already has no value, and of which function."""
    n, z = len(solved.z), solved.z.copy()
    everywhere = np.full(n, -np.inf), np.full(n, np.inf)
    problem = BlockProblem(step, z, solved.offset, everywhere, np.zeros(lowered.n_all_rows))
    x = z[step.columns]
    with np.errstate(all="ignore"):
        r = problem.residual(x)
        model = problem.model(x)
        try:
            d = -Factor(model.matrix).solve(model.right_side(r))[: len(r)]
        except SingularMatrixError:
            return []
        length = float(np.max(np.abs(d) / size_of_unknowns(x)))
        broken = np.flatnonzero(~np.isfinite(problem.residual(x + min(SHORT, 0.1 / length) * d)))
    if not len(broken) or not np.isfinite(d).all():
        return []
    message = domain_message(lowered, z, int(step.rows[broken[0]]))
    return [f"  the solve is held at the edge of a function's domain; a little further, {message}: start further "
            "inside, or check whether a solution can lie on this side"]
