"""The fast path of optimizers: value and gradient at x by one native call, into memory made once.

Everything that a call needs stands in a workspace; a thread takes one that is free, or makes another. Where the native
call does not get through (a domain error, a block that needs more than Newton's method), there is no answer here and
the caller goes the careful way, which says what is wrong.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..execution.native.driver import CallList, drive, resumed
from ..expression import Array
from .compiled import CompiledPlan
from .evaluation import DeclaredState
from .forward import Start

LARGE = 1000
"""More inputs than this are read where they stand, and their gradient is written where the caller gets it."""


class Workspace:
    """The arrays of one evaluation at a time, and the argument of the driver for each list."""

    def __init__(self, compiled: CompiledPlan, declared: DeclaredState, n_inputs: int,
                 tapes: tuple[CallList, ...]) -> None:
        self.x, self.gradient = np.empty(n_inputs), np.empty(n_inputs)
        self.z = compiled.memory(declared.z)
        self.w = np.zeros(len(self.z))
        self.pointers = compiled.pointers(
            self.z, np.ones(len(declared.z), dtype=bool), declared.domain, w=self.w, x=self.x, gradient=self.gradient,
            lam=np.zeros(compiled.lowered.n_all_rows if compiled.block_steps else 0),
        )
        self._read = self.x
        self.calls = [tape.call(self.pointers) for tape in tapes]
        self.addresses = [call.ctypes.data for call in self.calls]

    def renew_gradient(self) -> None:
        """Other memory for the next gradient."""
        self.gradient = np.empty(len(self.gradient))
        self.pointers.point("gradient", self.gradient)

    def read_from(self, x: Array) -> None:
        """Where the next call finds the inputs."""
        if self._read is not x:
            self._read = x
            self.pointers.point("x", x)


class FastPath:
    """sign·J and its gradient as functions of x, for one plan and the declared values of one moment."""

    def __init__(self, compiled: CompiledPlan, declared: DeclaredState, inputs: Array, sign: float) -> None:
        self._compiled, self._declared, self._n = compiled, declared, len(inputs)
        self._sign, self._objective = sign, compiled.n_state
        self._tapes = compiled.value(inputs), compiled.value_and_gradient(inputs, sign)
        self._counts = [tape.count for tape in self._tapes]
        steps = compiled.block_steps
        self._unknowns = np.concatenate([step.user_columns for step in steps]) if steps else None
        self.start: Array | None = None
        self._free: list[Workspace] = []
        self._drive = drive()

    @property
    def needs_start(self) -> bool:
        """Whether cycles wait for the solution of a first point."""
        return self._unknowns is not None and self.start is None

    @property
    def is_explicit(self) -> bool:
        """Whether there is no cycle, so that a point does not depend on where a solve began."""
        return self._unknowns is None

    def declare(self, declared: DeclaredState) -> None:
        """Take other declared values; those that change later are told to ``give``."""
        self._declared = declared

    def give(self, where: slice) -> None:
        """Parameters of the declared state have changed: into the memory of every workspace."""
        for space in self._free:
            space.z[where] = self._declared.z[where]

    def from_last(self, begin: Start, start: Array) -> Start:
        """A start with the unknowns of cycles where a solve left them."""
        if self._unknowns is None:
            return begin
        z = begin.z.copy()
        z[self._unknowns] = start
        return replace(begin, z=z, started=np.ones(len(z), dtype=bool))

    def start_from(self, z: Array) -> None:
        """Take the unknowns of cycles from a solved state."""
        if self._unknowns is not None:
            self.start = z[self._unknowns]

    def value(self, x: Array) -> float | None:
        """sign·J, or None where the careful way must be gone."""
        done = self._run(x, 0)
        if done is None:
            return None
        value = self._sign * done.z.item(self._objective)
        self._free.append(done)
        return value if value == value else None

    def value_and_gradient(self, x: Array) -> tuple[float, Array] | None:
        """(sign·J, sign·dJ/dx), or None where the careful way must be gone."""
        done = self._run(x, 1)
        if done is None:
            return None
        value, gradient = self._sign * done.z.item(self._objective), done.gradient
        if self._n > LARGE:
            done.renew_gradient()  # the memory goes to the caller, the next call has some of its own
        else:
            gradient = gradient.copy()
        self._free.append(done)
        return (value, gradient) if value == value else None

    def _run(self, x: Array, which: int) -> Workspace | None:
        try:
            space = self._free.pop()
        except IndexError:
            space = Workspace(self._compiled, self._declared, self._n, self._tapes)
        if self._n > LARGE and x.flags.c_contiguous:
            space.read_from(x)
        else:
            space.read_from(space.x)
            space.x[:] = x
        if self._unknowns is not None:
            assert self.start is not None
            space.z[self._unknowns] = self.start
        at = self._drive(space.addresses[which])
        if at != self._counts[which] and not resumed(space.calls[which], at):
            self._free.append(space)
            return None
        if self._unknowns is not None:
            self.start = space.z[self._unknowns]
        return space
