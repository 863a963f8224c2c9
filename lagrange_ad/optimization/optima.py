"""What a multistart hands back: its runs, the distinct optima they led to, the best one; and how that prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..expression import Array
from ..optimizers.monitor import FEASIBLE
from ..tables import Column, Report, Rows, Shown, Table
from ..text import listing, number, plain, shorten

if TYPE_CHECKING:
    from ..views import View
    from .optimum import OptimizeResult

NEAR_OBJECTIVE, NEAR = 1e-6, 1e-4
"""Two runs led to one optimum where objectives differ by no more than the first, relative to max(1, |J|), and every
decision by no more than the second, relative to max(1, |x|)."""
MOST_SHOWN = 6
"""So many decisions have a column in the table of optima."""
COUNTS = 12


@dataclass(frozen=True, eq=False)
class Run:
    """One run, light: the ``number`` of its start (from 0), ``start`` by name (empty: as declared), ``values`` by name
    where it ended, its objective as declared, ``success`` (certified); ``reason`` and ``message`` of an optimization.

    ``reason`` is "error" where it could not begin, "lost" where its worker died; ``values`` are empty then.
    """

    number: int
    start: dict[str, Any] = field(repr=False)
    values: dict[str, Array] = field(repr=False)
    objective: float
    infeasibility: float
    success: bool
    reason: str
    message: str
    iterations: int
    seconds: float

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data, for strict JSON."""
        names = ("number", "start", "values", "objective", "infeasibility", "success", "reason", "message",
                 "iterations", "seconds")
        data: dict[str, Any] = plain({name: getattr(self, name) for name in names})
        return data


@dataclass(frozen=True, eq=False)
class Optimum:
    """An optimum: that of the best run which led to it, and the numbers of the ``starts`` that did."""

    objective: float
    values: dict[str, Array] = field(repr=False)
    starts: list[int]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data, for strict JSON."""
        data: dict[str, Any] = plain({"objective": self.objective, "values": self.values, "starts": self.starts})
        return data


@dataclass(frozen=True, eq=False)
class Multistart(Shown):
    """What many starts led to.

    ``best`` is the :class:`OptimizeResult` of the best run (None where none could begin): certified ones first, then by
    objective. ``optima`` are the distinct certified optima, the best first; ``results`` the runs in the order of their
    starts, ``failed`` the reasons of those that are not certified, by number; ``not_run`` the numbers of starts that
    were not done. ``reason`` is "done", "time", "callback" or "interrupted". Prints as a table.
    """

    view: View = field(repr=False)
    results: Sequence[Run] = field(repr=False)
    optima: Sequence[Optimum]
    best: OptimizeResult | None
    starts: int
    reason: str
    seconds: float
    notes: Sequence[str] = ()

    @property
    def success(self) -> bool:
        """Whether an optimum was found that is certified."""
        return bool(self.optima)

    @property
    def failed(self) -> dict[int, str]:
        """Why runs are not certified, by the numbers of their starts."""
        return {run.number: run.message for run in self.results if not run.success}

    @property
    def not_run(self) -> list[int]:
        """The numbers of starts that were not done."""
        known = {run.number for run in self.results}
        return [k for k in range(self.starts) if k not in known]

    @property
    def message(self) -> str:
        """What was found, in a sentence."""
        failed, left = len(self.failed), len(self.not_run)
        led = len(self.results) - failed
        found = f"{led} of {_count(self.starts, 'start')} led to {_count(len(self.optima), 'optimum', 'optima')}"
        ended = {"time": "the time limit was reached", "callback": "the callback asked to stop",
                 "interrupted": "interrupted"}
        return "".join([found, f", {failed} failed" if failed else "",
                        f"; {ended[self.reason]}, {left} not run" if self.reason != "done" else ""])

    def __getitem__(self, what: Any) -> Any:
        if self.best is None:
            raise KeyError(f"there is no best point: {self.message}")
        return self.best[what]

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data, for strict JSON."""
        return {
            "success": self.success, "message": self.message, "reason": self.reason, "seconds": self.seconds,
            "starts": self.starts, "notes": list(self.notes),
            "best": None if self.best is None else self.best.as_dict(),
            "optima": [optimum.as_dict() for optimum in self.optima],
            "results": [run.as_dict() for run in self.results],
            "failed": {str(k): why for k, why in self.failed.items()}, "not_run": self.not_run,
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"<multistart of {self.view.lowered.name!r}: {self.message}>"

    # what it shows ------------------------------------------------------------------------------------------------

    def _report(self) -> Report:
        return Report("\n".join(self._heading()), list(self._tables()), self.notes)

    def _heading(self) -> Iterator[str]:
        objective, best = self.view.lowered.objective, self.best
        assert objective is not None
        yield f"{self.view.lowered.name}: {self.message}, {self.seconds:.3g} s"
        if best is not None:
            verdict = "best" if best.success else f"best, but {best.certificate.verdict}"
            unit = f" {best.point.objective_unit}".rstrip()
            yield f"{verdict}: {objective.sense} {objective.name} = {number(best.objective)}{unit}"
            yield f"{best.method} in {best.view.space.name} space"

    def _tables(self) -> Iterator[Table]:
        names, places = _shown(self.view)
        columns = [Column("optimum", numeric=True), Column("objective", numeric=True), Column("starts", numeric=True),
                   *(Column(name, numeric=True, drop=k) for k, name in enumerate(names)), Column("from", drop=9)]

        def cells(k: int) -> list[str]:
            found = self.optima[k]
            decisions = _state(self.view, found.values)[places]
            return [str(k + 1), number(found.objective), str(len(found.starts)),
                    *(number(f"{value:.6g}") for value in decisions.tolist()), listing(found.starts, COUNTS)]

        yield Table("", columns, Rows(len(self.optima), cells))
        failed = list(self.failed.items())
        yield Table("failed", [Column("start", numeric=True), Column("why")],
                    Rows(len(failed), lambda k: [str(failed[k][0]), shorten(failed[k][1])]))


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"


def _shown(view: View) -> tuple[list[str], Array]:
    """Names and places of the first decisions."""
    places = np.flatnonzero(view.space.chosen)[:MOST_SHOWN]
    return [view.space.own.state.element(place) for place in places.tolist()], places


def _state(view: View, values: dict[str, Array]) -> Array:
    """The user's state (n_user,) of values by name."""
    own = view.space.own
    return np.concatenate([np.ravel(values[name]) for name in own.symbols] or [np.empty(0)])


def rank(view: View, run: Run) -> tuple[bool, float, float, int]:
    """Smaller is better: certified runs, then the nearest to feasible, by objective; the first start where equal."""
    objective, infeasible = view.sign * run.objective, run.infeasibility
    if not (np.isfinite(objective) and np.isfinite(infeasible)):
        return True, np.inf, np.inf, run.number
    return not run.success, 0.0 if run.success or infeasible <= FEASIBLE else infeasible, objective, run.number


def optima_of(view: View, runs: Sequence[Run]) -> list[Optimum]:
    """The distinct optima of the certified runs, the best first."""
    chosen = view.space.chosen
    found: list[Optimum] = []
    at: list[Array] = []
    for run in sorted((run for run in runs if run.success), key=lambda run: rank(view, run)):
        x = _state(view, run.values)[chosen]
        same = next((k for k in range(len(found)) if abs(found[k].objective - run.objective)
                     <= NEAR_OBJECTIVE * max(1.0, abs(run.objective))
                     and bool((np.abs(at[k] - x) <= NEAR * np.maximum(1.0, np.abs(x))).all())), None)
        if same is None:
            found.append(Optimum(run.objective, run.values, [run.number]))
            at.append(x)
        else:
            found[same].starts.append(run.number)
    return [Optimum(one.objective, one.values, sorted(one.starts)) for one in found]
