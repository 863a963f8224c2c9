"""The file of a sweep: what is known of its points, written as it goes, to go on from after a kill."""

from __future__ import annotations

import os
import re
import time
import warnings
from os import PathLike
from typing import Any

import numpy as np

from .. import saving
from ..errors import CheckpointError, DeclarationError
from ..program import Declarations
from ..saving import (
    described_equations,
    described_symbols,
    interval,
    read_arrays,
    require_equal,
    shown,
    write_arrays,
)
from ..solution import Plan
from .course import Recipe
from .grid import Over
from .ledger import Ledger

FORMAT = 1
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
SHARE = 0.1
"""Writing by the clock takes at most this part of the time."""


class SweepFile:
    """Writes the ledger of one sweep when it is due: every so many points, or seconds."""

    def __init__(self, path: str | PathLike[str], every: Any, about: dict[str, str], over: Over) -> None:
        self.path = saving.checked_path(path, "file", "results of the sweep", "sweep.npz")
        self._points, self._seconds = interval(every, "file_every", "points")
        self._about, self._over = about, over
        self._new, self._time, self._cost = 0, time.perf_counter(), 0.0
        self._written = False

    def note(self, ledger: Ledger, points: int = 1) -> None:
        """Some more points are known: write where it is time to."""
        self._new += points
        if self._points is not None:
            due = self._new >= self._points
        else:
            assert self._seconds is not None
            due = time.perf_counter() - self._time >= max(self._seconds, self._cost / SHARE)
        if due:
            self.save(ledger)

    def save(self, ledger: Ledger) -> None:
        """Write; the first failure to do so is an error, a later one a warning, since the sweep is worth more."""
        began = time.perf_counter()
        head = {"format": FORMAT, "about": self._about, "names": list(self._over.names),
                "errors": {str(i): text for i, text in ledger.errors.items()}}
        try:
            write_arrays(self.path, head, self._arrays(ledger))
        except OSError as error:
            if not self._written:
                raise CheckpointError(f"the sweep cannot be written to {str(self.path)!r}: {error}") from error
            warnings.warn(f"the sweep could not be written to {str(self.path)!r}: {error}; it goes on", RuntimeWarning,
                          stacklevel=2)
        self._written, self._new, self._time = True, 0, time.perf_counter()
        self._cost = self._time - began

    def _arrays(self, ledger: Ledger) -> dict[str, Any]:
        arrays = {"status": ledger.status, "states": ledger.states, "given": self._over.given}
        if ledger.lam is not None and ledger.w is not None:
            arrays |= {"lam": ledger.lam, "w": ledger.w}
        return arrays

    def read(self, empty: Ledger) -> Ledger | None:
        """What the file knows of the points; None where there is no file.

        Raises CheckpointError where it is of another program or sweep, or damaged.
        """
        name = os.fspath(self.path)
        if not self.path.is_file():
            return None
        try:
            head, arrays = read_arrays(name, "sweep", FORMAT)
            advice = "resume with the same program, values and options, or begin anew without resume="
            require_equal(head["about"], self._about, f"{name!r} is of another sweep", "file", advice)
            errors = {int(i): str(text) for i, text in head["errors"].items()}
            found = Ledger(arrays["status"], arrays["states"], arrays.get("lam"), arrays.get("w"), errors)
            shapes = [(a is None, getattr(a, "shape", None)) for a in (found.status, found.states, found.lam, found.w)]
            if shapes != [(a is None, getattr(a, "shape", None)) for a in
                          (empty.status, empty.states, empty.lam, empty.w)]:
                raise ValueError("arrays of other shapes")
        except saving.DAMAGE as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"{name!r} is not the file of a sweep, or it is damaged: name the file that file= "
                                  "wrote, or begin anew without resume=") from error
        return found


def checked_resume(resume: Any, file: Any) -> bool:
    """Whether to go on from the file. Raises DeclarationError where there is none to go on from."""
    if not isinstance(resume, bool):
        raise DeclarationError(f"resume= is True or False, got {resume!r}: the file to go on from is that of file=")
    if resume and file is None:
        raise DeclarationError("resume=True goes on from the file of file=, which is not given")
    return resume


def described(program: Declarations, plan: Plan, over: Over, recipe: Recipe, chunks: int) -> dict[str, str]:
    """A sweep in words that its file can be compared by: names, shapes, values, equations."""
    lowered = plan.lowered
    about = {"program": lowered.name, "executor of the program": plan.executor.name,
             "number of equations": str(len(lowered.equations)), "shape of the points": str(over.shape),
             "names": ", ".join(over.names), "values of the names": shown(over.given), "chunks": str(chunks),
             "gradients": str(recipe.gradients), "parts": str(recipe.parts),
             "max_iterations": str(recipe.max_iterations)}
    about |= {f"start= of {name!r}": shown(value) for name, value in recipe.start.items()}
    if recipe.begin is not None:
        about["start= point"] = shown(np.concatenate([recipe.begin.values, recipe.begin.state]))
    about |= {f"solver of {choice.name!r}": _ADDRESS.sub("", f"{choice.method}, {choice.linear}, torn {choice.torn}, "
              f"tolerance {choice.tolerance}, max_iterations {choice.max_iterations}") for choice in plan.choices}
    others = [symbol for symbol in lowered.symbols.values() if symbol.name not in over.names]
    about |= {f"value of the input {s.name!r}": shown(s.value) for s in others if s.kind == "input"}
    about |= described_symbols(others, lambda name: plan.roles.changed.get(name, ""))
    return about | described_equations(lowered.objective, lowered.equations)
