"""Pictures of sweeps and branches: quantities against a name, one panel each, drawn with matplotlib.

Takes anything that gives arrays by name and says which names were swept; gaps are where there is no solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..expression import Array, Expression
from ..printing import to_text
from .plots import PlotError, require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PANELS = 6
MOST_CURVES = 12
"""More curves than this have no legend."""


def plot_curves(sweep: Any, x: Any, y: Any, path: str | PathLike[str] | None, ax: Axes | None, *,
                scalars: Sequence[str], units: dict[str, str], marks: Array | None = None) -> Any:
    """Draw quantities of a sweep against one of them; returns the axes, several where there are several panels.

    ``scalars`` are drawn where ``y`` names nothing; ``marks`` are the numbers of points to be marked.
    """
    require_matplotlib()
    names = sweep.names
    x = names[-1] if x is None else x
    wanted: list[Any] = list(y) if isinstance(y, list | tuple) else list(scalars[:MOST_PANELS]) if y is None else [y]
    if not wanted:
        raise PlotError(f"say what to draw against {_label(x)}: plot({_label(x)!r}, 'name')")
    if ax is not None and len(wanted) > 1:
        raise PlotError(f"ax= takes one quantity, and there are {len(wanted)} to draw: name one")
    panels = [ax] if ax is not None else stacked(len(wanted), pyplot=path is None)
    across = np.asarray(sweep[x])
    for axes, what in zip(panels, wanted, strict=True):
        _draw(axes, sweep, across, np.asarray(sweep[what]), marks)
        axes.set_ylabel(_with_unit(_label(what), units))
        axes.grid(True, alpha=0.3)
    panels[-1].set_xlabel(_with_unit(_label(x), units))
    if path is not None:
        write_picture(panels[0].figure, Path(path))
    return panels[0] if len(panels) == 1 else panels


def _draw(axes: Axes, sweep: Any, across: Array, up: Array, marks: Array | None) -> None:
    """One curve, or one for each row of a grid and each element of an array."""
    dimensions = len(sweep.shape)
    if across.ndim > dimensions:
        raise PlotError("what is drawn along must be one number a point: name an element, as in 'v[0]'")
    across, up = np.broadcast_to(across, sweep.shape), up.reshape(*sweep.shape, -1)
    lines = across.reshape(-1, sweep.shape[-1]), up.reshape(-1, sweep.shape[-1], up.shape[-1])
    few = len(lines[0]) * up.shape[-1] <= MOST_CURVES
    for row, (along, values) in enumerate(zip(*lines, strict=True)):
        for element in range(values.shape[-1]):
            label = _row_label(sweep, row) if dimensions > 1 else f"[{element}]" if values.shape[-1] > 1 else None
            axes.plot(along, values[:, element], marker="." if len(along) < 30 else "", linewidth=1.5, label=label)
            if marks is not None and len(marks):
                axes.plot(along[marks], values[marks, element], "o", color="black", markersize=5)
    if few and (dimensions > 1 or up.shape[-1] > 1):
        axes.legend(frameon=False)


def _row_label(sweep: Any, row: int) -> str:
    """The values of the names that stand still along a curve of a grid."""
    index = (*np.unravel_index(row, sweep.shape[:-1]), 0)
    return ", ".join(f"{name} = {float(np.ravel(sweep.values[name][index])[0]):.4g}" for name in sweep.names[:-1])


def stacked(count: int, pyplot: bool) -> list[Axes]:
    """Axes below each other: of pyplot's, to be shown, or of a figure of their own, to be written."""
    size = (7.0, 1.0 + (3.4 if count == 1 else 2.2) * count)
    if pyplot:
        import matplotlib.pyplot as plt

        figure: Any = plt.figure(figsize=size, layout="constrained")
    else:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
    found: list[Axes] = np.ravel(figure.subplots(count, 1, sharex=True, squeeze=False)).tolist()
    return found


def write_picture(figure: Any, path: Path) -> None:
    """Write a figure; raises PlotError for a suffix that is no format."""
    if path.suffix[1:].lower() not in figure.canvas.get_supported_filetypes():
        raise PlotError(f"no picture format {path.suffix!r} for {str(path)!r}: use .png, .svg or .pdf")
    figure.savefig(path)


def _label(what: Any) -> str:
    return to_text(what, 40) if isinstance(what, Expression) else str(what)


def _with_unit(label: str, units: dict[str, str]) -> str:
    unit = units.get(label.partition("[")[0])
    return f"{label}, {unit}" if unit else label
