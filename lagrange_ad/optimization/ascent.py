"""Gradient ascent (descent for minimize): the driver that updates the inputs along their multipliers.

    x ← P(x + s·rate·dJ/dx)        s = +1 to maximize, −1 to minimize; P projects on the bounds of the inputs

with a fixed rate, or one found by backtracking until Armijo's condition holds: J gains at least a part of what the
gradient promises. Sources: L. Armijo (1966); D. Bertsekas, Nonlinear Programming (1999), section 2.3.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from ..errors import DeclarationError, DomainError, SolveError
from ..expression import Array
from ..solution import Point
from ..solution.diagnosis import objective_message
from ..text import listing
from ..views import ReducedView
from .result import AscentResult, StepRecord

SUFFICIENT = 1e-4
"""Armijo's part of the promised gain."""
SMALLEST = 1e-18
"""Backtracking ends at this part of the first trial."""
FAR = 1e150
"""Inputs beyond this (squares would overflow soon) mean that the objective has no bound."""
_BACK = "back at the best point before"
_UNBOUNDED = "the objective seems unbounded, or the rate is too large; bounds on the input help"
ROUNDING = 1e-13
"""Tolerances up to this one stop a run that rounding keeps from going on; they do not say what is good enough."""
SETTLED = 1e-6
"""A run stopped by rounding has arrived where a step as long as x could gain no more than this part of |J|."""
Callback = Callable[[StepRecord], Any]


@dataclass(frozen=True)
class Stopping:
    """When to stop; see ``Program.ascend``."""

    steps: int
    gradient: float
    step: float
    objective: float
    seconds: float | None


def ascend(
    view: ReducedView,
    *,
    rate: float | None,
    line_search: str | None,
    stopping: Stopping,
    callback: Callback | None,
    progress: bool | None,
) -> AscentResult:
    """Run the driver on a reduced view; ``Program.ascend`` says what the arguments mean."""
    _check(view, rate, line_search, stopping)
    search = line_search or ("armijo" if rate is None else "fixed")
    run = _Run(view, search, rate, stopping, callback)
    with _progress(progress, stopping.steps) as show:
        run.go(show)
    return run.result()


def _check(view: ReducedView, rate: float | None, line_search: str | None, stopping: Stopping) -> None:
    constraints = view.constraint_names
    if constraints:
        raise DeclarationError(
            f"ascend holds the bounds of inputs only, and the program has constraints, or bounds of variables: "
            f"{listing(constraints)}. Use a constrained optimizer on view = program.reduced(): "
            "scipy.optimize.minimize(view.value_and_gradient, view.x0, jac=True, bounds=view.bounds, "
            "constraints=view.constraints)"
        )
    if line_search not in (None, "armijo", "fixed"):
        raise DeclarationError(f"line_search must be 'armijo' or 'fixed', got {line_search!r}")
    if rate is not None and not (_is_number(rate) and np.isfinite(rate) and rate > 0):
        raise DeclarationError(f"rate must be a positive number, got {rate!r}: minimize programs descend by themselves")
    if line_search == "fixed" and rate is None:
        raise DeclarationError("line_search='fixed' needs rate=")
    if not isinstance(stopping.steps, Integral) or isinstance(stopping.steps, bool) or stopping.steps < 0:
        raise DeclarationError(f"steps must be an integer ≥ 0, got {stopping.steps!r}")
    for name in ("gradient", "step", "objective"):
        tolerance = getattr(stopping, name)
        if not (_is_number(tolerance) and tolerance >= 0):
            raise DeclarationError(f"{name}_tolerance must be a number ≥ 0, got {tolerance!r}")
    if stopping.seconds is not None and not (_is_number(stopping.seconds) and stopping.seconds >= 0):
        raise DeclarationError(f"time_limit must be a number of seconds ≥ 0, got {stopping.seconds!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


class _Run:
    """One run: the present point, the best one, the history, and why it stopped."""

    def __init__(self, view: ReducedView, search: str, rate: float | None, stopping: Stopping,
                 callback: Callback | None) -> None:
        self.view, self.search, self.stopping, self.callback = view, search, stopping, callback
        self.rate = rate
        self.began = time.perf_counter()
        self.x = np.clip(view.x0, view.lower, view.upper)
        self.moved_inside = bool((self.x != view.x0).any())
        self.at = view.point(self.x)
        self.value = view.sign * self.at.objective
        if not np.isfinite(self.value):
            raise DomainError(f"at the start, {_why(self.at)}\n  change the values of the inputs", self.at)
        self.slope = view.gradient_at(self.at)
        if not np.isfinite(self.slope).all():
            by = self._infinite()
            raise DomainError(f"the gradient by {by} is not finite at the start: change the value of {by}", self.at)
        self.best = (self.value, self.x, self.at)
        self.history: list[StepRecord] = []
        self.reason, self.message = "", ""

    def go(self, show: Callable[[StepRecord], None]) -> None:
        """Step until a criterion holds; Ctrl-C stops too."""
        try:
            self._record(0, 0.0, show)
            for step in range(1, self.stopping.steps + 1):
                if self._finished():
                    return
                before, value = self.x, self.value
                if not self._step():
                    return
                self._record(step, _length(self.x - before), show)
                if self.reason or self._stalled(before, value):
                    return
            if not self._finished():
                self._stop("steps", f"the limit of {self.stopping.steps} steps was reached")
        except KeyboardInterrupt:
            self._stop("interrupted", "interrupted: this is the best point so far")

    def projected_gradient(self) -> Array:
        """How far a unit step along the (minimization) gradient gets inside the bounds."""
        return np.asarray(np.clip(-self.slope, self.view.lower - self.x, self.view.upper - self.x))

    def _record(self, step: int, length: float, show: Callable[[StepRecord], None]) -> None:
        norm = float(np.abs(self.projected_gradient()).max(initial=0.0))
        record = StepRecord(step, self.at.objective, norm, length, self.rate or 0.0,
                            time.perf_counter() - self.began, self.x, self.at)
        self.history.append(record.without_point())
        show(record)
        if self.callback is not None:
            answer = self.callback(record)
            if isinstance(answer, bool | np.bool_) and answer:
                self._stop("callback", "the callback asked to stop")

    def _stop(self, reason: str, message: str) -> bool:
        self.reason, self.message = reason, message
        return True

    def _finished(self) -> bool:
        if self.reason:
            return True
        norm = float(np.abs(self.projected_gradient()).max(initial=0.0))
        if norm <= self.stopping.gradient:
            return self._stop("gradient", f"the projected gradient is {norm:.3g}{self._at_bounds()}")
        limit = self.stopping.seconds
        if limit is not None and time.perf_counter() - self.began >= limit:
            return self._stop("time", f"the time limit of {limit:g} s was reached")
        return False

    def _at_bounds(self) -> str:
        held = [
            f"{side} bound of {self.view.inputs.element(i)}"
            for side, bound in (("lower", self.view.lower), ("upper", self.view.upper))
            for i in np.flatnonzero(self.x == bound).tolist()
        ]
        return f", at the {listing(held)}" if held else ""

    def _stalled(self, before: Array, value: float) -> bool:
        step = _length(self.x - before)
        if step <= self.stopping.step * (1.0 + _length(before)):
            return self._stop("step", f"the last step was {step:.3g} long{self._at_bounds()}")
        change = abs(self.value - value)
        if change <= self.stopping.objective * abs(value):
            return self._stop("objective", f"the objective changed by {change:.3g} only{self._at_bounds()}")
        return False

    def _step(self) -> bool:
        if self.search == "fixed":
            assert self.rate is not None
            trial, failure = self._trial(self.rate)
        else:
            trial, failure = self._backtrack()
        if trial is None:
            return not self._stop(*failure)
        self.x, self.at, self.value = trial
        try:
            self.slope = self.view.gradient_at(self.at)
        except SolveError as error:
            return not self._stop("domain", f"the step led to where there is no gradient, {_BACK}: {error}")
        if not np.isfinite(self.slope).all():
            where = f"the gradient by {self._infinite()} is not finite"
            return not self._stop("domain", f"the step led to where {where}, {_BACK}")
        if self.value < self.best[0]:
            self.best = (self.value, self.x, self.at)
        if float(np.abs(self.x).max()) > FAR:
            far = self.view.inputs.element(int(np.argmax(np.abs(self.x))))
            return not self._stop("domain", f"{far} is beyond {FAR:g}: {_UNBOUNDED}")
        return True

    def _trial(self, rate: float) -> tuple[tuple[Array, Point, float] | None, tuple[str, str]]:
        """The point after a step at a rate; None, with the reason, where the program has no value there."""
        with np.errstate(over="ignore"):
            x = np.clip(self.x - rate * self.slope, self.view.lower, self.view.upper)
        if not np.isfinite(x).all():
            far = self.view.inputs.element(int(np.flatnonzero(~np.isfinite(x))[0]))
            return None, ("domain", f"a step of rate {rate:.3g} makes {far} infinite, {_BACK}: {_UNBOUNDED}")
        self.view.start_from(self.at)  # a trial before may have led to another branch of solutions
        try:
            at = self.view.point(x)
            value = self.view.sign * at.objective
        except SolveError as error:
            return None, ("domain", f"a step of rate {rate:.3g} failed, {_BACK}: {error}")
        if not np.isfinite(value):
            return None, ("domain", f"a step of rate {rate:.3g} failed, {_BACK}: {_why(at)}")
        return (x, at, value), ("", "")

    def _backtrack(self) -> tuple[tuple[Array, Point, float] | None, tuple[str, str]]:
        """Halve the rate until the gain is Armijo's part of what the gradient promises."""
        first = self.rate or 1.0 / max(1.0, float(np.abs(self.slope).max()))
        if len(self.history) > 1:
            first *= 2.0  # a rate that was accepted may be too short by now
        rate, failure = first, ("", "")
        while rate > SMALLEST * first:
            trial, failed = self._trial(rate)
            if trial is not None:
                with np.errstate(over="ignore"):
                    promised = float(self.slope @ (trial[0] - self.x))
                if trial[2] <= self.value + SUFFICIENT * promised:
                    self.rate = rate
                    return trial, ("", "")
            failure = failed
            rate /= 2.0
        if failure[0]:
            return None, failure
        return None, ("objective", f"no step improves the objective beyond rounding{self._at_bounds()}")

    def _infinite(self) -> str:
        """The first input whose gradient is not finite."""
        return self.view.inputs.element(int(np.flatnonzero(~np.isfinite(self.slope))[0]))

    def result(self) -> AscentResult:
        """What to hand back: the best point."""
        _, x, at = self.best
        note = " (the start was outside its bounds and was moved inside)" if self.moved_inside else ""
        return AscentResult(
            at=at, x=self.view.split(x), history=self.history, reason=self.reason, message=self.message + note,
            seconds=time.perf_counter() - self.began, inputs=self.view.inputs, settled=self._settled(x),
        )

    def _settled(self, x: Array) -> bool:
        """Whether small steps or changes mean an optimum: the caller's own tolerance says so, or the gradient."""
        tolerance = {"step": self.stopping.step, "objective": self.stopping.objective}.get(self.reason, 1.0)
        if tolerance > ROUNDING:
            return True
        reach = max(1.0, float(np.abs(x).max(initial=0.0)))
        gain = float(np.abs(self.projected_gradient()).max(initial=0.0)) * reach
        return gain <= SETTLED * max(1.0, abs(self.value))


def _length(vector: Array) -> float:
    """The Euclidean norm, without overflow on the way."""
    scale = float(np.abs(vector).max(initial=0.0))
    return scale * float(np.linalg.norm(vector / scale)) if scale > 0.0 else 0.0


def _why(at: Point) -> str:
    """Which function of the objective has no finite value at a point."""
    objective = at._lowered.objective
    assert objective is not None
    return objective_message(objective, at.values)


def _progress(wanted: bool | None, steps: int) -> Any:
    """A context that gives the function to call at every step: a bar on a terminal, else nothing."""
    import sys

    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        return nullcontext(lambda record: None)
    from .progress import StepBar

    return StepBar(steps)
