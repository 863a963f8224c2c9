"""Units are texts for display: beside values, in explanations, on axes, in JSON; never numbers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lagrange_ad as la
from lagrange_ad.cli import main
from lagrange_ad.display.plots import plot_history


def projectile(unit: str = "m/s") -> la.Program:
    p = la.Program("projectile")
    v = p.input("v", 2.0, upper=3.0, unit=unit)
    g = p.parameter("g", 9.81)
    t = p.define("t", 2.0 * v / g, unit="s")
    p.maximize(p.define("range", v * t, unit="m"))
    return p


@pytest.mark.parametrize("unit", [None, 1.0, ["m"], "m\ns", b"m", "m\0"])
@pytest.mark.parametrize("declare", [
    lambda p, unit: p.input("x", 1.0, unit=unit), lambda p, unit: p.parameter("x", 1.0, unit=unit),
    lambda p, unit: p.variable("x", unit=unit), lambda p, unit: p.define("x", 1.0, unit=unit),
])
def test_a_unit_is_a_text_of_one_line(declare: Any, unit: Any) -> None:
    p = la.Program("p")
    with pytest.raises(la.DeclarationError, match="the unit of 'x' must be a string of one line"):
        declare(p, unit)
    assert "x" not in p and not p.equations


def test_tables_show_units_beside_values() -> None:
    p = projectile()
    at = p.evaluate()
    for shown in (str(at), str(p.ascend(rate=0.1, steps=2, progress=False))):
        assert "m/s" in shown
    assert "m/s" not in str(projectile(unit="").evaluate())


def test_explanations_say_what_a_multiplier_is_measured_in() -> None:
    at = projectile().evaluate()
    assert at.explain("v").endswith(f"{4 * 2.0 / 9.81:.10g} m per m/s")
    assert at.explain("t").splitlines()[-1] == "λ_t = 2 m per s"
    assert at.explain("g").endswith(" m")
    p = la.Program("p")
    p.minimize(p.input("x", 3.0, unit="kg") ** 2)
    assert p.evaluate().explain("x").splitlines()[-1] == "dJ/dx = 6 per kg"
    p = la.Program("p")
    p.minimize(p.input("x", 3.0) ** 2)
    assert p.evaluate().explain("x").splitlines()[-1] == "dJ/dx = 6"


def test_data_have_units_where_there_are_any() -> None:
    assert projectile().evaluate().as_dict()["units"] == {"v": "m/s", "t": "s", "range": "m"}
    p = la.Program("p")
    p.input("x", np.ones(2))
    assert "units" not in p.evaluate().as_dict()


def test_the_axis_of_the_objective_has_its_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path: figures.append(figure))
    result = projectile().ascend(rate=0.1, steps=2, progress=False)
    plot_history(result, tmp_path / "a.png")
    plot_history(result.history, tmp_path / "a.png")
    assert [figure.axes[0].get_ylabel() for figure in figures] == ["objective, m", "objective"]


def test_files_and_the_command_line_carry_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "projectile.lag"
    projectile().write(path)
    assert 'input v = 2 in [-inf, 3] unit "m/s"' in path.read_text()
    assert main(["evaluate", str(path)]) == 0
    assert "m/s" in capsys.readouterr().out
    assert main(["ascend", str(path), "--json", "--rate", "0.1"]) == 0
    assert json.loads(capsys.readouterr().out)["point"]["units"]["v"] == "m/s"
