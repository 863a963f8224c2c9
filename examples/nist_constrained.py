"""The certified fits of ``nist.py`` once more, as constrained optimization: every residual an unknown with an equation.

    minimize Σ_i r_i²   subject to   r_i = f(x_i; b) − y_i          unknowns: b and all r

In full space nothing is solved at a point: an optimizer moves parameters and residuals together, and the equations hold
at the end only. What curves is then told apart from what is large: the objective is a plain sum of squares, all that is
nonlinear are the constraints, whose second derivatives are weighed by the multipliers. At the optimum the multiplier of
residual i is dJ*/dε_i = 2·r_i, how much observation i pulls at the curve: a unit more of y_i is worth −2·r_i.

By Uno's interior point (without bounds: Newton's method on the KKT conditions with a line search), by its SQP and by
the Lagrange–Newton method of this library; by the last in reduced space too, where residuals follow b and nothing but b
is searched for. Every parameter is in units of its start. Digits are those of the certified parameters; from the far
starts some runs end elsewhere: at another stationary point, often with a parameter that went off to where the curve is
flat and the objective hardly changes. Such a point passes the optimality conditions and is no best fit: all of this is
local. The optima are the same in both spaces; where a start leads is not, since in full space steps leave the curve.

Source: NIST/ITL, Statistical Reference Datasets. Run it: ``python examples/nist_constrained.py --plot constrained.png``
"""

import argparse
from dataclasses import dataclass

import numpy as np
from nist import ENOUGH, MODELS, Case, digits, read, shown
from pages import table

import lagrange_ad as la

METHODS = ("uno", "uno-sqp", "lagrange-newton")
REDUCED = "lagrange-newton, reduced"
TOLERANCE = 1e-10
"""Where the curve is nearly flat, slopes are small far from any optimum."""
WAYS = {**{method: (method, "full") for method in METHODS}, REDUCED: ("lagrange-newton", "reduced")}


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


def fit(case: Case, start: np.ndarray, method: str, space: str = "full") -> la.OptimizeResult:
    """The fit from a start; in full space residuals are kept as unknowns."""
    return model(case, start).optimize(method, space=space, tolerance=TOLERANCE, max_iterations=500, progress=False)


def reached(case: Case, start: np.ndarray, r: la.OptimizeResult) -> float:
    """The certified digits of the parameters."""
    return digits(r["b"] * np.abs(start), case.certified)


def pull(r: la.OptimizeResult) -> float:
    """How far the multipliers are from 2·residual, relative to the largest."""
    wanted = 2 * r["residual"]
    return float(np.abs(r.multiplier["residual"] - wanted).max() / np.abs(wanted).max())


@dataclass(frozen=True)
class Fit:
    """What a run came to: digits, iterations, whether certified, and how far multipliers are from 2·residual."""

    digits: float
    iterations: int
    certified: bool
    apart: float

    @property
    def cells(self) -> list[str]:
        """For the table: digits, or what the point is that is not NIST's."""
        return [shown(self.digits) or ("elsewhere" if self.certified else "nowhere"), f"{self.iterations}"]


def fits(cases: list[Case]) -> dict[tuple[str, int, str], Fit]:
    """Every set from both starts by every way."""
    found = {}
    for case in cases:
        for number, start in enumerate(case.starts, start=1):
            for way, (method, space) in WAYS.items():
                r = fit(case, start, method, space)
                with np.errstate(all="ignore"):
                    found[case.name, number, way] = Fit(reached(case, start, r), r.iterations, r.success, pull(r))
    return found


def draw(path: str, cases: list[Case], found: dict[tuple[str, int, str], Fit]) -> None:
    from pages import BLUE, GREEN, GREY, ORANGE, RED, canvas

    starts = [(case.name, number) for case in cases for number in (1, 2)]
    with canvas(path, columns=2, size=(8.6, 5.2), sharey=True) as (left, right):
        for k, (way, colour) in enumerate(zip(WAYS, (GREEN, ORANGE, RED, BLUE), strict=True)):
            for place, start in enumerate(starts):
                run, height = found[*start, way], place + 0.18 * (k - 1.5)
                face = colour if run.digits > ENOUGH else "white"
                left.plot(max(0.0, run.digits), height, "o", color=colour, markerfacecolor=face, clip_on=False)
                right.plot(run.iterations, height, "o", color=colour, markerfacecolor=face)
            left.plot([], [], "o", color=colour, label=way)
        left.axvline(ENOUGH, color=GREY, linestyle="--", linewidth=0.8)
        left.set(yticks=range(len(starts)), yticklabels=[f"{name} {number}" for name, number in starts],
                 xlim=(-0.2, 11.2), xlabel="certified digits reached", title="digits by set and start (open: others)")
        left.legend(loc="center left", bbox_to_anchor=(0.03, 0.5))
        left.invert_yaxis()
        right.set(xscale="log", xlabel="iterations", title="iterations")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="NIST's regressions as constrained least squares.")
    parser.add_argument("sets", nargs="*", help=f"which sets (default all: {', '.join(MODELS)})")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib)")
    options = parser.parse_args(arguments)
    cases = [read(name) for name in options.sets or MODELS]
    found = fits(cases)
    rows = [[case.name, f"{k}", *(cell for way in WAYS for cell in found[case.name, k, way].cells)]
            for case in cases for k in (1, 2)]
    headings = ["set", "start", *(cell for way in WAYS for cell in (way, "iterations"))]
    print(table("certified digits reached, residuals as unknowns (elsewhere: certified at another point)", headings,
                rows))
    for way in WAYS:
        missed = [f"{case.name} from start {k}" for case in cases for k in (1, 2)
                  if found[case.name, k, way].digits <= ENOUGH]
        print(f"{way}: {2 * len(cases) - len(missed)} of {2 * len(cases)} to {ENOUGH} digits"
              + (f"; not {', '.join(missed)}" if missed else ""))
    nowhere = [f"{c.name} from start {k}" for c in cases for k in (1, 2)
               if max(found[c.name, k, method].digits for method in METHODS) <= ENOUGH]
    print(f"in full space by none of them: {', '.join(nowhere) or 'nothing'}")
    good = [run for run in found.values() if run.digits > ENOUGH]
    print(f"{len(good)} of {len(found)} fits are NIST's, {sum(run.certified for run in good)} of them certified; "
          f"{sum(run.certified for run in found.values() if run.digits <= ENOUGH)} are certified elsewhere")
    print(f"multipliers of the residuals are twice the residuals: largest relative difference "
          f"{max((run.apart for run in good), default=0.0):.1e}")
    if options.plot:
        draw(options.plot, cases, found)


if __name__ == "__main__":
    main()
