"""Writing LLVM functions as text: fresh names, typed operations on doubles and vectors of them, structured loops.

Text, rather than llvmlite's objects, because vectors of any kind read the same as in LLVM's manual, and writing a line
costs a tenth of making an object. Variables that change are stack slots; LLVM turns them into registers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


def literal(value: float) -> str:
    """A double as LLVM writes it exactly."""
    return "0x" + struct.pack(">d", value).hex().upper()


def vector_type(width: int) -> str:
    """The type of ``width`` doubles."""
    return "double" if width == 1 else f"<{width} x double>"


def splat(value: float, width: int) -> str:
    """A literal number in every lane."""
    one = literal(value)
    return one if width == 1 else "<" + ", ".join([f"double {one}"] * width) + ">"


class Function:
    """One function being written. Values are names such as ``%v7`` or literals; ``emit`` adds a plain line."""

    def __init__(self, name: str, signature: str, result: str = "i64", internal: bool = False,
                 inline: bool = False) -> None:
        self.name, self.result, self.internal, self.inline = name, result, internal, inline
        self._head = f"define {'internal ' if internal else ''}{result} @{name}({signature})"
        self._slots: list[str] = []
        self._lines: list[str] = []
        self._count = 0
        self.needed: dict[str, str] = {}
        """Declarations of the functions that this one calls, by symbol."""

    def text(self, attributes: str) -> str:
        """The whole definition."""
        if self.inline:
            attributes = f"alwaysinline {attributes}"
        return "\n".join([f"{self._head} {attributes} {{", "entry:", *self._slots, *self._lines, "}"])

    def fresh(self) -> str:
        """A name not used before."""
        self._count += 1
        return f"%v{self._count}"

    def emit(self, line: str) -> None:
        """One instruction without a result."""
        self._lines.append("  " + line)

    def do(self, operation: str) -> str:
        """One instruction with a result; its name."""
        name = self.fresh()
        self._lines.append(f"  {name} = {operation}")
        return name

    # integers and memory -----------------------------------------------------------------------------------

    def add(self, a: str | int, b: str | int) -> str:
        """a + b of 64-bit integers."""
        if isinstance(b, int) and b == 0 and isinstance(a, str):
            return a
        return self.do(f"add i64 {a}, {b}")

    def mul(self, a: str | int, b: str | int) -> str:
        """a·b of 64-bit integers."""
        return self.do(f"mul i64 {a}, {b}")

    def at(self, base: str, index: str | int, kind: str = "double") -> str:
        """The address of element ``index``."""
        return self.do(f"getelementptr {kind}, ptr {base}, i64 {index}")

    def load(self, address: str, kind: str = "double", align: int = 8) -> str:
        """What stands at an address."""
        return self.do(f"load {kind}, ptr {address}, align {align}")

    def store(self, value: str, address: str, kind: str = "double", align: int = 8) -> None:
        """Write to an address."""
        self.emit(f"store {kind} {value}, ptr {address}, align {align}")

    def word(self, base: str, index: int | str) -> str:
        """A 64-bit integer of a record."""
        return self.load(self.at(base, index, "i64"), "i64")

    def pointer(self, base: str, index: int | str) -> str:
        """A pointer of a record."""
        return self.load(self.at(base, index, "i64"), "ptr")

    def index(self, base: str, at: str | int) -> str:
        """A 32-bit entry of a table, as 64 bits."""
        return self.do(f"sext i32 {self.load(self.at(base, at, 'i32'), 'i32', 4)} to i64")

    def increase(self, address: str, value: str) -> None:
        """*address += value."""
        self.store(self.do(f"fadd contract double {self.load(address)}, {value}"), address)

    def call_external(self, symbol: str, pointers: Sequence[str]) -> None:
        """Call a function of another library or module, which takes pointers and returns nothing."""
        self.needed[symbol] = f"declare void @{symbol}({', '.join(['ptr'] * len(pointers))})"
        self.emit(f"call void @{symbol}({', '.join(f'ptr {p}' for p in pointers)})")

    def run_turns(self, symbol: str, record: str) -> None:
        """Call a function of the driver's kind that cannot fail."""
        self.needed[symbol] = f"declare i64 @{symbol}(ptr, ptr)"
        self.do(f"call i64 @{symbol}(ptr %frame, ptr {record})")

    def slot(self, kind: str, count: int | str = 1) -> str:
        """Memory of the function's own, made at its entry."""
        name = self.fresh()
        self._slots.append(f"  {name} = alloca {kind}, i64 {count}, align 64")
        return name

    def variable(self, kind: str, value: str) -> str:
        """A slot that starts with a value."""
        slot = self.slot(kind)
        self.store(value, slot, kind)
        return slot

    def real(self, operation: str, a: str, b: str) -> str:
        """fadd, fsub, fmul or fdiv of two doubles."""
        return self.do(f"{operation} contract double {a}, {b}")

    def compare(self, predicate: str, a: str, b: str) -> str:
        """fcmp of two doubles."""
        return self.do(f"fcmp {predicate} double {a}, {b}")

    def size_of(self, a: str) -> str:
        """|a|."""
        self.needed["llvm.fabs.f64"] = "declare double @llvm.fabs.f64(double)"
        return self.do(f"call double @llvm.fabs.f64(double {a})")

    def choose(self, condition: str, a: str, b: str) -> str:
        """a where the condition holds, else b."""
        return self.do(f"select i1 {condition}, double {a}, double {b}")

    # control -----------------------------------------------------------------------------------------------

    def label(self) -> str:
        """A name for a place to jump to."""
        return self.fresh()[1:]

    def place(self, label: str) -> None:
        """Here is that place."""
        self._lines.append(f"{label}:")

    def jump(self, label: str) -> None:
        """Go there."""
        self.emit(f"br label %{label}")

    def branch(self, condition: str, yes: str, no: str) -> None:
        """Go to one of two places."""
        self.emit(f"br i1 {condition}, label %{yes}, label %{no}")

    @contextmanager
    def loop(self, start: str | int, stop: str | int, step: int = 1) -> Iterator[str]:
        """``for i in range(start, stop, step)``: the body sees i. A negative step counts down, as range does."""
        counter = self.variable("i64", str(start))
        head, body, done = self.label(), self.label(), self.label()
        self.jump(head)
        self.place(head)
        i = self.load(counter, "i64")
        self.branch(self.do(f"icmp {'slt' if step > 0 else 'sgt'} i64 {i}, {stop}"), body, done)
        self.place(body)
        yield i
        self.store(self.do(f"add i64 {i}, {step}"), counter, "i64")
        self.jump(head)
        self.place(done)

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """``if condition:``"""
        yes, done = self.label(), self.label()
        self.branch(condition, yes, done)
        self.place(yes)
        yield
        self.jump(done)
        self.place(done)

    def leave_when(self, condition: str, value: str | int) -> None:
        """Return a status where the condition holds."""
        yes, on = self.label(), self.label()
        self.branch(condition, yes, on)
        self.place(yes)
        self.emit(f"ret {self.result} {value}")
        self.place(on)

    def finish(self, value: str | int | None = 0) -> None:
        """Return."""
        self.emit("ret void" if value is None else f"ret {self.result} {value}")

    # vectors -----------------------------------------------------------------------------------------------

    def broadcast(self, scalar: str, width: int) -> str:
        """One double in every lane."""
        if width == 1:
            return scalar
        kind = vector_type(width)
        first = self.do(f"insertelement {kind} poison, double {scalar}, i64 0")
        return self.do(f"shufflevector {kind} {first}, {kind} poison, <{width} x i32> zeroinitializer")

    def lanes(self, vector: str, width: int) -> list[str]:
        """The doubles of a vector."""
        if width == 1:
            return [vector]
        return [self.do(f"extractelement {vector_type(width)} {vector}, i64 {k}") for k in range(width)]

    def packed(self, scalars: list[str]) -> str:
        """A vector of doubles."""
        if len(scalars) == 1:
            return scalars[0]
        kind, vector = vector_type(len(scalars)), "poison"
        for k, scalar in enumerate(scalars):
            vector = self.do(f"insertelement {kind} {vector}, double {scalar}, i64 {k}")
        return vector

    def unless_zero(self, factor: str, product: str, width: int = 1) -> str:
        """0 where the factor is, else the product."""
        kind, truth = vector_type(width), "i1" if width == 1 else f"<{width} x i1>"
        zero = self.do(f"fcmp oeq {kind} {factor}, {splat(0.0, width)}")
        return self.do(f"select {truth} {zero}, {kind} {splat(0.0, width)}, {kind} {product}")

    def total(self, vector: str, width: int) -> str:
        """The sum of the lanes, by halves."""
        lanes = self.lanes(vector, width)
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = [self.do(f"fadd double {lanes[k]}, {lanes[k + half]}") for k in range(half)] + lanes[2 * half :]
        return lanes[0]
