"""Lists of calls prepared for optimizers: sparse derivatives written straight to their places, residuals, gradients.

Every number of a sparse matrix has a place; entries that are constant stand in a template, others are stored at their
place where they are alone there and added up where they are not. Memory of a call's own is kept for the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...expression import Array
from ...lowering import Group
from .. import prepared
from .driver import CallList, Pointers, Records, drive, resumed
from .loops import Frame, Into, pairs_of
from .records import begin_adjoint, begin_entries, clear, less_own, take_gradient

if TYPE_CHECKING:
    from .executor import CalledPart, LoopPart, NativeRun, TapePart

SMALL = 1000
"""Arrays up to this many numbers are copied to memory whose address is known, and from it."""
FLOAT = np.dtype(np.float64)


class Workspace:
    """The frame of one evaluation at a time: arrays of the caller as they were the last time, and memory of its own."""

    def __init__(self, tape: CallList, names: Sequence[str], sizes: Sequence[int], own: dict[str, Array]) -> None:
        self._names = names
        self._pointers = Pointers(**own)
        self._held: list[Any] = [np.empty(size) if size <= SMALL else None for size in sizes]
        self._copied = [size <= SMALL for size in sizes]
        for name, array in zip(names, self._held, strict=True):
            if array is not None:
                self._pointers.point(name, array)
        self._call, self._count = tape.call(self._pointers), tape.count
        self._address, self._drive = self._call.ctypes.data, drive()

    def run(self, given: Sequence[Array], out: Array | None, size: int) -> Array:
        """Run the list on arrays, the result to ``out``."""
        for i, array in enumerate(given):
            self._take(i, array)
        last = len(given)
        if self._copied[last]:
            self._go()
            if out is None:
                return self._held[last].copy()  # type: ignore[no-any-return]
            out[:] = self._held[last]
            return out
        result = np.empty(size) if out is None else out
        if not result.flags.c_contiguous:
            result = np.empty(size)
        self._take(last, result)
        self._go()
        if out is not None and out is not result:
            out[:] = result
            return out
        return result

    def _take(self, i: int, array: Array) -> None:
        """Let a pointer of the frame be that of an array, or of its copy."""
        if self._copied[i]:
            self._held[i][:] = array
        elif self._held[i] is not array:
            array = np.ascontiguousarray(array)
            self._held[i] = array
            self._pointers.point(self._names[i], array)

    def _go(self) -> None:
        at = self._drive(self._address)
        if at != self._count:
            resumed(self._call, at)


class Prepared:
    """A list of calls as a function of arrays of the caller, ``names`` by the names of :class:`Frame`, result last.

    ``own``: memory of each workspace by name, the numbers it begins with.
    """

    def __init__(self, records: Records, names: Sequence[str], size: int, own: dict[str, Array]) -> None:
        self._tape, self._names, self._size, self._own = CallList(records), names, size, own
        self._free: list[Workspace] = []

    def run(self, given: Sequence[Array], out: Array | None) -> Array:
        """The result for some arrays; raises nothing."""
        try:
            space = self._free.pop()
        except IndexError:
            own = {name: array.copy() for name, array in self._own.items()}
            space = Workspace(self._tape, self._names, [*map(len, given), self._size], own)
        out = space.run(given, out, self._size)
        self._free.append(space)
        return out


class Sums:
    """The entries of a Jacobian or Hessian added up by slot; complex arrays are the reference's."""

    def __init__(self, run: NativeRun, quantity: str, slot: Array, constant: Array) -> None:
        self._given = run, quantity, slot, constant
        self._quantity = quantity
        makers = _Jacobian if quantity == "jacobian" else _Hessian
        made = makers(run, slot, constant)
        names = ("z", "entries") if quantity == "jacobian" else ("z", "lam", "entries")
        own = {} if quantity == "jacobian" else {"scratch": np.empty(run.scratch)}
        self._calls = Prepared(made.records, names, len(constant), own)
        self._called = made.called

    def __reduce__(self) -> Any:
        return Sums, self._given

    @cached_property
    def _careful(self) -> prepared.Sums:
        run, quantity, slot, constant = self._given
        return prepared.Sums(run.reference, quantity, slot, constant)

    def __call__(self, *given: Array, out: Array | None = None) -> Array:
        """The sums at a state, with λ for second derivatives."""
        for array in given:
            if array.dtype is not FLOAT:
                return self._careful(*given, out=out)
        found = self._calls.run(given, out)
        for part, inside, slot in self._called:
            np.add.at(found, slot, getattr(part.reference, self._quantity)(*given)[inside])
        return found


class Residuals:
    """Σ φ of rows 0 … n − 1, less z[own] of some ``rows``."""

    def __init__(self, run: NativeRun, n: int, rows: Array, own: Array) -> None:
        from .executor import records_of

        self._given = run, n, rows, own
        self._careful = prepared.Residuals(run, n, rows, own)
        self._plain = not run.called
        records = clear(Frame.OUT, n)
        records.extend(records_of(run.parts, "values"))
        records.extend(less_own(rows, own))
        self._calls = Prepared(records, ("z", "out"), n, {})

    def __reduce__(self) -> Any:
        return Residuals, self._given

    def __call__(self, z: Array, out: Array | None = None) -> Array:
        """Σ φ − z[own]."""
        if self._plain and z.dtype is FLOAT:
            return self._calls.run((z,), out)
        return self._careful(z, out=out)


class Gradient:
    """∂(row 0)/∂z at some ``columns`` of a state of ``size`` elements."""

    def __init__(self, run: NativeRun, size: int, columns: Array) -> None:
        from .executor import records_of

        self._given = run, size, columns
        self._careful = prepared.Gradient(run, size, columns)
        self._plain = not run.called
        records = begin_adjoint(size, 0, 0.0) if size else Records()
        records.extend(records_of(run.parts, "adjoint"))
        records.extend(take_gradient(columns))
        self._calls = Prepared(records, ("z", "gradient"), len(columns), {"lam": np.ones(1), "w": np.zeros(size)})

    def __reduce__(self) -> Any:
        return Gradient, self._given

    def __call__(self, z: Array, out: Array | None = None) -> Array:
        """∂(Σ φ)/∂z[columns]."""
        if self._plain and z.dtype is FLOAT:
            return self._calls.run((z,), out)
        return self._careful(z, out=out)


class _Places:
    """What becomes of the entries of every part: calls, and what is left to Python of users' functions."""

    quantity = ""

    def __init__(self, run: NativeRun, slot: Array, constant: Array) -> None:
        from .executor import CalledPart, TapePart, first_entries

        self.template, self._slot = constant.copy(), slot
        self._first = first_entries(run.parts, self.quantity)[0]
        self._occupied = constant != 0.0
        self.called = [self._left_to_python(part) for part in run.called]
        tapes = [(part, [*self.on_tape(part)]) for part in run.parts
                 if isinstance(part, TapePart) and not isinstance(part, CalledPart)]
        loops = [(loop, [*self.in_loop(loop)]) for part in run.parts
                 if not isinstance(part, TapePart) for loop in part.loops]
        columns = [*(c for _, found in tapes for c in found), *(c for _, found in loops for c in found)]
        sent = [slots[slots >= 0] for _, slots in columns]
        counts = np.bincount(np.concatenate([np.empty(0, dtype=slot.dtype), *sent]), minlength=len(constant))
        many = counts + self._occupied > 1
        self.records = begin_entries(self.template)
        for loop, goals in loops:
            self.records.extend(loop.sums(f"{self.quantity}_sums", *_goals(goals, many)))
        for part, numbers in tapes:
            if numbers:
                self.records.extend(part.sums(self.quantity, *zip(*numbers, strict=True)))

    def slots(self, order: int, number: int, size: int) -> Array:
        """Where the entries of some number of a group go, by its order among the groups."""
        first = self._first[order] + number * size
        return self._slot[first : first + size]

    def fixed(self, slots: Array, value: float) -> None:
        """Entries that are constant."""
        inside = slots[slots >= 0]
        np.add.at(self.template, inside, value)
        self._occupied[inside] = True

    def _left_to_python(self, part: CalledPart) -> tuple[CalledPart, Array, Array]:
        from .executor import entries_of

        first = self._first[part.orders[0]]
        slots = self._slot[first : first + entries_of(part.group, self.quantity)]
        inside = np.flatnonzero(slots >= 0)
        return part, inside, slots[inside]

    def on_tape(self, part: TapePart) -> Iterator[tuple[int, Array]]:
        """(argument, or number of a second partial, slots) of what the tape is to compute."""
        raise NotImplementedError

    def in_loop(self, part: LoopPart) -> Iterator[tuple[tuple[int, int], Array]]:
        """What a loop is to send, as :class:`Into` has it, and where."""
        raise NotImplementedError


def _goals(columns: Sequence[tuple[tuple[int, int], Array]], many: Array) -> tuple[list[Into], list[Array]]:
    """What a loop is to send, and where: stored where nothing else goes."""
    goals = []
    for of, slots in columns:
        partly = bool((slots < 0).any())
        alone = not many[slots[slots >= 0] if partly else slots].any()
        goals.append(Into(of, alone, partly))
    return goals, [slots for _, slots in columns]


class _Jacobian(_Places):
    quantity = "jacobian"

    def _columns(self, group: Group, order: int) -> Iterator[tuple[int, Array]]:
        """The arguments of a group whose entries are to be computed, and where they go; constants are done here."""
        partials = group.kernel.partials
        live = [j for j in range(group.kernel.n_args) if not partials.is_zero(j)]
        for number, j in enumerate(live):
            slots = self.slots(order, number, group.size)
            node = partials.nodes[partials.outputs[j]]
            if node[0] == "const":
                self.fixed(slots, node[1])
            elif (slots >= 0).any():
                yield j, slots

    def on_tape(self, part: TapePart) -> Iterator[tuple[int, Array]]:
        return self._columns(part.group, part.orders[0])

    def in_loop(self, part: LoopPart) -> Iterator[tuple[tuple[int, int], Array]]:
        for member, (group, order) in enumerate(zip(part.groups, part.orders, strict=True)):
            for j, slots in self._columns(group, order):
                yield (member, j), slots


class _Hessian(_Places):
    quantity = "hessian"

    def _columns(self, group: Group, order: int, number: int) -> Iterator[Array]:
        """Where the entries of a second partial go, and those once more that count twice: off the kernel's diagonal,
        but on that of the matrix."""
        slots, (i, j) = self.slots(order, number, group.size), group.kernel.second_partials[1][number]
        if not (slots >= 0).any():
            return
        yield slots
        if i != j:
            again = np.where(group.args[i].array().ravel() == group.args[j].array().ravel(), slots, -1)
            if (again >= 0).any():
                yield again.astype(slots.dtype)

    def on_tape(self, part: TapePart) -> Iterator[tuple[int, Array]]:
        for number in range(len(part.group.kernel.second_partials[1])):
            for slots in self._columns(part.group, part.orders[0], number):
                yield number, slots

    def in_loop(self, part: LoopPart) -> Iterator[tuple[tuple[int, int], Array]]:
        for pair, (member, number) in pairs_of(part.kernels, part.box).items():
            columns = self._columns(part.groups[member], part.orders[member], number)
            for slots in [*columns][: 1 if pair[0] == pair[1] else 2]:  # what is one argument the loop has doubled
                yield pair, slots
