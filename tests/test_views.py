"""The reduced view: plain functions of the flat inputs, to be minimized, checked against differences and by SciPy."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import approx_fprime, check_grad, minimize

import lagrange_ad as la
from lagrange_ad.expression import evaluate

EXAMPLES = Path(__file__).parent.parent / "examples"


def sellar(constrained: bool = False) -> la.Program:
    p: la.Program = runpy.run_path(str(EXAMPLES / "sellar.py"))["model"](constrained)
    return p


def arrays(sense: str = "minimize") -> la.Program:
    p = la.Program("arrays")
    a = p.input("a", [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], lower=-2, upper=[3.0, 4.0, 5.0])
    k = p.parameter("k", 0.5)
    s = p.input("s", 1.5, lower=0)
    y = p.variable("y", 2, start=1.0)
    p.equate(y, np.cos(y[::-1] * k) + np.sum(a**2, axis=1) * s)
    getattr(p, sense)(np.sum((y - 2) ** 2) + np.sum(a * np.arange(6).reshape(2, 3)) + np.exp(s))
    return p


def rosenbrock() -> la.Program:
    p = la.Program("rosenbrock")
    x = p.input("x", [-1.2, 1.0])
    p.minimize(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2)
    return p


def test_x0_bounds_and_sign_are_those_declared() -> None:
    view = arrays().reduced()
    np.testing.assert_array_equal(view.x0, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.5])
    np.testing.assert_array_equal(view.lower, [-2] * 6 + [0])
    np.testing.assert_array_equal(view.upper, [3, 4, 5, 3, 4, 5, np.inf])
    np.testing.assert_array_equal(view.bounds.lb, view.lower)
    np.testing.assert_array_equal(view.bounds.ub, view.upper)
    assert view.sign == 1.0 and arrays("maximize").reduced().sign == -1.0
    assert view.inputs.names == ["a", "s"]  # the parameter k is none of them


def test_split_and_join_are_inverse() -> None:
    view = arrays().reduced()
    x = np.arange(7.0)
    parts = view.split(x)
    np.testing.assert_array_equal(parts["a"], [[0, 1, 2], [3, 4, 5]])
    assert parts["s"] == 6.0 and parts["s"].shape == ()
    np.testing.assert_array_equal(view.join(parts), x)
    np.testing.assert_array_equal(view.join({"s": 6, "a": [[0, 1, 2], [3, 4, 5]]}), x)


def test_the_view_is_the_program_at_other_inputs() -> None:
    p = arrays()
    view = p.reduced()
    x = np.linspace(-0.5, 0.9, 7)
    at = p.evaluate(**view.split(x))
    assert view.value(x) == pytest.approx(at.objective, rel=1e-13)
    expected = view.join({name: at.gradient[name] for name in ("a", "s")})
    np.testing.assert_allclose(view.gradient(x), expected, rtol=1e-11)
    assert view.point(x)["y"] == pytest.approx(at["y"], rel=1e-13)


def test_value_and_gradient_are_the_same_as_one_by_one() -> None:
    view = arrays().reduced()
    value, gradient = view.value_and_gradient(view.x0)
    assert isinstance(value, float) and gradient.dtype == np.float64
    assert value == view.value(view.x0)
    np.testing.assert_array_equal(gradient, view.gradient(view.x0))


@pytest.mark.parametrize("sense", ["minimize", "maximize"])
@pytest.mark.parametrize("seed", range(3))
def test_gradient_against_central_differences(sense: str, seed: int) -> None:
    view = arrays(sense).reduced()
    x = np.random.default_rng(seed).uniform(0.2, 1.0, 7)
    step = 1e-5
    slopes = [(view.value(x + e) - view.value(x - e)) / (2 * step) for e in step * np.eye(7)]
    np.testing.assert_allclose(view.gradient(x), slopes, rtol=1e-7, atol=1e-8)


def test_gradient_against_complex_step_of_the_objective() -> None:
    """Without variables the objective's expression itself takes a complex step."""
    p = rosenbrock()
    view, x = p.reduced(), np.array([0.3, -0.7])
    assert p.objective is not None
    slopes = [evaluate(p.objective.expression, {"x": x + 1e-30j * e}).imag / 1e-30 for e in np.eye(2)]
    np.testing.assert_allclose(view.gradient(x), slopes, rtol=1e-14)


def test_scipy_finds_the_gradient_right() -> None:
    for view in (sellar().reduced(), arrays().reduced(), rosenbrock().reduced()):
        error = check_grad(view.value, view.gradient, view.x0)
        assert error < 1e-5 * max(1.0, float(np.linalg.norm(view.gradient(view.x0))))


def test_maximize_is_the_negative() -> None:
    down, up = arrays("minimize").reduced(), arrays("maximize").reduced()
    assert up.value(down.x0) == -down.value(down.x0)
    np.testing.assert_array_equal(up.gradient(down.x0), -down.gradient(down.x0))


# optimizers -----------------------------------------------------------------------------------------------------


def test_lbfgsb_minimizes_rosenbrock() -> None:
    view = rosenbrock().reduced()
    found = minimize(view.value_and_gradient, view.x0, jac=True, method="L-BFGS-B", bounds=view.bounds)
    assert found.success
    np.testing.assert_allclose(found.x, [1.0, 1.0], atol=1e-4)


def test_lbfgsb_maximizes_what_was_declared_so() -> None:
    p = la.Program()
    x = p.input("x", [0.5, 0.5], lower=0, upper=[2.0, 0.8])
    y = p.define("y", x * np.exp(-x))  # the maximum of each at x = 1
    p.maximize(np.sum(y))
    view = p.reduced()
    found = minimize(view.value_and_gradient, view.x0, jac=True, method="L-BFGS-B", bounds=view.bounds)
    np.testing.assert_allclose(found.x, [1.0, 0.8], atol=1e-4)
    assert view.sign * found.fun == pytest.approx(np.exp(-1) + 0.8 * np.exp(-0.8), rel=1e-8)


@pytest.mark.parametrize("method", ["SLSQP", "trust-constr"])
@pytest.mark.filterwarnings("ignore:delta_grad == 0.0")
def test_sellars_constrained_optimum_is_the_published_one(method: str) -> None:
    view = sellar(constrained=True).reduced()
    found = minimize(view.value_and_gradient, view.x0, jac=True, method=method, bounds=view.bounds,
                     constraints=view.constraints)
    accuracy = 1e-6 if method == "SLSQP" else 1e-3
    assert found.fun == pytest.approx(3.18339395, abs=accuracy)
    best = view.split(found.x)
    assert best["z1"] == pytest.approx(1.977639, abs=accuracy)
    assert best["z2"] == pytest.approx(0.0, abs=accuracy) and best["x"] == pytest.approx(0.0, abs=accuracy)
    assert view.point(found.x)["y1"] == pytest.approx(3.16, abs=accuracy)


def test_a_program_without_constraints_gives_none() -> None:
    view = sellar().reduced()
    assert view.constraints == []
    found = minimize(view.value_and_gradient, view.x0, jac=True, method="SLSQP", bounds=view.bounds,
                     constraints=view.constraints)
    np.testing.assert_allclose(found.x, [2.0, 0.0, 0.0], atol=1e-8)


def constrained() -> la.Program:
    p = la.Program("constrained")
    x = p.input("x", [0.3, 0.4, 0.5])
    limit = p.parameter("limit", 2.0)
    y = p.variable("y", 3, start=0.5)
    p.equate(y, np.cos(0.3 * y[[1, 2, 0]] * x))
    p.minimize(np.sum(x))
    p.subject_to(y * x <= limit, name="above")
    p.subject_to(limit / 4 <= np.exp(np.sum(x)), name="below")
    p.subject_to(y[0] == 0.9, name="equal")
    p.subject_to(x[:2] * y[1:], lower=[-1, -2], upper=limit, name="range")
    return p


def test_constraint_limits() -> None:
    (constraint,) = constrained().reduced().constraints
    np.testing.assert_array_equal(constraint.lb, [-np.inf] * 3 + [0.5, 0.9, -1, -2])
    np.testing.assert_array_equal(constraint.ub, [2, 2, 2, np.inf, 0.9, 2, 2])


def test_constraint_values_and_jacobian() -> None:
    p = constrained()
    view, x = p.reduced(), np.array([0.7, -0.2, 1.1])
    at = p.evaluate(x=x)
    bodies = np.concatenate([np.ravel(at[name]) for name in ("above", "below", "equal", "range")])
    np.testing.assert_allclose(view.constraint_values(x), bodies, rtol=1e-13)
    jacobian = view.constraint_jacobian(x)
    assert jacobian.shape == (7, 3)
    step = 1e-5
    slopes = [(view.constraint_values(x + e) - view.constraint_values(x - e)) / (2 * step) for e in step * np.eye(3)]
    np.testing.assert_allclose(jacobian, np.array(slopes).T, rtol=1e-7, atol=1e-9)


# what stays as it was ---------------------------------------------------------------------------------------------


def test_parameters_are_held_at_what_they_were() -> None:
    p = arrays()
    view = p.reduced()
    before = view.value(view.x0)
    p.set(k=0.7, s=9.0)
    assert view.value(view.x0 + 0.0) == before
    assert p.reduced().x0[-1] == 9.0
    assert p.reduced().value(view.x0) != before
    constrained_before = constrained()
    limits = constrained_before.reduced()
    constrained_before.set(limit=100.0)
    assert limits.constraints[0].ub[0] == 2.0


def test_what_a_view_was_set_to_is_a_copy() -> None:
    p = la.Program("set")
    x, b = p.input("x", 1.0), p.parameter("b", [1.0, 2.0])
    p.subject_to(x * b <= 3.0 * b)
    p.minimize(np.sum(x * b))
    view, given = p.reduced(), np.array([5.0, 6.0])
    view.set(b=given)
    given[:] = 100.0
    assert view.constraints[0].ub.tolist() == [15.0, 18.0] and view.value(view.x0) == 11.0
    assert p.reduced().constraints[0].ub.tolist() == [3.0, 6.0]


def test_the_view_keeps_its_program_when_that_is_extended() -> None:
    p = rosenbrock()
    view = p.reduced()
    before = view.value_and_gradient(view.x0)
    more = p.input("more", 3.0)
    p.subject_to(more <= 1)
    value, gradient = view.value_and_gradient(view.x0 * 1.0)
    assert value == before[0] and view.constraints == []
    np.testing.assert_array_equal(gradient, before[1])
    assert p.reduced().x0.shape == (3,)


def test_the_view_leaves_program_and_x_alone() -> None:
    p = sellar()
    view, before = p.reduced(), p.evaluate()
    x = view.x0.copy()
    for shift in (0.5, -0.5, 1.0):
        view.value_and_gradient(x + shift)
    np.testing.assert_array_equal(x, view.x0)
    after = p.evaluate()
    assert {name: float(value) for name, value in after.values.items()} == before.values


def test_an_x_changed_in_place_is_a_new_x() -> None:
    """The last point is kept by value: optimizers reuse their arrays."""
    view = rosenbrock().reduced()
    x = view.x0.copy()
    first = view.value(x)
    x += 0.1
    assert view.value(x) == pytest.approx(float(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2), rel=1e-14) != first


def test_asking_for_value_gradient_and_constraints_solves_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from lagrange_ad.views import solved as views

    solves: list[Any] = []

    def counted(*arguments: Any) -> Any:
        solves.append(arguments)
        return original(*arguments)

    original: Callable[..., Any] = views.solve_from
    monkeypatch.setattr(views, "solve_from", counted)
    view = constrained().reduced()
    for x in (view.x0, view.x0 + 0.1):
        view.value(x), view.gradient(x), view.constraint_values(x), view.constraint_jacobian(x)
    assert len(solves) == 2


def test_each_solve_starts_from_the_last() -> None:
    view = sellar().reduced()
    assert view.point(view.x0).blocks[0].iterations > view.point(view.x0 + 1e-7).blocks[0].iterations


def test_a_failed_solve_is_forgotten() -> None:
    p = sellar()
    view = p.reduced()
    before = view.value(view.x0)
    with pytest.raises(la.SolveError):
        view.value(np.array([0.0, -50.0, 0.0]))
    assert view.value(view.x0 + 0.0) == pytest.approx(before, rel=1e-12)


def test_differences_of_scipy_work_on_the_view() -> None:
    view = sellar().reduced()
    np.testing.assert_allclose(approx_fprime(view.x0, view.value, 1e-7), view.gradient(view.x0), rtol=1e-5)


# errors ---------------------------------------------------------------------------------------------------------


def test_no_objective() -> None:
    p = la.Program("bare")
    p.input("x", 1.0)
    with pytest.raises(la.MissingObjectiveError, match=r"'bare' has no objective.*minimize\(expr\) or maximize"):
        p.reduced()


def test_no_inputs() -> None:
    p = la.Program("closed")
    k = p.parameter("k", 1.0)
    p.minimize(k**2)
    with pytest.raises(la.DeclarationError, match=r"'closed' has no inputs.*input\(name, value\)"):
        p.reduced()


@pytest.mark.parametrize("x", [[1.0], [1.0] * 8, np.ones((7, 1)), 1.0])
def test_a_wrong_shape_names_the_inputs(x: Any) -> None:
    view = arrays().reduced()
    for function in (view.value, view.gradient, view.value_and_gradient, view.point, view.split):
        with pytest.raises(la.ShapeError, match=r"x must have shape \(7,\) for a, s, got"):
            function(x)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_names_the_element(bad: float) -> None:
    view = arrays().reduced()
    x = view.x0.copy()
    x[4] = bad
    with pytest.raises(la.DeclarationError, match=r"x is (nan|inf) at a\[1, 1\]"):
        view.value(x)


def test_join_refuses_missing_and_unknown_names_and_wrong_shapes() -> None:
    view = arrays().reduced()
    with pytest.raises(la.UnknownNameError, match="x consists of a, s; missing or unknown: s"):
        view.join({"a": np.zeros((2, 3))})
    with pytest.raises(la.UnknownNameError, match="missing or unknown: k"):
        view.join({"a": np.zeros((2, 3)), "s": 0.0, "k": 1.0})
    with pytest.raises(la.ShapeError, match="'a'"):
        view.join({"a": np.zeros(4), "s": 0.0})


def test_a_solve_that_fails_says_what_the_program_says() -> None:
    p = la.Program()
    x = p.input("x", 1.0)
    p.minimize(p.define("y", np.log(x)))
    with pytest.raises(la.DomainError, match="equation 'y'"):
        p.reduced().value(np.array([-1.0]))


@pytest.mark.parametrize(("x", "error", "message"), [
    ("abc", la.DeclarationError, r"x must be a flat array of 4 real numbers for x, t, unused, got 'abc'"),
    ({"x": 1.0}, la.DeclarationError, r"got a dict: view.join\(\{name: value\}\)"),
    (np.array([1 + 0j, 2, 3, 4]), la.DeclarationError, "got complex numbers"),
    (["1", "2", "3", "4"], la.DeclarationError, "got "),
    ([1.0, 2.0, 3.0, None], la.DeclarationError, "4 real numbers for x, t, unused, got"),
    ([[1.0], [2.0, 3.0]], la.DeclarationError, "4 real numbers"),
    (np.ma.masked_array(np.ones(4), [1, 0, 0, 0]), la.DeclarationError, "masked elements"),
    ([1.0, 2.0], la.ShapeError, r"shape \(4,\) for x, t, unused, got \(2,\)"),
    (np.ones((2, 2)), la.ShapeError, r"got \(2, 2\)"),
    (3.0, la.ShapeError, r"got \(\)"),
    (np.array([1.0, 2.0, np.nan, 0.0]), la.DeclarationError, "x is nan at t: give finite numbers"),
    (np.array([1.0, 2.0, 1.0, np.nan]), la.DeclarationError, "x is nan at unused"),
    (np.array([1.0, 2.0, np.inf, 0.0]), la.DeclarationError, "x is inf at t"),
])
@pytest.mark.parametrize("cyclic", [False, True])
def test_what_is_no_x_is_refused_by_name(x, error, message, cyclic):
    p = la.Program("v")
    a, t = p.input("x", [1.0, 2.0]), p.input("t", 1.0)
    p.input("unused", 0.0)
    y = p.variable("y", start=1.0)
    p.equate(y, np.sum(np.cos(a)) * t + (0.1 * y if cyclic else 0.0))
    p.minimize(y**2)
    view = p.reduced()
    before = view.value_and_gradient(view.x0)
    for ask in (view.value_and_gradient, view.value, view.gradient, view.split, view.point):
        with pytest.raises(error, match=message):
            ask(x)
    after = view.value_and_gradient(view.x0)
    assert before[0] == pytest.approx(after[0], rel=1e-12)


def test_integers_booleans_and_lists_are_numbers():
    p = la.Program("v")
    x = p.input("x", [1.0, 2.0])
    p.minimize(np.sum(x**2))
    view = p.reduced()
    for x in ([1, 0], (True, False), np.array([1, 0], dtype=object), np.array([1, 0], dtype=np.int32)):
        assert view.value(x) == 1.0
