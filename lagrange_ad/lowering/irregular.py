"""Large scalar expressions in which little repeats: a row for each shared result, kernels that occur often.

Kernels as large as the cap would occur once each, and compute again what they share with others. So such expressions
are cut where a result is used more than once, and further down to single elementary functions where a piece has a form
that hardly occurs: few kernels over many rows. Two passes over numbers do it, :class:`Graph` from the leaves up and
:class:`Pieces` from the roots down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..elementary import TABLE
from ..expression import Element, Expression, Symbol
from ..forms import ARGUMENT, COEFFICIENT, Form, Instances, Token, read
from ..program import Location
from .cuts import SIZE_CAP, Cuts
from .instances import Columns, expressions

FEW = 500
"""Expressions with fewer operations in all are left as they are."""
SAMPLE = 10_000
"""So many operations, the first and the last, show whether expressions are irregular: regular ones are no concern."""
MANY = 128
"""So many kernels of different form, or shared long sums, make expressions irregular."""
OFTEN = 32
"""A form that occurs as often is worth a kernel of its own."""

SIGNS = {"add": (1.0, 1.0), "subtract": (1.0, -1.0), "negative": (-1.0,)}
"""The sums, with the signs of their operands."""
ROWS = "rows"
"""The goal of what adds to rows of auxiliaries."""

_CHOICES = frozenset(name for name, function in TABLE.items() if function.selects and function.arity > 1)
"""A slope that is infinite in the branch not taken must not get out of the kernel that knows which is taken."""
_ANY, _NUMBER, _FOREIGN = -1, -2, -3
"""Parts of a form besides numbers of other forms: an argument, a coefficient, what is not made of scalars."""
_HEAVY = SIZE_CAP + 1

Operand = int
"""The number of a node; or, below 0, −1 − that of a leaf."""
Position = int
"""A place in the state or among rows; or, below 0, −1 − the number of what has a place only when all is cut."""


class Root(NamedTuple):
    """An expression to be lowered: it adds to the rows of its ``goal`` from ``row`` on.

    ``source`` is the user's name of it, ``location`` where it was declared. ``is_solved``: it is a residual that some
    block of equations is solved for, where every auxiliary makes the linear systems larger.
    """

    node: Expression
    goal: str
    row: int
    source: str
    location: Location
    is_solved: bool = False


def take_apart(roots: Sequence[Root], cuts: Cuts, owner: Any) -> Pieces:
    """The pieces of the large scalar expressions among roots where these are irregular; none where not."""
    scalar = [root for root in roots if not root.node.shape and root.node.op in TABLE]
    sample = Graph(scalar, SAMPLE)
    if len(sample.nodes) >= FEW and (sample.is_irregular() or Graph(scalar, SAMPLE, mirrored=True).is_irregular()):
        return Pieces(Graph(scalar), scalar, cuts, owner)
    return Pieces(Graph([]), [], cuts, owner)


class Graph:
    """Scalar expressions as numbers: operations with their operands before them, shared ones once, and their forms.

    ``full`` is a node's form down to the leaves, ``weight`` the operations in it (more than the cap: no kernel).
    ``own`` is its form down to results that others use too: what is ``inside`` belongs to the one node that uses it.
    ``most``: only so many nodes, those that come first, or last when ``mirrored``; tells whether more is worth while.
    """

    def __init__(self, roots: Sequence[Root], most: float = np.inf, mirrored: bool = False) -> None:
        self.nodes: list[Expression] = []
        self.operands: list[tuple[Operand, ...]] = []
        self.uses: list[int] = []
        self.leaves: list[Expression] = []
        self.leaf_root: list[int] = []
        self.ends: list[int] = []
        self.tops: list[Operand] = []
        self._number: dict[int, Operand] = {}
        for root in roots[::-1] if mirrored else roots:
            self._scan(root.node, most, mirrored)
            self.tops.append(self._number.get(id(root.node), -1))
            self.ends.append(len(self.nodes))
        for top in self.tops:
            if top >= 0:
                self.uses[top] += 1
        del self._number
        self._find_forms()

    def _scan(self, root: Expression, most: float, mirrored: bool) -> None:
        """Number the nodes below a root, by a loop."""
        number, uses = self._number, self.uses
        pending = [root]
        while pending and len(self.nodes) < most:
            node = pending[-1]
            if id(node) in number:
                pending.pop()
            elif node.op not in TABLE:
                number[id(node)] = -1 - len(self.leaves)
                self.leaves.append(node)
                self.leaf_root.append(len(self.ends))
            elif waiting := [arg for arg in node.args if id(arg) not in number]:
                pending.extend(waiting if mirrored else waiting[::-1])
            else:
                pending.pop()
                operands = tuple([number[id(arg)] for arg in node.args])
                for operand in operands:
                    if operand >= 0:
                        uses[operand] += 1
                number[id(node)] = len(self.nodes)
                self.nodes.append(node)
                self.operands.append(operands)
                uses.append(0)

    def _find_forms(self) -> None:
        """Number the forms of all nodes and count them; ``kernels`` are those that cutting by size alone would make."""
        self._known: dict[tuple[Any, ...], int] = {}
        self.full, self.own = list[int](), list[int]()
        self.weight, self.own_weight = list[int](), list[int]()
        self.kernels = set[int]()
        self.shared_sums = 0
        self.inside = [count == 1 for count in self.uses]
        for top in self.tops:
            if top >= 0:
                self.inside[top] = False
        forms = [self._leaf_form(leaf) for leaf in self.leaves]
        for i, node in enumerate(self.nodes):
            self._find_full(i, node.op, forms)
            self._find_own(i, node.op, forms)
        n = len(self._known) + 1
        self.full_count, self.own_count = (np.bincount(x, minlength=n).tolist() for x in (self.full, self.own))
        del self._known

    @staticmethod
    def _leaf_form(leaf: Expression) -> int:
        if leaf.op == "constant":
            return _FOREIGN if leaf.is_boolean else _NUMBER
        return _ANY if position_of(leaf) is not None else _FOREIGN

    def _find_full(self, i: int, op: str, forms: list[int]) -> None:
        """The form down to the leaves; that of a long sum, whose terms go their own ways, is 0."""
        weight = 1
        for j in self.operands[i]:
            if j >= 0:
                weight += self.weight[j]
            elif forms[-1 - j] == _FOREIGN:
                weight += _HEAVY
        form = 0
        if weight > SIZE_CAP:
            weight = _HEAVY
            self.kernels.update(self.full[j] for j in self.operands[i] if j >= 0 and self.weight[j] <= SIZE_CAP)
            self.shared_sums += op in SIGNS and self.uses[i] > 1
        if weight <= SIZE_CAP or op not in SIGNS:
            form = self._numbered(op, [self.full[j] if j >= 0 else forms[-1 - j] for j in self.operands[i]], i)
            if weight > SIZE_CAP:
                self.kernels.add(form)
        self.full.append(form)
        self.weight.append(weight)

    def _find_own(self, i: int, op: str, forms: list[int]) -> None:
        """The form down to what is not inside; of a product that is too heavy, the heaviest operands are not."""
        operands, inside = self.operands[i], self.inside
        held = [j for j in operands if j >= 0 and inside[j]]
        weight = 1 + sum([self.own_weight[j] for j in held])
        while weight > SIZE_CAP and op not in SIGNS:
            heaviest = max(held, key=self.own_weight.__getitem__)
            inside[heaviest] = False
            held.remove(heaviest)
            weight -= self.own_weight[heaviest]
        # the terms of a long sum, and those of long sums in it, add to one row
        if op in SIGNS and any([j >= 0 and self.own_weight[j] > SIZE_CAP and self.uses[j] == 1 for j in operands]):
            weight = _HEAVY
        form = 0
        if weight > SIZE_CAP:
            weight, inside[i] = _HEAVY, False
        else:
            parts = [(self.own[j] if inside[j] else _ANY) if j >= 0 else forms[-1 - j] for j in operands]
            form = self._numbered(op, parts, i)
        self.own.append(form)
        self.own_weight.append(weight)

    def _numbered(self, op: str, parts: list[Any], i: int) -> int:
        """The number of a form; literal exponents are parts of it."""
        if op == "power" and parts[1] == _NUMBER:
            parts[1] = "to", float(self.leaves[-1 - self.operands[i][1]].data)
        return self._known.setdefault((op, *parts), len(self._known) + 1)

    def is_irregular(self) -> bool:
        """Whether cutting by size would make a great many kernels, or sum the same terms again and again."""
        return len(self.kernels) >= MANY or self.shared_sums >= MANY


def position_of(leaf: Expression) -> int | None:
    """Where a scalar symbol or one element of a symbol stands in the state; None for what has to be cut first."""
    if leaf.op == "symbol" or type(leaf.data) is Element:
        return leaf.data.start  # type: ignore[no-any-return]
    return None


class Term(NamedTuple):
    """A part that is not made of scalars: ``factor`` times ``node`` adds to a row of a goal."""

    node: Expression
    goal: str
    row: Position
    factor: float


class Pieces:
    """The instances that large scalar expressions are taken apart into, by goal, form and sign.

    ``taken`` are the roots that are (others fit one kernel), ``blocks`` symbols for their auxiliaries, each with the
    user's name of the root, ``terms`` what is left to others. :meth:`place` is told where they stand when all is cut.
    """

    def __init__(self, graph: Graph, roots: Sequence[Root], cuts: Cuts, owner: Any) -> None:
        self._graph, self._roots, self._cuts, self._owner = graph, roots, cuts, owner
        self._needed = bytearray(len(graph.nodes))
        self._instances: dict[tuple[Any, ...], Instances] = {}
        self._hidden: dict[int, None] = {}
        self.terms: list[Term] = []
        sizes = np.diff([0, *graph.ends]).tolist()
        taken = [k for k, top in enumerate(graph.tops) if top >= 0 and graph.weight[top] > SIZE_CAP
                 and (sizes[k] >= FEW or not roots[k].is_solved)]
        self.taken = {id(roots[k]) for k in taken}
        for k in taken:
            self._take_apart(graph.tops[k], roots[k].goal, roots[k].row, False)
        for i in range(len(graph.nodes) - 1, -1, -1):  # what uses a result comes before it and says that it needs it
            if self._needed[i]:
                self._take_apart(i, ROWS, -1 - i, True)
        needed = np.frombuffer(self._needed, dtype=np.uint8)
        self._before = np.concatenate([[0], np.cumsum(needed, dtype=np.int64)])
        ends = self._before[np.concatenate([[0], np.array(graph.ends, dtype=np.int64)])]
        self.blocks = [
            (Symbol(f"results of {root.source}", "auxiliary", (size,), owner, root.location), root.source)
            for root, size in zip(roots, np.diff(ends).tolist(), strict=True) if size
        ]

    def _take_apart(self, node: Operand, goal: str, row: Position, is_row: bool) -> None:
        """The instances that add up to a node; ``is_row``: it is the row's own node, else a row of others perhaps."""
        graph = self._graph
        pending = [(node, 1.0)]
        while pending:
            i, factor = pending.pop()
            if i < 0 or (graph.uses[i] > 1 and not (is_row and i == node)):
                self._add_leaf(i, goal, row, factor)
                continue
            whole = graph.nodes[i].op in _CHOICES
            if graph.weight[i] <= SIZE_CAP and (whole or graph.full_count[graph.full[i]] >= OFTEN):
                self._add_full(i, goal, row, factor)
            elif (scaled := self._scaled(i, factor)) is not None:
                pending.append(scaled)
            elif graph.own_weight[i] == 1 or (
                graph.own_weight[i] <= SIZE_CAP and (whole or graph.own_count[graph.own[i]] >= OFTEN)
            ):
                self._add(i, graph.inside, graph.own[i], goal, row, factor)
            elif graph.nodes[i].op in SIGNS:
                signs = SIGNS[graph.nodes[i].op]
                pending.extend([(j, factor * sign) for j, sign in zip(graph.operands[i], signs, strict=True)][::-1])
            else:
                self._add(i, (), self._alone(i), goal, row, factor)

    def _scaled(self, i: int, factor: float) -> tuple[Operand, float] | None:
        """A long sum times or over a number is the sum of its terms times that number."""
        graph = self._graph
        op, operands = graph.nodes[i].op, graph.operands[i]
        if op not in ("multiply", "divide"):
            return None
        for j, other in (operands, operands[::-1]) if op == "multiply" else (operands,):
            if j >= 0 and graph.own_weight[j] > SIZE_CAP and graph.uses[j] == 1 and other < 0:
                leaf = graph.leaves[-1 - other]
                number = float(leaf.data) if leaf.op == "constant" else 0.0
                if number:
                    return j, factor * number if op == "multiply" else factor / number
        return None

    def _alone(self, i: int) -> tuple[Any, ...]:
        """The form of a node's operation by itself."""
        graph = self._graph
        op, numbers = graph.nodes[i].op, [j < 0 and graph.leaves[-1 - j].op == "constant" for j in graph.operands[i]]
        exponent = float(graph.leaves[-1 - graph.operands[i][1]].data) if op == "power" and numbers[1] else None
        return op, *numbers, exponent

    def _add_full(self, i: int, goal: str, row: Position, factor: float) -> None:
        """One instance with all that is below a node."""
        reading = read([self._graph.nodes[i]], None, factor)
        assert reading is not None
        self._add_reading(("full", reading.tokens), goal, reading.tokens, row, reading.args, reading.coefs)

    def _add(self, i: int, inside: Sequence[bool], form: Any, goal: str, row: Position, factor: float) -> None:
        """One instance of a node's operation with those that are inside; other operands become rows."""
        graph = self._graph
        tokens, args, coefs = _scaling(factor)
        key = form, len(tokens), tokens[:1] == ["negative"]
        pending: list[Operand] = [i]
        while pending:
            j = pending.pop()
            if j < 0:
                tokens.append(self._leaf(j, args, coefs))
            elif j == i or (inside and inside[j]):
                op, operands = graph.nodes[j].op, graph.operands[j]
                last = graph.leaves[-1 - operands[-1]] if operands[-1] < 0 else None
                if op == "power" and last is not None and last.op == "constant":
                    tokens.append(float(last.data))
                    pending.append(operands[0])
                else:
                    tokens.append(op)
                    pending.extend(operands[::-1])
            else:
                self._needed[j] = True
                tokens.append(ARGUMENT)
                args.append(-1 - j)
        self._add_reading(key, goal, tokens, row, args, coefs)

    def _leaf(self, j: Operand, args: list[Position], coefs: list[float]) -> Token:
        """Put a leaf where it belongs; what is not made of scalars becomes an auxiliary."""
        leaf = self._graph.leaves[-1 - j]
        if leaf.op == "constant":
            coefs.append(float(leaf.data))
            return COEFFICIENT
        position = position_of(leaf)
        if position is None:
            self._visit(j)
            self._cuts.cut(leaf)
            self._hidden[-1 - j] = None
            position = j - len(self._graph.nodes)
        args.append(position)
        return ARGUMENT

    def _visit(self, j: Operand) -> None:
        """Weigh what is not made of scalars, in the name of the root that has it."""
        root = self._roots[self._graph.leaf_root[-1 - j]]
        self._cuts.visit(self._graph.leaves[-1 - j], root.source, self._owner, root.location)

    def _add_leaf(self, i: Operand, goal: str, row: Position, factor: float) -> None:
        """A summand that is computed elsewhere."""
        graph = self._graph
        if i < 0:
            leaf = graph.leaves[-1 - i]
            if leaf.op != "constant" and position_of(leaf) is None:
                self._visit(i)
                self.terms.append(Term(leaf, goal, row, factor))
                return
        tokens, args, coefs = _scaling(factor)
        if i < 0:
            tokens.append(self._leaf(i, args, coefs))
        else:
            self._needed[i] = True
            tokens.append(ARGUMENT)
            args.append(-1 - i)
        self._add_reading(tuple(tokens), goal, tokens, row, args, coefs)

    def _add_reading(self, key: Any, goal: str, tokens: Sequence[Token], row: Position, args: list[Position],
                     coefs: list[float]) -> None:
        instances = self._instances.get((goal, key))
        if instances is None:
            instances = self._instances[goal, key] = Instances(Form(tuple(tokens)))
        instances.add(row, args, coefs)

    # places ------------------------------------------------------------------------------------------------

    def place(self, first_row: int, first_element: int, position: Callable[[Expression], int]) -> None:
        """Rows of auxiliaries begin here, and their elements here; ``position`` tells where what was cut stands."""
        graph = self._graph
        n = len(graph.nodes)
        self._row = first_row + self._before[:-1]
        self._element = np.full(n + len(graph.leaves), -1, dtype=np.int64)
        self._element[:n] = first_element + self._before[:-1]
        for k in self._hidden:
            self._element[n + k] = position(graph.leaves[k])

    def row(self, row: Position, first: int = 0) -> int:
        """Where a row is; ``first`` is the first of its goal."""
        return first + row if row >= 0 else int(self._row[-1 - row])

    def columns(self, goal: str, first: int = 0) -> Iterator[Columns]:
        """What adds to the rows of a goal, whose first is given; owners are rows."""
        for key, instances in self._instances.items():
            if key[0] == goal:
                kernel, args, coefs, rows = expressions(instances)
                args = [np.where(a < 0, self._element[np.where(a < 0, -1 - a, 0)], a) for a in args]
                rows = self._row[-1 - rows] if goal == ROWS else first + rows
                yield Columns(kernel, args, coefs, rows)


def _scaling(factor: float) -> tuple[list[Token], list[Position], list[float]]:
    """The beginning of a form for factor times something: tokens, arguments, coefficients."""
    if factor == 1.0:
        return [], [], []
    return (["negative"], [], []) if factor == -1.0 else (["multiply", COEFFICIENT], [], [factor])
