"""A point says which of its values are infinite, which constraints have none, and which slopes are not numbers."""

import json

import numpy as np
import pytest

import lagrange_ad as la

EXECUTORS = pytest.mark.parametrize("executor", ["native", "reference"])


def logarithm(executor: str) -> la.Program:
    p = la.Program("logs", executor=executor)
    x = p.input("x", 0.0)
    y = p.define("y", np.log(x))
    z = p.define("z", np.exp(x))
    p.minimize(y * z + z, name="J")
    p.subject_to(np.sqrt(x - 1) <= 2, name="g")
    p.subject_to(np.array([1.0, 2.0]) * np.log(x) >= -5, name="h")
    p.subject_to(z <= 5, name="fine")
    return p


@EXECUTORS
def test_infinite_values_stand_and_are_named(executor: str) -> None:
    at = logarithm(executor).evaluate()
    assert at["y"] == -np.inf and at.objective == -np.inf
    notes = at.notes
    assert notes[0].startswith("infinite: y; equation 'y'") and "log needs argument > 0" in notes[0]
    assert notes[1].startswith("infinite: the objective 'J'")
    assert notes[2].startswith("constraint 'g'") and "has no value" in notes[2]
    assert "sqrt needs argument ≥ 0" in notes[2]
    assert notes[3].startswith("constraint 'h'") and "is infinite" in notes[3]
    assert notes[4].startswith("not a number: the gradient by x")
    assert len(notes) == 5
    shown = str(at)
    assert all(note in shown for note in notes)
    assert at.as_dict()["notes"] == notes
    json.dumps(at.as_dict())


@EXECUTORS
def test_an_ordinary_point_has_no_notes(executor: str) -> None:
    at = logarithm(executor).evaluate(x=1.5)
    assert at.notes == [] and "notes" not in at.as_dict() and "infinite" not in str(at)


def test_the_equation_that_began_it_is_named() -> None:
    p = la.Program("chain")
    x = p.input("x", [0.0, 1000.0])
    late = p.variable("late", shape=2)
    big = p.define("big", np.exp(x))
    p.equate(late, big + 1)
    (note,) = p.evaluate().notes
    assert note.startswith("infinite: late, big; equation 'big[1]'") and "x = 1000" in note


def test_a_failed_point_and_many_constraints() -> None:
    p = la.Program("many")
    x = p.input("x", -1.0)
    for i in range(9):
        p.subject_to(np.sqrt(x - i) <= 2, name=f"g{i}")
    notes = p.evaluate().notes
    assert len(notes) == 6 and notes[-1] == "4 more constraints are NaN or infinite"
    p.define("y", np.log(x))
    with pytest.raises(la.DomainError) as caught:
        p.evaluate()
    assert caught.value.at.notes == []
