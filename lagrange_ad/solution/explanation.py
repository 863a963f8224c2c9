"""One multiplier's equation in words and numbers: which equations a variable appears in and what each contributes."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DeclarationError, UnknownNameError
from ..expression import Array, Expression, Symbol, symbols_of
from ..lowering import Blocks
from ..lowering.symbolic import scalar_partial
from ..printing import to_text
from ..program import key_name
from ..program.starts import element_of
from ..text import listing, nearest, values
from . import full
from .plan import Plan

if TYPE_CHECKING:
    from .point import Point

MOST_TERMS = 40
Term = tuple[str, str, Any]
"""What a term is in words, its factors in numbers, and its amount."""


def explain(at: Point, what: Any) -> str:
    """w = ∂J/∂z + Σ λ_i·∂r_i/∂z of a symbol, of the one that an equation determines, or of one element ``y[0]``."""
    plan = at._plan
    multipliers = at.adjoints[0]
    name, element = _wanted(what, at._owner, plan.lowered.state)
    symbol = _symbol(plan, name)
    given = _is_given(plan, symbol, element)
    terms = _terms(plan, at._solved.z, multipliers, symbol, given)
    index = ""
    if element is not None:
        position = int(plan.lowered.state.slices[name].start) + element
        index = plan.lowered.state.element(position)[len(name):]
        terms = _at_element(terms, element, symbol, index)
    head = _left_side(plan, symbol, given)
    head += index if head != "0" else ""
    shown = [text for text, _, _ in terms[:MOST_TERMS]] + ["…"] * (len(terms) > MOST_TERMS)
    lines = [f"{head} = {' + '.join(shown) or '0'}"]
    width = max(map(len, shown), default=0)
    lines += [f"    {text:<{width}}  =  {detail}{values(amount)}" for text, detail, amount in terms[:MOST_TERMS]]
    if len(terms) > MOST_TERMS:
        lines.append(f"    … {len(terms) - MOST_TERMS} more terms")
    total = sum((amount for _, _, amount in terms), np.zeros(symbol.shape if element is None else ()))
    lines.append(f"{head} = {values(total)}{_units(at, symbol) if head != '0' else ''}")
    return "\n".join(lines)


def _wanted(what: Any, owner: Any, state: Blocks) -> tuple[str, int | None]:
    """The name that is meant, and which element of it where one is, counted along the flat array."""
    position = state.position(what) if isinstance(what, str) else None
    if position is not None:
        block = state.block_of(position)
        return state.names[block], position - int(state.start[block])
    if not isinstance(what, Expression) or what.op == "symbol":
        return key_name(what, owner), None
    whole = what.args[0] if what.op == "view" and what.data.function is operator.getitem else None
    if whole is None or whole.op != "symbol" or what.shape != ():
        raise UnknownNameError(
            f"explain takes a name, a variable, an input, or one element of these (y[0]), got {to_text(what, 60)}: "
            "define(name, expression) makes a variable of an expression"
        )
    name = key_name(whole, owner)
    return name, int(np.arange(whole.size).reshape(whole.shape)[what.data.arguments[0]])


def _at_element(terms: list[Term], element: int, symbol: Symbol, index: str) -> list[Term]:
    """The terms of one element of an array: those that are zero there are left out."""
    found = [(text.replace(f"∂{symbol.name}", f"∂{symbol.name}{index}"), detail, np.asarray(amount).ravel()[element])
             for text, detail, amount in terms]
    return [term for term in found if term[2] != 0.0] or found


def _symbol(plan: Plan, name: str) -> Symbol:
    lowered = plan.lowered
    rows = lowered.rows.slices.get(name, slice(0, 0))
    if name in lowered.symbols:
        return lowered.symbols[name]
    if rows.start < rows.stop <= lowered.n_user_rows:
        column = plan.schedule.column_of_row[rows.start]
        return lowered.symbols[lowered.state.names[lowered.state.block_of(int(column))]]
    known = list(dict.fromkeys([*lowered.symbols, *(equation.name for equation in lowered.equations)]))
    near = nearest(name, known)
    raise UnknownNameError(f"there is nothing named {name!r} to explain{near}; there are {listing(known)}")


def _is_given(plan: Plan, symbol: Symbol, element: int | None) -> bool:
    """Whether a symbol, or one element of it, is given: its equation is that of the gradient."""
    if element is not None:
        return not plan.unknown[plan.lowered.state.slices[symbol.name].start + element]
    if plan.roles.is_mixed(symbol.name):
        word = plan.roles.changed[symbol.name]
        raise DeclarationError(
            f"{symbol.name!r} is {word}, so its elements have different equations: explain one of them, as in "
            f"at.explain({element_of(symbol, 0)!r})"
        )
    return plan.roles.has_given(symbol.name)


def _left_side(plan: Plan, symbol: Symbol, given: bool) -> str:
    """λ of the explicit equation of a variable, the gradient of what is given, 0 for what implicit equations find."""
    if given:
        return f"dJ/d{symbol.name}"
    return next((f"λ_{equation.name}" for equation in plan.lowered.equations if equation.own is symbol), "0")


def _units(at: Point, symbol: Symbol) -> str:
    """The units of a change of the objective by a change of a symbol; empty where neither has one."""
    of, by = at.objective_unit, symbol.unit
    return (f" {of}" if of else "") + (f" per {by}" if by else "")


def _terms(plan: Plan, z: Array, multipliers: Array, symbol: Symbol, given: bool) -> list[Term]:
    """(text, numbers, amount) of every nonzero term; amounts in the symbol's shape.

    The own equation of what is found is the left side; of what is given it is a term, as −λ.
    """
    lowered = plan.lowered
    terms = []
    if lowered.objective is not None and symbol in symbols_of(lowered.objective.expression):
        amount = _amount(plan, z, multipliers, symbol, slice(lowered.objective_row, lowered.objective_row + 1))
        terms.append((_partial_text("J", lowered.objective.expression, symbol), "", amount))
    for equation in lowered.equations:
        is_own = equation.own is symbol and not given
        other = equation.own is None or (equation.own is symbol and given)
        body = equation.right - equation.left if other else equation.right
        if symbol not in symbols_of(body):
            continue
        rows = lowered.rows.slices[equation.name]
        amount = _amount(plan, z, multipliers, symbol, rows, explicit=is_own)
        lam = lowered.rows.get(multipliers[: lowered.n_rows], equation.name)
        detail = ""
        if not symbol.shape and not equation.shape and lam != 0.0:
            detail = f"{values(lam)} × {values(amount / lam)} = "
        terms.append((f"λ_{equation.name}·{_partial_text(f'r_{equation.name}', body, symbol)}", detail, amount))
    return terms


def _amount(plan: Plan, z: Array, multipliers: Array, symbol: Symbol, rows: slice, explicit: bool = False) -> Array:
    """What some rows contribute to the adjoint of a symbol (the −λ of its own equation is the left side)."""
    lam = np.zeros_like(multipliers)
    lam[rows] = multipliers[rows]
    w = full.adjoint(plan, z, lam)
    amount = plan.lowered.state.get(w, symbol.name).copy()
    if explicit:
        amount += multipliers[rows].reshape(symbol.shape)
    return np.asarray(amount)


def _partial_text(what: str, body: Expression, symbol: Symbol) -> str:
    partial = scalar_partial(body, symbol)
    if partial is None:
        return f"∂{what}/∂{symbol.name}"
    text = to_text(partial, 80)
    if what == "J":
        return text
    return f"({text})" if any(sign in text for sign in (" + ", " - ", " / ")) or text.startswith("-") else text
