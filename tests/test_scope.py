"""Scopes: prefixed names, nesting, models composed by functions, and who else is in a scope (nobody)."""

import asyncio
import copy
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lagrange_ad as la


def sellar_part(m: Any, z1: Any, z2: Any) -> None:
    """One Sellar problem without its objective, in a scope or a program."""
    x = m.input("x", 1.0, lower=0, upper=10)
    y1 = m.variable("y1", start=1.0)
    y2 = m.variable("y2", start=1.0)
    m.equate(y1, z1**2 + z2 + x - 0.2 * y2)
    m.equate(y2, np.sqrt(y1) + z1 + z2)
    m.subject_to(y1 >= 3.16, name="g1")


def test_a_model_in_two_scopes_is_the_model_twice() -> None:
    p = la.Program("twice")
    z1, z2 = p.input("z1", 5.0), p.input("z2", 2.0)
    for name in ("left", "right"):
        sellar_part(p.scope(name), z1, z2)
    p.set({"right.x": 2.0})
    p.minimize(p["left.y1"] * p["right.y2"])
    at = p.evaluate()
    single = la.Program("one")
    one = (single.input("z1", 5.0), single.input("z2", 2.0))
    sellar_part(single, *one)
    single.minimize(single["y1"])
    left, right = single.evaluate(x=1.0), single.evaluate(x=2.0)
    for name in ("x", "y1", "y2", "g1"):
        assert at[f"left.{name}"] == left[name]
        assert at[f"right.{name}"] == right[name]
    # J = y1_left·y2_right: the left part's multipliers are those of y1 alone, times y2_right
    for name in ("y1", "y2"):
        np.testing.assert_allclose(at.multiplier[f"left.{name}"], left.multiplier[name] * right["y2"], rtol=1e-12)
    np.testing.assert_allclose(at.gradient["left.x"], left.gradient["x"] * right["y2"], rtol=1e-12)
    assert [c.name for c in p.constraints] == ["left.g1", "right.g1"]
    assert at.blocks[0].unknowns == ["left.y1", "left.y2"]


def test_entering_and_declaring_through_are_the_same() -> None:
    entered, through = la.Program("p"), la.Program("p")
    with entered.scope("m1") as m:
        i = entered.input("i", 2.0, unit="A")
        entered.define("v", 3.0 * i)
        entered.equate(entered.variable("w") * i, 1.0)
        entered.subject_to(i <= 4.0)
        entered.minimize(entered["v"], name="cost")
    assert m.name == "m1"
    n = through.scope("m1")
    j = n.input("i", 2.0, unit="A")
    n.define("v", 3.0 * j)
    n.equate(n.variable("w") * j, 1.0)
    n.subject_to(j <= 4.0)
    n.minimize(n["v"], name="cost")
    for p in (entered, through):
        assert list(p.symbols) == ["m1.i", "m1.v", "m1.w"] == list(p.scope("m1"))
        assert [e.name for e in p.equations] == ["m1.v", "m1.equation_2"]
        assert [c.name for c in p.constraints] == ["m1.constraint_1"]
        assert p.objective is not None and p.objective.name == "m1.cost"
        assert p.symbols["m1.i"].location[0] == __file__
    assert str(entered.evaluate()) == str(through.evaluate())


def test_names_mean_the_innermost_scope_that_has_them() -> None:
    p = la.Program("p")
    p.input("x", 1.0)
    p.input("only", 2.0)
    with p.scope("a"):
        p.input("x", 10.0)
        with p.scope("b") as b:
            assert p["x"] is p["a.x"]
            p.input("x", 100.0)
            assert p["x"] is p["a.b.x"] is b["x"]
            assert p["b.x"] is p["x"] and p["a.b.x"] is p["x"]
            assert p["only"].data.name == "only"
            assert "x" in p and "only" in b and "nothing" not in p
            assert b.full_name("x") == "a.b.x" and b.full_name("only") == "only"
            p.set(x=200.0)
            assert p.evaluate(x=300.0)["a.b.x"] == 300.0
        assert p["x"] is p["a.x"]
    assert p["x"].data.name == "x"
    at = p.evaluate()
    assert (at["x"], at["a.x"], at["a.b.x"]) == (1.0, 10.0, 200.0)


def test_a_scope_may_be_continued_but_a_name_is_used_once() -> None:
    p = la.Program("p")
    p.scope("m").input("i")
    p.scope("m").input("j")
    assert list(p.symbols) == ["m.i", "m.j"]
    with pytest.raises(la.DeclarationError, match=r"the name 'm\.i' is used already"):
        p.scope("m").input("i")
    with pytest.raises(la.DeclarationError, match=r"the name 'm\.j' is used already"):
        p.input("m.j")


@pytest.mark.parametrize(("name", "message"), [
    ("", "'' cannot be the name of a scope: letters, digits and _"),
    ("a.b", r"'a\.b' cannot be the name of a scope: scopes nest, p\.scope\('a'\)\.scope\('b'\)"),
    ("2", "'2' cannot be the name of a scope"),
    (None, "None cannot be the name of a scope"),
])
def test_names_a_scope_cannot_have(name: Any, message: str) -> None:
    with pytest.raises(la.DeclarationError, match=message):
        la.Program("p").scope(name)


def test_what_is_given_to_a_program_by_name_is_looked_up_too() -> None:
    p = la.Program("p")
    p.input("x", 1.0)
    with p.scope("m"):
        y = p.variable("y")
        p.equate(y**2, p["x"], name="square")
        root = p.evaluate(start={"y": -1.0}, perturbation={"square": 3.0})
        assert root["m.y"] == pytest.approx(-2.0, rel=1e-15)
        with pytest.raises(la.DeclarationError, match=r"evaluate\(\{'m\.u': \.\.\.\}\)"):
            p.evaluate(start={p.input("u", 1.0): 1.0})
        with pytest.raises(la.UnknownNameError, match="no equation 'other' to perturb"):
            p.evaluate(perturbation={"other": 1.0})


def test_errors_have_full_names() -> None:
    p = la.Program("p")
    m = p.scope("m")
    m.variable("y")
    with pytest.raises(la.UnknownNameError, match=r"has no 'y'; did you mean 'm\.y'"):
        p["y"]
    with pytest.raises(la.UnknownNameError, match=r"variable 'y'; did you mean 'm\.y'\?; it has m\.y"):
        p.set(y=1.0)
    m.input("i")
    with pytest.raises(la.UnknownNameError, match=r"has no input or parameter 'i'; did you mean 'm\.i'"):
        p.evaluate(i=1.0)
    with pytest.raises(la.UnknownNameError, match=r"has no 'm\.z'; did you mean 'm\.y'"):
        m["z"]
    with pytest.raises(la.DeclarationError, match=r"the value of 'm\.x' is NaN"):
        m.input("x", np.nan)
    with pytest.raises(la.DeclarationError, match=r"'m\.1x' cannot be a name"):
        m.input("1x")
    with pytest.raises(la.StructureError, match=r"m\.y"):
        p.evaluate()
    with pytest.raises(AttributeError, match=r"looked up as scope\['y'\]"):
        m.y  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"a scope has no 'paramter'; did you mean 'parameter'\?"):
        m.paramter  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"ask the whole program, scope\.program\.evaluate"):
        m.evaluate()  # type: ignore[attr-defined]


def test_an_error_inside_leaves_the_scope() -> None:
    p = la.Program("p")
    with pytest.raises(ZeroDivisionError), p.scope("a"), p.scope("b"):
        raise ZeroDivisionError
    p.input("x")
    with pytest.raises(la.DeclarationError):
        p.scope("m").input("x", "words")
    p.input("y")
    assert list(p.symbols) == ["x", "y"]


def test_a_scope_is_of_one_program_only() -> None:
    p, q = la.Program("p"), la.Program("q")
    with p.scope("m"):
        q.input("x")
        with q.scope("n"):
            p.input("y")
            q.input("z")
    assert list(p.symbols) == ["m.y"] and list(q.symbols) == ["x", "n.z"]


def test_threads_do_not_share_it() -> None:
    p = la.Program("p")
    inside, done = threading.Event(), threading.Event()

    def other() -> None:
        inside.wait(10)
        with p.scope("other"):
            p.input("y")
        p.input("x")
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with p.scope("m"):
        inside.set()
        assert done.wait(10)
        p.input("x")
    thread.join()
    assert set(p.symbols) == {"other.y", "x", "m.x"}


def test_tasks_do_not_share_it() -> None:
    p = la.Program("p")

    async def declare(name: str) -> None:
        with p.scope(name):
            await asyncio.sleep(0)
            p.input("x")
            await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(declare("a"), declare("b"))

    asyncio.run(both())
    assert set(p.symbols) == {"a.x", "b.x"}


def test_generators_may_leave_in_another_order() -> None:
    p = la.Program("p")

    def held(name: str) -> Iterator[None]:
        with p.scope(name):
            yield

    a, b = held("a"), held("b")
    next(a)
    next(b)
    assert p.prefix == "a.b."
    a.close()  # type: ignore[attr-defined]
    assert p.prefix == "a.b."
    b.close()  # type: ignore[attr-defined]
    assert p.prefix == ""


def test_equations_that_operations_declare_are_numbered_in_their_scope() -> None:
    p = la.Program("solves")
    with p.scope("m"):
        a = p.input("a", 2.0 * np.eye(2))
        twice = np.linalg.solve(a, np.linalg.solve(a, np.ones(2)))
    outside = np.linalg.solve(a, twice)
    assert [e.name for e in p.equations] == ["m.solve_1", "m.solve_2", "solve_1"]
    assert p.evaluate()[outside].tolist() == [0.125, 0.125]


def test_copies_of_scopes() -> None:
    p = la.Program("p")
    m = p.scope("m")
    m.input("x", 3.0)
    for other in (pickle.loads(pickle.dumps(m)), copy.deepcopy(m)):
        other.input("y")
        assert list(other.program.symbols) == ["m.x", "m.y"]
    assert list(p.symbols) == ["m.x"]
    assert "scope 'm' of <Program 'p'" in repr(m)
