"""Large scalar expressions in which little repeats: right numbers, no result computed twice, few kernels, no recursion.

Oracles: complex step on the expression itself, both executors, differences of gradients for second derivatives.
"""

import warnings
from itertools import pairwise

import numpy as np
import pytest

import lagrange_ad as la
from lagrange_ad.elementary import TABLE
from lagrange_ad.expression import evaluate
from lagrange_ad.lowering import lower
from lagrange_ad.lowering.irregular import FEW, Graph, Root, take_apart
from lagrange_ad.solution.evaluation import plan_of

INPUTS = 12
PLAIN = (
    lambda a, b: a * b, lambda a, b: 0.5 * (a + b), lambda a, b: 0.5 * (a - b), lambda a, b: np.sin(a),
    lambda a, b: np.cos(a), lambda a, b: np.tanh(a + b), lambda a, b: a / (2.0 + b * b), lambda a, b: 0.3 * a**2 - b,
)  # fmt: skip
SELECTING = (
    *PLAIN, lambda a, b: np.abs(a), lambda a, b: np.minimum(a, b), lambda a, b: np.where(a < b, np.sin(a), b),
)


def grown(leaves, n, functions=PLAIN, seed=0, window=60):
    """The leaves and n results after them, each made of a recent one and any earlier one; all stay of order 1."""
    rng = np.random.default_rng(seed)
    kinds, near, far = rng.integers(len(functions), size=n), rng.random(n), rng.random(n)
    results = list(leaves)
    for kind, i, j in zip(kinds.tolist(), near.tolist(), far.tolist(), strict=True):
        here = len(results)
        recent = results[here - 1 - int(i * min(here, window))]
        results.append(functions[kind](recent, results[int(j * here)]))
    return results


def program(executor=None):
    p = la.Program("irregular", executor=executor)
    x = p.input("x", np.random.default_rng(1).uniform(-1.0, 1.0, INPUTS))
    return p, x, [x[i] for i in range(INPUTS)]


def total(results, last=40):
    return sum(results[-last:])


def slopes(root, x):
    """The gradient of a scalar expression by complex step."""
    found = np.empty(len(x))
    for i in range(len(x)):
        z = x.astype(complex)
        z[i] += 1e-30j
        found[i] = evaluate(root, {"x": z}).imag / 1e-30
    return found


def operations(lowered):
    """How many elementary operations are computed in all."""
    return sum(g.size * sum(node[0] in TABLE for node in g.kernel.nodes) for g in lowered.all_groups)


def operations_of(root):
    return len(Graph([Root(root, "objective", 0, "", ("", 0))]).nodes)


# numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("functions", [PLAIN, SELECTING])
@pytest.mark.parametrize("seed", range(3))
def test_value_and_gradient_of_a_random_expression(executor, functions, seed):
    p, x, leaves = program(executor)
    root = total(grown(leaves, 1500, functions, seed))
    p.minimize(root)
    assert lower(p).n_rows > 100
    at = p.evaluate()
    np.testing.assert_allclose(at.objective, evaluate(root, {"x": x.data.value}), rtol=1e-12)
    expected = slopes(root, x.data.value)
    np.testing.assert_allclose(at.gradient["x"], expected, rtol=1e-9, atol=1e-10 * abs(expected).max())
    value, gradient = p.reduced().value_and_gradient(x.data.value)
    assert value == pytest.approx(at.objective, rel=1e-13)
    np.testing.assert_allclose(gradient, at.gradient["x"], rtol=1e-10, atol=1e-12)


def test_both_executors_agree_on_perturbed_equations_and_multipliers():
    points = []
    for executor in ("native", "reference"):
        p, _, leaves = program(executor)
        results = grown(leaves, 1200)
        y = p.define("y", total(results, 20))
        p.define("v", total(grown([*leaves, y, results[-1]], 900, seed=5)))  # shares a result with the first
        p.minimize(y * total(grown([*leaves, y], 700, seed=6)))
        points.append(p.evaluate(perturbation={"y": 0.25}))
    native, reference = points
    for name in ("y", "v"):
        assert native[name] == pytest.approx(float(reference[name]), rel=1e-12)
        assert native.multiplier[name] == pytest.approx(float(reference.multiplier[name]), rel=1e-11)
    np.testing.assert_allclose(native.gradient["x"], reference.gradient["x"], rtol=1e-10, atol=1e-12)


def test_second_derivatives_and_jacobians_eliminate_what_nobody_named():
    p, x, leaves = program()
    y = p.define("y", total(grown(leaves, 900)))
    p.subject_to(total(grown([*leaves, y], 800, seed=2)) <= 1.0, name="g")
    p.minimize(total(grown([*leaves, y], 800, seed=3)))
    x0 = x.data.value
    lagrangian = p.lagrangian
    z, lam = np.array([0.3]), np.array([0.7, -0.4])
    hessian = lagrangian.hessian(x0, z, lam).toarray()
    assert hessian.shape == (INPUTS + 1, INPUTS + 1)
    jacobian = lagrangian.jacobian(x0, z).toarray()
    for i in range(INPUTS):
        step = np.zeros(INPUTS)
        step[i] = 1e-6
        ahead, behind = (np.concatenate([np.ravel(g) for g in _gradient(lagrangian, x0 + s, z, lam)])
                         for s in (step, -step))
        np.testing.assert_allclose(hessian[i], (ahead - behind) / 2e-6, rtol=1e-4, atol=1e-6)
        difference = (lagrangian.residuals(x0 + step, z) - lagrangian.residuals(x0 - step, z)) / 2e-6
        np.testing.assert_allclose(jacobian[:, i], difference, rtol=1e-5, atol=1e-8)


def _gradient(lagrangian, x, z, lam):
    return lagrangian.gradient(x, z, lam)[:2]


def test_parts_that_are_not_made_of_scalars():
    p, x, leaves = program()
    parts = [np.sum(x**2), (x * x[::-1])[3], np.dot(x, np.sin(x)), np.stack([x[0] * x[1], x[2]])[0]]
    root = np.sum(np.cos(x)) + total(grown([*leaves, *parts], 1500)) - 2.0 * np.sum(x[2:5] ** 3)
    p.minimize(root)
    assert lower(p).n_rows > 100
    at = p.evaluate()
    np.testing.assert_allclose(at.objective, evaluate(root, {"x": x.data.value}), rtol=1e-12)
    np.testing.assert_allclose(at.gradient["x"], slopes(root, x.data.value), rtol=1e-9)


def test_powers_constants_and_scaled_sums():
    p, x, leaves = program()
    results = grown(leaves, 1500)
    chain = 0.0
    for k, result in enumerate(results[-300:]):
        chain = chain + (result if k % 3 else result**3 - 0.25) if k % 2 else chain - (2.0 + result) ** 1.5
    root = 2.0 * (chain / 7.0 - 5.0) - chain**2 / 1e4
    p.minimize(root)
    at = p.evaluate()
    np.testing.assert_allclose(at.objective, evaluate(root, {"x": x.data.value}), rtol=1e-11)
    np.testing.assert_allclose(at.gradient["x"], slopes(root, x.data.value), rtol=1e-8)


def test_conditions_that_are_constants_and_those_that_are_shared():
    p, x, leaves = program()
    always, below = np.array(True), leaves[0] < leaves[1]
    parts = [np.where(always, a, b) + np.where(below, a * b, np.where(below & (b < 2.0), b, a))
             for a, b in pairwise(leaves)]
    root = total(grown([*leaves, *parts], 1500, SELECTING))
    p.minimize(root)
    at = p.evaluate()
    np.testing.assert_allclose(at.objective, evaluate(root, {"x": x.data.value}), rtol=1e-12)
    np.testing.assert_allclose(at.gradient["x"], slopes(root, x.data.value), rtol=1e-9, atol=1e-12)


def test_the_branch_not_taken_stays_away_from_the_gradient():
    """sqrt has an infinite slope at 0, in the branch that is not taken."""
    for executor in ("native", "reference"):
        p, _, leaves = program(executor)
        y = p.input("y", 0.0)
        careful = [np.where(y > 0.0, np.sqrt(y) * leaf, leaf) for leaf in leaves]
        p.minimize(total(grown([*leaves, *careful], 1500)))
        at = p.evaluate()
        assert at.gradient["y"] == 0.0
        assert np.isfinite(at.gradient["x"]).all()


def test_an_expression_outside_its_domain_is_named_as_any_other():
    messages = []
    for n in (20, 1500):
        p, x, leaves = program()
        y = p.define("y", np.log(x[0] - 5.0) + total(grown(leaves, n)))
        p.minimize(y)
        with pytest.raises(la.DomainError, match="log needs argument > 0") as raised:
            p.evaluate()
        messages.append(str(raised.value))
    assert all("equation 'y'" in m and "test_irregular.py" in m and "x[0] - 5" in m for m in messages)


# structure -------------------------------------------------------------------------------------------------


def test_nothing_is_computed_twice_and_kernels_are_few():
    p, _, leaves = program()
    root = total(grown(leaves, 6000), 500)
    p.minimize(root)
    lowered = lower(p)
    assert operations(lowered) < 1.1 * operations_of(root)
    assert len(lowered.all_groups) < 250
    assert len(lowered.rows.names) == 1, "all results are rows of one block"


def test_auxiliaries_stay_invisible():
    p, _, leaves = program()
    p.minimize(p.define("y", total(grown(leaves, 1500))))
    at = p.evaluate()
    for text in (str(at), str(p.lagrangian), str(p.schedule), p.evaluate().explain("y")):
        assert "results" not in text and "auxiliary" not in text
    assert list(at.multiplier) == ["y"]
    assert p.lagrangian.jacobian(np.zeros(INPUTS), [0.0]).shape == (1, INPUTS + 1)


def test_a_deep_chain_is_a_sequence_of_one_kernel():
    """30 000 steps of one recurrence, written as one expression."""
    p, x, leaves = program()
    state, speed = leaves[:2]
    for _ in range(15_000):
        speed = speed - 0.001 * np.sin(state)
        state = state + 0.001 * speed
    p.minimize(state + speed**2)
    lowered = lower(p)
    assert len(lowered.all_groups) < 8
    gradient = p.evaluate().gradient["x"]
    slope = np.eye(2)
    a, b = x.data.value[:2]
    for _ in range(15_000):
        slope[1] = slope[1] - 0.001 * np.cos(a) * slope[0]
        b = b - 0.001 * np.sin(a)
        slope[0], a = slope[0] + 0.001 * slope[1], a + 0.001 * b
    np.testing.assert_allclose(gradient[:2], slope[0] + 2.0 * b * slope[1], rtol=1e-9)


def test_running_sums_that_are_all_used_are_not_quadratic():
    p, x, leaves = program()
    running, root = leaves[0], 0.0
    for k in range(3000):
        running = running + np.sin((1.0 + 1e-3 * k) * leaves[k % INPUTS])
        root = root + running * np.cos(running)
    p.minimize(root)
    lowered = lower(p)
    assert sum(group.size for group in lowered.all_groups) < 15_000
    at = p.evaluate()
    np.testing.assert_allclose(at.gradient["x"], slopes(root, x.data.value), rtol=1e-8)


def test_what_is_regular_stays_so_beside_what_is_not():
    p, _, leaves = program()
    many = p.input("many", np.linspace(0.0, 1.0, 2001))
    regular = 0.0
    for i in range(2000):
        difference = many[i + 1] - many[i]
        regular = regular + difference**2 + 0.1 * np.cos(difference)
    alone = la.Program("alone")
    same = alone.input("many", many.data.value)
    expected = 0.0
    for i in range(2000):
        difference = same[i + 1] - same[i]
        expected = expected + difference**2 + 0.1 * np.cos(difference)
    alone.minimize(expected)
    assert lower(alone).n_rows == 0, "nothing is cut where little differs"
    p.minimize(regular + total(grown(leaves, 1500)))
    sizes = {group.kernel: group.size for group in lower(p).objective_groups}
    for group in lower(alone).objective_groups:
        assert group.size < 100 or sizes[group.kernel] >= group.size
    at, other = p.evaluate(), alone.evaluate()
    np.testing.assert_allclose(at.gradient["many"], other.gradient["many"], rtol=1e-12, atol=1e-15)


def test_equations_that_all_differ_share_their_kernels():
    p, _, leaves = program()
    known = list(leaves)
    for i in range(150):
        known.append(p.define(f"y{i}", total(grown(known[-INPUTS:], 80, seed=i), 3)))
    p.minimize(known[-1])
    lowered = lower(p)
    assert len(lowered.all_groups) < 150
    assert lowered.n_rows > 2000
    assert len(lowered.rows.names) <= 300, "one block of results an equation"


def test_equations_to_be_solved_keep_few_auxiliaries():
    """Every auxiliary would make the linear systems of a block larger."""
    p, x, leaves = program()
    for i in range(60):
        y = p.variable(f"y{i}", start=0.0)
        p.equate(y + 0.01 * total(grown([*leaves, y], 80, seed=i), 2), 0.1 * x[i % INPUTS])
    lowered = lower(p)
    assert lowered.n_regular_rows == lowered.n_rows
    assert p.evaluate()["y59"] != 0.0


def test_small_expressions_are_left_alone():
    p, _, leaves = program()
    root = total(grown(leaves, FEW // 3))
    p.minimize(root)
    lowered = lower(p)
    assert lowered.n_regular_rows == lowered.n_rows


def test_a_program_may_be_declared_further():
    """Cuts belong to one version: a later one starts anew."""
    p, x, leaves = program()
    root = total(grown(leaves, 1500))
    p.minimize(root)
    first = p.evaluate()
    p.define("y", root * 2.0 + x[0])
    second = p.evaluate()
    assert second.objective == pytest.approx(first.objective, rel=1e-12)
    assert second["y"] == pytest.approx(2.0 * first.objective + float(x.data.value[0]), rel=1e-12)
    assert plan_of(p).lowered.n_user == INPUTS + 1


def test_nothing_to_take_apart():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pieces = take_apart([], None, None)  # type: ignore[arg-type]
    assert not pieces.taken and not pieces.blocks and not pieces.terms
    assert list(pieces.columns("objective")) == []
