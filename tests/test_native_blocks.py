"""Many small blocks with code of their own: the reference's solutions, iteration counts and gradients, also where steps
are halved, where unknowns have a hidden part or a domain, and where some of the blocks have no solution."""

import numpy as np
import pytest

import lagrange_ad as la

N = 400  # enough for code of their own


def far(p: la.Program) -> None:
    """atan from far away: whole steps diverge."""
    x = p.input("x", np.linspace(-3.0, 3.0, N))
    y, z = p.variable("y", shape=N, start=5.0), p.variable("z", shape=N, start=-20.0)
    p.equate(np.arctan(y) + 0.1 * (z - x), 0.0, for_=y)
    p.equate(z, x + 0.3 * np.sin(y))
    p.minimize(np.sum(y * z))


def with_domain(p: la.Program) -> None:
    """log keeps its unknown positive; the first step would not."""
    x = p.input("x", np.linspace(-3.0, 1.0, N))
    y = p.variable("y", shape=N, start=30.0, domain=(0, np.inf))
    z = p.variable("z", shape=N, start=1.0)
    p.equate(np.log(y) + 0.1 * z, x, for_=y)
    p.equate(z, y / (1 + x**2))
    p.minimize(np.sum(y) + np.sum(z**2))


def with_hidden_part(p: la.Program) -> None:
    """The sum inside exp is an unknown of the block without a name."""
    x = p.input("x", np.linspace(0.5, 1.0, N))
    a = np.array([[0.2, -0.1, 0.05], [0.1, 0.3, -0.2], [-0.3, 0.1, 0.1]])
    y = p.variable("y", shape=(N, 3), start=0.1)
    p.equate(y, np.exp(-(y @ a)) * x[:, None])
    p.minimize(np.sum(y**2))


def swept(p: la.Program) -> None:
    """No starts: one sweep guesses."""
    x = p.input("x", np.linspace(1.0, 2.0, N))
    y, z, u = (p.variable(name, shape=N) for name in "yzu")
    p.equate(y, x + 0.1 * np.cos(u))
    p.equate(z, y * 0.5 + np.tanh(y))
    p.equate(u, z - 0.2 * y * z)
    p.minimize(np.sum(u))


def larger(p: la.Program) -> None:
    """Ten unknowns a block: factored by LAPACK."""
    x = p.input("x", np.linspace(1.0, 2.0, N))
    y = p.variable("y", shape=(N, 10), start=1.0)
    p.equate(y, x[:, None] + 0.3 * np.sin(np.roll(y, 1, axis=1)) * y)
    p.minimize(np.sum(y))


PROGRAMS = [far, with_domain, with_hidden_part, swept, larger]


def made(write, executor):
    p = la.Program(write.__name__, executor=executor)
    write(p)
    return p


@pytest.mark.parametrize("write", PROGRAMS)
def test_as_the_reference(write):
    native, reference = made(write, "native").evaluate(), made(write, "reference").evaluate()
    assert len(native.blocks) == N and native.blocks[0].message == "solved by compiled code"
    counts = [[b.iterations for b in at.blocks] for at in (native, reference)]
    assert np.abs(np.subtract(*counts)).max() <= 1  # what is zero up to rounding depends on the order of a sum
    for name, value in reference.values.items():
        np.testing.assert_allclose(native[name], value, rtol=1e-13, atol=1e-14)
    for name, slope in reference.gradient.items():
        np.testing.assert_allclose(native.gradient[name], slope, rtol=1e-11, atol=1e-13)
    for name in reference.multiplier:
        np.testing.assert_allclose(native.multiplier[name], reference.multiplier[name], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("write", PROGRAMS)
def test_gradients_by_differences(write):
    p = made(write, "native")
    view, step = p.reduced(), 1e-5
    _, gradient = view.value_and_gradient(view.x0)
    for k in (0, N // 3, N - 1):
        ahead, behind = view.x0, view.x0
        ahead[k] += step
        behind[k] -= step
        assert gradient[k] == pytest.approx((view.value(ahead) - view.value(behind)) / (2 * step), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_the_block_that_has_no_solution_is_named(executor):
    p = la.Program("one without", executor=executor)
    x = p.input("x", np.where(np.arange(N) == 237, -1.0, 1.0))
    y, z = p.variable("y", shape=N, start=2.0), p.variable("z", shape=N, start=2.0)
    p.equate(y * z, x, for_=y)
    p.equate(z, y)
    p.minimize(np.sum(y))
    with pytest.raises(la.ConvergenceError, match=r"y\[237\]") as caught:
        p.evaluate()
    assert not caught.value.at.solved
    np.testing.assert_allclose(caught.value.at["y"][:237], 1.0, rtol=1e-14)
    np.testing.assert_array_equal(caught.value.at["y"][238:], 2.0)  # where their starts were
