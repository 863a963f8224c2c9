"""Irregular explicit rows as one flat list of elementary operations on the state.

An instance of a kernel becomes its operations, each (operation, result, operand, operand) by positions in the state;
intermediate results and constants have places of their own after it. Forward the list is run once, backward it is run
from its end, each operation passing its adjoint on to its operands: nothing is computed twice, and nothing is looked up
but the operation. Tangents run it forward once more, on rates of change that stand like the values. Kernels that
select a branch stay on the tape, which knows which branches were reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from ...elementary import TABLE
from ...expression import Array
from ...lowering import Group, Kernel
from .driver import Records
from .emit import Emitter
from .engine import FRAME, engine
from .ir import Function, literal
from .loops import Frame
from .tape import NUMBER, local_partials, tape_addresses, tape_code, tape_record

FORWARD_ONLY = 128
"""Added to an operation that no derivative reaches: 0·∞ must not come of it."""
COPY, ADD = FORWARD_ONLY - 2, FORWARD_ONLY - 1
"""Operations beside the table's: result = operand, result += operand."""
STANDS_STILL = 256
"""Added, times 2^j, where operand j is made of constants: an infinite slope there must not meet its rate of 0."""
assert len(TABLE) <= COPY
CHUNK = 1 << 20
"""Most operations run by one call, so that the driver looks up in between."""


class Extra:
    """Places after the state: for constants, each number once, and for intermediate results."""

    def __init__(self, first: int) -> None:
        self.size = first
        self._place: dict[bytes, int] = {}
        self._filled: list[tuple[int, Array]] = []

    def constants(self, values: Array) -> Array:
        """The places of some numbers."""
        bits, which = np.unique(np.ascontiguousarray(values).view(np.int64), return_inverse=True)
        distinct = bits.view(np.float64)  # told apart by their bits: 0.0 from −0.0
        if len(distinct) <= 8:
            places = np.array([self._constant(v) for v in distinct.tolist()], dtype=np.int64)
            return np.asarray(places[which.ravel()])
        first = self.temporaries(len(distinct))
        self._filled.append((first, distinct))
        return np.asarray(first + which.ravel())

    def _constant(self, value: float) -> int:
        number = np.array([value])
        place = self._place.get(number.tobytes())
        if place is None:
            place = self.temporaries(1)
            self._filled.append((place, number))  # first: an interrupt between the two must not leave it unwritten
            self._place[number.tobytes()] = place
        return place

    def temporaries(self, count: int) -> int:
        """The first of ``count`` new places."""
        first = self.size
        if first + count >= 1 << 31:
            raise OverflowError(
                f"compiled code counts places by 32 bits, and this program needs {first + count}: use "
                "Program(..., executor='reference')"
            )
        self.size += count
        return first

    def fill(self, z: Array) -> None:
        """Write the constants."""
        for first, values in self._filled:
            z[first : first + len(values)] = values


@dataclass(frozen=True, eq=False)
class Part:
    """Instances of one kernel: positions of arguments (instances, args), coefficients (instances, coefs), the element
    of each, its turn among all parts, whether its row has no other instance, and whether it is the row's first."""

    kernel: Kernel
    args: Array
    coefs: Array
    own: Array
    turn: Array
    alone: Array
    first: Array


def part_of_group(group: Group, chosen: Array, own: Array, turn: Array, alone: Array, first: Array) -> Part:
    """Some instances of a group as a part."""
    kernel = group.kernel
    args = np.empty((len(chosen), kernel.n_args), dtype=np.int64)
    for j, m in enumerate(group.args):
        args[:, j] = m.array().ravel()[chosen]
    coefs = np.empty((len(chosen), kernel.n_coefs))
    for j, c in enumerate(group.coefs):
        coefs[:, j] = np.ravel(c)[chosen]
    return Part(kernel, args, coefs, own, turn, alone, first)


class FlatCode:
    """The operations of parts, in the order of turns; ``start[t]`` is where turn t begins.

    ``adding``: results are added to what stands in their element (an ε). Selecting kernels have no operations here:
    ``selecting`` are their turns, and ``pairs`` their (record, instance) for the tape.
    """

    def __init__(self, parts: Sequence[Part], n_turns: int, extra: Extra, adding: bool) -> None:
        length = np.zeros(n_turns + 1, dtype=np.int64)
        plain, selecting = [], []
        for part in parts:
            if part.kernel.selects:
                selecting.append(part)
                continue
            plain.append(part)
            operations = len(tape_code(part.kernel).code)
            length[part.turn + 1] = operations + ((operations == 0) | ~part.alone | adding)
        self.start = np.cumsum(length)
        self.code = np.zeros((int(self.start[-1]), 4), dtype=np.int32)
        for part in plain:
            self._write(part, extra, adding)
        self._keep = [tape_record(p.kernel, p.args, p.coefs, p.own, None) for p in selecting]
        turns = [p.turn for p in selecting]
        pairs = [
            np.stack([np.full(len(p.turn), made.record.ctypes.data), np.arange(len(p.turn))], axis=1)
            for p, made in zip(selecting, self._keep, strict=True)
        ]
        joined = np.concatenate([np.empty(0, np.int64), *turns])
        order = np.argsort(joined)
        self.selecting = joined[order]
        self.pairs = np.ascontiguousarray(np.concatenate([np.empty((0, 2), np.int64), *pairs])[order])

    def _write(self, part: Part, extra: Extra, adding: bool) -> None:
        """The operations of one kernel's instances."""
        tape, count = tape_code(part.kernel), len(part.turn)
        operations = len(tape.code)
        leaves = len(tape.consts) + part.kernel.n_coefs + part.kernel.n_args
        direct = part.alone & (not adding) & (operations > 0)
        register = np.empty((count, tape.n_registers), dtype=np.int64)
        for i, value in enumerate(tape.consts.tolist()):
            register[:, i] = extra.constants(np.array([value]))[0]
        for j in range(part.kernel.n_coefs):
            register[:, len(tape.consts) + j] = extra.constants(part.coefs[:, j])
        register[:, leaves - part.kernel.n_args : leaves] = part.args
        inner = extra.temporaries(operations * count)
        register[:, leaves:] = inner + np.arange(operations * count).reshape(count, operations)
        if operations:
            register[:, tape.output] = np.where(direct, part.own, register[:, tape.output])
        at, reached, still = self.start[part.turn], _reached(part.kernel), _standing_still(part.kernel)
        for k in range(operations):
            line = tape.code[k]
            here = self.code[at + k]
            here[:, 0] = line[0] + (0 if reached[k] else FORWARD_ONLY) + STANDS_STILL * still[k]
            here[:, 1] = register[:, leaves + k]
            here[:, 2], here[:, 3] = register[:, line[1]], register[:, line[2]]
            self.code[at + k] = here
        rest = np.flatnonzero(~direct)
        last = np.empty((len(rest), 4), dtype=np.int64)
        last[:, 0] = np.where(part.first[rest] & (not adding), COPY, ADD)
        last[:, 1], last[:, 2], last[:, 3] = part.own[rest], register[rest, tape.output], 0
        self.code[at[rest] + operations] = last

    def records(self, low: int, high: int, quantity: str) -> Records:
        """The calls of turns low … high − 1 for ``values``, ``adjoint`` (last first) or ``tangent``, whose rates are
        added to the ``out`` of the frame: give it those of the state."""
        records, backward = Records(keep=[self]), quantity == "adjoint"
        on_tape = tape_addresses(quantity, quantity != "tangent")["turns"]
        first_pair, stop = np.searchsorted(self.selecting, [low, high]).tolist()
        bounds = [low, *self.selecting[first_pair:stop].tolist(), high]
        for i, (begin, end) in enumerate(pairwise(bounds)):
            if i:
                self._selection(records, first_pair + i - 1, on_tape)
            self._operations(records, int(self.start[begin]), int(self.start[end]), quantity)
        if backward:
            records.rows.reverse()
        return records

    def _operations(self, records: Records, low: int, high: int, quantity: str) -> None:
        address = _addresses()[{"values": "forward", "adjoint": "backward", "tangent": "moving"}[quantity]]
        for start in range(low, high, CHUNK):
            stop = min(start + CHUNK, high)
            record = np.array([start, stop, self.code.ctypes.data], dtype=np.int64)
            records.add(address, record, 8 * (stop - start))

    def _selection(self, records: Records, pair: int, address: int) -> None:
        record = np.array([1, self.pairs.ctypes.data + 16 * pair], dtype=np.int64)
        records.add(address, record, 50)


@cache
def _reached(kernel: Kernel) -> list[bool]:
    """Which operations of a kernel a derivative of its output comes to."""
    nodes, live = kernel.nodes, {kernel.outputs[0]}
    for position in range(len(nodes) - 1, -1, -1):
        node = nodes[position]
        if position in live and node[0] in TABLE:
            partials = local_partials(node[0])
            live.update(operand for j, operand in enumerate(node[1:]) if not partials.is_zero(j))
    return [position in live for position, node in enumerate(nodes) if node[0] in TABLE]


@cache
def _standing_still(kernel: Kernel) -> list[int]:
    """Of each operation which operands are made of constants and coefficients: the sum of 2^j."""
    still, found = list[bool](), list[int]()
    for node in kernel.nodes:
        if node[0] in TABLE:
            found.append(sum(2**j for j, operand in enumerate(node[1:]) if still[operand]))
        still.append(node[0] in ("const", "coef") or (node[0] in TABLE and all(still[i] for i in node[1:])))
    return found


@cache
def _addresses() -> dict[str, int]:
    return engine().addresses([_forward(), _backward(), _moving()])


def _begin(f: Function) -> tuple[str, str, str, str]:
    """(state, code, first line, last line + 1)."""
    return f.pointer("%frame", Frame.Z), f.pointer("%data", 2), f.word("%data", 0), f.word("%data", 1)


_CASES: dict[int, str] = {
    **{number: name for name, number in NUMBER.items() if not TABLE[name].selects}, COPY: "copy", ADD: "add to"}


def _line(f: Function, code: str, i: str) -> tuple[str, list[str]]:
    """(operation, result and operands) of line i."""
    at = f.mul(i, 4)
    return f.load(f.at(code, at, "i32"), "i32", 4), [f.index(code, f.add(at, 1 + k)) for k in range(3)]


def _each_case(f: Function, number: str, write: Callable[[str], None]) -> None:
    """A switch over the operations: ``write(name)`` writes each case."""
    labels, done = {case: f.label() for case in _CASES}, f.label()
    listed = " ".join(f"i32 {case}, label %{label}" for case, label in labels.items())
    f.emit(f"switch i32 {number}, label %{done} [ {listed} ]")
    for case, label in labels.items():
        f.place(label)
        write(_CASES[case])
        f.jump(done)
    f.place(done)


def _forward() -> Function:
    f = Function("forward", FRAME)
    z, code, first, last = _begin(f)
    emitter = Emitter(f, engine().host, 1)
    with f.loop(first, last) as i:
        number, places = _line(f, code, i)
        result, *operands = (f.at(z, p) for p in places)

        def write(name: str) -> None:
            if name == "add to":
                f.increase(result, f.load(operands[0]))
            elif name == "copy":
                f.store(f.load(operands[0]), result)
            else:
                values = [(f.load(x), False) for x in operands[: TABLE[name].arity]]
                f.store(emitter.number(emitter.elementary(name, values)), result)

        _each_case(f, f.do(f"and i32 {number}, {FORWARD_ONLY - 1}"), write)
    f.finish()
    return f


def _partials(f: Function, emitter: Emitter, z: str, name: str, places: list[str]) -> Iterator[tuple[int, str, str]]:
    """(j, place of x_j, ∂y/∂x_j) of a line's operation, where that is not 0 everywhere; ``places``: result, operands.
    """
    operands, kernel = places[1 : 1 + TABLE[name].arity], local_partials(name)
    found = emitter.kernel(kernel, [f.load(f.at(z, p)) for p in (*operands, places[0])], [])
    return ((j, operands[j], partial) for j, partial in enumerate(found) if not kernel.is_zero(j))


def _backward() -> Function:
    f = Function("backward", FRAME)
    z, code, first, last = _begin(f)
    w = f.pointer("%frame", Frame.W)
    emitter = Emitter(f, engine().host, 1)
    with f.loop(f.add(last, -1), f.add(first, -1), -1) as i:
        number, places = _line(f, code, i)
        bar = f.load(f.at(w, places[0]))

        def write(name: str) -> None:
            if name in ("add to", "copy"):
                f.increase(f.at(w, places[1]), bar)
                return
            for _, operand, partial in _partials(f, emitter, z, name, places):
                f.increase(f.at(w, operand), f.real("fmul", bar, partial))

        _each_case(f, f.do(f"and i32 {number}, {STANDS_STILL - 1}"), write)
    f.finish()
    return f


def _moving() -> Function:
    """Rates of change, by the values that stand there: dz[result] += Σ_j ∂y/∂x_j·dz[operand_j]."""
    f = Function("moving", FRAME)
    z, code, first, last = _begin(f)
    dz = f.pointer("%frame", Frame.DZ)
    emitter = Emitter(f, engine().host, 1)
    with f.loop(first, last) as i:
        number, places = _line(f, code, i)
        result = f.at(dz, places[0])

        def write(name: str) -> None:
            if name in ("add to", "copy"):
                f.increase(result, f.load(f.at(dz, places[1])))
                return
            for j, operand, partial in _partials(f, emitter, z, name, places):
                moves = f.do(f"icmp eq i32 {f.do(f'and i32 {number}, {STANDS_STILL << j}')}, 0")
                step = f.real("fmul", partial, f.load(f.at(dz, operand)))
                f.increase(result, f.choose(moves, step, literal(0.0)))

        _each_case(f, f.do(f"and i32 {number}, {STANDS_STILL - 1}"), write)
    f.finish()
    return f
