"""Newton's method on the Lagrangian's stationarity: x and multipliers at once, quadratically convergent.

Each step solves the KKT system [H, Jᵀ; J, 0] (sequential quadratic programming for equations, R. Wilson 1963),
corrected where it would not lead to a minimum (``saddle.py``), with an ℓ1 merit function that second-order corrections
guard against Maratos' effect. Bounds and inequalities are met by a primal–dual barrier in the same system
(``interior.py``), and where that has converged, by Newton steps with the bounds that are reached as equations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..errors import DeclarationError
from .algorithm import Algorithm, Settings
from .bounded import LEAST
from .crossover import Ended, crossed
from .interior import Duals, Walls
from .monitor import Monitor
from .penalized import PRODUCTS, nearest_feasible
from .prepared import Prepared, Sample, size_of
from .problem import Answer, Array, Problem
from .saddle import Saddle, descend

UPDATED = 1000
"""Most variables that have a dense quasi-Newton matrix."""
ENOUGH, SHORTEST, NOISE = 1e-4, 1e-10, 1e-14
WEIGHT_REST = 0.3
"""The part of the model's decrease that the merit's weight leaves to the violation."""
NEAR = 1e-3
"""Below this error a step may be judged by the error itself."""
IDLE = 15
RELIEFS, RESETS = 100, 5
LOWER = 5
"""Steps with a lower barrier after convergence, until it is clear which bounds are reached."""
LARGEST_START = 1e3
"""Least-squares multipliers above this are no start."""


@dataclass(frozen=True)
class LagrangeNewton(Algorithm):
    """``hessian``: "exact", "bfgs" (damped, M. Powell 1978; dense), None for exact where there are second derivatives.

    Raises DeclarationError where the Hessian would have to be dense and there are too many variables.
    """

    name: ClassVar[str] = "lagrange-newton"
    takes: ClassVar[frozenset[str]] = frozenset({"bounds", "equalities", "inequalities"})

    hessian: str | None = None

    def __post_init__(self) -> None:
        if self.hessian not in (None, "exact", "bfgs"):
            self._refuse("hessian", "'exact', 'bfgs' or None")

    def require(self, problem: Problem) -> None:
        """As Algorithm, and the Hessian must be affordable."""
        super().require(problem)
        if self.hessian == "exact" and not problem.second_order:
            raise DeclarationError(f"{self.name!r} with hessian='exact' needs second derivatives, and a function of "
                                   "this program has none: leave hessian out")
        most = PRODUCTS if self._is_exact(problem) else UPDATED
        if (not self._is_exact(problem) or problem.hessian_structure is None) and problem.n > most:
            raise DeclarationError(f"{self.name!r} would need a dense Hessian of {problem.n} variables here, and takes "
                                   f"{most} at most: use 'augmented-lagrangian', or a space where Hessians are sparse")

    def _is_exact(self, problem: Problem) -> bool:
        return self.hessian == "exact" or (self.hessian is None and problem.second_order)

    def _run(self, problem: Problem, settings: Settings, monitor: Monitor) -> Answer:
        prepared = Prepared(problem, monitor)
        curvature = Exact(prepared) if self._is_exact(problem) else DampedBFGS(prepared.n)
        return _Run(prepared, curvature, settings, monitor).run()


class Exact:
    """∇²f − Σ y_i ∇²c_i."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def at(self, sample: Sample, y: Array) -> Any:
        """Sparse, or dense (n, n)."""
        with np.errstate(all="ignore"):
            return self.problem.hessian_matrix(sample.x, 1.0, -y)

    def learn(self, before: Sample, now: Sample, y: Array) -> None:
        """Nothing."""

    def forget(self) -> bool:
        """Whether anything was learned and is forgotten now."""
        return False


class DampedBFGS:
    """A positive definite (n, n) that learns the Lagrangian's curvature, damped where that is negative (Powell)."""

    def __init__(self, n: int) -> None:
        self.n, self.resets = n, 0
        self.B, self.fresh = np.eye(n), True

    def forget(self) -> bool:
        """Start again from the identity, RESETS times at most; whether it was something else."""
        again = not self.fresh and self.resets < RESETS
        self.B, self.fresh, self.resets = np.eye(self.n), True, self.resets + 1
        return again

    def at(self, sample: Sample, y: Array) -> Any:
        """B."""
        return self.B

    def learn(self, before: Sample, now: Sample, y: Array) -> None:
        """Powell's update with s = Δx, q = Δ(∇f − Jᵀy)."""
        s, q = now.x - before.x, now.slope(y) - before.slope(y)
        if self.fresh and s @ q > 0:
            self.B, self.fresh = self.B * float(q @ q / (s @ q)), False
        Bs = self.B @ s
        bent = float(s @ Bs)
        if bent <= 0:
            return
        if s @ q < 0.2 * bent:
            part = 0.8 * bent / (bent - float(s @ q))
            q = part * q + (1 - part) * Bs
        self.B = self.B - np.outer(Bs, Bs) / bent + np.outer(q, q) / float(s @ q)


class Move(NamedTuple):
    """A step of v = (x, s) and of y, and its factors, to correct it with."""

    dv: Array
    dy: Array
    factors: Saddle


class State(NamedTuple):
    """A point v = (x, s) with multipliers; ``sample`` is the problem at x."""

    sample: Sample
    v: Array
    y: Array
    duals: Duals


class _Run:
    """One run: the state, the barrier μ, the merit's weight ν of violations, the last δ."""

    def __init__(self, problem: Prepared, curvature: Exact | DampedBFGS, settings: Settings, monitor: Monitor) -> None:
        self.problem, self.curvature, self.settings, self.monitor = problem, curvature, settings, monitor
        self.walls = Walls(problem)
        warm = settings.y0 is not None or settings.z0 is not None
        self.mu = (1e-4 if warm else 0.1) if self.walls.count else 0.0
        self.part = 1e-4 if warm else 1e-2
        self.weight, self.delta, self.done, self.restored = 1.0, 0.0, 0, 0
        self.reliefs = 0

    def run(self) -> Answer:
        first = Sample(self.problem, self.problem.x0)
        now = self._enter(first.x, *self.problem.start(self.settings.y0, self.settings.z0))
        if not now.sample.is_smooth:
            return self.problem.no_start(now.sample)
        best, idle = np.inf, 0
        while True:
            error = self._error(now, 0.0)
            self._tell(now)
            if error <= self.settings.tolerance:
                return self._solved(now)
            idle, best = (0, error) if error < best else (idle + 1, best)
            if (stop := self._stop(now)) is not None:
                return stop
            then = self._step(now)
            if then is None or (idle > IDLE and self._is_still(now, then)):
                found = self._elsewhere(now)
                if isinstance(found, Answer):
                    return found
                then, best, idle = found, np.inf, 0
            now, self.done = then, self.done + 1
            self._lower_barrier(now)

    # the point ------------------------------------------------------------------------------------------------

    def _enter(self, x: Array, y: Array | None = None, z: Array | None = None) -> State:
        """The state at x, moved inside bounds; y by least squares where not given."""
        walls, n = self.walls, self.problem.n
        x = walls.push(np.concatenate([x, np.zeros(len(walls.ranged))]), self.part)[:n]
        sample = Sample(self.problem, x)
        v = walls.push(np.concatenate([x, sample.c[walls.ranged]]), self.part)
        duals = Duals.at(walls, v, self.mu)
        known = np.zeros(n) if z is None else z, np.zeros(len(walls.ranged)) if y is None else y[walls.ranged]
        duals = duals.raised(walls, np.concatenate(known))
        if y is None:
            y = self._least_squares(sample, duals) if sample.is_smooth else np.zeros(self.problem.m)
        return State(sample, v, y, duals)

    def _least_squares(self, sample: Sample, duals: Duals) -> Array:
        """y with the least ∇f − Jᵀy − z and, of inequality rows, y − z."""
        from scipy import sparse

        net, n, ranged = duals.net, self.problem.n, self.walls.ranged
        D, low = np.zeros(self.problem.m), np.zeros(self.problem.m)
        D[ranged], low[ranged] = 1.0, net[n:]
        top = sample.gradient - net[:n]
        step = descend(sparse.eye_array(n, format="csr"), sample.jacobian, D, (top, -low), 0.0)
        return step.w if step is not None and size_of(step.w) <= LARGEST_START else np.zeros(self.problem.m)

    def _rest(self, sample: Sample, v: Array) -> Array:
        """What rows leave: c − bound of equations, c − s of inequalities."""
        target = self.problem.row_lower.copy()
        target[self.walls.ranged] = v[self.problem.n:]
        return np.asarray(sample.c - target)

    def _slopes(self, now: State) -> Array:
        """Of the Lagrangian in v, without bounds."""
        return np.concatenate([now.sample.slope(now.y), now.y[self.walls.ranged]])

    def _error(self, now: State, mu: float) -> float:
        """The largest entry of the perturbed KKT conditions, divided by the multipliers' mean size above 100."""
        sizes = np.concatenate([np.abs(now.y), np.abs(now.duals.net)])
        scale = max(100.0, float(sizes.mean())) / 100.0 if len(sizes) else 1.0
        return max(size_of(self._slopes(now) - now.duals.net) / scale, self.problem.left(self._rest(now.sample, now.v)),
                   now.duals.complementarity(self.walls, now.v, mu) / scale)

    # a step ---------------------------------------------------------------------------------------------------

    def _step(self, now: State) -> State | None:
        move = self._move(now)
        if move is None:
            return None
        part = max(0.99, 1 - self.mu) if self.walls.count else 1.0
        found = self._search(now, move, part)
        if found is None:
            return self._last_step(now, move, part)
        sample, v, length = found
        duals = now.duals.moved(self.walls, now.v, move.dv, self.mu, part).kept_near(self.walls, v, self.mu)
        then = State(sample, v, now.y + length * move.dy, duals)
        self.curvature.learn(now.sample, sample, then.y)
        return then

    def _last_step(self, now: State, move: Move, part: float) -> State | None:
        """Near the end rounding hides what the merit gains; a full step then counts if it halves the error."""
        v = now.v + self.walls.reach(now.v, move.dv, part) * move.dv
        duals = now.duals.moved(self.walls, now.v, move.dv, self.mu, part).kept_near(self.walls, v, self.mu)
        then = State(Sample(self.problem, v[:self.problem.n]), v, now.y + move.dy, duals)
        error = self._error(now, self.mu)
        if error > NEAR or not then.sample.is_smooth or not self._error(then, self.mu) <= 0.5 * error:
            return None
        return then

    def _move(self, now: State) -> Move | None:
        """The Newton step; None where no δ gives one."""
        sigma, n = now.duals.curvature(self.walls, now.v), self.problem.n
        H = self.curvature.at(now.sample, now.y)
        if not np.isfinite(H.data if hasattr(H, "nnz") else H).all():
            return None
        D = np.zeros(self.problem.m)
        D[self.walls.ranged] = 1.0 / sigma[n:]
        slopes = self._slopes(now) + self.walls.slope(now.v, self.mu)
        step = descend(_with_diagonal(H, sigma[:n]), now.sample.jacobian, D,
                       (-slopes[:n], self._low(now, sigma, slopes, self._rest(now.sample, now.v))), self.delta)
        if step is None:
            return None
        self.delta = step.delta or self.delta / 3
        return self._whole(step.d, step.w, step.factors, sigma, slopes)

    def _low(self, now: State, sigma: Array, slopes: Array, rest: Array) -> Array:
        """The lower right side: slacks are eliminated, ds = (w − slope)/Σ."""
        low, n = -rest, self.problem.n
        low[self.walls.ranged] -= slopes[n:] / sigma[n:]
        return low

    def _whole(self, d: Array, w: Array, factors: Saddle, sigma: Array, slopes: Array) -> Move:
        n = self.problem.n
        ds = (w[self.walls.ranged] - slopes[n:]) / sigma[n:]
        return Move(np.concatenate([d, ds]), -w, factors)

    def _corrected(self, now: State, move: Move, rest: Array) -> Array:
        """Second-order correction: the step dv to where the rows, as they are after the first trial, would vanish."""
        sigma, n = now.duals.curvature(self.walls, now.v), self.problem.n
        slopes = self._slopes(now) + self.walls.slope(now.v, self.mu)
        d, w = move.factors.solve(-slopes[:n], self._low(now, sigma, slopes, rest))
        return self._whole(d, w, move.factors, sigma, slopes).dv

    # the line search ------------------------------------------------------------------------------------------

    def _search(self, now: State, move: Move, part: float) -> tuple[Sample, Array, float] | None:
        """Backtracking on the merit f + barrier + ν‖rest‖₁; None where no step is short enough."""
        rest, before = self._rest(now.sample, now.v), self._merit
        promised = self._promise(now, move, rest)
        if promised is None:
            return None
        value = before(now.sample, now.v)
        alpha = longest = self.walls.reach(now.v, move.dv, part)
        while alpha > SHORTEST:
            v = now.v + alpha * move.dv
            sample = Sample(self.problem, v[:self.problem.n])
            if self._accepts(value, sample, v, alpha * promised):
                return sample, v, alpha
            if alpha == longest and sample.is_good:
                found = self._second(now, move, alpha * rest + self._rest(sample, v), value, alpha * promised, part)
                if found is not None:
                    return *found, alpha
            alpha *= 0.5
            self.monitor.check()
        return None

    def _second(self, now: State, move: Move, rest: Array, value: float, promised: float,
                part: float) -> tuple[Sample, Array] | None:
        dv = self._corrected(now, move, rest)
        if not np.isfinite(dv).all():
            return None
        v = now.v + self.walls.reach(now.v, dv, part) * dv
        sample = Sample(self.problem, v[:self.problem.n])
        return (sample, v) if self._accepts(value, sample, v, promised) else None

    def _merit(self, sample: Sample, v: Array) -> float:
        if not sample.is_good:
            return np.nan
        return sample.f + self.walls.barrier(v, self.mu) + self.weight * float(np.abs(self._rest(sample, v)).sum())

    def _accepts(self, value: float, sample: Sample, v: Array, promised: float) -> bool:
        after = self._merit(sample, v)
        return bool(after <= value + ENOUGH * promised + NOISE * abs(value)) and sample.is_smooth

    def _promise(self, now: State, move: Move, rest: Array) -> float | None:
        """The merit's derivative along the step, after its weight is made large enough; None if it does not descend."""
        n, dv = self.problem.n, move.dv
        slope = np.concatenate([now.sample.gradient, np.zeros(len(dv) - n)]) + self.walls.slope(now.v, self.mu)
        along = float(slope @ dv)
        linear = rest + now.sample.jacobian @ dv[:n]
        linear[self.walls.ranged] -= dv[n:]
        gain = float(np.abs(rest).sum() - np.abs(linear).sum())
        if gain > 0:
            bent = max(0.0, -float(dv @ (np.concatenate([now.sample.slope(now.y + move.dy), np.zeros(len(dv) - n)]))))
            needed = (along + 0.5 * bent) / ((1 - WEIGHT_REST) * gain)
            self._weigh(1.1 * needed, size_of(now.y + move.dy))
        promised = along - self.weight * gain
        noise = NOISE * (abs(now.sample.f) + self.weight * float(np.abs(rest).sum()))
        return min(promised, 0.0) if promised < noise else None

    def _weigh(self, needed: float, multiplier: float) -> None:
        """ν as large as needed, and falling towards the multipliers where it is larger (M. Powell, 1978): too large a
        weight makes steps short. It falls RELIEFS times at most, so that the merit is one function in the end."""
        lower = max(needed, 1.1 * multiplier, 0.5 * (self.weight + multiplier))
        if lower < self.weight and self.reliefs < RELIEFS:
            self.weight, self.reliefs = lower, self.reliefs + 1
        self.weight = max(self.weight, needed)

    # between steps --------------------------------------------------------------------------------------------

    def _lower_barrier(self, now: State) -> None:
        while self.mu > 0.1 * self.settings.tolerance and self._error(now, self.mu) <= 10 * self.mu:
            self.mu = max(0.1 * self.settings.tolerance, min(0.2 * self.mu, self.mu ** 1.5))

    def _is_still(self, now: State, then: State) -> bool:
        before, after = self._merit(now.sample, now.v), self._merit(then.sample, then.v)
        return after >= before - NOISE * abs(before)

    def _stop(self, now: State) -> Answer | None:
        if now.sample.f < LEAST and self.problem.violated(now.sample) <= np.sqrt(self.settings.tolerance):
            return self._end(now, "unbounded", "the objective falls without bound")
        if self.done >= self.settings.max_iterations:
            return self._end(now, "iterations", "the most iterations were made")
        return None

    def _elsewhere(self, now: State) -> Answer | State:
        """No step improves: forget what was learned of the curvature, or go to a feasible point nearby; the answer
        where there is none, or all this was done before."""
        problem, tolerance = self.problem, self.settings.tolerance
        if self.curvature.forget():
            return self._enter(now.sample.x)
        order = 2 if isinstance(self.curvature, Exact) else 1
        most = self.settings.max_iterations - self.done
        outcome = nearest_feasible(problem, now.sample.x, 1e-2 * tolerance, most, order, self.monitor)
        self.done += outcome.iterations
        found: Any = outcome.at
        if problem.is_stuck(found.sample, tolerance):
            return problem.no_feasible(found.sample, now.y, self.done)
        if self.restored > 3 or problem.violated(now.sample) <= tolerance:
            return self._end(now, "stalled", "no step improves")
        self.restored += 1
        return self._enter(found.x)

    def _solved(self, met: State) -> Answer:
        """The answer, with reached bounds made exact; where it is not clear which these are, the barrier gets lower."""
        said, now = "the KKT conditions are met", met
        for _ in range(LOWER if self.walls.count and isinstance(self.curvature, Exact) else 0):
            end = crossed(self.problem, self.walls, now.v, now.y, now.duals, self.curvature.at)
            if end is not None and self._left(end) <= self.settings.tolerance:
                self.problem.report(end.sample, size_of(end.sample.slope(end.y) - end.z), end.y, end.z)
                return self.problem.answer(end.sample, "solved", said, end.y, end.z, self.done + 1)
            self.mu *= 0.3
            then = self._step(now)
            if then is None:
                break
            now, self.done = then, self.done + 1
            self._tell(now)
            if self._error(now, 0.0) <= self.settings.tolerance:
                met = now
        return self._end(met, "solved", said)

    def _left(self, end: Ended) -> float:
        c, problem = end.sample.c, self.problem
        return max(size_of(end.sample.slope(end.y) - end.z),
                   problem.left(c - np.clip(c, problem.row_lower, problem.row_upper)))

    def _tell(self, now: State) -> None:
        n = self.problem.n
        left = size_of(now.sample.slope(now.y) - now.duals.net[:n])
        self.problem.report(now.sample, left, now.y, now.duals.net[:n])

    def _end(self, now: State, reason: str, message: str) -> Answer:
        return self.problem.answer(now.sample, reason, message, now.y, now.duals.net[:self.problem.n], self.done)


def _with_diagonal(H: Any, diagonal: Array) -> Any:
    if not diagonal.any():
        return H
    if not hasattr(H, "nnz"):
        return H + np.diag(diagonal)
    from scipy import sparse

    return H + sparse.diags_array(diagonal)
