"""Second order: the inertia of Zᵀ(∇²L)Z, Z a basis of the directions along all strongly active rows and bounds.

Says "minimum", "saddle" or "undecided", and how that was found: dense to about 2000 variables; above that by the signs
of pivots and Lanczos iterations with the factored KKT matrix (J. Nocedal, S. Wright, Numerical Optimization, 16.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..solvers import SingularMatrixError
from .active import WEAK, ActiveSet
from .factoring import Symmetric
from .kkt import Point, largest_by_row
from .problem import Array
from .working import DENSE, Working

ZERO = 1e-8
"""Curvatures up to this are 0, where the Hessian is scaled to entries of 1."""
SHIFT = 1e-7
"""Pivots tell curvatures below minus this from others."""
ROWS_SHIFTS = (1e-8, 1e-11)
"""What is taken from the diagonal of the rows: pivots are better with more, and count more than there is."""
SMALLEST = 1e-5
"""Rows of the Hessian that are a smaller part of the largest are not scaled up to 1: they may be rounding."""
LANCZOS = 300
"""Lanczos iterations at most."""


@dataclass(frozen=True, eq=False)
class Inertia:
    """Curvatures along the active constraints: ``positive``, ``zero``, ``negative`` count them (None where unknown).

    ``verdict``: "minimum" (a strict local one, or, with ``linear``, one of a problem without any curvature), "saddle"
    (f falls along ``direction`` (n,), to second order), "undecided", or "unknown" without second derivatives.
    ``smallest`` is the smallest curvature, of a Hessian scaled to entries of 1. ``degrees``: how many directions there
    are. ``how``: "dense", "pivots", "lanczos" or "none". ``weak``: how many weakly active constraints there are; with
    some, "minimum" means that it is one even without them, "saddle" that f falls along them too.
    """

    verdict: str
    degrees: int | None
    positive: int | None = None
    zero: int | None = None
    negative: int | None = None
    smallest: float = np.nan
    direction: Array | None = None
    how: str = "none"
    weak: int = 0
    linear: bool = False


def inertia(point: Point, active: ActiveSet) -> Inertia:
    """The verdict of second order at a point whose KKT conditions hold.

    Weakly active constraints: positive curvature along the strongly active alone is sufficient; negative curvature
    along all, or along a direction that keeps the weakly active, says no minimum; else it is undecided.
    """
    problem = point.problem
    if not problem.second_order:
        return Inertia("unknown", None, weak=active.weak)
    structure = problem.hessian_structure
    if structure is not None and not len(structure[0]):
        return Inertia("minimum", None, smallest=0.0, weak=active.weak, linear=True)
    wide = _along(point, active.strong())
    if not active.weak or wide.verdict == "minimum":
        return replace(wide, weak=active.weak)
    if wide.verdict == "saddle" and _keeps_weak(point, active, wide):
        return replace(wide, weak=active.weak)
    narrow = _along(point, active)
    if narrow.verdict == "saddle":
        return replace(narrow, weak=active.weak)
    return replace(wide, verdict="undecided", weak=active.weak)


def _keeps_weak(point: Point, active: ActiveSet, found: Inertia) -> bool:
    """Whether the direction, or its opposite, leaves no weakly active row or bound."""
    d = found.direction
    assert d is not None
    rows, bounds = active.rows == WEAK, active.bounds == WEAK
    pushes = np.concatenate([(active.row_side * (point.jacobian @ d) / point.scales.rows)[rows],
                             (active.bound_side * d / point.scales.x)[bounds]])
    noise = ZERO * float(np.abs(d / point.scales.x).max())
    return bool((pushes <= noise).all() or (pushes >= -noise).all())


def _along(point: Point, active: ActiveSet) -> Inertia:
    """The inertia along one set of active constraints."""
    free = active.free
    if not len(free):
        return Inertia("minimum", 0, 0, 0, 0, how="dense")
    column = _equilibration(point)
    working = Working(point, active, column)
    if len(free) <= DENSE:
        return _dense(point, working)
    return _large(point, working)


def _equilibration(point: Point) -> Array:
    """Sizes of the variables for which the entries of ∇²L are at most about 1, those of rounding left small."""
    sizes = point.scales.x
    if point.hessian is None:
        return sizes
    h = abs(point.hessian)
    column = sizes.copy()
    largest = _row_largest(h, column)
    floor = SMALLEST * float(largest.max(initial=0.0))
    if floor == 0.0:
        return column
    for _ in range(4):
        largest = _row_largest(h, column)
        limit = (column / sizes) ** 2 * floor
        column = column / np.sqrt(np.where(largest > 0.0, np.maximum(largest, limit), 1.0))
    return column


def _row_largest(h: Any, column: Array) -> Array:
    return column * largest_by_row(h, column)


# dense ---------------------------------------------------------------------------------------------------------


def _dense(point: Point, working: Working) -> Inertia:
    from scipy import linalg

    basis = _null_space(working)
    degrees = basis.shape[1]
    if not degrees:
        return Inertia("minimum", 0, 0, 0, 0, how="dense")
    scaled = working.column[:, None] * basis
    full = np.zeros((point.problem.n, degrees))
    full[working.free] = scaled
    if point.hessian is not None:
        bent = np.asarray(point.hessian @ full)
    else:
        bent = np.column_stack([point.curvature(full[:, k].copy()) for k in range(degrees)])
    reduced = scaled.T @ bent[working.free]
    size = max(float(np.abs(reduced).max()), _hessian_size(point, working))
    if not np.isfinite(size):
        return Inertia("unknown", degrees)
    values, vectors = linalg.eigh((reduced + reduced.T) / 2)
    values = values / (size if size > 0.0 else 1.0)
    negative, positive = int((values < -ZERO).sum()), int((values > ZERO).sum())
    verdict = "saddle" if negative else "minimum" if positive == degrees else "undecided"
    direction = None if verdict == "minimum" else _unit(full @ vectors[:, 0])
    return Inertia(verdict, degrees, positive, degrees - positive - negative, negative, float(values[0]), direction,
                   "dense")


def _null_space(working: Working) -> Array:
    """An orthonormal basis of the directions along all rows (free, degrees), by QR with pivots."""
    from scipy import linalg

    m, n = working.matrix.shape
    if not m:
        return np.eye(n)
    q, triangle, _ = linalg.qr(working.dense.T, pivoting=True)
    diagonal = np.abs(np.diag(triangle))
    return np.asarray(q[:, int((diagonal > 1e-10 * max(1.0, diagonal.max())).sum()):])


def _hessian_size(point: Point, working: Working) -> float:
    """The largest entry of the scaled Hessian of the free variables; 0 where there are products alone."""
    if point.hessian is None:
        return 0.0
    part = _scaled_hessian(point, working)
    return float(np.abs(part.data).max(initial=0.0))


def _scaled_hessian(point: Point, working: Working) -> Any:
    from scipy import sparse

    scale = sparse.diags_array(working.column)
    return sparse.csc_array(scale @ point.hessian[working.free][:, working.free] @ scale)


def _unit(direction: Array) -> Array:
    """A direction with its largest entry 1."""
    return np.asarray(direction / direction[int(np.argmax(np.abs(direction)))])


# large ---------------------------------------------------------------------------------------------------------


class _Reduced:
    """PᵀĤP, Ĥ the scaled Hessian divided by its size, P the projection along the rows: for Lanczos."""

    def __init__(self, point: Point, working: Working) -> None:
        self.point, self.working = point, working
        self.n, self.rows = len(working.free), working.matrix.shape[0]
        self.hessian: Any = _scaled_hessian(point, working) if point.hessian is not None else None
        self.size = 1.0 if self.hessian is None else max(float(np.abs(self.hessian.data).max(initial=0.0)), 1e-300)
        if self.hessian is not None:
            self.hessian = self.hessian / self.size

    def product(self, v: Array) -> Array:
        """Ĥv."""
        if self.hessian is not None:
            return np.asarray(self.hessian @ v)
        full = np.zeros(self.point.problem.n)
        full[self.working.free] = self.working.column * v
        return np.asarray(self.working.column * self.point.curvature(full)[self.working.free])

    def quotient(self, v: Array) -> tuple[float, float, Array]:
        """For v projected: vᵀĤv / vᵀv, the norm of what is left of an eigenvector, and v of norm 1."""
        v = self.working.project(v)
        v = v / np.linalg.norm(v)
        bent = self.product(v)
        value = float(v @ bent)
        left = self.working.project(bent) - value * v
        return value, float(np.linalg.norm(left)), v

    def direction(self, v: Array) -> Array:
        """v as a direction of x."""
        full = np.zeros(self.point.problem.n)
        full[self.working.free] = self.working.column * v
        return _unit(full)


def _large(point: Point, working: Working) -> Inertia:
    """By the signs of pivots and the smallest curvature where the KKT matrix can be factored, else by Lanczos alone."""
    reduced = _Reduced(point, working)
    degrees, counted = reduced.n - reduced.rows, None
    if degrees <= 0:
        return Inertia("minimum", 0, 0, 0, 0, how="pivots")
    found: list[tuple[float, float, Array]] = []
    for shift in ROWS_SHIFTS if reduced.hessian is not None else ():
        factor = _pivots(reduced, shift)
        if factor is None:
            continue
        counted = factor.negative - reduced.rows
        found = _ritz(reduced, _inverse(reduced, factor), "SA" if counted else "LA")
        if found and not counted:
            return _counted(reduced, degrees, found[0])
        if found and found[0][0] < -ZERO:
            break
    found += _ritz(reduced, _direct(reduced), "SA")
    if not found:
        return Inertia("undecided", degrees, how="lanczos")
    value, left, v = min(found, key=lambda some: some[0])
    norm = 1.0 if reduced.hessian is not None else _norm(reduced)
    value, left = value / norm, left / norm
    if value < -ZERO:
        return Inertia("saddle", degrees, negative=counted, smallest=value, direction=reduced.direction(v),
                       how="lanczos")
    certain = counted is None and value - left > ZERO
    return Inertia("minimum" if certain else "undecided", degrees, smallest=value, how="lanczos")


def _counted(reduced: _Reduced, degrees: int, smallest: tuple[float, float, Array]) -> Inertia:
    """Without negative pivots: a minimum where the smallest curvature is not 0."""
    value, _, v = smallest
    if value > ZERO:
        return Inertia("minimum", degrees, degrees, 0, 0, value, how="pivots")
    return Inertia("undecided", degrees, negative=0, smallest=value, direction=reduced.direction(v), how="pivots")


def _pivots(reduced: _Reduced, shift: float) -> Symmetric | None:
    """[Ĥ + δI, Aᵀ; A, −εI], factored; None where pivots vanish.

    It has a negative pivot for each row and each curvature below −δ, and more where ε is not small enough.
    """
    from scipy import sparse

    a, m = reduced.working.matrix, reduced.rows
    blocks = [[reduced.hessian, a.T], [a, None]] if m else [[reduced.hessian]]
    added = np.concatenate([np.full(reduced.n, SHIFT), np.full(m, -shift)])
    try:
        return Symmetric(sparse.block_array(blocks, format="csc"), added)
    except SingularMatrixError:
        return None


def _inverse(reduced: _Reduced, factor: Symmetric) -> Callable[[Array], Array]:
    """v ↦ Z(ZᵀĤZ + δ)⁻¹Zᵀv by the factored KKT matrix: small curvatures are its large eigenvalues."""
    nothing = np.zeros(reduced.rows)
    return lambda v: factor.solve(np.concatenate([v.ravel(), nothing]))[: reduced.n]


def _direct(reduced: _Reduced) -> Callable[[Array], Array]:
    """v ↦ PĤPv + s(v − Pv), s so large that directions off the rows are not among the smallest."""
    norm = _norm(reduced)

    def apply(v: Array) -> Array:
        v = v.ravel()
        along = reduced.working.project(v)
        return reduced.working.project(reduced.product(along)) + norm * (v - along)

    return apply


def _norm(reduced: _Reduced) -> float:
    """About the norm of Ĥ, by a few power iterations."""
    v, norm = np.cos(2.4 * np.arange(reduced.n)) + 1.5, 1.0
    for _ in range(6):
        v = v / np.linalg.norm(v)
        v = reduced.product(v)
        norm = float(np.linalg.norm(v))
        if norm == 0.0:
            return 1.0
    return norm


def _ritz(reduced: _Reduced, apply: Callable[[Array], Array], which: Any) -> list[tuple[float, float, Array]]:
    """Quotients of approximate eigenvectors at one end of an operator's spectrum; none where Lanczos got nowhere."""
    from scipy.sparse import linalg

    n = reduced.n
    operator: Any = linalg.LinearOperator((n, n), matvec=apply, dtype=float)
    start = np.random.default_rng(0).standard_normal(n)
    try:
        _, vectors = linalg.eigsh(operator, k=2, which=which, v0=start, tol=1e-4, maxiter=LANCZOS // 20)
    except linalg.ArpackNoConvergence as reason:
        vectors = np.real(reason.eigenvectors)
    except SingularMatrixError:
        return []
    found = [reduced.quotient(vectors[:, k]) for k in range(vectors.shape[1])]
    return sorted((some for some in found if np.isfinite(some[0])), key=lambda some: some[0])
