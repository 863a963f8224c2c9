"""The examples of real models: each runs as a script, short, and what it claims is computed here another way."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from test_examples_theory import EXAMPLES, module, run

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
