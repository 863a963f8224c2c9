"""What a careful reader once found wrong: each stays right."""

import threading

import numpy as np
import pytest

import lagrange_ad as la
from lagrange_ad.execution import ReferenceExecutor
from lagrange_ad.lowering import lower

EXECUTORS = pytest.mark.parametrize("executor", ["native", "reference"])


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


# what a user found ------------------------------------------------------------------------------------------------


@EXECUTORS
def test_a_solution_is_a_start(executor: str) -> None:
    """A ladder of diodes whose residuals stay at the rounding of currents that the Jacobian does not see."""
    n, thermal = 30, 0.025852
    p = la.Program("ladder", executor=executor)
    current, resistance = p.input("I", 1e-3), p.input("R", np.full(n, 1e3))
    v = p.variable("v", n, start=0.0)
    before, last = np.concatenate([[0.0], v[:-1]]), np.eye(n)[-1]
    into = 1e-14 * (np.exp((v - before) / thermal) - 1)
    onward = np.concatenate([1e-14 * (np.exp((v[1:] - v[:-1]) / thermal) - 1), [0.0]])
    p.equate(into, onward + current * last - v / resistance / 100, name="kcl")
    p.minimize(v[-1] * current)
    at = p.evaluate()
    np.testing.assert_allclose(p.evaluate(start=at)["v"], at["v"], rtol=1e-11, atol=1e-20)  # volts


@EXECUTORS
@pytest.mark.parametrize("level", [1e-8, 1e-10, 1e-12, 1e-13])
def test_rounding_inside_an_equation_is_no_failure(executor: str, level: float) -> None:
    """1 − cos x = level: what 1 and cos x leave by rounding is all that can be reached, and the error says so."""
    p = la.Program("small", executor=executor)
    x = p.variable("x", start=1.0)
    p.equate(1.0 - np.cos(x), level, for_=x)
    at = p.evaluate()
    true = 2.0 * np.arcsin(np.sqrt(level / 2.0))
    assert abs(at["x"] - true) <= at.blocks[0].error[0] and at.blocks[0].error[0] <= 1e-14 / true


@EXECUTORS
def test_slow_convergence_is_not_the_end(executor: str) -> None:
    p = la.Program("nearly double", executor=executor)
    a = p.input("a", 1.0)
    x = p.variable("x", start=3.0)
    p.equate((x - 1.0) ** 2, 1e-20 * a, for_=x)
    p.minimize(x)
    at = p.evaluate()
    assert at["x"] - 1.0 == pytest.approx(1e-10, rel=1e-5)
    assert at.gradient["a"] == pytest.approx(5e-11, rel=1e-4)


@EXECUTORS
@pytest.mark.parametrize("distance", [1e-6, 1e-10, 1e-12])
def test_the_error_estimate_near_a_fold(executor: str, distance: float) -> None:
    """x = λ·exp(x) near λ = 1/e: slopes 1 and λ·exp(x) cancel, their rounding does not."""
    mpmath = pytest.importorskip("mpmath")
    p = la.Program("fold", executor=executor)
    lam = p.input("lam", np.exp(-1.0) - distance)
    x = p.variable("x", start=0.9)
    p.equate(x, lam * np.exp(x), for_=x)
    at = p.evaluate()
    with mpmath.workdps(40):
        true = float(-mpmath.lambertw(-mpmath.mpf(float(np.exp(-1.0) - distance))))
    assert abs(at["x"] - true) <= at.blocks[0].error[0] <= 1e-13 / np.sqrt(distance)


def test_reports_of_many_blocks_are_made_when_looked_at() -> None:
    n = 20_000
    p = la.Program("many")
    a, x = p.input("a", np.linspace(1.0, 2.0, n)), p.variable("x", n, start=1.0)
    y = p.define("y", 0.7 * np.sqrt(1.0 + x))
    p.equate(x, a + 0.3 * np.sin(y))
    blocks = p.evaluate().blocks
    assert len(blocks) == n and len(blocks.solved_here) == 0 and blocks[17].converged and len(blocks.solved_here) == 1


def test_preconditioners_of_users_are_checked() -> None:
    p = la.Program("pair")
    u = p.variable("u", 2, start=1.0)
    p.equate(u, 0.3 * np.cos(np.roll(u, 1)))
    p.minimize(np.sum(u))

    def doubled(v: np.ndarray) -> np.ndarray:
        v *= 2.0
        return v

    expected = p.evaluate()["u"]
    p.solver("u", linear=la.solvers.Krylov(preconditioner=lambda J, x: (doubled, doubled)))
    at = p.evaluate()
    np.testing.assert_allclose(at["u"], expected, rtol=1e-12)
    p.solver("u", linear=la.solvers.Krylov(preconditioner=lambda J, x: lambda v: np.ones(5)))
    with pytest.raises(la.DeclarationError, match=r"preconditioner of Krylov gave an array of shape \(5,\)"):
        p.evaluate()
    with pytest.raises(la.DeclarationError, match="no function"):
        la.solvers.Krylov(preconditioner=3)


def test_a_sweep_stays_in_the_domain_of_what_was_fixed() -> None:
    p = la.Program("fixed")
    a, x = p.input("a", 1.0), p.variable("x", start=2.0, domain=(0, 10))
    p.equate(x, a + 0.1 * np.sin(x))
    p.fix(x)
    p.free(a)
    with pytest.raises(la.DeclarationError, match=r"point 2 of the sweep has x = 20, outside its domain \(0, 10\)"):
        p.sweep({"x": [1.0, 5.0, 20.0]})
