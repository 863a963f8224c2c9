"""A recurrence of many steps, one after the other: value, and gradient in the input of every step.

    python benchmarks/recurrence.py              10^6 steps
    python benchmarks/recurrence.py --steps 10000

z[t+1] = z[t] + h·(u[t] − sin z[t]), J = h·Σ z², dJ/du. By hand, in numba, it is one loop forwards that keeps z and one
backwards. CasADi's mapaccum takes much memory a step, so it does at most ``--casadi-steps`` and its time is scaled up.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from common import Array, Peer, Work, casadi_buffers, compare, cpu_jax, heading, parser, power, rounds, show

import lagrange_ad as la

START = 0.5
TIME = 10.0


def inputs(n: int) -> list[Array]:
    """Two u, so that no call repeats the one before."""
    u = 0.3 + 0.2 * np.random.default_rng(0).random(n)
    return [u, 1.001 * u]


def ours(n: int, steps: int = 0) -> Work:
    """The program; only its first ``steps`` steps if given."""
    h, n = TIME / n, steps or n
    p = la.Program("recurrence")
    u = p.input("u", np.zeros(n))
    z = p.variable("z", shape=n + 1)
    p.equate(z[0], START)
    p.equate(z[1:], z[:-1] + h * (u - np.sin(z[:-1])))
    p.minimize(h * np.sum(z**2))
    return Work(p.reduced().value_and_gradient, inputs(n), lambda result: result)


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
    return Work(lambda u: value_and_gradient(u, h, START), inputs(n), lambda result: result)


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
    return Work(lambda u: jax.block_until_ready(compiled(u)), arguments, lambda result: result)


def casadi_mapaccum(n: int, most: int) -> Work:
    import casadi as ca

    steps = min(n, most)
    h = TIME / n
    z, u_t = ca.SX.sym("z"), ca.SX.sym("u")
    step = ca.Function("step", [z, u_t], [z + h * (u_t - ca.sin(z))])
    u = ca.MX.sym("u", 1, steps)
    states = step.mapaccum("states", steps)(START, u)
    value = h * (START**2 + ca.sumsqr(states))
    run, (argument,), results = casadi_buffers(ca.Function("J", [u], [value, ca.gradient(value, u)]))

    def value_and_gradient(u: Array) -> Any:
        argument[:] = u
        run()
        return results

    if steps == n:
        return Work(value_and_gradient, inputs(n), lambda result: result)
    note = f"{power(steps)} steps, the time scaled to {power(n)}"
    return Work(value_and_gradient, inputs(steps), lambda result: result, n / steps, ours(n, steps), note)


def peers(n: int, casadi_steps: int) -> list[Peer]:
    def of(make: Callable[..., Work], *rest: int) -> Callable[[], Work]:
        return lambda: make(n, *rest)

    return [
        Peer("lagrange_ad", (), of(ours)),
        Peer("numba, loops by hand", ("numba",), of(numba_by_hand), 1 / 1.3, "ours ≤ 1.3 × it"),
        Peer("JAX, scan, jit", ("jax",), of(jax_scan, 1), 1.0, "ours not slower"),
        Peer("JAX, scan, unroll 8, jit", ("jax",), of(jax_scan, 8), 1.0, "ours not slower"),
        Peer("CasADi, mapaccum", ("casadi",), of(casadi_mapaccum, casadi_steps)),
    ]


def options() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--steps", type=int, default=0, help="steps (default 10^6, quick 10^4)")
    made.add_argument("--casadi-steps", type=int, default=100_000, help="most steps for CasADi (default 10^5)")
    return made.parse_args()


def main() -> None:
    given = options()
    n = given.steps or (10_000 if given.quick else 1_000_000)
    heading(f"Recurrence of {power(n)} steps: value and gradient in u")
    show(compare(peers(n, given.casadi_steps), rounds(given)))


if __name__ == "__main__":
    main()
