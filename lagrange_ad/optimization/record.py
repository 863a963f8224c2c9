"""Entries of histories: what is known of one iteration, and what callbacks get; as CSV too."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from typing import Any, ClassVar

from ..expression import Array
from ..lowering import Blocks
from ..optimizers import Iteration
from ..solution import Point


class Record:
    """An entry of a history. A subclass is a frozen dataclass with the fields named here, and those of ``FIELDS``."""

    FIELDS: ClassVar[tuple[str, ...]]
    KIND: ClassVar[str]
    x: Array | None
    evaluate: Callable[[], Point] | None

    @cached_property
    def at(self) -> Point | None:
        """The point at ``x``, computed when first read: what is eliminated solved; None in a history."""
        return None if self.evaluate is None else self.evaluate()

    def __getitem__(self, name: str) -> Any:
        if name not in self.FIELDS:
            raise KeyError(f"a {self.KIND} has no {name!r}; it has {', '.join(self.FIELDS)}")
        return getattr(self, name)

    def as_dict(self) -> dict[str, float]:
        """The numbers by name."""
        return {name: getattr(self, name) for name in self.FIELDS}


def write_csv(path: str | PathLike[str], kind: type[Record], history: Sequence[Record], inputs: Blocks) -> None:
    """A history as CSV: one line a record, with the elements of x in columns of their own where records keep them."""
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        shown = bool(history) and history[0].x is not None
        names = [inputs.element(j) for j in range(inputs.size)] if shown else []
        writer.writerow([*kind.FIELDS, *names])
        for record in history:
            x = record.x.tolist() if record.x is not None else []
            writer.writerow([*(repr(record[name]) for name in kind.FIELDS), *map(repr, x)])


@dataclass(frozen=True)
class OptimizeRecord(Record):
    """One iteration: the objective as declared, the largest violation of an equation, constraint or bound, and the
    largest entry of the Lagrangian's gradient (NaN where the algorithm does not tell).

    ``x`` is the flat x of the view. Callbacks get records whose ``at`` is the point there, computed when first read:
    ``record.at["y1"]``. In the history ``at`` is None, and so is ``x`` where it has more than 100 elements. Records
    read like dicts too: ``record["objective"]``.
    """

    FIELDS = ("iteration", "objective", "infeasibility", "stationarity", "seconds")
    KIND = "record"
    iteration: int
    objective: float
    infeasibility: float
    stationarity: float
    seconds: float
    x: Array | None = field(repr=False, compare=False)
    evaluate: Callable[[], Point] | None = field(default=None, repr=False, compare=False)


def record_of(iteration: Iteration, sign: float, evaluate: Callable[[], Point] | None = None) -> OptimizeRecord:
    """An iteration of the minimization of ``sign``·J as the user sees it."""
    return OptimizeRecord(iteration.number, sign * iteration.objective, iteration.infeasibility,
                          iteration.stationarity, iteration.seconds, iteration.x, evaluate)
