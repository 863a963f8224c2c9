"""The examples of real models: each runs as a script, short, and what it claims is computed here another way."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from test_examples_theory import EXAMPLES, module, run

import lagrange_ad as la

PGLIB = EXAMPLES.parent.parent / "shared" / "cases" / "pglib"
OWN = EXAMPLES / "data" / "pglib" / "pglib_opf_case14_ieee.m"

# power flow ---------------------------------------------------------------------------------------------------------

SMALL = """function mpc = small   % comments; [1 2; 3]
mpc.version = '2';
mpc.baseMVA = 50;
mpc.bus = [
    7, 3, 10, 5, 1, 2, 1, 1.01, 3, 1, 1, 1.1, 0.9;
    9  1  20  8  0  -4  1  0.99  0  1  1  1.1  0.9   % no semicolon
    4  2  0  0  0  0  1  1.02  0  1  1  1.1  0.9;
    5  4  99  99  0  0  1  1  0  1  1  1.1  0.9;
    2  2  1  1  0  0  1  0.97  0  1  1  1.1  0.9;
];
mpc.gen = [
    7  30  1  9  -9  1.05  50  1  99  0;
    4  10  2  9  -9  1.03  50  1  99  0;
    4  15  3  9  -9  1.04  50  1  99  0;
    2  40  4  9  -9  1.2  50  0  99  0;
    5  40  4  9  -9  1.2  50  1  99  0;
];
mpc.branch = [
    7  9  0.01  0.1  0.02  0 0 0  0.95  -10  1  -30  30;
    9  4  0.02  0.2  0.04  0 0 0  0     0    1  -30  30;
    4  9  0.03  0.1  0     0 0 0  1.1   0    1  -30  30;
    9  2  0     0.1  0     0 0 0  0     5    1  -30  30;
    7  4  0.01  0.1  0     0 0 0  0     0    0  -30  30;
    9  5  0.01  0.1  0     0 0 0  0     0    1  -30  30;
];
"""


def admittance_by_definition(path: Path) -> np.ndarray:
    """Ybus of a file, branch by branch: an ideal transformer of complex ratio in front of a π of its line."""
    text = re.sub(r"%.*", "", path.read_text(encoding="utf-8"))
    base = float(re.search(r"baseMVA = ([\d.]+)", text)[1])
    tables = {name: [[float(x) for x in re.split(r"[\s,]+", row.strip())] for row in re.split(r"[;\n]", body)
                     if row.strip()] for name, body in re.findall(r"mpc\.(bus|branch) = \[(.*?)\]", text, re.DOTALL)}
    buses = [row for row in tables["bus"] if row[1] != 4]
    place = {row[0]: i for i, row in enumerate(buses)}
    y = sparse.lil_array((len(buses), len(buses)), dtype=complex)
    for i, row in enumerate(buses):
        y[i, i] += (row[4] + 1j * row[5]) / base
    for row in tables["branch"]:
        if row[10] > 0 and row[0] in place and row[1] in place:
            f, t = place[row[0]], place[row[1]]
            turn = (row[8] or 1.0) * np.exp(1j * np.pi / 180 * row[9])
            line, half = 1 / (row[2] + 1j * row[3]), 0.5j * row[4]
            inside = np.array([[line + half, -line], [-line, line + half]])
            ideal = np.diag([1 / turn, 1.0])  # voltage behind the transformer, V/turn; its current times 1/turn*
            port = np.conj(ideal) @ inside @ ideal
            for a, i in enumerate((f, t)):
                for b, j in enumerate((f, t)):
                    y[i, j] += port[a, b]
    return sparse.csr_array(y)


def cases() -> list[Path]:
    return sorted(PGLIB.glob("*.m"), key=lambda path: path.stat().st_size) or [OWN]


def test_the_reader_of_cases(tmp_path: Path) -> None:
    path = tmp_path / "small.m"
    path.write_text(SMALL, encoding="utf-8")
    grid = module("matpower")["read"](path)
    assert grid.number.tolist() == [7, 9, 4, 2] and grid.kind.tolist() == [3, 1, 2, 1]  # the generator of 2 is off
    assert grid.setpoint.tolist() == [1.05, 0.99, 1.04, 0.97]
    assert grid.at.tolist() == [0, 2, 2] and grid.start.tolist() == [0, 1, 2, 1] and grid.end.tolist() == [1, 2, 1, 3]
    np.testing.assert_allclose(grid.injected(grid.p_made, grid.p_load), np.array([20, -20, 25, -1]) / 50, rtol=1e-15)
    np.testing.assert_allclose(grid.injected(grid.q_made, grid.q_load), np.array([-4, -8, 5, -1]) / 50, rtol=1e-15)
    assert grid.angle[0] == pytest.approx(np.pi / 60)
    with pytest.raises(ValueError, match="costs"):
        _ = grid.cost


@pytest.mark.parametrize("path", cases(), ids=lambda path: path.stem)
def test_power_flow_of_every_case(path: Path) -> None:
    example, grid = module("power_flow"), module("matpower")["read"](path)
    balanced = path.stem == "pglib_opf_case3_lmbd"  # 2000 MW made, 315 MW taken: no voltages carry what this file says
    at = example["model"](grid, balanced).evaluate()
    voltage = at["v"] * np.exp(1j * at["angle"])
    power = voltage * np.conj(admittance_by_definition(path) @ voltage)
    np.testing.assert_allclose(at["p"] + 1j * at["q"], power, rtol=0, atol=1e-10)
    held, others = grid.kind != 1, grid.kind != 3
    factor = grid.p_load.sum() / grid.p_made.sum() if balanced else 1.0
    given_p, given_q = grid.injected(factor * grid.p_made, grid.p_load), grid.injected(grid.q_made, grid.q_load)
    np.testing.assert_array_equal(at["v"][held], grid.setpoint[held])
    np.testing.assert_array_equal(at["p"][others], given_p[others])
    np.testing.assert_array_equal(at["q"][~held], given_q[~held])
    assert at.objective == pytest.approx(power.real.sum() - (grid.g_shunt * at["v"] ** 2).sum(), rel=1e-9)
    assert at.blocks[0].iterations <= 6 and example["mismatch"](grid, at) < 1e-10


@pytest.mark.parametrize("path", [p for p in cases() if "case3" not in p.stem], ids=lambda path: path.stem)
def test_the_gradient_of_losses_by_differences(path: Path) -> None:
    grid = module("matpower")["read"](path)
    p = module("power_flow")["model"](grid)
    at, step = p.evaluate(), 1e-4
    random = np.random.default_rng(0)
    for name, places in (("p", grid.kind != 3), ("q", grid.kind == 1), ("v", grid.kind != 1)):
        for i in random.choice(np.flatnonzero(places), 2 if places.sum() > 1 else 1, replace=False):
            sides = []
            for change in (step, -step):
                value = at[name].copy()
                value[i] += change
                sides.append(p.evaluate({name: value}, start=at).objective)
            found = (sides[0] - sides[1]) / (2 * step)
            assert at.gradient[name][i] == pytest.approx(found, rel=2e-5, abs=2e-6), (name, i)
        assert not at.gradient[name][~places].any()  # found, not given


def test_power_flow_prints(tmp_path: Path) -> None:
    printed = run(tmp_path, "power_flow")
    assert "14 buses, 20 branches" in printed and "losses 16.666 MW of 259.0 MW taken" in printed
    found = re.search(r"^3 +-94\.20 +(-\S+) +(\S+) MW$", printed, re.MULTILINE)
    assert found is not None and float(found[2]) == pytest.approx(1 - float(found[1]))


def test_a_grid_that_cannot_carry_what_its_case_says(capsys: pytest.CaptureFixture[str]) -> None:
    path = PGLIB / "pglib_opf_case3_lmbd.m"
    if not path.exists():
        pytest.skip(f"the reference cases are not here: {path.name}")
    assert module("power_flow")["main"]([str(path)]) == 1
    assert "--balanced scales the generators" in capsys.readouterr().out
    assert module("power_flow")["main"]([str(path), "--balanced"]) == 0


# recycles -----------------------------------------------------------------------------------------------------------


def test_williams_otto_reaches_the_published_optimum() -> None:
    example = module("williams_otto")
    p = example["model"]()
    at = p.evaluate(example["BEST"])
    assert at.objective == pytest.approx(121.10876663986626, rel=1e-12)  # published: 121.1
    wanted = [46.81011014057584, 145.14474678914934, 7.6765032650630465, 143.7373982475286, 19.076183014132013,
              3.1710188464146687]  # fmt: skip
    np.testing.assert_allclose(at["effluent"], wanted, rtol=1e-10)
    for name, slope in at.gradient.items():
        assert abs(slope * at[name]) < 1e-8, name
    found, _ = example["best"](p)
    assert found.objective == pytest.approx(121.10876663986626, rel=1e-10) and found["product"] < 4.763


def test_williams_otto_s_gradient_and_balances() -> None:
    p = module("williams_otto")["model"]()
    at = p.evaluate()
    assert {s.name for s in p.symbols.values() if s.kind == "variable" and s.value is not None} == {"effluent"}
    for name in ("FA", "FB", "V", "T", "eta"):
        step = 1e-5 * at[name]
        up, down = (p.evaluate({name: at[name] + change}, start=at).objective for change in (step, -step))
        assert at.gradient[name] == pytest.approx((up - down) / (2 * step), rel=1e-7)
    out = at["waste"] + at["product"] + np.sum(at["purge"])
    assert at["FA"] + at["FB"] == pytest.approx(out, rel=1e-13)


def test_williams_otto_prints(tmp_path: Path) -> None:
    printed = run(tmp_path, "williams_otto")
    assert re.findall(r"ROI (\S+) %", printed) == ["82.4442", "121.1088", "121.1088"]
    assert "the ROI does not depend on its size" in printed


def test_the_ammonia_loop_by_going_round_it() -> None:
    example = module("flowsheet")
    condenser, other = example["Condenser"](), example["Condenser"]()
    p = example["model"](condenser)
    at = p.evaluate()
    by_newton = condenser.calls
    recycle, rounds = example["round_and_round"](at, other)
    np.testing.assert_allclose(at["recycle"], recycle, atol=1e-8)
    assert by_newton < rounds / 5
    for name, step in (("purged", 1e-5), ("temperature", 1e-2), ("conversion", 1e-5)):
        up, down = (p.evaluate({name: at[name] + change}, start=at).objective for change in (step, -step))
        assert at.gradient[name] == pytest.approx((up - down) / (2 * step), rel=1e-6)
    atoms = np.array([[2, 0, 0, 1], [0, 2, 0, 3], [0, 0, 1, 0]])  # of nitrogen, hydrogen, argon: none made, none lost
    np.testing.assert_allclose(atoms @ (at["liquid"] + at["purge"]), atoms @ example["FEED"], rtol=1e-12)


def test_the_condenser_s_equilibrium() -> None:
    example = module("flowsheet")
    flow = np.array([60.0, 180.0, 30.0, 50.0])
    for temperature in (245.0, 270.0):
        vapour = example["Condenser"]()(flow, temperature)
        y, x = vapour / vapour.sum(), (flow - vapour) / (flow - vapour).sum()
        np.testing.assert_allclose((y / x)[:3], example["GASES"], rtol=1e-11)
        assert y[3] / x[3] == pytest.approx(10 ** (4.86886 - 1113.928 / (temperature - 10.409)) / 100, rel=1e-11)
    np.testing.assert_array_equal(example["Condenser"]()(np.array([60.0, 180.0, 30.0, 0.1]), 280.0)[3], 0.1)


def test_flowsheet_prints(tmp_path: Path) -> None:
    printed = run(tmp_path, "flowsheet")
    for _, slope, again in re.findall(r"^(purged|temperature|conversion) +\S+ +(\S+) +(\S+)$", printed, re.MULTILINE):
        assert float(slope) == pytest.approx(float(again), rel=1e-6)
    best = re.search(r"best: purge (\S+), earned (\S+), slope (\S+);", printed)
    assert best is not None and 0.02 < float(best[1]) < 0.023 and abs(float(best[3])) < 1e-3


# equation files -----------------------------------------------------------------------------------------------------


def read(name: str) -> la.Program:
    return la.read(str(EXAMPLES / f"{name}.lag"))


def test_the_list_of_equation_files_is_whole() -> None:
    listed = set(re.findall(r"\]\((\w+)\.lag\)", (EXAMPLES / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.stem for path in EXAMPLES.glob("*.lag")}


def test_diode_resistor_by_lambert_s_function() -> None:
    from scipy.special import lambertw

    p = read("diode_resistor")
    for volts, ohms in ((5.0, 1000.0), (1.0, 1000.0), (12.0, 470.0)):
        at = p.evaluate(Vs=volts, R=ohms)
        vt, saturation = at["Vt"], at["Is"]
        w = lambertw(saturation * ohms / vt * np.exp((volts + saturation * ohms) / vt)).real
        assert at["I"] == pytest.approx(vt / ohms * w - saturation, rel=1e-12)
        assert at.gradient["Vs"] == pytest.approx(1000 * w / (1 + w) / ohms, rel=1e-12)


def test_transistor_follows_its_current_gain() -> None:
    at = read("transistor").evaluate()
    known = {"VB": 0.6580461021994042, "VC": 9.73160921839988, "IC": 0.0011341953908000596}
    for name, value in known.items():
        assert at[name] == pytest.approx(value, rel=1e-11)
    assert at.gradient["beta"] * at["beta"] / at.objective == pytest.approx(1.0, abs=0.005)


def test_speed_reducer_at_its_published_optimum() -> None:
    p = read("speed_reducer")
    at = p.evaluate()
    assert at.objective == pytest.approx(2994.471066, abs=5e-7)
    size = {c.name: float(at[c.name]) for c in p.constraints}
    limit = {"space": 40.0}
    active = [name for name, value in size.items() if value > limit.get(name, 1.0) - 1e-9]
    assert active == ["stress1", "stress2", "narrow", "bearing2"]
    assert all(value <= limit.get(name, 1.0) + 1e-12 for name, value in size.items())


def test_combustion_to_the_published_digits() -> None:
    at = read("combustion").evaluate()
    published = (0.0031141, 34.5979, 0.0650418, 0.859378, 0.0369519)
    assert tuple(float(f"{at[f'x{i}']:.6g}") for i in range(1, 6)) == published


def test_heart_dipole_has_a_root_and_its_mirror_image() -> None:
    p = read("heart_dipole")
    at = p.evaluate()
    mirrored = dict(zip("abcdtuvw", (at[name] for name in "badcutwv"), strict=True))
    other = p.evaluate(start=mirrored)
    known = [-0.3783733944345965, -0.3116266056, -0.3722442301180634, 0.3282442301, 2.494300312085459, -1.282227094]
    both = [[at[name] for name in "abcdtu"], [other[name] for name in "abcdtu"]]
    assert min(np.abs(np.subtract(values, known)).max() for values in both) < 1e-9
    assert other["a"] == pytest.approx(at["b"], rel=1e-12) and other["t"] == pytest.approx(at["u"], rel=1e-12)
