"""The workers of an executor: whether there are any, what came back from one, and what to try where nothing did."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Future
from typing import Any, TypeVar

from .errors import DeclarationError

T = TypeVar("T")


def check_executor(executor: Any) -> None:
    """Raise DeclarationError for what is neither an executor nor None."""
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise DeclarationError(
            "executor= takes a concurrent.futures.Executor, such as ThreadPoolExecutor(4), ProcessPoolExecutor() or "
            f"Dask's client.get_executor(), got {executor!r}")


def received(future: Future[T], lost: Callable[[Exception], T | None]) -> T | None:
    """What a worker answered: None where the work was cancelled, ``lost(error)`` where it did not come back.

    Raises DeclarationError, for that is wrong for every worker, and KeyboardInterrupt.
    """
    try:
        return future.result()
    except CancelledError:
        return None
    except DeclarationError:
        raise
    except Exception as error:  # an executor may raise anything; the caller writes down what
        return lost(error)


def lost_message(error: Exception) -> str:
    """What is said of work that did not come back."""
    return f"its worker was lost: {type(error).__name__}: {error}"


def advice(worst: Exception) -> str:
    """What to try when nothing came back."""
    if isinstance(worst, BrokenExecutor):
        return ("a worker process died: a script that starts processes needs its work under "
                "if __name__ == '__main__':, and a function of yours may have ended the process")
    return ("what is sent to other processes must pickle: functions given to external() have to stand in a module, by "
            "their name; or take a ThreadPoolExecutor")


def is_past(deadline: float | None) -> bool:
    """Whether the clock is past a time."""
    return deadline is not None and time.time() >= deadline
