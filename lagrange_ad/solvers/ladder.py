"""The automatic choice of a method: cheap ones first, the next where one gives up; the first success ends.

Newton's method → trust region, residuals weighed as they are written and by the sizes of their equations, from the
start and from the best point so far → heavily damped steps → trust region from points about the start → continuation
along curves from the start → pseudo time; a single unknown is bracketed early. All together have ``limit`` iterations.
Where all fail, the record ends at the best point met.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .arrival import EXACTLY, Goal, is_noise
from .bracket import bracket
from .homotopy import homotopy
from .linear import Linear
from .newton import newton
from .problem import Array, Problem, Record, longest_step
from .scaling import Scales, scales_of
from .transient import transient
from .trust_region import levenberg_marquardt, trust_region

PATIENCE = 20
"""A method has so many iterations to halve its residual or its correction before the next one is tried."""
SHARE = 80
"""Iterations of a method that has no such measure of progress."""

Solve = Callable[..., bool]


@dataclass(frozen=True)
class Rung:
    """A method with its options; ``share``: how many iterations it may have at most.

    It begins at the start; ``from_best``: at the best point so far; ``beside`` k > 0: at the k-th point about it.
    """

    name: str
    solve: Solve
    options: dict[str, Any] = field(default_factory=dict)
    share: int | None = None
    from_best: bool = False
    beside: int = 0


RUNGS = (
    Rung("newton", newton, {"patience": PATIENCE}),
    Rung("trust-region", trust_region, {"patience": PATIENCE, "as_written": True}),
    Rung("trust-region", trust_region, {"patience": PATIENCE}),
    Rung("trust-region", trust_region, {"patience": PATIENCE, "as_written": True}, from_best=True),
    Rung("levenberg-marquardt", levenberg_marquardt, {"patience": PATIENCE, "damping": 1.0}),
    *(Rung("trust-region", trust_region, {"patience": PATIENCE, "as_written": True}, beside=k) for k in (1, 2, 3)),
    Rung("homotopy", homotopy, {"kind": "newton"}, share=SHARE),
    Rung("homotopy", homotopy, {"kind": "fixed-point"}, share=SHARE),
    Rung("homotopy", homotopy, {"kind": "newton", "backward": True}, share=SHARE),
    Rung("pseudo-transient", transient, share=SHARE),
)
ONE_UNKNOWN = Rung("bracket", bracket)


def ladder(problem: Problem, x: Array, record: Record, linear: Linear, limit: int, *, goal: Goal = EXACTLY,
           rungs: tuple[Rung, ...] = RUNGS) -> bool:
    """Methods from x, one after the other until one succeeds; ``record.tried`` has what each said."""
    if linear.is_matrix_free:  # the others need entries of the Jacobian
        return newton(problem, x, record, linear, limit, goal=goal)
    start = x.copy()
    best = Best(problem, start)
    for rung in _rungs_for(x, rungs):
        left = limit - record.iterations
        if left <= 0 and record.steps:
            break
        if rung.from_best and best.is_start:
            continue
        begin = best.x if rung.from_best else point_beside(problem, start, rung.beside)
        allowed = min(left, rung.share or left)
        record.method = rung.name
        good = rung.solve(problem, begin.copy(), record, linear, allowed, goal=goal, **rung.options)
        record.tried.append((rung.name, record.message))
        if good or is_noise(problem, record):
            return True
        if len(x) > 1 and not np.isfinite(record.residuals).all():
            return False  # no method can begin where there is no value
        best.look(record.x)
    return best.give_up(record)


def _rungs_for(x: Array, rungs: tuple[Rung, ...]) -> tuple[Rung, ...]:
    """A single unknown is bracketed after the trust region; complex steps are Newton's alone."""
    if np.iscomplexobj(x):
        return rungs[:1]
    return (*rungs[:2], ONE_UNKNOWN, *rungs[2:]) if len(x) == 1 else rungs


def point_beside(problem: Problem, x: Array, k: int) -> Array:
    """The k-th point about x, up to the size of each unknown away and inside the domains; x itself for k = 0.

    The displacements are fixed (no random numbers), so that a program has one answer.
    """
    if k == 0:
        return x
    size = np.abs(x)
    size = np.maximum(size, 1e-2 * size.max()) if size.any() else np.ones(len(x))
    d = size * np.cos(2.4 * np.arange(len(x)) + 1.3 * (k - 1))
    return np.asarray(x + longest_step(problem, x, d) * d)


class Best:
    """The point of the smallest residual so far, in the sizes of the equations at the start."""

    def __init__(self, problem: Problem, start: Array) -> None:
        self.problem, self.x = problem, start
        self.scales: Scales | None = None
        self.start, self.size, self.is_start = start, np.inf, True

    def look(self, x: Array) -> None:
        """Compare the point where a method ended."""
        scales = self._sizes()
        r = self.problem.residual(x)
        size = scales.norm(r)
        if size < self.size:
            self.x, self.size, self.is_start = x.copy(), size, False

    def _sizes(self) -> Scales:
        if self.scales is None:
            r = self.problem.residual(self.start)
            model = self.problem.model(self.start)
            self.scales = scales_of(self.problem, model, self.start, np.where(np.isfinite(r), r, 0.0))
            self.size = self.scales.norm(r)
        return self.scales

    def give_up(self, record: Record) -> bool:
        """End at the best point; ``record.tried`` has what the methods said."""
        r = self.problem.residual(self.x)
        if len(record.tried) == 1:
            return record.stop(self.x, r, record.tried[0][1])
        names = dict.fromkeys(name for name, _ in record.tried)
        return record.stop(self.x, r, f"none of {len(names)} methods solved it")
