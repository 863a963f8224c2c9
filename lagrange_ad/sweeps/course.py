"""Following a branch of solutions through given values: each solve starts from the last good point.

    z_guess = z_last + s·(z_last − z_before),   v − v_last = s·(v_last − v_before)     where values go on in a line

Where a solve fails, the way from the last good values to the wanted ones is gone in parts, halved until they work.
Takes a plan and the values of some state elements; writes states, or why there are none, into a ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..errors import LagrangeError, SingularError
from ..expression import Array
from ..program import Declarations
from ..solution import Plan, Point, plan_of
from ..solution.diagnosis.failure import failure
from ..solution.evaluation import declared_state, starting_state
from ..solution.forward import Solved, Start, propagate
from ..solution.full import completed
from ..solution.multipliers import adjoints
from ..text import number
from .ledger import NOT_RUN, SOLVED, Ledger

CURVED = 0.1
"""Values that turn by more than this part of their step are not gone on along a line."""
FARTHEST = 2.0
"""The longest extrapolation, in steps."""

NEARBY = 15
"""A solve on the way in parts that needs more iterations than this is none that follows a branch."""
SMALLEST = 2.0**-10
"""A way is not gone in parts smaller than this."""


@dataclass(frozen=True, eq=False)
class Place:
    """Values at which the equations are solved, and the user's state there."""

    values: Array
    state: Array


@dataclass(frozen=True, eq=False)
class Recipe:
    """How a sweep follows its branch; small, and to be sent to other processes.

    ``columns`` are the state elements that are swept; ``scale`` says how much each of them changes over the sweep.
    ``start``: starts of variables by name. ``begin``: a place to come from. ``parts``: so many solves may be
    spent on the way between two points. ``gradients``: whether multipliers are computed along the way.
    """

    columns: Array
    scale: Array
    start: Mapping[str, Any] = field(default_factory=dict)
    begin: Place | None = None
    max_iterations: int = 200
    parts: int = 32
    gradients: bool = False


class Course:
    """A program on its way through values of some of its elements."""

    def __init__(self, program: Declarations, recipe: Recipe) -> None:
        self.plan, self.recipe = plan_of(program), recipe
        self._declared = declared_state(program, self.plan)
        lowered = self.plan.lowered
        self.n_user = lowered.n_user
        self._unknown = self.plan.unknown[: lowered.n_user]
        self._base = self._declared.filled({})
        self._everywhere = np.ones(lowered.state.size, dtype=bool)
        self._offset = np.zeros(lowered.n_all_rows)
        self._home: Place | None = recipe.begin

    def empty_ledger(self, n_points: int) -> Ledger:
        """A ledger for points of this program."""
        return Ledger.empty(n_points, self.n_user, self.plan.lowered.n_user_rows, self.recipe.gradients)

    # the way ---------------------------------------------------------------------------------------------------------

    def go(self, values: Array, order: Array, ledger: Ledger, stop: Callable[[], bool]) -> Iterator[int]:
        """Solve the points that have not been run, in order; gives the number of each when it is in the ledger.

        ``values`` (points, elements). What is in the ledger already is gone on from, so that a way that was interrupted
        ends in what it would have been.
        """
        last: Place | None = None
        before: Place | None = None
        wall: Array | None = None  # the first values that could not be come to from the last good place
        for point in order.tolist():
            if ledger.status[point] == NOT_RUN:
                if stop():
                    return
                self._enter(ledger, point, values[point], last, before, wall)
                yield point
            if ledger.status[point] == SOLVED:
                last, before, wall = Place(values[point], ledger.states[point]), last, None
            elif wall is None:
                wall = values[point]

    def _enter(self, ledger: Ledger, point: int, values: Array, last: Place | None, before: Place | None,
               wall: Array | None) -> None:
        """Solve one point and write what came of it."""
        try:
            solved, why = self._reach(values, last, before, wall)
            if solved is not None:
                lam, w = pulled_back(self.plan, solved) if self.recipe.gradients else (None, None)
        except Exception as error:  # a user's function may raise anything, and one point is not the sweep
            if isinstance(error, LagrangeError) and not hasattr(error, "at"):
                raise  # bad input, the same at every point
            solved, why = None, f"{type(error).__name__}: {error}"
        if solved is None:
            ledger.failed(point, why)
            return
        ledger.states[point] = solved.z[: self.n_user]
        if ledger.lam is not None and ledger.w is not None and lam is not None:
            ledger.lam[point], ledger.w[point] = lam, w
        ledger.status[point] = SOLVED

    def _reach(self, values: Array, last: Place | None, before: Place | None,
               wall: Array | None) -> tuple[Solved | None, str]:
        """The solution at some values, or why there is none."""
        if last is None:
            start = self._first_start(values)
            solved = self._solve(start)
            if solved.failed is None:
                return solved, ""
            last = self._from_home()
            if last is None:
                return None, self._why(solved)
        else:
            guess = self._guess(values, last, before)
            solved = self._solve(self._start_at(values, last.state if guess is None else guess))
            if solved.failed is not None and guess is not None:
                solved = self._solve(self._start_at(values, last.state))
            if solved.failed is None:
                return solved, ""
        if wall is not None and self._is_behind(values, wall, last.values):
            return None, f"{self._why(solved)}\n  it lies behind a point that the branch does not reach"
        reached, share, spent = self._approach(values, last)
        if reached is not None:
            return reached, ""
        return None, f"{self._why(solved)}\n  {self._how_far(last.values, values, share, spent)}"

    def _approach(self, values: Array, last: Place) -> tuple[Solved | None, float, int]:
        """Go to some values in parts: the solution, what share of the way was gone, and the solves spent."""
        origin, here, behind = last.values, last, None
        share, part = 0.0, 0.5
        spent, limit = 0, min(NEARBY, self.recipe.max_iterations)
        while spent < self.recipe.parts and part >= SMALLEST:
            spent += 1
            aim = min(share + part, 1.0)
            at = values if aim == 1.0 else origin + aim * (values - origin)
            guess = self._guess(at, here, behind)
            solved = self._solve(self._start_at(at, here.state if guess is None else guess), limit)
            if solved.failed is not None:
                part /= 2.0
                continue
            if aim == 1.0:
                return solved, 1.0, spent
            here, behind = Place(at, solved.z[: self.n_user]), here
            share, part = aim, 2.0 * part
        return None, share, spent

    def _guess(self, values: Array, last: Place, before: Place | None) -> Array | None:
        """The state that the last two places point at; None where they do not, or point out of a domain."""
        if before is None:
            return None
        step, ahead = (last.values - before.values) / self.recipe.scale, (values - last.values) / self.recipe.scale
        square = float(step @ step)
        share = float(step @ ahead) / square if square > 0.0 else 0.0
        if not 0.0 < share <= FARTHEST or np.abs(ahead - share * step).max() > CURVED * np.abs(ahead).max():
            return None
        guess = last.state + share * (last.state - before.state)
        low, high = (end[: self.n_user] for end in self._declared.domain)
        inside = np.isfinite(guess) & (((guess > low) & (guess < high)) | ~self._unknown)
        return guess if inside.all() else None

    def _is_behind(self, values: Array, wall: Array, origin: Array) -> bool:
        """Whether the straight way from the origin to some values leads through the wall."""
        step, ahead = (wall - origin) / self.recipe.scale, (values - origin) / self.recipe.scale
        square = float(step @ step)
        share = float(step @ ahead) / square if square > 0.0 else 0.0
        return share >= 1.0 and bool(np.abs(ahead - share * step).max() <= 1e-9 * np.abs(ahead).max())

    def _from_home(self) -> Place | None:
        """The place that a first point may be come to from: a given one, or the program as it is declared."""
        if self._home is None:
            solved = self._solve(self._first_start(self._base[self.recipe.columns]))
            if solved.failed is None:
                self._home = Place(self._base[self.recipe.columns], solved.z[: self.n_user].copy())
        return self._home

    # one point -------------------------------------------------------------------------------------------------------

    def _first_start(self, values: Array) -> Start:
        """Where the solve of a point begins that follows no other."""
        if self.recipe.begin is not None:
            return self._start_at(values, self.recipe.begin.state)
        z = self._declared.z.copy()
        z[self.recipe.columns] = values
        return starting_state(self.plan, replace(self._declared, z=z), {}, self.recipe.start, {})

    def _start_at(self, values: Array, guess: Array) -> Start:
        """Where a solve begins that has a guess of the user's state."""
        z = self._base.copy()
        z[: self.n_user][self._unknown] = guess[self._unknown]
        z[self.recipe.columns] = values
        return Start(z, self._everywhere, self._declared.domain, self._offset)

    def _solve(self, start: Start, limit: int | None = None) -> Solved:
        return propagate(self.plan, start, self.recipe.max_iterations if limit is None else limit)

    def _why(self, solved: Solved) -> str:
        return str(failure(self.plan, solved, Point(self.plan, solved)))

    def _how_far(self, origin: Array, values: Array, share: float, spent: int) -> str:
        element = self.plan.lowered.state.element
        reached = origin + share * (values - origin)
        at = ", ".join(f"{element(column)} = {number(value)}" for column, value in
                       list(zip(self.recipe.columns.tolist(), reached.tolist(), strict=True))[:4])
        return f"from the last good point the branch was followed to {at}, in {spent} solves"


def solved_state(plan: Plan, state: Array) -> Solved:
    """What :class:`Point` is made of, from the user's part of a state at which the equations hold."""
    return Solved(completed(plan, state), np.zeros(plan.lowered.n_all_rows))


def pulled_back(plan: Plan, solved: Solved) -> tuple[Array, Array]:
    """(λ of the user's rows, dJ/dz of the user's given elements, 0 of the others); NaN where it is singular."""
    lowered = plan.lowered
    lam = np.zeros(lowered.n_all_rows)
    lam[lowered.objective_row] = 1.0
    try:
        lam, w = adjoints(plan, solved, lam)
    except SingularError:
        return np.full(lowered.n_user_rows, np.nan), np.full(lowered.n_user, np.nan)
    return lam[: lowered.n_user_rows], np.where(plan.unknown[: lowered.n_user], 0.0, w[: lowered.n_user])
