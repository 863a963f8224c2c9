"""A neural network as equality constraints, layer by layer: its multipliers are the errors that backpropagation sends.

    u_k = h_{k−1} W_k + b_k        h_k = tanh u_k        h_0 = the data        J = mean log(1 + exp(−t·u_last))

Each layer is an equation, one row a sample. Stationarity of L = J + Σ λ·(right − left) in u_k and h_k is the backward
pass, here by hand (``backpropagate``) and by the library, and what is left at the inputs is the gradient:

    λ(h_k) = λ(u_{k+1}) W_{k+1}ᵀ     λ(u_k) = λ(h_k) ⊙ (1 − h_k²)     dJ/dW_k = h_{k−1}ᵀ λ(u_k)     dJ/db_k = Σ λ(u_k)

So a sample's multiplier at the last layer tells how much it still pulls at the network: −t/(1 + exp(t·u))/n, large near
the boundary, nothing far from it. The data are two spirals made by a seeded formula (K. Lang and M. Witbrock, 1988).

Source: Y. LeCun, "A theoretical framework for back-propagation" (1988), from which this reading of a network comes.
Run it: ``python examples/network.py --plot spirals.png``
"""

import argparse
from itertools import pairwise

import numpy as np
from pages import table
from scipy.optimize import minimize

import lagrange_ad as la

SIZES = (2, 16, 16, 1)
DECAY = 1e-4
LAST = len(SIZES) - 1


def spirals(n: int = 100, turns: float = 1.75, noise: float = 0.02, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """n points on each of two spirals, (2n, 2), and their classes ±1."""
    random = np.random.default_rng(seed)
    radius = np.sqrt(np.linspace(0.02, 1, n))
    arm = np.stack([radius * np.cos(2 * np.pi * turns * radius), radius * np.sin(2 * np.pi * turns * radius)], axis=1)
    return np.concatenate([arm, -arm]) + noise * random.standard_normal((2 * n, 2)), np.repeat([1.0, -1.0], n)


def model(data: np.ndarray, classes: np.ndarray, seed: int = 0, sizes: tuple[int, ...] = SIZES,
          decay: float = DECAY) -> la.Program:
    """The network on given data; weights are inputs, a small decay keeps them finite."""
    random = np.random.default_rng(seed)
    p = la.Program("network")
    h, penalty = p.parameter("h0", data), 0.0
    for k, (m, n) in enumerate(pairwise(sizes), start=1):
        weight = p.input(f"W{k}", random.standard_normal((m, n)) * (2.0 if k == 1 else m**-0.5))
        bias = p.input(f"b{k}", random.uniform(-1, 1, n) if k == 1 else np.zeros(n))
        u = p.define(f"u{k}", h @ weight + bias)
        penalty = penalty + np.sum(weight**2)
        if k < len(sizes) - 1:
            h = p.define(f"h{k}", np.tanh(u))
    p.minimize(np.mean(np.logaddexp(0.0, -classes * u[:, 0])) + decay * penalty)
    return p


def depth(at: la.Point) -> int:
    """How many layers a network has."""
    return sum(name.startswith("W") for name in at.gradient)


def backpropagate(at: la.Point, classes: np.ndarray,
                  decay: float = DECAY) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """By hand: the errors of all layers, and the gradients of weights and biases."""
    last = depth(at)
    margin = classes[:, None] * at[f"u{last}"]
    errors = {f"u{last}": -classes[:, None] / (1 + np.exp(margin)) / len(classes)}
    gradients: dict[str, np.ndarray] = {}
    for k in range(last, 0, -1):
        error, weight = errors[f"u{k}"], at[f"W{k}"]
        gradients[f"W{k}"] = at[f"h{k - 1}"].T @ error + 2 * decay * weight
        gradients[f"b{k}"] = error.sum(axis=0)
        if k > 1:
            errors[f"h{k - 1}"] = error @ weight.T
            errors[f"u{k - 1}"] = errors[f"h{k - 1}"] * (1 - at[f"h{k - 1}"] ** 2)
    return errors, gradients


def differences(at: la.Point, classes: np.ndarray) -> list[tuple[str, str, np.ndarray, float]]:
    """Every multiplier and gradient: its name, what it is, what it is by hand, and the largest difference."""
    errors, gradients = backpropagate(at, classes)
    pairs = [(name, "multiplier", at.multiplier[name], error) for name, error in errors.items()]
    pairs += [(name, "gradient", at.gradient[name], gradient) for name, gradient in gradients.items()]
    return [(name, what, by_hand, float(np.max(np.abs(ours - by_hand)))) for name, what, ours, by_hand in pairs]


def weights(at: la.Point) -> dict[str, np.ndarray]:
    """The inputs by name: all that can be differentiated for, but the data."""
    return {name: at[name] for name in at.gradient if name != "h0"}


def accuracy(at: la.Point, classes: np.ndarray) -> float:
    return float(np.mean(np.sign(at[f"u{depth(at)}"][:, 0]) == classes))


def draw(path: str, at: la.Point, classes: np.ndarray, curves: dict[str, list[float]]) -> None:
    from pages import BLUE, GREY, ORANGE, RED, canvas

    side = np.linspace(-1.25, 1.25, 160)
    mesh = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    field = model(mesh, np.ones(len(mesh))).evaluate(weights(at))[f"u{LAST}"]
    pull = np.abs(at.multiplier[f"u{LAST}"][:, 0])
    with canvas(path, columns=2, size=(7.6, 3.6)) as (left, right):
        left.contourf(side, side, np.tanh(field.reshape(160, 160) / 4), levels=20, cmap="RdBu", alpha=0.55)
        left.contour(side, side, field.reshape(160, 160), levels=[0.0], colors="black", linewidths=0.9)
        for sign, colour in ((1.0, BLUE), (-1.0, RED)):
            chosen = classes == sign
            left.scatter(*at["h0"][chosen].T, s=4 + 60 * pull[chosen] / pull.max(), color=colour, edgecolor="white",
                         linewidth=0.4)  # fmt: skip
        left.set(aspect="equal", xticks=[], yticks=[], title="decision; a point as large as its multiplier")
        left.spines[:].set_visible(False)
        for (name, losses), colour in zip(curves.items(), (GREY, ORANGE, BLUE), strict=True):
            right.semilogy(losses, color=colour, label=name)
        right.set(xlabel="step", ylabel="objective", title="training")
        right.legend()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A network as equality constraints, trained on two spirals.")
    parser.add_argument("--steps", type=int, default=400, help="steps of each optimizer (default 400)")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib)")
    options = parser.parse_args(arguments)
    data, classes = spirals()
    p = model(data, classes)
    found = differences(p.evaluate(), classes)
    rows = [[name, what, f"{by_hand.shape}", f"{np.max(np.abs(by_hand)):.3e}", f"{worst:.1e}"]
            for name, what, by_hand, worst in found]
    print(table("multipliers and backpropagation by hand", ["of", "what", "shape", "largest", "difference"], rows))
    print(f"largest difference {max(row[-1] for row in found):.1e}; values and gradient together take "
          f"{p.schedule.operations.ratio:.2f} × the operations of the values\n")

    runs = {name: p.descend(steps=options.steps, method=method, line_search="armijo", progress=False)
            for name, method in (("steepest descent", "gradient"), ("Barzilai–Borwein", "barzilai-borwein"))}
    view, quasi = p.reduced(), [p.evaluate().objective]
    best = minimize(view.value_and_gradient, view.x0, jac=True, method="L-BFGS-B", options={"maxiter": options.steps},
                    callback=lambda x: quasi.append(view.value(x)))
    at = p.evaluate(view.split(best.x))
    unseen, truth = spirals(seed=1)
    rows = []
    for name, steps, point in (*((name, run.steps, run.at) for name, run in runs.items()), ("L-BFGS-B", best.nit, at)):
        other = model(unseen, truth).evaluate(weights(point))
        rows.append([name, f"{steps}", f"{point.objective:.5f}", f"{accuracy(point, classes):.1%}",
                     f"{accuracy(other, truth):.1%}"])
    print(table("training", ["by", "steps", "objective", "correct", "with other noise"], rows))
    print(f"largest difference after training: {max(row[-1] for row in differences(at, classes)):.1e}")
    if options.plot:
        curves = {name: [record.objective for record in run.history] for name, run in runs.items()}
        draw(options.plot, at, classes, {**curves, "L-BFGS-B (SciPy)": quasi})


if __name__ == "__main__":
    main()
