"""Weights shared by two layers: the tie is an equation, and its multiplier is what the tie costs.

    h_1 = tanh(X V + a)      h_2 = tanh(h_1 W1 + b)      h_3 = tanh(h_2 W2 + c)      u = h_3 w + d      W2 = W1

Weight sharing is usually a rule for adding gradients. As an equation among the others it needs no rule: W2 is a
variable, W2 = W1 + E its equation, and back-substitution through it adds what W2 is worth to the gradient in W1. At an
optimum of the inputs its multiplier λ, one number a weight, has a meaning of its own. By the envelope theorem it is

    λ = dJ*/dE        the change of the best loss per unit by which the two weights may differ

shown here by re-optimising with E = −s λ: for small s the loss falls by s |λ|². Where |λ| is large the tie is dear; the
loss of the network without the tie, started at the tied optimum, says what it costs in all. And since ∂L/∂W1 = 0,
the direct gradient in W1 is exactly −λ: the two layers pull the one matrix in opposite directions.

Sources: Y. LeCun, "A theoretical framework for back-propagation" (1988), where shared weights are equality
constraints; D. Rumelhart, G. Hinton and R. Williams (1986). Run it:
``python examples/network_shared.py --plot tie.png``
"""

import argparse

import numpy as np
from network import spirals
from pages import table
from scipy.optimize import OptimizeResult, minimize

import lagrange_ad as la

UNITS, DECAY = 6, 1e-3
DATA, CLASSES = spirals(n=50, turns=0.9)


def model(tied: bool = True, seed: int = 0) -> la.Program:
    """The network; without the tie W2 is an input of its own."""
    random = np.random.default_rng(seed)
    p = la.Program("tied" if tied else "not tied")
    v = p.input("V", 2 * random.standard_normal((2, UNITS)))
    w1 = p.input("W1", random.standard_normal((UNITS, UNITS)) / UNITS**0.5)
    w = p.input("w", random.standard_normal(UNITS) / UNITS**0.5)
    a, b, c = (p.input(name, np.zeros(UNITS)) for name in "abc")
    d = p.input("d", 0.0)
    if tied:
        w2 = p.variable("W2", shape=(UNITS, UNITS))
        p.equate(w2, w1 + p.parameter("E", np.zeros((UNITS, UNITS))), name="tie")
    else:
        w2 = p.input("W2", np.zeros((UNITS, UNITS)))
    h1 = p.define("h1", np.tanh(DATA @ v + a))
    h2 = p.define("h2", np.tanh(h1 @ w1 + b))
    h3 = p.define("h3", np.tanh(h2 @ w2 + c))
    loss = np.mean(np.logaddexp(0.0, -CLASSES * (h3 @ w + d)))
    p.minimize(loss + DECAY * (np.sum(v**2) + np.sum(w1**2) + np.sum(w2**2) + np.sum(w**2)))
    return p


def optimum(p: la.Program, steps: int, **values: np.ndarray) -> tuple[la.Point, OptimizeResult]:
    """The best point that BFGS finds from the given inputs and parameters."""
    p.set(values)
    view = p.reduced()
    options = {"maxiter": steps, "gtol": 1e-7}
    found = minimize(view.value_and_gradient, view.x0, jac=True, method="BFGS", options=options)
    return p.evaluate(view.split(found.x)), found


def direct_gradient(at: la.Point) -> np.ndarray:
    """∂J/∂W1 with W2 held: through h_2 and the decay, by hand."""
    return at["h1"].T @ (at.multiplier["h2"] * (1 - at["h2"] ** 2)) + 2 * DECAY * at["W1"]


def draw(path: str, lam: np.ndarray, scales: np.ndarray, gains: np.ndarray) -> None:
    from pages import BLUE, GREY, canvas

    with canvas(path, columns=2, size=(7.2, 3.2)) as (left, right):
        top = np.abs(lam).max()
        image = left.imshow(lam, cmap="RdBu_r", vmin=-top, vmax=top)
        left.set(xlabel="to unit", ylabel="from unit", title="multiplier of W2 = W1", xticks=range(UNITS),
                 yticks=range(UNITS))
        left.figure.colorbar(image, ax=left, shrink=0.85).outline.set_visible(False)
        right.loglog(scales, scales * np.sum(lam**2), color=GREY, linestyle="--", label="promised: $s\\,|\\lambda|^2$")
        right.loglog(scales, gains, "o", color=BLUE, label="gained, re-optimised")
        right.set(xlabel="$s$, for $E=-s\\lambda$", ylabel="fall of the loss", title="what loosening the tie gains")
        right.legend()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Weights tied by an equation, and what the tie costs.")
    parser.add_argument("--steps", type=int, default=3000, help="most steps of BFGS (default 3000)")
    parser.add_argument("--scales", type=int, default=6, help="how many E = −s λ are tried (default 6)")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib)")
    options = parser.parse_args(arguments)
    p = model()
    start = p.evaluate()
    parts = direct_gradient(start) + start.multiplier["tie"]
    print(f"gradient in W1 = direct part + λ of the tie: difference {np.max(np.abs(start.gradient['W1'] - parts)):.1e}")
    at, found = optimum(p, options.steps)
    lam = at.multiplier["tie"]
    print(f"tied optimum: objective {at.objective:.8f} after {found.nit} steps, largest gradient "
          f"{np.max(np.abs(found.jac)):.1e}, |λ| {np.linalg.norm(lam):.5f}")
    inputs, rows, gains = {name: at[name] for name in at.gradient if name != "E"}, [], []
    scales = np.geomspace(0.1, 300.0, options.scales)
    for scale in scales:
        moved, _ = optimum(p, options.steps, **inputs, E=-scale * lam)
        gains.append(at.objective - moved.objective)
        rows.append([f"{scale:.2f}", f"{scale * np.sum(lam**2):.6e}", f"{gains[-1]:.6e}",
                     f"{gains[-1] / (scale * np.sum(lam**2)):.4f}"])
    print(table("\nE = −s λ, inputs re-optimised", ["s", "promised s·|λ|²", "gained", "ratio"], rows))
    free, _ = optimum(model(tied=False), options.steps, **inputs, W2=at["W2"])
    print(f"without the tie: objective {free.objective:.8f}; the tie costs {at.objective - free.objective:.8f} in all")
    if options.plot:
        draw(options.plot, lam, scales, np.array(gains))


if __name__ == "__main__":
    main()
