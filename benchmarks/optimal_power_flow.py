"""AC optimal power flow of real grids: declare and build, the derivative callbacks, and the way to the optimum.

    python benchmarks/optimal_power_flow.py                            1354 and 2869 buses
    python benchmarks/optimal_power_flow.py --cases FOLDER --grids case30_ieee --only lagrange_ad CasADi

The model is that of ``examples/optimal_power_flow.py``; the cases are those of PGLib-OPF, read from ``--cases``. All
start from what the case says, and stop at a tolerance of 1e-8 as each understands it. It is written two ways, and
callbacks are compared within one: "expressions" has angles, magnitudes and generators as variables, and flows are
expressions of them; "named" has four flows a branch as variables and their formulas as equations, four times as many
unknowns. PyOptInterface is modelled as its guide to optimal power flow does, the second way. CasADi's callbacks are
those that its nlpsol made for Ipopt, called by the buffer interface; its Jacobian comes with c and its ∇f with f. Ipopt
is CasADi's own library with MUMPS, for PyOptInterface too. Every row and repeat is a process of its own with one
thread; imports and the reading of files are not counted. See optimizing.py for what is.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import poi_calls
from common import Array, CannotDo, example, heading, parser
from matpower import REFERENCE, Grid, flows, read
from optimizing import (
    IPOPT,
    ITERATIONS,
    OFF,
    TOLERANCE,
    Made,
    Point,
    Row,
    casadi_made,
    chosen,
    in_turns,
    of_matrices,
    options,
    ours_made,
    points,
    run_row,
    show,
)
from poi_network import add_network
from scipy import sparse

CASES = Path(__file__).parent.parent.parent / "shared" / "cases" / "pglib"
FLOWS = ("p_start", "q_start", "p_end", "q_end")


class Layout:
    """The order of variables: angles, magnitudes, active and reactive powers made, then flows where they are named; of
    rows: formulas of flows, active and reactive balances (right − left), ratings at starts and ends, angles between.
    """

    def __init__(self, grid: Grid, named: bool) -> None:
        limits, n, infinite = grid.limits, grid.n_bus, np.full(4 * grid.n_branch * named, np.inf)
        self.grid, self.named, self.loose = grid, named, len(infinite)
        self.rated = np.flatnonzero(np.isfinite(limits.flow))
        self.held = np.flatnonzero(np.isfinite(limits.between).any(axis=0))
        self.fixed = np.flatnonzero(grid.kind == REFERENCE)
        angles = np.full((2, n), [[-np.inf], [np.inf]])
        angles[:, self.fixed] = grid.angle[self.fixed]
        parts = [angles, limits.magnitude, limits.p_made, limits.q_made]
        self.lower, self.upper = (np.concatenate([*(part[k] for part in parts), sign * infinite])
                                  for k, sign in ((0, -1), (1, 1)))
        given = [grid.angle, grid.magnitude, grid.p_made, grid.q_made]
        if named:
            given += [np.asarray(part) for part in flows(grid, grid.magnitude, grid.angle)]
        self.x0 = np.clip(np.concatenate(given), self.lower, self.upper)
        squares = np.tile(limits.flow[self.rated] ** 2, 2)
        equations = np.zeros(self.loose + 2 * n)
        self.row_lower = np.concatenate([equations, np.full(len(squares), -np.inf), limits.between[0, self.held]])
        self.row_upper = np.concatenate([equations, squares, limits.between[1, self.held]])

    def points(self) -> list[Point]:
        return points(len(self.x0), len(self.row_lower), self.x0, self.fixed.tolist())


# ours ----------------------------------------------------------------------------------------------------------

def ours(layout: Layout) -> Made:
    program = example("optimal_power_flow").model(layout.grid, layout.named)
    keep = np.delete(np.arange(len(layout.x0)), layout.fixed)
    return ours_made(program, keep)


# CasADi --------------------------------------------------------------------------------------------------------

def casadi(layout: Layout) -> Made:
    import casadi as ca

    x, f, c = casadi_model(layout, ca)
    return casadi_made(ca.nlpsol("opf", "ipopt", {"x": x, "f": f, "g": c}, IPOPT), layout)


def casadi_model(layout: Layout, ca: Any) -> tuple[Any, Any, Any]:
    """SX of the variables, the cost, and the rows."""
    grid, sym = layout.grid, ca.SX.sym
    n, n_gen = grid.n_bus, grid.n_gen
    blocks = [sym("angle", n), sym("magnitude", n), sym("p_made", n_gen), sym("q_made", n_gen)]
    angle, v, p_made, q_made = blocks
    i, j = grid.start.tolist(), grid.end.tolist()
    (gff, gft, gtf, gtt), (bff, bft, btf, btt) = ([ca.DM(row) for row in part] for part in (grid.g, grid.b))
    between, v_start, v_end = angle[i] - angle[j], v[i], v[j]
    cosine, sine, product = ca.cos(between), ca.sin(between), v_start * v_end
    flow = [gff * v_start**2 + product * (gft * cosine + bft * sine),
            -bff * v_start**2 + product * (gft * sine - bft * cosine),
            gtt * v_end**2 + product * (gtf * cosine - btf * sine),
            -btt * v_end**2 - product * (gtf * sine + btf * cosine)]
    rows = []
    if layout.named:
        variables = [sym(name, grid.n_branch) for name in FLOWS]
        rows = [formula - variable for formula, variable in zip(flow, variables, strict=True)]
        flow, blocks = variables, blocks + variables

    def at_buses(index: Array, values: Any) -> Any:
        ones = sparse.csc_matrix((np.ones(len(index)), (index, np.arange(len(index)))), (n, len(index)))
        return ca.DM(ones) @ values

    rows += [grid.p_load + grid.g_shunt * v**2 + at_buses(grid.start, flow[0]) + at_buses(grid.end, flow[2])
             - at_buses(grid.at, p_made),
             grid.q_load - grid.b_shunt * v**2 + at_buses(grid.start, flow[1]) + at_buses(grid.end, flow[3])
             - at_buses(grid.at, q_made)]
    rated, held = layout.rated.tolist(), layout.held.tolist()
    rows += [flow[0][rated] ** 2 + flow[1][rated] ** 2, flow[2][rated] ** 2 + flow[3][rated] ** 2, between[held]]
    c0, c1, c2 = grid.cost
    return ca.vertcat(*blocks), ca.sum1(c0 + c1 * p_made + c2 * p_made**2), ca.vertcat(*rows)


# PyOptInterface ------------------------------------------------------------------------------------------------

def poi_model(layout: Layout, model: Any) -> Array:
    """Fill a model, a graph a branch, quadratic constraints for balances and ratings; the row of ours for each of its.

    Its rows: linear constraints, quadratic ones, nonlinear ones.
    """
    import pyoptinterface as poi

    grid, (rated, held) = layout.grid, (layout.rated, layout.held)
    n, m, limits = grid.n_bus, grid.n_branch, grid.limits
    every = [model.add_variable(lb=low, ub=high, start=start) for low, high, start in
             zip(layout.lower.tolist(), layout.upper.tolist(), layout.x0.tolist(), strict=True)]
    sizes = np.cumsum([n, n, grid.n_gen, grid.n_gen, m, m, m])
    angle, v, p_made, q_made, *flow = (every[a:b] for a, b in zip([0, *sizes], [*sizes, None], strict=True))
    for k in held.tolist():
        low, high = limits.between[:, k].tolist()
        model.add_linear_constraint(angle[grid.start[k]] - angle[grid.end[k]], (low, high))
    add_network(model, grid, angle, v, p_made, q_made, flow)
    for end in (0, 2):
        for k in rated.tolist():
            p, q = flow[end][k], flow[end + 1][k]
            model.add_quadratic_constraint(p * p + q * q, poi.Leq, float(limits.flow[k]) ** 2)
    quadratic = 2 * n + 2 * len(rated)
    return np.concatenate([4 * m + quadratic + np.arange(len(held)), 4 * m + np.arange(quadratic),
                           np.arange(4 * m).reshape(4, m).T.ravel()])


def poi_callbacks(layout: Layout) -> Made:
    model = poi_calls.new_model()
    row = poi_model(layout, model)
    functions = poi_calls.Functions(model)
    shape = (len(row), len(layout.x0))

    def forms(at: Point) -> list[float]:
        x, theirs = at.x, at.l[row]
        jacobian = sparse.coo_array((functions.jacobian(x), functions.jacobian_at), shape=shape).tocsr()
        values = functions.hessian(x, theirs)
        half = sparse.coo_array((values, functions.hessian_at), shape=(shape[1], shape[1])).tocsr()
        whole = half + half.T - sparse.diags_array(half.diagonal())
        return of_matrices(lambda: float(functions.f(x)[0]), functions.gradient(x), functions.values(x),
                           jacobian, whole, Point(x, theirs, at.r))

    calls = {"f": lambda a: functions.f(a[0]), "∇f": lambda a: functions.gradient(a[0]),
             "c": lambda a: functions.values(a[0]), "Jacobian": lambda a: functions.jacobian(a[0]),
             "Hessian": lambda a: functions.hessian(a[0], a[1])}
    return Made(calls, lambda at: (at.x, at.l[row]), forms)


def poi_solve(layout: Layout) -> Made:
    """Built until Ipopt is called: it compiles within ``optimize``, so here that is part of the solve."""
    from pyoptinterface import ipopt

    if not ipopt.load_library(str(ipopt_library())):
        raise CannotDo("CasADi's Ipopt could not be loaded")
    model = ipopt.Model()
    poi_model(layout, model)
    for name, value in (("print_level", 0), ("tol", TOLERANCE), ("max_iter", ITERATIONS), ("sb", "yes")):
        model.set_raw_parameter(name, value)

    def solve() -> tuple[float, int]:
        import pyoptinterface as poi

        model.optimize()
        status = model.get_model_attribute(poi.ModelAttribute.TerminationStatus)
        if status != poi.TerminationStatusCode.LOCALLY_SOLVED:
            raise CannotDo(f"Ipopt: {status}")
        return float(model.get_model_attribute(poi.ModelAttribute.ObjectiveValue)), -1

    return Made(solve=solve)


def ipopt_library() -> Path:
    """The Ipopt that comes with CasADi."""
    import casadi as ca

    for name in ("libipopt.so.3", "libipopt.3.dylib", "libipopt-3.dll"):
        path = Path(ca.__file__).parent / name
        if path.exists():
            return path
    raise CannotDo("CasADi's Ipopt was not found")


# Pyomo ---------------------------------------------------------------------------------------------------------

def pyomo(layout: Layout) -> Made:
    """Its way to a solver is a file in AMPL's format, callbacks are the AMPL library's: built until it is written."""
    import tempfile

    import pyomo.environ as pe

    model = pyomo_model(layout, pe)
    folder = tempfile.mkdtemp()
    model.write(f"{folder}/opf.nl", format="nl")
    solver = pe.SolverFactory("ipopt")
    if not solver.available(exception_flag=False):
        return Made(missing="built and written as .nl; no ipopt executable and no AMPL library here to go on with")

    def solve() -> tuple[float, int]:
        solver.options.update(tol=TOLERANCE, max_iter=ITERATIONS)
        pe.assert_optimal_termination(solver.solve(model))
        return float(pe.value(model.cost)), -1

    return Made(solve=solve)


def pyomo_model(layout: Layout, pe: Any) -> Any:
    """The model with flows named, as its users write it: a Python expression an equation."""
    grid = layout.grid
    n, m = grid.n_bus, grid.n_branch
    model = pe.ConcreteModel()
    model.x = pe.Var(range(len(layout.x0)))
    for k, (low, high, start) in enumerate(zip(layout.lower.tolist(), layout.upper.tolist(), layout.x0.tolist(),
                                               strict=True)):
        one = model.x[k]
        one.setlb(None if low == -np.inf else low)
        one.setub(None if high == np.inf else high)
        one.value = start
    every = [model.x[k] for k in range(len(layout.x0))]
    sizes = np.cumsum([n, n, grid.n_gen, grid.n_gen, m, m, m])
    angle, v, p_made, q_made, *flow = (every[a:b] for a, b in zip([0, *sizes], [*sizes, None], strict=True))
    model.rows = pe.ConstraintList()
    out: list[list[list[Any]]] = [[[] for _ in range(n)] for _ in range(2)]
    for k, (i, j) in enumerate(zip(grid.start.tolist(), grid.end.tolist(), strict=True)):
        (gff, gft, gtf, gtt), (bff, bft, btf, btt) = grid.g[:, k].tolist(), grid.b[:, k].tolist()
        between, product = angle[i] - angle[j], v[i] * v[j]
        cosine, sine = pe.cos(between), pe.sin(between)
        model.rows.add(gff * v[i] ** 2 + product * (gft * cosine + bft * sine) == flow[0][k])
        model.rows.add(-bff * v[i] ** 2 + product * (gft * sine - bft * cosine) == flow[1][k])
        model.rows.add(gtt * v[j] ** 2 + product * (gtf * cosine - btf * sine) == flow[2][k])
        model.rows.add(-btt * v[j] ** 2 - product * (gtf * sine + btf * cosine) == flow[3][k])
        for kind in range(2):
            out[kind][i].append(flow[kind][k])
            out[kind][j].append(flow[2 + kind][k])
    for k, i in enumerate(grid.at.tolist()):
        out[0][i].append(-p_made[k])
        out[1][i].append(-q_made[k])
    for balances, shunt, load in zip(out, (grid.g_shunt, -grid.b_shunt), (grid.p_load, grid.q_load), strict=True):
        for i, terms in enumerate(balances):
            model.rows.add(sum(terms) + float(shunt[i]) * v[i] ** 2 + float(load[i]) == 0.0)
    for p, q in ((flow[0], flow[1]), (flow[2], flow[3])):
        for k in layout.rated.tolist():
            model.rows.add(p[k] ** 2 + q[k] ** 2 <= float(grid.limits.flow[k]) ** 2)
    for k in layout.held.tolist():
        low, high = grid.limits.between[:, k].tolist()
        model.rows.add(pe.inequality(low, angle[grid.start[k]] - angle[grid.end[k]], high))
    model.cost = pe.Objective(expr=sum(c0 + c1 * p_made[k] + c2 * p_made[k] ** 2
                                       for k, (c0, c1, c2) in enumerate(grid.cost.T.tolist())))
    return model


# the tables ----------------------------------------------------------------------------------------------------

EXPRESSIONS, NAMED = "expressions", "named"
ROWS = [
    Row("lagrange_ad, expressions", (), ours, EXPRESSIONS, ours=True),
    Row("lagrange_ad, expressions, nothing compiled kept on disk", (), ours, EXPRESSIONS, environment=OFF, ours=True),
    Row("lagrange_ad, named", (), ours, NAMED, ours=True),
    Row("CasADi SX, Ipopt, expressions", ("casadi",), casadi, EXPRESSIONS, build=5.0, calls=10.0),
    Row("CasADi SX, Ipopt, named", ("casadi",), casadi, NAMED, build=5.0, calls=10.0),
    Row("PyOptInterface, named, to its callbacks", poi_calls.NEEDS, poi_callbacks, NAMED),
    Row("PyOptInterface, Ipopt, named", (*poi_calls.NEEDS, "casadi"), poi_solve, NAMED),
    Row("Pyomo, named", ("pyomo",), pyomo, NAMED),
]


def layout_of(folder: Path, name: str, row: Row) -> Layout:
    return Layout(read(folder / f"pglib_opf_{name}.m"), row.group == NAMED)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--cases", type=Path, default=CASES, help="folder of PGLib-OPF cases")
    made.add_argument("--grids", nargs="*", help="default case1354_pegase case2869_pegase, quick case30_ieee")
    options(made)
    given = made.parse_args()
    if given.row is not None:
        row = next(row for row in ROWS if row.name == given.row)
        layout = layout_of(given.cases, given.case, row)
        run_row(row, layout, layout.points())
        return
    heading("AC optimal power flow: build, derivative callbacks, optimum")
    for name in given.grids or (["case30_ieee"] if given.quick else ["case1354_pegase", "case2869_pegase"]):
        show_case(name, given)


def show_case(name: str, given: argparse.Namespace) -> None:
    path = given.cases / f"pglib_opf_{name}.m"
    if not path.exists():
        print(f"{path} is not there: give the folder of PGLib-OPF by --cases\n")
        return
    layouts: Sequence[Layout] = [Layout(read(path), named) for named in (False, True)]
    sizes = " or ".join(f"{len(one.x0)} variables and {len(one.row_lower)} rows" for one in layouts)
    print(f"## {name}: {sizes}\n")
    repeats = given.repeats or (2 if given.quick else 5)
    rows = chosen(ROWS, given)
    show(rows, in_turns(rows, __file__, name, repeats, ["--cases", str(given.cases)]))


if __name__ == "__main__":
    main()
