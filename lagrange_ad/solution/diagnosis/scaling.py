"""Bad scaling of a block: equations, and unknowns, whose sizes are too far apart for the digits of a float.

In the values' sizes: the term of unknown j in equation i is |∂r_i/∂z_j|·|z_j|. An equation is as large as its largest
term; an unknown matters by the largest part that its term has of an equation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...expression import Array
from ...lowering import Lowered
from ...text import number
from ..block import model_at
from ..steps import BlockStep
from .finding import MOST_NAMES, Finding
from .names import elements

RANGE = 1e8
"""Sizes further apart than this are reported."""
MOST = 3
"""So many of the smallest are named."""


def scaling_findings(lowered: Lowered, step: BlockStep, z: Array, severity: str = "note") -> list[Finding]:
    """Equations of very different sizes, unknowns that hardly matter; none for most blocks."""
    rows, columns = sizes(step, z)
    if lowered.equation_scale is not None:  # what the user has stated is stated
        rows = np.where(np.isnan(lowered.equation_scale[step.rows]), rows, np.nan)
    if lowered.unknown_scale is not None:
        columns = np.where(np.isnan(lowered.unknown_scale[step.columns]), columns, np.nan)
    return [*_equations(lowered, step, rows, severity), *_unknowns(lowered, step, columns, z, severity)]


def sizes(step: BlockStep, z: Array) -> tuple[Array, Array]:
    """The largest term of each equation, and the largest part of an equation that each unknown has; NaN for 0."""
    from scipy import sparse

    model = model_at(step, z)
    with np.errstate(all="ignore"):
        terms: Any = sparse.coo_array(abs(model.matrix))
        i, j = terms.row, terms.col
        data = np.where(np.isfinite(terms.data), terms.data, 0.0) * np.abs(model.values)[j]
        of_row, of_column = np.zeros(terms.shape[0]), np.zeros(terms.shape[1])
        np.maximum.at(of_row, i, data)
        np.maximum.at(of_column, j, np.where(of_row[i] > 0.0, data / of_row[i], 0.0))
    of_row, of_column = of_row[: model.n], of_column[: model.n]
    return np.where(of_row > 0.0, of_row, np.nan), np.where(of_column > 0.0, of_column, np.nan)


def _equations(lowered: Lowered, step: BlockStep, size: Array, severity: str) -> list[Finding]:
    if np.isnan(size).all() or not np.nanmax(size) > RANGE * np.nanmin(size):
        return []
    order = np.argsort(size, kind="stable")  # NaN at the end
    largest = int(np.nanargmax(size))
    small = [int(i) for i in order[:MOST] if size[i] * RANGE < size[largest]]
    named = [lowered.row_name(int(step.rows[i])) for i in [*small, largest]]
    suggested = {name: 10.0 ** np.rint(np.log10(size[i])) for name, i in zip(named, [*small, largest], strict=True)}
    shown = ", ".join(f"{name!r} (about {size[i]:.1e})" for name, i in zip(named, small, strict=False))
    scales = ", ".join(f"scale={value:g} for {name!r}" for name, value in suggested.items())
    return [Finding(
        "scaling", severity,
        f"equations of the block {{{elements(lowered.state, step.columns)}}} are more than {RANGE:.0e} apart in size: "
        f"{shown} beside {named[-1]!r} (about {size[largest]:.1e})", named[:MOST_NAMES], (),
        {"range": float(size[largest] / np.nanmin(size)), "limit": RANGE, "sizes": suggested},
        f"write them in like units, or state their sizes: {scales}",
    )]


def _unknowns(lowered: Lowered, step: BlockStep, part: Array, z: Array, severity: str) -> list[Finding]:
    small = np.flatnonzero(part * RANGE < 1.0)
    if not len(small):
        return []
    small = small[np.argsort(part[small], kind="stable")]
    columns = step.columns[small]
    names = [lowered.state.element(column) for column in columns[:MOST_NAMES].tolist()]
    shown = ", ".join(f"{name} = {number(z[column])} (its terms are {part[i]:.1e} of their equations at most)"
                      for name, column, i in zip(names[:MOST], columns.tolist(), small.tolist(), strict=False))
    more = f", … ({len(small)} in all)" if len(small) > MOST else ""
    return [Finding(
        "scaling", severity,
        f"unknowns of the block {{{elements(lowered.state, step.columns)}}} hardly matter in its equations (less than "
        f"{1 / RANGE:.0e} of their size), so that few of their digits are known: {shown}{more}", (), names,
        {"parts": part[small[:MOST_NAMES]], "limit": 1.0 / RANGE, "unknowns": len(small)},
        "solve for their logarithms (x = np.exp(u)), rewrite the equation that is to determine them without the large "
        "terms, or state their sizes with scale=",
    )]
