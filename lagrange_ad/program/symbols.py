"""The symbols of a program: inputs, parameters and variables, by name and in the flat state; the names taken so far."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Container, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

from ..errors import DeclarationError, ShapeError, UnknownNameError
from ..expression import Array, Expression, Shape, Symbol, as_expression, symbols_of
from ..printing import place, to_text
from ..text import listing, nearest
from .given import (
    NO_LOWER,
    NO_UPPER,
    as_shape,
    bounds_of,
    caller,
    domain_of,
    fit,
    key_name,
    labels_of,
    numeric,
    scale_of,
    unit_of,
)
from .records import Location
from .starts import has_start, require_domain

Made = TypeVar("Made")

EXECUTORS = ("native", "reference")
"""What may run a program: code compiled for this machine, or NumPy."""

ENTERED: ContextVar[tuple[tuple[Any, str], ...]] = ContextVar("entered", default=())
"""The (program, prefix) of every scope entered and not left, innermost last; each thread and task has its own."""


class Symbols:
    """What is named: the first half of a program; see :class:`~lagrange_ad.program.Declarations`."""

    def __init__(self, name: str = "program", *, executor: str | None = None) -> None:
        if not isinstance(name, str) or not name:
            raise DeclarationError(f"a program's name must be a non-empty string, got {name!r}")
        if executor is not None and executor not in EXECUTORS:
            raise DeclarationError(f"executor= is one of {', '.join(map(repr, EXECUTORS))}, got {executor!r}")
        self.name, self.executor = name, executor
        self.symbols: dict[str, Symbol] = {}
        self.version = 0
        self.values_version = 0
        self.plan_version = 0
        self.swapped: dict[str, Array] = {}
        self._nodes: dict[str, Expression] = {}
        self._named: dict[str, Location] = {}
        self._explicit: set[str] = set()
        self._in_order: list[Expression] = []
        self._size = 0
        self._offsets: list[int] = []
        self._lock = threading.RLock()
        self._memory: dict[str, tuple[Any, Any]] = {}

    def remembered(self, key: str, stamp: Any, make: Callable[[], Made]) -> Made:
        """What ``make`` gave when ``stamp`` was last seen; made again, under the program's lock, when it changed."""
        with self._lock:
            known = self._memory.get(key)
            if known is None or known[0] != stamp:
                known = self._memory[key] = (stamp, make())
            return known[1]

    def consistently(self, read: Callable[[], Made]) -> tuple[int, Made]:
        """``values_version`` and what ``read`` gave, while no other thread declares or sets anything."""
        with self._lock:
            return self.values_version, read()

    def input(self, name: str, value: Any = 0.0, *, shape: Any = None, lower: Any = NO_LOWER, upper: Any = NO_UPPER,
              labels: Any = None, unit: str = "", _location: Location | None = None) -> Expression:
        """Declare an input: given, and chosen by ``ascend`` and the optimizers within its bounds.

        ``value`` (a number or an array) gives the shape unless ``shape=`` does; ``lower`` and ``upper`` broadcast
        to it and are limits for optimizers, never checked by ``evaluate``. ``labels`` name the elements, ``unit`` is
        shown beside values.
        """
        return self._given("input", self._full(name), value, shape, lower, upper, labels, unit, _location or caller())

    def parameter(self, name: str, value: Any = 0.0, *, shape: Any = None, lower: Any = NO_LOWER,
                  upper: Any = NO_UPPER, labels: Any = None, unit: str = "",
                  _location: Location | None = None) -> Expression:
        """Declare a parameter: given like an input, with a gradient, but left alone by optimizers."""
        location = _location or caller()
        return self._given("parameter", self._full(name), value, shape, lower, upper, labels, unit, location)

    def variable(self, name: str, shape: Any = (), *, start: Any = None, lower: Any = NO_LOWER,
                 upper: Any = NO_UPPER, domain: tuple[float, float] = (-np.inf, np.inf), scale: Any = None,
                 labels: Any = None, unit: str = "", _location: Location | None = None) -> Expression:
        """Declare a variable: found from the equations.

        ``start`` is where a cycle's solve begins: a number, an array, or an expression of inputs, parameters and
        earlier variables. ``domain`` is the open interval that guards the iterates of a solve. ``scale`` is the size
        that its values typically have, where solvers should not find it themselves. Bounds are limits for optimizers.
        """
        location, name = _location or caller(), self._full(name)
        with self._lock:
            symbol = self._symbol("variable", name, as_shape(name, shape), lower, upper, labels, unit, location)
            symbol.domain = domain_of(name, domain)
            if scale is not None:
                symbol.scale = scale_of(name, scale, symbol.shape)
            if start is not None:
                symbol.value = self._start(symbol, start)
            return self._add(symbol)

    def _given(self, kind: str, name: str, value: Any, shape: Any, lower: Any, upper: Any, labels: Any, unit: str,
               location: Location) -> Expression:
        array = numeric(name, value, "the value")
        shape = array.shape if shape is None else as_shape(name, shape)
        with self._lock:
            symbol = self._symbol(kind, name, shape, lower, upper, labels, unit, location)
            symbol.value = fit(name, array, shape, "the value")
            return self._add(symbol)

    def _symbol(self, kind: str, name: str, shape: Shape, lower: Any, upper: Any, labels: Any, unit: str,
                location: Location) -> Symbol:
        self._free_name(name)
        symbol = Symbol(name, kind, shape, self, location)
        if lower is not NO_LOWER or upper is not NO_UPPER:
            symbol.lower, symbol.upper = bounds_of(name, lower, upper, shape)
        if labels is not None:
            symbol.labels = labels_of(name, labels, shape)
        if unit or not isinstance(unit, str):
            symbol.unit = unit_of(name, unit)
        return symbol

    def _add(self, symbol: Symbol) -> Expression:
        """Give a symbol its place in the state; whoever found its name free holds the lock since."""
        node = Expression("symbol", (), symbol.shape, symbol)
        symbol.start = self._size
        self._size += node.size
        self._offsets.append(symbol.start)
        self._in_order.append(node)
        self.symbols[symbol.name], self._nodes[symbol.name] = symbol, node
        self._take_name(symbol.name, symbol.location)
        return node

    @property
    def size(self) -> int:
        """Number of elements of all symbols, which stand in the flat state as declared."""
        return self._size

    @property
    def starts(self) -> Array:
        """Where each symbol begins in the flat state, and its size at the end."""
        return np.array([*self._offsets, self._size], dtype=np.int64)

    def node_at(self, position: int) -> Expression:
        """The scalar at a position of the flat state."""
        block = bisect_right(self._offsets, position) - 1
        node = self._in_order[block]
        if not node.shape:
            return node
        index = np.unravel_index(position - self._offsets[block], node.shape)
        return node[tuple(map(int, index))]

    def _start(self, symbol: Symbol, start: Any) -> Any:
        if isinstance(start, Expression):
            self._own(start, f"the start of {symbol.name!r}")
            if start.shape not in ((), symbol.shape):
                raise ShapeError(f"the start of {symbol.name!r} has shape {start.shape}, not {symbol.shape}")
            return start
        return fit(symbol.name, numeric(symbol.name, start, "the start"), symbol.shape, "the start")

    # names -------------------------------------------------------------------------------------------------

    def _full(self, name: Any) -> Any:
        """A name to be declared, with the prefix of the scope that this program is in."""
        if not ENTERED.get() or not isinstance(name, str):
            return name
        return self.prefix + name

    @property
    def prefix(self) -> str:
        """What the scope entered last puts before names, ``"m1."``; empty outside of ``with program.scope(…)``."""
        return next((prefix for program, prefix in reversed(ENTERED.get()) if program is self), "")

    def full_name(self, name: Any, known: Container[str] | None = None) -> Any:
        """The full name of the symbol that ``name`` means here: the one in the innermost scope that has it.

        So in scope ``a.b`` the name ``x`` means ``a.b.x``, or else ``a.x``, or else ``x``. What names nothing is
        handed back as it is. ``known`` names, where given, are looked at instead of the symbols.
        """
        if not ENTERED.get() or not isinstance(name, str):
            return name
        prefix, known = self.prefix, self._nodes if known is None else known
        while prefix:
            if prefix + name in known:
                return prefix + name
            prefix = prefix[: prefix.rfind(".", 0, -1) + 1]
        return name

    def _free_name(self, name: Any, allow: Expression | None = None) -> None:
        if not isinstance(name, str) or not (
            name.isidentifier() or all(part.isidentifier() for part in name.split("."))
        ):
            raise DeclarationError(
                f"{name!r} cannot be a name: letters, digits and _ (dots between scopes), as in 'y1'"
            )
        lone = allow is not None and allow.op == "symbol" and allow.data.name == name
        if name in self._named and not (lone and name not in self._explicit):
            raise DeclarationError(
                f"the name {name!r} is used already, at {place(self._named[name])}: "
                "inputs, parameters, variables, equations and constraints share one namespace"
            )

    def _take_name(self, name: str, location: Location) -> None:
        self._named[name] = location
        self.version += 1

    def _number(self, value: Any, what: str, name: str | None = None) -> Expression:
        node = as_expression(value)
        if node.is_boolean:
            raise DeclarationError(
                f"{_of(what, name)} is a comparison, {to_text(node, 60)}: subject_to takes constraints, "
                "np.where chooses by one"
            )
        self._own(node, what, name)
        return node

    def _own(self, node: Expression, what: str, name: str | None = None) -> None:
        if node.owner is not None and node.owner is not self:
            foreign = listing(symbol.name for symbol in symbols_of(node))
            raise DeclarationError(
                f"{_of(what, name)} contains symbols of the program {node.owner.name!r} ({foreign}), "
                f"not of {self.name!r}: declare them here"
            )

    def __getitem__(self, name: str) -> Expression:
        full = self.full_name(name)
        if full not in self._nodes:
            raise UnknownNameError(f"the program {self.name!r} has no {self._full(name)!r}{self._near(name)}")
        return self._nodes[full]

    def _near(self, name: Any) -> str:
        """``; did you mean …?``: one of this name in a scope, or a name much like it."""
        scoped = next((known for known in self._nodes if known.endswith(f".{name}")), None)
        return f"; did you mean {scoped!r}?" if scoped else nearest(self._full(str(name)), self._nodes)

    def __contains__(self, name: object) -> bool:
        return self.full_name(name) in self._nodes

    def __iter__(self) -> Iterator[str]:
        return iter(self.symbols)

    # values ------------------------------------------------------------------------------------------------

    def set(self, values: dict[str, Any] | None = None, /, **named: Any) -> None:
        """Change values of inputs and parameters, and starts of variables, for good; all or none.

        Of what was fixed or freed it is the value of fixed elements and the start of free ones.
        """
        with self._lock:
            new = {}
            for key, value in {**(values or {}), **named}.items():
                symbol = self.symbol(key)
                new[symbol.name] = self._new_value(symbol, value)
            for name, value in new.items():
                self.plan_version += not np.all(has_start(self.symbols[name]))  # a first start changes the plan
                self.symbols[name].value = value
            self.values_version += 1

    def _new_value(self, symbol: Symbol, value: Any) -> Any:
        """A value or a start, checked; with fixed elements in it, inside the domain there."""
        name, swapped = symbol.name, self.swapped.get(symbol.name)
        if swapped is None:
            if symbol.kind == "variable":
                return self._start(symbol, value)
            return fit(name, numeric(name, value, "the value"), symbol.shape, "the value")
        new = fit(name, numeric(name, value, "the start" if swapped.all() else "the value"), symbol.shape, "the value")
        require_domain(symbol, new, ~swapped)
        return new

    def symbol(self, name: Any) -> Symbol:
        """The record of a named input, parameter or variable (or of one as it was returned when declared)."""
        name = self.full_name(key_name(name, self))
        if name not in self.symbols:
            raise UnknownNameError(
                f"the program {self.name!r} has no input, parameter or variable {self._full(name)!r}"
                f"{self._near(name)}; "
                f"it has {listing(self.symbols)}"
            )
        return self.symbols[name]

    def of_kind(self, kind: str) -> list[Symbol]:
        """The symbols that are an ``"input"``, a ``"parameter"`` or a ``"variable"``."""
        return [symbol for symbol in self.symbols.values() if symbol.kind == kind]


def _of(what: str, name: str | None) -> str:
    return what if name is None else f"{what} {name!r}"
