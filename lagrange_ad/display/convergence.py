"""The picture of an optimization: its objective, and how far it is from an optimum, by iteration.

Takes a history of records with ``iteration``, ``objective``, ``infeasibility`` and ``stationarity``.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..expression import Array
from .curves import stacked, write_picture
from .plots import PlotError, require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESIDUALS = ("infeasibility", "stationarity")
FEW = 50
"""So many iterations have a mark each."""


def plot_convergence(result: Any, path: str | PathLike[str] | None, ax: Any) -> Any:
    """Draw the history of a result; returns the axes that were drawn in, one or a list of two.

    ``result`` has ``history``, ``method``, ``view`` and ``point.objective_unit``. Raises PlotError for an empty history
    and where ``ax`` is neither one nor two axes.
    """
    require_matplotlib()
    from matplotlib.ticker import MaxNLocator

    if not result.history:
        raise PlotError("the history is empty: there is no iteration to draw")
    given = [] if ax is None else list(np.ravel(ax))
    if len(given) > 2:
        raise PlotError(f"ax= takes axes for infeasibility and stationarity, or two, got {len(given)}")
    drawn = given or stacked(2, pyplot=path is None)
    iterations = _column(result.history, "iteration")
    if len(drawn) == 2:
        _objective(drawn[0], result, iterations)
    if ax is None:
        drawn[0].set_title(f"{result.view.lowered.name}, {result.method} in {result.view.space.name} space")
    _residuals(drawn[-1], result.history, iterations)
    drawn[-1].set_xlabel("iteration")
    drawn[-1].xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    if path is not None:
        write_picture(drawn[0].figure, Path(path))
    return drawn[0] if len(drawn) == 1 else drawn


def _column(history: Sequence[Any], name: str) -> Array:
    return np.array([getattr(record, name) for record in history], dtype=float)


def _objective(axes: Axes, result: Any, iterations: Array) -> None:
    values = _column(result.history, "objective")
    values[~np.isfinite(values)] = np.nan
    axes.plot(iterations, values, marker=_marker(iterations), linewidth=1.5)
    known = values[np.isfinite(values)]
    if len(known) and known.min() > 0 and known.max() > 10 * known.min():
        axes.set_yscale("log")
    unit = result.point.objective_unit
    axes.set_ylabel(f"objective, {unit}" if unit else "objective")
    axes.grid(True, alpha=0.3)


def _residuals(axes: Axes, history: Sequence[Any], iterations: Array) -> None:
    """What must become 0, on a logarithmic axis; exact zeros are marks at its foot."""
    columns = {name: _column(history, name) for name in RESIDUALS}
    known = {name: values for name, values in columns.items() if (values > 0).any()}
    zeros = [values == 0 for values in known.values()]
    for name, values in known.items():
        positive = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        axes.plot(iterations, positive, marker=_marker(iterations), linewidth=1.5, label=name)
    axes.set_ylabel("not yet optimal by")
    axes.grid(True, alpha=0.3)
    if not known:
        axes.text(0.5, 0.5, "infeasibility 0, stationarity not told by the method", ha="center", va="center",
                  transform=axes.transAxes)
        return
    axes.set_yscale("log")
    foot = min(float(np.nanmin(np.where(values > 0, values, np.nan))) for values in known.values()) / 3.0
    for curve, zero in zip(axes.lines, zeros, strict=False):
        if zero.any():
            axes.plot(iterations[zero], np.full(int(zero.sum()), foot), "v", markersize=5, color=curve.get_color(),
                      label=f"{curve.get_label()} 0")
    axes.legend(frameon=False)


def _marker(iterations: Array) -> str:
    return "." if len(iterations) < FEW else ""
