"""The user chooses how a block is solved, by naming what it determines."""

import copy
import pickle

import numpy as np
import pytest

import lagrange_ad as la


def sellar() -> la.Program:
    p = la.Program("sellar")
    z1, z2, x = p.input("z1", 5.0), p.input("z2", 2.0), p.input("x", 1.0)
    y1, y2 = p.variable("y1", start=1.0), p.variable("y2", start=1.0)
    p.equate(y1, z1**2 + z2 + x - 0.2 * y2)
    p.equate(y2, np.sqrt(y1) + z1 + z2)
    p.minimize(x**2 + z2 + y1 + np.exp(-y2))
    return p


def two_cycles() -> la.Program:
    p = la.Program("two")
    for i in range(2):
        u = p.variable(f"u{i}", shape=(3,), start=0.5)
        p.equate(u, np.cos(np.roll(u, 1)) * (1.0 + 0.1 * i), name=f"e{i}")
    return p


def test_a_choice_makes_another_plan_of_the_same_lowered_program() -> None:
    p = sellar()
    before = p.evaluate()
    p.solver("y1", "newton")
    after = p.evaluate()
    assert after.plan is not before.plan and after.plan.lowered is before.plan.lowered
    assert after["y1"] == pytest.approx(before["y1"], rel=1e-14)
    assert after.gradient["z1"] == pytest.approx(before.gradient["z1"], rel=1e-12)


@pytest.mark.parametrize("name", ["u1", "u1[2]"])
def test_a_choice_is_for_the_block_that_holds_the_variable(name: str) -> None:
    p = two_cycles()
    p.solver(name, max_iterations=1)
    with pytest.raises(la.ConvergenceError, match="limit of 1 iteration") as caught:
        p.evaluate()
    assert "u1[0]" in str(caught.value) and caught.value.at.blocks[0].converged
    p.solver(p["u1"][0])
    assert all(block.converged for block in p.evaluate().blocks)


def test_all_blocks_and_the_last_word() -> None:
    p = two_cycles()
    p.solver("u0", max_iterations=1)
    p.solver(max_iterations=50)
    assert all(block.converged for block in p.evaluate().blocks)


def test_equation_files_say_what_they_do_not_keep() -> None:
    p = sellar()
    assert "not kept" not in p.to_text()
    p.solver("y1", "trust-region")
    p.equate(p.variable("q", scale=10.0), 3.0)
    text = p.to_text()
    assert text.endswith("# not kept in this file: p.solver of y1\n# not kept in this file: scale= of q\n")
    assert la.reads(text).evaluate()["y1"] == pytest.approx(p.evaluate()["y1"], rel=1e-12)


def test_choices_are_copied_and_pickled() -> None:
    p = sellar()
    p.solver("y2", max_iterations=1)
    for other in (copy.copy(p), pickle.loads(pickle.dumps(p))):
        with pytest.raises(la.ConvergenceError):
            other.evaluate()
    p.solver("y2")
    assert p.evaluate().blocks[0].converged


@pytest.mark.parametrize(("arguments", "words", "message"), [
    (("y3",), {}, "no input, parameter or variable 'y3'"),
    (("y1", "magic"), {}, "method= is one of 'auto'"),
    (("y1",), {"tolerance": 0.0}, "tolerance= .* between 0 and 1, got 0.0"),
    (("y1",), {"max_iterations": 0}, "max_iterations= .* integer ≥ 1, got 0"),
    (("y1",), {"tear": ["z1"]}, "tear= .* names variables to solve for, got z1"),
    (("y1",), {"tear": []}, "empty list"),
    (("y1",), {"linear": "qr"}, "linear= is one of 'auto'"),
    (("y1", "trust-region"), {"linear": "krylov"}, "needs the entries of the Jacobian"),
])
def test_what_cannot_be_is_refused_and_changes_nothing(arguments: tuple[str, ...], words: dict[str, object],
                                                       message: str) -> None:
    p = sellar()
    plan = p.schedule
    with pytest.raises((la.DeclarationError, la.UnknownNameError), match=message):
        p.solver(*arguments, **words)
    assert p.schedule is plan


@pytest.mark.parametrize(("scale", "message"), [(0.0, "must be positive, got 0"), ([1.0, 2.0], "shape")])
def test_scales_are_checked(scale: object, message: str) -> None:
    p = la.Program("scaled")
    with pytest.raises(la.LagrangeError, match=message):
        p.variable("y", scale=scale)
    y = p.variable("y", scale=1e3)
    with pytest.raises(la.LagrangeError, match=message):
        p.equate(y, 2.0, scale=scale)
    p.equate(y, 2.0, scale=10.0)
    lowered = p.schedule.lowered
    assert lowered.unknown_scale is not None and lowered.unknown_scale.tolist() == [1e3]
    assert lowered.equation_scale is not None and lowered.equation_scale.tolist() == [10.0]


def test_a_fixed_point_iteration_is_in_gauss_and_seidels_order() -> None:
    """A ring of five: torn, one residual goes through all of it; untorn, each takes the others as they were."""
    p = la.Program("ring")
    u = p.variable("u", shape=5, start=0.5)
    p.equate(u, 0.9 * np.cos(np.roll(u, 1)))
    expected, counts = p.evaluate()["u"], []
    for tear in (None, False):
        p.solver("u", la.solvers.FixedPoint(anderson=0), tear=tear)
        at = p.evaluate()
        np.testing.assert_allclose(at["u"], expected, rtol=1e-12)
        counts.append(at.blocks[0].iterations)
    assert 3 * counts[0] < counts[1]
