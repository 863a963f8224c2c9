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
MAGNITUDES = (1e-300, 1e-160, 1e-20, 1e-8, 1e-3, 0.1, 0.3, 0.47, 0.6, 0.9, 1 - 2**-53, 1.0, 1 + 2**-52, 1.4616, 2.0,
              2.6, 3.3, 5.2, 8.0, 15.3, 26.0, 37.0, 60.3, 300.0, 707.0, 1e4 + 0.3, 1e8, 1e16, 1e160, 1e300)  # fmt: skip
HEADS = {"zeta": (2.0, 3.0)}
"""The fixed operands of rows that have one."""


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
    every = [*pairs, *(scaled if row.name not in ("power", "logaddexp", "xlog1py") else ())]
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
    steep = name in ("cbrt", "absolute", "sign") or not domain_of(name).inside(0.0)  # singular at 0: relative steps
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
"""Units of rounding: a value is good to 4; a rule is at most six operations of values; f″ comes of several."""
FROM_VALUE = {"tanh": 1.0}
"""Rules that cancel: tanh′ = 1 - v² costs nothing and is good to the rounding of 1, not of itself."""
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


# two operands ------------------------------------------------------------------------------------------------


@cache
def exact_pair(name: str, point: tuple[float, float]) -> tuple[float, list[float], list[float]]:
    """f, its first partials, and f_xx, f_xy, f_yy, by differences of 400 digits with two steps that must agree."""
    with mpmath.workdps(400):
        found, again = (_pair_differences(name, point, mpmath.mpf(10) ** -n) for n in (30, 33))
        largest = [max(map(abs, part)) for part in found]
        for a, b, size in zip(found, again, largest, strict=True):
            noise = 1e-18 * size + mpmath.mpf("1e-300")
            assert all(abs(u - v) <= noise for u, v in zip(a, b, strict=True)), (name, point)
        return float(again[0][0]), [float(v) for v in again[1]], [float(v) for v in again[2]]


def _pair_differences(name: str, point: tuple[float, float], step: mpmath.mpf) -> list[list[mpmath.mpf]]:
    (x, y), (h, k) = point, (step * abs(v) for v in point)
    f = {(i, j): mpmath.re(ORACLE[name][0](x + i * h, y + j * k)) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    first = [(f[1, 0] - f[-1, 0]) / (2 * h), (f[0, 1] - f[0, -1]) / (2 * k)]
    cross = (f[1, 1] - f[1, -1] - f[-1, 1] + f[-1, -1]) / (4 * h * k)
    return [[f[0, 0]], first, [(f[1, 0] - 2 * f[0, 0] + f[-1, 0]) / h**2, cross,
                               (f[0, 1] - 2 * f[0, 0] + f[0, -1]) / k**2]]  # fmt: skip


@pytest.mark.parametrize("row", BINARY, ids=lambda row: row.name)
def test_at_pairs(row: Elementary) -> None:
    points = [p for p in points_of(row) if not (row.selects and p[0] == p[1])]
    bad = []
    for executor in EXECUTORS:
        values, first, second = computed(row, executor, np.array(points).T)
        for i, (point, (f, gradient, hessian)) in enumerate(zip(points, (exact_pair(row.name, p) for p in points),
                                                                strict=True)):
            moved = [sum(abs(x * h) for x, h in zip(point, line, strict=True)) for line in (hessian[:2], hessian[1:])]
            through = sum(abs(x * g) for x, g in zip(point, gradient, strict=True))
            cases = [
                (values[i], f, VALUE * (abs(f) + through)),
                *((first[j, i], gradient[j], FIRST * (abs(gradient[j]) + moved[j])) for j in range(2)),
                # entries of a Hessian may cancel: they are measured by the largest one
                *((second[j, k, i], hessian[j + k], HIGHER * max(map(abs, hessian)))
                  for j, k in ((0, 0), (1, 0), (1, 1))),
            ]
            # a Hessian beyond the range of float64 is not compared
            bad += [(executor, n, point, a, b, EPS * size) for n, (a, b, size) in enumerate(cases)
                    if not (near(a, b, EPS * size) or (n > 2 and size > 1.7e308))]
    assert not bad, report(bad)


@pytest.mark.parametrize("name", [row.name for row in TABLE.values() if row.boolean or row.name == "where"])
def test_conditions_and_choices_are_what_they_say_and_have_no_slope(name: str) -> None:
    row = TABLE[name]
    operands = (0.0, -0.0, 1.0, 2.5, -1.0, np.inf, -np.inf, np.nan)
    points = np.array([*itertools.product(operands, repeat=row.arity)])
    if name == "where":
        points = points[~np.isnan(points[:, 1:]).any(axis=1)]
    for executor in EXECUTORS:
        values, first, second = computed(row, executor, points.T)
        np.testing.assert_array_equal(values, [float(ORACLE[name][0](*map(float, p))) for p in points])
        slopes = np.zeros_like(first)
        if name == "where":
            slopes[1], slopes[2] = points[:, 0] != 0, points[:, 0] == 0
        np.testing.assert_array_equal(first, slopes)
        assert not second.any()


# edges -------------------------------------------------------------------------------------------------------

INF, PI, LN2, LN10 = np.inf, np.pi, np.log(2.0), np.log(10.0)
NAN = np.nan
LIMITS = {
    "negative": {0.0: (0, -1), INF: (-INF, -1), -INF: (INF, -1)},
    "square": {0.0: (0, 0), INF: (INF, INF), -INF: (INF, -INF)},
    "reciprocal": {0.0: (INF, -INF), INF: (0, 0), -INF: (0, 0)},
    "exp": {-INF: (0, 0), 0.0: (1, 1), INF: (INF, INF)},
    "exp2": {-INF: (0, 0), 0.0: (1, LN2), INF: (INF, INF)},
    "expm1": {-INF: (-1, 0), 0.0: (0, 1), INF: (INF, INF)},
    "log": {0.0: (-INF, INF), 1.0: (0, 1), INF: (INF, 0)},
    "log1p": {-1.0: (-INF, INF), 0.0: (0, 1), INF: (INF, 0)},
    "log2": {0.0: (-INF, INF), 1.0: (0, 1 / LN2), INF: (INF, 0)},
    "log10": {0.0: (-INF, INF), 1.0: (0, 1 / LN10), INF: (INF, 0)},
    "sqrt": {0.0: (0, INF), INF: (INF, 0)},
    "cbrt": {0.0: (0, INF), INF: (INF, 0), -INF: (-INF, 0)},
    "sin": {0.0: (0, 1), INF: (NAN, NAN), -INF: (NAN, NAN)},
    "cos": {0.0: (1, 0), INF: (NAN, NAN), -INF: (NAN, NAN)},
    "tan": {0.0: (0, 1), INF: (NAN, NAN), -INF: (NAN, NAN)},
    "arcsin": {-1.0: (-PI / 2, INF), 0.0: (0, 1), 1.0: (PI / 2, INF), 1.5: (NAN, NAN)},
    "arccos": {-1.0: (PI, -INF), 0.0: (PI / 2, -1), 1.0: (0, -INF), 1.5: (NAN, NAN)},
    "arctan": {-INF: (-PI / 2, 0), 0.0: (0, 1), INF: (PI / 2, 0)},
    "sinh": {-INF: (-INF, INF), 0.0: (0, 1), INF: (INF, INF)},
    "cosh": {-INF: (INF, -INF), 0.0: (1, 0), INF: (INF, INF)},
    "tanh": {-INF: (-1, 0), 0.0: (0, 1), INF: (1, 0)},
    "arcsinh": {-INF: (-INF, 0), 0.0: (0, 1), INF: (INF, 0)},
    "arccosh": {1.0: (0, INF), INF: (INF, 0), 0.5: (NAN, NAN)},
    "arctanh": {-1.0: (-INF, INF), 0.0: (0, 1), 1.0: (INF, INF)},
    "erf": {-INF: (-1, 0), 0.0: (0, 2 / np.sqrt(PI)), INF: (1, 0)},
    "erfc": {-INF: (2, 0), 0.0: (1, -2 / np.sqrt(PI)), INF: (0, 0)},
    "ndtr": {-INF: (0, 0), 0.0: (0.5, 1 / np.sqrt(2 * PI)), INF: (1, 0)},
    "expit": {-INF: (0, 0), -800.0: (0, 0), 0.0: (0.5, 0.25), 800.0: (1, 0), INF: (1, 0)},
    "log_expit": {-INF: (-INF, 1), -800.0: (-800, 1), 0.0: (-LN2, 0.5), 800.0: (0, 0), INF: (0, 0)},
    "logit": {0.0: (-INF, INF), 0.5: (0, 4), 1.0: (INF, INF), 1.5: (NAN, None), -0.5: (NAN, None)},
    "gamma": {0.0: (INF, -INF), 1.0: (1, -np.euler_gamma), INF: (INF, INF), -1.0: (NAN, NAN)},
    "gammaln": {0.0: (INF, -INF), 1.0: (0, -np.euler_gamma), 2.0: (0, 1 - np.euler_gamma), INF: (INF, INF),
                -1.0: (INF, NAN)},
    "digamma": {0.0: (-INF, INF), 1.0: (-np.euler_gamma, PI**2 / 6), INF: (INF, 0), -2.0: (NAN, INF)},
    "entr": {0.0: (0, INF), 1.0: (0, -1), INF: (-INF, -INF), -1.0: (-INF, NAN)},
    "absolute": {-INF: (INF, -1), 0.0: (0, 1), INF: (INF, 1)},
    "sign": {-INF: (-1, 0), 0.0: (0, 0), INF: (1, 0)},
    "rint": {-INF: (-INF, 0), 0.0: (0, 0), 0.5: (0, 0), 1.5: (2, 0), INF: (INF, 0)},
}  # fmt: skip
"""Operand: (value, slope), limits from inside the domain or what the row's rule states; None: outside, no matter."""

AT_MINUS_ZERO = {
    "reciprocal": (-INF, -INF), "gamma": (-INF, -INF), "gammaln": (INF, INF), "digamma": (INF, INF), "entr": (0, INF),
    "absolute": (0, 1), "sign": (0, 0), "square": (0, 0), "exp": (1, 1), "logit": (-INF, None), "log": (-INF, None),
    "arctan": (0, 1), "expit": (0.5, 0.25), "erf": (0, 2 / np.sqrt(PI)),
}  # fmt: skip


@pytest.mark.parametrize("row", [row for row in UNARY if not row.fixed], ids=lambda row: row.name)
def test_limits_at_the_edges(row: Elementary) -> None:
    assert row.name in LIMITS, f"the row {row.name!r} has no limits at its edges: add them to LIMITS"
    limits = [*LIMITS[row.name].items(), (NAN, (NAN, None))]
    limits += [(-0.0, AT_MINUS_ZERO[row.name])] if row.name in AT_MINUS_ZERO else []
    for executor in EXECUTORS:
        values, first, _ = computed(row, executor, np.array([[x for x, _ in limits]]))
        for (x, (f, f1)), value, slope in zip(limits, values, first[0], strict=True):
            where = f"{row.name}({x}) on {executor}"
            np.testing.assert_allclose(value, f, rtol=16 * EPS, atol=0, err_msg=where)
            if f1 is not None:
                np.testing.assert_allclose(slope, f1, rtol=16 * EPS, atol=0, err_msg=f"slope of {where}")


PAIR_LIMITS = {
    "power": {(0.0, 0.0): (1, 0, 0), (0.0, 1.0): (0, 1, 0), (0.0, 2.0): (0, 0, 0), (0.0, 0.5): (0, INF, 0),
              (0.0, -1.0): (INF, -INF, 0), (-2.0, 3.0): (-8, 12, NAN), (-2.0, -2.0): (0.25, 0.25, NAN),
              (-2.0, 0.0): (1, 0, NAN), (-2.0, 0.5): (NAN, NAN, NAN), (1.0, INF): (1, INF, 0),
              (2.0, INF): (INF, INF, INF),
              (0.5, INF): (0, NAN, 0), (INF, -1.0): (0, 0, NAN)},
    "divide": {(1.0, 0.0): (INF, INF, -INF), (1.0, INF): (0, 0, 0), (0.0, 2.0): (0, 0.5, 0),
               (0.0, 0.0): (NAN, INF, NAN)},
    "multiply": {(0.0, 3.0): (0, 3, 0), (INF, 2.0): (INF, 2, INF)},
    "add": {(INF, 1.0): (INF, 1, 1), (INF, -INF): (NAN, 1, 1)},
    "subtract": {(INF, 1.0): (INF, 1, -1), (0.0, 0.0): (0, 1, -1)},
    "logaddexp": {(-INF, 3.0): (3, 0, 1), (INF, 3.0): (INF, 1, 0), (0.0, 800.0): (800, 0, 1), (0.0, -800.0): (0, 1, 0),
                  (2.0, 2.0): (2 + LN2, 0.5, 0.5), (-INF, -INF): (-INF, NAN, NAN)},
    "arctan2": {(0.0, 1.0): (0, 1, 0), (1.0, 0.0): (PI / 2, 0, -1), (0.0, -1.0): (PI, -1, 0),
                (0.0, 0.0): (0, NAN, NAN)},
    "hypot": {(3.0, 4.0): (5, 0.6, 0.8), (0.0, 2.0): (2, 0, 1), (0.0, 0.0): (0, NAN, NAN), (INF, 1.0): (INF, NAN, 0)},
    "xlogy": {(0.0, 0.0): (0, -INF, 0), (0.0, 2.0): (0, LN2, 0), (2.0, 0.0): (-INF, -INF, INF),
              (0.0, -1.0): (0, NAN, 0),
              (0.0, INF): (0, INF, 0), (0.0, NAN): (NAN, NAN, NAN)},
    "xlog1py": {(0.0, -1.0): (0, -INF, 0), (0.0, 1.0): (0, LN2, 0), (2.0, -1.0): (-INF, -INF, INF),
                (0.0, -3.0): (0, NAN, 0), (0.0, NAN): (NAN, NAN, NAN)},
    "minimum": {(1.5, 1.5): (1.5, 1, 0), (0.0, -0.0): (0, 1, 0), (INF, INF): (INF, 1, 0), (-INF, 2.0): (-INF, 1, 0),
                (2.0, -INF): (-INF, 0, 1)},
    "maximum": {(1.5, 1.5): (1.5, 1, 0), (0.0, -0.0): (0, 1, 0), (INF, INF): (INF, 1, 0), (-INF, 2.0): (2, 0, 1)},
}  # fmt: skip
"""Operands: (value, slope in the first, slope in the second), as for LIMITS."""


@pytest.mark.parametrize("row", BINARY, ids=lambda row: row.name)
def test_limits_of_pairs(row: Elementary) -> None:
    assert row.name in PAIR_LIMITS, f"the row {row.name!r} has no limits at its edges: add them to PAIR_LIMITS"
    limits = PAIR_LIMITS[row.name]
    for executor in EXECUTORS:
        values, first, _ = computed(row, executor, np.array([*limits]).T)
        found = np.vstack([values, first]).T
        for point, actual, expected in zip(limits, found, limits.values(), strict=True):
            np.testing.assert_allclose(actual, expected, rtol=16 * EPS, atol=0,
                                       err_msg=f"{row.name}{point} on {executor}")


def test_a_weight_of_zero_meets_a_logarithm_of_zero() -> None:
    """Σ n log p with n = p = 0, n a coefficient: no 0·∞ in the derivatives of either order."""
    builder = Builder()
    kernel = builder.finish([builder.raw(("xlogy", builder.raw(("coef", 0)), builder.raw(("arg", 0))))])
    group = Group(kernel, (2,), (IndexMap((2,), 0, (1,), None),), (np.array([0.0, 3.0]),),
                  IndexMap((2,), 0, (1,), None))
    for executor in EXECUTORS.values():
        run, w, out = executor.run([group]), np.zeros(2), np.zeros(2)
        z = np.array([0.0, 0.5])
        run.values(z, out)
        run.adjoint(z, np.ones(2), w)
        np.testing.assert_allclose(out, [0.0, 3.0 * np.log(0.5)], rtol=1e-15)
        np.testing.assert_allclose(w, [0.0, 6.0], rtol=1e-15)
        np.testing.assert_allclose(run.hessian(z, np.ones(2)), [0.0, -12.0], rtol=1e-15)
