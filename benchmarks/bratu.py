"""A large cycle: Bratu's equation on a square, Newton's method from 0, and the gradient by the adjoint.

    python benchmarks/bratu.py                         2 500, 40 000, 250 000 and 10^6 unknowns
    python benchmarks/bratu.py --sides 50 200 --only lagrange_ad SciPy

∆u + λ·exp(u) = 0 inside the unit square, u = 0 around, by the five-point formula on side × side points, at λ near 4
(its turning point is at 6.81); J = mean(u), and its slope in λ. Everybody starts at u = 0 and stops when the last
correction is below 10^-9, so all are exact to rounding or nearly; values and slopes are compared with ours. By hand in
SciPy, Newton's method has the Jacobian's data written in place, SuperLU with MMD_AT_PLUS_A, SymmetricMode and pivots on
the diagonal, its fastest way here, and one transposed solve with the last factor. In a second row it keeps the first
factor, since at this λ it happens to converge linearly with it. Each peer and size is a process of its own with one
thread; these do not take turns, so the machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from common import Array, duration, heading, parser, table
from scipy import sparse

import lagrange_ad as la

STOP = 1e-9
SIDES = (50, 200, 500, 1000)
MINUTES = 15
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
Calls = tuple[Callable[[float], float], Callable[[float], tuple[float, float]]]


def laplacian(side: int) -> Any:
    """The five-point ∆ on side × side inner points."""
    line = sparse.diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(side, side)) * (side + 1.0) ** 2
    eye = sparse.eye_array(side)
    return (sparse.kron(line, eye) + sparse.kron(eye, line)).tocsc()


def ours(side: int) -> Calls:
    p = la.Program("bratu")
    rate = p.parameter("rate", 4.0)
    u = p.variable("u", shape=side * side, start=0.0)
    p.equate(laplacian(side) @ u + rate * np.exp(u), 0.0, name="bratu")
    p.minimize(np.mean(u))

    def solve(value: float) -> Any:
        p.set(rate=value)
        return p.evaluate()

    def both(value: float) -> tuple[float, float]:
        at = solve(value)
        return at.objective, float(at.gradient["rate"])

    return (lambda value: solve(value).objective), both


class ByHand:
    """Newton's method with SuperLU; ``keep``: with the first factor to the end."""

    def __init__(self, side: int, keep: bool) -> None:
        self.a, self.n, self.keep = laplacian(side), side * side, keep
        self.jacobian = self.a.copy()
        column = np.repeat(np.arange(self.n), np.diff(self.a.indptr))
        self.diagonal = np.flatnonzero(self.a.indices == column)
        self.fixed = self.a.data[self.diagonal]

    def factor(self, rate: float, u: Array) -> Any:
        from scipy.sparse.linalg import splu

        self.jacobian.data[self.diagonal] = self.fixed + rate * np.exp(u)
        return splu(self.jacobian, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})

    def newton(self, rate: float) -> tuple[Array, Any]:
        u, factor = np.zeros(self.n), None
        for _ in range(50):
            if factor is None or not self.keep:
                factor = self.factor(rate, u)
            d = factor.solve(self.a @ u + rate * np.exp(u))
            u -= d
            if np.abs(d).max() <= STOP:
                return u, factor
        raise RuntimeError("no convergence")

    def solve(self, rate: float) -> float:
        return float(np.mean(self.newton(rate)[0]))

    def both(self, rate: float) -> tuple[float, float]:
        u, factor = self.newton(rate)
        weights = np.full(self.n, 1.0 / self.n)
        adjoint = factor.solve(weights, "T")
        if self.keep:  # refined for the Jacobian at the solution
            self.jacobian.data[self.diagonal] = self.fixed + rate * np.exp(u)
            for _ in range(30):
                d = factor.solve(weights - self.jacobian.T @ adjoint, "T")
                adjoint += d
                if np.abs(d).max() <= 1e-12 * np.abs(adjoint).max():
                    break
        return float(np.mean(u)), float(-adjoint @ np.exp(u))


def by_hand(side: int, keep: bool = False) -> Calls:
    made = ByHand(side, keep)
    return made.solve, made.both


def casadi(side: int, linear: str) -> Calls:
    import casadi as ca

    n = side * side
    a, start = ca.DM(laplacian(side).tocsc()), ca.DM.zeros(n)
    u, rate = ca.SX.sym("u", n), ca.SX.sym("rate")
    residual = ca.Function("r", [u, rate], [ca.mtimes(a, u) + rate * ca.exp(u)])
    options = {"linear_solver": linear, "abstol": 0.0, "abstolStep": STOP, "max_iter": 50, "error_on_fail": False}
    solver = ca.rootfinder("solver", "newton", residual, options)
    rate = ca.MX.sym("rate")
    value = ca.sum1(solver(start, rate)) / n
    solve = ca.Function("solve", [rate], [value])
    both = ca.Function("both", [rate], [value, ca.jacobian(value, rate)])

    def numbers(at: float) -> tuple[float, float]:
        found = both(at)
        return float(found[0]), float(found[1])

    return (lambda at: float(solve(at))), numbers


def openmdao(side: int) -> Calls:
    import openmdao.api as om

    n, a = side * side, laplacian(side)
    entries = a.tocoo()
    on_diagonal = entries.row == entries.col

    class Bratu(om.ImplicitComponent):
        def setup(self) -> None:
            self.add_input("rate", 4.0)
            self.add_output("u", np.zeros(n))
            self.declare_partials("u", "u", rows=entries.row, cols=entries.col)
            self.declare_partials("u", "rate")

        def apply_nonlinear(self, inputs: Any, outputs: Any, residuals: Any) -> None:
            residuals["u"] = a @ outputs["u"] + inputs["rate"] * np.exp(outputs["u"])

        def linearize(self, inputs: Any, outputs: Any, partials: Any) -> None:
            values = entries.data.copy()
            values[on_diagonal] += inputs["rate"] * np.exp(outputs["u"][entries.row[on_diagonal]])
            partials["u", "u"] = values
            partials["u", "rate"] = np.exp(outputs["u"])[:, None]

    class Mean(om.ExplicitComponent):
        def setup(self) -> None:
            self.add_input("u", np.zeros(n))
            self.add_output("mean", 0.0)
            self.declare_partials("mean", "u", rows=np.zeros(n, dtype=int), cols=np.arange(n), val=1.0 / n)

        def compute(self, inputs: Any, outputs: Any) -> None:
            outputs["mean"] = np.mean(inputs["u"])

    problem = om.Problem(reports=False)
    component = problem.model.add_subsystem("bratu", Bratu(), promotes=["*"])
    problem.model.add_subsystem("mean", Mean(), promotes=["*"])
    component.nonlinear_solver = om.NewtonSolver(solve_subsystems=False, maxiter=50, atol=1e-9, rtol=1e-11, iprint=-1)
    component.linear_solver = om.DirectSolver(assemble_jac=True)
    component.options["assembled_jac_type"] = "csc"
    problem.setup(mode="rev")
    problem.set_solver_print(level=-1)

    def solve(rate: float) -> float:
        problem.set_val("rate", rate)
        problem.set_val("u", np.zeros(n))
        problem.run_model()
        return float(problem.get_val("mean").item())

    def both(rate: float) -> tuple[float, float]:
        return solve(rate), float(problem.compute_totals(of=["mean"], wrt=["rate"], return_format="array").item())

    return solve, both


def optimistix(side: int) -> Calls:
    """Its Newton's method has dense Jacobians."""
    from common import cpu_jax

    jax = cpu_jax()
    import jax.numpy as jnp
    import optimistix as optx

    scale = (side + 1.0) ** 2

    def residual(u: Any, rate: Any) -> Any:
        grid = jnp.pad(u.reshape(side, side), 1)
        near = grid[2:, 1:-1] + grid[:-2, 1:-1] + grid[1:-1, 2:] + grid[1:-1, :-2]
        return (scale * (near - 4.0 * grid[1:-1, 1:-1])).ravel() + rate * jnp.exp(u)

    def mean(rate: Any) -> Any:
        solver = optx.Newton(rtol=STOP, atol=STOP)
        return jnp.mean(optx.root_find(residual, solver, jnp.zeros(side * side), args=rate, max_steps=50).value)

    solve, both = jax.jit(mean), jax.jit(jax.value_and_grad(mean))

    def numbers(rate: float) -> tuple[float, float]:
        value, slope = both(rate)
        return float(value), float(slope)

    return (lambda rate: float(solve(rate))), numbers


OURS = "lagrange_ad"
# name: what it needs, how it is made, up to which side, times ours at least, the same in words
PEERS: dict[str, tuple[tuple[str, ...], Callable[[int], Calls], int, float | None, str]] = {
    OURS: ((), ours, 10**6, None, ""),
    "SciPy by hand": ((), by_hand, 10**6, 1 / 1.1, "ours ≤ 1.1 × it"),
    "SciPy by hand, first factor kept": ((), lambda side: by_hand(side, keep=True), 10**6, None, ""),
    "CasADi, newton with csparse": (("casadi",), lambda side: casadi(side, "csparse"), 500, None, ""),
    "CasADi, newton with mumps": (("casadi",), lambda side: casadi(side, "mumps"), 10**6, 1.0, "≥ 1"),
    "OpenMDAO, NewtonSolver and DirectSolver": (("openmdao",), openmdao, 500, 10.0, "≥ 10"),
    "Optimistix, Newton, dense": (("optimistix",), optimistix, 60, None, ""),
}


def measure(name: str, side: int, repeats: int) -> dict[str, Any]:
    """Median seconds of a solve and of a solve with the gradient, what came out, megabytes above the imports."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    solve, both = PEERS[name][1](side)
    rates = [4.0 + 0.001 * k for k in range(repeats + 1)]
    solve(rates[0])
    found = both(rates[0])
    seconds: tuple[list[float], list[float]] = ([], [])
    for rate in rates[1:]:
        for function, times in zip((solve, both), seconds, strict=True):
            begin = time.perf_counter()
            function(rate)
            times.append(time.perf_counter() - begin)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"solve": statistics.median(seconds[0]), "both": statistics.median(seconds[1]), "found": found, "MB": memory}


def in_process(name: str, side: int, repeats: int) -> dict[str, Any]:
    """The same in a process of its own, or why there is nothing."""
    needs, _, most, _, _ = PEERS[name]
    lacking = [package for package in needs if importlib.util.find_spec(package) is None]
    if lacking:
        return {"missing": f"not installed: {', '.join(lacking)}"}
    if side > most:
        return {"missing": "not tried at this size"}
    command = [sys.executable, __file__, "--peer", name, "--side", str(side), "--repeats", str(repeats)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60 * MINUTES,
                              env=os.environ | dict.fromkeys(THREADS, "1"))
    except subprocess.TimeoutExpired:
        return {"missing": f"more than {MINUTES} minutes"}
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"ended with code {done.returncode}"]
        return {"missing": f"failed: {last[0][:120]}"}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def lines(side: int, names: list[str], repeats: int) -> list[list[str]]:
    """The rows of one size, ours first."""
    made, ours_found = [], in_process(OURS, side, repeats)
    if "missing" in ours_found:
        raise RuntimeError(ours_found["missing"])
    for name in names:
        _, _, _, target, said = PEERS[name]
        found = ours_found if name == OURS else in_process(name, side, repeats)
        if "missing" in found:
            made.append([name, found["missing"], "", "", said, "", "", ""])
            continue
        ratio, extra = found["both"] / ours_found["both"], found["both"] / found["solve"] - 1.0
        if name == OURS:
            said = f"gradient ≤ 10 %: {'met' if extra <= 0.1 else 'missed'}"
        elif target is not None:
            said = f"{said}: {'met' if ratio >= target else 'missed'}"
        apart = max(abs(a / b - 1.0) for a, b in zip(found["found"], ours_found["found"], strict=True))
        made.append([name, duration(found["solve"]), duration(found["both"]), f"{ratio:.3g}", said,
                     f"{100 * extra:.0f} %", f"{found['MB']:.0f}", "" if name == OURS else f"{apart:.0e}"])
    return made


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--sides", nargs="*", type=int, default=[], help=f"default {SIDES}, quick (20, 50)")
    options.add_argument("--only", nargs="*", default=[], help="peers whose names begin so")
    options.add_argument("--peer", help=argparse.SUPPRESS)
    options.add_argument("--side", type=int, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.peer:
        print(json.dumps(measure(given.peer, given.side, given.repeats)))
        return
    names = [name for name in PEERS if not given.only or any(name.startswith(begin) for begin in given.only)]
    heading("Bratu's equation on a square: solve, and solve with the gradient")
    header = ["", "solve", "solve and gradient", "times ours", "target", "gradient adds", "MB",
              "largest relative difference"]
    for side in given.sides or ((20, 50) if given.quick else SIDES):
        print(f"## {side * side} unknowns\n")
        repeats = given.repeats or (3 if given.quick or side > 300 else 7)
        print(table(header, lines(side, names, repeats)) + "\n", flush=True)


if __name__ == "__main__":
    main()
