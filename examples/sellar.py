"""Sellar's problem: two disciplines that need each other's answer, solved as one cycle, and improved within bounds.

    y1 = z1² + z2 + x − 0.2·y2
    y2 = √y1 + z1 + z2

From R. Sellar, S. Batill and J. Renaud (1996). Run it: ``python examples/sellar.py``
"""

import numpy as np
from scipy.optimize import minimize

import lagrange_ad as la


def model(constrained: bool = False) -> la.Program:
    """The program; z1 is at least 2 unless the published constraints on y1 and y2 are there to keep √y1 real."""
    p = la.Program("sellar")
    z1 = p.input("z1", 5.0, lower=-10 if constrained else 2, upper=10)
    z2 = p.input("z2", 2.0, lower=0, upper=10)
    x = p.input("x", 1.0, lower=0, upper=10)
    y1 = p.variable("y1", start=1.0)
    y2 = p.variable("y2", start=1.0)
    p.equate(y1, z1**2 + z2 + x - 0.2 * y2)
    p.equate(y2, np.sqrt(y1) + z1 + z2)
    p.minimize(x**2 + z2 + y1 + np.exp(-y2))
    if constrained:
        p.subject_to(y1 >= 3.16, name="g1")
        p.subject_to(y2 <= 24.0, name="g2")
    return p


def difference_gradient(p: la.Program, name: str, step: float = 1e-5) -> float:
    """dJ/d(input) by central differences of the solved cycle."""
    middle = p.evaluate()[name]
    ahead, behind = (p.evaluate({name: middle + s}).objective for s in (step, -step))
    return (ahead - behind) / (2 * step)


def main() -> None:
    p = model()
    print("1. the cycle, solved, with its multipliers\n")
    at = p.evaluate()
    print(at)
    print("\nthe order of the computation:")
    print(p.schedule)
    print("\nwhat the multiplier of y1 is made of:")
    print(at.explain("y1"))
    for name, value in at.gradient.items():
        print(f"dJ/d{name}: {value:.9f} by multipliers, {difference_gradient(p, name):.9f} by differences")

    print("\n2. the inputs improved by gradient descent, within their bounds\n")
    best = p.ascend()
    print(best)

    print("\n3. the published problem, with its constraints, by SciPy on the reduced view\n")
    view = model(constrained=True).reduced()
    found = minimize(view.value_and_gradient, view.x0, jac=True, bounds=view.bounds, constraints=view.constraints)
    inputs = ", ".join(f"{name} = {abs(float(value)):.5f}" for name, value in view.split(found.x).items())
    print(f"{inputs}, objective {found.fun:.5f}   (published: 1.97764, 0, 0, 3.18339)")


if __name__ == "__main__":
    main()
