"""The KKT conditions at a point: active sets, residuals, multipliers, rank, curvature; certificates and sensitivities.

Oracles: closed forms, scipy.linalg.null_space with eigenvalues, and solving again with a parameter moved.
"""

import json
from typing import Any

import numpy as np
import pytest
from optimizer_problems import Quadratic, Written, circle, hs71
from scipy import linalg, optimize, sparse

from lagrange_ad.errors import DeclarationError, SingularError, SolveError
from lagrange_ad.optimization.certificate import certify
from lagrange_ad.optimizers import inertia as inertia_module
from lagrange_ad.optimizers import working as working_module
from lagrange_ad.optimizers.active import EQUAL, INACTIVE, STRONG, WEAK, active_set
from lagrange_ad.optimizers.inertia import inertia
from lagrange_ad.optimizers.kkt import Point, residuals
from lagrange_ad.optimizers.parametric import ActiveSetSensitivity, ByParameters
from lagrange_ad.optimizers.polishing import multipliers, polished
from lagrange_ad.optimizers.rank import rank

HS71 = np.array([1.0, 4.742999637, 3.821149979, 1.379408293])
HS71_Y, HS71_Z = np.array([0.5522936593, -0.1614685664]), np.array([1.087871229, 0.0, 0.0, 0.0])


def quadratic(h: Any, g: Any, a: Any = None, rows: Any = ((), ()), bounds: Any = (-np.inf, np.inf),
              x0: Any = None) -> Quadratic:
    return Quadratic(np.array(h, dtype=float), g, np.zeros((0, len(g))) if a is None else a, rows, bounds, x0)


def at(problem: Any, x: Any, y: Any = None, z: Any = None) -> Point:
    """The point with zero multipliers where none are given."""
    y = np.zeros(problem.m) if y is None else y
    return Point(problem, np.array(x, dtype=float), np.array(y, float), np.zeros(problem.n) if z is None else z)


# multipliers and polishing -------------------------------------------------------------------------------------


def test_multipliers_of_hs71_from_its_point_alone() -> None:
    y, z = multipliers(hs71(), HS71)
    np.testing.assert_allclose(y, HS71_Y, rtol=1e-6)
    np.testing.assert_allclose(z, HS71_Z, rtol=1e-6)


def test_multipliers_take_the_signs_that_bounds_want() -> None:
    """x ≥ 0 is active at a point where leaving it helps: its multiplier is 0, and the residual tells."""
    problem = quadratic(np.eye(2), [-1.0, 1.0], bounds=(0.0, np.inf))
    y, z = multipliers(problem, np.zeros(2))
    np.testing.assert_array_equal(z, [0.0, 1.0])
    assert residuals(at(problem, np.zeros(2), y, z)).stationarity.scaled_at == ("variable", 0)


def test_multipliers_of_a_degenerate_vertex_have_right_signs() -> None:
    """Three rows through one vertex in the plane: some multipliers with ∇f = Aᵀy are ≥ 0, and those are found."""
    a = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 3.0]])
    problem = quadratic(np.zeros((2, 2)), [1.0, 0.2], a, ([0.0] * 3, [np.inf] * 3))
    y, _ = multipliers(problem, np.zeros(2))
    assert (y >= 0.0).all()
    np.testing.assert_allclose(a.T @ y, [1.0, 0.2], atol=1e-12)
    assert np.linalg.lstsq(a.T, [1.0, 0.2])[0].min() < 0.0, "plain least squares has a wrong sign here"


def test_multipliers_of_many_rows_drop_wrong_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = quadratic(np.eye(3), [-1.0, 1.0, 2.0], np.array([[1.0, 1.0, 0.0]]), ([0.0], [np.inf]), (0.0, np.inf))
    expected = multipliers(problem, np.zeros(3))
    monkeypatch.setattr("lagrange_ad.optimizers.polishing.SMALL", 0)
    found = multipliers(problem, np.zeros(3))
    for some in (expected, found):
        assert some[0].tolist() == [0.0] and some[1].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("error", [1e-3, 1e-5, 1e-8])
def test_polishing_brings_hs71_to_rounding(error: float) -> None:
    start = HS71 + error * np.array([0.0, 0.3, -0.2, 0.1])
    found = polished(hs71(), start, HS71_Y * (1 + error), HS71_Z)
    assert found.steps and found.after < 1e-14 < found.before
    assert found.x[0] == 1.0
    assert residuals(Point(hs71(), found.x, found.y, found.z)).primal.absolute < 1e-13


def test_polishing_goes_to_no_other_point() -> None:
    """At a point that is no solution nothing is near; a bound that is not near is not taken for active."""
    x = np.array([1.0, 5.0, 5.0, 1.0])
    found = polished(hs71(), x, np.zeros(2), np.zeros(4))
    assert found.steps == 0 and np.array_equal(found.x, x)
    # x ≤ 1 is not active at 0.99, but the minimum without it is beyond it; at 0.9999 it is near enough to be tried
    problem = quadratic([[1.0]], [-1.00001], bounds=(-np.inf, 1.0))
    found = polished(problem, np.array([0.99]), np.zeros(0), np.zeros(1))
    assert found.steps == 0 and found.x[0] == 0.99
    near = polished(problem, np.array([0.9999]), np.zeros(0), np.zeros(1))
    assert near.x[0] == 1.0 and near.z[0] == pytest.approx(-1e-5)


def test_polishing_of_an_interior_point_finds_which_bounds_are_active() -> None:
    """min ½|x − t|² with x ≤ 0 on the central path: slacks and multipliers, of products 1e-9."""
    t = np.concatenate([-np.logspace(-6, -1, 12), np.logspace(-6, -1, 12)])
    slack = (-t + np.sqrt(t**2 + 4e-9)) / 2  # x = −slack, multiplier −1e-9/slack = t − x
    problem = quadratic(np.eye(24), -t, bounds=(-np.inf, 0.0))
    found = polished(problem, -slack, np.zeros(0), -1e-9 / slack)
    np.testing.assert_allclose(found.x, np.minimum(t, 0.0), atol=1e-15)
    np.testing.assert_allclose(found.z, -np.maximum(t, 0.0), atol=1e-15)


def test_polishing_leaves_points_without_a_value() -> None:
    problem = Written([1.0], (lambda x: np.log(x[0]), lambda x: 1 / x, lambda x: [-1 / x**2]))
    with np.errstate(all="ignore"):
        found = polished(problem, np.array([-1.0]), np.zeros(0), np.zeros(1))
    assert found.x[0] == -1.0 and found.steps == 0


def test_polishing_without_second_derivatives_improves_multipliers_alone() -> None:
    problem = hs71()
    problem.second_order = False
    found = polished(problem, HS71, np.zeros(2), np.zeros(4))
    assert np.array_equal(found.x, HS71) and found.after < 1e-6 < found.before
    np.testing.assert_allclose(found.y, HS71_Y, rtol=1e-5)


# active sets and residuals -------------------------------------------------------------------------------------


def test_active_set_of_hs71() -> None:
    found = active_set(at(hs71(), HS71, HS71_Y, HS71_Z))
    assert found.rows.tolist() == [STRONG, EQUAL]
    assert found.bounds.tolist() == [STRONG, INACTIVE, INACTIVE, INACTIVE]
    assert found.row_side.tolist() == [-1, 0] and found.bound_side[0] == -1


def test_iterates_inside_their_bounds_are_told_by_their_multipliers() -> None:
    """Slack 1e-5 with multiplier 1 is active, slack 1 with multiplier 1e-9 is not; 0 with 0 is weakly active."""
    problem = quadratic(np.eye(3), [1.0, -1.0, 0.0], bounds=(0.0, np.inf))
    found = active_set(at(problem, [1e-5, 1.0, 1e-12], z=np.array([1.0, 1e-9, 0.0])))
    assert found.bounds.tolist() == [STRONG, INACTIVE, WEAK]


def test_fixed_variables_and_violated_rows() -> None:
    problem = quadratic(np.eye(2), [0.0, 0.0], [[1.0, 1.0]], ([3.0], [np.inf]), ([1.0, -np.inf], [1.0, np.inf]))
    found = active_set(at(problem, [1.0, 1.0]))
    assert found.bounds.tolist() == [EQUAL, INACTIVE]
    assert found.rows.tolist() == [WEAK] and found.violated_rows.tolist() == [True]
    measured = residuals(at(problem, [1.0, 1.0])).primal
    assert measured.absolute == pytest.approx(1.0) and measured.at == ("row", 0)


def test_residuals_by_hand() -> None:
    problem = quadratic(np.eye(2), [-3.0, 1.0], [[2.0, 1.0]], ([0.0], [4.0]), (0.0, 10.0))
    found = residuals(at(problem, [2.5, 0.0], [-1.0], np.array([0.0, 1.5])))
    assert found.primal.absolute == pytest.approx(1.0) and found.primal.at == ("row", 0)
    assert found.stationarity.absolute == pytest.approx(1.5)  # 2.5 − 3 + 2 and 1 + 1 − 1.5
    assert found.stationarity.at == ("variable", 0)
    assert found.complementarity.absolute == 0.0  # an excess is counted once, as such
    assert found.signs.absolute == 0.0


def test_wrong_signs_and_multipliers_away_from_bounds() -> None:
    problem = quadratic(np.eye(2), [1.0, -1.0], bounds=(0.0, np.inf))
    wrong = residuals(at(problem, [0.0, 0.0], z=np.array([1.0, -1.0])))
    assert wrong.signs.absolute == 1.0 and wrong.signs.at == ("variable", 1)
    away = residuals(at(problem, [3.0, 1.0], z=np.array([4.0, 0.0])))
    assert away.complementarity.absolute == pytest.approx(12.0) and away.complementarity.at == ("variable", 0)
    both = quadratic(np.eye(1), [-2.0], bounds=(0.0, 1.0))
    assert residuals(at(both, [1.0], z=np.array([1.0]))).signs.absolute == 1.0  # at its upper bound


@pytest.mark.parametrize("factor", [1e-8, 1e-3, 1e3, 1e8])
def test_units_of_rows_and_objective_change_scaled_numbers_little(factor: float) -> None:
    """min f/k on rows times k: multipliers are divided by k², what is scaled stays, but for gradients below 1."""
    h, g, a = np.diag([2.0, 3.0]), np.array([-3.0, -2.0]), np.array([[1.0, 2.0]])
    x = np.array([0.9, 0.05])
    plain = quadratic(h, g, a, ([-1.0], [1.0]))
    other = quadratic(h / factor, g / factor, factor * a, ([-factor], [factor]))
    y, z = multipliers(plain, x)
    first = residuals(at(plain, x, y, z))
    second = residuals(at(other, x, *multipliers(other, x)))
    assert first.stationarity.scaled == pytest.approx(second.stationarity.scaled, rel=0.6)
    assert first.primal.scaled == pytest.approx(second.primal.scaled, abs=1e-14)
    assert second.stationarity.absolute == pytest.approx(first.stationarity.absolute / factor)


# rank ----------------------------------------------------------------------------------------------------------


def rank_of(problem: Any, x: Any) -> Any:
    point = at(problem, x, *multipliers(problem, np.array(x, dtype=float)))
    return rank(point, active_set(point))


def test_licq_of_hs71_and_of_rows_that_say_the_same() -> None:
    assert rank_of(hs71(), HS71).verdict == "independent"
    twice = quadratic(np.eye(3), np.zeros(3), [[1, 1, 0], [0, 1, 1], [2, 2, 0]], ([1.0, 1.0, 2.0], [1.0, 1.0, 2.0]))
    found = rank_of(twice, [0.5, 0.5, 0.5])
    assert (found.verdict, found.active, found.missing) == ("dependent", 3, 1)
    assert found.dependencies[0].rows.tolist() == [0, 2]
    factors = found.dependencies[0].of_rows
    assert factors[0] / factors[1] == pytest.approx(-2.0)


def test_licq_fails_between_a_row_and_a_bound() -> None:
    problem = quadratic(np.eye(2), [1.0, 0.0], [[3.0, 0.0]], ([0.0], [np.inf]), (0.0, np.inf))
    found = rank_of(problem, [0.0, 1.0])
    assert found.verdict == "dependent"
    assert found.dependencies[0].rows.tolist() == [0] and found.dependencies[0].variables.tolist() == [0]
    np.testing.assert_allclose(found.dependencies[0].of_variables / found.dependencies[0].of_rows, -3.0)


@pytest.mark.parametrize("kind", ["independent", "dependent", "undecided"])
@pytest.mark.parametrize("large", [False, True])
def test_rank_is_that_of_the_singular_values(kind: str, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    a = rng.standard_normal((12, 30)) * (rng.random((12, 30)) < 0.3)
    a[:, :12] += np.eye(12)
    if kind != "independent":
        a[7] = 2 * a[2] - a[5] + (0.0 if kind == "dependent" else 1e-9) * a[7]
    problem = quadratic(np.eye(30), np.zeros(30), a, (np.zeros(12), np.zeros(12)))
    if large:
        force_large(monkeypatch)
        if kind == "undecided":
            kind = "dependent"  # a combination of 1e-9 is what an iteration sees of 0
    found = rank_of(problem, np.zeros(30))
    assert found.how == ("iterated" if large else "dense")
    assert found.verdict == kind
    if kind == "dependent":
        assert found.missing == 1 and found.dependencies[0].rows.tolist() == [2, 5, 7]
        assert np.linalg.norm(a[found.dependencies[0].rows].T @ found.dependencies[0].of_rows) < 1e-7


def force_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything by the algorithms of large problems."""
    monkeypatch.setattr(working_module, "SMALL", 0)
    monkeypatch.setattr(working_module, "DENSE", 0)
    monkeypatch.setattr(inertia_module, "DENSE", 0)


# inertia -------------------------------------------------------------------------------------------------------


def inertia_of(problem: Any, x: Any, y: Any = None, z: Any = None) -> Any:
    point = at(problem, x, y, z)
    return inertia(point, active_set(point))


def test_minimum_and_maximum_on_the_circle() -> None:
    assert inertia_of(circle(), [-1.0, -1.0], [-0.5]).verdict == "minimum"
    found = inertia_of(circle(), [1.0, 1.0], [0.5])
    assert found.verdict == "saddle" and (found.negative, found.degrees) == (1, 1)
    np.testing.assert_allclose(found.direction[0], -found.direction[1])
    assert inertia_of(hs71(), HS71, HS71_Y, HS71_Z).verdict == "minimum"


def test_a_vertex_is_a_minimum_and_flat_directions_are_undecided() -> None:
    vertex = quadratic(-np.eye(2), [2.0, 2.0], bounds=(0.0, 1.0))
    assert inertia_of(vertex, [0.0, 0.0], z=np.array([2.0, 2.0])).verdict == "minimum"
    flat = inertia_of(quadratic(np.ones((2, 2)), [0.0, 0.0]), [0.0, 0.0])
    assert (flat.verdict, flat.zero, flat.positive, flat.negative) == ("undecided", 1, 1, 0)
    np.testing.assert_allclose(flat.direction[0], -flat.direction[1])
    linear = Quadratic(np.zeros((2, 2)), [1.0, 0.0], np.zeros((0, 2)), ((), ()), (0.0, 1.0))
    assert not len(linear.hessian_structure[0])
    found = inertia_of(linear, [0.0, 0.3], z=np.array([1.0, 0.0]))
    assert found.verdict == "minimum" and found.linear


@pytest.mark.parametrize(("curvature", "a", "expected"), [
    (1.0, [[0.0, 1.0]], "minimum"),                    # y² with y ≥ 0 at 0: sufficient without it
    (-1.0, [[0.0, 1.0]], "saddle"),                    # −y²: y may grow
    (-1.0, [[0.0, 1.0], [0.0, -1.0]], "undecided"),    # −y² with y ≥ 0 and −y ≥ 0: first order does not see it
])  # fmt: skip
def test_weakly_active_rows(curvature: float, a: Any, expected: str) -> None:
    problem = quadratic(np.diag([1.0, curvature]), [0.0, 0.0], a, ([0.0] * len(a), [np.inf] * len(a)))
    found = inertia_of(problem, [0.0, 0.0])
    assert (found.verdict, found.weak) == (expected, len(a))


def test_weakly_active_and_negative_along_it_too() -> None:
    """−x² + y² with y ≥ 0 weakly active at 0: f falls along x."""
    problem = quadratic(np.diag([-1.0, 1.0]), [0.0, 0.0], bounds=([-np.inf, 0.0], np.inf))
    found = inertia_of(problem, [0.0, 0.0])
    assert found.verdict == "saddle"
    np.testing.assert_allclose(np.abs(found.direction), [1.0, 0.0], atol=1e-9)


def random_quadratic(seed: int, n: int = 40, m: int = 12) -> tuple[Quadratic, Any, Any]:
    """A sparse quadratic problem at 0 with the eigenvalues of its reduced Hessian."""
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((n, n)) * (rng.random((n, n)) < 0.1)
    h = half + half.T + np.diag(10.0 ** rng.uniform(-2, 2, n) * np.where(rng.random(n) < 0.3, -1, 1))
    a = rng.standard_normal((m, n)) * (rng.random((m, n)) < 0.2)
    a[:, :m] += np.eye(m)
    if seed % 2:
        h += (1.0 - min(0.0, np.linalg.eigvalsh(h)[0])) * np.eye(n)
    basis = linalg.null_space(a)
    return quadratic(h, np.zeros(n), a, (np.zeros(m), np.zeros(m))), h, linalg.eigvalsh(basis.T @ h @ basis)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_inertia_is_that_of_a_null_space_basis(seed: int, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, h, values = random_quadratic(seed)
    if large:
        force_large(monkeypatch)
    found = inertia_of(problem, np.zeros(40))
    assert found.verdict == ("saddle" if values[0] < 0 else "minimum")
    assert found.degrees == 28
    if found.negative is not None:
        assert found.negative == (values < 0).sum()
    if found.verdict == "saddle":
        d = found.direction
        assert d @ h @ d < 0 and np.abs(problem.a @ d).max() < 1e-6
    else:
        assert found.smallest > 0


def test_inertia_with_products_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in (0, 1):
        problem, h, values = random_quadratic(seed)
        problem.hessian_structure = None
        problem.hessian_product = lambda x, sigma, y, v, h=h: sigma * h @ v  # type: ignore[method-assign]
        expected = "saddle" if values[0] < 0 else "minimum"
        assert inertia_of(problem, np.zeros(40)).verdict == expected
        with monkeypatch.context() as patch:
            force_large(patch)
            assert inertia_of(problem, np.zeros(40)).verdict in (expected, "undecided")


@pytest.mark.parametrize("bend", [1.0, 0.0, -1.0])
def test_a_large_chain(bend: float) -> None:
    """Σ(x_{k+1} − x_k)² with x_0 = 0 given by a row, 3000 variables; the last term decides: bend·x_last²."""
    n = 3000
    difference = sparse.diags_array([-np.ones(n - 1), np.ones(n - 1)], offsets=[0, 1], shape=(n - 1, n))
    h = (difference.T @ difference).tolil()
    h[n - 1, n - 1] += 10.0 * bend
    a = sparse.csr_array(([1.0], ([0], [0])), shape=(1, n))
    problem = Quadratic(sparse.csr_array(h), np.zeros(n), a, ([0.0], [0.0]))
    found = inertia_of(problem, np.zeros(n))
    # with bend ≥ 0 the smallest curvature is about (π/2n)² = 3e-7 of 1, that is small but not 0
    assert found.verdict == ("saddle" if bend < 0 else "minimum")
    assert found.how == ("lanczos" if bend < 0 else "pivots")
    if bend == 0.0:
        size = abs(h).max()
        exact = 2 * (1 - np.cos(np.pi / (2 * n - 1)))
        assert found.smallest * size == pytest.approx(exact, rel=0.6)


# certificates --------------------------------------------------------------------------------------------------


class Named(Quadratic):
    """A quadratic problem whose rows and variables have names."""

    def variable_name(self, j: int) -> str:
        return "uvw"[j]

    def row_name(self, i: int) -> str:
        return f"g{i + 1}"


def named(h: Any, g: Any, a: Any = None, rows: Any = ((), ()), bounds: Any = (-np.inf, np.inf)) -> Named:
    return Named(np.array(h, dtype=float), g, np.zeros((0, len(g))) if a is None else a, rows, bounds)


def test_certificate_of_an_optimum() -> None:
    found = certify(hs71(), HS71, HS71_Y, HS71_Z)
    assert found.ok and not found.findings
    assert found.verdict == "strict local minimum; the KKT conditions hold"
    assert [some[:2] for some in found.constraints] == [("row 0", "lower"), ("x[0]", "lower")]
    text = str(found)
    assert "certificate: strict local minimum" in text and "1.087871" in text
    assert "<table>" in found._repr_html_()
    data = json.loads(json.dumps(found.to_dict()))
    assert data["ok"] and data["second_order"]["verdict"] == "minimum" and data["licq"]["verdict"] == "independent"


def test_certificate_without_multipliers_estimates_them() -> None:
    found = certify(hs71(), HS71, None, None)
    assert found.ok and found.findings[0].kind == "multipliers"
    z_alone = certify(hs71(), HS71, HS71_Y, None)
    np.testing.assert_allclose(z_alone.point.z, HS71_Z, atol=1e-7)


def test_certificate_says_what_fails_first_and_by_name() -> None:
    problem = named(np.eye(2), [-3.0, -3.0], [[1.0, 1.0]], ([-np.inf], [2.0]), (0.0, 10.0))
    found = certify(problem, np.array([1.5, 1.0]), np.array([-1.5]), np.zeros(2))
    assert not found.ok
    first = found.findings[0]
    assert first.kind == "infeasible" and first.equations == ["g1"]
    assert str(found).startswith(
        "certificate: no minimum\nerror: g1 is violated by 0.5: it is 2.5 where 2 is the limit\n")
    kinds = [finding.kind for finding in found.findings]
    assert kinds == ["infeasible", "stationarity"]
    assert found.findings[1].variables == ["v"] and "∂L/∂v = -0.5" in found.findings[1].message
    assert found.verdict.endswith("(and 1 more)")


def test_certificate_of_a_maximization_speaks_of_it() -> None:
    """maximize u − u²/2 + … is min of its negative: signs of multipliers and derivatives are the user's."""
    problem = named([[1.0, 0.0], [0.0, -1.0]], [-3.0, 0.0], bounds=(-np.inf, [2.0, np.inf]))
    found = certify(problem, np.array([2.0, 0.0]), np.zeros(0), np.array([-1.0, 0.0]), sign=-1.0)
    assert not found.ok and found.verdict == "this is a minimum, no maximum: the objective rises along v"
    assert found.constraints == [("u", "upper", 2.0, 1.0, "strongly active")]
    away = certify(problem, np.array([1.0, 0.0]), np.zeros(0), np.zeros(2), sign=-1.0)
    assert "∂L/∂u = 2" in away.findings[0].message  # J = 3u − u²/2 …: dJ/du = 2 at 1


def test_certificate_of_a_saddle_and_of_flat_directions() -> None:
    saddle = certify(named(np.diag([1.0, -1.0]), [0.0, 0.0]), np.zeros(2), np.zeros(0), np.zeros(2))
    assert saddle.verdict == "this is a saddle, no minimum: the objective falls along v"
    flat = certify(named(np.ones((2, 2)), [0.0, 0.0]), np.zeros(2), np.zeros(0), np.zeros(2))
    assert flat.ok and "undecided" in flat.verdict
    assert "does not curve along" in flat.of_kind("curvature")[0].message


def test_certificate_of_dependent_rows() -> None:
    problem = named(np.eye(2), [-3.0, 0.0], [[1.0, 1.0], [2.0, 2.0]], ([-np.inf] * 2, [1.0, 2.0]))
    found = certify(problem, np.array([2.0, -1.0]), None, None)
    assert found.ok
    licq = found.of_kind("licq")[0]
    assert licq.severity == "warning" and sorted(licq.equations) == ["g1", "g2"]
    assert "not unique" in licq.message and "∇g1" in licq.details[0]


def test_certificate_where_no_multipliers_exist() -> None:
    """min x on x² ≤ 0: 0 is the minimum, without multipliers (its gradient vanishes there)."""
    problem = Written([0.0], (lambda x: x[0], lambda x: [1.0], lambda x: [[0.0]]),
                      (lambda x: x**2, lambda x: [2 * x], lambda x: [[[2.0]]]), ([-np.inf], [0.0]))
    found = certify(problem, np.zeros(1), None, None)
    assert not found.ok and "no multipliers make it 0" in found.findings[0].message
    assert found.of_kind("licq")


def test_certificate_of_wrong_signs_weak_bounds_and_of_no_second_derivatives() -> None:
    problem = named(np.eye(2), [1.0, -1.0], bounds=(0.0, np.inf))
    wrong = certify(problem, np.zeros(2), np.zeros(0), np.array([1.0, -1.0]))
    assert wrong.findings[0].kind == "sign" and "off its bound the objective is less" in wrong.findings[0].message
    weak = certify(named(np.eye(2), [0.0, 0.0], bounds=(0.0, np.inf)), np.zeros(2), np.zeros(0), np.zeros(2))
    assert weak.ok and weak.of_kind("weak") and weak.constraints[0][-1] == "weakly active"
    problem = hs71()
    problem.second_order = False
    first_order = certify(problem, HS71, HS71_Y, HS71_Z)
    assert first_order.ok and "not known" in first_order.verdict


def test_certificate_where_there_is_no_value() -> None:
    problem = Written([1.0], (lambda x: np.log(x[0]), lambda x: 1 / x, lambda x: [-1 / x**2]))
    found = certify(problem, np.array([-1.0]), None, None)
    assert not found.ok and found.findings[0].kind == "domain" and "no value here" in str(found)

    def unsolved(x: Any) -> Any:
        raise SolveError("block {y} did not converge")

    failing = Written([1.0], (unsolved, unsolved, unsolved))
    assert "did not converge" in certify(failing, np.ones(1), None, None).verdict
    json.dumps(certify(failing, np.ones(1), None, None).to_dict())


# sensitivities -------------------------------------------------------------------------------------------------


def parametric(p: Any) -> Written:
    """min ½|x|² + p0·x0·x1 − 3 x0 − x2, x0 + x1² ≤ p1, x0 − x2 = 0.2·p0², x2 ≥ 0, x1 ≥ p2; n = 3."""
    def hessian(x: Any) -> Any:
        h = np.eye(3)
        h[0, 1] = h[1, 0] = p[0]
        return h

    second = np.zeros((2, 3, 3))
    second[0, 1, 1] = 2.0
    return Written(
        [0.5, 0.5, 0.5],
        (lambda x: x @ x / 2 + p[0] * x[0] * x[1] - 3 * x[0] - x[2],
         lambda x: x + np.array([p[0] * x[1] - 3, p[0] * x[0], -1.0]), hessian),
        (lambda x: [x[0] + x[1] ** 2, x[0] - x[2]], lambda x: [[1, 2 * x[1], 0], [1, 0, -1]], lambda x: second),
        ([-np.inf, 0.2 * p[0] ** 2], [p[1], 0.2 * p[0] ** 2]), ([-np.inf, p[2], 0.0], np.inf))


def solved(p: Any) -> tuple[Any, Any, Any, Any]:
    """Problem, x, y, z at its optimum, by SciPy and polishing."""
    problem = parametric(p)
    rows = [optimize.NonlinearConstraint(lambda x, i=i: problem.constraints(x)[i], problem.row_lower[i],
                                         problem.row_upper[i], jac=lambda x, i=i: problem.jacobian(x).reshape(2, 3)[i])
            for i in range(2)]
    found = optimize.minimize(problem.objective, problem.x0, jac=problem.gradient, method="SLSQP", constraints=rows,
                              bounds=optimize.Bounds(problem.lower, problem.upper), options={"ftol": 1e-14})
    best = polished(problem, found.x, *multipliers(problem, found.x))
    assert best.after < 1e-13
    return problem, best.x, best.y, best.z


def sensitivity(p: Any) -> tuple[ActiveSetSensitivity, Any, Any, Any]:
    problem, x, y, z = solved(p)
    by_p = np.zeros((3, 3))
    by_p[0, 0], by_p[1, 0] = x[1], x[0]
    low, high, bounds = np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((3, 3))
    high[0, 1], low[1, 0], high[1, 0] = 1.0, 0.4 * p[0], 0.4 * p[0]
    bounds[1, 2] = 1.0
    by = ByParameters(by_p, np.zeros((2, 3)), np.array([x[0] * x[1], 0.0, 0.0]), low, high, bounds)
    return ActiveSetSensitivity(problem, x, y, z, by), x, y, z


@pytest.mark.parametrize("p", [[0.5, 1.0, -5.0], [0.5, 5.0, -5.0], [0.5, 1.0, 0.3], [0.3, 5.0, 0.1]])
def test_sensitivities_are_those_of_solving_again(p: Any) -> None:
    found, *_ = sensitivity(p)
    for k in range(3):
        h, ends = 1e-4, []
        for way in (-1, 1):
            moved = np.array(p)
            moved[k] += way * h
            ends.append(solved(moved))
        low, high = ends
        for value, which in ((found.dx, 1), (found.dy, 2), (found.dz, 3)):
            np.testing.assert_allclose(value[:, k], (high[which] - low[which]) / (2 * h), atol=2e-6)
        change = (high[0].objective(high[1]) - low[0].objective(low[1])) / (2 * h)
        assert found.dobjective[k] == pytest.approx(change, abs=1e-6)


def test_how_far_a_parameter_may_move() -> None:
    """min ½(u − p)² + ½ v² − v, u ≤ 2, v ≥ 0 at p = 1: u reaches its bound at p = 2; at p = 3 it leaves it at 2."""
    def made(p: float) -> ActiveSetSensitivity:
        problem = named(np.eye(2), [-p, -1.0], bounds=([-np.inf, 0.0], [2.0, np.inf]))
        x = np.array([min(p, 2.0), 1.0])
        z = np.array([min(2.0 - p, 0.0), 0.0])
        by = ByParameters(np.array([[-1.0], [0.0]]), np.zeros((0, 1)), np.zeros(1))
        return ActiveSetSensitivity(problem, x, np.zeros(0), z, by)

    below, above, weak = made(1.0), made(3.0), made(2.0)
    assert below.up[0] is not None and below.down[0] is None
    assert (below.up[0].kind, below.up[0].at, below.up[0].leaves, below.up[0].side) == ("variable", 0, False, 1)
    assert below.up[0].distance == pytest.approx(1.0)
    assert above.up[0] is None and above.down[0] is not None
    assert above.down[0].leaves and above.down[0].distance == pytest.approx(1.0)
    assert weak.up[0] is not None and weak.up[0].distance == 0.0 and weak.dx[0, 0] == 1.0 and weak.down[0] is None


def test_a_bound_that_moves_reaches_what_stands_still() -> None:
    """min ½u², u ≤ 1 − p, at p = 0: the bound comes to 0 at p = 1 and never from the other side."""
    problem = named(np.eye(1), [0.0], [[1.0]], ([-np.inf], [1.0]))
    by = ByParameters(np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(1), row_upper=np.array([[-1.0]]))
    found = ActiveSetSensitivity(problem, np.zeros(1), np.zeros(1), np.zeros(1), by)
    assert found.up[0] is not None and found.up[0].distance == pytest.approx(1.0) and found.up[0].kind == "row"
    assert found.down[0] is None and found.dobjective[0] == 0.0


def test_singular_kkt_matrices_say_why() -> None:
    rows = named(np.eye(2), [-3.0, 0.0], [[1.0, 1.0], [2.0, 2.0]], ([1.0, 2.0], [1.0, 2.0]))
    x = np.array([2.0, -1.0])
    nothing = ByParameters(np.zeros((2, 1)), np.zeros((2, 1)), np.zeros(1))
    with pytest.raises(SingularError, match=r"gradients of the active constraints g\d, g\d are dependent"):
        ActiveSetSensitivity(rows, x, *multipliers(rows, x), nothing)
    flat = named(np.ones((2, 2)), [0.0, 0.0])
    at_0 = (np.zeros(2), np.zeros(0), np.zeros(2), ByParameters(np.zeros((2, 1)), np.zeros((0, 1)), np.zeros(1)))
    with pytest.raises(SingularError, match="no curvature along a direction of u, v"):
        ActiveSetSensitivity(flat, *at_0)
    flat.second_order = False
    with pytest.raises(DeclarationError, match="second derivatives"):
        ActiveSetSensitivity(flat, *at_0)
