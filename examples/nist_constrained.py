"""The certified fits of ``nist.py`` once more, as constrained optimization: every residual an unknown with an equation.

    minimize Σ_i r_i²   subject to   r_i = f(x_i; b) − y_i          unknowns: b and all r

In full space nothing is solved at a point: an optimizer moves parameters and residuals together, and the equations hold
at the end only. What curves is then told apart from what is large: the objective is a plain sum of squares, all that is
nonlinear are the constraints, whose second derivatives are weighed by the multipliers. At the optimum the multiplier of
residual i is dJ*/dε_i = 2·r_i, how much observation i pulls at the curve: a unit more of y_i is worth −2·r_i.

By Uno's interior point (without bounds: Newton's method on the KKT conditions with a line search), by its SQP and by
the Lagrange–Newton method of this library. Every parameter is in units of its start. Digits are those of the certified
parameters; from the far starts some runs end elsewhere: at another stationary point, often with a parameter that went
off to where the curve is flat and the objective hardly changes. Such a point passes the optimality conditions and is no
best fit: all of this is local.

Source: NIST/ITL, Statistical Reference Datasets. Run it: ``python examples/nist_constrained.py``
"""

import argparse

import numpy as np
from nist import ENOUGH, MODELS, Case, digits, read, shown
from pages import table

import lagrange_ad as la

METHODS = ("uno", "uno-sqp", "lagrange-newton")


def model(case: Case, start: np.ndarray) -> la.Program:
    """Parameters in units of their start; residuals begin at what they are there."""
    unit = np.abs(start)
    p = la.Program(case.name)
    b = p.input("b", start / unit)
    with np.errstate(all="ignore"):
        begin = MODELS[case.name](start, case.x) - case.y
    residual = p.variable("residual", len(case.y), start=begin)
    p.equate(residual, MODELS[case.name](b * unit, case.x) - case.y)
    p.minimize(np.sum(residual**2), name="squares")
    return p


def fit(case: Case, start: np.ndarray, method: str) -> la.OptimizeResult:
    """The fit from a start, residuals kept as unknowns."""
    return model(case, start).optimize(method, space="full", max_iterations=500, progress=False)


def reached(case: Case, start: np.ndarray, r: la.OptimizeResult) -> float:
    """The certified digits of the parameters."""
    return digits(r["b"] * np.abs(start), case.certified)


def pull(r: la.OptimizeResult) -> float:
    """How far the multipliers are from 2·residual, relative to the largest."""
    wanted = 2 * r["residual"]
    return float(np.abs(r.multiplier["residual"] - wanted).max() / np.abs(wanted).max())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="NIST's regressions as constrained least squares.")
    parser.add_argument("sets", nargs="*", help=f"which sets (default all: {', '.join(MODELS)})")
    options = parser.parse_args(arguments)
    cases = [read(name) for name in options.sets or MODELS]
    rows, found, apart = [], {}, 0.0
    for case in cases:
        for number, start in enumerate(case.starts, start=1):
            cells = []
            for method in METHODS:
                r = fit(case, start, method)
                d = reached(case, start, r)
                found[case.name, number, method] = d
                cells += [shown(d), f"{r.iterations}"]
                if d > ENOUGH:
                    apart = max(apart, pull(r))
            rows.append([case.name, f"{number}", *cells])
    headings = ["set", "start", *(cell for method in METHODS for cell in (method, "iterations"))]
    print(table("certified digits reached, residuals as unknowns", headings, rows))
    for method in METHODS:
        missed = [f"{case.name} from start {k}" for case in cases for k in (1, 2)
                  if found[case.name, k, method] <= ENOUGH]
        print(f"{method}: {2 * len(cases) - len(missed)} of {2 * len(cases)} to {ENOUGH} digits"
              + (f"; not {', '.join(missed)}" if missed else ""))
    nowhere = [f"{c.name} from start {k}" for c in cases for k in (1, 2)
               if max(found[c.name, k, method] for method in METHODS) <= ENOUGH]
    print(f"by none of them: {', '.join(nowhere) or 'nothing'}")
    print(f"multipliers of the residuals are twice the residuals: largest relative difference {apart:.1e}")


if __name__ == "__main__":
    main()
