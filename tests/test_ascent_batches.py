"""Mini-batches: steps against NumPy, the closed form of least squares, what the history holds, every refusal."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import lagrange_ad as la

RNG = np.random.default_rng(7)
X = RNG.normal(size=(400, 3))
Y = X @ np.array([1.0, -2.0, 0.5]) + 0.1 * RNG.normal(size=400)
ROWS = 20
EXECUTORS = ["native", "reference"]


def fit(executor: str | None = None, rows: int = ROWS, **bounds: Any) -> la.Program:
    p = la.Program("fit", executor=executor)
    w = p.input("w", np.zeros(3), **bounds)
    x, y = p.parameter("X", X[:rows]), p.parameter("y", Y[:rows])
    residual = p.define("residual", x @ w - y)
    p.minimize(np.sum(residual**2) / rows)
    return p


def cut(step: int) -> slice:
    start = step * ROWS % 400
    return slice(start, start + ROWS)


def batch(step: int) -> dict[str, Any]:
    return {"X": X[cut(step)], "y": Y[cut(step)]}


def value_and_slope(w: np.ndarray, rows: slice) -> tuple[float, np.ndarray]:
    r = X[rows] @ w - Y[rows]
    return float(r @ r) / ROWS, 2 * X[rows].T @ r / ROWS


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("source", ["function", "list", "generator", "pairs"])
def test_steps_are_the_iteration_written_by_hand(executor: str, source: str) -> None:
    sources: dict[str, Any] = {
        "function": batch, "list": [batch(k) for k in range(20)], "generator": (batch(k) for k in range(1000)),
        "pairs": lambda k: {"X": X[cut(k)].tolist(), "y": Y[cut(k)]},
    }  # fmt: skip
    r = fit(executor).ascend(0.05, 50, batches=sources[source])
    w = np.zeros(3)
    assert r.reason == "steps" and r.batched and not r.success
    for k, record in enumerate(r.history[1:]):
        value, g = value_and_slope(w, cut(k))
        w = w - 0.05 * g
        np.testing.assert_allclose(record.x, w, rtol=1e-11)
        assert record.objective == pytest.approx(value, rel=1e-11)
        assert record.gradient_norm == pytest.approx(np.abs(g).max(), rel=1e-10)
    np.testing.assert_array_equal(r["w"], r.history[-1].x)


def test_the_result_is_the_last_point_at_the_declared_parameters() -> None:
    p = fit()
    before = {name: p[name].data.value.copy() for name in ("X", "y")}
    version, values_version = p.version, p.values_version
    r = p.ascend(0.05, 30, batches=batch)
    value, g = value_and_slope(r["w"], slice(0, ROWS))
    assert r.objective == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(r.at.gradient["w"], g, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(r.at["X"], X[:ROWS])
    assert r.history[0].objective == p.evaluate().objective
    assert (p.version, p.values_version) == (version, values_version)
    for name, value_before in before.items():
        np.testing.assert_array_equal(p[name].data.value, value_before)


@pytest.mark.parametrize("method", ["gradient", "momentum", "nesterov", "adam"])
def test_a_decaying_rate_reaches_the_closed_form(method: str) -> None:
    """Steps on batches end at the least squares of all rows, when the noise has averaged out."""
    p = fit()
    batches = la.ascent.Batches({"X": X, "y": Y}, ROWS, seed=3)
    rate = la.ascent.InverseTime({"gradient": 0.2, "adam": 0.2}.get(method, 0.02), 0.05)
    r = p.ascend(rate, 200 * batches.per_epoch, method=method, batches=batches)
    np.testing.assert_allclose(r["w"], np.linalg.lstsq(X, Y)[0], atol=1e-3)


@pytest.mark.parametrize("sense", ["minimize", "maximize"])
def test_batches_on_a_cycle(sense: str) -> None:
    """z = cos z + t·x with t by batch: the derivative of the fixed point by hand, in both senses."""
    p = la.Program("cycle")
    x, t = p.input("x", 0.1), p.parameter("t", 1.0)
    z = p.variable("z", start=1.0)
    p.equate(z, np.cos(z) + t * x)
    getattr(p, sense)(z if sense == "maximize" else -z)
    times = [0.5, 1.0, 1.5]
    r = p.ascend(0.1, 6, batches=[{"t": value} for value in times])
    at = 0.1
    for k, record in enumerate(r.history[1:]):
        t_k, fixed = times[k % 3], 1.0
        for _ in range(60):
            fixed -= (fixed - np.cos(fixed) - t_k * at) / (1 + np.sin(fixed))
        assert abs(record.objective) == pytest.approx(fixed, rel=1e-9)
        at += 0.1 * t_k / (1 + np.sin(fixed))
        assert record.x is not None and record.x[0] == pytest.approx(at, rel=1e-9)


def test_rows_that_hold_parameters_alone_follow_the_batch() -> None:
    for executor in EXECUTORS:
        p = la.Program("derived", executor=executor)
        x, t = p.input("x", 1.0), p.parameter("t", 2.0)
        square = p.define("square", t**2)
        p.minimize(square * x)
        r = p.ascend(0.01, 3, batches=[{"t": 3.0}, {"t": 4.0}, {"t": 5.0}])
        np.testing.assert_allclose([h.x[0] for h in r.history], 1 - 0.01 * np.cumsum([0, 9, 16, 25]))  # type: ignore[index]


def test_nothing_is_rebuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    from lagrange_ad.solution import evaluation

    p = fit()
    p.ascend(0.05, 1, batches=batch)
    monkeypatch.setattr(evaluation, "make_plan", lambda *a: pytest.fail("a plan was made"))
    p.ascend(0.05, 10, batches=batch)


def test_noise_does_not_stop_a_run() -> None:
    """A batch with the same objective twice, or no gradient at all, says nothing of convergence."""
    still = {"X": np.zeros((ROWS, 3)), "y": np.zeros(ROWS)}
    r = fit().ascend(0.05, 40, batches=[still, still, batch(0)])
    assert r.steps == 40 and r.reason == "steps"


def test_a_generator_that_ends_ends_the_run() -> None:
    r = fit().ascend(0.05, 100, batches=(batch(k) for k in range(7)))
    assert (r.reason, r.success, r.steps) == ("batches", False, 7)
    assert r.message == "the batches are exhausted after 7 steps"


def test_other_reasons_to_stop() -> None:
    r = fit().ascend(0.05, 100, batches=batch, callback=lambda record: record.step == 5)
    assert (r.reason, r.steps) == ("callback", 5)
    assert fit().ascend(0.05, 10**9, batches=batch, time_limit=0.01).reason == "time"

    def interrupts(record: Any) -> None:
        if record.step == 3:
            raise KeyboardInterrupt

    r = fit().ascend(0.05, 100, batches=batch, callback=interrupts)
    assert (r.reason, r.steps) == ("interrupted", 3) and "last point" in r.message
    np.testing.assert_array_equal(r["w"], r.history[-1].x)


def test_callbacks_may_look_at_the_declared_parameters() -> None:
    seen = []
    r = fit().ascend(0.05, 5, batches=batch, callback=lambda record: seen.append((record.x, record.at.objective)))
    quiet = fit().ascend(0.05, 5, batches=batch)
    for x, objective in seen:
        assert objective == pytest.approx(value_and_slope(x, slice(0, ROWS))[0], rel=1e-12)
    assert [h.objective for h in r.history] == [h.objective for h in quiet.history]


def test_bounds_hold_with_batches() -> None:
    r = fit(lower=-1.0, upper=0.4).ascend(0.05, 200, batches=batch, method="momentum")
    np.testing.assert_array_equal(r["w"][:2], [0.4, -1.0])


def test_a_batch_without_a_value_goes_back() -> None:
    p = la.Program("logs")
    x, t = p.input("x", 1.0), p.parameter("t", 1.0)
    p.minimize(p.define("y", np.log(t * x)) + x**2)
    r = p.ascend(0.1, 10, batches=[{"t": 1.0}, {"t": 2.0}, {"t": -1.0}])
    assert (r.reason, r.steps) == ("domain", 2)
    assert r.message.startswith("the batch of step 2 failed, back at the point before: equation 'y'")
    assert "log(t * x) has no finite value" in r.message
    np.testing.assert_array_equal(r["x"], r.history[1].x)  # the last that was measured


def test_a_last_point_without_a_value_at_the_declared_parameters_says_so() -> None:
    p = la.Program("root")
    x, t = p.input("x", 1.0), p.parameter("t", 1.0)
    p.minimize(p.define("y", np.sqrt(x + t)))
    with pytest.raises(la.DomainError, match=r"the run is over \(the limit of 3 steps was reached\), and its last"):
        p.ascend(40.0, 3, batches=[{"t": 100.0}, {"t": 200.0}, {"t": 300.0}])


# Batches ----------------------------------------------------------------------------------------------------------


def test_batches_go_through_all_rows_once_an_epoch() -> None:
    batches = la.ascent.Batches({"rows": np.arange(23)}, 5, seed=1)
    assert batches.per_epoch == 4
    epochs = [np.concatenate([batches(4 * e + k)["rows"] for k in range(4)]) for e in range(3)]
    for epoch in epochs:
        assert len(set(epoch)) == 20  # three rows fill no batch
    assert not np.array_equal(epochs[0], epochs[1])
    again = la.ascent.Batches({"rows": np.arange(23)}, 5, seed=1)
    np.testing.assert_array_equal(again(9)["rows"], batches(9)["rows"])  # whatever was asked for before
    other = la.ascent.Batches({"rows": np.arange(23)}, 5, seed=2)
    assert not np.array_equal(other(0)["rows"], batches(0)["rows"])


def test_threads_may_share_batches() -> None:
    expected = la.ascent.Batches({"rows": np.arange(23)}, 5, seed=1)
    alone = [expected(step)["rows"].tolist() for step in range(400)]
    shared = la.ascent.Batches({"rows": np.arange(23)}, 5, seed=1)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda step: shared(step)["rows"].tolist(), range(400)))
    assert found == alone


def test_rows_of_several_arrays_stay_together() -> None:
    drawn = la.ascent.Batches({"a": np.arange(50), "b": 10 * np.arange(50)[:, None]}, 8)(17)
    np.testing.assert_array_equal(10 * drawn["a"], drawn["b"][:, 0])


@pytest.mark.parametrize(("arrays", "options", "words"), [
    ({"X": np.ones((4, 2)), "y": np.ones(5)}, {"size": 2}, r"same number of rows, got X: \(4, 2\), y: \(5,\)"),
    ({}, {"size": 2}, "same number of rows, got none"),
    ({"y": np.ones(5)}, {"size": 6}, "size of a batch must be an integer from 1 to 5 rows, got 6"),
    ({"y": np.ones(5)}, {"size": 2, "seed": -1}, "seed of Batches must be an integer ≥ 0, got -1"),
])
def test_batches_that_cannot_be(arrays: dict[str, Any], options: dict[str, Any], words: str) -> None:
    with pytest.raises(la.DeclarationError, match=words):
        la.ascent.Batches(arrays, **options)


# what is refused --------------------------------------------------------------------------------------------------


def generator() -> Iterator[Any]:
    yield batch(0)
    yield [1.0, 2.0]


@pytest.mark.parametrize(("batches", "error", "words"), [
    ([{"X": X[:7], "y": Y[:ROWS]}], la.ShapeError,
     r"the batch of step 0: the value of 'X' has shape \(7, 3\), 'X' has shape \(20, 3\)"),
    ([{"x": X[:ROWS]}], la.UnknownNameError, "the batch of step 0: there is no parameter 'x'.*the parameters are X, y"),
    ([{"w": np.ones(3)}], la.UnknownNameError, "'w' is one of the inputs; the parameters are X, y"),
    ([{"residual": 1.0}], la.UnknownNameError, "'residual' is one of the variables"),
    ([batch(0), {"y": np.full(ROWS, np.nan)}], la.DeclarationError, "the batch of step 1: the value of 'y' is NaN"),
    ([{"y": "many"}], la.DeclarationError, "the value of 'y' must be a number or an array of numbers, got 'many'"),
    (generator(), la.DeclarationError, "the batch of step 1 must be a mapping of parameter values.*got list"),
    (lambda step: 3.0, la.DeclarationError, "the batch of step 0 must be a mapping of parameter values.*got float"),
    (batch(0), la.DeclarationError, "takes one mapping a step, and got a single mapping"),
    ([], la.DeclarationError, "batches= is an empty list"),
    (3, la.DeclarationError, "batches= takes an iterable of mappings, a function of the step, or .*, got 3"),
    ("abc", la.DeclarationError, "batches= takes an iterable of mappings"),
])
def test_bad_batches_name_the_step_and_the_parameter(batches: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        fit().ascend(0.01, 5, batches=batches)


@pytest.mark.parametrize(("options", "words"), [
    ({}, "batches= does not go with a line search"),
    ({"rate": 0.1, "line_search": "armijo"}, "batches= does not go with a line search"),
    ({"method": "barzilai-borwein"}, "batches= does not go with method='barzilai-borwein': the difference of two grad"),
    ({"rate": 0.1, "gradient_tolerance": 1e-3}, "gradient_tolerance= does not go with batches="),
    ({"rate": 0.1, "objective_tolerance": 1e-3}, "objective_tolerance= does not go with batches="),
])
def test_what_does_not_go_with_batches(options: dict[str, Any], words: str) -> None:
    with pytest.raises(la.DeclarationError, match=words):
        fit().ascend(batches=batch, **options)


# views ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_view_takes_other_parameters_for_itself_alone(executor: str) -> None:
    p = fit(executor)
    view, other = p.reduced(), p.reduced()
    w = np.array([0.3, -0.2, 0.1])
    for k in (3, 5):
        view.set(batch(k))
        value, g = value_and_slope(w, cut(k))
        for found in (view.value(w), view.point(w).objective, view.value_and_gradient(w)[0]):
            assert found == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(view.value_and_gradient(w)[1], g, rtol=1e-10)
    assert other.value(w) == pytest.approx(value_and_slope(w, slice(0, ROWS))[0], rel=1e-12)
    assert view.declared_point(w).objective == pytest.approx(other.value(w), rel=1e-14)
    with pytest.raises(la.ShapeError):
        view.set({"y": Y[:ROWS], "X": X[:3]})
    assert view.value(w) == pytest.approx(value_and_slope(w, cut(5))[0], rel=1e-12)  # nothing half-changed
