"""Six equations for f(x) = exp(exp x + exp 2x) + sin(exp x + exp 2x): values, multipliers, gradient, ascent.

The program is the one of T. Vieira, "Backprop is not just the chain rule" (2017), after J. Domke. Run it:
``python examples/domke.py``
"""

import numpy as np

import lagrange_ad as la


def model() -> la.Program:
    """The program; its input has the upper bound 0.5, because f grows without bound."""
    p = la.Program("domke")
    x = p.input("x", 0.1, upper=0.5)
    a = p.define("a", np.exp(x))
    b = p.define("b", a**2)
    c = p.define("c", a + b)
    d = p.define("d", np.exp(c))
    e = p.define("e", np.sin(c))
    f = p.define("f", d + e)
    p.maximize(f)
    return p


def closed_form(x: float) -> dict[str, float]:
    """Multipliers and gradient by hand, with u = exp x + exp 2x: λ_c = exp u + cos u, λ_a = λ_c·(1 + 2·exp x)."""
    a = np.exp(x)
    u = a + a**2
    slope = np.exp(u) + np.cos(u)
    outer = slope * (1 + 2 * a)
    return {"f": 1.0, "e": 1.0, "d": 1.0, "c": slope, "b": slope, "a": outer, "x": outer * a}


def main() -> None:
    p = model()
    at = p.evaluate()
    print(p.lagrangian)
    print(at)
    print(at.explain("c"))
    by_hand = closed_form(0.1)
    worst = max(abs(at.multiplier[name] / by_hand[name] - 1) for name in at.multiplier)
    worst = max(worst, abs(at.gradient["x"] / by_hand["x"] - 1))
    print(f"\nlargest relative difference from the closed form: {worst:.1e}")
    print(f"\n{p.ascend(rate=1e-3, steps=200)}")


if __name__ == "__main__":
    main()
