"""What a Jacobian or a function is of: names, symbols and expressions as elements of the state and rows of a plan.

Takes what a user asked for; gives :class:`Quantity` records and, where an expression or a residual is among them, the
plan of a variant of the program that computes them beside its equations. An equation whose residual is asked for is not
solved there: a residual that is solved to zero would tell nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import DeclarationError, StructureError, UnknownNameError
from ..expression import Array, Expression, Shape, Symbol, as_expression, evaluate, postorder, symbols_of
from ..lowering import Blocks, Lowered, lower
from ..printing import to_text
from ..program import Constraint, Declarations, Equation, Location, Objective, caller, variant
from ..text import listing, nearest
from .plan import Plan, make_plan
from .roles import all_unknown


@dataclass(frozen=True, eq=False)
class Quantity:
    """Something asked for by ``key``: state elements (``places``, in its shape), or an expression with its own rows.

    ``declared`` is the constraint, the objective or the equation (for its residual) that was named, ``symbol`` the name
    of the symbol that it is.
    """

    key: Any
    name: str
    shape: Shape
    places: Array | None = None
    expression: Expression | None = None
    declared: Constraint | Objective | Equation | None = None
    symbol: str | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_residual(self) -> bool:
        """Whether it is the residual of an equation."""
        return isinstance(self.declared, Equation)


@dataclass(frozen=True, eq=False)
class Declared:
    """The declarations of a program at one version, and which elements of its symbols the equations determine."""

    owner: Declarations
    symbols: dict[str, Symbol]
    equations: Sequence[Equation]
    constraints: Sequence[Constraint]
    objective: Objective | None
    unknown: Array

    @staticmethod
    def now(program: Declarations) -> Declared:
        """Those of a program as it stands."""
        return Declared(program, dict(program.symbols), tuple(program.equations), tuple(program.constraints),
                        program.objective, program.unknown_elements())

    @staticmethod
    def of(plan: Plan) -> Declared:
        """Those of a plan."""
        lowered = plan.lowered
        owner: Any = next((symbol.owner for symbol in lowered.symbols.values()), None)
        return Declared(owner, lowered.symbols, lowered.equations, lowered.constraints, lowered.objective,
                        plan.unknown[: lowered.n_user])


def items(asked: Any, what: str) -> list[tuple[str | None, Any]]:
    """(name or None, item) of what was asked for: one thing, several in a list, or named ones in a mapping."""
    if isinstance(asked, Mapping):
        listed: list[tuple[str | None, Any]] = [(str(name), item) for name, item in asked.items()]
    elif isinstance(asked, list | tuple | set | frozenset):
        listed = [(None, item) for item in asked]
    else:
        listed = [(None, asked)]
    if not listed:
        raise DeclarationError(f"{what} is empty: give a name, an expression, or a list of them")
    return listed


def outputs_of(declared: Declared, asked: Any, what: str, given: Iterable[str] = ()) -> list[Quantity]:
    """The quantities asked for as outputs. A variable among ``given`` that has an equation of its name means that."""
    found: list[Quantity] = []
    for name, item in items(asked, what):
        one = _named_output(declared, item, set(given)) if isinstance(item, str) else _expressed(declared, item, what)
        _add(found, one, name, what)
    return found


def _add(found: list[Quantity], one: Quantity, name: str | None, what: str) -> None:
    """Take one more, unless it is there already; of others that print alike the second is called ``… (2)``."""
    key = one.key if name is None else name
    label = one.name if name is None else name
    same = [other for other in found if other.name == label]
    if (isinstance(key, str) and same) or any(_is_same(other, one, key) for other in same):
        raise DeclarationError(f"{what} has {label!r} twice: name each once")
    if same:
        taken = {other.name for other in found}
        label = next(f"{label} ({i})" for i in itertools.count(2) if f"{label} ({i})" not in taken)
    found.append(replace(one, key=key, name=label))


def _is_same(other: Quantity, one: Quantity, key: Any) -> bool:
    """Whether two that print alike are the same elements, or the same expression."""
    if other.places is not None and one.places is not None:
        return np.array_equal(other.places, one.places)
    return other.key is key


def _named_output(declared: Declared, name: str, given: set[str]) -> Quantity:
    symbol = declared.symbols.get(name)
    if symbol is not None and name not in given:
        return Quantity(name, name, symbol.shape, places_of(symbol), symbol=name)
    for constraint in declared.constraints:
        if constraint.name == name:
            return Quantity(name, name, constraint.body.shape, None, constraint.body, constraint)
    for equation in declared.equations:
        if equation.name == name:
            return Quantity(name, name, equation.shape, None, equation.right - equation.left, equation)
    if symbol is not None:
        return Quantity(name, name, symbol.shape, places_of(symbol), symbol=name)
    objective = declared.objective
    if objective is not None and objective.name == name:
        return Quantity(name, name, (), None, objective.expression, objective)
    if (element := _named_element(declared, name)) is not None:
        return element
    known = [*declared.symbols, *(c.name for c in declared.constraints), *(e.name for e in declared.equations)]
    raise UnknownNameError(
        f"the program {declared.owner.name!r} has no symbol, equation or constraint {name!r}{nearest(name, known)}; "
        f"it has {listing(dict.fromkeys(known))}"
    )


def _expressed(declared: Declared, item: Any, what: str) -> Quantity:
    node = _owned(declared, as_expression(item), what)
    if node.is_boolean:
        raise DeclarationError(f"{what}: {to_text(node, 60)} is a comparison, which has no derivative: give its sides")
    places = selected(node)
    if node.op == "symbol":
        return Quantity(item, node.data.name, node.shape, places, symbol=node.data.name)
    return Quantity(item, to_text(node, 80), node.shape, places, None if places is not None else node)


def _owned(declared: Declared, node: Expression, what: str) -> Expression:
    if node.owner is None:
        raise DeclarationError(f"{what}: {to_text(node, 60)} contains no symbol of {declared.owner.name!r}")
    if node.owner is not declared.owner:
        raise UnknownNameError(
            f"{what}: {to_text(node, 60)} is of the program {node.owner.name!r}, not of {declared.owner.name!r}"
        )
    later = [symbol.name for symbol in symbols_of(node) if symbol.name not in declared.symbols]
    if later:
        raise UnknownNameError(f"{listing(later)} was declared after this point was computed: evaluate again")
    return node


def places_of(symbol: Symbol) -> Array:
    """Where the elements of a symbol stand in the state, in its shape."""
    size = math.prod(symbol.shape)
    return np.arange(symbol.start, symbol.start + size).reshape(symbol.shape)


def symbols_at(declared: Declared, places: Array) -> list[Symbol]:
    """The symbols that some state elements are of."""
    symbols = list(declared.symbols.values())
    blocks = np.searchsorted([symbol.start for symbol in symbols], np.unique(places), side="right") - 1
    return [symbols[block] for block in np.unique(blocks).tolist()]


def selected(node: Expression) -> Array | None:
    """Where the elements of an expression stand in the state; None where it computes something."""
    nodes = postorder([node])
    if any(n.op not in ("symbol", "view", "concatenate") for n in nodes):
        return None
    return evaluate(node, {n.data.name: places_of(n.data) for n in nodes if n.op == "symbol"})


def arguments_of(declared: Declared, asked: Any, what: str, *, found_too: bool) -> list[Quantity]:
    """The symbols (or distinct elements of them) asked for as arguments; ``found_too``: what is found may be one."""
    found: list[Quantity] = []
    taken = np.zeros(0, dtype=np.int64)
    for name, item in items(asked, what):
        one = _named_argument(declared, item, what) if isinstance(item, str) else _expressed(declared, item, what)
        if one.places is None:
            raise DeclarationError(f"{what}: {one.name} is computed: name an input or a parameter, or elements of one")
        if not found_too:
            _require_given(declared, one, what)
        _add(found, one, name, what)
        taken = np.concatenate([taken, one.places.ravel()])
        if len(np.unique(taken)) < len(taken):
            raise DeclarationError(f"{what} has elements of {one.name!r} twice: name each once")
    return found


def _named_argument(declared: Declared, name: str, what: str) -> Quantity:
    symbol = declared.symbols.get(name)
    if symbol is None:
        if (element := _named_element(declared, name)) is not None:
            return element
        raise UnknownNameError(
            f"{what}: the program {declared.owner.name!r} has no input or parameter {name!r}"
            f"{nearest(name, declared.symbols)}; it has {listing(declared.symbols)}"
        )
    return Quantity(name, name, symbol.shape, places_of(symbol), symbol=name)


def _named_element(declared: Declared, name: str) -> Quantity | None:
    """One element of an array by the name that is printed of it, as ``x[2]``; None where there is none."""
    symbol = declared.symbols.get(name.partition("[")[0])
    inside = Blocks([symbol.name], [symbol.shape], [symbol.labels]).position(name) if symbol is not None else None
    return None if symbol is None or inside is None else Quantity(name, name, (), np.asarray(symbol.start + inside))


def _require_given(declared: Declared, one: Quantity, what: str) -> None:
    """Raise DeclarationError for an argument that the equations determine; of a whole array it may be in part."""
    assert one.places is not None
    places = one.places.ravel()
    unknown = declared.unknown[places]
    if not unknown.any() or (one.symbol is not None and not unknown.all()):
        return
    symbol = symbols_at(declared, places[unknown])[0]
    kind = "a variable" if symbol.kind == "variable" else f"one of the {symbol.kind}s, freed"
    name = symbol.name if declared.unknown[places_of(symbol)].all() else one.name
    raise DeclarationError(
        f"{what}: {name!r} is {kind}, the equations determine it: derivatives are "
        "by inputs, parameters and what is fixed (partial derivatives of residuals by variables: "
        "program.lagrangian.jacobian)"
    )


# the plan that computes them ------------------------------------------------------------------------------------


def variant_plan(declared: Declared, outputs: Sequence[Quantity], given: Mapping[str, Symbol], location: Location,
                 make: Any) -> Plan:
    """The plan of the program without the equations whose residuals are asked for, expressions as its constraints.

    ``given`` replaces symbols: variables that are arguments, or held. ``make`` plans a lowered program, with flags of
    the state elements that are to be found.
    """
    unsolved = {id(q.declared) for q in outputs if q.is_residual}
    equations = [e for e in declared.equations if id(e) not in unsolved]
    rows = [Constraint(f"output {q.name}", q.expression, None, None, location)
            for q in outputs if q.expression is not None]
    symbols = {**declared.symbols, **given}
    _, lowered = declared.owner.consistently(lambda: lower(variant(declared.owner, symbols, equations, rows)))
    try:
        unknown = declared.unknown.copy()
        for symbol in given.values():
            unknown[places_of(symbol)] = False
        plan: Plan = make(lowered, all_unknown(lowered, unknown))
    except StructureError as error:
        if not unsolved and not given:
            raise
        left_out = listing(q.name for q in outputs if q.is_residual)
        reasons = [f"{left_out} not solved, its residual being asked for"] if left_out else []
        reasons += [f"{listing(given)} given"] if given else []
        raise StructureError(
            f"{error}\n  with {' and '.join(reasons)}: as many equations must be asked for as variables are given"
        ) from None
    return plan


def variant_of(plan: Plan, declared: Declared, outputs: Sequence[Quantity]) -> Plan:
    """The variant for these outputs at points of a plan, what is not solved held; kept for the next time."""
    own = [q for q in outputs if q.expression is not None]
    key = tuple(id(q.declared if q.is_residual else q.expression) for q in own)
    known = plan.variants.get(key)
    if known is None:
        unsolved = [q.declared for q in own if isinstance(q.declared, Equation)]
        held = {symbol.name: as_given(symbol, "parameter") for symbol in determined_by(plan, unsolved)}

        def make(lowered: Lowered, unknown: Array) -> Plan:
            started = np.ones(lowered.state.size, dtype=bool)
            return make_plan(lowered, unknown, started, plan.executor, plan.choices)

        known = variant_plan(declared, outputs, held, caller(), make), own
        plan.keep_variant(key, known)
    made: Plan = known[0]
    return made


def positions(plan: Plan, outputs: Sequence[Quantity], is_variant: bool) -> tuple[Array, Array]:
    """The state element of every output element, or −1, and its row, or −1.

    In a variant's plan the rows are those of its outputs, in the plan of the program itself those of its own
    constraints and objective.
    """
    lowered = plan.lowered
    elements, rows, at = [np.empty(0, np.int64)], [np.empty(0, np.int64)], lowered.first_constraint_row
    for q in outputs:
        nothing = np.full(q.size, -1)
        elements.append(nothing if q.places is None else q.places.ravel())
        if q.places is not None:
            rows.append(nothing)
            continue
        first = at if is_variant else _declared_row(lowered, q)
        rows.append(np.arange(first, first + q.size))
        at += q.size
    return np.concatenate(elements), np.concatenate(rows)


def _declared_row(lowered: Lowered, q: Quantity) -> int:
    """The first row of a declared constraint, or the objective's, whatever the caller calls it."""
    if not isinstance(q.declared, Constraint):
        return lowered.objective_row
    return int(lowered.first_constraint_row + lowered.constraint_rows.slices[q.declared.name].start)


def needs_variant(outputs: Sequence[Quantity]) -> bool:
    """Whether something is asked for that the program's own plan does not compute."""
    return any(q.expression is not None and not isinstance(q.declared, Constraint | Objective) for q in outputs)


def determined_by(plan: Plan, equations: Sequence[Equation]) -> list[Symbol]:
    """The variables that some equations determine in a plan, whole ones."""
    lowered = plan.lowered
    slices = [lowered.rows.slices[e.name] for e in equations]
    rows = np.concatenate([np.empty(0, np.int64), *(np.arange(s.start, s.stop) for s in slices)])
    columns = plan.schedule.column_of_row[rows]
    blocks, counts = np.unique(np.searchsorted(lowered.state.start, columns, side="right") - 1, return_counts=True)
    names = [lowered.state.names[block] for block in blocks.tolist()]
    for name, block, count in zip(names, blocks.tolist(), counts.tolist(), strict=True):
        size = int(np.count_nonzero(plan.unknown[lowered.state.start[block] : lowered.state.start[block + 1]]))
        if count < size:
            raise DeclarationError(
                f"the residuals of {listing(e.name for e in equations)} were asked for, so these equations are not "
                f"solved; they determine {count} of the {size} elements of {name!r}, which cannot be held in part: "
                "ask for the other equations of it too"
            )
    return [lowered.symbols[name] for name in names]


def as_given(symbol: Symbol, kind: str) -> Symbol:
    """A variable as an input or a parameter: a copy with its start for a value."""
    other = Symbol(symbol.name, kind, symbol.shape, symbol.owner, symbol.location)
    other.start, other.value, other.labels, other.unit = symbol.start, symbol.value, symbol.labels, symbol.unit
    other.lower, other.upper = symbol.lower, symbol.upper
    return other
