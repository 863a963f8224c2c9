"""Equation files: what they mean, in what order, how deep, and what they say when they are wrong."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import special

from lagrange_ad import read, reads
from lagrange_ad.elementary import TABLE
from lagrange_ad.errors import EquationFileError
from lagrange_ad.files import parse_equations
from lagrange_ad.files.equations import FUNCTIONS, constant
from lagrange_ad.files.syntax import Constraint, Declaration, Equation, Objective, ProgramName
from lagrange_ad.printing import to_text

EXAMPLES = Path(__file__).parent.parent / "examples"


def equations(program: Any) -> dict[str, str]:
    return {equation.name: str(equation) for equation in program.equations}


def refusal(text: str) -> EquationFileError:
    with pytest.raises(EquationFileError) as caught:
        reads(text, filename="model.lag")
    return caught.value


# meaning ----------------------------------------------------------------------------------------------------


def test_statements_of_every_kind() -> None:
    text = (
        "program p\ninput a = 1 in [0, 2]\nparameter b = 2\nvariable y start 1 in [0, 9]\n"
        "row: a*y = b\nminimize f: y\nsubject to g: 0 <= a <= 1\n"
    )
    kinds = [type(statement) for statement in parse_equations(text)]
    assert kinds == [ProgramName, Declaration, Declaration, Declaration, Equation, Objective, Constraint]


def test_sellar_is_what_python_would_declare() -> None:
    p = read(EXAMPLES / "sellar.lag")
    assert p.name == "sellar"
    assert [s.name for s in p.of_kind("input")] == ["z1", "z2", "x"]
    assert [s.name for s in p.of_kind("variable")] == ["y2", "y1"]
    assert (p.symbol("z1").value, p.symbol("z1").lower, p.symbol("z1").upper) == (5, -10, 10)
    assert p.symbol("y2").value == 1 and p.symbol("y1").value is None
    assert equations(p) == {"y1": "y1 = z1**2 + z2 + x - 0.2 * y2", "y2": "y2 = sqrt(y1) + z1 + z2"}
    assert all(equation.own is not None for equation in p.equations)
    assert str(p.objective) == "minimize f: x**2 + z2 + y1 + exp(-y2)"
    assert [f"{c.name}: {c}" for c in p.constraints] == ["g1: y1 >= 3.16", "g2: y2 <= 24"]


def test_circuit_has_implicit_equations_with_names_and_no_objective() -> None:
    p = read(EXAMPLES / "circuit.lag")
    assert list(equations(p)) == ["i2", "kcl1", "kcl2"]
    assert [equation.own is None for equation in p.equations] == [False, True, True]
    assert p.objective is None


def test_locations_are_lines_of_the_file() -> None:
    p = read(EXAMPLES / "domke.lag")
    lines = (EXAMPLES / "domke.lag").read_text().splitlines()
    line = 1 + lines.index("input x = 0.1 in [-inf, 0.5]")
    assert p.symbol("x").location == (str(EXAMPLES / "domke.lag"), line)
    assert {e.name: e.location[1] for e in p.equations}["c"] == 1 + lines.index("c = a + b")


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_statements_in_any_order(order: tuple[int, ...]) -> None:
    statements = ["maximize y^2", "y = x + z", "input x = 2", "z = 3*x"]
    p = reads("\n".join(statements[i] for i in order))
    assert equations(p) == {"y": "y = x + z", "z": "z = 3 * x"}


@pytest.mark.parametrize(("text", "value"), [
    ("-2^2", -4.0), ("2^3^2", 512.0), ("2**3**2", 512.0), ("(2^3)^2", 64.0), ("2^-1", 0.5), ("-2^-2", -0.25),
    ("6/3/2", 1.0), ("2 - 3 - 4", -5.0), ("1 + 2*3", 7.0), ("- - 3", 3.0), ("+3 - -3", 6.0), ("2*-3", -6.0),
    (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0), ("1.5E-2", 0.015), ("2*pi", 2 * math.pi), ("1/inf", 0.0),
    ("sqrt(16) + exp(0)", 5.0), ("min(3, 2) + max(3, 2, 7)", 9.0), ("abs(-3)", 3.0), ("((((3))))", 3.0),
    ("atan(1)", math.pi / 4), ("atan2(1, 1)", math.pi / 4),
])
def test_constant_expressions(text: str, value: float) -> None:
    assert constant(text) == value


_FORMULAS = st.recursive(
    st.sampled_from(["1.0", "2.5", "3.0"]),
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from("+-*"), inner),
        st.builds("({})".format, inner), st.builds("-{}".format, inner),
        st.builds("({}){}2.0".format, inner, st.sampled_from(["^", "**"])),
        st.builds("2.0^{}".format, st.sampled_from(["2.0", "-1.0", "2.0^2.0", "-2.0^2.0"])),
    ),
    max_leaves=12,
)


@given(_FORMULAS)
def test_precedence_is_python_s(text: str) -> None:
    assert constant(text) == eval(text.replace("^", "**"))


_NAMED = st.recursive(
    st.sampled_from(["x", "z", "2", "0.5"]),
    lambda inner: st.one_of(
        st.builds("({}) {} ({})".format, inner, st.sampled_from("+-*/^"), inner),
        st.builds("-({})".format, inner),
        st.builds("{}({})".format, st.sampled_from(["exp", "sin", "sqrt", "tanh"]), inner),
        st.builds("{}({}, {})".format, st.sampled_from(["minimum", "arctan2"]), inner, inner),
    ),
    max_leaves=10,
).filter(lambda text: "x" in text.replace("exp", ""))


@given(_NAMED)
def test_what_is_printed_reads_back_as_the_same(text: str) -> None:
    def printed(formula: str) -> str:
        return to_text(reads(f"input x = 1\ninput z = 1\ny = {formula}").equations[0].right)

    try:
        once = printed(text)
    except EquationFileError as error:  # two constants that fold to NaN
        assume("is not a number" not in error.message)
        raise
    assert printed(once) == once


def test_every_row_of_the_table_can_be_called_or_is_refused() -> None:
    operators = {row.name for row in TABLE.values() if row.symbol}
    refused = {"where", "logical_not"} | operators
    assert set(TABLE) - refused == {row.name for row in FUNCTIONS.values()}
    for name, row in FUNCTIONS.items():
        p = reads(f"input x = 0.5\ny = {name}({', '.join(['2'] * row.fixed + ['x'] * (row.arity - row.fixed))})")
        assert p.equations[0].right.op == row.name
    for name in refused:
        assert f"no function '{name}'" in refusal(f"input x = 1\ny = {name}(x, x)").message


def test_special_functions_mean_what_scipy_means() -> None:
    p = reads("input x = 0.3\ny = softplus(x) + psi(x) + lgamma(x) + xlogy(2, x) + zeta(2, x) + log_expit(erf(0.5))")
    expected = special.softplus(0.3) + special.psi(0.3) + special.gammaln(0.3) + special.xlogy(2, 0.3)
    expected += special.zeta(2, 0.3) + special.log_expit(special.erf(0.5))
    assert p.evaluate()["y"] == pytest.approx(expected, rel=1e-15)
    assert "did you mean 'gamma" in refusal("input x = 1\ny = gammal(x)").message
    assert "first operand of 'zeta' must be a number" in refusal("input x = 1\ny = zeta(x, x)").message


def test_words_are_names_where_they_begin_no_statement() -> None:
    p = reads("input start = 1\nvariable in start 2 in [0, 3]\nto = start + in\nin = to/4\nscope.input = to")
    assert equations(p) == {"to": "to = start + in", "in": "in = to / 4", "scope.input": "scope.input = to"}
    assert p.symbol("in").value == 2


def test_comments_blank_lines_ends_of_lines_and_brackets() -> None:
    text = "\ufeff# first\r\n\r\ninput x = 1 # one ( more\r\ny = (x +  # goes on\r\n  2)*min(x,\r\n 3)\rw = y"
    p = reads(text.removeprefix("\ufeff"))
    assert equations(p) == {"y": "y = (x + 2) * minimum(x, 3)", "w": "w = y"}
    assert [e.location[1] for e in p.equations] == [4, 7]


def test_names_may_have_letters_of_any_script_and_dots() -> None:
    p = reads("input μ = 2\nm1.i = μ^2\nm2.i = m1.i + α_1\nα_1 = 1")
    assert list(p.symbols) == ["μ", "m1.i", "m2.i", "α_1"]


def test_a_label_names_the_equation_and_may_repeat_its_variable() -> None:
    p = reads("variable y\ny: y = 3*u\nu = 2\nsecond: y = u + w\nw = 1")
    assert list(equations(p)) == ["y", "u", "second", "w"]
    assert list(equations(reads("input x = 1\nlaw: y = x"))) == ["law"]


def test_a_lone_name_in_brackets_is_defined_too() -> None:
    assert equations(reads("(y) = 2")) == {"y": "y = 2"}


def test_constraints_of_every_form() -> None:
    p = reads(
        "input x = 1\nparameter cap = 3\nsubject to a: x <= 2\nsubject to b: 2 <= x\nsubject to c: x == 1\n"
        "subject to d: 0 <= x^2 <= cap\nsubject to e: 5 >= x >= -inf + 1\nsubject to x*x >= 0"
    )
    assert [f"{c.name}: {c}" for c in p.constraints][:4] == [
        "a: x <= 2", "b: x >= 2", "c: x == 1", "d: 0 <= x**2 <= cap"]
    assert [c.name for c in p.constraints][4:] == ["e", "constraint_6"]


def test_objective_of_either_sense() -> None:
    assert str(reads("input x = 1\nmaximize x^2").objective) == "maximize objective: x**2"
    assert str(reads("f = 3\nminimize f: f").objective) == "minimize f: f"


def test_names_of_programs(tmp_path: Path) -> None:
    path = tmp_path / "plant.lag"
    path.write_text("y = 1")
    assert read(path).name == "plant"
    assert read(str(path)).name == "plant"
    assert reads("y = 1", name="mine").name == "mine"
    assert reads("program other\ny = 1", name="mine").name == "other"


# depth ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("formula", [
    "(" * 10_000 + "x" + ")" * 10_000,
    "-" * 10_000 + "x",
    "sin(" * 10_000 + "x" + ")" * 10_000,
    "x + (" * 10_000 + "x" + ")" * 10_000,
    "x^" * 10_000 + "x",
], ids=["brackets", "signs", "calls", "right sums", "powers"])
def test_deep_formulas(formula: str) -> None:
    assert reads(f"input x = 1\ny = {formula}").equations[0].right.shape == ()


def test_a_sum_of_a_hundred_thousand_terms() -> None:
    n = 100_000
    p = reads("input x = 2\ny = " + " + ".join(["x"] * n))
    node, terms = p.equations[0].right, 1
    while node.op == "add":
        node, terms = node.args[0], terms + 1
    assert terms == n


def test_unclosed_deep_brackets_are_an_error_of_the_file() -> None:
    assert "never closed" in refusal("y = " + "(" * 10_000 + "1").message


# errors -----------------------------------------------------------------------------------------------------


def test_an_error_shows_the_place_with_a_caret() -> None:
    error = refusal("input x = 1\ny = x + * 2\n")
    assert str(error) == (
        "model.lag:2:9: found '*', expected an expression\n"
        "    y = x + * 2\n"
        "            ^"
    )
    assert (error.filename, error.line, error.column) == ("model.lag", 2, 9)


WRONG = {
    # syntax
    "input x 5": (1, 9, "found the number 5, expected '='"),
    "input x =": (1, 10, "found the end of the line, expected an expression"),
    "input = 5": (1, 7, "expected a name"),
    "input x = 1 in 5": (1, 16, "expected '['"),
    "y = 3 = 4": (1, 7, "found '=', expected the end of the line"),
    "y = 2x": (1, 6, "a product is written with '*'"),
    "y = 3\nz = 4 in [0, 1]": (2, 7, "belongs to a declaration"),
    "inputs z = 3": (1, 8, "did you mean 'input'?"),
    "subject y <= 3": (1, 9, "'subject to'"),
    "y == 3": (1, 3, "an equation has a single '='"),
    "input y = 1\nsubject to y = 3": (2, 14, "expected '<=', '>=' or '=='"),
    "input y = 1\nsubject to y < 3": (2, 14, "'<=', '>=' or '=='"),
    "y = (1 + 2": (1, 5, "'(' is never closed"),
    "y = (1 + 2\nz = 3": (1, 5, "the name 'z' follows on line 2"),
    "y = (1 +\nz = 3": (1, 5, "'=' follows on line 2"),
    "y = )": (1, 5, "found ')'"),
    "y = __import__('os')": (1, 16, "no strings"),
    "y = 1; z = 2": (1, 6, "one statement a line"),
    "y = 3 − 1": (1, 7, "write '-'"),
    "y = 1 & 2": (1, 7, "'&' is not understood"),
    "y = x² + 1": (1, 5, "not a name"),
    "y = 1e999": (1, 5, "too large"),
    # functions
    "y = __import__(os)": (1, 5, "no function '__import__'"),
    "y = sinn(1)": (1, 5, "did you mean 'sin'?"),
    "y = np.exp(1)": (1, 5, "write 'exp'"),
    "y = exp(1, 2)": (1, 5, "takes 1 argument, got 2"),
    "y = arctan2(1)": (1, 5, "takes 2 arguments, got 1"),
    # names
    "y = zeta\nzetta = 1": (1, 5, "no equation has it alone on its left; did you mean 'zetta'?"),
    "y = e": (1, 5, "exp(1)"),
    "input x = 1\nparameter x = 2": (2, 11, "used already, on line 1"),
    "input x = 1\nx: 2*x = 2": (2, 1, "used already, on line 1"),
    "a: y = 1\na: z = 2": (2, 1, "used already, on line 1"),
    "y = 1\ny = 2": (2, 1, "defined already, on line 1"),
    "pi = 3": (1, 1, "predefined"),
    "program a\nprogram b": (2, 9, "named already, on line 1"),
    # constants
    "input x = y\ny = 3": (1, 11, "must be a constant, but 'y' is a variable"),
    "input x = 1\nvariable y start x + q": (2, 22, "'q' is not declared"),
    "input x = 1\nvariable y start 2*z\nz = x": (2, 20, "needs the variable 'z', which is not declared before"),
    "variable y start y": (1, 18, "needs the variable 'y', which is not declared before"),
    "variable y start 1 domain (2, 1)\ny = 2": (1, 10, "the domain of 'y' is empty"),
    "variable y start 1 domain [0, 1]": (1, 27, "found '[', expected '('"),
    "variable y domain (0, q)": (1, 23, "'q' is not declared"),
    "input x = 1 unit m": (1, 18, 'expected a text in quotes "…"'),
    "input x = 1 unit 'm'": (1, 18, "units in double ones"),
    'input x = 1 unit "m': (1, 18, "units in double ones"),
    'input x = "m"': (1, 11, "expected an expression"),
    'input x = 1 unit "("\n= 2': (2, 1, "found '=', expected a statement"),
    "y = 3 unit 2": (1, 7, "belongs to a declaration"),
    'program ""': (1, 9, "cannot be empty"),
    "y = 1 for x": (1, 11, "'for' names the variable that the equation determines, but 'x' is not declared"),
    "input x = 1\nx = 1 for x": (2, 11, "but 'x' is an input"),
    "input x = 1 in [0, q]": (1, 20, "'q' is not declared"),
    "input x = inf": (1, 11, "must be finite"),
    "input x = (-1)^0.5": (1, 15, "is not a number"),
    "input x = 0/0": (1, 12, "is not a number"),
    "input x = 1 in [5, 1]": (1, 17, "reversed"),
    # objective and constraints
    "input x = 1\nminimize x\nmaximize x": (3, 10, "given already, on line 2"),
    "input x = 1\nsubject to 1 <= 2": (2, 12, "two numbers"),
    "input x = 1\nsubject to 1 <= x >= 2": (2, 12, "write two constraints"),
    "input x = 1\nsubject to 5 <= x <= 2": (2, 12, "reversed"),
    "input x = 1\nsubject to x <= 2 <= 3": (2, 12, "middle"),
    "input x = 1\ninput z = 1\nsubject to z <= x <= 2": (3, 12, "inputs or variables"),
    "1 = 2": (1, 1, "no input or variable"),
}


@pytest.mark.parametrize("text", WRONG)
def test_errors_name_the_place_and_the_way_out(text: str) -> None:
    line, column, words = WRONG[text]
    error = refusal(text)
    assert words in error.message
    assert (error.line, error.column) == (line, column)


def test_an_unknown_function_lists_those_there_are() -> None:
    message = refusal("y = frobnicate(1)").message
    assert "available: " in message and "arctan" in message and "sqrt" in message


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but words\n"])
def test_empty_files(text: str) -> None:
    assert "no statements" in refusal(text).message


def test_missing_files(tmp_path: Path) -> None:
    (tmp_path / "sellar.lag").write_text("y = 1")
    with pytest.raises(EquationFileError, match=r"selar\.lag'; did you mean 'sellar\.lag'\?"):
        read(tmp_path / "selar.lag")
    with pytest.raises(EquationFileError, match=r"its folder has sellar\.lag"):
        read(tmp_path / "unlike_anything.txt")
    with pytest.raises(EquationFileError, match="nor a folder"):
        read(tmp_path / "missing" / "a.lag")
    with pytest.raises(EquationFileError, match="is a folder"):
        read(tmp_path)


def test_files_in_other_encodings(tmp_path: Path) -> None:
    path = tmp_path / "latin.lag"
    path.write_bytes("y = 1\nµ = 2\n".encode("latin-1"))
    with pytest.raises(EquationFileError, match=r"latin\.lag:2: this is not UTF-8 text .*0xb5") as caught:
        read(path)
    assert caught.value.line == 2
    path.write_bytes(b"\xef\xbb\xbfinput x = 1\r\ny = x\r\n")
    assert list(read(path).symbols) == ["x", "y"]


@given(st.text(alphabet="xy=+-*/^()[],:<>. 12e#\n\t$'\"\\", max_size=40))
def test_any_text_is_a_program_or_an_error_of_the_file(text: str) -> None:
    try:
        program = reads(text)
    except EquationFileError as error:
        assert str(error)
    else:
        assert reads(program.to_text()).to_text() == program.to_text()


# values -----------------------------------------------------------------------------------------------------


def test_values_are_those_of_the_same_python() -> None:
    p = read(EXAMPLES / "domke.lag")
    a = np.exp(0.1)
    c = a + a**2
    at = p.evaluate()
    assert at["c"] == pytest.approx(c, rel=1e-15)
    assert at["f"] == pytest.approx(np.exp(c) + np.sin(c), rel=1e-15)


def test_a_name_without_start_may_refer_to_itself() -> None:
    at = reads("y = cos(y)").evaluate()
    assert at["y"] == pytest.approx(0.7390851332151607, abs=1e-12)
