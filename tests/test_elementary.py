"""The table of elementary functions, row by row: values and derivatives against mpmath, printing, branches."""

import itertools

import mpmath
import numpy as np
import pytest
from scipy import special

import lagrange_ad as la
from lagrange_ad.elementary import TABLE, UFUNC_NAMES, Elementary, Special
from lagrange_ad.execution.reference import elementary_function, kernel_values
from lagrange_ad.expression import elementwise
from lagrange_ad.lowering.kernel import Builder, Kernel
from lagrange_ad.printing import to_latex, to_text

mpmath.mp.dps = 60

NEAR_ZERO = (-0.7, -0.1, 0.3, 0.9)
EVERYWHERE = (-3.2, -0.4, 0.6, 2.5)
POSITIVE = (0.02, 0.5, 1.7, 40.0)
PAIRS = ((0.7, -1.3), (-2.1, 0.4), (1.9, 2.2), (-0.3, -4.0))


def one(points):
    return tuple((x,) for x in points)


def logical(function):
    return lambda *operands: float(function(*(bool(x) for x in operands)))


def erf(x: mpmath.mpf) -> mpmath.mpf:
    """mpmath's own takes seconds far out, where the rest is below 1e-390."""
    return mpmath.sign(x) if abs(x) > 30 else mpmath.erf(x)


def erfc(x: mpmath.mpf) -> mpmath.mpf:
    """mpmath's own overflows far out, and near 0 at many digits."""
    return mpmath.erfc(x) if 1 < x < 30 else 1 - erf(x)


def hurwitz(s: float, q: mpmath.mpf) -> mpmath.mpf:
    """ζ(s, q) for an integer s, by its first term and a polygamma function: so poles at 0 are no trouble."""
    n = int(s)
    return q**-n + (-1) ** n * mpmath.polygamma(n - 1, q + 1) / mpmath.factorial(n - 1)


# name: (the function in mpmath, points inside the domain)
ORACLE = {
    "add": (lambda x, y: x + y, PAIRS),
    "subtract": (lambda x, y: x - y, PAIRS),
    "negative": (lambda x: -x, one(EVERYWHERE)),
    "multiply": (lambda x, y: x * y, PAIRS),
    "divide": (lambda x, y: x / y, PAIRS),
    "power": (lambda x, n: x**n, ((0.3, 2.5), (2.0, -1.5), (5.0, 0.2), (1.3, 3.0), (0.7, 0.0))),
    "square": (lambda x: x * x, one(EVERYWHERE)),
    "reciprocal": (lambda x: 1 / x, one(EVERYWHERE)),
    "exp": (mpmath.exp, one((-20.0, -0.4, 0.6, 30.0))),
    "exp2": (lambda x: mpmath.mpf(2) ** x, one(EVERYWHERE)),
    "expm1": (mpmath.expm1, one((-1.5, -1e-9, 1e-9, 3.0))),
    "log": (mpmath.log, one(POSITIVE)),
    "log1p": (mpmath.log1p, one((-0.9, -1e-9, 1e-9, 5.0))),
    "log2": (lambda x: mpmath.log(x) / mpmath.log(2), one(POSITIVE)),
    "log10": (mpmath.log10, one(POSITIVE)),
    "logaddexp": (lambda x, y: mpmath.log(mpmath.exp(x) + mpmath.exp(y)),
                  (*PAIRS, (40.0, -40.0), (-700.0, 5.0), (3.0, 1000.0), (-900.0, -900.5))),
    "sqrt": (mpmath.sqrt, one(POSITIVE)),
    "cbrt": (lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), one((-8.5, -0.2, 0.3, 27.5))),
    "sin": (mpmath.sin, one(EVERYWHERE)),
    "cos": (mpmath.cos, one(EVERYWHERE)),
    "tan": (mpmath.tan, one(NEAR_ZERO)),
    "arcsin": (mpmath.asin, one((*NEAR_ZERO, 0.999999))),
    "arccos": (mpmath.acos, one((*NEAR_ZERO, -0.999999))),
    "arctan": (mpmath.atan, one(EVERYWHERE)),
    "arctan2": (mpmath.atan2, PAIRS),
    "hypot": (lambda x, y: mpmath.sqrt(x * x + y * y), PAIRS),
    "sinh": (mpmath.sinh, one(EVERYWHERE)),
    "cosh": (mpmath.cosh, one(EVERYWHERE)),
    "tanh": (mpmath.tanh, one(EVERYWHERE)),
    "arcsinh": (mpmath.asinh, one(EVERYWHERE)),
    "arccosh": (mpmath.acosh, one((1.0001, 1.5, 4.0, 60.0))),
    "arctanh": (mpmath.atanh, one((*NEAR_ZERO, 0.9999))),
    "erf": (erf, one((*EVERYWHERE, 5.0))),
    "erfc": (erfc, one((*EVERYWHERE, 9.0))),
    "ndtr": (lambda x: erfc(-x / mpmath.sqrt(2)) / 2, one((*EVERYWHERE, -9.0))),
    "expit": (lambda x: 1 / (1 + mpmath.exp(-x)), one((*EVERYWHERE, -40.0, 40.0))),
    "log_expit": (lambda x: -mpmath.log(1 + mpmath.exp(-x)), one((*EVERYWHERE, -40.0, 30.0))),
    "logit": (lambda x: mpmath.log(x / (1 - x)), one((0.03, 0.31, 0.499, 0.6, 0.9))),
    "gamma": (lambda x: mpmath.gamma(1 + x) / x, one((0.3, 2.5, 6.0, -0.6, -2.3))),
    "gammaln": (lambda x: mpmath.re(mpmath.loggamma(1 + x)) - mpmath.log(abs(x)),
                one((0.3, 1.4, 2.5, 60.0, -0.6, -2.3))),
    "digamma": (lambda x: mpmath.digamma(1 + x) - 1 / x, one((0.3, 1.4, 2.5, 60.0, -0.6, -2.3))),
    "zeta": (hurwitz, ((2.0, 0.3), (2.0, 14.0), (3.0, 1.4), (4.0, 2.5), (2.0, -0.6), (3.0, -2.3), (7.0, 0.9))),
    "xlogy": (lambda x, y: x * mpmath.log(y), ((0.7, 1.3), (-2.1, 0.4), (1.9, 2.2), (0.0, 2.0))),
    "xlog1py": (lambda x, y: x * mpmath.log(1 + y), ((0.7, -0.3), (-2.1, 1e-9), (1.9, 2.2), (0.0, 2.0))),
    "entr": (lambda x: -x * mpmath.log(x), one((1e-9, 0.3, 0.9, 4.0))),
    "absolute": (abs, one(EVERYWHERE)),
    "sign": (mpmath.sign, one(EVERYWHERE)),
    "rint": (mpmath.nint, one((-3.2, -0.4, 0.6, 2.4))),
    "minimum": (min, PAIRS),
    "maximum": (max, PAIRS),
    "where": (lambda c, x, y: x if c else y, ((1.0, 2.0, 3.0), (0.0, 2.0, 3.0))),
    "less": (lambda x, y: float(x < y), (*PAIRS, (1.0, 1.0))),
    "less_equal": (lambda x, y: float(x <= y), (*PAIRS, (1.0, 1.0))),
    "greater": (lambda x, y: float(x > y), (*PAIRS, (1.0, 1.0))),
    "greater_equal": (lambda x, y: float(x >= y), (*PAIRS, (1.0, 1.0))),
    "equal": (lambda x, y: float(x == y), (*PAIRS, (1.0, 1.0))),
    "not_equal": (lambda x, y: float(x != y), (*PAIRS, (1.0, 1.0))),
    "logical_and": (logical(lambda x, y: x and y), tuple(itertools.product((0.0, 1.0), repeat=2))),
    "logical_or": (logical(lambda x, y: x or y), tuple(itertools.product((0.0, 1.0), repeat=2))),
    "logical_not": (logical(lambda x: not x), one((0.0, 1.0))),
}  # fmt: skip

ROWS = [pytest.param(row, point, id=f"{row.name}{point}") for row in TABLE.values() for point in ORACLE[row.name][1]]
SMOOTH = [case for case in ROWS if not case.values[0].boolean and case.values[0].name != "where"]


def derivative(name: str, point: tuple[float, ...], order: tuple[int, ...]) -> float:
    """A (mixed) derivative by differences of 60 digits; in operands that are fixed numbers it is 0."""
    if any(order[: TABLE[name].fixed]):
        return 0.0
    fixed, point = point[: TABLE[name].fixed], point[TABLE[name].fixed :]
    order = order[len(fixed) :]

    def function(*operands: mpmath.mpf) -> mpmath.mpf:
        return ORACLE[name][0](*fixed, *operands)

    return float(mpmath.re(mpmath.diff(function, [mpmath.mpf(x) for x in point], order)))


def kernel_of(name: str, arity: int) -> Kernel:
    builder = Builder()
    return builder.finish([builder.raw((name, *(builder.raw(("arg", j)) for j in range(arity))))])


def evaluated(kernel: Kernel, *args: float) -> list[float]:
    with np.errstate(all="ignore"):
        return [float(value) for value in kernel_values(kernel, [np.float64(x) for x in args], [])]


def gradient_of(kernel: Kernel, *args: float) -> list[float]:
    return evaluated(kernel.partials, *args)


def hessian_of(kernel: Kernel, *args: float) -> np.ndarray:
    second, pairs = kernel.second_partials
    hessian = np.zeros((kernel.n_args, kernel.n_args))
    for (i, j), value in zip(pairs, evaluated(second, *args), strict=True):
        assert i >= j
        hessian[i, j] = hessian[j, i] = value
    return hessian


def test_every_row_has_an_oracle() -> None:
    assert set(ORACLE) == set(TABLE)


@pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.name)
def test_the_row_is_what_it_says(row: Elementary) -> None:
    if isinstance(row.function, Special):
        loaded, function = row.function.loaded, getattr(special, row.name)
        assert loaded is function and row.spelling == f"scipy.special.{row.name}"
        assert row.name == "zeta" or (loaded.nin == row.arity and UFUNC_NAMES.get(loaded.__name__) in (None, row.name))
    else:
        assert row.function is getattr(np, row.name) and row.spelling == f"np.{row.name}"
        assert row.function is np.where or row.function.nin == row.arity
    assert all(len(point) == row.arity for point in ORACLE[row.name][1])


@pytest.mark.parametrize("row, point", ROWS)
def test_value(row: Elementary, point: tuple[float, ...]) -> None:
    expected = float(ORACLE[row.name][0](*(mpmath.mpf(x) for x in point)))
    assert float(row.function(*point)) == pytest.approx(expected, rel=1e-14, abs=0)
    assert evaluated(kernel_of(row.name, row.arity), *point) == [float(row.function(*point))]


@pytest.mark.parametrize("row, point", SMOOTH)
def test_first_derivatives_of_the_rule_and_of_the_kernel(row: Elementary, point: tuple[float, ...]) -> None:
    rule = row.partials(*point, row.function(*point))
    kernel = gradient_of(kernel_of(row.name, row.arity), *point)
    for j in range(row.arity):
        expected = derivative(row.name, point, tuple(int(i == j) for i in range(row.arity)))
        assert float(rule[j]) == pytest.approx(expected, rel=1e-13, abs=1e-300)
        assert kernel[j] == pytest.approx(expected, rel=1e-13, abs=1e-300)


@pytest.mark.parametrize("row, point", SMOOTH)
def test_second_derivatives_of_the_kernel(row: Elementary, point: tuple[float, ...]) -> None:
    hessian = hessian_of(kernel_of(row.name, row.arity), *point)
    scale = 1e-15 * max(1.0, np.abs(hessian).max())
    for i, j in itertools.combinations_with_replacement(range(row.fixed, row.arity), 2):
        order = tuple((k == i) + (k == j) for k in range(row.arity))
        assert hessian[i, j] == pytest.approx(derivative(row.name, point, order), rel=1e-11, abs=scale)


@pytest.mark.parametrize("row, point", SMOOTH)
def test_the_complex_step_gives_the_derivative(row: Elementary, point: tuple[float, ...]) -> None:
    step = 1e-30
    for j in range(row.arity):
        moved = [np.complex128(x + 1j * step * (i == j)) for i, x in enumerate(point)]
        with np.errstate(all="ignore"):
            value = elementary_function(row.name, moved)(*moved)
        expected = derivative(row.name, point, tuple(int(i == j) for i in range(row.arity)))
        assert float(np.real(value)) == pytest.approx(float(row.function(*point)), rel=1e-13, abs=1e-15)
        assert float(np.imag(value)) / step == pytest.approx(expected, rel=1e-11, abs=1e-15)


@pytest.mark.parametrize("exponent", [-3.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
@pytest.mark.parametrize("base", [-2.5, -1.0, 0.7])
def test_integer_powers_of_any_base(base: float, exponent: float) -> None:
    builder = Builder()
    kernel = builder.finish([builder.make("power", builder.raw(("arg", 0)), builder.const(exponent))])
    assert evaluated(kernel, base) == pytest.approx([base**exponent], rel=1e-15)
    assert (gradient_of(kernel, base) or [0.0]) == pytest.approx([exponent * base ** (exponent - 1)], rel=1e-14)
    second = hessian_of(kernel, base).sum()
    assert second == pytest.approx(exponent * (exponent - 1) * base ** (exponent - 2), rel=1e-14)
    moved = np.complex128(base + 1e-30j)
    slope = exponent * base ** (exponent - 1)
    assert np.imag(np.power(moved, exponent)) / 1e-30 == pytest.approx(slope, rel=1e-13)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 2.5, 3.0, 4.0, 7.0])
def test_powers_at_zero_have_derivatives_that_are_numbers(exponent: float) -> None:
    builder = Builder()
    x, n = builder.raw(("arg", 0)), builder.raw(("coef", 0))
    kernel = builder.finish([builder.raw(("power", x, n))])
    with np.errstate(all="ignore"):
        value, = kernel_values(kernel.partials, [np.float64(0.0)], [exponent])
        second, _ = kernel.second_partials
        curvature, = kernel_values(second, [np.float64(0.0)], [exponent])
    assert value == (1.0 if exponent == 1.0 else 0.0)
    assert curvature == (2.0 if exponent == 2.0 else 0.0)


# scipy.special -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["psi", *(row.name for row in TABLE.values() if isinstance(row.function, Special))])
def test_functions_of_scipy_special_build_expressions(name: str) -> None:
    p = la.Program()
    x, u = p.input("x", np.array([0.3, 0.7])), p.input("u", 0.4)
    function, row = getattr(special, name), TABLE[UFUNC_NAMES.get(name, name)]
    operands = (2.0, x) if row.fixed else (x, u)[: row.arity]
    node = function(*operands)
    assert node.op == row.name and node.shape == (2,)
    values = [p.symbols[v.data.name].value if hasattr(v, "data") else v for v in operands]
    np.testing.assert_allclose(p.evaluate()[node], function(*values), rtol=1e-14)


def test_softplus_of_scipy_is_logaddexp() -> None:
    x = la.Program().input("x", 1.0)
    assert to_text(special.softplus(x)) == "logaddexp(0, x)"


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda x: special.erfinv(x), r"^scipy\.special\.erfinv is not .* near names: scipy\.special\.erf\."),
        (lambda x: special.log_ndtr(x), r"^scipy\.special\.log_ndtr is not .* near names: .*scipy\.special\.ndtr"),
        (lambda x: special.zeta(x, 2.0), r"^scipy\.special\.zeta: the first operand must be a number, got x"),
        (lambda x: special.erf(x, out=np.zeros(())), r"^scipy\.special\.erf with out="),
        (lambda x: np.sinc(x), r"^np\.sinc is not supported on expressions; near names: np\.sin"),
        (lambda x: special.hyp2f1(1.0, 2.0, 3.0, x), r"^scipy\.special\.hyp2f1 is not supported on expressions\. Supp"),
    ],
)
def test_what_is_not_supported_says_so_in_short(build, message: str) -> None:
    with pytest.raises(la.ExpressionTypeError, match=message) as error:
        build(la.Program().input("x", 0.5))
    assert len(str(error.value)) < 300


def test_the_tails_of_the_normal_and_the_logistic_keep_their_digits() -> None:
    """Gradients far out are small, not 0."""
    p = la.Program()
    x = p.input("x", np.array([40.0, -40.0]))
    p.minimize(np.sum(special.expit(x)) + special.ndtr(x[1] * 0.2) + 3 * np.logaddexp(0.0, -x[0]))
    small = np.exp(-40.0)
    expected = [small - 3 * small, small + 0.2 * np.exp(-32.0) / np.sqrt(2 * np.pi)]
    np.testing.assert_allclose(p.evaluate().gradient["x"], expected, rtol=1e-13)


# branches ----------------------------------------------------------------------------------------------------


def branch_kernel(build) -> tuple[Kernel, list[float]]:
    """The kernel of an expression of one input x, with its coefficients."""
    p = la.Program()
    x = p.input("x", 1.0)
    p.define("v", build(x))
    (group,) = p.schedule.lowered.groups
    assert not group.coefs or all(np.ndim(c) == 0 or c.size == 1 for c in group.coefs)
    return group.kernel, [np.float64(np.ravel(c)[0]) for c in group.coefs]


BRANCHES = {
    "sqrt": (lambda x: np.where(x > 0, np.sqrt(x), 0.0), 0.0, 0.0),
    "log": (lambda x: np.where(x > 0, np.log(x), x), 1.0, 0.0),
    "reciprocal": (lambda x: np.where(x > 0, 1 / x, 2 * x), 2.0, 0.0),
    "x log x": (lambda x: np.where(x > 0, x * np.log(x), 0.0), 0.0, 0.0),
    "power": (lambda x: np.where(x > 0, x**1.5, x**2), None, 2.0),
    "nested": (lambda x: np.where(x > 0, np.where(x > 1, np.sqrt(x - 1), np.log(x)), x), 1.0, 0.0),
    "scaled": (lambda x: 3 * np.where(x > 0, np.sqrt(x), x) * np.exp(-x), None, None),
    "minimum": (lambda x: np.minimum(x, np.where(x > 0, np.log(x), 1.0)), 1.0, 0.0),
    "maximum": (lambda x: np.maximum(x, np.where(x > 0, 1 / x, -5.0)), 1.0, 0.0),
    "minimum of infinite slopes": (lambda x: np.minimum(x, np.cbrt(abs(x)) + 1), 1.0, 0.0),
    "absolute": (lambda x: np.where(x > 0, np.sqrt(abs(x)), x), 1.0, 0.0),
}


@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.parametrize("x", [0.0, -1.0])
def test_the_branch_not_taken_leaves_no_nan(name: str, x: float) -> None:
    build, slope, curvature = BRANCHES[name]
    kernel, coefs = branch_kernel(build)
    with np.errstate(all="ignore"):
        (first,) = kernel_values(kernel.partials, [np.float64(x)], coefs)
        second = kernel_values(kernel.second_partials[0], [np.float64(x)], coefs)
    assert np.isfinite(first) and np.isfinite(second).all()
    if slope is not None:
        assert first == slope
    if curvature is not None:
        assert float(np.sum(second)) == curvature


@pytest.mark.parametrize("x", [0.0, -1.0])
def test_the_branch_not_taken_leaves_no_nan_in_a_gradient(x: float) -> None:
    p = la.Program()
    v = p.input("v", np.array([x, 2.0]))
    y = p.define("y", np.where(v > 0, np.sqrt(v), 0.0))
    p.minimize(np.sum(y))
    at = p.evaluate()
    np.testing.assert_array_equal(at["y"], [0.0, np.sqrt(2.0)])
    np.testing.assert_allclose(at.gradient["v"], [0.0, 0.5 / np.sqrt(2.0)], rtol=1e-15)


@pytest.mark.parametrize("name, expected", [("minimum", (1.0, 0.0)), ("maximum", (1.0, 0.0))])
def test_at_a_tie_the_first_operand_is_taken(name: str, expected: tuple[float, float]) -> None:
    assert tuple(gradient_of(kernel_of(name, 2), 1.5, 1.5)) == expected
    assert tuple(float(x) for x in TABLE[name].partials(1.5, 1.5, 1.5)) == expected
    moved = TABLE[name].analytic(np.complex128(1.5 + 1e-30j), np.complex128(1.5))
    assert moved.imag == 1e-30


def test_the_slope_of_abs_at_zero_is_one() -> None:
    assert gradient_of(kernel_of("absolute", 1), 0.0) == [1.0]
    assert TABLE["absolute"].analytic(np.complex128(1e-30j)) == 1e-30j


# printing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.name)
def test_every_row_prints(row: Elementary) -> None:
    p = la.Program()
    x, y, c = p.input("x", 1.0), p.input("y", 2.0), p.input("c", 0.0)
    operands = {1: (x,), 2: (x, y), 3: (c > 0, x, y)}[row.arity]
    operands = (2.0, x) if row.fixed else operands
    if row.name.startswith("logical"):
        operands = tuple(operand > 0 for operand in operands)
    node = elementwise(row.name, *operands)
    text, latex = to_text(node), to_latex(node)
    assert "x" in text and "x" in latex
    assert (row.symbol or {"absolute": "abs(", "square": "**2"}.get(row.name, row.name)) in text
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\left") - latex.count(r"\leftarrow") == latex.count(r"\right")


@pytest.mark.parametrize(
    "build, text",
    [
        (lambda x, y: (x + y) * x, "(x + y)*x"),
        (lambda x, y: x - (y - x), "x - (y - x)"),
        (lambda x, y: x - y - x, "x - y - x"),
        (lambda x, y: x / (y / x), "x/(y/x)"),
        (lambda x, y: x / (y * x), "x/(y*x)"),
        (lambda x, y: x * (y / x), "x*y/x"),
        (lambda x, y: -(x + y), "-(x + y)"),
        (lambda x, y: -x * y, "(-x)*y"),
        (lambda x, y: (-x) ** 2, "(-x)**2"),
        (lambda x, y: -(x**2), "-x**2"),
        (lambda x, y: (x**y) ** x, "(x**y)**x"),
        (lambda x, y: x ** (y**x), "x**y**x"),
        (lambda x, y: x ** (-y), "x**(-y)"),
        (lambda x, y: 2 ** (x + 1), "2**(x + 1)"),
        (lambda x, y: (-2.0) ** (0 * x), "(-2)**(0*x)"),
        (lambda x, y: np.square(x + y), "(x + y)**2"),
        (lambda x, y: np.square(x**3), "(x**3)**2"),
        (lambda x, y: x**2**2, "x**4"),
        (lambda x, y: x - -y, "x - (-y)"),
        (lambda x, y: x + -1.0, "x + -1"),
        (lambda x, y: x - -1.0, "x - (-1)"),
        (lambda x, y: np.square(x) ** 3, "(x**2)**3"),
        (lambda x, y: (x > 0) & (y > 0), "(x > 0) & (y > 0)"),
        (lambda x, y: (x + 1 > 0) | ~(y > 0), "(x + 1 > 0) | logical_not(y > 0)"),
        (lambda x, y: (x + y) <= (x - y), "x + y <= x - y"),
        (lambda x, y: np.where(x > 0, x, -y), "where(x > 0, x, -y)"),
        (lambda x, y: abs(x), "abs(x)"),
    ],
)
def test_what_is_printed_means_the_same(build, text: str) -> None:
    p = la.Program()
    x, y = p.input("x", 1.3), p.input("y", 0.4)
    node = build(x, y)
    printed = to_text(node)
    assert printed.replace(" * ", "*").replace(" / ", "/") == text
    functions = {"x": 1.3, "y": 0.4, "where": np.where, "abs": abs, "logical_not": np.logical_not}
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(eval(printed, functions), p.evaluate()[node], rtol=1e-15)


@pytest.mark.parametrize(
    "build, latex",
    [
        (lambda x, y: (x / y) ** 2, r"\left(\frac{x}{y}\right)^{2}"),
        (lambda x, y: np.square(x**3), r"\left(x^{3}\right)^{2}"),
        (lambda x, y: np.exp(x) ** 3, r"\left(e^{x}\right)^{3}"),
        (lambda x, y: (-x) ** 3, r"\left(-x\right)^{3}"),
        (lambda x, y: (x > 0) & (y > 0), r"\left(x > 0\right) \wedge \left(y > 0\right)"),
        (lambda x, y: 1e-15 * x, r"1 \cdot 10^{-15} \cdot x"),
        (lambda x, y: (x + y) * x / (x - y), r"\frac{\left(x + y\right) \cdot x}{x - y}"),
        (lambda x, y: np.sqrt(x) - (x - y), r"\sqrt{x} - \left(x - y\right)"),
        (lambda x, y: np.arctan2(x, y), r"\operatorname{arctan2}\left(x, y\right)"),
    ],
)
def test_latex_is_unambiguous(build, latex: str) -> None:
    p = la.Program()
    assert to_latex(build(p.input("x", 1.0), p.input("y", 2.0))) == latex


def test_long_expressions_are_cut() -> None:
    p = la.Program()
    total = x = p.input("x", 1.0)
    for _ in range(2000):
        total = np.sin(total) + x
    for write in (to_text, to_latex):
        assert len(write(total, limit=100)) < 200
    assert to_text(total, limit=100).endswith("…")
