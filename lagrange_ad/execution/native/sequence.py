"""Recurrences: rows in state space computed one after the other, periodic stretches of them as one compiled loop.

The turns of the groups (whose instance comes next) are searched for stretches that repeat; the instances of one period
are the body of a loop, compiled into one function a quantity. What does not repeat runs on the tape. Back-substitution
is the same loop backwards: when a row's turn comes, every consumer has added to its adjoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...expression import Array
from ...lowering import Group, IndexMap, Kernel
from .driver import Records
from .emit import Emitter
from .engine import FRAME, engine, function
from .flat import Extra, FlatCode, part_of_group
from .host import Host
from .ir import Function, literal, vector_type
from .loops import Frame, part_of
from .maps import Mode
from .records import zeros

LONGEST_PERIOD = 64
LARGEST_BODY = 400
"""Most operations in the body of a compiled loop."""
CHUNK = 1 << 17
"""Most periods run by one call, so that the driver looks up in between."""


@dataclass(frozen=True, eq=False)
class Item:
    """One instance of the body: its kernel, how its positions move from period to period, and whether it is the first
    of its row (which is stored, not added, where nothing else stands there)."""

    kernel: Kernel
    args: tuple[IndexMap, ...]
    own: IndexMap
    coefs: tuple[Array, ...]
    first: bool

    @property
    def key(self) -> Any:
        """What the compiled loop depends on."""
        modes = tuple(_mode(m) for m in (*self.args, self.own))
        return self.kernel, modes, tuple(_coefficient_mode(c) for c in self.coefs), self.first


def _mode(positions: IndexMap) -> Mode:
    if positions.strides is None:
        return "t"
    return {0: "c", 1: "u"}.get(_stride(positions), "s")


def _stride(positions: IndexMap) -> int:
    return positions.strides[0] if positions.strides else 0


def _coefficient_mode(values: Array) -> Mode:
    return "c" if values.strides == (0,) else "u"


class Loop:
    """A body of items, repeated ``count`` times."""

    def __init__(self, items: Sequence[Item], count: int) -> None:
        self.items, self.count = items, count

    def records(self, quantity: str, cost: float) -> Records:
        """The calls of one quantity, a chunk of periods each; adjoints last chunk first."""
        links = self.links if quantity in ("store_values", "tangent") else ()
        key = ("sequence", quantity, links, *(item.key for item in self.items))
        address = function(key, lambda: _Body(self.items, quantity, links, engine().host).write())
        record, keep = self._record
        records = Records()
        starts = range(0, self.count, CHUNK)
        for start in reversed(starts) if quantity == "adjoint" else starts:
            stop = min(start + CHUNK, self.count)
            part = record.copy()
            part[:2] = start, stop
            records.add(address, part, cost * (stop - start), keep)
        return records

    @cached_property
    def links(self) -> tuple[tuple[tuple[int, int] | None, ...], ...]:
        """For each argument of each item the item that has just computed it, and how many periods ago (0 or 1): that
        value need not come from memory. Only where every row is one item."""
        if not all(item.first for item in self.items):
            return ()
        found = {}
        for i, item in enumerate(self.items):
            if item.own.strides is not None:
                found[item.own.offset, _stride(item.own)] = i
        return tuple(
            tuple(None if m.strides is None else self._link(i, m.offset, _stride(m), found) for m in item.args)
            for i, item in enumerate(self.items)
        )

    @staticmethod
    def _link(i: int, offset: int, stride: int, found: dict[tuple[int, int], int]) -> tuple[int, int] | None:
        before = found.get((offset, stride))
        if before is not None and before < i:
            return before, 0
        earlier = found.get((offset + stride, stride))
        return None if earlier is None or stride == 0 else (earlier, 1)

    @cached_property
    def _record(self) -> tuple[Array, list[Array]]:
        """First and last period, then for each item its maps (offset or address, stride) and coefficients."""
        record, keep = [0, 0], []
        for item in self.items:
            for m in (*item.args, item.own):
                if m.strides is None:
                    keep.append(np.ascontiguousarray(m.table, dtype=np.int32))
                    record += [keep[-1].ctypes.data, 0]
                else:
                    record += [m.offset, _stride(m)]
            for c in item.coefs:
                keep.append(np.ascontiguousarray(c[:1] if c.strides == (0,) else c, dtype=np.float64))
                record += [keep[-1].ctypes.data, 0]
        return np.array(record, dtype=np.int64), keep


@dataclass(frozen=True)
class _Walk:
    """How one map or coefficient moves: its mode, its offset or address, and its stride."""

    mode: Mode
    base: str
    stride: str

    def position(self, f: Function, t: str) -> str:
        """The position in period t."""
        if self.mode == "t":
            return f.index(f.do(f"inttoptr i64 {self.base} to ptr"), t)
        return self.base if self.mode == "c" else f.add(self.base, t if self.mode == "u" else f.mul(self.stride, t))

    def read(self, f: Function, array: str, t: str, width: int) -> str:
        """The elements of ``width`` periods from t on."""
        if self.mode == "c":
            return f.broadcast(f.load(f.at(array, self.base)), width)
        if self.mode == "u":
            return f.load(f.at(array, f.add(self.base, t)), vector_type(width))
        return f.packed([f.load(f.at(array, self.position(f, f.add(t, lane)))) for lane in range(width)])

    def coefficients(self, f: Function, t: str, width: int) -> str:
        """The coefficients of ``width`` periods from t on."""
        values = f.do(f"inttoptr i64 {self.base} to ptr")
        if self.mode == "c":
            return f.broadcast(f.load(values), width)
        return f.load(f.at(values, t), vector_type(width))


class _Body:
    """Writes the loop over a body of items for one quantity.

    Values go one period at a time. Adjoints do not need them in turn: partials of several periods are computed at once,
    and only the multiplications with λ go one by one.
    """

    def __init__(self, items: Sequence[Item], quantity: str, links: Any, host: Host) -> None:
        self.f, self.items, self.quantity, self.host = Function("sequence", FRAME), items, quantity, host
        self.links = links
        parts: tuple[Frame, ...] = (Frame.Z, Frame.OUT, Frame.W, Frame.DZ)
        self.pointer = {part: self.f.pointer("%frame", part_of(part, True)) for part in parts}
        self.walks: list[list[_Walk]] = []
        at = 2
        for item in items:
            walks = []
            for mode in (*item.key[1], *item.key[2]):
                walks.append(_Walk(mode, self.f.word("%data", at), self.f.word("%data", at + 1)))
                at += 2
            self.walks.append(walks)

    def write(self) -> Function:
        """The whole function."""
        f = self.f
        start, stop = f.word("%data", 0), f.word("%data", 1)
        match self.quantity:
            case "adjoint":
                self._adjoint(start, stop)
            case "tangent":
                self._tangent(start, stop)
            case _:
                self._values(start, stop)
        f.finish()
        return f

    def _values(self, start: str, stop: str) -> None:
        f = self.f
        carried = {link[0]: "" for row in self.links for link in row if link is not None and link[1] == 1}
        for i in carried:
            own = self.walks[i][len(self.items[i].args)]
            before = f.load(f.at(self.pointer[Frame.Z], own.position(f, f.add(start, -1))))
            carried[i] = f.variable("double", before)
        with f.loop(start, stop) as t:
            made: list[str] = []
            earlier = {i: f.load(slot) for i, slot in carried.items()}
            for i, item in enumerate(self.items):
                n, walks = len(item.args), self.walks[i]
                args = []
                for j, walk in enumerate(walks[:n]):
                    link = self.links[i][j] if self.links else None
                    if link is None:
                        args.append(walk.read(f, self.pointer[Frame.Z], t, 1))
                    else:
                        args.append(made[link[0]] if link[1] == 0 else earlier[link[0]])
                coefs = [walk.coefficients(f, t, 1) for walk in walks[n + 1 :]]
                value = Emitter(f, self.host, 1).kernel(item.kernel, args, coefs)[0]
                target = f.at(self.pointer[Frame.OUT], walks[n].position(f, t))
                if item.first and self.quantity == "store_values":
                    f.store(value, target)
                else:
                    f.increase(target, value)
                made.append(value)
                if i in carried:
                    f.store(value, carried[i])

    def _adjoint(self, start: str, stop: str) -> None:
        """The last few periods one by one, then the others in vectors' worth."""
        f, width = self.f, self.host.width
        count = f.do(f"sub i64 {stop}, {start}")
        middle = f.add(start, f.do(f"and i64 {count}, {-width}"))
        with f.loop(f.add(stop, -1), f.add(middle, -1), -1) as t:
            self._chunk(t, 1)
        with f.loop(f.add(middle, -width), f.add(start, -1), -width) as t:
            self._chunk(t, width)

    def _chunk(self, t: str, width: int) -> None:
        f, lanes = self.f, self._partials(t, width)
        for lane in reversed(range(width)):
            here = f.add(t, lane)
            for i in reversed(range(len(self.items))):
                self._pass_back(self.walks[i], self.items[i].kernel, lanes[i], lane, here)

    def _partials(self, t: str, width: int) -> list[dict[int, list[str]]]:
        """The partials of every item that are not 0, in the lanes of ``width`` periods from t on."""
        f, lanes = self.f, []
        for item, walks in zip(self.items, self.walks, strict=True):
            n = len(item.args)
            args = [walk.read(f, self.pointer[Frame.Z], t, width) for walk in walks[:n]]
            coefs = [walk.coefficients(f, t, width) for walk in walks[n + 1 :]]
            partials = item.kernel.partials
            found = Emitter(f, self.host, width).kernel(partials, args, coefs)
            lanes.append({j: f.lanes(found[j], width) for j in range(n) if not partials.is_zero(j)})
        return lanes

    def _tangent(self, start: str, stop: str) -> None:
        """Forward in vectors' worth of partials; what was just computed is not read again."""
        f, width = self.f, self.host.width
        count = f.do(f"sub i64 {stop}, {start}")
        middle = f.add(start, f.do(f"and i64 {count}, {-width}"))
        with f.loop(start, middle, width) as t:
            self._move(t, width)
        with f.loop(middle, stop) as t:
            self._move(t, 1)

    def _move(self, t: str, width: int) -> None:
        """dz[own] += Σ_j ∂φ/∂arg_j·dz[arg_j] for the items of ``width`` periods, one after the other."""
        f, lanes, earlier = self.f, self._partials(t, width), dict[int, str]()
        dz = self.pointer[Frame.DZ]
        for lane in range(width):
            here, made = f.add(t, lane), dict[int, str]()
            for i, (item, walks) in enumerate(zip(self.items, self.walks, strict=True)):
                total = literal(0.0)
                for j, partials in lanes[i].items():
                    link = self.links[i][j] if self.links else None
                    known = None if link is None else (made, earlier)[link[1]].get(link[0])
                    rate = f.load(f.at(dz, walks[j].position(f, here))) if known is None else known
                    product = f.real("fmul", rate, partials[lane])
                    if item.kernel.selects:
                        product = f.unless_zero(partials[lane], product)
                    total = product if total == literal(0.0) else f.real("fadd", total, product)
                target = f.at(dz, walks[item.kernel.n_args].position(f, here))
                if not item.first:
                    total = f.real("fadd", total, f.load(target))
                f.store(total, target)
                made[i] = total
            earlier = made

    def _pass_back(self, walks: list[_Walk], kernel: Kernel, lanes: dict[int, list[str]], lane: int, t: str) -> None:
        """w[arg] += λ·∂φ/∂arg of one instance."""
        f, w = self.f, self.pointer[Frame.W]
        multiplier = f.load(f.at(w, walks[kernel.n_args].position(f, t)))
        for j, partials in lanes.items():
            product = f.real("fmul", multiplier, partials[lane])
            if kernel.selects:
                product = f.unless_zero(partials[lane], product)
            f.increase(f.at(w, walks[j].position(f, t)), product)


@dataclass(frozen=True)
class Turns:
    """Turns that do not repeat: ``low`` … ``high`` − 1 of a sequence."""

    low: int
    high: int


class StateSequence:
    """Explicit rows in order, in state space: the rows of ``groups`` are the state elements they compute.

    ``order[i]`` is the group whose next instance comes i-th; instances of a group come in its own order.
    """

    def __init__(self, groups: Sequence[Group], order: Array, compile_from: int, extra: Extra) -> None:
        self.groups, self.order = list(groups), np.asarray(order, dtype=np.int64)
        self._compile_from, self._extra = compile_from, extra
        self.own = np.empty(len(self.order), dtype=np.int64)
        self._instance = np.empty(len(self.order), dtype=np.int64)
        for g, group in enumerate(self.groups):
            turns = np.flatnonzero(self.order == g) if len(self.groups) > 1 else slice(None)
            self.own[turns] = group.row.array().ravel()
            self._instance[turns] = np.arange(group.size)

    @cached_property
    def first(self) -> Array:
        """Whether each turn is the first of its row (all turns of a row follow each other)."""
        return np.asarray(np.diff(self.own, prepend=-1) != 0)

    @cached_property
    def segments(self) -> list[Loop | Turns]:
        """The stretches that repeat and what lies between them."""
        found: list[Loop | Turns] = []
        for start, stop, period in stretches(2 * self.order + self.first, self._compile_from):
            if period and self._operations(start, period) <= LARGEST_BODY:
                count = (stop - start) // period
                found.append(Loop([self._item(start + i, period, count) for i in range(period)], count))
            else:
                found.append(Turns(start, stop))
        return found

    @cached_property
    def _storing(self) -> FlatCode:
        return self._flat(adding=False)

    @cached_property
    def _adding(self) -> FlatCode:
        return self._flat(adding=True)

    def _flat(self, adding: bool) -> FlatCode:
        """The operations of the turns that do not repeat."""
        loose = np.zeros(len(self.order), dtype=bool)
        for segment in self.segments:
            if isinstance(segment, Turns):
                loose[segment.low : segment.high] = True
        alone = self.first & np.append(self.first[1:], True)
        parts = []
        for g, group in enumerate(self.groups):
            turn = np.flatnonzero(loose & (self.order == g))
            chosen = self._instance[turn]
            if len(turn):
                parts.append(part_of_group(group, chosen, self.own[turn], turn, alone[turn], self.first[turn]))
        return FlatCode(parts, len(self.order), self._extra, adding)

    def _operations(self, at: int, period: int) -> int:
        """How many operations a body would have."""
        return sum(len(self.groups[g].kernel.nodes) for g in self.order[at : at + period].tolist())

    def _item(self, at: int, period: int, count: int) -> Item:
        group = self.groups[int(self.order[at])]
        instances = self._instance[at : at + period * (count - 1) + 1 : period]
        step = int(instances[1] - instances[0]) if count > 1 else 1
        key = slice(int(instances[0]), int(instances[-1]) + 1, step)
        args = tuple(_cut(m, key, count) for m in group.args)
        coefs = tuple(c[key] if c.strides != (0,) else np.broadcast_to(c[:1], (count,)) for c in group.coefs)
        return Item(group.kernel, args, _cut(group.row, key, count), coefs, bool(self.first[at]))

    def records(self, quantity: str, with_offsets: bool = False) -> Records:
        """The calls of ``values`` (added), ``store_values``, and after values of either kind ``adjoint`` (backwards)
        or ``tangent``."""
        code = self._adding if quantity == "values" or with_offsets else self._storing
        backward, records = quantity == "adjoint", Records()
        plain = "values" if quantity == "store_values" else quantity
        for segment in reversed(self.segments) if backward else self.segments:
            if isinstance(segment, Loop):
                records.extend(segment.records(quantity, 5.0 * sum(len(item.kernel.nodes) for item in segment.items)))
            else:
                if quantity == "store_values":
                    records.extend(zeros(self._tape_begins(segment)))
                records.extend(code.records(segment.low, segment.high, plain))
        return records

    def _tape_begins(self, segment: Turns) -> Array:
        """The elements whose first turn is on the tape, which adds."""
        turns = self._storing.selecting
        here = turns[(turns >= segment.low) & (turns < segment.high)]
        return np.asarray(self.own[here[self.first[here]]])


def _cut(positions: IndexMap, key: slice, count: int) -> IndexMap:
    """The positions of some instances of a flat group."""
    if positions.strides is None:
        assert positions.table is not None
        return IndexMap.of(positions.table[key])
    step = positions.strides[0] if positions.strides else 0
    return IndexMap((count,), positions.offset + key.start * step, (step * key.step,), None)


def stretches(kinds: Array, shortest: int) -> list[tuple[int, int, int]]:
    """(start, stop, period) of what repeats at least ``shortest`` turns and four times; period 0 for what does not."""
    n, at, found = len(kinds), 0, []
    for start, _, stop, period in sorted(_repeating(kinds, shortest)):
        start = max(start, at)
        stop = start + (stop - start) // period * period
        if stop - start < max(shortest, 4 * period):
            continue
        if at < start:
            found.append((at, start, 0))
        found.append((start, stop, period))
        at = stop
    return [*found, (at, n, 0)] if at < n else found


def _repeating(kinds: Array, shortest: int) -> Iterator[tuple[int, int, int, int]]:
    """(start, −stop, stop, period) of every stretch that is long enough, for each period."""
    n = len(kinds)
    for p in range(1, min(LONGEST_PERIOD, n // 4) + 1):
        ends = np.append(np.flatnonzero(kinds[p:] != kinds[: n - p]), n - p)
        starts = np.concatenate([[0], ends[:-1] + 1])
        for k in np.flatnonzero(ends - starts + p >= max(shortest, 4 * p)).tolist():
            yield int(starts[k]), -int(ends[k] + p), int(ends[k] + p), p
        if len(ends) == 1:
            return  # one kind throughout: longer periods say the same
