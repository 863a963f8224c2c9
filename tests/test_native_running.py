"""Compiled code while it runs: interrupts, threads, values that are not numbers, errors, memory, pickles, changes."""

import gc
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import lagrange_ad as la

ROOT = Path(__file__).parent.parent


def process(body):
    """A Python process of its own on a text, its pipes open."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    return subprocess.Popen([sys.executable, "-W", "error", "-c", textwrap.dedent(body)], env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip


# Ctrl-C ----------------------------------------------------------------------------------------------------

RECURRENCE = """
    def make(n=10**6):
        p = la.Program("long")
        x = p.input("x", 0.5)
        z = p.variable("z", shape=n)
        p.equate(z, np.concatenate([[0.1], np.sin(z[:-1]) * x + 0.3]))
        p.minimize(np.sum(z) / n)
        return p
"""
HEAVY = """
    def make(n=15 * 10**5):
        p = la.Program("heavy")
        x = p.input("x", 0.5)
        z = p.variable("z", shape=n)
        b = z[:-1]
        for _ in range(6):
            b = np.arctan2(np.power(np.abs(np.sin(b) + x), 1.3) + 0.1, 1.7) + np.arcsinh(b) * 0.1
        p.equate(z, np.concatenate([[0.1], b]))
        p.minimize(z[-1])
        return p
"""
BLOCKS = """
    def make(n=5000, k=60):
        p = la.Program("blocks")
        a = p.input("a", np.random.default_rng(0).uniform(0.5, 1, (n, k)))
        y = p.variable("y", shape=(n, k), start=30.0)
        p.equate(np.exp(y) + 0.1 * np.roll(np.exp(y), 1, axis=1), a, for_=y)
        p.minimize(np.sum(y))
        return p
"""
REDUCTION = """
    def make(n=60000):
        p = la.Program("reduction")
        x, u = p.input("x", np.linspace(0, 1, n)), p.input("u", np.linspace(0, 1, n))
        p.define("y", np.sum(np.arctan2(np.power(np.abs(x[:, None] - u) + 1, 1.3), x[:, None]), axis=1))
        p.minimize(x[0])
        return p
"""
INTERRUPTED = """
    import signal, time
    import numpy as np
    import lagrange_ad as la
    {make}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with it ignored
    p = make()
    from lagrange_ad.solution.evaluation import plan_of
    plan_of(p).compiled.forward(False), plan_of(p).compiled.backward(False, False)  # compiled before the clock runs
    {prepare}
    print("running", flush=True)
    try:
        while True:
            {run}
    except KeyboardInterrupt:
        print("stopped", flush=True)
    q = make({small})
    at, again = q.evaluate(), q.evaluate()
    assert at.objective == again.objective
    print("usable", flush=True)
"""
RUNS = {
    "evaluations of a recurrence": (RECURRENCE, "p.evaluate()", "pass", "100"),
    "a view of a recurrence": (RECURRENCE, "view.value_and_gradient(view.x0)", "view = p.reduced()", "100"),
    "a heavy recurrence": (HEAVY, "p.evaluate()", "pass", "100"),
    "many blocks": (BLOCKS, "p.evaluate()", "pass", "5, 5"),
    "a reduction of 3.6e9 terms": (REDUCTION, "p.evaluate()", "pass", "10"),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_interrupted(name):
    make, run, prepare, small = RUNS[name]
    body = INTERRUPTED.format(make=textwrap.dedent(make).replace("\n", "\n    "), run=run, prepare=prepare, small=small)
    with process(body) as running:
        try:
            assert running.stdout.readline().strip() == "running", running.stderr.read()
            time.sleep(0.7)
            sent = time.monotonic()
            running.send_signal(signal.SIGINT)
            assert running.stdout.readline().strip() == "stopped", running.stderr.read()
            waited = time.monotonic() - sent
            out, err = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == 0, err
    assert out.strip() == "usable"
    assert waited < 1.5


def test_an_interrupted_view_still_works():
    """The same view, in the same process, after an interrupt in the middle of its call."""
    body = f"""
        import os, signal, threading, time
        import numpy as np
        import lagrange_ad as la
        {textwrap.dedent(RECURRENCE).replace(chr(10), chr(10) + " " * 8)}
        signal.signal(signal.SIGINT, signal.default_int_handler)
        p = make(2 * 10**6)
        view = p.reduced()
        before = view.value_and_gradient(view.x0)
        for delay in (0.01, 0.03, 0.05, 0.09):
            timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            try:
                while True:
                    view.value_and_gradient(view.x0)
            except KeyboardInterrupt:
                pass
            after = view.value_and_gradient(view.x0)
            assert after[0] == before[0] and np.array_equal(after[1], before[1])
        print("same")
    """
    with process(body) as running:
        out, err = running.communicate(timeout=100)
    assert out.strip() == "same", err


# threads ---------------------------------------------------------------------------------------------------


def recurrence(n, executor=None):
    p = la.Program("recurrence", executor=executor)
    x = p.input("x", 0.5)
    z = p.variable("z", shape=n)
    p.equate(z, np.concatenate([[0.1], np.sin(z[:-1]) * x + 0.3]))
    p.minimize(np.sum(z) / n)
    return p


def cycles(n, executor=None):
    p = la.Program("cycles", executor=executor)
    a = p.input("a", np.linspace(0.5, 1.0, n))
    y = p.variable("y", shape=(n, 9), start=0.3)
    p.equate(y, a[:, None] * np.cos(np.roll(y, 1, axis=1)) * 0.5 + 0.1 * np.sin(y))
    z = p.variable("z", shape=n, start=0.3)
    p.equate(z + 0.1 * z**3, np.sum(y, axis=1) / 9 + a, for_=z)
    p.minimize(np.sum(z * z) + np.sum(y))
    return p


def in_threads(functions):
    """Run them at once; the exception of one is the test's."""
    failures, ready = [], threading.Barrier(len(functions))

    def guarded(function):
        try:
            ready.wait()
            function()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(f,)) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("make", [recurrence, cycles])
def test_threads_share_a_view(make):
    view, reference = make(300).reduced(), make(300, "reference").reduced()
    points = [view.x0 * (1 + 0.01 * k) for k in range(4)]
    expected = [reference.value_and_gradient(x) for x in points]

    def work(k):
        for i in range(150):
            value, gradient = view.value_and_gradient(points[(i + k) % 4])
            np.testing.assert_allclose(value, expected[(i + k) % 4][0], rtol=1e-12)
            np.testing.assert_allclose(gradient, expected[(i + k) % 4][1], rtol=1e-10, atol=1e-13)

    in_threads([lambda k=k: work(k) for k in range(4)])


def test_threads_meet_at_programs_not_planned_yet():
    """Two programs, each evaluated by two threads from its first plan on."""
    made = [cycles(40), recurrence(400)]
    expected = [cycles(40, "reference").evaluate(), recurrence(400, "reference").evaluate()]

    def work(k):
        for _ in range(20):
            at = made[k].evaluate()
            np.testing.assert_allclose(at.objective, expected[k].objective, rtol=1e-12)
            for name in at.gradient:
                np.testing.assert_allclose(at.gradient[name], expected[k].gradient[name], rtol=1e-10, atol=1e-13)

    in_threads([lambda k=k: work(k) for k in (0, 1, 0, 1)])


def test_python_goes_on_meanwhile():
    """A thread counts while native code runs for most of a second: the interpreter's lock is released."""
    p = recurrence(2 * 10**6)
    view = p.reduced()
    view.value_and_gradient(view.x0)
    stamps, done = [], threading.Event()

    def count():
        while not done.is_set():
            stamps.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    begin = time.perf_counter()
    view.value_and_gradient(view.x0)
    end = time.perf_counter()
    done.set()
    thread.join()
    during = [s for s in stamps if begin < s < end]
    assert len(during) > 10
    assert max(np.diff([begin, *during, end])) < 0.5 * (end - begin)


# what is not a number --------------------------------------------------------------------------------------


def _nan(p):
    x = p.input("x", -1.0)
    p.minimize(p.define("z", p.define("y", np.log(x)) + 1))


def _nan_twice(p):
    x = p.input("x", np.linspace(-1, 1, 100))
    y = p.define("y", np.sqrt(x))
    p.minimize(np.sum(p.define("z", np.log(y - 2))))


def _infinite_difference(p):
    y = p.define("y", 1 / p.input("x", 0.0))
    p.minimize(p.define("z", y - y))


def _recurrence(p):
    x, z = p.input("x", 0.5), p.variable("z", shape=300)
    p.equate(z, np.concatenate([[1.0], np.sqrt(z[:-1] - x)]))
    p.minimize(np.sum(z))


def _scalars(p):
    z = p.input("x", 0.9)
    for i in range(20):
        z = p.define(f"z{i}", np.log(z) + 0.2)
    p.minimize(z)


def _block_after_nan(p):
    y, z = p.define("y", np.log(p.input("x", -1.0))), p.variable("z")
    p.equate(z, np.cos(z) + y)
    p.minimize(z)


def _block_beside_nan(p):
    y, z = p.define("y", np.log(p.input("x", -1.0))), p.variable("z")
    p.equate(z, np.cos(z))
    p.minimize(z + y)


def _block_outside(p):
    x, z = p.input("x", 2.0), p.variable("z", start=-3.0)
    p.equate(z, np.log(z) + x)
    p.minimize(z)


def _no_root(p):
    x, z = p.input("x", 1.0), p.variable("z", start=0.3)
    p.equate(z**2, -x, for_=z)
    p.minimize(z)


def _singular(p):
    x, z, u = p.input("x", 1.0), p.variable("z"), p.variable("u")
    p.equate(z + u, x)
    p.equate(2 * z + 2 * u, x + 1)
    p.minimize(z)


def _second_of_three(p):
    x, z = p.input("x", np.array([1.0, -1.0, 2.0])), p.variable("z", shape=3, start=0.3)
    p.equate(z**2, x, for_=z)
    p.minimize(np.sum(z))


def _double_root(p):
    x, z = p.input("x", 0.0), p.variable("z", start=0.0)
    p.equate(z**2, x, for_=z)
    p.minimize(z)


def _triple_root(p):
    x, z = p.input("x", 0.0), p.variable("z", start=0.0)
    p.equate(z**3, x, for_=z)
    p.minimize(z)


def _objective(p):
    p.minimize(np.log(p.define("y", p.input("x", -1.0) + 0.5)))


def _objective_auxiliary(p):
    y = p.define("y", p.input("x", -np.ones(5)) + 0.5)
    p.minimize(np.exp(np.sum(np.log(y))))


def _infinite_objective(p):
    p.minimize(1 / p.define("y", p.input("x", 0.0) * 1))


def _constraint(p):
    y = p.define("y", p.input("x", -np.ones(5)) + 0.5)
    p.minimize(np.sum(y))
    p.subject_to(np.exp(np.sum(np.log(y))) <= 1.0, name="c")


def _unused_nan(p):
    x = p.input("x", -1.0)
    p.define("y", np.log(x))
    p.minimize(x * x)


def _unused_infinity(p):
    x = p.input("x", 0.0)
    p.define("y", 1 / x)
    p.minimize(x * x)


def _infinite_slope(p):
    y = p.define("y", np.sqrt(p.input("x", 0.0)))
    p.minimize(y * y)


def _infinite_slope_in_a_recurrence(p):
    x, z = p.input("x", 0.0), p.variable("z", shape=100)
    p.equate(z, np.concatenate([x[None], np.sqrt(z[:-1])]))
    p.minimize(np.sum(z))


def _infinities_pass(p):
    x, z = p.input("x", 800.0), p.variable("z", shape=100)
    p.equate(z, np.concatenate([x[None], np.exp(z[:-1])]))
    p.minimize(1 / z[-1])


def _infinity_in_a_block(p):
    y, z = p.define("y", 1 / p.input("x", 0.0)), p.variable("z")
    p.equate(z, np.cos(z) / y)
    p.minimize(z)


def _late_in_a_chain(p):
    a = p.input("a", np.concatenate([np.ones(80), [-1.0], np.ones(20)]))
    y = p.variable("y", shape=101, start=1.0)
    p.equate(y**2 + 0.0 * np.concatenate([[0.1], y[:-1]]), a, for_=y)
    p.minimize(np.sum(y))


def _branches(p):
    x = p.input("x", np.array([-1.0, 2.0, 0.0]))
    p.minimize(np.sum(p.define("y", np.where(x > 0, np.log(x), 0.0))))


ILL = [f for name, f in list(globals().items()) if name.startswith("_") and getattr(f, "__module__", "") == __name__]


def told(function):
    """What a function gives, or the kind and the text of its error."""
    try:
        return function()
    except la.LagrangeError as error:
        return type(error).__name__, str(error)


def asked(make, executor):
    """Everything one can ask of a program that may have no numbers, each of a fresh one."""

    def fresh():
        p = la.Program("p", executor=executor)
        make(p)
        return p

    def flat(mapping, names):
        return {name: np.asarray(mapping[name]).tolist() for name in names}

    def view_twice():
        view = fresh().reduced()
        view.value_and_gradient(view.x0)
        return view.value_and_gradient(view.x0)

    p = fresh()
    equations, inputs = [e.name for e in p.equations], [s.name for s in p.of_kind("input")]
    answers = {"values": told(lambda: flat(fresh().evaluate(), p.symbols))}
    if isinstance(answers["values"], dict):
        at = fresh().evaluate()
        answers["objective"] = told(lambda: at.objective)
        answers["multipliers"] = told(lambda: flat(at.multiplier, equations))
        answers["gradient"] = told(lambda: flat(at.gradient, inputs))
    return answers | {
        "view": told(lambda: (lambda view: view.value_and_gradient(view.x0))(fresh().reduced())),
        "view again": told(view_twice),
        "value of a view": told(lambda: (lambda view: view.value(view.x0))(fresh().reduced())),
        "ascent": told(lambda: (lambda r: (r.reason, r.message, r.steps))(fresh().ascend(steps=5))),
    }


def equal(one, other):
    if isinstance(one, str) or isinstance(other, str):
        assert one == other
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            equal(one[key], other[key])
    elif isinstance(one, tuple):
        assert len(one) == len(other), (one, other)
        for a, b in zip(one, other, strict=True):
            equal(a, b)
    else:
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("make", ILL, ids=lambda make: make.__name__)
def test_errors_and_infinities_are_the_reference_s(make):
    equal(asked(make, "native"), asked(make, "reference"))


@pytest.mark.parametrize("make", [_nan_twice, _block_after_nan, _block_beside_nan])
def test_the_point_of_an_error_ends_where_the_reference_ends(make):
    points = []
    for executor in ("native", "reference"):
        p = la.Program("p", executor=executor)
        make(p)
        with pytest.raises(la.DomainError) as caught:
            p.evaluate()
        points.append(caught.value.at)
    assert [len(at.blocks) for at in points] == [0, 0]
    for name in points[0].values:
        np.testing.assert_array_equal(points[0].values[name], points[1].values[name])


def test_a_view_recovers_from_a_point_without_numbers():
    answers = []
    for executor in ("native", "reference"):
        p = la.Program("p", executor=executor)
        x, z = p.input("x", 2.0), p.variable("z", start=1.0)
        p.equate(z**2, np.log(x), for_=z)
        p.minimize(z)
        view = p.reduced()
        found = [view.value_and_gradient(np.array([2.0]))]
        for bad in (-1.0, 0.5):
            with pytest.raises(la.SolveError):
                view.value_and_gradient(np.array([bad]))
        for wrong in (np.nan, np.inf):
            with pytest.raises(la.DeclarationError, match="x is"):
                view.value_and_gradient(np.array([wrong]))
        found += [view.value_and_gradient(np.array([x])) for x in (3.0, 2.0)]
        answers.append(tuple(found))
    equal(*answers)


def test_a_view_s_functions_speak_of_one_solution():
    """Where equations have several, all functions of a view follow the last solve, whichever of them made it."""
    answers = []
    for executor in ("native", "reference"):
        p = la.Program("branches", executor=executor)
        x, y = p.input("x", 0.0), p.variable("y", start=-1.9)
        p.equate(y**3 - 3 * y, x, for_=y)
        p.minimize(y + x)
        p.subject_to(y <= 5.0, name="g")
        view, found = p.reduced(), []
        for at in (0.0, 1.0, 3.0, 1.0, 0.0):  # beyond 2 the lower branch ends
            value, _ = view.value_and_gradient(np.array([at]))
            found.append(value)
        here = np.array([0.0])
        found += [view.constraint_values(here)[0], view.point(here).objective, view.value(here)]
        assert np.isclose(found[-4], found[-3])
        answers.append(tuple(found))
    equal(*answers)


# memory ----------------------------------------------------------------------------------------------------


def resident():
    """The memory of this process in bytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")


@needs_proc
def test_memory_of_many_calls():
    p = la.Program("small")
    x = p.input("x", np.ones(3))
    y, z = p.define("y", np.sin(x) * x), p.variable("z", start=0.2)
    p.equate(z, 0.5 * np.cos(z) + np.sum(y) / 9)
    p.minimize(np.sum(y * y) + z)
    view = p.reduced()
    call, at = view.value_and_gradient, view.x0
    for _ in range(2000):
        call(at)
    before = resident()
    for _ in range(100_000):
        call(at)
    assert resident() - before < 2_000_000


@needs_proc
def test_memory_of_many_evaluations():
    p = la.Program("large")
    x = p.input("x", np.linspace(0.1, 0.9, 100_000))
    y, z = p.define("y", np.sin(x) * x), p.variable("z", shape=100_000)
    p.equate(z, np.concatenate([[0.1], np.sin(z[:-1]) * x[1:]]))
    p.minimize(np.sum(y * z))
    for _ in range(20):
        p.evaluate().gradient["x"]
    before = resident()
    for k in range(300):
        p.evaluate(x=np.full(100_000, 0.1 + k / 1000)).gradient["x"]
    assert resident() - before < 20_000_000


LARGE = {
    "a sum of 9e6 terms": """
        x, u = p.input("x", np.linspace(0, 1, 3000)), p.input("u", np.linspace(0, 1, 3000))
        s = p.define("s", np.sum(np.sin(x[:, None] * u)))
        p.minimize(s * s)
    """,
    "a product beside one scalar equation": """
        x = p.input("x", np.ones((300, 300)))
        y = p.define("y", x @ x)
        p.minimize(p.define("s", y[0, 0] * 2.0) + np.sum(y))
    """,
    "a product beside one block": """
        x = p.input("x", np.ones((300, 300)))
        y, s = p.define("y", x @ x), p.variable("s", start=0.1)
        p.equate(s, np.cos(s) + 1e-9 * y[0, 0])
        p.minimize(s + np.sum(y))
    """,
}  # fmt: skip


@needs_proc
@pytest.mark.parametrize("name", LARGE)
def test_nothing_of_the_size_of_a_sum_is_made(name):
    """The most memory ever used grows with inputs and outputs (a megabyte), not with what is added up (27e6, 9e6)."""
    body = f"""
        import numpy as np
        import lagrange_ad as la

        def most():
            return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

        def warm():  # what compiling itself takes
            p = la.Program("warm")
            x, y = p.input("x", np.ones(300)), p.variable("y", start=0.1)
            p.equate(y, np.cos(y) + np.sum(np.sin(x)) * 1e-3)
            p.minimize(y)
            p.evaluate().gradient["x"]

        warm()
        p = la.Program("large")
        {textwrap.dedent(LARGE[name]).replace(chr(10), chr(10) + " " * 8)}
        before = most()
        p.evaluate().gradient["x"]
        view = p.reduced()
        view.value_and_gradient(view.x0)
        print((most() - before) // 1024)
    """
    with process(body) as running:
        out, err = running.communicate(timeout=100)
    assert running.returncode == 0, err
    assert int(out) < 60


# pickles and changes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [recurrence, cycles])
def test_pickles(make):
    """Programs, points and views, before and after they have run."""
    p = make(70)
    at, view = p.evaluate(), p.reduced()
    value, gradient = view.value_and_gradient(view.x0)
    name = p.of_kind("input")[0].name
    for again in (pickle.loads(pickle.dumps(p)), pickle.loads(pickle.dumps(make(70)))):
        np.testing.assert_allclose(again.evaluate().gradient[name], at.gradient[name], rtol=1e-12)
    point = pickle.loads(pickle.dumps(at))
    np.testing.assert_array_equal(point.gradient[name], at.gradient[name])
    for fresh in (view, p.reduced()):
        loaded = pickle.loads(pickle.dumps(fresh))
        again = loaded.value_and_gradient(loaded.x0)
        np.testing.assert_allclose(again[0], value, rtol=1e-12)
        np.testing.assert_allclose(again[1], gradient, rtol=1e-11, atol=1e-14)


def test_a_program_extended_after_evaluation():
    answers = []
    for executor in ("native", "reference"):
        p = la.Program("grows", executor=executor)
        x = p.input("x", np.linspace(0.2, 0.8, 300))
        y = p.define("y", np.sin(x))
        p.minimize(np.sum(y))
        found, view = [p.evaluate().gradient["x"]], p.reduced()
        z = p.variable("z", shape=300, start=0.1)
        p.equate(z, np.cos(z) * y)
        p.define("w", np.exp(z) + p.parameter("c", 2.0))
        p.subject_to(np.sum(z) <= 1.0, name="g")
        found += [p.evaluate()["w"], p.evaluate(c=3.0)["w"], p.evaluate(x=np.full(300, 0.3)).gradient["x"]]
        found.append(p.reduced().constraint_jacobian(view.x0))
        found += [*view.value_and_gradient(view.x0), *p.reduced().value_and_gradient(p.reduced().x0)]
        answers.append(tuple(found))
    equal(*answers)


def test_perturbations_starts_and_parameters():
    answers = []
    for executor in ("native", "reference"):
        p = cycles(70, executor)
        first = p.evaluate()
        moved = {e.name: np.full(e.shape, 1e-3) for e in p.equations}
        at = p.evaluate(perturbation=moved, start=first)
        q = recurrence(300, executor)
        later = q.evaluate(perturbation={"z": np.linspace(0, 1e-2, 300)})
        answers.append((at.objective, at.gradient["a"], at["y"], later.objective, later["z"], later.gradient["x"]))
    equal(*answers)
