"""What an expression's leaves and rearrangements carry: named arrays of a program, and functions that move elements."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

Shape = tuple[int, ...]
Array = np.ndarray[Any, np.dtype[Any]]

_EVERYWHERE = (-np.inf, np.inf)
NO_ELEMENTS: dict[int, Any] = {}  # of all symbols of which no element was asked for; never written to


class Symbol:
    """A named array of a program: an input, a parameter or a variable, with what was declared of it.

    ``start`` is where its elements begin in the flat state, ``elements`` the nodes made of single ones so far,
    ``scale`` the size that the user says its values have, ``operation`` the function that declared it
    (np.linalg.solve), if one did.
    """

    __slots__ = ("domain", "elements", "kind", "labels", "location", "lower", "name", "operation", "owner",
                 "scale", "shape", "start", "unit", "upper", "value")  # fmt: skip

    def __init__(self, name: str, kind: str, shape: Shape, owner: Any, location: tuple[str, int]) -> None:
        self.name, self.kind, self.shape, self.owner, self.location = name, kind, shape, owner, location
        self.start = -1
        self.elements: dict[int, Any] = NO_ELEMENTS
        self.value: Any = None
        self.lower: Any = -np.inf
        self.upper: Any = np.inf
        self.domain: tuple[float, float] = _EVERYWHERE
        self.labels: list[Any] | None = None
        self.unit = self.operation = ""
        self.scale: Any = None

    @property
    def is_unbounded(self) -> bool:
        """Whether no bounds were declared."""
        return isinstance(self.lower, float) and isinstance(self.upper, float)

    def __repr__(self) -> str:
        return f"{self.kind} {self.name}"

    def __getstate__(self) -> Any:
        # A start that is an expression is pickled by the program, which packs all its expressions.
        kept = {slot: value for slot in self.__slots__ if not hasattr(value := getattr(self, slot), "op")}
        return None, {**kept, "elements": {}}


class View:
    """A rearrangement of the elements of one array: a NumPy function and its further arguments.

    Applied to an array of any dtype: to values when an expression is evaluated, to element numbers when it is
    lowered to index maps.
    """

    __slots__ = ("arguments", "function", "keywords", "name")

    def __init__(self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...],
                 keywords: dict[str, Any]) -> None:
        self.name, self.function, self.arguments, self.keywords = name, function, arguments, keywords

    def apply(self, array: Array) -> Array:
        """The rearranged array (a NumPy view of it where possible)."""
        return np.asarray(self.function(array, *self.arguments, **self.keywords))


class Element(View):
    """One element of a symbol's array: the view ``array[key]``; ``start`` is its position in the flat state."""

    __slots__ = ("start",)

    def __init__(self, key: Any, start: int) -> None:
        super().__init__("getitem", operator.getitem, (key,), {})
        self.start = start
