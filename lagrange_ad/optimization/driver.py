"""The driver of every ascent: it updates the inputs along their multipliers, whatever the method.

    x ← P(x + rate·d)        d from the method, −g for steepest ascent; g = −dJ/dx to maximize, dJ/dx to minimize

P projects on the bounds of the inputs. The rate is fixed, of a schedule, of the method, or found by backtracking until
Armijo's condition holds: J gains at least a part of what the gradient promises. Sources: L. Armijo (1966);
D. Bertsekas, Nonlinear Programming (1999), section 2.3; L. Grippo, F. Lampariello and S. Lucidi (1986).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike, fspath
from typing import Any

import numpy as np

from ..errors import DeclarationError, DomainError, SingularError, SolveError, UnknownNameError
from ..expression import Array
from ..optimizers.monitor import MOST_KEPT
from ..progress import bar
from ..solution import Point
from ..solution.diagnosis.culprit import objective_message
from ..text import listing
from ..views import View
from .batches import naming_the_step
from .checkpoint import Place, Saved, Saver, describe, read, require_same
from .methods import State
from .recipe import Recipe, Stopping, make_recipe
from .result import AscentResult, StepRecord
from .schedules import rate_at

SUFFICIENT = 1e-4
"""Armijo's part of the promised gain."""
SMALLEST = 1e-18
"""Backtracking ends at this part of the first trial."""
FAR = 1e150
"""Inputs beyond this (squares would overflow soon) mean that the objective has no bound."""
_UNBOUNDED = "the objective seems unbounded, or the rate is too large; bounds on the input help"
ROUNDING = 1e-13
"""Tolerances up to this one stop a run that rounding keeps from going on; they do not say what is good enough."""
SETTLED = 1e-6
"""A run stopped by rounding has arrived where a step as long as x could gain no more than this part of |J|."""
Callback = Callable[[StepRecord], Any]
Show = Callable[[StepRecord], None]
Measured = tuple[float, Array, Array | None]
"""sign·J and its gradient at a point, and where its cycles were solved from."""


@dataclass(frozen=True)
class Ending:
    """Why a run is over: one of the reasons of an AscentResult, and the same in words."""

    reason: str
    message: str


@dataclass(frozen=True, eq=False)
class Trial:
    """A point that a step may lead to: sign·J and its gradient there, and where its cycles were solved from."""

    x: Array
    value: float
    slope: Array
    start: Array | None
    cut: Array
    rate: float


def ascend(
    view: View,
    *,
    method: Any,
    rate: Any,
    line_search: str | None,
    batches: Any,
    stopping: Stopping,
    callback: Callback | None,
    progress: bool | None,
    checkpoint: str | PathLike[str] | None,
    checkpoint_every: Any,
    resume: str | PathLike[str] | bool,
) -> AscentResult:
    """Run the driver on a reduced view; ``Program.ascend`` says what the arguments mean."""
    if callback is not None and not callable(callback):
        raise DeclarationError(f"callback must be a function of a step's record, got {callback!r}")
    recipe = make_recipe(view, method=method, rate=rate, line_search=line_search, batches=batches, stopping=stopping)
    if checkpoint is None and checkpoint_every != "10s":
        raise DeclarationError("checkpoint_every= says how often checkpoint= is written: name the file, checkpoint='…'")
    saver = Saver(checkpoint, checkpoint_every) if checkpoint is not None else None
    run = _Run(view, recipe, callback, saver)
    source = _resumed_from(resume, saver)
    if source is not None:
        run.restore(source)
    with _progress(progress, stopping.steps) as show:
        run.go(show)
    return run.result()


def _resumed_from(resume: Any, saver: Saver | None) -> str | None:
    """The file to go on from: the one named, or with True that of the checkpoints where it is there."""
    if resume is False or resume is None:
        return None
    if resume is True:
        if saver is None:
            raise DeclarationError("resume=True goes on from the file of checkpoint=, which is not given: name the "
                                   "file in resume= or checkpoint=")
        return fspath(saver.path) if saver.path.is_file() else None
    if not isinstance(resume, str | PathLike):
        raise DeclarationError(f"resume= takes the path of a checkpoint, or True, got {resume!r}")
    return fspath(resume)


class _Run:
    """One run: the present place, the history, and why it stopped.

    A step changes ``now`` in one assignment, so that an interrupt finds the place before or the place after.
    """

    def __init__(self, view: View, recipe: Recipe, callback: Callback | None, saver: Saver | None) -> None:
        self.view, self.recipe, self.callback, self.saver = view, recipe, callback, saver
        self.method, self.stopping = recipe.method, recipe.stopping
        self.back = "back at the best point before" if recipe.feed is None else "back at the point before"
        self.lower, self.upper = view.lower, view.upper
        self.began = time.perf_counter()
        x = _frozen(np.clip(view.x0, self.lower, self.upper))
        self.moved_inside = bool((x != view.x0).any())
        value, slope = self._at_the_start(x)
        self.first = value, slope
        self.now = Place(
            step=0, x=x, value=value, slope=slope, norm=self._norm(x, slope), start=None, next_start=view.start,
            rate=recipe.rate or 0.0, state=self.method.start(x.size), best_value=value, best_x=x, best_start=None,
        )
        self.history: list[StepRecord] = []
        self.ending = Ending("", "")

    def _at_the_start(self, x: Array) -> tuple[float, Array]:
        at = self.view.point(x)
        value = self.view.sign * at.objective
        if not np.isfinite(value):
            raise DomainError(f"at the start, {_why(at)}\n  change the values of the inputs", at)
        slope = self.view.gradient_at(at)
        if not np.isfinite(slope).all():
            by = self._infinite(slope)
            raise DomainError(f"the gradient by {by} is not finite at the start: change the value of {by}", at)
        return value, slope

    def restore(self, path: str) -> None:
        """Go on where a checkpoint was written. Raises CheckpointError where it is of another run."""
        saved = read(path)
        require_same(path, saved, self._about, self.first)
        self.now, self.history = replace(saved.place, x=_frozen(saved.place.x)), saved.history
        self.view.start = self.now.next_start
        self.began -= saved.seconds

    @cached_property
    def _about(self) -> dict[str, str]:
        return describe(self.view) | self.recipe.describe()

    def _save(self) -> None:
        if self.saver is not None:
            now = self.now
            self.saver.save(Saved(self._about, now, self.history[: now.step + 1],
                                  time.perf_counter() - self.began, self.first))

    # the loop ----------------------------------------------------------------------------------------------------

    def go(self, show: Show) -> None:
        """Step until a criterion holds; Ctrl-C stops too. However it ends, the last place is saved."""
        try:
            ending = self._enter(self.now, 0.0, show) if not self.history else None
            self._save()
            while ending is None:
                ending = self._finished() or self._advance(show)
            self.ending = ending
        except KeyboardInterrupt:
            which = "last" if self.recipe.feed is not None else "best"
            self.ending = Ending("interrupted", f"interrupted: this is the {which} point so far")
        finally:
            if self.history:
                self._save()

    def _advance(self, show: Show) -> Ending | None:
        before, after = self.now, self._step()
        if isinstance(after, Ending):
            return after
        ending = self._enter(after, _length(after.x - before.x), show)
        if self.saver is not None and self.saver.due(after.step):
            self._save()
        return ending

    def _enter(self, place: Place, length: float, show: Show) -> Ending | None:
        """Take a place as the present one: into the history, to the bar and to the callback."""
        seconds, x = time.perf_counter() - self.began, place.x
        numbers = place.step, self.view.sign * place.value, place.norm, length, place.rate, seconds
        record = StepRecord(*numbers, x=x if x.size <= MOST_KEPT else None)
        self.history.append(record)
        self.now = place
        show(record)
        if self.callback is not None:
            start = place.start if self.recipe.feed is None else place.next_start
            answer = self.callback(StepRecord(*numbers, x=x, evaluate=lambda: self.view.declared_point(x, start)))
            if isinstance(answer, bool | np.bool_) and answer:
                return Ending("callback", "the callback asked to stop")
        return None

    def _finished(self) -> Ending | None:
        now, stopping = self.now, self.stopping
        if now.quiet >= self.method.patience:
            return Ending(*now.still)
        if self.recipe.feed is None and now.norm <= stopping.gradient:
            return Ending("gradient", f"the projected gradient is {now.norm:.3g}{self._at_bounds(now.x)}")
        if stopping.seconds is not None and time.perf_counter() - self.began >= stopping.seconds:
            return Ending("time", f"the time limit of {stopping.seconds:g} s was reached")
        if now.step >= stopping.steps:
            return Ending("steps", f"the limit of {stopping.steps} steps was reached")
        return None

    def _norm(self, x: Array, slope: Array) -> float:
        """How far a unit step along the (minimization) gradient gets inside the bounds; its largest entry."""
        return float(np.abs(np.clip(-slope, self.lower - x, self.upper - x)).max(initial=0.0))

    def _at_bounds(self, x: Array) -> str:
        held = [
            f"{side} bound of {self.view.inputs.element(i)}"
            for side, bound in (("lower", self.lower), ("upper", self.upper))
            for i in np.flatnonzero(x == bound).tolist()
        ]
        return f", at the {listing(held)}" if held else ""

    # a step ------------------------------------------------------------------------------------------------------

    def _step(self) -> Place | Ending:
        now = self.now
        batch = self._of_batch(now) if self.recipe.feed is not None else None
        if isinstance(batch, Ending):
            return batch
        direction, state = self.method.direction(now.x, now.slope if batch is None else batch[1], now.state)
        trial: Trial | Ending
        if batch is not None:
            rate = self._rate(now, state)
            moved = self._moved(now, direction, rate)
            trial = moved if isinstance(moved, Ending) else Trial(moved[0], *batch, moved[1], rate)
        elif self.recipe.search == "fixed":
            trial = self._trial(now, direction, self._rate(now, state))
        else:
            trial = self._backtrack(now, direction, state)
        return trial if isinstance(trial, Ending) else self._place(now, trial, state)

    def _rate(self, now: Place, state: State) -> float:
        """The rate of a step that no search shortens."""
        if self.recipe.schedule is not None:
            return rate_at(self.recipe.schedule, now.step)
        proposed = self.method.rate(state)
        if proposed is None and self.method.sets_rate:
            proposed = now.rate or self._first_rate(now)
        return float(proposed or self.recipe.rate or 0.0)

    def _first_rate(self, now: Place) -> float:
        return 1.0 / max(1.0, float(np.abs(now.slope).max(initial=0.0)))

    def _of_batch(self, now: Place) -> Measured | Ending:
        """sign·J and its gradient at x with the parameters of the step's batch."""
        feed = self.recipe.feed
        assert feed is not None
        batch = feed.at(now.step)
        if batch is None:
            return Ending("batches", f"the batches are exhausted after {now.step} steps")
        try:
            self.view.set(batch)
        except (DeclarationError, UnknownNameError) as error:
            raise naming_the_step(error, now.step) from None
        return self._measured(now.x, f"the batch of step {now.step} failed")

    def _moved(self, now: Place, direction: Array, rate: float) -> tuple[Array, Array] | Ending:
        """The step itself: P(x + rate·d), and which elements the bounds have cut."""
        with np.errstate(over="ignore", invalid="ignore"):
            aimed = now.x + rate * direction
        x = _frozen(np.clip(aimed, self.lower, self.upper))
        largest = float(np.abs(x).max())
        if not np.isfinite(largest):
            far = self.view.inputs.element(int(np.flatnonzero(~np.isfinite(x))[0]))
            return Ending("domain", f"a step of rate {rate:.3g} makes {far} infinite, {self.back}: {_UNBOUNDED}")
        return x, aimed != x

    def _trial(self, now: Place, direction: Array, rate: float) -> Trial | Ending:
        """The point after a step at a rate, or why there is no value or gradient."""
        moved = self._moved(now, direction, rate)
        if isinstance(moved, Ending):
            return moved
        x, cut = moved
        self.view.start = now.next_start  # a trial before may have met another branch of solutions
        found = self._measured(x, f"a step of rate {rate:.3g} failed")
        return found if isinstance(found, Ending) else Trial(x, *found, cut, rate)

    def _measured(self, x: Array, what: str) -> Measured | Ending:
        """sign·J, its gradient, and the start of the solve; or an ending that says what failed."""
        start = self.view.start
        try:
            value, slope = self.view.value_and_gradient(x)
        except SingularError as error:
            return Ending("domain", f"{what}: it led to where there is no gradient, {self.back}: {error}")
        except SolveError as error:
            return Ending("domain", f"{what}, {self.back}: {error}")
        if not np.isfinite(value):
            return Ending("domain", f"{what}, {self.back}: {_why(self.view.point(x))}")
        if not np.isfinite(slope).all():
            return Ending("domain", f"{what}: it led to where the gradient by {self._infinite(slope)} is not finite, "
                                    f"{self.back}")
        return value, slope, start

    def _backtrack(self, now: Place, direction: Array, state: State) -> Trial | Ending:
        """Halve the rate until the gain is Armijo's part of what the gradient promises."""
        first = self.method.rate(state) or now.rate or self._first_rate(now)
        if now.step > 0 and self.method.rate(state) is None:
            first *= 2.0  # a rate that was accepted may be too short by now
        worst = max(self.view.sign * record.objective for record in self.history[-self.method.memory :])
        rate, failure = first, None
        while rate > SMALLEST * first:
            trial = self._trial(now, direction, rate)
            if isinstance(trial, Trial):
                failure = None
                with np.errstate(over="ignore"):
                    promised = float(now.slope @ (trial.x - now.x))
                if trial.value <= worst + SUFFICIENT * promised:
                    return trial
            else:
                failure = trial
            rate /= 2.0
        return failure or Ending("objective", f"no step improves the objective beyond rounding"
                                              f"{self._at_bounds(now.x)}")

    def _place(self, now: Place, trial: Trial, state: State) -> Place | Ending:
        x = trial.x
        if float(np.abs(x).max()) > FAR:
            far = self.view.inputs.element(int(np.argmax(np.abs(x))))
            return Ending("domain", f"{far} is beyond {FAR:g}: {_UNBOUNDED}")
        if trial.cut.any():
            state = self.method.at_bounds(state, trial.cut)
        value, slope = trial.value, trial.slope
        best = now.best_value, now.best_x, now.best_start
        still, measured_at = ("", ""), x
        if self.recipe.feed is not None:  # noise knows no best point: a failure goes back to the one that was measured
            measured_at, best = now.x, (value, now.x, trial.start)
        else:
            still = self._still(now, x, value)
            if value < now.best_value:
                best = value, x, trial.start
        return Place(
            step=now.step + 1, x=x, value=value, slope=slope, norm=self._norm(measured_at, slope), start=trial.start,
            next_start=self.view.start, rate=trial.rate, state=state, best_value=best[0], best_x=best[1],
            best_start=best[2], quiet=now.quiet + 1 if still[0] else 0, still=still,
        )

    def _still(self, before: Place, x: Array, value: float) -> tuple[str, str]:
        """(reason, message) where a step or its change of the objective is within tolerance, else empty."""
        step = _length(x - before.x)
        if step <= self.stopping.step * (1.0 + _length(before.x)):
            return "step", f"the last step was {step:.3g} long{self._at_bounds(x)}"
        change = abs(value - before.value)
        if change <= self.stopping.objective * abs(before.value):
            return "objective", f"the objective changed by {change:.3g} only{self._at_bounds(x)}"
        return "", ""

    def _infinite(self, slope: Array) -> str:
        """The first input whose gradient is not finite."""
        return self.view.inputs.element(int(np.flatnonzero(~np.isfinite(slope))[0]))

    # the end -----------------------------------------------------------------------------------------------------

    def result(self) -> AscentResult:
        """What to hand back: the best point, or after batches the last, evaluated at the declared parameters."""
        now = self.now
        note = " (the start was outside its bounds and was moved inside)" if self.moved_inside else ""
        best = self.recipe.feed is None or self.ending.reason == "domain"
        x, start = (now.best_x, now.best_start) if best else (now.x, now.next_start)
        return AscentResult(
            at=self._declared(x, start), x=self.view.split(x),
            history=self.history[: now.step + 1], reason=self.ending.reason, message=self.ending.message + note,
            seconds=time.perf_counter() - self.began, inputs=self.view.inputs, settled=self._settled(now),
            method=self.method.name, batched=self.recipe.feed is not None,
        )

    def _declared(self, x: Array, start: Array | None) -> Point:
        try:
            return self.view.declared_point(x, start)
        except SolveError as error:
            raise type(error)(
                f"the run is over ({self.ending.message}), and its last point has no value with the parameters as "
                f"declared: {error}", error.at) from None

    def _settled(self, now: Place) -> bool:
        """Whether small steps or changes mean an optimum: the caller's own tolerance says so, or the gradient."""
        tolerance = {"step": self.stopping.step, "objective": self.stopping.objective}.get(self.ending.reason, 1.0)
        if tolerance > ROUNDING:
            return True
        reach = max(1.0, float(np.abs(now.best_x).max(initial=0.0)))
        return now.norm * reach <= SETTLED * max(1.0, abs(now.value))


def _frozen(x: Array) -> Array:
    """The same array, read-only: it goes into the history and to callbacks."""
    x.flags.writeable = False
    return x


def _length(vector: Array) -> float:
    """The Euclidean norm, without overflow or underflow on the way."""
    square = float(vector.dot(vector))
    if 1e-200 < square < 1e300:
        return math.sqrt(square)
    scale = float(np.abs(vector).max(initial=0.0))
    return scale * float(np.linalg.norm(vector / scale)) if scale > 0.0 else 0.0


def _why(at: Point) -> str:
    """Which function of the objective has no finite value at a point."""
    objective = at.plan.lowered.objective
    assert objective is not None
    return objective_message(objective, at.values)


def _progress(wanted: bool | None, steps: int) -> Any:
    """A context that gives the function to call at every step: a bar on a terminal, else nothing."""
    return bar("ascend", steps, wanted, lambda record: (
        record.step, f"objective {record.objective:.8g}  gradient {record.gradient_norm:.2e}"))
