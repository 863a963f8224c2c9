"""From kernels to LLVM: the nodes of a kernel as instructions on doubles, or on vectors of them.

What a row of the table of elementary functions becomes is its ``native`` column: an instruction, a function of the C
library (its vector form where the host has one), a function of :mod:`special`, or a formula of other rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from ...elementary import TABLE
from ...lowering import Kernel
from ...lowering.kernel import Builder
from .host import Host
from .ir import Function, splat, vector_type

Value = tuple[str, bool]
"""A name and whether it is a truth value (i1) rather than a double."""


class Emitter:
    """Writes kernels into one function, ``width`` instances at a time."""

    def __init__(self, function: Function, host: Host, width: int) -> None:
        self.f, self.host, self.width, self.kind = function, host, width, vector_type(width)

    def kernel(self, kernel: Kernel, args: Sequence[str], coefs: Sequence[str]) -> list[str]:
        """The outputs of a kernel, as doubles, for values of its arguments and coefficients."""
        values = self._nodes(kernel, [(a, False) for a in args], [(c, False) for c in coefs])
        return [self.number(values[i]) for i in kernel.outputs]

    def _nodes(self, kernel: Kernel, args: Sequence[Value], coefs: Sequence[Value]) -> list[Value]:
        values: list[Value] = []
        for node in kernel.nodes:
            match node[0]:
                case "arg":
                    values.append(args[node[1]])
                case "coef":
                    values.append(coefs[node[1]])
                case "const":
                    values.append((splat(node[1], self.width), False))
                case name:
                    values.append(self.elementary(name, [values[i] for i in node[1:]]))
        return values

    def elementary(self, name: str, operands: list[Value]) -> Value:
        """One row of the table."""
        native = TABLE[name].native
        if callable(native):
            formula = formula_kernel(name)
            return self._nodes(formula, operands, [])[formula.outputs[0]]
        word, _, detail = native.partition(" ")
        if word == "select":
            return self._select(operands)
        if word == "logical":
            return self._logical(detail, operands)
        numbers = [self.number(x) for x in operands]
        match word:
            case "fcmp":
                return self.f.do(f"fcmp {detail} {self.kind} {numbers[0]}, {numbers[1]}"), True
            case "fneg":
                return self.f.do(f"fneg {self.kind} {numbers[0]}"), False
            case "llvm":
                return self._call(f"llvm.{detail}.{'f64' if self.width == 1 else f'v{self.width}f64'}", numbers), False
            case "libm":
                return self._library(detail, numbers), False
            case "own":
                return self._lane_by_lane(f"special_{detail}", numbers), False
        return self.f.do(f"{word} contract {self.kind} {numbers[0]}, {numbers[1]}"), False

    def number(self, value: Value) -> str:
        """A value as doubles: truth as 1 and 0."""
        name, boolean = value
        if not boolean:
            return name
        truth = "i1" if self.width == 1 else f"<{self.width} x i1>"
        return self.f.do(f"uitofp {truth} {name} to {self.kind}")

    def truth(self, value: Value) -> str:
        """A value as truth: what is not 0 (NaN is true, as in NumPy)."""
        name, boolean = value
        return name if boolean else self.f.do(f"fcmp une {self.kind} {name}, {splat(0.0, self.width)}")

    def _select(self, operands: list[Value]) -> Value:
        truth = "i1" if self.width == 1 else f"<{self.width} x i1>"
        yes, no = self.number(operands[1]), self.number(operands[2])
        return self.f.do(f"select {truth} {self.truth(operands[0])}, {self.kind} {yes}, {self.kind} {no}"), False

    def _logical(self, operation: str, operands: list[Value]) -> Value:
        kind = "i1" if self.width == 1 else f"<{self.width} x i1>"
        truths = [self.truth(x) for x in operands]
        if operation == "not":
            ones = "true" if self.width == 1 else "<" + ", ".join(["i1 true"] * self.width) + ">"
            return self.f.do(f"xor {kind} {truths[0]}, {ones}"), True
        return self.f.do(f"{operation} {kind} {truths[0]}, {truths[1]}"), True

    def _library(self, name: str, operands: list[str]) -> str:
        """A function of the C library: vector form, or lane by lane."""
        symbol = self.host.vector_function(name, len(operands), self.width) if self.width > 1 else None
        return self._lane_by_lane(f"la_{name}", operands) if symbol is None else self._call(symbol, operands)

    def _lane_by_lane(self, symbol: str, operands: list[str]) -> str:
        """A function of single numbers."""
        columns = [self.f.lanes(x, self.width) for x in operands]
        scalar = Emitter(self.f, self.host, 1)
        return self.f.packed([scalar._call(symbol, list(lane)) for lane in zip(*columns, strict=True)])

    def _call(self, symbol: str, operands: list[str]) -> str:
        kinds = ", ".join([self.kind] * len(operands))
        pure = "" if symbol.startswith("llvm.") else " nounwind willreturn memory(none)"
        self.f.needed[symbol] = f"declare {self.kind} @{symbol}({kinds}){pure}"
        return self.f.do(f"call {self.kind} @{symbol}({', '.join(f'{self.kind} {x}' for x in operands)})")


@cache
def formula_kernel(name: str) -> Kernel:
    """The formula of a row that is made of other rows, as a kernel of its operands."""
    row, builder = TABLE[name], Builder()
    assert callable(row.native)
    operands = [builder.symbol(builder.raw(("arg", j))) for j in range(row.arity)]
    return builder.finish([row.native(*operands).position])
