"""The driver of ``Program.optimize``: chooses space and algorithm, runs one on the other, and makes the result.

An algorithm sees arrays alone. Whatever it is, it is watched by one monitor, and what it answers gets its multipliers,
its names and its certificate here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DeclarationError, LagrangeError, SolveError
from ..expression import Array
from ..lowering import lower
from ..optimizers import Algorithm, Answer, Iteration, Monitor, Problem, Settings, Stopped
from ..optimizers.choice import algorithm_named, choose
from ..optimizers.polishing import multipliers, polished
from ..program import Declarations
from ..progress import line
from ..views import View
from .beginning import beginning
from .methods import is_number
from .optimum import OptimizeResult
from .record import OptimizeRecord, record_of

MOST_POLISHED = 5000
"""What is found of problems with at most this many variables and rows is brought to rounding."""
SPACES = {"reduced": "all", "full": "none"}


@dataclass(frozen=True)
class Options:
    """What ``Program.optimize`` was given."""

    method: Any = None
    space: Any = None
    start: Any = None
    perturbation: Mapping[str, Any] | None = None
    tolerance: float = 1e-8
    max_iterations: int = 3000
    time_limit: float | None = None
    callback: Callable[[OptimizeRecord], Any] | None = None
    progress: bool | None = None

    def __post_init__(self) -> None:
        if not (is_number(self.tolerance) and 0.0 < self.tolerance < 1.0):
            raise DeclarationError(f"tolerance must be a number between 0 and 1, got {self.tolerance!r}")
        if isinstance(self.max_iterations, bool) or not isinstance(self.max_iterations, int | np.integer) or (
                self.max_iterations < 0):
            raise DeclarationError(f"max_iterations must be an integer ≥ 0, got {self.max_iterations!r}")
        if self.time_limit is not None and not (is_number(self.time_limit) and self.time_limit >= 0.0):
            raise DeclarationError(f"time_limit must be a number of seconds ≥ 0, or None, got {self.time_limit!r}")
        if self.callback is not None and not callable(self.callback):
            raise DeclarationError(f"callback must be a function of an iteration's record, got {self.callback!r}")
        if self.perturbation is not None and not isinstance(self.perturbation, Mapping):
            raise DeclarationError("perturbation= takes what to add to right sides by equation, {'y1': 1e-6}, "
                                   f"got {self.perturbation!r}")


def optimize(program: Declarations, options: Options) -> OptimizeResult:
    """The optimum of a program; ``Program.optimize`` says what the options mean."""
    view, algorithm, why = _arranged(program, options)
    problem, start = view.problem, beginning(view, program, options.start)
    _require_order(problem)
    problem.x0 = np.clip(start.x, problem.lower, problem.upper)
    _require_solution(view, problem.x0)
    if algorithm is None:
        algorithm, of_method = choose(problem)
        why = f"{of_method}; {why}" if why else of_method
    settings = Settings(float(options.tolerance), int(options.max_iterations), start.y, start.z)
    with line(f"{program.name}, {algorithm.name}", options.progress, _describe(view)) as show:
        monitor = Monitor(show, _callback(view, options.callback), options.time_limit)
        answer = _answer(algorithm, view, settings, monitor)
    notes: list[str] = []
    try:
        notes = _finish(answer, view)
    except KeyboardInterrupt:  # what was found is handed back as it is
        answer.reason, answer.message = "interrupted", f"interrupted while looking at what was found: {answer.message}"
    if answer.y is None or answer.z is None:
        answer.y, answer.z = np.zeros(problem.m), np.zeros(problem.n)
    history = [record_of(iteration, view.sign) for iteration in monitor.history]
    method = options.method if isinstance(options.method, str) else algorithm.name
    found = OptimizeResult(view, answer, history, monitor.seconds, method, why, notes)
    with suppress(LagrangeError):  # where there is no value; whoever looks is told so
        _ = found.point
    return found


def _require_order(problem: Problem) -> None:
    """Raise where a row's limits, which parameters may tell, are the wrong way round."""
    reversed_ = np.flatnonzero(problem.row_lower > problem.row_upper)
    if len(reversed_):
        i = int(reversed_[0])
        raise DeclarationError(f"{problem.row_name(i)!r} is to be at least {problem.row_lower[i]:.10g} and at most "
                               f"{problem.row_upper[i]:.10g}: nothing is; change the parameters of its limits")


def view_for(program: Declarations, options: Options) -> View:
    """The view that options mean."""
    return _arranged(program, options)[0]


def _arranged(program: Declarations, options: Options) -> tuple[View, Algorithm | None, str]:
    """The view that options mean, the algorithm where one is named, and why this space where that was chosen."""
    algorithm = algorithm_named(options.method) if options.method is not None else None
    eliminate, why = space_for(program, options.space, algorithm)
    return View(program, eliminate, options.perturbation), algorithm, why


def _require_solution(view: View, x: Array) -> None:
    """Raise where what is eliminated has no solution at the start: there is nothing to begin from then."""
    try:
        view.point(x)
    except SolveError as error:
        advice = ("\n  or keep these variables, space='full' or space=[...], so that nothing need be solved for them "
                  "at the start")
        raise type(error)(f"at the start of the optimization, {error}{advice}", error.at, error.findings) from None


def space_for(program: Declarations, space: Any, algorithm: Algorithm | None) -> tuple[Any, str]:
    """What a view is to eliminate, and why where that was chosen. Where nothing is said: everything where only bounds
    of inputs are left then, or where the algorithm takes nothing else; else nothing, so that derivatives stay sparse.
    """
    if isinstance(space, str):
        if space in SPACES:
            return SPACES[space], ""
        if space not in program.symbols:
            raise DeclarationError("space must be 'reduced', 'full' or a list of variables to eliminate, "
                                   f"got {space!r}")
    if space is not None:
        return space, ""
    if algorithm is not None and not algorithm.takes & {"equalities"}:
        return "all", f"reduced space, as {algorithm.name} takes no equations"
    if algorithm is not None and algorithm.keeps_unknowns:
        return "none", f"full space, as {algorithm.name} is about kept unknowns"
    if program.constraints:
        return "none", "full space, as there are constraints"
    if any(not s.is_unbounded for s in program.symbols.values() if program.is_found(s)):
        return "none", "full space, as variables have bounds"
    lowered = program.remembered("lowered", program.version, lambda: lower(program))
    if lowered.n_user_rows == np.count_nonzero(program.unknown_elements()):
        return "all", "reduced space, as no constraints but bounds of inputs are left then"
    return "none", "full space, as equations do not determine all variables"


def _describe(view: View) -> Callable[[Iteration], tuple[int, list[tuple[str, str]]]]:
    """An iteration for its line: number, and what to show beside it."""
    def describe(iteration: Iteration) -> tuple[int, list[tuple[str, str]]]:
        stationarity = [] if np.isnan(iteration.stationarity) else [("stationarity", f"{iteration.stationarity:.1e}")]
        return iteration.number, [("objective", f"{view.sign * iteration.objective:.8g}"),
                                  ("infeasibility", f"{iteration.infeasibility:.1e}"), *stationarity]

    return describe


def _callback(view: View, callback: Callable[[OptimizeRecord], Any] | None) -> Callable[[Iteration], Any] | None:
    if callback is None:
        return None

    def call(iteration: Iteration) -> Any:
        x = iteration.x
        assert x is not None
        return callback(record_of(iteration, view.sign, lambda: view.point(x)))

    return call


def _answer(algorithm: Algorithm, view: View, settings: Settings, monitor: Monitor) -> Answer:
    """What an algorithm answers; where the run was ended, the best point so far."""
    try:
        if settings.max_iterations == 0:
            algorithm.require(view.problem)
            return Answer(view.problem.x0.copy(), "iterations", "the limit of 0 iterations was reached")
        answer = algorithm.run(view.problem, settings, monitor)
        if answer.reason == "unbounded" and view.sign < 0:  # the algorithm has minimized −J
            answer.message = "the objective rises without bound"
        return answer
    except Stopped as stopped:
        return _best(view, monitor, stopped.reason, f"{stopped.message}: this is the best point so far")
    except KeyboardInterrupt:
        return _best(view, monitor, "interrupted", "interrupted: this is the best point so far")


def _finish(answer: Answer, view: View) -> list[str]:
    """Multipliers where an algorithm gave none; of what it found, rounding off what its tolerances left. Gives notes.
    """
    problem = view.problem
    if answer.y is None or answer.z is None:
        try:
            answer.y, answer.z = multipliers(problem, answer.x)
        except LagrangeError as error:
            return [f"there are no multipliers here: {str(error).splitlines()[0]}"]
    if answer.reason not in ("solved", "stalled") or problem.n + problem.m > MOST_POLISHED:
        return []
    better = polished(problem, answer.x, answer.y, answer.z)
    answer.x, answer.y, answer.z = better.x, better.y, better.z
    if not better.steps:
        return []
    steps = f"{better.steps} Newton step{'' if better.steps == 1 else 's'}"
    return [f"then {steps} on what is active led from residuals of {better.before:.1g} to {better.after:.1g}"]


def _best(view: View, monitor: Monitor, reason: str, message: str) -> Answer:
    if monitor.best is None or monitor.best.x is None:
        return Answer(view.problem.x0.copy(), reason, f"{message}, the start", iterations=0)
    y, z = monitor.best_multipliers
    return Answer(np.array(monitor.best.x), reason, message, y, z, len(monitor.history) - 1)
