"""Reports for rich: real tables, in colour where the terminal has it, fitted to its width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from .description import Column, Report, Table

STYLES = {"name": "bold", "multiplier": "cyan", "gradient": "magenta", "kind": "dim"}
"""The colour of a column's cells by its role."""
_GAP = 3
"""Blank cells between two columns."""
_LEAST = 8
"""A column of words is not made narrower than this."""


def renderables(report: Report, width: int) -> Iterator[Any]:
    """The parts of a report, top to bottom, for a console of a width."""
    if report.heading:
        yield Text(report.heading, style="bold")
    for table in report.shown():
        if table.heading:
            yield Padding(Text(table.heading, style="bold"), (1, 0, 0, 0))
        yield from grids(table, width)
    for note in report.notes:
        yield Text(note, style="dim")


def grids(table: Table, width: int) -> list[RichTable]:
    """One table for rich, without the columns that there is no room for; several where the others need more room."""
    return [_grid(table, columns) for columns in _side_by_side(table, fitting(table, width), width)]


def _grid(table: Table, kept: Sequence[int]) -> RichTable:
    result = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_header=any(table.columns[i].heading for i in kept))
    for i in kept:
        column = table.columns[i]
        result.add_column(
            Text(column.heading), justify="right" if column.numeric else "left", style=STYLES.get(column.role, ""),
            no_wrap=column.numeric or column.role == "kind", overflow="fold",
            min_width=_narrowest(table, i),
        )  # fmt: skip
    for row in table.rows:
        result.add_row(*(Text(row[i]) for i in kept))
    return result


def fitting(table: Table, width: int) -> list[int]:
    """The numbers of the columns that fit into a width; columns of words may be folded, others may be left out."""
    kept = list(range(len(table.columns)))
    least = [_least(column, [row[i] for row in table.rows]) for i, column in enumerate(table.columns)]
    while sum(least[i] + _GAP for i in kept) > width:
        worst = max(kept, key=lambda i: (table.columns[i].drop, i))
        if not table.columns[worst].drop:
            break
        kept.remove(worst)
    return kept


def _side_by_side(table: Table, kept: Sequence[int], width: int) -> list[list[int]]:
    """The columns parted so that each part fits into the width; every part begins with the first column."""
    first, *others = kept
    parts, room = [[first]], width - _narrowest(table, first) - _GAP
    left = room
    for i in others:
        needed = _narrowest(table, i) + _GAP
        if needed > left and len(parts[-1]) > 1:
            parts.append([first])
            left = room
        parts[-1].append(i)
        left -= needed
    return parts


def _narrowest(table: Table, i: int) -> int:
    """The width that a column cannot go below: numbers and kinds as they are, words folded."""
    column = table.columns[i]
    least = _least(column, [row[i] for row in table.rows])
    return least if column.numeric or column.role == "kind" else min(least, _LEAST)


def _least(column: Column, cells: Sequence[str]) -> int:
    widest = max(map(cell_len, [column.heading, *cells]))
    return widest if column.numeric or column.role == "kind" else min(widest, 3 * _LEAST)
