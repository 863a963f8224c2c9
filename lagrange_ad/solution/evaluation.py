"""Evaluating a program: from given values and starts to a point. Lowering and scheduling happen once a version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DeclarationError, UnknownNameError
from ..execution import executor_named
from ..expression import Array, Expression, Symbol, evaluate, symbols_of
from ..lowering import Lowered, lower
from ..program import Declarations, element_name, fit, key_name, numeric
from ..program.starts import has_start, require_domain, starting_numbers
from ..solvers import MAX_ITERATIONS
from ..text import listing, nearest, number
from .diagnosis.failure import failure
from .forward import Solved, Start, propagate
from .plan import Plan, make_plan
from .point import Point, element_number
from .roles import all_unknown


def plan_of(program: Declarations) -> Plan:
    """The plan of the program's present version, made once under the program's lock.

    It is made anew, of the same lowered program, where only roles or the choices of how blocks are solved have changed.
    """
    return program.remembered("plan", (program.version, program.plan_version), lambda: _make(program))


def _make(program: Declarations) -> Plan:
    lowered = program.remembered("lowered", program.version, lambda: lower(program))
    unknown = all_unknown(lowered, program.unknown_elements())
    started = declared_starts(lowered, unknown)
    return make_plan(lowered, unknown, started, executor_named(program.executor), program.solver_choices)


def declared_starts(lowered: Lowered, unknown: Array) -> Array:
    """Which state elements are to be found and have a start."""
    found = [has_start(symbol) for symbol in lowered.symbols.values()]
    started = lowered.state.flags([here is True for here in found] + [False] * (len(lowered.state.names) - len(found)))
    for symbol, here in zip(lowered.symbols.values(), found, strict=True):
        if isinstance(here, np.ndarray):
            started[lowered.state.slices[symbol.name]] = here.ravel()
    return started & unknown


def evaluate_program(
    program: Declarations,
    values: Mapping[str, Any] | None,
    *,
    start: Any = None,
    perturbation: Mapping[str, Any] | None = None,
    max_iterations: int = MAX_ITERATIONS,
) -> Point:
    """The point at given inputs and parameters; others keep their declared values. See ``Program.evaluate``."""
    plan, begin = prepared(program, values, start, perturbation)
    return solve_from(plan, begin, max_iterations)


def prepared(program: Declarations, values: Mapping[str, Any] | None, start: Any = None,
             perturbation: Mapping[str, Any] | None = None) -> tuple[Plan, Start]:
    """The plan, and the state before a forward pass, for what :func:`evaluate_program` is given."""
    given = given_values(program, values or {})
    plan = plan_of(program)
    declared = declared_state(program, plan)
    names = {equation.name for equation in program.equations} if perturbation else set()
    added = {program.full_name(name, names): value for name, value in (perturbation or {}).items()}
    return plan, starting_state(plan, declared, given, check_starts(program, start), added)


def solve_from(plan: Plan, begin: Start, max_iterations: int = MAX_ITERATIONS) -> Point:
    """Propagate from a prepared start; raises the error that names what failed, with the point in ``err.at``."""
    return Point(plan, solved_from(plan, begin, max_iterations))


def solved_from(plan: Plan, begin: Start, max_iterations: int = MAX_ITERATIONS) -> Solved:
    """What :func:`solve_from` makes a point of."""
    solved = propagate(plan, begin, max_iterations)
    if solved.failed is not None:
        raise failure(plan, solved, Point(plan, solved))
    return solved


def given_values(program: Declarations, values: Mapping[str, Any]) -> dict[str, Array]:
    """Checked arrays of the inputs and parameters given by name."""
    checked = {}
    for key, value in values.items():
        name = program.full_name(key_name(key, program))
        if not isinstance(name, str) or name not in program.symbols:
            known = [s.name for s in program.symbols.values() if not program.is_found(s)]
            scoped = [other for other in known if other.endswith(f".{name}")]
            near = f"; did you mean {scoped[0]!r}?" if scoped else nearest(str(name), known)
            raise UnknownNameError(
                f"the program {program.name!r} has no input or parameter {name!r}{near}; "
                f"it has {listing(known) or 'none'}"
            )
        symbol = program.symbols[name]
        if program.is_found(symbol):
            what = "a variable" if symbol.kind == "variable" else f"{_an(symbol.kind)}, freed"
            raise DeclarationError(
                f"{name!r} is {what}: the equations determine it; to say where its solve begins, "
                f"evaluate(start={{{name!r}: value}})"
            )
        checked[name] = fit(name, numeric(name, value, "the value"), symbol.shape, "the value")
        if name in program.swapped:
            require_domain(symbol, checked[name], ~program.swapped[name])
    return checked


def check_starts(program: Declarations, start: Any) -> dict[str, Any]:
    """Starts of variables by name, checked, from a point or a mapping."""
    if start is None:
        return {}
    if isinstance(start, Point):
        return {name: value for name, value in start.values.items()
                if name in program.symbols and program.symbols[name].shape == value.shape}
    if not isinstance(start, Mapping):
        raise DeclarationError(f"start= takes a point or a dict of variables, got {type(start).__name__}")
    checked = {}
    for key, value in start.items():
        _refuse_elements(program, key)
        symbol = program.symbol(key)
        name = symbol.name
        if program.is_given(symbol):
            spelt = f"{name}=..." if name.isidentifier() else f"{{{name!r}: ...}}"
            what = "fixed" if symbol.kind == "variable" else f"one of the {symbol.kind}s"
            raise DeclarationError(
                f"start= is for variables, {name!r} is {what}: give its value itself, "
                f"evaluate({spelt})"
            )
        checked[name] = fit(name, numeric(name, value, "the start"), symbol.shape, "the start")
    return checked


def _refuse_elements(program: Declarations, key: Any) -> None:
    """Starts are given to whole variables: say so to ``y[0]`` and "y[0]"."""
    name = element_name(key, program)
    base = str(name).partition("[")[0]
    if base in program.symbols and base != name:
        raise DeclarationError(f"start= takes whole variables, got {name!r}: give all of it, "
                               f"{{{base!r}: ...}} of shape {program.symbols[base].shape}")


def _an(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


@dataclass(frozen=True, eq=False)
class DeclaredState:
    """The flat state as declared at one moment, a copy: values, starts, 0 clipped to the bounds for the rest.

    ``started`` tells which variables have a start, ``computed`` those whose start is an expression (0 in z);
    ``offset`` is ε of all rows, None where it is 0.
    """

    plan: Plan
    z: Array
    started: Array
    domain: tuple[Array, Array]
    computed: tuple[tuple[Symbol, Expression], ...]
    offset: Array | None = None

    def filled(self, values: Mapping[str, Any]) -> Array:
        """A copy of z with some symbols given; starts that are expressions are computed unless given."""
        z, lowered = self.z.copy(), self.plan.lowered
        for name, value in values.items():
            z[lowered.state.slices[name]] = np.ravel(value)
        for symbol, expression in self.computed:
            if symbol.name not in values:
                z[lowered.state.slices[symbol.name]] = _computed_start(symbol, expression, self.plan, z).ravel()
        return z


def declared_state(program: Declarations, plan: Plan) -> DeclaredState:
    """The present declared values of a program, laid out for its plan."""
    stamp = (plan, program.values_version)  # not the version: another thread may be declaring meanwhile
    return program.remembered("state", stamp, lambda: lay_out(plan))


def lay_out(plan: Plan) -> DeclaredState:
    """The values and starts that the symbols of a plan have now."""
    lowered, size = plan.lowered, plan.lowered.state.size
    z, started = np.zeros(size), declared_starts(lowered, plan.unknown)
    low, high = np.full(size, -np.inf), np.full(size, np.inf)
    computed = []
    for name, symbol in lowered.symbols.items():
        value = symbol.value
        if value is None and symbol.domain == (-np.inf, np.inf) and symbol.is_unbounded:
            continue  # from 0: most variables of a large program
        where = lowered.state.slices[name]
        if symbol.domain != (-np.inf, np.inf):
            unknown = plan.unknown[where]
            low[where], high[where] = (np.where(unknown, end, edge) for end, edge in
                                       zip(symbol.domain, (-np.inf, np.inf), strict=True))
        if isinstance(value, Expression):
            computed.append((symbol, value))
        else:
            z[where] = starting_numbers(symbol).ravel()
    return DeclaredState(plan, z, started, (low, high), tuple(computed))


def starting_state(plan: Plan, declared: DeclaredState, given: Mapping[str, Array], starts: Mapping[str, Any],
                   perturbation: Mapping[str, Any]) -> Start:
    """The state before a forward pass: ``given`` arrays, and ``starts`` at the elements that are found.

    Elements of a given array that are found begin there, where no start says otherwise. Raises as :func:`start_at`.
    """
    lowered, roles = plan.lowered, plan.roles
    own = {name: value for name, value in starts.items() if roles.has_unknown(name)}
    for name in own:
        if roles.has_given(name):
            where = lowered.state.slices[name]
            known = np.ravel(given[name]) if name in given else declared.z[where]
            own[name] = np.where(plan.unknown[where], np.ravel(own[name]), known)
    z, started = declared.filled({**given, **own}), declared.started
    begun = [*own, *(name for name in given if roles.has_unknown(name))]
    if begun:
        started = started.copy()
        for name in begun:
            where = lowered.state.slices[name]
            started[where] = plan.unknown[where]
    return start_at(plan, declared, z, started, offsets(plan.lowered, perturbation) if perturbation else None)


def start_at(plan: Plan, declared: DeclaredState, z: Array, started: Array, offset: Array | None = None) -> Start:
    """The start at a whole state, with ε of all rows where that is not what was declared.

    Raises DeclarationError for a start outside the domain of its variable.
    """
    low, high = declared.domain
    outside = np.flatnonzero(((z <= low) | (z >= high)) & started)
    if len(outside):
        at = int(outside[0])
        raise DeclarationError(
            f"the start of {plan.lowered.state.element(at)!r} is {number(z[at])}, outside its domain "
            f"({number(low[at])}, {number(high[at])}): start inside"
        )
    offset = declared.offset if offset is None else offset
    return Start(z, started, declared.domain, np.zeros(plan.lowered.n_all_rows) if offset is None else offset)


def _computed_start(symbol: Symbol, value: Expression, plan: Plan, z: Array) -> Array:
    """The start of one symbol by its expression, on the part of the state that is filled already."""
    needed, lowered = symbols_of(value), plan.lowered
    here = lowered.state.slices[symbol.name].start
    later = [s.name for s in needed if s.kind == "variable" and plan.roles.has_unknown(s.name)
             and lowered.state.slices[s.name].start >= here]
    if later:
        raise DeclarationError(f"the start of {symbol.name!r} needs {listing(later)}, declared later")
    with np.errstate(all="ignore"):
        found = evaluate(value, {s.name: lowered.state.get(z, s.name) for s in needed})
    return fit(symbol.name, numeric(symbol.name, found, "the start"), symbol.shape, "the start")


def offsets(lowered: Lowered, perturbation: Mapping[Any, Any]) -> Array:
    """ε of every row: 0, or what ``perturbation`` says by equation, or by one element of it (``y[0]`` or "y[0]")."""
    offset = np.zeros(lowered.n_all_rows)
    names = dict.fromkeys(equation.name for equation in lowered.equations) if perturbation else {}
    owner = next((symbol.owner for symbol in lowered.symbols.values()), None)
    for key, value in perturbation.items():
        name = element_name(key, owner)
        base = str(name).partition("[")[0]
        if name in names:
            block = lowered.rows.get(offset[: lowered.n_rows], name)
            block[...] = fit(name, numeric(name, value, "the perturbation"), block.shape, "the perturbation")
        elif base in names and base != name:
            at = lowered.rows.slices[base].start + element_number(lowered.rows, name, "equation to perturb")
            offset[at] = fit(name, numeric(name, value, "the perturbation"), (), "the perturbation")
        else:
            raise UnknownNameError(f"there is no equation {name!r} to perturb{nearest(str(name), names)}")
    return offset
