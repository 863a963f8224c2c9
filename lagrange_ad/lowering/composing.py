"""Kernels put into kernels: instances that read inlined elements, with the definitions in the elements' place.

Takes instances as columns (``flat``); gives columns of composed kernels. Positions of arguments and numbers of
coefficients are gathered; what stands at the same places in all instances becomes one, so that what is shared is
computed once. Instances are put together by the definitions that they read: one kernel for all that have the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..expression import Array
from .cuts import SIZE_CAP
from .flat import Flat, codes, load
from .kernel import Builder, Kernel


class Composed(NamedTuple):
    """Instances of one kernel: ``args`` (n_args, n) state elements, ``coefs`` (n_coefs, n) numbers of the pool.

    ``instances`` (n,): which of those that were asked for.
    """

    kernel: Kernel
    args: Array
    coefs: Array
    instances: Array


class Terms(NamedTuple):
    """The i-th of n sums has the ``instances[i]``-th instance of ``flat`` among its terms."""

    flat: int
    instances: Array


class Composer:
    """Composes instances of ``flats``. ``pool`` holds all of their coefficients.

    Elements are inlined that ``define`` was told of: in the order of need, as what it is told is composed too.
    """

    def __init__(self, flats: Sequence[Flat], n_states: int) -> None:
        self.flats = flats
        self._definitions: list[Composed] = []
        self._class, self._place = np.full(n_states, -1, dtype=np.int64), np.zeros(n_states, dtype=np.int64)
        self._coefs: list[list[tuple[int, int]]] = []
        parts, start = [np.empty(0)], 0
        for flat in flats:
            self._coefs.append([])
            for values in flat.coefs:
                constant = not any(values.strides)
                self._coefs[-1].append((start, 0 if constant else 1))
                parts.append(values[:1] if constant else values)
                start += len(parts[-1])
        self.pool = np.concatenate(parts)

    @property
    def n_definitions(self) -> int:
        """How many kinds of definitions there are so far."""
        return len(self._definitions)

    def define(self, elements: Array, terms: Sequence[Terms]) -> None:
        """Inline elements from now on: each is the sum of its terms."""
        for composed in self.composed(terms, len(elements)):
            here = elements[composed.instances]
            self._class[here], self._place[here] = len(self._definitions), np.arange(len(here))
            self._definitions.append(composed)

    def composed(self, terms: Sequence[Terms], n: int) -> Iterator[Composed]:
        """n sums of terms, those apart that read other definitions."""
        classes = [self._class[self.flats[t.flat].args[:, t.instances]] for t in terms]
        columns = np.concatenate([*classes, np.empty((0, n), dtype=np.int64)])
        code = codes(columns)
        order = np.argsort(code, kind="stable")
        for instances in np.split(order, np.flatnonzero(np.diff(code[order])) + 1):
            inlined = [part[:, instances[0]].tolist() for part in classes]
            yield from self._alike(terms, inlined, instances)

    def _alike(self, terms: Sequence[Terms], inlined: Sequence[list[int]], instances: Array) -> Iterator[Composed]:
        """Sums that read the same definitions; what is too large as one is parted by which of its places coincide."""
        if len(terms) == 1 and max(inlined[0], default=-1) < 0:
            yield self._as_they_are(terms[0], instances)
            return
        args, coefs, kernel = self._kernel(terms, inlined, instances)
        if kernel.n_operations > SIZE_CAP and len(instances) > 1:
            pattern = codes(np.concatenate([_first_of_equal(args), _first_of_equal(coefs)]))
            if pattern.any():
                for number in range(int(pattern.max()) + 1):
                    part = instances[pattern == number]
                    args, coefs, kernel = self._kernel(terms, inlined, part)
                    yield Composed(kernel, args, coefs, part)
                return
        yield Composed(kernel, args, coefs, instances)

    def _as_they_are(self, term: Terms, instances: Array) -> Composed:
        flat, at = self.flats[term.flat], term.instances[instances]
        coefs = [start + step * at for start, step in self._coefs[term.flat]]
        return Composed(flat.kernel, flat.args[:, at],
                        np.stack(coefs) if coefs else np.empty((0, len(at)), dtype=np.int64), instances)

    def _kernel(self, terms: Sequence[Terms], inlined: Sequence[list[int]],
                instances: Array) -> tuple[Array, Array, Kernel]:
        """Arguments, coefficients and kernel of sums that read the same definitions."""
        builder, args, coefs = Builder(), _Columns("arg"), _Columns("coef")
        total = -1
        for term, numbers in zip(terms, inlined, strict=True):
            flat, at = self.flats[term.flat], term.instances[instances]
            operands = []
            for elements, number in zip(flat.args[:, at], numbers, strict=True):
                if number < 0:
                    operands.append(args.place(builder, elements))
                    continue
                inner, where = self._definitions[number], self._place[elements]
                operands.append(load(builder, inner.kernel,
                                     [args.place(builder, column) for column in inner.args[:, where]],
                                     [coefs.place(builder, column) for column in inner.coefs[:, where]]))
            own = [coefs.place(builder, start + step * at) for start, step in self._coefs[term.flat]]
            output = load(builder, flat.kernel, operands, own)
            total = output if total < 0 else builder.raw(("add", total, output))
        kernel = builder.finish([total if total >= 0 else builder.const(0.0)])
        return args.matrix(kernel.n_args, len(instances)), coefs.matrix(kernel.n_coefs, len(instances)), kernel


class _Columns:
    """Columns of integers, equal ones once, as arguments or coefficients of a kernel that is being built."""

    def __init__(self, leaf: str) -> None:
        self.leaf, self._columns = leaf, list[Array]()
        self._known: dict[tuple[int, int], list[int]] = {}  # by their ends: most columns differ there

    def place(self, builder: Builder, column: Array) -> int:
        """The kernel node of a column."""
        alike = self._known.setdefault((int(column[0]), int(column[-1])), [])
        number = next((i for i in alike if np.array_equal(self._columns[i], column)), -1)
        if number < 0:
            number = len(self._columns)
            self._columns.append(column)
            alike.append(number)
        return builder.raw((self.leaf, number))

    def matrix(self, most: int, n: int) -> Array:
        """The columns that the kernel has, as a matrix (most, n)."""
        return np.stack(self._columns[:most]) if most else np.empty((0, n), dtype=np.int64)


def _first_of_equal(columns: Array) -> Array:
    """For every number of a matrix the first row that holds the same in its column."""
    found = np.zeros_like(columns)
    for i in range(1, len(columns)):
        found[i] = np.argmax(columns[: i + 1] == columns[i], axis=0)
    return found
