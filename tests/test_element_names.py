"""One element of an array goes by the name that errors and tables print: ``v[3]``, ``v[bus_7]``, ``w[1, 2]``."""

import numpy as np
import pytest

import lagrange_ad as la
from lagrange_ad.lowering import Blocks


@pytest.fixture
def program() -> la.Program:
    p = la.Program("cycle")
    x = p.input("x", 0.5)
    y = p.variable("y", 2, start=1.0, labels=["a", "b"])
    p.equate(y, np.cos(y[::-1]) * x)
    p.define("w", np.outer(y, [1.0, 2.0, 3.0]))
    p.minimize(np.sum(y), name="J")
    return p


def test_every_element_is_found_by_the_name_that_is_printed() -> None:
    blocks = Blocks(["s", "v", "w", "e"], [(), (4,), (2, 3), (0,)], [None, ["p", "q", 7, "0"], None, None])
    for i in range(1, blocks.size):
        assert blocks.position(blocks.element(i)) == i
    assert blocks.position("v[-1]") == 4 and blocks.position("w[1,-1]") == blocks.position("w[1, 2]")
    for wrong in ("s[0]", "v", "v[4]", "v[r]", "v[1", "w[1]", "w[2, 0]", "e[0]", "u[0]", "v[]"):
        assert blocks.position(wrong) is None


def test_values_multipliers_and_residuals_of_one_element(program: la.Program) -> None:
    at = program.evaluate()
    assert at["y[0]"] == at["y[a]"] == at["y"][0] and at["w[1, 2]"] == at["w"][1, 2]
    assert at.multiplier["y[b]"] == at.multiplier["y"][1]
    assert at.residual["w[0, 1]"] == at.residual["w"][0, 1]
    assert isinstance(at["y[0]"], float)


def test_a_perturbed_element(program: la.Program) -> None:
    step = 1e-6
    at = program.evaluate()
    by_name = program.evaluate(perturbation={"y[0]": step})
    slope = (by_name.objective - at.objective) / step
    assert slope == pytest.approx(at.multiplier["y"][0], rel=1e-5)
    whole = program.evaluate(perturbation={"y": [step, 0.0]})
    np.testing.assert_array_equal(by_name["y"], whole["y"])


def test_expressions_as_keys_of_perturbations() -> None:
    p = la.Program("p")
    x = p.input("x", 1.0)
    y = p.define("y", x * np.array([1.0, 2.0]))
    assert p.evaluate(perturbation={y: 0.5})["y"].tolist() == [1.5, 2.5]
    assert p.evaluate(perturbation={y[1]: 0.5})["y"].tolist() == [1.0, 2.5]
    with pytest.raises(la.UnknownNameError, match=r"no equation to perturb 'y\[0:1\]': 'y' is an array"):
        p.evaluate(perturbation={y[0:1]: 0.5})
    with pytest.raises(la.UnknownNameError, match="of the program 'q', not of 'p'"):
        p.evaluate(perturbation={la.Program("q").input("z", [1.0, 2.0])[0]: 0.5})


@pytest.mark.parametrize(("ask", "message"), [
    (lambda p, at: at["y[7]"], r"'y' is an array of shape \(2,\), its first axis labelled a, b"),
    (lambda p, at: at["x[0]"], r"no value 'x\[0\]': 'x' is a scalar"),
    (lambda p, at: at.multiplier["w[0]"], r"no equation 'w\[0\]': 'w' is an array of shape \(2, 3\)"),
    (lambda p, at: p.evaluate(perturbation={"y[c]": 1.0}), r"no equation to perturb 'y\[c\]': 'y' is an array"),
    (lambda p, at: p.evaluate(perturbation={"z[0]": 1.0}), r"no equation 'z\[0\]' to perturb"),
    (lambda p, at: at["z[0]"], r"no value 'z\[0\]'"),
])
def test_what_is_not_there(program: la.Program, ask: object, message: str) -> None:
    with pytest.raises(la.UnknownNameError, match=message):
        ask(program, program.evaluate())  # type: ignore[operator]


def test_starts_take_whole_variables(program: la.Program) -> None:
    with pytest.raises(la.DeclarationError, match=r"start= takes whole variables, got 'y\[0\]': .* of shape \(2,\)"):
        program.evaluate(start={"y[0]": 1.0})


def test_an_element_is_explained_by_name(program: la.Program) -> None:
    at = program.evaluate()
    told = at.explain("y[0]")
    assert told == at.explain("y[a]") and told.splitlines()[0].startswith("λ_y[a] = ")
    assert float(told.splitlines()[-1].split("=")[1]) == pytest.approx(at.multiplier["y[0]"], rel=1e-9)
