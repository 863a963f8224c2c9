"""Which elements can be inlined without making kernels too large or the work a multiple: one pass, uses after uses.

Takes index arrays: the nodes (elements that may be inlined, then instances that read some of them) and what each
reads; gives a truth value an element. The pass is a loop over single elements (``structure.loops``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..expression import Array
from ..structure.loops import Cells, Loops

MORE_OPERATIONS = 2
"""Inlining an element may add so many times the operations that it and the instances that read it have."""
MORE_ENTRIES = 4
"""And so many times the entries of its Hessian and theirs may come of it."""


@dataclass(frozen=True, eq=False)
class Nodes:
    """What is weighed. Nodes below ``n_elements`` are elements, the others instances that stay.

    ``first``, ``reads``: compressed rows, the state elements that a node reads. ``local``: the node of a state
    element, −1 where it is none. ``order``: every node after the elements that it reads. ``own`` (n,): operations of
    a node. By element, sums over the instances that read it: ``uses`` counts them, ``work`` their operations, each and
    one more, ``others`` and ``squares`` their other arguments m and m².
    """

    n_elements: int
    first: Array
    reads: Array
    local: Array
    order: Array
    own: Array
    uses: Array
    work: Array
    others: Array
    squares: Array


def worth_inlining(nodes: Nodes, cap: int, loops: Loops) -> Array:
    """Whether each element is inlined: in kernels of at most ``cap`` operations, and without a multiple of the work.

    What the composed kernel of a node would compute is the sum over the elements below it, each once. Where that is too
    much its heaviest operands stay elements, as in ``cuts``.
    """
    cut = np.zeros(nodes.n_elements + 1, dtype=np.int64)
    weight, stack = np.zeros_like(cut), np.zeros(nodes.n_elements + 2, dtype=np.int64)
    loops(
        _weigh, nodes.first, nodes.reads, nodes.local, nodes.order, nodes.own, nodes.uses, nodes.work, nodes.others,
        nodes.squares, len(nodes.order), nodes.n_elements, cap, MORE_OPERATIONS, MORE_ENTRIES,
        cut=cut, weight=weight, seen=np.zeros(len(nodes.local), dtype=np.int64), stack=stack,
    )  # fmt: skip
    return np.equal(cut[: nodes.n_elements], 0)


def _weigh(
    first: Cells, reads: Cells, local: Cells, order: Cells, own: Cells, uses: Cells, work: Cells, others: Cells,
    squares: Cells, n: int, n_elements: int, cap: int, more: int, entries: int, cut: Cells, weight: Cells, seen: Cells,
    stack: Cells,
) -> int:  # fmt: skip
    """Weigh the nodes in order and cut elements; a loop."""
    stamp = 0
    for at in range(n):
        node = order[at]
        heavy = 1
        while heavy > 0:
            heavy = 0
            stamp += 1
            total = own[node]
            leaves = 0
            stack[0] = node
            height = 1
            while height > 0:
                height -= 1
                here = stack[height]
                for place in range(first[here], first[here + 1]):
                    position = reads[place]
                    if seen[position] != stamp:
                        seen[position] = stamp
                        inner = local[position]
                        if inner >= 0 and cut[inner] == 0:
                            total += own[inner]
                            stack[height] = inner
                            height += 1
                        else:
                            leaves += 1
            if total > cap:
                most = 0
                heaviest = 0
                for place in range(first[node], first[node + 1]):
                    inner = local[reads[place]]
                    if inner >= 0 and cut[inner] == 0 and weight[inner] > most:
                        most = weight[inner]
                        heaviest = inner
                if most > 0:
                    cut[heaviest] = 1
                    heavy = 1
        if node < n_elements:
            weight[node] = total
            m = uses[node]
            after = squares[node] + (2 * leaves + 1) * others[node] + m * leaves * (leaves + 1)
            before = squares[node] + 3 * others[node] + 2 * m + leaves * (leaves + 1)
            if (m - 1) * total > more * (work[node] + own[node]) or after > entries * before:
                cut[node] = 1
    return 0
