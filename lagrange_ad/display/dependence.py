"""Which symbol depends on which, read from a plan: the graph that is drawn, as index arrays.

Nodes are the program's symbols in the order of their declaration, and the objective after them where it is an
expression. An equation stands at the variable it determines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..expression import Array, symbols_of
from ..forms import PackedEquations
from ..lowering import Lowered
from ..solution import Plan
from ..solution.steps import BlockStep
from ..structure import levels, strong_components


@dataclass(frozen=True, eq=False)
class Dependence:
    """``source[k]`` is a parent of ``target[k]``, each pair once, none with itself.

    ``component``: the nodes that depend on each other share one; ``level``: how many components come before, the
    objective last. ``blocks``: the nodes of every block of the schedule, ``block_sizes`` its
    unknowns. ``equations``: of every node.
    ``objective``: its node, or −1.
    """

    n: int
    source: Array
    target: Array
    component: Array
    level: Array
    blocks: list[Array]
    block_sizes: list[int]
    equations: dict[int, list[int]]
    objective: int


def dependence(plan: Plan) -> Dependence:
    """The graph of a plan."""
    lowered = plan.lowered
    n = len(lowered.symbols)
    equation, determined = _determined(plan)
    user, used = _uses(plan)
    source, target = _join(len(lowered.equations), user, used, equation, determined)
    objective, parents = _objective(lowered)
    if objective == n:
        n += 1
        source, target = np.append(source, parents), np.append(target, np.full(len(parents), n - 1))
    source, target = _distinct(n, source, target)
    component = strong_components(n, source, target)
    columns = [step.user_columns for step in plan.steps if isinstance(step, BlockStep)]
    blocks = [_symbols_at(lowered, each) for each in columns]
    equations: dict[int, list[int]] = {}
    for number, symbol in zip(equation.tolist(), determined.tolist(), strict=True):
        equations.setdefault(symbol, []).append(number)
    level = _levels(n, component, source, target, objective)
    sizes = [len(each) for each in columns]
    return Dependence(n, source, target, component, level, blocks, sizes, equations, objective)


def _levels(n: int, component: Array, source: Array, target: Array, objective: int) -> Array:
    """The level of every node; the objective's is behind all others, unless something depends on it."""
    between = component[source] != component[target]
    count = int(component.max(initial=-1)) + 1
    level = levels(count, component[source[between]], component[target[between]])[component]
    if objective >= 0 and not (source == objective).any():
        others = np.delete(level, objective)
        level[objective] = max(level[objective], int(np.max(others, initial=-1)) + 1)
    return np.asarray(level)


def _distinct(n: int, source: Array, target: Array) -> tuple[Array, Array]:
    keys = np.unique(source[source != target] * n + target[source != target])
    return keys // max(n, 1), keys % max(n, 1)


def _symbols_at(lowered: Lowered, columns: Array) -> Array:
    """The symbols that hold some elements of the state."""
    return np.unique(np.searchsorted(lowered.state.start, columns, side="right") - 1)


def _determined(plan: Plan) -> tuple[Array, Array]:
    """The pairs (equation, symbol) such that an element of the equation determines an element of the symbol."""
    lowered = plan.lowered
    columns = plan.schedule.column_of_row[: lowered.n_user_rows]
    equation = np.searchsorted(lowered.rows.start, np.arange(lowered.n_user_rows), side="right") - 1
    symbol = np.searchsorted(lowered.state.start, columns, side="right") - 1
    n = len(lowered.symbols)
    keys = np.unique(equation * n + symbol)
    return keys // max(n, 1), keys % max(n, 1)


def _uses(plan: Plan) -> tuple[Array, Array]:
    """The pairs (equation, symbol in it); of an explicit one those on its right alone, where its left is not given."""
    lowered = plan.lowered
    number = lowered.state.slices.number
    packed: dict[int, PackedEquations] = {}
    pairs: list[tuple[int, int]] = []
    for i, equation in enumerate(lowered.equations):
        if isinstance(equation.sides, PackedEquations):
            packed[id(equation.sides)] = equation.sides
            continue
        computes = equation.own is not None and not plan.roles.has_given(equation.own.name)
        sides = [equation.right] if computes else [equation.left, equation.right]
        pairs += [(i, number[symbol.name]) for side in sides for symbol in symbols_of(side)]
    parts = [np.array(pairs, dtype=np.int64).reshape(-1, 2), *_packed_uses(lowered, packed.values())]
    user, used = np.concatenate(parts).T
    return user, used


def _packed_uses(lowered: Lowered, packed: Iterable[PackedEquations]) -> Iterator[Array]:
    for equations in packed:
        owners, args, _ = equations.columns()
        symbol = np.searchsorted(lowered.state.start, args, side="right") - 1
        owner = np.broadcast_to(owners, symbol.shape)
        known = owner < len(lowered.equations)  # a program may have grown since
        yield np.stack([owner[known], symbol[known]], axis=1)


def _join(n_equations: int, user: Array, used: Array, equation: Array, determined: Array) -> tuple[Array, Array]:
    """The pairs (used symbol, determined symbol) of the same equation."""
    start = np.searchsorted(equation, np.arange(n_equations + 1))
    counts = np.diff(start)[user]
    source = np.repeat(used, counts)
    first = np.repeat(start[user], counts)
    within = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
    return source, determined[first + within]


def _objective(lowered: Lowered) -> tuple[int, Array]:
    """The node of the objective, and its parents where the node is its own."""
    if lowered.objective is None:
        return -1, np.empty(0, np.int64)
    number, expression = lowered.state.slices.number, lowered.objective.expression
    if expression.op == "symbol":
        return number[expression.data.name], np.empty(0, np.int64)
    parents = [number[symbol.name] for symbol in symbols_of(expression)]
    return len(lowered.symbols), np.array(parents, dtype=np.int64)
