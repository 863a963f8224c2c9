"""Bratu's problem on a square, followed round its turning point: −Δu = λ·exp(u), u = 0 on the boundary.

Up to λ* = 6.8081 there are two solutions, beyond it none. ``follow`` goes up one branch and back on the other, and
finds λ* of the difference scheme, which two grids extrapolate to that of the differential equation.
Run it: ``python examples/bratu.py --plot fold.png``
"""

import argparse

import numpy as np
from pages import BLUE, ORANGE, canvas

import lagrange_ad as la

PUBLISHED = 6.808124423
"""λ* of the unit square, to be found in many papers on continuation."""


def model(n: int) -> la.Program:
    """The five-point scheme on n × n inner points."""
    p = la.Program("bratu")
    lam = p.parameter("lam", 0.0)
    u = p.variable("u", (n, n), start=0.0)
    around = np.pad(u, 1)  # the boundary
    laplacian = around[2:, 1:-1] + around[:-2, 1:-1] + around[1:-1, 2:] + around[1:-1, :-2] - 4 * u
    p.equate(laplacian * (n + 1) ** 2 + lam * np.exp(u), 0.0, name="pde")
    return p


def branch(n: int) -> la.Branch:
    p = model(n)
    return p.follow("lam", until=np.max(p["u"]) >= 5)


def draw(b: la.Branch, n: int, path: str) -> None:
    """Left the fold; right both solutions at the values of λ nearest to 4, along the middle of the square."""
    height, turn = b["u"].max(axis=(1, 2)), b.turning[0]
    with canvas(path, columns=2, size=(8.0, 3.4)) as (left, right):
        left.plot(b["lam"], height, color=BLUE)
        left.plot(b["lam"][turn], height[turn], "o", color="black")
        left.annotate(f"λ* = {b['lam'][turn]:.4f}", (b["lam"][turn], height[turn]), (-8, 0), ha="right", va="center",
                      textcoords="offset points")
        left.set(xlabel="λ", ylabel="largest u", title=f"The branch of solutions, {n} × {n} points")
        x = np.linspace(0, 1, n + 2)
        for part, name, colour in ((slice(0, turn), "lower", BLUE), (slice(turn, len(b)), "upper", ORANGE)):
            i = part.start + int(np.argmin(np.abs(b["lam"][part] - 4.0)))
            right.plot(x, np.pad(b["u"][i][n // 2], 1), color=colour, label=f"{name}, λ = {b['lam'][i]:.2f}")
        right.set(xlabel="x", ylabel="u(x, 1/2)", title="Two solutions")
        right.legend()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", metavar="N", type=int, default=23, help="inner points a side (default 23)")
    parser.add_argument("--plot", metavar="PNG", help="draw the fold and two solutions")
    options = parser.parse_args()
    fine = options.points
    coarse = max((fine - 1) // 2, 3)
    found = {}
    for n in (coarse, fine):
        b = branch(n)
        found[n] = float(b["lam"][b.turning[0]])
        print(f"{n} × {n}: {b.message}")
    squares = {n: 1.0 / (n + 1) ** 2 for n in found}
    limit = (found[fine] * squares[coarse] - found[coarse] * squares[fine]) / (squares[coarse] - squares[fine])
    print(f"extrapolated: λ* = {limit:.6f}, published {PUBLISHED:.6f}")
    if options.plot:
        draw(b, fine, options.plot)


if __name__ == "__main__":
    main()
