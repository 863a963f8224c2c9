"""The solvers of blocks on arrays: classical hard systems with known roots, domains, singular and large Jacobians."""

import pickle
from typing import Any

import numpy as np
import pytest
from array_problems import ArrayProblem
from scipy import optimize

import lagrange_ad as la
from lagrange_ad.solvers import Linear, Record
from lagrange_ad.solvers.scaling import scales_of

Array = Any


def solved(method: Any, problem: ArrayProblem, start: Any, limit: int = 500) -> Record:
    """The record of a solve by a method or its name."""
    record = Record()
    chosen = la.solvers.method_named(method)
    chosen.solve(problem, np.array(start, dtype=float), record, Linear(), limit)
    assert np.array_equal(record.residuals, problem.residual(record.x), equal_nan=True)
    assert not problem.outside, "the solve left the domain"
    return record


def rosenbrock(x: Array) -> Any:
    return [10.0 * (x[1] - x[0] ** 2), 1.0 - x[0]]


def powell_badly_scaled(x: Array) -> Any:
    return [1e4 * x[0] * x[1] - 1.0, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001]


def brown_badly_scaled(x: Array) -> Any:
    return [x[0] * x[1] - 2.0, (x[0] - 1e6) * (1.0 + x[1])]


def freudenstein_roth(x: Array) -> Any:
    return [-13.0 + x[0] + ((5.0 - x[1]) * x[1] - 2.0) * x[1], -29.0 + x[0] + ((x[1] + 1.0) * x[1] - 14.0) * x[1]]


def powell_singular(x: Array) -> Any:
    return [x[0] + 10.0 * x[1], 5.0**0.5 * (x[2] - x[3]), (x[1] - 2.0 * x[2]) ** 2, 10.0**0.5 * (x[0] - x[3]) ** 2]


def diode(x: Array) -> Any:
    return [x[0] - 5.0 + 1000.0 * 1e-14 * (np.exp(x[0] / 0.02585) - 1.0)]


def chandrasekhar(c: float, n: int = 50) -> Any:
    mu = (np.arange(n) + 0.5) / n
    kernel = mu[:, None] / (mu[:, None] + mu)
    return lambda x: x - 1.0 / (1.0 - c / (2 * n) * (kernel @ x))


def lambert(x: Array) -> Any:
    return [x[0] * np.exp(x[0]) - 10.0]


def logarithms(x: Array) -> Any:
    return [np.log(x[0]) + x[1] - 1.0, np.sqrt(x[1]) + x[0] * x[1] - 3.0]


def boggs(x: Array) -> Any:
    return [x[0] ** 2 - x[1] + 1.0, x[0] - np.cos(np.pi * x[1] / 2.0)]


def bratu(n: int, parameter: float) -> Any:
    def residual(u: Array) -> Any:
        wide = np.concatenate([[0.0], u, [0.0]])
        return wide[:-2] - 2.0 * u + wide[2:] + parameter / (n + 1) ** 2 * np.exp(u)

    return residual


# the ladder: classical hard cases ---------------------------------------------------------------------------------

HARD: list[tuple[str, Any, Any, Any]] = [
    ("freudenstein_roth", freudenstein_roth, [0.5, -2.0], [5.0, 4.0]),
    ("brown_badly_scaled", brown_badly_scaled, [1.0, 1.0], None),  # (1e6, 2e-6) or (−2, −1)
    ("powell_badly_scaled", powell_badly_scaled, [0.0, 1.0], [1.0981593296998175e-05, 9.106146739866524]),
    ("arctan", lambda x: np.arctan(x), [1e6, -1e3], [0.0, 0.0]),
    ("diode", diode, [5.0], None),
    ("chandrasekhar", chandrasekhar(0.999999), np.ones(50), None),
    ("lambert from the left", lambert, [-5.0], [1.7455280027406994]),
    ("logarithms", logarithms, [5.0, 5.0], None),
    ("logarithms, far", logarithms, [300.0, 0.01], None),
    ("cubic in a cycle of Newton's", lambda x: [x[0] ** 3 - 2.0 * x[0] + 2.0], [0.0], [-1.7692923542386314]),
    ("boggs", boggs, [1.0, 0.0], None),
    ("boggs, bad start", boggs, [-1.0, -1.0], None),
]


@pytest.mark.parametrize(("name", "function", "start", "root"), HARD, ids=[case[0] for case in HARD])
def test_hard_systems(name: str, function: Any, start: Any, root: Any) -> None:
    problem = ArrayProblem(function, len(start))
    record = solved("auto", problem, start)
    assert record.converged, record.tried
    model = problem.model(record.x)
    assert (np.abs(record.residuals) <= 1e-12 * np.maximum(model.terms, 1e-3)).all()
    if root is not None:
        np.testing.assert_allclose(record.x, root, rtol=1e-9, atol=1e-9)


def test_where_newton_works_nothing_else_is_asked_for() -> None:
    by_ladder, by_newton = ArrayProblem(rosenbrock, 2), ArrayProblem(rosenbrock, 2)
    first, second = solved("auto", by_ladder, [-1.2, 1.0]), solved("newton", by_newton, [-1.2, 1.0])
    assert [name for name, _ in first.tried] == ["newton"]
    assert np.array_equal(first.x, second.x)
    assert (by_ladder.residuals, by_ladder.models) == (by_newton.residuals, by_newton.models)


def test_when_all_fail_the_best_point_stays() -> None:
    """x² + 1 has no root and its smallest value at 0; every method says what it found."""
    problem = ArrayProblem(lambda x: [x[0] ** 2 + 1.0, x[1] - x[0]], 2)
    record = solved("auto", problem, [3.0, 1.0])
    assert not record.converged and record.iterations <= 500
    assert np.abs(record.residuals).max() < 1.001
    names = [name for name, _ in record.tried]
    assert names[:2] == ["newton", "trust-region"] and {"homotopy", "pseudo-transient"} <= set(names)
    assert any("local minimum here that is no solution" in said for _, said in record.tried)
    assert record.message.startswith("none of") and record.message.endswith("methods solved it")


def test_the_limit_is_for_all_methods_together() -> None:
    problem = ArrayProblem(lambda x: [x[0] ** 2 + 1.0, x[1] - x[0]], 2)
    record = solved("auto", problem, [3.0, 1.0], limit=30)
    assert record.iterations == 30 and not record.converged


# trust region -----------------------------------------------------------------------------------------------------

EASY: list[tuple[str, Any, Any]] = [
    ("rosenbrock", rosenbrock, [-1.2, 1.0]),
    ("powell_badly_scaled", powell_badly_scaled, [0.0, 1.0]),
    ("powell_singular", powell_singular, [3.0, -1.0, 0.0, 1.0]),
    ("boggs", boggs, [0.5, 0.5]),
]


@pytest.mark.parametrize("method", ["trust-region", "levenberg-marquardt"])
@pytest.mark.parametrize("as_written", [False, True])
@pytest.mark.parametrize(("name", "function", "start"), EASY, ids=[case[0] for case in EASY])
def test_trust_regions(method: str, as_written: bool, name: str, function: Any, start: Any) -> None:
    chosen = la.solvers.METHODS[method](as_written=as_written)
    problem = ArrayProblem(function, len(start))
    record = solved(chosen, problem, start)
    assert record.converged, record.message
    assert (np.abs(record.residuals) <= 1e-12).all()


@pytest.mark.parametrize("method", ["trust-region", "levenberg-marquardt"])
def test_a_local_minimum_is_said(method: str) -> None:
    """Freudenstein and Roth's second minimum of ‖r‖², 48.98 at (11.41…, −0.8968…)."""
    record = solved(method, ArrayProblem(freudenstein_roth, 2), [12.0, -0.5])
    assert not record.converged and "local minimum here that is no solution" in record.message
    assert float(record.residuals @ record.residuals) == pytest.approx(48.98425, abs=0.5)


def test_units_do_not_change_the_steps() -> None:
    """Equations and unknowns in other units (powers of two): the same iterations, to the last bit."""
    rows, columns = 2.0 ** np.array([20, -30]), 2.0 ** np.array([-12, 9])
    plain = solved("trust-region", ArrayProblem(boggs, 2), [0.6, 0.7])
    other = solved("trust-region", ArrayProblem(lambda x: rows * np.array(boggs(x * columns)), 2),
                   np.array([0.6, 0.7]) / columns)
    assert plain.converged and other.converged and plain.iterations == other.iterations
    assert np.array_equal(other.x * columns, plain.x)


@pytest.mark.parametrize("method", ["auto", "trust-region", "levenberg-marquardt", "pseudo-transient", "homotopy"])
def test_domains_are_kept(method: str) -> None:
    """√ and log have no value outside: the root (1, 1) lies near the ends."""
    def residual(x: Array) -> Any:
        return [np.log(x[0]) + x[0] * x[1] - 1.0, np.sqrt(x[1]) - x[0] ** 2]

    problem = ArrayProblem(residual, 2, low=0.0, high=1.5)
    record = solved(method, problem, [0.01, 1.4])
    assert record.converged, record.message
    np.testing.assert_allclose(record.x, [1.0, 1.0], rtol=1e-9)


def test_the_end_of_a_domain_holds_one_unknown_only() -> None:
    """The unconstrained step leaves through x ≥ 0; the other unknown goes on."""
    problem = ArrayProblem(lambda x: [x[0] ** 2 - 1e-4, 10.0 * (x[1] - x[0]) - 5.0], 2, low=[0.0, -np.inf])
    record = solved("trust-region", problem, [1e-3, 100.0])
    assert record.converged
    np.testing.assert_allclose(record.x, [1e-2, 0.51], rtol=1e-9)


def test_points_without_a_value_are_counted_and_the_first_is_kept() -> None:
    record = solved("newton", ArrayProblem(logarithms, 2), [5.0, 5.0])
    assert record.converged and record.outside_x is not None
    with np.errstate(all="ignore"):
        assert not np.isfinite(logarithms(record.outside_x)).all()
    assert sum(step.outside for step in record.steps) > 0
    assert np.array_equal(pickle.loads(pickle.dumps(record)).outside_x, record.outside_x)


# large and sparse -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", ["trust-region", "levenberg-marquardt", "pseudo-transient", "homotopy"])
def test_large_sparse_systems_agree_with_newton(method: str) -> None:
    """The lower solution of Bratu's problem in one dimension, 150 unknowns (sparse steps)."""
    problem = ArrayProblem(bratu(150, 2.0), 150, kind="sparse")
    expected = solved("newton", problem, np.zeros(150)).x
    record = solved(method, problem, np.full(150, 0.3))
    assert record.converged, record.message
    np.testing.assert_allclose(record.x, expected, rtol=1e-8)


def test_large_singular_jacobians_take_damped_steps() -> None:
    """At u = ½ the slopes (1, 1) and (2u, 1) of u + v = 3 and u² + v = 3 are the same."""
    def residual(x: Array) -> Any:
        u, v = x[:60], x[60:]
        return np.concatenate([u + v - 3.0, u**2 + v - 3.0])

    problem = ArrayProblem(residual, 120, kind="sparse")
    record = solved("trust-region", problem, np.repeat([0.5, 0.0], 60))
    assert record.converged, record.message
    assert np.minimum(np.abs(record.x[:60]), np.abs(record.x[:60] - 1.0)).max() < 1e-12


# continuation -----------------------------------------------------------------------------------------------------

def test_a_curve_passes_a_turning_point() -> None:
    """x³ − 2x + 2 turns at ±√(2/3). From 1 the curve turns twice; from 0, where t grows, it turns off to infinity."""
    cubic = ArrayProblem(lambda x: [x[0] ** 3 - 2.0 * x[0] + 2.0], 1)
    for start, backward in ((1.0, False), (0.0, True)):
        record = solved(la.solvers.Homotopy(backward=backward), cubic, [start])
        assert record.converged and record.x[0] == pytest.approx(-1.7692923542386314, rel=1e-12)
    lost = solved("homotopy", cubic, [0.0])
    assert not lost.converged and "the curve" in lost.message


def test_fixed_point_homotopy_finds_a_fixed_point_of_a_bounded_function() -> None:
    """A bounded function has a fixed point (Brouwer), and the curve from any start leads to one (Watson)."""
    def residual(x: Array) -> Any:
        return 3.0 * np.sin(np.roll(x, 1) + np.arange(4)) - x

    for seed in range(5):
        start = np.random.default_rng(seed).uniform(-10, 10, 4)
        record = solved(la.solvers.Homotopy(kind="fixed-point"), ArrayProblem(residual, 4, explicit=True), start)
        assert record.converged, record.message


def test_pseudo_time_follows_the_flow_to_the_stable_state() -> None:
    """x' = x − x³ goes from 0.1 to 1, where Newton's method goes to the unstable 0."""
    problem = ArrayProblem(lambda x: [x[0] - x[0] ** 3], 1, explicit=True)
    assert solved("newton", problem, [0.1]).x[0] == pytest.approx(0.0, abs=1e-12)
    record = solved(la.solvers.PseudoTransient(first=0.1), problem, [0.1])
    assert record.converged and record.x[0] == pytest.approx(1.0, rel=1e-12)


# fixed points -----------------------------------------------------------------------------------------------------

class Closed(ArrayProblem):
    """A black box: nobody may ask for its derivatives."""

    def model(self, x: Array) -> Any:
        raise AssertionError("a fixed-point iteration asked for derivatives")


def contraction(x: Array) -> Any:
    return np.cos(np.roll(x, 1)) * np.linspace(0.5, 0.99, len(x)) - x


def test_anderson_needs_fewer_iterations_and_no_derivatives() -> None:
    expected = solved("newton", ArrayProblem(contraction, 6), np.zeros(6)).x
    plain = solved(la.solvers.FixedPoint(anderson=0), Closed(contraction, 6, explicit=True), np.zeros(6))
    fast = solved("fixed-point", Closed(contraction, 6, explicit=True), np.zeros(6))
    assert plain.converged and fast.converged
    np.testing.assert_allclose(plain.x, expected, rtol=1e-13)
    np.testing.assert_allclose(fast.x, expected, rtol=1e-13)
    assert fast.iterations < 0.7 * plain.iterations


def test_anderson_on_linear_equations_is_done_in_n_steps() -> None:
    """With a window of n it is GMRES: n + 1 steps for n equations (Walker and Ni, 2011)."""
    rng = np.random.default_rng(3)
    a = 0.9 * np.linalg.qr(rng.normal(size=(4, 4)))[0]
    b = rng.normal(size=4)
    problem = Closed(lambda x: a @ x + b - x, 4, explicit=True)
    record = solved(la.solvers.FixedPoint(anderson=4), problem, np.zeros(4))
    assert record.converged and record.iterations <= 9
    np.testing.assert_allclose(record.x, np.linalg.solve(np.eye(4) - a, b), rtol=1e-12)


def test_anderson_remembers_no_more_than_there_are_unknowns() -> None:
    record = solved(la.solvers.FixedPoint(anderson=5), Closed(lambda x: np.cos(x) - x, 1, explicit=True), [0.0])
    assert record.converged and record.x[0] == pytest.approx(0.7390851332151607, rel=1e-14)


def test_what_is_no_contraction_is_said() -> None:
    problem = Closed(lambda x: [3.0 * x[0] + np.exp(np.abs(x[0])) - x[0]], 1, explicit=True)
    record = solved(la.solvers.FixedPoint(anderson=0), problem, [1.0])
    assert not record.converged and "not a contraction" in record.message


def test_fixed_points_need_explicit_equations() -> None:
    record = solved("fixed-point", Closed(contraction, 6), np.zeros(6))
    assert not record.converged and "6 of 6 give no unknown by themselves" in record.message


# brackets ---------------------------------------------------------------------------------------------------------

def test_brackets() -> None:
    ends = solved("bracket", ArrayProblem(lambda x: [np.cos(x[0]) - x[0]], 1, low=0.0, high=2.0), [1.9])
    assert ends.converged and ends.x[0] == pytest.approx(0.7390851332151607, rel=1e-15)
    out = solved("bracket", ArrayProblem(lambda x: [x[0] ** 3 - 1e9], 1), [1.0])
    assert out.converged and out.x[0] == pytest.approx(1000.0, rel=1e-14)
    logarithm = solved("bracket", ArrayProblem(lambda x: [np.log(x[0]) + 20.0], 1, low=0.0), [1.0])
    assert logarithm.converged and logarithm.x[0] == pytest.approx(np.exp(-20.0), rel=1e-13)
    grid = solved("bracket", ArrayProblem(lambda x: [(x[0] - 0.3) * (x[0] - 0.6)], 1, low=0.0, high=1.0), [0.01])
    assert grid.converged and min(abs(grid.x[0] - 0.3), abs(grid.x[0] - 0.6)) < 1e-15


def test_brackets_that_are_none() -> None:
    same = solved("bracket", ArrayProblem(lambda x: [x[0] ** 2 + 1.0], 1, low=-1.0, high=3.0), [2.0])
    assert not same.converged and "the same sign at all 67 points" in same.message and abs(same.x[0]) < 0.05
    pole = solved("bracket", ArrayProblem(lambda x: [1.0 / (x[0] - 1.0)], 1, low=0.0, high=3.0), [2.0])
    assert not pole.converged and "a pole or a jump" in pole.message
    two = solved("bracket", ArrayProblem(rosenbrock, 2), [0.0, 0.0])
    assert not two.converged and "the block has 2" in two.message


# scales and tolerances --------------------------------------------------------------------------------------------

def test_scales() -> None:
    """Sizes are powers of two near the values and the largest terms; what the user gave stays."""
    problem = ArrayProblem(lambda x: [1e6 * x[0] - 3e6 * x[1], 1e-3 * x[1] * x[0] - 1e-3], 2)
    x = np.array([1000.0, 0.01])
    found = scales_of(problem, problem.model(x), x, problem.residual(x))
    assert np.log2(found.unknown).tolist() == np.rint(np.log2(found.unknown)).tolist()
    assert 500.0 < found.unknown[0] < 2000.0
    assert (np.abs(found.residual(problem.residual(x))) <= 2.0).all()
    problem.unknown_scale[1], problem.equation_scale[0] = 7.0, 3.0
    given = scales_of(problem, problem.model(x), x, problem.residual(x))
    assert given.unknown[1] == 7.0 and given.equation[0] == 3.0


@pytest.mark.parametrize("method", ["auto", "newton", "trust-region", "pseudo-transient", "homotopy", "fixed-point"])
def test_a_tolerance_stops_earlier(method: str) -> None:
    problem = ArrayProblem(contraction, 6, explicit=True)
    exact = solved(method, problem, np.zeros(6))
    record = solved(la.solvers.METHODS[method](tolerance=1e-3), problem, np.zeros(6))
    assert record.converged and "within the tolerance 0.001" in record.message
    assert 1e-12 < np.abs(record.residuals).max() < 2e-3
    assert record.iterations < exact.iterations


# how methods are named --------------------------------------------------------------------------------------------

def test_methods_are_checked() -> None:
    solvers = la.solvers
    assert solvers.method_named("trust-region") == solvers.TrustRegion()
    assert solvers.method_named(solvers.Newton(max_iterations=3)).max_iterations == 3
    assert str(solvers.FixedPoint(anderson=2, damping=0.5)) == "FixedPoint(anderson=2, damping=0.5)"
    assert solvers.Auto().is_auto and not solvers.Auto(tolerance=1e-3).is_auto
    wrong: list[tuple[Any, str]] = [
        (lambda: solvers.method_named("newtn"), "did you mean 'newton'"),
        (lambda: solvers.method_named(solvers.Newton), "with parentheses"),
        (lambda: solvers.method_named(3), "method= is one of 'auto'"),
        (lambda: solvers.Newton(max_iterations=-1), "Newton's max_iterations must be an integer ≥ 0"),
        (lambda: solvers.Newton(tolerance=2.0), "Newton's tolerance must be a number between 0 and 1"),
        (lambda: solvers.FixedPoint(anderson=1.5), "FixedPoint's anderson must be an integer"),
        (lambda: solvers.FixedPoint(damping=0.0), r"damping must be a number in \(0, 1\]"),
        (lambda: solvers.Homotopy(kind="newtonian"), "kind must be 'newton' or 'fixed-point'"),
        (lambda: solvers.Homotopy(backward=1), "backward must be True or False"),
        (lambda: solvers.PseudoTransient(first=0.0), "first must be a positive number"),
        (lambda: solvers.LevenbergMarquardt(damping=-1.0), "damping must be a positive number"),
        (lambda: solvers.TrustRegion(as_written="yes"), "as_written must be True or False"),
    ]
    for make, message in wrong:
        with pytest.raises(la.DeclarationError, match=message):
            make()


def test_newton_agrees_with_scipy() -> None:
    def residual(x: Array) -> Any:
        return np.tanh(x) + 0.3 * np.roll(x, 1) - 0.1 * np.arange(5)

    found = solved("newton", ArrayProblem(residual, 5), np.zeros(5)).x
    expected = optimize.root(residual, np.zeros(5), tol=1e-14).x
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_start_without_a_value_is_said_at_once() -> None:
    problem = ArrayProblem(lambda x: [np.log(x[0]) - x[1], x[1] - 1.0], 2)
    record = solved("auto", problem, [-1.0, 1.0])
    assert not record.converged and record.message == "the residual is not finite at the start"
    assert len(record.tried) == 1 and record.iterations == 0


def test_solvers_through_a_program() -> None:
    """y·eʸ = 10 from −5: Newton's method goes off to −∞, the choice is made for the block."""
    p = la.Program("lambert")
    y = p.variable("y", start=-5.0)
    p.equate(y * np.exp(y), p.input("c", 10.0))
    p.minimize(y)
    at = p.evaluate()
    assert at["y"] == pytest.approx(1.7455280027406994, rel=1e-14)
    assert at.gradient["c"] == pytest.approx(1.0 / (np.exp(at["y"]) * (1.0 + at["y"])), rel=1e-12)
    record = at.blocks[0].record
    assert record.method == "bracket" and record.tried[0][0] == "newton"
    p.solver("y", la.solvers.Newton())
    with pytest.raises(la.ConvergenceError, match="did not converge"):
        p.evaluate()
    p.solver("y", "homotopy")
    with pytest.raises(la.ConvergenceError, match="the curve"):
        p.evaluate()
    p.solver("y", la.solvers.Homotopy(backward=True, max_iterations=2000))
    assert p.evaluate()["y"] == pytest.approx(1.7455280027406994, rel=1e-14)


# what a reader found ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("scaled", [False, True])
def test_small_unknowns_beside_large_ones(executor: str, scaled: bool) -> None:
    """Corrections that are nothing beside P ≈ 10^7 are all of Q = 10^-12."""
    p = la.Program("micro", executor=executor)
    sizes = {"P": 1e7, "Q": 1e-12, "press": 1e7, "flow": 1e-24} if scaled else {}
    big, small = p.variable("P", start=1e5, scale=sizes.get("P")), p.variable("Q", start=1e-9, scale=sizes.get("Q"))
    p.equate(big, 1e7 - 1e6 * small, name="press", scale=sizes.get("press"))
    p.equate(small**2, 1e-31 * big, name="flow", scale=sizes.get("flow"))
    assert p.evaluate()["Q"] == pytest.approx(1e-12, rel=1e-12)


def test_a_tolerance_is_of_the_sizes_at_the_solution() -> None:
    for weight, method in ((1.0, "newton"), (1e-8, la.solvers.TrustRegion(as_written=True)), (1.0, "auto")):
        p = la.Program("far")
        x = p.variable("x", start=1e6)
        p.equate(weight * x * x, 2.0 * weight)
        p.solver("x", method, tolerance=1e-6)
        assert p.evaluate()["x"] == pytest.approx(2.0**0.5, rel=1e-6)


def test_a_tolerance_without_a_matrix() -> None:
    p = la.Program("free")
    u = p.variable("u", shape=20, start=0.0)
    p.equate(u, 0.3 * np.cos(np.roll(u, 1)) + 0.1)
    p.solver("u", linear="krylov", tolerance=1e-6)
    at = p.evaluate()
    assert at.blocks[0].converged and np.abs(at.residual["u"]).max() <= 1e-6


def test_a_large_block_in_pseudo_time_twice() -> None:
    p = la.Program("grid")
    u = p.variable("u", shape=150, start=1.0)
    p.equate(u**3 + np.roll(u, 1) * u, 2.0)
    p.solver("u", "pseudo-transient")
    first = p.evaluate()
    np.testing.assert_allclose(p.evaluate(start={"u": np.full(150, 0.7)})["u"], first["u"], rtol=1e-10)


@pytest.mark.parametrize("method", ["bracket", "auto"])
def test_tiny_residuals_without_a_change_of_sign(method: str) -> None:
    p = la.Program("tiny")
    x = p.variable("x", start=1.0)
    p.equate(1e-200 * (x**2 + 1.0), 0.0, for_=x)
    p.solver("x", method)
    with pytest.raises(la.ConvergenceError):
        p.evaluate()


def test_a_small_jump_is_no_root() -> None:
    p = la.Program("jump")
    x = p.variable("x", start=0.5, domain=(0.0, 1.0))
    step = np.where(x > 0.4, 1e-8, -1e-8) + np.where(x > 0.99, 1.0, 0.0) - np.where(x < 0.01, 1.0, 0.0)
    p.equate(step + 0.0 * x, 0.0, for_=x)
    p.solver("x", "bracket")
    with pytest.raises(la.ConvergenceError, match="a pole or a jump"):
        p.evaluate()
