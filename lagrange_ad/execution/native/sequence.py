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
from .host import Host
from .ir import Function, literal
from .loops import Frame, part_of
from .maps import Mode
from .records import zeros
from .tape import tape_addresses, tape_group

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
    return "t" if positions.strides is None else "s"


def _coefficient_mode(values: Array) -> Mode:
    return "c" if values.strides == (0,) else "u"


class Loop:
    """A body of items, repeated ``count`` times."""

    def __init__(self, items: Sequence[Item], count: int) -> None:
        self.items, self.count = items, count

    @property
    def n_turns(self) -> int:
        """How many turns this is."""
        return len(self.items) * self.count

    def records(self, quantity: str, cost: float) -> Records:
        """The calls of one quantity, a chunk of periods each; adjoints last chunk first."""
        key = (quantity, *(item.key for item in self.items))
        address = function(("sequence", key), lambda: _loop_function(self.items, quantity, engine().host))
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
    def _record(self) -> tuple[Array, list[Array]]:
        """First and last period, then for each item its maps (offset or address, stride) and coefficients."""
        record, keep = [0, 0], []
        for item in self.items:
            for m in (*item.args, item.own):
                if m.strides is None:
                    keep.append(np.ascontiguousarray(m.table, dtype=np.int32))
                    record += [keep[-1].ctypes.data, 0]
                else:
                    record += [m.offset, m.strides[0] if m.strides else 0]
            for c in item.coefs:
                keep.append(np.ascontiguousarray(c[:1] if c.strides == (0,) else c, dtype=np.float64))
                record += [keep[-1].ctypes.data, 0]
        return np.array(record, dtype=np.int64), keep


def _loop_function(items: Sequence[Item], quantity: str, host: Host) -> Function:
    f = Function("sequence", FRAME)
    parts: tuple[Frame, ...] = (Frame.Z, Frame.OUT, Frame.W, Frame.DZ)
    pointers = {part: f.pointer("%frame", part_of(part, quantity, True)) for part in parts}
    backwards = quantity == "adjoint"
    start, stop = f.word("%data", 0), f.word("%data", 1)
    maps, at = [], 2
    for item in items:
        walks = []
        for mode in (*item.key[1], *item.key[2]):
            walks.append((mode, f.word("%data", at), f.word("%data", at + 1)))
            at += 2
        maps.append(walks)
    bounds = (f.add(stop, -1), f.add(start, -1), -1) if backwards else (start, stop, 1)
    with f.loop(*bounds) as t:
        for item, walks in reversed([*zip(items, maps, strict=True)]) if backwards else zip(items, maps, strict=True):
            _write_item(f, Emitter(f, host, 1), item, walks, quantity, pointers, t)
    f.finish()
    return f


def _write_item(f: Function, emitter: Emitter, item: Item, walks: list[tuple[Mode, str, str]], quantity: str,
                pointers: dict[Frame, str], t: str) -> None:
    n = len(item.args)
    positions = [_position(f, walk, t) for walk in walks[: n + 1]]
    args = [f.load(f.at(pointers[Frame.Z], p)) for p in positions[:n]]
    coefs = []
    for mode, base, _ in walks[n + 1 :]:
        values = f.do(f"inttoptr i64 {base} to ptr")
        coefs.append(f.load(f.at(values, "0" if mode == "c" else t)))
    if quantity in ("values", "store_values"):
        value, target = emitter.kernel(item.kernel, args, coefs)[0], f.at(pointers[Frame.OUT], positions[n])
        if item.first and quantity == "store_values":
            f.store(value, target)
        else:
            f.increase(target, value)
        return
    partials = item.kernel.partials
    found = emitter.kernel(partials, args, coefs)
    live = [j for j in range(n) if not partials.is_zero(j)]
    if quantity == "adjoint":
        multiplier = f.load(f.at(pointers[Frame.W], positions[n]))
        for j in live:
            f.increase(f.at(pointers[Frame.W], positions[j]), f.do(f"fmul contract double {multiplier}, {found[j]}"))
        return
    total = literal(0.0)
    for j in live:
        moved = f.load(f.at(pointers[Frame.DZ], positions[j]))
        total = f.do(f"fadd contract double {total}, {f.do(f'fmul contract double {moved}, {found[j]}')}")
    f.increase(f.at(pointers[Frame.DZ], positions[n]), total)


def _position(f: Function, walk: tuple[Mode, str, str], t: str) -> str:
    mode, base, stride = walk
    if mode == "t":
        return f.index(f.do(f"inttoptr i64 {base} to ptr"), t)
    return f.add(base, f.mul(stride, t))


class Turns:
    """Turns that do not repeat, on the tape: (group, instance) pairs in order."""

    def __init__(self, groups: dict[int, tuple[Array, list[Array]]], whose: Array, instance: Array) -> None:
        self._groups, self._whose, self._instance = groups, whose, instance

    @property
    def n_turns(self) -> int:
        """How many turns this is."""
        return len(self._whose)

    def records(self, quantity: str, addresses: dict[str, int], cost: float) -> Records:
        """The call of one quantity."""
        used = np.unique(self._whose).tolist()
        keep: list[Any] = [self._groups[g] for g in used]
        address = np.zeros(max(used) + 1, dtype=np.int64)
        for g in used:
            address[g] = self._groups[g][0].ctypes.data
        pairs = np.stack([address[self._whose], self._instance], axis=1)
        record = np.array([len(pairs), pairs.ctypes.data], dtype=np.int64)
        records = Records()
        records.add(addresses["turns"], record, cost, [pairs, *keep])
        return records


class StateSequence:
    """Explicit rows in order, in state space: the rows of ``groups`` are the state elements they compute.

    ``order[i]`` is the group whose next instance comes i-th; instances of a group come in its own order.
    """

    def __init__(self, groups: Sequence[Group], order: Array, compile_from: int) -> None:
        self.groups, self.order = list(groups), np.asarray(order, dtype=np.int64)
        self._compile_from = compile_from
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
        tapes: dict[int, tuple[Array, list[Array]]] = {}
        for start, stop, period in stretches(self._kinds, self._compile_from):
            if period and self._operations(start, period) <= LARGEST_BODY:
                count = (stop - start) // period
                found.append(Loop([self._item(start + i, period, count) for i in range(period)], count))
                continue
            for g in np.unique(self.order[start:stop]).tolist():
                if g not in tapes:
                    made = tape_group(self.groups[g])
                    tapes[g] = made.record, made.arrays
            for low in range(start, stop, CHUNK):
                part = slice(low, min(low + CHUNK, stop))
                found.append(Turns(tapes, self.order[part], self._instance[part]))
        return found

    @cached_property
    def _kinds(self) -> Array:
        """What must repeat for a turn to: the group, and whether it is the first of its row."""
        return 2 * self.order + self.first

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

    def records(self, quantity: str) -> Records:
        """The calls of ``values`` (added), ``store_values``, ``adjoint`` (backwards) or ``tangent``."""
        records, at = Records(), 0
        for segment in self.segments:
            if isinstance(segment, Loop):
                cost = 5.0 * sum(len(item.kernel.nodes) for item in segment.items)
                part = segment.records(quantity, cost)
            else:
                part = self._on_tape(segment, at, quantity)
            at += segment.n_turns
            if quantity == "adjoint":
                part.extend(records)
                records = part
            else:
                records.extend(part)
        return records

    def _on_tape(self, segment: Turns, at: int, quantity: str) -> Records:
        """The calls of turns, from zeros where values are to be stored."""
        part = Records()
        if quantity == "store_values":
            here = slice(at, at + segment.n_turns)
            part.extend(zeros(self.own[here][self.first[here]]))
            quantity = "values"
        part.extend(segment.records(quantity, tape_addresses(quantity, True), 50.0 * segment.n_turns))
        return part


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
