"""The command line: what it prints, what it writes, and its exit codes."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import lagrange_ad as la
from lagrange_ad.cli import IN_A_FILE, main
from lagrange_ad.display import plots

ROOT = Path(__file__).parent.parent
SELLAR, DOMKE, CIRCUIT = (str(ROOT / "examples" / f"{name}.lag") for name in ("sellar", "domke", "circuit"))

HISTORY = [
    {"step": 0, "objective": 100.0, "gradient_norm": 8.0, "step_length": 0.0, "rate": 1.0},
    {"step": 1, "objective": 2.0, "gradient_norm": 1e-3, "step_length": 0.5, "rate": 1.0},
]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lagrange_ad", *arguments]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, capture_output=True, cwd=ROOT, env=environment, encoding="utf-8")


def as_json(capsys: pytest.CaptureFixture[str]) -> Any:
    """What was printed, as strict JSON: NaN and Infinity are refused."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(capsys.readouterr().out, parse_constant=refuse)


def find(data: Any, name: str) -> list[Any]:
    """Every value stored under a key, at any depth."""
    if isinstance(data, list):
        return [hit for item in data for hit in find(item, name)]
    if not isinstance(data, dict):
        return []
    here = [data[name]] if name in data else []
    return here + [hit for item in data.values() for hit in find(item, name)]


# evaluate ---------------------------------------------------------------------------------------------------


def test_evaluate_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", SELLAR]) == 0
    printed = capsys.readouterr()
    assert "25.58830" in printed.out and "y1" in printed.out  # y1 at the published starting point
    assert printed.err == ""


def test_evaluate_as_json_with_a_changed_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", DOMKE, "--json", "--set", "x=1/4", "--set", "x = 0.2"]) == 0
    data = as_json(capsys)
    assert any(hit == pytest.approx(np.exp(0.2), rel=1e-15) for hit in find(data, "a"))


def test_evaluate_without_an_objective(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", CIRCUIT, "--json"]) == 0
    n2 = find(as_json(capsys), "n2")
    assert any(hit == pytest.approx(0.7127818530123514, rel=1e-9) for hit in n2)


# ascend -----------------------------------------------------------------------------------------------------


def test_ascend_stops_at_the_bound_and_writes_what_it_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, picture = tmp_path / "out.csv", tmp_path / "out.png"
    arguments = ["ascend", DOMKE, "--rate", "1e-3", "--history", str(table), "--plot", str(picture)]
    assert main(arguments) == 0
    assert "0.5" in capsys.readouterr().out
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {"step", "objective", "gradient_norm", "step_length", "rate"} <= set(rows[0])
    objectives = [float(row["objective"]) for row in rows]
    assert objectives == sorted(objectives)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_ascend_that_runs_out_of_steps_shows_the_best_point_and_fails(
    capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["ascend", DOMKE, "--rate", "1e-6", "--steps", "2", "--line-search", "fixed"]
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert "x" in printed.out and printed.err.startswith("lagrange-ad: ")
    assert main([*arguments, "--json"]) == 1
    assert find(as_json(capsys), "x")


def test_ascend_without_an_objective_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ascend", CIRCUIT]) == 2
    assert "objective" in capsys.readouterr().err


# optimize ---------------------------------------------------------------------------------------------------


def test_optimize_prints_the_page_and_writes_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, picture = tmp_path / "out.csv", tmp_path / "out.png"
    assert main(["optimize", SELLAR, "--history", str(table), "--plot", str(picture)]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("sellar: optimum certified: ") and "3.183393952" in printed.out
    assert "0.986839874" in printed.out and printed.err == ""
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert float(rows[-1]["objective"]) == pytest.approx(3.18339395, abs=1e-6)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("options", "method", "space"), [
    (["--method", "slsqp", "--space", "reduced"], "slsqp", "reduced"),
    (["--space", "y1", "--tolerance", "1e-9"], "uno", "mixed"),
    (["--space", "full", "--time-limit", "100", "--max-iterations", "50"], "uno", "full"),
])
def test_optimize_by_other_ways_is_the_same_optimum(options: list[str], method: str, space: str,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["optimize", SELLAR, "--json", *options]) == 0
    data = as_json(capsys)
    assert (data["method"], data["space"], data["success"]) == (method, space, True)
    assert data["objective"] == pytest.approx(3.183393951640614, rel=1e-9)
    assert data["multipliers"]["g1"] == pytest.approx(0.986839874, rel=1e-6)
    assert data["lower"]["z2"] == pytest.approx(0.981589744, rel=1e-6)


def test_optimize_that_is_not_certified_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["optimize", SELLAR, "--max-iterations", "2"]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("sellar: not an optimum: ")
    assert printed.err == "lagrange-ad: the limit of 2 iterations was reached\n"
    assert main(["optimize", SELLAR, "--max-iterations", "2", "--quiet"]) == 1
    assert capsys.readouterr().out == ""
    assert main(["optimize", SELLAR, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_optimize_begins_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["optimize", SELLAR, "--json"]) == 0
    (tmp_path / "first.json").write_text(capsys.readouterr().out, encoding="utf-8")
    first = ["optimize", SELLAR, "--json", "--method", "slsqp"]
    assert main([*first, "--start", str(tmp_path / "first.json")]) == 0
    again = as_json(capsys)
    assert again["history"][0]["objective"] == pytest.approx(3.18339395, abs=1e-8)
    assert again["history"][0]["infeasibility"] < 1e-12
    (tmp_path / "numbers.json").write_text('{"z1": 3, "y1": 4.5}')
    assert main([*first, "--start", str(tmp_path / "numbers.json"), "--start", "z1=-2", "--max-iterations", "0"]) == 1
    values = as_json(capsys)["values"]
    assert (values["z1"], values["y1"]) == (-2.0, 4.5)
    assert main(["optimize", _file(tmp_path, HS71), "--json", "--start", "x1=1.5"]) == 0
    assert as_json(capsys)["objective"] == pytest.approx(17.0140173, abs=1e-6)


HS71 = """variable x1 start 1 in [1, 5]
variable x2 start 5 in [1, 5]
variable x3 start 5 in [1, 5]
variable x4 start 1 in [1, 5]
minimize x1*x4*(x1 + x2 + x3) + x3
subject to product: x1*x2*x3*x4 >= 25
subject to sphere: x1^2 + x2^2 + x3^2 + x4^2 == 40
"""


def test_optimize_from_many_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _file(tmp_path, "input x = -1 in [-2, 2]\nmaximize x - x^4 + 2*x^2")
    assert main(["optimize", path, "--starts", "6", "--history", str(tmp_path / "best.csv")]) == 0
    out = capsys.readouterr().out
    assert "6 of 6 starts led to 2 optima" in out and (tmp_path / "best.csv").exists()
    assert main(["optimize", path, "--starts", "6", "--seed", "1", "--json"]) == 0
    data = as_json(capsys)
    assert [len(one["starts"]) for one in data["optima"]] and data["best"]["values"]["x"] > 1.0
    (tmp_path / "many.json").write_text(json.dumps(data))
    assert main(["optimize", path, "--json", "--start", str(tmp_path / "many.json")]) == 0
    assert as_json(capsys)["values"]["x"] == pytest.approx(data["best"]["values"]["x"])


def test_optimize_names_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["optimize", "--help"]) == 0
    out = capsys.readouterr().out
    options = "--method --space --tolerance --max-iterations --time-limit --set --start --history --plot --json"
    options += " --quiet --starts --seed"
    assert all(option in out for option in options.split())


@pytest.mark.parametrize(("options", "words"), [
    (["--method", "unno"], "did you mean 'uno'?"),
    (["--space", "y1,"], "is not reduced, full or NAME,NAME"),
    (["--space", "zz"], "zz"),
    (["--space", "z1"], "--space: 'z1' is one of the inputs"),
    (["--tolerance", "0"], "not a positive number"),
    (["--max-iterations", "x"], "not a whole number"),
    (["--start", "none.json"], "there is no file 'none.json', and it is not NAME=VALUE"),
    (["--start", "zz=1"], "zz"),
    (["--start", SELLAR], "this is not JSON"),
    (["--seed", "1"], "say how many, --starts N"),
    (["--starts", "0"], "one start at least"),
    (["--method", "l-bfgs-b"], "takes no inequalities"),
])
def test_optimize_with_bad_input_is_2(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["optimize", SELLAR, *options]) == 2
    printed = capsys.readouterr()
    assert words in printed.err and printed.out == "" and "Traceback" not in printed.err


# show -------------------------------------------------------------------------------------------------------


def test_show_has_declarations_lagrangian_and_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", SELLAR]) == 0
    out = capsys.readouterr().out
    assert "program sellar" in out and "λ_y1" in out and "sellar.lag:10" in out


def test_show_without_an_objective(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", CIRCUIT]) == 0
    assert "states no objective" in capsys.readouterr().out


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", DOMKE, "--json", "--set", "x=0.3"]) == 0
    data = as_json(capsys)
    assert data["program"] == "domke" and data["lagrangian"].startswith("L")
    assert data["symbols"][0] == {"name": "x", "kind": "input", "value": 0.3, "lower": None, "upper": 0.5}
    assert {"name": "c", "equation": "c = a + b"} in data["equations"]


# failures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "words"), [
    (["evaluate", "sellarr.lag"], "no file 'sellarr.lag'"),
    (["evaluate", SELLAR, "--set", "zz=1"], "zz"),
    (["evaluate", SELLAR, "--set", "x"], "NAME=VALUE"),
    (["evaluate", SELLAR, "--set", "x=1+"], "expected an expression"),
    (["evaluate", SELLAR, "--set", "x=q"], "constant"),
    (["ascend", SELLAR, "--rate", "-1"], "not a positive number"),
    (["ascend", SELLAR, "--rate", "nan"], "not a positive number"),
    (["ascend", SELLAR, "--steps", "1.5"], "number of steps"),
    (["ascend", SELLAR, "--line-search", "wolfe"], "armijo"),
    (["ascend", SELLAR, "--history", "missing_folder/out.csv"], "no folder 'missing_folder'"),
    (["ascend", SELLAR, "--plot", "out.doc"], ".png"),
    (["improve", SELLAR], "invalid choice"),
    ([], "COMMAND"),
])
def test_bad_input_is_2_and_says_why(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert words in printed.err and printed.out == ""
    assert "Traceback" not in printed.err


def test_wrong_files_are_2_and_show_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wrong.lag"
    path.write_text("y = 1 +\n")
    assert main(["evaluate", str(path)]) == 2
    assert f"{path}:1:8: found the end of the line" in capsys.readouterr().err


def test_equations_without_a_solution_are_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "unsolvable.lag"
    path.write_text("variable y start 1\ny^2 = -1\n")
    assert main(["evaluate", str(path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("lagrange-ad: ") and "y" in error


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ascend", "--help"]) == 0
    out = capsys.readouterr().out
    options = "--rate --steps --tolerance --line-search --time --history --plot --set --json"
    options += " --method --schedule --checkpoint --checkpoint-every --resume"
    assert all(option in out for option in options.split())


def test_the_module_runs_as_a_command() -> None:
    done = run("evaluate", DOMKE)
    assert (done.returncode, done.stderr) == (0, "")
    failed = run("evaluate", "missing.lag")
    assert failed.returncode == 2 and failed.stderr.startswith("lagrange-ad: there is no file 'missing.lag'")
    assert run("--version").stdout.startswith("lagrange-ad ")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = [sys.executable, "-m", "lagrange_ad", "show", SELLAR]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


# the words of files ------------------------------------------------------------------------------------------


def _file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "model.lag"
    path.write_text(text)
    return str(path)


TWO_ROOTS = "input a = 4\nvariable y start 1\ny^2 = a\nminimize y"


def test_starts_choose_the_solution(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _file(tmp_path, TWO_ROOTS)
    for start, root in (("y=3", 3.0), ("y = -0.5", -3.0)):
        assert main(["evaluate", path, "--json", "--start", start, "--set", "a=9"]) == 0
        assert as_json(capsys)["values"] == {"a": 9.0, "y": root}
    assert main(["ascend", path, "--json", "--start", "y=-1", "--rate", "0.1", "--steps", "1"]) == 1
    assert as_json(capsys)["point"]["values"]["y"] < -2.0


def test_start_formulas_and_units_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _file(tmp_path, 'input a = 4 unit "m²"\nvariable y start a/2 unit "m"\ny^2 = a\nminimize y')
    assert main(["show", path, "--json"]) == 0
    assert [(s["value"], s["unit"]) for s in as_json(capsys)["symbols"]] == [(4.0, "m²"), ("a / 2", "m")]
    assert main(["evaluate", path, "--json"]) == 0
    assert as_json(capsys)["units"] == {"a": "m²", "y": "m"}
    assert main(["evaluate", path]) == 0
    assert "m²" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "arguments", "code", "advice"), [
    (TWO_ROOTS, ["evaluate", "--set", "a=-1"], 1, "('variable NAME start VALUE', or --start NAME=VALUE)"),
    (TWO_ROOTS, ["evaluate", "--set", "a=-1"], 1, "a 'domain (low, high)' after it"),
    (TWO_ROOTS, ["evaluate", "--set", "y=3"], 2, "write --start y=VALUE, or 'variable y start VALUE' in the file"),
    (TWO_ROOTS, ["evaluate", "--start", "a=3"], 2, "give its value, --set a=VALUE"),
    (TWO_ROOTS, ["ascend", "--line-search", "fixed"], 2, "--line-search 'fixed' needs --rate\n"),
    (TWO_ROOTS, ["ascend", "--line-search", "armijo", "--method", "adam"], 2, "does not go with --method 'adam'"),
    (TWO_ROOTS, ["ascend", "--resume"], 2, "--resume goes on from the file of --checkpoint, which is not given"),
    (TWO_ROOTS, ["ascend", "--resume", "none.npz"], 2, "leave out --resume, or, with --checkpoint, say --resume to"),
    ("input x = 1", ["ascend"], 2, "state one in the file, 'minimize …' or 'maximize …'"),
    ("y = 1\nminimize y", ["ascend"], 2, "state one in the file, 'input NAME = VALUE'"),
    ("input x = 1\nminimize x\nsubject to x >= 0", ["ascend"], 2, "Leave them out of the file"),
    (TWO_ROOTS, ["optimize", "--space", "reduced", "--set", "a=-1"], 1,
     "keep these variables, --space full or --space NAME,NAME"),
    ("input x = 1\ny + z = x\nvariable y\nvariable z\nminimize y", ["optimize", "--space", "y,z"], 2,
     "out of --space"),
    ("parameter k = 1\ninput x = 1\nminimize k*x^2", ["optimize", "--start", "k=2"], 2,
     "give its value, --set k=VALUE"),
    ("input x = 1", ["optimize"], 2, "state one in the file, 'minimize …' or 'maximize …'"),
    ("y = 1\nminimize y", ["optimize"], 2, "state one in the file, 'input NAME = VALUE'"),
])
def test_advice_is_for_files_and_options(text: str, arguments: list[str], code: int, advice: str, tmp_path: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    command, *options = arguments
    assert main([command, _file(tmp_path, text), *options]) == code
    error = capsys.readouterr().err
    assert advice in error
    for python in ("evaluate(", "start=", "declare one with", "rate=", "method=", "resume=", "scipy", "la."):
        assert python not in error


def test_every_advice_in_python_has_been_seen(tmp_path: Path) -> None:
    """The left sides of the table are what the library says, to the letter."""
    p = la.reads(TWO_ROOTS)
    said = []
    for call in (lambda: p.evaluate(a=-1), lambda: p.ascend(line_search="fixed"), la.reads("input x = 1").ascend,
                 la.reads("y = 1\nminimize y").ascend,
                 la.reads("input x = 1\nminimize x\nsubject to x >= 0").ascend,
                 lambda: la.reads(TWO_ROOTS).optimize(space="reduced", start={"a": -1}),
                 lambda: la.reads("input x = 1\nvariable y\nvariable z\ny + z = x\nminimize y").view(["y", "z"]),
                 lambda: la.reads(TWO_ROOTS).view(["a"])):
        with pytest.raises(la.LagrangeError) as caught:
            call()
        said.append(str(caught.value))
    for python, _ in IN_A_FILE:
        assert any(python in message for message in said), python


# plots ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_plots_are_written_in_every_format(tmp_path: Path, suffix: str) -> None:
    path = plots.plot_history(HISTORY, tmp_path / f"history{suffix}", title="sellar")
    assert path.stat().st_size > 1000


def test_plots_take_results_records_and_single_steps(tmp_path: Path) -> None:
    result = SimpleNamespace(history=[SimpleNamespace(**row) for row in HISTORY])
    assert plots.plot_history(result, tmp_path / "a.png").exists()
    single = [{"step": 0, "objective": -1.0, "gradient_norm": None}]
    assert plots.plot_history(single, tmp_path / "b.png").exists()


def test_plots_have_a_title_names_on_the_axes_and_logarithms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path: figures.append(figure))
    plots.plot_history(HISTORY, tmp_path / "a.png", title="sellar")
    upper, lower, last = figures[0].axes
    assert upper.get_title() == "sellar" and last.get_xlabel() == "step"
    assert [axes.get_ylabel() for axes in figures[0].axes] == ["objective", "gradient norm", "rate"]
    assert (upper.get_yscale(), lower.get_yscale()) == ("log", "log")
    assert list(upper.lines[0].get_ydata()) == [100.0, 2.0]
    plots.plot_history([*HISTORY, {"step": 2, "objective": -3.0, "gradient_norm": 0.0}], tmp_path / "b.png")
    assert [axes.get_yscale() for axes in figures[1].axes] == ["linear", "log"]


def test_a_running_mean_is_drawn_over_the_noise_of_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path: figures.append(figure))
    noise = np.random.default_rng(0).normal(size=200)
    history = [{"step": k, "objective": noise[k], "gradient_norm": abs(noise[k]), "rate": 0.1} for k in range(200)]
    plots.plot_history(SimpleNamespace(history=history, batched=True), tmp_path / "a.png")
    plots.plot_history(history, tmp_path / "b.png", smooth=5)
    plots.plot_history(history, tmp_path / "c.png")
    assert [len(figure.axes[0].lines) for figure in figures] == [2, 2, 1]
    for figure, width in zip(figures[:2], (4, 5), strict=True):
        raw, mean = figure.axes[0].lines
        assert mean.get_label() == f"mean of {width} steps" and len(raw.get_ydata()) == 200
        middle = width // 2
        assert mean.get_xdata()[0] == middle
        np.testing.assert_allclose(mean.get_ydata()[0], noise[:width].mean())
        np.testing.assert_allclose(mean.get_ydata()[-1], noise[-width:].mean())
        assert len(figure.axes[2].lines) == 1


def test_plots_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(plots.PlotError, match="empty"):
        plots.plot_history([], tmp_path / "a.png")
    with pytest.raises(plots.PlotError, match=r"use \.png, \.svg or \.pdf"):
        plots.plot_history(HISTORY, tmp_path / "a.doc")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(plots.PlotError, match=r"pip install lagrange-ad\[plot\]"):
        plots.plot_history(HISTORY, tmp_path / "a.png")
