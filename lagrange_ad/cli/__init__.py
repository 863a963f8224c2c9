"""The command ``lagrange-ad``: evaluate, optimize, improve, sweep, show or check the program of an equation file.

Takes the command line, writes tables or JSON to standard output and errors as plain text to standard error.
Exit codes: 0 it worked; 1 the numbers failed (no solution, no optimum, no convergence, a wrong derivative); 2 bad input
(a file, a name or an option). What is heavy is imported when a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .ascending import add_ascend
from .looking import add_evaluate, add_others
from .optimizing import add_optimize
from .sweeping import add_sweep
from .writing import BAD_INPUT, IN_A_FILE, INTERRUPTED, NOT_CONVERGED, WORKED, fail, in_words_of_files

__all__ = ["IN_A_FILE", "in_words_of_files", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    from ..errors import LagrangeError, SolveError

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without λ gets ?, not a traceback
    try:
        options = _parser().parse_args(arguments)
        code: int = options.command(options)
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # argparse has said why
        return stop.code if isinstance(stop.code, int) else BAD_INPUT
    except SolveError as error:
        return fail(error, NOT_CONVERGED)
    except (LagrangeError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # the reader, such as `head`, has left
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return WORKED
        return fail(error, BAD_INPUT)
    except KeyboardInterrupt:
        return fail("interrupted", INTERRUPTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lagrange-ad",
        description="Values, multipliers and gradients of the equations in a file, optima, sweeps and gradient ascent.",
        epilog="Exit codes: 0 it worked, 1 no solution, no optimum or a wrong derivative, 2 bad input.",
    )
    parser.add_argument("--version", action="version", version=f"lagrange-ad {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (add_evaluate, add_optimize, add_ascend, add_sweep, add_others):
        add(commands)
    return parser


def _version() -> str:
    from .. import __version__

    return __version__
