"""From the structure of a program to the steps that compute it.

Declared blocks are ordered first; elements only inside cycles, or everywhere when the blocks cannot be
matched whole. Then rows of equal level merge into wide steps, and long runs of narrow levels into sequences.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .blocks import Flags, Indices, changes
from .coarse import CoarseOrder, order_blocks, without_order
from .elements import (
    ElementOrder,
    deficient_parts,
    element_graph,
    match_elements,
    order_elements,
    split,
)
from .steps import Block, Deficiency, Schedule, Sequence, Step, Structure, Wide

NARROW = 16


def build_schedule(structure: Structure, narrow: int = NARROW) -> Schedule | Deficiency:
    """The schedule of a structure, or what keeps it from having one.

    Consecutive batches of explicit rows with fewer than `narrow` rows each form one Sequence; others are
    Wide. `structure.incidence` is called only for row blocks that are implicit, in a cycle, or equations for
    parts of an array; for all of them when their elements cannot be matched as the declared blocks suggest.
    """
    coarse = order_blocks(structure)
    graph = element_graph(structure, coarse)
    matching = match_elements(structure, coarse, graph)
    unknown_columns = int(np.count_nonzero(structure.unknown))
    if not matching.perfect or structure.n_rows != unknown_columns:
        coarse = without_order(structure, coarse)
        graph = element_graph(structure, coarse)
        matching = match_elements(structure, coarse, graph)
    if not matching.perfect:
        return Deficiency(deficient_parts(graph, matching), structure.n_rows, unknown_columns)
    return _merge(structure, coarse, order_elements(structure, coarse, graph, matching), narrow)


def _merge(structure: Structure, coarse: CoarseOrder, order: ElementOrder, narrow: int) -> Schedule:
    """Put the rows of both orders on one time line, and cut it into steps."""
    direct = np.flatnonzero(coarse.explicit[structure.block_of_row])
    rows = np.concatenate((direct, order.explicit_rows))
    inner = np.concatenate((np.zeros(len(direct), np.int64), order.explicit_level))
    width = int(max(np.max(inner, initial=0), np.max(order.block_level, initial=0))) + 1
    level = coarse.level[structure.block_of_row]
    time = level[rows] * width + inner
    block_time = level[order.representative] * width + order.block_level
    column_of_row = structure.own.copy()
    column_of_row[order.rows] = order.column_of_row
    if not _in_order(rows, time):
        by_time = np.lexsort((rows, time))
        rows, time = rows[by_time], time[by_time]
    batches = _Batches.cut(rows, time)
    block_order = np.lexsort((order.representative, block_time))
    blocks = list(map(order.blocks.__getitem__, block_order.tolist()))
    return Schedule(_steps(batches, blocks, block_time[block_order], narrow), column_of_row)


def _in_order(rows: Indices, time: Indices) -> bool:
    """Whether rows come by time, and those of equal time by number: arrays declared in their order do."""
    later = np.diff(time)
    return bool(((later > 0) | ((later == 0) & (np.diff(rows) > 0))).all())


@dataclass(frozen=True, eq=False)
class _Batches:
    """Explicit rows in order of time: batch i is rows[start[i]:start[i+1]], at time[i]."""

    rows: Indices
    start: Indices
    time: Indices

    @staticmethod
    def cut(rows: Indices, time: Indices) -> _Batches:
        heads = np.flatnonzero(changes(time))
        return _Batches(rows, np.concatenate((heads, [len(rows)])), time[heads])


def _steps(batches: _Batches, blocks: list[Block], block_time: Indices, narrow: int) -> tuple[Step, ...]:
    """Interleave batches and blocks by time; at equal times the batch comes first."""
    blocks_before = np.searchsorted(block_time, batches.time)
    heads = np.flatnonzero(~_joined_to_previous(np.diff(batches.start) < narrow, blocks_before))
    lengths = np.diff(np.concatenate((heads, [len(batches.time)])))
    pieces = split(batches.rows, np.concatenate((batches.start[heads], batches.start[-1:])))
    steps: list[Step] = []
    done = 0
    for rows, length, before in zip(pieces, lengths.tolist(), blocks_before[heads].tolist(), strict=True):
        steps.extend(blocks[done:before])
        steps.append(Wide(rows) if length == 1 else Sequence(rows))
        done = before
    steps.extend(blocks[done:])
    return tuple(steps)


def _joined_to_previous(narrow: Flags, blocks_before: Indices) -> Flags:
    """Whether a batch continues a sequence: it and the batch before are narrow, and no block lies between
    them.
    """
    joined = np.zeros(len(narrow), np.bool_)
    joined[1:] = narrow[1:] & narrow[:-1] & (np.diff(blocks_before) == 0)
    return joined
