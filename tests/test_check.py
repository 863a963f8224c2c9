"""``testing.check_derivatives`` finds what is wrong, by name, and does not take kinks and edges for errors."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import Drawn, acyclic, cyclic
from test_random_programs import ANY_SIZE

import lagrange_ad as la
from lagrange_ad.cli import main
from lagrange_ad.elementary import TABLE
from lagrange_ad.execution import ReferenceExecutor
from lagrange_ad.lowering import kernel
from lagrange_ad.solution import evaluation
from lagrange_ad.testing import check_derivatives, checked
from lagrange_ad.testing.slopes import UNSURE, Slope, differences

EXAMPLES = Path(__file__).parent.parent / "examples"
EXECUTORS = pytest.mark.parametrize("executor", ["native", "reference"])


def wrong_rule(monkeypatch: pytest.MonkeyPatch, name: str, partials: Callable[..., Any]) -> None:
    """Another rule in the table, kernels without memory, and the reference: the tape is compiled once a process."""
    monkeypatch.setitem(TABLE, name, replace(TABLE[name], partials=partials))
    monkeypatch.setattr(kernel, "_INTERNED", {})
    monkeypatch.setattr(kernel, "_FINISHED", {})
    monkeypatch.setattr(evaluation, "executor_named", lambda _: ReferenceExecutor())


def cycle(executor: str | None = None) -> la.Program:
    p = la.Program("cycle", executor=executor)
    x = p.input("x", np.array([0.3, -0.7]))
    u = p.variable("u", shape=2, start=0.5)
    v = p.variable("v", start=0.5)
    p.equate(u, np.arctan(x) * v + 0.1 * u[::-1])
    p.equate(np.cosh(v), 2 + np.sum(u), name="hanging")
    p.minimize(v**2 + np.sum(np.sin(u)), name="J")
    p.subject_to(np.exp(u) <= 3, name="g")
    return p


@EXECUTORS
def test_a_right_program_passes_row_by_row(executor: str) -> None:
    report = check_derivatives(cycle(executor), hessian=True)
    assert report.ok and report.checked["could not tell"] == 0, report
    found = {(row.kind, row.equation, row.wrt) for row in report.rows}
    partials = {("u", "x"), ("u", "u"), ("u", "v"), ("hanging", "u"), ("hanging", "v"), ("objective J", "u"),
                ("objective J", "v"), ("g", "u")}
    assert {(kind, *rest) for kind, *rest in found if kind == "partial"} == {("partial", *pair) for pair in partials}
    assert ("gradient", "objective J", "x") in found
    assert {wrt for kind, _, wrt in found if kind == "second"} >= {"u, u", "v, v"}
    report.raise_if_wrong()


def test_analytic_numbers_are_those_of_the_point() -> None:
    p = la.Program("p")
    x = p.input("x", 2.0)
    p.minimize(5 * p.define("y", x**3), name="J")
    rows = {(row.kind, row.equation, row.wrt): row for row in check_derivatives(p).rows}
    row = rows["partial", "y", "x"]
    assert row.analytic == pytest.approx(12.0) and row.numerical == pytest.approx(12.0, rel=1e-12)
    assert rows["gradient", "objective J", "x"].analytic == pytest.approx(60.0)


def test_a_wrong_rule_is_found_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_rule(monkeypatch, "arctan", lambda x, v: (1.001 / (1.0 + x * x),))
    report = check_derivatives(cycle())
    assert not report.ok
    worst = report.worst
    assert worst is not None and worst.verdict == "wrong"
    wrong = {(row.kind, row.equation, row.wrt) for row in report.rows if row.verdict == "wrong"}
    assert wrong == {("partial", "u", "x"), ("gradient", "objective J", "x")}
    row = next(row for row in report.rows if row.kind == "partial" and row.verdict == "wrong")
    assert "test_check.py" in row.place and row.element in ("u[0] by x[0]", "u[1] by x[1]")
    assert row.analytic == pytest.approx(1.001 * row.numerical, rel=1e-9)
    with pytest.raises(la.DerivativeError, match=r"\d derivatives of 'cycle' are wrong; the worst is the "):
        report.raise_if_wrong()


def test_compiled_code_is_checked_as_well() -> None:
    """In a process of its own, since compiled code is kept."""
    code = (
        "from dataclasses import replace\nimport numpy as np, lagrange_ad as la\n"
        "from lagrange_ad.elementary import TABLE\n"
        "TABLE['exp'] = replace(TABLE['exp'], partials=lambda x, v: (1.5 * v,))\n"
        "p = la.Program('p', executor='native')\nx = p.input('x', np.linspace(0, 1, 300))\n"
        "p.define('y', np.exp(x))\nz = p.define('z', np.exp(x[7]))\np.define('fine', np.sin(z))\n"
        "p.minimize(z)\n"
        "report = la.testing.check_derivatives(p)\n"
        "print(sorted({row.equation for row in report.rows if row.verdict == 'wrong'}))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "['objective z', 'y', 'z']"


def test_a_wrong_second_derivative_is_found_where_the_first_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_rule(monkeypatch, "cos", lambda x, v: (-1.01 * np.sin(x),))
    p = la.Program("p")
    x = p.input("x", 0.4)
    p.define("y", np.sin(x))
    p.minimize(3 * x, name="J")
    assert check_derivatives(p).ok
    report = check_derivatives(p, hessian=True)
    assert [(row.kind, row.wrt) for row in report.rows if row.verdict == "wrong"] == [("second", "x, x")]


def test_one_wrong_equation_among_many_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_rule(monkeypatch, "sinh", lambda x, v: (np.cosh(x) + 1e-6,))
    p = la.Program("many")
    u = p.input("u", np.linspace(0.1, 1.0, 700))
    for i in range(3000):
        p.define(f"y{i}", np.sin(u[i % 700]) * u[(7 * i) % 700] + i)
    p.define("odd", np.exp(u[3]) * np.sinh(u[501]) + u[11])
    p.define("total", np.sum(u**2))
    p.minimize(np.sum(u**3), name="J")
    report = check_derivatives(p)
    wrong = [(row.kind, row.equation, row.wrt, row.element) for row in report.rows if row.verdict == "wrong"]
    assert wrong == [("partial", "odd", "u", "u[501]")]
    assert report.checked["right"] > 6000


def test_many_wrong_equations_are_all_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_rule(monkeypatch, "sinh", lambda x, v: (2 * np.cosh(x),))
    p = la.Program("many")
    u = p.input("u", np.linspace(0.1, 1.0, 150))
    for i in range(20):
        p.define(f"y{i}", u[i + 3] * np.sinh(u[7 * i]))
    wrong = [row for row in check_derivatives(p).rows if row.verdict == "wrong"]
    assert {row.equation for row in wrong} == {f"y{i}" for i in range(20)}
    located = {row.equation: row.element for row in wrong if row.wrt == "u"}
    assert len(located) == 5 and all(element == f"u[{7 * int(name[1:])}]" for name, element in located.items())


def test_a_wrong_back_substitution_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    p = cycle("reference")
    right = checked.full_space.adjoint

    def wrong(plan: Any, z: Any, lam: Any) -> Any:
        w = right(plan, z, lam)
        w[1] += 1e-3  # x[1]
        return w

    monkeypatch.setattr(checked.full_space, "adjoint", wrong)
    report = check_derivatives(p)
    assert [(row.kind, row.wrt, row.element) for row in report.rows if row.verdict == "wrong"] == [
        ("transposed", "x", "x[1]")]


@pytest.mark.parametrize(("function", "at"), [
    (np.abs, 0.0), (lambda x: np.maximum(x, 0.0), 0.0), (lambda x: np.minimum(x - 1.0, 2.0 - 2.0 * x), 1.0),
    (lambda x: np.where(x > 0, x, -2 * x), 0.0),
])
@EXECUTORS
def test_kinks_are_not_errors(function: Callable[..., Any], at: float, executor: str) -> None:
    p = la.Program("kink", executor=executor)
    x = p.input("x", at)
    y = p.define("y", function(x))
    p.define("smooth", np.exp(x))
    p.minimize(y + 2 * x, name="J")
    report = check_derivatives(p)
    assert report.ok
    row = next(row for row in report.rows if row.kind == "partial" and row.equation == "y")
    assert row.verdict == "could not tell" and "kink" in row.note, report
    assert next(row for row in report.rows if row.equation == "smooth").verdict == "right"
    assert "kink" in str(report)


def test_a_kink_nearby_does_not_matter() -> None:
    p = la.Program("kink")
    x = p.input("x", 1.0)
    p.define("y", np.abs(x - 1.0005) ** 1.0 + np.maximum(x, 0.9999))
    report = check_derivatives(p)
    assert report.ok and report.checked["could not tell"] == 0, report


@pytest.mark.parametrize(("function", "words"), [
    (np.sqrt, "infinite slope"), (np.cbrt, "infinite slope"), (lambda x: np.cbrt(x) ** 3, "not a number"),
])
@EXECUTORS
def test_infinite_slopes_are_not_errors(function: Callable[..., Any], words: str, executor: str) -> None:
    p = la.Program("slope", executor=executor)
    x = p.input("x", 0.0)
    p.define("y", function(x))
    report = check_derivatives(p)
    assert report.ok and report.worst is not None
    assert report.worst.verdict == "could not tell" and words in report.worst.note


def test_the_edge_of_a_domain_by_complex_step_alone() -> None:
    p = la.Program("edge")
    x = p.input("x", 0.0)
    p.define("y", np.sqrt(x) ** 4)
    report = check_derivatives(p)
    assert report.ok


def test_a_failed_solve_is_checked_at_its_last_iterate(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_rule(monkeypatch, "exp", lambda x, v: (-v,))
    p = la.Program("fails")
    x = p.input("x", 3.0)
    y = p.variable("y", start=2.0)
    p.equate(np.exp(y), x, name="growth")
    p.solver("y", "newton")  # bracketing asks for no derivatives: it solves this one
    p.minimize(y)
    report = check_derivatives(p)
    assert not report.ok and not report.solved
    assert report.worst is not None and (report.worst.equation, report.worst.wrt) == ("growth", "y")
    assert any("last iterate" in note for note in report.notes)


@EXECUTORS
@pytest.mark.parametrize("elements", [True, False])
@pytest.mark.parametrize("elementwise", [True, False])
def test_a_wrong_jacobian_of_a_user_function_is_found_and_named(
    executor: str, elements: bool, elementwise: bool
) -> None:
    def program(factor: float) -> la.Program:
        f = la.external(lambda x, y: np.sin(x) * y, elementwise=elementwise, shape=(2,), jacobian=lambda x, y: (
            np.cos(x) * y, np.sin(x) * factor) if elementwise else (np.diag(np.cos(x) * y), np.sin(x) * factor))
        p = la.Program("user", executor=executor)
        a = p.input("a", np.array([0.3, 0.5]))
        y = p.variable("y", start=1.0)
        p.equate(y, 2 + 0.1 * np.sum(np.exp(f(a, y))), name="loop")
        p.define("fine", np.exp(a) * y)
        p.define("tied", f(a, y) * a[::-1])
        p.minimize(y**2, name="J")
        return p

    right = check_derivatives(program(1.0), elements=elements, hessian=True)
    assert right.ok and right.checked["could not tell"] == 0, str(right)
    assert {row.method for row in right.rows if row.equation == "loop"} == {"central differences"}
    assert {row.method for row in right.rows if row.equation == "fine"} == {"complex step"}
    report = check_derivatives(program(1.0001), elements=elements)
    wrong = {(row.kind, row.equation, row.wrt) for row in report.rows if row.verdict == "wrong"}
    assert {("partial", "loop", "y"), ("partial", "tied", "y"), ("gradient", "objective J", "a")} <= wrong
    assert "fine" not in {equation for _, equation, _ in wrong}


def test_functions_without_a_jacobian_and_tables_pass() -> None:
    p = la.Program("calls")
    x = p.input("x", 0.7)
    free = la.external(lambda x: abs(x - 3.0) ** 1.5 / (1 + x * x), method="differences")
    p.define("y", free(x) + la.interpolate([0.0, 1.0, 2.0, 3.0], [1.0, 0.5, 2.0, 0.0])(x) * x)
    p.minimize(np.exp(free(x)), name="J")
    report = check_derivatives(p)
    assert report.ok and report.checked["could not tell"] == 0, str(report)


def test_a_function_that_raises_beside_the_point_is_at_the_edge_of_its_domain() -> None:
    def root(x: float) -> float:
        if x < 0.5:
            raise ValueError("too small")
        return (x - 0.5) ** 1.5

    p = la.Program("edge")
    x = p.input("x", 0.5)
    p.define("y", la.external(root, lambda x: 1.5 * (x - 0.5) ** 0.5)(x))
    report = check_derivatives(p)
    assert report.ok and report.worst is not None
    assert report.worst.verdict == "could not tell" and "edge of the domain" in report.worst.note


def test_points_values_and_nearby_points() -> None:
    p = cycle()
    at = p.evaluate(x=[0.1, 0.2])
    row = {(r.kind, r.wrt): r for r in check_derivatives(p, at).rows}["gradient", "x"]
    assert row.analytic in at.gradient["x"].tolist()
    same = {(r.kind, r.wrt): r for r in check_derivatives(p, values={"x": [0.1, 0.2]}).rows}["gradient", "x"]
    assert same.analytic == pytest.approx(row.analytic, rel=1e-12)
    report = check_derivatives(p, at, nearby=2)
    assert report.ok and "checked at 3 points" in report.notes
    assert sum(report.checked.values()) == 3 * sum(check_derivatives(p, at).checked.values())


def test_bad_arguments_say_what_is_expected() -> None:
    p = cycle()
    with pytest.raises(la.DeclarationError, match=r"at= takes a point.*values="):
        check_derivatives(p, {"x": 1.0})  # type: ignore[arg-type]
    with pytest.raises(la.DeclarationError, match="of another program"):
        check_derivatives(p, cycle().evaluate())
    with pytest.raises(la.DeclarationError, match="tolerance= must be a number > 0"):
        check_derivatives(p, tolerance=-1.0)
    with pytest.raises(la.DeclarationError, match="nearby="):
        check_derivatives(p, nearby=1.5)  # type: ignore[arg-type]


def test_a_program_without_objective_and_one_without_equations() -> None:
    p = la.Program("none")
    x = p.input("x", 1.0)
    assert str(check_derivatives(p)).startswith("none: derivatives right")
    p.define("y", x**2)
    assert {row.kind for row in check_derivatives(p).rows} == {"partial"}


def test_random_programs_pass() -> None:
    """None is wrong, and few cannot be told: in all, as one saturated cycle may be beyond what differences tell."""
    told: Counter[str] = Counter()

    @settings(max_examples=12, suppress_health_check=ANY_SIZE)
    @given(st.one_of(acyclic(), cyclic()), st.booleans())
    def check(drawn: Drawn, elements: bool) -> None:
        report = check_derivatives(drawn.program, elements=elements, hessian=True)
        assert report.ok, report
        told.update(report.checked)

    check()
    assert told["right"] > 200
    assert told["could not tell"] <= 0.05 * told["right"], told


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.lag")), ids=lambda path: path.name)
def test_example_files_pass(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(path), "--hessian", "--nearby", "2"]) == 0
    shown = capsys.readouterr()
    assert "derivatives right" in shown.out and "0.0e+00" in shown.out and shown.err == ""
    assert la.read(path).name in shown.out


def test_the_command_says_wrong_by_exit_code_and_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong_rule(monkeypatch, "sin", lambda x, v: (-np.cos(x),))
    assert main(["check", str(EXAMPLES / "domke.lag"), "--json", "--set", "x=0.2"]) == 1
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert report["ok"] is False and report["rows"][0]["verdict"] == "wrong"
    assert any(row["equation"] == "e" and row["wrt"] == "c" for row in report["rows"][:2])
    assert "lagrange-ad: 2 wrong" in shown.err


def test_the_command_fails_where_nothing_can_be_solved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.lag"
    path.write_text("input x = 1\nvariable y start 1\ny^2 + x = 0\n")
    assert main(["check", str(path)]) == 1
    assert "no solution" in capsys.readouterr().err


# the numerical side alone ----------------------------------------------------------------------------------


def test_differences_state_an_honest_error() -> None:
    functions_and_slopes = [
        (np.exp, np.exp), (np.sin, np.cos), (lambda x: 1 / x, lambda x: -1 / x**2),
        (lambda x: np.exp(40 * x), lambda x: 40 * np.exp(40 * x)), (lambda x: (1e6 + x) - 1e6, np.ones_like),
        (lambda x: x**7, lambda x: 7 * x**6),
    ]
    x = np.linspace(0.2, 3.0, 50)
    for function, slope in functions_and_slopes:
        found = differences(function, x, x)
        assert (np.abs(found.slope - slope(x) * x) <= 10 * found.error).all()
        assert not found.kink.any()
    assert (differences(np.sin, x, x).error < 1e-10).all()


def test_noise_widens_the_stated_error() -> None:
    random = np.random.default_rng(1)

    def noisy(x: np.ndarray) -> np.ndarray:
        return np.sin(x) + 1e-7 * random.standard_normal(x.shape)

    x = np.linspace(0.2, 1.4, 200)
    judged = Slope(noisy, x, x, real=True).judge(np.cos(x) * x, 0.0, 1e-9)
    assert (judged.verdict == UNSURE).all()
    found = differences(noisy, x, x)
    assert (np.abs(found.slope - np.cos(x) * x) <= 10 * found.error).mean() >= 0.99


def test_a_function_that_drops_imaginary_parts_does_not_pass_for_constant() -> None:
    x = np.array([0.7])
    judged = Slope(lambda z: np.sin(z.real) + 0 * z, x, np.ones(1)).judge(np.zeros(1), 0.0, 1e-9)
    assert judged.details(0)["verdict"] == "wrong" and judged.details(0)["method"] == "central differences"
    judged = Slope(lambda z: np.sin(z.real) + 0 * z, x, np.ones(1)).judge(np.cos(x), 0.0, 1e-9)
    assert judged.details(0)["verdict"] == "right"


def test_a_function_that_refuses_complex_numbers_is_differenced() -> None:
    def picky(z: np.ndarray) -> np.ndarray:
        if np.iscomplexobj(z):
            raise RuntimeError("real numbers, please")
        return np.sin(z)

    judged = Slope(picky, np.array([0.7]), np.ones(1)).judge(np.cos(np.array([0.7])), 0.0, 1e-9)
    assert judged.details(0)["method"] == "central differences" and judged.details(0)["verdict"] == "right"


def test_a_kink_inside_a_cycle_is_seen_in_the_gradient() -> None:
    p = la.Program("pair")
    x = p.input("x", 0.5)
    u = p.variable("u", start=1.0)
    v = p.define("v", np.exp(-u) + x)
    p.equate(u, np.abs(x - 0.5) + v**2, name="law")
    p.minimize(u * v, name="J")
    report = check_derivatives(p)
    assert report.ok
    unsure = {(row.kind, row.equation) for row in report.rows if "kink" in row.note}
    assert unsure == {("partial", "law"), ("gradient", "objective J")}
