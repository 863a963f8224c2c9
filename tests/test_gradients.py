"""la.gradient: expressions of derivatives against mpmath, complex steps and the numerical gradient, also nested."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from random_programs import STEP, acyclic, is_tied
from scipy import sparse
from test_elementary import SMOOTH, derivative

import lagrange_ad as la
from lagrange_ad.elementary import TABLE
from lagrange_ad.expression import Expression, elementwise, evaluate, postorder, symbols_of
from lagrange_ad.gradients.rules import RULES


def stepped(expression: Expression, values: dict[str, Any], name: str) -> np.ndarray:
    """∂expression/∂name by complex step, expression.shape + name's shape."""
    base = np.asarray(values[name], dtype=complex)
    columns = []
    for j in range(base.size):
        moved = base.copy().ravel()
        moved[j] += 1j * STEP
        with np.errstate(all="ignore"):
            columns.append(np.imag(evaluate(expression, {**values, name: moved.reshape(base.shape)})) / STEP)
    return np.moveaxis(np.array(columns), 0, -1).reshape(expression.shape + base.shape)


def check(expression: Expression, values: dict[str, Any], nested: int = 2, rtol: float = 1e-9) -> None:
    """The gradient by every symbol against complex steps; then that of a weighted sum of its entries."""
    rng = np.random.default_rng(7)
    names = [symbol.name for symbol in symbols_of(expression)]
    program = symbols_of(expression)[0].owner
    for name in names:
        g = la.gradient(expression, program[name])
        assert g.shape == np.shape(values[name])
        with np.errstate(all="ignore"):
            found = evaluate(g, values)
        expected = stepped(expression, values, name)
        scale = 1.0 + np.abs(expected).max(initial=0.0)
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * scale, err_msg=name)
        if nested > 1 and g.owner is not None:
            check(np.sum(g * rng.uniform(0.5, 1.5, g.shape)), values, nested - 1, rtol)


# every function -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("row", "point"), SMOOTH)
def test_every_row_of_the_table_twice_against_mpmath(row: Any, point: tuple[float, ...]) -> None:
    p, fixed = la.Program(), getattr(row, "fixed", 0)  # operands in which it has no derivative
    values = {f"x{i}": np.float64(point[i]) for i in range(fixed, row.arity)}
    symbols = [p.input(name, value) for name, value in values.items()]
    first = la.gradient(elementwise(row.name, *point[:fixed], *symbols), symbols)
    for i, g in enumerate(first, fixed):
        order = tuple(int(j == i) for j in range(row.arity))
        with np.errstate(all="ignore"):
            found = evaluate(g, values)
        np.testing.assert_allclose(found, derivative(row.name, point, order), rtol=1e-11, atol=1e-13)
        for k, h in enumerate(la.gradient(g, symbols), fixed):
            twice = tuple(int(j == i) + int(j == k) for j in range(row.arity))
            with np.errstate(all="ignore"):
                found = evaluate(h, values)
            np.testing.assert_allclose(found, derivative(row.name, point, twice), rtol=1e-8, atol=1e-10)


X, M, V = np.array([0.3, 1.2, -0.7]), np.array([[0.5, -0.4, 0.8], [1.1, 0.2, -0.3]]), np.array([0.9, -1.4])
A = sparse.csr_array(np.array([[1.0, 0.0, 2.0], [0.0, 0.0, -1.5]]))

ARRAYS = {
    "index": lambda x, m, v: np.sin(x[0]) * x[-1] + m[1, 2] ** 2,
    "slice": lambda x, m, v: np.sum(np.exp(x[1:]) * v) + np.sum(m[:, ::2] ** 3),
    "repeated index": lambda x, m, v: np.sum(np.sin(x[np.array([0, 0, 2, 1])]) * np.arange(1.0, 5.0)),
    "transpose": lambda x, m, v: np.sum(np.cos(m.T) * x[:, None]),
    "reshape": lambda x, m, v: np.sum(np.sin(np.reshape(m, (3, 2))) * v),
    "flip and roll": lambda x, m, v: np.sum(np.flip(x) ** 2 * np.roll(x, 1)),
    "broadcast": lambda x, m, v: np.sum(np.tanh(x * v[:, None]) * m),
    "scalar broadcast": lambda x, m, v: np.sum(m * x[0]) ** 2 + np.sum(v * 2.0 + x[1]),
    "broadcast_to": lambda x, m, v: np.sum(np.broadcast_to(x, (2, 3)) * np.sin(m)),
    "sum by axis": lambda x, m, v: np.sum(np.sum(m**2, axis=0) * x) + np.sum(np.exp(np.sum(m, axis=1)) * v),
    "mean": lambda x, m, v: np.mean(np.sin(m)) * np.mean(x, axis=0),
    "concatenate": lambda x, m, v: np.sum(np.sin(np.concatenate([x, v[:1], x])) * np.arange(7.0)),
    "concatenate by columns": lambda x, m, v: np.sum(np.concatenate([m, v[:, None]], axis=1) ** 3),
    "stack": lambda x, m, v: np.sum(np.stack([x, x**2, np.sin(x)]) * np.arange(9.0).reshape(3, 3)),
    "scatter": lambda x, m, v: np.sum(np.bincount([0, 3, 0], weights=np.sin(x), minlength=5) ** 2),
    "matrix times vector": lambda x, m, v: np.sum(np.sin(m @ x) * v),
    "vector times matrix": lambda x, m, v: np.sum((v @ m) ** 2),
    "matrix times matrix": lambda x, m, v: np.sum(np.sin(m @ m.T) * np.arange(4.0).reshape(2, 2)),
    "stacks of matrices": lambda x, m, v: np.sum(np.sin(np.stack([m, m * 2]) @ np.reshape(x, (3, 1))) ** 2),
    "broadcast stacks": lambda x, m, v: np.sum(np.stack([m, m**2]) @ np.stack([m.T])),
    "inner": lambda x, m, v: (x @ x) * np.exp(v @ v),
    "sparse times vector": lambda x, m, v: np.sum(np.sin(A @ x) * v),
    "sparse times matrix": lambda x, m, v: np.sum((A @ m.T) ** 2),
    "vector times sparse": lambda x, m, v: np.sum((v @ A) ** 2 * x),
    "clip": lambda x, m, v: np.sum(np.clip(m, -0.35, 0.7) ** 2),
    "where": lambda x, m, v: np.sum(np.where(m > 0.1, np.sin(m), m**2) * x),
    "shared": lambda x, m, v: np.sum(np.exp(np.sin(x)) * np.sin(x)) + np.sum(np.sin(x)) ** 2,
    "loop over elements": lambda x, m, v: sum((np.sin(e) * e for e in x), start=v[0] * v[1]),
    "powers": lambda x, m, v: np.sum(m**0) + np.sum(m**1) + np.sum(m**2) + np.sum((m * m + 1.0) ** -1.5),
    "variable powers": lambda x, m, v: np.sum((m * m + 0.5) ** x),
    "array powers": lambda x, m, v: np.sum((x * x + 0.5) ** np.array([0.0, 2.0, -1.5])),
    "constants on the left": lambda x, m, v: np.sum(2.0 / (x * x + 1.0) - (3.0 - x) + 2.0 ** x),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRAYS)
def test_every_array_operation_nested(name: str) -> None:
    p = la.Program()
    expression = ARRAYS[name](p.input("x", X), p.input("m", M), p.input("v", V))
    check(np.sin(expression), {"x": X, "m": M, "v": V}, nested=3)


def test_the_array_operations_above_are_all_there_are() -> None:
    p = la.Program()
    inputs = p.input("x", X), p.input("m", M), p.input("v", V)
    used = {node.op for make in ARRAYS.values() for node in postorder([make(*inputs)])}
    assert set(RULES) - used == {"external"}
    assert used - set(TABLE) - {"symbol", "constant"} == set(RULES) - {"external"}


@settings(max_examples=40, deadline=None)
@given(acyclic())
def test_random_expressions(drawn: Any) -> None:
    expression = drawn.program.objective.expression
    rng = np.random.default_rng(3)
    values = {s.name: rng.uniform(-1.0, 1.5, s.shape) for s in symbols_of(expression)}
    if values and not is_tied_at(expression, values):
        check(expression, values, nested=2, rtol=1e-7)


def is_tied_at(expression: Expression, values: dict[str, Any]) -> bool:
    class One:
        equations = ()

        class objective:
            pass

    One.objective.expression = expression  # type: ignore[attr-defined]

    class Drawn:
        program = One

    return bool(is_tied(Drawn, values))


# what is selected is not multiplied -----------------------------------------------------------------------------


UNTAKEN = {
    "where": (lambda x, s: np.sum(np.where(x > 0.0, np.sqrt(x), 0.0))),
    "where of an inverse": (lambda x, s: np.sum(np.where(x > 0.0, x, 1.0) * np.where(x > 0.0, 1.0 / x, 2.0))),
    "a scalar inside": (lambda x, s: np.sum(np.where(x > 5.0, np.sqrt(s) * x, x**2))),
    "an element": (lambda x, s: np.sqrt(x)[1] * s),
    "a slice": (lambda x, s: np.sum(np.sqrt(x)[1:]) + s),
    "a slice under a condition": (lambda x, s: np.sum(np.where(x[:2] > 0.0, np.sqrt(x)[:2], 1.0))),
    "maximum": (lambda x, s: np.sum(np.maximum(np.sqrt(x), 0.5))),
    "minimum": (lambda x, s: np.sum(np.minimum(-np.sqrt(x), -0.5))),
    "an empty column": (lambda x, s: np.sum(sparse.csr_array([[0.0, 1.0, 2.0]]) @ np.sqrt(x))),
    "two conditions": (lambda x, s: np.sum(np.where(x > 0.0, np.where(x > 0.5, np.log(x), x), 0.0))),
}


@pytest.mark.parametrize("name", UNTAKEN)
def test_an_infinite_slope_in_a_branch_not_taken(name: str) -> None:
    """At x0 = 0 and s = 0 the slope of sqrt is infinite, where the value does not use it."""
    p = la.Program()
    x, s = p.input("x", [0.0, 1.0, 4.0]), p.input("s", 0.0)
    expression = UNTAKEN[name](x, s)
    g = la.gradient(expression, x)
    p.minimize(expression)
    at = p.evaluate()
    found = at[g]
    assert np.isfinite(found).all(), found
    if name != "an empty column":  # there back-substitution meets λ = 0 times an infinite slope
        np.testing.assert_allclose(found, at.gradient["x"], rtol=1e-14)
    above = {"x": np.array([0.0, 1.0, 4.0]) + 1e-9, "s": 0.0}
    np.testing.assert_allclose(found[1:], stepped(expression, above, "x")[1:], rtol=1e-6, atol=1e-15)
    if name == "a scalar inside":
        assert at[la.gradient(expression, s)] == 0.0


def test_a_gradient_with_a_selection_is_lowered_and_differentiated() -> None:
    p = la.Program()
    x = p.input("x", [0.0, 1.0, 4.0])
    p.minimize(np.sum(la.gradient(np.sum(np.where(x > 0.5, x**3, np.sqrt(x) * 0.0)), x) ** 2))
    np.testing.assert_allclose(p.evaluate().gradient["x"][1:], [36.0 * 1.0, 36.0 * 64.0])


# size -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2000])
def test_size_is_a_small_multiple_and_deep_graphs_do_not_recurse(n: int) -> None:
    p = la.Program()
    x = p.input("x", np.linspace(0.1, 1.0, n))
    total = x[0]
    for i in range(1, n):
        total = np.sin(total) * x[i] + total
    before = len(postorder([total]))
    g = la.gradient(total, x)
    assert len(postorder([g])) < 8 * before
    values = {"x": np.linspace(0.1, 1.0, n)}
    slope, last = np.zeros(n), values["x"][0]
    slope[0] = 1.0
    for i in range(1, n):
        slope[:i] *= np.cos(last) * values["x"][i] + 1.0
        slope[i] = np.sin(last)
        last = np.sin(last) * values["x"][i] + last
    np.testing.assert_allclose(evaluate(g, values), slope, rtol=1e-10)


# in models ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_a_stationarity_condition_is_an_equation(executor: str) -> None:
    """u minimizes Σ ½(u − c)² + ¼·s·Σu⁴; the outer derivative of u by s from ∂²/∂u² du/ds = −u³."""
    p = la.Program("inner", executor=executor)
    s, c = p.input("s", 0.7), p.parameter("c", [1.0, -2.0, 0.5])
    u = p.variable("u", shape=3, start=0.1)
    inner = 0.5 * np.sum((u - c) ** 2) + 0.25 * s * np.sum(u**4)
    p.equate(la.gradient(inner, u), 0.0, name="stationary", for_=u)
    p.minimize(np.sum(u**2))
    at = p.evaluate()
    np.testing.assert_allclose(at["u"] - [1.0, -2.0, 0.5] + 0.7 * at["u"] ** 3, 0.0, atol=1e-12)
    expected = -at["u"] ** 3 / (1.0 + 3 * 0.7 * at["u"] ** 2)
    np.testing.assert_allclose(at.jacobian("u", "s")["u", "s"], expected, rtol=1e-12)
    assert at.gradient["s"] == pytest.approx(2.0 * at["u"] @ expected, rel=1e-12)


def test_an_envelope() -> None:
    """The total derivative of an inner optimum is the partial one of its objective: u is held in la.gradient."""
    p = la.Program("envelope")
    s, u = p.input("s", 0.7), p.variable("u", start=0.5)
    inner = np.exp(u) - s * u + s**2
    p.equate(la.gradient(inner, u), 0.0)
    p.minimize(inner)
    at = p.evaluate()
    assert at["u"] == pytest.approx(np.log(0.7))
    assert at.gradient["s"] == pytest.approx(at[la.gradient(inner, s)], rel=1e-12)


def test_a_hessian_vector_product() -> None:
    p = la.Program("product")
    x, d = p.input("x", X), p.parameter("d", [0.2, -1.0, 0.4])
    f = np.sum(np.exp(x) * np.sin(x[::-1])) + np.prod([x[0], x[1]])
    product = la.gradient(np.sum(la.gradient(f, x) * d), x)
    values = {"x": X, "d": np.array([0.2, -1.0, 0.4])}
    hessian = stepped(la.gradient(f, x), values, "x")
    np.testing.assert_allclose(evaluate(product, values), hessian @ values["d"], rtol=1e-12)


def test_variables_are_held() -> None:
    p = la.Program()
    x = p.input("x", 2.0)
    y = p.define("y", x**2)
    p.minimize(x * y)
    at = p.evaluate()
    assert at[la.gradient(x * y, x)] == 4.0 and at.gradient["x"] == 12.0
    assert at[la.gradient(x * y, y)] == 2.0


def test_parts_lists_and_what_is_not_there() -> None:
    p = la.Program()
    x, y, z = p.input("x", X), p.input("y", 1.0), p.input("z", [1.0, 2.0])
    f = np.sum(x**3) * y
    values = {"x": X, "y": 2.0, "z": 1.0}
    gx, gy, gz, g1 = la.gradient(f, [x, y, z, x[1:]])
    np.testing.assert_allclose(evaluate(gx, values), 6.0 * X**2)
    np.testing.assert_allclose(evaluate(gy, values), np.sum(X**3))
    np.testing.assert_array_equal(evaluate(gz, values), np.zeros(2))
    np.testing.assert_allclose(evaluate(g1, values), 6.0 * X[1:] ** 2)
    assert evaluate(la.gradient(x[1], x[1]), values) == 1.0 and evaluate(la.gradient(y, y), values) == 1.0
    assert evaluate(la.gradient(f, x[0]), values) == pytest.approx(6.0 * 0.09)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_a_symbol_copied_along_with_its_program_is_that_symbol(copied: Any) -> None:
    p = la.Program()
    p, x = copied((p, p.input("x", [2.0, 3.0])))
    product = np.sum(x * p["x"])
    at = p.evaluate()
    for wrt in (x, p["x"]):
        assert at[la.gradient(product, wrt)].tolist() == [4.0, 6.0]
    assert at[la.gradient(product, [x[1], p["x"][0]])[0]] == 6.0


# user functions -------------------------------------------------------------------------------------------------


def test_user_functions_twice() -> None:
    p = la.Program()
    x, s = p.input("x", X), p.input("s", 0.8)
    f = la.external(lambda x, s: np.array([np.sin(x[0]) * x[1] * s, x[2] ** 2 * s]), shape=(2,))
    g = la.external(lambda x, s: np.sin(x) * s**2, elementwise=True)
    black, white = np.sum(f(x, s) ** 2) + np.sum(g(x, s) ** 3), (
        (np.sin(x[0]) * x[1] * s) ** 2 + (x[2] ** 2 * s) ** 2 + np.sum((np.sin(x) * s**2) ** 3))
    values = {"x": X, "s": np.float64(0.8)}
    for by in (x, s):
        first, plain = la.gradient(black, by), la.gradient(white, by)
        np.testing.assert_allclose(evaluate(first, values), evaluate(plain, values), rtol=1e-10)
        for other in (x, s):
            weights = np.arange(1.0, 1.0 + first.size).reshape(first.shape)
            second = la.gradient(np.sum(first * weights), other)
            expected = la.gradient(np.sum(plain * weights), other)
            np.testing.assert_allclose(evaluate(second, values), evaluate(expected, values), rtol=1e-6, atol=1e-8)
    p.minimize(np.sum(la.gradient(black, x) ** 2))
    expected = la.gradient(np.sum(la.gradient(white, x) ** 2), x)
    np.testing.assert_allclose(p.evaluate().gradient["x"], evaluate(expected, values), rtol=1e-5)


def test_interpolations_twice() -> None:
    t = np.linspace(0.0, 3.0, 8)
    f = la.interpolate(t, np.sin(t))
    p = la.Program()
    x = p.input("x", [0.5, 1.7])
    g = la.gradient(np.sum(f(x)), x)
    at = p.evaluate()
    np.testing.assert_allclose(at[g], f.polynomial.derivative()([0.5, 1.7]), rtol=1e-13)
    np.testing.assert_allclose(at[la.gradient(np.sum(g), x)], f.polynomial.derivative(2)([0.5, 1.7]), rtol=1e-10)


# errors ---------------------------------------------------------------------------------------------------------


def test_errors() -> None:
    p = la.Program()
    x = p.input("x", X)
    with pytest.raises(la.ShapeError, match=r"has shape \(3,\): take np.sum of it"):
        la.gradient(x**2, x)
    with pytest.raises(la.DeclarationError, match="is computed: differentiate by an input"):
        la.gradient(np.sum(x), x * 2)
    with pytest.raises(la.DeclarationError, match="is a comparison"):
        la.gradient(x[0] > 1, x)
    with pytest.raises(la.DeclarationError, match="as its declaration returned it, got 'x'"):
        la.gradient(np.sum(x), "x")
    unknown = Expression("mystery", (x[0],), ())
    with pytest.raises(la.ExpressionTypeError, match=r"the operation mystery .* has no derivative rule"):
        la.gradient(unknown, x)


def test_a_symbol_of_another_program_is_refused() -> None:
    p, other = la.Program("one"), la.Program("other")
    x, z = p.input("x", X), other.input("z", 1.0)
    for wrt in (z, [x, z]):
        with pytest.raises(la.DeclarationError, match="'z' is of the program 'other', the expression of 'one'"):
            la.gradient(np.sum(x), wrt)


def test_the_solution_of_a_linear_system_is_not_held_silently() -> None:
    p = la.Program("solve")
    A, b, c = p.input("A", np.eye(2) * 2), p.input("b", [1.0, 2.0]), p.input("c", 3.0)
    u = np.linalg.solve(A, b)
    v = np.linalg.solve(2 * A, u + 1)
    message = "np.linalg.solve is the variable 'solve_{}' of the program, and variables are held; its equation contains"
    with pytest.raises(la.DeclarationError, match=message.format(1)):
        la.gradient(np.sum(u) * c, A)
    with pytest.raises(la.DeclarationError, match=message.format(2)):
        la.gradient(np.sum(v), b)
    for expression, wrt, expected in ((np.sum(u) * c, c, 1.5), (np.sum(u**2), u, [1.0, 2.0])):
        value = p.evaluate()[la.gradient(expression, wrt)]
        np.testing.assert_allclose(value, expected, rtol=1e-14)
