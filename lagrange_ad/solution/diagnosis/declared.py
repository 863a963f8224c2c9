"""What can be told of a program before anything is computed: equations declared twice, names that nothing uses.

Takes the declarations and the plan; gives findings.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ...expression import Expression, postorder, symbols_of
from ...expression.symbols import Element, View
from ...forms import PackedEquations, Sides
from ...lowering import Lowered
from ...lowering.lowered import coarse_pairs
from ...printing import place, to_text
from ...program import Declarations
from ...text import listing
from ..plan import Plan, reached_rows
from .finding import MOST_NAMES, Finding

MOST = 5
"""So many pairs of equal equations have a finding each."""
MOST_ARRAYS = 10_000
"""So many equations that are not kept by form are compared."""


def duplicate_findings(program: Declarations) -> list[Finding]:
    """Equations of identical form and arguments, each with the first of its kind."""
    pairs = [pair for packed in program.forms for pair in _equal_scalars(packed)]
    pairs += _equal_expressions(program)
    found = [_duplicate(program, first, again) for first, again in sorted(pairs)[:MOST]]
    if len(pairs) > MOST:
        names = [program.equations[again].name for _, again in sorted(pairs)[MOST:]]
        found.append(Finding("duplicate", "warning", f"{len(names)} more equations are the same as earlier ones",
                             names[:MOST_NAMES], numbers={"equations": len(names)}, advice="remove one of each"))
    return found


def _duplicate(program: Declarations, first: int, again: int) -> Finding:
    one, other = program.equations[first], program.equations[again]
    return Finding(
        "duplicate", "warning",
        f"equation {other.name!r} ({place(other.location)}) is the same as {one.name!r} ({place(one.location)}): "
        f"{to_text(one.left, 60)} = {to_text(one.right, 60)}", (one.name, other.name), advice="remove one of them",
    )


def _equal_scalars(packed: PackedEquations) -> Iterator[tuple[int, int]]:
    """(first, again) of equations of one form with the same leaves."""
    owners, args, coefs = packed.columns()
    if len(owners) < 2:
        return
    rows = np.ascontiguousarray(np.concatenate([args.T.astype(np.int64), coefs.T.copy().view(np.int64)], axis=1))
    if not rows.shape[1]:
        return
    keys = rows.view(np.dtype((np.void, rows.shape[1] * 8))).ravel()
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[which.ravel()] != np.arange(len(owners)))
    yield from zip(owners[first[which.ravel()[again]]].tolist(), owners[again].tolist(), strict=True)


def _equal_expressions(program: Declarations) -> list[tuple[int, int]]:
    """The same for other equations, whichever side is on the left; nodes that compute the same have one number."""
    numbers: dict[Any, int] = {}
    of_node: dict[int, int] = {}
    known: dict[tuple[int, int], int] = {}
    pairs = []
    others = [i for i, equation in enumerate(program.equations) if isinstance(equation.sides, Sides)]
    for i in others[:MOST_ARRAYS]:
        equation = program.equations[i]
        for node in postorder([equation.left, equation.right]):
            if id(node) not in of_node:
                of_node[id(node)] = numbers.setdefault(_key(node, of_node), len(numbers))
        sides = sorted((of_node[id(equation.left)], of_node[id(equation.right)]))
        first = known.setdefault((sides[0], sides[1]), i)
        if first != i:
            pairs.append((first, i))
    return pairs


def _key(node: Expression, of_node: dict[int, int]) -> Any:
    """What a node computes: its operation, operands and data; its identity where the data cannot be compared."""
    data: Any = node.data
    if isinstance(data, Element):
        data = data.start
    elif isinstance(data, View):
        try:
            data = pickle.dumps((data.name, data.arguments, data.keywords))
        except (pickle.PicklingError, TypeError, AttributeError):
            data = id(node)
    elif isinstance(data, np.ndarray | np.generic):
        data = (np.asarray(data).dtype.str, np.asarray(data).tobytes())
    elif not isinstance(data, str | int | float | tuple | type(None)):
        data = id(data)
    return node.op, tuple(of_node[id(arg)] for arg in node.args), node.shape, data


def unused_findings(plan: Plan) -> Iterator[Finding]:
    """Inputs and parameters in nothing, and inputs and equations that neither objective nor constraints depend on."""
    lowered = plan.lowered
    given = [s for s in lowered.symbols.values() if plan.roles.has_given(s.name) and int(np.prod(s.shape, dtype=int))]
    ends = _in_ends(lowered)
    used = _used(lowered, range(len(lowered.rows.names))) | ends
    nowhere = [s.name for s in given if s.name not in used]
    if nowhere:
        yield Finding("unused", "note", f"used in no equation, constraint or objective: {listing(nowhere)}", (),
                      nowhere[:MOST_NAMES], {"names": len(nowhere)}, "remove them, or look where they were meant to be")
    if lowered.objective is None:
        return
    goals = replace(lowered, objective_groups=lowered.objective_groups + lowered.constraint_groups)
    reached = reached_rows(goals, plan.schedule)[: lowered.n_user_rows]
    starts = lowered.rows.start[: len(lowered.equations) + 1]
    counts = np.add.reduceat(np.append(reached, False).astype(int), starts[:-1]) if len(starts) > 1 else np.empty(0)
    counts = np.where(np.diff(starts) > 0, counts, 1)
    apart = [lowered.equations[i].name for i in np.flatnonzero(counts == 0).tolist()]
    without = set(apart)
    needed = _used(lowered, [i for i, source in enumerate(lowered.source) if source not in without]) | ends
    idle = [s.name for s in given if s.name in used and s.name not in needed]
    if apart or idle:
        goal = "neither the objective nor a constraint depends"
        goal = goal if lowered.constraints else "the objective does not depend"
        equations = [f"the equations of {listing(apart)}"] * bool(apart)
        what = [*equations, *[f"the given {listing(idle)}, which have gradient 0"] * bool(idle)]
        yield Finding("no effect", "note", f"{goal} on {' nor on '.join(what)}", apart[:MOST_NAMES], idle[:MOST_NAMES],
                      {"equations": len(apart), "inputs": len(idle)},
                      "fine for values to look at; otherwise look for what was meant to need them")


def _used(lowered: Lowered, row_blocks: Any) -> set[str]:
    """Names of symbols in some equations (by number of row block), in the objective or in the constraints."""
    chosen = np.zeros(len(lowered.rows.names), dtype=bool)
    chosen[list(row_blocks)] = True
    row, state = lowered.coarse_incidence()
    blocks = [state[chosen[row]], *(coarse_pairs(groups, lowered.rows, lowered.state)[1]
                                    for groups in (lowered.objective_groups, lowered.constraint_groups))]
    return {lowered.state.names[i] for i in np.unique(np.concatenate(blocks)).tolist()}


def _in_ends(lowered: Lowered) -> set[str]:
    """Names of symbols in starts, and in the ends of constraints, that are expressions."""
    ends = [end for constraint in lowered.constraints for end in (constraint.lower, constraint.upper)]
    starts = [symbol.value for symbol in lowered.symbols.values()]
    found = [value for value in (*starts, *ends) if isinstance(value, Expression)]
    return {symbol.name for value in found for symbol in symbols_of(value)}
