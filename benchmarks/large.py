"""Large programs: time and memory against size, to see that both grow linearly.

    python benchmarks/large.py            prints the table
    python benchmarks/large.py --most 5   up to 10^5 only

Two programs: a recurrence of n steps declared as one array equation, and n scalar equations declared one by one in a
Python loop, each using the one before. Every case runs in a process of its own; times are medians of three runs.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import scipy

import lagrange_ad as la


def recurrence(n: int) -> la.Program:
    """z[t+1] = z[t] + h·(u[t] − sin z[t]), J = h·Σ z²."""
    p = la.Program("recurrence")
    h = 10.0 / n
    z0 = p.input("z0", 0.5)
    u = p.input("u", np.full(n, 0.3))
    z = p.variable("z", shape=n + 1)
    p.equate(z, np.concatenate([z0[None], z[:-1] + h * (u - np.sin(z[:-1]))]))
    p.minimize(h * np.sum(z**2))
    return p


def scalars(n: int) -> la.Program:
    """z_i = z_{i−1} + h·c_i·sin z_{i−1}, declared one by one, J = z_n²."""
    p = la.Program("scalars")
    h = 1.0 / n
    z = p.input("x", 0.5)
    for i in range(n):
        z = p.define(f"z{i}", z + h * (1.0 + i % 7) * np.sin(z))
    p.minimize(z**2)
    return p


CASES: dict[str, Callable[[int], la.Program]] = {"recurrence": recurrence, "scalars": scalars}


def measure(case: str, n: int) -> dict[str, float]:
    """Seconds of each stage, and the peak memory of this process in megabytes above what the imports took."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    marks = [time.perf_counter()]
    program = CASES[case](n)
    marks.append(time.perf_counter())
    at = program.schedule and program.evaluate()
    marks.append(time.perf_counter())
    at = program.evaluate()
    marks.append(time.perf_counter())
    at.gradient[next(iter(at.gradient))]
    marks.append(time.perf_counter())
    at = program.evaluate()
    at.gradient[next(iter(at.gradient))]
    marks.append(time.perf_counter())
    names = ("declare", "first evaluation", "evaluation", "first gradient", "both")
    result = {name: b - a for name, a, b in zip(names, marks, marks[1:], strict=False)}
    result["MB"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=6, help="largest power of ten (default 6)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(options.case, options.size)))
        return
    print(f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
          f"{platform.machine()}, lagrange_ad {la.__version__}")
    print("| program | n | declare | first evaluation | evaluation | first gradient | evaluation + gradient | peak MB "
          "| kB an equation |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case in CASES:
        for power in range(4, options.most + 1):
            n = 10**power
            command = [sys.executable, __file__, "--case", case, "--size", str(n)]
            runs = [json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
                    for _ in range(options.repeats)]
            middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            times = " | ".join(f"{middle[k]:.3f} s" for k in
                               ("declare", "first evaluation", "evaluation", "first gradient", "both"))
            print(f"| {case} | 10^{power} | {times} | {middle['MB']:.0f} | {middle['MB'] * 1024 / n:.2f} |", flush=True)


if __name__ == "__main__":
    main()
