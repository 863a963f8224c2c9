"""SciPy's line-search methods on a Problem: L-BFGS-B (bounds only) and SLSQP (dense, small, any constraint).

Takes a Problem, gives an Answer whose reason comes from the KKT conditions at the last point: SciPy's own word says
that something changed little, or that a line search failed, which may be at an optimum or far from it.

Where a point has no value: L-BFGS-B is told of a parabola along its search line whose lowest point lies half way, which
halves the step; SLSQP of an infinite objective, which shortens its step to a tenth.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..errors import LagrangeError
from .adapting import UNBOUNDED, Ended, NoValue, Watched, bound_multipliers, ended, falls_without_end, verdict
from .algorithm import Algorithm, Settings
from .monitor import Monitor
from .polishing import multipliers
from .problem import Answer, Array, Problem


class Softened:
    """The functions of a problem for a library that knows no failure: a point without a value has f = ∞ and, for the
    rest, the last numbers there were. Derivatives that fail where f and c are numbers end the run."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self._last: dict[str, Any] = {}

    def good(self, x: Array) -> bool:
        """Whether f and c are numbers at x."""
        try:
            self.watched.objective(x)
            self.watched.constraints(x)
        except NoValue:
            return False
        return True

    def objective(self, x: Array) -> float:
        """f(x), or ∞. Raises Stopped, and Ended where f falls without end."""
        self.watched.monitor.check()
        if not self.good(x):
            return np.inf
        value = self.watched.objective(x)
        if value < UNBOUNDED:
            raise Ended(*falls_without_end(value, "SciPy was stopped"))
        return value

    def constraints(self, x: Array) -> Array:
        """c(x) (m,)."""
        return np.asarray(self._or_last("constraints", self.watched.constraints, x))

    def gradient(self, x: Array) -> Array:
        """∇f (n,)."""
        return np.asarray(self._or_last("gradient", self.watched.gradient, x))

    def jacobian(self, x: Array) -> Any:
        """∂c/∂x, CSR (m, n)."""
        return self._or_last("jacobian", self.watched.jacobian_matrix, x)

    def _or_last(self, name: str, function: Callable[[Array], Any], x: Array) -> Any:
        if self.good(x):
            try:
                self._last[name] = function(x)
            except NoValue as error:
                raise Ended("domain", f"no derivative where f and c have values ({error})") from error
        return self._last[name]


def run_scipy(watched: Watched, settings: Settings, minimize: Callable[[], Answer]) -> Answer:
    """The start told and looked at, then ``minimize()``; Ended raised in it becomes an Answer at its point."""
    watched.start()
    try:
        watched.objective(watched.x0), watched.gradient(watched.x0)
        watched.constraints(watched.x0), watched.jacobian(watched.x0)
    except NoValue as error:
        return ended(watched, watched.x0, settings.tolerance, "domain", f"no value at the start ({error})")
    if (watched.problem.lower == watched.problem.upper).all():  # SciPy has no answer where nothing is to be chosen
        y = np.zeros(0) if not watched.problem.m else None
        z = None if y is None else _bounds_or_none(watched, watched.x0, y)
        return judged(watched, watched.x0, y, z, settings, "nothing is to be chosen")
    try:
        return minimize()
    except Ended as end:
        best = watched.monitor.best
        x = watched.x if best is None or best.x is None or end.reason == "unbounded" else best.x
        return ended(watched, x, settings.tolerance, end.reason, end.message)


def judged(watched: Watched, x: Array, y: Array | None, z: Array | None, settings: Settings, word: str) -> Answer:
    """The Answer of a run that a library ended: what the KKT conditions say; "domain" where the last points failed."""
    reason, message = verdict(watched, x, y, z, settings.tolerance, word)
    if reason == "stalled" and watched.failure is not None:
        reason, message = "domain", f"{message}; points that were tried had no value ({watched.failure})"
    if reason == "infeasible":
        y = z = None
    return ended(watched, x, settings.tolerance, reason, message, y, z)


def limited(watched: Watched, x: Array, settings: Settings) -> Answer:
    """The Answer of a run that met its limit of iterations."""
    return ended(watched, x, settings.tolerance, "iterations",
                 f"the limit of {settings.max_iterations} iterations was reached")


def scipy_minimize(*arguments: Any, **options: Any) -> Any:
    """``scipy.optimize.minimize``, imported when it is needed; that it takes an SVD of dependent rows is no warning."""
    from scipy import optimize

    minimize: Any = optimize.minimize
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Singular Jacobian matrix", UserWarning)
        return minimize(*arguments, **options)


# L-BFGS-B --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LBFGSB(Algorithm):
    """L-BFGS-B of SciPy: gradients only, bounds but no rows; any number of variables. ``memory``: pairs it keeps.

    z_j is ∂f/∂x_j at a bound. Source: Zhu, Byrd, Lu, Nocedal, ACM TOMS 23 (1997) 550–560.
    """

    name: ClassVar[str] = "l-bfgs-b"
    takes: ClassVar[frozenset[str]] = frozenset({"bounds"})

    memory: int = 20

    def __post_init__(self) -> None:
        if not isinstance(self.memory, int) or self.memory < 1:
            self._refuse("memory", "a positive whole number")

    def _run(self, problem: Problem, settings: Settings, monitor: Monitor) -> Answer:
        watched = Watched(problem, monitor)
        return run_scipy(watched, settings, lambda: self._minimize(watched, settings))

    def _minimize(self, watched: Watched, settings: Settings) -> Answer:
        from scipy import optimize

        problem, line = watched.problem, _Line(watched)
        bounds: Any = optimize.Bounds(problem.lower, problem.upper)
        options = {"ftol": 0.0, "gtol": settings.tolerance * watched.scale, "maxls": 60, "maxcor": self.memory,
                   "maxiter": settings.max_iterations, "maxfun": 2**31 - 1}
        result = scipy_minimize(line.value_and_gradient, watched.x0.copy(), jac=True, method="L-BFGS-B",
                                bounds=bounds, callback=line.accepted, options=options)
        x = watched.at(result.x)
        if result.get("nit", 0) >= settings.max_iterations:
            return limited(watched, x, settings)
        y = np.empty(0)
        return judged(watched, x, y, _bounds_or_none(watched, x, y), settings, f"L-BFGS-B: {_word(result)}")


class _Line:
    """f and ∇f along a search line from the iterate; a point without them has the iterate's f and −∇f."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.f, self.gradient = watched.objective(watched.x0), watched.gradient(watched.x0)

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        self.watched.monitor.check()
        try:
            f, gradient = self.watched.objective(x), self.watched.gradient(x)
        except NoValue:
            return self.f, -self.gradient
        if f < UNBOUNDED:
            raise Ended(*falls_without_end(f, "SciPy was stopped"))
        return f, gradient.copy()

    def accepted(self, xk: Array) -> None:
        x = self.watched.at(xk)
        try:
            self.f, self.gradient = self.watched.objective(x), self.watched.gradient(x)
        except NoValue as error:
            raise Ended("domain", f"no value at an iterate ({error})") from error
        z = bound_multipliers(self.watched, x, np.empty(0))
        self.watched.step(x, float(np.abs(self.gradient - z).max(initial=0.0)), np.empty(0), z)


# SLSQP -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SLSQP(Algorithm):
    """SLSQP of SciPy: gradients only, any constraint, dense work of O(n³) an iteration: for up to some hundred
    variables.

    Multipliers where SciPy has them (1.16 and later). SLSQP stops where f changes little; where the KKT conditions do
    not hold there, it starts again from that point, twice. Source: Kraft, DFVLR-FB 88-28 (1988).
    """

    name: ClassVar[str] = "slsqp"
    takes: ClassVar[frozenset[str]] = frozenset({"bounds", "equalities", "inequalities"})

    def _run(self, problem: Problem, settings: Settings, monitor: Monitor) -> Answer:
        watched = Watched(problem, monitor)
        return run_scipy(watched, settings, lambda: self._minimize(watched, settings))

    def _minimize(self, watched: Watched, settings: Settings) -> Answer:
        rows, x, left = _Rows(watched), watched.x0, settings.max_iterations
        for tolerance, most in ((1e-4, left), (1e-6, 50), (1e-8, 50)):
            result = rows.solve(x, settings.tolerance * tolerance, min(left, most))
            x, left = watched.at(result.x), left - int(result.get("nit", 0))
            y, z = rows.multipliers(x, result)
            judging = (y, z) if y is not None else rows.estimated(x)
            if left <= 0 or _residual(watched, x, *judging) <= settings.tolerance:
                break
        answer = judged(watched, x, *judging, settings, f"SLSQP: {_word(result)}")
        if left <= 0 and answer.reason != "solved":
            return limited(watched, x, settings)
        if y is None:
            answer.y = answer.z = None
        return answer


class _Rows:
    """Rows as SLSQP takes them: equations e(x) = 0, and inequalities g(x) ≥ 0, lower bounds before upper ones."""

    def __init__(self, watched: Watched) -> None:
        self.watched, self.soft, self._told = watched, Softened(watched), watched.x0
        lower, upper = watched.problem.row_lower, watched.problem.row_upper
        equal = lower == upper
        self.equal = np.flatnonzero(equal)
        self.low = np.flatnonzero(~equal & np.isfinite(lower))
        self.high = np.flatnonzero(~equal & np.isfinite(upper))

    def solve(self, x: Array, tolerance: float, iterations: int) -> Any:
        """One run of SLSQP."""
        from scipy import optimize

        problem = self.watched.problem
        kinds = [{"type": "eq", "fun": self._equations, "jac": self._equations_jacobian}] if len(self.equal) else []
        if len(self.low) + len(self.high):
            kinds.append({"type": "ineq", "fun": self._inequalities, "jac": self._inequalities_jacobian})
        result = scipy_minimize(self.soft.objective, x.copy(), jac=self._gradient, method="SLSQP",
                                bounds=optimize.Bounds(problem.lower, problem.upper), constraints=kinds,
                                options={"ftol": tolerance, "maxiter": iterations})
        self._tell(result.x)
        return result

    def _gradient(self, x: Array) -> Array:
        """∇f, which SLSQP asks for at iterates alone; its callback has the first point of a line search."""
        self._tell(x)
        return self.soft.gradient(x).copy()

    def _tell(self, x: Array) -> None:
        x = self.watched.at(x)
        if not np.array_equal(x, self._told):
            self._told = x
            self.watched.step(x)

    def _equations(self, x: Array) -> Array:
        return self.soft.constraints(x)[self.equal] - self.watched.problem.row_lower[self.equal]

    def _equations_jacobian(self, x: Array) -> Array:
        return np.asarray(self.soft.jacobian(x)[self.equal].toarray())

    def _inequalities(self, x: Array) -> Array:
        c, problem = self.soft.constraints(x), self.watched.problem
        return np.concatenate([c[self.low] - problem.row_lower[self.low], problem.row_upper[self.high] - c[self.high]])

    def _inequalities_jacobian(self, x: Array) -> Array:
        jacobian = self.soft.jacobian(x)
        return np.concatenate([jacobian[self.low].toarray(), -jacobian[self.high].toarray()])

    def multipliers(self, x: Array, result: Any) -> tuple[Array | None, Array | None]:
        """y (m,) from SLSQP's own of e and g, z (n,) from ∇f = Jᵀy + z; None where this SciPy has none."""
        given = getattr(result, "multipliers", None)
        if given is None:
            return None, None
        y = np.zeros(self.watched.problem.m)
        equations, low = len(self.equal), len(self.low)
        y[self.equal] = given[:equations]
        y[self.low] += given[equations: equations + low]
        y[self.high] -= given[equations + low: equations + low + len(self.high)]
        return y, _bounds_or_none(self.watched, x, y)

    def estimated(self, x: Array) -> tuple[Array | None, Array | None]:
        """Multipliers by least squares, to judge a point by where this SciPy tells none."""
        try:
            if not np.isfinite(self.watched.residuals(x, None, None).largest):
                return None, None
            return multipliers(self.watched.problem, self.watched.at(x))
        except (NoValue, LagrangeError):
            return None, None


def _residual(watched: Watched, x: Array, y: Array | None, z: Array | None) -> float:
    """The largest scaled KKT residual; ∞ where there are no multipliers or no values."""
    try:
        return np.inf if y is None or z is None else watched.residuals(x, y, z).largest
    except NoValue:
        return np.inf


def _bounds_or_none(watched: Watched, x: Array, y: Array) -> Array | None:
    try:
        return bound_multipliers(watched, x, y)
    except NoValue:
        return None


def _word(result: Any) -> str:
    """What SciPy says, on one line."""
    word = result.message.decode() if isinstance(result.message, bytes) else str(result.message)
    return " ".join(word.split()).rstrip(".")
