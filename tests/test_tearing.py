"""Blocks solved in their torn unknowns alone: the same values, multipliers and slopes as in all unknowns."""

from collections.abc import Callable

import numpy as np
import pytest

import lagrange_ad as la
from lagrange_ad.solution.steps import BlockStep

EXECUTORS = ("native", "reference")


def sellar(executor: str) -> la.Program:
    p = la.Program("sellar", executor=executor)
    z1, z2, x = p.input("z1", 5.0), p.input("z2", 2.0), p.input("x", 1.0)
    y1, y2 = p.variable("y1", start=1.0), p.variable("y2")
    p.equate(y1, z1**2 + z2 + x - 0.2 * y2)
    p.equate(y2, np.sqrt(y1) + z1 + z2)
    p.minimize(x**2 + z2 + y1 + np.exp(-y2))
    return p


def chain(executor: str) -> la.Program:
    """A long cycle with an array, an implicit equation, a sum inside a function (an auxiliary) and a self-reference."""
    p = la.Program("chain", executor=executor)
    a, b = p.input("a", 0.4), p.input("b", [0.1, 0.2, 0.3])
    back = p.variable("back", start=0.5)
    v = p.define("v", np.cos(b * back))
    w = p.define("w", np.exp(-np.sum(v * v)) * v + a)
    u = p.variable("u", start=0.2)
    p.equate(u**3 + u, w[0] * w[1] + w[2], name="cubic")
    s = p.variable("s", start=0.1)
    p.equate(s, 0.3 * np.sin(s) + u)
    t = p.define("t", s - a * u)
    p.equate(back, 0.5 * np.tanh(t) + b[0])
    p.minimize(np.sum(w) * back + t**2)
    return p


def flowsheet(executor: str) -> la.Program:
    """Mixer, reactor and separator with a recycle, the last two black boxes; a start for the recycle only."""
    reactor = la.external(lambda m: m + np.stack([-0.5, 0.4, 0.1]) * m[0] * m[1] / (1.0 + m[1]), shape=3)
    splitter = la.external(lambda r, f: r * np.stack([f, 0.5 * f, 0.1 * f]), shape=3)
    p = la.Program("flowsheet", executor=executor)
    feed, fraction = p.input("feed", [1.0, 0.5, 0.0]), p.input("fraction", 0.8)
    recycle = p.variable("recycle", shape=3, start=[0.5, 0.2, 0.1])
    mixed = p.define("mixed", feed + recycle)
    out = p.define("out", reactor(mixed))
    p.equate(recycle, splitter(out, fraction))
    p.maximize(out[1] - recycle[1] - 0.3 * recycle[0])
    return p


MODELS: dict[str, tuple[Callable[[str], la.Program], str, int]] = {
    "sellar": (sellar, "y1", 1), "chain": (chain, "back", 2), "flowsheet": (flowsheet, "mixed", 3),
}


def block_of(p: la.Program) -> BlockStep:
    (step,) = (step for step in p.schedule.steps if isinstance(step, BlockStep))
    return step


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", MODELS)
def test_the_same_numbers_in_torn_unknowns(name: str, executor: str) -> None:
    make, variable, size = MODELS[name]
    whole = make(executor).evaluate()
    p = make(executor)
    p.solver(variable, tear=True)
    at = p.evaluate()
    assert len(block_of(p).columns) == size < len(block_of(p).user_columns)
    assert at.blocks[0].converged and sorted(at.blocks[0].unknowns) == sorted(whole.blocks[0].unknowns)
    assert sorted(at.blocks[0].equations) == sorted(whole.blocks[0].equations)
    assert f"solved in {size} torn" in str(at.blocks[0])
    for variable in whole.values:
        np.testing.assert_allclose(at[variable], whole[variable], rtol=1e-9, atol=1e-12)
    for equation in whole.multiplier:
        np.testing.assert_allclose(at.multiplier[equation], whole.multiplier[equation], rtol=1e-8, atol=1e-11)
    for x in whole.gradient:
        np.testing.assert_allclose(at.gradient[x], whole.gradient[x], rtol=1e-8, atol=1e-11)
        slopes, wanted = (each.tangent({x: np.ones_like(each[x])}) for each in (at, whole))
        for variable in whole.values:
            np.testing.assert_allclose(slopes[variable], wanted[variable], rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_multipliers_of_eliminated_equations_are_what_a_perturbation_does(executor: str) -> None:
    p = sellar(executor)
    p.solver("y2", tear="y1")
    at = p.evaluate()
    assert at.blocks[0].torn == ["y1"] and len(block_of(p).rows) == 1
    for equation in ("y1", "y2"):
        ends = [p.evaluate(perturbation={equation: e}).objective for e in (1e-5, -1e-5)]
        np.testing.assert_allclose((ends[0] - ends[1]) / 2e-5, at.multiplier[equation], rtol=1e-7)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_starts_are_wanted_for_the_torn_stream_only(executor: str) -> None:
    stream = ["recycle[0]", "recycle[1]", "recycle[2]"]
    p = flowsheet(executor)
    at = p.evaluate()
    assert sorted(at.blocks[0].torn) == stream and not at.blocks[0].guessed
    p.solver("out", tear=True)
    at = p.evaluate()
    assert sorted(at.blocks[0].torn) == stream == sorted(at.blocks[0].unknowns[:3]) and not at.blocks[0].guessed


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("tear", [None, True])
def test_a_long_cycle_without_starts(executor: str, tear: bool | None) -> None:
    """Its first guess and what follows from the torn element run one after the other; a value outside its domain, or
    one given by the caller, stays as it was."""
    p = la.Program("ring", executor=executor)
    c = p.input("c", 0.3)
    y = p.variable("y", shape=400, domain=(0.2, 2.0))
    p.equate(y, c * np.cos(np.roll(y, 1)) + np.log(1.2 + np.roll(y, 1)))
    p.minimize(np.sum(y))
    p.solver("y", tear=tear)
    at = p.evaluate()
    x = 0.5
    for _ in range(200):
        x = 0.3 * np.cos(x) + np.log(1.2 + x)
    slope = -0.3 * np.sin(x) + 1.0 / (1.2 + x)
    np.testing.assert_allclose(at["y"], x, rtol=1e-10)
    np.testing.assert_allclose(at.gradient["c"], 400 * np.cos(x) / (1.0 - slope), rtol=1e-8)
    again = p.evaluate(c=0.31, start=at)
    np.testing.assert_allclose(again["y"], 0.31 * np.cos(again["y"][0]) + np.log(1.2 + again["y"][0]), rtol=1e-10)


def test_what_is_shown_of_a_block_in_torn_unknowns() -> None:
    p = sellar("native")
    p.solver("y1", tear=["y2"])
    assert str(p.schedule).startswith("block     y2, y1, torn: y2")
    assert "cycle {y2, y1}: block of 2, solved in 1 torn, converged" in str(p.evaluate())
    p.solver("y1")
    assert str(p.schedule).startswith("block     y1, y2, torn: y1") and len(block_of(p).rows) == 2


@pytest.mark.parametrize("executor", EXECUTORS)
def test_torn_blocks_stay_in_domains_and_say_what_left_them(executor: str) -> None:
    def model(target: float, start: float, method: str = "auto") -> la.Program:
        p = la.Program("domains", executor=executor)
        a, b = p.variable("a", start=start), p.variable("b", domain=(0.0, np.inf))
        p.equate(b, 1.0 - a**2)
        p.equate(a, a - 0.2 * (b - target))
        p.solver("a", method, tear=True)
        return p

    assert model(0.75, 0.9).evaluate()["b"] == pytest.approx(0.75, rel=1e-12)
    with pytest.raises(la.ConvergenceError):
        model(-3.0, 0.5).evaluate()
    with pytest.raises(la.DomainError, match=r"b = -8 leaves its domain \(0, inf\)"):
        model(0.75, 3.0, "newton").evaluate()
    assert 0.0 < model(0.75, 3.0).evaluate()["b"]  # others look about the start


@pytest.mark.parametrize("executor", EXECUTORS)
def test_what_has_no_value_in_a_torn_block_is_named(executor: str) -> None:
    p = la.Program("logarithm", executor=executor)
    a = p.variable("a", start=-1.0)
    b = p.define("b", np.log(a))
    p.equate(a, 2.0 + 0.1 * b)
    p.solver("a", "newton", tear=True)
    with pytest.raises(la.DomainError, match=r"equation 'b'.*log needs argument"):
        p.evaluate()


def test_errors_and_margins_of_torn_blocks_are_those_of_all_unknowns() -> None:
    p = chain("native")
    whole = p.evaluate()
    p.solver("back", tear=True)
    torn = p.evaluate()
    assert len(torn.blocks[0].error) == len(torn.blocks[0].unknowns) == len(whole.blocks[0].unknowns)
    assert str(p.diagnose(at=torn)) and torn.objective_margin == pytest.approx(whole.objective_margin, rel=0.5)
