"""Scopes: a part of a program whose names begin alike, so that models are made of models.

A scope takes the declarations that a program takes and hands them on with its prefix before their names. Results know
full names only. A scope has no state of its own: two scopes of one name are one namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..errors import DeclarationError
from ..expression import Expression
from ..text import nearest
from .declarations import Declarations
from .symbols import ENTERED

Given = ParamSpec("Given")
Made = TypeVar("Made")


def _inside(method: Callable[Concatenate[Declarations, Given], Made]) -> Callable[Concatenate[Scope, Given], Made]:
    """A program's method, called with the scope entered."""

    @wraps(method)
    def called(self: Scope, *args: Given.args, **keywords: Given.kwargs) -> Made:
        with self:
            result: Made = getattr(self.program, method.__name__)(*args, **keywords)
            return result

    return called


class Scope:
    """The namespace ``name`` of a program, from ``program.scope("m1")``: what is declared as ``i`` here is ``m1.i``.

    Declare through it (``m.input("i", 1.0)``) or enter it (``with m: p.input("i", 1.0)``); scopes nest
    (``m.scope("left")``). A name that is looked up means the one in the innermost scope that has it, so a sub-model
    sees what is declared around it. Other threads are not in a scope that this one entered.
    """

    __slots__ = ("name", "program")

    def __init__(self, program: Declarations, name: str) -> None:
        if not isinstance(name, str) or not name.isidentifier():
            dotted = isinstance(name, str) and "." in name
            advice = "scopes nest, p.scope('a').scope('b')" if dotted else "letters, digits and _, as in 'm1'"
            raise DeclarationError(f"{name!r} cannot be the name of a scope: {advice}")
        self.program, self.name = program, program.prefix + name

    def __enter__(self) -> Scope:
        ENTERED.set((*ENTERED.get(), (self.program, f"{self.name}.")))
        return self

    def __exit__(self, *error: object) -> None:
        entered = list(ENTERED.get())
        for i in reversed(range(len(entered))):  # not always the last one: generators may leave in another order
            if entered[i] == (self.program, f"{self.name}."):
                del entered[i]
                break
        ENTERED.set(tuple(entered))

    def scope(self, name: str) -> Scope:
        """The scope ``name`` in this one."""
        with self:
            return Scope(self.program, name)

    input = _inside(Declarations.input)
    parameter = _inside(Declarations.parameter)
    variable = _inside(Declarations.variable)
    define = _inside(Declarations.define)
    equate = _inside(Declarations.equate)
    minimize = _inside(Declarations.minimize)
    maximize = _inside(Declarations.maximize)
    subject_to = _inside(Declarations.subject_to)
    set = _inside(Declarations.set)
    fix = _inside(Declarations.fix)
    free = _inside(Declarations.free)
    full_name = _inside(Declarations.full_name)

    def __getitem__(self, name: str) -> Expression:
        with self:
            return self.program[name]

    def __contains__(self, name: object) -> bool:
        with self:
            return name in self.program

    def __iter__(self) -> Iterator[str]:
        """The full names of the symbols in this scope."""
        return (name for name in self.program.symbols if name.startswith(f"{self.name}."))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in self.__slots__:
            raise AttributeError(name)
        if name in self:
            raise AttributeError(f"what is declared as {name!r} in a scope is looked up as scope[{name!r}]")
        if hasattr(type(self.program), name):
            raise AttributeError(
                f"a scope has no {name!r}: it declares and looks up names; ask the whole program, scope.program.{name}"
            )
        raise AttributeError(f"a scope has no {name!r}{nearest(name, dir(type(self)))}")

    def __repr__(self) -> str:
        return f"<scope {self.name!r} of {self.program!r}>"
