"""What adapters of other libraries share: a Problem evaluated once a point, failures told apart, iterates judged.

Takes a Problem and the Monitor of a run; gives values that are numbers (or raises NoValue), and says of a point, by the
KKT conditions and not by the word of a library, whether it is an optimum.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np

from ..errors import LagrangeError
from .kkt import Point, Residuals, residuals
from .monitor import Monitor, infeasibility
from .problem import Answer, Array, Problem

LOOSE = 100.0
"""A point is an optimum where the scaled KKT residuals are within so many tolerances: libraries scale in other ways."""

UNBOUNDED = -1e20
"""An objective below this has no lower bound."""


FALLEN = -1e30
"""The objective that a library is told of when it is to stop."""


class NoValue(Exception):
    """The functions have no value at a point: an algorithm is to back off from it."""


class Ended(Exception):
    """An adapter ends a run from inside a callback; ``reason`` and ``message`` as of an Answer."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class Watched:
    """The functions of a problem at the point at hand, each evaluated once; what is no number raises NoValue.

    Libraries relax bounds by a rounding (1e-8), where √x has no value below x = 0: there the point within the bounds is
    asked instead.
    """

    def __init__(self, problem: Problem, monitor: Monitor) -> None:
        self.problem, self.monitor = problem, monitor
        self.x0 = self.x = np.clip(problem.x0, problem.lower, problem.upper)
        self.x.flags.writeable = False
        self.failure: str | None = None
        self.scale = 1.0
        self._kept: dict[str, Any] = {}

    def at(self, x: Array) -> Array:
        """A copy of x that stays as it is; the same object while x is the same point."""
        if not np.array_equal(x, self.x):
            self.x, self._kept = np.array(x, dtype=float), {}
            self.x.flags.writeable = False
        return self.x

    def objective(self, x: Array) -> float:
        """f(x), a finite number."""
        return float(self._value("objective", self.at(x)))

    def gradient(self, x: Array) -> Array:
        """∇f (n,)."""
        return np.asarray(self._value("gradient", self.at(x)))

    def constraints(self, x: Array) -> Array:
        """c(x) (m,)."""
        return np.asarray(self._value("constraints", self.at(x)))

    def jacobian(self, x: Array) -> Array:
        """Numbers of ∂c/∂x at the problem's structure."""
        return np.asarray(self._value("jacobian", self.at(x)))

    def hessian(self, x: Array, sigma: float, y: Array) -> Array:
        """Numbers of σ∇²f + Σ y_i ∇²c_i at the problem's structure."""
        return np.asarray(self._evaluate("hessian", self.at(x), float(sigma), np.array(y)))

    def product(self, x: Array, sigma: float, y: Array, v: Array) -> Array:
        """(σ∇²f + Σ y_i ∇²c_i) v (n,)."""
        return np.asarray(self._evaluate("hessian_product", self.at(x), float(sigma), np.array(y), np.array(v)))

    def jacobian_matrix(self, x: Array) -> Any:
        """∂c/∂x, scipy.sparse CSR (m, n)."""
        from scipy import sparse

        structure = self.problem.jacobian_structure
        return sparse.csr_array((self.jacobian(x), structure), shape=(self.problem.m, self.problem.n))

    def hessian_matrix(self, x: Array, sigma: float, y: Array) -> Any:
        """σ∇²f + Σ y_i ∇²c_i, scipy.sparse CSR (n, n)."""
        try:
            matrix = self.problem.hessian_matrix(self.at(x), sigma, y)
        except LagrangeError as error:
            raise NoValue(self._fail("hessian", str(error))) from error
        if not np.isfinite(matrix.data).all():
            raise NoValue(self._fail("hessian", "the value is no number"))
        return matrix

    def _value(self, name: str, x: Array) -> Any:
        if name not in self._kept:
            self._kept[name] = self._evaluate(name, x)
        return self._kept[name]

    def _evaluate(self, name: str, x: Array, *rest: Any) -> Any:
        try:
            return self._number(name, x, *rest)
        except NoValue:
            inside = np.clip(x, self.problem.lower, self.problem.upper)
            near = np.abs(inside - x) <= 1e-6 * np.maximum(1.0, np.abs(inside))
            if np.array_equal(inside, x) or not near.all():
                raise
            return self._number(name, inside, *rest)

    def _number(self, name: str, x: Array, *rest: Any) -> Any:
        try:
            value = getattr(self.problem, name)(x, *rest)
        except LagrangeError as error:
            raise NoValue(self._fail(name, str(error))) from error
        if not np.isfinite(value).all():
            raise NoValue(self._fail(name, self._which(name, value)))
        return value

    def _which(self, name: str, value: Any) -> str:
        """Which of some numbers is none, by name."""
        bad = np.flatnonzero(~np.isfinite(np.ravel(value)))
        at = int(bad[0])
        if name == "constraints":
            return f"{self.problem.row_name(at)} is {np.ravel(value)[at]}"
        if name == "gradient":
            return f"the derivative by {self.problem.variable_name(at)} is {np.ravel(value)[at]}"
        if name == "jacobian":
            rows, columns = (int(part[at]) for part in self.problem.jacobian_structure)
            return f"∂({self.problem.row_name(rows)})/∂({self.problem.variable_name(columns)}) is {np.ravel(value)[at]}"
        return "the value is no number"

    def _fail(self, name: str, why: str) -> str:
        self.failure = f"{name.replace('_', ' ')}: {why}"
        return self.failure

    # iterates --------------------------------------------------------------------------------------------------

    def step(self, x: Array, stationarity: float = np.nan, y: Array | None = None, z: Array | None = None) -> None:
        """Tell the monitor of an accepted iterate, the start included. Raises Stopped."""
        point = self.at(x)
        self.monitor.step(point, _or_nan(self.objective, point), self.infeasibility(point), stationarity, y, z)

    def start(self) -> None:
        """Tell the monitor of the start (x0 within its bounds), and take the scale of ∇f there: its largest entry/100,
        at least 1."""
        self.step(self.x0)
        try:
            self.scale = max(1.0, float(np.abs(self.gradient(self.x0)).max(initial=0.0)) / 100.0)
        except NoValue:
            self.scale = 1.0

    def infeasibility(self, x: Array) -> float:
        """The largest violation of a row or of a bound; NaN where a row has no value."""
        x = self.at(x)
        try:
            return infeasibility(self.problem, x, self.constraints(x))
        except NoValue:
            return np.nan

    def residuals(self, x: Array, y: Array | None, z: Array | None) -> Residuals:
        """The KKT residuals at x, with multipliers 0 where there are none. Raises NoValue."""
        problem = self.problem
        point = Point(problem, self.at(x), np.zeros(problem.m) if y is None else y,
                      np.zeros(problem.n) if z is None else z)
        point.__dict__.update(objective=self.objective(x), gradient=self.gradient(x), values=self.constraints(x),
                              jacobian=self.jacobian_matrix(x), hessian=self._hessian_to_scale(x, point.y))
        return residuals(point)

    def _hessian_to_scale(self, x: Array, y: Array) -> Any:
        """∇²L for the sizes of gradients; None where it has no value or no matrix."""
        if not self.problem.second_order or self.problem.hessian_structure is None:
            return None
        failure = self.failure
        try:
            return self.hessian_matrix(x, 1.0, -y)
        except NoValue:
            self.failure = failure
            return None

    def worst(self, found: Residuals) -> str:
        """The row or bound that is violated most, by name and amount."""
        place, by = found.primal.at, f"{found.primal.absolute:.3g}"
        if place is None:
            return "nothing is violated"
        if place[0] == "row":
            return f"{self.problem.row_name(place[1])} is violated by {by}"
        return f"{self.problem.variable_name(place[1])} is out of its bounds by {by}"

    def within_bounds(self, x: Array, tolerance: float) -> Array:
        """x inside its bounds, unless rows then miss by more than they did and than ``tolerance``."""
        x = self.at(x)
        inside = np.clip(x, self.problem.lower, self.problem.upper)
        if np.array_equal(inside, x):
            return x
        before, after = self.infeasibility(x), self.infeasibility(inside)
        return inside if np.isnan(before) or after <= max(2.0 * before, tolerance) else x


def bound_multipliers(watched: Watched, x: Array, y: Array, active: float = 1e-7) -> Array:
    """z (n,): the part of ∇f − Jᵀy that bounds within ``active`` of x may hold, 0 elsewhere. Raises NoValue."""
    problem = watched.problem
    residual = watched.gradient(x) - watched.jacobian_matrix(x).T @ y
    near = active * np.maximum(1.0, np.abs(x))
    at_lower, at_upper = x - problem.lower <= near, problem.upper - x <= near
    return np.where(at_lower & (residual > 0) | at_upper & (residual < 0), residual, 0.0)


def verdict(watched: Watched, x: Array, y: Array | None, z: Array | None, tolerance: float,
            word: str) -> tuple[str, str]:
    """Reason and message of a run that a library ended with ``word``, by the KKT conditions at its last point.

    Without multipliers (y or z None) an optimum cannot be told: a feasible point is "stalled".
    """
    try:
        found = watched.residuals(x, y, z)
        if found.primal.scaled > LOOSE * tolerance:
            return infeasible(watched, x, found, word)
        if watched.objective(x) < UNBOUNDED:
            return falls_without_end(watched.objective(x), word)
    except NoValue as error:
        return "domain", f"no value where the run ended ({error})"
    if y is None or z is None:
        return "stalled", f"no step improves the objective ({word})"
    if found.largest <= LOOSE * tolerance:
        return "solved", f"an optimum: the KKT conditions hold within {max(found.largest, tolerance):.0e}"
    return "stalled", f"no step improves, yet this is no optimum: {_sizes(found)} ({word})"


def infeasible(watched: Watched, x: Array, found: Residuals, word: str) -> tuple[str, str]:
    """Reason and message at a point that violates something: "infeasible" where no direction makes that less."""
    where = watched.worst(found)
    if _violation_is_least(watched, x):
        return "infeasible", f"{where}, and no point near by violates less: limits may contradict each other ({word})"
    return "stalled", f"no step improves, and {where} ({word})"


def falls_without_end(value: float, word: str) -> tuple[str, str]:
    """Reason and message of an objective without a lower bound."""
    return "unbounded", f"the objective falls without end: it is {value:.3g} ({word})"


def own_scaling(watched: Watched, x: Array, y: Array, z: Array, library: str) -> str:
    """The message of an optimum that a library sees in its own scaling, and we do not."""
    try:
        return f"an optimum in the scaling of {library}; in ours {_sizes(watched.residuals(x, y, z))}"
    except NoValue as error:
        return f"an optimum by {library}, though its derivatives have no value ({error})"


def _sizes(found: Residuals) -> str:
    return (f"infeasibility {found.primal.scaled:.1e}, stationarity {found.stationarity.scaled:.1e}, "
            f"complementarity {max(found.complementarity.scaled, found.signs.scaled):.1e}")


def ended(watched: Watched, x: Array, settings_tolerance: float, reason: str, message: str, y: Array | None = None,
          z: Array | None = None) -> Answer:
    """The Answer of a run: x inside its bounds where that costs nothing, iterations as the monitor counted them."""
    inside = watched.within_bounds(x, settings_tolerance)
    return Answer(np.array(inside), reason, message, y, z, max(len(watched.monitor.history) - 1, 0))


class Guard:
    """Callbacks of a library that swallows exceptions: the first one is kept, and raised again after the run.

    NoValue goes through, as the exception type that tells the library of a point without a value. After any other no
    function of the user is asked again. What the library gets instead then makes it accept its step, a fallen objective
    and rows that hold, so that it comes at once to where it can be stopped: failures would send it to look for other
    points first, for many times the time of an iteration.
    """

    def __init__(self, problem: Problem, failing: type[Exception] = NoValue) -> None:
        self.raised: BaseException | None = None
        self._problem, self._failing = problem, failing
        self._handler: Callable[[int, FrameType | None], None] | None = None

    def run(self, function: Callable[..., Any], *arguments: Any) -> bool:
        """Call function(*arguments): whether it ended well. Raises what the library takes for a failure."""
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
        if self.raised is None:
            try:
                function(*arguments)
                return True
            except NoValue as error:
                raise self._failing(str(error)) from error
            except BaseException as error:
                self.raised = self.raised or error
        return False

    def fill(self, name: str, out: Array, function: Callable[..., Array], *arguments: Any) -> Array:
        """function(*arguments) written to ``out``, or what stands in for ``name`` where the run is to end."""
        def write() -> None:
            out[...] = function(*arguments)

        if not self.run(write):
            out[...] = self._instead(name)
        return out

    def _instead(self, name: str) -> Any:
        if name == "objective":
            return FALLEN
        if name == "constraints":
            return np.clip(0.0, self._problem.row_lower, self._problem.row_upper)
        if name == "hessian" and self._problem.hessian_structure is not None:
            rows, columns = self._problem.hessian_structure
            return np.where(rows == columns, 1.0, 0.0)
        return 0.0

    @contextmanager
    def interrupts(self) -> Iterator[None]:
        """Keep a Ctrl-C by the signal's own handler: what is raised where a callback begins, none of ours can catch.
        Libraries may put a handler of theirs in its place, so callbacks put it back. Other threads have none."""
        previous = signal.getsignal(signal.SIGINT)
        if not callable(previous) or threading.current_thread() is not threading.main_thread():
            yield
            return

        def handler(number: int, frame: FrameType | None) -> None:
            try:
                previous(number, frame)
            except BaseException as error:
                self.raised = self.raised or error
                raise

        self._handler = handler
        signal.signal(signal.SIGINT, handler)
        try:
            yield
        finally:
            self._handler = None
            signal.signal(signal.SIGINT, previous)

    def release(self) -> None:
        """Raise what was kept, as it was raised first: the same object with its own traceback."""
        if self.raised is not None:
            error, self.raised = self.raised, None
            try:
                raise error
            finally:
                del error


def _or_nan(function: Callable[[Array], float], x: Array) -> float:
    try:
        return function(x)
    except NoValue:
        return np.nan


def _violation_is_least(watched: Watched, x: Array) -> bool:
    """Whether ½|violation|² of rows is stationary within the bounds: no direction makes it smaller, to first order."""
    problem = watched.problem
    values = watched.constraints(x)
    signed = np.maximum(problem.row_lower - values, 0.0) - np.maximum(values - problem.row_upper, 0.0)
    jacobian = watched.jacobian_matrix(x)
    downhill = jacobian.T @ signed
    near = 1e-6 * np.maximum(1.0, np.abs(x))
    blocked = (x - problem.lower <= near) & (downhill < 0) | (problem.upper - x <= near) & (downhill > 0)
    free = np.where(blocked, 0.0, downhill)
    size = np.linalg.norm(abs(jacobian).T @ np.abs(signed))
    return bool(np.linalg.norm(free) <= 1e-3 * size)
