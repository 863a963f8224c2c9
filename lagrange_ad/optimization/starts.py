"""Where the runs of a multistart begin: points spread over the bounds of the decisions, or what the user gave.

Takes a view and how many; gives a mapping of values by name for each start, and words for how they were chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DeclarationError, SolveError
from ..expression import Array
from ..program import Declarations
from ..program.selection import selected
from ..text import listing, number
from ..views import View
from .beginning import beginning

SAMPLINGS = {"latin-hypercube": "Latin hypercube", "sobol": "Sobol sequence"}
MOST_SOBOL = 21201
"""Sobol numbers are known in so many dimensions."""


@dataclass(frozen=True, eq=False)
class Starts:
    """Values by name for each start (empty: as declared), and how they were chosen."""

    values: list[dict[str, Any]]
    notes: list[str]


def starts_of(program: Declarations, view: View, given: Any, seed: int | None, sampling: str, scale: Any) -> Starts:
    """The starts: ``given`` is a number of them, or mappings of inputs and variables by name or symbol."""
    if isinstance(given, int | np.integer) and not isinstance(given, bool):
        if given < 1:
            raise DeclarationError(f"multistart needs one start at least, got {given}")
        return _spread(program, view, int(given), seed, sampling, scale)
    if isinstance(given, Mapping) or not isinstance(given, Iterable) or isinstance(given, str):
        raise DeclarationError("starts is a number, or a list of dicts of inputs and variables by name, "
                               f"[{{'x': 0.5}}, {{'x': 2.0}}]; got {given!r:.60}")
    found = list(given)
    wrong = next((start for start in found if not isinstance(start, Mapping)), None)
    if wrong is not None or not found:
        raise DeclarationError("each of the starts is a dict of inputs and variables by name, {'x': 0.5}; got "
                               f"{'an empty list' if wrong is None else f'{wrong!r:.60}'}")
    return Starts([_by_name(program, view, start) for start in found], [f"starts: the {len(found)} that were given"])


def _by_name(program: Declarations, view: View, start: Mapping[Any, Any]) -> dict[str, Any]:
    """A start by names of symbols and elements, which other processes know too. Raises for what is none."""
    beginning(view, program, start)
    found: dict[str, Any] = {}
    for key, value in start.items():
        symbol, places = selected(program, key)
        if places.size == np.prod(symbol.shape, dtype=int):
            found[symbol.name] = np.array(value, dtype=float)
        else:
            values = np.broadcast_to(np.asarray(value, dtype=float), places.shape)
            found |= dict(zip(map(view.space.own.state.element, places.ravel().tolist()), values.ravel().tolist(),
                              strict=True))
    return found


def completed(view: View, program: Declarations, start: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """A start with the variables that the equations put to its inputs, where it names inputs and decisions alone and
    the view keeps variables; as it is where these have no solution."""
    if view.space.name == "reduced" or any(not view.space.chosen[selected(program, key)[1]].any() for key in start):
        return start
    try:
        at = view.solved_point(beginning(view, program, start).x)
    except SolveError:
        return start
    return {name: value for name, value in at.values.items() if program.symbols[name].kind != "parameter"}


def chosen_bounds(program: Declarations, view: View, scale: Any) -> tuple[Array, Array, Array]:
    """Of every element that is chosen: its declared value, and the range that starts are taken from.

    Its bounds; where one of them is infinite, the declared value v ± scale·max(1, |v|), or ± what ``scale`` says by
    name, within the other.
    """
    state, size = view.declared_state(), view.lowered.state.size
    low, high = np.full(size, -np.inf), np.full(size, np.inf)
    state[view.places], low[view.places], high[view.places] = view.x0, view.lower, view.upper
    places = np.flatnonzero(view.space.chosen)
    value = np.clip(state[places], low[places], high[places])
    low, high = low[places], high[places]
    half = _half_widths(program, value, places, scale, view.space.own.n_user)
    open_ = ~(np.isfinite(low) & np.isfinite(high))
    low = np.where(open_, np.maximum(value - half, low), low)
    high = np.where(open_, np.minimum(value + half, high), high)
    return value, low, high


def _half_widths(program: Declarations, value: Array, places: Array, scale: Any, n_user: int) -> Array:
    relative, absolute = scale, {}
    if isinstance(scale, Mapping):
        relative, absolute = 1.0, dict(scale)
    half = np.full(n_user, np.nan)
    half[places] = _positive(relative, "scale") * np.maximum(1.0, np.abs(value))
    for key, width in absolute.items():
        half[selected(program, key)[1]] = _positive(width, f"the scale of {key!r}")
    return half[places]


def _positive(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating) or not (
            0.0 < value < np.inf):
        raise DeclarationError(f"{what} must be a positive number, got {value!r}; scale= takes a number, or "
                               "half-widths by name, {'x': 5.0}")
    return float(value)


def _spread(program: Declarations, view: View, count: int, seed: int | None, sampling: str, scale: Any) -> Starts:
    """The declared values, then points spread over the ranges."""
    if sampling not in SAMPLINGS:
        raise DeclarationError(f"sampling must be one of {listing(SAMPLINGS)}, got {sampling!r}")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0):
        raise DeclarationError(f"seed must be an integer ≥ 0, or None for other starts every time, got {seed!r}")
    value, low, high = chosen_bounds(program, view, scale)
    points = low + _unit_points(count - 1, len(value), seed, sampling) * (high - low)
    own, places = view.space.own, np.flatnonzero(view.space.chosen)
    state = view.declared_state()[: own.n_user]
    blocks = np.unique(np.searchsorted(own.state.start, places, side="right") - 1)
    names = [own.state.names[i] for i in blocks.tolist()]
    starts: list[dict[str, Any]] = [{}]
    for point in points:
        state[places] = point
        starts.append({name: own.state.get(state, name).copy() for name in names})
    return Starts(starts, _notes(view, count, seed, sampling, places, low, high))


def _unit_points(count: int, dimensions: int, seed: int | None, sampling: str) -> Array:
    """Points of the unit cube (count, dimensions)."""
    from scipy.stats import qmc

    rng = np.random.default_rng(seed)
    if count < 1:
        return np.empty((0, dimensions))
    if sampling == "sobol":
        if dimensions > MOST_SOBOL:
            raise DeclarationError(f"sampling='sobol' is for {MOST_SOBOL} elements at most, and there are "
                                   f"{dimensions}: take 'latin-hypercube'")
        power = max(0, int(np.ceil(np.log2(count))))
        return np.asarray(_engine(qmc.Sobol, dimensions, rng).random_base2(power)[:count])
    return np.asarray(_engine(qmc.LatinHypercube, dimensions, rng).random(count))


def _engine(kind: Any, dimensions: int, rng: np.random.Generator) -> Any:
    """An engine of SciPy, which called its generator ``seed`` before 1.15."""
    import inspect

    known = inspect.signature(kind.__init__).parameters
    return kind(dimensions, **{"rng" if "rng" in known else "seed": rng})


def _notes(view: View, count: int, seed: int | None, sampling: str, places: Array, low: Array,
           high: Array) -> list[str]:
    others = f"the first as declared, the others by {SAMPLINGS[sampling]}, seed {seed}, within bounds"
    notes = [f"starts: {'as declared' if count == 1 else others}"]
    bounds = np.full((2, view.lowered.state.size), np.inf)
    bounds[0, view.places], bounds[1, view.places] = view.lower, view.upper
    open_ = np.flatnonzero(~np.isfinite(bounds[:, places]).all(axis=0))
    if len(open_) and count > 1:
        names = [f"{view.space.own.state.element(places[k])} in [{number(low[k])}, {number(high[k])}]"
                 for k in open_[:4].tolist()]
        more = f", … ({len(open_)} in all)" if len(open_) > 4 else ""
        notes.append(f"without finite bounds, begun within scale= of the declared values: {', '.join(names)}{more}")
    return notes
