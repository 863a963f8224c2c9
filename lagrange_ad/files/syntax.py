"""The text of an equation file, taken apart: from characters to statements, or to an error with a caret.

The grammar is in ``grammar.lark``, the parser is lark's LALR(1); nothing is ever executed. Formulas come out
as postfix code (:class:`Formula`), so no step of reading or building recurses, however deep a formula is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import EquationFileError
from ..text import nearest

if TYPE_CHECKING:
    import lark

KEYWORDS = ("program", "input", "parameter", "variable", "minimize", "maximize", "subject", "fix", "free")
_WIDEST_EXCERPT = 300


class Step(NamedTuple):
    """One step of postfix code: a number or a name to push, an operator or a call with its operand count."""

    kind: str
    value: Any
    operands: int
    line: int
    column: int


class Name(NamedTuple):
    """A name at its place in the file."""

    text: str
    line: int
    column: int


@dataclass(frozen=True)
class Formula:
    """An expression in postfix order."""

    steps: tuple[Step, ...]

    @property
    def start(self) -> Name:
        """Its first operand, as a place in the file."""
        return Name(str(self.steps[0].value), self.steps[0].line, self.steps[0].column)

    @property
    def lone_name(self) -> str | None:
        """The name, if the formula is nothing but a name."""
        first = self.steps[0]
        return first.value if len(self.steps) == 1 and first.kind == "name" else None


@dataclass(frozen=True)
class ProgramName:
    """``program name``, the name possibly a text in quotes."""

    name: Name


@dataclass(frozen=True)
class Declaration:
    """``input``, ``parameter`` or ``variable`` (its kind), with what was said of it."""

    kind: str
    name: Name
    value: Formula | None = None
    bounds: tuple[Formula, Formula] | None = None
    domain: tuple[Formula, Formula] | None = None
    unit: str = ""


class Clause(NamedTuple):
    """A part of a declaration: which part (a field of :class:`Declaration`), and what it says."""

    field: str
    says: Any


@dataclass(frozen=True)
class Equation:
    """``left = right``, possibly ``for`` the variable that it determines."""

    label: Name | None
    left: Formula
    right: Formula
    determines: Name | None = None


@dataclass(frozen=True)
class Objective:
    """``minimize`` or ``maximize`` (its ``sense``) a formula."""

    sense: str
    label: Name | None
    formula: Formula


@dataclass(frozen=True)
class Constraint:
    """``subject to`` two or three sides with a relation between each and the next."""

    label: Name | None
    sides: tuple[Formula, ...]
    relations: tuple[str, ...]


@dataclass(frozen=True)
class Role:
    """``fix`` or ``free`` (its ``word``) a symbol, possibly with its value or start."""

    word: str
    name: Name
    value: Formula | None = None


Statement = ProgramName | Declaration | Equation | Objective | Constraint | Role


class Source:
    """The text and the name of a file, for errors that show the line."""

    def __init__(self, text: str, filename: str) -> None:
        self.text = text.replace("\r\n", "\n").replace("\r", "\n")
        self.filename = filename
        self.lines = self.text.split("\n")

    def error(self, message: str, line: int, column: int) -> EquationFileError:
        """The error that shows a place in this file (a very long line is cut, or left out)."""
        shown = self.lines[line - 1][: column + _WIDEST_EXCERPT // 3] if column < _WIDEST_EXCERPT else None
        return EquationFileError(
            message, filename=self.filename, line=line, column=column, source_line=shown
        )


def parse_equations(text: str, filename: str = "<equations>") -> list[Statement]:
    """The statements of an equation file, in the order of the file.

    Raises :class:`EquationFileError` where the text does not follow the grammar.
    """
    import lark

    source = Source(text, filename)
    try:
        statements: Any = _parser().parse(source.text + "\n")
    except _BadToken as error:
        raise source.error(*error.args) from None
    except lark.UnexpectedCharacters as error:
        raise source.error(_unreadable(error.char), error.line, error.column) from None
    except lark.UnexpectedToken as error:
        raise _syntax_error(source, error) from None
    return list(statements)


@lru_cache(maxsize=1)
def _parser() -> lark.Lark:
    """The LALR(1) parser of the grammar beside this file; it keeps no state between texts."""
    import lark

    grammar = resources.files(__package__).joinpath("grammar.lark").read_text(encoding="utf-8")
    actions: Any = _Actions()
    continued: Any = _ContinuedLines()
    return lark.Lark(grammar, parser="lalr", transformer=actions, postlex=continued)


# from tokens to statements ----------------------------------------------------------------------------------


class _BadToken(Exception):
    """A token that the grammar allows and the language does not: message, line, column."""


class _ContinuedLines:
    """Drops the ends of lines inside open brackets."""

    always_accept = ("NEWLINE",)

    def process(self, stream: Iterator[lark.Token]) -> Iterator[lark.Token]:
        depth = 0
        for token in stream:
            if token.type in ("LPAR", "LSQB"):
                depth += 1
            elif token.type in ("RPAR", "RSQB"):
                depth = max(0, depth - 1)
            if token.type != "NEWLINE" or depth == 0:
                yield token


def _place(token: lark.Token) -> tuple[int, int]:
    return token.line or 1, token.column or 1


def _name(token: lark.Token) -> Name:
    if not all(part.isidentifier() for part in token.split(".")):
        raise _BadToken(f"{str(token)!r} is not a name: use letters, digits and '_'", *_place(token))
    return Name(str(token), *_place(token))


def _string(token: lark.Token) -> str:
    """The text between quotes; a backslash stands before a quote or a backslash that is meant as it is."""
    return re.sub(r"\\(.)", r"\1", token[1:-1])


def _number(token: lark.Token) -> Step:
    value = float(token)
    if value == float("inf"):
        raise _BadToken("this number is too large for float64; infinity is written inf", *_place(token))
    return Step("number", value, 0, *_place(token))


def _postfix(node: Any) -> Formula:
    """The postfix code of a nested ``(step, operand, operand, …)``, right to left, then reversed."""
    code: list[Step] = []
    pending = [node]
    while pending:
        step, *operands = pending.pop()
        code.append(step)
        pending.extend(operands)
    code.reverse()
    return Formula(tuple(code))


def _split_label(children: list[Any]) -> tuple[Name | None, list[Any]]:
    return (children[0], children[1:]) if isinstance(children[0], Name) else (None, children)


class _Actions:
    """What each rule of the grammar becomes; called bottom-up while the parser runs.

    Inside a formula a node is a tuple ``(step, operand, operand, …)``; ``formula`` flattens it.
    """

    def start(self, children: list[Any]) -> list[Statement]:
        return [child for child in children if isinstance(child, Statement)]

    def program(self, children: list[Any]) -> Statement:
        (token,) = children
        if token.type == "STRING":
            if not _string(token):
                raise _BadToken("a program's name cannot be empty", *_place(token))
            return ProgramName(Name(_string(token), *_place(token)))
        return ProgramName(_name(token))

    def input(self, children: list[Any]) -> Statement:
        return _declaration("input", children)

    def parameter(self, children: list[Any]) -> Statement:
        return _declaration("parameter", children)

    def variable(self, children: list[Any]) -> Statement:
        return _declaration("variable", children)

    def equation(self, children: list[Any]) -> Statement:
        label, (left, right, *determined) = _split_label(children)
        return Equation(label, left, right, *determined)

    def minimize(self, children: list[Any]) -> Statement:
        label, (formula,) = _split_label(children)
        return Objective("minimize", label, formula)

    def maximize(self, children: list[Any]) -> Statement:
        label, (formula,) = _split_label(children)
        return Objective("maximize", label, formula)

    def constraint(self, children: list[Any]) -> Statement:
        label, sides = _split_label(children)
        return Constraint(label, tuple(sides[0::2]), tuple(str(relation) for relation in sides[1::2]))

    def fix(self, children: list[Any]) -> Statement:
        name, *value = children
        return Role("fix", _name(name), *value)

    def free(self, children: list[Any]) -> Statement:
        name, *clause = children
        return Role("free", _name(name), *(start.says for start in clause))

    def label(self, children: list[Any]) -> Name:
        return _name(children[0])

    def determined(self, children: list[Any]) -> Name:
        return _name(children[0])

    def initial(self, children: list[Any]) -> Clause:
        return Clause("value", children[0])

    def range(self, children: list[Any]) -> Clause:
        return Clause("bounds", tuple(children))

    def domain(self, children: list[Any]) -> Clause:
        return Clause("domain", tuple(children))

    def unit(self, children: list[Any]) -> Clause:
        return Clause("unit", _string(children[0]))

    def formula(self, children: list[Any]) -> Formula:
        return _postfix(children[0])

    def binary(self, children: list[Any]) -> Any:
        left, operator, right = children
        symbol = "**" if operator == "^" else str(operator)
        return Step("operator", symbol, 2, *_place(operator)), left, right

    def positive(self, children: list[Any]) -> Any:
        return children[0]

    def negative(self, children: list[Any]) -> Any:
        minus, operand = children
        return Step("operator", "negative", 1, *_place(minus)), operand

    def number(self, children: list[Any]) -> Any:
        return (_number(children[0]),)

    def name(self, children: list[Any]) -> Any:
        name = _name(children[0])
        return (Step("name", name.text, 0, name.line, name.column),)

    def call(self, children: list[Any]) -> Any:
        function, *operands = children
        name = _name(function)
        return Step("call", name.text, len(operands), name.line, name.column), *operands


def _declaration(kind: str, children: list[Any]) -> Declaration:
    name, *rest = children
    clauses = [part if isinstance(part, Clause) else Clause("value", part) for part in rest]
    return Declaration(kind, _name(name), **{clause.field: clause.says for clause in clauses})


# what is wrong, in words ------------------------------------------------------------------------------------

# What the grammar would accept, in words: the first of these that it would accept speaks for all, …
_BEGINNINGS = {"INPUT": "a statement", "NUMBER": "an expression", "NAME": "a name"}
# … and where none of them is, all of these.
_CONTINUATIONS = {
    "STAR": "an operator", "EQUAL": "'='", "REL": "'<=', '>=' or '=='", "START": "'start'", "TO": "'to'",
    "IN": "'in [lower, upper]'", "DOMAIN": "'domain (low, high)'", "UNIT": "'unit'", "STRING": "a text in quotes \"…\"",
    "LSQB": "'['", "LPAR": "'('", "COMMA": "','", "RPAR": "')'", "RSQB": "']'",
    "NEWLINE": "the end of the line",
}
_LOOKALIKES = {
    "−": "-", "–": "-", "—": "-", "·": "*", "×": "*", "÷": "/", "≤": "<=", "≥": ">=", "²": "^2", "³": "^3",
}


def _unreadable(character: str) -> str:
    """The message for a character that begins no token."""
    if character in _LOOKALIKES:
        return f"the character {character!r} is not understood here: write '{_LOOKALIKES[character]}'"
    if character in "<>":
        return f"{character!r} alone is no relation: constraints are written with '<=', '>=' or '=='"
    if character in "\"'`":
        return "there are no strings here: names stand without quotes, and units in double ones on one line"
    if character == ";":
        return "';' does not end a statement: write one statement a line"
    return f"the character {character!r} is not understood here"


def _syntax_error(source: Source, error: lark.UnexpectedToken) -> EquationFileError:
    """What was found, what would have gone on well, and the likely slip."""
    token = error.token
    line, column = _place(token)
    accepted = error.interactive_parser.accepts()
    opened = _open_bracket(source, line, column, at_end=token.type == "$END")
    if opened is not None and _leaves_bracket(source, token, opened[1]):
        bracket, *place = opened
        found = "" if token.type == "$END" else f": {_found(token)} follows on line {line}"
        return source.error(f"this '{bracket}' is never closed{found}", *place)
    message = f"found {_found(token)}, expected {_expected(accepted)}"
    hint = _hint(source, token, accepted)
    return source.error(f"{message}{hint and f': {hint}'}", line, column)


def _found(token: lark.Token) -> str:
    if token.type in ("NEWLINE", "$END"):
        return "the end of the line"
    if token.type == "NUMBER":
        return f"the number {token}"
    return f"the name '{token}'" if token[0].isalpha() or token[0] == "_" else f"'{token}'"


def _expected(accepted: set[str]) -> str:
    for token_type, words in _BEGINNINGS.items():
        if token_type in accepted:
            return words
    listed = [words for token_type, words in _CONTINUATIONS.items() if token_type in accepted]
    return " or ".join([", ".join(listed[:-1]), listed[-1]] if listed[1:] else listed)


def _hint(source: Source, token: lark.Token, accepted: set[str]) -> str:
    """Advice for the common slips; empty where none is recognised."""
    line, column = _place(token)
    before = source.lines[line - 1][: column - 1].split()
    if "TO" in accepted:
        return "a constraint begins with 'subject to'"
    if token in ("in", "start", "domain", "unit"):
        return f"'{token}' belongs to a declaration of an input, a parameter or a variable"
    if len(before) == 1 and token.type == "NAME" and before[0].isidentifier():
        return f"no statement begins with '{before[0]}'{nearest(before[0].lower(), KEYWORDS)}"
    if token.type == "REL" and "EQUAL" in accepted:
        return "an equation has a single '='; a constraint begins with 'subject to'"
    if token.type == "EQUAL" and len(before) == 1 and before[0] in KEYWORDS:
        return f"'{before[0]}' begins a statement of its own, so no equation begins with that name"
    if token.type in ("NAME", "LPAR") and "STAR" in accepted:
        return "a product is written with '*'"
    return ""


_STRINGS = re.compile(r'"([^"\\]|\\.)*"')


def _blank(text: re.Match[str]) -> str:
    return " " * len(text[0])


def _open_bracket(source: Source, line: int, column: int, at_end: bool) -> tuple[str, int, int] | None:
    """The innermost bracket still open before a place, with its own line and column."""
    opened: list[tuple[str, int, int]] = []
    for number, text in enumerate(source.lines if at_end else source.lines[:line], start=1):
        here = number == line and not at_end
        code = _STRINGS.sub(_blank, text[: column - 1 if here else None]).partition("#")[0]
        for position, character in enumerate(code, start=1):
            if character in "([":
                opened.append((character, number, position))
            elif character in ")]" and opened:
                opened.pop()
    return opened[-1] if opened else None


def _leaves_bracket(source: Source, token: lark.Token, opened_on: int) -> bool:
    """Whether a token shows that a bracket opened on an earlier line was forgotten there."""
    if token.type == "$END":
        return True
    line, column = _place(token)
    begins_line = not source.lines[line - 1][: column - 1].strip()
    return line > opened_on and (begins_line or token.type in ("EQUAL", "REL", "COLON"))
