"""The command ``lagrange-ad``: evaluate, improve, sweep, show or check the program of an equation file.

Takes the command line, writes tables or JSON to standard output and errors as plain text to standard error.
Exit codes: 0 it worked; 1 the numbers failed (no solution, no convergence, a wrong derivative); 2 bad input (a file, a
name or an option). What is heavy is imported when a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WORKED, NOT_CONVERGED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    from .errors import LagrangeError, SolveError

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
        return _fail(error, NOT_CONVERGED)
    except (LagrangeError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # the reader, such as `head`, has left
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return WORKED
        return _fail(error, BAD_INPUT)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)


# commands ---------------------------------------------------------------------------------------------------


def _evaluate(options: argparse.Namespace) -> int:
    at = _read(options).evaluate()
    _write_shown(at, options.json)
    return WORKED


def _ascend(options: argparse.Namespace) -> int:
    program = _read(options)
    if options.plot:
        from .display.plots import require_matplotlib

        require_matplotlib()  # before the work, not after it
    given = {name: getattr(options, name) for name in _ASCENT if getattr(options, name) is not None}
    if options.schedule is not None:
        given["rate"] = _schedule(options)
    result = program.ascend(**given, progress=False if options.json else None)
    _write_shown(result, options.json)
    if options.history:
        result.write_history(options.history)
    if options.plot:
        from .display.plots import plot_history

        plot_history(result, options.plot, title=f"{program.name}: {program.objective}")
    if result.success:
        return WORKED
    return _fail(result.message, NOT_CONVERGED)


def _sweep(options: argparse.Namespace) -> int:
    from .errors import DeclarationError
    from .sweeps import grid

    program = _read(options)
    if options.plot:
        from .display.plots import require_matplotlib

        require_matplotlib()
    values = dict(options.over)
    if len(values) < len(options.over):
        raise DeclarationError("--over names something twice")
    given = {} if options.file_every is None else {"file_every": options.file_every}
    result = program.sweep(
        grid(values) if options.grid else values, gradients=options.gradients, time_limit=options.time_limit,
        file=options.results, resume=options.resume, progress=False if options.json else None, **given,
    )
    _write_shown(result, options.json)
    if options.csv:
        result.write_csv(options.csv)
    if options.plot:
        result.plot(path=options.plot)
    return WORKED if result.success else _fail(result.message, NOT_CONVERGED)


def _show(options: argparse.Namespace) -> int:
    program = _read(options)
    lagrangian = str(program.lagrangian) if program.objective is not None else None
    if options.plot:
        program.plot(path=options.plot)
    if options.json:
        _write(_json(_description(program, lagrangian)))
        return WORKED
    parts = [program.summary(), "Lagrangian\n\n" + (lagrangian or "none: the file states no objective")]
    _write("\n\n".join([*parts, f"Schedule\n\n{program.schedule}"]))
    return WORKED


def _check(options: argparse.Namespace) -> int:
    from .testing import check_derivatives

    report = check_derivatives(_read(options), values=dict(options.set), hessian=options.hessian, nearby=options.nearby)
    _write_shown(report, options.json)
    if not report.ok:
        return _fail(f"{report.checked['wrong']} wrong: {report.worst}", NOT_CONVERGED)
    if not report.solved:
        return _fail("the equations have no solution here, so the gradient was not checked", NOT_CONVERGED)
    return WORKED


def _diagnose(options: argparse.Namespace) -> int:
    found = _read(options).diagnose()
    _write_shown(found.reworded(in_words_of_files), options.json)
    return WORKED if found.ok else NOT_CONVERGED


_ASCENT = ("rate", "steps", "method", "line_search", "gradient_tolerance", "time_limit", "checkpoint",
           "checkpoint_every", "resume")  # fmt: skip


def _schedule(options: argparse.Namespace) -> Any:
    """The schedule of --schedule, from the rate of --rate down."""
    from .errors import DeclarationError
    from .optimization import ascent

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


def _description(program: Any, lagrangian: str | None) -> dict[str, Any]:
    symbols = [
        {"name": s.name, "kind": s.kind, "value": _plain_value(s.value), "lower": s.lower, "upper": s.upper,
         **({"unit": s.unit} if s.unit else {}), **({"role": program.role_of(s)} if s.name in program.swapped else {})}
        for s in program.symbols.values()
    ]
    return {
        "program": program.name,
        "symbols": symbols,
        "equations": [{"name": e.name, "equation": str(e)} for e in program.equations],
        "objective": None if program.objective is None else str(program.objective),
        "constraints": [{"name": c.name, "constraint": str(c)} for c in program.constraints],
        "lagrangian": lagrangian,
        "schedule": str(program.schedule).splitlines(),
    }


def _plain_value(value: Any) -> Any:
    """A value or a start: numbers as they are, a formula as text."""
    from .expression import Expression
    from .printing import to_text

    return to_text(value) if isinstance(value, Expression) else value


def _read(options: argparse.Namespace) -> Any:
    """The program of the file, with the values and the starts of the command line."""
    from .api import read
    from .errors import DeclarationError

    program = read(options.file)
    for option, given in (("--set", options.set), ("--start", options.start)):
        for name, _ in given:
            symbol = program.symbol(name)
            found, kind = program.is_found(symbol), symbol.kind
            if option == "--set" and found:
                what = "a variable" if kind == "variable" else f"one of the {kind}s, freed"
                raise DeclarationError(
                    f"{name!r} is {what}: the equations determine it; to say where its solve begins, write "
                    f"--start {name}=VALUE, or 'variable {name} start VALUE' in the file"
                )
            if option == "--start" and not found:
                what = "fixed" if kind == "variable" else f"one of the {kind}s"
                raise DeclarationError(
                    f"--start is for variables, {name!r} is {what}: give its value, --set {name}=VALUE"
                )
    program.set(dict(options.set + options.start))
    return program


# output -----------------------------------------------------------------------------------------------------


IN_A_FILE = (
    ("(variable(..., start=), or evaluate(start={...}))", "('variable NAME start VALUE', or --start NAME=VALUE)"),
    ("variable(..., start=)", "'variable NAME start VALUE'"),
    ("a domain=(low, high)", "a 'domain (low, high)' after it"),
    ("declare one with minimize(expr) or maximize(expr)", "state one in the file, 'minimize …' or 'maximize …'"),
    ("declare one with input(name, value)", "state one in the file, 'input NAME = VALUE'"),
    ("Use a constrained optimizer on view = program.reduced(): scipy.optimize.minimize(view.value_and_gradient, "
     "view.x0, jac=True, bounds=view.bounds, constraints=view.constraints)",
     "Leave them out of the file, or hold them in Python: lagrange_ad.read(FILE).reduced() is for any optimizer"),
    ("needs rate=, a number or a schedule such as la.ascent.Cosine(0.1, steps)", "needs --rate"),
)
"""What messages advise in Python, and what a user of files and of this command does instead."""

_KEYWORD = re.compile(r"(?<![\w.])(rate|method|line_search|steps|checkpoint|resume|file)=(True\b)?(?=(['\w])?)")


def in_words_of_files(text: str) -> str:
    """A message with its advice for the command line."""
    for python, file in IN_A_FILE:
        text = text.replace(python, file)
    return _KEYWORD.sub(lambda word: f"--{word[1].replace('_', '-')}{' ' * bool(word[3])}", text)


def _write(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")


def _write_shown(thing: Any, as_json: bool) -> None:
    """A point or a result: JSON, or tables, in colour on a terminal."""
    if as_json:
        _write(_json(thing.as_dict()))
    elif sys.stdout.isatty():
        from rich.console import Console

        Console(file=sys.stdout).print(thing)
    else:
        _write(str(thing))


def _fail(reason: object, code: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"lagrange-ad: {in_words_of_files(str(reason))}\n")
    return code


def _json(value: Any) -> str:
    return json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    """Plain data for strict JSON, which has no infinity and no NaN: both become null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # a NumPy array or number
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


# options ----------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lagrange-ad",
        description="Values, multipliers and gradients of the equations in a file, sweeps and gradient ascent.",
        epilog="Exit codes: 0 it worked, 1 no solution, no convergence or a wrong derivative, 2 bad input.",
    )
    parser.add_argument("--version", action="version", version=f"lagrange-ad {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _command(commands, "evaluate", _evaluate, "solve the equations; values, multipliers and the gradient")
    ascend = _command(commands, "ascend", _ascend, "improve the objective step by step along its gradient")
    _add_ascent(ascend)
    sweep = _command(commands, "sweep", _sweep, "solve at many values, each solve from the last",
                     "sweep circuit.lag --over I=0.01:1:100")
    _add_sweep(sweep)
    show = _command(commands, "show", _show, "the declarations, the Lagrangian and the order of solution")
    show.add_argument("--plot", metavar="PNG", type=_picture, help="draw the program (.png, .svg or .pdf)")
    _command(commands, "diagnose", _diagnose, "say what is wrong with the equations, or with their solution")
    check = _command(commands, "check", _check, "compare every derivative with differences of values")
    check.add_argument("--hessian", action="store_true", help="check second derivatives too")
    check.add_argument("--nearby", metavar="N", type=int, default=0,
                       help="check at N more points, inputs and parameters changed by up to 10 percent at random")
    return parser


def _command(commands: Any, name: str, run: Any, summary: str, usage: str = "") -> argparse.ArgumentParser:
    example = f"example: lagrange-ad {usage or f'{name} domke.lag --set x=0.2'}"
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=example
    )
    parser.add_argument("file", metavar="FILE", help="an equation file, such as domke.lag")
    parser.add_argument(
        "--set", metavar="NAME=VALUE", type=_assignment, action="append", default=[],
        help="change a value first, for instance x=0.5 or angle=pi/4; may be repeated",
    )
    parser.add_argument(
        "--start", metavar="NAME=VALUE", type=_assignment, action="append", default=[],
        help="where the solve of a cycle begins in a variable, for instance y1=10; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="write JSON instead of tables")
    parser.set_defaults(command=run)
    return parser


def _add_ascent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rate", metavar="R", type=_positive, help="step length a unit of gradient")
    parser.add_argument("--steps", metavar="N", type=_count, help="most steps to take")
    parser.add_argument(
        "--tolerance", metavar="T", type=_positive, dest="gradient_tolerance",
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
        "--schedule", metavar="KIND", type=_schedule_text,
        help="lower the rate from --rate: cosine, exponential:FACTOR, inverse:DECAY or step:EVERY[,FACTOR]",
    )
    parser.add_argument(
        "--checkpoint", metavar="FILE", type=_output, help="keep the whole run in a file, to be resumed"
    )
    parser.add_argument(
        "--checkpoint-every", metavar="N|TIME", type=_interval,
        help="how often: a number of steps, or a time such as 30s or 5min (default 10s)",
    )
    parser.add_argument(
        "--resume", metavar="FILE", nargs="?", const=True,
        help="go on from a checkpoint; without FILE from that of --checkpoint, where there is one",
    )
    parser.add_argument(
        "--time", metavar="SECONDS", type=_positive, dest="time_limit", help="stop after this time"
    )
    parser.add_argument("--history", metavar="CSV", type=_output, help="write every step to a table")
    parser.add_argument(
        "--plot", metavar="PNG", type=_picture, help="draw the history (.png, .svg or .pdf)"
    )


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--over", metavar="NAME=VALUES", type=_series, action="append", required=True,
        help="FROM:TO:COUNT, the same with :log, or a list, as in I=0.01:1:100, k=1e-3:1e3:7:log or R=50,100,200; "
        "several go together, point by point",
    )
    parser.add_argument("--grid", action="store_true", help="go through every combination of several --over")
    parser.add_argument("--gradients", action="store_true", help="compute multipliers along the way, into --file")
    parser.add_argument("--csv", metavar="CSV", type=_output, help="write a table of all points")
    parser.add_argument("--plot", metavar="PNG", type=_picture, help="draw the variables (.png, .svg or .pdf)")
    parser.add_argument("--file", metavar="NPZ", type=_output, dest="results",
                        help="keep the results in a file as it goes")
    parser.add_argument("--file-every", metavar="N|TIME", type=_interval,
                        help="how often: a number of points, or a time such as 30s or 5min (default 10s)")
    parser.add_argument("--resume", action="store_true", help="go on from the file of --file, where there is one")
    parser.add_argument("--time", metavar="SECONDS", type=_positive, dest="time_limit", help="stop after this time")


def _series(text: str) -> tuple[str, list[float]]:
    """The name and the values of FROM:TO:COUNT, FROM:TO:COUNT:log or a list."""
    import numpy as np

    name, _, rest = (part.strip() for part in text.partition("="))
    parts = rest.split(":")
    wrong = argparse.ArgumentTypeError(
        f"{text!r} is not NAME=FROM:TO:COUNT, NAME=FROM:TO:COUNT:log or NAME=1,2,5, as in I=0.01:1:100"
    )
    if not (name and rest) or len(parts) == 2 or len(parts) > 4 or (len(parts) == 4 and parts[3].strip() != "log"):
        raise wrong
    if len(parts) == 1:
        return name, [_assignment(f"{name}={item}")[1] for item in rest.split(",")]
    low, high = (_assignment(f"{name}={end}")[1] for end in parts[:2])
    if not parts[2].strip().isdecimal() or int(parts[2]) < 1:
        raise argparse.ArgumentTypeError(f"{parts[2]!r} in {text!r} is not a number of points (1, 2, …)")
    if len(parts) == 4 and not (low > 0 and high > 0):
        raise argparse.ArgumentTypeError(f"{text!r}: steps of equal ratio need positive ends")
    make = np.geomspace if len(parts) == 4 else np.linspace
    return name, make(low, high, int(parts[2])).tolist()


def _assignment(text: str) -> tuple[str, float]:
    from .errors import EquationFileError
    from .files.equations import constant

    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, as in x=0.5")
    try:
        return name, constant(value)
    except EquationFileError as error:
        raise argparse.ArgumentTypeError(f"the value of {name!r}: {error.message}") from None


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


_SCHEDULES = {"cosine": (0, 0), "exponential": (1, 1), "inverse": (1, 2), "step": (1, 2)}
"""The fewest and the most numbers of each."""


def _schedule_text(text: str) -> tuple[str, list[float]]:
    kind, _, rest = text.partition(":")
    numbers = [_positive(part) for part in rest.split(",")] if rest else []
    if kind not in _SCHEDULES or not _SCHEDULES[kind][0] <= len(numbers) <= _SCHEDULES[kind][1]:
        raise argparse.ArgumentTypeError(
            f"{text!r} is none of cosine, exponential:FACTOR, inverse:DECAY, step:EVERY or step:EVERY,FACTOR"
        )
    if kind == "step" and numbers[0] != int(numbers[0]):
        raise argparse.ArgumentTypeError(f"{text!r}: EVERY is a whole number of steps")
    return kind, numbers


def _interval(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of steps (0, 1, 2, …)")
    return int(text)


def _output(text: str) -> Path:
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder: name a file")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r} for {path.name!r}")
    return path


def _picture(text: str) -> Path:
    path = _output(text)
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise argparse.ArgumentTypeError(f"{text!r} must end in .png, .svg or .pdf")
    return path


def _version() -> str:
    from . import __version__

    return __version__
