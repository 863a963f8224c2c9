"""Equation files: a program written as plain text, and read without ever executing code.

Takes a path or a text and what makes an empty program of a name; gives the program that the same declarations in
Python would give, with the file's lines as their locations. Statements may stand in any order: every name is declared
before a formula is built. Formulas are postfix code, run by a loop on a stack: numbers fold to numbers, names become
expressions.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from ..elementary import TABLE
from ..errors import EquationFileError, LagrangeError
from ..program import Declarations
from ..text import listing, nearest
from .syntax import (
    Constraint,
    Declaration,
    Equation,
    Formula,
    Name,
    Objective,
    ProgramName,
    Role,
    Source,
    Statement,
    Step,
    parse_equations,
)

__all__ = ["FUNCTIONS", "PREDEFINED", "constant", "parse_equations", "read", "reads"]

Model = TypeVar("Model", bound=Declarations)

PREDEFINED = {"pi": math.pi, "inf": math.inf}

_ALIASES = {
    "abs": "absolute", "min": "minimum", "max": "maximum", "ln": "log",
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2",
    "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "psi": "digamma", "lgamma": "gammaln",
}

FUNCTIONS = {name: row for name, row in TABLE.items() if row.arity <= 2 and not (row.symbol or row.boolean)}
"""The rows of the table of elementary functions that a file may call, by every name it may use."""
FUNCTIONS |= {alias: FUNCTIONS[name] for alias, name in _ALIASES.items()}
FUNCTIONS["softplus"] = replace(TABLE["logaddexp"], arity=1, function=lambda x: np.logaddexp(0.0, x))

_FOLDS = ("minimum", "maximum")  # of three operands and more: two at a time

_OPERATORS: dict[str, Callable[..., Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "**": np.power, "negative": np.negative,
}
_RELATIONS: dict[str, Callable[[Any, Any], Any]] = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}


def read(path: str | PathLike[str], make: Callable[[str], Model]) -> Model:
    """The program of an equation file, filled into what ``make`` gives for its name: as the file is called, unless it
    has a ``program`` statement.

    Raises :class:`EquationFileError`, with the line and a caret under the place, for all that can be wrong.
    """
    path = Path(path)
    return reads(_text_of(path), make, name=path.stem or "program", filename=str(path))


def reads(text: str, make: Callable[[str], Model], name: str = "program", filename: str = "<equations>") -> Model:
    """The program of a text in the language of equation files.

    ``name`` serves where the text has no ``program`` statement; ``filename`` is what errors show.
    """
    statements = parse_equations(text, filename)
    if not statements:
        raise EquationFileError("no statements: nothing is declared here", filename=filename)
    return _Builder(Source(text, filename), statements, make).program(name)


def constant(text: str) -> float:
    """The number that a constant expression such as ``2*pi`` or ``1e-3`` stands for."""
    statements = parse_equations(f"value = {text}", "<number>")
    if len(statements) != 1 or not isinstance(statements[0], Equation):
        raise EquationFileError(f"{text!r} is not a number")
    return _number(Source(f"value = {text}", "<number>"), statements[0].right, "the value", True, {})


# files ------------------------------------------------------------------------------------------------------


def _text_of(path: Path) -> str:
    """The file's text, or an error that says what stood in the way."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise EquationFileError(f"there is no file {str(path)!r}{_beside(path)}") from None
    except IsADirectoryError:
        raise EquationFileError(f"{str(path)!r} is a folder: name an equation file in it") from None
    except OSError as error:
        raise EquationFileError(f"cannot read {str(path)!r}: {error.strerror or error}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"this is not UTF-8 text (byte {data[error.start]:#04x}): save the file as UTF-8"
        line = data.count(b"\n", 0, error.start) + 1
        raise EquationFileError(message, filename=str(path), line=line) from None


def _beside(path: Path) -> str:
    """Advice for a missing file: a near name in its folder, else the equation files there."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        return f", nor a folder {str(path.parent)!r}: check the path"
    equation_files = sorted(name for name in names if name.endswith(".lag"))
    if advice := nearest(path.name, names):
        return advice
    return f"; its folder has {listing(equation_files)}" if equation_files else ": check the path"


# formulas ---------------------------------------------------------------------------------------------------


def _run(source: Source, formula: Formula, names: Callable[[Step], Any]) -> Any:
    """The value of postfix code, where ``names`` gives the value of a name: a float or an expression."""
    for step in formula.steps:  # before the operands: an unknown function is the better news
        if step.kind == "call":
            _function(source, step)
    stack: list[Any] = []
    for step in formula.steps:
        if step.kind == "number":
            stack.append(step.value)
        elif step.kind == "name":
            stack.append(names(step))
        else:
            operands = stack[-step.operands :]
            del stack[-step.operands :]
            stack.append(_apply(source, step, operands))
    return stack.pop()


def _apply(source: Source, step: Step, operands: list[Any]) -> Any:
    """One operator or call; numbers fold to a number (NaN is an error: no later value could mend it)."""
    function = _OPERATORS[step.value] if step.kind == "operator" else _function(source, step)
    fixed = FUNCTIONS[step.value].fixed if step.kind == "call" else 0
    if not all(isinstance(operand, float) for operand in operands[:fixed]):
        message = f"the first operand of {step.value!r} must be a number: there is no derivative in it"
        raise source.error(message, step.line, step.column)
    if not all(isinstance(operand, float) for operand in operands):
        return function(*operands)
    with np.errstate(all="ignore"):
        value = float(function(*operands))
    if math.isnan(value):
        given = ", ".join(f"{operand:.6g}" for operand in operands)
        raise source.error(f"'{step.value}' of {given} is not a number", step.line, step.column)
    return value


def _function(source: Source, step: Step) -> Callable[..., Any]:
    """The elementary function that a call names, checked for its number of operands."""
    row = FUNCTIONS.get(step.value)
    if row is None:
        last = step.value.rpartition(".")[2]
        advice = f"; write {last!r}" if last in FUNCTIONS else nearest(step.value, FUNCTIONS)
        available = ", ".join(sorted(FUNCTIONS))
        raise source.error(
            f"there is no function {step.value!r}{advice}\n    available: {available}", step.line, step.column
        )
    if row.name in _FOLDS and step.operands > 2:
        return lambda *operands: functools.reduce(row.function, operands)
    if step.operands != row.arity:
        takes = "1 argument" if row.arity == 1 else f"{row.arity} arguments"
        raise source.error(f"{step.value!r} takes {takes}, got {step.operands}", step.line, step.column)
    return row.function


def _number(source: Source, formula: Formula, what: str, finite: bool, kinds: Mapping[str, str]) -> float:
    """The number of a constant formula; ``kinds`` says what the names are that it must not contain."""

    def predefined(step: Step) -> float:
        if step.value in PREDEFINED:
            return PREDEFINED[step.value]
        kind = kinds.get(step.value, "not declared")
        message = f"{what} must be a constant, but {step.value!r} is {kind}"
        raise source.error(f"{message} (the constants with a name are pi and inf)", step.line, step.column)

    value: float = _run(source, formula, predefined)
    if finite and math.isinf(value):
        raise source.error(f"{what} must be finite, got {value:g}", formula.start.line, formula.start.column)
    return value


def _is_computed(statement: Declaration) -> bool:
    """Whether a start is a formula of names, to be computed at every evaluation."""
    if statement.kind != "variable" or statement.value is None:
        return False
    return any(step.kind == "name" and step.value not in PREDEFINED for step in statement.value.steps)


# statements -------------------------------------------------------------------------------------------------


class _Builder(Generic[Model]):
    """Turns the statements of one file into a program: first every name, then every formula."""

    def __init__(self, source: Source, statements: list[Statement], make: Callable[[str], Model]) -> None:
        self.source, self.statements, self.make = source, statements, make
        self.kinds = {s.name.text: s.kind for s in statements if isinstance(s, Declaration)}
        self.lines: dict[str, int] = {}
        self.changed: dict[str, int] = {}

    def program(self, default_name: str) -> Model:
        """The program; its symbols stand in the order of the file."""
        self.model = self.make(self._program_name(default_name))
        lefts = {s.left.lone_name for s in self.statements if isinstance(s, Equation)} - {None}
        self.known = {name: "a variable" for name in lefts if name is not None}
        self.known |= {name: f"a{'n' * (kind == 'input')} {kind}" for name, kind in self.kinds.items()}
        for statement in self.statements:
            if isinstance(statement, Declaration):
                self._declare(statement)
            elif isinstance(statement, Equation):
                self._declare_left(statement)
        for statement in self.statements:
            if isinstance(statement, Declaration):
                self._start(statement)
        for statement in self.statements:
            if isinstance(statement, Role):  # before constraints: what is free stands in no bound
                self._role(statement)
        for statement in self.statements:
            if isinstance(statement, Equation):
                self._equation(statement)
            elif isinstance(statement, Objective):
                self._objective(statement)
            elif isinstance(statement, Constraint):
                self._constraint(statement)
        return self.model

    def _program_name(self, default: str) -> str:
        names = [statement.name for statement in self.statements if isinstance(statement, ProgramName)]
        if len(names) > 1:
            raise self._error(f"the program is named already, on line {names[0].line}", names[1])
        return names[0].text if names else default

    # first pass: names -------------------------------------------------------------------------------------

    def _declare(self, statement: Declaration) -> None:
        name, kind = statement.name, statement.kind
        self._take(name)
        words: dict[str, Any] = {"unit": statement.unit}
        if statement.bounds is not None:
            words |= self._range(name.text, *statement.bounds)
        if statement.domain is not None:
            what = f"the {{}} end of the domain of {name.text!r}"
            ends = zip(statement.domain, ("lower", "upper"), strict=True)
            words["domain"] = tuple(self._number(end, what.format(which)) for end, which in ends)
        if statement.value is not None and not _is_computed(statement):
            word = "start" if kind == "variable" else "value"
            words[word] = self._number(statement.value, f"the {word} of {name.text!r}", finite=True)
        with self._stated_at(name) as location:
            getattr(self.model, kind)(name.text, **words, _location=location)

    def _range(self, name: str, lower: Formula, upper: Formula) -> dict[str, float]:
        low = self._number(lower, f"the lower end of the range of {name!r}")
        high = self._number(upper, f"the upper end of the range of {name!r}")
        if low > high:
            message = f"the range of {name!r} is reversed: its lower end {low:g} is above {high:g}"
            raise self.source.error(message, lower.start.line, lower.start.column)
        return {"lower": low, "upper": high}

    def _declare_left(self, statement: Equation) -> None:
        """Declare the name that no statement declares and that stands alone on the left."""
        text = statement.left.lone_name
        if text is None or text in self.kinds:
            return
        name = statement.left.start
        if text in self.lines:
            message = f"{text!r} is defined already, on line {self.lines[text]}: one equation defines a name"
            raise self._error(f"{message} (declare 'variable {text}' if both equations shall hold)", name)
        self._take(name)
        with self._stated_at(name) as location:
            self.model.variable(text, _location=location)

    def _take(self, name: Name) -> None:
        if name.text in PREDEFINED:
            value = PREDEFINED[name.text]
            raise self._error(f"{name.text!r} is predefined ({value:.6g}): choose another name", name)
        if name.text in self.lines:
            message = f"the name {name.text!r} is used already, on line {self.lines[name.text]}"
            raise self._error(f"{message}: variables, equations and constraints share one namespace", name)
        self.lines[name.text] = name.line

    # second pass: formulas ---------------------------------------------------------------------------------

    def _start(self, statement: Declaration) -> None:
        """Give a variable its start, where that is a formula of names: all of them are known now."""
        if statement.value is None or not _is_computed(statement):
            return
        name, known = statement.name, self.model.symbols
        start, place = self._expression(statement.value), known[statement.name.text].start
        for step in statement.value.steps:
            if step.value in known and known[step.value].kind == "variable" and known[step.value].start >= place:
                message = f"the start of {name.text!r} needs the variable {step.value!r}, which is not declared before"
                raise self.source.error(message, step.line, step.column)
        with self._stated_at(name):
            self.model.set({name.text: start})

    def _role(self, statement: Role) -> None:
        name, value = statement.name, statement.value
        if name.text not in self.model:
            raise self._error(f"{name.text!r} is not declared, and no equation has it alone on its left"
                              f"{nearest(name.text, self.known)}", name)
        if name.text in self.changed:
            raise self._error(f"{name.text!r} is fixed or freed already, on line {self.changed[name.text]}", name)
        self.changed[name.text] = name.line
        what = f"the {'value' if statement.word == 'fix' else 'start'} of {name.text!r}"
        given = [] if value is None else [self._number(value, what, finite=True)]
        with self._stated_at(name):
            getattr(self.model, statement.word)(name.text, *given)

    def _equation(self, statement: Equation) -> None:
        left, right = self._expression(statement.left), self._expression(statement.right)
        label, lone = statement.label, statement.left.lone_name
        if label is not None and not (label.text == lone and self.kinds.get(lone, "variable") == "variable"):
            self._take(label)
        determined = self._determined(statement)
        with self._stated_at(label or statement.left.start) as location:
            self.model.equate(left, right, name=label and label.text, for_=determined, _location=location)

    def _determined(self, statement: Equation) -> Any:
        """The variable that ``for`` names, or None."""
        name = statement.determines
        if name is None:
            return None
        if name.text not in self.model or self.model.symbol(name.text).kind != "variable":
            found = self.known.get(name.text, "not declared")
            raise self._error(f"'for' names the variable that the equation determines, but {name.text!r} is {found}",
                              name)
        return self.model[name.text]

    def _objective(self, statement: Objective) -> None:
        expression, label = self._expression(statement.formula), statement.label
        if label is not None and label.text == statement.formula.lone_name:
            label = None  # an objective that is a variable has its name anyway
        place = statement.label or statement.formula.start
        if self.model.objective is not None:
            line = self.model.objective.location[1]
            raise self._error(f"the objective is given already, on line {line}: a program has one", place)
        if label is not None:
            self._take(label)
        with self._stated_at(place) as location:
            getattr(self.model, statement.sense)(expression, name=label and label.text, _location=location)

    def _constraint(self, statement: Constraint) -> None:
        sides = [self._expression(side) for side in statement.sides]
        label, place = statement.label, statement.label or statement.sides[0].start
        if label is not None:
            self._take(label)
        if all(isinstance(side, float) for side in sides[:2]):
            raise self._error("this compares two numbers: a constraint needs an input or a variable", place)
        if len(sides) == 2:
            body, words = _RELATIONS[statement.relations[0]](*sides), {}
        else:
            body, words = sides[1], self._chain(statement, sides, place)
        with self._stated_at(place) as location:
            self.model.subject_to(body, **words, name=label and label.text, _location=location)

    def _chain(self, statement: Constraint, sides: list[Any], place: Name) -> dict[str, Any]:
        """The bounds of ``low <= body <= high`` or ``high >= body >= low``."""
        first, middle, last = sides
        if statement.relations not in (("<=", "<="), (">=", ">=")):
            raise self._error("a chain is 'a <= x <= b' or 'b >= x >= a': write two constraints", place)
        if isinstance(middle, float):
            raise self._error("the middle of a chain is the bounded expression, not a number", place)
        low, high = (first, last) if statement.relations[0] == "<=" else (last, first)
        if isinstance(low, float) and isinstance(high, float) and low > high:
            raise self._error(f"the bounds are reversed: the lower one, {low:g}, is above {high:g}", place)
        return {"lower": low, "upper": high}

    def _expression(self, formula: Formula) -> Any:
        return _run(self.source, formula, self._symbol)

    def _symbol(self, step: Step) -> Any:
        if step.value in self.model:
            return self.model[step.value]
        if step.value in PREDEFINED:
            return PREDEFINED[step.value]
        advice = nearest(step.value, [*self.known, *PREDEFINED])
        if step.value == "e":
            advice = "; Euler's number is exp(1)"
        message = f"{step.value!r} is not declared, and no equation has it alone on its left{advice}"
        raise self.source.error(message, step.line, step.column)

    def _number(self, formula: Formula, what: str, *, finite: bool = False) -> float:
        return _number(self.source, formula, what, finite, self.known)

    # errors ------------------------------------------------------------------------------------------------

    def _error(self, message: str, place: Name) -> EquationFileError:
        return self.source.error(message, place.line, place.column)

    @contextmanager
    def _stated_at(self, place: Name) -> Iterator[tuple[str, int]]:
        """The location for a declaration; what the program finds wrong with it is shown at this place."""
        try:
            yield self.source.filename, place.line
        except LagrangeError as error:
            raise self._error(str(error), place) from error
