"""Certified fits: the nonlinear regressions of NIST's Statistical Reference Datasets, to the digits NIST certifies.

    minimize Σ_i (y_i − f(x_i; b))²

Each set comes with a model f, two starts (the first far, the second near) and the best b to eleven digits, found in
multiple precision. The residuals are a program in b. As a function with its exact Jacobian it goes to SciPy's
``least_squares``; as an objective with its gradient to SciPy's BFGS on the reduced view; and to ``descend`` with its
line search, which has the gradient alone: with Barzilai and Borwein's steps (1988) that is enough for most. Digits
are −log₁₀ of the largest relative error of a parameter, at most 11; where there is none, the optimizer ran to another
point, as some do from a far start.

The standard deviations of the parameters, the roots of the diagonal of s² (JᵀJ)⁻¹ with s² = Σ r²/(n − p), come from the
same Jacobian and are certified too.

Source: NIST/ITL, Statistical Reference Datasets, nonlinear regression, https://www.itl.nist.gov/div898/strd (public
domain). Run it: ``python examples/nist.py --plot nist.png``
"""

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pages import table
from scipy.optimize import least_squares, minimize

import lagrange_ad as la

ENOUGH = 6
DATA = Path(__file__).parent / "data" / "nist"
MODELS: dict[str, Callable[[Any, np.ndarray], Any]] = {
    "Misra1a": lambda b, x: b[0] * (1 - np.exp(-b[1] * x)),
    "Misra1c": lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** -0.5),
    "Misra1d": lambda b, x: b[0] * b[1] * x / (1 + b[1] * x),
    "Chwirut2": lambda b, x: np.exp(-b[0] * x) / (b[1] + b[2] * x),
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "Lanczos3": lambda b, x: sum(b[i] * np.exp(-b[i + 1] * x) for i in (0, 2, 4)),
    "Gauss1": lambda b, x: b[0] * np.exp(-b[1] * x) + sum(
        b[i] * np.exp(-((x - b[i + 1]) ** 2) / b[i + 2] ** 2) for i in (2, 5)),
    "Kirby2": lambda b, x: (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x + b[4] * x**2),
    "Roszman1": lambda b, x: b[0] - b[1] * x - np.arctan(b[2] / (x - b[3])) / np.pi,
    "MGH09": lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "MGH10": lambda b, x: b[0] * np.exp(b[1] / (x + b[2])),
    "BoxBOD": lambda b, x: b[0] * (1 - np.exp(-b[1] * x)),
    "Thurber": lambda b, x: (b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3) / (
        1 + b[4] * x + b[5] * x**2 + b[6] * x**3),
    "Rat43": lambda b, x: b[0] / (1 + np.exp(b[1] - b[2] * x)) ** (1 / b[3]),
    "Eckerle4": lambda b, x: b[0] / b[1] * np.exp(-0.5 * ((x - b[2]) / b[1]) ** 2),
}  # fmt: skip
"""The models as NIST prints them."""


@dataclass(frozen=True)
class Case:
    """One set: data, two starts, certified parameters with their standard deviations, and s."""

    name: str
    x: np.ndarray
    y: np.ndarray
    starts: np.ndarray
    certified: np.ndarray
    deviations: np.ndarray
    residual_deviation: float


def read(name: str) -> Case:
    """Read a .dat file of NIST."""
    text = (DATA / f"{name}.dat").read_text(encoding="ascii")
    rows = np.array([[float(v) for v in row.split()] for row in re.findall(r"^ *b\d+ *= *(.*)$", text, re.MULTILINE)])
    found = re.search(r"Residual Standard Deviation: *(\S+)", text)
    assert found is not None
    values = text[text.rindex("Data:") :].splitlines()[1:]
    y, x = np.array([[float(v) for v in line.split()] for line in values if line.strip()]).T
    return Case(name, x, y, rows[:, :2].T, rows[:, 2], rows[:, 3], float(found[1]))


def model(case: Case, start: np.ndarray, unit: np.ndarray | float = 1.0) -> la.Program:
    """The residuals and their squares; ``b`` in units of ``unit``."""
    p = la.Program(case.name)
    b = p.input("b", start / unit)
    residual = p.define("residual", MODELS[case.name](b * unit, case.x) - case.y)
    p.minimize(np.sum(residual**2))
    return p


def digits(found: np.ndarray, certified: np.ndarray) -> float:
    """−log₁₀ of the largest relative error, at most 11."""
    error = float(np.max(np.abs(found / certified - 1)))
    return 11.0 if error < 1e-11 else -np.log10(error)


@dataclass(frozen=True)
class Fit:
    """What an optimizer found: parameters, its evaluations (steps of ``descend``), the Jacobian where it had one."""

    b: np.ndarray
    evaluations: int
    jacobian: np.ndarray | None = None


def by_least_squares(case: Case, start: np.ndarray) -> Fit:
    """Levenberg–Marquardt on the residuals with their Jacobian."""
    f = model(case, start).function("b", "residual")
    with np.errstate(all="ignore"):
        found = least_squares(f, start, jac=f.jacobian, method="lm", x_scale="jac", xtol=1e-15, ftol=1e-15, gtol=1e-15,
                              max_nfev=2000)
    return Fit(found.x, found.nfev, f.jacobian(found.x))


def by_bfgs(case: Case, start: np.ndarray) -> Fit:
    """BFGS on the reduced view, every parameter in units of its start."""
    unit = np.abs(start)
    view = model(case, start, unit).reduced()
    options = {"gtol": 1e-14, "maxiter": 5000}
    found = minimize(view.value_and_gradient, view.x0, jac=True, method="BFGS", options=options)
    return Fit(found.x * unit, found.nfev)


def by_descent(case: Case, start: np.ndarray, method: str = "barzilai-borwein", steps: int = 3000) -> Fit:
    """``descend`` with its line search, every parameter in units of its start."""
    unit = np.abs(start)
    found = model(case, start, unit).descend(method=method, line_search="armijo", steps=steps,
                                             gradient_tolerance=1e-13, progress=False)
    return Fit(found["b"] * unit, found.steps)


METHODS = {"least_squares": by_least_squares, "BFGS": by_bfgs, "descend": by_descent}


def spread(case: Case, fit: Fit) -> float:
    """The digits of s and of the parameters' standard deviations, from the residuals and the Jacobian."""
    assert fit.jacobian is not None
    residual = MODELS[case.name](fit.b, case.x) - case.y
    s = np.sqrt(residual @ residual / (len(case.y) - fit.b.size))
    factor = np.linalg.qr(fit.jacobian, mode="r")  # JᵀJ would square the condition number
    deviations = s * np.linalg.norm(np.linalg.inv(factor), axis=1)
    return digits(np.append(deviations, s), np.append(case.deviations, case.residual_deviation))


def row(case: Case, number: int, fits: list[Fit]) -> list[str]:
    """One line of the table: a set from one start, by all methods."""
    reached = [digits(fit.b, case.certified) for fit in fits]
    cells = [cell for fit, d in zip(fits, reached, strict=True) for cell in (shown(d), f"{fit.evaluations}")]
    return [case.name, f"{number}", *cells, shown(spread(case, fits[0])) if reached[0] > ENOUGH else ""]


def shown(reached: float) -> str:
    """Digits for the table; nothing where another point was found."""
    return f"{reached:.1f}" if reached > 1 else ""


def draw(path: str, cases: list[Case], fits: dict[tuple[str, int], list[Fit]]) -> None:
    from pages import BLUE, GREEN, GREY, ORANGE, RED, canvas

    with canvas(path, columns=2, size=(8.4, 4.4), width_ratios=[1.15, 1]) as (left, right):
        for k, case in enumerate(cases):
            for number, marker in ((1, "o"), (2, "s")):
                reached = [max(0.0, digits(fit.b, case.certified)) for fit in fits[case.name, number]]
                for value, colour, shift in zip(reached, (BLUE, ORANGE, GREEN), (-0.24, 0.0, 0.24), strict=True):
                    left.plot(value, k + shift, marker, color=colour, markersize=4, clip_on=False,
                              markerfacecolor="white" if number == 1 else colour)
        left.axvline(ENOUGH, color=GREY, linestyle="--", linewidth=0.8)
        left.set(yticks=range(len(cases)), yticklabels=[case.name for case in cases], xlim=(-0.2, 11.2),
                 xlabel="certified digits reached", title="both starts (the first one open)")
        for name, colour in zip(METHODS, (BLUE, ORANGE, GREEN), strict=True):
            left.plot([], [], "s", color=colour, label=name)
        left.legend(loc="center left", bbox_to_anchor=(0.06, 0.5))
        left.invert_yaxis()
        case = next((case for case in cases if case.name == "Thurber"), cases[-1])
        grid = np.linspace(case.x.min(), case.x.max(), 300)
        right.plot(case.x, case.y, "o", color=GREY, markersize=3.5, label="measured")
        right.plot(grid, MODELS[case.name](case.starts[1], grid), ":", color=GREY, label="at start 2")
        right.plot(grid, MODELS[case.name](fits[case.name, 2][0].b, grid), color=RED, label="fitted")
        low, high = case.y.min(), case.y.max()
        right.set(xlabel="x", ylabel="y", title=case.name, ylim=(low - 0.1 * (high - low), high + 0.1 * (high - low)))
        right.legend()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="NIST's certified nonlinear regressions.")
    parser.add_argument("sets", nargs="*", help=f"which sets (default all: {', '.join(MODELS)})")
    parser.add_argument("--steps", type=int, default=3000, help="most steps of descend (default 3000)")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib)")
    options = parser.parse_args(arguments)
    cases = [read(name) for name in options.sets or MODELS]
    fits = {(case.name, k): [by_least_squares(case, start), by_bfgs(case, start),
                             by_descent(case, start, steps=options.steps)]
            for case in cases for k, start in enumerate(case.starts, start=1)}  # fmt: skip
    headings = ["set", "start", *(cell for name in METHODS for cell in (name, "evaluations")), "deviations"]
    print(table("certified digits reached", headings,
                [row(case, number, fits[case.name, number]) for case in cases for number in (1, 2)]))
    for k, name in enumerate(METHODS):
        good = [c.name for c in cases if min(digits(fits[c.name, n][k].b, c.certified) for n in (1, 2)) > ENOUGH]
        print(f"{ENOUGH} digits from both starts by {name}: {len(good)} of {len(cases)}")
    case = read("DanWood")
    for number, start in enumerate(case.starts, start=1):
        plain, steps = by_descent(case, start, "gradient", options.steps), by_descent(case, start).evaluations
        print(f"DanWood from start {number}: {digits(plain.b, case.certified):.1f} digits by steepest descent in "
              f"{plain.evaluations} steps; Barzilai and Borwein's are {steps}")
    if options.plot:
        draw(options.plot, cases, fits)


if __name__ == "__main__":
    main()
