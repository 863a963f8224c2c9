"""Schedules: the rate of a step as a function of how many steps were taken before it (0 for the first).

Any callable step -> rate will do; these are the ready ones. They hold no state, so a resumed run goes on with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from ..errors import DeclarationError
from .methods import is_number

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Constant:
    """``rate`` at every step."""

    rate: float

    def __post_init__(self) -> None:
        _positive(self, "rate")

    def __call__(self, step: int) -> float:
        return self.rate


@dataclass(frozen=True)
class StepDecay:
    """``rate·factor^⌊step/every⌋``."""

    rate: float
    every: int
    factor: float = 0.5

    def __post_init__(self) -> None:
        _positive(self, "rate")
        _count(self, "every")
        _fraction(self, "factor")

    def __call__(self, step: int) -> float:
        return float(self.rate * self.factor ** (step // self.every))


@dataclass(frozen=True)
class Exponential:
    """``rate·factor^step``."""

    rate: float
    factor: float

    def __post_init__(self) -> None:
        _positive(self, "rate")
        _fraction(self, "factor")

    def __call__(self, step: int) -> float:
        return float(self.rate * self.factor**step)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from ``rate`` at step 0 to ``final`` at step ``steps``, and ``final`` from there on.

    Source: I. Loshchilov and F. Hutter (2017), equation 5 without restarts.
    """

    rate: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _positive(self, "rate")
        _count(self, "steps")
        if not (is_number(self.final) and 0 <= self.final <= self.rate):
            raise DeclarationError(f"Cosine's final must be a number from 0 to its rate {self.rate!r}, "
                                   f"got {self.final!r}")

    def __call__(self, step: int) -> float:
        part = min(step / self.steps, 1.0)
        return self.final + (self.rate - self.final) * (1.0 + math.cos(math.pi * part)) / 2.0


@dataclass(frozen=True)
class InverseTime:
    """``rate/(1 + decay·step)^power``.

    With a power in (1/2, 1] the rates have an infinite sum and a finite sum of squares: what makes noise average out.
    Source: H. Robbins and S. Monro (1951).
    """

    rate: float
    decay: float
    power: float = 1.0

    def __post_init__(self) -> None:
        for name in ("rate", "decay", "power"):
            _positive(self, name)

    def __call__(self, step: int) -> float:
        return float(self.rate / (1.0 + self.decay * step) ** self.power)


@dataclass(frozen=True)
class WarmUp:
    """A line up to the first rate of another schedule in ``steps`` steps, then that schedule from its beginning."""

    schedule: Schedule
    steps: int

    def __post_init__(self) -> None:
        if not callable(self.schedule):
            raise DeclarationError(f"WarmUp's schedule must be a schedule such as la.ascent.InverseTime(0.1, 0.01), "
                                   f"got {self.schedule!r}")
        _count(self, "steps")

    def __call__(self, step: int) -> float:
        if step < self.steps:
            return self.schedule(0) * (step + 1) / (self.steps + 1)
        return self.schedule(step - self.steps)


def rate_at(schedule: Schedule, step: int) -> float:
    """What a schedule says for a step. Raises DeclarationError for what is no rate."""
    rate = schedule(step)
    if not (is_number(rate) and math.isfinite(rate) and rate >= 0):
        raise DeclarationError(f"the schedule gave the rate {rate!r} for step {step}: it must be a finite number ≥ 0")
    return float(rate)


def _positive(schedule: Any, name: str) -> None:
    value = getattr(schedule, name)
    if not (is_number(value) and math.isfinite(value) and value > 0):
        raise DeclarationError(f"{type(schedule).__name__}'s {name} must be a positive number, got {value!r}")


def _fraction(schedule: Any, name: str) -> None:
    value = getattr(schedule, name)
    if not (is_number(value) and 0 < value <= 1):
        raise DeclarationError(f"{type(schedule).__name__}'s {name} must be a number in (0, 1], got {value!r}")


def _count(schedule: Any, name: str) -> None:
    value = getattr(schedule, name)
    if not (isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1):
        raise DeclarationError(f"{type(schedule).__name__}'s {name} must be an integer ≥ 1, got {value!r}")
