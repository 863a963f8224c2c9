"""Where compiled code comes from: the process, the cache on disk, and the reference where there is none.

Each question about a process is asked of a process of its own, whose cache folder the test names.
"""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import lagrange_ad as la
from lagrange_ad.execution.native.engine import engine

ROOT = Path(__file__).parent.parent
PROGRAM = """
    import json, sys, warnings
    import numpy as np

    def solve(**how):
        import lagrange_ad as la

        p = la.Program("small", **how)
        x = p.input("x", np.linspace(0.5, 1.5, 300))
        y = p.define("y", np.exp(-x) * x + np.sin(x))
        z = p.variable("z", shape=400, start=0.1)
        p.equate(z, np.cos(z) * 0.5 + np.sum(y) / 400)
        u = p.variable("u", shape=600)
        p.equate(u, np.concatenate([[0.1], np.sin(u[:-1]) + 0.01 * np.sum(z)]))
        p.minimize(np.sum(y * y) + np.sum(z) + np.sum(u))
        at = p.evaluate()
        return [at.objective, *at.gradient["x"][:3].tolist()]

    def compiled():
        from lagrange_ad.execution.native.engine import engine

        return engine().compiled
"""
ANSWER = "print(json.dumps([compiled(), *solve()][1:] + [compiled()]))"


def ask(body, cache, preamble="", expected_code=0, **environment):
    """What a process of its own prints as JSON on its last line, and its standard error."""
    run = started(body, cache, preamble, **environment)
    out, err = run.communicate(timeout=120)
    assert run.returncode == expected_code, err
    return json.loads(out.strip().splitlines()[-1]), err


def started(body, cache, preamble="", **environment):
    text = "\n".join([textwrap.dedent(preamble), textwrap.dedent(PROGRAM), textwrap.dedent(body)])
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "LAGRANGE_AD_CACHE": str(cache), **environment}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-W", "error", "-c", text], env=variables, stdout=pipe, stderr=pipe,
                            text=True)  # fmt: skip


@pytest.fixture(scope="module")
def expected():
    """The numbers, by the reference."""
    space = {}
    exec(textwrap.dedent(PROGRAM), space)
    return np.array(space["solve"](executor="reference"))


def check(answer, expected):
    np.testing.assert_allclose(answer[:-1], expected, rtol=1e-11)


@pytest.fixture
def filled(tmp_path, expected):
    """A cache that one process has filled."""
    answer, _ = ask(ANSWER, tmp_path / "cache")
    check(answer, expected)
    assert answer[-1] > 5
    return tmp_path / "cache"


def objects(cache):
    return sorted(path for path in cache.rglob("*") if path.is_file())


# the cache on disk -----------------------------------------------------------------------------------------


def test_a_second_process_compiles_nothing(filled, expected):
    before = {path: path.stat().st_mtime_ns for path in objects(filled)}
    answer, _ = ask(ANSWER, filled)
    check(answer, expected)
    assert answer[-1] == 0
    assert {path: path.stat().st_mtime_ns for path in objects(filled)} == before


def test_damaged_objects_are_made_anew(filled, expected):
    files = objects(filled)
    for i, path in enumerate(files):
        content = path.read_bytes()
        if i % 4 == 0:
            path.write_bytes(b"")
        elif i % 4 == 1:
            path.write_bytes(content[: len(content) // 2])
        elif i % 4 == 2:
            middle = len(content) // 2
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        else:
            path.write_bytes(os.urandom(200))
    answer, _ = ask(ANSWER, filled)
    check(answer, expected)
    assert answer[-1] == len(files)
    again, _ = ask(ANSWER, filled)
    check(again, expected)
    assert again[-1] == 0


def test_processes_that_start_at_once(tmp_path, expected):
    running = [started(ANSWER, tmp_path / "cache") for _ in range(4)]
    answers = [process.communicate(timeout=120) for process in running]
    for process, (out, err) in zip(running, answers, strict=True):
        assert process.returncode == 0, err
        check(json.loads(out), expected)
    assert not [path for path in objects(tmp_path / "cache") if path.suffix != ".o"]
    answer, _ = ask(ANSWER, tmp_path / "cache")
    assert answer[-1] == 0


def test_turned_off(tmp_path, expected):
    answer, _ = ask(ANSWER, "off", HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "x"))
    check(answer, expected)
    assert answer[-1] > 5
    assert not objects(tmp_path)


def test_the_user_s_cache_folder_is_the_default(tmp_path, expected):
    answer, _ = ask(ANSWER, "", HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "x"))
    check(answer, expected)
    assert objects(tmp_path / "x" / "lagrange_ad")


@pytest.mark.parametrize("place", ["a file", "below a file", "read only", "nowhere"])
def test_a_folder_that_cannot_be_written(tmp_path, expected, place):
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked").chmod(0o500)
    cache = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "cache", "read only": tmp_path / "locked",
             "nowhere": Path("/proc/nowhere/cache")}[place]  # fmt: skip
    answer, err = ask(ANSWER, cache)
    check(answer, expected)
    assert answer[-1] > 5 or place == "read only"
    assert not err
    assert (tmp_path / "file").read_text() == "not a folder"


# one process -----------------------------------------------------------------------------------------------


def _wave(frequency):
    p = la.Program("wave")
    x = p.input("x", np.linspace(0.1, 0.9, 500))
    y = p.define("y", np.sin(x * frequency) * np.exp(-x) + np.arctan2(x, 0.77))
    z = p.variable("z", shape=300, start=0.3)
    p.equate(z, np.exp(-z * 0.77) * y[:300])
    u = p.variable("u", shape=500)
    p.equate(u, np.concatenate([[0.2], np.cos(u[:-1] * 0.77) * x[1:]]))
    p.minimize(np.sum(y * y) + np.sum(z) + np.sum(u))
    return p


def test_equal_kernels_are_compiled_once():
    first = _wave(2.0)
    first.evaluate().gradient["x"]
    view = first.reduced()
    one = view.value_and_gradient(view.x0)
    before, linked = engine().compiled, engine()._linked
    second = _wave(2.0)
    second.evaluate().gradient["x"]
    view = second.reduced()
    two = view.value_and_gradient(view.x0)
    assert engine().compiled == before and engine()._linked == linked
    assert one[0] == two[0]
    np.testing.assert_array_equal(one[1], two[1])
    third = _wave(3.0)  # another number, the same form
    third.evaluate().gradient["x"]
    assert engine().compiled == before and engine()._linked == linked


# without llvmlite ------------------------------------------------------------------------------------------

HIDDEN = """
    import sys

    class Hidden:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == "llvmlite":
                raise ImportError("llvmlite is hidden")

    sys.meta_path.insert(0, Hidden())
"""


def test_without_llvmlite_the_reference_serves_with_one_warning(tmp_path, expected):
    body = """
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            answers = [solve(), solve()]
        print(json.dumps([answers, [[w.category.__name__, str(w.message)] for w in seen]]))
    """
    (answers, seen), err = ask(body, tmp_path, HIDDEN)
    for answer in answers:
        np.testing.assert_allclose(answer, expected, rtol=1e-13)
    assert [kind for kind, _ in seen] == ["RuntimeWarning"]
    assert "pip install llvmlite" in seen[0][1] and "executor='reference'" in seen[0][1]
    assert "llvmlite is hidden" in seen[0][1]
    assert not err


def test_native_without_llvmlite_is_an_error_that_says_what_to_do(tmp_path):
    body = """
        import lagrange_ad as la

        try:
            solve(executor="native")
        except ImportError as error:
            print(json.dumps([type(error).__name__, str(error)]))
    """
    (kind, message), _ = ask(body, tmp_path, HIDDEN)
    assert "llvmlite" in message, kind


def test_the_reference_never_imports_llvmlite(tmp_path, expected):
    body = """
        answer = solve(executor="reference")
        import lagrange_ad as la
        p = la.Program("view", executor="reference")
        x = p.input("x", 1.0)
        p.minimize(x * x)
        view = p.reduced()
        view.value_and_gradient(view.x0)
        p.ascend(steps=2)
        print(json.dumps(answer + ["llvmlite" in sys.modules]))
    """
    answer, err = ask(body, tmp_path)
    np.testing.assert_allclose(answer[:-1], expected, rtol=1e-13)
    assert answer[-1] is False and not err
    answer, err = ask(body, tmp_path, HIDDEN)
    assert answer[-1] is False and not err


@pytest.mark.parametrize("name", ["fast", "", "Native", "numpy"])
def test_unknown_executors(name):
    with pytest.raises(la.DeclarationError, match="executor= is one of"):
        la.Program("wrong", executor=name)


def test_executors_by_name():
    assert la.Program("a", executor="native").executor == "native"
    assert la.Program("b", executor="reference").executor == "reference"
    assert la.Program("c").executor is None


# imports ---------------------------------------------------------------------------------------------------


def test_importing_the_library_loads_no_heavy_module(tmp_path):
    body = """
        import lagrange_ad
        heavy = ("llvmlite", "networkx", "rich", "lark", "matplotlib", "pandas", "hypothesis")
        parts = sorted(m for m in sys.modules if m.startswith("scipy.") and m.count(".") == 1)
        print(json.dumps([[m for m in heavy if m in sys.modules], parts]))
    """
    (heavy, parts), _ = ask(body, tmp_path)
    assert heavy == []
    assert not {"scipy.optimize", "scipy.stats", "scipy.integrate", "scipy.interpolate"} & set(parts)
