"""Inlined programs against the elimination of the same elements from the original, by dense linear algebra.

With E the inlined elements, P = ∂E/∂others from the original's Jacobian: every derivative of the answer must be that of
the original along [I; P]. Values are compared with NaN standing in the inlined elements.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_programs import acyclic, cyclic

import lagrange_ad as la
from lagrange_ad.execution import ReferenceExecutor, default_executor, executor_named, loops_of
from lagrange_ad.lowering import lower
from lagrange_ad.lowering.cuts import SIZE_CAP
from lagrange_ad.lowering.inlining import MOST_KERNELS, inlined
from lagrange_ad.lowering.splicing import FEW
from lagrange_ad.structure.loops import in_python

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

quiet = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large,
                                        HealthCheck.large_base_example])
LOOPS = loops_of(default_executor())


def dense(run, shape, z):
    """∂/∂z of all rows, own elements on the left left out."""
    result = np.zeros(shape)
    np.add.at(result, run.jacobian_pattern(), run.jacobian(z))
    return result


def curvature(run, n, z, lam):
    """Σ λ ∂²/∂z²."""
    i, j = run.hessian_pattern()
    result = np.zeros((n, n))
    values = run.hessian(z, lam)
    np.add.at(result, (i, j), values)
    np.add.at(result, (j[i != j], i[i != j]), values[i != j])
    return result


def close(actual, expected, size, tolerance=1e-12):
    error = np.abs(actual - expected)
    assert (error <= tolerance * (size + 1e-3 * size.max(initial=1.0) + 1e-30)).all(), (error / (size + 1e-30)).max()


def check(lowered, answer, left, rows, z, executor=None, seed=0):
    """Values, Jacobian, adjoint and Hessian of the rows that stay, at a state that solves the inlined rows."""
    executor, n = executor or ReferenceExecutor(), lowered.state.size
    gone = np.setdiff1d(rows, left)
    out = lowered.own[gone]
    stay = np.setdiff1d(np.arange(lowered.n_all_rows), gone)
    others = np.setdiff1d(np.arange(n), out)
    before, after = ReferenceExecutor().run(lowered.all_groups), executor.run(answer.all_groups)
    expected, values = np.zeros(lowered.n_all_rows), np.zeros(lowered.n_all_rows)
    before.values(z, expected)
    np.testing.assert_allclose(expected[gone], z[out], rtol=1e-9, atol=1e-9)  # the state is one that solves them
    holes = z.copy()
    holes[out] = np.nan
    after.values(holes, values)
    close(values[stay], expected[stay], np.abs(expected[stay]))
    assert not values[gone].any()
    full_jacobian = dense(before, (lowered.n_all_rows, n), z)
    inner = np.eye(len(out)) - full_jacobian[gone][:, out]
    slope = np.linalg.solve(inner, full_jacobian[gone][:, others])
    jacobian = full_jacobian[stay][:, others] + full_jacobian[stay][:, out] @ slope
    size = np.abs(full_jacobian[stay][:, others]) + np.abs(full_jacobian[stay][:, out]) @ np.abs(slope)
    found = dense(after, (lowered.n_all_rows, n), holes)
    assert not found[:, out].any() and not found[gone].any()
    close(found[stay][:, others], jacobian, size)
    lam = np.zeros(lowered.n_all_rows)
    lam[stay] = np.random.default_rng(seed).normal(size=len(stay))
    w = np.zeros(n)
    after.adjoint(holes, lam, w)
    close(w[others], lam[stay] @ jacobian, np.abs(lam[stay]) @ size)
    weights = lam.copy()
    weights[gone] = np.linalg.solve(inner.T, lam[stay] @ full_jacobian[stay][:, out])
    spread = np.zeros((n, len(others)))
    spread[others, np.arange(len(others))] = 1.0
    spread[out] = slope
    second = curvature(before, n, z, weights)
    close(curvature(after, n, holes, lam)[others][:, others], spread.T @ second @ spread,
          np.abs(spread).T @ np.abs(second) @ np.abs(spread) + (np.abs(lam[stay]) @ size).max(initial=0.0), 1e-10)


def unchanged(lowered, answer):
    """What row numbers and names rest on is the same object."""
    for name in ("state", "rows", "constraint_rows", "own", "source", "equations", "n_user", "n_user_rows", "symbols"):
        assert getattr(lowered, name) is getattr(answer, name)


def explicit(lowered):
    return np.flatnonzero(lowered.own >= 0)


@settings(quiet, max_examples=120)
@given(st.one_of(acyclic(), cyclic()), st.integers(0, 10**6), st.sampled_from([0.3, 0.8, 1.0]))
def test_drawn_programs(drawn, seed, share):
    at = drawn.program.evaluate()
    lowered, rng = at._plan.lowered, np.random.default_rng(seed)
    rows = explicit(lowered)
    rows = rows[rng.random(len(rows)) < share]
    answer, left = inlined(lowered, rows, LOOPS)
    unchanged(lowered, answer)
    assert np.isin(left, rows).all()
    with np.errstate(all="ignore"):
        slopes = ReferenceExecutor().run(lowered.all_groups).jacobian(at._solved.z)
    assume(np.isfinite(slopes).all())
    check(lowered, answer, left, rows, at._solved.z, seed=seed)


@settings(quiet, max_examples=8)
@given(acyclic(), st.integers(0, 10**6))
def test_drawn_programs_compiled(drawn, seed):
    at = drawn.program.evaluate()
    lowered = at._plan.lowered
    answer, left = inlined(lowered, explicit(lowered), LOOPS)
    check(lowered, answer, left, explicit(lowered), at._solved.z, executor_named("native"), seed)


# shapes that one knows beforehand ------------------------------------------------------------------------------


def everything_inlined(program, loops=LOOPS, names=None):
    """The program and its inlined form, the answer checked at a state that solves what was inlined."""
    lowered = lower(program)
    rows = explicit(lowered)
    if names is not None:
        rows = np.concatenate([np.arange(*lowered.rows.slices[name].indices(lowered.n_rows)[:2]) for name in names])
    answer, left = inlined(lowered, rows, loops)
    unchanged(lowered, answer)
    return lowered, answer, left, rows


def state_of(program, lowered):
    """Declared values, and explicit rows computed from them, one level after another."""
    z = np.zeros(lowered.state.size)
    for name, symbol in program.symbols.items():
        if symbol.value is not None:
            z[lowered.state.slices[name]] = np.ravel(symbol.value)
    rows, run = explicit(lowered), ReferenceExecutor().run(lowered.groups)
    for _ in range(len(rows) + 1):
        out = np.zeros(lowered.n_all_rows)
        with np.errstate(all="ignore"):  # what stands on what is not computed yet
            run.values(z, out)
        if np.array_equal(z[lowered.own[rows]], out[rows]):
            break
        z[lowered.own[rows]] = out[rows]
    return z


def largest_kernel(answer):
    return max(group.kernel.n_operations for group in answer.all_groups)


def size(lowered):
    return sum(group.size for group in lowered.all_groups)


def test_domke_is_one_kernel_with_its_shared_parts_once():
    from domke import model

    program = model()
    lowered, answer, left, rows = everything_inlined(program)
    assert not len(left)
    assert [str(g.kernel) for g in answer.groups] == []
    (group,) = answer.objective_groups
    assert group.kernel.n_operations == 6 and group.kernel.n_args == 1  # exp, square, add, exp, sin, add
    check(lowered, answer, left, rows, state_of(program, lowered))


def shared_chain(n):
    """y_{i+1} = sin(y_i)·y_i: as a tree 2^n leaves."""
    program = la.Program("chain")
    y = program.input("x", 0.7)
    for i in range(n):
        y = program.define(f"y{i}", np.sin(y) * y + 0.1)
    program.minimize(y**2)
    return program


def test_a_chain_of_shared_values_is_cut_into_pieces_of_few_kernels():
    program = shared_chain(1000)
    lowered, answer, left, rows = everything_inlined(program)
    assert largest_kernel(answer) <= SIZE_CAP
    assert 1000 * 3 // SIZE_CAP <= len(left) <= 2 * 1000 * 3 // SIZE_CAP
    assert sum(g.size * g.kernel.n_operations for g in answer.all_groups) <= 3 * 1000 + 1
    assert len({g.kernel for g in answer.all_groups}) <= 3
    program = shared_chain(40)
    lowered, answer, left, rows = everything_inlined(program)
    check(lowered, answer, left, rows, state_of(program, lowered))


def test_cycles_among_the_rows_stay():
    program = la.Program("cycle")
    x = program.input("x", 0.3)
    before = program.define("before", np.sin(x))
    a, b = program.variable("a", start=0.0), program.variable("b", start=0.0)
    program.equate(a, 0.3 * np.cos(b) + before)
    program.equate(b, 0.3 * np.sin(a))
    after = program.define("after", a * b)
    own = program.variable("own", start=0.0)
    program.equate(own, 0.2 * np.sin(own) + after)
    program.minimize(own + after)
    lowered, answer, left, rows = everything_inlined(program)
    assert [lowered.row_name(row) for row in left] == ["a", "b", "own"]
    check(lowered, answer, left, rows, program.evaluate()._solved.z)
    _, answer, left, rows = everything_inlined(program, names=["b", "after"])  # b alone is on no cycle of these rows
    assert not len(left)
    check(lowered, answer, left, rows, program.evaluate()._solved.z)


def grid_case():
    from matpower import read
    from power_flow import CASE, flows

    return read(CASE), flows


def power_balance(named, scalar=False):
    """Flows out of every bus, injections given; limits of apparent power. ``named``: flows are variables."""
    grid, flows = grid_case()
    n, m = grid.n_bus, grid.n_branch
    program = la.Program("balance")
    v, angle = program.variable("v", n, start=1.02), program.variable("angle", n, start=np.linspace(0.0, -0.2, n))
    p, q = program.input("p", np.zeros(n)), program.input("q", np.zeros(n))
    values = flows(grid, v, angle)
    names = ["p_start", "q_start", "p_end", "q_end"]
    if named and scalar:
        values = [np.stack([program.define(f"{name}_{i}", value[i]) for i in range(m)])
                  for name, value in zip(names, values, strict=True)]
    elif named:
        values = [program.define(name, value) for name, value in zip(names, values, strict=True)]
    for i, (injected, shunt) in enumerate(((p, grid.g_shunt), (q, -grid.b_shunt))):
        out = (np.bincount(grid.start, weights=values[i], minlength=n)
               + np.bincount(grid.end, weights=values[2 + i], minlength=n))
        program.equate(injected, out + shunt * v**2, name=f"balance_{i}", for_=v if i == 0 else angle)
    program.subject_to(values[0] ** 2 + values[1] ** 2 <= 4.0, name="limit")
    program.minimize(np.sum(values[0] + values[2]))
    return program


def pairs(i, j):
    """The set of the positions of a pattern; both programs have the voltages and injections first in the state."""
    return set(zip(i.tolist(), j.tolist(), strict=True))


@pytest.mark.parametrize("scalar", [False, True])
def test_power_balance_with_named_flows_is_that_with_flows_written_out(scalar):
    named, plain = power_balance(True, scalar), power_balance(False)
    lowered, answer, left, rows = everything_inlined(named)
    assert not len(left)
    check(lowered, answer, left, rows, state_of(named, lowered), default_executor())
    written = lower(plain)
    assert not len(explicit(written))
    run, expected = (ReferenceExecutor().run(x.all_groups) for x in (answer, written))
    place = np.full(lowered.n_all_rows, -1)
    place[np.setdiff1d(np.arange(lowered.n_all_rows), rows)] = np.arange(written.n_all_rows)
    i, j = run.jacobian_pattern()
    assert pairs(place[i], j) == pairs(*expected.jacobian_pattern())
    assert pairs(*run.hessian_pattern()) == pairs(*expected.hessian_pattern())


def test_sums_move_to_the_rows_that_use_them():
    program, rng = la.Program("sums"), np.random.default_rng(3)
    x = program.input("x", rng.normal(size=400))
    weights = rng.normal(size=(3, 400))
    s = program.define("s", np.sum(np.sin(x)))
    t = program.define("t", 3.0 - 2.0 * s + np.sum(x[:50] ** 2))
    u = program.define("u", weights @ x)
    v = program.variable("v", 3, start=0.0)
    program.equate(v + v**3, u * np.array([1.0, -1.0, 0.5]), name="e")
    w = program.define("w", np.sum(x[10:30] * x[30:50]))
    program.subject_to(w - v[0] <= 2.0, name="g")
    program.minimize(0.25 * t + w + v[1])
    lowered, answer, left, rows = everything_inlined(program)
    assert not len(left)
    assert size(answer) <= size(lowered) + 20  # w is used twice, the others once
    assert largest_kernel(answer) <= 5
    check(lowered, answer, left, rows, state_of(program, lowered), default_executor())


def test_a_long_sum_in_a_function_stays_and_a_short_one_does_not():
    for n, stays in ((100_000, True), (5, False)):
        program = la.Program("sums")
        x = program.input("x", np.linspace(-1.0, 1.0, n))
        s = program.define("s", np.sum(x**3) / n)
        y = program.define("y", np.exp(s))
        program.minimize(y * s)
        lowered, answer, left, rows = everything_inlined(program)
        assert (lowered.rows.slices["s"].start in left) == stays
        assert lowered.rows.slices["y"].start not in left
        if not stays:
            check(lowered, answer, left, rows, state_of(program, lowered))


def test_what_many_read_is_inlined_where_it_is_cheap():
    program = la.Program("shared")
    x, u = program.input("x", np.linspace(0.1, 1.0, 10)), program.input("u", np.linspace(0.0, 1.0, 5000))
    cheap = program.define("cheap", 2.0 * x[0])
    once = np.exp(np.sin(x[1]) * np.cos(x[1]) + x[1] ** 2 + np.tanh(x[1]) / 3)
    dear = program.define("dear", np.sqrt(1.0 + np.log(once) ** 2 * np.sin(once) + np.cos(np.cos(once)) / 3 - once))
    wide = program.define("wide", x[0] * x[1] * x[2] * x[3] * x[4] * x[5])
    program.minimize(np.sum(np.cos(u * cheap) + (u + dear) ** 2 + np.sin(u) * wide))
    lowered, answer, left, _ = everything_inlined(program)
    assert [lowered.row_name(row) for row in left] == ["dear", "wide"]
    work = [sum(g.size * g.kernel.n_operations for g in x.all_groups) for x in (lowered, answer)]
    assert work[1] <= 3 * work[0]


def test_large_products_and_users_functions_are_left_alone():
    program, rng = la.Program("products"), np.random.default_rng(5)
    x = program.input("x", rng.normal(size=100))
    h = program.define("h", np.tanh(x))
    y = program.define("y", rng.normal(size=(100, 100)) @ h)
    f = la.external(lambda a: a**3, elementwise=True)
    z = program.define("z", f(np.sin(y)))
    program.minimize(np.sum(z * z))
    lowered, answer, left, rows = everything_inlined(program)
    names = {lowered.row_name(row).partition("[")[0] for row in left}
    assert {"h", "y"} <= names
    assert [g for g in lowered.groups if g.size >= 10_000] == [g for g in answer.groups if g.size >= 10_000]
    check(lowered, answer, left, rows, program.evaluate()._solved.z)


def drawn_network(n, seed=0):
    """Each value is of two drawn earlier ones: hardly two that have the same history."""
    program, rng = la.Program("network"), np.random.default_rng(seed)
    values = [*program.input("x", np.linspace(0.2, 1.0, 8))]
    for i in range(n):
        a, b = (values[k] for k in rng.integers(max(0, len(values) - 30), len(values), 2))
        values.append(program.define(f"y{i}", float(rng.normal()) * np.sin(a) + np.cos(b)))
    program.minimize(values[-1] + values[-2])
    return program


def test_irregular_programs_do_not_get_a_kernel_for_every_instance():
    program = drawn_network(60)
    lowered, answer, left, rows = everything_inlined(program)
    assert len(left) < 60
    check(lowered, answer, left, rows, state_of(program, lowered))
    lowered, answer, left, rows = everything_inlined(drawn_network(3000))
    assert len({g.kernel for g in answer.all_groups}) <= MOST_KERNELS + 2 * len(lowered.all_groups)
    assert largest_kernel(answer) <= SIZE_CAP


def test_arguments_that_coincide_here_and_there():
    """Where two operands share what they are made of in some instances, and in others not."""
    program, rng = la.Program("coincidences"), np.random.default_rng(8)
    x = program.input("x", rng.uniform(0.5, 1.5, 6))
    a = program.define("a", np.exp(x[[0, 1, 2, 3]]) * x[[1, 1, 2, 0]])
    b = program.define("b", np.log(a[[0, 1, 1, 2, 3, 0]]) + a[[0, 1, 2, 3, 3, 1]] ** 2)
    c = program.define("c", np.sin(b[[0, 1, 2, 3, 4]] * b[[1, 1, 3, 0, 5]]) / b[[0, 2, 4, 1, 3]])
    program.minimize(np.sum(c * c[::-1]))
    lowered, answer, left, rows = everything_inlined(program)
    assert len(left) < len(rows) // 2 and largest_kernel(answer) <= SIZE_CAP
    check(lowered, answer, left, rows, state_of(program, lowered), default_executor())


@pytest.mark.parametrize("used, stays", [
    (lambda s, x: [np.rint(s) + s], True),  # the slope is 1, and it is not linear
    (lambda s, x: [s + x[0], np.exp(s)], True),
    (lambda s, x: [s + x[0], s - x[0], np.exp(s)], True),
    (lambda s, x: [np.exp(s - x[0])], True),
    (lambda s, x: [s * x[0]], True),
    (lambda s, x: [x[0] - s, s / 4.0 + x[1]], False),
    (lambda s, x: [s + k * x[0] for k in range(FEW)], False),
    (lambda s, x: [s + k * x[0] for k in range(FEW + 1)], True),
])  # fmt: skip
def test_a_sum_goes_where_every_use_is_a_summand(used, stays):
    program = la.Program("sum")
    x = program.input("x", np.linspace(-1.0, 1.0, 30))
    s = program.define("s", np.sum(np.sin(x)))
    for i, row in enumerate(used(s, x)):
        program.subject_to(row <= 9.0, name=f"g{i}")
    lowered, answer, left, rows = everything_inlined(program)
    assert len(left) == stays
    check(lowered, answer, left, rows, state_of(program, lowered))


def test_sums_within_sums_that_are_used_twice():
    program = la.Program("sums")
    x = program.input("x", np.linspace(-1.0, 1.0, 30))
    inner = program.define("inner", np.sum(np.sin(x)))
    outer = program.define("outer", np.sum(x**2) - 3.0 * inner)
    program.subject_to(outer + x[0] <= 9.0, name="g0")
    program.subject_to(outer - x[1] <= 9.0, name="g1")
    read = program.define("read", np.sum(np.cos(x)))  # by two that stay no rows
    first, second = program.define("first", read + x[0]), program.define("second", x[1] - read)
    program.minimize(np.exp(first) * second)
    lowered, answer, left, rows = everything_inlined(program)
    assert [lowered.row_name(row) for row in left] == ["outer", "read"]
    check(lowered, answer, left, rows, state_of(program, lowered))


def test_places_that_coincide_part_instances_of_one_form():
    program = la.Program("coincidences")
    x = program.input("x", np.linspace(0.5, 1.5, 8))
    once = np.sin(np.exp(x) * np.cos(x)) + np.tanh(x * x)
    a = program.define("a", np.sqrt(once * once + np.log(once + 3.0) ** 2 + np.cos(once)))
    p, q, r = [0, 0, 2, 2, 4, 4], [0, 1, 2, 3, 4, 5], [1, 1, 3, 3, 5, 5]  # two of three are the same
    program.minimize(np.sum(np.sin(a[p] * a[q] * a[r])))
    lowered, answer, left, rows = everything_inlined(program)
    assert not len(left) and largest_kernel(answer) <= SIZE_CAP
    assert len(answer.objective_groups) == 2
    check(lowered, answer, left, rows, state_of(program, lowered))


def test_boxes_stay_boxes():
    program = la.Program("boxes")
    x, y = program.input("x", np.linspace(0.1, 1.0, 30)), program.input("y", np.linspace(0.2, 0.9, 40))
    a, b = program.define("a", np.sin(x)), program.define("b", y**2)
    d = program.define("d", a[:, None] - b[None, :])
    program.minimize(np.sum(np.exp(-d * d)))
    lowered, answer, left, rows = everything_inlined(program)
    assert not len(left)
    (group,) = answer.all_groups
    assert group.shape == (30, 40) and all(arg.table is None for arg in group.args)
    check(lowered, answer, left, rows, state_of(program, lowered))


def test_what_nobody_reads_goes_and_nothing_to_do_changes_nothing():
    program = la.Program("unread")
    x = program.input("x", np.linspace(0.0, 1.0, 20))
    s = program.define("s", np.sum(x))
    program.define("t", s**2)
    y = program.define("y", x[0] * 2.0)
    program.minimize(y)
    lowered, answer, left, _ = everything_inlined(program)
    assert not len(left) and not answer.groups
    answer, left = inlined(lowered, np.empty(0, np.int64))
    assert not len(left) and answer.all_groups == lowered.all_groups
    empty = lower(la.Program("empty"))
    assert inlined(empty, np.empty(0, np.int64))[0].all_groups == ()


def test_rows_without_an_element_are_refused():
    program = la.Program("implicit")
    x = program.input("x", 1.0)
    y = program.variable("y", start=0.0)
    program.equate(y + np.sin(y), x, name="kepler")
    with pytest.raises(ValueError, match="'kepler' is not explicit"):
        inlined(lower(program), np.array([0]))


def test_many_scalar_equations_become_few_kernels():
    """Forms declared one by one, 10^5 in all, by array operations: the answer has as many instances as chains."""
    program, n = la.Program("scalars"), 100_000
    x = program.input("x", np.linspace(0.1, 1.0, 100))
    total = 0.0
    for i in range(n // 5):
        a = program.define(f"a{i}", np.exp(x[i % 100]))
        b = program.define(f"b{i}", a**2)
        c = program.define(f"c{i}", a + b)
        d = program.define(f"d{i}", np.exp(c))
        total = total + program.define(f"e{i}", np.sin(c) * d)
    program.minimize(total)
    lowered, answer, left, _ = everything_inlined(program)
    assert not len(left) and not answer.groups
    assert size(answer) <= n // 5 + 1 and largest_kernel(answer) <= 7
    values = np.zeros(lowered.n_all_rows)
    z = np.full(lowered.state.size, np.nan)
    z[:100] = x = np.linspace(0.1, 1.0, 100)
    ReferenceExecutor().run(answer.all_groups).values(z, values)
    u = np.exp(x) + np.exp(2 * x)
    np.testing.assert_allclose(values[lowered.objective_row], n / 500 * np.sum(np.sin(u) * np.exp(u)), rtol=1e-12)


@pytest.mark.parametrize("n", [50, 3000])
def test_loops_in_python_choose_the_same(n):
    lowered = lower(drawn_network(n, 4))
    compiled, plain = (inlined(lowered, explicit(lowered), loops)[1] for loops in (LOOPS, in_python))
    np.testing.assert_array_equal(compiled, plain)
