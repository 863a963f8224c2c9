"""A diode circuit: implicit Kirchhoff equations, solved together; how the diode's voltage answers the current.

A current source drives node 1, which a resistor of 100 Ω ties to ground; 10 kΩ lead on to node 2, and a diode from
there to ground. The values are those of OpenMDAO's documentation. Run it: ``python examples/circuit.py``
"""

import numpy as np

import lagrange_ad as la


def model() -> la.Program:
    """No objective: the values are what is wanted."""
    p = la.Program("diode")
    current = p.parameter("I", 0.1, unit="A")
    n1 = p.variable("n1", start=10.0, unit="V")
    n2 = p.variable("n2", start=0.7, unit="V")
    i2 = p.define("i2", (n1 - n2) / 1e4, unit="A")
    p.equate(current, n1 / 100 + i2, name="kcl1")
    p.equate(i2, 1e-15 * (np.exp(n2 / 0.025875) - 1), name="kcl2")
    return p


def main() -> None:
    p = model()
    at = p.evaluate()
    print(at)
    print(p.schedule)
    slope = at.tangent({"I": 1.0})
    print(f"\ndn1/dI = {slope['n1']:.6f} V/A, dn2/dI = {slope['n2']:.6f} V/A")
    print("\n     I/A      n1/V      n2/V   (each solve starts from the last)")
    for current in np.linspace(0.01, 0.1, 10):
        at = p.evaluate(I=current, start=at)
        print(f"{current:8.3f}  {at['n1']:8.5f}  {at['n2']:8.6f}")


if __name__ == "__main__":
    main()
