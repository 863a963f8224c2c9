"""What the command writes: tables or JSON to standard output, reasons to standard error, in the words of files.

Takes results and errors; gives exit codes.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from ..text import plain

WORKED, NOT_CONVERGED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

IN_A_FILE = (
    ("(variable(..., start=), or evaluate(start={...}))", "('variable NAME start VALUE', or --start NAME=VALUE)"),
    ("variable(..., start=)", "'variable NAME start VALUE'"),
    ("a domain=(low, high)", "a 'domain (low, high)' after it"),
    ("declare one with minimize(expr) or maximize(expr)", "state one in the file, 'minimize …' or 'maximize …'"),
    ("declare one with input(name, value)", "state one in the file, 'input NAME = VALUE'"),
    ("Use a constrained optimizer on view = program.reduced(): scipy.optimize.minimize(view.value_and_gradient, "
     "view.x0, jac=True, bounds=view.bounds, constraints=view.constraints)",
     "Leave them out of the file, or hold them in Python: lagrange_ad.read(FILE).reduced() is for any optimizer"),
    ("space='full' or space=[...]", "--space full or --space NAME,NAME"),
    ("out of eliminate=", "out of --space"),
    ("eliminate: ", "--space: "),
    ("needs rate=, a number or a schedule such as la.ascent.Cosine(0.1, steps)", "needs --rate"),
)
"""What messages advise in Python, and what a user of files and of this command does instead."""

_KEYWORD = re.compile(r"(?<![\w.])(rate|method|line_search|steps|checkpoint|resume|file)=(True\b)?(?=(['\w])?)")


def in_words_of_files(text: str) -> str:
    """A message with its advice for the command line."""
    for python, file in IN_A_FILE:
        text = text.replace(python, file)
    return _KEYWORD.sub(lambda word: f"--{word[1].replace('_', '-')}{' ' * bool(word[3])}", text)


def write(text: str) -> None:
    """Text to standard output, ended by one newline."""
    sys.stdout.write(text.rstrip("\n") + "\n")


def write_shown(thing: Any, as_json: bool) -> None:
    """A point or a result: JSON, or tables, in colour on a terminal."""
    if as_json:
        write(in_json(thing.as_dict()))
    elif sys.stdout.isatty():
        from rich.console import Console

        Console(file=sys.stdout).print(thing)
    else:
        write(str(thing))


def fail(reason: object, code: int) -> int:
    """A reason to standard error, after all that was written; gives the code."""
    sys.stdout.flush()
    sys.stderr.write(f"lagrange-ad: {in_words_of_files(str(reason))}\n")
    return code


def in_json(value: Any) -> str:
    """Plain data as strict JSON: NaN and infinity become null."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
