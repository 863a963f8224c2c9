"""The curve of a diode circuit: 100 currents, each solve from the ones before, with the slope of the power.

The circuit is that of ``circuit.py``, its objective here the power that the source gives: dP/dI comes with every point.
Run it: ``python examples/sweep.py --plot curve.png``; ``--file curve.npz`` keeps the results, and goes on from them.
"""

import argparse

import numpy as np

import lagrange_ad as la


def model() -> la.Program:
    """The circuit of ``circuit.py``; its objective is the power of the source."""
    p = la.Program("diode")
    current = p.parameter("I", 0.1, unit="A")
    n1 = p.variable("n1", start=10.0, unit="V")
    n2 = p.variable("n2", start=0.7, unit="V")
    i2 = p.define("i2", (n1 - n2) / 1e4, unit="A")
    p.equate(current, n1 / 100 + i2, name="kcl1")
    p.equate(i2, 1e-15 * (np.exp(n2 / 0.025875) - 1), name="kcl2")
    p.minimize(current * n1, name="power")
    return p


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="PNG", help="draw the voltages against the current")
    parser.add_argument("--file", metavar="NPZ", help="keep the results in a file, and go on from it")
    options = parser.parse_args()
    p = model()
    s = p.sweep({"I": np.linspace(0.01, 1, 100)}, file=options.file, resume=options.file is not None)
    print(s)
    print("\n     I/A    n2/V   dP/dI / V")
    for i in range(9, 100, 30):
        print(f"{s['I'][i]:8.3f}  {s['n2'][i]:6.4f}  {s.gradient['I'][i]:10.4f}")
    if options.plot:
        s.plot("I", ["n2", "n1"], path=options.plot)
        print(f"\nplot in {options.plot}")


if __name__ == "__main__":
    main()
