"""Optimal power flow: published objectives to five digits, prices against another load solved again, costs by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_examples_models import OWN, PGLIB
from test_examples_theory import module, run

pytest.importorskip("unopy")
SMALL = ("case3_lmbd", "case5_pjm", "case14_ieee", "case30_ieee")
TWO_BUSES = """function mpc = two
mpc.baseMVA = 50;
mpc.bus = [
    1  3  0    0  0  0  1  1  0  1  1  1.1  0.9;
    2  1  100  0  0  0  1  1  0  1  1  1.1  0.9;
];
mpc.gen = [
    1  30  0  99  -99  1  50  1  200  0;
    2  70  0  99  -99  1  50  1  200  0;
];
mpc.branch = [1  2  0  0.01  0  0 0 0  0  0  1  0  0];
mpc.gencost = [
    COSTS
];
"""


def case(name: str) -> Path:
    path = OWN if name == "case14_ieee" else PGLIB / f"pglib_opf_{name}.m"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path


def grid_of(name: str) -> Any:
    return module("matpower")["read"](case(name))


def solved(grid: Any, **options: Any) -> Any:
    example = module("optimal_power_flow")
    best = example["model"](grid, **options).optimize(tolerance=example["TOLERANCE"])
    assert best.success, best.message
    return best


@pytest.mark.parametrize("name", SMALL)
def test_the_published_objective_to_five_digits(name: str) -> None:
    example, grid = module("optimal_power_flow"), grid_of(name)
    best = solved(grid)
    assert f"{best.objective:.4e}" == f"{example['PUBLISHED'][name]:.4e}"
    point = {"v": best["v"], "angle": best["angle"], "p": grid.injected(best["pg"], grid.p_load),
             "q": grid.injected(best["qg"], grid.q_load)}
    assert module("power_flow")["mismatch"](grid, point) < 1e-7
    y, voltage, limits = grid.g + 1j * grid.b, best["v"] * np.exp(1j * best["angle"]), grid.limits
    start, end = voltage[grid.start], voltage[grid.end]
    for power in (start * np.conj(y[0] * start + y[1] * end), end * np.conj(y[2] * start + y[3] * end)):
        assert (np.abs(power) <= limits.flow + 1e-6).all()
    for value, (low, high) in ((best["v"], limits.magnitude), (best["pg"], limits.p_made), (best["qg"], limits.q_made),
                               (np.angle(start / end), limits.between)):
        assert (value >= low - 1e-6).all() and (value <= high + 1e-6).all()


def test_prices_are_those_published_with_a_case() -> None:
    path = case("case3_lmbd")
    example, grid = module("optimal_power_flow"), module("matpower")["read"](path)
    rows = [line.split()[1:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("%       ")]
    published = [float(row[7]) for row in rows if len(row) == 9 and row[0].isdigit()]
    np.testing.assert_allclose(example["prices"](grid, solved(grid)), published, atol=1e-3)  # printed to 3 digits


@pytest.mark.parametrize("name", ["case5_pjm", "case14_ieee"])
def test_prices_are_what_more_load_costs(name: str) -> None:
    example, grid = module("optimal_power_flow"), grid_of(name)
    program, step = example["model"](grid), 1e-4
    best = program.optimize(tolerance=example["TOLERANCE"])
    for load, balance in (("p_load", "active"), ("q_load", "reactive")):
        given = getattr(grid, load)
        for bus in range(0, grid.n_bus, 2):
            costs = []
            for sign in (1.0, -1.0):
                program.set({load: given + sign * step * (np.arange(grid.n_bus) == bus)})
                costs.append(program.optimize(tolerance=example["TOLERANCE"]).objective)
            program.set({load: given})
            found = (costs[0] - costs[1]) / (2 * step * grid.base)
            assert example["prices"](grid, best, balance)[bus] == pytest.approx(found, rel=1e-4, abs=1e-3)


def test_prices_of_limits_are_what_moving_them_saves() -> None:
    example, grid, step = module("optimal_power_flow"), grid_of("case3_lmbd"), 1e-4
    narrow = replace(grid.limits, between=np.radians([[-24.0] * 3, [24.0] * 3]))
    grid = replace(grid, limits=narrow)
    prices = {what: (at, price) for what, at, _, price in example["binding"](grid, solved(grid)) if abs(price) > 1e-3}

    def cost(limits: Any) -> float:
        return float(solved(replace(grid, limits=limits)).objective)

    def moved(name: str, at: tuple[int, int], by: float) -> Any:
        array = getattr(narrow, name).copy()
        array[at] += by
        return replace(narrow, **{name: array})

    for what, name, at, unit in (("bus 1: voltage ≤", "magnitude", (1, 0), 1.0),
                                 ("branch 3–2: angle ≥", "between", (0, 1), np.degrees(1.0))):
        found = (cost(moved(name, at, step)) - cost(moved(name, at, -step))) / (2 * step)
        assert prices[what][0] == pytest.approx(getattr(narrow, name)[at] * unit)
        assert prices[what][1] * unit == pytest.approx(found, rel=1e-3)


def test_the_price_of_a_rating_is_that_of_both_ends() -> None:
    example, grid, step = module("optimal_power_flow"), grid_of("case3_lmbd"), 1e-4
    costs = []
    for sign in (1.0, -1.0):
        limits = replace(grid.limits, flow=grid.limits.flow + sign * step * (np.arange(3) == 1))
        costs.append(solved(replace(grid, limits=limits)).objective)
    found = sum(price for what, _, _, price in example["binding"](grid, solved(grid)) if what.startswith("branch 3–2"))
    assert found * grid.base == pytest.approx((costs[0] - costs[1]) / (2 * step), rel=1e-3)


def test_named_flows_come_to_the_same() -> None:
    example, grid = module("optimal_power_flow"), grid_of("case14_ieee")
    plain, named = solved(grid), solved(grid, named=True)
    assert named.objective == pytest.approx(plain.objective, rel=1e-9)
    np.testing.assert_allclose(example["prices"](grid, named), example["prices"](grid, plain), rtol=1e-6)
    np.testing.assert_allclose(named["p_start"] + named["p_end"],
                               sum(module("matpower")["flows"](grid, named["v"], named["angle"])[::2]), atol=1e-8)


@pytest.mark.parametrize(("costs", "made", "cost", "price"), [
    ("1 0 0 3  0 0  60 600  200 4800;  1 0 0 2  0 0  200 4000  0 0", [60, 40], 1400.0, 20.0),
    ("2 0 0 4  1e-3 0 10 5;  2 0 0 2  20 1 0 0", [57.7350269, 42.2649731], 1e-3 * 57.7350269**3 + 577.350269 + 5
     + 20 * 42.2649731 + 1, 20.0),
    ("1 0 0 2  0 7  200 2007;  2 0 0 3  0.05 4 0 0", [40, 60], 407.0 + 180.0 + 240.0, 10.0),
], ids=["pieces", "degrees 3 and 1", "both"])
def test_costs_of_every_form(costs: str, made: list[float], cost: float, price: float, tmp_path: Path) -> None:
    path = tmp_path / "two.m"
    path.write_text(TWO_BUSES.replace("COSTS", costs), encoding="utf-8")
    example, grid = module("optimal_power_flow"), module("matpower")["read"](path)
    best = example["model"](grid).optimize(tolerance=example["TOLERANCE"])  # voltages are free: no strict optimum
    assert best.reason == "solved"
    np.testing.assert_allclose(best["pg"] * grid.base, made, rtol=1e-4)
    assert best.objective == pytest.approx(cost, rel=1e-6)
    np.testing.assert_allclose(example["prices"](grid, best), price, rtol=1e-5)


def test_limits_by_the_rules_of_matpower(tmp_path: Path) -> None:
    path = tmp_path / "two.m"
    text = TWO_BUSES.replace("COSTS", "1 0 0 3  0 0  60 1200  200 2000;  2 0 0 3  0 1 0 0 0 0")
    path.write_text(text.replace("0 0 0  0  0  1  0  0]", "30 0 0  0  0  1  -360  20]"), encoding="utf-8")
    grid = module("matpower")["read"](path)
    limits = grid.limits
    assert limits.flow.tolist() == [0.6] and limits.p_made.tolist() == [[0, 0], [4, 4]]
    assert limits.magnitude.tolist() == [[0.9, 0.9], [1.1, 1.1]] and limits.q_made.tolist() == [[-1.98] * 2, [1.98] * 2]
    np.testing.assert_allclose(limits.between, [[-np.inf], [np.pi / 9]])
    with pytest.raises(ValueError, match="generator 1 in service has falling slopes"):
        _ = grid.pieces


def test_optimal_power_flow_prints_and_draws(tmp_path: Path) -> None:
    printed = run(tmp_path, "optimal_power_flow")
    assert "published 2178.1: the same to five digits" in printed
    assert "bus 1: voltage ≤" in printed and "7.9210" in printed
