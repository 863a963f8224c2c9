"""la.trace and la.value_and_gradient: plain NumPy functions, against complex steps and closed forms."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der
from scipy.sparse import csr_array

import lagrange_ad as la


def network(w: Any, b: Any, data: Any, layers: Any) -> Any:
    """A loop over layers of one shared weight matrix: NumPy and nothing else."""
    a = data
    for _ in range(layers):
        a = np.tanh(a @ w + b)
    return np.mean(a**2)


def test_the_rosenbrock_function_of_scipy_itself() -> None:
    f = la.value_and_gradient(rosen)
    x = np.array([-1.2, 1.0, 0.5])
    value, gradient = f(x)
    assert value == pytest.approx(rosen(x), rel=1e-14)
    np.testing.assert_allclose(gradient, rosen_der(x), rtol=1e-12)
    found = minimize(f, x, jac=True, method="BFGS")
    np.testing.assert_allclose(found.x, np.ones(3), atol=1e-5)


def test_several_arguments_fixed_ones_and_floats_that_change() -> None:
    rng = np.random.default_rng(0)
    w, b, data = rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=(5, 3))
    f = la.value_and_gradient(network, argnums=(0, 1))
    for layers in (1, 3):
        for scale in (1.0, 2.0):
            value, (dw, db) = f(w, b, data * scale, layers)
            assert value == pytest.approx(network(w, b, data * scale, layers), rel=1e-13)
            for found, name, at in ((dw, "w", w), (db, "b", b)):
                for index in np.ndindex(at.shape):
                    moved = at.astype(complex)
                    moved[index] += 1e-30j
                    args = (moved, b) if name == "w" else (w, moved)
                    expected = np.imag(network(*args, data * scale, layers)) / 1e-30
                    assert found[index] == pytest.approx(expected, rel=1e-11, abs=1e-14)


def test_it_traces_once_a_shape() -> None:
    calls = []

    def f(x: Any, index: Any) -> Any:
        calls.append(1)
        return np.sum(x[index] ** 2)

    g = la.value_and_gradient(f)
    index = np.array([0, 0, 1])
    for x in (np.ones(3), np.zeros(3), [1, 2, 3], np.ones(3, dtype=np.float32)):
        np.testing.assert_allclose(g(x, index)[1], 2.0 * np.asarray(x) * [2.0, 1.0, 0.0])
    assert len(calls) == 1
    g(np.ones(4), index)
    g(np.ones(3), np.array([0, 0, 2]))
    g(np.ones(3), [0, 0, 1])
    assert len(calls) == 3  # a list of integers is what its array is


class Scale:
    """Nothing tells whether one is what it was."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, k: float) -> None:
        self.k = k


@pytest.mark.parametrize(("held", "get", "change"), [
    ({"k": 2.0, "n": 1}, lambda c: c["k"], lambda c: c.update(k=5.0)),
    ({"inner": {"k": [None, 2.0]}}, lambda c: c["inner"]["k"][1], lambda c: c["inner"].update(k=[None, 5.0])),
    ([None, 2.0], lambda c: c[1], lambda c: c.__setitem__(1, 5.0)),
    (([0.0], np.array([1, 2])), lambda c: c[1][1], lambda c: c[1].__setitem__(1, 5)),
    (csr_array(np.diag([1.0, 2.0])), lambda c: c.data[1], lambda c: c.data.__setitem__(1, 5.0)),
    (Scale(2.0), lambda c: c.k, lambda c: setattr(c, "k", 5.0)),
])
def test_what_is_changed_in_place_is_traced_again(held: Any, get: Any, change: Any) -> None:
    calls = []

    def f(x: Any, c: Any) -> Any:
        calls.append(1)
        return np.sum(x**2) * get(c)

    g = la.value_and_gradient(f)
    for expected in (2.0, 5.0):
        for _ in range(2):
            value, gradient = g(np.ones(2), held)
            assert value == 2.0 * expected and gradient.tolist() == [2.0 * expected] * 2
        change(held)
    assert len(calls) == (4 if isinstance(held, Scale) else 2)


def test_names_of_further_arguments_are_free() -> None:
    assert list(la.trace(lambda x_2, *others: x_2 * others[0], 1.0, 2.0)) == ["x_2", "x_2_"]


def test_scalars_give_floats() -> None:
    value, slope = la.value_and_gradient(lambda x: np.exp(x) * x)(1)
    assert isinstance(value, float) and isinstance(slope, float) and slope == pytest.approx(2 * np.e)
    assert la.value_and_gradient(lambda x: 3.0)(2.0) == (3.0, 0.0)


def test_threads_share_one_function() -> None:
    f = la.value_and_gradient(rosen)
    points = [np.random.default_rng(i).normal(size=3 + i % 2) for i in range(8)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(f, points))
    for (value, gradient), x in zip(found, points, strict=True):
        assert value == pytest.approx(rosen(x), rel=1e-13)
        np.testing.assert_allclose(gradient, rosen_der(x), rtol=1e-11)


def test_control_flow_on_values_says_what_to_write() -> None:
    f = la.value_and_gradient(lambda x: x if x > 0 else -x)
    with pytest.raises(la.ExpressionTypeError, match=r"(?s)no truth value.*la\.value_and_gradient traced"):
        f(1.0)
    with pytest.raises(la.ExpressionTypeError, match=r"(?s)la\.trace traced"):
        la.trace(lambda x: float(x), 1.0)


def test_errors() -> None:
    with pytest.raises(la.ShapeError, match=r"must return one number, it returned shape \(3,\)"):
        la.value_and_gradient(lambda x: x * 2)(np.ones(3))
    with pytest.raises(la.DeclarationError, match="argument 0 of rosen must be numbers"):
        la.value_and_gradient(rosen)("a")
    with pytest.raises(la.DeclarationError, match="called with 1 arguments, and is to be differentiated by number 1"):
        la.value_and_gradient(rosen, argnums=1)(np.ones(2))
    for argnums in (-1, (), (0, 0), "x"):
        with pytest.raises(la.DeclarationError, match="argnums= is the number of an argument"):
            la.value_and_gradient(rosen, argnums=argnums)  # type: ignore[arg-type]
    with pytest.raises(la.DomainError, match="log needs argument > 0"):
        la.value_and_gradient(lambda x: np.log(x))(-1.0)
    with pytest.raises(la.DeclarationError, match="returned None"):
        la.trace(lambda x: None, 1.0)
    with pytest.raises(la.DeclarationError, match="takes a NumPy function, got 3"):
        la.value_and_gradient(3)  # type: ignore[arg-type]
    with pytest.raises(la.DeclarationError, match="trace takes a function"):
        la.trace(3.0, 1.0)  # type: ignore[arg-type]


def test_a_trace_is_a_program() -> None:
    x = np.array([-1.2, 1.0])
    p = la.trace(rosen, x)
    at = p.evaluate()
    assert p.name == "rosen" and at.objective == pytest.approx(rosen(x))
    np.testing.assert_allclose(at.gradient["x"], rosen_der(x), rtol=1e-12)
    p = la.trace(network, np.eye(2), np.zeros(2), np.ones((3, 2)), 2)
    assert [s.name for s in p.of_kind("input")] == ["w", "b", "data"]


@pytest.mark.parametrize(
    ("fun", "names"),
    [
        (lambda x, y: (x * 2, y**2), ["result_1", "result_2"]),
        (lambda x, y: [x[0] * y, x[1]], ["result"]),
        (lambda x, y: {"twice": x * 2, "y": y**2}, ["twice", "y_"]),
        (lambda x, y: x * y, ["result"]),
        (lambda *args: args[0] * args[1], ["result"]),
    ],
)
def test_several_results_are_variables(fun: Any, names: list[str]) -> None:
    p = la.trace(fun, np.array([1.0, 3.0]), 2.0)
    assert [s.name for s in p.of_kind("variable")] == names
    at = p.evaluate()
    result = fun(np.array([1.0, 3.0]), 2.0)
    parts = [result] if len(names) == 1 else list(result.values()) if isinstance(result, dict) else result
    for name, expected in zip(names, parts, strict=True):
        np.testing.assert_allclose(at[name], expected)
