"""What a solver sees of a block, r(x) = 0 with as many equations as unknowns, and what it tells of a solve.

A block may have hidden unknowns (auxiliaries), each determined by an explicit equation from x and earlier ones. They
are propagated by ``Problem.residual``; in the linear model they stand after the unknowns.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .linear import Linear

Array: TypeAlias = NDArray[Any]

UNITS = 8.0
"""Residuals of this many rounding units of their own terms are zero."""
SMALL = 1e-6
"""A negligible correction is believed where the residual has shrunk to this part, or is this part of its terms."""


class Problem(Protocol):
    """r(x) = 0. Unknown i is the one that equation i determines.

    ``low``, ``high`` (n,): open intervals that x stays in. ``explicit`` (n,): whether equation i reads x_i = f_i(x), so
    that r_i = f_i − x_i. ``unknown_scale``, ``equation_scale`` (n,): sizes that the user gave, NaN where not.
    """

    low: Array
    high: Array
    explicit: Array
    unknown_scale: Array
    equation_scale: Array

    def residual(self, x: Array) -> Array:
        """r (n,) at x; NaN or infinite where the equations have no value. The hidden unknowns follow x."""

    def model(self, x: Array) -> Model:
        """The linear model at x, where ``residual`` was computed last."""

    def noise(self, x: Array) -> Array | None:
        """What rounding leaves of r (n,) at x, where ``residual`` was computed last; None where nobody knows. Dear."""


@dataclass(eq=False)
class Model:
    """The equations linearised: ``matrix`` ∂r/∂(x, hidden), square; ``values`` of its columns; n unknowns, equations.

    ``matrix`` is an array or scipy.sparse CSC; rows of hidden unknowns stand after the n equations. Where no matrix is
    wanted it is a linear operator of n rows, the hidden unknowns following x.
    """

    matrix: Any
    values: Array
    n: int

    @property
    def is_operator(self) -> bool:
        """Whether there is no matrix, only its products."""
        return hasattr(self.matrix, "matvec")

    @cached_property
    def terms(self) -> Array:
        """Σ_j |∂r_i/∂x_j·x_j| (n,): what the residuals are differences of; 0 where that is not finite.

        Of an operator the largest |Σ_j ±∂r_i/∂x_j·x_j| of some signs, which is not more.
        """
        if self.is_operator:
            found = _by_signs(self.matrix, self.values)
        else:
            found = (abs(self.matrix) @ np.abs(self.values))[: self.n]
        return np.where(np.isfinite(found), found, 0.0)

    @property
    def rounding(self) -> Array:
        """What rounding alone leaves of each residual (n,): UNITS·eps of its terms."""
        return np.asarray(UNITS * np.finfo(float).eps * self.terms)

    @cached_property
    def reduced(self) -> Any:
        """dr/dx (n, n) with the hidden unknowns following x: A − B D⁻¹ C; the matrix itself where there are none."""
        if self.matrix.shape[0] == self.n:
            return self.matrix
        n, matrix = self.n, self.matrix
        if isinstance(matrix, np.ndarray):
            return matrix[:n, :n] - matrix[:n, n:] @ np.linalg.solve(matrix[n:, n:], matrix[n:, :n])
        from scipy.sparse.linalg import splu

        hidden = splu(matrix[n:, n:].tocsc()).solve(matrix[n:, :n].toarray())
        return matrix[:n, :n].toarray() - matrix[:n, n:] @ hidden

    def right_side(self, r: Array) -> Array:
        """Residuals of all rows: those of hidden unknowns are 0."""
        full = np.zeros(self.matrix.shape[0], dtype=r.dtype)
        full[: self.n] = r
        return full


def _by_signs(operator: Any, values: Array) -> Array:
    """max_s |J (s∘x)| over a few fixed patterns of signs, all of one sign among them."""
    place = np.arange(len(values))
    signs = [np.ones(len(values)), *(np.sign(np.cos(angle * place + 0.1)) for angle in (1.0, 2.4, 3.1))]
    return np.asarray(np.max([np.abs(operator.matvec(sign * values)) for sign in signs], axis=0))


@dataclass(frozen=True, slots=True)
class Iteration:
    """One iteration: the largest |r| before it and whose, the longest relative correction, the part of it taken.

    ``worst`` is the number of the equation. ``outside`` is how many trial points had no value.
    """

    method: str
    residual: float
    worst: int
    correction: float = np.nan
    part: float = np.nan
    outside: int = 0


@dataclass(eq=False)
class Record:
    """How a solve went: ``message`` says why it stopped; ``x`` and ``residuals`` are those of its last point.

    ``methods`` lists what was tried, with what each said. ``nudges`` counts moves off points where the Jacobian was
    singular. ``linear`` has the factors of the last Jacobian that was factored. ``outside_x`` is the first trial point
    at which the equations had no value, None where there was none. ``unknown_scale`` and ``equation_scale`` (n,) are
    the sizes that the solve measured with, empty where it needed none.
    """

    method: str = "newton"
    converged: bool = False
    message: str = ""
    nudges: int = 0
    iterations: int = 0
    steps: list[Iteration] = field(default_factory=list)
    tried: list[tuple[str, str]] = field(default_factory=list)
    x: Array = field(default_factory=lambda: np.empty(0))
    residuals: Array = field(default_factory=lambda: np.empty(0))
    linear: Linear | None = None
    outside_x: Array | None = None
    unknown_scale: Array = field(default_factory=lambda: np.empty(0))
    equation_scale: Array = field(default_factory=lambda: np.empty(0))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "linear": None}  # factors do not pickle; they are made again when needed

    @property
    def history(self) -> list[float]:
        """The largest |r| at the start and after each iteration."""
        return [step.residual for step in self.steps]

    def note(self, method: str, r: Array, **more: Any) -> None:
        """Begin an iteration at a point with residuals r."""
        size = np.abs(r)
        worst = int(np.argmax(size)) if len(size) else -1
        self.steps.append(Iteration(method, float(size[worst]) if len(size) else 0.0, worst, **more))

    def took(self, correction: float, part: float) -> None:
        """How long the correction of the present iteration is, relative to the unknowns, and the part of it taken."""
        self.steps[-1] = replace(self.steps[-1], correction=correction, part=part)

    def met_outside(self, x: Array) -> None:
        """Count a trial point without a value in the present iteration."""
        if self.outside_x is None:
            self.outside_x = x.copy()
        if self.steps:
            self.steps[-1] = replace(self.steps[-1], outside=self.steps[-1].outside + 1)

    def stop(self, x: Array, r: Array, message: str, converged: bool = False) -> bool:
        """End the solve at a point; hands ``converged`` back."""
        self.x, self.residuals, self.message, self.converged = x, r, message, converged
        return converged


def size_of_unknowns(values: Array) -> Array:
    """What a correction of each unknown is compared with: its own size, a millionth of the largest, 1e-12."""
    size = np.abs(values)
    return np.asarray(np.maximum(np.maximum(size, 1e-6 * size.max(initial=0.0)), 1e-12))


def is_small(model: Model, r: Array, first: float) -> bool:
    """Whether residuals are SMALL beside their own terms, or all of them beside the largest at the start."""
    size = np.abs(r)
    return bool(size.max(initial=0.0) <= SMALL * first or (size <= SMALL * model.terms).all())


def longest_step(problem: Problem, x: Array, d: Array) -> float:
    """The longest part (at most 1) of a step d that stays inside the domains."""
    here, along = x.real, d.real
    with np.errstate(all="ignore"):
        room = np.where(along < 0, (problem.low - here) / along, (problem.high - here) / along)
    room = np.maximum(room[np.isfinite(room)], 0.0)
    return float(min(1.0, 0.99 * room.min(initial=np.inf)))
