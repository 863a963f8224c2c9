"""What objects show of themselves: the same names and numbers as text, by rich and as HTML, however large they are."""

import io
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

import lagrange_ad as la
from lagrange_ad.cli import main
from lagrange_ad.tables import Column, Report, Rows, Table, array_cells
from lagrange_ad.tables.description import MOST_ROWS, shares
from lagrange_ad.tables.html import to_html
from lagrange_ad.tables.plain import to_plain
from lagrange_ad.tables.terminal import fitting

VOID = {"br"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and collects the cells of tables row by row."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows, self.tags = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag in VOID:
            return
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def sellar():
    p = la.Program("sellar")
    z1 = p.input("z1", 5.0, lower=-10, upper=10)
    z2 = p.input("z2", 2.0, lower=0, upper=10)
    y1, y2 = p.variable("y1", start=1.0), p.variable("y2", start=1.0)
    p.equate(y1, z1**2 + z2 - 0.2 * y2)
    p.equate(y2, np.sqrt(y1) + z1 + z2)
    p.minimize(z2 + y1 + np.exp(-y2))
    p.subject_to(y1 >= 3.16, name="g1")
    return p


def arrays():
    p = la.Program("arrays")
    load = p.input("load", [1.0, 2.0, 4.0], labels=["north", "south", "west"], unit="MW")
    u = p.input("u", np.linspace(-1.0, 3.0, 50))
    y = p.define("y", np.sin(u) * np.sum(load))
    p.minimize(np.sum(y**2) + np.sum(load**2))
    return p


def rows_of(text):
    """Lines by their first word, split at blanks."""
    return {line.split()[0]: line.split() for line in text.splitlines() if line.split()}


def in_colour(thing, width=100):
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(thing)
    return console.export_text(clear=False), console.export_text(styles=True)


# points -----------------------------------------------------------------------------------------------------


def test_a_points_text_has_its_numbers():
    at = sellar().evaluate()
    rows = rows_of(str(at))
    for name in ("z1", "z2"):
        assert rows[name][1] == "input"
        np.testing.assert_allclose([float(cell) for cell in rows[name][2:]], [at[name], at.gradient[name]], rtol=1e-9)
    for name in ("y1", "y2"):
        assert rows[name][1] == "variable"
        np.testing.assert_allclose([float(cell) for cell in rows[name][2:]], [at[name], at.multiplier[name]], rtol=1e-9)
    assert rows["g1"][:4] == ["g1", "y1", ">=", "3.16"] and float(rows["g1"][4]) == pytest.approx(at["y1"])
    assert "cycle {y1, y2}" in str(at) and f"{at.objective:.10g}" in str(at)


def test_rich_and_html_show_what_the_text_shows():
    at = sellar().evaluate()
    plain, styled = in_colour(at)
    assert {name: rows_of(plain)[name] for name in ("z1", "y1", "g1")} == {
        name: rows_of(str(at))[name] for name in ("z1", "y1", "g1")}
    assert "\x1b[" in styled and "\x1b[36m" in styled  # multipliers in a colour of their own
    cells = [[cell for cell in row if cell] for row in Page(at._repr_html_()).rows]
    assert rows_of(str(at))["y1"] in cells and rows_of(str(at))["z1"] in cells
    assert any("text-align: right" in line for line in at._repr_html_().splitlines())


def test_labelled_elements_have_rows_and_large_arrays_are_summarised():
    at = arrays().evaluate()
    rows = rows_of(str(at))
    for label, value, slope in zip(("north", "south", "west"), at["load"], at.gradient["load"], strict=True):
        row = rows[f"load[{label}]"]
        assert row[1:4] == ["input", f"{value:.10g}", "MW"] and float(row[4]) == pytest.approx(slope, rel=1e-9)
    u, y = np.linspace(-1.0, 3.0, 50), at["y"]
    assert rows["u"][1:4] == ["input", "(50,)", "value"]
    np.testing.assert_allclose([float(c) for c in rows["u"][4:]], [-1, 3, -1, 3, np.linalg.norm(u)], rtol=1e-4)
    assert rows["y"][2:4] == ["(50,)", "value"]
    expected = [y.min(), y.max(), y[0], y[-1], np.linalg.norm(y)]
    np.testing.assert_allclose([float(c) for c in rows["y"][4:]], expected, rtol=1e-4)
    lam = at.multiplier["y"]
    expected = [lam.min(), lam.max(), lam[0], lam[-1], np.linalg.norm(lam)]
    np.testing.assert_allclose([float(c) for c in rows["multiplier"][1:]], expected, rtol=1e-4)


def test_mappings_by_name_print_as_tables():
    at = arrays().evaluate()
    rows = rows_of(str(at.gradient))
    assert float(rows["load[south]"][1]) == pytest.approx(at.gradient["load"][1])
    assert rows["u"][1] == "(50,)" and "multiplier dJ/dε" in str(at.multiplier)
    assert str(sellar().evaluate().tangent({"z1": 1.0})).splitlines()[0].split() == ["symbol", "tangent"]
    assert repr(at.gradient).startswith(f"{{'load': [{at.gradient['load'][0]:.6g}, ")
    assert ["z1", f"{at_z1():.10g}"] in Page(sellar().evaluate().gradient._repr_html_()).rows


def at_z1():
    return sellar().evaluate().gradient["z1"]


def test_units_and_equations_without_a_variables_name():
    p = la.Program("diode")
    current = p.parameter("I", 0.1, unit="A")
    n = p.variable("n", start=0.5, unit="V")
    p.equate(current, n + n**3, name="kcl")
    at = p.evaluate()
    rows = rows_of(str(at))
    assert rows["I"][1:] == ["parameter", "0.1", "A"] and rows["n"][3] == "V"
    assert float(rows["kcl"][1]) == pytest.approx(at.residual["kcl"]) and "residual" in str(at)
    p.minimize(n**2)
    assert float(rows_of(str(p.evaluate()))["kcl"][1]) == pytest.approx(p.evaluate().multiplier["kcl"])


# other objects ----------------------------------------------------------------------------------------------


def test_a_program_prints_a_summary():
    p = sellar()
    text = str(p)
    assert "program sellar: 2 inputs, 2 variables, 2 equations, 1 constraint" in text
    assert "minimize objective: z2 + y1 + exp(-y2)" in text and "y2 = sqrt(y1) + z1 + z2" in text
    assert rows_of(text)["z1"] == ["z1", "input", "5", "-10", "10"] and text.endswith("cycle {y1, y2}")
    assert ["y2", "y2 = sqrt(y1) + z1 + z2"] in Page(p._repr_html_()).rows
    assert "no cycles" in str(arrays()) and "nothing declared yet" in str(la.Program("empty"))


def test_a_program_that_cannot_be_ordered_still_prints():
    p = la.Program("open")
    p.variable("lonely")
    assert "lonely" in str(p) and "program open: 1 variable" in str(p)


def test_an_ascent_prints_its_inputs():
    p = la.Program("hill")
    x = p.input("x", 0.5, upper=1.0)
    p.maximize(-((x - 2.0) ** 2))
    result = p.ascend(rate=0.1)
    row = rows_of(str(result))["x"]
    assert float(row[1]) == result["x"] == 1.0 and float(row[2]) == pytest.approx(2.0)
    assert ["x", *row[1:]] in Page(result._repr_html_()).rows and "upper bound of x" in in_colour(result)[0]


def test_a_reduced_view_prints_start_and_bounds():
    view = sellar().reduced()
    assert rows_of(str(view))["z1"] == ["z1", "5", "-10", "10"] and "2 inputs" in str(view) and "g1" in str(view)
    rows = [line.split() for line in str(arrays().reduced()).splitlines()]
    assert ["u", "(50,)", "x0", "-1", "3", "-1", "3", f"{np.linalg.norm(np.linspace(-1, 3, 50)):.5g}"] in rows


def test_a_schedule_calls_auxiliaries_auxiliaries():
    p = la.Program("aux")
    x = p.input("x", np.ones(50))
    c = p.define("c", np.exp(np.sum(x**2)) + np.sqrt(np.sum(np.sin(x))))
    p.define("d", c + x)
    text = str(p.schedule)
    assert "c and 2 auxiliaries of c" in text and "d[0]" in text
    assert any("auxiliaries of c" in cell for row in Page(p.schedule._repr_html_()).rows for cell in row)
    assert "<schedule of 'aux'" in repr(p.schedule)


# large, narrow, odd -----------------------------------------------------------------------------------------


def test_large_programs_print_few_lines_and_make_few_rows():
    p = la.Program("long")
    z = x = p.input("x", 0.1)
    for i in range(20_000):
        z = p.define(f"z{i}", 0.5 * z + x)
    p.minimize(z)
    at = p.evaluate()
    for shown in (p, at, at.multiplier, at.residual, p.schedule, p.lagrangian):
        assert len(str(shown).splitlines()) <= 62, type(shown)
        assert len(repr(shown)) < 500
    assert "z0 " in str(at) and "z19999 " in str(at) and "… 19961 more" in str(at)
    assert p.summary().count("\n") < 62 and "z19999 = 0.5 * z19998 + x" in p.summary()
    assert len(Page(at._repr_html_()).rows) < 62
    made = []
    table = Table("", [Column("n")], Rows(10**6, lambda i: made.append(i) or [str(i)]))
    assert to_plain(Report("", [table])).splitlines()[-1].strip() == "999999" and len(made) < 100


@pytest.mark.parametrize("width", [80, 120])
def test_lines_fit_the_terminal_and_numbers_stay_whole(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    p = la.Program("wide")
    x = p.input("a_rather_long_name_of_an_input_that_nobody_would_type", 0.1234567891)
    u = p.input("u", np.full(1000, 1 / 3))
    y = p.define("another_long_name", np.sin(x) + np.sum(u) ** 2)
    p.minimize(y)
    p.subject_to(y + x * 2 + y**2 - np.exp(x) <= 1e6, name="a_constraint")
    at = p.evaluate()
    for shown in (at, p, p.reduced(), at.gradient):
        text = str(shown)
        assert max(map(len, text.splitlines())) <= width, text
        assert "0.1234567891" in text or shown is at.gradient
    assert ("kind" in str(at).splitlines()[1]) == (width == 120)  # what inputs are is told by their gradient
    u_row = rows_of(str(at))["u"]
    assert u_row[4:6] == ["0.33333", "0.33333"] and (len(u_row) == 9) == (width == 120)


def test_columns_are_left_out_by_rank():
    table = Table("", [Column("name"), Column("b" * 30, numeric=True), Column("c" * 30, numeric=True, drop=1),
                       Column("d" * 30, numeric=True, drop=2)], [["x", "1", "2", "3"]])
    assert fitting(table, 200) == [0, 1, 2, 3]
    assert fitting(table, 80) == [0, 1, 2]
    assert fitting(table, 50) == [0, 1] == fitting(table, 10)


def test_html_escapes_what_users_wrote():
    report = Report("a<b & c", [Table("<t>", [Column("<i>"), Column("n", numeric=True)], [["a<b", "1"]])], ["x\n</p>"])
    page = Page(to_html(report))
    assert page.rows == [["<i>", "n"], ["a<b", "1"]] and "i" not in page.tags and "t" not in page.tags
    p = la.Program("a<b")
    x = p.input("x", np.zeros(2), labels=["<script>", "&"])
    p.minimize(np.sum(x))
    page = Page(p.evaluate()._repr_html_())
    assert "script" not in page.tags and page.rows[1][0] == "x[<script>]"


def test_shares_give_what_is_wanted_where_it_is_little():
    assert shares([3, 100, 100], 43) == [3, 20, 20] and shares([], 5) == [] and shares([10], 40) == [10]
    assert sum(shares([10**6] * 3, MOST_ROWS)) <= MOST_ROWS


def test_array_cells():
    assert array_cells([3.0, -4.0]) == ["-4", "3", "3", "-4", "5"]
    assert array_cells(np.zeros(0))[0] == "empty" and array_cells([1.0, np.nan])[0] == "nan"


def test_the_command_line_is_in_colour_on_a_terminal_alone(tmp_path, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    source = tmp_path / "p.lag"
    source.write_text("program p\ninput x = 3\ny = x^2\nminimize y\n")
    assert main(["evaluate", str(source)]) == 0
    plain = capsys.readouterr().out
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("sys.stdout", Terminal())
    assert main(["evaluate", str(source)]) == 0
    coloured = sys.stdout.getvalue()
    assert "\x1b[" in coloured and "\x1b[" not in plain
    assert rows_of(re.sub(r"\x1b\[[0-9;]*m", "", coloured))["y"] == rows_of(plain)["y"] == ["y", "variable", "9", "1"]


# explanations -----------------------------------------------------------------------------------------------


def test_one_element_is_explained():
    p = la.Program("elements")
    x = p.input("x", np.arange(1.0, 4.0), labels=["a", "b", "c"])
    y = p.define("y", x**2, labels=["a", "b", "c"])
    w = p.define("w", np.sin(y[:2]) * x[1])
    p.minimize(np.sum(w) + y[0])
    at = p.evaluate()
    lines = at.explain(y[0]).splitlines()
    assert lines[0] == "λ_y[a] = ∂J/∂y[a] + λ_w·∂r_w/∂y[a]"
    assert float(lines[-1].split("=")[1]) == pytest.approx(1.0 + np.cos(1.0) * 2.0)
    assert float(at.explain(x[1]).splitlines()[-1].split("=")[1]) == pytest.approx(at.gradient["x"][1])
    assert float(at.explain(y[-1]).splitlines()[-1].split("=")[1]) == 0.0


@pytest.mark.parametrize("make", [lambda y: y[:2], lambda y: y + 1.0, lambda y: np.exp(y[0])])
def test_other_expressions_are_not_explained(make):
    p = la.Program("elements")
    y = p.define("y", p.input("x", np.ones(3)) ** 2)
    p.minimize(np.sum(y))
    with pytest.raises(la.UnknownNameError, match=r"explain takes a name.*one element.*define\(name, expression\)"):
        p.evaluate().explain(make(y))


def test_too_narrow_for_the_numbers_is_several_tables(monkeypatch):
    """No number is cut and no name is folded letter by letter: what has no room stands below, names repeated."""
    p = la.Program("narrow")
    last = p.define("x_with_a_rather_long_name", 1234567.891 * p.input("x", 1.0, unit="kg/m3"), unit="W/(m2 K)")
    p.minimize(p.define("y_with_a_rather_long_name", np.sin(last), unit="W/(m2 K)"))
    at = p.evaluate()
    monkeypatch.setenv("COLUMNS", "60")
    shown = {width: io.StringIO() for width in (40, 60)}
    for width, stream in shown.items():
        Console(file=stream, width=width, color_system=None).print(at)
    for width, text in ((40, shown[40].getvalue()), (60, shown[60].getvalue()), (60, str(at))):
        lines = text.splitlines()
        assert max(map(len, lines)) <= width
        for value in (at["x_with_a_rather_long_name"], at["y_with_a_rather_long_name"], at.gradient["x"],
                      at.multiplier["x_with_a_rather_long_name"]):
            assert f"{value:.10g}" in text
        assert sum(line.startswith(" name ") for line in lines) >= 2 and " x_with_a" in text


def test_an_element_without_a_multiplier_of_its_own_is_explained():
    p = la.Program("implicit")
    k = p.input("k", [1.0, 2.0])
    u = p.variable("u", 2, start=1.0)
    p.equate(u**2 + 0.1 * u[::-1], k, name="law")
    p.minimize(np.sum(u))
    assert p.evaluate().explain("u[1]").splitlines()[0].startswith("0 = ∂J/∂u[1] + ")
