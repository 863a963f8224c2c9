"""State space: groups whose rows are the state elements they compute, and the small records between them.

In state space an explicit row needs no right side of its own: φ is added to (or stored in) the element, and its
multiplier is the element's adjoint.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...expression import Array
from ...lowering import Group, IndexMap
from .driver import Records
from .engine import FRAME, function
from .executor import ProductPart, parts_of, records_of
from .ir import Function
from .records import write_offsets, zeros
from .tape import tape_addresses, tape_record, turns_symbol


def in_state_space(group: Group, own: Array) -> Group:
    """The group with every row replaced by the state element that the row computes."""
    low, high = group.row.range()
    here = own[low : high + 1]
    if group.row.strides is not None and len(here) and (np.diff(here) == 1).all():
        row = IndexMap(group.row.shape, group.row.offset + int(here[0]) - low, group.row.strides, None)
    else:
        row = IndexMap.of(own[group.row.array()])
    return Group(group.kernel, group.shape, group.args, group.coefs, row)


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


class SmallSteps:
    """Explicit steps of a few rows each, on the tape: ``rows[i]`` are those of step i in order."""

    def __init__(self, groups: Sequence[Group], steps: Sequence[Array], own: Array) -> None:
        self._sizes = np.array([len(rows) for rows in steps], dtype=np.int64)
        rows = np.concatenate(steps) if steps else np.empty(0, np.int64)
        place = np.full(len(own), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        number, index, at = [], [], []
        self._keep = []
        for group in groups:
            positions = place[group.row.array().ravel()]
            here = np.flatnonzero(positions >= 0)
            if not len(here):
                continue
            kernel = group.kernel
            args, coefs = np.empty((len(here), kernel.n_args)), np.empty((len(here), kernel.n_coefs))
            for j, m in enumerate(group.args):
                args[:, j] = m.array().ravel()[here]
            for j, c in enumerate(group.coefs):
                coefs[:, j] = np.ravel(c)[here]
            self._keep.append(tape_record(kernel, args, coefs, own[rows[positions[here]]], None))
            number.append(np.full(len(here), self._keep[-1].record.ctypes.data))
            index.append(np.arange(len(here)))
            at.append(positions[here])
        joined = [np.concatenate(x) if x else np.empty(0, np.int64) for x in (number, index, at)]
        order = np.argsort(joined[2], kind="stable")
        self._pairs = np.ascontiguousarray(np.stack([joined[0][order], joined[1][order]], axis=1))
        first_row = np.concatenate([[0], np.cumsum(self._sizes)])
        begins = np.searchsorted(joined[2][order], first_row)
        self._own, self._rows = (np.ascontiguousarray(x, dtype=np.int32) for x in (own[rows], rows))
        self.record = np.stack([
            np.diff(begins), self._pairs.ctypes.data + 16 * begins[:-1],
            self._sizes, self._own.ctypes.data + 4 * first_row[:-1], self._rows.ctypes.data + 4 * first_row[:-1],
        ], axis=1)  # fmt: skip

    def records(self, numbers: Array, backward: bool) -> Records:
        """The calls of some steps: forward from ε, or backward."""
        turns = tape_addresses("adjoint" if backward else "values", True)["turns"]
        address = turns if backward else function("small step", _small_step)
        places = self.record.ctypes.data + self.record.strides[0] * numbers
        rows = np.stack([np.full(len(numbers), address), places, 100 * self.record[numbers, 0] + 1], axis=1)
        return Records([tuple(row) for row in rows.tolist()], [self])


def _small_step() -> Function:
    f = Function("small_step", FRAME)
    write_offsets(f, "2")
    f.run_turns(turns_symbol("values", True), "%data")
    f.finish()
    return f
