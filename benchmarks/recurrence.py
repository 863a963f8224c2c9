"""A recurrence of many steps, one after the other: value, and gradient in the input of every step.

    python benchmarks/recurrence.py              10^6 steps
    python benchmarks/recurrence.py --steps 10000

z[t+1] = z[t] + h·(u[t] − sin z[t]), J = h·Σ z², dJ/du. By hand, in numba, it is one loop forwards that keeps z and one
backwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import Array, Peer, Work, casadi_work, compare, cpu_jax, heading, parser, power, rounds, show

import lagrange_ad as la

START = 0.5
TIME = 10.0


def inputs(n: int) -> list[Array]:
    """Two u, so that no call repeats the one before."""
    u = 0.3 + 0.2 * np.random.default_rng(0).random(n)
    return [u, 1.001 * u]


def ours(n: int) -> Work:
    h = TIME / n
    p = la.Program("recurrence")
    u = p.input("u", np.zeros(n))
    z = p.variable("z", shape=n + 1)
    p.equate(z[0], START)
    p.equate(z[1:], z[:-1] + h * (u - np.sin(z[:-1])))
    p.minimize(h * np.sum(z**2))
    return Work(p.reduced().value_and_gradient, inputs(n))


def numba_by_hand(n: int) -> Work:
    import numba

    @numba.njit
    def value_and_gradient(u: Array, h: float, start: float) -> tuple[float, Array]:
        z, gradient = np.empty(len(u) + 1), np.empty(len(u))
        z[0] = start
        value = z[0] ** 2
        for t in range(len(u)):
            z[t + 1] = z[t] + h * (u[t] - np.sin(z[t]))
            value += z[t + 1] ** 2
        w = 2.0 * h * z[-1]
        for t in range(len(u) - 1, -1, -1):
            gradient[t] = h * w
            w = w * (1.0 - h * np.cos(z[t])) + 2.0 * h * z[t]
        return h * value, gradient

    h = TIME / n
    return Work(lambda u: value_and_gradient(u, h, START), inputs(n))


def jax_scan(n: int, unroll: int) -> Work:
    jax = cpu_jax()
    h = TIME / n

    def objective(u: Any) -> Any:
        def step(z: Any, u_t: Any) -> tuple[Any, Any]:
            after = z + h * (u_t - jax.numpy.sin(z))
            return after, after

        _, z = jax.lax.scan(step, START, u, unroll=unroll)
        return h * (START**2 + jax.numpy.sum(z**2))

    compiled = jax.jit(jax.value_and_grad(objective))
    arguments = [jax.numpy.asarray(u) for u in inputs(n)]
    return Work(lambda u: jax.block_until_ready(compiled(u)), arguments)


def casadi_mapaccum(n: int) -> Work:
    import casadi as ca

    h = TIME / n
    z, u_t = ca.SX.sym("z"), ca.SX.sym("u")
    step = ca.Function("step", [z, u_t], [z + h * (u_t - ca.sin(z))])
    u = ca.MX.sym("u", 1, n)
    states = step.mapaccum("states", n)(START, u)
    value = h * (START**2 + ca.sumsqr(states))
    return casadi_work(ca.Function("J", [u], [value, ca.gradient(value, u)]), inputs(n))


def peers(n: int) -> list[Peer]:
    return [
        Peer("lagrange_ad", (), lambda: ours(n)),
        Peer("numba, loops by hand", ("numba",), lambda: numba_by_hand(n), 1 / 1.3, "ours ≤ 1.3 × it"),
        Peer("JAX, scan, jit", ("jax",), lambda: jax_scan(n, 1), 1.0, "ours not slower"),
        Peer("JAX, scan, unroll 8, jit", ("jax",), lambda: jax_scan(n, 8), 1.0, "ours not slower"),
        Peer("CasADi, mapaccum, buffers", ("casadi",), lambda: casadi_mapaccum(n)),
    ]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--steps", type=int, default=0, help="steps (default 10^6, quick 10^4)")
    given = options.parse_args()
    n = given.steps or (10_000 if given.quick else 1_000_000)
    heading(f"Recurrence of {power(n)} steps: value and gradient in u")
    show(compare(peers(n), rounds(given)))


if __name__ == "__main__":
    main()
