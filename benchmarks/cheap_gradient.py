"""What a gradient costs beside the value alone: the cheap gradient principle, measured on five programs.

    python benchmarks/cheap_gradient.py             10^3 to 10^6 scalar operations
    python benchmarks/cheap_gradient.py --most 7
    python benchmarks/cheap_gradient.py --only chain network

Reverse mode needs at most about 4 times the operations of the value, however many inputs there are (Baur and Strassen,
1983; Griewank and Walther, 2008, chapter 4): time of value and gradient by time of the value should stay below, and not
grow. ``operations`` counts +, −, ·, / and elementary functions of J as written. Memory is how much higher the process
peaked after declaring the program and taking values than after imports, and how much higher again when it then took
gradients, compiling included; what a view sets aside for gradients when it is made counts with the values. Every row
is a process of its own. The gradient is checked against a central difference of J along a random direction.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from typing import Any

import numpy as np
from common import Work, child, duration, growing, heading, medians, power, rounds, table

import lagrange_ad as la

Made = tuple[la.Program, int]
"""A program and its number of operations."""


def chain(size: int) -> Made:
    """z[t+1] = exp(sin z[t])/2 from one input; J = Σ z. Four operations a step."""
    n = size // 4
    p = la.Program("chain")
    x = p.input("x", 0.7)
    z = p.variable("z", shape=n + 1)
    p.equate(z[0], x)
    p.equate(z[1:], 0.5 * np.exp(np.sin(z[:-1])))
    p.minimize(np.sum(z))
    return p, 4 * n


def power_flow(size: int) -> Made:
    """Flows of a random network by gathers of angle a and magnitude v; J = Σ p² + q². 21 operations a branch.

    p = g·v_i² + v_i·v_j·(k·cos d + b·sin d), q = v_i·v_j·(k·sin d − b·cos d) − b·v_i², with d = a_i − a_j.
    """
    m = max(size // 21, 1)
    n = max(m // 2, 2)
    random = np.random.default_rng(0)
    i, j = random.integers(n, size=(2, m))
    g, b, k = random.random((3, m))
    p = la.Program("power_flow")
    a, v = p.input("a", 0.1 * random.random(n)), p.input("v", 1.0 + 0.05 * random.random(n))
    d, vi, both = a[i] - a[j], v[i], v[i] * v[j]
    cosine, sine = np.cos(d), np.sin(d)
    active = p.define("p", g * vi**2 + both * (k * cosine + b * sine))
    reactive = p.define("q", both * (k * sine - b * cosine) - b * vi**2)
    p.minimize(np.sum(active**2 + reactive**2))
    return p, 21 * m


def recurrence(size: int) -> Made:
    """z[t+1] = z[t] + h·(u[t] − sin z[t]), J = h·Σ z², gradient in every u[t]. Six operations a step."""
    n = size // 6
    h = 10.0 / n
    p = la.Program("recurrence")
    u = p.input("u", 0.3 + 0.2 * np.random.default_rng(0).random(n))
    z = p.variable("z", shape=n + 1)
    p.equate(z[0], 0.5)
    p.equate(z[1:], z[:-1] + h * (u - np.sin(z[:-1])))
    p.minimize(h * np.sum(z**2))
    return p, 6 * n


def network(size: int) -> Made:
    """Two layers of w units with tanh on a batch of w, J = Σ of squares: 4·w³ operations in products, 4·w² others."""
    w = max(round((size / 4) ** (1 / 3)), 2)
    random = np.random.default_rng(0)
    x = random.standard_normal((w, w))
    p = la.Program("network")
    w1, w2 = (p.input(name, random.standard_normal((w, w)) / np.sqrt(w)) for name in ("W1", "W2"))
    h1 = p.define("h1", np.tanh(x @ w1))
    h2 = p.define("h2", np.tanh(h1 @ w2))
    p.minimize(np.sum(h2**2))
    return p, 4 * w**3 + 4 * w**2


def terms(size: int) -> Made:
    """J = Σ exp(−x)·sin x. Five operations a term."""
    n = size // 5
    p = la.Program("terms")
    x = p.input("x", np.random.default_rng(0).random(n))
    p.minimize(np.sum(np.exp(-x) * np.sin(x)))
    return p, 5 * n


PROGRAMS: dict[str, Callable[[int], Made]] = {
    "chain": chain, "power_flow": power_flow, "recurrence": recurrence, "network": network, "terms": terms,
}
BOUND, AIM, FROM = 4.0, 3.0, 10_000


def measure(name: str, size: int, repeats: int) -> dict[str, float]:
    """Operations, seconds of value and of both, the error of the gradient along a direction, megabytes."""
    peaks = [peak()]
    program, operations = PROGRAMS[name](size)
    view = program.reduced()
    points = [view.x0, 1.001 * view.x0, 0.999 * view.x0]
    for x in points:
        view.value(x)
    peaks.append(peak())
    for x in points:
        view.value_and_gradient(x)
    peaks.append(peak())
    value, both = medians([Work(view.value, points), Work(view.value_and_gradient, points)], repeats)
    memory = dict(zip(("value MB", "extra MB"), np.diff(peaks), strict=True))
    return {"operations": operations, "value": value, "both": both, "error": slope_error(view), **memory}


def peak() -> float:
    """Megabytes that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def slope_error(view: Any) -> float:
    """How far gradient·direction is from a central difference, relative."""
    x = view.x0
    direction = np.random.default_rng(2).standard_normal(x.shape)
    direction *= 1e-5 * np.linalg.norm(x) / np.linalg.norm(direction)
    slope = view.value_and_gradient(x)[1] @ direction
    return float(abs((view.value(x + direction) - view.value(x - direction)) / 2.0 - slope) / abs(slope))


def line(name: str, size: int, repeats: int) -> list[str]:
    """A row of the table."""
    found = child(__file__, "--case", name, "--size", size, "--repeats", repeats)
    ratio = found["both"] / found["value"]
    aim = f"≤ {AIM:g}: {'met' if ratio <= AIM else 'missed'}" if size >= FROM else f"≤ {AIM:g} from {power(FROM)}"
    return [name, f"{found['operations']:.3g}", duration(found["value"]), duration(found["both"]), f"{ratio:.2f}", aim,
            f"{found['value MB']:.1f}", f"{found['extra MB']:.1f}",
            f"{found['extra MB'] * 2**20 / found['operations']:.1f}", f"{found['error']:.0e}"]


def main() -> None:
    given = growing(__doc__, list(PROGRAMS))
    if given.case:
        print(json.dumps(measure(given.case, given.size, given.repeats)))
        return
    heading(f"Value and gradient by value: the theory's bound is {BOUND:g}")
    sizes = [10**k for k in range(3, given.most + 1)]
    lines = [line(name, size, rounds(given)) for name in given.only for size in sizes]
    header = ["program", "operations", "value", "value and gradient", "ratio", "target", "MB for values",
              "extra MB for gradients", "extra bytes an operation", "error against differences"]
    print(table(header, lines))


if __name__ == "__main__":
    main()
