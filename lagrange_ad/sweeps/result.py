"""What a sweep hands back: one array a name with the points in front, which points failed, and points made again."""

from __future__ import annotations

import csv
import math
import operator
from collections.abc import Callable, Mapping
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DomainError, SolveError, UnknownNameError
from ..expression import Array, Expression, Symbol
from ..lagrangian import require_objective
from ..lowering import Blocks
from ..program import element_name
from ..solution import Plan, Point
from ..solution.point import Named, element_number
from ..tables import Column, Report, Rows, Shown, Table, is_small
from ..text import listing, nearest, number, shorten
from .course import pulled_back, solved_state
from .grid import Over
from .ledger import FAILED, LOST, NOT_RUN, SOLVED, Ledger

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_COLUMNS = 9
"""A printed sweep has so many columns of numbers."""
MOST_ERRORS = 5
MOST_ELEMENTS = 100
"""Arrays with more elements are not in the table of a sweep."""


class Sweep(Shown):
    """The points of a sweep. Arrays begin with the shape of the points, (n,) or that of the grid.

    ``s["n2"]`` (a symbol, an element, a constraint) or ``s[expression]`` has that shape and then that of the symbol;
    so have ``s.objective``, ``s.gradient["I"]`` = dJ/dI and ``s.multiplier["kcl1"]`` = dJ/dε, computed when first read
    unless the sweep had ``gradients=True``. ``s.values`` are the values gone through. NaN where a point failed:
    ``s.failed`` lists those, ``s.errors`` says why by index, ``s.not_run`` lists what an interrupt left.
    """

    def __init__(self, plan: Plan, over: Over, ledger: Ledger, reason: str, seconds: float) -> None:
        self._plan, self._over, self._ledger = plan, over, ledger
        self.reason, self.seconds = reason, seconds

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ("_plan", "_over", "_ledger", "reason", "seconds")}

    # the points --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._over.size

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the points: what all arrays begin with."""
        return self._over.shape

    @property
    def names(self) -> tuple[str, ...]:
        """What was swept."""
        return self._over.names

    @property
    def solved(self) -> Array:
        """Which points are solved, a truth value each."""
        return np.asarray(self._ledger.status == SOLVED).reshape(self.shape)

    @property
    def failed(self) -> list[Any]:
        """The indices of the points that have no solution, as result arrays are indexed."""
        return self._indices((self._ledger.status == FAILED) | (self._ledger.status == LOST))

    @property
    def not_run(self) -> list[Any]:
        """The indices of the points that were not come to."""
        return self._indices(self._ledger.status == NOT_RUN)

    @property
    def errors(self) -> dict[Any, str]:
        """Why, by index of a failed point."""
        return {self._over.index(point): self._ledger.errors[point] for point in sorted(self._ledger.errors)}

    @property
    def success(self) -> bool:
        """Whether every point is solved."""
        return bool((self._ledger.status == SOLVED).all())

    @property
    def message(self) -> str:
        """How it ended, in words."""
        counts = [int(np.count_nonzero(self._ledger.status == status)) for status in (SOLVED, FAILED, LOST, NOT_RUN)]
        words = [f"{count} {word}" for count, word in zip(counts, ("solved", "failed", "lost", "not run"), strict=True)
                 if count or word == "solved"]
        why = {"interrupted": "interrupted: ", "time": "the time limit was reached: ",
               "callback": "the callback asked to stop: "}.get(self.reason, "")
        return f"{why}{', '.join(words)} of {_counted(len(self), 'point')}"

    def _indices(self, chosen: Array) -> list[Any]:
        return [self._over.index(point) for point in np.flatnonzero(chosen).tolist()]

    def at(self, index: Any) -> Point:
        """One point with everything that points have, made again from its state; how it was solved is not kept.

        ``index`` is what the result arrays are indexed by: a number, or several in a grid. Raises SolveError, with the
        reason, for a point that is not solved, and IndexError beyond the last.
        """
        place = self._number(index)
        at = point_of(self._plan, self._ledger, place)
        if at is None:
            why = self._ledger.errors.get(place, "it was not run")
            raise SolveError(f"point {self._over.index(place)} of the sweep is not solved: {why}")
        return at

    def _number(self, index: Any) -> int:
        parts = index if isinstance(index, tuple) else (index,)
        places = tuple(map(operator.index, parts))
        if len(places) != len(self.shape) or not all(-n <= i < n for i, n in zip(places, self.shape, strict=True)):
            raise IndexError(f"{index!r} is no point of a sweep of shape {self.shape}")
        return int(np.ravel_multi_index([i % n for i, n in zip(places, self.shape, strict=True)], self.shape))

    # arrays ------------------------------------------------------------------------------------------------------

    @cached_property
    def values(self) -> Mapping[str, Array]:
        """The values gone through, by name, at every point."""
        arrays, at = {}, 0
        for name, shape in zip(self.names, self._over.shapes, strict=True):
            size = math.prod(shape)
            arrays[name] = _frozen(self._over.given[:, at : at + size].reshape(*self.shape, *shape))
            at += size
        return arrays

    @property
    def _state(self) -> Blocks:
        return self._plan.lowered.state

    @property
    def _owner(self) -> Any:
        return next((symbol.owner for symbol in self._plan.lowered.symbols.values()), None)

    def __getitem__(self, what: Any) -> Array:
        lowered = self._plan.lowered
        name = element_name(what, self._owner) if isinstance(what, Expression) else what
        if isinstance(name, str):
            if name in self.values:
                return self.values[name]
            if name in lowered.symbols:
                return self._block(self._ledger.states, name)
            base = name.partition("[")[0]
            if base in lowered.symbols and base != name:
                inside = self._state.position(name)
                if inside is not None or not isinstance(what, Expression):
                    at = self._state.slices[base].start + element_number(self._state, name, "value")
                    return _frozen(self._ledger.states[:, at].reshape(self.shape))
            if lowered.objective is not None and name == lowered.objective.name:
                return self.objective
            known = [*lowered.symbols, *lowered.constraint_rows.names]
            if not isinstance(what, Expression) and name not in lowered.constraint_rows.names:
                raise UnknownNameError(f"there is no value {name!r}{nearest(name, known)}; there are {listing(known)}")
        return self._each(lambda point: np.asarray(point[what]))

    def _block(self, rows: Array, name: str) -> Array:
        """One symbol of flat states, a row each."""
        shape = self._state.shapes[self._state.slices.number[name]]
        return _frozen(rows[:, self._state.slices[name]].reshape(*self.shape, *shape))

    def _each(self, get: Callable[[Point], Array]) -> Array:
        """What is got of every solved point, NaN for the others."""
        found = {point: get(self._point(point)) for point in np.flatnonzero(self._ledger.status == SOLVED).tolist()}
        one = next(iter(found.values()), np.empty(()))
        result = np.full((len(self), *one.shape), np.nan)
        for point, value in found.items():
            result[point] = value
        return _frozen(result.reshape(*self.shape, *one.shape))

    def _point(self, point: int) -> Point:
        at = point_of(self._plan, self._ledger, point)
        assert at is not None
        return at

    @cached_property
    def objective(self) -> Array:
        """The objective at every point; NaN where it has no value too. Raises MissingObjectiveError without one."""
        require_objective(self._plan, "have values of it")
        return self._each(_objective)

    @cached_property
    def _adjoints(self) -> tuple[Array, Array]:
        """(λ, w), a row a point: what was computed along the way, or now."""
        require_objective(self._plan, "have multipliers and gradients")
        ledger, lowered = self._ledger, self._plan.lowered
        if ledger.lam is not None and ledger.w is not None:
            return ledger.lam, ledger.w
        lam, w = (np.full((len(self), n), np.nan) for n in (lowered.n_user_rows, lowered.n_user))
        for point in np.flatnonzero(ledger.status == SOLVED).tolist():
            lam[point], w[point] = pulled_back(self._plan, solved_state(self._plan, ledger.states[point]))
        return lam, w

    @cached_property
    def multiplier(self) -> Named:
        """λ by equation at every point: dJ per unit added to its right side, inputs held. NaN where singular."""
        rows = self._plan.lowered.rows

        def get(name: str) -> Array:
            shape = rows.shapes[rows.slices.number[name]]
            return _frozen(self._adjoints[0][:, rows.slices[name]].reshape(*self.shape, *shape))

        return Named("equation", [e.name for e in self._plan.lowered.equations], get, self._owner, column="multiplier")

    @cached_property
    def gradient(self) -> Named:
        """dJ/dx by input, parameter and fixed variable at every point, 0 where freed. NaN where singular."""
        return Named("input or parameter", self._plan.roles.given_names(),
                     lambda name: self._block(self._adjoints[1], name), self._owner, column="gradient")

    # tables ------------------------------------------------------------------------------------------------------

    def table(self) -> dict[str, Array]:
        """Columns by name, one number a point: what was swept, the variables, the objective; arrays by element.

        ``pandas.DataFrame(s.table())`` is a data frame. Arrays of more than 100 elements are left out.
        """
        swept = dict(zip(self._swept, self._over.given.T, strict=True))
        found = {self._state.element(i): self._ledger.states[:, i] for i in self._elements(MOST_ELEMENTS)}
        goal = self._plan.lowered.objective
        if goal is not None and goal.name not in found:
            found[goal.name] = self.objective.ravel()
        return {**swept, **found}

    @property
    def _swept(self) -> list[str]:
        return [self._state.element(column) for column in self._over.columns.tolist()]

    def _elements(self, most: int) -> list[int]:
        """The elements that are found, of symbols of at most so many elements."""
        unknown, slices = self._plan.unknown, self._state.slices
        return [i for s in self._found if math.prod(s.shape) <= most
                for i in range(slices[s.name].start, slices[s.name].stop) if unknown[i]]

    @property
    def _found(self) -> list[Symbol]:
        """The symbols that have elements found from the equations."""
        return [s for s in self._plan.lowered.symbols.values() if self._plan.roles.has_unknown(s.name)]

    def write_csv(self, path: str | PathLike[str]) -> None:
        """Write :meth:`table` as CSV, one line a point; empty cells where a point has no solution."""
        table = self.table()
        with open(path, "w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(table)
            for row in zip(*(column.tolist() for column in table.values()), strict=True):
                writer.writerow("" if value != value else repr(value) for value in row)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain Python data, for JSON: arrays by name as lists, NaN where there is no value."""
        lowered = self._plan.lowered
        result: dict[str, Any] = {
            "program": lowered.name, "names": list(self.names), "shape": list(self.shape), "success": self.success,
            "reason": self.reason, "message": self.message, "seconds": self.seconds,
            "values": {name: array.tolist() for name, array in self.values.items()},
            "variables": {s.name: self[s.name].tolist() for s in self._found},
            "failed": [{"index": index, "message": text} for index, text in self.errors.items()],
        }
        if lowered.objective is not None:
            result["objective"] = self.objective.tolist()
        return result

    def plot(self, x: Any = None, y: Any = None, path: str | PathLike[str] | None = None,
             ax: Axes | None = None) -> Any:
        """Draw variables against a swept name; returns matplotlib's axes.

        ``x``: a name, the swept one unless given; ``y``: a name or several, else all scalar variables, or the
        objective. Of a grid the last name is drawn along x, one curve for each value of the others. ``path`` (.png,
        .svg or .pdf) writes the picture; without it, and without ``ax``, the figure is one of pyplot's. Raises
        PlotError without matplotlib, and where there is nothing to draw.
        """
        from ..display.curves import plot_curves

        symbols = self._plan.lowered.symbols
        scalars = [s.name for s in self._found if s.shape == ()]
        if not scalars and self._plan.lowered.objective is not None:
            scalars = [self._plan.lowered.objective.name]
        units = {name: symbol.unit for name, symbol in symbols.items() if symbol.unit}
        return plot_curves(self, x, y, path, ax, scalars=scalars, units=units, marks=self._marks)

    @property
    def _marks(self) -> Array | None:
        """The numbers of points that a picture marks."""
        return None

    def _report(self) -> Report:
        swept = self._swept
        scalars = [i for i in range(self._plan.lowered.n_user) if self._is_shown(i)]
        goal = self._plan.lowered.objective
        extra = [goal.name] if goal is not None and goal.name not in map(self._state.element, scalars) else []
        room = max(MOST_COLUMNS - len(swept) - len(extra), 1)
        shown, left = scalars[:room], len(self._plan.lowered.symbols) > len(self.names) and scalars[room:]
        heads = [*(Column(name, numeric=True, role="name") for name in swept[:MOST_COLUMNS]),
                 *(Column(self._state.element(i), numeric=True) for i in shown),
                 *(Column(name, numeric=True, role="gradient") for name in extra)]
        objective = self.objective.ravel() if extra else None

        def row(point: int) -> list[str]:
            given = [number(value) for value in self._over.given[point, :MOST_COLUMNS].tolist()]
            if self._ledger.status[point] != SOLVED:
                what = {FAILED: "failed", LOST: "lost", NOT_RUN: "not run"}[int(self._ledger.status[point])]
                return [*given, what, *[""] * (len(shown) + len(extra) - 1)][: len(heads)]
            found = [f"{value:.8g}" for value in self._ledger.states[point, shown].tolist()]
            return [*given, *found, *([f"{objective[point]:.8g}"] if objective is not None else [])]

        heading = f"{self._title()} of {self._plan.lowered.name} over {listing(self.names)}: {self.message}"
        return Report(heading, [Table("", heads, Rows(len(self), row))], list(self._notes(bool(left))))

    def _title(self) -> str:
        return "sweep"

    def _is_shown(self, element: int) -> bool:
        """Whether an element of the state has a column: of small variables."""
        block = self._state.block_of(element)
        symbol = self._plan.lowered.symbols[self._state.names[block]]
        return bool(self._plan.unknown[element]) and is_small(math.prod(symbol.shape), symbol.labels is not None)

    def _notes(self, left: bool) -> list[str]:
        notes = [f"point {index}: {shorten(text.splitlines()[0], 300)}"
                 for index, text in list(self.errors.items())[:MOST_ERRORS]]
        if len(self._ledger.errors) > MOST_ERRORS:
            notes.append(f"… {len(self._ledger.errors) - MOST_ERRORS} more failed: errors has them")
        large = [f"{s.name} {s.shape}" for s in self._found
                 if not is_small(math.prod(s.shape), s.labels is not None)]
        if large or left:
            notes.append(f"not shown: {listing(large)}" if large else "more columns are in table()")
        return notes

    def __repr__(self) -> str:
        return f"<{self._title()} of {self._plan.lowered.name} over {listing(self.names)}: {self.message}>"


def point_of(plan: Plan, ledger: Ledger, point: int) -> Point | None:
    """A solved point made again from its state, else None."""
    if ledger.status[point] != SOLVED:
        return None
    return Point(plan, solved_state(plan, ledger.states[point].copy()))


def _objective(at: Point) -> Array:
    try:
        return np.asarray(at.objective)
    except DomainError:
        return np.asarray(np.nan)


def _frozen(array: Array) -> Array:
    """The same array, read-only: results are shared."""
    view = array.view()
    view.flags.writeable = False
    return view


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
