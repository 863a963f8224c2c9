"""What a sweep goes over: the values of some inputs and parameters at every point, and the order of the points.

Takes what the user gave, zipped or as a grid; gives one matrix, a row a point and a column an element of the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DeclarationError, ShapeError, UnknownNameError
from ..expression import Array, Expression, Shape
from ..printing import to_text
from ..program import Declarations, numeric
from ..program.selection import selected
from ..solution.plan import Plan
from ..text import listing, number


class Grid(Mapping[Any, Any]):
    """Values whose every combination is a point of a sweep: results have one axis a name, in the order given."""

    def __init__(self, values: Mapping[Any, Any]) -> None:
        self._values = dict(values)

    def __getitem__(self, key: Any) -> Any:
        return self._values[key]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"grid({', '.join(f'{key}: {len(np.atleast_1d(value))}' for key, value in self.items())})"


def grid(values: Mapping[Any, Any] | None = None, /, **named: Any) -> Grid:
    """The product of the values of several names, for :meth:`Program.sweep`; ``la.grid(a=[1, 2], b=[0, 1, 2])``.

    The arrays of the sweep begin with one axis a name: (2, 3) here. Neighbours follow each other: the last name moves
    fastest, and there and back.
    """
    if values is not None and not isinstance(values, Mapping):
        raise DeclarationError(f"grid takes values by name, grid(a=[1, 2]) or grid({{'a': [1, 2]}}), got {values!r}")
    return Grid({**(values or {}), **named})


@dataclass(frozen=True, eq=False)
class Over:
    """The points of a sweep: ``given`` (points, elements) are the values of the state elements ``columns``.

    ``names`` are swept, each of a shape in ``shapes``; ``shape`` is that of the points in result arrays, ``order`` that
    in which they are gone through.
    """

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    shape: Shape
    given: Array
    columns: Array
    order: Array

    @property
    def size(self) -> int:
        """How many points there are."""
        return len(self.given)

    def index(self, point: int) -> Any:
        """Where a point stands in result arrays: a number, or several of them in a grid."""
        place = tuple(int(i) for i in np.unravel_index(point, self.shape))
        return place[0] if len(place) == 1 else place


def points_of(program: Declarations, plan: Plan, values: Any) -> Over:
    """The checked points. Raises UnknownNameError, DeclarationError and ShapeError, naming what is wrong."""
    if not isinstance(values, Mapping):
        raise DeclarationError("sweep takes values by name, sweep({'I': np.linspace(0, 1, 11)}) or "
                               f"sweep(la.grid(a=..., b=...)), got {values!r}")
    if not values:
        raise DeclarationError("sweep has no name to go over: sweep({'I': np.linspace(0, 1, 11)})")
    places: dict[str, Array] = {}
    arrays: dict[str, Array] = {}
    for key, value in values.items():
        name, columns = given_elements(program, plan, key)
        if name in arrays:
            raise DeclarationError(f"the values of {name!r} are given twice")
        places[name], arrays[name] = columns, _series(name, value, columns.shape)
        _require_domain(program, plan, name, columns, arrays[name])
    lengths = {name: len(array) for name, array in arrays.items()}
    if isinstance(values, Grid):
        shape = tuple(lengths.values())
        chosen = [axis.ravel() for axis in np.indices(shape)]
    else:
        if len(set(lengths.values())) > 1:
            counted = ", ".join(f"{count} for {name!r}" for name, count in lengths.items())
            raise ShapeError(f"the values of a sweep go together, one of each a point, and there are {counted}: give "
                             "equally many, or la.grid(...) for every combination")
        shape = (next(iter(lengths.values())),)
        chosen = [np.arange(shape[0])] * len(arrays)
    given = [array[at] for array, at in zip(arrays.values(), chosen, strict=True)]
    columns = np.concatenate([np.ravel(at) for at in places.values()])
    if len(np.unique(columns)) < len(columns):
        raise DeclarationError(f"{listing(arrays)} have elements in common: each can have one value a point")
    shapes = tuple(tuple(at.shape) for at in places.values())
    return Over(tuple(arrays), shapes, shape, np.concatenate(given, axis=1), columns, there_and_back(shape))


def given_elements(program: Declarations, plan: Plan, key: Any) -> tuple[str, Array]:
    """The name of what is swept, and its state elements: a symbol or elements of one, all of them given."""
    try:
        symbol, columns = selected(program, key)
    except UnknownNameError as error:
        given = plan.roles.given_names()
        raise UnknownNameError(f"there is nothing to sweep: {error}; given are {listing(given) or 'none'}") from None
    if isinstance(key, Expression):
        name = symbol.name if key.op == "symbol" else to_text(key, 60)
    else:
        name = symbol.name if columns.shape == symbol.shape and "[" not in key else str(program.full_name(key))
    if plan.unknown[columns].any():
        found = "a variable" if symbol.kind == "variable" else "freed"
        raise DeclarationError(f"{name!r} is {found}: the equations determine it. Sweep inputs, parameters, and what "
                               f"was fixed: p.fix({name!r}) and p.free(...) swap roles")
    return name, columns


def _require_domain(program: Declarations, plan: Plan, name: str, columns: Array, values: Array) -> None:
    """Raise DeclarationError for a value outside the domain of a variable that was fixed."""
    if not columns.size:
        return
    symbol = program.symbols[plan.lowered.state.names[plan.lowered.state.block_of(int(columns.ravel()[0]))]]
    low, high = symbol.domain
    outside = np.flatnonzero(((values <= low) | (values >= high)).any(axis=1))
    if len(outside):
        at, found = int(outside[0]), values[outside[0]]
        worst = found.min() if found.min() <= low else found.max()
        raise DeclarationError(f"point {at} of the sweep has {name} = {number(worst)}, outside its domain "
                               f"({number(low)}, {number(high)})")


def _series(name: str, value: Any, shape: Shape) -> Array:
    """The values of a name, (points, elements)."""
    array = numeric(name, value, "the values of the sweep")
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape:
        hint = f"; for one value, p.set({name}=...) before it" if array.ndim == len(shape) else ""
        raise ShapeError(f"the values of {name!r} must have shape {('points', *shape)}, one a point, got shape "
                         f"{array.shape}{hint}".replace("'points'", "points"))
    if not len(array):
        raise DeclarationError(f"there are no values of {name!r} to sweep over")
    return np.asarray(array.reshape(len(array), -1))


def there_and_back(shape: Shape) -> Array:
    """The points of a grid in an order in which neighbours follow each other; the last axis moves fastest."""
    order = np.arange(shape[-1])
    for count in shape[-2::-1]:
        rows = order + len(order) * np.arange(count)[:, None]
        rows[1::2] = rows[1::2, ::-1]
        order = rows.ravel()
    return order
