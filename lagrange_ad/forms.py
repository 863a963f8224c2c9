"""Equations between scalars by their form: what a program keeps of those that a loop declares by the million.

Takes the two sides of an equation; gives the *form* it has in common with others (operations and literal exponents)
and, for the equation itself, nothing but numbers: where its leaves stand in the state, and its constants. The sides
are made again when somebody looks at them; lowering takes the numbers of all equations of a form as arrays.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from .elementary import TABLE
from .expression import Array, Element, Expression, constant, elementwise

Token = str | float
"""A part of a form in prefix order: an operation's name, ARGUMENT, COEFFICIENT, a literal exponent (a float, followed
by what it is the exponent of), or a reference to an earlier operation ("=3")."""
Tokens = tuple[Token, ...]

ARGUMENT, COEFFICIENT = "arg", "coef"
MOST_OPERATIONS = 40
"""An expression with more operations is kept as it is."""


REPEATED = 10
"""After so many expressions of a form its reader is worth to be compiled."""


class Reading(NamedTuple):
    """Scalar expressions read once: the tokens of their form, positions of arguments, values of coefficients."""

    tokens: Tokens
    args: list[int]
    coefs: list[float]


def read(roots: Sequence[Expression], replaced: Mapping[int, Expression] | None = None,
         factor: float = 1.0) -> Reading | None:
    """The reading of scalar expressions made of elementary functions; None where they are not, or too long.

    ``replaced`` has symbols, by identity of the nodes that they stand for; ``factor`` multiplies the one root.
    """
    if any(root.shape for root in roots):
        return None
    tokens: list[Token] = [] if factor == 1.0 else ["negative"] if factor == -1.0 else ["multiply", COEFFICIENT]
    args: list[int] = []
    coefs: list[float] = [factor] if len(tokens) == 2 else []
    seen: dict[int, int] = {0: 0} if tokens else {}
    pending = [*reversed(roots)]
    while pending:  # all below is scalar, as functions of arrays are arrays
        node = pending.pop()
        if replaced:
            node = replaced.get(id(node), node)
        op = node.op
        if op in TABLE:
            number = len(seen)
            known = seen.setdefault(id(node), number)
            if known != number:
                tokens.append(f"={known}")
                continue
            if number == MOST_OPERATIONS:
                return None
            operands = node.args
            if op == "power" and operands[1].op == "constant":
                tokens.append(float(operands[1].data))
                pending.append(operands[0])
            else:
                tokens.append(op)
                pending.extend(operands[::-1])
        elif op == "symbol" or (op == "view" and type(node.data) is Element):
            tokens.append(ARGUMENT)
            args.append(node.data.start)
        elif op == "constant" and not node.is_boolean:
            tokens.append(COEFFICIENT)
            coefs.append(float(node.data))
        else:
            return None
    return Reading(tuple(tokens), args, coefs)


class Form:
    """Some scalar expressions up to their leaves.

    ``nodes`` are in evaluation order, each ("arg", j), ("coef", j), ("const", value) or (function, operands…) as those
    of a kernel, ``roots`` the positions of the expressions in it; every occurrence of a leaf has a number of its own.
    """

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.nodes: list[tuple[Any, ...]] = []
        self.roots: list[int] = []
        self.n_args = self.n_coefs = 0
        self._parse()

    def _parse(self) -> None:
        place: list[int] = []  # of every operation
        waiting: list[tuple[Token, int, list[int]]] = []  # operations, their numbers, their operands so far
        for token in self.tokens:
            if isinstance(token, float) or token in TABLE:
                waiting.append((token, len(place), []))
                place.append(-1)
                continue
            done = place[int(token[1:])] if token[0] == "=" else self._leaf(token)
            while waiting:
                operation, number, operands = waiting[-1]
                operands.append(done)
                if len(operands) < (1 if isinstance(operation, float) else TABLE[operation].arity):
                    break
                waiting.pop()
                done = place[number] = self._operation(operation, operands)
            else:
                self.roots.append(done)

    def _leaf(self, token: str) -> int:
        number = self.n_args if token == ARGUMENT else self.n_coefs
        self.n_args += token == ARGUMENT
        self.n_coefs += token == COEFFICIENT
        return self._add((token, number))

    def _operation(self, operation: Token, operands: list[int]) -> int:
        if isinstance(operation, float):
            return self._add(("power", *operands, self._add(("const", operation))))
        return self._add((operation, *operands))

    def _add(self, node: tuple[Any, ...]) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    @cached_property
    def weights(self) -> list[int]:
        """The number of operations of every node, shared ones counted at every use."""
        weights: list[int] = []
        for node in self.nodes:
            leaf = node[0] in (ARGUMENT, COEFFICIENT, "const")
            weights.append(0 if leaf else 1 + sum(weights[i] for i in node[1:]))
        return weights

    def expressions(self, args: Sequence[Expression], coefs: Sequence[float]) -> list[Expression]:
        """The expressions with these leaves."""
        made: list[Expression] = []
        for node in self.nodes:
            if node[0] == ARGUMENT:
                made.append(args[node[1]])
            elif node[0] == COEFFICIENT:
                made.append(constant(coefs[node[1]]))
            elif node[0] == "const":
                made.append(constant(node[1]))
            else:
                made.append(elementwise(node[0], *(made[i] for i in node[1:])))
        return [made[i] for i in self.roots]

    @cached_property
    def reader(self) -> Reader | None:
        """A function that reads expressions of this form, several times as fast as :func:`read`; None where operations
        are shared, which only that notices."""
        operands = [i for node in self.nodes if node[0] in TABLE for i in node[1:]]
        if len({*operands, *self.roots}) < len(operands) + len(self.roots):
            return None
        names: dict[str, Any] = {"float64": np.float64}
        exec(_reader_source(self), names)
        reader: Reader = names["reader"]
        return reader

    def __reduce__(self) -> Any:
        return (Form, (self.tokens,))


Leaves = tuple[Sequence[int], Sequence[float]]
"""The positions of arguments and the values of coefficients."""
Reader = Callable[..., Leaves | None]


def _reader_source(form: Form) -> str:
    """Python text: every node's operation compared with the form's, leaves collected."""
    lines = [f"def reader({', '.join(f'n{root}' for root in form.roots)}):"]
    args, coefs = [""] * form.n_args, [""] * form.n_coefs
    for i in reversed(range(len(form.nodes))):  # operands stand before what uses them
        name, *operands = form.nodes[i]
        if name == ARGUMENT:
            args[operands[0]] = f"n{i}.data.start"  # only symbols and elements have it
        elif name == COEFFICIENT:
            lines.append(f" if type(n{i}.data) is not float64: return None")
            coefs[operands[0]] = f"n{i}.data"
        elif name == "const":
            lines.append(f" if n{i}.op != 'constant' or n{i}.data != {operands[0]!r}: return None")
        else:
            lines.append(f" if n{i}.op != {name!r}: return None")
            lines.append(f" {', '.join(f'n{j}' for j in operands)}, = n{i}.args")
    values = f"({''.join(a + ', ' for a in args)}), ({''.join(c + ', ' for c in coefs)})"
    return "\n".join([*lines, " try:", f"  return {values}", " except AttributeError:", "  return None"])


class Instances:
    """What expressions of one form are made of, one after the other, and a number that says whose each is."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.owners, self.args, self.coefs = array("q"), array("q"), array("d")

    def __len__(self) -> int:
        return len(self.owners)

    def add(self, owner: int, args: Sequence[int], coefs: Sequence[float]) -> None:
        """One more."""
        self.owners.append(owner)
        self.args.extend(args)
        self.coefs.extend(coefs)

    def leaves(self, *roots: Expression) -> Leaves | None:
        """The leaves of expressions that have this form; None where they have not, or few had so far."""
        if len(self.owners) < REPEATED:
            return None
        reader = self.form.reader
        return reader(*roots) if reader is not None else None

    def argument(self, number: int) -> Array:
        """The positions of one argument (n,)."""
        return np.array(self.args, dtype=np.int64)[number :: self.form.n_args]

    def columns(self) -> tuple[Array, Array, Array]:
        """Copies: owners (n,), positions of arguments (n_args, n), coefficients (n_coefs, n)."""
        n = len(self)
        return (
            np.array(self.owners, dtype=np.int64),
            np.array(np.array(self.args, dtype=np.int64).reshape(n, self.form.n_args).T, order="C"),
            np.array(np.array(self.coefs, dtype=np.float64).reshape(n, self.form.n_coefs).T, order="C"),
        )


class Sides(NamedTuple):
    """The left and the right side of an equation."""

    left: Expression
    right: Expression


class PackedEquations(Instances):
    """The equations of one form in a program, the right sides first; whose each is: its place among all equations.

    ``node_at`` gives the node of the scalar at a position of the state. The sides of an equation are made when asked
    for, and are the same nodes while anybody holds them.
    """

    def __init__(self, form: Form, node_at: Callable[[int], Expression]) -> None:
        super().__init__(form)
        self._node_at = node_at
        self._made: WeakValueDictionary[tuple[int, int], Expression] = WeakValueDictionary()

    def sides(self, number: int) -> Sides:
        """The sides of one equation."""
        right, left = self._made.get((number, 0)), self._made.get((number, 1))
        if right is None or left is None:
            n_args, n_coefs = self.form.n_args, self.form.n_coefs
            args = [self._node_at(i) for i in self.args[number * n_args : (number + 1) * n_args]]
            right, left = self.form.expressions(args, self.coefs[number * n_coefs : (number + 1) * n_coefs])
            right = self._made.setdefault((number, 0), right)
            left = self._made.setdefault((number, 1), left)
        return Sides(left, right)

    def restricted(self, place: Array) -> tuple[PackedEquations, Array]:
        """Those equations that have a new place among all (``place`` by the old one, −1: left out), and each number's
        new one."""
        other, (owners, args, coefs) = PackedEquations(self.form, self._node_at), self.columns()
        kept = np.flatnonzero(place[owners] >= 0)
        other.owners = array("q", place[owners[kept]].tobytes())
        other.args = array("q", args[:, kept].T.tobytes())
        other.coefs = array("d", coefs[:, kept].T.tobytes())
        number = np.full(len(owners), -1, dtype=np.int64)
        number[kept] = np.arange(len(kept))
        return other, number

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _made=WeakValueDictionary())
