"""LICQ: whether the gradients of the active rows and bounds are independent, and which depend on others.

Dense by QR with pivots and singular values; large and sparse by subspace iteration with the factored normal equations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..solvers import SingularMatrixError
from .active import ActiveSet
from .kkt import Point
from .problem import Array
from .working import Working

DEPENDENT = 1e-11
"""Rows of norm 1 are dependent where a combination of norm 1 of them is less than this, computed densely."""
INDEPENDENT = 1e-7
"""And independent where none is less than this; in between nobody knows."""
NULL = 1e-8
"""Combinations found iteratively are 0 below this: their squares are what the iteration sees."""
LOOKED_FOR = 8
"""So many dependencies are looked for in large problems."""
ITERATIONS = 6
INVOLVED = 1e-6
"""Entries of a combination that are larger than this part of its largest take part in it."""


@dataclass(frozen=True, eq=False)
class Dependency:
    """A combination of gradients of active rows and bounds that is 0: Σ a_i ∇c_i + Σ b_j e_j = 0.

    ``rows``, ``variables``: their numbers, with ``of_rows``, ``of_variables`` their factors, the largest 1.
    """

    rows: Array
    of_rows: Array
    variables: Array
    of_variables: Array


@dataclass(frozen=True, eq=False)
class Rank:
    """What is known of the gradients of the active rows and bounds.

    ``verdict``: "independent" (LICQ holds), "dependent" or "undecided". ``active``: how many they are, ``missing``: how
    many too many, at least; ``smallest``: the norm of the smallest combination found of norm 1, of rows of norm 1.
    """

    verdict: str
    active: int
    missing: int
    smallest: float
    dependencies: tuple[Dependency, ...] = ()
    how: str = "dense"


def rank(point: Point, active: ActiveSet) -> Rank:
    """Whether LICQ holds at a point. Bounds are independent of each other, so rows count in free variables alone."""
    working = Working(point, active)
    m, n = working.matrix.shape
    count = m + len(active.active_bounds)
    if not m:
        return Rank("independent", count, 0, 1.0)
    empty = int((np.diff(working.matrix.indptr) == 0).sum()) if n else m
    missing, smallest, null, how = _dense(working) if working.is_dense else _iterated(working)
    missing = max(missing, m - n, empty)
    certain = missing or smallest >= INDEPENDENT
    verdict = "dependent" if missing else "independent" if certain else "undecided"
    found = tuple(_dependency(point, active, working, v) for v in null)
    return Rank(verdict, count, missing, smallest, found, how)


def _dense(working: Working) -> tuple[int, float, list[Array], str]:
    """How many rows depend on the others, the smallest singular value, and a combination for each."""
    from scipy import linalg

    m, n = working.matrix.shape
    if not n:
        return m, 0.0, list(np.eye(m)[:LOOKED_FOR]), "dense"
    triangle, order = linalg.qr(working.dense.T, mode="r", pivoting=True)
    values = linalg.svdvals(triangle[: min(m, n)])
    independent = int((values > DEPENDENT).sum())
    smallest = float(values[-1]) if m <= n else 0.0
    null = []
    for k in range(independent, min(m, independent + LOOKED_FOR)):
        v = np.zeros(m)
        v[order[k]] = -1.0
        v[order[:independent]] = linalg.solve_triangular(triangle[:independent, :independent],
                                                         triangle[:independent, k])
        null.append(v)
    return m - independent, smallest, null, "dense"


def _iterated(working: Working) -> tuple[int, float, list[Array], str]:
    """The same of the rows with the smallest combinations: subspace iteration with (A Aᵀ + δ)⁻¹ on the rows."""
    from scipy import linalg

    m, n = working.matrix.shape
    how = "iterated"
    try:
        factor = working.augmented
    except SingularMatrixError:
        return max(m - n, 0), 0.0, [], how
    basis: Array = np.random.default_rng(0).standard_normal((m, min(m, LOOKED_FOR)))
    for _ in range(ITERATIONS):
        basis = linalg.qr(basis, mode="economic")[0]
        basis = factor.refined(np.vstack([np.zeros((n, basis.shape[1])), basis]))[n:]
    basis = linalg.qr(basis, mode="economic")[0]
    _, values, rotation = linalg.svd(working.matrix.T @ basis, full_matrices=False)
    found = basis @ rotation.T
    null = [found[:, k] for k in range(len(values)) if values[k] < NULL]
    return max(len(null), m - n), float(values[-1]), _sparse_combinations(null), how


def _sparse_combinations(null: list[Array]) -> list[Array]:
    """Combinations of the same span with zeros: each alone at a row of its own, by elimination with pivots."""
    if len(null) < 2:
        return null
    rows = np.array(null)
    for k in range(len(rows)):
        pivot = int(np.argmax(np.abs(rows[k])))
        rows[k] /= rows[k, pivot]
        others = np.arange(len(rows)) != k
        rows[others] -= np.outer(rows[others, pivot], rows[k])
    return list(rows)


def _dependency(point: Point, active: ActiveSet, working: Working, v: Array) -> Dependency:
    """A null vector of the scaled rows in terms of rows and bounds."""
    of_rows = v * working.row
    part = np.flatnonzero(np.abs(v) > INVOLVED * np.abs(v).max())
    jacobian: Any = point.jacobian[working.rows[part]]
    of_bounds = np.zeros(point.problem.n)
    bound = active.active_bounds
    of_bounds[bound] = -(jacobian.T @ of_rows[part])[bound]
    weights = np.abs(of_bounds) * point.scales.x
    variables = np.flatnonzero(weights > INVOLVED * np.abs(v).max())
    largest = np.abs(of_rows[part]).max()
    return Dependency(working.rows[part], of_rows[part] / largest, variables, of_bounds[variables] / largest)
