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
from .scaling import or_given

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
        """Remember a pair of differences; of n unknowns no more than n, which span everything."""
        most = min(self.window, len(dx))
        if most:
            self.points, self.residuals = [*self.points, dx][-most:], [*self.residuals, dr][-most:]

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
    """One run: the point, the best one so far, and what is remembered."""

    def __init__(self, problem: Problem, record: Record, goal: Goal, memory: Memory, damping: float) -> None:
        self.problem, self.record, self.goal, self.memory, self.damping = problem, record, goal, memory, damping
        self.least, self.waited, self.first = damping * 0.5**RETREATS, 0, 0.0

    def run(self, x: Array, r: Array, limit: int) -> bool:
        """Until converged, diverged or out of iterations; ends at the best point."""
        record, self.x, self.r, self.best, self.best_r = self.record, x, r, x, r
        self.first = self._size(r, self._sizes(x))
        for iteration in range(limit + 1):
            said = self._arrived(self._sizes(self.best))
            if said:
                return record.stop(self.best, self.problem.residual(self.best), said, converged=True)
            if iteration == limit:
                return record.stop(self.best, self.problem.residual(self.best),
                                   f"the limit of {limit} iterations was reached")
            record.iterations += 1
            if not self._step(self._sizes(self.best)):
                break
        first, last = record.steps[0].residual, record.steps[-1].residual
        return record.stop(self.best, self.problem.residual(self.best),
                           f"the fixed-point iteration is not a contraction here: residuals went from {first:.3g} to "
                           f"{last:.3g}")

    def _step(self, scale: Array) -> bool:
        """One step, taken or taken back; whether it makes sense to go on."""
        d = self.memory.step(self.r, self.damping, scale)
        t = longest_step(self.problem, self.x, d)
        x = self.x + t * d
        r = self.problem.residual(x)
        self.record.took(float(np.max(np.abs(d) / scale)), t)
        reached, best = self._size(r, scale), self._size(self.best_r, scale)
        if np.isinf(reached):
            self.record.met_outside(x)
        elif reached <= WORSE * best or not self.memory.points:
            self._take(x, r, reached < best)
            return reached <= GIVEN_UP * max(self.first, 1.0)
        if not self.memory.points:
            self.damping *= 0.5
        self.memory.forget()
        self.x, self.r = self.best, self.best_r
        self.record.note("fixed-point", self.r)
        return self.damping >= self.least

    def _take(self, x: Array, r: Array, better: bool) -> None:
        self.memory.learn(x - self.x, r - self.r)
        self.x, self.r, self.waited = x, r, 0 if better else self.waited + 1
        if better:
            self.best, self.best_r = x, r
        self.record.note("fixed-point", r)

    def _arrived(self, scale: Array) -> str:
        """Why the best residual is as good as zero, empty where it is not."""
        size = self._size(self.best_r, scale)
        if size <= ROUNDING or (self.waited >= STALL and size <= STALLED):
            return "residuals are at rounding level"
        if self.goal.tolerance is not None and size <= self.goal.tolerance:
            return f"residuals are within the tolerance {self.goal.tolerance:g} of the sizes of their unknowns"
        return ""

    def _sizes(self, x: Array) -> Array:
        """What residuals x_i − f_i(x) are compared with: the user's sizes, or those of the values."""
        sizes = or_given(self.problem.equation_scale, size_of_unknowns(x))
        return or_given(self.problem.unknown_scale, sizes)

    @staticmethod
    def _size(r: Array, scale: Array) -> float:
        size = float(np.max(np.abs(r) / scale))
        return size if np.isfinite(size) else np.inf
