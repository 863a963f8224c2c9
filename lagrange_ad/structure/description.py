"""A schedule in words: one line a step, or a line for many steps of the same kind and size."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby, islice

from .blocks import Indices
from .steps import Block, Schedule, Step

SHOWN_ROWS = 3
SHOWN_STEPS = 3
SHOWN_LINES = 40


def describe(schedule: Schedule, row_name: Callable[[int], str]) -> str:
    """The steps of a schedule, with the rows named by `row_name`, shortened wherever they are many.

    More than three similar steps in a row share a line, and after forty lines the rest is only counted.
    """
    lines: list[str] = []
    shown = 0
    for (kind, size), similar in groupby(schedule.steps, key=_similarity):
        steps = list(similar)
        if len(steps) > SHOWN_STEPS:
            lines.append(_many(kind, size, steps, row_name))
        else:
            lines.extend(_one(step, row_name) for step in steps)
        shown += len(steps)
        if len(lines) >= SHOWN_LINES:
            break
    if shown < len(schedule.steps):
        lines.append(f"… and {_count(len(schedule.steps) - shown)} more steps")
    return "\n".join(lines)


def _similarity(step: Step) -> tuple[str, int]:
    return type(step).__name__.lower(), len(step.rows)


def _one(step: Step, row_name: Callable[[int], str]) -> str:
    text = f"{type(step).__name__.lower():<8}  {_names(step.rows, row_name)}"
    if isinstance(step, Block) and step.auxiliaries:
        hidden = sum(map(len, step.auxiliaries))
        text += f", with {_count(hidden)} {'auxiliary' if hidden == 1 else 'auxiliaries'}"
    return text


def _many(kind: str, size: int, steps: list[Step], row_name: Callable[[int], str]) -> str:
    plural = {"wide": "wide steps", "sequence": "sequences", "block": "blocks"}[kind]
    examples = "; ".join(_names(step.rows, row_name) for step in islice(steps, 2))
    return f"{_count(len(steps))} {plural} of {_count(size)}: {examples}; …"


def _names(rows: Indices, row_name: Callable[[int], str]) -> str:
    shown = ", ".join(row_name(row) for row in rows[:SHOWN_ROWS].tolist())
    return shown if len(rows) <= SHOWN_ROWS else f"{shown} … ({_count(len(rows))} rows)"


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ")
