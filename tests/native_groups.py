"""Random groups for tests of executors: kernels of a pool, boxes around the width of vectors, index maps of every kind.

A :class:`Layout` says how each map of a group moves along the axes of its box; sizes, offsets and tables are drawn
anew for every group. Compiled loops depend on the layout alone, so drawing layouts from a pool keeps compiling
affordable.
"""

from dataclasses import dataclass

import numpy as np
from table_rows import applied

from lagrange_ad.elementary import TABLE
from lagrange_ad.lowering import Group, IndexMap
from lagrange_ad.lowering.kernel import Builder

SIZES = (1, 7, 8, 9, 15, 16, 17)


def kernel(function, n_args, n_coefs=0):
    """The kernel of a function of symbols."""
    builder = Builder()
    args = [builder.symbol(builder.raw(("arg", j))) for j in range(n_args)]
    coefs = [builder.symbol(builder.raw(("coef", j))) for j in range(n_coefs)]
    return builder.finish([function(*args, *coefs).position])


KERNELS = {
    "copy": kernel(lambda x: x, 1),
    "number": kernel(lambda c: np.exp(c), 0, 1),
    "difference": kernel(lambda x, u: x - u, 2),
    "product": kernel(lambda x, u: x * u, 2),
    "scaled": kernel(lambda x, c: c * x, 1, 1),
    "waves": kernel(lambda x, u, c: np.sin(x) * np.exp(-u) + c * x, 2, 1),
    "branches": kernel(lambda x, u, c: np.where(np.greater(x, u), np.sqrt(x), u * u * c), 2, 1),
    "powers": kernel(lambda x, u, c: np.log(x) * np.power(u, c) + np.power(x, 2.5), 2, 1),
    "three": kernel(lambda x, u, v: x * u * v + np.tanh(x - v) / u, 3),
    "selections": kernel(lambda x, u: np.minimum(x, u) * np.maximum(x, 0.9) + np.abs(x - u) + np.sign(u), 2),
    "rational": kernel(lambda x, u, a, b: (a + x) / (b * u * u + 1.0) + np.hypot(x, u), 2, 2),
}  # fmt: skip
"""Kernels of the pool; their arguments are drawn in (0.5, 1.5), coefficients in (0.5, 2)."""

PER_KERNEL = 10
for _first in range(0, len(TABLE), PER_KERNEL):  # the whole table, several rows a kernel: compiling takes time
    _names = [*TABLE][_first : _first + PER_KERNEL]
    KERNELS[f"rows from {_names[0]}"] = kernel(
        lambda x, u, names=_names: sum([applied(name, x, u) for name in names[1:]], applied(names[0], x, u)), 2
    )

STEPS = ("flat", "broadcast", "one", "back", "two", "minus three", "windows", "table")
ROWS = ("flat", "reversed", "sum of last", "sum of first", "sum of all", "windows", "table", "two")


@dataclass(frozen=True)
class Layout:
    """How a group moves: the number of axes, a word for every argument, coefficient, and the row."""

    axes: int
    args: tuple
    coefs: tuple
    row: str


def layout(rng, name, axes=None):
    """A random layout for a kernel of the pool."""
    k = KERNELS[name]
    return Layout(int(rng.integers(0, 4)) if axes is None else axes, tuple(rng.choice(STEPS, k.n_args).tolist()),
                  tuple(rng.choice(["full", "one", "last axis"], k.n_coefs).tolist()), str(rng.choice(ROWS)))


def shape(rng, axes, size=None):
    """A box with an axis of a size around the width of vectors, the others short."""
    if axes == 0:
        return ()
    short = [int(n) for n in rng.integers(1, 4, axes - 1)]
    short.insert(int(rng.integers(0, axes)), int(rng.choice(SIZES)) if size is None else size)
    return tuple(short)


def affine(rng, box, strides, room=3):
    """Positions from 0 on that move by ``strides``."""
    low = sum(min(0, s * (n - 1)) for n, s in zip(box, strides, strict=True))
    positions = np.full(box, int(rng.integers(0, room + 1)) - low)
    for axis, (n, step) in enumerate(zip(box, strides, strict=True)):
        positions = positions + (step * np.arange(n)).reshape((-1,) + (1,) * (len(box) - axis - 1))
    return positions


def contiguous(box):
    return [int(np.prod(box[i + 1 :])) for i in range(len(box))]


def moves(rng, word, box):
    """Positions of a box by a word of STEPS or ROWS."""
    n, size = len(box), int(np.prod(box))
    match word:
        case "flat":
            return affine(rng, box, contiguous(box))
        case "reversed":
            return affine(rng, box, [-s for s in contiguous(box)])
        case "broadcast" | "sum of last":
            return affine(rng, box, [0 if i == n - 1 else s for i, s in enumerate(contiguous(box))])
        case "sum of first":
            return affine(rng, box, [0 if i == 0 else s for i, s in enumerate(contiguous(box))])
        case "sum of all":
            return affine(rng, box, [0] * n)
        case "one":
            return affine(rng, box, [0] * (n - 1) + [1] if n else [])
        case "back":
            return affine(rng, box, [2 * box[-1]] * (n - 1) + [-1] if n else [])
        case "two":
            return affine(rng, box, [2 * s for s in contiguous(box)])
        case "minus three":
            return affine(rng, box, [-3 * s for s in contiguous(box)[::-1]])
        case "windows":
            return affine(rng, box, [1] * n)
    return rng.integers(0, max(2, size // 2 + 1), box)


def group(rng, name, made, box=None):
    """A group of a kernel and a layout, its sizes, offsets, tables and coefficients drawn."""
    box = shape(rng, made.axes) if box is None else box
    args = tuple(IndexMap.of(moves(rng, word, box)) for word in made.args)
    coefs = tuple(_coefficients(rng, word, box) for word in made.coefs)
    return Group(KERNELS[name], box, args, coefs, IndexMap.of(moves(rng, made.row, box)))


def sibling(rng, name, made, other):
    """A group over the box of another one, with as many of its arguments as the kernel takes, often its rows too."""
    own = group(rng, name, made, other.shape)
    args = (*other.args[: len(own.args)], *own.args[len(other.args) :])
    return Group(own.kernel, own.shape, args, own.coefs, other.row if rng.random() < 0.5 else own.row)


def _coefficients(rng, word, box):
    if word == "full" or not box:
        return rng.uniform(0.5, 2.0, box)
    return np.broadcast_to(rng.uniform(0.5, 2.0, box[-1] if word == "last axis" else ()), box)


def extent(groups):
    """(rows, state elements) that groups need."""
    rows = max(g.row.range()[1] for g in groups) + 1
    return rows, 1 + max((m.range()[1] for g in groups for m in g.args), default=0)
