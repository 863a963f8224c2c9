"""What all commands have: a file, --set, --start, --json; and the program of the file with these values."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from .values import assignment

CYCLES = "where the solve of a cycle begins in a variable, for instance y1=10; may be repeated"


def add_command(commands: Any, name: str, run: Any, summary: str, usage: str = "", *,
                start: Callable[[str], Any] = assignment, starts: tuple[str, str] = ("NAME=VALUE", CYCLES),
                ) -> argparse.ArgumentParser:
    """A command with what all have; ``start`` reads an argument of --start, ``starts`` says what it may be."""
    example = f"example: lagrange-ad {usage or f'{name} domke.lag --set x=0.2'}"
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=example
    )
    parser.add_argument("file", metavar="FILE", help="an equation file, such as domke.lag")
    parser.add_argument(
        "--set", metavar="NAME=VALUE", type=assignment, action="append", default=[],
        help="change a value first, for instance x=0.5 or angle=pi/4; may be repeated",
    )
    parser.add_argument(
        "--start", metavar=starts[0], type=start, action="append", default=[], help=starts[1],
    )
    parser.add_argument("--json", action="store_true", help="write JSON instead of tables")
    parser.set_defaults(command=run)
    return parser


def read_program(options: argparse.Namespace) -> Any:
    """The program of the file, with the values and the starts of the command line."""
    from ..api import read
    from ..errors import DeclarationError

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
