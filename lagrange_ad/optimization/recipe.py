"""How to ascend: method, rate, line search, batches and when to stop; checked together before the first step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from numbers import Integral
from typing import Any

import numpy as np

from ..errors import DeclarationError
from ..text import listing
from ..views import View
from .batches import Feed
from .methods import Method, is_number, method_named
from .schedules import Schedule

TOLERANCES = {"gradient": 1e-8, "step": 1e-15, "objective": 1e-15}


@dataclass(frozen=True)
class Stopping:
    """When to stop; see ``Program.ascend``."""

    steps: int
    gradient: float
    step: float
    objective: float
    seconds: float | None


@dataclass(frozen=True)
class Recipe:
    """What a run does. Exactly one of ``rate`` and ``schedule`` may be given; ``search`` is ``armijo`` or ``fixed``."""

    method: Method
    rate: float | None
    schedule: Schedule | None
    search: str
    feed: Feed | None
    stopping: Stopping

    def describe(self) -> dict[str, str]:
        """What a resumed run must have in common with its checkpoint, in words."""
        tolerances = {f"{name}_tolerance": repr(float(getattr(self.stopping, name))) for name in TOLERANCES}
        rate = "none" if self.rate is None else repr(float(self.rate))
        return {
            "method": _described(self.method),
            "rate": rate if self.schedule is None else _described(self.schedule),
            "line_search": self.search,
            "batches": self.feed.describe() if self.feed is not None else "none",
            **({} if self.feed is not None else tolerances),
        }


def make_recipe(view: View, *, method: Any, rate: Any, line_search: str | None, batches: Any,
                stopping: Stopping) -> Recipe:
    """The checked recipe. Raises DeclarationError for what cannot be, or cannot be together."""
    _check_constraints(view)
    chosen = method_named(method)
    if line_search not in (None, "armijo", "fixed"):
        raise DeclarationError(f"line_search must be 'armijo' or 'fixed', got {line_search!r}")
    if isinstance(rate, type):
        raise DeclarationError(f"rate must be a number or an object: {rate.__name__}(...), with its numbers")
    schedule = rate if callable(rate) else None
    number = None if schedule is not None else rate
    if number is not None and not (is_number(number) and np.isfinite(number) and number > 0):
        raise DeclarationError(
            f"rate must be a positive number, got {rate!r}: minimize programs descend by themselves; a schedule of "
            "la.ascent, or any function of the step, does too"
        )
    search = line_search or _default_search(chosen, rate)
    _check_rate(chosen, rate, schedule, search, line_search)
    _check_stopping(stopping)
    feed = None
    if batches is not None:
        _check_batches(chosen, rate, search, stopping)
        feed = Feed(batches)
    return Recipe(chosen, number, schedule, search, feed, stopping)


def _default_search(method: Method, rate: Any) -> str:
    return "armijo" if (rate is None or method.sets_rate) and not method.no_line_search else "fixed"


def _check_constraints(view: View) -> None:
    constraints = view.constraint_names
    if constraints:
        raise DeclarationError(
            f"ascend holds the bounds of inputs only, and the program has constraints, or bounds of variables: "
            f"{listing(constraints)}. Use a constrained optimizer on view = program.reduced(): "
            "scipy.optimize.minimize(view.value_and_gradient, view.x0, jac=True, bounds=view.bounds, "
            "constraints=view.constraints)"
        )


def _check_rate(method: Method, rate: Any, schedule: Schedule | None, search: str, asked: str | None) -> None:
    name = method.name
    if search == "armijo" and method.no_line_search:
        raise DeclarationError(
            f"line_search='armijo' does not go with method={name!r}: {method.no_line_search}. Use method='gradient' or "
            "'barzilai-borwein' with it, or give a rate without it"
        )
    if schedule is not None and (search == "armijo" or method.sets_rate):
        who = "line_search='armijo'" if search == "armijo" else f"method={name!r}"
        raise DeclarationError(f"{who} finds the rate of every step, so it has no use for a schedule: give a number "
                               "to begin with, or none")
    if search == "fixed" and rate is None and not method.sets_rate:
        what = f"method={name!r}" if asked is None else "line_search='fixed'"
        raise DeclarationError(f"{what} needs rate=, a number or a schedule such as la.ascent.Cosine(0.1, steps)")


def _check_batches(method: Method, rate: Any, search: str, stopping: Stopping) -> None:
    if method.no_batches:
        raise DeclarationError(f"batches= does not go with method={method.name!r}: {method.no_batches}. Use "
                               "'gradient', 'momentum', 'nesterov' or 'adam' with a rate")
    if search == "armijo":
        raise DeclarationError(
            "batches= does not go with a line search, which would compare the objectives of different batches: give "
            "rate=, a number or a schedule such as la.ascent.InverseTime(0.1, 0.01)"
        )
    for name, default in TOLERANCES.items():
        if getattr(stopping, name) != default:
            raise DeclarationError(
                f"{name}_tolerance= does not go with batches=: from batch to batch the objective and its gradient "
                "change by noise, which says nothing of an optimum. Use steps=, time_limit= or a callback that returns "
                "True"
            )


def _check_stopping(stopping: Stopping) -> None:
    if not isinstance(stopping.steps, Integral) or isinstance(stopping.steps, bool) or stopping.steps < 0:
        raise DeclarationError(f"steps must be an integer ≥ 0, got {stopping.steps!r}")
    for name in TOLERANCES:
        tolerance = getattr(stopping, name)
        if not (is_number(tolerance) and tolerance >= 0):
            raise DeclarationError(f"{name}_tolerance must be a number ≥ 0, got {tolerance!r}")
    if stopping.seconds is not None and not (is_number(stopping.seconds) and stopping.seconds >= 0):
        raise DeclarationError(f"time_limit must be a number of seconds ≥ 0, got {stopping.seconds!r}")


def _described(value: Method | Callable[..., Any]) -> str:
    """A method or schedule as text that is the same in another process."""
    if is_dataclass(value) and not isinstance(value, type):
        inner = ", ".join(
            f"{f.name}={_described(part) if callable(part) else part!r}"
            for f in fields(value) for part in [getattr(value, f.name)]
        )
        return f"{type(value).__name__}({inner})"
    if isinstance(value, Method):
        plain = {name: part for name, part in vars(value).items() if isinstance(part, int | float | str)}
        return f"{type(value).__name__}({', '.join(f'{name}={part!r}' for name, part in sorted(plain.items()))})"
    return str(getattr(value, "__qualname__", type(value).__qualname__))
