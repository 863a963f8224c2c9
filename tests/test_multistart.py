"""Many starts: where they begin, that nothing depends on the executor, distinct optima, failures, early ends."""

import json
import pickle
import re
import sys
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from optimal_programs import Moved, hs71
from scipy.optimize import brentq

import lagrange_ad as la
from lagrange_ad.parcel import Parcel


def rastrigin():
    p = la.Program("rastrigin")
    x = p.input("x", [0.3, 0.4], lower=-1.4, upper=1.4)
    p.minimize(20 + np.sum(x**2 - 10 * np.cos(2 * np.pi * x)))
    return p


def its_minima():
    """The objectives of all local minima: each coordinate at a root of x + 10π·sin(2πx) near −1, 0, 1."""
    roots = [0.0 if k == 0 else brentq(lambda x: x + 10 * np.pi * np.sin(2 * np.pi * x), k - 0.2, k + 0.2)
             for k in (-1, 0, 1)]
    one = [x**2 - 10 * np.cos(2 * np.pi * x) for x in roots]
    return {round(20 + a + b, 8) for a in one for b in one}


def cubic():
    """x = y³ + y; minima of y⁴ − 3y² + x/10 on both sides of 0."""
    p = la.Program("cubic")
    x = p.input("x", 1.0)
    y = p.variable("y", start=0.5)
    p.equate(y**3 + y, x, name="root")
    p.minimize(y**4 - 3 * y**2 + 0.1 * x)
    return p


def its_optima():
    """The roots of its derivative in y, 4y³ − 6y + (3y² + 1)/10, that are minima: (y, objective), the best first."""
    roots = np.roots([4.0, 0.3, -6.0, 0.1]).real
    found = [(y, y**4 - 3 * y**2 + 0.1 * (y**3 + y)) for y in roots if 12 * y**2 + 0.6 * y - 6 > 0]
    return sorted(found, key=lambda pair: pair[1])


def told(m):
    """Everything of a multistart but the time it took."""
    return [(run.number, run.objective, {name: v.tolist() for name, v in run.values.items()}, run.success, run.reason,
             run.message, run.iterations) for run in m.results]


# what is found ------------------------------------------------------------------------------------------------


def test_distinct_optima_are_counted_and_the_best_is_a_result():
    m = rastrigin().multistart(25, progress=False)
    assert m.success and len(m.results) == 25 and not m.failed and not m.not_run and m.reason == "done"
    objectives = [one.objective for one in m.optima]
    assert objectives == sorted(objectives) and {round(value, 8) for value in objectives} <= its_minima()
    assert sorted(k for one in m.optima for k in one.starts) == list(range(25))
    assert m.best.objective == pytest.approx(0.0, abs=1e-10) and m["x"] == pytest.approx([0, 0], abs=1e-8)
    assert isinstance(m.best, la.OptimizeResult) and m.best.success and len(m.best.history) > 1
    at = np.array([one["x"] for one in m.optima])
    apart = np.abs(at[:, None] - at[None]).max(axis=2)[~np.eye(len(at), dtype=bool)]
    assert apart.min() > 0.5


@pytest.mark.parametrize("space", ["reduced", "full"])
def test_kept_variables_begin_where_the_equations_put_them(space):
    m = cubic().multistart(8, space=space, scale={"x": 6.0}, progress=False)
    assert [(one["y"], one.objective) for one in m.optima] == [pytest.approx(pair) for pair in its_optima()]
    assert m.best.view.space.name == space


def test_maximize_takes_the_largest():
    p = la.Program("hills")
    x = p.input("x", -1.0, lower=-2, upper=2)
    p.maximize(x - x**4 + 2 * x**2)
    m = p.multistart(6, progress=False)
    assert len(m.optima) == 2 and m.best.objective == m.optima[0].objective > m.optima[1].objective
    assert m.best["x"] > 0 > m.optima[1]["x"]


def test_decisions_are_spread_too():
    m = hs71(Moved()).multistart(5, progress=False)
    assert m.success and m.best.objective == pytest.approx(17.0140173, abs=1e-6)
    starts = np.array([np.concatenate([np.ravel(v) for v in run.start.values()]) for run in m.results[1:]])
    assert starts.shape == (4, 4) and ((starts >= 1.0) & (starts <= 5.0)).all() and m.results[0].start == {}
    assert all(len(np.unique(column)) == 4 for column in starts.T)


# where they begin ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", ["latin-hypercube", "sobol"])
def test_starts_are_spread_over_the_bounds_and_about_values(sampling):
    p = la.Program("ranges")
    both = p.input("both", [0.0, 0.0], lower=[2.0, -1.0], upper=[6.0, 1.0])
    low, free, u = p.input("low", 3.0, lower=2.0), p.input("free", -20.0), p.input("named", 1.0)
    p.minimize(np.sum((both - 1) ** 2) + (low - 1) ** 2 + (free - 1) ** 2 + (u - 1) ** 2)
    m = p.multistart(17, sampling=sampling, scale={u: 0.25}, progress=False)
    starts = [run.start for run in m.results]
    assert starts[0] == {}
    pairs = np.array([start["both"] for start in starts[1:]])
    ranges = {"low": (2.0, 6.0), "free": (-40.0, 0.0), "named": (0.75, 1.25)}
    columns = [*((pairs[:, k], *bounds) for k, bounds in enumerate([(2.0, 6.0), (-1.0, 1.0)])),
               *((np.array([float(start[name]) for start in starts[1:]]), *ranges[name]) for name in ranges)]
    for values, low, high in columns:
        assert (values >= low).all() and (values <= high).all()
        strata = np.floor((values - low) / (high - low) * 16).astype(int)
        assert sorted(strata) == list(range(16))  # one start in each sixteenth, of both samplings
    said = " ".join(m.notes)
    assert "low in [2, 6]" in said and "free in [-40, 0]" in said and "named in [0.75, 1.25]" in said
    assert "both" not in said and "seed 0" in said


def test_seeds_decide():
    p = rastrigin()
    first, same, other = (p.multistart(4, seed=seed, max_iterations=2, progress=False) for seed in (3, 3, 4))
    assert told(first) == told(same)
    assert not np.array_equal(first.results[1].start["x"], other.results[1].start["x"])
    free = [p.multistart(2, seed=None, max_iterations=1, progress=False).results[1].start["x"] for _ in range(2)]
    assert not np.array_equal(*free)
    assert np.array_equal(p.multistart(1, progress=False).best["x"], p.optimize(progress=False)["x"])


def test_starts_of_the_users():
    p = la.Program("cubic")
    x, y = p.input("x", 1.0), p.variable("y", start=0.5)
    p.equate(y**3 + y, x, name="root")
    p.minimize(y**4 - 3 * y**2 + 0.1 * x)
    m = p.multistart([{"x": 2.0}, {x: -5.0, y: -1.0}, {}], progress=False)
    best, other = its_optima()
    assert [run["y"] for run in m.results] == [pytest.approx(y) for y in (other[0], best[0], other[0])]
    assert m.notes[0] == "starts: the 3 that were given" and m.optima[1].starts == [0, 2]
    q = la.Program("elements")
    v = q.input("v", np.zeros(3))
    q.minimize(np.sum((v - 1.0) ** 2))
    n = q.multistart([{v[1:]: 5.0}, {"v[0]": 2.0}], max_iterations=0, progress=False)
    assert [run["v"].tolist() for run in n.results] == [[0.0, 5.0, 5.0], [2.0, 0.0, 0.0]]
    assert n.results[0].start == {"v[1]": 5.0, "v[2]": 5.0}


def test_the_program_is_left_as_it_was():
    p = cubic()
    p.multistart(3, progress=False)
    assert p.symbol("x").value == 1.0 and p.evaluate()["x"] == 1.0


# executors ----------------------------------------------------------------------------------------------------


def test_nothing_depends_on_the_executor():
    p = cubic()
    here = p.multistart(6, scale=4.0, progress=False)
    with ThreadPoolExecutor(3) as executor:
        threads = p.multistart(6, scale=4.0, executor=executor, progress=False)
    with ProcessPoolExecutor(2) as executor:
        processes = p.multistart(6, scale=4.0, executor=executor, progress=False)
    for other in (threads, processes):
        assert told(other) == told(here)
        assert other.best.objective == here.best.objective and np.array_equal(other.best.x, here.best.x)
        assert other.best.multiplier["root"] == here.best.multiplier["root"]
        assert [one.starts for one in other.optima] == [one.starts for one in here.optima]


class Broken:
    """An executor that loses the work whose numbers it is given, on the way there or back."""

    def __init__(self, there=(), back=()):
        self.there, self.back = there, back

    def submit(self, function, parcel, k, *rest):
        if k in self.there:
            raise BrokenExecutor("it is broken")
        future = Future()
        if k in self.back:
            future.set_exception(OSError("no more room"))
        else:
            future.set_result(function(parcel, k, *rest))
        return future


def test_lost_workers_are_failures_with_reasons():
    p = rastrigin()
    m = p.multistart(4, executor=Broken(there=[1], back=[3]), progress=False)
    assert sorted(m.failed) == [1, 3] and m.success
    assert "BrokenExecutor: it is broken" in m.failed[1] and "OSError: no more room" in m.failed[3]
    assert m.results[1].reason == "lost" and m.results[1].values == {}
    with pytest.raises(la.LagrangeError, match=r"no run came back.*no more room"):
        p.multistart(2, executor=Broken(back=[0, 1]), progress=False)
    with pytest.raises(la.LagrangeError, match="__name__ == '__main__'"):
        p.multistart(2, executor=Broken(there=[0, 1]), progress=False)


def test_a_parcel_is_opened_once_a_process():
    packed = pickle.dumps(Parcel(rastrigin(), "options"))
    first, again = pickle.loads(packed), pickle.loads(packed)
    assert first is again and first.content[0].name == "rastrigin" and not first.stop.is_set()


# failures and ends --------------------------------------------------------------------------------------------


def test_a_start_without_a_solution_fails_alone():
    p = la.Program("root")
    x = p.input("x", 4.0, lower=-9.0, upper=9.0)
    y = p.variable("y", start=1.0)
    p.equate(y**2, x, name="square")
    p.minimize((y - 2.5) ** 2)
    m = p.multistart([{"x": 4.0}, {"x": -5.0}, {"x": 7.0}], space="reduced", progress=False)
    assert list(m.failed) == [1] and m.results[1].reason == "error"
    assert "at the start of the optimization" in m.failed[1] and "block {y}" in m.failed[1]
    assert m.success and m.optima[0].starts == [0, 2] and m.best["y"] == pytest.approx(2.5)
    assert np.isnan(m.results[1].objective)
    assert json.loads(json.dumps(m.as_dict(), allow_nan=False))["results"][1]["objective"] is None


def test_where_nothing_is_certified_the_best_is_the_nearest_to_feasible():
    m = cubic().multistart(4, "uno", space="full", max_iterations=1, progress=False)
    assert not m.success and not m.optima and len(m.failed) == 4
    assert "the limit of 1 iteration" in m.failed[0] and "not an optimum" in m.failed[0]
    assert m.best is not None and m.best.infeasibility <= min(run.infeasibility for run in m.results) + 1e-6
    assert "best, but not an optimum" in str(m)


def stop(run):
    return run.number == 2


def interrupt(run):
    if run.number == 2:
        raise KeyboardInterrupt


@pytest.mark.parametrize(("callback", "reason"), [(stop, "callback"), (interrupt, "interrupted")])
@pytest.mark.parametrize("make", [lambda: None, lambda: ThreadPoolExecutor(1)])
def test_what_is_done_comes_back(make, callback, reason):
    m = rastrigin().multistart(200, executor=make(), callback=callback, progress=False)
    assert m.reason == reason and [run.number for run in m.results][:3] == [0, 1, 2]
    assert m.success and len(m.not_run) == 200 - len(m.results) > 100 and "not run" in str(m)


def test_an_interrupted_run_ends_it(monkeypatch):
    calls = []

    def optimize(program, options):
        calls.append(options)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(program, options)

    driver = sys.modules["lagrange_ad.optimization.multistart"]
    real = driver.optimize
    monkeypatch.setattr(driver, "optimize", optimize)
    m = rastrigin().multistart(9, progress=False)
    assert m.reason == "interrupted" and len(m.results) == 2 and m.not_run == list(range(2, 9))


def test_a_time_limit_is_of_all_together():
    m = rastrigin().multistart(5, time_limit=1e-9, progress=False)
    assert m.reason == "time" and m.not_run == [0, 1, 2, 3, 4] and m.best is None and not m.success
    assert "the time limit was reached, 5 not run" in m.message
    with pytest.raises(KeyError, match="no best point"):
        m["x"]
    json.dumps(m.as_dict(), allow_nan=False)
    assert str(m)


@pytest.mark.parametrize(("arguments", "words"), [
    ({"starts": 0}, "one start at least"),
    ({"starts": {"x": 1.0}}, "a list of dicts"),
    ({"starts": [1.0]}, "each of the starts is a dict"),
    ({"starts": []}, "an empty list"),
    ({"starts": [{"zz": 1.0}]}, "zz"),
    ({"executor": 3}, "takes a concurrent.futures.Executor"),
    ({"seed": -1}, "seed must be an integer"),
    ({"sampling": "grid"}, "sampling must be one of latin-hypercube, sobol"),
    ({"scale": 0.0}, "scale must be a positive number"),
    ({"scale": {"x": -1.0}}, "the scale of 'x' must be a positive number"),
    ({"callback": 1}, "callback must be a function"),
    ({"method": "nope"}, "there is no method 'nope'"),
    ({"method": "trust-krylov"}, "takes no bounds"),
    ({"tolerance": 2.0}, "tolerance must be"),
])
def test_options_that_cannot_be(arguments, words):
    with pytest.raises(la.LagrangeError, match=re.escape(words)):
        rastrigin().multistart(**{"starts": 2, "progress": False, **arguments})


# how it prints ------------------------------------------------------------------------------------------------


def test_it_prints_as_a_table(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    m = cubic().multistart(8, scale=4.0, progress=False)
    lines = str(m).splitlines()
    assert lines[0].startswith("cubic: 8 of 8 starts led to 2 optima, ")
    assert lines[1] == f"best: minimize objective = {m.best.objective:.10g}"
    cells = re.split(r"\s{2,}", next(line for line in lines if line.strip().startswith("1 ")).strip())
    assert cells[:3] == ["1", f"{m.optima[0].objective:.10g}", str(len(m.optima[0].starts))]
    assert f"{m.optima[0]['x']:.6g}" in cells and repr(m) == f"<multistart of 'cubic': {m.message}>"
    html = m._repr_html_()
    assert "<table>" in html and "best: minimize" in html
    data = json.loads(json.dumps(m.as_dict(), allow_nan=False))
    assert data["optima"][0]["starts"] == m.optima[0].starts and data["best"]["success"]
