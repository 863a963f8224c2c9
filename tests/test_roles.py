"""fix and free: the roles of variables, inputs and parameters swapped by element, nothing lowered or compiled again."""

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_programs import acyclic, cyclic
from scipy.optimize import minimize, root

import lagrange_ad as la
from lagrange_ad.cli import main
from lagrange_ad.execution.native import engine
from lagrange_ad.solution.evaluation import plan_of

EXECUTORS = ("native", "reference")
SWAPPED = """input z1 = 5 in [-10, 10]
input z2 = 2
variable y1 start 1
y1 = z1^2 + z2 - 0.2*y2
y2 = sqrt(y1) + z1
minimize y1 + z2
fix y1 = 3.16
free z1
"""


def sellar(executor: str | None = None) -> la.Program:
    p = la.Program("sellar", executor=executor)
    z1 = p.input("z1", 5.0, lower=-10, upper=10)
    z2 = p.input("z2", 2.0, lower=0, upper=10)
    x = p.input("x", 1.0, lower=0, upper=10)
    y1 = p.variable("y1", start=1.0, domain=(0.0, np.inf))
    y2 = p.define("y2", np.sqrt(y1) + z1 + z2)
    p.equate(y1, z1**2 + z2 + x - 0.2 * y2)
    p.minimize(x**2 + z2 + y1 + np.exp(-y2))
    return p


def vector(executor: str | None = None) -> la.Program:
    """v = tanh(A v) + u + b: every element of v can be traded for the element of u beside it."""
    p = la.Program("vector", executor=executor)
    a = np.random.default_rng(3).uniform(-0.3, 0.3, (5, 5))
    u = p.input("u", [0.1, 0.2, 0.3, 0.4, 0.5], lower=-5.0, upper=5.0)
    b = p.parameter("b", np.full(5, 0.05))
    v = p.variable("v", 5)
    p.equate(v, np.tanh(a @ v) + u + b * v)
    p.minimize(np.sum(v**3) + np.sum(np.cos(u)) + b[0])
    return p


def differences(p: la.Program, names: list[str], step: float = 1e-6) -> dict[str, np.ndarray]:
    """dJ of every element of some given symbols, by central differences of evaluate."""
    at, found = p.evaluate(), {}
    for name in names:
        base = np.array(at.values[name])
        slope = np.zeros(base.size)
        for i in range(base.size):
            ends = []
            for sign in (1.0, -1.0):
                moved = base.copy().ravel()
                moved[i] += sign * step
                ends.append(p.evaluate({name: moved.reshape(base.shape)}, start=at).objective)
            slope[i] = (ends[0] - ends[1]) / (2 * step)
        found[name] = slope.reshape(base.shape)
    return found


# whole scalars ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_design_problem(executor: str) -> None:
    p = sellar(executor)
    p.fix("y1", 3.16)
    p.free(p["z1"])
    at = p.evaluate()
    z1, y2 = at["z1"], at["y2"]
    assert at["y1"] == 3.16
    assert abs(z1**2 + 3.0 - 0.2 * y2 - 3.16) < 1e-12 and abs(np.sqrt(3.16) + z1 + 2.0 - y2) < 1e-12
    assert at.gradient["z1"] == 0.0 and list(at.gradient) == ["z1", "z2", "x", "y1"]
    slopes = differences(p, ["z2", "x", "y1"])
    np.testing.assert_allclose([at.gradient[n] for n in slopes], list(slopes.values()), rtol=1e-7)
    for name in ("y1", "y2"):
        moved = [p.evaluate(perturbation={name: e}, start=at).objective for e in (1e-6, -1e-6)]
        assert np.isclose(at.multiplier[name], (moved[0] - moved[1]) / 2e-6, rtol=1e-6)
    assert p.evaluate(y1=4.0)["y1"] == 4.0 and p.evaluate(start={"z1": -3.0})["z1"] < 0


@pytest.mark.parametrize("executor", EXECUTORS)
def test_swapping_back_gives_the_same_bits(executor: str) -> None:
    p = sellar(executor)
    before = p.evaluate()
    old, lagrangian = before.as_dict(), str(p.lagrangian)
    p.fix("y1", 3.16)
    p.free("z1", start=2.0)
    swapped = p.evaluate()
    p.free("y1", start=1.0)
    p.fix("z1", 5.0)
    after = p.evaluate()
    assert after.as_dict() == old and str(p.lagrangian) == lagrangian
    assert before.as_dict() == old and before.gradient["z1"] != 0.0 and swapped.gradient["z1"] == 0.0
    assert not p.swapped and p.evaluate(start=swapped)["y1"] == pytest.approx(old["values"]["y1"])


def test_nothing_is_lowered_or_compiled_again() -> None:
    p = vector("native")
    p.set(v=np.ones(5))
    first = p.evaluate()
    _ = first.gradient["u"]
    lowered, kernels = plan_of(p).lowered, [group.kernel for group in plan_of(p).lowered.all_groups]
    compiled = dict(engine._MADE)
    p.fix("v", np.linspace(0.1, 0.5, 5))
    p.free("u")
    assert plan_of(p).lowered is lowered and plan_of(p) is not first.plan
    _ = p.evaluate().gradient["v"]
    both = dict(engine._MADE)
    assert all(both[key] == address for key, address in compiled.items())
    p.free("v")
    p.fix("u")
    _ = p.evaluate().gradient["u"]
    p.set(v=np.ones(5), u=np.zeros(5))
    assert plan_of(p).lowered is lowered and engine._MADE == both
    assert all(one.kernel is other for one, other in zip(plan_of(p).lowered.all_groups, kernels, strict=True))


def test_points_and_views_stay_what_they_were() -> None:
    p = sellar()
    at, view, function = p.evaluate(), p.reduced(), p.function(["z1", "x"], ["y1"])
    value, expected = view.value_and_gradient(view.x0), function(5.0, 1.0)
    p.fix("y1", 3.16)
    p.free("z1")
    assert list(at.gradient) == ["z1", "z2", "x"] and at.gradient["z1"] != 0.0
    assert at.jacobian("y1", "z1").matrix.shape == (1, 1)
    again = view.value_and_gradient(view.x0)
    assert again[0] == pytest.approx(value[0]) and view.inputs.names == ["z1", "z2", "x"]
    assert function(5.0, 1.0) == pytest.approx(expected)


def test_a_turning_point_by_the_trick() -> None:
    """u² = 1 − λ turns at λ = 1, u = 0: with u given and λ found there is nothing to turn."""
    p = la.Program("fold")
    lam = p.input("lam", 0.5)
    u = p.variable("u", start=0.7)
    p.equate(u**2, 1.0 - lam)
    p.minimize(lam)
    p.fix(u)
    p.free(lam)
    assert p.evaluate()["lam"] == pytest.approx(0.51)
    for value in (0.5, 0.0, -0.5):
        at = p.evaluate(u=value)
        assert at["lam"] == pytest.approx(1.0 - value**2) and at.gradient["u"] == pytest.approx(-2.0 * value, abs=1e-12)


def test_fixing_what_is_explicit_and_used_before_the_swap() -> None:
    p = la.Program("chain")
    x = p.input("x", 2.0)
    k = p.parameter("k", 3.0)
    y = p.define("y", k * x)
    z = p.define("z", y**2 + x)
    p.maximize(z)
    p.fix(y, 12.0)
    p.free(k)
    at = p.evaluate()
    assert at["k"] == 6.0 and at["z"] == 146.0
    assert at.gradient["y"] == 24.0 and at.gradient["x"] == 1.0 and at.gradient["k"] == 0.0
    assert at.multiplier["y"] == 0.0 and at.multiplier["z"] == 1.0
    assert at.tangent(y=1.0)["z"] == 24.0 and at.tangent(y=1.0)["k"] == 0.5
    assert at.jacobian(["z", "k"], ["y", "x"]).matrix.tolist() == [[24.0, 1.0], [0.5, -3.0]]


# elements -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", EXECUTORS)
def test_elements_of_arrays(executor: str) -> None:
    p = vector(executor)
    start = p.evaluate()
    p.fix(p["v"][2:4], [0.7, 0.8])
    p.fix("v[0]", 0.6)
    p.free({"u[0]": 0.0, "u[2]": 0.1})
    p.free(p["u"][3])
    at = p.evaluate()
    assert at["v"][[0, 2, 3]].tolist() == [0.6, 0.7, 0.8] and at["u"][[1, 4]].tolist() == [0.2, 0.5]
    assert abs(at.residual["v"]).max() < 1e-12 and start["v"][2] != 0.7
    gradient = at.gradient
    assert gradient["v"][[1, 4]].tolist() == [0.0, 0.0] and gradient["u"][[0, 2, 3]].tolist() == [0.0, 0.0, 0.0]
    slopes = differences(p, ["u", "v", "b"])  # what is found begins there, and goes back
    for name, slope in slopes.items():
        np.testing.assert_allclose(gradient[name], slope, rtol=1e-6, atol=1e-9)
    assert gradient["v[0]"] == gradient["v"][0]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_arrays_against_a_program_declared_that_way(executor: str) -> None:
    swapped = vector(executor)
    swapped.fix("v[1]", 0.9)
    swapped.free("u[4]")
    p = la.Program("scratch", executor=executor)
    a = np.random.default_rng(3).uniform(-0.3, 0.3, (5, 5))
    known, free = p.input("known", [0.1, 0.2, 0.3, 0.4]), p.variable("free", start=0.5)
    b = p.parameter("b", np.full(5, 0.05))
    v1, others = p.parameter("v1", 0.9), p.variable("others", 4)
    u = np.concatenate([known, free[None]])
    v = np.concatenate([others[:1], v1[None], others[1:]])
    p.equate(v, np.tanh(a @ v) + u + b * v, name="law")
    p.minimize(np.sum(v**3) + np.sum(np.cos(u)) + b[0])
    one, two = swapped.evaluate(), p.evaluate()
    np.testing.assert_allclose(one["v"], two[v], rtol=1e-12)
    np.testing.assert_allclose(one.gradient["u"], [*two.gradient["known"], 0.0], rtol=1e-10)
    np.testing.assert_allclose(one.gradient["v"], [0.0, two.gradient["v1"], 0.0, 0.0, 0.0], rtol=1e-10)
    np.testing.assert_allclose(one.gradient["b"], two.gradient["b"], rtol=1e-10)
    np.testing.assert_allclose(one.multiplier["v"], two.multiplier["law"], rtol=1e-10)


def test_how_a_given_array_is_read_where_it_is_given_in_part() -> None:
    p = vector()
    p.fix("v[0]", 0.6)
    p.free("u[0]")
    at = p.evaluate(v=[0.65, 9.0, 9.0, 9.0, 9.0])
    assert at["v"][0] == 0.65 and at["v"][1] < 2.0
    np.testing.assert_allclose(p.evaluate(v=[0.65, 1.0, 1.0, 1.0, 1.0])["v"], at["v"], rtol=1e-10)
    again = p.evaluate(v=[0.65, 9.0, 9.0, 9.0, 9.0], start=at)
    assert again.blocks[0].iterations <= 1  # the start counts where the array is found
    p.set(v=[0.61, 1.0, 1.0, 1.0, 1.0])
    assert p.evaluate()["v"][0] == 0.61 and not p.evaluate()._solved.guessed_columns.size
    assert p.evaluate(start={"v": [5.0, 1.0, 1.0, 1.0, 1.0], "u": np.full(5, 8.0)})["u"][1] == 0.2


def test_free_elements_without_a_start_stay_without_one() -> None:
    p = la.Program("guess")
    x = p.input("x", [1.0, 2.0, 3.0])
    v = p.variable("v", 3)
    p.equate(v, np.cos(v) * 0.1 + x)
    p.fix(v[1], 2.0)
    p.free(x[1])
    at = p.evaluate()
    assert at["v"][1] == 2.0 and at["x"][1] == pytest.approx(2.0 - np.cos(2.0) * 0.1)
    assert np.isnan(p.symbols["v"].value[[0, 2]]).all()
    p.free(v)
    p.fix(x)
    assert p.evaluate()["x"].tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(la.DeclarationError, match=r"'v\[0\]' has no value and no start.*p.fix\('v\[0\]', value\)"):
        p.fix(v)


def test_starts_that_are_expressions_become_numbers() -> None:
    p = la.Program("computed")
    x = p.input("x", 2.0)
    y = p.variable("y", start=x * 2.0)
    w = p.variable("w", 2, start=np.stack([x, y]))
    p.equate(y**2, x)
    p.equate(w**2, np.stack([x, x]) + y)
    p.fix(w[0])
    assert p.symbols["w"].value.tolist() == [2.0, 4.0]
    p.free(x)
    assert p.evaluate()["x"] + p.evaluate()["y"] == pytest.approx(4.0)
    with pytest.raises(la.DeclarationError, match="expression"):
        p.set(w=x * np.ones(2))


# the classical use: a small network ---------------------------------------------------------------------------


def test_voltage_held_by_generators() -> None:
    """Three buses: the first a slack, the second holds its voltage, so that its reactive power is found."""
    y = np.array([[0.0, 4.0, 2.0], [4.0, 0.0, 3.0], [2.0, 3.0, 0.0]])
    b = y - np.diag(y.sum(axis=1))
    p = la.Program("network")
    pg = p.input("pg", [0.0, 0.6, -0.9])
    qg = p.input("qg", [0.0, 0.0, -0.3], lower=-1.0, upper=1.0)
    v = p.variable("v", 3, start=1.0, labels=["slack", "gen", "load"])
    angle = p.variable("angle", 3, start=0.0)
    difference = angle[:, None] - angle[None, :]
    product = v[:, None] * v[None, :]
    p.equate(pg, np.sum(product * b * np.sin(difference), axis=1), name="active", for_=angle)
    p.equate(qg, -np.sum(product * b * np.cos(difference), axis=1), name="reactive", for_=v)
    p.minimize(np.sum(qg**2) + np.sum(pg**2))
    gen = np.array([0, 1])
    p.fix(v[gen], [1.0, 1.02])
    p.free(qg[gen])
    p.fix(angle[0])
    p.free(pg[0])
    at = p.evaluate()

    def mismatch(found: np.ndarray) -> np.ndarray:
        volts, theta = np.array([1.0, 1.02, found[0]]), np.array([0.0, *found[1:]])
        turn, both = theta[:, None] - theta, volts[:, None] * volts
        active, reactive = (both * b * np.sin(turn)).sum(1), -(both * b * np.cos(turn)).sum(1)
        return np.array([active[1] - 0.6, active[2] + 0.9, reactive[2] + 0.3])

    by_hand = root(mismatch, [1.0, 0.0, 0.0], tol=1e-13)
    np.testing.assert_allclose([at["v"][2], *at["angle"][1:]], by_hand.x, rtol=1e-9)
    slopes = differences(p, ["v", "pg", "qg", "angle"])
    for name, slope in slopes.items():
        np.testing.assert_allclose(at.gradient[name], slope, rtol=1e-6, atol=1e-8)
    view = p.reduced()
    assert [view.inputs.element(i) for i in range(view.inputs.size)] == ["pg[1]", "pg[2]", "qg[2]"]
    assert view.constraint_names == ["qg"] and len(view.constraint_values(view.x0)) == 2
    assert "v[gen]" in str(at) and "variable, fixed" in str(at)


# random programs ----------------------------------------------------------------------------------------------


def _pair(at: la.Point, names: list[str], variables: list[str], choice: int):
    """A (variable element, input element) with a slope that is no accident, and all slopes of that variable."""
    pairs = []
    for variable in variables:
        for name in names:
            slopes = np.asarray(at.jacobian(variable, name).matrix)
            pairs += [(variable, name, int(i), int(j)) for i, j in np.argwhere(np.abs(slopes) > 1e-2)]
    return pairs[choice % len(pairs)] if pairs else None


@settings(max_examples=12, deadline=None)
@given(st.one_of(acyclic(), cyclic()), st.integers(0, 10**6))
def test_swapped_pairs_of_random_programs(drawn, choice: int) -> None:
    """With y_k fixed and x_j freed, dJ/dy_k = J_j / y_kj and dJ/dx_i = J_i − J_j y_ki / y_kj, at the same point."""
    p = drawn.program
    try:
        at = p.evaluate()
        gradient = {name: np.asarray(value) for name, value in at.gradient.items()}
    except la.LagrangeError:
        assume(False)
    variables = [s.name for s in p.of_kind("variable")]
    pair = _pair(at, drawn.inputs, variables, choice)
    assume(pair is not None and all(np.isfinite(g).all() for g in gradient.values()))
    variable, name, i, j = pair
    assume(np.abs(at.values[variable]).max() < 1e3)
    rows = {n: np.asarray(at.jacobian(variable, n).matrix)[i] for n in gradient}
    assume(all(np.isfinite(row).all() for row in rows.values()))
    lowered = at.plan.lowered
    element = {n: lowered.state.element(lowered.state.slices[n].start + at_) for n, at_ in ((variable, i), (name, j))}
    p.fix(element[variable], np.ravel(at.values[variable])[i])
    p.free(element[name])
    try:
        new = p.evaluate(start=at)
    except (la.StructureError, la.ConvergenceError):
        assume(False)  # a pattern with nothing in it at this point, or a block that is nearly singular here
    assert plan_of(p).lowered is lowered
    assume(np.allclose(new["x0"], at["x0"], atol=1e-8) and np.allclose(new.values[name], at.values[name], atol=1e-8))
    ratio = np.ravel(gradient[name])[j] / rows[name][j]
    size = 1.0 + max(np.abs(g).max(initial=0.0) for g in gradient.values()) + abs(ratio) * max(
        np.abs(row).max(initial=0.0) for row in rows.values())
    for other, row in rows.items():
        expected = np.ravel(gradient[other]) - ratio * row
        expected[j if other == name else slice(0, 0)] = 0.0
        np.testing.assert_allclose(np.ravel(new.gradient[other]), expected, atol=1e-6 * size, rtol=1e-6)
    found = np.ravel(new.gradient[variable])
    assert found[i] == pytest.approx(ratio, abs=1e-6 * size, rel=1e-6) and np.count_nonzero(np.delete(found, i)) == 0


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("seed", range(6))
def test_swapped_scalars_against_programs_declared_that_way(seed: int, executor: str) -> None:
    rng = np.random.default_rng(seed)
    n, m = 4, 3
    on_y, on_x = rng.uniform(-0.4, 0.4, (n, n)), rng.uniform(0.5, 1.5, (n, m)) * rng.choice([-1.0, 1.0], (n, m))
    values, k, j = rng.uniform(-0.5, 0.5, m), int(rng.integers(n)), int(rng.integers(m))

    def build(swap: float | None) -> la.Program:
        p = la.Program("drawn", executor=executor)
        x = [p.variable(f"x{i}", start=values[i]) if swap is not None and i == j else p.input(f"x{i}", values[i])
             for i in range(m)]
        y = [p.parameter(f"y{i}", swap) if swap is not None and i == k else p.variable(f"y{i}", start=0.0)
             for i in range(n)]
        for i in range(n):
            right = sum(a * np.tanh(v) for a, v in zip(on_y[i], y, strict=True))
            right += sum(a * v for a, v in zip(on_x[i], x, strict=True))
            p.equate(y[i], right + 0.1 * x[0] ** 2, name=f"e{i}")
        p.minimize(sum(np.sin(y[i]) for i in range(n)) + sum(v**2 for v in x))
        return p

    p = build(None)
    target = p.evaluate()[f"y{k}"] + 0.05
    p.fix(f"y{k}", target)
    p.free(f"x{j}")
    one, two = p.evaluate(), build(target).evaluate()
    for name, value in two.values.items():
        np.testing.assert_allclose(one[name], value, rtol=1e-9, atol=1e-12)
    assert {*one.gradient} - {f"x{j}"} == {*two.gradient}
    for name, value in two.gradient.items():
        np.testing.assert_allclose(one.gradient[name], value, rtol=1e-8, atol=1e-10)
    for name, value in two.multiplier.items():
        np.testing.assert_allclose(one.multiplier[name], value, rtol=1e-8, atol=1e-10)


# what stands on the roles -------------------------------------------------------------------------------------


def test_views_optimize_what_is_given() -> None:
    p = sellar()
    p.fix("y1", 3.16)
    p.free("z1")
    view = p.reduced()
    assert view.inputs.names == ["z2", "x"] and view.constraint_names == ["z1"]
    value, gradient = view.value_and_gradient(view.x0)
    at = view.point(view.x0)
    assert value == at.objective and gradient.tolist() == [at.gradient["z2"], at.gradient["x"]]
    for step in np.eye(2) * 1e-6:
        slope = (view.value(view.x0 + step) - view.value(view.x0 - step)) / 2e-6
        assert slope == pytest.approx(gradient @ step / 1e-6, rel=1e-6)
    jacobian = view.constraint_jacobian(view.x0)
    np.testing.assert_allclose(jacobian, at.jacobian("z1", ["z2", "x"]).matrix, rtol=1e-9)
    assert view.constraints[0].lb.tolist() == [-10.0] and view.constraints[0].ub.tolist() == [10.0]
    view.set(y1=4.0)
    assert view.point(view.x0)["y1"] == 4.0 and p.evaluate()["y1"] == 3.16
    with pytest.raises(la.DeclarationError, match="outside its domain"):
        view.set(y1=-4.0)
    with pytest.raises(la.UnknownNameError, match="'z1' is one of the inputs, freed"):
        view.set(z1=1.0)
    q = la.Program("nothing left")
    x = q.input("x", 1.0)
    q.fix(q.define("y", x * 2.0), 3.0)
    q.free(x)
    q.minimize(x)
    with pytest.raises(la.DeclarationError, match="no inputs, so there is nothing to optimize: freed: x"):
        q.reduced()


def test_views_of_arrays_in_part_and_an_optimizer() -> None:
    p = vector()
    p.fix(p["v"][1:3], [0.5, 0.6])
    p.free(p["u"][1:3])
    view = p.reduced()
    assert [view.inputs.element(i) for i in range(3)] == ["u[0]", "u[3]", "u[4]"]
    assert view.x0.tolist() == [0.1, 0.4, 0.5]
    assert view.lower.tolist() == [-5.0] * 3 and view.split(view.x0)["u"].shape == (5,)
    np.testing.assert_array_equal(view.join(view.split(np.array([1.0, 2.0, 3.0]))), [1.0, 2.0, 3.0])
    at = view.point(np.array([0.3, 0.2, 0.1]))
    assert at["u"][[0, 3, 4]].tolist() == [0.3, 0.2, 0.1] and at["v"][[1, 2]].tolist() == [0.5, 0.6]
    np.testing.assert_allclose(view.gradient(np.array([0.3, 0.2, 0.1])), at.gradient["u"][[0, 3, 4]])
    best = minimize(view.value_and_gradient, view.x0, jac=True, bounds=[(-1, 1)] * 3, method="L-BFGS-B")
    assert best.fun < view.value(view.x0) and "u[3]" in str(view)
    value, lagrangian = view.point(view.x0), p.lagrangian
    x, z, lam = lagrangian.of(value)
    assert lagrangian.inputs.size == 3 and lagrangian.variables.size == 5
    slopes = lagrangian.gradient(x, z, lam)
    np.testing.assert_allclose(slopes[0], value.gradient["u"][[0, 3, 4]], rtol=1e-9)
    assert np.abs(slopes[1]).max() < 1e-9 and np.abs(slopes[2]).max() < 1e-9
    matrix = lagrangian.jacobian(x, z).toarray()
    for i, step in enumerate(np.eye(8) * 1e-30):
        moved = lagrangian.gradient(x + 1j * step[:3], z + 1j * step[3:], lam)[2].imag / 1e-30
        np.testing.assert_allclose(matrix[:, i], moved, atol=1e-12)
    assert lagrangian.hessian(x, z, lam).shape == (8, 8)
    assert lagrangian.value({"u": x}, {"u": z[:2], "v": z[2:]}, lam) == lagrangian.value(x, z, lam)


def test_ascend_moves_what_is_given() -> None:
    p = la.Program("climb")
    x, t = p.input("x", 1.0), p.input("t", 0.0)
    y = p.define("y", x + t)
    p.maximize(-((y - 2.0) ** 2) - t**2 - (x - 1.0) ** 2)
    p.fix(y, 3.0)
    p.free(x)
    best = p.ascend(rate=0.1, steps=2000)
    assert list(best.x) == ["t"] and best["t"] == pytest.approx(1.0, abs=1e-6) and best["x"] == pytest.approx(2.0)


def test_functions_and_jacobians() -> None:
    p = vector()
    p.fix("v[1]", 0.5)
    p.free("u[1]")
    at = p.evaluate()
    jacobian = at.jacobian(["v", "u"], ["u", "v", "b[0]"])
    assert jacobian["u", "u"][:, 1].tolist() == [0.0] * 5 and not jacobian["v", "v"][:, [0, 2, 3, 4]].any()
    assert jacobian["v", "v"][1, 1] == 1.0 and jacobian["v", "v"][1, [0, 2, 3, 4]].tolist() == [0.0] * 4
    tangents = at.jacobian(["v", "u"], ["u", "v", "b[0]"], mode="tangent", sparse=True)
    np.testing.assert_allclose(tangents.matrix.toarray(), jacobian.matrix, atol=1e-12)
    moved = at.tangent(v=np.ones(5), u=[0.0, 7.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(moved["v"], jacobian["v", "v"][:, 1], atol=1e-12)
    with pytest.raises(la.DeclarationError, match=r"wrt: 'v\[0\]' is a variable"):
        at.jacobian("u", "v[0]")
    with pytest.raises(la.DeclarationError, match=r"wrt: 'u\[1\]' is one of the inputs, freed"):
        at.jacobian("u", "u[1]")
    function = p.function(["v[1]", "b"], ["u", np.sum(p["v"])])
    outputs = function(0.6, np.full(5, 0.05))
    other = p.evaluate(v=[0.0, 0.6, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(outputs[0], other["u"], rtol=1e-9)
    found = function.jacobian(0.6, np.full(5, 0.05))
    np.testing.assert_allclose(found["u", "v[1]"], other.jacobian("u", "v[1]")["u", "v[1]"], rtol=1e-8)
    residual = p.function(["v", "u"], ["v"])  # the equation of v, as v is given
    a = np.random.default_rng(3).uniform(-0.3, 0.3, (5, 5))
    v, u = np.linspace(0.1, 0.9, 5), np.ones(5)
    np.testing.assert_allclose(residual(v, u), np.tanh(a @ v) + u + 0.05 * v - v, rtol=1e-12)


def test_residuals_of_equations_that_determine_what_is_freed() -> None:
    p = la.Program("residual")
    x, k = p.input("x", 2.0), p.input("k", 1.0)
    y, w = p.variable("y", start=1.0), p.variable("w", start=1.0)
    p.equate(y**2, x * k + 0.1 * w, name="law")
    p.equate(w, np.cos(y) + k, name="other")
    p.fix(y, 1.5)
    p.free(k)
    at = p.evaluate()
    jacobian = at.jacobian(["law", "w"], ["x", "y"])  # k keeps its value there, as the law is not held
    expected = [[at["k"], -0.1 * np.sin(1.5) - 3.0], [0.0, -np.sin(1.5)]]
    np.testing.assert_allclose(jacobian.matrix, expected, rtol=1e-12)
    function = p.function("x", ["law", "w"])
    assert function.held == ["k"]
    np.testing.assert_allclose(function(2.0), [2.0 + 0.1 * (np.cos(1.5) + 1.0) - 2.25, np.cos(1.5) + 1.0], rtol=1e-12)
    p.solver("k", tear=["k"])
    assert p.evaluate()["k"] == pytest.approx(at["k"], rel=1e-12)


def test_explaining() -> None:
    p = sellar()
    p.fix("y1", 3.16)
    p.free("z1")
    at = p.evaluate()
    text = at.explain("y1")
    assert text.startswith("dJ/dy1 = ") and f"{at.gradient['y1']:.6f}"[:7] in text
    assert at.explain("z1").startswith("0 = ") and float(at.explain("z1").split("=")[-1]) == pytest.approx(0, abs=1e-9)
    q = vector()
    q.fix("v[1]", 0.5)
    q.free("u[1]")
    at = q.evaluate()
    assert at.explain("v[1]").startswith("dJ/dv[1]") and at.explain("v[0]").startswith("λ_v[0]")
    assert float(at.explain(q["v"][1]).splitlines()[-1].split("=")[1]) == pytest.approx(at.gradient["v"][1])
    assert at.explain("u[0]").startswith("dJ/du[0]") and at.explain("u[1]").startswith("0 = ")
    with pytest.raises(la.DeclarationError, match="'v' is fixed in part"):
        at.explain("v")


def test_derivatives_are_checked_by_role() -> None:
    for p in (sellar(), vector()):
        p.fix("y1" if "y1" in p else "v[1]", 3.0 if "y1" in p else 0.5)
        p.free("z1" if "z1" in p else "u[1]")
        assert la.testing.check_derivatives(p).ok


def test_what_is_shown() -> None:
    p = vector()
    p.fix("v[1]", 0.5)
    p.free("u")
    text = str(p) + p.summary()
    assert "variable, fixed in part" in text and "input, freed" in text
    assert p.graph.nodes["v"]["role"] == "fixed in part" and p.graph.nodes["b"]["role"] == ""
    swapped = r"(?s)fixed: v\[1\]; freed: u\[0\], u\[1\].*1 element fixed and 5 freed.*4 more must be fixed"
    with pytest.raises(la.StructureError, match=swapped):
        p.evaluate()
    p.fix(p["u"][[0, 2, 3, 4]])
    shown = str(p.evaluate())
    assert "input, freed in part" in shown and "variable, fixed in part" in shown
    q = sellar()
    q.fix("y1", 3.16)
    swapped = r"(?s)too many equations.*fixed: y1.*1 element fixed and 0 freed.*1 more must be freed"
    with pytest.raises(la.StructureError, match=swapped):
        q.evaluate()


def test_pictures_show_roles() -> None:
    pytest.importorskip("matplotlib")
    from lagrange_ad.display.picture import picture

    p = sellar()
    p.fix("y1", 3.16)
    p.free("z1")
    nodes = picture(p.schedule, p.evaluate()).nodes
    lines = {node.lines[0][1]: (node.kind, dict(node.lines)) for node in nodes}
    assert lines["y1"][0] == "parameter" and lines["y1"][1]["detail"] == "fixed"
    assert "∇" in lines["y1"][1]["worth"]


def test_programs_keep_their_roles(tmp_path) -> None:
    p = sellar()
    p.fix("y1", 3.16)
    p.free("z1")
    at = p.evaluate()
    for other in (pickle.loads(pickle.dumps(p)), copy.copy(p), la.reads(p.to_text())):
        assert other.evaluate().as_dict()["values"] == at.as_dict()["values"]
        assert other.evaluate().as_dict()["gradient"] == at.as_dict()["gradient"]
        other.fix("z1")
        assert "z1" in p.swapped and "z1" not in other.swapped
    loaded = pickle.loads(pickle.dumps(at))
    assert loaded.gradient["y1"] == at.gradient["y1"] and list(loaded.gradient) == list(at.gradient)
    assert p.to_text().splitlines()[-4:] == ["fix y1", "free z1", "", "minimize x^2 + z2 + y1 + exp(-y2)"]


def test_files_have_statements_for_roles() -> None:
    p = la.reads("input x = 2\nparameter k = 3\nfix y = 12\nfree k start 1\ny = k*x\nminimize y*k")
    assert p.evaluate()["k"] == 6.0
    for text, message in (
        ("fix y = 12\nfix y\ny = 1", "2:5: 'y' is fixed or freed already, on line 1"),
        ("fix z = 12\ny = 1", "1:5: 'z' is not declared"),
        ("fix y\ny = 1", "1:5: 'y' has no value and no start"),
        ("fix = 3", "begins a statement of its own|expected a name"),
        ("variable y domain (0, 1)\nfix y = 2\ny = 1", "2:5: 'y' is fixed, and 2 is outside its domain"),
    ):
        with pytest.raises(la.EquationFileError, match=message):
            la.reads(text)


def test_the_command_line_knows_roles(tmp_path, capsys) -> None:
    path = tmp_path / "swapped.lag"
    path.write_text(SWAPPED)
    assert main(["evaluate", str(path), "--set", "y1=4", "--start", "z1=1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["values"]["y1"] == 4.0 and found["values"]["z1"] == pytest.approx(1.652417469626)
    assert main(["show", str(path), "--json"]) == 0
    roles = {s["name"]: s.get("role") for s in json.loads(capsys.readouterr().out)["symbols"]}
    assert roles == {"z1": "freed", "z2": None, "y1": "fixed", "y2": None}
    for wrong in (["--set", "z1=4"], ["--start", "y1=4"]):
        assert main(["evaluate", str(path), *wrong]) != 0
    assert "'z1' is one of the inputs, freed" in (said := capsys.readouterr().err) and "'y1' is fixed" in said


def test_scopes() -> None:
    p = la.Program("plant")
    m = p.scope("m")
    m.input("x", [1.0, 2.0])
    m.define("y", m["x"] * 3.0)
    m.fix("y[0]", 6.0)
    m.free("x[0]")
    assert p.evaluate()["m.x"].tolist() == [2.0, 2.0]
    with p.scope("m"):
        p.free("y")
        p.fix({"x[0]": 5.0})
    p.fix("m.y", [1.0, 2.0])
    p.free(p["m.x"])
    np.testing.assert_allclose(p.evaluate()["m.x"], [1 / 3, 2 / 3])


# what is wrong ------------------------------------------------------------------------------------------------


def test_errors_leave_everything_as_it_was() -> None:
    p = vector()
    p.define("w", np.sum(p["v"]))
    p.define("positive", np.exp(p["w"]))
    q = sellar()
    before = p.evaluate().as_dict()
    wrong = [
        (lambda: p.fix(p["v"] * 2.0), la.UnknownNameError, "is computed: name a symbol or elements of one"),
        (lambda: p.fix(np.concatenate([p["v"], p["u"]]), 1.0), la.UnknownNameError, "is computed"),
        (lambda: p.fix("nothing", 1.0), la.UnknownNameError, "nothing"),
        (lambda: p.fix("v[9]", 1.0), la.UnknownNameError, r"no element 'v\[9\]'.*shape \(5,\)"),
        (lambda: p.fix("w[0]", 1.0), la.UnknownNameError, "a scalar, without elements"),
        (lambda: p.fix("v[1:2]", 1.0), la.UnknownNameError, r"no element 'v\[1:2\]'"),
        (lambda: p.fix({"w": 1.0, "v": [1.0, 2.0]}), la.ShapeError, r"shape \(2,\)"),
        (lambda: p.fix({"w": 1.0, "v[1]": np.nan}), la.DeclarationError, "NaN"),
        (lambda: p.fix({"v": 1.0, "v[1]": 2.0}), la.DeclarationError, "twice"),
        (lambda: p.fix(p["v"][[1, 1]], 2.0), la.DeclarationError, "twice"),
        (lambda: p.fix(p["w"]), la.DeclarationError, "no value and no start"),
        (lambda: p.fix(3.0, 1.0), la.UnknownNameError, "named one symbol at a time.* got 3.0"),
        (lambda: p.fix({"w": 1.0}, 1.0), la.DeclarationError, "a mapping has its values"),
        (lambda: p.fix(q["y1"], 1.0), la.UnknownNameError, "of the program 'sellar'"),
        (lambda: p.free({"u[0]": 1.0, "b[0]": np.inf}), la.DeclarationError, "infinite"),
        (lambda: q.fix({"y2": 1.0, "y1": -3.0}), la.DeclarationError, r"-3 is outside its domain \(0, inf\)"),
    ]
    for call, error, message in wrong:
        with pytest.raises(error, match=message):
            call()
        assert not p.swapped and not q.swapped
    assert p.evaluate().as_dict() == before
    q.fix("y1", 3.0)
    q.free("z1")
    for call, message in (
        (lambda: q.evaluate(y1=-1.0), "outside its domain"), (lambda: q.set(y1=-1.0), "outside its domain"),
        (lambda: q.evaluate(z1=1.0), "'z1' is an input, freed: the equations determine it.*start="),
        (lambda: q.evaluate(start={"y1": 1.0}), "'y1' is fixed: give its value itself"),
    ):
        with pytest.raises(la.DeclarationError, match=message):
            call()
    assert q.evaluate()["y1"] == 3.0


def test_parameters_in_bounds_stay_given() -> None:
    p = la.Program("bound")
    x, k = p.input("x", 1.0), p.parameter("k", 2.0)
    y = p.define("y", x + k)
    p.subject_to(y <= k, name="limit")
    with pytest.raises(la.DeclarationError, match=r"'k' stands in the bound of the constraint 'limit'"):
        p.free(k)
    assert not p.swapped
    q = la.Program("free before")
    x, k = q.input("x", 1.0), q.parameter("k", 2.0)
    y = q.define("y", x + k)
    q.fix(y, 4.0)
    q.free(k)
    q.subject_to(y <= k, name="limit")
    assert q.evaluate()["limit"] == 1.0


def test_roles_of_symbols_without_elements_and_repeats() -> None:
    p = la.Program("empty")
    x = p.input("x", np.zeros(0))
    p.define("y", x * 2.0)
    z = p.input("z", 1.0)
    p.minimize(z**2 + np.sum(x))
    p.fix("y")
    p.free(x)
    p.fix(z, 2.0)
    p.fix(z, 3.0)
    assert p.evaluate()["z"] == 3.0 and p.evaluate().gradient["z"] == 6.0
    view = p.reduced()
    assert view.inputs.names == ["x", "z"] and view.join(view.split(view.x0)).tolist() == [3.0]
    assert p.lagrangian.names["x"] == ["x", "z"] and p.lagrangian.names["z"] == ["y"]
    p.set(z=1.0)
    version = p.plan_version
    p.fix(z)
    assert p.plan_version == version and p.evaluate()["z"] == 1.0
