"""Checkpoints: everything a run is at one moment, in one .npz file of plain arrays, from which it goes on bit for bit.

How files are written and compared is told in ``saving``; here is what they hold. There is no random state.
"""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .. import saving
from ..errors import CheckpointError
from ..expression import Array
from ..saving import (
    described_equations,
    described_symbols,
    interval,
    read_arrays,
    require_equal,
    shown,
    write_arrays,
)
from ..views import View
from .methods import State
from .result import StepRecord

FORMAT = 1
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
    """A path that could be a checkpoint's. Raises CheckpointError for a folder, or a file in no folder."""
    return saving.checked_path(path, "checkpoint", "checkpoint", "run.npz")


# the file -------------------------------------------------------------------------------------------------------


def write(path: Path, saved: Saved) -> None:
    """Put a checkpoint in its place, whole or not at all. Raises OSError."""
    write_arrays(path, {"format": FORMAT, "about": saved.about, "still": list(saved.place.still)}, _arrays(saved))


def _arrays(saved: Saved) -> dict[str, Any]:
    place = saved.place
    arrays: dict[str, Any] = {name: np.asarray(getattr(place, name)) for name in _NUMBERS}
    arrays |= {name: getattr(place, name) for name in _ARRAYS if getattr(place, name) is not None}
    arrays |= {f"state.{name}": array for name, array in place.state.items()}
    arrays |= {f"history.{name}": np.array([getattr(r, name) for r in saved.history]) for name in StepRecord.FIELDS}
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
        return _saved(*read_arrays(name, "checkpoint", FORMAT))
    except saving.DAMAGE as error:
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
    columns = [arrays[f"history.{name}"].tolist() for name in StepRecord.FIELDS]
    inputs = arrays.get("history.x")
    kept = [None] * len(columns[0]) if inputs is None else list(inputs)
    history = [StepRecord(*row) for row in zip(*columns, kept, strict=True)]
    return Saved(head["about"], place, history, arrays["seconds"].item(),
                 (arrays["first_value"].item(), arrays["first_slope"]))


# what it is of ---------------------------------------------------------------------------------------------------


def describe(view: View) -> dict[str, str]:
    """A program in words that a checkpoint can be compared by: names, shapes, values, equations."""
    lowered = view.lowered
    about = {"program": lowered.name, "executor": view.executor, "number of equations": str(len(lowered.equations))}
    sides = {"start": view.x0, "lower bound": view.lower, "upper bound": view.upper}
    for name, shape in zip(view.inputs.names, view.inputs.shapes, strict=True):
        about[f"shape of the input {name!r}"] = str(shape)
        about |= {f"{what} of the input {name!r}": shown(view.inputs.get(flat, name)) for what, flat in sides.items()}
    return about | described_symbols(lowered.symbols.values(), view.role_of) | described_equations(
        lowered.objective, lowered.equations)


def require_same(name: str, saved: Saved, about: dict[str, str], first: tuple[float, Array]) -> None:
    """Raises CheckpointError, saying what differs, where a checkpoint is not of this program and these options."""
    then, head = saved.about, f"{name!r} is the checkpoint of another run"
    advice = "resume with the same program, values and options, or start anew without resume="
    require_equal(then, about, head, "checkpoint", advice)
    if not _agree(saved.first, first):
        what = "objective or its gradient at the start of the run, so some equation or constant"
        before, here = ({what: f"{value!r}, {shown(slope)}"} for value, slope in (saved.first, first))
        require_equal(before, here, head, "checkpoint", advice)


def _agree(one: tuple[float, Array], other: tuple[float, Array]) -> bool:
    """Equal to what another machine's rounding may change."""
    scale = max(1.0, float(np.abs(one[1]).max(initial=0.0)))
    return bool(np.isclose(one[0], other[0], rtol=1e-9, atol=1e-12)) and one[1].shape == other[1].shape and bool(
        np.allclose(one[1], other[1], rtol=1e-7, atol=1e-9 * scale))
