"""What is known of the points of a sweep: which are solved, their states, their multipliers, why others failed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..expression import Array

NOT_RUN, SOLVED, FAILED, LOST = 0, 1, 2, 3
"""What may be said of a point; it is lost where the worker that had it died."""


@dataclass(eq=False)
class Ledger:
    """One row a point: ``status``, the user's part of the ``state`` (NaN unless solved), ``errors`` by point.

    ``lam`` (points, equation rows) and ``w`` (points, user's state) are multipliers and gradients, NaN where there are
    none; None where they are not wanted along the way.
    """

    status: Array
    states: Array
    lam: Array | None = None
    w: Array | None = None
    errors: dict[int, str] = field(default_factory=dict)

    @classmethod
    def empty(cls, n_points: int, n_state: int, n_rows: int, gradients: bool) -> Ledger:
        """One of points that have not been run."""
        lam, w = (np.full((n_points, n), np.nan) if gradients else None for n in (n_rows, n_state))
        return cls(np.zeros(n_points, dtype=np.int8), np.full((n_points, n_state), np.nan), lam, w)

    def part(self, points: Array) -> Ledger:
        """A ledger of some points alone, a copy."""
        number = {int(point): i for i, point in enumerate(points)}
        lam, w = (None if kept is None else kept[points] for kept in (self.lam, self.w))
        errors = {number[point]: text for point, text in self.errors.items() if point in number}
        return Ledger(self.status[points], self.states[points], lam, w, errors)

    def take(self, points: Array, part: Ledger) -> None:
        """Put the ledger of some points in its place."""
        self.status[points], self.states[points] = part.status, part.states
        for mine, other in ((self.lam, part.lam), (self.w, part.w)):
            if mine is not None and other is not None:
                mine[points] = other
        for point in points.tolist():
            self.errors.pop(point, None)
        self.errors.update({int(points[i]): text for i, text in part.errors.items()})

    def failed(self, point: int, why: str, status: int = FAILED) -> None:
        """Say of a point that it has no solution."""
        self.status[point] = status
        self.errors[point] = why

    def again(self) -> None:
        """Points that were lost with their worker are to be run again."""
        for point in np.flatnonzero(self.status == LOST).tolist():
            self.status[point] = NOT_RUN
            self.errors.pop(point, None)
