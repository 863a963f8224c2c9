"""A solve that fails at the edge of a domain says so, by name, and says so only there."""

import numpy as np
import pytest

import lagrange_ad as la

EXECUTORS = pytest.mark.parametrize("executor", ["native", "reference"])


def message(program: la.Program) -> str:
    with pytest.raises(la.ConvergenceError) as caught:
        program.evaluate()
    return str(caught.value)


@EXECUTORS
def test_an_unknown_at_the_end_of_its_declared_domain(executor: str) -> None:
    p = la.Program("domain", executor=executor)
    y = p.variable("y", 2, start=[2.0, 2.0], domain=(1, 5))
    p.equate(y + y[::-1] ** 2, 300.0)
    told = message(p)
    assert "y[0] = 5 is held at the upper end of its domain (1, 5)" in told
    assert "y[1] = 5" in told and "widen domain= of 'y'" in told


@EXECUTORS
def test_many_are_counted(executor: str) -> None:
    p = la.Program("domain", executor=executor)
    y = p.variable("y", 6, start=2.0, domain=(1, 5))
    p.equate(y + np.roll(y, 1) ** 2, 300.0)
    told = message(p)
    assert told.count("is held at the upper end") == 3 and "3 more unknowns are held" in told


@EXECUTORS
def test_the_edge_of_a_function(executor: str) -> None:
    p = la.Program("root", executor=executor)
    y, z = p.variable("y", start=1.0), p.variable("z", start=1.0)
    p.equate(np.sqrt(y) + 1, -0.2 - z * 0.1, name="law")  # no solution: the right side is the smaller one everywhere
    p.equate(z, 0.1 * y)
    told = message(p)
    assert "held at the edge of a function's domain" in told
    assert "equation 'law'" in told and "sqrt needs argument ≥ 0" in told and "start further inside" in told


@EXECUTORS
def test_other_failures_say_nothing_of_edges(executor: str) -> None:
    p = la.Program("minimum", executor=executor)
    y = p.variable("y", start=1.0)
    p.equate(np.log(y) * y, -3)  # no solution: the minimum is −1/e
    told = message(p)
    assert "at the edge" not in told and "is held" not in told
