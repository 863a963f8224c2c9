"""A progress bar for long runs, on standard error; needs rich, and a terminal to be of use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .result import StepRecord


class StepBar:
    """A context manager that gives a function to call with every step's record."""

    def __init__(self, steps: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("ascend"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[state]}"), console=console,
            transient=console.is_terminal,  # elsewhere the last state stays, as a line of a log
        )  # fmt: skip
        self._task = self._bar.add_task("ascend", total=steps, state="")

    def __enter__(self) -> Callable[[StepRecord], None]:
        self._bar.start()
        return self._show

    def _show(self, record: StepRecord) -> None:
        state = f"objective {record.objective:.8g}  gradient {record.gradient_norm:.2e}"
        self._bar.update(self._task, completed=record.step, state=state)

    def __exit__(self, *error: Any) -> None:
        self._bar.stop()
