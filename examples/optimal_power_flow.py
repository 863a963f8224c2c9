"""AC optimal power flow: the cheapest way to feed a grid within its limits, and what a megawatt costs at every bus.

Voltages (magnitude v, angle θ) and what generators make (pg, qg) are all to be chosen. Equations: at every bus what
generators make, less what flows out into branches and shunts, is what is taken,

    active:    Σ pg − Σ P(v_i, v_j, θ_i − θ_j) − g_i v_i² = p_load         reactive:    Σ qg − Σ Q(…) + b_i v_i² = q_load

two equations a bus for more unknowns than that: the others are decisions, and ``optimize`` finds which. Limits: voltages,
generators, the apparent power √(P² + Q²) at both ends of branches, angles between them. The load stands alone on the
right, so λ of an equation = dCost*/dload = what one more unit of load costs there, everything re-optimised: the nodal
price (locational marginal price). Powers are per unit of ``base`` MVA, costs $/h, so prices are λ / base in $/MWh.

The flows are expressions, used by the balances and by the limits; named (``--named``) they are 4 variables and
equations a branch more, which is slower to solve and has their multipliers.

Reads MATPOWER case files, such as PGLib-OPF's (https://github.com/power-grid-lib/pglib-opf; objectives published in
its BASELINE.md). Without one: the grid of IEEE's 14 buses.
Run it: ``python examples/optimal_power_flow.py CASE.m --plot prices.png``
"""

import argparse
import re
import time
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
            most = limits.flow[rated]
            program.subject_to((p[rated] / most) ** 2 + (q[rated] / most) ** 2 <= 1.0, name=f"rating_{end}")
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
