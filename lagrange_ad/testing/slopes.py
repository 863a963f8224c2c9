"""Slopes of a function along a direction from its values alone, and what may be concluded from them.

The complex step Im f(z + i·h·v)/h (J. Lyness and C. Moler, 1967) has no error to speak of where f is
analytic and takes complex numbers; central differences, extrapolated (L. Richardson, 1911; W. Romberg, 1955), bring an
error estimate of their own. Each guards the other: a function that drops the imaginary part, or a kink, shows in their
disagreement.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..differences import COMPLEX_STEP
from ..expression import Array

Function = Callable[[Array], Array]
FIRST_STEP, FACTOR, STEPS = 1e-2, 8.0, 6
"""Steps of differences, in units of the direction: 1e-2, 1.25e-3, …, 3e-7."""
SAFETY = 10.0
"""How many of its estimated errors a difference may be off."""
EPS = float(np.finfo(float).eps)
ROUNDING, COARSER = 100.0 * EPS, 100.0
"""What rounding may leave of a slope, a unit of what it is the slope of; that of differences is coarser."""
RIGHT, UNSURE, WRONG = 0, 1, 2
VERDICTS = ("right", "could not tell", "wrong")


def complex_slope(function: Function, z: Array, direction: Array) -> Array | None:
    """Im f(z + i·h·v)/h; None where the function does not take complex numbers, or gives none."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            found = np.asarray(function(z + 1j * COMPLEX_STEP * direction))
        except Exception:  # a user's function may raise anything: then differences say what there is to say
            return None
    return found.imag / COMPLEX_STEP if np.iscomplexobj(found) else None


@dataclass(frozen=True)
class Differences:
    """Extrapolated central differences of each output: ``slope``, its estimated ``error``, and one-sided slopes.

    ``kink`` tells where the slopes before and after z do not come together as the step shrinks, ``edge`` where a value
    on one side is not a number. The error is ∞ where there is no slope.
    """

    slope: Array
    error: Array
    before: Array
    after: Array
    kink: Array
    edge: Array


def differences(function: Function, z: Array, direction: Array) -> Differences:
    """Extrapolation of central differences to step 0, the entry of its table with the least error for each output.

    An entry's error: how far it is from the two that it was made of, and what rounding and noise of f make of its step.
    """
    with np.errstate(all="ignore"):
        here, steps = np.asarray(function(z)), FIRST_STEP / FACTOR ** np.arange(STEPS)
        pairs = [tuple(_nearby(function, z + step, here) for step in (h * direction, -h * direction)) for h in steps]
        rows = _table([(plus - minus) / (2.0 * h) for (plus, minus), h in zip(pairs, steps, strict=True)])
        rounding = [EPS * (np.abs(plus) + np.abs(minus) + np.abs(row[0]))
                    for (plus, minus), row in zip(pairs, rows, strict=True)]
        noise = _noise(rows, steps)
        slope, error = _best(rows, [(np.max(noise, axis=0) + r) / h for r, h in zip(rounding, steps, strict=True)])
        jumps = [np.abs(plus - 2.0 * here + minus) / h for (plus, minus), h in zip(pairs, steps, strict=True)]
        (plus, minus), h = pairs[-1], steps[-1]
        kink = _kink(jumps, (np.maximum(noise[-1], noise[-2]) + rounding[-1]) / h)
        before, after = (here - minus) / h, (plus - here) / h
    return Differences(slope, error, before, after, kink, np.isnan(plus) | np.isnan(minus))


def _nearby(function: Function, z: Array, here: Array) -> Array:
    """f at a point beside the one of interest; NaN where a user's function raises, as it may outside its domain."""
    try:
        return np.asarray(function(z))
    except Exception:
        return np.full(here.shape, np.nan)


def _best(rows: list[list[Array]], rounding: list[Array]) -> tuple[Array, Array]:
    """The entry of the table with the least error for each output, and that error."""
    best, least = np.full(rows[0][0].shape, np.nan), np.full(rows[0][0].shape, np.inf)
    for k in range(1, len(rows)):
        for j in range(1, k + 1):
            apart = np.maximum(np.abs(rows[k][j] - rows[k][j - 1]), np.abs(rows[k][j] - rows[k - 1][j - 1]))
            better = apart + rounding[k] < least
            best, least = np.where(better, rows[k][j], best), np.where(better, apart + rounding[k], least)
    return best, least


def _table(slopes: list[Array]) -> list[list[Array]]:
    """Romberg's table: entry j of row k takes the terms h², …, h^(2j) of the error out of the slopes up to step k."""
    rows: list[list[Array]] = []
    for slope in slopes:
        row = [slope]
        for j, before in enumerate(rows[-1] if rows else []):
            ratio = FACTOR ** (2 * (j + 1))
            row.append((ratio * row[j] - before) / (ratio - 1.0))
        rows.append(row)
    return rows


def _noise(rows: list[list[Array]], steps: Array) -> list[Array]:
    """The noise of f itself, by the smallest steps: how much once extrapolated slopes change, times the step."""
    changes = [np.abs(rows[k][1] - rows[k - 1][1]) * steps[k] for k in range(STEPS - 3, STEPS)]
    return [np.asarray(np.nan_to_num(change, nan=np.inf)) for change in changes]


def _kink(jumps: list[Array], rounding: Array) -> Array:
    """Where the slopes before and after stay apart: of a smooth function that falls by the factor with each step."""
    first, second, last = jumps[-3:]
    stays = (last > 0.5 * second) & (second > 0.5 * first)
    return stays & (last > 100.0 * rounding)


class Slope:
    """The numerical slope of a function at z along a direction, by both methods; differences when first needed.

    ``real`` tells, for each output or all, where a complex step is of no use.
    """

    def __init__(self, function: Function, z: Array, direction: Array, real: Array | bool = False) -> None:
        self._function, self._z, self._direction = function, z, direction
        self.complex = None if np.all(real) else complex_slope(function, z, direction)
        if self.complex is not None:
            self.complex = np.where(real, np.nan, self.complex)

    @cached_property
    def differences(self) -> Differences:
        """Central differences with their error estimate."""
        return differences(self._function, self._z, self._direction)

    def judge(self, analytic: Array, sizes: Array | float, tolerance: Array | float) -> Judged:
        """Compare with analytic slopes, to a tolerance of their own and rounding of quantities of these ``sizes``."""
        found = self.differences
        sizes = np.where(np.isfinite(sizes), sizes, 0.0)
        floor = ROUNDING * sizes
        with np.errstate(all="ignore"):
            trusted = np.zeros(analytic.shape, dtype=bool)
            numerical = found.slope
            doubt = found.error
            if self.complex is not None:
                apart = np.abs(self.complex - found.slope)
                close = apart <= SAFETY * found.error + tolerance * np.abs(self.complex) + floor
                trusted = np.isfinite(self.complex) & (close | ~np.isfinite(found.slope)) & ~found.kink
                numerical, doubt = np.where(trusted, self.complex, numerical), np.where(trusted, 0.0, doubt)
            floor = np.where(trusted, floor, COARSER * floor)
            error = np.abs(analytic - numerical)
            allowed = tolerance * np.maximum(np.abs(analytic), np.abs(numerical)) + floor
            right = (error <= allowed) & (doubt <= allowed) & np.isfinite(analytic) & ~found.kink
            seen = np.abs(analytic - found.slope) > SAFETY * found.error + allowed
            wrong = (error > allowed) & seen & np.isfinite(analytic) & ~found.kink
        verdict = np.where(right, RIGHT, np.where(wrong, WRONG, UNSURE))
        return Judged(analytic, numerical, error, allowed, trusted, verdict, found)


@dataclass(frozen=True)
class Judged:
    """Analytic slopes beside numerical ones; all arrays have one entry an output. ``trusted``: by complex step."""

    analytic: Array
    numerical: Array
    error: Array
    tolerance: Array
    trusted: Array
    verdict: Array
    found: Differences

    @cached_property
    def badness(self) -> Array:
        """What sorts the worst last: the verdict, then the error in units of its tolerance."""
        with np.errstate(all="ignore"):
            ratio = np.nan_to_num(np.log10(self.error / self.tolerance), nan=300.0, posinf=300.0, neginf=-300.0)
        return np.asarray(1000.0 * self.verdict + np.clip(ratio, -300.0, 300.0))

    def note(self, i: int) -> str:
        """Why there is no better verdict on one output, or empty."""
        found = self.found
        if self.verdict[i] == WRONG or self.verdict[i] == RIGHT:
            return ""
        if np.isinf(self.analytic[i]):
            return "infinite slope"
        if np.isnan(self.analytic[i]):
            return "the derivative is not a number"
        if found.kink[i]:
            return f"at a kink, or noise: slopes {found.before[i]:.4g} and {found.after[i]:.4g} on its sides"
        if found.edge[i]:
            return "at the edge of the domain"
        return f"differences are good to {found.error[i]:.1g} here"

    def details(self, i: int) -> dict[str, Any]:
        """One output as plain numbers and words."""
        return {
            "analytic": float(self.analytic[i]), "numerical": float(self.numerical[i]), "error": float(self.error[i]),
            "tolerance": float(self.tolerance[i]),
            "method": "complex step" if self.trusted[i] else "central differences",
            "verdict": VERDICTS[int(self.verdict[i])], "note": self.note(i), "badness": float(self.badness[i]),
        }
