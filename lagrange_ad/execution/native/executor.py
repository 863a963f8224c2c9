"""The native executor: groups as compiled loops, tapes and BLAS calls behind the executor protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from ...expression import Array
from ...lowering import Group, IndexMap, grouping
from ..reference import GroupRun, ReferenceExecutor, ReferenceRun
from ..sequence import ScalarSequence
from .blas import Product, product_of
from .driver import Pointers, Records, Tape
from .engine import engine, function
from .flat import Extra
from .loops import loop_function
from .maps import Box, box_of
from .records import add_up
from .sequence import StateSequence
from .tape import REGISTERS, tape_addresses, tape_code, tape_group

COMPILE_FROM = 256
"""Groups with this many instances are compiled; smaller ones run on the tape."""


class LoopPart:
    """A group (a piece of one) as compiled loops."""

    def __init__(self, group: Group) -> None:
        self.group, self.kernel = group, group.kernel

    @cached_property
    def box(self) -> Box:
        """The group arranged for loops."""
        return box_of(self.group)

    def records(self, quantity: str, first_entry: int = 0, in_state: bool = False) -> Records:
        """The call of one quantity; entries are written from ``first_entry`` on, in the reference's order."""
        kernel, box, host = self.kernel, self.box, engine().host
        address = function((kernel, quantity, box.key, in_state),
                           lambda: loop_function(kernel, box, quantity, host, in_state))
        record = np.array(box.record, dtype=np.int64)
        record[box.first_entry] += first_entry
        records = Records()
        records.add(address, record, self.group.size * len(kernel.nodes), box.arrays)
        return records


class TapePart:
    """A group on the tape. Its second derivatives are the reference's."""

    def __init__(self, group: Group) -> None:
        self.group = group

    def records(self, quantity: str, first_entry: int = 0, in_state: bool = False) -> Records:
        """The call of one quantity; none for second derivatives."""
        records, group = Records(), self.group
        if quantity.startswith("hessian"):
            return records
        slots = None
        if quantity == "jacobian":
            live = np.array([not group.kernel.partials.is_zero(j) for j in range(group.kernel.n_args)], dtype=bool)
            first = np.where(live, first_entry + group.size * (np.cumsum(live) - 1), -1)
            slots = np.where(first >= 0, first + np.arange(group.size)[:, None], -1)
        made = tape_group(group, slots)
        address = tape_addresses(quantity, in_state)["group"]
        records.add(address, made.record, 10 * group.size * len(group.kernel.nodes), made.arrays)
        return records

    @cached_property
    def reference(self) -> GroupRun:
        """The group by the reference."""
        return GroupRun(self.group)


class ProductPart:
    """A matrix product; quantities that BLAS does not give go through plain loops."""

    def __init__(self, group: Group, product: Product) -> None:
        self.group, self.product = group, product
        self.pieces = [LoopPart(piece) for piece in group.pieces()]

    def records(self, quantity: str, first_entry: int = 0, in_state: bool = False) -> Records:
        """The calls of one quantity."""
        found = self.product.records(quantity, in_state)
        if found is None:
            found = Records()
            for piece in self.pieces:
                found.extend(piece.records(quantity, first_entry, in_state))
                first_entry += entries_of(piece.group, quantity)
        return found


Part = LoopPart | TapePart | ProductPart


def parts_of(groups: Sequence[Group], compile_from: int) -> list[Part]:
    """Each group as what runs it, in order."""
    parts: list[Part] = []
    for group in groups:
        product = product_of(group)
        if product is not None:
            parts.append(ProductPart(group, product))
        elif group.size >= compile_from or tape_code(group.kernel).n_registers > REGISTERS:
            parts += [LoopPart(piece) for piece in group.pieces()]
        else:
            parts += [TapePart(piece) for piece in group.pieces()]
    return parts


def entries_of(group: Group, quantity: str) -> int:
    """How many entries a group has of the Jacobian or the Hessian."""
    kernel = group.kernel
    if quantity == "jacobian":
        return group.size * sum(not kernel.partials.is_zero(j) for j in range(kernel.n_args))
    return group.size * len(kernel.second_partials[1]) if quantity == "hessian" else 0


def records_of(parts: Sequence[Part], quantity: str, in_state: bool = False) -> Records:
    """The calls of all parts, entries one part after the other."""
    records, first = Records(), 0
    for part in parts:
        records.extend(part.records(quantity, first, in_state))
        first += entries_of(part.group, quantity)
    return records


class NativeRun:
    """Several groups together, each quantity a list of native calls.

    Complex arrays (the complex step) are the reference's; entries come in its order.
    """

    def __init__(self, groups: Sequence[Group], compile_from: int = COMPILE_FROM) -> None:
        self.groups, self.parts = list(groups), parts_of(groups, compile_from)
        self._most = grouping.CHUNK
        self._tapes: dict[str, Tape] = {}
        self._spare: dict[str, list[Array]] = {}

    @cached_property
    def reference(self) -> ReferenceRun:
        """The same groups by the reference."""
        return ReferenceRun(self.groups, self._most)

    def _run(self, quantity: str, **pointers: Array) -> None:
        tape = self._tapes.get(quantity)
        if tape is None:
            tape = self._tapes[quantity] = Tape(records_of(self.parts, quantity))
        tape.run(Pointers(**pointers))

    def values(self, z: Array, out: Array) -> None:
        """out[row_k] += φ_k."""
        if _real(z, out) and _flat(z, out):
            self._run("values", z=z, out=out)
        else:
            self.reference.values(z, out)

    def adjoint(self, z: Array, lam: Array, w: Array) -> None:
        """w[arg_jk] += λ[row_k]·∂φ_k/∂arg_j."""
        if _real(z, lam, w) and _flat(z):
            _each_seed(lambda lam, w: self._run("adjoint", z=z, lam=lam, w=w), (lam,), w)
        else:
            self.reference.adjoint(z, lam, w)

    def tangent(self, z: Array, dz: Array, out: Array) -> None:
        """out[row_k] += Σ_j ∂φ_k/∂arg_j·ż[arg_jk]."""
        if _real(z, dz, out) and _flat(z):
            _each_seed(lambda dz, out: self._run("tangent", z=z, dz=dz, out=out), (dz,), out)
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

    def jacobian_sums(self, z: Array, slot: Array, size: int) -> Array:
        """The entries of :meth:`jacobian` added up by slot."""
        if not (_real(z) and _flat(z)):
            return self.reference.jacobian_sums(z, slot, size)
        return self._sums("jacobian", slot, size, z=z)

    def _count(self, quantity: str) -> int:
        return sum(entries_of(part.group, quantity) for part in self.parts)

    def _entries(self, quantity: str, entries: Array, **given: Array) -> Array:
        """The entries, written to an array of their number."""
        if any(isinstance(part, TapePart) for part in self.parts):
            entries[:] = 0.0  # the tape adds
        self._run(quantity, entries=entries, **given)
        if quantity == "hessian":
            self._finish_hessian(entries, **given)
        return entries

    def _sums(self, quantity: str, slot: Array, size: int, **given: Array) -> Array:
        """The entries added up, by way of memory that is kept for the next time."""
        try:
            entries = self._spare[quantity].pop()
        except (KeyError, IndexError):
            entries = np.empty(self._count(quantity))
        self._entries(quantity, entries, **given)
        adding = self._tapes.get("add up " + quantity)
        if adding is None:
            adding = self._tapes["add up " + quantity] = Tape(add_up(len(entries)))
        total = np.zeros(size)
        adding.run(Pointers(entries=entries, slot=slot, out=total))
        self._spare.setdefault(quantity, []).append(entries)
        return total

    def hessian_pattern(self) -> tuple[Array, Array]:
        """(i, j), i >= j, of the entries of :meth:`hessian`."""
        return self.reference.hessian_pattern()

    def hessian(self, z: Array, lam: Array) -> Array:
        """λ[row_k]·∂²φ_k/∂z_i∂z_j, lower triangle."""
        if not (_real(z, lam) and _flat(z, lam)):
            return self.reference.hessian(z, lam)
        return self._entries("hessian", np.empty(self._count("hessian")), z=z, lam=lam)

    def hessian_sums(self, z: Array, lam: Array, slot: Array, size: int) -> Array:
        """The entries of :meth:`hessian` added up by slot."""
        if not (_real(z, lam) and _flat(z, lam)):
            return self.reference.hessian_sums(z, lam, slot, size)
        return self._sums("hessian", slot, size, z=z, lam=lam)

    def _finish_hessian(self, entries: Array, z: Array, lam: Array) -> None:
        """Positions that coincide count twice; groups on the tape are the reference's."""
        if self._twice is not None:
            entries *= self._twice
        first = 0
        for part in self.parts:
            size = entries_of(part.group, "hessian")
            if isinstance(part, TapePart) and size:
                entries[first : first + size] = part.reference.hessian(z, lam)
            first += size

    @cached_property
    def _twice(self) -> Array | None:
        """2 for each second derivative off the diagonal whose two positions coincide, else 1; None if all are 1."""
        found = []
        for part in self.parts:
            pairs = part.group.kernel.second_partials[1]
            args = [m.array().ravel() for m in part.group.args] if pairs else []
            found += [np.where((args[i] == args[j]) & (i != j), 2.0, 1.0) for i, j in pairs]
        factors = np.concatenate(found) if found else np.ones(0)
        return factors if (factors != 1.0).any() else None

    def hessian_product(self, z: Array, dz: Array, lam: Array, w: Array) -> None:
        """w[arg_ik] += λ[row_k]·Σ_j ∂²φ_k/∂arg_i∂arg_j·ż[arg_jk]."""
        if not (_real(z, dz, lam, w) and _flat(z)):
            self.reference.hessian_product(z, dz, lam, w)
            return
        _each_seed(lambda dz, lam, w: self._run("hessian_product", z=z, dz=dz, lam=lam, w=w), (dz, lam), w)
        for part in self.parts:
            if isinstance(part, TapePart):
                part.reference.hessian_product(z, dz, lam, w)


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


class NativeSequence:
    """Explicit rows in order; ``own`` are the elements they add to. Complex arrays are the reference's."""

    def __init__(self, groups: Sequence[Group], order: Sequence[int], own: Array, compile_from: int) -> None:
        self._groups, self._order, self._own, self._compile_from = groups, order, own, compile_from

    @cached_property
    def _reference(self) -> ScalarSequence:
        return ReferenceExecutor().sequence(self._groups, self._order, self._own)

    @cached_property
    def _tape(self) -> tuple[Tape, Extra]:
        order, own = np.asarray(self._order), np.asarray(self._own)
        groups = [
            Group(g.kernel, g.shape, g.args, g.coefs, IndexMap.of(own[order == i])) for i, g in enumerate(self._groups)
        ]
        last = [m.range()[1] for g in groups for m in (*g.args, g.row)]
        extra = Extra(1 + max(last, default=-1))
        return Tape(StateSequence(groups, order, self._compile_from, extra).records("values")), extra

    def propagate(self, z: Array) -> None:
        """z[own[i]] += φ of the i-th instance, one after the other."""
        if not _real(z):
            self._reference.propagate(z)
            return
        tape, extra = self._tape
        room = np.zeros(max(len(z), extra.size))
        room[: len(z)] = z
        extra.fill(room)
        tape.run(Pointers(z=room))
        used = extra.first
        z[:used] = room[:used]


class NativeExecutor:
    """Runs groups by compiled loops, tapes and BLAS.

    Groups of at least ``compile_from`` instances are compiled, smaller ones run on the tape.
    """

    name = "native"

    def __init__(self, compile_from: int = COMPILE_FROM) -> None:
        self.compile_from = compile_from
        engine()  # raises ImportError here, not in the middle of something

    def run(self, groups: Sequence[Group]) -> NativeRun:
        """Prepare groups to be evaluated together."""
        return NativeRun(groups, self.compile_from)

    def sequence(self, groups: Sequence[Group], order: Sequence[int], own: Array) -> NativeSequence:
        """Prepare rows to be evaluated one after the other."""
        return NativeSequence(groups, order, own, self.compile_from)
