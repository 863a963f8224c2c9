"""Methods and schedules of ascend: iterates against NumPy, bounds, line searches, signs, and every refusal."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lagrange_ad as la

A = np.array([[3.0, 1.0, 0.0], [1.0, 2.0, 0.5], [0.0, 0.5, 1.0]])
B = np.array([1.0, -2.0, 0.5])
X0 = np.array([2.0, 0.3, -1.0])
BEST = np.linalg.solve(A, B)
OPEN = {"gradient_tolerance": 0.0, "step_tolerance": 0.0, "objective_tolerance": 0.0}
senses = pytest.mark.parametrize("sense", ["minimize", "maximize"])
Rate = Callable[[int], float]


def quadratic(sense: str = "minimize", **bounds: Any) -> la.Program:
    """½xᵀAx − bᵀx + 7 to minimize, its negative to maximize; best at A⁻¹b."""
    p = la.Program("quadratic")
    x = p.input("x", X0, **bounds)
    y = p.define("y", A @ x)
    value = 0.5 * np.sum(x * y) - np.sum(B * x) + 7.0
    getattr(p, sense)(value if sense == "minimize" else -value)
    return p


def rosenbrock(sense: str = "minimize") -> la.Program:
    p = la.Program("rosenbrock")
    x, y = p.input("x", -1.2, lower=-2, upper=2), p.input("y", 1.0, lower=-2, upper=0.5)
    value = 100.0 * (y - x**2) ** 2 + (1 - x) ** 2
    getattr(p, sense)(value if sense == "minimize" else -value)
    return p


def slope(x: np.ndarray) -> np.ndarray:
    return A @ x - B


# the formulas, written by hand ----------------------------------------------------------------------------------


def gradient_by_hand(steps: int, rate: Rate) -> list[np.ndarray]:
    xs = [X0]
    for k in range(steps):
        xs.append(xs[-1] - rate(k) * slope(xs[-1]))
    return xs


def momentum_by_hand(steps: int, rate: Rate, beta: float) -> list[np.ndarray]:
    xs, v = [X0], np.zeros(3)
    for k in range(steps):
        v = beta * v + slope(xs[-1])
        xs.append(xs[-1] - rate(k) * v)
    return xs


def adam_by_hand(steps: int, rate: Rate, b1: float, b2: float, eps: float) -> list[np.ndarray]:
    xs, m, s = [X0], np.zeros(3), np.zeros(3)
    for t in range(1, steps + 1):
        g = slope(xs[-1])
        m, s = b1 * m + (1 - b1) * g, b2 * s + (1 - b2) * g * g
        xs.append(xs[-1] - rate(t - 1) * (m / (1 - b1**t)) / (np.sqrt(s / (1 - b2**t)) + eps))
    return xs


def nesterov_by_hand(steps: int, rate: float, beta: float) -> list[np.ndarray]:
    """The scheme with two sequences: z follows the gradient at y, y looks ahead along the last change of z."""
    z, ys = X0, [X0]
    for _ in range(steps):
        after = ys[-1] - rate * slope(ys[-1])
        ys.append(after + beta * (after - z))
        z = after
    return ys


def secants_by_hand(steps: int, first: float, kind: str) -> list[np.ndarray]:
    xs = [X0, X0 - first * slope(X0)]
    for k in range(1, steps):
        s, y = xs[-1] - xs[-2], slope(xs[-1]) - slope(xs[-2])
        short = kind == "short" or (kind == "alternate" and k % 2 == 0)
        rate = s @ y / (y @ y) if short else s @ s / (s @ y)
        xs.append(xs[-1] - rate * slope(xs[-1]))
    return xs


def compare(result: la.AscentResult, by_hand: list[np.ndarray]) -> None:
    assert result.steps == len(by_hand) - 1
    for record, x in zip(result.history, by_hand, strict=True):
        np.testing.assert_allclose(record.x, x, rtol=1e-11, atol=1e-12)


falling = la.ascent.Exponential(0.2, 0.97)


@senses
@pytest.mark.parametrize("rate", [0.1, falling, lambda step: 0.3 / (3 + step)], ids=["number", "schedule", "function"])
def test_gradient(sense: str, rate: Any) -> None:
    r = quadratic(sense).ascend(rate, 30, method="gradient", **OPEN)
    compare(r, gradient_by_hand(30, rate if callable(rate) else lambda step: rate))


@senses
@pytest.mark.parametrize("rate", [0.05, falling], ids=["number", "schedule"])
def test_momentum(sense: str, rate: Any) -> None:
    r = quadratic(sense).ascend(rate, 30, method=la.ascent.Momentum(0.8), **OPEN)
    compare(r, momentum_by_hand(30, rate if callable(rate) else lambda step: rate, 0.8))


@senses
def test_nesterov_looks_ahead(sense: str) -> None:
    r = quadratic(sense).ascend(0.05, 40, method=la.ascent.Nesterov(0.85), **OPEN)
    compare(r, nesterov_by_hand(40, 0.05, 0.85))


@senses
@pytest.mark.parametrize("rate", [0.1, falling], ids=["number", "schedule"])
def test_adam(sense: str, rate: Any) -> None:
    r = quadratic(sense).ascend(rate, 40, method=la.ascent.Adam(0.8, beta2=0.95, epsilon=1e-6), **OPEN)
    compare(r, adam_by_hand(40, rate if callable(rate) else lambda step: rate, 0.8, 0.95, 1e-6))


def test_the_first_step_of_adam_is_as_long_as_the_rate() -> None:
    r = quadratic().ascend(0.25, 1, method="adam")
    np.testing.assert_allclose(r.history[1].x, X0 - 0.25 * np.sign(slope(X0)), rtol=1e-7)


@senses
@pytest.mark.parametrize("kind", ["long", "short", "alternate"])
def test_barzilai_borwein(sense: str, kind: str) -> None:
    method = la.ascent.BarzilaiBorwein(kind)
    r = quadratic(sense).ascend(0.1, 12, method=method, line_search="fixed", **OPEN)
    compare(r, secants_by_hand(12, 0.1, kind))


def test_barzilai_borwein_finds_a_first_rate_of_its_own() -> None:
    r = quadratic().ascend(steps=8, method="barzilai-borwein", line_search="fixed", **OPEN)
    compare(r, secants_by_hand(8, 1.0 / np.abs(slope(X0)).max(), "long"))


def test_barzilai_borwein_keeps_its_rate_without_curvature() -> None:
    p = la.Program()
    x = p.input("x", 1.0)
    p.maximize(3.0 * x)
    r = p.ascend(0.5, 4, method="barzilai-borwein", line_search="fixed")
    np.testing.assert_allclose([record.x[0] for record in r.history], 1.0 + 1.5 * np.arange(5))  # type: ignore[index]
    assert [record.rate for record in r.history[1:]] == [0.5] * 4


def test_its_line_search_lets_it_go_uphill_but_not_above_the_worst_of_the_last_ten() -> None:
    r = rosenbrock().ascend(method="barzilai-borwein", gradient_tolerance=1e-6)
    objectives = np.array([record.objective for record in r.history])
    assert r.success and (np.diff(objectives) > 0).any()
    for k in range(1, len(objectives)):
        assert objectives[k] <= objectives[max(0, k - 10) : k].max()


def test_remembering_one_objective_is_the_monotone_search() -> None:
    r = rosenbrock().ascend(steps=300, method=la.ascent.BarzilaiBorwein(remembered=1))
    assert (np.diff([record.objective for record in r.history]) <= 0).all()


# convergence ------------------------------------------------------------------------------------------------------

EVERY: list[tuple[Any, Any, int]] = [
    (None, "gradient", 20_000), (None, "barzilai-borwein", 1000), (1e-3, "momentum", 20_000),
    (1e-3, "nesterov", 20_000), (0.02, "adam", 20_000),
]  # fmt: skip


@senses
@pytest.mark.parametrize(("rate", "method", "steps"), EVERY, ids=[method for _, method, _ in EVERY])
def test_every_method_finds_the_best_within_bounds(sense: str, rate: Any, method: str, steps: int) -> None:
    """y ≤ 1/2 binds; the best x solves −400x(½ − x²) − 2(1 − x) = 0."""
    r = rosenbrock(sense).ascend(rate, steps, method=method, gradient_tolerance=1e-5)
    best = np.roots([400.0, 0.0, -198.0, -2.0]).real.max()
    assert r.success, r.message
    assert r["y"] == 0.5 and "upper bound of y" in r.message
    assert r["x"] == pytest.approx(best, abs=1e-6)
    for record in r.history:
        assert record.x is not None and (np.abs(record.x) <= 2).all() and record.x[1] <= 0.5


@pytest.mark.parametrize(("rate", "method", "steps"), EVERY, ids=[method for _, method, _ in EVERY])
def test_maximize_and_minimize_are_mirror_images(rate: Any, method: str, steps: int) -> None:
    down, up = (rosenbrock(sense).ascend(rate, 50, method=method) for sense in ("minimize", "maximize"))
    for one, other in zip(down.history, up.history, strict=True):
        np.testing.assert_array_equal(one.x, other.x)
        assert (one.objective, one.rate, one.gradient_norm) == (-other.objective, other.rate, other.gradient_norm)


def test_momentum_that_runs_into_a_bound_is_gone() -> None:
    """At the bound the velocity starts again from 0, so a gradient that turns is followed at once."""
    p = la.Program()
    x = p.input("x", 0.0, upper=1.0)
    p.maximize(x)
    trail: list[Any] = []
    method = la.ascent.Momentum(0.9)
    p.ascend(0.4, 5, method=method, gradient_tolerance=-0.0, callback=lambda record: trail.append(record.x[0]))
    np.testing.assert_allclose(trail, [0.0, 0.4, 1.0])  # 0.4 + 0.4·(1 + 0.9) is cut; there the projected gradient is 0
    state = method.at_bounds({"velocity": np.array([-1.9, 0.5])}, np.array([True, False]))
    np.testing.assert_array_equal(state["velocity"], [0.0, 0.5])
    adam = la.ascent.Adam()
    before = {"mean": np.array([3.0, 4.0]), "square": np.array([1.0, 2.0]), "count": np.asarray(2.0)}
    after = adam.at_bounds(before, np.array([False, True]))
    np.testing.assert_array_equal(after["mean"], [3.0, 0.0])
    np.testing.assert_array_equal(after["square"], [1.0, 2.0])


@pytest.mark.parametrize("method", ["momentum", "nesterov"])
def test_projected_momentum_is_the_iteration_written_by_hand(method: str) -> None:
    lower, upper = np.array([-0.5, -0.4, -5.0]), np.array([5.0, 5.0, 0.2])
    r = quadratic(lower=lower, upper=upper).ascend(0.1, 40, method=method, **OPEN)
    x, v = np.clip(X0, lower, upper), np.zeros(3)
    for record in r.history:
        np.testing.assert_allclose(record.x, x, rtol=1e-12, atol=1e-14)
        g = slope(x)
        v = 0.9 * v + g
        aimed = x - 0.1 * (v if method == "momentum" else g + 0.9 * v)
        x = np.clip(aimed, lower, upper)
        v = np.where(aimed != x, 0.0, v)


def test_a_turning_point_is_no_end_for_momentum() -> None:
    """Without friction a ball swings from 1 to −1 and is as high there: the objective alone must not stop it."""
    p = la.Program()
    x = p.input("x", 1.0)
    p.minimize(x**2)
    r = p.ascend(1.0, 50, method=la.ascent.Momentum(0.5))  # the first step leads to −1 exactly
    assert r.history[1].objective == r.history[0].objective
    assert r.steps > 1 and r.reason != "objective"


def test_a_method_of_ones_own() -> None:
    class Signs(la.ascent.Method):
        name = "signs"
        no_line_search = "its steps have one length"

        def direction(self, x: Any, gradient: Any, state: Any) -> Any:
            return -np.sign(gradient), state

    r = quadratic().ascend(0.125, 3, method=Signs())
    x = X0
    for record in r.history:
        np.testing.assert_array_equal(record.x, x)
        x = x - 0.125 * np.sign(slope(x))
    assert r.method == "signs"
    with pytest.raises(NotImplementedError, match="Method must say its direction"):
        quadratic().ascend(0.1, method=la.ascent.Method())


def test_the_result_names_its_method() -> None:
    r = quadratic().ascend(0.1, 2, method="nesterov")
    assert r.method == "nesterov" and r.as_dict()["method"] == "nesterov" and not r.batched


# schedules --------------------------------------------------------------------------------------------------------


def test_schedules_are_their_formulas() -> None:
    s = la.ascent
    steps = np.arange(30)
    np.testing.assert_array_equal([s.Constant(0.3)(k) for k in steps], 0.3)
    np.testing.assert_allclose([s.StepDecay(0.4, 10, 0.1)(k) for k in steps], np.repeat([0.4, 0.04, 0.004], 10))
    np.testing.assert_allclose([s.Exponential(0.4, 0.9)(k) for k in steps], 0.4 * 0.9**steps)
    np.testing.assert_allclose([s.InverseTime(0.4, 0.5)(k) for k in steps], 0.4 / (1 + 0.5 * steps))
    np.testing.assert_allclose([s.InverseTime(0.4, 0.5, 0.6)(k) for k in steps], 0.4 / (1 + 0.5 * steps) ** 0.6)
    cosine = [s.Cosine(0.4, 20, 0.1)(k) for k in steps]
    np.testing.assert_allclose(cosine[:21], 0.1 + 0.3 * np.cos(np.pi * steps[:21] / 40) ** 2)
    np.testing.assert_allclose(cosine[20:], 0.1)
    warm = [s.WarmUp(s.InverseTime(0.4, 0.5), 4)(k) for k in steps]
    np.testing.assert_allclose(warm[:5], [0.08, 0.16, 0.24, 0.32, 0.4])
    np.testing.assert_allclose(warm[4:], 0.4 / (1 + 0.5 * steps[:-4]))


def test_the_history_has_the_rate_of_every_step() -> None:
    schedule = la.ascent.Cosine(0.1, 10)
    r = quadratic().ascend(schedule, 10, **OPEN)
    assert [record.rate for record in r.history[1:]] == [schedule(k) for k in range(10)]


@pytest.mark.parametrize(("make", "words"), [
    (lambda: la.ascent.Constant(0), "Constant's rate must be a positive number, got 0"),
    (lambda: la.ascent.StepDecay(0.1, 0), "StepDecay's every must be an integer ≥ 1, got 0"),
    (lambda: la.ascent.StepDecay(0.1, 5, 1.5), r"StepDecay's factor must be a number in \(0, 1\], got 1.5"),
    (lambda: la.ascent.Exponential(0.1, 0.0), r"Exponential's factor must be a number in \(0, 1\], got 0.0"),
    (lambda: la.ascent.Cosine(0.1, 10, 0.2), "Cosine's final must be a number from 0 to its rate 0.1, got 0.2"),
    (lambda: la.ascent.InverseTime(0.1, -1.0), "InverseTime's decay must be a positive number, got -1.0"),
    (lambda: la.ascent.WarmUp(0.1, 5), "WarmUp's schedule must be a schedule such as"),
    (lambda: la.ascent.Momentum(1.0), r"Momentum's beta must be a number in \[0, 1\), got 1.0"),
    (lambda: la.ascent.Nesterov("much"), r"Nesterov's beta must be a number in \[0, 1\), got 'much'"),
    (lambda: la.ascent.Adam(beta2=-0.1), r"Adam's beta2 must be a number in \[0, 1\), got -0.1"),
    (lambda: la.ascent.Adam(epsilon=0.0), "Adam's epsilon must be a positive number, got 0.0"),
    (lambda: la.ascent.BarzilaiBorwein("middle"), "kind must be 'long', 'short' or 'alternate', got 'middle'"),
    (lambda: la.ascent.BarzilaiBorwein(remembered=0), "remembered must be an integer ≥ 1, got 0"),
])
def test_parameters_that_cannot_be(make: Any, words: str) -> None:
    with pytest.raises(la.DeclarationError, match=words):
        make()


@pytest.mark.parametrize(("options", "words"), [
    ({"method": "adagrad"}, "method must be one of gradient, momentum, nesterov, adam, barzilai-borwein, or a method"),
    ({"method": "adamm", "rate": 0.1}, "got 'adamm'; did you mean 'adam'"),
    ({"method": la.ascent.Adam, "rate": 0.1}, r"method must be an object: la\.ascent\.Adam\(\), with parentheses"),
    ({"method": "adam"}, "method='adam' needs rate=, a number or a schedule"),
    ({"method": "momentum", "rate": 0.1, "line_search": "armijo"},
     "line_search='armijo' does not go with method='momentum': its step does not always improve the objective"),
    ({"rate": falling, "line_search": "armijo"}, "line_search='armijo' finds the rate of every step.*no use for a"),
    ({"rate": falling, "method": "barzilai-borwein", "line_search": "fixed"}, "method='barzilai-borwein' finds the"),
    ({"rate": la.ascent.Cosine}, r"rate must be a number or an object: Cosine\(\.\.\.\), with its numbers"),
    ({"rate": lambda step: -1.0}, "the schedule gave the rate -1.0 for step 0: it must be a finite number ≥ 0"),
    ({"rate": lambda step: None}, "the schedule gave the rate None for step 0"),
])
def test_what_does_not_go_together_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(la.DeclarationError, match=words):
        quadratic().ascend(**options)
