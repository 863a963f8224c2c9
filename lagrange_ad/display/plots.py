"""Pictures of histories, drawn with matplotlib (an extra of this package) and written to a file.

Takes plain records, one a step, and a path; opens no window and leaves matplotlib's global state alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LagrangeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class PlotError(LagrangeError):
    """A picture that cannot be drawn or written."""


def require_matplotlib() -> None:
    """Raise :class:`PlotError`, with what to install, where matplotlib is missing."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise PlotError("plots need matplotlib, which is not installed: pip install lagrange-ad[plot]")


def plot_history(history: Any, path: str | Path, title: str = "history") -> Path:
    """Draw objective and gradient norm against the step, and write the picture to ``path``.

    ``history`` is a list of records (mappings or objects) with ``step``, ``objective`` and ``gradient_norm``,
    or a result that has one (then the objective has its unit beside its name). A quantity that is nowhere negative and
    spans more than a factor of ten gets a logarithmic axis. The suffix of ``path`` chooses the format: .png, .svg or
    .pdf.
    Raises :class:`PlotError` for an empty history, an unknown format and a missing matplotlib.
    """
    records = list(getattr(history, "history", history))
    if not records:
        raise PlotError("the history is empty: there is no step to draw")
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 6.0), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    path = Path(path)
    formats = canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in formats:
        raise PlotError(f"no picture format {path.suffix!r} for {str(path)!r}: use .png, .svg or .pdf")
    upper, lower = figure.subplots(2, 1, sharex=True)
    steps = _column(records, "step")
    _curve(upper, steps, _column(records, "objective"), "objective")
    _curve(lower, steps, _column(records, "gradient_norm"), "gradient norm")
    upper.set_title(title)
    lower.set_xlabel("step")
    unit = getattr(getattr(history, "at", None), "objective_unit", "")
    if unit:
        figure.axes[0].set_ylabel(f"objective, {unit}")
    figure.savefig(path)
    return path


def _column(records: Iterable[Any], name: str) -> list[float]:
    values = (record[name] if isinstance(record, Mapping) else getattr(record, name) for record in records)
    return [math.nan if value is None else float(value) for value in values]


def _curve(axes: Axes, steps: list[float], values: list[float], label: str) -> None:
    axes.plot(steps, values, marker="." if len(steps) < 50 else "")
    axes.set_ylabel(label)
    axes.grid(True, alpha=0.3)
    known = [value for value in values if math.isfinite(value)]
    positive = [value for value in known if value > 0]
    if positive and min(known) >= 0 and max(known) > 10 * min(positive):
        axes.set_yscale("log")  # a final 0 is drawn as a line that leaves the axes below
