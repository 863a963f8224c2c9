"""A stiff implicit recurrence: Robertson's three equations by backward Euler, and the gradient in the three rates.

    python benchmarks/robertson.py                 10^5 steps
    python benchmarks/robertson.py --steps 1000

a' = −k1·a + k3·b·c, b' = k1·a − k3·b·c − k2·b², c' = k2·b² from a = 1 (Robertson, 1966), to t = 10^5 with times spaced
evenly in log t, so that the steps h grow from 10^-6; J = Σ h·a / Σ h. Each step is a block of three equations solved by
Newton's method. By hand, in numba, it is Newton's method with 3 × 3 elimination from the step before, and one loop
backwards with the transposed matrix. CasADi has a rootfinder for the step and mapaccum for the steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import Array, Peer, Work, casadi_work, compare, heading, parser, power, rounds, show

import lagrange_ad as la

RATES = np.array([0.04, 3e7, 1e4])
POINTS = (RATES, 1.001 * RATES)
SCALE = np.array([1.0, 1e-4, 1.0])  # of the states, for the hand-written Newton's stopping rule
TOLERANCE = 1e-9  # on the step relative to the states; it converges quadratically


def steps(n: int) -> Array:
    """The n step lengths."""
    return np.diff(np.concatenate([[0.0], np.logspace(-6, 5, n)]))


def ours(n: int) -> Work:
    p = la.Program("robertson")
    h = steps(n)
    k1, k2, k3 = (p.input(f"k{i + 1}", rate) for i, rate in enumerate(RATES))
    a, b, c = (p.variable(name, shape=n + 1, start=start) for name, start in (("a", 1.0), ("b", 0.0), ("c", 0.0)))
    for state, start in ((a, 1.0), (b, 0.0), (c, 0.0)):
        p.equate(state[0], start)
    slow, fast, back = k1 * a[1:], k2 * b[1:] ** 2, k3 * b[1:] * c[1:]
    p.equate(a[1:], a[:-1] + h * (back - slow))
    p.equate(b[1:], b[:-1] + h * (slow - back - fast))
    p.equate(c[1:], c[:-1] + h * fast)
    p.minimize(np.sum(h * a[1:]) / np.sum(h))
    return Work(p.reduced().value_and_gradient, POINTS, readable)


def solve(m: Array, r: Array) -> tuple[float, float, float]:
    """x of m·x = r, 3 × 3, by elimination."""
    f1, f2 = m[1, 0] / m[0, 0], m[2, 0] / m[0, 0]
    m11, m12, r1 = m[1, 1] - f1 * m[0, 1], m[1, 2] - f1 * m[0, 2], r[1] - f1 * r[0]
    m21, m22, r2 = m[2, 1] - f2 * m[0, 1], m[2, 2] - f2 * m[0, 2], r[2] - f2 * r[0]
    f = m21 / m11
    x2 = (r2 - f * r1) / (m22 - f * m12)
    x1 = (r1 - m12 * x2) / m11
    return (r[0] - m[0, 1] * x1 - m[0, 2] * x2) / m[0, 0], x1, x2


def matrix(m: Array, z: Array, k: Array, h: float) -> None:
    """m = ∂(z − h·f(z))/∂z."""
    m[0, 0], m[0, 1], m[0, 2] = 1.0 + h * k[0], -h * k[2] * z[2], -h * k[2] * z[1]
    m[1, 0], m[1, 1], m[1, 2] = -h * k[0], 1.0 + h * (k[2] * z[2] + 2.0 * k[1] * z[1]), h * k[2] * z[1]
    m[2, 0], m[2, 1], m[2, 2] = 0.0, -2.0 * h * k[1] * z[1], 1.0


def numba_by_hand(n: int) -> Work:
    import numba

    eliminate, derivative = numba.njit(solve), numba.njit(matrix)

    @numba.njit
    def newton(before: Array, z: Array, k: Array, h: float, m: Array, r: Array) -> None:
        z[:] = before
        for _ in range(50):
            slow, fast, back = k[0] * z[0], k[1] * z[1] ** 2, k[2] * z[1] * z[2]
            r[0] = before[0] + h * (back - slow) - z[0]
            r[1] = before[1] + h * (slow - back - fast) - z[1]
            r[2] = before[2] + h * fast - z[2]
            derivative(m, z, k, h)
            d = eliminate(m, r)
            largest = 0.0
            for i in range(3):
                z[i] += d[i]
                largest = max(largest, abs(d[i]) / (abs(z[i]) + TOLERANCE * SCALE[i]))
            if largest < TOLERANCE:
                return

    @numba.njit
    def value_and_gradient(k: Array, h: Array) -> tuple[float, Array]:
        n = len(h)
        z, m, r, gradient = np.empty((n + 1, 3)), np.empty((3, 3)), np.zeros(3), np.zeros(3)
        z[0, 0], z[0, 1], z[0, 2] = 1.0, 0.0, 0.0
        value = total = 0.0
        for t in range(n):
            newton(z[t], z[t + 1], k, h[t], m, r)
            value += h[t] * z[t + 1, 0]
            total += h[t]
        r[:] = 0.0
        for t in range(n - 1, -1, -1):
            after = z[t + 1]
            r[0] += h[t] / total
            derivative(m, after, k, h[t])
            l0, l1, l2 = eliminate(m.T, r)
            gradient[0] += h[t] * after[0] * (l1 - l0)
            gradient[1] += h[t] * after[1] ** 2 * (l2 - l1)
            gradient[2] += h[t] * after[1] * after[2] * (l0 - l1)
            r[0], r[1], r[2] = l0, l1, l2
        return value / total, gradient

    h = steps(n)
    return Work(lambda k: value_and_gradient(k, h), POINTS, readable)


def readable(result: Any) -> list[Any]:
    """Value and the three derivatives as arrays of their own: their sizes differ by nine orders of magnitude."""
    return [result[0], *np.ravel(result[1])]


def casadi_rootfinder(n: int) -> Work:
    import casadi as ca

    z, before, k, h = ca.SX.sym("z", 3), ca.SX.sym("before", 3), ca.SX.sym("k", 3), ca.SX.sym("h")
    slow, fast, back = k[0] * z[0], k[1] * z[1] ** 2, k[2] * z[1] * z[2]
    residual = before + h * ca.vertcat(back - slow, slow - back - fast, fast) - z
    problem = {"x": z, "p": ca.vertcat(before, k, h), "g": residual}
    step = ca.rootfinder("step", "fast_newton", problem, {"abstol": 1e-14, "abstolStep": 1e-14})
    before, k, h = ca.MX.sym("before", 3), ca.MX.sym("k", 3), ca.MX.sym("h")
    after = step(x0=before, p=ca.vertcat(before, k, h))["x"]
    states = ca.Function("after", [before, k, h], [after]).mapaccum("states", n)
    lengths = steps(n)
    k = ca.MX.sym("k", 3)
    path = states(ca.DM([1.0, 0.0, 0.0]), ca.repmat(k, 1, n), ca.DM(lengths).T)
    value = ca.dot(path[0, :], ca.DM(lengths).T) / np.sum(lengths)
    return casadi_work(ca.Function("J", [k], [value, ca.gradient(value, k)]), POINTS, readable)


def peers(n: int) -> list[Peer]:
    return [
        Peer("lagrange_ad", (), lambda: ours(n)),
        Peer("numba, Newton and adjoint by hand", ("numba",), lambda: numba_by_hand(n), 0.5, "ours ≤ 2 × it"),
        Peer("CasADi, rootfinder in mapaccum", ("casadi",), lambda: casadi_rootfinder(n)),
    ]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--steps", type=int, default=0, help="steps (default 10^5, quick 100)")
    given = options.parse_args()
    n = given.steps or (100 if given.quick else 100_000)
    heading(f"Robertson's equations, {power(n)} implicit steps: value and gradient in the rates")
    show(compare(peers(n), rounds(given)))


if __name__ == "__main__":
    main()
