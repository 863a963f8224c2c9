"""What readers and users found wrong in optimizing, once; each must stay right."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import lagrange_ad as la


def truss(force: float, lower: float = 0.0) -> la.Program:
    """The least area that carries a force: A* = force/250e6."""
    p = la.Program("truss")
    area = p.input("A", 1e-3, lower=lower)
    stress = p.define("s", force / area)
    p.minimize(p.define("w", 15600 * area))
    p.subject_to(stress <= 250e6, name="stress")
    return p


def chip(**options: Any) -> la.OptimizeResult:
    """A microfluidic network in SI units: flows of 1e-9; J* = 4500."""
    p = la.Program("chip")
    pressure = p.input("P", [1000.0, 1000.0], lower=0.0, upper=1e5)
    middle, flow = p.variable("pj", start=500.0), p.variable("Q", 3, start=1e-10)
    drops = np.stack([pressure[0] - middle, pressure[1] - middle, middle])
    p.equate(flow, drops / np.array([1e12, 2e12, 0.5e12]), name="ohm")
    p.equate(flow[0] + flow[1], flow[2], name="node")
    p.minimize(np.sum(pressure))
    p.subject_to(flow[2] >= 2e-9, name="flow")
    p.subject_to(flow[1] >= 5e-10, name="share")
    return p.optimize(**options)


@pytest.mark.parametrize("options", [{}, {"method": "uno-sqp"}, {"method": "slsqp"}, {"method": "lagrange-newton"},
                                     {"space": "reduced"}], ids=str)
def test_success_does_not_depend_on_units_of_flows(options: dict[str, Any]) -> None:
    r = chip(**options)
    assert r.success == (abs(r.objective - 4500.0) < 1e-3)


@pytest.mark.parametrize(("force", "method", "space"), [
    (1e5, "slsqp", "reduced"), (1e5, "uno-sqp", None), (1e3, "uno-sqp", "full"), (1.0, "uno", "full"),
    (1e-3, "uno", "reduced"), (1e5, "uno", "full")])
def test_success_does_not_depend_on_units_of_areas(force: float, method: str, space: Any) -> None:
    r = truss(force, 1e-9 if method == "slsqp" else 0.0).optimize(method, space=space, time_limit=10)
    assert r.success == (abs(r["A"] / (force / 250e6) - 1.0) < 1e-6)


@pytest.mark.parametrize("steep", [1e5, 1e6, 1e8])
def test_a_bound_that_is_only_near_is_not_active(steep: float) -> None:
    p = la.Program("q")
    x = p.input("x", 1.0, lower=0.0)
    p.minimize((steep * x - 1) ** 2)
    r = p.optimize()
    assert r.success == (abs(steep * r["x"] - 1.0) < 1e-5)


@pytest.mark.parametrize(("exponent", "method"), [
    (-18, "lagrange-newton"), (-25, "slsqp"), (-25, "uno"), (-30, "uno-sqp")])
def test_trace_species(exponent: float, method: str) -> None:
    p = la.Program("chem")
    n = p.input("n", [0.5, 0.5], lower=0.0)
    part = n / (n[0] + n[1])
    p.minimize(n[0] * np.log(part[0]) + n[1] * (-exponent + np.log(part[1])))
    p.subject_to(n[0] + n[1] == 1.0, name="mass")
    r, k = p.optimize(method), np.exp(exponent)
    if r.success:
        assert r["n"][1] == pytest.approx(k / (1 + k), rel=1e-3)


def test_an_error_on_the_way_leaves_no_half_state() -> None:
    def square(x: Any) -> Any:
        if x > 5:
            raise RuntimeError("boom")
        return x * x

    p = la.Program("e")
    x = p.input("x", 1.0)
    p.minimize(p.define("y", la.external(square)(x) + x))
    problem, here = p.full().problem, np.array([1.0, 0.0])
    before = problem.constraints(here)
    with pytest.raises(RuntimeError, match="boom"):
        problem.constraints(np.array([9.0, 0.0]))
    assert problem.constraints(here) == before


def test_threads_share_a_full_view() -> None:
    p = la.Program("t")
    x = p.input("x", np.ones(20))
    y = p.define("y", np.cumsum(np.sin(x) * x))
    p.minimize(np.sum(y**2))
    view = p.full()
    points = [view.x0 + 0.1 * i for i in range(4)]
    right = [view.constraint_jacobian(x).sum() for x in points]

    def wrong(i: int) -> int:
        return sum(view.constraint_jacobian(points[i]).sum() != right[i] for _ in range(200))

    with ThreadPoolExecutor(4) as executor:
        assert sum(executor.map(wrong, range(4))) == 0


def test_eliminated_bounded_variables_between_rows_of_other_groups() -> None:
    p = la.Program("b")
    x = p.input("x", [0.5, 0.6, 0.7])
    a = p.define("a", x[0])
    b = p.define("b", np.sin(x[1]), upper=5.0)
    p.minimize(np.sin(np.sum(x)) + a**2 + b + np.sum(x**2))
    assert p.optimize(space="reduced").objective == pytest.approx(p.optimize(space="full").objective, rel=1e-10)


def test_groups_of_users_functions_round_other_rows() -> None:
    sine = la.external(np.sin, elementwise=True)
    p = la.Program("a")
    x = p.input("x", [0.5, 0.6])
    y = p.variable("y", shape=2, start=1.0)
    p.equate(y[:1], sine(x)[:1])
    p.equate(y[1:], x[1:])
    z = p.define("z", x * np.max(x))
    p.minimize(np.sum(z))
    p.subject_to(np.sum(sine(z)) >= -9.0, name="d")
    assert p.evaluate()["y"] == pytest.approx([np.sin(0.5), 0.6])


@pytest.mark.parametrize("cycle", [0.0, 0.1])
def test_a_problem_and_a_result_are_of_the_parameters_they_were_made_with(cycle: float) -> None:
    p = la.Program("a")
    x, k = p.input("x", 1.0), p.parameter("k", 1.0)
    y = p.variable("y", start=1.0)
    p.equate(y, k * x + cycle * np.sin(y))
    p.minimize((y - 2) ** 2)
    p.subject_to(x <= k, name="g")
    r = p.optimize(space="reduced")
    objective, problem = r.objective, r.view.problem
    r.view.set(k=3.0)
    assert r.objective == objective and r.view.problem.row_upper[0] == 3.0
    with pytest.raises(la.DeclarationError, match="other parameters"):
        _ = r.certificate
    if cycle:
        with pytest.raises(la.DeclarationError, match=r"view\.problem again"):
            problem.objective(np.ones(1))


def test_singular_points_are_answers() -> None:
    p = la.Program("n")
    x, y = p.input("x", 0.0), p.variable("y", start=0.0)
    p.equate(y**3, x, name="e")
    p.minimize(y**2)
    for options in ({"method": "slsqp"}, {"method": "uno", "callback": lambda record: True}):
        r = p.optimize(space="reduced", **options)
        assert not r.success
    assert p.optimize(space="full", start=r).objective == pytest.approx(0.0, abs=1e-8)


def test_all_inputs_held_by_bounds() -> None:
    p = la.Program("f")
    p.minimize(p.input("x", 1.0, lower=1.0, upper=1.0) ** 2)
    for method in ("slsqp", "l-bfgs-b", "uno"):
        r = p.optimize(method)
        assert r.success and r.objective == 1.0


@pytest.mark.parametrize("method", ["l-bfgs-b", "trust-krylov", "uno", "gradient"])
def test_no_iterations_are_no_steps(method: str) -> None:
    p = la.Program("z")
    p.minimize(p.input("x", 3.0) ** 2)
    r = p.optimize(method, max_iterations=0)
    assert r.objective == 9.0 and r.reason == "iterations"


def test_words_of_a_maximization() -> None:
    p = la.Program("z")
    x = p.input("x", 3.0)
    p.maximize(x**3 + x)
    r = p.optimize()
    assert r.reason == "unbounded" and "rises" in r.message and r.history[0].objective == 30.0


def test_a_value_that_is_none_at_the_start_is_named() -> None:
    p = la.Program("z")
    x = p.input("x", -1.0)
    p.minimize(p.define("y", np.log(x)) ** 2)
    assert "y is nan" in p.optimize(space="full").message


def test_starts_of_other_programs_are_refused() -> None:
    q = la.Program("other")
    q.minimize((q.input("x", 1.0) - 5) ** 2)
    p = la.Program("p")
    x = p.input("x", [0.5, 0.5])
    p.minimize((x[0] - 1) ** 2 + x[1] ** 2)
    with pytest.raises(la.DeclarationError, match="a point of another program"):
        p.optimize(start=q.optimize())


def test_multipliers_cannot_be_overwritten() -> None:
    p = la.Program("m")
    x = p.input("x", [5.0, 1.0])
    p.minimize(np.sum((x - 1) ** 2))
    p.subject_to(x <= 0.0, name="c")
    r = p.optimize()
    with pytest.raises(ValueError, match="read-only"):
        r.multiplier["c"][0] = 99.0


def test_a_saddle_has_no_sensitivities() -> None:
    p = la.Program("s")
    k, x = p.parameter("k", 1.0), p.input("x", [1.0, 0.0])
    p.minimize((x[1] - k + 1) ** 2 - (x[0] - k) ** 2)
    r = p.optimize("lagrange-newton", max_iterations=0)
    with pytest.raises(la.SolveError, match=r"no optimum.*saddle"):
        r.sensitivities("k")


def test_an_array_that_is_fixed_in_part_is_eliminated_in_the_other() -> None:
    p = la.Program("h")
    q, h = p.input("q", 1.0), p.variable("h", 3, start=1.0)
    p.equate(h[1:], np.cos(h[:2]) + q, name="e")
    p.fix(h[0], 0.6)
    p.minimize(np.sum(h**2) + q**2)
    view = p.view(["h"])
    assert view.inputs.names == ["q"] and not view.constraint_names
