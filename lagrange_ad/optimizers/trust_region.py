"""SciPy's trust-region methods on a Problem: trust-constr (sparse, any constraint) and trust-krylov (unconstrained).

Takes a Problem, gives an Answer whose reason comes from the KKT conditions at the last point. Where a point has no
value both are told of an infinite objective, and shrink their region.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .adapting import Ended, NoValue, Watched
from .algorithm import Algorithm, Settings
from .from_scipy import Softened, judged, limited, run_scipy, scipy_minimize
from .monitor import Monitor
from .problem import Answer, Array, Problem


@dataclass(frozen=True)
class TrustConstr(Algorithm):
    """trust-constr of SciPy: sparse Jacobians, the Hessian as a matrix or by products, else dense BFGS updates (O(n²)
    numbers). Slower and less exact than Uno, but always there.

    SciPy's L = f + vᵀc, so y = −v. Source: Byrd, Hribar, Nocedal, SIAM J. Optim. 9 (1999) 877–900.
    """

    name: ClassVar[str] = "trust-constr"
    takes: ClassVar[frozenset[str]] = frozenset({"bounds", "equalities", "inequalities"})

    def _run(self, problem: Problem, settings: Settings, monitor: Monitor) -> Answer:
        watched = Watched(problem, monitor)
        return run_scipy(watched, settings, lambda: self._minimize(watched, settings))

    def _minimize(self, watched: Watched, settings: Settings) -> Answer:
        from scipy import optimize

        problem, soft = watched.problem, Softened(watched)
        curvature = _curvature(watched)
        constraint: Any = optimize.NonlinearConstraint
        rows = [constraint(soft.constraints, problem.row_lower, problem.row_upper, jac=soft.jacobian,
                           hess=curvature[1])] if problem.m else []
        bounded = bool(np.isfinite(problem.lower).any() or np.isfinite(problem.upper).any())
        bounds: Any = optimize.Bounds(problem.lower, problem.upper) if bounded else None
        options = {"gtol": 0.0, "xtol": 1e-12, "barrier_tol": settings.tolerance, "maxiter": settings.max_iterations,
                   "sparse_jacobian": True if problem.m else None}
        try:
            result = scipy_minimize(soft.objective, watched.x0.copy(), jac=soft.gradient, hess=curvature[0],
                                    method="trust-constr", constraints=rows, bounds=bounds, options=options,
                                    callback=lambda xk, state: _accepted(watched, xk, state, settings))
        except _Converged as end:
            result, word = end.state, "trust-constr: converged"
        else:
            word = f"trust-constr: {result.message.rstrip('.')}"
        x = watched.at(result.x)
        if result.status == 0:
            return limited(watched, x, settings)
        return judged(watched, x, *_multipliers(problem, result), settings, word)


class _Converged(Exception):
    """Ends trust-constr where stationarity, violation and barrier are small: by itself it looks at the first two only,
    and stops at the optimum of a barrier."""

    def __init__(self, state: Any) -> None:
        super().__init__("converged")
        self.state = state


def _accepted(watched: Watched, x: Array, state: Any, settings: Settings) -> None:
    if state.nit > 1 or not np.array_equal(x, watched.x0):
        watched.step(x, float(state.optimality), *_multipliers(watched.problem, state))
    state.x = x
    small = state.optimality <= settings.tolerance * watched.scale and state.constr_violation <= settings.tolerance
    if small and getattr(state, "barrier_parameter", 0.0) <= settings.tolerance:
        raise _Converged(state)


def _multipliers(problem: Problem, state: Any) -> tuple[Array, Array]:
    """y (m,) and z (n,) of SciPy's multipliers, the rows' before the bounds'."""
    v = [0.0 - np.asarray(one, dtype=float) for one in state.v]
    y = v.pop(0).copy() if problem.m else np.empty(0)
    return y, v.pop(0).copy() if v else np.zeros(problem.n)


def _curvature(watched: Watched) -> tuple[Any, Any]:
    """What SciPy wants as ``hess`` of the objective and of the rows: matrices, products, or BFGS updates."""
    from scipy.sparse import linalg

    problem, none = watched.problem, np.zeros(watched.problem.m)
    if not problem.second_order:
        return _bfgs(), _bfgs()
    if problem.hessian_structure is not None:
        return (lambda x: _ended_without(watched.hessian_matrix, x, 1.0, none),
                lambda x, v: _ended_without(watched.hessian_matrix, x, 0.0, v))

    def operator(x: Array, sigma: float, y: Array) -> Any:
        point, y = np.array(x), np.array(y)
        return linalg.LinearOperator((problem.n, problem.n), dtype=np.float64, matvec=lambda v: _ended_without(
            watched.product, point, sigma, y, np.asarray(v).ravel()))

    return lambda x: operator(x, 1.0, none), lambda x, v: operator(x, 0.0, v)


def _ended_without(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except NoValue as error:
        raise Ended("domain", f"no second derivative at an iterate ({error})") from error


def _bfgs() -> Any:
    """SciPy's BFGS, without its warning of functions that look linear: those have nothing to update."""
    from scipy import optimize

    class Updates(optimize.BFGS):
        def update(self, delta_x: Array, delta_grad: Array) -> None:
            if delta_x.any() and delta_grad.any():
                super().update(delta_x, delta_grad)

    return Updates()


@dataclass(frozen=True)
class TrustKrylov(Algorithm):
    """trust-krylov of SciPy: unconstrained, products with the Hessian only, any number of variables.

    Where its model of a step fails (it can, at singular Hessians), trust-ncg goes on, by conjugate gradients.
    Source: Lenders, Kirches, Potschka, "trlib" (2018); Steihaug, SIAM J. Numer. Anal. 20 (1983) 626–637.
    """

    name: ClassVar[str] = "trust-krylov"
    takes: ClassVar[frozenset[str]] = frozenset()
    needs_second_order: ClassVar[bool] = True

    def _run(self, problem: Problem, settings: Settings, monitor: Monitor) -> Answer:
        watched = Watched(problem, monitor)
        return run_scipy(watched, settings, lambda: self._minimize(watched, settings))

    def _minimize(self, watched: Watched, settings: Settings) -> Answer:
        x, left, word = watched.x0, settings.max_iterations, ""
        for method in ("trust-krylov", "trust-ncg"):
            result = _trust_region(method, watched, x, settings.tolerance * watched.scale, left)
            x, left = watched.at(result.x), left - int(result.get("nit", 0))
            word = f"{method}: {result.message.rstrip('.')}"
            if result.status == 1 or left <= 0:
                return limited(watched, x, settings)
            if result.status == 0:
                break
        return judged(watched, x, np.empty(0), np.zeros(watched.problem.n), settings, word)


def _trust_region(method: str, watched: Watched, x: Array, gradient_tolerance: float, iterations: int) -> Any:
    """One run of a method that asks for ∇²f by products."""
    soft, none = Softened(watched), np.zeros(watched.problem.m)
    return scipy_minimize(soft.objective, x.copy(), jac=soft.gradient, method=method,
                          hessp=lambda x, v: _ended_without(watched.product, x, 1.0, none, v),
                          callback=lambda xk: watched.step(xk, float(np.abs(soft.gradient(xk)).max(initial=0.0))),
                          options={"gtol": gradient_tolerance, "maxiter": iterations})
