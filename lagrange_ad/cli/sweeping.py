"""The command sweep: solve at many values, into a table, a picture and a file."""

from __future__ import annotations

import argparse
from typing import Any

from .reading import add_command, read_program
from .values import interval, output, picture, positive, series
from .writing import NOT_CONVERGED, WORKED, fail, write_shown


def add_sweep(commands: Any) -> None:
    """The command line of sweep."""
    parser = add_command(commands, "sweep", _sweep, "solve at many values, each solve from the last",
                         "sweep circuit.lag --over I=0.01:1:100")
    parser.add_argument(
        "--over", metavar="NAME=VALUES", type=series, action="append", required=True,
        help="FROM:TO:COUNT, the same with :log, or a list, as in I=0.01:1:100, k=1e-3:1e3:7:log or R=50,100,200; "
        "several go together, point by point",
    )
    parser.add_argument("--grid", action="store_true", help="go through every combination of several --over")
    parser.add_argument("--gradients", action="store_true", help="compute multipliers along the way, into --file")
    parser.add_argument("--csv", metavar="CSV", type=output, help="write a table of all points")
    parser.add_argument("--plot", metavar="PNG", type=picture, help="draw the variables (.png, .svg or .pdf)")
    parser.add_argument("--file", metavar="NPZ", type=output, dest="results",
                        help="keep the results in a file as it goes")
    parser.add_argument("--file-every", metavar="N|TIME", type=interval,
                        help="how often: a number of points, or a time such as 30s or 5min (default 10s)")
    parser.add_argument("--resume", action="store_true", help="go on from the file of --file, where there is one")
    parser.add_argument("--time", metavar="SECONDS", type=positive, dest="time_limit", help="stop after this time")


def _sweep(options: argparse.Namespace) -> int:
    from ..errors import DeclarationError
    from ..sweeps import grid

    program = read_program(options)
    if options.plot:
        from ..display.plots import require_matplotlib

        require_matplotlib()
    values = dict(options.over)
    if len(values) < len(options.over):
        raise DeclarationError("--over names something twice")
    given = {} if options.file_every is None else {"file_every": options.file_every}
    result = program.sweep(
        grid(values) if options.grid else values, gradients=options.gradients, time_limit=options.time_limit,
        file=options.results, resume=options.resume, progress=False if options.json else None, **given,
    )
    write_shown(result, options.json)
    if options.csv:
        result.write_csv(options.csv)
    if options.plot:
        result.plot(path=options.plot)
    return WORKED if result.success else fail(result.message, NOT_CONVERGED)
