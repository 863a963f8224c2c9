"""Programs with known optima, and the proof of a multiplier: every right side and bound moved a little, solved again.

A case is a function ``make(moved)`` that declares its program; ``moved("lower x", values)`` are the values of a bound
or of a constraint's side, with what the proof adds to one of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import lagrange_ad as la

CASES = Path(__file__).parent.parent.parent / "shared" / "cases"
EXAMPLES = Path(__file__).parent.parent / "examples"


class Moved:
    """Sides of bounds and constraints as they are, or with something added to elements (side, place) of them."""

    def __init__(self, by: Mapping[tuple[str, int], float] | None = None) -> None:
        self.by, self.sides = dict(by or {}), {}

    def __call__(self, side: str, values: Any) -> Any:
        flat = np.array(values, dtype=float)
        self.sides[side] = flat.ravel().copy()
        for (name, place), by in self.by.items():
            if name == side:
                flat.ravel()[place] += by
        return flat if flat.shape else float(flat)

    def bounds(self, name: str, lower: Any, upper: Any) -> dict[str, Any]:
        """The bounds of a declaration, movable as "lower name" and "upper name"."""
        return {"lower": self(f"lower {name}", lower), "upper": self(f"upper {name}", upper)}

    def fixed(self, name: str, value: Any) -> dict[str, Any]:
        """Two equal bounds, movable as "fixed name"."""
        return dict.fromkeys(("lower", "upper"), self(f"fixed {name}", value))


Make: TypeAlias = Callable[[Moved], la.Program]


def published(name: str, file: str = "coupled.json") -> dict[str, Any]:
    """A case with published answers, where the folder of cases is at hand."""
    if not (CASES / file).exists():
        pytest.skip(f"the reference cases are not here: {file}")
    found = json.loads((CASES / file).read_text(encoding="utf-8"))
    return next(p for p in found["problems" if file == "coupled.json" else "systems"] if p["name"] == name)


# the proof --------------------------------------------------------------------------------------------------------


def multipliers(r: la.OptimizeResult) -> dict[str, np.ndarray]:
    """Every multiplier there is: of equations and constraints by name, of bounds as "lower x" and "upper x"."""
    found = {name: np.atleast_1d(r.multiplier[name]).ravel() for name in r.multiplier}
    for side, of in (("lower", r.multiplier.lower), ("upper", r.multiplier.upper)):
        found |= {f"{side} {name}": np.atleast_1d(of[name]).ravel() for name in of}
    return found


def assert_proved(make: Make, r: la.OptimizeResult, h: float = 1e-4, rel: float = 1e-5, least: float = 1e-7,
                  **options: Any) -> None:
    """Every multiplier is the slope of the optimal objective: central differences of optimizations that begin at ``r``.

    Right sides of equations are moved by ``perturbation=``, active sides of constraints and bounds by declaring them
    anew, each alone. Those with a multiplier of 0 are all moved at once, outward, which must change nothing.
    """
    sides = Moved()
    shapes = {equation.name: equation.shape for equation in make(sides).equations}
    idle, told = {}, multipliers(r)
    for name in [side.removeprefix("fixed ") for side in sides.sides if side.startswith("fixed ")]:
        told[f"fixed {name}"] = told.pop(f"lower {name}") + told.pop(f"upper {name}")
    for name, values in told.items():
        for place, value in enumerate(values.tolist()):
            size = abs(sides.sides[name][place]) if name in sides.sides else 1.0
            step = h * (size or 1.0)
            if name not in shapes and not np.isfinite(size):
                assert value == 0.0, (name, place)
            elif name not in shapes and value == 0.0 and name in sides.sides:
                idle[name, place] = -step if name.startswith("lower ") else step
            elif name in shapes or name in sides.sides:
                up, down = (_moved(make, r, name, place, by, shapes.get(name), options) for by in (step, -step))
                assert value == pytest.approx((up - down) / (2 * step), rel=rel, abs=least), (name, place)
            else:
                assert value == 0.0, (name, place)  # a bound that is not there
    inward = {key: -by for key, by in idle.items() if key[0].split(" ")[0] not in ("lower", "upper")}
    for moves in (idle, inward):  # the name does not tell which way is outward for a constraint: both change nothing
        if moves:
            assert _optimum(make(Moved(moves)), r, None, options) == pytest.approx(r.objective, rel=1e-9, abs=1e-9)


def _moved(make: Make, r: la.OptimizeResult, name: str, place: int, by: float, shape: tuple[int, ...] | None,
           options: dict[str, Any]) -> float:
    """The optimal objective with something added to one element of a right side, a constraint's side or a bound."""
    if shape is None:
        return _optimum(make(Moved({(name, place): by})), r, None, options)
    added = np.zeros(int(np.prod(shape)))
    added[place] = by
    return _optimum(make(Moved()), r, {name: added.reshape(shape)}, options)


def _optimum(p: la.Program, r: la.OptimizeResult, perturbation: Any, options: dict[str, Any]) -> float:
    again = p.optimize(start=r, perturbation=perturbation, progress=False, **options)
    assert again.success, f"{again.message}: {again.certificate.verdict}"
    return again.objective


# the cases --------------------------------------------------------------------------------------------------------


def sellar(moved: Moved, sense: str = "minimize") -> la.Program:
    """Sellar, Batill, Renaud 1996: 3.18339395."""
    p = la.Program("sellar")
    z1 = p.input("z1", 5.0, **moved.bounds("z1", -10, 10))
    z2 = p.input("z2", 2.0, **moved.bounds("z2", 0, 10))
    x = p.input("x", 1.0, **moved.bounds("x", 0, 10))
    y1, y2 = p.variable("y1", start=1.0), p.variable("y2", start=1.0)
    p.equate(y1, z1**2 + z2 + x - 0.2 * y2)
    p.equate(y2, np.sqrt(y1) + z1 + z2)
    p.subject_to(y1 >= moved("g1", 3.16), name="g1")
    p.subject_to(y2 <= moved("g2", 24.0), name="g2")
    _sense(p, sense, x**2 + z2 + y1 + np.exp(-y2))
    return p


def sellar_s_optimum() -> dict[str, float]:
    """The closed form: z2 = x = 0 and y1 = 3.16, so that the equations are a quadratic one in z1."""
    root = np.sqrt(3.16)
    z1 = 0.1 + np.sqrt(0.01 + 3.16 + 0.2 * root)
    return {"z1": z1, "z2": 0.0, "x": 0.0, "y1": 3.16, "y2": root + z1, "J": 3.16 + np.exp(-root - z1)}


def _sense(p: la.Program, sense: str, objective: Any) -> None:
    """Minimize the objective, or maximize its negative."""
    if sense == "minimize":
        p.minimize(objective)
    else:
        p.maximize(-objective)


def hs71(moved: Moved, form: str = "subject_to", sense: str = "minimize") -> la.Program:
    """Hock and Schittkowski 71: 17.0140173. ``form``: the equality as "equate" or "subject_to" on four variables that
    nothing else determines; "inputs": on four inputs; "scalars": on four scalar variables and one with an equation."""
    p = la.Program("hs71")
    start = [1.0, 5.0, 5.0, 1.0]
    if form == "scalars":
        a, b, c, d = (p.variable(f"x{i}", start=s, **moved.bounds(f"x{i}", 1, 5)) for i, s in enumerate(start))
        square = p.define("square", a**2 + b**2 + c**2 + d**2)
    else:
        sides = moved.bounds("x", np.ones(4), np.full(4, 5.0))
        a, b, c, d = x = p.input("x", start, **sides) if form == "inputs" else p.variable("x", 4, start=start, **sides)
        square = np.sum(x**2)
    p.subject_to(a * b * c * d >= moved("product", 25.0), name="product")
    if form == "equate":
        p.equate(square, 40.0, name="square")
    else:
        p.subject_to(square == moved("sphere", 40.0), name="sphere")
    _sense(p, sense, a * d * (a + b + c) + c)
    return p


HS71 = {"J": 17.0140173, "x": (1.0, 4.74299963, 3.82114998, 1.37940829), "product": 0.55229366, "square": -0.16146857,
        "lower": 1.08787121}  # fmt: skip
"""The published optimum, with the multipliers that Ipopt's tutorial prints (there with signs of its own)."""


def golinski(moved: Moved) -> la.Program:
    """Golinski's speed reducer from the published start, its stresses and deflections being variables with bounds."""
    case = published("golinski_speed_reducer")["optimize"]
    low, high = np.transpose([case["bounds"][name] for name in case["start"]])
    p = la.Program("golinski")
    x1, x2, x3, x4, x5, x6, x7 = p.input("x", list(case["start"].values()), **moved.bounds("x", low, high))
    teeth = p.define("teeth", x2 * x3, **moved.bounds("teeth", -np.inf, 40.0))
    for k, length, shaft, constant, weight in ((1, x4, x6, 16.9e6, 110), (2, x5, x7, 157.5e6, 85)):
        p.define(f"deflection{k}", 1.93 * length**3 / (teeth * shaft**4),
                 **moved.bounds(f"deflection{k}", -np.inf, 1.0))
        p.define(f"stress{k}", np.sqrt((745 * length / teeth) ** 2 + constant) / (weight * shaft**3),
                 **moved.bounds(f"stress{k}", -np.inf, 1.0))
    p.subject_to(27 / (x1 * x2 * teeth) <= moved("bending", 1.0), name="bending")
    p.subject_to(397.5 / (x1 * teeth**2) <= moved("contact", 1.0), name="contact")
    p.subject_to(5 * x2 / x1 <= moved("narrow", 1.0), name="narrow")
    p.subject_to(x1 / (12 * x2) <= moved("wide", 1.0), name="wide")
    p.subject_to((1.5 * x6 + 1.9) / x4 <= moved("bearing1", 1.0), name="bearing1")
    p.subject_to((1.1 * x7 + 1.9) / x5 <= moved("bearing2", 1.0), name="bearing2")
    p.minimize(0.7854 * x1 * x2**2 * (3.3333 * x3**2 + 14.9334 * x3 - 43.0934) - 1.508 * x1 * (x6**2 + x7**2)
               + 7.4777 * (x6**3 + x7**3) + 0.7854 * (x4 * x6**2 + x5 * x7**2), name="weight")
    return p


def combustion(moved: Moved, air: float | None = None) -> la.Program:
    """Propane in air, Meintjes and Morgan 1990, from the project's equation file: the fuel burnt at the best air, or
    at a given one, which is an input with two equal bounds then."""
    text = (EXAMPLES / "combustion.lag").read_text(encoding="utf-8")
    sides = moved.bounds("R", 5.0, 20.0) if air is None else moved.fixed("R", air)
    assert "in [5, 20]" in text
    return la.reads(text.replace("in [5, 20]", f"in [{sides['lower']!r}, {sides['upper']!r}]"))


def williams_otto(moved: Moved, volume: float = 0.03) -> la.Program:
    """The Williams–Otto process with a reactor of a given volume, which is an input with two equal bounds."""
    case = published("williams_otto_recycle")
    optimize, start = case["optimize"], case["optimize"]["start"]
    lines, bounds = ["program williams_otto"], optimize["bounds"] | {"FA": [1, 100], "FB": [1, 100]}
    for name in ("FA", "FB", "V", "T", "eta"):
        low, high = (moved.fixed("V", volume) if name == "V" else moved.bounds(name, *bounds[name])).values()
        lines.append(f"input {name} = {start[name]!r} in [{low!r}, {high!r}]")
    lines += [f"variable {name} start {start[name]!r}" for name in case["variables"] if name not in bounds]
    lines += [f"f{i}: {text} = 0" for i, text in enumerate(case["equations"])]
    limit = moved("market", 4.763)
    lines += [f"subject to market: eP - 0.1*eE <= {limit!r}", f"maximize ROI: {optimize['objective']}"]
    return la.reads("\n".join(lines))
