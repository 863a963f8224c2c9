"""Ipopt (cyipopt, where it is installed): the interior-point method of A. Wächter and L. T. Biegler.

Takes a Problem as callbacks, gives x with the multipliers of every row and bound. Ipopt's L = f + λᵀc − z_Lᵀx + z_Uᵀx,
so y = −λ and z = z_L − z_U.

Source: Wächter & Biegler, Math. Programming 106 (2006) 25–57.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..errors import DeclarationError
from .adapting import Guard, NoValue, Watched, bound_multipliers, ended, own_scaling, verdict
from .algorithm import Algorithm, Settings
from .monitor import Monitor
from .problem import Answer, Array, Problem

WARM = {"warm_start_init_point": "yes", "mu_init": 1e-4, "warm_start_bound_push": 1e-6,
        "warm_start_slack_bound_push": 1e-6, "warm_start_mult_bound_push": 1e-6}
"""Options of a run that starts with multipliers."""

SILENT = {"print_level": 0, "sb": "yes"}


@dataclass(frozen=True)
class Ipopt(Algorithm):
    """Ipopt by the package cyipopt, which is no part of this library's installation.

    ``hessian``: "auto" is the exact one where the problem has it as a matrix, else "lbfgs"; or "exact", "lbfgs".
    ``options``: of Ipopt by its own names, such as ``{"mu_strategy": "adaptive", "linear_solver": "mumps"}``.

    Points without a value shorten its steps. Multipliers to start from are used, with a small barrier. A Ctrl-C or an
    error is noticed at the next evaluation.
    """

    name: ClassVar[str] = "ipopt"
    takes: ClassVar[frozenset[str]] = frozenset({"bounds", "equalities", "inequalities"})

    hessian: str = "auto"
    options: Mapping[str, Any] | None = field(default=None)

    def __post_init__(self) -> None:
        if self.hessian not in ("auto", "exact", "lbfgs"):
            self._refuse("hessian", "'auto', 'exact' or 'lbfgs'")
        if self.options is not None and not isinstance(self.options, Mapping):
            self._refuse("options", "a dict of Ipopt's options")

    def _run(self, problem: Problem, settings: Settings, monitor: Monitor) -> Answer:
        cyipopt = imported()
        exact = self._exact(problem)
        watched = Watched(problem, monitor)
        callbacks = _Callbacks(watched, cyipopt.CyIpoptEvaluationError)
        solver = cyipopt.Problem(n=problem.n, m=problem.m, problem_obj=callbacks, lb=problem.lower, ub=problem.upper,
                                 cl=problem.row_lower, cu=problem.row_upper)
        self._set_options(solver, exact, settings)
        watched.start()
        with callbacks.guard.interrupts():
            x, info = solver.solve(watched.x0.copy(), **_multipliers(problem, settings))
        solver.close()
        callbacks.guard.release()
        return _answer(watched, np.asarray(x), info, settings)

    def _exact(self, problem: Problem) -> bool:
        has = problem.second_order and problem.hessian_structure is not None
        if self.hessian == "exact" and not has:
            raise DeclarationError("Ipopt's hessian='exact' needs a Hessian with its structure, and this problem has "
                                   f"{'products with it only' if problem.second_order else 'none'}: try "
                                   "hessian='lbfgs', or 'auto'")
        return has and self.hessian != "lbfgs"

    def _set_options(self, solver: Any, exact: bool, settings: Settings) -> None:
        options = SILENT | {"tol": float(settings.tolerance), "max_iter": int(settings.max_iterations),
                            "hessian_approximation": "exact" if exact else "limited-memory"}
        if settings.y0 is not None:
            options |= WARM
        for option, value in (options | dict(self.options or {})).items():
            try:
                solver.add_option(option, value)
            except TypeError as error:
                raise DeclarationError(f"Ipopt does not take {value!r} for an option {option!r}; its documentation "
                                       "lists names and types") from error


def imported() -> Any:
    """The module cyipopt. Raises DeclarationError, with what to try, where it cannot be imported."""
    try:
        import cyipopt
    except ImportError as error:
        raise DeclarationError(f"'ipopt' needs the package cyipopt, which cannot be imported here ({error}): install "
                               "Ipopt and it (conda install -c conda-forge cyipopt, or pip install cyipopt where "
                               "Ipopt's headers are), or choose 'uno', whose preset follows Ipopt") from error
    return cyipopt


def _multipliers(problem: Problem, settings: Settings) -> dict[str, Array]:
    if settings.y0 is None:
        return {}
    z = np.zeros(problem.n) if settings.z0 is None else settings.z0
    return {"lagrange": -settings.y0, "zl": np.maximum(z, 0.0), "zu": np.maximum(-z, 0.0)}


class _Callbacks:
    """What cyipopt calls, by the names that it looks for."""

    def __init__(self, watched: Watched, failing: type[Exception]) -> None:
        self.watched, self.guard = watched, Guard(watched.problem, failing)
        self.iterate = watched.x
        self._f, self._gradient = np.zeros(()), np.zeros(watched.problem.n)
        self._c, self._jacobian = np.zeros(watched.problem.m), np.zeros(len(watched.problem.jacobian_structure[0]))
        self._hessian = np.zeros(len(self.hessianstructure()[0]))

    def objective(self, x: Array) -> float:
        return float(self.guard.fill("objective", self._f, self._objective, x))

    def _objective(self, x: Array) -> Any:
        self.watched.monitor.check()
        return self.watched.objective(x)

    def gradient(self, x: Array) -> Array:
        """∇f; Ipopt asks for it at iterates only, which older versions cannot tell in ``intermediate``."""
        gradient = self.guard.fill("gradient", self._gradient, self.watched.gradient, x)
        self.iterate = self.watched.x
        return gradient

    def constraints(self, x: Array) -> Array:
        return self.guard.fill("constraints", self._c, self.watched.constraints, x)

    def jacobian(self, x: Array) -> Array:
        return self.guard.fill("jacobian", self._jacobian, self.watched.jacobian, x)

    def jacobianstructure(self) -> tuple[Array, Array]:
        return self.watched.problem.jacobian_structure

    def hessian(self, x: Array, multipliers: Array, sigma: float) -> Array:
        return self.guard.fill("hessian", self._hessian, self.watched.hessian, x, sigma, multipliers)

    def hessianstructure(self) -> tuple[Array, Array]:
        structure = self.watched.problem.hessian_structure
        return (np.empty(0, np.int32),) * 2 if structure is None else structure

    def intermediate(self, _mode: int, iteration: int, _objective: float, _infeasibility: float, stationarity: float,
                     *_more: Any) -> bool:
        """After every iteration: whether Ipopt is to go on."""
        if iteration > 0:
            self.guard.run(self.watched.step, self.iterate, stationarity)
        return self.guard.raised is None


# the answer ------------------------------------------------------------------------------------------------------

SOLVED, ACCEPTABLE, INFEASIBLE, DIVERGING, ITERATIONS, TIMES, BROKEN = 0, 1, 2, 4, -1, (-4, -5), -10
# at BROKEN and below there is no iterate with multipliers


def _answer(watched: Watched, x: Array, info: dict[str, Any], settings: Settings) -> Answer:
    problem, status = watched.problem, int(info["status"])
    x = watched.at(x)
    y = -np.asarray(info["mult_g"], dtype=float)
    z = np.asarray(info["mult_x_L"], dtype=float) - np.asarray(info["mult_x_U"], dtype=float)
    fixed = problem.lower == problem.upper
    if fixed.any():  # Ipopt takes these out of the problem; not every version gives their multipliers
        try:
            z = np.where(fixed, bound_multipliers(watched, x, y), z)
        except NoValue:
            z = np.where(fixed, 0.0, z)
    reason, message = _reason(watched, x, y, z, status, info["status_msg"], settings)
    ours = reason != "infeasible" and status > BROKEN
    return ended(watched, x, settings.tolerance, reason, message, y if ours else None, z if ours else None)


def _reason(watched: Watched, x: Array, y: Array, z: Array, status: int, word: Any,
            settings: Settings) -> tuple[str, str]:
    word = word.decode() if isinstance(word, bytes) else str(word)
    word = f"Ipopt: {word.split(' (can')[0].rstrip('.')}"
    if status == ITERATIONS:
        return "iterations", f"the limit of {settings.max_iterations} iterations was reached"
    if status in TIMES:
        return "time", "Ipopt's own time limit was reached"
    if status == DIVERGING:
        return "unbounded", f"the iterates grow without end ({word})"
    reason, message = verdict(watched, x, y, z, settings.tolerance, word)
    if status == INFEASIBLE and reason == "stalled":
        return "infeasible", message.replace("no step improves, and ", "no point near by violates less, and ")
    if status in (SOLVED, ACCEPTABLE) and reason != "solved":
        return "solved", own_scaling(watched, x, y, z, "Ipopt")
    if reason == "stalled" and watched.failure is not None and status < 0:
        return "domain", f"{message}; the last points tried had no value ({watched.failure})"
    return reason, message
