"""Six scalar equations: what a call costs when there is next to nothing to compute.

    python benchmarks/six_equations.py

The program of the README (T. Vieira, 2017): a = exp x, b = a², c = a + b, d = exp c, e = sin c, f = d + e; f and df/dx.
Everyone gets x as it likes it best, prepared before; results are ready to read when a call returns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from common import Peer, Work, casadi_work, compare, cpu_jax, heading, parser, rounds, show, within

import lagrange_ad as la

POINTS = (0.1, 0.11)
AIM = 2.5e-6


def ours() -> Work:
    p = la.Program("domke")
    x = p.input("x", 0.1)
    a = p.define("a", np.exp(x))
    b = p.define("b", a**2)
    c = p.define("c", a + b)
    d = p.define("d", np.exp(c))
    e = p.define("e", np.sin(c))
    f = p.define("f", d + e)
    p.minimize(f)
    return Work(p.reduced().value_and_gradient, [np.array([x]) for x in POINTS])


def six(x: Any, exp: Callable[[Any], Any], sin: Callable[[Any], Any]) -> Any:
    """f(x) with the functions of whoever asks."""
    a = exp(x)
    b = a * a
    c = a + b
    return exp(c) + sin(c)


def by_hand() -> Work:
    def value_and_gradient(x: float) -> tuple[float, float]:
        a = math.exp(x)
        c = a + a * a
        d = math.exp(c)
        return d + math.sin(c), (d + math.cos(c)) * (1.0 + 2.0 * a) * a

    return Work(value_and_gradient, POINTS)


def casadi_function() -> Any:
    import casadi as ca

    x = ca.SX.sym("x")
    f = six(x, ca.exp, ca.sin)
    return ca.Function("six", [x], [f, ca.gradient(f, x)])


def casadi_call() -> Work:
    return Work(casadi_function(), POINTS, lambda result: [float(part) for part in result])


def casadi_buffer() -> Work:
    return casadi_work(casadi_function(), POINTS)


def jax_jit() -> Work:
    jax = cpu_jax()
    compiled = jax.jit(jax.value_and_grad(lambda x: six(x, jax.numpy.exp, jax.numpy.sin)))
    arguments = [jax.numpy.asarray(x, dtype=float) for x in POINTS]
    return Work(lambda x: jax.block_until_ready(compiled(x)), arguments)


def autograd() -> Work:
    import autograd.numpy as anp
    from autograd import value_and_grad

    return Work(value_and_grad(lambda x: six(x, anp.exp, anp.sin)), POINTS)


def pytorch() -> Work:
    import torch

    def value_and_gradient(x: Any) -> tuple[Any, Any]:
        f = six(x, torch.exp, torch.sin)
        return f, torch.autograd.grad(f, x)[0]

    arguments = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in POINTS]
    return Work(value_and_gradient, arguments, lambda result: [part.detach().numpy() for part in result])


PEERS = (
    Peer("lagrange_ad", (), ours),
    Peer("CasADi, normal call", ("casadi",), casadi_call, 1.0, "faster than it"),
    Peer("CasADi, buffers", ("casadi",), casadi_buffer),
    Peer("JAX, jit", ("jax",), jax_jit, 2.0),
    Peer("autograd", ("autograd",), autograd),
    Peer("PyTorch", ("torch",), pytorch),
    Peer("Python by hand (math)", (), by_hand),
)


def main() -> None:
    options = parser(__doc__).parse_args()
    heading("Six equations: value and gradient")
    rows = compare(PEERS, rounds(options))
    show(rows, within(AIM, rows[0].seconds, "≤ 2.5 µs"))


if __name__ == "__main__":
    main()
