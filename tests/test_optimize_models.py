"""Published problems put to work: each by algorithms of several kinds and in several spaces, to the published digits.

One set of multipliers a problem, whatever the algorithm and the space; perturbing every right side, constraint and
bound and optimizing again proves their size and sign, for minimize and maximize.
"""

from functools import partial
from typing import Any

import numpy as np
import pytest
from optimal_programs import (
    HS71,
    Make,
    Moved,
    assert_proved,
    combustion,
    golinski,
    hs71,
    multipliers,
    published,
    sellar,
    sellar_s_optimum,
    williams_otto,
)

import lagrange_ad as la

SQP = "uno-sqp"


def solved(make: Make, method: Any, space: Any, start: Any = None) -> la.OptimizeResult:
    r = make(Moved()).optimize(method, space=space, start=start, progress=False)
    assert r.success, f"{method} in {space}: {r.message}; {r.certificate.verdict}"
    return r


def assert_same_multipliers(found: la.OptimizeResult, wanted: la.OptimizeResult, rel: float = 1e-6) -> None:
    """To the tolerance, relative to the largest multiplier of the same name."""
    one, other = multipliers(found), multipliers(wanted)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value == pytest.approx(other[name], rel=rel, abs=rel * max(1e-3, np.abs(other[name]).max())), name


# Sellar -------------------------------------------------------------------------------------------------------------

SPACES = ("reduced", "full", ["y1"], ["y2"])
"""All of them: y1 and y2 both eliminated is the reduced space."""


@pytest.fixture(scope="module")
def best_sellar() -> la.OptimizeResult:
    return solved(sellar, SQP, "full")


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("method", ["uno", "uno-sqp", "slsqp", "trust-constr", "augmented-lagrangian",
                                    "lagrange-newton", "arrow-hurwicz", "auxiliary-coordinates"])  # fmt: skip
def test_sellar_by_every_algorithm_in_every_space(method: str, space: Any, best_sellar: la.OptimizeResult) -> None:
    if method == "auxiliary-coordinates" and space == "reduced":
        with pytest.raises(la.DeclarationError, match="no unknowns are kept"):
            solved(sellar, method, space)
        return
    algorithm: Any = method
    if (method, space) == ("augmented-lagrangian", ["y1"]):  # its usual penalty lets y1 fall to the edge of √y1
        algorithm = la.optimizers.AugmentedLagrangian(penalty=10.0)
    r, exact = solved(sellar, algorithm, space), sellar_s_optimum()
    assert r.objective == pytest.approx(exact["J"], rel=1e-10)
    assert f"{r.objective:.8f}" == f"{published('sellar')['optimize']['published']['f']:.8f}"
    for name in ("z1", "z2", "x", "y1", "y2"):
        assert r[name] == pytest.approx(exact[name], rel=1e-7, abs=1e-7), name
    assert_same_multipliers(r, best_sellar)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_sellar_s_multipliers_by_perturbing(space: Any) -> None:
    assert_proved(sellar, solved(sellar, SQP, space), method=SQP, space=space)


def test_sellar_upside_down(best_sellar: la.OptimizeResult) -> None:
    """The greatest −J: every multiplier is the other one's negative."""
    r = solved(partial(sellar, sense="maximize"), SQP, "reduced")
    assert r.objective == pytest.approx(-best_sellar.objective, rel=1e-12)
    for name, value in multipliers(r).items():
        assert value == pytest.approx(-multipliers(best_sellar)[name], rel=1e-9, abs=1e-12), name
    assert_proved(partial(sellar, sense="maximize"), r, method=SQP, space="reduced")


def test_the_two_numbers_of_sellar(best_sellar: la.OptimizeResult) -> None:
    """Shadow prices let the inputs follow, adjoints hold them: both by perturbing, one re-optimised, one re-solved."""
    r, h = best_sellar, 1e-5
    inputs = {name: r[name] for name in ("z1", "z2", "x")}
    for name in ("y1", "y2"):
        held = [sellar(Moved()).evaluate(inputs, perturbation={name: by}).objective for by in (h, -h)]
        assert r.at.multiplier[name] == pytest.approx((held[0] - held[1]) / (2 * h), rel=1e-7)
        assert abs(r.at.multiplier[name] - r.multiplier[name]) > 0.1


# Hock and Schittkowski 71 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "space"), [("subject_to", "full"), ("equate", "full"), ("inputs", "reduced"),
                                             ("scalars", "full"), ("scalars", "reduced")])  # fmt: skip
@pytest.mark.parametrize("method", ["uno", "slsqp", "trust-constr", "lagrange-newton", "augmented-lagrangian"])
def test_hs71_in_all_its_forms(form: str, space: str, method: str) -> None:
    r = solved(partial(hs71, form=form), method, space)
    assert f"{r.objective:.7f}" == f"{HS71['J']:.7f}"
    x = r["x"] if form != "scalars" else np.array([r[f"x{i}"] for i in range(4)])
    assert x == pytest.approx(HS71["x"], abs=1e-8)
    assert r.multiplier["product"] == pytest.approx(HS71["product"], abs=1e-7)
    equation = r.multiplier["square" if form == "equate" else "sphere"]
    assert equation == pytest.approx(HS71["square"], abs=1e-7)
    lower = r.multiplier.lower
    assert (lower["x"][0] if form != "scalars" else lower["x0"]) == pytest.approx(HS71["lower"], abs=1e-7)


@pytest.mark.parametrize(("form", "sense"), [("subject_to", "minimize"), ("equate", "maximize"),
                                             ("scalars", "minimize")])  # fmt: skip
def test_hs71_s_multipliers_by_perturbing(form: str, sense: str) -> None:
    make = partial(hs71, form=form, sense=sense)
    assert_proved(make, solved(make, SQP, "full"), method=SQP, space="full")


def test_hs71_with_the_equation_solved_at_every_point() -> None:
    """x·x = 40 determines one of the four: at the published start it has no solution, at another one it has."""
    make = partial(hs71, form="equate")
    with pytest.raises(la.ConvergenceError, match="at the start of the optimization, the block"):
        solved(make, SQP, "reduced")
    r = solved(make, SQP, "reduced", start={"x": [1.0, 4.5, 4.0, 1.5]})
    assert f"{r.objective:.7f}" == f"{HS71['J']:.7f}"
    assert_same_multipliers(r, solved(make, SQP, "full"))


# Golinski -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "space"), [
    ("uno", "full"), ("uno", ["stress1", "teeth"]), ("uno-sqp", "reduced"), ("slsqp", "full"), ("trust-constr", "full"),
    ("lagrange-newton", "reduced"), ("augmented-lagrangian", "full")], ids=str)  # fmt: skip
def test_the_speed_reducer(method: str, space: Any) -> None:
    r, case = solved(golinski, method, space), published("golinski_speed_reducer")["optimize"]
    assert r.objective == pytest.approx(case["published"]["f"], abs=5e-7)
    assert r["x"] == pytest.approx(case["published"]["x"], abs=5e-6)
    assert_same_multipliers(r, solved(golinski, SQP, "full"))


def test_the_speed_reducer_s_multipliers_by_perturbing() -> None:
    assert_proved(golinski, solved(golinski, SQP, "full"), h=1e-5, method=SQP, space="full")


# Williams and Otto --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "space"), [
    ("uno", "full"), ("uno-sqp", "reduced"), ("slsqp", "reduced"), ("trust-constr", "reduced"),
    ("lagrange-newton", "full"), ("augmented-lagrangian", "reduced")])  # fmt: skip
def test_williams_otto(method: str, space: str) -> None:
    r, case = solved(williams_otto, method, space), published("williams_otto_recycle")["optimize"]
    assert round(r.objective, 1) == case["published"]["ROI_percent"]
    assert r.objective == pytest.approx(case["computed"]["ROI"], rel=1e-9)
    x, scale = case["computed"]["x"], 0.03 / case["computed"]["x"]["V"]  # a plant of another size has the same ROI
    for name in ("FA", "FB", "eA", "eP"):
        assert r[name] == pytest.approx(x[name] * scale, rel=1e-5), name
    assert r["T"] == pytest.approx(x["T"], rel=1e-6) and r["eta"] == pytest.approx(x["eta"], rel=1e-5)
    assert_same_multipliers(r, solved(williams_otto, SQP, "full"))


@pytest.mark.parametrize("volume", [0.03, 0.04])
def test_williams_otto_s_multipliers_by_perturbing(volume: float) -> None:
    """In the larger reactor the market is full: what its limit and the volume are worth."""
    make = partial(williams_otto, volume=volume)
    r = solved(make, SQP, "full")
    fixed = r.multiplier.lower["V"] + r.multiplier.upper["V"]
    assert (r.multiplier["market"] > 1.0 and fixed < -100.0) if volume == 0.04 else (
        r.multiplier["market"] == 0.0 and fixed == pytest.approx(0.0, abs=1e-6))
    assert_proved(make, r, least=1e-5, method=SQP, space="full")


# propane ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "space"), [
    ("uno", "full"), ("uno", "reduced"), ("uno-sqp", ["x5"]), ("slsqp", "reduced"), ("trust-constr", "full"),
    ("l-bfgs-b", "reduced"), ("lagrange-newton", "full"), ("augmented-lagrangian", "reduced")], ids=str)  # fmt: skip
def test_propane_burnt_with_the_best_air(method: str, space: Any) -> None:
    r = solved(combustion, method, space)
    beside = [combustion(Moved()).evaluate(R=float(r["R"] + by)).objective for by in (-1e-2, 1e-2)]
    assert max(beside) < r.objective  # solved anew with other air, less is burnt
    assert_same_multipliers(r, solved(combustion, SQP, "reduced"))


def test_propane_s_multipliers_by_perturbing() -> None:
    assert_proved(combustion, solved(combustion, SQP, "full"), method=SQP, space="full")


@pytest.mark.parametrize(("method", "space"), [("uno", "full"), ("lagrange-newton", "full"), ("slsqp", ["x5"])],
                         ids=str)
def test_propane_with_the_air_given(method: str, space: Any) -> None:
    """Nothing is left to choose: the optimum is the published solution, both multipliers are the adjoint, and what the
    air is worth is the gradient."""
    r = solved(partial(combustion, air=10.0), method, space)
    at, root = r.at, published("propane_combustion_5", "nonlinear_systems.json")["roots"][0]["x"]
    for i, (digits, exact) in enumerate(zip(published("propane_combustion")["published"], root, strict=True), 1):
        assert float(f"{r[f'x{i}']:.6g}") == digits
        assert r[f"x{i}"] == pytest.approx(exact, rel=1e-9)
    for name, value in at.multiplier.items():
        assert r.multiplier[name] == pytest.approx(value, rel=1e-7), name
    assert r.multiplier.lower["R"] + r.multiplier.upper["R"] == pytest.approx(at.gradient["R"], rel=1e-7)
    if method == "uno":
        assert_proved(partial(combustion, air=10.0), r, h=1e-6, method=SQP, space=space)
