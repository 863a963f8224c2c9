"""Large programs: right numbers at sizes a plain loop can check, and counts that show linear growth; no clock."""

import numpy as np
import pytest

from lagrange_ad import Program
from lagrange_ad.lowering import lower
from lagrange_ad.solution.steps import SequenceStep, WideStep


def _recurrence(n):
    """z[0] = z0, z[i+1] = z[i] + h·(u[i] − sin z[i]), J = h·Σ z²: one array equation of n + 1 elements."""
    p = Program("pendulum")
    h = 1.0 / n
    u = p.input("u", np.cos(np.linspace(0.0, 3.0, n)))
    z0 = p.input("z0", 0.3)
    z = p.variable("z", shape=(n + 1,))
    p.equate(z, np.concatenate([z0[None], z[:-1] + h * (u - np.sin(z[:-1]))]))
    p.minimize(h * np.sum(z**2))
    return p


def _recurrence_by_hand(n):
    """Values, multipliers and gradient of the same by a loop forward and a loop back."""
    h, u = 1.0 / n, np.cos(np.linspace(0.0, 3.0, n)).tolist()
    z = [0.3]
    for i in range(n):
        z.append(z[i] + h * (u[i] - np.sin(z[i])))
    lam = [2 * h * z[n]]
    for i in range(n - 1, -1, -1):
        lam.append(2 * h * z[i] + lam[-1] * (1 - h * np.cos(z[i])))
    lam.reverse()
    return np.array(z), np.array(lam), h * np.array(lam[1:])


def test_a_recurrence_against_a_loop():
    n = 10_000
    p = _recurrence(n)
    at = p.evaluate()
    z, lam, gradient = _recurrence_by_hand(n)
    np.testing.assert_allclose(at["z"], z, rtol=1e-12)
    np.testing.assert_allclose(at.objective, (z**2).sum() / n)
    np.testing.assert_allclose(at.multiplier["z"], lam, rtol=1e-10)
    np.testing.assert_allclose(at.gradient["u"], gradient, rtol=1e-10)
    np.testing.assert_allclose(at.gradient["z0"], lam[0], rtol=1e-10)


@pytest.mark.parametrize("n", [1_000, 100_000])
def test_a_recurrence_has_the_same_groups_at_every_size(n):
    lowered = lower(_recurrence(n))
    assert lowered.n_rows == n + 1
    assert sorted(group.size for group in lowered.groups) == [1, n]
    assert all(m.table is None for group in lowered.groups for m in (*group.args, group.row))
    assert sum(len(group.kernel.nodes) for group in lowered.groups) < 20


def test_a_recurrence_of_a_million_steps():
    """Its multipliers are those of the continuous costate, λ' = −2z + λ cos z, to O(h)."""
    n = 10**6
    p = _recurrence(n)
    at = p.evaluate()
    assert [type(step) for step in p.schedule.steps] == [SequenceStep]
    z, lam, gradient = _recurrence_by_hand(2_000)
    np.testing.assert_allclose(at["z"][:: n // 2_000], z, atol=2e-3)
    np.testing.assert_allclose(at.gradient["z0"], lam[0], rtol=2e-3)
    np.testing.assert_allclose(at.gradient["u"][n // 2] * n, gradient[1_000] * 2_000, rtol=5e-3)


@pytest.mark.parametrize("n", [1_000, 100_000])
def test_a_chain_declared_in_a_loop(n):
    """y_{i+1} = y_i + h·(u − sin y_i), one scalar equation a step."""
    p = Program("chain")
    h = 1.0 / n
    u = p.input("u", 0.5)
    y = u
    for i in range(n):
        y = p.define(f"y{i}", y + h * (u - np.sin(y)))
    p.minimize(y * y)
    at = p.evaluate()
    plan = p.schedule
    assert len(plan.lowered.groups) <= 2
    assert sum(group.size for group in plan.lowered.groups) == n
    assert [type(step) for step in plan.steps] == [SequenceStep]
    value, slope = 0.5, 1.0
    for _ in range(n):
        slope = slope * (1 - h * np.cos(value)) + h
        value += h * (0.5 - np.sin(value))
    np.testing.assert_allclose(at[f"y{n - 1}"], value, rtol=1e-11)
    np.testing.assert_allclose(at.gradient["u"], 2 * value * slope, rtol=1e-10)


@pytest.mark.parametrize("n", [1_000, 100_000])
def test_equations_side_by_side_declared_in_a_loop(n):
    """Scalars that do not depend on each other run as one vector, however they were declared."""
    p = Program("wide")
    u = p.input("u", 0.5)
    terms = 0.0
    for i in range(n):
        y = p.define(f"y{i}", np.sin(u * (i * 0.001)) + u)
        if i % 5 == 0:
            terms = terms + y * y
    p.minimize(terms)
    at = p.evaluate()
    plan = p.schedule
    # one step of what the objective reaches, one of the rest
    assert [type(step) for step in plan.steps] == [WideStep, WideStep]
    assert len(plan.lowered.groups) == 1
    assert len(plan.lowered.objective_groups) <= 3
    k = np.arange(n)[::5] * 0.001
    y = np.sin(0.5 * k) + 0.5
    np.testing.assert_allclose(at.objective, (y**2).sum(), rtol=1e-11)
    np.testing.assert_allclose(at.gradient["u"], (2 * y * (np.cos(0.5 * k) * k + 1)).sum(), rtol=1e-9)
    shown = [at.multiplier[name] for name in ("y0", "y5", "y6")]
    np.testing.assert_allclose(shown, [2 * y[0], 2 * y[1], 0.0])
    assert len(plan.objective.hessian_pattern()[0]) <= 2 * n
