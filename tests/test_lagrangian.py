"""The Lagrangian object: value and derivatives at any point against the plain meaning of the expressions; printing."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import lagrange_ad as la
from lagrange_ad.expression import evaluate

STEP = 1e-30
"""Of the complex step: it subtracts nothing, so it can be as small as one likes."""


# programs ---------------------------------------------------------------------------------------------------


def chain() -> la.Program:
    """Acyclic scalars; a parameter; auxiliaries are not needed."""
    p = la.Program("chain")
    x, y = p.input("x", 0.3), p.input("y", 0.8)
    k = p.parameter("k", 1.7)
    a = p.define("a", np.exp(x) * k)
    b = p.define("b", a**2 + y)
    c = p.define("c", np.sin(b * a))
    p.minimize(c * a + y**3)
    return p


def sellar() -> la.Program:
    """A cycle, with one-sided constraints."""
    p = la.Program("sellar")
    z1, z2, x = p.input("z1", 5.0), p.input("z2", 2.0), p.input("x", 1.0)
    y1, y2 = p.variable("y1", start=1.0), p.variable("y2", start=1.0)
    p.equate(y1, z1**2 + z2 + x - 0.2 * y2)
    p.equate(y2, np.sqrt(y1) + z1 + z2)
    p.minimize(x**2 + z2 + y1 + np.exp(-y2))
    p.subject_to(y1 >= 3.16, name="g1")
    p.subject_to(y2 <= 24.0, name="g2")
    return p


def circuit() -> la.Program:
    """Implicit equations; maximize, an objective that is a variable."""
    p = la.Program("circuit")
    current = p.input("I", 0.1)
    n1, n2 = p.variable("n1", start=1.0), p.variable("n2", start=0.7)
    p.equate(current, n1 / 2 + (n1 - n2) / 3, name="kcl1")
    p.equate((n1 - n2) / 3, 0.01 * (np.exp(n2) - 1), name="kcl2")
    power = p.define("power", n1 * current)
    p.maximize(power)
    return p


def arrays() -> la.Program:
    """Arrays with auxiliaries: exp of a sum, softmax-like quotients, products with constants, gathers, a recurrence."""
    rng = np.random.default_rng(1)
    p = la.Program("arrays")
    x = p.input("x", rng.uniform(0.2, 0.9, 4))
    s = p.input("s", 0.4)
    k = p.parameter("k", rng.uniform(0.5, 1.5, 3))
    u = p.define("u", x * np.exp(-np.sum(x**2)) + s)
    v = p.define("v", rng.uniform(-1, 1, (3, 4)) @ u * k)
    w = p.variable("w", 3, start=0.5)
    p.equate(w, np.cos(w[[1, 2, 0]] * 0.3 + v) / np.sum(np.exp(v)))
    total = p.define("total", np.log(np.sum(w**2) + np.exp(np.sum(u[1:] * u[:-1]))))
    p.minimize(total**2 + np.sum(w * v) + np.sum(x) * s)
    return p


def products() -> la.Program:
    """Matrix products of inputs and variables, and everything subject to array constraints of every kind."""
    rng = np.random.default_rng(2)
    p = la.Program("products")
    a = p.input("a", rng.uniform(-1, 1, (2, 3)))
    limit = p.parameter("limit", 0.25)
    b = p.define("b", np.tanh(a.T @ a))
    c = p.define("c", b @ b[:, 0] + np.sum(a))
    p.maximize(np.sum(c**2) - np.exp(np.sum(a)))
    p.subject_to(c, lower=-0.5, upper=0.5, name="range")
    p.subject_to(np.sum(b, axis=0) == limit, name="equality")
    p.subject_to(limit <= c[0] * c[1], name="reflected")
    p.subject_to(np.exp(np.sum(a)) <= 2 * limit, name="with_sum")
    return p


def no_objective() -> la.Program:
    p = la.Program("plain")
    x = p.input("x", 0.5)
    y = p.variable("y", start=1.0)
    p.equate(y, np.cos(x * y))
    return p


PROGRAMS: list[Callable[[], la.Program]] = [chain, sellar, circuit, arrays, products, no_objective]
every_program = pytest.mark.parametrize("model", PROGRAMS, ids=lambda model: model.__name__)
with_objective = pytest.mark.parametrize("model", PROGRAMS[:-1], ids=lambda model: model.__name__)


# the oracle: L from the expressions as the user wrote them --------------------------------------------------------


class Plain:
    """L, r and their derivatives by evaluating the declared expressions, at real or complex flat vectors."""

    def __init__(self, p: la.Program) -> None:
        self.p = p
        self.kinds = {"x": p.of_kind("input"), "z": p.of_kind("variable")}

    def values(self, x: Any, z: Any) -> dict[str, Any]:
        known = {s.name: np.asarray(s.value) for s in self.p.of_kind("parameter")}
        for symbols, flat in ((self.kinds["x"], x), (self.kinds["z"], z)):
            at = 0
            for s in symbols:
                size = int(np.prod(s.shape))
                known[s.name] = np.asarray(flat[at : at + size]).reshape(s.shape)
                at += size
            assert at == len(flat)
        return known

    def residuals(self, x: Any, z: Any, lam: Any | None = None) -> Any:
        """r of the equations, b − g of the constraints; of a range the side that λ belongs to."""
        known, parts, at = self.values(x, z), [], 0
        for e in self.p.equations:
            parts.append(np.broadcast_to(evaluate(e.right, known) - evaluate(e.left, known), e.shape).ravel())
            at += parts[-1].size
        for c in self.p.constraints:
            body = evaluate(c.body, known)
            multiplier = None if lam is None else np.reshape(lam[at : at + body.size], body.shape)
            parts.append((self._bound(c, known, body, multiplier) - body).ravel())
            at += body.size
        return np.concatenate(parts)

    def _bound(self, c: Any, known: Mapping[str, Any], body: Any, lam: Any) -> Any:
        low, high = (None if side is None else evaluate(side, known) for side in (c.lower, c.upper))
        if low is None or high is None:
            return high if low is None else low
        assert lam is not None and (lam != 0).all()
        worse = 1.0 if self.p.objective is None or self.p.objective.sense == "minimize" else -1.0
        return np.where(worse * lam.real > 0, low, high)  # raising a lower bound makes the optimum worse

    def value(self, x: Any, z: Any, lam: Any) -> Any:
        objective = self.p.objective
        goal = 0.0 if objective is None else evaluate(objective.expression, self.values(x, z))
        return goal + lam @ self.residuals(x, z, lam)

    def slope(self, x: Any, z: Any, lam: Any) -> Any:
        """∂L/∂(x, z) by complex step."""
        both = np.concatenate([x, z]).astype(complex)
        slopes = np.zeros(len(both))
        for j in range(len(both)):
            moved = both.copy()
            moved[j] += 1j * STEP
            slopes[j] = np.imag(self.value(moved[: len(x)], moved[len(x) :], lam)) / STEP
        return slopes

    def jacobian(self, x: Any, z: Any) -> Any:
        both = np.concatenate([x, z]).astype(complex)
        lam = np.ones(self.p.lagrangian.multipliers.size)
        columns = []
        for j in range(len(both)):
            moved = both.copy()
            moved[j] += 1j * STEP
            columns.append(np.imag(self.residuals(moved[: len(x)], moved[len(x) :], lam)) / STEP)
        return np.array(columns).T

    def hessian(self, x: Any, z: Any, lam: Any, step: float = 1e-5) -> Any:
        """Central differences of the complex-step gradient."""
        both = np.concatenate([x, z])
        rows = []
        for j in range(len(both)):
            ahead, behind = both.copy(), both.copy()
            ahead[j] += step
            behind[j] -= step
            change = self.slope(ahead[: len(x)], ahead[len(x) :], lam) - self.slope(
                behind[: len(x)], behind[len(x) :], lam)
            rows.append(change / (2 * step))
        return np.array(rows)


def random_point(p: la.Program, seed: int) -> tuple[Any, Any, Any]:
    """(x, z, λ) anywhere: positive, so that roots and logarithms are defined, and infeasible."""
    rng, lagrangian = np.random.default_rng(seed), p.lagrangian
    x = rng.uniform(0.2, 1.2, lagrangian.inputs.size)
    z = rng.uniform(0.2, 1.2, lagrangian.variables.size)
    n = lagrangian.multipliers.size
    return x, z, rng.choice([-1.0, 1.0], n) * rng.uniform(0.2, 2.0, n)


# value and derivatives ------------------------------------------------------------------------------------------


@every_program
@pytest.mark.parametrize("seed", range(4))
def test_value_and_residuals_anywhere(model: Callable[[], la.Program], seed: int) -> None:
    p = model()
    x, z, lam = random_point(p, seed)
    assert p.lagrangian.value(x, z, lam) == pytest.approx(Plain(p).value(x, z, lam), rel=1e-13, abs=1e-13)
    residuals = p.lagrangian.gradient(x, z, lam)[2]
    np.testing.assert_allclose(residuals, Plain(p).residuals(x, z, lam), rtol=1e-13, atol=1e-13)


@every_program
@pytest.mark.parametrize("seed", range(4))
def test_gradient_anywhere_against_complex_step(model: Callable[[], la.Program], seed: int) -> None:
    p = model()
    x, z, lam = random_point(p, seed)
    by_x, by_z, _ = p.lagrangian.gradient(x, z, lam)
    slope = Plain(p).slope(x, z, lam)
    assert by_x.shape == x.shape and by_z.shape == z.shape
    np.testing.assert_allclose(np.concatenate([by_x, by_z]), slope, rtol=1e-12, atol=1e-12)


@every_program
@pytest.mark.parametrize("seed", range(3))
def test_jacobian_anywhere_against_complex_step(model: Callable[[], la.Program], seed: int) -> None:
    p = model()
    x, z, _ = random_point(p, seed)
    jacobian = p.lagrangian.jacobian(x, z)
    assert sparse.issparse(jacobian) and jacobian.format == "csr"
    assert jacobian.shape == (p.lagrangian.multipliers.size, len(x) + len(z))
    np.testing.assert_allclose(jacobian.toarray(), Plain(p).jacobian(x, z), rtol=1e-12, atol=1e-12)


@every_program
@pytest.mark.parametrize("seed", range(3))
def test_hessian_anywhere_against_differences_and_complex_step(model: Callable[[], la.Program], seed: int) -> None:
    p = model()
    x, z, lam = random_point(p, seed)
    lagrangian = p.lagrangian
    hessian = lagrangian.hessian(x, z, lam)
    assert sparse.issparse(hessian) and hessian.shape == (len(x) + len(z),) * 2
    dense = hessian.toarray()
    np.testing.assert_allclose(dense, dense.T, rtol=1e-14, atol=1e-14)
    scale = np.abs(dense).max(initial=1.0)
    np.testing.assert_allclose(dense, Plain(p).hessian(x, z, lam), rtol=1e-6, atol=1e-7 * scale)
    both = np.concatenate([x, z])
    for j in range(len(both)):
        moved = both.astype(complex)
        moved[j] += 1j * STEP
        by_x, by_z, _ = lagrangian.gradient(moved[: len(x)], moved[len(x) :], lam)
        column = np.imag(np.concatenate([by_x, by_z])) / STEP
        np.testing.assert_allclose(dense[:, j], column, rtol=1e-11, atol=1e-12 * scale)


@every_program
def test_the_jacobian_is_sparse_and_without_duplicates(model: Callable[[], la.Program]) -> None:
    p = model()
    x, z, lam = random_point(p, 5)
    for matrix in (p.lagrangian.jacobian(x, z), p.lagrangian.hessian(x, z, lam)):
        entries = matrix.tocoo()
        assert len(set(zip(entries.row.tolist(), entries.col.tolist(), strict=True))) == entries.nnz


def test_residuals_of_a_range_take_the_nearer_side_when_no_multiplier_speaks() -> None:
    p = la.Program()
    x = p.input("x", [0.0, 0.9, 5.0])
    p.subject_to(x, lower=-1, upper=1, name="range")
    np.testing.assert_allclose(p.lagrangian.residuals([-0.4, 0.9, 5.0], []), [-0.6, 0.1, -4.0])


@pytest.mark.parametrize("sense", ["minimize", "maximize"])
@pytest.mark.parametrize("multiplier", [-2.0, 2.0])
def test_a_multiplier_of_a_range_speaks_of_one_side(sense: str, multiplier: float) -> None:
    p = la.Program()
    x = p.input("x", 0.0)
    getattr(p, sense)(x)
    p.subject_to(x, lower=-1, upper=3, name="range")
    lower = (multiplier > 0) == (sense == "minimize")  # dJ*/d(lower) > 0 where J is to be small
    bound = -1.0 if lower else 3.0
    assert p.lagrangian.value([0.5], [], [multiplier]) == pytest.approx(0.5 + multiplier * (bound - 0.5))


# stationarity at an evaluated point --------------------------------------------------------------------------------


@with_objective
def test_an_evaluated_point_is_stationary_but_for_the_inputs(model: Callable[[], la.Program]) -> None:
    p = model()
    at, lagrangian = p.evaluate(), p.lagrangian
    x, z, lam = lagrangian.of(at)
    by_x, by_z, by_lam = lagrangian.gradient(x, z, lam)
    scale = max(1.0, np.abs(lam).max())
    equations = lagrangian.multipliers.size - sum(c.body.size for c in p.constraints)
    np.testing.assert_allclose(by_z, 0.0, atol=1e-12 * scale)
    np.testing.assert_allclose(by_lam[:equations], 0.0, atol=1e-11)
    expected = np.concatenate([np.ravel(at.gradient[s.name]) for s in p.of_kind("input")])
    np.testing.assert_allclose(by_x, expected, rtol=1e-11, atol=1e-12 * scale)
    value = lagrangian.value(x, z, lam)
    assert value == pytest.approx(at.objective, rel=1e-10)  # L = J where the equations hold


def test_of_keeps_the_order_of_names() -> None:
    p = sellar()
    at = p.evaluate()
    x, z, lam = p.lagrangian.of(at)
    assert p.lagrangian.names == {"x": ["z1", "z2", "x"], "z": ["y1", "y2"], "λ": ["y1", "y2", "g1", "g2"]}
    np.testing.assert_array_equal(x, [5.0, 2.0, 1.0])
    np.testing.assert_array_equal(z, [at["y1"], at["y2"]])
    np.testing.assert_array_equal(lam, [at.multiplier["y1"], at.multiplier["y2"], 0.0, 0.0])


def test_of_a_point_at_other_inputs() -> None:
    p = arrays()
    at = p.evaluate(x=[0.1, 0.2, 0.3, 0.4], s=1.0)
    x, z, lam = p.lagrangian.of(at)
    np.testing.assert_array_equal(x, [0.1, 0.2, 0.3, 0.4, 1.0])
    np.testing.assert_allclose(p.lagrangian.gradient(x, z, lam)[1], 0.0, atol=1e-13)


def test_without_an_objective_the_value_is_the_multipliers_times_the_residuals() -> None:
    lagrangian = no_objective().lagrangian
    assert lagrangian.value([0.5], [0.7], [3.0]) == pytest.approx(3.0 * (np.cos(0.35) - 0.7), rel=1e-15)


def test_a_program_without_variables() -> None:
    p = la.Program()
    x = p.input("x", [1.0, 2.0])
    p.minimize(np.sum(x**2))
    lagrangian = p.lagrangian
    by_x, by_z, by_lam = lagrangian.gradient([3.0, 4.0], [], [])
    np.testing.assert_allclose(by_x, [6.0, 8.0])
    assert by_z.shape == by_lam.shape == (0,)
    assert lagrangian.jacobian([3.0, 4.0], []).shape == (0, 2)
    np.testing.assert_allclose(lagrangian.hessian([3.0, 4.0], [], []).toarray(), 2 * np.eye(2))


def test_a_program_without_inputs() -> None:
    p = la.Program()
    y = p.variable("y", start=0.5)
    p.equate(y, np.cos(y))
    p.minimize(y**2)
    x, z, lam = p.lagrangian.of(p.evaluate())
    assert x.shape == (0,)
    np.testing.assert_allclose(p.lagrangian.gradient(x, z, lam)[1], 0.0, atol=1e-14)


# arguments ------------------------------------------------------------------------------------------------------


def test_dicts_mean_the_same_as_flat_arrays() -> None:
    p = arrays()
    lagrangian = p.lagrangian
    x, z, lam = random_point(p, 7)
    named = [blocks.split(flat, blocks.names) for blocks, flat in
             ((lagrangian.inputs, x), (lagrangian.variables, z), (lagrangian.multipliers, lam))]
    assert lagrangian.value(*named) == lagrangian.value(x, z, lam)
    for one, other in zip(lagrangian.gradient(*named), lagrangian.gradient(x, z, lam), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(lagrangian.residuals(*named[:2]), lagrangian.residuals(x, z))
    np.testing.assert_array_equal(lagrangian.jacobian(*named[:2]).toarray(), lagrangian.jacobian(x, z).toarray())
    np.testing.assert_array_equal(lagrangian.hessian(*named).toarray(), lagrangian.hessian(x, z, lam).toarray())


def test_dicts_leave_what_they_do_not_name_as_declared() -> None:
    lagrangian = sellar().lagrangian
    full = lagrangian.value([5.0, 2.0, 0.5], [1.0, 4.0], [0.0, 3.0, 0.0, 0.0])
    assert lagrangian.value({"x": 0.5}, {"y2": 4.0}, {"y2": 3.0}) == full


def test_a_start_that_is_an_expression_is_taken_as_declared() -> None:
    p = la.Program()
    x = p.input("x", 3.0)
    y = p.variable("y", start=2 * x)
    p.equate(y, x**2)
    np.testing.assert_allclose(p.lagrangian.residuals({}, {}), [3.0])


def test_a_scalar_is_broadcast_in_a_dict() -> None:
    lagrangian = arrays().lagrangian
    one, other = lagrangian.residuals({"x": 0.5}, {"w": 0.1}), lagrangian.residuals({"x": [0.5] * 4}, {"w": [0.1] * 3})
    np.testing.assert_array_equal(one, other)


def test_arguments_are_left_as_they_were() -> None:
    p = arrays()
    given = random_point(p, 3)
    copies = [part.copy() for part in given]
    p.lagrangian.hessian(*given)
    p.lagrangian.gradient(*given)
    for part, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(part, copy)


@pytest.mark.parametrize(("x", "z", "lam", "words"), [
    ([1.0], [1.0, 1.0], [0.0] * 4, r"x must have shape \(3,\) for z1, z2, x, got \(1,\)"),
    ([1.0] * 3, [[1.0, 1.0]], [0.0] * 4, r"z must have shape \(2,\) for y1, y2, got \(1, 2\)"),
    ([1.0] * 3, [1.0, 1.0], [0.0] * 2, r"λ must have shape \(4,\) for y1, y2, g1, g2, got \(2,\)"),
    (1.0, [1.0, 1.0], [0.0] * 4, r"x must have shape"),
])
def test_wrong_shapes_are_refused(x: Any, z: Any, lam: Any, words: str) -> None:
    with pytest.raises(la.ShapeError, match=words):
        sellar().lagrangian.gradient(x, z, lam)


def test_a_wrong_shape_in_a_dict_names_the_block() -> None:
    with pytest.raises(la.ShapeError, match=r"'w'.*\(2,\).*\(3,\)"):
        arrays().lagrangian.residuals({}, {"w": [1.0, 2.0]})


def test_wrong_names_are_refused_with_the_nearest() -> None:
    lagrangian = sellar().lagrangian
    with pytest.raises(la.UnknownNameError, match=r"x has no 'z11'; did you mean 'z1'"):
        lagrangian.value({"z11": 1.0}, {}, {})
    with pytest.raises(la.UnknownNameError, match=r"z has no 'x'; it has y1, y2"):
        lagrangian.value({}, {"x": 1.0}, {})
    with pytest.raises(la.UnknownNameError, match="λ has no 'g3'; it has y1, y2, g1, g2"):
        lagrangian.value({}, {}, {"g3": 1.0})


@pytest.mark.parametrize("given", ["abc", [None], [object()] * 3, {"x": "abc"}])
def test_what_is_not_numbers_is_refused(given: Any) -> None:
    with pytest.raises(la.DeclarationError, match="number"):
        sellar().lagrangian.residuals(given, {})


# printing -------------------------------------------------------------------------------------------------------


def test_text_of_domke() -> None:
    p = la.Program("domke")
    x = p.input("x", 0.1)
    a = p.define("a", np.exp(x))
    p.maximize(p.define("f", a - x))
    assert str(p.lagrangian) == "L = f - λ_a·(a - exp(x)) - λ_f·(f - (a - x))"


@every_program
def test_text_has_the_users_names_only(model: Callable[[], la.Program]) -> None:
    p = model()
    text = str(p.lagrangian)
    words = set(re.findall(r"[^\W\d]\w*", text.replace("λ_", " ")))
    functions = {"exp", "sin", "cos", "sqrt", "log", "sum", "tanh", "array", "L", "T", "axis", "transpose"}
    names = {*p.symbols, *(e.name for e in p.equations), *(c.name for c in p.constraints)}
    assert words <= names | functions
    for item in (*p.equations, *p.constraints):
        assert f"λ_{item.name}·(" in text
    assert text.count("(") == text.count(")")


def test_text_without_an_objective_begins_with_zero() -> None:
    assert str(no_objective().lagrangian) == "L = 0 - λ_y·(y - cos(x * y))"


def test_constraints_are_printed_as_body_less_bound() -> None:
    text = str(sellar().lagrangian)
    assert "- λ_g1·(y1 - 3.16)" in text and "- λ_g2·(y2 - 24)" in text


def test_a_range_is_printed_with_both_its_sides() -> None:
    p = la.Program()
    x = p.input("x", 0.0)
    p.minimize(x)
    p.subject_to(x**3, lower=-1, upper=2, name="range")
    assert str(p.lagrangian) == "L = x - λ_range·(x**3 - {-1, 2})"
    assert r"\left(x^{3} - \{-1, 2\}\right)" in p.lagrangian._repr_latex_()


def test_a_zero_on_the_right_is_left_out() -> None:
    p = la.Program()
    y = p.variable("y", start=1.0)
    p.equate(y**2 - 2, 0, name="root")
    assert str(p.lagrangian) == "L = 0 - λ_root·(y**2 - 2)"


def large(n: int = 3000) -> la.Program:
    p = la.Program("large")
    y = p.input("x", 0.1)
    for i in range(n):
        y = p.define(f"y{i}", np.sin(y))
    p.minimize(y)
    return p


def test_a_large_program_is_summarised() -> None:
    lagrangian = large().lagrangian
    text = str(lagrangian)
    assert len(text.splitlines()) < 100 and len(text) < 5000
    shown = len(re.findall("λ_", text))
    assert text.splitlines()[-1].strip() == f"- … ({3000 - shown} more terms)"
    assert len(lagrangian._repr_latex_()) < 20_000 and r"\dots" in lagrangian._repr_latex_()
    assert repr(lagrangian) == "<Lagrangian of 'large': 1 inputs, 3000 variables, 3000 multipliers>"


def test_one_huge_equation_is_cut() -> None:
    p = la.Program()
    x = p.input("x", 0.1)
    e = x
    for i in range(2000):
        e = np.sin(e) + i * x
    p.minimize(p.define("y", e))
    text, latex = str(p.lagrangian), p.lagrangian._repr_latex_()
    assert len(text) < 1000 and "…" in text
    assert len(latex) < 2000 and balanced(latex)


def balanced(latex: str) -> bool:
    """Braces, and \\left with \\right."""
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", latex):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0 and len(re.findall(r"\\left\b", latex)) == len(re.findall(r"\\right\b", latex))


@every_program
def test_latex_is_well_formed(model: Callable[[], la.Program]) -> None:
    latex = model().lagrangian._repr_latex_()
    assert latex.startswith("$") and latex.endswith("$")
    assert balanced(latex)
    assert "auxiliary" not in latex and "…" not in latex


@every_program
def test_every_term_of_the_latex_renders(model: Callable[[], la.Program]) -> None:
    """By matplotlib's mathtext, which knows no aligned environment: one line at a time."""
    mathtext = pytest.importorskip("matplotlib.mathtext")
    parser = mathtext.MathTextParser("path")
    latex = model().lagrangian._repr_latex_()
    body = re.fullmatch(r"\$\\displaystyle \\begin\{aligned\} (.*) \\end\{aligned\}\$", latex)
    assert body is not None
    for line in body[1].split(r"\\"):
        parser.parse("$" + line.replace("&", "") + "$")


@pytest.mark.parametrize("name", ["x_max", "alpha", "alpha_2", "m1.i", "T4", "θ", "x__", "_y", "λ3", "n_1_2"])
def test_latex_of_awkward_names_renders(name: str) -> None:
    mathtext = pytest.importorskip("matplotlib.mathtext")
    p = la.Program()
    x = p.input("x", 1.0)
    y = p.define(name, x**2)
    p.minimize(np.abs(y) + 1e-20 * y**-2.5 + np.where(y > 0, y, -y) / np.sqrt(y))
    latex = p.lagrangian._repr_latex_()
    assert balanced(latex)
    body = latex.removeprefix(r"$\displaystyle \begin{aligned} ").removesuffix(r" \end{aligned}$")
    for line in body.split(r"\\"):
        mathtext.MathTextParser("path").parse("$" + line.replace("&", "") + "$")
