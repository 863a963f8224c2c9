"""What NumPy's functions mean for expressions: tables, read by nodes and filled by :mod:`functions`.

Nodes, their methods and NumPy's protocols look functions up here; so there is one spelling of each, and no import of
what is built of nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""By NumPy function (not ufunc): what builds an expression in its stead. ``operator.getitem`` is among them."""

REDUCTIONS: dict[tuple[str, str], Any] = {}
"""The NumPy function that a method of a ufunc spells: ``np.add.reduce`` is ``np.sum`` along the first axis."""

UFUNCS: dict[str, Callable[..., Any]] = {}
"""By name, for ufuncs that are not rows of the table of elementary functions."""
