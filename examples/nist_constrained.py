"""NIST's regressions as constrained least squares: fitted values are unknowns with equations, in full space.

    minimize Σ_i (v_i − y_i)²   subject to   v_i = f(x_i; b)

In full space b and all v are the optimizer's unknowns. The objective is quadratic, all that is curved is in equations
of few unknowns each, and a far start need not fit its own b: Newton's steps can leave the curve. In reduced space v
follow b, and the optimizer sees b alone. The optima are the same; which of them, or which plateau, a start leads to is
not. λ of an observation's equation, dJ*/dε, is twice its residual, 2(v_i − y_i): what moves up a fitted value costs.

Digits are those of ``nist.py``: −log₁₀ of the largest relative error of a parameter. A certificate is local: a method
may end at another stationary point, or far out where the sum of squares is flat, and be told that it is one.

Run it: ``python examples/nist_constrained.py --plot constrained.png``
"""

import argparse
from dataclasses import dataclass

import numpy as np
from nist import ENOUGH, MODELS, Case, digits, read, shown
from pages import table

import lagrange_ad as la

METHODS = {"Lagrange–Newton": ("lagrange-newton", "full"), "SQP": ("uno-sqp", "full"),
           "interior point": ("uno", "full"), "Lagrange–Newton, reduced": ("lagrange-newton", "reduced")}  # fmt: skip
TOLERANCE = 1e-10


@dataclass(frozen=True)
class Fit:
    """Parameters, how many digits of them are NIST's, iterations, whether certified, and how far λ is from 2(v − y)."""

    b: np.ndarray
    digits: float
    iterations: int
    certified: bool
    mismatch: float


def model(case: Case, start: np.ndarray) -> la.Program:
    """Fitted values and their equations; ``b`` in units of the start."""
    unit, p = np.abs(start), la.Program(case.name)
    b = p.input("b", start / unit)
    fitted = p.define("fitted", MODELS[case.name](b * unit, case.x))
    p.minimize(np.sum((fitted - case.y) ** 2))
    return p


def fit(case: Case, start: np.ndarray, method: str, space: str, iterations: int) -> Fit:
    """The fit by one method in one space."""
    with np.errstate(all="ignore"):
        r = model(case, start).optimize(method, space=space, tolerance=TOLERANCE, max_iterations=iterations,
                                        progress=False)
        b = r["b"] * np.abs(start)
        double = 2 * (r["fitted"] - case.y)
        mismatch = float(np.max(np.abs(r.multiplier["fitted"] - double)) / max(1.0, float(np.max(np.abs(double)))))
        return Fit(b, digits(b, case.certified), r.iterations, r.success, mismatch)


def row(case: Case, number: int, fits: list[Fit]) -> list[str]:
    """One line of the table: a set from one start."""
    cells = [cell for f in fits for cell in (shown(f.digits) or ("elsewhere" if f.certified else "none"),
                                             f"{f.iterations}")]
    return [case.name, f"{number}", *cells]


def summary(fits: dict[tuple[str, int], list[Fit]]) -> str:
    """By method and by space, how many sets from how many starts, and which are missing."""
    lines = []
    groups = {name: [k] for k, name in enumerate(METHODS)}
    groups["any method in full space"] = [k for k, (_, space) in enumerate(METHODS.values()) if space == "full"]
    for name, chosen in groups.items():
        missing = [f"{case} {start}" for (case, start), found in fits.items()
                   if max(found[k].digits for k in chosen) < ENOUGH]
        lines.append(f"{ENOUGH} digits by {name}: {len(fits) - len(missing)} of {len(fits)} starts"
                     + (f"; not {', '.join(missing)}" if missing else ""))
    good = [f for found in fits.values() for f in found if f.digits >= ENOUGH]
    other = sum(f.certified and f.digits < ENOUGH for found in fits.values() for f in found)
    worst = max((f.mismatch for f in good), default=0.0)
    lines.append(f"of {sum(map(len, fits.values()))} fits, {len(good)} are NIST's, {sum(f.certified for f in good)} of "
                 f"them certified; {other} others are certified elsewhere")
    return "\n".join([*lines, f"largest difference of λ from 2(v − y), relative: {worst:.0e}"])


def draw(path: str, fits: dict[tuple[str, int], list[Fit]]) -> None:
    from pages import BLUE, GREEN, GREY, ORANGE, RED, canvas

    places = {key: place for place, key in enumerate(fits)}
    with canvas(path, columns=2, size=(8.6, 5.2), sharey=True) as (left, right):
        for k, (name, colour) in enumerate(zip(METHODS, (RED, ORANGE, GREEN, BLUE), strict=True)):
            shift = 0.18 * (k - 1.5)
            for key, place in places.items():
                found = fits[key][k]
                face = colour if found.digits >= ENOUGH else "white"
                left.plot(max(0.0, found.digits), place + shift, "o", color=colour, markerfacecolor=face, clip_on=False)
                right.plot(found.iterations, place + shift, "o", color=colour, markerfacecolor=face)
            left.plot([], [], "o", color=colour, label=name)
        left.axvline(ENOUGH, color=GREY, linestyle="--", linewidth=0.8)
        left.set(yticks=range(len(places)), yticklabels=[f"{name} {start}" for name, start in places],
                 xlim=(-0.2, 11.2), xlabel="certified digits reached", title="digits (open: not NIST's)")
        left.legend(loc="center left", bbox_to_anchor=(0.02, 0.5))
        left.invert_yaxis()
        right.set(xscale="log", xlabel="iterations", title="iterations")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="NIST's regressions as constrained least squares, in full space.")
    parser.add_argument("sets", nargs="*", help=f"which sets (default all: {', '.join(MODELS)})")
    parser.add_argument("--iterations", type=int, default=500, help="most iterations of a method (default 500)")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib)")
    options = parser.parse_args(arguments)
    cases = [read(name) for name in options.sets or MODELS]
    fits = {(case.name, k): [fit(case, start, method, space, options.iterations)
                             for method, space in METHODS.values()]
            for case in cases for k, start in enumerate(case.starts, start=1)}  # fmt: skip
    headings = ["set", "start", *(cell for name in METHODS for cell in (name, "iterations"))]
    rows = [row(case, number, fits[case.name, number]) for case in cases for number in (1, 2)]
    print(table("certified digits reached; elsewhere: certified at another point", headings, rows))
    print(f"\n{summary(fits)}")
    if options.plot:
        draw(options.plot, fits)


if __name__ == "__main__":
    main()
