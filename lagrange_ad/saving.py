"""Files that long runs keep their results in: arrays in one .npz, written whole or not at all, and what they are of.

A file is written beside its place, flushed to the disk and moved there, so a killed process leaves the one before or
the new one. It holds no pickle. What program and options it is of stands in it as text, in a head of JSON.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .errors import CheckpointError, DeclarationError
from .expression import Array, Expression, Symbol
from .printing import to_text

MOST_EQUATIONS = 1000
"""The texts of more equations than this are not kept."""


def checked_path(path: Any, option: str, what: str, example: str) -> Path:
    """A path that could be a file's, as given to an option. Raises CheckpointError for a folder, or in no folder."""
    if not isinstance(path, str | PathLike):
        raise DeclarationError(f"{option}= takes the path of a file, such as {example!r}, got {path!r}")
    place = Path(path)
    if place.is_dir():
        raise CheckpointError(f"{option}={str(path)!r} is a folder: name a file in it")
    if not place.parent.is_dir():
        raise CheckpointError(f"there is no folder {str(place.parent)!r} for the {what} {place.name!r}")
    return place


def interval(every: Any, option: str = "checkpoint_every", steps: str = "steps") -> tuple[int | None, float | None]:
    """(steps, None) or (None, seconds) of an option: an integer, or a time such as "30s" or "5min"."""
    if isinstance(every, Integral) and not isinstance(every, bool) and int(every) >= 1:
        return int(every), None
    if isinstance(every, timedelta) and every.total_seconds() >= 0:
        return None, every.total_seconds()
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)\s*", every) if isinstance(every, str) else None
    if match is None:
        raise DeclarationError(
            f"{option} must be a number of {steps} such as 100, or a time such as '30s' or '5min', got {every!r}"
        )
    return None, float(match[1]) * {"s": 1.0, "min": 60.0, "h": 3600.0}[match[2]]


# the file -------------------------------------------------------------------------------------------------------


def write_arrays(path: Path, head: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Put a head and arrays in their place, whole or not at all. Raises OSError."""
    content = io.BytesIO()
    everything: dict[str, Any] = {"head": np.frombuffer(json.dumps(head).encode(), dtype=np.uint8), **arrays}
    np.savez(content, **everything)
    beside = path.with_name(path.name + ".partial")
    with open(beside, "wb") as stream:
        stream.write(content.getbuffer())
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(beside, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """The move itself to the disk, where the system knows how."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_arrays(name: str, what: str, version: int) -> tuple[dict[str, Any], dict[str, Array]]:
    """The head and the arrays of a file. Raises CheckpointError for another format, :data:`DAMAGE` for what is none."""
    with open(name, "rb") as stream, np.load(stream, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    head: dict[str, Any] = json.loads(arrays.pop("head").tobytes())
    if head["format"] != version:
        raise CheckpointError(f"{name!r} has the {what} format {head['format']}, this version of lagrange_ad "
                              f"reads {version}: resume it with the version that wrote it")
    return head, arrays


DAMAGE = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile)
"""What reading a file raises that is not what it should be (CheckpointError is a ValueError: let it through)."""


# what it is of ---------------------------------------------------------------------------------------------------


def described_symbols(symbols: Iterable[Symbol], role_of: Callable[[str], str]) -> dict[str, str]:
    """The values of parameters, the starts of variables, and what was fixed or freed, in words."""
    about = {}
    for symbol in symbols:
        role = role_of(symbol.name)
        if role:
            about[f"role of the {symbol.kind} {symbol.name!r}"] = role
        if role and symbol.value is not None:
            about[f"value of the {symbol.kind} {symbol.name!r}"] = shown(symbol.value)
        elif symbol.kind == "parameter":
            about[f"shape of the parameter {symbol.name!r}"] = str(symbol.shape)
            about[f"value of the parameter {symbol.name!r}"] = shown(symbol.value)
        elif symbol.kind == "variable" and symbol.value is not None:
            about[f"start of the variable {symbol.name!r}"] = shown(symbol.value)
    return about


def described_equations(objective: Any, equations: Iterable[Any]) -> dict[str, str]:
    """The objective and, where they are not too many, the equations, in words."""
    listed = list(equations)
    about = {"objective": str(objective)}
    if len(listed) <= MOST_EQUATIONS:
        about |= {f"equation {equation.name!r}": str(equation) for equation in listed}
    return about


def shown(value: Any) -> str:
    """A value as text that tells it from others: a formula, a few numbers, or a checksum of many."""
    if isinstance(value, Expression):
        return to_text(value, 400)
    array = np.asarray(value, dtype=np.float64)
    if array.size <= 3:
        return str(array.tolist())
    return f"an array with the checksum {hashlib.sha256(array.tobytes()).hexdigest()[:16]}"


def require_equal(then: Mapping[str, str], about: Mapping[str, str], head: str, file: str, advice: str) -> None:
    """Raises CheckpointError, saying what differs, where two descriptions do."""
    keys = [key for key in [*about, *(key for key in then if key not in about)] if about.get(key) != then.get(key)]
    if not keys:
        return
    lines = [f"  {key}: {then.get(key, 'none')} in the {file}, {about.get(key, 'none')} here" for key in keys[:5]]
    more = [f"  … and {len(keys) - 5} more"] if len(keys) > 5 else []
    raise CheckpointError("\n".join([f"{head}; what differs:", *lines, *more, f"  {advice}"]))
