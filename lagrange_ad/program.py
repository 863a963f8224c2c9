"""Declarations: the inputs, parameters, variables, equations, objective and constraints of one program.

Takes expressions, keeps them in order with the file and line of each, and shows them as a networkx graph. What is
wrong with a declaration is said here, at the line that makes it; nothing is computed in this room.
"""

from __future__ import annotations

import operator
import sys
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .errors import DeclarationError, ExpressionTypeError, ShapeError, UnknownNameError
from .expression import Array, Expression, Shape, Symbol, as_expression, pack, postorder, symbols_of, unpack
from .forms import Form, PackedEquations, Sides, Tokens, read
from .printing import place, to_text
from .text import listing, nearest, table, values

if TYPE_CHECKING:
    import networkx

Location = tuple[str, int]
Made = TypeVar("Made")
_NO_LOWER, _NO_UPPER = -np.inf, np.inf
_PACKAGE = str(Path(__file__).parent)
_PLACES: dict[Location, Location] = {}  # one tuple a line: a loop declares 10^5 equations at the same one

EXECUTORS = ("native", "reference")
"""What may run a program: code compiled for this machine, or NumPy."""

_FOREIGN_WORDS = {
    "solve": "evaluate() solves the equations, ascend() improves the inputs",
    "run": "evaluate()",
    "add_constraint": "subject_to(expr <= bound, name=...)",
    "constraint": "subject_to(expr <= bound, name=...)",
    "add_subsystem": "define(name, expr) or equate(left, right)",
    "add_equation": "equate(left, right) or define(name, expr)",
    "equation": "equate(left, right) or define(name, expr)",
    "add_variable": "variable(name, start=...) or input(name, value)",
    "var": "variable(name, start=...) or input(name, value)",
    "add_input": "input(name, value)",
    "set_objective": "minimize(expr) or maximize(expr)",
    "objective": "minimize(expr) or maximize(expr)",
    "minimise": "minimize(expr)",
    "maximise": "maximize(expr)",
    "set_value": "set(name=value)",
    "gradient": "evaluate().gradient[name]",
}


@dataclass(eq=False, slots=True)  # not frozen: that would double the time it takes to make one
class Equation:
    """One declared equation left = right, an array of them when the shape is not ().

    ``own`` is the symbol alone on the left that it determines (explicit), else None (implicit); ``determines``
    is the symbol named by ``for_=``, else None. Residual: right − left. ``sides``: both, or the equations of one form,
    of which this is the one with a ``number``.
    """

    name: str
    sides: Sides | PackedEquations
    number: int
    shape: Shape
    own: Symbol | None
    determines: Symbol | None
    location: Location

    @property
    def left(self) -> Expression:
        """The left side."""
        return self._sides().left

    @property
    def right(self) -> Expression:
        """The right side."""
        return self._sides().right

    def _sides(self) -> Sides:
        return self.sides if isinstance(self.sides, Sides) else self.sides.sides(self.number)

    def __str__(self) -> str:
        return f"{to_text(self.left, 400)} = {to_text(self.right, 400)}"


@dataclass(frozen=True, slots=True)
class Objective:
    """The scalar objective; ``sense`` is ``"minimize"`` or ``"maximize"``."""

    name: str
    sense: str
    expression: Expression
    location: Location

    def __str__(self) -> str:
        return f"{self.sense} {self.name}: {to_text(self.expression, 400)}"


@dataclass(frozen=True, slots=True)
class Constraint:
    """lower <= body <= upper, element by element; a side that is not there is None. Bounds hold parameters at most."""

    name: str
    body: Expression
    lower: Expression | None
    upper: Expression | None
    location: Location

    def __str__(self) -> str:
        body = to_text(self.body, 400)
        if self.lower is not None and self.lower is self.upper:
            return f"{body} == {to_text(self.lower, 100)}"
        if self.lower is None:
            return f"{body} <= {to_text(self.upper, 100)}" if self.upper is not None else body
        if self.upper is None:
            return f"{body} >= {to_text(self.lower, 100)}"
        return f"{to_text(self.lower, 100)} <= {body} <= {to_text(self.upper, 100)}"


def caller() -> Location:
    """File and line of the user's call of a method: the nearest frame outside this package."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    place = frame.f_code.co_filename, frame.f_lineno
    return _PLACES.setdefault(place, place)


def numeric(name: str, value: Any, what: str, *, finite: bool = True) -> Array:
    """``value`` as a float64 array, or an error that names what was given for what."""
    if isinstance(value, Expression):
        raise DeclarationError(
            f"{what} of {name!r} must be a number or an array of numbers, got the expression {to_text(value, 60)}: "
            f"define({name!r}, expr) declares a variable by an expression"
        )
    try:
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError
        array = np.array(value)
        if array.dtype.kind not in "buif":
            raise TypeError
        array = array.astype(np.float64)
    except (TypeError, ValueError, ExpressionTypeError):
        raise DeclarationError(
            f"{what} of {name!r} must be a number or an array of numbers, got {str(value)[:80]!r} "
            f"({type(value).__name__})"
        ) from None
    if np.isnan(array).any() or (finite and np.isinf(array).any()):
        bad = "NaN" if np.isnan(array).any() else "infinite"
        at = "" if array.ndim == 0 else f" at index {tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])}"
        raise DeclarationError(f"{what} of {name!r} is {bad}{at}: give finite numbers")
    return array


def fit(name: str, array: Array, shape: Shape, what: str) -> Array:
    """``array`` broadcast to ``shape`` (a copy), or an error with both shapes."""
    try:
        return np.array(np.broadcast_to(array, shape))
    except ValueError:
        raise ShapeError(f"{what} of {name!r} has shape {array.shape}, {name!r} has shape {shape}") from None


def key_name(key: Any, owner: Any) -> Any:
    """The name that a key of a mapping means: a string, or a symbol as its declaration returned it."""
    if not isinstance(key, Expression) or key.op != "symbol":
        return key
    if key.owner is not owner:
        raise UnknownNameError(f"{key.data.name!r} is of the program {key.owner.name!r}, not of {owner.name!r}")
    return key.data.name


def _check_bounds(label: str, body: Expression, low: Expression | None, high: Expression | None) -> None:
    for bound in (low, high):
        if bound is None:
            continue
        sizes = zip(bound.shape[::-1], body.shape[::-1], strict=False)
        if bound.ndim > body.ndim or any(m not in (1, n) for m, n in sizes):
            raise ShapeError(
                f"constraint {label!r}: the bound {to_text(bound, 40)} has shape {bound.shape}, "
                f"the body {to_text(body, 60)} has shape {body.shape}"
            )
    if low is not None and high is not None and low.op == high.op == "constant" and (low.data > high.data).any():
        raise DeclarationError(
            f"the bounds of constraint {label!r} are crossed: lower {values(low.data)} > upper {values(high.data)}"
        )


def _as_shape(name: str, shape: Any) -> Shape:
    try:
        sizes = tuple(operator.index(n) for n in (shape if isinstance(shape, tuple | list) else (shape,)))
    except (TypeError, ValueError):
        raise ShapeError(f"shape of {name!r} must be a tuple of integers, got {shape!r}") from None
    if any(n < 0 for n in sizes):
        raise ShapeError(f"shape of {name!r} has a negative size: {sizes}")
    return sizes


class _Number(int):
    """The number of an expression among the packed nodes of a pickled program."""


def _held(record: Any) -> list[Expression]:
    """The expressions of an equation, an objective or a constraint (those kept as nodes)."""
    held: list[Expression] = []
    for field in fields(record):
        value = getattr(record, field.name)
        held += [part for part in (value if isinstance(value, Sides) else [value]) if isinstance(part, Expression)]
    return held


def _with_records(state: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """A program's state with ``change`` applied to every field of its records, and to both sides of equations."""
    def changed(record: Any) -> Any:
        if record is None:
            return None
        if isinstance(record, Sides):
            return Sides(*map(change, record))
        if isinstance(record, Equation | Objective | Constraint):
            return type(record)(**{field.name: changed(getattr(record, field.name)) for field in fields(record)})
        return change(record)

    lists = {key: [changed(record) for record in state[key]] for key in ("equations", "constraints")}
    return {**state, **lists, "objective": changed(state["objective"])}


class Declarations:
    """What a program consists of, in the order it was declared.

    ``symbols`` by name, ``equations`` and ``constraints`` as lists, ``objective`` or None. ``version`` rises with
    every declaration and ``values_version`` with every ``set``, so that what was computed before is known to be old.
    ``executor`` names what runs it: ``"native"`` (code compiled for this machine), ``"reference"`` (NumPy: the meaning,
    many times slower), or None for the native one where it can be had.
    """

    def __init__(self, name: str = "program", *, executor: str | None = None) -> None:
        if not isinstance(name, str) or not name:
            raise DeclarationError(f"a program's name must be a non-empty string, got {name!r}")
        if executor is not None and executor not in EXECUTORS:
            raise DeclarationError(f"executor= is one of {', '.join(map(repr, EXECUTORS))}, got {executor!r}")
        self.name, self.executor = name, executor
        self.symbols: dict[str, Symbol] = {}
        self.equations: list[Equation] = []
        self.constraints: list[Constraint] = []
        self.objective: Objective | None = None
        self.version = 0
        self.values_version = 0
        self._nodes: dict[str, Expression] = {}
        self._named: dict[str, Location] = {}
        self._explicit: set[str] = set()
        self._in_order: list[Expression] = []
        self._size = 0
        self._offsets: list[int] = []
        self._forms: dict[Tokens, PackedEquations] = {}
        self._form_at: dict[Location, PackedEquations] = {}
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

    def variant(self, symbols: dict[str, Symbol], equations: Sequence[Equation],
                outputs: Sequence[Constraint]) -> Declarations:
        """Another program on this one's nodes: its first ``symbols``, some of its ``equations``, ``outputs`` in place of
        constraints, no objective. A symbol that is another object than this program's is a variable that is given now.
        The variant is to be lowered, not to be extended."""
        with self._lock:
            other = object.__new__(Declarations)
            other.__dict__.update(self.__dict__)
            other._lock, other._memory = threading.RLock(), {}
            ends = [*self._offsets, self._size]
            other._offsets, other._size = ends[: len(symbols)], ends[len(symbols)]
            other.symbols, other.constraints, other.objective = symbols, list(outputs), None
            other.equations = list(equations)
            if len(equations) < len(self.equations):
                other.equations, other._forms = _some_of(self, equations)
            given = {name for name, symbol in symbols.items() if symbol is not self.symbols[name]}
            other.equations = [_without_own(e) if given and _owner_name(e) in given else e for e in other.equations]
            return other

    def __getstate__(self) -> dict[str, Any]:
        """The declarations, expressions packed as numbered nodes: a deep one must not make pickle recurse."""
        state = {key: value for key, value in self.__dict__.items() if key not in ("_lock", "_memory")}
        starts = {name: s.value for name, s in self.symbols.items() if isinstance(s.value, Expression)}
        held = [*self._nodes.values(), *starts.values(), *(node for r in self._records() for node in _held(r))]
        nodes = postorder(held)
        number = {id(node): _Number(i) for i, node in enumerate(nodes)}
        state["_packed"] = pack(nodes)
        state["_nodes"] = {name: number[id(node)] for name, node in self._nodes.items()}
        del state["_in_order"]
        state["_starts"] = {name: number[id(node)] for name, node in starts.items()}
        return _with_records(state, lambda value: number[id(value)] if isinstance(value, Expression) else value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        nodes = unpack(state.pop("_packed"), self)
        for name, number in state.pop("_starts").items():
            state["symbols"][name].value = nodes[number]
        state["_nodes"] = {name: nodes[number] for name, number in state["_nodes"].items()}
        self._in_order = list(state["_nodes"].values())
        self.__dict__.update(
            _with_records(state, lambda value: nodes[value] if isinstance(value, _Number) else value)
        )
        self._lock = threading.RLock()
        self._memory = {}

    def _records(self) -> list[Any]:
        goal = [self.objective] if self.objective is not None else []
        return [*self.equations, *self.constraints, *goal]

    def __getattr__(self, name: str) -> Any:
        if name in _FOREIGN_WORDS:
            raise AttributeError(f"a Program has no {name!r}; here it is {_FOREIGN_WORDS[name]}")
        raise AttributeError(f"a Program has no attribute {name!r}{nearest(name, dir(type(self)))}")

    # symbols -----------------------------------------------------------------------------------------------

    def input(self, name: str, value: Any = 0.0, *, shape: Any = None, lower: Any = _NO_LOWER, upper: Any = _NO_UPPER,
              labels: Any = None, unit: str = "", _location: Location | None = None) -> Expression:
        """Declare an input: given, and chosen by ``ascend`` and the optimizers within its bounds.

        ``value`` (a number or an array) gives the shape unless ``shape=`` does; ``lower`` and ``upper`` broadcast
        to it and are limits for optimizers, never checked by ``evaluate``. ``labels`` name the elements.
        """
        return self._given("input", name, value, shape, lower, upper, labels, unit, _location or caller())

    def parameter(self, name: str, value: Any = 0.0, *, shape: Any = None, lower: Any = _NO_LOWER,
                  upper: Any = _NO_UPPER, labels: Any = None, unit: str = "",
                  _location: Location | None = None) -> Expression:
        """Declare a parameter: given like an input, with a gradient, but left alone by optimizers."""
        return self._given("parameter", name, value, shape, lower, upper, labels, unit, _location or caller())

    def variable(self, name: str, shape: Any = (), *, start: Any = None, lower: Any = _NO_LOWER,
                 upper: Any = _NO_UPPER, domain: tuple[float, float] = (-np.inf, np.inf), labels: Any = None,
                 unit: str = "", _location: Location | None = None) -> Expression:
        """Declare a variable: found from the equations.

        ``start`` is where a cycle's solve begins: a number, an array, or an expression of inputs, parameters and
        earlier variables. ``domain`` is the open interval that guards the iterates of a solve. Bounds are limits
        for optimizers.
        """
        location = _location or caller()
        symbol = self._symbol("variable", name, _as_shape(name, shape), lower, upper, labels, unit, location)
        symbol.domain = self._domain(name, domain)
        if start is not None:
            symbol.value = self._start(symbol, start)
        return self._add(symbol)

    def define(self, name: str, expression: Any, *, start: Any = None, lower: Any = _NO_LOWER, upper: Any = _NO_UPPER,
               labels: Any = None, unit: str = "", _location: Location | None = None) -> Expression:
        """Declare a variable and its equation ``name = expression`` in one step; the shape is the expression's."""
        location = _location or caller()
        right = self._number(expression, "the equation of", name)
        symbol = self._symbol("variable", name, right.shape, lower, upper, labels, unit, location)
        if start is not None:
            symbol.value = self._start(symbol, start)
        left = self._add(symbol)
        self._equation(name, Sides(left, right), right.shape, symbol, None, location)
        return left

    def _given(self, kind: str, name: str, value: Any, shape: Any, lower: Any, upper: Any, labels: Any, unit: str,
               location: Location) -> Expression:
        array = numeric(name, value, "the value")
        shape = array.shape if shape is None else _as_shape(name, shape)
        symbol = self._symbol(kind, name, shape, lower, upper, labels, unit, location)
        symbol.value = fit(name, array, shape, "the value")
        return self._add(symbol)

    def _symbol(self, kind: str, name: str, shape: Shape, lower: Any, upper: Any, labels: Any, unit: str,
                location: Location) -> Symbol:
        self._free_name(name)
        symbol = Symbol(name, kind, shape, self, location)
        if lower is not _NO_LOWER or upper is not _NO_UPPER:
            symbol.lower, symbol.upper = self._bounds(name, lower, upper, shape)
        if labels is not None:
            symbol.labels = self._labels(name, labels, shape)
        symbol.unit = unit
        return symbol

    def _add(self, symbol: Symbol) -> Expression:
        node = Expression("symbol", (), symbol.shape, symbol)
        with self._lock:
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

    @property
    def forms(self) -> list[PackedEquations]:
        """The equations that are kept by form."""
        return list(self._forms.values())

    def node_at(self, position: int) -> Expression:
        """The scalar at a position of the flat state."""
        block = bisect_right(self._offsets, position) - 1
        node = self._in_order[block]
        if not node.shape:
            return node
        index = np.unravel_index(position - self._offsets[block], node.shape)
        return node[tuple(map(int, index))]

    def _bounds(self, name: str, lower: Any, upper: Any, shape: Shape) -> tuple[Any, Any]:
        low = numeric(name, -np.inf if lower is None else lower, "the lower bound", finite=False)
        high = numeric(name, np.inf if upper is None else upper, "the upper bound", finite=False)
        fit(name, low, shape, "the lower bound")
        fit(name, high, shape, "the upper bound")
        if (low > high).any():
            raise DeclarationError(f"the bounds of {name!r} are crossed: lower {values(low)} > upper {values(high)}")
        return low, high

    def _labels(self, name: str, labels: Any, shape: Shape) -> list[Any]:
        listed = list(labels)
        if not shape or len(listed) != shape[0]:
            raise ShapeError(f"labels of {name!r}: {len(listed)} given for shape {shape}; one an element of axis 0")
        return listed

    def _domain(self, name: str, domain: Any) -> tuple[float, float]:
        ends = np.asarray(domain if isinstance(domain, tuple | list) else np.nan)
        if ends.shape != (2,) or ends.dtype.kind not in "iuf" or np.isnan(ends).any():
            raise DeclarationError(f"the domain of {name!r} must be two numbers, domain=(low, high), got {domain!r}")
        low, high = float(ends[0]), float(ends[1])
        if not low < high:
            raise DeclarationError(f"the domain of {name!r} is empty: ({low:g}, {high:g})")
        return low, high

    def _start(self, symbol: Symbol, start: Any) -> Any:
        if isinstance(start, Expression):
            self._own(start, f"the start of {symbol.name!r}")
            if start.shape not in ((), symbol.shape):
                raise ShapeError(f"the start of {symbol.name!r} has shape {start.shape}, not {symbol.shape}")
            return start
        return fit(symbol.name, numeric(symbol.name, start, "the start"), symbol.shape, "the start")

    # equations ---------------------------------------------------------------------------------------------

    def equate(self, left: Any, right: Any, name: str | None = None, *, for_: Expression | None = None,
               _location: Location | None = None) -> None:
        """Declare the equation left = right (arrays: element by element; the shapes broadcast).

        A variable alone on the left that has no other equation is determined by it. Otherwise the equation is
        implicit and matching finds what it determines; ``for_=u`` says so at once. The residual is right − left.
        """
        location = _location or caller()
        left, right = self._number(left, "the left side"), self._number(right, "the right side")
        if name is not None:
            self._free_name(name, allow=left)
        own = self._lone(left, right)
        shape = own.shape if own is not None else self._common_shape(name, left, right)
        if left.owner is None and right.owner is None:
            raise DeclarationError(
                f"the equation {to_text(left, 60)} = {to_text(right, 60)} contains no input or variable of this program"
            )
        determines = None
        if for_ is not None:
            determines = self._whole_variable(for_)
        label = name or self._equation_name(own or determines)
        self._equation(label, Sides(left, right), shape, own, determines, location)
        if label not in self.symbols:
            self._take_name(label, location)

    def _lone(self, left: Expression, right: Expression) -> Symbol | None:
        """The variable alone on the left that has no explicit equation yet and that the right side fits."""
        if left.op != "symbol" or left.data.kind != "variable" or left.data.name in self._explicit:
            return None
        try:
            fits = np.broadcast_shapes(left.shape, right.shape) == left.shape
        except ValueError:
            return None
        return left.data if fits else None

    def _common_shape(self, name: str | None, left: Expression, right: Expression) -> Shape:
        try:
            shape = np.broadcast_shapes(left.shape, right.shape)
        except ValueError:
            shape = None
        if shape is None or (left.op == "symbol" and left.shape != shape):
            raise ShapeError(
                f"equation {name or to_text(left, 60)!r}: the left side {to_text(left, 60)} has shape {left.shape}, "
                f"the right side {to_text(right, 60)} has shape {right.shape}; make them equal"
            )
        return shape

    def _whole_variable(self, for_: Any) -> Symbol:
        if not isinstance(for_, Expression) or for_.op != "symbol" or for_.data.kind != "variable":
            raise DeclarationError("for_= takes a whole variable, as p.variable returned it")
        self._own(for_, "for_")
        return for_.data  # type: ignore[no-any-return]

    def _equation_name(self, symbol: Symbol | None) -> str:
        if symbol is not None and symbol.name not in self._explicit:
            return symbol.name
        number = len(self.equations) + 1
        while f"equation_{number}" in self._named:
            number += 1
        return f"equation_{number}"

    def _equation(self, name: str, sides: Sides, shape: Shape, own: Symbol | None, determines: Symbol | None,
                  location: Location) -> None:
        with self._lock:
            packed = None if shape else self._pack(sides, location)
            number = -1 if packed is None else len(packed) - 1
            kept = sides if packed is None else packed
            self.equations.append(Equation(name, kept, number, shape, own, determines, location))
            owner = own or (determines if name in self.symbols else None)
            if owner is not None:
                self._explicit.add(owner.name)
            self.version += 1

    def _pack(self, sides: Sides, location: Location) -> PackedEquations | None:
        """Keep the sides of the next equation as numbers of their form; None where they are not simple scalars."""
        left, right = sides
        packed = self._form_at.get(location)  # a loop declares equations of one form on one line
        leaves = packed.leaves(right, left) if packed is not None else None
        if packed is None or leaves is None:
            reading = read((right, left))
            if reading is None:
                return None
            tokens, leaves = reading.tokens, (reading.args, reading.coefs)
            packed = self._forms.get(tokens)
            if packed is None:
                packed = self._forms[tokens] = PackedEquations(Form(tokens), self.node_at)
            self._form_at[location] = packed
        packed.add(len(self.equations), *leaves)
        return packed

    # objective and constraints -----------------------------------------------------------------------------

    def maximize(self, expression: Any, name: str | None = None, *, _location: Location | None = None) -> None:
        """Declare the scalar objective, to be made as large as possible."""
        self._objective("maximize", expression, name, _location or caller())

    def minimize(self, expression: Any, name: str | None = None, *, _location: Location | None = None) -> None:
        """Declare the scalar objective, to be made as small as possible."""
        self._objective("minimize", expression, name, _location or caller())

    def _objective(self, sense: str, expression: Any, name: str | None, location: Location) -> None:
        if self.objective is not None:
            raise DeclarationError(
                f"the objective is declared already, at {place(self.objective.location)}: a program has one"
            )
        node = self._number(expression, "the objective")
        if node.shape != ():
            raise ShapeError(
                f"the objective must be a scalar, but {to_text(node, 60)} has shape {node.shape}: "
                "np.sum or np.mean makes one number of it"
            )
        if name is not None:
            self._free_name(name, allow=node)
        with self._lock:
            default = node.data.name if node.op == "symbol" else "objective"
            self.objective = Objective(name or default, sense, node, location)
            if name is not None and name not in self.symbols:
                self._take_name(name, location)
            self.version += 1

    def subject_to(self, constraint: Any, *, lower: Any = None, upper: Any = None, name: str | None = None,
                   _location: Location | None = None) -> None:
        """Declare a constraint: ``subject_to(expr <= bound)``, ``>=``, ``==``, or ``subject_to(expr, lower=, upper=)``.

        ``evaluate`` never fails on a violated one; optimizers hold it. The bound is the side without inputs or
        variables; when both sides have some, left − right is bounded by 0.
        """
        location = _location or caller()
        node = as_expression(constraint)
        if node.is_boolean:
            if lower is not None or upper is not None:
                raise DeclarationError("subject_to takes a comparison, or an expression with lower=/upper=, not both")
            body, low, high = self._comparison(node)
        else:
            if lower is None and upper is None:
                raise DeclarationError(
                    f"subject_to({to_text(node, 60)}) says no bound: write expr <= bound, or give lower= or upper="
                )
            body, low, high = node, self._bound(lower, "lower"), self._bound(upper, "upper")
        self._own(body, "the constraint")
        if name is not None:
            self._free_name(name)
        label = name or self._constraint_name()
        _check_bounds(label, body, low, high)
        with self._lock:
            self.constraints.append(Constraint(label, body, low, high, location))
            self._take_name(label, location)
            self.version += 1

    def _comparison(self, node: Expression) -> tuple[Expression, Expression | None, Expression | None]:
        flipped = {"less_equal": "greater_equal", "greater_equal": "less_equal", "equal": "equal"}
        if node.op not in flipped:
            raise DeclarationError(
                f"{to_text(node, 80)} cannot be a constraint: use <=, >= or == (a strict < or > has no boundary point)"
            )
        (left, right), op = node.args, node.op
        if self._is_bound(left) and not self._is_bound(right):
            left, right, op = right, left, flipped[op]
        if not self._is_bound(right):
            left, right = left - right, as_expression(0.0)
        if self._is_bound(left):
            raise DeclarationError(f"{to_text(node, 80)} contains no input or variable: it constrains nothing")
        return left, (None if op == "less_equal" else right), (None if op == "greater_equal" else right)

    def _is_bound(self, node: Expression) -> bool:
        return node.owner is None or all(symbol.kind == "parameter" for symbol in symbols_of(node))

    def _bound(self, value: Any, what: str) -> Expression | None:
        if value is None:
            return None
        bound = as_expression(value)
        if not self._is_bound(bound):
            raise DeclarationError(f"{what}={to_text(bound, 60)} contains inputs or variables: write left <= right")
        return bound

    def _constraint_name(self) -> str:
        number = len(self.constraints) + 1
        while f"constraint_{number}" in self._named:
            number += 1
        return f"constraint_{number}"

    # names -------------------------------------------------------------------------------------------------

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
        with self._lock:
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
        if name not in self._nodes:
            raise UnknownNameError(f"the program {self.name!r} has no {name!r}{nearest(str(name), self._nodes)}")
        return self._nodes[name]

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def __iter__(self) -> Iterator[str]:
        return iter(self.symbols)

    # values ------------------------------------------------------------------------------------------------

    def set(self, values: dict[str, Any] | None = None, /, **named: Any) -> None:
        """Change values of inputs and parameters, and starts of variables, for good; all or none."""
        new = {}
        for key, value in {**(values or {}), **named}.items():
            symbol = self.symbol(key)
            name = symbol.name
            if symbol.kind == "variable":
                new[name] = self._start(symbol, value)
            else:
                new[name] = fit(name, numeric(name, value, "the value"), symbol.shape, "the value")
        with self._lock:
            for name, value in new.items():
                self.version += self.symbols[name].value is None  # a first start changes the plan
                self.symbols[name].value = value
            self.values_version += 1

    def symbol(self, name: Any) -> Symbol:
        """The record of a named input, parameter or variable (or of one as it was returned when declared)."""
        name = key_name(name, self)
        if name not in self.symbols:
            near = nearest(str(name), self.symbols)
            raise UnknownNameError(
                f"the program {self.name!r} has no input, parameter or variable {name!r}{near}; "
                f"it has {listing(self.symbols)}"
            )
        return self.symbols[name]

    def of_kind(self, kind: str) -> list[Symbol]:
        """The symbols that are an ``"input"``, a ``"parameter"`` or a ``"variable"``."""
        return [symbol for symbol in self.symbols.values() if symbol.kind == kind]

    # showing -----------------------------------------------------------------------------------------------

    @property
    def graph(self) -> networkx.DiGraph:
        """The program as a networkx.DiGraph (frozen; made at the first look after a declaration).

        A node a named input, parameter, variable and implicit equation with ``kind``, ``shape``, ``start``,
        ``equation`` (printable) and ``location``; an edge from every parent to what it appears in.
        """
        return self.remembered("graph", (self.version, self.values_version), self._make_graph)

    def _make_graph(self) -> networkx.DiGraph:
        import networkx

        graph = networkx.DiGraph(name=self.name, objective=str(self.objective) if self.objective else None)
        for symbol in self.symbols.values():
            graph.add_node(symbol.name, kind=symbol.kind, shape=symbol.shape, start=symbol.value, equation=None,
                           location=symbol.location)
        for equation in self.equations:
            self._graph_equation(graph, equation)
        return networkx.freeze(graph)

    def _graph_equation(self, graph: Any, equation: Equation) -> None:
        node = equation.own.name if equation.own is not None else equation.name
        if node in graph:
            graph.nodes[node]["equation"] = str(equation)
        else:
            graph.add_node(node, kind="equation", shape=equation.shape, start=None, equation=str(equation),
                           location=equation.location)
        sides = [equation.right] if equation.own is not None else [equation.left, equation.right]
        parents = {symbol.name for side in sides for symbol in symbols_of(side)}
        if equation.own is None:
            parents.discard(node)
        graph.add_edges_from((parent, node) for parent in sorted(parents))

    def summary(self) -> str:
        """Everything declared, as text tables."""
        parts = [table(
            f"program {self.name}",
            ["symbol", "kind", "shape", "value or start", "lower", "upper"],
            [[s.name, s.kind, str(s.shape) if s.shape else "", _shown(s.value), _bound_text(s.lower),
              _bound_text(s.upper)] for s in self.symbols.values()],
        )]
        if self.equations:
            parts.append(table("equations", ["name", "equation", "declared at"],
                               [[e.name, str(e), place(e.location)] for e in self.equations]))
        if self.objective is not None:
            parts.append(str(self.objective))
        if self.constraints:
            parts.append(table("constraints", ["name", "constraint", "declared at"],
                               [[c.name, str(c), place(c.location)] for c in self.constraints]))
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        counts = ", ".join(_counted(len(self.of_kind(kind)), kind) for kind in ("input", "parameter", "variable"))
        goal = f", {self.objective.sense} {self.objective.name}" if self.objective else ", no objective"
        return f"<Program {self.name!r}: {counts}, {_counted(len(self.equations), 'equation')}{goal}>"


def _owner_name(equation: Equation) -> str | None:
    symbol = equation.own or equation.determines
    return symbol.name if symbol is not None else None


def _without_own(e: Equation) -> Equation:
    """An equation whose variable is given: it has to determine something else."""
    return Equation(e.name, e.sides, e.number, e.shape, None, None, e.location)


def _some_of(program: Declarations, equations: Sequence[Equation]) -> tuple[list[Equation],
                                                                          dict[Tokens, PackedEquations]]:
    """Some equations of a program, in its order, and their forms."""
    kept = {id(equation) for equation in equations}
    place = np.cumsum([id(equation) in kept for equation in program.equations]) - 1
    place[[id(equation) not in kept for equation in program.equations]] = -1
    restricted = {id(packed): packed.restricted(place) for packed in program.forms}
    new = []
    for e in equations:
        if isinstance(e.sides, Sides):
            new.append(e)
        else:
            packed, number = restricted[id(e.sides)]
            new.append(Equation(e.name, packed, int(number[e.number]), e.shape, e.own, e.determines, e.location))
    forms = {packed.form.tokens: packed for packed, _ in restricted.values() if len(packed)}
    return new, forms


def _of(what: str, name: str | None) -> str:
    return what if name is None else f"{what} {name!r}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return to_text(value, 40) if isinstance(value, Expression) else values(value)


def _bound_text(bound: Any) -> str:
    return "" if np.ndim(bound) == 0 and np.isinf(bound) else values(bound, 3)
