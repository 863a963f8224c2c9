"""What ``p.optimize`` promises, whatever the algorithm: signs, starts, ends, errors, all kinds of programs."""

import os
import pickle
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from optimal_programs import Moved, assert_proved, multipliers, sellar, sellar_s_optimum
from random_programs import Drawn, acyclic, cyclic, is_tied
from scipy import sparse

import lagrange_ad as la
from lagrange_ad.optimizers.factoring import with_diagonal
from lagrange_ad.optimizers.saddle import Saddle
from lagrange_ad.solvers.linear.pattern import Ordering

SQP = "uno-sqp"
METHODS = ["uno", "uno-sqp", "slsqp", "trust-constr", "augmented-lagrangian", "lagrange-newton"]


def solved(p: la.Program, method: str | None = SQP, space: Any = None, **options: Any) -> la.OptimizeResult:
    r = p.optimize(method, space=space, progress=False, **options)
    assert r.success, f"{r.message}; {r.certificate.verdict}"
    return r


def best_sellar(method: str | None = SQP, space: Any = "full", **options: Any) -> la.OptimizeResult:
    return solved(sellar(Moved()), method, space, **options)


# signs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sense", [1.0, -1.0])
@pytest.mark.parametrize("method", [*METHODS, "l-bfgs-b"])
def test_what_a_bound_is_worth(method: str, sense: float) -> None:
    """J = ±(x − 3)² and x ≤ 2: dJ*/d2 = ±2(2 − 3); and with x ≥ 5: ±2(5 − 3)."""
    for bounds, name, slope in (({"upper": 2.0}, "upper", -2.0), ({"lower": 5.0}, "lower", 4.0)):
        p = la.Program("bound")
        x = p.input("x", 2.0 if name == "upper" else 7.0, **bounds)
        (p.minimize if sense > 0 else p.maximize)(sense * (x - 3) ** 2)
        r = solved(p, method)
        found = {"lower": r.multiplier.lower["x"], "upper": r.multiplier.upper["x"]}
        assert found[name] == pytest.approx(sense * slope, rel=1e-9)
        assert found["upper" if name == "lower" else "lower"] == 0.0


SIDES = [
    (lambda x: x >= 2.0, 5.0), (lambda x: 2.0 <= x, 5.0), (lambda x: x**2 >= 4.0, 5 / 4),
    (lambda x: 4.0 <= x**2, 5 / 4), (lambda x: x - 2 >= 0, 5.0), (lambda x: -x <= -2.0, -5.0),
    (lambda x: -(x**2) <= -4.0, -5 / 4), (lambda x: x == 2.0, 5.0), (lambda x: 4.0 == x**2, 5 / 4),
    (lambda x: np.float64(2.0) <= x, 5.0), (lambda x: np.array(4.0) <= x**2, 5 / 4),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(SIDES)))
def test_what_the_side_of_a_comparison_is_worth(number: int) -> None:
    """min x² + x with x at 2, said in many ways: dJ*/db, b being the side without inputs wherever it is written."""
    comparison, slope = SIDES[number]
    for sense in (1.0, -1.0):
        p = la.Program("sides")
        x = p.input("x", 3.0, lower=0.0)
        p.subject_to(comparison(x), name="g")
        (p.minimize if sense > 0 else p.maximize)(sense * (x**2 + x))
        assert solved(p).multiplier["g"] == pytest.approx(sense * slope, rel=1e-9)


def test_ranges_are_worth_what_their_active_side_is() -> None:
    def make(moved: Moved, wanted: float) -> la.Program:
        p = la.Program("range")
        x = p.input("x", [0.5, 0.2])
        p.subject_to(np.sum(x), lower=moved("low", 1.0), upper=moved("high", 2.0), name="total")
        p.subject_to(x[0] - x[1], lower=-0.7, upper=0.5, name="shape")
        p.minimize((x[0] - wanted) ** 2 + 1.3 * (x[1] - wanted) ** 2)
        return p

    for wanted, side in ((0.0, "low"), (3.0, "high")):
        r, h = solved(make(Moved(), wanted)), 1e-4
        up, down = (solved(make(Moved({(side, 0): by}), wanted), start=r).objective for by in (h, -h))
        assert r.multiplier["total"] == pytest.approx((up - down) / (2 * h), rel=1e-8)
        assert abs(r.multiplier["total"]) > 0.1 and r.multiplier["shape"] == 0.0


def parametric(moved: Moved) -> la.Program:
    """Bounds of rows that are expressions of parameters."""
    p = la.Program("parameters in bounds")
    x, a = p.input("x", [2.0, 2.0]), p.parameter("a", [1.0, 2.0])
    y = p.define("y", x**2)
    p.subject_to(2 * a - moved("low", [1.0, 1.0]) <= y, name="floor")
    p.subject_to(x, lower=-a, upper=2 * a, name="box")
    p.minimize(np.sum(x**3))
    return p


@pytest.mark.parametrize("space", ["full", "reduced"])
def test_parameters_in_bounds(space: str) -> None:
    p = parametric(Moved())
    r = solved(p, space=space)
    assert r["x"] == pytest.approx([1.0, np.sqrt(3)], rel=1e-9)
    assert r.multiplier["floor"] == pytest.approx(1.5 * r["x"], rel=1e-7)  # J = Σ floor^(3/2)
    assert not np.any(r.multiplier["box"])
    p.set(a=[2.0, 2.5])
    again, h = solved(p, space=space, start=r), 1e-5
    assert again["x"] == pytest.approx([np.sqrt(3), 2.0], rel=1e-9)
    slopes = []
    for by in (h, -h):
        p.set(a=[2.0 + by, 2.5])
        slopes.append(solved(p, space=space, start=again).objective)
    assert 2 * again.multiplier["floor"][0] == pytest.approx((slopes[0] - slopes[1]) / (2 * h), rel=1e-6)


def test_the_two_numbers() -> None:
    """min (y − 1)² + x² with y = x + ε: held inputs give dJ/dε = 2(y − 1), inputs that follow the half of it."""
    p = la.Program("two numbers")
    x = p.input("x", 0.0)
    y = p.define("y", 1.0 * x)
    p.minimize((y - 1) ** 2 + x**2)
    for space in ("reduced", "full"):
        r = solved(p, space=space)
        assert (r["x"], r["y"]) == pytest.approx((0.5, 0.5))
        assert r.multiplier["y"] == r.at.multiplier["y"] == pytest.approx(-1.0)  # first order: dJ*/dε = ∂L/∂ε
    p.subject_to(x == 0.25, name="pin")
    for space in ("reduced", "full"):
        r = solved(p, space=space)
        assert r.multiplier["y"] == r.at.multiplier["y"] == pytest.approx(-1.5)
        assert r.multiplier["pin"] == pytest.approx(r.at.gradient["x"]) == pytest.approx(-1.0)
    q = la.Program("a limit on the variable")
    x = q.input("x", 0.0)
    y = q.define("y", 1.0 * x)
    q.subject_to(y <= 0.25, name="cap")
    q.minimize((y - 1) ** 2 + x**2)
    for space in ("reduced", "full"):
        r = solved(q, space=space)
        # ε lets x be smaller while y stays at 0.25: dJ*/dε = −2x; with x held y would rise: 2(y − 1)
        assert r.multiplier["y"] == pytest.approx(-0.5) and r.at.multiplier["y"] == pytest.approx(-1.5)
        assert r.multiplier["cap"] == pytest.approx(-1.5 + 0.5)


# programs of all kinds --------------------------------------------------------------------------------------------


def labelled(moved: Moved) -> la.Program:
    p = la.Program("labelled")
    x = p.input("x", np.ones(3), **moved.bounds("x", [0.0, 0.5, 0.0], np.full(3, 5.0)), labels=["a", "b", "c"])
    y = p.variable("y", 3, labels=["north", "east", "south"])
    p.equate(y, x**2 + 1)
    p.subject_to(y >= moved("need", [1.5, 1.0, 2.0]), name="need")
    p.minimize(np.sum(y) + np.sum(x))
    return p


@pytest.mark.parametrize("space", ["full", "reduced"])
def test_arrays_with_labels(space: str) -> None:
    r = solved(labelled(Moved()), space=space)
    assert r["x"] == pytest.approx([np.sqrt(0.5), 0.5, 1.0])
    assert r.multiplier["need"] == pytest.approx([1 + np.sqrt(0.5), 0.0, 1.5])
    assert r.multiplier["y"] == pytest.approx([-np.sqrt(0.5), 1.0, -0.5])
    assert r.multiplier.lower["x"] == pytest.approx([0.0, 2.0, 0.0])
    assert r.multiplier.upper["x"].tolist() == [0.0, 0.0, 0.0]
    text = str(r)
    assert "x[b]" in text and "y[north]" in text
    assert_proved(labelled, r, method=SQP, space=space)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("space", ["full", "reduced"])
def test_fixed_variables(method: str, space: str) -> None:
    """Two equal bounds hold an input, or a variable; what moving both is worth is the sum of their multipliers."""
    def make(moved: Moved) -> la.Program:
        p = la.Program("fixed")
        x = p.input("x", [1.0, 1.0, 1.0], **moved.fixed("x", [2.0, -1.0, 0.5]))
        u = p.input("u", 0.3, lower=-5, upper=5)
        y = p.variable("y", start=1.0, **moved.fixed("y", 1.5))
        p.equate(y, u + 0.1 * np.sin(y) + x[2])
        p.minimize(np.sum(x**2) * u + u**2 + x[0] * y)
        return p

    r = solved(make(Moved()), method, space)
    assert r["x"].tolist() == [2.0, -1.0, 0.5] and r["y"] == pytest.approx(1.5, rel=1e-12)
    assert r["u"] == pytest.approx(1.0 - 0.1 * np.sin(1.5), rel=1e-12)
    if method == "uno-sqp":
        assert_proved(make, r, method=SQP, space=space)


def test_roles_are_respected() -> None:
    """Sellar with y1 given and z1 found has the published optimum, whose y1 stands at 3.16."""
    p = sellar(Moved())
    p.fix("y1", 3.16)
    p.free("z1", start=2.0)
    exact = sellar_s_optimum()
    for space in ("full", "reduced"):
        r = solved(p, space=space)
        assert r.objective == pytest.approx(exact["J"], rel=1e-12) and r["z1"] == pytest.approx(exact["z1"], rel=1e-9)
    p.set(y1=4.0)
    r, h = solved(p, space="reduced"), 1e-5
    slopes = [sellar(Moved({("g1", 0): 0.84 + by})).optimize(SQP, progress=False).objective for by in (h, -h)]
    assert r.at.gradient["y1"] == pytest.approx((slopes[0] - slopes[1]) / (2 * h), rel=1e-6)


def test_equations_of_inputs_alone() -> None:
    """Too many equations for the variables: those over inputs bind the inputs."""
    p = la.Program("budget")
    x, y = p.input("x", 0.3), p.input("y", 0.2)
    p.equate(x + y, 1.0, name="budget")
    p.minimize(x**2 + 2 * y**2)
    for space in ("full", "reduced", None):
        for method in METHODS:
            r = solved(p, method, space)
            assert (r["x"], r["y"]) == pytest.approx((2 / 3, 1 / 3), rel=1e-9)
            # residual 1 − x − y + ε = 0: ε is more to spend, J* = 2/3·(1 + ε)²
            assert r.multiplier["budget"] == pytest.approx(4 / 3, rel=1e-9)
            assert (r.at["x"], r.at["y"]) == (r["x"], r["y"])


def determined(moved: Moved) -> la.Program:
    p = la.Program("one equation more")
    x, y = p.input("x", 0.3, **moved.bounds("x", -4.0, 4.0)), p.variable("y", start=0.2)
    p.equate(y, x**2 + 2 * x)
    p.equate(y + x, 3.0, name="sum")
    p.minimize((x - 5) ** 2 + 2 * y**2)
    return p


@pytest.mark.parametrize("space", ["full", "reduced", ["y"]], ids=str)
def test_programs_with_more_equations_than_variables(space: Any) -> None:
    r = solved(determined(Moved()), space=space)
    assert r["x"] == pytest.approx((-3 + np.sqrt(21)) / 2, rel=1e-9)
    assert_proved(determined, r, method=SQP, space=space)


def test_decisions_without_any_input() -> None:
    """Rosenbrock's valley in a disk: variables that nothing determines."""
    for space in ("full", "reduced"):
        p = la.Program("valley")
        x = p.variable("x", 2, start=[-1.2, 1.0])
        p.subject_to(x @ x <= 1.0, name="disk")
        p.minimize(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2)
        r = solved(p, space=space)
        assert r["x"] == pytest.approx([0.78641515, 0.61769831], abs=1e-8)  # the optimum of SciPy's tutorial
        assert r.objective == pytest.approx(0.0456748087, abs=1e-10)
        assert r.multiplier["disk"] < 0.0


def with_auxiliaries(moved: Moved) -> la.Program:
    """exp of a sum inside an elementwise equation, logsumexp, softmax: auxiliaries of the lowered program."""
    p = la.Program("auxiliaries")
    x = p.input("x", [0.2, 0.3, -0.4], **moved.bounds("x", np.full(3, -2.0), np.full(3, 2.0)))
    y = p.define("y", np.exp(np.sum(x)) + x)
    level = p.define("level", la.logsumexp(y))
    p.subject_to(la.softmax(y)[0] >= moved("share", 0.4), name="share")
    p.subject_to(np.exp(-np.sum(x**2)) >= moved("ball", 0.5), name="ball")
    p.minimize(level - 0.3 * np.sum(x))
    return p


@pytest.mark.parametrize("space", ["full", "reduced", ["y"], ["level"]], ids=str)
def test_auxiliaries_in_every_space(space: Any) -> None:
    r = solved(with_auxiliaries(Moved()), "uno", space)
    assert r.objective == pytest.approx(solved(with_auxiliaries(Moved()), "slsqp", "reduced").objective, rel=1e-9)
    assert set(r.multiplier) == {"y", "level", "share", "ball"}  # auxiliaries have no name
    assert r.multiplier["level"] == pytest.approx(1.0, rel=1e-9)
    assert_proved(with_auxiliaries, r, method=SQP, space=space)


def recurrence(moved: Moved) -> la.Program:
    p = la.Program("recurrence")
    u = p.input("u", np.zeros(6), **moved.bounds("u", np.full(6, -1.0), np.full(6, 1.0)))
    z = p.variable("z", 7)
    p.equate(z, np.concatenate([[1.0], z[:-1] + 0.3 * (u - np.sin(z[:-1]))]))
    p.subject_to(z[-1] == moved("end", -0.2), name="end")
    p.minimize(np.sum(u**2) + np.sum(z**2))
    return p


def test_a_recurrence_in_both_spaces() -> None:
    full, reduced = (solved(recurrence(Moved()), "uno", space) for space in ("full", "reduced"))
    assert full.objective == pytest.approx(reduced.objective, rel=1e-10)
    for name, value in multipliers(full).items():
        assert value == pytest.approx(multipliers(reduced)[name], rel=1e-6, abs=1e-8), name
    assert_proved(recurrence, reduced, method=SQP, space="reduced")


@pytest.mark.parametrize("external", [
    la.external(lambda n: 12.0 / (1.0 + n**2)),
    la.external(lambda n: 12.0 / (1.0 + n**2), lambda n: -24.0 * n / (1.0 + n**2) ** 2)],
    ids=["differenced", "with its derivative"])  # fmt: skip
def test_functions_of_the_user(external: Any) -> None:
    def make(moved: Moved) -> la.Program:
        p = la.Program("fan")
        n = p.input("n", 0.5, **moved.bounds("n", 0.1, 3.0))
        v = p.variable("v", start=5.0)
        p.equate(v**2 / 20 + v, external(n) + n, name="forces")
        p.subject_to(v <= moved("cap", 6.0), name="cap")
        p.maximize(v - 0.1 * n)
        return p

    for method in METHODS:
        for space in ("full", "reduced"):
            r = solved(make(Moved()), method, space)
            n = r["n"]
            assert 12 / (1 + n**2) + n == pytest.approx(36 / 20 + 6, rel=1e-9)
    assert_proved(make, r, method="slsqp", space="full")


def test_empty_arrays() -> None:
    p = la.Program("some are empty")
    x, y = p.input("x", np.zeros(0), lower=0), p.input("y", 1.0, lower=0.5)
    v = p.variable("v", shape=0)
    p.equate(v, 2 * x, name="nothing")
    p.subject_to(x <= 3, name="limits")
    p.minimize(np.sum(x**2) + y**2)
    for space in ("full", "reduced"):
        r = solved(p, space=space)
        assert r.multiplier["nothing"].shape == r.multiplier["limits"].shape == r.multiplier.lower["x"].shape == (0,)
        assert r.multiplier.lower["y"] == pytest.approx(1.0) and r["x"].shape == (0,) and "0.25" in str(r)


def test_nothing_to_choose() -> None:
    """Inputs that are all empty, or all fixed: the point is the answer, with the multipliers of its bounds."""
    for method in (*METHODS, "l-bfgs-b"):
        p = la.Program("empty")
        p.minimize(np.sum(p.input("x", np.zeros(0), lower=0.0) ** 2) + 3.0)
        assert solved(p, method, "reduced").objective == 3.0
        p = la.Program("all fixed")
        x = p.input("x", [2.0, 3.0], lower=[2.0, 3.0], upper=[2.0, 3.0])
        y = p.define("y", x**2)
        p.minimize(np.sum(y))
        r = solved(p, method, "reduced")
        assert r.multiplier.lower["x"] + r.multiplier.upper["x"] == pytest.approx([4.0, 6.0])
        if method != "l-bfgs-b":
            p.subject_to(np.sum(x) <= 6.0, name="idle")
            assert solved(p, method, "full").multiplier["idle"] == 0.0


# starts -----------------------------------------------------------------------------------------------------------


def test_a_result_starts_another_space() -> None:
    """The first step from an optimum's values and multipliers finds nothing to do."""
    cold = {space: best_sellar(space=space) for space in ("full", "reduced")}
    for space, other in (("full", "reduced"), ("reduced", "full"), (["y1"], "full")):
        warm = best_sellar(space=space, start=cold[other])
        assert warm.iterations < cold[other].iterations and warm.iterations <= 2
        assert warm.objective == pytest.approx(cold[other].objective, rel=1e-12)


def coupled() -> la.Program:
    p = la.Program("coupled")
    x, y = p.input("x", [3.0, -1.0]), p.variable("y", 2, start=1.0)
    p.equate(y, x + 0.3 * np.sin(y[::-1]))
    p.minimize(np.sum((y - 1) ** 4) + np.sum(x**2))
    return p


def test_adjoints_of_a_reduced_optimum_start_a_full_one() -> None:
    p = coupled()
    reduced = solved(p, None)
    assert reduced.view.space.name == "reduced"  # nothing but equations: they are eliminated
    cold, values = solved(p, space="full"), solved(p, space="full", start={"x": reduced["x"], "y": reduced["y"]})
    point = solved(p, space="full", start=reduced.at)
    assert point.iterations <= values.iterations < cold.iterations
    assert point.multiplier["y"] == pytest.approx(reduced.at.multiplier["y"], rel=1e-6)


def test_starts_by_name_and_out_of_bounds() -> None:
    for start in ({"z1": 3.0}, {"z1": 99.0, "y2": 4.0}, {"y1": 3.2, "y2": 3.7, "z2": -5}):
        assert best_sellar(start=start).objective == pytest.approx(sellar_s_optimum()["J"], rel=1e-10)
    p = sellar(Moved())
    begun: list[Any] = []
    p.optimize(SQP, space="full", start={"z1": 99.0, "y2": 4.0}, callback=begun.append, progress=False)
    assert (begun[0].at["z1"], begun[0].at["y2"]) == (10.0, 4.0)  # as near as the bounds let it
    assert p.evaluate()["z1"] == 5.0  # the program keeps its own


# ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_callback_sees_the_run_and_ends_it(method: str) -> None:
    seen: list[la.optimization.OptimizeRecord] = []

    def callback(record: Any) -> bool:
        seen.append(record)
        return len(seen) == 4

    r = sellar(Moved(), "maximize").optimize(method, space="full", callback=callback, progress=False)
    assert r.reason == "callback" and not r.success and "the callback asked to stop" in r.message
    assert len(seen) == 4 and [record.iteration for record in seen] == [0, 1, 2, 3] and len(r.history) == 4
    assert seen[0].objective == pytest.approx(-(1 + 2 + 1 + np.exp(-1)))  # as declared, not as minimized
    assert seen[0].infeasibility == seen[0]["infeasibility"] == pytest.approx(26.8)
    assert all(record.at.objective == pytest.approx(record.objective) for record in seen)
    best = min(seen, key=lambda record: record.infeasibility)
    assert r["y1"] == best.at["y1"] and r.infeasibility == pytest.approx(best.infeasibility)
    assert np.isfinite(r.multiplier["y1"]) and not r.certificate.ok and "stopped" in str(r)


@pytest.mark.parametrize("method", METHODS)
def test_limits_return_the_best_point(method: str) -> None:
    p = sellar(Moved())
    now = p.optimize(method, time_limit=0.0, progress=False)
    assert now.reason == "time" and "best point so far" in now.message
    assert now.objective == pytest.approx(4 + np.exp(-1))
    few = p.optimize(method, max_iterations=2, progress=False)
    assert few.reason == "iterations" and few.iterations <= 2 and not few.success
    none = p.optimize(method, max_iterations=0, progress=False)
    assert none.reason == "iterations" and none["z1"] == 5.0


@pytest.mark.parametrize("method", METHODS)
def test_what_a_callback_raises_is_raised(method: str) -> None:
    def fails(record: Any) -> None:
        raise ZeroDivisionError("of the user")

    with pytest.raises(ZeroDivisionError, match="of the user"):
        sellar(Moved()).optimize(method, callback=fails, progress=False)


INTERRUPTED = """
import os, signal, sys
from optimal_programs import Moved, sellar
for method in sys.argv[1:]:
    def callback(record):
        if record.iteration == 3:
            os.kill(os.getpid(), signal.SIGINT)
    r = sellar(Moved()).optimize(method, space="full", callback=callback, progress=False)
    print(method, r.reason, r.success, len(r.history) in (3, 4, 5), r.infeasibility < 26.8)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals are sent in another way there")
def test_ctrl_c_returns_the_best_point() -> None:
    tests = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)])}
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, *METHODS], env=environment, capture_output=True,
                          encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{method} interrupted False True True" for method in METHODS]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_limits_that_contradict_each_other() -> None:
    p = la.Program("too far")
    x = p.input("x", 1.0, lower=0, upper=2)
    y = p.define("y", x**2)
    p.subject_to(y >= 5.0, name="far")
    p.minimize(x)
    for method in METHODS:
        r = p.optimize(method, progress=False)
        assert not r.success and r.reason in ("infeasible", "stalled") and "far" in str(r.certificate)


def test_a_range_the_wrong_way_round() -> None:
    p = la.Program("reversed")
    x, a = p.input("x", 1.0), p.parameter("a", 1.0)
    p.subject_to(x**2, lower=2.0, upper=a, name="corridor")
    p.minimize(x)
    with pytest.raises(la.DeclarationError, match="'corridor' is to be at least 2 and at most 1"):
        p.optimize(progress=False)
    p.set(a=3.0)
    assert solved(p, start={"x": -1.5})["x"] == pytest.approx(-np.sqrt(3))


def test_the_objective_falls_without_end() -> None:
    p = la.Program("downhill")
    x = p.input("x", [1.0, 2.0], lower=0)
    p.subject_to(x[0] - x[1] <= 1.0, name="side")
    p.minimize(-np.sum(x**2))
    for method in ("uno", "uno-sqp", "slsqp"):
        r = p.optimize(method, max_iterations=200, progress=False)
        assert r.reason == "unbounded" and not r.success


def test_points_without_a_value_are_backed_off_from() -> None:
    p = la.Program("domain")
    x = p.input("x", 5.0)
    y = p.define("y", np.log(x))
    p.minimize(3 * x - y)
    for method in (*METHODS, "l-bfgs-b"):
        assert solved(p, method, "reduced")["x"] == pytest.approx(1 / 3, rel=1e-9)


# errors -----------------------------------------------------------------------------------------------------------

WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"method": "sqlsp"}, la.DeclarationError, "there is no method 'sqlsp'; did you mean 'slsqp'"),
    ({"method": 3}, la.DeclarationError, "got 3"),
    ({"method": la.optimizers.Uno}, la.DeclarationError, "give an object, Uno"),
    ({"method": "l-bfgs-b"}, la.DeclarationError, "takes no equations, and there are: y1 and 1 more|takes no ineq"),
    ({"space": "half"}, la.DeclarationError, "'reduced', 'full' or a list"),
    ({"space": ["nope"]}, la.UnknownNameError, "nope"),
    ({"space": ["z1"]}, la.DeclarationError, "'z1' is one of the inputs"),
    ({"tolerance": 0}, la.DeclarationError, "between 0 and 1"),
    ({"tolerance": np.nan}, la.DeclarationError, "between 0 and 1"),
    ({"max_iterations": -1}, la.DeclarationError, "an integer ≥ 0"),
    ({"max_iterations": 2.5}, la.DeclarationError, "an integer ≥ 0"),
    ({"time_limit": -1}, la.DeclarationError, "seconds ≥ 0"),
    ({"callback": 3}, la.DeclarationError, "a function of an iteration's record"),
    ({"perturbation": 3}, la.DeclarationError, "by equation"),
    ({"perturbation": {"g1": 1.0}}, la.UnknownNameError, "no equation 'g1'"),
    ({"perturbation": {"y1": [1, 2]}}, la.ShapeError, "y1"),
    ({"start": 3}, la.DeclarationError, "a point, a result, or a dict"),
    ({"start": {"nope": 1.0}}, la.UnknownNameError, "nope"),
    ({"start": {"z1": np.nan}}, la.DeclarationError, "finite"),
    ({"start": {"z1": [1.0, 2.0]}}, la.ShapeError, "z1"),
]


@pytest.mark.parametrize("number", range(len(WRONG)), ids=[str(case[0])[:50] for case in WRONG])
def test_wrong_arguments_are_told(number: int) -> None:
    options, error, message = WRONG[number]
    with pytest.raises(error, match=message):
        sellar(Moved()).optimize(**options)


def test_programs_that_cannot_be_optimized() -> None:
    p = la.Program("no objective")
    p.input("x", 1.0)
    with pytest.raises(la.MissingObjectiveError):
        p.optimize()
    q = la.Program("nothing to choose")
    y = q.variable("y", start=1.0)
    q.equate(y, np.cos(y))
    q.minimize(y)
    with pytest.raises(la.DeclarationError, match="no inputs, so there is nothing to optimize"):
        q.optimize(space="reduced")
    with pytest.raises(la.UnknownNameError, match="nope"):
        _ = best_sellar().multiplier["nope"]


# results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["full", "reduced", ["y2"]], ids=str)
def test_a_result_pickles(space: Any) -> None:
    r = best_sellar(space=space)
    again = pickle.loads(pickle.dumps(r))
    assert again.objective == r.objective and again.success and again["y2"] == r["y2"]
    for name, value in multipliers(r).items():
        assert np.array_equal(multipliers(again)[name], value), name
    assert again.at.multiplier["y1"] == pytest.approx(r.at.multiplier["y1"], rel=1e-12)
    assert again.certificate.verdict == r.certificate.verdict and str(again).splitlines()[1:] == str(r).splitlines()[1:]
    assert sellar(Moved()).optimize(SQP, start=again, progress=False).iterations <= 2


def test_a_result_keeps_what_it_was_when_the_program_goes_on() -> None:
    p = sellar(Moved())
    r = solved(p, space="full")
    before = multipliers(r)
    p.set(z1=0.0)
    p.subject_to(p["y2"] >= 5.0, name="more")
    again = solved(p, start=r)
    assert again["y2"] == pytest.approx(5.0) and again.multiplier["more"] > 0.0
    assert "more" not in r.multiplier and r["y2"] == pytest.approx(sellar_s_optimum()["y2"])
    assert all(np.array_equal(value, before[name]) for name, value in multipliers(r).items())


# drawn programs ---------------------------------------------------------------------------------------------------


def boxed(drawn: Drawn, size: float = 0.3) -> la.Program:
    """A drawn program as an optimization: its inputs within a box that parameters tell, their sum limited."""
    p = drawn.program
    for name in drawn.inputs:
        x, value = p[name], np.asarray(p.symbols[name].value)
        low, high = p.parameter(f"low_{name}", value - size), p.parameter(f"high_{name}", value + 0.7 * size)
        p.subject_to(x, lower=low, upper=high, name=f"box_{name}")
    total = sum(np.sum(p[name]) for name in drawn.inputs)
    limit = sum(float(np.sum(p.symbols[name].value)) for name in drawn.inputs)
    p.subject_to(total <= p.parameter("limit", limit + 0.1 * size), name="total")
    return p


def _slope(p: la.Program, r: la.OptimizeResult, space: str, parameter: str, place: int, h: float) -> float:
    value = np.array(p.symbols[parameter].value, dtype=float)
    found = []
    for by in (h, -h):
        moved = value.copy()
        moved.ravel()[place] += by
        p.set({parameter: moved})
        again = p.optimize(SQP, space=space, start=r, progress=False)
        assume(again.success)
        found.append(again.objective)
    p.set({parameter: value})
    return (found[0] - found[1]) / (2 * h)


def assert_boxes_proved(drawn: Drawn, space: str) -> None:
    """Multipliers of one element of each box, of the limit, and of one element of each equation, by perturbing."""
    p = boxed(drawn)
    r = p.optimize(SQP, space=space, max_iterations=200, progress=False)
    assume(r.success and r.certificate.inertia.verdict == "minimum" and not r.certificate.active.weak)
    assume(not is_tied(drawn, r.values))
    h, scale = 1e-5, max(1.0, abs(r.objective))
    close = {"rel": 1e-3, "abs": 1e-5 * scale}
    for name in drawn.inputs:
        price = np.ravel(r.multiplier[f"box_{name}"])
        place = int(np.argmax(np.abs(price)))
        at_low = np.ravel(r[name])[place] < np.ravel(p.symbols[name].value)[place]
        slope = _slope(p, r, space, f"{'low' if at_low else 'high'}_{name}", place, h)
        assert price[place] == pytest.approx(slope, **close), name
    assert r.multiplier["total"] == pytest.approx(_slope(p, r, space, "limit", 0, h), **close)
    for equation in p.equations:
        price = np.ravel(r.multiplier[equation.name])
        place, found = int(np.argmax(np.abs(price))), []
        for by in (h, -h):
            added = np.zeros(price.size)
            added[place] = by
            again = p.optimize(SQP, space=space, start=r, perturbation={equation.name: added.reshape(equation.shape)},
                               progress=False)
            assume(again.success)
            found.append(again.objective)
        assert price[place] == pytest.approx((found[0] - found[1]) / (2 * h), **close), equation.name


FEW = partial(settings, max_examples=6, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])


@FEW()
@given(acyclic())
def test_drawn_programs_in_reduced_space(drawn: Drawn) -> None:
    assert_boxes_proved(drawn, "reduced")


@FEW()
@given(cyclic())
def test_drawn_cycles_in_full_space(drawn: Drawn) -> None:
    assert_boxes_proved(drawn, "full")


# matrices that SuperLU must not be given ---------------------------------------------------------------------------


def test_kkt_matrices_store_their_diagonal() -> None:
    """In its symmetric mode SuperLU writes beyond its memory where a place of the diagonal is not stored."""
    n, m = 300, 100
    i = np.arange(m)
    jacobian = sparse.csr_array((np.ones(2 * m), (np.tile(i, 2), np.concatenate([i, i + m]))), shape=(m, n))
    hessian = sparse.csr_array((np.ones(n - 60), (np.arange(n - 60), np.arange(n - 60))), shape=(n, n))
    for delta, regular in ((0.0, False), (1e-3, True)):  # the last 60 variables stand nowhere
        factored = Saddle(hessian, jacobian, np.zeros(m), delta, False)
        assert factored.regular is regular
        assert factored.exact.diagonal().shape == (n + m,) and with_diagonal(hessian).nnz == n
    d, w = factored.solve(np.ones(n), np.ones(m))
    assert factored.exact @ np.concatenate([d, w]) == pytest.approx(np.ones(n + m))


def test_patterns_without_a_diagonal_are_not_factored_symmetrically() -> None:
    corner = sparse.random_array((150, 150), density=0.02, rng=np.random.default_rng(0)) + sparse.eye_array(150)
    saddle = sparse.block_array([[sparse.eye_array(150), corner.T], [corner, None]], format="csc")
    assert Ordering(saddle).symmetry == 1.0 and not Ordering(saddle).is_symmetric
    assert Ordering(sparse.csc_array(corner + corner.T)).is_symmetric
