"""The command optimize: the best inputs under all constraints and bounds, of any method and space.

Exit codes: 0 the optimum is certified, 1 it is not, 2 bad input.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .reading import add_command, read_program
from .values import count, output, picture, positive, space_of, start_of
from .writing import NOT_CONVERGED, WORKED, fail, write_shown

START = ("NAME=VALUE|FILE", "where to begin: an input or a variable, for instance y1=10, or the JSON of an earlier "
         "run; may be repeated")
_OPTIONS = ("method", "space", "tolerance", "max_iterations", "time_limit")


def add_optimize(commands: Any) -> None:
    """The command line of optimize."""
    parser = add_command(commands, "optimize", _optimize, "the best inputs under all constraints, with shadow prices",
                         "optimize sellar.lag --method slsqp --space reduced", start=start_of, starts=START)
    parser.add_argument("--method", metavar="NAME",
                        help="uno, uno-sqp, ipopt, slsqp, trust-constr, l-bfgs-b, trust-krylov, augmented-lagrangian, "
                        "lagrange-newton, gradient, … (default: by the structure of the problem)")
    parser.add_argument("--space", metavar="reduced|full|NAMES", type=space_of,
                        help="reduced: solve the equations at every point; full: keep them as constraints; or the "
                        "variables to eliminate, as in y1,y2 (default: by the structure of the problem)")
    parser.add_argument("--tolerance", metavar="T", type=positive, help="of the optimality conditions (default 1e-8)")
    parser.add_argument("--max-iterations", metavar="N", type=count, help="most iterations to make (default 3000)")
    parser.add_argument("--time-limit", metavar="SECONDS", type=positive, help="stop after this time")
    parser.add_argument("--starts", metavar="N", type=count,
                        help="begin at N points within the bounds, and show all optima that were found")
    parser.add_argument("--seed", metavar="S", type=count, help="which points --starts takes (default 0)")
    parser.add_argument("--history", metavar="CSV", type=output, help="write every iteration to a table")
    parser.add_argument("--plot", metavar="PNG", type=picture, help="draw the convergence (.png, .svg or .pdf)")
    parser.add_argument("--quiet", action="store_true", help="no progress and no tables; the exit code tells")


def _optimize(options: argparse.Namespace) -> int:
    program = _begun(options)
    if options.plot:
        from ..display.plots import require_matplotlib

        require_matplotlib()  # before the work, not after it
    given = {name: getattr(options, name) for name in _OPTIONS if getattr(options, name) is not None}
    given["progress"] = False if options.json or options.quiet else None
    many = _many(program, options, given)
    result = program.optimize(**given) if many is None else many.best
    if options.json or not options.quiet:
        write_shown(result if many is None else many, options.json)
    if result is None:
        return fail(many.message, NOT_CONVERGED)
    if options.history:
        result.write_history(options.history)
    if options.plot:
        result.plot(path=options.plot)
    return WORKED if result.success else fail(result.message, NOT_CONVERGED)


def _many(program: Any, options: argparse.Namespace, given: dict[str, Any]) -> Any:
    """What --starts found; None without it."""
    from ..errors import DeclarationError

    if options.starts is None:
        if options.seed is not None:
            raise DeclarationError("--seed says which points --starts takes: say how many, --starts N")
        return None
    return program.multistart(options.starts, seed=options.seed or 0, **given)


def _begun(options: argparse.Namespace) -> Any:
    """The program of the file with --set, and with --start: later ones count where names come twice."""
    starts, options.start = options.start, []
    program = read_program(options)
    program.set(_starts(program, starts))
    return program


def _starts(program: Any, starts: list[Path | tuple[str, float]]) -> dict[str, float]:
    from ..errors import DeclarationError

    found: dict[str, float] = {}
    for start in starts:
        for name, value in _stored(start).items() if isinstance(start, Path) else [start]:
            kind = program.symbol(name).kind
            if kind != "parameter":
                found[name] = value
            elif not isinstance(start, Path):
                raise DeclarationError(f"--start is for inputs and variables, {name!r} is one of the parameters: give "
                                       f"its value, --set {name}=VALUE")
    return found


def _stored(path: Path) -> dict[str, float]:
    """The values that a file has from an earlier run: JSON of this command, of evaluate, or an object of numbers."""
    from ..errors import DeclarationError

    wrong = (f"--start {str(path)!r}: a start is JSON that 'lagrange-ad optimize FILE --json' writes, or an object of "
             "numbers")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise DeclarationError(f"{wrong}; this is not JSON: {error}") from None
    if isinstance(content, dict) and isinstance(content.get("best"), dict):
        content = content["best"]  # of --starts
    values = content.get("values", content) if isinstance(content, dict) else None
    if not isinstance(values, dict) or not values:
        raise DeclarationError(f"{wrong}; there are no values in it")
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DeclarationError(f"{wrong}; its {name!r} is {value!r}")
    return values
