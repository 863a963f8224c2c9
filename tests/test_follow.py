"""Branches round turning points, against closed forms, shooting and published turning points."""

import pickle
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

import lagrange_ad as la

matplotlib.use("Agg")


def fold(executor: str | None = None) -> la.Program:
    """u = λ·exp(u): turns at λ = 1/e, u = 1."""
    p = la.Program("fold", executor=executor)
    lam, u = p.parameter("lam", 0.1), p.variable("u", start=0.0)
    p.equate(u, lam * np.exp(u), for_=u)
    p.maximize(u)
    return p


def circle(**domain: Any) -> la.Program:
    p = la.Program("circle")
    lam, x = p.input("lam", 0.0), p.variable("x", start=1.0, **domain)
    p.equate(x**2 + lam**2, 1.0, for_=x)
    return p


def bratu(n: int, dimensions: int = 2) -> la.Program:
    """−Δu = λ·exp(u) on the unit interval or square, u = 0 outside; central differences, n points a side."""
    p = la.Program("bratu")
    lam = p.parameter("lam", 0.0)
    u = p.variable("u", (n,) * dimensions, start=0.0)
    around = np.pad(u, 1)
    if dimensions == 1:
        laplacian = around[2:] + around[:-2] - 2 * u
    else:
        laplacian = around[2:, 1:-1] + around[:-2, 1:-1] + around[1:-1, 2:] + around[1:-1, :-2] - 4 * u
    p.equate(laplacian * (n + 1) ** 2 + lam * np.exp(u), 0.0, name="pde")
    return p


def fold_by_shooting(n: int) -> float:
    """The largest λ for which the 1-D scheme has a solution (n odd), from the middle outwards."""
    h2 = 1.0 / (n + 1) ** 2

    def edge(lam: float, middle: float) -> float:
        before, here = middle, middle - 0.5 * h2 * lam * np.exp(middle)
        for _ in range((n + 1) // 2 - 1):
            before, here = here, 2 * here - before - h2 * lam * np.exp(here)
        return float(here)

    def parameter(middle: float) -> float:
        return float(brentq(edge, 0.0, 10.0, args=(middle,), xtol=1e-15))

    found = minimize_scalar(lambda middle: -parameter(middle), bounds=(0.8, 1.6), method="bounded",
                            options={"xatol": 1e-9})
    return -float(found.fun)


# turning points ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_a_fold_with_a_closed_form(executor: str) -> None:
    p = fold(executor)
    b = p.follow("lam", until=p["u"] >= 4)
    assert b.reason == "until" and b.success and len(b.turning) == 1 and b.names == ("lam",)
    at = b.turning[0]
    assert b["lam"][at] == pytest.approx(1 / np.e, rel=1e-12) and b["u"][at] == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(b["u"], b["lam"] * np.exp(b["u"]), rtol=1e-11)
    assert (np.diff(b["u"]) > 0).all() and b["u"][-1] >= 4 > b["u"][-2]  # one way along the branch
    assert (np.diff(b["lam"])[:at] > 0).all() and (np.diff(b["lam"])[at:] < 0).all()


def test_a_closed_curve_turns_twice_and_ends_at_a_limit() -> None:
    b = circle().follow("lam", lower=-0.25, upper=2.0)
    assert b.reason == "limit" and b["lam"][-1] == -0.25 and b["x"][-1] == pytest.approx(-np.sqrt(1 - 0.0625))
    assert [b["lam"][i] for i in b.turning] == pytest.approx([1.0])
    around = circle().follow("lam", steps=120)
    assert around.reason == "steps" and len(around) == 121 + len(around.turning)
    np.testing.assert_allclose(np.abs(around["lam"][around.turning[:2]]), 1.0, rtol=1e-12)
    assert around["lam"][around.turning[1]] == pytest.approx(-1.0)
    np.testing.assert_allclose(around["x"] ** 2 + around["lam"] ** 2, 1.0, rtol=1e-12)


def test_the_other_direction_and_a_limit_met_exactly() -> None:
    b = circle().follow("lam", direction=-1, lower=-0.75)
    assert b.reason == "limit" and b["lam"][-1] == -0.75 and b.turning == [] and (np.diff(b["lam"]) < 0).all()
    assert b["x"][-1] == pytest.approx(np.sqrt(1 - 0.75**2), rel=1e-12)


def test_bratu_in_one_dimension_turns_where_shooting_says() -> None:
    found = []
    for n in (15, 31):
        p = bratu(n, dimensions=1)
        b = p.follow("lam", until=np.max(p["u"]) >= 2.5)
        found.append(float(b["lam"][b.turning][0]))
        assert found[-1] == pytest.approx(fold_by_shooting(n), rel=1e-9)
        assert len(b.turning) == 1
    assert (4 * found[1] - found[0]) / 3 == pytest.approx(3.513830719, abs=1e-5)  # of the differential equation


def test_bratu_on_a_square_turns_where_published() -> None:
    values, steps = [], []
    for n in (9, 19):  # 19² unknowns: sparse factors
        p = bratu(n)
        b = p.follow("lam", until=np.max(p["u"]) >= 3, step=0.2)
        assert b.reason == "until" and len(b.turning) == 1
        values.append(float(b["lam"][b.turning][0]))
        steps.append(1.0 / (n + 1) ** 2)
        at = b.at(len(b) - 1)
        assert at.solved and np.abs(at.residual["pde"]).max() < 1e-9
    limit = (values[1] * steps[0] - values[0] * steps[1]) / (steps[0] - steps[1])
    assert limit == pytest.approx(6.8081, abs=5e-4)


# programs ---------------------------------------------------------------------------------------------------------


def test_points_are_those_of_evaluate_with_auxiliaries_and_explicit_equations() -> None:
    p = la.Program("auxiliaries")
    k, u = p.parameter("k", 0.5), p.variable("u", (3,), start=0.1)
    total = p.define("total", np.sum(np.cumsum(u)))
    p.equate(u, k * np.cos(np.exp(np.sum(u)) / 5 + np.arange(3.0)), name="law", for_=u)
    p.minimize(total**2)
    b = p.follow("k", upper=1.0, step=0.05)
    assert b.reason == "limit" and b["k"][-1] == 1.0
    for i in range(0, len(b), 3):
        at = p.evaluate(k=b["k"][i], start={"u": b["u"][i]})
        np.testing.assert_allclose(at["u"], b["u"][i], rtol=1e-10)
        assert at["total"] == pytest.approx(b["total"][i], rel=1e-10)
        assert b.gradient["k"][i] == pytest.approx(at.gradient["k"], rel=1e-8)
        assert b.at(i).objective == pytest.approx(b.objective[i], rel=1e-14)


def test_elements_and_what_was_fixed_are_followed() -> None:
    p = la.Program("elements")
    a = p.parameter("a", np.array([0.5, 1.0]))
    v = p.variable("v", (2,), start=1.0)
    p.equate(v**3 + v, a, for_=v)
    b = p.follow("a[1]", upper=2.0)
    np.testing.assert_allclose(b["v"][:, 1] ** 3 + b["v"][:, 1], b["a[1]"], rtol=1e-11)
    np.testing.assert_array_equal(b["a"][:, 0], 0.5)
    with pytest.raises(la.DeclarationError, match=r"name an element of it"):
        p.follow("a")
    p.fix(v[0], 0.5)
    p.free(a[0])
    turned = p.follow(v[0], upper=1.5)
    np.testing.assert_allclose(turned["a"][:, 0], turned["v"][:, 0] ** 3 + turned["v"][:, 0], rtol=1e-11)
    assert turned["v"][-1, 0] == 1.5


def test_a_point_is_a_start() -> None:
    p = fold()
    upper = p.evaluate(lam=0.2, start={"u": 3.0})
    b = p.follow("lam", start=upper, upper=1.0, until=p["u"] <= 0.5)
    assert b["lam"][0] == 0.2 and b["u"][0] == upper["u"] > 1 and b.turning and b["u"][-1] <= 0.5


def test_an_edge_of_a_domain_stops_it() -> None:
    b = circle(domain=(0.5, 2.0)).follow("lam", upper=2.0)
    assert b.reason == "stuck" and not b.success and "domain" in b.message
    assert 0.5 < b["x"][-1] < 0.52


def test_a_callback_a_limit_of_time_and_an_interrupt() -> None:
    p = fold()

    def interrupts(i: int, at: la.Point) -> None:
        if i == 3:
            raise KeyboardInterrupt

    assert len(p.follow("lam", callback=lambda i, at: at["u"] > 0.3)) > 1
    assert p.follow("lam", callback=lambda i, at: i == 4).reason == "callback"
    assert p.follow("lam", time_limit=0).reason == "time"
    b = p.follow("lam", callback=interrupts)
    assert b.reason == "interrupted" and len(b) == 4 and np.isfinite(b["u"]).all()
    assert len(p.follow("lam", steps=0)) == 1


@pytest.mark.parametrize(("options", "words"), [
    ({"direction": 0}, "direction must be a number other than 0"),
    ({"step": -0.1}, "step must be positive"),
    ({"steps": 1.5}, "steps must be an integer"),
    ({"callback": 3}, "callback must be a function"),
    ({"until": 3}, "until= is a comparison of scalars"),
    ({"upper": "far"}, "upper must be a number"),
    ({"upper": 0.05}, "lies outside of its limits"),
    ({"time_limit": -1}, "time_limit must be"),
])
def test_options_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(la.DeclarationError, match=words):
        fold().follow("lam", **options)


def test_what_cannot_be_followed() -> None:
    with pytest.raises(la.DeclarationError, match="'u' is a variable"):
        fold().follow("u")
    p = la.Program("cubic")
    g, h = p.input("g", 0.0), p.variable("h", start=0.0)
    p.equate(h**3, g, for_=h)
    with pytest.raises(la.ConvergenceError, match="cannot be followed: the Jacobian is singular at the first point"):
        p.follow("g")
    p = fold()
    p.set(lam=1.0)
    with pytest.raises(la.ConvergenceError):
        p.follow("lam")


# what is shown ----------------------------------------------------------------------------------------------------


def test_it_prints_draws_and_pickles(tmp_path: Path) -> None:
    p = fold()
    b = p.follow("lam", until=p["u"] >= 2)
    assert str(b).startswith("branch of fold over lam: ") and "turning at lam = 0.3678794412; the condition" in str(b)
    axes = b.plot("lam", "u", path=tmp_path / "fold.png")
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), b["lam"])
    assert axes.lines[1].get_xdata().tolist() == b["lam"][b.turning].tolist()
    copy = pickle.loads(pickle.dumps(b))
    assert copy.turning == b.turning and copy.message == b.message
    np.testing.assert_array_equal(copy["u"], b["u"])
    assert b.as_dict()["turning"] == b.turning


def test_the_bar_shows_the_parameter(capsys: pytest.CaptureFixture[str]) -> None:
    p = fold()
    p.follow("lam", until=p["u"] >= 2, progress=True)
    shown = capsys.readouterr().err
    assert "follow" in shown and "lam = " in shown and "1 turned" in shown
