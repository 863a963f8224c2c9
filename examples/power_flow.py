"""AC power flow of a grid: which voltages and flows follow from what is fed in, and what a megawatt more would cost.

Every bus has a voltage (magnitude v, angle θ) and an injection (active power p, reactive power q: what is made there
minus what is taken). What flows out of a bus into its branches and shunts is what is injected:

    p_i = Σ_branches P(v_i, v_j, θ_i − θ_j) + g_i v_i²          q_i = Σ_branches Q(v_i, v_j, θ_i − θ_j) − b_i v_i²

Four numbers a bus and two equations: two of the numbers must be given, and which says the kind of the bus. All are
declared alike, as variables; ``fix`` gives those that are known:

    load          p, q given         v, θ found
    generator     p, v given         q, θ found
    reference     v, θ given         p, q found: it covers the losses, which nobody knows beforehand

The solve is Newton's method from a flat start (v = 1 or what generators hold, θ = 0). The objective is the active power
lost in the branches; its multipliers and gradient come from one transposed solve with the last factors. dLosses/dp of a
bus is its marginal loss factor: to take one megawatt more there, the reference must make 1 − dLosses/dp.

Reads MATPOWER case files, such as PGLib-OPF's (https://github.com/power-grid-lib/pglib-opf). Without one: the grid of
IEEE's 14 buses. Run it: ``python examples/power_flow.py CASE.m --plot grid.png``
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matpower import LOAD, REFERENCE, Grid, flows, read
from pages import table

import lagrange_ad as la

CASE = Path(__file__).parent / "data" / "pglib" / "pglib_opf_case14_ieee.m"


def model(grid: Grid, balanced: bool = False) -> la.Program:
    """The grid as its case says; ``balanced``: generators scaled down or up to make what the loads take."""
    n = grid.n_bus
    made = grid.p_made * (grid.p_load.sum() / grid.p_made.sum() if balanced else 1.0)
    loads, held = np.flatnonzero(grid.kind == LOAD), np.flatnonzero(grid.kind != LOAD)
    reference, others = np.flatnonzero(grid.kind == REFERENCE), np.flatnonzero(grid.kind != REFERENCE)
    program = la.Program(grid.name)
    v = program.variable("v", n, start=1.0, labels=grid.number)
    angle = program.variable("angle", n, start=0.0, labels=grid.number)
    p_start, q_start, p_end, q_end = flows(grid, v, angle)

    def out(into_start: Any, into_end: Any) -> Any:
        """What flows out of every bus into its branches."""
        return (np.bincount(grid.start, weights=into_start, minlength=n)
                + np.bincount(grid.end, weights=into_end, minlength=n))

    p = program.define("p", out(p_start, p_end) + grid.g_shunt * v**2, labels=grid.number)
    q = program.define("q", out(q_start, q_end) - grid.b_shunt * v**2, labels=grid.number)
    program.minimize(np.sum(p_start + p_end), name="losses")

    program.fix(angle[reference], grid.angle[reference])
    program.fix(v[held], grid.setpoint[held])
    program.fix(p[others], grid.injected(made, grid.p_load)[others])
    program.fix(q[loads], grid.injected(grid.q_made, grid.q_load)[loads])
    return program


def report(grid: Grid, at: la.Point, rows: int) -> None:
    """What a dispatcher looks at first: totals, the lowest voltages, the buses where power is dearest and cheapest."""
    base, reference = grid.base, np.flatnonzero(grid.kind == REFERENCE)
    print(f"{grid.name}: {grid.n_bus} buses, {grid.n_branch} branches")
    print(f"{at.blocks[0]}; largest mismatch of power by complex currents {mismatch(grid, at) * base:.1e} MVA")
    print(f"losses {at.objective * base:.3f} MW of {grid.p_load.sum() * base:.1f} MW taken; "
          f"the reference (bus {grid.number[reference[0]]}) makes "
          f"{(at['p'] + grid.p_load)[reference].sum() * base:.3f} MW")
    loads, slope = grid.kind == LOAD, at.gradient["p"]
    lowest = [i for i in np.argsort(at["v"], kind="stable") if loads[i]][:rows]
    print("\n" + table("lowest voltages", ["bus", "v", "angle/°", "dLosses/dp", "dLosses/dq"], [
        [str(grid.number[i]), f"{at['v'][i]:.5f}", f"{np.degrees(at['angle'][i]):.3f}", f"{slope[i]:+.4f}",
         f"{at.gradient['q'][i]:+.4f}"] for i in lowest]))  # fmt: skip
    order = [i for i in np.argsort(slope, kind="stable") if grid.kind[i] != REFERENCE]
    chosen = order if len(order) <= 2 * rows else [*order[:rows], *order[-rows:]]
    print("\n" + table("marginal loss factors: where a megawatt more saves most losses, and where it costs most", [
        "bus", "injected/MW", "dLosses/dp", "to take 1 MW more there, make"], [
        [str(grid.number[i]), f"{at['p'][i] * base:.2f}", f"{slope[i]:+.4f}", f"{1 - slope[i]:.4f} MW"]
        for i in chosen]))  # fmt: skip


def mismatch(grid: Grid, at: la.Point) -> float:
    """The largest mismatch of power, per unit, by complex voltages and currents: nothing of the library's."""
    y, voltage = grid.g + 1j * grid.b, at["v"] * np.exp(1j * at["angle"])
    into_start = voltage[grid.start] * np.conj(y[0] * voltage[grid.start] + y[1] * voltage[grid.end])
    into_end = voltage[grid.end] * np.conj(y[2] * voltage[grid.start] + y[3] * voltage[grid.end])
    power = voltage * np.conj((grid.g_shunt + 1j * grid.b_shunt) * voltage)
    np.add.at(power, grid.start, into_start)
    np.add.at(power, grid.end, into_end)
    return float(np.max(np.abs(power - (at["p"] + 1j * at["q"]))))


def draw(path: str, grid: Grid, at: la.Point) -> None:
    """Buses by angle and magnitude, power flows from right to left along the branches; colours are loss factors."""
    from matplotlib.collections import LineCollection
    from pages import GREY, canvas

    place, slope = np.column_stack([np.degrees(at["angle"]), at["v"]]), at.gradient["p"]
    few = grid.n_bus <= 60
    with canvas(path, size=(6.4, 4.0)) as axes:
        lines = np.stack([place[grid.start], place[grid.end]], axis=1)
        axes.add_collection(LineCollection(lines, colors=GREY, linewidths=0.7 if few else 0.25, alpha=0.6, zorder=1))
        reach = float(np.max(np.abs(slope)))
        for kind, marker in ((True, "o"), (False, "s")):
            here = (grid.kind == LOAD) == kind
            shown = axes.scatter(*place[here].T, c=slope[here], cmap="PuOr_r", vmin=-reach, vmax=reach, zorder=2,
                                 s=36 if few else 7, marker=marker, edgecolors=GREY, linewidths=0.5 if few else 0.15,
                                 label="loads" if kind else "voltage held")
        if few:
            for name, (x, y) in zip(grid.number, place, strict=True):
                axes.annotate(str(name), (x, y), xytext=(4, 3), textcoords="offset points", fontsize=7)
        axes.figure.colorbar(shown, ax=axes, label="dLosses/dp, MW per MW")
        axes.set(xlabel="voltage angle, degrees", ylabel="voltage magnitude, per unit", title=f"{grid.name}: "
                 f"{at.objective * grid.base:.1f} MW lost")
        axes.legend(loc="best")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="AC power flow, marginal losses.")
    parser.add_argument("case", nargs="?", type=Path, default=CASE, help="a MATPOWER case (default: IEEE's 14 buses)")
    parser.add_argument("--balanced", action="store_true", help="scale what generators make to what the loads take")
    parser.add_argument("--rows", type=int, default=5, help="how many buses to list")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib)")
    options = parser.parse_args(arguments)
    grid = read(options.case)
    try:
        at = model(grid, options.balanced).evaluate()
    except la.SolveError as error:
        print(error)
        if not options.balanced:
            print(f"\ngenerators make {grid.p_made.sum() * grid.base:.0f} MW by this file, loads take "
                  f"{grid.p_load.sum() * grid.base:.0f} MW: cases for optimal power flow need not say how to run the "
                  "grid; --balanced scales the generators to the loads")
        return 1
    report(grid, at, options.rows)
    if options.plot:
        draw(options.plot, grid, at)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
