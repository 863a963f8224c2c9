"""Reduced derivatives, first and second, against differences of the gradient, closed forms and the reference."""

import pickle

import mpmath
import networkx as nx
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from native_programs import FAMILIES, program
from random_programs import acyclic, cyclic, is_tied
from scipy import sparse

import lagrange_ad as la
from lagrange_ad.execution.native.executor import NativeExecutor
from lagrange_ad.execution.native.integers import natively
from lagrange_ad.solution import evaluation, plan_of
from lagrange_ad.solution.reduction import Reduction
from lagrange_ad.structure.loops import in_python
from lagrange_ad.structure.spreading import colours_of, leaves_of

LOCAL = {"native": None, "compiled": NativeExecutor(compile_from=1), "on tape": NativeExecutor(compile_from=1 << 60),
         "mixed": NativeExecutor(compile_from=9)}  # fmt: skip


@pytest.fixture(params=LOCAL)
def every_executor(request, monkeypatch):
    """Programs without a name for their executor run on this one."""
    if LOCAL[request.param] is not None:
        chosen = evaluation.executor_named
        monkeypatch.setattr(
            evaluation, "executor_named", lambda name: LOCAL[request.param] if name is None else chosen(name))
    return request.param


def reduction_of(p, outputs=True):
    """All inputs as x; the constraints' bodies and every found element of the user's as outputs."""
    plan = plan_of(p)
    lowered = plan.lowered
    places = plan.roles.blocks(("input",), found=False)[1]
    rows = np.arange(lowered.objective_row + 1, lowered.n_all_rows)
    return Reduction(plan, places, rows, np.flatnonzero(plan.unknown[: lowered.n_user]) if outputs else [])


def weights(reduction, seed=0):
    rng = np.random.default_rng(seed)
    return 0.7, rng.uniform(-1.0, 1.0, reduction.m)


def moved(p, reduction, at, x):
    """The point at x of a program, near another one."""
    z = at.state.copy()
    z[reduction.places] = x
    plan = reduction.plan
    values = plan.lowered.state.split(z, [s.name for s in p.of_kind("input") if plan.roles.has_given(s.name)])
    return p.evaluate(values, start=at)


def differences(p, reduction, at, sigma, y, v, h=1e-5):
    """A central difference of the reduced gradient along v."""
    x = at.state[reduction.places]
    ends = [reduction.gradient(moved(p, reduction, at, x + s * v), sigma, y) for s in (h, -h)]
    return (ends[0] - ends[1]) / (2.0 * h)


def alike(actual, expected, tolerance=1e-10):
    size = max(1.0, np.abs(expected).max(initial=0.0))
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=tolerance * size)


def same_as_the_reference(make):
    p, q = make(None), make("reference")
    reduced, reference = reduction_of(p), reduction_of(q)
    at, there = p.evaluate(), q.evaluate()
    sigma, y = weights(reduced)
    rng = np.random.default_rng(1)
    for v in rng.standard_normal((2, reduced.n)):
        alike(reduced.hessian_product(at, sigma, y, v), reference.hessian_product(there, sigma, y, v))
        everything = np.arange(at.state.size + 1 + p_constraints(reduced))
        alike(reduced._directions.tangent(at._solved, v, everything),
              reference._directions.tangent(there._solved, v, everything))
    return p, q, reference, there


def p_constraints(reduction):
    return reduction.plan.lowered.constraint_rows.size


@pytest.mark.parametrize("family", FAMILIES)
def test_families(family, every_executor):
    """Every kind of program that compiled code treats apart; the reference against differences too."""
    made = same_as_the_reference(lambda executor: program(1, [family], executor=executor))
    if every_executor == "native":
        _, q, reference, there = made
        sigma, y = weights(reference)
        v = np.random.default_rng(2).standard_normal(reference.n)
        alike(reference.hessian_product(there, sigma, y, v), differences(q, reference, there, sigma, y, v), 1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_long_families(family):
    same_as_the_reference(lambda executor: program(101, [family], (130, 257, 300), executor))


# matrices --------------------------------------------------------------------------------------------------


def dense(structure, numbers, shape):
    found = np.zeros(shape)
    i, j = structure
    assert i.dtype == j.dtype == np.int32
    keys = i.astype(np.int64) * max(shape[1], 1) + j
    assert (np.diff(keys) > 0).all()
    found[i, j] = numbers
    return found


def check_matrices(p, at=None):
    """The Jacobian against tangents along single inputs, the Hessian against its own products."""
    reduced = reduction_of(p)
    at = p.evaluate() if at is None else at
    sigma, y = weights(reduced)
    places = np.concatenate([at.state.size + reduced.rows - reduced.plan.lowered.objective_row, reduced.elements])
    some = np.unique(np.linspace(0, reduced.n - 1, 8).astype(int)) if reduced.n else np.empty(0, int)
    jacobian = dense(reduced.jacobian_structure, reduced.jacobian(at), (reduced.m, reduced.n))
    for j in some:
        alike(jacobian[:, j], reduced._directions.tangent(at._solved, np.eye(reduced.n)[j], places))
    if reduced.hessian_structure is None:
        assert reduced.n > 300
        return reduced
    lower = dense(reduced.hessian_structure, reduced.hessian(at, sigma, y), (reduced.n, reduced.n))
    alike(reduced.dense_hessian(at, sigma, y), lower + np.tril(lower, -1).T)
    for v in np.random.default_rng(5).standard_normal((2, reduced.n)):
        alike((lower + np.tril(lower, -1).T) @ v, reduced.hessian_product(at, sigma, y, v))
    return reduced


@pytest.mark.parametrize("family", FAMILIES)
def test_matrices_of_families(family):
    check_matrices(program(2, [family], (1, 7, 9)))
    check_matrices(program(3, [family], (1, 7), executor="reference"))


# drawn programs --------------------------------------------------------------------------------------------

quiet = settings(suppress_health_check=[*HealthCheck], max_examples=25, deadline=None)


def check_against_differences(drawn):
    """vᵀ·H against differences of the gradient, where no selection is near a tie; products are symmetric."""
    p = drawn.program
    at = p.evaluate()
    assume(not is_tied(drawn, at.values))
    reduced = check_matrices(p, at)
    sigma, y = weights(reduced)
    v = np.random.default_rng(0).uniform(-1.0, 1.0, reduced.n)
    found = [reduced.gradient(at, sigma, y)]
    try:
        found.append(differences(p, reduced, at, sigma, y, v, 1e-5))
        finer = differences(p, reduced, at, sigma, y, v, 3e-6)
    except la.LagrangeError:
        assume(False)
    error = np.abs(finer - found[1])
    product = reduced.hessian_product(at, sigma, y, v)
    size = np.abs(product).max(initial=0.0) + np.abs(found[0]).max(initial=0.0) + 1.0
    assert (np.abs(product - finer) <= 1e-5 * size + 10.0 * error).all()


@quiet
@given(acyclic())
def test_drawn_acyclic(drawn):
    check_against_differences(drawn)


@quiet
@given(cyclic())
def test_drawn_cyclic(drawn):
    check_against_differences(drawn)


# particular programs ---------------------------------------------------------------------------------------


def sellar(**options):
    p = la.Program("sellar", **options)
    z1, z2, x = p.input("z1", 5.0), p.input("z2", 2.0), p.input("x", 1.0)
    y1, y2 = p.variable("y1", start=1.0), p.variable("y2", start=1.0)
    p.equate(y1, z1**2 + z2 + x - 0.2 * y2)
    p.equate(y2, np.sqrt(y1) + z1 + z2)
    late = p.define("late", np.exp(0.1 * y1) * 2.0)
    p.minimize(x**2 + z2 + y1 + np.exp(-y2) + 0.0 * late)
    p.subject_to(y1 * y2 >= 3.16, name="g1")
    return p


def test_sellar_by_many_digits():
    """Second derivatives of the objective and of a constraint, the cycle solved by mpmath with 30 digits."""

    def solved(z1, z2, x):
        return mpmath.findroot(lambda y1, y2: (z1**2 + z2 + x - y2 / 5 - y1, mpmath.sqrt(y1) + z1 + z2 - y2), (25, 12))

    def objective(z1, z2, x):
        y1, y2 = solved(z1, z2, x)
        return x**2 + z2 + y1 + mpmath.exp(-y2)

    def constraint(z1, z2, x):
        y1, y2 = solved(z1, z2, x)
        return y1 * y2

    def hessian_of(f):
        found = np.empty((3, 3))
        for i, j in zip(*np.tril_indices(3), strict=True):
            order = tuple(int(k == i) + int(k == j) for k in range(3))
            found[i, j] = found[j, i] = float(mpmath.diff(f, (5, 2, 1), order))
        return found

    p = sellar()
    reduced = reduction_of(p, outputs=False)
    with mpmath.workdps(30):
        both = hessian_of(lambda *x: objective(*x) - 2 * constraint(*x))
    alike(reduced.dense_hessian(p.evaluate(), 1.0, np.full(1, -2.0)), both, 1e-12)


def test_views_have_it():
    """sign·J of a view: the dense Hessian and its product, of maximize as of minimize."""
    for sense in ("minimize", "maximize"):
        p = la.Program(sense)
        x, y = p.input("x", np.array([0.4, 0.7])), p.variable("y", shape=2, start=0.5)
        p.equate(y, np.cos(y) * x)
        getattr(p, sense)(np.sum(y**2) * x[0])
        view = p.reduced()
        h = 1e-5
        ends = [[view.gradient(view.x0 + s * d) for d in h * np.eye(2)] for s in (1.0, -1.0)]
        expected = (np.array(ends[0]) - np.array(ends[1])) / (2.0 * h)
        alike(view.hessian(view.x0), expected, 1e-8)
        alike(view.hessian_product(view.x0, [1.0, -2.0]), expected @ [1.0, -2.0], 1e-8)
        with pytest.raises(la.ShapeError, match="shape"):
            view.hessian_product(view.x0, np.ones(3))


def test_a_large_linear_block_in_closed_form():
    """A u = −q: J = |u|²/2 has the Hessian A⁻ᵀ A⁻¹; the block is solved by Python, the rest compiled."""
    n, rng = 130, np.random.default_rng(0)
    matrix = sparse.diags_array([1.0, -2.7, 1.0], offsets=[-1, 0, 1], shape=(n, n)).tocsr()
    for executor in (None, "reference"):
        p = la.Program("line", executor=executor)
        q, u = p.input("q", rng.standard_normal(n)), p.variable("u", shape=n)
        p.equate(matrix @ u + q, 0.0, name="line")
        p.minimize(0.5 * np.sum(u**2))
        reduced = reduction_of(p)
        inverse = np.linalg.inv(matrix.toarray())
        alike(reduced.dense_hessian(p.evaluate(), 1.0, np.zeros(n)), inverse.T @ inverse)
        alike(dense(reduced.jacobian_structure, reduced.jacobian(p.evaluate()), (n, n)), -inverse)


def check_one(p, tolerance=1e-6):
    """All matrices, and one product against differences."""
    at = p.evaluate()
    reduced = check_matrices(p, at)
    sigma, y = weights(reduced)
    v = np.random.default_rng(3).standard_normal(reduced.n)
    alike(reduced.hessian_product(at, sigma, y, v), differences(p, reduced, at, sigma, y, v), tolerance)
    return reduced, at


@pytest.mark.parametrize("given", ["nothing", "jacobian", "hessian"])
def test_user_functions(given):
    """In a cycle and after it; their second derivatives are theirs or numerical."""
    derivatives = {
        "nothing": {}, "jacobian": {"jacobian": lambda x: -np.sin(x)},
        "hessian": {"jacobian": lambda x: -np.sin(x), "hessian": lambda x: -np.cos(x)},
    }[given]
    f = la.external(np.cos, elementwise=True, **derivatives)
    p = la.Program("called")
    x, y, u = p.input("x", np.array([0.3, 0.5])), p.variable("y", shape=2, start=0.5), p.variable("u", shape=2)
    p.equate(y, 0.5 * f(y * x[::-1]) + x)
    p.equate(u, f(y) * x)
    p.maximize(np.sum(u * y))
    check_one(p, 1e-5)


def test_fixed_and_freed_elements():
    p = la.Program("swapped")
    x, z = p.input("x", np.array([0.4, 0.7, 1.1])), p.variable("z", shape=3, start=0.5)
    p.equate(z, np.sin(x) * x[::-1] + 0.2 * np.cos(z))
    s = p.define("s", np.sum(z * x))
    p.maximize(s * s - np.sum(np.exp(-x)))
    p.fix(z[1], 0.9)
    p.free(x[1])
    reduced, at = check_one(p)
    assert reduced.n == 2 and at["z"][1] == 0.9


def test_offsets():
    """At a point with perturbed right sides."""
    found = []
    for executor in (None, "reference"):
        p = sellar(executor=executor)
        at = p.evaluate(perturbation={"y1": 0.3, "late": 0.1})
        reduced = reduction_of(p)
        sigma, y = weights(reduced)
        found.append(reduced.dense_hessian(at, sigma, y))
    alike(*found)


def test_what_the_objective_does_not_use_is_passed_over():
    """An infinite slope elsewhere is no 0·∞ of the Hessian of the objective, as it is none of the gradient."""
    for executor in (None, "reference"):
        p = la.Program("elsewhere", executor=executor)
        x = p.input("x", np.array([0.0, 2.0]))
        p.define("root", np.sqrt(x))
        p.minimize(np.sum(x**3))
        reduced = reduction_of(p)
        alike(reduced.dense_hessian(p.evaluate(), 1.0, np.zeros(reduced.m)), np.diag([0.0, 12.0]))


def test_copies_and_failed_points():
    p = sellar()
    reduced, at = reduction_of(p), p.evaluate()
    sigma, y = weights(reduced)
    expected = reduced.dense_hessian(at, sigma, y)
    again, there = pickle.loads(pickle.dumps((reduced, at)))
    alike(again.dense_hessian(there, sigma, y), expected)
    with pytest.raises(la.SolveError) as error:
        p.evaluate(z1=0.0, z2=-100.0)
    with pytest.raises(la.SolveError, match="no derivatives"):
        reduced.hessian_product(error.value.at, sigma, y, np.ones(3))


# patterns --------------------------------------------------------------------------------------------------


def test_many_cycles_have_sparse_matrices():
    """Tanks side by side: rows of two, products for all tanks at once."""
    n = 400
    p = la.Program("tanks")
    f, s = p.input("f", np.linspace(0.8, 1.2, n)), p.input("s", np.linspace(0.95, 1.05, n))
    c, k, t = (p.variable(name, shape=n, start=start) for name, start in zip("ckT", (0.5, 0.5, 1.0), strict=True))
    p.equate(c, f - k * c)
    p.equate(k, 0.5 * np.exp(8.0 * (1.0 - 1.0 / t)))
    p.equate(t, s + 0.2 * k * c)
    p.minimize(np.sum(k * c))
    reduced = reduction_of(p)
    assert len(reduced.jacobian_structure[0]) == 3 * n * 2 and len(reduced._jacobian.parts) == 2
    assert len(reduced.hessian_structure[0]) == 3 * n and len(reduced._hessian.parts) == 2
    at = p.evaluate()
    sigma, y = weights(reduced)
    i, j = reduced.hessian_structure
    whole = sparse.csr_array((reduced.hessian(at, sigma, y), (i, j)), shape=(2 * n, 2 * n))
    whole = whole + sparse.tril(whole, -1).T
    v = np.random.default_rng(0).standard_normal(2 * n)
    alike(whole @ v, reduced.hessian_product(at, sigma, y, v))
    jacobian = sparse.csr_array((reduced.jacobian(at), reduced.jacobian_structure), shape=(3 * n, 2 * n))
    alike(jacobian.T @ y, reduced.gradient(at, 0.0, y))


def test_a_long_recurrence_has_products_alone():
    """Its end depends on all inputs: one row, by one back-substitution; as a whole its Hessian is dense."""
    n = 5000
    p = la.Program("long")
    u, z = p.input("u", np.linspace(0.2, 0.4, n)), p.variable("z", shape=n + 1)
    p.equate(z[0], 0.5)
    p.equate(z[1:], z[:-1] + 0.01 * (u - np.sin(z[:-1])))
    p.minimize(np.sum(z**2))
    p.subject_to(z[n] <= 2.0, name="end")
    reduced = reduction_of(p, outputs=False)
    assert reduced._jacobian.by_adjoint and len(reduced.jacobian_structure[0]) == n
    assert len(reduced._jacobian.parts) == 1
    assert reduced.hessian_structure is None
    at = p.evaluate()
    v = np.random.default_rng(0).standard_normal(n)
    alike(reduced.jacobian(at), reduced.gradient(at, 0.0, np.ones(1)))
    alike(reduced.hessian_product(at, 0.7, np.ones(1), v), differences(p, reduced, at, 0.7, np.ones(1), v, 1e-4), 1e-5)


@pytest.mark.parametrize("loops", [in_python, natively])
def test_spreading_and_colours(loops):
    """The leaves of nodes against networkx; colours against what they are for."""
    rng = np.random.default_rng(4)
    for n_leaves, n_nodes in ((1, 1), (6, 25), (40, 300)):
        node = rng.integers(0, n_nodes, 2 * n_nodes)
        source = rng.integers(0, n_leaves + node)
        graph = nx.DiGraph(zip(source.tolist(), (n_leaves + node).tolist(), strict=True))
        found = leaves_of(n_leaves, n_nodes, node, source, 1 << 20, loops)
        for k in range(n_nodes):
            above = nx.ancestors(graph, n_leaves + k) if n_leaves + k in graph else set()
            expected = {a for a in above if a < n_leaves}
            assert set(found.leaves[found.start[k] : found.start[k + 1]].tolist()) == expected
        rows, columns = np.unravel_index(rng.choice(n_nodes * n_leaves, n_nodes, replace=False), (n_nodes, n_leaves))
        colour = colours_of(n_nodes, n_leaves, rows, columns, loops)
        pairs = {(r, colour[c]) for r, c in zip(rows.tolist(), columns.tolist(), strict=True)}
        assert len(pairs) == len(rows) and (colour >= 0).all()
    assert leaves_of(40, 300, node, source, 100, loops) is None
