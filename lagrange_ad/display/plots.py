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


def plot_history(history: Any, path: str | Path, title: str = "history", *, smooth: int | None = None) -> Path:
    """Draw objective, gradient norm and rate against the step, and write the picture to ``path``.

    ``history`` is a list of records (mappings or objects) with ``step``, ``objective`` and ``gradient_norm``,
    or a result that has one (then the objective has its unit beside its name); the rate is drawn where records have
    one. A quantity that is nowhere negative and spans more than a factor of ten gets a logarithmic axis. Of a run with
    batches, a running mean is drawn over the noise: ``smooth`` says over how many steps (1: none; None: a fiftieth of
    them with batches, else none). The suffix of ``path`` chooses the format: .png, .svg or .pdf.
    Raises :class:`PlotError` for an empty history, an unknown format and a missing matplotlib.
    """
    records = list(getattr(history, "history", history))
    if not records:
        raise PlotError("the history is empty: there is no step to draw")
    if smooth is None:
        smooth = max(1, len(records) // 50) if getattr(history, "batched", False) else 1
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = [name for name in _HEIGHTS if name != "rate" or all(_has(record, name) for record in records)]
    heights = [_HEIGHTS[name] for name in drawn]
    figure = Figure(figsize=(8.0, 1.2 * sum(heights)), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    path = Path(path)
    formats = canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in formats:
        raise PlotError(f"no picture format {path.suffix!r} for {str(path)!r}: use .png, .svg or .pdf")
    panels = figure.subplots(len(drawn), 1, sharex=True, height_ratios=heights)
    steps = _column(records, "step")
    for axes, name in zip(panels, drawn, strict=True):
        first = int(name == "rate" and len(records) > 1)  # record 0 took no step
        _curve(axes, steps[first:], _column(records[first:], name), name.replace("_", " "), smooth)
    panels[0].set_title(title if len(title) <= _LONGEST_TITLE else title[: _LONGEST_TITLE - 1] + "…")
    panels[-1].set_xlabel("step")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    unit = getattr(getattr(history, "at", None), "objective_unit", "")
    if unit:
        panels[0].set_ylabel(f"objective, {unit}")
    figure.savefig(path)
    return path


_HEIGHTS = {"objective": 2.5, "gradient_norm": 2.5, "rate": 1.2}
_LONGEST_TITLE = 80


def _has(record: Any, name: str) -> bool:
    return name in record if isinstance(record, Mapping) else hasattr(record, name)


def _column(records: Iterable[Any], name: str) -> list[float]:
    values = (record[name] if isinstance(record, Mapping) else getattr(record, name) for record in records)
    return [math.nan if value is None else float(value) for value in values]


def _curve(axes: Axes, steps: list[float], values: list[float], label: str, smooth: int) -> None:
    noisy = smooth > 1 and len(values) > smooth and label != "rate"
    axes.plot(steps, values, marker="." if len(steps) < 50 else "", alpha=0.35 if noisy else 1.0,
              linewidth=0.8 if noisy else 1.5)
    if noisy:
        middles, means = _running_mean(steps, values, smooth)
        axes.plot(middles, means, linewidth=1.8, label=f"mean of {smooth} steps")
        axes.legend(loc="upper right", frameon=False)
    axes.set_ylabel(label)
    axes.grid(True, alpha=0.3)
    known = [value for value in values if math.isfinite(value)]
    positive = [value for value in known if value > 0]
    if positive and min(known) >= 0 and max(known) > 10 * min(positive):
        axes.set_yscale("log")  # a final 0 is drawn as a line that leaves the axes below


def _running_mean(steps: list[float], values: list[float], width: int) -> tuple[list[float], list[float]]:
    """The mean of every ``width`` values in a row, at the middle one of their steps."""
    import numpy as np

    kernel = np.full(width, 1.0 / width)
    means = np.convolve(values, kernel, mode="valid").tolist()
    return steps[width // 2 : width // 2 + len(means)], means
