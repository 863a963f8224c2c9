"""How much of a block's residuals may be rounding of what its equations compute on the way.

The Jacobian knows the terms that unknowns make; it does not know 1 and cos x in 1 − cos x, where x is small. This is
for residuals that will not become smaller: it reads the user's expressions, so it is not for every iteration.
"""

from __future__ import annotations

import numpy as np

from ..expression import Array, symbols_of
from ..expression.rounding import rounding_of
from ..solvers.problem import UNITS
from .steps import BlockStep

MOST_EQUATIONS = 200
"""Blocks of more declared equations are not read."""


def noise_of(step: BlockStep, z: Array) -> Array | None:
    """UNITS times the rounding of each residual that is solved, at a state; None where that is not to be had."""
    lowered, rows = step.cut.lowered, step.rows
    if np.iscomplexobj(z):
        return None
    block = np.searchsorted(lowered.rows.start, rows, side="right") - 1
    blocks = np.unique(block)
    if len(blocks) > MOST_EQUATIONS:
        return None
    found = np.zeros(len(rows))
    for number in blocks.tolist():
        equation = lowered.equations[number]
        roots = [equation.left, equation.right]
        values = {s.name: lowered.state.get(z, s.name) for root in roots for s in symbols_of(root)}
        sides = rounding_of(roots, values)
        if sides is None:
            return None
        of_equation = np.ravel(sum(np.broadcast_to(side, equation.shape) for side in sides))
        here = block == number
        found[here] = of_equation[rows[here] - lowered.rows.start[number]]
    return UNITS * found
