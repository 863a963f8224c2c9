"""What a careful reader once found wrong: each stays right."""

import threading

import numpy as np
import pytest

import lagrange_ad as la
from lagrange_ad.execution import ReferenceExecutor
from lagrange_ad.lowering import lower


def test_an_infinite_slope_is_not_convergence() -> None:
    p = la.Program("steep")
    y = p.variable("y", start=1.0)
    p.equate(y, 3 + np.sqrt(y - 1))
    try:
        at = p.evaluate()
    except la.ConvergenceError:
        return
    assert abs(3 + np.sqrt(at["y"] - 1) - at["y"]) < 1e-12


def two_roots() -> la.Program:
    p = la.Program("two roots")
    u = p.variable("u")
    p.equate(u, 0.1 * (u**2 + 4))
    return p


def test_a_start_given_to_evaluate_is_where_the_solve_begins() -> None:
    small, large = (10 - np.sqrt(84)) / 2, (10 + np.sqrt(84)) / 2
    assert two_roots().evaluate(start={"u": 9.5})["u"] == pytest.approx(large, rel=1e-12)
    assert two_roots().evaluate()["u"] == pytest.approx(small, rel=1e-12)
    at = two_roots().evaluate(start={"u": 9.5})
    assert two_roots().evaluate(start=at)["u"] == pytest.approx(large, rel=1e-12)


def test_a_domain_holds_the_start_and_every_iterate() -> None:
    p = la.Program("guarded")
    y = p.variable("y", domain=(2, np.inf))
    p.equate(y, y**2 / 4 - 5.0)  # the sweep and a first full step would leave the domain
    assert p.evaluate(start={"y": 2.1})["y"] == pytest.approx(2 + np.sqrt(24), rel=1e-12)
    assert p.evaluate()["y"] > 2
    with pytest.raises(la.DeclarationError, match=r"start of 'y' is -1.*domain \(2, inf\)"):
        p.evaluate(start={"y": -1.0})
    with pytest.raises(la.DeclarationError, match="outside its domain"):
        p.evaluate(start={"y": 2.0})


def test_bounds_of_variables_are_constraints_for_optimizers() -> None:
    p = la.Program("bounded")
    x = p.input("x", 0.2, lower=0, upper=10)
    p.define("y", 2 * x, upper=1.0)
    p.maximize(p["y"])
    with pytest.raises(la.DeclarationError, match="bounds of variables: y"):
        p.ascend()
    view = p.reduced()
    assert view.constraint_names == ["y"]
    np.testing.assert_allclose(view.constraint_values(np.array([0.3])), [0.6])
    np.testing.assert_allclose(view.constraint_jacobian(np.array([0.3])), [[2.0]])
    from scipy.optimize import minimize

    best = minimize(view.value_and_gradient, view.x0, jac=True, bounds=view.bounds, constraints=view.constraints)
    assert best.x[0] == pytest.approx(0.5)


def test_what_the_objective_does_not_use_leaves_its_gradient_alone() -> None:
    p = la.Program("apart")
    x = p.input("x", 0.0)
    p.define("y", np.sqrt(x))
    p.subject_to(np.sqrt(x) <= 1)
    p.minimize(3 * x)
    assert p.evaluate().gradient["x"] == 3.0
    assert p.evaluate().multiplier["y"] == 0.0


def test_an_auxiliary_of_the_branch_not_taken_may_be_nan() -> None:
    p = la.Program("branches")
    x = p.input("x", np.array([-1.0, -2.0]))
    p.define("y", np.where(np.sum(x) > 0, np.sum(np.sqrt(x)), 0.0))
    assert p.evaluate()["y"] == 0.0


def test_several_directions_of_the_second_order_adjoint() -> None:
    p = la.Program("second")
    x = p.input("x", np.array([0.3, 0.7, 1.1]))
    p.define("y", np.sin(x) * x[::-1] ** 2)
    lowered = lower(p)
    run = ReferenceExecutor().run(lowered.all_groups)
    rng = np.random.default_rng(0)
    z = np.concatenate([x.data.value, np.zeros(3)])
    lam, dz = rng.normal(size=lowered.n_all_rows), rng.normal(size=(6, 3))  # as many directions as instances
    together = np.zeros((6, 3))
    run.hessian_product(z, dz, lam, together)
    for k in range(3):
        alone = np.zeros(6)
        run.hessian_product(z, dz[:, k], lam, alone)
        np.testing.assert_allclose(together[:, k], alone, rtol=1e-13)


def test_threads_share_a_view_and_a_program() -> None:
    p = la.Program("shared")
    x = p.input("x", 1.0)
    y = p.variable("y", start=1.0)
    p.equate(y, x + 0.3 * np.sin(y))
    p.minimize(y**2)
    view = p.reduced()
    points = np.linspace(0.5, 2.0, 40)
    expected = {float(v): p.evaluate(x=float(v)).objective for v in points}
    wrong: list[float] = []

    def work(seed: int) -> None:
        for v in np.random.default_rng(seed).permutation(points):
            if abs(view.value(np.array([v])) - expected[float(v)]) > 1e-9:
                wrong.append(float(v))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_was_made_earlier_keeps_its_values() -> None:
    p = la.Program("snapshots")
    x = p.input("x", 2.0)
    k = p.parameter("k", 1.0)
    p.define("y", k * x)
    p.minimize(p["y"])
    lagrangian, view, at = p.lagrangian, p.reduced(), p.evaluate()
    p.set(k=5.0, x=3.0)
    assert lagrangian.value({}, {"y": 2.0}, {"y": 1.0}) == 2.0  # y + (k·x − y)
    assert view.value(np.array([2.0])) == 2.0
    assert (at["y"], at["k"]) == (2.0, 1.0)
    with pytest.raises(ValueError, match="read-only"):
        p.define("w", p["x"] * np.ones(2)) is not None and p.evaluate().residual["w"].__setitem__(0, 9.0)


def test_a_failed_point_has_no_derivatives() -> None:
    p = la.Program("hopeless")
    x = p.input("x", 1.0)
    y = p.variable("y", start=1.0)
    p.equate(y**2, -x)
    p.minimize(y)
    with pytest.raises(la.ConvergenceError) as caught:
        p.evaluate()
    with pytest.raises(la.SolveError, match="a solve failed"):
        caught.value.at.tangent({"x": 1.0})
    with pytest.raises(la.SolveError, match="a solve failed"):
        _ = caught.value.at.gradient["x"]


def test_a_cubic_that_newton_meets_flat_is_solved() -> None:
    p = la.Program("flat")
    z = p.variable("z", start=1.0)
    p.equate(z**3, -2.0)  # the first step lands on z = 0, where the slope is 0
    at = p.evaluate()
    assert at["z"] == pytest.approx(-np.cbrt(2.0), rel=1e-14)
    assert at.blocks[0].nudges > 0


def test_equations_that_determine_something_else_keep_their_worth() -> None:
    """y = f(u) with y fixed by another equation: u is determined by y's equation, which is explicit in y."""
    p = la.Program("flipped")
    a = p.parameter("a", 4.0)
    u = p.variable("u", start=1.0)
    y = p.define("y", u**3 + u)
    p.equate(y, a, name="fixed")
    p.minimize(np.sin(u))
    at = p.evaluate()
    slope = np.cos(at["u"]) / (3 * at["u"] ** 2 + 1)
    assert at["y"] == pytest.approx(4.0, rel=1e-14)
    np.testing.assert_allclose([at.multiplier["y"], at.multiplier["fixed"], at.gradient["a"]],
                               [-slope, slope, slope], rtol=1e-12)
    assert at.tangent({"a": 1.0})["u"] == pytest.approx(1 / (3 * at["u"] ** 2 + 1), rel=1e-12)


def test_many_leaves_of_one_stack_are_laid_out_once() -> None:
    p = la.Program("stacked")
    xs = np.stack([p.input(f"x{i}", 0.1 * i) for i in range(2000)])
    p.minimize(sum(((xs[i + 1] - xs[i] ** 2) for i in range(1999)), 0.0))
    assert np.isfinite(p.evaluate().gradient["x7"])
