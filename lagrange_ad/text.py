"""Numbers and tables as text: how every room shows what it has. Takes plain data, gives strings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

MOST_ROWS = 30
"""Tables longer than this show their head and tail."""


def number(value: Any) -> str:
    """A float with the digits a reader wants: 10 significant ones, no trailing zeros."""
    value = float(value)
    return f"{value:.10g}"


def values(array: Any, most: int = 3) -> str:
    """A scalar as a number, an array as its first elements and its shape."""
    data = np.asarray(array)
    if data.ndim == 0:
        return number(data)
    flat = data.ravel()
    shown = ", ".join(f"{x:.6g}" for x in flat[:most].tolist())
    return f"[{shown}{', …' if flat.size > most else ''}] {data.shape}"


def listing(names: Iterable[Any], most: int = 8) -> str:
    """Names joined by commas; a long list is cut and counted."""
    items = [str(name) for name in names]
    if len(items) <= most:
        return ", ".join(items)
    return f"{', '.join(items[:most])}, … ({len(items)} in all)"


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` where a known name is close, else empty."""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], width: int = 110) -> str:
    """A plain-text table; columns after the first are right-aligned when they hold numbers."""
    from io import StringIO

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown = _cut(rows, len(headings))
    for i, heading in enumerate(headings):
        numeric = i > 0 and all(_is_number(row[i]) for row in shown)
        grid.add_column(Text(heading), justify="right" if numeric else "left", overflow="fold")
    for row in shown:
        grid.add_row(*(Text(cell) for cell in row))
    stream = StringIO()
    Console(file=stream, width=width, color_system=None, legacy_windows=False).print(grid)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()).strip("\n")


def _cut(rows: Sequence[Sequence[str]], columns: int) -> list[Sequence[str]]:
    if len(rows) <= MOST_ROWS:
        return list(rows)
    half = MOST_ROWS // 2
    gap = [f"… {len(rows) - 2 * half} more"] + [""] * (columns - 1)
    return [*rows[:half], gap, *rows[-half:]]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell == ""
    return True
