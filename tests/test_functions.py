"""p.function: plain functions of inputs for SciPy's solvers, against points, closed forms and SciPy's solves."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from scipy.optimize import least_squares, root

import lagrange_ad as la

EXECUTORS = ("native", "reference")
X = np.array([1.0, 2.0, 3.0])


def sellar(executor: str | None = None) -> la.Program:
    p = la.Program("sellar", executor=executor)
    z1, x = p.input("z1", 5.0, lower=-10, upper=10), p.input("x", X, lower=0)
    q = p.parameter("q", 0.2)
    y1, y2 = p.variable("y1", start=1.0), p.variable("y2", start=1.0)
    p.equate(y1, z1**2 + x[0] - q * y2)
    p.equate(y2, np.sqrt(y1) + z1 + x[1])
    p.define("v", np.sin(x) * y1)
    w = p.variable("w", start=2.0)
    p.equate(w**2, y2 * x[2], name="balance")
    p.subject_to(y1 * w <= 100.0, name="limit")
    return p


@pytest.mark.parametrize("executor", EXECUTORS)
def test_values_and_jacobians_are_those_of_points(executor: str) -> None:
    p = sellar(executor)
    asked = ["y1", p["v"] * 2, "w", "limit", p["x"][1]]
    F = p.function(["z1", p["x"]], asked)
    at = p.evaluate(z1=4.0, x=X + 0.5)
    found = F(4.0, X + 0.5)
    assert isinstance(found, tuple) and isinstance(found[0], float) and found[1].shape == (3,)
    for one, what in zip(found, asked, strict=True):
        np.testing.assert_allclose(one, at[what], rtol=1e-13)
    expected = at.jacobian(asked, ["z1", "x"]).matrix
    for mode in ("adjoint", "tangent", None):
        J = F.jacobian(4.0, X + 0.5, mode=mode)
        np.testing.assert_allclose(J.matrix, expected, rtol=1e-11, atol=1e-13)
    assert J["v * 2", "x"].shape == (3, 3)
    np.testing.assert_allclose(np.asarray(F.jacobian(4.0, X + 0.5, sparse=True)), expected, rtol=1e-11, atol=1e-13)
    values, J = F.value_and_jacobian(4.0, X + 0.5)
    assert values[0] == found[0] and J.shape == (7, 4)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_one_output_and_one_input_are_plain_arrays(executor: str) -> None:
    p = sellar(executor)
    F, G = p.function("x", "v"), p.function("z1", "w")
    assert F(X).shape == (3,) and F.jacobian(X).shape == (3, 3) and F.jacobian(X, sparse=True).shape == (3, 3)
    assert isinstance(G(5.0), float) and isinstance(G.jacobian(5.0), float) and G(5) == G(5.0)
    first, second = F(X), F(X + 1)
    assert not np.shares_memory(first, second) and (first != second).all()
    assert p.function(["x"], ["v"])(X).shape == (3,) and p.function("x", ["v", "w"])(X)[1] == G(5.0)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_tangent_and_adjoint(executor: str) -> None:
    p = sellar(executor)
    F = p.function(["z1", "x"], ["y1", "v"])
    matrix, rng = F.jacobian(5.0, X).matrix, np.random.default_rng(0)
    d, s = rng.normal(size=4), rng.normal(size=4)
    tangent = F.tangent((5.0, X), (d[0], d[1:]))
    np.testing.assert_allclose(np.hstack(tangent), matrix @ d, rtol=1e-12)
    adjoint = F.adjoint((5.0, X), (s[0], s[1:]))
    np.testing.assert_allclose(np.hstack(adjoint), matrix.T @ s, rtol=1e-12)
    G = p.function("x", "v")
    np.testing.assert_allclose(G.tangent(X, d[1:]), G.jacobian(X) @ d[1:], rtol=1e-12)
    np.testing.assert_allclose(G.adjoint(X, s[1:]), G.jacobian(X).T @ s[1:], rtol=1e-12)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_equations_asked_for_are_not_solved(executor: str) -> None:
    """root solves the cycle of the program by itself, from the residuals and their Jacobian."""
    p = sellar(executor)
    at = p.evaluate()
    R = p.function(["y1", "y2"], ["y1", "y2"])
    r = R(1.0, 2.0)
    assert r == pytest.approx((25.0 + 1.0 - 0.4 - 1.0, 1.0 + 5.0 + 2.0 - 2.0))  # right − left
    np.testing.assert_allclose(R.jacobian(1.0, 2.0).matrix, [[-1.0, -0.2], [0.5, -1.0]])
    found = root(R.flat, R.flat.x0, jac=R.flat.jacobian)
    assert found.success
    np.testing.assert_allclose(found.x, [at["y1"], at["y2"]], rtol=1e-9)
    H = p.function(["w", "x"], "balance")
    assert H(2.0, X) == pytest.approx(at["y2"] * 3.0 - 4.0)
    np.testing.assert_allclose(H.jacobian(2.0, X)["balance", "w"], -4.0)


def test_what_is_not_solved_and_not_given_is_held_at_its_start() -> None:
    p = sellar()
    F = p.function(["x"], ["balance"])
    assert F.held == ["w"] and "w held at the start" in repr(F)
    assert F(X) == pytest.approx(p.evaluate()["y2"] * 3.0 - 4.0)
    p.set(w=1.0)
    assert F(X) == pytest.approx(p.evaluate()["y2"] * 3.0 - 1.0)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_other_values_are_those_at_the_time_of_the_call(executor: str) -> None:
    p = sellar(executor)
    F = p.function("z1", "y1")
    before = F(5.0)
    p.set(q=0.3)
    assert F(5.0) == pytest.approx(p.evaluate()["y1"], rel=1e-13) and F(5.0) != before
    p.set(x=X + 1)
    assert F(5.0) == pytest.approx(p.evaluate()["y1"], rel=1e-13)
    assert F.jacobian(5.0) == pytest.approx(p.evaluate().jacobian("y1", "z1")["y1", "z1"], rel=1e-12)


def test_a_call_does_not_depend_on_the_one_before() -> None:
    """x³ = c has three roots for c near 0: a warm start would find another one."""
    p = la.Program("roots")
    c, y = p.input("c", 0.0), p.variable("y", start=1.2)
    p.equate(y**3 - y, c, name="cubic")
    F = p.function("c", "y")
    first = F(0.0)
    assert first == pytest.approx(1.0)
    F(-5.0)
    assert F(0.0) == first


def test_declarations_made_later_do_not_matter() -> None:
    p = sellar()
    F = p.function("x", "v")
    before = F(X)
    p.define("more", p["y1"] * 2)
    np.testing.assert_array_equal(F(X), before)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_least_squares_with_a_vector(executor: str) -> None:
    """y = a·exp(−b·t): the residuals vanish at the true parameters."""
    t = np.linspace(0.0, 2.0, 15)
    p = la.Program("decay", executor=executor)
    k = p.input("k", [1.0, 1.0], lower=0, upper=[10.0, 5.0])
    p.define("residual", k[0] * np.exp(-k[1] * t) - 2.5 * np.exp(-1.3 * t))
    F = p.function("k", "residual")
    found = least_squares(F, F.x0, jac=F.jacobian, bounds=F.flat.bounds)
    np.testing.assert_allclose(found.x, [2.5, 1.3], rtol=1e-8)
    t_, k0 = t, np.array([1.0, 1.0])
    closed = np.array([np.exp(-k0[1] * t_), -k0[0] * t_ * np.exp(-k0[1] * t_)]).T
    np.testing.assert_allclose(F.jacobian(k0), closed, rtol=1e-13, atol=1e-15)


def test_the_flat_function_joins_and_splits() -> None:
    p = sellar()
    F = p.function(["z1", "x"], ["w", "v"])
    G = F.flat
    np.testing.assert_array_equal(G.x0, [5.0, 1.0, 2.0, 3.0])
    np.testing.assert_array_equal(G(G.x0), np.hstack(F(5.0, X)))
    np.testing.assert_array_equal(G.jacobian(G.x0), F.jacobian(5.0, X).matrix)
    np.testing.assert_array_equal(np.hstack(G.split(G.join(5.0, X))), G.x0)
    lower, upper = G.bounds
    np.testing.assert_array_equal(lower, [-10.0, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(upper, [10.0, np.inf, np.inf, np.inf])
    assert F.x0[0] == 5.0 and F.inputs == ["z1", "x"] and F.outputs == ["w", "v"]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_threads_may_call_one_function(executor: str) -> None:
    p = sellar(executor)
    F = p.function(["z1", "x"], ["y1", "v"])
    points = [(4.0 + i / 10, X + i) for i in range(8 if executor == "native" else 3)]
    expected = [(F(*point)[1], F.jacobian(*point).matrix) for point in points]

    def work(i: int) -> None:
        for _ in range(3):
            np.testing.assert_array_equal(F(*points[i])[1], expected[i][0])
            np.testing.assert_array_equal(F.jacobian(*points[i]).matrix, expected[i][1])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(len(points))))


def test_named_inputs_and_parts_of_inputs() -> None:
    p = sellar()
    F = p.function({"first": p["z1"], "rest": p["x"][1:], "y": p["y1"]}, {"sum": p["w"] + p["y2"], "r": "y1"})
    assert F.inputs == ["first", "rest", "y"] and F.outputs == ["sum", "r"]
    total, residual = F(5.0, X[1:], 20.0)
    y2 = np.sqrt(20.0) + 5.0 + 2.0
    assert total == pytest.approx(np.sqrt(y2 * 3.0) + y2) and residual == pytest.approx(26.0 - 0.2 * y2 - 20.0)
    J = F.jacobian(5.0, X[1:], 20.0)
    assert J["r", "first"] == pytest.approx(10.0 - 0.2) and J["r"]["rest"].tolist() == pytest.approx([-0.2, 0.0])


def test_functions_pickle() -> None:
    F = sellar().function(["z1", "x"], ["y1", "v"])
    G = pickle.loads(pickle.dumps(F))
    np.testing.assert_array_equal(G(4.0, X)[1], F(4.0, X)[1])
    np.testing.assert_array_equal(G.jacobian(4.0, X).matrix, F.jacobian(4.0, X).matrix)


def test_a_large_block_and_a_start_by_expression() -> None:
    """What compiled code does not do is done the careful way, with the same results."""
    rng = np.random.default_rng(1)
    n = 120
    a, b = rng.normal(size=(n, n)) / 40, rng.normal(size=n)
    p = la.Program("large")
    s = p.input("s", 0.8)
    u = p.variable("u", shape=n)
    p.equate(u, a @ np.tanh(u) + b * s)
    y = p.variable("y", start=s * 2)
    p.equate(y**2, s + np.sum(u**2), name="root")
    F = p.function("s", ["u", "y"])
    np.testing.assert_allclose(F(0.5)[0], p.evaluate(s=0.5)["u"], rtol=1e-12)
    J = F.jacobian(0.5)
    h = 1e-6
    np.testing.assert_allclose(J["u", "s"], (F(0.5 + h)[0] - F(0.5 - h)[0]) / (2 * h), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(J["y", "s"], F.jacobian(0.5, mode="tangent")["y", "s"], rtol=1e-11)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_failures_say_what_evaluate_says(executor: str) -> None:
    p = sellar(executor)
    F = p.function("z1", "y1")
    with pytest.raises(la.SolveError, match=r"the block \{y1, y2\} of") as caught:
        p.function(["z1", "x"], "y1")(0.0, np.array([-9.0, 0.0, 1.0]))
    assert caught.value.at is not None
    with pytest.raises(la.DeclarationError, match="the value of 'z1' is infinite"):
        F(np.inf)
    with pytest.raises(la.DeclarationError, match="the value of 'z1' is NaN"):
        F(np.nan)


@pytest.mark.parametrize(
    ("inputs", "outputs", "error", "message"),
    [
        ([], "v", la.DeclarationError, "inputs is empty"),
        ("x", [], la.DeclarationError, "outputs is empty"),
        (["x", "x"], "v", la.DeclarationError, "inputs has 'x' twice"),
        ("x", ["v", "v"], la.DeclarationError, "outputs has 'v' twice"),
        ("nope", "v", la.UnknownNameError, "no input or parameter 'nope'"),
        ("x", "vv", la.UnknownNameError, "no symbol, equation or constraint 'vv'; did you mean 'v'"),
        ("y1", "v", la.StructureError, "with y1 given: as many equations must be asked for"),
    ],
)
def test_errors_of_declaring(inputs: Any, outputs: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sellar().function(inputs, outputs)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_errors_of_calling(executor: str) -> None:
    p = sellar(executor)
    F, G = p.function(["z1", "x"], "v"), p.function("x", "v")
    with pytest.raises(la.DeclarationError, match=r"takes 2 inputs, z1, x, got 1; .* takes one vector"):
        F(1.0)
    with pytest.raises(la.ShapeError, match="the value of 'x' has shape \\(2,\\)"):
        G(np.ones(2))
    with pytest.raises(la.ShapeError, match=r"'z1' has shape \(\); F\.flat takes one vector"):
        p.function("z1", "v")([1.0])
    with pytest.raises(la.ShapeError, match="x must have shape \\(4,\\), for z1, x"):
        F.flat(np.ones(3))
    with pytest.raises(la.DeclarationError, match="the seeds must be a tuple"):
        p.function("x", ["v", "w"]).adjoint(X, np.ones(3))
    with pytest.raises(la.DeclarationError, match="variables are given as a whole"):
        p2 = la.Program("parts")
        y = p2.variable("y", shape=2, start=1.0)
        p2.equate(y, np.ones(2) * p2.input("s", 1.0))
        p2.function(y[0], "s")
    with pytest.raises(la.DeclarationError, match="make it an input of this function too"):
        p3 = la.Program("no start")
        u = p3.variable("u")
        p3.equate(u**2, p3.input("s", 1.0), name="square")
        p3.function("s", "square")
