"""Branches of solutions in one parameter, round turning points: a program as a curve, and what following it hands back.

All equations are one system in all unknowns, auxiliaries included; its sparse pattern is made once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from ..errors import ConvergenceError, DeclarationError
from ..expression import Array, Expression, evaluate
from ..program import Declarations
from ..progress import bar
from ..solution import Plan, Point, plan_of
from ..solution.evaluation import evaluate_program
from ..solution.full import Pattern, complete, residuals
from ..text import listing, number
from .continuation import Spot, Stuck, trace
from .course import solved_state
from .grid import Over, given_elements
from .ledger import SOLVED, Ledger
from .result import Sweep

FLOOR = 0.1
"""An unknown near 0 is measured by this part of what it changes by when the parameter changes by its size."""


class ProgramCurve:
    """The equations of a plan in their unknowns and one given element, the parameter, which stands last."""

    def __init__(self, plan: Plan, z: Array, parameter: int, size: float) -> None:
        lowered = plan.lowered
        self.plan, self._z, self._size = plan, z.copy(), size
        hidden = np.arange(lowered.n_user, lowered.state.size)
        found = np.flatnonzero(plan.unknown[: lowered.n_user])
        self.columns = np.concatenate([found, hidden, [parameter]])
        self._offset = np.zeros(lowered.n_all_rows)
        self._hidden = slice(len(found), len(found) + len(hidden))
        symbols = np.searchsorted(lowered.state.start, found, side="right")
        self._blocks = np.flatnonzero(np.diff(symbols, prepend=-1))
        self._counts = np.diff(self._blocks, append=len(found))
        low, high = (np.full(len(self.columns), end) for end in (-np.inf, np.inf))
        for symbol in lowered.symbols.values():
            if symbol.domain != (-np.inf, np.inf):
                where = lowered.state.slices[symbol.name]
                inside = (self.columns >= where.start) & (self.columns < where.stop)
                low[inside], high[inside] = symbol.domain
        self.low, self.high = low, high
        self._pattern, self._sums = self._make_pattern()
        self._floor = self._largest = np.empty(0)

    def _make_pattern(self) -> tuple[Pattern, Any]:
        """Where the entries of the Jacobian go, and what computes the numbers, the −1 of lonely left sides included."""
        lowered = self.plan.lowered
        place = np.full(lowered.state.size, -1, dtype=np.int64)
        place[self.columns] = np.arange(len(self.columns))
        i, j = self.plan.everything.jacobian_pattern()
        i = np.where(i < lowered.n_rows, i, -1)
        explicit = np.flatnonzero(lowered.own >= 0)
        left = place[lowered.own[explicit]]
        pattern = Pattern(np.concatenate([place[j], left]), np.concatenate([i, explicit]),
                          (len(self.columns), lowered.n_rows))  # of the transposed matrix, whose CSR is our CSC
        constant = np.zeros(pattern.size)
        constant[pattern.slot[len(i) :][left >= 0]] = -1.0
        return pattern, self.plan.everything.prepared_sums("jacobian", pattern.slot[: len(i)], constant)

    def state(self, y: Array) -> Array:
        """The whole state."""
        self._z[self.columns] = y
        return self._z

    def settle(self, y: Array) -> Array:
        """y with its auxiliaries computed."""
        if self._hidden.stop == self._hidden.start:
            return y
        return np.asarray(complete(self.plan, self.state(y), None)[self.columns])

    def residual(self, y: Array) -> Array:
        """r of all equation rows."""
        return residuals(self.plan, self.state(y), self._offset)[: self.plan.lowered.n_rows]

    def jacobian(self, y: Array) -> Any:
        """∂r/∂y, CSC."""
        from scipy import sparse

        numbers = self._sums(self.state(y))
        shape = (self.plan.lowered.n_rows, len(self.columns))
        return sparse.csc_array((numbers, self._pattern.columns, self._pattern.indptr), shape=shape)

    def measure(self, slope: Array) -> None:
        """Take d(unknowns)/d(parameter) at the beginning for the least sizes of the unknowns."""
        end = self._hidden.start
        self._floor = np.maximum(self._by_symbol(slope[:end]) * self._size * FLOOR, 1e-12)
        self._largest = np.zeros(end)

    def sizes(self, y: Array) -> Array:
        """The largest element of each symbol so far, or the part of its change at the beginning; auxiliaries: infinite.
        """
        sizes, end = np.full(len(y), np.inf), self._hidden.start
        self._largest = np.maximum(self._largest, self._by_symbol(y[:end]))
        sizes[:end] = np.maximum(self._largest, self._floor)
        sizes[-1] = max(self._size, abs(float(y[-1])))
        return sizes

    def _by_symbol(self, numbers: Array) -> Array:
        """For every unknown the largest |number| of its symbol."""
        if not len(numbers):
            return numbers
        return np.repeat(np.maximum.reduceat(np.abs(numbers), self._blocks), self._counts)


class Branch(Sweep):
    """The points of a branch, in the order in which they were come to: a :class:`Sweep` in the values of its parameter.

    ``b.turning`` are the indices of the turning points, where the parameter goes back: there the solution is found to
    full accuracy with dλ/ds = 0, and there is no gradient. ``b.reason`` says why it ended: "limit" of the parameter,
    "steps", "until", "stuck", "callback", "time" or "interrupted".
    """

    def __init__(self, plan: Plan, over: Over, ledger: Ledger, reason: str, seconds: float, turning: list[int],
                 why: str = "") -> None:
        super().__init__(plan, over, ledger, reason, seconds)
        self.turning, self._why = turning, why

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "turning": self.turning, "_why": self._why}

    @property
    def success(self) -> bool:
        """Whether it ended where it was to: at a limit, a condition, a number of steps or by the callback."""
        return self.reason in ("limit", "until", "steps", "callback")

    @property
    def message(self) -> str:
        """How it ended, in words."""
        name, values = self.names[0], self._over.given[:, 0]
        turned = listing([number(values[i]) for i in self.turning])
        found = f"turning at {name} = {turned}" if turned else "no turning point"
        ends = {"limit": f"{name} is at its limit", "steps": "the number of steps was reached",
                "until": "the condition of until= holds", "callback": "the callback asked to stop",
                "time": "the time limit was reached", "interrupted": "interrupted",
                "stuck": f"it goes no further: {self._why}"}
        return f"{len(self)} points, {found}; {ends[self.reason]}"

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain Python data, for JSON."""
        return {**super().as_dict(), "turning": list(self.turning)}

    @property
    def _marks(self) -> Array:
        return np.asarray(self.turning, dtype=np.int64)

    def _title(self) -> str:
        return "branch"


@dataclass(frozen=True)
class Following:
    """How to follow a branch; see ``Program.follow``."""

    direction: Any = 1
    lower: Any = None
    upper: Any = None
    steps: Any = 200
    step: Any = 0.1
    until: Any = None
    start: Any = None
    callback: Callable[[int, Point], Any] | None = None
    progress: bool | None = None
    time_limit: float | None = None


def follow(program: Declarations, parameter: Any, course: Following) -> Branch:
    """Follow the branch of solutions from where the program is declared; ``Program.follow`` says how."""
    plan = plan_of(program)
    name, elements = given_elements(program, plan, parameter)
    if elements.size != 1:
        raise DeclarationError(f"a branch is followed in one number, and {name!r} has shape {elements.shape}: name an "
                               f"element of it, '{name}[0]'")
    _check(course)
    if isinstance(course.start, Point) and course.start.plan is plan:
        at = course.start
    else:
        at = evaluate_program(program, {}, start=course.start)
    return _Run(plan, name, int(elements.ravel()[0]), at, course).result()


def _check(course: Following) -> None:
    for what in ("direction", "step"):
        value = getattr(course, what)
        if not isinstance(value, Real) or isinstance(value, bool) or not np.isfinite(float(value)) or value == 0:
            raise DeclarationError(f"{what} must be a number other than 0, got {value!r}")
    if course.step < 0:
        raise DeclarationError(f"step must be positive, got {course.step!r}: direction=-1 goes the other way")
    if not isinstance(course.steps, Integral) or isinstance(course.steps, bool) or course.steps < 0:
        raise DeclarationError(f"steps must be an integer ≥ 0, got {course.steps!r}")
    if course.callback is not None and not callable(course.callback):
        raise DeclarationError(f"callback must be a function of a number and a point, got {course.callback!r}")
    if course.time_limit is not None and not (isinstance(course.time_limit, Real) and course.time_limit >= 0):
        raise DeclarationError(f"time_limit must be a number of seconds ≥ 0, got {course.time_limit!r}")
    until = course.until
    if until is not None and not (isinstance(until, Expression) and until.is_boolean and until.shape == ()):
        raise DeclarationError(f"until= is a comparison of scalars, such as np.max(u) >= 5, got {until!r}")


class _Run:
    """One branch on its way."""

    def __init__(self, plan: Plan, name: str, parameter: int, at: Point, course: Following) -> None:
        self.plan, self.name, self.parameter, self.course = plan, name, parameter, course
        self.at = at
        here = float(at.state[parameter])
        ends = (_limit("lower", course.lower, -np.inf), _limit("upper", course.upper, np.inf))
        if not ends[0] <= here <= ends[1]:
            raise DeclarationError(f"{name} = {number(here)} lies outside of its limits, {number(ends[0])} and "
                                   f"{number(ends[1])}: begin inside, p.set({name}=...)")
        self.limits = ends
        far = [abs(end - here) for end in ends if np.isfinite(end) and end != here]
        self.size = max([abs(here), *far]) or 1.0
        self.spots: list[Spot] = []
        self.states: list[Array] = []
        self.began = time.perf_counter()

    def result(self) -> Branch:
        """Go on to the end."""
        reason, why = "limit", ""
        try:
            with bar("follow", int(self.course.steps), self.course.progress, self._progress) as show:
                for number_of_point in self._points():
                    show(number_of_point)
                    ended = self._ended(number_of_point)
                    if ended:
                        reason = ended
                        break
        except Stuck as error:
            reason, why = "stuck", str(error)
            if not self.spots:
                raise ConvergenceError(f"the branch of {self.plan.lowered.name!r} in {self.name} cannot be followed: "
                                       f"{why}", self.at) from None
        except KeyboardInterrupt:
            reason = "interrupted"
        n = min(len(self.spots), len(self.states))
        turning = [i for i, spot in enumerate(self.spots[:n]) if spot.is_turning]
        return Branch(self.plan, self._over(n), self._ledger(n), reason, time.perf_counter() - self.began, turning, why)

    def _points(self) -> Iterator[int]:
        curve = ProgramCurve(self.plan, self.at.state, self.parameter, self.size)
        y = self.at.state[curve.columns]
        for spot in trace(curve, y, float(self.course.direction), float(self.course.step), self.limits):
            self.states.append(curve.state(spot.y)[: self.plan.lowered.n_user].copy())
            self.spots.append(spot)
            yield len(self.spots) - 1

    def _over(self, n: int) -> Over:
        given = np.array([spot.y[-1] for spot in self.spots[:n]]).reshape(n, 1)
        return Over((self.name,), ((),), (n,), given, np.array([self.parameter]), np.arange(n))

    def _ledger(self, n: int) -> Ledger:
        return Ledger(np.full(n, SOLVED, dtype=np.int8), np.array(self.states[:n]))

    def _progress(self, point: int) -> tuple[int, str]:
        turned = sum(spot.is_turning for spot in self.spots)
        return point, f"{self.name} = {self.spots[point].y[-1]:.6g}" + (f"  {turned} turned" if turned else "")

    def _ended(self, point: int) -> str:
        """Why the branch ends at a point; empty where it goes on."""
        course = self.course
        if course.callback is not None or course.until is not None:
            at = Point(self.plan, solved_state(self.plan, self.states[point].copy()))
            answer = course.callback(point, at) if course.callback is not None else None
            if isinstance(answer, bool | np.bool_) and answer:
                return "callback"
            if course.until is not None and bool(evaluate(course.until, at.values)):
                return "until"
        if course.time_limit is not None and time.perf_counter() - self.began >= course.time_limit:
            return "time"
        return "steps" if point - sum(spot.is_turning for spot in self.spots) >= course.steps else ""


def _limit(what: str, value: Any, missing: float) -> float:
    if value is None:
        return missing
    if not isinstance(value, Real) or isinstance(value, bool) or np.isnan(float(value)):
        raise DeclarationError(f"{what} must be a number, got {value!r}")
    return float(value)
