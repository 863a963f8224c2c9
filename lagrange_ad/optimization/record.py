"""What is known of one iteration of an optimization: what callbacks get, and what the history keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..expression import Array
from ..optimizers import Iteration
from ..solution import Point

FIELDS = ("iteration", "objective", "infeasibility", "stationarity", "seconds")


@dataclass(frozen=True)
class OptimizeRecord:
    """One iteration: the objective as declared, the largest violation of an equation, constraint or bound, and the
    largest entry of the Lagrangian's gradient (NaN where the algorithm does not tell).

    ``x`` is the flat x of the view. Callbacks get records whose ``at`` is the point there, computed when first read:
    ``record.at["y1"]``. In the history ``at`` is None, and so is ``x`` where it has more than 100 elements. Records
    read like dicts too: ``record["objective"]``.
    """

    iteration: int
    objective: float
    infeasibility: float
    stationarity: float
    seconds: float
    x: Array | None = field(repr=False, compare=False)
    evaluate: Callable[[], Point] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def at(self) -> Point | None:
        """The point at ``x``: what the view keeps as it is, what it eliminates solved; None in the history."""
        return None if self.evaluate is None else self.evaluate()

    def __getitem__(self, name: str) -> Any:
        if name not in FIELDS:
            raise KeyError(f"a record has no {name!r}; it has {', '.join(FIELDS)}")
        return getattr(self, name)

    def as_dict(self) -> dict[str, float]:
        """The numbers of the iteration by name."""
        return {name: getattr(self, name) for name in FIELDS}


def record_of(iteration: Iteration, sign: float, evaluate: Callable[[], Point] | None = None) -> OptimizeRecord:
    """An iteration of the minimization of ``sign``·J as the user sees it."""
    return OptimizeRecord(iteration.number, sign * iteration.objective, iteration.infeasibility,
                          iteration.stationarity, iteration.seconds, iteration.x, evaluate)
