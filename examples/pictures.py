"""The look of the examples' pictures: one size of type, thin axes, colours that the colour-blind tell apart.

``canvas`` gives a figure with its axes and writes it when the block ends; matplotlib loads here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
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
