"""Running a sweep: in this process or in chunks on an executor, with its file, its bar, its callback and its end.

Takes the points and a program; fills a ledger; gives the result. A failed point is written down and passed over;
Ctrl-C, a time limit and a callback that returns True end the sweep with what is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from os import PathLike
from typing import Any

import numpy as np

from ..errors import DeclarationError, LagrangeError
from ..expression import Array
from ..lagrangian import require_objective
from ..program import Declarations
from ..progress import bar
from ..solution import Plan, Point, plan_of
from ..solution.evaluation import MAX_ITERATIONS, check_starts
from ..workers import advice, check_executor, is_past, lost_message, received
from .chunks import Parcel, cut, run_chunk
from .course import Course, Place, Recipe
from .file import SweepFile, checked_resume, described
from .grid import Over, points_of
from .ledger import LOST, NOT_RUN, SOLVED, Ledger
from .result import Sweep, point_of

MOST_CHUNKS = 32
LEAST_POINTS = 4
"""On an executor there are this many chunks, or fewer with so many points each."""


@dataclass(frozen=True)
class Options:
    """How to run; see ``Program.sweep``."""

    start: Any = None
    gradients: bool = False
    executor: Any = None
    chunks: int | None = None
    progress: bool | None = None
    callback: Callable[[Any, Point | None], Any] | None = None
    time_limit: float | None = None
    file: str | PathLike[str] | None = None
    file_every: Any = "10s"
    resume: bool = False
    max_iterations: int = MAX_ITERATIONS
    parts: int = 32


def sweep(program: Declarations, values: Any, options: Options) -> Sweep:
    """Solve the program at every point of the values; ``Program.sweep`` says what the options mean."""
    plan = plan_of(program)
    over = points_of(program, plan, values)
    _check(options)
    if options.gradients:
        require_objective(plan, "have gradients")
    recipe = _recipe(program, plan, over, options)
    n_chunks = 1 if options.executor is None else _n_chunks(options.chunks, over.size)
    parcel = Parcel(program, recipe)
    file = None
    if options.file is not None:
        about = described(program, plan, over, recipe, n_chunks)
        file = SweepFile(options.file, options.file_every, about, over)
    ledger = parcel.course.empty_ledger(over.size)
    if checked_resume(options.resume, options.file) and file is not None:
        ledger = file.read(ledger) or ledger
        ledger.again()
    return _Run(plan, over, parcel, ledger, file, options, cut(over.order, n_chunks)).result()


def _check(options: Options) -> None:
    check_executor(options.executor)
    if options.callback is not None and not callable(options.callback):
        raise DeclarationError(f"callback must be a function of an index and a point, got {options.callback!r}")
    for name, least in (("max_iterations", 0), ("parts", 0), ("chunks", 1)):
        value = getattr(options, name)
        if value is None and name == "chunks":
            continue
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise DeclarationError(f"{name} must be an integer ≥ {least}, got {value!r}")
    if options.chunks is not None and options.executor is None:
        raise DeclarationError("chunks= says how an executor's work is parted: name one, executor=")
    limit = options.time_limit
    if limit is not None and not (isinstance(limit, Real) and not isinstance(limit, bool) and limit >= 0):
        raise DeclarationError(f"time_limit must be a number of seconds ≥ 0, got {limit!r}")
    if options.file is None and options.file_every != "10s":
        raise DeclarationError("file_every= says how often file= is written: name the file, file='…'")


def _n_chunks(wanted: int | None, n_points: int) -> int:
    """How many chunks: it does not depend on the executor, so that results do not either."""
    return min(wanted or min(MOST_CHUNKS, -(-n_points // LEAST_POINTS)), n_points)


def _recipe(program: Declarations, plan: Plan, over: Over, options: Options) -> Recipe:
    lowered, start, begin = plan.lowered, options.start, None
    same = isinstance(start, Point) and len(start.state) >= lowered.n_user and (
        list(start.plan.lowered.symbols) == list(lowered.symbols)
    )
    if same:
        begin = Place(start.state[over.columns].copy(), start.state[: lowered.n_user].copy())
    spread = np.ptp(over.given, axis=0)
    return Recipe(
        over.columns, np.where(spread > 0.0, spread, 1.0),
        start={} if same else check_starts(program, start), begin=begin,
        max_iterations=int(options.max_iterations), parts=int(options.parts), gradients=bool(options.gradients),
    )  # fmt: skip


class _Run:
    """One sweep on its way: what is known so far, and why it ended."""

    def __init__(self, plan: Plan, over: Over, parcel: Parcel, ledger: Ledger, file: SweepFile | None,
                 options: Options, chunks: list[Array]) -> None:
        self.plan, self.over, self.parcel, self.ledger = plan, over, parcel, ledger
        self.file, self.options, self.chunks = file, options, chunks
        self.began = time.perf_counter()
        self.deadline = None if options.time_limit is None else time.time() + float(options.time_limit)
        self.reason = "done"
        self.worst: Exception | None = None

    def result(self) -> Sweep:
        """Run to the end, or to what ends it before."""
        if self.file is not None:
            self.file.save(self.ledger)
        progress = bar("sweep", self.over.size, self.options.progress, self._progress)
        try:
            with progress as show:
                points = self._here() if self.options.executor is None else self._elsewhere(self.options.executor)
                for point in points:
                    show(point)
                    if self._asked_to_stop(point):
                        self.reason = "callback"
                        break
                else:
                    if (self.ledger.status == NOT_RUN).any():
                        self.reason = "time" if is_past(self.deadline) else "interrupted"
        except KeyboardInterrupt:
            self.reason = "interrupted"
        finally:
            self.parcel.stop.set()
            if self.file is not None:
                self.file.save(self.ledger)
        return Sweep(self.plan, self.over, self.ledger, self.reason, time.perf_counter() - self.began)

    def _progress(self, point: int) -> tuple[int, str]:
        status = self.ledger.status
        failed = int(np.count_nonzero(status > SOLVED))
        return int(np.count_nonzero(status)), f"{failed} failed" if failed else ""

    def _asked_to_stop(self, point: int) -> bool:
        """Hand a point to the callback; whether it asks to stop."""
        if self.options.callback is None:
            return False
        at = point_of(self.plan, self.ledger, point)
        answer = self.options.callback(self.over.index(point), at)
        return isinstance(answer, bool | np.bool_) and bool(answer)

    def _here(self) -> Iterator[int]:
        """The points one after the other in this process."""
        course: Course = self.parcel.course
        for point in course.go(self.over.given, self.over.order, self.ledger, lambda: is_past(self.deadline)):
            if self.file is not None:
                self.file.note(self.ledger)
            yield point

    # on an executor --------------------------------------------------------------------------------------------------

    def _elsewhere(self, executor: Executor) -> Iterator[int]:
        """The points of every chunk when it comes back."""
        futures: dict[Future[Ledger], Array] = {}
        try:
            for points in self.chunks:
                future = self._submit(executor, points)
                if future is not None:
                    futures[future] = points
            for future in as_completed(futures):  # past the time limit chunks come back as they are
                points = futures[future]
                before = self.ledger.status[points] != NOT_RUN
                found = received(future, partial(self._lost, points))
                if found is not None:
                    self.ledger.take(points, found)
                if self.file is not None:
                    self.file.note(self.ledger, len(points))
                yield from points[~before & (self.ledger.status[points] != NOT_RUN)].tolist()
        finally:
            self.parcel.stop.set()
            for future in futures:
                future.cancel()
        if self.worst is not None and not (self.ledger.status == SOLVED).any():
            raise LagrangeError(f"no part of the sweep came back from {type(executor).__name__}: {self.worst}\n  "
                                f"{advice(self.worst)}") from self.worst

    def _submit(self, executor: Executor, points: Array) -> Future[Ledger] | None:
        """Send the points of a chunk that are to be run; None where there are none, or nobody takes them."""
        done = self.ledger.status[points] != NOT_RUN
        if done.all():
            return None
        known = self.ledger.part(points) if done.any() else None
        try:
            return executor.submit(run_chunk, self.parcel, self.over.given[points], known, self.deadline)
        except BrokenExecutor as error:
            self._lost(points, error)
            return None

    def _lost(self, points: Array, error: Exception) -> None:
        """Write to the points of a chunk what kept it from coming back."""
        self.worst = error
        for point in points[self.ledger.status[points] == NOT_RUN].tolist():
            self.ledger.failed(point, lost_message(error), LOST)
