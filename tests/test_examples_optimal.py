"""The examples of optimization: each runs as a script, short, and what it claims is computed here another way."""

import re

import numpy as np
import pytest
from test_examples import run
from test_examples_theory import module

# optimal control ----------------------------------------------------------------------------------------------------


def test_the_rocket_and_its_costates(tmp_path) -> None:
    text = run(tmp_path, "optimal_control", "--steps", "100", "--plot", "rocket.png")
    assert (tmp_path / "rocket.png").read_bytes().startswith(b"\x89PNG")
    assert "height 1.01283 (published 1.01283)" in text and "strict local maximum" in text
    apart = re.findall(r"([\d.e-]+) of p_\w", text)
    assert len(apart) == 3 and all(0 < float(value) < 1e-3 for value in apart)


def test_costates_come_closer_with_shorter_steps() -> None:
    """Multipliers are the costates up to the error of the rule; two algorithms agree on them."""
    example, errors = module("optimal_control"), []
    for n in (50, 100):
        r = example["solved"](n)
        assert r.success
        errors.append(np.abs(example["costates"](r) - example["integrated"](r)).max())
    assert errors[1] < 0.5 * errors[0] < 0.01
    switching, thrust = example["switching"](r), (r["T"][:-1] + r["T"][1:]) / 2
    assert (switching[thrust > 3.49] > 0).all() and (switching[thrust < 0.01] < 0).all()
    small = example["solved"](20)
    other = example["model"](20).optimize("lagrange-newton", space="full", start=small, progress=False)
    assert other.success and other.objective == pytest.approx(small.objective, rel=1e-10)
    assert example["costates"](other) == pytest.approx(example["costates"](small), rel=1e-6, abs=1e-9)


def test_the_costate_at_the_start_by_perturbing() -> None:
    """A unit more fuel at the start: the multiplier of m[0] = 1."""
    example, h = module("optimal_control"), 1e-4
    r = example["solved"](20)
    found = [example["model"](20).optimize("uno", space="full", start=r, tolerance=1e-10, progress=False,
                                           perturbation={"burn0": by}).objective for by in (h, -h)]
    assert r.multiplier["burn0"] == pytest.approx((found[0] - found[1]) / (2 * h), rel=1e-5)


# NIST -----------------------------------------------------------------------------------------------------------------


def test_certified_fits_with_residuals_as_unknowns(tmp_path) -> None:
    text = run(tmp_path, "nist_constrained", "Misra1a", "DanWood", "Chwirut2", "Rat43")
    assert "by none of them: nothing" in text and "lagrange-newton: 8 of 8 to 6 digits" in text
    assert "not Rat43 from start 1" in text  # what fails is said
    assert float(text.rsplit(maxsplit=1)[-1]) < 1e-12


def test_what_an_observation_is_worth() -> None:
    """dJ*/dy_i = −2·r_i: an observation moved and everything fitted anew."""
    example, h = module("nist_constrained"), 1e-3
    case = example["read"]("DanWood")
    r = example["fit"](case, case.starts[1], "uno-sqp")
    for i in (0, 3):
        found = []
        for by in (h, -h):
            y = case.y.copy()
            y[i] += by
            found.append(example["fit"](type(case)(**{**vars(case), "y": y}), case.starts[1], "uno-sqp").objective)
        assert -r.multiplier["residual"][i] == pytest.approx((found[0] - found[1]) / (2 * h), rel=1e-5)
