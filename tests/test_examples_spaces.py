"""The examples of spaces: counted work is what was asked for, multipliers are adjoints, and fits are NIST's."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_examples_theory import module, run

pytest.importorskip("unopy")


def network() -> tuple[dict[str, Any], Any, np.ndarray]:
    """The example, its program, and the classes of its samples."""
    example = module("network_spaces")
    data, classes = example["spirals"](n=12, turns=0.75, noise=0.0)
    return example, example["model"](data, classes, sizes=example["SIZES"], decay=example["DECAY"]), classes


def loss(p: Any, weights: np.ndarray, classes: np.ndarray) -> float:
    """The objective by hand, of flat weights in the order of the program's inputs."""
    W1, b1, W2, b2 = np.split(weights, [8, 12, 16])
    h = np.tanh(p.evaluate()["h0"] @ W1.reshape(2, 4) + b1)
    margin = classes * (h @ W2.reshape(4, 1) + b2)[:, 0]
    return float(np.mean(np.log1p(np.exp(-margin))) + 1e-2 * (np.sum(W1**2) + np.sum(W2**2)))


@pytest.mark.parametrize("name", ["backpropagation, L-BFGS-B", "backpropagation, gradient", "Lagrange–Newton",
                                  "interior point (Uno)"])  # fmt: skip
def test_every_exact_method_ends_where_shadow_prices_are_adjoints(name: str) -> None:
    example, p, classes = network()
    space, algorithm = example["METHODS"][name]
    trained = example["train"](p, space, algorithm, 1000)
    r = trained.result
    assert r.success, r.message
    found = np.concatenate([r[name].ravel() for name in ("W1", "b1", "W2", "b2")])
    assert r.objective == pytest.approx(loss(p, found, classes), rel=1e-9)
    steps = 1e-5 * np.eye(len(found))
    slope = [(loss(p, found + s, classes) - loss(p, found - s, classes)) / 2e-5 for s in steps]
    assert np.max(np.abs(slope)) < 1e-7
    by_hand, _ = example["backpropagate"](r.at, classes, example["DECAY"])
    for layer in example["activations"](r.at):
        assert np.max(np.abs(by_hand[layer])) > 1e-2
        assert r.multiplier[layer] == pytest.approx(by_hand[layer], abs=1e-8)


def test_what_is_counted_is_what_was_evaluated() -> None:
    example, p, _ = network()
    import lagrange_ad as la

    class Asks(la.optimizers.Algorithm):
        takes = frozenset({"equalities"})

        def _run(self, problem: Any, settings: Any, monitor: Any) -> Any:
            monitor.step(problem.x0, problem.objective(problem.x0), 0.0)
            for _ in range(3):
                problem.jacobian_matrix(problem.x0)
            problem.hessian_matrix(problem.x0, 1.0, np.zeros(problem.m))
            monitor.step(problem.x0, problem.objective(problem.x0), 0.0)
            return la.optimizers.Answer(problem.x0, "iterations", "enough", np.zeros(problem.m), np.zeros(problem.n))

    trained = example["train"](p, "full", Asks(), 10)
    assert trained.counts == {"objective": 2, "jacobian": 3, "hessian": 1}
    assert trained.way[:, 0].tolist() == [1, 6]


def test_arrow_and_hurwicz_come_near_though_violations_follow_the_weights() -> None:
    """The penalty must not grow while the weights have a long way to go, or steps get no length."""
    example, p, _ = network()
    trained = example["train"](p, "full", example["METHODS"]["Arrow–Hurwicz"][1], 6000)
    assert trained.result.at.objective < 0.384
    assert trained.left[0] < 1e-2 and trained.mismatch < 2e-3


def test_full_space_finds_what_backpropagation_finds() -> None:
    """The interior point's weights give what its activations say, and the loss of a run in reduced space."""
    example, p, _ = network()
    full, reduced = (example["train"](p, *example["METHODS"][name], 1000)
                     for name in ("interior point (Uno)", "backpropagation, L-BFGS-B"))
    assert full.result.at.objective == pytest.approx(full.result.objective, rel=1e-9)
    assert full.result.objective == pytest.approx(reduced.result.objective, rel=1e-6)
    assert full.counts["gradient"] < reduced.counts["gradient"] and full.counts["hessian"] > 0


def test_network_spaces_prints(tmp_path: Path) -> None:
    printed = run(tmp_path, "network_spaces", "--iterations", "600")
    rows = re.findall(r"^(\S.+?)  +(17|233) +(\d+) .* (yes|no) +\S+$", printed, re.MULTILINE)
    assert [row[0] for row in rows] == list(module("network_spaces")["METHODS"])
    assert [row[1] for row in rows] == ["17", "17", "233", "233", "233", "233"]
    assert [row[3] for row in rows] == ["yes", "yes", "yes", "yes", "no", "no"]
    differences = [float(x) for x in re.findall(r" [uh]\d .* (\S+)$", printed, re.MULTILINE)]
    assert len(differences) == 12 and max(differences) < 1e-14
    assert "Backpropagation is the Lagrangian solved in one order" in printed


# certified regressions in full space ---------------------------------------------------------------------------------


def test_nist_in_full_and_in_reduced_space(tmp_path: Path) -> None:
    printed = run(tmp_path, "nist_constrained", "Misra1a", "DanWood", "Roszman1", "Rat43")
    for way in ("lagrange-newton", "lagrange-newton, reduced"):
        assert f"\n{way}: 8 of 8 to 6 digits\n" in printed
    assert "in full space by none of them: nothing\n" in printed
    assert re.search(r"^uno: . of 8 .*; not .*Rat43 from start 1", printed, re.MULTILINE)  # what fails is said
    counted = re.search(r"(\d+) of 32 fits are NIST's, (\d+) of them certified", printed)
    assert counted is not None and counted[1] == counted[2] and int(counted[1]) >= 28
    apart = re.search(r"largest relative difference (\S+)", printed)
    assert apart is not None and float(apart[1]) < 1e-10


def test_nist_far_starts_lead_to_the_fit_in_one_space_and_elsewhere_in_another() -> None:
    example = module("nist_constrained")
    case = example["read"]("BoxBOD")
    for method, space, fitted in (("uno-sqp", "full", True), ("lagrange-newton", "full", False),
                                  ("lagrange-newton", "reduced", True)):
        r = example["fit"](case, case.starts[0], method, space)
        assert (example["reached"](case, case.starts[0], r) > 6) == fitted
        found = boxbod(r["b"] * case.starts[0], case.x) - case.y
        assert r["residual"] == pytest.approx(found, abs=1e-9)
        assert not fitted or r.multiplier["residual"] == pytest.approx(2 * found, rel=1e-9)


def boxbod(b: np.ndarray, x: np.ndarray) -> np.ndarray:
    """BoxBOD, by hand."""
    return np.asarray(b[0] * (1 - np.exp(-b[1] * x)))
