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
from ..solvers import MAX_ITERATIONS
from ..text import listing, nearest, number
from .diagnosis import failure
from .forward import Solved, Start, propagate
from .plan import Plan, make_plan
from .point import Point, element_number


def plan_of(program: Declarations) -> Plan:
    """The plan of the program's present version, made once under the program's lock.

    It is made anew, of the same lowered program, where only the choices of how blocks are solved have changed.
    """
    return program.remembered("plan", (program.version, program.plan_version), lambda: _make(program))


def _make(program: Declarations) -> Plan:
    lowered = program.remembered("lowered", program.version, lambda: lower(program))
    return make_plan(lowered, declared_starts(lowered), executor_named(program.executor), program.solver_choices)


def declared_starts(lowered: Lowered) -> Array:
    """Which state elements are of variables that have a start."""
    started = [symbol.kind == "variable" and symbol.value is not None for symbol in lowered.symbols.values()]
    return lowered.state.flags(started + [False] * (len(lowered.state.names) - len(started)))


def evaluate_program(
    program: Declarations,
    values: Mapping[str, Any] | None,
    *,
    start: Any = None,
    perturbation: Mapping[str, Any] | None = None,
    max_iterations: int = MAX_ITERATIONS,
) -> Point:
    """The point at given inputs and parameters; others keep their declared values. See ``Program.evaluate``."""
    given = given_values(program, values or {})
    plan = plan_of(program)
    declared = declared_state(program, plan)
    names = {equation.name for equation in program.equations} if perturbation else set()
    added = {program.full_name(name, names): value for name, value in (perturbation or {}).items()}
    begin = starting_state(plan, declared, given, start_values(program, start), added)
    return solve_from(plan, begin, max_iterations)


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
            known = [s.name for s in program.symbols.values() if s.kind != "variable"]
            scoped = [other for other in known if other.endswith(f".{name}")]
            near = f"; did you mean {scoped[0]!r}?" if scoped else nearest(str(name), known)
            raise UnknownNameError(
                f"the program {program.name!r} has no input or parameter {name!r}{near}; "
                f"it has {listing(known) or 'none'}"
            )
        symbol = program.symbols[name]
        if symbol.kind == "variable":
            raise DeclarationError(
                f"{name!r} is a variable: the equations determine it; to say where its solve begins, "
                f"evaluate(start={{{name!r}: value}})"
            )
        checked[name] = fit(name, numeric(name, value, "the value"), symbol.shape, "the value")
    return checked


def start_values(program: Declarations, start: Any) -> dict[str, Any]:
    """Starts of variables by name, from a point or a mapping."""
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
        if symbol.kind != "variable":
            spelt = f"{name}=..." if name.isidentifier() else f"{{{name!r}: ...}}"
            raise DeclarationError(
                f"start= is for variables, {name!r} is one of the {symbol.kind}s: give its value itself, "
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


@dataclass(frozen=True, eq=False)
class DeclaredState:
    """The flat state as declared at one moment, a copy: values, starts, 0 clipped to the bounds for the rest.

    ``started`` tells which variables have a start, ``computed`` those whose start is an expression (0 in z).
    """

    lowered: Lowered
    z: Array
    started: Array
    domain: tuple[Array, Array]
    computed: tuple[tuple[Symbol, Expression], ...]

    def filled(self, values: Mapping[str, Any]) -> Array:
        """A copy of z with some symbols given; starts that are expressions are computed unless given."""
        z = self.z.copy()
        for name, value in values.items():
            z[self.lowered.state.slices[name]] = np.ravel(value)
        for symbol, expression in self.computed:
            if symbol.name not in values:
                start = _computed_start(symbol, expression, self.lowered, z)
                z[self.lowered.state.slices[symbol.name]] = start.ravel()
        return z


def declared_state(program: Declarations, plan: Plan) -> DeclaredState:
    """The present declared values of a program, laid out for its plan."""
    stamp = (plan.lowered, program.values_version)  # not the version: another thread may be declaring meanwhile
    return program.remembered("state", stamp, lambda: lay_out(plan.lowered))


def lay_out(lowered: Lowered) -> DeclaredState:
    """The values and starts that the symbols of a lowered program have now."""
    size = lowered.state.size
    z, started = np.zeros(size), declared_starts(lowered)
    low, high = np.full(size, -np.inf), np.full(size, np.inf)
    computed = []
    for name, symbol in lowered.symbols.items():
        value = symbol.value
        if value is None and symbol.domain == (-np.inf, np.inf) and symbol.is_unbounded:
            continue  # from 0: most variables of a large program
        where = lowered.state.slices[name]
        if symbol.kind == "variable":
            low[where], high[where] = symbol.domain
        if isinstance(value, Expression):
            computed.append((symbol, value))
        else:
            z[where] = np.ravel(_default_start(symbol) if value is None else value)
    return DeclaredState(lowered, z, started, (low, high), tuple(computed))


def starting_state(plan: Plan, declared: DeclaredState, given: Mapping[str, Array], starts: Mapping[str, Any],
                   perturbation: Mapping[str, Any]) -> Start:
    """The state before a forward pass. Raises DeclarationError for a start outside the domain of its variable."""
    lowered = plan.lowered
    own = {name: value for name, value in starts.items() if lowered.symbols[name].kind == "variable"}
    z, started = declared.filled({**given, **own}), declared.started
    if own:
        started = started.copy()
        for name in own:
            started[lowered.state.slices[name]] = True
    low, high = declared.domain
    outside = np.flatnonzero(((z <= low) | (z >= high)) & started)
    if len(outside):
        at = int(outside[0])
        raise DeclarationError(
            f"the start of {lowered.state.element(at)!r} is {number(z[at])}, outside its domain "
            f"({number(low[at])}, {number(high[at])}): start inside"
        )
    return Start(z, started, declared.domain, _offsets(lowered, perturbation))


def _default_start(symbol: Symbol) -> Any:
    start = _inside(*symbol.domain)
    if symbol.is_unbounded:
        return start
    return np.broadcast_to(np.clip(start, symbol.lower, symbol.upper), symbol.shape)


def _computed_start(symbol: Symbol, value: Expression, lowered: Lowered, z: Array) -> Array:
    """The start of one symbol by its expression, on the part of the state that is filled already."""
    needed = symbols_of(value)
    here = lowered.state.slices[symbol.name].start
    later = [s.name for s in needed if s.kind == "variable" and lowered.state.slices[s.name].start >= here]
    if later:
        raise DeclarationError(f"the start of {symbol.name!r} needs {listing(later)}, declared later")
    with np.errstate(all="ignore"):
        found = evaluate(value, {s.name: lowered.state.get(z, s.name) for s in needed})
    return fit(symbol.name, numeric(symbol.name, found, "the start"), symbol.shape, "the start")


def _inside(low: float, high: float) -> float:
    """0, or a number inside the open interval where 0 is not: its middle, or 1 from its one finite end."""
    if low < 0.0 < high:
        return 0.0
    if np.isfinite(low) and np.isfinite(high):
        return (low + high) / 2.0
    return low + 1.0 if np.isfinite(low) else high - 1.0


def _offsets(lowered: Lowered, perturbation: Mapping[Any, Any]) -> Array:
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
