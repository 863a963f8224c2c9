"""Reports as plain text, as wide as the terminal (110 characters where there is none)."""

from __future__ import annotations

import shutil
from io import StringIO

from .description import Report, Table

WIDTH, NARROWEST, WIDEST = 110, 60, 140


def to_plain(report: Report) -> str:
    """The lines of a report: headings and notes as they are, tables aligned."""
    width = min(max(shutil.get_terminal_size((WIDTH, 24)).columns, NARROWEST), WIDEST)
    parts = [report.heading] if report.heading else []
    for table in report.shown():
        parts += [table.heading] if table.heading else []
        parts.append(_lines(table, width))
    return "\n".join([*parts, *report.notes])


def _lines(table: Table, width: int) -> str:
    from rich.console import Console

    from .terminal import grids

    stream = StringIO()
    console = Console(file=stream, width=width, color_system=None, force_jupyter=False, legacy_windows=False)
    for part in grids(table, width):
        console.print(part)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines() if line.strip())
