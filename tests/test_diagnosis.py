"""``Program.diagnose``: each kind of finding on a small model made for it, against what is known of that model."""

import json
import pickle
import re
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import lagrange_ad as la
from lagrange_ad.cli import main
from lagrange_ad.solution.diagnosis import Diagnosis, Finding
from lagrange_ad.solution.diagnosis.finding import in_words
from lagrange_ad.solution.diagnosis.nullspace import DENSE_LIMIT, equilibrated, near_null
from lagrange_ad.solution.diagnosis.singular import NEARLY
from lagrange_ad.solvers import Model

EXECUTORS = pytest.mark.parametrize("executor", ["native", "reference"])


def only(diagnosis: Diagnosis, kind: str) -> Finding:
    (found,) = diagnosis.of_kind(kind)
    return found


def shown_as_data(diagnosis: Diagnosis) -> dict[str, Any]:
    """The JSON of a diagnosis, after a look at all its ways of printing."""
    text, html = str(diagnosis), diagnosis._repr_html_()
    flat = re.sub(r"\s+", " ", text)
    for finding in diagnosis:
        assert finding.message[:30].strip() in flat and "<table>" in html
        assert finding.advice or finding.message.endswith(("unknowns", "larger ones"))
    return json.loads(json.dumps(diagnosis.to_dict()))  # type: ignore[no-any-return]


def sellar(executor: str | None = None) -> la.Program:
    p = la.Program("sellar", executor=executor)
    z1, z2, x = p.input("z1", 5.0), p.input("z2", 2.0), p.input("x", 1.0)
    y1, y2 = p.variable("y1", start=1.0), p.variable("y2", start=1.0)
    p.equate(y1, z1**2 + z2 + x - 0.2 * y2)
    p.equate(y2, np.sqrt(y1) + z1 + z2)
    p.minimize(x**2 + z2 + y1 + np.exp(-y2) + 0.1 * y1 * y2, name="J")
    return p


@EXECUTORS
def test_a_healthy_program(executor: str) -> None:
    found = sellar(executor).diagnose()
    assert not found and len(found) == 0 and found.ok and list(found) == [] and found.kinds == []
    assert "nothing found" in str(found) and "looked at: " in str(found)
    assert shown_as_data(found)["ok"] is True
    assert "nothing found" in repr(found)


# structure -------------------------------------------------------------------------------------------------------


def test_parts_that_do_not_hang_together_are_told_apart_the_smallest_first() -> None:
    p = la.Program("parts")
    x = p.input("x", 1.0)
    v = p.variable("v", 3, labels=["left", "mid", "right"])
    for i in range(3):
        p.equate(v[i] + x, float(i), name=f"first{i}")
    p.equate(v.sum(), x, name="total")
    a = p.variable("a")
    p.equate(a, 1.0, name="one")
    p.equate(a**2, 4.0, name="two")
    p.variable("lonely")
    b, c = p.variable("b"), p.variable("c")
    p.equate(b * c, x, name="product")
    found = p.diagnose()
    over = found.of_kind("over-determined")
    assert [set(f.equations) for f in over] == [{"one", "two"}, {"first0", "first1", "first2", "total"}]
    assert [f.numbers["excess"] for f in over] == [1, 1]
    assert over[1].variables == ("v[left]", "v[mid]", "v[right]") and "p.free('x')" in over[1].advice
    assert "p.free" not in over[0].advice
    under = found.of_kind("under-determined")
    assert [set(f.variables) for f in under] == [{"lonely"}, {"b", "c"}]
    assert "in no equation" in under[0].message and "left free by 'product'" in under[1].message
    assert "p.fix('b', value)" in under[1].advice
    assert re.search(r"'one' \(.*test_diagnosis\.py:\d+\)", over[0].message)
    assert not found.ok and {f.severity for f in found} == {"error"}
    shown_as_data(found)
    with pytest.raises(la.StructureError) as caught:
        p.evaluate()
    assert all(f.message in str(caught.value) for f in found)
    assert [f.message for f in pickle.loads(pickle.dumps(caught.value)).findings] == [f.message for f in found]


def test_black_boxes_and_scopes_are_named() -> None:
    p = la.Program("boxes")
    unit = la.external(lambda f, t: np.array([f[0] * t, f[1] + t]), name="unit", shape=2)
    with p.scope("plant"):
        feed = p.variable("feed", 2)
        t = p.variable("t")
        p.equate(unit(feed, t), np.ones(2), name="unit_1")
    (found,) = p.diagnose()
    assert found.kind == "under-determined"
    assert set(found.variables) == {"plant.feed[0]", "plant.feed[1]", "plant.t"}
    assert "'plant.unit_1'" in found.message and "the function 'unit' counts as needing all arguments" in found.message


def test_equations_without_an_unknown() -> None:
    p = la.Program("statement")
    x, y = p.input("x", 1.0), p.variable("y")
    p.equate(y, x)
    p.equate(x, 2.0, name="statement")
    found = only(p.diagnose(), "over-determined")
    assert found.equations == ("statement",) and "no unknown is in it" in found.message


def test_many_parts_of_arrays_are_one_finding() -> None:
    p, m = la.Program("large"), 30_000
    v, w = p.variable("v", m), p.variable("w", m)
    p.equate(v + w, 1.0, name="sum")
    p.equate(v[:10] - w[:10], 0.0, name="first")
    p.equate(v[:10] + 2 * w[:10], 0.0, name="second")
    over, under = p.diagnose()
    assert over.numbers == {"equations": 30, "unknowns": 20, "excess": 10, "parts": 10}
    assert under.numbers == {"equations": m - 10, "unknowns": 2 * (m - 10), "lack": m - 10, "parts": m - 10}
    assert len(under.equations) == 20 and len(under.message) < 600
    assert "'v[10]', 'v[11]', 'v[12]', … (29990 of its 30000 elements)" in under.message


def test_more_parts_than_are_told() -> None:
    p = la.Program("many")
    for i in range(9):
        a = p.variable(f"a{i}")
        p.equate(a, 1.0, name=f"one{i}")
        p.equate(a**2, 4.0, name=f"two{i}")
    found = p.diagnose()
    assert len(found) == 7 and found[6].message.startswith("3 more such parts")


# duplicates and names without effect -----------------------------------------------------------------------------


def test_equations_that_stand_twice() -> None:
    p = la.Program("twice")
    a, b, x = p.variable("a", start=1.0), p.variable("b", start=2.0), p.input("x", 1.0)
    v, w = p.variable("v", 3, start=1.0), p.variable("w", 3, start=1.0)
    p.equate(a + 2 * b, x, name="scalar")
    p.equate(a + 2 * b, x, name="again")
    p.equate(a + 3 * b, x, name="another")
    c = p.input("c", np.ones(3))
    p.equate(v[::-1] * w, c, name="array")
    p.equate(c, v[::-1] * w, name="turned")
    p.equate(v, w[::-1])
    pairs = [f.equations for f in p.diagnose().of_kind("duplicate")]
    assert pairs == [("scalar", "again"), ("array", "turned")]


def test_loops_that_declare_the_same_are_counted() -> None:
    p = la.Program("loop")
    y = p.variable("y", 20, start=1.0)
    for i in range(20):
        p.equate(y[i] ** 2 + y[(i + 1) % 20], 2.0, name=f"e{i}")
    assert not p.diagnose().of_kind("duplicate")
    for i in range(20):
        p.equate(y[i] ** 2 + y[(i + 1) % 20], 2.0, name=f"again{i}")
    found = p.diagnose().of_kind("duplicate")
    assert len(found) == 6 and found[0].equations == ("e0", "again0") and found[-1].numbers == {"equations": 15}


def test_names_without_effect() -> None:
    p = la.Program("idle")
    x, u = p.input("x", 1.0), p.input("u", 2.0)
    p.parameter("nothing", 1.0)
    limit = p.parameter("limit", 5.0)
    y = p.define("y", x**2)
    extra = p.define("extra", u * y)
    p.define("more", extra + 1)
    p.minimize(y)
    p.subject_to(y <= limit)
    found = p.diagnose()
    assert found.ok and bool(found)  # notes alone
    assert only(found, "unused").variables == ["nothing"]
    effect = only(found, "no effect")
    assert effect.equations == ["extra", "more"] and effect.variables == ["u"]
    assert "neither the objective nor a constraint" in effect.message
    at = p.evaluate()
    assert at.gradient["u"] == 0.0 and at.multiplier["extra"] == 0.0


def test_unknowns_without_a_start_are_named() -> None:
    p = la.Program("guessed")
    y = p.variable("y")
    p.equate(y**3 + y, p.input("x", 3.0), name="cubic")
    found = only(p.diagnose(), "no start")
    assert found.variables == ["y"] and found.severity == "note" and "start=" in found.advice


# singular Jacobians ----------------------------------------------------------------------------------------------


def potentials(executor: str, source: float) -> la.Program:
    p = la.Program("floating", executor=executor)
    current = p.input("current", source)
    v = p.variable("v", 3, start=1.0, labels=["a", "b", "c"])
    p.equate(v[0] - v[1], current, name="k1")
    p.equate(1e6 * (v[1] - v[2]), 2e6 * current, name="k2")
    p.equate(v[2] - v[0], -3.0 * p.input("s", 1.0), name="k3")
    p.minimize(v[0])
    return p


@EXECUTORS
def test_a_level_left_free(executor: str) -> None:
    found = only(potentials(executor, 1.0).diagnose(), "singular")
    assert set(found.equations) == {"k1", "k2", "k3"} and set(found.variables) == {"v[a]", "v[b]", "v[c]"}
    weights = dict(zip(found.equations, found.numbers["equation_weights"], strict=True))
    assert weights["k2"] / weights["k1"] == pytest.approx(1e-6) and weights["k3"] == pytest.approx(weights["k1"])
    np.testing.assert_allclose(found.numbers["variable_weights"], 3**-0.5)
    assert "all by the same: v[" in found.details[1] and "≈ 0" in found.details[0]
    assert found.numbers["condition"] > 1e14 and "contradict" not in found.details[0]


@EXECUTORS
def test_equations_that_contradict_each_other(executor: str) -> None:
    program = potentials(executor, 2.0)
    with pytest.raises(la.ConvergenceError) as caught:
        program.evaluate()
    found = next(f for f in caught.value.findings if f.kind == "singular")
    assert "they contradict each other" in found.details[0]
    weights, names = found.numbers["equation_weights"], found.equations
    r = caught.value.at.residual
    assert f"it is {sum(w * r[name] for w, name in zip(weights, names, strict=True)):.3g}" in found.details[0]
    assert found.message in str(caught.value) and found.details[1] in str(caught.value)
    q = la.Program("sum")
    u = q.variable("u", 2, start=0.0)
    q.equate(u[0] - u[1], 1.0, name="one")
    q.equate(u[1] - u[0], 2.0, name="two")
    told = only(q.diagnose(), "singular").details
    assert told[0] == "the sum of these 2 equations vanishes here: one, two, but it is 3: they contradict each other"
    assert told[1].endswith("all by the same: u[0], u[1]")
    again = program.diagnose(at=caught.value.at)
    assert [f.kind for f in again][:1] == ["unsolved"] and only(again, "singular").details == found.details


def test_a_singular_solution_says_which_equations() -> None:
    p = la.Program()
    a, b = p.variable("a", start=1.0), p.variable("b", start=1.0)
    p.equate(a, b)
    p.equate(b, a)
    p.minimize(a)
    at = p.evaluate()
    with pytest.raises(la.SingularError) as caught:
        _ = at.multiplier["a"]
    (finding,) = caught.value.findings
    assert "the sum of these 2 equations vanishes here: " in str(caught.value)
    assert "all by the same" in str(caught.value) and set(finding.variables) == {"a", "b"}
    assert np.isinf(at.blocks[0].error).all() and np.isnan(at.objective_error)
    assert "error ≤ inf" in str(at)


def test_bad_scaling_is_no_singularity() -> None:
    rng = np.random.default_rng(1)
    for n in (5, 60):
        matrix = np.eye(n) * 4 + rng.uniform(-1, 1, (n, n)) / n
        scaled = 10.0 ** rng.uniform(-15, 15, (n, 1)) * matrix * 10.0 ** rng.uniform(-15, 15, n)
        found = near_null(Model(scaled, np.ones(n), n))
        assert found is not None and found.condition < 100
        well, row, column = equilibrated(scaled)
        np.testing.assert_allclose(well, row[:, None] * scaled * column)
        np.testing.assert_allclose(np.abs(well).sum(axis=1), 1.0, atol=0.2)
        np.testing.assert_allclose(np.abs(well).sum(axis=0), 1.0, atol=1e-12)
        plain = near_null(Model(matrix, np.ones(n), n))
        np.testing.assert_allclose(found.ratios, plain.ratios, rtol=0.2)


def laplacian(n: int, neumann: bool) -> Any:
    ends = np.ones(n)
    inner = 2.0 * ends
    if neumann:
        inner[[0, -1]] = 1.0
    return sparse.diags_array([-ends[1:], inner, -ends[1:]], offsets=[-1, 0, 1]).tocsc()


@pytest.mark.parametrize("factored", [False, True])
def test_small_singular_values_of_a_sparse_matrix(factored: bool) -> None:
    n = DENSE_LIMIT + 200
    from lagrange_ad.solvers import Factor

    matrix = laplacian(n, neumann=False)
    scaled = equilibrated(matrix)[0].toarray()
    exact = np.linalg.svd(scaled, compute_uv=False) / np.sqrt(
        np.abs(scaled).sum(axis=0).max() * np.abs(scaled).sum(axis=1).max())
    found = near_null(Model(matrix, np.ones(n), n), Factor(matrix) if factored else None)
    assert found is not None
    np.testing.assert_allclose(found.ratios, exact[::-1][:3], rtol=1e-3)  # the largest singular value by its bound
    for k in range(3):
        vector = np.sin(np.pi * (k + 1) * np.arange(1, n + 1) / (n + 1))
        assert abs(found.right[:, k] @ vector) == pytest.approx(np.linalg.norm(vector), rel=1e-3)


def test_null_vectors_of_a_sparse_matrix() -> None:
    n = DENSE_LIMIT + 200
    one = laplacian(n, neumann=True)
    matrix = sparse.block_diag([one, 1e5 * one, laplacian(n, neumann=False)]).tocsc()  # two levels are free
    found = near_null(Model(matrix, np.ones(3 * n), 3 * n))
    assert found is not None
    few = found.below(NEARLY)
    assert few.right.shape[1] == 2
    moving = {tuple(np.flatnonzero(np.abs(few.right[:, k]) > 1e-3)[[0, -1]]) for k in range(2)}
    assert moving == {(0, n - 1), (n, 2 * n - 1)}
    for k in range(2):
        direction = few.right[:, k] * few.column_scale
        combination = few.left[:, k] * few.row_scale
        assert np.abs(matrix @ direction).max() < 1e-9 * np.abs(matrix).max() * np.abs(direction).max()
        assert np.abs(combination @ matrix).max() < 1e-9 * np.abs(matrix).max() * np.abs(combination).max()


def test_a_large_block_with_a_free_level() -> None:
    p, n = la.Program("neumann"), 40
    u = p.variable("u", (n, n), start=0.0)
    around = np.pad(u, 1, mode="edge")
    source = p.input("source", np.where(np.arange(n * n) % 2, 1.0, -1.0).reshape(n, n))
    flow = around[2:, 1:-1] + around[:-2, 1:-1] + around[1:-1, 2:] + around[1:-1, :-2] - 4 * u
    p.equate(flow, source, name="balance")
    found = only(p.diagnose(), "singular")
    assert found.details[0].startswith(f"the sum of these {n * n} equations vanishes here: balance[")
    assert found.details[1].startswith(f"these {n * n} variables can move together, all by the same: u[0, 0], u[0, 1]")


# scaling, accuracy, values ---------------------------------------------------------------------------------------


@EXECUTORS
def test_equations_of_very_different_sizes(executor: str) -> None:
    p = la.Program("scales", executor=executor)
    a, b = p.variable("a", start=1.0), p.variable("b", start=1.0)
    p.equate(1e10 * a + 1e10 * b, 2e10 + 1e8 * a * b, name="big")
    p.equate(1e-3 * a, 1e-3 * b**2, name="small")
    found = only(p.diagnose(), "scaling")
    assert found.equations == ["small", "big"] and found.severity == "note"
    assert found.numbers["sizes"]["big"] == pytest.approx(1e10) and found.numbers["range"] > 1e12
    assert "scale=1e+10 for 'big'" in found.advice and "1e+08" in found.message


def test_an_unknown_without_digits() -> None:
    p = la.Program("trace")
    a, b = p.variable("a", start=1.0), p.variable("b", start=1e-14)
    p.equate(a + b, 1.0 + 1e-14, name="total")
    p.equate(1.0 - a + 3 * b, 2e-14 * a, name="rest")
    found = p.diagnose()
    assert only(found, "scaling").variables == ["b"] and found.ok


def test_equations_that_nearly_agree_leave_few_digits() -> None:
    p = la.Program("near")
    a, b = p.variable("a", start=0.0), p.variable("b", start=0.0)
    p.equate(a + b, 2.0, name="one")
    p.equate(a + (1 + 1e-9) * b, 2.0 + 1e-9, name="other")
    found = p.diagnose()
    accuracy = only(found, "accuracy")
    assert set(accuracy.variables) == {"a", "b"} and accuracy.severity == "warning" and not found.ok
    off = abs(p.evaluate()["a"] - 1.0)
    assert off <= accuracy.numbers["errors"].max() < 1e-4 and not found.of_kind("singular")


def test_infinite_values_and_edges_at_a_solved_point() -> None:
    p = la.Program("edge")
    x = p.input("x", 0.0)
    p.define("low", np.log(x))
    y = p.variable("y", start=0.5, domain=(0.0, 1.0))
    p.equate(y**2, 1e-16 + x, name="root")
    p.minimize(y)
    found = p.diagnose()
    assert only(found, "infinite").message == p.evaluate().notes[0]
    end = only(found, "domain end")
    assert end.severity == "warning" and end.variables == ("y",) and "lower end of its domain (0, 1)" in end.message


@EXECUTORS
def test_huge_multipliers(executor: str) -> None:
    p = la.Program("steep", executor=executor)
    x, y, w = p.input("x", 1.0), p.variable("y", start=1.0), p.variable("w", start=1.0)
    p.equate(y, x + (1 - 1e-13) * (w - 1))
    p.equate(w, y)
    p.minimize(y)
    found = only(p.diagnose(), "multiplier")
    assert found.severity == "warning" and abs(found.numbers["multipliers"]).max() == pytest.approx(1e13, rel=1e-2)
    assert only(p.diagnose(), "singular").severity == "warning"


# failures --------------------------------------------------------------------------------------------------------


def test_the_history_of_a_failed_block() -> None:
    p = la.Program("unsolved")
    y = p.variable("y", start=1.0)
    p.equate(y**2 + y, -3.0, name="law")
    with pytest.raises(la.ConvergenceError) as caught:
        p.evaluate()
    found = p.diagnose()
    assert [f.message for f in found] == [f.message for f in caught.value.findings]
    first = only(found, "unsolved")
    assert found[0] is first and first.equations == ("law",) and first.variables == ("y",)
    assert first.numbers["residual"] == pytest.approx(abs(caught.value.at.residual["law"]))
    assert first.table is not None and first.table.rows[0][:2] != first.table.rows[1][:2]
    assert {row["of"] for row in first.to_dict()["table"]} <= {"law", ""}
    assert "iterations" in str(found) and "largest residual" in str(found)
    assert str(caught.value) == in_words(caught.value.findings)
    shown_as_data(found)


def test_a_function_that_has_no_value() -> None:
    p = la.Program("domain")
    x = p.input("x", -1.0)
    p.define("y", 1 + np.log(x))
    found = only(p.diagnose(), "domain")
    assert "log needs argument > 0" in found.message and found.equations == ["y"]
    assert p.diagnose(x=2.0).ok and p.diagnose({"x": 2.0}).ok


def test_a_black_box_that_raises() -> None:
    def broken(x: Any) -> Any:
        raise RuntimeError("no table for this pressure")

    p = la.Program("raises")
    p.define("y", la.external(broken, name="broken", method="differences")(p.input("x", 1.0)))
    found = only(p.diagnose(), "function")
    assert "RuntimeError: no table for this pressure" in found.message and "while computing y" in found.details


def test_trial_points_without_value_are_told() -> None:
    p = la.Program("outside")
    y = p.variable("y", start=1.0)
    p.equate(np.sqrt(y) + y, -1.0, name="law")
    with pytest.raises(la.ConvergenceError) as caught:
        p.evaluate()
    from dataclasses import replace as changed

    from lagrange_ad.solution.diagnosis.edges import outside_findings

    at = caught.value.at
    report = at.blocks[0]
    report.record.steps = [changed(step, outside=1) for step in report.record.steps[:2]]
    report.record.outside_x = np.array([-0.5])
    (found,) = outside_findings(at.plan.lowered, at._solved, report)
    assert found.message.startswith("2 trial points of the solve had no value; at the first of them, equation 'law'")
    assert "sqrt needs argument ≥ 0" in found.message and found.equations == ["law"]


# several solutions -----------------------------------------------------------------------------------------------


@EXECUTORS
def test_other_solutions_are_found_with_their_objectives(executor: str) -> None:
    p = la.Program("roots", executor=executor)
    x, y = p.input("x", 0.0), p.variable("y", start=0.6)
    p.equate((y - 0.5) * (y + 1) * (y - 3), x, name="cubic")
    p.minimize(y**2 + x, name="J")
    found = only(p.diagnose(), "several solutions")
    roots = [solution["y"] for solution in found.numbers["solutions"]]
    assert roots[0] == pytest.approx(0.5)  # that of the point itself
    np.testing.assert_allclose(sorted(roots), [-1.0, 0.5, 3.0], rtol=1e-8)
    np.testing.assert_allclose(found.numbers["objectives"], np.square(roots), rtol=1e-8)
    assert found.severity == "note" and p.diagnose().ok
    assert "solutions found" in str(p.diagnose()) and shown_as_data(p.diagnose())
    assert p.diagnose(at=p.evaluate(start={"y": 2.9})).of_kind("several solutions")[0].numbers["solutions"][0][
        "y"] == pytest.approx(3.0)


def test_one_solution_is_not_called_several() -> None:
    p = la.Program("monotone")
    y = p.variable("y", start=1.0, domain=(-20, 20))
    p.equate(np.exp(y) + y, 2.0)
    double = p.variable("double", start=2.0)
    p.equate((double - 1) ** 2, 0.0, name="touching")
    assert not p.diagnose().of_kind("several solutions")


def test_a_solve_that_crossed_a_fold() -> None:
    p = la.Program("fold")
    y = p.variable("y", start=-1.2)
    p.equate(y**2 * (y + 3), 20.0, name="law")  # one real root, 2; slope 3y² + 6y is negative at the start
    found = only(p.diagnose(), "branch")
    assert found.numbers == {"sign at start": 1.0, "sign at solution": -1.0} or found.numbers["sign at start"] == -1.0
    assert p.evaluate()["y"] == pytest.approx(2.0)


# trust -----------------------------------------------------------------------------------------------------------


@EXECUTORS
def test_errors_of_unknowns_cover_the_exact_solution(executor: str) -> None:
    mpmath = pytest.importorskip("mpmath")
    at = sellar(executor).evaluate()
    with mpmath.workdps(40):
        exact = mpmath.findroot(lambda a, b: [28 - mpmath.mpf(0.2) * b - a, mpmath.sqrt(a) + 7 - b], (25.5, 12.0))
        off = [abs(float(exact[i] - mpmath.mpf(at[name]))) for i, name in enumerate(("y1", "y2"))]
    report = at.blocks[0]
    error = dict(zip(report.unknowns, report.error, strict=True))
    assert off[0] <= error["y1"] < 1e-12 and off[1] <= error["y2"] < 1e-12
    assert f"error ≤ {report.error.max():.2g}" in str(at)
    assert at.as_dict()["blocks"][0]["error"] == report.error.max()


def test_the_error_of_a_residual_that_is_left() -> None:
    """|J⁻¹ r| with r of a size that rounding has no part in: Newton stopped early."""
    p = sellar()
    exact = p.evaluate()
    with pytest.raises(la.ConvergenceError) as caught:
        p.evaluate(max_iterations=2)
    report = caught.value.at.blocks[0]
    off = [abs(caught.value.at[name] - exact[name]) for name in report.unknowns]
    np.testing.assert_allclose(report.error, off, rtol=1e-3)


@pytest.mark.parametrize("n", [90, 300])
def test_errors_of_a_linear_block_against_the_inverse(n: int) -> None:
    rng = np.random.default_rng(3)
    matrix = np.eye(n) * 3 + rng.uniform(-1, 1, (n, n)) / np.sqrt(n)
    p = la.Program("linear")
    x = p.variable("x", n, start=np.zeros(n))
    p.equate(matrix @ x, p.input("b", np.ones(n)), name="system")
    report = p.evaluate().blocks[0]
    solution = report.state[report.step.columns]
    terms = np.abs(matrix) @ np.abs(solution) + 1.0  # and the right side
    bound = np.abs(np.linalg.inv(matrix)) @ (8 * np.finfo(float).eps * terms)
    moved = np.abs(np.linalg.inv(matrix) @ report.residuals)
    assert (report.error <= 1.001 * (bound + moved)).all()  # an estimate from below beyond a hundred unknowns
    off = np.abs(np.linalg.solve(matrix.astype(np.longdouble).astype(float), np.ones(n)) - solution)
    assert off.max() <= report.error.max()
    if n < 100:
        np.testing.assert_allclose(report.error, bound + moved, rtol=1e-10)


@EXECUTORS
def test_residuals_and_multipliers_estimate_the_objective(executor: str) -> None:
    """J* − J ≈ Σ λ·r at unconverged iterates, by re-solving: the error left is of second order in r."""
    p = sellar(executor)
    exact = p.evaluate()
    assert exact.objective_error == pytest.approx(0.0, abs=1e-12)
    assert abs(exact.objective_estimate - exact.objective) <= exact.objective_margin < 1e-11
    for iterations, second in ((1, 0.1), (2, 1e-4)):
        with pytest.raises(la.ConvergenceError) as caught:
            p.evaluate(max_iterations=iterations)
        at = caught.value.at
        off = exact.objective - (at.objective_estimate - at.objective_error)
        assert abs(off) > 1e-3  # the iterate is far
        assert at.objective_error == pytest.approx(off, rel=second)
        assert "with λ·r the objective is near" in str(at)
        with pytest.raises(la.SolveError, match="no multipliers"):
            _ = at.multiplier["y1"]


@EXECUTORS
def test_perturbed_equations_move_the_objective_as_the_estimate_says(executor: str) -> None:
    """A solution of the equations with ε added has residuals −ε as the equations were written."""
    p = sellar(executor)
    plain = p.evaluate()
    eps = 1e-6
    moved = p.evaluate(perturbation={"y1": eps})
    assert moved.objective - plain.objective == pytest.approx(plain.multiplier["y1"] * eps, rel=1e-4)
    assert moved.objective_error == pytest.approx(0.0, abs=1e-12)  # ε is part of its equations


def test_estimates_where_steps_follow_the_failed_block() -> None:
    p = la.Program("chain")
    x, y = p.input("x", 2.0), p.variable("y", start=3.0)
    p.equate(y**2, x, name="root")
    a = p.define("a", np.exp(y))
    z = p.variable("z", start=1.0)
    p.equate(z**3 + z, a, name="second")
    p.maximize(z * a)
    exact = p.evaluate().objective
    with pytest.raises(la.ConvergenceError) as caught:
        p.evaluate(max_iterations=2)
    at = caught.value.at
    assert at.objective_estimate == pytest.approx(exact, rel=1e-2)
    assert abs(at.objective_estimate - exact) < 0.1 * abs(at.objective_error)
    assert not at.solved and at["a"] == 0.0  # the point itself stays what it was


def test_no_estimate_without_objective_or_value() -> None:
    p = la.Program("none")
    y = p.variable("y", start=1.0)
    p.equate(y**2, p.input("x", 2.0))
    at = p.evaluate()
    with pytest.raises(la.MissingObjectiveError):
        _ = at.objective_error
    assert "error ≤" in str(at) and "objective ±" not in str(at)
    q = la.Program("nan")
    q.define("y", np.log(q.input("x", -1.0)))
    q.minimize(q["y"])
    with pytest.raises(la.DomainError) as caught:
        q.evaluate()
    assert caught.value.at.objective_error == 0.0 or np.isnan(caught.value.at.objective_error)
    assert np.isnan(caught.value.at.objective_estimate)


# arguments and the command ---------------------------------------------------------------------------------------


def test_arguments_are_checked() -> None:
    p, other = sellar(), la.Program("other")
    other.minimize(other.input("x", 1.0))
    for use in (
        lambda: p.diagnose(at=3), lambda: p.diagnose(at=other.evaluate()), lambda: p.diagnose(3),
        lambda: p.diagnose(at=p.evaluate(), z1=2.0), lambda: p.diagnose(y1=2.0), lambda: p.diagnose(start=3),
    ):  # fmt: skip
        with pytest.raises(la.DeclarationError):
            use()
    with pytest.raises(la.UnknownNameError):
        p.diagnose(zz=1.0)
    y = p.variable("late", start=2.0, domain=(0, 1))
    p.equate(y, 0.5)
    found = only(p.diagnose(), "declaration")
    assert "outside its domain" in found.message


def test_the_command(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.lag", tmp_path / "bad.lag"
    good.write_text("input x = 2\nvariable y start 1\nlaw: y^2 = x\nminimize y\n")
    bad.write_text("variable y start 1\nlaw: y^2 + y = -3\n")
    assert main(["diagnose", str(good)]) == 0
    assert "several solutions" in capsys.readouterr().out
    assert main(["diagnose", str(bad)]) == 1
    out = capsys.readouterr().out
    assert "unsolved" in out and "--start NAME=VALUE" in re.sub(r"\s+", " ", out) and "evaluate(" not in out
    assert main(["diagnose", str(good), "--set", "x=-1", "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["ok"] is False and data["findings"][0]["kind"] == "unsolved"
    assert main(["diagnose", str(tmp_path / "missing.lag")]) == 2


@EXECUTORS
def test_black_boxes_that_say_the_same(executor: str) -> None:
    p = la.Program("boxes", executor=executor)
    balance = la.external(lambda a, b: a + 2 * b, lambda a, b: (1.0, 2.0), name="balance")
    with p.scope("unit"):
        a, b = p.variable("a", start=1.0), p.variable("b", start=1.0)
        p.equate(balance(a, b), 3.0, name="mass")
        p.equate(2 * balance(a, b), 6.0, name="energy")
    found = only(p.diagnose(), "singular")
    weights = dict(zip(found.equations, found.numbers["equation_weights"], strict=True))
    assert weights["unit.mass"] / weights["unit.energy"] == pytest.approx(-2.0)
    moves = dict(zip(found.variables, found.numbers["variable_weights"], strict=True))
    assert moves["unit.a"] / moves["unit.b"] == pytest.approx(-2.0)


def test_points_and_diagnoses_pickle() -> None:
    p = sellar()
    at = p.evaluate()
    error, margin = at.blocks[0].error, at.objective_margin
    again = pickle.loads(pickle.dumps(at))
    np.testing.assert_allclose(again.blocks[0].error, error)
    assert again.objective_margin == pytest.approx(margin)
    found = p.diagnose()
    assert pickle.loads(pickle.dumps(found)).to_dict() == found.to_dict()
