"""How arrays stand in tables: small ones by element, others by a row that summarises them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..text import number
from .description import Column

MOST_ELEMENTS = 4
"""Arrays of at most this many elements are shown element by element."""
MOST_LABELLED = 12
"""The same for arrays whose elements have labels."""

ARRAY_COLUMNS = (
    Column("min", numeric=True), Column("max", numeric=True), Column("first", numeric=True, drop=1),
    Column("last", numeric=True, drop=1), Column("norm", numeric=True, drop=2),
)  # fmt: skip
"""The columns that :func:`array_cells` fills."""


def is_small(size: int, labelled: bool) -> bool:
    """Whether an array is shown element by element."""
    return 0 < size <= (MOST_LABELLED if labelled else MOST_ELEMENTS)


def array_cells(array: Any) -> list[str]:
    """Least and largest element, first and last, Euclidean norm; nothing for an empty array."""
    flat = np.asarray(array).ravel()
    if not flat.size:
        return ["empty", "", "", "", ""]
    with np.errstate(all="ignore"):
        found = [flat.min(), flat.max(), flat[0], flat[-1], np.linalg.norm(flat)]
    return [number(f"{float(value):.5g}") for value in found]
