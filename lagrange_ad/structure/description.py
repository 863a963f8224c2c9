"""A schedule in words: one pair (kind, rows) a step, or one for many steps of the same kind and size."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import groupby, islice
from typing import TypeAlias

import numpy as np

from .blocks import Indices
from .steps import Block, Schedule, Step

Name: TypeAlias = Callable[[int], str]

SHOWN_ROWS = 3
SHOWN_STEPS = 3
SHOWN_SOURCES = 1000
NO_AUXILIARIES = sys.maxsize
AND_MORE = "… and"
SHOWN_LINES = 40


def describe(schedule: Schedule, row_name: Name, first_auxiliary: int = NO_AUXILIARIES,
             column_name: Name | None = None) -> str:
    """A line a step: see :func:`described_steps`."""
    steps = described_steps(schedule, row_name, first_auxiliary, column_name)
    return "\n".join(_line(kind, rows) for kind, rows in steps)


def _line(kind: str, rows: str) -> str:
    if kind == AND_MORE:
        return f"{kind} {rows}"
    return f"{kind}: {rows}" if " " in kind else f"{kind:<8}  {rows}"


def described_steps(schedule: Schedule, row_name: Name, first_auxiliary: int = NO_AUXILIARIES,
                    column_name: Name | None = None) -> list[tuple[str, str]]:
    """The steps of a schedule as (kind, rows), rows named by `row_name`, shortened wherever they are many.

    Rows from `first_auxiliary` on are auxiliaries; `row_name` gives the equation that they were made for. Of a
    block it is said which unknowns are torn, where not all are (by `column_name`, or by their rows). More than three
    similar steps in a row share a line, and after forty lines the rest is only counted.
    """
    name = _Names(row_name, first_auxiliary, column_name)
    lines: list[tuple[str, str]] = []
    shown = 0
    for (kind, size), similar in groupby(schedule.steps, key=_similarity):
        steps = list(similar)
        if len(steps) > SHOWN_STEPS:
            lines.append(_many(kind, size, steps, name))
        else:
            lines.extend(_one(step, name) for step in steps)
        shown += len(steps)
        if len(lines) >= SHOWN_LINES:
            break
    if shown < len(schedule.steps):
        lines.append((AND_MORE, f"{_count(len(schedule.steps) - shown)} more steps"))
    return lines


def _similarity(step: Step) -> tuple[str, int]:
    size = len(step.rows) + sum(map(len, step.eliminated)) if isinstance(step, Block) else len(step.rows)
    return type(step).__name__.lower(), size


def _rows(step: Step) -> Indices:
    """The rows of a step, of a block those that are solved and then those eliminated."""
    return np.concatenate((step.rows, *step.eliminated)) if isinstance(step, Block) else step.rows


def _one(step: Step, name: _Names) -> tuple[str, str]:
    return type(step).__name__.lower(), name.block(step) if isinstance(step, Block) else name.rows(step.rows)


def _many(kind: str, size: int, steps: list[Step], name: _Names) -> tuple[str, str]:
    plural = {"wide": "wide steps", "sequence": "sequences", "block": "blocks"}[kind]
    examples = "; ".join(name.rows(_rows(step)) for step in islice(steps, 2))
    return f"{_count(len(steps))} {plural} of {_count(size)}", f"{examples}; …"


class _Names:
    """Names of the rows of a step: the user's first, then the auxiliaries with the equations they belong to."""

    def __init__(self, row_name: Name, first_auxiliary: int, column_name: Name | None) -> None:
        self._row_name, self._first_auxiliary, self._column_name = row_name, first_auxiliary, column_name

    def block(self, step: Block) -> str:
        """The user's rows of a block, how many auxiliaries, and what is torn."""
        rows = _rows(step)
        users = rows[rows < self._first_auxiliary]
        text = self._first(users)
        if len(users) < len(rows):
            text += f", with {_auxiliaries(len(rows) - len(users))}"
        if len(step.torn) < len(users):
            torn, name = step.columns[step.torn], self._column_name
            if name is None:
                torn, name = step.rows[step.torn], self._row_name
            text += f", torn: {self._first(torn, name, 'unknowns')}"
        return text

    def rows(self, rows: Indices) -> str:
        hidden = rows >= self._first_auxiliary
        users, auxiliaries = rows[~hidden], rows[hidden]
        parts = [self._first(users)] if len(users) else []
        if len(auxiliaries):
            sources = list(dict.fromkeys(map(self._row_name, auxiliaries[:SHOWN_SOURCES].tolist())))
            more = ", …" if len(sources) > SHOWN_ROWS or len(auxiliaries) > SHOWN_SOURCES else ""
            parts.append(f"{_auxiliaries(len(auxiliaries))} of {', '.join(sources[:SHOWN_ROWS])}{more}")
        return " and ".join(parts)

    def _first(self, rows: Indices, name: Name | None = None, what: str = "rows") -> str:
        shown = ", ".join(map(name or self._row_name, rows[:SHOWN_ROWS].tolist()))
        return shown if len(rows) <= SHOWN_ROWS else f"{shown} … ({_count(len(rows))} {what})"


def _auxiliaries(number: int) -> str:
    return "1 auxiliary" if number == 1 else f"{_count(number)} auxiliaries"


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ")
