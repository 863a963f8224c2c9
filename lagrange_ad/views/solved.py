"""The points of a view: what it eliminates solved at x, and J with its gradient there, by one native call where it can.

Each solve starts from the last one that succeeded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..expression import Array
from ..program import Declarations
from ..solution import Plan, Point
from ..solution.evaluation import DeclaredState, lay_out, solve_from, start_at
from ..solution.steps import BlockStep
from .space import everything_solved
from .variables import Variables

if TYPE_CHECKING:
    from ..solution.fast import FastPath


class Solved(Variables):
    """The objective as a function of x."""

    def __init__(self, program: Declarations, eliminate: Any = "all",
                 perturbation: Mapping[str, Any] | None = None) -> None:
        super().__init__(program, eliminate, perturbation)
        self.has_cycles = any(isinstance(step, BlockStep) for step in self._plan.steps)
        self._last: tuple[Array, Point] | None = None
        self._state: Array | None = None
        self.changes = 0
        """How often ``set`` has changed parameters."""
        self._fast = self._make_fast()

    def point(self, x: Array) -> Point:
        """The evaluated point at x. Raises as ``Program.evaluate`` does."""
        flat, last = self._checked(x), self._last
        if last is not None and np.array_equal(flat, last[0]):
            return last[1]  # optimizers ask for value, gradient and constraints one after the other
        point = self._solve(self._declared, flat, self.start)
        self._last = flat.copy(), point
        if self._fast is not None:
            self._fast.start_from(point.state)
        elif self.has_cycles:
            self._state = point.state
        return point

    def declared_point(self, x: Array, start: Array | None = None) -> Point:
        """The point at x with the parameters as declared, its cycles solved from ``start`` (one that ``start`` gave).

        Nothing of the view changes. Raises as ``Program.evaluate`` does.
        """
        return self._solve(self._original, self._checked(x), start)

    def solved_point(self, x: Array) -> Point:
        """The point with every equation solved that determines something, at the decisions in x; its solve begins at x.

        Raises as ``Program.evaluate`` does. It has the multipliers of the equations with the decisions held.
        """
        if self.space.name == "reduced":
            return self.point(x)
        plan, declared = self._everything
        z, state = declared.filled({}), self.point(x).state
        z[: plan.lowered.n_user] = state[: plan.lowered.n_user]
        return solve_from(plan, start_at(plan, declared, z, declared.started | plan.unknown))

    @cached_property
    def _everything(self) -> tuple[Plan, DeclaredState]:
        """The plan that solves all that is determined, and its declared state."""
        space = everything_solved(self.space)
        declared = lay_out(space.plan)
        if self._original.offset is not None:
            own = self._original.offset[self.space.arranged.row]
            offset = np.zeros(space.plan.lowered.n_all_rows)
            offset[space.arranged.row] = own
            declared = replace(declared, offset=offset)
        return space.plan, declared

    def _solve(self, declared: DeclaredState, flat: Array, start: Array | None) -> Point:
        z = declared.filled(self.split(flat)) if declared.computed else declared.z.copy()
        z[self._places] = flat
        started = declared.started
        if start is not None and self._fast is None:
            z[self._plan.unknown], started = start[self._plan.unknown], self._plan.unknown
        begin = start_at(self._plan, declared, z, started)
        if start is not None and self._fast is not None:
            begin = self._fast.from_last(begin, start)
        return solve_from(self._plan, begin)

    @property
    def start(self) -> Array | None:
        """Where the next solve of the cycles begins, as numbers to keep and give back; None: at the declared starts."""
        return self._fast.start if self._fast is not None else self._state

    @start.setter
    def start(self, start: Array | None) -> None:
        self._last = None
        if self._fast is not None:
            self._fast.start = start
        else:
            self._state = start

    def set(self, values: Mapping[Any, Any] | None = None, /, **named: Any) -> None:
        """Change parameters for this view alone, all or none; nothing is rebuilt, the program keeps its own.

        Raises UnknownNameError for a name that is no parameter, ShapeError and DeclarationError for a value that is not
        what was declared. Not while another thread evaluates the view.
        """
        new = [self._parameter(key, value) for key, value in {**(values or {}), **named}.items()]
        if self._declared is self._original:
            self._declared = replace(self._original, z=self._original.z.copy())
            if self._fast is not None:
                self._fast.declare(self._declared)
        for name, value in new:
            where = self._plan.lowered.state.slices[name]
            self._declared.z[where] = value.ravel()
            if self._fast is not None:
                self._fast.give(where)
        self._last = None
        self.changes += 1

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_fast": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._fast = self._make_fast()

    def value(self, x: Array) -> float:
        """sign·J(x)."""
        if self._fast is not None and self._is_flat(x):
            found = self._fast.value(x)
            if found is not None:
                self._last = self._last if self._fast.is_explicit else None
                return found
        return self.sign * self.point(x).objective

    def gradient(self, x: Array) -> Array:
        """sign·dJ/dx, flat."""
        return self.gradient_at(self.point(x))

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """(sign·J, sign·dJ/dx) by one solve and one back-substitution."""
        if self._fast is not None and self._is_flat(x):
            found = self._fast.value_and_gradient(x)
            if found is not None:
                self._last = self._last if self._fast.is_explicit else None
                return found
        point = self.point(x)
        return self.sign * point.objective, self.gradient_at(point)

    def _make_fast(self) -> FastPath | None:
        """The native path, for plans that never need Python and whose starts are numbers."""
        compiled = self._plan.compiled
        if compiled is None or self._declared.computed or not compiled.is_whole or self._declared.offset is not None:
            return None
        from ..solution.fast import FastPath

        return FastPath(compiled, self._declared, self._places, self.sign)

    def _is_flat(self, x: Any) -> bool:
        """Whether x is as it should be, and cycles have a solution to start from."""
        assert self._fast is not None
        return type(x) is np.ndarray and x.shape == self._x0.shape and x.dtype == np.float64 and (
            not self._fast.needs_start)

    def gradient_at(self, point: Point) -> Array:
        """sign·dJ/dx of an evaluated point, flat."""
        found: Array = self.sign * point.adjoints[1][self._places]
        return found
