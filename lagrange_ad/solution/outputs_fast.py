"""The fast path of functions: outputs at given inputs by one native call, into memory that a thread keeps.

Every call begins from the declared values and starts, so that what it gives does not depend on the calls before it.
Where the native call does not get through, there is no answer here and the caller goes the careful way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..execution.native.driver import CallList, drive, resumed
from ..expression import Array
from .compiled import CompiledPlan
from .evaluation import DeclaredState
from .forward import Solved


class Tape:
    """The native calls of one function, and which unknowns each begins anew."""

    def __init__(self, compiled: CompiledPlan, inputs: Array) -> None:
        self.compiled, self.inputs = compiled, inputs
        self.calls: CallList = compiled.outputs(inputs)
        steps = compiled.block_steps
        self.unknowns = np.concatenate([step.user_columns for step in steps]) if steps else None


class Workspace:
    """The memory of one thread for one tape and the declared values of one moment.

    ``x`` is where the inputs are written before ``run``; ``z`` is the state after it, outputs after its end.
    """

    def __init__(self, tape: Tape, declared: DeclaredState) -> None:
        compiled = tape.compiled
        self.declared, self._compiled, self._unknowns = declared, compiled, tape.unknowns
        self.x = np.empty(len(tape.inputs))
        self.z = compiled.memory(declared.z)
        self._starts = declared.z[tape.unknowns] if tape.unknowns is not None else None
        self._pointers = compiled.pointers(
            self.z, declared.started, declared.domain, x=self.x,
            lam=np.zeros(compiled.lowered.n_all_rows if compiled.block_steps else 0),
        )
        self._call = tape.calls.call(self._pointers)
        self._address, self._count, self._drive = self._call.ctypes.data, tape.calls.count, drive()
        self._last, self._holds = np.empty_like(self.x), False
        self.memory: dict[str, Any] = {}

    @property
    def is_done(self) -> bool:
        """Whether the state is that of x already."""
        return self._holds and bool((self._last == self.x).all())

    def run(self) -> bool:
        """Compute the state and the outputs from x; False where the careful way must be gone."""
        self._holds = False
        if self._unknowns is not None:
            self.z[self._unknowns] = self._starts
        at = self._drive(self._address)
        if at != self._count and not resumed(self._call, at):
            return False
        self._last[:] = self.x
        self._holds = True
        return True

    def solved(self) -> Solved:
        """The state of the last run, as what derivatives are taken at; good until the next."""
        known: Solved | None = self.memory.get("solved")
        if known is None:
            n = self._compiled.n_state
            known = self.memory["solved"] = Solved(self.z[:n], self._compiled.no_offset, [], whole=self.z)
        return known
