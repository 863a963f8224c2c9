"""Many optimizations of one program from many starts, here or on an executor: the driver of ``Program.multistart``.

Takes a program, starts and options; gives the runs in the order of their starts, whatever the executor. A run that
fails is written down with its reason; Ctrl-C, a time limit and a callback that returns True end it with what is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..errors import DeclarationError, LagrangeError
from ..optimizers import Answer
from ..parcel import Parcel
from ..program import Declarations
from ..progress import bar
from ..text import number
from ..views import View
from ..workers import advice, check_executor, is_past, lost_message, received
from .optima import Multistart, Run, optima_of, rank
from .optimizing import Options, optimize, view_for
from .optimum import OptimizeResult
from .starts import completed, starts_of


@dataclass(frozen=True)
class Many:
    """What ``Program.multistart`` was given beside the options of every run."""

    starts: Any = 20
    executor: Any = None
    seed: int | None = 0
    sampling: str = "latin-hypercube"
    scale: Any = 1.0
    callback: Callable[[Run], Any] | None = None
    progress: bool | None = None


@dataclass(frozen=True, eq=False)
class Found:
    """What comes back from a worker: the run, and what makes a result of it again; None where there is none."""

    run: Run
    result: tuple[Answer, Any, float, str, str, Any] | None = None


def multistart(program: Declarations, options: Options, many: Many) -> Multistart:
    """All runs of a program; ``Program.multistart`` says what the options mean."""
    _check(many)
    view = view_for(program, options)
    starts = starts_of(program, view, many.starts, many.seed, many.sampling, many.scale)
    parcel = Parcel(program, replace(options, callback=None, progress=False, time_limit=None, start=None))
    return _Runs(view, parcel, starts.values, starts.notes, options.time_limit, many).result()


def _check(many: Many) -> None:
    check_executor(many.executor)
    if many.callback is not None and not callable(many.callback):
        raise DeclarationError(f"callback must be a function of a run, got {many.callback!r}")


# one run, wherever it is ------------------------------------------------------------------------------------------


def run_from(parcel: Parcel, number: int, start: Mapping[str, Any], deadline: float | None) -> Found | None:
    """Optimize from one start; None where it was ended from outside before it was done."""
    program, options = parcel.content
    left = None if deadline is None else deadline - time.time()
    if parcel.stop.is_set() or (left is not None and left <= 0.0):
        return None
    began = time.perf_counter()
    try:
        begun = completed(view_for(program, options), program, start) if start else None
        result = optimize(program, replace(options, start=begun, time_limit=left,
                                           callback=lambda record: parcel.stop.is_set()))
        if result.reason in ("interrupted", "callback", "time"):
            return None
        return _found(result, number, start)
    except DeclarationError:
        raise  # the options are wrong, for every start
    except LagrangeError as error:
        return Found(_failed(number, start, "error", str(error).splitlines()[0], time.perf_counter() - began))


def _found(result: OptimizeResult, number: int, start: Mapping[str, Any]) -> Found:
    message = result.message if result.success or result.reason == "solved" else (
        f"{result.message}; {result.certificate.verdict}")
    run = Run(number, dict(start), {name: np.array(value) for name, value in result.values.items()}, result.objective,
              result.infeasibility, result.success, result.reason, message, result.iterations, result.seconds)
    history = [replace(record, x=None) for record in result.history]
    return Found(run, (result.answer, history, result.seconds, result.method, result.why, result.notes))


def _failed(number: int, start: Mapping[str, Any], reason: str, message: str, seconds: float = 0.0) -> Run:
    return Run(number, dict(start), {}, np.nan, np.nan, False, reason, message, 0, seconds)


# all of them ------------------------------------------------------------------------------------------------------


class _Runs:
    """The runs on their way: what is known so far, the best of it, and why it ended."""

    def __init__(self, view: View, parcel: Parcel, starts: list[dict[str, Any]], notes: list[str],
                 time_limit: float | None, many: Many) -> None:
        self.view, self.parcel, self.starts, self.notes, self.many = view, parcel, starts, notes, many
        self.began = time.perf_counter()
        self.deadline = None if time_limit is None else time.time() + float(time_limit)
        self.known: dict[int, Run] = {}
        self.best: Found | None = None
        self.worst: Exception | None = None
        self.reason = "done"

    def result(self) -> Multistart:
        """Run to the end, or to what ends it before."""
        executor = self.many.executor
        try:
            with bar("multistart", len(self.starts), self.many.progress, self._progress) as show:
                for found in self._here() if executor is None else self._elsewhere(executor):
                    self._take(found)
                    show(found.run)
                    if self._asked_to_stop(found.run):
                        self.reason = "callback"
                        break
                else:
                    if len(self.known) < len(self.starts):
                        self.reason = "time" if is_past(self.deadline) else "interrupted"
        except KeyboardInterrupt:
            self.reason = "interrupted"
        finally:
            self.parcel.stop.set()
        if self.worst is not None and all(run.reason == "lost" for run in self.known.values()):
            raise LagrangeError(f"no run came back from its worker: {self.worst}\n  {advice(self.worst)}"
                                ) from self.worst
        runs = [self.known[k] for k in sorted(self.known)]
        return Multistart(self.view, runs, optima_of(self.view, runs), self._best(), len(self.starts), self.reason,
                          time.perf_counter() - self.began, self.notes)

    def _take(self, found: Found) -> None:
        self.known[found.run.number] = found.run
        if found.result is not None and (self.best is None or rank(self.view, found.run) < rank(
                self.view, self.best.run)):
            self.best = found

    def _best(self) -> OptimizeResult | None:
        return None if self.best is None or self.best.result is None else OptimizeResult(self.view, *self.best.result)

    def _progress(self, run: Run) -> tuple[int, str]:
        failed = sum(not one.success for one in self.known.values())
        best = "" if self.best is None else f"best {number(self.best.run.objective)}"
        return len(self.known), f"{best}{f'  {failed} failed' if failed else ''}"

    def _asked_to_stop(self, run: Run) -> bool:
        if self.many.callback is None:
            return False
        answer = self.many.callback(run)
        return isinstance(answer, bool | np.bool_) and bool(answer)

    def _here(self) -> Iterator[Found]:
        """The runs one after the other in this process."""
        for k, start in enumerate(self.starts):
            found = run_from(self.parcel, k, start, self.deadline)
            if found is None:
                return
            yield found

    def _elsewhere(self, executor: Executor) -> Iterator[Found]:
        """The runs as they come back."""
        futures: dict[Future[Found | None], int] = {}
        lost: list[Found] = []
        try:
            for k, start in enumerate(self.starts):
                try:
                    futures[executor.submit(run_from, self.parcel, k, start, self.deadline)] = k
                except BrokenExecutor as error:
                    lost.append(self._lost(k, error))
            yield from lost
            for future in as_completed(futures):
                found = received(future, partial(self._lost, futures[future]))
                if found is not None:
                    yield found
        except KeyboardInterrupt:
            for future, k in futures.items():  # what came back meanwhile
                if k not in self.known and future.done():
                    found = received(future, partial(self._lost, k))
                    if found is not None:
                        self._take(found)
            raise
        finally:
            self.parcel.stop.set()
            for future in futures:
                future.cancel()

    def _lost(self, k: int, error: Exception) -> Found:
        self.worst = error
        return Found(_failed(k, self.starts[k], "lost", lost_message(error)))
