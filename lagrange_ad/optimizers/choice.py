"""The names of algorithms, and which one is taken where none was named."""

from __future__ import annotations

from typing import Any

from ..errors import DeclarationError
from ..text import nearest
from .algorithm import Algorithm
from .problem import Problem
from .uno import Uno

NAMES: dict[str, Algorithm] = {"uno": Uno(), "uno-sqp": Uno(preset="filtersqp")}


def algorithm_named(given: Any) -> Algorithm:
    """The algorithm of a name, or the object itself. Raises DeclarationError."""
    if isinstance(given, Algorithm):
        return given
    if given not in NAMES:
        raise DeclarationError(f"there is no method {given!r}{nearest(str(given), NAMES)}")
    return NAMES[given]


def choose(problem: Problem) -> tuple[Algorithm, str]:
    """An algorithm that suits a problem, and why."""
    return Uno(), ""
