"""Fixed-point iteration x ← x + β·r(x) of equations x_i = f_i(x), with Anderson acceleration and without derivatives.

Each step minimises ‖r − ΔR γ‖ over the last differences of residuals and goes to x + β·r − (ΔX + β·ΔR) γ (D. Anderson,
1965; H. Walker and P. Ni, Anderson acceleration for fixed-point iterations, 2011). A step that makes the residual much
larger is taken back and the memory forgotten.
"""

from __future__ import annotations

import numpy as np

from .arrival import EXACTLY, Goal
from .linear import Linear
from .problem import Array, Problem, Record, longest_step, size_of_unknowns

WINDOW = 5
ROUNDING = 16.0 * float(np.finfo(float).eps)
"""Corrections x_i − f_i(x) of this part of the unknowns are rounding."""
STALLED, STALL = 1e-10, 10
"""Residuals that are this small beside the unknowns and have not fallen for STALL iterations are at rounding, too."""
WORSE, GIVEN_UP = 10.0, 1e6
"""A step may make the residual so many times the best one's; a solve that makes it GIVEN_UP times the first's ends."""
RETREATS = 30
CONDITION = 1e8
"""Older differences are dropped while those kept are worse conditioned."""


def fixed_point(problem: Problem, x: Array, record: Record, linear: Linear, limit: int, *, goal: Goal = EXACTLY,
                anderson: int = WINDOW, damping: float = 1.0) -> bool:
    """Fixed-point iterations from x until converged or stuck; ``record`` says which, and where.

    ``anderson``: how many differences are remembered, 0 for the plain iteration; ``damping``: β.
    """
    record.linear = None
    r = problem.residual(x)
    record.note("fixed-point", r)
    if not np.isfinite(r).all():
        record.met_outside(x)
        return record.stop(x, r, "the residual is not finite at the start")
    if not problem.explicit.all():
        count = int((~problem.explicit).sum())
        return record.stop(x, r, f"fixed-point iteration is for equations y = f(…), and {count} of {len(x)} give no "
                                 "unknown by themselves")
    return _Iterations(problem, record, goal, Memory(anderson), damping).run(x, r, limit)


class Memory:
    """The last differences of points and residuals, oldest first."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.points: list[Array] = []
        self.residuals: list[Array] = []

    def learn(self, dx: Array, dr: Array) -> None:
        """Remember a pair of differences."""
        if self.window:
            self.points, self.residuals = [*self.points, dx][-self.window :], [*self.residuals, dr][-self.window :]

    def forget(self) -> None:
        """Begin anew."""
        self.points, self.residuals = [], []

    def step(self, r: Array, damping: float, scale: Array) -> Array:
        """What is added to x."""
        while self.points:
            q, triangle = np.linalg.qr(np.stack(self.residuals, axis=1) / scale[:, None])
            diagonal = np.abs(np.diag(triangle))
            if diagonal.min() * CONDITION > diagonal.max():
                gamma = np.linalg.solve(triangle, q.T @ (r / scale))
                moves = np.stack(self.points, axis=1) + damping * np.stack(self.residuals, axis=1)
                return np.asarray(damping * r - moves @ gamma)
            del self.points[0], self.residuals[0]
        return damping * r


class _Iterations:
    """One run."""

    def __init__(self, problem: Problem, record: Record, goal: Goal, memory: Memory, damping: float) -> None:
        self.problem, self.record, self.goal, self.memory, self.damping = problem, record, goal, memory, damping

    def run(self, x: Array, r: Array, limit: int) -> bool:
        """Until converged, diverged or out of iterations; ends at the best point."""
        record = self.record
        scale = self._sizes(x)
        best, best_r, size = x, r, self._size(r, scale)
        first, waited, damping = size, 0, self.damping
        for iteration in range(limit + 1):
            scale = self._sizes(best)
            size = self._size(best_r, scale)
            if self._arrived(best_r, scale) or (waited >= STALL and size <= STALLED):
                within = self.goal.tolerance is not None and size > ROUNDING
                said = f"within the tolerance {self.goal.tolerance:g}" if within else "at rounding level"
                return record.stop(best, self.problem.residual(best), f"residuals are {said}", converged=True)
            if iteration == limit:
                break
            record.iterations += 1
            d = self.memory.step(r, damping, scale)
            t = longest_step(self.problem, x, d)
            new_x = x + t * d
            new = self.problem.residual(new_x)
            record.took(float(np.max(np.abs(d) / scale)), t)
            reached = self._size(new, scale)
            if np.isinf(reached):
                record.met_outside(new_x)
            elif reached <= WORSE * size or not self.memory.points:
                self.memory.learn(new_x - x, new - r)
                x, r = new_x, new
                waited = 0 if reached < size else waited + 1
                if reached < size:
                    best, best_r = x, r
                record.note("fixed-point", r)
                if reached > GIVEN_UP * max(first, 1.0):
                    break
                continue
            if not self.memory.points:
                damping *= 0.5
                if damping < 0.5**RETREATS * self.damping:
                    break
            self.memory.forget()
            x, r = best, best_r
            record.note("fixed-point", r)
        return self._failed(best, first, limit)

    def _failed(self, best: Array, first: float, limit: int) -> bool:
        r = self.problem.residual(best)
        size, last = float(np.abs(r).max()), self.record.steps[-1].residual
        if last > 2.0 * self.record.steps[0].residual or last > WORSE * size:
            return self.record.stop(best, r, "the fixed-point iteration is not a contraction here: residuals grew from "
                                             f"{self.record.steps[0].residual:.3g} to {last:.3g}")
        return self.record.stop(best, r, f"the limit of {limit} iterations was reached")

    def _sizes(self, x: Array) -> Array:
        given = np.where(np.isfinite(self.problem.equation_scale), self.problem.equation_scale, size_of_unknowns(x))
        return np.where(np.isfinite(self.problem.unknown_scale), self.problem.unknown_scale, given)

    @staticmethod
    def _size(r: Array, scale: Array) -> float:
        size = float(np.max(np.abs(r) / scale))
        return size if np.isfinite(size) else np.inf

    def _arrived(self, r: Array, scale: Array) -> bool:
        allowed = max(ROUNDING, self.goal.tolerance or 0.0)
        return not r.any() or self._size(r, scale) <= allowed
