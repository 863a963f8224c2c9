"""The face of a program: declarations, their names and places, the graph, and what a point answers."""

import inspect
import json
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import lagrange_ad as la
from lagrange_ad.errors import DeclarationError, ShapeError, UnknownNameError
from lagrange_ad.expression import Expression


def here() -> int:
    """The line of the caller."""
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


def domke() -> la.Program:
    p = la.Program("domke")
    x = p.input("x", 0.1, upper=0.5)
    a = p.define("a", np.exp(x))
    b = p.define("b", a**2)
    c = p.define("c", a + b)
    d = p.define("d", np.exp(c))
    e = p.define("e", np.sin(c))
    p.maximize(p.define("f", d + e))
    return p


def sellar() -> la.Program:
    p = la.Program("sellar")
    z1, z2, x = p.input("z1", 5.0, lower=-10, upper=10), p.input("z2", 2.0, lower=0), p.input("x", 1.0)
    y1, y2 = p.variable("y1", start=1.0), p.variable("y2", start=1.0)
    p.equate(y1, z1**2 + z2 + x - 0.2 * y2)
    p.equate(y2, np.sqrt(y1) + z1 + z2)
    p.minimize(x**2 + z2 + y1 + np.exp(-y2))
    p.subject_to(y1 >= 3.16, name="g1")
    p.subject_to(y2 <= 24.0, name="g2")
    return p


# declarations --------------------------------------------------------------------------------------------------


def test_kinds_shapes_and_values() -> None:
    p = la.Program("kinds")
    x = p.input("x", [1, 2, 3], unit="m")
    a = p.parameter("a", 2.0, shape=(2, 2))
    y = p.variable("y", shape=3)
    z = p.variable("z", (2, 2), start=0.5)
    assert [type(node) for node in (x, a, y, z)] == [Expression] * 4
    assert (x.shape, a.shape, y.shape, z.shape) == ((3,), (2, 2), (3,), (2, 2))
    assert [s.name for s in p.of_kind("input")] == ["x"]
    assert [s.name for s in p.of_kind("parameter")] == ["a"]
    assert [s.name for s in p.of_kind("variable")] == ["y", "z"]
    assert p["x"] is x and "x" in p and "q" not in p and list(p) == ["x", "a", "y", "z"]
    p.equate(y, x)
    p.equate(z, a)
    at = p.evaluate()
    np.testing.assert_array_equal(at["x"], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(at["z"], np.full((2, 2), 2.0))
    assert repr(p) == "<Program 'kinds': 1 input, 1 parameter, 2 variables, 2 equations, no objective>"
    assert "x" in p.summary() and "y = x" in p.summary()


def test_bounds_are_recorded_and_not_enforced() -> None:
    p = la.Program()
    p.input("x", 5.0, lower=0, upper=1)
    v = p.input("v", np.zeros(3), lower=[0.0, 1.0, 2.0], upper=None)
    p.define("y", v * p["x"], lower=-1.0)
    assert (float(p.symbol("x").lower), float(p.symbol("x").upper)) == (0.0, 1.0)
    np.testing.assert_array_equal(p.symbol("v").lower, [0, 1, 2])
    assert np.all(p.symbol("v").upper == np.inf)
    assert float(p.symbol("y").lower) == -1.0
    assert p.evaluate()["x"] == 5.0


def test_labels_name_the_elements_in_messages() -> None:
    p = la.Program()
    v = p.input("v", [1.0, -1.0], labels=["north", "south"])
    y = p.variable("y", 2, labels=["n", "s"])
    p.equate(y, np.log(v))
    with pytest.raises(la.DomainError, match=r"y\[s\]"):
        p.evaluate()


def test_names_of_equations() -> None:
    p = la.Program()
    x = p.input("x", 1.0)
    y, z, w, u, t = (p.variable(name, start=1.0) for name in "yzwut")
    p.equate(y, x)                       # a lone variable on the left: its name
    p.equate(z**2, x + y)                # implicit: a number
    p.equate(w + z, 2.0, name="balance")
    p.equate(0.0, u - x, for_=u)         # determines u: its name
    p.equate(x * t, 3.0, name="law", for_=t)
    assert [e.name for e in p.equations] == ["y", "equation_2", "balance", "u", "law"]
    at = p.evaluate()
    assert at["z"] == pytest.approx(np.sqrt(2)) and at["t"] == pytest.approx(3.0)
    assert set(at.residual) == {"y", "equation_2", "balance", "u", "law"}


def test_a_second_equation_with_a_lone_left_side_is_implicit() -> None:
    p = la.Program()
    x = p.input("x", 2.0)
    y, z = p.variable("y"), p.variable("z", start=1.0)
    p.equate(y, x + 1)
    p.equate(y, z * x)
    assert [e.name for e in p.equations] == ["y", "equation_2"]
    assert p.evaluate()["z"] == pytest.approx(1.5)


def test_generated_names_avoid_taken_ones() -> None:
    p = la.Program()
    x = p.input("equation_1", 2.0)
    y = p.variable("y", start=1.0)
    p.equate(x * y, 1.0)
    p.subject_to(y <= 1)
    p.subject_to(y >= 0)
    assert p.equations[0].name == "equation_2"
    assert [c.name for c in p.constraints] == ["constraint_1", "constraint_2"]


def test_an_explicit_equation_may_go_by_its_variables_name() -> None:
    p = la.Program()
    x = p.input("x", 2.0)
    y = p.variable("y")
    p.equate(y, 3 * x, name="y")
    assert p.evaluate()["y"] == 6.0
    z = p.variable("z")
    p.equate(z, 3 * x, name="law_of_z")
    p.minimize(z)
    assert p.evaluate().multiplier["law_of_z"] == 1.0


def test_a_scalar_right_side_spreads_over_an_array() -> None:
    p = la.Program()
    x = p.input("x", 2.0)
    y = p.variable("y", 3)
    p.equate(y, x)
    p.minimize(np.sum(y))
    at = p.evaluate()
    np.testing.assert_array_equal(at["y"], [2.0, 2.0, 2.0])
    assert at.gradient["x"] == 3.0


def test_names_with_dots() -> None:
    p = la.Program()
    x = p.input("m1.x", 2.0)
    p.define("m1.y", x * 2)
    assert p.evaluate()["m1.y"] == 4.0


# constraints ---------------------------------------------------------------------------------------------------


def bound(side) -> float | None:
    return None if side is None else float(side.data)


@pytest.mark.parametrize("number", [3.16, 3, np.float64(3.16), np.int64(3), np.array(3.16)], ids=repr)
def test_constraints_may_be_reflected(number) -> None:
    p = la.Program()
    y = p.input("y", 1.0)
    p.subject_to(number <= y)
    p.subject_to(y >= number)
    p.subject_to(number >= y)
    p.subject_to(y <= number)
    p.subject_to(number == y)
    p.subject_to(y == number)
    value = float(number)
    assert all(c.body is y for c in p.constraints)
    assert [(bound(c.lower), bound(c.upper)) for c in p.constraints] == [
        (value, None), (value, None), (None, value), (None, value), (value, value), (value, value),
    ]
    assert str(p.constraints[0]) == f"y >= {value:g}" and str(p.constraints[4]) == f"y == {value:g}"


def test_the_bound_is_the_side_without_inputs_or_variables() -> None:
    p = la.Program()
    x, y, a = p.input("x", 1.0), p.input("y", 2.0), p.parameter("a", 3.0)
    p.subject_to(2 * a + 1 <= x * y, name="c1")
    p.subject_to(x <= y, name="c2")
    p.subject_to(x * a <= a, name="c3")
    c1, c2, c3 = p.constraints
    assert str(c1) == "x * y >= 2 * a + 1"
    assert str(c2) == "x - y <= 0"
    assert str(c3) == "x * a <= a"
    at = p.evaluate()
    assert at["c1"] == 2.0 and at["c2"] == -1.0


def test_two_sided_constraints() -> None:
    p = la.Program()
    v, a = p.input("v", np.zeros(3)), p.parameter("a", 1.0)
    p.subject_to(v[1:] - v[:-1], lower=-0.5, upper=0.5, name="step")
    p.subject_to(v, upper=a * np.ones(3))
    p.subject_to(v >= [0.0, 1.0, 2.0])
    step, below, above = p.constraints
    assert str(step) == "-0.5 <= v[1:] - v[:-1] <= 0.5"
    assert below.name == "constraint_2" and below.lower is None
    np.testing.assert_array_equal(above.lower.data, [0, 1, 2])


@pytest.mark.parametrize(
    "declare, error, message",
    [
        (lambda p, x: p.subject_to(x > 1), DeclarationError, r"x > 1 cannot be a constraint: use <=, >= or =="),
        (lambda p, x: p.subject_to(x != 1), DeclarationError, r"cannot be a constraint"),
        (lambda p, x: p.subject_to((x >= 1) & (x <= 2)), DeclarationError, r"cannot be a constraint"),
        (lambda p, x: p.subject_to(x), DeclarationError, r"subject_to\(x\) says no bound"),
        (lambda p, x: p.subject_to(x <= 1, lower=0), DeclarationError, r"not both"),
        (lambda p, x: p.subject_to(x, lower=x), DeclarationError, r"lower=x contains inputs or variables"),
        (lambda p, x: p.subject_to(True), DeclarationError, r"True"),
        (lambda p, x: p.subject_to(p.parameter("a", 1.0) <= 2), DeclarationError,
         r"a <= 2 contains no input or variable"),
        (lambda p, x: p.subject_to(x, lower=1, upper=0), DeclarationError, r"lower 1 .* upper 0|crossed"),
        (lambda p, x: p.subject_to(x <= np.ones(3)), ShapeError, r"'constraint_1'.*\(3,\)"),
        (lambda p, x: p.subject_to(p.input("v", np.ones(2)), upper=np.ones(3)), ShapeError,
         r"'constraint_1'.*\(3,\).*\(2,\)"),
        (lambda p, x: p.subject_to(x <= 1, name="x"), DeclarationError,
         r"'x' is used already, at .*test_program.py:\d+"),
    ],
)
def test_what_cannot_be_a_constraint(declare, error, message: str) -> None:
    p = la.Program()
    x = p.input("x", 1.0)
    with pytest.raises(error, match=message):
        declare(p, x)
    assert not p.constraints


# graph and places ------------------------------------------------------------------------------------------------


def test_the_graph_shows_everything_declared() -> None:
    p = sellar()
    graph = p.graph
    assert type(graph) is nx.DiGraph and graph.name == "sellar"
    assert set(graph) == {"z1", "z2", "x", "y1", "y2"}
    for name, data in graph.nodes(data=True):
        assert set(data) >= {"kind", "shape", "start", "equation", "location"}, name
        assert data["location"][0] == __file__
    assert graph.nodes["y1"]["kind"] == "variable" and graph.nodes["z1"]["kind"] == "input"
    assert graph.nodes["y2"]["equation"] == "y2 = sqrt(y1) + z1 + z2"
    assert graph.nodes["y1"]["start"] == 1.0 and graph.nodes["z1"]["start"] == 5.0
    assert set(graph.edges) == {
        ("z1", "y1"), ("z2", "y1"), ("x", "y1"), ("y2", "y1"), ("y1", "y2"), ("z1", "y2"), ("z2", "y2"),
    }
    assert [set(c) for c in nx.simple_cycles(graph)] == [{"y1", "y2"}]


def test_implicit_equations_are_nodes() -> None:
    p = la.Program()
    x, y = p.input("x", 4.0), p.variable("y", start=1.0)
    p.equate(y**2, x, name="root")
    data = p.graph.nodes["root"]
    assert data["kind"] == "equation" and data["equation"] == "y**2 = x" and data["shape"] == ()
    assert set(p.graph.predecessors("root")) == {"x", "y"}


def test_a_named_implicit_equation_of_a_self_reference() -> None:
    p = la.Program()
    z = p.variable("z", start=0.5)
    p.equate(z, np.cos(z))
    assert ("z", "z") in p.graph.edges
    assert p.evaluate()["z"] == pytest.approx(0.7390851332151607, rel=1e-15)


def test_the_graph_is_frozen_and_follows_declarations() -> None:
    p = domke()
    graph = p.graph
    assert p.graph is graph
    with pytest.raises(nx.NetworkXError):
        graph.add_node("q")
    p.define("g", p["f"] * 2)
    assert "g" in p.graph and "g" not in graph
    assert list(nx.topological_sort(p.graph))[-1] == "g"


def test_every_declaration_remembers_its_place() -> None:
    p = la.Program()
    x = p.input("x", 1.0); x_line = here()  # noqa: E702
    a = p.parameter("a", 1.0); a_line = here()  # noqa: E702
    y = p.variable("y"); y_line = here()  # noqa: E702
    d = p.define("d", x + a); d_line = here()  # noqa: E702
    p.equate(y, d); equation_line = here()  # noqa: E702
    p.minimize(y); goal_line = here()  # noqa: E702
    p.subject_to(y <= 1); constraint_line = here()  # noqa: E702
    places = [p.symbol(name).location for name in "xayd"]
    assert places == [(__file__, line) for line in (x_line, a_line, y_line, d_line)]
    assert p.equations[1].location == (__file__, equation_line)
    assert p.objective.location == (__file__, goal_line)
    assert p.constraints[0].location == (__file__, constraint_line)


def test_a_file_beside_the_package_is_not_of_the_package() -> None:
    p = la.Program()
    beside = str(Path(la.__file__).parent) + "_models.py"
    exec(compile("\np.input('x')", beside, "exec"), {"p": p})
    assert p.symbol("x").location == (beside, 2)


# evaluating --------------------------------------------------------------------------------------------------------


def test_evaluate_is_pure_and_points_keep_what_they_saw() -> None:
    p = domke()
    first = p.evaluate()
    other = p.evaluate(x=0.3)
    assert p.evaluate({"x": 0.3})["f"] == p.evaluate({p["x"]: 0.3})["f"] == other["f"] != first["f"]
    assert p.symbol("x").value == 0.1 and p.evaluate()["f"] == first["f"]
    before = (first["f"], first["x"])
    p.set(x=0.5)
    assert (first["f"], first["x"]) == before and first.gradient["x"] == pytest.approx(p.evaluate(x=0.1).gradient["x"])
    assert p.evaluate()["x"] == 0.5
    p.define("g", p["f"] * 2)
    assert p.evaluate()["g"] == 2 * p.evaluate()["f"]
    assert (first["f"], first["x"]) == before and set(first.multiplier) == set("abcdef")
    with pytest.raises(UnknownNameError, match=r"'g'"):
        first["g"]
    with pytest.raises(UnknownNameError, match=r"g was declared after this point"):
        first[p["g"]]


def test_a_point_survives_a_set_before_its_first_look() -> None:
    p = sellar()
    at = p.evaluate()
    p.set(z1=1.0, y1=30.0)
    late = at.gradient["z1"]
    assert late == pytest.approx(sellar().evaluate().gradient["z1"], rel=1e-12)
    assert at["z1"] == 5.0


def test_values_of_a_point_cannot_be_changed_by_accident() -> None:
    p = la.Program()
    v = p.input("v", np.ones(3))
    p.define("y", v * 2)
    p.minimize(np.sum(p["y"]))
    at = p.evaluate()
    for array in (at["v"], at["y"], at.values["y"], at.multiplier["y"], at.gradient["v"]):
        with pytest.raises(ValueError):
            array[0] = 5.0
    given = np.ones(3)
    at = p.evaluate(v=given)
    given[:] = 7.0
    np.testing.assert_array_equal(at["v"], 1.0)


def test_set_is_all_or_nothing() -> None:
    p = sellar()
    with pytest.raises(DeclarationError):
        p.set(z1=1.0, x=np.nan)
    with pytest.raises(UnknownNameError):
        p.set({"z1": 1.0, "nonsense": 2.0})
    assert p.symbol("z1").value == 5.0
    p.set({"z1": 1.0}, x=2.0, y1=3.0)
    at = p.evaluate()
    assert at["z1"] == 1.0 and at["x"] == 2.0 and p.symbol("y1").value == 3.0


def test_starts_from_a_point_and_from_a_dict() -> None:
    p = la.Program()
    x = p.input("x", 4.0)
    y = p.variable("y", start=1.0)
    p.equate(y**2, x)
    negative = p.evaluate(start={"y": -1.0})
    assert negative["y"] == pytest.approx(-2.0) and p.evaluate()["y"] == pytest.approx(2.0)
    assert p.evaluate(x=9.0, start=negative)["y"] == pytest.approx(-3.0)
    assert p.evaluate(x=9.0, start=negative)["x"] == 9.0


def test_a_point_of_an_earlier_version_is_a_start() -> None:
    p = la.Program()
    x = p.input("x", 4.0)
    y = p.variable("y", start=1.0)
    p.equate(y**2, x)
    at = p.evaluate(start={"y": -1.0})
    z = p.variable("z", start=-1.0)
    p.equate(z**3, y)
    later = p.evaluate(start=at)
    assert later["y"] == pytest.approx(-2.0)


def test_starts_may_be_expressions_of_earlier_symbols() -> None:
    p = la.Program()
    x = p.input("x", 4.0)
    y = p.variable("y", start=-x)
    z = p.variable("z", start=y / 2)
    p.equate(y**2, x)
    p.equate(z**2 + y, x)
    at = p.evaluate()
    assert at["y"] == pytest.approx(-2.0) and at["z"] == pytest.approx(-np.sqrt(6.0))


def test_the_domain_guards_the_iterates() -> None:
    p = la.Program()
    x = p.input("x", -8.0)
    y = p.variable("y", start=0.5, domain=(0.0, np.inf))
    p.equate(np.log(y), x)
    assert p.evaluate()["y"] == pytest.approx(np.exp(-8.0))


def test_an_equation_may_determine_a_defined_variables_argument() -> None:
    p = la.Program()
    u = p.variable("u", start=1.0)
    y = p.define("y", u**2)
    p.equate(y - 4, 0)
    assert p.evaluate()["u"] == pytest.approx(2.0)


def test_a_program_without_equations_or_variables() -> None:
    p = la.Program()
    assert "no objective" in str(p.evaluate())
    x = p.input("x", 2.0)
    p.maximize(x**2)
    at = p.evaluate()
    assert at.objective == 4.0 and at.gradient["x"] == 4.0 and not at.multiplier


def test_foreign_words_say_ours() -> None:
    p = la.Program()
    for word, ours in [
        ("solve", r"evaluate\(\) solves the equations"), ("add_constraint", r"subject_to\(expr <= bound"),
        ("add_variable", r"variable\(name"), ("set_objective", r"minimize\(expr\)"), ("minimise", r"minimize"),
        ("run", r"evaluate"), ("gradient", r"evaluate\(\)\.gradient"),
    ]:
        with pytest.raises(AttributeError, match=ours):
            getattr(p, word)
    with pytest.raises(AttributeError, match=r"no attribute 'evalute'; did you mean 'evaluate'"):
        p.evalute()
    assert not hasattr(p, "solve")


@pytest.mark.parametrize("make", [domke, sellar])
def test_a_program_pickles(make) -> None:
    p = make()
    at = p.evaluate()
    q = pickle.loads(pickle.dumps(p))
    again = q.evaluate()
    assert q.name == p.name and [str(e) for e in q.equations] == [str(e) for e in p.equations]
    for name in at.values:
        assert again[name] == at[name]
    assert dict(again.gradient) == dict(at.gradient)
    assert str(q.objective) == str(p.objective) and [str(c) for c in q.constraints] == [str(c) for c in p.constraints]
    y = q.define("extension", q[next(iter(q))] * 2)
    assert y.owner is q and q.evaluate()["extension"] == 2 * again[next(iter(q))]
    assert "extension" not in p


def test_starts_and_bounds_pickle() -> None:
    p = la.Program()
    x = p.input("x", 4.0, lower=0, upper=9)
    y = p.variable("y", start=-x)
    p.equate(y**2, x)
    p.subject_to(y, lower=-3, upper=3)
    q = pickle.loads(pickle.dumps(p))
    assert q.evaluate()["y"] == pytest.approx(-2.0) and p.evaluate()["y"] == pytest.approx(-2.0)
    assert float(q.symbol("x").upper) == 9.0
    x2, y2 = pickle.loads(pickle.dumps((x, y)))
    assert x2.owner is y2.owner and x2.owner.evaluate()[y2] == pytest.approx(-2.0)


# points --------------------------------------------------------------------------------------------------------------


def test_a_point_answers_by_name_and_by_expression() -> None:
    p = sellar()
    at = p.evaluate()
    y1, y2, x = p["y1"], p["y2"], p["x"]
    assert at[y1] == at["y1"] and type(at["y1"]) is float
    assert at[y1 - y2 * x] == at["y1"] - at["y2"]
    assert at[[y1, y2]].tolist() == [at["y1"], at["y2"]]
    assert at["g1"] == at["y1"]
    assert at.objective == at["objective"] == at["x"] ** 2 + at["z2"] + at["y1"] + np.exp(-at["y2"])
    assert at.solved and [b.unknowns for b in at.blocks] == [["y1", "y2"]]
    assert at.blocks[0].converged and at.blocks[0].residual < 1e-12
    assert all(abs(at.residual[name]) < 1e-12 for name in ("y1", "y2"))
    assert at.multiplier[y1] == at.multiplier["y1"] and at.gradient[x] == at.gradient["x"]
    assert len(at.multiplier) == 2 and set(at.gradient) == {"z1", "z2", "x"} and "y1" in at.multiplier


@pytest.mark.parametrize("make", [domke, sellar])
def test_multipliers_are_the_worth_of_right_sides(make) -> None:
    p = make()
    at = p.evaluate()
    for name in at.multiplier:
        step = 1e-6
        ahead, behind = (p.evaluate(perturbation={name: s * step}).objective for s in (1, -1))
        assert at.multiplier[name] == pytest.approx((ahead - behind) / (2 * step), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("make", [domke, sellar])
def test_gradients_and_tangents_against_differences(make) -> None:
    p = make()
    at = p.evaluate()
    step = 1e-6
    for name in at.gradient:
        ahead, behind = (p.evaluate({name: at[name] + s * step}) for s in (1, -1))
        assert at.gradient[name] == pytest.approx((ahead.objective - behind.objective) / (2 * step), rel=1e-6)
        tangent = at.tangent({name: 1.0})
        for other in at.values:
            assert tangent[other] == pytest.approx((ahead[other] - behind[other]) / (2 * step), rel=1e-6, abs=1e-8)


def test_tangents_of_arrays() -> None:
    p = la.Program()
    v, a = p.input("v", [1.0, 2.0]), p.parameter("a", 3.0)
    p.define("y", a * v**2)
    at = p.evaluate()
    np.testing.assert_allclose(at.tangent({"v": [1.0, 0.5]})["y"], [6.0, 6.0])
    np.testing.assert_allclose(at.tangent({"a": 1.0})["y"], [1.0, 4.0])
    np.testing.assert_allclose(at.tangent({v: 1.0})["y"], [6.0, 12.0])
    with pytest.raises(ShapeError, match=r"'v'.*\(3,\).*\(2,\)"):
        at.tangent({"v": np.ones(3)})
    with pytest.raises(UnknownNameError, match=r"no input or parameter 'y'"):
        at.tangent({"y": 1.0})


def test_explain_adds_up_in_words_and_numbers() -> None:
    text = domke().evaluate().explain("c")
    at = domke().evaluate()
    assert "λ_c = λ_d·exp(c) + λ_e·cos(c)" in text
    assert f"{at.multiplier['c']:.10g}" in text
    assert "dJ/dx" in domke().evaluate().explain("x")
    with pytest.raises(UnknownNameError, match=r"'q'"):
        at.explain("q")


def test_printing_a_point_shows_names_and_numbers() -> None:
    text = str(sellar().evaluate())
    for part in ("sellar", "minimize objective", "y1", "z2", "multiplier", "gradient", "g1", "y1 >= 3.16", "{y1, y2}"):
        assert part in text
    assert "not enforced" in text
    assert "<point of sellar" in repr(sellar().evaluate())
    no_start = la.Program()
    y = no_start.variable("y")
    no_start.equate(y + y**3, 2.0)
    assert "no start given for y" in str(no_start.evaluate())


def test_a_point_as_plain_data() -> None:
    data = json.loads(json.dumps(sellar().evaluate().as_dict()))
    assert data["values"]["x"] == 1.0 and data["sense"] == "minimize"
    assert set(data["multipliers"]) == {"y1", "y2"} and set(data["constraints"]) == {"g1", "g2"}


def test_empty_arrays_go_through() -> None:
    p = la.Program()
    v = p.input("v", np.zeros((0, 3)))
    p.define("y", np.exp(v))
    p.minimize(np.sum(p["y"]) + p.input("x", 1.0))
    at = p.evaluate()
    assert at["y"].shape == at["v"].shape == at.multiplier["y"].shape == at.gradient["v"].shape == (0, 3)
    assert at.objective == 1.0 and at.gradient["x"] == 1.0
    assert "y" in str(at)


def test_threads_may_declare_in_one_program() -> None:
    p = la.Program()
    a = p.input("a", 1.0)
    refused = []

    def declare(_: int) -> None:
        for i in range(100):
            try:
                p.define(f"x{i}", a * i)
            except DeclarationError:
                refused.append(i)
            p.equate(a * i, p["x0"] + i)
            p.subject_to(a <= i)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(declare, range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert len(refused) == 300 and len(p.symbols) == p.size == 101
    names = [record.name for record in (*p.equations, *p.constraints)]
    assert len(names) == len(set(names)) == 100 + 400 + 400
