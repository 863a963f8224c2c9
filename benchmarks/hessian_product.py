"""What a reduced Hessian–vector product costs beside the value alone, on eight programs.

    python benchmarks/hessian_product.py            10^3 to 10^6 scalar operations
    python benchmarks/hessian_product.py --most 7
    python benchmarks/hessian_product.py --only recurrence bratu

H·v is the change of the reduced gradient along v: one tangent sweep, the products with second derivatives of every
kernel, one back-substitution (Griewank and Walther, 2008, chapter 3); where the program has cycles, with the factors
that the solve left. The bound is 5 values. Krylov methods ask for many v at one point, so λ is there
already: "first" is a product with new weights, which computes λ too. The programs without cycles are those of
``cheap_gradient.py``; ``tanks`` are many small cycles, ``bratu`` is one large cycle with a source a point as inputs,
``sellar`` and ``six`` are small. Values go to and fro between points 0.1 % apart, cycles from the last solution; a
value of a cycle takes some iterations of Newton's method, which is why its ratio may be below 1. Every row is a process
of its own; products are checked against a central difference of the gradient.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from bratu import laplacian
from cheap_gradient import PROGRAMS, Made
from common import Work, child, duration, growing, heading, medians, power, rounds, table

import lagrange_ad as la
from lagrange_ad.solution import plan_of
from lagrange_ad.solution.reduction import Reduction


def tanks(size: int) -> Made:
    """Stirred tanks, three equations each in a cycle (``small_cycles.py``). Some 14 operations a tank and iteration."""
    n = max(size // 14, 1)
    random = np.random.default_rng(0)
    p = la.Program("tanks")
    f, s = p.input("f", 0.8 + 0.4 * random.random(n)), p.input("s", 0.95 + 0.1 * random.random(n))
    c, k, t = (p.variable(name, shape=n, start=start) for name, start in zip("ckT", (0.5, 0.5, 1.0), strict=True))
    p.equate(c, f - k * c)
    p.equate(k, 0.5 * np.exp(8.0 * (1.0 - 1.0 / t)))
    p.equate(t, s + 0.2 * k * c)
    p.minimize(np.sum(k * c))
    return p, 14 * n


def bratu(size: int) -> Made:
    """∆u + 4·exp(u) + q = 0 on a square, J = mean of (u − 0.3)², by q. Eight operations a point and iteration."""
    side = max(round((size / 8) ** 0.5), 2)
    p = la.Program("bratu")
    q, u = p.input("q", np.full(side * side, 0.1)), p.variable("u", shape=side * side, start=0.0)
    p.equate(laplacian(side) @ u + 4.0 * np.exp(u) + q, 0.0, name="bratu")
    p.minimize(np.mean((u - 0.3) ** 2))
    return p, 8 * side * side


def sellar(size: int) -> Made:
    """Sellar's problem: two unknowns in a cycle, three inputs."""
    p = la.Program("sellar")
    z1, z2, x = p.input("z1", 5.0), p.input("z2", 2.0), p.input("x", 1.0)
    y1, y2 = p.variable("y1", start=1.0), p.variable("y2", start=1.0)
    p.equate(y1, z1**2 + z2 + x - 0.2 * y2)
    p.equate(y2, np.sqrt(y1) + z1 + z2)
    p.minimize(x**2 + z2 + y1 + np.exp(-y2))
    return p, 16


def six(size: int) -> Made:
    """The six equations of the blog post this library began with."""
    p = la.Program("domke")
    x = p.input("x", 0.1)
    a = p.define("a", np.exp(x))
    b = p.define("b", a**2)
    c = p.define("c", a + b)
    d, e = p.define("d", np.exp(c)), p.define("e", np.sin(c))
    p.minimize(p.define("f", d + e))
    return p, 6


CASES: dict[str, Callable[[int], Made]] = {**PROGRAMS, "tanks": tanks, "bratu": bratu, "sellar": sellar, "six": six}
SMALL = ("sellar", "six")
BOUND = 5.0


class First:
    """Products with new weights each time: σ alternates, so that λ is computed anew."""

    def __init__(self, reduction: Reduction, point: Any, v: Any) -> None:
        self.reduction, self.point, self.v, self.none = reduction, point, v, np.empty(0)

    def __call__(self, sigma: float) -> Any:
        return self.reduction.hessian_product(self.point, sigma, self.none, self.v)


def measure(name: str, size: int, repeats: int) -> dict[str, float]:
    """Operations, seconds of value, gradient, a product and the first product, the error of a product."""
    program, operations = CASES[name](size)
    view = program.reduced()
    points = [view.x0, 1.001 * view.x0, 0.999 * view.x0]
    for x in points:
        view.value(x)
    plan, none = plan_of(program), np.empty(0)
    reduction = Reduction(plan, plan.roles.blocks(("input",), found=False)[1])
    at = view.point(view.x0)
    directions = list(np.random.default_rng(0).standard_normal((2, reduction.n)))
    works = [
        Work(view.value, points), Work(view.value_and_gradient, points),
        Work(lambda v: reduction.hessian_product(at, 1.0, none, v), directions),
        Work(First(reduction, at, directions[0]), [1.0, 2.0]),
    ]
    value, both, product, first = medians(works, repeats)
    return {"operations": operations, "value": value, "both": both, "product": product, "first": first,
            "error": error_of(view, reduction, at)}


def error_of(view: Any, reduction: Reduction, at: Any) -> float:
    """How far vᵀH·v is from a central difference of the gradient, relative; v is smooth, since blocks damp noise."""
    v = 1.0 + 0.1 * np.random.default_rng(2).standard_normal(reduction.n)
    step = 1e-5 * max(np.linalg.norm(view.x0), 1e-3) / np.linalg.norm(v)
    slopes = [view.value_and_gradient(view.x0 + s * v)[1] for s in (step, -step)]
    found = v @ reduction.hessian_product(at, 1.0, np.empty(0), v)
    return float(abs((slopes[0] - slopes[1]) @ v / (2.0 * step) - found) / abs(found))


def line(name: str, size: int, repeats: int) -> list[str]:
    """A row of the table."""
    found = child(__file__, "--case", name, "--size", size, "--repeats", repeats)
    ratio = found["product"] / found["value"]
    times = [duration(found[key]) for key in ("value", "both", "product", "first")]
    target = f"≤ {BOUND:g}: {'met' if ratio <= BOUND else 'missed'}"
    return [name, f"{found['operations']:.3g}", *times, f"{ratio:.2f}", target,
            f"{found['first'] / found['value']:.2f}", f"{found['error']:.0e}"]


def main() -> None:
    given = growing(__doc__, list(CASES))
    if given.case:
        print(json.dumps(measure(given.case, given.size, given.repeats)))
        return
    heading("Reduced Hessian–vector product by value")
    sizes = [10**k for k in range(3, given.most + 1)]
    lines = [line(name, size, rounds(given)) for name in given.only for size in (sizes[:1] if name in SMALL else sizes)]
    header = ["program", "operations", "value", "value and gradient", "product", "first product", "product / value",
              "target", "first / value", "error against differences"]
    print(table(header, lines))
    print(f"\nSizes: {', '.join(power(size) for size in sizes)} operations.")


if __name__ == "__main__":
    main()
