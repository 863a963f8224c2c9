"""What a user gave, checked: numbers, shapes, bounds, labels, domains, names as keys, and the line of the call.

Takes anything and the name of what it was given for; gives float64 arrays and tuples of integers, or an error that
names both.
"""

from __future__ import annotations

import operator
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DeclarationError, ExpressionTypeError, ShapeError, UnknownNameError
from ..expression import Array, Expression, Shape
from ..printing import to_text
from ..text import values
from .records import Location

NO_LOWER, NO_UPPER = -np.inf, np.inf
_PACKAGE = str(Path(__file__).parent.parent) + os.sep
_PLACES: dict[Location, Location] = {}  # one tuple a line: a loop declares 10^5 equations at the same one


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


def element_name(key: Any, owner: Any) -> Any:
    """As :func:`key_name`; an element of a symbol, ``y[0]``, by its name, and any other expression by its text."""
    if not isinstance(key, Expression) or key.op == "symbol":
        return key_name(key, owner)
    if key.owner is not None and key.owner is not owner:
        raise UnknownNameError(f"{to_text(key, 60)} is of the program {key.owner.name!r}, not of {owner.name!r}")
    return to_text(key, 60)


def key_name(key: Any, owner: Any) -> Any:
    """The name that a key of a mapping means: a string, or a symbol as its declaration returned it."""
    if not isinstance(key, Expression) or key.op != "symbol":
        return key
    if key.owner is not owner:
        raise UnknownNameError(f"{key.data.name!r} is of the program {key.owner.name!r}, not of {owner.name!r}")
    return key.data.name


def as_shape(name: str, shape: Any) -> Shape:
    """The sizes of a shape given as an integer or a tuple of them."""
    try:
        sizes = tuple(operator.index(n) for n in (shape if isinstance(shape, tuple | list) else (shape,)))
    except (TypeError, ValueError):
        raise ShapeError(f"shape of {name!r} must be a tuple of integers, got {shape!r}") from None
    if any(n < 0 for n in sizes):
        raise ShapeError(f"shape of {name!r} has a negative size: {sizes}")
    return sizes


def bounds_of(name: str, lower: Any, upper: Any, shape: Shape) -> tuple[Any, Any]:
    """The bounds of a symbol, checked against its shape and each other; None is no bound."""
    low = numeric(name, -np.inf if lower is None else lower, "the lower bound", finite=False)
    high = numeric(name, np.inf if upper is None else upper, "the upper bound", finite=False)
    fit(name, low, shape, "the lower bound")
    fit(name, high, shape, "the upper bound")
    if (low > high).any():
        raise DeclarationError(f"the bounds of {name!r} are crossed: lower {values(low)} > upper {values(high)}")
    return low, high


def labels_of(name: str, labels: Any, shape: Shape) -> list[Any]:
    """The names of the elements along axis 0."""
    listed = list(labels)
    if not shape or len(listed) != shape[0]:
        raise ShapeError(f"labels of {name!r}: {len(listed)} given for shape {shape}; one an element of axis 0")
    shown = [str(label) for label in listed]
    twice = next((label for label, count in Counter(shown).items() if count > 1), None)
    if twice is not None:
        raise DeclarationError(f"labels of {name!r}: {twice!r} names two elements; give every element its own")
    odd = next((label for label in shown if not label.isprintable()), None)
    if odd is not None:
        raise DeclarationError(f"labels of {name!r}: {odd!r} cannot be shown; give texts of one line, or numbers")
    return listed


def domain_of(name: str, domain: Any) -> tuple[float, float]:
    """The open interval that guards the iterates of a variable."""
    ends = np.asarray(domain if isinstance(domain, tuple | list) else np.nan)
    if ends.shape != (2,) or ends.dtype.kind not in "iuf" or np.isnan(ends).any():
        raise DeclarationError(f"the domain of {name!r} must be two numbers, domain=(low, high), got {domain!r}")
    low, high = float(ends[0]), float(ends[1])
    if not low < high:
        raise DeclarationError(f"the domain of {name!r} is empty: ({low:g}, {high:g})")
    return low, high


def scale_of(name: str, scale: Any, shape: Shape) -> Any:
    """The sizes that the user says the values of a variable, or the residuals of an equation, have."""
    found = fit(name, numeric(name, scale, "the scale"), shape, "the scale")
    if not (found > 0.0).all():
        raise DeclarationError(
            f"the scale of {name!r} must be positive, got {float(found.min()):g}: it is the size that its values "
            "typically have"
        )
    return found


def unit_of(name: str, unit: Any) -> str:
    """The unit of a symbol, a text for display."""
    if not isinstance(unit, str) or not unit.isprintable():
        raise DeclarationError(
            f"the unit of {name!r} must be a string of one line, as in unit='m/s', got {unit!r}: units are shown, "
            "nothing is converted"
        )
    return unit
