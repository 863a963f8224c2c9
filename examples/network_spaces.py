"""One network, trained in the space of its weights and in that of weights and activations: what each way costs.

    h_k = tanh(h_{k−1} W_k + b_k)  for k < K        h_K = h_{K−1} W_K + b_K        J = mean log(1 + exp(−t·h_K)) + decay

``network.py`` reads backpropagation as stationarity of L = J + Σ λ·(right − left): in λ it is the forward pass, in h
the backward pass, both solved exactly at every step. That is reduced space: the equations are substitutions, the
weights are all that is searched for. But L is the Lagrangian of a constrained problem in weights and activations
together, and other algorithms let activations and multipliers wander, and make the equations hold at the end only:

    reduced                  backpropagation gives dJ/dW, a quasi-Newton method or a trust region the step
    full, second order       Newton's method on all of ∇L = 0 at once (an interior point without bounds; SQP), sparse
    Arrow–Hurwicz            weights and activations go down L, multipliers go up: no pass in any order, each equation
                             only ever looks at its neighbours; what backpropagation solves in one sweep, this iterates
    auxiliary coordinates    no multipliers: equations are quadratic penalties μ/2·|right − left|², weights (layer by
                             layer, independent of each other) and activations (sample by sample) take turns, μ grows

The loss in full space means nothing until the equations hold, so the table has the loss of the weights found, with the
activations that they really give ("forward"). Evaluations are counted on the way into the algorithm: values of the
objective, gradients of it, Hessians or products with one. Seconds depend on the machine; the picture has the course.

What to expect: for a chain that is cheap to evaluate, elimination wins, which is why everybody trains so. Second order
in full space takes few iterations, each with a factorization as large as the data; it is at home where equations are
hard to solve at every point. The two others need many times the evaluations; what they have is that no pass goes
through the layers in turn, so that every equation could be looked after by a machine of its own.

Sources: K. Arrow, L. Hurwicz, H. Uzawa (1958); Y. LeCun (1988); M. Carreira-Perpiñán, W. Wang, "Distributed
optimization of deeply nested systems" (2014). Run it: ``python examples/network_spaces.py --plot spaces.png``
"""

import argparse
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from network import spirals
from pages import table

import lagrange_ad as la
from lagrange_ad import optimizers
from lagrange_ad.optimizers import Answer, Monitor, Problem, Settings

SIZES = (2, 6, 6, 1)
DECAY = 1e-3
KEPT = 300
"""So many points of a run are kept for the picture."""


def model(data: np.ndarray, classes: np.ndarray, seed: int = 0) -> la.Program:
    """The network, one equation a layer: in full space the activations of all samples are unknowns."""
    random = np.random.default_rng(seed)
    p = la.Program("network")
    h, penalty, last = p.parameter("h0", data), 0.0, len(SIZES) - 1
    for k, (m, n) in enumerate(pairwise(SIZES), start=1):
        weight = p.input(f"W{k}", random.standard_normal((m, n)) * (2.0 if k == 1 else m**-0.5))
        bias = p.input(f"b{k}", random.uniform(-1, 1, n) if k == 1 else np.zeros(n))
        u = h @ weight + bias
        h = p.define(f"h{k}", np.tanh(u) if k < last else u)
        penalty = penalty + np.sum(weight**2)
    p.minimize(np.mean(np.logaddexp(0.0, -classes * h[:, 0])) + DECAY * penalty)
    return p


# counting -----------------------------------------------------------------------------------------------------------


class Counted(Problem):
    """A problem that counts how often an algorithm asks."""

    def __init__(self, problem: Problem, counts: Counter[str]) -> None:
        self.problem, self.counts = problem, counts

    def __getattribute__(self, name: str) -> Any:
        if name in ("problem", "counts", "__class__", "__dict__"):
            return object.__getattribute__(self, name)
        if name in ("objective", "gradient", "hessian", "hessian_product"):
            self.counts["hessian" if name == "hessian_product" else name] += 1
        return getattr(self.problem, name)


@dataclass(frozen=True)
class Counting(optimizers.Algorithm):
    """Another algorithm on a problem that counts: how a user puts an algorithm of their own into ``p.optimize``."""

    inner: optimizers.Algorithm = field(default_factory=optimizers.LBFGSB)
    counts: Counter[str] = field(default_factory=Counter)

    def run(self, problem: Problem, settings: Settings, monitor: Monitor) -> Answer:
        return self.inner.run(Counted(problem, self.counts), settings, monitor)


# training -----------------------------------------------------------------------------------------------------------

WAYS: dict[str, tuple[optimizers.Algorithm, str]] = {
    "L-BFGS-B": (optimizers.LBFGSB(), "reduced"),
    "trust region": (optimizers.TrustKrylov(), "reduced"),
    "interior point": (optimizers.Uno(), "full"),
    "SQP": (optimizers.LagrangeNewton(), "full"),
    "Arrow–Hurwicz": (optimizers.ArrowHurwicz(penalty=0.03), "full"),
    "auxiliary coordinates": (optimizers.AuxiliaryCoordinates(shifted=False, turns=2000), "full"),
}


@dataclass
class Trained:
    """How a run ended, what it cost, and its course: seconds and forward losses."""

    way: str
    space: str
    reason: str
    iterations: int
    counts: Counter[str]
    seconds: float
    objective: float
    forward: float
    infeasibility: float
    course: list[tuple[float, float]]


def weights(at: Any, p: la.Program) -> dict[str, Any]:
    """Weights and biases by name."""
    return {name: at[name] for name, symbol in p.symbols.items() if symbol.kind == "input"}


def train(p: la.Program, way: str, seconds: float) -> Trained:
    """One way of training, for some seconds at most; where it did not arrive, its last point counts."""
    algorithm, space = WAYS[way]
    counts: Counter[str] = Counter()
    records: list[Any] = []
    r = p.optimize(Counting(algorithm, counts), space=space, tolerance=1e-6, max_iterations=100_000,
                   time_limit=seconds, callback=records.append, progress=False)
    end = r if r.reason == "solved" else records[-1]
    at = r if r.reason == "solved" else records[-1].at
    kept = records[:: max(1, len(records) // KEPT)]
    course = [(record.seconds, p.evaluate(weights(r.view.split(record.x), p)).objective) for record in kept]
    return Trained(way, space, r.reason, r.iterations, counts, r.seconds, end.objective,
                   p.evaluate(weights(at, p)).objective, end.infeasibility, course)


def row(t: Trained) -> list[str]:
    """A line of the table."""
    end = {"solved": "arrived", "time": "out of time"}.get(t.reason, t.reason)
    counts = [f"{t.counts[name]}" for name in ("objective", "gradient", "hessian")]
    return [t.way, t.space, end, f"{t.iterations}", *counts, f"{t.seconds:.2f}",
            f"{t.objective:.4f}", f"{t.forward:.4f}", f"{t.infeasibility:.0e}"]


def draw(path: str, runs: list[Trained]) -> None:
    from pages import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, canvas

    with canvas(path, size=(6.4, 3.8)) as axes:
        for t, colour in zip(runs, (BLUE, GREEN, ORANGE, RED, GREY, PURPLE), strict=True):
            when, loss = np.transpose(t.course)
            axes.loglog(np.maximum(when, 1e-3), loss, color=colour, linestyle="-" if t.space == "reduced" else "--",
                        label=f"{t.way} ({t.space})")
        axes.set(xlabel="seconds", ylabel="loss of the weights, forward", title="one network, two spaces")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A network trained in reduced and in full space.")
    parser.add_argument("--seconds", type=float, default=10.0, help="most seconds of each way (default 10)")
    parser.add_argument("--points", type=int, default=20, help="points on each spiral (default 20)")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib)")
    options = parser.parse_args(arguments)
    p = model(*spirals(options.points, turns=1.0))
    full = p.full()
    print(f"{len(p.reduced().x0)} weights, {len(full.x0) - len(p.reduced().x0)} activations with as many equations; "
          f"loss at the start {p.evaluate().objective:.4f}\n")
    runs = [train(p, way, options.seconds) for way in WAYS]
    headings = ["way", "space", "end", "iterations", "values", "gradients", "Hessians", "seconds", "loss", "forward",
                "infeasible"]
    print(table("training", headings, [row(t) for t in runs]))
    print("\nloss: of the activations where the run ended; forward: of those that its weights give.")
    best = min(runs, key=lambda t: t.forward)
    for t in runs:
        if t.forward > 1.05 * best.forward:
            print(f"{t.way} is {t.forward / best.forward:.1f} × the loss of {best.way} after {t.seconds:.1f} s and "
                  f"{t.counts['gradient']} gradients")
    if options.plot:
        draw(options.plot, runs)


if __name__ == "__main__":
    main()
