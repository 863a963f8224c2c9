"""How far a long run is, on standard error: a bar where the end is known, a line where it is not; needs rich.

Takes a function that says, of what happened last, how far the run is and what to write beside it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, TypeAlias

FIRST_LINES = 10
"""In a log, so many iterations have a line each; then lines come ever less often."""
LINES_APART, GROWTH = 1.0, 0.1
"""Seconds between lines of a log, and as part of the time since the run began where that is more."""
WIDE = 100
"""Narrower terminals get shorter words."""
SHORTER = {"iteration": "", "objective": "J", "infeasibility": "infeas.", "stationarity": "stat."}

State: TypeAlias = tuple[int, Sequence[tuple[str, str]]]
"""The number of an iteration, and words with what to write after them."""


def bar(title: str, total: int, wanted: bool | None, describe: Callable[[Any], tuple[int, str]]) -> Any:
    """A context that gives the function to call with whatever happens: a bar where ``wanted``, else nothing.

    ``wanted`` None means on a terminal.
    """
    if _is_quiet(wanted):
        return nullcontext(lambda happened: None)
    return Bar(title, total, describe)


def line(title: str, wanted: bool | None, describe: Callable[[Any], State]) -> Any:
    """The same for a run whose end nobody knows: one line with its last iteration, that goes away at the end.

    Where there is no terminal and ``wanted`` is True, lines of a log: the first iterations, then some, and the last.
    """
    if _is_quiet(wanted):
        return nullcontext(lambda happened: None)
    return Line(title, describe) if sys.stderr.isatty() else Log(title, describe)


def _is_quiet(wanted: bool | None) -> bool:
    return wanted is False or (wanted is None and not sys.stderr.isatty())


class Bar:
    """A context manager that gives a function to call with everything that happens."""

    def __init__(self, title: str, total: int, describe: Callable[[Any], tuple[int, str]]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        self._describe = describe
        self._bar = Progress(
            TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[state]}"), console=console,
            transient=console.is_terminal,  # elsewhere the last state stays, as a line of a log
        )  # fmt: skip
        self._task = self._bar.add_task(title, total=total, state="")

    def __enter__(self) -> Callable[[Any], None]:
        self._bar.start()
        return self._show

    def _show(self, happened: Any) -> None:
        completed, state = self._describe(happened)
        self._bar.update(self._task, completed=completed, state=state)

    def __exit__(self, *error: Any) -> None:
        self._bar.stop()


class Line:
    """A context manager like :class:`Bar`: a spinner, the last iteration and the time, fitted to the terminal."""

    def __init__(self, title: str, describe: Callable[[Any], State]) -> None:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import Progress, SpinnerColumn, TextColumn

        console = Console(stderr=True)
        self._describe, self._wide = describe, console.width >= WIDE
        titles = [TextColumn(escape(title))] if self._wide else []
        self._line = Progress(SpinnerColumn(), *titles, TextColumn("{task.fields[state]}"),
                              TextColumn(" {task.elapsed:.0f} s"), console=console, transient=True)
        self._task = self._line.add_task("", total=None, state="")

    def __enter__(self) -> Callable[[Any], None]:
        self._line.start()
        return self._show

    def _show(self, happened: Any) -> None:
        self._line.update(self._task, state=_words(*self._describe(happened), self._wide))

    def __exit__(self, *error: Any) -> None:
        self._line.stop()


class Log:
    """A context manager like :class:`Line` that writes lines, each after at least a tenth more time than the last."""

    def __init__(self, title: str, describe: Callable[[Any], State]) -> None:
        self._title, self._describe = title, describe
        self._count, self._last, self._pending = 0, 0.0, ""

    def __enter__(self) -> Callable[[Any], None]:
        self._began = time.perf_counter()
        return self._show

    def _show(self, happened: Any) -> None:
        seconds = time.perf_counter() - self._began
        self._pending = f"{self._title}: {_words(*self._describe(happened), wide=True)}  {seconds:.1f} s\n"
        if self._count < FIRST_LINES or seconds - self._last >= max(LINES_APART, GROWTH * seconds):
            self._write(seconds)

    def _write(self, seconds: float) -> None:
        sys.stderr.write(self._pending)
        sys.stderr.flush()
        self._count, self._last, self._pending = self._count + 1, seconds, ""

    def __exit__(self, *error: Any) -> None:
        if self._pending:
            self._write(self._last)


def _words(iteration: int, parts: Sequence[tuple[str, str]], wide: bool) -> str:
    """``iteration 12  objective 3.18  …``, with shorter words where there is little room."""
    every = [("iteration", str(iteration)), *parts]
    return "  ".join(f"{word if wide else SHORTER.get(word, word)} {value}".strip() for word, value in every)
