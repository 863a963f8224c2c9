"""The symbolic blow-up: what a derivative costs when its shared parts are written out, and what the program costs.

    f(v) = exp(u) + sin(u)      u = exp(v) + exp(v)²          f_k(x) = f(f(… f(x)))   nested k times

A program names u once. A formula has no names: it writes u out at each use, so each nesting writes the one before four
times, and its derivative still more. Operations are counted in the gradient program (``p.schedule.operations``: values
and back-substitution together) and in SymPy's derivative (``sympy.count_ops``), flat. Where SymPy would take long, its
count goes on by an exact recurrence, checked against it as far as it goes: with n_k operations in the formula and d_k
in its derivative,

    n_k = 4 n_{k−1} + 13        d_k = 4 d_{k−1} + 8 n_{k−1} + 33        n_1 = 11, d_1 = 23

since u holds f_{k−1} twice, f_k holds u twice, and f_k' = u' exp(u) + u' cos(u) holds u and u' twice each. So d_k grows
like k·4^k. The blow-up lies in the writing, not in the deriving: with its common parts named again (``sympy.cse``) the
symbolic derivative is a program, and linear too. That is T. Vieira's point, "Backprop is not just the chain rule"
(2017); J. Domke's expression was the start of it. Also S. Laue, "On the equivalence of automatic and symbolic
differentiation" (2019). Run it: ``python examples/domke_blowup.py --plot blowup.png`` (needs sympy: the extra
``examples``)
"""

import argparse

import numpy as np
import sympy
from pages import table

import lagrange_ad as la


def model(depth: int, start: float = -3.0) -> la.Program:
    """f nested ``depth`` times, six equations a nesting."""
    p = la.Program(f"domke, {depth} deep")
    v = p.input("x", start)
    for k in range(1, depth + 1):
        a = p.define(f"a{k}", np.exp(v))
        b = p.define(f"b{k}", a**2)
        c = p.define(f"c{k}", a + b)
        d = p.define(f"d{k}", np.exp(c))
        e = p.define(f"e{k}", np.sin(c))
        v = p.define(f"f{k}", d + e)
    p.maximize(v)
    return p


def formula(depth: int) -> tuple[sympy.Expr, sympy.Symbol]:
    """The same as one SymPy expression of x."""
    x = sympy.Symbol("x")
    v: sympy.Expr = x
    for _ in range(depth):
        u = sympy.exp(v) + sympy.exp(v) ** 2
        v = sympy.exp(u) + sympy.sin(u)
    return v, x


def flat_lengths(depth: int) -> list[tuple[int, int]]:
    """(n_k, d_k) for k = 1 … depth, by the recurrence."""
    lengths = [(11, 23)]
    for _ in range(1, depth):
        n, d = lengths[-1]
        lengths.append((4 * n + 13, 4 * d + 8 * n + 33))
    return lengths


def counted(depth: int) -> list[tuple[int, int, int]]:
    """(n_k, d_k) as SymPy counts them, and the operations of the derivative with its common parts named."""
    found = []
    for k in range(1, depth + 1):
        expression, x = formula(k)
        derivative = sympy.diff(expression, x)
        named, rest = sympy.cse(derivative)
        shared = sum(sympy.count_ops(part) for _, part in named) + sum(map(sympy.count_ops, rest))
        found.append((int(sympy.count_ops(expression)), int(sympy.count_ops(derivative)), int(shared)))
    return found


def worst_difference() -> float:
    """Our gradient against SymPy's derivative at 30 digits, where the values fit into a float: one and two deep."""
    worst = 0.0
    for depth, points in ((1, (-3.0, 0.1, 1.0)), (2, (-3.0, -2.0, -1.0))):
        expression, x = formula(depth)
        derivative = sympy.diff(expression, x)
        for point in points:
            exact = float(derivative.evalf(30, subs={x: sympy.Float(point, 30)}))
            worst = max(worst, abs(model(depth, point).evaluate().gradient["x"] / exact - 1))
    return worst


def draw(path: str, ours: list[tuple[int, int]], flat: list[int], sympy_depth: int) -> None:
    from pages import BLUE, GREY, RED, canvas

    depths = np.arange(1, len(flat) + 1)
    with canvas(path) as axes:
        axes.semilogy(depths, flat, color=RED, label="derivative written out (recurrence)")
        axes.semilogy(depths[:sympy_depth], flat[:sympy_depth], "o", color=RED, label="… counted by SymPy")
        axes.semilogy(depths, [g for _, g in ours], color=BLUE, label="gradient program (values and multipliers)")
        axes.semilogy(depths, [v for v, _ in ours], color=GREY, linestyle="--", label="program for the values")
        axes.set(xlabel="nesting depth $k$", ylabel="operations", xlim=(1, len(flat)),
                 title="$f=e^u+\\sin u,\\ u=e^v+e^{2v}$, nested $k$ times")
        axes.legend(loc="upper left")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Operations of a gradient program and of a flat derivative.")
    parser.add_argument("--depth", type=int, default=30, help="nest up to this deep (default 30)")
    parser.add_argument("--sympy", type=int, default=6, help="let SymPy count up to this deep (default 6: seconds)")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib)")
    options = parser.parse_args(arguments)
    ours = [tuple(model(k).schedule.operations) for k in range(1, options.depth + 1)]
    flat, seen = flat_lengths(options.depth), counted(min(options.sympy, options.depth))
    if [pair[:2] for pair in seen] != flat[: len(seen)]:
        raise SystemExit(f"the recurrence gives {flat[: len(seen)]}, but this version of SymPy counts {seen}")
    rows = []
    for k, ((values, gradient), (_, derivative)) in enumerate(zip(ours, flat, strict=True), start=1):
        shared = f"{seen[k - 1][2]}" if k <= len(seen) else ""
        if k <= len(seen) or k % 5 == 0:
            rows.append([f"{k}", f"{values}", f"{gradient}", f"{gradient / values:.2f}", shared,
                         f"{derivative}" if derivative < 1e7 else f"{derivative:.3e}"])
    print(table("operations", ["depth", "values", "values and gradient", "ratio", "SymPy, parts named", "SymPy, flat"],
                rows))
    print(f"SymPy counted to depth {len(seen)}; from there on the flat length is the recurrence's, which is exact")
    print(f"largest relative difference of the gradient from SymPy's derivative: {worst_difference():.1e}")
    if options.plot:
        draw(options.plot, ours, [d for _, d in flat], len(seen))


if __name__ == "__main__":
    main()
