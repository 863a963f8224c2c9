"""The gradient-ascent driver: the iteration itself, bounds, every reason to stop, the record it keeps, its manners."""

import csv
import os
import pickle
import pty
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lagrange_ad as la

ROOT = Path(__file__).parent.parent
senses = pytest.mark.parametrize("sense", ["minimize", "maximize"])


def bowl(sense: str = "minimize", **bounds: Any) -> la.Program:
    """Best at (1, −2) with the value 5; by way of two equations."""
    p = la.Program("bowl")
    x = p.input("x", [3.0, 0.5], **bounds)
    d = p.define("d", x - np.array([1.0, -2.0]))
    q = p.define("q", np.sum(d**2 * np.array([1.0, 3.0])))
    getattr(p, sense)(5 + q if sense == "minimize" else 5 - q, name="goal")
    return p


def domke() -> la.Program:
    p = la.Program("domke")
    x = p.input("x", 0.1, upper=0.5)
    a = p.define("a", np.exp(x))
    c = p.define("c", a + a**2)
    p.maximize(np.exp(c) + np.sin(c))
    return p


def sellar() -> la.Program:
    p = la.Program("sellar")
    z1 = p.input("z1", 5.0, lower=2, upper=10)
    z2 = p.input("z2", 2.0, lower=0, upper=10)
    x = p.input("x", 1.0, lower=0, upper=10)
    y1, y2 = p.variable("y1", start=1.0), p.variable("y2", start=1.0)
    p.equate(y1, z1**2 + z2 + x - 0.2 * y2)
    p.equate(y2, np.sqrt(y1) + z1 + z2)
    p.minimize(x**2 + z2 + y1 + np.exp(-y2))
    return p


def rosenbrock(steepness: float = 100.0) -> la.Program:
    p = la.Program("rosenbrock")
    x, y = p.input("x", -1.2), p.input("y", 1.0)
    p.minimize(steepness * (y - x**2) ** 2 + (1 - x) ** 2)
    return p


def line(sense: str = "maximize") -> la.Program:
    """Unbounded."""
    p = la.Program("line")
    x = p.input("x", 1.0)
    getattr(p, sense)(2 * x if sense == "maximize" else -2 * x)
    return p


# the iteration --------------------------------------------------------------------------------------------------


@senses
def test_a_line_search_finds_the_best_inputs(sense: str) -> None:
    r = bowl(sense).ascend()
    assert r.success and r.reason in ("gradient", "objective", "step")
    np.testing.assert_allclose(r["x"], [1.0, -2.0], atol=1e-7)
    assert r.objective == pytest.approx(5.0, abs=1e-14)


@senses
def test_a_fixed_rate_is_the_iteration_written_by_hand(sense: str) -> None:
    r = bowl(sense).ascend(rate=0.1, steps=7, gradient_tolerance=0.0, step_tolerance=0.0, objective_tolerance=0.0)
    x, scale = np.array([3.0, 0.5]), np.array([1.0, 3.0])
    assert r.reason == "steps" and r.steps == 7 and len(r.history) == 8
    for record in r.history:
        np.testing.assert_array_equal(record.x, x)
        gradient = 2 * (x - np.array([1.0, -2.0])) * scale
        assert record.gradient_norm == pytest.approx(np.abs(gradient).max(), rel=1e-15)
        x = x - 0.1 * gradient


def test_a_fixed_rate_uses_the_gradients_of_the_program_exactly() -> None:
    p = sellar()
    x = np.array([5.0, 2.0, 1.0])
    for record in p.ascend(rate=0.05, steps=5).history:
        assert record.x is not None
        np.testing.assert_allclose(record.x, x, rtol=1e-12)
        at = p.evaluate(z1=x[0], z2=x[1], x=x[2])
        assert record.objective == pytest.approx(at.objective, rel=1e-12)
        slope = np.array([at.gradient[name] for name in ("z1", "z2", "x")])
        x = np.clip(x - 0.05 * slope, [2, 0, 0], [10, 10, 10])


@pytest.mark.parametrize("program", [bowl("minimize"), bowl("maximize"), domke(), sellar(), rosenbrock()],
                         ids=lambda program: program.name)
@pytest.mark.parametrize("rate", [None, 1e-3, 10.0])
def test_armijo_never_gets_worse(program: la.Program, rate: float | None) -> None:
    r = program.ascend(rate, steps=200, line_search="armijo")
    assert program.objective is not None
    better = -1.0 if program.objective.sense == "minimize" else 1.0
    objectives = np.array([record.objective for record in r.history])
    assert (better * np.diff(objectives) >= 0).all()
    assert r.objective == objectives[-1]


def test_armijo_takes_no_step_that_gains_less_than_its_part() -> None:
    r = rosenbrock().ascend(steps=300)
    for before, after in zip(r.history[:-1], r.history[1:], strict=True):
        # d = −rate·g, so the promised gain is |d|²/rate
        promised = after.step_length**2 / after.rate
        assert after.objective <= before.objective - 0.9e-4 * promised + 1e-15


def test_a_rate_with_a_line_search_is_where_that_begins() -> None:
    r = bowl().ascend(rate=1e-4, line_search="armijo", steps=5)
    rates = [record.rate for record in r.history[1:]]
    np.testing.assert_allclose(rates, 1e-4 * 2.0 ** np.arange(5))


def test_descend_is_another_word() -> None:
    assert la.Program.descend is la.Program.ascend
    assert bowl().descend(rate=0.1, steps=3).objective == bowl().ascend(rate=0.1, steps=3).objective


def test_a_fixed_rate_that_is_too_large_hands_back_the_best_point() -> None:
    r = bowl().ascend(rate=0.5, steps=4)  # the second component overshoots and grows
    objectives = [record.objective for record in r.history]
    assert objectives[-1] > min(objectives) == r.objective
    assert not r.success


# tolerances -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", [1e2, 1e4])
def test_a_badly_scaled_quadratic_is_solved_by_the_default_line_search(condition: float) -> None:
    p = la.Program()
    x = p.input("x", [1.0, 1.0, 1.0])
    p.minimize(np.sum(x**2 * np.array([1.0, np.sqrt(condition), condition])))
    r = p.ascend(steps=50_000)
    assert r.success
    assert r.objective < 1e-13
    assert r.steps < 5 * condition + 100


def test_rosenbrock_comes_to_its_end_and_says_so() -> None:
    """With the usual steepness of 100 it takes 16 000 steps: steepest descent is what it is."""
    r = rosenbrock(steepness=5.0).ascend(steps=20_000)
    assert r.success and r.reason == "gradient"
    np.testing.assert_allclose([r["x"], r["y"]], [1.0, 1.0], atol=1e-7)


@pytest.mark.parametrize("offset", [0.0, 5.0, -1e6])
def test_the_default_tolerances_end_in_success_and_do_not_dither(offset: float) -> None:
    """Close to the optimum the gain of a step is below rounding, so the gradient tolerance may be out of reach."""
    p = la.Program()
    x = p.input("x", [3.0, 0.7])
    p.minimize(np.sum(np.cosh(x - np.array([1.0, -2.0]))) + offset)
    r = p.ascend()
    assert r.success and r.steps < 100
    np.testing.assert_allclose(r["x"], [1.0, -2.0], atol=1e-7 * np.sqrt(1 + abs(offset)))


def test_tolerances_are_the_users() -> None:
    coarse, fine = (bowl().ascend(gradient_tolerance=tolerance) for tolerance in (1e-2, 1e-6))
    assert coarse.reason == fine.reason == "gradient"
    assert 1e-6 < coarse.history[-1].gradient_norm <= 1e-2
    assert fine.history[-1].gradient_norm <= 1e-6 and fine.steps > coarse.steps


# bounds ---------------------------------------------------------------------------------------------------------


def test_steps_are_projected_on_the_bounds() -> None:
    r = bowl(lower=[1.5, -5.0], upper=[4.0, 2.0]).ascend()
    np.testing.assert_allclose(r["x"], [1.5, -2.0], atol=1e-7)
    assert r.success and "lower bound of x[0]" in r.message
    for record in r.history:
        assert record.x is not None
        assert (record.x >= [1.5, -5.0]).all() and (record.x <= [4.0, 2.0]).all()


def test_the_upper_bound_of_domke() -> None:
    r = domke().ascend(rate=1e-3, steps=200)
    assert r.success and r.reason == "gradient" and r["x"] == 0.5
    assert r.message == "the projected gradient is 0, at the upper bound of x"
    assert r.at.gradient["x"] > 0  # it would go on


def test_a_start_outside_the_bounds_is_moved_inside_and_that_is_said() -> None:
    r = bowl(lower=[1.5, -1.0], upper=[2.0, 0.0]).ascend()
    np.testing.assert_array_equal(r.history[0].x, [2.0, 0.0])
    assert "the start was outside its bounds and was moved inside" in r.message
    assert "moved inside" not in bowl(lower=-10).ascend().message


def test_bounds_that_leave_one_point() -> None:
    r = bowl(lower=2.0, upper=2.0).ascend()
    assert r.success and r.reason == "gradient" and r.steps == 0
    np.testing.assert_array_equal(r["x"], [2.0, 2.0])


# reasons to stop -------------------------------------------------------------------------------------------------


def test_gradient() -> None:
    r = bowl().ascend(gradient_tolerance=1e-3)
    assert (r.reason, r.success) == ("gradient", True)
    assert r.message.startswith("the projected gradient is")


def test_a_start_that_is_best_needs_no_step() -> None:
    p = bowl()
    p.set(x=[1.0, -2.0])
    r = p.ascend()
    assert (r.reason, r.steps, len(r.history)) == ("gradient", 0, 1)


def test_step() -> None:
    r = bowl().ascend(rate=0.1, step_tolerance=1e-3)
    assert (r.reason, r.success) == ("step", True)
    assert "the last step was" in r.message


def test_objective() -> None:
    r = bowl().ascend(rate=0.1, objective_tolerance=1e-4)
    assert (r.reason, r.success) == ("objective", True)
    assert "the objective changed by" in r.message


def test_steps_below_rounding_are_no_success_while_the_gradient_is_large() -> None:
    r = bowl().ascend(rate=1e-300)
    assert (r.reason, r.success) == ("step", False)
    p = la.Program("edge")
    x = p.input("x", 2.0)
    p.minimize(np.log(x))
    assert not p.ascend().success


def test_steps() -> None:
    r = bowl().ascend(rate=0.01, steps=3)
    assert (r.reason, r.success, r.steps) == ("steps", False, 3)
    assert r.message == "the limit of 3 steps was reached"


def test_no_steps_at_all() -> None:
    r = bowl().ascend(steps=0)
    assert (r.reason, r.steps, len(r.history)) == ("steps", 0, 1)
    np.testing.assert_array_equal(r["x"], [3.0, 0.5])


def test_the_last_step_may_be_the_one_that_arrives() -> None:
    steps = domke().ascend(rate=1e-3).steps
    assert domke().ascend(rate=1e-3, steps=steps).reason == "gradient"


def test_time() -> None:
    r = bowl().ascend(rate=1e-3, steps=10**6, time_limit=0.02)
    assert (r.reason, r.success) == ("time", False)
    assert r.message == "the time limit of 0.02 s was reached"
    assert 0.02 <= r.seconds < 5


@pytest.mark.parametrize("answer", [True, np.True_])
def test_callback(answer: Any) -> None:
    r = bowl().ascend(rate=0.01, callback=lambda record: answer if record.step == 4 else None)
    assert (r.reason, r.success, r.steps) == ("callback", False, 4)
    assert "callback" in r.message


def test_only_true_stops() -> None:
    assert bowl().ascend(rate=0.01, steps=5, callback=lambda record: record).reason == "steps"


def test_a_callback_may_stop_before_the_first_step() -> None:
    assert bowl().ascend(callback=lambda record: True).steps == 0


def test_an_error_of_the_callback_is_the_users() -> None:
    def fails(record: Any) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        bowl().ascend(callback=fails)


def test_interrupted_by_a_keyboard_interrupt() -> None:
    def interrupts(record: Any) -> None:
        if record.step == 5:
            raise KeyboardInterrupt

    r = bowl().ascend(rate=0.01, callback=interrupts)
    assert (r.reason, r.success, r.steps) == ("interrupted", False, 5)
    assert r.message == "interrupted: this is the best point so far"
    assert r.objective == min(record.objective for record in r.history)


def script(body: str, path: Path) -> tuple[list[str], dict[str, str]]:
    """The command and the environment that run a program text in a process of its own."""
    path.write_text(textwrap.dedent(body), encoding="utf-8")
    return [sys.executable, str(path)], {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}


SLOW = """
    import signal

    import lagrange_ad as la

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
    p = la.Program("slow")
    x = p.input("x", 0.0)
    p.maximize(x)
    tell = lambda record: print(record.step, flush=True) if record.step == 3 else None
    r = p.ascend(rate=1e-6, steps=10**9, callback=tell)
    print(r.reason, r.success, r.steps >= 3, r.objective > 0)
"""


def test_interrupted_by_a_signal(tmp_path: Path) -> None:
    command, environment = script(SLOW, tmp_path / "slow.py")
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "3"
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert out.strip() == "interrupted False True True"


# where the program has no value ---------------------------------------------------------------------------------


def root() -> la.Program:
    """Falls towards the edge of the domain of the square root, at x = 0."""
    p = la.Program("root")
    x = p.input("x", 1.0)
    y = p.define("y", np.sqrt(x))
    p.minimize(y + x)
    return p


def test_a_fixed_step_out_of_the_domain_goes_back_and_names_the_equation() -> None:
    r = root().ascend(rate=0.4)
    assert (r.reason, r.success) == ("domain", False)
    assert "back at the best point before" in r.message
    assert "equation 'y'" in r.message and "sqrt(x)" in r.message and "test_ascent.py:" in r.message
    assert r["x"] > 0 and np.isfinite(r.objective)
    assert r.objective == r.history[-1].objective


def test_an_objective_without_a_value_is_named() -> None:
    p = la.Program()
    x = p.input("x", 1.0)
    p.minimize(np.log(x) + x, name="cost")
    r = p.ascend(rate=0.9)
    assert r.reason == "domain" and "objective 'cost'" in r.message and "log(x)" in r.message
    assert r["x"] == 1.0


def test_a_line_search_backs_away_from_the_edge_of_the_domain() -> None:
    p = la.Program()
    x = p.input("x", 0.1)
    y = p.define("y", np.log(x))
    p.maximize(y - 3 * x)  # best at 1/3; long steps in either direction leave the domain
    r = p.ascend(rate=100.0, line_search="armijo")
    assert r.success and r["x"] == pytest.approx(1 / 3, rel=1e-7)


def test_failures_further_out_do_not_hide_that_the_best_point_is_reached() -> None:
    p = la.Program()
    x = p.input("x", 0.25)
    p.minimize(p.define("y", (x - 0.25) ** 2 - 1e-3 * np.sqrt(0.2500001 - x)))
    r = p.ascend(gradient_tolerance=0.0)
    assert r.success or r.reason == "steps", r.message


def test_a_cycle_that_does_not_converge_stops_a_fixed_rate() -> None:
    p = la.Program()
    x = p.input("x", 1.0)
    y = p.variable("y", start=1.0)
    p.equate(y, (y**2 + x) / 2)  # real up to x = 1, a double root there
    p.set(x=0.5)
    p.maximize(x + 0 * y)
    r = p.ascend(rate=0.3)
    assert r.reason == "domain" and "block {y}" in r.message and "did not converge" in r.message
    assert r["x"] == pytest.approx(0.8) and r.at.solved


def test_a_step_to_where_the_multipliers_do_not_exist() -> None:
    p = la.Program()
    x = p.input("x", 0.75)
    y = p.variable("y", start=1.0)
    p.equate(y * (1 - x), 1 - x)  # at x = 1 any y will do
    p.maximize(x * y)
    r = p.ascend(rate=0.25)
    assert r.reason == "domain" and "no gradient" in r.message and "singular" in r.message
    assert r["x"] == 0.75 and r.at.gradient["x"] == pytest.approx(1.0)


def test_an_infinite_slope_at_the_start_is_an_error() -> None:
    p = root()
    p.set(x=0.0)
    with pytest.raises(la.SolveError, match="gradient by x is not finite at the start"):
        p.ascend()


def test_a_start_without_a_value_is_an_error_with_the_point() -> None:
    p = root()
    p.set(x=-1.0)
    with pytest.raises(la.DomainError, match="equation 'y'") as caught:
        p.ascend()
    assert caught.value.at["x"] == -1.0


@senses
@pytest.mark.parametrize("options", [{"rate": 1e300}, {"rate": 1e308}, {}])
def test_an_unbounded_objective_ends_with_advice(sense: str, options: dict[str, Any]) -> None:
    r = line(sense).ascend(**options)
    assert (r.reason, r.success) == ("domain", False)
    assert "objective seems unbounded" in r.message and "bounds on the input help" in r.message
    assert np.isfinite(r["x"])


def test_a_diverging_fixed_rate_ends_without_warnings() -> None:
    p = la.Program()
    x = p.input("x", 10.0)
    p.minimize(x**4)
    r = p.ascend(rate=1.0)
    assert r.reason == "domain" and r["x"] == 10.0


# what is refused --------------------------------------------------------------------------------------------------


def test_constraints_are_refused_with_what_to_use() -> None:
    p = sellar()
    p.subject_to(p["y1"] >= 3.16, name="g1")
    p.subject_to(p["y2"] <= 24, name="g2")
    with pytest.raises(la.DeclarationError, match=r"bounds of inputs only.*g1, g2.*scipy\.optimize\.minimize\(view"):
        p.ascend()


def test_no_objective_is_refused() -> None:
    p = la.Program("bare")
    p.input("x", 1.0)
    with pytest.raises(la.MissingObjectiveError, match=r"'bare' has no objective, so it cannot ascend.*maximize"):
        p.ascend()


def test_no_inputs_is_refused() -> None:
    p = la.Program("closed")
    p.minimize(p.parameter("k", 1.0) ** 2)
    with pytest.raises(la.DeclarationError, match="no inputs"):
        p.ascend()


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan, np.inf, "fast", True, [0.1]])
def test_bad_rates_are_refused(rate: Any) -> None:
    with pytest.raises(la.DeclarationError, match="rate must be a positive number, got"):
        bowl().ascend(rate=rate)


@pytest.mark.parametrize("rate", [1, np.float32(0.125), np.int64(1), np.float64(0.1)])
def test_numbers_of_numpy_are_rates(rate: Any) -> None:
    assert bowl().ascend(rate=rate, steps=np.int64(1)).steps == 1


@pytest.mark.parametrize("steps", [-1, 1.5, "many", None, True])
def test_bad_steps_are_refused(steps: Any) -> None:
    with pytest.raises(la.DeclarationError, match="steps must be an integer ≥ 0, got"):
        bowl().ascend(steps=steps)


@pytest.mark.parametrize("name", ["gradient_tolerance", "step_tolerance", "objective_tolerance", "time_limit"])
@pytest.mark.parametrize("value", [-1e-3, np.nan, "small"])
def test_bad_tolerances_are_refused(name: str, value: Any) -> None:
    with pytest.raises(la.DeclarationError, match=f"{name} must be a number .*≥ 0, got"):
        bowl().ascend(**{name: value})


def test_bad_line_searches_are_refused() -> None:
    with pytest.raises(la.DeclarationError, match="line_search must be 'armijo' or 'fixed', got 'wolfe'"):
        bowl().ascend(line_search="wolfe")
    with pytest.raises(la.DeclarationError, match="line_search='fixed' needs rate="):
        bowl().ascend(line_search="fixed")


# the record -------------------------------------------------------------------------------------------------------


def test_history_fields() -> None:
    r = sellar().ascend(rate=0.05, steps=4)
    assert [record.step for record in r.history] == [0, 1, 2, 3, 4]
    first, last = r.history[0], r.history[-1]
    assert first.step_length == 0.0 and first.objective == sellar().evaluate().objective
    assert last.objective == r.objective and last.rate == 0.05 and last.step_length > 0
    assert all(a.seconds <= b.seconds for a, b in zip(r.history[:-1], r.history[1:], strict=True))
    assert last["objective"] == last.objective
    assert set(last.as_dict()) == {"step", "objective", "gradient_norm", "step_length", "rate", "seconds"}
    with pytest.raises(KeyError, match=r"no 'loss'; it has step, objective"):
        last["loss"]


def test_the_step_length_is_what_the_inputs_moved() -> None:
    r = bowl().ascend(steps=10)
    for before, after in zip(r.history[:-1], r.history[1:], strict=True):
        assert before.x is not None and after.x is not None
        assert after.step_length == pytest.approx(np.linalg.norm(after.x - before.x), rel=1e-12)


def test_callbacks_get_records_with_their_point() -> None:
    seen: list[Any] = []
    r = sellar().ascend(rate=0.05, steps=3, callback=seen.append)
    assert [record.step for record in seen] == [0, 1, 2, 3]
    for record in seen:
        assert record.at.objective == record.objective
        np.testing.assert_array_equal(record.x, [record.at["z1"], record.at["z2"], record.at["x"]])
    assert [record.objective for record in r.history] == [record.objective for record in seen]


def test_the_history_of_a_large_program_stays_small() -> None:
    """Points are not kept, and of many inputs not even the values."""
    p = la.Program()
    x = p.input("x", np.linspace(1, 2, 1000))
    p.minimize(np.sum(p.define("y", x**2)))
    r = p.ascend(rate=1e-3, steps=50)
    assert all(record.at is None and record.x is None for record in r.history)
    assert len(pickle.dumps([record.as_dict() for record in r.history])) < 20_000


def test_csv_round_trip(tmp_path: Path) -> None:
    r = bowl().ascend(steps=5)
    path = tmp_path / "history.csv"
    r.write_history(path)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["step", "objective", "gradient_norm", "step_length", "rate", "seconds", "x[0]", "x[1]"]
    assert len(rows) == len(r.history)
    for row, record in zip(rows, r.history, strict=True):
        assert int(row["step"]) == record.step
        for name in ("objective", "gradient_norm", "step_length", "rate", "seconds"):
            assert float(row[name]) == record[name]  # repr keeps every digit
        np.testing.assert_array_equal([float(row["x[0]"]), float(row["x[1]"])], record.x)


def test_csv_of_many_inputs_leaves_them_out(tmp_path: Path) -> None:
    p = la.Program()
    p.minimize(np.sum(p.input("x", np.ones(200)) ** 2))
    p.ascend(steps=2).write_history(str(tmp_path / "history.csv"))
    text = (tmp_path / "history.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == "step,objective,gradient_norm,step_length,rate,seconds"


def test_the_result_reads_like_a_point() -> None:
    p = sellar()
    r = p.ascend()
    assert r["z1"] == 2.0 and r["y1"] == r.at["y1"] and r[p["y1"] * 2] == 2 * r["y1"]
    assert r.x["z1"] == 2.0 and set(r.x) == {"z1", "z2", "x"}
    assert r.objective == r.at.objective and r.seconds > 0
    assert r.at.multiplier["y1"] == p.evaluate(**r.x).multiplier["y1"]
    with pytest.raises(la.UnknownNameError, match="'y3'"):
        r["y3"]


def test_the_result_prints() -> None:
    r = sellar().ascend()
    text = str(r)
    head, change, *_ = text.splitlines()
    assert head.startswith(f"converged after {r.steps} steps, ") and r.message in head
    assert change == "objective 28.58830817 → 3.262370772"
    for name in ("z1", "z2", "x"):
        assert any(row.split()[:1] == [name] for row in text.splitlines())
    stopped = bowl().ascend(rate=0.01, steps=2)
    assert str(stopped).startswith("stopped after 2 steps") and "limit of 2 steps" in str(stopped)
    assert repr(stopped).startswith("<ascent: steps after 2 steps, objective ")


def test_the_result_as_plain_data() -> None:
    import json

    r = sellar().ascend(rate=0.05, steps=2)
    data = json.loads(json.dumps(r.as_dict()))
    assert data["reason"] == "steps" and data["steps"] == 2 and data["success"] is False
    assert [record["objective"] for record in data["history"]] == [record.objective for record in r.history]


def test_the_program_is_left_as_it_was() -> None:
    p = sellar()
    before, version = p.evaluate(), p.version
    p.ascend()
    assert p.version == version
    after = p.evaluate()
    assert {name: float(value) for name, value in after.values.items()} == before.values


# progress ---------------------------------------------------------------------------------------------------------

BAR = """
    import sys
    import lagrange_ad as la

    p = la.Program("bar")
    x = p.input("x", 0.0)
    p.maximize(x)
    r = p.ascend(rate=1e-6, steps=200, progress={progress})
    print(r.reason)
"""


def with_pipe(progress: bool | None, path: Path) -> tuple[str, str]:
    """(stdout, stderr) of a run whose standard error is no terminal."""
    command, environment = script(BAR.format(progress=progress), path / "bar.py")
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def with_terminal(progress: bool | None, path: Path) -> tuple[str, str]:
    """(stdout, what the terminal showed) of a run whose standard error is a terminal."""
    command, environment = script(BAR.format(progress=progress), path / "bar.py")
    environment = {**environment, "TERM": "xterm-256color", "COLUMNS": "120"}
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        environment.pop(name, None)
    reading, terminal = pty.openpty()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=terminal) as process:
        os.close(terminal)
        shown = bytearray()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                part = os.read(reading, 65536)
            except OSError:  # Linux says so where the other end is closed
                break
            if not part:
                break
            shown += part
        os.close(reading)
        assert process.stdout is not None
        out = process.stdout.read().decode()
    assert process.returncode == 0
    return out, shown.decode("utf-8", "replace")


@pytest.mark.parametrize("progress", [None, False])
def test_there_is_no_bar_where_nobody_looks(progress: bool | None, tmp_path: Path) -> None:
    assert with_pipe(progress, tmp_path) == ("steps\n", "")


def test_a_bar_that_is_asked_for_goes_to_standard_error(tmp_path: Path) -> None:
    out, err = with_pipe(True, tmp_path)
    assert out == "steps\n"
    assert "ascend" in err and "200" in err


def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    out, shown = with_terminal(None, tmp_path)
    assert out == "steps\n"
    assert "ascend" in shown and "/200" in shown and "objective" in shown


def test_a_terminal_gets_none_when_none_is_wanted(tmp_path: Path) -> None:
    assert with_terminal(False, tmp_path) == ("steps\n", "")


def test_a_callback_that_is_no_function() -> None:
    with pytest.raises(la.DeclarationError, match="callback must be a function of a step's record, got 3"):
        bowl().ascend(rate=0.01, callback=3)  # type: ignore[arg-type]
