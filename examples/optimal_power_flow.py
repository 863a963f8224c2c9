"""AC optimal power flow: the cheapest way to feed a grid within its limits, and what a megawatt costs at every bus.

Voltages (magnitude v, angle θ) and what generators make (pg, qg) are all to be chosen. At every bus what generators
make, less what flows out into branches and shunts, is what is taken:

    active:    Σ pg − Σ P(v_i, v_j, θ_i − θ_j) − g_i v_i² = p_load
    reactive:  Σ qg − Σ Q(v_i, v_j, θ_i − θ_j) + b_i v_i² = q_load

Two equations a bus for more unknowns than that: ``optimize`` finds the rest. Limits: voltages, generators, the apparent
power √(P² + Q²) into both ends of branches, the angle between their ends. The load stands alone on the right, so λ of
an equation = dCost*/dload, what a unit more of load costs there when everything is chosen anew: the nodal price
(locational marginal price). Powers are per unit of ``base`` MVA and costs in $/h, so prices are λ / base, in $/MWh and
$/Mvarh; positive where more load costs more.

Flows are expressions, used by balances and limits. Named (``--named``) they are 4 variables and 4 equations a branch
more, slower to solve, and each has a multiplier.

Reads MATPOWER case files, such as PGLib-OPF's (https://github.com/power-grid-lib/pglib-opf; arXiv:1908.02788). Without
one: the grid of IEEE's 14 buses. Run it: ``python examples/optimal_power_flow.py CASE.m --plot prices.png``
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matpower import REFERENCE, Grid, flows, read
from pages import table

import lagrange_ad as la

CASE = Path(__file__).parent / "data" / "pglib" / "pglib_opf_case14_ieee.m"
PUBLISHED = {"case3_lmbd": 5812.6, "case5_pjm": 17552.0, "case14_ieee": 2178.1, "case30_ieee": 8208.5,
             "case57_ieee": 37589.0, "case1354_pegase": 1.2588e6, "case2869_pegase": 2.4628e6}  # fmt: skip
"""$/h, five digits, by PGLib-OPF's BASELINE.md (v23.07, typical operating conditions)."""
ENDS = ("start", "end")
TOLERANCE = 1e-9
"""Costs of 10^6 $/h are large: at 1e-8, limits that cost little are not yet told from those that cost nothing."""
LEAST = 1e-6
"""Multipliers below this, $/h, are none: an interior-point method leaves traces everywhere."""
FEW, PIVOTS = 60, 60


def model(grid: Grid, named: bool = False) -> la.Program:
    """The program of a case. ``named``: flows are variables with equations of their own, not expressions."""
    n, limits = grid.n_bus, grid.limits
    program = la.Program(grid.name)

    def variable(name: str, start: Any, bounds: Any, labels: Any) -> Any:
        low, high = bounds
        return program.variable(name, len(start), start=np.clip(start, low, high), lower=low, upper=high,
                                labels=labels)

    angle = program.variable("angle", n, start=grid.angle, labels=grid.number)
    v = variable("v", grid.magnitude, limits.magnitude, grid.number)
    pg, qg = variable("pg", grid.p_made, limits.p_made, None), variable("qg", grid.q_made, limits.q_made, None)
    p_load = program.parameter("p_load", grid.p_load, labels=grid.number)
    q_load = program.parameter("q_load", grid.q_load, labels=grid.number)
    flow = flows(grid, v, angle)
    if named:
        flow = tuple(program.define(name, formula) for name, formula in
                     zip(("p_start", "q_start", "p_end", "q_end"), flow, strict=True))
    p_start, q_start, p_end, q_end = flow

    def at_buses(where: Any, what: Any) -> Any:
        return np.bincount(where, weights=what, minlength=n)

    program.equate(at_buses(grid.at, pg) - at_buses(grid.start, p_start) - at_buses(grid.end, p_end)
                   - grid.g_shunt * v**2, p_load, name="active")
    program.equate(at_buses(grid.at, qg) - at_buses(grid.start, q_start) - at_buses(grid.end, q_end)
                   + grid.b_shunt * v**2, q_load, name="reactive")
    reference = np.flatnonzero(grid.kind == REFERENCE)
    program.fix(angle[reference], grid.angle[reference])
    rated, held = rated_branches(grid), held_branches(grid)
    for end, p, q in zip(ENDS, (p_start, p_end), (q_start, q_end), strict=True):
        if len(rated):
            program.subject_to(p[rated] ** 2 + q[rated] ** 2 <= limits.flow[rated] ** 2, name=f"rating_{end}")
    if len(held):
        program.subject_to((angle[grid.start] - angle[grid.end])[held], lower=limits.between[0, held],
                           upper=limits.between[1, held], name="between")
    program.minimize(cost(program, grid, pg), name="cost")
    return program


def cost(program: la.Program, grid: Grid, pg: Any) -> Any:
    """$/h: polynomials of what generators make; a cost with pieces is a variable above all of its lines."""
    total = sum((np.sum(c * pg**k) for k, c in enumerate(grid.polynomials) if c.any()), np.zeros(()))
    generator, slope, height = grid.pieces
    if len(generator):
        which, place = np.unique(generator, return_inverse=True)
        lines = np.full(len(which), -np.inf)
        np.maximum.at(lines, place, slope * np.clip(grid.p_made, *grid.limits.p_made)[generator] + height)
        above = program.variable("piecewise", len(which), start=lines)
        program.subject_to(above[place] - slope * pg[generator] >= height, name="pieces")
        total = total + np.sum(above)
    return total


def rated_branches(grid: Grid) -> Any:
    """The branches with a limit of their flow."""
    return np.flatnonzero(np.isfinite(grid.limits.flow))


def held_branches(grid: Grid) -> Any:
    """The branches with a limit of the angle between their ends."""
    return np.flatnonzero(np.isfinite(grid.limits.between).any(axis=0))


def prices(grid: Grid, best: Any, balance: str = "active") -> Any:
    """$/MWh (of "reactive": $/Mvarh) at every bus: what one more taken there costs."""
    return best.multiplier[balance] / grid.base


def binding(grid: Grid, best: Any) -> list[tuple[str, float, str, float]]:
    """(limit, its value, unit, dCost*/d(limit) in $/h a unit) of all limits that cost anything, the dearest first."""
    base, found = grid.base, []
    buses = [f"bus {number}" for number in grid.number]
    branches = [f"branch {grid.number[i]}–{grid.number[j]}" for i, j in zip(grid.start, grid.end, strict=True)]
    made = [f"generator {k + 1} at bus {grid.number[i]}" for k, i in enumerate(grid.at)]
    limits, lower, upper = grid.limits, best.multiplier.lower, best.multiplier.upper
    for name, where, what, bounds, unit, size in (
            ("v", buses, "voltage", limits.magnitude, "p.u.", 1.0), ("pg", made, "p", limits.p_made, "MW", base),
            ("qg", made, "q", limits.q_made, "Mvar", base)):
        for side, price in enumerate((lower[name], upper[name])):
            words = np.where(bounds[0] == bounds[1], "=", "≥≤"[side])
            found += [(f"{where[k]}: {what} {words[k]}", bounds[side, k] * size, unit, price[k] / size)
                      for k in np.flatnonzero(price)]
    rated, held = rated_branches(grid), held_branches(grid)
    for end in ENDS if len(rated) else ():
        squared = best.multiplier[f"rating_{end}"]  # of p² + q² ≤ rating²: d(rating²) = 2·rating·d(rating)
        found += [(f"{branches[k]}: power at its {end} ≤", limits.flow[k] * base, "MVA",
                   2.0 * limits.flow[k] * price / base) for k, price in zip(rated, squared, strict=True) if price]
    for k, price in zip(held, best.multiplier["between"] if len(held) else (), strict=True):
        if price:
            side = int(price < 0)
            found.append((f"{branches[k]}: angle {'≥≤'[side]}", np.degrees(limits.between[side, k]), "°",
                          np.radians(price)))
    return sorted(found, key=lambda item: -abs(item[3]))


def report(grid: Grid, best: Any, rows: int) -> None:
    """The cost beside the published one, the cheapest and dearest buses, the limits that cost most."""
    print(f"{grid.name}: {grid.n_bus} buses, {grid.n_branch} branches, {grid.n_gen} generators\n{best.message}")
    published = PUBLISHED.get(grid.name.removeprefix("pglib_opf_"))
    beside = "" if published is None else f", published {published:.5g}: {agreement(best.objective, published)}"
    print(f"cost {best.objective:.3f} $/h{beside}; {best['pg'].sum() * grid.base:.1f} MW made for "
          f"{grid.p_load.sum() * grid.base:.1f} MW taken")
    active, reactive = (np.round(prices(grid, best, name), 4) + 0.0 for name in ("active", "reactive"))
    order = np.argsort(active, kind="stable")
    shown = order if len(order) <= 2 * rows else [*order[:rows], *order[-rows:]]
    print("\n" + table("nodal prices: what one more costs there, from the cheapest bus to the dearest", [
        "bus", "$/MWh", "$/Mvarh", "v", "angle/°"], [
        [str(grid.number[i]), f"{active[i]:.4f}", f"{reactive[i]:+.4f}", f"{best['v'][i]:.4f}",
         f"{np.degrees(best['angle'][i]):.2f}"] for i in shown]))  # fmt: skip
    costly = [item for item in binding(grid, best) if abs(item[3]) > LEAST]
    print("\n" + table(f"limits that bind, the {min(rows, len(costly))} dearest of {len(costly)}: "
                       "dCost*/d(limit)", ["limit", "at", "unit", "$/h a unit"],
                       [[what, f"{at:.4g}", unit, f"{price:+.4f}"] for what, at, unit, price in costly[:rows]]))
    print(f"\n{best.certificate.verdict}")


def agreement(found: float, published: float) -> str:
    """Whether two numbers are one to five digits."""
    return "the same to five digits" if f"{found:.4e}" == f"{published:.4e}" else "NOT the same"


# the picture ------------------------------------------------------------------------------------------------------

def places(grid: Grid) -> Any:
    """(n_bus, 2): where to draw buses, by the graph alone: distances from far-apart ones, two main axes, springs."""
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(range(grid.n_bus))
    graph.add_edges_from(zip(grid.start.tolist(), grid.end.tolist(), strict=True))
    if grid.n_bus <= FEW:
        found = nx.kamada_kawai_layout(graph)
    else:
        steps: list[Any] = []
        for _ in range(PIVOTS):  # the next pivot is the bus farthest from all before
            pivot = int(np.argmax(np.min(steps, axis=0))) if steps else 0
            reached = nx.single_source_shortest_path_length(graph, pivot)
            steps.append([reached.get(i, 0) for i in range(grid.n_bus)])
        squares = np.array(steps, dtype=float).T ** 2
        centred = squares - squares.mean(axis=0) - squares.mean(axis=1)[:, None] + squares.mean()
        axes, sizes, _ = np.linalg.svd(centred, full_matrices=False)
        begin = axes[:, :2] * sizes[:2]
        begin = begin / np.abs(begin).max() + 0.01 * np.random.default_rng(0).standard_normal(begin.shape)
        found = nx.spring_layout(graph, pos=dict(enumerate(begin)), iterations=30, seed=1)
    return np.array([found[i] for i in range(grid.n_bus)])


def draw(path: str, grid: Grid, best: Any) -> None:
    """The grid as a graph: buses coloured by price, squares where generators are; branches at their rating are red."""
    from matplotlib.collections import LineCollection
    from pages import GREY, RED, canvas

    place, price, few = places(grid), prices(grid, best), grid.n_bus <= FEW
    rated, full = rated_branches(grid), np.zeros(grid.n_branch, dtype=bool)
    for end in ENDS if len(rated) else ():
        full[rated] |= np.abs(best.multiplier[f"rating_{end}"]) > LEAST
    low, high = np.percentile(price, [0, 100] if few else [2, 98])
    with canvas(path, size=(6.4, 4.2) if few else (9.0, 6.2)) as axes:
        for which, colour, width in ((~full, GREY, 0.8 if few else 0.3), (full, RED, 2.2 if few else 1.6)):
            lines = np.stack([place[grid.start[which]], place[grid.end[which]]], axis=1)
            axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, zorder=1))
        for feeding, marker, size in ((False, "o", 60 if few else 5), (True, "s", 90 if few else 12)):
            here = np.isin(np.arange(grid.n_bus), grid.at) == feeding
            shown = axes.scatter(*place[here].T, c=price[here], cmap="viridis", vmin=low, vmax=high, zorder=2, s=size,
                                 marker=marker, edgecolors="black", linewidths=0.5 if few else 0.1,
                                 label="bus with generators" if feeding else "bus")
        if few:
            for name, (x, y), cost_there in zip(grid.number, place, price, strict=True):
                axes.annotate(f"{name}: {cost_there:.2f}", (x, y), xytext=(6, 5), textcoords="offset points",
                              fontsize=7)
        if full.any():
            axes.plot([], [], color=RED, label="branch at its rating")
        axes.figure.colorbar(shown, ax=axes, label=r"price, \$/MWh", extend="neither" if few else "both", shrink=0.8)
        axes.set(xticks=[], yticks=[], title=rf"{grid.name}: {best.objective:,.0f} \$/h, prices from {price.min():.2f} "
                 rf"to {price.max():.2f} \$/MWh")
        axes.spines[:].set_visible(False)
        axes.set_aspect("equal")
        axes.margins(0.08 if few else 0.02)
        axes.legend(loc="best", markerscale=1.0 if few else 2.0)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="AC optimal power flow, nodal prices.")
    parser.add_argument("case", nargs="?", type=Path, default=CASE, help="a MATPOWER case (default: IEEE's 14 buses)")
    parser.add_argument("--named", action="store_true", help="flows are variables with equations of their own")
    parser.add_argument("--rows", type=int, default=5, help="how many buses and limits to list")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib; minutes for thousands of buses)")
    options = parser.parse_args(arguments)
    grid = read(options.case)
    best = model(grid, options.named).optimize(tolerance=TOLERANCE)
    report(grid, best, options.rows)
    if options.plot:
        draw(options.plot, grid, best)
    return 0 if best.success else 1


if __name__ == "__main__":
    raise SystemExit(main())
