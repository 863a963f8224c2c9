"""The page of an optimum: the multipliers by name, in text, by rich and as HTML; its data, history, progress, plot."""

import csv
import io
import json
import re
import sys

import numpy as np
import pytest
from optimal_programs import Moved, hs71, sellar, sellar_s_optimum
from rich.console import Console

import lagrange_ad as la
from lagrange_ad import progress
from lagrange_ad.display.plots import PlotError
from lagrange_ad.optimization import optimum

FULL_WIDTH = 140


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", str(FULL_WIDTH))


def rows_of(text):
    """The cells of every line of a table by the first one; a name twice keeps its first line."""
    found = {}
    for line in text.splitlines():
        cells = re.split(r"\s{2,}", line.strip())
        found.setdefault(cells[0], cells[1:])
    return found


def table(report, heading):
    """The rows of the first table whose heading, or first column, is that."""
    chosen = next(t for t in report.tables if heading in (t.heading, t.columns[0].heading) and len(t.rows))
    names = [column.heading for column in chosen.columns]
    return {row[0]: dict(zip(names, row, strict=True)) for row in chosen.rows}


def number(text):
    return float(re.sub(r"[≤≥=] ", "", text))


# the page ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["full", "reduced", ["y1"]])
def test_the_page_has_the_shadow_prices_and_not_the_adjoints(space):
    r = sellar(Moved()).optimize(space=space, progress=False)
    page, exact = r._report(), sellar_s_optimum()
    lines = str(r).splitlines()
    assert lines[0] == "sellar: optimum certified: strict local minimum; the KKT conditions hold"
    assert lines[1] == f"minimize objective = {r.objective:.10g}" and r.objective == pytest.approx(exact["J"])
    variables = table(page, "variable")
    for name in ("y1", "y2"):
        assert number(variables[name]["value"]) == pytest.approx(exact[name])
        price = number(variables[name]["shadow price dJ*/dε"])
        assert price == pytest.approx(r.multiplier[name], rel=1e-8)
        assert abs(price - r.at.multiplier[name]) > 0.1
    inputs = table(page, "input")
    assert [inputs[name]["bound"] for name in ("z1", "z2", "x")] == ["", "≥ 0", "≥ 0"]
    assert number(inputs["z2"]["dJ*/d(bound)"]) == pytest.approx(r.multiplier.lower["z2"], rel=1e-8)
    active = table(page, "active constraints")
    assert list(active) == ["g1"] and active["g1"]["bound"] == "≥ 3.16"
    assert number(active["g1"]["multiplier dJ*/db"]) == pytest.approx(0.986839874, rel=1e-6)
    assert "not active: g2" in page.notes and any(note.startswith("certificate: feasible") for note in page.notes)


def test_what_was_chosen_is_said_and_why():
    p = sellar(Moved())
    said = str(p.optimize(progress=False))
    assert "chosen: constrained with a sparse Hessian" in said and "full space, as there are constraints" in said
    assert "chosen" not in str(p.optimize("slsqp", space="full", progress=False))
    q = la.Program("bowl")
    x = q.input("x", 1.0)
    q.minimize(x**2)
    assert q.optimize("l-bfgs-b", progress=False).why == "reduced space, as l-bfgs-b takes no equations"
    assert q.optimize("slsqp", progress=False).why.startswith("reduced space, as no constraints but bounds")


def test_rich_and_html_show_the_cells_of_the_text():
    r = sellar(Moved()).optimize(progress=False)
    stream = io.StringIO()
    Console(file=stream, width=FULL_WIDTH, color_system="truecolor", force_terminal=True).print(r)
    coloured = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    html = r._repr_html_()
    for part in r._report().shown():
        for row in part.rows:
            for cell in row:
                assert cell in coloured and cell.replace("&", "&amp;") in html
    assert "\x1b[" in stream.getvalue() and html.count("<table>") == 3


def test_maximize_has_the_users_sign_everywhere():
    p = la.Program("shop")
    work = p.input("work", 1.0, lower=0, upper=4.0, unit="h")
    made = p.define("made", 3.0 * work, unit="kg")
    gain = p.define("gain", 5.0 * made - made**2 / 4, unit="EUR")
    p.subject_to(made <= 6.0, name="sold")
    p.maximize(gain)
    for space in ("full", "reduced"):
        r = p.optimize(space=space, progress=False)
        page = r._report()
        assert str(r).splitlines()[1] == "maximize gain = 21 EUR"
        assert number(table(page, "active constraints")["sold"]["multiplier dJ*/db"]) == pytest.approx(2.0)
        assert number(table(page, "variable")["made"]["shadow price dJ*/dε"]) == pytest.approx(0.0, abs=1e-7)
        assert number(table(page, "variable")["gain"]["shadow price dJ*/dε"]) == pytest.approx(1.0)
        assert {row["unit"] for row in table(page, "variable").values()} == {"kg", "EUR"}
        assert r.history[-1].objective == pytest.approx(21.0, abs=1e-4) and r.history[0].at is None
        assert r.history[-1]["objective"] == r.history[-1].objective


def test_decisions_and_constraints_without_a_name():
    r = hs71(Moved()).optimize(progress=False)
    page = r._report()
    kinds = {row["kind"] for row in table(page, "input or decision").values()}
    assert "decision" in kinds and r.as_dict()["decisions"]
    p = la.Program("unnamed")
    x = p.input("x", 1.0)
    p.subject_to(x**2 == 4.0)
    p.minimize(x)
    active = table(p.optimize(start={"x": -1.5}, progress=False)._report(), "active constraints")
    assert active["constraint_1"]["which is"] == "x**2 == 4" and active["constraint_1"]["bound"] == "= 4"
    assert number(active["constraint_1"]["multiplier dJ*/db"]) == pytest.approx(-0.25)


def test_bounds_of_variables_ranges_and_equations_of_their_own_names():
    p = la.Program("mixed")
    x = p.input("x", 0.0, lower=-5, upper=5)
    y = p.variable("y", start=1.0, upper=2.0)
    p.equate(y - 3.0 * x, 0.0, name="rule")
    p.subject_to(x + y, lower=-1.0, upper=100.0, name="range")
    p.maximize(y)
    for space in ("full", "reduced"):
        r = p.optimize(space=space, progress=False)
        page = r._report()
        row = table(page, "variable")["y"]
        assert row["bound"] == "≤ 2" and number(row["dJ*/d(bound)"]) == pytest.approx(1.0)
        assert number(table(page, "equation")["rule"]["shadow price dJ*/dε"]) == pytest.approx(
            r.multiplier["rule"], abs=1e-9)
        assert "not active: range" in page.notes


def test_what_fails_is_said_first_by_name():
    r = sellar(Moved()).optimize("slsqp", max_iterations=2, progress=False)
    lines = str(r).splitlines()
    assert lines[0].startswith("sellar: not an optimum: ") and "certified" not in lines[0]
    assert "why it stopped: the limit of 2 iterations was reached" in lines
    assert r.message == "the limit of 2 iterations was reached" and not r.success
    assert repr(r).startswith("<optimum of 'sellar': not certified (iterations), objective ")
    p = la.Program("saddle")
    a, b = p.input("a", 0.0), p.input("b", 0.0)
    p.minimize(a * b)
    s = p.optimize(progress=False)
    assert str(s).startswith("saddle: this is a saddle, no minimum")
    assert "ended as at an optimum" in str(s)


def test_without_multipliers_the_page_says_so(monkeypatch):
    r = sellar(Moved()).optimize(progress=False)

    def none(*arguments):
        raise la.SingularError("equation 'y1' is singular here")

    monkeypatch.setattr(optimum, "prices", none)
    text = str(r)
    assert "no multipliers: equation 'y1' is singular here" in text and "shadow price" not in text
    assert "≥ 3.16" in text
    data = r.as_dict()
    assert data["no_multipliers"] and "multipliers" not in data


# arrays ------------------------------------------------------------------------------------------------------


def many(n):
    p = la.Program("many")
    x = p.input("x", np.full(n, 0.5), lower=0.0, upper=1.0)
    y = p.define("y", 2.0 * x)
    goal = np.linspace(-0.5, 2.5, n)
    p.minimize(np.sum((x - goal) ** 2) + 0.0 * np.sum(y))
    return p, goal


def test_large_arrays_are_summarised_and_their_bounds_counted():
    p, goal = many(40_000)
    r = p.optimize("l-bfgs-b", progress=False)
    assert r.success
    text = str(r)
    assert len(text.splitlines()) < 30
    counted = table(r._report(), "bounds reached in arrays of inputs, counted")["x"]
    low, high = goal <= 0.0, goal >= 1.0
    assert (counted["at lower"], counted["at upper"]) == (str(low.sum()), str(high.sum()))
    multipliers = -2.0 * (goal - np.clip(goal, 0.0, 1.0))[low | high]  # of x − goal at the bound
    assert number(counted["least dJ*/d(bound)"]) == pytest.approx(multipliers.min(), rel=1e-5)
    assert number(counted["largest dJ*/d(bound)"]) == pytest.approx(multipliers.max(), rel=1e-5)
    cells = rows_of(text)["x"]
    assert cells[:2] == ["(40000,)", "value"] and number(cells[3]) == 1.0


def test_a_few_elements_of_a_large_array_are_named():
    p = la.Program("few")
    x = p.input("x", np.full(50, 0.5), upper=1.0)
    p.minimize(np.sum((x - np.linspace(0.0, 1.02, 50)) ** 2))
    p.subject_to(x[1:] - x[:-1] >= -1.0, name="step")
    reached = table(p.optimize(progress=False)._report(), "bounds reached in arrays of inputs")
    assert list(reached) == ["x[49]"] and reached["x[49]"]["bound"] == "≤ 1"
    assert number(reached["x[49]"]["dJ*/d(bound)"]) == pytest.approx(-2 * 0.02, rel=1e-5)


def test_many_rows_are_made_only_where_they_are_shown():
    p = la.Program("scalars")
    xs = [p.input(f"x{i}", 0.5, lower=0.0) for i in range(2000)]
    p.minimize(np.sum(np.array(xs)))
    r = p.optimize("l-bfgs-b", progress=False)
    text = str(r)
    assert len(text.splitlines()) < 60 and "… 19" in text


@pytest.mark.parametrize("width", [60, 80, 140])
def test_lines_fit_the_terminal_and_numbers_stay_whole(width):
    r = hs71(Moved()).optimize(progress=False)
    stream = io.StringIO()
    Console(file=stream, width=width).print(r)
    assert max(map(len, stream.getvalue().splitlines())) <= width
    for part in r._report().tables:
        for row in part.rows:
            for cell, column in zip(row, part.columns, strict=True):
                assert not column.numeric or cell in stream.getvalue()


# data --------------------------------------------------------------------------------------------------------


def test_data_is_complete_and_strict_json():
    r = sellar(Moved()).optimize(progress=False)
    data = json.loads(json.dumps(r.as_dict(), allow_nan=False))
    assert data["success"] and data["sense"] == "minimize" and data["objective"] == r.objective
    assert data["values"]["z1"] == r["z1"] and data["multipliers"]["g1"] == r.multiplier["g1"]
    assert data["lower"]["x"] == r.multiplier.lower["x"] and data["constraints"]["g2"] == pytest.approx(r["y2"])
    assert data["certificate"]["ok"] and len(data["history"]) == r.iterations + 1
    assert data["history"][0]["stationarity"] is None  # NaN where the method does not tell
    assert {"why", "space", "method", "verdict", "message", "notes", "decisions", "seconds"} <= set(data)


def test_data_of_a_point_without_a_value_has_none(monkeypatch):
    p = la.Program("edge")
    x = p.input("x", -1.0)
    p.minimize(np.log(x))
    r = p.optimize("l-bfgs-b", progress=False)
    assert not r.success
    data = json.loads(json.dumps(r.as_dict(), allow_nan=False))
    assert data["objective"] is None and data["values"]["x"] == -1.0
    assert "minimize objective = nan (" in str(r)
    assert "objective nan" in repr(r)


def test_the_history_is_written_as_csv(tmp_path):
    r = sellar(Moved()).optimize(progress=False)
    r.write_history(tmp_path / "out.csv")
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["iteration", "objective", "infeasibility", "stationarity", "seconds",
                             "z1", "z2", "x", "y1", "y2"]
    assert [float(row["objective"]) for row in rows] == [record.objective for record in r.history]
    assert (float(rows[0]["z1"]), rows[0]["stationarity"]) == (5.0, "nan")


# progress ----------------------------------------------------------------------------------------------------


def test_without_a_terminal_progress_is_lines_of_a_log(capsys):
    p = sellar(Moved())
    p.optimize(progress=None)
    assert capsys.readouterr().err == ""
    r = p.optimize(progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("sellar, uno: iteration 0  objective ") and "infeasibility" in lines[0]
    assert f"iteration {r.iterations}  objective 3.1833" in lines[-1] and "stationarity" in lines[-1]


def test_a_log_has_few_lines_however_long_the_run(monkeypatch, capsys):
    clock = iter(np.arange(0.0, 1e6, 0.05).tolist())
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    with progress.line("long", True, lambda k: (k, [("objective", "1")])) as show:
        for k in range(200_000):  # nearly three hours
            show(k)
    lines = capsys.readouterr().err.splitlines()
    assert 50 < len(lines) < 150
    assert lines[0].startswith("long: iteration 0  ") and "iteration 199999 " in lines[-1]


@pytest.mark.parametrize(("columns", "words"), [(60, "7  J 1.5  infeas. 1.0e-03"),
                                                (120, "iteration 7  objective 1.5  infeasibility 1.0e-03")])
def test_a_terminal_gets_one_line_that_fits_and_goes_away(columns, words, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    state = (7, [("objective", "1.5"), ("infeasibility", "1.0e-03"), ("stationarity", "1.0e-04")])
    with progress.line("[a name]", None, lambda happened: state) as show:
        show(None)
    told = capsys.readouterr().err
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", told)
    assert words in plain and max(len(line) for line in re.split(r"[\r\n]", plain)) <= columns
    assert ("[a name]" in plain) == (columns > 100)
    assert "\x1b[2K" in told  # the line is cleared


# the picture -------------------------------------------------------------------------------------------------


def test_convergence_is_drawn_from_the_history(tmp_path):
    from matplotlib.figure import Figure

    r = sellar(Moved()).optimize(progress=False)
    upper, lower = r.plot(path=tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    np.testing.assert_array_equal(upper.lines[0].get_ydata(), [record.objective for record in r.history])
    drawn = {line.get_label(): line.get_ydata() for line in lower.lines}
    np.testing.assert_array_equal(drawn["infeasibility"], [record.infeasibility for record in r.history])
    assert lower.get_yscale() == "log" and lower.get_xlabel() == "iteration" and "uno in full" in upper.get_title()
    mine = Figure().subplots(2)
    assert r.plot(ax=mine) == [mine[0], mine[1]]
    assert r.plot(ax=mine[1]) is mine[1]
    with pytest.raises(PlotError, match="got 3"):
        r.plot(ax=Figure().subplots(3))
    with pytest.raises(PlotError, match=r"use \.png"):
        r.plot(path=tmp_path / "out.doc")


def test_zeros_are_marked_below_and_what_is_not_told_is_left_out(tmp_path):
    p = la.Program("bowl")
    x = p.input("x", 3.0)
    p.minimize((x - 1.0) ** 4)
    r = p.optimize("l-bfgs-b", progress=False)
    assert all(record.infeasibility == 0.0 for record in r.history)
    axes = r.plot(path=tmp_path / "out.svg")[1]
    assert axes.lines[0].get_label() == "stationarity"
    heights = [line.get_ydata().min() for line in axes.lines if "0" in line.get_label()]
    assert all(height > 0.0 for height in heights)
