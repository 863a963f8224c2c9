"""Many small cycles: 10^5 independent tanks of three equations each, solved, and the gradient in every input.

    python benchmarks/small_cycles.py                 10^5 cycles
    python benchmarks/small_cycles.py --cycles 1000

In a stirred tank a substance of concentration c reacts, the faster (k) the warmer (T), and warms the tank. The inputs
are what flows in, its concentration f and its temperature s, one pair a tank; all without units:

    c = f − k·c                k = exp(8·(1 − 1/T)) / 2                T = s + k·c/5

J = Σ k·c, what all tanks make. A solve starts where the last one ended, everybody's at the same points: the inputs go
to and fro between two, some per cent apart. By hand, in numba, it is Newton's method with 3 × 3 elimination written
out, rows exchanged for pivots, the step halved where it does not shorten the residual, stopped by our rule (a step
below 1e-9 of the unknowns is the last, residuals at rounding are zero), then the transposed system for the gradient.
CasADi has a rootfinder for one tank and ``map`` for all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import Array, Peer, Work, casadi_buffers, compare, heading, parser, power, rounds, show

import lagrange_ad as la

START = (0.5, 0.5, 1.0)
CORRECTION, ROUNDING = 1e-9, 8.0 * float(np.finfo(float).eps)


def inputs(n: int) -> list[Array]:
    """Two vectors (f of all tanks, then s), so that no call repeats the one before."""
    random = np.random.default_rng(0)
    x = np.concatenate([0.8 + 0.4 * random.random(n), 0.95 + 0.1 * random.random(n)])
    return [x, 1.03 * x]


def ours(n: int) -> Work:
    p = la.Program("tanks")
    x = inputs(n)[0]
    f, s = p.input("f", x[:n]), p.input("s", x[n:])
    c, k, t = (p.variable(name, shape=n, start=start) for name, start in zip("ckT", START, strict=True))
    p.equate(c, f - k * c)
    p.equate(k, 0.5 * np.exp(8.0 * (1.0 - 1.0 / t)))
    p.equate(t, s + 0.2 * k * c)
    p.maximize(np.sum(k * c))
    view = p.reduced()

    def call(x: Array) -> tuple[float, Array]:
        value, gradient = view.value_and_gradient(x)
        return -value, -gradient

    return Work(call, inputs(n))


def eliminate(a: Any, b: Any) -> Any:
    """x of a·x = b for nine numbers a, row by row, and three b; rows are exchanged for the largest pivots."""
    a0, a1, a2, d0, d1, d2, g0, g1, g2 = a
    b0, b1, b2 = b
    if abs(d0) > abs(a0):
        a0, a1, a2, b0, d0, d1, d2, b1 = d0, d1, d2, b1, a0, a1, a2, b0
    if abs(g0) > abs(a0):
        a0, a1, a2, b0, g0, g1, g2, b2 = g0, g1, g2, b2, a0, a1, a2, b0
    inverse = 1.0 / a0
    e, h = d0 * inverse, g0 * inverse
    d1, d2, b1 = d1 - e * a1, d2 - e * a2, b1 - e * b0
    g1, g2, b2 = g1 - h * a1, g2 - h * a2, b2 - h * b0
    if abs(g1) > abs(d1):
        d1, d2, b1, g1, g2, b2 = g1, g2, b2, d1, d2, b1
    pivot = 1.0 / d1
    e = g1 * pivot
    x2 = (b2 - e * b1) / (g2 - e * d2)
    x1 = (b1 - d2 * x2) * pivot
    return (b0 - a1 * x1 - a2 * x2) * inverse, x1, x2


def residual(f: float, s: float, c: float, k: float, t: float) -> tuple[float, float, float, float]:
    """Right minus left sides of one tank, and the rate constant at its temperature."""
    rate = 0.5 * np.exp(8.0 * (1.0 - 1.0 / t))
    return f - k * c - c, rate - k, s + 0.2 * k * c - t, rate


def numba_by_hand(n: int) -> Work:
    import numba

    linear, r = numba.njit(eliminate), numba.njit(residual)

    @numba.njit
    def newton(f: float, s: float, c: float, k: float, t: float) -> tuple[float, float, float, float]:
        r0, r1, r2, rate = r(f, s, c, k, t)
        for _ in range(200):
            slope = 8.0 * rate / t**2
            terms0, terms1 = abs((1.0 + k) * c) + abs(c * k), abs(k) + abs(slope * t)
            terms2 = 0.4 * abs(k * c) + abs(t)
            if abs(r0) <= ROUNDING * terms0 and abs(r1) <= ROUNDING * terms1 and abs(r2) <= ROUNDING * terms2:
                break
            d0, d1, d2 = linear((-1.0 - k, -c, 0.0, 0.0, -1.0, slope, 0.2 * k, 0.2 * c, -1.0), (r0, r1, r2))
            size = max(abs(r0), abs(r1), abs(r2))
            floor = 1e-6 * max(abs(c), abs(k), abs(t))
            length = max(abs(d0) / max(abs(c), floor), abs(d1) / max(abs(k), floor), abs(d2) / max(abs(t), floor))
            step = 1.0
            for _ in range(80):
                n0, n1, n2, rate = r(f, s, c - step * d0, k - step * d1, t - step * d2)
                if length <= CORRECTION or max(abs(n0), abs(n1), abs(n2)) < (1.0 - step / 2.0) * size:
                    break
                step *= 0.5
            c, k, t, r0, r1, r2 = c - step * d0, k - step * d1, t - step * d2, n0, n1, n2
            if length <= CORRECTION:
                break
        return c, k, t, 8.0 * rate / t**2

    @numba.njit
    def value_and_gradient(x: Array, z: Array) -> tuple[float, Array]:
        n = len(x) // 2
        gradient, value = np.empty(2 * n), 0.0
        for i in range(n):
            c, k, t, slope = newton(x[i], x[n + i], z[i, 0], z[i, 1], z[i, 2])
            z[i, 0], z[i, 1], z[i, 2] = c, k, t
            value += k * c
            gradient[i], _, gradient[n + i] = linear(
                (-1.0 - k, 0.0, 0.2 * k, -c, -1.0, 0.2 * c, 0.0, slope, -1.0), (-k, -c, 0.0))
        return value, gradient

    z = np.tile(START, (n, 1))
    return Work(lambda x: value_and_gradient(x, z), inputs(n))


def casadi_map(n: int) -> Work:
    import casadi as ca

    z, x = ca.SX.sym("z", 3), ca.SX.sym("x", 2)
    c, k, t = z[0], z[1], z[2]
    equations = ca.vertcat(x[0] - k * c - c, 0.5 * ca.exp(8.0 * (1.0 - 1.0 / t)) - k, x[1] + 0.2 * k * c - t)
    options = {"abstol": 1e-14, "abstolStep": 1e-9}
    tank = ca.rootfinder("tank", "fast_newton", {"x": z, "p": x, "g": equations}, options)
    x, start = ca.MX.sym("x", 2), ca.MX.sym("start", 3)
    found = tank(x0=start, p=x)["x"]
    made = found[0] * found[1]
    one = ca.Function("one", [x, start], [made, ca.gradient(made, x), found])
    run, (given, first), (values, gradient, last) = casadi_buffers(one.map(n))
    first[:] = np.tile(START, n)

    def call(x: Array) -> tuple[float, Array]:
        given.reshape(n, 2)[:] = x.reshape(2, n).T
        run()
        first[:] = last
        return float(values.sum()), gradient.reshape(n, 2).T.ravel()

    return Work(call, inputs(n))


def peers(n: int) -> list[Peer]:
    return [
        Peer("lagrange_ad", (), lambda: ours(n)),
        Peer("numba, Newton and adjoint by hand", ("numba",), lambda: numba_by_hand(n), 0.5, "ours ≤ 2 × it"),
        Peer("CasADi, rootfinder in map", ("casadi",), lambda: casadi_map(n)),
    ]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--cycles", type=int, default=0, help="cycles (default 10^5, quick 100)")
    given = options.parse_args()
    n = given.cycles or (100 if given.quick else 100_000)
    heading(f"{power(n)} independent cycles of three equations: solve, and gradient in {power(2 * n)} inputs")
    show(compare(peers(n), rounds(given)))


if __name__ == "__main__":
    main()
