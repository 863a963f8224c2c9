"""What a program costs, counted: elementary operations of its values and of its gradient.

Takes the groups of a lowered program; gives two numbers. Nothing is run. Griewank and Walther, "Evaluating
Derivatives" (2008), chapter 3, bound their ratio by a small constant, whatever the program.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from .grouping import Group, IndexMap
from .kernel import Kernel


class Operations(NamedTuple):
    """Elementary operations of one sweep: ``values`` forward, ``gradient`` forward and back (values included)."""

    values: int
    gradient: int

    @property
    def ratio(self) -> float:
        """gradient / values."""
        return self.gradient / self.values if self.values else float("nan")


def count_operations(groups: Sequence[Group], n_rows: int, n_states: int) -> Operations:
    """The operations of values, and of values and back-substitution together.

    Values: every instance computes φ and adds it to its row. Back: every instance computes ∂φ/∂arg_j, once more from
    its arguments, multiplies it by λ and adds it to w. The first contribution is stored, so it counts no addition;
    a factor of ±1 counts no multiplication. A user's function counts as one operation, and so does each derivative.
    """
    values = sum(g.size * g.kernel.n_operations for g in groups)
    values += _additions([g.row for g in groups], n_rows)
    back = sum(g.size * (g.kernel.partials.n_operations + _products(g.kernel)) for g in groups)
    back += _additions((arg for g in groups for j, arg in enumerate(g.args) if not g.kernel.partials.is_zero(j)),
                       n_states)
    return Operations(values, values + back)


def _products(kernel: Kernel) -> int:
    """How many partials λ is multiplied with: those other than 0 and ±1."""
    if not kernel.partials.nodes:
        return kernel.n_args
    nodes = (kernel.partials.nodes[output] for output in kernel.partials.outputs)
    return sum(node[0] != "const" or node[1] not in (-1.0, 0.0, 1.0) for node in nodes)


def _additions(maps: Iterable[IndexMap], size: int) -> int:
    """Contributions to ``size`` places that are not the first at theirs."""
    met, contributions = np.zeros(size, dtype=bool), 0
    for positions in maps:
        where = positions.array()
        met[where] = True
        contributions += where.size
    return contributions - int(np.count_nonzero(met))
