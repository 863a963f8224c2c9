"""The executor protocol, quantity by quantity: values against the expressions, derivatives against complex step.

Every test takes the fixture ``executor``: the reference, and the native one as it is, with everything compiled, and
with everything on the tape. Values have
``expression.evaluate`` as their oracle; first derivatives the complex step of the values, second derivatives that of
the adjoint.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import sparse

from lagrange_ad import Program
from lagrange_ad.execution import ReferenceExecutor, reference
from lagrange_ad.execution.native.executor import NativeExecutor
from lagrange_ad.execution.product import SMALLEST, ProductRun, is_product
from lagrange_ad.expression import evaluate
from lagrange_ad.lowering import Group, IndexMap, grouping, lower
from lagrange_ad.lowering.lowered import Lowered

STEP = 1e-30
TOLERANCE = 1e-12

EXECUTORS = {
    "reference": ReferenceExecutor,
    "native": NativeExecutor,
    "compiled": lambda: NativeExecutor(compile_from=1),
    "on tape": lambda: NativeExecutor(compile_from=1 << 60),
}


@pytest.fixture(params=EXECUTORS)
def executor(request):
    return EXECUTORS[request.param]()


@dataclass
class Case:
    """A lowered program of explicit equations, with a state at which its auxiliaries hold."""

    program: Program
    lowered: Lowered
    z: np.ndarray


def _lowered(program, executor):
    """The case of a program whose variables are not parents of anything."""
    lowered = lower(program)
    z = np.zeros(lowered.state.size)
    for name, symbol in program.symbols.items():
        if symbol.kind != "variable":
            z[lowered.state.slices[name]] = symbol.value.ravel()
    return Case(program, lowered, _settled(lowered, executor, z))


def _settled(lowered, executor, z):
    """The state with its auxiliaries computed, level by level."""
    run, z = executor.run(lowered.groups), z.copy()
    hidden = slice(lowered.n_user_rows, lowered.n_rows)
    with np.errstate(all="ignore"):
        for _ in range(12):
            out = np.zeros(lowered.n_rows, dtype=z.dtype)
            run.values(z, out)
            z[lowered.own[hidden]] = out[hidden]
    return z


def _values(run, lowered, z):
    out = np.zeros(lowered.n_rows, dtype=z.dtype)
    run.values(z, out)
    return out


def _adjoint(run, z, lam):
    w = np.zeros((len(z), *lam.shape[1:]), dtype=np.result_type(z, lam))
    run.adjoint(z, lam, w)
    return w


def _close(actual, expected, tolerance=TOLERANCE):
    scale = 1.0 + np.abs(expected).max(initial=0.0)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


def _columns(n, rng):
    """State elements whose derivatives are checked one by one: all when few."""
    return np.arange(n) if n <= 120 else np.sort(rng.choice(n, 40, replace=False))


def _stepped(function, z, columns):
    """∂function/∂z_j by complex step, one column an element j."""
    result = []
    for j in columns:
        shifted = z.astype(complex)
        shifted[j] += 1j * STEP
        result.append(function(shifted).imag / STEP)
    return np.array(result).T


# programs --------------------------------------------------------------------------------------------------


def _one(*outputs_of, seed=0, **inputs):
    """A program of the given inputs (shapes, drawn in (0.5, 1.5)) and outputs (functions of them)."""
    rng = np.random.default_rng(seed)
    p = Program("case")
    given = [p.input(name, rng.uniform(0.5, 1.5, shape)) for name, shape in inputs.items()]
    for i, output in enumerate(outputs_of):
        p.define(f"y{i}", output(*given))
    return p


GATHER = np.array([3, 0, 3, 3, 1, 0, 4, 3])
WINDOWS = np.arange(90)[:, None] + np.arange(60)
CONSTANT = np.random.default_rng(5).normal(size=(9, 7))
SPARSE = sparse.random_array((9, 7), density=0.4, rng=np.random.default_rng(6))


def _mixture(x, u):
    return (np.sin(x) * np.exp(-u) + x**3 / (1 + u * u), np.sqrt(x) + np.log(u) ** 2, np.arctan2(x, u), np.hypot(x, u),
            np.logaddexp(x, 2 * u), np.cbrt(x) - np.tanh(u), x**u)


def _logsum(x):
    return np.log(np.sum(np.exp(x)))


CASES = {
    "scalars": lambda: _one(lambda x, u: x * u + np.exp(x), lambda x, u: x / u, x=(), u=()),
    **{f"elementwise {n}": lambda n=n: _one(lambda x, u: sum(_mixture(x, u)), lambda x, u: 2 * x - u, x=n, u=n)
       for n in (1, 7, 8, 9, 15, 16, 17)},
    "each function": lambda: _one(*(lambda x, u, i=i: _mixture(x, u)[i] for i in range(7)), x=5, u=5),
    "gather": lambda: _one(lambda x: np.sin(x[GATHER]) * x[GATHER[::-1]], x=5),
    "coinciding arguments": lambda: _one(lambda x: x[GATHER] * np.exp(x[[3, 3, 3, 0, 1, 0, 4, 4]]), x=5),
    "slices": lambda: _one(lambda x: np.sin(x[1:-1]) * (x[2:] - x[:-2]) ** 2, lambda x: x[::-2] * x[0], x=17),
    "broadcast": lambda: _one(lambda x, u: np.exp(x[:, None] * u[None, :]) + u, x=4, u=5),
    "transposes": lambda: _one(lambda x: x.T * np.reshape(x, (4, 3)), lambda x: np.roll(np.flip(x, 1), 1, 0), x=(3, 4)),
    "three axes": lambda: _one(lambda x: np.moveaxis(x, 0, 2) * 2 + np.transpose(x, (1, 2, 0)) ** 2, x=(2, 3, 4)),
    "reductions": lambda: _one(lambda x: np.sum(x**3), lambda x: np.sum(np.sin(x), axis=0),
                               lambda x: np.mean(x * x, axis=1), lambda x: np.sum(x, axis=1, keepdims=True) * 3,
                               x=(4, 9)),
    "reduction of a product": lambda: _one(lambda x, u: np.sum(x[:, None] * np.sin(u)), x=4, u=(4, 5)),
    "nested": lambda: _one(lambda x: np.exp(np.sum(x) / 9) * x, lambda x: np.sin(_logsum(x)), x=9),
    "scatter": lambda: _one(lambda x: np.bincount(GATHER, weights=np.exp(x), minlength=6), x=8),
    "selections": lambda: _one(
        lambda x, u: np.where(x > u, np.sin(x), u**2), lambda x, u: np.minimum(x, u) * np.maximum(x * x, u),
        lambda x, u: np.abs(x - u) ** 1.5, lambda x, u: np.clip(x * u, 0.7, 1.2), x=17, u=17),
    "concatenation": lambda: _one(
        lambda x, u: np.concatenate([x[:1], np.sin(x[:-1]) * u, [2.0, 3.0]]),
        lambda x, u: np.stack([x[1:], u]) * u, lambda x, u: np.exp(np.hstack([u, x])), x=9, u=8),
    "small products": lambda: _one(lambda a, b: a @ b, lambda a, b: b.T @ a.T, lambda a, b: a[0] @ b,
                                   lambda a, b: a @ b[:, 1], lambda a, b: a[1] @ b[:, 2], a=(3, 4), b=(4, 5)),
    "constant products": lambda: _one(lambda x: CONSTANT @ x, lambda x: x.T @ CONSTANT.T, lambda x: SPARSE @ x[:, 0],
                                      lambda x: SPARSE @ np.sin(x), x=(7, 3)),
    "large products": lambda: _one(lambda a, b: a @ b, lambda a, b: 0.5 * (a @ np.exp(b)) + 1, a=(16, 17), b=(17, 19)),
    "batches": lambda: _one(lambda a, b: a @ b, lambda a, b: a[0] @ b, a=(3, 12, 13), b=(3, 13, 12)),
    "Gram": lambda: _one(lambda v: v @ v.T, lambda v: v.T @ v, v=(17, 18)),
    "large matrix-vector": lambda: _one(lambda a, x: a @ x, lambda a, x: x @ a, a=(65, 65), x=65),
    "large constant left": lambda: _one(lambda x: np.arange(80.0 * 70).reshape(80, 70) / 1e3 @ x, x=70),
    "large constant right": lambda: _one(lambda x: x @ np.sin(np.arange(70.0 * 80)).reshape(70, 80), x=70),
    "moving windows": lambda: _one(lambda x: np.sum(x[WINDOWS] * np.ones((90, 60)), 1), x=150),
    "convolution": lambda: _one(lambda x, k: np.sum(x[WINDOWS] * k, axis=1), x=150, k=60),
    "loop": lambda: _one(*(lambda x, i=i: np.sin(x[i]) * (i + 2.0) + x[(3 * i) % 7] * x[i] for i in range(7)), x=7),
}  # fmt: skip


@pytest.fixture(params=CASES)
def case(request, executor):
    return _lowered(CASES[request.param](), executor)


# one quantity a test ---------------------------------------------------------------------------------------


def _expected(case, z):
    values = case.lowered.state.split(z, list(case.lowered.symbols))
    return np.concatenate([np.ravel(evaluate(e.right, values)) for e in case.program.equations])


def test_values(case, executor):
    run = executor.run(case.lowered.groups)
    _close(_values(run, case.lowered, case.z)[: case.lowered.n_user_rows], _expected(case, case.z), 1e-13)


def test_values_complex(case, executor):
    rng = np.random.default_rng(1)
    z = _settled(case.lowered, executor, case.z + 1e-3j * rng.normal(size=len(case.z)))
    run = executor.run(case.lowered.groups)
    _close(_values(run, case.lowered, z)[: case.lowered.n_user_rows], _expected(case, z), 1e-6)
    z = _settled(case.lowered, executor, case.z + 1j * STEP * rng.normal(size=len(case.z)))
    got, expected = _values(run, case.lowered, z)[: case.lowered.n_user_rows], _expected(case, z)
    _close(got.real, expected.real, 1e-13)
    _close(got.imag / STEP, expected.imag / STEP)


def test_results_are_added(case, executor):
    run, rng = executor.run(case.lowered.groups), np.random.default_rng(2)
    before = rng.normal(size=case.lowered.n_rows)
    out = before.copy()
    run.values(case.z, out)
    _close(out, before + _values(run, case.lowered, case.z))
    lam, before = rng.normal(size=case.lowered.n_rows), rng.normal(size=len(case.z))
    w = before.copy()
    run.adjoint(case.z, lam, w)
    _close(w, before + _adjoint(run, case.z, lam))


def test_tangent(case, executor):
    run, rng = executor.run(case.lowered.groups), np.random.default_rng(3)
    dz = rng.normal(size=len(case.z))
    out = np.zeros(case.lowered.n_rows)
    run.tangent(case.z, dz, out)
    _close(out, _values(run, case.lowered, case.z + 1j * STEP * dz).imag / STEP)


def test_adjoint(case, executor):
    run, rng = executor.run(case.lowered.groups), np.random.default_rng(4)
    lam, columns = rng.normal(size=case.lowered.n_rows), _columns(len(case.z), rng)
    jacobian = _stepped(lambda z: _values(run, case.lowered, z), case.z, columns)
    _close(_adjoint(run, case.z, lam)[columns], jacobian.T @ lam)


def test_jacobian(case, executor):
    run, rng = executor.run(case.lowered.groups), np.random.default_rng(5)
    columns = _columns(len(case.z), rng)
    pattern = run.jacobian_pattern()
    values = run.jacobian(case.z)
    assert len(values) == len(pattern[0]) == len(pattern[1])
    dense = sparse.coo_array((values, pattern), shape=(case.lowered.n_rows, len(case.z))).toarray()
    _close(dense[:, columns], _stepped(lambda z: _values(run, case.lowered, z), case.z, columns))


def test_jacobian_complex(case, executor):
    """The Jacobian is analytic: its complex step in a direction is the derivative of the tangent."""
    run, rng = executor.run(case.lowered.groups), np.random.default_rng(6)
    dz = rng.normal(size=len(case.z))
    z = case.z + 1j * STEP * rng.normal(size=len(case.z))
    dense = sparse.coo_array((run.jacobian(z), run.jacobian_pattern()), shape=(case.lowered.n_rows, len(z)))
    out = np.zeros(case.lowered.n_rows, dtype=complex)
    run.tangent(z, dz.astype(complex), out)
    _close(out.real, (dense @ dz).real)
    _close(out.imag / STEP, (dense @ dz).imag / STEP)


def _dense_hessian(run, z, lam):
    i, j = run.hessian_pattern()
    assert (i >= j).all()
    lower = sparse.coo_array((run.hessian(z, lam), (i, j)), shape=(len(z), len(z))).toarray()
    return lower + np.tril(lower, -1).T


def test_hessian(case, executor):
    run, rng = executor.run(case.lowered.groups), np.random.default_rng(7)
    lam, columns = rng.normal(size=case.lowered.n_rows), _columns(len(case.z), rng)
    expected = _stepped(lambda z: _adjoint(run, z, lam), case.z, columns)
    _close(_dense_hessian(run, case.z, lam)[:, columns], expected)


def test_hessian_product(case, executor):
    run, rng = executor.run(case.lowered.groups), np.random.default_rng(8)
    lam, dz = rng.normal(size=case.lowered.n_rows), rng.normal(size=len(case.z))
    w = np.zeros(len(case.z))
    run.hessian_product(case.z, dz, lam, w)
    _close(w, _adjoint(run, case.z + 1j * STEP * dz, lam).imag / STEP)


def test_several_seeds(case, executor):
    run, rng = executor.run(case.lowered.groups), np.random.default_rng(9)
    n, m = len(case.z), case.lowered.n_rows
    lam, dz = rng.normal(size=(m, 3)), rng.normal(size=(n, 3))
    many = [_adjoint(run, case.z, lam), np.zeros((m, 3)), np.zeros((n, 3))]
    run.tangent(case.z, dz, many[1])
    run.hessian_product(case.z, dz, lam, many[2])
    for k in range(3):
        tangent, product = np.zeros(m), np.zeros(n)
        run.tangent(case.z, dz[:, k].copy(), tangent)
        run.hessian_product(case.z, dz[:, k].copy(), lam[:, k].copy(), product)
        _close(many[0][:, k], _adjoint(run, case.z, lam[:, k].copy()))
        _close(many[1][:, k], tangent)
        _close(many[2][:, k], product)


def test_pieces_of_large_boxes(case, executor, monkeypatch):
    """The same numbers when boxes are cut into pieces of at most five instances."""
    whole, rng = executor.run(case.lowered.groups), np.random.default_rng(10)
    lam, dz = rng.normal(size=case.lowered.n_rows), rng.normal(size=len(case.z))
    monkeypatch.setattr(grouping, "CHUNK", 700 if max(g.size for g in case.lowered.groups) > 2000 else 5)
    cut = executor.run(case.lowered.groups)
    _close(_values(cut, case.lowered, case.z), _values(whole, case.lowered, case.z))
    _close(_adjoint(cut, case.z, lam), _adjoint(whole, case.z, lam))
    results = []
    for run in (cut, whole):
        tangent, product = np.zeros(case.lowered.n_rows), np.zeros(len(case.z))
        run.tangent(case.z, dz, tangent)
        run.hessian_product(case.z, dz, lam, product)
        dense = sparse.coo_array((run.jacobian(case.z), run.jacobian_pattern()), shape=(len(lam), len(dz))).toarray()
        results.append((tangent, product, dense @ dz, _dense_hessian(run, case.z, lam) @ dz))
    for one, other in zip(*results, strict=True):
        _close(one, other)


# what the reference does by other means --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["large products", "batches", "Gram", "large matrix-vector", "large constant left",
                                  "large constant right", "convolution"])  # fmt: skip
def test_large_products_are_contracted(name):
    groups = lower(CASES[name]()).groups
    assert any(is_product(group) for group in groups)
    assert any(isinstance(part, ProductRun) for part in ReferenceExecutor().run(groups).parts)
    assert all(group.size >= SMALLEST for group in groups if is_product(group))


def test_overlapping_windows_add_up(executor):
    """An affine map may meet a position twice (a convolution): its adjoint adds."""
    p = CASES["convolution"]()
    maps = [m for g in lower(p).groups for m in g.args if m.strides is not None and not m.is_injective()]
    case = _lowered(p, executor)
    lam = np.ones(case.lowered.n_rows)
    w = _adjoint(executor.run(case.lowered.groups), case.z, lam)
    k = p.symbols["k"].value
    _close(w[:149], np.convolve(np.ones(90), k))
    assert len(maps) >= 1


def test_nothing_of_a_reduction_s_size_is_made(executor, monkeypatch):
    monkeypatch.setattr(grouping, "CHUNK", 1000)
    p = _one(lambda x, u: np.sum(np.sin(x[:, None] - u)), x=200, u=300)
    largest = []
    original = reference.kernel_values

    def watched(kernel, args, coefs):
        largest.append(max(np.size(a) for a in args))
        return original(kernel, args, coefs)

    monkeypatch.setattr(reference, "kernel_values", watched)
    case = _lowered(p, executor)
    largest.clear()
    x, u = p.symbols["x"].value, p.symbols["u"].value
    _close(_values(executor.run(case.lowered.groups), case.lowered, case.z), [np.sin(x[:, None] - u).sum()])
    if executor.name == "reference":
        assert max(largest) <= 1000


def test_branches_not_taken_are_never_multiplied(executor):
    p = Program("branches")
    x = p.input("x", [-1.0, 0.0, 2.0, 1e200])
    p.define("y", np.where(x > 0, np.log(x), 0.0) + np.where(x > 1e100, 0.0, x**2) + np.minimum(np.exp(x), 3.0))
    case = _lowered(p, executor)
    run, lam = executor.run(case.lowered.groups), np.ones(case.lowered.n_rows)
    expected = [-2 + np.exp(-1.0), 1.0, 0.5 + 4, 1e-200]
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(_adjoint(run, case.z, lam)[:4], expected)
        dense = sparse.coo_array((run.jacobian(case.z), run.jacobian_pattern()), shape=(4, 8)).toarray()
        np.testing.assert_allclose(np.diag(dense), expected)
        product = np.zeros(8)
        run.hessian_product(case.z, np.ones(8), lam, product)
    np.testing.assert_allclose(product[:4], [2 + np.exp(-1.0), 3.0, -0.25 + 2, -0.0], atol=1e-300)


def test_a_run_of_no_groups(executor):
    run = executor.run([])
    out = np.zeros(3)
    run.values(np.ones(2), out)
    run.adjoint(np.ones(2), np.ones(3), out)
    assert not out.any()
    assert len(run.jacobian(np.ones(2))) == len(run.jacobian_pattern()[0]) == 0
    assert len(run.hessian(np.ones(2), np.ones(3))) == len(run.hessian_pattern()[1]) == 0


# sequences -------------------------------------------------------------------------------------------------


def _recurrence(body, n=23, seed=3):
    """y[0] = x[0], y[i] = body(y[i-1], x[i], i): a program and the order of its rows."""
    rng = np.random.default_rng(seed)
    p = Program("recurrence")
    x = p.input("x", rng.uniform(0.5, 1.5, n))
    y = x[0]
    for i in range(1, n):
        y = p.define(f"y{i}", body(y, x[i], i))
    return p


RECURRENCES = {
    "one kernel": lambda y, x, i: np.sin(y) * x + 0.5,
    "coefficients": lambda y, x, i: np.sin(y) * (i + 1.0) / 25 + x**2,
    "two kernels in turn": lambda y, x, i: np.exp(-y) * x if i % 2 else np.sqrt(y) + x,
    "selections": lambda y, x, i: np.where(y > 0.8, y - x * 0.3, y + x) + np.minimum(y, x) - np.abs(y - x) / 9,
    "every scalar form": lambda y, x, i: (np.tanh(y) + np.cosh(y / 9) - np.arctan(x * y) + np.log1p(y * y) / x)
    + np.hypot(x, y) / 7 + np.power(x, 1.5) - np.cbrt(y) / 3 + np.expm1(-y * y),
    "sums of groups": lambda y, x, i: sum(np.sin(y * k) / (k + 5) for k in range(30)) + x,
}  # fmt: skip


def _sequence_of(program, executor):
    lowered = lower(program)
    rows = np.arange(lowered.n_rows)
    assert lowered.n_rows == lowered.n_user_rows
    when = np.concatenate([group.row.array().ravel() for group in lowered.groups])
    whose = np.repeat(np.arange(len(lowered.groups)), [group.size for group in lowered.groups])
    flat = [group.restrict(np.argsort(group.row.array().ravel(), kind="stable")) for group in lowered.groups]
    order = np.argsort(when, kind="stable")
    own = lowered.own[rows][when[order]]
    return lowered, flat, executor.sequence(flat, whose[order].tolist(), own)


def _one_by_one(lowered, executor, z):
    """What a sequence means: the rows as wide runs of one row each."""
    z = z.copy()
    for row in range(lowered.n_rows):
        here = [g.restrict(np.flatnonzero(g.row.array().ravel() == row)) for g in lowered.groups]
        out = np.zeros(lowered.n_rows, dtype=z.dtype)
        executor.run([g for g in here if g.size]).values(z, out)
        z[lowered.own[row]] += out[row]
    return z


@pytest.mark.parametrize("name", RECURRENCES)
@pytest.mark.parametrize("dtype", [float, complex])
def test_sequence(name, dtype, executor):
    lowered, _, sequence = _sequence_of(_recurrence(RECURRENCES[name]), executor)
    z = np.zeros(lowered.state.size, dtype=dtype)
    z[:23] = np.random.default_rng(0).uniform(0.5, 1.5, 23)
    if dtype is complex:
        z[:23] += 1j * STEP * np.random.default_rng(1).normal(size=23)
    expected = _one_by_one(lowered, executor, z)
    sequence.propagate(z)
    _close(z.real, expected.real, 1e-13)
    _close(z.imag / STEP, expected.imag / STEP)


def test_sequence_adds_to_what_stands_there(executor):
    _, _, sequence = _sequence_of(_recurrence(RECURRENCES["one kernel"], n=5), executor)
    z = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.1, 0.2, 0.3, 0.4])
    y = 1.0
    expected = []
    for offset in (0.1, 0.2, 0.3, 0.4):
        y = np.sin(y) + 0.5 + offset
        expected.append(y)
    sequence.propagate(z)
    _close(z[5:], expected)


@pytest.mark.parametrize("start, body, expected", [
    (-1.0, lambda y, x, i: np.log(y) + x, [np.nan, np.nan]),
    (0.0, lambda y, x, i: np.log(y) + x, [-np.inf, np.nan]),
    (0.0, lambda y, x, i: 1 / y, [np.inf, 0.0]),
    (800.0, lambda y, x, i: np.exp(y), [np.inf, np.inf]),
    (800.0, lambda y, x, i: np.cosh(y), [np.inf, np.inf]),
    (-2.0, lambda y, x, i: y**0.3, [np.nan, np.nan]),
    (-2.0, lambda y, x, i: np.power(y, x), [-2.0, -2.0]),
    (1e200, lambda y, x, i: y**5.0, [np.inf, np.inf]),
    (np.inf, lambda y, x, i: np.sin(y), [np.nan, np.nan]),
    (0.0, lambda y, x, i: np.where(y > 0, np.log(y), 3.0), [3.0, np.log(3.0)]),
])  # fmt: skip
def test_sequence_gives_what_numpy_gives_outside_the_domain(start, body, expected, executor):
    lowered, _, sequence = _sequence_of(_recurrence(body, n=3), executor)
    z = np.zeros(lowered.state.size)
    z[:3] = start, 1.0, 1.0
    with np.errstate(all="ignore"):
        sequence.propagate(z)
    np.testing.assert_allclose(z[lowered.own], expected)


# index maps ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions, strides", [
    (np.arange(12).reshape(3, 4), (4, 1)),
    (np.arange(12).reshape(3, 4).T, (1, 4)),
    (np.arange(20)[3:17:2], (2,)),
    (np.arange(20)[::-1], (-1,)),
    (np.broadcast_to(np.arange(3)[:, None], (3, 5)), (1, 0)),
    (np.broadcast_to(7, (2, 3)), (0, 0)),
    (np.array(5), ()),
    (np.full(6, 4), (0,)),
    (np.array([3, 1, 2]), None),
    (np.array([[0, 1], [2, 4]]), None),
])  # fmt: skip
def test_index_map_of(positions, strides):
    made = IndexMap.of(positions)
    assert made.strides == strides
    np.testing.assert_array_equal(made.array(), positions)
    assert made.range() == (positions.min(), positions.max())
    if made.is_injective():
        assert len(np.unique(positions)) == positions.size


@pytest.mark.parametrize("n", [1, 7, 8, 9, 15, 16, 17])
def test_restrict_keeps_the_instances(n, executor):
    p = _one(lambda x, u: np.sin(x[:, None]) * u + np.arange(float(n)), x=3, u=n)
    case = _lowered(p, executor)
    group = case.lowered.groups[0]
    chosen = np.random.default_rng(0).permutation(group.size)[: max(1, group.size // 2)]
    part: Group = group.restrict(chosen)
    rows = group.row.array().ravel()[chosen]
    others = [g for g in case.lowered.groups[1:]]
    whole = _values(executor.run([group, *others]), case.lowered, case.z)
    got = _values(executor.run([part]), case.lowered, case.z)
    rest = _values(executor.run(others), case.lowered, case.z)
    _close(got[rows], (whole - rest)[rows])
    assert not np.delete(got, rows).any()
