"""What a check collects on its way: counts by verdict, and of each equation and parent the worst element."""

from __future__ import annotations

import numpy as np

from ..expression import Array
from ..printing import place
from .checked import RightSides
from .report import DerivativeCheck, DerivativeReport
from .slopes import VERDICTS, Judged

MOST_ROWS = 1000
"""How many rows a report keeps, the worst."""


def column_of(sides: RightSides, j: int) -> tuple[str, str]:
    """The symbol of a state element, and the element's name where that is an array."""
    state = sides.lowered.state
    block = state.block_of(j)
    return state.names[block], state.element(j) if state.shapes[block] else ""


def worst_by(group: Array, badness: Array) -> Array:
    """The position of the largest badness of each group."""
    order = np.lexsort((-badness, group))
    return order[np.flatnonzero(np.diff(group[order], prepend=-1))]


class Collected:
    """Rows as they come, one an (equation, parent): the worst of their elements."""

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self.rows: list[DerivativeCheck] = []
        self.notes: list[str] = []
        self.counts = [0, 0, 0]
        self.solved = True

    def count(self, verdict: int, number: int) -> None:
        """So many more derivatives with a verdict."""
        self.counts[verdict] += number

    def add_rows(self, kind: str, sides: RightSides, judged: Judged, chosen: Array, column: int | None,
                 size: float) -> None:
        """Count the chosen rows of a column (None: a direction), and keep the worst of each equation."""
        for verdict in (0, 1, 2):
            self.count(verdict, int((judged.verdict[chosen] == verdict).sum()))
        worst = chosen[worst_by(sides.block_of_row[chosen], judged.badness[chosen])]
        if len(worst) > MOST_ROWS:
            worst = worst[np.argsort(-judged.badness[worst])[:MOST_ROWS]]
        for row in worst.tolist():
            self.add(kind, sides, judged, row, row, column, size)

    def add(self, kind: str, sides: RightSides, judged: Judged, i: int, row: int | None, column: int | None,
            size: float, along: int | None = None) -> None:
        """Keep output i of a judgement: of a row (None: the objective solved, or Σ λ·f) by a column, ``size`` apart."""
        details = judged.details(i)
        for key in ("analytic", "numerical", "error", "tolerance"):
            details[key] /= abs(size) if key in ("error", "tolerance") else size
        names = []
        equation, location = "Σ λ·f, random λ", ""
        if row is not None:
            (_, equation), location = sides.block(row), place(sides.location(row))
            names.append(sides.element(row) if sides.element(row) != equation else "")
        elif kind == "gradient":
            equation, location = sides.block(sides.goal)[1], place(sides.location(sides.goal))
        wrt = "random direction"
        if column is not None:
            wrt, element = column_of(sides, column)
            names.append(element)
        if along is not None:
            first, element = column_of(sides, along)
            wrt = f"{first}, {wrt}"
            names.insert(0, element)
        element = " by ".join(name for name in names if name)
        self.rows.append(DerivativeCheck(kind, equation, wrt, element, place=location, **details))

    def report(self, program: str) -> DerivativeReport:
        """The rows, the worst first, one a kind, equation and parent."""
        worst: dict[tuple[str, str, str], DerivativeCheck] = {}
        for row in self.rows:
            key = (row.kind, row.equation, row.wrt)
            if key not in worst or worst[key].badness < row.badness:
                worst[key] = row
        rows = sorted(worst.values(), key=lambda row: -row.badness)[:MOST_ROWS]
        checked = dict(zip(VERDICTS, self.counts, strict=True))
        return DerivativeReport(program, rows, checked, tuple(dict.fromkeys(self.notes)), self.solved)
