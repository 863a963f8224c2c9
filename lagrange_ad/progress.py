"""A progress bar for long runs, on standard error; needs rich, and a terminal to be of use.

Takes a function that says, of what happened last, how far the run is and what to write beside the bar.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any


def bar(title: str, total: int, wanted: bool | None, describe: Callable[[Any], tuple[int, str]]) -> Any:
    """A context that gives the function to call with whatever happens: a bar where ``wanted``, else nothing.

    ``wanted`` None means on a terminal.
    """
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        return nullcontext(lambda happened: None)
    return Bar(title, total, describe)


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
