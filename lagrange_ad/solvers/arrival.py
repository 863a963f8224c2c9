"""When a solve has arrived: residuals at rounding, within the user's tolerance, or the last correction negligible.

The same tests for every method, so that the answer does not depend on which of them found it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .problem import UNITS, Array, Model, Problem, Record, is_small, size_of_unknowns
from .scaling import or_given, scales_of

CORRECTION = 1e-9
"""A full Newton step whose relative size is below this ends the iteration: the error left is its square."""

SLOW = 0.1
"""Corrections that shrink by less than this are not those of a quadratic convergence: the error left is no square."""
EXTRA = 60
"""So many steps more where corrections are negligible beside the largest unknowns, residuals not beside their terms."""


@dataclass(frozen=True)
class Goal:
    """What is asked of a solution: ``tolerance`` relative to the sizes of the equations, or None for rounding level."""

    tolerance: float | None = None

    def reached(self, problem: Problem, model: Model, r: Array, record: Record) -> str:
        """Why r is as good as zero, empty where it is not. The model is the one at r."""
        allowed = np.maximum(model.rounding, UNITS * np.finfo(float).eps * or_given(problem.equation_scale, 0.0))
        if (np.abs(r) <= allowed).all() or not r.any():
            return "residuals are at rounding level"
        if self.tolerance is None:
            return ""
        scales = scales_of(problem, model, model.values[: model.n], r)  # of here, not of the start
        if (np.abs(r) <= self.tolerance * scales.equation).all():
            record.unknown_scale, record.equation_scale = scales.unknown, scales.equation
            return f"residuals are within the tolerance {self.tolerance:g} of the sizes of their equations"
        return ""


EXACTLY = Goal()


@dataclass(frozen=True, eq=False)
class Arrived:
    """The end of a solve by a negligible correction: where, and whether the residual is small enough to believe it."""

    x: Array
    r: Array
    small: bool

    @property
    def message(self) -> str:
        """What the record says."""
        if self.small:
            return "the last correction was negligible"
        return "corrections became negligible while the residual did not: a slope grows without bound here"


def unknown_sizes(problem: Problem, x: Array) -> Array:
    """What corrections are compared with: the user's sizes, or those of the values."""
    return or_given(problem.unknown_scale, size_of_unknowns(x))


def equation_weights(problem: Problem) -> Array:
    """What residuals are divided by before they are compared: the user's sizes, 1 where there are none."""
    return or_given(problem.equation_scale, 1.0)


def last_step(problem: Problem, model: Model, x: Array, r: Array, d: Array, first: float) -> Arrived:
    """A negligible full step: taken when it does not make things worse, left when rounding does.

    ``first`` is the largest |r| at the start of the solve.
    """
    new = problem.residual(x + d)
    if np.isfinite(new).all() and np.abs(new).max() <= 2.0 * np.abs(r).max():
        return Arrived(x + d, new, is_small(model, new, first))
    problem.residual(x)
    return Arrived(x, r, is_small(model, r, first))


def step_more(problem: Problem, model: Model, x: Array, r: Array, d: Array, shrunk: float) -> Array | None:
    """The residual after a full step that is negligible beside the largest unknowns, if it should not be the last.

    That is where a residual is no small part of its own terms (an equation between small unknowns), or corrections
    shrink slowly, by ``shrunk`` (a double root, nearly), and the step halves the residual beside its terms. Else None.
    """
    share = _share(model, r)
    if share <= CORRECTION and shrunk <= SLOW:
        return None
    new = problem.residual(x + d)
    return new if np.isfinite(new).all() and _share(model, new) <= 0.5 * share else None


def _share(model: Model, r: Array) -> float:
    """The largest |r| beside its terms."""
    size = np.abs(r)
    at = size > 0.0
    with np.errstate(divide="ignore"):
        return float(np.max(size[at] / model.terms[at], initial=0.0))


def is_noise(problem: Problem, record: Record) -> bool:
    """Whether a solve that stopped is at the rounding of what its equations compute on the way; then it has arrived."""
    if record.converged or not np.isfinite(record.residuals).all() or not len(record.x):
        return record.converged
    r = problem.residual(record.x)
    allowed = problem.noise(record.x)
    if allowed is None or not (np.abs(r) <= allowed).all():
        return False
    return record.stop(record.x, r, "residuals are at the rounding level of what their equations compute on the way",
                       converged=True)


class Progress:
    """Whether a solve still gets anywhere: its residual or its correction must halve within ``patience`` iterations."""

    def __init__(self, patience: int | None) -> None:
        self.patience, self.waited = patience, 0
        self.residual = self.correction = np.inf

    def is_over(self, record: Record) -> bool:
        """Look at the iterations so far, once each."""
        if self.patience is None:
            return False
        residual = record.steps[-1].residual
        correction = record.steps[-2].correction if len(record.steps) > 1 else np.inf
        self.waited += 1
        if residual <= 0.5 * self.residual or correction <= 0.5 * self.correction:
            self.residual, self.correction = min(residual, self.residual), min(correction, self.correction)
            self.waited = 0
        return self.waited > self.patience
