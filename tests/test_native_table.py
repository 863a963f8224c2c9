"""Every row of the table of elementary functions in compiled code: in vectors, in their remainder, and on the tape.

The oracle of values is NumPy where the result is NaN or infinite, and NumPy or mpmath, whichever is nearer, elsewhere:
vector mathematics is good to 4 units in the last place. The oracle of partial derivatives is the reference executor.
Points are drawn over the domain and at its edges: signed zeros, infinities, NaN, subnormal, tiny and huge numbers.
"""

import itertools

import mpmath
import numpy as np
import pytest
from scipy import special
from test_elementary import ORACLE

from lagrange_ad.elementary import TABLE
from lagrange_ad.execution import ReferenceExecutor
from lagrange_ad.execution.native.executor import NativeExecutor
from lagrange_ad.execution.reference import kernel_values
from lagrange_ad.lowering import Group, IndexMap
from lagrange_ad.lowering.kernel import Builder

LOOP = 17
"""Two vectors (or four, or eight) and a remainder of one."""
ULPS = 4
EDGES = (0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, np.inf, -np.inf, np.nan, 5e-324, -5e-324, 2.2e-308, 1e-300, -1e-300,
         1e-17, 1 - 2**-53, 1 + 2**-52, -1 + 2**-53, -1 - 2**-52, 709.7, 709.8, -745.2, 1024.0, -1074.5, 1e22, -1e22,
         1e300, -1.7e308, 1.7976931348623157e308)  # fmt: skip
FEW = (0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, np.inf, -np.inf, np.nan, 5e-324, -1e-300, 1e200, -1.7e308)
EXECUTORS = {"loop": NativeExecutor(compile_from=1), "tape": NativeExecutor(compile_from=1 << 60)}


def points(row):
    """Points of a row, one column each; as many as whole loops take."""
    rng = np.random.default_rng(len(row.name))
    if row.fixed:
        edges = [x for x in EDGES if abs(x) < 1e4 or x == np.floor(x) or np.isnan(x)]
        line = np.concatenate([edges, rng.uniform(-30, 30, 60)])
        return np.array([*itertools.product((1.0, 1.5, 2.0, 3.0, 7.0), line)]).T
    if row.arity == 1:
        near = rng.uniform(-1.2, 1.2, 60)
        wide = np.exp(rng.uniform(-600, 600, 40)) * rng.choice([-1, 1], 40)
        middle = rng.uniform(-700, 700, 60)
        return np.concatenate([EDGES, near, wide, middle])[None]
    if row.arity == 2:
        edges = np.array([*itertools.product(FEW, repeat=2)])
        near = rng.uniform(-3, 3, (100, 2))
        positive = np.stack([rng.uniform(0, 20, 60), rng.uniform(-30, 30, 60)], axis=1)
        wide = np.exp(rng.uniform(-300, 300, (40, 2))) * rng.choice([-1, 1], (40, 2))
        return np.concatenate([edges, near, positive, wide]).T
    assert row.name == "where"
    conditions, yes, no = (0.0, -0.0, 1.0, np.nan, 1e-300), (2.0, np.nan, -0.0), (np.inf, 3.0, np.nan)
    return np.array([*itertools.product(conditions, yes, no)]).T


def kernel_of(row):
    builder = Builder()
    return builder.finish([builder.raw((row.name, *(builder.raw(("arg", j)) for j in range(row.arity))))])


def in_loops(values, executor, kernel, quantity):
    """A quantity at every point, each point in turn at every place of a loop: (places, points, …)."""
    arity, n = values.shape
    group = Group(kernel, (LOOP,), tuple(IndexMap((LOOP,), j * LOOP, (1,), None) for j in range(arity)), (),
                  IndexMap((LOOP,), 0, (1,), None))
    run, found = executor.run([group]), []
    for first in range(n):
        here = np.arange(first, first + LOOP) % n
        z, out = values[:, here].ravel(), np.zeros(LOOP if quantity == "values" else arity * LOOP)
        with np.errstate(all="ignore"):
            if quantity == "values":
                run.values(z, out)
            else:
                run.adjoint(z, np.ones(LOOP), out)
        found.append(out.reshape(-1, LOOP))
    columns = np.stack(found)  # (first, outputs, place)
    place = np.arange(LOOP)
    return np.stack([columns[(p - place) % n, :, place].T for p in range(n)], axis=2)  # (outputs, place, point)


def agree(actual, expected):
    """Equal where not finite; which of the finite ones are compared further."""
    expected = np.broadcast_to(expected, actual.shape)
    finite = np.isfinite(expected)
    return np.where(finite, np.isfinite(actual), (actual == expected) | (np.isnan(actual) & np.isnan(expected))), finite


CONDITIONED = {
    "logaddexp": lambda x, y: (x, y),
    "ndtr": lambda x: (x * np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi),),
    "gamma": lambda x: (x * special.gamma(x) * special.psi(x),),
    "gammaln": lambda x: (x * special.psi(x),),
    "digamma": lambda x: (x * TABLE["zeta"].function(2.0, x),),
    "zeta": lambda s, q: (s * q * TABLE["zeta"].function(s + 1.0, q),),
}
"""Operands times slopes, of rows that are sums or that round their operand: what its last bit does counts too."""
MPMATH = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "arcsinh": "asinh",
          "arccosh": "acosh", "arctanh": "atanh", "power": "power", "log2": None, "exp2": None}  # fmt: skip
FROM_ORACLE = ("erf", "erfc", "ndtr", "expit", "log_expit", "logit", "gamma", "gammaln", "digamma", "zeta", "xlogy",
               "xlog1py", "entr")  # fmt: skip


def exact(name, operands):
    """The value to many digits, rounded; NaN where mpmath has no function for it."""
    with mpmath.workdps(400):
        x = [mpmath.mpf(float(v)) for v in operands]
        formulas = {
            "log2": lambda: mpmath.log(x[0]) / mpmath.log(2), "exp2": lambda: mpmath.mpf(2) ** x[0],
            "cbrt": lambda: mpmath.sign(x[0]) * mpmath.cbrt(abs(x[0])), "log1p": lambda: mpmath.log(1 + x[0]),
            "expm1": lambda: mpmath.exp(x[0]) - 1,
            "logaddexp": lambda: max(x) + mpmath.log(1 + mpmath.exp(min(x) - max(x))),
        }  # fmt: skip
        if name in FROM_ORACLE:
            formulas[name] = lambda: ORACLE[name][0](*x)
        function = formulas.get(name) or (lambda: getattr(mpmath, MPMATH.get(name) or name)(*x))
        try:
            value = mpmath.re(function())
        except (AttributeError, ZeroDivisionError, ValueError):
            return np.nan
        return float(value)


@pytest.fixture(params=EXECUTORS)
def executor(request):
    return EXECUTORS[request.param]


ROWS = pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.name)


@ROWS
def test_values(row, executor):
    values = points(row)
    with np.errstate(all="ignore"):
        expected = np.asarray(row.function(*values)).astype(float)
    actual = in_loops(values, executor, kernel_of(row), "values")[0]
    same, finite = agree(actual, expected)
    for p, i in np.argwhere(~same).tolist():  # SciPy's own gammaln is infinite at subnormal numbers
        true = exact(row.name, values[:, i])
        assert abs(actual[p, i] - true) <= ULPS * np.spacing(abs(true)), (p, values[:, i], actual[p, i], expected[i])
    with np.errstate(all="ignore"):
        unit = np.spacing(np.abs(expected))
        for moved in CONDITIONED.get(row.name, lambda *x: ())(*values):
            unit = np.fmax(unit, np.spacing(np.abs(moved)))
        off = finite & (np.abs(actual - expected) > ULPS * unit)
    for place, i in np.argwhere(off).tolist():
        true = exact(row.name, values[:, i])
        assert abs(actual[place, i] - true) <= ULPS * unit[i], (values[:, i], actual[place, i], true)


SIGNED = [row for row in TABLE.values() if not row.boolean and row.name not in ("minimum", "maximum", "sign")]


@pytest.mark.parametrize("row", SIGNED, ids=lambda row: row.name)
def test_signs_of_zero(row, executor):
    """Zeros have NumPy's sign, as the reciprocal tells; which of two equal zeros a selection takes is free."""
    values, builder = points(row), Builder()
    inner = builder.raw((row.name, *(builder.raw(("arg", j)) for j in range(row.arity))))
    with np.errstate(all="ignore"):
        expected = 1.0 / np.asarray(row.function(*values))
    actual = in_loops(values, executor, builder.finish([builder.raw(("reciprocal", inner))]), "values")[0]
    zeros = np.broadcast_to(np.isinf(expected), actual.shape)
    np.testing.assert_array_equal(actual[zeros], np.broadcast_to(expected, actual.shape)[zeros])


@ROWS
def test_first_partials(row, executor):
    values, kernel = points(row), kernel_of(row)
    with np.errstate(all="ignore"):
        expected = kernel_values(kernel.partials, [*values], [])
        value = np.abs(np.asarray(row.function(*values)).astype(float))
    expected = np.stack([np.broadcast_to(np.asarray(p, dtype=float), values.shape[1:]) for p in expected])
    actual = in_loops(values, executor, kernel, "adjoint")
    same, finite = agree(actual, expected[:, None])
    bad = np.argwhere(~same)
    assert not len(bad), [(int(j), int(p), values[:, i], actual[j, p, i], expected[j, i]) for j, p, i in bad[:5]]
    with np.errstate(all="ignore"):
        error = np.abs(actual - expected[:, None])
        allowed = 64 * np.spacing(np.abs(expected)) + 4e-16 * np.minimum(np.nan_to_num(value), 2.0)
    if row.name == "gamma":  # SciPy's is 0 where Γ is no normal number
        allowed += 2.3e-308
    off = finite & ~(error <= allowed[:, None])
    bad = np.argwhere(off)
    assert not len(bad), [(int(j), int(p), values[:, i], actual[j, p, i], expected[j, i]) for j, p, i in bad[:5]]


def test_the_reference_is_one_of_its_own():
    """The tool itself: the reference at every place gives what NumPy gives."""
    row = TABLE["exp"]
    found = in_loops(points(row), ReferenceExecutor(), kernel_of(row), "values")[0]
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found, np.broadcast_to(np.exp(points(row)[0]), found.shape), rtol=1e-15)
