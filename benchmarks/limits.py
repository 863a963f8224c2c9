"""What this machine can do at most: the rates that the other benchmarks' times are compared with in RESULTS.md.

    python benchmarks/limits.py

Memory: a copy of 64 MB, read and written. Vector mathematics: a sum of sin(x) over 4096 elements that stay in cache, by
our own compiled loop; with it the cost of one call from Python. Scalar mathematics: a chain of sines, each waiting for
the one before. Products: 1024 × 1024 by BLAS.
"""

from __future__ import annotations

import numpy as np
from common import Work, heading, medians, parser, rounds, table

import lagrange_ad as la


def memory_copy() -> Work:
    source, target = np.ones(1 << 23), np.zeros(1 << 23)
    return Work(lambda _: np.copyto(target, source), [None])


def sum_of_sines(n: int) -> Work:
    p = la.Program("sines")
    p.minimize(np.sum(np.sin(p.input("x", np.linspace(0.0, 1.0, n)))))
    view = p.reduced()
    return Work(view.value, [view.x0, 0.9 * view.x0])


def chain_of_sines(n: int) -> Work:
    p = la.Program("chain")
    x, z = p.input("x", 0.5), p.variable("z", shape=n)
    p.equate(z, np.concatenate([x[None], np.sin(z[:-1])]))
    p.minimize(z[-1])
    view = p.reduced()
    return Work(view.value, [view.x0, 0.9 * view.x0])


def product() -> Work:
    a, b = np.ones((1024, 1024)), np.ones((1024, 1024))
    return Work(lambda _: a @ b, [None])


def main() -> None:
    given = parser(__doc__).parse_args()
    heading("What this machine can do")
    copied, few, many, chain, multiplied = medians(
        [memory_copy(), sum_of_sines(8), sum_of_sines(4096), chain_of_sines(10_000), product()], rounds(given))
    print(table(["what", "rate"], [
        ["memory, read and written", f"{2 * 8 * (1 << 23) / copied / 1e9:.1f} GB/s"],
        ["one call of a view from Python", f"{few * 1e6:.2f} µs"],
        ["sin, vectors in cache", f"{(many - few) / 4088 * 1e9:.2f} ns"],
        ["sin, each waiting for the one before", f"{(chain - few) / 10_000 * 1e9:.1f} ns"],
        ["products", f"{2 * 1024**3 / multiplied / 1e9:.0f} GFLOP/s"],
    ]))


if __name__ == "__main__":
    main()
