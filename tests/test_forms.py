"""Equations kept by form: what is read is what is made again, loops give one form, and lowering takes it whole."""

import pickle
import tracemalloc

import numpy as np
import pytest

import lagrange_ad as la
from lagrange_ad.elementary import TABLE
from lagrange_ad.expression import elementwise, evaluate
from lagrange_ad.forms import MOST_OPERATIONS, REPEATED, Form, PackedEquations, Sides, read
from lagrange_ad.lowering import lower
from lagrange_ad.printing import to_text


def _program():
    p = la.Program("forms")
    return p, p.input("x", np.linspace(0.2, 0.8, 6)), p.input("y", 0.7)


def _again(p, *roots):
    reading = read(roots)
    return Form(reading.tokens).expressions([p.node_at(i) for i in reading.args], reading.coefs)


# reading -----------------------------------------------------------------------------------------------------


BODIES = {
    "leaves": lambda x, y: x[3],
    "number": lambda x, y: y * 0.0 + 2.5,
    "operators": lambda x, y: -(x[1] + y) * 3.0 / (x[2] - 1.5) - x[0],
    "powers": lambda x, y: x[1] ** 2 + y**0.5 + 2.0**y + x[2] ** y + (y**3) ** -1,
    "choice": lambda x, y: np.where((x[0] > y) & (y < 1.0), np.minimum(x[0], y), np.abs(x[1])),
    "condition as a number": lambda x, y: (x[0] > y) * 2.0 + y,
    "shared": lambda x, y: (s := np.exp(x[0] * y)) * s + np.sin(s),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_what_was_read_is_made_again(body):
    p, x, y = _program()
    root = body(x, y)
    (again,) = _again(p, root)
    values = {s.name: s.value for s in p.symbols.values()}
    assert again is not root or root.op == "view"
    assert to_text(again) == to_text(root)
    assert evaluate(again, values) == evaluate(root, values)


@pytest.mark.parametrize("name", TABLE)
def test_every_function_has_a_form_and_its_reader(name):
    _p, x, y = _program()
    nodes = [y < x[0]] if name == "where" else []
    operands = [*nodes, *(x[i] * (i + 1.0) for i in range(TABLE[name].arity - len(nodes)))]
    operands[: TABLE[name].fixed] = [2.0] * TABLE[name].fixed
    if name.startswith("logical"):
        operands = [node > 0.5 for node in operands]
    root = elementwise(name, *operands)
    reading = read([root])
    assert Form(reading.tokens).reader(root) == (tuple(reading.args), tuple(reading.coefs))


@pytest.mark.parametrize("other", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_reader_takes_its_form_only(body, other):
    _p, x, y = _program()
    reading, found = read([body(x, y)]), read([other(x, y)])
    reader = Form(reading.tokens).reader
    if body is BODIES["shared"]:
        assert reader is None
    else:
        same = reading.tokens == found.tokens
        assert reader(other(x, y)) == ((tuple(found.args), tuple(found.coefs)) if same else None)


def test_a_reader_tells_exponents_and_rearrangements_apart():
    _p, x, y = _program()
    reader = Form(read([x[0] ** 2 * 3.0]).tokens).reader
    assert reader(y**2 * 4.0) == ((6,), (4.0,))
    others = (y**3 * 4.0, y**y * 4.0, y**2 * y, x[-1] ** 2 * 3.0, np.sum(x) ** 2 * 3.0, 3.0 * y**2)
    assert [reader(other) for other in others] == [None] * len(others)


def test_a_shared_operation_is_read_once():
    _p, _x, y = _program()
    s = np.exp(2.0 * y)
    assert len(read([s * s + s]).coefs) == 1
    assert len(read([np.exp(2.0 * y) * np.exp(2.0 * y)]).coefs) == 2


@pytest.mark.parametrize("body", [
    lambda x, y: np.sum(x), lambda x, y: x, lambda x, y: x[-1] * 2.0, lambda x, y: x[1:3][0] + y,
    lambda x, y: np.sin(x @ x), lambda x, y: np.where(np.array(True), x[0], y),
])  # fmt: skip
def test_other_expressions_are_not_read(body):
    _p, x, y = _program()
    assert read([body(x, y)]) is None


def test_long_expressions_are_not_read():
    _p, _x, y = _program()
    for _ in range(MOST_OPERATIONS):
        y = np.sin(y)
    assert read([y]) is not None
    assert read([np.sin(y)]) is None


# equations ---------------------------------------------------------------------------------------------------


def _loop(n):
    p = la.Program("loop")
    x = p.input("x", np.linspace(0.2, 0.8, n))
    f = [p.define(f"f{k}", (k + 0.5) * np.sin(x[k] * x[(3 * k) % n]) - x[k] ** 2) for k in range(n)]
    return p, x, f


def test_equations_of_a_loop_are_numbers_and_show_as_written():
    p, _, _ = _loop(30)
    (packed,) = p.forms
    assert len(packed) == 30 > REPEATED and all(e.sides is packed for e in p.equations)
    for k, equation in enumerate(p.equations):
        assert str(equation) == f"f{k} = {k + 0.5:g} * sin(x[{k}] * x[{3 * k % 30}]) - x[{k}]**2"


def test_sides_are_the_same_while_they_are_held():
    p, _, f = _loop(4)
    equation = p.equations[2]
    left, right = equation.left, equation.right
    assert left is f[2] and equation.right is right
    assert equation.right.args[0] is right.args[0]


def test_other_equations_are_kept_as_they_are():
    p, x, y = _program()
    right = np.sum(x) * y
    p.define("z", right)
    assert isinstance(p.equations[0].sides, Sides)
    assert p.equations[0].right is right


def test_forms_of_several_lines_and_of_one():
    """Two forms on one line in turn: each equation finds its own."""
    p, _x, y = _program()
    for k in range(4 * REPEATED):
        p.define(f"a{k}", np.sin(y) * k if k % 3 else np.cos(y) + k)
    assert sorted(map(len, p.forms)) == [14, 26]
    at = p.evaluate()
    for k in range(4 * REPEATED):
        assert at[f"a{k}"] == pytest.approx(np.sin(0.7) * k if k % 3 else np.cos(0.7) + k, rel=1e-15)


def test_a_program_of_forms_pickles_and_goes_on():
    p, _, _ = _loop(2 * REPEATED)
    texts = [str(equation) for equation in p.equations]
    q = pickle.loads(pickle.dumps(p))
    for k in range(3):
        q.define(f"g{k}", 2.0 * np.sin(q["x"][k] * q["x"][0]) - q["x"][k] ** 2)
    assert [str(equation) for equation in q.equations][:-3] == texts
    assert len(q.forms) == len(p.forms) == 1 and len(q.forms[0]) == len(p.forms[0]) + 3
    assert isinstance(q.equations[-1].sides, PackedEquations)
    np.testing.assert_allclose(q.evaluate()["g2"], 2.0 * np.sin(q["x"].data.value[2] * 0.2) - q["x"].data.value[2] ** 2)


def test_the_memory_of_an_equation():
    n = 2_000
    p, _, _ = _loop(2 * REPEATED)
    lower(p)
    tracemalloc.start()
    p, _, f = _loop(n)
    lowered = lower(p)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert lowered.n_rows == len(f) == n
    assert kept < 2_000 * n


# elements ----------------------------------------------------------------------------------------------------


def test_an_element_is_one_node():
    p, x, _ = _program()
    w = p.input("w", np.ones((2, 3)))
    assert x[2] is x[2] and x[np.int64(2)] is x[2] and x[(2,)] is x[2]
    assert w[1, 2] is w[1, np.int64(2)] and w[1, 2] is not w[0, 2]
    assert w[1].shape == (3,) and to_text(w[1, 2]) == "w[1, 2]"
    assert [node is x[i] for i, node in enumerate(x)] == [True] * 6


def test_keys_that_only_equal_integers_are_no_elements():
    _p, x, _ = _program()
    x[0], x[1]
    assert x[True].shape == (1, 6)
    assert to_text(x[-1]) == "x[-1]"
    with pytest.raises(la.ShapeError, match="indexing x"):
        x[6]
    with pytest.raises(la.ShapeError):
        x[1.0]


# lowering ----------------------------------------------------------------------------------------------------


def test_positions_that_coincide_somewhere_stay_two_arguments():
    p, x, _ = _program()
    for k, (i, j) in enumerate([(0, 1), (2, 2), (3, 4)]):
        p.define(f"y{k}", x[i] * x[j] ** 2)
    (group,) = lower(p).groups
    assert group.kernel.n_args == 2 and group.size == 3
    p.minimize(p["y1"])
    assert p.evaluate().gradient["x"][2] == pytest.approx(3 * x.data.value[2] ** 2, rel=1e-15)


def test_positions_that_coincide_everywhere_are_one_argument():
    p, x, _ = _program()
    for k in range(5):
        p.define(f"y{k}", np.cos(x[k] - x[k + 1]) + np.sin(x[k] - x[k + 1]))
    (group,) = lower(p).groups
    assert group.kernel.n_args == 2
    assert [node[0] for node in group.kernel.nodes].count("subtract") == 1


def test_explicit_and_implicit_equations_of_one_form():
    """y_k = x_k·2 is explicit the first time; said again of another's unknown it is a residual."""
    p, x, _y = _program()
    a, b = p.variable("a", start=1.0), p.variable("b", start=1.0)
    p.equate(a, x[0] * 2.0)
    p.equate(a, b * 2.0)
    assert len(p.forms) == 1
    lowered = lower(p)
    assert lowered.own.tolist() == [7, -1]
    assert sorted(group.kernel.n_args for group in lowered.groups) == [1, 2]
    at = p.evaluate()
    assert (at["a"], at["b"]) == pytest.approx((0.4, 0.2))


@pytest.mark.parametrize("sides", [
    lambda z, y: (z**3, y), lambda z, y: (0.0, z**3 - y), lambda z, y: (z**3 - y, 0.0),
    lambda z, y: (0.0 * y, z**3 - y), lambda z, y: (z**3 + 1.0, y + 1.0),
])  # fmt: skip
def test_residuals_whose_sides_are_zero(sides):
    p, _, y = _program()
    z = [p.variable(f"z{i}", start=0.9) for i in range(3)]
    for k in range(3):
        p.equate(*sides(z[k], y))
    p.minimize(z[0] + z[1])
    at = p.evaluate()
    np.testing.assert_allclose([at[f"z{k}"] for k in range(3)], np.cbrt(0.7), rtol=1e-12)
    assert at.gradient["y"] == pytest.approx(2 / (3 * 0.7 ** (2 / 3)), rel=1e-9)


def test_what_unfolds_beyond_one_kernel_is_cut():
    """Operations shared again and again are few to read, and many in a kernel."""
    p, _x, y = _program()
    s = y
    for _ in range(10):
        s = s * s + 0.1
    p.define("z", s)
    assert len(p.forms) == 1
    lowered = lower(p)
    assert max(len(group.kernel.nodes) for group in lowered.groups) < 100
    value = 0.7
    for _ in range(10):
        value = value * value + 0.1
    assert p.evaluate()["z"] == pytest.approx(value, rel=1e-14)


def test_elements_of_a_variable_one_by_one_are_explicit():
    p = la.Program("parts")
    z = p.variable("z", shape=30)
    p.equate(z[0], 1.0)
    for i in range(1, 30):
        p.equate(z[i], 0.5 * z[i - 1] + 1.0)
    lowered = lower(p)
    assert lowered.own.tolist() == list(range(30))
    np.testing.assert_allclose(p.evaluate()["z"], 2.0 - 0.5 ** np.arange(30), rtol=1e-14)


def test_an_element_with_two_equations_belongs_to_the_first():
    p, x, _ = _program()
    z = p.variable("z", shape=2, start=1.0)
    p.equate(z[0], x[0] + 0.0 * z[1])
    p.equate(z[0], z[1] * x[1])
    assert lower(p).own.tolist() == [7, -1]
    at = p.evaluate()
    np.testing.assert_allclose(at["z"], [0.2, 0.2 / x.data.value[1]])


def test_scalars_and_small_arrays_of_one_kernel_are_one_group():
    p, x, _y = _program()
    p.define("a", np.exp(x) * 2.0)
    for k in range(3):
        p.define(f"b{k}", np.exp(x[k]) * 2.0)
    assert [group.size for group in lower(p).groups] == [9]


@pytest.mark.parametrize("goal", [
    lambda f: sum(t**2 for t in f), lambda f: np.sum(np.stack(f) ** 2), lambda f: np.sum(np.array(f) ** 2),
    lambda f: np.stack(f) @ np.stack(f), lambda f: -sum(-(t**2) for t in f),
    lambda f: 0.5 * (2.0 * sum(t**2 for t in f)),
])  # fmt: skip
def test_sums_of_squares_of_scalars(goal):
    p, _x, f = _loop(50)
    p.minimize(goal(f))
    at = p.evaluate()
    value = np.array([at[f"f{k}"] for k in range(50)])
    assert at.objective == pytest.approx((value**2).sum(), rel=1e-13)
    np.testing.assert_allclose([at.multiplier[f"f{k}"] for k in range(50)], 2 * value, rtol=1e-13)


def test_a_long_sum_with_an_auxiliary_among_its_summands():
    p, x, f = _loop(50)
    p.minimize(sum(t**2 for t in f) + np.exp(np.sum(x)))
    at = p.evaluate()
    expected = sum(at[f"f{k}"] ** 2 for k in range(50)) + np.exp(np.sum(x.data.value))
    assert at.objective == pytest.approx(expected, rel=1e-13)
