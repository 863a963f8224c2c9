"""Random programs against oracles that know nothing of kernels, schedules or back-substitution.

One oracle a quantity: values (the expressions by NumPy), gradient (complex step, through the equations in order or
by the implicit function theorem), multipliers (stationarity of L = J + Σ λ r in z; and perturbed right sides).
"""

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_programs import STEP, System, acyclic, cyclic, in_order, is_tied

from lagrange_ad.solution import full

ANY_SIZE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
quiet = settings(suppress_health_check=ANY_SIZE)


def _close(actual, expected, scale, tolerance=1e-10):
    error = np.abs(np.asarray(actual) - expected)
    assert (error <= tolerance * np.asarray(scale) + 1e-280).all(), (actual, expected)


def _inputs(drawn):
    return {name: drawn.program.symbols[name].value for name in drawn.inputs}


def _check_values(at, system):
    """The equations hold, to rounding of what they are made of."""
    flat = system.flat(at.values)
    assert np.abs(system.residuals(flat)).max(initial=0.0) <= 1e-11 * (1 + np.abs(flat).max(initial=0.0))
    assert np.isclose(at.objective, system.objective(flat).real, rtol=1e-12, atol=1e-12)


def _check_stationarity(at, system):
    """∂J/∂z + Σ λ ∂r/∂z = 0 and the gradient ∂J/∂x + Σ λ ∂r/∂x, relative to the sum of the sizes of the terms."""
    flat = system.flat(at.values)
    jacobian, slope = system.derivatives(flat)
    lam = np.concatenate([np.ravel(at.multiplier[name]) for name in system.equations])
    # a saturated tanh has a derivative 1 − v² of rounding size: terms count from 1e-4 of the largest multiplier on
    size = 1e-4 * (1 + np.abs(lam).max(initial=0.0)) + np.abs(slope) + np.abs(lam) @ np.abs(jacobian)
    total = slope + lam @ jacobian
    _close(total[~system.given], 0.0, size[~system.given])
    gradient = np.concatenate([np.ravel(at.gradient[name]) for name in system.names if name in at.gradient])
    _close(gradient, total[system.given], size[system.given])
    return lam, total[system.given]


def _check_full(at, system):
    """Residuals and their Jacobian at user level, auxiliaries eliminated, against complex step."""
    plan, flat = at._plan, system.flat(at.values)
    hidden = np.zeros(plan.lowered.state.size - len(flat))
    z = full.complete(plan, np.concatenate([flat, hidden]), np.zeros(plan.lowered.n_all_rows))
    np.testing.assert_allclose(z, at._solved.z, rtol=1e-9, atol=1e-11)
    jacobian, slope = system.derivatives(flat)
    got = full.jacobian(plan, z).toarray()
    expected = np.vstack([jacobian, slope])
    _close(got, expected, 1e-2 + np.abs(expected).max())


def _check_tangent(at, system, seed):
    """The tangent along a direction of the inputs meets the gradient: ż in J equals gradient · ẋ."""
    flat, rng = system.flat(at.values), np.random.default_rng(seed)
    direction = {name: rng.normal(size=np.shape(at[name])) for name in system.names if name in at.gradient}
    dz = at.tangent(direction)
    moved = np.concatenate([np.ravel(dz[name]) for name in system.names])
    jacobian, slope = system.derivatives(flat)
    size = 1e-4 * (1 + np.abs(moved).max()) + np.abs(jacobian) @ np.abs(moved)
    _close(jacobian @ moved, 0.0, size)
    along = sum(np.sum(direction[name] * at.gradient[name]) for name in direction)
    _close(slope @ moved, along, 1e-3 + np.abs(slope) @ np.abs(moved))


@settings(quiet, max_examples=250)
@given(acyclic(), st.integers(0, 1000))
def test_acyclic(drawn, seed):
    at, system = drawn.program.evaluate(), System(drawn)
    expected = in_order(drawn, _inputs(drawn))
    for name, value in expected.items():
        np.testing.assert_allclose(at[name], value, rtol=1e-11, atol=1e-11)
    _check_values(at, system)
    _check_stationarity(at, system)
    _check_full(at, system)
    _check_tangent(at, system, seed)
    assert not at.blocks


@settings(quiet, max_examples=200)
@given(acyclic())
def test_gradient_of_acyclic_by_complex_step(drawn):
    """The equations evaluated in order on complex inputs: the derivative without any multiplier."""
    at, system = drawn.program.evaluate(), System(drawn)
    every = np.concatenate([np.abs(np.ravel(at.gradient[name])) for name in drawn.inputs])
    for name in drawn.inputs:
        for index in np.ndindex(np.shape(at[name])):
            inputs = {key: value.astype(complex) for key, value in _inputs(drawn).items()}
            inputs[name][index] += 1j * STEP
            flat = system.flat(in_order(drawn, inputs))
            expected = system.objective(flat).imag / STEP
            _close(np.asarray(at.gradient[name])[index], expected, 1e-2 + every.max())


@settings(quiet, max_examples=150)
@given(cyclic(), st.integers(0, 1000))
def test_cyclic(drawn, seed):
    at, system = drawn.program.evaluate(), System(drawn)
    _check_values(at, system)
    _, gradient = _check_stationarity(at, system)
    _check_full(at, system)
    _check_tangent(at, system, seed)
    flat = system.flat(at.values)
    jacobian, slope = system.derivatives(flat)
    moved = -np.linalg.solve(jacobian[:, ~system.given], jacobian[:, system.given])
    expected = slope[system.given] + slope[~system.given] @ moved
    _close(gradient, expected, 1e-2 + np.abs(expected).max())


@settings(quiet, max_examples=60)
@given(st.one_of(acyclic(), cyclic()), st.data())
def test_multipliers_are_the_worth_of_right_sides(drawn, data):
    """λ = dJ/dε: the same program with ±ε on one right side, solved again; and solved again by the test itself."""
    at, system = drawn.program.evaluate(), System(drawn)
    assume(not is_tied(drawn, at.values))
    name = data.draw(st.sampled_from(system.equations))
    shape = np.shape(at.multiplier[name])
    index = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    epsilon = np.zeros(shape)
    epsilon[index] = h = 1e-5
    up, down = (drawn.program.evaluate(perturbation={name: s * epsilon}, start=at) for s in (1, -1))
    lam = np.asarray(at.multiplier[name])[index]
    scale = 1e-2 + np.abs(np.concatenate([np.ravel(at.multiplier[n]) for n in system.equations])).max()
    _close(lam, (up.objective - down.objective) / (2 * h), scale, 1e-5)
    offset = np.concatenate([np.ravel(epsilon if n == name else np.zeros(np.shape(at.multiplier[n])))
                             for n in system.equations])
    again = system.solved(system.flat(at.values), offset)
    np.testing.assert_allclose(system.flat(up.values), again, rtol=1e-9, atol=1e-9)
