"""What can go wrong, and that the message says it: names, what was found, what to try, where it was declared."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lagrange_ad as la
from lagrange_ad.errors import (
    ConvergenceError,
    DeclarationError,
    DomainError,
    ExpressionTypeError,
    LagrangeError,
    MissingObjectiveError,
    ShapeError,
    SingularError,
    SolveError,
    StructureError,
    UnknownNameError,
)

PLACE = r"test_errors\.py:\d+"


def says(error: type[Exception] | tuple[type[Exception], ...], use: Callable[[], Any], *parts: str) -> Any:
    """Run ``use``; it must raise ``error`` with every part (a pattern) in its message. Returns the exception."""
    with pytest.raises(error) as caught:
        use()
    message = str(caught.value)
    for part in parts:
        assert re.search(part, message, re.DOTALL), f"{part!r} is not in:\n{message}"
    return caught.value


@pytest.fixture
def p() -> la.Program:
    program = la.Program("model")
    program.input("x", 1.0)
    program.input("v", [1.0, 2.0, 3.0])
    return program


# what the exceptions are -----------------------------------------------------------------------------------------


def test_every_error_is_a_lagrange_error_and_an_ordinary_one() -> None:
    for error, ordinary in [
        (DeclarationError, ValueError), (ShapeError, ValueError), (ExpressionTypeError, TypeError),
        (UnknownNameError, KeyError), (MissingObjectiveError, ValueError), (StructureError, ValueError),
        (ConvergenceError, RuntimeError), (DomainError, ArithmeticError), (SingularError, RuntimeError),
    ]:
        assert issubclass(error, LagrangeError) and issubclass(error, ordinary)
    assert str(UnknownNameError("plain words")) == "plain words"


# declarations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("declare", [
    lambda p: p.input("x", 2.0),
    lambda p: p.parameter("x", 2.0),
    lambda p: p.variable("x"),
    lambda p: p.define("x", p["v"]),
    lambda p: p.equate(p.variable("y"), p["x"], name="x"),
    lambda p: p.subject_to(p["x"] <= 1, name="x"),
    lambda p: p.minimize(p["x"] * 2, name="v"),
])  # fmt: skip
def test_a_name_used_twice(p: la.Program, declare: Any) -> None:
    says(DeclarationError, lambda: declare(p), r"the name '[xv]' is used already, at .*" + PLACE, "one namespace")


@pytest.mark.parametrize("name", ["", "2x", "a b", "x-y", "a..b", ".a", None, 3, "x[0]"])
def test_names_that_cannot_be(p: la.Program, name: Any) -> None:
    shown = re.escape(repr(name))
    says(DeclarationError, lambda: p.input(name, 1.0), shown, "cannot be a name", "letters, digits and _")


def test_a_refused_declaration_leaves_no_trace(p: la.Program) -> None:
    version = p.version
    says(DeclarationError, lambda: p.input("y", np.nan))
    says(ShapeError, lambda: p.variable("z", 3, start=np.ones(2)))
    says(ShapeError, lambda: p.input("w", np.ones(3), lower=np.zeros(2)))
    says(ShapeError, lambda: p.define("u", p["v"], labels=["a"]))
    assert list(p) == ["x", "v"] and p.version == version and not p.equations
    for name in "yzwu":
        p.input(name, 1.0)


def test_symbols_of_another_program(p: la.Program) -> None:
    other = la.Program("other")
    foreign = other.input("q", 1.0)
    says(DeclarationError, lambda: p["x"] + foreign, "'model'", "'other'", "declare")
    says(DeclarationError, lambda: p.define("y", foreign * 2), "equation of 'y'", "'other'", r"\(q\)", "'model'")
    y = p.variable("y")
    says(DeclarationError, lambda: p.equate(y, foreign), "right side", "'other'", r"\(q\)")
    says(DeclarationError, lambda: p.equate(foreign, 1.0), "left side", "'other'")
    says(DeclarationError, lambda: p.minimize(foreign), "objective", "'other'")
    says(DeclarationError, lambda: p.subject_to(foreign <= 1), "constraint", "'other'")
    says(DeclarationError, lambda: p.variable("z", start=foreign), "start of 'z'", "'other'")
    says(DeclarationError, lambda: p.equate(y, 1.0, for_=foreign), "for_")
    p.equate(y, p["x"])
    p.minimize(y)
    at = p.evaluate()
    says(UnknownNameError, lambda: at[foreign], "q is of the program 'other'", "'model'")
    says(UnknownNameError, lambda: at[foreign * 2], "'other'", "'model'")
    same_name = other.input("x", 3.0)
    for read in (at.gradient, at.multiplier, at.residual):
        says(UnknownNameError, lambda read=read: read[same_name], "'x' is of the program 'other', not of 'model'")
    says(UnknownNameError, lambda: p.evaluate({same_name: 1.0}), "'x' is of the program 'other'")


def test_conditions_are_not_equations(p: la.Program) -> None:
    x = p["x"]
    says(DeclarationError, lambda: p.define("y", x > 0), "equation of 'y'", "x > 0", r"np\.where")
    says(DeclarationError, lambda: p.minimize(x > 0), "objective", "comparison")
    says(DeclarationError, lambda: p.equate(x == 1, 0), "left side", "comparison")


@pytest.mark.parametrize("what", ["abc", None, 1j, ["a", "b"], [1.0, "b"], [[1.0], [1.0, 2.0]], object(), {"a": 1}])
def test_values_of_a_wrong_type(p: la.Program, what: Any) -> None:
    shown = re.escape(str(what)[:10])
    says(DeclarationError, lambda: p.input("y", what), "value of 'y'", "a number or an array of numbers", shown)
    says(DeclarationError, lambda: p.evaluate(x=what), "value of 'x'", "a number or an array", shown)
    says(DeclarationError, lambda: p.set(x=what), "value of 'x'", shown)
    if what is not None:
        says((DeclarationError, ExpressionTypeError), lambda: p.define("y", what), shown)


def test_an_expression_is_not_a_value(p: la.Program) -> None:
    says(DeclarationError, lambda: p.input("y", p["x"]), "value of 'y'", "number", r"define\(")
    says(DeclarationError, lambda: p.evaluate(x=p["x"]), "value of 'x'")
    says(DeclarationError, lambda: p.input("y", [p["x"], 1.0]), "value of 'y'")


@pytest.mark.parametrize("bad, word", [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_values_that_are_not_finite(p: la.Program, bad: float, word: str) -> None:
    for use in (lambda: p.input("y", bad), lambda: p.evaluate(x=bad), lambda: p.set(x=bad)):
        says(DeclarationError, use, f"value of '[xy]' is {word}", "finite")
    for use in (lambda: p.evaluate(v=[1.0, bad, 2.0]), lambda: p.input("y", [1.0, bad, 2.0])):
        says(DeclarationError, use, rf"{word} at index \(1,\)")
    says(DeclarationError, lambda: p.variable("y", start=bad), f"start of 'y' is {word}")
    p.equate(p.variable("z"), 1.0)
    says(DeclarationError, lambda: p.evaluate(start={"z": bad}), f"start of 'z' is {word}")


def test_a_nan_bound(p: la.Program) -> None:
    says(DeclarationError, lambda: p.input("y", 1.0, lower=np.nan), "lower bound of 'y' is NaN")
    crossed = "bounds of 'y' are crossed"
    says(DeclarationError, lambda: p.input("y", 1.0, lower=2, upper=1), crossed, "lower 2", "upper 1")
    says(DeclarationError, lambda: p.variable("y", domain=(1, 0)), "domain of 'y' is empty")
    says(DeclarationError, lambda: p.variable("y", domain=3), "domain of 'y'", r"\(low, high\)")
    says(DeclarationError, lambda: p.variable("y", domain=(0, np.nan)), "domain of 'y'")


# shapes ----------------------------------------------------------------------------------------------------------


def test_shapes_that_do_not_fit(p: la.Program) -> None:
    y = p.variable("y", 3)
    says(ShapeError, lambda: p.equate(y, np.ones(2)), "'?y'?", r"\(3,\)", r"\(2,\)")
    says(ShapeError, lambda: p.equate(y[:2] * 2, p["v"], name="law"), "equation law|'law'", r"\(2,\)", r"\(3,\)")
    says(ShapeError, lambda: p.equate(p.variable("s"), p["v"]), r"\(\)", r"\(3,\)")
    says(ShapeError, lambda: p.evaluate(v=np.ones(2)), "value of 'v'", r"\(2,\)", r"\(3,\)")
    says(ShapeError, lambda: p.evaluate(x=np.ones(2)), "value of 'x'", r"\(2,\)", r"\(\)")
    says(ShapeError, lambda: p.set(v=np.ones((3, 1))), "value of 'v'", r"\(3, 1\)")
    says(ShapeError, lambda: p.input("w", np.ones(3), shape=2), "value of 'w'", r"\(3,\)", r"\(2,\)")
    says(ShapeError, lambda: p.variable("w", (2, -1)), "'w'", "negative")
    says(ShapeError, lambda: p.variable("w", "ab"), "shape of 'w'", "'ab'")
    says(ShapeError, lambda: p.variable("w", 2.5), "shape of 'w'", r"2\.5")
    says(ShapeError, lambda: p.variable("w", 3, labels=["a"]), "labels of 'w'", "1 given", r"\(3,\)")
    says(DeclarationError, lambda: p.variable("w", 2, labels=["a", "a"]), "labels of 'w'", "'a' names two elements")
    says(DeclarationError, lambda: p.variable("w", 2, labels=["a", "b\nc"]), "labels of 'w'", "cannot be shown")
    says(ShapeError, lambda: p.variable("w", 3, start=p["v"][:2]), "start of 'w'", r"\(2,\)", r"\(3,\)")
    p.equate(y, p["v"])
    p.equate(p["s"], 1.0)
    says(ShapeError, lambda: p.evaluate(start={"y": np.ones(2)}), "start of 'y'", r"\(2,\)")


def test_the_objective_is_one_scalar(p: la.Program) -> None:
    says(ShapeError, lambda: p.minimize(p["v"] * 2), r"scalar", r"v \* 2", r"\(3,\)", r"np\.sum")
    says(ShapeError, lambda: p.maximize(p["v"][:1]), r"\(1,\)")
    p.minimize(p["x"])
    says(DeclarationError, lambda: p.maximize(p["x"]), "declared already, at", PLACE)


def test_equations_without_symbols(p: la.Program) -> None:
    says(DeclarationError, lambda: p.equate(1.0, 2.0), "1 = 2", "no input or variable")
    says(DeclarationError, lambda: p.equate(p.variable("y"), 1.0, for_=p["x"]), "for_", "variable")


# structure -------------------------------------------------------------------------------------------------------


def test_a_variable_without_an_equation(p: la.Program) -> None:
    y = p.variable("y")
    p.define("z", y * p["x"])
    says(StructureError, p.evaluate, r"'model'", r"\by\b", "equation", PLACE)


def test_two_equations_for_one_variable(p: la.Program) -> None:
    y = p.define("y", p["x"])
    p.equate(y, 2 * p["x"], name="again")
    says(StructureError, p.evaluate, r"\by\b", "again", PLACE)


def test_equations_that_say_too_much_about_too_little(p: la.Program) -> None:
    x = p["x"]
    a, b = p.variable("a", start=1.0), p.variable("b", start=1.0)
    p.equate(a**2 + a, x, name="first")
    p.equate(a**3 - a, x, name="second")
    error = says(StructureError, p.evaluate, "first", "second", r"\bb\b", PLACE)
    assert "parameter" in str(error) or "input" in str(error) or "free" in str(error)
    assert b.shape == ()


def test_an_equation_of_inputs_only(p: la.Program) -> None:
    p.equate(p["x"], 2.0, name="pinned")
    says(StructureError, p.evaluate, "pinned")


# objective -------------------------------------------------------------------------------------------------------


def test_without_an_objective_there_are_values_but_no_multipliers(p: la.Program) -> None:
    p.define("y", p["x"] * 2)
    at = p.evaluate()
    assert at["y"] == 2.0 and at.residual["y"] == 0.0 and "no objective" in str(at)
    assert at.tangent({"x": 1.0})["y"] == 2.0
    for read in (lambda: at.multiplier["y"], lambda: at.gradient["x"], lambda: at.objective, lambda: at.explain("y")):
        says(MissingObjectiveError, read, "'model' has no objective", r"minimize\(expr\) or maximize\(expr\)")


# unknown names ---------------------------------------------------------------------------------------------------


def test_unknown_names(p: la.Program) -> None:
    p.input("load_factor", 1.0)
    y = p.define("yield_rate", p["x"] * p["load_factor"])
    p.minimize(y)
    at = p.evaluate()
    near = r"did you mean 'load_factor'\?"
    unknown = "'model' has no input or parameter 'load_facto'"
    says(UnknownNameError, lambda: p.evaluate(load_facto=1.0), unknown, near, "it has x, v")
    says(UnknownNameError, lambda: p.set(load_factr=1.0), "load_factr", near)
    says(UnknownNameError, lambda: p["load_factr"], near)
    says(UnknownNameError, lambda: at["load_factr"], near, "there are x, v")
    says(UnknownNameError, lambda: at.gradient["load_factr"], "no input or parameter", near)
    says(UnknownNameError, lambda: at.gradient["yield_rate"], "no input or parameter 'yield_rate'", "there are")
    says(UnknownNameError, lambda: at.multiplier["x"], "no equation 'x'", "there are yield_rate")
    says(UnknownNameError, lambda: at.multiplier["yield_rat"], "did you mean 'yield_rate'")
    says(UnknownNameError, lambda: at.residual["q"], "no equation 'q'")
    says(UnknownNameError, lambda: at[3], "no value 3")
    says(UnknownNameError, lambda: p.evaluate(q=1), "no input or parameter 'q'")
    says(UnknownNameError, lambda: p.evaluate({3: 1}), "3")
    near = "did you mean 'yield_rate'"
    says(UnknownNameError, lambda: p.evaluate(perturbation={"yield": 1}), "no equation 'yield'", near)
    says(UnknownNameError, lambda: p.evaluate(start={"q": 1}), "'q'")
    says(UnknownNameError, lambda: at.tangent({"q": 1}), "'q'")


def test_what_is_given_in_the_wrong_place(p: la.Program) -> None:
    p.variable("y", start=1.0)
    p.equate(p["y"] ** 2, p["x"])
    says(DeclarationError, lambda: p.evaluate(y=2.0), "'y' is a variable", r"evaluate\(start=\{'y': value\}\)")
    says(DeclarationError, lambda: p.evaluate(start={"x": 2.0}), "'x'", r"evaluate\(x=")
    says(DeclarationError, lambda: p.evaluate(start=3.0), "start=", "point or a dict", "float")


def test_a_start_that_needs_what_comes_later(p: la.Program) -> None:
    y = p.variable("y", start=1.0)
    z = p.variable("z", start=1.0)
    p.set(y=z * 2)
    p.equate(y**2, z)
    p.equate(z**2 + y, p["x"])
    says(DeclarationError, p.evaluate, "start of 'y' needs z, declared later")


# domains ---------------------------------------------------------------------------------------------------------


def test_log_of_a_negative_number(p: la.Program) -> None:
    p.define("y", np.log(p["x"] - 3.0) + 1.0)
    error = says(DomainError, p.evaluate, r"equation 'y'", PLACE, r"log\(x - 3\)", "x - 3 = -2", "argument > 0")
    assert error.at["x"] == 1.0 and not error.at.solved
    assert "NOT solved" in str(error.at)
    assert p.evaluate(x=4.0)["y"] == 1.0


@pytest.mark.parametrize("build, function, argument", [
    (lambda x: np.sqrt(x), "sqrt", "x = -1"),
    (lambda x: np.log1p(2 * x), "log1p", r"2 \* x = -2"),
    (lambda x: np.arcsin(x - 1), "arcsin", "x - 1 = -2"),
    (lambda x: np.arccosh(x), "arccosh", "x = -1"),
    (lambda x: x**0.5, r"x\*\*0\.5", "x = -1"),
    (lambda x: x ** (x / 2), r"x\*\*\(x / 2\)", "x = -1"),
    (lambda x: np.log(np.sqrt(x + 2) - 3), "log", r"sqrt\(x \+ 2\) - 3 = -2"),
    (lambda x: (x + 1) / (x + 1), r"\(x \+ 1\) / \(x \+ 1\)", r"x \+ 1 = 0"),
    (lambda x: np.arctanh(x - 1) * 0 + x, "arctanh", "x - 1 = -2"),
    (lambda x: np.where(x < 0, np.log(x), 0.0), "log", "x = -1"),
])  # fmt: skip
def test_every_domain_is_named(build: Any, function: str, argument: str) -> None:
    p = la.Program()
    p.define("y", build(p.input("x", -1.0)))
    says(DomainError, p.evaluate, "'y'", function, argument)


def test_in_an_array_the_element_is_named(p: la.Program) -> None:
    p.define("y", np.log(2.5 - p["v"]))
    says(DomainError, p.evaluate, r"y\[2\]", PLACE, r"at index \(2,\)", r"2\.5 - v = -0\.5", "argument > 0")


def test_in_a_sum_inside_an_elementwise_expression(p: la.Program) -> None:
    p.define("y", np.exp(np.sum(np.log(2.5 - p["v"]))))
    says(DomainError, p.evaluate, r"'y", PLACE, r"log\(2\.5 - v\)", r"at index \(2,\)")


def test_in_a_matrix_product(p: la.Program) -> None:
    p.define("y", np.eye(3) @ np.sqrt(p["v"] - 1.5))
    says(DomainError, p.evaluate, r"'y", r"sqrt\(v - 1\.5\)", r"v - 1\.5 = -0\.5", r"index \(0,\)")


def test_in_an_objective(p: la.Program) -> None:
    p.define("y", p["x"] - 3.0)
    p.minimize(np.log(p["y"]), name="cost")
    at = p.evaluate()
    assert at["y"] == -2.0 and at.solved
    for read in (lambda: at.objective, lambda: at.gradient["x"], lambda: at.multiplier["y"]):
        error = says(DomainError, read, "the objective 'cost'", PLACE, r"log\(y\)", "y = -2", "argument > 0")
        assert error.at is at
    assert "minimize cost = nan" in str(at) and "log(y) has no finite value" in str(at)
    assert "objective" not in at.as_dict()


def test_in_an_objective_with_a_reduction(p: la.Program) -> None:
    p.minimize(np.exp(np.sum(np.log(2.5 - p["v"]))))
    says(DomainError, lambda: p.evaluate().objective, "objective", r"log\(2\.5 - v\)", r"at index \(2,\)")


def test_a_constraint_outside_its_domain_does_not_stop_an_evaluation(p: la.Program) -> None:
    p.minimize(p["x"] ** 2)
    p.subject_to(np.log(p["x"] - 3.0) <= 1.0, name="c")
    p.subject_to(np.exp(np.sum(np.log(2.5 - p["v"]))) <= 1.0, name="d")
    at = p.evaluate()
    assert np.isnan(at["c"]) and np.isnan(at["d"]) and at.objective == 1.0
    assert at.gradient["x"] == 2.0
    assert "nan" in str(at)


def test_in_a_chain_the_first_equation_is_named(p: la.Program) -> None:
    y = p["x"]
    for i in range(10):
        y = p.define(f"y{i}", np.sqrt(y - 0.4))
    error = says(DomainError, p.evaluate, r"'y\d'", PLACE, r"sqrt\(y\d - 0\.4\)", "argument ≥ 0")
    name = re.search(r"equation '(y\d)'", str(error)).group(1)
    assert np.isnan(error.at[name]) and np.isfinite(error.at[f"y{int(name[1]) - 1}"])


def test_in_a_recurrence_the_first_element_is_named() -> None:
    p = la.Program()
    z0 = p.input("z0", 0.5)
    z = p.variable("z", 6)
    p.equate(z, np.concatenate([z0[None], np.sqrt(z[:-1] - 0.3)]))
    says(DomainError, p.evaluate,
         r"'z\[4\]'", PLACE, r"sqrt\(z\[:-1\] - 0\.3\)", r"= -0\.0107", r"index \(3,\)", "argument ≥ 0")


def test_in_a_cycle() -> None:
    p = la.Program()
    x = p.input("x", 1.0)
    y1, y2 = p.variable("y1", start=-1.0), p.variable("y2", start=2.0)
    p.equate(y1, x - 0.2 * y2)
    p.equate(y2, np.sqrt(y1))
    says(DomainError, p.evaluate,
         "'y2'", PLACE, r"sqrt\(y1\)", "y1 = -1", r"block \{y1, y2\}", "starts inside the domain")


def test_an_overflow_is_a_value() -> None:
    p = la.Program()
    x = p.input("x", 1000.0)
    p.define("y", np.exp(x))
    assert p.evaluate()["y"] == np.inf
    p.define("z", p["y"] - p["y"])
    says(DomainError, p.evaluate, "'z'", PLACE, r"y - y", ": y = inf; the result is too large, or undefined")


def test_the_branch_not_taken_is_not_accused(p: la.Program) -> None:
    p.define("y", np.where(p["x"] > 2, np.log(p["x"] - 2), 0.0) + np.sqrt(p["x"] - 3))
    says(DomainError, p.evaluate, r"sqrt\(x - 3\) has no finite value: x - 3 = -2")


# solves ----------------------------------------------------------------------------------------------------------


def test_a_cycle_that_does_not_converge() -> None:
    p = la.Program("hopeless")
    x = p.input("x", 1.0)
    y1, y2 = p.variable("y1", start=1.0), p.variable("y2", start=1.0)
    p.equate(y1, y2**2 + x)
    p.equate(y2, y1, name="link")
    p.minimize(y1)
    error = says(
        ConvergenceError, p.evaluate, r"block \{y1, y2\} of 'hopeless' did not converge", "worst: 'y1'", PLACE,
        r"y1 = y2\*\*2 \+ x", "right − left = ", "try a start", r"start=\{", "domain=",
    )
    at = error.at
    assert not at.solved and at["x"] == 1.0 and np.isfinite(at["y1"])
    assert max(abs(at.residual["y1"]), abs(at.residual["link"])) > 0.1
    assert at.residual["y1"] == pytest.approx(at["y2"] ** 2 + 1.0 - at["y1"])
    assert not at.blocks[0].converged and at.blocks[0].iterations > 0 and at.blocks[0].history
    says(SolveError, lambda: at.multiplier["y1"], "equations do not hold")
    says(SolveError, lambda: at.gradient["x"], "equations do not hold")
    assert "NOT" in str(at) and "did not" not in repr(at)
    assert json_like(at.as_dict())


def json_like(data: Any) -> bool:
    import json

    return bool(json.dumps(data))


def test_too_few_iterations() -> None:
    p = la.Program()
    x, y = p.input("x", 1.0), p.variable("y", start=50.0)
    p.equate(np.exp(y), x)
    says(ConvergenceError, lambda: p.evaluate(max_iterations=2), "limit of 2 iterations", r"exp\(y\) = x")
    assert p.evaluate()["y"] == pytest.approx(0.0, abs=1e-12)


def test_a_missing_start_is_mentioned() -> None:
    p = la.Program()
    y = p.variable("y")
    p.equate(y**2, p.input("x", -1.0))
    says(ConvergenceError, p.evaluate, "no start was given for y", "began at 0")


def test_a_double_root_has_values_but_no_multiplier() -> None:
    p = la.Program()
    x, y = p.input("x", 2.0), p.variable("y", start=2.0)
    p.equate((y - x) ** 2, 0.0, name="double")
    p.minimize(y)
    at = p.evaluate()
    assert at["y"] == 2.0 and at.solved and at.objective == 2.0
    for read in (lambda: at.multiplier["double"], lambda: at.gradient["x"], lambda: at.tangent({"x": 1.0})["y"]):
        says(SingularError, read, "singular", r"block \{y\}", "no multipliers there|The values stand", "double root")
    assert "y" in str(at) and "multiplier dJ" not in str(at)


def test_a_singular_linear_cycle() -> None:
    p = la.Program()
    a, b = p.variable("a", start=1.0), p.variable("b", start=1.0)
    p.equate(a, b)
    p.equate(b, a)
    p.minimize(a)
    at = p.evaluate()
    assert at["a"] == at["b"] == 1.0
    says(SingularError, lambda: at.multiplier["a"], r"\{a, b\}", "two equations that say the same")
    q = la.Program()
    a, b = q.variable("a", start=1.0), q.variable("b", start=1.0)
    q.equate(a, b + 1)
    q.equate(b, a)
    says(ConvergenceError, q.evaluate, r"\{a, b\}", "singular", "worst: 'a'", PLACE)


def test_errors_of_a_point_do_not_hide_its_text() -> None:
    p = la.Program()
    x = p.input("x", -1.0)
    p.define("y", np.log(x))
    p.define("z", p["y"] * 2)
    p.minimize(p["z"])
    error = says(DomainError, p.evaluate)
    for text in (str(error.at), repr(error.at), str(error.at.values)):
        assert text
    assert np.isnan(error.at["y"])


def test_perturbations_are_checked(p: la.Program) -> None:
    p.define("y", p["v"])
    says(ShapeError, lambda: p.evaluate(perturbation={"y": np.ones(2)}), "perturbation of 'y'", r"\(2,\)", r"\(3,\)")
    says(DeclarationError, lambda: p.evaluate(perturbation={"y": np.nan}), "perturbation of 'y' is NaN")
    says(UnknownNameError, lambda: p.evaluate(perturbation={"x": 1.0}), "no equation 'x'")
