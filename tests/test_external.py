"""User functions and tables as equations: against closed forms, differences and SciPy, in and out of cycles."""

import importlib
import math
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special
from scipy.interpolate import CubicSpline, PchipInterpolator

import lagrange_ad as la

EXECUTORS = ("native", "reference")


def fun(x: Any, s: Any) -> Any:
    return np.stack([np.sin(x[0]) * s, x[1] ** 2 + s, x[0] * x[1]])


def jacobian(x: Any, s: Any) -> Any:
    by_x = np.array([[np.cos(x[0]) * s, 0.0], [0.0, 2 * x[1]], [x[1], x[0]]])
    return by_x, np.array([np.sin(x[0]), 1.0, 0.0])


def hessian(x: Any, s: Any) -> Any:
    xx = np.zeros((3, 2, 2))
    xx[0, 0, 0], xx[1, 1, 1], xx[2, 0, 1], xx[2, 1, 0] = -np.sin(x[0]) * s, 2.0, 1.0, 1.0
    xs = np.zeros((3, 2))
    xs[0, 0] = np.cos(x[0])
    return (xx, xs), (xs, np.zeros(3))


WAYS = {
    "given": la.external(fun, jacobian, hessian=hessian, shape=3),
    "jacobian": la.external(fun, jacobian, shape=(3,)),
    "complex": la.external(fun, shape=(3,), method="complex"),
    "auto": la.external(fun, shape=[3]),
    "differences": la.external(fun, shape=(3,), method="differences"),
}
FIRST = {"differences": 1e-9}
SECOND = {"given": 1e-13, "differences": 2e-6}


def model(call: Callable[..., Any], executor: str) -> la.Program:
    """Calls inside expressions, of a variable, of a constant, of a part of an array, one of the other."""
    p = la.Program("black box", executor=executor)
    x, s = p.input("x", [0.3, 0.7]), p.input("s", 1.2)
    u = p.define("u", call(x, s))
    v = p.define("v", np.exp(-u[0]) * u[1] + np.sum(call(u[1:] * s, 2.0) ** 2))
    p.minimize(v + np.sum(call([0.1, 0.2], s)) * x[0])
    return p


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_equation_it_stands_for(way: str, executor: str) -> None:
    plain, boxed = model(fun, "reference"), model(WAYS[way], executor)
    expected, at = plain.evaluate(), boxed.evaluate()
    assert at.objective == pytest.approx(expected.objective, rel=1e-14)
    for name in ("x", "s"):
        np.testing.assert_allclose(at.gradient[name], expected.gradient[name], rtol=FIRST.get(way, 1e-13))
    for name in ("u", "v"):
        np.testing.assert_allclose(at.multiplier[name], expected.multiplier[name], rtol=FIRST.get(way, 1e-13))
    direction = {"x": [1.0, -2.0], "s": 0.5}
    np.testing.assert_allclose(at.tangent(direction)["v"], expected.tangent(direction)["v"], rtol=FIRST.get(way, 1e-13))


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("way", WAYS)
def test_second_derivatives(way: str, executor: str) -> None:
    def hessian_of(call: Callable[..., Any], executor: str) -> Any:
        p = la.Program("second", executor=executor)
        x, s = p.input("x", [0.3, 0.7]), p.input("s", 1.2)
        p.minimize(np.sum(call(x, s) * np.array([1.0, -2.0, 3.0])))
        view = p.reduced()
        x0, h = view.x0, 1e-5
        return p.evaluate(), [(view.gradient(x0 + h * e) - view.gradient(x0 - h * e)) / (2 * h) for e in np.eye(3)]

    at, differences = hessian_of(WAYS[way], executor)
    plan = at._plan
    lam = np.zeros(plan.lowered.n_all_rows)
    lam[: plan.lowered.n_rows] = at.adjoints[0][: plan.lowered.n_rows]
    lam[plan.lowered.objective_row] = 1.0
    i, j = plan.everything.hessian_pattern()
    dense = np.zeros((at.state.size, at.state.size))
    np.add.at(dense, (i, j), plan.everything.hessian(at.state, lam))
    dense = dense + np.tril(dense, -1).T
    np.testing.assert_allclose(dense[:3, :3], differences, atol=max(SECOND.get(way, 1e-9), 1e-8))
    w, dz = np.zeros(at.state.size), np.zeros(at.state.size)
    dz[:3] = [1.0, -1.0, 2.0]
    plan.everything.hessian_product(at.state, dz, lam, w)
    np.testing.assert_allclose(w[:3], dense[:3, :3] @ dz[:3], rtol=1e-9)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("way", WAYS)
def test_it_takes_part_in_cycles(way: str, executor: str) -> None:
    def coupled(call: Callable[..., Any], executor: str) -> la.Program:
        p = la.Program("cycle", executor=executor)
        x = p.input("x", 0.5)
        y = p.variable("y", 2, start=1.0)
        z = p.variable("z", start=0.3)
        p.equate(y, 0.3 * call(y, x)[:2] + 0.3)
        p.equate(call(y, z)[0], 0.1 + x * z, name="hidden")
        p.minimize(np.sum(y**2) + z)
        return p

    expected, at = coupled(fun, "reference").evaluate(), coupled(WAYS[way], executor).evaluate()
    np.testing.assert_allclose(at["y"], expected["y"], rtol=1e-12)
    np.testing.assert_allclose(at["z"], expected["z"], rtol=1e-12)
    assert at.gradient["x"] == pytest.approx(expected.gradient["x"], rel=FIRST.get(way, 1e-11))
    assert at.multiplier["hidden"] == pytest.approx(expected.multiplier["hidden"], rel=FIRST.get(way, 1e-11))


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_recurrence_of_calls(executor: str) -> None:
    p = la.Program("steps", executor=executor)
    rate = p.input("rate", 0.7)
    z = p.variable("z", 200)
    step = la.external(lambda t, r: np.stack([t + 0.01 * r * np.tanh(t), t * r]), shape=2)
    p.equate(z[0], rate)
    for k in range(1, 200):
        p.equate(z[k], step(z[k - 1], rate)[0])
    p.maximize(z[-1])
    value, slope = 0.7, 1.0
    for _ in range(199):
        slope = slope * (1 + 0.007 / math.cosh(value) ** 2) + 0.01 * math.tanh(value)
        value += 0.007 * math.tanh(value)
    at = p.evaluate()
    assert at.objective == pytest.approx(value, rel=1e-13)
    assert at.gradient["rate"] == pytest.approx(slope, rel=1e-12)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_elementwise_functions_broadcast_and_are_called_once(executor: str) -> None:
    calls: list[tuple[int, ...]] = []

    def power(base: Any, exponent: Any) -> Any:
        calls.append(np.shape(base))
        return base**exponent

    f = la.external(power, lambda b, e: (e * b ** (e - 1), np.log(b) * b**e), elementwise=True)
    p = la.Program("wide", executor=executor)
    base, exponent = p.input("base", np.linspace(0.5, 2, 400).reshape(400, 1)), p.input("exponent", [1.5, 2.5])
    y = p.define("y", f(base, exponent) + f(base, 3.0))
    p.minimize(np.sum(y**2))
    at = p.evaluate()
    b, e = at["base"], at["exponent"]
    np.testing.assert_allclose(at["y"], b**e + b**3, rtol=1e-14)
    slope = 2 * at["y"] * (e * b ** (e - 1) + 3 * b**2)
    np.testing.assert_allclose(at.gradient["base"], slope.sum(axis=1, keepdims=True), rtol=1e-12)
    assert len(calls) == 2


@pytest.mark.parametrize("executor", EXECUTORS)
def test_arguments_may_coincide(executor: str) -> None:
    """f(x, y) = x²y at (u, u), at (u_0, u_0) and at overlapping parts."""
    product = la.external(lambda x, y: np.sum(x**2 * y), lambda x, y: (2 * x * y, x**2))
    each = la.external(lambda x, y: x**2 * y, elementwise=True)
    p = la.Program("coincide", executor=executor)
    u = p.input("u", [1.0, 2.0, 3.0])
    p.minimize(product(u, u) + product(u[:2], u[1:]) + each(u[0], u[0]) + np.sum(each(u, u)))
    at = p.evaluate()
    assert at.objective == 36 + (2 + 12) + 1 + 36
    expected = 6 * np.array([1.0, 4.0, 9.0]) + [4 + 3, 1 + 12, 4]
    np.testing.assert_allclose(at.gradient["u"], expected, rtol=1e-13)


def test_equal_points_are_computed_once() -> None:
    calls = []

    def expensive(x: Any) -> Any:
        calls.append(x)
        return np.array([x**2, x**3])

    f = la.external(expensive, lambda x: np.array([2 * x, 3 * x**2]), shape=2)
    p = la.Program("once")
    x = p.input("x", 2.0)
    p.minimize(np.sum(p.define("y", f(x))))
    at = p.evaluate()
    assert at.gradient["x"] == 16.0 and p.evaluate().objective == 12.0
    assert calls == [2.0]


def test_a_function_that_is_not_analytic_is_differentiated_by_differences() -> None:
    modulus = la.external(lambda x: np.abs(x) ** 3)  # on complex numbers: not the derivative
    real = la.external(lambda x: math.exp(x))  # refuses complex numbers
    cast = la.external(lambda x: float(np.real(x)) ** 2)  # forgets the imaginary part
    p = la.Program("auto")
    x = p.input("x", -1.3)
    p.minimize(modulus(x) + real(x) + cast(x))
    expected = -3 * 1.3**2 + math.exp(-1.3) - 2.6
    assert p.evaluate().gradient["x"] == pytest.approx(expected, rel=1e-9)
    p = la.Program("forced")
    p.minimize(la.external(lambda x: math.fabs(x), method="differences")(p.input("x", -1.3)))
    assert p.evaluate().gradient["x"] == pytest.approx(-1.0, rel=1e-10)
    p = la.Program("not complex")
    p.minimize(la.external(lambda x: np.real(x), method="complex")(p.input("x", -1.3)))
    with pytest.raises(la.DeclarationError, match=r'complex steps cannot differentiate it: give jacobian=, or method='):
        p.evaluate().gradient["x"]


@pytest.mark.parametrize("elementwise", [False, True])
def test_a_function_may_be_analytic_in_some_of_its_arguments_only(elementwise: bool) -> None:
    f = la.external(lambda a, b: a * np.abs(b), elementwise=elementwise)  # on complex b: not the derivative
    p = la.Program("in part")
    a, b = p.input("a", 2.0), p.input("b", -3.0)
    p.minimize(f(a, b))
    gradient = p.evaluate().gradient
    assert gradient["a"] == pytest.approx(3.0, rel=1e-9) and gradient["b"] == pytest.approx(-2.0, rel=1e-9)
    g = la.external(lambda x: x[0] * np.abs(x[1]))
    p = la.Program("one argument")
    p.minimize(g(p.input("x", [2.0, -3.0])))
    np.testing.assert_allclose(p.evaluate().gradient["x"], [3.0, -2.0], rtol=1e-9)


def test_a_first_point_outside_the_domain_says_nothing_of_complex_numbers() -> None:
    f = la.external(lambda x: np.where(np.real(x) > 0.0, np.exp(x), np.nan))
    f.jacobian_at([np.array(-1.0)])
    assert f.jacobian_at([np.array(1.0)])[0, 0] == pytest.approx(math.e, rel=1e-15)  # differences have ten digits


@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_same_numbers_in_other_shapes_are_another_point(executor: str) -> None:
    f = la.external(lambda a, b: np.sum(a) - np.sum(b))
    g = la.external(lambda m: m[0, -1] ** 2)
    p = la.Program("shapes", executor=executor)
    x = p.input("x", np.arange(1.0, 7.0))
    p.define("early", f(x[:2], x[2:]))
    p.define("late", f(x[:3], x[3:]))
    p.minimize(g(x.reshape(2, 3)) + g(x.reshape(3, 2)))
    at = p.evaluate()
    assert (at["early"], at["late"], at.objective) == (3.0 - 18.0, 6.0 - 15.0, 9.0 + 4.0)
    np.testing.assert_allclose(at.gradient["x"], [0.0, 4.0, 6.0, 0.0, 0.0, 0.0], rtol=1e-13, atol=1e-13)


def test_what_is_remembered_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("lagrange_ad.external"), "MOST_NUMBERS", 1000)
    calls = []

    def squares(x: Any) -> Any:
        calls.append(float(x[0]))
        return x**2

    f = la.external(squares, lambda x: np.diag(2 * x), shape=300)
    points = [np.full(300, float(k)) for k in range(4)]
    for x in points:
        np.testing.assert_array_equal(f.values([x]), x**2)
    f.values([points[3]])
    assert calls == [0.0, 1.0, 2.0, 3.0]  # the last three fit, so the last is known
    f.values([points[0]])
    assert calls[4:] == [0.0]
    for x in points:  # one Jacobian alone is more than the limit: the last two things are kept
        np.testing.assert_array_equal(f.jacobian_at([x]), np.diag(2 * x))
    assert f.jacobian_at([points[3]]) is f.jacobian_at([points[3]])


def test_a_difference_at_the_edge_of_the_domain_is_one_sided() -> None:
    root = la.external(lambda x: np.where(x < 1.0, np.nan, x**1.5), method="differences")
    p = la.Program("edge")
    p.minimize(root(p.input("x", 1.0)))
    assert p.evaluate().gradient["x"] == pytest.approx(1.5, rel=1e-4)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_what_a_function_raises_goes_on_with_the_names(executor: str) -> None:
    def broken(x: Any) -> Any:
        if x > 1:
            raise ZeroDivisionError("inside")
        return x

    p = la.Program("raises", executor=executor)
    x = p.input("x", 0.5)
    y = p.define("y", la.external(broken, name="broken")(x) + 1)
    p.minimize(y)
    with pytest.raises(ZeroDivisionError, match="inside") as caught:
        p.evaluate(x=2.0)
    assert caught.value.__notes__ == [
        "raised by the external function 'broken', called with 2.", "while computing y"]
    assert p.evaluate().objective == 1.5  # nothing is lost


@pytest.mark.parametrize(
    ("declare", "error", "message"),
    [
        (lambda x: la.external(3)(x), la.DeclarationError, "fun must be a function, got 3"),
        (lambda x: la.external(fun, 3), la.DeclarationError, "jacobian= must be a function"),
        (lambda x: la.external(fun, hessian=fun), la.DeclarationError, "hessian= needs jacobian="),
        (lambda x: la.external(fun, method="exact"), la.DeclarationError, "method= is one of 'auto'"),
        (lambda x: la.external(fun, shape=1.5), la.ShapeError, "shape= must be a tuple of integers"),
        (lambda x: la.external(fun, shape=-1), la.ShapeError, "negative size"),
        (lambda x: la.external(fun)(), la.DeclarationError, "without an argument"),
        (lambda x: la.external(fun)(3.0), la.DeclarationError, "with numbers only: call the function itself"),
        (lambda x: la.external(fun)(x > 0), la.DeclarationError, "takes numbers, got the condition"),
        (lambda x: la.external(fun, elementwise=True)(x, [1.0, 2.0, 3.0]), la.ShapeError, "do not broadcast"),
        (lambda x: la.external(lambda x: x)(x), la.ShapeError,
         r"returned f of shape \(2,\), expected \(\); external\(..., shape=\(2,\)\) declares it so"),
        (lambda x: la.external(lambda x: np.sum(x), elementwise=True)(x)[0], la.ShapeError, "one number an element"),
        (lambda x: la.external(lambda x: "no")(x), la.DeclarationError, "expected real numbers"),
        (lambda x: la.external(lambda x: [[1.0], [2.0, 3.0]])(x), la.ShapeError, "what is no array"),
        (lambda x: la.external(lambda x: 1j)(x), la.DeclarationError, "expected real numbers"),
        (lambda x: la.external(lambda x: np.sum(x), lambda x: 1.0)(x), la.ShapeError,
         r"jacobian=\) returned ∂f/∂\(argument 1\) of shape \(\), expected \(2,\)"),
        (lambda x: la.external(lambda x, y: 0.0, lambda x, y: x)(x, x), la.ShapeError, "must return a tuple of 2"),
    ],
)
def test_mistakes(declare: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    p = la.Program("mistakes")
    x = p.input("x", [1.0, 2.0])
    with pytest.raises(error, match=message):
        p.minimize(declare(x))
        p.evaluate().gradient["x"]


def test_nan_says_that_a_point_is_outside_the_domain() -> None:
    p = la.Program("nan")
    x = p.input("x", [1.0, -2.0])
    p.define("y", 1 + la.external(lambda x: np.sqrt(x), elementwise=True, name="root")(x))
    message = r"'y\[1\]'.*root\(x\) has no finite value at index \(1,\): x = -2; the function itself gave that"
    with pytest.raises(la.DomainError, match=message):
        p.evaluate()


def test_programs_with_module_level_functions_pickle() -> None:
    p = model(WAYS["jacobian"], "native")
    expected = p.evaluate()
    again = pickle.loads(pickle.dumps(p)).evaluate()
    assert again.objective == expected.objective
    np.testing.assert_array_equal(again.gradient["x"], expected.gradient["x"])


def test_threads_share_a_function() -> None:
    p = model(la.external(fun, shape=3), "native")
    expected = [p.evaluate(s=s).gradient["s"] for s in np.linspace(1, 2, 20)]
    found: dict[int, list[float]] = {}

    def work(number: int) -> None:
        found[number] = [p.evaluate(s=s).gradient["s"] for s in np.linspace(1, 2, 20)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(4)] == [expected] * 4


def test_it_prints_by_its_name() -> None:
    p = la.Program("names")
    x = p.input("x", 1.0)
    price = la.external(lambda x, y: x * y, name="price")
    p.define("y", 2 * price(x, 3.0))
    assert str(p.equations[0]) == "y = 2 * price(x, 3)"
    assert r"\operatorname{price}" in p.lagrangian._repr_latex_()


# tables ----------------------------------------------------------------------------------------------------

X, Y = np.array([0.0, 0.4, 1.0, 1.7, 2.0, 3.1]), np.array([1.0, 1.6, 1.5, 0.2, 0.1, 0.0])


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("kind", ["cubic", "natural", "periodic", "monotone", "akima", "linear"])
@pytest.mark.parametrize("outside", ["constant", "linear", "extend"])
def test_tables_have_exact_derivatives(kind: str, outside: str, executor: str) -> None:
    values = Y if kind != "periodic" else np.append(Y[:-1], Y[0])
    f = la.interpolate(X, values, kind, outside=outside)
    np.testing.assert_allclose(f(X), values, atol=1e-14)
    p = la.Program("table", executor=executor)
    v = p.input("v", [-0.5, 0.2, 0.9, 1.65, 2.5, 3.0, 3.6])
    y = p.define("y", f(v))
    p.minimize(np.sum(y**2))
    at = p.evaluate()
    h = 1e-6
    slope = (f(at["v"] + h) - f(at["v"] - h)) / (2 * h)
    np.testing.assert_allclose(at.gradient["v"], 2 * at["y"] * slope, atol=1e-8)
    np.testing.assert_allclose([float(f.second_slopes([x])[0][0]) for x in at["v"]],
                               (f(at["v"] + 1e-4) - 2 * f(at["v"]) + f(at["v"] - 1e-4)) / 1e-8, atol=1e-5)


def test_tables_are_scipys() -> None:
    v = np.linspace(0, 3.1, 50)
    np.testing.assert_array_equal(la.interpolate(X, Y)(v), CubicSpline(X, Y)(v))
    assert isinstance(la.interpolate(X, Y)(1.5), float) and la.interpolate(X, Y)(1.5) == CubicSpline(X, Y)(1.5)
    np.testing.assert_array_equal(la.interpolate(X, Y, "monotone")(v), PchipInterpolator(X, Y)(v))
    np.testing.assert_allclose(la.interpolate(X[:2], Y[:2])(v[:5]), np.interp(v[:5], X[:2], Y[:2]), rtol=1e-14)


def test_a_table_ends() -> None:
    p = la.Program("range")
    v = p.input("v", 5.0)
    p.define("y", np.log(la.interpolate(X, Y, name="curve")(v)))
    message = r"curve\(v\) has no finite value: v = 5; curve needs 0 ≤ argument ≤ 3.1 \(the table's range\)"
    with pytest.raises(la.DomainError, match=message):
        p.evaluate()
    assert np.isnan(la.interpolate(X, Y)(np.nan)) and np.isnan(la.interpolate(X, Y, outside="constant")(np.nan))


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_table_in_a_cycle(executor: str) -> None:
    """Where supply meets demand, both tables; the price moves as the implicit function theorem says."""
    supply, demand = la.interpolate(X, np.cumsum(Y)), la.interpolate(X, 5 - 1.3 * X)
    p = la.Program("market", executor=executor)
    tax = p.input("tax", 0.1)
    price = p.variable("price", start=1.0)
    p.equate(supply(price), demand(price + tax))
    p.maximize(price * supply(price))
    at = p.evaluate()
    assert at["price"] == pytest.approx(at["price"]) and abs(at.residual["equation_1"]) < 1e-12
    h = 1e-5
    slope = (p.evaluate(tax=0.1 + h).objective - p.evaluate(tax=0.1 - h).objective) / (2 * h)
    assert at.gradient["tax"] == pytest.approx(slope, rel=1e-7)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0.0, 1.0, 1.0], [1.0, 2.0, 3.0]), la.DeclarationError, r"x must ascend, but x\[1\] = 1 and x\[2\] = 1"),
        (([0.0, 1.0], [1.0, 2.0, 3.0]), la.ShapeError, "x has 2 points, y has 3"),
        (([0.0], [1.0]), la.ShapeError, "two points at least, got 1"),
        (([[0.0]], [1.0]), la.ShapeError, "one axis"),
        (([0.0, np.nan], [1.0, 2.0]), la.DeclarationError, r"x\[1\] is not finite"),
        (("ab", [1.0, 2.0]), la.DeclarationError, "x must be numbers"),
        ((X, Y, "spline"), la.DeclarationError, "kind= is one of 'cubic'"),
        ((X, Y, "periodic"), la.DeclarationError, "must end as it begins"),
    ],
)
def test_tables_that_make_no_function(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        la.interpolate(*arguments)
    with pytest.raises(la.DeclarationError, match="outside= is one of"):
        la.interpolate(X, Y, outside="zero")


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_an_argument_may_be_empty(executor: str) -> None:
    p = la.Program("empty", executor=executor)
    x, b = p.input("x", np.zeros(0)), p.input("b", 2.0)
    alone = la.external(lambda x: np.sum(x) + 2.0)
    both = la.external(lambda x, b: np.sum(x) + b**2)
    p.minimize((alone(x) * b + both(x, b)) ** 2)                      # (2b + b²)²
    at = p.evaluate()
    assert at.objective == 64.0 and at.gradient["b"] == pytest.approx(96.0, rel=1e-12)
    assert at.gradient["x"].shape == (0,)


def test_functions_of_scipy_that_expressions_have_not_say_how_they_are_used() -> None:
    p = la.Program("Bessel")
    x = p.input("x", [0.3, -1.0])
    with pytest.raises(la.ExpressionTypeError, match=r"special.j0 is not supported .* la.external\(function"):
        special.j0(x)
    p.minimize(np.sum(la.external(special.j0, lambda x: -special.j1(x), elementwise=True)(x)))
    np.testing.assert_allclose(p.evaluate().gradient["x"], -special.j1([0.3, -1.0]), rtol=1e-13)
