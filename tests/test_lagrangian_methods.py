"""The library's own algorithms find known optima with the right multipliers, stop when asked, and say why they fail."""

import numpy as np
import optimizer_problems as problems
import pytest
from scipy.optimize import minimize_scalar

import lagrange_ad as la
from lagrange_ad.errors import DeclarationError, SolveError
from lagrange_ad.optimizers import (
    ArrowHurwicz,
    AugmentedLagrangian,
    AuxiliaryCoordinates,
    GradientDescent,
    LagrangeNewton,
    Monitor,
    Settings,
    Stopped,
)
from lagrange_ad.optimizers.bounded import LimitedMemory, minimize
from lagrange_ad.optimizers.penalized import Penalized
from lagrange_ad.optimizers.prepared import Prepared, Sample
from lagrange_ad.optimizers.saddle import Saddle, descend

PRECISE = [LagrangeNewton(), LagrangeNewton(hessian="bfgs"), AugmentedLagrangian(), AugmentedLagrangian(order=1)]
GENERAL = [*PRECISE, ArrowHurwicz()]


def named(algorithms):
    return pytest.mark.parametrize("algorithm", algorithms, ids=str)


def solve(algorithm, problem, **settings):
    answer = algorithm.run(problem, Settings(**settings), Monitor())
    assert answer.reason == "solved", answer.message
    return answer


def check_kkt(problem, answer, accuracy):
    """∇f = Jᵀy + z, rows and bounds hold, multipliers have the signs of the bounds that are reached."""
    x, y, z = answer.x, answer.y, answer.z
    slope = problem.gradient(x) - problem.jacobian_matrix(x).T @ y - z
    np.testing.assert_allclose(slope, 0, atol=accuracy)
    for value, low, high, multiplier in ((problem.constraints(x), problem.row_lower, problem.row_upper, y),
                                         (x, problem.lower, problem.upper, z)):
        assert np.all(value >= low - accuracy) and np.all(value <= high + accuracy)
        ranged, below, above = low < high, value - low < 1e-3, high - value < 1e-3
        assert np.all(multiplier[ranged & ~above] >= -accuracy)
        assert np.all(multiplier[ranged & ~below] <= accuracy)


# known optima ----------------------------------------------------------------------------------------------


@named(GENERAL)
def test_hock_and_schittkowski_71(algorithm):
    problem = problems.hs71()
    answer = solve(algorithm, problem)
    np.testing.assert_allclose(answer.x, [1.0, 4.7429996, 3.8211500, 1.3794083], atol=2e-7)
    np.testing.assert_allclose(answer.y, [0.55229366, -0.16146857], atol=1e-7)
    np.testing.assert_allclose(answer.z, [1.08787123, 0, 0, 0], atol=1e-7)
    check_kkt(problem, answer, 1e-6)


@named(GENERAL)
def test_circle(algorithm):
    answer = solve(algorithm, problems.circle())
    np.testing.assert_allclose(answer.x, [-1, -1], atol=1e-7)
    np.testing.assert_allclose(answer.y, [-0.5], atol=1e-7)


@named(GENERAL)
def test_steps_from_negative_curvature_lead_to_a_minimum(algorithm):
    answer = solve(algorithm, problems.double_well())
    roots = np.roots([1, 0, -1, 0.1]).real
    minima = roots[3 * roots ** 2 > 1]
    x = answer.x[0]
    assert np.min(np.abs(minima - x)) < 1e-7
    np.testing.assert_allclose(answer.y, [x], atol=1e-6)


@named(GENERAL)
def test_rows_that_depend_on_each_other(algorithm):
    answer = solve(algorithm, problems.circle_twice())
    np.testing.assert_allclose(answer.x, [-1, -1], atol=1e-7)
    assert answer.y @ [1, 2] == pytest.approx(-0.5, abs=1e-6)


@named(GENERAL)
def test_steps_to_where_there_is_no_value_are_shortened(algorithm):
    answer = solve(algorithm, problems.logarithm())
    x = np.roots([1, -1, 0, -2])[0].real
    np.testing.assert_allclose(answer.x, [x, 1 / x], atol=2e-7)
    np.testing.assert_allclose(answer.y, [2 / x ** 2], atol=1e-6)


@named(GENERAL)
def test_ranges_free_rows_and_fixed_variables(algorithm):
    problem = problems.ranges()
    answer = solve(algorithm, problem)
    np.testing.assert_allclose(answer.x, [1.25, 0.25, 1.5], atol=2e-7)
    np.testing.assert_allclose(answer.y, [-1.5, 0, 0], atol=1e-7)
    np.testing.assert_allclose(answer.z, [0, 0, 2.5], atol=1e-7)
    assert answer.x[2] == 1.5


def best_on_circle(square):
    """Rosenbrock's function on a circle, by its angle; f* and the angle."""
    f = problems.rosenbrock_on_circle().f[0]
    found = minimize_scalar(lambda a: f(np.sqrt(square) * np.array([np.cos(a), np.sin(a)])), bounds=(0.3, 1.2),
                            method="bounded", options={"xatol": 1e-12})
    return float(found.fun), float(found.x)


@named(GENERAL)
def test_rosenbrock_on_a_circle(algorithm):
    answer = solve(algorithm, problems.rosenbrock_on_circle())
    angle = best_on_circle(1.0)[1]
    worth = (best_on_circle(1.001)[0] - best_on_circle(0.999)[0]) / 0.002
    np.testing.assert_allclose(answer.x, [np.cos(angle), np.sin(angle)], atol=3e-7)
    np.testing.assert_allclose(answer.y, [worth], atol=1e-5)


@named([*GENERAL, GradientDescent(), GradientDescent(lookback=1)])
def test_bounds_only(algorithm):
    answer = solve(algorithm, problems.rosenbrock_in_box())
    np.testing.assert_allclose(answer.x, [0.8, 0.64], atol=1e-6)
    np.testing.assert_allclose(answer.z, [-0.4, 0], atol=1e-5)


def test_newton_ends_exactly_at_the_bounds_it_reaches():
    answer = solve(LagrangeNewton(), problems.hs71())
    assert answer.x[0] == 1.0
    assert np.all(answer.z[1:] == 0)
    check_kkt(problems.hs71(), answer, 1e-13)


# signs: a multiplier is df*/d bound ------------------------------------------------------------------------


def slopes_of_optimum(algorithm, make, bounds, h=1e-3):
    """df*/d(each entry of the named bounds), by central differences of solutions; both bounds where they are equal."""
    def value(names, index, change):
        problem = make()
        for name in names:
            side = getattr(problem, name).copy()
            side[index] += change
            setattr(problem, name, side)
        return problem.objective(solve(algorithm, problem, tolerance=1e-9).x)

    return np.array([(value(names, i, h) - value(names, i, -h)) / (2 * h) for names, i in bounds])


@named([*PRECISE, ArrowHurwicz()])
def test_multipliers_are_the_worth_of_bounds(algorithm):
    answer = solve(algorithm, problems.hs71())
    bounds = [(("row_lower",), 0), (("row_lower", "row_upper"), 1), (("lower",), 0), (("upper",), 1)]
    worth = slopes_of_optimum(algorithm, problems.hs71, bounds)
    np.testing.assert_allclose(worth, [*answer.y, answer.z[0], 0.0], atol=2e-5)


@named(PRECISE)
def test_multipliers_of_upper_bounds(algorithm):
    answer = solve(algorithm, problems.ranges())
    bounds = [(("row_upper",), 0), (("row_lower",), 0), (("row_lower",), 2), (("lower", "upper"), 2)]
    worth = slopes_of_optimum(algorithm, problems.ranges, bounds)
    np.testing.assert_allclose(worth, [answer.y[0], 0.0, 0.0, answer.z[2]], atol=1e-5)


# convergence -----------------------------------------------------------------------------------------------


def distances(problem, optimum, algorithm):
    monitor = Monitor()
    algorithm.run(problem, Settings(tolerance=1e-12), monitor)
    return np.array([np.linalg.norm(iteration.x - optimum) for iteration in monitor.history])


def test_lagrange_newton_converges_quadratically():
    x = solve(LagrangeNewton(), problems.rosenbrock_on_circle(), tolerance=1e-12).x
    away = distances(problems.rosenbrock_on_circle(), x, LagrangeNewton())
    near = away[(away < 0.1) & (away > 1e-14)]
    assert len(near) >= 3
    assert np.all(near[1:] <= 10 * near[:-1] ** 2 + 1e-15)
    assert near[-1] < 1e-8


def test_second_order_corrections_keep_full_steps_on_a_circle(monkeypatch):
    """Full steps from the circle are refused without them, however near (1, 0) they start (Maratos)."""
    away = distances(problems.maratos(0.1), [1.0, 0.0], LagrangeNewton())
    assert away[0] > 0.09 and away[1] < 0.01 and away[2] < 1e-5
    monkeypatch.setattr("lagrange_ad.optimizers.lagrange_newton._Run._second", lambda *_: None)
    without = distances(problems.maratos(0.1), [1.0, 0.0], LagrangeNewton())
    assert without[1] > 0.05


@pytest.mark.parametrize("angle", [0.3, 1.0, 2.0])
def test_maratos_problem(angle):
    answer = solve(LagrangeNewton(), problems.maratos(angle))
    np.testing.assert_allclose(answer.x, [1, 0], atol=1e-7)
    np.testing.assert_allclose(answer.y, [1.5], atol=1e-7)


@named([LagrangeNewton(), AugmentedLagrangian(), AugmentedLagrangian(order=1)])
def test_large_sparse_problem(algorithm, monkeypatch):
    """n = 10⁴ with 5000 rows; nothing of n × m is ever made, which would be refused here."""
    from scipy import sparse

    def refuse(self, *args, **kwargs):
        raise AssertionError("a sparse matrix was made dense")

    for kind in (sparse.csr_array, sparse.csc_array, sparse.coo_array):
        monkeypatch.setattr(kind, "toarray", refuse)
        monkeypatch.setattr(kind, "todense", refuse)
    problem = problems.Pairs(10 ** 4)
    answer = solve(algorithm, problem)
    u, v, t, b = answer.x[::2], answer.x[1::2], problem.t, problem.b
    for k in (0, 1234, 4999):
        roots = np.roots([4, 0, 4 - 4 * b[k] + 1, -t[k]])
        best = min((r.real for r in roots if abs(r.imag) < 1e-9),
                   key=lambda s, k=k: (b[k] - s * s - 1) ** 2 + (s - t[k]) ** 2 / 2)
        assert v[k] == pytest.approx(best, abs=1e-6)
    np.testing.assert_allclose(answer.y, 2 * (u - 1), atol=1e-6)
    check_kkt(problem, answer, 1e-6)


# where there is no second derivative, or only products of it -------------------------------------------------


class ProductsOnly(problems.Written):
    """A written problem that hides its Hessian's structure."""

    def __init__(self, of):
        self.__dict__.update(of.__dict__)
        self.full, self.hessian_structure, self.products = of, None, 0

    def hessian_product(self, x, sigma, y, v):
        self.products += 1
        return self.full.hessian_product(x, sigma, y, v)


@named([LagrangeNewton(), AugmentedLagrangian()])
def test_hessians_from_products(algorithm):
    problem = ProductsOnly(problems.hs71())
    answer = solve(algorithm, problem)
    np.testing.assert_allclose(answer.y, [0.55229366, -0.16146857], atol=1e-7)
    assert problem.products > 0


def test_newton_directions_by_conjugate_gradients(monkeypatch):
    monkeypatch.setattr("lagrange_ad.optimizers.penalized.PRODUCTS", 1)
    problem = ProductsOnly(problems.hs71())
    answer = solve(AugmentedLagrangian(order=2), problem)
    np.testing.assert_allclose(answer.x, [1.0, 4.7429996, 3.8211500, 1.3794083], atol=2e-7)
    wells = ProductsOnly(problems.double_well())
    assert abs(solve(AugmentedLagrangian(), wells).x[0]) > 0.9


@named([LagrangeNewton(), AugmentedLagrangian()])
def test_without_second_derivatives(algorithm):
    problem = problems.hs71()
    problem.second_order = False
    problem.hessian = None
    answer = solve(algorithm, problem)
    np.testing.assert_allclose(answer.y, [0.55229366, -0.16146857], atol=1e-7)


def test_dense_hessians_of_many_variables_are_refused():
    problem = problems.Pairs(10 ** 4)
    problem.hessian_structure = None
    with pytest.raises(DeclarationError, match=r"dense Hessian of 10000 variables.*augmented-lagrangian"):
        LagrangeNewton().run(problem, Settings(), Monitor())
    problem.second_order = False
    for algorithm in (LagrangeNewton(hessian="exact"), AugmentedLagrangian(order=2)):
        with pytest.raises(DeclarationError, match="needs second derivatives"):
            algorithm.run(problem, Settings(), Monitor())


# the method of auxiliary coordinates -------------------------------------------------------------------------


def nested():
    """The circle as a system: y is the unknown that its row determines, x the decision."""
    problem = problems.circle()
    problem.coordinates = np.array([False, True])
    return problem


def test_auxiliary_coordinates():
    answer = solve(AuxiliaryCoordinates(), nested())
    np.testing.assert_allclose(answer.x, [-1, -1], atol=1e-6)
    np.testing.assert_allclose(answer.y, [-0.5], atol=1e-6)


def test_plain_penalty_has_its_multipliers_from_what_equations_leave():
    problem = nested()
    answer = AuxiliaryCoordinates(shifted=False, penalty=20.0).run(problem, Settings(), Monitor())
    assert answer.reason == "stalled" and "shifted=True" in answer.message
    left = problem.constraints(answer.x) - 2
    assert answer.y[0] == pytest.approx(-0.5, abs=0.05)
    penalty = -answer.y[0] / left[0]
    assert np.log(penalty / 20) / np.log(5) == pytest.approx(round(np.log(penalty / 20) / np.log(5)), abs=1e-9)


def test_auxiliary_coordinates_needs_to_know_them():
    with pytest.raises(DeclarationError, match=r"nobody told them apart: choose a space that keeps unknowns"):
        AuxiliaryCoordinates().run(problems.circle(), Settings(), Monitor())
    problem = problems.circle()
    problem.coordinates = np.array([False, False])
    with pytest.raises(DeclarationError, match="no unknowns are kept"):
        AuxiliaryCoordinates().run(problem, Settings(), Monitor())


# failures, and who stops them ----------------------------------------------------------------------------------


@named(GENERAL)
@pytest.mark.parametrize("make", [problems.no_circle, problems.contradiction_in_box], ids=lambda make: make.__name__)
def test_infeasible_problems_are_told(make, algorithm):
    problem = make()
    answer = algorithm.run(problem, Settings(), Monitor())
    assert answer.reason == "infeasible" and "row 0 is violated by 1;" in answer.message
    least = [0, 0] if make is problems.no_circle else [1, 1]
    np.testing.assert_allclose(answer.x, least, atol=1e-4)


@named([LagrangeNewton(), AugmentedLagrangian(), AugmentedLagrangian(order=1), GradientDescent()])
def test_unbounded_problems_are_told(algorithm):
    problem = problems.Written([1.0, 2.0], (lambda x: x[0] ** 3 + x[1] ** 2, lambda x: [3 * x[0] ** 2, 2 * x[1]],
                                            lambda x: [[6 * x[0], 0.0], [0.0, 2.0]]))
    problem.x0 = np.array([-1.0, 2.0])
    answer = algorithm.run(problem, Settings(), Monitor())
    assert answer.reason == "unbounded"


@named([*GENERAL, GradientDescent()])
def test_a_start_without_value_is_told(algorithm):
    problem = problems.rosenbrock_in_box()

    def fails(x):
        raise SolveError("the block of 'a' did not converge")

    problem.f = (fails, *problem.f[1:])
    answer = algorithm.run(problem, Settings(), Monitor())
    assert answer.reason == "domain" and "no value at the start" in answer.message
    assert "the block of 'a' did not converge" in answer.message


@named(GENERAL)
def test_points_that_cannot_be_solved_are_backed_off_from(algorithm):
    """An evaluation that raises a LagrangeError is as one that gives NaN."""
    problem = problems.logarithm()
    f, refused = problem.f[0], []

    def objective(x):
        if x[0] <= 0:
            refused.append(x)
            raise SolveError("no value")
        return f(x)

    problem.f = (objective, *problem.f[1:])
    answer = solve(algorithm, problem)
    assert answer.x[0] == pytest.approx(1.6956207696, abs=2e-7)
    if algorithm == LagrangeNewton(hessian="bfgs"):
        assert refused


STOPPED = [*GENERAL, AuxiliaryCoordinates()]


@named(STOPPED)
def test_callback_stops(algorithm):
    monitor = Monitor(callback=lambda iteration: iteration.number == 3)
    with pytest.raises(Stopped) as stopped:
        algorithm.run(nested(), Settings(tolerance=1e-12), monitor)
    assert stopped.value.reason == "callback" and len(monitor.history) == 4


@named(STOPPED)
def test_time_limit_stops(algorithm):
    monitor = Monitor(time_limit=0.0)
    with pytest.raises(Stopped) as stopped:
        algorithm.run(nested(), Settings(), monitor)
    assert stopped.value.reason == "time" and monitor.best is not None


@named([*STOPPED, GradientDescent()])
def test_interruption_leaves_the_best_point(algorithm):
    problem = problems.rosenbrock_in_box() if isinstance(algorithm, GradientDescent) else nested()
    gradient, count = problem.gradient, [0]

    def interrupted(x):
        count[0] += 1
        if count[0] == 7:
            raise KeyboardInterrupt
        return gradient(x)

    problem.gradient = interrupted
    monitor = Monitor()
    with pytest.raises(KeyboardInterrupt):
        algorithm.run(problem, Settings(tolerance=1e-14), monitor)
    assert monitor.best is not None and monitor.best.infeasibility <= monitor.history[0].infeasibility
    assert len(monitor.history) > 1 and monitor.best_multipliers[0] is not None


@named([*STOPPED, GradientDescent()])
def test_most_iterations(algorithm):
    problem = problems.rosenbrock_in_box() if isinstance(algorithm, GradientDescent) else nested()
    answer = algorithm.run(problem, Settings(max_iterations=2, tolerance=1e-12), Monitor())
    assert answer.reason == "iterations" and answer.iterations == 2


@named([LagrangeNewton(), AugmentedLagrangian()])
def test_multipliers_to_start_from_save_iterations(algorithm):
    cold = solve(algorithm, problems.hs71())
    problem = problems.hs71()
    problem.x0 = cold.x
    warm = solve(algorithm, problem, y0=cold.y, z0=cold.z)
    assert warm.iterations < cold.iterations
    np.testing.assert_allclose(warm.y, cold.y, atol=1e-7)


@pytest.mark.parametrize("make, option", [
    (AugmentedLagrangian, {"order": 3}), (AugmentedLagrangian, {"penalty": 0.0}), (LagrangeNewton, {"hessian": "no"}),
    (AugmentedLagrangian, {"growth": 1.0}), (AugmentedLagrangian, {"progress": 1.0}),
    (AugmentedLagrangian, {"memory": 0}),
    (ArrowHurwicz, {"penalty": -1.0}), (ArrowHurwicz, {"dual": 2.0}), (AuxiliaryCoordinates, {"penalty": -1.0}),
    (AuxiliaryCoordinates, {"growth": 0.5}), (AuxiliaryCoordinates, {"turns": 0}), (GradientDescent, {"lookback": 0})])
def test_options_are_checked(make, option):
    with pytest.raises(DeclarationError, match="must be"):
        make(**option)


def test_gradient_descent_takes_no_rows():
    with pytest.raises(DeclarationError, match="'gradient' takes no equations, and there are: row 0"):
        GradientDescent().run(problems.circle(), Settings(), Monitor())


def test_arrow_and_hurwicz_without_penalty():
    """A strictly convex problem, as theirs was: min ½‖x‖² on x₁ + x₂ = 2."""
    problem = problems.Written([3.0, -1.0], (lambda x: x @ x / 2, lambda x: x, lambda x: np.eye(2)),
                               (lambda x: [x.sum()], lambda x: np.ones((1, 2)), lambda x: np.zeros((1, 2, 2))),
                               rows=([2.0], [2.0]))
    answer = solve(ArrowHurwicz(penalty=0.0), problem)
    np.testing.assert_allclose(answer.x, [1, 1], atol=1e-7)
    np.testing.assert_allclose(answer.y, [1], atol=1e-7)


# on programs ---------------------------------------------------------------------------------------------------


def domke():
    """max e^c + sin c, c = e^x + e^2x, x ≤ 1/2: in the full space penalties that are too small keep no maximum."""
    p = la.Program("domke")
    x = p.input("x", 0.1, upper=0.5)
    a = p.define("a", np.exp(x))
    c = p.define("c", a + p.define("b", a ** 2))
    p.maximize(p.define("d", np.exp(c)) + np.sin(c))
    return p


@pytest.mark.parametrize("method, space", [
    ("augmented-lagrangian", "full"), ("augmented-lagrangian", "reduced"), ("lagrange-newton", "full"),
    ("lagrange-newton", "reduced"), ("arrow-hurwicz", "reduced"), ("gradient", "reduced")])
def test_programs(method, space):
    p = domke()
    found = p.optimize(method, space=space)
    at = p.evaluate(x=0.5)
    assert found.success, found.message
    assert found.objective == pytest.approx(at.objective, rel=1e-9)
    for name in "abcd":
        assert found.multiplier[name] == pytest.approx(at.multiplier[name], rel=1e-6)
    assert found.multiplier.upper["x"] == pytest.approx(at.gradient["x"], rel=1e-6)


def test_auxiliary_coordinates_of_a_program():
    p = la.Program("nested")
    x = p.input("x", 0.3, lower=-3, upper=3)
    y = p.define("y", np.sin(x) + x)
    z = p.define("z", y ** 2 / 2 + y)
    p.minimize((z - 1) ** 2 + x ** 2 / 10)
    best, found = p.optimize("lagrange-newton"), p.optimize("auxiliary-coordinates", space="full")
    assert found.success, found.message
    assert found.objective == pytest.approx(best.objective, rel=1e-8)
    assert found.multiplier["z"] == pytest.approx(best.multiplier["z"], rel=1e-5)


# the parts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n, m", [(6, 3), (120, 50)])
def test_signs_of_saddle_matrices(n, m):
    """Dense and sparse factors count eigenvalues as NumPy does, and solve as it does."""
    from scipy import sparse

    rng = np.random.default_rng(7)
    for shift in (-3.0, 0.0, 3.0):
        H = sparse.random_array((n, n), density=0.1, rng=rng)
        H = H + H.T + shift * sparse.eye_array(n) + sparse.diags_array(rng.normal(size=n))
        J = sparse.random_array((m, n), density=0.1, rng=rng) + sparse.eye_array(m, n)
        factors = Saddle(H.tocsr(), J.tocsr(), np.zeros(m), 0.0, False)
        whole = np.block([[H.toarray(), J.toarray().T], [J.toarray(), np.zeros((m, m))]])
        assert factors.signs is not None
        assert factors.signs == (np.count_nonzero(np.linalg.eigvalsh(whole) < 0) == m)
        right = rng.normal(size=n + m)
        np.testing.assert_allclose(np.concatenate(factors.solve(right[:n], right[n:])), np.linalg.solve(whole, right),
                                   rtol=1e-6, atol=1e-8)


def test_a_large_matrix_with_empty_columns_is_told_and_stepped_over():
    """Where a column has no entry at all, SuperLU writes out of bounds."""
    from scipy import sparse

    n = 300
    H, J = sparse.csr_array((n, n)), sparse.csr_array(([1.0, 1.0], ([0, 0], [0, 1])), shape=(1, n))
    assert Saddle(H, J, np.zeros(1), 0.0, False).regular is False
    step = descend(H, J, np.zeros(1), (np.ones(n), np.zeros(1)), 0.0)
    assert step.delta > 0 and abs(step.d[0] + step.d[1]) < 1e-12
    np.testing.assert_allclose(step.d[2:] * step.delta, 1.0, rtol=1e-12)


def test_a_step_descends_where_the_hessian_does_not():
    H, J = np.diag([-1.0, 2.0, -3.0]), np.array([[1.0, 0.0, 0.0]])
    step = descend(H, J, np.zeros(1), (np.array([1.0, 1.0, 1.0]), np.zeros(1)), 0.0)
    assert step.delta > 3 and step.d[0] == pytest.approx(0, abs=1e-12)
    within = descend(np.diag([-1.0, 2.0, 3.0]), J, np.zeros(1), (np.array([1.0, 1.0, 1.0]), np.zeros(1)), 0.0)
    assert within.delta == 0
    np.testing.assert_allclose(within.d, [0, 0.5, 1 / 3], atol=1e-14)


def test_prepared_problems_are_the_same_problem():
    """Scaled values, derivatives and multipliers of a problem with a fixed variable and a free row, turned back."""
    original = problems.ranges()
    prepared = Prepared(original, Monitor(), largest=1.0)
    assert (prepared.n, prepared.m) == (2, 2)
    x, rng = np.array([0.3, 0.7]), np.random.default_rng(3)
    y, v = rng.normal(size=2), rng.normal(size=2)
    whole = prepared.whole(x)
    rows = np.zeros(3)
    rows[[0, 2]] = y * prepared.sizes
    J = original.jacobian_matrix(whole).toarray()
    H = original.hessian_matrix(whole, 2.0 * prepared.size, rows).toarray()
    np.testing.assert_allclose(prepared.jacobian_matrix(x).toarray(), prepared.sizes[:, None] * J[[0, 2], :2])
    np.testing.assert_allclose(prepared.hessian_matrix(x, 2.0, y).toarray(), H[:2, :2])
    np.testing.assert_allclose(prepared.hessian_product(x, 2.0, y, v), H[:2, :2] @ v)
    np.testing.assert_allclose(prepared.gradient(x), prepared.size * original.gradient(whole)[:2])
    assert prepared.row_name(1) == "row 2" and prepared.size < 1


def test_the_augmented_lagrangian_has_its_derivatives():
    problem, y = problems.hs71(), np.array([0.4, -0.3])
    x, h, v = np.array([1.1, 4.0, 3.5, 1.5]), 1e-6, np.array([0.3, -1.0, 0.5, 2.0])
    at = Penalized(problem, x, y, 2.0)
    for j in range(4):
        step = h * np.eye(4)[j]
        slope = (Penalized(problem, x + step, y, 2.0).value - Penalized(problem, x - step, y, 2.0).value) / (2 * h)
        assert at.gradient[j] == pytest.approx(slope, abs=1e-6)
    bent = (Penalized(problem, x + h * v, y, 2.0).gradient - Penalized(problem, x - h * v, y, 2.0).gradient) / (2 * h)
    np.testing.assert_allclose(at.product(v), bent, rtol=1e-6)


def test_limited_memory_on_a_quadratic_with_bounds():
    """min ½(x − a)ᵀQ(x − a), 0 ≤ x ≤ 1: the projected slope vanishes at the end."""
    rng = np.random.default_rng(5)
    Q = rng.normal(size=(30, 30))
    Q, a = Q @ Q.T + np.eye(30), 2 * rng.normal(size=30)
    f = (lambda x: (x - a) @ Q @ (x - a) / 2, lambda x: Q @ (x - a), lambda x: Q)
    problem = problems.Written(np.full(30, 0.5), f, bounds=(0.0, 1.0))
    none = np.empty(0)
    end = minimize(lambda x: Penalized(problem, x, none, 1.0), problem.x0, (problem.lower, problem.upper), 1e-8,
                   LimitedMemory(), 2000, lambda now: None)
    assert end.reason == "solved"
    g = Q @ (end.at.x - a)
    assert np.all(np.abs(g[(end.at.x > 0) & (end.at.x < 1)]) < 1e-8)
    assert np.all(g[end.at.x == 0] >= -1e-8) and np.all(g[end.at.x == 1] <= 1e-8)


def test_a_sample_without_value_has_no_numbers():
    sample = Sample(problems.logarithm(), np.array([-1.0, 1.0]))
    assert not sample.is_good and not sample.is_smooth and np.isnan(sample.c).all()
