"""Loops over the instances of a group: one compiled function a kernel, quantity and way its maps move.

The innermost axis is walked ``width`` instances at a time with explicit vectors, the rest of it one by one.
Contributions that may meet (a table, a stride, a broadcast) are added lane by lane or summed in a register first, so
that instances which share a parent add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from ...lowering import Kernel
from .emit import Emitter
from .engine import FRAME
from .host import Host
from .ir import Function, literal, vector_type
from .maps import Box, Mode, Slots


class Frame(IntEnum):
    """The pointers of one evaluation, in the order of its frame."""

    Z = 0
    OUT = 1
    LAM = 2
    W = 3
    DZ = 4
    ENTRIES = 5
    OFFSET = 6
    LOW = 7
    HIGH = 8
    STARTED = 9
    ITERATIONS = 10
    LIMIT = 11
    SCRATCH = 12
    X = 13
    GRADIENT = 14


WITH_ENTRIES = ("jacobian", "hessian")
ALIASES = {Frame.OUT: Frame.Z, Frame.LAM: Frame.W}
"""In state space a row is the state element it computes: values are added to the state, multipliers are adjoints."""


def part_of(part: Frame, in_state: bool) -> Frame:
    """The pointer that stands for ``part``, in state space or not."""
    return ALIASES.get(part, part) if in_state else part


@dataclass(frozen=True)
class Into:
    """Where a sparse derivative goes, by the box's target of the same place in a list of these.

    ``of``: (a group, which of its arguments), or a pair of the box's arguments for second derivatives. ``alone``: no
    other number goes to any of these places, so it is stored. ``partly``: some places are −1, of numbers left out.
    """

    of: tuple[int, int]
    alone: bool
    partly: bool


def loop_function(kernels: Sequence[Kernel], box: Box, quantity: str, host: Host, in_state: bool = False,
                  into: Sequence[Into] = ()) -> Function:
    """The function of one quantity of groups that share a box, whose record it takes. ``in_state``: rows are state
    elements. ``into``: where the numbers of ``jacobian_sums`` and ``hessian_sums`` go."""
    return _Loop(kernels, box, quantity, host, in_state, into).write()


@dataclass(eq=False)
class _Map:
    """One map inside the loops: its number in the record, its mode, and the values of the present inner loop."""

    number: int
    mode: Mode
    base: str = ""
    stride: str = ""
    place: str = ""
    held: str = ""


@dataclass
class _Sum:
    """A contribution that is summed in registers along the innermost axis, then added to one place."""

    address: str
    vector: str
    scalar: str


@dataclass(eq=False)
class _Group:
    """One group inside the loops: its kernel, that of the quantity, and its maps."""

    kernel: Kernel
    of_quantity: Kernel
    args: list[_Map]
    row: _Map
    coefs: list[_Map]
    entry: _Map

    @property
    def live(self) -> list[int]:
        """The arguments with a derivative."""
        return [j for j in range(self.kernel.n_args) if not self.kernel.partials.is_zero(j)]


class _Loop:
    def __init__(self, kernels: Sequence[Kernel], box: Box, quantity: str, host: Host, in_state: bool,
                 into: Sequence[Into]) -> None:
        self.quantity, self.host, self.in_state = quantity, host, in_state
        self.f = Function("loop", FRAME)
        self.slots, self.axes = Slots(len(box.shape)), len(box.shape)
        self.args = [_Map(j, mode) for j, mode in enumerate(box.args)]
        self.groups = [
            _Group(kernel, _kernel_of(kernel, quantity), [self.args[j] for j in member.args], _Map(*member.row),
                   [_Map(*c) for c in member.coefs], _Map(*member.entry))
            for kernel, member in zip(kernels, box.members, strict=True)
        ]
        self.coefs = [c for group in self.groups for c in group.coefs]
        self.maps = [*self.args, *self.coefs, *(group.row for group in self.groups)]
        self.into = [(goal, _Map(*target)) for goal, target in zip(into, box.targets, strict=True)]
        self.maps += [m for _, m in self.into]
        if quantity in WITH_ENTRIES:
            self.maps += [group.entry for group in self.groups]
        self.nowhere = self.f.slot("double") if any(goal.partly for goal in into) else ""
        self.sums: dict[tuple[Frame, int], _Sum] = {}
        self.pointer: dict[Frame, str] = {}

    def write(self) -> Function:
        f = self.f
        for part in _POINTERS[self.quantity]:
            self.pointer[part] = f.pointer("%frame", part_of(part, self.in_state))
        for m in self.maps:
            m.base = f.word("%data", self.slots.base(m.number))
            if m.mode == "s":
                m.stride = f.word("%data", self.slots.stride(m.number, self.axes - 1))
        if self.quantity in WITH_ENTRIES:
            self.count = f.word("%data", self.slots.size(0))
            for axis in range(1, self.axes):
                self.count = f.mul(self.count, f.word("%data", self.slots.size(axis)))
        self._outer(0, [])
        f.finish()
        return f

    def _outer(self, axis: int, indices: list[str]) -> None:
        if axis == self.axes - 1:
            self._inner(indices)
            return
        with self.f.loop(0, self.f.word("%data", self.slots.size(axis))) as i:
            self._outer(axis + 1, [*indices, i])

    def _inner(self, indices: list[str]) -> None:
        f = self.f
        size = f.word("%data", self.slots.size(self.axes - 1))
        for m in self.maps:
            self._enter(m, indices)
        self._open_sums()
        whole = f.do(f"and i64 {size}, {-self.host.width}")
        with f.loop(0, whole, self.host.width) as k:
            self._body(k, self.host.width)
        with f.loop(whole, size) as k:
            self._body(k, 1)
        self._close_sums()

    def _enter(self, m: _Map, indices: list[str]) -> None:
        """Where a map stands at the first instance of an inner loop; what does not move is loaded once."""
        f, coefficient = self.f, m in self.coefs
        place = "0" if coefficient or m.mode == "t" else m.base
        for axis, i in enumerate(indices):
            place = f.add(place, f.mul(i, f.word("%data", self.slots.stride(m.number, axis))))
        m.place = place
        if coefficient or m.mode == "t":
            m.held = f.do(f"inttoptr i64 {m.base} to ptr")
        if m.mode == "c" and (coefficient or m in self.args):
            m.held = f.load(f.at(m.held if coefficient else self.pointer[Frame.Z], place))
        if m.mode == "c" and any(m is group.row for group in self.groups) and Frame.LAM in self.pointer:
            m.held = f.load(f.at(self.pointer[Frame.LAM], place))

    # inside the innermost loop -----------------------------------------------------------------------------

    def _body(self, k: str, width: int) -> None:
        """All groups' outputs first (what they share is computed once), then where they go; sums for w go last."""
        values = {m.number: self._read(Frame.Z, m, k, width) for m in self.args}
        emitter = Emitter(self.f, self.host, width)
        outputs = []
        for group in self.groups:
            coefs = [self._read_coefficient(m, k, width) for m in group.coefs]
            outputs.append(emitter.kernel(group.of_quantity, [values[m.number] for m in group.args], coefs))
        self.gathered: dict[int, str] = {}
        self.paired: dict[tuple[int, int], str] = {}
        for group, found in zip(self.groups, outputs, strict=True):
            getattr(self, f"_{self.quantity}")(group, found, k, width)
        for number, total in self.gathered.items():
            self._add(Frame.W, self.args[number], total, k, width)
        for pair, total in self.paired.items():
            self._send(pair, total, k, width)

    def _indices(self, m: _Map, k: str, width: int) -> list[str]:
        """The positions of each lane."""
        f, lanes = self.f, []
        for lane in range(width):
            at = f.add(k, lane)
            if m.mode == "t":
                lanes.append(f.index(m.held, f.add(m.place, at)))
            elif m.mode == "c":
                lanes.append(m.place)
            else:
                lanes.append(f.add(m.place, at if m.mode == "u" else f.mul(at, m.stride)))
        return lanes

    def _read(self, part: Frame, m: _Map, k: str, width: int) -> str:
        f, base = self.f, self.pointer[part]
        if m.mode == "c":
            held = m.held if part in (Frame.Z, Frame.LAM) else f.load(f.at(base, m.place))
            return f.broadcast(held, width)
        if m.mode == "u":
            return f.load(f.at(base, f.add(m.place, k)), vector_type(width))
        return f.packed([f.load(f.at(base, i)) for i in self._indices(m, k, width)])

    def _read_coefficient(self, m: _Map, k: str, width: int) -> str:
        f = self.f
        if m.mode == "c":
            return f.broadcast(m.held, width)
        if m.mode == "u":
            return f.load(f.at(m.held, f.add(m.place, k)), vector_type(width))
        return f.packed([f.load(f.at(m.held, i)) for i in self._indices(m, k, width)])

    def _add(self, part: Frame, m: _Map, value: str, k: str, width: int) -> None:
        """part[m] += value, lane by lane where lanes may meet."""
        f, kind = self.f, vector_type(width)
        if m.mode == "c":
            total = self.sums[part, m.number]
            slot = total.vector if width > 1 else total.scalar
            f.store(f.do(f"fadd contract {kind} {f.load(slot, kind)}, {value}"), slot, kind)
        elif m.mode == "u":
            address = f.at(self.pointer[part], f.add(m.place, k))
            f.store(f.do(f"fadd contract {kind} {f.load(address, kind)}, {value}"), address, kind)
        else:
            for i, lane in zip(self._indices(m, k, width), f.lanes(value, width), strict=True):
                f.increase(f.at(self.pointer[part], i), lane)

    def _open_sums(self) -> None:
        f = self.f
        self.sums = {}
        for part, m in self._targets():
            if m.mode == "c":
                place, width = m.place, self.host.width
                address = f.at(self.pointer[part], place)
                vector = f.variable(vector_type(width), "zeroinitializer" if width > 1 else literal(0.0))
                self.sums[part, m.number] = _Sum(address, vector, f.variable("double", literal(0.0)))

    def _close_sums(self) -> None:
        f, width = self.f, self.host.width
        for total in self.sums.values():
            lanes = f.total(f.load(total.vector, vector_type(width)), width)
            f.increase(total.address, f.do(f"fadd double {lanes}, {f.load(total.scalar)}"))

    def _targets(self) -> list[tuple[Frame, _Map]]:
        """What the quantity adds to."""
        rows = [(Frame.OUT, group.row) for group in self.groups]
        args = {m.number: (Frame.W, m) for group in self.groups for m in (group.args[j] for j in group.live)}
        match self.quantity:
            case "values" | "tangent":
                return rows
            case "adjoint" | "hessian_product":
                return list(args.values())
            case "value_adjoint":
                return [*rows, *args.values()]
        return [(Frame.ENTRIES, m) for goal, m in self.into if not (goal.alone or goal.partly)]

    # the quantities ----------------------------------------------------------------------------------------

    def _times(self, a: str, b: str, width: int) -> str:
        return self.f.do(f"fmul contract {vector_type(width)} {a}, {b}")

    def _plus(self, a: str | None, b: str, width: int) -> str:
        return b if a is None else self.f.do(f"fadd contract {vector_type(width)} {a}, {b}")

    def _weighted(self, group: _Group, weight: str, partial: str, width: int) -> str:
        """weight·partial; 0 where a selection made the partial 0: no ∞·0 of the branch not taken."""
        product = self._times(weight, partial, width)
        return self.f.unless_zero(partial, product, width) if group.kernel.selects else product

    def _gather(self, m: _Map, value: str, width: int) -> None:
        """Something for w[m]: what several groups have for one argument is added once."""
        self.gathered[m.number] = self._plus(self.gathered.get(m.number), value, width)

    def _values(self, group: _Group, outputs: list[str], k: str, width: int) -> None:
        self._add(Frame.OUT, group.row, outputs[0], k, width)

    def _store_values(self, group: _Group, outputs: list[str], k: str, width: int) -> None:
        f, row = self.f, group.row
        if row.mode == "u":
            f.store(outputs[0], f.at(self.pointer[Frame.OUT], f.add(row.place, k)), vector_type(width))
            return
        for i, lane in zip(self._indices(row, k, width), f.lanes(outputs[0], width), strict=True):
            f.store(lane, f.at(self.pointer[Frame.OUT], i))

    def _adjoint(self, group: _Group, outputs: list[str], k: str, width: int) -> None:
        multiplier = self._read(Frame.LAM, group.row, k, width)
        for j in group.live:
            self._gather(group.args[j], self._weighted(group, multiplier, outputs[j], width), width)

    def _value_adjoint(self, group: _Group, outputs: list[str], k: str, width: int) -> None:
        self._add(Frame.OUT, group.row, outputs[0], k, width)
        self._adjoint(group, outputs[1:], k, width)

    def _tangent(self, group: _Group, outputs: list[str], k: str, width: int) -> None:
        total: str | None = None
        for j in group.live:
            moved = self._read(Frame.DZ, group.args[j], k, width)
            total = self._plus(total, self._weighted(group, moved, outputs[j], width), width)
        if total is not None:
            self._add(Frame.OUT, group.row, total, k, width)

    def _entry(self, m: _Map, number: int, value: str, k: str, width: int) -> None:
        f = self.f
        base = f.at(self.pointer[Frame.ENTRIES], f.mul(self.count, number))
        if m.mode == "u":
            f.store(value, f.at(base, f.add(m.place, k)), vector_type(width))
            return
        for i, lane in zip(self._indices(m, k, width), f.lanes(value, width), strict=True):
            f.store(lane, f.at(base, i))

    def _jacobian(self, group: _Group, outputs: list[str], k: str, width: int) -> None:
        for number, j in enumerate(group.live):
            self._entry(group.entry, number, outputs[j], k, width)

    def _jacobian_sums(self, group: _Group, outputs: list[str], k: str, width: int) -> None:
        g = self.groups.index(group)
        for j in group.live:
            self._send((g, j), outputs[j], k, width)

    def _send(self, of: tuple[int, int], value: str, k: str, width: int) -> None:
        """A number to where it goes."""
        f, base = self.f, self.pointer[Frame.ENTRIES]
        for goal, m in self.into:
            if goal.of != of:
                continue
            if not (goal.alone or goal.partly):
                self._add(Frame.ENTRIES, m, value, k, width)
            elif m.mode == "u" and not goal.partly:
                f.store(value, f.at(base, f.add(m.place, k)), vector_type(width))
            else:
                for i, lane in zip(self._indices(m, k, width), f.lanes(value, width), strict=True):
                    address = f.at(base, i)
                    if goal.partly:
                        address = f.do(f"select i1 {f.do(f'icmp slt i64 {i}, 0')}, ptr {self.nowhere}, ptr {address}")
                    if goal.alone:
                        f.store(lane, address)
                    else:
                        f.increase(address, lane)

    def _hessian(self, group: _Group, outputs: list[str], k: str, width: int) -> None:
        multiplier = self._read(Frame.LAM, group.row, k, width)
        for number, second in enumerate(outputs):
            self._entry(group.entry, number, self._times(multiplier, second, width), k, width)

    def _hessian_sums(self, group: _Group, outputs: list[str], k: str, width: int) -> None:
        """Numbers one a pair of arguments, summed over the groups; they are sent when all groups have added."""
        multiplier = self._read(Frame.LAM, group.row, k, width)
        for (i, j), second in zip(group.kernel.second_partials[1], outputs, strict=True):
            pair = _ordered(group.args[i].number, group.args[j].number)
            if i != j and pair[0] == pair[1]:  # off the kernel's diagonal, but on that of the matrix
                second = self._plus(second, second, width)
            self.paired[pair] = self._plus(self.paired.get(pair), self._times(multiplier, second, width), width)

    def _hessian_product(self, group: _Group, outputs: list[str], k: str, width: int) -> None:
        multiplier = self._read(Frame.LAM, group.row, k, width)
        moved: dict[int, str] = {}
        for (i, j), second in zip(group.kernel.second_partials[1], outputs, strict=True):
            weighted = self._times(multiplier, second, width)
            for one, other in {(i, j), (j, i)}:
                if other not in moved:
                    moved[other] = self._read(Frame.DZ, group.args[other], k, width)
                self._gather(group.args[one], self._times(weighted, moved[other], width), width)


_POINTERS: dict[str, Sequence[Frame]] = {
    "values": (Frame.Z, Frame.OUT),
    "store_values": (Frame.Z, Frame.OUT),
    "adjoint": (Frame.Z, Frame.LAM, Frame.W),
    "value_adjoint": (Frame.Z, Frame.OUT, Frame.LAM, Frame.W),
    "tangent": (Frame.Z, Frame.OUT, Frame.DZ),
    "jacobian": (Frame.Z, Frame.ENTRIES),
    "hessian": (Frame.Z, Frame.LAM, Frame.ENTRIES),
    "jacobian_sums": (Frame.Z, Frame.ENTRIES),
    "hessian_sums": (Frame.Z, Frame.LAM, Frame.ENTRIES),
    "hessian_product": (Frame.Z, Frame.LAM, Frame.DZ, Frame.W),
}


def _ordered(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a >= b else (b, a)


def pairs_of(kernels: Sequence[Kernel], box: Box) -> dict[tuple[int, int], tuple[int, int]]:
    """The pairs of a box's arguments that ``hessian_sums`` has entries for, in order; for each (a group, which of its
    second partials) that stands for the pair."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for g, (kernel, member) in enumerate(zip(kernels, box.members, strict=True)):
        for number, (i, j) in enumerate(kernel.second_partials[1]):
            found.setdefault(_ordered(member.args[i], member.args[j]), (g, number))
    return found


def _kernel_of(kernel: Kernel, quantity: str) -> Kernel:
    match quantity:
        case "values" | "store_values":
            return kernel
        case "adjoint" | "tangent" | "jacobian" | "jacobian_sums":
            return kernel.partials
        case "value_adjoint":
            return kernel.with_partials
    return kernel.second_partials[0]
