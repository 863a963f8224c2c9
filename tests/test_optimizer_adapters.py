"""Adapters of Uno, Ipopt and SciPy: optima, the sign of every multiplier, failures, stops, and the choice of one."""

from __future__ import annotations

import dataclasses
import importlib.util
import signal
import sys
import time
import traceback
import warnings
from typing import Any

import numpy as np
import pytest
from optimizer_problems import (
    MIXED,
    Written,
    bounded,
    circle,
    contradiction,
    dependent,
    endless,
    endless_row,
    hs71,
    mixed,
    rosenbrock,
    steep,
)

from lagrange_ad.errors import ConvergenceError, DeclarationError
from lagrange_ad.optimizers import (
    LBFGSB,
    SLSQP,
    Algorithm,
    Answer,
    Ipopt,
    Monitor,
    Settings,
    Stopped,
    TrustConstr,
    TrustKrylov,
    Uno,
    algorithm_named,
    choose,
)
from lagrange_ad.optimizers.choice import NAMES

NEEDS_UNO = pytest.mark.skipif(importlib.util.find_spec("unopy") is None, reason="unopy is not installed")
NEEDS_IPOPT = pytest.mark.skipif(importlib.util.find_spec("cyipopt") is None, reason="cyipopt is not installed")


def algorithm(given: Algorithm, *marks: Any) -> Any:
    return pytest.param(given, marks=marks, id=str(given))


UNO = [algorithm(Uno(), NEEDS_UNO), algorithm(Uno(preset="filtersqp"), NEEDS_UNO),
       algorithm(Uno(hessian="lbfgs"), NEEDS_UNO)]
ANY = [*UNO, algorithm(Ipopt(), NEEDS_IPOPT), algorithm(SLSQP()), algorithm(TrustConstr())]
BOUNDS = [*ANY, algorithm(LBFGSB())]
FREE = [*BOUNDS, algorithm(TrustKrylov())]


def run(given: Algorithm, problem: Written, monitor: Monitor | None = None, **settings: Any) -> Answer:
    return given.run(problem, Settings(**settings), monitor or Monitor())


def check(answer: Answer, problem: Written, x: Any, accuracy: float = 1e-6) -> None:
    assert answer.reason == "solved", answer
    np.testing.assert_allclose(answer.x, x, atol=accuracy, rtol=accuracy)
    if answer.y is not None and answer.z is not None:
        rest = problem.gradient(answer.x) - problem.jacobian_matrix(answer.x).T @ answer.y - answer.z
        np.testing.assert_allclose(rest, 0.0, atol=1e-5)


# optima ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ANY)
def test_hock_schittkowski_71(given: Algorithm) -> None:
    problem = hs71()
    answer = run(given, problem)
    check(answer, problem, [1.0, 4.7429994, 3.8211503, 1.3794082])
    assert problem.objective(answer.x) == pytest.approx(17.0140173, abs=1e-6)


@pytest.mark.parametrize("given", ANY)
def test_circle(given: Algorithm) -> None:
    answer = run(given, circle())
    check(answer, circle(), [-1.0, -1.0])
    if answer.y is not None:
        np.testing.assert_allclose(answer.y, [-0.5], atol=1e-6)


@pytest.mark.parametrize("given", FREE)
def test_rosenbrock(given: Algorithm) -> None:
    check(run(given, rosenbrock()), rosenbrock(), [1.0, 1.0])


@pytest.mark.parametrize("given", BOUNDS)
def test_bounds_alone(given: Algorithm) -> None:
    answer = run(given, bounded())
    check(answer, bounded(), [1.0, 2.0, 0.5])
    if answer.z is not None:
        np.testing.assert_allclose(answer.z, [2.5, -2.0, 0.0], atol=1e-6)
    assert (answer.x >= bounded().lower).all() and (answer.x <= bounded().upper).all()


@pytest.mark.parametrize("given", ANY)
def test_every_kind_of_limit(given: Algorithm) -> None:
    problem, answer = mixed(), run(given, mixed())
    check(answer, problem, MIXED)
    if answer.y is not None and answer.z is not None:  # ∇f = Jᵀy + z in five unknowns: what is active
        jacobian = problem.jacobian_matrix(MIXED).toarray()
        columns = np.concatenate([jacobian[[0, 2]], np.eye(5)[[1, 2, 3]]]).T
        y0, y2, *z = np.linalg.solve(columns, problem.gradient(MIXED))
        np.testing.assert_allclose(answer.y, [y0, 0.0, y2], atol=1e-5)
        np.testing.assert_allclose(answer.z, [0.0, *z, 0.0], atol=1e-5)
        assert y0 < 0 < z[0] and z[1] < 0


@pytest.mark.parametrize("given", ANY)
def test_dependent_rows(given: Algorithm) -> None:
    answer = run(given, dependent())
    assert answer.reason == "solved" and answer.x == pytest.approx([1.0, 0.0], abs=1e-6)
    if answer.y is not None:
        assert answer.y @ [1.0, 2.0] == pytest.approx(1.0, abs=1e-5) and (answer.y >= -1e-6).all()


@pytest.mark.parametrize("given", [*UNO, algorithm(SLSQP()), algorithm(TrustConstr()), algorithm(LBFGSB())])
def test_gradients_suffice(given: Algorithm) -> None:
    problem = bounded()
    problem.second_order, problem.hessian_structure = False, None
    check(run(given, problem), problem, [1.0, 2.0, 0.5], 1e-5)


@pytest.mark.parametrize("given", [*UNO, algorithm(TrustConstr()), algorithm(TrustKrylov())])
@pytest.mark.parametrize("make", [rosenbrock, circle])
def test_products_of_the_hessian_suffice(given: Algorithm, make: Any) -> None:
    if isinstance(given, TrustKrylov) and make is circle:
        given = TrustConstr()
    whole, problem = make(), make()
    problem.hessian_structure = None
    products = []

    def product(x: Any, sigma: float, y: Any, v: Any) -> Any:
        products.append(x)
        return whole.hessian_matrix(x, sigma, y) @ v

    problem.hessian_product = product
    check(run(given, problem), problem, run(SLSQP(), whole).x, 1e-5)
    assert bool(products) == (not isinstance(given, Uno) or (given.preset == "filtersqp" and given.hessian == "auto"))


# multipliers -------------------------------------------------------------------------------------------------------


def moved(make: Any, part: str, i: int, sides: tuple[str, ...], by: float) -> Written:
    """The problem with one bound moved: sides ("lower",), ("upper",), or both of an equation."""
    problem = make()
    for side in sides:
        getattr(problem, part + side)[i] += by
    return problem


@pytest.mark.parametrize("given", ANY)
@pytest.mark.parametrize("make", [mixed, hs71])
def test_multipliers_are_what_moving_a_bound_does(given: Algorithm, make: Any) -> None:
    if isinstance(given, TrustConstr):  # it is slow
        make = bounded if make is hs71 else circle
    problem, eps = make(), 1e-3
    answer = run(given, problem)
    if answer.y is None or answer.z is None:
        pytest.skip("this SciPy tells no multipliers of SLSQP")
    for part, multipliers in (("row_", answer.y), ("", answer.z)):
        lower, upper = getattr(problem, part + "lower"), getattr(problem, part + "upper")
        for i, multiplier in enumerate(multipliers):
            if lower[i] == upper[i]:
                cases = {("lower", "upper"): multiplier}
            else:
                cases = {("lower",): max(multiplier, 0.0), ("upper",): min(multiplier, 0.0)}
            for sides, expected in cases.items():
                if np.isfinite(getattr(problem, part + sides[0])[i]):
                    more, less = (run(given, moved(make, part, i, sides, by)) for by in (eps, -eps))
                    change = (problem.objective(more.x) - problem.objective(less.x)) / (2 * eps)
                    assert change == pytest.approx(expected, abs=2e-4), (part, i, sides)


def test_multipliers_of_bounds_of_l_bfgs_b() -> None:
    answer, eps = run(LBFGSB(), bounded()), 1e-3
    for i, side in ((0, "lower"), (1, "upper")):
        more, less = (run(LBFGSB(), moved(bounded, "", i, (side,), by)) for by in (eps, -eps))
        change = (bounded().objective(more.x) - bounded().objective(less.x)) / (2 * eps)
        assert answer.z is not None and change == pytest.approx(answer.z[i], abs=1e-5)


@NEEDS_UNO
def test_uno_begins_with_given_multipliers() -> None:
    problem = hs71()
    found = run(Uno(), problem)
    problem.x0 = np.round(found.x, 3)
    for preset in ("filtersqp", "ipopt"):
        cold, warm = run(Uno(preset), problem), run(Uno(preset), problem, y0=found.y, z0=found.z)
        assert warm.reason == "solved" and warm.iterations < cold.iterations


@NEEDS_IPOPT
def test_ipopt_begins_with_given_multipliers() -> None:
    problem = hs71()
    found = run(Ipopt(), problem)
    problem.x0 = np.round(found.x, 3)
    warm = run(Ipopt(), problem, y0=found.y, z0=found.z)
    assert warm.reason == "solved" and warm.iterations < run(Ipopt(), problem).iterations


# no optimum --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ANY)
def test_limits_that_contradict_each_other(given: Algorithm) -> None:
    answer = run(given, contradiction(), max_iterations=100)
    sure = isinstance(given, Uno | Ipopt)
    assert answer.reason == "infeasible" if sure else answer.reason in ("infeasible", "stalled", "iterations")
    if answer.reason != "iterations":
        assert "row 1 is violated by" in answer.message


@pytest.mark.parametrize("given", FREE)
def test_an_objective_that_falls_without_end(given: Algorithm) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        answer = run(given, endless())
    assert answer.reason == "unbounded", answer


@pytest.mark.parametrize("given", ANY)
def test_an_objective_that_falls_without_end_along_a_row(given: Algorithm) -> None:
    assert run(given, endless_row()).reason == "unbounded"


@pytest.mark.parametrize("given", FREE)
def test_limit_of_iterations(given: Algorithm) -> None:
    answer = run(given, rosenbrock(), max_iterations=3)
    assert answer.reason == "iterations" and "3 iterations" in answer.message


@pytest.mark.parametrize("given", FREE)
def test_points_without_a_value_shorten_steps(given: Algorithm) -> None:
    problem = steep()
    outside = []
    objective = problem.objective
    problem.objective = lambda x: outside.append(x[0]) or objective(x)  # type: ignore[method-assign,func-returns-value]
    check(run(given, problem), problem, [0.001, 2.0], 1e-5)
    assert min(outside) <= 0.0, "the test needs a step to where there is no value"


@pytest.mark.parametrize("given", ANY)
def test_rows_without_a_value_shorten_steps(given: Algorithm) -> None:
    answer = run(given, steep(row=True))
    assert answer.reason == "solved" and answer.x == pytest.approx([0.001, np.log(1000)], abs=1e-4)


@pytest.mark.parametrize("given", FREE)
def test_equations_that_are_not_solved_shorten_steps(given: Algorithm) -> None:
    problem = steep()
    objective, failures = problem.objective, []

    def solving(x: Any) -> float:
        if not x[0] > 0.0:
            failures.append(x[0])
            raise ConvergenceError("the block {y} did not converge")
        return objective(x)

    problem.objective = solving  # type: ignore[method-assign]
    check(run(given, problem), problem, [0.001, 2.0], 1e-5)
    assert failures


@pytest.mark.parametrize("given", FREE)
def test_a_start_without_a_value(given: Algorithm) -> None:
    problem = rosenbrock()
    problem.objective = lambda x: np.nan  # type: ignore[method-assign]
    answer = run(given, problem)
    assert answer.reason == "domain" and "objective" in answer.message


@NEEDS_UNO
@pytest.mark.parametrize("given", [*UNO, algorithm(Ipopt(), NEEDS_IPOPT)])
def test_roots_at_their_bound(given: Algorithm) -> None:
    """Interior points relax bounds by a rounding, where √x has no value: x₁ = x₀^1.5, x₀ ≥ 0, min x₀ + x₁²."""
    problem = Written(
        [1.0, 1.0], (lambda x: x[0] + x[1] ** 2, lambda x: [1, 2 * x[1]], lambda x: np.diag([0.0, 2.0])),
        (lambda x: [_root(x[0]) ** 3 - x[1]], lambda x: [[1.5 * _root(x[0]), -1]],
         lambda x: [np.diag([0.75 / max(_root(x[0]), 1e-9), 0.0])]),
        rows=([0.0], [0.0]), bounds=([0.0, -np.inf], np.inf))
    assert run(given, problem).x == pytest.approx([0.0, 0.0], abs=1e-6)


def _root(x: float) -> float:
    return float(np.sqrt(x)) if x >= 0.0 else np.nan


# stops and exceptions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", FREE)
def test_the_callback_stops(given: Algorithm) -> None:
    seen: list[int] = []
    monitor = Monitor(callback=lambda it: seen.append(it.number) or it.number == 2)  # type: ignore[func-returns-value]
    with pytest.raises(Stopped) as stopped:
        run(given, rosenbrock(), monitor)
    assert stopped.value.reason == "callback" and seen == [0, 1, 2]
    assert monitor.history[2].objective < monitor.history[0].objective


@pytest.mark.parametrize("given", FREE)
def test_the_time_limit_stops(given: Algorithm) -> None:
    problem = rosenbrock()
    objective = problem.objective

    def slow(x: Any) -> float:
        time.sleep(0.01)
        return objective(x)

    problem.objective = slow  # type: ignore[method-assign]
    with pytest.raises(Stopped) as stopped:
        run(given, problem, Monitor(time_limit=0.05))
    assert stopped.value.reason == "time"


class Unforeseen(Exception):
    """Of a user's function."""


@pytest.mark.parametrize("given", FREE)
@pytest.mark.parametrize("where", ["objective", "gradient", "constraints", "jacobian", "hessian"])
@pytest.mark.parametrize("kind", [Unforeseen, KeyboardInterrupt])
def test_exceptions_of_evaluations_come_out_as_they_are(given: Algorithm, where: str, kind: type) -> None:
    free = isinstance(given, LBFGSB | TrustKrylov)
    problem = rosenbrock() if free else hs71()
    if (where in ("constraints", "jacobian") and free) or (where == "hessian" and not uses_hessian(given)):
        pytest.skip("this algorithm asks for none")
    function, calls = getattr(problem, where), []

    def broken(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) > 3:
            raise kind("as it is")
        return function(*arguments)

    setattr(problem, where, broken)
    with pytest.raises(kind, match="as it is") as error:
        run(given, problem)
    assert "broken" in [frame.name for frame in traceback.extract_tb(error.value.__traceback__)]
    assert len(calls) == 4, "after an exception nothing more is asked"


def uses_hessian(given: Algorithm) -> bool:
    return not isinstance(given, LBFGSB | SLSQP) and getattr(given, "hessian", "auto") == "auto"


@pytest.mark.parametrize("given", FREE)
def test_ctrl_c(given: Algorithm) -> None:
    problem, before = rosenbrock(), signal.getsignal(signal.SIGINT)
    objective, calls = problem.objective, []

    def pressed(x: Any) -> float:
        calls.append(x)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGINT)
        return objective(x)

    problem.objective = pressed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run(given, problem)
    assert len(calls) == 4 and signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("given", [algorithm(Uno(), NEEDS_UNO), algorithm(Ipopt(), NEEDS_IPOPT)])
def test_ctrl_c_while_a_library_computes(given: Algorithm, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is raised at the first line of the next callback, before that can catch it."""
    module = sys.modules[type(given).__module__]
    original, calls = module._Callbacks.gradient, []

    def gradient(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return original(*arguments)

    monkeypatch.setattr(module._Callbacks, "gradient", gradient)
    with pytest.raises(KeyboardInterrupt):
        run(given, hs71())


@pytest.mark.parametrize("given", FREE)
def test_exceptions_of_callbacks_come_out_as_they_are(given: Algorithm) -> None:
    def callback(iteration: Any) -> None:
        if iteration.number == 2:
            raise Unforeseen("in the callback")

    with pytest.raises(Unforeseen, match="in the callback"):
        run(given, rosenbrock(), Monitor(callback=callback))


@pytest.mark.parametrize("given", FREE)
def test_iterations_are_told_to_the_monitor(given: Algorithm, capfd: pytest.CaptureFixture[str]) -> None:
    monitor = Monitor()
    answer = run(given, rosenbrock(), monitor)
    assert monitor.history[0].objective == pytest.approx(24.2)
    assert answer.iterations == len(monitor.history) - 1 > 5
    assert monitor.best is not None and monitor.best.objective == pytest.approx(0.0, abs=1e-10)
    written = capfd.readouterr()
    assert written.out == written.err == ""


@pytest.mark.parametrize("given", FREE)
def test_warnings_of_users_functions_are_seen(given: Algorithm) -> None:
    problem = rosenbrock()
    gradient = problem.gradient
    problem.gradient = lambda x: warnings.warn("mine", stacklevel=1) or gradient(x)  # type: ignore[method-assign,func-returns-value]
    with pytest.warns(UserWarning, match="mine"):
        run(given, problem)


@NEEDS_UNO
def test_a_large_sparse_problem() -> None:
    """min Σ(x_i − 1)², x_{i+1} = ½ sin x_i + 0.3: a chain; multipliers by the backward recurrence."""
    n = 2000

    class Chain(Written):
        def __init__(self) -> None:
            super().__init__(np.full(2, 0.5), (None, None, None))  # type: ignore[arg-type]
            self.x0, self.lower, self.upper = np.full(n, 0.5), np.full(n, -10.0), np.full(n, 10.0)
            self.row_lower = self.row_upper = np.full(n - 1, -0.3)
            i, every = np.arange(n - 1, dtype=np.int32), np.arange(n, dtype=np.int32)
            self.jacobian_structure = (np.repeat(i, 2), np.stack([i, i + 1], 1).ravel())
            self.hessian_structure = (every, every)

        def objective(self, x: Any) -> float:
            return float((x - 1) @ (x - 1))

        def gradient(self, x: Any) -> Any:
            return 2 * (x - 1)

        def constraints(self, x: Any) -> Any:
            return 0.5 * np.sin(x[:-1]) - x[1:]

        def jacobian(self, x: Any) -> Any:
            return np.stack([0.5 * np.cos(x[:-1]), -np.ones(n - 1)], 1).ravel()

        def hessian(self, x: Any, sigma: float, y: Any) -> Any:
            return 2 * sigma - np.append(0.5 * y * np.sin(x[:-1]), 0.0)

    problem = Chain()
    answer = Uno().run(problem, Settings(), Monitor())
    assert answer.reason == "solved" and answer.y is not None
    y = np.zeros(n - 1)
    for i in reversed(range(n - 1)):
        following = y[i + 1] * 0.5 * np.cos(answer.x[i + 1]) if i < n - 2 else 0.0
        y[i] = following - 2 * (answer.x[i + 1] - 1)
    np.testing.assert_allclose(answer.y, y, atol=1e-6)


# names, options, choice --------------------------------------------------------------------------------------------


def test_names() -> None:
    assert isinstance(algorithm_named("Trust_Constr"), TrustConstr)
    assert algorithm_named("uno-sqp") == Uno(preset="filtersqp")
    mine = Uno(options={"TR_radius": 1})
    assert algorithm_named(mine) is mine
    for name in NAMES:
        assert isinstance(algorithm_named(name), Algorithm)


@pytest.mark.parametrize(("given", "words"), [
    ("slqsp", "did you mean 'slsqp'"), (Uno, r"give an object, Uno\(\)"), (3, "a method is a name or an algorithm"),
])
def test_names_there_are_not(given: Any, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        algorithm_named(given)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: Uno(preset="ipop"), "preset must be one of"), (lambda: Uno(hessian="bfgs"), "hessian must be one of"),
    (lambda: Uno(options=3), "options must be a dict"), (lambda: Ipopt(hessian="bfgs"), "hessian must be"),
    (lambda: Ipopt(options=3), "options must be a dict"), (lambda: LBFGSB(memory=0), "memory must be a positive"),
])
def test_options_that_cannot_be(make: Any, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        make()


@NEEDS_UNO
def test_options_of_uno() -> None:
    assert run(Uno(options={"TR_radius": 1}, preset="filtersqp"), hs71()).reason == "solved"
    with pytest.raises(DeclarationError, match="no option 'linear_solvr'; did you mean 'linear_solver'"):
        run(Uno(options={"linear_solvr": "MUMPS"}), hs71())
    with pytest.raises(DeclarationError, match="does not take 'much' for its option 'TR_radius'"):
        run(Uno(options={"TR_radius": "much"}), hs71())
    products = hs71()
    products.hessian_structure = None
    with pytest.raises(DeclarationError, match="products with its Hessian only"):
        run(Uno(hessian="exact"), products)
    products.second_order = False
    with pytest.raises(DeclarationError, match="has none: try hessian='lbfgs'"):
        run(Uno("filtersqp", hessian="exact"), products)


@NEEDS_IPOPT
def test_options_of_ipopt() -> None:
    assert run(Ipopt(options={"mu_strategy": "adaptive"}), hs71()).reason == "solved"
    with pytest.raises(DeclarationError, match="does not take 'much' for an option 'mu_init'"):
        run(Ipopt(options={"mu_init": "much"}), hs71())


@pytest.mark.parametrize(("given", "make", "words"), [
    (LBFGSB(), circle, "takes no equations, and there are: row 0"),
    (TrustKrylov(), bounded, r"takes no bounds, and there are: x\[0\] and 1 more"),
    (TrustKrylov(), contradiction, "takes no inequalities"),
])
def test_problems_that_an_algorithm_does_not_take(given: Algorithm, make: Any, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        run(given, make())


@pytest.mark.parametrize(("given", "module"), [(Uno(), "unopy"), (Ipopt(), "cyipopt")])
def test_libraries_that_are_absent(given: Algorithm, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DeclarationError, match=f"needs the package {module}, which cannot be imported here"):
        run(given, hs71())


def without(make: Any, *, products: bool, size: int | None = None) -> Written:
    """A problem with products of its Hessian only, or with gradients only; of another size, to choose by."""
    problem = make()
    problem.hessian_structure, problem.second_order = None, products
    if size is not None:
        problem.x0 = np.zeros(size)
        problem.lower, problem.upper = np.full(size, -np.inf), np.full(size, np.inf)
    return problem


@pytest.mark.parametrize(("make", "expected"), [
    (hs71, Uno()), (rosenbrock, Uno()),
    (lambda: without(rosenbrock, products=True), TrustKrylov()),
    (lambda: without(bounded, products=True), LBFGSB()),
    (lambda: without(bounded, products=False), LBFGSB()),
    (lambda: without(hs71, products=True), Uno(preset="filtersqp")),
    (lambda: without(hs71, products=False), SLSQP()),
    (lambda: without(hs71, products=False, size=5000), Uno()),
])
@NEEDS_UNO
def test_choice_by_structure(make: Any, expected: Algorithm) -> None:
    chosen, why = choose(make())
    assert chosen == expected and why


@pytest.mark.parametrize(("make", "expected"), [
    (hs71, TrustConstr()), (lambda: without(hs71, products=True), SLSQP()),
    (lambda: without(hs71, products=False, size=5000), TrustConstr()),
])
def test_choice_without_uno(make: Any, expected: Algorithm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "unopy", None)
    monkeypatch.setitem(sys.modules, "cyipopt", None)
    assert choose(make())[0] == expected


def test_algorithms_are_data() -> None:
    for name in NAMES:
        one = algorithm_named(name)
        assert dataclasses.is_dataclass(one) and one == algorithm_named(name) and one.name in NAMES
    assert str(Uno("filtersqp")) == "Uno(preset='filtersqp')"
