"""What an ascent hands back: the best point, why it stopped, and the history of its steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from ..expression import Array
from ..lowering import Blocks
from ..solution import Point
from ..solution.showing import symbol_tables
from ..tables import Report, Shown
from ..text import number
from .record import Record, write_csv

_CONVERGED = ("gradient", "step", "objective")


@dataclass(frozen=True)
class StepRecord(Record):
    """One step: the objective after it, the largest entry of the projected gradient, |Δx|, the rate, the time.

    With batches, objective and gradient are those of the step's batch, where the step began; record 0 has those of the
    declared parameters. ``x`` are the flat inputs after the step. Callbacks get records whose ``at`` is the point at
    ``x``, parameters as declared, evaluated when first read; in the history ``at`` is None, so that long runs stay
    small, and so is ``x`` where there are more than 100. Records read like dicts too: ``record["objective"]``.
    """

    FIELDS = ("step", "objective", "gradient_norm", "step_length", "rate", "seconds")
    KIND = "step record"
    step: int
    objective: float
    gradient_norm: float
    step_length: float
    rate: float
    seconds: float
    x: Array | None = field(repr=False, compare=False)
    evaluate: Callable[[], Point] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, eq=False)
class AscentResult(Shown):
    """The best point found; after a run with batches the last one, with the parameters as declared.

    ``result[name]`` is a value there, ``x`` its inputs by name, ``at`` the whole point. ``reason`` is one of
    ``gradient``, ``step``, ``objective`` (these are successes), ``steps``, ``time``, ``callback``, ``interrupted``,
    ``domain``, ``batches``; ``message`` says it in words. ``method`` is the name of the method, ``batched`` whether
    there were batches.
    """

    at: Point
    x: dict[str, Array]
    history: list[StepRecord]
    reason: str
    message: str
    seconds: float
    inputs: Blocks
    settled: bool = True
    method: str = "gradient"
    batched: bool = False

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
        write_csv(path, StepRecord, self.history, self.inputs)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain Python data, for JSON."""
        return {
            "success": self.success, "reason": self.reason, "message": self.message, "method": self.method,
            "steps": self.steps, "seconds": self.seconds, "objective": self.objective, "point": self.at.as_dict(),
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
