"""The numbers that symbols begin at: values, starts, and what stands in for a start; which elements have one.

A symbol's value is its value where it is given and its start where it is found; NaN stands at elements without either.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DeclarationError
from ..expression import Array, Expression, Symbol
from ..text import number


def require_domain(symbol: Symbol, value: Array, given: Array) -> None:
    """Raise DeclarationError where a given element is not inside the domain of its variable."""
    low, high = symbol.domain
    outside = np.flatnonzero(((value <= low) | (value >= high)).ravel() & given.ravel())
    if len(outside):
        raise DeclarationError(
            f"{element_of(symbol, int(outside[0]))!r} is fixed, and {number(value.ravel()[outside[0]])} is outside its "
            f"domain ({number(low)}, {number(high)}): give a value inside"
        )


def element_of(symbol: Symbol, at: int) -> str:
    """The name of an element of a symbol."""
    if not symbol.shape:
        return symbol.name
    index: list[Any] = [int(i) for i in np.unravel_index(at, symbol.shape)]
    if symbol.labels is not None:
        index[0] = symbol.labels[index[0]]
    return f"{symbol.name}[{', '.join(map(str, index))}]"


def starting_numbers(symbol: Symbol) -> Array:
    """The numbers that a symbol's solve begins at where no start is an expression, in its shape."""
    if symbol.value is None:
        return np.array(np.broadcast_to(default_start(symbol), symbol.shape))
    value = np.asarray(symbol.value, dtype=np.float64)
    if not symbol.shape:
        return value
    missing = np.isnan(value)
    return np.where(missing, default_start(symbol), value) if missing.any() else value


def role_word(symbol: Symbol, found: int, size: int) -> str:
    """What was done to a symbol of which ``found`` of ``size`` elements are found from the equations, in a word.

    "fixed", "freed", the same with "in part", or nothing.
    """
    word, moved = ("fixed", size - found) if symbol.kind == "variable" else ("freed", found)
    if not moved:
        return ""
    return word if moved == size else f"{word} in part"


def default_start(symbol: Symbol) -> Any:
    """Where the solve of a variable without a start begins: 0, or the nearest number in its domain and bounds."""
    start = _inside(*symbol.domain)
    if symbol.is_unbounded:
        return start
    return np.broadcast_to(np.clip(start, symbol.lower, symbol.upper), symbol.shape)


def _inside(low: float, high: float) -> float:
    """0, or a number inside the open interval where 0 is not: its middle, or 1 from its one finite end."""
    if low < 0.0 < high:
        return 0.0
    if np.isfinite(low) and np.isfinite(high):
        return (low + high) / 2.0
    return low + 1.0 if np.isfinite(low) else high - 1.0


def has_start(symbol: Symbol) -> Array | bool:
    """Which elements have a value or a start: a truth value, or one an element where they differ."""
    if not symbol.shape or symbol.value is None or isinstance(symbol.value, Expression):
        return symbol.value is not None
    missing = np.isnan(symbol.value)
    return ~missing if missing.any() else True


def started_by(symbol: Symbol, value: Array) -> bool:
    """Whether new numbers of a symbol give elements a start that had none."""
    return bool((~np.isnan(value) & ~np.asarray(has_start(symbol))).any())
