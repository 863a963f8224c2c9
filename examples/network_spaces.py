"""One network, trained in four ways: what its activations' equations are to an optimizer, and what that costs.

    minimize J(W, z)   subject to   z = f(z, W)        L = J + Σ λ·(f − z)

Activations z are determined by weights W, so there is a choice. All methods look for the same point, where all three
derivatives of L are zero, and differ in which of them hold on the way:

    ∂L/∂λ = 0  the equations hold         ∂L/∂z = 0  λ are the adjoints         ∂L/∂W = 0  nothing is left to gain

- Reduced space, backpropagation: the first is solved forward, the second backward, at every W; optimizers see W only.
- Full space: activations are unknowns, their equations constraints; Newton's method solves all three at once, sparse.
- Arrow and Hurwicz: W and z go down L, λ goes up, a little at a time; nothing is solved.
- Auxiliary coordinates: equations are penalties; activations and weights take turns, each alone an easier problem.

Every method begins at the same weights with the activations these give, and all it asks of the program is counted.

Sources: Y. LeCun, "A theoretical framework for back-propagation" (1988); K. Arrow, L. Hurwicz, H. Uzawa, "Studies in
linear and non-linear programming" (1958); M. Carreira-Perpiñán, W. Wang, "Distributed optimization of deeply nested
systems" (2014). Run it: ``python examples/network_spaces.py --plot spaces.png``
"""

import argparse
from collections import Counter
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any

import numpy as np
from network import accuracy, backpropagate, depth, model, spirals
from pages import table

import lagrange_ad as la
from lagrange_ad.optimizers import (
    LBFGSB,
    Algorithm,
    ArrowHurwicz,
    AuxiliaryCoordinates,
    GradientDescent,
    LagrangeNewton,
    Uno,
)

SIZES, DECAY = (2, 4, 1), 1e-2
EVALUATIONS = ("objective", "gradient", "jacobian", "hessian")
"""What is counted. In reduced space a value is a forward pass, a gradient a backward one; in full space a value comes
with what the equations leave, and a gradient mostly with their Jacobian."""
METHODS: dict[str, tuple[str, Algorithm]] = {
    "backpropagation, L-BFGS-B": ("reduced", LBFGSB()),
    "backpropagation, gradient": ("reduced", GradientDescent()),
    "Lagrange–Newton": ("full", LagrangeNewton()),
    "interior point (Uno)": ("full", Uno()),
    "Arrow–Hurwicz": ("full", ArrowHurwicz(penalty=0.1)),
    "auxiliary coordinates": ("full", AuxiliaryCoordinates(penalty=0.01, turns=10)),
}


@dataclass(frozen=True)
class Counted(Algorithm):
    """Another algorithm, all it asks for counted by name."""

    of: Algorithm
    counts: Counter[str] = field(default_factory=Counter)
    name = "counted"
    takes = frozenset({"bounds", "equalities", "inequalities"})

    def _run(self, problem: Any, settings: Any, monitor: Any) -> Any:
        watched = copy(problem)
        for name in EVALUATIONS:
            setattr(watched, name, self._tallied(name, getattr(problem, name)))
        return self.of.run(watched, settings, monitor)

    def _tallied(self, name: str, evaluate: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.counts[name] += 1
            return evaluate(*arguments)

        return call


@dataclass(frozen=True)
class Run:
    """A result, what it took, and its way: (evaluations, loss, infeasibility) an iteration.

    ``left``: the infeasibility and the slope of L where the method itself stopped; ``optimize`` adds Newton steps that
    bring what was solved to rounding.
    """

    result: la.OptimizeResult
    counts: Counter[str]
    way: np.ndarray
    left: tuple[float, float]

    @property
    def mismatch(self) -> float:
        """The largest difference of an equation's multiplier from its adjoint, activations solved at the weights."""
        found, adjoint = self.result.multiplier, self.result.at.multiplier
        return max(float(np.max(np.abs(found[name] - adjoint[name]))) for name in activations(self.result.at))


def activations(at: la.Point) -> list[str]:
    """The names of all layers' equations."""
    last = depth(at)
    return [f"{kind}{k}" for k in range(1, last + 1) for kind in ("u", "h") if (kind, k) != ("h", last)]


def train(p: la.Program, space: str, algorithm: Algorithm, iterations: int) -> Run:
    """Train by one method from the declared weights."""
    counted, way = Counted(algorithm), []

    def note(record: Any) -> None:
        way.append((sum(counted.counts.values()), record.objective, record.infeasibility, record.stationarity))

    result = p.optimize(counted, space=space, max_iterations=iterations, callback=note, progress=False)
    found = np.array(way)
    return Run(result, counted.counts, found[:, :3], (found[-1, 2], found[-1, 3]))


def row(name: str, run: Run) -> list[str]:
    """One line of the table of costs."""
    r, used = run.result, EVALUATIONS if len(run.result.y) else EVALUATIONS[:2]
    counts = [f"{run.counts[name]}" if name in used else "" for name in EVALUATIONS]
    return [name, f"{len(r.x)}", f"{r.iterations}", *counts, f"{r.seconds:.2f}",
            f"{r.at.objective:.6f}", f"{run.left[0]:.0e}", f"{run.left[1]:.0e}", "yes" if r.success else "no",
            f"{run.mismatch:.0e}"]  # fmt: skip


def compared(runs: dict[str, Run], classes: np.ndarray) -> list[list[str]]:
    """Of certified runs, layer by layer: the equations' multipliers, adjoints, and backpropagation by hand."""
    rows = []
    for name, run in runs.items():
        r = run.result
        if r.success:
            by_hand, _ = backpropagate(r.at, classes, DECAY)
            rows += [[name, layer, f"{np.max(np.abs(by_hand[layer])):.6f}",
                      f"{np.max(np.abs(r.multiplier[layer] - r.at.multiplier[layer])):.0e}",
                      f"{np.max(np.abs(r.at.multiplier[layer] - by_hand[layer])):.0e}"] for layer in activations(r.at)]
    return rows


def seen(p: la.Program, runs: dict[str, Run], classes: np.ndarray) -> list[str]:
    """What the tables say, in words, with their numbers; a paragraph each."""
    one, newton = runs["backpropagation, L-BFGS-B"].result, runs["Lagrange–Newton"].result
    saddle, turns = runs["Arrow–Hurwicz"], runs["auxiliary coordinates"]
    start, again = p.evaluate(), p.optimize("lagrange-newton", space="full", start=one, progress=False)
    steepest = max(float(np.max(np.abs(start.gradient[f"W{k}"]))) for k in range(1, depth(start) + 1))
    broken = float(np.max(runs["Lagrange–Newton"].way[:, 2]))
    minima = sorted({f"{run.result.objective:.5f}" for run in runs.values() if run.result.success})
    return [
        "Backpropagation is the Lagrangian solved in one order. At any weights the forward pass makes ∂L/∂λ = 0 and "
        "the backward pass ∂L/∂z = 0, exactly and at once, since layers do not form a cycle. ∂L/∂W is left: the "
        f"gradient, up to {steepest:.2f} at the start, which an optimizer brings to zero over {len(one.x)} unknowns "
        f"instead of {len(newton.x)}. There all three are zero, and an equation's shadow price is its adjoint: "
        "choosing the weights anew would gain nothing. So the multipliers that full-space methods find without any "
        "backward pass are the errors that backpropagation sends. Begun from that end with those adjoints, "
        f"Lagrange–Newton in full space makes {again.iterations} iterations.",
        f"In full space the equations hold at the end only; on the way Lagrange–Newton breaks them by up to "
        f"{broken:.0e}. It has sparse second derivatives for that, and {newton.iterations} iterations instead of the "
        f"{one.iterations} of L-BFGS-B. Each factors a matrix of order {len(newton.x) + len(newton.y)}, which grows "
        "with the samples: for a network, forward and backward are cheaper. It pays where equations are cyclic, where "
        "to solve them is costly or depends on the start, and where there are limits on what they determine.",
        "Arrow–Hurwicz solves nothing: W and z step against ∂L, λ along what equations leave, and a layer asks its "
        f"neighbours alone. That is slow: after {saddle.result.iterations} iterations the slope is "
        f"{saddle.left[1]:.0e}, and equations are left at {saddle.left[0]:.0e}.",
        "Auxiliary coordinates cut the network at its layers: with z held, the weights of every unit are a problem of "
        "their own; with W held, the activations of every sample are. That is work for many machines (here it is "
        "one). While the equations are loose the loss falls below what the network can do; as they get tight the "
        f"turns get short: after {turns.result.iterations} steps the slope is {turns.left[1]:.0e}, and equations are "
        f"left at {turns.left[0]:.0e}.",
        f"Certified are losses of {', '.join(minima) or 'none'}: minima near which a method came, and none promises "
        f"the lowest. The network by L-BFGS-B has {accuracy(one.at, classes):.0%} of the samples right.",
    ]


def draw(path: str, runs: dict[str, Run]) -> None:
    from pages import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, canvas

    with canvas(path, columns=2, size=(9.4, 3.9)) as (left, right):
        for (name, run), colour in zip(runs.items(), (BLUE, GREY, RED, ORANGE, GREEN, PURPLE), strict=True):
            evaluations, loss, infeasible = run.way.T
            left.plot(evaluations, loss, color=colour, label=name)
            left.plot(evaluations[-1], loss[-1], "o" if run.result.success else "x", color=colour)
            if run.result.view.space.name == "full":
                right.plot(evaluations, np.maximum(infeasible, 1e-17), color=colour, linewidth=1.0)
        left.set(xscale="log", xlabel="evaluations of all kinds", ylabel="objective",
                 title="loss (dot: certified; cross: stopped)")
        right.set(xscale="log", yscale="log", xlabel="evaluations of all kinds", ylabel="largest violation",
                  title="what equations leave (full space)")
        right.legend(handles=left.get_lines()[::2], loc="lower right")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A network trained in reduced and in full space.")
    parser.add_argument("--iterations", type=int, default=30000, help="most iterations of a method (default 30000); "
                        "a tenth of it for auxiliary coordinates, whose are dearer")  # fmt: skip
    parser.add_argument("--samples", type=int, default=12, help="points on each of the two spirals (default 12)")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib)")
    options = parser.parse_args(arguments)
    data, classes = spirals(n=options.samples, turns=0.75, noise=0.0)
    p = model(data, classes, sizes=SIZES, decay=DECAY)
    runs = {}
    for name, (space, algorithm) in METHODS.items():
        most = options.iterations // (10 if name == "auxiliary coordinates" else 1)
        runs[name] = train(p, space, algorithm, most)
    headings = ["method", "unknowns", "iterations", "values", "gradients", "Jacobians", "Hessians", "seconds", "loss",
                "equations", "slope", "certified", "|λ − adjoint|"]
    print(table("what it costs, and where it ends", headings, [row(*item) for item in runs.items()]))
    print("\nloss: of the network with the weights found; equations, slope: the largest violation, and entry of ∂L,\n"
          "where the method stopped; λ − adjoint: multipliers of the equations less what backpropagation gives there\n")
    print(table("multipliers of the activations' equations where certified",
                ["method", "layer", "largest", "multiplier − adjoint", "adjoint − by hand"], compared(runs, classes)))
    print("\nWhat one sees\n")
    print("\n\n".join(fill(paragraph, 118) for paragraph in seen(p, runs, classes)))
    if options.plot:
        draw(options.plot, runs)


if __name__ == "__main__":
    main()
