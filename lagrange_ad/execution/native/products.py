"""Products of sparse matrices at patterns fixed once: C = A B row by row, all numbers in one array.

A row of C is added up in a dense row of memory, which is 0 before and after. B may be C itself where rows come in an
order in which each needs only rows before it: so unit-triangular systems are solved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...expression import Array
from .driver import CallList, Pointers, Records
from .engine import FRAME, function
from .ir import Function, literal
from .loops import Frame


class Rows(NamedTuple):
    """A sparse matrix by rows: ``indptr``, ``columns``, and where each of its numbers stands in the array of all."""

    indptr: Array
    columns: Array
    place: Array


class Product(NamedTuple):
    """C = A B for some ``rows``, in order; ``lower``: no column of C is behind its row."""

    rows: Array
    a: Rows
    b: Rows
    c: Rows
    lower: bool = False


class Products:
    """Products one after the other on one array, ``memory`` of which from ``spare`` on is 0 and as wide as any C."""

    def __init__(self, products: Sequence[Product], spare: int) -> None:
        records = Records()
        for product in products:
            tables = [np.ascontiguousarray(table, dtype=np.int32)
                      for table in (product.rows, *product.a, *product.b, *product.c)]
            addresses = [table.ctypes.data for table in tables]
            record = np.array([len(product.rows), *addresses, spare, product.lower], dtype=np.int64)
            records.add(function("sparse product", _product), record, 10 * len(product.a.columns), tables)
        self._calls = CallList(records)

    def run(self, memory: Array) -> None:
        """Compute all of them."""
        self._calls.run(Pointers(z=memory))


def _product() -> Function:
    f = Function("sparse_product", FRAME)
    numbers, rows = f.pointer("%frame", Frame.Z), f.pointer("%data", 1)
    (a_begin, a_column, a_place), (b_begin, b_column, b_place), (c_begin, c_column, c_place) = (
        [f.pointer("%data", 2 + 3 * m + k) for k in range(3)] for m in range(3))
    spare = f.at(numbers, f.word("%data", 11))
    any_column = f.do(f"icmp eq i64 {f.word('%data', 12)}, 0")
    with f.loop(0, f.word("%data", 0)) as t:
        i = f.index(rows, t)
        after = f.add(i, 1)
        with f.loop(f.index(a_begin, i), f.index(a_begin, after)) as p:
            k, factor = f.index(a_column, p), f.load(f.at(numbers, f.index(a_place, p)))
            with f.loop(f.index(b_begin, k), f.index(b_begin, f.add(k, 1))) as q:
                j = f.index(b_column, q)
                wanted = f.do(f"or i1 {any_column}, {f.do(f'icmp sle i64 {j}, {i}')}")
                with f.when(wanted):
                    f.increase(f.at(spare, j), f.real("fmul", factor, f.load(f.at(numbers, f.index(b_place, q)))))
        with f.loop(f.index(c_begin, i), f.index(c_begin, after)) as q:
            total = f.at(spare, f.index(c_column, q))
            f.store(f.load(total), f.at(numbers, f.index(c_place, q)))
            f.store(literal(0.0), total)
    f.finish()
    return f
