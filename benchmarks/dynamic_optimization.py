"""Optimal control on a fine mesh: build, derivative callbacks, and the way to the optimum of 10^5 unknowns.

    python benchmarks/dynamic_optimization.py                          10^5 unknowns
    python benchmarks/dynamic_optimization.py --unknowns 3000 30000

The Van der Pol oscillator (CasADi's own first example), held back by a bounded force:

    minimize ∫ y² + z² + u² dt      y' = (1 − z²) y − z + u,   z' = y,   y(0) = 0, z(0) = 1,   −1 ≤ u ≤ 1,   y ≥ −1/4

over ten seconds, by the trapezoidal rule: two states and the force at every point of the mesh are unknowns, two
equations an interval, as arrays. All start at y = 0, z = 1, u = 0, which are no solution, and stop at a tolerance of
1e-8 as each understands it. CasADi has the same arrays in SX, and in MX with one interval's function mapped over the
mesh. Ipopt is CasADi's with MUMPS. Every row and repeat is a process of its own with one thread; imports are not
counted. See optimizing.py for what is counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import heading, parser
from optimizing import (
    IPOPT,
    OFF,
    Made,
    Point,
    Row,
    casadi_made,
    chosen,
    in_turns,
    options,
    ours_made,
    points,
    run_row,
    show,
)

import lagrange_ad as la

SECONDS, LOWEST, FORCE = 10.0, -0.25, 1.0


class Mesh:
    """The order of variables: y, z, u at n + 1 points; of rows: the equations of y, then those of z (right − left)."""

    def __init__(self, unknowns: int) -> None:
        self.n = max(unknowns // 3 - 1, 2)
        self.h, self.loose = SECONDS / self.n, np.full(self.n + 1, np.inf)
        force, low = np.full(self.n + 1, FORCE), np.full(self.n + 1, LOWEST)
        self.lower = np.concatenate([low, -self.loose, -force])
        self.upper = np.concatenate([self.loose, self.loose, force])
        self.x0 = np.concatenate([np.zeros(self.n + 1), np.ones(self.n + 1), np.zeros(self.n + 1)])
        self.fixed = np.array([0, self.n + 1])
        self.lower[self.fixed] = self.upper[self.fixed] = self.x0[self.fixed]
        self.row_lower = self.row_upper = np.zeros(2 * self.n)
        self.weight = np.full(self.n + 1, self.h)
        self.weight[[0, -1]] /= 2.0

    def points(self) -> list[Point]:
        return points(len(self.x0), len(self.row_lower), self.x0, self.fixed.tolist())


def slope(y: Any, z: Any, u: Any) -> Any:
    """y'."""
    return (1.0 - z**2) * y - z + u


def program(mesh: Mesh) -> la.Program:
    p, n = la.Program("van der pol"), mesh.n + 1
    y = p.variable("y", n, start=0.0, lower=LOWEST)
    z = p.variable("z", n, start=1.0)
    u = p.variable("u", n, start=0.0, lower=-FORCE, upper=FORCE)
    dy, half = slope(y, z, u), mesh.h / 2.0
    p.equate(y[1:], y[:-1] + half * (dy[:-1] + dy[1:]), name="dy")
    p.equate(z[1:], z[:-1] + half * (y[:-1] + y[1:]), name="dz")
    p.fix(y[0], 0.0)
    p.fix(z[0], 1.0)
    p.minimize(np.sum(mesh.weight * (y**2 + z**2 + u**2)))
    return p


def ours(mesh: Mesh) -> Made:
    return ours_made(program(mesh), np.delete(np.arange(len(mesh.x0)), mesh.fixed))


def casadi_sx(mesh: Mesh) -> Made:
    import casadi as ca

    y, z, u = (ca.SX.sym(name, mesh.n + 1) for name in "yzu")
    dy, half = slope(y, z, u), mesh.h / 2.0
    rows = [y[:-1] + half * (dy[:-1] + dy[1:]) - y[1:], z[:-1] + half * (y[:-1] + y[1:]) - z[1:]]
    cost = ca.dot(ca.DM(mesh.weight), y**2 + z**2 + u**2)
    return casadi_made(ca.nlpsol("s", "ipopt", {"x": ca.vertcat(y, z, u), "f": cost, "g": ca.vertcat(*rows)}, IPOPT),
                       mesh)


def casadi_mapped(mesh: Mesh) -> Made:
    """One interval as an SX function, mapped over the mesh: derivatives of MX come by it."""
    import casadi as ca

    ends = [ca.SX.sym(name) for name in ("y", "z", "u", "Y", "Z", "U")]
    y, z, u, next_y, next_z, next_u = ends
    half = mesh.h / 2.0
    interval = ca.Function("interval", ends, [y + half * (slope(y, z, u) + slope(next_y, next_z, next_u)) - next_y,
                                              z + half * (y + next_y) - next_z])
    x = ca.MX.sym("x", 3 * (mesh.n + 1))
    parts = [part.T for part in ca.vertsplit(x, mesh.n + 1)]
    rows = interval.map(mesh.n)(*(part[:-1] for part in parts), *(part[1:] for part in parts))
    cost = ca.dot(ca.DM(np.tile(mesh.weight, 3)), x**2)
    return casadi_made(ca.nlpsol("s", "ipopt", {"x": x, "f": cost, "g": ca.horzcat(*rows).T}, IPOPT), mesh)


ROWS = [
    Row("lagrange_ad", (), ours, ours=True),
    Row("lagrange_ad, nothing compiled kept on disk", (), ours, environment=OFF, ours=True),
    Row("CasADi SX, Ipopt", ("casadi",), casadi_sx),
    Row("CasADi MX, map, Ipopt", ("casadi",), casadi_mapped),
]


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--unknowns", nargs="*", type=int, help="default 100000, quick 3000")
    options(made)
    given = made.parse_args()
    if given.row is not None:
        mesh = Mesh(int(given.case))
        run_row(next(row for row in ROWS if row.name == given.row), mesh, mesh.points())
        return
    heading("Dynamic optimization: the Van der Pol oscillator on a fine mesh")
    for unknowns in given.unknowns or [3000 if given.quick else 100_000]:
        mesh = Mesh(unknowns)
        print(f"## {len(mesh.x0)} unknowns, {len(mesh.row_lower)} equations\n")
        rows = chosen(ROWS, given)
        show(rows, in_turns(rows, __file__, str(unknowns), given.repeats or (2 if given.quick else 5)))


if __name__ == "__main__":
    main()
