"""What an ascent hands back: the best point, why it stopped, and the history of its steps."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any

from ..expression import Array
from ..lowering import Blocks
from ..solution import Point
from ..solution.showing import symbol_tables
from ..tables import Report, Shown
from ..text import number

_CONVERGED = ("gradient", "step", "objective")
MOST_KEPT = 100
"""The history keeps the inputs where they are not more than this."""
FIELDS = ("step", "objective", "gradient_norm", "step_length", "rate", "seconds")


@dataclass(frozen=True)
class StepRecord:
    """One step: the objective after it, the largest entry of the projected gradient, |Δx|, the rate, the time.

    Callbacks get the evaluated point as ``at`` and the flat inputs as ``x``; in the history ``at`` is None, so that
    long runs stay small, and so is ``x`` where there are more than 100. Records read like dicts too:
    ``record["objective"]``.
    """

    step: int
    objective: float
    gradient_norm: float
    step_length: float
    rate: float
    seconds: float
    x: Array | None = field(repr=False, compare=False)
    at: Point | None = field(repr=False, compare=False)

    def __getitem__(self, name: str) -> Any:
        if name not in FIELDS:
            raise KeyError(f"a step record has no {name!r}; it has {', '.join(FIELDS)}")
        return getattr(self, name)

    def without_point(self) -> StepRecord:
        """The record as the history keeps it."""
        few = self.x is not None and self.x.size <= MOST_KEPT
        return replace(self, x=self.x if few else None, at=None)

    def as_dict(self) -> dict[str, float]:
        """The numbers of the step by name."""
        return {name: getattr(self, name) for name in FIELDS}


@dataclass(frozen=True, eq=False)
class AscentResult(Shown):
    """The best point found.

    ``result[name]`` is a value there, ``x`` its inputs by name, ``at`` the whole point. ``reason`` is one of
    ``gradient``, ``step``, ``objective`` (these are successes), ``steps``, ``time``, ``callback``, ``interrupted``,
    ``domain``; ``message`` says it in words.
    """

    at: Point
    x: dict[str, Array]
    history: list[StepRecord]
    reason: str
    message: str
    seconds: float
    inputs: Blocks
    settled: bool = True

    @property
    def success(self) -> bool:
        """Whether it stopped because there was nothing left to gain.

        Steps or changes below rounding alone are no success while the gradient is large: then the rate is too small,
        or the inputs are at an edge where the objective changes without bound.
        """
        return self.reason in _CONVERGED and self.settled

    @property
    def objective(self) -> float:
        """The objective at the best point."""
        return self.at.objective

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return self.history[-1].step if self.history else 0

    def __getitem__(self, what: Any) -> Any:
        return self.at[what]

    def write_history(self, path: str | PathLike[str]) -> None:
        """Write the history as CSV: one line a step, with the inputs' elements in columns of their own where few."""
        with open(path, "w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            shown = self.inputs.size <= MOST_KEPT
            names = [self.inputs.element(i) for i in range(self.inputs.size)] if shown else []
            writer.writerow([*FIELDS, *names])
            for record in self.history:
                inputs = record.x.tolist() if record.x is not None else []
                writer.writerow([*(repr(record[name]) for name in FIELDS), *(repr(v) for v in inputs)])

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain Python data, for JSON."""
        return {
            "success": self.success, "reason": self.reason, "message": self.message, "steps": self.steps,
            "seconds": self.seconds, "objective": self.objective, "point": self.at.as_dict(),
            "history": [record.as_dict() for record in self.history],
        }  # fmt: skip

    def _report(self) -> Report:
        verdict = "converged" if self.success else "stopped"
        head = f"{verdict} after {self.steps} steps, {self.seconds:.3g} s: {self.message}"
        first = number(self.history[0].objective) if self.history else ""
        change = f"objective {first} → {number(self.objective)}"
        return Report(f"{head}\n{change}", symbol_tables(self.at, "input", ("input",)))

    def __repr__(self) -> str:
        return f"<ascent: {self.reason} after {self.steps} steps, objective {number(self.objective)}>"
