"""Sweeps against solves one by one: values, gradients, branches, failures, executors, files, and what they print."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

import lagrange_ad as la
from lagrange_ad.cli import main
from lagrange_ad.sweeps.grid import there_and_back

matplotlib.use("Agg")
CURRENTS = np.linspace(0.01, 1, 25)


def diode(executor: str | None = None) -> la.Program:
    p = la.Program("diode", executor=executor)
    current, resistance = p.parameter("I", 0.1), p.input("R", 100.0)
    n1, n2 = p.variable("n1", start=10.0), p.variable("n2", start=0.7)
    i2 = p.define("i2", (n1 - n2) / 1e4)
    p.equate(current, n1 / resistance + i2, name="kcl1")
    p.equate(i2, 1e-15 * (np.exp(n2 / 0.025875) - 1), name="kcl2")
    p.minimize(n1 * n2 + np.log(current), name="J")
    return p


def fold(executor: str | None = None) -> la.Program:
    """u = λ·exp(u): two solutions below λ = 1/e, none above."""
    p = la.Program("fold", executor=executor)
    lam, u = p.parameter("lam", 0.1), p.variable("u", start=0.0)
    p.equate(u, lam * np.exp(u), for_=u)
    return p


def arrays() -> la.Program:
    p = la.Program("arrays")
    a = p.parameter("a", np.array([1.0, 2.0, 3.0]), labels=["x", "y", "z"])
    b = p.input("b", 1.0)
    v = p.variable("v", (3,), start=1.0)
    p.equate(v**3 + b * np.sum(v), a, name="cubic")
    p.subject_to(np.sum(v) <= 5, name="total")
    p.minimize(np.sum(v**2), name="J")
    return p


# values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_every_point_is_the_solve_at_its_values(executor: str) -> None:
    p = diode(executor)
    s = p.sweep({"I": CURRENTS})
    assert s.success and s.failed == [] and s.not_run == [] and len(s) == 25 and s.shape == (25,)
    for i, current in enumerate(CURRENTS):
        at = p.evaluate(I=current)
        for name in ("n1", "n2", "i2"):
            assert s[name][i] == pytest.approx(at[name], rel=1e-12)
        assert s.objective[i] == pytest.approx(at.objective, rel=1e-12) and s["J"][i] == s.objective[i]
        for name in ("I", "R"):
            assert s.gradient[name][i] == pytest.approx(at.gradient[name], rel=1e-10)
        for name in ("kcl1", "kcl2", "i2"):
            assert s.multiplier[name][i] == pytest.approx(at.multiplier[name], rel=1e-10)
    assert (s["I"] == CURRENTS).all() and (s.values["I"] == CURRENTS).all()
    assert p.evaluate()["I"] == 0.1  # the program keeps its values


def test_gradients_along_the_way_are_those_computed_later() -> None:
    p = arrays()
    values = {"b": np.linspace(1.5, 1.6, 6)}
    along, later = p.sweep(values, gradients=True), p.sweep(values)
    assert along.gradient["a"].shape == (6, 3) and along.multiplier["cubic"].shape == (6, 3)
    np.testing.assert_allclose(along.gradient["a"], later.gradient["a"], rtol=1e-12)
    np.testing.assert_allclose(along.multiplier["cubic"], later.multiplier["cubic"], rtol=1e-12)
    slope = (later.objective[1:] - later.objective[:-1]) / np.diff(values["b"])
    between = 0.5 * (later.gradient["b"][1:] + later.gradient["b"][:-1])
    np.testing.assert_allclose(slope, between, rtol=1e-3)


def test_arrays_elements_expressions_and_constraints() -> None:
    p = arrays()
    a = np.random.default_rng(1).uniform(0.5, 3, (5, 3))
    s = p.sweep({p["a"]: a, "b": np.linspace(1, 2, 5)})  # zipped; a symbol is a name too
    assert s["v"].shape == (5, 3) and s["a"].shape == (5, 3) and s.names == ("a", "b")
    np.testing.assert_allclose(s["v"] ** 3 + (s["b"] * s["v"].sum(axis=1))[:, None], a, rtol=1e-12)
    np.testing.assert_array_equal(s["v[1]"], s["v"][:, 1])
    np.testing.assert_array_equal(s[p["v"][2]], s["v"][:, 2])
    np.testing.assert_allclose(s[p["v"] * p["b"]], s["v"] * s["b"][:, None])
    np.testing.assert_allclose(s["total"], s["v"].sum(axis=1))
    at = s.at(3)
    assert isinstance(at, la.Point) and at.solved and (at["v"] == s["v"][3]).all() and (at["a"] == a[3]).all()
    assert at.gradient["b"] == pytest.approx(s.gradient["b"][3], rel=1e-12)
    np.testing.assert_allclose(at.residual["cubic"], 0, atol=1e-12)
    with pytest.raises(ValueError, match="read-only"):
        s["v"][0] = 1.0


def test_a_grid_has_an_axis_a_name() -> None:
    p = diode()
    s = p.sweep(la.grid(I=[0.1, 0.2, 0.5], R=[50.0, 100.0]))
    assert s["n1"].shape == (3, 2) and len(s) == 6
    for i, current in enumerate([0.1, 0.2, 0.5]):
        for j, resistance in enumerate([50.0, 100.0]):
            assert s.values["I"][i, j] == current and s.values["R"][i, j] == resistance
            assert s["n1"][i, j] == pytest.approx(p.evaluate(I=current, R=resistance)["n1"], rel=1e-12)
            assert s.at((i, j))["n1"] == s["n1"][i, j]
    seen: list[Any] = []
    p.sweep(la.grid({"I": [0.1, 0.2, 0.5], "R": [50.0, 100.0]}), callback=lambda i, at: seen.append(i))
    assert seen == [(0, 0), (0, 1), (1, 1), (1, 0), (2, 0), (2, 1)]


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4), (1, 5), (4, 1, 3)])
def test_neighbours_in_a_grid_follow_each_other(shape: tuple[int, ...]) -> None:
    order = there_and_back(shape)
    assert sorted(order.tolist()) == list(range(int(np.prod(shape))))
    places = np.stack(np.unravel_index(order, shape), axis=1)
    assert (np.abs(np.diff(places, axis=0)).sum(axis=1) == 1).all()


def test_without_an_objective_and_without_cycles() -> None:
    p = la.Program("explicit")
    x = p.input("x", 1.0)
    p.define("y", np.cumsum(x * np.arange(1.0, 6.0)))  # auxiliaries
    s = p.sweep({"x": [1.0, 2.0]})
    np.testing.assert_allclose(s["y"], np.outer([1, 2], np.cumsum(np.arange(1.0, 6.0))))
    assert (s.at(1)["y"] == s["y"][1]).all()
    with pytest.raises(la.MissingObjectiveError):
        s.objective  # noqa: B018
    with pytest.raises(la.MissingObjectiveError):
        s.gradient["x"]
    with pytest.raises(la.MissingObjectiveError):
        p.sweep({"x": [1.0]}, gradients=True)


def test_elements_and_what_was_fixed() -> None:
    p = arrays()
    values = np.linspace(1, 2, 4)
    s = p.sweep({"a[y]": values, p["b"]: values + 1})
    np.testing.assert_allclose(s["a"], np.stack([np.ones(4), values, np.full(4, 3.0)], axis=1))
    assert s["a[y]"].tolist() == values.tolist() and s.names == ("a[y]", "b")
    np.testing.assert_allclose(s["v"] ** 3 + (s["b"] * s["v"].sum(axis=1))[:, None], s["a"], rtol=1e-12)
    with pytest.raises(la.DeclarationError, match="elements in common"):
        p.sweep({"a[y]": values, "a": np.ones((4, 3))})
    p.fix("v[0]", 0.5)
    p.free("b")
    turned = p.sweep({p["v"][0]: s["v"][:, 0]}, start={"b": 2.0})
    assert turned.names == ("v[0]",) and turned.success
    np.testing.assert_allclose(turned["v"] ** 3 + (turned["b"] * turned["v"].sum(axis=1))[:, None], turned["a"],
                               rtol=1e-10)
    assert list(turned.table()) == ["v[0]", "b", "v[1]", "v[2]", "J"]
    np.testing.assert_array_equal(turned.gradient["b"], 0.0)
    assert turned.gradient["v"].shape == (4, 3) and (turned.gradient["v"][:, 1:] == 0).all()
    at = turned.at(2)
    assert at.gradient["v"][0] == pytest.approx(turned.gradient["v"][2, 0], rel=1e-10) and at["b"] == turned["b"][2]


# branches and failures --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [0.0, 3.0])
def test_it_follows_the_branch_it_began_on(start: float) -> None:
    """Of u = λ·exp(u) the lower solution is below 1, the upper above."""
    lam = np.linspace(0.2, 0.36, 30)
    s = fold().sweep({"lam": lam}, start={"u": start})
    np.testing.assert_allclose(s["u"], lam * np.exp(s["u"]), rtol=1e-12)
    assert s.success and ((s["u"] > 1) == (start > 1)).all()
    other = fold().sweep({"lam": lam}, start=fold().evaluate(lam=0.2, start={"u": start}))
    np.testing.assert_allclose(other["u"], s["u"], rtol=1e-12)


def test_points_without_a_solution_are_reported_and_passed_over() -> None:
    seen: list[Any] = []
    lam = [0.1, 0.2, 0.36, 0.4, 0.5, 0.3, 0.05]
    s = fold().sweep({"lam": lam}, callback=lambda i, at: seen.append((i, at is None)), max_iterations=20)
    assert s.failed == [3, 4] and not s.success and s.not_run == [] and s.message == "5 solved, 2 failed of 7 points"
    assert np.isnan(s["u"][[3, 4]]).all() and np.isfinite(np.delete(s["u"], [3, 4])).all()
    assert set(s.errors) == {3, 4} and "did not converge" in s.errors[3]
    assert "followed to lam = 0.367" in s.errors[3] and "behind a point" in s.errors[4]  # 1/e
    assert (s["u"][[0, 1, 2, 5, 6]] < 1).all()
    assert [i for i, failed in seen if failed] == [3, 4] and len(seen) == 7
    with pytest.raises(la.SolveError, match="point 3 of the sweep is not solved: the block"):
        s.at(3)
    with pytest.raises(IndexError, match="7 is no point"):
        s.at(7)
    assert s.at(-1)["u"] == s["u"][6]


def logarithm() -> la.Program:
    """exp(u) = λ: far from the solution Newton's method takes many iterations."""
    p = la.Program("logarithm")
    lam, u = p.parameter("lam", 1.0), p.variable("u", start=0.0)
    p.equate(np.exp(u), lam, for_=u)
    return p


def test_a_step_that_fails_is_gone_in_parts() -> None:
    s = logarithm().sweep({"lam": [1.0, 1000.0]}, max_iterations=5)
    assert s.success
    np.testing.assert_allclose(s["u"], [0.0, np.log(1000.0)], atol=1e-12)
    assert logarithm().sweep({"lam": [1.0, 1000.0]}, max_iterations=5, parts=0).failed == [1]


def test_a_first_point_is_come_to_from_the_declared_values() -> None:
    s = logarithm().sweep({"lam": [1000.0, 900.0]}, max_iterations=5)
    assert s.success
    np.testing.assert_allclose(s["u"], np.log([1000.0, 900.0]), rtol=1e-12)
    assert logarithm().sweep({"lam": [1000.0, 900.0]}, max_iterations=5, parts=0).failed[0] == 0


def test_what_a_users_function_raises_is_a_failed_point() -> None:
    def table(x: float) -> float:
        if x > 2.5:
            raise LookupError("no entry beyond 2.5")
        return x**2

    p = la.Program("table")
    x = p.input("x", 1.0)
    p.define("y", la.external(table)(x))
    s = p.sweep({"x": [1.0, 2.0, 3.0, 0.5]})
    assert s.failed == [2] and "LookupError: no entry beyond 2.5" in s.errors[2]
    np.testing.assert_array_equal(s["y"][[0, 1, 3]], [1.0, 4.0, 0.25])


def test_a_value_outside_the_domain_of_a_function_is_a_failed_point() -> None:
    p = la.Program("root")
    x = p.input("x", 1.0)
    p.maximize(p.define("y", np.sqrt(x)))
    s = p.sweep({"x": [-1.0, 0.0, 4.0]})
    assert s.failed == [0] and "sqrt needs" in s.errors[0]
    assert s["y"][1:].tolist() == [0.0, 2.0] and np.isnan(s.gradient["x"][0]) and s.gradient["x"][2] == 0.25


def test_a_singular_solution_has_no_gradient_and_is_no_failure() -> None:
    p = la.Program("cubic")
    g, h = p.input("g", 1.0), p.variable("h", start=1.0)
    p.equate(h**3, g, for_=h)
    p.maximize(h)
    for along in (True, False):
        s = p.sweep({"g": [1.0, 0.0]}, start={"h": 0.0}, gradients=along)
        assert s.solved[0] and s.gradient["g"][0] == pytest.approx(1 / 3)
        assert not s.solved[1] or np.isnan(s.gradient["g"][1]) or abs(s.gradient["g"][1]) > 1e3


# what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("values", "error", "words"), [
    ({}, la.DeclarationError, "no name to go over"),
    ([1, 2], la.DeclarationError, "takes values by name"),
    ({"J0": [1.0]}, la.UnknownNameError, "nothing to sweep: .* no input, parameter or variable 'J0'; .* are I, R"),
    ({"n1": [1.0]}, la.DeclarationError, "'n1' is a variable"),
    ({"I": [1.0, 2.0], "R": [1.0]}, la.ShapeError, "2 for 'I', 1 for 'R': give equally many, or la.grid"),
    ({"I": 1.0}, la.ShapeError, r"must have shape \(points,\), one a point, got shape \(\); for one value, p.set"),
    ({"I": [[1.0]]}, la.ShapeError, r"got shape \(1, 1\)"),
    ({"I": []}, la.DeclarationError, "no values of 'I'"),
    ({"I": [1.0, np.nan]}, la.DeclarationError, "NaN at index"),
])
def test_values_that_cannot_be(values: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        diode().sweep(values)


@pytest.mark.parametrize(("options", "words"), [
    ({"executor": 4}, "takes a concurrent.futures.Executor"),
    ({"callback": 3}, "callback must be a function"),
    ({"chunks": 2}, "name one, executor="),
    ({"max_iterations": -1}, "max_iterations must be an integer ≥ 0"),
    ({"parts": 0.5}, "parts must be an integer ≥ 0"),
    ({"time_limit": -1}, "time_limit must be"),
    ({"resume": True}, "of file=, which is not given"),
    ({"resume": "sweep.npz", "file": "sweep.npz"}, "resume= is True or False"),
    ({"file_every": 3}, "name the file"),
    ({"file": "sweep.npz", "file_every": "soon"}, "file_every must be a number of points"),
    ({"file": 3}, "file= takes the path of a file"),
    ({"start": 3}, "start= takes a point or a dict"),
])
def test_options_that_cannot_be(options: dict[str, Any], words: str, tmp_path: Path,
                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(la.DeclarationError, match=words):
        diode().sweep({"I": CURRENTS}, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_start_outside_its_domain_is_bad_input() -> None:
    p = la.Program("log")
    x, y = p.input("x", 1.0), p.variable("y", start=1.0, domain=(0, 10))
    p.equate(np.log(y), x, for_=y)
    with pytest.raises(la.DeclarationError, match="outside its domain"):
        p.sweep({"x": [1.0, 2.0]}, start={"y": -1.0})


# ends -------------------------------------------------------------------------------------------------------------


def test_a_callback_a_limit_and_an_interrupt_end_it() -> None:
    p = diode()

    def interrupts(i: int, at: la.Point) -> None:
        if i == 4:
            raise KeyboardInterrupt

    for options, reason, done in (({"callback": lambda i, at: i == 7}, "callback", 8), ({"time_limit": 0}, "time", 0),
                                  ({"callback": interrupts}, "interrupted", 5)):
        s = p.sweep({"I": CURRENTS}, **options)
        assert s.reason == reason and s.not_run == list(range(done, 25)) and s.failed == []
        assert np.isfinite(s["n1"][:done]).all() and np.isnan(s["n1"][done:]).all()
        assert f"{done} solved, {25 - done} not run of 25 points" in str(s)


def test_the_bar_shows_points_and_failures(capsys: pytest.CaptureFixture[str]) -> None:
    fold().sweep({"lam": [0.1, 0.4]}, progress=True, max_iterations=20)
    shown = capsys.readouterr().err
    assert "sweep" in shown and "2/2" in shown and "1 failed" in shown
    fold().sweep({"lam": [0.1, 0.2]})
    assert capsys.readouterr().err == ""


# executors --------------------------------------------------------------------------------------------------------


def same(one: la.Sweep, other: la.Sweep) -> None:
    for name in ("n1", "n2", "i2"):
        np.testing.assert_array_equal(one[name], other[name])


def test_threads_give_what_one_thread_gives() -> None:
    p = diode()
    results = []
    for workers in (1, 3):
        with ThreadPoolExecutor(workers) as pool:
            results.append(p.sweep({"I": CURRENTS}, executor=pool, gradients=True))
    same(*results)
    alone = p.sweep({"I": CURRENTS}, gradients=True)
    assert results[0].success
    np.testing.assert_allclose(results[0]["n2"], alone["n2"], rtol=1e-12)
    np.testing.assert_allclose(results[0].gradient["I"], alone.gradient["I"], rtol=1e-9)


def test_processes_give_the_same() -> None:
    p = diode()
    seen: list[int] = []
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        s = p.sweep({"I": CURRENTS}, executor=pool, chunks=3, callback=lambda i, at: seen.append(i))
        grid = fold().sweep(la.grid(lam=[0.1, 0.3, 0.4]), executor=pool, chunks=2, max_iterations=20)
    with ThreadPoolExecutor(1) as pool:
        same(s, p.sweep({"I": CURRENTS}, executor=pool, chunks=3))
    assert sorted(seen) == list(range(25))
    assert grid.failed == [2] and "did not converge" in grid.errors[2]


class Inline(Executor):
    """Runs what is submitted at once, or loses it."""

    def __init__(self, lost: Any = ()) -> None:
        self.lost, self.count = set(lost), 0

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        number, self.count = self.count, self.count + 1
        future: Future[Any] = Future()
        if number in self.lost:
            future.set_exception(BrokenExecutor("a process was terminated abruptly"))
        else:
            future.set_result(function(*args, **kwargs))
        return future


def test_points_of_a_lost_worker_are_failed_and_run_again_on_resume(tmp_path: Path) -> None:
    p, file = diode(), tmp_path / "s.npz"
    s = p.sweep({"I": CURRENTS}, executor=Inline([1]), chunks=5, file=file)
    assert s.failed == list(range(5, 10)) and "its worker was lost: BrokenExecutor" in s.errors[5]
    assert s.message == "20 solved, 5 lost of 25 points"
    again = Inline()
    whole = p.sweep({"I": CURRENTS}, executor=again, chunks=5, file=file, resume=True)
    assert whole.success and again.count == 1
    same(whole, p.sweep({"I": CURRENTS}, executor=Inline(), chunks=5))


def test_nothing_that_comes_back_is_an_error() -> None:
    with pytest.raises(la.LagrangeError, match=r"no part of the sweep came back from Inline.*abruptly"):
        diode().sweep({"I": CURRENTS}, executor=Inline(range(5)), chunks=5)
    p = la.Program("local")
    x = p.input("x", 1.0)
    p.define("y", la.external(lambda t: t * t)(x))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool, \
            pytest.raises(la.LagrangeError, match="must pickle"):
        p.sweep({"x": [1.0, 2.0]}, executor=pool)


def test_an_interrupt_of_threads_returns_what_came_back() -> None:
    p, release = diode(), threading.Event()

    def interrupts(i: int, at: la.Point) -> None:
        release.set()
        raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as pool:
        s = p.sweep({"I": CURRENTS}, executor=pool, chunks=5, callback=interrupts)
    assert s.reason == "interrupted" and release.is_set() and np.isfinite(s["n1"]).any()


def test_a_time_limit_reaches_the_workers() -> None:
    def slow(x: float) -> float:
        time.sleep(0.02)
        return x

    p = la.Program("slow")
    x = p.input("x", 1.0)
    p.define("y", la.external(slow)(x))
    with ThreadPoolExecutor(2) as pool:
        s = p.sweep({"x": np.arange(200.0)}, executor=pool, time_limit=0.2)
    assert s.reason == "time" and 0 < s.solved.sum() < 200
    np.testing.assert_array_equal(s["y"][s.solved], s["x"][s.solved])


def test_a_dask_cluster_is_an_executor(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="dask is an extra: pip install 'lagrange-ad[dask]'")
    example = Path(__file__).parent.parent / "examples" / "sweep_dask.py"
    root = str(example.parent.parent)
    done = subprocess.run([sys.executable, str(example), "--points", "40"], cwd=tmp_path, capture_output=True,
                          encoding="utf-8", timeout=120,
                          env={**os.environ, "PYTHONPATH": root, "PYTHONIOENCODING": "utf-8"})
    assert done.returncode == 0, done.stderr
    assert "40 solved of 40 points" in done.stdout and "equal to a sweep in this process: True" in done.stdout


# files ------------------------------------------------------------------------------------------------------------


KILLED = """
import os, signal, sys
import numpy as np
sys.path.insert(0, {tests!r})
from test_sweep import CURRENTS, diode
def kill(i, at):
    if i == 13:
        os.kill(os.getpid(), signal.SIGKILL)
diode().sweep({{"I": CURRENTS}}, file={file!r}, file_every=4, gradients=True, callback=kill)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is of POSIX systems")
def test_a_killed_sweep_goes_on_to_the_same_arrays(tmp_path: Path) -> None:
    file = tmp_path / "s.npz"
    script = KILLED.format(tests=str(Path(__file__).parent), file=str(file))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, timeout=120)
    assert done.returncode == -signal.SIGKILL
    seen: list[int] = []
    resumed = diode().sweep({"I": CURRENTS}, file=file, resume=True, gradients=True,
                            callback=lambda i, at: seen.append(i))
    assert seen == list(range(12, 25))  # four points at a time were written
    whole = diode().sweep({"I": CURRENTS}, gradients=True)
    same(resumed, whole)
    np.testing.assert_array_equal(resumed.gradient["I"], whole.gradient["I"])
    np.testing.assert_array_equal(resumed.multiplier["kcl2"], whole.multiplier["kcl2"])


def test_an_interrupted_sweep_goes_on_over_failed_points(tmp_path: Path) -> None:
    lam = [0.1, 0.2, 0.36, 0.4, 0.45, 0.35, 0.3]
    whole = fold().sweep({"lam": lam}, max_iterations=20)
    for stop in (3, 4):
        file = tmp_path / f"{stop}.npz"
        fold().sweep({"lam": lam}, file=file, callback=lambda i, at, stop=stop: i == stop, max_iterations=20)
        resumed = fold().sweep({"lam": lam}, file=file, resume=True, max_iterations=20)
        np.testing.assert_array_equal(resumed["u"], whole["u"])
        assert resumed.errors == whole.errors and resumed.failed == whole.failed


def test_resume_without_a_file_begins_and_without_resume_begins_anew(tmp_path: Path) -> None:
    p, file = diode(), tmp_path / "s.npz"
    s = p.sweep({"I": CURRENTS}, file=file, resume=True)
    assert s.success and [path.name for path in tmp_path.iterdir()] == ["s.npz"]
    counts = []
    for resume in (True, False):
        seen: list[int] = []
        p.sweep({"I": CURRENTS}, file=file, resume=resume, callback=lambda i, at, seen=seen: seen.append(i))
        counts.append(len(seen))
    assert counts == [0, 25]


@pytest.mark.parametrize(("change", "words"), [
    (lambda p: p.sweep({"I": CURRENTS + 1}, file="s.npz", resume=True), "values of the names"),
    (lambda p: p.sweep({"R": CURRENTS}, file="s.npz", resume=True), "names: I in the file, R here"),
    (lambda p: (p.set(R=7.0), p.sweep({"I": CURRENTS}, file="s.npz", resume=True)), "value of the input 'R'"),
    (lambda p: (p.solver("n1", tolerance=1e-6), p.sweep({"I": CURRENTS}, file="s.npz", resume=True)), "solver of 'n1'"),
    (lambda p: p.sweep({"I": CURRENTS}, file="s.npz", resume=True, gradients=True), "gradients: False in the file"),
    (lambda p: fold().sweep({"lam": CURRENTS}, file="s.npz", resume=True), "program: diode in the file, fold here"),
    (lambda p: diode("reference").sweep({"I": CURRENTS}, file="s.npz", resume=True), "executor of the program"),
])
def test_a_file_of_another_sweep_is_refused(change: Any, words: str, tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    p = diode("native")
    p.sweep({"I": CURRENTS}, file="s.npz")
    before = (tmp_path / "s.npz").read_bytes()
    with pytest.raises(la.CheckpointError, match=rf"(?s)'s\.npz' is of another sweep; what differs:.*{words}"):
        change(p)
    assert (tmp_path / "s.npz").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"not an archive"])
def test_what_is_no_file_of_a_sweep(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "s.npz"
    file.write_bytes(content)
    with pytest.raises(la.CheckpointError, match="is not the file of a sweep, or it is damaged"):
        diode().sweep({"I": CURRENTS}, file=file, resume=True)
    with pytest.raises(la.CheckpointError, match="there is no folder"):
        diode().sweep({"I": CURRENTS}, file=tmp_path / "nowhere" / "s.npz")


# what is shown ----------------------------------------------------------------------------------------------------


def test_it_prints_as_a_table() -> None:
    s = fold().sweep({"lam": [0.1, 0.2, 0.4]}, max_iterations=20)
    text = str(s)
    assert text.startswith("sweep of fold over lam: 2 solved, 1 failed of 3 points")
    assert "0.11183256" in text and "failed" in text and "point 2: the block {u}" in text
    html = s._repr_html_()
    assert "<table>" in html and "0.11183256" in html
    assert "2 solved, 1 failed" in repr(s)
    from rich.console import Console

    console = Console(width=100, record=True, file=open(os.devnull, "w", encoding="utf-8"))
    console.print(s)
    console.file.close()
    assert "0.2591711" in console.export_text()


def test_large_sweeps_and_arrays_print_short() -> None:
    p = la.Program("large")
    x = p.input("x", np.ones(200))
    p.define("y", x**2)
    text = str(p.sweep({"x": np.ones((60, 200))}))
    assert len(text.splitlines()) < 60 and "not shown: y (200,)" in text


def test_it_is_plain_data_and_pickles(tmp_path: Path) -> None:
    s = arrays().sweep({"b": [1.0, 2.0]})
    table = s.table()
    assert list(table) == ["b", "v[0]", "v[1]", "v[2]", "J"]
    np.testing.assert_array_equal(table["v[1]"], s["v"][:, 1])
    s.write_csv(tmp_path / "s.csv")
    lines = (tmp_path / "s.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "b,v[0],v[1],v[2],J" and float(lines[2].split(",")[-1]) == s.objective[1]
    data = s.as_dict()
    assert data["success"] and data["variables"]["v"] == s["v"].tolist() and data["values"]["b"] == [1.0, 2.0]
    copy = pickle.loads(pickle.dumps(s))
    np.testing.assert_array_equal(copy["v"], s["v"])
    assert copy.at(1)["v"].tolist() == s["v"][1].tolist()


def test_it_draws(tmp_path: Path) -> None:
    s = diode().sweep({"I": CURRENTS})
    axes = s.plot("I", "n2", path=tmp_path / "one.png")
    line = axes.lines[0]
    np.testing.assert_array_equal(line.get_xdata(), CURRENTS)
    np.testing.assert_array_equal(line.get_ydata(), s["n2"])
    panels = s.plot(path=tmp_path / "all.svg")
    assert [axes.get_ylabel() for axes in panels] == ["n1", "n2", "i2"]
    grid = diode().sweep(la.grid(I=[0.1, 0.2], R=[50.0, 100.0, 150.0]))
    axes = grid.plot(y="n1", path=tmp_path / "grid.png")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["I = 0.1", "I = 0.2"]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), grid["n1"][1])
    from lagrange_ad.display.plots import PlotError

    with pytest.raises(PlotError, match="no picture format"):
        s.plot("I", "n2", path=tmp_path / "one.txt")


# the command ------------------------------------------------------------------------------------------------------


CIRCUIT = str(Path(__file__).parent.parent / "examples" / "circuit.lag")


def test_the_command_sweeps(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = ["--csv", "s.csv", "--plot", "s.png", "--file", "s.npz"]
    assert main(["sweep", CIRCUIT, "--over", "I=0.01:1:12", *files]) == 0
    out = capsys.readouterr().out
    assert "12 solved of 12 points" in out
    assert len((tmp_path / "s.csv").read_text(encoding="utf-8").splitlines()) == 13
    assert (tmp_path / "s.png").stat().st_size > 5000
    assert main(["sweep", CIRCUIT, "--over", "I=0.01:1:12", "--file", "s.npz", "--resume", "--json"]) == 0
    import json

    data = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(data["values"]["I"], np.linspace(0.01, 1, 12))
    assert data["success"]


def test_the_command_takes_lists_logarithms_and_grids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    file = tmp_path / "f.lag"
    file.write_text("parameter a = 1\nparameter b = 1\nvariable u start 1\nu^2 = a + b\n", encoding="utf-8")
    assert main(["sweep", str(file), "--over", "a=1,2,4", "--over", "b=1:100:3:log", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(data["variables"]["u"], np.sqrt([2, 12, 104]))
    assert main(["sweep", str(file), "--over", "a=1,2", "--over", "b=pi,4,5", "--grid", "--json"]) == 0
    np.testing.assert_allclose(json.loads(capsys.readouterr().out)["variables"]["u"],
                               np.sqrt([[1 + np.pi, 5, 6], [2 + np.pi, 6, 7]]))


def test_failed_points_are_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "f.lag"
    file.write_text("parameter a = 1\ninput b = 1\nu = sqrt(a)\nmaximize u\n", encoding="utf-8")
    assert main(["sweep", str(file), "--over", "a=-1,4", "--gradients", "--csv", str(tmp_path / "f.csv")]) == 1
    assert "1 solved, 1 failed of 2 points" in capsys.readouterr().err
    assert (tmp_path / "f.csv").read_text(encoding="utf-8").splitlines() == ["a,u", "-1.0,", "4.0,2.0"]


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["--over", "I"], 2, "is not NAME=FROM:TO:COUNT"),
    (["--over", "I=1:2"], 2, "is not NAME=FROM:TO:COUNT"),
    (["--over", "I=1:2:0"], 2, "a number of points"),
    (["--over", "I=-1:2:3:log"], 2, "positive ends"),
    (["--over", "n1=1:2:3"], 2, "'n1' is a variable"),
    ([], 2, "--over"),
    (["--over", "I=1:2:3", "--resume"], 2, "--file"),
])
def test_the_command_says_what_is_wrong(arguments: list[str], code: int, words: str,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", CIRCUIT, *arguments]) == code
    assert words in capsys.readouterr().err
