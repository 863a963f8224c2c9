"""Elements of symbols, as users name them: ``"y"``, ``"v[3]"``, ``"v[bus_7]"``, a symbol, or a rearrangement of one.

Gives their positions in the flat state, in the shape of what was named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UnknownNameError
from ..expression import Array, Expression, Symbol
from ..printing import to_text
from ..text import listing

if TYPE_CHECKING:
    from .symbols import Symbols


def selected(program: Symbols, key: Any) -> tuple[Symbol, Array]:
    """The symbol and the positions of the elements that a key means. Raises UnknownNameError."""
    if isinstance(key, Expression):
        return _of_expression(program, key)
    if not isinstance(key, str):
        raise UnknownNameError(
            f"elements are named one symbol at a time, as in v, 'v', v[3], v[2:5] or 'v[3]'; got {key!r:.60}"
        )
    base, bracket, rest = key.partition("[")
    if not bracket or program.full_name(key) in program.symbols:
        symbol = program.symbol(key)
        return symbol, _positions(symbol)
    symbol = program.symbol(base)
    return symbol, _element(symbol, key, rest.removesuffix("]"))


def _of_expression(program: Symbols, node: Expression) -> tuple[Symbol, Array]:
    views, inner = [], node
    while inner.op == "view":
        views.append(inner.data)
        inner = inner.args[0]
    if inner.op != "symbol":
        raise UnknownNameError(
            f"{to_text(node, 60)} is computed: name a symbol or elements of one, as in v, v[3], v[2:5] or 'v[3]'"
        )
    symbol = program.symbol(inner)
    positions = _positions(symbol)
    for view in reversed(views):
        positions = view.apply(positions)
    return symbol, np.asarray(positions, dtype=np.int64)


def _positions(symbol: Symbol) -> Array:
    size = int(np.prod(symbol.shape, dtype=np.int64))
    return np.arange(symbol.start, symbol.start + size).reshape(symbol.shape)


def _element(symbol: Symbol, name: str, index: str) -> Array:
    """The position of one element named in words; its first part may be a label."""
    parts: list[Any] = [part.strip() for part in index.split(",")]
    labels = [str(label) for label in symbol.labels] if symbol.labels is not None else []
    if parts[0] in labels:
        parts[0] = labels.index(parts[0])
    try:
        return np.asarray(_positions(symbol)[tuple(int(part) for part in parts)], dtype=np.int64).reshape(())
    except (ValueError, IndexError, TypeError):
        pass
    shape = f"an array of shape {symbol.shape}" if symbol.shape else "a scalar, without elements"
    first = f", its first axis labelled {listing(symbol.labels, 4)}" if symbol.labels else ""
    raise UnknownNameError(f"there is no element {name!r}: {symbol.name!r} is {shape}{first}")
