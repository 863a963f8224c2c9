"""Derivatives of optima by parameters, in every space, against optimizing again with the parameter moved."""

import json
from typing import Any

import numpy as np
import pytest

import lagrange_ad as la
from lagrange_ad.optimization.sensitivity import sensitivities

SPACES = ["reduced", "full", ["y1"]]


def sellar(c1: float = 3.16, coupling: float = 0.2, slope: float = 0.5, sense: str = "minimize") -> Any:
    """Sellar's problem with parameters in a bound (as c1²/c1), in the cycle and in the objective (as an array)."""
    p = la.Program("sellar")
    z1 = p.input("z1", 5.0, lower=-10, upper=10)
    z2 = p.input("z2", 2.0, lower=0, upper=10)
    x = p.input("x", 1.0, lower=0, upper=10)
    a, b = p.parameter("c1", c1), p.parameter("coupling", coupling)
    w = p.parameter("w", np.array([slope, 1.0]))
    y1 = p.variable("y1", start=1.0)
    y2 = p.variable("y2", start=1.0)
    p.equate(y1, z1**2 + z2 + x - b * y2)
    p.equate(y2, np.sqrt(y1) + z1 + z2)
    f = w[1] * x**2 - w[0] * x + z2 + y1 + np.exp(-y2)
    (p.minimize if sense == "minimize" else p.maximize)(f if sense == "minimize" else -f, name="f")
    p.subject_to(y1 >= a**2 / a, name="g1")
    p.subject_to(y2 <= 24, name="g2")
    return p


def slopes_of(make: Any, names: list[str], h: float = 1e-4) -> dict[str, Any]:
    """Central differences of two optima."""
    low, high = make(-h), make(h)
    assert low.success and high.success
    found = {name: (high[name] - low[name]) / (2 * h) for name in names}
    found["objective"] = (high.objective - low.objective) / (2 * h)
    for name in ("y1", "y2", "g1", "g2"):
        found[f"λ {name}"] = (high.multiplier[name] - low.multiplier[name]) / (2 * h)
    found["μ z2"] = (high.multiplier.lower["z2"] - low.multiplier.lower["z2"]) / (2 * h)
    return found


@pytest.mark.parametrize("sense", ["minimize", "maximize"])
def test_sensitivities_of_sellar_in_every_space(sense: str) -> None:
    names = ["z1", "z2", "x", "y1", "y2"]
    expected = {
        "c1": slopes_of(lambda h: sellar(c1=3.16 + h, sense=sense).optimize(space="full"), names),
        "coupling": slopes_of(lambda h: sellar(coupling=0.2 + h, sense=sense).optimize(space="full"), names),
        "w[0]": slopes_of(lambda h: sellar(slope=0.5 + h, sense=sense).optimize(space="full"), names),
    }
    assert abs(expected["w[0]"]["x"]) > 0.1 and abs(expected["c1"]["λ y1"]) > 1e-3
    for space in SPACES:
        s = sellar(sense=sense).optimize(space=space).sensitivities()
        assert s.parameters == ["c1", "coupling", "w"] and not s.findings
        for parameter, by in expected.items():
            for name in names:
                assert s[name, parameter] == pytest.approx(by[name], abs=1e-6), (space, name, parameter)
            for name in ("y1", "y2", "g1", "g2"):
                found = s.multiplier[name, parameter]
                assert found == pytest.approx(by[f"λ {name}"], abs=1e-6), (space, name, parameter)
            assert s.bound["z2", parameter] == pytest.approx(by["μ z2"], abs=1e-6)
            assert s.objective[parameter] == pytest.approx(by["objective"], abs=1e-7)
    assert s["z1", "w"].shape == (2,) and s["c1", "c1"] == 1.0


def test_sensitivities_by_a_fixed_variable() -> None:
    """min ½(u − 2)² + ½v² with v = u·k, y = u + v fixed in part: what is fixed is a parameter too."""
    def solved(value: float) -> Any:
        p = la.Program("fixed")
        u, k = p.input("u", np.ones(2)), p.parameter("k", 3.0)
        v = p.define("v", k * u)
        p.minimize(np.sum((u - 2.0) ** 2) / 2 + np.sum(v**2) / 2)
        p.fix(v[0], value)
        p.free(u[0])
        return p.optimize()

    s = solved(1.5).sensitivities("v")
    low, high = solved(1.5 - 1e-4), solved(1.5 + 1e-4)
    np.testing.assert_allclose(np.ravel(s["u", "v"]), (high["u"] - low["u"]) / 2e-4, atol=1e-8)
    assert s.objective["v"] == pytest.approx((high.objective - low.objective) / 2e-4, abs=1e-7)
    assert solved(1.5).sensitivities("k")["u[1]", "k"] == pytest.approx(2 * -2 * 3 / (1 + 9) ** 2)


def box(p0: float) -> Any:
    """min ½(u − p)² with u ≤ 2: the bound becomes active at p = 2."""
    p = la.Program("box")
    u, t = p.input("u", 0.0, upper=2.0), p.parameter("p", p0)
    p.minimize((u - t) ** 2 / 2)
    return p.optimize()


def test_bounds_of_eliminated_variables_and_inlined_equations() -> None:
    """v = k·u² ≤ 2 is a row in reduced space and a bound in full space: everything about it is the same."""
    p = la.Program("bounded")
    u, k = p.input("u", np.array([0.5, 0.5])), p.parameter("k", 1.5)
    v = p.define("v", k * u**2, upper=2.0)
    w = p.define("w", np.sin(v) + u)
    p.minimize(np.sum((u - np.array([3.0, 0.4])) ** 2) + np.sum(w) / 10)
    full, reduced = (p.optimize(space=space).sensitivities("k") for space in ("full", "reduced"))
    exact = -np.sqrt(2.0 / 1.5) / 2 / 1.5  # u0 = √(2/k)
    for s in (full, reduced):
        assert s["u", "k"][0] == pytest.approx(exact) and s["v", "k"][0] == pytest.approx(0.0, abs=1e-12)
    for name in ("u", "v", "w"):
        np.testing.assert_allclose(full[name, "k"], reduced[name, "k"], atol=1e-10)
        np.testing.assert_allclose(full.bound[name, "k"], reduced.bound[name, "k"], atol=1e-9)
    for name in ("v", "w"):
        np.testing.assert_allclose(full.multiplier[name, "k"], reduced.multiplier[name, "k"], atol=1e-9)
    assert abs(full.bound["v", "k"][0]) > 0.1 and full.objective["k"] == pytest.approx(reduced.objective["k"])


def test_how_far_parameters_may_move_and_warnings() -> None:
    s = box(1.0).sensitivities("p")
    assert s["u", "p"] == 1.0 and s.valid["p"] == (-np.inf, pytest.approx(2.0)) and not s.findings
    assert "u reaches its upper bound" in str(s)
    above = box(3.0).sensitivities("p")
    assert above["u", "p"] == 0.0 and above.valid["p"] == (pytest.approx(2.0), np.inf)
    assert above.bound["u", "p"] == pytest.approx(-1.0)  # dJ*/d(upper) = u − p
    near = box(1.999).sensitivities("p")
    assert [finding.severity for finding in near.findings] == ["warning"]
    assert "u reaches its upper bound where p moves up by 0.001" in near.findings[0].message
    assert str(near).startswith("derivatives of the optimum\nwarning: u reaches")
    weak = box(2.0).sensitivities("p")
    assert "as soon as p moves up" in weak.findings[0].message
    data = json.loads(json.dumps(near.to_dict()))
    assert data["valid"]["p"][0] is None and data["objective"]["p"] == pytest.approx(0.0, abs=1e-9)
    assert "<table>" in near._repr_html_()


def test_errors_name_what_is_missing() -> None:
    r = box(1.0)
    with pytest.raises(la.UnknownNameError, match=r"no parameter 'q'.*given and not optimized: p"):
        r.sensitivities("q")
    with pytest.raises(la.UnknownNameError, match="no parameter 'u'"):
        r.sensitivities("u")
    s = r.sensitivities("p")
    with pytest.raises(la.UnknownNameError, match="no input or variable 'w'"):
        s["w", "p"]
    with pytest.raises(la.UnknownNameError, match="two names"):
        s["u"]
    with pytest.raises(la.SolveError, match="no optimum"):
        sensitivities(r.view, r.x + 0.5, r.y, r.z)
    p = la.Program("none")
    u = p.input("u", 1.0)
    p.minimize(u**2)
    with pytest.raises(la.DeclarationError, match="no parameters"):
        p.optimize().sensitivities()


def test_optima_that_are_not_unique_have_no_derivatives() -> None:
    p = la.Program("flat")
    u, v, t = p.input("u", 1.0), p.input("v", 2.0), p.parameter("t", 1.0)
    p.minimize((u + v - t) ** 2)
    r = p.optimize()
    assert r.success
    with pytest.raises(la.SingularError, match="no curvature along a direction of"):
        r.sensitivities("t")


def test_a_parameter_that_is_a_bound_by_itself() -> None:
    def tank(volume: float) -> Any:
        p = la.Program("tank")
        volume_ = p.parameter("volume", volume)
        radius, height = p.input("radius", 1.0, lower=0.1), p.input("height", 1.0, lower=0.1)
        p.minimize(2 * np.pi * radius * height + 4 * np.pi * radius**2)
        p.subject_to(np.pi * radius**2 * height >= volume_, name="holds")
        return p.optimize()

    r, h = tank(10.0), 1e-4
    found, up, down = r.sensitivities("volume"), tank(10.0 + h), tank(10.0 - h)
    assert found.objective["volume"] == pytest.approx(r.multiplier["holds"], rel=1e-12)
    for name in ("radius", "height"):
        assert found[name, "volume"] == pytest.approx((up[name] - down[name]) / (2 * h), rel=1e-5)
