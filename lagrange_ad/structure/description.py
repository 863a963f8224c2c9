"""A schedule in words: one pair (kind, rows) a step, or one for many steps of the same kind and size."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import groupby, islice

from .blocks import Indices
from .steps import Block, Schedule, Step

SHOWN_ROWS = 3
SHOWN_STEPS = 3
SHOWN_SOURCES = 1000
NO_AUXILIARIES = sys.maxsize
AND_MORE = "… and"
SHOWN_LINES = 40


def describe(schedule: Schedule, row_name: Callable[[int], str], first_auxiliary: int = NO_AUXILIARIES) -> str:
    """A line a step: see :func:`described_steps`."""
    steps = described_steps(schedule, row_name, first_auxiliary)
    return "\n".join(_line(kind, rows) for kind, rows in steps)


def _line(kind: str, rows: str) -> str:
    if kind == AND_MORE:
        return f"{kind} {rows}"
    return f"{kind}: {rows}" if " " in kind else f"{kind:<8}  {rows}"


def described_steps(schedule: Schedule, row_name: Callable[[int], str],
                    first_auxiliary: int = NO_AUXILIARIES) -> list[tuple[str, str]]:
    """The steps of a schedule as (kind, rows), rows named by `row_name`, shortened wherever they are many.

    Rows from `first_auxiliary` on are auxiliaries; `row_name` gives the equation that they were made for. More than
    three similar steps in a row share a line, and after forty lines the rest is only counted.
    """
    name = _Names(row_name, first_auxiliary)
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
    return type(step).__name__.lower(), len(step.rows)


def _one(step: Step, name: _Names) -> tuple[str, str]:
    text = name.rows(step.rows)
    if isinstance(step, Block) and step.eliminated:
        text += f", with {_auxiliaries(sum(map(len, step.eliminated)))}"
    return type(step).__name__.lower(), text


def _many(kind: str, size: int, steps: list[Step], name: _Names) -> tuple[str, str]:
    plural = {"wide": "wide steps", "sequence": "sequences", "block": "blocks"}[kind]
    examples = "; ".join(name.rows(step.rows) for step in islice(steps, 2))
    return f"{_count(len(steps))} {plural} of {_count(size)}", f"{examples}; …"


class _Names:
    """Names of the rows of a step: the user's first, then the auxiliaries with the equations they belong to."""

    def __init__(self, row_name: Callable[[int], str], first_auxiliary: int) -> None:
        self._row_name, self._first_auxiliary = row_name, first_auxiliary

    def rows(self, rows: Indices) -> str:
        hidden = rows >= self._first_auxiliary
        users, auxiliaries = rows[~hidden], rows[hidden]
        parts = [self._first(users)] if len(users) else []
        if len(auxiliaries):
            sources = list(dict.fromkeys(map(self._row_name, auxiliaries[:SHOWN_SOURCES].tolist())))
            more = ", …" if len(sources) > SHOWN_ROWS or len(auxiliaries) > SHOWN_SOURCES else ""
            parts.append(f"{_auxiliaries(len(auxiliaries))} of {', '.join(sources[:SHOWN_ROWS])}{more}")
        return " and ".join(parts)

    def _first(self, rows: Indices) -> str:
        shown = ", ".join(map(self._row_name, rows[:SHOWN_ROWS].tolist()))
        return shown if len(rows) <= SHOWN_ROWS else f"{shown} … ({_count(len(rows))} rows)"


def _auxiliaries(number: int) -> str:
    return "1 auxiliary" if number == 1 else f"{_count(number)} auxiliaries"


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ")
