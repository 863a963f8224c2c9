"""Reduced derivatives, first and second, against differences of the gradient, closed forms and the reference."""

import numpy as np
import pytest
from native_programs import FAMILIES, program

from lagrange_ad.execution.native.executor import NativeExecutor
from lagrange_ad.solution import evaluation, plan_of
from lagrange_ad.solution.reduction import Reduction

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
    for seed in range(2):
        made = same_as_the_reference(lambda executor, seed=seed: program(seed, [family], executor=executor))
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
    """The Jacobian against one tangent a column, the Hessian against one difference of the gradient a column."""
    reduced = reduction_of(p)
    at = p.evaluate() if at is None else at
    sigma, y = weights(reduced)
    places = np.concatenate([at.state.size + reduced.rows - reduced.plan.lowered.objective_row, reduced.elements])
    expected = np.array([reduced._directions.tangent(at._solved, v, places) for v in np.eye(reduced.n)]).T
    alike(dense(reduced.jacobian_structure, reduced.jacobian(at), (reduced.m, reduced.n)), expected)
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
    for seed in range(2):
        check_matrices(program(seed, [family]))
    check_matrices(program(0, [family], executor="reference"))
