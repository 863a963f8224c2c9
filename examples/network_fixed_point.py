"""A recurrent network settled to a fixed point, trained through it: recurrent backpropagation.

Every unit may feed every other one, itself included. Shown a pattern x, the network settles where

    y = tanh(y W + x U + b)        one row a pattern, a cycle of all units in each        answer = y v

Here it learns the parity of three bits. Bounds on W, |w| ≤ 0.9/units, make a sweep through the units a contraction, so
there is one fixed point whatever is learned, and a network that starts anywhere settles there. (Without them it may
grow several, and remember its answers in the choice between them, not in its weights.)

The network is an equation, not a process: it is solved by Newton's method, and nothing of how it settled is kept. Its
multipliers are one linear solve,

    λ = ∂J/∂y + (λ ⊙ (1 − y²)) Wᵀ

which is the error-propagation network of Pineda and of Almeida: they let it settle too, by going round in this
equation; that is done here by hand (``relaxed``) and compared, and the gradient is compared with differences of
re-settled networks. The figure shows the network as a process: each sweep computes all units from the last state.

Sources: F. Pineda, "Generalization of back-propagation to recurrent neural networks" (1987); L. Almeida (1987);
Y. LeCun, "A theoretical framework for back-propagation" (1988). Run it:
``python examples/network_fixed_point.py --plot settled.png``
"""

import argparse

import numpy as np
from pages import table

import lagrange_ad as la

UNITS, DECAY, MOST = 5, 1e-4, 0.9
BITS = np.array([[i >> k & 1 for k in (2, 1, 0)] for i in range(8)]) * 2.0 - 1.0
PARITY = np.prod(BITS, axis=1)


def model(seed: int = 0) -> la.Program:
    """The network on all eight patterns."""
    random = np.random.default_rng(seed)
    p, reach = la.Program("fixed point"), MOST / UNITS
    w = p.input("W", random.uniform(-reach, reach, (UNITS, UNITS)), lower=-reach, upper=reach)
    u = p.input("U", random.standard_normal((3, UNITS)))
    b = p.input("b", 0.5 * random.standard_normal(UNITS))
    v = p.input("v", 0.5 * random.standard_normal(UNITS))
    y = p.variable("y", shape=(len(BITS), UNITS), start=0.0)
    p.equate(y, np.tanh(y @ w + BITS @ u + b))
    p.minimize(np.mean((y @ v - PARITY) ** 2) + DECAY * sum(np.sum(x**2) for x in (w, u, b, v)))
    return p


def relaxed(at: la.Point, sweeps: int) -> np.ndarray:
    """λ by going round in its own equation, as the error-propagation network does."""
    y, w = at["y"], at["W"]
    outer = np.outer(2 * (y @ at["v"] - PARITY) / len(BITS), at["v"])
    lam = np.zeros_like(y)
    for _ in range(sweeps):
        lam = outer + (lam * (1 - y**2)) @ w.T
    return lam


def gradient_by_hand(at: la.Point, lam: np.ndarray) -> dict[str, np.ndarray]:
    """What λ makes of the gradient."""
    error = lam * (1 - at["y"] ** 2)
    parts = {"W": at["y"].T @ error, "U": BITS.T @ error, "b": error.sum(axis=0),
             "v": at["y"].T @ (2 * (at["y"] @ at["v"] - PARITY) / len(BITS))}
    return {name: part + 2 * DECAY * at[name] for name, part in parts.items()}


def differences(p: la.Program, at: la.Point, name: str, step: float = 1e-5) -> np.ndarray:
    """dJ/d(input) by central differences of re-settled networks."""
    result = np.empty(at[name].shape)
    for i in np.ndindex(result.shape):
        moved = np.zeros(result.shape)
        moved[i] = step
        ahead, behind = (p.evaluate({**inputs(at), name: at[name] + s * moved}, start=at).objective for s in (1, -1))
        result[i] = (ahead - behind) / (2 * step)
    return result


def inputs(at: la.Point) -> dict[str, np.ndarray]:
    return {name: at[name] for name in at.gradient}


def settle(at: la.Point, sweeps: int) -> np.ndarray:
    """All states of the network as a process that starts at 0: (sweeps + 1, patterns, units)."""
    states = [np.zeros_like(at["y"])]
    for _ in range(sweeps):
        states.append(np.tanh(states[-1] @ at["W"] + BITS @ at["U"] + at["b"]))
    return np.array(states)


def slowest(at: la.Point) -> float:
    """The largest |eigenvalue| of a sweep at the fixed points: below 1 the network settles, at this rate."""
    return max(float(np.abs(np.linalg.eigvals(at["W"] * (1 - y**2))).max()) for y in at["y"])


def compare(p: la.Program, at: la.Point) -> None:
    lam = relaxed(at, 2000)
    by_hand = gradient_by_hand(at, lam)
    rows = []
    for name, gradient in at.gradient.items():
        difference = np.max(np.abs(gradient - differences(p, at, name)))
        rows.append([name, f"{np.max(np.abs(gradient)):.6f}", f"{np.max(np.abs(gradient - by_hand[name])):.1e}",
                     f"{difference:.1e}"])
    print(table("gradient, and how far it is from", ["input", "largest", "Pineda's network", "differences"], rows))
    print(f"multipliers from Pineda's network, settled: {np.max(np.abs(at.multiplier['y'] - lam)):.1e}\n")


def draw(path: str, losses: list[float], states: np.ndarray, at: la.Point) -> None:
    from pages import BLUE, RED, canvas

    with canvas(path, columns=2, size=(7.4, 3.2)) as (left, right):
        left.loglog(np.arange(1, len(losses) + 1), losses, color=BLUE)
        left.set(xlabel="step", ylabel="objective", title="training through the fixed point")
        for k, parity in enumerate(PARITY):
            right.plot(states[:, k] @ at["v"], color=BLUE if parity > 0 else RED, linewidth=1.1, alpha=0.8)
        right.plot(np.full(len(BITS), len(states) - 1), at["y"] @ at["v"], "o", color="black", clip_on=False)
        right.set(xlabel="sweep", ylabel="answer $y\\,v$", xlim=(0, len(states) - 1),
                  title="settling (dots: the solved equation)")
        right.text(0.96, 0.86, "odd", color=BLUE, transform=right.transAxes, ha="right")
        right.text(0.96, 0.14, "even", color=RED, transform=right.transAxes, ha="right")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A recurrent network trained through its fixed point.")
    parser.add_argument("--steps", type=int, default=1000, help="most steps of descent (default 1000)")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib)")
    options = parser.parse_args(arguments)
    p = model()
    start = p.evaluate()
    print(f"{len(start.blocks)} cycles of {start.blocks[0].size} units, settled in at most "
          f"{max(block.iterations for block in start.blocks)} Newton steps\n")
    compare(p, start)
    result = p.descend(steps=options.steps, progress=False)
    at = result.at
    print(f"{result.message}; objective {start.objective:.5f} → {at.objective:.5f} in {result.steps} steps\n")
    states = settle(at, 40)
    rows = [["".join("1" if bit > 0 else "0" for bit in bits), f"{parity:+.0f}", f"{y:+.4f}", f"{process:+.4f}"]
            for bits, parity, y, process in zip(BITS, PARITY, at["y"] @ at["v"], states[-1] @ at["v"], strict=True)]
    print(table("parity", ["bits", "wanted", "solved", "after 40 sweeps"], rows))
    print(f"largest |eigenvalue| of a sweep at the fixed points: {slowest(at):.3f}\n")
    compare(p, at)
    if options.plot:
        draw(options.plot, [record.objective for record in result.history], states[:9], at)


if __name__ == "__main__":
    main()
