"""The Williams–Otto process: a reactor whose unused feed comes back to it, solved from a start for one stream.

Two raw materials A and B react in a stirred tank to the product P, and on the way to C, E and the waste G:

    A + B → C          C + B → P + E          P + C → G

The effluent is parted: a decanter takes all of G, a column takes P (but for a tenth of E's mass, which holds it back),
a purge takes the part η of the rest, and what is left is fed in again. So the effluent depends on the recycle and the
recycle on the effluent:

    effluent = feeds + recycle(effluent) + what the reactions make in it

The effluent is the torn stream: six numbers have starts, all others follow from them unit by unit, and Newton's method
closes the loop. The objective is the return on investment, in percent; its gradient in feeds, volume, temperature and
purge says which change pays.

Sources: T. Williams, R. Otto (1960); the nonlinear program of L. Biegler, I. Grossmann, A. Westerberg, "Systematic
methods of chemical process design" (1997), whose optimum is 121.1 %. Run it: ``python examples/williams_otto.py --plot
roi.png``
"""

import argparse

import numpy as np
from pages import table
from scipy.optimize import minimize

import lagrange_ad as la

NAMES = ("A", "B", "C", "E", "P", "G")
A, B, C, E, P, G = range(6)
TORN = (50.0, 150.0, 10.0, 150.0, 20.0, 5.0)
"""Round numbers to start the effluent from, 1000 lb/h."""
USUAL = {"FA": 12.0, "FB": 28.0, "V": 0.04, "T": 6.5, "eta": 0.1}
BEST = {"FA": 13.329922555799836, "FB": 30.379721776743693, "V": 0.03043151047761051, "T": 6.743525022967409,
        "eta": 0.1001731202480632}  # fmt: skip
"""Inputs of a day like any other, and those of the published optimum."""
FACTOR, ENERGY = np.array([5.9755e9, 2.5962e12, 9.6283e15]), np.array([120.0, 150.0, 200.0])
MADE = np.array([[-1, -1, 2, 0, 0, 0], [0, -1, -2, 2, 1, 0], [0, 0, -1, 0, -0.5, 1.5]])
"""What each reaction makes of each component, by mass."""
DENSITY = 50.0


def model() -> la.Program:
    """Feeds in 1000 lb/h, the volume V in 1000 ft³, the temperature T in 100 °R, the purged part η of the recycle."""
    p = la.Program("williams_otto")
    feed_a, feed_b = (p.input(name, USUAL[name], lower=1, upper=100) for name in ("FA", "FB"))
    volume = p.input("V", USUAL["V"], lower=0.03, upper=0.1)
    temperature = p.input("T", USUAL["T"], lower=5.8, upper=6.8)
    eta = p.input("eta", USUAL["eta"], lower=0.01, upper=0.99)

    effluent = p.variable("effluent", 6, start=TORN, labels=NAMES, domain=(0, np.inf))
    share = p.define("share", effluent / np.sum(effluent), labels=NAMES)
    rate = p.define("rate", FACTOR * np.exp(-ENERGY / temperature) * volume * DENSITY
                    * np.stack([share[A] * share[B], share[C] * share[B], share[P] * share[C]]))
    waste = p.define("waste", effluent[G])
    product = p.define("product", effluent[P] - 0.1 * effluent[E])
    below = np.stack([effluent[A], effluent[B], effluent[C], effluent[E], 0.1 * effluent[E], 0.0])
    bottoms = p.define("bottoms", below, labels=NAMES)
    purge = p.define("purge", eta * bottoms, labels=NAMES)
    recycle = p.define("recycle", bottoms - purge, labels=NAMES)
    p.equate(effluent, np.stack([feed_a, feed_b, 0.0, 0.0, 0.0, 0.0]) + recycle + rate @ MADE)

    income = 2207 * product + 50 * np.sum(purge)
    expense = 168 * feed_a + 252 * feed_b + 2.22 * np.sum(effluent) + 84 * waste + 60 * volume * DENSITY
    p.maximize(100 * (income - expense) / (600 * volume * DENSITY), name="ROI")
    p.subject_to(product <= 4.763, name="market")
    return p


def streams(at: la.Point) -> str:
    """All flows, component by component, 1000 lb/h."""
    feed = np.array([at["FA"], at["FB"], 0, 0, 0, 0])
    waste, product = np.zeros(6), np.zeros(6)
    waste[G], product[P] = at["waste"], at["product"]
    columns = {"feed": feed, "recycle": at["recycle"], "effluent": at["effluent"], "waste": waste, "product": product,
               "purge": at["purge"]}  # fmt: skip
    rows = [[name, *(f"{column[i]:.4f}" for column in columns.values())] for i, name in enumerate(NAMES)]
    rows.append(["all", *(f"{column.sum():.4f}" for column in columns.values())])
    lost = feed.sum() - waste.sum() - product.sum() - at["purge"].sum()
    return table("streams, 1000 lb/h", ["", *columns], rows) + f"\nwhat goes in minus what comes out: {lost:.1e}"


def worth(at: la.Point) -> str:
    """What one per cent more of every input adds to the ROI."""
    rows = [[name, f"{at[name]:.4f}", f"{at.gradient[name]:+z.4f}",
             f"{0.01 * at[name] * at.gradient[name]:+z.4f}"] for name in USUAL]  # fmt: skip
    return table(f"ROI {at.objective:.4f} %", ["input", "value", "dROI/dinput", "1 % more of it adds"], rows)


def best(p: la.Program) -> tuple[la.Point, int]:
    """The best inputs for the smallest reactor, by L-BFGS-B, and how many solves that took.

    A plant twice as large has the same ROI, so one of the sizes must be chosen.
    """
    view = p.reduced()
    lower, upper = view.split(view.lower), view.split(view.upper)
    upper["V"] = lower["V"]
    bounds = list(zip(view.join(lower), view.join(upper), strict=True))
    found = minimize(view.value_and_gradient, view.x0, jac=True, bounds=bounds, method="L-BFGS-B",
                     options={"ftol": 1e-14, "gtol": 1e-6})  # fmt: skip
    return view.point(found.x), int(found.nfev)


def draw(path: str, p: la.Program, usual: la.Point, optimal: la.Point) -> None:
    """ROI by temperature through both points, each solve from the one before, with slopes from multipliers."""
    from pages import BLUE, ORANGE, canvas

    with canvas(path) as axes:
        for point, colour, name in ((usual, BLUE, "a day like any other"), (optimal, ORANGE, "the best day")):
            inputs, at, curve = {key: point[key] for key in USUAL}, point, []
            for temperature in np.linspace(6.2, 6.8, 31):
                at = p.evaluate(inputs | {"T": temperature}, start=at)
                curve.append((temperature, at.objective))
            axes.plot(*np.transpose(curve), color=colour, label=name)
            step = np.array([-0.06, 0.06])
            axes.plot(point["T"] + step, point.objective + step * point.gradient["T"], color="black", linewidth=1.0)
            axes.plot(point["T"], point.objective, "o", color=colour)
        axes.set(xlabel="reactor temperature, 100 °R", ylabel="return on investment, %",
                 title="black: slopes by multipliers")
        axes.legend()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="The Williams–Otto process and its return on investment.")
    parser.add_argument("--plot", help="where a picture goes (needs matplotlib)")
    options = parser.parse_args(arguments)
    p = model()
    print("1. a day like any other: the loop closed from a start for the reactor's effluent alone\n")
    usual = p.evaluate()
    print(f"{usual.blocks[0]}\n\n{streams(usual)}\n\n{worth(usual)}")
    scaled = sum(usual[name] * usual.gradient[name] for name in ("FA", "FB", "V"))
    print(f"a plant one per cent larger (FA, FB and V) adds {0.01 * scaled:+.1e}: the ROI does not depend on its size")
    print("\n2. at the inputs of the published optimum, 121.1 %\n")
    optimal = p.evaluate(BEST)
    print(f"{worth(optimal)}\nproduct {optimal['product']:.4f} of 4.763 that the market takes")
    print("\n3. from the first to the best, for the smallest reactor\n")
    found, solves = best(p)
    print(f"{worth(found)}\n{solves} solves; product {found['product']:.4f}")
    if options.plot:
        draw(options.plot, p, usual, optimal)


if __name__ == "__main__":
    main()
