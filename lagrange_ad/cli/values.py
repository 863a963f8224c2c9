"""What options may be: the text of an argument checked and read, or why it is none."""

from __future__ import annotations

import argparse
import math
from pathlib import Path


def series(text: str) -> tuple[str, list[float]]:
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
        return name, [assignment(f"{name}={item}")[1] for item in rest.split(",")]
    low, high = (assignment(f"{name}={end}")[1] for end in parts[:2])
    if not parts[2].strip().isdecimal() or int(parts[2]) < 1:
        raise argparse.ArgumentTypeError(f"{parts[2]!r} in {text!r} is not a number of points (1, 2, …)")
    if len(parts) == 4 and not (low > 0 and high > 0):
        raise argparse.ArgumentTypeError(f"{text!r}: steps of equal ratio need positive ends")
    make = np.geomspace if len(parts) == 4 else np.linspace
    return name, make(low, high, int(parts[2])).tolist()


def assignment(text: str) -> tuple[str, float]:
    """The name and the value of NAME=VALUE."""
    from ..errors import EquationFileError
    from ..files.equations import constant

    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, as in x=0.5")
    try:
        return name, constant(value)
    except EquationFileError as error:
        raise argparse.ArgumentTypeError(f"the value of {name!r}: {error.message}") from None


def positive(text: str) -> float:
    """A positive number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


_SCHEDULES = {"cosine": (0, 0), "exponential": (1, 1), "inverse": (1, 2), "step": (1, 2)}
"""The fewest and the most numbers of each."""


def schedule_text(text: str) -> tuple[str, list[float]]:
    """The kind of a schedule and its numbers."""
    kind, _, rest = text.partition(":")
    numbers = [positive(part) for part in rest.split(",")] if rest else []
    if kind not in _SCHEDULES or not _SCHEDULES[kind][0] <= len(numbers) <= _SCHEDULES[kind][1]:
        raise argparse.ArgumentTypeError(
            f"{text!r} is none of cosine, exponential:FACTOR, inverse:DECAY, step:EVERY or step:EVERY,FACTOR"
        )
    if kind == "step" and numbers[0] != int(numbers[0]):
        raise argparse.ArgumentTypeError(f"{text!r}: EVERY is a whole number of steps")
    return kind, numbers


def interval(text: str) -> int | str:
    """A number of steps, or a time as it stands."""
    return int(text) if text.isascii() and text.isdigit() else text


def count(text: str) -> int:
    """How many steps, 0 or more."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of steps (0, 1, 2, …)")
    return int(text)


def output(text: str) -> Path:
    """A file that can be written."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder: name a file")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r} for {path.name!r}")
    return path


def picture(text: str) -> Path:
    """A picture that can be written."""
    path = output(text)
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise argparse.ArgumentTypeError(f"{text!r} must end in .png, .svg or .pdf")
    return path


def start_of(text: str) -> Path | tuple[str, float]:
    """NAME=VALUE, or a file with what an earlier run found."""
    if "=" in text and not Path(text).is_file():
        return assignment(text)
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text!r}, and it is not NAME=VALUE, as in x=0.5")
    return path


def space_of(text: str) -> str | list[str]:
    """reduced, full, or the variables to eliminate."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not reduced, full or NAME,NAME: the variables to eliminate")
    return text if text in ("reduced", "full") else names
