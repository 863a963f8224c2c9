"""The examples of the theory: each runs as a script, short, and what it claims is computed here another way."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def module(name: str) -> dict[str, Any]:
    """An example's names; examples may import each other."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        return runpy.run_path(str(EXAMPLES / f"{name}.py"))
    finally:
        sys.path.remove(str(EXAMPLES))


def run(folder: Path, name: str, *arguments: str) -> str:
    """What an example prints, run as a user would with warnings as errors, its picture checked."""
    pytest.importorskip("matplotlib")
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent), "PYTHONIOENCODING": "utf-8",
                   "PYTHONWARNINGS": "error"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments, "--plot", "picture.png"], cwd=folder,
        env=environment, capture_output=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and done.stdout.endswith("figure in picture.png\n")
    assert [path.name for path in folder.iterdir()] == ["picture.png"]
    image = pytest.importorskip("matplotlib.image").imread(str(folder / "picture.png"))
    assert min(image.shape[:2]) > 400 and len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 20
    return done.stdout


def test_the_list_of_examples_is_whole() -> None:
    listed = set(re.findall(r"\]\((\w+)\.py\)", (EXAMPLES / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.stem for path in EXAMPLES.glob("*.py")}


# the symbolic blow-up ---------------------------------------------------------------------------------------------


def test_blowup_ours_is_linear_and_the_flat_one_is_what_sympy_counts() -> None:
    pytest.importorskip("sympy")
    example = module("domke_blowup")
    for depth in (1, 2, 7, 30):
        assert example["model"](depth).schedule.operations == (6 * depth, 16 * depth)
    assert [row[:2] for row in example["counted"](4)] == example["flat_lengths"](4)
    assert example["flat_lengths"](30)[-1][1] > 1e20


def test_blowup_gradient_by_complex_step() -> None:
    pytest.importorskip("sympy")
    model = module("domke_blowup")["model"]
    for x in (-3.0, -1.5):
        v = x + 1e-30j
        for _ in range(2):
            u = np.exp(v) + np.exp(v) ** 2
            v = np.exp(u) + np.sin(u)
        assert model(2, x).evaluate().gradient["x"] == pytest.approx(v.imag / 1e-30, rel=1e-12)


def test_blowup_prints(tmp_path: Path) -> None:
    pytest.importorskip("sympy")
    printed = run(tmp_path, "domke_blowup", "--sympy", "4")
    assert re.search(r"30 +180 +480 +2\.67 +2\.628e\+20", printed)
    worst = re.search(r"from SymPy's derivative: (\S+)", printed)
    assert worst is not None and float(worst[1]) < 1e-12


# networks ---------------------------------------------------------------------------------------------------------


def test_network_multipliers_are_backpropagation(tmp_path: Path) -> None:
    example = module("network")
    data, classes = example["spirals"](n=20)
    at = example["model"](data, classes, seed=5).evaluate()
    for _, _, by_hand, worst in example["differences"](at, classes):
        assert np.abs(by_hand).max() > 1e-6 and worst < 1e-14
    printed = run(tmp_path, "network", "--steps", "150")
    assert re.search(r"L-BFGS-B +150 +0\.0\d+ +100\.0%", printed)


def test_network_shared_the_multiplier_is_what_the_tie_costs(tmp_path: Path) -> None:
    example = module("network_shared")
    p = example["model"]()
    at, step = p.evaluate(), 1e-6
    lam = at.multiplier["tie"]
    for i in ((0, 0), (2, 5)):
        moved = np.zeros(lam.shape)
        moved[i] = step
        ahead, behind = (p.evaluate(perturbation={"tie": s * moved}).objective for s in (1, -1))
        assert lam[i] == pytest.approx((ahead - behind) / (2 * step), rel=1e-6, abs=1e-10)
    printed = run(tmp_path, "network_shared", "--scales", "3")
    ratios = [float(ratio) for ratio in re.findall(r"(\d\.\d{4})$", printed, re.MULTILINE)]
    assert len(ratios) == 3 and ratios[0] == pytest.approx(1.0, abs=1e-3) and ratios == sorted(ratios, reverse=True)
    cost = re.search(r"the tie costs (\S+) in all", printed)
    assert cost is not None and float(cost[1]) > 0


def test_network_fixed_point_learns_parity_through_its_cycle(tmp_path: Path) -> None:
    example = module("network_fixed_point")
    p = example["model"]()
    at = p.evaluate()
    assert len(at.blocks) == 8
    for name in ("W", "U", "b", "v"):
        assert at.gradient[name] == pytest.approx(example["differences"](p, at, name), rel=1e-6, abs=1e-8)
    assert at.multiplier["y"] == pytest.approx(example["relaxed"](at, 1000), rel=1e-12, abs=1e-15)
    printed = run(tmp_path, "network_fixed_point", "--steps", "300")
    rows = re.findall(r"^([01]{3}) +(\S+) +(\S+) +(\S+)$", printed, re.MULTILINE)
    assert len(rows) == 8
    for bits, wanted, solved, settled in rows:
        assert float(wanted) == (1 if bits.count("1") % 2 else -1)
        assert float(solved) == pytest.approx(float(wanted), abs=0.05) and settled == solved


# a penalty by its hypergradient -----------------------------------------------------------------------------------


def test_hypergradient_agrees_with_refitting(tmp_path: Path) -> None:
    example = module("hypergradient")
    data = example["made"](seed=3)
    theta = np.linspace(-5, 1, example["FEATURES"])
    at = example["model"](data, theta).evaluate()
    points, classes = data.fit
    slope = -points.T @ (classes / (1 + np.exp(classes * (points @ at["w"])))) / len(classes)
    assert slope + np.exp(theta) * at["w"] == pytest.approx(np.zeros(theta.size), abs=1e-14)
    assert at.gradient["theta"] == pytest.approx(example["differences"](data, theta), abs=1e-7)
    assert at.gradient["theta"] == pytest.approx(at.multiplier["stationary"] * np.exp(theta) * at["w"], rel=1e-12)
    printed = run(tmp_path, "hypergradient", "--steps", "60")
    judged = [float(x) for x in re.findall(r"^(?:θ|one).*?  \d\.\d{4} +(\d\.\d{4})", printed, re.MULTILINE)]
    assert len(judged) == 3 and judged[0] > judged[1] > judged[2]


# a gridworld ------------------------------------------------------------------------------------------------------


def test_markov_agrees_with_what_is_published_and_counts_visits() -> None:
    example = module("markov")
    uniform = np.full((25, 4), 0.25)
    at, best = example["evaluation"](uniform).evaluate(), example["best"]().evaluate()
    assert at["v"] == pytest.approx(np.ravel(example["PUBLISHED"]["random"]), abs=0.0501)
    assert best["v"] == pytest.approx(np.ravel(example["PUBLISHED"]["best"]), abs=0.0501)
    assert best["v"].max() == pytest.approx(10 / (1 - 0.9**5), rel=1e-12)  # ten every five moves
    assert at.multiplier["v"] == pytest.approx(example["visits"](uniform), rel=1e-12)
    assert at.multiplier["v"].sum() == pytest.approx(10, rel=1e-12)  # Σ γ^t
    after, reward = example["world"]()
    greedy = np.eye(4)[np.argmax(reward + 0.9 * best["v"][after], axis=1)]
    assert example["evaluation"](greedy).evaluate()["v"] == pytest.approx(best["v"], rel=1e-12)


def test_markov_learns(tmp_path: Path) -> None:
    example = module("markov")
    p = example["learner"]()
    start = p.evaluate(theta=np.random.default_rng(0).standard_normal((25, 4)))
    assert start.gradient["theta"] == pytest.approx(example["policy_gradient"](start), abs=1e-14)
    printed = run(tmp_path, "markov", "--walks", "5000")
    walked = re.search(r"against 5000 walks: (\S+)", printed)
    assert walked is not None and float(walked[1]) < 0.05
    assert printed.count("best state 24.4194") == 2
    assert re.search(r"0\.01 +24\.4\d+", printed)


# a weighted finite-state machine ----------------------------------------------------------------------------------


def test_automaton_counts_the_edges_of_its_paths(tmp_path: Path) -> None:
    example = module("automaton")
    at = example["model"]().evaluate()
    weights, n = at["w"], len(example["STATES"])
    matrix = np.zeros((n, n))
    matrix[example["SOURCE"], example["TARGET"]] = weights
    onward = np.linalg.solve(np.eye(n) - matrix, example["FINAL"])
    into = np.linalg.solve(np.eye(n) - matrix.T, np.eye(n)[0])
    assert at["beta"] == pytest.approx(onward, rel=1e-14) and at.multiplier["beta"] == pytest.approx(into, rel=1e-14)
    assert at.gradient["w"] == pytest.approx(into[example["SOURCE"]] * onward[example["TARGET"]], rel=1e-14)
    paths = example["enumerate_paths"](weights, 1e-17)
    assert paths.left < 1e-12
    assert paths.total <= at["Z"] and paths.total == pytest.approx(at["Z"], abs=1.1e-12)
    assert weights * at.gradient["w"] == pytest.approx(paths.counted, abs=1e-11)
    printed = run(tmp_path, "automaton", "--smallest", "1e-12")
    shown = re.findall(r"^(\w+ → \w+) +\S+ +\S+ +\S+ +(\S+)$", printed, re.MULTILINE)
    counts = {name: float(count) for name, count in shown}
    assert len(counts) == len(weights) and counts["start → h"] == 1.0
    assert counts["h → a"] == pytest.approx(1 + counts["a → h"], abs=1e-8)  # what enters h leaves it


# certified regressions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(module("nist")["MODELS"]))
def test_nist_models_have_the_certified_residuals(name: str) -> None:
    example = module("nist")
    case = example["read"](name)
    residual = example["MODELS"][name](case.certified, case.x) - case.y
    s = np.sqrt(residual @ residual / (len(case.y) - len(case.certified)))
    assert s == pytest.approx(case.residual_deviation, rel=1e-7)
    assert case.starts.shape == (2, len(case.certified))


def test_nist_reaches_six_digits(tmp_path: Path) -> None:
    sets = ["Misra1a", "Misra1c", "DanWood", "Kirby2", "Roszman1", "Rat43", "Chwirut2", "Gauss1"]
    printed = run(tmp_path, "nist", *sets, "--steps", "2500")
    for method in ("least_squares", "BFGS", "descend"):
        assert f"6 digits from both starts by {method}: 8 of 8" in printed
    by_descent = [float(x) for x in re.findall(r"start [12]: (\S+) digits by steepest descent", printed)]
    assert len(by_descent) == 2 and min(by_descent) > 6
    spread = [float(x) for x in re.findall(r" (\d+\.\d)$", printed.split("6 digits")[0], re.MULTILINE)]
    assert len(spread) == 16 and min(spread) > 6
