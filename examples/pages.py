"""The look of the examples: tables, and pictures with one size of type and colours that the colour-blind tell apart.

``table`` gives text; ``canvas`` gives a figure's axes and writes the figure when the block ends. matplotlib loads here
and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#666666"
STYLE = {
    "font.size": 9, "axes.titlesize": 9.5, "axes.labelsize": 9, "legend.fontsize": 8, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.7, "axes.titlelocation": "left",
    "lines.linewidth": 1.6, "lines.markersize": 4, "xtick.direction": "out", "ytick.direction": "out",
    "xtick.major.width": 0.7, "ytick.major.width": 0.7, "mathtext.fontset": "dejavusans", "savefig.dpi": 200,
}  # fmt: skip


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of text under headings; columns after the first stand at the right where they hold numbers."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    right = [i > 0 and all(_is_number(row[i]) for row in rows) for i in range(len(headings))]
    lines = ["   ".join(cell.rjust(width) if numeric else cell.ljust(width)
                        for cell, width, numeric in zip(row, widths, right, strict=True)).rstrip()
             for row in (headings, *rows)]  # fmt: skip
    rule = "─" * (sum(widths) + 3 * (len(widths) - 1))
    return "\n".join([*([title, ""] if title else []), lines[0], rule, *lines[1:]])


def _is_number(cell: str) -> bool:
    return not cell or cell.lstrip("+−-")[:1].isdigit()


@contextmanager
def canvas(path: str | Path, columns: int = 1, size: tuple[float, float] = (5.5, 3.4), **options: Any) -> Iterator[Any]:
    """Axes to draw on, one or ``columns`` side by side; the picture is written to ``path`` at the end."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure.subplots(1, columns, **options)
        figure.savefig(path)
    print(f"\nfigure in {path}")
