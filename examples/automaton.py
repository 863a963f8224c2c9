"""A weighted finite-state machine: the weight of all its paths is a linear cycle, its gradient counts their edges.

The machine writes ha, haha, haaa!, … A path from the first state to the last weighs the product of its edges' weights;
loops make infinitely many paths. Their total weight Z needs one unknown a state, the weight β of all ways on from it:

    β_s = final_s + Σ_{e: s → t} w_e β_t            Z = β_first

The multiplier of state s's equation is α_s, the weight of all ways into s, so back-substitution through this cycle is
the forward algorithm (β's own is the backward one), and what is left at the weights counts edges:

    ∂Z/∂w_e = α_s β_t = E[count of e] · Z / w_e

with E over paths in proportion to their weights. This is checked by writing paths out, one by one, until those left
weigh less than 1e-12 together: from a state that is left with rows of weights adding up to at most ρ < 1, all ways on
weigh at most max(final)/(1 − ρ).

Sources: M. Mohri, "Weighted automata algorithms" (2009); J. Eisner, "Inside-outside and forward-backward algorithms
are just backprop" (2016). Run it: ``python examples/automaton.py --plot machine.png``
"""

import argparse
from dataclasses import dataclass

import numpy as np
from pages import table

import lagrange_ad as la

STATES = ("start", "h", "a", "end")
FINAL = np.array([0.0, 0.0, 0.4, 1.0])
EDGES = (
    ("start", "h", 1.0), ("h", "a", 0.7), ("h", "h", 0.02), ("a", "a", 0.04), ("a", "h", 0.03), ("a", "end", 0.3),
    ("end", "end", 0.1),
)  # fmt: skip
"""(from, to, weight); the letter written is the state's, ! at the end."""
SOURCE = np.array([STATES.index(edge[0]) for edge in EDGES])
TARGET = np.array([STATES.index(edge[1]) for edge in EDGES])
NAMES = [f"{source} → {target}" for source, target, _ in EDGES]


def model() -> la.Program:
    """Z of the machine, its edges' weights the inputs."""
    p = la.Program("automaton")
    w = p.input("w", [edge[2] for edge in EDGES], lower=0, labels=NAMES)
    beta = p.variable("beta", shape=len(STATES), labels=STATES)
    p.equate(beta, FINAL + np.bincount(SOURCE, weights=w * beta[TARGET], minlength=len(STATES)))
    p.maximize(p.define("Z", beta[0]))
    return p


@dataclass
class Enumeration:
    """Paths written out: how many, their weight, the weight times the count of each edge, a bound on what is left."""

    paths: int
    total: float
    counted: np.ndarray
    left: float


def enumerate_paths(weights: np.ndarray, smallest: float) -> Enumeration:
    """Every path, the way on from a prefix given up once all of it weighs less than ``smallest``."""
    row_sums = np.bincount(SOURCE, weights=weights, minlength=len(STATES))
    bound = FINAL.max() / (1 - row_sums[1:].max())  # no edge leads back to the start
    out = [[(e, int(TARGET[e]), float(weights[e])) for e in np.flatnonzero(SOURCE == s)] for s in range(len(STATES))]
    found, counts = Enumeration(0, 0.0, np.zeros(len(EDGES)), 0.0), [0] * len(EDGES)
    stack: list[tuple[int, float, list[int]]] = [(0, 1.0, counts)]
    while stack:
        state, weight, counts = stack.pop()
        if FINAL[state]:
            found.paths += 1
            found.total += weight * FINAL[state]
            found.counted += weight * FINAL[state] * np.array(counts)
        for e, target, factor in out[state]:
            if weight * factor * bound < smallest:
                found.left += weight * factor * bound
            else:
                stack.append((target, weight * factor, [*counts[:e], counts[e] + 1, *counts[e + 1 :]]))
    return found


PLACES = {"start": (0.0, 0.0), "h": (2.0, 0.0), "a": (4.0, 0.0), "end": (6.0, 0.0)}


def draw(path: str, at: la.Point, counts: np.ndarray) -> None:
    from pages import BLUE, canvas

    with canvas(path, size=(6.6, 2.35)) as axes:
        for (source, target, weight), count in zip(EDGES, counts, strict=True):
            edge(axes, source, target, f"{weight:g}", count)
        for state, (x, y) in PLACES.items():
            axes.plot(x, y, "o", markersize=34, markerfacecolor="white", markeredgecolor=BLUE, markeredgewidth=1.4)
            if FINAL[STATES.index(state)]:
                axes.plot(x, y, "o", markersize=29, markerfacecolor="none", markeredgecolor=BLUE, markeredgewidth=0.8)
            axes.text(x, y, state, ha="center", va="center")
            alpha, beta = (part["beta"][STATES.index(state)] for part in (at.multiplier, at))
            axes.text(x, y - 0.62, f"α = {alpha:.3f}\nβ = {beta:.3f}", ha="center", va="top", fontsize=7.5)
        axes.set(xlim=(-0.7, 6.7), ylim=(-1.2, 1.05), aspect="equal",
                 title=f"weight (expected count) of every edge;  Z = {at['Z']:.6f}")
        axes.axis("off")


def edge(axes, source: str, target: str, weight: str, count: float) -> None:  # type: ignore[no-untyped-def]
    """An arrow as wide as the edge is used, with its weight and count."""
    from matplotlib.patches import FancyArrowPatch
    from pages import BLUE, RED

    (x, y), (u, _), loop = PLACES[source], PLACES[target], source == target
    ends, bend = (((x - 0.17, 0.26), (x + 0.17, 0.26)), -2.3) if loop else (((x, y), (u, y)), -0.25)
    axes.add_patch(FancyArrowPatch(
        *ends, connectionstyle=f"arc3,rad={bend}", arrowstyle="-|>", mutation_scale=9, color=RED if loop else BLUE,
        linewidth=0.7 + 2.2 * min(count, 1.0), shrinkA=0 if loop else 19, shrinkB=0 if loop else 19, zorder=0,
    ))  # fmt: skip
    height = 0.86 if loop else 0.42 if x < u else -0.42
    axes.text((x + u) / 2, height, f"{weight} ({count:.3f})", ha="center", va="center", fontsize=7.5)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A weighted finite-state machine and its expected edge counts.")
    parser.add_argument("--smallest", type=float, default=1e-17, help="give up on prefixes that weigh less")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib)")
    options = parser.parse_args(arguments)
    p = model()
    at = p.evaluate()
    weights, gradient = at["w"], at.gradient["w"]
    counts = weights * gradient / at["Z"]
    print(at, "\n")
    paths = enumerate_paths(weights, options.smallest)
    rows = [[name, f"{w:g}", f"{slope:.9f}", f"{by_paths / w:.9f}", f"{count:.9f}"] for name, w, slope, by_paths, count
            in zip(NAMES, weights, gradient, paths.counted, counts, strict=True)]  # fmt: skip
    print(table("edges", ["edge", "weight", "dZ/dw", "by paths written out", "expected count"], rows))
    print(f"Z = {at['Z']:.15f}")
    print(f"    {paths.total:.15f} by {paths.paths} paths; those left weigh less than {paths.left:.1e}")
    print(f"largest difference of w·dZ/dw: {np.max(np.abs(weights * gradient - paths.counted)):.1e}")
    if options.plot:
        draw(options.plot, at, counts)


if __name__ == "__main__":
    main()
