"""Expressions mean what NumPy means: every operator and function on the same arrays, and the pitfalls by message.

Each case is a function of arrays. It is applied to NumPy arrays and to expressions; the expression is evaluated
directly and through a program (so lowering is checked too), and its derivative is compared with differences.
"""

import functools
import math
import operator
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import sparse, special

import lagrange_ad as la
from lagrange_ad import expression
from lagrange_ad.elementary import TABLE
from lagrange_ad.errors import DeclarationError, ExpressionTypeError, LagrangeError, ShapeError
from lagrange_ad.expression import Expression, as_expression

RNG = np.random.default_rng(7)
ARRAYS = {
    "s": np.array(1.3),
    "t": np.array(0.6),
    "v": np.array([0.3, 1.1, 2.4]),
    "w": np.array([1.7, 0.2, 0.9]),
    "u": np.array([0.5, 1.5, 0.25, 2.0, 0.75]),
    "one": np.array([1.2]),
    "m": RNG.uniform(0.2, 2.0, (3, 4)),
    "k": RNG.uniform(0.2, 2.0, (4, 2)),
    "q": RNG.uniform(0.2, 2.0, (3, 3)),
    "b": RNG.uniform(0.2, 2.0, (2, 3, 4)),
    "e": np.zeros((0,)),
    "e2": np.zeros((0, 3)),
}
V = ARRAYS["v"]
M34 = RNG.normal(size=(3, 4))
M43 = RNG.normal(size=(4, 3))
C3, C4 = RNG.normal(size=3), RNG.normal(size=4)
B43 = RNG.normal(size=(2, 4, 3))
MOSTLY_ZERO = np.zeros((6, 5))
MOSTLY_ZERO[[0, 2, 5], [1, 4, 4]] = [2.0, -1.0, 3.0]
S34 = sparse.random_array((3, 4), density=0.5, rng=np.random.default_rng(3)).tocsr()
REPEATED = sparse.coo_array(([1.0, 2.0, 4.0], ([0, 0, 2], [1, 1, 0])), shape=(3, 3))
INDEX = np.array([2, 0, 0, 1])
MASK = np.array([True, False, True])

Case = Callable[..., Any]


def program_of(case: Case) -> tuple[la.Program, dict[str, np.ndarray], Expression]:
    """A program with an input for every argument of the case, the arrays, and the case's expression."""
    p = la.Program()
    names = case.__code__.co_varnames[: case.__code__.co_argcount]
    arrays = {name: ARRAYS[name] for name in names}
    result = case(*(p.input(name, array) for name, array in arrays.items()))
    return p, arrays, result


def check(case: Case, derivative: bool = True) -> None:
    """NumPy, the expression evaluated alone, the program and its derivatives all agree."""
    p, arrays, result = program_of(case)
    assert type(result) is Expression
    expected = np.asarray(case(*arrays.values()), dtype=float)
    assert result.shape == expected.shape
    np.testing.assert_allclose(np.asarray(expression.evaluate(result, arrays), float), expected, rtol=1e-14, atol=1e-15)
    p.define("value", np.where(result, 1.0, 0.0) if result.is_boolean else result)
    weight = np.linspace(0.5, 1.5, expected.size).reshape(expected.shape)
    p.minimize(np.sum(weight * p["value"]))
    at = p.evaluate()
    np.testing.assert_allclose(at["value"], expected, rtol=1e-13, atol=1e-14)
    assert np.shape(at["value"]) == expected.shape
    if derivative:
        check_derivatives(case, arrays, at, weight)


def check_derivatives(case: Case, arrays: dict[str, np.ndarray], at: Any, weight: np.ndarray) -> None:
    rng = np.random.default_rng(11)
    directions = {name: rng.normal(size=array.shape) for name, array in arrays.items()}
    step = 1e-5
    ahead, behind = (
        np.asarray(case(*(array + sign * step * directions[name] for name, array in arrays.items())), float)
        for sign in (1.0, -1.0)
    )
    slope = (ahead - behind) / (2 * step)
    np.testing.assert_allclose(at.tangent(directions)["value"], slope, rtol=1e-6, atol=1e-7)
    along = sum(np.sum(at.gradient[name] * directions[name]) for name in arrays)
    np.testing.assert_allclose(along, np.sum(weight * slope), rtol=1e-6, atol=1e-7)


def cases(*functions: Case) -> Any:
    """Parametrize by functions, named by their source line's text."""
    return pytest.mark.parametrize("case", [pytest.param(f, id=f"{i}") for i, f in enumerate(functions)])


# operators ---------------------------------------------------------------------------------------------------

BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]
CONSTANTS = {
    "int": 2, "float": 1.5, "np.float64": np.float64(1.5), "np.int64": np.int64(3), "np.float32": np.float32(0.5),
    "np.int8": np.int8(2), "0-d": np.array(2.5), "array": np.array([1.0, 2.0, 3.0]),
    "int array": np.array([1, 2, 3]), "bool": True, "np.bool": np.bool_(True), "list": [1.0, 2.0, 3.0],
    "matrix": np.full((2, 3), 1.25), "column": np.array([[2.0], [3.0]]), "reversed": np.array([3.0, 2.0, 1.0])[::-1],
    "tuple": (1.0, 2.0, 3.0), "f-order": np.asfortranarray(np.full((2, 3), 1.25)),
}  # fmt: skip


@pytest.mark.parametrize("op", BINARY + COMPARISONS, ids=lambda op: op.__name__)
@pytest.mark.parametrize("name", CONSTANTS)
def test_operators_with_constants_on_either_side(op: Any, name: str) -> None:
    c = CONSTANTS[name]
    number = np.asarray(c, float) if isinstance(c, list | tuple | bool | np.bool) else c
    for left in (False, True):
        p = la.Program()
        v = p.input("v", V)
        result = op(c, v) if left else op(v, c)
        expected = op(number, V) if left else op(V, number)
        assert type(result) is Expression and result.shape == expected.shape
        assert result.is_boolean == (op in COMPARISONS)
        np.testing.assert_allclose(expression.evaluate(result, {"v": V}), expected, rtol=1e-15)
        p.define("y", np.where(result, 1.0, 0.0) if result.is_boolean else result)
        np.testing.assert_allclose(p.evaluate()["y"], expected, rtol=1e-14)


@pytest.mark.parametrize("op", BINARY + COMPARISONS, ids=lambda op: op.__name__)
def test_operators_between_expressions(op: Any) -> None:
    smooth = op in BINARY
    check(lambda v, w: op(v, w), smooth)
    check(lambda s, v: op(s, v), smooth)
    check(lambda v, s: op(v, s), smooth)
    check(lambda m, v: op(m, v[:, None]), smooth)
    check(lambda s, t: op(s, t), smooth)
    check(lambda one, m: op(one, m), smooth)


@cases(
    lambda v: -v,
    lambda v: +v,
    lambda v: abs(v - 1),
    lambda v: v**2,
    lambda v: v**3,
    lambda v: v**0.5,
    lambda v: v**-1,
    lambda v: v**0,
    lambda v: v**-2.5,
    lambda v: (v - 1) ** 4,
    lambda v: 2**v,
    lambda v: v ** np.array([1.0, 2.0, 0.5]),
    lambda s, v: s**v,
    lambda v: 1 / v,
    lambda v: 1 - v,
    lambda v, w: (v - w) * (v + w) / (1 + v * w),
    lambda v: v * 0.0,
    lambda v: 0 * v + 1,
)
def test_arithmetic(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if isinstance(row.function, np.ufunc)])
def test_every_ufunc_of_the_table(name: str) -> None:
    function = getattr(np, name)
    if name.startswith("logical"):
        operands = (lambda v: v > 1, lambda w: w > 1)
        case = (lambda v, w: function(v > 1, w > 1)) if function.nin == 2 else lambda v: function(v > 1)
        assert len(operands) == 2
        check(case, derivative=False)
    elif function.nin == 2:
        check(lambda v, w: function(v, w), not TABLE[name].boolean)
        check(lambda m, s: function(s, m), not TABLE[name].boolean)
        check(lambda v: function(v, 1.5), not TABLE[name].boolean)
        check(lambda v: function(np.float64(1.5), v), not TABLE[name].boolean)
        check(lambda v: function([1.5, 2.0, 3.0], v), not TABLE[name].boolean)
    else:
        scale, shift = {"arccosh": (1.0, 1.5), "arcsin": (0.3, 0.0), "arccos": (0.3, 0.0), "arctanh": (0.3, 0.0)}.get(
            name, (1.0, 0.0)
        )
        check(lambda v: function(scale * v + shift))
        check(lambda s: function(scale * s + shift))
        check(lambda m: function(scale * m + shift))


@cases(
    lambda v: np.positive(v),
    lambda v: np.fabs(v - 1),
    lambda v: np.conjugate(v),
    lambda v: np.float_power(v, 1.5),
    lambda v: np.deg2rad(v),
    lambda v: np.radians(v),
    lambda v: np.rad2deg(v),
    lambda v: np.degrees(v),
    lambda v: np.abs(v),
)
def test_aliases(case: Case) -> None:
    check(case)


@cases(
    lambda v, w: (v > 1) & (w > 1),
    lambda v, w: (v > 1) | (w > 1),
    lambda v, w: ~(v > 1),
    lambda v: MASK & (v > 1),
    lambda v: (v > 1) | MASK,
    lambda v: np.bitwise_and(v > 1, MASK),
    lambda v, w: np.logical_and(v > 1, w > 1),
    lambda v: np.invert(v > 1),
    lambda v: (v > 1)[::-1],
    lambda v: (v[:, None] > v[None, :]),
    lambda v: np.where(v > 1, 1, 0) > 0,
    lambda v, w: ~(v > 1)[::-1] | (w > 1),
    lambda v, w: np.logical_and(v, w - 0.2),
    lambda v: np.logical_not(v),
    lambda v: np.logical_or(MASK, v > 5),
)
def test_conditions(case: Case) -> None:
    check(case, derivative=False)


# indexing and moving -------------------------------------------------------------------------------------------


@cases(
    lambda v: v[0],
    lambda v: v[-1],
    lambda v: v[1:],
    lambda v: v[:-1],
    lambda v: v[::-1],
    lambda u: u[::2],
    lambda u: u[::-2],
    lambda u: u[3:0:-1],
    lambda u: u[-2::-1],
    lambda u: u[1:1],
    lambda v: v[None],
    lambda v: v[:, None],
    lambda v: v[..., None],
    lambda v: v[...],
    lambda v: v[()],
    lambda s: s[()],
    lambda s: s[...],
    lambda s: s[None],
    lambda v: v[MASK],
    lambda v: v[MASK.tolist()],
    lambda v: v[INDEX],
    lambda v: v[[2, 0, 0, 1]],
    lambda v: v[[]],
    lambda v: v[np.array([[0, 1], [2, 2]])],
    lambda v: v[np.int64(1)],
    lambda v: v[np.uint8(1)],
    lambda v: v[-INDEX],
    lambda m: m[0],
    lambda m: m[1, 2],
    lambda m: m[:, 1],
    lambda m: m[..., -1],
    lambda m: m[::-1, ::-2],
    lambda m: m[1:, None, :2],
    lambda m: m[[0, 2], [1, 3]],
    lambda m: m[np.ix_([0, 2], [1, 3])],
    lambda m: m[[0, 2]],
    lambda m: m[:, [3, 3, 0]],
    lambda m: m[MASK],
    lambda m: m[MASK, 1],
    lambda m: m[ARRAYS["m"] > 1],
    lambda m: m[INDEX, ::-1],
    lambda b: b[1, :, ::2],
    lambda b: b[..., 0],
    lambda b: b[:, [0, 2], 1:],
    lambda b: b[[0, 1], :, [3, 2]],
    lambda b: b[0][1][2],
    lambda v: v[::-1][1:][0],
    lambda m: m.T[2],
    lambda e: e[:],
    lambda e2: e2[:, 1],
    lambda v: (v * 2)[1:],
    lambda v: np.exp(v)[INDEX],
    lambda m: (m @ C4)[::-1],
    lambda v: (v[:, None] * v)[INDEX, INDEX],
)
def test_indexing(case: Case) -> None:
    check(case)


@cases(
    lambda m: m.T,
    lambda v: v.T,
    lambda b: b.T,
    lambda m: m.transpose(),
    lambda b: b.transpose(1, 2, 0),
    lambda b: b.transpose((1, 2, 0)),
    lambda b: np.transpose(b, (2, 0, 1)),
    lambda b: np.transpose(b, axes=(2, 0, 1)),
    lambda m: np.permute_dims(m, (1, 0)),
    lambda m: np.matrix_transpose(m),
    lambda b: b.mT,
    lambda m: m.reshape(4, 3),
    lambda m: m.reshape((2, -1)),
    lambda m: m.reshape(-1),
    lambda m: np.reshape(m, (2, 6)),
    lambda m: np.reshape(m, (2, 6), order="F"),
    lambda m: m.reshape(2, 6, order="F"),
    lambda s: np.reshape(s, (1, 1)),
    lambda m: m.ravel(),
    lambda m: m.flatten(),
    lambda m: np.ravel(m),
    lambda m: np.ravel(m.T),
    lambda v: np.broadcast_to(v, (4, 3)),
    lambda s: np.broadcast_to(s, (4, 3)),
    lambda v: np.expand_dims(v, 0),
    lambda v: np.expand_dims(v, axis=(0, 2)),
    lambda one: np.squeeze(one),
    lambda one: one.squeeze(),
    lambda m: np.squeeze(m[None], axis=0),
    lambda b: np.moveaxis(b, 0, -1),
    lambda b: np.swapaxes(b, 0, 2),
    lambda b: b.swapaxes(0, 2),
    lambda v: np.flip(v),
    lambda m: np.flip(m, axis=1),
    lambda m: np.flipud(m),
    lambda m: np.fliplr(m),
    lambda m: np.rot90(m),
    lambda v: np.roll(v, 1),
    lambda v: np.roll(v, shift=-1),
    lambda m: np.roll(m, 1, axis=0),
    lambda m: np.roll(m, (1, 2), axis=(0, 1)),
    lambda v: np.take(v, INDEX),
    lambda m: np.take(m, [1, 0], axis=1),
    lambda v: np.repeat(v, 2),
    lambda v: np.repeat(v, [1, 0, 2]),
    lambda m: np.repeat(m, 2, axis=1),
    lambda v: np.tile(v, 2),
    lambda v: np.tile(v, (2, 2)),
    lambda q: np.diagonal(q),
    lambda m: np.diagonal(m, 1),
    lambda q: q.diagonal(),
    lambda s: np.atleast_1d(s),
    lambda v: np.atleast_2d(v),
    lambda m: np.sin(m).T,
    lambda m: (m * m).T.reshape(2, 6)[::-1],
    lambda m: np.copy(m),
    lambda m: m.copy(),
    lambda m: np.pad(m, 1),
    lambda m: np.pad(m, ((1, 2), (0, 3)), constant_values=((1.0, 2.0), (3.0, 4.0))),
    lambda v: np.pad(v, (0, 2), mode="edge"),
    lambda m: np.pad(m, 1, "wrap"),
    lambda m: np.pad(m, ((2, 0), (0, 1)), mode="reflect"),
)
def test_moving(case: Case) -> None:
    check(case)


@cases(
    lambda v, w: np.concatenate([v, w]),
    lambda v, w: np.concatenate((v, w, v)),
    lambda v: np.concatenate([v, [5.0], V]),
    lambda m, k: np.concatenate([m, k.T[:, :4]], axis=0),
    lambda m: np.concatenate([m, m], axis=1),
    lambda m: np.concatenate([m, m], axis=-1),
    lambda m, v: np.concatenate([m, v], axis=None),
    lambda e, v: np.concatenate([e, v]),
    lambda s, v: np.concatenate([s[None], v[:-1] * 2]),
    lambda v, w: np.stack([v, w]),
    lambda v, w: np.stack([v, w], axis=1),
    lambda v, w: np.stack((v, w, V), axis=-1),
    lambda s, t: np.stack([s, t, 1.0]),
    lambda v, w: np.hstack([v, w]),
    lambda s, v: np.hstack([s, v]),
    lambda m, v: np.hstack([m, v[:, None]]),
    lambda v, w: np.vstack([v, w]),
    lambda m: np.vstack([m, C4]),
    lambda v, w: np.column_stack([v, w]),
    lambda m, v: np.column_stack([v, m]),
    lambda v, w: np.concatenate([np.exp(v), v * w]),
    lambda v, w: np.sin(np.concatenate([np.exp(v), v * w])),
    lambda v: np.append(v, 3.0),
    lambda v, w: np.append(v, w),
    lambda v: np.concatenate([v > 1, v < 1]) if isinstance(v, np.ndarray) else np.concatenate(
        [np.where(v > 1, 1.0, 0.0), np.where(v < 1, 1.0, 0.0)]),
)
def test_joining(case: Case) -> None:
    check(case)


# sums and products ---------------------------------------------------------------------------------------------


@cases(
    lambda v: np.sum(v),
    lambda v: v.sum(),
    lambda s: np.sum(s),
    lambda m: np.sum(m, axis=0),
    lambda m: np.sum(m, 1),
    lambda m: m.sum(axis=-1),
    lambda m: m.sum(0),
    lambda b: np.sum(b, axis=(0, 2)),
    lambda b: np.sum(b, axis=(-1, 0), keepdims=True),
    lambda m: np.sum(m, axis=0, keepdims=True),
    lambda m: m.sum(axis=1, keepdims=True),
    lambda m: np.sum(m, keepdims=True),
    lambda m: np.sum(m, axis=()),
    lambda e: np.sum(e),
    lambda e2: np.sum(e2, axis=0),
    lambda e2: np.sum(e2, axis=1),
    lambda v: np.sum(np.stack([v, v * v]), axis=0),
    lambda s, t: np.sum([s, t, s * t]),
    lambda v: np.add.reduce(v),
    lambda m: np.add.reduce(m),
    lambda m: np.add.reduce(m, axis=1),
    lambda m: np.add.reduce(m, axis=None),
    lambda m: np.mean(m),
    lambda m: m.mean(),
    lambda m: m.mean(axis=0),
    lambda m: np.mean(m, axis=1, keepdims=True),
    lambda b: np.mean(b, axis=(0, 1)),
    lambda v: sum(v),
    lambda v: functools.reduce(operator.mul, v),
    lambda v: np.sum(v > 1) + 0.0 * v[0],
    lambda v: np.mean(v > 1) + v[0],
    lambda v: v * (v > 1) + (v < 1),
    lambda v: v * (v > 1)[::-1] - (v < 1),
    lambda v: np.exp(np.sum(v)) * v,
    lambda v: np.log(np.sum(np.exp(v))),
    lambda m: m - m.mean(axis=0),
    lambda m: m / np.sum(m, axis=1, keepdims=True),
    lambda v: np.diff(v),
    lambda u: np.diff(u, n=2),
    lambda m: np.diff(m, axis=0),
    lambda m: np.diff(m),
    lambda q: np.trace(q),
)
def test_sums(case: Case) -> None:
    check(case)


@cases(
    lambda v, w: v @ w,
    lambda m, k: m @ k,
    lambda m, v: v @ m,
    lambda k, m: m @ k[:, 0],
    lambda m: m @ C4,
    lambda m: C3 @ m,
    lambda m: m @ M43,
    lambda m: M43 @ m,
    lambda v: M43 @ v,
    lambda v: v @ M34,
    lambda v: C3 @ v,
    lambda v: v @ C3.tolist(),
    lambda b: b @ M43,
    lambda b: M43 @ b,
    lambda b: b @ C4,
    lambda b: C3 @ b,
    lambda b, k: b @ k,
    lambda b: b @ B43,
    lambda b: np.swapaxes(b, 1, 2) @ b,
    lambda b: b[:, None] @ np.swapaxes(b, 1, 2)[None],
    lambda q: q @ q,
    lambda q, v: v @ q @ v,
    lambda q: q.T @ q,
    lambda u: MOSTLY_ZERO @ u,
    lambda u: u @ MOSTLY_ZERO.T,
    lambda u: MOSTLY_ZERO @ (u[:, None] * u),
    lambda u: (u[:, None] * u) @ MOSTLY_ZERO.T,
    lambda m: np.exp(m) @ np.sin(M43),
    lambda m: np.exp(m @ M43),
    lambda m, k: np.matmul(m, k),
    lambda e2, v: e2 @ v,
    lambda e: e @ np.zeros((0, 2)),
    lambda v, w: np.dot(v, w),
    lambda v, w: v.dot(w),
    lambda m, k: np.dot(m, k),
    lambda m, k: m.dot(k),
    lambda s, v: np.dot(s, v),
    lambda v: np.dot(v, 2.0),
    lambda v: np.dot(C3, v),
    lambda m, v: np.dot(v, m),
    lambda m: np.vdot(m, m),
    lambda v, w: np.vdot(v, w),
    lambda v, w: np.inner(v, w),
    lambda m: np.inner(m, m),
    lambda m: np.inner(m, C4),
    lambda m: np.inner(C4, m),
    lambda s, v: np.inner(s, v),
    lambda v, w: np.outer(v, w),
    lambda v: np.outer(v, C4),
    lambda v: np.outer(C4, v),
    lambda m, v: np.outer(m, v),
    lambda v: np.linalg.norm(v) if isinstance(v, np.ndarray) else np.sqrt(np.sum(v**2)),
)
def test_products(case: Case) -> None:
    check(case)


FORMATS = {
    f"{kind}_{shape}": getattr(sparse, f"{kind}_{shape}")
    for kind in ("csr", "csc", "coo", "bsr", "dia", "lil", "dok") for shape in ("array", "matrix")
}


@pytest.mark.parametrize("name", FORMATS)
def test_sparse_products_on_both_sides(name: str) -> None:
    a = FORMATS[name](S34)
    dense = S34.toarray()
    forms = [
        (lambda k: a @ k, lambda k: dense @ k),
        (lambda k: a @ k[:, 0], lambda k: dense @ k[:, 0]),
        (lambda v: v @ a, lambda v: v @ dense),
        (lambda q: q @ a, lambda q: q @ dense),
        (lambda v: a.T @ v, lambda v: dense.T @ v),
        (lambda k: np.sin(a @ np.exp(k)), lambda k: np.sin(dense @ np.exp(k))),
    ]
    for symbolic, plain in forms:
        p, arrays, result = program_of(symbolic)
        assert type(result) is Expression
        expected = plain(*arrays.values())
        np.testing.assert_allclose(expression.evaluate(result, arrays), expected, rtol=1e-13)
        p.define("value", result)
        p.minimize(np.sum(p["value"] * np.arange(1.0, 1 + expected.size).reshape(expected.shape)))
        at = p.evaluate()
        np.testing.assert_allclose(at["value"], expected, rtol=1e-13)
        check_derivatives(plain, arrays, at, np.arange(1.0, 1 + expected.size).reshape(expected.shape))


def test_sparse_entries_given_twice_are_added() -> None:
    p = la.Program()
    v = p.input("v", V)
    p.define("y", REPEATED @ v)
    p.define("z", v @ REPEATED)
    at = p.evaluate()
    np.testing.assert_allclose(at["y"], REPEATED.toarray() @ V)
    np.testing.assert_allclose(at["z"], V @ REPEATED.toarray())


def test_a_sparse_matrix_changed_later_does_not_change_the_program() -> None:
    a = S34.copy()
    p = la.Program()
    k = p.input("k", ARRAYS["k"])
    p.define("y", a @ k)
    a.data[:] = 0.0
    np.testing.assert_allclose(p.evaluate()["y"], S34 @ ARRAYS["k"])


def test_a_constant_array_changed_later_does_not_change_the_program() -> None:
    c = np.array([1.0, 2.0, 3.0])
    index = np.array([0, 1, 1])
    p = la.Program()
    v = p.input("v", V)
    p.define("y", c * v)
    p.define("z", v[index])
    p.define("r", np.take(v, index))
    p.define("b", np.bincount(index, weights=v))
    c[:] = 0.0
    index[:] = 0
    at = p.evaluate()
    np.testing.assert_allclose(at["y"], [1, 2, 3] * V)
    np.testing.assert_allclose(at["z"], V[[0, 1, 1]])
    np.testing.assert_allclose(at["r"], V[[0, 1, 1]])
    np.testing.assert_allclose(at["b"], [V[0], V[1] + V[2]])


# selections and scatter ------------------------------------------------------------------------------------------


@cases(
    lambda v: np.where(v > 1, v, -v),
    lambda v, w: np.where(v > w, v * w, 2.0),
    lambda v: np.where(MASK, v, 0.0),
    lambda v: np.where([True, False, True], v, 1),
    lambda v: np.where(v, v, 1.0),
    lambda m, v: np.where(m > 1, v[:, None], m),
    lambda s: np.where(s > 1, s, 2 * s),
    lambda v, w: np.minimum(v, w),
    lambda v, w: np.maximum(v, w),
    lambda v: np.maximum(v, 1.0),
    lambda v: np.minimum(1, v),
    lambda v: np.clip(v, 0.5, 2.0),
    lambda v: np.clip(v, None, 2.0),
    lambda v: np.clip(v, 0.5, None),
    lambda v, w: np.clip(v, w, 2.0),
    lambda v: np.clip(v, a_min=0.5, a_max=2.0),
    lambda v: v.clip(0.5, 2.0),
    lambda u: np.bincount([0, 2, 2, 1, 0], weights=u),
    lambda u: np.bincount([0, 2, 2, 1, 0], weights=u, minlength=6),
    lambda u: np.bincount(np.array([3, 3, 3, 3, 3]), u * u),
    lambda u: np.sin(np.bincount([0, 2, 2, 1, 0], weights=u)),
    lambda u: np.bincount(np.array([], dtype=int), weights=u[:0], minlength=3),
    lambda v: np.zeros_like(v) + v,
    lambda v: np.ones_like(v) * v,
    lambda v: np.full_like(v, 2.0) * v,
)
def test_selections_and_scatter(case: Case) -> None:
    check(case)


def test_clip_by_keywords() -> None:
    check(lambda v: np.clip(v, min=0.5, max=2.0))


def test_shapes_are_known_at_once() -> None:
    p = la.Program()
    m, s = p.input("m", ARRAYS["m"]), p.input("s", 1.0)
    assert (m.shape, m.ndim, m.size, len(m)) == ((3, 4), 2, 12, 3)
    assert (s.shape, s.ndim, s.size) == ((), 0, 1)
    assert (np.shape(m), np.ndim(m), np.size(m), np.size(m, 1)) == ((3, 4), 2, 12, 4)
    assert [row.shape for row in m] == [(4,)] * 3
    first, *rest = p.input("v", V)
    assert first.shape == () and len(rest) == 2
    np.testing.assert_array_equal(np.zeros_like(m), np.zeros((3, 4)))
    assert type(np.ones_like(m)) is np.ndarray


# entrances -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        lambda a, b: [a, b],
        lambda a, b: (a, b),
        lambda a, b: np.array([a, b]),
        lambda a, b: np.array([a, b], dtype=object),
        lambda a, b: [a, np.array(b)],
        lambda a, b: [a, b * np.float64(1.0)],
    ],
)
def test_lists_and_object_arrays_of_expressions_are_stacked(build: Any) -> None:
    p = la.Program()
    a, b = p.input("a", 2.0), p.input("b", 3.0)
    n = p.input("n", np.ones(2))
    uses = [lambda e: np.sin(as_expression(e)), lambda e: n + e, lambda e: as_expression(e) @ [1, 1]]
    for i, use in enumerate(uses):
        result = use(build(a, b))
        assert type(result) is Expression
        p.define(f"v{i}", result)
    p.define("direct", build(a, b))
    at = p.evaluate()
    np.testing.assert_allclose(at["v0"], np.sin([2.0, 3.0]))
    np.testing.assert_allclose(at["v1"], [3.0, 4.0])
    assert at["v2"] == 5.0
    np.testing.assert_allclose(at["direct"], [2.0, 3.0])


def test_mixed_nested_lists() -> None:
    p = la.Program()
    a, v = p.input("a", 2.0), p.input("v", V)
    p.define("m", [[a, 1.0], [2, a * a]])
    p.define("rows", [v, V, [1.0, a, 3.0]])
    at = p.evaluate()
    np.testing.assert_allclose(at["m"], [[2, 1], [2, 4]])
    np.testing.assert_allclose(at["rows"], [V, V, [1, 2, 3]])


def test_object_arrays_in_equations_and_objectives() -> None:
    p = la.Program()
    a, b = p.input("a", 2.0), p.input("b", 3.0)
    y = p.variable("y", 2)
    p.equate(y, np.array([a + b, a * b]))
    p.minimize(np.array(a))
    assert p.evaluate()["y"].tolist() == [5.0, 6.0]
    assert p.evaluate().objective == 2.0


@pytest.mark.parametrize("op", BINARY + COMPARISONS + [operator.matmul], ids=lambda op: op.__name__)
def test_numpy_never_makes_an_object_array(op: Any) -> None:
    p = la.Program()
    v = p.input("v", V)
    holder = np.array([v[0], v[1], v[2]])
    for other in (V, V.tolist(), holder, np.broadcast_to(V, (3, 3)), v):
        for pair in ((other, v), (v, other)):
            assert type(op(*pair)) is Expression


def test_a_numpy_array_times_a_scalar_expression() -> None:
    p = la.Program()
    s = p.input("s", 2.0)
    two = np.float64(2.0), np.array(2.0)
    for result in (V * s, s * V, V + s, two[0] * s, two[1] * s, np.multiply(V, s), V @ (V * s), [1.0, 2.0] * s):
        assert type(result) is Expression
    assert (V * s).shape == (3,)


def test_adding_to_an_array_in_place_is_refused() -> None:
    p = la.Program()
    v = p.input("v", V)
    total = np.zeros(3)
    with pytest.raises(ExpressionTypeError, match=r"np\.add.*out=.*use the returned value"):
        total += v
    assert total.dtype == float and not total.any()
    np.testing.assert_array_equal(total, 0.0)
    total = total + v
    assert type(total) is Expression


def test_adding_to_an_expression_in_place_makes_a_new_one() -> None:
    p = la.Program()
    v = p.input("v", V)
    total = v
    total += 1.0
    total *= v
    assert type(total) is Expression and total is not v
    np.testing.assert_allclose(p.evaluate()[total], (V + 1) * V)


def test_assigning_into_a_float_array_is_refused() -> None:
    p = la.Program()
    s = p.input("s", 1.0)
    array = np.zeros(3)
    with pytest.raises(ValueError) as caught:  # NumPy's own error, from ours
        array[0] = s
    assert "input 's' is an expression, not a number" in str(caught.value.__cause__)
    with pytest.raises(ExpressionTypeError, match=r"np\.concatenate, np\.stack or np\.where"):
        p.input("v", V)[0] = 1.0


# equality and identity ---------------------------------------------------------------------------------------------


def test_equality_makes_a_condition_and_hashing_is_by_identity() -> None:
    p = la.Program()
    x, y = p.input("x", 1.0), p.input("y", 1.0)
    assert type(x == y) is Expression and (x == y).is_boolean
    assert type(x != 1.0) is Expression
    assert {x: 1, y: 2}[x] == 1
    assert len({x, y, x}) == 2 and y in {x, y}
    assert hash(x) == hash(x) and hash(x) != hash(y)
    with pytest.raises(ExpressionTypeError, match="no truth value"):
        assert y in [x]


def test_there_is_one_class_and_comparisons_keep_their_sides() -> None:
    p = la.Program()
    x = p.input("x", 1.0)
    node = x + 1 <= x
    assert node.op == "less_equal" and node.args[1] is x
    assert not Expression.__subclasses__()


def test_an_expression_pickles() -> None:
    p = la.Program()
    x = p.input("x", 1.0)
    y = pickle.loads(pickle.dumps(np.sin(x)[None] * V))
    np.testing.assert_allclose(y.owner.evaluate()[y], np.sin(1.0) * V)


def test_a_deep_expression_is_no_problem() -> None:
    p = la.Program()
    total = x = p.input("x", 1.0)
    for _ in range(20_000):
        total = total + x
    p.define("total", total)
    assert p.evaluate()["total"] == 20_001.0
    assert "…" in repr(total)
    assert pickle.loads(pickle.dumps(p)).evaluate()["total"] == 20_001.0
    assert pickle.loads(pickle.dumps(total)).shape == ()


def test_repr_names_the_expression_and_its_shape() -> None:
    p = la.Program()
    v = p.input("v", V)
    assert repr(np.sin(v)) == "<expression sin(v), shape (3,)>"
    assert repr(v[0]) == "<expression v[0]>"


# pitfalls ----------------------------------------------------------------------------------------------------------

PITFALLS: list[tuple[Any, type[Exception], str]] = [
    (lambda x, v: bool(x > 0), ExpressionTypeError, r"no truth value.*np\.where\(condition, a, b\)"),
    (lambda x, v: 0 <= x <= 1, ExpressionTypeError, r"no truth value.*lower=a, upper=b"),
    (lambda x, v: 1 if x else 0, ExpressionTypeError, r"input 'x' has no truth value.*at\[expr\]"),
    (lambda x, v: (x > 0) and (x < 1), ExpressionTypeError, r"no truth value.*& \| ~"),
    (lambda x, v: max(x, 1.0), ExpressionTypeError, r"no truth value"),
    (lambda x, v: x in [v[0], x * 1], ExpressionTypeError, r"`in` a list compares too"),
    (lambda x, v: math.exp(x), ExpressionTypeError, r"input 'x' is an expression.*np\.exp.*instead of math\.exp"),
    (lambda x, v: float(x), ExpressionTypeError, r"'x' is an expression, not a number.*at\[expr\]"),
    (lambda x, v: int(x), ExpressionTypeError, r"not a number"),
    (lambda x, v: complex(x), ExpressionTypeError, r"not a number"),
    (lambda x, v: range(x), ExpressionTypeError, r"not a number"),
    (lambda x, v: round(x), ExpressionTypeError, r"round|not a number"),
    (lambda x, v: f"{x:.3f}", ExpressionTypeError, r"not a number"),
    (lambda x, v: x ^ 2, ExpressionTypeError, r"\^ is not a power in Python: write x\*\*2"),
    (lambda x, v: 2 ^ x, ExpressionTypeError, r"\^ is not a power"),
    (lambda x, v: np.int64(2) ^ x, ExpressionTypeError, r"\^ is not a power"),
    (lambda x, v: x % 2, ExpressionTypeError, r"% is not supported"),
    (lambda x, v: 2.0 % x, ExpressionTypeError, r"% is not supported"),
    (lambda x, v: x // 2, ExpressionTypeError, r"// is not supported"),
    (lambda x, v: np.float64(2) % x, ExpressionTypeError, r"% is not supported"),
    (lambda x, v: divmod(x, 2), ExpressionTypeError, r"divmod is not supported"),
    (lambda x, v: len(x), ExpressionTypeError, r"'x' is a scalar: it has no len"),
    (lambda x, v: list(x), ExpressionTypeError, r"'x' is a scalar: it cannot be iterated"),
    (lambda x, v: v.__setitem__(0, 1.0), ExpressionTypeError, r"cannot be assigned to.*np\.concatenate"),
    (lambda x, v: np.exp(v, out=np.zeros(3)), ExpressionTypeError, r"np\.exp with out=.*use the returned value"),
    (lambda x, v: np.exp(v, where=MASK), ExpressionTypeError, r"np\.exp with where="),
    (lambda x, v: np.exp(V, out=v), (ExpressionTypeError, TypeError), r"out|return arrays must be"),
    (lambda x, v: np.add(v, 1, dtype=float), ExpressionTypeError, r"np\.add with dtype="),
    (lambda x, v: np.sort(v), ExpressionTypeError, r"np\.sort is not supported on expressions; .*Supported: .*np\.sin"),
    (lambda x, v: np.linalg.norm(v, 3 * v), ExpressionTypeError, r"np\.linalg\.norm with ord="),
    (lambda x, v: np.linalg.norm(v, 0.5), ExpressionTypeError, r"np\.linalg\.norm with ord=0\.5.*p ≥ 1"),
    (lambda x, v: np.linalg.norm(v[:, None] * v, 2), ExpressionTypeError, r"np\.linalg\.norm with ord=2.*singular"),
    (lambda x, v: np.linalg.solve(np.eye(2), v), ShapeError, r"np\.linalg\.solve takes A.*\(2, 2\).*\(3,\)"),
    (lambda x, v: np.linalg.inv(v), ShapeError, r"np\.linalg\.inv takes square"),
    (lambda x, v: np.linalg.det(v[:, None] * v), ExpressionTypeError, r"np\.linalg\.det.*np\.linalg\.solve"),
    (lambda x, v: np.subtract.accumulate(v), ExpressionTypeError, r"np\.subtract\.accumulate is not supported"),
    (lambda x, v: np.divide.reduce(v), ExpressionTypeError, r"np\.divide\.reduce is not supported"),
    (lambda x, v: np.add.at(np.zeros(3), [0, 1, 1], v), ExpressionTypeError,
     r"np\.add\.at is not supported.*np\.bincount"),
    (lambda x, v: np.add.reduceat(v, [0, 1]), ExpressionTypeError, r"np\.add\.reduceat"),
    (lambda x, v: np.prod(v, initial=2.0), ExpressionTypeError, r"np\.prod on expressions takes.*not initial="),
    (lambda x, v: np.cumsum(v, dtype=float), ExpressionTypeError, r"np\.cumsum on expressions takes axis= only"),
    (lambda x, v: np.cumsum(v, axis=1), ShapeError, r"axis 1 is out of range"),
    (lambda x, v: np.cumprod(v, axis="a"), ExpressionTypeError, r"np\.cumprod: axis must be an integer, got 'a'"),
    (lambda x, v: np.max(v, where=MASK), ExpressionTypeError, r"np\.max on expressions takes"),
    (lambda x, v: np.max(v[:0]), ShapeError, r"np\.max of no elements.*\(0,\)"),
    (lambda x, v: np.std(v, ddof=3), ShapeError, r"np\.std: ddof leaves no degrees"),
    (lambda x, v: np.diff(v, n=-1), ShapeError, r"np\.diff: n must be"),
    (lambda x, v: np.einsum("i,j->k", v, v), ShapeError, r"np\.einsum\('i,j->k'\).*no operand has"),
    (lambda x, v: np.einsum("ij,i->", v, v), ShapeError, r"np\.einsum.*subscripts of v do not fit.*\(3,\)"),
    (lambda x, v: np.einsum("i,i->", v, v[:2]), ShapeError, r"np\.einsum.*sizes 3 and 2"),
    (lambda x, v: np.einsum("i->", v, v), ShapeError, r"1 terms of subscripts for 2 operands"),
    (lambda x, v: np.einsum(v, [0], v, [0]), ExpressionTypeError, r"subscripts as text"),
    (lambda x, v: np.tensordot(v, v[:2], 1), ShapeError, r"np\.tensordot.*\(3,\) and \(2,\)"),
    (lambda x, v: np.cross(v[:2], v[:2]), ShapeError, r"np\.cross.*three components"),
    (lambda x, v: np.median(v), ExpressionTypeError, r"np\.median is not supported.*np\.mean"),
    (lambda x, v: np.argmax(v), ExpressionTypeError, r"np\.argmax is not supported.*np\.max"),
    (lambda x, v: np.floor(x), ExpressionTypeError, r"np\.floor is not supported"),
    (lambda x, v: np.isnan(x), ExpressionTypeError, r"np\.isnan is not supported"),
    (lambda x, v: np.interp(x, V, V), ExpressionTypeError, r"np\.interp is not supported"),
    (lambda x, v: np.sum(v, dtype=float), ExpressionTypeError, r"np\.sum on expressions takes axis= and keepdims="),
    (lambda x, v: np.sum(v, where=MASK), ExpressionTypeError, r"np\.sum on expressions takes"),
    (lambda x, v: np.sum(v, initial=1.0), ExpressionTypeError, r"np\.sum on expressions takes"),
    (lambda x, v: np.mean(v, dtype=float), ExpressionTypeError, r"np\.mean on expressions takes"),
    (lambda x, v: np.sum(v, axis=2), ShapeError, r"axis 2 is out of range.*\(3,\)"),
    (lambda x, v: np.sum(v, axis=(0, 0)), ShapeError, r"axis.*twice|duplicate"),
    (lambda x, v: np.sum(v, axis="rows"), ExpressionTypeError, r"axis.*'rows'"),
    (lambda x, v: np.mean(v[:0]), ShapeError, r"np\.mean of no elements"),
    (lambda x, v: x + 1j, ExpressionTypeError, r"1j \(a complex\).*real numbers"),
    (lambda x, v: x * np.array([1j, 2]), ExpressionTypeError, r"ndarray.*real numbers"),
    (lambda x, v: x + "a", ExpressionTypeError, r"'a' \(a str\) cannot stand in an expression"),
    (lambda x, v: x + None, ExpressionTypeError, r"None \(a NoneType\)"),
    (lambda x, v: None * x, ExpressionTypeError, r"None \(a NoneType\)"),
    (lambda x, v: x + {"a": 1}, ExpressionTypeError, r"a dict"),
    (lambda x, v: x + [1.0, "b"], ExpressionTypeError, r"cannot stand in an expression"),  # noqa: RUF005
    (lambda x, v: v + np.array([1.0, None, "c"], dtype=object), ExpressionTypeError, r"None|'c'"),
    (lambda x, v: x + np.array(["a", "b"]), ExpressionTypeError, r"cannot stand in an expression"),
    (lambda x, v: x + np.array("2020-01-01", dtype="datetime64[D]"), ExpressionTypeError, r"cannot stand in"),
    (lambda x, v: x * math.nan, DeclarationError, r"constant of an expression is NaN"),
    (lambda x, v: v + np.array([1.0, np.nan, 2.0]), DeclarationError, r"NaN.*index.*1"),
    (lambda x, v: x + [[1.0, 2.0], [3.0]], LagrangeError, r"cannot stand|equal shapes|ragged"),  # noqa: RUF005
    (lambda x, v: S34[:, :3] * v, ExpressionTypeError, r"A @ x.*toarray"),
    (lambda x, v: v * S34[:, :3], ExpressionTypeError, r"A @ x.*toarray"),
    (lambda x, v: sparse.csr_matrix(S34)[:, :3] * x, ExpressionTypeError, r"A @ x.*toarray"),
    (lambda x, v: v + S34[:, :3], ExpressionTypeError, r"A @ x.*toarray"),
    (lambda x, v: S34[:, :3] + v, ExpressionTypeError, r"A @ x.*toarray"),
    (lambda x, v: v - S34[:, :3], ExpressionTypeError, r"A @ x.*toarray"),
    (lambda x, v: S34[:, :3] - v, ExpressionTypeError, r"A @ x.*toarray"),
    (lambda x, v: S34[:, :3] / v, ExpressionTypeError, r"A @ x.*toarray"),
    (lambda x, v: S34 @ v, ShapeError, r"@.*\(3, 4\).*'?v'?.*\(3,\)"),
    (lambda x, v: v @ S34[:2], ShapeError, r"@.*\(3,\).*\(2, 4\)"),
    (lambda x, v: sparse.csr_matrix(S34) @ v, ShapeError, r"\(3, 4\).*\(3,\)"),
    (lambda x, v: S34 @ x, (ShapeError, ValueError), r""),
    (lambda x, v: v @ M43, ShapeError, r"@: inner sizes differ: v has shape \(3,\), array\(4, 3\) has shape \(4, 3\)"),
    (lambda x, v: M34 @ v, ShapeError, r"@: inner sizes differ.*\(3, 4\).*v has shape \(3,\)"),
    (lambda x, v: v @ x, ShapeError, r"@ takes arrays, not scalars: use \*"),
    (lambda x, v: 2 @ v, ShapeError, r"@ takes arrays"),
    (lambda x, v: v + np.zeros(2), ShapeError, r"np\.add.*v has shape \(3,\).*\(2,\).*reshape"),
    (lambda x, v: v[:, None] @ np.zeros((2, 2)), ShapeError, r"inner sizes differ"),
    (lambda x, v: v[5], ShapeError, r"v with shape \(3,\).*out of bounds"),
    (lambda x, v: v[0, 0], ShapeError, r"v with shape \(3,\).*too many indices"),
    (lambda x, v: v["a"], ShapeError, r"indexing v with shape \(3,\)"),
    (lambda x, v: v[1.5], ShapeError, r"indexing v with shape \(3,\)"),
    (lambda x, v: v[x], ExpressionTypeError, r"an index, .* must be known numbers"),
    (lambda x, v: v[v > 1], ExpressionTypeError, r"an index, .* must be known numbers.*np\.where"),
    (lambda x, v: v[[0, x]], ExpressionTypeError, r"an index, .* must be known numbers"),
    (lambda x, v: V[x], (ExpressionTypeError, IndexError), r""),  # NumPy's own message
    (lambda x, v: v[x:], ExpressionTypeError, r"an index, .* must be known numbers"),
    (lambda x, v: np.take(v, v), ExpressionTypeError, r"known numbers"),
    (lambda x, v: np.reshape(v, (2, 2)), ShapeError, r"np\.reshape of v with shape \(3,\).*cannot reshape"),
    (lambda x, v: v.reshape(2, 2), ShapeError, r"np\.reshape of v with shape \(3,\)"),
    (lambda x, v: np.concatenate([v, x]), ShapeError, r"np\.concatenate of shapes \(3,\), \(\)"),
    (lambda x, v: np.stack([v, x]), ShapeError, r"np\.stack needs equal shapes, got \(3,\), \(\)"),
    (lambda x, v: np.stack([v, v], axis=5), ShapeError, r"axis 5|expand_dims"),
    (lambda x, v: np.where(v > 1), ExpressionTypeError, r"np\.where needs three arguments"),
    (lambda x, v: np.bincount(v), ExpressionTypeError, r"index must be known integers"),
    (lambda x, v: np.bincount([0, 1], weights=v), ShapeError, r"index has shape \(2,\), weights \(3,\)"),
    (lambda x, v: np.bincount([0, -1, 1], weights=v), DeclarationError, r"integers ≥ 0"),
    (lambda x, v: np.bincount([0.5, 1, 1], weights=v), DeclarationError, r"integers ≥ 0"),
    (lambda x, v: (x + 1) & (x > 0), ExpressionTypeError, r"& combines conditions"),
    (lambda x, v: ~x, ExpressionTypeError, r"~ combines conditions|conditions"),
    (lambda x, v: np.bitwise_and(v, v), ExpressionTypeError, r"conditions"),
    (lambda x, v: x.arctan2(v), AttributeError, r"no attribute 'arctan2'.*np\.exp"),
    (lambda x, v: v.argmax(), AttributeError, r"no attribute 'argmax'"),
    (lambda x, v: v.value, AttributeError, r"no attribute 'value'.*at\[expr\]"),
    (lambda x, v: np.asarray(v, dtype=float), ExpressionTypeError, r"no numbers yet.*at\[expr\]"),
    (lambda x, v: np.zeros(3).__setitem__(slice(None), v), ExpressionTypeError, r"no numbers yet.*at\[expr\]"),
    (lambda x, v: x << 2, (ExpressionTypeError, TypeError), r"<<"),
    (lambda x, v: x(1), TypeError, r"not callable"),
    (lambda x, v: pow(x, 2, 5), (ExpressionTypeError, TypeError), r""),
]


@pytest.mark.parametrize("number", range(len(PITFALLS)))
def test_pitfalls(number: int) -> None:
    use, error, message = PITFALLS[number]
    p = la.Program()
    x, v = p.input("x", 1.0), p.input("v", V)
    with pytest.raises(error) as caught:
        use(x, v)
    assert re.search(message, str(caught.value), re.DOTALL), f"{message!r} not in {caught.value}"


def test_expressions_of_two_programs_do_not_mix() -> None:
    x, y = la.Program("first").input("x", 1.0), la.Program("second").input("y", 1.0)
    with pytest.raises(DeclarationError, match=r"two programs, 'first' and 'second'"):
        x + y
    with pytest.raises(DeclarationError, match=r"two programs"):
        np.concatenate([x[None], y[None]])


def test_every_supported_name_is_of_numpy_or_scipy_special() -> None:
    for name in expression.supported_names():
        module = special if name.startswith("scipy.special.") else np
        assert operator.attrgetter(name.removeprefix("scipy.special.").removeprefix("np."))(module), name


def test_numpy_arrays_of_expressions_broadcast_and_sum_as_numpy_does() -> None:
    p = la.Program("lists")
    m = np.array([[1.0, 2.0], [3.0, 4.0]])
    x = p.input("x", m)
    rows, scale = [x[0], x[1]], np.array([10.0, 20.0])
    cases = {
        "scaled": (np.array(rows) * scale, m * scale),
        "mean": (np.array(rows).mean(), m.mean()),
        "summed": (np.sum(rows), m.sum()),
        "along": (np.sum(rows, axis=0), m.sum(axis=0)),
        "each": (np.exp([x[0, 0], x[1, 1]]), np.exp(np.diag(m))),
        "mixed": (np.array([x[0, 0], 2.0]) + scale, np.array([1.0, 2.0]) + scale),
    }
    for name, (made, _) in cases.items():
        p.define(name, made)
    at = p.evaluate()
    for name, (_, expected) in cases.items():
        np.testing.assert_allclose(at[name], expected, rtol=1e-15, err_msg=name)
    large = p.input("large", np.zeros(200_000))
    with pytest.raises(ExpressionTypeError, match="too many"):
        np.array([large, large])


def test_equations_for_parts_of_a_variable_are_explicit() -> None:
    p = la.Program("parts")
    x = p.input("x", np.linspace(0.0, 1.0, 50))
    y = p.variable("y", shape=51)
    p.equate(y[0], 1.0)
    p.equate(y[1:], y[:-1] + 0.1 * np.sin(x - y[:-1]))
    w = p.variable("w", shape=(2, 50))
    p.equate(w, x)  # the right side broadcasts
    p.minimize(np.sum(y**2) + np.sum(w))
    at = p.evaluate()
    assert at.blocks == []
    expected = [1.0]
    for value in np.linspace(0.0, 1.0, 50):
        expected.append(expected[-1] + 0.1 * np.sin(value - expected[-1]))
    np.testing.assert_allclose(at["y"], expected, rtol=1e-14)
    h = 1e-6
    up, down = (p.evaluate(x=np.linspace(0.0, 1.0, 50) + s).objective for s in (h, -h))
    np.testing.assert_allclose(at.gradient["x"].sum(), (up - down) / (2 * h), rtol=1e-8)
