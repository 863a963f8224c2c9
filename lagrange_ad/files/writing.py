"""A program as an equation file: the text that reads back as the same program.

Takes a program of scalars, gives text: every number with all its digits, every operation where it was, symbols and
equations in their order. What equation files cannot say is refused by name. Formulas are written by a loop.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np

from ..errors import EquationFileError
from ..expression import Expression, Symbol, postorder
from ..printing import place
from ..program import Constraint, Declarations, Equation, Location
from ..program.constraints import is_bound
from .equations import FUNCTIONS, PREDEFINED
from .syntax import KEYWORDS

MOST_OPERATIONS = 1_000_000
"""A formula that is longer when what it shares is written out at every use is refused."""

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = 1, 2, 3, 4, 5
_OPERATORS = {  # its sign, how tightly it binds, and how tightly what stands on its left and right must
    "add": (" + ", _SUM, _SUM, _PRODUCT),
    "subtract": (" - ", _SUM, _SUM, _PRODUCT),
    "multiply": ("*", _PRODUCT, _PRODUCT, _SIGN),
    "divide": ("/", _PRODUCT, _PRODUCT, _SIGN),
    "power": ("^", _POWER, _ATOM, _SIGN),
}
_SHORTER = {"absolute": "abs", "minimum": "min", "maximum": "max"}


def write(program: Declarations, path: str | PathLike[str]) -> None:
    """Write ``program`` to an equation file, whole or not at all (a file that is there stays until the new one is).

    Raises :class:`EquationFileError` for what :func:`to_text` refuses and where the file cannot be written.
    """
    text, target = to_text(program), Path(os.path.realpath(path))  # through a link, not over it
    draft = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
    try:
        try:
            with draft.open("x", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise EquationFileError(f"cannot write {str(path)!r}: {error.strerror or error}") from None


def to_text(program: Declarations) -> str:
    """The equation file of a program of scalars.

    Raises :class:`EquationFileError`, naming the symbol or the equation, for arrays, for functions that files do not
    have (``np.where``, a black box), and for names that mean something else there.
    """
    for symbol in program.symbols.values():
        _check_symbol(symbol)
    groups = [[f"program {_program_name(program.name)}"], list(_declarations(program)), [], [], []]
    objective = program.objective
    if objective is not None:
        lone = objective.expression.op == "symbol" and objective.expression.data.name == objective.name
        label = "" if lone or objective.name == "objective" else _label(objective.name, "objective", objective.location)
        formula = _formula(objective.expression, "the objective", objective.location)
        groups[3].append(f"{objective.sense} {label}{formula}")
    groups[2] += [f"{'fix' if program.symbols[name].kind == 'variable' else 'free'} {name}" for name in program.swapped]
    groups[4] += [_constraint(one, number) for number, one in enumerate(program.constraints, start=1)]
    groups.append(_not_kept(program))
    return "\n\n".join("\n".join(group) for group in groups if group) + "\n"


def _not_kept(program: Declarations) -> list[str]:
    """Comments that say what of a program its file does not hold: how blocks are solved, given sizes."""
    sized = [name for name, symbol in program.symbols.items() if symbol.scale is not None]
    lost = [("p.solver of", [choice.name for choice in program.solver_choices]),
            ("scale= of", [*sized, *(name for name in program.equation_scales if name not in sized)])]
    return [f"# not kept in this file: {what} {', '.join(dict.fromkeys(names))}" for what, names in lost if names]


# declarations and equations ---------------------------------------------------------------------------------


def _declarations(program: Declarations) -> Iterator[str]:
    """Symbols and equations, each in its order; a plain variable is declared by its equation where the order allows."""
    equations = _equations(program)
    counted = Counter(line.left for line in equations)
    own = {equation.own.name: number for number, equation in enumerate(program.equations) if equation.own is not None}
    written, declared = 0, set()
    for name, symbol in program.symbols.items():
        number = own.get(name)
        if number is not None and _is_plain(symbol) and counted[name] == 1 and number >= written and all(
            before.own is None or before.own.name in declared for before in program.equations[written:number]
        ):
            yield from (line.text for line in equations[written : number + 1])
            written = number + 1
        else:
            yield _declaration(symbol)
        declared.add(name)
    yield from (line.text for line in equations[written:])


def _is_plain(symbol: Symbol) -> bool:
    """Whether nothing is said of a variable but its name."""
    has_range = not (np.isneginf(symbol.lower) and np.isposinf(symbol.upper))
    return symbol.value is None and not has_range and symbol.domain == (-np.inf, np.inf) and not symbol.unit


def _declaration(symbol: Symbol) -> str:
    parts = [symbol.kind, symbol.name]
    if symbol.value is not None:
        computed = isinstance(symbol.value, Expression)
        what = f"the start of {symbol.name!r}"
        value = _formula(symbol.value, what, symbol.location) if computed else _number(symbol.value)
        parts.append(f"start {value}" if symbol.kind == "variable" else f"= {value}")
    if not (np.isneginf(symbol.lower) and np.isposinf(symbol.upper)):
        parts.append(f"in [{_number(symbol.lower)}, {_number(symbol.upper)}]")
    if symbol.domain != (-np.inf, np.inf):
        parts.append(f"domain ({_number(symbol.domain[0])}, {_number(symbol.domain[1])})")
    if symbol.unit:
        parts.append(f"unit {_quoted(symbol.unit)}")
    return " ".join(parts)


class _Line(NamedTuple):
    """An equation as a statement, and its left side alone."""

    text: str
    left: str


def _equations(program: Declarations) -> list[_Line]:
    """The equations as statements, with the labels that they would not get by themselves."""
    explicit: set[str] = set()
    lines = []
    for number, equation in enumerate(program.equations, start=1):
        default, named = f"equation_{number}", equation.own or equation.determines
        if named is not None and named.name not in explicit:
            default = named.name
        owner = equation.own or (equation.determines if equation.name in program.symbols else None)
        if owner is not None:
            explicit.add(owner.name)
        lines.append(_equation(equation, default))
    return lines


def _equation(equation: Equation, default: str) -> _Line:
    what = f"equation {equation.name!r}"
    right, left = equation.right, equation.left  # both are made at the first look, and kept while one is held
    left_text, right_text = (_formula(side, what, equation.location) for side in (left, right))
    label = "" if equation.name == default else _label(equation.name, "equation", equation.location)
    if label and equation.name in KEYWORDS:
        raise _refusal(f"{what} begins a statement of another kind in an equation file: name it otherwise",
                       equation.location)
    first = _NAME.match(left_text)
    shown = f"({left_text})" if not label and first is not None and first[0] in KEYWORDS else left_text
    determines = equation.determines
    named = f" for {determines.name}" if determines is not None and determines is not equation.own else ""
    return _Line(f"{label}{shown} = {right_text}{named}", left_text)


def _constraint(constraint: Constraint, number: int) -> str:
    what, location = f"constraint {constraint.name!r}", constraint.location
    if is_bound(constraint.body):
        raise _refusal(f"{what} holds parameters only, which constrain nothing: leave it out", location)
    label = "" if constraint.name == f"constraint_{number}" else _label(constraint.name, "constraint", location)
    body, lower, upper = (
        None if side is None else _formula(side, what, location)
        for side in (constraint.body, constraint.lower, constraint.upper)
    )
    if constraint.lower is constraint.upper:
        formula = f"{body} == {lower}"
    elif lower is not None and upper is not None:
        formula = f"{lower} <= {body} <= {upper}"
    else:
        formula = f"{body} <= {upper}" if lower is None else f"{body} >= {lower}"
    return f"subject to {label}{formula}"


# formulas ---------------------------------------------------------------------------------------------------


def _formula(root: Expression, what: str, location: Location) -> str:
    """An expression, written by a loop; ``what`` contains it."""
    _check_expression(root, what, location)
    pieces: list[str] = []
    pending: list[Any] = [(root, _SUM)]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            pieces.append(item)
        else:
            pending.extend(reversed(_parts(*item)))
    return "".join(pieces)


def _parts(node: Expression, outer: int) -> list[Any]:
    """The text of one node, its operands still nodes; in brackets where it binds less tightly than ``outer``."""
    if node.op == "symbol":
        return [node.data.name]
    if node.op == "constant":
        text = _number(node.data)
        return [f"({text})"] if text.startswith("-") and outer > _SIGN else [text]
    if node.op == "negative":
        parts, binds = ["-", (node.args[0], _SIGN)], _SIGN
    elif node.op in _OPERATORS:
        sign, binds, left, right = _OPERATORS[node.op]
        parts = [(node.args[0], left), sign, (node.args[1], right)]
    else:
        operands = [part for arg in node.args for part in (", ", (arg, _SUM))][1:]
        return [f"{_SHORTER.get(node.op, node.op)}(", *operands, ")"]
    return parts if binds >= outer else ["(", *parts, ")"]


def _number(value: Any) -> str:
    """A number with all its digits."""
    return repr(float(value)).removesuffix(".0")


# what cannot be written -------------------------------------------------------------------------------------


def _refusal(message: str, location: Location) -> EquationFileError:
    return EquationFileError(f"{message} (declared at {place(location)})")


def _check_symbol(symbol: Symbol) -> None:
    if symbol.shape:
        raise _refusal(
            f"{symbol.kind} {symbol.name!r} has shape {symbol.shape}, and equation files hold scalars only: declare "
            f"its elements one by one ({symbol.name}_0, {symbol.name}_1, …), or keep the program with pickle",
            symbol.location,
        )
    _check_name(symbol.name, symbol.kind, symbol.location)


def _check_name(name: str, kind: str, location: Location) -> None:
    if name in PREDEFINED:
        raise _refusal(f"{kind} {name!r} has the name of a number that equation files know: name it otherwise",
                       location)
    if not _NAME.fullmatch(name):
        raise _refusal(f"the name of {kind} {name!r} has a letter that equation files do not: name it otherwise",
                       location)


def _check_expression(root: Expression, what: str, location: Location) -> None:
    """Raises where an operation is unknown to files, or the whole is too long without what it shares."""
    sizes: dict[int, int] = {}
    for node in postorder([root]):
        known = node.op in ("symbol", "constant", "negative") or node.op in _OPERATORS or node.op in FUNCTIONS
        if not known or node.shape or node.is_boolean:
            raise _refusal(
                f"{what} uses {_operation(node)}, which equation files do not have: write it with "
                f"{', '.join(sorted({row.name for row in FUNCTIONS.values()}))}, or keep the program with pickle",
                location,
            )
        size = sizes[id(node)] = 1 + sum(sizes[id(arg)] for arg in node.args)
        if size > MOST_OPERATIONS:
            raise _refusal(
                f"{what} would be more than {MOST_OPERATIONS} operations long, as parts of it are used again and "
                "again: define those parts as variables of their own", location,
            )


def _operation(node: Expression) -> str:
    if node.is_boolean:
        return "a condition"
    if node.op == "external":
        return f"the function {node.data.name!r} of your own"
    name = node.data.name if node.op == "view" else node.op
    return f"an array ({name})" if node.shape or node.op in ("view", "sum", "matmul") else f"np.{name}"


def _label(name: str, kind: str, location: Location) -> str:
    _check_name(name, kind, location)
    return f"{name}: "


def _program_name(name: str) -> str:
    if not name.isprintable():
        raise EquationFileError(f"the program's name {name!r} is not one line of text: give it another")
    return name if _NAME.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
