"""Reports as HTML for notebooks: plain tables, every text escaped, numbers at the right, no style sheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from .description import Column, Report, Table

_SIDE = {True: ' style="text-align: right"', False: ' style="text-align: left"'}


def to_html(report: Report) -> str:
    """A ``div`` with the report in it."""
    parts = [f"<p><strong>{_lines(report.heading)}</strong></p>"] if report.heading else []
    parts += map(_table, report.shown())
    parts += (f"<p>{_lines(note)}</p>" for note in report.notes)
    return "\n".join(["<div>", *parts, "</div>"])


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def _table(table: Table) -> str:
    caption = [f"<caption>{escape(table.heading)}</caption>"] if table.heading else []
    head = _row("th", table.columns, (column.heading for column in table.columns))
    body = [_row("td", table.columns, row) for row in table.rows]
    headed = [f"<thead>{head}</thead>"] if any(column.heading for column in table.columns) else []
    return "\n".join(["<table>", *caption, *headed, "<tbody>", *body, "</tbody>", "</table>"])


def _row(tag: str, columns: Sequence[Column], cells: Iterable[str]) -> str:
    written = (f"<{tag}{_SIDE[column.numeric]}>{_lines(cell)}</{tag}>"
               for column, cell in zip(columns, cells, strict=True))
    return f"<tr>{''.join(written)}</tr>"
