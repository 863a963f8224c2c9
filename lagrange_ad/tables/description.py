"""Reports as data: a heading, tables of text cells, notes. No renderer is named here but in ``Shown``.

Rows may be lazy, so that a table of 10^6 rows costs what its head and tail cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

MOST_ROWS = 40
"""All tables of a report together show about this many rows."""
LEAST_ROWS = 4

Cells = Sequence[str]


class Rows(Sequence[Cells]):
    """``count`` rows, each made by ``make(i)`` when it is looked at."""

    def __init__(self, count: int, make: Callable[[int], Cells]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Cells: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Cells]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._make(i) for i in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(f"row {index} of {self._count}")
        return self._make(index % self._count)


@dataclass(frozen=True)
class Column:
    """A column: ``numeric`` cells stand at the right and are never broken; ``role`` chooses the colour.

    Where space is short, columns with the largest ``drop`` are left out first; those with 0 never are.
    """

    heading: str
    numeric: bool = False
    role: str = "text"
    drop: int = 0


@dataclass(frozen=True)
class Table:
    """A titled table; every row has a cell a column."""

    heading: str
    columns: Sequence[Column]
    rows: Sequence[Cells]

    def cut(self, most: int) -> Table:
        """The table with head and tail of its rows alone where they are more than ``most``, and a row that counts."""
        count = len(self.rows)
        if count <= most:
            return replace(self, rows=list(self.rows))
        head, tail = (most + 1) // 2, most // 2
        gap = [f"… {count - head - tail} more", *[""] * (len(self.columns) - 1)]
        return replace(self, rows=[*self.rows[:head], gap, *self.rows[count - tail :]])


@dataclass(frozen=True)
class Report:
    """What an object shows: lines above, tables, lines below."""

    heading: str
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()

    def shown(self, most: int = MOST_ROWS) -> Iterator[Table]:
        """The tables that have rows, cut so that they have about ``most`` rows together."""
        tables = [table for table in self.tables if len(table.rows)]
        for table, rows in zip(tables, shares([len(table.rows) for table in tables], most), strict=True):
            yield table.cut(rows)


def shares(wanted: Sequence[int], total: int) -> list[int]:
    """Parts of ``total``: what is wanted where that is less than an equal part, the rest in equal parts."""
    given = [0] * len(wanted)
    left = total
    for done, i in enumerate(sorted(range(len(wanted)), key=lambda i: wanted[i])):
        given[i] = min(wanted[i], max(left // (len(wanted) - done), LEAST_ROWS))
        left -= given[i]
    return given


class Shown:
    """An object that prints its report: as text, in colour by rich, as HTML in a notebook."""

    def _report(self) -> Report:
        raise NotImplementedError(f"{type(self).__name__} does not say what it shows")

    def __str__(self) -> str:
        from .plain import to_plain

        return to_plain(self._report())

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from .terminal import renderables

        yield from renderables(self._report(), options.max_width)

    def _repr_html_(self) -> str:
        from .html import to_html

        return to_html(self._report())
