"""A variant of a program, on its own nodes: some of its equations, other outputs, some of its variables given.

Functions and Jacobians are computed by variants: of equations whose residuals are wanted, of expressions nobody
declared. A variant is to be lowered, not to be extended.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from ..expression import Symbol
from ..forms import PackedEquations, Sides, Tokens
from .declarations import Declarations
from .records import Constraint, Equation


def variant(program: Declarations, symbols: dict[str, Symbol], equations: Sequence[Equation],
            outputs: Sequence[Constraint]) -> Declarations:
    """The program's first ``symbols``, some of its ``equations``, ``outputs`` in place of constraints, no objective.

    A symbol that is another object than the program's is a variable that is given now.
    """
    other = object.__new__(Declarations)
    with program._lock:
        other.__dict__.update(program.__dict__)
        ends = [*program._offsets, program._size]
        kept = _some_of(program, equations) if len(equations) < len(program.equations) else None
    other._lock, other._memory = threading.RLock(), {}
    other._offsets, other._size = ends[: len(symbols)], ends[len(symbols)]
    other.symbols, other.constraints, other.objective = symbols, list(outputs), None
    other.equations = list(equations)
    if kept is not None:
        other.equations, other._forms = kept
    given = {name for name, symbol in symbols.items() if symbol is not program.symbols[name]}
    if given:
        other.equations = [_without_own(e) if _owner_name(e) in given else e for e in other.equations]
    return other


def _owner_name(equation: Equation) -> str | None:
    symbol = equation.own or equation.determines
    return symbol.name if symbol is not None else None


def _without_own(e: Equation) -> Equation:
    """An equation whose variable is given: it has to determine something else."""
    return Equation(e.name, e.sides, e.number, e.shape, None, None, e.location)


def _some_of(program: Declarations, equations: Sequence[Equation]) -> tuple[list[Equation],
                                                                          dict[Tokens, PackedEquations]]:
    """Some equations of a program, in its order, and their forms."""
    chosen = {id(equation) for equation in equations}
    is_kept = np.array([id(equation) in chosen for equation in program.equations], dtype=bool)
    place = np.where(is_kept, np.cumsum(is_kept) - 1, -1)
    restricted = {id(packed): packed.restricted(place) for packed in program.forms}
    new = []
    for e in equations:
        if isinstance(e.sides, Sides):
            new.append(e)
        else:
            packed, number = restricted[id(e.sides)]
            new.append(Equation(e.name, packed, int(number[e.number]), e.shape, e.own, e.determines, e.location))
    return new, {packed.form.tokens: packed for packed, _ in restricted.values() if len(packed)}
