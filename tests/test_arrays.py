"""NumPy's functions of whole arrays on expressions: values as NumPy's, derivatives as differences of NumPy's values.

Each case is a function of arrays, applied to NumPy arrays and to expressions. What a case gives is compared on both
executors, its gradient with differences of the fourth order of NumPy's own values, its Hessian with differences of
the gradient. Corners (ties, zeros, infinities, nothing at all) have tests of their own.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

import lagrange_ad as la
from lagrange_ad.errors import ShapeError
from lagrange_ad.expression import COMPOSED, evaluate, expanded, postorder
from lagrange_ad.printing import to_latex, to_text

RNG = np.random.default_rng(5)
EXECUTORS = ("reference", "native")
BOTH = pytest.mark.parametrize("executor", EXECUTORS)
ARRAYS = {
    "s": np.array(1.3),
    "v": np.array([0.7, -1.1, 2.4, 0.3, -0.4]),
    "w": np.array([1.7, 0.2, 0.9, -0.6, 1.1]),
    "one": np.array([1.2]),
    "long": RNG.uniform(0.5, 1.5, 23) * RNG.choice([-1.0, 1.0], 23),
    "m": RNG.permutation(np.linspace(-1.9, 1.7, 12)).reshape(3, 4),
    "k": RNG.normal(size=(4, 2)),
    "q": RNG.normal(size=(3, 3)),
    "b": RNG.normal(size=(2, 3, 4)),
    "c": RNG.normal(size=(4, 3, 2)),
    "r": RNG.normal(size=(3,)),
    "e2": np.zeros((0, 3)),
}
C3, C34 = RNG.normal(size=3), RNG.normal(size=(3, 4))
Case = Callable[..., Any]

REDUCED: list[tuple[str, Case]] = [
    ("prod", np.prod), ("max", np.max), ("min", np.min), ("mean", np.mean), ("var", np.var), ("std", np.std),
    ("ptp", np.ptp), ("amax", np.amax), ("amin", np.amin),
    ("logsumexp", lambda x, **k: special.logsumexp(x, **k) if isinstance(x, np.ndarray) else la.logsumexp(x, **k)),
    ("norm", np.linalg.norm),
]  # fmt: skip
AXES: list[tuple[str, Any]] = [
    ("s", None), ("s", ()), ("v", None), ("v", 0), ("v", -1), ("one", None), ("long", None), ("m", None), ("m", 0),
    ("m", 1), ("m", -2), ("m", (0, 1)), ("b", 1), ("b", (0, 2)), ("b", (-1, 0)), ("b", None),
]  # fmt: skip


def program_of(case: Case, executor: str) -> tuple[la.Program, dict[str, np.ndarray], Any]:
    """A program with an input for every argument of a case, the arrays, and what the case gives."""
    p = la.Program(executor=executor)
    arrays = {name: ARRAYS[name] for name in case.__code__.co_varnames[: case.__code__.co_argcount]}
    return p, arrays, case(*(p.input(name, array) for name, array in arrays.items()))


def check(case: Case, rtol: float = 1e-13) -> None:
    """Values, gradient and Hessian of a case on both executors."""
    for executor in EXECUTORS:
        p, arrays, result = program_of(case, executor)
        assert isinstance(result, la.Expression)
        expected = np.asarray(case(*arrays.values()), dtype=float)
        assert result.shape == expected.shape
        if result.owner is p and not p.equations:
            np.testing.assert_allclose(evaluate(result, arrays), expected, rtol=rtol, atol=1e-14)
        weight = np.linspace(0.5, 1.5, expected.size).reshape(expected.shape)
        p.define("value", result)
        p.minimize(np.sum(weight * np.sin(p["value"])))
        at = p.evaluate()
        np.testing.assert_allclose(at["value"], expected, rtol=rtol, atol=1e-14)
        check_slopes(case, p, arrays, weight)


def check_slopes(case: Case, p: la.Program, arrays: dict[str, np.ndarray], weight: np.ndarray) -> None:
    """The gradient along a direction against NumPy, the Hessian (where the program is explicit) against gradients."""
    rng = np.random.default_rng(3)
    along = {name: rng.normal(size=array.shape) for name, array in arrays.items()}

    def moved(step: float) -> dict[str, np.ndarray]:
        return {name: array + step * along[name] for name, array in arrays.items()}

    def objective(step: float) -> float:
        return float(np.sum(weight * np.sin(case(*moved(step).values()))))

    at, h = p.evaluate(), 1e-3
    slope = (8 * (objective(h) - objective(-h)) - (objective(2 * h) - objective(-2 * h))) / (12 * h)
    gradient = sum(np.sum(at.gradient[name] * along[name]) for name in arrays)
    np.testing.assert_allclose(gradient, slope, rtol=1e-7, atol=1e-8)
    tangent = at.tangent(along)["value"]
    np.testing.assert_allclose(np.sum(weight * np.cos(at["value"]) * tangent), slope, rtol=1e-7, atol=1e-8)
    if len(p.equations) > 1 or any(equation.own is None for equation in p.equations):
        return
    ahead, behind = p.evaluate(moved(h / 10)), p.evaluate(moved(-h / 10))
    x, z, lam = p.lagrangian.of(at)
    hessian = p.lagrangian.hessian(x, z, lam)
    n, flat = len(x), np.concatenate([np.ravel(along[name]) for name in arrays])
    total = np.concatenate([flat, np.ravel(tangent)])
    # d/dt of ∇ₓL at the solution: the Hessian along the moving point, and the moving multipliers
    bent = (hessian @ total)[:n]
    rates = (np.ravel(ahead.multiplier["value"]) - np.ravel(behind.multiplier["value"])) / (h / 5)
    moving = (p.lagrangian.gradient(x, z, np.ravel(lam) + rates)[0] - p.lagrangian.gradient(x, z, lam)[0])
    change = np.concatenate([np.ravel(ahead.gradient[k] - behind.gradient[k]) for k in arrays]) / (h / 5)
    np.testing.assert_allclose(bent + moving, change, rtol=1e-4, atol=1e-5 * (1 + np.abs(change).max(initial=0.0)))


def cases(*functions: Case) -> Any:
    """Parametrize by functions."""
    return pytest.mark.parametrize("case", [pytest.param(f, id=f"{i}") for i, f in enumerate(functions)])


def with_argument(name: str, function: Case) -> Case:
    """A case whose one argument has a name of ARRAYS."""
    namespace: dict[str, Any] = {"function": function}
    exec(f"def case({name}): return function({name})", namespace)
    return namespace["case"]  # type: ignore[no-any-return]


# reductions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, axis", AXES)
@pytest.mark.parametrize("function", [pytest.param(f, id=name) for name, f in REDUCED])
def test_reductions_over_any_axes(function: Case, name: str, axis: Any) -> None:
    array, keep = ARRAYS[name], name in ("m", "b")
    if axis == () and function is dict(REDUCED)["logsumexp"]:
        axis = None  # SciPy makes a new axis of ()
    if function is np.linalg.norm:
        axis = axis if axis is None or isinstance(axis, int) or len(axis) == 2 else None
    keywords = {"axis": axis, **({"keepdims": True} if keep else {})}
    p = la.Program()
    x = p.input("x", array)
    result, expected = function(x, **keywords), np.asarray(function(array, **keywords))
    assert result.shape == expected.shape
    np.testing.assert_allclose(evaluate(result, {"x": array}), expected, rtol=1e-14, atol=1e-15)
    p.define("y", result)
    np.testing.assert_allclose(p.evaluate()["y"], expected, rtol=1e-14, atol=1e-15)


@cases(
    lambda v: np.prod(v), lambda m: np.prod(m, axis=0), lambda long: np.prod(long), lambda m: np.prod(np.sin(m)),
    lambda v: np.max(v), lambda m: np.max(m, axis=1), lambda b: np.min(b, axis=(0, 2)), lambda long: np.min(long),
    lambda m: np.max(m * m, axis=(0, 1)), lambda v: np.ptp(v), lambda m: np.ptp(m, axis=0, keepdims=True),
    lambda m: np.mean(m, axis=0), lambda m: np.var(m, axis=1, ddof=1), lambda b: np.std(b, axis=(0, 1)),
    lambda v: np.var(v, correction=1) if isinstance(v, la.Expression) else np.var(v, ddof=1),
    lambda v: np.std(v, ddof=1), lambda m: m.max(axis=0), lambda m: m.min(), lambda m: m.prod(axis=1),
    lambda m: m.std(axis=0), lambda m: m.var(keepdims=True), lambda q: q.trace(), lambda m: m.cumsum(axis=0),
    lambda v: v.cumprod(), lambda v: np.multiply.reduce(v), lambda m: np.maximum.reduce(m),
    lambda m: np.minimum.reduce(m, axis=1), lambda m: np.add.accumulate(m), lambda m: np.multiply.accumulate(m, axis=1),
    lambda v, w: np.add.outer(v, w), lambda m, v: np.subtract.outer(m, v), lambda v: np.max(np.concatenate([v, 2 * v])),
)  # fmt: skip
def test_reductions_and_their_slopes(case: Case) -> None:
    check(case)


@cases(
    lambda v: np.linalg.norm(v), lambda m: np.linalg.norm(m), lambda m: np.linalg.norm(m, axis=1),
    lambda v: np.linalg.norm(v, 2), lambda v: np.linalg.norm(v, 1), lambda v: np.linalg.norm(v, np.inf),
    lambda v: np.linalg.norm(v, -np.inf), lambda v: np.linalg.norm(v, 3), lambda v: np.linalg.norm(v, 1.5),
    lambda m: np.linalg.norm(m, "fro"), lambda m: np.linalg.norm(m, 1), lambda m: np.linalg.norm(m, -1),
    lambda m: np.linalg.norm(m, np.inf), lambda m: np.linalg.norm(m, -np.inf, keepdims=True),
    lambda b: np.linalg.norm(b, axis=(0, 2)), lambda b: np.linalg.norm(b, np.inf, axis=(2, 0)),
    lambda b: np.linalg.norm(b, 1, axis=(0, 1), keepdims=True), lambda m: np.linalg.norm(m, 3, axis=0, keepdims=True),
    lambda b: np.linalg.norm(b),
)  # fmt: skip
def test_norms(case: Case) -> None:
    check(case)


@cases(
    lambda v: np.cumsum(v), lambda m: np.cumsum(m), lambda m: np.cumsum(m, axis=1), lambda b: np.cumsum(b, axis=-2),
    lambda one: np.cumsum(one), lambda s: np.cumsum(s), lambda long: np.cumsum(np.sin(long)),
    lambda v: np.cumprod(v), lambda m: np.cumprod(m, axis=0), lambda b: np.cumprod(b, axis=2),
    lambda long: np.cumprod(long), lambda v: np.cumprod(np.cumsum(v)), lambda v: np.cumsum(np.outer(v, v), axis=0)[::2],
)  # fmt: skip
def test_running_sums_and_products(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("n", [*range(1, 22), 63, 64, 65, 255, 257])
def test_running_results_of_every_length(n: int) -> None:
    array = np.random.default_rng(n).uniform(0.5, 1.5, n)
    for executor in EXECUTORS if n in (5, 17, 65) else ("reference",):
        p = la.Program(executor=executor)
        x = p.input("x", array)
        p.define("sums", np.cumsum(x))
        p.define("products", np.cumprod(x))
        p.define("product", np.prod(x))
        p.define("most", np.max(x))
        p.minimize(np.sum(np.arange(1.0, n + 1) * p["sums"]) + np.sum(p["products"]))
        at = p.evaluate()
        np.testing.assert_allclose(at["sums"], np.cumsum(array), rtol=1e-13)
        np.testing.assert_allclose(at["products"], np.cumprod(array), rtol=1e-13)
        np.testing.assert_allclose(at["product"], np.prod(array), rtol=1e-13)
        assert at["most"] == array.max()
        behind = np.cumsum(np.arange(1.0, n + 1)[::-1])[::-1] + np.cumsum(np.cumprod(array)[::-1])[::-1] / array
        np.testing.assert_allclose(at.gradient["x"], behind, rtol=1e-12)


@BOTH
def test_products_with_zeros_have_exact_slopes(executor: str) -> None:
    for array in ([0.0, 2.0, 3.0, 4.0, 5.0], [2.0, 0.0, 3.0, 0.0, 5.0], [0.0, 0.0, 0.0], [1.0, 2.0, 0.0]):
        p = la.Program(executor=executor)
        x = p.input("x", array)
        p.minimize(np.prod(x) + 10.0 * np.sum(np.cumprod(x)))
        expected = [np.prod(np.delete(array, i)) for i in range(len(array))]
        expected += 10.0 * np.array(
            [sum(np.prod(np.delete(array[: k + 1], i)) for k in range(i, len(array))) for i in range(len(array))])
        np.testing.assert_array_equal(p.evaluate().gradient["x"], expected)


@BOTH
def test_the_first_of_equal_extremes_has_the_slope(executor: str) -> None:
    for array in (np.array([1.0, 3.0, 3.0, 2.0, 3.0]), np.full(40, 2.0), np.array([[1.0, 5.0], [5.0, 5.0]])):
        p = la.Program(executor=executor)
        x, y = p.input("x", array), p.input("y", -array)
        p.minimize(np.max(x) + 2.0 * np.min(y))
        at = p.evaluate()
        first = np.zeros(array.size)
        first[np.argmax(array)] = 1.0
        np.testing.assert_array_equal(at.gradient["x"], first.reshape(array.shape))
        np.testing.assert_array_equal(at.gradient["y"], 2.0 * first.reshape(array.shape))


@BOTH
def test_norms_and_deviations_have_slope_zero_where_they_are_zero(executor: str) -> None:
    p = la.Program(executor=executor)
    x, y, z, w = (p.input(name, np.full(3, value)) for name, value in (("x", 0.0), ("y", 2.5), ("z", 0.0), ("w", 0.0)))
    p.minimize(np.linalg.norm(x) + np.std(y) + np.linalg.norm(z, 3) + np.linalg.norm(w, 1))
    at = p.evaluate()
    assert at.objective == 0.0
    for name in "xyz":
        np.testing.assert_array_equal(at.gradient[name], np.zeros(3))
    np.testing.assert_array_equal(at.gradient["w"], np.ones(3))


def test_nothing_at_all() -> None:
    p = la.Program()
    x = p.input("x", ARRAYS["e2"])
    given = {
        "prod": (np.prod(x), np.prod(ARRAYS["e2"])),
        "prods": (np.prod(x, axis=0), np.prod(ARRAYS["e2"], axis=0)),
        "max": (np.max(x, axis=1), np.max(ARRAYS["e2"], axis=1)),
        "cumsum": (np.cumsum(x, axis=1), ARRAYS["e2"]),
        "norm": (np.linalg.norm(x), np.float64(0.0)),
        "einsum": (np.einsum("ij,ik->jk", x, x), np.zeros((3, 3))),
        "dot": (np.tensordot(x, x, ((0,), (0,))), np.zeros((3, 3))),
        "outer": (np.outer(x, x), np.zeros((0, 0))),
        "diff": (np.diff(x, axis=1), np.zeros((0, 2))),
    }
    for name, (result, expected) in given.items():
        assert result.shape == expected.shape, name
        p.define(name, result)
    at = p.evaluate()
    for name, (_, expected) in given.items():
        np.testing.assert_array_equal(at[name], expected, err_msg=name)
    for function in (np.max, np.min, np.mean, np.var, la.logsumexp, la.softmax):
        with pytest.raises(ShapeError, match="no elements"):
            function(x)


# softmax ---------------------------------------------------------------------------------------------------------


def _softmax(x: Any, **keywords: Any) -> Any:
    return la.softmax(x, **keywords) if isinstance(x, la.Expression) else special.softmax(x, **keywords)


def _logsumexp(x: Any, **keywords: Any) -> Any:
    given = isinstance(x, la.Expression) or isinstance(keywords.get("b"), la.Expression)
    return la.logsumexp(x, **keywords) if given else special.logsumexp(x, **keywords)


@cases(
    lambda v: _logsumexp(v), lambda m: _logsumexp(m, axis=0), lambda b: _logsumexp(b, axis=(0, 2), keepdims=True),
    lambda v: _logsumexp(v, b=np.array([1.0, 2.0, 0.0, 0.5, 3.0])), lambda m, r: _logsumexp(m, axis=0, b=r[:, None]**2),
    lambda v: _logsumexp(10.0 * v), lambda one: _logsumexp(one), lambda v: _softmax(v), lambda m: _softmax(m, axis=0),
    lambda b: _softmax(b, axis=(0, 1)), lambda one: _softmax(one), lambda long: _softmax(3.0 * long),
    lambda m: la.softplus(m) if isinstance(m, la.Expression) else np.logaddexp(0.0, m),
)  # fmt: skip
def test_softmax_and_its_kin(case: Case) -> None:
    check(case)


@BOTH
def test_softmax_far_out_and_its_exact_slopes(executor: str) -> None:
    for array in ([1e4, 1e4 + 1, -1e4], [-1e5, -1e5], [1.0, -np.inf, 2.0], [0.0, 800.0, -800.0]):
        p = la.Program(executor=executor)
        given = p.input("x", np.nan_to_num(array, neginf=0.0))
        x = np.where(np.isfinite(array), given, array)
        p.define("l", la.logsumexp(x))
        p.define("s", la.softmax(x))
        p.minimize(p["l"])
        at = p.evaluate()
        expected = special.softmax(array)
        np.testing.assert_allclose(at["l"], special.logsumexp(array), rtol=1e-15)
        np.testing.assert_allclose(at["s"], expected, rtol=1e-12)
        np.testing.assert_allclose(at.gradient["x"], expected, rtol=1e-12)


def test_the_second_derivative_of_logsumexp_is_exact() -> None:
    array = np.array([1.0, -3.0, 2.5, 40.0, 0.0])
    p = la.Program()
    p.minimize(la.logsumexp(p.input("x", array)))
    hessian = p.lagrangian.hessian(array, [], []).toarray()
    s = special.softmax(array)
    np.testing.assert_allclose(hessian, np.diag(s) - np.outer(s, s), rtol=1e-11, atol=1e-18 + 2e-16 * s.max())


def test_logsumexp_with_infinities_and_of_numbers() -> None:
    p = la.Program()
    given = p.input("x", np.ones(2))
    x, y = np.where([False, False], given, -np.inf), np.where([False, True], given, np.inf)
    p.define("none", la.logsumexp(x))
    p.define("all", la.logsumexp(y))
    p.define("left_out", la.logsumexp(y, b=np.array([0.0, 2.0])))
    at = p.evaluate()
    assert at["none"] == -np.inf and at["all"] == np.inf
    assert at["left_out"] == pytest.approx(1.0 + np.log(2.0), rel=1e-15)
    m = ARRAYS["m"]
    np.testing.assert_allclose(la.logsumexp(m, axis=0, keepdims=True), special.logsumexp(m, axis=0, keepdims=True))
    np.testing.assert_allclose(la.softmax(m, axis=1), special.softmax(m, axis=1), rtol=1e-14)
    assert isinstance(la.softmax(m), np.ndarray) and la.softplus(0.0) == np.log(2.0)


# products --------------------------------------------------------------------------------------------------------


@cases(
    lambda v, w: np.outer(v, w), lambda m, v: np.outer(m, v), lambda v: np.outer(v, C3), lambda m, k: np.dot(m, k),
    lambda b, k: np.dot(b, k), lambda m, c: np.dot(m[:, :3], c), lambda r, c: np.dot(r, c),
    lambda b, w: np.dot(b, w[1:]),
    lambda s, m: np.dot(s, m), lambda m, b: np.inner(m, b), lambda v, w: np.inner(v, w), lambda v, w: np.vdot(v, w),
    lambda m: np.vdot(m, C34), lambda b, c: np.tensordot(b, c, ((0, 1), (2, 1))), lambda b: np.tensordot(b, C34),
    lambda v, m: np.tensordot(v, m, 0), lambda b, c: np.tensordot(b, c, axes=([2], [0])),
    lambda b, c: np.tensordot(b, c, axes=(-1, 0)), lambda b, m: np.tensordot(m, b, axes=((1, 0), (2, 1))),
    lambda m, k: np.kron(m, k), lambda v, m: np.kron(v, m), lambda b, r: np.kron(b, r), lambda q: np.kron(np.eye(2), q),
    lambda s, v: np.kron(s, v), lambda q: np.trace(q), lambda m: np.trace(m, offset=1), lambda m: np.trace(m, -1),
    lambda b: np.trace(b, axis1=2, axis2=1), lambda b: np.trace(b, 0, 0, 1), lambda r: np.cross(r, C3),
    lambda q: np.cross(q, C3), lambda q, r: np.cross(r, q, axisb=0, axisc=0),
    lambda q: np.cross(q, 2 * q[::-1], axis=0),
    lambda v: np.polyval([1.0, -2.0, 3.0], v), lambda v, w: np.polyval(v, w), lambda s, v: np.polyval(v, s),
    lambda m, b: np.vecdot(m, b), lambda q: np.tril(q), lambda b: np.triu(b, 1), lambda q: np.tril(q, -1),
)  # fmt: skip
def test_products(case: Case) -> None:
    check(case)


@cases(
    lambda v, w: np.einsum("i,i", v, w), lambda v, w: np.einsum("i,j", v, w), lambda v, w: np.einsum("i,j->ji", v, w),
    lambda m, k: np.einsum("ij,jk", m, k), lambda m, k: np.einsum("ij,jk->ki", m, k), lambda q: np.einsum("ii", q),
    lambda q: np.einsum("ii->i", q), lambda m: np.einsum("ji", m), lambda m: np.einsum("ij->j", m),
    lambda m: np.einsum("ij->", m), lambda m, b: np.einsum("ij,kij->k", m, b), lambda v, w: np.einsum("i,i->i", v, w),
    lambda q, r: np.einsum("i,ij,j->", r, q, r), lambda m, k, r: np.einsum("i,ij,jk->k", r, m, k),
    lambda b, c: np.einsum("ijk,kji->", b, c), lambda b, c: np.einsum("ijk,kjl->jil", b, c),
    lambda m: np.einsum("ij,ij->i", m, C34), lambda m: np.einsum(" i j , i k -> j k ", C34, m),
    lambda b, k: np.einsum("...ij,jk->...ik", b, k), lambda b, m: np.einsum("...i,...i->...", b, m),
    lambda b: np.einsum("...ij->...ji", b), lambda b: np.einsum("i...->...i", b), lambda q, r: np.einsum("ii,i", q, r),
    lambda b, k: np.einsum("...ij,jk", b, k), lambda v, w, r: np.einsum("i,j,k->kij", v, w, r),
    lambda q: np.einsum("ij,jk,kl,li->", q, q, q, q) / 100, lambda b: np.einsum("aib,cib->ac", b, b),
    lambda q, r: np.einsum("iji->j", np.multiply.outer(q, r)), lambda s, v: np.einsum(",i->i", s, v),
)  # fmt: skip
def test_einsum(case: Case) -> None:
    check(case, rtol=1e-12)


@cases(
    lambda v: np.diff(v), lambda v: np.diff(v, 3), lambda m: np.diff(m, axis=0), lambda b: np.diff(b, n=2, axis=1),
    lambda v: np.diff(v, prepend=0.0), lambda v: np.diff(v, append=[1.0, 2.0]), lambda m: np.diff(m, 2, 0, prepend=1.0),
    lambda v, s: np.diff(v, prepend=s, append=2 * s), lambda m: np.diff(m, n=0), lambda v: np.diff(v, n=7),
    lambda m, k: np.diff(m, axis=1, append=k[:3]), lambda v: np.trapezoid(v), lambda v: np.trapezoid(v, dx=0.1),
    lambda v, w: np.trapezoid(v, w), lambda m: np.trapezoid(m, C34, axis=0), lambda m, r: np.trapezoid(m, r, axis=0),
    lambda b: np.trapezoid(b, [0.0, 1.0, 3.0], axis=1),
)  # fmt: skip
def test_differences_and_their_sums(case: Case) -> None:
    check(case)


# solving ---------------------------------------------------------------------------------------------------------


@cases(
    lambda q, r: np.linalg.solve(q + 4 * np.eye(3), r), lambda q, m: np.linalg.solve(q + 4 * np.eye(3), m),
    lambda q: np.linalg.solve(q + 4 * np.eye(3), C34), lambda r: np.linalg.solve(np.diag([1.0, 2.0, 3.0]), r),
    lambda b, r: np.linalg.solve(b[:, :, :3] + 5 * np.eye(3), r), lambda q: np.linalg.inv(q + 4 * np.eye(3)),
    lambda b, m: np.linalg.solve(b[:, :, :3] + 5 * np.eye(3), m),
    lambda b: np.linalg.inv(b[:, :, :3] + 5 * np.eye(3)),
)  # fmt: skip
def test_linear_solves(case: Case) -> None:
    check(case, rtol=1e-11)


def test_a_solve_that_cannot_be_declares_nothing() -> None:
    p, q = la.Program("p"), la.Program("q")
    a, b, stack = p.input("a", np.eye(2)), q.input("b", np.ones(2)), p.input("stack", np.ones((3, 2, 2)))
    with pytest.raises(la.DeclarationError, match="symbols of two programs, 'p' and 'q'"):
        np.linalg.solve(a, b)
    with pytest.raises(la.ShapeError, match=r"stacks do not broadcast: stack has shape \(3, 2, 2\)"):
        np.linalg.solve(stack, p.input("c", np.ones((2, 2, 1))))
    assert list(p) == ["a", "stack", "c"] and not p.equations and not q.equations
    chosen = np.linalg.solve(2.0 * a, p["c"][0, :, 0] > 0.0)  # conditions count 1, as in NumPy
    assert p.evaluate()[chosen].tolist() == [0.5, 0.5]


@BOTH
def test_a_solve_is_an_equation_with_a_multiplier(executor: str) -> None:
    a, b = ARRAYS["q"] + 4 * np.eye(3), ARRAYS["r"]
    p = la.Program(executor=executor)
    p.minimize(np.sum(np.sin(np.linalg.solve(a, p.input("b", b)))))
    assert list(p.symbols) == ["b", "solve_1"] and str(p.equations[0]) == "array(3, 3) @ solve_1 = b"
    at = p.evaluate()
    np.testing.assert_allclose(at["solve_1"], np.linalg.solve(a, b), rtol=1e-13)
    price = np.linalg.solve(a.T, np.cos(at["solve_1"]))  # dJ/db by hand
    np.testing.assert_allclose(at.gradient["b"], price, rtol=1e-12)
    np.testing.assert_allclose(at.multiplier["solve_1"], price, rtol=1e-12)
    assert np.linalg.solve(la.expression.as_expression(a), b).owner is None  # numbers only: solved at once


# in cycles -------------------------------------------------------------------------------------------------------

CYCLES: dict[str, Case] = {
    "cumsum": lambda z: np.cumsum(z) / 10, "cumprod": np.cumprod, "prod": lambda z: np.prod(1 + z), "max": np.max,
    "min": np.min, "std": np.std, "var": np.var, "norm": np.linalg.norm, "logsumexp": la.logsumexp,
    "softmax": la.softmax, "einsum": lambda z: np.einsum("i,j,j->i", z, z, z), "kron": lambda z: np.kron(z, z)[:5],
    "solve": lambda z: np.linalg.solve(3 * np.eye(5) + np.outer(z, z), z), "diff": lambda z: np.diff(z, prepend=0.0),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize("name", CYCLES)
def test_in_a_cycle(name: str, executor: str) -> None:
    function, given = CYCLES[name], np.array([0.3, -0.2, 0.9, 0.5, 0.1])
    p = la.Program(executor=executor)
    x = p.input("x", given)
    z = p.variable("z", 5, start=0.1)
    p.equate(z, x + 0.2 * np.sin(function(z)))
    p.minimize(np.sum(np.exp(z)))
    at = p.evaluate()
    assert at.blocks and not np.isnan(at.gradient["x"]).any()
    plain = {"logsumexp": special.logsumexp, "softmax": special.softmax}.get(name, function)
    np.testing.assert_allclose(at["z"], given + 0.2 * np.sin(plain(at["z"])), rtol=1e-11, atol=1e-12)
    jacobian = np.zeros((5, 5))  # of z - x - 0.2·sin(function(z)), by complex steps are not for all: differences
    for j in range(5):
        h = 1e-6 * np.eye(5)[j]
        jacobian[:, j] = 0.2 * (np.sin(plain(at["z"] + h)) - np.sin(plain(at["z"] - h))) / 2e-6
    price = np.linalg.solve(np.eye(5) - jacobian.T, np.exp(at["z"]))
    np.testing.assert_allclose(at.multiplier["z"], price, rtol=1e-7)
    np.testing.assert_allclose(at.gradient["x"], price, rtol=1e-7)


@BOTH
def test_a_running_sum_of_earlier_elements_is_ordered_not_iterated(executor: str) -> None:
    given = np.linspace(0.1, 0.9, 37)
    p = la.Program(executor=executor)
    x = p.input("x", given)
    z = p.variable("z", 37)
    p.equate(z, x + 0.1 * np.sin(np.concatenate([[0.0], np.cumsum(z)[:-1]])))
    p.minimize(np.sum(z))
    at = p.evaluate()
    assert at.blocks == []
    expected: list[float] = []
    for value in given:
        expected.append(value + 0.1 * np.sin(sum(expected)))
    np.testing.assert_allclose(at["z"], expected, rtol=1e-13)


# size ------------------------------------------------------------------------------------------------------------


@BOTH
def test_work_and_groups_stay_small_for_large_arrays(executor: str) -> None:
    n = 100_000
    array = np.random.default_rng(1).uniform(0.5, 1.5, n)
    p = la.Program(executor=executor)
    x = p.input("x", array)
    p.define("sums", np.cumsum(x))
    p.define("products", np.cumprod(1.0 + (x - 1.0) / n))
    p.define("product", np.prod(1.0 + (x - 1.0) / n))
    p.define("most", np.max(x))
    p.define("soft", la.logsumexp(x))
    p.minimize(np.sum(p["sums"]) / n + p["most"] + p["soft"] + np.linalg.norm(x) + np.var(x))
    at = p.evaluate()
    np.testing.assert_allclose(at["sums"], np.cumsum(array), rtol=1e-13)
    np.testing.assert_allclose(at["products"], np.cumprod(1.0 + (array - 1.0) / n), rtol=1e-13)
    np.testing.assert_allclose(at["product"], np.prod(1.0 + (array - 1.0) / n), rtol=1e-12)
    assert at["most"] == array.max()
    expected = np.arange(n, 0, -1) / n + (np.arange(n) == np.argmax(array)) + special.softmax(array)
    expected += array / np.linalg.norm(array) + 2.0 * (array - array.mean()) / n
    np.testing.assert_allclose(at.gradient["x"], expected, rtol=1e-9, atol=1e-12)
    lowered = p.schedule.lowered
    assert len(lowered.all_groups) < 150
    assert lowered.state.size < 12 * n


def test_softmax_of_many_is_exact_in_every_element() -> None:
    n = 100_000
    p = la.Program()
    p.minimize(la.logsumexp(p.input("x", np.zeros(n))))
    np.testing.assert_allclose(p.evaluate().gradient["x"], np.full(n, 1.0 / n), rtol=1e-13)


# expansions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMPOSED)
def test_an_expansion_is_the_same_function_of_numbers_and_of_complex_ones(name: str) -> None:
    made = {
        "cumsum": np.cumsum, "cumprod": np.cumprod, "prod": np.prod, "max": np.max, "min": np.min,
        "logsumexp": la.logsumexp, "softmax": la.softmax, "root": np.linalg.norm,
    }  # fmt: skip
    array = ARRAYS["long"]
    x = la.Program().input("x", array)
    node = np.sum(made[name](np.sin(x)) ** 2)
    plain = expanded(node)
    ops = {part.op for part in postorder([plain])}
    assert name in {part.op for part in postorder([node])} and not ops & {*COMPOSED, "held"}
    np.testing.assert_allclose(evaluate(plain, {"x": array}), evaluate(node, {"x": array}), rtol=1e-13)
    moved = {"x": array + 1e-30j * np.linspace(1.0, 2.0, 23)}
    slope = np.imag(evaluate(plain, moved))
    np.testing.assert_allclose(np.imag(evaluate(node, moved)), slope, rtol=1e-12, atol=1e-44)
    p = la.Program()
    p.minimize(np.sum(made[name](np.sin(p.input("x", array))) ** 2))
    gradient = p.evaluate().gradient["x"]
    np.testing.assert_allclose(np.linspace(1.0, 2.0, 23) @ gradient, slope / 1e-30, rtol=1e-12, atol=1e-13)


# names -----------------------------------------------------------------------------------------------------------


def test_the_error_of_scipys_own_softmax_names_ours() -> None:
    x = la.Program().input("x", [1.0, 2.0])
    for function in (special.softmax, special.logsumexp):
        with pytest.raises(la.ExpressionTypeError, match=r"la\.logsumexp and la\.softmax instead of SciPy's"):
            function(x)


def test_lists_of_expressions_are_arrays() -> None:
    p = la.Program()
    x = p.input("x", [1.0, 2.0, 4.0])
    a, b, c = x
    array = ARRAYS["r"]
    one = np.cumsum, np.cumprod, np.prod, np.var, np.std, np.linalg.norm
    for function in (*one, lambda v: np.einsum("i,i", v, array)):
        made = la.expression.as_expression(function([a, b, c]))
        np.testing.assert_allclose(evaluate(made, {"x": [1.0, 2.0, 4.0]}), function([1.0, 2.0, 4.0]), rtol=1e-14)


def test_how_they_print() -> None:
    p = la.Program()
    x, m = p.input("x", ARRAYS["v"]), p.input("m", ARRAYS["m"])
    assert to_text(np.cumsum(x)) == "cumsum(x)"
    assert to_text(np.cumprod(m, axis=1)) == "cumprod(m, axis=1)"
    assert to_text(np.max(m, axis=(0, 1))) == "max(m)" and to_text(np.prod(m, axis=1)) == "prod(m, axis=1)"
    assert to_text(la.logsumexp(x)) == "logsumexp(x)" and to_text(la.softmax(m, axis=0)) == "softmax(m, axis=0)"
    assert to_text(np.einsum("ij,kj", m, m)) == "m @ transpose(m, (1, 0))"
    assert to_text(np.einsum("i,i", x, x)) == "sum(x * x)"
    assert to_text(np.linalg.norm(x)) == "root(sum(x**2), order=2)"
    assert to_latex(np.linalg.norm(x)) == r"\sqrt{\sum x^{2}}"
    assert to_latex(np.linalg.norm(x, 3)) == r"\sqrt[3]{\sum \left|x\right|^{3}}"


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("shape", [(0,), (2, 0)])
def test_the_only_input_may_be_empty(shape, executor):
    p = la.Program("nothing", executor=executor)
    x = p.input("x", np.zeros(shape))
    p.minimize(np.sum(x**2) + 3.0)
    view = p.reduced()
    value, gradient = view.value_and_gradient(view.x0)
    assert value == 3.0 and gradient.shape == (0,)
    assert p.ascend(rate=0.1, steps=3).objective == 3.0
    assert p.function("x", 2 * x)(np.zeros(shape)).shape == shape
    assert la.value_and_gradient(lambda x: np.sum(x) + 3.0)(np.zeros(shape))[0] == 3.0
