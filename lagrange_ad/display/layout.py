"""Where the nodes of a layered drawing stand, and how its edges run: numbers only, the same for the same graph.

The layered method of Sugiyama, Tagawa and Toda (1981): long edges get a place in every layer they pass, the order in
a layer is that of the neighbours' barycentres, heights follow the neighbours' means. Lengths are in inches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from ..expression import Array

SWEEPS = 12
RING = 10
GAP_X, GAP_Y = 0.62, 0.18
PADDING = 0.14
"""Between the nodes of a cluster and its box."""
LANE = 0.1
"""The height of an edge that passes a layer."""


@dataclass
class Item:
    """What has a place in a layer: a cluster of nodes, or a long edge that passes (no nodes)."""

    layer: int
    height: float
    width: float = 0.0
    nodes: list[int] = field(default_factory=list)
    offsets: Array = field(default_factory=lambda: np.zeros((0, 2)))
    y: float = 0.0


@dataclass(frozen=True, eq=False)
class Layout:
    """``centre`` (n, 2); ``routes``: for every edge the points it passes between its ends; the whole size."""

    centre: Array
    routes: list[Array]
    width: float
    height: float


def arrange(sizes: Array, clusters: Sequence[Sequence[int]], layer: Sequence[int],
            edges: Sequence[tuple[int, int]]) -> Layout:
    """Place nodes of given ``sizes`` (n, 2). Nodes of a cluster stand together, in the ``layer`` of their cluster."""
    items = [_cluster(sizes, list(nodes), layer[i]) for i, nodes in enumerate(clusters)]
    item_of = {node: i for i, item in enumerate(items) for node in item.nodes}
    chains = [_chain(items, item_of[a], item_of[b]) for a, b in edges]
    links = sorted({pair for chain in chains for pair in pairwise(chain)})
    layers = _ordered(items, links)
    _heights(items, layers, links)
    x, widths = _columns(items, len(layers))
    centre = np.zeros((len(sizes), 2))
    for item in items:
        for node, offset in zip(item.nodes, item.offsets, strict=True):
            centre[node] = x[item.layer] + offset[0], item.y + offset[1]
    routes = [_route([items[i] for i in chain[1:-1]], x, widths) for chain in chains]
    height = max((item.y + item.height / 2 for item in items), default=0.0)
    return Layout(centre, routes, float(x[-1] + widths[-1] / 2) if len(x) else 0.0, height)


def _route(passed: Sequence[Item], x: Array, widths: Array) -> Array:
    """Where an edge enters and leaves the layers between its ends: straight across, so that it meets no node."""
    points = [(x[item.layer] + side * widths[item.layer] / 2, item.y) for item in passed for side in (-1, 1)]
    return np.array(points).reshape(-1, 2)


def _cluster(sizes: Array, nodes: list[int], layer: int) -> Item:
    """One node, two above each other, more on an ellipse (no line between two passes a third) or, many, in a grid."""
    count = len(nodes)
    cell = sizes[nodes].max(axis=0) + np.array([GAP_X * 0.7, GAP_Y])
    places = np.array([[0.0, 0.5], [0.0, -0.5]]) if count == 2 else _ellipse(count) if count <= RING else _grid(count)
    offsets = places * cell if count > 1 else np.zeros((1, 2))
    offsets -= (offsets.max(axis=0) + offsets.min(axis=0)) / 2
    extra = np.array([2 * PADDING, 4 * PADDING]) if count > 1 else np.zeros(2)
    width, height = np.ptp(offsets, axis=0) + sizes[nodes].max(axis=0) + extra
    return Item(layer, height, width, nodes, offsets)


def _ellipse(count: int) -> Array:
    """Places in units of a cell, no two of them in the same one, clockwise from the upper left."""
    angle = np.pi * 0.75 - 2 * np.pi * np.arange(count) / count
    return np.asarray(np.stack([np.cos(angle), np.sin(angle)], axis=1) / (np.sqrt(2.0) * np.sin(np.pi / count)))


def _grid(count: int) -> Array:
    columns = int(np.ceil(np.sqrt(count / 2)))
    at = np.arange(count)
    return np.stack([at % columns, -(at // columns)], axis=1).astype(np.float64)


def _chain(items: list[Item], first: int, last: int) -> list[int]:
    """The items an edge runs through: a new one in every layer between its ends."""
    between = range(items[first].layer + 1, items[last].layer)
    chain = [first, *range(len(items), len(items) + len(between)), last]
    items.extend(Item(layer, LANE) for layer in between)
    return chain


def _ordered(items: list[Item], links: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The items of every layer from bottom to top, by barycentre sweeps; the order with the fewest crossings."""
    layers: list[list[int]] = [[] for _ in range(max((item.layer for item in items), default=-1) + 1)]
    for i, item in enumerate(items):
        layers[item.layer].append(i)
    before, after = _neighbours(items, links)
    best, least = [list(layer) for layer in layers], crossings(layers, links, items)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        side = before if forward else after
        for layer in layers if forward else layers[::-1]:
            place = {i: at for each in layers for at, i in enumerate(each)}
            layer.sort(key=lambda i: _mean([place[j] for j in side[i]], place[i]))
        count = crossings(layers, links, items)
        if count < least:
            best, least = [list(layer) for layer in layers], count
    return best


def _neighbours(items: list[Item], links: Sequence[tuple[int, int]]) -> tuple[list[list[int]], list[list[int]]]:
    before: list[list[int]] = [[] for _ in items]
    after: list[list[int]] = [[] for _ in items]
    for a, b in links:
        before[b].append(a)
        after[a].append(b)
    return before, after


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def crossings(layers: Sequence[Sequence[int]], links: Sequence[tuple[int, int]], items: Sequence[Item]) -> int:
    """How many pairs of links between the same two layers cross."""
    place = {i: at for layer in layers for at, i in enumerate(layer)}
    total = 0
    by_layer: dict[int, list[tuple[int, int]]] = {}
    for a, b in links:
        by_layer.setdefault(items[a].layer, []).append((place[a], place[b]))
    for pairs in by_layer.values():
        ends = np.array(sorted(pairs))
        total += int(np.triu((ends[:, None, 1] > ends[None, :, 1]) & (ends[:, None, 0] < ends[None, :, 0])).sum())
    return total


def _heights(items: list[Item], layers: Sequence[Sequence[int]], links: Sequence[tuple[int, int]]) -> None:
    """Set every item's y: near the mean of its neighbours', in order, without overlap; from 0 upwards."""
    before, after = _neighbours(items, links)
    for layer in layers:
        _place(items, layer, [0.0] * len(layer))
    for sweep in range(SWEEPS):
        side = (before, after, [a + b for a, b in zip(before, after, strict=True)])[sweep % 3]
        for layer in layers if sweep % 3 != 1 else layers[::-1]:
            _place(items, layer, [_mean([items[j].y for j in side[i]], items[i].y) for i in layer])
    low = min((item.y - item.height / 2 for item in items), default=0.0)
    for item in items:
        item.y -= low


def _place(items: list[Item], layer: Sequence[int], wanted: Sequence[float]) -> None:
    """The heights nearest to the wanted ones (least squares) that keep order and distances: pooled neighbours."""
    if not layer:
        return
    heights = np.array([items[i].height for i in layer])
    steps = (heights[1:] + heights[:-1]) / 2 + GAP_Y * np.where((heights[1:] > LANE) | (heights[:-1] > LANE), 1, 0.3)
    offset = np.concatenate([[0.0], np.cumsum(steps)])
    pools: list[list[float]] = []
    for value in np.asarray(wanted) - offset:
        pools.append([float(value), 1.0])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, weight = pools.pop()
            pools[-1] = [(pools[-1][0] * pools[-1][1] + mean * weight) / (pools[-1][1] + weight),
                         pools[-1][1] + weight]
    placed = np.repeat([pool[0] for pool in pools], [int(pool[1]) for pool in pools]) + offset
    for i, y in zip(layer, placed.tolist(), strict=True):
        items[i].y = y


def _columns(items: Sequence[Item], count: int) -> tuple[Array, Array]:
    """The middle and the width of every layer, from 0 at the left edge."""
    widths = np.zeros(count)
    for item in items:
        widths[item.layer] = max(widths[item.layer], item.width)
    right = np.cumsum(widths + GAP_X) - GAP_X
    return right - widths / 2, widths
