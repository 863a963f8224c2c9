"""The native executor: groups as compiled loops, tapes and BLAS calls behind the executor protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ...expression import Array
from ...lowering import ExternalKernel, Group, IndexMap, Kernel, grouping
from ..reference import GroupRun, ReferenceExecutor, ReferenceRun
from ..sequence import ScalarSequence
from .blas import Product, product_of
from .driver import CallList, Pointers, Records, drive
from .engine import engine, function
from .loops import Into, loop_function
from .maps import Box, box_of, map_key
from .prepared import Gradient, Residuals, Sums
from .tape import REGISTERS, TapeGroup, second_code, tape_addresses, tape_code, tape_group, tape_of_second

LARGEST_LOOP = 300
"""Most nodes of the kernels that share a loop."""
COMPILE_FROM = 256
"""Groups with this many instances are compiled; smaller ones run on the tape."""


class LoopPart:
    """Groups of one shape (pieces of groups) as compiled loops; ``orders`` are their places among all groups."""

    def __init__(self, groups: Sequence[Group], orders: Sequence[int]) -> None:
        self.groups, self.orders = list(groups), list(orders)
        self.kernels = tuple(group.kernel for group in groups)

    @cached_property
    def box(self) -> Box:
        """The groups arranged for loops."""
        return box_of(self.groups)

    def records(self, quantity: str, first_entry: Sequence[int] = (), in_state: bool = False) -> Records:
        """The call of one quantity; entries of each group are written from its ``first_entry`` on."""
        kernels, box, host = self.kernels, self.box, engine().host
        address = function((kernels, quantity, box.key, in_state),
                           lambda: loop_function(kernels, box, quantity, host, in_state))
        record = np.array(box.record, dtype=np.int64)
        for member, first in enumerate(first_entry):
            record[box.first_entry(member)] += first
        records = Records()
        records.add(address, record, self.groups[0].size * sum(len(kernel.nodes) for kernel in kernels), box.arrays)
        return records

    @property
    def loops(self) -> list[LoopPart]:
        """The loops that it is."""
        return [self]

    def sums(self, quantity: str, goals: Sequence[Into], slots: Sequence[Array]) -> Records:
        """The call that sends sparse derivatives to their places, ``slots`` (instances,) of each goal; none without."""
        records, kernels, host, goals = Records(), self.kernels, engine().host, tuple(goals)
        if goals:
            shape = self.groups[0].shape
            box = box_of(self.groups, [IndexMap.of(np.reshape(table, shape)) for table in slots])
            address = function((kernels, quantity, box.key, goals),
                               lambda: loop_function(kernels, box, quantity, host, into=goals))
            nodes = sum(len(kernel.nodes) for kernel in kernels)
            records.add(address, np.array(box.record, dtype=np.int64), self.groups[0].size * nodes, box.arrays)
        return records


class TapePart:
    """A group on the tape."""

    def __init__(self, group: Group, order: int) -> None:
        self.group, self.groups, self.orders = group, [group], [order]

    def records(self, quantity: str, first_entry: Sequence[int] = (), in_state: bool = False) -> Records:
        """The call of one quantity."""
        group = self.group
        if quantity == "hessian":
            return self._second(first_entry)
        slots = None
        if quantity == "jacobian":
            live = np.array([not group.kernel.partials.is_zero(j) for j in range(group.kernel.n_args)], dtype=bool)
            first = np.where(live, first_entry[0] + group.size * (np.cumsum(live) - 1), -1)
            slots = np.where(first >= 0, first + np.arange(group.size)[:, None], -1)
        return self._called(quantity, tape_group(group, slots), group.kernel, in_state)

    def sums(self, quantity: str, which: Sequence[int], slots: Sequence[Array]) -> Records:
        """The call that adds sparse derivatives at their places: partials by arguments, or second ones by numbers."""
        group, table = self.group, np.stack(slots, axis=1)
        if quantity == "hessian":
            return self._called(quantity, tape_of_second(group, table, which), group.kernel.second_partials[0])
        places = np.full((group.size, group.kernel.n_args), -1, dtype=np.int32)
        places[:, which] = table
        return self._called(quantity, tape_group(group, places), group.kernel)

    def _second(self, first_entry: Sequence[int]) -> Records:
        """Entries of the Hessian: the kernel of the second partials, where there are any."""
        group, (kernel, pairs) = self.group, self.group.kernel.second_partials
        if not pairs:
            return Records()
        slots = first_entry[0] + group.size * np.arange(len(pairs)) + np.arange(group.size)[:, None]
        return self._called("hessian", tape_of_second(group, slots), kernel)

    def _called(self, quantity: str, made: TapeGroup, kernel: Kernel, in_state: bool = False) -> Records:
        """The call of a record for the tape."""
        records = Records()
        address = tape_addresses(quantity, in_state)["group"]
        records.add(address, made.record, 10 * self.group.size * len(kernel.nodes), made.arrays)
        return records

    @property
    def scratch(self) -> int:
        """Doubles that second derivatives need."""
        return second_code(self.group.kernel).n_registers


class CalledPart(TapePart):
    """A group of a user function: everything is the reference's, which calls it. There are no native calls."""

    scratch = 0

    @cached_property
    def reference(self) -> GroupRun:
        """The group by the reference."""
        return GroupRun(self.group)

    def records(self, quantity: str, first_entry: Sequence[int] = (), in_state: bool = False) -> Records:
        """None."""
        return Records()


class ProductPart:
    """A matrix product, in its pieces; quantities that BLAS does not give go through plain loops."""

    def __init__(self, product: Product, groups: Sequence[Group], orders: Sequence[int]) -> None:
        self.product, self.groups, self.orders = product, list(groups), list(orders)
        self.loops = [LoopPart([group], [order]) for group, order in zip(groups, orders, strict=True)]

    def records(self, quantity: str, first_entry: Sequence[int] = (), in_state: bool = False) -> Records:
        """The calls of one quantity."""
        found = self.product.records(quantity, in_state)
        if found is None:
            found = Records()
            for i, piece in enumerate(self.loops):
                found.extend(piece.records(quantity, first_entry[i : i + 1], in_state))
        return found


Part = LoopPart | TapePart | CalledPart | ProductPart


def parts_of(groups: Sequence[Group], compile_from: int) -> list[Part]:
    """Each group as what runs it. Groups of one shape with the same arguments share their loops: what they read, and
    what their kernels have in common, is read and computed once."""
    parts: list[Part] = []
    together: dict[Any, tuple[list[Group], list[int]]] = {}
    order = 0
    shapes = Counter(group.shape for group in groups)
    for group in groups:
        product, pieces = product_of(group), group.pieces()
        orders = range(order, order + len(pieces))
        order += len(pieces)
        if isinstance(group.kernel, ExternalKernel):
            parts += [CalledPart(piece, at) for piece, at in zip(pieces, orders, strict=True)]
        elif product is not None:
            parts.append(ProductPart(product, pieces, orders))
        elif group.size >= compile_from or tape_code(group.kernel).n_registers > REGISTERS:
            for i, piece in enumerate(pieces):
                same = frozenset(map(map_key, piece.args)) if shapes[group.shape] > 1 else order
                found = together.setdefault((group.shape, i, same), ([], []))
                found[0].append(piece)
                found[1].append(orders[i])
        else:
            parts += [TapePart(piece, at) for piece, at in zip(pieces, orders, strict=True)]
    for members, orders_of_members in together.values():
        for low, high in _of_bearable_size([len(g.kernel.nodes) for g in members]):
            parts.append(LoopPart(members[low:high], orders_of_members[low:high]))
    return parts


def _of_bearable_size(nodes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut a list of kernels into runs of at most LARGEST_LOOP nodes."""
    low, total = 0, 0
    for i, n in enumerate(nodes):
        if total + n > LARGEST_LOOP and i > low:
            yield low, i
            low, total = i, 0
        total += n
    yield low, len(nodes)


def entries_of(group: Group, quantity: str) -> int:
    """How many entries a group has of the Jacobian or the Hessian."""
    kernel = group.kernel
    if quantity == "jacobian":
        return group.size * sum(not kernel.partials.is_zero(j) for j in range(kernel.n_args))
    return group.size * len(kernel.second_partials[1]) if quantity == "hessian" else 0


def first_entries(parts: Sequence[Part], quantity: str) -> tuple[list[int], int]:
    """Where the entries of every group begin, by its order, and how many there are."""
    sizes = {order: entries_of(group, quantity)
             for part in parts for group, order in zip(part.groups, part.orders, strict=True)}
    ends = np.cumsum([0, *(sizes[order] for order in range(len(sizes)))]).tolist()
    return ends[:-1], ends[-1]


def records_of(parts: Sequence[Part], quantity: str, in_state: bool = False) -> Records:
    """The calls of all parts; entries come in the order of the groups."""
    records = Records()
    first = first_entries(parts, quantity)[0]
    for part in parts:
        records.extend(part.records(quantity, [first[order] for order in part.orders], in_state))
    return records


class NativeRun:
    """Several groups together, each quantity a list of native calls.

    Complex arrays (the complex step) are the reference's; entries come in its order.
    """

    def __init__(self, groups: Sequence[Group], compile_from: int = COMPILE_FROM) -> None:
        self.groups, self.parts = list(groups), parts_of(groups, compile_from)
        self.called = [part for part in self.parts if isinstance(part, CalledPart)]
        self._most, self._compile_from = grouping.CHUNK, compile_from
        self._tapes: dict[str, CallList] = {}

    def __reduce__(self) -> Any:
        return NativeRun, (self.groups, self._compile_from)

    @cached_property
    def reference(self) -> ReferenceRun:
        """The same groups by the reference."""
        return ReferenceRun(self.groups, self._most)

    def _run(self, quantity: str, **pointers: Array) -> None:
        tape = self._tapes.get(quantity)
        if tape is None:
            tape = self._tapes[quantity] = CallList(records_of(self.parts, quantity))
        if quantity.startswith("hessian"):
            pointers["scratch"] = np.empty(self.scratch)
        tape.run(Pointers(**pointers))

    @cached_property
    def scratch(self) -> int:
        """Doubles that second derivatives need."""
        return max((part.scratch for part in self.parts if isinstance(part, TapePart)), default=0)

    def _call(self, quantity: str, *arrays: Array) -> None:
        """What user functions add."""
        for part in self.called:
            getattr(part.reference, quantity)(*arrays)

    def values(self, z: Array, out: Array) -> None:
        """out[row_k] += φ_k."""
        if _real(z, out) and _flat(z, out):
            self._run("values", z=z, out=out)
            self._call("values", z, out)
        else:
            self.reference.values(z, out)

    def adjoint(self, z: Array, lam: Array, w: Array) -> None:
        """w[arg_jk] += λ[row_k]·∂φ_k/∂arg_j."""
        if _real(z, lam, w) and _flat(z):
            _each_seed(lambda lam, w: self._run("adjoint", z=z, lam=lam, w=w), (lam,), w)
            self._call("adjoint", z, lam, w)
        else:
            self.reference.adjoint(z, lam, w)

    def tangent(self, z: Array, dz: Array, out: Array) -> None:
        """out[row_k] += Σ_j ∂φ_k/∂arg_j·ż[arg_jk]."""
        if _real(z, dz, out) and _flat(z):
            _each_seed(lambda dz, out: self._run("tangent", z=z, dz=dz, out=out), (dz,), out)
            self._call("tangent", z, dz, out)
        else:
            self.reference.tangent(z, dz, out)

    def jacobian_pattern(self) -> tuple[Array, Array]:
        """Rows and state elements of the entries of :meth:`jacobian`."""
        return self.reference.jacobian_pattern()

    def jacobian(self, z: Array) -> Array:
        """∂φ_k/∂arg_j of every instance."""
        if not (_real(z) and _flat(z)):
            return self.reference.jacobian(z)
        return self._entries("jacobian", np.empty(self._count("jacobian")), z=z)

    def _count(self, quantity: str) -> int:
        return first_entries(self.parts, quantity)[1]

    def _entries(self, quantity: str, entries: Array, **given: Array) -> Array:
        """The entries, written to an array of their number."""
        if any(isinstance(part, TapePart) for part in self.parts):
            entries[:] = 0.0  # the tape adds
        self._run(quantity, entries=entries, **given)
        if quantity == "hessian":
            self._finish_hessian(entries, **given)
        else:
            self._finish_jacobian(entries, **given)
        return entries

    def _finish_jacobian(self, entries: Array, z: Array) -> None:
        """The partials of user functions."""
        first = first_entries(self.parts, "jacobian")[0] if self.called else []
        for part in self.called:
            at = first[part.orders[0]]
            entries[at : at + entries_of(part.group, "jacobian")] = part.reference.jacobian(z)

    def hessian_pattern(self) -> tuple[Array, Array]:
        """(i, j), i >= j, of the entries of :meth:`hessian`."""
        return self.reference.hessian_pattern()

    def hessian(self, z: Array, lam: Array) -> Array:
        """λ[row_k]·∂²φ_k/∂z_i∂z_j, lower triangle."""
        if not (_real(z, lam) and _flat(z, lam)):
            return self.reference.hessian(z, lam)
        return self._entries("hessian", np.empty(self._count("hessian")), z=z, lam=lam)

    def _finish_hessian(self, entries: Array, z: Array, lam: Array) -> None:
        """Positions that coincide count twice; user functions are the reference's."""
        if self._twice is not None:
            entries *= self._twice
        first = first_entries(self.parts, "hessian")[0] if self.called else []
        for part in self.called:
            size, at = entries_of(part.group, "hessian"), first[part.orders[0]]
            if size:
                entries[at : at + size] = part.reference.hessian(z, lam)

    @cached_property
    def _twice(self) -> Array | None:
        """2 for each second derivative off the diagonal whose two positions coincide, else 1; None if all are 1."""
        groups = {order: group for part in self.parts for group, order in zip(part.groups, part.orders, strict=True)}
        found = []
        for order in range(len(groups)):
            pairs = groups[order].kernel.second_partials[1]
            args = [m.array().ravel() for m in groups[order].args] if pairs else []
            found += [np.where((args[i] == args[j]) & (i != j), 2.0, 1.0) for i, j in pairs]
        factors = np.concatenate([np.ones(0), *found])
        return factors if (factors != 1.0).any() else None

    def hessian_product(self, z: Array, dz: Array, lam: Array, w: Array) -> None:
        """w[arg_ik] += λ[row_k]·Σ_j ∂²φ_k/∂arg_i∂arg_j·ż[arg_jk]."""
        if not (_real(z, dz, lam, w) and _flat(z)):
            self.reference.hessian_product(z, dz, lam, w)
            return
        _each_seed(lambda dz, lam, w: self._run("hessian_product", z=z, dz=dz, lam=lam, w=w), (dz, lam), w)
        self._call("hessian_product", z, dz, lam, w)

    def prepared_sums(self, quantity: str, slot: Array, constant: Array) -> Sums:
        """What writes the entries of a Jacobian or Hessian added up by slot."""
        return Sums(self, quantity, slot, constant)

    def prepared_residuals(self, n: int, rows: Array, own: Array) -> Residuals:
        """What writes Σ φ − own."""
        return Residuals(self, n, rows, own)

    def prepared_gradient(self, size: int, columns: Array) -> Gradient:
        """What writes ∂(row 0)/∂z."""
        return Gradient(self, size, columns)


def _real(*arrays: Array) -> bool:
    return all(a.dtype == np.float64 for a in arrays)


def _flat(*arrays: Array) -> bool:
    return all(a.ndim == 1 and a.flags.c_contiguous for a in arrays)


def _each_seed(run: Callable[..., None], given: Sequence[Array], out: Array) -> None:
    """Run once, or once a seed (a column of what has two axes), on contiguous arrays."""
    if out.ndim == 1 and _flat(*given, out):
        run(*given, out)
        return
    columns = out[:, None] if out.ndim == 1 else out
    for k in range(columns.shape[1]):
        column = np.ascontiguousarray(columns[:, k])
        run(*(np.ascontiguousarray(a[:, k] if a.ndim > 1 else a) for a in given), column)
        columns[:, k] = column


class NativeExecutor:
    """Runs groups by compiled loops, tapes and BLAS.

    Groups of at least ``compile_from`` instances are compiled, smaller ones run on the tape.
    """

    name = "native"

    def __init__(self, compile_from: int = COMPILE_FROM) -> None:
        self.compile_from = compile_from
        drive()  # what cannot compile here says so now, not in the middle of something

    def run(self, groups: Sequence[Group]) -> NativeRun:
        """Prepare groups to be evaluated together."""
        return NativeRun(groups, self.compile_from)

    def sequence(self, groups: Sequence[Group], order: Sequence[int], own: Array) -> ScalarSequence:
        """Rows one after the other, for complex arrays: plans run them by lists of their own (``sequence.py``)."""
        return ReferenceExecutor().sequence(groups, order, own)
