"""The gradient-ascent driver: improve the inputs of an equation file, or of an example, and keep the record.

    python examples/gradient_ascent.py sellar
    python examples/gradient_ascent.py examples/domke.lag --rate 1e-3 --history steps.csv --plot steps.png
    python examples/gradient_ascent.py sellar --method adam --rate 0.1 --final-rate 1e-4 --checkpoint run.npz

Writes the history as CSV and a convergence plot as PNG. With --checkpoint, the same command goes on where an earlier
one was stopped or killed.
"""

import argparse
import sys

import domke
import sellar

import lagrange_ad as la
from lagrange_ad import read
from lagrange_ad.display.plots import plot_history

EXAMPLES = {"domke": domke.model, "sellar": sellar.model}


def load(name: str) -> la.Program:
    """The program of an example's name or of an equation file."""
    return EXAMPLES[name]() if name in EXAMPLES else read(name)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Improve the inputs of a program by gradient ascent.")
    parser.add_argument("program", help=f"an equation file, or one of {', '.join(EXAMPLES)}")
    parser.add_argument("--rate", type=float, help="a fixed rate (default: a line search finds its own)")
    parser.add_argument("--final-rate", type=float, help="the rate falls to this one along half a cosine")
    parser.add_argument("--method", default="gradient", help="gradient, momentum, nesterov, adam or barzilai-borwein")
    parser.add_argument("--checkpoint", help="a file that keeps the run, and from which it goes on where it is there")
    parser.add_argument("--steps", type=int, default=1000, help="at most this many steps (default 1000)")
    parser.add_argument("--history", default="history.csv", help="where the CSV goes (default history.csv)")
    parser.add_argument("--plot", default="convergence.png", help="where the plot goes (default convergence.png)")
    options = parser.parse_args(arguments)
    try:
        program = load(options.program)
        rate = options.rate
        if options.final_rate is not None:
            rate = la.ascent.Cosine(options.rate, options.steps, options.final_rate)
        result = program.ascend(rate, options.steps, method=options.method, checkpoint=options.checkpoint,
                                resume=options.checkpoint is not None)
    except la.LagrangeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(result)
    result.write_history(options.history)
    plot_history(result, options.plot, title=f"{program.name}: {program.objective}")
    print(f"history in {options.history}, plot in {options.plot}")
    return 0 if result.success else 1


if __name__ == "__main__":
    sys.exit(main())
