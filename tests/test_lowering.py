"""The shapes of lowered programs: which groups, which maps, which auxiliaries; and what must not grow."""

import time

import numpy as np
import pytest
from scipy import sparse

from lagrange_ad import Program
from lagrange_ad.lowering import grouping, lower
from lagrange_ad.lowering.cuts import SIZE_CAP
from lagrange_ad.lowering.grouping import IndexMap
from lagrange_ad.lowering.kernel import Builder, intern_kernel


@pytest.fixture
def large(monkeypatch):
    """Groups of any size keep their box, so that small examples show what large ones do."""
    monkeypatch.setattr(grouping, "SMALL_BOX", 1)


def _program(*shapes):
    p = Program("lowered")
    rng = np.random.default_rng(0)
    return p, *(p.input(f"x{i}", rng.uniform(0.5, 1.5, shape)) for i, shape in enumerate(shapes))


def _only(groups):
    (group,) = groups
    return group


def _hidden(lowered):
    return len(lowered.rows.names) - len(lowered.equations)


# one array equation, one group -----------------------------------------------------------------------------


def test_an_array_equation_is_one_group_of_affine_maps(large):
    p, x, u = _program(20, 20)
    p.define("y", np.sin(x) * u + 3.0)
    lowered = lower(p)
    group = _only(lowered.groups)
    assert group.shape == (20,)
    assert [m.strides for m in group.args] == [(1,), (1,)]
    assert [m.offset for m in group.args] == [0, 20]
    assert (group.row.offset, group.row.strides) == (0, (1,))
    assert _hidden(lowered) == 0


def test_a_reduction_is_one_group_whose_row_stands_still(large):
    p, x, u = _program(200, 300)
    p.define("y", np.sum(np.sin(x[:, None] - u)))
    group = _only(lower(p).groups)
    assert group.shape == (200, 300)
    assert group.row.strides == (0, 0)
    assert group.row.table is None
    assert all(m.table is None for m in group.args)
    assert sorted(m.strides for m in group.args) == [(0, 1), (1, 0)]
    assert all(not any(c.strides) for c in group.coefs)


def test_a_huge_reduction_is_lowered_without_anything_of_its_size():
    p, x, u = _program(100_000, 100_000)
    p.minimize(np.sum((x[:, None] - u) ** 2))
    group = _only(lower(p).objective_groups)
    assert group.size == 10**10
    assert group.row.strides == (0, 0)


def test_a_sparse_constant_matrix_times_a_variable_is_c_times_z(large):
    p, x = _program(30)
    matrix = sparse.random_array((40, 30), density=0.1, rng=np.random.default_rng(0)).tocoo()
    p.define("y", matrix @ x)
    group = _only(lower(p).groups)
    assert group.size == matrix.nnz
    assert group.kernel.is_product()
    dense = np.zeros((40, 30))
    dense[group.row.array(), group.args[0].array()] += group.coefs[0]
    np.testing.assert_allclose(dense, matrix.toarray())


def test_a_dense_matrix_of_zeros_is_taken_as_sparse(large):
    p, x = _program(30)
    p.define("y", np.eye(30) @ x)
    assert _only(lower(p).groups).size == 30


def test_a_matrix_product_is_one_box_of_affine_maps(large):
    p, a, b = _program((4, 5), (5, 6))
    p.define("y", a @ b)
    group = _only(lower(p).groups)
    assert group.kernel.is_product()
    assert group.size == 4 * 5 * 6
    assert all(m.table is None for m in (*group.args, group.row))
    assert 0 in group.row.strides


@pytest.mark.parametrize("body", [
    lambda x: x.T * 2, lambda x: np.reshape(x, (6, 4)) ** 2, lambda x: x[1:, ::-1] + 1, lambda x: np.ravel(x) * 2,
    lambda x: np.sin(np.broadcast_to(x, (3, 4, 6))), lambda x: np.exp(x[:, None, 2:]), lambda x: np.flip(x) * 3,
    lambda x: np.moveaxis(x, 0, 1) * 2, lambda x: np.sqrt(x[2]), lambda x: np.diagonal(x) * x[0, 0],
])  # fmt: skip
def test_rearrangements_are_affine(body, large):
    p, x = _program((4, 6))
    p.define("y", body(x))
    assert all(m.table is None for group in lower(p).groups for m in (*group.args, group.row))


def test_gathers_are_tables(large):
    p, x = _program(9)
    index = np.array([3, 1, 4, 1, 5])
    p.define("y", np.sin(x[index]))
    group = _only(lower(p).groups)
    np.testing.assert_array_equal(group.args[0].table, index)


def test_a_concatenation_of_symbols_inside_a_function_is_a_table(large):
    p, x, u = _program(4, 5)
    p.define("y", np.sin(np.concatenate([x[1:], u])))
    lowered = lower(p)
    np.testing.assert_array_equal(_only(lowered.groups).args[0].array(), np.arange(1, 9))
    assert _hidden(lowered) == 0


def test_a_concatenation_of_expressions_is_a_group_a_piece(large):
    p, x, u = _program(4, 5)
    p.define("y", np.concatenate([np.sin(x), np.exp(u), [1.0, 2.0]]))
    lowered = lower(p)
    assert [group.row.range() for group in lowered.groups] == [(0, 3), (4, 8), (9, 10)]
    assert _hidden(lowered) == 0


def test_a_scatter_is_a_table_of_rows(large):
    p, x = _program(5)
    index = np.array([0, 2, 2, 0, 1])
    p.define("y", np.bincount(index, weights=x**2, minlength=4))
    np.testing.assert_array_equal(_only(lower(p).groups).row.array(), index)


def test_an_array_equation_of_a_scalar_right_side_is_spread():
    """A scalar sum on the right of an array equation becomes an auxiliary before the layout is made."""
    p, x = _program(5)
    y = p.variable("y", shape=(3,))
    p.equate(y, np.sum(x**2) + np.sum(np.sin(x)))
    p.minimize(np.sum(y))
    at = p.evaluate()
    value = x.data.value
    np.testing.assert_allclose(at["y"], np.full(3, np.sum(value**2) + np.sum(np.sin(value))))
    np.testing.assert_allclose(at.gradient["x0"], 3 * (2 * value + np.cos(value)))


def _flow(v, th, i, j, g, b):
    return v[i] * v[j] * (g * np.cos(th[i] - th[j]) + b * np.sin(th[i] - th[j])) - g * v[i] ** 2


@pytest.mark.parametrize("box", [1, 256])
def test_arguments_that_stand_at_the_same_positions_are_one(box, monkeypatch):
    """v[i] thrice, th[i] and th[j] twice: four arguments and one difference, in arrays as in a loop."""
    monkeypatch.setattr(grouping, "SMALL_BOX", box)
    rng = np.random.default_rng(1)
    ends, g, b = rng.integers(0, 9, (2, 20)), rng.uniform(0.5, 1.5, 20), rng.uniform(0.5, 1.5, 20)
    kernels, gradients = [], []
    for loop in (False, True):
        p, v, th = _program(9, 9)
        if loop:
            f = [p.define(f"f{k}", _flow(v, th, *ends[:, k], g[k], b[k])) for k in range(20)]
            p.minimize(sum(t**2 for t in f))
        else:
            p.minimize(np.sum(p.define("f", _flow(v, th, *ends, g, b)) ** 2))
        kernels.append(_only(lower(p).groups).kernel)
        gradients.append(np.concatenate([p.evaluate().gradient[name] for name in ("x0", "x1")]))
    assert kernels[0] is kernels[1]
    assert kernels[0].n_args == 4
    assert [node[0] for node in kernels[0].nodes].count("subtract") == 2
    np.testing.assert_allclose(*gradients, rtol=1e-12, atol=1e-13)


def test_maps_of_repeated_memory_are_compared_without_their_size():
    """x[i] twice in a box of 10^10: the positions that broadcasting repeats are looked at once."""
    p, x, u = _program(100_000, 100_000)
    i = np.arange(100_000)[::-1] // 2
    p.minimize(np.sum(np.sin(x[i][:, None] - u) * np.cos(x[i][:, None] - u)))
    group = _only(lower(p).objective_groups)
    assert group.size == 10**10
    assert group.kernel.n_args == 2


# many small equations, few groups --------------------------------------------------------------------------


def test_equations_of_equal_form_are_instances_of_one_group():
    p, x = _program(1000)
    y = x[0]
    for i in range(1, 1000):
        y = p.define(f"y{i}", np.sin(y) * (0.5 + i) + x[i])
    lowered = lower(p)
    group = _only(lowered.groups)
    assert group.size == 999
    np.testing.assert_allclose(group.coefs[0] + sum(c[0] * 0 for c in group.coefs), 0.5 + np.arange(1, 1000))
    assert _hidden(lowered) == 0


def test_small_arrays_join_too():
    p, x = _program((50, 3))
    for i in range(50):
        p.define(f"y{i}", np.exp(x[i]) * 2.0)
    assert _only(lower(p).groups).size == 150


def test_equal_coefficients_are_one_broadcast_number():
    p, x = _program(300)
    for i in range(300):
        p.define(f"y{i}", x[i] * 0.25 + 1.5)
    for coefficients in _only(lower(p).groups).coefs:
        assert coefficients.strides == (0,)


def test_different_literal_exponents_are_different_kernels():
    """An exponent belongs to the form: x**2 has another derivative than x**0.5."""
    p, x = _program(4)
    for i, n in enumerate((2, 3, 0.5, 1.7)):
        p.define(f"y{i}", x[i] ** n)
    assert len(lower(p).groups) == 4


def test_a_long_sum_is_flattened_into_few_groups_with_a_sparse_hessian():
    p, x = _program(1001)
    total = 0.0
    for i in range(1000):
        total = total + np.sin(x[i] * x[i + 1]) * (i + 1.0)
    p.minimize(total)
    lowered = lower(p)
    assert len(lowered.objective_groups) <= 3
    assert _hidden(lowered) == 0
    i, j = p.schedule.objective.hessian_pattern()
    pairs = set(zip(i.tolist(), j.tolist(), strict=True))
    assert pairs <= {(k, k) for k in range(1001)} | {(k + 1, k) for k in range(1000)}
    assert len(i) <= 3 * 1000


def test_signs_and_factors_go_through_sums():
    p, x, u = _program(30, 30)
    p.define("y", 2.0 * (np.sum(x) - (np.sum(u**2) - x[0]) / 4.0) - 3.0)
    lowered = lower(p)
    assert _hidden(lowered) == 0
    a, b = x.data.value, u.data.value
    np.testing.assert_allclose(p.evaluate()["y"], 2 * (a.sum() - ((b**2).sum() - a[0]) / 4) - 3)


def test_constraints_and_objective_have_rows_of_their_own():
    p, x = _program(6)
    y = p.define("y", x**2)
    p.minimize(np.sum(y))
    p.subject_to(y[1:] - y[:-1], upper=1.0, name="step")
    lowered = lower(p)
    assert (lowered.n_rows, lowered.objective_row, lowered.n_all_rows) == (6, 6, 12)
    assert {int(r) for g in lowered.objective_groups for r in np.unique(g.row.array())} == {6}
    assert {int(r) for g in lowered.constraint_groups for r in np.unique(g.row.array())} == set(range(7, 12))


# auxiliaries -----------------------------------------------------------------------------------------------


def _with_auxiliaries():
    p = Program("softened")
    x = p.input("x", np.linspace(0.1, 1.0, 7))
    y = p.variable("y", start=0.1)
    p.equate(y, 0.1 * np.exp(np.sum(np.cos(x * y))) / 9)
    z = p.define("z", np.log(np.sum(np.exp(x))) + x @ np.outer(x, x) @ x + y)
    p.minimize(np.sqrt(np.sum(x**2) + z**2))
    p.subject_to(np.exp(np.mean(x)) <= 3.0, name="mean")
    return p


def test_a_function_of_a_reduction_makes_an_auxiliary():
    p, x = _program(7)
    p.define("y", np.exp(np.sum(x)))
    lowered = lower(p)
    assert _hidden(lowered) == 1
    assert lowered.n_rows == lowered.n_user_rows + 1
    np.testing.assert_array_equal(lowered.own[lowered.n_user_rows :], [lowered.n_user])


def test_auxiliaries_have_no_public_name():
    p = _with_auxiliaries()
    assert _hidden(lower(p)) >= 5
    at = p.evaluate()
    assert set(at.multiplier) == {"y", "z"}
    assert set(at.gradient) == {"x"}
    assert set(at.values) == {"x", "y", "z"}
    assert set(at.residual) == {"y", "z"}
    assert set(p.graph) == {"x", "y", "z"}
    for text in (str(at), repr(at), at.explain("y"), at.explain("x"), str(p.graph.nodes(data=True)), p.summary(),
                 *(name for b in at.blocks for name in (*b.unknowns, *b.equations))):
        assert "auxiliary" not in text, text


def test_auxiliaries_in_a_schedule_read_as_their_equation():
    text = str(_with_auxiliaries().schedule)
    assert "auxiliary " not in text.replace("with 1 auxiliary", "")
    assert "y" in text and "z" in text


def test_a_shared_part_is_one_auxiliary():
    p, x = _program(50)
    s = np.sum(x**2)
    for i in range(20):
        p.define(f"y{i}", np.sqrt(s) * (i + 1.0))
    assert _hidden(lower(p)) == 1


def test_a_broadcast_part_is_computed_once():
    p, x, u = _program(3, 100)
    p.define("y", np.exp(np.sin(x))[:, None] * u)
    lowered = lower(p)
    assert _hidden(lowered) == 1
    assert lowered.n_rows - lowered.n_user_rows == 3


# growth ----------------------------------------------------------------------------------------------------


def _operations(group):
    return sum(node[0] not in ("arg", "coef", "const") for node in group.kernel.nodes)


def test_the_size_cap_holds_for_a_huge_expression():
    p, x = _program(400)
    rng = np.random.default_rng(0)
    e = x[0]
    for i in range(1, 400):
        e = [e * x[i], np.sin(e) / x[i], np.exp(-e) + x[i], np.sqrt(e * e + x[i]), e - x[i] * e][rng.integers(5)]
    p.define("y", e)
    p.minimize(p["y"])
    lowered = lower(p)
    assert _hidden(lowered) > 5
    assert max(map(_operations, lowered.groups)) <= SIZE_CAP + 2
    at = p.evaluate()
    values = {"x0": x.data.value.astype(complex)}
    from lagrange_ad.expression import evaluate

    values["x0"][7] += 1e-30j
    expected = complex(evaluate(e, values))
    np.testing.assert_allclose(at["y"], expected.real, rtol=1e-12)
    np.testing.assert_allclose(at.gradient["x0"][7], expected.imag / 1e-30, rtol=1e-9, atol=1e-12)


def test_a_chain_of_100_000_sums():
    p, x = _program(100)
    e = x[0]
    for i in range(100_000):
        e = e + x[i % 100]
    p.define("y", e)
    p.minimize(p["y"])
    at = p.evaluate()
    value = x.data.value
    np.testing.assert_allclose(at["y"], value[0] + 1000 * value.sum(), rtol=1e-11)
    np.testing.assert_allclose(at.gradient["x0"], 1000.0 + (np.arange(100) == 0))


def test_10_000_nested_functions():
    p, x = _program(())
    e = x
    for _ in range(10_000):
        e = np.sin(e)
    p.define("y", e)
    p.minimize(p["y"])
    at = p.evaluate()
    y, slope = float(x.data.value), 1.0
    for _ in range(10_000):
        slope *= np.cos(y)
        y = np.sin(y)
    np.testing.assert_allclose([at["y"], at.gradient["x0"]], [y, slope], rtol=1e-9)
    groups = lower(p).groups
    assert len(groups) <= 3, "equal pieces of a nest are instances of one group"


@pytest.mark.parametrize("double, value, slope", [
    (lambda e: e * e, 1.0, 2.0**40),
    (lambda e: e + e, 2.0**40, 2.0**40),
    (lambda e: np.sin(e) * np.cos(e) + e, None, None),
    (lambda e: e - 0.5 * e * e, None, None),
    (lambda e: 2.0 * (e + np.sum(e)), 4.0**40, 4.0**40),
], ids=["e·e", "e + e", "sin·cos", "e - e²/2", "2·(e + e)"])  # fmt: skip
def test_a_shared_node_is_not_expanded(double, value, slope):
    p = Program("shared")
    x = p.input("x", 1.0)
    e = x
    for _ in range(40):
        e = double(e)
    p.define("y", e)
    p.minimize(p["y"])
    started = time.perf_counter()
    lowered = lower(p)
    assert sum(group.size * len(group.kernel.nodes) for group in lowered.groups) < 5000
    at = p.evaluate()
    assert time.perf_counter() - started < 20, "the shared node was expanded"
    if value is not None:
        np.testing.assert_allclose([at["y"], at.gradient["x"]], [value, slope])


def test_a_shared_long_sum_is_made_once():
    """A sum of 500 terms used by 500 equations: one auxiliary, not 250 000 terms."""
    p, x = _program(500)
    total = sum(np.sin(x[i]) for i in range(500))
    for i in range(500):
        p.define(f"y{i}", total + x[i] ** 2)
    p.minimize(p["y3"])
    lowered = lower(p)
    assert sum(group.size for group in lowered.groups) < 3000
    value = x.data.value
    at = p.evaluate()
    np.testing.assert_allclose(at["y7"], np.sin(value).sum() + value[7] ** 2)
    np.testing.assert_allclose(at.gradient["x0"], np.cos(value) + 2 * value * (np.arange(500) == 3))


# kernels ---------------------------------------------------------------------------------------------------


def _kernel(build):
    b = Builder()
    return b.finish([build(b, b.raw(("arg", 0)), b.raw(("arg", 1)))])


def test_equal_kernels_are_one_object():
    one = _kernel(lambda b, x, y: b.make("multiply", b.make("sin", x), y))
    other = _kernel(lambda b, x, y: b.make("multiply", b.make("sin", x), y))
    assert one is other
    assert intern_kernel(one.nodes, one.outputs) is one


def test_partials_of_a_kernel_share_its_nodes():
    kernel = _kernel(lambda b, x, y: b.make("multiply", b.make("exp", x), y))
    assert [node[0] for node in kernel.partials.nodes] == ["arg", "arg", "exp", "multiply"]
    assert kernel.partials.outputs == (3, 2)
    second, pairs = kernel.second_partials
    assert pairs == ((0, 0), (1, 0))
    assert len(second.outputs) == 2


def test_derivatives_of_a_linear_kernel_are_constants():
    kernel = _kernel(lambda b, x, y: b.make("subtract", x, y))
    assert [kernel.partials.nodes[i] for i in kernel.partials.outputs] == [("const", 1.0), ("const", -1.0)]
    assert kernel.second_partials[1] == ()


def test_a_separable_kernel_has_no_mixed_second_partials():
    kernel = _kernel(lambda b, x, y: b.make("add", b.make("sin", x), b.make("exp", y)))
    assert kernel.second_partials[1] == ((0, 0), (1, 1))


def test_a_derivative_costs_a_small_multiple_of_its_kernel():
    """Reverse mode: the partials of a product of many arguments cost a constant times the product (Griewank)."""
    b = Builder()
    args = [b.raw(("arg", j)) for j in range(30)]
    product = args[0]
    for a in args[1:]:
        product = b.make("multiply", product, a)
    kernel = b.finish([product])
    assert len(kernel.partials.nodes) <= 4 * len(kernel.nodes)


def test_kernels_are_unpickled_to_the_same_object():
    import pickle

    kernel = _kernel(lambda b, x, y: b.make("hypot", x, y))
    assert pickle.loads(pickle.dumps(kernel)) is kernel


def test_index_maps_of_repeated_memory_look_at_one_element():
    wide = np.broadcast_to(np.int64(3), (10**6, 10**6))
    made = IndexMap.of(wide)
    assert (made.offset, made.strides) == (3, (0, 0))
