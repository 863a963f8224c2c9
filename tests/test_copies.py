"""Programs, points, results and views pickled and copied: the same numbers again, in another process too, and apart."""

import copy
import multiprocessing
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from random_programs import cyclic

import lagrange_ad as la
from lagrange_ad.solution.point import Named


def sellar() -> la.Program:
    p = la.Program("sellar")
    z1, z2 = p.input("z1", 5.0, lower=-10, upper=10, unit="m"), p.input("z2", 2.0)
    m = p.scope("m")
    y1, y2 = m.variable("y1", start=z1 * 2), m.variable("y2", start=1.0)
    m.equate(y1, z1**2 + z2 + 1.0 - 0.2 * y2)
    m.equate(y2, np.sqrt(y1) + z1 + z2)
    p.minimize(z2 + y1 + np.exp(-y2))
    p.subject_to(y1 >= 3.16, name="g1")
    return p


def numbers(at: la.Point) -> dict[str, Any]:
    return {**at.as_dict(), "blocks": [(b.unknowns, b.iterations, b.residual) for b in at.blocks]}


def again(what: Any) -> Any:
    return pickle.loads(pickle.dumps(what))


@pytest.mark.parametrize("copied", [again, copy.copy, copy.deepcopy])
def test_a_copy_is_an_independent_program(copied: Any) -> None:
    p = sellar()
    before, shown = numbers(p.evaluate()), p.summary()
    q = copied(p)
    assert q.summary() == shown
    assert numbers(q.evaluate()) == before
    u = q.input("u", 1.0)
    q.set(z1=3.0)
    q.define("w", u * q["m.y1"])
    q.symbols["z2"].value[...] = 7.0
    q.subject_to(u <= 1.0)
    assert p.summary() == shown
    assert "u" not in p and len(p.equations) == 2 and len(p.constraints) == 1
    assert numbers(p.evaluate()) == before
    with pytest.raises(la.DeclarationError, match="contains symbols of the program"):
        p.define("w", q["u"] + 1.0)
    p.define("w", p["z1"] * 2.0)
    assert len(q.equations) == 3


def test_a_copy_with_what_belongs_to_it() -> None:
    p = sellar()
    q, y1, at = copy.deepcopy((p, p["m.y1"], p.evaluate()))
    assert y1.owner is q and y1.data is q["m.y1"].data
    assert q.evaluate()[y1] == at["m.y1"] == p.evaluate()["m.y1"]


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(cyclic())
def test_random_programs_survive(drawn: Any) -> None:
    program = drawn.program
    program.executor = "reference"
    with np.errstate(all="ignore"):
        at = program.evaluate()
        for other in (again(program), copy.copy(program)):
            np.testing.assert_equal(numbers(other.evaluate()), numbers(at))


@pytest.mark.parametrize("copied", [again, copy.copy, copy.deepcopy])
def test_points_results_and_views(copied: Any) -> None:
    p = la.Program("p", executor="reference")
    x = p.input("x", np.array([0.1, 0.2]), upper=0.5)
    p.maximize(np.sum(np.exp(p.define("y", np.sin(x)))))
    at, result, view = p.evaluate(), p.ascend(rate=0.1, steps=4, progress=False), p.reduced()
    assert numbers(copied(at)) == numbers(at)
    np.testing.assert_array_equal(copied(at).multiplier["y"], at.multiplier["y"])
    other = copied(result)
    assert str(other) == str(result) and other.as_dict() == result.as_dict()
    assert [record.x.tolist() for record in other.history] == [record.x.tolist() for record in result.history]
    value, gradient = view.value_and_gradient(view.x0)
    value_again, gradient_again = copied(view).value_and_gradient(view.x0)
    assert value_again == value
    np.testing.assert_array_equal(gradient_again, gradient)
    for named in (at.multiplier, at.gradient, at.residual):
        np.testing.assert_equal(dict(copied(named)), dict(named))
        assert isinstance(copied(named), Named) and str(copied(named)) == str(named)
        element = f"{next(iter(named))}[1]"
        assert copied(named)[element] == named[element]
    assert str(copied(p.lagrangian)) == str(p.lagrangian)
    assert str(copied(p.schedule)) == str(p.schedule)


def test_errors_survive_with_their_point() -> None:
    p = sellar()
    with pytest.raises(la.SolveError) as caught:
        p.evaluate(z1=-50.0, z2=-3000.0)
    other = again(caught.value)
    assert type(other) is type(caught.value) and str(other) == str(caught.value)
    np.testing.assert_equal(numbers(other.at), numbers(caught.value.at))


def test_a_deep_program_survives() -> None:
    p = la.Program("deep", executor="reference")
    x = p.input("x", 0.5)
    e = x
    for _ in range(20_000):
        e = np.sin(e)
    p.minimize(e)
    for other in (again(p), copy.copy(p)):
        assert other.evaluate().gradient["x"] == p.evaluate().gradient["x"]


def _elsewhere(work: tuple[la.Program, la.Point, Any, la.View]) -> Any:
    """What a fresh interpreter finds; and what it hands back."""
    program, at, result, view = work
    program.set(z2=3.0)
    return program.evaluate(), at.as_dict(), str(result), view.value_and_gradient(view.x0), program


def test_they_go_to_a_process_that_shares_nothing() -> None:
    p = sellar()
    d = la.Program("d")
    d.minimize(np.exp(d.input("x", 1.0, lower=0.0)))
    result = d.ascend(rate=0.1, steps=3, progress=False)
    work = p, p.evaluate(), result, p.reduced()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there, at, shown, (value, gradient), program = pool.apply(_elsewhere, (work,))
    assert numbers(there) == numbers(p.evaluate(z2=3.0)) == numbers(program.evaluate())
    assert p.evaluate()["z2"] == 2.0
    assert at == p.evaluate().as_dict() and shown == str(result)
    here = p.reduced().value_and_gradient(p.reduced().x0)
    assert value == here[0]
    np.testing.assert_array_equal(gradient, here[1])
