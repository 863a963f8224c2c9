"""Loops over integers as machine code: the small part of Python that ``structure.loops`` describes, compiled.

Takes the functions as they stand, reads their text, writes LLVM. All values are 64-bit integers, arrays are pointers to
them; what can be true or false is 1 or 0. The functions that a loop calls are compiled into it.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...expression import Array
from ...structure.loops import Indices, Loop, in_python
from .engine import FRAME, function
from .ir import Function

COMPILE_FROM = 20_000
"""Loops over arrays that hold fewer numbers in all run in Python: they are done before a compiler is."""
_OPERATIONS = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and", ast.RShift: "ashr"}
_COMPARISONS = {ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "slt", ast.LtE: "sle", ast.Gt: "sgt", ast.GtE: "sge"}


def natively(loop: Loop, *read: Indices | int, **written: Indices) -> int:
    """Run a loop, compiled where there is enough to do."""
    if sum(value.size for value in (*read, *written.values()) if isinstance(value, np.ndarray)) < COMPILE_FROM:
        return in_python(loop, *read, **written)
    import ctypes

    try:
        address = function(("loop", loop.__module__, loop.__qualname__), lambda: _written(loop))
    except OSError:  # the text is not there, as in a package without sources
        return in_python(loop, *read, **written)
    names = list(inspect.signature(loop).parameters)
    given: dict[str, Any] = dict(zip(names, read, strict=False)) | written
    kept = {name: _as_words(given[name]) for name in names}
    record = np.array([w.ctypes.data if isinstance(w, np.ndarray) else w for w in kept.values()], np.int64)
    result: int = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(address)(0, record.ctypes.data)
    for name, array in written.items():
        if kept[name] is not array:
            array[:] = kept[name]
    return result


def _as_words(value: Indices | int) -> Array | int:
    return int(value) if isinstance(value, int) else np.ascontiguousarray(value, np.int64)


def _written(loop: Loop) -> list[Function]:
    """The loop's functions, and last the one that is called from outside, which unpacks the arguments."""
    written: dict[str, Function] = {}
    _Writer(loop, written)
    f = Function("outside", FRAME)
    tree = _tree(loop)
    arguments = [
        f"ptr {f.pointer('%data', i)}" if is_array else f"i64 {f.word('%data', i)}"
        for i, is_array in enumerate(_kinds(tree).values())
    ]
    f.finish(f.do(f"call i64 @{loop.__name__}({', '.join(arguments)})"))
    return [*written.values(), f]


def _tree(loop: Loop) -> ast.FunctionDef:
    tree = ast.parse(textwrap.dedent(inspect.getsource(loop))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    return tree


def _kinds(tree: ast.FunctionDef) -> dict[str, bool]:
    """Whether each argument is an array, by name."""
    return {a.arg: isinstance(a.annotation, ast.Name) and a.annotation.id == "Cells" for a in tree.args.args}


class _Writer:
    """Writes one function, and those that it calls into ``written``."""

    def __init__(self, loop: Loop, written: dict[str, Function]) -> None:
        self.known: dict[str, Any] = getattr(loop, "__globals__")  # noqa: B009
        self.written, tree = written, _tree(loop)
        self.arrays = {name for name, is_array in _kinds(tree).items() if is_array}
        signature = ", ".join(f"{'ptr' if n in self.arrays else 'i64'} %of_{n}" for n in _kinds(tree))
        self.f = Function(loop.__name__, signature, internal=True)
        written[loop.__name__] = self.f  # its place is after what it calls: LLVM does not mind
        self.slots = {n: self.f.variable("i64", f"%of_{n}") for n in _kinds(tree) if n not in self.arrays}
        self.ends: list[tuple[str, str]] = []
        self.body(tree.body)
        self.f.finish(0)

    # statements ----------------------------------------------------------------------------------------------

    def body(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            write: Callable[[Any], None] | None = getattr(self, f"_{type(statement).__name__.lower()}", None)
            if write is None:
                raise TypeError(f"line {statement.lineno} of {self.f.name}: loops have no {ast.unparse(statement)!r}")
            write(statement)

    def _expr(self, statement: ast.Expr) -> None:
        if not isinstance(statement.value, ast.Constant):  # a docstring is one
            self.value(statement.value)

    def _assign(self, statement: ast.Assign) -> None:
        value = self.value(statement.value)
        for target in statement.targets:
            self.f.store(value, self.place(target), "i64")

    def _augassign(self, statement: ast.AugAssign) -> None:
        place = self.place(statement.target)
        value = self.value(statement.value)
        operation = _OPERATIONS[type(statement.op)]
        self.f.store(self.f.do(f"{operation} i64 {self.f.load(place, 'i64')}, {value}"), place, "i64")

    def _return(self, statement: ast.Return) -> None:
        assert statement.value is not None
        self.f.emit(f"ret i64 {self.value(statement.value)}")
        self.f.place(self.f.label())  # what follows is not come to

    def _continue(self, statement: ast.Continue) -> None:
        self._leave(self.ends[-1][0])

    def _break(self, statement: ast.Break) -> None:
        self._leave(self.ends[-1][1])

    def _leave(self, label: str) -> None:
        self.f.jump(label)
        self.f.place(self.f.label())

    def _if(self, statement: ast.If) -> None:
        yes, no, done = self.f.label(), self.f.label(), self.f.label()
        self.condition(statement.test, yes, no)
        for label, statements in ((yes, statement.body), (no, statement.orelse)):
            self.f.place(label)
            self.body(statements)
            self.f.jump(done)
        self.f.place(done)

    def _while(self, statement: ast.While) -> None:
        self._without_else(statement)
        head, body, done = self.f.label(), self.f.label(), self.f.label()
        self.f.jump(head)
        self.f.place(head)
        self.condition(statement.test, body, done)
        self._inside(body, statement.body, head, done)
        self.f.jump(head)
        self.f.place(done)

    def _without_else(self, statement: ast.While | ast.For) -> None:
        if statement.orelse:
            raise TypeError(f"line {statement.lineno} of {self.f.name}: loops have no else")

    def _for(self, statement: ast.For) -> None:
        self._without_else(statement)
        f, counting = self.f, statement.iter
        assert isinstance(counting, ast.Call) and isinstance(counting.func, ast.Name) and counting.func.id == "range"
        if len(counting.args) > 2:
            raise TypeError(f"line {statement.lineno} of {self.f.name}: loops have no steps of range")
        bounds = [self.value(bound) for bound in counting.args]
        place, counter = self.place(statement.target), f.slot("i64")
        head, body, following, done = f.label(), f.label(), f.label(), f.label()
        f.store("0" if len(bounds) == 1 else bounds[0], counter, "i64")
        f.jump(head)
        f.place(head)
        here = f.load(counter, "i64")
        f.branch(f.do(f"icmp slt i64 {here}, {bounds[-1]}"), body, done)
        self._inside(body, statement.body, following, done, lambda: f.store(here, place, "i64"))
        f.jump(following)
        f.place(following)
        f.store(f.add(f.load(counter, "i64"), 1), counter, "i64")
        f.jump(head)
        f.place(done)

    def _inside(self, label: str, statements: Sequence[ast.stmt], following: str, done: str,
                first: Callable[[], None] = lambda: None) -> None:
        self.f.place(label)
        first()
        self.ends.append((following, done))
        self.body(statements)
        self.ends.pop()

    # expressions ---------------------------------------------------------------------------------------------

    def place(self, target: ast.expr) -> str:
        """The address of a name or of an array's element."""
        if isinstance(target, ast.Subscript):
            assert isinstance(target.value, ast.Name) and target.value.id in self.arrays
            return self.f.at(f"%of_{target.value.id}", self.value(target.slice), "i64")
        assert isinstance(target, ast.Name)
        if target.id not in self.slots:
            self.slots[target.id] = self.f.slot("i64")
        return self.slots[target.id]

    def value(self, node: ast.expr) -> str:
        """The value of an expression."""
        f = self.f
        match node:
            case ast.Constant(value=int(number)):
                return str(int(number))
            case ast.Name() if node.id not in self.slots:
                return str(int(self.known[node.id]))  # a constant of the module
            case ast.Name() | ast.Subscript():
                return f.load(self.place(node), "i64")
            case ast.BinOp():
                left, right = self.value(node.left), self.value(node.right)
                return f.do(f"{_OPERATIONS[type(node.op)]} i64 {left}, {right}")
            case ast.UnaryOp(op=ast.USub()):
                return f.do(f"sub i64 0, {self.value(node.operand)}")
            case ast.Call():
                return self.call(node)
        raise TypeError(f"{f.name}: loops have no {ast.unparse(node)!r}")

    def call(self, node: ast.Call) -> str:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        if name not in self.written:
            _Writer(self.known[name], self.written)
        arguments = [
            f"ptr %of_{a.id}" if isinstance(a, ast.Name) and a.id in self.arrays else f"i64 {self.value(a)}"
            for a in node.args
        ]
        return self.f.do(f"call i64 @{name}({', '.join(arguments)})")

    def condition(self, node: ast.expr, yes: str, no: str) -> None:
        """Go to one of two places; what does not matter any more is not looked at."""
        f = self.f
        match node:
            case ast.BoolOp():
                for operand in node.values[:-1]:
                    further = f.label()
                    ends = (further, no) if isinstance(node.op, ast.And) else (yes, further)
                    self.condition(operand, *ends)
                    f.place(further)
                self.condition(node.values[-1], yes, no)
            case ast.UnaryOp(op=ast.Not()):
                self.condition(node.operand, no, yes)
            case ast.Compare():
                left, right = self.value(node.left), self.value(node.comparators[0])
                assert len(node.ops) == 1
                f.branch(f.do(f"icmp {_COMPARISONS[type(node.ops[0])]} i64 {left}, {right}"), yes, no)
            case _:
                f.branch(f.do(f"icmp ne i64 {self.value(node)}, 0"), yes, no)
