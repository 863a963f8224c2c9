"""The examples: each runs as a script and prints the numbers that matter; the driver writes its table and picture."""

import csv
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
CASES = ROOT.parent / "shared" / "cases" / "coupled.json"


def run(folder: Path, name: str, *arguments: str, code: int = 0) -> str:
    """What an example prints, run as a user would, in a folder of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments], cwd=folder, env=environment,
        capture_output=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    if code == 0:
        assert done.stderr == ""
    return done.stdout


def module(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


def case(name: str) -> dict[str, Any]:
    """A published case, where the folder of cases is at hand."""
    if not CASES.exists():
        pytest.skip(f"the reference cases are not here: {CASES.name}")
    problems = json.loads(CASES.read_text(encoding="utf-8"))["problems"]
    return next(problem for problem in problems if problem["name"] == name)


# domke ------------------------------------------------------------------------------------------------------------


def test_domke_agrees_with_its_closed_form() -> None:
    example = module("domke")
    p = example["model"]()
    for x in (-3.0, 0.0, 0.1, 0.5, 1.0):
        at, by_hand = p.evaluate(x=x), example["closed_form"](x)
        for name in "abcdef":
            assert at.multiplier[name] == pytest.approx(by_hand[name], rel=1e-14, abs=0)
        assert at.gradient["x"] == pytest.approx(by_hand["x"], rel=1e-14, abs=0)
        u = np.exp(x) + np.exp(2 * x)
        for name, value in {"a": np.exp(x), "b": np.exp(2 * x), "c": u, "d": np.exp(u), "e": np.sin(u),
                            "f": np.exp(u) + np.sin(u)}.items():
            assert at[name] == pytest.approx(value, rel=2e-14, abs=0)


def test_domke_prints(tmp_path: Path) -> None:
    printed = run(tmp_path, "domke")
    assert "L = f" in printed and "λ_c = λ_d·exp(c) + λ_e·cos(c)" in printed
    worst = re.search(r"largest relative difference from the closed form: (\S+)", printed)
    assert worst is not None and float(worst[1]) < 1e-14
    assert "at the upper bound of x" in printed and "77.8661555" in printed
    assert list(tmp_path.iterdir()) == []


# sellar -----------------------------------------------------------------------------------------------------------


def test_sellar_agrees_with_what_is_published() -> None:
    example = module("sellar")
    p = example["model"]()
    at = p.evaluate()
    assert at["y1"] == pytest.approx(25.58830237, abs=5e-9)
    assert at["y2"] == pytest.approx(12.05848815, abs=5e-9)
    for name in ("z1", "z2", "x"):
        assert at.gradient[name] == pytest.approx(example["difference_gradient"](p, name), rel=1e-8)


def test_sellar_against_the_reference_case() -> None:
    computed = case("sellar")["analysis"]["computed"]
    at = module("sellar")["model"]().evaluate()
    for name, value in computed.items():
        assert at[name] == pytest.approx(value, rel=1e-13)


def test_sellar_prints(tmp_path: Path) -> None:
    printed = run(tmp_path, "sellar")
    assert "25.58830237" in printed and "12.05848815" in printed
    for by_multipliers, by_differences in re.findall(r"dJ/d\w+: (\S+) by multipliers, (\S+) by differences", printed):
        assert float(by_multipliers) == pytest.approx(float(by_differences), rel=1e-8)
    assert len(re.findall("by differences", printed)) == 3
    assert "z1 = 1.97764, z2 = 0.00000, x = 0.00000, objective 3.18339" in printed
    assert "3.262370772" in printed  # the best with bounds only, z1 = 2


# circuit ----------------------------------------------------------------------------------------------------------


def test_circuit_agrees_with_what_is_published() -> None:
    at = module("circuit")["model"]().evaluate()
    assert at["n1"] == pytest.approx(9.90804735, abs=5e-9)
    assert at["n2"] == pytest.approx(0.71278185, abs=5e-9)


def test_circuit_against_the_reference_case() -> None:
    problem = case("diode_circuit_openmdao")
    at = module("circuit")["model"]().evaluate(start={name: value for name, value in problem["start"].items()})
    for name, value in problem["computed"].items():
        assert at[name] == pytest.approx(value, rel=1e-12)


def test_circuit_prints(tmp_path: Path) -> None:
    printed = run(tmp_path, "circuit")
    assert "9.908047345" in printed and "0.712781853" in printed
    slope = re.search(r"dn1/dI = (\S+) V/A, dn2/dI = (\S+) V/A", printed)
    assert slope is not None
    p, step = module("circuit")["model"](), 1e-6
    ahead, behind = p.evaluate(I=0.1 + step), p.evaluate(I=0.1 - step)
    for name, shown in zip(("n1", "n2"), slope.groups(), strict=True):
        assert float(shown) == pytest.approx((ahead[name] - behind[name]) / (2 * step), rel=1e-5)
    rows = re.findall(r"^ +(0\.\d{3}) +(\S+) +(\S+)$", printed, re.MULTILINE)
    assert len(rows) == 10 and rows[-1] == ("0.100", "9.90805", "0.712782")


# equation files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["domke", "sellar", "circuit"])
def test_the_equation_file_is_the_same_program(name: str) -> None:
    from lagrange_ad import read

    options = {"constrained": True} if name == "sellar" else {}
    one, other = module(name)["model"](**options).evaluate(), read(str(EXAMPLES / f"{name}.lag")).evaluate()
    for symbol, value in one.values.items():
        assert other[symbol] == pytest.approx(float(value), rel=1e-11)
    if name != "circuit":
        for symbol in one.gradient:
            assert other.gradient[symbol] == pytest.approx(one.gradient[symbol], rel=1e-11)


# the driver -------------------------------------------------------------------------------------------------------


def check_files(history: Path, picture: Path, inputs: list[str], best: dict[str, float]) -> None:
    with history.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["step", "objective", "gradient_norm", "step_length", "rate", "seconds", *inputs]
    assert [int(row["step"]) for row in rows] == list(range(len(rows))) and len(rows) > 1
    for name, value in best.items():
        assert float(rows[-1][name]) == pytest.approx(value, abs=1e-7)
    image = pytest.importorskip("matplotlib.image")
    pixels = image.imread(str(picture))
    assert pixels.ndim == 3 and min(pixels.shape[:2]) >= 300
    colours = np.unique((pixels[..., :3] * 255).astype(int).reshape(-1, 3), axis=0)
    assert len(colours) > 20  # axes, text and a coloured curve
    assert (np.ptp(colours, axis=1) > 50).any()


def test_gradient_ascent_of_an_example_by_name(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    printed = run(tmp_path, "gradient_ascent", "sellar")
    assert "converged" in printed and "history in history.csv, plot in convergence.png" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["convergence.png", "history.csv"]
    check_files(tmp_path / "history.csv", tmp_path / "convergence.png", ["z1", "z2", "x"], {"z1": 2, "z2": 0, "x": 0})


def test_gradient_ascent_of_an_equation_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    printed = run(tmp_path, "gradient_ascent", str(EXAMPLES / "domke.lag"), "--rate", "1e-3",
                  "--history", "steps.csv", "--plot", "steps.png")
    assert "upper bound of x" in printed and "77.8661555" in printed
    check_files(tmp_path / "steps.csv", tmp_path / "steps.png", ["x"], {"x": 0.5})


def test_gradient_ascent_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    options = ("sellar", "--method", "adam", "--rate", "0.1", "--final-rate", "1e-3", "--checkpoint", "run.npz")
    first = run(tmp_path, "gradient_ascent", *options)
    assert "converged" in first and (tmp_path / "run.npz").exists()
    table = (tmp_path / "history.csv").read_text(encoding="utf-8")
    again = run(tmp_path, "gradient_ascent", *options)
    assert (tmp_path / "history.csv").read_text(encoding="utf-8") == table  # times included: no step was taken
    assert "converged" in again


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["nowhere.lag"], 2, "nowhere.lag"),
    ([str(EXAMPLES / "circuit.lag")], 2, "no objective"),
    ([str(EXAMPLES / "sellar.lag")], 2, "g1, g2"),
    (["domke", "--rate", "-1"], 2, "rate must be a positive number"),
])
def test_gradient_ascent_refuses_in_words(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, str(EXAMPLES / "gradient_ascent.py"), *arguments], cwd=tmp_path,
                          env=environment, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == code
    assert done.stderr.startswith("error: ") and words in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_gradient_ascent_that_does_not_converge_says_so_by_its_exit_code(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert "limit of 1 steps" in run(tmp_path, "gradient_ascent", "domke", "--rate", "1e-6", "--steps", "1", code=1)


# sweeps and branches ----------------------------------------------------------------------------------------------


def test_the_sweep_of_a_circuit_goes_on_from_its_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    printed = run(tmp_path, "sweep", "--plot", "curve.png", "--file", "curve.npz")
    assert "100 solved of 100 points" in printed
    rows = re.findall(r"^ +(\d\.\d{3}) +(\S+) +(\S+)$", printed, re.MULTILINE)
    assert [row[0] for row in rows] == ["0.100", "0.400", "0.700", "1.000"]
    p = module("sweep")["model"]()
    for current, n2, slope in rows:
        at = p.evaluate(I=float(current))
        assert float(n2) == pytest.approx(at["n2"], abs=1e-4)
        ahead, behind = (p.evaluate(I=float(current) + step).objective for step in (1e-5, -1e-5))
        assert float(slope) == pytest.approx((ahead - behind) / 2e-5, rel=1e-4)
    again = run(tmp_path, "sweep", "--file", "curve.npz")
    assert re.findall(r"^ +(\d\.\d{3}) +(\S+) +(\S+)$", again, re.MULTILINE) == rows
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.npz", "curve.png"]


def test_bratu_finds_its_turning_point(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    printed = run(tmp_path, "bratu", "--points", "15", "--plot", "fold.png")
    found = re.search(r"extrapolated: λ\* = (\S+), published (\S+)", printed)
    assert found is not None and float(found[1]) == pytest.approx(float(found[2]), abs=1e-3)
    assert (tmp_path / "fold.png").stat().st_size > 10_000
