"""Published coupled models, from their text: values to the published digits, derivatives by re-solves in 40 digits.

The equations of ``coupled.json`` and of two systems of ``nonlinear_systems.json`` are read as equation files. mpmath
evaluates the same text, solves it again at changed inputs or right sides, and so says what every derivative must be.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lagrange_ad as la

mpmath = pytest.importorskip("mpmath")
CASES = Path(__file__).parent.parent.parent / "shared" / "cases"


def problem(name: str, file: str = "coupled.json") -> dict[str, Any]:
    if not (CASES / file).exists():
        pytest.skip(f"the reference cases are not here: {file}")
    found = json.loads((CASES / file).read_text(encoding="utf-8"))
    return next(p for p in found["problems" if file == "coupled.json" else "systems"] if p["name"] == name)


@dataclass
class Model:
    """Equations "expr = 0" (or "variable = expr") as text, the inputs' values, the unknowns' starts, an objective."""

    name: str
    equations: list[str]
    inputs: dict[str, float]
    starts: dict[str, float]
    objective: str
    sense: str = "minimize"
    constraints: tuple[str, ...] = ()

    @property
    def program(self) -> la.Program:
        lines = [f"program {self.name}"]
        lines += [f"input {name} = {value!r}" for name, value in self.inputs.items()]
        lines += [f"variable {name} start {start!r}" for name, start in self.starts.items()]
        lines += [f"f{i}: {text}" if "=" in text else f"f{i}: {text} = 0" for i, text in enumerate(self.equations)]
        lines += [f"subject to g{i}: {text} <= 0" for i, text in enumerate(self.constraints)]
        return la.reads("\n".join([*lines, f"{self.sense} J: {self.objective}"]))

    def residual(self, i: int) -> Callable[..., Any]:
        """Left minus right side of equation i, of values by name."""
        left, _, right = self.equations[i].partition("=")
        return evaluator(f"{left} - ({right})" if right else left)

    def solved(self, near: dict[str, float], changed: str | int | None = None, by: Any = 0) -> Any:
        """The objective where an input, or the right side of equation number ``changed``, is larger by ``by``."""
        values = {name: mpmath.mpf(value) for name, value in self.inputs.items()}
        if isinstance(changed, str):
            values[changed] += by
        if self.equations:
            rows = [self.residual(i) for i in range(len(self.equations))]

            def equations(*unknowns: Any) -> list[Any]:
                here = values | dict(zip(self.starts, unknowns, strict=True))
                return [row(here) - (by if i == changed else 0) for i, row in enumerate(rows)]

            found = mpmath.findroot(equations, [mpmath.mpf(near[name]) for name in self.starts])
            values |= dict(zip(self.starts, found, strict=True))
        return evaluator(self.objective)(values)

    def slope(self, near: dict[str, float], changed: str | int) -> float:
        """dJ/d(input) or dJ/d(right side), by central differences of solutions in 40 digits."""
        step = mpmath.mpf(10) ** -15 * max(1, abs(self.inputs[changed]) if isinstance(changed, str) else 0)
        return float((self.solved(near, changed, step) - self.solved(near, changed, -step)) / (2 * step))


def evaluator(text: str) -> Callable[[dict[str, Any]], Any]:
    """The expression as a function of values by name; numbers are taken as the doubles that they are read as."""
    assert re.fullmatch(r"[\w\s.+\-*/^(),]*", text)
    python = re.sub(r"(?<![\w.])(\d+\.?\d*(?:[eE][+-]?\d+)?)", r"mpf(\1)", text.replace("^", "**"))
    code = compile(python.strip(), "equation", "eval")
    functions = {name: getattr(mpmath, name) for name in ("mpf", "exp", "log", "sqrt")}
    return lambda values: eval(code, functions, values)


def replaced(equations: list[str], old: str, new: str) -> list[str]:
    """Equations with a literal number made an input."""
    assert any(old in text for text in equations)
    return [text.replace(old, new) for text in equations]


# the models -------------------------------------------------------------------------------------------------------


def sellar() -> Model:
    p = problem("sellar")
    optimize = p["optimize"]
    return Model("sellar", p["fixed_point_form"], p["analysis"]["inputs"], {"y1": 1.0, "y2": 1.0},
                 optimize["objective"], constraints=tuple(optimize["inequalities_le0"]))


def sellar_implicit() -> Model:
    model = sellar()
    model.equations = problem("sellar")["coupling_equations"]
    return model


def diode() -> Model:
    p = problem("diode_circuit_openmdao")
    return Model("diode", replaced(p["equations"], "0.1-", "I-"), {"I": 0.1}, p["start"], "n2")


def diode_resistor() -> Model:
    p = problem("diode_resistor_lambertw")
    return Model("diode_resistor", replaced(p["equations"], "5-", "Vs-"), {"Vs": 5.0}, p["start"], "1000*I")


def speed_reducer() -> Model:
    p = problem("golinski_speed_reducer")["optimize"]
    return Model("golinski", [], p["start"], {}, p["objective"], constraints=tuple(p["inequalities_le0"]))


def williams_otto() -> Model:
    p = problem("williams_otto_recycle")
    best, start = p["optimize"]["computed"]["x"], p["optimize"]["start"]
    design = ("FA", "FB", "V", "T", "eta")
    return Model("williams_otto", p["equations"], {name: best[name] for name in design},
                 {name: start[name] for name in p["variables"] if name not in design}, p["optimize"]["objective"],
                 "maximize", tuple(p["optimize"]["inequalities_le0"]))


def betz() -> Model:
    p = problem("actuator_disc_betz")
    return Model("betz", p["equations"], {"a": p["optimize"]["start"]["a"]}, {"Cp": 0.0}, "Cp", "maximize")


def transistor() -> Model:
    p = problem("bjt_fixed_bias")
    equations = replaced(replaced(p["equations"], "(12-", "(Vcc-"), "1000000", "RB")
    return Model("bjt", equations, {"Vcc": 12.0, "RB": 1e6}, p["start"], "1000*IC")


def propane() -> Model:
    p = problem("propane_combustion_5", "nonlinear_systems.json")
    constants = {name: float(evaluator(text)({})) for name, text in p["defs"].items()}
    return Model("propane", p["equations"], constants, dict(zip(p["vars"], map(float, p["start"]), strict=True)), "x4")


def heart() -> Model:
    p = problem("heart_dipole_8", "nonlinear_systems.json")
    equations = replaced(p["equations"], "+12.6", "+m")
    return Model("heart", equations, {"m": 12.6}, dict(zip(p["vars"], map(float, p["start"]), strict=True)), "t*u+v*w")


MODELS = [sellar, sellar_implicit, diode, diode_resistor, speed_reducer, williams_otto, betz, transistor, propane,
          heart]


# values -----------------------------------------------------------------------------------------------------------


def test_sellar_s_analysis() -> None:
    for make in (sellar, sellar_implicit):
        at, wanted = make().program.evaluate(), problem("sellar")["analysis"]
        for name in ("y1", "y2"):
            assert at[name] == pytest.approx(wanted["published"][name], abs=5e-9)
            assert at[name] == pytest.approx(wanted["computed"][name], rel=1e-14)


def test_sellar_at_its_optimum() -> None:
    p = problem("sellar")["optimize"]
    at = sellar().program.evaluate({name: p["computed"]["x"][name] for name in ("z1", "z2", "x")})
    assert at.objective == pytest.approx(p["published"]["f"], abs=5e-9)
    assert at["y1"] == pytest.approx(p["published"]["y1"], rel=1e-9)
    assert at["y2"] == pytest.approx(p["published"]["y2"], abs=5e-7)
    assert abs(at["g0"]) < 1e-11 and at["g1"] == pytest.approx(at["y2"] - 24, rel=1e-15)  # y1 >= 3.16 holds it


@pytest.mark.parametrize("start", ["start", "hard_start"])
def test_diode_circuit(start: str) -> None:
    p = problem("diode_circuit_openmdao")
    at = diode().program.evaluate(start=p[start])
    for name in ("n1", "n2"):
        assert at[name] == pytest.approx(p["published"][name], abs=5e-9)
        assert at[name] == pytest.approx(p["computed"][name], rel=1e-12)
    assert at["n1"] / 100 == pytest.approx(p["published"]["iR1"], abs=5e-9)
    assert (at["n1"] - at["n2"]) / 10_000 == pytest.approx(p["published"]["iR2"], abs=5e-9)


def test_diode_and_resistor_by_lambert_s_function() -> None:
    program = diode_resistor().program
    for volts in (0.1, 1.0, 5.0, 50.0):
        at = program.evaluate(Vs=volts)
        vt, r, current = mpmath.mpf(0.02585), 1000, mpmath.mpf(1e-12)
        w = mpmath.lambertw(current * r / vt * mpmath.exp((volts + current * r) / vt))
        assert at["I"] == pytest.approx(float(vt / r * w - current), rel=1e-12)
        assert at.gradient["Vs"] == pytest.approx(float(w / (1 + w)), rel=1e-12)  # of 1000·I
    for name, value in problem("diode_resistor_lambertw")["computed"].items():
        assert program.evaluate()[name] == pytest.approx(value, rel=1e-13)


def test_speed_reducer_at_its_optimum() -> None:
    p = problem("golinski_speed_reducer")["optimize"]
    at = speed_reducer().program.evaluate(p["computed"]["x"])
    assert at.objective == pytest.approx(p["published"]["f"], abs=5e-7)
    rounded = dict(zip(p["computed"]["x"], p["published"]["x"], strict=True))
    assert speed_reducer().program.evaluate(rounded).objective == pytest.approx(p["published"]["f"], rel=1e-6)
    constraints = np.array([at[f"g{i}"] for i in range(11)])
    assert constraints.max() < 1e-12
    assert np.flatnonzero(constraints > -1e-9).tolist() == [4, 5, 7, 10]


def test_williams_otto_s_return_on_investment() -> None:
    p = problem("williams_otto_recycle")["optimize"]
    at = williams_otto().program.evaluate()
    assert round(at.objective, 1) == p["published"]["ROI_percent"]
    assert at.objective == pytest.approx(p["computed"]["ROI"], rel=1e-9)
    for name, value in p["computed"]["x"].items():
        assert at[name] == pytest.approx(value, rel=1e-9)
    assert at["g0"] < 0  # more could be sold, and no bound holds: nothing is gained by any change
    for name, slope in at.gradient.items():
        assert slope * at[name] == pytest.approx(0.0, abs=1e-8)


def test_betz_s_limit() -> None:
    p = problem("actuator_disc_betz")["optimize"]["published"]
    at = betz().program.evaluate(a=p["a"])
    assert at["Cp"] == pytest.approx(p["Cp"], rel=1e-15)
    assert at.gradient["a"] == pytest.approx(0.0, abs=1e-15)
    best = betz().program.ascend()
    assert best.at["a"] == pytest.approx(1 / 3, abs=1e-6) and best.objective == pytest.approx(16 / 27, rel=1e-12)


def test_bias_of_a_transistor() -> None:
    at = transistor().program.evaluate()
    for name, value in problem("bjt_fixed_bias")["computed"].items():
        assert at[name] == pytest.approx(value, rel=1e-11)


def test_propane_combustion() -> None:
    at = propane().program.evaluate()
    root = problem("propane_combustion_5", "nonlinear_systems.json")["roots"][0]["x"]
    for i, (digits, exact) in enumerate(zip(problem("propane_combustion")["published"], root, strict=True), 1):
        assert float(f"{at[f'x{i}']:.6g}") == digits
        assert at[f"x{i}"] == pytest.approx(exact, rel=1e-12)


def test_heart_dipole() -> None:
    at = heart().program.evaluate()
    values = np.array([at[name] for name in "abcdtuvw"])
    root = np.array(problem("heart_dipole_8", "nonlinear_systems.json")["roots"][0]["x"])
    swapped = root[[1, 0, 3, 2, 5, 4, 7, 6]]
    residuals = [float(heart().residual(i)(at.values)) for i in range(8)]
    assert np.abs(residuals).max() < 1e-12
    assert min(np.abs(values - other).max() for other in (root, swapped)) < 1e-12


# derivatives ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MODELS)
def test_every_derivative_by_solutions_in_40_digits(make: Callable[[], Model]) -> None:
    model = make()
    at = model.program.evaluate()
    near = {name: at[name] for name in model.starts}
    with mpmath.workdps(40):
        assert at.objective == pytest.approx(float(model.solved(near)), rel=1e-11)
        wanted = {name: model.slope(near, name) for name in model.inputs}
        prices = {i: model.slope(near, i) for i in range(len(model.equations))}
    for name, slope in wanted.items():
        rounding = 1e-13 * abs(at.objective / at[name])  # at an optimum large numbers cancel
        assert at.gradient[name] == pytest.approx(slope, rel=1e-9, abs=rounding), name
    for i, price in prices.items():
        name = next(n for n in at.multiplier if n == f"f{i}")
        assert at.multiplier[name] == pytest.approx(price, rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize("make", MODELS)
def test_every_partial_by_complex_steps(make: Callable[[], Model]) -> None:
    program = make().program
    report = la.testing.check_derivatives(program, program.evaluate(), hessian=True)
    report.raise_if_wrong()
    told = [row.verdict == "right" for row in report.rows if row.kind != "gradient"]
    assert report.ok and told and all(told)  # some gradients are nothing, at an optimum: differences find no digits
