"""Newton's method for one block: exact Jacobian, line search by natural monotonicity.

A step is accepted when the next simplified Newton correction, from the same factors, is shorter than this one
(P. Deuflhard, Newton Methods for Nonlinear Problems, 2004, NLEQ-ERR), which does not depend on how equations are
scaled; or when the residual itself becomes smaller. Auxiliaries are re-propagated after every step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..expression import Array
from ..lowering import Lowered
from .linear import Factor, SingularMatrixError
from .plan import BlockStep, WideStep

MAX_ITERATIONS = 200
CORRECTION = 1e-9
"""A full step whose relative size is below this ends the iteration: the error left is its square."""
HALVINGS = 80
NUDGES = 4
"""How often a solve moves off a point with a singular Jacobian before it gives up."""
SMALL = 1e-6
"""A negligible correction is believed where the residual has shrunk to this part, or is this part of its terms."""
UNITS = 8.0
"""Residuals of this many rounding units of their own terms are zero."""


@dataclass(eq=False, repr=False)
class BlockReport:
    """How the solve of one block went.

    ``equations`` and ``unknowns`` are element names, ``residual`` the largest |r|, ``residuals`` one an equation;
    ``message`` says why it stopped. ``guessed`` names unknowns that had no start and no equation to give one;
    ``nudges`` counts how often the solve moved off a point where the Jacobian was singular.
    """

    step: BlockStep
    lowered: Lowered
    iterations: int = 0
    converged: bool = False
    message: str = ""
    nudges: int = 0
    history: list[float] = field(default_factory=list)
    guessed_columns: Array = field(default_factory=lambda: np.empty(0, np.int64))
    residuals: Array = field(default_factory=lambda: np.empty(0))
    factor: Factor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "factor": None}  # factors do not pickle; they are made again when needed

    @property
    def equations(self) -> list[str]:
        """The names of the equations' elements."""
        return [self.lowered.row_name(row) for row in self.step.rows.tolist()]

    @property
    def unknowns(self) -> list[str]:
        """The names of the unknown elements, in the order of the equations they are matched to."""
        return [self.lowered.state.element(column) for column in self.step.columns.tolist()]

    @property
    def guessed(self) -> list[str]:
        """The unknowns whose solve began at 0 or the nearest bound."""
        return [self.lowered.state.element(column) for column in self.guessed_columns.tolist()]

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return len(self.step.columns)

    @property
    def residual(self) -> float:
        """The largest |r|."""
        return float(np.abs(self.residuals).max(initial=0.0))

    def __repr__(self) -> str:
        return f"<{self}>"

    @property
    def kind(self) -> str:
        """``cycle``, or ``implicit`` for one equation that determines one unknown by itself."""
        return "cycle" if self.size > 1 else "implicit"

    def __str__(self) -> str:
        state = "converged" if self.converged else "NOT converged"
        iterations = f"{self.iterations} iteration{'s' * (self.iterations != 1)}"
        return f"block of {self.size} {state} after {iterations}, residual {self.residual:.3g}"


def propagate_wide(step: WideStep, z: Array, offset: Array, work: Array) -> None:
    """z[own] = ε[rows] + Σ φ. ``work`` has an entry a row, of z's type; what stood there does not matter."""
    work[step.rows] = offset[step.rows]
    step.run.values(z, work)
    z[step.own] = work[step.rows]


class BlockSolver:
    """The equations of one block as a function of its unknowns, at a state whose other elements stand still."""

    def __init__(self, step: BlockStep, offset: Array, domain: tuple[Array, Array], work: Array) -> None:
        self.step, self.offset, self.work = step, offset, work
        self.low, self.high = (end[step.columns] for end in domain)

    def residual(self, z: Array) -> Array:
        """r = ε + Σ φ − own of the user's rows, after the auxiliaries are propagated (in ``z``)."""
        for auxiliary in self.step.auxiliaries:
            propagate_wide(auxiliary, z, self.offset, self.work)
        return residuals(self.step, z, self.offset, self.work)

    def correction(self, factor: Factor, r: Array) -> Array:
        """The Newton correction of the unknowns for residuals r (those of auxiliaries are zero)."""
        full = np.zeros(len(self.step.all_rows), dtype=r.dtype)
        full[: len(r)] = r
        return -factor.solve(full)[: len(r)]

    def rounding(self, matrix: Any, z: Array, r: Array) -> Array:
        """What rounding alone leaves of each residual: UNITS·eps·Σ|∂r/∂z_j·z_j|."""
        return UNITS * np.finfo(float).eps * self._terms(matrix, z, r)

    def is_small(self, matrix: Any, z: Array, r: Array, first: float) -> bool:
        """Whether residuals are SMALL beside their own terms, or all of them beside the largest at the start."""
        size = np.abs(r)
        return bool(size.max(initial=0.0) <= SMALL * first or (size <= SMALL * self._terms(matrix, z, r)).all())

    def _terms(self, matrix: Any, z: Array, r: Array) -> Array:
        terms = (abs(matrix) @ np.abs(z[self.step.all_columns]))[: len(r)]
        return np.where(np.isfinite(terms), terms, 0.0)

    def longest(self, unknowns: Array, d: Array) -> float:
        """The longest step (at most 1) that stays inside the domains of the unknowns."""
        here = unknowns.real
        with np.errstate(all="ignore"):
            room = np.where(d.real < 0, (self.low - here) / d.real, (self.high - here) / d.real)
        room = np.maximum(room[np.isfinite(room)], 0.0)
        return float(min(1.0, 0.99 * room.min(initial=np.inf)))


def residuals(step: BlockStep, z: Array, offset: Array, work: Array) -> Array:
    """r = ε + Σ φ − own of the user's rows of a block, at a state as it stands."""
    work[step.rows] = offset[step.rows]
    step.residual_run.values(z, work)
    own = step.own[: len(step.rows)]
    return np.asarray(work[step.rows] - np.where(own >= 0, z[own], 0.0))


def solve_block(solver: BlockSolver, z: Array, report: BlockReport, max_iterations: int) -> None:
    """Newton iterations on ``z`` (changed in place) until converged or stuck; ``report`` says which."""
    r = solver.residual(z)
    if not np.isfinite(r).all():
        _finish(report, r, "the residual is not finite at the start")
        return
    for report.iterations in range(max_iterations + 1):  # the last round only looks whether it has arrived
        report.history.append(float(np.abs(r).max(initial=0.0)))
        matrix = solver.step.jacobian(z)
        if (np.abs(r) <= solver.rounding(matrix, z, r)).all() or not r.any():
            report.converged = True
            _finish(report, r, "residuals are at rounding level")
            _keep_factor(report, matrix)
            return
        if report.iterations == max_iterations:
            break
        try:
            report.factor = Factor(matrix)
        except SingularMatrixError as error:
            nudged = _nudge(solver, z, report)
            if nudged is None:
                _finish(report, r, f"{error} at this point")
                return
            r = nudged
            continue
        d = solver.correction(report.factor, r)
        accepted, done = _line_search(solver, z, r, d, report.factor)
        if accepted is None:
            _finish(report, r, "no step along the Newton direction makes progress")
            return
        r = accepted
        if done:
            report.iterations += 1
            report.history.append(float(np.abs(r).max(initial=0.0)))
            report.converged = solver.is_small(matrix, z, r, report.history[0])
            stuck = "corrections became negligible while the residual did not: a slope grows without bound here"
            _finish(report, r, "the last correction was negligible" if report.converged else stuck)
            return
    _finish(report, r, f"the limit of {max_iterations} iterations was reached")


def _nudge(solver: BlockSolver, z: Array, report: BlockReport) -> Array | None:
    """Move a little off a point where the Jacobian is singular; the residual there, or None when that was enough.

    The displacement is fixed (no random numbers): a thousandth of each unknown's size, with changing signs.
    """
    columns = solver.step.columns
    before = z[solver.step.all_columns]
    size = np.abs(z[columns])
    size = np.maximum(size, 1e-3 * size.max(initial=0.0)) if size.any() else np.ones(len(size))
    pattern = np.cos(2.4 * np.arange(len(columns)) + report.nudges)
    while report.nudges < NUDGES:
        report.nudges += 1
        z[columns] += 1e-3 * size * pattern
        r = solver.residual(z)
        if np.isfinite(r).all():
            return r
        z[solver.step.all_columns] = before
        pattern = -pattern
    return None


def _finish(report: BlockReport, r: Array, message: str) -> None:
    report.residuals, report.message = r, message


def _keep_factor(report: BlockReport, matrix: Any) -> None:
    if report.factor is None:
        try:
            report.factor = Factor(matrix)
        except SingularMatrixError:
            report.factor = None


def _line_search(solver: BlockSolver, z: Array, r: Array, d: Array, factor: Factor) -> tuple[Array | None, bool]:
    """Move ``z`` along d; the residual at the new point (None: nowhere to go) and whether that was the last step."""
    columns, every = solver.step.columns, solver.step.all_columns
    before = z[every]
    start = z[columns]
    scale = scale_of(start)
    length, size = float(np.max(np.abs(d) / scale)), float(np.max(np.abs(r)))
    t = solver.longest(start, d)
    if t == 0.0:
        return None, False
    if length <= CORRECTION and t == 1.0:
        return _last_step(solver, z, before, r, d)
    for _ in range(HALVINGS):
        z[columns] = start + t * d
        new = solver.residual(z)
        if np.isfinite(new).all():
            simplified = float(np.max(np.abs(solver.correction(factor, new)) / scale))
            if simplified <= (1.0 - t / 4.0) * length or float(np.max(np.abs(new))) < (1.0 - t / 2.0) * size:
                return new, False
        t /= 2.0
    z[every] = before
    return None, False


def _last_step(solver: BlockSolver, z: Array, before: Array, r: Array, d: Array) -> tuple[Array, bool]:
    """A negligible full step: taken when it does not make things worse, left when rounding does."""
    z[solver.step.columns] += d
    new = solver.residual(z)
    if np.isfinite(new).all() and np.abs(new).max() <= 2.0 * np.abs(r).max():
        return new, True
    z[solver.step.all_columns] = before
    return r, True


def scale_of(values: Array) -> Array:
    """What a correction of each unknown is compared with: its own size, a millionth of the largest, 1e-12."""
    size = np.abs(values)
    return np.asarray(np.maximum(np.maximum(size, 1e-6 * size.max(initial=0.0)), 1e-12))
