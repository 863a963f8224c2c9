"""State space: groups whose rows are the state elements they compute, and the small records between them.

In state space an explicit row needs no right side of its own: φ is added to (or stored in) the element, and its
multiplier is the element's adjoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from ...expression import Array
from ...lowering import ExternalKernel, Group, IndexMap
from .driver import Records
from .executor import ProductPart, parts_of, records_of
from .flat import Extra, FlatCode, Part, part_of_group
from .records import offsets, zeros


def wide_records(groups: Sequence[Group], own: Array, compile_from: int) -> tuple[Records, Records]:
    """(forward, backward) calls of explicit rows that do not depend on each other, without offsets."""
    parts = parts_of(groups, compile_from)
    alone = _each_once(groups, own) and not any(isinstance(part, ProductPart) for part in parts)
    forward = Records() if alone else zeros(own)
    forward.extend(records_of(parts, "store_values" if alone else "values", True))
    return forward, records_of(parts, "adjoint", True)


def _each_once(groups: Sequence[Group], own: Array) -> bool:
    """Whether every element is computed by exactly one instance."""
    if sum(group.size for group in groups) != len(own):
        return False
    if len(groups) == 1 and groups[0].row.is_injective():
        return True
    elements = np.sort(np.concatenate([group.row.array().ravel() for group in groups]))
    return bool((np.diff(elements) > 0).all())


def instances_of_rows(groups: Sequence[Group], n_rows: int) -> Array:
    """How many instances add to each row."""
    counts = np.zeros(n_rows, dtype=np.int64)
    for group in groups:
        row, factor = group.row, 1
        if row.strides is not None:
            kept = [a for a, step in enumerate(row.strides) if step]
            factor = group.size // max(1, int(np.prod([row.shape[a] for a in kept], dtype=np.int64)))
            row = IndexMap(tuple(row.shape[a] for a in kept), row.offset, tuple(row.strides[a] for a in kept), None)
        np.add.at(counts, row.array().ravel(), factor)
    return counts


def rows_of_calls(groups: Sequence[Group], n_rows: int) -> Array:
    """Which rows a user function adds to: compiled code leaves them to Python."""
    called = np.zeros(n_rows, dtype=bool)
    for group in groups:
        if isinstance(group.kernel, ExternalKernel):
            called[group.row.array().ravel()] = True
    return called


class SmallTerms:
    """Groups of few instances that add to elements which are not of the state (the objective, constraints)."""

    def __init__(self, groups: Sequence[Group], extra: Extra) -> None:
        self._n, parts = 0, []
        for group in groups:
            turn = np.arange(self._n, self._n + group.size)
            never = np.zeros(group.size, dtype=bool)
            parts.append(part_of_group(group, turn - self._n, group.row.array().ravel(), turn, never, never))
            self._n += group.size
        self._code = FlatCode(parts, self._n, extra, adding=True)

    def records(self, quantity: str) -> Records:
        """The calls of ``values``, of an adjoint or of a tangent, which need them first."""
        records = self._code.records(0, self._n, "values")
        if quantity != "values":
            records.extend(self._code.records(0, self._n, "tangent" if quantity == "tangent" else "adjoint"))
        return records


class SmallSteps:
    """Explicit steps of a few rows each, as flat lists of operations; ``steps[i]`` are the rows of step i in order."""

    def __init__(self, groups: Sequence[Group], steps: Sequence[Array], own: Array, extra: Extra) -> None:
        self._groups, self._own, self._extra = groups, own, extra
        sizes = np.array([len(rows) for rows in steps], dtype=np.int64)
        self._rows = np.concatenate([np.empty(0, np.int64), *steps])
        self._first_row = np.concatenate([[0], np.cumsum(sizes)])

    @cached_property
    def _instances(self) -> tuple[list[tuple[Group, Array]], list[Array], Array]:
        """Each group with its instances here, the turn of each, and how many turns come before every row."""
        place = np.full(len(self._own), -1, dtype=np.int64)
        place[self._rows] = np.arange(len(self._rows))
        found, places = [], []
        for group in self._groups:
            low, high = group.row.range()
            if (place[low : high + 1] < 0).all():
                continue
            here = place[group.row.array().ravel()]
            chosen = np.flatnonzero(here >= 0)
            if not len(chosen):  # its rows lie round these
                continue
            found.append((group, chosen))
            places.append(here[chosen])
        joined = np.concatenate([np.empty(0, np.int64), *places])
        order = np.argsort(joined, kind="stable")
        turn = np.empty(len(joined), dtype=np.int64)
        turn[order] = np.arange(len(joined))
        before = np.searchsorted(joined[order], np.arange(len(self._rows) + 1))
        bounds = np.cumsum([len(p) for p in places])[:-1]
        return found, np.split(turn, bounds) if places else [], before

    def _code(self, adding: bool) -> FlatCode:
        found, turns, before = self._instances
        row_of_turn = np.repeat(np.arange(len(self._rows)), np.diff(before))
        return FlatCode([
            self._part(group, chosen, turn, row_of_turn[turn], before)
            for (group, chosen), turn in zip(found, turns, strict=True)
        ], int(before[-1]), self._extra, adding)

    def _part(self, group: Group, chosen: Array, turn: Array, row: Array, before: Array) -> Part:
        first = before[row]
        alone = before[row + 1] - first == 1
        return part_of_group(group, chosen, self._own[self._rows[row]], turn, alone, turn == first)

    @cached_property
    def storing(self) -> FlatCode:
        """The operations where no row has an ε."""
        return self._code(adding=False)

    @cached_property
    def adding(self) -> FlatCode:
        """The operations that add to what stands in the elements."""
        return self._code(adding=True)

    def records(self, numbers: Sequence[int], quantity: str, with_offsets: bool = False) -> Records:
        """The calls of some steps in the order given, which is that of the steps, or for adjoints backward."""
        records, before = Records(), self._instances[2]
        code = self.adding if with_offsets else self.storing
        for low, high in _runs(numbers, quantity == "adjoint"):
            rows = slice(int(self._first_row[low]), int(self._first_row[high]))
            if quantity == "values":
                records.extend(self._beginning(rows, before, with_offsets))
            turns = int(before[rows.start]), int(before[rows.stop])
            records.extend(code.records(*turns, quantity))
        return records

    def _beginning(self, rows: slice, before: Array, with_offsets: bool) -> Records:
        """The elements of rows before anything is added: ε, or 0 where the tape adds or nothing comes."""
        here = self._rows[rows]
        if with_offsets:
            return offsets(self._own[here], here)
        counts = np.diff(before[rows.start : rows.stop + 1])
        selecting = np.zeros(int(before[-1]) + 1, dtype=bool)
        selecting[self.storing.selecting] = True
        first = before[rows.start : rows.stop]
        return zeros(self._own[here[(counts == 0) | selecting[first]]])


def _runs(numbers: Sequence[int], backward: bool) -> Iterator[tuple[int, int]]:
    """(low, high) of consecutive numbers, ascending or, backward, descending."""
    ordered = np.asarray(numbers)
    cuts = np.flatnonzero(np.diff(ordered) != (-1 if backward else 1)) + 1
    for part in np.split(ordered, cuts):
        yield int(part.min()), int(part.max()) + 1
