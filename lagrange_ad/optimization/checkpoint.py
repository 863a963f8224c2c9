"""Checkpoints: everything a run is at one moment, in one .npz file of plain arrays, from which it goes on bit for bit.

A file is written beside its place, flushed to the disk and moved there whole, so a killed process leaves the one before
or the new one. It holds no pickle and no random state. What program and options it is of stands in it as text.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import time
import warnings
import zipfile
from dataclasses import dataclass
from datetime import timedelta
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, DeclarationError
from ..expression import Array, Expression
from ..printing import to_text
from ..views import ReducedView
from .methods import State
from .result import FIELDS, StepRecord

FORMAT = 1
MOST_EQUATIONS = 1000
"""The texts of more equations than this are not kept."""
_ARRAYS = ("x", "slope", "start", "next_start", "best_x", "best_start")
_NUMBERS = ("step", "value", "rate", "norm", "quiet", "best_value")


@dataclass(frozen=True, eq=False)
class Place:
    """Where a run is after a step; the next one follows from it and from nothing else.

    ``value``, ``slope``, ``norm``: sign·J, its gradient and the projected gradient's largest entry, at x (with batches:
    of the last batch, before its step). ``start``: where the cycles were solved from at x, ``next_start``: where the
    next solve begins. ``rate``: the last one (0.0: none yet). ``quiet``: how many steps in a row held ``still``.
    """

    step: int
    x: Array
    value: float
    slope: Array
    norm: float
    start: Array | None
    next_start: Array | None
    rate: float
    state: State
    best_value: float
    best_x: Array
    best_start: Array | None
    quiet: int = 0
    still: tuple[str, str] = ("", "")


@dataclass(frozen=True, eq=False)
class Saved:
    """A checkpoint: the place, the history up to it, the seconds spent, the value and gradient at the start."""

    about: dict[str, str]
    place: Place
    history: list[StepRecord]
    seconds: float
    first: tuple[float, Array]


class Saver:
    """Writes checkpoints to one file when they are due: every so many steps, or seconds."""

    def __init__(self, path: str | PathLike[str], every: Any) -> None:
        self.path = checked_path(path)
        self.steps, self.seconds = interval(every)
        self._step, self._time = -1, time.perf_counter()

    def due(self, step: int) -> bool:
        """Whether it is time to write again."""
        if self.steps is not None:
            return step - self._step >= self.steps
        assert self.seconds is not None
        return time.perf_counter() - self._time >= self.seconds

    def save(self, saved: Saved) -> None:
        """Write; the first failure to do so is an error, a later one a warning, since the run is worth more."""
        first = self._step < 0
        try:
            write(self.path, saved)
        except OSError as error:
            if first:
                raise CheckpointError(f"the checkpoint cannot be written to {str(self.path)!r}: {error}") from error
            warnings.warn(f"the checkpoint of step {saved.place.step} could not be written to {str(self.path)!r}: "
                          f"{error}; the run goes on", RuntimeWarning, stacklevel=2)
        self._step, self._time = saved.place.step, time.perf_counter()


def checked_path(path: Any) -> Path:
    """A path that could be a file's. Raises CheckpointError for a folder, or a file in no folder."""
    if not isinstance(path, str | PathLike):
        raise DeclarationError(f"checkpoint= takes the path of a file, such as 'run.npz', got {path!r}")
    place = Path(path)
    if place.is_dir():
        raise CheckpointError(f"checkpoint={str(path)!r} is a folder: name a file in it")
    if not place.parent.is_dir():
        raise CheckpointError(f"there is no folder {str(place.parent)!r} for the checkpoint {place.name!r}")
    return place


def interval(every: Any) -> tuple[int | None, float | None]:
    """(steps, None) or (None, seconds) of ``checkpoint_every``: an integer, or a time such as "30s" or "5min"."""
    if isinstance(every, Integral) and not isinstance(every, bool) and int(every) >= 1:
        return int(every), None
    if isinstance(every, timedelta) and every.total_seconds() >= 0:
        return None, every.total_seconds()
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)\s*", every) if isinstance(every, str) else None
    if match is None:
        raise DeclarationError(
            f"checkpoint_every must be a number of steps such as 100, or a time such as '30s' or '5min', got {every!r}"
        )
    return None, float(match[1]) * {"s": 1.0, "min": 60.0, "h": 3600.0}[match[2]]


# the file -------------------------------------------------------------------------------------------------------


def write(path: Path, saved: Saved) -> None:
    """Put a checkpoint in its place, whole or not at all. Raises OSError."""
    content = io.BytesIO()
    np.savez(content, **_arrays(saved))
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


def _arrays(saved: Saved) -> dict[str, Any]:
    place = saved.place
    head = {"format": FORMAT, "about": saved.about, "still": list(place.still)}
    arrays: dict[str, Any] = {"head": np.frombuffer(json.dumps(head).encode(), dtype=np.uint8)}
    arrays |= {name: np.asarray(getattr(place, name)) for name in _NUMBERS}
    arrays |= {name: getattr(place, name) for name in _ARRAYS if getattr(place, name) is not None}
    arrays |= {f"state.{name}": array for name, array in place.state.items()}
    arrays |= {f"history.{name}": np.array([getattr(r, name) for r in saved.history]) for name in FIELDS}
    if saved.history and saved.history[0].x is not None:
        arrays["history.x"] = np.stack([np.asarray(record.x) for record in saved.history])
    first_value, first_slope = saved.first
    return arrays | {"seconds": np.asarray(saved.seconds), "first_value": np.asarray(first_value),
                     "first_slope": first_slope}  # fmt: skip


def read(path: str | PathLike[str]) -> Saved:
    """The checkpoint in a file. Raises CheckpointError for what is none."""
    name = os.fspath(path)
    if not os.path.isfile(name):
        raise CheckpointError(f"there is no checkpoint {name!r} to resume from: leave out resume=, or, with "
                              "checkpoint=, say resume=True to go on where there is one")
    try:
        with open(name, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        head = json.loads(arrays["head"].tobytes())
        if head["format"] != FORMAT:
            raise CheckpointError(f"{name!r} has the checkpoint format {head['format']}, this version of lagrange_ad "
                                  f"reads {FORMAT}: resume it with the version that wrote it")
        return _saved(head, arrays)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{name!r} is not a checkpoint of ascend, or it is damaged: name the file that "
                              "checkpoint= wrote, or start anew without resume=") from error


def _saved(head: dict[str, Any], arrays: dict[str, Array]) -> Saved:
    parts: dict[str, Any] = {name: arrays[name].item() for name in _NUMBERS}
    parts |= {name: arrays.get(name) for name in _ARRAYS}
    state = {key.removeprefix("state."): array for key, array in arrays.items() if key.startswith("state.")}
    reason, message = head["still"]
    place = Place(**parts, state=state, still=(reason, message))
    columns = [arrays[f"history.{name}"].tolist() for name in FIELDS]
    inputs = arrays.get("history.x")
    kept = [None] * len(columns[0]) if inputs is None else list(inputs)
    history = [StepRecord(*row) for row in zip(*columns, kept, strict=True)]
    return Saved(head["about"], place, history, arrays["seconds"].item(),
                 (arrays["first_value"].item(), arrays["first_slope"]))


# what it is of ---------------------------------------------------------------------------------------------------


def describe(view: ReducedView) -> dict[str, str]:
    """A program in words that a checkpoint can be compared by: names, shapes, values, equations."""
    lowered = view.lowered
    about = {"program": lowered.name, "executor": view.executor, "number of equations": str(len(lowered.equations))}
    sides = {"start": view.x0, "lower bound": view.lower, "upper bound": view.upper}
    for name, shape in zip(view.inputs.names, view.inputs.shapes, strict=True):
        about[f"shape of the input {name!r}"] = str(shape)
        about |= {f"{what} of the input {name!r}": _shown(view.inputs.get(flat, name)) for what, flat in sides.items()}
    for symbol in lowered.symbols.values():
        role = view.role_of(symbol.name)
        if role:
            about[f"role of the {symbol.kind} {symbol.name!r}"] = role
        if role and symbol.value is not None:
            about[f"value of the {symbol.kind} {symbol.name!r}"] = _shown(symbol.value)
        elif symbol.kind == "parameter":
            about[f"shape of the parameter {symbol.name!r}"] = str(symbol.shape)
            about[f"value of the parameter {symbol.name!r}"] = _shown(symbol.value)
        elif symbol.kind == "variable" and symbol.value is not None:
            about[f"start of the variable {symbol.name!r}"] = _shown(symbol.value)
    about["objective"] = str(lowered.objective)
    if len(lowered.equations) <= MOST_EQUATIONS:
        about |= {f"equation {equation.name!r}": str(equation) for equation in lowered.equations}
    return about


def _shown(value: Any) -> str:
    if isinstance(value, Expression):
        return to_text(value, 400)
    array = np.asarray(value, dtype=np.float64)
    if array.size <= 3:
        return str(array.tolist())
    return f"an array with the checksum {hashlib.sha256(array.tobytes()).hexdigest()[:16]}"


def require_same(name: str, saved: Saved, about: dict[str, str], first: tuple[float, Array]) -> None:
    """Raises CheckpointError, saying what differs, where a checkpoint is not of this program and these options."""
    then = saved.about
    keys = [key for key in [*about, *(key for key in then if key not in about)] if about.get(key) != then.get(key)]
    if not keys and not _agree(saved.first, first):
        keys = ["objective or its gradient at the start of the run, so some equation or constant"]
        then, about = ({keys[0]: repr(value)} for value in (saved.first[0], first[0]))
    if not keys:
        return
    lines = [f"  {key}: {then.get(key, 'none')} in the checkpoint, {about.get(key, 'none')} here" for key in keys[:5]]
    more = [f"  … and {len(keys) - 5} more"] if len(keys) > 5 else []
    raise CheckpointError("\n".join([
        f"{name!r} is the checkpoint of another run; what differs:", *lines, *more,
        "  resume with the same program, values and options, or start anew without resume=",
    ]))  # fmt: skip


def _agree(one: tuple[float, Array], other: tuple[float, Array]) -> bool:
    """Equal to what another machine's rounding may change."""
    scale = max(1.0, float(np.abs(one[1]).max(initial=0.0)))
    return bool(np.isclose(one[0], other[0], rtol=1e-9, atol=1e-12)) and one[1].shape == other[1].shape and bool(
        np.allclose(one[1], other[1], rtol=1e-7, atol=1e-9 * scale))
