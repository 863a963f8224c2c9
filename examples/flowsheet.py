"""A flowsheet with a recycle around somebody else's unit: an ammonia loop whose condenser is a black box.

    feed → mixer → reactor → condenser → product (liquid)
             ↑                   ↓ vapour
             └──── recycle ── splitter → purge

Nitrogen and hydrogen react in part, N2 + 3 H2 → 2 NH3; the condenser takes the ammonia, the rest goes round again.
Argon, which comes with the feed and reacts with nothing, leaves by the purge alone, so little purge means much argon
going round.

The condenser is a Python function as a simulator would offer it: it finds the vapour part by root finding on Rachford
and Rice's equation and gives no derivatives. ``la.external`` makes it a unit; the library differentiates it by
differences. The recycle is the torn stream: four numbers have starts, mixer, reactor, condenser and splitter follow one
after the other, and Newton's method closes the loop. Plants are often computed by going round the loop until nothing
changes; that is done here too, to compare answers and counts.

Sources: H. Rachford, J. Rice (1952); ammonia's vapour pressure by Antoine's equation, NIST Chemistry WebBook; the K
values of the gases and all prices are made up. Run it: ``python examples/flowsheet.py --plot purge.png``
"""

import argparse
from typing import Any

import numpy as np
from pages import table
from scipy.optimize import brentq

import lagrange_ad as la

NAMES = ("N2", "H2", "Ar", "NH3")
FEED = np.array([24.5, 73.5, 2.0, 0.0])
"""kmol/h."""
REACTION = np.array([-1.0, -3.0, 0.0, 2.0])
PRESSURE, GASES = 100.0, np.array([60.0, 50.0, 40.0])
"""bar; K = y/x of the gases in liquid ammonia."""


class Condenser:
    """An isothermal flash: the vapour, kmol/h, of a stream at a temperature in K. Counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, flow: np.ndarray, temperature: float) -> np.ndarray:
        self.calls += 1
        ammonia = 10.0 ** (4.86886 - 1113.928 / (temperature - 10.409))  # bar
        k, z = np.append(GASES, ammonia / PRESSURE), flow / np.sum(flow)

        def excess(vapour: float) -> float:
            """Σ y − Σ x for the part of the stream that is vapour; it falls with it."""
            return float(np.sum(z * (k - 1.0) / (1.0 + vapour * (k - 1.0))))

        if excess(0.0) <= 0.0:
            return np.zeros(4)  # all of it is liquid
        if excess(1.0) >= 0.0:
            return flow.copy()  # all of it is vapour
        part = brentq(excess, 0.0, 1.0, xtol=1e-15, rtol=1e-15)
        return flow * part * k / (1.0 + part * (k - 1.0))


def units(recycle: Any, conversion: Any, temperature: Any, purged: Any, flash: Any) -> dict[str, Any]:
    """Once round the loop, unit by unit: with numbers, or with expressions of a program."""
    mixed = FEED + recycle
    reacted = mixed + conversion * mixed[0] * REACTION
    vapour = flash(reacted, temperature)
    purge = purged * vapour
    return {"mixed": mixed, "reacted": reacted, "vapour": vapour, "liquid": reacted - vapour, "purge": purge,
            "back": vapour - purge}  # fmt: skip


def model(condenser: Condenser) -> la.Program:
    """What the loop earns by the hour, by the part of the vapour that is purged; given are the conversion of N2 in a
    pass and the condenser's temperature."""
    p = la.Program("ammonia loop")
    conversion = p.parameter("conversion", 0.25)
    temperature = p.parameter("temperature", 260.0, unit="K")
    purged = p.input("purged", 0.05, lower=0.005, upper=0.5)
    recycle = p.variable("recycle", 4, start=3.0 * FEED + 1.0, labels=NAMES)
    flash = la.external(condenser, shape=4, name="condenser", method="differences")
    flows = units(recycle, conversion, temperature, purged, flash)
    named = {name: p.define(name, flow, labels=NAMES, unit="kmol/h") for name, flow in flows.items() if name != "back"}
    p.equate(recycle, named["vapour"] - named["purge"])
    cooling = 0.002 * (300.0 - temperature) * np.sum(named["reacted"])
    p.maximize(12.0 * named["liquid"][3] - 0.3 * np.sum(recycle) - cooling, name="earned")
    return p


def round_and_round(at: la.Point, condenser: Condenser, tolerance: float = 1e-10) -> tuple[np.ndarray, int]:
    """The recycle by going round the loop until it stays, and how often that was."""
    recycle, rounds = 3.0 * FEED + 1.0, 0
    while True:
        back = units(recycle, at["conversion"], at["temperature"], at["purged"], condenser)["back"]
        rounds += 1
        if np.max(np.abs(back - recycle)) < tolerance:
            return back, rounds
        recycle = back


def streams(at: la.Point) -> str:
    """All flows, component by component."""
    names = ("mixed", "reacted", "liquid", "vapour", "purge", "recycle")
    rows = [[name, f"{FEED[i]:.4f}", *(f"{at[flow][i]:.4f}" for flow in names)] for i, name in enumerate(NAMES)]
    return table("streams, kmol/h", ["", "feed", *names], rows)


def slopes(p: la.Program, at: la.Point) -> str:
    """The gradient, beside what is found by closing the loop again at changed values."""
    rows = []
    for name, step in (("purged", 1e-5), ("temperature", 1e-2), ("conversion", 1e-5)):
        up, down = (p.evaluate({name: at[name] + change}, start=at).objective for change in (step, -step))
        rows.append([name, f"{at[name]:g}", f"{at.gradient[name]:.6f}", f"{(up - down) / (2 * step):.6f}"])
    return table(f"earned: {at.objective:.4f} an hour", ["", "value", "d earned", "by solving again"], rows)


def draw(path: str, p: la.Program, best: la.Point) -> None:
    """Earnings and argon against the purge, each solve from the one before, with slopes from multipliers."""
    from pages import BLUE, ORANGE, canvas

    purges, at, curve = np.geomspace(0.006, 0.2, 25), None, []
    for purged in purges:
        at = p.evaluate(purged=purged, start=at)
        curve.append((at.objective, at["recycle"][2] / np.sum(at["recycle"]), at.gradient["purged"]))
    earned, argon, slope = np.transpose(curve)
    with canvas(path, columns=2, size=(7.2, 3.2)) as (left, right):
        left.plot(purges, earned, color=BLUE)
        for i in range(2, len(purges), 5):
            ends = purges[i] * np.array([0.85, 1.15])
            left.plot(ends, earned[i] + slope[i] * purges[i] * np.log(ends / purges[i]), color="black", linewidth=1.0)
        left.plot(best["purged"], best.objective, "o", color=ORANGE)
        left.set(xscale="log", xlabel="part purged", ylabel="earned by the hour", title="black: slopes by multipliers")
        right.plot(purges, 100 * argon, color=BLUE)
        right.set(xscale="log", xlabel="part purged", ylabel="argon in the recycle, %")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="An ammonia loop with a black-box condenser.")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib)")
    options = parser.parse_args(arguments)
    condenser = Condenser()
    p = model(condenser)
    at = p.evaluate()
    asked = condenser.calls
    other = Condenser()
    recycle, rounds = round_and_round(at, other)
    print(f"{at.blocks[0]}\n\n{streams(at)}\n")
    print(f"Newton's method asked the condenser {asked} times, derivatives included; going round took {rounds} times")
    print(f"largest difference between the two: {np.max(np.abs(recycle - at['recycle'])):.1e} kmol/h\n")
    print(slopes(p, at))
    best = p.ascend().at
    argon = 100 * best["recycle"][2] / np.sum(best["recycle"])
    print(f"\nbest: purge {best['purged']:.5f}, earned {best.objective:.4f}, slope {best.gradient['purged']:.1e}; "
          f"{argon:.1f} % of the recycle is argon")
    if options.plot:
        draw(options.plot, p, best)


if __name__ == "__main__":
    main()
