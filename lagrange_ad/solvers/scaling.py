"""Sizes of unknowns and equations, so that lengths of steps and residuals mean something whatever the units.

    r̃ = E⁻¹ r,  x̃ = U⁻¹ x,  J̃ = E⁻¹ J U        U, E diagonal, powers of two

The size of an unknown is its value's, no less than a part of the size at which it begins to matter to an equation
(which is all there is where the value is 0); the size of an equation is its largest term's, its residual being one of
them. So other units of an unknown or an equation change nothing. What the user gave stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .problem import Array, Model, Problem, size_of_unknowns

PART = 0.1
"""The part of the size at which an unknown matters that its own size is not below."""
MOST = 100.0
"""An unknown's size is at most so many times its value: a column of tiny slopes is no licence to leap."""


@dataclass(frozen=True, eq=False)
class Scales:
    """``unknown`` (n,): diagonal of U; ``equation`` (n,): diagonal of E; both positive and finite."""

    unknown: Array
    equation: Array

    def residual(self, r: Array) -> Array:
        """E⁻¹ r."""
        return r / self.equation

    def step(self, d: Array) -> Array:
        """U⁻¹ d."""
        return d / self.unknown

    def norm(self, r: Array) -> float:
        """‖E⁻¹ r‖₂; infinite where a residual is not finite."""
        size = float(np.linalg.norm(r / self.equation))
        return size if np.isfinite(size) else np.inf


def scales_of(problem: Problem, model: Model, x: Array, r: Array) -> Scales:
    """The sizes at x, with its residuals and its linear model; the user's where there are any."""
    if model.is_operator:  # it has no entries: the values are all that is known of the unknowns
        terms = np.maximum(model.terms, np.abs(r))
        return Scales(or_given(problem.unknown_scale, _power_of_two(size_of_unknowns(x))),
                      or_given(problem.equation_scale, _power_of_two(np.where(terms > 0.0, terms, 1.0))))
    i, j, slope = _entries(model)
    value = np.where(np.isfinite(problem.unknown_scale), problem.unknown_scale, np.abs(x))
    terms = np.maximum(_largest(i, slope * value[j], model.n), np.abs(r))
    matters = 1.0 / _largest(j, slope / np.where(terms > 0.0, terms, 1.0)[i], model.n)
    matters = np.where(np.isfinite(matters), matters, 1.0)
    unknown = np.where(value > 0.0, np.clip(PART * matters, value, MOST * value), PART * matters)
    unknown = or_given(problem.unknown_scale, _power_of_two(unknown))
    terms = np.maximum(_largest(i, slope * unknown[j], model.n), np.abs(r))
    equation = _power_of_two(np.where(terms > 0.0, terms, 1.0))
    return Scales(unknown, or_given(problem.equation_scale, equation))


def or_given(given: Array, otherwise: Array | float) -> Array:
    """The user's sizes where there are any."""
    return np.where(np.isfinite(given), given, otherwise)


def _entries(model: Model) -> tuple[Array, Array, Array]:
    """Rows, columns and sizes of ∂r/∂x, finite and not 0; of sparse matrices without what goes through hidden rows."""
    matrix: Any = model.matrix
    if isinstance(matrix, np.ndarray):
        matrix = model.reduced
        i, j = np.nonzero(matrix)
        size = np.abs(matrix[i, j])
    else:
        entries = matrix[: model.n, : model.n].tocoo() if matrix.shape[0] > model.n else matrix.tocoo()
        i, j, size = entries.row, entries.col, np.abs(entries.data)
    kept = np.isfinite(size) & (size > 0.0)
    return i[kept], j[kept], size[kept]


def _largest(which: Array, size: Array, n: int) -> Array:
    """The largest size of each row or column, 0 where there is none."""
    found = np.zeros(n)
    np.maximum.at(found, which, size)
    return found


def _power_of_two(size: Array) -> Array:
    return np.asarray(np.exp2(np.rint(np.log2(np.clip(size, 1e-300, 1e300)))))
