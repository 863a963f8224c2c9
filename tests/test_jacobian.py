"""at.jacobian against closed forms by complex step, in both directions, on acyclic and cyclic programs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import lagrange_ad as la
from lagrange_ad.solution import jacobian as jacobian_module

EXECUTORS = ("native", "reference")
MODES = ("adjoint", "tangent")


def complex_step(function: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """(outputs, inputs) of a function of one vector, analytic."""
    columns = []
    for j in range(len(x)):
        moved = x.astype(complex)
        moved[j] += 1e-30j
        columns.append(np.imag(function(moved)) / 1e-30)
    return np.array(columns).T


def acyclic(executor: str) -> tuple[la.Program, Callable[[Any], Any]]:
    """y = sin(x)·s, z_t a recurrence in y, total their sum; the same in NumPy of (x, s)."""
    p = la.Program("acyclic", executor=executor)
    x, s = p.input("x", [0.3, 1.2, -0.7]), p.parameter("s", 1.5)
    y = p.define("y", np.sin(x) * s)
    z = p.variable("z", shape=4)
    p.equate(z, np.concatenate([[0.1], np.cos(z[:-1]) * y]))
    p.define("total", np.sum(z) * np.exp(s))
    p.subject_to(z[1:] * y <= 3.0, name="limit")
    p.minimize(y[0] * z[3], name="goal")

    def numpy_way(v: Any) -> Any:
        x, s = v[:3], v[3]
        y = np.sin(x) * s
        z = [v[0] * 0 + 0.1]
        for i in range(3):
            z.append(np.cos(z[-1]) * y[i])
        total = sum(z) * np.exp(s)
        limit = [z[i + 1] * y[i] for i in range(3)]
        return np.array([*y, *z, total, *limit, y[0] * z[3], z[3] * x[0] ** 2, z[1]])

    return p, numpy_way


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("mode", [*MODES, None])
def test_acyclic_against_complex_step(executor: str, mode: str | None) -> None:
    p, numpy_way = acyclic(executor)
    at = p.evaluate()
    extra = p["z"][3] * p["x"][0] ** 2
    J = at.jacobian(["y", p["z"], "total", "limit", "goal", extra, p["z"][1]], ["x", "s"], mode=mode)
    x = np.array([0.3, 1.2, -0.7, 1.5])
    np.testing.assert_allclose(J.matrix, complex_step(numpy_way, x), rtol=1e-12, atol=1e-13)
    assert J.of == ["y", "z", "total", "limit", "goal", "z[3] * x[0]**2", "z[1]"] and J.wrt == ["x", "s"]
    assert J["y", "x"].shape == (3, 3) and J["z"]["s"].shape == (4,) and isinstance(J["total", "s"], float)
    np.testing.assert_array_equal(J[extra, p["x"]], J.matrix[12, :3])
    np.testing.assert_array_equal(J["z[1]", "x"], J["z", "x"][1])
    assert J.shape == (14, 4) and np.asarray(J) is J.matrix and len(J) == 7 and list(J) == J.of
    assert ("y", "x") in J and "y" in J and ("y", "z") not in J and "w" not in J


def linear_cycle(executor: str, n: int) -> tuple[la.Program, Callable[[Any], Any]]:
    """u = (A u + b x)·s of n unknowns, all in one cycle; the same by NumPy's solve, of (x, s)."""
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(n, n)) / (4 * np.sqrt(n)), rng.normal(size=n)
    p = la.Program("cycle", executor=executor)
    x, s = p.input("x", [0.7, 1.3]), p.input("s", 0.9)
    u = p.variable("u", shape=n)
    p.equate(u, (a @ u + b * x[0] * x[1]) * s)
    p.define("norm", np.sum(u**2))

    def numpy_way(v: Any) -> Any:
        u = np.linalg.solve(np.eye(n) - v[2] * a, b * v[0] * v[1] * v[2])
        return np.array([*u, np.sum(u**2), u[0] * v[2]])

    return p, numpy_way


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("n", [3, 130])  # a small block of compiled code, one that SuperLU solves
@pytest.mark.parametrize("mode", MODES)
def test_cycles_against_complex_step(executor: str, n: int, mode: str) -> None:
    p, numpy_way = linear_cycle(executor, n)
    J = p.evaluate().jacobian(["u", "norm", p["u"][0] * p["s"]], ["x", "s"], mode=mode)
    expected = complex_step(numpy_way, np.array([0.7, 1.3, 0.9]))
    np.testing.assert_allclose(J.matrix, expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("mode", MODES)
def test_portions_of_seeds_and_sparse_matrices_change_nothing(executor: str, mode: str,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    p, _ = acyclic(executor)
    at = p.evaluate()
    whole = at.jacobian(["y", "z", "limit"], ["x", "s"], mode=mode)
    monkeypatch.setattr(jacobian_module, "WORKING", 1)
    portions = at.jacobian(["y", "z", "limit"], ["x", "s"], mode=mode)
    np.testing.assert_array_equal(portions.matrix, whole.matrix)
    J = at.jacobian(["y", "z", "limit"], ["x", "s"], mode=mode, sparse=True)
    assert isinstance(J.matrix, sparse.csr_array) and J.matrix.nnz < whole.matrix.size
    np.testing.assert_array_equal(np.asarray(J), whole.matrix)
    np.testing.assert_array_equal(J["y", "x"], whole["y", "x"])


def test_fewer_seeds_decide_the_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    p, _ = acyclic("reference")
    at, seeds = p.evaluate(), []
    for name in ("_rows", "_columns"):
        way = getattr(jacobian_module, name)
        monkeypatch.setattr(jacobian_module, name, lambda *args, n=name, w=way: (seeds.append(n), w(*args))[1])
    at.jacobian("total", "x")
    at.jacobian("z", "s")
    assert seeds == ["_rows", "_columns"]


def sellar() -> la.Program:
    p = la.Program("sellar")
    z1, x = p.input("z1", 5.0), p.input("x", [1.0, 2.0])
    y1, y2 = p.variable("y1", start=1.0), p.variable("y2", start=1.0)
    p.equate(y1, z1**2 + x[0] - 0.2 * y2)
    p.equate(y2, np.sqrt(y1) + z1 + x[1])
    w = p.variable("w", start=2.0)
    p.equate(w**2, y2 * x[1], name="balance")
    return p


@pytest.mark.parametrize("mode", MODES)
def test_the_residual_of_an_equation_is_of_the_equation_not_held(mode: str) -> None:
    """r = y2·x1 − w² with w held; y2 follows the inputs."""
    at = sellar().evaluate()
    J = at.jacobian(["balance", "y2"], ["x", "z1"], mode=mode)
    followed = at["x"][1] * np.array([*J["y2", "x"], J["y2", "z1"]]) + np.array([0.0, at["y2"], 0.0])
    np.testing.assert_allclose([*J["balance", "x"], J["balance", "z1"]], followed, rtol=1e-12)
    assert (J["y2", "x"] != 0).all()


def test_scalar_equations_in_a_loop_keep_their_forms() -> None:
    """Those kept as numbers of a form are left out like others, and the rest is renumbered."""
    p = la.Program("chain")
    s = p.input("s", 0.5)
    last = s
    for i in range(30):
        y = p.variable(f"y{i}", start=1.0)
        p.equate(y, np.sin(last) + s)
        last = y
    p.define("unrelated", s * 2)
    free = p.variable("free", start=0.1)
    p.equate(free - 0.5, last, name="closing")
    at = p.evaluate()
    J = at.jacobian(["closing", "y29"], "s")
    assert J["closing", "s"] == pytest.approx(J["y29", "s"], rel=1e-14)  # r = y29 − (free − 0.5), free held
    slope = 1.0
    values = [0.5, *(at[f"y{i}"] for i in range(29))]
    for value in values:
        slope = np.cos(value) * slope + 1.0
    assert J["y29", "s"] == pytest.approx(slope, rel=1e-13)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_an_infinite_slope_that_an_output_does_not_use(executor: str) -> None:
    """At x0 = 0: d(root)/dx = (∞, 0), and neither y nor the sum of squares has anything to do with it."""
    p = la.Program("root", executor=executor)
    x = p.input("x", [0.0, 3.0])
    p.define("root", np.sqrt(x[0]) + 1.0)
    p.define("y", x[0] * 2.0 + x[1])
    at = p.evaluate()
    expected = {"y": [2.0, 1.0], "root": [np.inf, 0.0], "squares": [0.0, 6.0]}
    for of in ({"y": "y"}, {"root": "root", "y": "y"}, {"y": "y", "root": "root", "squares": np.sum(x**2)}):
        J = at.jacobian(of, "x")
        for name in of:
            np.testing.assert_array_equal(J[name, "x"], expected[name])
    np.testing.assert_array_equal(at.jacobian(["y"], "x", sparse=True)["y", "x"], [2.0, 1.0])


def test_points_stay_what_they_were_when_the_program_grows() -> None:
    p = la.Program("growing")
    x = p.input("x", 2.0)
    y = p.define("y", x**2)
    at = p.evaluate()
    z = p.define("z", y * 3)
    assert at.jacobian(y * x, "x")["y * x", "x"] == pytest.approx(12.0)
    assert p.evaluate().jacobian(z, x)["z", "x"] == pytest.approx(12.0)
    with pytest.raises(la.UnknownNameError, match="declared after this point"):
        at.jacobian(z * 1, "x")


def test_named_outputs_and_alike_ones() -> None:
    p = sellar()
    at = p.evaluate()
    J = at.jacobian({"sum": p["y1"] + p["y2"], "w": "w"}, p["x"][1:])
    assert J.of == ["sum", "w"] and J["sum", "x[1:]"].shape == (1,)
    first, second = p["y1"] + 1.0, p["y1"] + 1.0
    J = at.jacobian([first, second], "z1")
    assert J[first, "z1"] == J[second, "z1"] and J.of == ["y1 + 1", "y1 + 1 (2)"]
    x = la.Program("long").input("x", np.arange(30.0))
    J = x.owner.evaluate().jacobian([x[np.arange(20)], x[np.arange(20) + 1]], x)  # long indices print alike
    np.testing.assert_array_equal(J.matrix, np.concatenate([np.eye(30)[:20], np.eye(30)[1:21]]))
    assert len(set(J.of)) == 2
    J = at.jacobian([first, p["y2"] * 2.0, second], "z1")
    assert J.of == ["y1 + 1", "y2 * 2", "y1 + 1 (2)"]


def test_names_of_the_callers_do_not_move_constraints() -> None:
    p = la.Program("named")
    x = p.input("x", 1.0)
    p.subject_to(2.0 * x <= 3.0, name="a")
    p.subject_to(5.0 * x <= 3.0, name="b")
    p.minimize(7.0 * x, name="goal")
    J = p.evaluate().jacobian({"b": "a", "a": "b", "mine": "a", "cost": "goal"}, "x")
    assert [J[name, "x"] for name in J.of] == [2.0, 5.0, 2.0, 7.0]
    assert p.function("x", {"b": "a", "a": "b"})(1.0) == (2.0, 5.0)


def test_a_singular_solution_has_no_jacobian() -> None:
    p = la.Program("fold")
    x, y = p.input("x", 0.0), p.variable("y", start=0.0)
    p.equate(y**2, x, name="fold")
    with pytest.raises(la.SingularError, match="block"):
        p.evaluate().jacobian("y", "x")


@pytest.mark.parametrize(
    ("of", "wrt", "keywords", "error", "message"),
    [
        ("nope", "x", {}, la.UnknownNameError, "no symbol, equation or constraint 'nope'"),
        ("y1", "nope", {}, la.UnknownNameError, "no input or parameter 'nope'"),
        ("y1", "y2", {}, la.DeclarationError, "'y2' is a variable, the equations determine it"),
        ([], "x", {}, la.DeclarationError, "of is empty"),
        ("y1", [], {}, la.DeclarationError, "wrt is empty"),
        (["y1", "y1"], "x", {}, la.DeclarationError, "of has 'y1' twice"),
        ("y1", ["x", "x"], {}, la.DeclarationError, "wrt has 'x' twice"),
        ("y1", "x", {"mode": "reverse"}, la.DeclarationError, "mode= is 'adjoint', 'tangent' or None"),
        (3.0, "x", {}, la.DeclarationError, "contains no symbol of 'sellar'"),
    ],
)
def test_errors(of: Any, wrt: Any, keywords: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sellar().evaluate().jacobian(of, wrt, **keywords)


def test_more_errors() -> None:
    p = sellar()
    at, other = p.evaluate(), la.Program("other")
    foreign = other.input("x", 1.0)
    with pytest.raises(la.UnknownNameError, match="of the program 'other', not of 'sellar'"):
        at.jacobian(foreign * 2, "x")
    with pytest.raises(la.DeclarationError, match="is a comparison"):
        at.jacobian(p["y1"] > 1, "x")
    with pytest.raises(la.DeclarationError, match="is computed"):
        at.jacobian("y1", p["x"] * 2)
    with pytest.raises(la.DeclarationError, match="elements of 'x\\[0\\]' twice"):
        at.jacobian("y1", ["x", p["x"][0]])
    J = at.jacobian("y1", "x")
    with pytest.raises(la.UnknownNameError, match="no output 'y2'"):
        J["y2", "x"]
    with pytest.raises(la.UnknownNameError, match="two names"):
        J["y1", "x", 0]


# tangents -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", EXECUTORS)
def test_tangents_by_keyword_and_several_at_once(executor: str) -> None:
    p, _ = acyclic(executor)
    at = p.evaluate()
    one = at.tangent(s=2.0)
    np.testing.assert_allclose(one["z"], 2.0 * at.jacobian("z", "s")["z", "s"], rtol=1e-13)
    several = at.tangent({"s": [2.0, 0.0]}, x=[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert several["z"].shape == (2, 4) and several["total"].shape == (2,)
    np.testing.assert_array_equal(several["z"][0], one["z"])
    np.testing.assert_allclose(several["y"][1], at.jacobian("y", "x")["y", "x"][:, 0], rtol=1e-13)
    np.testing.assert_array_equal(several["x"], [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_symbol_with_one_direction_moves_along_it_in_all(executor: str) -> None:
    """As many directions as x has elements: a single direction of x is none of them."""
    p, _ = acyclic(executor)
    at = p.evaluate()
    along = [1.0, 2.0, 3.0]
    several = at.tangent(x=along, s=[0.0, 1.0, -2.0])
    for k, s in enumerate([0.0, 1.0, -2.0]):
        one = at.tangent(x=along, s=s)
        for name in ("x", "y", "z", "total"):
            np.testing.assert_allclose(several[name][k], one[name], rtol=1e-13)
    np.testing.assert_array_equal(at.tangent(x=along, s=[0.5])["y"][0], at.tangent(x=along, s=0.5)["y"])
    assert at.tangent(x=along, s=[])["z"].shape == (0, 4)


@pytest.mark.parametrize("mode", MODES)
def test_elements_by_the_names_that_are_printed(mode: str) -> None:
    p = la.Program("elements")
    k = p.input("k", [[1.0, 2.0], [3.0, 4.0]])
    x = p.input("x", [1.0, 2.0], labels=["north", "south"])
    p.define("y", x**2 * k[0, 1])
    at = p.evaluate()
    J = at.jacobian(["y[1]", "y"], ["x[south]", "k[0, 1]"], mode=mode)
    np.testing.assert_array_equal(J.matrix, [[8.0, 4.0], [0.0, 1.0], [8.0, 4.0]])
    assert J["y[1]", "x[south]"] == 8.0 and J["y", "k[0, 1]"].shape == (2,)
    np.testing.assert_array_equal(p.function(["x[0]", "k[0, 1]"], "y")(3.0, 5.0), [45.0, 20.0])
    with pytest.raises(la.DeclarationError, match=r"elements of 'x\[-1\]' twice"):
        at.jacobian("y", ["x", "x[-1]"])
    with pytest.raises(la.DeclarationError, match="'y' is a variable"):
        at.jacobian("y", "y[0]")
    with pytest.raises(la.UnknownNameError, match=r"no input or parameter 'x\[2\]'"):
        at.jacobian("y", "x[2]")


def test_errors_of_tangents() -> None:
    at = sellar().evaluate()
    with pytest.raises(la.UnknownNameError, match="no input or parameter 'y1': 'y1' is a variable"):
        at.tangent(y1=1.0)
    with pytest.raises(la.UnknownNameError, match="no input or parameter 'z3'; directions are of z1, x"):
        at.tangent(z3=1.0)
    with pytest.raises(la.ShapeError, match="equally many"):
        at.tangent(z1=[1.0, 2.0], x=np.ones((3, 2)))
    with pytest.raises(la.ShapeError, match="the direction of 'x'"):
        at.tangent(x=np.ones(3))


def test_a_jacobian_prints_as_a_table() -> None:
    p = la.Program("shown")
    x, wide = p.input("x", [1.0, 2.0]), p.input("wide", np.ones((3, 4)))
    p.define("y", x**2)
    p.define("z", np.sum(wide, axis=1))
    at = p.evaluate()
    J = at.jacobian(["y", x[0] * 3], "x")
    lines = [line.split() for line in str(J).splitlines()]
    assert repr(J) == "<Jacobian of y, x[0] * 3 by x: 3 × 2>" and str(J).startswith(repr(J)[1:-1])
    assert ["y[1]", "0", "4"] in lines and "x[0] * 3          3          0" in str(J) and "<td" in J._repr_html_()
    J = at.jacobian(["z"], ["wide", "x"], sparse=True)
    lines = [line.split() for line in str(J).splitlines()]
    assert ["z", "x", "(3,", "2)", *"00000"] in lines and any(line[:2] == ["z", "wide"] for line in lines)
    few = at.jacobian(["z"], "x", sparse=True)
    assert ["z[2]", "0", "0"] in [line.split() for line in str(few).splitlines()]
