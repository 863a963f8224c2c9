"""Torn blocks: which unknowns the user wants torn, and the rows that follow from the torn ones as parts to compute."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TypeAlias

import numpy as np

from ..expression import Array
from ..program.choices import SolverChoice, chosen_for
from ..structure import TEAR, TORN
from ..structure.schedule import NARROW

FEW_LEVELS = 8
"""So many levels of rows inside a block are computed one by one, however narrow they are."""

Part: TypeAlias = tuple[Array, bool]
"""Explicit rows, and whether they are computed one after the other rather than at once."""


def joined(levels: Sequence[Array]) -> list[Part]:
    """Levels of rows as parts: many narrow ones in a row are one sequence."""
    if len(levels) < FEW_LEVELS:
        return [(rows, False) for rows in levels] if levels else []
    parts: list[Part] = []
    for narrow, run in groupby(levels, key=lambda rows: len(rows) < NARROW):
        here = list(run)
        parts += [(np.concatenate(here), True)] if narrow and len(here) > 1 else [(rows, False) for rows in here]
    return parts


def wanted_torn(choices: Sequence[SolverChoice], n_user: int, n_state: int) -> Array:
    """What is wanted of every element of the state, int8: see ``structure.Structure.tear``.

    Of several choices for an element the last one holds; a choice that holds for none says nothing of torn ones.
    """
    number = chosen_for(choices, n_user, n_state)
    wanted = np.zeros(n_state, dtype=np.int8)
    named: list[Array] = []
    for i, choice in enumerate(choices):
        if choice.torn is not None and (number == i).any():
            wanted[number == i] = TEAR
            named.append(choice.torn[choice.torn < n_user])
    for torn in named:
        wanted[torn] = TORN
    return wanted
