"""Programs that compiled code once had wrong, or where the executors differed; found by reading and by using it."""

import numpy as np
import pytest

import lagrange_ad as la
from lagrange_ad.solution.evaluation import declared_state, plan_of


@pytest.mark.parametrize("n", [1, 300])
@pytest.mark.parametrize("executor", ["native", "reference"])
def test_a_branch_not_taken_meets_no_infinite_multiplier(n: int, executor: str) -> None:
    """λ of a is infinite where sqrt has no slope; y is in the branch not taken, so its derivative is 0."""
    p = la.Program("branch", executor=executor)
    x, y = p.input("x", np.zeros(n)), p.input("y", np.full(n, 2.0))
    a = p.define("a", np.where(x > 1, y, x))
    p.minimize(np.sum(np.sqrt(a)))
    gradient = p.evaluate().gradient
    np.testing.assert_array_equal(gradient["y"], np.zeros(n))
    assert np.isinf(gradient["x"]).all()


@pytest.mark.parametrize("first", [0, 1, 2])
def test_second_derivatives_of_groups_that_share_a_loop(first: int) -> None:
    """x·x has its two arguments at one place, sin x and exp x have one there: all add to the same entry, once each."""
    found = []
    for executor in ("native", "reference"):
        p = la.Program("shared", executor=executor)
        x = p.input("x", np.linspace(-1.0, 1.0, 300))
        forms = [x[:] * x[:], np.sin(x[:]), np.exp(x[:])]
        for i, form in enumerate(forms[first:] + forms[:first]):
            p.define(f"y{i}", form)
        p.minimize(np.sum(x))
        lagrangian, random = p.lagrangian, np.random.default_rng(0)
        z, lam = random.normal(size=900), random.normal(size=900)
        found.append(lagrangian.hessian(np.linspace(-1.0, 1.0, 300), z, lam).toarray())
    np.testing.assert_allclose(*found, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("n", [3, 3000])
def test_zeros_keep_their_signs(n: int) -> None:
    p = la.Program("zeros")
    x = p.input("x", np.ones(n))
    divisors = np.tile([0.0, -0.0, 1.0], n // 3)
    p.define("y", x / divisors)
    p.define("u", x[0] / -0.0)
    at = p.evaluate()
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(at["y"], 1.0 / divisors)
    assert at["u"] == -np.inf


def test_the_nan_of_a_constraint_is_no_matter_of_the_objective() -> None:
    p = la.Program("beside")
    x = p.input("x", np.full(3, -1.0))
    p.minimize(np.sum(x**2))
    p.subject_to(np.exp(np.sum(np.log(x))) <= 1.0, name="g")
    view = p.reduced()
    assert view._fast is not None and view._fast.value_and_gradient(np.array([-1.0, -2.0, -3.0])) is not None
    value, gradient = view.value_and_gradient(np.array([-1.0, -2.0, -3.0]))
    assert value == 14.0
    np.testing.assert_array_equal(gradient, [-2.0, -4.0, -6.0])


def test_views_hand_out_copies() -> None:
    p = la.Program("copies")
    x = p.input("x", [1.0, 2.0], lower=0.0)
    p.minimize(np.sum(x**2))
    view = p.reduced()
    x0 = view.x0
    x0 -= 5.0
    view.lower[:] = 9.0
    np.testing.assert_array_equal(view.x0, [1.0, 2.0])
    np.testing.assert_array_equal(view.lower, [0.0, 0.0])
    given = np.array([3.0, 4.0])
    view.split(given)["x"][0] = 50.0
    assert given[0] == 3.0


def test_a_point_without_multipliers_says_why() -> None:
    p = la.Program("a")
    x, y, z = p.input("x", 1.0), p.variable("y"), p.variable("z")
    p.equate(y, z)
    p.equate(z, y)
    p.minimize(y + x)
    at = p.evaluate()
    assert "no multipliers and no gradient: " in str(at) and "singular" in str(at)
    shown = at.as_dict()
    assert shown["objective"] == at.objective and "singular" in shown["message"] and "multipliers" not in shown


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_messages_of_recurrences_by_parts_and_of_overflow(executor: str) -> None:
    p = la.Program("parts", executor=executor)
    x, z = p.input("x", 2.0), p.variable("z", shape=50)
    p.equate(z[0], x)
    p.equate(z[1:], np.log(z[:-1]), name="lg")
    with pytest.raises(la.DomainError, match=r"log\(z\[:-1\]\) has no finite value.*log needs argument > 0"):
        p.evaluate()
    q = la.Program("overflow", executor=executor)
    y = q.variable("y", start=1e200)
    q.equate(y**3 + y, q.input("x", 1.0), name="e")
    with pytest.raises(la.DomainError, match=r"y = 1e\+200; the result is too large"):
        q.evaluate()


def test_sums_of_nothing_on_the_reference() -> None:
    p = la.Program("nothing", executor="reference")
    x = p.input("x", np.zeros(0))
    p.define("y", np.sum(x))
    z = p.define("z", np.sin(np.sum(np.array([1.0, 2.0]) * np.exp(np.sum(x)))))
    p.minimize(z)
    np.testing.assert_allclose(p.evaluate().objective, np.sin(3.0))


def test_a_state_laid_out_for_an_older_plan_is_not_kept_for_the_newer() -> None:
    """As when one thread evaluates while another declares: it lays out the state of the plan it took before."""
    p = la.Program("while declaring")
    z = p.define("z0", np.cos(p.input("a", 1.0)))
    p.minimize(z)
    plan = plan_of(p)
    p.define("z1", np.cos(z))
    assert len(declared_state(p, plan).z) == 2
    assert p.evaluate()["z1"] == np.cos(np.cos(1.0))
