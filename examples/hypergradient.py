"""A penalty learned by its hypergradient: the inner fit is an implicit equation, not a loop to be unrolled.

Logistic regression on n points, with a penalty e^θ_j on each weight (or one θ for all), judged on other points:

    inner    F(w, θ) = mean log(1 + exp(−t·Xw)) + ½ Σ_j e^θ_j w_j²          w(θ) = argmin F
    outer    J(θ) = mean log(1 + exp(−t'·X'w(θ)))

The inner optimum is stationary, and that is the equation that determines w, a block solved by Newton's method; it is
written ``la.gradient(F, w)``, the derivative as an expression:

    0 = ∂F/∂w

Its multiplier λ solves (∂²F/∂w²) λ = −∂J/∂w, and what is left in θ is the hypergradient, whatever the number of θs:

    dJ/dθ_j = λ_j e^θ_j w_j

It is compared with differences of re-fitting by SciPy, which knows nothing of the equation; then θ goes down it, first
one for all weights, then one a weight: of 30 features 20 are noise, and most of those get large penalties.

Sources: Y. Bengio, "Gradient-based optimization of hyperparameters" (2000); F. Pedregosa, "Hyperparameter optimization
with approximate gradient" (2016). Run it: ``python examples/hypergradient.py --plot penalty.png``
"""

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
from pages import table
from scipy.optimize import minimize
from scipy.special import expit

import lagrange_ad as la

FEATURES, USEFUL = 30, 10


@dataclass(frozen=True)
class Data:
    """Points and classes ±1 to fit, to judge the penalty by, and to judge the judgement by."""

    fit: tuple[np.ndarray, np.ndarray]
    judge: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def made(seed: int = 0, sizes: tuple[int, int, int] = (80, 200, 2000)) -> Data:
    """Classes by a logistic model of the first ten features; a seeded formula."""
    random = np.random.default_rng(seed)
    truth = np.concatenate([random.choice([-1.0, 1.0], USEFUL), np.zeros(FEATURES - USEFUL)])
    parts = []
    for n in sizes:
        points = random.standard_normal((n, FEATURES))
        parts.append((points, np.where(random.random(n) < expit(points @ truth), 1.0, -1.0)))
    return Data(*parts)


def loss(w: Any, part: tuple[np.ndarray, np.ndarray]) -> Any:
    """The mean logistic loss of weights, numbers or expressions."""
    points, classes = part
    return np.mean(np.logaddexp(0.0, -classes * (points @ w)))


def model(data: Data, theta: np.ndarray) -> la.Program:
    """J as a program of θ, one or one a weight."""
    p = la.Program("hypergradient")
    penalty = np.exp(p.input("theta", theta, lower=-12, upper=6))
    w = p.variable("w", shape=FEATURES, start=0.0)
    inner = loss(w, data.fit) + 0.5 * np.sum(penalty * w**2)
    p.equate(0, la.gradient(inner, w), name="stationary")
    p.minimize(loss(w, data.judge))
    return p


def refit(data: Data, theta: np.ndarray) -> np.ndarray:
    """w(θ) by SciPy's optimizer on F, independent of the program."""
    points, classes = data.fit
    penalty = np.exp(theta) * np.ones(FEATURES)

    def inner(w: np.ndarray) -> tuple[float, np.ndarray]:
        slope = -classes * expit(-classes * (points @ w)) / len(classes)
        return loss(w, data.fit) + 0.5 * np.sum(penalty * w**2), points.T @ slope + penalty * w

    def curvature(w: np.ndarray) -> np.ndarray:
        share = expit(points @ w)
        return (points.T * (share * (1 - share) / len(classes))) @ points + np.diag(penalty)

    return minimize(inner, np.zeros(FEATURES), jac=True, hess=curvature, method="trust-exact",
                    options={"gtol": 1e-13}).x  # fmt: skip


def differences(data: Data, theta: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """dJ/dθ by central differences of re-fitting."""
    moves = step * np.eye(theta.size) if theta.ndim else np.array([step])
    return np.array([(loss(refit(data, theta + m), data.judge) - loss(refit(data, theta - m), data.judge)) / (2 * step)
                     for m in moves]).reshape(theta.shape)  # fmt: skip


def report(name: str, at: la.Point, data: Data) -> list[str]:
    correct = np.mean(np.sign(data.test[0] @ at["w"]) == data.test[1])
    return [name, f"{loss(at['w'], data.fit):.4f}", f"{at.objective:.4f}", f"{loss(at['w'], data.test):.4f}",
            f"{correct:.1%}"]  # fmt: skip


def draw(path: str, data: Data, path_of_theta: list[float], best: la.AscentResult) -> None:
    from pages import BLUE, GREY, ORANGE, RED, canvas

    p = model(data, np.array(0.0))
    grid = np.linspace(-9, 1.5, 60)
    with canvas(path, columns=2, size=(7.8, 3.3)) as (left, right):
        left.plot(grid, [p.evaluate(theta=x).objective for x in grid], color=BLUE)
        for x in path_of_theta:
            at = p.evaluate(theta=x)
            ends = np.array([x - 0.6, x + 0.6])
            left.plot(ends, at.objective + at.gradient["theta"] * (ends - x), color=ORANGE, linewidth=1.2)
            left.plot(x, at.objective, "o", color=RED)
        left.set(xlabel="θ (log of the penalty)", ylabel="loss on the judging points", title="a descent in one penalty")
        useful = np.arange(FEATURES) < USEFUL
        for chosen, colour, label in ((useful, BLUE, "useful features"), (~useful, GREY, "noise")):
            right.plot(best.x["theta"][chosen], np.abs(best["w"][chosen]), "o", color=colour, label=label)
        right.set(xlabel="learned θ of a weight", ylabel="|w|", title="one penalty a weight, learned")
        right.legend(loc="upper right")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Penalties learned by their hypergradient.")
    parser.add_argument("--steps", type=int, default=200, help="most steps of descent (default 200)")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib)")
    options = parser.parse_args(arguments)
    data = made()

    rows = []
    for theta in (np.array(-6.0), np.array(-3.0), np.full(FEATURES, -3.0)):
        at = model(data, theta).evaluate()
        ours, theirs = np.asarray(at.gradient["theta"]), differences(data, theta)
        rows.append([f"{theta.flat[0]:g}" + (f" × {theta.size}" if theta.ndim else ""), f"{np.max(np.abs(ours)):.8f}",
                     f"{np.max(np.abs(theirs)):.8f}", f"{np.max(np.abs(ours - theirs)):.1e}",
                     f"{np.max(np.abs(at['w'] - refit(data, theta))):.1e}"])
    print(table("dJ/dθ", ["θ", "largest", "by re-fitting", "largest difference", "w from re-fitted w"], rows))

    trail: list[float] = []
    start = model(data, np.array(-8.0))
    one = start.descend(steps=options.steps, progress=False, callback=lambda record: trail.append(float(record.x[0])))
    many = model(data, np.full(FEATURES, float(one["theta"]))).descend(steps=options.steps, progress=False)
    print(f"\none penalty:  {one.message}, {one.steps} steps, θ = {one['theta']:.4f}")
    print(f"one a weight: {many.message}, {many.steps} steps\n")
    print(table("losses", ["penalty", "fitted points", "judging points", "test points", "test correct"],
                [report("θ = −8", start.evaluate(), data), report("one, learned", one.at, data),
                 report("one a weight, learned", many.at, data)]))
    if options.plot:
        draw(options.plot, data, trail[:: max(1, len(trail) // 6)], many)


if __name__ == "__main__":
    main()
