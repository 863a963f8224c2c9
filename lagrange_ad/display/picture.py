"""What a drawing of a program shows: nodes with their lines of text, edges, boxes around cycles.

Takes a plan and a point of it (or none). A large program is condensed: arrays stand for themselves, scalars are
counted by layer, and blocks are single nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..expression import Array
from ..solution import Plan, Point
from ..structure import levels, strong_components
from .dependence import Dependence, dependence

MOST_NODES, MOST_LAYERS = 80, 14
"""Larger or deeper programs are condensed."""
MOST_ARRAYS, MOST_CYCLES, BINS = 20, 6, 6
LONGEST = 20
"""Longer names are cut in the middle."""


@dataclass
class Node:
    """One node. ``members``: the symbols it stands for; ``lines``: (role, text) from top to bottom."""

    kind: str
    members: Array
    lines: list[tuple[str, str]] = field(default_factory=list)
    is_objective: bool = False


@dataclass
class Box:
    """Nodes that are solved together (a block), or computed in turns (``block`` is False)."""

    nodes: list[int]
    label: str
    block: bool = True


@dataclass
class Picture:
    """Nodes, edges between them (numbers of nodes), boxes, clusters (nodes that stand together) with their layers."""

    title: str
    nodes: list[Node]
    edges: list[tuple[int, int]]
    clusters: list[list[int]]
    layers: list[int]
    boxes: list[Box]
    condensed: bool


def picture(plan: Plan, at: Point | None) -> Picture:
    """The picture of a plan, with the numbers of a point where one is given."""
    graph = dependence(plan)
    n_layers = len(np.unique(graph.level))
    condensed = graph.n > MOST_NODES or n_layers > MOST_LAYERS
    group = _condensed(plan, graph) if condensed else np.arange(graph.n)
    text = _Text(plan, graph, at)
    nodes = [text.node(members) for members in _members(group)]
    keys = np.unique(group[graph.source] * len(nodes) + group[graph.target])
    edges = [(int(k // len(nodes)), int(k % len(nodes))) for k in keys if k // len(nodes) != k % len(nodes)]
    clusters, layers = _clusters(len(nodes), edges, group, graph)
    boxes = [] if condensed else _boxes(clusters, graph)
    return Picture(_title(plan, at), nodes, edges, clusters, layers, boxes, condensed)


def _members(group: Array) -> list[Array]:
    order = np.argsort(group, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(group) else []


def _condensed(plan: Plan, graph: Dependence) -> Array:
    """A group for every symbol: arrays and the objective alone, single blocks, the others by kind and layer."""
    symbols = list(plan.lowered.symbols.values())
    ranks = np.unique(graph.level, return_inverse=True)[1]
    layer = ranks * BINS // max(int(np.max(ranks, initial=0)) + 1, BINS)
    keys: list[tuple[object, ...]] = [(plan.roles.part(s), int(layer[i])) for i, s in enumerate(symbols)]
    arrays = [i for i, symbol in enumerate(symbols) if symbol.shape]
    if len(arrays) <= MOST_ARRAYS:
        for i in arrays:
            keys[i] = ("alone", i)
    for number, block in enumerate(graph.blocks):
        for i in block.tolist():
            if keys[i][0] != "alone":
                keys[i] = ("block", number if len(graph.blocks) <= MOST_CYCLES else -1 - int(layer[i]))
    keys += [()] * (graph.n - len(symbols))
    if graph.objective >= 0 and (graph.objective >= len(symbols) or keys[graph.objective][0] != "block"):
        keys[graph.objective] = ("objective",)
    number_of = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([number_of[key] for key in keys])


def _clusters(n: int, edges: Sequence[tuple[int, int]], group: Array, graph: Dependence
              ) -> tuple[list[list[int]], list[int]]:
    """Nodes that depend on each other, and the layer of each cluster: longest paths, the objective at the end."""
    source, target = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    component = strong_components(n, source, target)
    clusters = [part.tolist() for part in _members(component)]
    between = component[source] != component[target]
    level = levels(len(clusters), component[source[between]], component[target[between]])
    if graph.objective >= 0:
        last = component[group[graph.objective]]
        if not (component[source[between]] == last).any():
            level[last] = max(level[last], int(np.max(np.delete(level, last), initial=-1)) + 1)
    return clusters, level.tolist()


def _boxes(clusters: Sequence[list[int]], graph: Dependence) -> list[Box]:
    """A box around the nodes of blocks; and one around what depends on each other without being solved together."""
    inside: dict[int, set[int]] = {}
    for number, block in enumerate(graph.blocks):
        for node in block.tolist():
            inside.setdefault(node, set()).add(number)
    boxes = []
    for nodes in clusters:
        numbers = set().union(*(inside.get(node, set()) for node in nodes))
        if numbers:
            label = _label([graph.block_sizes[number] for number in numbers])
            boxes.append(Box([node for node in nodes if node in inside], label))
        elif len(nodes) > 1:
            boxes.append(Box(list(nodes), "computed in turns", block=False))
    return boxes


def _label(sizes: Sequence[int]) -> str:
    """What blocks of some sizes are: cycles, or single implicit equations."""
    cycles, implicit = sum(size > 1 for size in sizes), sum(size == 1 for size in sizes)
    parts = [f"{cycles} cycles" if cycles > 1 else "cycle"] if cycles else []
    parts += [f"{implicit} implicit equations" if implicit > 1 else "implicit"] if implicit else []
    return ", ".join(parts)


def _title(plan: Plan, at: Point | None) -> str:
    lowered = plan.lowered
    goal = f"{lowered.objective.sense} {lowered.objective.name}" if lowered.objective is not None else "no objective"
    if at is not None and at.solved and lowered.objective is not None:
        return f"{lowered.name}: {goal} = {at.objective:.8g}"
    return f"{lowered.name}: {goal}" + ("" if at is None or at.solved else " (not solved)")


class _Text:
    """The lines of nodes."""

    def __init__(self, plan: Plan, graph: Dependence, at: Point | None) -> None:
        self._lowered, self._graph, self._at = plan.lowered, graph, at
        self._symbols, self._roles = list(plan.lowered.symbols.values()), plan.roles
        self._has = at is not None and at.has_multipliers
        self._cycle = {int(i): number for number, block in enumerate(graph.blocks) for i in block}

    def node(self, members: Array) -> Node:
        """The node that stands for some symbols."""
        if members[0] >= len(self._symbols):
            return self._objective(members)
        goal = bool((members == self._graph.objective).any())
        node = Node(self._kind(members), members, is_objective=goal)
        node.lines += self._heads(members, node.kind)
        unit = f" {self._symbols[members[0]].unit}" if len(members) == 1 else ""
        node.lines += [("value", (text + unit).rstrip()) for text in self._range(members, self._values, 6)]
        node.lines += self._worths(members, node.kind)
        return node

    def _objective(self, members: Array) -> Node:
        objective = self._lowered.objective
        assert objective is not None
        value = [("value", f"{self._at.objective:.6g}")] if self._at is not None and self._at.solved else []
        return Node("objective", members, [("name", short(objective.name)), *value], is_objective=True)

    def _heads(self, members: Array, kind: str) -> list[tuple[str, str]]:
        if len(members) > 1:
            first, last = (self._symbols[members[i]].name for i in (0, -1))
            what = f"{len(members)} {kind}s" if kind != "block" else self._cycles(members)
            return [("name", what), ("detail", f"{short(first, 11)} … {short(last, 11)}")]
        symbol = self._symbols[members[0]]
        shape = [("detail", "×".join(map(str, symbol.shape)))] if symbol.shape else []
        role = self._roles.changed.get(symbol.name)
        return [("name", short(symbol.name)), *shape, *([("detail", role)] if role else [])]

    def _cycles(self, members: Array) -> str:
        """How many cycles, of how many variables."""
        cycles = Counter(self._cycle[i] for i in members.tolist())
        counted = "cycle" if len(cycles) == 1 else f"{len(cycles)} cycles"
        sizes = set(cycles.values())
        return f"{counted} of {sizes.pop()}" if len(sizes) == 1 else f"{counted}, {len(members)} variables"

    def _kind(self, members: Array) -> str:
        if len(members) > 1 and all(i in self._cycle for i in members.tolist()):
            return "block"
        return self._roles.part(self._symbols[members[0]])

    def _values(self, symbol: int) -> Array:
        start = self._lowered.state.start
        return np.asarray(self._at.state[start[symbol] : start[symbol + 1]]) if self._at is not None else np.empty(0)

    def _worths(self, members: Array, kind: str) -> list[tuple[str, str]]:
        """λ of the equations of variables, the gradient of inputs."""
        if not self._has:
            return []
        assert self._at is not None
        if kind not in ("variable", "block"):
            w = self._at.adjoints[1]
            slopes = self._range(members, lambda i: self._roles.masked(self._symbols[i].name, w).ravel(), 5)
            return [("worth", f"∇ {text}") for text in slopes]
        equations = [e for i in members.tolist() for e in self._graph.equations.get(i, [])]
        lam, rows = self._at.adjoints[0], self._lowered.rows.start
        names = {self._lowered.equations[e].name for e in equations} - {self._symbols[members[0]].name}
        of = f"({short(names.pop(), 12)}) " if len(equations) == 1 and names else ""
        found = self._range(np.array(equations), lambda e: lam[rows[e] : rows[e + 1]], 5)
        return [("worth", f"λ {of}{text}") for text in found]

    def _range(self, members: Array, get: Callable[[int], Array], digits: int) -> list[str]:
        """A number, or the least and the largest; nothing where there are none."""
        if self._at is None or not len(members):
            return []
        numbers = np.concatenate([get(int(i)) for i in members])
        if numbers.size == 0:
            return []
        if numbers.size == 1:
            return [f"{numbers[0]:.{digits}g}"]
        return [f"{numbers.min():.{digits - 2}g} … {numbers.max():.{digits - 2}g}"]


def short(name: str, most: int = LONGEST) -> str:
    """A name with its middle left out where it is long."""
    if len(name) <= most:
        return name
    head = (most - 1) // 2
    return f"{name[:head]}…{name[len(name) - (most - 1 - head):]}"
