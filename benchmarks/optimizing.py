"""What the benchmarks of optimizers share: a peer's model with its five callbacks, measured in a process of its own.

``build`` is everything from the first line of the model to callbacks that are ready to be called; ``solve`` the way to
the optimum from the start that all share; ``total`` both. Processes take turns, each row's numbers are medians of its
own. Callbacks are compared by f(x), r·∇f, l·c, l·J r and r·H r with random l and r at a random point.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from common import Array, CannotDo, casadi_buffers, duration, table
from scipy import sparse

CALLBACKS = ("f", "∇f", "c", "Jacobian", "Hessian")
MINUTES = 15
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ITERATIONS, TOLERANCE = 3000, 1e-8
IPOPT = {"print_time": False, "ipopt.print_level": 0, "ipopt.sb": "yes", "ipopt.tol": TOLERANCE,
         "ipopt.max_iter": ITERATIONS}
"""CasADi's options for a quiet Ipopt."""
OFF = {"LAGRANGE_AD_CACHE": "off"}


@dataclass
class Made:
    """A peer's model. ``callbacks``: functions of what ``prepare`` makes of a :class:`Point`, by name; ``forms``: the
    five numbers there.

    ``solve()`` gives (objective, iterations; −1 where it does not tell). None where the peer cannot do it, and
    ``missing`` says why.
    """

    callbacks: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    prepare: Callable[[Point], Any] = lambda point: point
    forms: Callable[[Point], Sequence[float]] | None = None
    solve: Callable[[], tuple[float, int]] | None = None
    missing: str = ""


@dataclass(frozen=True)
class Point:
    """Variables x (n,), multipliers l (m,), a direction r (n,)."""

    x: Array
    l: Array  # noqa: E741
    r: Array


@dataclass(frozen=True)
class Row:
    """A row of the tables. ``group``: rows of one group have the same variables and equations, so callbacks compare;
    our first row of a group is what its others are measured by.

    ``build`` and ``calls`` are targets: how many times our time in the group at least. ``environment`` is set for its
    processes.
    """

    name: str
    needs: tuple[str, ...]
    make: Callable[[Any], Made]
    group: str = ""
    ours: bool = False
    build: float | None = None
    calls: float | None = None
    solves: bool = True
    environment: dict[str, str] = field(default_factory=dict)


def points(n: int, m: int, x: Array, fixed: Sequence[int] = ()) -> list[Point]:
    """Two points near x. The direction is 0 at what is fixed."""
    random = np.random.default_rng(0)
    made = []
    for _ in range(2):
        r = random.standard_normal(n)
        r[list(fixed)] = 0.0
        made.append(Point(x + 0.01 * random.standard_normal(n) * (r != 0.0), random.standard_normal(m), r))
    return made


def measure(make: Callable[[], Made], at: Sequence[Point], solve: bool) -> dict[str, Any]:
    """Seconds to build and to solve, what came out, seconds a call of every callback, and the five numbers."""
    begin = time.perf_counter()
    made = make()
    found: dict[str, Any] = {"build": time.perf_counter() - begin, "missing": made.missing}
    if made.solve is not None and solve:
        begin = time.perf_counter()
        objective, iterations = made.solve()
        found |= {"solve": time.perf_counter() - begin, "objective": objective, "iterations": iterations}
    if made.forms is not None:
        found["forms"] = [float(value) for value in made.forms(at[0])]
        ready = [made.prepare(point) for point in at]
        found["calls"] = {name: seconds_a_call(made.callbacks[name], ready) for name in CALLBACKS}
    return found


def seconds_a_call(function: Callable[[Any], Any], at: Sequence[Any], least: float = 0.1) -> float:
    """The median of seven turns of ``least`` / 7 seconds; every call has another point than the one before."""
    for point in at:
        function(point)
    begin = time.perf_counter()
    function(at[0])
    count = max(1, int(least / 7 / max(time.perf_counter() - begin, 1e-7)))
    turns = []
    for _ in range(7):
        begin = time.perf_counter()
        for k in range(count):
            function(at[k % 2])
        turns.append((time.perf_counter() - begin) / count)
    return statistics.median(turns)


def of_matrices(f: Callable[[], float], gradient: Array, c: Array, jacobian: Any, hessian: Any,
                at: Point) -> list[float]:
    """The five numbers, from SciPy's matrices; the Hessian is whole."""
    return [f(), at.r @ gradient, at.l @ c, at.l @ (jacobian @ at.r), at.r @ (hessian @ at.r)]


# models that two scripts share ---------------------------------------------------------------------------------

def ours_made(program: Any, keep: Array) -> Made:
    """A program in full space; ``keep``: the shared variables that are in its x, in order."""
    problem = program.full().problem
    x, l = problem.x0, np.zeros(problem.m)  # noqa: E741
    for prepared in (problem.objective, problem.gradient, problem.constraints, problem.jacobian):
        prepared(x)
    problem.hessian(x, 1.0, l)

    def solve() -> tuple[float, int]:
        result = program.optimize(space="full", tolerance=TOLERANCE)
        if result.reason != "solved":  # as others end; a certificate, which others do not make, comes when asked for
            raise CannotDo(result.message)
        return result.objective, result.iterations

    def forms(at: Point) -> list[float]:
        x = at.x[keep]
        return of_matrices(lambda: problem.objective(x), problem.gradient(x), problem.constraints(x),
                           problem.jacobian_matrix(x), problem.hessian_matrix(x, 1.0, at.l), Point(x, at.l, at.r[keep]))

    calls: dict[str, Callable[[Any], Any]] = {
        "f": lambda a: problem.objective(a[0]), "∇f": lambda a: problem.gradient(a[0]),
        "c": lambda a: problem.constraints(a[0]), "Jacobian": lambda a: problem.jacobian(a[0]),
        "Hessian": lambda a: problem.hessian(a[0], 1.0, a[1]),
    }
    return Made(calls, lambda at: (at.x[keep], at.l), forms, solve)


def casadi_made(solver: Any, layout: Any) -> Made:
    """Callbacks and solve of an nlpsol, whose x, bounds and start are those of a layout."""
    names = {"f": "nlp_f", "∇f": "nlp_grad_f", "c": "nlp_g", "Jacobian": "nlp_jac_g", "Hessian": "nlp_hess_l"}
    functions = {name: solver.get_function(theirs) for name, theirs in names.items()}
    buffers = {name: casadi_buffers(function) for name, function in functions.items()}
    n, m = len(layout.x0), len(layout.row_lower)

    def call(name: str) -> Any:
        run, arguments, results = buffers[name]

        def called(at: Point) -> Array:
            arguments[0][:] = at.x
            if name == "Hessian":
                arguments[2][0], arguments[3][:] = 1.0, at.l
            run()
            return results[-1]

        return called

    calls = {name: call(name) for name in names}

    def forms(at: Point) -> list[float]:
        jacobian = _sparse(functions["Jacobian"], calls["Jacobian"](at), (m, n))
        half = _sparse(functions["Hessian"], calls["Hessian"](at), (n, n))
        gradient = _sparse(functions["∇f"], calls["∇f"](at), (n, 1)).toarray().ravel()
        return of_matrices(lambda: float(calls["f"](at)[0]), gradient, calls["c"](at), jacobian,
                           half + half.T - sparse.diags_array(half.diagonal()), at)

    def solve() -> tuple[float, int]:
        found = solver(x0=layout.x0, lbx=layout.lower, ubx=layout.upper, lbg=layout.row_lower, ubg=layout.row_upper)
        stats = solver.stats()
        if not stats["success"]:
            raise CannotDo(f"Ipopt: {stats['return_status']}")
        return float(found["f"]), int(stats["iter_count"])

    return Made(calls, forms=forms, solve=solve)


def _sparse(function: Any, values: Array, shape: tuple[int, int]) -> Any:
    """The matrix of a function's last result; a gradient may be a row."""
    sparsity = function.sparsity_out(function.n_out() - 1)
    if sparsity.size1() == 1 and shape[1] == 1:
        sparsity = sparsity.T
    rows, columns = (np.array(part) for part in sparsity.get_triplet())
    return sparse.coo_array((values.copy(), (rows, columns)), shape=shape).tocsr()


# processes -----------------------------------------------------------------------------------------------------

def options(made: argparse.ArgumentParser) -> None:
    """What the scripts take for their processes."""
    made.add_argument("--only", nargs="*", default=[], help="rows whose names begin so, beside ours")
    made.add_argument("--row", help=argparse.SUPPRESS)
    made.add_argument("--case", help=argparse.SUPPRESS)


def chosen(rows: Sequence[Row], given: argparse.Namespace) -> list[Row]:
    """The rows that ``--only`` leaves."""
    return [row for row in rows if row.ours or not given.only or row.name.startswith(tuple(given.only))]


def run_row(row: Row, problem: Any, at: Sequence[Point]) -> None:
    """In a process of its own: measure a row and print it."""
    try:
        found = measure(lambda: row.make(problem), at, row.solves)
    except CannotDo as reason:
        found = {"missing": str(reason)}
    print(json.dumps(found))


def in_turns(rows: Sequence[Row], script: str, case: str, repeats: int, more: Sequence[str] = ()
             ) -> list[dict[str, Any]]:
    """Every row in ``repeats`` processes, taking turns; one dictionary of medians each."""
    every: list[list[dict[str, Any]]] = [[] for _ in rows]
    for _ in range(repeats):
        for row, found in zip(rows, every, strict=True):
            if not found or "build" in found[0]:
                found.append(_in_process(row, script, case, more))
    return [_median(found) for found in every]


def _in_process(row: Row, script: str, case: str, more: Sequence[str]) -> dict[str, Any]:
    lacking = [name for name in row.needs if importlib.util.find_spec(name) is None]
    if lacking:
        return {"missing": f"not installed: {', '.join(lacking)}"}
    command = [sys.executable, script, "--row", row.name, "--case", case, *more]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60 * MINUTES,
                              env=os.environ | dict.fromkeys(THREADS, "1") | row.environment)
    except subprocess.TimeoutExpired:
        return {"missing": f"more than {MINUTES} minutes"}
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"ended with code {done.returncode}"]
        return {"missing": f"failed: {last[0][:160]}"}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def _median(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The numbers of all turns as one: medians of seconds, the rest as the first turn has it."""
    one = dict(found[0])
    for name in ("build", "solve"):
        if name in one:
            one[name] = statistics.median(turn[name] for turn in found)
    if "solve" in one:
        one["total"] = statistics.median(turn["build"] + turn["solve"] for turn in found)
    if "calls" in one:
        one["calls"] = {name: statistics.median(turn["calls"][name] for turn in found) for name in CALLBACKS}
        one["sum"] = sum(one["calls"].values())
    return one


# tables --------------------------------------------------------------------------------------------------------

def show(rows: Sequence[Row], found: Sequence[dict[str, Any]]) -> None:
    """Two tables: build and solve; the callbacks. The first row of a group is ours."""
    ours = {row.group: f for row, f in reversed(list(zip(rows, found, strict=True))) if row.ours}
    for missing in (f["missing"] for f in ours.values() if "build" not in f):
        raise RuntimeError(missing)
    print(table(["", "build", "times ours", "target", "solve", "iterations", "total", "times ours", "target",
                 "objective"], _ways(rows, found, ours)) + "\n")
    calls = [_calls(row, f, ours[row.group]) for row, f in zip(rows, found, strict=True) if "calls" in f]
    print(table(["callbacks", *CALLBACKS, "all five", "times ours", "target", "largest relative difference"], calls))
    for row, f in zip(rows, found, strict=True):
        if f.get("missing") and "build" in f:
            print(f"\n{row.name}: {f['missing']}")
    print(flush=True)


def _ways(rows: Sequence[Row], found: Sequence[dict[str, Any]], ours: dict[str, dict[str, Any]]) -> list[list[str]]:
    lines, first = [], found[0]
    fastest = min((f["total"] for row, f in zip(rows, found, strict=True) if not row.ours and "total" in f),
                  default=None)
    for row, f in zip(rows, found, strict=True):
        if "build" not in f:
            lines.append([row.name, f["missing"], *8 * [""]])
            continue
        ratio = f["build"] / ours[row.group]["build"]
        line = [row.name, duration(f["build"]), f"{ratio:.3g}", _said(row.build, ratio), *6 * [""]]
        if "total" in f:
            apart = abs(f["objective"] / first["objective"] - 1.0)
            target = ""
            if f is first and fastest is not None:
                target = f"not slower than the fastest: {'met' if f['total'] <= fastest else 'missed'}"
            iterations = str(f["iterations"]) if f["iterations"] >= 0 else ""
            line[4:] = [duration(f["solve"]), iterations, duration(f["total"]),
                        f"{f['total'] / first['total']:.3g}", target,
                        f"{f['objective']:.9g}" + ("" if apart <= 1e-6 else " (differs)")]
        lines.append(line)
    return lines


def _calls(row: Row, found: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    ratio = found["sum"] / ours["sum"]
    apart = "" if found is ours else f"{_apart(found['forms'], ours['forms']):.0e}"
    return [row.name, *(duration(found["calls"][name]) for name in CALLBACKS), duration(found["sum"]), f"{ratio:.3g}",
            _said(row.calls, ratio), apart]


def _apart(found: Sequence[float], wanted: Sequence[float]) -> float:
    """The largest relative difference of the five numbers."""
    return max(abs(a - b) / max(abs(b), 1.0) for a, b in zip(found, wanted, strict=True))


def _said(target: float | None, ratio: float) -> str:
    """A target, and whether it is met."""
    return "" if target is None else f"≥ {target:g}: {'met' if ratio >= target else 'missed'}"
