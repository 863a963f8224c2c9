"""Kernels: small scalar expressions φ(arg_0, …; coef_0, …) as flat tuples, and the builder that makes them.

A kernel is a directed acyclic graph in evaluation order with shared subexpressions. Two equations of the same
form give equal kernels, which are interned: equality is identity. The builder simplifies little and explicitly
(0·x, 1·x, constants folded) and never by search.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..elementary import TABLE, UFUNC_NAMES

KernelNode = tuple[Any, ...]
"""("arg", j), ("coef", j), ("const", value) or (elementary name, operand positions…)."""


class Kernel:
    """A scalar function of ``n_args`` state elements and ``n_coefs`` coefficients, with one or more outputs.

    ``nodes`` in evaluation order, ``outputs`` positions in it. Made by :func:`intern_kernel` only.
    """

    shares_arguments = True
    """Whether arguments that stand in the same place may become one."""

    def __init__(self, nodes: tuple[KernelNode, ...], outputs: tuple[int, ...]) -> None:
        self.nodes, self.outputs = nodes, outputs
        self.n_args = 1 + max((node[1] for node in nodes if node[0] == "arg"), default=-1)
        self.n_coefs = 1 + max((node[1] for node in nodes if node[0] == "coef"), default=-1)

    @cached_property
    def n_operations(self) -> int:
        """Number of elementary functions it computes: shared ones once, leaves not at all."""
        return sum(node[0] not in ("arg", "coef", "const") for node in self.nodes)

    @cached_property
    def partials(self) -> Kernel:
        """The kernel of ∂φ/∂arg_j: one output an argument."""
        from .differentiate import partials

        return partials(self)

    @cached_property
    def with_partials(self) -> Kernel:
        """The kernel of φ and then its partials, what they share computed once."""
        builder = Builder()
        own, first = builder.load(self), builder.load(self.partials)
        return builder.finish([own[self.outputs[0]], *(first[i] for i in self.partials.outputs)])

    @cached_property
    def second_partials(self) -> tuple[Kernel, tuple[tuple[int, int], ...]]:
        """The kernel of the nonzero ∂²φ/∂arg_i∂arg_j with i >= j, and the pair (i, j) of each output."""
        from .differentiate import second_partials

        return second_partials(self)

    def with_arguments(self, numbers: Sequence[int]) -> Kernel:
        """The kernel with argument j called numbers[j]; what becomes equal is computed once."""
        builder = Builder()
        placed: list[int] = []
        for name, *operands in self.nodes:
            if name == "arg":
                placed.append(builder.raw((name, numbers[operands[0]])))
            elif name in ("coef", "const"):
                placed.append(builder.raw((name, *operands)))
            else:
                placed.append(builder.raw((name, *(placed[i] for i in operands))))
        return builder.finish([placed[i] for i in self.outputs])

    @cached_property
    def selects(self) -> bool:
        """Whether a branch is selected somewhere: a partial derivative that is 0 may then be of the one not taken."""
        return any(node[0] in TABLE and TABLE[node[0]].selects for node in self.nodes)

    def is_zero(self, output: int) -> bool:
        """Whether an output is the constant 0."""
        return self.nodes[self.outputs[output]] == ("const", 0.0)

    def is_product(self) -> bool:
        """Whether φ = arg_0·arg_1, coef_0·arg_0 or arg_0·coef_0: what a matrix product sums."""
        if len(self.nodes) != 3 or self.nodes[2][0] != "multiply":
            return False
        return {self.nodes[0], self.nodes[1]} <= {("arg", 0), ("arg", 1), ("coef", 0)}

    def __repr__(self) -> str:
        names: list[str] = []
        for node in self.nodes:
            if node[0] in ("arg", "coef"):
                names.append(f"{node[0][0]}{node[1]}")
            elif node[0] == "const":
                names.append(f"{node[1]:g}")
            else:
                names.append(f"{node[0]}({', '.join(names[i] for i in node[1:])})"[:200])
        return f"<kernel {', '.join(names[i] for i in self.outputs)}>"

    def __reduce__(self) -> Any:
        return (intern_kernel, (self.nodes, self.outputs))


_INTERNED: dict[tuple[tuple[KernelNode, ...], tuple[int, ...]], Kernel] = {}


_FINISHED: dict[tuple[tuple[KernelNode, ...], tuple[int, ...]], Kernel] = {}
"""The kernels of builders by all of a builder's nodes."""


def intern_kernel(nodes: tuple[KernelNode, ...], outputs: tuple[int, ...]) -> Kernel:
    """The one kernel with these nodes and outputs."""
    key = (nodes, outputs)
    kernel = _INTERNED.get(key)
    if kernel is None:
        kernel = _INTERNED.setdefault(key, Kernel(nodes, outputs))
    return kernel


class Builder:
    """Makes kernel nodes, each distinct one once."""

    def __init__(self) -> None:
        self.nodes: list[KernelNode] = []
        self._known: dict[KernelNode, int] = {}

    def raw(self, node: KernelNode) -> int:
        """The position of a node, added when it is new."""
        position = self._known.get(node)
        if position is None:
            position = self._known[node] = len(self.nodes)
            self.nodes.append(node)
        return position

    def const(self, value: float) -> int:
        """A literal number."""
        return self.raw(("const", float(value) + 0.0))

    def value(self, position: int) -> float | None:
        """The number of a literal, else None."""
        node = self.nodes[position]
        return node[1] if node[0] == "const" else None

    def make(self, name: str, *operands: int) -> int:
        """An elementary function of earlier nodes, simplified where that is plain."""
        numbers = [self.value(i) for i in operands]
        if all(n is not None for n in numbers):
            with np.errstate(all="ignore"):
                return self.const(float(TABLE[name].function(*numbers)))
        simpler = _SIMPLIFY[name](self, operands, numbers) if name in _SIMPLIFY else None
        return self.raw((name, *operands)) if simpler is None else simpler

    def symbol(self, position: int) -> Symbolic:
        """A node as an object that operators and NumPy's functions take."""
        return Symbolic(self, position)

    def load(self, kernel: Kernel) -> list[int]:
        """Copy a kernel's nodes into this builder; the new position of each."""
        placed: list[int] = []
        for node in kernel.nodes:
            if node[0] in ("arg", "coef", "const"):
                placed.append(self.raw(node))
            else:
                placed.append(self.make(node[0], *(placed[i] for i in node[1:])))
        return placed

    def finish(self, outputs: list[int]) -> Kernel:
        """The kernel of the given nodes, without what they do not need; equal ones are looked up."""
        key = (tuple(self.nodes), tuple(outputs))
        kernel = _FINISHED.get(key)
        if kernel is None:
            kernel = _FINISHED[key] = self._trimmed(outputs)
        return kernel

    def _trimmed(self, outputs: list[int]) -> Kernel:
        needed = set(outputs)
        for position in range(len(self.nodes) - 1, -1, -1):
            node = self.nodes[position]
            if position in needed and node[0] not in ("arg", "coef", "const"):
                needed.update(node[1:])
        order = sorted(needed)
        renumbered = {old: new for new, old in enumerate(order)}
        nodes = tuple(
            node if node[0] in ("arg", "coef", "const") else (node[0], *(renumbered[i] for i in node[1:]))
            for node in (self.nodes[i] for i in order)
        )
        return intern_kernel(nodes, tuple(renumbered[i] for i in outputs))


def _add(b: Builder, ops: tuple[int, ...], n: list[float | None]) -> int | None:
    if n[0] == 0.0:
        return ops[1]
    return ops[0] if n[1] == 0.0 else None


def _subtract(b: Builder, ops: tuple[int, ...], n: list[float | None]) -> int | None:
    if n[0] == 0.0:
        return b.make("negative", ops[1])
    return ops[0] if n[1] == 0.0 else None


def _negative(b: Builder, ops: tuple[int, ...], n: list[float | None]) -> int | None:
    node = b.nodes[ops[0]]
    return node[1] if node[0] == "negative" else None


def _multiply(b: Builder, ops: tuple[int, ...], n: list[float | None]) -> int | None:
    for one, other in ((0, 1), (1, 0)):
        if n[one] == 0.0:
            return b.const(0.0)
        if n[one] == 1.0:
            return ops[other]
        if n[one] == -1.0:
            return b.make("negative", ops[other])
    return _multiply_branches(b, ops)


def _multiply_branches(b: Builder, ops: tuple[int, ...]) -> int | None:
    """where(c, p, q)·d with literal p, q selects a branch: a mask that is 0 must not meet an infinite d."""
    for one, other in ((0, 1), (1, 0)):
        node = b.nodes[ops[one]]
        if node[0] == "where" and b.value(node[2]) is not None and b.value(node[3]) is not None:
            branches = [b.make("multiply", node[i], ops[other]) for i in (2, 3)]
            return b.make("where", node[1], *branches)
    return None


def _divide(b: Builder, ops: tuple[int, ...], n: list[float | None]) -> int | None:
    if n[0] == 0.0:
        return b.const(0.0)
    return ops[0] if n[1] == 1.0 else None


def _power(b: Builder, ops: tuple[int, ...], n: list[float | None]) -> int | None:
    x = ops[0]
    if n[1] is None:
        return None
    if n[1] == 3.0:
        return b.make("multiply", b.make("square", x), x)
    named = {2.0: "square", 0.5: "sqrt", -1.0: "reciprocal"}
    if n[1] in named:
        return b.make(named[n[1]], x)
    return {0.0: b.const(1.0), 1.0: x}.get(n[1])


def _where(b: Builder, ops: tuple[int, ...], n: list[float | None]) -> int | None:
    if n[0] is not None:
        return ops[1] if n[0] else ops[2]
    return ops[1] if ops[1] == ops[2] else None


_SIMPLIFY: dict[str, Any] = {
    "add": _add, "subtract": _subtract, "negative": _negative, "multiply": _multiply, "divide": _divide,
    "power": _power, "where": _where,
}  # fmt: skip


class Symbolic:
    """A kernel node that derivative rules compute with: operators and NumPy's functions make further nodes."""

    __slots__ = ("builder", "position")

    def __init__(self, builder: Builder, position: int) -> None:
        self.builder, self.position = builder, position

    def _make(self, name: str, *operands: Any) -> Symbolic:
        positions = [x.position if isinstance(x, Symbolic) else self.builder.const(x) for x in operands]
        return Symbolic(self.builder, self.builder.make(name, *positions))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Symbolic:
        return self._make(UFUNC_NAMES.get(ufunc.__name__, ufunc.__name__), *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Symbolic:
        return self._make(function.__name__, *args)

    def __add__(self, other: Any) -> Symbolic:
        return self._make("add", self, other)

    def __radd__(self, other: Any) -> Symbolic:
        return self._make("add", other, self)

    def __sub__(self, other: Any) -> Symbolic:
        return self._make("subtract", self, other)

    def __rsub__(self, other: Any) -> Symbolic:
        return self._make("subtract", other, self)

    def __mul__(self, other: Any) -> Symbolic:
        return self._make("multiply", self, other)

    def __rmul__(self, other: Any) -> Symbolic:
        return self._make("multiply", other, self)

    def __truediv__(self, other: Any) -> Symbolic:
        return self._make("divide", self, other)

    def __rtruediv__(self, other: Any) -> Symbolic:
        return self._make("divide", other, self)

    def __neg__(self) -> Symbolic:
        return self._make("negative", self)
