"""Draws the picture of a program with matplotlib (an extra of this package).

Nodes stand in layers from the inputs at the left to the objective at the right; numbers are black, multipliers and
gradients red; what is solved together is boxed. Takes axes, or makes a figure that fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..expression import Array
from ..solution import Plan, Point
from .layout import PADDING, Layout, arrange
from .picture import Box, Node, Picture, picture
from .plots import PlotError, require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

FORMATS = (".png", ".svg", ".pdf")
FACES = {"input": "#dbe9f6", "parameter": "#e9e9e9", "variable": "#ffffff", "objective": "#fdf1cf",
         "block": "#eef6f0"}
INK, WORTH, FAINT, LINE, CYCLE = "#1a1a1a", "#b3261e", "#6b6b6b", "#8a8f98", "#2f6f4f"
STYLES: dict[str, dict[str, Any]] = {
    "name": {"size": 9.5, "color": INK, "weight": "bold"},
    "detail": {"size": 8.0, "color": FAINT},
    "value": {"size": 8.5, "color": INK},
    "worth": {"size": 8.5, "color": WORTH},
    "title": {"size": 11.5, "color": INK, "weight": "bold"},
    "legend": {"size": 8.0, "color": FAINT},
    "box label": {"size": 7.5, "color": CYCLE, "style": "italic"},
}
LEADING = 1.32
INSIDE = 0.09
MARGIN = 0.3
DPI = 160


def plot_program(plan: Plan, at: Point | None, path: str | PathLike[str] | None = None, ax: Axes | None = None,
                 note: str = "") -> Axes:
    """Draw the program of a plan, with the numbers of ``at`` where it is given; returns the axes.

    Draws into ``ax`` (text is made smaller where it is small), else into a new figure. ``path`` writes the figure;
    its suffix chooses the format: .png, .svg or .pdf. Raises :class:`PlotError` for another suffix and a missing
    matplotlib.
    """
    require_matplotlib()
    if path is not None and Path(path).suffix.lower() not in FORMATS:
        raise PlotError(f"no picture format {Path(path).suffix!r} for {str(path)!r}: use .png, .svg or .pdf")
    shown = picture(plan, at)
    sizes = np.array([_size(node) for node in shown.nodes]).reshape(-1, 2)
    legend = note or _legend(shown)
    layout = arrange(sizes, shown.clusters, shown.layers, shown.edges)
    if ax is None:
        ax = _new_axes(layout, shown.title, legend, pyplot=path is None)
    scale = _fit(ax, layout)
    _draw(ax, shown, layout, sizes, scale)
    for text, role, y in ((shown.title, "title", layout.height + 0.38), (legend, "legend", -0.32)):
        ax.text(0, y, _literal(text), va="center", gid=role, **_style(role, scale))
    if path is not None:
        ax.figure.savefig(path, dpi=DPI)  # type: ignore[union-attr]
    return ax


def _size(node: Node) -> tuple[float, float]:
    """Width and height that the text of a node needs, in inches."""
    width = max(_text_width(text, role) for role, text in node.lines)
    height = sum(STYLES[role]["size"] * LEADING for role, _ in node.lines) / 72
    return max(width + 2 * INSIDE, 0.5), height + 1.5 * INSIDE


def _style(role: str, scale: float) -> dict[str, Any]:
    return {**STYLES[role], "size": STYLES[role]["size"] * scale}


def _text_width(text: str, role: str) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    style = STYLES[role]
    if not text:
        return 0.0
    prop = FontProperties(weight=style.get("weight", "normal"))
    return float(TextPath((0, 0), text.replace("$", r"\$"), size=style["size"], prop=prop).get_extents().width) / 72


def _new_axes(layout: Layout, title: str, legend: str, pyplot: bool) -> Axes:
    """Axes of a figure in which text has its own size; one of pyplot's, to be shown, unless it is for a file."""
    width = max(layout.width, _text_width(title, "title"), _text_width(legend, "legend")) + 2 * MARGIN
    size = (width, layout.height + 2 * MARGIN + 0.65)
    if pyplot:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=size, facecolor="white")
    else:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=size, facecolor="white")
        FigureCanvasAgg(figure)
    return figure.add_axes((0, 0, 1, 1))


def _fit(ax: Axes, layout: Layout) -> float:
    """Set the limits so that the layout and a title fit; returns inches on paper an inch of the layout."""
    box = ax.get_window_extent()
    dpi = ax.figure.dpi
    width, height = box.width / dpi, box.height / dpi
    wanted = layout.width + 2 * MARGIN, layout.height + 2 * MARGIN + 0.65
    scale = min(1.0, width / wanted[0], height / wanted[1])
    middle = (layout.height + 0.65 - 0.35) / 2
    ax.set_xlim(-MARGIN, width / scale - MARGIN)
    ax.set_ylim(middle - height / scale / 2, middle + height / scale / 2)
    ax.set_axis_off()
    return scale


def _draw(ax: Axes, shown: Picture, layout: Layout, sizes: Array, scale: float) -> None:
    for box in shown.boxes:
        _draw_box(ax, box, layout.centre, sizes, scale)
    patches = [_draw_node(ax, node, centre, size, scale)
               for node, centre, size in zip(shown.nodes, layout.centre, sizes, strict=True)]
    cluster = {node: i for i, nodes in enumerate(shown.clusters) for node in nodes}
    for (a, b), route in zip(shown.edges, layout.routes, strict=True):
        if cluster[a] == cluster[b]:
            _draw_arc(ax, layout.centre, patches, a, b, scale)
        else:
            _draw_edge(ax, layout.centre, sizes, a, b, route, scale)


def _legend(shown: Picture) -> str:
    roles = {role for node in shown.nodes for role, _ in node.lines}
    parts = ["λ: multiplier of a variable's equation", "∇: gradient of an input"] if "worth" in roles else []
    if shown.condensed:
        parts.append("condensed: least … largest of each group")
    return " · ".join(parts)


def _literal(text: str) -> str:
    """Text that matplotlib does not take for mathematics."""
    return text.replace("$", r"\$")


def _draw_node(ax: Axes, node: Node, centre: Array, size: Array, scale: float) -> Patch:
    from matplotlib.patches import FancyBboxPatch

    edge, width = (INK, 1.4) if node.is_objective else (CYCLE if node.kind == "block" else FAINT, 0.8)
    patch = FancyBboxPatch(
        (centre[0] - size[0] / 2, centre[1] - size[1] / 2), size[0], size[1], gid="node", zorder=3,
        boxstyle="round,pad=0,rounding_size=0.08", facecolor=FACES["objective" if node.is_objective else node.kind],
        edgecolor=edge, linewidth=width * scale,
    )  # fmt: skip
    ax.add_patch(patch)
    heights = [STYLES[role]["size"] * LEADING / 72 for role, _ in node.lines]
    y = centre[1] + sum(heights) / 2
    for (role, text), height in zip(node.lines, heights, strict=True):
        ax.text(centre[0], y - height / 2, _literal(text), ha="center", va="center", zorder=4, gid=role,
                **_style(role, scale))
        y -= height
    return patch


def _draw_box(ax: Axes, box: Box, centre: Array, sizes: Array, scale: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    low = (centre[box.nodes] - sizes[box.nodes] / 2).min(axis=0) - PADDING
    high = (centre[box.nodes] + sizes[box.nodes] / 2).max(axis=0) + PADDING
    ax.add_patch(FancyBboxPatch(
        (low[0], low[1]), high[0] - low[0], high[1] - low[1], gid="box", zorder=1,
        boxstyle="round,pad=0,rounding_size=0.1", facecolor=FACES["block"] if box.block else "none", edgecolor=CYCLE,
        linewidth=1.1 * scale, linestyle="-" if box.block else (0, (4, 3)),
    ))  # fmt: skip
    ax.text(low[0] + 0.04, high[1] + 0.09, box.label, va="center", zorder=4, gid="box label",
            **_style("box label", scale))


def _draw_edge(ax: Axes, centre: Array, sizes: Array, a: int, b: int, route: Array, scale: float) -> None:
    """A smooth line from the right side of one node to the left of another."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    half = sizes[:, 0] / 2
    points = [centre[a] + (half[a], 0), *route, centre[b] - (half[b] + 0.02, 0)]
    ax.add_patch(FancyArrowPatch(path=Curve(*_curve(points)), **_arrow(scale)))


def _draw_arc(ax: Axes, centre: Array, patches: Sequence[Patch], a: int, b: int, scale: float) -> None:
    """An arc between nodes of one cluster; the way back bends to the other side."""
    from matplotlib.patches import FancyArrowPatch

    ax.add_patch(FancyArrowPatch(tuple(centre[a]), tuple(centre[b]), patchA=patches[a], patchB=patches[b],
                                 connectionstyle="arc3,rad=0.22", **_arrow(scale)))


def _arrow(scale: float) -> dict[str, Any]:
    return {"arrowstyle": "-|>", "mutation_scale": 8 * scale, "linewidth": 0.9 * scale, "color": LINE, "zorder": 2,
            "shrinkA": 0, "shrinkB": 1, "gid": "edge"}  # fmt: skip


def _curve(points: Sequence[Array]) -> tuple[Any, Any]:
    """Points joined by cubic curves with horizontal tangents."""
    vertices: list[Any] = [tuple(points[0])]
    for before, after in pairwise(points):
        reach = (after[0] - before[0]) * 0.5
        vertices += [(before[0] + reach, before[1]), (after[0] - reach, after[1]), tuple(after)]
    return vertices, [1, *[4] * (len(vertices) - 1)]
