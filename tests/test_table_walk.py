"""A walk over the whole table of elementary functions, on every executor, against mpmath.

Value, first and second derivative of every row at points over its domain, from subnormal to huge, and at its edges.
The oracle is mpmath's differences, with digits doubled until two results agree. An error is measured in units of the
rounding of the result and of the operands: a function may be off by what a change of its operand's last bit does.
"""

import itertools
from functools import cache
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from table_rows import domain_of
from test_elementary import ORACLE

from lagrange_ad.elementary import TABLE, Elementary
from lagrange_ad.execution import ReferenceExecutor
from lagrange_ad.execution.native.executor import NativeExecutor
from lagrange_ad.lowering import Group, IndexMap, Kernel
from lagrange_ad.lowering.kernel import Builder

EXECUTORS = {"reference": ReferenceExecutor(), "loop": NativeExecutor(compile_from=1),
             "tape": NativeExecutor(compile_from=1 << 60)}  # fmt: skip
EPS, TINY = 2.0**-52, 2.3e-308
MAGNITUDES = (1e-300, 1e-160, 1e-20, 1e-8, 1e-3, 0.1, 0.3, 0.47, 0.6, 0.9, 1 - 2**-53, 1.0, 1 + 2**-52, 1.4616, 2.0, 2.6,
              3.3, 5.2, 8.0, 15.5, 26.0, 37.0, 60.3, 300.0, 707.0, 1e4 + 0.5, 1e8, 1e16, 1e160, 1e300)  # fmt: skip
HEADS = {"zeta": (2.0, 3.0)}
"""The fixed operands of rows that have one."""
NOWHERE = ("where",)
"""Rows without a scalar argument to walk along: tests/test_elementary.py has all of its cases."""


def points_of(row: Elementary) -> list[tuple[float, ...]]:
    """The points of a row inside its domain: a line for one operand, pairs for two."""
    inside = domain_of(row.name).inside
    line = [x for m in MAGNITUDES for x in (m, -m) if inside(x)]
    if row.arity - row.fixed == 1:
        return [(s, x) for s in HEADS[row.name] for x in line if 1e-4 < abs(x) < 1e2] if row.fixed else [
            (x,) for x in line]
    pairs = itertools.product((-3.3, -0.47, 1e-8, 0.3, 0.9, 1.0, 2.6, 15.5, 60.3), repeat=2)
    scaled = [(1e160, -2e160), (3e-160, 1e-160), (1e-300, 1e-300), (-4e300, 1e300)]
    first = (lambda x: x > 0) if row.name == "power" else (lambda x: True)
    every = [*pairs, *(scaled if row.name != "power" else ())]
    return [(x, y) for x, y in every if first(x) and (row.name == "power" or inside(y))]


def kernel_of(row: Elementary) -> Kernel:
    builder = Builder()
    fixed = [builder.raw(("coef", j)) for j in range(row.fixed)]
    return builder.finish([builder.raw((row.name, *fixed, *(builder.raw(("arg", j))
                                                            for j in range(row.arity - row.fixed))))])


def computed(row: Elementary, executor: str, points: np.ndarray):
    """(values, first partials (arg, point), second partials {(i, j): (point,)}) at points (operand, point)."""
    kernel, n = kernel_of(row), points.shape[1]
    free = points[row.fixed :]
    group = Group(kernel, (n,), tuple(IndexMap((n,), j * n, (1,), None) for j in range(len(free))),
                  tuple(points[: row.fixed]), IndexMap((n,), 0, (1,), None))
    run, z, out, w = EXECUTORS[executor].run([group]), free.ravel(), np.zeros(n), np.zeros(free.size)
    with np.errstate(all="ignore"):
        run.values(z, out)
        run.adjoint(z, np.ones(n), w)
        entries = run.hessian(z, np.ones(n))
    rows, columns = run.hessian_pattern()
    second = np.zeros((len(free), len(free), n))
    np.add.at(second, (rows // n, columns // n, rows % n), entries)
    return out, w.reshape(free.shape), second


@cache
def exact(name: str, point: tuple[float, ...]) -> list[float]:
    """f, f′, f″, f‴ in the last operand by central differences of two steps, with as many digits as they need."""
    *fixed, x = point
    steep = name in ("cbrt", "absolute", "sign") or not domain_of(name).inside(0.0)  # singular at 0: a step is relative there
    scale = min(1.0, abs(x)) if steep else 1.0
    for digits in (150, 420, 800, 1500):
        with mpmath.workdps(digits):
            found, again = (_differences(name, fixed, x, scale * mpmath.mpf(10) ** -n) for n in (30, 33))
            if digits < 800 and 0 in found[1:]:  # so small a step may have changed nothing at all
                continue
            sizes = [abs(f) + abs(lower) / max(1, abs(x)) for lower, f in pairwise([0.0, *found])]
            if all(abs(a - b) <= 1e-20 * size + mpmath.mpf("1e-330")
                   for a, b, size in zip(found, again, sizes, strict=True)):
                return [float(value) for value in again]
    raise AssertionError(f"no digits of {name}{point}")


def _differences(name: str, fixed: list[float], x: float, h: mpmath.mpf) -> list[mpmath.mpf]:
    two_left, left, f, right, two_right = (mpmath.re(ORACLE[name][0](*fixed, x + k * h)) for k in range(-2, 3))
    third = (two_right - 2 * right + 2 * left - two_left) / (2 * h**3)
    return [f, (right - left) / (2 * h), (right - 2 * f + left) / h**2, third]


def near(found: float, expected: float, allowed: float) -> bool:
    """Within what is allowed; where the true number is infinite or too large, the one found is."""
    if not np.isfinite(expected) or abs(expected) > 1.7e308:
        return bool(abs(found) > 1.7e308 and np.sign(found) == np.sign(expected))
    return bool(abs(found - expected) <= allowed + TINY)


VALUE, FIRST, HIGHER = 4, 24, 64
"""Units of rounding: a value is good to 4; a rule is at most six operations of values; its derivative is one of those."""
FROM_VALUE = {"tanh": 1.0}
"""Rules that cancel: tanh′ = 1 - v² costs nothing and is good to the rounding of 1, not of itself, where v is near 1."""
UNARY = [row for row in TABLE.values() if row.arity - row.fixed == 1 and not row.name.startswith("logical")]
BINARY = [row for row in TABLE.values() if row.arity == 2 and not row.fixed and not row.boolean]


def rounding(name: str, x: float, f: float, f1: float, f2: float, f3: float) -> list[float]:
    """What rounding may do to f, f′ and f″ at x: that of the result, and that of x."""
    lost = FROM_VALUE.get(name, 0.0)
    return [
        EPS * VALUE * (abs(f) + abs(x * f1)),
        EPS * FIRST * (abs(f1) + abs(x * f2) + lost),
        # near an inflection, terms of the size of f′ cancel
        EPS * HIGHER * (abs(f2) + abs(x * f3) + abs(f1) / max(1.0, abs(x)) + lost),
    ]


def report(bad: list) -> str:
    return "\n".join(str(line) for line in bad[:8]) + f"\n({len(bad)} in all)"


@pytest.mark.parametrize("row", UNARY, ids=lambda row: row.name)
def test_along_a_line(row: Elementary) -> None:
    points = points_of(row)
    free = [p[-1] for p in points]
    true, bad = [exact(row.name, p) for p in points], []
    for executor in EXECUTORS:
        values, first, second = computed(row, executor, np.array(points).T)
        for i, (x, exactly) in enumerate(zip(free, true, strict=True)):
            found = (values[i], first[0, i], second[0, 0, i])
            allowed = rounding(row.name, x, *exactly)
            bad += [(executor, n, points[i], found[n], exactly[n], allowed[n])
                    for n in range(3) if not near(found[n], exactly[n], allowed[n])]
    assert not bad, report(bad)
