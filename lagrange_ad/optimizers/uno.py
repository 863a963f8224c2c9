"""Uno (unopy): sparse interior-point and SQP methods for any problem, by C. Vanaret and S. Leyffer.

Takes a Problem as callbacks on NumPy buffers, gives x with the multipliers of every row and bound. Uno minimizes with
L = σf − yᵀc − zᵀx (its convention MULTIPLIER_NEGATIVE), which is the sign of this room, z its two bounds' sum.

Source: C. Vanaret, S. Leyffer, "Unifying nonlinearly constrained optimization" (2024); github.com/cvanaret/Uno.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..errors import DeclarationError
from ..text import nearest
from .adapting import Guard, NoValue, Watched, ended, falls_without_end, own_scaling, verdict
from .algorithm import Algorithm, Settings
from .monitor import Monitor
from .problem import Answer, Array, Problem

PRESETS = ("ipopt", "filtersqp", "funnelsqp", "filterslp")
HESSIANS = {"exact": "exact", "lbfgs": "LBFGS", "lsr1": "LSR1", "identity": "identity", "zero": "zero"}
INTERIOR = "ipopt"

WARM = {"barrier_initial_parameter": 1e-4, "barrier_push_variable_to_interior_k1": 1e-4,
        "barrier_push_variable_to_interior_k2": 1e-4}
"""An interior-point run that starts with multipliers starts near the optimum: a small barrier, a small push inside."""


@dataclass(frozen=True)
class Uno(Algorithm):
    """Uno by one of its presets: "ipopt" (interior point), "filtersqp", "funnelsqp" (SQP), "filterslp" (linear steps).

    ``hessian``: "auto" is the exact one where the problem has second derivatives, else "lbfgs"; or "exact", "lbfgs",
    "lsr1", "identity", "zero". Where a problem gives products with its Hessian only, SQP takes them and the interior
    point takes "lbfgs". ``options``: of Uno by its own names, such as ``{"linear_solver": "MUMPS", "TR_radius": 1.0}``.

    Points without a value (NaN, an equation that is not solved) shorten its steps. Multipliers to start from are used
    by the SQP presets; the interior point then only starts with a small barrier. A Ctrl-C or an error is noticed at the
    next evaluation.
    """

    name: ClassVar[str] = "uno"
    takes: ClassVar[frozenset[str]] = frozenset({"bounds", "equalities", "inequalities"})

    preset: str = INTERIOR
    hessian: str = "auto"
    options: Mapping[str, Any] | None = field(default=None)

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            self._refuse("preset", f"one of {', '.join(map(repr, PRESETS))}")
        if self.hessian not in ("auto", *HESSIANS):
            self._refuse("hessian", f"one of 'auto', {', '.join(map(repr, HESSIANS))}")
        if self.options is not None and not isinstance(self.options, Mapping):
            self._refuse("options", "a dict of Uno's options")

    def _run(self, problem: Problem, settings: Settings, monitor: Monitor) -> Answer:
        unopy = imported()
        watched = Watched(problem, monitor)
        hessian = self._hessian_of(problem)
        solver = self._solver(unopy, hessian, settings)
        watched.start()
        callbacks = _Callbacks(watched)
        model = _model(unopy, problem, callbacks, hessian, settings)
        solver.set_notify_acceptable_iterate_callback(callbacks.accepted)
        solver.set_termination_callback(callbacks.ends)
        with callbacks.guard.interrupts():
            result = solver.optimize(model)
        callbacks.guard.release()
        if result.optimization_status.name == "USER_INTERRUPTION":
            raise KeyboardInterrupt("Uno was interrupted")
        return _answer(watched, result, callbacks, settings)

    def _hessian_of(self, problem: Problem) -> str:
        """The name of Uno's Hessian model for a problem. Raises DeclarationError where "exact" cannot be."""
        matrix, interior = problem.hessian_structure is not None, self.preset == INTERIOR
        exact = problem.second_order and (matrix or not interior)
        if self.hessian == "exact" and not exact:
            raise DeclarationError("Uno's hessian='exact' needs second derivatives, and this problem has "
                                   + ("products with its Hessian only, which Uno's interior point does not take: try "
                                      "preset='filtersqp', or hessian='auto'" if problem.second_order else
                                      "none: try hessian='lbfgs', or 'auto'"))
        if self.hessian == "auto":
            if self.preset == "filterslp":
                return "zero"
            return "exact" if exact else "LBFGS"
        return HESSIANS[self.hessian]

    def _solver(self, unopy: Any, hessian: str, settings: Settings) -> Any:
        solver = unopy.UnoSolver()
        solver.set_preset(self.preset)
        warm = WARM if self.preset == INTERIOR and settings.y0 is not None else {}
        common = {"logger": "SILENT", "hessian_model": hessian, "max_iterations": int(settings.max_iterations),
                  "primal_tolerance": float(settings.tolerance), "dual_tolerance": float(settings.tolerance), **warm}
        for option, value in (common | dict(self.options or {})).items():
            _set_option(solver, option, value)
        return solver


def imported() -> Any:
    """The module unopy. Raises DeclarationError, with what to try, where it cannot be imported."""
    try:
        import unopy
    except ImportError as error:
        raise DeclarationError(f"'uno' needs the package unopy, which cannot be imported here ({error}): install it, "
                               "pip install unopy, or choose a method of another library, such as 'trust-constr'"
                               ) from error
    return unopy


def _set_option(solver: Any, option: str, value: Any) -> None:
    """One option in the type that Uno wants (a whole number may stand for a float)."""
    try:
        try:
            solver.set_option(option, value)
        except TypeError:
            if isinstance(value, bool) or not isinstance(value, int):
                raise
            solver.set_option(option, float(value))
    except KeyError:
        known = ("max_iterations", "linear_solver", "QP_solver", "LP_solver", "TR_radius", "barrier_initial_parameter",
                 "quasi_newton_memory_size", "unbounded_objective_threshold", "residual_norm", "progress_norm",
                 "globalization_strategy", "globalization_mechanism", "inertia_correction_strategy", "logger")
        raise DeclarationError(f"Uno has no option {option!r}{nearest(str(option), known)}; its documentation lists "
                               "them under Options") from None
    except TypeError as error:
        why = str(error).splitlines()[0]
        raise DeclarationError(f"Uno does not take {value!r} for its option {option!r}: {why}") from None


class _Callbacks:
    """What Uno calls: it hands its own buffers, which are read in place and written in place."""

    def __init__(self, watched: Watched) -> None:
        self.watched, self.guard = watched, Guard(watched.problem)
        self.restoring = False
        self._f = np.zeros(())

    def objective(self, x: Array) -> float:
        return float(self.guard.fill("objective", self._f, self._objective, x))

    def _objective(self, x: Array) -> Any:
        self.watched.monitor.check()
        return self.watched.objective(x)

    def gradient(self, x: Array, out: Array) -> None:
        self.guard.fill("gradient", out, self.watched.gradient, x)

    def constraints(self, x: Array, out: Array) -> None:
        self.guard.fill("constraints", out, self.watched.constraints, x)

    def jacobian(self, x: Array, out: Array) -> None:
        self.guard.fill("jacobian", out, self.watched.jacobian, x)

    def hessian(self, x: Array, sigma: float, y: Array, out: Array) -> None:
        self.guard.fill("hessian", out, self.watched.hessian, x, sigma, -y)

    def product(self, x: Array, _new: bool, sigma: float, y: Array, v: Array, out: Array) -> None:
        self.guard.fill("product", out, self.watched.product, x, sigma, -y, v)

    def accepted(self, x: Array, lower: Array, upper: Array, y: Array, sigma: float, _infeasibility: float,
                 stationarity: float, _complementarity: float) -> None:
        """An iterate, with slacks behind its x and fixed variables' rows behind its y; σ = 0 while Uno looks for a
        feasible point, whose multipliers are of that other problem."""
        if not self.guard.run(self._accepted, x, lower, upper, y, sigma, stationarity):
            raise NoValue("the run is to end")  # Uno catches no error here: it stops

    def _accepted(self, x: Array, lower: Array, upper: Array, y: Array, sigma: float, stationarity: float) -> None:
        n, m = self.watched.problem.n, self.watched.problem.m
        self.restoring = sigma == 0.0
        if self.restoring:
            self.watched.step(x[:n])
        else:
            self.watched.step(x[:n], stationarity, y[:m].copy(), lower[:n] + upper[:n])

    def ends(self, *_iterate: Any) -> bool:
        """Whether Uno is to stop: a callback has raised."""
        return self.guard.raised is not None


def _model(unopy: Any, problem: Problem, callbacks: _Callbacks, hessian: str, settings: Settings) -> Any:
    model = unopy.Model(unopy.PROBLEM_NONLINEAR, problem.n, problem.lower, problem.upper, unopy.ZERO_BASED_INDEXING)
    model.set_objective(unopy.MINIMIZE, callbacks.objective, callbacks.gradient)
    if problem.m:
        rows, columns = problem.jacobian_structure
        model.set_constraints(problem.m, callbacks.constraints, problem.row_lower, problem.row_upper, len(rows), rows,
                              columns, callbacks.jacobian)
        if settings.y0 is not None:
            model.set_initial_dual_iterate(settings.y0)
    model.set_lagrangian_sign_convention(unopy.MULTIPLIER_NEGATIVE)
    if hessian == "exact" and problem.hessian_structure is not None:
        rows, columns = problem.hessian_structure
        model.set_lagrangian_hessian(len(rows), unopy.LOWER_TRIANGLE, rows, columns, callbacks.hessian)
    elif hessian == "exact":
        model.set_lagrangian_hessian_operator(callbacks.product)
    model.set_initial_primal_iterate(callbacks.watched.x0)
    return model


# the answer ------------------------------------------------------------------------------------------------------


def _answer(watched: Watched, result: Any, callbacks: _Callbacks, settings: Settings) -> Answer:
    n, m = watched.problem.n, watched.problem.m
    x = watched.at(np.asarray(result.primal_solution)[:n])
    y = np.asarray(result.constraint_dual_solution)[:m].copy()
    z = np.asarray(result.lower_bound_dual_solution)[:n] + np.asarray(result.upper_bound_dual_solution)[:n]
    reason, message = _reason(watched, result, callbacks, x, y, z, settings)
    ours = not callbacks.restoring and reason != "infeasible"
    return ended(watched, x, settings.tolerance, reason, message, y if ours else None, z if ours else None)


def _reason(watched: Watched, result: Any, callbacks: _Callbacks, x: Array, y: Array, z: Array,
            settings: Settings) -> tuple[str, str]:
    """Uno's two status codes as a reason; where Uno gave up, the KKT conditions say what was found."""
    status, found = result.optimization_status.name, result.solution_status.name
    word = f"Uno: {(status if status != 'SUCCESS' else found).lower().replace('_', ' ')}"
    if status == "ITERATION_LIMIT":
        return "iterations", f"the limit of {result.number_iterations} iterations was reached"
    if status == "TIME_LIMIT":
        return "time", "Uno's own time limit was reached"
    if found in ("UNBOUNDED_OBJECTIVE", "DIVERGING_ITERATE"):
        return falls_without_end(float(result.solution_objective), word)
    if status == "EVALUATION_ERROR":
        if watched.failure is not None:
            return "domain", f"no value at the start ({watched.failure})"
        return "failed", "Uno could not start: its options may not go together"
    known = not callbacks.restoring
    reason, message = verdict(watched, x, y if known else None, z if known else None, settings.tolerance, word)
    if found == "FEASIBLE_KKT_POINT" and reason != "solved":
        return "solved", own_scaling(watched, x, y, z, "Uno")
    if found == "INFEASIBLE_STATIONARY_POINT" and reason == "stalled":
        return "infeasible", message.replace("no step improves, and ", "no point near by violates less, and ")
    if reason == "stalled" and watched.failure is not None and status == "ALGORITHMIC_ERROR":
        return "domain", f"{message}; the last points tried had no value ({watched.failure})"
    return reason, message
