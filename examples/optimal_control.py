"""A rocket as high as its fuel takes it: an optimal control problem, whose multipliers are the costates.

Goddard's problem (1919): thrust is to be given between 0 and its maximum so that a rocket with drag and a fuel that
weighs as long as it is carried gets as high as possible. Height h, velocity v, mass m, thrust T, all scaled:

    h' = v        v' = (T − D(h, v))/m − g(h)        m' = −T/c        D = 310·v²·exp(500·(1 − h)),  g = 1/h²

The time to the top is an unknown too. On n steps of the length τ/n the trapezoidal rule makes equations of it, an array
equation each, whose unknowns are the states at all times; the inputs are the thrusts and τ:

    x[k+1] = x[k] + τ/(2n)·(f(x[k], T[k]) + f(x[k+1], T[k+1]))

What one unit added to the right side of step k is worth at the optimum, ``r.multiplier["climb"][k]``, is what a jump of
the state at that time would be worth: the costate p(t) of Pontryagin's maximum principle, without any scaling, because
a jump is what is added. So it obeys p' = −(∂f/∂x)ᵀ p, which is integrated here backwards from the top, by itself, with
an integrator that knows nothing of the steps; and the thrust is what the switching function ∂H/∂T = p_v/m − p_m/c says:
the maximum where it is positive, nothing where it is negative, and in between where it stays 0, the singular arc.

Sources: H. Seywald, E. Cliff, "Goddard problem in presence of a dynamic pressure limit" (1993); E. Dolan, J. Moré,
T. Munson, "Benchmarking optimization software with COPS 3.0" (2004), whose optimum is 1.01283 of the radius of the
Earth. Run it: ``python examples/optimal_control.py --plot rocket.png``
"""

import argparse
from typing import Any

import numpy as np
from pages import table
from scipy.integrate import solve_ivp

import lagrange_ad as la

DRAG, DECAY, EXHAUST, MOST, EMPTY = 310.0, 500.0, 0.5, 3.5, 0.6
"""Drag and how fast the air gets thin, the fuel's velocity c, the largest thrust, the mass without fuel."""
SMOOTH = 1e-6
"""What a squared step of the thrust costs: on the singular arc the trapezoidal rule alone lets it zigzag."""
STATES = ("h", "v", "m")
EQUATIONS = ("climb", "speed", "burn")


def rates(h: Any, v: Any, m: Any, thrust: Any) -> tuple[Any, Any, Any]:
    """h', v', m': of numbers, arrays or expressions."""
    drag = DRAG * v**2 * np.exp(DECAY * (1 - h))
    return v, (thrust - drag) / m - 1 / h**2, -thrust / EXHAUST


def model(n: int = 100) -> la.Program:
    """The rocket on n equal steps; a plain start: half thrust, straight lines."""
    p = la.Program("rocket")
    part = np.linspace(0.0, 1.0, n + 1)
    thrust = p.input("T", np.full(n + 1, MOST / 2), lower=0, upper=MOST)
    duration = p.input("tau", 0.2, lower=0.01, upper=1.0)
    h = p.variable("h", n + 1, start=1 + 0.01 * part)
    v = p.variable("v", n + 1, start=0.1 * part)
    m = p.variable("m", n + 1, start=1 - (1 - EMPTY) * part)
    for name, state, rate, begin in zip(EQUATIONS, (h, v, m), rates(h, v, m, thrust), (1.0, 0.0, 1.0), strict=True):
        p.equate(state[0], begin, name=f"{name}0")
        p.equate(state[1:], state[:-1] + duration / (2 * n) * (rate[:-1] + rate[1:]), name=name)
    p.subject_to(m[-1] >= EMPTY, name="tank")
    p.maximize(h[-1] - SMOOTH * np.sum((thrust[1:] - thrust[:-1]) ** 2), name="height")
    return p


def solved(n: int = 100) -> la.OptimizeResult:
    """The optimum by Uno's interior point, all states kept as unknowns. Multipliers of the thrust's bounds are small
    (a step of the thrust is worth little), so the tolerance is."""
    return model(n).optimize("uno", space="full", tolerance=1e-10)


def costates(r: la.OptimizeResult) -> np.ndarray:
    """p (3, n) of h, v, m in the middle of the steps: the multipliers of their equations."""
    return np.array([r.multiplier[name] for name in EQUATIONS])


def times(r: la.OptimizeResult) -> tuple[np.ndarray, np.ndarray]:
    """The times of the states (n + 1,) and of the middles of the steps (n,)."""
    at = np.linspace(0.0, r["tau"], len(r["T"]))
    return at, (at[:-1] + at[1:]) / 2


def integrated(r: la.OptimizeResult) -> np.ndarray:
    """p (3, n) in the middle of the steps from p' = −(∂f/∂x)ᵀ p alone, from the top down, where p = (1, 0, p_m).

    The states between the times are cubic polynomials with the slopes f; p_m at the top is minus what the mass without
    fuel is worth: of a little fuel left over there all could have been burnt.
    """
    from scipy.interpolate import CubicHermiteSpline

    at, middle = times(r)
    states, slopes = [r[name] for name in STATES], rates(*(r[name] for name in STATES), r["T"])
    curves = [CubicHermiteSpline(at, x, slope) for x, slope in zip(states, slopes, strict=True)]

    def slope(time: float, p: np.ndarray) -> list[float]:
        h, v, m = (float(curve(time)) for curve in curves)
        thrust = np.interp(time, at, r["T"])
        drag = DRAG * v**2 * np.exp(DECAY * (1 - h))
        return [-p[1] * (DECAY * drag / m + 2 / h**3), -p[0] + p[1] * 2 * DRAG * v * np.exp(DECAY * (1 - h)) / m,
                p[1] * (thrust - drag) / m**2]

    top = [1.0, 0.0, -float(r.multiplier["tank"])]
    found = solve_ivp(slope, (at[-1], 0.0), top, t_eval=middle[::-1], max_step=float(at[1]), rtol=1e-9, atol=1e-12)
    return np.asarray(found.y[:, ::-1])


def switching(r: la.OptimizeResult) -> np.ndarray:
    """∂H/∂T = p_v/m − p_m/c (n,) in the middle of the steps."""
    _, p_v, p_m = costates(r)
    m = (r["m"][:-1] + r["m"][1:]) / 2
    return np.asarray(p_v / m - p_m / EXHAUST)


def arcs(r: la.OptimizeResult) -> tuple[float, float]:
    """When full thrust ends and when the motor stops."""
    at, thrust = times(r)[0], r["T"]
    return float(at[np.argmax(thrust < MOST - 1e-6)]), float(at[len(thrust) - np.argmax(thrust[::-1] > 1e-6)])


def draw(path: str, r: la.OptimizeResult, p: np.ndarray, backwards: np.ndarray) -> None:
    from pages import BLUE, GREEN, GREY, ORANGE, RED, canvas

    at, middle = times(r)
    with canvas(path, columns=3, size=(10.2, 3.2)) as (left, centre, right):
        left.plot(at, r["T"], color=BLUE, label="thrust")
        left.plot(at, 10 * r["v"], color=ORANGE, label="10 × velocity")
        left.plot(at, 100 * (r["h"] - 1), color=GREEN, label="100 × (height − 1)")
        left.set(xlabel="time", title=f"height {r['h'][-1]:.5f}")
        left.legend()
        for k, (name, colour, factor) in enumerate((("h", GREEN, 0.1), ("v", ORANGE, 1), ("m", RED, 1))):
            label = f"$p_{name}$" if factor == 1 else f"{factor} × $p_{name}$"
            centre.plot(middle, factor * p[k], color=colour, label=label)
            centre.plot(middle[:: max(1, len(middle) // 25)], factor * backwards[k][:: max(1, len(middle) // 25)], ".",
                        color="black", markersize=3.5)
        centre.set(xlabel="time", title="costates: multipliers; dots: integrated backwards")
        centre.legend()
        right.plot(middle, switching(r), color=BLUE)
        right.axhline(0.0, color=GREY, linewidth=0.8)
        for when in arcs(r):
            right.axvline(when, color=GREY, linestyle=":", linewidth=0.9)
        right.set(xlabel="time", title="switching function: full, singular, no thrust")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Goddard's rocket, and its costates as multipliers.")
    parser.add_argument("--steps", type=int, default=200, help="steps of the trapezoidal rule (default 200)")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib)")
    options = parser.parse_args(arguments)
    r = solved(options.steps)
    p, backwards = costates(r), integrated(r)
    print(f"{r.message}\n{r.certificate.verdict}\n")
    full, none = arcs(r)
    print(f"height {r['h'][-1]:.5f} (published 1.01283) at the time {r['tau']:.4f}, after {r.iterations} iterations "
          f"with {r.view.problem.n} unknowns\nfull thrust until {full:.4f}, then less, none from {none:.4f}\n")
    rows = []
    for k in np.linspace(0, p.shape[1] - 1, 9).astype(int):
        cells = [f"{value:.5f}" for pair in zip(p[:, k], backwards[:, k], strict=True) for value in pair]
        rows.append([f"{times(r)[1][k]:.4f}", *cells, f"{switching(r)[k]:+.4f}"])
    print(table("costates: multipliers, and the costate equation integrated backwards from the top",
                ["time", *(head for name in STATES for head in (f"p_{name}", "backwards")), "∂H/∂T"], rows))
    apart = np.abs(p - backwards).max(axis=1) / np.abs(p).max(axis=1)
    print("largest difference, relative: " + ", ".join(f"{a:.1e} of p_{s}" for a, s in zip(apart, STATES, strict=True)))
    print(f"a unit of fuel more at the start is worth {r.multiplier['burn0']:.4f} of height, and one of mass without "
          f"fuel less {-r.multiplier['tank']:.4f}")
    if options.plot:
        draw(options.plot, r, p, backwards)


if __name__ == "__main__":
    main()
