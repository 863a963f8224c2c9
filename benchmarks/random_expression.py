"""One big irregular expression: from its operators to the first gradient, each further gradient, and how both grow.

    python benchmarks/random_expression.py             10^3, 10^4, 10^5 operations
    python benchmarks/random_expression.py --most 4

Operations are drawn by a seeded generator; each takes one of the last hundred results and any earlier one, so that
results are shared and the expression is deep; every result stays within [−1, 1]; J is the mean of the results that no
operation took. Nothing repeats, so there is no loop to find: it is compiled or interpreted operation by operation.
The first gradient counts from the first operator to the numbers, in a process of its own, after imports.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from common import (
    Array,
    Peer,
    Row,
    Work,
    casadi_work,
    child,
    compare,
    duration,
    heading,
    parser,
    power,
    rounds,
    show,
    table,
    within,
)

import lagrange_ad as la

INPUTS = 32
LIMIT = 5.0
"""Seconds that the first gradient of 10^5 operations may take."""


def mean_of_loose_ends(n: int, inputs: list[Any], sin: Callable[[Any], Any], cos: Callable[[Any], Any]) -> Any:
    """J of n operations on the inputs, those of the mean among them, with the functions of whoever asks."""
    random = np.random.default_rng(0)
    kinds = random.integers(5, size=n).tolist()
    near, far = random.random((2, n)).tolist()
    results, loose = list(inputs), set(range(len(inputs)))
    while len(results) - len(inputs) + len(loose) < n:
        k, here = len(results) - len(inputs), len(results)
        i, j, kind = here - 1 - int(100 * near[k]) % here, int(far[k] * here), kinds[k]
        a, b = results[i], results[j]
        results.append((a * b, 0.5 * (a + b), 0.5 * (a - b))[kind] if kind < 3 else sin(a) if kind == 3 else cos(a))
        loose -= {i, j} if kind < 3 else {i}
        loose.add(here)
    total: Any = 0.0
    for end in sorted(loose):
        total = total + results[end]
    return total / len(loose)


def points() -> list[Array]:
    """Two x, so that no call repeats the one before."""
    x = np.random.default_rng(1).uniform(-1.0, 1.0, INPUTS)
    return [x, 0.999 * x]


def ours(n: int) -> Work:
    p = la.Program("random_expression")
    x = p.input("x", np.zeros(INPUTS))
    p.minimize(mean_of_loose_ends(n, [x[i] for i in range(INPUTS)], np.sin, np.cos))
    return Work(p.reduced().value_and_gradient, points())


def casadi_sx(n: int) -> Work:
    import casadi as ca

    x = ca.SX.sym("x", INPUTS)
    value = mean_of_loose_ends(n, [x[i] for i in range(INPUTS)], ca.sin, ca.cos)
    return casadi_work(ca.Function("J", [x], [value, ca.gradient(value, x)]), points())


MAKERS = {"lagrange_ad": ours, "CasADi, SX, buffers": casadi_sx}


def first(name: str, n: int) -> float:
    """Seconds from the first operator to the first gradient."""
    if name != "lagrange_ad":
        import casadi  # noqa: F401  imports are not counted
    begin = time.perf_counter()
    work = MAKERS[name](n)
    work.function(work.arguments[0])
    return time.perf_counter() - begin


def peers(n: int) -> list[Peer]:
    return [
        Peer("lagrange_ad", (), lambda: ours(n)),
        Peer("CasADi, SX, buffers", ("casadi",), lambda: casadi_sx(n), 1.0, "ours not slower"),
    ]


def first_table(further: dict[int, list[Row]], repeats: int) -> str:
    """The table of first gradients, for the peers that could do the further ones."""
    lines = []
    for n, rows in further.items():
        for row in rows:
            if row.missing:
                lines.append([row.peer.name, power(n), row.missing, "", ""])
                continue
            runs = [child(__file__, "--first", row.peer.name, n)["seconds"] for _ in range(repeats)]
            seconds = statistics.median(runs)
            aim = within(LIMIT, seconds, f"≤ {LIMIT:g} s") if n == 10**5 and row is rows[0] else ""
            lines.append([row.peer.name, power(n), duration(seconds), duration(seconds / n), aim])
    return table(["", "operations", "time", "an operation", "target"], lines)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--most", type=int, default=0, help="largest power of ten (default 5, quick 3)")
    options.add_argument("--first", nargs=2, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.first:
        print(json.dumps({"seconds": first(given.first[0], int(given.first[1]))}))
        return
    heading("One expression of random operations")
    sizes = [10**k for k in range(3, (given.most or (3 if given.quick else 5)) + 1)]
    further = {n: compare(peers(n), rounds(given)) for n in sizes}
    print(f"## From the first operator to the first gradient\n\n{first_table(further, min(3, rounds(given)))}\n")
    for n, rows in further.items():
        print(f"## Each further gradient, {power(n)} operations\n")
        show(rows)


if __name__ == "__main__":
    main()
