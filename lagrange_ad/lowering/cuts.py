"""Where an expression graph is cut: which nodes fit one kernel, which are sums of terms, which become auxiliaries.

Weights go bottom-up: the number of elementary operations a node's kernel would have, or LINEAR when the node is a
sum of terms (reductions, products, long sums). What is not elementwise inside an elementwise expression, and what
exceeds the size cap, becomes an auxiliary: a row and a state block of its own, without a public name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..elementary import TABLE
from ..expression import COMPOSED, Expression, Symbol, expansion
from ..program import Location

SIZE_CAP = 40
"""Most elementary operations in one kernel."""
REPEAT_CAP = 4
"""A computed operand that a broadcast or a gather would compute this often or more becomes an auxiliary."""
LINEAR = -1
SHARED_CAP = 64
"""A sum with more parts than this that is used again becomes an auxiliary: x = x + x forty times stays forty sums."""

_SUMS = frozenset(("add", "subtract", "negative"))
_BIJECTIVE = frozenset("reshape ravel transpose expand_dims squeeze moveaxis swapaxes".split())


class Cuts:
    """The cuts of all expressions of one program, shared subexpressions cut once.

    ``weight`` and ``substitute`` go by node identity; ``auxiliaries`` are (symbol, expression, source); which needs
    which, their index maps tell. Nodes are kept alive by the program while this lives.
    """

    def __init__(self) -> None:
        self.weight: dict[int, int] = {}
        self.substitute: dict[int, Expression] = {}
        self.plain: set[int] = set()
        self.expansions: list[Expression] = []
        self.auxiliaries: list[tuple[Symbol, Expression, str]] = []
        self._parts: dict[int, int] = {}
        self._used: set[int] = set()
        self._source: tuple[str, Any, Location] = ("", None, ("", 0))

    def visit(self, root: Expression, source: str, owner: Any, location: Location) -> None:
        """Weigh every node below ``root`` that is not weighed yet; ``source`` names the user's equation."""
        self._source = (source, owner, location)
        weight = self.weight
        if id(root) in weight:
            return
        pending: list[Expression] = [root]
        while pending:
            node = pending[-1]
            if id(node) in weight:
                pending.pop()
                continue
            waiting = False
            for arg in node.args:
                if id(arg) in weight:
                    continue
                if arg.args:
                    pending.append(arg)
                    waiting = True
                else:
                    weight[id(arg)] = _RULES[arg.op](self, arg)
            if waiting:
                continue
            pending.pop()
            own = self._scalar(node) if not node.shape and node.op in TABLE else None
            if own is None:
                own = _RULES.get(node.op, Cuts._elementwise)(self, node)
            weight[id(node)] = own
            if own == LINEAR:
                self._count_parts(node)

    def leaf(self, node: Expression) -> Expression:
        """The auxiliary's symbol where a node was cut off, else the node."""
        return self.substitute.get(id(node), node)

    def cut(self, node: Expression) -> None:
        """Make a node an auxiliary (symbols, constants and plain rearrangements of symbols stay)."""
        if id(node) in self.plain or node.op == "constant" or id(node) in self.substitute:
            return
        source, owner, location = self._source
        symbol = Symbol(f"auxiliary {len(self.auxiliaries)} of {source}", "auxiliary", node.shape, owner, location)
        self.substitute[id(node)] = Expression("symbol", (), node.shape, symbol)
        self.auxiliaries.append((symbol, node, source))

    def _scalar(self, node: Expression) -> int | None:
        """The weight of a function of scalars of which nothing is to be cut: what the rules below say, sooner."""
        substitute, weight = self.substitute, self.weight
        total, linear = 1, False
        for arg in node.args:
            heaviness = weight[id(arg)]
            if substitute and id(arg) in substitute:
                continue
            linear = linear or heaviness == LINEAR
            total += heaviness
        if node.op in _SUMS:
            return LINEAR if linear or total > SIZE_CAP else total
        return None if linear or total > SIZE_CAP else total

    def _count_parts(self, node: Expression) -> None:
        """How many parts a sum of terms is taken apart into; long ones that were used before are cut."""
        total = 1
        for arg in node.args:
            if self.weight[id(arg)] != LINEAR or id(arg) in self.substitute:
                continue
            if id(arg) in self._used and self._parts[id(arg)] > SHARED_CAP:
                self.cut(arg)
            else:
                self._used.add(id(arg))
                total += self._parts[id(arg)]
        self._parts[id(node)] = total

    def _heaviness(self, node: Expression) -> int:
        return 0 if id(node) in self.substitute else self.weight[id(node)]

    def _symbol(self, node: Expression) -> int:
        self.plain.add(id(node))
        return 0

    def _constant(self, node: Expression) -> int:
        return 0

    def _view(self, node: Expression) -> int:
        child = node.args[0]
        weight = self._heaviness(child)
        if id(child) in self.plain or id(child) in self.substitute:
            self.plain.add(id(node))
            return 0
        if weight == LINEAR and node.data.name in _BIJECTIVE:
            return LINEAR
        if weight == LINEAR or (weight > 0 and node.size >= REPEAT_CAP * max(child.size, 1)):
            self.cut(child)
            self.plain.add(id(node))
            return 0
        return weight

    def _concatenate(self, node: Expression) -> int:
        if all(id(arg) in self.plain or id(arg) in self.substitute for arg in node.args):
            self.plain.add(id(node))
            return 0
        return LINEAR

    def _sum(self, node: Expression) -> int:
        return LINEAR

    def _product(self, node: Expression) -> int:
        for arg in node.args:
            if self._heaviness(arg) != 0:
                self.cut(arg)
        return LINEAR

    def _composed(self, node: Expression) -> int:
        """An operation that others compute: its result is an auxiliary, and so are operands that it repeats."""
        if COMPOSED[node.op].repeats:
            for arg in node.args:
                if self._heaviness(arg) != 0:
                    self.cut(arg)
        inside = expansion(node)
        self.expansions.append(inside)
        self.visit(inside, *self._source)
        self.cut(inside)
        self.substitute[id(node)] = self.leaf(inside)
        return 0

    def _external(self, node: Expression) -> int:
        """A user function has rows of its own, and its operands stand in the state."""
        for arg in node.args:
            if self._heaviness(arg) != 0:
                self.cut(arg)
        self.cut(node)
        return LINEAR

    def _held(self, node: Expression) -> int:
        """What an expansion wants computed once."""
        self.cut(node.args[0])
        self.substitute[id(node)] = self.leaf(node.args[0])
        return 0

    def _elementwise(self, node: Expression) -> int:
        if node.op in _SUMS:
            return self._sum_of_terms(node)
        if node.op in ("multiply", "divide") and self._is_scaling(node):
            return LINEAR
        for arg in node.args:
            if self._heaviness(arg) == LINEAR:
                self.cut(arg)
        self._cut_repeated(node)
        while (total := 1 + sum(self._heaviness(arg) for arg in node.args)) > SIZE_CAP:
            self.cut(max(node.args, key=self._heaviness))
        return total

    def _sum_of_terms(self, node: Expression) -> int:
        self._cut_repeated(node)
        weights = [self._heaviness(arg) for arg in node.args]
        if LINEAR in weights or 1 + sum(weights) > SIZE_CAP:
            return LINEAR
        return 1 + sum(weights)

    def _is_scaling(self, node: Expression) -> bool:
        return scaling(node, self._heaviness) is not None

    def _cut_repeated(self, node: Expression) -> None:
        """Operands that broadcasting would compute many times over, and sums that it would spread."""
        if not node.shape:
            return
        for arg in node.args:
            weight = self._heaviness(arg)
            if arg.shape != node.shape and (
                weight == LINEAR or (weight > 0 and node.size >= REPEAT_CAP * max(arg.size, 1))
            ):
                self.cut(arg)


_RULES: dict[str, Callable[[Cuts, Expression], int]] = {
    "symbol": Cuts._symbol,
    "constant": Cuts._constant,
    "view": Cuts._view,
    "concatenate": Cuts._concatenate,
    "sum": Cuts._sum,
    "scatter": Cuts._sum,
    "matmul": Cuts._product,
    "sparse_matmul": Cuts._product,
    "held": Cuts._held,
    **{name: Cuts._composed for name in COMPOSED},
    "external": Cuts._external,
}


def scaling(node: Expression, heaviness: Callable[[Expression], int]) -> tuple[float, Expression] | None:
    """(factor, operand) of a sum of terms times or over one constant number, else None."""
    left, right = node.args
    if right.op == "constant" and right.size == 1 and heaviness(left) == LINEAR and left.shape == node.shape:
        number = float(right.data.flat[0])
        if node.op == "multiply":
            return number, left
        return (1.0 / number, left) if number else None
    if node.op == "multiply" and left.op == "constant" and left.size == 1 and heaviness(right) == LINEAR:
        return (float(left.data.flat[0]), right) if right.shape == node.shape else None
    return None


def is_mostly_zero(array: np.ndarray[Any, Any]) -> bool:
    """Whether a constant matrix is worth its sparse form."""
    return array.ndim == 2 and array.size >= 16 and 4 * int(np.count_nonzero(array)) <= array.size
