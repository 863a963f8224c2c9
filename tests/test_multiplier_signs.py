"""The sign contract: λ is the change of the objective per unit added to the right side of an equation as written."""

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lagrange_ad as la

EXAMPLES = Path(__file__).parent.parent / "examples"
STEP = 1e-5
senses = pytest.mark.parametrize("sense", ["minimize", "maximize"])

Model = Callable[[str, Any], la.Program]
"""(sense, ε) → the program with ε written into the right side of the equation named ``at``."""


def explicit(sense: str, eps: Any) -> la.Program:
    p = la.Program()
    x = p.input("x", 0.7)
    y = p.define("at", x**2 + eps)
    getattr(p, sense)(3 * y - y**2 * x)
    return p


def explicit_by_equate(sense: str, eps: Any) -> la.Program:
    p = la.Program()
    x = p.input("x", 0.7)
    y = p.variable("y")
    p.equate(y, np.exp(x) + eps, name="at")
    getattr(p, sense)(y * x)
    return p


def implicit(sense: str, eps: Any) -> la.Program:
    p = la.Program()
    x = p.input("x", 0.7)
    y = p.variable("y", start=1.0)
    p.equate(y**3 + y, x + eps, name="at")
    getattr(p, sense)(5 * y + x)
    return p


def implicit_swapped(sense: str, eps: Any) -> la.Program:
    p = la.Program()
    x = p.input("x", 0.7)
    y = p.variable("y", start=1.0)
    p.equate(x, y**3 + y + eps, name="at")
    getattr(p, sense)(5 * y + x)
    return p


def implicit_zero(sense: str, eps: Any) -> la.Program:
    p = la.Program()
    x = p.input("x", 0.7)
    y = p.variable("y", start=1.0)
    p.equate(0, y**3 + y - x + eps, name="at")
    getattr(p, sense)(5 * y + x)
    return p


def determined_elsewhere(sense: str, eps: Any) -> la.Program:
    """An explicit equation that ends up determining another variable than its own."""
    p = la.Program()
    u = p.variable("u", start=1.5)
    y = p.define("at", u**2 + eps)
    p.equate(y, p.input("x", 4.0), name="given")
    getattr(p, sense)(u**3)
    return p


def cycle(sense: str, eps: Any) -> la.Program:
    p = la.Program()
    x = p.input("x", 0.7)
    a, b = p.variable("a", start=1.0), p.variable("b", start=1.0)
    p.equate(a, np.sqrt(b + 2) + x + eps, name="at")
    p.equate(b, 0.3 * a * x + 1)
    getattr(p, sense)(a**2 - 3 * b)
    return p


def cycle_beside(sense: str, eps: Any) -> la.Program:
    """ε enters an equation before the cycle."""
    p = la.Program()
    d = p.define("at", p.input("x", 0.7) ** 2 + eps)
    a, b = p.variable("a", start=1.0), p.variable("b", start=1.0)
    p.equate(a, np.sqrt(b + 2) + d)
    p.equate(b, 0.3 * a * d + 1)
    getattr(p, sense)(a**2 - 3 * b)
    return p


def self_reference(sense: str, eps: Any) -> la.Program:
    p = la.Program()
    x = p.input("x", 0.7)
    y = p.variable("at", start=0.5)
    p.equate(y, np.cos(x * y) + eps)
    getattr(p, sense)(np.exp(y))
    return p


def array(sense: str, eps: Any) -> la.Program:
    p = la.Program()
    x = p.input("x", [0.3, 0.9, 1.4])
    y = p.define("at", np.sin(x) * np.sum(x) + eps)
    getattr(p, sense)(np.sum(y**3) + y[0] * y[2])
    return p


def array_implicit(sense: str, eps: Any) -> la.Program:
    p = la.Program()
    x = p.input("x", [0.3, 0.9, 1.4])
    y = p.variable("y", 3, start=1.0)
    p.equate(y**3 + y[[1, 2, 0]] * 0.2, x + eps, name="at")
    getattr(p, sense)(np.sum(y * np.array([1.0, -2.0, 3.0])))
    return p


def array_swapped(sense: str, eps: Any) -> la.Program:
    p = la.Program()
    x = p.input("x", [0.3, 0.9, 1.4])
    y = p.variable("y", 3, start=1.0)
    p.equate(x, y**3 + y[[1, 2, 0]] * 0.2 + eps, name="at")
    getattr(p, sense)(np.sum(y * np.array([1.0, -2.0, 3.0])))
    return p


def recurrence(sense: str, eps: Any) -> la.Program:
    p = la.Program()
    x = p.input("x", 0.4)
    y = p.variable("y", 5)
    p.equate(y, np.concatenate([x[None], np.sin(y[:-1]) * 1.2]) + eps, name="at")
    getattr(p, sense)(np.sum(y**2))
    return p


def with_sums(sense: str, eps: Any) -> la.Program:
    """Auxiliaries between the equations."""
    p = la.Program()
    x = p.input("x", [0.3, 0.9])
    y = p.define("at", x * np.exp(np.sum(x**2)) + eps)
    z = p.define("z", np.array([[1.0, 2.0], [3.0, -4.0]]) @ y * np.sum(y))
    getattr(p, sense)(np.log(np.sum(np.exp(z / 10))) * y[1])
    return p


MODELS: list[Model] = [
    explicit, explicit_by_equate, implicit, implicit_swapped, implicit_zero, determined_elsewhere, cycle, cycle_beside,
    self_reference, array, array_implicit, array_swapped, recurrence, with_sums,
]  # fmt: skip
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)


def differences(objective: Callable[[Any], float], shape: tuple[int, ...]) -> Any:
    """(J(ε) − J(−ε)) / 2ε, element by element of ε."""
    slopes = np.zeros(shape)
    for index in np.ndindex(shape):
        eps = np.zeros(shape)
        eps[index] = STEP
        slopes[index] = (objective(eps) - objective(-eps)) / (2 * STEP)
    return slopes


@every_model
@senses
def test_multiplier_is_the_slope_by_perturbation(model: Model, sense: str) -> None:
    p = model(sense, 0.0)
    at = p.evaluate()
    slopes = differences(lambda eps: p.evaluate(perturbation={"at": eps}, start=at).objective,
                         np.shape(at.multiplier["at"]))
    assert np.abs(slopes).min() > 0.1  # or the sign says nothing
    np.testing.assert_allclose(at.multiplier["at"], slopes, rtol=1e-8)


@every_model
@senses
def test_multiplier_is_the_slope_by_an_edit_of_the_right_side(model: Model, sense: str) -> None:
    at = model(sense, 0.0).evaluate()
    slopes = differences(lambda eps: model(sense, eps).evaluate(start=at).objective, np.shape(at.multiplier["at"]))
    np.testing.assert_allclose(at.multiplier["at"], slopes, rtol=1e-8)


@every_model
def test_multipliers_and_gradients_do_not_depend_on_the_sense(model: Model) -> None:
    smallest, largest = (model(sense, 0.0).evaluate() for sense in ("minimize", "maximize"))
    assert smallest.objective == largest.objective
    np.testing.assert_array_equal(smallest.gradient["x"], largest.gradient["x"])
    for name in smallest.multiplier:
        np.testing.assert_array_equal(smallest.multiplier[name], largest.multiplier[name])


@every_model
@senses
def test_gradient_is_the_slope_of_the_objective_as_written(model: Model, sense: str) -> None:
    p = model(sense, 0.0)
    at = p.evaluate()
    slopes = differences(lambda eps: p.evaluate(x=at["x"] + eps, start=at).objective, np.shape(at["x"]))
    np.testing.assert_allclose(at.gradient["x"], slopes, rtol=1e-8)


def test_swapping_the_sides_of_an_implicit_equation_flips_its_multiplier() -> None:
    one, other = (model("minimize", 0.0).evaluate() for model in (implicit, implicit_swapped))
    assert one.multiplier["at"] == pytest.approx(-other.multiplier["at"], rel=1e-14)
    assert one.multiplier["at"] > 0  # adding to the right side of y³ + y = x raises y, and 5y + x with it


def test_a_parameter_has_a_gradient_of_the_same_sign() -> None:
    p = la.Program()
    k = p.parameter("k", 2.0)
    p.maximize(p.define("y", -3 * k))
    at = p.evaluate()
    assert at.gradient["k"] == -3.0 and at.multiplier["y"] == 1.0


@senses
def test_an_objective_that_is_a_variable_has_multiplier_one(sense: str) -> None:
    p = la.Program()
    x = p.input("x", 0.7)
    f = p.define("f", np.sin(x))
    getattr(p, sense)(f)
    at = p.evaluate()
    assert at.multiplier["f"] == 1.0
    assert list(at.multiplier) == ["f"]


@senses
def test_an_objective_expression_is_a_seed_and_no_equation(sense: str) -> None:
    p = la.Program()
    x = p.input("x", 0.7)
    a = p.define("a", x**2)
    getattr(p, sense)(3 * a, name="goal")
    at = p.evaluate()
    assert list(at.multiplier) == ["a"]
    assert at.multiplier["a"] == 3.0
    assert "goal" not in at.multiplier and at["goal"] == at.objective


def test_the_multiplier_of_a_variable_that_the_objective_ignores_is_zero() -> None:
    p = la.Program()
    x = p.input("x", 0.7)
    p.define("idle", x**2)
    p.minimize(x)
    assert p.evaluate().multiplier["idle"] == 0.0


def test_every_element_is_perturbed_by_a_scalar() -> None:
    p = array("minimize", 0.0)
    at = p.evaluate()
    slope = differences(lambda eps: p.evaluate(perturbation={"at": eps}).objective, ())
    assert np.sum(at.multiplier["at"]) == pytest.approx(float(slope), rel=1e-8)


def test_a_perturbed_point_is_stationary_too() -> None:
    p = cycle("minimize", 0.0)
    at, edited = p.evaluate(perturbation={"at": 0.5}), cycle("minimize", 0.5).evaluate()
    assert at["a"] == pytest.approx(edited["a"], rel=1e-12)
    assert at.multiplier["at"] == pytest.approx(edited.multiplier["at"], rel=1e-10)
    assert at.residual["at"] == pytest.approx(0.0, abs=1e-12)  # ε is a part of the right side


# explain ----------------------------------------------------------------------------------------------------------


def explained(text: str) -> tuple[str, list[str], list[Any], Any]:
    """(left side, the terms of the head line, their amounts, the total), parsed from what is printed."""
    head, *terms, total = text.splitlines()
    left, _, right = head.partition(" = ")
    amounts = []
    for line in terms:
        assert line.startswith("    ")
        term, *numbers = [part.strip() for part in line.split("  =  ")[0:1] + line.split("  =  ")[1].split(" = ")]
        assert term in right
        amounts.append(parsed(numbers[-1]))
        if len(numbers) == 2:  # λ × ∂r/∂z = amount
            one, other = (float(factor) for factor in numbers[0].split(" × "))
            np.testing.assert_allclose(one * other, amounts[-1], rtol=1e-8)
    assert total.startswith(f"{left} = ")
    return left, [line.split("  =  ")[0].strip() for line in terms], amounts, parsed(total.removeprefix(f"{left} = "))


def parsed(text: str) -> Any:
    """The numbers of ``1.5``, of ``[1, 2] (2,)`` or, as far as they are shown, of ``[1, 2, 3, …] (9,)``."""
    listed = re.fullmatch(r"\[(.*?)(, …)?\] \(.*\)", text)
    return float(text) if listed is None else np.array([float(n) for n in listed[1].split(",")])


def check_explanation(at: la.Point, name: str, expected: Any, terms: int | None = None) -> str:
    left, texts, amounts, total = explained(at.explain(name))
    tolerance = 1e-8 if np.ndim(expected) == 0 else 1e-4  # arrays are printed with fewer digits
    expected = expected if np.ndim(expected) == 0 else np.ravel(expected)[: np.size(total)]
    np.testing.assert_allclose(sum(amounts), expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(total, expected, rtol=tolerance, atol=tolerance)
    assert terms is None or len(texts) == terms
    return left


def example(name: str) -> la.Program:
    p: la.Program = runpy.run_path(str(EXAMPLES / f"{name}.py"))["model"]()
    return p


def test_explanations_of_domke_add_up() -> None:
    at = example("domke").evaluate()
    for name, terms in {"a": 2, "b": 1, "c": 2, "d": 1, "e": 1, "f": 1}.items():
        assert check_explanation(at, name, at.multiplier[name], terms) == f"λ_{name}"
    assert check_explanation(at, "x", at.gradient["x"], 1) == "dJ/dx"
    assert at.explain("c").splitlines()[0] == "λ_c = λ_d·exp(c) + λ_e·cos(c)"


def test_explanations_of_sellar_add_up() -> None:
    at = example("sellar").evaluate()
    assert check_explanation(at, "y1", at.multiplier["y1"], 2) == "λ_y1"
    assert check_explanation(at, "y2", at.multiplier["y2"], 2) == "λ_y2"
    for name in ("z1", "z2", "x"):
        assert check_explanation(at, name, at.gradient[name]) == f"dJ/d{name}"


def test_explanation_of_an_explicit_equation_with_a_name_of_its_own() -> None:
    at = explicit_by_equate("minimize", 0.0).evaluate()
    for name in ("y", "at"):
        assert check_explanation(at, name, at.multiplier["at"]) == "λ_at"  # λ goes by the equation's name


def test_explanation_of_implicit_equations_is_zero() -> None:
    """A variable without an equation of its own has the stationarity condition 0 = ∂L/∂z."""
    for model in (implicit, implicit_swapped, implicit_zero):
        at = model("maximize", 0.0).evaluate()
        for name in ("y", "at"):
            assert check_explanation(at, name, 0.0, 2) == "0"
        assert check_explanation(at, "x", at.gradient["x"], 2) == "dJ/dx"


def test_explanation_of_a_self_reference() -> None:
    at = self_reference("minimize", 0.0).evaluate()
    assert check_explanation(at, "at", at.multiplier["at"], 2) == "λ_at"


@pytest.mark.parametrize("model", [array, recurrence, with_sums, array_implicit], ids=lambda model: model.__name__)
def test_explanations_of_arrays_add_up(model: Model) -> None:
    at = model("minimize", 0.0).evaluate()
    if model is array_implicit:
        check_explanation(at, "y", np.zeros(3))
    else:
        check_explanation(at, "at", at.multiplier["at"])
    check_explanation(at, "x", at.gradient["x"])


def test_explanation_of_a_parameter() -> None:
    p = la.Program()
    k = p.parameter("k", 2.0)
    a = p.define("a", k**2)
    p.minimize(a * k)
    at = p.evaluate()
    assert check_explanation(at, "k", at.gradient["k"], 2) == "dJ/dk"


def test_explanation_of_what_matters_to_nothing() -> None:
    p = la.Program()
    x = p.input("x", 1.0)
    p.define("idle", x**2)
    p.minimize(x)
    assert p.evaluate().explain("idle") == "λ_idle = 0\nλ_idle = 0"


def test_a_long_explanation_is_cut_and_still_says_the_total() -> None:
    p = la.Program()
    x = p.input("x", 1.0)
    p.minimize(sum(p.define(f"y{i}", i * x) for i in range(100)))
    text = p.evaluate().explain("x")
    assert len(text.splitlines()) < 50 and max(map(len, text.splitlines())) < 500
    assert "60 more terms" in text and text.endswith("dJ/dx = 4950")


def test_explain_refuses_an_unknown_name_and_a_program_without_objective() -> None:
    with pytest.raises(la.UnknownNameError, match=r"nothing named 'y3' to explain; there are z1, z2, x, y1, y2$"):
        example("sellar").evaluate().explain("y3")
    with pytest.raises(la.MissingObjectiveError, match="no objective"):
        example("circuit").evaluate().explain("n1")
