"""The command ascend: gradient ascent, its history as a table and as a picture."""

from __future__ import annotations

import argparse
from typing import Any

from .reading import add_command, read_program
from .values import count, interval, output, picture, positive, schedule_text
from .writing import NOT_CONVERGED, WORKED, fail, write_shown


def add_ascend(commands: Any) -> None:
    """The command line of ascend."""
    parser = add_command(commands, "ascend", _ascend, "improve the objective step by step along its gradient")
    parser.add_argument("--rate", metavar="R", type=positive, help="step length a unit of gradient")
    parser.add_argument("--steps", metavar="N", type=count, help="most steps to take")
    parser.add_argument(
        "--tolerance", metavar="T", type=positive, dest="gradient_tolerance",
        help="stop when the gradient, without what a bound holds, is shorter than this",
    )
    parser.add_argument(
        "--line-search", choices=("armijo", "fixed"),
        help="armijo: shorten a step that does not improve enough; fixed: take every step as it is "
        "(fixed is the default with --rate, armijo without)",
    )
    parser.add_argument(
        "--method", choices=("gradient", "momentum", "nesterov", "adam", "barzilai-borwein"),
        help="where each step goes (default: gradient)",
    )
    parser.add_argument(
        "--schedule", metavar="KIND", type=schedule_text,
        help="lower the rate from --rate: cosine, exponential:FACTOR, inverse:DECAY or step:EVERY[,FACTOR]",
    )
    parser.add_argument(
        "--checkpoint", metavar="FILE", type=output, help="keep the whole run in a file, to be resumed"
    )
    parser.add_argument(
        "--checkpoint-every", metavar="N|TIME", type=interval,
        help="how often: a number of steps, or a time such as 30s or 5min (default 10s)",
    )
    parser.add_argument(
        "--resume", metavar="FILE", nargs="?", const=True,
        help="go on from a checkpoint; without FILE from that of --checkpoint, where there is one",
    )
    parser.add_argument(
        "--time", metavar="SECONDS", type=positive, dest="time_limit", help="stop after this time"
    )
    parser.add_argument("--history", metavar="CSV", type=output, help="write every step to a table")
    parser.add_argument(
        "--plot", metavar="PNG", type=picture, help="draw the history (.png, .svg or .pdf)"
    )


def _ascend(options: argparse.Namespace) -> int:
    program = read_program(options)
    if options.plot:
        from ..display.plots import require_matplotlib

        require_matplotlib()  # before the work, not after it
    given = {name: getattr(options, name) for name in _ASCENT if getattr(options, name) is not None}
    if options.schedule is not None:
        given["rate"] = _schedule(options)
    result = program.ascend(**given, progress=False if options.json else None)
    write_shown(result, options.json)
    if options.history:
        result.write_history(options.history)
    if options.plot:
        from ..display.plots import plot_history

        plot_history(result, options.plot, title=f"{program.name}: {program.objective}")
    if result.success:
        return WORKED
    return fail(result.message, NOT_CONVERGED)


_ASCENT = ("rate", "steps", "method", "line_search", "gradient_tolerance", "time_limit", "checkpoint",
           "checkpoint_every", "resume")  # fmt: skip


def _schedule(options: argparse.Namespace) -> Any:
    """The schedule of --schedule, from the rate of --rate down."""
    from ..errors import DeclarationError
    from ..optimization import ascent

    if options.rate is None:
        raise DeclarationError("--schedule begins at a rate: give --rate too")
    kind, numbers = options.schedule
    if kind == "cosine":
        return ascent.Cosine(options.rate, max(1, 1000 if options.steps is None else options.steps))
    if kind == "exponential":
        return ascent.Exponential(options.rate, *numbers)
    if kind == "inverse":
        return ascent.InverseTime(options.rate, *numbers)
    return ascent.StepDecay(options.rate, int(numbers[0]), *numbers[1:])
